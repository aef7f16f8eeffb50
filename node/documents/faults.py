"""What can be wrong with a document of somebody else; each error says what to do about it.

No message holds a value of the document, save the names of its elements.
"""

from __future__ import annotations

from ledger.errors import BadInput, NotFound, Unavailable


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
    hint = "pip install 'tallystick[invoices]'"
