"""Mirrored logs in the store: the commits that a round asks for.

Spec: docs/spec/replica.md, "Actions".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.checkpoint import SignedCheckpoint, decode_checkpoint
from ledger.errors import Conflict
from ledger.names import Digest, MemberName, Origin, decode_b64, encode_b64
from ledger.note import decode_note
from ledger.replica import CommitEntries, EntryBatch, Head, Repeat
from node.storage import checkpoints, facts, logs, places
from node.storage.packing import pack_entry, pack_raw_entry
from node.storage.store import Tx, insert_many
from node.storage.tables import IdRow, SlotRow

ANNOUNCED: Final = "announced-card "
"""Name of a fact, an origin after it: the newest card that the entries of that log announce."""


class ReplicaMoved(Conflict):
    code = "replica-moved"
    template = "the copy of {log} was changed by another round"
    hint = "Nothing is lost; the next round goes on from what is durable."


def read_head(tx: Tx, log: logs.StoredLog, *, member: MemberName) -> Head:
    """What a round of `member` starts from."""
    return Head(
        origin=log.origin,
        frontier=log.frontier,
        last_leaf=log.last_leaf,
        checkpoint=None if log.checkpoint is None else read_signed(log.checkpoint),
        targets=tuple(read_signed(note) for note in logs.read_targets(tx, log.number)),
        cosigned_size=checkpoints.cosigned_size(tx, log.number, member),
        no_cosign_from=log.no_cosign_from,
        repeat=None if log.repeat is None else Repeat(*log.repeat),
        frozen=log.frozen,
    )


def commit_entries(tx: Tx, action: CommitEntries) -> list[Repeat]:
    """Make one verified batch durable; see `ledger.replica.CommitEntries`. Raises: ReplicaMoved."""
    batch = action.batch
    log = logs.find_log(tx, batch.origin)
    if log is None or log.size != batch.start:
        raise ReplicaMoved(log=str(batch.origin))
    logs.insert_entries(tx, log.number, batch.start, _packed(batch))
    logs.insert_rows(tx, log.number, log.frontier.extended_rows(batch.leaves)[1])
    repeats = _insert_ids(tx, log.number, batch) + _insert_slots(tx, log.number, batch)
    announced = [u.entry.card for u in batch.unusual.values() if u.entry and u.entry.card and not u.is_newer]
    if announced:
        keep_announced(tx, batch.origin, announced[-1])
    note = action.checkpoint.note
    swapped = logs.advance_head(
        tx,
        log,
        frontier=action.frontier,
        last_leaf=batch.leaves[-1] if batch.leaves else log.last_leaf,
        checkpoint=note if action.is_complete else None,
        checkpoint_size=action.frontier.size,
    )
    if not swapped:
        raise ReplicaMoved(log=str(batch.origin))
    if not action.is_complete:
        logs.keep_target(tx, log.number, action.checkpoint.checkpoint.size, note)
    logs.drop_targets(tx, log.number, up_to=action.frontier.size)
    if repeats:
        limit = min(repeat.second for repeat in repeats) + 1
        if log.no_cosign_from is None or limit < log.no_cosign_from:
            logs.set_log(tx, log.number, no_cosign_from=limit)
        first = min(repeats, key=lambda repeat: repeat.second)
        if log.repeat is None or first.second < log.repeat[1]:
            logs.set_log(tx, log.number, repeat_first=first.first, repeat_second=first.second)
    return repeats


def keep_announced(tx: Tx, origin: Origin, card: Digest) -> None:
    """Note which card the entries of a log announced last, so that no turn has to search them for it."""
    facts.set_meta(tx, ANNOUNCED + str(origin), encode_b64(card))


def announced_card(tx: Tx, origin: Origin) -> Digest | None:
    """Hash of the newest card that the entries held of a log announce; None where none does."""
    found = facts.get_meta(tx, ANNOUNCED + str(origin))
    return None if found is None else Digest(decode_b64(found))


def _packed(batch: EntryBatch) -> list[bytes]:
    if not batch.unusual:
        rows = zip(batch.leaves, batch.ids, batch.bodies, strict=True)
        return [b"\0" + leaf + id_ + body for leaf, id_, body in rows if id_ is not None and body is not None]
    packed = []
    for index, (leaf, id_, body) in enumerate(zip(batch.leaves, batch.ids, batch.bodies, strict=True), batch.start):
        unusual = batch.unusual.get(index)
        if unusual is not None and (unusual.entry is None or unusual.is_newer):
            packed.append(pack_raw_entry(leaf, unusual.raw, is_invalid=unusual.is_invalid))
            continue
        assert id_ is not None and body is not None, "only invalid and newer entries lack id or body"
        entry = unusual.entry if unusual else None
        if entry is None:
            packed.append(pack_entry(leaf, id_, body))
        else:
            packed.append(pack_entry(leaf, id_, body, slot=entry.slot, card=entry.card, charter=entry.charter))
    return packed


def _insert_ids(tx: Tx, log: int, batch: EntryBatch) -> list[Repeat]:
    """Index the ids. Those of an honest author ascend, which one look at the greatest id shows to be new."""
    ids = [(id_, index) for index, id_ in enumerate(batch.ids, batch.start) if id_ is not None]
    last = places.last_id(tx, log) or b""
    texts = [id_ for id_, _ in ids]
    known: dict[bytes, int] = {}
    if any(a >= b for a, b in zip([last, *texts], texts, strict=False)):
        known = places.find_ids(tx, log, texts)
    fresh, repeats = _first_uses(ids, known)
    insert_many(tx, IdRow, [(log, id_, index) for id_, index in fresh])
    return repeats


def _insert_slots(tx: Tx, log: int, batch: EntryBatch) -> list[Repeat]:
    known = {slot: found for slot, _ in batch.slots if (found := places.find_slot(tx, log, slot)) is not None}
    fresh, repeats = _first_uses(batch.slots, known)
    insert_many(tx, SlotRow, [(log, slot, index) for slot, index in fresh])
    return repeats


def _first_uses(
    items: Sequence[tuple[bytes, int]], known: dict[bytes, int]
) -> tuple[list[tuple[bytes, int]], list[Repeat]]:
    fresh: list[tuple[bytes, int]] = []
    repeats = []
    for item, index in items:
        if item in known:
            repeats.append(Repeat(known[item], index))
        else:
            fresh.append((item, index))
            known[item] = index
    return fresh, repeats


def read_signed(note: bytes) -> SignedCheckpoint:
    """A checkpoint that was verified before it was kept."""
    return SignedCheckpoint(checkpoint=decode_checkpoint(decode_note(note).text), note=note)
