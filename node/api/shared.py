"""Groups of errors that many routes share, and the header that makes a request repeatable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ledger.errors import DuplicateKey, JsonMalformed, TallyError, TooDeep, TooLarge
from node.api.errors import MediaTypeWrong, UploadTooSlow, UploadTruncated
from node.append import HeadMoved, LogFrozen, LogIncomplete, NodeStopped, QueueFull
from node.batch import OverCharterLimit
from node.channels import PartyGone
from node.guard import NodeNotReady
from node.node import NotAdopted
from node.storage.engine import DiskFull
from node.storage.store import DatabaseReplaced
from node.tokens import Scope

Errors = tuple[type[TallyError], ...]

WRITING: Final[Errors] = (
    NotAdopted,
    NodeNotReady,
    QueueFull,
    NodeStopped,
    DiskFull,
    DatabaseReplaced,
    TooLarge,
    OverCharterLimit,
    PartyGone,
    HeadMoved,
    LogFrozen,
    LogIncomplete,
)
"""What every route that records may answer."""
UPLOADING: Final[Errors] = (MediaTypeWrong, UploadTruncated, UploadTooSlow, TooLarge)
"""What every route that reads a body may answer."""
PARSING: Final[Errors] = (JsonMalformed, DuplicateKey, TooDeep)
"""What every route that reads strict JSON may answer."""
READERS: Final = (Scope.READ, Scope.AUDIT)

KEY_HEADER: Final[Mapping[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 printable ASCII characters. The same request with the same key and token is recorded "
    "once; with NDJSON this holds for every line by its number.",
    "schema": {"type": "string", "pattern": "^[ -~]{1,255}$"},
}
