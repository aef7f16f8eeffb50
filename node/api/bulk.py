"""Bulk: NDJSON in, one result per line out, each as its record becomes durable.

Three loops side by side. `_take` reads, checks and queues lines, and stays a bounded way
ahead of the appender; `_settle` waits for what was queued, in order; `_send` writes results.
Reading never waits for writing: a caller that sends everything before it reads anything is
served too, which is why the lines of one request are bounded.

If the caller goes away, what was queued by then is recorded: a prefix of its lines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from ledger import limits
from ledger.errors import TallyError, TooLarge
from ledger.letters import BOM
from ledger.names import encode_id
from node.api.errors import UploadTruncated, encode, note_fault, problem
from node.api.uploads import AnswerKey, read_lines
from node.append import Appended, NewRecord, Outcome
from node.node import Node
from node.services.filing import parse_record
from node.services.gathering import Gathering

NDJSON_TYPE: Final = "application/x-ndjson"
LINES_MAX: Final = 100_000
"""Lines of one request: results wait in memory for a caller that does not read them yet, some 200 bytes each."""

_GROUP_LINES: Final = 128  # parsed at a stretch: some 4 ms, during which the loop answers nobody else
_AHEAD: Final = 16  # groups queued and not durable yet: two commits of the largest size


class _Sound(Enum):
    """The result of a line in a dry run that would be recorded."""

    SOUND = "sound"


_SOUND: Final = _Sound.SOUND
_Result = Appended | TallyError | _Sound


@dataclass(frozen=True, slots=True)
class _Group:
    """Some lines in order. `results`: what is known of each already; None where the next of `pending` says it."""

    numbers: Sequence[int]
    results: Sequence[_Result | None]
    pending: asyncio.Future[list[Outcome]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the lines of a request are filed. by: who submits them."""

    by: bytes
    key: AnswerKey
    dry_run: bool = False


class BulkAnswer(Response):
    """Reads the request while it answers it."""

    def __init__(self, request: Request, node: Node, gathering: Gathering, manner: Manner) -> None:
        super().__init__(status_code=200, media_type=NDJSON_TYPE)
        del self.headers["content-length"]
        self._request = request
        self._node = node
        self._gathering = gathering
        self._manner = manner
        self._log = str(node.joined.origin).encode()
        self._taken = 0  # lines
        self._groups: asyncio.Queue[_Group | None] = asyncio.Queue(_AHEAD)
        self._written = bytearray()
        self._news = asyncio.Event()
        self._is_done = False
        self._has_failed = False  # a commit failed: what comes after it is not tried

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take())
            group.create_task(self._settle())
            group.create_task(self._send(send))

    # --- reading -----------------------------------------------------------------------

    async def _take(self) -> None:
        try:
            await self._take_lines()
        except UploadTruncated:
            pass  # nobody is there to be told
        except TallyError as cause:
            await self._groups.put(_Group([self._taken + 1], [cause], None))
        await self._groups.put(None)

    async def _take_lines(self) -> None:
        async for lines in read_lines(self._request):
            if self._taken == 0 and lines[0] is not None:
                lines[0] = lines[0].removeprefix(BOM)
            for at in range(0, len(lines), _GROUP_LINES):
                part = lines[at : at + _GROUP_LINES]
                await self._queue(self._taken, part)
                self._taken += len(part)
                if self._has_failed or self._taken > LINES_MAX:
                    return

    async def _queue(self, before: int, lines: Sequence[bytes | None]) -> None:
        """Check some lines and queue what may be recorded; blank ones only count."""
        numbers: list[int] = []
        results: list[_Result | None] = []
        records: list[NewRecord] = []
        for number, line in enumerate(lines, before + 1):
            if line is not None and not line.strip():
                continue
            numbers.append(number)
            found = self._parse(number, line)
            if not isinstance(found, NewRecord):
                results.append(found)
            elif self._manner.dry_run:
                results.append(_SOUND)
            else:
                records.append(found)
                results.append(None)
            if number > LINES_MAX:
                break
        if numbers:
            await self._groups.put(_Group(numbers, results, await self._submit(records) if records else None))
        await asyncio.sleep(0)  # let others be answered between two groups

    def _parse(self, number: int, line: bytes | None) -> NewRecord | Appended | TallyError:
        if number > LINES_MAX:
            return TooLarge(what="request", got=number, limit=LINES_MAX, unit="lines")
        if line is None:
            return TooLarge(what="line", got=limits.LINE_BYTES_MAX + 1, limit=limits.LINE_BYTES_MAX, unit="bytes")
        try:
            key, dry_run = self._manner.key.of(number), self._manner.dry_run
            return parse_record(self._node, line, by=self._manner.by, answer_key=key, dry_run=dry_run)
        except TallyError as cause:
            return cause

    async def _submit(self, records: Sequence[NewRecord]) -> asyncio.Future[list[Outcome]]:
        try:
            return await self._gathering.submit(records)
        except TallyError as cause:
            failed: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
            failed.set_exception(cause)
            return failed

    # --- answering ---------------------------------------------------------------------

    async def _settle(self) -> None:
        while (group := await self._groups.get()) is not None:
            outcomes: list[Outcome] = []
            if group.pending is not None:
                await asyncio.wait([group.pending])
                cause = group.pending.exception()
                if cause is None:
                    outcomes = group.pending.result()
                else:
                    self._has_failed = True
                    error = cause if isinstance(cause, TallyError) else note_fault(cause)
                    outcomes = [error] * group.results.count(None)
            settled = iter(outcomes)
            for number, known in zip(group.numbers, group.results, strict=True):
                self._written += self._line(number, next(settled) if known is None else known)
            self._news.set()
        self._is_done = True
        self._news.set()

    def _line(self, number: int, outcome: _Result) -> bytes:
        if isinstance(outcome, Appended):
            return b'{"line":%d,"status":%d,%b}\n' % (
                number,
                200 if outcome.is_repeat else 201,
                describe_appended(self._log, outcome),
            )
        if outcome is _SOUND:
            return b'{"line":%d,"status":200,"dry_run":true}\n' % number
        shown: dict[str, Any] = problem(outcome)
        return encode({"line": number, "status": shown["status"], "problem": shown}) + b"\n"

    async def _send(self, send: Send) -> None:
        is_done = False
        while not is_done:
            await self._news.wait()
            self._news.clear()
            is_done = self._is_done
            written, self._written = bytes(self._written), bytearray()
            await send({"type": "http.response.body", "body": written, "more_body": not is_done})


def describe_appended(log: bytes, outcome: Appended) -> bytes:
    """The members of the answer for a durable record, without braces."""
    return b'"log":"%b","index":%d,"id":"%b","leaf":"%b","repeated":%b' % (
        log,
        outcome.index,
        encode_id(outcome.id).encode(),
        outcome.leaf.hex().encode(),
        b"true" if outcome.is_repeat else b"false",
    )
