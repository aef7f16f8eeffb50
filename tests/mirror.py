"""A mirror and a peer in memory: the least that drives `ledger.replica`, with a place for every lie."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from ledger.checkpoint import SignedCheckpoint
from ledger.entry import Entry, encode_entry
from ledger.errors import TooLarge
from ledger.evidence import EvidenceKind, decode_evidence, encode_evidence
from ledger.merkle import Frontier, root_of
from ledger.names import Digest, Origin, RecordId
from ledger.network import Network
from ledger.replica import (
    Action,
    CommitEntries,
    Cosign,
    EntryBatch,
    Freeze,
    GetCards,
    GetCheckpoint,
    GetEntries,
    GetTiles,
    Head,
    KeepEvidence,
    Outcome,
    ReadEntries,
    ReadHashes,
    Repeat,
    replicate,
)
from ledger.tiles import Tile
from tests.make import FIRST_LEAF, Log


class CrashError(Exception):
    """The mirror's process died."""


@dataclass
class Peer:
    """Serves a log, up to `size` where that is given; subclasses and fields change answers."""

    log: Log
    size: int | None = None
    note: bytes | None = None
    is_author: bool = False
    network: Network | None = None
    alter: Callable[[Tile, bytes], bytes] = lambda tile, raw: raw
    answers_max: int = 1 << 20

    def answer(self, action: Action) -> Any:
        match action:
            case GetCheckpoint():
                return self.note or self.log.note(self.size)
            case GetEntries():
                return [self.alter(tile, self.log.tile(tile)) for tile in action.bundles][: self.answers_max]
            case GetTiles():
                return [self.alter(tile, self.log.tile(tile)) for tile in action.tiles]
            case GetCards():
                assert self.network is not None, "this peer was not meant to be asked for cards"
                return self.network
        raise AssertionError(f"not for a peer: {action}")


