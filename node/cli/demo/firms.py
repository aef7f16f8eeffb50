"""The four firms of the demo: a folder and a process each, driven by the `tally` command."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ledger.errors import TallyError, Unavailable
from node.cli.client import Address, NodeClient
from node.cli.demo.report import Story
from node.founding import ADMIN_TOKEN_NAME

NETWORK: Final = "cold-chain.example"
FIRMS: Final = ("fishery", "processor", "carrier", "retailer")
_START_S: Final = 180.0  # patience with a busy machine: a node that ends is noticed at once
_STOP_S: Final = 15.0
_LOOK_S: Final = 0.1
_WATCH_S: Final = 1.0
_LAST_LINES: Final = 5


class DemoFailed(Unavailable):
    code = "demo-failed"
    template = "{what}: {reason}"
    hint = "Look at the nodes' own last words above, and run it again; --no-attacks leaves out the attacks."


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command came to."""

    status: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        return json.loads(self.stdout)


class Tally:
    """Runs `tally` as a user would, in a process of its own."""

    def __init__(self, story: Story) -> None:
        self._story = story

    def run(self, *words: str | Path, quiet: bool = False, expect: int | None = 0) -> Answer:
        """Run a command; raise DemoFailed unless it ends with `expect` (None: whatever)."""
        texts = [str(word) for word in words]
        if not quiet:
            # As it runs in the demo's folder. A field's name begins like a path, and stays.
            self._story.command(["tally", *[word.name if isinstance(word, Path) else word for word in words]])
        done = subprocess.run(  # noqa: S603  # our own program
            [sys.executable, "-P", "-m", "node.cli", *texts],
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
        )
        if expect is not None and done.returncode != expect:
            reason = (done.stderr.strip() or done.stdout.strip())[-2000:]
            raise DemoFailed(what=f"tally {' '.join(texts[:2])} ended with {done.returncode}", reason=reason)
        return Answer(done.returncode, done.stdout, done.stderr)


@dataclass(slots=True)
class Firm:
    """One firm: where its node lives and listens."""

    name: str
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> NodeClient:
        return NodeClient(Address(url=self.url), self.token())

    def token(self) -> str:
        return (self.folder / ADMIN_TOKEN_NAME).read_text().strip()

    def start(self, *options: str) -> None:
        """Serve in a process of its own and wait until it answers."""
        log = (self.folder / "serve.log").open("ab")
        self.process = subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-P", "-m", "node.cli", "serve", "--dir", str(self.folder), *options],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=_environment(),
        )  # fmt: skip
        log.close()
        wait_until(self._answers, _START_S, f"{self.name} starts")

    def last_words(self) -> list[str]:
        """The end of what its node logged."""
        log = self.folder / "serve.log"
        return log.read_text(errors="replace").splitlines()[-_LAST_LINES:] if log.exists() else []

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _answers(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise DemoFailed(what=f"{self.name} does not start", reason=f"it ended with {self.process.returncode}")
        try:
            with self.client() as client:
                client.get("/status")
        except TallyError:
            return False
        return True


def _environment() -> dict[str, str]:
    """Without the settings, address and token of a node that the user runs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}


class Network:
    """The firms together."""

    def __init__(self, folder: Path, tally: Tally, *, names: Sequence[str] = FIRMS) -> None:
        self.folder = folder
        self.tally = tally
        ports = _free_ports(len(names))
        self.firms = [Firm(name, folder / name, port) for name, port in zip(names, ports, strict=True)]

    def firm(self, name: str) -> Firm:
        return next(firm for firm in self.firms if firm.name == name)

    def each(self, work: Callable[[Firm], Any], firms: Sequence[Firm] | None = None) -> list[Any]:
        """The results of doing something at every firm side by side."""
        with ThreadPoolExecutor(len(self.firms)) as pool:
            return list(pool.map(work, firms or self.firms))

    def is_in_sync(self) -> bool:
        """Whether every firm holds every log whole, with every body that it may read."""
        statuses = self.each(_status)
        if any(status is None or status["guard"]["state"] != "ready" for status in statuses):
            return False
        sizes = {status["member"]: status["log"]["size"] for status in statuses}
        return all(
            log["size"] == sizes[member] and (member == status["member"] or log["bodies_size"] == log["size"])
            for status in statuses
            for log in status["logs"]
            for member in [log["origin"].split("/")[1]]
        )

    def wait_for_interrupt(self) -> None:
        """Return at Ctrl-C, which a script's background ignores here and not in the nodes. Raises: DemoFailed."""
        try:
            while True:
                time.sleep(_WATCH_S)
                for firm in self.firms:
                    if firm.process is not None and firm.process.poll() is not None:
                        raise DemoFailed(what=f"{firm.name} has ended", reason=f"with {firm.process.returncode}")
        except KeyboardInterrupt:
            return

    def stop(self) -> None:
        self.each(lambda firm: firm.stop())


def wait_until(holds: Callable[[], bool], limit_s: float, what: str) -> None:
    """Raises: DemoFailed once `limit_s` seconds have passed."""
    end = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > end:
            raise DemoFailed(what=what, reason=f"not within {limit_s:g} s")
        time.sleep(_LOOK_S)


def _status(firm: Firm) -> Any:
    try:
        with firm.client() as client:
            return client.get_json("/status")
    except TallyError:
        return None


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()
