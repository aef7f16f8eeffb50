"""What can be wrong with a document of somebody else; each error says what to do about it.

No message holds a value of the document, save the names of its elements.
"""

from __future__ import annotations

from typing import Final

from ledger.errors import BadInput, NotFound, TooLarge, Unavailable

SPLIT_DOCUMENT: Final = "Ask for it in several documents of fewer lines, or without the files that are embedded in it."
SPLIT_EVENTS: Final = "Split it into documents of fewer events each."
SPLIT_SHIPMENTS: Final = "Split it into files of fewer lines, each with the line of headings."
SPLIT_PURCHASES: Final = "Export fewer orders at a time, with all that belongs to them, into folders of their own."


class XmlMalformed(BadInput):
    """No XML document, or not all of one."""

    code = "xml-malformed"
    template = "not well-formed XML, line {line} column {column}: {reason}"
    hint = "The file is cut off, was changed on its way, or is no XML. Ask for it again; whoever wrote it can mend it."


class XmlEncoding(BadInput):
    """Letters that are not what the file says they are, or an encoding that is not read here."""

    code = "xml-encoding"
    template = "the letters of the file: {reason}"
    hint = 'Save it as UTF-8, with encoding="UTF-8" or none in its first line.'


class XmlRefused(BadInput):
    """Well-formed perhaps, and with a part that no business document needs and that attacks are made of."""

    code = "xml-refused"
    template = "{what} in line {line}: this is not read here, nor what it leads to"
    hint = "UBL documents have no such part. Ask for the file without it, and ask why it was there."


class DocumentUnknown(BadInput):
    """XML of another kind than those that are read. name, namespace: of the outermost element."""

    code = "document-unknown"
    template = "{name!r} of namespace {namespace!r} is none of the documents read here: {kinds}"
    hint = "Documents are read in UBL 2.0 and 2.1. Of one in another syntax ask for the UBL form."


class DocumentMalformed(BadInput):
    """A UBL document with something in it that UBL does not allow. place: path of the element."""

    code = "document-malformed"
    template = "{place}: {reason}"
    hint = "This breaks the schemas of UBL 2.1. Ask its author to mend the document; do not mend what others signed."


class RulesUnusable(NotFound):
    """The folder that was named does not hold the published rules, or they cannot be compiled."""

    code = "rules-unusable"
    template = "the rules in {folder}: {reason}"
    hint = "Name the folder of a release of the EN 16931 validation artefacts for UBL, as its authors published it."


class RulesEngineMissing(Unavailable):
    """What runs the rules is not installed: it is large, and few need it."""

    code = "rules-engine-missing"
    template = "the rules need {package}, which is not installed"
    hint = (
        "Install it where tally is: pip install 'tallystick[invoices]'. "
        "In a clone that runs from its .venv: .venv/bin/python -m pip install -e '.[invoices]'."
    )


def above_limit(do: str, **fields: object) -> TooLarge:
    """The error for a file that is too large, with what to do about one of its kind. fields: as of TooLarge."""
    error = TooLarge(**fields)
    error.hint = do
    return error
