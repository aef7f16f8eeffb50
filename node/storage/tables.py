"""The tables of `ledger.db`.

Hot tables are append-only and clustered by `key` = log number * 2**40 + index; they have
almost no secondary indexes (random ones cost four times the rest of a commit).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Index, Table, UniqueConstraint
from sqlmodel import Field, SQLModel

KEY_BITS: Final = 40


def row_key(log: int, index: int) -> int:
    """The clustered key of entry `index` of log number `log`."""
    assert 0 <= index < 1 << KEY_BITS, "an index beyond its bits would be a place of another log"
    return (log << KEY_BITS) | index


def table_of(model: type[SQLModel]) -> Table:
    """The Core table of a model: hot statements are Core, objects cost four times as much."""
    table: Table = model.__table__  # type: ignore[attr-defined]  # SQLModel adds it to table models
    return table


class MetaRow(SQLModel, table=True):
    """One fact about this store: its network, member and layout version."""

    __tablename__ = "meta"
    name: str = Field(primary_key=True)
    value: str


class DocumentRow(SQLModel, table=True):
    """A charter or card as it came: a signed note. owner is the member, or "" for charters."""

    __tablename__ = "document"
    kind: str = Field(primary_key=True)
    owner: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    note: bytes


class LogRow(SQLModel, table=True):
    """The head of one log: what is durable here."""

    __tablename__ = "log"
    number: int = Field(primary_key=True)
    origin: str = Field(unique=True)
    size: int = 0
    last_leaf: bytes
    frontier: bytes
    checkpoint: bytes | None = None
    checkpoint_size: int = 0
    bodies_size: int = 0
    frozen: str | None = None
    no_cosign_from: int | None = None
    repeat_first: int | None = None
    repeat_second: int | None = None


class TargetRow(SQLModel, table=True):
    """A checkpoint above the entries held: one that a catch-up, cut short, had led to."""

    __tablename__ = "target"
    log: int = Field(primary_key=True)
    size: int = Field(primary_key=True)
    note: bytes


class EntryRow(SQLModel, table=True):
    """One log entry, packed (`node.storage.packing`)."""

    __tablename__ = "entry"
    key: int = Field(primary_key=True)
    packed: bytes


class SidecarRow(SQLModel, table=True):
    """What is held of one record's manifest, ciphertexts and wraps, packed."""

    __tablename__ = "sidecar"
    key: int = Field(primary_key=True)
    packed: bytes


class NodeRow(SQLModel, table=True):
    """The hash of a complete subtree of 256**level leaves; level 0 is in the entries."""

    __tablename__ = "node"
    log: int = Field(primary_key=True)
    level: int = Field(primary_key=True)
    index: int = Field(primary_key=True)
    hash: bytes


class IdRow(SQLModel, table=True):
    """Where a record id stands; ids of one author ascend nearly always, so this index grows at its end."""

    __tablename__ = "record_id"
    log: int = Field(primary_key=True)
    id: bytes = Field(primary_key=True)
    index: int


class SlotRow(SQLModel, table=True):
    """Where a slot stands. A member's logs share their slots and ids: with epochs, a repeat is looked for in all."""

    __tablename__ = "slot"
    log: int = Field(primary_key=True)
    slot: bytes = Field(primary_key=True)
    index: int


class CheckpointRow(SQLModel, table=True):
    """Every checkpoint that was signed here, or seen of another log."""

    __tablename__ = "checkpoint"
    log: int = Field(primary_key=True)
    size: int = Field(primary_key=True)
    note: bytes


class CosignatureRow(SQLModel, table=True):
    """A member's newest cosignature of a log: the checkpoint's size and the note line."""

    __tablename__ = "cosignature"
    log: int = Field(primary_key=True)
    member: str = Field(primary_key=True)
    size: int = Field(primary_key=True)
    line: bytes


class ChannelRow(SQLModel, table=True):
    """A channel message; sidecars refer to channels by number. An id counts per wrapper: others may copy it."""

    __tablename__ = "channel"
    __table_args__ = (UniqueConstraint("wrapper", "id"), Index("channel_pair", "wrapper", "reader"))
    number: int | None = Field(default=None, primary_key=True)
    wrapper: str
    id: bytes
    reader: str
    message: bytes


class StatementRow(SQLModel, table=True):
    """Where the readable statements stand, so that a start need not open the whole log.

    Of databases that earlier versions filled also other `tally/*` records, which say nothing.
    """

    __tablename__ = "statement"
    key: int = Field(primary_key=True)
    type: str


class AnswerRow(SQLModel, table=True):
    """The answer to a request that carried an Idempotency-Key, or to a captured body; written with its records."""

    __tablename__ = "answer"
    key: bytes = Field(primary_key=True)
    request: bytes
    index: int
    count: int


class GapRow(SQLModel, table=True):
    """A body that was due and is not here: named, so that nothing is lost silently."""

    __tablename__ = "gap"
    key: int = Field(primary_key=True)
    reason: str


class EvidenceRow(SQLModel, table=True):
    """The one piece of evidence that is kept of a kind, an accused member and a log ("" for documents)."""

    __tablename__ = "evidence"
    kind: str = Field(primary_key=True)
    member: str = Field(primary_key=True)
    log: str = Field(primary_key=True)
    place: int = 0
    id: bytes
    found_ms: int
    document: bytes


class TokenRow(SQLModel, table=True):
    """An API token: its hash, never itself."""

    __tablename__ = "token"
    id: str = Field(primary_key=True)
    name: str
    hash: bytes
    scopes: str
    created_ms: int
    revoked_ms: int | None = None
