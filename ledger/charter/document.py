"""The text of a charter, and what must hold in it whoever signs.

Spec: docs/spec/charter.md, "Bytes".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from ledger import limits, shape
from ledger.charter.roots import CharterMember, check_edges, check_member, decode_member, encode_member
from ledger.errors import EncodingError, Missing, TooLarge
from ledger.names import (
    Digest,
    MemberName,
    NetworkName,
    Origin,
    decode_b64,
    decode_origin,
    encode_b64,
    sha256,
)

_MEMBERS: Final = ("council", "engines", "expelled", "f", "limits", "members", "network", "prev", "version")
_BOUNDS: Final = {
    "blob_bytes": (0, limits.BLOB_BYTES_MAX),
    "body_bytes": (limits.BODY_BYTES_MIN, limits.BODY_BYTES_MAX),
    "record_fields": (limits.FIELDS_MIN, limits.FIELDS_MAX),
    "record_readers": (limits.READERS_MIN, limits.READERS_MAX),
    "record_sections": (limits.SECTIONS_MIN, limits.SECTIONS_MAX),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Council:
    """The members that admit and expel, and how many of them it takes."""

    members: tuple[MemberName, ...]
    threshold: int


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Expulsion:
    """A log whose member has gone: entries from `size` on count for nothing, what is below stays valid."""

    log: Origin
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLimits:
    """What one record may be in this network; each at most the ledger's own bound, which is the default."""

    blob_bytes: int = limits.BLOB_BYTES_MAX
    body_bytes: int = limits.BODY_BYTES_MAX
    record_fields: int = limits.FIELDS_MAX
    record_readers: int = limits.READERS_MAX
    record_sections: int = limits.SECTIONS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Charter:
    """One version of a network's charter.

    prev: hash of the version before; None in version 1.
    f: how many other members may stay silent when a node asks what they hold of its log.
    engines: SHA-256 of the engine artifacts that a contract may pin.
    """

    network: NetworkName
    version: int
    prev: Digest | None
    members: tuple[CharterMember, ...]
    council: Council
    f: int
    expelled: tuple[Expulsion, ...] = ()
    engines: tuple[Digest, ...] = ()
    limits: NetworkLimits = field(default_factory=NetworkLimits)

    @property
    def hash(self) -> Digest:
        """H(text), signatures left out: two honest copies are one charter."""
        return sha256(encode_charter(self).encode())

    @property
    def names(self) -> tuple[MemberName, ...]:
        return tuple(member.name for member in self.members)

    @property
    def required_answers(self) -> int:
        """How many other members must say what they hold of a node's log before it signs: n - 1 - f."""
        return len(self.members) - 1 - self.f

    def member(self, name: str) -> CharterMember:
        """Raises: Missing."""
        for member in self.members:
            if member.name == name:
                return member
        raise Missing(what="member", name=name)


