"""One round of replication: what a mirror keeps, cosigns and refuses, attack by attack."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any, Final, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import limits
from ledger.card import Card
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.entry import decode_entry, encode_entry
from ledger.errors import (
    BadSignature,
    EncodingError,
    ForeignOrigin,
    RootMismatch,
    TallyError,
    TooLarge,
    UnknownKey,
    UnknownMember,
)
from ledger.evidence import EvidenceKind, decode_evidence, verify_evidence
from ledger.jsontext import encode_canonical
from ledger.keys import Algorithm, VerifyKey
from ledger.merkle import leaf_hash, root_of
from ledger.names import Digest, encode_b64, encode_id, sha256
from ledger.network import Network
from ledger.note import Note, Signature, add_signature, decode_note, encode_note
from ledger.replica import (
    Action,
    CommitEntries,
    Cosign,
    GetCards,
    GetCheckpoint,
    GetEntries,
    GetTiles,
    KeepEvidence,
    Result,
    check_entries,
    replicate,
)
from ledger.tiles import Tile, decode_bundle, encode_bundle
from tests.make import FIRST_LEAF, Log, network, record_id
from tests.make_membership import NON_CANONICAL, SMALL_ORDER, firm
from tests.mirror import CrashError, Mirror, Peer
from tests.source import ROOT

FISHERY: Final = firm("fishery")
CHUNK: Final = limits.CATCH_UP_BUNDLES * limits.TILE_WIDTH


@cache
def _grown(size: int) -> Log:
    return Log(FISHERY).add(size)


def honest(size: int) -> Log:
    """A log that the caller may go on writing."""
    return _grown(size).branch(size, "honest")


def mirror(log: Log, size: int = 0) -> Mirror:
    """A mirror that has caught up to `size`."""
    made = Mirror(log.origin, network())
    if size:
        assert made.sync(Peer(log, size)).size == size
    return made


def interrupted(log: Log, *, commits: int = 1, start: int = 0) -> Mirror:
    """A mirror whose process died in a catch-up to the end of `log`, after some commits."""
    made = mirror(log, start)
    made.crash_at = commits
    with pytest.raises(CrashError):
        made.sync(Peer(log))
    made.crash_at = None
    return made


def untouched(made: Mirror, size: int = 0) -> bool:
    """Nothing kept and nobody accused beyond what was held before."""
    return made.size == size and not made.evidence and not made.frozen and not made.targets


# --- an honest author -------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 300])
@pytest.mark.parametrize("held", [0, 1, 255, 256, 300])
def test_a_mirror_catches_up_and_cosigns(held: int, size: int) -> None:
    log = honest(size)
    made = mirror(log, min(held, size - 1))

    outcome = made.sync(Peer(log))

    assert (outcome.result, outcome.size, outcome.peer_size) == (Result.EXTENDED, size, size)
    assert (outcome.added, outcome.cosigned) == (size - min(held, size - 1), True)
    assert made.entries == log.entries
    assert made.checkpoint == made.cosigned[-1] == log.signed()


@pytest.mark.slow
def test_a_mirror_catches_up_over_every_tile_level() -> None:
    log = honest(65536 + 2 * CHUNK + 17)
    made = mirror(log, 3)
    assert made.sync(Peer(log)).size == log.size
    assert made.entries == log.entries
    # Right edge, then one full tile per 256 bundles and the way down to it.
    assert sum(len(action.tiles) for action in made.asked_of(GetTiles)) <= 8


def test_a_few_new_entries_cost_two_requests_and_one_commit() -> None:
    log = honest(300)
    made = mirror(log, 290)
    made.sync(Peer(log))
    assert [type(action) for action in made.asked] == [GetCheckpoint, GetEntries, CommitEntries, Cosign]


def test_a_round_without_news_costs_one_request() -> None:
    log = honest(300)
    made = mirror(log, 300)
    outcome = made.sync(Peer(log))
    assert (outcome.result, outcome.added, outcome.cosigned) == (Result.CURRENT, 0, False)
    assert [type(action) for action in made.asked] == [GetCheckpoint]


def test_an_empty_log_is_current() -> None:
    made = mirror(Log(FISHERY))
    assert made.sync(Peer(Log(FISHERY))).result is Result.CURRENT
    assert untouched(made)


def test_a_peer_without_the_log_is_no_error() -> None:
    class Nobody(Peer):
        def answer(self, action: Any) -> Any:
            return None

    made = mirror(honest(5), 5)
    assert made.sync(Nobody(honest(5))).result is Result.ABSENT
    assert made.sync(Nobody(honest(5), is_author=True)).author_behind


def test_another_mirror_brings_one_up_to_date() -> None:
    log = honest(700)
    assert mirror(log).sync(Peer(log, is_author=False)).size == 700


def test_short_answers_are_asked_on_from() -> None:
    log = honest(1000)
    made = mirror(log)
    made.sync(Peer(log, answers_max=1))
    assert made.entries == log.entries
    assert made.checkpoint == log.signed()


def test_signatures_of_others_are_not_kept() -> None:
    log = honest(3)
    note = add_signature(decode_note(log.note()), firm("carrier").transport_key())
    made = mirror(log)
    made.sync(Peer(log, note=encode_note(note)))
    assert made.checkpoint == log.signed()


@pytest.mark.parametrize("held", [0, 7])
def test_who_may_not_cosign_does_not(held: int) -> None:
    made = mirror(honest(9))
    outcome = made.sync(Peer(honest(9)), may_cosign=False)
    assert (outcome.size, outcome.cosigned, made.cosigned) == (9, False, [])


def test_a_cosignature_that_a_crash_prevented_is_made_up_for() -> None:
    log = honest(9)
    made = mirror(log)
    made.sync(Peer(log), may_cosign=False)
    outcome = made.sync(Peer(log))
    assert (outcome.result, outcome.cosigned) == (Result.CURRENT, True)
    assert made.cosigned == [log.signed()]


# --- interrupted ------------------------------------------------------------------


def test_an_interrupted_catch_up_keeps_what_was_committed_and_cosigns_nothing() -> None:
    log = honest(3 * CHUNK + 5)
    made = interrupted(log, commits=2, start=10)
    assert made.size == 2 * CHUNK
    assert made.entries == log.entries[: 2 * CHUNK]
    assert made.checkpoint == log.signed(10) == made.cosigned[-1]
    assert made.targets == [log.signed()]


def test_an_interrupted_catch_up_goes_on_where_it_stopped() -> None:
    log = honest(3 * CHUNK + 5)
    made = interrupted(log, commits=2)
    outcome = made.sync(Peer(log))
    assert (outcome.added, outcome.size, outcome.cosigned) == (CHUNK + 5, log.size, True)
    assert made.asked_of(GetEntries)[0].bundles[0].n == 2 * CHUNK // 256
    assert made.entries == log.entries


def test_a_catch_up_resumes_towards_a_larger_checkpoint() -> None:
    log = honest(2 * CHUNK)
    made = interrupted(log)
    assert made.sync(Peer(log.add(50))).size == log.size
    assert made.entries == log.entries


def test_a_checkpoint_below_one_already_seen_is_not_cosigned() -> None:
    log = honest(2 * CHUNK)
    made = interrupted(log)
    outcome = made.sync(Peer(log, CHUNK + 7))
    assert (outcome.size, outcome.cosigned) == (CHUNK + 7, False)
    assert made.sync(Peer(log)).cosigned


def test_a_checkpoint_that_ends_where_a_crash_left_the_entries_completes_them() -> None:
    log = honest(2 * CHUNK)
    made = interrupted(log)
    outcome = made.sync(Peer(log, CHUNK))
    assert outcome.result is Result.CURRENT
    assert made.checkpoint == log.signed(CHUNK)
    assert not outcome.cosigned


@pytest.mark.slow
@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_course_of_rounds_ends_with_the_authors_log(seed: int) -> None:
    rnd = random.Random(seed)
    log = honest(2 * CHUNK + 600)
    made = mirror(log)
    for _ in range(rnd.randrange(1, 6)):
        made.crash_at = rnd.choice([None, 0, 1])
        with suppress(CrashError):
            made.sync(Peer(log, rnd.randrange(log.size + 1), answers_max=rnd.choice([1, 3, 99])))
    made.crash_at = None
    made.sync(Peer(log))
    assert made.entries == log.entries
    assert made.checkpoint == log.signed()
    assert not made.evidence


# --- wrong root, lying mirrors, broken answers ---------------------------------------


@pytest.mark.parametrize("size", [10, 300, 2 * CHUNK])
def test_wrong_root_is_refused_and_nothing_kept(size: int) -> None:
    log = honest(size)
    made = mirror(log, 5)
    with pytest.raises(RootMismatch):
        made.sync(Peer(log, note=log.note(root=sha256(b"another tree"))))
    assert untouched(made, 5)


def test_wrong_root_of_an_empty_log_is_refused() -> None:
    log = Log(FISHERY)
    made = mirror(log)
    with pytest.raises(RootMismatch):
        made.sync(Peer(log, note=log.note(root=sha256(b"another tree"))))
    assert untouched(made)


def change_entry(index: int) -> Any:
    """A lie about one entry: another id, so that the header stays well formed."""

    def alter(tile: Tile, raw: bytes) -> bytes:
        if tile.level != "entries" or not tile.n * 256 <= index < tile.n * 256 + tile.width:
            return raw
        entries = decode_bundle(raw, tile.width)
        at = index - tile.n * 256
        entries[at] = entries[at].replace(entries[at][61:69], b"00000000")
        return encode_bundle(entries)

    return alter


@pytest.mark.slow
@pytest.mark.parametrize("size", [12, 300, 2 * CHUNK + 9])
@pytest.mark.parametrize("last", [True, False])
def test_mirror_that_changes_entries_is_refused_and_the_author_not_blamed(size: int, last: bool) -> None:
    log = honest(size)
    made = mirror(log, 5)
    with pytest.raises(RootMismatch):
        made.sync(Peer(log, alter=change_entry(size - 1 if last else 7)))
    assert not made.evidence
    assert not made.frozen
    assert made.sync(Peer(log)).size == size
    assert made.entries == log.entries


@pytest.mark.slow
def test_what_came_before_a_changed_bundle_stays() -> None:
    log = honest(3 * CHUNK)
    made = mirror(log)
    with pytest.raises(RootMismatch):
        made.sync(Peer(log, alter=change_entry(2 * CHUNK + 3)))
    assert made.size == 2 * CHUNK
    assert made.entries == log.entries[: 2 * CHUNK]


@pytest.mark.parametrize("level", [0, 1])
def test_mirror_that_changes_hash_tiles_is_refused(level: int) -> None:
    log = honest(2 * CHUNK + 9)

    def alter(tile: Tile, raw: bytes) -> bytes:
        return raw[:-1] + bytes([raw[-1] ^ 1]) if tile.level == level else raw

    made = mirror(log, 5)
    with pytest.raises(RootMismatch):
        made.sync(Peer(log, alter=alter))
    assert untouched(made, 5)


def test_full_hash_tiles_are_checked_as_well() -> None:
    log = honest(2 * CHUNK + 9)

    def alter(tile: Tile, raw: bytes) -> bytes:
        return bytes(32) + raw[32:] if tile.level == 0 and tile.width == 256 else raw

    made = mirror(log, 5)
    with pytest.raises(RootMismatch):
        made.sync(Peer(log, alter=alter))
    assert untouched(made, 5)


def test_entries_already_held_may_come_changed_and_do_no_harm() -> None:
    log = honest(20)
    made = mirror(log, 10)
    made.sync(Peer(log, alter=change_entry(3)))
    assert made.entries == log.entries


def drop_one(entries: list[bytes]) -> list[bytes]:
    return entries[:-1]


def repeat_one(entries: list[bytes]) -> list[bytes]:
    return [*entries[:-1], entries[0]]


def swap_two(entries: list[bytes]) -> list[bytes]:
    return [entries[1], entries[0], *entries[2:]]


def insert_one(entries: list[bytes]) -> list[bytes]:
    return [entries[0], *entries][:256]


@pytest.mark.slow
@pytest.mark.parametrize("size", [40, 256, 2 * CHUNK])
@pytest.mark.parametrize("lie", [drop_one, repeat_one, swap_two, insert_one])
def test_truncated_duplicated_and_reordered_bundles_are_refused(lie: Any, size: int) -> None:
    log = honest(size)

    def alter(tile: Tile, raw: bytes) -> bytes:
        return encode_bundle(lie(decode_bundle(raw, tile.width))) if tile.level == "entries" else raw

    made = mirror(log)
    with pytest.raises((EncodingError, RootMismatch)):
        made.sync(Peer(log, alter=alter))
    assert untouched(made)


@pytest.mark.parametrize("cut", [0, 1, 2, -1])
def test_bundle_of_wrong_length_is_refused(cut: int) -> None:
    log = honest(10)

    def alter(tile: Tile, raw: bytes) -> bytes:
        return raw[:cut] if cut >= 0 else raw + b"\0"

    made = mirror(log)
    with pytest.raises(EncodingError):
        made.sync(Peer(log, alter=alter))
    assert untouched(made)


@pytest.mark.parametrize("raw", [b"", b"nonsense", b"a\n1\nAAAA\n", "a\n\n\u2014 x y\n".encode()])
def test_malformed_checkpoint_is_refused(raw: bytes) -> None:
    made = mirror(honest(1))
    with pytest.raises(TallyError):
        made.sync(Peer(honest(1), note=raw or b"\n"))
    assert untouched(made)


# --- oversized and endless ------------------------------------------------------------


def test_oversized_checkpoint_is_refused_at_the_limit() -> None:
    log = honest(3)
    for length, taken in ((limits.CHECKPOINT_BYTES_MAX, True), (limits.CHECKPOINT_BYTES_MAX + 1, False)):
        made, note = mirror(log), _padded(log.note(), length)
        if taken:
            assert made.sync(Peer(log, note=note)).size == 3
            continue
        with pytest.raises(TooLarge):
            _step(made, note)


def _padded(note: bytes, length: int) -> bytes:
    """The note with lines of unknown keys, exactly `length` bytes long."""
    opened, count = decode_note(note), 0
    while length - len(encode_note(opened)) > 400:
        opened = Note(opened.text, (*opened.signatures, Signature(f"x{count}", bytes(4), bytes(200))))
        count += 1
    short = length - len(encode_note(Note(opened.text, (*opened.signatures, Signature("y", bytes(4), bytes(200))))))
    padded = encode_note(Note(opened.text, (*opened.signatures, Signature("y" * (1 + short), bytes(4), bytes(200)))))
    assert len(padded) == length
    return padded


def _step(made: Mirror, note: bytes) -> None:
    """Hand the machine a checkpoint that a driver should have cut off."""
    steps = replicate(made.head, made.network, peer_is_author=False)
    next(steps)
    steps.send(note)


def test_oversized_bundle_is_refused() -> None:
    log = honest(3)
    made = mirror(log)
    with pytest.raises(TooLarge):
        made.sync(Peer(log, alter=lambda tile, raw: bytes(limits.BUNDLE_BYTES_MAX + 1)))
    assert untouched(made)


def test_log_that_signs_for_an_endless_size_is_asked_for_one_commit_at_a_time() -> None:
    log = honest(CHUNK)
    checkpoint = Checkpoint(origin=log.origin, size=limits.INTEGER_MAX, root=sha256(b"endless"))
    endless = sign_checkpoint(checkpoint, FISHERY.log_key())

    class Endless(Peer):
        def answer(self, action: Any) -> Any:
            return (
                [bytes(32 * t.width) for t in action.tiles] if isinstance(action, GetTiles) else super().answer(action)
            )

    made = mirror(log)
    with pytest.raises(RootMismatch):
        made.sync(Endless(log, note=endless))
    assert max(len(action.bundles) for action in made.asked_of(GetEntries)) == limits.CATCH_UP_BUNDLES
    assert [len(action.tiles) for action in made.asked_of(GetTiles)] == [limits.TILE_LEVEL_MAX + 1]
    assert untouched(made)


def test_every_request_says_how_long_its_answer_may_be() -> None:
    assert GetCheckpoint.bytes_max == limits.CHECKPOINT_BYTES_MAX
    assert GetEntries.bytes_max == limits.BUNDLE_BYTES_MAX
    assert GetTiles.bytes_max == 32 * limits.TILE_WIDTH


# --- rollback and fork -----------------------------------------------------------------


def test_mirror_that_lags_is_no_liar() -> None:
    log = honest(300)
    made = mirror(log, 300)
    outcome = made.sync(Peer(log, 257))
    assert (outcome.result, outcome.author_behind, outcome.size) == (Result.STALE, False, 300)
    assert untouched(made, 300)


def test_rollback_of_the_author_is_observed_and_nothing_undone() -> None:
    log = honest(300)
    made = mirror(log, 300)
    outcome = made.sync(Peer(log, 257, is_author=True))
    assert (outcome.result, outcome.author_behind, outcome.size) == (Result.STALE, True, 300)
    assert untouched(made, 300)
    assert made.sync(Peer(log, 0, is_author=True)).author_behind


SIZES: Final = [(10, 4), (10, 10), (10, 11), (300, 299), (300, 300), (300, 600), (300, 2), (CHUNK, 2 * CHUNK + 9)]


@pytest.mark.slow
@pytest.mark.parametrize(("held", "other"), SIZES)
@pytest.mark.parametrize("common", [0, 1, 3, 258])
def test_fork_is_proven_kept_and_freezes_the_log(held: int, other: int, common: int) -> None:
    if common >= min(held, other):
        common = min(held, other) - 1
    log = honest(held)
    fork = log.branch(common).add(other - common)
    made = mirror(log, held)

    outcome = made.sync(Peer(fork, is_author=True))

    assert (outcome.result, outcome.common_size, outcome.cosigned) == (Result.FORKED, common, False)
    assert (made.size, made.frozen, made.common_size) == (held, "fork", common)
    (raw,) = made.evidence
    finding = verify_evidence(decode_evidence(raw), network())
    assert (finding.kind, finding.log, finding.size) == (EvidenceKind.FORK, log.origin, min(held, other))
    assert finding.members == ("fishery",)
    assert made.cosigned == [log.signed(held)]


def test_frozen_log_is_left_alone() -> None:
    log = honest(10)
    made = mirror(log, 10)
    made.sync(Peer(log.branch(4).add(6)))
    assert made.sync(Peer(log.add(5))).result is Result.FROZEN
    assert made.asked == []
    assert made.size == 10


@pytest.mark.parametrize("other", [9, 10])
def test_fork_is_proven_even_if_the_peer_shows_no_tiles(other: int) -> None:
    log = honest(10)
    made = mirror(log, 10)
    outcome = made.sync(Peer(log.branch(4).add(other - 4), alter=lambda tile, raw: bytes(len(raw))))
    assert (outcome.result, outcome.common_size) == (Result.FORKED, None)
    assert (made.frozen, made.common_size) == ("fork", None)


def test_fork_hidden_behind_false_tiles_is_the_peers_fault_until_proven() -> None:
    log = honest(10)
    fork = log.branch(4).add(20)
    made = mirror(log, 10)
    with pytest.raises(RootMismatch):
        made.sync(Peer(fork, alter=lambda tile, raw: raw if tile.level == "entries" else bytes(len(raw))))
    assert untouched(made, 10)
    assert made.sync(Peer(fork)).result is Result.FORKED


def test_lying_mirror_cannot_make_a_fork_of_an_honest_log() -> None:
    log = honest(700)
    other = log.branch(400).add(300)  # The mirror signs nothing, so it has the author's checkpoint for it.
    made = mirror(log, 500)
    with pytest.raises(RootMismatch):
        made.sync(Peer(other, note=log.note()))
    assert untouched(made, 500)


@pytest.mark.slow
@pytest.mark.parametrize("other", [2 * CHUNK, 2 * CHUNK + 3, 3 * CHUNK])
@pytest.mark.parametrize("common", [2, CHUNK - 1, CHUNK + 1])
def test_fork_during_an_interrupted_catch_up_is_proven_by_its_target(common: int, other: int) -> None:
    log = honest(2 * CHUNK)
    made = interrupted(log)
    fork = log.branch(common).add(other - common)

    outcome = made.sync(Peer(fork))

    assert outcome.result is Result.FORKED
    assert outcome.common_size == min(common, CHUNK)
    assert made.size == CHUNK
    assert verify_evidence(decode_evidence(made.evidence[0]), network()).size == 2 * CHUNK


def test_fork_that_parts_between_the_entries_held_and_the_target_is_proven() -> None:
    log = honest(CHUNK + 100)
    made = interrupted(log)
    fork = log.branch(CHUNK + 50).add(100)
    outcome = made.sync(Peer(fork))
    assert (outcome.result, outcome.common_size, made.size) == (Result.FORKED, CHUNK, CHUNK)
    assert verify_evidence(decode_evidence(made.evidence[0]), network()).size == CHUNK + 100


@pytest.mark.slow
@pytest.mark.parametrize("start", [0, 10])
@pytest.mark.parametrize("other", [CHUNK - 1, CHUNK, CHUNK + 1])
def test_fork_that_cannot_be_proven_yet_stops_the_round_and_is_proven_later(other: int, start: int) -> None:
    log = honest(2 * CHUNK)
    made = interrupted(log, start=start)
    fork = log.branch(CHUNK - 5).add(other - CHUNK + 5)

    assert made.sync(Peer(fork)).result is Result.DISPUTED
    assert (made.size, made.evidence, made.frozen) == (CHUNK, [], None)

    assert made.sync(Peer(log)).size == log.size
    assert made.sync(Peer(fork)).result is Result.FORKED


@pytest.mark.parametrize("other", [9, 10, 30, 2 * CHUNK])
def test_own_copy_that_is_damaged_convicts_nobody(other: int) -> None:
    log = honest(2 * CHUNK)
    made = mirror(log, 10)
    made.leaves[3] = sha256(b"a bad disk")
    made.check = lambda: None  # type: ignore[method-assign]  # the copy is damaged on purpose
    outcome = made.sync(Peer(log, other))
    assert outcome.result is Result.DAMAGED
    assert untouched(made, 10)


# --- keys ------------------------------------------------------------------------------


def with_cards(*cards: Card) -> Network:
    """The network with these cards of the fishery's, verified elsewhere."""
    return replace(network(), cards={**network().cards, FISHERY.name: cards})


