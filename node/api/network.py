"""The node and its network over HTTP: status, charter and cards, peers, evidence."""

from __future__ import annotations

import time
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from ledger import limits
from ledger.errors import (
    BadSignature,
    CardInvalid,
    CharterInvalid,
    EncodingError,
    ForeignNetwork,
    Missing,
    MissingSignature,
    PreviousMismatch,
    UnknownKey,
    UnknownMember,
    VersionGap,
    WeakKey,
)
from ledger.network import decode_network_file
from node.api import models
from node.api.errors import encode
from node.api.routes import JSON_TYPE, Answer, Body, Context, Routes
from node.api.shared import PARSING, READERS, UPLOADING
from node.api.uploads import check_media_type, read_body
from node.node import CharterConflict, NotAdopted, NotThisMember
from node.services import standing
from node.storage.engine import DiskFull
from node.tokens import Scope

_VERIFYING: Final = (
    BadSignature,
    CardInvalid,
    CharterInvalid,
    EncodingError,
    ForeignNetwork,
    Missing,
    MissingSignature,
    PreviousMismatch,
    UnknownKey,
    UnknownMember,
    VersionGap,
    WeakKey,
)
"""What verifying charters and cards may find."""


def make_router(context: Context) -> APIRouter:
    doors = _Network(context)
    routes = Routes(context, "node")
    routes.add("GET", "/status", doors.status, scopes=READERS, answers=[Answer(model=models.Status)])
    routes.add(
        "GET",
        "/network",
        doors.network,
        scopes=READERS,
        answers=[Answer(media_type=JSON_TYPE, says="The network file, byte for byte as `tally verify` takes it.")],
        errors=[NotAdopted],
    )
    routes.add(
        "POST",
        "/network",
        doors.adopt,
        scopes=[Scope.ADMIN],
        answers=[Answer(model=models.Network, says="Adopted, durably.")],
        errors=(*UPLOADING, *PARSING, *_VERIFYING, CharterConflict, NotThisMember, DiskFull),
        body=Body(schemas={JSON_TYPE: {"type": "object"}}),
    )
    routes.add(
        "GET",
        "/peers",
        doors.peers,
        scopes=READERS,
        answers=[Answer(model=models.PeerList)],
        errors=[NotAdopted],
    )
    routes.add("GET", "/evidence", doors.evidence, scopes=READERS, answers=[Answer(model=models.EvidenceList)])
    return routes.router


class _Network:
    """One method per route."""

    def __init__(self, context: Context) -> None:
        self._node = context.node
        self._contacts = context.contacts
        self._started = time.monotonic()

    async def status(self) -> Response:
        """This node: who it is, whether it may sign, and what it holds."""
        uptime_s = int(time.monotonic() - self._started)
        return _json(await run_in_threadpool(standing.describe_status, self._node, uptime_s=uptime_s))

    async def network(self) -> Response:
        """The network file: every charter and card that this node goes by."""
        return Response(await run_in_threadpool(standing.read_network_file, self._node), media_type=JSON_TYPE)

    async def adopt(self, request: Request) -> Response:
        """Adopt a network file: join its network, or take in newer charters and cards of it."""
        check_media_type(request, JSON_TYPE)
        text = await read_body(request, limits.NETWORK_FILE_BYTES_MAX)
        return _json(await run_in_threadpool(self._adopt, text))

    async def peers(self) -> Response:
        """Every other member: when it was last heard, and what each side holds of the other's log."""
        return _json({"peers": await run_in_threadpool(standing.describe_peers, self._node, self._contacts)})

    async def evidence(self) -> Response:
        """What was found against members: two signed things that contradict each other."""
        found = [
            {
                "id": item.id.hex(),
                "kind": item.kind,
                "member": item.member,
                "log": item.log or None,
                "found_ms": item.found_ms,
                "document": item.document.decode(errors="replace"),
            }
            for item in await run_in_threadpool(standing.list_evidence, self._node)
        ]
        return _json({"evidence": found})

    def _adopt(self, text: bytes) -> dict[str, Any]:
        membership = self._node.adopt(decode_network_file(text))
        charter = membership.network.charter
        return {
            "network": charter.network,
            "fingerprint": membership.network_id.hex(),
            "charter": charter.version,
            "members": list(membership.names),
        }


def _json(value: object) -> Response:
    return Response(encode(value), media_type=JSON_TYPE)
