"""What `contract run` and `contract test` say of patterns of SHARES that nothing met."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from node.cli.output import count
from node.cli.session import Session

if TYPE_CHECKING:
    from contracts.unmet import Unmet

_CLOSE_SHOWN: Final = 20
_SHOWN: Final = 5
"""Lines for patterns that are near to nothing: most are of parts that are optional."""


def unmet_document(found: Sequence[Unmet]) -> list[dict[str, Any]]:
    return [{"type": one.type, "pattern": one.pattern, "line": one.line, "close": one.close} for one in found]


def tell_unmet(session: Session, file: Path, found: Sequence[Unmet], *, what: str) -> None:
    """Say how many there are, and list first those that may be misspelt. what: had no field that they met."""
    if not found:
        return
    session.out.say(f"{count(len(found), 'pattern')} of SHARES met no field of these {what}:")
    close = [one for one in found if one.close is not None]
    others = [one for one in found if one.close is None]
    shown = close[:_CLOSE_SHOWN] + others[: max(0, _SHOWN - len(close))]
    for one in shown:
        hint = "" if one.close is None else f": perhaps {one.close} is meant, which was seen"
        session.out.say(f"  {file}:{one.line}: {one.type} {one.pattern}{hint}")
    if len(found) > len(shown):
        session.out.say(f"  ... and {len(found) - len(shown)} more; --json lists all")
