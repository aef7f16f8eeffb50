"""Two cards or charters of one version: found where they meet, kept, passed on; and how much of evidence is kept."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Final

import httpx
import pytest

from ledger import limits
from ledger.card import Card
from ledger.errors import BadSignature, EvidenceKindUnknown, MissingSignature, TallyError
from ledger.evidence import (
    Evidence,
    EvidenceKind,
    Finding,
    decode_evidence,
    encode_evidence,
    evidence_id,
    make_fork,
    make_repeat,
    verify_evidence,
)
from ledger.keys import SigningKey
from ledger.merkle import prove_fork
from ledger.names import MemberName
from ledger.network import NetworkFile, decode_network_file, encode_network_file
from ledger.note import Note, Signature, add_signature, decode_note, encode_note
from node.clock import system_clock
from node.config import load_settings
from node.membership import contradictions, load_membership, make_membership
from node.node import CharterConflict, Node
from node.storage import facts
from node.sync.client import PeerClient, PeerRefused, make_http_client
from node.sync.evidence import Sent, pass_on, take_evidence
from node.sync.signing import CallSigner
from tests.make import Log, record_id
from tests.make_evidence import proof
from tests.make_folders import Founded, found, free_ports
from tests.make_membership import Firm, charter, signed
from tests.make_peers import lying, serving, wait_until

LIAR: Final = "carrier"
NAMES: Final = ("carrier", "fishery", "retailer")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
    endpoints = {name: [f"http://127.0.0.1:{port}"] for name, port in ports.items()}
    founded = found(tmp_path_factory.mktemp("contradictions"), *NAMES, endpoints=endpoints)
    for name, folder in founded.folders.items():
        with (folder / "tally.toml").open("a") as file:
            file.write(f"port = {ports[name]}\n")
    return founded


@pytest.fixture
def node(template: Founded, tmp_path: Path) -> Iterator[Node]:
    """The fishery's."""
    shutil.copytree(template.folders["fishery"], tmp_path / "fishery")
    opened = Node.open(tmp_path / "fishery")
    yield opened
    opened.close()


def kept(node: Node) -> list[facts.StoredEvidence]:
    with node.store.read() as tx:
        return facts.list_evidence(tx)


def findings(node: Node, founded: Founded) -> list[Finding]:
    """What the node's evidence convinces somebody of who has the founding documents and nothing else."""
    third_party = make_membership(decode_network_file(encode_network_file(founded.file))).network
    return [verify_evidence(decode_evidence(item.document), third_party) for item in kept(node)]


@dataclass(frozen=True)
class Author:
    """A member that draws up cards after its first one, as many as it likes."""

    firm: Firm
    first: Card

    @property
    def name(self) -> MemberName:
        return self.firm.name

    def second(self, name: str, *, log: int = 1) -> Card:
        """A second card; a log key of another number counts from size 4."""
        ends = (*self.first.endpoints, f"https://{name}.example")
        return self.firm.card(log=log, log_from=0 if log == 1 else 4, endpoints=ends, previous=self.first)

    def signed(self, name: str, *, log: int = 1) -> bytes:
        return self.firm.signed(self.second(name, log=log))


def author(founded: Founded, name: str) -> Author:
    return Author(founded.firms[name], make_membership(founded.file).card(name))


@pytest.fixture
def liar(template: Founded) -> Author:
    return author(template, LIAR)


@pytest.fixture
def honest(template: Founded) -> Author:
    return author(template, "retailer")


# --- two cards ------------------------------------------------------------------------------


@pytest.mark.slow
def test_second_card_of_a_version_that_is_held_is_kept_as_evidence(node: Node, template: Founded, liar: Author) -> None:
    node.learn_cards([liar.signed("one")])
    assert kept(node) == []
    node.learn_cards([liar.signed("other")])
    assert findings(node, template) == [Finding(kind=EvidenceKind.CARDS, members=(liar.name,), version=2)]
    assert node.membership.card(LIAR) == liar.second("one"), "it goes on with what it had"
    node.learn_cards([liar.signed("third"), liar.signed("other")])
    assert len(kept(node)) == 1


def test_same_card_with_other_signatures_is_no_second_one(node: Node, template: Founded, liar: Author) -> None:
    note = liar.signed("one")
    node.learn_cards([note])
    node.learn_cards([encode_note(add_signature(decode_note(note), template.firms["retailer"].root_keys[0])), note])
    assert kept(node) == []


