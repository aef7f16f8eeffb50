"""Who must have signed a charter, and what one charter may change of the one before it.

`verify_charter` takes

1. charter 1: signed by every member that it lists;
2. charter n+1: of the same network, the next version, with the hash of charter n;
3. signed by the council threshold of n, and by that of n+1;
4. a member that joins, and one whose root keys or threshold change, signs with its new
   threshold, and the latter with its old threshold too: the council cannot speak for it;
5. a member that goes gets cut-off sizes for its logs; they never change, and its name is
   never used again; a root key never passes from one member to another.

A member has signed when as many of its root keys as its threshold have. Lines of
unknown keys are ignored; a line of a root key that does not verify is an error.

Spec: docs/spec/charter.md, "Signatures" and "What may change".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ledger.charter.document import Charter, Council, decode_charter, encode_charter
from ledger.charter.roots import CharterMember
from ledger.errors import (
    CharterInvalid,
    EncodingError,
    ForeignNetwork,
    MissingSignature,
    PreviousMismatch,
    VersionGap,
)
from ledger.keys import SigningKey, VerifyKey
from ledger.names import MemberName
from ledger.note import decode_note, encode_note, sign_note, verified_signers


def sign_charter(charter: Charter, keys: Sequence[SigningKey]) -> bytes:
    """The note of `charter` signed by `keys`; others add theirs with `note.add_signature`."""
    return encode_note(sign_note(encode_charter(charter), keys))


def verify_charter(note: bytes, *, previous: Charter | None) -> Charter:
    """Return the charter in `note` if it is good as the one after `previous`, or as charter 1 without it.

    Charter 1 proves only that its members agree: whether it is the right network is for
    whoever compares its fingerprint.
    Raises: MissingSignature, BadSignature, VersionGap, PreviousMismatch, ForeignNetwork,
    CharterInvalid, and what `decode_note` and `decode_charter` raise.
    """
    opened = decode_note(note)
    charter = decode_charter(opened.text)
    if previous is None:
        if charter.version != 1:
            raise VersionGap(what="charter", expected=1, got=charter.version)
    else:
        _check_follows(charter, previous)
    signers = frozenset(verified_signers(opened, _root_keys(charter, previous)))
    if previous is not None:
        _check_council(signers, previous, council=previous.council, of=charter)
    _check_council(signers, charter, council=charter.council, of=charter)
    for member in charter.members:
        _check_consent(signers, member, previous=_find(previous, member.name), version=charter.version)
    return charter


def verify_charter_chain(notes: Sequence[bytes]) -> tuple[Charter, ...]:
    """Verify the charters of a network from version 1 on. Raises: as `verify_charter`."""
    if not notes:
        raise EncodingError(field="charters", reason="none is given")
    chain: list[Charter] = []
    for note in notes:
        chain.append(verify_charter(note, previous=chain[-1] if chain else None))
    return tuple(chain)


def signed_members(note: bytes, *, previous: Charter | None = None) -> tuple[MemberName, ...]:
    """The members of the charter in `note` that have given all it needs of them: for showing who is still missing.

    Raises: BadSignature, and what `decode_note` and `decode_charter` raise.
    """
    opened = decode_note(note)
    charter = decode_charter(opened.text)
    signers = frozenset(verified_signers(opened, _root_keys(charter, previous)))
    before = [_find(previous, member.name) for member in charter.members]
    return tuple(
        member.name
        for member, old in zip(charter.members, before, strict=True)
        if member.has_signed(signers) and (old is None or old.has_signed(signers))
    )


# --- inside ---------------------------------------------------------------------


def _check_follows(charter: Charter, previous: Charter) -> None:
    """The rules of succession that need no signature."""
    if charter.network != previous.network:
        raise ForeignNetwork(what="charter", expected=previous.network, got=charter.network)
    if charter.version != previous.version + 1:
        raise VersionGap(what="charter", expected=previous.version + 1, got=charter.version)
    if charter.prev != previous.hash:
        raise PreviousMismatch(what=f"charter {charter.version}")
    if not set(previous.expelled) <= set(charter.expelled):
        raise CharterInvalid(version=charter.version, reason="it drops or changes a cut-off size")
    gone = set(previous.names) - set(charter.names)
    cut = {entry.log.member for entry in set(charter.expelled) - set(previous.expelled)}
    if gone != cut:
        raise CharterInvalid(
            version=charter.version, reason="new cut-off sizes are for those who go with it, one or more for each"
        )
    owners = {key.raw: member.name for member in previous.members for key in member.keys}
    for member in charter.members:
        if any(owners.get(key.raw, member.name) != member.name for key in member.keys):
            raise CharterInvalid(version=charter.version, reason=f"{member.name} takes another member's root key")


def _root_keys(charter: Charter, previous: Charter | None) -> list[VerifyKey]:
    """Every root key of either charter, once."""
    known = [key for member in charter.members for key in member.keys]
    if previous is not None:
        known += [key for member in previous.members for key in member.keys]
    return list(dict.fromkeys(known))


def _check_council(signers: Collection[VerifyKey], listed_by: Charter, *, council: Council, of: Charter) -> None:
    """`council` speaks through the root keys that `listed_by` gives its members."""
    got = sum(member.has_signed(signers) for member in listed_by.members if member.name in council.members)
    if got < council.threshold:
        raise MissingSignature(
            what=f"charter {of.version}", needed=council.threshold, who=f"the council of {listed_by.version}", got=got
        )


def _check_consent(
    signers: Collection[VerifyKey], member: CharterMember, *, previous: CharterMember | None, version: int
) -> None:
    """Nobody is made a member, and nobody's root keys are changed, without the keys concerned."""
    if member == previous:
        return
    for root, which in ((previous, "old"), (member, "new")):
        if root is not None and not root.has_signed(signers):
            raise MissingSignature(
                what=f"charter {version}",
                needed=root.threshold,
                who=f"the {which} root keys of {member.name}",
                got=root.count_signed(signers),
            )


def _find(charter: Charter | None, name: MemberName) -> CharterMember | None:
    if charter is None or name not in charter.names:
        return None
    return charter.member(name)
