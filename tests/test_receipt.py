"""Receipts: what they prove to someone who has nothing but a fingerprint, and what proves nothing.

Spec: docs/spec/receipt.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.card import make_card
from ledger.charter import Expulsion, fingerprint
from ledger.checkpoint import cosign
from ledger.errors import (
    EncodingError,
    FieldUnknown,
    ProofInvalid,
    TallyError,
    TooLarge,
    UntrustedNetwork,
)
from ledger.jsontext import encode_canonical
from ledger.keys import Algorithm, SigningKey
from ledger.names import Digest, MemberName, NetworkId, NetworkName, Origin, encode_b64, encode_id, sha256
from ledger.network import NetworkFile
from ledger.note import Note, decode_note, encode_note
from ledger.proof import decode_proof
from ledger.receipt import (
    Disclosure,
    Proved,
    Receipt,
    decode_receipt,
    encode_receipt,
    make_disclosures,
    verify_disclosure,
    verify_receipt,
)
from ledger.receipt.disclosure import check_names
from ledger.record import META_NAMES, OWN_NAMES
from ledger.sealing import FIELDS_MAX, seal_section
from tests import formats, make_membership
from tests.make_membership import Firm, firm, firms
from tests.make_records import INDEX, NETWORK_NAME, SIZE, Evidence
from tests.vectors.make_receipt import render

FILE: Final = Path(__file__).parent / "vectors" / "receipt.json"
VECTORS: Final[dict[str, Any]] = json.loads(FILE.read_text())
TRUST: Final = NetworkId(Digest(bytes.fromhex(VECTORS["fingerprint"])))
GOOD: Final[dict[str, Any]] = json.loads(VECTORS["receipts"][0]["receipt"])
LOG: Final = Evidence()
CARRIER, FISHERY, PROCESSOR, RETAILER = firms()


def good() -> Receipt:
    return decode_receipt(VECTORS["receipts"][0]["receipt"].encode())


def changed(change: dict[str, Any]) -> bytes:
    return encode_canonical({**GOOD, **change}) + b"\n"


def verify(raw: bytes, *, witnesses: int = 1) -> Proved:
    return verify_receipt(decode_receipt(raw), trust=TRUST, witnesses=witnesses)


def with_network(receipt: Receipt, file: NetworkFile) -> Receipt:
    return replace(receipt, network=file)


def cosigned(receipt: Receipt, *keys: SigningKey, time_s: int = 5) -> Receipt:
    """The receipt, its checkpoint cosigned by these keys and no others."""
    note = decode_note(receipt.proof.note)
    lines = tuple(cosign(note.text, key, time_s + i) for i, key in enumerate(keys))
    own = tuple(signature for signature in note.signatures if len(signature.blob) == 64)
    return replace(receipt, proof=replace(receipt.proof, note=encode_note(Note(note.text, own + lines))))


# --- vectors ----------------------------------------------------------------------------


def test_vectors_are_what_the_pages_say() -> None:
    # A change here is a new version of the format, not a new file.
    assert render() == FILE.read_text()


@pytest.mark.parametrize("item", VECTORS["receipts"], ids=lambda item: item["why"])
def test_receipt_of_a_vector(item: dict[str, Any]) -> None:
    raw = item["receipt"].encode()
    proved = verify(raw)
    assert encode_receipt(decode_receipt(raw)) == raw
    assert (proved.author, proved.network) == ("fishery", TRUST)
    assert (proved.entry.index, proved.checkpoint.size) == (item["index"], item["size"])
    assert (str(proved.entry.log), encode_id(proved.entry.id)) == (f"{NETWORK_NAME}/fishery", formats.id_text(LOG.id))
    assert {found.name: found.value.decode() for found in proved.disclosures} == item["disclosed"]
    assert proved.cosigners == item["cosigners"]
    assert proved.is_complete == bool(item["cosigners"])


@pytest.mark.slow
@pytest.mark.parametrize("item", VECTORS["refused"], ids=lambda item: item["why"])
def test_what_proves_nothing_is_refused(item: dict[str, Any]) -> None:
    with pytest.raises(TallyError) as caught:
        verify(changed(item["change"]))
    assert caught.value.code == item["code"]


@pytest.mark.parametrize("item", VECTORS["incomplete"], ids=lambda item: item["why"])
def test_cosignature_that_is_nobodys_does_not_count(item: dict[str, Any]) -> None:
    proved = verify(changed(item["change"]))
    assert proved.cosigners == {}
    assert not proved.is_complete


# --- who vouches ------------------------------------------------------------------------


def test_receipt_without_a_trusted_fingerprint_is_incomplete() -> None:
    proved = verify_receipt(good(), trust=None)
    assert not proved.is_complete
    assert "fingerprint" in proved.missing[0]


def test_receipt_of_another_network_is_refused() -> None:
    with pytest.raises(UntrustedNetwork):
        verify_receipt(good(), trust=NetworkId(sha256(b"another network")))


def test_network_of_the_same_name_with_other_keys_is_refused() -> None:
    impostor = make_membership.network_file(firms(generation=2))
    with pytest.raises(UntrustedNetwork):
        verify_receipt(with_network(good(), impostor), trust=TRUST)


def test_documents_of_another_network_do_not_make_the_keys_good() -> None:
    other = make_membership.network_file(firms(network="dry-chain.example"))
    with pytest.raises(TallyError):
        verify_receipt(with_network(good(), other), trust=None)
    mixed = NetworkFile(charters=good().network.charters, cards=other.cards)
    with pytest.raises(TallyError):
        verify_receipt(with_network(good(), mixed), trust=TRUST)


@pytest.mark.parametrize(("witnesses", "complete"), [(0, True), (1, True), (2, True), (3, False)])
def test_as_many_cosigners_as_asked(witnesses: int, complete: bool) -> None:
    proved = verify(VECTORS["receipts"][0]["receipt"].encode(), witnesses=witnesses)
    assert proved.is_complete is complete


def test_every_other_member_can_cosign_and_the_author_never_counts() -> None:
    members = (CARRIER, FISHERY, PROCESSOR, RETAILER)
    proved = verify_receipt(cosigned(good(), *(m.witness_key() for m in members)), trust=TRUST, witnesses=3)
    assert proved.cosigners == {"carrier": 5, "processor": 7, "retailer": 8}
    assert proved.is_complete


def test_second_cosignature_of_one_key_is_refused() -> None:
    note = decode_note(good().proof.note)
    line = next(s for s in note.signatures if len(s.blob) == 72)
    with pytest.raises(EncodingError, match="one key"):
        encode_note(Note(note.text, (*note.signatures, line)))
    text = good().proof.note.decode()
    twice = GOOD["proof"].replace(text, text + text.splitlines()[-1] + "\n")
    assert twice != GOOD["proof"]
    with pytest.raises(EncodingError, match="one key"):
        verify(changed({"proof": twice}))


def test_member_with_two_witness_keys_counts_once() -> None:
    second = make_membership.signing_key(f"{NETWORK_NAME}/carrier", 2, Algorithm.COSIGNATURE)
    card = make_card(
        log_key=CARRIER.log_key().public,
        witness_keys=[CARRIER.witness_key().public, second.public],
        transport_keys=[CARRIER.transport_key().public],
        sealing_key=CARRIER.sealing_key().public,
        previous=CARRIER.card(),
    )
    file = good().network
    file = replace(file, cards=(file.cards[0], CARRIER.signed(card), *file.cards[1:]))
    both = cosigned(with_network(good(), file), CARRIER.witness_key(), second)
    proved = verify_receipt(both, trust=TRUST, witnesses=2)
    assert proved.cosigners == {"carrier": 6}
    assert not proved.is_complete


def sharing(*more: SigningKey) -> tuple[Receipt, SigningKey, SigningKey]:
    """A receipt of a network whose processor lists the carrier's witness key, and `more`; that key under both names."""
    shared = CARRIER.witness_key()
    twin = SigningKey(replace(shared.public, name=f"{NETWORK_NAME}/processor"), shared.seed)
    card = make_card(
        log_key=PROCESSOR.log_key().public,
        witness_keys=[key.public for key in (twin, *more)],
        transport_keys=[PROCESSOR.transport_key().public],
        sealing_key=PROCESSOR.sealing_key().public,
    )
    cards = (CARRIER.signed(CARRIER.card()), FISHERY.signed(FISHERY.card()), PROCESSOR.signed(card))
    file = NetworkFile(charters=good().network.charters, cards=(*cards, RETAILER.signed(RETAILER.card())))
    return with_network(good(), file), shared, twin


