"""`make dev`: two nodes that agree, tokens that nobody else of the machine reads, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from node.cli.client import PREFIX
from tests.source import ROOT

_START_S = 240.0


def test_the_file_of_tokens_is_kept_out_of_commits_and_goes_with_all_that_make_made() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "/.dev.json" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ".dev.json" in makefile.partition("\nclean:\n")[2].partition("\n\n")[0]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_nodes_answer_until_they_are_interrupted_and_leave_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "dev.json"
    file.touch(0o644)
    with file.open() as held, _running(file, tmp_path / "log") as process:
        try:
            _wait_for(file, process)
            addresses = json.loads(file.read_text())
            assert file.stat().st_mode & 0o777 == 0o600
            assert held.read() == "", "whoever had the older file open reads the tokens"
            assert addresses.keys() == {"fishery", "processor"}
            for name, node in addresses.items():
                assert node.keys() == {"url", "folder", "token"}
                status = _status(node["url"], node["token"])
                assert (status["member"], status["guard"]["state"], len(status["logs"])) == (name, "ready", 2)
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to everything that runs there
            assert process.wait(60) == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    for node in addresses.values():
        with pytest.raises(httpx.ConnectError):
            _status(node["url"], node["token"])
        assert not Path(node["folder"]).exists()
    assert not file.exists()


def _running(file: Path, log: Path) -> subprocess.Popen[bytes]:
    # A shell lets what it runs in the background ignore interrupts, and that would be passed on from these tests.
    heeded = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with log.open("wb") as told:
            return subprocess.Popen(
                [sys.executable, "-m", "node.dev", "--file", str(file)],
                cwd=ROOT, stdout=told, stderr=told, start_new_session=True,
            )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, heeded)


def _wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_S
    while not file.read_text():
        assert process.poll() is None, (file.parent / "log").read_text()
        assert time.monotonic() < end, (file.parent / "log").read_text()
        time.sleep(0.2)


def _status(url: str, token: str) -> dict[str, dict[str, str]]:
    answer = httpx.get(f"{url}{PREFIX}/status", headers={"authorization": f"Bearer {token}"})
    answer.raise_for_status()
    found: dict[str, dict[str, str]] = answer.json()
    return found
