"""How a route is declared: its scopes, what it answers, and every error that it may answer with.

A route that is added here cannot be without its check of the token, nor take a query parameter
that it does not have, nor be left out of the OpenAPI document.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from ledger.errors import TallyError
from node.api.errors import PROBLEM_TYPE, InternalFault, MethodWrong, ParameterWrong, RouteUnknown, status_of
from node.node import Node
from node.services.gathering import Gathering
from node.services.standing import Contacts
from node.storage.packing import RowDamaged
from node.storage.viewstore import ViewStore
from node.tokens import Scope, ScopeMissing, Token, TokenBook, TokenRefused

PREFIX: Final = "/api/v1"
JSON_TYPE: Final = "application/json"
_ALWAYS: Final[tuple[type[TallyError], ...]] = (
    TokenRefused, ScopeMissing, ParameterWrong, InternalFault, RowDamaged,
)  # fmt: skip
EVERYWHERE: Final[tuple[type[TallyError], ...]] = (RouteUnknown, MethodWrong)
"""What a caller gets who misses every route."""
_PARAMETER: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}\Z")  # anything longer is not repeated: it may be a token


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the routes work on."""

    node: Node
    tokens: TokenBook
    gathering: Gathering
    views: ViewStore
    contacts: Contacts = dict


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a route answers when all is well. model: of the JSON, or of each line of it; None for other bytes."""

    status: int = 200
    model: type[BaseModel] | None = None
    media_type: str = JSON_TYPE
    says: str = "Done."


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a route takes: a schema per media type."""

    schemas: Mapping[str, Mapping[str, Any]]


class Routes:
    """Collects the routes of one theme."""

    def __init__(self, context: Context, theme: str) -> None:
        self.router = APIRouter(prefix=PREFIX, tags=[theme])
        self._tokens = context.tokens

    def add(
        self,
        method: str,
        path: str,
        endpoint: Callable[..., Awaitable[Response]],
        *,
        scopes: Sequence[Scope],
        answers: Sequence[Answer],
        errors: Sequence[type[TallyError]] = (),
        body: Body | None = None,
        headers: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Declare one route. scopes: a token with any one of them may call it; none stands for any valid token."""
        extra: dict[str, Any] = {"security": [{"token": [scope.value for scope in scopes]}]}
        if body is not None:
            extra["requestBody"] = {
                "required": True,
                "content": {kind: {"schema": schema} for kind, schema in body.schemas.items()},
            }
        # A parameter with a slash in it is another path.
        around = EVERYWHERE if "{" in path else ()
        if headers:
            extra["parameters"] = list(headers)
        names: list[str] = []
        self.router.add_api_route(
            path,
            endpoint,
            methods=[method],
            dependencies=[Depends(make_check(self._tokens, scopes, names))],
            status_code=answers[0].status,
            response_model=None,
            response_class=Response,
            responses={**_describe_answers(answers), **describe_errors((*_ALWAYS, *around, *errors))},
            openapi_extra=extra,
        )
        route = self.router.routes[-1]
        assert isinstance(route, APIRoute), "what was just added"
        names += [parameter.alias for parameter in route.dependant.query_params]


def make_check(
    tokens: TokenBook, scopes: Sequence[Scope], parameters: Collection[str] = ()
) -> Callable[[Request], Awaitable[None]]:
    """What lets in a request with a token that has one of `scopes`, or, where there are none, with any.

    parameters: which its query may have.
    """

    async def check(request: Request) -> None:
        """Raises: TokenRefused, ScopeMissing, ParameterWrong."""
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise TokenRefused(reason="there is none in the header Authorization")
        token = tokens.verify(text.strip())
        if scopes:
            token.check_scope(scopes)
        request.state.token = token
        if request.scope["query_string"]:
            _check_query(request, parameters)

    return check


def token_of(request: Request) -> Token:
    """The token that the route's check let in."""
    token = request.state.token
    assert isinstance(token, Token), "every route is declared with `Routes.add`"
    return token


def describe_errors(errors: Sequence[type[TallyError]]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for its errors: per status, the codes that may come with it."""
    by_status: dict[int, list[type[TallyError]]] = defaultdict(list)
    for error in dict.fromkeys(errors):
        by_status[status_of(error)].append(error)
    return {
        status: {
            "description": "; ".join(f"`{error.code}`: {error.template}" for error in sorted(found, key=_code)),
            "content": {
                PROBLEM_TYPE: {
                    "schema": {
                        "allOf": [{"$ref": "#/components/schemas/Problem"}],
                        "properties": {"code": {"enum": sorted(error.code for error in found)}},
                    }
                }
            },
        }
        for status, found in sorted(by_status.items())
    }


def _check_query(request: Request, parameters: Collection[str]) -> None:
    """Raise for a parameter that the route does not have: without its effect, a write would not be what was meant."""
    for name in request.query_params:
        if name not in parameters:
            near = get_close_matches(name[:100], parameters, 1)
            instead = f"did you mean {near[0]!r}?" if near else f"this route has {', '.join(parameters) or 'none'}"
            shown = name if _PARAMETER.match(name) else "..."
            raise ParameterWrong(name=shown, reason=f"no such parameter here; {instead}")


def _describe_answers(answers: Sequence[Answer]) -> dict[int | str, dict[str, Any]]:
    found: dict[int | str, dict[str, Any]] = {}
    for answer in answers:
        entry = found.setdefault(answer.status, {"description": answer.says})
        if answer.model is not None and answer.media_type == JSON_TYPE:
            entry["model"] = answer.model
        elif answer.status != 204:
            # FastAPI describes JSON alone: the model of anything else is in the list of `node.api.document`.
            schema = {} if answer.model is None else {"$ref": f"#/components/schemas/{answer.model.__name__}"}
            entry.setdefault("content", {})[answer.media_type] = {"schema": schema}
    return found


def _code(error: type[TallyError]) -> str:
    return error.code
