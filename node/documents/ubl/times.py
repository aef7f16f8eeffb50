"""When a document was issued, as records have it: UTC, with milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_ZONE: Final = r"(Z|[+-][0-9]{2}:[0-9]{2})?"
_DATE: Final = re.compile(rf"([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}}){_ZONE}")
_TIME: Final = re.compile(rf"([0-9]{{2}}):([0-9]{{2}}):([0-9]{{2}})(?:\.([0-9]+))?{_ZONE}")


def instant(date: str, time: str | None) -> str | None:
    """The time of IssueDate and IssueTime as `2026-11-30T15:20:27.123Z`; None if they are none.

    Without a time it is the beginning of the day, without a zone it is taken as UTC. Below a millisecond it is cut.
    """
    day = _DATE.fullmatch(date)
    clock = _TIME.fullmatch(time if time is not None else "00:00:00")
    if day is None or clock is None:
        return None
    hour, minute, second = (int(part) for part in clock.groups()[:3])
    is_midnight = (hour, minute, second, int(clock[4] or 0)) == (24, 0, 0, 0)  # the end of the day, in XML
    try:
        start = datetime(int(day[1]), int(day[2]), int(day[3]), tzinfo=_zone(clock[5] or day[4]))
        start += timedelta(days=1) if is_midnight else timedelta(0)
        found = start.replace(
            hour=0 if is_midnight else hour,
            minute=minute,
            second=second,
            microsecond=int((clock[4] or "0")[:3].ljust(3, "0")) * 1000,
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return f"{found:%Y-%m-%dT%H:%M:%S}.{found.microsecond // 1000:03}Z".rjust(24, "0")


def _zone(text: str | None) -> timezone:
    """Raises: ValueError for one of more than 14 hours."""
    if text is None or text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    if offset > timedelta(hours=14) or text[4] > "5":
        raise ValueError("no time zone is so far off")
    return timezone(-offset if text[0] == "-" else offset)
