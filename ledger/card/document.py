"""The text of a card, and what must hold in it whoever signs.

Signing keys are C2SP vkeys, each with the one name that its use demands; a key that is
weak, misnamed or of an unknown algorithm voids the card where it is read, never later
in someone's batch.

Spec: docs/spec/card.md, "Text".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ledger import limits, shape
from ledger.card.endpoint import check_endpoint
from ledger.errors import EncodingError, TooLarge
from ledger.keys import Algorithm, SealingKey, VerifyKey, decode_sealing_key, decode_vkey
from ledger.names import Digest, MemberName, NetworkName, Origin, decode_b64, decode_origin, encode_b64, sha256

_MEMBERS: Final = ("endpoints", "epoch", "keys", "member", "prev", "version")
_KEY_MEMBERS: Final = ("alg", "from", "id", "key", "use")
_ALGS: Final = {"log": "ed25519", "sealing": "x25519", "transport": "ed25519", "witness": "ed25519-cosignature"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """Which log of its member this is; a later epoch names the final size and root of the log before it."""

    number: int = 1
    old_size: int = 0
    old_root: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One version of a member's card.

    prev: hash of the version before; None in version 1.
    log_from: the log size (leaves) from which `log_key` counts.
    witness_keys, transport_keys: one or more each, in order of their text.
    endpoints: where the node answers, in the member's order of preference.
    """

    network: NetworkName
    member: MemberName
    version: int
    prev: Digest | None
    log_key: VerifyKey
    log_from: int
    witness_keys: tuple[VerifyKey, ...]
    transport_keys: tuple[VerifyKey, ...]
    sealing_key: SealingKey
    endpoints: tuple[str, ...] = ()
    epoch: Epoch = field(default_factory=Epoch)

    @property
    def hash(self) -> Digest:
        """H(text), signatures left out: two honest copies are one card."""
        return sha256(encode_card(self).encode())

    @property
    def origin(self) -> Origin:
        """The log that the member writes under this card."""
        return Origin(self.network, self.member, self.epoch.number)


class _Item(NamedTuple):
    """One item of `keys`, in the order in which items are sorted."""

    use: str
    key: str
    id: str
    start: int


def make_card(
    *,
    log_key: VerifyKey,
    witness_keys: Iterable[VerifyKey],
    transport_keys: Iterable[VerifyKey],
    sealing_key: SealingKey,
    endpoints: Sequence[str] = (),
    log_from: int = 0,
    epoch: Epoch | None = None,
    previous: Card | None = None,
) -> Card:
    """Draw up card 1, or the one after `previous`; network and member are those in the name of `log_key`.

    Raises: EncodingError, TooLarge for a card that no signature could make good.
    """
    origin = decode_origin(log_key.name)
    card = Card(
        network=origin.network,
        member=origin.member,
        version=1 if previous is None else previous.version + 1,
        prev=None if previous is None else previous.hash,
        log_key=log_key,
        log_from=log_from,
        witness_keys=tuple(sorted(witness_keys, key=str)),
        transport_keys=tuple(sorted(transport_keys, key=str)),
        sealing_key=sealing_key,
        endpoints=tuple(endpoints),
        epoch=epoch or Epoch(),
    )
    _check(card)
    return card


def encode_card(card: Card) -> str:
    """The text of the note: canonical JSON and a newline. Raises: as `decode_card`, for what it would refuse."""
    _check(card)
    old_root = card.epoch.old_root
    return shape.encode_text(
        {
            "endpoints": list(card.endpoints),
            "epoch": {
                "number": card.epoch.number,
                "old_root": "" if old_root is None else encode_b64(old_root),
                "old_size": card.epoch.old_size,
            },
            "keys": [
                {"alg": _ALGS[item.use], "from": item.start, "id": item.id, "key": item.key, "use": item.use}
                for item in _items(card)
            ],
            "member": card.member,
            "prev": "" if card.prev is None else encode_b64(card.prev),
            "version": card.version,
        }
    )


def decode_card(text: str) -> Card:
    """Parse the text of a card: exactly what `encode_card` writes. Proves no signature.

    Raises: EncodingError, TooLarge, WeakKey, or what strict JSON raises.
    """
    found = shape.decode_text(text, _MEMBERS, what="card", bytes_max=limits.NOTE_BYTES_MAX)
    items = [_decode_item(item) for item in shape.take_list(found["keys"], what="card keys", most=limits.KEYS_MAX)]
    by_use = {use: [item for item in items if item.use == use] for use in _ALGS}
    log, sealing = _only(by_use["log"], use="log"), _only(by_use["sealing"], use="sealing")
    origin = decode_origin(log.key.split("+", 1)[0])
    endpoints = shape.take_list(found["endpoints"], what="endpoints", most=limits.ENDPOINTS_MAX)
    prev = shape.take_string(found["prev"], what="prev")
    card = Card(
        network=origin.network,
        member=MemberName(shape.take_string(found["member"], what="member")),
        version=shape.take_integer(found["version"], what="version"),
        prev=Digest(decode_b64(prev, length=32, field="prev")) if prev else None,
        log_key=decode_vkey(log.key),
        log_from=log.start,
        witness_keys=tuple(decode_vkey(item.key) for item in by_use["witness"]),
        transport_keys=tuple(decode_vkey(item.key) for item in by_use["transport"]),
        sealing_key=decode_sealing_key(sealing.key),
        endpoints=tuple(shape.take_string(endpoint, what="endpoint") for endpoint in endpoints),
        epoch=_decode_epoch(found["epoch"]),
    )
    _check(card)
    if items != _items(card):
        raise EncodingError(field="card keys", reason="out of order, or an `id` or `from` is not that of its key")
    return card


