"""How this node stands: itself, its logs, its peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from ledger.names import MemberName
from ledger.network import encode_network_file
from node.membership import Membership
from node.node import Node
from node.storage import checkpoints, facts, logs, replicas, sidecars
from node.storage.store import Tx

NOT_ADOPTED: Final = "not-adopted"
"""Guard state of a node without a charter: it cannot sign, and waits for nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """The last that was heard of one peer. sizes: origin -> what it says it holds. Unix milliseconds."""

    endpoint: str
    state: str
    last_contact_ms: int | None = None
    error: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)


Contacts = Callable[[], Mapping[MemberName, Contact]]
"""Asked for whenever somebody wants to see the peers; whoever calls them answers."""


def own_version() -> str:
    try:
        return version("tallystick")
    except PackageNotFoundError:
        return "0"


def describe_status(node: Node, *, uptime_s: int) -> dict[str, Any]:
    """The node itself: who it is, whether it may sign, and what it holds of every log."""
    joined = node.joined if node.is_joined else None
    with node.store.read() as tx:
        found = [_describe_log(tx, log) for log in logs.list_logs(tx)]
    own = next((log for log in found if joined is not None and log["origin"] == str(joined.origin)), None)
    guard = {"state": NOT_ADOPTED, "waiting_for": []}
    if joined is not None:
        guard = {"state": joined.guard.state.value, "waiting_for": list(joined.guard.wants)}
    return {
        "member": node.member,
        "network": node.settings.network,
        "fingerprint": node.membership.network_id.hex() if joined else None,
        "guard": guard,
        "log": None if own is None else {"origin": own["origin"], "size": own["size"]},
        "logs": found,
        "version": own_version(),
        "uptime_s": uptime_s,
    }


def describe_peers(node: Node, contacts: Contacts) -> list[dict[str, Any]]:
    """Every other member: when it was heard last, and what each side holds of the other's log."""
    membership, own, heard = node.membership, node.joined.origin, contacts()
    with node.store.read() as tx:
        held = {log.origin: log for log in logs.list_logs(tx)}
        described = {origin: _describe_log(tx, log) for origin, log in held.items()}
        cosigned = checkpoints.cosigned_sizes(tx, held[own].number)
        lacking = {log.origin.member: _lacking_card(tx, log, membership) for log in held.values()}
    found = []
    for name in membership.names:
        if name == node.member:
            continue
        contact = heard.get(name, Contact(endpoint="", state="unknown"))
        problems = (contact.error, membership.newer.get(name), lacking.get(name))
        found.append(
            {
                "member": name,
                "endpoint": contact.endpoint or next(iter(membership.card(name).endpoints), None),
                "state": contact.state,
                "last_contact_ms": contact.last_contact_ms,
                "error": "; ".join(filter(None, problems)) or None,
                "sizes": dict(contact.sizes),
                "cosigned": cosigned.get(name, 0),
                "log": described.get(membership.origin(name)),
            }
        )
    return found


def read_network_file(node: Node) -> bytes:
    """The network file that this node goes by. Raises: NotAdopted."""
    return encode_network_file(node.membership.file)


def list_evidence(node: Node) -> list[facts.StoredEvidence]:
    with node.store.read() as tx:
        return facts.list_evidence(tx)


def _lacking_card(tx: Tx, log: logs.StoredLog, membership: Membership) -> str:
    """What to say if the card that a log announced last is not held."""
    announced = replicas.announced_card(tx, log.origin)
    held = {card.hash for card in membership.documents.cards.get(log.origin.member, ())}
    if announced is None or announced in held:
        return ""
    return "its log announces a card that is not held here: adopt a network file that has it"


def _describe_log(tx: Tx, log: logs.StoredLog) -> dict[str, Any]:
    return {
        "origin": str(log.origin),
        "size": log.size,
        "checkpoint_size": log.checkpoint_size,
        "bodies_size": log.bodies_size,
        "gaps": sidecars.count_gaps(tx, log.number),
        "frozen": log.frozen,
    }
