"""Channels: one random secret from one member to another, sent by HPKE and signed by the sender.

Spec: docs/spec/channels.md. Source: RFC 9180 (HPKE).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke

from ledger.errors import EncodingError, SealBroken
from ledger.keys import OpeningKey, SealingKey, SigningKey, VerifyKey, entropy
from ledger.names import KeyId, MemberName, NetworkId, decode_name, lp, sha256

CHANNEL_ID_BYTES: Final = 8
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
        return sha256(self.key)[:CHANNEL_ID_BYTES]

    def __repr__(self) -> str:
        return f"Channel({self.wrapper} -> {self.reader}, {self.id.hex()})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelMessage:
    """A channel key on its way: HPKE-sealed to the reader, signed by the wrapper's transport key."""

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
    """Make a new channel to `reader`. Returns it and the encoded message that carries it."""
    channel = Channel(network=network, wrapper=wrapper, reader=reader, key=entropy(32))
    info = _channel_info(network, wrapper=wrapper, reader=reader, key_id=sealing_key.id, channel_id=channel.id)
    sealed = _HPKE.encrypt(channel.key, sealing_key.handle(), info=info)
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
    """Check the wrapper's signature; anyone can. Raises: BadSignature."""
    info = _message_info(message, network)
    key.verify(info + message.sealed, message.signature, what="a channel message")


def receive_channel(message: ChannelMessage, network: NetworkId, key: OpeningKey) -> Channel:
    """Open a channel message whose signature was verified. Raises: SealBroken."""
    info = _message_info(message, network)
    try:
        secret = _HPKE.decrypt(message.sealed, key.handle(), info=info)
    except (InvalidTag, ValueError):
        raise SealBroken(section="-", reason="the sealing key does not open the channel") from None
    if len(secret) != 32 or sha256(secret)[:CHANNEL_ID_BYTES] != message.id:
        raise SealBroken(section="-", reason="the channel key does not have the channel's id")
    return Channel(network=network, wrapper=message.wrapper, reader=message.reader, key=secret)


def encode_channel_message(message: ChannelMessage) -> bytes:
    return (
        b"\x01"
        + lp(message.wrapper)
        + lp(message.reader)
        + bytes.fromhex(message.sealing_key)
        + message.id
        + message.signer
        + message.sealed
        + message.signature
    )


def decode_channel_message(data: bytes) -> ChannelMessage:
    """Raises: EncodingError."""
    if data[:1] != b"\x01":
        raise EncodingError(field="channel message", reason="unknown version")
    wrapper, at = _read_name(data, 1)
    reader, at = _read_name(data, at)
    rest = data[at:]
    if len(rest) != 8 + 8 + 4 + 80 + 64:
        raise EncodingError(field="channel message", reason=f"{len(data)} bytes")
    return ChannelMessage(
        wrapper=wrapper,
        reader=reader,
        sealing_key=KeyId(rest[:8].hex()),
        id=rest[8:16],
        signer=rest[16:20],
        sealed=rest[20:100],
        signature=rest[100:],
    )


def _read_name(data: bytes, at: int) -> tuple[MemberName, int]:
    end = at + 2 + int.from_bytes(data[at : at + 2], "big")
    try:
        return MemberName(decode_name(data[at + 2 : end].decode(), "channel message")), end
    except UnicodeDecodeError:
        raise EncodingError(field="channel message", reason="a name is not ASCII") from None


def _message_info(message: ChannelMessage, network: NetworkId) -> bytes:
    return _channel_info(
        network, wrapper=message.wrapper, reader=message.reader, key_id=message.sealing_key, channel_id=message.id
    )


def _channel_info(network: NetworkId, *, wrapper: str, reader: str, key_id: str, channel_id: bytes) -> bytes:
    return b"tally/channel/v1\n" + network + lp(wrapper) + lp(reader) + lp(key_id) + channel_id
