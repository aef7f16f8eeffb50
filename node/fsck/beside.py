"""What of a store is of no log: charters and cards, facts, answers, tokens."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.card import decode_card
from ledger.charter import decode_charter
from ledger.errors import TallyError
from ledger.keys import VerifyKey
from ledger.names import MemberName, encode_b64
from ledger.note import decode_note
from node.fsck.report import Report, Walked
from node.membership import Membership
from node.storage import facts, replicas
from node.storage.store import Tx
from node.tokens import TOKENS_MAX, TokenMalformed, check_kept


def check_tokens(tx: Tx, report: Report) -> None:
    """Their form alone: nothing else tells which there are, and what they allow."""
    kept = facts.list_tokens(tx)
    for token in kept:
        try:
            check_kept(token)
        except TokenMalformed as cause:
            report.add("token", f"{token.id}: {cause}")
    if len(kept) > TOKENS_MAX:
        report.add("token", f"there are {len(kept)}")


def check_documents(tx: Tx, report: Report) -> None:
    """Charters and cards stand under the member and version that they name. Signatures: `load_membership`."""
    for kind, owner, version, note in facts.list_all_documents(tx):
        try:
            text = decode_note(note).text
            if kind == "charter":
                named = ("", decode_charter(text).version)
            else:
                card = decode_card(text)
                named = (card.member, card.version)
        except (TallyError, ValueError, TypeError) as cause:
            report.add("document", f"{kind} {version} {owner}: {cause}")
            continue
        if kind not in ("charter", "card") or (owner, version) != named:
            report.add("document", f"{kind} {version} {owner}: its columns are not those of its note")


def check_signers(membership: Membership, report: Report) -> None:
    """No line of a charter or card is of a key that nobody looks for: a changed one would be passed over."""
    charters = membership.documents.charters
    notes: list[tuple[str, bytes, list[VerifyKey]]] = []
    for i, note in enumerate(membership.file.charters):
        listed = [member for charter in charters[max(i - 1, 0) : i + 1] for member in charter.members]
        notes.append((f"charter {i + 1}", note, [key for member in listed for key in member.keys]))
    for (name, version), note in membership.notes.items():
        roots = [key for charter in charters if name in charter.names for key in charter.member(name).keys]
        notes.append((f"card {version} of {name}", note, roots))
    for what, note, keys in notes:
        if not all(any(line.is_of(key) for key in keys) for line in decode_note(note).signatures):
            report.add("document", f"{what}: a signature of no root key")


def check_own_origin(tx: Tx, membership: Membership, report: Report, member: MemberName | None) -> str | None:
    """The log that is this store's own: that of `member` where it is given, whatever the store says."""
    said = facts.get_meta(tx, facts.OWN_ORIGIN)
    origins = {name: str(chain[0].origin) for name, chain in membership.documents.cards.items()}
    expected = origins.get(member) if member is not None else said
    if said is None:
        report.add("fact", f"{facts.OWN_ORIGIN}: it is missing, which says whose store this is")
    elif said != expected or said not in origins.values():
        report.add("fact", f"{facts.OWN_ORIGIN}: {said} is not the log of {member or 'a member'}")
    return expected


def check_facts(tx: Tx, report: Report, *, walked: Sequence[Walked], own: str | None) -> None:
    """Each fact has a name that something reads, and what it says of a log is in the log."""
    by_name = {replicas.ANNOUNCED + str(one.log.origin): one for one in walked}
    mine = next((one for one in walked if str(one.log.origin) == own), None)
    for name, value in facts.list_meta(tx):
        if name == facts.OWN_ORIGIN:
            continue
        if name in by_name:
            # Of the own log, what was fetched back; it announces more by itself.
            cards = by_name[name].cards
            allowed = cards if by_name[name] is mine else cards[-1:]
        elif mine is not None and name in facts.ANNOUNCED:
            allowed = mine.cards if name == facts.ANNOUNCED[0] else mine.charters
            if value == "":
                continue
        else:
            report.add("fact", f"{name}: there is none of this name")
            continue
        if value not in [encode_b64(digest) for digest in allowed]:
            report.add("fact", f"{name}: the log announces something else")


def check_answers(tx: Tx, report: Report, *, walked: Sequence[Walked], own: str | None) -> None:
    """Each answer names an entry of the own log. Which request it answered is known by a hash of its bytes alone."""
    size = next((one.log.size for one in walked if str(one.log.origin) == own), 0)
    for index in facts.list_wrong_answers(tx, size):
        report.add("answer", "it is not that of one record, or there is no such entry", log=own, index=index)
    for index in facts.list_disputed_answers(tx):
        report.add("answer", "two requests have the same record as their answer", log=own, index=index)
