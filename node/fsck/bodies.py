"""The bodies of a store, against what their entries name, and the gaps that say what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ledger.errors import EncodingError, TallyError
from ledger.names import Digest, MemberName, NetworkId, sha256
from ledger.record import check_ciphertext, open_record
from ledger.sealing import Contexts, Wrap, Wrapper, receive_channel
from node.contract import STATEMENTS
from node.fsck.report import Report
from node.keyring import Keyring
from node.storage import logs, sidecars
from node.storage.packing import PackedEntry, PackedSidecar, PackedWrap, RowDamaged
from node.storage.sidecars import StoredChannel
from node.storage.store import Tx

_IN_PART: Final = ("the wraps for ", "its contract is not known")
"""What the reason of a gap says of a body whose sections are all here, and which is not whole all the same."""


class BodyCheck:
    """Looks at the bodies of one log after the other.

    own: origin of the log that is this store's own. stated: types by log number and index, of what is listed as a
    statement, or should be, as far as it could be opened.
    """

    def __init__(
        self,
        tx: Tx,
        report: Report,
        *,
        network: NetworkId,
        channels: Mapping[int, StoredChannel],
        own: str | None,
        member: MemberName | None,
        keyring: Keyring | None,
    ) -> None:
        self._tx = tx
        self._report = report
        self._network = network
        self._channels = channels
        self._own = own
        self._member = member
        self._keyring = keyring
        self._wrappers: dict[tuple[int, str], Wrapper] = {}
        self._listed = {(number, index) for number, index, _ in sidecars.list_statements(tx)}
        self.stated: dict[tuple[int, int], str] = {}

    def check(self, log: logs.StoredLog, start: int, end: int) -> None:
        """The bodies of entries [start, end)."""
        name = str(log.origin)
        rows = dict(logs.scan_packed(self._tx, log.number, start, end))
        gaps = dict(sidecars.list_gaps(self._tx, log.number, start=start, end=end))
        contexts = Contexts(self._network, log.origin)
        missing = set(rows) - gaps.keys()
        for index, packed in self._scan(log, start, end):
            missing.discard(index)
            row = rows.get(index)
            if not isinstance(row, PackedEntry):
                continue  # the entry's own fault is named already
            try:
                if row.body is None or row.id is None:
                    self._report.add("body", "of an entry that has none", log=name, index=index)
                    continue
                if sha256(packed.manifest_bytes) != row.body:
                    reason = "manifest or ciphertexts are not those that the entry names"
                    self._report.add("body", reason, log=name, index=index)
                    continue
                self._check_gap(log, index, packed, reason=gaps.get(index))
                self._check_sections(log, index, packed, record_id=row.id, body=row.body, contexts=contexts)
            except (TallyError, KeyError) as cause:
                self._report.add("body", cause, log=name, index=index)
        if name == self._own:
            for index in sorted(missing):
                self._report.add("body", "it is not here, and no gap says so", log=name, index=index)

    def _scan(self, log: logs.StoredLog, start: int, end: int) -> Iterator[tuple[int, PackedSidecar]]:
        for index, packed in sidecars.scan_sidecars_raw(self._tx, log.number, start, end):
            self._report.bodies += 1
            if isinstance(packed, RowDamaged):
                self._report.add("body", packed, log=str(log.origin), index=index)
            else:
                yield index, packed

    def _check_gap(self, log: logs.StoredLog, index: int, packed: PackedSidecar, *, reason: str | None) -> None:
        """Only a body of the own log that came back in part has a gap beside it, and it has to have one."""
        name = str(log.origin)
        is_whole = len(packed.sections) == len(packed.manifest.sections)
        if reason is None:
            if name == self._own and not is_whole:
                self._report.add("body", "sections of it are not here, and no gap says so", log=name, index=index)
        elif name != self._own or (is_whole and not any(words in reason for words in _IN_PART)):
            self._report.add("gap", "it stands beside a body that is here", log=name, index=index)

    def _check_sections(
        self,
        log: logs.StoredLog,
        index: int,
        packed: PackedSidecar,
        *,
        record_id: bytes,
        body: Digest,
        contexts: Contexts,
    ) -> None:
        for number, ciphertext in packed.sections.items():
            check_ciphertext(ciphertext, packed.manifest, number)
            self._report.sections += 1
        for wrap in packed.wraps:
            channel = self._channels[wrap.channel_number]
            self._report.wraps += 1
            if self._keyring is None or channel.reader != self._member:
                continue
            held = self._held(log, packed, wrap)
            if 0 not in held:
                continue
            opened = open_record(
                Wrap(channel.id, wrap.sections, wrap.sealed),
                held,
                wrapper=self._wrapper(channel, log),
                contexts=contexts,
                record_id=record_id,
                manifest=packed.manifest,
                manifest_hash=body,
            )
            if opened.meta.type in STATEMENTS or (log.number, index) in self._listed:
                self.stated[log.number, index] = opened.meta.type

    def _held(self, log: logs.StoredLog, packed: PackedSidecar, wrap: PackedWrap) -> dict[int, bytes]:
        """The sections that a wrap to this member names. Raises: EncodingError; only own bodies come back in part."""
        held = {number: packed.sections[number] for number in wrap.sections if number in packed.sections}
        if len(held) < len(wrap.sections) and str(log.origin) != self._own:
            raise EncodingError(field="sidecar", reason="a section that the wrap to this member names is not here")
        return held

    def _wrapper(self, channel: StoredChannel, log: logs.StoredLog) -> Wrapper:
        key = (channel.number, str(log.origin))
        if key not in self._wrappers:
            assert self._keyring is not None, "only called with a keyring"
            message = channel.decoded()
            opened = receive_channel(message, self._network, self._keyring.opening[message.sealing_key])
            self._wrappers[key] = Wrapper(opened, log.origin)
        return self._wrappers[key]