def rotated(size: int) -> tuple[Network, Log]:
    """The fishery's second card names another log key from `size` on; and its log, signed by that."""
    first = FISHERY.card()
    log = honest(20)
    log.key = FISHERY.log_key(2)
    return with_cards(first, FISHERY.card(log=2, log_from=size, previous=first)), log


def test_unknown_key_is_looked_for_in_newer_cards_once() -> None:
    newer, log = rotated(10)
    made = mirror(log)
    outcome = made.sync(Peer(log, network=newer))
    assert outcome.size == 20
    assert made.asked_of(GetCards) == [GetCards(FISHERY.name, 1)]


def test_unknown_key_is_refused() -> None:
    log = honest(20)
    log.key = FISHERY.log_key(3)
    made = mirror(log)
    with pytest.raises(UnknownKey):
        made.sync(Peer(log, network=network()))
    assert len(made.asked_of(GetCards)) == 1
    assert untouched(made)


@pytest.mark.parametrize(("size", "refused"), [(9, False), (10, True), (20, True)])
def test_outdated_key_is_refused(size: int, refused: bool) -> None:
    log = honest(20)  # signed by the first key
    made = Mirror(log.origin, rotated(10)[0])
    if not refused:
        assert made.sync(Peer(log, size)).size == size
        return
    with pytest.raises(UnknownKey):
        made.sync(Peer(log, size))
    assert made.asked_of(GetCards) == []
    assert untouched(made)


