"""The walk over the logs of a store: entries and what is indexed of them, subtree hashes, checkpoints, cosignatures."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ledger import limits
from ledger.checkpoint import decode_checkpoint, open_checkpoint, verify_cosignature
from ledger.entry import check_link, decode_entry
from ledger.errors import BadInput, BadProof, TallyError
from ledger.merkle import Frontier, leaf_hash, node_hash
from ledger.names import Digest, MemberName
from ledger.note import decode_note
from node.fsck import beside, heads, rows
from node.fsck.bodies import BodyCheck
from node.fsck.report import Report, Walked
from node.keyring import Keyring
from node.membership import Membership, load_membership
from node.storage import checkpoints, logs, places, sidecars
from node.storage.packing import PackedEntry
from node.storage.store import Tx

_CHUNK: Final = 4096


class Walk:
    """One walk over all that a store holds."""

    def __init__(self, tx: Tx, report: Report, keyring: Keyring | None, member: MemberName | None) -> None:
        self._tx = tx
        self._report = report
        self._keyring = keyring
        self._member = member

    def run(self) -> None:
        self._check_pages()
        beside.check_tokens(self._tx, self._report)
        beside.check_documents(self._tx, self._report)
        try:
            membership = load_membership(self._tx)
            found = logs.list_logs(self._tx)
        except (TallyError, ValueError, TypeError) as cause:
            self._report.add("charters, cards and logs", cause)
            return
        if membership is None:
            if found:
                self._report.add("charters and cards", "there are logs, and no charter that says whose they are")
            return
        self._check_all(membership, found)

    def _check_all(self, membership: Membership, found: list[logs.StoredLog]) -> None:
        self._membership: Membership = membership
        beside.check_signers(membership, self._report)
        own = beside.check_own_origin(self._tx, membership, self._report, self._member)
        channels = rows.check_channels(self._tx, membership, self._report)
        self._bodies = BodyCheck(
            self._tx,
            self._report,
            network=membership.network_id,
            channels=channels,
            own=own,
            member=self._member,
            keyring=self._keyring,
        )
        found = [self._checked_size(log) for log in found]
        walked = [self._check_log(log) for log in found]
        rows.check_strays(self._tx, found, self._report)
        rows.check_places(self._tx, found, self._report)
        rows.check_cosigned(self._tx, self._report)
        rows.check_evidence(self._tx, membership, self._report)
        rows.check_statements(self._tx, self._bodies.stated, self._report)
        heads.check_heads(self._tx, membership, self._report, walked=walked, own=own)
        beside.check_facts(self._tx, self._report, walked=walked, own=own)
        beside.check_answers(self._tx, self._report, walked=walked, own=own)

    def _check_pages(self) -> None:
        for row in self._tx.exec_driver_sql("PRAGMA integrity_check(20)"):
            if row[0] != "ok":
                self._report.add("database pages", row[0])

    def _checked_size(self, log: logs.StoredLog) -> logs.StoredLog:
        """The log as far as there are entries, which is one fault and not one for each that is missing."""
        held = logs.count_held(self._tx, log.number)
        if log.size <= held:
            return log
        self._report.add("head", f"its size is {log.size}, and its last entry {held - 1}", log=str(log.origin))
        return replace(log, size=held)

    # --- one log ----------------------------------------------------------------------

    def _check_log(self, log: logs.StoredLog) -> Walked:
        name = str(log.origin)
        kept = dict(checkpoints.list_checkpoints(self._tx, log.number))
        sizes = sorted(size for size in kept if size <= log.size)
        for size in sorted(set(kept) - set(sizes)):
            self._report.add("checkpoint", f"of size {size}, larger than what is held", log=name)
        walked = Walked(log)
        frontier, last = self._check_entries(walked, sizes, kept)
        if (frontier, last) != (log.frontier, log.last_leaf):
            self._report.add("head", "the stored frontier or last leaf is not that of the entries", log=name)
        if log.checkpoint is not None and kept.get(log.checkpoint_size) != log.checkpoint:
            self._report.add("checkpoint", "the head's is not the kept one of its size", log=name)
        self._report.add_gaps(sidecars.list_gaps(self._tx, log.number), log=name)
        return walked

    def _check_entries(self, walked: Walked, sizes: list[int], kept: dict[int, bytes]) -> tuple[Frontier, Digest]:
        log, frontier, prev = walked.log, Frontier(), logs.GENESIS
        stops = iter([*sizes, -1])
        stop = next(stops)
        for start in range(0, log.size, _CHUNK):
            leaves = self._check_chunk(walked, start, min(start + _CHUNK, log.size), prev)
            at = 0
            while start <= stop <= start + len(leaves):
                frontier = frontier.extended(leaves[at : stop - start])
                at = max(at, stop - start)
                self._check_checkpoint(log, stop, kept[stop], frontier.root())
                stop = next(stops)
            frontier = frontier.extended(leaves[at:])
            prev = leaves[-1] if leaves else prev
            self._bodies.check(log, start, min(start + _CHUNK, log.size))
        self._check_nodes(log)
        return frontier, prev

    def _check_chunk(self, walked: Walked, start: int, end: int, prev: Digest) -> list[Digest]:
        """Leaf hashes of [start, end), each computed from the entry's bytes."""
        log, name = walked.log, str(walked.log.origin)
        held = dict(logs.scan_packed(self._tx, log.number, start, end))
        leaves = []
        for index in range(start, end):
            row = held.get(index)
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
            walked.cards += [] if row.card is None else [row.card]
            walked.charters += [] if row.charter is None else [row.charter]
            leaves.append(leaf)
            prev = row.leaf  # as it is kept: one damaged entry is one fault, not one for each that follows
        self._report.entries += len(held)
        self._check_named(walked, {index: row for index, row in held.items() if isinstance(row, PackedEntry)})
        return leaves

    def _check_entry(self, log: logs.StoredLog, index: int, raw: bytes, prev: Digest) -> None:
        try:
            check_link(decode_entry(raw), log=log.origin, index=index, prev=prev)
        except (BadInput, BadProof) as cause:
            self._report.add("entry", cause, log=str(log.origin), index=index)

    def _check_named(self, walked: Walked, held: dict[int, PackedEntry]) -> None:
        """Every id and slot is in its table, by the first entry that has it. The inverse: `rows.check_places`."""
        number, name = walked.log.number, str(walked.log.origin)
        named = {index: places.names_of(row) for index, row in held.items()}
        ids = places.read_ids(self._tx, number, [record_id for record_id, _ in named.values() if record_id is not None])
        slots = places.read_slots(self._tx, number, [slot for _, slot in named.values() if slot is not None])
        for index, names in named.items():
            for what, found, one in (("id", ids, names[0]), ("slot", slots, names[1])):
                if one is None or found.get(one) == index:
                    continue
                if one not in found:
                    self._report.add("entry", f"its {what} is not indexed", log=name, index=index)
                elif not self._has_name(number, found[one], one):
                    continue  # named with the table
                elif found[one] > index:
                    self._report.add("entry", f"its {what} is indexed at a later entry", log=name, index=index)
                elif walked.repeat is None:
                    walked.repeat = index

    def _has_name(self, number: int, index: int, name: bytes) -> bool:
        try:
            return name in places.names_of(logs.read_row(self._tx, number, index))
        except (TallyError, TypeError):
            return False

    def _check_nodes(self, log: logs.StoredLog) -> None:
        """Subtree hashes above the leaves, each against those below it; there is one of every full subtree."""
        read = logs.hash_reader(self._tx, log.number)
        missing, level = set[tuple[int, int]](), 1
        while count := log.size // limits.TILE_WIDTH**level:
            missing |= {(level, index) for index in range(count)}
            level += 1
        for level, index, digest in logs.list_nodes(self._tx, log.number):
            if (level, index) not in missing:
                self._report.add("subtree hash", f"level {level}, number {index}: of none", log=str(log.origin))
                continue
            missing.discard((level, index))
            try:
                left, right = (read(8 * level - 1, 2 * index + side) for side in (0, 1))
                if node_hash(left, right) == digest:
                    continue
                self._report.add("subtree hash", f"level {level}, number {index}", log=str(log.origin))
            except TallyError as cause:
                self._report.add("subtree hash", cause, log=str(log.origin))
        for level, index in sorted(missing):
            self._report.add("subtree hash", f"level {level}, number {index}: it is missing", log=str(log.origin))

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
