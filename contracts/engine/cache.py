"""The compiled guest, kept once per OS user: machine code in a private folder.

What lies there is run as it is, so whoever can write it can do all that the user can. It is taken only from a folder
and a file that belong to the user and that nobody else may write (`contracts.engine.private`); its sum shows what a
disk or a copy broke. What was looked at is what is run: the file stays open from the one to the other.

A crash at any point leaves no file that is taken: it is written beside, synced, and renamed under a lock.

Spec: docs/spec/contract-engine.md, "The cache".
"""

from __future__ import annotations

import fcntl
import hashlib
import lzma
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import Final

from contracts.engine import children, pin
from contracts.engine.errors import EngineUnfit
from contracts.engine.private import not_kept, open_file, opened_folder

ARTIFACT_PATH: Final = Path(__file__).parent.parent / "guest" / "contract.wasm.xz"
_UNUSED_S: Final = 30 * 86_400
_COMPILING_S: Final = 3_600
_MAKING: Final = "compiling"

Tell = Callable[[str], None]
"""Takes a line for people who wait."""


def default_folder() -> Path:
    """Where machine code is kept: `$XDG_CACHE_HOME/tallystick`, or `~/.cache/tallystick`. Raises: EngineUnfit."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if base.startswith("/"):
        return Path(base, "tallystick")
    home = os.environ.get("HOME")
    if home is not None and not home.startswith("/"):
        raise not_kept(f"there is no place for the compiled engine: HOME is {home!r}, which is no absolute path")
    try:
        return Path.home() / ".cache" / "tallystick"
    except RuntimeError as cause:
        raise not_kept("there is no place for the compiled engine: the user has no home folder") from cause


def open_compiled(folder: Path, tell: Tell) -> BufferedReader:
    """The compiled guest, compiled first if it is not there or not sound. For the caller to close.

    Of several processes that come at once one compiles and the others wait. Raises: EngineUnfit.
    """
    with _naming(folder):
        _make(folder)
        with opened_folder(folder) as descriptor:
            return _open_sound(folder, descriptor) or _open_made(folder, descriptor, tell)


def is_compiled(folder: Path) -> bool:
    """Whether it is there, or could be made: nothing is made here. Raises: EngineUnfit."""
    with _naming(folder):
        above = next(path for path in (folder, *folder.parents) if path.exists() or path.is_symlink())
        if above != folder:
            _check_writable(above, folder)
            return False
        with opened_folder(folder) as descriptor:
            code = _open_sound(folder, descriptor)
        if code is None:
            _check_writable(folder, folder)
            return False
        code.close()
        return True


def read_artifact() -> bytes:
    """The guest as all parties pinned it. Raises: EngineUnfit if it is another one."""
    try:
        wasm = lzma.decompress(ARTIFACT_PATH.read_bytes(), memlimit=256 << 20)
    except (OSError, lzma.LZMAError) as cause:
        raise EngineUnfit(reason=f"the guest cannot be read: {cause}") from cause
    if len(wasm) != pin.ARTIFACT_BYTES or hashlib.sha256(wasm).hexdigest() != pin.ARTIFACT:
        raise EngineUnfit(reason="the guest is not the one that is pinned; install the package again")
    return wasm


# --- inside ------------------------------------------------------------------------


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        # By a name alone it was opened in the folder, by a path the folder itself, or one above it.
        what = f"{cause.filename}: " if isinstance(cause.filename, str) and "/" not in cause.filename else ""
        raise not_kept(f"cannot keep the compiled engine in {folder}: {what}{cause.strerror}") from cause


def _name() -> str:
    """Of all that the machine code depends on."""
    made_of = repr((pin.make_pin(), sys.platform, os.uname().machine))
    return f"engine-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.aot"


def _make(folder: Path) -> None:
    """The folder, and those above it that are missing, for the user alone whatever its mask lets others do."""
    for path in (*reversed(folder.parents), folder):
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)


def _check_writable(above: Path, folder: Path) -> None:
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise not_kept(f"cannot keep the compiled engine in {folder}: {above} cannot be written")


def _open_sound(place: Path, descriptor: int) -> BufferedReader | None:
    """The code, None if it is not there or not what was written. Its sum stands beside it: the code is run as it lies.

    descriptor: of the folder `place`.
    """
    path = Path(place, _name())
    said = _read_sum(path.with_suffix(".sum"), descriptor)
    code = open_file(path, folder=descriptor)
    if code is None:
        return None
    if said != hashlib.file_digest(code, "sha256").hexdigest().encode():
        code.close()
        return None
    code.seek(0)
    return code


def _read_sum(path: Path, descriptor: int) -> bytes | None:
    file = open_file(path, folder=descriptor)
    if file is None:
        return None
    with file:
        with suppress(OSError):  # the disk may be one that is only read
            os.utime(file.fileno())  # used: see `_remove_unused`
        return file.read(2 * hashlib.sha256().digest_size + 1)


def _open_made(place: Path, descriptor: int, tell: Tell) -> BufferedReader:
    with _locked(descriptor, tell):
        code = _open_sound(place, descriptor)
        if code is None:
            tell("Compiling the contract engine (once, about ten seconds) ...")
            _compile_into(descriptor)
            tell("Compiled.")
            code = _open_sound(place, descriptor)
    if code is None:
        raise not_kept(f"what was written to {place} is not what can be read there")
    return code


@contextmanager
def _locked(folder: int, tell: Tell) -> Iterator[None]:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open("lock", flags, 0o600, dir_fd=folder)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("Another process compiles the contract engine; waiting for it ...")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _compile_into(folder: int) -> None:
    """In a process of its own: it takes half a gigabyte, which only the end of a process gives back."""
    _remove_unused(folder)
    with _made_anew(_MAKING, folder) as code, _made_anew(f"{_MAKING}.sum", folder) as sums:
        ended, said = children.finish(
            "contracts.engine.compiling", str(code.fileno()), timeout_s=_COMPILING_S, keep=[code.fileno()]
        )
        if ended != 0:
            raise not_kept(f"compiling the guest failed ({ended}): {said[:300]}")
        code.seek(0)
        sums.write(hashlib.file_digest(code, "sha256").hexdigest().encode())
        sums.flush()
        for file in (code, sums):
            os.fsync(file.fileno())
        # The sum first: with the code alone in place it is not sound, and made again.
        path = Path(_name())
        os.rename(f"{_MAKING}.sum", path.with_suffix(".sum"), src_dir_fd=folder, dst_dir_fd=folder)
        os.rename(_MAKING, path, src_dir_fd=folder, dst_dir_fd=folder)


@contextmanager
def _made_anew(name: str, folder: int) -> Iterator[BufferedRandom]:
    """A new file, removed again unless it was renamed. A compiler that was left behind may write to the one before."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "r+b") as file:
            yield file
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def _remove_unused(folder: int) -> None:
    """What nobody has used for long; other versions keep theirs here, too."""
    for name in os.listdir(folder):
        is_sum = name.startswith("engine-") and name.endswith(".sum")
        if is_sum and time.time() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime > _UNUSED_S:
            for one in (name, name.removesuffix("sum") + "aot"):
                with suppress(FileNotFoundError):
                    os.unlink(one, dir_fd=folder)