def test_key_that_does_not_count_yet_is_refused() -> None:
    newer, log = rotated(10)
    made = Mirror(log.origin, newer)
    with pytest.raises(UnknownKey):
        made.sync(Peer(log, 9))
    assert untouched(made)
    assert made.sync(Peer(log, 10)).size == 10


def test_fork_whose_first_half_lost_its_key_stops_the_round_and_convicts_nobody() -> None:
    # The author let its new key count from a size that it had signed for already.
    newer, other = rotated(5)
    made = mirror(honest(20), 10)
    fork = other.branch(3).add(9)
    assert made.sync(Peer(fork, network=newer)).result is Result.DISPUTED
    assert untouched(made, 10)


def test_member_that_nobody_knows_is_refused() -> None:
    log = Log(firm("stranger")).add(3)
    made = Mirror(log.origin, network())
    with pytest.raises(UnknownMember):
        made.sync(Peer(log, network=network()))
    assert untouched(made)


def test_key_of_another_member_is_refused() -> None:
    log = honest(3)
    note = decode_note(log.note())
    carrier = firm("carrier").log_key()
    other = Note(note.text, (Signature(carrier.public.name, carrier.public.hash, carrier.sign(note.text.encode())),))
    made = mirror(log)
    with pytest.raises(UnknownKey):
        made.sync(Peer(log, note=encode_note(other), network=network()))
    assert untouched(made)


