"""A node's folder: one process serves it at a time; its small files are written whole, synced, renamed into place."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ledger.errors import Conflict
from node.crash import crash_point


class FolderInUse(Conflict):
    code = "folder-in-use"
    template = "another process serves {folder}"
    hint = "One node process serves a folder, on whatever port. Stop the other one first."


class DatabaseLinked(Conflict):
    code = "database-linked"
    template = "{path} has {names} names (hard links), so that two folders may hold one database"
    hint = (
        "Stop the node and give this folder a file of its own: `cp ledger.db copy && mv copy ledger.db`. "
        "Serve one folder of a member, never two: they would sign two histories."
    )


def check_sole_name(path: Path) -> None:
    """Raise if a file has names beside this one. Raises: DatabaseLinked.

    SQLite keeps what was written last in a file beside each name: two nodes would not see each other's entries, and
    sign two histories. The folder's lock keeps out none of them.
    """
    with suppress(FileNotFoundError):
        names = path.stat().st_nlink
        if names > 1:
            raise DatabaseLinked(path=path, names=names)


@contextmanager
def sole_server(folder: Path) -> Iterator[None]:
    """Let no other process enter for the same folder until the block ends, or this process does. Raises: FolderInUse.

    Two would not fork the log, but each would raise the high-water file by what it knows itself.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(folder=folder) from None
        yield
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` so that a crash leaves the old or the new content, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    crash_point("file.before-rename")
    temporary.replace(path)
    _sync_folder(path.parent)
    crash_point("file.after-rename")


def create_private(path: Path, content: bytes) -> None:
    """Make a file that only its owner can read; raises FileExistsError rather than replace one."""
    crash_point("file.before-create")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)
    crash_point("file.after-create")


def _sync_folder(path: Path) -> None:
    """Make the names in a folder durable: a file that was synced is not found again without its name."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
