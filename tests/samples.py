"""Where the sample files are: the folder `TALLY_SAMPLES`, by default `../shared/data` beside the project.

The samples are documents of others and no part of the project; a test that needs
one skips by name where they are absent.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(
    os.environ.get("TALLY_SAMPLES") or Path(__file__).resolve().parent.parent.parent / "shared" / "data"
)


def sample(path: str) -> Path:
    """The sample file or folder `path`, relative to the samples; skips the calling test where it is absent."""
    found = FOLDER / path
    if not found.exists():
        pytest.skip(f"no sample {path}: set TALLY_SAMPLES to the folder that has it")
    return found


def samples(pattern: str) -> list[Path]:
    """All sample files that match the glob `pattern` (`epcis/**/*.jsonld`), sorted; skips where there is none."""
    found = list_samples(pattern)
    if not found:
        pytest.skip(f"no samples {pattern}: set TALLY_SAMPLES to the folder that has them")
    return found


def list_samples(pattern: str) -> list[Path]:
    """As `samples`, but empty where there is none: for parametrizing, which turns nothing into one skipped test."""
    return sorted(path for path in FOLDER.glob(pattern) if path.is_file())
