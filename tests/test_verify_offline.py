"""The guide for auditors: the script in it, which uses nothing of this project, agrees with `tally verify`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.make_cli import tally
from tests.source import ROOT

PAGE: Final = ROOT / "docs" / "guide" / "verify-offline.md"
VECTORS: Final[dict[str, Any]] = json.loads((ROOT / "tests" / "vectors" / "receipt.json").read_text(encoding="utf-8"))


def script() -> str:
    text = PAGE.read_text(encoding="utf-8")
    block = text[text.index("<!-- script -->") :].split("```")[1]
    return block.removeprefix("python\n")


def run(folder: Path, receipt: str, fingerprint: str) -> subprocess.CompletedProcess[str]:
    (folder / "check_receipt.py").write_text(script())
    (folder / "receipt.json").write_text(receipt, encoding="utf-8")
    # Isolated and elsewhere: nothing of this project is on its path.
    command = [sys.executable, "-I", "-S", "-c", _WITHOUT_US, str(folder / "check_receipt.py")]
    return subprocess.run(
        [*command, str(folder / "receipt.json"), fingerprint], cwd=folder, capture_output=True, text=True, check=False
    )


_WITHOUT_US: Final = """
import runpy, site, sys
sys.path += [path for path in site.getsitepackages()]
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert not {"ledger", "contracts", "node"} & sys.modules.keys()
"""


def receipts() -> list[Any]:
    return [case for case in VECTORS["receipts"] if len(json.loads(case["receipt"])["charters"]) == 1]


@pytest.mark.slow
def test_script_of_the_guide_proves_what_the_vectors_prove(tmp_path: Path) -> None:
    assert receipts()
    for case in receipts():
        done = run(tmp_path, case["receipt"], VECTORS["fingerprint"])
        assert done.returncode == 0, done.stderr
        for item in json.loads(case["receipt"])["disclosures"]:
            assert f"{item['name']} = {item['value']}" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("part", ["value", "salt", "manifest", "proof", "cards", "fingerprint"])
def test_script_of_the_guide_refuses_what_was_changed(tmp_path: Path, part: str) -> None:
    case = next(case for case in receipts() if json.loads(case["receipt"])["disclosures"])
    fingerprint = VECTORS["fingerprint"]
    found = json.loads(case["receipt"])
    if part == "fingerprint":
        fingerprint = "0" * 64
    elif part == "value":
        found["disclosures"][0]["value"] += "0"
    elif part == "salt":
        found["disclosures"][0]["salt"] = "A" * 22 + "=="
    elif part == "cards":
        found["cards"] = [note.replace('"from":0', '"from":1') for note in found["cards"]]
    else:
        at = found[part].rindex("A")
        found[part] = found[part][:at] + "B" + found[part][at + 1 :]
    assert run(tmp_path, json.dumps(found), fingerprint).returncode != 0


def test_commands_of_the_guide_answer_as_it_says(tmp_path: Path) -> None:
    case = receipts()[0]
    file = tmp_path / "receipt.json"
    file.write_text(case["receipt"], encoding="utf-8")
    fingerprint = VECTORS["fingerprint"]
    assert tally("verify", file, "--trust", fingerprint).code == 0
    assert tally("verify", file).code == 2
    assert tally("verify", file, "--trust", fingerprint, "--witnesses", "9").code == 2
    assert tally("verify", tmp_path / "none.json").code == 3
