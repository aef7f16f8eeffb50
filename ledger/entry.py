"""Log entries: the record header, its one canonical encoding, its link and its slot.

An entry says only: which log, which index, what came before, an id, and the hash
of a manifest. It carries no type, contract, audience, size or count in clear, for
every member of the network keeps a copy of it, also those it is none of the business of.

It names its own log and index although its place says the same: an entry that was
copied into another log, or moved within one, contradicts itself before anyone looks
at a proof. `prev` repeats what the tree proves, so that a short script can walk the chain.

Spec: docs/spec/entry.md.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ledger import limits
from ledger.errors import EncodingError, ForeignOrigin, LinkBroken, LogGap, TooLarge
from ledger.jsontext import decode_canonical
from ledger.names import (
    Digest,
    Origin,
    RecordId,
    decode_b64,
    decode_id,
    decode_origin,
    encode_b64_bytes,
    encode_id,
    sha256,
)

SLOT_BYTES: Final = 16
VERSION: Final = 1

# One expression for the whole header: whatever it matches is, byte for byte, what `encode_entry` writes for
# the values in it. Canonical base64 only: the last letter before the padding has its unused bits zero.
_B32: Final = rb"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="
_B16: Final = rb"[A-Za-z0-9+/]{21}[AQgw]=="
_HEADER: Final = re.compile(
    rb'\{"body":"(' + _B32 + rb')"(?:,"card":"(' + _B32 + rb')")?(?:,"charter":"(' + _B32 + rb')")?'
    rb',"id":"([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"'
    rb',"index":(0|[1-9][0-9]{0,15}),"log":"([a-z0-9./-]{3,160})","prev":"(' + _B32 + rb')"'
    rb'(?:,"slot":"(' + _B16 + rb')")?,"v":1\}\Z'
)


class SlotKind(IntEnum):
    """Statements that a member may make only once: per contract, term and batch, or per contract and term.

    The numbers go into the hash: one that was changed, or given to another kind, would let a statement be made twice.
    """

    SEQUENCE = 1
    ACK = 2
    HANDOVER = 3
    CLOSE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record header.

    id: used once in all logs of its author; a repeat is evidence.
    prev: leaf hash of the entry before, 32 zero bytes at index 0.
    body: H(manifest text).
    slot: 16 bytes, of a statement that may be made only once or drawn at random; only who has the contract's secret
    can tell which.
    card, charter: hashes of the documents in force, at index 0 and on change.
    version: of the header format; above 1 the entry is kept and shown as "newer version".
    """

    log: Origin
    index: int
    prev: Digest
    id: RecordId
    body: Digest
    slot: bytes | None = None
    card: Digest | None = None
    charter: Digest | None = None
    version: int = VERSION


def encode_entry(entry: Entry) -> bytes:
    """The exact bytes of the log leaf: RFC 8785 of the header.

    Formatted, not printed by a JSON encoder: every member has a fixed form, and this is four times as quick.
    """
    assert entry.version == VERSION, "headers of later versions are kept as the bytes that came"
    card = b"" if entry.card is None else b',"card":"%b"' % encode_b64_bytes(entry.card)
    charter = b"" if entry.charter is None else b',"charter":"%b"' % encode_b64_bytes(entry.charter)
    slot = b"" if entry.slot is None else b',"slot":"%b"' % encode_b64_bytes(entry.slot)
    return b'{"body":"%b"%b%b,"id":"%b","index":%d,"log":"%b","prev":"%b"%b,"v":1}' % (
        encode_b64_bytes(entry.body),
        card,
        charter,
        encode_id(entry.id).encode(),
        entry.index,
        str(entry.log).encode(),
        encode_b64_bytes(entry.prev),
        slot,
    )


