"""What `tally demo` shows, and that the lines which it ends with can be run as they stand."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from node.cli.demo.attacks import proofs_against, why_frozen
from node.cli.demo.firms import Network, Tally
from node.cli.demo.report import Story
from node.cli.demo.story import found
from tests.source import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Two firms of the demo, founded and serving."""
    story = Story(as_json=True)
    network = Network(tmp_path_factory.mktemp("demo firms"), Tally(story), names=("fishery", "carrier"))
    try:
        found(network, story)
        yield network
    finally:
        network.stop()


def _invitation(network: Network, capsys: pytest.CaptureFixture[str]) -> str:
    Story(as_json=True).invite(network.firms, network.folder)
    return capsys.readouterr().err


def test_every_url_that_the_demo_names_answers(network: Network, capsys: pytest.CaptureFixture[str]) -> None:
    told = _invitation(network, capsys)
    urls = re.findall(r"http://\S+", told)
    assert len(urls) == 2 * len(network.firms)
    tokens = re.findall(r'^ *\$ curl -H "Authorization: Bearer \$\(cat (.+)\)" http', told, re.MULTILINE)
    assert len(tokens) == len(network.firms)
    for firm, token in zip(network.firms, tokens, strict=True):
        own = [url for url in urls if url.startswith(firm.url + "/")]
        assert len(own) == 2
        header = {"authorization": f"Bearer {Path(shlex.split(token)[0]).read_text().strip()}"}
        assert [httpx.get(url, headers=header).status_code for url in own] == [200, 200]
        assert httpx.get(f"{firm.url}/health").status_code == 200, "without a token as well"


def test_every_command_that_the_demo_names_runs(network: Network, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split("$ ", 1)[1] for line in _invitation(network, capsys).splitlines() if "records list" in line]
    assert len(lines) == len(network.firms)
    for line in lines:
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), line


def test_nobody_is_caught_where_nobody_lied(network: Network) -> None:
    fishery = network.firm("fishery")
    assert proofs_against(network, fishery, "carrier") == []
    assert why_frozen(network, fishery, "carrier") is None


def test_the_demo_shows_all_that_it_set_out_to() -> None:
    command = [sys.executable, "-m", "node.cli", "demo", "--once", "--json", "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    caught = {"in_sync", "receipt_verified", "forgery_caught", "tamper_caught", "fork_caught"}
    assert {name for name, value in shown.items() if value is True} == caught
    for firm in ("fishery", "processor", "retailer"):
        assert re.search(rf"{firm} +[1-9]\d* piece\(s\) of evidence; the carrier's log: (?!not frozen)", done.stderr)
