"""The checker of EPCIS 2.0 in JSON and JSON-LD, written from the standard.

`check` looks at a whole file, `check_event` at one event, `check_frame` at what stands
around events; each returns the faults, none for sound input, and never raises. They
take the value of the JSON (numbers as int, float or Decimal) and need no network:
contexts are not resolved. A document is valid here if and only if it is valid under
GS1's JSON schema with formats on; tests hold the two against each other.
"""

from __future__ import annotations

from node.epcis.checks.documents import DOCUMENT, EVENT_LIST, QUERY_DOCUMENT, check, check_frame
from node.epcis.checks.events import check_event
from node.epcis.checks.faults import CODES, Fault, pointer

__all__ = [
    "CODES",
    "DOCUMENT",
    "EVENT_LIST",
    "QUERY_DOCUMENT",
    "Fault",
    "check",
    "check_event",
    "check_frame",
    "pointer",
]
