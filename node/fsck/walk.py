"""The walk over the logs of a store: entries, subtree hashes, checkpoints, cosignatures, bodies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.checkpoint import decode_checkpoint, open_checkpoint, verify_cosignature
from ledger.entry import check_link, decode_entry
from ledger.errors import BadInput, BadProof, TallyError
from ledger.merkle import Frontier, leaf_hash, node_hash
from ledger.names import Digest, MemberName, sha256
from ledger.note import decode_note
from ledger.record import check_ciphertext, open_record
from ledger.sealing import Contexts, Wrap, Wrapper, receive_channel
from node.contract import STATEMENTS
from node.fsck.report import Report
from node.fsck.rows import check_channels, check_cosigned, check_evidence, check_statements
from node.keyring import Keyring
from node.membership import Membership, load_membership
from node.storage import checkpoints, facts, logs, sidecars
from node.storage.packing import PackedEntry, PackedSidecar, RowDamaged
from node.storage.sidecars import StoredChannel
from node.storage.store import Tx

_CHUNK: Final = 4096


class Walk:
    """One walk over all that a store holds."""

    def __init__(self, tx: Tx, report: Report, keyring: Keyring | None, member: MemberName | None) -> None:
        self._tx = tx
        self._report = report
        self._keyring = keyring
        self._member = member
        self._wrappers: dict[tuple[int, str], Wrapper] = {}
        self._listed = {(number, index) for number, index, _ in sidecars.list_statements(tx)}
        self._opened: dict[tuple[int, int], str] = {}  # type of what is listed, or should be, by (log, index)

    def run(self) -> None:
        self._check_pages()
        try:
            membership = load_membership(self._tx)
        except TallyError as cause:
            self._report.add("charters and cards", cause)
            return
        if membership is None:
            if logs.list_logs(self._tx):
                self._report.add("charters and cards", "there are logs, and no charter that says whose they are")
            return
        self._own = facts.get_meta(self._tx, facts.OWN_ORIGIN)
        self._membership: Membership = membership
        self._channels = check_channels(self._tx, membership, self._report)
        for log in logs.list_logs(self._tx):
            self._check_log(log)
        check_cosigned(self._tx, self._report)
        check_evidence(self._tx, membership, self._report)
        check_statements(self._tx, self._opened, self._report)

    def _check_pages(self) -> None:
        for row in self._tx.exec_driver_sql("PRAGMA integrity_check(20)"):
            if row[0] != "ok":
                self._report.add("database pages", row[0])

    # --- one log ----------------------------------------------------------------------

    def _check_log(self, log: logs.StoredLog) -> None:
        name = str(log.origin)
        kept = dict(checkpoints.list_checkpoints(self._tx, log.number))
        sizes = sorted(size for size in kept if size <= log.size)
        for size in sorted(set(kept) - set(sizes)):
            self._report.add("checkpoint", f"of size {size}, larger than what is held", log=name)
        frontier, last = self._check_entries(log, sizes, kept)
        if (frontier, last) != (log.frontier, log.last_leaf):
            self._report.add("head", "the stored frontier or last leaf is not that of the entries", log=name)
        if log.checkpoint is not None and kept.get(log.checkpoint_size) != log.checkpoint:
            self._report.add("checkpoint", "the head's is not the kept one of its size", log=name)
        self._report.add_gaps(sidecars.list_gaps(self._tx, log.number), log=name)

    def _check_entries(self, log: logs.StoredLog, sizes: list[int], kept: dict[int, bytes]) -> tuple[Frontier, Digest]:
        frontier, prev = Frontier(), logs.GENESIS
        stops = iter([*sizes, -1])
        stop = next(stops)
        for start in range(0, log.size, _CHUNK):
            leaves = self._check_chunk(log, start, min(start + _CHUNK, log.size), prev)
            at = 0
            while start <= stop <= start + len(leaves):
                frontier = frontier.extended(leaves[at : stop - start])
                at = max(at, stop - start)
                self._check_checkpoint(log, stop, kept[stop], frontier.root())
                stop = next(stops)
            frontier = frontier.extended(leaves[at:])
            prev = leaves[-1] if leaves else prev
            self._check_bodies(log, start, min(start + _CHUNK, log.size))
        self._check_nodes(log)
        return frontier, prev

    def _check_chunk(self, log: logs.StoredLog, start: int, end: int, prev: Digest) -> list[Digest]:
        """Leaf hashes of [start, end), each computed from the entry's bytes."""
        name = str(log.origin)
        rows = dict(logs.scan_packed(self._tx, log.number, start, end))
        found = [row for row in rows.values() if isinstance(row, PackedEntry)]
        ids = logs.find_ids(self._tx, log.number, [row.id for row in found if row.id is not None])
        leaves = []
        for index in range(start, end):
            row = rows.get(index)
            if not isinstance(row, PackedEntry):
                self._report.add("entry", row or "it is missing", log=name, index=index)
                leaves.append(prev := logs.GENESIS)
                continue
            raw = row.encode(origin=log.origin, index=index, prev=prev)
            leaf = leaf_hash(raw)
            if leaf != row.leaf:
                self._report.add("entry", "its bytes do not have the leaf hash kept with them", log=name, index=index)
            if not row.is_invalid:
                self._check_entry(log, index, raw, prev)
            if row.id is not None and ids.get(row.id, index) > index:
                self._report.add("entry", "its id is indexed elsewhere", log=name, index=index)
            elif row.id is not None and row.id not in ids:
                self._report.add("entry", "its id is not indexed", log=name, index=index)
            if row.slot is not None and logs.find_slot(self._tx, log.number, row.slot) not in range(index + 1):
                self._report.add("entry", "its slot is not indexed", log=name, index=index)
            leaves.append(leaf)
            prev = row.leaf  # as it is kept: one damaged entry is one fault, not one for each that follows
        self._report.entries += len(rows)
        return leaves

    def _check_entry(self, log: logs.StoredLog, index: int, raw: bytes, prev: Digest) -> None:
        try:
            check_link(decode_entry(raw), log=log.origin, index=index, prev=prev)
        except (BadInput, BadProof) as cause:
            self._report.add("entry", cause, log=str(log.origin), index=index)

    def _check_nodes(self, log: logs.StoredLog) -> None:
        """Subtree hashes above the leaves, each against those below it."""
        read = logs.hash_reader(self._tx, log.number)
        for level, index, digest in logs.list_nodes(self._tx, log.number):
            try:
                left, right = (read(8 * level - 1, 2 * index + side) for side in (0, 1))
                if node_hash(left, right) == digest:
                    continue
                self._report.add("subtree hash", f"level {level}, number {index}", log=str(log.origin))
            except TallyError as cause:
                self._report.add("subtree hash", cause, log=str(log.origin))

    def _check_checkpoint(self, log: logs.StoredLog, size: int, note: bytes, root: Digest) -> None:
        name = str(log.origin)
        try:
            key = self._membership.network.log_key(log.origin, size)
            checkpoint = open_checkpoint(note, origin=log.origin, key=key)
            if (checkpoint.size, checkpoint.root) != (size, root):
                self._report.add("checkpoint", f"of size {size}: the entries do not have its root", log=name)
        except (TallyError, ValueError) as cause:
            self._report.add("checkpoint", f"of size {size}: {cause}", log=name)
        self._report.checkpoints += 1
        for member, line in checkpoints.read_cosignatures(self._tx, log.number, size):
            self._check_cosignature(name, note, member, line)

    def _check_cosignature(self, name: str, note: bytes, member: MemberName, line: bytes) -> None:
        try:
            text = decode_note(note).text
            decode_checkpoint(text)
            signatures = decode_note(text.encode() + b"\n" + line).signatures
            keys = [key for key in self._membership.witness_keys.get(member, ()) if signatures[0].is_of(key)]
            if not keys:
                self._report.add("cosignature", f"of no key of {member}", log=name)
            for key in keys:
                verify_cosignature(text, signatures[0], key)
        except (TallyError, ValueError) as cause:
            self._report.add("cosignature", f"of {member}: {cause}", log=name)
        self._report.cosignatures += 1

    # --- bodies -----------------------------------------------------------------------

    def _check_bodies(self, log: logs.StoredLog, start: int, end: int) -> None:
        rows = dict(logs.scan_packed(self._tx, log.number, start, end))
        contexts = Contexts(self._membership.network_id, log.origin)
        missing = set(rows) - {index for index, _ in sidecars.list_gaps(self._tx, log.number)}
        for index, packed in self._scan(log, start, end):
            missing.discard(index)
            row = rows.get(index)
            if not isinstance(row, PackedEntry):
                continue  # the entry's own fault is named already
            try:
                if row.body is None or row.id is None:
                    self._report.add("body", "of an entry that has none", log=str(log.origin), index=index)
                    continue
                if sha256(packed.manifest_bytes) != row.body:
                    reason = "manifest or ciphertexts are not those that the entry names"
                    self._report.add("body", reason, log=str(log.origin), index=index)
                    continue
                self._check_sections(log, index, packed, record_id=row.id, body=row.body, contexts=contexts)
            except (TallyError, KeyError) as cause:
                self._report.add("body", cause, log=str(log.origin), index=index)

        if str(log.origin) == self._own:
            for index in sorted(missing):
                self._report.add("body", "it is not here, and no gap says so", log=str(log.origin), index=index)

    def _scan(self, log: logs.StoredLog, start: int, end: int) -> Iterator[tuple[int, PackedSidecar]]:
        for index, packed in sidecars.scan_sidecars_raw(self._tx, log.number, start, end):
            self._report.bodies += 1
            if isinstance(packed, RowDamaged):
                self._report.add("body", packed, log=str(log.origin), index=index)
            else:
                yield index, packed

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
            held = {n: packed.sections[n] for n in wrap.sections if n in packed.sections}
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
                self._opened[log.number, index] = opened.meta.type

    def _wrapper(self, channel: StoredChannel, log: logs.StoredLog) -> Wrapper:
        key = (channel.number, str(log.origin))
        if key not in self._wrappers:
            assert self._keyring is not None, "only called with a keyring"
            message = channel.decoded()
            opened = receive_channel(message, self._membership.network_id, self._keyring.opening[message.sealing_key])
            self._wrappers[key] = Wrapper(opened, log.origin)
        return self._wrappers[key]
