"""Sources for `contract inputs`: what kind each is, and what it becomes as its kind says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, assert_never

from ledger import limits
from ledger.errors import TallyError
from ledger.jsontext import parse
from ledger.names import decode_name
from node.cli.exits import UsageWrong
from node.cli.inputs import read_file, read_text
from node.documents.faults import SPLIT_DOCUMENT, SPLIT_EVENTS, SPLIT_SHIPMENTS
from node.documents.kinds import Encoding, Kind
from node.documents.lines import Doubt, InputLine
from node.documents.recognition import HEAD_BYTES, SourceUnknown, recognize

if TYPE_CHECKING:
    from node.documents import ubl
    from node.documents.en16931 import Rules

_BYTES_MAX: Final = {
    Kind.UBL: limits.DOCUMENT_FILE_BYTES_MAX,
    Kind.SHIPMENTS: limits.SHIPMENTS_FILE_BYTES_MAX,
    Kind.EVENTS: limits.EPCIS_FILE_BYTES_MAX,
}
_SPLIT: Final = {Kind.UBL: SPLIT_DOCUMENT, Kind.SHIPMENTS: SPLIT_SHIPMENTS, Kind.EVENTS: SPLIT_EVENTS}
_CURRENCY: Final = re.compile(r"[A-Z]{3}\Z")
_HEAD: Final = ("type", "role", "author", "time")
_ORDER_LETTERS: Final = 200  # as many as the key of a case may have


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What one PATH is. content: of what can be read once only. unknown: why there is no kind."""

    path: Path
    kind: Kind | None
    content: bytes | None = None
    unknown: SourceUnknown | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the options say; each is read for its kind alone. shipments: arguments of its reader that were given."""

    rules: Rules | None
    role: str | None
    order: str | None
    purchases: Mapping[str, str]
    shipments: Mapping[str, Any]
    places: Mapping[str, str]
    members: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """is_checked: by rules. is_met: False if one that is fatal was not met. notes: what to tell people, a line each.

    orders: those that a document of UBL names.
    """

    inputs: Iterable[InputLine]
    notes: list[str] = field(default_factory=list)
    is_checked: bool = False
    is_met: bool = True
    orders: frozenset[str] = frozenset()


def find_source(path: Path, kind: Kind | None) -> Source:
    """The kind of `path`: as it was said, else as it looks. Raises: UsageWrong, TooLarge, OSError."""
    if kind is not None and path.is_dir() != (kind is Kind.PURCHASES):
        kinds = "a folder is of the kind purchases, and a file of another"
        raise UsageWrong(reason=f"{path} is not of the kind {kind}: {kinds}")
    is_once = not path.is_file() and not path.is_dir()
    content = read_file(path, bytes_max=max(_BYTES_MAX.values())) if is_once else None
    if kind is not None:
        return Source(path=path, kind=kind, content=content)
    try:
        return Source(path=path, kind=recognize(path, _head(path, content)), content=content)
    except SourceUnknown as unknown:
        return Source(path=path, kind=None, unknown=unknown)


def choose(given: Mapping[str, Any], stack: ExitStack) -> Choices:
    """Check the values of options, and open what they name until `stack` closes. Raises: UsageWrong."""
    order, currency = given["order"], given["currency"]
    if order is not None and not (order.isprintable() and 1 <= len(order) <= _ORDER_LETTERS):
        raise UsageWrong(reason=f"--order takes 1 to {_ORDER_LETTERS} letters and signs")
    if currency is not None and not _CURRENCY.match(currency):
        raise UsageWrong(reason=f"--currency {currency} is not three capital letters, such as USD")
    firms = {name: _member(given[name], f"--{name}") for name in ("shipper", "receiver") if given[name] is not None}
    coded = {} if given["encoding"] is None else {"encoding": Encoding(given["encoding"])}
    members = _pairs(given["members"])
    for name in members.values():
        _member(name, str(given["members"]))
    return Choices(
        rules=None if given["rules"] is None else stack.enter_context(_compile(given["rules"])),
        role=given["role"],
        order=order,
        purchases={} if currency is None else {"currency": currency},
        shipments=firms | coded,
        places=_pairs(given["places"]),
        members=members,
    )


def turn(source: Source, choices: Choices) -> Turned:
    """Read a source. Raises: SourceUnknown, and as the reader of its kind."""
    if source.kind is None:
        assert source.unknown is not None, "a source has a kind, or the reason why not"
        raise source.unknown
    if source.kind is Kind.PURCHASES:
        from node.documents.wwi import read_purchases

        return Turned(inputs=_arranged(read_purchases(source.path, **choices.purchases), None))
    bytes_max, content = _BYTES_MAX[source.kind], source.content
    if content is None or len(content) > bytes_max:
        content = read_file(source.path, bytes_max=bytes_max, split=_SPLIT[source.kind])
    match source.kind:
        case Kind.UBL:
            turned = _document(content, choices)
        case Kind.SHIPMENTS:
            turned = _shipments(content, choices)
        case Kind.EVENTS:
            turned = _events(content, choices)
        case _:
            assert_never(source.kind)
    return replace(turned, inputs=_arranged(turned.inputs, _source(source.path, content)))


# --- kinds --------------------------------------------------------------------------


def _document(content: bytes, choices: Choices) -> Turned:
    import msgspec

    from node.documents import ubl
    from node.documents.en16931 import CHECKED

    found = ubl.read(content)
    notes = [_left_out(path, count) for path, count in found.left_out.items()]
    is_checked, is_met = choices.rules is not None and found.kind in CHECKED, True
    if choices.rules is not None and is_checked:
        failures = choices.rules.check(content)
        notes += [f"{one.rule} ({one.flag}) at {one.location}: {one.text}" for one in failures]
        is_met = not any(one.is_fatal for one in failures)
    if choices.order is not None:
        found, added = _ordered(found, choices.order)
        notes += added
    told = {} if found.time is None else {"time": found.time}
    role = choices.role or found.role
    one: InputLine = {"type": found.type, "role": role, **told, "body": msgspec.Raw(found.body)}
    orders = frozenset(ubl.named_orders(found))
    return Turned(inputs=[one], notes=notes, is_checked=is_checked, is_met=is_met, orders=orders)


def _ordered(found: ubl.Document, order: str) -> tuple[ubl.Document, list[str]]:
    """The document with `order`, if it names none; a note if it names another."""
    from node.documents.ubl import add_order, named_orders

    named = named_orders(found)
    if not named:
        return add_order(found, order), []
    return found, [] if order in named else [f"it is of order {', '.join(sorted(named))}, and is left as it is"]


def _shipments(content: bytes, choices: Choices) -> Turned:
    from node.documents.scms import read_shipments

    shipments = read_shipments(content, **choices.shipments)
    words = [f"{column} says {word!r}" + _times(count) for (column, word), count in sorted(shipments.words.items())]
    return Turned(inputs=shipments.inputs, notes=[*_doubts(shipments.doubts), *words])


def _events(content: bytes, choices: Choices) -> Turned:
    from node.documents.gdst import read_custody

    custody = read_custody(content, members=choices.members, places=choices.places)
    left_out = [_left_out(f"step {step or 'without a name'}", count) for step, count in custody.left_out.items()]
    return Turned(inputs=custody.inputs, notes=[*_doubts(custody.doubts), *left_out])


def _doubts(doubts: Iterable[Doubt]) -> list[str]:
    return [f"{doubt.code} at {doubt.place}: {doubt.message}" for doubt in doubts]


def _left_out(what: str, count: int) -> str:
    return f"left out: {what}" + _times(count)


def _times(count: int) -> str:
    return f" ({count} times)" if count > 1 else ""


def _arranged(inputs: Iterable[InputLine], source: Mapping[str, str] | None) -> Iterator[InputLine]:
    """The inputs with the file that they are from, and the body last, as it may be long."""
    added = {} if source is None else {"source": source}
    for given in inputs:
        yield {name: given[name] for name in _HEAD if name in given} | added | {"body": given["body"]}


def _source(path: Path, content: bytes) -> dict[str, str]:
    """The file's name alone: the folders around it are nobody's business. It may hold bytes that are no UTF-8."""
    name = path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return {"file": name, "sha256": hashlib.sha256(content).hexdigest()}


# --- options and files ---------------------------------------------------------------


def _head(path: Path, content: bytes | None) -> bytes:
    if content is not None or path.is_dir():
        return content or b""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _member(name: str, what: str) -> str:
    try:
        return decode_name(name, what)
    except TallyError as cause:
        raise UsageWrong(reason=str(cause)) from cause


def _pairs(file: Path | None) -> dict[str, str]:
    """A JSON object of texts. Raises: UsageWrong, and what strict JSON raises."""
    if file is None:
        return {}
    pairs = parse(read_text(file, bytes_max=limits.BODY_BYTES_MAX))
    if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
        raise UsageWrong(reason=f"{file} is not a JSON object of names and texts")
    return pairs


def _compile(folder: Path) -> Rules:
    from node.documents.en16931 import Rules

    return Rules(folder)
