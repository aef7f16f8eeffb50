"""Which firm captures what: the scenario's documents, or a given file's events spread over the firms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from ledger.errors import BadInput
from ledger.jsontext import check_strict, encode_string, members
from node.cli.demo.firms import FIRMS
from node.cli.inputs import read_text
from node.epcis.scenario import scenario

_BYTES_MAX = 64 << 20


class NothingToShare(BadInput):
    code = "nothing-to-share"
    template = "{path} holds no EPCIS events"
    hint = "Give an EPCIS 2.0 document or query document with an event list."


def documents_for(events: Path | None, seed: int) -> dict[str, bytes]:
    """An EPCIS document for each firm that has something to capture.

    Raises: NothingToShare, TooLarge, and what strict JSON raises.
    """
    if events is None:
        return dict(scenario(seed).documents)
    text = read_text(events, bytes_max=_BYTES_MAX)
    check_strict(text, bytes_max=_BYTES_MAX)
    path = _event_list_path(members(text))
    if path is None:
        raise NothingToShare(path=events)
    documents = _spread(text, path)
    if not documents:
        raise NothingToShare(path=events)
    return documents


def _event_list_path(document: Mapping[str, bytes]) -> tuple[str, ...] | None:
    """Where the events are: in a document, in a query document, or nowhere."""
    for path in (("epcisBody", "eventList"), ("epcisBody", "queryResults", "resultsBody", "eventList")):
        inner: Mapping[str, bytes] = document
        for step in path[:-1]:
            text = inner.get(step, b"")
            inner = members(text) if text[:1] == b"{" else {}
        if inner.get(path[-1], b"")[:1] == b"[":
            return path
    return None


def _spread(text: bytes, path: tuple[str, ...]) -> dict[str, bytes]:
    """The document once per firm, each with its share of the events, every text as it came."""
    inner = text
    for step in path:
        inner = members(inner)[step]
    events = [bytes(raw) for raw in msgspec.json.decode(inner, type=list[msgspec.Raw])]
    shares = {firm: events[at :: len(FIRMS)] for at, firm in enumerate(FIRMS)}
    return {firm: _replaced(text, path, b"[" + b",".join(share) + b"]") for firm, share in shares.items() if share}


def _replaced(text: bytes, path: tuple[str, ...], value: bytes) -> bytes:
    """The object `text` with the value at `path` replaced."""
    if not path:
        return value
    parts = []
    for name, inner in members(text).items():
        kept = _replaced(inner, path[1:], value) if name == path[0] else inner
        parts.append(encode_string(name) + b":" + kept)
    return b"{" + b",".join(parts) + b"}"
