"""What a node's own folder tells, before any peer is asked, of how far it has signed: the guard begins with it.

And what must be told there before anything that was signed leaves.
"""

from __future__ import annotations

from ledger.checkpoint import Checkpoint, SignedCheckpoint
from ledger.errors import Missing
from ledger.merkle import range_hash
from ledger.names import MemberName
from node.cosigned import CosignedBroken, CosignedFile
from node.guard import Guard
from node.highwater import HighWater, HighWaterBroken, HighWaterFile
from node.membership import Membership
from node.storage import checkpoints, logs
from node.storage.replicas import read_signed
from node.storage.store import DatabaseReplaced, Store, Tx


def make_guard(
    store: Store, membership: Membership, *, member: MemberName, high_water: HighWaterFile, cosigned: CosignedFile
) -> Guard:
    """The guard of `member`'s log. A file beside the store that cannot be read, or contradicts it, is a doubt."""
    _remember_cosigned(store, member, cosigned)
    origin, doubt = membership.origin(member), ""
    mark: HighWater | None = None
    try:
        mark = high_water.read()
        mark = mark if mark is not None and mark.origin == origin else None
        high_water.begin_at(mark)
        cosigned.check()
    except (CosignedBroken, HighWaterBroken) as cause:
        doubt = str(cause)
    is_other = False
    with store.read() as tx:
        log = logs.find_log(tx, origin)
        assert log is not None, "the own log was made at adoption"
        # A recovery that broke off has left the checkpoints that it was to lead to.
        signed = [log.size, *(read_signed(note).checkpoint.size for note in logs.read_targets(tx, log.number))]
        if mark is not None:
            signed.append(mark.size)
            contradiction = _contradicts(tx, log, mark)
            is_other, doubt = bool(contradiction), contradiction or doubt
    return Guard(
        others=others(membership, member),
        required=membership.network.charter.required_answers,
        size=log.checkpoint_size,
        high_water=max(signed),
        doubt=doubt,
        is_other=is_other,
    )


def others(membership: Membership, member: MemberName) -> tuple[MemberName, ...]:
    """Whom the guard of `member` asks."""
    return tuple(name for name in membership.names if name != member)


def let_out(high_water: HighWaterFile, log: logs.StoredLog) -> None:
    """Call before anything of the own log leaves: it may have become durable without the file being told of it."""
    if log.checkpoint is not None and log.checkpoint_size > high_water.size:
        root = read_signed(log.checkpoint).checkpoint.root
        high_water.rise(HighWater(log.origin, log.checkpoint_size, root))


def check_history(tx: Tx, log: logs.StoredLog, mark: HighWater | None) -> None:
    """See that the own log holds what this process knows to have been signed, `mark`: of before `tx` began.

    Raises: DatabaseReplaced.
    """
    if mark is not None and (log.checkpoint_size < mark.size or _contradicts(tx, log, mark)):
        raise DatabaseReplaced()


def may_cosign(tx: Tx, log: logs.StoredLog, checkpoint: Checkpoint, before: SignedCheckpoint | None) -> bool:
    """Whether the log, held up to `checkpoint`, goes on from what was cosigned of it `before`.

    If not, the database has forgotten that; what was cosigned becomes a target then, so that a fork is proved.
    """
    if before is None:
        return True
    if _holds(tx, log, before):
        return before.checkpoint.size <= checkpoint.size
    logs.keep_target(tx, log.number, before.checkpoint.size, before.note)
    return False


def _remember_cosigned(store: Store, member: MemberName, cosigned: CosignedFile) -> None:
    """Bring the cosigned file and the database together: each may know more than the other.

    What was cosigned and is not in a log becomes a target of its copy, which must not be contradicted.
    """
    with store.read() as tx:
        for log in logs.list_logs(tx):
            size = checkpoints.cosigned_size(tx, log.number, member)
            known = checkpoints.read_checkpoint(tx, log.number, at_least=size) if size else None
            if known is not None and known[0] == size:
                cosigned.record(read_signed(known[1]))
        found = [(logs.find_log(tx, signed.checkpoint.origin), signed) for signed in cosigned.list_newest()]
        missing = [(log, signed) for log, signed in found if log is not None and not _holds(tx, log, signed)]
    if missing:
        with store.write("restore-targets") as tx:
            for log, signed in missing:
                logs.keep_target(tx, log.number, signed.checkpoint.size, signed.note)


def _holds(tx: Tx, log: logs.StoredLog, signed: SignedCheckpoint) -> bool:
    """Whether the log is whole up to that checkpoint, and has its root there."""
    size, root = signed.checkpoint.size, signed.checkpoint.root
    if size > log.checkpoint_size:
        return False
    kept = checkpoints.read_checkpoint(tx, log.number, at_least=size)
    if kept is not None and kept[0] == size:
        return read_signed(kept[1]).checkpoint.root == root
    return not _contradicts(tx, log, HighWater(log.origin, size, root))


def _contradicts(tx: Tx, log: logs.StoredLog, mark: HighWater) -> str:
    """Why the log, where it is as long, does not have the root that was signed at that size; empty if it has."""
    if not 0 < mark.size <= log.size:
        return ""
    try:
        is_other = range_hash(0, mark.size, logs.hash_reader(tx, log.number)) != mark.root
    except Missing as cause:
        return f"{cause}: the database is in parts of two, as if its old -wal and -shm had not been removed"
    return "its high-water file and the database hold two histories" if is_other else ""
