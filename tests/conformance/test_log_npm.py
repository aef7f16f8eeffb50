"""Our checkpoints and inclusion proofs as npm's @sigstore/verify judges them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from ledger.checkpoint import Checkpoint, cosign, sign_checkpoint
from ledger.keys import Algorithm, make_signing_key
from ledger.merkle import leaf_hash, prove_inclusion, root_of
from ledger.names import decode_origin, encode_b64
from ledger.note import Note, decode_note, encode_note
from ledger.proof import encode_path
from tests.make_tree import leaves, reader

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

NpmJudge = Callable[[str, object], Any]

ORIGIN: Final = decode_origin("cold-chain.example/fishery")
LOG: Final = make_signing_key(str(ORIGIN), seed=b"\1" * 32)
WITNESS: Final = make_signing_key("cold-chain.example/carrier", Algorithm.COSIGNATURE, seed=b"\2" * 32)
LEAVES: Final = leaves(700)
PLACES: Final = [(index, size) for size in (1, 2, 3, 7, 8, 64, 65) for index in range(size)] + [(543, 700)]


def case(index: int, size: int) -> dict[str, Any]:
    signed = decode_note(sign_checkpoint(Checkpoint(origin=ORIGIN, size=size, root=root_of(LEAVES[:size])), LOG))
    note = Note(signed.text, (*signed.signatures, cosign(signed.text, WITNESS, 1_763_683_200)))
    return {
        "entry": encode_b64(f"entry {index}".encode()),
        "index": index,
        "path": encode_path(prove_inclusion(index, size, reader(LEAVES[:size]))),
        "note": encode_note(note).decode(),
        "name": str(ORIGIN),
        "hash": LOG.public.hash.hex(),
        "key": encode_b64(LOG.public.raw),
    }


def test_sigstore_takes_our_checkpoints_and_inclusion_proofs(npm_judge: NpmJudge) -> None:
    assert npm_judge("sigstore.cjs", [case(*place) for place in PLACES]) == [""] * len(PLACES)


def test_sigstore_refuses_what_was_changed(npm_judge: NpmJudge) -> None:
    good, lie = case(543, 700), encode_path([leaf_hash(b"a lie")])
    changed = [
        good | {"entry": encode_b64(b"entry 544")},
        good | {"index": 542},
        good | {"index": 700},
        good | {"path": good["path"][:-1]},
        good | {"path": good["path"] + lie},
        good | {"path": lie + good["path"][1:]},
        good | {"note": good["note"].replace("\n700\n", "\n701\n")},
        good | {"note": case(543, 600)["note"]},
        good | {"key": encode_b64(WITNESS.public.raw)},
        good | {"hash": WITNESS.public.hash.hex()},
        good | {"name": "cold-chain.example/carrier"},
    ]
    assert "" not in npm_judge("sigstore.cjs", changed)
