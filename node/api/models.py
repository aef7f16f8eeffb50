"""What routes answer with, as the OpenAPI document describes it. Bodies are written by the services."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from node.problems import CODES

_HASH = Field(pattern="^[0-9a-f]{64}$")
_ID = Field(pattern="^[0-9a-f-]{36}$")


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """RFC 9457. Besides these members it has the fields of the error."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="`/errors/` and the code.")
    title: str
    status: int
    code: str = Field(description="Stable; docs/reference/errors.md lists every one.")
    detail: str = Field(description="What went wrong, in words.")
    hint: str = Field(description="What to do about it.")


class Health(Model):
    status: Literal["ok"]
    version: str


class Appended(Model):
    """A durable record."""

    log: str
    index: int
    id: str = _ID
    leaf: str = Field(pattern="^[0-9a-f]{64}$", description="Leaf hash of the entry, hexadecimal.")
    repeated: bool = Field(description="True if this very request had been answered before; nothing new was recorded.")


class Checked(Model):
    """A record that would be recorded."""

    dry_run: Literal[True]


class AppendedOrChecked(RootModel[Appended | Checked]):
    """What was recorded before; or, in a dry run, what would be recorded."""


_LINE = Field(ge=1, description="Number of the line in the request, from 1.")


class BulkAppended(Appended):
    line: int = _LINE
    status: Literal[201, 200] = Field(description="201 recorded, 200 repeated.")


class BulkChecked(Checked):
    line: int = _LINE
    status: Literal[200]


class BulkRefused(Model):
    line: int = _LINE
    status: int = Field(ge=400, description="That of the problem.")
    problem: Problem


class BulkLine(RootModel[BulkAppended | BulkChecked | BulkRefused]):
    """One line of the answer to NDJSON: a durable record, one that a dry run finds sound, or why there is none."""


class Link(Model):
    relation: str
    log: str
    index: int
    leaf: str = _HASH


class Withheld(Model):
    """A section that this member may not read."""

    section: int
    audience: list[str] = Field(description="Roles or @members who may; empty for the author alone.")
    size: int = Field(description="Bytes, padded.")


class RecordProblem(Model):
    """A breach of its contract that this member's node found in another member's record."""

    code: str = Field(json_schema_extra={"enum": [*CODES]})
    section: int | None
    field: str | None = Field(description="JSON Pointer of the first part in the section that it is about.")
    who: list[str] = Field(description="Roles or @members that were given too much, or too little.")


class Record(Model):
    """A record as this member reads it."""

    log: str
    index: int
    id: str | None
    leaf: str = _HASH
    time_ms: int | None = Field(description="The author's clock when it was recorded, Unix milliseconds.")
    state: Literal["open", "closed", "invalid", "newer", "broken"] = Field(
        description="closed: not shared with this member, or its body is not here yet."
    )
    author: str
    type: str | None
    contract: str | None
    role: str | None = Field(description="In which the author filed it.")
    body: Any = Field(description="What this member may read, every value's text as its author wrote it.")
    links: list[Link]
    flags: list[str] | None = Field(description="Only its author reads them.")
    by: str | None = Field(description="Name and id of the token it was filed with; only its author reads it.")
    audience: list[list[str]] = Field(description="Per section, the roles or @members who read it.")
    withheld: list[Withheld]
    problems: list[RecordProblem] = Field(description="Where it is not as its contract says; of others' records only.")
    gap: str | None = Field(description="Why a body that is due is not here.")
    fault: str | None = Field(description="Why it is broken.")


class RecordPage(Model):
    records: list[Record]
    next: str | None = Field(description="Cursor of the next page, or null at the end.")
    pending: int = Field(description="Entries that are here and that no search finds yet.")


class Refused(Model):
    path: str = Field(description="JSON Pointer into the file.")
    code: str
    message: str


class Captured(Model):
    index: int | None = Field(description="Null in a dry run.")
    id: str | None
    type: str
    event_id: str | None
    path: str
    flags: list[str]


class CaptureReport(Model):
    recorded: list[Captured]
    duplicates: list[Captured] = Field(description="The very bytes were recorded before, at this index.")
    refused: list[Refused] = Field(description="The first 1,000.")
    refused_more: int = Field(description="Refusals that are not listed, as there are too many.")
    events: int = Field(description="Events in the file; the document around them is none.")
    events_refused: int = Field(description="How many of them are not recorded; one may have several refusals.")
    dry_run: bool


class Contract(Model):
    id: str = _HASH
    record: str
    log: str
    index: int
    status: Literal["proposed", "active", "unsupported", "declined", "ended"]
    title: str
    proposer: str
    parties: dict[str, list[str]]
    my_roles: list[str]
    accepted: list[str]
    waiting_for: list[str]
    ended_by: str | None
    signers: list[str]
    authors: dict[str, list[str]] = Field(description="Record type to the roles that may file it.")
    functions: list[str] = Field(description="What code the contract has. This version runs none: it is unsupported.")
    shares: dict[str, dict[str, list[str]]] = Field(description="Record type to pattern to the roles that read it.")


class ContractWhole(Contract):
    source: str
    terms: Any


class ContractList(Model):
    contracts: list[Contract]
    passed_over: list[str] = Field(description="Members of whom more proposals wait than are taken up unanswered.")


class LogHead(Model):
    origin: str
    size: int


class LogStanding(LogHead):
    checkpoint_size: int
    bodies_size: int = Field(
        description="Bodies below it have been asked of their author. Of the own log, whose bodies are recorded with "
        "their entries, it says nothing, and may be 0."
    )
    gaps: int = Field(description="Bodies that were due and are not here; `tally fsck` names them.")
    frozen: str | None = Field(description="Why no more is taken from this log.")


class Guard(Model):
    state: Literal["not-adopted", "waiting", "behind", "ready"]
    waiting_for: list[str] = Field(description="Names of members, then in words what else it waits for.")


class Status(Model):
    member: str
    network: str
    fingerprint: str | None = Field(description="Of the network, hexadecimal; null before a charter is adopted.")
    guard: Guard
    log: LogHead | None
    logs: list[LogStanding]
    version: str
    uptime_s: int


class Peer(Model):
    member: str
    endpoint: str | None
    state: str
    last_contact_ms: int | None
    error: str | None
    sizes: dict[str, int] = Field(description="Log to the size that the peer says it holds.")
    cosigned: int = Field(description="Size of this member's log that the peer has cosigned.")
    log: LogStanding | None = Field(description="What is held here of the peer's log.")


class PeerList(Model):
    peers: list[Peer]


class Network(Model):
    network: str
    fingerprint: str = _HASH
    charter: int = Field(description="Version of the charter in force.")
    members: list[str]


class EvidenceItem(Model):
    id: str
    kind: str
    member: str
    log: str | None = Field(description="In which it was found, if in a log.")
    found_ms: int
    document: str = Field(description="The two signed things, as the exact text that proves the contradiction.")


class EvidenceList(Model):
    evidence: list[EvidenceItem]


class Token(Model):
    id: str
    name: str
    scopes: list[str]
    created_ms: int
    revoked_ms: int | None


class TokenList(Model):
    tokens: list[Token]


class NewToken(Model):
    id: str
    name: str
    scopes: list[str]
    token: str = Field(description="The token itself; it is shown this once.")
