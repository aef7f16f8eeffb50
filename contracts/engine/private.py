"""A folder of the user's own, and files in it that nobody else can have written.

Each is opened first, then looked at, and read by the same descriptor: nothing can take its place in between. The
folders above are looked at as well, from the root down: whoever may write one of them could put another in the place
of what lies in it.

Spec: docs/spec/contract-engine.md, "The cache".
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Final

from contracts.engine.errors import EngineUnfit

_ELSEWHERE: Final = (
    "Nothing was recorded. Mend what is named, or set XDG_CACHE_HOME to a folder of your own: compiled code is kept in "
    "its folder tallystick, and without XDG_CACHE_HOME in ~/.cache/tallystick."
)
_OTHERS_WRITE: Final = 0o022


def not_kept(reason: str) -> EngineUnfit:
    """The fault of a place where the compiled guest is kept: there may be a better one."""
    error = EngineUnfit(reason=reason)
    error.hint = _ELSEWHERE
    return error


def find_place(folder: Path) -> Path:
    """Where a folder lies in truth, or would lie. Raises: EngineUnfit, if others could put another in its place."""
    place = Path(os.path.realpath(folder.parent), folder.name)
    for above in reversed(place.parents):
        try:
            found = above.lstat()
        except (FileNotFoundError, NotADirectoryError):
            break
        if found.st_uid not in (0, os.geteuid()):
            raise not_kept(f"{above}, in which {folder} lies, belongs to another user")
        if _is_open_to_others(found):
            raise not_kept(f"others may write {above}, in which {folder} lies; take that from them: chmod go-w {above}")
    return place


@contextmanager
def opened_folder(place: Path) -> Iterator[int]:
    """With a descriptor of a folder that is the user's alone. Raises: EngineUnfit, OSError."""
    _check_private(place.lstat(), place)  # for its words: by a link, opening says that it is no folder
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_private(os.fstat(descriptor), place)
        yield descriptor
    finally:
        os.close(descriptor)


def open_file(path: Path, *, folder: int) -> BufferedReader | None:
    """A file that is the user's alone, None if there is none. folder: the descriptor of the folder that it lies in.

    Raises: EngineUnfit, OSError.
    """
    try:  # without waiting: a pipe would, until somebody writes to it
        descriptor = os.open(
            path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
        )  # fmt: skip
    except FileNotFoundError:
        return None
    except OSError as cause:
        if cause.errno == errno.ELOOP:
            raise _linked(path) from cause
        raise
    try:
        found = os.fstat(descriptor)
        _check_private(found, path)
        if stat.S_ISREG(found.st_mode):
            return os.fdopen(os.dup(descriptor), "rb")
        return None
    finally:
        os.close(descriptor)


# --- inside ------------------------------------------------------------------------


def _check_private(found: os.stat_result, path: Path) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise _linked(path)
    if found.st_uid != os.geteuid():
        raise not_kept(f"{path} belongs to another user")
    if found.st_mode & _OTHERS_WRITE:
        raise not_kept(f"others may write {path}; set its mode to 0700")


def _linked(path: Path) -> EngineUnfit:
    return not_kept(f"{path} is a symbolic link, and nothing here may be one")


def _is_open_to_others(found: os.stat_result) -> bool:
    """Whether others may rename what lies in a folder. In one like /tmp each may so treat only what is its own."""
    if found.st_mode & stat.S_ISVTX:
        return False
    return bool(found.st_mode & stat.S_IWOTH) or bool(found.st_mode & stat.S_IWGRP and not _is_own(found.st_gid))


def _is_own(gid: int) -> bool:
    """Whether it is the group that many systems give to each user alone: what it may, nobody else may."""
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return (group.gr_name, gid) == (user.pw_name, user.pw_gid) and set(group.gr_mem) <= {user.pw_name}
