"""Signed calls (RFC 9421): every request to a peer is signed by the caller's transport key.

The library verifies signatures; what it leaves to its caller is decided here: which
components must be covered, how long a signature lives, that a nonce counts once, that
the call was signed since this process began, and that it was meant for this node and not
for another one that passed it on. A head is verified before its body is read.

Spec: docs/spec/calls.md.
"""

from __future__ import annotations

import datetime
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
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
"""Calls of one member whose nonces are remembered at least: some 500 a second for as long as they must be."""


class CallRefused(NotAllowed):
    code = "call-refused"
    template = "the call is refused: {reason}"
    hint = "Peers sign each call with the transport key of their card (RFC 9421); compare both clocks and cards."


class CallEarly(CallRefused):
    code = "call-early"
    template = "the call was signed at {created}, before this node started, at {started}"
    hint = "It may be a recorded one: sign it anew. If that does not help for a minute, compare both clocks."


@dataclass(frozen=True, slots=True)
class Message:
    """A request as the signature library wants to see it; `url` is absolute."""

    method: str
    url: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class VerifiedHead:
    """A call of `member` as far as its body does not matter; `proofs` are the library's."""

    member: MemberName
    message: Message
    proofs: list[Any]


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
    """Verifies calls to this node. Safe to use from several threads.

    endpoints: under which peers call this node. The life of this object is taken for that of the process: what was
    signed before it is refused, as the nonces of that time are not known.
    """

    def __init__(
        self,
        *,
        endpoints: Callable[[], Collection[str]],
        find_key: Callable[[str, str], VerifyKey],
        clock: Clock,
        skew_s: int,
    ) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._skew_s = skew_s
        self._started_ms = clock()
        self._verifier = _Verifier(
            signature_algorithm=algorithms.ED25519,
            key_resolver=_Keys(None, lambda key_id: find_key(*_split_key_id(key_id))),
        )
        # A call passes `_check_time` from `created` - skew to `expires` + skew.
        remember_s = LIFETIME_S + 2 * skew_s + 1
        # Owned by _lock. By member, so that one that calls too often is refused alone.
        self._nonces: defaultdict[MemberName, _Nonces] = defaultdict(lambda: _Nonces(remember_s))
        self._lock = threading.Lock()

    def verify(self, message: Message, body: bytes = b"") -> MemberName:
        """Return the calling member. Raises: CallRefused."""
        head = self.verify_head(message, has_body=bool(body))
        self.verify_body(head, body)
        return head.member

    def verify_head(self, message: Message, *, has_body: bool) -> VerifiedHead:
        """All but the body, which need not have come yet; the call counts as made. Raises: CallRefused."""
        message = replace(message, url=self._url_called(message.url))
        required = (*_COMPONENTS, "content-digest") if has_body else _COMPONENTS
        try:
            proofs = self._verifier.verify(message, max_age=None, expect_tag=TAG, require_components=required)
        except (InvalidSignature, HTTPMessageSignaturesException) as cause:
            raise CallRefused(reason=_reason(cause)) from cause
        if len(proofs) != 1:
            raise CallRefused(reason="more than one signature")
        parameters = proofs[0].parameters
        self._check_time(parameters)
        self._check_nonce(parameters)
        return VerifiedHead(_split_key_id(str(parameters["keyid"]))[0], message, proofs)

    def verify_body(self, head: VerifiedHead, body: bytes) -> None:
        """Check that `body` is the one that was signed; an empty one too: else one could be taken away."""
        try:
            self._verifier.verify_body(head.message, head.proofs, body)
        except (InvalidSignature, HTTPMessageSignaturesException) as cause:
            raise CallRefused(reason=_reason(cause)) from cause

    def _url_called(self, url: str) -> str:
        """`url` with the scheme of the endpoint it is of: a proxy may have taken TLS off, and port 443 is then none."""
        authority = _authority(url)
        for endpoint in self._endpoints():
            if _authority(endpoint) == authority:
                return endpoint.partition("://")[0] + "://" + url.partition("://")[2]
        # Else a peer could pass a call that was meant for it on to us, in the caller's name.
        raise CallRefused(reason="it was addressed to another host; the card's endpoint must name this node")

    def _check_time(self, parameters: Mapping[str, Any]) -> None:
        created, expires = parameters.get("created"), parameters.get("expires")
        if type(created) is not int or type(expires) is not int:
            raise CallRefused(reason="created and expires are required")
        if not created <= expires <= created + LIFETIME_S:
            raise CallRefused(reason=f"a signature lives {LIFETIME_S} s at most")
        now_ms = self._clock()
        now = now_ms // 1000
        if not created - self._skew_s <= now <= expires + self._skew_s:
            raise CallRefused(reason=f"signed {now - created} s from this node's time; one of the two clocks is wrong")
        # A clock that was set back shuts nobody out until it is there again.
        self._started_ms = min(self._started_ms, now_ms)
        if created * 1000 < self._started_ms:
            raise CallEarly(created=created, started=-(-self._started_ms // 1000))

    def _check_nonce(self, parameters: Mapping[str, Any]) -> None:
        given = parameters.get("nonce")
        if not isinstance(given, str) or len(given) not in _NONCE_LETTERS:
            raise CallRefused(reason="a nonce of 16 to 64 letters is required")
        member, _ = _split_key_id(str(parameters["keyid"]))
        with self._lock:
            self._nonces[member].add(f"{parameters['keyid']} {given}", self._clock() // 1000)


class _Nonces:
    """The nonces of one member's calls, each remembered for `remember_s` at least and twice that at most.

    Two generations, of which the older is dropped whole: a call costs the same however many were made.
    """

    def __init__(self, remember_s: int) -> None:
        self._remember_s = remember_s
        self._since_s = 0
        self._new: set[str] = set()
        self._old: set[str] = set()

    def add(self, nonce: str, now_s: int) -> None:
        """Raises: CallRefused."""
        if abs(now_s - self._since_s) >= self._remember_s:
            self._old, self._new, self._since_s = self._new, set(), now_s
        if nonce in self._new or nonce in self._old:
            raise CallRefused(reason="this very call was made before (replay)")
        if len(self._new) >= CALLS_MAX:
            raise CallRefused(reason="too many calls a minute")
        self._new.add(nonce)


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
