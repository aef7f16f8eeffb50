"""What happens to those who cheat: a forged receipt, a damaged database, a member with two histories."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from node.cli.demo.firms import Firm, Network, wait_until
from node.cli.demo.report import Story
from node.config import DATABASE_NAME
from node.highwater import HIGH_WATER_NAME
from node.storage.copies import copy_database, flip_byte

_NOTICED_S: Final = 60.0


def run_attacks(
    network: Network, story: Story, *, receipt: Path, network_file: Path, backup: Path, seed: int
) -> dict[str, bool]:
    """Try all three; each value is true only if it was noticed by the command that a user runs."""
    return {
        "forgery_caught": _forge(network, story, receipt, network_file),
        "tamper_caught": _tamper(network, story, seed),
        "fork_caught": _fork(network, story, backup, network_file),
    }


def _forge(network: Network, story: Story, receipt: Path, network_file: Path) -> bool:
    story.step("Attack: somebody changes the disclosed value in the receipt")
    found = json.loads(receipt.read_text())
    value = found["disclosures"][0]["value"]
    found["disclosures"][0]["value"] = forged = _changed(value)
    forgery = network.folder / "forged-receipt.json"
    forgery.write_text(json.dumps(found, ensure_ascii=False, separators=(",", ":"), sort_keys=True) + "\n")
    story.say(f"{value}  becomes  {forged}")
    answer = network.tally.run("verify", forgery, "--trust", network_file, expect=None)
    story.say(_last_lines(answer.stderr or answer.stdout))
    story.verdict(holds=answer.status == 1, text="verify refuses it")
    return answer.status == 1


def _tamper(network: Network, story: Story, seed: int) -> bool:
    story.step(f"Attack: one byte of a copy of the retailer's database is flipped (seed {seed})")
    copy = network.folder / "copy.db"
    copy_database(network.firm("retailer").folder / DATABASE_NAME, copy)
    before = network.tally.run("fsck", "--offline", copy, expect=None)
    story.verdict(holds=before.status == 0, text="fsck finds nothing wrong with the copy")
    story.say(flip_byte(copy, seed))
    after = network.tally.run("fsck", "--offline", copy, expect=None)
    story.say(_last_lines(after.stdout or after.stderr))
    caught = before.status == 0 and after.status == 1
    story.verdict(holds=caught, text="fsck finds the damage and names its place")
    return caught


def _fork(network: Network, story: Story, backup: Path, network_file: Path) -> bool:
    story.step("Attack: the carrier goes back to an old backup and writes another history")
    carrier = network.firm("carrier")
    others = [firm for firm in network.firms if firm is not carrier]
    size = _add_to_true_history(network, carrier)
    carrier.stop()
    true_history = network.folder / "carrier-true.db"
    _move_database(carrier.folder, true_history)
    shutil.copy(backup, carrier.folder / DATABASE_NAME)
    (carrier.folder / HIGH_WATER_NAME).unlink(missing_ok=True)
    story.say("it also removes its high-water file, states that nothing was restored, and signs while nobody is there:")
    story.say("a node that hears what its peers hold of its log signs nothing that contradicts it")
    network.each(lambda firm: firm.stop(), others)
    carrier.start("--not-restored")
    _write_lies(network, carrier, count=size)
    network.each(lambda firm: firm.start(), others)
    caught = _is_caught(network, story, others, network_file)
    carrier.stop()
    _remove_database(carrier.folder)
    true_history.rename(carrier.folder / DATABASE_NAME)
    carrier.start()
    return caught


def _is_caught(network: Network, story: Story, others: Sequence[Firm], network_file: Path) -> bool:
    """Whether all of `others` hold proof against the carrier and have frozen its log, and the proof verifies."""
    tally, first = network.tally, others[0]
    wait_until(lambda: all(network.each(_has_noticed, others)), _NOTICED_S, "all the others notice the fork")
    held = network.each(lambda firm: proofs_against(network, firm, "carrier"), others)
    story.command(["tally", "evidence", "list"])
    frozen = network.each(lambda firm: why_frozen(network, firm, "carrier"), others)
    story.command(["tally", "peers"])
    for firm, proofs, why in zip(others, held, frozen, strict=True):
        story.say(f"{firm.name:10} {len(proofs)} piece(s) of evidence; the carrier's log: {why or 'not frozen'}")
    if not all(held) or not all(frozen):
        story.bad("not all of the others hold the proof and have frozen the carrier's log")
        return False
    file = network.folder / "evidence.json"
    file.write_text(tally.run("evidence", "show", held[0][0], "--dir", first.folder).stdout)
    answer = tally.run("verify", file, "--trust", network_file, expect=None)
    story.say(_last_lines(answer.stdout or answer.stderr))
    story.verdict(holds=answer.status == 0, text="all three others hold the proof, and have frozen the carrier's log")
    return answer.status == 0


def proofs_against(network: Network, firm: Firm, member: str) -> list[str]:
    """The ids of the evidence against `member` that the firm holds, as `tally evidence list` tells."""
    found = network.tally.run("evidence", "list", "--json", "--dir", firm.folder, quiet=True).json()["evidence"]
    return [item["id"] for item in found if item["member"] == member]


def why_frozen(network: Network, firm: Firm, member: str) -> str | None:
    """Why the firm takes no more of `member`'s log, as `tally peers` tells; None if it does."""
    peers = network.tally.run("peers", "--json", "--dir", firm.folder, quiet=True).json()["peers"]
    found: list[str | None] = [peer["log"]["frozen"] for peer in peers if peer["member"] == member and peer["log"]]
    return found[0] if found else None


def _add_to_true_history(network: Network, carrier: Firm) -> int:
    """Something that the others hold and the backup does not, also where no event fell to the carrier.

    Returns the size of its log.
    """
    true = network.folder / "true.ndjson"
    true.write_text('{"type":"note","body":{"is_true":true}}\n')
    network.tally.run("capture", true, "--dir", carrier.folder)
    wait_until(network.is_in_sync, _NOTICED_S, "all the others hold what the carrier recorded")
    with carrier.client() as client:
        return int(client.get_json("/status")["log"]["size"])


def _write_lies(network: Network, carrier: Firm, *, count: int) -> None:
    """As many records as make the false history as long as the true one was, and more."""
    lies = network.folder / "lies.ndjson"
    lies.write_text("".join(f'{{"type":"note","body":{{"n":{n}}}}}\n' for n in range(count)))
    network.tally.run("capture", lies, "--dir", carrier.folder)


def _has_noticed(firm: Firm) -> bool:
    with firm.client() as client:
        logs = client.get_json("/status")["logs"]
        return any(log["frozen"] for log in logs) and bool(client.get_json("/evidence")["evidence"])


def _move_database(folder: Path, target: Path) -> None:
    copy_database(folder / DATABASE_NAME, target)
    _remove_database(folder)


def _remove_database(folder: Path) -> None:
    for path in folder.glob(DATABASE_NAME + "*"):
        path.unlink()


def _changed(value: str) -> str:
    """The JSON text with its last digit or letter changed."""
    found = list(re.finditer(r"[0-9A-Za-z]", value))
    if not found:
        return '"forged"'
    at = found[-1].start()
    return value[:at] + ("1" if value[at] != "1" else "2") + value[at + 1 :]


def _last_lines(text: str) -> str:
    return "\n   ".join(text.strip().splitlines()[-4:])
