"""Who reads which field of each input, as `contract run --readers` tells it before all else.

It is kept in a file until the run is over: a stream has no end that memory would reach, and of one that breaks off
nothing is told.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Final, Self

from node.cli.output import clean, clean_json, format_name

if TYPE_CHECKING:
    from types import TracebackType

    from contracts.disclosing import Readers

_MEMORY_BYTES: Final = 1 << 20


class Kept:
    """The readers of the inputs so far, as text for people or as elements of a JSON array."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115  # `with` closes it
        self._is_empty = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, found: Iterable[Readers]) -> None:
        for one in found:
            if self._as_json:
                text = clean_json(json.dumps(_document(one), ensure_ascii=False))
                self._file.write((text if self._is_empty else f", {text}").encode("utf-8", "backslashreplace"))
            else:
                lines = "".join(f"{clean(line)}\n" for line in _lines(one))
                self._file.write(lines.encode("utf-8", "backslashreplace"))
            self._is_empty = False

    def parts(self) -> Iterator[bytes]:
        """All of it, in order."""
        self._file.seek(0)
        while part := self._file.read(_MEMORY_BYTES):
            yield part


def _document(one: Readers) -> dict[str, object]:
    fields = None if one.fields is None else [{"name": name, "roles": [*roles]} for name, roles in one.fields.items()]
    return {"line": one.line, "type": one.type, "fields": fields}


def _lines(one: Readers) -> Iterator[str]:
    yield f"inputs line {one.line}, {one.type}"
    if one.fields is None:
        yield "  nobody reads it: no node would record it"
    names = {name: format_name(name) for name in one.fields or ()}
    width = max(map(len, names.values()), default=0)
    for name, roles in (one.fields or {}).items():
        yield f"  {names[name]:<{width}}  {', '.join(roles) or 'its author alone'}"
