"""What the view knows of contracts, by which it marks records with problems.

The worker reads the statements of the ledger as the node does. One that arrives after a record
may judge it otherwise: so the view remembers by how many statements it was filled, and once
there are more, looks again at the records that they may be about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ledger.names import MemberName
from node.agreements import Agreements
from node.problems import PASSING, Judge
from node.reader import Reader, ReadRecord
from node.statements import take_all
from node.storage import logs, sidecars, viewsource, viewstore
from node.storage.store import Tx
from node.storage.tables import row_key
from node.storage.viewstore import ViewStore
from node.storage.viewtables import split_place


class Judging:
    """Owned by one thread."""

    def __init__(self, member: MemberName) -> None:
        self._agreements = Agreements(member)
        self._judge = Judge(self._agreements.get, member)
        self._taken: set[tuple[int, int]] = set()

    def refresh(self, tx: Tx, reader: Reader) -> int:
        """Take in the statements that came; returns how many there are."""
        if viewsource.count_statements(tx) == len(self._taken):
            return len(self._taken)
        stated = [one for one in sidecars.list_statements(tx) if one[:2] not in self._taken]
        # What is damaged on this disk `fsck` tells.
        take_all(self._agreements, reader, tx, stated, is_strict=False)
        self._taken.update([one[:2] for one in stated])
        return len(self._taken)

    def find_codes(self, record: ReadRecord) -> list[str]:
        """The codes of its problems, each once."""
        return list(dict.fromkeys([problem.code for problem in self._judge.find_problems(record)]))

    def list_due(self, views: ViewStore, heads: Sequence[logs.StoredLog]) -> Iterator[list[tuple[int, int]]]:
        """(log number, index) of rows that statements may judge otherwise by now, a chunk at a time.

        Those that lacked a statement, and those that stand behind where their author ended the contract.
        """
        for code in PASSING:
            yield from _pages(views, partial(viewstore.list_marked, code=code))
        for contract in self._agreements.list():
            for head in heads:
                until = contract.until.get(head.origin.member)
                if until is None or until[0] > head.origin.epoch:
                    continue
                # In a log of a later epoch, every record stands behind it.
                first = until[1] + 1 if until[0] == head.origin.epoch else 0
                keys = row_key(head.number, first), row_key(head.number + 1, 0)
                yield from _pages(views, partial(viewstore.list_under, contract=contract.id, keys=keys))


def _pages(views: ViewStore, query: Callable[..., list[bytes]]) -> Iterator[list[tuple[int, int]]]:
    after = b""
    while True:
        with views.read() as tx:
            places = query(tx, after=after)
        if not places:
            return
        after = places[-1]
        yield sorted(split_place(place)[1:] for place in places)
