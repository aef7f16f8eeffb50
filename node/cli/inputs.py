"""Files and texts that people hand to commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ledger.errors import TallyError
from ledger.letters import BOM
from node.cli.exits import UsageWrong
from node.documents.faults import above_limit

if TYPE_CHECKING:
    from ledger.network import NetworkFile
    from node.cli.client import NodeClient

_HEX: Final = re.compile(r"[0-9a-f]+\Z")
_SPLIT: Final = "No file of its kind may be longer. If it is the right one, split it or leave out what is not needed."
_SCOPE_MISSING: Final = "scope-missing"


def read_file(path: Path, *, bytes_max: int, split: str = _SPLIT) -> bytes:
    """The exact bytes of a file, for what must be as it was made. Raises: TooLarge, OSError.

    split: what to do about one that is too long.
    One byte too many tells that it is too long: a pipe has no length that could be asked for first, and may never end.
    """
    with path.open("rb") as file:
        content = file.read(bytes_max + 1)
        if len(content) > bytes_max:
            length = max(path.stat().st_size, len(content))
            raise above_limit(split, what=path.name, got=length, limit=bytes_max, unit="bytes")
    return content


def read_text(path: Path, *, bytes_max: int) -> bytes:
    """A file that people may have had in an editor: without the byte order mark that some put there.

    Raises: as `read_file`.
    """
    return read_file(path, bytes_max=bytes_max).removeprefix(BOM)


def decode_text(path: Path, content: bytes) -> str:
    """The text of a file. Raises: UsageWrong."""
    try:
        return content.decode()
    except UnicodeDecodeError as cause:
        raise UsageWrong(reason=f"{path} is not UTF-8: save it as UTF-8") from cause


def read_network(path: Path) -> NetworkFile:
    """A network file, not verified. Raises: what decoding it raises."""
    from ledger import limits
    from ledger.network import decode_network_file

    return decode_network_file(read_text(path, bytes_max=limits.NETWORK_FILE_BYTES_MAX))


def parse_parties(given: list[str]) -> dict[str, list[str]]:
    """`role=member,member` texts as role -> members. Raises: UsageWrong."""
    parties: dict[str, list[str]] = {}
    for text in given:
        role, sign, names = text.partition("=")
        members = names.split(",")
        if not sign or not role or not all(members):
            raise UsageWrong(reason=f"--party {text!r} is not role=member or role=member,member")
        parties.setdefault(role, []).extend(members)
    return parties


def find_contract(client: NodeClient, text: str) -> str:
    """The whole id of the one contract that `text` begins. Raises: UsageWrong, and what keeps the list from a token."""
    wanted = text.lower()
    if not _HEX.match(wanted) or len(wanted) > 64:
        raise UsageWrong(reason=f"{text!r} is not a contract id: 64 hexadecimal digits, or the first few of them")
    if len(wanted) == 64:
        return wanted
    try:
        rows = list_contracts(client)
    except TallyError as cause:
        if cause.code == _SCOPE_MISSING:
            cause.hint += " Or give the whole contract id."
        raise
    found = [row["id"] for row in rows if row["id"].startswith(wanted)]
    if len(found) != 1:
        raise UsageWrong(reason=f"{len(found)} contracts have an id that begins with {text}")
    return str(found[0])


def list_contracts(client: NodeClient) -> list[dict[str, Any]]:
    """Every contract that the node knows."""
    return list(client.get_json("/contracts")["contracts"])


def parse_place(text: str) -> tuple[str, int] | None:
    """`log/index`, or `log#index`, as its two parts; None if `text` is something else (a record id)."""
    log, sign, index = text.rpartition("#" if "#" in text else "/")
    return (log, int(index)) if sign and log and index.isascii() and index.isdigit() else None
