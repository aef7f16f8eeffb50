"""The engine's own processes run the code that stands here, whatever lies where they were called from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.engine import Engine, EngineFailed, EngineUnfit, children
from contracts.engine.cache import open_compiled
from contracts.engine.checking import check_engine
from tests.source import ROOT

_MODULES = ("checking", "compiling", "worker")


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that modules of the same names would write, in the current folder and in front in the environment."""
    folder, ran = tmp_path / "foreign", tmp_path / "ran"
    for name in ("contracts/__init__", "contracts/engine/__init__", *(f"contracts/engine/{one}" for one in _MODULES)):
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"open({str(ran)!r}, 'a').write(__name__)\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return ran


def test_the_check_runs_no_code_of_the_current_folder(foreign: Path, tmp_path: Path) -> None:
    assert check_engine(tmp_path / "cache") is False
    assert not foreign.exists()


def test_the_worker_runs_no_code_of_the_current_folder(foreign: Path) -> None:
    with Engine() as engine:
        engine.start()
    assert not foreign.exists()


@pytest.mark.slow
def test_the_compiler_runs_no_code_of_the_current_folder(foreign: Path) -> None:
    open_compiled(Path("cache"), lambda line: None).close()
    assert not foreign.exists()


def test_what_the_check_finds_wrong_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of the same modules, with a guest that is not the pinned one."""
    _copy_program(tmp_path / "broken")
    (tmp_path / "broken" / "contracts" / "guest" / "contract.wasm.xz").write_bytes(b"no guest")
    monkeypatch.setattr(children, "_ROOT", tmp_path / "broken")
    with pytest.raises(EngineUnfit, match="this machine cannot run contracts: the guest cannot be read: "):
        check_engine(tmp_path / "cache")


def test_child_that_breaks_is_told_with_its_last_line() -> None:
    code, said = children.finish("no_such_module", timeout_s=60)
    assert (code, "No module named no_such_module" in said) == (1, True)


def test_child_that_does_not_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "endless.py").write_text("import os, sys, time\nopen(sys.argv[1], 'w').write(str(os.getpid()))\n"
                                         "time.sleep(600)\n")  # fmt: skip
    monkeypatch.setattr(children, "_ROOT", tmp_path)
    with pytest.raises(EngineFailed, match="did not end within 3 seconds, and was stopped"):
        children.finish("endless", str(tmp_path / "pid"), timeout_s=3)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_child_that_cannot_be_started_is_an_error_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EngineFailed, match="cannot be started: No such file or directory"):
        children.finish("contracts.engine.checking", timeout_s=60)


_AS_NOBODY = """
import os, sys
from pathlib import Path
from contracts.engine import EngineUnfit
from contracts.engine.cache import is_compiled
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    is_compiled(Path(sys.argv[1]))
except EngineUnfit as cause:
    print(cause)
"""


def test_folder_that_one_may_not_search_is_named(tmp_path: Path) -> None:
    """Root may search every folder, so the question is put as nobody."""
    (tmp_path / "closed" / "tallystick").mkdir(parents=True)
    (tmp_path / "closed").chmod(0)
    done = subprocess.run(
        [sys.executable, "-P", "-c", _AS_NOBODY, str(tmp_path / "closed" / "tallystick")],
        env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (tmp_path / "closed").chmod(0o700)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"cannot keep the compiled engine in {tmp_path}/closed/tallystick: Permission denied\n")


def test_who_asks_the_engine_loads_no_machine() -> None:
    """It takes a tenth of a second and as many megabytes of every node and command: the worker alone has need of it."""
    told = "import sys, contracts.folding; print(sorted({'wasmtime', 'contracts.engine.machine'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-P", "-c", told], env={"PYTHONPATH": str(ROOT)}, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert (done.stdout, done.stderr) == ("[]\n", "")


def _copy_program(to: Path) -> None:
    """`contracts` and `ledger` by links, but for the guest's folder."""
    (to / "contracts" / "guest").mkdir(parents=True)
    (to / "ledger").symlink_to(ROOT / "ledger")
    for one in (ROOT / "contracts").iterdir():
        if one.name not in ("guest", "engine", "__pycache__"):
            (to / "contracts" / one.name).symlink_to(one)
    (to / "contracts" / "engine").mkdir()
    for one in (ROOT / "contracts" / "engine").glob("*.py"):
        (to / "contracts" / "engine" / one.name).symlink_to(one)