def test_one_key_that_two_members_list_counts_once() -> None:
    # A cosignature does not cover its signer's name: anyone could relabel the carrier's as the processor's.
    receipt, shared, twin = sharing()
    proved = verify_receipt(cosigned(receipt, shared, twin), trust=TRUST, witnesses=2)
    assert len(proved.cosigners) == 1
    assert not proved.is_complete
    assert list(verify_receipt(cosigned(receipt, shared), trust=TRUST).cosigners) == ["carrier"]


def test_who_lists_anothers_key_keeps_it_from_nothing() -> None:
    own = PROCESSOR.witness_key()
    receipt, shared, twin = sharing(own)
    for keys in ((shared, own), (shared, twin, own), (twin, own, shared)):
        proved = verify_receipt(cosigned(receipt, *keys), trust=TRUST, witnesses=2)
        assert proved.is_complete
        assert set(proved.cosigners) == {"carrier", "processor"}


def test_author_that_lists_a_witnesss_key_keeps_it_from_nothing() -> None:
    copied = replace(CARRIER.witness_key().public, name=f"{NETWORK_NAME}/fishery")
    card = make_card(
        log_key=FISHERY.log_key().public,
        witness_keys=[FISHERY.witness_key().public, copied],
        transport_keys=[FISHERY.transport_key().public],
        sealing_key=FISHERY.sealing_key().public,
        previous=FISHERY.card(),
    )
    file = good().network
    file = replace(file, cards=(*file.cards[:2], FISHERY.signed(card), *file.cards[2:]))
    proved = verify_receipt(cosigned(with_network(good(), file), CARRIER.witness_key()), trust=TRUST)
    assert list(proved.cosigners) == ["carrier"]


