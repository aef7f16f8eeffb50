"""Root keys: the keys of one member that sign charters and its cards, and how many of them it takes.

Spec: docs/spec/charter.md, "Members"; docs/spec/keys.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from ledger import limits, shape
from ledger.errors import EncodingError, TooLarge
from ledger.keys import Algorithm, VerifyKey, decode_vkey
from ledger.names import MemberName, decode_name

_MEMBERS: Final = ("keys", "name", "threshold")
_EDGES: Final = re.compile(r"[a-z0-9](?:.*[a-z0-9])?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class CharterMember:
    """A member as its charter lists it: `threshold` of `keys` speak for it."""

    name: MemberName
    keys: tuple[VerifyKey, ...]
    threshold: int

    def count_signed(self, signers: Collection[VerifyKey]) -> int:
        """How many of its root keys are among `signers`."""
        return sum(key in signers for key in self.keys)

    def has_signed(self, signers: Collection[VerifyKey]) -> bool:
        return self.count_signed(signers) >= self.threshold


def root_key_name(network: str, member: str) -> str:
    """The name that a root key bears in its vkey and in signature lines."""
    return f"{network}/{member}/root"


def encode_member(member: CharterMember) -> dict[str, object]:
    return {"keys": [str(key) for key in member.keys], "name": member.name, "threshold": member.threshold}


def decode_member(value: object) -> CharterMember:
    """Raises: EncodingError, TooLarge, WeakKey. The caller goes on with `check_member`."""
    found = shape.take_object(value, _MEMBERS, what="member")
    keys = shape.take_list(found["keys"], what="root keys", most=limits.KEYS_MAX)
    return CharterMember(
        name=MemberName(shape.take_string(found["name"], what="member name")),
        keys=tuple(decode_vkey(shape.take_string(key, what="root key")) for key in keys),
        threshold=shape.take_integer(found["threshold"], what="threshold"),
    )


def check_member(member: CharterMember, *, network: str) -> None:
    """Raise unless the name is fit to be one, and the keys are root keys of that member in canonical order."""
    check_edges(member.name, what="member name")
    what = f"root keys of {member.name}"
    if len(member.keys) > limits.KEYS_MAX:
        raise TooLarge(what=what, got=len(member.keys), limit=limits.KEYS_MAX, unit="items")
    shape.check_ascending([str(key) for key in member.keys], what=what)
    for key in member.keys:
        if key.name != root_key_name(network, member.name) or key.algorithm is not Algorithm.ED25519:
            raise EncodingError(field=what, reason=f"not an Ed25519 key named {root_key_name(network, member.name)}")
    # Two keys with one id (some 2**16 tries find a pair) would make a signature line ambiguous.
    if len({key.hash for key in member.keys}) != len(member.keys):
        raise EncodingError(field=what, reason="two keys have the same id")
    shape.check_range(member.threshold, what=f"threshold of {member.name}", least=1, most=len(member.keys))


def check_edges(name: str, *, what: str) -> None:
    """Check a network or member name: as everywhere, and a letter or digit at both ends.

    Names stand in paths, in routes and on command lines, where `..` and `-f` mean something else.
    """
    if not _EDGES.match(decode_name(name, what)):
        raise EncodingError(field=what, reason="does not begin and end with a letter or a digit")
