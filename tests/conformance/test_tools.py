"""On a machine that lacks a tool, or the network, these tests skip and say what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance import tools


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing fetched and no program on its path but those put into the folder returned."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(tools, "CACHE", tmp_path / "cache" / "conformance")
    return programs


def _put(folder: Path, *names: str, says: str = "", status: int = 0) -> None:
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {status}\n")
        (folder / name).chmod(0o755)


def _reason(fetch: Callable[[], Path]) -> str:
    with pytest.raises(tools.NotToBeHad) as caught:
        fetch()
    left = list(tools.CACHE.glob("*"))
    assert left == [], "nothing half made is taken for whole the next time"
    return str(caught.value)


def test_a_machine_without_the_tools_is_told_so(bare: Path) -> None:
    assert _reason(tools.npm_folder) == "node is not installed"
    assert _reason(tools.go_verifier) == "apt-get and dpkg-deb are not installed"
    _put(bare, "node")
    assert _reason(tools.npm_folder) == "npm is not installed"


def test_a_machine_without_a_network_is_told_so(bare: Path) -> None:
    _put(bare, "node", "npm", "apt-get", "dpkg-deb", says="could not resolve host", status=1)
    assert _reason(tools.npm_folder).endswith("failed: could not resolve host")
    assert _reason(tools.go_verifier).endswith("failed: could not resolve host")


def test_packages_fetched_earlier_are_of_no_use_without_node(bare: Path) -> None:
    _put(bare, "node", "npm")
    assert tools.npm_folder().is_dir()
    (bare / "node").unlink()
    with pytest.raises(tools.NotToBeHad, match="node is not installed"):
        tools.npm_folder()


def test_a_package_with_another_hash_is_not_used(bare: Path) -> None:
    _put(bare, "dpkg-deb")
    (bare / "apt-get").write_text('#!/bin/sh\necho other > "${3%=*}_1_amd64.deb"\n')
    (bare / "apt-get").chmod(0o755)
    assert _reason(tools.go_verifier).endswith("is not the one of debian.lock")
