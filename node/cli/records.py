"""`records`: what is in the logs, as this member may read it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from node.cli.exits import UsageWrong
from node.cli.inputs import find_contract, parse_place
from node.cli.session import Needs, Session, command

if TYPE_CHECKING:
    from node.cli.client import NodeClient

_Log = Annotated[str | None, typer.Option(help="Only of this log: a member's name, or an origin.")]
_Type = Annotated[str | None, typer.Option("--type", help="Only of this type.")]
_Contract = Annotated[str | None, typer.Option(help="Only under this contract.")]
_PAGE: Final = 500
_COLUMNS: Final = ("log", "index", "time", "type", "state", "withheld")


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
    kind: _Type = None,
    contract: _Contract = None,
    event_id: Annotated[str | None, typer.Option(help="Only with this EPCIS event id.")] = None,
    epc: Annotated[str | None, typer.Option(help="Only about this EPC.")] = None,
    biz_step: Annotated[str | None, typer.Option(help="Only of this business step.")] = None,
    since: Annotated[str | None, typer.Option(help="Not before this time (ISO 8601).")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time (ISO 8601).")] = None,
    flag: Annotated[str | None, typer.Option(help="Only with this flag, e.g. invalid.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on where an earlier list ended.")] = None,
) -> None:
    """List records. With --json, `next` is the cursor of what follows, or null."""
    with session.client() as client:
        filters = {
            "log": log, "type": kind, "event_id": event_id, "epc": epc, "biz_step": biz_step, "flag": flag,
            "contract": None if contract is None else find_contract(client, contract),
            "from_ms": _parse_time(since), "to_ms": _parse_time(until),
        }  # fmt: skip
        found, following = _take(client, filters, limit=limit, cursor=cursor)
    if session.as_json:
        import msgspec

        session.out.raw(b'{"records":[%b],"next":%b}\n' % (b",".join(found), msgspec.json.encode(following)))
        return
    rows = [_decode(row) for row in found]
    session.out.table(_COLUMNS, [_row(row) for row in rows])
    if following:
        session.out.say(f"more: --cursor {following}")


def show(
    session: Session,
    record: Annotated[str, typer.Argument(metavar="RECORD", help="Its id, or log/index such as fishery/12.")],
) -> None:
    """Show one record: what this member reads of it, and what is withheld."""
    with session.client() as client:
        content = client.get(path_of(client, record))
    if session.as_json:
        session.out.raw(content.rstrip(b"\n") + b"\n")
        return
    import msgspec

    fields = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    body = bytes(fields.pop("body", msgspec.Raw(b"null")))
    values = {name: _decode(bytes(raw)) for name, raw in fields.items()}
    withheld = values.pop("withheld", None) or []
    shown = {name: _one_line(value) for name, value in values.items() if value not in (None, [], {})}
    session.out.pairs(shown | {"time": _format_time(values.get("time_ms"))})
    session.out.line()
    session.out.line(_indent(body))
    for section in withheld:
        session.out.line(
            f"withheld: section {section['section']}, {section['size']} bytes, "
            f"for {', '.join(section['audience']) or 'its author alone'}"
        )


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
        filters = {"log": log, "type": kind, "contract": contract_id}
        for row in _follow(client, filters, last=lines, interval_s=interval):
            if session.as_json:
                session.out.raw(row + b"\n")
            else:
                session.out.line("  ".join("-" if cell is None else str(cell) for cell in _row(_decode(row))))


def path_of(client: NodeClient, record: str) -> str:
    """The route of a record that was named by id or by place."""
    from node.cli.client import segment

    place = parse_place(record)
    if place is None:
        return f"/records/{segment(record)}"
    log, index = place
    return f"/records/{segment(log)}/{index}"


# --- inside -------------------------------------------------------------------------


def _take(
    client: NodeClient, filters: dict[str, Any], *, limit: int, cursor: str | None
) -> tuple[list[bytes], str | None]:
    """Up to `limit` records as the node wrote them, and the cursor of what follows."""
    found: list[bytes] = []
    while True:
        rows, cursor = _page(client, filters, limit=min(_PAGE, limit - len(found)), cursor=cursor)
        found += rows
        if cursor is None or not rows or len(found) >= limit:
            return found, cursor


def _page(
    client: NodeClient, filters: dict[str, Any], *, limit: int, cursor: str | None
) -> tuple[list[bytes], str | None]:
    import msgspec

    class Page(msgspec.Struct):
        records: list[msgspec.Raw]
        next: str | None = None

    page = msgspec.json.decode(client.get("/records", limit=limit, cursor=cursor, **filters), type=Page)
    return [bytes(row) for row in page.records], page.next


def _parse_time(text: str | None) -> int | None:
    """Milliseconds of a time as people write it; without a zone it is this machine's."""
    from datetime import datetime

    if text is None:
        return None
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError) as cause:
        raise UsageWrong(reason=f"{text!r} is not a time such as 2030-01-31 or 2030-01-31T08:00:00+01:00") from cause


def _format_time(time_ms: object) -> str | None:
    from datetime import UTC, datetime

    if not isinstance(time_ms, int):
        return None
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _row(record: dict[str, Any]) -> tuple[object, ...]:
    withheld = len(record.get("withheld") or ())
    return (
        record.get("log"), record.get("index"), _format_time(record.get("time_ms")), record.get("type"),
        record.get("state"), withheld or None,
    )  # fmt: skip


def _decode(content: bytes) -> Any:
    import msgspec

    return msgspec.json.decode(content)


def _one_line(value: object) -> object:
    import json

    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _indent(body: bytes) -> str:
    """A body over several lines, its value texts untouched."""
    import msgspec

    return msgspec.json.format(body, indent=2).decode()
