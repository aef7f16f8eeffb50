"""Firms with a node and processes each, founded and agreed by the `tally` command as a user would do it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from node.cli.demo.firms import NETWORK, Firm, Network, Tally, wait_until
from node.cli.demo.report import Story
from node.config import DATABASE_NAME
from tests.bench import records
from tests.source import ROOT

LIMIT_S: Final = 900.0


class Trade(Network):
    """The firms of `tests.bench.records`; all of them run after `found`."""

    contract: str = ""

    def __init__(self, folder: Path, names: Sequence[str] = records.FIRMS) -> None:
        super().__init__(folder, Tally(Story(as_json=True)), names=names)

    def found(self, endpoints: Mapping[str, str] | None = None) -> None:
        """Folders, one charter signed by all, and a process each. endpoints: where not the node's own address."""
        known = endpoints or {}
        self.each(
            lambda firm: self._tally(
                "init", firm.folder, "--network", NETWORK, "--member", firm.name, "--port", str(firm.port),
                "--endpoint", known.get(firm.name, firm.url),
            )
        )  # fmt: skip
        file, first = self.folder / "network.json", self.firms[0].folder
        members = [firm.folder / "member.json" for firm in self.firms]
        self._tally("charter", "new", *members, "--output", file, "--dir", first)
        for firm in self.firms[1:]:
            self._tally("charter", "sign", file, "--dir", firm.folder)
        self.each(lambda firm: firm.start())
        self.each(lambda firm: self._tally("charter", "adopt", file, "--dir", firm.folder))
        wait_until(self.is_in_sync, LIMIT_S, "the nodes find each other")

    def agree(self) -> None:
        """The seller proposes that deliveries are shared whole; the readers accept."""
        source = self.folder / "deliveries.py"
        source.write_text(records.AGREEMENT)
        parties = (records.AUTHOR, *records.READERS)
        words = [word for name in parties for word in ("--party", f"{name}={name}")]
        proposed = self._tally("contract", "propose", source, *words, "--dir", self.author.folder, "--json")
        self.contract = str(json.loads(proposed)["id"])
        readers = [self.firm(name) for name in records.READERS]
        wait_until(lambda: all(self.each(self._state, readers)), LIMIT_S, "the proposal arrives")
        self.each(lambda firm: self._tally("contract", "accept", self.contract, "--dir", firm.folder), readers)
        firms = [self.firm(name) for name in parties]
        wait_until(lambda: set(self.each(self._state, firms)) == {"active"}, LIMIT_S, "the agreement becomes active")
        wait_until(self.is_in_sync, LIMIT_S, "the nodes sync")

    @property
    def author(self) -> Firm:
        return self.firm(records.AUTHOR)

    def _tally(self, *words: str | Path) -> str:
        return self.tally.run(*words, quiet=True).stdout

    def _state(self, firm: Firm) -> str | None:
        with firm.client() as client:
            found = client.get_json("/contracts")["contracts"]
        return next((str(item["status"]) for item in found if item["id"] == self.contract), None)


def process_id(firm: Firm) -> int:
    assert firm.process is not None, "the firm's node runs"
    return firm.process.pid


def pause(firm: Firm, *, is_over: bool = False) -> None:
    """Stop a node's processes from running, or let them go on."""
    assert firm.process is not None, "the firm's node runs"
    firm.process.send_signal(signal.SIGCONT if is_over else signal.SIGSTOP)


def status(firm: Firm) -> Any:
    with firm.client() as client:
        return client.get_json("/status")


def held(firm: Firm, member: str) -> Mapping[str, Any]:
    """What a firm holds of a member's log: size, checkpoint_size, bodies_size."""
    found: Mapping[str, Any] = next(log for log in status(firm)["logs"] if log["origin"].split("/")[1] == member)
    return found


def copy_folder(source: Path, target: Path) -> None:
    """A copy of a stopped node's folder in the place of another."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def database(firm: Firm) -> Path:
    return firm.folder / DATABASE_NAME


def run_client(*words: str) -> Any:
    """Run the client of `tests.bench.load` in a process of its own; what it measured."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load", *words], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    return json.loads(done.stdout)