def make_charter(
    *,
    network: str,
    members: Iterable[CharterMember],
    f: int,
    council: Council | None = None,
    expelled: Iterable[Expulsion] = (),
    engines: Iterable[Digest] = (),
    network_limits: NetworkLimits | None = None,
    previous: Charter | None = None,
) -> Charter:
    """Draw up charter 1, or the one after `previous`; by default all members are the council, half and one decide.

    Raises: EncodingError, TooLarge for a charter that no signature could make good.
    """
    listed = tuple(
        CharterMember(name=m.name, keys=tuple(sorted(m.keys, key=str)), threshold=m.threshold)
        for m in sorted(members, key=lambda m: m.name)
    )
    if council is None:
        council = Council(members=tuple(m.name for m in listed), threshold=len(listed) // 2 + 1)
    charter = Charter(
        network=NetworkName(network),
        version=1 if previous is None else previous.version + 1,
        prev=None if previous is None else previous.hash,
        members=listed,
        council=Council(members=tuple(sorted(council.members)), threshold=council.threshold),
        f=f,
        expelled=tuple(sorted(expelled)),
        engines=tuple(sorted(engines, key=encode_b64)),
        limits=network_limits or NetworkLimits(),
    )
    encode_charter(charter)
    return charter


def encode_charter(charter: Charter) -> str:
    """The text of the note: canonical JSON and a newline. Raises: as `decode_charter`, for what it would refuse."""
    _check(charter)
    text = shape.encode_text(
        {
            "council": {"members": list(charter.council.members), "threshold": charter.council.threshold},
            "engines": [encode_b64(engine) for engine in charter.engines],
            "expelled": [{"log": str(e.log), "member": e.log.member, "size": e.size} for e in charter.expelled],
            "f": charter.f,
            "limits": {name: getattr(charter.limits, name) for name in _BOUNDS},
            "members": [encode_member(member) for member in charter.members],
            "network": charter.network,
            "prev": "" if charter.prev is None else encode_b64(charter.prev),
            "version": charter.version,
        }
    )
    # A longer one could be written and signed by some, and then had no room for the others.
    if len(text) > limits.CHARTER_BYTES_MAX + 1:
        raise TooLarge(what="charter", got=len(text) - 1, limit=limits.CHARTER_BYTES_MAX, unit="bytes")
    return text


def decode_charter(text: str) -> Charter:
    """Parse the text of a charter: exactly what `encode_charter` writes. Proves no signature.

    Raises: EncodingError, TooLarge, WeakKey, or what strict JSON raises.
    """
    found = shape.decode_text(text, _MEMBERS, what="charter", bytes_max=limits.CHARTER_BYTES_MAX)
    engines = shape.take_list(found["engines"], what="engines", most=limits.ENGINES_MAX)
    expelled = shape.take_list(found["expelled"], what="expelled", most=limits.EXPELLED_MAX)
    members = shape.take_list(found["members"], what="members", most=limits.MEMBERS_MAX)
    bounds = shape.take_object(found["limits"], tuple(_BOUNDS), what="limits")
    prev = shape.take_string(found["prev"], what="prev")
    charter = Charter(
        network=NetworkName(shape.take_string(found["network"], what="network")),
        version=shape.take_integer(found["version"], what="version"),
        prev=Digest(decode_b64(prev, length=32, field="prev")) if prev else None,
        members=tuple(decode_member(item) for item in members),
        council=_decode_council(found["council"]),
        f=shape.take_integer(found["f"], what="f"),
        expelled=tuple(_decode_expulsion(item) for item in expelled),
        engines=tuple(Digest(decode_b64(shape.take_string(e, what="engine"), length=32)) for e in engines),
        limits=NetworkLimits(**{name: shape.take_integer(bounds[name], what=name) for name in _BOUNDS}),
    )
    _check(charter)
    return charter


def _decode_council(value: object) -> Council:
    found = shape.take_object(value, ("members", "threshold"), what="council")
    names = shape.take_list(found["members"], what="council members", most=limits.MEMBERS_MAX)
    return Council(
        members=tuple(MemberName(shape.take_string(name, what="council member")) for name in names),
        threshold=shape.take_integer(found["threshold"], what="council threshold"),
    )


def _decode_expulsion(value: object) -> Expulsion:
    found = shape.take_object(value, ("log", "member", "size"), what="expelled")
    log = decode_origin(shape.take_string(found["log"], what="expelled log"))
    if found["member"] != log.member:
        raise EncodingError(field="expelled member", reason="not the member of the log")
    return Expulsion(log=log, size=shape.take_integer(found["size"], what="expelled size"))


# --- what must hold in every charter, written or read ------------------------------


def _check(charter: Charter) -> None:
    check_edges(charter.network, what="network")
    shape.check_range(charter.version, what="version", least=1)
    if (charter.version == 1) != (charter.prev is None):
        raise EncodingError(field="prev", reason="version 1 has none, every other version has one")
    _check_members(charter)
    _check_council(charter)
    # One third at most may be silent or lie (as in every agreement without synchrony): none of one, two or three.
    shape.check_range(charter.f, what="f", least=0, most=(len(charter.members) - 1) // 3)
    _check_expelled(charter)
    if len(charter.engines) > limits.ENGINES_MAX:
        raise TooLarge(what="engines", got=len(charter.engines), limit=limits.ENGINES_MAX, unit="items")
    shape.check_ascending([encode_b64(engine) for engine in charter.engines], what="engines")
    for name, (least, most) in _BOUNDS.items():
        shape.check_range(getattr(charter.limits, name), what=name, least=least, most=most)


def _check_members(charter: Charter) -> None:
    if len(charter.members) > limits.MEMBERS_MAX:
        raise TooLarge(what="members", got=len(charter.members), limit=limits.MEMBERS_MAX, unit="items")
    if not charter.members:
        raise EncodingError(field="members", reason="a network has at least one")
    shape.check_ascending(charter.names, what="members")
    for member in charter.members:
        check_member(member, network=charter.network)
    # All must be able to sign one note, each with its old and its new root keys: else it is one that nobody can sign,
    # or one after which nobody can change keys any more.
    needed = sum(member.threshold for member in charter.members)
    if needed > limits.CHARTER_SIGNATURES_MAX:
        raise TooLarge(what="thresholds", got=needed, limit=limits.CHARTER_SIGNATURES_MAX, unit="signatures")
    # A note's signature does not cover the signer's name, so with a shared key one signature
    # could be relabelled as another member's.
    points = [key.raw for member in charter.members for key in member.keys]
    if len(set(points)) != len(points):
        raise EncodingError(field="members", reason="a root key is listed twice")


def _check_council(charter: Charter) -> None:
    council = charter.council
    shape.check_ascending(council.members, what="council members")
    if not set(council.members) <= set(charter.names):
        raise EncodingError(field="council members", reason="names someone who is no member")
    # More than half, so that two charters of one version share at least one signer, who can be named.
    shape.check_range(
        council.threshold,
        what="council threshold",
        least=len(council.members) // 2 + 1,
        most=len(council.members),
    )


def _check_expelled(charter: Charter) -> None:
    if len(charter.expelled) > limits.EXPELLED_MAX:
        raise TooLarge(what="expelled", got=len(charter.expelled), limit=limits.EXPELLED_MAX, unit="items")
    if charter.expelled and charter.version == 1:
        raise EncodingError(field="expelled", reason="nobody has gone before version 1")
    logs = [entry.log for entry in charter.expelled]
    if any(first >= second for first, second in pairwise(logs)):
        raise EncodingError(field="expelled", reason="not in ascending order of member and epoch without repeats")
    for entry in charter.expelled:
        check_edges(entry.log.member, what="expelled member")
        if entry.log.network != charter.network:
            raise EncodingError(field="expelled log", reason="a log of another network")
        if entry.log.member in charter.names:
            raise EncodingError(field="expelled member", reason="still listed as a member")
