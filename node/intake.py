"""Intake: one record as a partner's system sends it, checked and made a draft.

The envelope is a JSON object: `type`, `body` (a JSON object, kept text for text), and where
wanted `contract` (64 hexadecimal digits), `role` and `links`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from ledger import limits
from ledger.charter import NetworkLimits
from ledger.errors import BadInput
from ledger.jsontext import check_strict, encode_string
from ledger.names import RESERVED, Digest, MemberName, decode_hex
from ledger.record import Draft, Link, check_links, is_type
from node.agreements import Agreements, decode_contract_id, draft_private, draft_under
from node.append import NewRecord
from node.batch import check_body


class EnvelopeBroken(BadInput):
    code = "envelope-broken"
    template = "not a record: {reason}"
    hint = 'A record is {"type": ..., "body": {...}} with optional "contract", "role" and "links".'


class Envelope(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    body: msgspec.Raw
    contract: str | None = None
    role: str | None = None
    links: list[tuple[str, str, int, str]] = []


_decode: Final = msgspec.json.Decoder(Envelope).decode


class Intake:
    """Turns what partners send into drafts of this member. secret: 32 bytes for `digest`. bounds: of the charter."""

    def __init__(
        self, agreements: Agreements, member: MemberName, secret: bytes, bounds: Callable[[], NetworkLimits]
    ) -> None:
        self._agreements = agreements
        self._member = member
        self._secret = secret
        self._bounds = bounds

    def digest(self, text: bytes) -> bytes:
        """What is kept of a text by which it is known again: whoever has the database alone can confirm no guess."""
        return blake2b(text, digest_size=32, key=self._secret).digest()

    def parse(self, text: bytes, *, by: bytes, answer_key: bytes | None = None) -> NewRecord:
        """Check one envelope whole. `by`: JSON text of who submitted. Raises: BadInput, NotAllowed, NotFound."""
        check_strict(text, bytes_max=limits.LINE_BYTES_MAX, depth_max=limits.JSON_DEPTH + 1)
        try:
            envelope = _decode(text)
        except msgspec.ValidationError as cause:
            raise EnvelopeBroken(reason=str(cause)) from None
        except msgspec.DecodeError as cause:
            raise EnvelopeBroken(reason=str(cause)) from None
        contract = None if envelope.contract is None else decode_contract_id(envelope.contract)
        links = [_link(link) for link in envelope.links]
        check_links(links)
        draft = self.draft(
            envelope.type, bytes(envelope.body), by=by, contract=contract, role=envelope.role,
            links=links,
        )  # fmt: skip
        return NewRecord(draft, answer_key, self.digest(text) if answer_key else b"")

    def draft(
        self,
        type_name: str,
        body: bytes,
        *,
        by: bytes,
        contract: bytes | None = None,
        role: str | None = None,
        links: Sequence[Link] = (),
        flags: bytes = b"",
    ) -> Draft:
        """A draft of one record; `body` has passed `check_strict`."""
        if not may_file(type_name):
            raise EnvelopeBroken(reason=f"type {type_name[:80]!r} is malformed or reserved")
        if body[:1] != b"{":
            raise EnvelopeBroken(reason="body must be an object")
        if len(body) > limits.BODY_BYTES_MAX:
            raise EnvelopeBroken(reason=f"body is {len(body)} bytes, the limit is {limits.BODY_BYTES_MAX}")
        check_body(body, self._bounds())
        if contract is None:
            return draft_private(type_name, body, by=by, links=links, flags=flags)
        found = self._agreements.get(contract)
        statement = self._agreements.statement(found, type_name, role, author=self._member)
        return draft_under(found, statement, body, by=by, links=links, flags=flags)


def may_file(type_name: str) -> bool:
    """Whether a partner's record may have this type."""
    return is_type(type_name) and not type_name.startswith(RESERVED)


def submitter(name: str) -> bytes:
    """The `by` of records: JSON text of the token's name."""
    return encode_string(name)


def _link(value: tuple[Any, ...]) -> Link:
    relation, origin, index, leaf = value
    return Link(relation=relation, origin=origin, index=index, leaf=Digest(decode_hex(leaf, length=32, field="links")))
