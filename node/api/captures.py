"""EPCIS files over HTTP."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from ledger import limits
from ledger.errors import EncodingError, Missing
from node.agreements import ContractNotActive
from node.api import models
from node.api.errors import encode
from node.api.routes import JSON_TYPE, Answer, Body, Context, Routes, token_of
from node.api.shared import PARSING, UPLOADING, WRITING
from node.api.uploads import check_media_type, read_body
from node.intake import submitter
from node.services.capturing import Order, capture_file
from node.services.contracts import find_contract
from node.tokens import Scope

JSON_LD_TYPE: Final = "application/ld+json"


def make_router(context: Context) -> APIRouter:
    node, gathering = context.node, context.gathering

    async def capture(
        request: Request,
        *,
        contract: Annotated[str | None, Query(description="Id of the contract to share under, hexadecimal.")] = None,
        role: Annotated[str | None, Query(description="In which this member files, where it has several.")] = None,
        accept_invalid: Annotated[bool, Query(description="Record what breaks the standard as well, flagged.")] = False,
        dry_run: Annotated[bool, Query(description="Check everything, record nothing.")] = False,
    ) -> Response:
        """Record the events of an EPCIS 2.0 document, query document or bare event; each event is one record."""
        check_media_type(request, JSON_TYPE, JSON_LD_TYPE)
        order = Order(
            contract=None if contract is None else find_contract(node, contract),
            role=role,
            by=submitter(token_of(request).label),
            accept_invalid=accept_invalid,
            dry_run=dry_run,
        )
        # Read before anything is asked of the node: a caller that is slow holds nothing up.
        file = await read_body(request, limits.EPCIS_FILE_BYTES_MAX)
        report = await capture_file(node, gathering, file, order)
        rows = {"recorded": report.recorded, "duplicates": report.duplicates, "refused": report.refused}
        counts = {
            "refused_more": report.refused_more, "events": report.events, "events_refused": report.events_refused,
        }  # fmt: skip
        status = 201 if report.recorded and not dry_run else 200
        return Response(encode({**rows, **counts, "dry_run": dry_run}), status, media_type=JSON_TYPE)

    routes = Routes(context, "captures")
    routes.add(
        "POST",
        "/captures",
        capture,
        scopes=[Scope.WRITE],
        answers=[
            Answer(
                status=201,
                model=models.CaptureReport,
                says="Something was recorded, durably: events, or what stands around them.",
            ),
            Answer(model=models.CaptureReport, says="Nothing new was recorded: see why in the report."),
        ],
        errors=(*WRITING, *UPLOADING, *PARSING, Missing, EncodingError, ContractNotActive),
        body=Body(schemas={JSON_TYPE: {"type": "object"}, JSON_LD_TYPE: {"type": "object"}}),
    )
    return routes.router
