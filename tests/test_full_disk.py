"""A real node on a disk of its own that fills up: it says so, loses nothing that it answered, and goes on with room."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.make_folders import found, free_ports
from tests.make_served import Served

pytestmark = [pytest.mark.crash, pytest.mark.slow]

DISK_BYTES: Final = 48 << 20
RECORDS_MAX: Final = 2000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system, for the folder of one node; what it logs stands beside it."""
    folder = tmp_path / "fishery"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # the worker may take a moment longer to end


@pytest.fixture
def node(disk: Path, tmp_path: Path) -> Iterator[Served]:
    port = free_ports(1)[0]
    founded = found(tmp_path / "made", "fishery", endpoints={"fishery": [f"http://127.0.0.1:{port}"]}, port=port)
    shutil.copytree(founded.folders["fishery"], disk, dirs_exist_ok=True)
    served = Served(replace(founded, folders={"fishery": disk}), "fishery", spy="fishery")
    try:
        served.start()
        served.await_that(lambda: served.guard == "ready", "it may sign")
        yield served
    finally:
        served.close()


def note(number: int) -> bytes:
    return json.dumps({"type": "note", "body": {"number": number, "text": f"{number} " * 10_000}}).encode()


def fill(path: Path) -> None:
    """Take all the room that there is."""
    for length in (1 << 20, 1 << 12):
        with path.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(bytes(length)) == length:
                pass
    assert shutil.disk_usage(path.parent).free < 1 << 12


def test_full_disk_is_named_and_nothing_answered_is_lost_and_with_room_it_goes_on(node: Served, disk: Path) -> None:
    for number in range(5):
        assert node.put(number, note(number))
    fill(disk / "ballast")
    numbers = iter(range(5, RECORDS_MAX))
    refused = next(number for number in numbers if not node.put(number, note(number)))
    answer = node.ask("POST", "/records", note(refused), **{"idempotency-key": f"key {refused}"})
    assert (answer.status_code, answer.json()["code"]) == (507, "disk-full")
    assert int(answer.headers["retry-after"]) > 0
    assert node.ask("GET", f"/records/{node.origin}/{node.size - 1}").json()["body"]["number"] == refused - 1
    assert node.guard == "ready"
    (disk / "ballast").unlink()
    node.await_that(lambda: node.put(refused, note(refused)), "it writes again")
    assert node.put(refused + 1, note(refused + 1))
    node.end(signal.SIGKILL)
    node.check()
    assert node.size == 1 + len(node.keys), "its first entry, and each record once"


def test_node_that_cannot_start_on_a_full_disk_says_why_and_starts_once_there_is_room(node: Served, disk: Path) -> None:
    assert node.put(1)
    node.end()
    fill(disk / "ballast")
    node.start()
    node.await_that(lambda: node.is_dead, "it gives up")
    assert "disk-full" in node.log_path.read_text().splitlines()[-2]
    (disk / "ballast").unlink()
    node.start()
    node.await_that(lambda: node.put(2), "it writes")
    node.end()
    node.check()
    assert node.size == 1 + len(node.keys)