@pytest.mark.parametrize("point", [*SMALL_ORDER, NON_CANONICAL])
def test_small_order_key_signs_nothing(point: str) -> None:
    # Such a key is void in a card already. Were it believed, this signature would hold for most texts.
    weak = VerifyKey(str(FISHERY.card().origin), Algorithm.ED25519, bytes.fromhex(point))
    log = honest(3)
    text = decode_note(log.note()).text
    forged = Note(text, (Signature(weak.name, weak.hash, bytes.fromhex(SMALL_ORDER[0]) + bytes(32)),))
    made = Mirror(log.origin, with_cards(replace(FISHERY.card(), log_key=weak)))
    with pytest.raises(BadSignature):
        made.sync(Peer(log, note=encode_note(forged)))
    assert untouched(made)


def test_changed_signature_is_refused() -> None:
    log = honest(3)
    note = decode_note(log.note())
    changed = replace(note.signatures[0], blob=bytes(64))
    made = mirror(log)
    with pytest.raises(BadSignature):
        made.sync(Peer(log, note=encode_note(Note(note.text, (changed,)))))
    assert untouched(made)


@pytest.mark.parametrize(
    "other", [Log(firm("carrier")), Log(FISHERY, epoch=2), Log(firm("fishery", network="x.example"))]
)
def test_foreign_origin_is_refused(other: Log) -> None:
    made = mirror(honest(3))
    with pytest.raises(ForeignOrigin):
        made.sync(Peer(other.branch(0).add(3)))
    assert untouched(made)


