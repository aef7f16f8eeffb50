"""Looking after the database of a running node: it ends if another one takes its place.

Spec: docs/spec/sync.md, "The start-up guard".
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from node.node import Node
from node.startup import check_history
from node.storage.engine import DatabaseAway
from node.storage.store import DatabaseReplaced

_LOOK_S: Final = 0.5


async def watch_database(node: Node) -> None:
    """Return never; the guard looks at another database only at a start, so a node ends whose own was replaced.

    Raises: DatabaseReplaced, and what reading a damaged file raises.
    """
    while True:
        await asyncio.sleep(_LOOK_S)
        with suppress(DatabaseAway):  # it may come back
            await asyncio.to_thread(look_at_database, node)


def look_at_database(node: Node) -> None:
    """See that the own log is in the database as far as this process knows it to have been there.

    Raises: DatabaseReplaced.
    """
    node.store.check_identity()
    if not node.is_joined:
        return
    joined = node.joined
    # Both are of before the look, so that what is there by then is at least as much.
    size, mark = joined.guard.size, joined.high_water.mark if joined.guard.is_ready else None
    with node.store.read_anew() as tx:
        log = node.find_log(tx, str(joined.origin))
        if log.checkpoint_size < size:
            raise DatabaseReplaced()
        check_history(tx, log, mark)
