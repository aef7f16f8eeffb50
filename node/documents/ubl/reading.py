"""A UBL document as an input of a contract: its record type, and its body in JSON.

An element becomes a member named as the element is, without prefix; one that may repeat becomes an array.
Nothing is lost without a word: what is not of UBL 2.1, extensions and too long attachments are named in
`left_out`; what UBL does not allow is an error. Attributes are kept where they belong to a value (currency, unit,
the list that an identifier is of), and else dropped.

Spec: docs/reference/documents.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lxml.etree import _Element as Element

from ledger import limits
from ledger.errors import TooDeep
from node.documents.faults import SPLIT_DOCUMENT, DocumentMalformed, DocumentUnknown, above_limit
from node.documents.safexml import has_style, local_name, namespace, path_of, read_xml
from node.documents.ubl.kinds import AGGREGATE, BASIC, EXTENSION, KINDS, namespace_of
from node.documents.ubl.leaves import BINARY, leaf_json, text_of
from node.documents.ubl.names import AGGREGATES, LEAVES
from node.documents.ubl.repeats import may_repeat
from node.documents.ubl.times import instant

_KNOWN: Final[Mapping[str, frozenset[str]]] = {AGGREGATE: AGGREGATES, BASIC: LEAVES, EXTENSION: frozenset()}
_SPACE: Final = " \t\r\n"
_PATH_LETTERS: Final = 500
_NAMED_MAX: Final = 100  # kinds of elements that a document's note names; hardly any has more than two


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a document says, for a contract.

    kind: name of the document in UBL. type: of the record. role: of who issues such documents by custom.
    time: when it was issued, RFC 3339 in UTC with milliseconds; None if it does not say.
    left_out: path of elements that are not in the body, or what else is not, -> how many.
    """

    kind: str
    type: str
    role: str
    time: str | None
    body: bytes
    left_out: Mapping[str, int]


def read(file: bytes) -> Document:
    """Read a UBL document from XML.

    Raises: TooLarge, TooDeep, XmlEncoding, XmlMalformed, XmlRefused, DocumentUnknown, DocumentMalformed.
    """
    root = read_xml(file)
    name = local_name(root)
    if name not in KINDS or namespace(root) != namespace_of(name):
        raise DocumentUnknown(name=name[:100], namespace=namespace(root)[:200], kinds=", ".join(KINDS))
    reader = _Reader()
    body = reader.members(root, depth=1, path=name).encode()
    if len(body) > limits.BODY_BYTES_MAX:
        raise above_limit(
            SPLIT_DOCUMENT, what="the document as a body", got=len(body), limit=limits.BODY_BYTES_MAX, unit="bytes"
        )
    if has_style(root):
        reader.leave_out("xml-stylesheet")
    kind = KINDS[name]
    time = _issued(root)
    return Document(kind=name, type=kind.type, role=kind.role, time=time, body=body, left_out=reader.left_out)


@dataclass(slots=True)
class _Reader:
    """One walk through one document."""

    left_out: dict[str, int] = field(default_factory=dict)

    def members(self, element: Element, *, depth: int, path: str) -> str:
        """The JSON object of an element with elements in it, `depth` levels down."""
        if depth > limits.JSON_DEPTH:
            raise TooDeep(limit=limits.JSON_DEPTH)
        found: dict[str, list[str]] = {}
        repeated: dict[str, Element] = {}
        within = local_name(element)
        _refuse_text(element)
        for child in element:
            name = local_name(child)
            below = f"{path}/{name}"
            if not _is_known(child, name):
                self.leave_out(below)
            elif namespace(child) == AGGREGATE:
                inner = depth + 1 + may_repeat(name, within=within)
                found.setdefault(name, []).append(self.members(child, depth=inner, path=below))
            else:
                _refuse_elements(child)
                if name.endswith(BINARY) and len(child.text or "") > limits.DOCUMENT_ATTACHMENT_BYTES_MAX:
                    self.leave_out(below)
                    continue
                found.setdefault(name, []).append(leaf_json(child, within=within))
            if len(found.get(name, ())) == 2:
                repeated[name] = child
        for name, second in repeated.items():
            if not may_repeat(name, within=within):
                raise DocumentMalformed(place=path_of(second), reason=f"{name} may not occur twice in {within}")
        return "{" + ",".join(_member(name, values, within) for name, values in found.items()) + "}"

    def leave_out(self, path: str) -> None:
        path = path[:_PATH_LETTERS]
        if path not in self.left_out and len(self.left_out) >= _NAMED_MAX:
            path = "others"
        self.left_out[path] = self.left_out.get(path, 0) + 1


def _member(name: str, values: list[str], within: str) -> str:
    value = f"[{','.join(values)}]" if may_repeat(name, within=within) else values[0]
    return f'"{name}":{value}'


def _is_known(element: Element, name: str) -> bool:
    """Whether it is of UBL 2.1. A namespace that has no place in UBL is a mistake, and hardly one of few elements."""
    space = namespace(element)
    known = _KNOWN.get(space)
    if known is None:
        due = f"elements in a document are of {AGGREGATE}, of {BASIC}, or extensions"
        raise DocumentMalformed(place=path_of(element), reason=f"the namespace is {space[:200]!r}; {due}")
    return name in known


def _refuse_text(element: Element) -> None:
    texts = (element.text, *(child.tail for child in element))
    if any(text and text.strip(_SPACE) for text in texts):
        raise DocumentMalformed(place=path_of(element), reason="text beside the elements in it")


def _refuse_elements(leaf: Element) -> None:
    for child in leaf:
        raise DocumentMalformed(place=path_of(child), reason="an element where only a value may stand")


def _issued(root: Element) -> str | None:
    date, time = (next(_texts(root, name), None) for name in ("IssueDate", "IssueTime"))
    if date is None:
        return None
    found = instant(date, time)
    if found is None:
        reason = "no date of the calendar, as 2026-11-30 is, or no time of the day, as 15:20:27Z is"
        raise DocumentMalformed(place=f"{local_name(root)}/IssueDate and IssueTime", reason=reason)
    return found


def _texts(root: Element, name: str) -> Iterator[str]:
    return (text_of(child) for child in root.iterchildren(f"{{{BASIC}}}{name}"))
