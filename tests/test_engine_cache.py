"""Machine code is run as it lies in the cache: nothing is taken that others may have written, or time broke."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import pytest

from contracts.engine import Engine, EngineUnfit, cache
from contracts.engine.cache import default_folder, open_compiled
from contracts.engine.machine import load_component, make_engine
from contracts.engine.private import opened_folder
from tests.make_wire import wait_until
from tests.source import ROOT

COMPILE: Final = (
    "import sys; from pathlib import Path; from contracts.engine.cache import open_compiled;"
    "open_compiled(Path(sys.argv[1]), print).close()"
)
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture(scope="module")
def compiled() -> Path:
    with Engine() as engine:
        engine.start()
    return default_folder() / cache._name()


@pytest.fixture
def path(compiled: Path, tmp_path: Path) -> Path:
    """The code in a cache of its own, with its sum beside it."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    for one in (compiled, compiled.with_suffix(".sum")):
        shutil.copy(one, folder)
    return folder / compiled.name


def no_compiling(line: str) -> None:
    raise AssertionError("it was there already")


def take(folder: Path) -> bytes:
    """The first bytes of the code that would be run."""
    with open_compiled(folder, no_compiling) as code:
        return code.read(64)


def start_compiling(folder: Path, limit: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", limit + COMPILE, str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def is_compiling(begun: subprocess.Popen[str]) -> bool:
    """Whether the compiler of that process is at work: it has threads for it, beside the first."""
    assert begun.poll() is None, begun.communicate()
    with suppress(psutil.NoSuchProcess):
        return any(child.num_threads() > 1 for child in psutil.Process(begun.pid).children())
    return False


def test_code_that_is_sound_is_taken_as_it_lies(path: Path) -> None:
    assert take(path.parent) == path.read_bytes()[:64]


def change(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


def become_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


BREAK: Final[dict[str, Callable[[Path], object]]] = {
    "a bit changed": lambda path: change(path, len(path.read_bytes()) // 2),
    "the last bit changed": lambda path: change(path, -1),
    "truncated": lambda path: os.truncate(path, 1 << 20),
    "empty": lambda path: os.truncate(path, 0),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "gone": lambda path: path.unlink(),
    "a folder": become_folder,
    "a pipe": become_pipe,
    "its sum changed": lambda path: change(path.with_suffix(".sum"), 7),
    "its sum empty": lambda path: os.truncate(path.with_suffix(".sum"), 0),
    "its sum no text": lambda path: path.with_suffix(".sum").write_bytes(b"\xff" * 64),
    "its sum gone": lambda path: path.with_suffix(".sum").unlink(),
    "its sum a folder": lambda path: become_folder(path.with_suffix(".sum")),
}


@pytest.mark.parametrize("how", BREAK)
def test_code_that_is_broken_is_not_taken(path: Path, how: str) -> None:
    take(path.parent)
    BREAK[how](path)
    with pytest.raises(AssertionError, match="it was there already"):
        take(path.parent)


@pytest.mark.parametrize("which", ["folder", "code", "sum"])
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_what_others_may_write_is_refused_by_name(path: Path, which: str, mode: int) -> None:
    found = {"folder": path.parent, "code": path, "sum": path.with_suffix(".sum")}[which]
    found.chmod(mode)
    with pytest.raises(EngineUnfit, match=f"others may write {found}; "):
        take(path.parent)


def test_folder_above_may_be_anybodys_but_what_others_put_in_ours_place_is_not_taken(path: Path) -> None:
    """A container's volume is written by everybody."""
    above = path.parent.parent
    above.chmod(0o777)
    assert take(path.parent)
    path.parent.rename(above / "away")
    path.parent.mkdir(mode=0o777)
    path.parent.chmod(0o777)
    with pytest.raises(EngineUnfit, match=f"others may write {path.parent}; "):
        take(path.parent)


def test_folders_that_are_made_are_the_users_alone_whatever_its_mask_is(tmp_path: Path) -> None:
    """Else the next start would refuse what this one made."""
    before = os.umask(0)
    with suppress(AssertionError):  # it would compile
        take(tmp_path / "a" / "b" / "cache")
    os.umask(before)
    assert {one.stat().st_mode & 0o777 for one in (tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/cache")} == {0o700}


def test_code_that_was_looked_at_is_run_whatever_takes_its_place(path: Path) -> None:
    with open_compiled(path.parent, no_compiling) as code:
        path.parent.rename(path.parent.with_name("away"))
        path.parent.mkdir()
        path.write_bytes(b"other code")
        assert load_component(make_engine(), code)


@pytest.mark.parametrize("which", ["folder", "code", "sum"])
def test_symbolic_link_is_refused_by_name(path: Path, which: str) -> None:
    found = {"folder": path.parent, "code": path, "sum": path.with_suffix(".sum")}[which]
    found.rename(found.with_name("elsewhere"))
    found.symlink_to(found.with_name("elsewhere"))
    with pytest.raises(EngineUnfit, match=f"{found} is a symbolic link"):
        take(path.parent)


def test_what_stands_in_the_way_is_named(path: Path) -> None:
    path.unlink()
    (path.parent / "lock").mkdir()
    with pytest.raises(EngineUnfit, match=f"cannot keep the compiled engine in {path.parent}: lock: Is a directory"):
        take(path.parent)


def test_code_of_another_machine_is_told_in_one_line_with_what_to_remove(path: Path) -> None:
    """Its sum is right: somebody copied it here."""
    path.write_bytes(b"other code")
    path.with_suffix(".sum").write_text(hashlib.sha256(b"other code").hexdigest(), encoding="ascii")
    with Engine(folder=path.parent) as engine, pytest.raises(EngineUnfit, match="does not fit: [^\n]+$") as refused:
        engine.start()
    assert "Remove the files engine-*" in refused.value.hint


def test_lock_that_is_a_symbolic_link_is_not_followed(path: Path) -> None:
    path.unlink()
    (path.parent / "lock").symlink_to(path.parent / "made")
    with pytest.raises(EngineUnfit, match="cannot keep the compiled engine in"):
        take(path.parent)
    assert not (path.parent / "made").exists()


@AS_ROOT
@pytest.mark.parametrize("which", ["folder", "code"])
def test_what_belongs_to_another_user_is_refused(path: Path, which: str) -> None:
    found = {"folder": path.parent, "code": path}[which]
    os.chown(found, 65534, 65534)
    with pytest.raises(EngineUnfit, match=f"{found}.* belongs to another user"):
        take(path.parent)


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineUnfit, match=f"in {tmp_path}/file/cache: Not a directory"):
        take(tmp_path / "file" / "cache")


def test_default_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/tallystick")
    for relative in ("", "somewhere"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert default_folder() == Path.home() / ".cache" / "tallystick"


@pytest.mark.parametrize("home", ["somewhere", "./a", ""])
def test_home_that_is_no_absolute_path_is_refused(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", home)
    with pytest.raises(EngineUnfit, match="which is no absolute path") as refused:
        default_folder()
    assert "set XDG_CACHE_HOME" in refused.value.hint


@AS_ROOT
def test_user_without_a_home_is_told_what_to_set() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import os; from contracts.engine import Engine; os.setuid(54321); Engine()"],
        env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "EngineUnfit: " in done.stderr and "the user has no home folder" in done.stderr


@AS_ROOT
def test_code_in_a_folder_that_is_only_read_is_run_and_found(path: Path) -> None:
    with tempfile.TemporaryDirectory() as place:  # which the other user can reach
        folder = Path(shutil.move(path.parent, place))
        for one in (Path(place), folder, *folder.iterdir()):
            os.chown(one, 54321, 54321)
        folder.chmod(0o500)
        asked = (
            "import os, sys; from pathlib import Path; from contracts.engine import cache; os.setuid(54321);"
            "folder = Path(sys.argv[1]); print(cache.is_compiled(folder)); cache.open_compiled(folder, print).close()"
        )
        done = subprocess.run(
            [sys.executable, "-P", "-c", asked, str(folder)],
            env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_only_what_nobody_used_for_long_is_removed(path: Path) -> None:
    long_ago = time.time() - 40 * 86_400
    for name, seconds in (("engine-old", long_ago), ("engine-other", time.time())):
        for suffix in (".aot", ".sum"):
            (path.parent / f"{name}{suffix}").write_text("x")
            os.utime(path.parent / f"{name}{suffix}", (seconds, seconds))
    with opened_folder(path.parent) as folder:
        cache._remove_unused(folder)
    left = {path.name, path.with_suffix(".sum").name, "engine-other.aot", "engine-other.sum"}
    assert {one.name for one in path.parent.iterdir()} == left


@pytest.mark.slow
@pytest.mark.crash
def test_compiler_that_was_killed_leaves_nothing_that_is_taken_and_two_then_make_one(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    killed = start_compiling(folder)
    wait_until(lambda: is_compiling(killed), "the compiler to be at work")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not list(folder.glob("engine-*"))

    both = [start_compiling(folder) for _ in range(2)]
    told = [one.communicate()[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sum("Compiling the contract engine" in one for one in told) == 1
    assert take(folder) and {one.stat().st_mode & 0o777 for one in folder.iterdir()} == {0o600}


@pytest.mark.slow
@pytest.mark.crash
def test_disk_without_room_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """A bound on the size of files stands for the full disk: the write fails at the same place."""
    folder = tmp_path / "cache"
    bound = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20));"
    failed = start_compiling(folder, bound)
    assert "EngineUnfit" in failed.communicate()[1] and failed.returncode == 1
    assert [one.name for one in folder.iterdir()] == ["lock"]
