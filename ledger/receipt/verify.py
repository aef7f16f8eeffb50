"""Verifying a receipt with nothing but the fingerprint of the network that one trusts.

The rules, in order:

1.  The charters and cards prove themselves; the network is the trusted one. Those that the
    verifier holds itself count as well: whoever makes a receipt may leave out the newest.
2.  The checkpoint is signed by the log key that the author's cards put in force at its size.
3.  The entry is in the log where the proof says, and names that log and index itself. If its
    author has left, it stands below the size at which the charter cut that log off.
4.  The manifest is the one that the entry names.
5.  Every disclosed field is under the root of its section, bound to this very record, and has a
    name that may stand there: else an author could disclose a second `type` or `contract`.
    A value of section 0 is one that readers take, and fields of the body join as theirs do.
6.  Enough members other than the author cosigned the checkpoint: without that, one who
    holds the author's key could show everybody another history. Who has left the network is
    no member: nothing that it signs today, with any date it likes, helps an author any more.

What fails rules 1 to 5 is invalid. Without a trusted fingerprint, or with fewer cosignatures
than asked, everything may be true and is not proved: incomplete. A cosignature of a known
witness key that does not verify is invalid as well, whoever's it is: somebody made it up.

Spec: docs/spec/receipt.md, "Verification".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ledger.checkpoint import Checkpoint, decode_checkpoint, distinct_cosigners, verified_cosigners
from ledger.entry import VERSION, Entry, decode_entry
from ledger.errors import EncodingError, FieldsContradict, ForeignNetwork, ProofInvalid, UnknownMember, UntrustedNetwork
from ledger.fields import decode_pointer, join
from ledger.keys import VerifyKey
from ledger.manifest import Manifest, decode_manifest
from ledger.merkle import leaf_hash
from ledger.names import Digest, MemberName, NetworkId, sha256
from ledger.network import Network, NetworkFile, unite, verify_network_file
from ledger.note import decode_note
from ledger.proof import verify_proof
from ledger.receipt.disclosure import Disclosure, verify_disclosure
from ledger.receipt.document import Receipt
from ledger.record import META_NAMES, OWN_NAMES, check_meta_field
from ledger.sealing import Contexts


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What a receipt proves. `missing` says what it does not: empty if it is complete.

    charter: version of the newest charter that was known; who left by a newer one may have vouched for this.
    cosigners: members other than the author, and when each cosigned, in POSIX seconds by its own clock.
    Each by a key that counts for no other.
    """

    network: NetworkId
    charter: int
    entry: Entry
    leaf: Digest
    checkpoint: Checkpoint
    manifest: Manifest
    disclosures: tuple[Disclosure, ...]
    cosigners: Mapping[MemberName, int]
    missing: tuple[str, ...]

    @property
    def author(self) -> MemberName:
        """Who filed the record: whose log it stands in, under whose key."""
        return self.entry.log.member

    @property
    def is_complete(self) -> bool:
        """Whether it is proved. An incomplete one is not wrong; it convinces nobody who was not convinced before."""
        return not self.missing


def verify_receipt(
    receipt: Receipt, *, trust: NetworkId | None, witnesses: int = 1, held: NetworkFile | None = None
) -> Proved:
    """Check a receipt by the rules above.

    trust: fingerprint of the network; None makes the result incomplete.
    held: charters and cards of that network which the verifier has from elsewhere.
    witnesses: members other than the author whose cosignatures are asked for.
    Raises: UntrustedNetwork, ForeignNetwork, UnknownMember, ProofInvalid, and what the parts raise.
    """
    network = verify_network_file(receipt.network)
    if trust is not None and network.id != trust:
        raise UntrustedNetwork(expected=trust.hex(), got=network.id.hex())
    if held is not None:
        network = verify_network_file(unite(held, receipt.network))
    entry, leaf, checkpoint = _verify_entry(receipt, network)
    if sha256(receipt.manifest) != entry.body:
        raise ProofInvalid(what="manifest", reason="not the one that the entry names")
    manifest = decode_manifest(receipt.manifest)
    # Last what costs most: by now the author's signature covers the roots that fields are compared with.
    _verify_disclosures(receipt.disclosures, manifest, entry, network.id)
    cosigners = _verify_cosigners(receipt, network, entry.log.member)
    return Proved(
        network=network.id,
        charter=network.charter.version,
        entry=entry,
        leaf=leaf,
        checkpoint=checkpoint,
        manifest=manifest,
        disclosures=receipt.disclosures,
        cosigners=cosigners,
        missing=_missing(trust, len(cosigners), witnesses),
    )