@dataclass
class Mirror:
    """What one node durably holds of one log. crash_at: the commit that is not reached any more."""

    origin: Origin
    network: Network
    entries: list[bytes] = field(default_factory=list)
    leaves: list[Digest] = field(default_factory=list)
    marks: dict[int, str] = field(default_factory=dict)
    checkpoint: SignedCheckpoint | None = None
    targets: list[SignedCheckpoint] = field(default_factory=list)
    places: dict[bytes, int] = field(default_factory=dict)
    cosigned: list[SignedCheckpoint] = field(default_factory=list)
    no_cosign_from: int | None = None
    repeat: Repeat | None = None
    frozen: str | None = None
    common_size: int | None = None
    evidence: list[bytes] = field(default_factory=list)
    asked: list[Action] = field(default_factory=list)
    crash_at: int | None = None

    @property
    def size(self) -> int:
        return len(self.leaves)

    @property
    def frontier(self) -> Frontier:
        return Frontier().extended(self.leaves)

    @property
    def head(self) -> Head:
        return Head(
            origin=self.origin,
            frontier=self.frontier,
            last_leaf=self.leaves[-1] if self.leaves else FIRST_LEAF,
            checkpoint=self.checkpoint,
            targets=tuple(t for t in self.targets if t.checkpoint.size > self.size),
            cosigned_size=max((c.checkpoint.size for c in self.cosigned), default=0),
            no_cosign_from=self.no_cosign_from,
            repeat=self.repeat,
            frozen=self.frozen,
        )

    def sync(self, peer: Peer, **given: Any) -> Outcome:
        """One round with `peer`; what was asked in it stands in `asked`."""
        self.asked = []
        steps = replicate(self.head, self.network, peer_is_author=peer.is_author, **given)
        return self._drive(steps, peer)

    def asked_of(self, *kinds: type) -> list[Any]:
        return [action for action in self.asked if isinstance(action, kinds)]

    def check(self) -> None:
        """What holds after every round, whatever a peer did."""
        assert [len(leaf) for leaf in self.leaves] == [32] * self.size
        if self.checkpoint is not None:
            held = self.checkpoint.checkpoint
            assert root_of(self.leaves[: held.size]) == held.root
        for cosigned in self.cosigned:
            assert root_of(self.leaves[: cosigned.checkpoint.size]) == cosigned.checkpoint.root
        assert self.checkpoint is None or self.checkpoint.checkpoint.size <= self.size

    # --- carrying out

    def _drive(self, steps: Generator[Action, Any, Outcome], peer: Peer) -> Outcome:
        answer: Any = None
        try:
            while True:
                action = steps.send(answer)
                self.asked.append(action)
                answer = self._carry_out(action, peer)
        except StopIteration as done:
            outcome: Outcome = done.value
            return outcome
        finally:
            steps.close()
            self.check()

    def _carry_out(self, action: Action, peer: Peer) -> Any:
        match action:
            case ReadHashes():
                return [root_of(self.leaves[i << level : (i + 1) << level]) for level, i in action.subtrees]
            case ReadEntries():
                return [self.entries[index] for index in action.indexes]
            case CommitEntries():
                return self._commit(action)
            case Cosign():
                self.cosigned.append(action.checkpoint)
            case KeepEvidence():
                self._keep(action)
            case Freeze():
                assert self.frozen, "evidence freezes first"
                self.common_size = action.common_size
            case _:
                return cut_off(peer.answer(action), action)
        return None

    def _commit(self, action: CommitEntries) -> list[Repeat]:
        if self.crash_at is not None:
            if self.crash_at == 0:
                raise CrashError
            self.crash_at -= 1
        batch = action.batch
        assert batch.start == self.size, "a batch goes on where the log ends"
        self.entries += restore(batch, self.leaves[-1] if self.leaves else FIRST_LEAF)
        self.leaves += batch.leaves
        assert action.frontier == self.frontier
        for index, unusual in batch.unusual.items():
            self.marks[index] = "invalid" if unusual.is_invalid else "newer" if unusual.is_newer else "good"
        if action.is_complete:
            self.checkpoint = action.checkpoint
        else:
            self.targets = sorted({*self.targets, action.checkpoint}, key=lambda t: t.checkpoint.size)
        named = [(name, batch.start + i) for i, name in enumerate(batch.ids) if name is not None] + batch.slots
        repeats = []
        for name, index in sorted(named, key=lambda item: item[1]):
            first = self.places.setdefault(name, index)
            if first != index:
                repeats.append(Repeat(first, index))
                self.no_cosign_from = min(self.no_cosign_from or index + 1, index + 1)
        if repeats and self.repeat is None:
            self.repeat = repeats[0]
        return repeats

    def _keep(self, action: KeepEvidence) -> None:
        raw = encode_evidence(action.evidence)
        assert decode_evidence(raw) == action.evidence
        self.evidence.append(raw)
        if action.finding.kind is EvidenceKind.FORK:
            self.frozen = "fork"
        else:
            self.repeat = None


def restore(batch: EntryBatch, prev: Digest) -> list[bytes]:
    """The bytes of a batch's entries, from no more than a store keeps of them."""
    entries = []
    for index, (leaf, record_id, body) in enumerate(
        zip(batch.leaves, batch.ids, batch.bodies, strict=True), batch.start
    ):
        if index in batch.unusual:
            entries.append(batch.unusual[index].raw)
        else:
            assert record_id is not None and body is not None, "what is not unusual has an id and a body"
            plain = Entry(log=batch.origin, index=index, prev=prev, id=RecordId(record_id), body=Digest(body))
            entries.append(encode_entry(plain))
        prev = leaf
    return entries


def cut_off(answer: Any, action: Any) -> Any:
    """As a client does: what is longer than the action allows is not read to its end."""
    for raw in answer if isinstance(answer, list) else [answer]:
        if isinstance(raw, bytes) and len(raw) > action.bytes_max:
            raise TooLarge(what="answer", got=len(raw), limit=action.bytes_max, unit="bytes")
    return answer
