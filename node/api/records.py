"""Records over HTTP: file one or many, show one, list them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ledger import limits
from ledger.errors import EncodingError, Missing, PatternOnElement
from ledger.names import RecordId, decode_id, decode_size
from node.agreements import ContractNotActive, RoleNotAllowed, TypeUnknown, decode_contract_id
from node.api import models
from node.api.bulk import NDJSON_TYPE, BulkAnswer, Manner, describe_appended
from node.api.routes import JSON_TYPE, Answer, Body, Context, Routes, make_check, token_of
from node.api.shared import KEY_HEADER, PARSING, READERS, UPLOADING, WRITING
from node.api.uploads import AnswerKey, check_media_type, read_body
from node.append import Appended, IdempotencyConflict, NewRecord
from node.intake import EnvelopeBroken, submitter
from node.node import NotAdopted
from node.services import records
from node.services.filing import parse_record
from node.storage.viewsearch import SearchTooSlow
from node.storage.viewstore import ViewsDamaged, ViewsNotReady
from node.tokens import Scope
from node.views.search import Filters, SearchWrong

_ENVELOPE: Final = {
    "type": "object",
    "required": ["type", "body"],
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string", "pattern": "^[A-Za-z0-9._-][A-Za-z0-9._/-]{0,63}$"},
        "body": {"type": "object"},
        "contract": {"type": ["string", "null"], "pattern": "^[0-9a-f]{64}$"},
        "role": {"type": ["string", "null"]},
        "links": {
            "type": "array",
            "maxItems": limits.LINKS_MAX,
            "items": {
                "type": "array",
                "prefixItems": [{"type": "string"}, {"type": "string"}, {"type": "integer"}, {"type": "string"}],
                "minItems": 4,
                "maxItems": 4,
            },
        },
    },
}
FILING: Final = (
    EnvelopeBroken,
    EncodingError,
    TypeUnknown,
    ContractNotActive,
    RoleNotAllowed,
    Missing,
    PatternOnElement,
)
"""What a record itself may be refused for."""
FILERS: Final = (Scope.WRITE,)
_DryRun = Annotated[bool, Query(description="Check everything, record nothing.")]
_Milliseconds = Annotated[int | None, Query(ge=0, le=limits.INTEGER_MAX)]


def make_shortcut(context: Context) -> dict[str, Any]:
    """How filing without parameters is reached before all routing: the arguments of `Shortcut`."""
    return {"check": make_check(context.tokens, FILERS), "handler": _Records(context).file}


def make_router(context: Context) -> APIRouter:
    doors = _Records(context)
    routes = Routes(context, "records")
    routes.add(
        "POST",
        "/records",
        doors.file,
        scopes=FILERS,
        answers=[
            Answer(status=201, model=models.Appended, says="Durable."),
            Answer(model=models.AppendedOrChecked, says="Recorded before under this key, or sound in a dry run; "
                   "with NDJSON one line of JSON per line of the request, each once its record is durable."),
            Answer(media_type=NDJSON_TYPE, model=models.BulkLine),
        ],
        errors=(*FILING, *WRITING, *UPLOADING, *PARSING, IdempotencyConflict),
        body=Body(schemas={JSON_TYPE: _ENVELOPE, NDJSON_TYPE: {"type": "string"}}),
        headers=[KEY_HEADER],
    )  # fmt: skip
    routes.add(
        "GET",
        "/records",
        doors.list_some,
        scopes=READERS,
        answers=[Answer(model=models.RecordPage)],
        errors=(NotAdopted, EncodingError, SearchWrong, SearchTooSlow, ViewsNotReady, ViewsDamaged),
    )
    routes.add(
        "GET",
        "/records/{log:path}/{index}",
        doors.show,
        scopes=READERS,
        answers=[Answer(model=models.Record)],
        errors=(NotAdopted, Missing, EncodingError),
    )
    routes.add(
        "GET",
        "/records/{id}",
        doors.show_by_id,
        scopes=READERS,
        answers=[Answer(model=models.Record)],
        errors=(NotAdopted, Missing, EncodingError, records.IdAmbiguous),
    )
    return routes.router


class _Records:
    """One method per route."""

    def __init__(self, context: Context) -> None:
        self._node = context.node
        self._gathering = context.gathering
        self._views = context.views

    async def file(self, request: Request, dry_run: _DryRun = False) -> Response:
        """File one record (JSON), or one a line (NDJSON)."""
        kind = check_media_type(request, JSON_TYPE, NDJSON_TYPE)
        key, by = AnswerKey(request, self._node), submitter(token_of(request).label)
        if not dry_run:
            await self._gathering.wait_until_ready()
        if kind == NDJSON_TYPE:
            return BulkAnswer(request, self._node, self._gathering, Manner(by=by, key=key, dry_run=dry_run))
        text = await read_body(request, limits.LINE_BYTES_MAX)
        found = parse_record(self._node, text, by=by, answer_key=key.of(), dry_run=dry_run)
        if isinstance(found, NewRecord):
            if dry_run:
                return Response(b'{"dry_run":true}', media_type=JSON_TYPE)
            found = await self._gathering.append(found)
        return self._respond(found)

    async def list_some(
        self,
        *,
        log: Annotated[str | None, Query(description="A member's name, or the origin of a log.")] = None,
        author: Annotated[str | None, Query(description="A member's name.")] = None,
        state: Annotated[str | None, Query(description="open, closed, invalid, newer or broken.")] = None,
        type: Annotated[str | None, Query()] = None,
        contract: Annotated[str | None, Query(description="Its id, hexadecimal.")] = None,
        event_id: Annotated[str | None, Query(description="EPCIS event id.")] = None,
        epc: Annotated[str | None, Query(description="EPC or EPC class that an EPCIS event names.")] = None,
        biz_step: Annotated[str | None, Query(description="EPCIS business step.")] = None,
        from_ms: _Milliseconds = None,
        to_ms: _Milliseconds = None,
        flag: Annotated[str | None, Query(description="Of this member's own records.")] = None,
        problem: Annotated[str | None, Query(description="Its code, of others' records; any finds all.")] = None,
        cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
        limit: Annotated[int, Query(ge=1, le=limits.VIEW_PAGE_MAX)] = records.PAGE_RECORDS,
        order: Annotated[Literal["newest", "oldest"], Query(description="Which come first.")] = "newest",
    ) -> Response:
        """List records that pass every filter. A page may hold fewer than `limit`: only `next` tells the end."""
        filters = Filters(
            log=log,
            author=author,
            state=state,
            type=type,
            contract=None if contract is None else decode_contract_id(contract),
            event_id=event_id,
            epc=epc,
            biz_step=biz_step,
            from_ms=from_ms,
            to_ms=to_ms,
            flag=flag,
            problem=problem,
        )
        part = records.Part(cursor=cursor, limit=limit, newest_first=order == "newest")
        return _json(await run_in_threadpool(self._list, filters, part))

    async def show(self, log: str, index: str) -> Response:
        """One record by its log (origin, or the member's name) and index."""
        return _json(await run_in_threadpool(self._show, log, decode_size(index, "index")))

    async def show_by_id(self, id: str) -> Response:
        """One record by its id."""
        return _json(await run_in_threadpool(self._show_by_id, decode_id(id)))

    def _list(self, filters: Filters, part: records.Part) -> bytes:
        page = records.list_records(self._node, self._views, filters, part)
        return records.encode_page(page, self._node.member)

    def _show(self, log: str, index: int) -> bytes:
        return records.encode_record(records.find_record(self._node, log, index), self._node.member)

    def _show_by_id(self, record_id: RecordId) -> bytes:
        return records.encode_record(records.find_record_by_id(self._node, record_id), self._node.member)

    def _respond(self, done: Appended) -> Response:
        log = str(self._node.joined.origin).encode()
        return Response(
            b"{" + describe_appended(log, done) + b"}", 200 if done.is_repeat else 201, media_type=JSON_TYPE
        )


def _json(content: bytes) -> Response:
    return Response(content, media_type=JSON_TYPE)
