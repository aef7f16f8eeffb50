"""What `--trust` names: a network's fingerprint, or the file that people got it in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ledger import limits
from ledger.charter import fingerprint, read_fingerprint, verify_charter, verify_charter_chain
from ledger.errors import TallyError
from ledger.names import NetworkId
from ledger.network import NetworkFile, decode_network_file
from node.cli.exits import UsageWrong
from node.cli.inputs import read_text


@dataclass(frozen=True, slots=True)
class Trust:
    """A network that the user trusts. `file`: with every charter and card, if that is what was given."""

    network: NetworkId
    file: NetworkFile | None = None


def read_trust(text: str) -> Trust:
    """A network file, the note of charter 1, or a fingerprint. Raises: UsageWrong."""
    path = Path(text)
    try:
        if not path.is_file():
            return Trust(read_fingerprint(text))
        content = read_text(path, bytes_max=limits.NETWORK_FILE_BYTES_MAX)
        if not content.startswith(b'{"cards":'):
            return Trust(NetworkId(verify_charter(content, previous=None).hash))
        file = decode_network_file(content)
        return Trust(fingerprint(verify_charter_chain(file.charters)), file)
    except TallyError as cause:
        raise UsageWrong(reason=f"--trust {text}: no fingerprint, and no file with a good charter: {cause}") from cause
