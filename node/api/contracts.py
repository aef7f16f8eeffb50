"""Contracts over HTTP: propose, answer, list, show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from ledger import limits
from ledger.errors import EncodingError, Missing
from ledger.jsontext import encode_string
from node.agreements import ACCEPT, CodeNotRun, Contract, ProposalBroken, RoleNotAllowed
from node.api import models
from node.api.errors import encode
from node.api.routes import JSON_TYPE, Answer, Body, Context, Routes, token_of
from node.api.shared import KEY_HEADER, PARSING, READERS, UPLOADING, WRITING
from node.api.uploads import AnswerKey, check_media_type, read_body
from node.append import IdempotencyConflict, NewRecord
from node.intake import submitter
from node.services import contracts
from node.services.filing import find_answer
from node.tokens import Scope

_PROPOSAL: Final = {
    "type": "object",
    "required": ["source", "parties"],
    "additionalProperties": False,
    "properties": {
        "source": {"type": "string", "description": "The contract file, Python."},
        "terms": {},
        "parties": {
            "type": "object",
            "description": "Every role of the contract, with the members in it.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        },
    },
}


def make_router(context: Context) -> APIRouter:
    doors = _Contracts(context)
    routes = Routes(context, "contracts")
    routes.add(
        "GET",
        "/contracts",
        doors.list_all,
        scopes=READERS,
        answers=[Answer(model=models.ContractList)],
    )
    routes.add(
        "POST",
        "/contracts",
        doors.propose,
        scopes=[Scope.WRITE],
        answers=[
            Answer(status=201, model=models.ContractWhole, says="Proposed, durably."),
            Answer(model=models.ContractWhole, says="Proposed before under this key."),
        ],
        errors=(*WRITING, *UPLOADING, *PARSING, ProposalBroken, CodeNotRun, Missing, IdempotencyConflict),
        body=Body(schemas={JSON_TYPE: _PROPOSAL}),
        headers=[KEY_HEADER],
    )
    routes.add(
        "GET",
        "/contracts/{id}",
        doors.show,
        scopes=READERS,
        answers=[Answer(model=models.ContractWhole)],
        errors=(Missing, EncodingError),
    )
    for verb, type_name in contracts.STATEMENTS.items():
        routes.add(
            "POST",
            f"/contracts/{{id}}/{verb}",
            doors.stating(verb, type_name),
            scopes=[Scope.WRITE],
            answers=[Answer(model=models.ContractWhole, says="Said, durably, now or before.")],
            errors=(*WRITING, Missing, EncodingError, RoleNotAllowed, contracts.ContractSettled)
            + (CodeNotRun,) * (type_name == ACCEPT),
        )
    return routes.router


class _Contracts:
    """One method per route."""

    def __init__(self, context: Context) -> None:
        self._node = context.node
        self._gathering = context.gathering

    async def list_all(self) -> Response:
        """Every contract that this member is a party to, ended ones included."""
        node = self._node
        found = [contracts.describe(contract, node.member) for contract in node.agreements.list()]
        passed = sorted(node.agreements.passed_over())
        return Response(encode({"contracts": found, "passed_over": passed}), media_type=JSON_TYPE)

    async def propose(self, request: Request) -> Response:
        """Propose a contract to its parties; this counts as this member's acceptance."""
        check_media_type(request, JSON_TYPE)
        key = AnswerKey(request, self._node).of()
        await self._gathering.wait_until_ready()
        text = await read_body(request, limits.BODY_BYTES_MAX)
        request_hash = self._node.joined.intake.digest(text)
        # A proposal holds a fresh secret; what makes two requests the same is what the caller sent.
        done = None if key is None else await run_in_threadpool(find_answer, self._node, key, request_hash)
        if done is None:
            by = submitter(token_of(request).label)
            draft = await run_in_threadpool(contracts.draft_proposal, self._node, text, by=by)
            done = await self._gathering.append(NewRecord(draft, key, request_hash))
        return await self._show(self._node.agreements.get(done.leaf), 200 if done.is_repeat else 201)

    async def show(self, id: str) -> Response:
        """One contract, with its source and terms."""
        return await self._show(contracts.find_contract(self._node, id))

    def stating(self, verb: str, type_name: str) -> Callable[[Request, str], Awaitable[Response]]:
        async def state(request: Request, id: str) -> Response:
            await self._gathering.wait_until_ready()
            contract = contracts.find_contract(self._node, id)
            draft = contracts.draft_statement(self._node, contract, type_name, by=submitter(token_of(request).label))
            if draft is not None:
                await self._gathering.append(NewRecord(draft))
            return await self._show(self._node.agreements.get(contract.id))

        state.__name__ = verb
        state.__doc__ = f"{verb.capitalize()} a contract. The request has no body."
        return state

    async def _show(self, contract: Contract, status: int = 200) -> Response:
        terms = await run_in_threadpool(contracts.read_terms, self._node, contract)
        shown = encode(contracts.describe(contract, self._node.member))
        whole = b'%b,"source":%b,"terms":%b}' % (shown[:-1], encode_string(contract.source_text), terms)
        return Response(whole, status, media_type=JSON_TYPE)
