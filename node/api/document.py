"""The OpenAPI document: what the routes declared, the problem schema, and how to be let in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi

from node.api import models
from node.api.errors import encode
from node.api.routes import JSON_TYPE, Answer, Context, Routes
from node.services.standing import own_version

_ABOUT = """The partner API of a Tallystick node. Every error is a problem document (RFC 9457) with a stable `code`.
A query parameter that a route does not have is refused: `parameter`."""
_OF_OTHER_TYPES: Final = (models.Problem, models.BulkLine)
"""Models of answers that are not plain JSON, which FastAPI leaves out."""


def make_router(context: Context, app: FastAPI) -> APIRouter:
    async def document(_request: Request) -> Response:
        """This document."""
        return Response(encode(app.openapi()), media_type=JSON_TYPE)

    routes = Routes(context, "node")
    routes.add("GET", "/openapi.json", document, scopes=(), answers=[Answer(media_type=JSON_TYPE)])
    return routes.router


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What `app.openapi` is to be: made once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _make(app)
        return app.openapi_schema

    return openapi


def _make(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(title="Tallystick", version=own_version(), description=_ABOUT, routes=app.routes)
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    # What FastAPI would answer to a wrong parameter; here that is a problem document like all others.
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    for model in _OF_OTHER_TYPES:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for operations in found["paths"].values():
        for operation in operations.values():
            answer = operation["responses"].get("422", {})
            if "HTTPValidationError" in str(answer):
                del operation["responses"]["422"]
    return found
