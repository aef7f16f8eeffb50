"""Records as this member sees them: one by its place or id, or a page of those that a search finds.

What a reader is not given is said, not left out: sections that are withheld, bodies that
are not here, entries that are broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.errors import Conflict, Missing
from ledger.fields import join
from ledger.jsontext import encode_canonical, encode_string
from ledger.names import MemberName, Origin, encode_id, id_time_ms
from ledger.record import Link
from node.agreements import PROPOSE
from node.node import Joined, Node
from node.problems import CODES, Judge, Problem
from node.reader import STATES, ReadRecord, WithheldSection, is_secret
from node.storage import logs, places, sidecars
from node.storage.store import Tx
from node.storage.viewstore import ViewStore
from node.views.search import Filters, SearchWrong, cursor_after, position, search, wait_until

PAGE_RECORDS: Final = 100
PAGE_BYTES_MAX: Final = 4 << 20
"""Bytes of bodies on one page, beyond which it ends early: a page is put together in memory."""
_OWN_S: Final = 1.0  # how long a search waits for what this node itself recorded just before


class IdAmbiguous(Conflict):
    code = "id-ambiguous"
    template = "the id {id} stands in several logs: {logs}"
    hint = "Ask for the record by its log and index; a member may have copied another's id."


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A record, what of it is not as its contract says, and, where its body was due and is not here, why."""

    record: ReadRecord
    problems: Sequence[Problem] = ()
    gap: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """next: cursor of the page after this one, None at the end. pending: entries that no search finds yet."""

    records: Sequence[Shown]
    next: str | None
    pending: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which part of what a search finds: from `cursor` on, at most `limit` records."""

    cursor: str | None = None
    limit: int = PAGE_RECORDS
    newest_first: bool = True


def find_record(node: Node, log: str, index: int) -> Shown:
    """One entry by its log (origin or member's name) and index. Raises: NotAdopted, Missing."""
    joined = node.joined
    with node.store.read() as tx:
        return _show(node, joined, tx, log=node.find_log(tx, log), index=index)


def find_record_by_id(node: Node, record_id: bytes) -> Shown:
    """The record with this id, in whichever log. Raises: NotAdopted, Missing, IdAmbiguous, RowDamaged."""
    joined = node.joined
    with node.store.read() as tx:
        at = [(log, places.find_id(tx, log.number, record_id)) for log in logs.list_logs(tx)]
        found = [(log, index) for log, index in at if index is not None]
        if not found:
            raise Missing(what="record", name=encode_id(record_id))
        if len(found) > 1:
            raise IdAmbiguous(id=encode_id(record_id), logs=", ".join(str(log.origin) for log, _ in found))
        log, index = found[0]
        return _show(node, joined, tx, log=log, index=index)


def list_records(node: Node, views: ViewStore, filters: Filters, part: Part) -> Page:
    """Records that pass every filter. Raises: what `search` raises; SearchWrong, NotAdopted."""
    own = node.joined.origin
    with node.store.read() as tx:
        sizes = {log.origin: log for log in logs.list_logs(tx)}
    members = {*node.membership.names, *(origin.member for origin in sizes)}
    _check_filters(filters, members, origins=sizes)
    if sizes[own].size:
        # Who has just filed a record finds it; who searches while a bulk runs does not wait for all of that.
        wait_until(views, own, sizes[own].size - 1, timeout_s=_OWN_S)
    found = search(views, filters, cursor=part.cursor, limit=part.limit, newest_first=part.newest_first)
    known = {place.log: place.entries for place in position(views)}
    shown, next_ = list[Shown](), found.next
    judge = _judge(node)
    volume = 0
    with node.store.read() as tx:
        for row in found.rows:
            record = node.joined.reader.read(tx, sizes[row.log], row.index)
            shown.append(Shown(record=record, problems=judge.find_problems(record), gap=row.gap))
            volume += sum(len(text) for _, text in record.opened.fields) if record.opened else 0
            if volume >= PAGE_BYTES_MAX and len(shown) < len(found.rows):
                next_ = cursor_after(row)
                break
    pending = sum(max(log.size - known.get(log.origin, 0), 0) for log in sizes.values())
    return Page(records=shown, next=next_, pending=pending)


def encode_record(shown: Shown, reader: str) -> bytes:
    """The JSON of a record as the member `reader` sees it, with the exact text of its body in it."""
    record = shown.record
    meta = record.meta
    # What others wrote there is no more than bytes: only in one's own log it is known to be JSON.
    notes = record.notes if record.origin.member == reader else {}
    members: list[tuple[str, bytes]] = [
        ("log", encode_string(str(record.origin))),
        ("index", b"%d" % record.index),
        ("id", _text(None if record.id is None else encode_id(record.id))),
        ("leaf", _text(record.leaf.hex())),
        ("time_ms", b"null" if record.id is None else b"%d" % id_time_ms(record.id)),
        ("state", _text(record.state)),
        ("author", _text(record.origin.member)),
        ("type", _text(meta.type if meta else None)),
        ("contract", _text(meta.contract.hex() if meta and meta.contract else None)),
        ("role", _text(meta.role if meta else None)),
        ("body", _body(record)),
        ("links", encode_canonical([_link(link) for link in record.links])),
        ("flags", notes.get("flags", b"[]") if notes else b"null"),
        ("by", notes.get("by", b"null")),
        ("audience", encode_canonical([list(names) for names in meta.audience] if meta else [])),
        ("withheld", encode_canonical([_withheld(section) for section in record.withheld])),
        ("problems", encode_canonical([_problem(problem) for problem in shown.problems])),
        ("gap", _text(shown.gap)),
        ("fault", _text(record.fault or None)),
    ]
    return b"{" + b",".join(b'"%b":%b' % (name.encode(), text) for name, text in members) + b"}"


def encode_page(page: Page, reader: str) -> bytes:
    records = b",".join(encode_record(shown, reader) for shown in page.records)
    return b'{"records":[%b],"next":%b,"pending":%d}' % (records, _text(page.next), page.pending)


def _show(node: Node, joined: Joined, tx: Tx, *, log: logs.StoredLog, index: int) -> Shown:
    record = joined.reader.read(tx, log, index)
    gaps = [] if record.opened else sidecars.list_gaps(tx, log.number, start=index, end=index + 1)
    gap = gaps[0][1] if gaps else None
    return Shown(record=record, problems=_judge(node).find_problems(record), gap=gap)


def _check_filters(filters: Filters, members: Iterable[MemberName], *, origins: Iterable[Origin]) -> None:
    """Refuse what no record can have: a word that was mistyped would find nothing, and look like an answer."""
    names = sorted(members)
    closed = {
        "state": (filters.state, STATES),
        "problem": (filters.problem, (*CODES, "any")),
        "author": (filters.author, names),
        "log": (filters.log, (*names, *sorted(map(str, origins)))),
    }
    for name, (value, allowed) in closed.items():
        if value is not None and value not in allowed:
            raise SearchWrong(name=name, reason=f"{value[:80]!r} is none of {', '.join(allowed)}")


def _judge(node: Node) -> Judge:
    return Judge(node.agreements.get, node.member)


def _body(record: ReadRecord) -> bytes:
    """The readable part of the body, but for the secret of a contract: parties need it, API callers do not."""
    if record.opened is None:
        return b"null"
    if record.opened.meta.type == PROPOSE:
        return join(field for field in record.opened.fields if not is_secret(field[0], record))
    return record.body


def _link(link: Link) -> dict[str, Any]:
    return {"relation": link.relation, "log": link.origin, "index": link.index, "leaf": link.leaf.hex()}


def _withheld(section: WithheldSection) -> dict[str, Any]:
    return {"section": section.section, "audience": list(section.audience), "size": section.size}


def _problem(problem: Problem) -> dict[str, Any]:
    who = list(problem.who)
    return {"code": problem.code, "section": problem.section, "field": problem.field, "who": who}


def _text(value: str | None) -> bytes:
    return b"null" if value is None else encode_string(value)