def test_keys_that_only_cosign_or_only_sign_do_not_stand_for_each_other() -> None:
    note = decode_note(good().proof.note)
    text = note.text
    log_line = FISHERY.log_key().sign(text.encode())
    as_witness = Note(text, (*note.signatures[:1], replace(note.signatures[1], blob=bytes(8) + log_line)))
    spoiled = replace(good(), proof=replace(good().proof, note=encode_note(as_witness)))
    with pytest.raises(TallyError):
        verify_receipt(spoiled, trust=TRUST)


# --- who has left -----------------------------------------------------------------------


def after(gone: str, *items: Expulsion) -> NetworkFile:
    """The network of the vectors after a charter that no longer lists `gone`."""
    first = make_membership.charter(firms())
    rest = [m for m in firms() if m.name != gone]
    second = make_membership.charter(rest, previous=first, expelled=items)
    file = good().network
    assert fingerprint((first,)) == TRUST
    return replace(file, charters=(file.charters[0], make_membership.signed(second, rest)))


def log_of(member: str, epoch: int = 1) -> Origin:
    return Origin(NetworkName(NETWORK_NAME), MemberName(member), epoch)


@pytest.mark.parametrize(("size", "counts"), [(0, False), (INDEX, False), (INDEX + 1, True), (SIZE, True)])
def test_entry_of_a_member_that_left_counts_below_the_cut_off(size: int, counts: bool) -> None:
    receipt = with_network(good(), after("fishery", Expulsion(log=log_of("fishery"), size=size)))
    if counts:
        assert verify_receipt(receipt, trust=TRUST, witnesses=2).is_complete
        return
    with pytest.raises(ProofInvalid, match="has left"):
        verify_receipt(receipt, trust=TRUST)


def test_log_of_a_member_that_left_counts_for_nothing_where_the_charter_does_not_list_it() -> None:
    receipt = with_network(good(), after("fishery", Expulsion(log=log_of("fishery", 2), size=100)))
    with pytest.raises(ProofInvalid, match="has left"):
        verify_receipt(receipt, trust=TRUST)


def test_cosigner_that_left_does_not_count() -> None:
    receipt = with_network(good(), after("carrier", Expulsion(log=log_of("carrier"), size=100)))
    assert verify_receipt(receipt, trust=TRUST).cosigners == {"processor": 1763680101}
    alone = cosigned(receipt, CARRIER.witness_key())
    proved = verify_receipt(alone, trust=TRUST)
    assert proved.cosigners == {}
    assert not proved.is_complete