def test_card_that_its_member_did_not_sign_convicts_nobody(node: Node, liar: Author, honest: Author) -> None:
    node.learn_cards([liar.signed("one")])
    with pytest.raises(MissingSignature):
        node.learn_cards([honest.firm.signed(liar.second("other"))])
    assert kept(node) == []


def test_what_follows_the_other_card_is_not_taken_and_what_follows_ours_is(
    node: Node, template: Founded, liar: Author
) -> None:
    ours, theirs = liar.second("one"), liar.second("other")
    node.learn_cards([liar.signed("one")])
    follows = liar.firm.card(endpoints=("https://x.example",), previous=theirs)
    node.learn_cards([liar.signed("other"), liar.firm.signed(follows)])
    assert node.membership.card(LIAR) == ours
    third = liar.firm.card(endpoints=("https://y.example",), previous=ours)
    node.learn_cards([liar.signed("other"), liar.firm.signed(third)])
    assert node.membership.card(LIAR) == third
    assert [finding.version for finding in findings(node, template)] == [2]


def test_cards_of_others_are_learnt_beside_a_contradiction(node: Node, liar: Author, honest: Author) -> None:
    node.learn_cards([liar.signed("one")])
    node.learn_cards([liar.signed("other"), honest.signed("new")])
    assert node.membership.card("retailer").version == 2


def test_network_file_with_another_card_is_evidence_and_the_rest_of_it_counts(
    node: Node, template: Founded, liar: Author, honest: Author
) -> None:
    node.learn_cards([liar.signed("one")])
    cards = sorted(
        (*template.file.cards, liar.signed("other"), honest.signed("new")),
        key=lambda note: note.split(b'"member":')[1],
    )
    node.adopt(replace(template.file, cards=tuple(cards)))
    assert [finding.members for finding in findings(node, template)] == [(liar.name,)]
    assert node.membership.card(LIAR) == liar.second("one")
    assert node.membership.card("retailer") == honest.second("new")
    with node.store.read() as tx:
        stored = load_membership(tx)
    assert stored is not None
    assert stored.file == node.membership.file


@pytest.mark.slow
def test_long_line_under_a_replaced_root_key_is_refused(node: Node, template: Founded, liar: Author) -> None:
    """That key is known to all, and looked up no more when a card is verified: its line could be of any length."""
    one = make_membership(template.file).network.charter
    renewed = replace(liar.firm, generation=2)
    members = [renewed, *(template.firms[name] for name in NAMES[1:])]
    two = signed(charter(members, previous=one), [*members, liar.firm])
    cards = (renewed.signed(liar.first), *template.file.cards[1:])
    node.adopt(NetworkFile(charters=(*template.file.charters, two), cards=cards))
    note = decode_note(renewed.signed(liar.second("new")))
    old = liar.firm.root_keys[0].public
    stranger = Signature("x", bytes(4), bytes(500_000))
    long = Signature(old.name, old.hash, bytes(500_000))
    with pytest.raises(BadSignature):
        node.learn_cards([encode_note(Note(note.text, (*note.signatures, long)))])
    node.learn_cards([encode_note(Note(note.text, (*note.signatures, stranger)))])
    assert node.membership.card(LIAR) == liar.second("new")
    assert all(len(note) < 5000 for note in node.membership.file.cards), "the line of a stranger is left out"


def test_padded_network_file_is_kept_without_its_padding(node: Node, template: Founded) -> None:
    def pad(note: bytes) -> bytes:
        opened = decode_note(note)
        return encode_note(Note(opened.text, (*opened.signatures, Signature("x", bytes(4), bytes(100_000)))))

    file = template.file
    node.adopt(NetworkFile(charters=tuple(map(pad, file.charters)), cards=tuple(map(pad, file.cards))))
    assert node.membership.file == file


# --- two charters ---------------------------------------------------------------------------


def charters(founded: Founded, *f_and_signers: tuple[int, Sequence[str]]) -> list[NetworkFile]:
    """Files with second charters that differ in f, each signed by those named."""
    one = make_membership(founded.file).network.charter
    members = [founded.firms[name] for name in NAMES]
    return [
        replace(
            founded.file,
            charters=(
                *founded.file.charters,
                signed(charter(members, f=0, previous=one, threshold=2 + f), [founded.firms[n] for n in names]),
            ),
        )
        for f, names in f_and_signers
    ]