# --- entries that are not what they should be ------------------------------------------


def newer_entry(author: Log, **members: Any) -> bytes:
    """A header of version 2, with a member that this version does not know."""
    plain = author.next_entry()
    header: dict[str, Any] = {
        "body": "elsewhere",
        "extra": [1],
        "id": encode_id(plain.id),
        "index": plain.index,
        "log": str(plain.log),
        "prev": encode_b64(plain.prev),
        "v": 2,
    }
    return encode_canonical({**header, **members})


BROKEN: Final = {
    "no JSON": lambda log: b"nonsense",
    "empty": lambda log: b"",
    "largest": lambda log: b"x" * 0xFFFF,
    "too large": lambda log: encode_entry(log.next_entry()).replace(b'"v":1', b'"v":1' + b" " * 1024),
    "trailing space": lambda log: encode_entry(log.next_entry()) + b" ",
    "upper-case id": lambda log: encode_entry(log.next_entry()).replace(b"-7", b"-A"),
    "broken link": lambda log: encode_entry(log.next_entry(prev=sha256(b"elsewhere"))),
    "index too small": lambda log: encode_entry(log.next_entry(index=log.size - 1)),
    "index too large": lambda log: encode_entry(log.next_entry(index=log.size + 1)),
    "foreign log": lambda log: encode_entry(log.next_entry(log=Log(firm("carrier")).origin)),
    "later epoch": lambda log: encode_entry(log.next_entry(log=Log(FISHERY, epoch=2).origin)),
    "newer with broken link": lambda log: newer_entry(log, prev=encode_b64(bytes(32))),
    "newer of another log": lambda log: newer_entry(log, log="x.example/fishery"),
    "newer with a bad slot": lambda log: newer_entry(log, slot="AAAA"),
    "copy of an earlier entry": lambda log: log.entries[1],
}