def test_charters_that_the_verifier_holds_count_whatever_the_receipt_leaves_out() -> None:
    """Who left can cosign any day, and whoever makes the receipt would put in the charter alone that lists it."""
    newer = after("carrier", Expulsion(log=log_of("carrier"), size=100))
    forged = cosigned(good(), CARRIER.witness_key(), time_s=1_893_456_000)
    known = verify_receipt(forged, trust=TRUST)
    assert (known.charter, known.is_complete) == (1, True), "nothing here tells of the newer one"
    for receipt in (forged, with_network(forged, newer)):
        proved = verify_receipt(receipt, trust=TRUST, held=newer)
        assert (proved.charter, proved.cosigners, proved.is_complete) == (2, {}, False)
    assert verify_receipt(with_network(forged, newer), trust=TRUST, held=good().network).charter == 2
    assert verify_receipt(good(), trust=TRUST, held=newer).cosigners == {"processor": 1763680101}


def test_author_that_left_by_a_charter_that_the_verifier_holds_proves_nothing_new() -> None:
    newer = after("fishery", Expulsion(log=log_of("fishery"), size=INDEX))
    with pytest.raises(ProofInvalid, match="has left"):
        verify_receipt(good(), trust=TRUST, held=newer)


def test_cards_that_the_verifier_holds_count_as_well() -> None:
    """A log key that was replaced below the size of the checkpoint signs nothing any more."""
    card = make_card(
        log_key=FISHERY.log_key(2).public,
        witness_keys=[FISHERY.witness_key().public],
        transport_keys=[FISHERY.transport_key().public],
        sealing_key=FISHERY.sealing_key().public,
        log_from=SIZE,
        previous=FISHERY.card(),
    )
    file = good().network
    held = replace(file, cards=(*file.cards[:2], FISHERY.signed(card), *file.cards[2:]))
    with pytest.raises(TallyError):
        verify_receipt(good(), trust=TRUST, held=held)


def test_two_charters_of_one_version_prove_nothing() -> None:
    shown = after("carrier", Expulsion(log=log_of("carrier"), size=100))
    held = after("carrier", Expulsion(log=log_of("carrier"), size=99))
    with pytest.raises(ProofInvalid, match="two of version 2"):
        verify_receipt(with_network(good(), shown), trust=TRUST, held=held)


def test_made_up_cosignature_of_a_member_that_left_is_refused_all_the_same() -> None:
    receipt = with_network(good(), after("carrier", Expulsion(log=log_of("carrier"), size=100)))
    note = decode_note(receipt.proof.note)
    spoiled = tuple(replace(s, blob=s.blob[:-1] + b"\0") if s.name.endswith("carrier") else s for s in note.signatures)
    with pytest.raises(TallyError):
        verify_receipt(
            replace(receipt, proof=replace(receipt.proof, note=encode_note(Note(note.text, spoiled)))), trust=TRUST
        )


# --- what is proved ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", [*META_NAMES, *OWN_NAMES, "", "price", "/price"])
def test_field_is_proved_only_where_a_reader_takes_its_name(name: str) -> None:
    """Its author commits to one field more, at the end of each section in turn: to readers that is no record."""
    for section, fields in enumerate(LOG.record):
        lying = Evidence({section: [(name, b"1")]})
        change = {"disclosures": [lying.disclose_at(section, len(fields))], "manifest": lying.manifest.decode()}
        raw = changed({**change, "proof": lying.proof("carrier")})
        if section and name == "/price":
            assert [item.value for item in verify(raw).disclosures] == [b"1"]
            continue
        with pytest.raises(ProofInvalid):
            verify(raw)


def test_entry_of_a_later_version_is_not_read() -> None:
    entry = json.loads(LOG.entries[INDEX]) | {"v": 2}
    proof = replace(good().proof, extra=encode_canonical(entry))
    with pytest.raises(ProofInvalid, match="later version"):
        verify_receipt(replace(good(), proof=proof), trust=TRUST)


def test_entry_that_stands_elsewhere_than_it_says_is_refused() -> None:
    """Its author signed a log in which entry 1 calls itself entry 0: to mirrors it is invalid, and proves no record."""
    origin, body = f"{NETWORK_NAME}/fishery", formats.sha(LOG.manifest)
    entries = [formats.header(log=origin, index=0, prev=bytes(32), record_id=LOG.id, body=body) for _ in range(2)]
    leaves = [formats.leaf_hash(entry) for entry in entries]
    text = formats.checkpoint(origin, 2, formats.tree_hash(leaves))
    note = text + "\n" + formats.Signer(origin, FISHERY.log_key().seed).line(text)
    for place, holds in ((0, True), (1, False)):
        path = formats.tree_path(place, leaves)
        proof = decode_proof(formats.tlog_proof(entries[place], place, path, note).encode())
        moved = replace(good(), proof=proof)
        if holds:
            assert verify_receipt(moved, trust=TRUST, witnesses=0).is_complete
            continue
        with pytest.raises(ProofInvalid, match="it says index 0"):
            verify_receipt(moved, trust=TRUST)


