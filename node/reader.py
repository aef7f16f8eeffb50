"""Reading records: open what this member was given, check it, and say what was withheld."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ledger.errors import BadInput, BadProof, Missing
from ledger.fields import join
from ledger.names import Digest, MemberName, Origin, RecordId
from ledger.record import Link, Meta, Opened, open_record
from ledger.sealing import Wrap
from node.channels import ChannelBook
from node.storage import logs, sidecars
from node.storage.packing import PackedEntry, PackedSidecar
from node.storage.sidecars import StoredChannel
from node.storage.store import Store, Tx

STATES: Final = ("open", "closed", "invalid", "newer", "broken")
"""Of a record: closed where this member is no reader, or the body is not here."""
_PROPOSE: Final = "tally/propose"


@dataclass(frozen=True, slots=True, kw_only=True)
class WithheldSection:
    """A section that this member may not read: who may, and how large it is (padded bytes)."""

    section: int
    audience: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRecord:
    """A record as this member sees it. `opened` is None where it is no reader, or the body is not here."""

    origin: Origin
    index: int
    leaf: Digest
    id: RecordId | None
    state: str  # one of STATES
    opened: Opened | None = None
    sidecar: PackedSidecar | None = None
    fault: str = ""  # why it is broken
    body: bytes = b"{}"  # the readable fields, joined to one JSON object
    given: bytes = b""  # the sections that this member's wrap names

    @property
    def meta(self) -> Meta | None:
        return self.opened.meta if self.opened else None

    @property
    def notes(self) -> Mapping[str, bytes]:
        """What the author's section says besides the body: `by`, `flags`; only its author reads it."""
        if self.opened is None:
            return {}
        own = [f for number, fields in self.opened.sections.items() if number for f in fields]
        return {name: text for name, text in own if not name.startswith("/")}

    @property
    def withheld(self) -> list[WithheldSection]:
        if self.opened is None or self.sidecar is None:
            return []
        return [
            WithheldSection(section=number, audience=audience, size=self.sidecar.manifest.sections[number].size)
            for number, audience in enumerate(self.opened.meta.audience)
            if number not in self.opened.sections
        ]

    @property
    def links(self) -> tuple[Link, ...]:
        return self.opened.meta.links if self.opened else ()


def is_secret(name: str, record: ReadRecord) -> bool:
    """The secret of a contract: its parties' nodes need it, and whoever else had it could link its statements."""
    meta = record.meta
    return meta is not None and meta.type == _PROPOSE and (name == "/secret" or name.startswith("/secret/"))


class Reader:
    """Opens records for this member. Safe to use from several threads."""

    def __init__(self, store: Store, *, member: MemberName, channels: ChannelBook) -> None:
        self._store = store
        self._member = member
        self._channels = channels

    @property
    def member(self) -> MemberName:
        return self._member

    def read(self, tx: Tx, log: logs.StoredLog, index: int) -> ReadRecord:
        """Raises: Missing if the log has no such entry here."""
        # Compared first: an index beyond the bits that it has in a key names no place.
        rows = logs.read_packed(tx, log.number, index, index + 1) if 0 <= index < log.size else []
        if not rows:
            raise Missing(what="entry", name=f"{log.origin}#{index}")
        packed = sidecars.read_sidecar(tx, log.number, index)
        return self._read(log, index, rows[0], packed=packed, channels=sidecars.ChannelsByNumber(tx))

    def scan(self, tx: Tx, log: logs.StoredLog, start: int, end: int) -> Iterator[ReadRecord]:
        """Records [start, end) in order."""
        channels = sidecars.ChannelsByNumber(tx)
        held = dict(sidecars.scan_sidecars(tx, log.number, start, end))
        for index, row in enumerate(logs.read_packed(tx, log.number, start, min(end, log.size)), start):
            yield self._read(log, index, row, packed=held.get(index), channels=channels)

    def _read(
        self,
        log: logs.StoredLog,
        index: int,
        row: PackedEntry,
        *,
        packed: PackedSidecar | None,
        channels: Mapping[int, StoredChannel],
    ) -> ReadRecord:
        if row.id is None or row.body is None:
            state = "invalid" if row.is_invalid else "newer"
            return ReadRecord(origin=log.origin, index=index, leaf=row.leaf, id=None, state=state)
        mine = None
        if packed is not None:
            # One at most: a second one is refused where a body is taken in.
            mine = next((w for w in packed.wraps if channels[w.channel_number].reader == self._member), None)
        closed = ReadRecord(origin=log.origin, index=index, leaf=row.leaf, id=row.id, state="closed", sidecar=packed)
        if packed is None or mine is None:
            return closed
        channel = channels[mine.channel_number]
        try:
            opened = open_record(
                Wrap(channel.id, mine.sections, mine.sealed),
                packed.sections,
                wrapper=self._channels.incoming(channel.id, channel.decoded(), log.origin),
                contexts=self._channels.contexts(log.origin),
                record_id=row.id,
                manifest=packed.manifest,
                manifest_hash=row.body,
            )
            # An author can commit to fields that contradict each other: its fault, and this record's alone.
            body = join(opened.fields)
        except (BadInput, BadProof) as cause:
            return replace(closed, state="broken", fault=str(cause))
        return replace(closed, state="open", opened=opened, body=body, given=mine.sections)
