"""What holds for every test: seeds are printed, hypothesis prints what replays a failure, and CI forgives no skip.

What a file of tests leaves open is told at its own end, not in whatever test the collector happens to run.

With CI=true a skipped test fails, unless `tests/allowed-skips.txt` names it with a reason.
"""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from contracts.engine import Engine

ALLOWED_SKIPS: Final = Path(__file__).with_name("allowed-skips.txt")
_IN_CI: Final = os.environ.get("CI", "").lower() not in ("", "0", "false")
_SEED: Final = int(os.environ.get("TALLY_SEED") or random.SystemRandom().randrange(2**32))
os.environ["TALLY_SEED"] = str(_SEED)  # the workers of pytest-xdist take it from here

# No deadline: two busy cores make any single example slow now and then, and pytest-timeout ends what hangs.
_HEALTH: Final = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("tally", deadline=None, print_blob=True, suppress_health_check=_HEALTH)
# `make test-fast` looks at fewer examples, so that it is run often.
settings.register_profile("fast", parent=settings.get_profile("tally"), max_examples=20)
settings.load_profile(os.environ.get("TALLY_EXAMPLES") or "tally")


def pytest_report_header() -> str:
    return f"TALLY_SEED={_SEED}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
    if exitstatus:  # The header is not shown with -q, and a failure must be replayable.
        terminalreporter.write_line(f"TALLY_SEED={_SEED}")


@pytest.fixture
def seed() -> int:
    """The seed of everything random in this run: TALLY_SEED, or a fresh one printed at the top."""
    return _SEED


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Runs contracts: one worker for all tests of a process, with the compiled guest of this user."""
    from contracts.engine import Engine  # most runs of a few tests need none

    with Engine() as one:
        yield one


@pytest.fixture
def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files of the guide on contracts."""
    from tests.make_crates import write_all  # only commands on contracts need them

    monkeypatch.chdir(tmp_path)
    write_all(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True, scope="module")
def _leaves_nothing_open() -> Iterator[None]:
    yield
    gc.collect()
    gc.freeze()  # what is left stays for good: looking at it again at each end took a tenth of the whole run


def read_allowed_skips(text: str) -> dict[str, str]:
    """Test name -> reason. A name without `[...]` stands for all parameters of that test."""
    allowed = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, reason = line.partition(" # ")
            if not reason.strip():
                raise pytest.UsageError(f"allowed-skips.txt: no reason given for {name.strip()}")
            allowed[name.strip()] = reason.strip()
    return allowed


def is_allowed(name: str, allowed: dict[str, str]) -> bool:
    return name in allowed or name.partition("[")[0] in allowed


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ALLOWED] = read_allowed_skips(ALLOWED_SKIPS.read_text())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report, item.config)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report, collector.config)
    return report


_ALLOWED: Final = pytest.StashKey[dict[str, str]]()


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport, config: pytest.Config) -> None:
    # Changed in the report itself, so that the count in the last line and the exit status tell the same.
    # A test that is expected to fail also reports as skipped, with `wasxfail`; it ran.
    if not _IN_CI or not report.skipped or hasattr(report, "wasxfail"):
        return
    if not is_allowed(report.nodeid, config.stash[_ALLOWED]):
        report.outcome = "failed"
        report.longrepr = f"skipped, and tests/allowed-skips.txt does not name {report.nodeid}\n{report.longrepr}"
