"""Fetches the implementations of others that these tests compare ours with, into `.cache/conformance`.

Versions and hashes are pinned in `debian.lock` and `npm/package-lock.json`. Nothing is installed into the
system. Where a program is missing or a registry is out of reach, `NotToBeHad` is raised, and the tests that
need it skip by name and say why. All else fails them: another hash, and what does not build.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.source import ROOT

HERE: Final = Path(__file__).resolve().parent
CACHE: Final = ROOT / ".cache" / "conformance"
_LIMIT_S: Final = 180  # of one command: a network that never answers is to end in a skip, not in the tests' own limit
# What npm calls a registry that is out of reach, a proxy that lets nobody through, and a Node that is too old.
_NPM_ABSENT: Final = re.compile(
    r"\bcode (?:ENOTFOUND|EAI_AGAIN|ECONN[A-Z]+|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENETUNREACH|EHOSTUNREACH|EIDLETIMEOUT"
    r"|FETCH_ERROR|E401|E403|E407|E429|E50[0-9]|EBADENGINE)\b"
)
# Sources that do not answer, or that are those of another release; not a file that differs from what its index says.
_APT_ABSENT: Final = re.compile(
    r"Could not (?:resolve|connect)|Temporary failure resolving|Unable to (?:connect|locate package)|timed out"
    r"|Connection (?:failed|refused)|Can't find a source|Version '[^']*' for '[^']*' was not found"
    r"|no longer has a Release|40[347]  |50[0-9]  "
)


class NotToBeHad(Exception):
    """A program is missing here, or what it is fetched from is out of reach; the text says which and why."""


class Broken(Exception):
    """What was fetched is another thing than the one pinned, or does not build."""


def go_verifier() -> Path:
    """The program of `go/main.go`, built with Debian's Go and its package of golang.org/x/mod."""
    source, lock = HERE / "go" / "main.go", HERE / "debian.lock"
    if platform.machine() != "x86_64":
        raise NotToBeHad("the packages of debian.lock are those of amd64")

    def make(folder: Path) -> None:
        for line in lock.read_text().splitlines():
            if line and not line.startswith("#"):
                _unpack_debian(*line.split()[:3], folder=folder)
        go = folder / "usr/lib/go-1.19"
        environment = {
            "GOROOT": str(go),
            "GOPATH": str(folder / "usr/share/gocode"),
            "GOCACHE": str(folder / "cache"),
            "HOME": str(folder),
            "GO111MODULE": "off",
            "GOFLAGS": "-trimpath",
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
        }
        _run([str(go / "bin/go"), "build", "-o", str(folder / "verifier"), str(source)], environment=environment)
        for rest in ("usr", "cache"):  # 500 MB, needed for nothing but the build
            _run(["chmod", "-R", "u+w", str(folder / rest)])
            shutil.rmtree(folder / rest)

    return _cached("go", [source, lock], make) / "verifier"


def npm_folder(source: Path = HERE / "npm") -> Path:
    """A copy of the files of `source` with the packages of its lock beside them."""
    files = sorted(path for path in source.iterdir() if path.is_file())
    if not shutil.which("node"):  # what was fetched earlier is of no use without it
        raise NotToBeHad("node is not installed")

    def make(folder: Path) -> None:
        if not shutil.which("npm"):
            raise NotToBeHad("npm is not installed")
        for file in files:
            shutil.copy(file, folder)
        options = ["--ignore-scripts", "--engine-strict", "--no-audit", "--no-fund", "--loglevel=error"]
        _fetch(["npm", "ci", *options], folder=folder, absent=_NPM_ABSENT)

    return _cached(source.name, files, make)


def ask(command: Sequence[str | Path], question: object) -> Any:
    """Run a verifier with a JSON question on its standard input; its answer in JSON."""
    found = subprocess.run(
        [str(part) for part in command],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, f"the verifier itself failed: {found.stderr[-2000:]}"
    return json.loads(found.stdout)


# --- inside -------------------------------------------------------------------


def _cached(kind: str, inputs: Sequence[Path], make: Callable[[Path], None]) -> Path:
    """The folder that `make` filled from these inputs, this time or earlier."""
    key = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in inputs)).hexdigest()[:16]
    target = CACHE / f"{kind}-{key}"
    if target.is_dir():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE.parent / ".gitignore").write_text("*\n")
    folder = Path(tempfile.mkdtemp(dir=CACHE, prefix=f"{kind}-unfinished-"))
    try:
        make(folder)
        if not target.is_dir():  # Another run may have been quicker.
            folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return target


def _unpack_debian(name: str, version: str, sha256: str, *, folder: Path) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise NotToBeHad("apt-get and dpkg-deb are not installed")
    download = ["apt-get", "download", "-q", f"{name}={version}"]
    try:
        _fetch(download, folder=folder, absent=_APT_ABSENT)
    except NotToBeHad:
        if os.geteuid() != 0:
            raise
        _fetch(["apt-get", "update", "-qq"], folder=folder, absent=_APT_ABSENT)  # a fresh container has no lists
        _fetch(download, folder=folder, absent=_APT_ABSENT)
    (package,) = folder.glob(f"{name}_*.deb")
    if hashlib.sha256(package.read_bytes()).hexdigest() != sha256:
        raise Broken(f"the Debian package {name} {version} is not the one of debian.lock")
    _run(["dpkg-deb", "-x", str(package), str(folder)])
    package.unlink()


def _fetch(command: Sequence[str], *, folder: Path, absent: re.Pattern[str]) -> None:
    """Run what downloads; `absent` is found in what it says where nothing can be had from there."""
    try:
        _run(command, folder=folder)
    except subprocess.TimeoutExpired as cause:
        raise NotToBeHad(f"{command[0]}: {cause}") from cause
    except Broken as cause:
        if absent.search(str(cause)):
            raise NotToBeHad(str(cause)) from cause
        raise


def _run(command: Sequence[str], *, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
    found = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    if found.returncode != 0:
        lines = (found.stdout + found.stderr).strip().splitlines()
        raise Broken(f"{' '.join(command[:4])} failed: {' | '.join(lines[-20:])}")
