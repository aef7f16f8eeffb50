"""What is installed: the wheel holds every file of the packages; the locks name versions and hashes, no places."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.source import PACKAGES, ROOT

LOCKS: Final = ("requirements.lock", "requirements-dev.lock")
_PIN: Final = re.compile(r"^([a-z0-9-]+)==\S+( ; .*)? \\$", re.MULTILINE)


def _locked_names(lock: str) -> set[str]:
    return {match[1] for match in _PIN.finditer((ROOT / lock).read_text())}


def _normal(requirement: str) -> str:
    """The bare name of a requirement, as locks write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement)[0]).lower()


def test_the_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == files


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
