"""The steps of the demo, in order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import contracts
from node.cli.demo.attacks import run_attacks
from node.cli.demo.firms import NETWORK, DemoFailed, Firm, Network, wait_until
from node.cli.demo.report import Story
from node.cli.demo.seeing import Place, Views, count_withheld, read_views
from node.storage.copies import copy_database

_AGREEMENT: Final = Path(contracts.__file__).parent / "library" / "seafood_sharing.py"
_SYNC_S: Final = 120.0


def tell(network: Network, story: Story, *, documents: Mapping[str, bytes], attacks: bool, seed: int) -> dict[str, Any]:
    """Run every step; returns what the demo is asked to report."""
    network_file, fingerprint = found(network, story)
    contract = _agree(network, story)
    # An old backup of the carrier: what the last attack goes back to.
    backup = network.folder / "carrier-backup.db"
    copy_database(network.firm("carrier").folder / "ledger.db", backup)
    recorded = _capture(network, story, contract, documents)
    in_sync = _sync(network, story)
    views = read_views(network, recorded)
    redacted = _show(network, story, views, contract)
    place = _choose(views)
    verified, receipt = _prove(network, story, place, views=views, network_file=network_file)
    result = {
        "members": len(network.firms),
        "records": _count_records(network),
        "events_recorded": sum(place.is_event for place in recorded),
        "redacted_fields": redacted,
        "in_sync": in_sync,
        "receipt_verified": verified,
        "forgery_caught": False,
        "tamper_caught": False,
        "fork_caught": False,
    }
    if attacks:
        result |= run_attacks(network, story, receipt=receipt, network_file=network_file, backup=backup, seed=seed)
    story.step(f"Done: network {fingerprint}")
    return result


# --- founding and agreeing --------------------------------------------------------------


def found(network: Network, story: Story) -> tuple[Path, str]:
    """A folder for each firm, one charter signed by all, a process each. Returns network file and fingerprint."""
    tally, folder = network.tally, network.folder
    story.step(f"{len(network.firms)} firms make a node each, sign one charter, and start")
    network.each(
        lambda firm: tally.run(
            "init", firm.folder, "--network", NETWORK, "--member", firm.name, "--endpoint", firm.url, quiet=True
        )
    )
    story.command(["tally", "init", "FIRM", "--network", NETWORK, "--member", "FIRM", "--endpoint", "URL"])
    network_file = folder / "network.json"
    members = [firm.folder / "member.json" for firm in network.firms]
    tally.run("charter", "new", *members, "--output", network_file, "--dir", network.firms[0].folder, quiet=True)
    story.command(["tally", "charter", "new", "*/member.json", "--output", "network.json"])
    for firm in network.firms[1:]:
        tally.run("charter", "sign", network_file, "--dir", firm.folder)
    shown = tally.run("charter", "show", "--file", network_file, "--json", quiet=True).json()
    network.each(lambda firm: firm.start())
    network.each(lambda firm: tally.run("charter", "adopt", network_file, "--dir", firm.folder, quiet=True))
    story.command(["tally", "charter", "adopt", "network.json"])
    wait_until(network.is_in_sync, _SYNC_S, "the nodes find each other")
    story.good(f"network {NETWORK}, fingerprint {shown['fingerprint']}")
    return network_file, shown["fingerprint"]


def _agree(network: Network, story: Story) -> str:
    """The fishery proposes, the others accept."""
    tally = network.tally
    story.step("The fishery proposes a sharing agreement, and every party accepts it")
    parties = [word for firm in network.firms for word in ("--party", f"{firm.name}={firm.name}")]
    first = network.firms[0]
    proposed = tally.run("contract", "propose", _AGREEMENT, *parties, "--dir", first.folder, "--json").json()
    contract: str = proposed["id"]
    others = network.firms[1:]
    wait_until(lambda: all(network.each(lambda f: _status_of(f, contract), others)), _SYNC_S, "the proposal arrives")
    network.each(lambda firm: tally.run("contract", "accept", contract, "--dir", firm.folder, quiet=True), others)
    story.command(["tally", "contract", "accept", contract[:12]])
    wait_until(
        lambda: all(status == "active" for status in network.each(lambda f: _status_of(f, contract))),
        _SYNC_S,
        "the agreement becomes active",
    )
    story.good(f"agreement {contract[:12]}… is active")
    return contract


def _status_of(firm: Firm, contract: str) -> str | None:
    with firm.client() as client:
        for found in client.get_json("/contracts")["contracts"]:
            if found["id"] == contract:
                return str(found["status"])
    return None


# --- capturing and syncing ----------------------------------------------------------------


def _capture(network: Network, story: Story, contract: str, documents: Mapping[str, bytes]) -> list[Place]:
    """Every firm captures its own EPCIS document. Returns the records: events, and the frames of documents."""
    story.step("Each firm captures its EPCIS 2.0 events under the agreement")

    def capture(firm: Firm) -> list[Place]:
        if firm.name not in documents:
            return []
        file = network.folder / f"{firm.name}.jsonld"
        file.write_bytes(documents[firm.name])
        words = ("capture", file, "--contract", contract, "--dir", firm.folder, "--json")
        found = network.tally.run(*words, quiet=True, expect=None).json()
        taken = list(found["recorded"])
        if found["refused"]:
            story.bad(f"{firm.name} refuses {len(found['refused'])}: {_complaint(found['refused'][0])}")
            story.say("so it records them all the same, flagged with the complaint (--accept-invalid)")
            taken += network.tally.run(*words, "--accept-invalid", quiet=True, expect=None).json()["recorded"]
        return [Place(log=firm.name, index=item["index"], type=item["type"]) for item in taken]

    recorded = [place for places in network.each(capture) for place in places]
    story.command(["tally", "capture", "FIRM.jsonld", "--contract", contract[:12]])
    events = [place for place in recorded if place.is_event]
    for firm in network.firms:
        story.say(f"{firm.name:10} {sum(place.log == firm.name for place in events)} events")
    if not events:
        raise DemoFailed(what="capturing", reason="no event of the file could be recorded")
    return recorded


def _complaint(refused: Mapping[str, Any]) -> str:
    return f"{refused.get('path') or 'the document'}: {refused.get('reason') or refused.get('message')}"


def _sync(network: Network, story: Story) -> bool:
    story.step("The nodes bring each other up to date")
    wait_until(network.is_in_sync, _SYNC_S, "the nodes sync")
    rows = []
    for firm in network.firms:
        with firm.client() as client:
            status = client.get_json("/status")
        sizes = {log["origin"].split("/")[1]: log["size"] for log in status["logs"]}
        rows.append([firm.name, *(sizes[other.name] for other in network.firms)])
    story.table(["holds entries of", *(firm.name for firm in network.firms)], rows)
    story.good("every firm holds every log, and every body that it may read")
    return True


def _count_records(network: Network) -> int:
    with network.firms[0].client() as client:
        return sum(log["size"] for log in client.get_json("/status")["logs"])


# --- who sees what ----------------------------------------------------------------------------


def _show(network: Network, story: Story, views: Views, contract: str) -> int:
    """Show one record as each firm sees it; returns how many fields are withheld over all records."""
    story.step("The same record, as each firm sees it")
    place = _choose(views)
    bodies = views[place]
    names = list(bodies[place.log])
    rows = [
        [name, *(_short(bodies[firm.name][name]) if name in bodies[firm.name] else "·" for firm in network.firms)]
        for name in names
    ]
    story.table([str(place), *(firm.name for firm in network.firms)], rows)
    with network.firms[0].client() as client:
        redacted = count_withheld(views, client.get_json(f"/contracts/{contract}")["shares"])
    story.good(f"{redacted} fields are withheld in all, over {len(views)} records and the firms that did not file them")
    return redacted


def _choose(views: Views) -> Place:
    """The event that shows most: of which the firms see the most different numbers of fields."""

    def variety(place: Place) -> tuple[int, int]:
        return len({len(body) for body in views[place].values()}), len(views[place][place.log])

    return max((place for place in views if place.is_event), key=variety)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 22 else text[:21] + "…"


# --- proving ----------------------------------------------------------------------------------


def _prove(network: Network, story: Story, place: Place, *, views: Views, network_file: Path) -> tuple[bool, Path]:
    """A receipt with one field disclosed, verified with nothing but the network file."""
    story.step("A receipt with one field disclosed, verified offline by anyone")
    own = views[place][place.log]
    name = next((name for name in ("eventTime", "bizStep") if name in own), next(iter(own)))
    receipt = network.folder / "receipt.json"
    firm = network.firm(place.log)
    wait_until(lambda: _is_cosigned(firm, place), _SYNC_S, "the other firms cosign")
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    network.tally.run("receipt", str(place), "--field", pointer, "--output", receipt, "--dir", firm.folder)
    answer = network.tally.run("verify", receipt, "--trust", network_file, "--witnesses", "2", expect=None)
    story.say(answer.stdout.strip().replace("\n", "\n   "))
    story.verdict(holds=answer.status == 0, text="the receipt proves who filed the record, and this one field of it")
    return answer.status == 0, receipt


def _is_cosigned(firm: Firm, place: Place) -> bool:
    with firm.client() as client:
        peers = client.get_json("/peers")["peers"]
    cosigned: list[int] = [peer.get("cosigned") or 0 for peer in peers]
    return sum(size > place.index for size in cosigned) >= 2
