"""An honest author whose answers are changed on their way: no false body is kept, and each gap is named."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import uvicorn

from ledger.errors import Missing
from ledger.manifest import decode_manifest
from ledger.names import MemberName
from ledger.sealing import Wrap, decode_channel_message, encode_channel_message, open_channel
from ledger.sidecar import Bodies, Sidecar, decode_bodies, encode_bodies
from node.storage import sidecars
from node.sync import driver, turn
from node.sync.sifting import LOST
from tests.make_folders import Founded, found, free_ports
from tests.make_peers import Peer, call, serving, wait_until

pytestmark = pytest.mark.slow

AUTHOR: Final = "fishery"
READER: Final = "retailer"
PARTIES: Final = {"shipper": [AUTHOR], "receiver": [READER], "insurer": ["carrier"]}
Change = Callable[[Bodies], Bodies]


class Wire:
    """Stands in front of the author's node, and changes the bodies that it gives."""

    def __init__(self, port: int, behind: int) -> None:
        self.change: Change | None = None
        self.start = 0  # of the answer that is being changed
        self.change_end: Callable[[int, int], int] = lambda start, end: end
        self._behind = f"http://127.0.0.1:{behind}"
        config = uvicorn.Config(
            self._app, host="127.0.0.1", port=port, log_config=None, lifespan="off", interface="asgi3"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started, "the wire is up")

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        url = self._behind + scope["raw_path"].decode() + "?" + scope["query_string"].decode()
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        async with httpx.AsyncClient(timeout=300, trust_env=False) as client:
            work = asyncio.ensure_future(
                client.request(scope["method"], url, headers=headers, content=message.get("body", b""))
            )
            gone = asyncio.ensure_future(receive())
            await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                return
            gone.cancel()
            answer = work.result()
        content = answer.content
        if answer.status_code == 200 and "/bodies/" in scope["path"]:
            content = self._changed(content, int(scope["query_string"].decode().partition("from=")[2]))
        await send({"type": "http.response.start", "status": answer.status_code, "headers": []})
        await send({"type": "http.response.body", "body": content})

    def _changed(self, content: bytes, start: int) -> bytes:
        self.start = start
        end = int.from_bytes(content[:8], "big")
        if self.change is not None:
            bodies = self.change(decode_bodies(content[8:], start=start, end=end))
            content = content[:8] + encode_bodies(bodies)
        return self.change_end(start, end).to_bytes(8, "big") + content[8:]


class Stage:
    def __init__(self, founded: Founded, wire: Wire, author: Peer, reader: Peer, third: Peer) -> None:
        self.founded, self.wire = founded, wire
        self.author, self.reader, self.third = author, reader, third
        self.contract = author.agree([reader, third], PARTIES)

    def ship(self, count: int = 1) -> list[int]:
        """Indexes of new shipments, which the reader has asked for by then."""
        places = [self.author.ship(number, self.contract).index for number in range(count)]
        wait_until(lambda: self.reader.holds(AUTHOR, places[-1] + 1), "asked for")
        return places

    def reads(self, index: int) -> bool:
        return "number" in self.reader.body(AUTHOR, index)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Founded, int, int]:
    front, *ports = free_ports(4)
    at = dict(zip((AUTHOR, READER, "carrier"), ports, strict=True))
    endpoints = {name: [f"http://127.0.0.1:{port}"] for name, port in at.items()}
    endpoints[AUTHOR] = [f"http://127.0.0.1:{front}"]
    founded = found(tmp_path_factory.mktemp("bodies"), *at, endpoints=endpoints)
    for name, folder in founded.folders.items():
        with (folder / "tally.toml").open("a") as file:
            file.write(f"port = {at[name]}\n")
    return founded, front, at[AUTHOR]


