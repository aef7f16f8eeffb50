"""Sealing: sections under one seed each, channels that carry seeds, wraps that hold them.

`sections` commits to the fields of one audience and encrypts them under a seed of 32
random bytes. `channels` brings a secret from one member to another, once a day. `wraps`
gives a reader the seeds of one record under that secret: no public-key operation per record.

What a thief of a key gets follows from this. A section's seed opens that section. A channel key
opens what one member gave another on one day. A sealing key opens all channels to its owner, as
long as the messages are kept: HPKE to a long-lived key has no forward secrecy, and readers are
meant to open old records.

Spec: docs/spec/sealing.md, docs/spec/channels.md.
"""

from ledger.sealing.channels import (
    CHANNEL_ID_BYTES,
    Channel,
    ChannelMessage,
    decode_channel_message,
    encode_channel_message,
    open_channel,
    receive_channel,
    verify_channel_message,
)
from ledger.sealing.sections import (
    FIELDS_MAX,
    SALT_BYTES,
    SEED_BYTES,
    Contexts,
    FieldText,
    decode_fields,
    field_leaf,
    field_salt,
    open_section,
    padded_length,
    seal_section,
    unseal_section,
)
from ledger.sealing.wraps import TAG_BYTES, Wrap, Wrapper, check_section_list

__all__ = [
    "CHANNEL_ID_BYTES",
    "FIELDS_MAX",
    "SALT_BYTES",
    "SEED_BYTES",
    "TAG_BYTES",
    "Channel",
    "ChannelMessage",
    "Contexts",
    "FieldText",
    "Wrap",
    "Wrapper",
    "check_section_list",
    "decode_channel_message",
    "decode_fields",
    "encode_channel_message",
    "field_leaf",
    "field_salt",
    "open_channel",
    "open_section",
    "padded_length",
    "receive_channel",
    "seal_section",
    "unseal_section",
    "verify_channel_message",
]