def test_malformed_entry_or_manifest_is_refused() -> None:
    for extra in (b"{}", b"x", LOG.entries[INDEX] + b"\n"):
        with pytest.raises(TallyError):
            verify_receipt(replace(good(), proof=replace(good().proof, extra=extra)), trust=TRUST)
    with pytest.raises(TallyError):
        verify_receipt(replace(good(), manifest=b"{}"), trust=TRUST)


def test_record_of_another_member_with_the_same_manifest_proves_no_field() -> None:
    """Whoever copies id and manifest into its own log can prove that entry, and disclose nothing of it."""
    origin = f"{NETWORK_NAME}/processor"
    entry = formats.header(log=origin, index=0, prev=bytes(32), record_id=LOG.id, body=formats.sha(LOG.manifest))
    text = formats.checkpoint(origin, 1, formats.leaf_hash(entry))
    note = text + "\n" + formats.Signer(origin, PROCESSOR.log_key().seed).line(text)
    copied = replace(good(), proof=decode_proof(formats.tlog_proof(entry, 0, [], note).encode()))
    with pytest.raises(ProofInvalid):
        verify_receipt(copied, trust=TRUST)
    assert verify_receipt(replace(copied, disclosures=()), trust=TRUST, witnesses=0).author == "processor"


@given(st.data())
def test_changed_receipt_proves_the_same_or_nothing(data: st.DataObject) -> None:
    raw = VECTORS["receipts"][0]["receipt"].encode()
    at = data.draw(st.integers(0, len(raw) - 2))
    spoiled = raw[:at] + data.draw(st.sampled_from([b"", b"0", b"A", b"/", b" ", b"\\n", b'"'])) + raw[at + 1 :]
    try:
        found = decode_receipt(spoiled)
    except TallyError:
        return
    assert encode_receipt(found) == spoiled
    try:
        proved = verify_receipt(found, trust=TRUST)
    except TallyError:
        return
    plain = verify_receipt(good(), trust=TRUST)
    assert (proved.leaf, proved.disclosures, proved.manifest) == (plain.leaf, plain.disclosures, plain.manifest)
    assert set(proved.cosigners.items()) <= set(plain.cosigners.items())


# --- disclosures ------------------------------------------------------------------------

section_fields = st.lists(
    st.tuples(st.text(max_size=6).map(lambda t: "/" + t), st.sampled_from([b"1", b"26.0", b'"x"', b"[ ]", b"null"])),
    min_size=1,
    max_size=20,
    unique_by=lambda field: field[0],
)
CTX: Final = sha256(b"a context")
SEED: Final = sha256(b"a seed")


def disclosed(fields: Sequence[tuple[str, bytes]], *names: str) -> list[Disclosure]:
    return make_disclosures(fields, names, section=1, seed=SEED, context=CTX)


@given(section_fields, st.data())
def test_any_field_is_disclosed_alone_and_as_the_page_says(
    fields: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(fields) - 1))
    _, root = seal_section(fields, seed=SEED, context=CTX)
    (found,) = disclosed(fields, fields[index][0])
    verify_disclosure(found, root=root, context=CTX)
    item = formats.disclosure(fields, index, section=1, seed=SEED, ctx=CTX)
    assert (found.index, found.size, found.name, found.value) == (index, len(fields), *fields[index])
    assert (encode_b64(found.salt), [encode_b64(digest) for digest in found.path]) == (item["salt"], item["path"])
    leaf = formats.field_leaf(CTX, index, found.salt, (found.name, found.value))
    assert formats.root_by_path(leaf, index, len(fields), found.path) == root
    for change in (
        {"value": b"2"},
        {"name": found.name + "x"},
        {"salt": bytes(16)},
        {"index": index + 1},
        {"index": index - 1},
        {"path": (*found.path, Digest(bytes(32)))},
        {"path": (Digest(bytes(31)), *found.path)},
    ):
        with pytest.raises((ProofInvalid, EncodingError)):
            verify_disclosure(replace(found, **change), root=root, context=CTX)
    for place in ({"root": sha256(b"other"), "context": CTX}, {"root": root, "context": sha256(b"other")}):
        with pytest.raises(ProofInvalid):
            verify_disclosure(found, **place)


