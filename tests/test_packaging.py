"""What is installed: the wheel holds every file of the packages; the locks name versions and hashes, no places."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement

from tests.source import PACKAGES, ROOT, imports, modules

LOCKS: Final = ("requirements.lock", "requirements-dev.lock")
_PIN: Final = re.compile(r"^([a-z0-9-]+)==\S+( ; .*)? \\$", re.MULTILINE)


def _locked_names(lock: str) -> set[str]:
    return {match[1] for match in _PIN.finditer((ROOT / lock).read_text())}


def _normal(requirement: str) -> str:
    """The bare name of a requirement, as locks write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement)[0]).lower()


def _build_wheel(folder: Path) -> Path:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    wheel = _build_wheel(tmp_path)
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == files


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a venv that has our wheel, and of this venv's what we declare, no tool. Nothing is downloaded."""
    root = tmp_path_factory.mktemp("installed")
    venv.create(root / "venv", with_pip=False)
    programs = root / "venv" / "bin"
    site = Path(_output(programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
    install = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--no-deps", "--no-index"]
    subprocess.run([*install, str(_build_wheel(root))], check=True, capture_output=True, timeout=120)
    for name in _needed():
        _link(name, site)
    return programs


def _needed() -> set[str]:
    """Bare names of what we declare, and of what that needs in turn, here."""
    waiting = [Requirement(text) for text in _project()["dependencies"]]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        for extra in ("", *wanted.extras):
            if (wanted.name, extra) in seen or not _is_due(wanted):
                continue
            seen.add((wanted.name, extra))
            needs = [Requirement(text) for text in distribution(wanted.name).requires or ()]
            waiting += [need for need in needs if _is_due(need, extra)]
    return {_normal(name) for name, _ in seen}


def _is_due(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _link(name: str, site: Path) -> None:
    """Show one package of this venv to another."""
    for file in distribution(name).files or ():
        top = file.parts[0]
        if top not in ("..", "__pycache__") and not (site / top).exists():
            (site / top).symlink_to(Path(str(distribution(name).locate_file(top))))


def _project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def _output(*command: str | Path, folder: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TALLY_"))}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_installed_wheel_makes_a_node_and_opens_its_store(installed: Path, tmp_path: Path) -> None:
    where = "import node, ledger, contracts as c; print(*(m.__path__[0] for m in (node, ledger, c)), sep='\\n')"
    for place in _output(installed / "python", "-P", "-c", where, folder=tmp_path).splitlines():
        assert Path(place).is_relative_to(installed.parent), "what is tried is the wheel, not the checkout"
    version = _project()["version"]
    assert _output(installed / "tally", "--version", folder=tmp_path) == f"tally {version}"
    init = ("init", "fishery", "--network", "n.example", "--member", "fishery", "--endpoint", "http://127.0.0.1:1")
    _output(installed / "tally", *init, folder=tmp_path)
    _output(installed / "tally", "charter", "new", "fishery/member.json", "--dir", "fishery", folder=tmp_path)
    adopt = (
        "from pathlib import Path\nfrom ledger.network import decode_network_file\nfrom node.node import Node\n"
        "node = Node.open(Path('fishery'))\n"
        "print(node.adopt(decode_network_file(Path('network.json').read_bytes())).names[0])\nnode.close()\n"
    )
    assert _output(installed / "python", "-P", "-c", adopt, folder=tmp_path) == "fishery"
    assert "sound" in _output(installed / "tally", "fsck", "--dir", "fishery", folder=tmp_path)


@pytest.mark.slow
def test_the_installed_wheel_has_its_library_of_contracts(installed: Path, tmp_path: Path) -> None:
    find = "import contracts; print(contracts.__path__[0])"
    library = Path(_output(installed / "python", "-P", "-c", find, folder=tmp_path)) / "library"
    agreements = sorted(library.glob("*.py"))
    assert len(agreements) >= 1
    for agreement in agreements:
        _output(installed / "tally", "contract", "lint", agreement, folder=tmp_path)


@pytest.mark.slow
def test_every_package_that_is_imported_is_declared() -> None:
    owners = packages_distributions()
    tops = {name.partition(".")[0] for module in modules(*PACKAGES) for name in imports(module)}
    foreign = tops - {*PACKAGES, *sys.stdlib_module_names}
    project = _project()
    declared = {_normal(text) for text in project["dependencies"] + project["optional-dependencies"]["invoices"]}
    assert len(foreign) > 15
    assert sorted(top for top in foreign if not declared & {_normal(owner) for owner in owners[top]}) == []


def test_every_declared_dependency_has_both_bounds() -> None:
    for text in _project()["dependencies"]:
        operators = {bound.operator for bound in Requirement(text).specifier}
        # The engine's version is part of what parties agree on.
        assert operators == ({"=="} if text.startswith("wasmtime==") else {">=", "<"}), text


@pytest.mark.slow
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text()
    options = [
        line for line in text.splitlines() if re.match(r"\s*-", line) and not line.startswith("    --hash=sha256:")
    ]
    assert options == []
    assert re.findall(r"\S*(?:://|@ |(?<!\w)/)\S*", text) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_of_a_lock_has_a_hash(lock: str) -> None:
    text = (ROOT / lock).read_text()
    blocks = re.split(r"^(?=\S+==)", text, flags=re.MULTILINE)[1:]
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert len(blocks) == len(_locked_names(lock)) > 30


def test_the_locks_hold_every_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {_normal(name) for name in project["project"]["dependencies"] + project["build-system"]["requires"]}
    tools = {_normal(name) for name in project["project"]["optional-dependencies"]["dev"]}
    assert needed - _locked_names("requirements.lock") == set()
    assert (needed | tools) - _locked_names("requirements-dev.lock") == set()


def test_both_locks_agree() -> None:
    def pins(lock: str) -> set[str]:
        return {match[0] for match in _PIN.finditer((ROOT / lock).read_text())}

    assert pins("requirements.lock") <= pins("requirements-dev.lock")
