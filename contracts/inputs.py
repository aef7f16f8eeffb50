"""What a contract is given: a record as all signers see it, and where the sequence put it.

Spec: docs/spec/contract-engine.md, "What is passed".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from contracts.source import Source
from ledger import limits
from ledger.errors import BadInput
from ledger.fields import Rules, compile_rules, cut, join, unite
from ledger.jsontext import check_strict, encode_string, members, parse
from ledger.names import decode_name

NOBODY: Final[Rules] = compile_rules({})
"""The rules of what is not recorded: no role reads it."""

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
MEMBERS: Final = frozenset(("author", "body", "id", "links", "role", "source", "time", "type"))
_FIRST_MS: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_STEP_MS: Final = 1_000


class InputMalformed(BadInput):
    code = "input-malformed"
    template = "{where}: {reason}"
    hint = (
        'An input is one JSON object a line: {"type": ..., "role": ..., "body": {...}}; author, id, time, links may be '
        "there. `tally contract inputs` makes them of documents."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One record on its way into a contract. time: its own, ordered: the sequence's; RFC 3339, UTC, milliseconds.

    position: its place in the stream, from 0. links: (relation, log, index, leaf hash), as in section 0 of a record.
    body: an object that passed `check_strict`.
    """

    id: str
    author: str
    role: str
    type: str
    body: bytes
    time: str
    ordered: str
    position: int
    links: tuple[tuple[str, str, int, str], ...] = field(default=())


def seen_by_signers(source: Source, type_name: str, body: bytes) -> bytes:
    """What of `body` all signers read by the static patterns: contracts see that and nothing else."""
    fields = cut(body, source.rules[type_name])
    return join((name, text) for name, text, audience in fields if source.signers <= audience)


def readings(
    source: Source, one: Input, added: Mapping[str, frozenset[str]] | None = None
) -> list[tuple[str, frozenset[str]]]:
    """Every field of a record by name, with the roles that read it; `added` is what `share` gives besides."""
    rules = source.rules[one.type]
    if added:
        rules = unite(rules, added)
    return [(name, frozenset(audience)) for name, _, audience in cut(one.body, rules)]


def encode_record(source: Source, one: Input) -> str:
    """The record as it is passed to `key` and `apply`, in the place that it was read with: JSON."""
    return place(encode_unplaced(source, one), one, one.position)


def encode_unplaced(source: Source, one: Input) -> str:
    """The record as it is passed to `share`, which is asked before the sequence has a place for it: JSON."""
    links = b",".join(
        b"[%b,%b,%d,%b]" % (encode_string(relation), encode_string(log), index, encode_string(leaf))
        for relation, log, index, leaf in one.links
    )
    parts = {
        "id": encode_string(one.id),
        "author": encode_string(one.author),
        "role": encode_string(one.role),
        "type": encode_string(one.type),
        "body": seen_by_signers(source, one.type, one.body),
        "links": b"[%b]" % links,
        "time": encode_string(one.time),
    }
    return "{" + ",".join(f'"{name}":{text.decode()}' for name, text in parts.items()) + "}"


def place(record: str, one: Input, position: int) -> str:
    """`record`, as `encode_unplaced` made it of `one`, at a place of the sequence."""
    return f'{record[:-1]},"sequence":{{"time":{encode_string(one.ordered).decode()},"position":{position}}}}}'


def decode_input(
    line: bytes, source: Source, *, position: int, after: str | None = None, where: str = "input"
) -> Input:
    """Read an input as people write it: one JSON object, with whatever is left out filled in the same way each time.

    role: the only one that may file the type, if it is left out. author: `ROLE.example`. time: a second later each.
    after: the sequence's time of the input before. Raises: InputMalformed, and what `check_strict` raises.
    """
    check_strict(line, bytes_max=limits.LINE_BYTES_MAX, depth_max=limits.JSON_DEPTH + 1)
    given = members(line)
    if given.keys() - MEMBERS:
        raise InputMalformed(where=where, reason=f"{min(given.keys() - MEMBERS)[:40]!r} is no member of an input")
    body = given.get("body", b"")
    if body[:1] != b"{":
        raise InputMalformed(where=where, reason="it has no `body` that is an object")
    others = b",".join([b'"%b":%b' % (name.encode(), text) for name, text in given.items() if name != "body"])
    rest: dict[str, Any] = parse(b"{%b}" % others)
    type_name = _text(rest, "type", where, None)
    role = _text(rest, "role", where, _default_role(source, type_name, where) if "role" not in given else None)
    time = _text(rest, "time", where, None if "time" in rest else _time_at(position))
    _check_time(time, where)
    ordered = time if after is None or time > after else after
    author = _text(rest, "author", where, re.sub("[^a-z0-9.-]", "-", role.lower()) + ".example")
    try:
        decode_name(author)
    except BadInput as cause:
        raise InputMalformed(where=where, reason=f"author: {cause}") from cause
    record_id = _text(rest, "id", where, None if "id" in rest else _id_of(position, time, body))
    if not _ID.fullmatch(record_id):
        raise InputMalformed(where=where, reason="`id` is no UUID of version 7 in small letters")
    return Input(
        id=record_id,
        author=author,
        role=role,
        type=type_name,
        body=body,
        time=time,
        ordered=ordered,
        position=position,
        links=_links(rest.get("links", []), where),
    )


# --- inside ------------------------------------------------------------------------


def _text(given: Mapping[str, Any], name: str, where: str, default: str | None) -> str:
    value = given.get(name, default)
    if value is None:
        raise InputMalformed(where=where, reason=f"it has no `{name}`")
    if not isinstance(value, str):
        raise InputMalformed(where=where, reason=f"`{name}` is no text")
    return value


def _default_role(source: Source, type_name: str, where: str) -> str:
    """The only role that may file the type. Raises: InputMalformed, if it is not told by the contract."""
    roles = sorted(source.authors.get(type_name, ()))
    if len(roles) == 1:
        return roles[0]
    why = f"{', '.join(roles)} may file {type_name!r}" if roles else f"AUTHORS does not know the type {type_name!r}"
    raise InputMalformed(where=where, reason=f"it has no `role`, and {why}")


def _check_time(text: str, where: str) -> None:
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        datetime.fromisoformat(text)
    except ValueError:
        reason = "`time` must look like 2026-01-31T12:00:00.000Z"
        raise InputMalformed(where=where, reason=reason) from None


def _time_at(position: int) -> str:
    at = datetime.fromtimestamp((_FIRST_MS + position * _STEP_MS) / 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _id_of(position: int, time: str, body: bytes) -> str:
    """A UUID of version 7 that is the same each time: made of the time, the place and the content."""
    ms = int(datetime.fromisoformat(time).timestamp() * 1000) & (1 << 48) - 1
    digits = f"{ms:012x}7" + hashlib.sha256(b"%d %b" % (position, body)).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-8{digits[17:20]}-{digits[20:32]}"


def _links(value: Any, where: str) -> tuple[tuple[str, str, int, str], ...]:
    if not isinstance(value, list) or len(value) > limits.LINKS_MAX:
        raise InputMalformed(where=where, reason=f"`links` is no list of up to {limits.LINKS_MAX}")
    found = []
    for link in value:
        match link:
            case [str(relation), str(log), int(index), str(leaf)] if index >= 0:
                found.append((relation, log, index, leaf))
            case _:
                raise InputMalformed(where=where, reason="a link is [relation, log, index, leaf hash]")
    return tuple(found)
