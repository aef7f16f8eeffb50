"""Signed calls (RFC 9421): every request to a peer is signed by the caller's transport key.

The library verifies signatures; what it leaves to its caller is decided here: which
components must be covered, how long a signature lives, that a nonce counts once, and
that the call was meant for this node and not for another one that passed it on.

Spec: docs/spec/calls.md.
"""

from __future__ import annotations

import datetime
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from ledger.errors import NotAllowed, TallyError
from ledger.keys import SigningKey, VerifyKey, entropy
from ledger.names import KeyId, MemberName
from node.clock import Clock

TAG: Final = "tally"
LIFETIME_S: Final = 60
_COMPONENTS: Final = ("@method", "@authority", "@path", "@query")
_NONCE_LETTERS: Final = range(16, 65)
CALLS_MAX: Final = 100_000
"""Calls of one member whose nonces are remembered: some 500 a second for as long as they must be."""


class CallRefused(NotAllowed):
    code = "call-refused"
    template = "the call is refused: {reason}"
    hint = "Peers sign each call with the transport key of their card (RFC 9421); compare both clocks and cards."


@dataclass(frozen=True, slots=True)
class Message:
    """A request as the signature library wants to see it; `url` is absolute."""

    method: str
    url: str
    headers: dict[str, str]


class _Keys(HTTPSignatureKeyResolver):
    def __init__(self, private: Ed25519PrivateKey | None, find: Callable[[str], VerifyKey]) -> None:
        self._private = private
        self._find = find

    def resolve_private_key(self, key_id: str) -> Any:
        return self._private

    def resolve_public_key(self, key_id: str) -> Any:
        return Ed25519PublicKey.from_public_bytes(self._find(key_id).raw)


class _Verifier(HTTPMessageVerifier):
    """The library's verifier without its clock: times are checked by `CallVerifier`."""

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        return


class CallSigner:
    """Signs this member's calls."""

    def __init__(self, member: MemberName, key: SigningKey, clock: Clock) -> None:
        self._clock = clock
        self._key_id = f"{member}/{key.public.id}"
        private = Ed25519PrivateKey.from_private_bytes(key.seed)
        self._signer = HTTPMessageSigner(
            signature_algorithm=algorithms.ED25519, key_resolver=_Keys(private, lambda _: key.public)
        )

    def sign(self, method: str, url: str, body: bytes = b"") -> Mapping[str, str]:
        """The headers that make `method url` with `body` a signed call."""
        message = Message(method, url, {})
        created = datetime.datetime.fromtimestamp(self._clock() // 1000, tz=datetime.UTC)
        self._signer.sign(
            message,
            key_id=self._key_id,
            covered_component_ids=_COMPONENTS,
            created=created,
            expires=created + datetime.timedelta(seconds=LIFETIME_S),
            nonce=entropy(16).hex(),
            tag=TAG,
            body=body or None,
        )
        return message.headers


class CallVerifier:
    """Verifies calls to this node. Safe to use from several threads."""

    def __init__(
        self,
        *,
        authorities: Callable[[], frozenset[str]],
        find_key: Callable[[str, str], VerifyKey],
        clock: Clock,
        skew_s: int,
    ) -> None:
        self._authorities = authorities
        self._clock = clock
        self._skew_s = skew_s
        self._verifier = _Verifier(
            signature_algorithm=algorithms.ED25519,
            key_resolver=_Keys(None, lambda key_id: find_key(*_split_key_id(key_id))),
        )
        # Owned by _lock. By member, so that one that calls too often is refused alone: nonce -> Unix seconds when it
        # may be forgotten.
        self._nonces: defaultdict[MemberName, dict[str, int]] = defaultdict(dict)
        self._lock = threading.Lock()

    def verify(self, message: Message, body: bytes = b"") -> MemberName:
        """Return the calling member. Raises: CallRefused."""
        if _authority(message.url) not in self._authorities():
            # Else a peer could pass a call that was meant for it on to us, in the caller's name.
            raise CallRefused(reason="it was addressed to another host; the card's endpoint must name this node")
        required = (*_COMPONENTS, "content-digest") if body else _COMPONENTS
        try:
            results = self._verifier.verify(
                # An empty body too: else one could be taken away.
                message,
                max_age=None,
                expect_tag=TAG,
                require_components=required,
                body=body,
            )
        except (InvalidSignature, HTTPMessageSignaturesException) as cause:
            raise CallRefused(reason=_reason(cause)) from cause
        if len(results) != 1:
            raise CallRefused(reason="more than one signature")
        parameters = results[0].parameters
        self._check_time(parameters)
        self._check_nonce(parameters)
        return _split_key_id(str(parameters["keyid"]))[0]

    def _check_time(self, parameters: Mapping[str, Any]) -> None:
        created, expires = parameters.get("created"), parameters.get("expires")
        if type(created) is not int or type(expires) is not int:
            raise CallRefused(reason="created and expires are required")
        if not created <= expires <= created + LIFETIME_S:
            raise CallRefused(reason=f"a signature lives {LIFETIME_S} s at most")
        now = self._clock() // 1000
        if not created - self._skew_s <= now <= expires + self._skew_s:
            raise CallRefused(reason=f"signed {now - created} s from this node's time; one of the two clocks is wrong")

    def _check_nonce(self, parameters: Mapping[str, Any]) -> None:
        given = parameters.get("nonce")
        if not isinstance(given, str) or len(given) not in _NONCE_LETTERS:
            raise CallRefused(reason="a nonce of 16 to 64 letters is required")
        member, _ = _split_key_id(str(parameters["keyid"]))
        nonce, now = f"{parameters['keyid']} {given}", self._clock() // 1000
        with self._lock:
            known = self._nonces[member]
            if nonce in known:
                raise CallRefused(reason="this very call was made before (replay)")
            if len(known) >= CALLS_MAX:
                known = self._nonces[member] = {kept: until for kept, until in known.items() if until >= now}
                if len(known) >= CALLS_MAX:
                    raise CallRefused(reason="too many calls a minute")
            # The newest second in which the call could still pass `_check_time`.
            known[nonce] = parameters["expires"] + self._skew_s


def _authority(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        raise CallRefused(reason="it names no host") from None


def _split_key_id(key_id: str) -> tuple[MemberName, KeyId]:
    member, _, key = key_id.partition("/")
    return MemberName(member), KeyId(key)


def _reason(cause: Exception) -> str:
    if isinstance(cause.__cause__, TallyError):
        return str(cause.__cause__)
    return str(cause)
