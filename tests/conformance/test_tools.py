"""On a machine that lacks a tool, or the network, these tests skip and say what is missing; all else fails them."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance import tools


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing fetched and no program on its path but those put into the folder returned."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(tools, "CACHE", tmp_path / "cache" / "conformance")
    return programs


def _put(folder: Path, *names: str, says: str = "", status: int = 0) -> None:
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\necho {shlex.quote(says)} >&2\nexit {status}\n")
        (folder / name).chmod(0o755)


def _reason(fetch: Callable[[], Path], kind: type[Exception] = tools.NotToBeHad) -> str:
    with pytest.raises(kind) as caught:
        fetch()
    left = list(tools.CACHE.glob("*"))
    assert left == [], "nothing half made is taken for whole the next time"
    return str(caught.value)


def test_a_machine_without_the_tools_is_told_so(bare: Path) -> None:
    assert _reason(tools.npm_folder) == "node is not installed"
    assert _reason(tools.go_verifier) == "apt-get and dpkg-deb are not installed"
    _put(bare, "node")
    assert _reason(tools.npm_folder) == "npm is not installed"


@pytest.mark.parametrize(
    "says",
    ["npm error code ENOTFOUND", "npm error code ECONNREFUSED", "npm error code E503", "npm error code EBADENGINE"],
)
def test_a_registry_of_npm_that_is_out_of_reach_is_told_of(bare: Path, says: str) -> None:
    _put(bare, "node", "npm", says=says, status=1)
    assert _reason(tools.npm_folder).endswith(f"failed: {says}")


@pytest.mark.parametrize(
    "says",
    [
        "E: Failed to fetch x  Temporary failure resolving y",
        "E: Failed to fetch x  404  Not Found",
        "E: Unable to locate package golang-1.19-go",
        "E: Can't find a source to download version",
    ],
)
def test_sources_of_apt_that_are_out_of_reach_or_of_another_release_are_told_of(bare: Path, says: str) -> None:
    _put(bare, "apt-get", "dpkg-deb", says=says, status=100)
    assert _reason(tools.go_verifier).endswith(f"failed: {says}")


@pytest.mark.parametrize("says", ["npm error code EINTEGRITY", "npm error code EUSAGE", "npm error code E404", "?"])
def test_a_package_of_npm_with_another_hash_or_none_fails(bare: Path, says: str) -> None:
    _put(bare, "node", "npm", says=says, status=1)
    assert _reason(tools.npm_folder, tools.Broken).endswith(says)


def test_a_package_of_apt_that_is_not_what_its_index_says_fails(bare: Path) -> None:
    _put(bare, "apt-get", "dpkg-deb", says="E: Failed to fetch x  Hash Sum mismatch", status=100)
    assert _reason(tools.go_verifier, tools.Broken).endswith("Hash Sum mismatch")


def test_what_does_not_build_fails(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_unpack_debian", lambda *_, folder: _put_compiler(folder))
    assert _reason(tools.go_verifier, tools.Broken).endswith("main.go:7: undefined: x")


def _put_compiler(folder: Path) -> None:
    programs = folder / "usr/lib/go-1.19/bin"
    programs.mkdir(parents=True, exist_ok=True)
    _put(programs, "go", says="main.go:7: undefined: x", status=1)


def test_packages_of_another_machine_are_not_asked_for(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(bare, "apt-get", "dpkg-deb")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert _reason(tools.go_verifier).endswith("those of amd64")


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
    assert _reason(tools.go_verifier, tools.Broken).endswith("is not the one of debian.lock")
