"""Tokens: what is kept of one, who is let in, and how soon a revoked one is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Missing
from node.storage.store import Store
from node.tokens import (
    TOKENS_MAX,
    Scope,
    ScopeMissing,
    TokenBook,
    TokenMalformed,
    TokenRefused,
    make_token,
    token_id_of,
)

START_MS = 1_763_680_000_000


class Hand:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "ledger.db")
    yield store
    store.close()


def test_a_token_lets_in_with_the_scopes_it_was_made_with(store: Store) -> None:
    book = TokenBook(store, Hand())
    found = book.verify(book.make("erp", ["write", "read"]))
    assert found.name == "erp"
    assert found.scopes == {Scope.WRITE, Scope.READ}
    found.check_scope([Scope.AUDIT, Scope.READ])
    with pytest.raises(ScopeMissing, match="the scope audit or admin; yours has read write"):
        found.check_scope([Scope.AUDIT, Scope.ADMIN])


def test_the_store_keeps_no_token(store: Store, tmp_path: Path) -> None:
    text = TokenBook(store, Hand()).make("erp", ["write"])
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert text[6:22].encode() in held
    assert text[23:].encode() not in held


def test_a_token_is_of_the_documented_form_and_never_the_same(store: Store) -> None:
    book = TokenBook(store, Hand())
    texts = {book.make("erp", ["read"]) for _ in range(20)}
    assert len(texts) == 20
    assert all(re.fullmatch(r"tally_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", text) for text in texts)


def test_a_token_with_one_letter_changed_is_refused(store: Store) -> None:
    book = TokenBook(store, Hand())
    text = book.make("erp", ["read"])
    for place in range(len(text)):
        other = "A" if text[place] != "A" else "B"
        with pytest.raises(TokenRefused):
            book.verify(text[:place] + other + text[place + 1 :])


def test_the_secret_of_another_token_is_refused(store: Store) -> None:
    book = TokenBook(store, Hand())
    first, second = book.make("one", ["read"]), book.make("two", ["read"])
    with pytest.raises(TokenRefused, match="unknown or revoked"):
        book.verify(first[:23] + second[23:])


@given(st.text(max_size=100))
def test_no_other_text_is_a_token(text: str) -> None:
    with pytest.raises(TokenRefused, match="not of the form"):
        token_id_of(text)


def test_a_revoked_token_is_refused_at_once(store: Store) -> None:
    book = TokenBook(store, Hand())
    text = book.make("erp", ["read"])
    book.verify(text)
    book.revoke(token_id_of(text))
    with pytest.raises(TokenRefused):
        book.verify(text)
    with pytest.raises(Missing):
        book.revoke(token_id_of(text))
    assert [token.revoked_ms for token in book.list_all()] == [START_MS]


def test_a_token_that_another_process_revoked_lives_five_seconds_at_most(store: Store) -> None:
    clock = Hand()
    book, elsewhere = TokenBook(store, clock), TokenBook(store, clock)
    text = book.make("erp", ["read"])
    book.verify(text)
    elsewhere.revoke(token_id_of(text))
    clock.now_ms += 4_999
    book.verify(text)
    clock.now_ms += 1
    with pytest.raises(TokenRefused):
        book.verify(text)


def test_a_token_that_another_process_made_is_known_within_a_second(store: Store) -> None:
    clock = Hand()
    book, elsewhere = TokenBook(store, clock), TokenBook(store, clock)
    book.verify(book.make("first", ["read"]))
    text = elsewhere.make("second", ["read"])
    clock.now_ms += 1_000
    assert book.verify(text).name == "second"


def test_guesses_are_looked_up_once_a_second_at_most(store: Store) -> None:
    book, elsewhere = TokenBook(store, Hand()), TokenBook(store, Hand())
    with pytest.raises(TokenRefused):
        book.verify(f"tally_{0:016x}_{'x' * 43}")
    text = elsewhere.make("second", ["read"])  # known only to who looks into the store
    with pytest.raises(TokenRefused):
        book.verify(text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", "a" * 65, "-x", "a b", "ü", "a\n"])
def test_a_name_that_no_log_line_could_show_is_refused(store: Store, name: str) -> None:
    with pytest.raises(TokenMalformed, match="the name"):
        TokenBook(store, Hand()).make(name, ["read"])


def test_the_longest_name_is_taken(store: Store) -> None:
    book = TokenBook(store, Hand())
    assert book.verify(book.make("a" * 64, ["read"])).label.startswith("a" * 64 + "#")


@pytest.mark.parametrize("scopes", [[], ["root"], ["read", "everything"]])
def test_scopes_that_nobody_knows_are_refused(store: Store, scopes: list[str]) -> None:
    with pytest.raises(TokenMalformed, match="the scopes"):
        TokenBook(store, Hand()).make("erp", scopes)


@pytest.mark.slow
def test_the_number_of_tokens_is_bounded(store: Store) -> None:
    with store.write("token") as tx:
        for _ in range(TOKENS_MAX):
            make_token(tx, name="erp", scopes=["read"], now_ms=0)
        with pytest.raises(TokenMalformed, match="1000 already"):
            make_token(tx, name="erp", scopes=["read"], now_ms=0)
