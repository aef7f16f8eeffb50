"""What a check of a store found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ledger.names import Digest
from node.storage.logs import StoredLog

_FAULTS_MAX: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that does not hold. `log` and `index` where it stands in a log."""

    what: str
    reason: str
    log: str | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A body that was due and is not here, or not all of it."""

    log: str
    index: int
    reason: str


@dataclass(slots=True)
class Walked:
    """What the entries of a log say that is kept elsewhere as well.

    repeat: the first that has an id or slot of one before it. cards, charters: that they announce, in order.
    """

    log: StoredLog
    repeat: int | None = None
    cards: list[Digest] = field(default_factory=list)
    charters: list[Digest] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What was checked and what was wrong. missing: the first of the gaps."""

    entries: int = 0
    bodies: int = 0
    sections: int = 0
    wraps: int = 0
    checkpoints: int = 0
    cosignatures: int = 0
    evidence: int = 0
    statements: int = 0
    gaps: int = 0
    missing: list[Gap] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.faults

    def add(self, what: str, reason: object, *, log: str | None = None, index: int | None = None) -> None:
        if len(self.faults) < _FAULTS_MAX:
            self.faults.append(Fault(what=what, reason=str(reason), log=log, index=index))

    def add_gaps(self, gaps: Sequence[tuple[int, str]], *, log: str) -> None:
        """gaps: (index, reason) of each."""
        self.gaps += len(gaps)
        room = _FAULTS_MAX - len(self.missing)
        self.missing += [Gap(log=log, index=index, reason=reason) for index, reason in gaps[:room]]