def test_disclosure_says_nothing_of_other_fields_but_their_count() -> None:
    fields = [(f"/{i}", b'"guess me"') for i in range(9)]
    (found,) = disclosed(fields, "/4")
    others = [(f"/{i}", b'"another"' if i != 4 else b'"guess me"') for i in range(9)]
    (alike,) = disclosed(others, "/4")
    assert (found.salt, found.size, found.index) == (alike.salt, alike.size, alike.index)
    # Without the salt of a field its leaf cannot be guessed, although its value can.
    guesses = {formats.field_leaf(CTX, 5, salt, ("/5", b'"guess me"')) for salt in (bytes(16), found.salt)}
    assert not guesses & set(found.path)


def test_size_gives_a_path_its_shape_and_is_not_proved() -> None:
    # The root of a tree does not commit to its size: field 0 of 3 has a path like that of field 0 of 4.
    fields = [("/a", b"1"), ("/b", b"2"), ("/c", b"3")]
    _, root = seal_section(fields, seed=SEED, context=CTX)
    (found,) = disclosed(fields, "/a")
    verify_disclosure(replace(found, size=4), root=root, context=CTX)
    for size in (1, 2, 5, 8):
        with pytest.raises(ProofInvalid):
            verify_disclosure(replace(found, size=size), root=root, context=CTX)


def test_inner_node_passes_for_no_field() -> None:
    fields = [("/a", b"1"), ("/b", b"2")]
    _, root = seal_section(fields, seed=SEED, context=CTX)
    (found,) = disclosed(fields, "/a")
    with pytest.raises(ProofInvalid):
        verify_disclosure(replace(found, size=1, path=()), root=root, context=CTX)


def test_value_that_is_not_one_json_value_is_refused_although_its_author_committed_to_it() -> None:
    for text in (b'1,"b":2', b"", b"NaN", b'{"a":1,"a":2}', b"[" * 40 + b"]" * 40):
        _, root = seal_section([("/a", text)], seed=SEED, context=CTX)
        (found,) = disclosed([("/a", text)], "/a")
        with pytest.raises(TallyError):
            verify_disclosure(found, root=root, context=CTX)


@pytest.mark.slow
def test_index_size_and_name_end_at_their_limits() -> None:
    fields = [(f"/{i}", b"1") for i in range(FIELDS_MAX)]
    _, root = seal_section(fields, seed=SEED, context=CTX)
    (found,) = disclosed(fields, f"/{FIELDS_MAX - 1}")
    verify_disclosure(found, root=root, context=CTX)
    far: list[dict[str, Any]] = [
        {"size": FIELDS_MAX + 1}, {"index": FIELDS_MAX}, {"index": -1}, {"index": 2**53, "size": 2**53 + 1}
    ]  # fmt: skip
    for change in far:
        with pytest.raises(ProofInvalid):
            verify_disclosure(replace(found, **change), root=root, context=CTX)
    name = "/" + "n" * (limits.NAME_BYTES_MAX - 1)
    _, root = seal_section([(name, b"1")], seed=SEED, context=CTX)
    (longest,) = disclosed([(name, b"1")], name)
    verify_disclosure(longest, root=root, context=CTX)
    for more in ("n", "n" * 70_000):
        with pytest.raises(EncodingError):
            verify_disclosure(replace(longest, name=name + more), root=root, context=CTX)


def test_names_that_were_not_found_are_told() -> None:
    found = disclosed([("/a", b"1"), ("/b", b"2")], "/a", "/c")
    check_names(["/a"], found)
    with pytest.raises(FieldUnknown) as caught:
        check_names(["/a", "/c"], found)
    assert caught.value.fields["name"] == "/c"


