"""What a node's own folder tells, before any peer is asked, of how far it has signed: the guard begins with it.

And what must be told there before anything that was signed leaves.
"""

from __future__ import annotations

import asyncio
from typing import Final

from ledger.merkle import range_hash
from ledger.names import MemberName
from node.guard import Guard
from node.highwater import HighWater, HighWaterBroken, HighWaterFile
from node.membership import Membership
from node.storage import logs
from node.storage.replicas import read_signed
from node.storage.store import Store, Tx

_LOOK_S: Final = 0.5


def make_guard(store: Store, membership: Membership, *, member: MemberName, high_water: HighWaterFile) -> Guard:
    """The guard of `member`'s log. A high-water file that cannot be read, or contradicts the store, is a doubt."""
    origin, doubt = membership.origin(member), ""
    mark: HighWater | None = None
    try:
        mark = high_water.read()
    except HighWaterBroken as cause:
        doubt = str(cause)
    else:
        mark = mark if mark is not None and mark.origin == origin else None
        high_water.begin_at(mark)
    is_other = False
    with store.read() as tx:
        log = logs.find_log(tx, origin)
        assert log is not None, "the own log was made at adoption"
        # A recovery that broke off has left the checkpoints that it was to lead to.
        signed = [log.size, *(read_signed(note).checkpoint.size for note in logs.read_targets(tx, log.number))]
        if mark is not None:
            signed.append(mark.size)
            is_other = _contradicts(tx, log, mark)
            if is_other:
                doubt = f"{high_water.path} and the database hold two histories"
    return Guard(
        others=tuple(name for name in membership.names if name != member),
        required=membership.network.charter.required_answers,
        size=log.checkpoint_size,
        high_water=max(signed),
        doubt=doubt,
        is_other=is_other,
    )


async def watch_database(store: Store) -> None:
    """Return never; the guard looks at another database only at a start, so a node ends whose own was replaced.

    Raises: DatabaseReplaced.
    """
    while True:
        await asyncio.sleep(_LOOK_S)
        store.check_identity()


def let_out(high_water: HighWaterFile, log: logs.StoredLog) -> None:
    """Call before anything of the own log leaves: it may have become durable without the file being told of it."""
    if log.checkpoint is not None and log.checkpoint_size > high_water.size:
        root = read_signed(log.checkpoint).checkpoint.root
        high_water.rise(HighWater(log.origin, log.checkpoint_size, root))


def _contradicts(tx: Tx, log: logs.StoredLog, mark: HighWater) -> bool:
    """Whether the log, where it is as long, had another root at the size that was signed last."""
    if not 0 < mark.size <= log.size:
        return False
    return range_hash(0, mark.size, logs.hash_reader(tx, log.number)) != mark.root
