"""Our notes, proofs and tiles as Go's golang.org/x/mod/sumdb judges them."""

from __future__ import annotations

import json
import random
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.checkpoint import Checkpoint, cosign, sign_checkpoint, verified_cosigners
from ledger.errors import TallyError
from ledger.keys import Algorithm, VerifyKey, decode_vkey, make_signing_key
from ledger.merkle import (
    leaf_hash,
    prove_consistency,
    prove_fork,
    prove_inclusion,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from ledger.names import Digest, decode_origin, encode_b64
from ledger.note import Note, decode_note, encode_note, verified_signers
from ledger.proof import TlogProof, encode_path, encode_proof
from ledger.tiles import decode_tile, hash_reader
from tests.make_tree import entries, files, flip, leaves, reader

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

Case = dict[str, Any]
GoJudge = Callable[[list[Case]], list[dict[str, Any]]]

_VECTORS: Final = Path(__file__).parent.parent / "vectors" / "log"
NOTES: Final[dict[str, Any]] = json.loads((_VECTORS / "note.json").read_text())
ORIGIN: Final = decode_origin("cold-chain.example/fishery/2")
LOG: Final = make_signing_key(str(ORIGIN), seed=b"\1" * 32)
WITNESS: Final = make_signing_key("cold-chain.example/carrier", Algorithm.COSIGNATURE, seed=b"\2" * 32)
LEAVES: Final = leaves(700)
LIE: Final = leaf_hash(b"a lie")

LENIENT: Final = {
    "base64 with bits behind its end": "Go's base64 reader ignores them",
    "one line twice": "Go counts the first",
}
"""What Go takes and we do not."""


def cosigned(size: int) -> bytes:
    signed = decode_note(sign_checkpoint(Checkpoint(origin=ORIGIN, size=size, root=root_of(LEAVES[:size])), LOG))
    return encode_note(Note(signed.text, (*signed.signatures, cosign(signed.text, WITNESS, 1_763_683_200))))


def note_case(raw: bytes, *keys: VerifyKey) -> Case:
    return {"op": "note", "bytes": encode_b64(raw), "vkeys": [str(key) for key in keys]}


def inclusion_case(index: int, size: int, root: Digest, path: list[Digest]) -> Case:
    entry = encode_b64(f"entry {index}".encode())
    case = {"op": "inclusion", "index": index, "size": size, "root": encode_b64(root), "entry": entry}
    return case | {"path": encode_path(path)}


def consistency_case(old: int, new: int, roots: tuple[Digest, Digest], path: list[Digest]) -> Case:
    case: Case = {"op": "consistency", "old": old, "size": new, "path": encode_path(path)}
    return case | {"oldRoot": encode_b64(roots[0]), "root": encode_b64(roots[1])}


def errors(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["error"] for answer in answers]


def _places() -> list[tuple[int, int]]:
    """(smaller, larger) for all sizes up to 40 and some more."""
    draw = random.Random(1)
    large = [(draw.randrange(1, 700), 700) for _ in range(20)] + [(256, 512), (255, 257), (512, 700)]
    return [(small, size) for size in range(1, 41) for small in range(size)] + large


# --- notes --------------------------------------------------------------------


def test_go_opens_signed_and_cosigned_checkpoints(go_judge: GoJudge) -> None:
    sizes = [0, 1, 255, 256, 700]
    answers = go_judge([note_case(cosigned(size), LOG.public, WITNESS.public) for size in sizes])
    for size, answer in zip(sizes, answers, strict=True):
        assert answer["error"] == ""
        assert answer["text"] == decode_note(cosigned(size)).text
        assert answer["signers"] == [f"{key.public.name}+{key.public.id}" for key in (LOG, WITNESS)]


def test_go_judges_the_notes_of_the_vectors_as_we_do(go_judge: GoJudge) -> None:
    good = [note_case(each["note"].encode(), decode_vkey(each["vkey"])) for each in NOTES["good"]]
    assert errors(go_judge(good)) == [""] * len(good)
    key = decode_vkey(NOTES["good"][1]["vkey"])
    answers = go_judge([note_case(bytes.fromhex(raw), key) for _, raw in NOTES["bad"]])
    taken = {what for (what, _), answer in zip(NOTES["bad"], answers, strict=True) if not answer["error"]}
    assert taken == set(LENIENT)


def test_go_refuses_every_changed_byte_that_we_refuse(go_judge: GoJudge) -> None:
    raw = cosigned(700)
    changed = [flip(raw, i, bits) for i in range(len(raw)) for bits in (1, 4, 0x80)]
    answers = go_judge([note_case(each, LOG.public, WITNESS.public) for each in changed])
    for each, answer in zip(changed, answers, strict=True):
        ours = _signers(each)
        if _is_canonical(each):
            theirs = set() if answer["error"] else set(answer["signers"])
            assert theirs == ours, each
        else:
            assert ours == set()


def _signers(raw: bytes) -> set[str]:
    """Who signed or cosigned, as we see it; nobody if the note is refused."""
    try:
        note = decode_note(raw)
        signers = [*verified_signers(note, [LOG.public]), *verified_cosigners(note, [WITNESS.public])]
    except TallyError:
        return set()
    return {f"{key.name}+{key.id}" for key in signers}


def _is_canonical(raw: bytes) -> bool:
    """Every signature line is base64 as it would be printed again; Go is lenient there."""
    words = [line.split(b" ")[-1] for line in raw.splitlines() if line.startswith("\u2014".encode())]
    try:
        return all(encode_b64(b64decode(word)).encode() == word for word in words)
    except ValueError:
        return True


# --- proofs -------------------------------------------------------------------


def test_go_takes_our_inclusion_proofs_and_refuses_changed_ones(go_judge: GoJudge) -> None:
    good, bad = [], []
    for index, size in _places():
        root, path = root_of(LEAVES[:size]), prove_inclusion(index, size, reader(LEAVES[:size]))
        verify_inclusion(LEAVES[index], index=index, size=size, root=root, path=path)
        good.append(inclusion_case(index, size, root, path))
        bad.append(inclusion_case(index, size, LIE, path))
        bad.append(inclusion_case(index, size, root, [*path, LIE]))
        if path:
            bad.append(inclusion_case(index, size, root, path[:-1]))
            bad.append(inclusion_case(index, size, root, [Digest(flip(path[0], 5)), *path[1:]]))
    assert errors(go_judge(good)) == [""] * len(good)
    assert "" not in errors(go_judge(bad))


def test_go_takes_our_consistency_proofs_and_refuses_forked_ones(go_judge: GoJudge) -> None:
    good, bad = [], []
    for small, size in _places():
        old = small + 1  # x/mod leaves the empty tree out
        roots = (root_of(LEAVES[:old]), root_of(LEAVES[:size]))
        path = prove_consistency(old, size, reader(LEAVES[:size]))
        verify_consistency(old_size=old, old_root=roots[0], new_size=size, new_root=roots[1], path=path)
        good.append(consistency_case(old, size, roots, path))
        bad.append(consistency_case(old, size, (LIE, roots[1]), path))
        bad.append(consistency_case(old, size, (roots[0], LIE), path))
        bad.append(consistency_case(old, size, roots, [*path, LIE]))
    assert errors(go_judge(good)) == [""] * len(good)
    assert "" not in errors(go_judge(bad))


def test_a_fork_proof_without_its_first_hash_is_a_consistency_proof_to_go(go_judge: GoJudge) -> None:
    cases = []
    for old, size in _places():
        if old and old & (old - 1) == 0:
            path = prove_fork(old, size, reader(LEAVES[:size]))
            cases.append(consistency_case(old, size, (path[0], root_of(LEAVES[:size])), path[1:]))
    assert errors(go_judge(cases)) == [""] * len(cases)


def test_go_takes_the_parts_of_our_tlog_proofs(go_judge: GoJudge) -> None:
    good, bad = [], []
    for index, size in ((0, 1), (0, 2), (543, 700), (699, 700), (255, 256)):
        path = tuple(prove_inclusion(index, size, reader(LEAVES[:size])))
        raw = encode_proof(TlogProof(index=index, path=path, note=cosigned(size)))
        case = {"op": "proof", "bytes": encode_b64(raw), "vkeys": [str(LOG.public), str(WITNESS.public)]}
        good.append(case | {"entry": encode_b64(f"entry {index}".encode())})
        bad.append(case | {"entry": encode_b64(b"a lie")})
    assert errors(go_judge(good)) == [""] * len(good)
    assert "" not in errors(go_judge(bad))


# --- tiles --------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700, 65_537])
def test_go_reads_our_tiles_and_proves_from_them_what_we_prove(go_judge: GoJudge, tmp_path: Path, size: int) -> None:
    items, hashes = entries(size), leaves(size)
    stored = files(items)
    for path, raw in stored.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(raw)
    indexes = sorted({0, size // 3, size // 2, size - 1})
    case: Case = {"op": "tiles", "folder": str(tmp_path), "size": size, "indexes": indexes}
    (answer,) = go_judge([case | {"root": encode_b64(root_of(hashes))}])
    assert answer["error"] == ""
    assert [b64decode(leaf) for leaf in answer["leaves"]] == hashes
    read = hash_reader(lambda tile: decode_tile(stored[tile.path], tile.width), size)
    for index, path, tree in zip(indexes, answer["paths"], answer["trees"], strict=True):
        assert path == encode_path(prove_inclusion(index, size, read))
        assert tree == encode_path(prove_consistency(index + 1, size, read))


def test_go_refuses_a_tile_with_a_changed_byte(go_judge: GoJudge, tmp_path: Path) -> None:
    stored = files(entries(700))
    for i, name in enumerate(["tile/0/000", "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2"]):
        for path, raw in stored.items():
            target = tmp_path / str(i) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(flip(raw, len(raw) - 1) if path == name else raw)
    case: Case = {"op": "tiles", "size": 700, "indexes": [0], "root": encode_b64(root_of(LEAVES))}
    assert "" not in errors(go_judge([case | {"folder": str(tmp_path / str(i))} for i in range(4)]))
