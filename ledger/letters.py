"""Letters that a person sees, told apart from those that hide something.

For whatever shows people text that others wrote: the command line, and the reading of contracts.

Spec: docs/spec/contract-source.md, "Text".
"""

from __future__ import annotations

import re
from typing import Final

BOM: Final = b"\xef\xbb\xbf"
"""The byte order mark that some programs put before UTF-8: forgiven in files from people, never in a format."""

# Printable to Unicode, and yet nothing is seen of them: fillers, joiners, variation selectors, an empty Braille cell.
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)


def is_hidden(letter: str) -> bool:
    """True for all that shows nothing, turns the direction of writing, or ends a line; false for the space.

    What is not assigned in the Unicode of this Python (14.0 or later) counts as hidden too: it may become any of these.
    """
    return not letter.isprintable() or _BLANK.match(letter) is not None


def has_hidden(text: str) -> bool:
    """Whether a letter of `text` is hidden."""
    return not text.isprintable() or _BLANK.search(text) is not None
