"""What `tally demo` shows, and that the lines which it ends with can be run as they stand."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.cli.demo.attacks import _fork, proofs_against, why_frozen
from node.cli.demo.firms import FIRMS, Network, Tally
from node.cli.demo.report import Story
from node.cli.demo.story import found
from node.cli.exits import ExitCode
from node.config import DATABASE_NAME
from node.epcis.scenario import scenario
from node.storage.copies import copy_database
from tests.samples import sample
from tests.source import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SEED = 7
AGREEMENT = ROOT / "contracts" / "library" / "seafood_sharing.py"
MEMBERS = {
    "members": int,
    "records": int,
    "events_recorded": int,
    "redacted_fields": int,
    "in_sync": bool,
    "receipt_verified": bool,
    "forgery_caught": bool,
    "tamper_caught": bool,
    "fork_caught": bool,
    "seconds": float,
}
"""What the one JSON object holds, and of what kind."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Two firms of the demo, founded and serving, whatever node of its own the user has set up for the command line."""
    story = Story(as_json=True)
    network = Network(tmp_path_factory.mktemp("demo firms"), Tally(story), names=("fishery", "carrier"))
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("TOKEN", "PORT", "URL", "MEMBER", "TLS_CERT"):
                patch.setenv(f"TALLY_{name}", "1")
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


def test_a_command_that_the_demo_prints_runs_in_its_folder(
    network: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, firm = network.folder, network.firm("fishery")
    (folder / "one.ndjson").write_text('{"type":"note","body":{"eventTime":"now"}}\n')
    assert network.tally.run("capture", folder / "one.ndjson", "--dir", firm.folder).status == 0
    place = network.tally.run("records", "list", "--json", "--dir", firm.folder).json()["records"][0]["index"]
    words = ("--field", "/eventTime", "--output", folder / "receipt.json", "--dir", firm.folder)
    network.tally.run("receipt", f"fishery/{place}", *words)
    printed = [line.split("$ tally ")[1] for line in capsys.readouterr().err.splitlines() if "$ tally receipt" in line]
    assert len(printed) == 1
    command = [sys.executable, "-m", "node.cli", *shlex.split(printed[0])]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nobody_is_caught_where_nobody_lied(network: Network) -> None:
    fishery = network.firm("fishery")
    assert proofs_against(network, fishery, "carrier") == []
    assert why_frozen(network, fishery, "carrier") is None


def test_a_member_that_forks_is_caught_where_no_event_fell_to_it(network: Network, tmp_path: Path) -> None:
    copy_database(network.firm("carrier").folder / DATABASE_NAME, tmp_path / "backup.db")
    assert _fork(network, Story(as_json=True), tmp_path / "backup.db", network.folder / "network.json")


def test_a_demo_that_is_terminated_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "node.cli", "demo", "--json"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 240
        while len(list(tmp_path.glob("tally-demo-*/*/serve.log"))) < len(FIRMS):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        process.terminate()
        assert process.wait(240) == ExitCode.INTERRUPTED
    finally:
        process.kill()
    assert list(tmp_path.glob("tally-demo-*")) == []


# --- the one object -------------------------------------------------------------------------


def run_demo(*words: str | Path) -> tuple[dict[str, Any], str]:
    """The object on stdout, which has exactly the members that are promised, and what was told on stderr."""
    command = [sys.executable, "-m", "node.cli", "demo", "--once", "--json", "--seed", str(SEED), *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert {name: type(value) for name, value in shown.items()} == MEMBERS
    return shown, done.stderr


def withheld_by_agreement(records: Iterable[tuple[str, dict[str, Any]]]) -> int:
    """Fields of the events (author, event) that other firms may not read, by the agreement's text alone.

    In this agreement patterns are members of the body, `*`, or one member of a member; roles are called as the firms
    are. Frames of documents, and the context that an event takes along, are for all.
    """
    shares = runpy.run_path(str(AGREEMENT))["SHARES"]
    count = 0
    for author, event in records:
        patterns = shares.get(f"epcis/{event['type']}", shares["epcis/event"])
        readers = [patterns.get(f"/{name}", patterns.get("/*", set())) for name in event]
        for pattern, roles in patterns.items():
            outer, _, inner = pattern[1:].partition("/")
            readers += [roles] if inner and inner in event.get(outer, {}) else []
        count += sum(len(set(FIRMS) - {author} - roles) for roles in readers)
    return count


def test_the_demo_shows_all_that_it_set_out_to() -> None:
    shown, told = run_demo()
    caught = {"in_sync", "receipt_verified", "forgery_caught", "tamper_caught", "fork_caught"}
    assert {name for name, value in shown.items() if value is True} == caught
    events = scenario(SEED).events
    assert (shown["members"], shown["events_recorded"]) == (len(FIRMS), len(events))
    # Beside the events, each firm's log has its start, a proposal or acceptance, and the frame of its document.
    assert shown["records"] == len(events) + 3 * len(FIRMS)
    assert shown["redacted_fields"] == withheld_by_agreement(events) > len(events)
    for firm in ("fishery", "processor", "retailer"):
        assert re.search(rf"{firm} +[1-9]\d* piece\(s\) of evidence; the carrier's log: (?!not frozen)", told)


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("epcis/gs1/JSON/Example-TransactionEvents-2020_07_03y.jsonld", ["epcisBody", "eventList"]),
        ("epcis/gs1/JSON/EPCISQueryDocument.jsonld", ["epcisBody", "queryResults", "resultsBody", "eventList"]),
    ],
    ids=["document", "query document"],
)
def test_the_demo_spreads_the_events_of_a_given_file(path: str, steps: list[str]) -> None:
    file = sample(path)
    events = json.loads(file.read_bytes())
    for step in steps:
        events = events[step]
    shown, told = run_demo("--no-attacks", "--events", file)
    assert {name for name, value in shown.items() if value is True} == {"in_sync", "receipt_verified"}
    assert "Attack" not in told
    assert shown["events_recorded"] == len(events)
    assert shown["records"] == len(events) + min(len(events), len(FIRMS)) + 2 * len(FIRMS)
    assert shown["redacted_fields"] == withheld_by_agreement(zip(cycle(FIRMS), events, strict=False))
