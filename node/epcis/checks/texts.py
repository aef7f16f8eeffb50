"""The forms of strings that EPCIS builds on: URIs, times, offsets, units.

Each accepts what the usual validators of the JSON schema accept, also where the
standard that it cites is narrower; the differences are named beside each form.
All of them allow one newline at the end, as `$` does in those validators.
"""

from __future__ import annotations

import re
from calendar import monthrange
from typing import Final

_UNRESERVED: Final = r"A-Za-z0-9_.~\-"
_SUB_DELIMS: Final = r"!$&'()*+,;="
_ESCAPED: Final = "%[0-9A-Fa-f]{2}"
_NAME: Final = f"(?:[{_UNRESERVED}{_SUB_DELIMS}]|{_ESCAPED})*"
_USER: Final = f"(?:[{_UNRESERVED}{_SUB_DELIMS}:]|{_ESCAPED})*"
_PATH: Final = f"(?:[{_UNRESERVED}{_SUB_DELIMS}:@/]|{_ESCAPED})*"
_TAIL: Final = f"(?:[{_UNRESERVED}{_SUB_DELIMS}:@/?]|{_ESCAPED})*"

_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_IPV4: Final = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_H16: Final = "[0-9A-Fa-f]{1,4}"
_LS32: Final = f"(?:{_H16}:{_H16}|{_IPV4})"


def _ipv6() -> str:
    """The nine forms of an IPv6 address (RFC 3986, appendix A); octets may have leading zeros here."""
    before = [f"(?:(?:{_H16}:){{0,{n}}}{_H16})?::" for n in range(7)]
    forms = [f"(?:{_H16}:){{6}}{_LS32}", f"::(?:{_H16}:){{5}}{_LS32}"]
    forms += [f"{before[n]}(?:{_H16}:){{{4 - n}}}{_LS32}" for n in range(5)]
    return "|".join([*forms, before[5] + _H16, before[6]])


_LITERAL: Final = rf"\[(?:{_ipv6()}|v[0-9A-Fa-f]+\.[{_UNRESERVED}{_SUB_DELIMS}:]+)\]"
_AUTHORITY: Final = f"//(?:{_USER}@)?(?:{_LITERAL}|{_NAME})(?::[0-9]*)?(?:/{_PATH})?"
# A path without authority must not begin with "//": that would be read as an authority.
_URI: Final = re.compile(rf"[A-Za-z][A-Za-z0-9+.\-]*:(?:{_AUTHORITY}|(?!//){_PATH})(?:\?{_TAIL})?(?:\#{_TAIL})?\n?\Z")
_TIME: Final = re.compile(
    r"([0-9]{4})-(0[1-9]|1[0-2])-([0-9]{2})[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])\n?\Z"
)
_DAYS_ALWAYS: Final = 28  # every month has them

OFFSET: Final = re.compile(r"[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00)\n?\Z")
"""A time zone offset of EPCIS: -14:00 to +14:00, always with a sign."""
VERSION: Final = re.compile(r"\d+(?:\.\d+)*\n?\Z")
"""Numbers with dots. The digits of any script pass, as in Python's validators of the schema."""
UNIT: Final = re.compile(r"[A-Z0-9]{2,3}\n?\Z")
"""A unit of measure: a code of UN/CEFACT Recommendation 20."""
HEX: Final = re.compile(r"[A-Fa-f0-9]+\n?\Z")


def is_uri(text: str) -> bool:
    """Whether `text` is a URI (RFC 3986, section 3): it has a scheme, and only ASCII."""
    return _URI.match(text) is not None


def is_time(text: str) -> bool:
    """Whether `text` is a date and time of RFC 3339, section 5.6, in the years 1 to 9999; no leap second."""
    found = _TIME.match(text)
    if found is None or found[1] == "0000":
        return False
    day = int(found[3])
    return 1 <= day <= _DAYS_ALWAYS or _DAYS_ALWAYS < day <= monthrange(int(found[1]), int(found[2]))[1]
