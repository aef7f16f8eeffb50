"""Channels: one random secret from one member to another, sent by HPKE and signed by the sender.

HPKE in base mode tells the reader nothing about the sender; the signature does. It
covers the whole context and the sealed bytes, so a message cannot be passed off as one
of another network, sender, reader or key, and anyone can check who opened a channel to
whom (that much every holder of the message learns).

A wrap names its channel by id alone. The id is a hash of the key, so nobody finds a key
that fits the id of another's channel. Two of one's own that share an id are within reach
(eight bytes: 2**32 tries): hence the first message with an id is the one that counts.

Spec: docs/spec/channels.md. Source: RFC 9180 (HPKE).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke

from ledger.errors import EncodingError, SealBroken
from ledger.keys import SIGNATURE_BYTES, OpeningKey, SealingKey, SigningKey, VerifyKey, entropy
from ledger.names import KeyId, MemberName, NetworkId, decode_name, lp, sha256

CHANNEL_ID_BYTES: Final = 8
CHANNEL_KEY_BYTES: Final = 32
_SEALED_BYTES: Final = 32 + CHANNEL_KEY_BYTES + 16  # encapsulated key, ciphertext, tag
_REST_BYTES: Final = 8 + CHANNEL_ID_BYTES + 4 + _SEALED_BYTES + SIGNATURE_BYTES
_VERSION: Final = b"\x01"
_HPKE: Final = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A secret from `wrapper` to `reader`; `key` is 32 bytes and never printed."""

    network: NetworkId
    wrapper: MemberName
    reader: MemberName
    key: bytes

    @property
    def id(self) -> bytes:
        """8 bytes that name the key and tell nothing of it: it is uniform, and cannot be guessed and compared."""
        return sha256(self.key)[:CHANNEL_ID_BYTES]

    def __repr__(self) -> str:
        return f"Channel({self.wrapper} -> {self.reader}, {self.id.hex()})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelMessage:
    """A channel key on its way: HPKE-sealed to the reader, signed by the wrapper's transport key.

    sealing_key: of the reader, which may have several by now. signer: which of the wrapper's keys signed; any that
    a card of it ever listed will do, as the message is kept for as long as wraps under it are.
    """

    wrapper: MemberName
    reader: MemberName
    sealing_key: KeyId
    id: bytes
    signer: bytes  # 4-byte hash of the transport key
    sealed: bytes  # enc || ciphertext
    signature: bytes


def open_channel(
    network: NetworkId, *, wrapper: MemberName, reader: MemberName, sealing_key: SealingKey, signer: SigningKey
) -> tuple[Channel, bytes]:
    """Make a new channel to `reader`. Returns it and the encoded message that carries it.

    sealing_key: the one on the reader's newest card. signer: the wrapper's transport key.
    """
    channel = Channel(network=network, wrapper=wrapper, reader=reader, key=entropy(CHANNEL_KEY_BYTES))
    info = _info(network, wrapper=wrapper, reader=reader, sealing_key=sealing_key.id, channel_id=channel.id)
    sealed = _HPKE.encrypt(channel.key, sealing_key.load(), info=info)
    message = ChannelMessage(
        wrapper=wrapper,
        reader=reader,
        sealing_key=sealing_key.id,
        id=channel.id,
        signer=signer.public.hash,
        sealed=sealed,
        signature=signer.sign(info + sealed),
    )
    return channel, encode_channel_message(message)


def verify_channel_message(message: ChannelMessage, network: NetworkId, key: VerifyKey) -> None:
    """Check the wrapper's signature; anyone can. That `key` is the wrapper's is the caller's to know.

    Raises: BadSignature.
    """
    key.verify(_info_of(message, network) + message.sealed, message.signature, what="a channel message")


def receive_channel(message: ChannelMessage, network: NetworkId, key: OpeningKey) -> Channel:
    """Open a channel message whose signature was verified: HPKE alone does not say who sent it.

    Raises: SealBroken.
    """
    try:
        secret = _HPKE.decrypt(message.sealed, key.load(), info=_info_of(message, network))
    except (InvalidTag, ValueError):  # ValueError: the encapsulated key is a point of small order
        raise SealBroken(section="-", reason="the sealing key does not open the channel") from None
    if len(secret) != CHANNEL_KEY_BYTES or sha256(secret)[:CHANNEL_ID_BYTES] != message.id:
        raise SealBroken(section="-", reason="the channel key does not have the channel's id")
    return Channel(network=network, wrapper=message.wrapper, reader=message.reader, key=secret)


def encode_channel_message(message: ChannelMessage) -> bytes:
    """u8 1, lp(wrapper), lp(reader), then parts of fixed length in the order of `ChannelMessage`."""
    return (
        _VERSION
        + lp(message.wrapper)
        + lp(message.reader)
        + bytes.fromhex(message.sealing_key)
        + message.id
        + message.signer
        + message.sealed
        + message.signature
    )


def decode_channel_message(raw: bytes) -> ChannelMessage:
    """Parse a message; verifies nothing. Raises: EncodingError."""
    if raw[:1] != _VERSION:
        raise EncodingError(field="channel message", reason="unknown version")
    wrapper, at = _read_name(raw, 1)
    reader, at = _read_name(raw, at)
    rest = raw[at:]
    # The one check of all lengths: a name that ran past the end leaves too little.
    if len(rest) != _REST_BYTES:
        raise EncodingError(field="channel message", reason=f"{len(raw)} bytes")
    return ChannelMessage(
        wrapper=wrapper,
        reader=reader,
        sealing_key=KeyId(rest[:8].hex()),
        id=rest[8:16],
        signer=rest[16:20],
        sealed=rest[20:100],
        signature=rest[100:],
    )


def _read_name(raw: bytes, at: int) -> tuple[MemberName, int]:
    """The name at `at`, and the place after it by its own word: past the end if it lied."""
    end = at + 2 + int.from_bytes(raw[at : at + 2], "big")
    try:
        return MemberName(decode_name(raw[at + 2 : end].decode("ascii"), "channel message")), end
    except UnicodeDecodeError:
        raise EncodingError(field="channel message", reason="a name is not ASCII") from None


def _info_of(message: ChannelMessage, network: NetworkId) -> bytes:
    """The info of a message that came: from what it says, for the network that we are in."""
    return _info(
        network,
        wrapper=message.wrapper,
        reader=message.reader,
        sealing_key=message.sealing_key,
        channel_id=message.id,
    )


def _info(network: NetworkId, *, wrapper: str, reader: str, sealing_key: KeyId, channel_id: bytes) -> bytes:
    """What HPKE binds the key to and the signature covers; its tag tells it from whatever else that key signs."""
    return b"tally/channel/v1\n" + network + lp(wrapper) + lp(reader) + lp(sealing_key) + channel_id