def _missing(trust: NetworkId | None, cosigners: int, witnesses: int) -> tuple[str, ...]:
    """Why the receipt is not complete, in words for people."""
    out = []
    if trust is None:
        out.append("no trusted fingerprint was given, so the network could be anybody's")
    if cosigners < witnesses:
        out.append(f"{cosigners} members other than the author cosigned, {witnesses} are asked for")
    return tuple(out)


def _verify_entry(receipt: Receipt, network: Network) -> tuple[Entry, Digest, Checkpoint]:
    """Rules 2 and 3. What the entry says of itself chooses the log and the key; both must then bear it out."""
    raw = receipt.proof.extra
    if raw is None:
        raise EncodingError(field="proof", reason="a receipt's proof holds the entry")
    entry = decode_entry(raw)
    if entry.version != VERSION:
        raise ProofInvalid(what="entry", reason="of a later version of the format, which this program cannot read")
    _check_in_force(entry, network)
    if entry.index != receipt.proof.index:
        raise ProofInvalid(what="entry", reason=f"it says index {entry.index}, the proof {receipt.proof.index}")
    leaf = leaf_hash(raw)
    # The size decides which key must have signed; it is believed once that key's signature holds.
    size = decode_checkpoint(decode_note(receipt.proof.note).text).size
    checkpoint = verify_proof(receipt.proof, leaf, origin=entry.log, key=network.log_key(entry.log, size))
    return entry, leaf, checkpoint


def _check_in_force(entry: Entry, network: Network) -> None:
    """Raise if the log is nobody's, or its member has left and the charter lets the entry count for nothing."""
    log, charter = entry.log, network.charter
    if log.network != charter.network:
        raise ForeignNetwork(what="entry", expected=charter.network, got=log.network)
    if log.member not in network.cards:
        raise UnknownMember(name=log.member)
    if log.member in charter.names:
        return
    size = next((item.size for item in charter.expelled if item.log == log), 0)
    if entry.index >= size:
        raise ProofInvalid(what="entry", reason=f"{log.member} has left, and its log counts below entry {size} only")


def _verify_disclosures(
    disclosures: Sequence[Disclosure], manifest: Manifest, entry: Entry, network: NetworkId
) -> None:
    """Each under its root; a name once, as it stands for one field of the record."""
    contexts = Contexts(network, entry.log)
    names: set[str] = set()
    for item in disclosures:
        if not 0 <= item.section < len(manifest.sections):
            raise ProofInvalid(what=f"field {item.name!r}", reason="the record has no such section")
        if item.name in names:
            raise ProofInvalid(what=f"field {item.name!r}", reason="disclosed twice")
        names.add(item.name)
        _check_place(item, last=len(manifest.sections) - 1)
        root = manifest.sections[item.section].root
        verify_disclosure(item, root=root, context=contexts.of(entry.id, item.section))
        if item.section == 0:
            check_meta_field(item.name, item.value, sections=len(manifest.sections))
    try:
        # An author can commit to `/price` and to another `/price/amount`: whoever reads both has no body.
        join([(item.name, item.value) for item in disclosures if item.name.startswith("/")])
    except FieldsContradict as cause:
        raise ProofInvalid(what="fields that no reader would take together", reason=str(cause)) from cause


def _check_place(item: Disclosure, *, last: int) -> None:
    """Raise if no reader would take a field of this name for one of the record, there.

    An author can commit to any name in any section, and readers of the record refuse it; a receipt shows one field
    alone. So the six of section 0 stand there at their own indexes, `by` and `flags` likewise in the last one.
    """
    if item.section == 0:
        allowed = META_NAMES[item.index : item.index + 1]
        if item.name not in allowed or item.size != len(META_NAMES):
            raise ProofInvalid(what=f"field {item.name!r}", reason="no field of section 0 in its place")
    elif item.section != last or item.name not in OWN_NAMES[item.index : item.index + 1]:
        if not item.name.startswith("/"):
            raise ProofInvalid(what=f"field {item.name!r}", reason="no field of a record has this name there")
        decode_pointer(item.name)


def _verify_cosigners(receipt: Receipt, network: Network, author: MemberName) -> dict[MemberName, int]:
    """Members in force, without the author, that cosigned with a key of any of their cards; each key and each once."""
    note = decode_note(receipt.proof.note)
    found: dict[MemberName, dict[VerifyKey, int]] = {}
    for member, cards in network.cards.items():
        keys: list[VerifyKey] = list(dict.fromkeys(key for card in cards for key in card.witness_keys))
        times = verified_cosigners(note, keys)
        if times and member != author and member in network.charter.names:
            found[member] = times
    return distinct_cosigners(found)