@pytest.mark.parametrize("kind", BROKEN)
def test_malformed_entry_under_a_valid_root_is_kept_and_marked_invalid(kind: str) -> None:
    log = honest(5)
    log.add_raw(BROKEN[kind](log)).add(3)
    made = mirror(log, 3)

    outcome = made.sync(Peer(log))

    assert (outcome.result, outcome.invalid, outcome.newer, outcome.cosigned) == (Result.EXTENDED, 1, 0, True)
    assert made.marks == {5: "invalid"}
    assert made.entries == log.entries  # also the one after it, which links to its leaf


def test_entry_that_announces_nothing_or_what_nobody_holds_is_one_like_any_other() -> None:
    unheld = {"card": sha256(b"no card"), "charter": sha256(b"no charter")}
    log = Log(FISHERY).add_entry(card=None, charter=None).add_entry(**unheld).add_entry().add_entry(**unheld)
    first, second = (decode_entry(raw) for raw in log.entries[:2])
    assert (first.card, first.charter, second.card, second.charter) == (None, None, *unheld.values())
    made = mirror(log)
    outcome = made.sync(Peer(log))
    assert (outcome.result, outcome.invalid, outcome.newer, outcome.cosigned) == (Result.EXTENDED, 0, 0, True)
    assert (made.entries, made.evidence) == (log.entries, [])


