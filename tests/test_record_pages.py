"""The pages of the spec that describe records: examples are vectors, limits are those of the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from ledger import limits
from ledger.jsontext import encode_canonical
from ledger.names import decode_id, encode_b64, lp
from ledger.sealing import FIELDS_MAX
from node.sync.client import BODIES_BYTES_MAX
from tests.source import ROOT

SPEC: Final = ROOT / "docs" / "spec"
VECTORS: Final = Path(__file__).parent / "vectors"
PAGES: Final = ("notation", "json", "entry", "sealing", "channels", "record", "bodies", "receipt")
# Long enough that it cannot be there by chance.
_TOKEN: Final = re.compile(r"[0-9a-f]{16,}|[A-Za-z0-9+/]{22,}={0,2}")


def page(name: str) -> str:
    return (SPEC / f"{name}.md").read_text()


def blocks(text: str) -> str:
    return "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("entry", ["entry.json"]),
        ("sealing", ["sealing.json"]),
        ("channels", ["sealing.json"]),
        ("record", ["record.json"]),
        ("bodies", ["record.json"]),
        ("receipt", ["receipt.json"]),
    ],
)
def test_examples_of_the_page_are_vectors(name: str, files: list[str]) -> None:
    known = "\n".join((VECTORS / file).read_text() for file in files)
    tokens = _TOKEN.findall(blocks(page(name)))
    assert len(tokens) >= 6
    assert [token for token in tokens if token not in known] == []


def test_examples_of_notation_and_json_hold() -> None:
    shown = dict(re.findall(r"^(\S.*?)  +(\S+)$", blocks(page("notation")), re.MULTILINE))
    assert shown['lp("fishery")'] == lp("fishery").hex()
    assert shown["id, as 16 bytes"] == decode_id(shown["id, as text"]).hex()
    assert shown['H(""), base64'] == encode_b64(
        bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    )
    assert encode_canonical({"b": True, "a": [1, "é", None]}).decode() in blocks(page("json")).splitlines()


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("notation", [limits.MEMBER_NAME_MAX, limits.INTEGER_MAX, 0xFFFF]),
        ("json", [limits.JSON_DEPTH, limits.BODY_BYTES_MAX, limits.NUMBER_DIGITS_MAX]),
        ("entry", [limits.ENTRY_BYTES_MAX, limits.INTEGER_MAX]),
        ("sealing", [FIELDS_MAX, limits.OWN_FIELDS_MAX, limits.SECTION_BYTES_MAX, limits.SECTIONS_MAX - 1]),
        ("channels", [limits.READERS_MAX, 1 + 2 * (2 + limits.MEMBER_NAME_MAX) + 164]),
        (
            "record",
            [
                limits.BODY_BYTES_MAX,
                limits.FIELDS_MAX,
                limits.NAME_BYTES_MAX,
                limits.SECTIONS_MAX,
                limits.READERS_MAX,
                limits.LINKS_MAX,
                limits.SECTION_BYTES_MAX,
                limits.RECORD_BYTES_MAX,
                limits.MANIFEST_BYTES_MAX,
                limits.BLOBS_MAX,
            ],
        ),
        ("bodies", [limits.SIDECAR_BYTES_MAX, BODIES_BYTES_MAX, limits.BODIES_MESSAGES_MAX, limits.SECTIONS_MAX]),
        ("receipt", [limits.RECEIPT_BYTES_MAX, FIELDS_MAX, limits.NAME_BYTES_MAX, limits.PROOF_HASHES_MAX]),
    ],
)
def test_limits_of_the_page_are_those_of_the_code(name: str, bounds: list[int]) -> None:
    section = page(name).split("## Limits", 1)[1].split("\n## ", 1)[0]
    shown = {number.replace(",", "") for number in re.findall(r"[0-9][0-9,]*", section)}
    assert {str(bound) for bound in bounds} <= shown


@pytest.mark.parametrize("name", PAGES)
def test_page_begins_with_an_example_and_ends_with_its_vectors(name: str) -> None:
    headings = re.findall(r"^## (.*)$", page(name), re.MULTILINE)
    assert headings[0] == "Example"
    assert headings[-2:] == ["Limits", "Vectors and outside checks"] or headings[-1] == "Vectors and outside checks"
    for file in re.findall(r"`(tests/[a-z_/]+\.(?:json|py))`", page(name)):
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize("name", PAGES)
def test_decisions_that_the_page_cites_are_there(name: str) -> None:
    for cited in re.findall(r"\(\.\./decisions/([a-z-]+\.md)\)", page(name)):
        decision = (ROOT / "docs" / "decisions" / cited).read_text()
        for part in ("**Question.**", "**Evidence.**", "**Choice.**", "**Given up.**", "**Look again**"):
            assert part in decision, cited
