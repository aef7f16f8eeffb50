"""A card that opens a later epoch: kept and told of, never put in force, and no way to have one's old log forgotten."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from structlog.testing import capture_logs

from ledger.card import Card, Epoch
from ledger.errors import Missing
from ledger.evidence import EvidenceKind
from ledger.names import Origin, sha256
from ledger.network import NetworkFile
from node.config import load_settings
from node.fsck import check_store
from node.membership import load_membership, make_membership
from node.node import Node
from node.services.standing import Contact, describe_peers
from node.storage import facts
from node.sync import answers
from tests.make import Log
from tests.make_folders import Founded, found, free_ports
from tests.make_membership import charter, signed
from tests.make_peers import Peer, lying, serving, wait_until

LIAR: Final = "carrier"
NAMES: Final = (LIAR, "fishery", "retailer")
OTHERS: Final = ("fishery", "retailer")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
    endpoints = {name: [f"http://127.0.0.1:{port}"] for name, port in ports.items()}
    founded = found(tmp_path_factory.mktemp("epochs"), *NAMES, endpoints=endpoints)
    for name, folder in founded.folders.items():
        with (folder / "tally.toml").open("a") as file:
            file.write(f"port = {ports[name]}\n")
    return founded


@pytest.fixture
def folders(template: Founded, tmp_path: Path) -> dict[str, Path]:
    return {name: Path(shutil.copytree(template.folders[name], tmp_path / name)) for name in OTHERS}


@pytest.fixture
def node(folders: dict[str, Path]) -> Iterator[Node]:
    """The fishery's."""
    opened = Node.open(folders["fishery"])
    yield opened
    opened.close()


def first_of(founded: Founded, name: str = LIAR) -> Card:
    return make_membership(founded.file).card(name)


def epoch_card(founded: Founded, *, text: str = "old") -> Card:
    """Card 2 of the liar, which says that its log ended with `text`."""
    epoch = Epoch(number=2, old_size=3, old_root=sha256(text.encode()))
    return founded.firms[LIAR].card(epoch=epoch, previous=first_of(founded))


def note_of(founded: Founded, card: Card) -> bytes:
    return founded.firms[LIAR].signed(card)


def error_about(node: Node, contact: Contact | None = None) -> str | None:
    contacts = {node.membership.card(LIAR).member: contact} if contact else {}
    found: str | None = next(peer for peer in describe_peers(node, lambda: contacts) if peer["member"] == LIAR)["error"]
    return found


# --- kept, told of, not in force --------------------------------------------------------------


@pytest.mark.slow
def test_card_of_a_later_epoch_is_kept_and_the_one_before_stays_in_force(node: Node, template: Founded) -> None:
    first, note = first_of(template), note_of(template, epoch_card(template))
    node.learn_cards([note])
    assert node.membership.card(LIAR) == first
    assert node.membership.origin(LIAR) == Origin(first.network, first.member)
    with node.store.read() as tx:
        assert facts.find_document(tx, kind="card", owner=LIAR, version=2) == note
        stored = load_membership(tx)
    assert stored is not None
    assert (stored.card(LIAR), stored.newer) == (first, node.membership.newer)
    assert answers.card(node, LIAR, 2) == note, "others can learn of it here"


def test_what_follows_a_card_of_a_later_epoch_is_kept_and_not_in_force_either(node: Node, template: Founded) -> None:
    second = epoch_card(template)
    third = template.firms[LIAR].card(epoch=second.epoch, endpoints=("https://x.example",), previous=second)
    node.learn_cards([note_of(template, second), note_of(template, third)])
    assert node.membership.card(LIAR) == first_of(template)
    assert (error_about(node) or "").startswith("newer version: card 3 opens epoch 2")


def test_card_that_stays_in_force_need_not_be_signed_by_newer_root_keys(node: Node, template: Founded) -> None:
    """A member that changed them has signed its newest card alone again, which is not the one in force."""
    renewed = replace(template.firms[LIAR], generation=2)
    members = [renewed, *(template.firms[name] for name in OTHERS)]
    rule = charter(members, previous=make_membership(template.file).network.charter)
    charters = (*template.file.charters, signed(rule, [*members, template.firms[LIAR]]))
    cards = (template.file.cards[0], renewed.signed(epoch_card(template)), *template.file.cards[1:])
    node.adopt(NetworkFile(charters=charters, cards=cards))
    assert node.membership.card(LIAR) == first_of(template)


