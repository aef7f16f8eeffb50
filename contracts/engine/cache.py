"""The compiled guest, kept once per OS user: machine code in a private folder.

What lies there is run as it is, so whoever can write it can do all that the user can. It is taken only from a folder
and a file that belong to the user and that nobody else may write; its sum shows what a disk or a copy broke.

A crash at any point leaves no file that is taken: it is written beside, synced, and renamed under a lock.

Spec: docs/spec/contract-engine.md, "The cache".
"""

from __future__ import annotations

import fcntl
import hashlib
import lzma
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from contracts.engine import children, pin
from contracts.engine.errors import EngineUnfit

ARTIFACT_PATH: Final = Path(__file__).parent.parent / "guest" / "contract.wasm.xz"
_UNUSED_S: Final = 30 * 86_400
_COMPILING_S: Final = 3_600

_ELSEWHERE: Final = (
    "Nothing was recorded. Mend what is named, or set XDG_CACHE_HOME to a folder of your own: compiled code is kept in "
    "its folder tallystick, and without XDG_CACHE_HOME in ~/.cache/tallystick."
)

Tell = Callable[[str], None]
"""Takes a line for people who wait."""


def default_folder() -> Path:
    """Where machine code is kept: `$XDG_CACHE_HOME/tallystick`, or `~/.cache/tallystick`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "tallystick"


def ensure_compiled(folder: Path, tell: Tell) -> Path:
    """The path of the compiled guest, compiled first if it is not there or not sound. Raises: EngineUnfit.

    Of several processes that come at once one compiles and the others wait.
    """
    path = folder / _name()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_private(folder)
        if _is_sound(path):
            return path
        with _locked(folder / "lock"):
            if not _is_sound(path):
                tell("Compiling the contract engine (once, about ten seconds) ...")
                _compile_into(path)
                tell("Compiled.")
    except OSError as cause:
        raise _not_kept(f"cannot keep the compiled engine in {folder}: {cause.strerror}") from cause
    return path


def is_compiled(folder: Path) -> bool:
    """Whether it is there, or could be made: nothing is made here. Raises: EngineUnfit."""
    try:
        above = next(path for path in (folder, *folder.parents) if path.exists() or path.is_symlink())
        if above == folder:
            _check_private(folder)
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            raise _not_kept(f"cannot keep the compiled engine in {folder}: {above} cannot be written")
        return above == folder and _is_sound(folder / _name())
    except OSError as cause:
        raise _not_kept(f"cannot keep the compiled engine in {folder}: {cause.strerror}") from cause


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


def _not_kept(reason: str) -> EngineUnfit:
    """The fault of a place where the compiled guest is kept: there may be a better one."""
    error = EngineUnfit(reason=reason)
    error.hint = _ELSEWHERE
    return error


def _name() -> str:
    """Of all that the machine code depends on."""
    made_of = repr((pin.make_pin(), sys.platform, os.uname().machine))
    return f"engine-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.aot"


def _check_private(path: Path) -> None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise _not_kept(f"{path} is a symbolic link, and nothing here may be one")
    if found.st_uid != os.geteuid():
        raise _not_kept(f"{path} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise _not_kept(f"others may write {path}; set its mode to 0700")


def _is_sound(path: Path) -> bool:
    """The file is ours alone, and what was written. The sum stands beside it: the code itself is mapped as it lies."""
    sum_path = path.with_suffix(".sum")
    try:
        for one in (path, sum_path):
            _check_private(one)
            if not stat.S_ISREG(one.lstat().st_mode):
                return False
        with path.open("rb") as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
        is_sound = sum_path.read_text(encoding="ascii") == got
        with suppress(OSError):  # whoever installed it may have left nothing here to write
            os.utime(sum_path)  # used: see `_remove_unused`
        return is_sound
    except (FileNotFoundError, UnicodeDecodeError):
        return False


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _compile_into(path: Path) -> None:
    """In a process of its own: it takes half a gigabyte, which only the end of a process gives back."""
    _remove_unused(path.parent)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="compiling-") as work:
        made = Path(work, "code")
        code, said = children.finish("contracts.engine.compiling", str(made.absolute()), timeout_s=_COMPILING_S)
        if code != 0:
            raise EngineUnfit(reason=f"compiling the guest failed ({code}): {said[:300]}")
        content = made.read_bytes()
        sum_path = Path(work, "sum")
        _write(made, content)
        _write(sum_path, hashlib.sha256(content).hexdigest().encode())
        # The sum first: with the code alone in place it is not sound, and made again.
        sum_path.rename(path.with_suffix(".sum"))
        made.rename(path)


def _remove_unused(folder: Path) -> None:
    """What nobody has used for long, and what a compiler that was killed left; other versions keep theirs here, too."""
    for sum_path in folder.glob("engine-*.sum"):
        if time.time() - sum_path.lstat().st_mtime > _UNUSED_S:
            sum_path.unlink(missing_ok=True)
            sum_path.with_suffix(".aot").unlink(missing_ok=True)
    for left in folder.glob("compiling-*"):
        if time.time() - left.lstat().st_mtime > _COMPILING_S:
            shutil.rmtree(left, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
