"""What `--trust` names: a network's fingerprint, or its file; and what a file is that proves nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger import limits
from ledger.charter import fingerprint, read_fingerprint, verify_charter, verify_charter_chain
from ledger.errors import TallyError
from ledger.names import NetworkId
from ledger.network import NetworkFile, decode_network_file
from node.cli.exits import UsageWrong
from node.cli.inputs import read_text
from node.cli.lines import read_members

_HEX: Final = re.compile(r"[0-9A-Fa-f\s]+\Z")
_FINGERPRINT_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class Trust:
    """A network that the user trusts. `file`: with every charter and card, if that is what was given."""

    network: NetworkId
    file: NetworkFile | None = None


def read_trust(text: str) -> Trust:
    """A network file, the note of charter 1, or a fingerprint. Raises: UsageWrong.

    64 hex digits are a fingerprint even where a file has that name: whoever sends an archive chooses the names in it.
    """
    path = Path(text)
    try:
        if len("".join(text.split())) == _FINGERPRINT_DIGITS and _HEX.match(text):
            return Trust(read_fingerprint(text))
        if not path.is_file():
            if not _HEX.match(text):
                raise UsageWrong(reason=f"--trust {text}: there is no such file, and a fingerprint is 64 hex digits")
            return Trust(read_fingerprint(text))
        content = read_text(path, bytes_max=limits.NETWORK_FILE_BYTES_MAX)
        if not content.startswith(b'{"cards":'):
            return Trust(NetworkId(verify_charter(content, previous=None).hash))
        file = decode_network_file(content)
        return Trust(fingerprint(verify_charter_chain(file.charters)), file)
    except UsageWrong:
        raise
    except TallyError as cause:
        raise UsageWrong(reason=f"--trust {text}: no fingerprint, and no file with a good charter: {cause}") from cause


def advise(content: bytes) -> str:
    """What to do about a file that is no good receipt and no good evidence, where its form tells; else nothing."""
    if not content.strip():
        return "The file is empty: whatever wrote it did not finish. Ask for it again."
    first, _, rest = content.strip().partition(b"\n")
    if read_members(first) is not None and rest:
        return "This holds one record a line: `tally capture` takes it. `tally receipt` makes a receipt of a record."
    found = read_members(content)
    if found is None:
        return "It ends early or was changed on its way: copy it again as a file, from whoever made it."
    if found.keys() == {"cards", "charters", "v"}:
        return "This is a network file: it goes behind --trust, and the receipt before it."
    if not found.keys() & {"charters", "first"}:
        return "This is no receipt and no evidence: `tally receipt` and `tally evidence show` make them."
    if any(mark in content.rstrip(b"\n") for mark in (b"\n", b'": ', b', "')):
        return "An editor or a formatter may have rewritten it: these are exact bytes. Ask for the file as it was made."
    return ""
