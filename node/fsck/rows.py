"""The tables beside the entries: channels, evidence, statements, ids and slots, and rows that belong to nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ledger.errors import TallyError
from ledger.evidence import Evidence, Finding, decode_evidence, evidence_id, verify_evidence
from ledger.network import Network
from ledger.sealing import verify_channel_message
from node.fsck.report import Report
from node.membership import Membership
from node.storage import checkpoints, facts, logs, places, sidecars, strays
from node.storage.packing import RowDamaged
from node.storage.sidecars import StoredChannel
from node.storage.store import Tx


def check_channels(tx: Tx, membership: Membership, report: Report) -> dict[int, StoredChannel]:
    """Every channel message, signed by its wrapper; returns them by number, for the wraps that name them."""
    channels = sidecars.list_channels(tx)
    for channel in channels.values():
        try:
            message = channel.decoded()
            key = membership.past_transport_key(message.wrapper, message.signer)
            verify_channel_message(message, membership.network_id, key)
            if (message.id, message.wrapper, message.reader) != (channel.id, channel.wrapper, channel.reader):
                report.add("channel", "its columns are not those of its message")
        except TallyError as cause:
            report.add("channel", cause)
    return channels


def check_places(tx: Tx, found: Sequence[logs.StoredLog], report: Report) -> None:
    """What the tables of ids and slots lead to has that id or slot."""
    for log in found:
        for what, at, scanned in (("id", 0, places.scan_ids(tx, log)), ("slot", 1, places.scan_slots(tx, log))):
            for name, index, row in scanned:
                if row is None or places.names_of(row)[at] != name:
                    reason = f"{bytes(name).hex()} is indexed as that of an entry which does not have it"
                    report.add(what, reason, log=str(log.origin), index=index)


def check_strays(tx: Tx, found: Sequence[logs.StoredLog], report: Report) -> None:
    """No row is of a log, or of an entry, that is not here."""
    for table, number in strays.list_of_no_log(tx):
        report.add("log", f"number {number}, of which there are rows in {table}, is none")
    origins = {log.number: str(log.origin) for log in found}
    for table, number, index in strays.list_of_no_entry(tx, found):
        report.add(
            "body" if table == "sidecar" else table,
            "of an entry that is not here",
            log=origins.get(number, f"number {number}"),
            index=index,
        )


def check_cosigned(tx: Tx, report: Report) -> None:
    """Cosignatures are checked with the checkpoint under which they stand: none may stand alone."""
    origins = {log.number: str(log.origin) for log in logs.list_logs(tx)}
    kept = {(number, size) for number in origins for size, _ in checkpoints.list_checkpoints(tx, number)}
    for number, size, member in checkpoints.list_cosigned(tx):
        if (number, size) not in kept:
            reason = f"of {member}, of size {size}, of which no checkpoint is kept"
            report.add("cosignature", reason, log=origins.get(number, f"number {number}, which is none"))
            report.cosignatures += 1


def check_evidence(tx: Tx, membership: Membership, report: Report) -> None:
    """Every piece of evidence, as whoever it is passed on to verifies it; and that its row says what it proves."""
    for row in facts.list_evidence_rows(tx):
        report.evidence += 1
        about = f"{row.kind} of {row.member}"
        try:
            finding = _prove(decode_evidence(row.document), membership.documents)
        except TallyError as cause:
            report.add("evidence", f"{about}: {cause}", log=row.log or None)
            continue
        log = "" if finding.log is None else str(finding.log)
        place = finding.version if finding.log is None else finding.size
        if (str(finding.kind), log, place) != (row.kind, row.log, row.place) or row.member not in finding.members:
            report.add("evidence", f"{about}: its columns are not what its document proves", log=row.log or None)
        if evidence_id(row.document) != row.id:
            report.add("evidence", f"{about}: its id is not that of its document", log=row.log or None)


def check_statements(tx: Tx, opened: Mapping[tuple[int, int], str], report: Report) -> None:
    """The index of statements against the records: a start reads these and no others.

    opened: types by log number and index, of each such record that could be opened and of each that is listed.
    """
    origins = {log.number: log for log in logs.list_logs(tx)}
    listed = {(number, index): name for number, index, name in sidecars.list_statements(tx)}
    report.statements += len(listed)
    for (number, index), name in listed.items():
        log = origins.get(number)
        if log is None or index >= log.size:
            report.add(
                "statement", f"{name}: of an entry that is not here", log=str(log.origin) if log else None, index=index
            )
        elif not _has_body(tx, number, index):
            report.add("statement", f"{name}: of an entry whose body is not here", log=str(log.origin), index=index)
        elif opened.get((number, index), name) != name:
            reason = f"{name}: the record is of type {opened[number, index]}"
            report.add("statement", reason, log=str(log.origin), index=index)
    for number, index in sorted(opened.keys() - listed.keys()):
        name = opened[number, index]
        report.add("statement", f"{name}: it is not indexed", log=str(origins[number].origin), index=index)


def _has_body(tx: Tx, log: int, index: int) -> bool:
    try:
        return sidecars.read_sidecar(tx, log, index) is not None
    except RowDamaged:
        return True  # its own fault is named already


def _prove(evidence: Evidence, network: Network) -> Finding:
    """What it proves by the documents held, or held once: a later card or charter can take its key from a proof.

    Raises: what verification with all of them raises.
    """
    try:
        return verify_evidence(evidence, network)
    except TallyError as cause:
        for earlier in _earlier(network):
            try:
                return verify_evidence(evidence, earlier)
            except TallyError:
                continue
        raise cause from None


def _earlier(network: Network) -> Iterator[Network]:
    longest = max(len(chain) for chain in network.cards.values())
    for charters in range(len(network.charters), 0, -1):
        for length in range(longest, 0, -1):
            cards = {member: chain[:length] for member, chain in network.cards.items()}
            yield replace(network, charters=network.charters[:charters], cards=cards)
