"""Making receipts: the entry with its proof and cosignatures, and the fields that are to be shown."""

from __future__ import annotations

from collections.abc import Sequence, Set

from ledger.errors import Missing, NotAllowed, NotEntitled, Unavailable
from ledger.manifest import encode_manifest
from ledger.merkle import prove_inclusion
from ledger.names import MemberName
from ledger.note import Note, decode_note, encode_note
from ledger.proof import TlogProof
from ledger.receipt import Disclosure, Receipt, make_disclosures
from ledger.receipt.disclosure import check_names
from node.node import Node
from node.reader import ReadRecord, is_secret
from node.storage import checkpoints, logs
from node.storage.store import Tx


class NotCoveredYet(Unavailable):
    code = "not-covered-yet"
    template = "no checkpoint held here covers entry {index} of {log} yet"
    hint = "Wait until the log is in sync, then ask again."


class NotInForce(NotAllowed):
    code = "not-in-force"
    template = "{member} has left the network: of its log only entries below {size} count"
    hint = "The charter names the size (`tally charter show`); nobody would take a receipt for what came later."


def make_receipt(node: Node, log_name: str, index: int, fields: Sequence[str]) -> Receipt:
    """A receipt for one record with `fields` (JSON Pointers, or names of section 0) disclosed.

    Raises: Missing, NotEntitled, NotInForce, FieldUnknown, NotCoveredYet.
    """
    with node.store.read() as tx:
        log = node.find_log(tx, log_name)
        if not 0 <= index < log.size:
            raise Missing(what="entry", name=f"{log.origin}#{index}")
        record = node.joined.reader.read(tx, log, index)
        if record.sidecar is None or record.opened is None:
            raise NotEntitled(who=node.member, what=f"entry {index} of {log.origin}, or its body is not here")
        node.let_out(log)
        _check_in_force(node, log, index)
        size, note = _best_checkpoint(tx, log, index, witnesses=_witnesses(node, log))
        reader = logs.hash_reader(tx, log.number)
        path = prove_inclusion(index, size, reader)
        entry = logs.read_entries(tx, log, index, index + 1)[0]
    return Receipt(
        proof=TlogProof(index=index, path=tuple(path), note=note, extra=entry),
        manifest=encode_manifest(record.sidecar.manifest),
        disclosures=tuple(_disclose(node, record, fields)),
        network=node.membership.file,
    )


def _witnesses(node: Node, log: logs.StoredLog) -> frozenset[MemberName]:
    """Who counts as a cosigner: members in force but the author, for who has left vouches for nothing."""
    return frozenset(node.membership.names) - {log.origin.member}


def _check_in_force(node: Node, log: logs.StoredLog, index: int) -> None:
    """No verifier would take a receipt for what a member that left wrote from its cut-off on. Raises: NotInForce."""
    charter = node.membership.network.charter
    if log.origin.member not in charter.names:
        size = next((item.size for item in charter.expelled if item.log == log.origin), 0)
        if index >= size:
            raise NotInForce(member=log.origin.member, size=size)


def _best_checkpoint(tx: Tx, log: logs.StoredLog, index: int, *, witnesses: Set[MemberName]) -> tuple[int, bytes]:
    """The checkpoint over `index` that most witnesses cosigned, the newest of those; their cosignatures added."""
    found = checkpoints.best_cosigned(tx, log.number, at_least=index + 1, by=witnesses)
    if found is None:
        if log.checkpoint is None or log.checkpoint_size <= index:
            raise NotCoveredYet(index=index, log=str(log.origin))
        return log.checkpoint_size, log.checkpoint
    size, note = found
    cosigned = checkpoints.read_cosignatures(tx, log.number, size)
    lines = b"".join(line for member, line in cosigned if member in witnesses)
    return size, encode_note(Note(decode_note(note).text, decode_note(note + lines).signatures))


def _disclose(node: Node, record: ReadRecord, names: Sequence[str]) -> list[Disclosure]:
    assert record.opened is not None and record.id is not None, "only a readable record is disclosed"
    contexts = node.joined.channels.contexts(record.origin)
    if any(is_secret(name, record) for name in names):
        raise NotEntitled(who="whoever gets a receipt", what="the secret of a contract")
    found: list[Disclosure] = []
    for number, fields in record.opened.sections.items():
        context = contexts.of(record.id, number)
        seed = record.opened.seeds[number]
        found += make_disclosures(fields, names, section=number, seed=seed, context=context)
    check_names(names, found)
    return found
