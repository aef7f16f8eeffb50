"""Room: what proposals that the own member has not answered take up, of each proposer by itself.

Whoever proposes pays for what its proposals cost this node: those that were refused are counted as well, as to
read one is most of the work that it makes. What finds no room is passed over without being read.

Spec: docs/spec/agreements.md, "Limits".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ledger import limits
from ledger.names import Digest, MemberName
from node.contract import Place

Forget = Callable[[Iterable[Digest]], Digest | None]
"""Forgets the first of these contracts that has ended, and says which; None if there is none."""


@dataclass(slots=True)
class _Share:
    """One proposer's. taken, refused: bytes of each body, oldest first. passed: the first that found no room."""

    taken: dict[Digest, int] = field(default_factory=dict)
    refused: dict[Digest, int] = field(default_factory=dict)
    passed: Place | None = None

    def is_full_for(self, length: int) -> bool:
        count = len(self.taken) + len(self.refused)
        total = sum(self.taken.values()) + sum(self.refused.values())
        return count > 0 and (count >= limits.PROPOSALS_OPEN_MAX or total + length > limits.PROPOSALS_OPEN_BYTES)


class Room:
    """Owned by `Agreements`, and used under its lock."""

    def __init__(self) -> None:
        self._shares: dict[MemberName, _Share] = {}

    def take(self, proposer: MemberName, contract_id: Digest, length: int) -> None:
        self._share(proposer).taken[contract_id] = length

    def refuse(self, proposer: MemberName, contract_id: Digest, length: int) -> None:
        """Count one that was read and is none; for good, as it stands in its author's log and is offered again."""
        self._share(proposer).refused[contract_id] = length

    def leave(self, proposer: MemberName, contract_id: Digest) -> None:
        self._share(proposer).taken.pop(contract_id, None)

    def admits(self, proposer: MemberName, contract_id: Digest, length: int, *, place: Place, forget: Forget) -> bool:
        """Whether one may be read and taken in; if not, it is passed over, as are those behind it.

        forget: what nothing can come of any more makes room, as far as that is needed.
        """
        share = self._share(proposer)
        if contract_id in share.refused:
            return False
        is_behind = share.passed is not None and place >= share.passed
        while not is_behind and share.is_full_for(length):
            over = forget(share.taken)
            if over is None:
                break
            del share.taken[over]
        if is_behind or share.is_full_for(length):
            share.passed = share.passed or place
            return False
        return True

    def passed(self) -> dict[MemberName, Place]:
        return {member: share.passed for member, share in self._shares.items() if share.passed is not None}

    def look_again(self, proposer: MemberName) -> None:
        self._share(proposer).passed = None

    def _share(self, proposer: MemberName) -> _Share:
        return self._shares.setdefault(proposer, _Share())