def test_second_charter_of_a_version_that_is_held_is_kept_as_evidence(node: Node, template: Founded) -> None:
    ours, theirs = charters(template, (0, ("carrier", "fishery")), (1, NAMES))
    node.adopt(ours)
    held = node.membership
    with pytest.raises(CharterConflict):
        node.adopt(theirs)
    guilty = (MemberName("carrier"), MemberName("fishery"))
    assert findings(node, template) == [Finding(kind=EvidenceKind.CHARTERS, members=guilty, version=2)]
    assert node.membership is held, "it goes on with what it had"
    with node.store.read() as tx:
        rows = facts.list_evidence_rows(tx)
    assert {row.member for row in rows} == set(guilty), "each is convicted by itself"
    assert [item.member for item in kept(node)] == ["carrier, fishery"]


@pytest.mark.slow
def test_older_file_and_file_of_another_network_are_no_evidence(node: Node, template: Founded, tmp_path: Path) -> None:
    (ours,) = charters(template, (0, ("carrier", "fishery")))
    node.adopt(ours)
    other = found(tmp_path / "other", "carrier", "fishery")
    for file in (template.file, other.file):
        with pytest.raises(CharterConflict):
            node.adopt(file)
    assert contradictions(node.membership, other.file) == []
    assert kept(node) == []


# --- real nodes -----------------------------------------------------------------------------


@pytest.mark.slow
def test_member_that_shows_two_cards_is_convicted_everywhere(template: Founded, tmp_path: Path, liar: Author) -> None:
    """It gave one card to the fishery and another to the retailer, and signs with the key of the second."""
    folders = []
    for name in ("fishery", "retailer"):
        shutil.copytree(template.folders[name], tmp_path / name)
        folders.append(tmp_path / name)
    shown, hidden = liar.second("one"), liar.second("other", log=2)
    log = Log(liar.firm).add(3)
    with lying(log, load_settings(template.folders[LIAR]).port) as server, serving(*folders) as peers:
        fishery, retailer = peers
        for peer in peers:
            wait_until(lambda p=peer: p.holds(LIAR, 3), "the log as it was", 60)  # type: ignore[misc]
        fishery.node.learn_cards([liar.signed("one")])
        retailer.node.learn_cards([liar.signed("other", log=2)])
        server.lies["/v1/cards/carrier/2"] = (200, liar.signed("other", log=2))
        log.key = liar.firm.log_key(2)
        log.add(2)
        for peer in peers:
            wait_until(lambda p=peer: kept(p.node), f"{peer.name} is told", 60)  # type: ignore[misc]
        wait_until(lambda: server.evidence, "so is the accused", 60)
        for peer, card in ((fishery, shown), (retailer, hidden)):
            expected = Finding(kind=EvidenceKind.CARDS, members=(liar.name,), version=2)
            assert findings(peer.node, template) == [expected]
            assert peer.node.membership.card(LIAR) == card


# --- how much is kept, and passed on ----------------------------------------------------------


def forks(node: Node, liar: Author) -> list[Evidence]:
    """Contradictions of one log, at other sizes and of other histories."""
    log, network = Log(liar.firm).add(9), node.membership.network
    made = []
    for number, size in enumerate((9, 3, 3, 5, 7, 4)):
        other = log.branch(1, f"history {number}").add(8)
        path = prove_fork(size, other.size, other.read) if size != other.size else []
        made.append(make_fork(log.note(size), other.note(), path=path, network=network))
    return made


@pytest.mark.slow
def test_one_piece_is_kept_of_a_kind_member_and_log_whatever_came_first(
    template: Founded, tmp_path: Path, liar: Author
) -> None:
    shutil.copytree(template.folders["fishery"], tmp_path / "any")
    ends = set()
    for order in list(permutations(range(6)))[::97]:
        node = Node.open(tmp_path / "any")
        made = forks(node, liar)
        for i in order:
            take_evidence(node, encode_evidence(made[i]))
        (only,) = kept(node)
        ends.add(only.document)
        assert only.place == 3
        with node.store.write("evidence") as tx:
            tx.exec_driver_sql("DELETE FROM evidence")
        node.close()
    assert len(ends) == 1


def test_evidence_that_says_less_is_no_news_and_still_acts(node: Node, liar: Author) -> None:
    log = Log(liar.firm).add(1).add_entry(id=record_id("a")).add_entry(id=record_id("a")).add(2)
    log.add_entry(id=record_id("b")).add_entry(id=record_id("b"))
    network = node.membership.network
    early, late = (make_repeat(proof(log, i), proof(log, i + 1), network=network) for i in (1, 5))
    assert take_evidence(node, encode_evidence(late))
    assert take_evidence(node, encode_evidence(early))
    assert not take_evidence(node, encode_evidence(late))
    assert [item.place for item in kept(node)] == [3]
    with node.store.read() as tx:
        assert node.find_log(tx, LIAR).no_cosign_from == 3


