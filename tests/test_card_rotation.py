"""A card that changes any key reaches the peers by itself: the log announces it, and they fetch it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.card import Card, make_card
from ledger.errors import Missing
from ledger.names import Digest, sha256
from node.keyring import Keyring, save_keyring
from node.node import Node
from node.storage import replicas
from node.sync import turn
from node.sync.turn import Turns
from tests.make_folders import Founded, found, free_ports, ring_of
from tests.make_peers import serving, wait_until

NAMES: Final = ("carrier", "fishery", "retailer")


@pytest.fixture
def founded(tmp_path: Path) -> Founded:
    ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
    endpoints = {name: [f"http://127.0.0.1:{port}"] for name, port in ports.items()}
    made = found(tmp_path, *NAMES, endpoints=endpoints)
    for name, folder in made.folders.items():
        with (folder / "tally.toml").open("a") as file:
            file.write(f"port = {ports[name]}\n")
    return made


def second(previous: Card, **given: Any) -> Card:
    """The card after `previous`: as that one, save for what is given."""
    known: dict[str, Any] = {
        "log_key": previous.log_key,
        "witness_keys": previous.witness_keys,
        "transport_keys": previous.transport_keys,
        "sealing_key": previous.sealing_key,
        "endpoints": previous.endpoints,
    }
    return make_card(**{**known, **given}, previous=previous)


def save_keyring_anew(folder: Path, ring: Keyring) -> None:
    shutil.rmtree(folder / "keys")
    save_keyring(folder, ring, None)


@pytest.mark.slow
def test_card_that_changes_the_transport_key_alone_reaches_the_peers(founded: Founded) -> None:
    firm = founded.firms["fishery"]
    with serving(*founded.folders.values()) as (carrier, fishery, retailer):
        others = (carrier, retailer)
        wait_until(lambda: all(peer.is_ready for peer in (fishery, *others)), "all may write")
        new = second(fishery.node.membership.card("fishery"), transport_keys=[firm.transport_key(2).public])
        wait_until(lambda: all(peer.holds("fishery", 1) for peer in others), "what was before is held")
        fishery.node.learn_cards([firm.signed(new)])
        fishery.ship(1)
        wait_until(lambda: all(p.node.membership.card("fishery") == new for p in others), "the card is there")
    save_keyring_anew(founded.folders["fishery"], replace(ring_of(firm), transport=firm.transport_key(2)))
    with serving(*founded.folders.values()) as (carrier, fishery, _):
        # Each call of its is signed by the new key now.
        wait_until(lambda: fishery.is_ready, "it is answered")
        place = fishery.ship(2)
        wait_until(lambda: carrier.holds("fishery", place.index + 1), "it goes on")


# --- how often is asked -------------------------------------------------------------------


class Shelf:
    """A peer that has no newer card than the first; keeps which others it was asked for."""

    peer = "retailer"

    def __init__(self, note: bytes) -> None:
        self._note = note
        self.asked: list[int] = []

    async def card(self, _member: str, version: int) -> bytes:
        if version == 1:
            return self._note
        self.asked.append(version)
        raise Missing(what="card", name=str(version))


@pytest.fixture
def node(founded: Founded) -> Iterator[Node]:
    """The carrier's."""
    opened = Node.open(founded.folders["carrier"])
    yield opened
    opened.close()


def announce(node: Node, digest: Digest) -> None:
    with node.store.write("sync-entries") as tx:
        replicas.keep_announced(tx, node.membership.origin("fishery"), digest)


@pytest.mark.slow
def test_peer_is_asked_once_in_a_while_for_a_card_that_it_does_not_have(
    founded: Founded, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf: Any = Shelf(founded.file.cards[1])
    turns, origin = Turns(node), node.membership.origin("fishery")

    async def look(times: int) -> None:
        for _ in range(times):
            await turns._renew_cards(shelf, origin)

    async def story() -> None:
        await look(3)
        assert shelf.asked == [], "no card was announced"
        announce(node, node.membership.card("fishery").hash)
        await look(3)
        assert shelf.asked == [], "the one held was"
        announce(node, sha256(b"unknown"))
        await look(3)
        assert shelf.asked == [2]
        announce(node, sha256(b"another"))
        await look(3)
        assert shelf.asked == [2, 2]
        monkeypatch.setattr(turn, "_RENEW_S", -1.0)
        await look(1)
        assert shelf.asked == [2, 2, 2]

    asyncio.run(story())
