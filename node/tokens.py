"""API tokens: what a partner's own systems show to be let in.

A token is `tally_<id>_<secret>`. Its secret is 32 random bytes, so the store keeps a plain SHA-256
of the whole text: a slow hash protects what people choose and others can guess, and nobody
guesses 256 bits. Whoever reads the store learns no token.
"""

from __future__ import annotations

import base64
import hmac
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ledger.errors import BadInput, Missing, NotAllowed
from ledger.keys import entropy
from ledger.names import Digest, sha256
from node.clock import Clock
from node.storage import facts
from node.storage.facts import StoredToken
from node.storage.store import Store, Tx

TOKENS_MAX: Final = 1000
"""Tokens of one node, revoked ones included: all are kept in memory."""

_TOKEN: Final = re.compile(r"tally_([0-9a-f]{16})_[A-Za-z0-9_-]{43}\Z")
_ID: Final = re.compile(r"[0-9a-f]{16}\Z")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_HASH_BYTES: Final = 32
_RELOAD_MS: Final = 5_000  # another process may have revoked one
_UNKNOWN_MS: Final = 1_000  # another process may have made one; guesses must not become a load on the store
_NOBODY: Final = Digest(bytes(32))


class Scope(StrEnum):
    """What a token allows. None includes another: what is not named is not allowed."""

    WRITE = "write"
    READ = "read"
    AUDIT = "audit"
    ADMIN = "admin"


class TokenRefused(NotAllowed):
    code = "token-refused"
    template = "no valid token: {reason}"
    hint = "Send `Authorization: Bearer tally_...`; `tally token new` makes one."


class ScopeMissing(NotAllowed):
    code = "scope-missing"
    template = "this needs a token with the scope {needed}; yours has {has}"
    hint = "`tally token new --scope ...` makes one that may."


class TokenMalformed(BadInput):
    code = "token-malformed"
    template = "no token can be made: {reason}"
    hint = "A name is 1 to 64 of letters, digits, '.', '_' and '-'; scopes are write, read, audit and admin."


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token that was checked. `label` is what records filed with it say of who submitted them."""

    id: str
    name: str
    scopes: frozenset[Scope]

    @property
    def label(self) -> str:
        return f"{self.name}#{self.id}"

    def check_scope(self, any_of: Iterable[Scope]) -> None:
        """Raises: ScopeMissing."""
        wanted = tuple(any_of)
        if not self.scopes.intersection(wanted):
            raise ScopeMissing(needed=" or ".join(wanted), has=" ".join(sorted(self.scopes)))


def make_token(tx: Tx, *, name: str, scopes: Iterable[str], now_ms: int) -> str:
    """Draw a token, keep its hash, and return its text: the only time that anyone sees it. Raises: TokenMalformed."""
    known = {scope.value for scope in Scope}
    chosen = sorted(set(scopes))
    if not _NAME.match(name):
        raise TokenMalformed(reason="the name is of another form")  # not repeated: somebody may have sent a token
    if not chosen or not known.issuperset(chosen):
        raise TokenMalformed(reason="the scopes are others")
    if len(facts.list_tokens(tx)) >= TOKENS_MAX:
        raise TokenMalformed(reason=f"there are {TOKENS_MAX} already")
    token_id = entropy(8).hex()
    text = f"tally_{token_id}_{base64.urlsafe_b64encode(entropy(32)).rstrip(b'=').decode()}"
    facts.insert_token(
        tx,
        StoredToken(
            id=token_id,
            name=name,
            hash=sha256(text.encode()),
            scopes=" ".join(chosen),
            created_ms=now_ms,
            revoked_ms=None,
        ),
    )
    return text


def check_kept(token: StoredToken) -> None:
    """Raise unless a token is kept as `make_token` writes it, revoked or not. Raises: TokenMalformed."""
    known = {scope.value for scope in Scope}
    columns: tuple[object, ...] = (token.id, token.name, token.hash, token.scopes, token.created_ms)
    if [type(column) for column in columns] != [str, str, bytes, str, int] or len(token.hash) != _HASH_BYTES:
        raise TokenMalformed(reason="a column is of another form")
    if token.revoked_ms is not None and type(token.revoked_ms) is not int:
        raise TokenMalformed(reason="the time of revoking is none")
    if not _ID.match(token.id) or not _NAME.match(token.name):
        raise TokenMalformed(reason="the id or name is of another form")
    scopes = token.scopes.split(" ")
    if scopes != sorted(set(scopes)) or not known.issuperset(scopes):
        raise TokenMalformed(reason="the scopes are others")


def token_id_of(text: str) -> str:
    """The public part of a token's text. Raises: TokenRefused."""
    found = _TOKEN.match(text)
    if found is None:
        raise TokenRefused(reason="it is not of the form tally_ID_SECRET")
    return found[1]


class TokenBook:
    """The tokens of one node, read from its store and kept in memory."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, tuple[Digest, Token]] = {}  # owned by _lock, like all below
        self._loaded_ms: int | None = None
        self._lock = threading.Lock()

    def verify(self, text: str) -> Token:
        """Return the token that `text` is. Raises: TokenRefused."""
        token_id = token_id_of(text)
        found = self._find(token_id)
        # Compared in constant time, also for an id that is not there.
        kept = found[0] if found is not None else _NOBODY
        if not hmac.compare_digest(sha256(text.encode()), kept) or found is None:
            raise TokenRefused(reason="unknown or revoked")
        return found[1]

    def list_all(self) -> list[StoredToken]:
        with self._store.read() as tx:
            return facts.list_tokens(tx)

    def make(self, name: str, scopes: Iterable[str]) -> str:
        """Raises: TokenMalformed."""
        with self._store.write("token") as tx:
            text = make_token(tx, name=name, scopes=scopes, now_ms=self._clock())
        self._forget()
        return text

    def revoke(self, token_id: str) -> None:
        """Durable, and in force at once. Raises: Missing for a token that is unknown or was revoked before."""
        with self._store.write("token") as tx:
            if not facts.revoke_token(tx, token_id, self._clock()):
                # What is no id is not repeated: it may be a whole token, secret and all.
                missing = Missing(what="valid token", name=token_id if _ID.match(token_id) else "...")
                missing.hint = "`tally token list` shows their ids."
                raise missing
        self._forget()

    def _find(self, token_id: str) -> tuple[Digest, Token] | None:
        with self._lock:
            now = self._clock()
            found = self._known.get(token_id)
            age = None if self._loaded_ms is None else abs(now - self._loaded_ms)
            if age is None or age >= (_UNKNOWN_MS if found is None else _RELOAD_MS):
                self._known = self._load()
                self._loaded_ms = now
                found = self._known.get(token_id)
            return found

    def _load(self) -> dict[str, tuple[Digest, Token]]:
        return {
            kept.id: (
                Digest(kept.hash),
                Token(id=kept.id, name=kept.name, scopes=frozenset(Scope(scope) for scope in kept.scopes.split())),
            )
            for kept in self.list_all()
            if kept.revoked_ms is None
        }

    def _forget(self) -> None:
        with self._lock:
            self._loaded_ms = None
