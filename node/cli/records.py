"""`records`: what is in the logs, as this member may read it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

from ledger import limits
from node.cli.exits import UsageWrong
from node.cli.inputs import find_contract, parse_place
from node.cli.output import clean_json, format_name, format_time
from node.cli.session import Needs, Session, command

if TYPE_CHECKING:
    from node.cli.client import NodeClient

_Log = Annotated[str | None, typer.Option(help="Only of this log: a member's name, or an origin.")]
_Type = Annotated[str | None, typer.Option("--type", help="Only of this type.")]
_Contract = Annotated[str | None, typer.Option(help="Only under this contract.")]
_COLUMNS: Final = ("log", "index", "time", "type", "state", "withheld", "problems")


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="See the records that are here, as this member may read them.")
    app.add_typer(group, name="records", rich_help_panel="Share")
    command(group, "list", needs=Needs.NODE)(list_some)
    command(group, "show", needs=Needs.NODE)(show)
    command(group, "tail", needs=Needs.NODE)(tail)


def list_some(
    session: Session,
    *,
    log: _Log = None,
    author: Annotated[str | None, typer.Option(help="Only by this member.")] = None,
    kind: _Type = None,
    contract: _Contract = None,
    event_id: Annotated[str | None, typer.Option(help="Only with this EPCIS event id.")] = None,
    epc: Annotated[str | None, typer.Option(help="Only about this EPC or EPC class.")] = None,
    biz_step: Annotated[str | None, typer.Option(help="Only of this business step.")] = None,
    since: Annotated[str | None, typer.Option(help="Not before this time (ISO 8601), by the author's clock.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time (ISO 8601).")] = None,
    flag: Annotated[str | None, typer.Option(help="Only own records with this flag, e.g. invalid.")] = None,
    problem: Annotated[
        str | None, typer.Option(help="Only others' records with this problem, e.g. audience-wider, or any.")
    ] = None,
    state: Annotated[str | None, typer.Option(help="Only these: open, closed, invalid, newer or broken.")] = None,
    oldest: Annotated[bool, typer.Option("--oldest", help="Begin with the oldest, not the newest.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on where an earlier list ended.")] = None,
) -> None:
    """List records. With --json, `next` is the cursor of what follows, or null."""
    with session.client() as client:
        filters = {
            "log": log, "author": author, "type": kind, "event_id": event_id, "epc": epc, "biz_step": biz_step,
            "flag": flag, "problem": problem, "state": state, "order": "oldest" if oldest else "newest",
            "contract": None if contract is None else find_contract(client, contract),
            "from_ms": _parse_time(since), "to_ms": _parse_time(until),
        }  # fmt: skip
        found = _take(client, filters, limit=limit, cursor=cursor)
    if session.as_json:
        rows, rest = b",".join(found.rows), (_encode(found.next), _encode(found.pending))
        session.out.answer(b'{"records":[%b],"next":%b,"pending":%b}' % (rows, *rest))
        return
    session.out.table(_COLUMNS, [_row(_decode(row)) for row in found.rows])
    if found.next:
        session.out.say(f"more: --cursor {found.next}")
    if found.pending:
        session.out.say(f"{found.pending} entries are too new for the search; `records tail` shows them")


def show(
    session: Session,
    record: Annotated[str, typer.Argument(metavar="RECORD", help="Its id, or log/index such as fishery/12.")],
) -> None:
    """Show one record: what this member reads of it, and what is withheld."""
    with session.client() as client:
        content = client.get(_path(record))
    if session.as_json:
        session.out.answer(content)
        return
    fields = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    body = bytes(fields.pop("body"))
    values = {name: _decode(bytes(raw)) for name, raw in fields.items()}
    withheld, problems = values.pop("withheld"), values.pop("problems")
    shown = {name: _one_line(value) for name, value in values.items() if value not in (None, [], {})}
    session.out.pairs(shown | {"time": format_time(values["time_ms"])})
    session.out.line()
    session.out.lines(clean_json(_indent(body)))
    for section in withheld:
        readers = ", ".join(section["audience"]) or "its author alone"
        session.out.line(f"withheld: section {section['section']}, {section['size']} bytes, for {readers}")
    for problem in problems:
        session.out.line(describe_problem(problem))


def tail(
    session: Session,
    *,
    log: _Log = None,
    kind: _Type = None,
    contract: _Contract = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Begin with so many of the last ones.")] = 10,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
) -> None:
    """Show records as they come, until Ctrl-C. With --json one object a line."""
    with session.client() as client:
        contract_id = None if contract is None else find_contract(client, contract)

        def is_wanted(record: dict[str, Any]) -> bool:
            names = (record["log"], record["author"])
            return (
                (log is None or log in names)
                and (kind is None or record["type"] == kind)
                and (contract_id is None or record["contract"] == contract_id)
            )

        for row in _follow(client, is_wanted, last=lines, interval_s=interval):
            if session.as_json:
                session.out.answer(row)
            else:
                session.out.line("  ".join("-" if cell is None else str(cell) for cell in _row(_decode(row))))


def describe_problem(problem: dict[str, Any]) -> str:
    """Where a record is not as its contract says, in one line."""
    section = "" if problem["section"] is None else f"section {problem['section']}"
    field = "" if problem["field"] is None else format_name(problem["field"])
    parts = ["problem", problem["code"], section, field, ", ".join(problem["who"])]
    return ": ".join(part for part in parts if part)


def place_of(client: NodeClient, record: str) -> tuple[str, int]:
    """Log and index of a record that was named by id or by place; the log is fit for a path."""
    from node.cli.client import segment

    place = parse_place(record)
    if place is None:
        found = client.get_json(f"/records/{segment(record)}")
        place = found["log"], found["index"]
    return segment(place[0]), place[1]


# --- inside -------------------------------------------------------------------------


class _Page(msgspec.Struct):
    """A page as the node answers it."""

    records: list[msgspec.Raw]
    next: str | None
    pending: int


@dataclass(frozen=True, slots=True)
class _Found:
    """Records as the node wrote them, the cursor of what follows, and how many entries no search finds yet."""

    rows: list[bytes]
    next: str | None
    pending: int


def _take(client: NodeClient, filters: dict[str, Any], *, limit: int, cursor: str | None) -> _Found:
    rows: list[bytes] = []
    while True:
        asked = min(limits.VIEW_PAGE_MAX, limit - len(rows))
        page = msgspec.json.decode(client.get("/records", limit=asked, cursor=cursor, **filters), type=_Page)
        rows += [bytes(row) for row in page.records]
        cursor = page.next
        # A page may be short, or empty, and yet not the last.
        if cursor is None or len(rows) >= limit:
            return _Found(rows, cursor, page.pending)


def _follow(
    client: NodeClient, wanted: Callable[[dict[str, Any]], bool], *, last: int, interval_s: float
) -> Iterator[bytes]:
    """The last records of all logs together, then every new one. A record is new once its body is here."""
    seen = {origin: max(0, size - last) for origin, size in _sizes(client).items()}
    first = True
    while True:
        found = []
        for origin, size in _sizes(client).items():
            for index in range(seen.get(origin, 0), size):
                row = client.get(f"/records/{origin}/{index}")
                record = _decode(row)
                if wanted(record):
                    found.append((record["time_ms"] or 0, row))
            seen[origin] = max(size, seen.get(origin, 0))
        found.sort(key=lambda item: item[0])
        yield from (row for _, row in (found[-last:] if first and last else [] if first else found))
        first = False
        time.sleep(interval_s)


def _sizes(client: NodeClient) -> dict[str, int]:
    """How far each log is here with the bodies that this member may read."""
    status = client.get_json("/status")
    own = status["log"]["origin"] if status["log"] else None
    return {
        log["origin"]: log["size"] if log["origin"] == own else min(log["size"], log["bodies_size"])
        for log in status["logs"]
    }


def _path(record: str) -> str:
    from node.cli.client import segment

    place = parse_place(record)
    return f"/records/{segment(record)}" if place is None else f"/records/{segment(place[0])}/{place[1]}"


def _parse_time(text: str | None) -> int | None:
    """Milliseconds of a time as people write it; without a zone it is this machine's."""
    from datetime import datetime

    if text is None:
        return None
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError) as cause:
        raise UsageWrong(reason=f"{text!r} is not a time such as 2030-01-31 or 2030-01-31T08:00:00+01:00") from cause


def _row(record: dict[str, Any]) -> tuple[object, ...]:
    place = (record["log"], record["index"], format_time(record["time_ms"]))
    problems = " ".join(dict.fromkeys(problem["code"] for problem in record["problems"])) or None
    return (*place, record["type"], record["state"], len(record["withheld"]) or None, problems)


def _decode(content: bytes) -> Any:
    return msgspec.json.decode(content)


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value)


def _one_line(value: object) -> object:
    import json

    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _indent(body: bytes) -> str:
    """A body over several lines, its value texts untouched."""
    return msgspec.json.format(body, indent=2).decode()