def test_card_of_a_later_epoch_is_told_of_as_a_newer_version(node: Node, template: Founded) -> None:
    assert error_about(node) is None
    with capture_logs() as lines:
        node.learn_cards([note_of(template, epoch_card(template))])
    told = [line for line in lines if line["event"] == "card not in force"]
    assert [line["peer"] for line in told] == [LIAR]
    assert told[0]["reason"].startswith("newer version: card 2 opens epoch 2")
    assert error_about(node) == told[0]["reason"]
    failing = Contact(endpoint="", state="failing", error="unreachable: no")
    assert error_about(node, failing) == f"unreachable: no; {told[0]['reason']}"


def test_node_that_starts_with_a_card_of_a_later_epoch_goes_by_the_one_before(
    folders: dict[str, Path], template: Founded
) -> None:
    opened = Node.open(folders["fishery"])
    opened.learn_cards([note_of(template, epoch_card(template))])
    opened.close()
    assert check_store(folders["fishery"]).faults == []
    with capture_logs() as lines:
        again = Node.open(folders["fishery"])
    assert again.membership.card(LIAR) == first_of(template)
    assert [line["peer"] for line in lines if line["event"] == "card not in force"] == [LIAR]
    again.close()


def test_network_file_with_a_card_of_a_later_epoch_is_adopted_and_told_of(node: Node, template: Founded) -> None:
    cards = (template.file.cards[0], note_of(template, epoch_card(template)), *template.file.cards[1:])
    node.adopt(replace(template.file, cards=cards))
    assert node.membership.card(LIAR) == first_of(template)
    assert node.membership.file.cards == cards
    assert LIAR in node.membership.newer


def test_two_cards_of_a_later_epoch_are_evidence(node: Node, template: Founded) -> None:
    """Also where the version before them is not in force."""
    second = epoch_card(template)
    one, other = (
        template.firms[LIAR].card(epoch=second.epoch, endpoints=(f"https://{name}.example",), previous=second)
        for name in ("one", "other")
    )
    node.learn_cards([note_of(template, second), note_of(template, one)])
    node.learn_cards([note_of(template, other)])
    with node.store.read() as tx:
        assert [(item.kind, item.place) for item in facts.list_evidence(tx)] == [(EvidenceKind.CARDS, 3)]


# --- a card that is announced -----------------------------------------------------------------


@pytest.mark.slow
def test_card_that_is_announced_and_not_held_is_told_of(folders: dict[str, Path], template: Founded) -> None:
    """Also one that changes nothing by which a log is checked, and so would not be missed."""
    firm, first = template.firms[LIAR], first_of(template)
    second = firm.card(endpoints=(*first.endpoints, "https://new.example"), previous=first)
    log = Log(firm).add_entry(card=first.hash).add(2)
    with lying(log, load_settings(template.folders[LIAR]).port), serving(folders["fishery"]) as (fishery,):
        wait_until(lambda: fishery.holds(LIAR, 3, bodies=False), "the announcement of card 1 is held")
        assert error_about(fishery.node) is None
        log.add_entry(card=second.hash).add(255)
        wait_until(lambda: fishery.holds(LIAR, 259, bodies=False), "that of card 2 is held")
        assert error_about(fishery.node) == (
            "its log announces a card that is not held here: adopt a network file that has it"
        )
        fishery.node.learn_cards([firm.signed(second)])
        assert error_about(fishery.node) is None


# --- the log that others hold ------------------------------------------------------------------


def served(peer: Peer, log: Log) -> bytes:
    return answers.checkpoint(peer.node, log.origin.hash.hex())


@pytest.mark.slow
def test_log_that_is_held_is_served_and_compared_after_a_card_of_a_later_epoch(
    folders: dict[str, Path], template: Founded
) -> None:
    """A liar opens another log, and serves another history of the old one: its mirrors still find that out."""
    log = Log(template.firms[LIAR]).add(3)
    port = load_settings(template.folders[LIAR]).port
    with lying(log, port) as liar, serving(*folders.values()) as peers:
        for peer in peers:
            wait_until(lambda p=peer: p.holds(LIAR, 3), f"{peer.name} holds the log")  # type: ignore[misc]
            peer.node.learn_cards([note_of(template, epoch_card(template))])
            assert served(peer, log)
            with pytest.raises(Missing):
                answers.checkpoint(peer.node, Log(template.firms[LIAR], epoch=2).origin.hash.hex())
        liar.log = log.branch(1).add(5)
        for peer in peers:
            wait_until(lambda p=peer: p.log(LIAR).frozen, f"{peer.name} finds the fork")  # type: ignore[misc]
            kinds = {finding.kind for finding in peer.findings()}
            assert kinds == {EvidenceKind.FORK}
            assert served(peer, log), "what is held stays served"
