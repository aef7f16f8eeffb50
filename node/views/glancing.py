"""Glancing at records: what a view needs of those that this node sealed itself, or compared before it kept them.

A view is no proof, so nothing is compared again with what was committed to: `fsck` does that, and
whoever reads one record. It takes a third of the time, and is done for every record there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.errors import BadInput, BadProof
from ledger.fields import join
from ledger.names import MemberName
from ledger.record import Meta, glance_record
from ledger.sealing import Wrap, Wrapper
from node.channels import ChannelBook
from node.reader import Reader, ReadRecord
from node.storage import logs, sidecars
from node.storage.packing import PackedEntry, glance_sidecar, unpack_entry
from node.storage.store import Tx
from node.views.rows import is_event

_WRAPPERS_MAX: Final = 64


class Glancer:
    """Owned by one thread. reader: for what cannot be told by a glance."""

    def __init__(self, member: MemberName, reader: Reader, channels: ChannelBook) -> None:
        self._member = member
        self._reader = reader
        self._channels = channels
        self._wrappers: dict[int, Wrapper] = {}  # by channel number

    def scan(self, tx: Tx, log: logs.StoredLog, start: int, end: int) -> Iterator[ReadRecord]:
        """Records [start, end) of a log in order, as `Reader.scan` gives them but for `sidecar`; raises as `read`.

        Of the own log, the body and the shared sections of what is no event are left out: nobody looks at them.
        """
        for index, packed, sidecar in sidecars.scan_rows(tx, log.number, start, end):
            entry = unpack_entry(packed)
            seen = None if sidecar is None else self._glance(tx, log, entry, index=index, sidecar=sidecar)
            yield seen or self._reader.read(tx, log, index)

    def _glance(
        self, tx: Tx, log: logs.StoredLog, entry: PackedEntry, *, index: int, sidecar: bytes
    ) -> ReadRecord | None:
        if entry.id is None or entry.body is None:
            return None
        is_wanted = _is_event if log.origin.member == self._member else _is_any
        try:
            wrap, ciphertexts = glance_sidecar(sidecar)
            # Of another's record, it is this member's: else the channel is not to it, and nothing is told by a glance.
            wrapper = self._wrapper(tx, wrap.channel_number, log)
            opened = glance_record(
                Wrap(wrapper.channel_id, wrap.sections, wrap.sealed),
                ciphertexts,
                wrapper=wrapper,
                contexts=self._channels.contexts(log.origin),
                record_id=entry.id,
                manifest_hash=entry.body,
                is_wanted=is_wanted,
            )
            body = join(opened.fields) if is_wanted(opened.meta) else b"{}"
        except (BadInput, BadProof, LookupError):
            return None
        return ReadRecord(
            origin=log.origin, index=index, leaf=entry.leaf, id=entry.id, state="open", opened=opened, body=body,
            given=wrap.sections,
        )  # fmt: skip

    def _wrapper(self, tx: Tx, number: int, log: logs.StoredLog) -> Wrapper:
        """Raises: LookupError for a channel that is not known; SealBroken for one that is not to this member."""
        found = self._wrappers.get(number)
        if found is None:
            channel = sidecars.ChannelsByNumber(tx)[number]
            if len(self._wrappers) >= _WRAPPERS_MAX:
                self._wrappers.clear()
            found = self._wrappers[number] = self._channels.incoming(channel.id, channel.decoded(), log.origin)
        return found


def _is_any(_: Meta) -> bool:
    return True


def _is_event(meta: Meta) -> bool:
    return is_event(meta.type)
