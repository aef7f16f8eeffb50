"""What the scenes of a run share: how much is measured, one network, and a log that grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from tests.bench import records
from tests.bench.load import LINES
from tests.bench.meters import cpu_s, own_cpu_s, wait_for_rest
from tests.bench.network import LIMIT_S, Trade, copy_folder, process_id, run_client
from tests.bench.peers import Hypercore
from tests.conformance.tools import NotToBeHad


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much each scene does. rounds: of scenes that compare; their rows are medians."""

    rounds: int
    bulk_records: int  # in a round
    post_records: int  # in a round
    clients: int
    copy_rounds: int
    copy_records: int  # the log that is copied, at least
    latencies: int
    idle_s: float
    evaluate_s: float  # of each round
    purchases: int  # inputs
    full_records: int


USUAL: Final = Sizes(
    rounds=6, bulk_records=20_000, post_records=6_000, clients=32, copy_rounds=3, copy_records=120_000,
    latencies=200, idle_s=250.0, evaluate_s=4.0, purchases=1 << 20, full_records=5_000_000,
)  # fmt: skip
QUICK: Final = Sizes(
    rounds=2, bulk_records=300, post_records=64, clients=32, copy_rounds=1, copy_records=600,
    latencies=5, idle_s=0.0, evaluate_s=0.1, purchases=300, full_records=1_200,
)  # fmt: skip
"""For trying that all of it works. What it measures means nothing."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a batch of records took. seconds: until the last answer.

    cpu_s: of all processes of the author's node, until the record search had them all and nothing was left to do.
    main_cpu_s: of it, the main process.
    """

    seconds: float
    cpu_s: float
    main_cpu_s: float


@dataclass
class Stage:
    """One run. `close` ends every process."""

    folder: Path
    sizes: Sizes
    is_full: bool
    say: Callable[[str], None]
    sent: int = field(default=0, init=False)  # records

    @cached_property
    def trade(self) -> Trade:
        """The network, founded when first needed; only the author's node runs, the others are as good as empty."""
        self.say("founding a network of five firms")
        trade = Trade(self.folder / "trade")
        trade.found()
        trade.agree()
        others = [firm for firm in trade.firms if firm is not trade.author]
        trade.each(lambda firm: firm.stop(), others)
        for firm in others:
            copy_folder(firm.folder, self._empty(firm.name))
        with self.lines.open("wb") as file:
            for body in records.bodies(LINES):
                file.write(records.envelope(body, trade.contract) + b"\n")
        return trade

    @cached_property
    def hypercore(self) -> Hypercore | None:
        """The other log to compare with; None, and said loudly, where it cannot be had."""
        try:
            return Hypercore(self.folder)
        except NotToBeHad as cause:
            self.say(f"SKIPPED: hypercore cannot be had here, so nothing is compared with it: {cause}")
            return None

    def empty(self, name: str) -> None:
        """Put a stopped firm's folder back to what it was when the agreement had just become active."""
        copy_folder(self._empty(name), self.trade.firm(name).folder)

    def append(self, count: int) -> Spent:
        """Send `count` records in bulk, and wait until the node has nothing more to do for them."""
        with self.counted() as spent:
            seconds = float(str(self.client("bulk", count)["seconds"]))
        cpu, main = spent[0]
        return Spent(seconds, cpu, main)

    @contextmanager
    def counted(self) -> Iterator[list[tuple[float, float]]]:
        """CPU seconds of the author's node for what is done inside and what follows from it: (all, main process)."""
        author = process_id(self.trade.author)
        wait_for_rest(author, LIMIT_S)
        before = cpu_s(author), own_cpu_s(author)
        spent: list[tuple[float, float]] = []
        yield spent
        wait_for_rest(author, LIMIT_S)
        spent.append((cpu_s(author) - before[0], own_cpu_s(author) - before[1]))

    def client(self, kind: str, count: int, *more: str) -> dict[str, float | list[float]]:
        """What the client measured that sent the next `count` records."""
        author = self.trade.author
        words = [author.url, author.token(), str(self.lines), str(self.sent), str(count)]
        found: dict[str, float | list[float]] = run_client(kind, *words, *more)
        self.sent += count
        return found

    def fill(self, count: int) -> None:
        """Make the author's log at least `count` records long."""
        if self.sent < count:
            self.say(f"filling the log up to {count:,} records")
            self.append(count - self.sent)

    def close(self) -> None:
        if "trade" in self.__dict__:
            self.trade.stop()

    @property
    def lines(self) -> Path:
        return self.folder / "records.ndjson"

    def _empty(self, name: str) -> Path:
        return self.folder / "empty" / name