@pytest.fixture
def stage(template: tuple[Founded, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    founded, front, behind = template
    monkeypatch.setattr(turn, "_REFILL_S", 0.1)
    monkeypatch.setattr(driver, "_BACK_OFF_S", (0.02, 0.1))
    for name, folder in founded.folders.items():
        shutil.copytree(folder, tmp_path / name)
    wire = Wire(front, behind)
    try:
        with serving(*(tmp_path / name for name in (AUTHOR, READER, "carrier"))) as (author, reader, third):
            yield Stage(founded, wire, author, reader, third)
    finally:
        wire.stop()


def on_each(change: Callable[[int, Sidecar], Sidecar | None]) -> Change:
    def changed(bodies: Bodies) -> Bodies:
        found = {index: change(index, sidecar) for index, sidecar in bodies.sidecars.items()}
        return replace(bodies, sidecars={index: sidecar for index, sidecar in found.items() if sidecar is not None})

    return changed


def flipped(sidecar: Sidecar, number: int) -> Sidecar:
    text = sidecar.sections[number]
    return replace(sidecar, sections={**sidecar.sections, number: bytes([text[0] ^ 1]) + text[1:]})


def resealed(sidecar: Sidecar) -> Sidecar:
    wraps = tuple(Wrap(w.channel, w.sections, w.sealed[:-1] + bytes([w.sealed[-1] ^ 1])) for w in sidecar.wraps)
    return replace(sidecar, wraps=wraps)


LIES: Final[dict[str, tuple[Change, str]]] = {
    "a flipped bit in section 0": (on_each(lambda _, s: flipped(s, 0)), "seal-broken"),
    "a flipped bit in a section of the body": (on_each(lambda _, s: flipped(s, max(s.sections))), "seal-broken"),
    "a section that is missing": (
        on_each(lambda _, s: replace(s, sections={n: t for n, t in s.sections.items() if n != max(s.sections)})),
        "was not sent",
    ),
    "a section that is in no manifest": (
        on_each(lambda _, s: replace(s, sections={**s.sections, 63: b"x"})), "not in the manifest",
    ),
    "another manifest": (
        on_each(lambda _, s: replace(s, manifest=s.manifest.replace(b'"v":1', b'"v":2'))), "not the one",
    ),
    "a wrap that does not open": (on_each(lambda _, s: resealed(s)), "seal-broken"),
    "no wraps": (on_each(lambda _, s: replace(s, wraps=())), "none is to this member"),
    "no channel messages": (lambda b: replace(b, messages=()), "channel message is missing"),
    "broken channel messages": (
        lambda b: replace(b, messages=[m[:-1] + bytes([m[-1] ^ 1]) for m in b.messages]), "channel message is missing",
    ),
    "nothing, with the author's word that it lost it": (on_each(lambda _, s: Sidecar(b"", (), {})), LOST),
}  # fmt: skip


def test_body_that_does_not_hold_is_a_gap_and_is_filled_once_it_does(stage: Stage) -> None:
    for name, (change, reason) in LIES.items():
        stage.author.node.joined.channels._day = -1  # so that a channel is made anew: the lie may be about its message
        stage.wire.change = change
        places = stage.ship(2)
        gaps = stage.reader.gaps(AUTHOR)
        assert [index for index in places if reason in gaps.get(index, "")] == places, (name, gaps)
        assert not any(stage.reads(index) for index in places), name
        assert not stage.third.gaps(READER), "others are not affected"
        stage.wire.change = None
        (last,) = stage.ship()
        wait_until(lambda: not stage.reader.gaps(AUTHOR), f"the gaps are filled after: {name}")
        assert all(stage.reads(index) for index in (*places, last)), name


def doubled(stage: Stage, reader: str, *, is_first: bool) -> Change:
    """A second wrap for `reader`, under another channel that the author signed."""
    network, signer = stage.reader.node.membership.network_id, stage.founded.rings[AUTHOR].transport
    sealing_key = stage.founded.firms[reader].sealing_key().public
    _, message = open_channel(
        network, wrapper=MemberName(AUTHOR), reader=MemberName(reader), sealing_key=sealing_key, signer=signer
    )

    def twice(_: int, sidecar: Sidecar) -> Sidecar:
        mine, own = sidecar.wraps
        second = (mine if reader == READER else own)._replace(channel=decode_channel_message(message).id)
        return replace(sidecar, wraps=(second, mine, own) if is_first else (mine, own, second))

    return lambda bodies: on_each(twice)(replace(bodies, messages=[*bodies.messages, message]))


def test_second_wrap_for_one_reader_is_refused(stage: Stage) -> None:
    """Whether for the one who asks or for the author: which of the two counted would be each node's own choice."""
    for reader, is_first in product((READER, AUTHOR), (True, False)):
        stage.wire.change = doubled(stage, reader, is_first=is_first)
        (index,) = stage.ship()
        assert f"a second one for {reader}" in stage.reader.gaps(AUTHOR)[index]
        assert not stage.reads(index)
    stage.wire.change = None
    stage.ship()
    wait_until(lambda: not stage.reader.gaps(AUTHOR), "the gaps are filled")
    assert stage.reads(index)


def test_bodies_of_two_records_that_were_exchanged_are_gaps(stage: Stage) -> None:
    def exchanged(bodies: Bodies) -> Bodies:
        indexes = sorted(bodies.sidecars)
        return replace(
            bodies, sidecars={i: bodies.sidecars[j] for i, j in zip(indexes, reversed(indexes), strict=True)}
        )

    stage.author.ship(0, stage.contract)
    stage.wire.change = exchanged
    places = stage.ship(4)
    stage.wire.change = None
    stage.ship()
    wait_until(lambda: not stage.reader.gaps(AUTHOR), "the gaps are filled")
    assert [stage.reader.body(AUTHOR, index)["number"] for index in places] == list(range(4))


def test_second_message_with_the_id_of_a_channel_is_refused(stage: Stage) -> None:
    """The first counts: else the author could have what it once wrote open as something else."""
    (first,) = stage.ship()
    ring, firm = stage.founded.rings[AUTHOR], stage.founded.firms[READER]
    network = stage.reader.node.membership.network_id

    def reused(bodies: Bodies) -> Bodies:
        messages = []
        for data in bodies.messages:
            message = decode_channel_message(data)
            _, other = open_channel(
                network, wrapper=message.wrapper, reader=message.reader,
                sealing_key=firm.sealing_key().public, signer=ring.transport,
            )  # fmt: skip
            messages.append(encode_channel_message(replace(decode_channel_message(other), id=message.id)))
        return replace(bodies, messages=[*messages, *bodies.messages])

    stage.wire.change = reused
    (second,) = stage.ship()
    assert stage.reads(first)
    assert stage.reads(second), "the message that was known is the one that counts"


def test_message_of_another_member_takes_no_channel_of_the_author(stage: Stage) -> None:
    """A member that knows the id of another's channel cannot take it, whatever it sends first."""
    stage.ship()
    with stage.reader.node.store.read() as tx:
        channels = list(sidecars.list_channels(tx).values())
    assert {channel.wrapper for channel in channels} >= {AUTHOR}
    assert len({(channel.wrapper, channel.id) for channel in channels}) == len(channels)


def test_answer_that_does_not_say_how_far_it_speaks_is_refused(stage: Stage) -> None:
    ends: tuple[Callable[[int, int], int], ...] = (
        lambda start, _: start, lambda start, _: start + 257, lambda start, _: 0,
    )  # fmt: skip
    for end in ends:
        stage.wire.change_end = end
        index = stage.author.ship(1, stage.contract).index
        wait_until(lambda: stage.reader.error_about(AUTHOR).startswith("encoding"), "refused")
        assert stage.reader.log(AUTHOR).bodies_size <= index
        stage.wire.change_end = lambda _, real: real
        wait_until(lambda i=index: stage.reader.holds(AUTHOR, i + 1), "asked for again")  # type: ignore[misc]
        wait_until(lambda: not stage.reader.error_about(AUTHOR), "forgiven")
        assert stage.reads(index)


def test_entry_that_is_not_there_is_answered_as_missing(stage: Stage) -> None:
    """An answer about no entry at all would be refused by whoever asks, as it leads nowhere."""
    stage.ship()
    log = stage.author.log(AUTHOR)

    def ask(start: int) -> bytes:
        oh, reader = log.origin.hash.hex(), stage.founded.firms[READER]
        answer: bytes = call(stage.author, reader, lambda peer: peer.bodies(oh, start // 256, start))
        return answer

    assert int.from_bytes(ask(log.checkpoint_size - 1)[:8], "big") == log.checkpoint_size
    for start in (log.checkpoint_size, log.checkpoint_size + 1, 256):
        with pytest.raises(Missing):
            ask(start)


def test_answer_that_is_cut_is_gone_on_with(stage: Stage) -> None:
    """As when bodies are long: each answer here speaks of one entry."""
    stage.wire.change = on_each(lambda index, sidecar: sidecar if index == stage.wire.start else None)
    stage.wire.change_end = lambda start, end: min(start + 1, end)
    places = stage.ship(3)
    assert all(stage.reads(index) for index in places)


def test_manifests_are_what_the_entry_names(stage: Stage) -> None:
    (index,) = stage.ship()
    with stage.reader.node.store.read() as tx:
        held = sidecars.read_sidecar(tx, stage.reader.log(AUTHOR).number, index)
    assert held is not None and decode_manifest(held.manifest_bytes) == held.manifest
    assert max(held.sections) < len(held.manifest.sections) - 1, "what is the author's alone was not sent"