def decode_entry(raw: bytes) -> Entry:
    """Parse one log leaf: exactly what `encode_entry` writes, or a newer version that keeps the fixed members.

    Raises: EncodingError, TooLarge, and what strict JSON raises. An entry that raises here stays in the log
    under its valid checkpoint, marked invalid: to refuse it would split the network over a bug of its author.
    """
    if len(raw) > limits.ENTRY_BYTES_MAX:
        raise TooLarge(what="entry", got=len(raw), limit=limits.ENTRY_BYTES_MAX, unit="bytes")
    found = _HEADER.match(raw)
    # What does not match may still be a header of a later version, which nobody here can know in full.
    if found is None:
        return _decode_newer(raw)
    body, card, charter, record_id, index, log, prev, slot = found.groups()
    # Sixteen digits reach beyond what JSON readers of other languages can hold.
    if int(index) > limits.INTEGER_MAX:
        raise EncodingError(field="index", reason="above 2**53 - 1")
    return Entry(
        log=decode_origin(log.decode()),
        index=int(index),
        prev=Digest(a2b_base64(prev)),
        id=RecordId(bytes.fromhex(record_id.replace(b"-", b"").decode())),
        body=Digest(a2b_base64(body)),
        slot=None if slot is None else a2b_base64(slot),
        card=None if card is None else Digest(a2b_base64(card)),
        charter=None if charter is None else Digest(a2b_base64(charter)),
    )


def check_link(entry: Entry, *, log: Origin, index: int, prev: Digest) -> None:
    """Raise unless `entry` is number `index` of `log` and follows the entry whose leaf hash is `prev`.

    An entry that was copied from another log, or moved within its own, is found here, before any proof is computed.
    Raises: ForeignOrigin, LogGap, LinkBroken.
    """
    if entry.log != log:
        raise ForeignOrigin(expected=str(log), got=str(entry.log))
    if entry.index != index:
        raise LogGap(expected=index, got=entry.index)
    if entry.prev != prev:
        raise LinkBroken(index=index)


def make_slot(kind: SlotKind, *, secret: bytes, contract: bytes, signer: str, term: int = 0, batch: int = 0) -> bytes:
    """The slot of a statement that `signer` ("network/member") may make once.

    A second entry with it is seen by every mirror, also by those who cannot read either statement: nobody can
    tell one party X and another Y. Without the contract's secret it looks like the random bytes of a decoy, and
    nothing links two slots of one contract.
    signer: without an epoch, as a new log does not give a member a second say.
    term, batch: 0 where the kind has none (ack: no term; handover: no batch; close: neither).
    """
    assert len(secret) == 32 and len(contract) == 32, "contract secret and id are 32 bytes"
    head = b"tally/slot/v1\n" + secret + contract + sha256(signer.encode()) + bytes([kind])
    return sha256(head + term.to_bytes(8, "big") + batch.to_bytes(8, "big"))[:SLOT_BYTES]


def _decode_newer(raw: bytes) -> Entry:
    """A header of a later version: known members checked, unknown ones let through, bytes kept by the caller.

    Its place, link, id and slot mean what they mean today, so a mirror that was not updated still finds a fork,
    a gap or a repeated slot in it. What its `body` may be is not known: nothing is read of it.
    """
    value = decode_canonical(raw, bytes_max=limits.ENTRY_BYTES_MAX)
    if not isinstance(value, dict) or type(value.get("v")) is not int or value["v"] <= VERSION:
        raise EncodingError(field="entry", reason="not a record header")
    for name in ("id", "log", "prev"):
        if not isinstance(value.get(name), str):
            raise EncodingError(field=name, reason="not a string")
    if type(value.get("index")) is not int:
        raise EncodingError(field="index", reason="not an integer")
    slot = value.get("slot")
    if slot is not None and not isinstance(slot, str):
        raise EncodingError(field="slot", reason="not a string")
    return Entry(
        log=decode_origin(value["log"]),
        index=value["index"],
        prev=Digest(decode_b64(value["prev"], length=32, field="prev")),
        id=decode_id(value["id"]),
        body=Digest(bytes(32)),
        slot=None if slot is None else decode_b64(slot, length=SLOT_BYTES, field="slot"),
        version=value["v"],
    )
