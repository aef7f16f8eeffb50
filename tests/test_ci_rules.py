"""What `tests/conftest.py` promises about skipped tests, tried on small suites in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.source import ROOT

pytestmark = pytest.mark.slow  # each runs pytest anew

_SKIPS = "import pytest\n\ndef test_runs(): pass\n\ndef test_skips(): pytest.skip('no such device')\n"
_MODULE_SKIPS = "import pytest\n\npytest.skip('not here', allow_module_level=True)\n"
_EXPECTED_FAILURE = "import pytest\n\n@pytest.mark.xfail\ndef test_fails(): assert False\n"


def _run(folder: Path, suite: str, *, ci: str, allowed: str = "") -> tuple[int, str]:
    """Run `suite` under our conftest with its own list of allowed skips; exit status and last line."""
    tests = folder / "tests"
    tests.mkdir()
    for name in ("__init__.py", "conftest.py"):
        (tests / name).write_text((ROOT / "tests" / name).read_text())
    (tests / "allowed-skips.txt").write_text(allowed)
    (tests / "test_suite.py").write_text(suite)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", "tests"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "CI": ci}, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout.strip().splitlines()[-1]


def test_a_skip_outside_ci_is_a_skip(tmp_path: Path) -> None:
    status, last = _run(tmp_path, _SKIPS, ci="")
    assert status == 0
    assert "1 passed, 1 skipped" in last


def test_a_skip_in_ci_fails_the_run_and_counts_as_failed(tmp_path: Path) -> None:
    status, last = _run(tmp_path, _SKIPS, ci="true")
    assert status == 1
    assert "1 failed, 1 passed" in last


def test_a_skip_that_is_listed_with_its_reason_may_stand(tmp_path: Path) -> None:
    status, last = _run(tmp_path, _SKIPS, ci="true", allowed="tests/test_suite.py::test_skips # no such device\n")
    assert status == 0
    assert "1 passed, 1 skipped" in last


def test_a_file_that_skips_as_a_whole_fails_the_run(tmp_path: Path) -> None:
    status, last = _run(tmp_path, _MODULE_SKIPS, ci="true")
    assert status != 0
    assert "1 error" in last


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    status, last = _run(tmp_path, _EXPECTED_FAILURE, ci="true")
    assert status == 0
    assert "1 xfailed" in last


@pytest.mark.parametrize(("name", "status"), [("test_skips", 0), ("test_skips[1]", 0), ("test_skips[3]", 1)])
def test_a_name_without_parameters_stands_for_all_of_them(tmp_path: Path, name: str, status: int) -> None:
    suite = "import pytest\n\n@pytest.mark.parametrize('n', [1])\ndef test_skips(n): pytest.skip('no')\n"
    assert _run(tmp_path, suite, ci="true", allowed=f"tests/test_suite.py::{name} # no\n")[0] == status
