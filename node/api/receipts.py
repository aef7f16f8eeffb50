"""Receipts over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.concurrency import run_in_threadpool

from ledger.errors import EncodingError, FieldUnknown, Missing, NotEntitled
from ledger.names import decode_size
from ledger.receipt import encode_receipt
from node.api.routes import JSON_TYPE, Answer, Context, Routes
from node.api.shared import READERS
from node.node import NotAdopted
from node.receipts import NotCoveredYet, NotInForce, make_receipt


def make_router(context: Context) -> APIRouter:
    node = context.node

    def make(log: str, index: int, fields: list[str]) -> bytes:
        return encode_receipt(make_receipt(node, log, index, fields))

    async def receipt(
        log: str,
        index: str,
        fields: Annotated[list[str], Query(description="JSON Pointers of the fields to disclose.")] = [],  # noqa: B006
    ) -> Response:
        """A receipt of one record: proves offline that its author filed it, and shows the chosen fields."""
        content = await run_in_threadpool(make, log, decode_size(index, "index"), fields)
        return Response(content, media_type=JSON_TYPE)

    routes = Routes(context, "records")
    routes.add(
        "GET",
        "/records/{log:path}/{index}/receipt",
        receipt,
        scopes=READERS,
        answers=[Answer(media_type=JSON_TYPE, says="The receipt, byte for byte as `tally verify` takes it.")],
        errors=(NotAdopted, Missing, EncodingError, NotEntitled, NotInForce, FieldUnknown, NotCoveredYet),
    )
    return routes.router
