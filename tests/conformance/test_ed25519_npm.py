"""Keys and signatures on which verifiers differ, as npm's @noble/curves judges them by our rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

NpmJudge = Callable[[str, object], Any]

VECTORS: Final[dict[str, Any]] = json.loads((Path(__file__).parent.parent / "vectors" / "ed25519.json").read_text())


@pytest.mark.parametrize("kind", ["keys", "signatures"])
def test_noble_accepts_what_the_vectors_accept_and_nothing_else(npm_judge: NpmJudge, kind: str) -> None:
    found = npm_judge("ed25519.mjs", VECTORS)[kind]
    names = [vector["name"] for vector in VECTORS[kind]]
    assert dict(zip(names, found, strict=True)) == {vector["name"]: vector["accepted"] for vector in VECTORS[kind]}
