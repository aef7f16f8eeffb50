"""Small tables of the store: facts, documents, answers, evidence, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, update

from node.storage.store import Tx
from node.storage.tables import AnswerRow, DocumentRow, EvidenceRow, MetaRow, TokenRow, table_of

OWN_ORIGIN = "own-origin"
"""Name of the fact that says which log is this store's own."""


# --- facts about this store ----------------------------------------------------------


def get_meta(tx: Tx, name: str) -> str | None:
    table = table_of(MetaRow)
    return tx.execute(select(table.c.value).where(table.c.name == name)).scalar()


def set_meta(tx: Tx, name: str, value: str) -> None:
    tx.exec_driver_sql("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))


# --- charters and cards ----------------------------------------------------------------


def insert_document(tx: Tx, *, kind: str, owner: str, version: int, note: bytes) -> None:
    """kind: "charter" (owner "") or "card" (owner: the member)."""
    tx.exec_driver_sql(
        "INSERT OR REPLACE INTO document (kind, owner, version, note) VALUES (?, ?, ?, ?)", (kind, owner, version, note)
    )


def list_documents(tx: Tx, kind: str) -> list[tuple[str, int, bytes]]:
    """(owner, version, note), by owner and version."""
    table = table_of(DocumentRow)
    query = select(table).where(table.c.kind == kind).order_by(table.c.owner, table.c.version)
    return [(row.owner, row.version, row.note) for row in tx.execute(query)]


# --- answers to be repeated --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """request: hash of the request's bytes. The records [index, index + count) answered it."""

    request: bytes
    index: int
    count: int


def find_answer(tx: Tx, key: bytes) -> Answer | None:
    row = tx.exec_driver_sql('SELECT request, "index", count FROM answer WHERE key = ?', (key,)).first()
    return None if row is None else Answer(*row)


def insert_answers(tx: Tx, answers: Sequence[tuple[bytes, bytes, int, int]]) -> None:
    """(key, request hash, index, count)."""
    if answers:
        tx.exec_driver_sql('INSERT INTO answer (key, request, "index", count) VALUES (?, ?, ?, ?)', list(answers))


def find_answers(tx: Tx, keys: Sequence[bytes]) -> dict[bytes, Answer]:
    table = table_of(AnswerRow)
    found: dict[bytes, Answer] = {}
    for at in range(0, len(keys), 500):
        for row in tx.execute(select(table).where(table.c.key.in_(list(keys[at : at + 500])))):
            found[row[0]] = Answer(row[1], row[2], row[3])
    return found


# --- evidence ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvidence:
    """log: origin, or "" where it is about documents. place: the finding's size in that log, or the version."""

    id: bytes
    kind: str
    member: str
    log: str
    place: int
    found_ms: int
    document: bytes


def insert_evidence(tx: Tx, item: StoredEvidence) -> bool:
    """Keep one piece per finding, and a second about a log only if it goes back further; False if it says nothing new.

    One who forked can sign as many contradictions as it likes: each would be proof, and none would be news.
    """
    table = table_of(EvidenceRow)
    about = [table.c.kind == item.kind, table.c.member == item.member, table.c.log == item.log]
    about.append(table.c.place <= item.place if item.log else table.c.place == item.place)
    if tx.execute(select(table.c.id).where(*about).limit(1)).first() is not None:
        return False
    tx.execute(
        table.insert().values(
            id=item.id, kind=item.kind, member=item.member, log=item.log, place=item.place,
            found_ms=item.found_ms, document=item.document,
        )
    )  # fmt: skip
    return True


def list_evidence(tx: Tx) -> list[StoredEvidence]:
    table = table_of(EvidenceRow)
    return [StoredEvidence(**row._mapping) for row in tx.execute(select(table).order_by(table.c.found_ms))]


# --- tokens --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    id: str
    name: str
    hash: bytes
    scopes: str
    created_ms: int
    revoked_ms: int | None


def insert_token(tx: Tx, token: StoredToken) -> None:
    tx.execute(
        table_of(TokenRow).insert().values(
            id=token.id, name=token.name, hash=token.hash, scopes=token.scopes, created_ms=token.created_ms
        )
    )  # fmt: skip


def list_tokens(tx: Tx) -> list[StoredToken]:
    table = table_of(TokenRow)
    return [StoredToken(**row._mapping) for row in tx.execute(select(table).order_by(table.c.created_ms))]


def revoke_token(tx: Tx, token_id: str, revoked_ms: int) -> bool:
    table = table_of(TokenRow)
    query = update(table).where(table.c.id == token_id, table.c.revoked_ms.is_(None)).values(revoked_ms=revoked_ms)
    return tx.execute(query).rowcount == 1