# --- inside ---------------------------------------------------------------------


def _items(card: Card) -> list[_Item]:
    sealing = card.sealing_key
    return [
        _Item("log", str(card.log_key), card.log_key.id, card.log_from),
        _Item("sealing", encode_b64(sealing.raw), sealing.id, 0),
        *(_Item("transport", str(key), key.id, 0) for key in card.transport_keys),
        *(_Item("witness", str(key), key.id, 0) for key in card.witness_keys),
    ]


def _decode_item(value: object) -> _Item:
    found = shape.take_object(value, _KEY_MEMBERS, what="card key")
    use = shape.take_string(found["use"], what="use")
    if use not in _ALGS:
        raise EncodingError(field="use", reason=f"{use[:40]!r} is not one of {', '.join(_ALGS)}")
    if found["alg"] != _ALGS[use]:
        raise EncodingError(field="alg", reason=f"the algorithm of a {use} key is {_ALGS[use]}")
    return _Item(
        use=use,
        key=shape.take_string(found["key"], what="key"),
        id=shape.take_string(found["id"], what="id"),
        start=shape.take_integer(found["from"], what="from"),
    )


def _only(items: Sequence[_Item], *, use: str) -> _Item:
    # One at a time, so that nobody has to choose: at each size one log key, for each wrap one sealing key.
    if len(items) != 1:
        raise EncodingError(field="card keys", reason=f"a card has one {use} key, not {len(items)}")
    return items[0]


def _decode_epoch(value: object) -> Epoch:
    found = shape.take_object(value, ("number", "old_root", "old_size"), what="epoch")
    root = shape.take_string(found["old_root"], what="old_root")
    return Epoch(
        number=shape.take_integer(found["number"], what="epoch number"),
        old_size=shape.take_integer(found["old_size"], what="old_size"),
        old_root=Digest(decode_b64(root, length=32, field="old_root")) if root else None,
    )


# --- what must hold in every card, written or read ------------------------------------


def _check(card: Card) -> None:
    shape.check_range(card.version, what="version", least=1)
    if (card.version == 1) != (card.prev is None):
        raise EncodingError(field="prev", reason="version 1 has none, every other version has one")
    _check_epoch(card)
    _check_keys(card)
    if len(card.endpoints) > limits.ENDPOINTS_MAX:
        raise TooLarge(what="endpoints", got=len(card.endpoints), limit=limits.ENDPOINTS_MAX, unit="items")
    if len(set(card.endpoints)) != len(card.endpoints):
        raise EncodingError(field="endpoints", reason="one is listed twice")
    for endpoint in card.endpoints:
        check_endpoint(endpoint)


def _check_epoch(card: Card) -> None:
    epoch = card.epoch
    shape.check_range(epoch.number, what="epoch number", least=1)
    shape.check_range(epoch.old_size, what="old_size", least=0)
    shape.check_range(card.log_from, what="from", least=0)
    if (epoch.number == 1) != (epoch.old_root is None) or (epoch.number == 1 and epoch.old_size):
        raise EncodingError(field="epoch", reason="the first has no old log, every other one names its size and root")
    if card.version == 1 and (epoch.number != 1 or card.log_from != 0):
        raise EncodingError(field="epoch", reason="card 1 is of epoch 1, and its log key counts from size 0")


def _check_keys(card: Card) -> None:
    """Each key under the one name of its use, none twice."""
    member = f"{card.network}/{card.member}"
    keys = (card.log_key, *card.witness_keys, *card.transport_keys)
    if len(keys) >= limits.KEYS_MAX:
        raise TooLarge(what="card keys", got=len(keys) + 1, limit=limits.KEYS_MAX, unit="items")
    if not card.witness_keys or not card.transport_keys:
        raise EncodingError(field="card keys", reason="a card has at least one witness and one transport key")
    _check_named((card.log_key,), str(card.origin), Algorithm.ED25519)
    _check_named(card.witness_keys, member, Algorithm.COSIGNATURE)
    _check_named(card.transport_keys, f"{member}/transport", Algorithm.ED25519)
    # One point under two uses would let a signature for one pass for the other; two keys of
    # one name and id would make a signature line ambiguous.
    if len({key.raw for key in keys}) != len(keys) or len({(key.name, key.hash) for key in keys}) != len(keys):
        raise EncodingError(field="card keys", reason="a key or a key id is listed twice")


def _check_named(keys: Sequence[VerifyKey], name: str, algorithm: Algorithm) -> None:
    shape.check_ascending([str(key) for key in keys], what=f"keys of {name}")
    for key in keys:
        if key.name != name or key.algorithm is not algorithm:
            raise EncodingError(field="card keys", reason=f"not a key named {name} of type {algorithm:#04x}")
