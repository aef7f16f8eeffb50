"""Small tables of the store: facts, documents, answers, evidence, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select, update

from node.storage.store import Tx
from node.storage.tables import AnswerRow, DocumentRow, EvidenceRow, MetaRow, TokenRow, table_of

OWN_ORIGIN = "own-origin"
"""Name of the fact that says which log is this store's own."""
ANNOUNCED = ("announced-card", "announced-charter")
"""Names of the facts that say which card and charter the own log announced last."""


# --- facts about this store ----------------------------------------------------------


def get_meta(tx: Tx, name: str) -> str | None:
    table = table_of(MetaRow)
    return tx.execute(select(table.c.value).where(table.c.name == name)).scalar()


def set_meta(tx: Tx, name: str, value: str) -> None:
    tx.exec_driver_sql("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))


def list_meta(tx: Tx) -> list[tuple[str, str]]:
    """(name, value) of every fact."""
    return [(row[0], row[1]) for row in tx.exec_driver_sql("SELECT name, value FROM meta ORDER BY name")]


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


def list_all_documents(tx: Tx) -> list[tuple[str, str, int, bytes]]:
    """(kind, owner, version, note) of every row, whatever its kind."""
    rows = tx.exec_driver_sql("SELECT kind, owner, version, note FROM document ORDER BY kind, owner, version")
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def find_document(tx: Tx, *, kind: str, owner: str, version: int) -> bytes | None:
    values = (kind, owner, version)
    row = tx.exec_driver_sql("SELECT note FROM document WHERE kind = ? AND owner = ? AND version = ?", values).first()
    return None if row is None else bytes(row[0])


# --- answers to be repeated --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """request: keyed hash of the request's bytes. The records [index, index + count) answered it."""

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


def list_wrong_answers(tx: Tx, size: int) -> list[int]:
    """The indexes in rows that no answer to a request is kept in, if the own log has `size` entries."""
    rows = tx.exec_driver_sql(
        "SELECT \"index\" FROM answer WHERE NOT (typeof(key) = 'blob' AND typeof(request) = 'blob' "
        'AND typeof("index") = \'integer\' AND "index" >= 0 AND "index" < ? AND count = 1)',
        (size,),
    )
    return [row[0] for row in rows]


def list_disputed_answers(tx: Tx) -> list[int]:
    """Indexes of records that are the answer to two requests: one has a request, and at most two keys of it."""
    query = 'SELECT "index" FROM answer GROUP BY "index" HAVING count(*) > 2 OR count(DISTINCT request) > 1'
    return [row[0] for row in tx.exec_driver_sql(query)]


# --- evidence ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvidence:
    """One piece as it convicts `member`. log: origin, or "" for documents. place: the finding's size, or version."""

    id: bytes
    kind: str
    member: str
    log: str
    place: int
    found_ms: int
    document: bytes


def find_evidence(tx: Tx, about: StoredEvidence) -> StoredEvidence | None:
    """The piece that is kept of the kind, member and log of `about`."""
    table = table_of(EvidenceRow)
    same = (table.c.kind == about.kind, table.c.member == about.member, table.c.log == about.log)
    row = tx.execute(select(table).where(*same)).first()
    return None if row is None else StoredEvidence(**row._mapping)


def insert_evidence(tx: Tx, item: StoredEvidence) -> bool:
    """Keep a piece in the place of what was kept of its kind, member and log; False if it is the same."""
    held = find_evidence(tx, item)
    if held is not None and held.id == item.id:
        return False
    tx.exec_driver_sql(
        "INSERT OR REPLACE INTO evidence (kind, member, log, place, id, found_ms, document) VALUES (?,?,?,?,?,?,?)",
        (item.kind, item.member, item.log, item.place, item.id, item.found_ms, item.document),
    )
    return True


def list_evidence(tx: Tx) -> list[StoredEvidence]:
    """Every piece once, in the order found; `member` names all of whom it is the one kept."""
    table = table_of(EvidenceRow)
    found: dict[bytes, StoredEvidence] = {}
    for row in tx.execute(select(table).order_by(table.c.found_ms, table.c.id, table.c.member)):
        item = StoredEvidence(**row._mapping)
        known = found.get(item.id)
        found[item.id] = item if known is None else replace(known, member=f"{known.member}, {item.member}")
    return list(found.values())


def list_evidence_ids(tx: Tx) -> dict[bytes, list[tuple[str, str, str]]]:
    """The ids of all pieces in the order found, each with the (kind, member, log) that it is kept for."""
    found: dict[bytes, list[tuple[str, str, str]]] = {}
    for id_, *about in tx.exec_driver_sql("SELECT id, kind, member, log FROM evidence ORDER BY found_ms, id, member"):
        found.setdefault(id_, []).append((about[0], about[1], about[2]))
    return found


def read_evidence(tx: Tx, id_: bytes) -> bytes | None:
    """The document of that id; None where another has taken its place."""
    row = tx.exec_driver_sql("SELECT document FROM evidence WHERE id = ? LIMIT 1", (id_,)).first()
    return None if row is None else bytes(row[0])


def list_evidence_rows(tx: Tx) -> list[StoredEvidence]:
    """Every row as it is kept: one for each kind, member and log."""
    table = table_of(EvidenceRow)
    return [StoredEvidence(**row._mapping) for row in tx.execute(select(table))]


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