def test_invalid_entry_has_neither_id_nor_slot() -> None:
    log = honest(3)
    log.add_entry(prev=sha256(b"elsewhere"), id=record_id("once"), slot=bytes(16)).add_entry(
        id=record_id("once"), slot=bytes(16)
    )
    made = mirror(log)
    assert made.sync(Peer(log)).cosigned
    assert made.evidence == []


def test_newer_entry_is_kept_as_such() -> None:
    log = honest(5)
    log.add_raw(newer_entry(log)).add(3)
    made = mirror(log)
    outcome = made.sync(Peer(log))
    assert (outcome.invalid, outcome.newer, outcome.cosigned) == (0, 1, True)
    assert made.marks == {5: "newer"}


# --- repeats ---------------------------------------------------------------------------


def with_repeat(kind: str, *, at: int = 5) -> Log:
    """Entry `at` has the id, or slot, of entry 2."""
    name: dict[str, Any] = {"id": record_id("once")} if kind == "id" else {"slot": bytes(range(16))}
    return Log(FISHERY).add(2).add_entry(**name).add(at - 3).add_entry(**name)


@pytest.mark.parametrize("kind", ["id", "slot"])
@pytest.mark.parametrize("held", [0, 3, 5])
def test_repeated_slot_or_id_is_evidence_and_never_cosigned(kind: str, held: int) -> None:
    log = with_repeat(kind)
    made = mirror(log, held)

    outcome = made.sync(Peer(log))

    assert (outcome.result, outcome.size, outcome.cosigned) == (Result.EXTENDED, 6, False)
    assert made.entries == log.entries
    (raw,) = made.evidence
    finding = verify_evidence(decode_evidence(raw), network())
    assert (finding.kind, finding.log, finding.size) == (EvidenceKind.REPEAT, log.origin, 6)
    assert not made.sync(Peer(log.add(4))).cosigned
    assert made.size == 10
    assert len(made.evidence) == 1


def test_checkpoint_below_a_repeat_may_be_cosigned() -> None:
    log = with_repeat("id")
    made = mirror(log)
    assert made.sync(Peer(log, 5)).cosigned


@pytest.mark.parametrize("kind", ["id", "slot"])
def test_repeat_by_a_newer_entry_counts(kind: str) -> None:
    log = Log(FISHERY).add(2).add_entry(id=record_id("once"), slot=bytes(range(16))).add(1)
    members = {"id": encode_id(record_id("once"))} if kind == "id" else {"slot": encode_b64(bytes(range(16)))}
    log.add_raw(newer_entry(log, **members))
    made = mirror(log)
    assert not made.sync(Peer(log)).cosigned
    assert verify_evidence(decode_evidence(made.evidence[0]), network()).size == 5


def test_repeat_whose_proof_a_crash_prevented_is_proven_in_the_next_round() -> None:
    log = with_repeat("slot")
    made = mirror(log, 3)

    class Crashing(Mirror):
        def _keep(self, action: KeepEvidence) -> None:
            raise CrashError

    crashing = Crashing(**vars(made))
    with pytest.raises(CrashError):
        crashing.sync(Peer(log))
    made = Mirror(**vars(crashing))
    assert (made.size, made.no_cosign_from, made.evidence) == (6, 6, [])

    outcome = made.sync(Peer(log))

    assert (outcome.result, outcome.cosigned) == (Result.CURRENT, False)
    assert len(made.evidence) == 1


def test_of_several_repeats_the_first_is_proven() -> None:
    log = with_repeat("id").add_entry(id=record_id("once")).add_entry(id=record_id("once"))
    made = mirror(log)
    made.sync(Peer(log))
    assert [verify_evidence(decode_evidence(raw), network()).size for raw in made.evidence] == [6]


