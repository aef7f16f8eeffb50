"""fsck: re-prove a whole store: every link, leaf, root, signature, manifest, section and wrap, and what stands beside.

Reads only, also a copy of a database, also while the node runs. It stops at nothing: each
fault is named with its log and entry, and the walk goes on. What it cannot tell, as nothing
in the store says it twice, is in docs/reference/fsck.md.

`walk` goes over the logs, `bodies` over what was recorded, `heads` over what a log's row says, `rows` over the tables
beside the entries, `beside` over those of no log; `report` is what comes of it.
"""

from __future__ import annotations

from pathlib import Path

from ledger.names import MemberName, Origin, decode_origin
from node.config import DATABASE_NAME
from node.fsck.report import Fault, Report
from node.fsck.walk import Walk
from node.keyring import Keyring
from node.storage import facts
from node.storage.engine import SCHEMA_VERSION, DatabaseError, schema_version
from node.storage.store import Store

__all__ = ["Fault", "Report", "check_store", "read_owner"]


def check_store(path: Path, *, keyring: Keyring | None = None, member: MemberName | None = None) -> Report:
    """Check `ledger.db` at `path` (or in that folder). With the keyring, what this member can open is opened too."""
    database = path / DATABASE_NAME if path.is_dir() else path
    report = Report()
    store = Store.open_readonly(database)
    try:
        with store.read() as tx:
            if (version := schema_version(tx)) != SCHEMA_VERSION:
                report.add("database", f"its tables are of version {version}, not {SCHEMA_VERSION}")
            Walk(tx, report, keyring, member).run()
    except DatabaseError as cause:
        report.add("database", cause.orig)
    finally:
        store.close()
    return report


def read_owner(path: Path) -> Origin | None:
    """The log that a store, or a copy of one, is its member's own for; None if it does not say."""
    store = Store.open_readonly(path / DATABASE_NAME if path.is_dir() else path)
    try:
        with store.read() as tx:
            own = facts.get_meta(tx, facts.OWN_ORIGIN)
    except DatabaseError:
        return None  # the check itself tells what is wrong with it
    finally:
        store.close()
    return None if own is None else decode_origin(own)