@pytest.mark.slow
def test_liar_cannot_fill_the_store(node: Node, liar: Author) -> None:
    """Of everything that one member can be caught at there is one piece, however often it is caught."""
    network = node.membership.network
    log = Log(liar.firm).add(40)
    for size in range(30, 2, -1):
        other = log.branch(1, f"history {size}").add(size - 1)
        take_evidence(node, encode_evidence(make_fork(log.note(size), other.note(), path=[], network=network)))
    repeating = Log(liar.firm, "repeating").add(1)
    for number in range(8):
        repeating.add_entry(id=record_id(f"n {number}")).add_entry(id=record_id(f"n {number}"))
    for i in range(1, 17, 2):
        evidence = make_repeat(proof(repeating, i), proof(repeating, i + 1), network=network)
        take_evidence(node, encode_evidence(evidence))
    node.learn_cards([liar.signed("end-0")])
    for number in range(1, 20):
        node.learn_cards([liar.signed(f"end-{number}")])
    assert sorted(item.kind for item in kept(node)) == ["cards", "fork", "repeat"]


def test_piece_that_no_longer_convinces_makes_place_for_one_that_does(node: Node, liar: Author) -> None:
    """A card that counts a new key from below the fork, against the rule, takes the key from the proof."""
    network = node.membership.network
    log = Log(liar.firm).add(9)
    other = log.branch(1).add(8)
    take_evidence(node, encode_evidence(make_fork(log.note(5), other.note(5), path=[], network=network)))
    node.learn_cards([liar.signed("new", log=2)])
    with pytest.raises(TallyError):
        verify_evidence(decode_evidence(kept(node)[0].document), node.membership.network)
    log.key = other.key = liar.firm.log_key(2)
    again = make_fork(log.note(8), other.note(8), path=[], network=node.membership.network)
    assert take_evidence(node, encode_evidence(again))
    assert [item.id for item in kept(node)] == [evidence_id(encode_evidence(again))]


class Listener:
    """A peer that notes what it is told; `refuses`: kinds that it does not take."""

    def __init__(self, node: Node, key: SigningKey) -> None:
        self.told: list[bytes] = []
        self.refuses: set[bytes] = set()
        self.http = make_http_client(node.settings, transport=httpx.MockTransport(self._take))
        signer = CallSigner(node.member, key, system_clock)
        self.client = PeerClient(
            MemberName("retailer"), "https://retailer.example", http=self.http, signer=signer, timeout_s=60
        )

    def _take(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        if any(b'"kind":"' + kind in body for kind in self.refuses):
            return httpx.Response(422, stream=httpx.ByteStream(b'{"detail":"no"}'))
        self.told.append(body)
        return httpx.Response(204)

    def tell(self, node: Node, sent: Sent) -> None:
        asyncio.run(pass_on(node, self.client, sent))


@pytest.mark.slow
def test_peer_is_told_so_often_of_one_log_and_no_more(node: Node, template: Founded, liar: Author) -> None:
    log, network = Log(liar.firm).add(40), node.membership.network
    listener, sent = Listener(node, template.firms["fishery"].transport_key()), Sent()
    for size in range(30, 2, -1):
        other = log.branch(1, f"history {size}").add(size - 1)
        take_evidence(node, encode_evidence(make_fork(log.note(size), other.note(), path=[], network=network)))
        listener.tell(node, sent)
        listener.tell(node, sent)
    assert len(listener.told) == limits.EVIDENCE_PASSED_MAX
    assert len(set(listener.told)) == len(listener.told)
    assert len(sent.ids) == limits.EVIDENCE_PASSED_MAX


def test_piece_that_a_peer_refuses_does_not_hold_up_the_others(node: Node, template: Founded, liar: Author) -> None:
    take_evidence(node, encode_evidence(forks(node, liar)[0]))
    node.learn_cards([liar.signed("one")])
    node.learn_cards([liar.signed("other")])
    listener, sent = Listener(node, template.firms["fishery"].transport_key()), Sent()
    listener.refuses = {b"fork"}
    for _ in range(2):
        with pytest.raises(PeerRefused):
            listener.tell(node, sent)
    assert len(listener.told) == 1
    listener.refuses = set()
    listener.tell(node, sent)
    assert len(listener.told) == 2


def test_unknown_kind_is_not_kept(node: Node, liar: Author) -> None:
    document = encode_evidence(forks(node, liar)[0])
    with pytest.raises(EvidenceKindUnknown):
        take_evidence(node, document.replace(b'"kind":"fork"', b'"kind":"fair"'))
    assert kept(node) == []
