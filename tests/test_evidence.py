"""Evidence: what convicts whom, what convicts nobody, and the one form in which it is written."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits, shape
from ledger.card import Card
from ledger.errors import (
    BadSignature,
    EncodingError,
    EvidenceKindUnknown,
    ForeignNetwork,
    ForeignOrigin,
    JsonMalformed,
    MissingSignature,
    ProofInvalid,
    TallyError,
    TooLarge,
    UnknownMember,
)
from ledger.evidence import (
    Evidence,
    EvidenceKind,
    Finding,
    decode_evidence,
    encode_evidence,
    evidence_id,
    make_contradiction,
    make_fork,
    make_repeat,
    verify_evidence,
)
from ledger.jsontext import encode_canonical
from ledger.merkle import prove_fork, prove_inclusion
from ledger.names import Digest, sha256
from ledger.network import Network
from ledger.note import Note, Signature, add_signature, decode_note, encode_note
from ledger.proof import TlogProof, decode_proof, encode_proof
from tests.make import Log, entropy, network, record_id
from tests.make_evidence import LIAR, fork, forked, proof, repeated, two_cards, two_charters
from tests.make_membership import FOUR, charter, firm, firms, signed
from tests.source import ROOT
from tests.vectors.make_evidence import build

SLOT: Final = bytes(range(16))
VECTORS: Final = json.loads((ROOT / "tests" / "vectors" / "evidence.json").read_text())


def one_of_each() -> list[Evidence]:
    return [
        forked(),
        forked(9, 9),
        repeated(id=record_id("once"))[1],
        repeated(slot=SLOT)[1],
        two_charters(),
        two_cards(),
    ]


def no_evidence(evidence: Evidence, error: type[TallyError] = ProofInvalid, known: Network | None = None) -> None:
    with pytest.raises(error):
        verify_evidence(evidence, known or network())


# --- what convicts ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(1, 1), (1, 2), (7, 7), (7, 8), (8, 9), (8, 300), (256, 257)])
def test_fork_convicts_the_log(first: int, second: int) -> None:
    for common in range(0, first, 3):
        finding = verify_evidence(forked(first, second, common=common), network())
        origin = Log(LIAR).origin
        assert finding == Finding(kind=EvidenceKind.FORK, members=(LIAR.name,), log=origin, size=first)


@pytest.mark.parametrize("name", [{"id": record_id("once")}, {"slot": SLOT}, {"id": record_id("once"), "slot": SLOT}])
def test_repeat_convicts_the_log(name: dict[str, Any]) -> None:
    log, evidence = repeated(**name)
    finding = verify_evidence(evidence, network())
    assert finding == Finding(kind=EvidenceKind.REPEAT, members=(LIAR.name,), log=log.origin, size=7)


def test_two_charters_convict_those_who_signed_both() -> None:
    finding = verify_evidence(two_charters(firms("carrier", "fishery", "processor"), firms(*FOUR[1:])), network())
    assert finding == Finding(
        kind=EvidenceKind.CHARTERS, members=(firm("fishery").name, firm("processor").name), version=2
    )


def test_two_cards_convict_their_member() -> None:
    finding = verify_evidence(two_cards(), network())
    assert finding == Finding(kind=EvidenceKind.CARDS, members=(LIAR.name,), version=2)


def test_halves_may_be_given_in_either_order() -> None:
    log = Log(LIAR).add(7)
    other = log.branch(3).add(9)
    path = prove_fork(7, 12, other.read)
    assert make_fork(other.note(), log.note(), path=path, network=network()) == fork(log, 7, other, 12)
    log, evidence = repeated(slot=SLOT)
    assert make_repeat(proof(log, 6), proof(log, 2), network=network()) == evidence


def test_cosignatures_do_not_make_other_evidence() -> None:
    log = Log(LIAR).add(7)
    other = log.branch(3).add(4)
    busy = encode_note(add_signature(decode_note(log.note()), firm("carrier").transport_key()))
    plain = make_fork(log.note(), other.note(), path=[], network=network())
    assert make_fork(busy, other.note(), path=[], network=network()) == plain


def test_evidence_needs_only_charters_and_cards() -> None:
    # A third party decodes bytes that it got from anyone.
    for evidence in one_of_each():
        raw = encode_evidence(evidence)
        assert verify_evidence(decode_evidence(raw), network()) == verify_evidence(evidence, network())


# --- what convicts nobody -----------------------------------------------------------


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 10**6), st.integers(0, 3))
def test_nobody_can_frame_an_honest_log_for_a_fork(first: int, second: int, seed: int, lie: int) -> None:
    log = Log(LIAR).add(40)
    first, second = sorted((first, second))
    tree = log if lie == 0 else log.branch(seed % 40, str(seed)).add(40 - seed % 40)
    path = prove_fork(first, second, tree.read) if first != second else []
    if lie == 2 and path:
        path[seed % len(path)] = sha256(entropy(str(seed)))
    if lie == 3:
        path = [Digest(entropy(f"{seed} {i}")) for i in range(len(path))]
    with pytest.raises((ProofInvalid, EncodingError)):
        verify_evidence(
            Evidence(kind=EvidenceKind.FORK, first=log.note(first), second=log.note(second), path=tuple(path)),
            network(),
        )


@given(st.integers(0, 19), st.integers(0, 19), st.integers(1, 20), st.integers(1, 20), st.booleans())
def test_nobody_can_frame_an_honest_log_for_a_repeat(
    first: int, second: int, first_size: int, second_size: int, moved: bool
) -> None:
    log = Log(LIAR).add(20)
    halves = []
    for index, size in ((first, first_size), (second, second_size)):
        # A proof can claim any index; the entry in it is one that the log has.
        claimed = (index + moved) % size
        path = tuple(prove_inclusion(claimed, size, log.read))
        half = TlogProof(index=claimed, path=path, note=log.note(size), extra=log.entries[index])
        halves.append(encode_proof(half))
    with pytest.raises((ProofInvalid, EncodingError)):
        verify_evidence(make_contradiction(EvidenceKind.REPEAT, *halves), network())


def test_rollback_alone_is_no_evidence() -> None:
    log = Log(LIAR).add(12)
    no_evidence(fork(log, 7, log, 12))


def test_two_notes_of_one_checkpoint_are_no_evidence() -> None:
    log = Log(LIAR).add(7)
    same = Evidence(kind=EvidenceKind.FORK, first=log.note(), second=log.note())
    no_evidence(same, EncodingError)


def test_checkpoints_of_two_logs_are_no_evidence() -> None:
    mine, theirs = Log(LIAR).add(7), Log(firm("carrier")).add(7)
    no_evidence(make_fork(mine.note(), theirs.note(), path=[], network=network()))


def test_copy_of_anothers_entry_is_no_repeat() -> None:
    victim = Log(LIAR).add(3).add_entry(slot=SLOT)
    copier = Log(firm("carrier")).add_raw(victim.entries[3]).add_entry(id=record_id("x"), slot=SLOT)
    # In the copier's log the copied header names a foreign log; with a header of its own it speaks for itself alone.
    with pytest.raises((ForeignOrigin, ProofInvalid)):
        verify_evidence(make_repeat(proof(victim, 3), proof(copier, 0), network=network()), network())
    no_evidence(make_repeat(proof(victim, 3), proof(copier, 1), network=network()))


def test_one_entry_twice_is_no_repeat() -> None:
    log = Log(LIAR).add(5)
    halves = [encode_proof(proof(log, 2, size)) for size in (4, 5)]
    evidence = Evidence(kind=EvidenceKind.REPEAT, first=halves[0], second=halves[1])
    no_evidence(evidence, EncodingError)


def test_entry_that_claims_another_place_has_no_slot_to_repeat() -> None:
    log = Log(LIAR).add(2).add_entry(slot=SLOT).add_entry(slot=SLOT, index=9)
    no_evidence(make_repeat(proof(log, 2), proof(log, 3), network=network()))


def test_malformed_entry_has_no_id_to_repeat() -> None:
    log = Log(LIAR).add(2).add_raw(b"nonsense").add_raw(b"nonsense")
    no_evidence(make_repeat(proof(log, 2), proof(log, 3), network=network()), JsonMalformed)


def test_entries_of_two_epochs_of_a_member_count_together() -> None:
    first = LIAR.card()
    epoch = replace(first.epoch, number=2, old_size=3, old_root=Log(LIAR).add(3).root())
    second = LIAR.card(epoch=epoch, previous=first)
    known = replace(network(), cards={**network().cards, LIAR.name: (first, second)})
    old, new = Log(LIAR).add_entry(slot=SLOT), Log(LIAR, epoch=2).add_entry(id=record_id("x"), slot=SLOT)
    finding = verify_evidence(make_repeat(proof(new, 0), proof(old, 0), network=known), known)
    assert (finding.log, finding.size) == (new.origin, 1)


def test_checkpoint_signed_by_a_key_that_is_not_in_force_is_no_evidence() -> None:
    first = LIAR.card()
    known = replace(network(), cards={LIAR.name: (first, LIAR.card(log=2, log_from=5, previous=first))})
    old = Log(LIAR).add(7)
    thief = old.branch(3).add(9)  # Signed by the first key, which counts below size 5.
    path = tuple(prove_fork(4, 7, thief.read))
    no_evidence(
        Evidence(kind=EvidenceKind.FORK, first=old.note(4), second=thief.note(7), path=path), MissingSignature, known
    )
    assert verify_evidence(fork(old, 4, thief, 4), known).size == 4


def test_evidence_about_strangers_and_other_networks_is_refused() -> None:
    no_evidence(forked(), UnknownMember, replace(network(), cards={}))
    no_evidence(forked(), ForeignNetwork, replace(network(), charters=(charter(firms(*FOUR, network="x.example")),)))
    no_evidence(two_cards(), ForeignNetwork, replace(network(), charters=(charter(firms(*FOUR, network="x.example")),)))
    no_evidence(two_cards(firm("stranger"), firm("stranger")), UnknownMember)


@pytest.mark.parametrize("half", ["first", "second"])
def test_changed_half_convicts_nobody(half: str) -> None:
    for evidence in one_of_each():
        raw = bytearray(getattr(evidence, half))
        # The last byte of the last signature's base64, then a letter of the text.
        for position in (len(raw) - 8, 40):
            changed = bytes(raw[:position]) + (b"B" if raw[position : position + 1] == b"A" else b"A")
            changed += bytes(raw[position + 1 :])
            spoiled = replace(evidence, first=changed) if half == "first" else replace(evidence, second=changed)
            with pytest.raises(TallyError):
                verify_evidence(spoiled, network())


def test_cards_signed_by_others_convict_nobody() -> None:
    no_evidence(two_cards(signer=firm("carrier")), MissingSignature)


def test_cards_signed_by_replaced_root_keys_convict_nobody() -> None:
    renewed = firm("fishery", generation=2)
    first = charter(firms(*FOUR))
    second = charter([renewed, *(m for m in firms(*FOUR) if m.name != "fishery")], previous=first)
    known = replace(network(), charters=(first, second))
    no_evidence(two_cards(), MissingSignature, known)
    assert verify_evidence(two_cards(renewed, renewed), known).members == ("fishery",)


def test_card_signed_again_is_no_second_card() -> None:
    card = LIAR.card()
    both = encode_note(add_signature(decode_note(LIAR.signed(card)), firm("carrier").root_keys[0]))
    no_evidence(Evidence(kind=EvidenceKind.CARDS, first=LIAR.signed(card), second=both), EncodingError)


def test_cards_of_two_versions_are_no_evidence() -> None:
    first = LIAR.card()
    notes = (LIAR.signed(first), LIAR.signed(LIAR.card(previous=first)))
    no_evidence(make_contradiction(EvidenceKind.CARDS, *notes))


def test_cards_that_follow_no_known_card_are_no_evidence() -> None:
    """Else a liar could make one piece for each of 2**53 versions, all of them news."""
    first = LIAR.card()
    ends = [LIAR.card(previous=first, endpoints=(f"https://{name}.example",)) for name in ("one", "other", "third")]
    held = replace(network(), cards={**network().cards, LIAR.name: (first, ends[0])})
    nowhere = LIAR.card(previous=ends[1])
    far = [replace(nowhere, version=version) for version in (4, 5, limits.INTEGER_MAX)]
    for document in (nowhere, *far):
        twin = replace(document, endpoints=("https://twin.example",))
        no_evidence(cards_of(document, twin), known=held)
        no_evidence(cards_of(document, twin))
    # One that follows what is known is enough: the other one was signed as well.
    assert verify_evidence(cards_of(LIAR.card(previous=ends[0]), nowhere), held).version == 3
    assert verify_evidence(cards_of(ends[1], ends[2]), held).version == 2
    assert verify_evidence(cards_of(first, LIAR.card(endpoints=())), network()).version == 1


def cards_of(*cards: Card) -> Evidence:
    return make_contradiction(EvidenceKind.CARDS, *map(LIAR.signed, cards))


def test_charters_of_two_versions_and_first_charters_are_no_evidence() -> None:
    first = charter(firms(*FOUR))
    second = charter(firms(*FOUR), previous=first, f=1)
    third = charter(firms(*FOUR), previous=second)
    known = replace(network(), charters=(first, second, third))
    notes = [signed(document, firms(*FOUR)) for document in (first, second, third)]
    with pytest.raises(TallyError):
        verify_evidence(make_contradiction(EvidenceKind.CHARTERS, notes[1], notes[2]), known)
    other = signed(charter(firms(*FOUR), f=1), firms(*FOUR))
    no_evidence(make_contradiction(EvidenceKind.CHARTERS, notes[0], other))


def test_charter_without_its_threshold_convicts_nobody() -> None:
    no_evidence(two_charters(firms(*FOUR[:3]), firms(*FOUR[:2])), MissingSignature)


def test_charters_of_two_chains_are_no_evidence() -> None:
    first = charter(firms(*FOUR))
    branch = charter(firms(*FOUR), previous=first, f=1)
    notes = (
        signed(charter(firms(*FOUR), previous=first, f=0), firms(*FOUR)),
        signed(charter(firms(*FOUR), previous=branch, f=0), firms(*FOUR)),
    )
    with pytest.raises(TallyError):
        verify_evidence(make_contradiction(EvidenceKind.CHARTERS, *notes), network())


# --- bytes --------------------------------------------------------------------------


@pytest.mark.parametrize("evidence", one_of_each(), ids=lambda e: str(e.kind))
def test_evidence_comes_back_as_it_went(evidence: Evidence) -> None:
    raw = encode_evidence(evidence)
    assert decode_evidence(raw) == evidence
    assert evidence_id(raw) == sha256(raw)


@given(st.integers(0, 5), st.integers(0, 10**6), st.integers(0, 255))
def test_decoder_takes_nothing_that_the_encoder_would_not_write(which: int, position: int, byte: int) -> None:
    raw = bytearray(encode_evidence(EACH[which]))
    raw[position % len(raw)] = byte
    try:
        evidence = decode_evidence(bytes(raw))
    except TallyError:
        return
    assert encode_evidence(evidence) == bytes(raw)


EACH: Final = one_of_each()


def changed(evidence: Evidence, **members: Any) -> bytes:
    value = json.loads(encode_evidence(evidence))
    return encode_canonical({**value, **members}) + b"\n"


@pytest.mark.parametrize(
    "members",
    [
        {"kind": "rollback"}, {"kind": 1}, {"kind": "repeat"}, {"v": 2}, {"v": True}, {"path": "AAAA"},
        {"path": ["AA"]}, {"path": [1]}, {"first": "note"}, {"first": None}, {"second": ""}, {"member": "fishery"},
    ],
)  # fmt: skip
def test_other_members_and_values_are_refused(members: dict[str, Any]) -> None:
    with pytest.raises(EncodingError):
        decode_evidence(changed(forked(), **members))


@pytest.mark.parametrize("raw", [b"", b"{}", b"{}\n", b"[]\n", b"\xff\n", b'{"v":1}\n'])
def test_what_is_no_document_is_refused(raw: bytes) -> None:
    with pytest.raises((EncodingError, JsonMalformed)):
        decode_evidence(raw)


@pytest.mark.parametrize("evidence", one_of_each(), ids=lambda e: str(e.kind))
def test_halves_have_one_order(evidence: Evidence) -> None:
    turned = replace(evidence, first=evidence.second, second=evidence.first)
    with pytest.raises(EncodingError):
        encode_evidence(turned)
    with pytest.raises(EncodingError):
        decode_evidence(changed(evidence, first=evidence.second.decode(), second=evidence.first.decode()))


def test_only_a_fork_has_a_path() -> None:
    for evidence in one_of_each()[2:]:
        with pytest.raises(EncodingError):
            encode_evidence(replace(evidence, path=(Digest(bytes(32)),)))


def test_path_has_a_limit() -> None:
    evidence = forked()
    digest = "A" * 43 + "="
    assert len(decode_evidence(changed(evidence, path=[digest] * limits.PROOF_HASHES_MAX)).path) == 64
    with pytest.raises(TooLarge):
        decode_evidence(changed(evidence, path=[digest] * (limits.PROOF_HASHES_MAX + 1)))


def test_document_has_a_limit() -> None:
    with pytest.raises(TooLarge):
        decode_evidence(b" " * limits.EVIDENCE_BYTES_MAX + b"  \n")
    with pytest.raises(EncodingError):
        decode_evidence(b" " * limits.EVIDENCE_BYTES_MAX + b"\n")


@pytest.mark.slow
def test_a_long_document_is_parsed_only_if_it_is_made_of_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was parsed")

    note = b'"' + rb"\n\"[{" * 200_000 + b'"'
    lists = b"[" + b"[]," * 400_000 + b"[]]"
    shape_of = b'{"first":%b,"kind":"fork","path":%b,"second":%b,"v":1}\n'
    with pytest.raises(TallyError) as refused:
        decode_evidence(shape_of % (note, b'["", ""]'.replace(b" ", b""), note))
    assert "strings" not in str(refused.value), "the form of a long document of strings is no fault"
    monkeypatch.setattr(shape, "decode_text", parsed)
    for first, path in ((lists, b"[]"), (note, lists), (note, b"[" + b'"",' * limits.PROOF_HASHES_MAX + b'""]')):
        with pytest.raises(EncodingError):
            decode_evidence(shape_of % (first, path, note))
    with pytest.raises(AssertionError):
        decode_evidence(shape_of % (note, b"[]", note))


def test_signatures_beside_the_logs_own_are_refused() -> None:
    evidence, key = forked(), firm("carrier").transport_key()
    busy = encode_note(add_signature(decode_note(evidence.first), key))
    with pytest.raises(EncodingError):
        encode_evidence(replace(evidence, first=busy))
    evidence = repeated(slot=SLOT)[1]
    half = decode_proof(evidence.first)
    half = replace(half, note=encode_note(add_signature(decode_note(half.note), key)))
    with pytest.raises(EncodingError):
        encode_evidence(replace(evidence, first=encode_proof(half)))


@pytest.mark.parametrize("evidence", [two_cards(), two_charters()], ids=lambda e: str(e.kind))
def test_lines_of_no_root_key_are_left_out_and_refused(evidence: Evidence) -> None:
    """Whoever passes evidence on could add a thousand lines, and make a thousand documents of one lie."""
    assert verify_evidence(evidence, network()).kind is evidence.kind
    for key in (firm("carrier").transport_key(), firm("fishery", generation=2).root_keys[0]):
        busy = encode_note(add_signature(decode_note(evidence.first), key))
        no_evidence(replace(evidence, first=busy))
        assert make_contradiction(evidence.kind, busy, evidence.second, network=network()) == evidence
    junk = Note(decode_note(evidence.second).text, (Signature("x", bytes(4), bytes(70)),))
    with pytest.raises(MissingSignature):
        make_contradiction(evidence.kind, evidence.first, encode_note(junk), network=network())


@pytest.mark.parametrize("kind", ["disclosures", "forks", "Fork", "", "x" * 10_000])
def test_unknown_kind_is_refused_by_its_own_code(kind: str) -> None:
    with pytest.raises(EvidenceKindUnknown) as caught:
        decode_evidence(changed(forked(), kind=kind))
    assert caught.value.code == "evidence-kind-unknown"
    assert len(str(caught.value)) < 200


def test_half_of_a_repeat_holds_its_entry() -> None:
    evidence = repeated(slot=SLOT)[1]
    bare = encode_proof(replace(decode_proof(evidence.first), extra=None))
    with pytest.raises(EncodingError):
        encode_evidence(replace(evidence, first=bare))


def test_longest_notes_fit() -> None:
    # Two charters of the largest kind have 1 MiB each, and JSON may double that.
    assert 2 * 2 * limits.NOTE_BYTES_MAX + 4096 < limits.EVIDENCE_BYTES_MAX


def test_checkpoint_under_the_signature_of_another_convicts_nobody() -> None:
    log = Log(LIAR).add(4)
    text = decode_note(log.note(4)).text
    forged = encode_note(Note(text, decode_note(log.note(3)).signatures))
    path = tuple(prove_fork(3, 4, log.read))
    no_evidence(Evidence(kind=EvidenceKind.FORK, first=log.note(3), second=forged, path=path), BadSignature)


# --- frozen vectors -----------------------------------------------------------------


def test_vectors_are_what_fixed_seeds_give() -> None:
    # A change here is a new version of the format, not a new file.
    assert build() == VECTORS


@pytest.mark.parametrize("item", VECTORS["proven"], ids=lambda item: item["why"])
def test_vector_proves_what_it_says(item: dict[str, Any]) -> None:
    raw = item["evidence"].encode()
    finding = verify_evidence(decode_evidence(raw), network())
    assert evidence_id(raw).hex() == item["id"]
    assert {
        "kind": finding.kind,
        "members": list(finding.members),
        "log": str(finding.log) if finding.log else None,
        "size": finding.size,
        "version": finding.version,
    } == item["finding"]


@pytest.mark.parametrize("item", VECTORS["refused"], ids=lambda item: item["why"])
def test_vector_is_refused(item: dict[str, Any]) -> None:
    with pytest.raises(TallyError) as caught:
        verify_evidence(decode_evidence(item["evidence"].encode()), network())
    assert caught.value.code == item["code"]


# --- the page of the format -----------------------------------------------------------


def page() -> str:
    return (ROOT / "docs" / "spec" / "evidence.md").read_text()


def test_example_of_the_page_is_a_vector() -> None:
    item = VECTORS["proven"][0]
    assert f"```\n{item['evidence']}```" in page()
    assert item["id"] in page()


def test_limits_of_the_page_are_those_of_the_code() -> None:
    section = page().split("## Limits", 1)[1].split("\n## ", 1)[0]
    bounds = (
        limits.EVIDENCE_BYTES_MAX,
        limits.PROOF_HASHES_MAX,
        limits.NOTE_BYTES_MAX,
        limits.PROOF_EXTRA_BYTES_MAX,
    )
    assert all(f" {bound:,} " in section for bound in bounds)


def test_page_tells_every_kind() -> None:
    assert all(f"`{kind}`" in page() for kind in EvidenceKind)
