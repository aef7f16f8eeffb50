"""XML of strangers, read so that it can do nothing but be read.

No document type (and so no entities, of which the attacks on readers are made), no inclusion, no processing
instruction but a style sheet's before the document, no network; bounds on bytes, elements and attributes are
checked before the parser sees the text. The letters are decoded here, by the encodings of a short list, so that
parser and check see the same text. Comments are dropped, and the text around them is one.

Spec: docs/reference/documents.md, "What is refused".
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Final

from lxml import etree
from lxml.etree import _Element as Element

from ledger import limits
from node.documents.faults import SPLIT_DOCUMENT, XmlEncoding, XmlMalformed, XmlRefused, above_limit

_ENCODINGS: Final[Mapping[str, str]] = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "iso-8859-1": "latin-1",
    "iso-8859-15": "iso8859-15",
    "windows-1252": "cp1252",
}
"""Names that a file may declare -> Python's name."""
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DECLARATION: Final = re.compile(r"<\?xml[ \t\r\n][^>]*\?>")
_ENCODING: Final = re.compile(r"[ \t\r\n]encoding[ \t\r\n]*=[ \t\r\n]*[\"']([^\"'>]*)[\"']")
_DECLARATION_LETTERS: Final = 200
_NAME_LETTERS: Final = 100  # of a name in a message; those of UBL have half as many
_BLANK: Final = re.compile("[ \\t\\r\\n]*")
_INCLUSION: Final = ("http://www.w3.org/2001/XInclude", "http://www.w3.org/2003/XInclude")
_PLACE: Final = re.compile(r"( line \d+)?, line \d+, column \d+\Z")
_STYLE: Final = "xml-stylesheet"


def read_xml(file: bytes) -> Element:
    """The outermost element of an XML document.

    Raises: TooLarge, XmlEncoding, XmlRefused, XmlMalformed.
    """
    if len(file) > limits.DOCUMENT_FILE_BYTES_MAX:
        limit = limits.DOCUMENT_FILE_BYTES_MAX
        raise above_limit(SPLIT_DOCUMENT, what="the document", got=len(file), limit=limit, unit="bytes")
    text = decode(file)
    # Each element, attribute and namespace has one of these signs, and parsed takes 100 bytes and more.
    parts = text.count("<") + text.count("=")
    if parts > limits.DOCUMENT_PARTS_MAX:
        limit = limits.DOCUMENT_PARTS_MAX
        raise above_limit(SPLIT_DOCUMENT, what="the document", got=parts, limit=limit, unit="tags and attributes")
    _refuse_document_type(text)
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=False,
    )
    try:
        root = etree.fromstring(text.encode("utf-8", "surrogatepass"), parser)
    except etree.XMLSyntaxError as cause:
        line, column = cause.position
        reason = _PLACE.sub("", " ".join((cause.msg or "nothing can be read").split()))[:200]
        raise XmlMalformed(line=line, column=column, reason=reason) from None
    _refuse_parts(root)
    return root


def decode(file: bytes) -> str:
    """The text of a file: without byte order mark, and with blanks where its XML declaration was.

    Raises: XmlEncoding.
    """
    mark, encoding = next(((mark, name) for mark, name in _BOMS if file.startswith(mark)), (b"", ""))
    head = file[len(mark) :][:_DECLARATION_LETTERS].decode("latin-1")
    if encoding == "utf-16":
        head = file[: 2 * _DECLARATION_LETTERS].decode("utf-16", "replace")
    elif "\0" in head[:4]:
        raise XmlEncoding(reason="UTF-16 or UTF-32 without a byte order mark, or no text at all")
    found = _DECLARATION.match(head)
    named = _ENCODING.search(found[0]) if found else None
    declared = named[1].lower() if named else ""
    if mark and declared and not declared.startswith(encoding):
        raise XmlEncoding(reason=f"they begin with the mark of {encoding.upper()} and declare {declared!r}")
    if not mark:
        if named and declared not in _ENCODINGS:
            raise XmlEncoding(reason=f"the encoding {declared[:40]!r} is not read here")
        encoding = _ENCODINGS.get(declared, "utf-8")
    try:
        # For UTF-16 Python's decoder takes the mark itself.
        text = file[0 if encoding == "utf-16" else len(mark) :].decode(encoding)
    except UnicodeDecodeError as cause:
        raise XmlEncoding(reason=f"byte {cause.start + 1} is not {encoding.upper()}") from None
    if text.startswith("\ufeff"):
        # The parser would pass over it, and what stands behind it would not be at the beginning for our own checks.
        raise XmlEncoding(reason="they begin with two byte order marks")
    return " " * len(found[0]) + text[len(found[0]) :] if found else text


def local_name(element: Element) -> str:
    return str(etree.QName(element).localname)


def namespace(element: Element) -> str:
    return str(etree.QName(element).namespace or "")


def path_of(element: Element) -> str:
    """Where an element stands, by local names: `Invoice/InvoiceLine[2]/Price`, counting from 1 where several are."""
    steps = []
    step: Element | None = element
    while step is not None:
        parent = step.getparent()
        alike = list(parent.iterchildren(step.tag)) if parent is not None else []
        steps.append(local_name(step)[:_NAME_LETTERS] + (f"[{alike.index(step) + 1}]" if len(alike) > 1 else ""))
        step = parent
    return "/".join(reversed(steps))


def has_style(root: Element) -> bool:
    """Whether the document names a style sheet for people; it is never fetched."""
    return any(part.tag is etree.PI for part in root.itersiblings(preceding=True))


# --- inside ---------------------------------------------------------------------------


def _refuse_document_type(text: str) -> None:
    """Before parsing: the parser would already have expanded entities in attributes.

    A document type can stand only before the first element, between comments and processing instructions.
    """
    place = _blank(text, 0)
    while text.startswith(("<!--", "<?"), place):
        ending = "-->" if text[place + 1] == "!" else "?>"
        end = text.find(ending, place + 2 * len(ending) - 2)
        if end < 0:
            return  # the parser says best what is wrong
        place = _blank(text, end + len(ending))
    if text[place : place + 9].upper() == "<!DOCTYPE":
        raise XmlRefused(what="a document type (DOCTYPE)", line=text.count("\n", 0, place) + 1)


def _blank(text: str, place: int) -> int:
    """Where the white space that begins at `place` ends."""
    found = _BLANK.match(text, place)
    assert found is not None, "the pattern matches nothing, too"
    return found.end()


def _refuse_parts(root: Element) -> None:
    if root.getroottree().docinfo.doctype:
        raise XmlRefused(what="a document type (DOCTYPE)", line=1)
    before = [found for found in root.itersiblings(preceding=True) if getattr(found, "target", "") != _STYLE]
    for found in (*before, *root.iter(etree.PI), *root.itersiblings()):
        raise XmlRefused(what="a processing instruction", line=found.sourceline)
    for space in _INCLUSION:
        for found in root.iter(f"{{{space}}}*"):
            raise XmlRefused(what="the inclusion of another file (XInclude)", line=found.sourceline)
