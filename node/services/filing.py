"""Filing records: an envelope in, a durable record out; a repeated request gets its first answer."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.errors import TallyError
from node.append import Appended, IdempotencyConflict, NewRecord
from node.node import Node
from node.storage import facts, logs


def parse_record(
    node: Node, text: bytes, *, by: bytes, answer_key: bytes | None, dry_run: bool = False
) -> NewRecord | Appended:
    """The draft of one envelope, or the answer that the same request was given before.

    A request that was answered stays answered, also where it would be refused by now (the contract ended, say).
    dry_run: look for an answer in any case, as nobody else will.
    Raises: what `Intake.parse` raises; IdempotencyConflict, RowDamaged.
    """
    try:
        new = node.joined.intake.parse(text, by=by, answer_key=answer_key)
    except TallyError:
        found = None if answer_key is None else find_answer(node, answer_key, node.joined.intake.digest(text))
        if found is None:
            raise
        return found
    known = find_answer(node, answer_key, new.request) if dry_run and answer_key is not None else None
    return known or new


def find_answer(node: Node, answer_key: bytes, request: bytes) -> Appended | None:
    """What was recorded under `answer_key`. Raises: IdempotencyConflict if it was for another request; RowDamaged."""
    with node.store.read() as tx:
        answer = facts.find_answer(tx, answer_key)
        if answer is None:
            return None
        if answer.request != request:
            raise IdempotencyConflict(index=answer.index)
        log = logs.find_log(tx, node.joined.origin)
        assert log is not None, "the own log was made at adoption"
        node.let_out(log)
        row = logs.read_row(tx, log.number, answer.index)
    assert row.id is not None, "own entries have ids"
    return Appended(answer.index, row.id, row.leaf, True)


def find_answers(node: Node, keys: Sequence[bytes]) -> dict[bytes, facts.Answer]:
    """Which of `keys` were answered, for saying beforehand what would be a repeat."""
    with node.store.read() as tx:
        return facts.find_answers(tx, keys)