@pytest.mark.slow
def test_repeat_found_on_the_way_of_a_catch_up_is_proven_at_its_end() -> None:
    log = with_repeat("slot").add(2 * CHUNK)
    made = mirror(log)
    outcome = made.sync(Peer(log))
    assert (outcome.size, outcome.cosigned, len(made.evidence)) == (log.size, False, 1)


# --- the batch check -------------------------------------------------------------------


def test_batch_has_what_a_store_needs_of_plain_and_unusual_entries() -> None:
    log = honest(2)
    log.add_entry(slot=bytes(range(16))).add_raw(b"nonsense").add(1)
    batch = check_entries(log.entries, origin=log.origin, start=0, prev=FIRST_LEAF)
    assert batch.leaves == log.leaves
    assert [record_id is None for record_id in batch.ids] == [False, False, False, True, False]
    assert batch.slots == [(bytes(range(16)), 2)]
    assert sorted(batch.unusual) == [2, 3]
    assert (batch.start, batch.end) == (0, 5)


@given(position=st.integers(0, 400), byte=st.integers(0, 255), cut=st.integers(-3, 3))
def test_batch_takes_no_plain_entry_that_the_exact_reader_would_not(position: int, byte: int, cut: int) -> None:
    log = honest(3)
    raw = bytearray(log.entries[1])
    raw[position % len(raw)] = byte
    changed = bytes(raw[: len(raw) + cut]) if cut < 0 else bytes(raw) + b" " * cut
    batch = check_entries([changed], origin=log.origin, start=1, prev=log.leaves[0])
    if 1 not in batch.unusual:
        plain = log.branch(1).next_entry(id=batch.ids[0], body=batch.bodies[0])
        assert encode_entry(plain) == changed


@given(at=st.integers(0, 98), byte=st.sampled_from(b'-=7"9aZ \x00/'))
def test_batch_says_of_each_entry_what_it_would_say_of_it_alone(at: int, byte: int) -> None:
    """Entries are looked at together: one of them may hide nothing of another, nor take it along."""
    log = honest(2)
    odd = bytearray(encode_entry(log.next_entry()))
    odd[at] = byte
    log.add_raw(bytes(odd)).add(2)
    together = check_entries(log.entries, origin=log.origin, start=0, prev=FIRST_LEAF)
    for index, entry in enumerate(log.entries):
        prev = log.leaves[index - 1] if index else FIRST_LEAF
        alone = check_entries([entry], origin=log.origin, start=index, prev=prev)
        assert [together.ids[index]] == alone.ids
        assert [together.bodies[index]] == alone.bodies
        assert together.unusual.get(index) == alone.unusual.get(index)


def test_batches_of_any_cut_say_the_same() -> None:
    log = honest(300)
    whole = check_entries(log.entries, origin=log.origin, start=0, prev=FIRST_LEAF)
    for cut in (1, 7, 299):
        prev: Digest = log.leaves[cut - 1]
        rest = check_entries(log.entries[cut:], origin=log.origin, start=cut, prev=prev)
        assert (rest.leaves, rest.ids, rest.bodies) == (whole.leaves[cut:], whole.ids[cut:], whole.bodies[cut:])
    assert root_of(whole.leaves) == log.root()
    assert leaf_hash(log.entries[0]) == whole.leaves[0]


# --- the page of the protocol ----------------------------------------------------------


PAGE: Final = (ROOT / "docs" / "spec" / "replica.md").read_text()


@pytest.mark.slow
def test_examples_of_the_page_are_what_a_round_asks() -> None:
    small, large = honest(300), honest(73_745)
    made = mirror(small, 290)
    made.sync(Peer(small))
    assert f"GetEntries({made.asked_of(GetEntries)[0].bundles[0].path})" in PAGE
    made = mirror(large, 3)
    made.sync(Peer(large))
    edge, *others = made.asked_of(GetTiles)
    assert f"GetTiles({', '.join(tile.path for tile in edge.tiles)})" in PAGE
    assert ", ".join(f"GetTiles({action.tiles[0].path})" for action in others[:2]) in PAGE
    first, last = made.asked_of(CommitEntries)[0].batch, made.asked_of(CommitEntries)[-1].batch
    for batch in (first, last):
        assert f"CommitEntries({batch.start}..{batch.end - 1})" in PAGE


def test_page_tells_every_action_and_result() -> None:
    assert all(f"`{action.__name__}`" in PAGE for action in get_args(Action))
    assert all(f"`{result}`" in PAGE for result in Result)


def test_limits_of_the_page_are_those_of_the_code() -> None:
    section = PAGE.split("## Limits", 1)[1].split("\n## ", 1)[0]
    bounds = (
        limits.CHECKPOINT_BYTES_MAX,
        limits.BUNDLE_BYTES_MAX,
        GetTiles.bytes_max,
        limits.CATCH_UP_BUNDLES,
        limits.CATCH_UP_BYTES,
        limits.TILE_LEVEL_MAX + 1,
    )
    assert all(f" {bound:,} " in section for bound in bounds)
