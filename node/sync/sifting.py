"""Sifting an answer with bodies: what holds is kept, and what was due and does not hold is named.

A body is kept only if its manifest is the one that the entry names, its ciphertexts are those
of the manifest, and every section that this member was given opens to the committed root.
Of channel messages only those are kept that a kept body needs, and only the author's: a
member could give a channel of its own the id of the author's.

Spec: docs/spec/bodies.md, "Checking".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ledger.errors import BadSignature, EncodingError, TallyError
from ledger.manifest import Manifest, decode_manifest
from ledger.names import MemberName, sha256
from ledger.record import Opened, check_ciphertext, open_record
from ledger.sealing import ChannelMessage, Wrap, decode_channel_message
from ledger.sidecar import Sidecar
from node.contract import STATEMENTS
from node.node import Node
from node.storage import logs, sidecars
from node.storage.packing import PackedEntry, pack_received
from node.storage.store import Tx

LOST: Final = "its author lost it, and cannot tell whether this member was to read it"
"""Reason of a gap that the author itself told of, by an empty sidecar."""


class Body(NamedTuple):
    """A body that holds. manifest: that of the sidecar. opened: what this member can read."""

    index: int  # type: ignore[assignment]  # nobody searches one as a tuple
    sidecar: Sidecar
    manifest: Manifest
    opened: Opened

    @property
    def statement(self) -> str | None:
        """Its type, if it says something of a contract."""
        found = self.opened.meta.type
        return found if found in STATEMENTS else None


@dataclass(slots=True)
class Sifted:
    """What one answer came to, before it is committed."""

    messages: dict[bytes, tuple[bytes, ChannelMessage]] = field(default_factory=dict)
    good: list[Body] = field(default_factory=list)
    gaps: list[tuple[int, str]] = field(default_factory=list)

    @property
    def statements(self) -> Iterator[tuple[int, str]]:
        return ((body.index, body.statement) for body in self.good if body.statement is not None)


@dataclass(frozen=True, slots=True)
class Sieve:
    """What bodies of entries [start, ...) of one log are compared with."""

    node: Node
    log: logs.StoredLog
    start: int
    rows: Sequence[PackedEntry]

    @classmethod
    def make(cls, node: Node, log: logs.StoredLog, start: int, end: int) -> Sieve:
        with node.store.read() as tx:
            rows = logs.read_packed(tx, log.number, start, end)
        return cls(node, log, start, rows)

    def sift(self, messages: Sequence[bytes], given: Mapping[int, Sidecar]) -> Sifted:
        """Check every sidecar by itself; what fails becomes a gap with its reason."""
        wanted = {wrap.channel for sidecar in given.values() for wrap in sidecar.wraps}
        with self.node.store.read() as tx:
            channels = sidecars.find_channels(tx, self.log.origin.member, wanted)
            known = {id_: channel.decoded() for id_, channel in channels.items()}
            fresh = self._check_messages(tx, messages, wanted - known.keys())
        all_known = {**known, **{id_: message for id_, (_, message) in fresh.items()}}
        found = Sifted()
        for index, sidecar in given.items():
            if not sidecar.manifest:
                found.gaps.append((index, LOST))
                continue
            try:
                manifest, opened = self._check(self.rows[index - self.start], sidecar, all_known)
            except TallyError as cause:
                found.gaps.append((index, f"{cause.code}: {cause}"))
                continue
            found.good.append(Body(index, sidecar, manifest, opened))
            if fresh:
                found.messages |= {wrap.channel: fresh[wrap.channel] for wrap in sidecar.wraps if wrap.channel in fresh}
        return found

    def _check_messages(
        self, tx: Tx, messages: Sequence[bytes], wanted: Set[bytes]
    ) -> dict[bytes, tuple[bytes, ChannelMessage]]:
        """New channel messages that the log's author signed; a second one with the id of another is refused.

        wanted: the ids that wraps name and that are not known. No more are kept than there is room for. The first
        false signature is the last that is looked at: no honest node passes one on.
        """
        fresh: dict[bytes, tuple[bytes, ChannelMessage]] = {}
        room: dict[MemberName, int] = {}
        for raw in messages:
            try:
                message = decode_channel_message(raw)
                if message.wrapper != self.log.origin.member or message.id not in wanted or message.id in fresh:
                    continue
                self.node.joined.channels.check_message(message)
            except BadSignature:
                break
            except TallyError:
                continue  # wraps under it then name a channel that we do not know, and are gaps
            reader = message.reader
            if reader not in room:
                room[reader] = sidecars.channel_room(tx, wrapper=message.wrapper, reader=reader)
            if room[reader] > 0:
                fresh[message.id] = (raw, message)
                room[reader] -= 1
        return fresh

    def _check(
        self, row: PackedEntry, sidecar: Sidecar, messages: Mapping[bytes, ChannelMessage]
    ) -> tuple[Manifest, Opened]:
        """Raise unless the sidecar is what the entry commits to; returns what this member can read of it."""
        if row.id is None or row.body is None or sha256(sidecar.manifest) != row.body:
            raise EncodingError(field="manifest", reason="not the one that the entry names")
        manifest = decode_manifest(sidecar.manifest)
        wrapped: dict[MemberName, Wrap] = {}
        for wrap in sidecar.wraps:
            message = messages.get(wrap.channel)
            if message is None:
                raise EncodingError(
                    field="wrap", reason="its channel message is missing, or one too many, or not signed by the author"
                )
            # Else whoever reads it, or gives it on, would take one and others the other. All wraps are the author's
            # here; when holders wrap again, this counts per wrapper.
            if message.reader in wrapped:
                raise EncodingError(field="wrap", reason=f"a second one for {message.reader}")
            wrapped[message.reader] = wrap
        mine = wrapped.get(self.node.member)
        if mine is None:  # else an author could fill the disks of all with what nobody reads
            raise EncodingError(field="wrap", reason="none is to this member")
        for number, ciphertext in sidecar.sections.items():
            if number >= len(manifest.sections):
                raise EncodingError(field="sidecar", reason=f"section {number} is not in the manifest")
            if number not in mine.sections:  # those are compared when they are opened
                check_ciphertext(ciphertext, manifest, number)
        return manifest, self._open(row, mine, messages[mine.channel], sidecar, manifest=manifest)

    def _open(
        self, row: PackedEntry, wrap: Wrap, message: ChannelMessage, sidecar: Sidecar, *, manifest: Manifest
    ) -> Opened:
        origin, channels = self.log.origin, self.node.joined.channels
        assert row.id is not None and row.body is not None, "only such an entry has a body"
        opened = open_record(
            wrap,
            sidecar.sections,
            wrapper=channels.incoming(wrap.channel, message, origin),
            contexts=channels.contexts(origin),
            record_id=row.id,
            manifest=manifest,
            manifest_hash=row.body,
        )
        if origin.member != self.node.member and set(opened.sections) != set(wrap.sections):
            raise EncodingError(field="sidecar", reason="a section that the wrap names was not sent")
        return opened


def keep(tx: Tx, log: logs.StoredLog, found: Sifted) -> None:
    """Write what was sifted, bodies in the place of emptier ones."""
    ids = {wrap.channel for body in found.good for wrap in body.sidecar.wraps} | found.messages.keys()
    numbers = {id_: c.number for id_, c in sidecars.find_channels(tx, log.origin.member, ids).items()}
    for id_, (raw, message) in found.messages.items():
        if id_ not in numbers:
            numbers[id_] = sidecars.insert_channel(
                tx, channel_id=id_, wrapper=message.wrapper, reader=message.reader, message=raw
            )
    sidecars.delete_sidecars(tx, log.number, [body.index for body in found.good])
    packed = [(body.index, pack_received(body.sidecar, numbers, manifest=body.manifest)) for body in found.good]
    sidecars.insert_sidecars(tx, log.number, packed)
    sidecars.insert_gaps(tx, log.number, found.gaps)
    for index, type_name in found.statements:
        sidecars.insert_statement(tx, log.number, index, type_name)


def announce(node: Node, log: logs.StoredLog, found: Sifted) -> None:
    """Tell the agreements, and whoever waits, of what is durable now."""
    stated = [(log.number, index, name) for index, name in found.statements]
    if stated:
        with node.store.read() as tx:
            node.apply_statements(tx, stated)
    node.changes.bump(log.origin.hash)
