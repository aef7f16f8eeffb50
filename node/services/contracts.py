"""Contracts: what this member says of one (propose, accept, decline, end), and how one is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ledger.errors import Conflict, EncodingError
from ledger.jsontext import check_strict, members, parse
from ledger.keys import entropy
from ledger.names import Digest, RecordId, encode_b64, encode_id
from ledger.record import Draft
from node import agreements as agree
from node.agreements import CodeNotRun, Contract, ProposalBroken, RoleNotAllowed, Status
from node.batch import check_body
from node.node import Node

_MEMBERS: Final = ("source", "terms", "parties")
_SECRET_BYTES: Final = 32
STATEMENTS: Final[Mapping[str, str]] = {"accept": agree.ACCEPT, "decline": agree.DECLINE, "end": agree.END}
_POSSIBLE: Final[Mapping[str, frozenset[Status]]] = {
    agree.ACCEPT: frozenset({Status.PROPOSED}),
    agree.DECLINE: frozenset({Status.PROPOSED, Status.UNSUPPORTED}),
    agree.END: frozenset({Status.PROPOSED, Status.ACTIVE, Status.UNSUPPORTED}),
}


class ContractSettled(Conflict):
    code = "contract-settled"
    template = "contract {contract} is {state}: this can no longer be said of it"
    hint = "`tally contract show` tells who said what; another proposal starts anew."


def find_contract(node: Node, shown_id: str) -> Contract:
    """By its id in hexadecimal. Raises: EncodingError, Missing."""
    return node.agreements.get(agree.decode_contract_id(shown_id))


def draft_proposal(node: Node, text: bytes, *, by: bytes) -> Draft:
    """A proposal from `{"source", "terms", "parties": {role: [member]}}`, checked as every party will check it.

    Raises: what strict JSON raises; ProposalBroken, CodeNotRun.
    """
    check_strict(text)
    given = members(text)
    if set(given) - {"terms"} != {"source", "parties"}:
        raise ProposalBroken(reason=f"it has the members {', '.join(_MEMBERS)}, and no others")
    secret = encode_b64(entropy(_SECRET_BYTES)).encode()
    texts = (given["source"], given.get("terms", b"{}"), given["parties"], secret)
    body = b'{"source":%b,"terms":%b,"parties":%b,"secret":"%b"}' % texts
    nobody = Digest(bytes(32))
    check_body(body, node.membership.limits)
    contract = agree.decode_proposal(
        body, contract_id=nobody, record=RecordId(bytes(16)), log="", index=0, proposer=node.member
    )
    _check_code(contract)
    for member in contract.members:
        if member not in node.membership.names:
            raise ProposalBroken(reason=f"{member} is no member of this network")
    return agree.draft_addressed(agree.PROPOSE, body, by=by, to=contract.members)


def draft_statement(node: Node, contract: Contract, type_name: str, *, by: bytes) -> Draft | None:
    """An accept, decline or end by this member; None where it has accepted already.

    Raises: RoleNotAllowed for whoever is no party, CodeNotRun for an acceptance, ContractSettled.
    """
    if node.member not in contract.members:
        raise RoleNotAllowed(member=node.member, type=type_name, contract=contract.id.hex(), reason="it is no party")
    if type_name == agree.ACCEPT and node.member in contract.accepted and contract.ended_by is None:
        return None
    if type_name == agree.ACCEPT:
        _check_code(contract)
    if contract.status not in _POSSIBLE[type_name]:
        raise ContractSettled(contract=contract.id.hex(), state=contract.status.value)
    to = contract.members
    if type_name != agree.ACCEPT:
        # Nothing is sealed to a party that has left; whoever wants out is heard by those who are still there.
        to = tuple(member for member in to if member in node.membership.names)
    return agree.draft_addressed(type_name, agree.answer_body(contract), by=by, to=to)


def _check_code(contract: Contract) -> None:
    """Refuse to say yes to code that this version would pass over. Raises: CodeNotRun."""
    if contract.source.functions:
        raise CodeNotRun(functions=", ".join(sorted(contract.source.functions)))


def describe(contract: Contract, member: str) -> dict[str, Any]:
    """A contract as JSON, but for its source and terms. `member`: whose roles are `my_roles`."""
    return {
        "id": contract.id.hex(),
        "record": encode_id(contract.record),
        "log": contract.log,
        "index": contract.index,
        "status": contract.status.value,
        "title": contract.source.title,
        "proposer": contract.proposer,
        "parties": {role: list(names) for role, names in sorted(contract.parties.items())},
        "my_roles": list(contract.roles_of(member)),
        "accepted": sorted(contract.accepted),
        "waiting_for": list(contract.waiting_for),
        "ended_by": contract.ended_by,
        "signers": sorted(contract.source.signers),
        "authors": {name: sorted(roles) for name, roles in sorted(contract.source.authors.items())},
        "functions": sorted(contract.source.functions),
        "shares": {
            name: {pattern: sorted(roles) for pattern, roles in patterns.items()}
            for name, patterns in sorted(contract.source.shares.items())
        },
    }


def read_terms(node: Node, contract: Contract) -> bytes:
    """The terms, text for text, from the proposal's record."""
    with node.store.read() as tx:
        record = node.joined.reader.read(tx, node.find_log(tx, contract.log), contract.index)
    return members(record.body).get("terms", b"null")


def decode_object(text: bytes) -> dict[str, Any]:
    """A small JSON object that a caller sent. Raises: what strict JSON raises; EncodingError."""
    value = parse(text)
    if not isinstance(value, dict):
        raise EncodingError(field="body", reason="not an object")
    return value
