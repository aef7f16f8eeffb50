"""The one route that needs no token: whether the node answers, and nothing else."""

from __future__ import annotations

from fastapi import APIRouter, Response

from node.api import models
from node.api.errors import encode
from node.api.routes import JSON_TYPE
from node.services.standing import own_version


def make_router() -> APIRouter:
    router = APIRouter(tags=["node"])
    answer = encode({"status": "ok", "version": own_version()})

    async def health() -> Response:
        """Whether the node answers."""
        return Response(answer, media_type=JSON_TYPE)

    router.add_api_route(
        "/health",
        health,
        methods=["GET"],
        response_model=None,
        response_class=Response,
        responses={200: {"description": "It does.", "model": models.Health}},
        openapi_extra={"security": []},
    )
    return router