# --- bytes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoiled",
    [
        b"",
        b"{}\n",
        b"[]\n",
        changed({})[:-1],
        changed({}) + b"\n",
        b" " + changed({}),
        changed({"v": 2}),
        changed({"v": True}),
        changed({"more": 1}),
        changed({"cards": "x"}),
        changed({"cards": [1]}),
        changed({"charters": {}}),
        changed({"manifest": 1}),
        changed({"proof": None}),
        changed({"disclosures": {}}),
        changed({"disclosures": [[]]}),
        changed({"disclosures": [{**GOOD["disclosures"][0], "more": 1}]}),
        changed({"disclosures": [{k: v for k, v in GOOD["disclosures"][0].items() if k != "size"}]}),
        changed({"disclosures": [{**GOOD["disclosures"][0], "index": "0"}]}),
        changed({"disclosures": [{**GOOD["disclosures"][0], "index": True}]}),
        changed({"disclosures": [{**GOOD["disclosures"][0], "value": 1}]}),
        changed({"disclosures": [{**GOOD["disclosures"][0], "path": ["x"]}]}),
        changed({"disclosures": [{**GOOD["disclosures"][0], "path": [encode_b64(bytes(32))] * 65}]}),
        changed({"disclosures": [{**GOOD["disclosures"][0], "salt": "x"}]}),
        b"\xff" + changed({}),
        changed({}).replace(b'"index":0', b'"index":-1', 1),
        changed({}).replace(b'"index":0', b'"index":0.5', 1),
    ],
    ids=range(27),
)
def test_document_that_no_writer_makes_is_refused(spoiled: bytes) -> None:
    with pytest.raises(TallyError):
        decode_receipt(spoiled)


@pytest.mark.slow
def test_number_of_disclosures_ends_at_the_limit() -> None:
    item = GOOD["disclosures"][0]
    assert len(decode_receipt(changed({"disclosures": [item] * FIELDS_MAX})).disclosures) == FIELDS_MAX
    with pytest.raises(TooLarge):
        decode_receipt(changed({"disclosures": [item] * (FIELDS_MAX + 1)}))


@pytest.mark.slow
def test_length_ends_at_the_limit() -> None:
    room = limits.RECEIPT_BYTES_MAX - len(changed({"manifest": ""}))
    raw = changed({"manifest": "m" * room})
    assert encode_receipt(decode_receipt(raw)) == raw
    with pytest.raises(TooLarge):
        decode_receipt(changed({"manifest": "m" * (room + 1)}))
    with pytest.raises(TooLarge):
        encode_receipt(replace(good(), manifest=b"m" * (room + 1)))


def test_all_that_readers_take_of_a_record_can_be_disclosed() -> None:
    raw = LOG.receipt("type", "version", "contract", "role", "audience", "links", "/price", "/quantity", "/deliver_to",
                      "by", "flags", "/note").encode()  # fmt: skip
    assert len(verify(raw).disclosures) == 12


def test_fields_that_no_reader_takes_together_are_proved_one_by_one_alone() -> None:
    log = Evidence({2: [("/price/amount", b'"9.99"'), ("/price/unit", b'"kg"')]})
    whole: dict[str, Any] = {"manifest": log.manifest.decode(), "proof": log.proof("carrier", "processor")}

    def proved(*names: str) -> list[str]:
        raw = changed({**whole, "disclosures": [log.disclose(name) for name in names]})
        return [item.name for item in verify(raw).disclosures]

    for taken in (["/price"], ["/price/amount"], ["/price", "/price/unit"], ["/note"], ["/note/x"]):
        assert proved(*taken) == taken
    for untaken in (["/price", "/price/amount"], ["/price/amount", "/price"], ["/note", "/note/x"]):
        with pytest.raises(ProofInvalid, match="no reader would take together"):
            proved(*untaken)


def test_values_of_section_0_are_those_that_readers_take() -> None:
    for name, text in [*LOG.record[0], ("contract", b"null"), ("role", b"null"), ("links", b"[]"), ("version", b"2")]:
        log = Evidence(first=[(field, text if field == name else value) for field, value in LOG.record[0]])
        change = {"disclosures": [log.disclose(name)], "manifest": log.manifest.decode(), "proof": log.proof("carrier")}
        assert [item.value for item in verify(changed(change)).disclosures] == [text]


def test_firms_of_the_vectors_are_those_of_the_builders() -> None:
    # The vectors were written without these builders; tests above sign with their keys.
    file = make_membership.network_file(firms())
    assert {note.decode() for note in (*file.charters, *file.cards)} == {*GOOD["charters"], *GOOD["cards"]}
    assert isinstance(firm("fishery"), Firm)
