"""Invoices and credit notes checked by the official rules of EN 16931, as their authors publish them.

The rules are an XSLT 2 style sheet in a folder that the user names; none of it is part of this project. It is
compiled once and run on many documents, by Saxon, which is installed only on wish. A document reaches Saxon as it
was read here: its parser never sees what others wrote. The style sheet is trusted, as a program is.

Spec: docs/reference/documents.md, "Rules of EN 16931".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from lxml import etree
from lxml.etree import _Element as Element

from node.documents.faults import DocumentUnknown, RulesEngineMissing, RulesUnusable
from node.documents.safexml import local_name, namespace, read_xml
from node.documents.ubl.kinds import namespace_of

CHECKED: Final = ("Invoice", "CreditNote")
"""The documents that the rules are for."""
FATAL: Final = "fatal"

_PLACES: Final = ("", "xslt", "ubl/xslt")  # of a release, and of the repository that it is made from
_NAMES: Final = ("EN16931-UBL-validation.xslt", "EN16931-UBL-validation.xsl")
_REPORT: Final = "{http://purl.oclc.org/dsdl/svrl}"
_NAMESPACE: Final = re.compile(r"\*:|\[namespace-uri\(\)='[^']*'\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A rule that a document does not meet.

    rule: its id, as BR-CO-15. flag: FATAL, or "warning". location: path of the element. text: what the rule says.
    """

    rule: str
    flag: str
    location: str
    text: str

    @property
    def is_fatal(self) -> bool:
        return self.flag == FATAL


class Rules:
    """Compiled rules; use them in a `with`. Of one thread."""

    def __init__(self, folder: Path) -> None:
        """Raises: RulesUnusable, RulesEngineMissing."""
        sheet = _find(folder)
        try:
            import saxonche
        except ImportError as cause:
            raise RulesEngineMissing(package="saxonche") from cause
        self._error: type[Exception] = saxonche.PySaxonApiError
        self._folder = folder
        self._processor: Any = saxonche.PySaxonProcessor(license=False)
        try:
            compiler = self._processor.new_xslt30_processor()
            self._sheet: Any = compiler.compile_stylesheet(stylesheet_file=str(sheet))
        except self._error as cause:
            raise RulesUnusable(folder=folder, reason=f"{sheet.name} cannot be compiled: {_line(cause)}") from cause

    def __enter__(self) -> Rules:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sheet = self._processor = None

    def check(self, file: bytes) -> list[Failure]:
        """The rules that an invoice or a credit note does not meet, in the order of the report.

        Raises: DocumentUnknown for another document, RulesUnusable, and as `read_xml`.
        """
        root = read_xml(file)
        name = local_name(root)
        if not is_checked(root):
            raise DocumentUnknown(name=name[:100], namespace=namespace(root)[:200], kinds=", ".join(CHECKED))
        try:
            document = self._processor.parse_xml(xml_text=etree.tostring(root, encoding="unicode"))
            report = self._sheet.transform_to_string(xdm_node=document)
        except self._error as cause:
            raise RulesUnusable(folder=self._folder, reason=f"they end in an error: {_line(cause)}") from cause
        try:
            return list(_failures(report or ""))
        except etree.XMLSyntaxError as cause:
            raise RulesUnusable(folder=self._folder, reason=f"their result is no report: {_line(cause)}") from cause


def is_checked(root: Element) -> bool:
    """Whether the rules are for documents of that outermost element."""
    name = local_name(root)
    return name in CHECKED and namespace(root) == namespace_of(name)


def _find(folder: Path) -> Path:
    candidates = (folder / place / name for place in _PLACES for name in _NAMES)
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise RulesUnusable(folder=folder, reason=f"no {_NAMES[0]} there, nor in its folders xslt and ubl/xslt")
    return found


def _failures(report: str) -> Iterator[Failure]:
    # The report is Saxon's own text; still nothing of it is looked up elsewhere.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    for found in etree.fromstring(report.encode(), parser).iter(f"{_REPORT}failed-assert"):
        rule, text = found.get("id", ""), found.find(f"{_REPORT}text")
        said = " ".join("".join(text.itertext()).split()) if text is not None else ""
        yield Failure(
            rule=rule,
            flag=found.get("flag", FATAL),
            location=_NAMESPACE.sub("", found.get("location", "")),
            text=said.removeprefix(f"[{rule}]-"),
        )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
