"""The start-up guard: a node signs nothing until it knows that it is not behind itself.

Its store must be at least its high-water file, and all other members but f must have said
what they hold of its log. A restored old backup is thus noticed before anything is signed;
the sync driver then fetches the missing entries back, and the guard opens.
"""

from __future__ import annotations

import threading
from enum import StrEnum
from typing import Final

from ledger.errors import Conflict, Unavailable
from ledger.names import MemberName

OPERATOR: Final = "an operator"
"""Begins what a guard says it waits for where peers cannot help."""


class GuardState(StrEnum):
    WAITING = "waiting"  # not enough members have answered yet
    BEHIND = "behind"  # more of our log was signed than we hold, or what was signed last cannot be told
    READY = "ready"


class RestoreProved(Conflict):
    code = "restore-proved"
    template = "it was signed for {signed} entries of this log, and {held} are here: the database was restored"
    hint = "Start without --not-restored: the node fetches the missing entries back from its peers."


class OtherHistory(Conflict):
    code = "other-history"
    template = "what was signed last is not in this database, which holds another history of the same log"
    hint = "Put back the database that the high-water file belongs to. --not-restored cannot help: it is not true."


class NodeNotReady(Unavailable):
    code = "node-not-ready"
    template = "this node may not sign yet ({state}); it waits for: {waiting_for}"
    hint = "`tally doctor` says why. Bring the named peers up; nothing was recorded, so send the request again."


class Guard:
    """What others hold of our log, against what we hold. Any thread may use it.

    size: of our log, as far as a checkpoint of it is held whole. high_water: what we know, ourselves, to
    have signed. doubt: why that cannot be known; nothing is signed then without an operator's word.
    is_other: what we signed last is known not to be in our log; nothing is signed then, whatever is said.
    """

    def __init__(
        self,
        *,
        others: tuple[MemberName, ...],
        required: int,
        size: int,
        high_water: int,
        doubt: str = "",
        is_other: bool = False,
    ) -> None:
        self._others = others  # owned by _lock, like all below
        self._required = required
        self._size = size
        self._high_water = high_water
        self._doubt = doubt
        self._is_other = is_other
        self._proof: tuple[int, int] | None = None  # the first that our log is too short: sizes signed and held
        self._answers: dict[MemberName, int] = {}
        self._is_overridden = False
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._update()

    def ask(self, others: tuple[MemberName, ...], *, required: int) -> None:
        """Wait for those whom a newer charter lists; what somebody proved who has left is still what was signed."""
        with self._lock:
            self._others, self._required = others, required
            self._update()

    def heard(self, member: MemberName, size: int) -> None:
        """`member` proved (by a checkpoint that we signed) that it holds `size` entries of our log; 0 for none."""
        with self._lock:
            if member in self._others:
                self._answers[member] = max(size, self._answers.get(member, 0))
            self._update()

    def recovered(self, size: int) -> None:
        """Our own log now has `size` durable entries, under a checkpoint of that size."""
        with self._lock:
            self._size = max(self._size, size)
            self._update()

    def check_override(self) -> None:
        """Nobody's word can say that nothing was restored if it is known that something was missing.

        Raises: OtherHistory, RestoreProved.
        """
        if self._is_other:
            raise OtherHistory()
        if self._proof is not None:
            signed, held = self._proof
            raise RestoreProved(signed=signed, held=held)

    def override(self) -> None:
        """An operator's explicit statement that nothing was restored. Raises: OtherHistory, RestoreProved."""
        self.check_override()
        with self._lock:
            self._is_overridden = True
            self._update()

    def _update(self) -> None:
        # Kept when all is back: what one peer had may not be all that there was.
        if self._proof is None and not self._ready.is_set() and self._size < self.target:
            self._proof = self.target, self._size
        if self.state is GuardState.READY:
            self._ready.set()

    @property
    def size(self) -> int:
        """What of our log was held at some time in the life of this process; a database with less is another one."""
        return self._size

    @property
    def target(self) -> int:
        """The size that our log must have before we sign."""
        return max([self._high_water, *self._answers.values()])

    @property
    def state(self) -> GuardState:
        if self._ready.is_set() or self._is_overridden:
            return GuardState.READY
        if self._doubt or self._size < self.target:
            return GuardState.BEHIND
        answered = sum(member in self._answers for member in self._others)
        return GuardState.READY if answered >= self._required else GuardState.WAITING

    @property
    def waiting_for(self) -> tuple[MemberName, ...]:
        """Members that have not answered, of which enough, or one that has what is missing, must; else empty."""
        state = self.state
        if state is GuardState.READY:
            return ()
        return tuple(member for member in self._others if member not in self._answers)

    @property
    def wants(self) -> tuple[str, ...]:
        """All that it waits for, in words: members by name, then what else; empty once it is ready."""
        state = self.state
        if state is GuardState.READY:
            return ()
        if self._doubt:
            return (*self.waiting_for, f"{OPERATOR} ({self._doubt})")
        if state is GuardState.BEHIND:
            return (*self.waiting_for, f"entries {self._size} to {self.target} of its own log, from its peers")
        return self.waiting_for

    def wait(self, timeout_s: float) -> None:
        """Raises: NodeNotReady."""
        if not self._ready.wait(timeout_s):
            raise NodeNotReady(state=self.state.value, waiting_for=", ".join(self.wants))

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set()
