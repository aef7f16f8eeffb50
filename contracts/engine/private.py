"""A folder of the user's own, and files in it that nobody else can have written.

Each is opened first, then looked at, and read by the same descriptor: nothing can take its place in between. So it
does not matter who may write the folders above, as many may in a container's volume: what others put in the place of
ours is theirs, and refused.

Spec: docs/spec/contract-engine.md, "The cache".
"""

from __future__ import annotations

import errno
import os
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


@contextmanager
def opened_folder(folder: Path) -> Iterator[int]:
    """With a descriptor of a folder that is the user's alone. Raises: EngineUnfit, OSError."""
    _check_private(folder.lstat(), folder)  # for its words: by a link, opening says that it is no folder
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_private(os.fstat(descriptor), folder)
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
