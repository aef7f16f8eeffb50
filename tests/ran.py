"""Which tests ran, for tests that ask: a plugin that `tests/test_threat_model.py` loads.

It moves the tests that ask behind all others, and keeps how each test ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import pytest


@dataclass
class Run:
    """This run so far: names as pytest prints them, parameters included.

    is_whole: nothing was chosen or left out on the command line, so that every test of the project is due.
    is_share: this process is a worker of pytest-xdist, and cannot tell what the others run.
    """

    selected: set[str] = field(default_factory=set)
    ended: dict[str, str] = field(default_factory=dict)  # how the call went: passed, failed or skipped
    is_whole: bool = False
    is_share: bool = False

    def of(self, name: str) -> dict[str, str]:
        """How `name` went, under each of its parameters; those that have not run are missing."""
        return {test: how for test, how in self.ended.items() if test.partition("[")[0] == name}

    def passed_in(self, file: str) -> bool:
        """Whether a test of this file passed."""
        return any(how == "passed" and test.startswith(f"{file}::") for test, how in self.ended.items())

    def missing(self, names: Iterable[str]) -> list[str]:
        """Which of `names` should have run by now and did not: all in a whole run, else those that were selected.

        In a share of a run nothing is due.
        """
        if self.is_share:
            return []
        selected = {test.partition("[")[0] for test in self.selected}
        due = {name for name in names if self.is_whole or name in selected}
        return sorted(name for name in due if not self.of(name) or "skipped" in self.of(name).values())


RUN: Final = Run()
LAST: Final = (
    "tests/test_threat_model.py::test_every_cited_test_ran",
    "tests/test_threat_model.py::test_in_ci_somebody_else_judged_our_logs_and_our_signatures",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.nodeid in LAST)  # the order is kept otherwise
    RUN.selected = {item.nodeid for item in items}
    RUN.is_share = hasattr(config, "workerinput")
    chosen = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "failedfirst", "stepwise", "maxfail")
    RUN.is_whole = config.args_source is not pytest.Config.ArgsSource.ARGS and not any(
        getattr(config.option, name, None) for name in chosen
    )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
        RUN.ended[report.nodeid] = report.outcome
