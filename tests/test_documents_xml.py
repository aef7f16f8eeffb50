"""XML of strangers can do nothing but be read: each attack and each damage is refused with what to do."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from ledger import limits
from ledger.errors import TallyError, TooLarge
from ledger.jsontext import check_strict
from node.documents import safexml
from node.documents.faults import XmlEncoding, XmlMalformed, XmlRefused
from node.documents.safexml import decode, read_xml
from node.documents.ubl import read
from tests.make_documents import ubl

NOTE = "<cbc:Note>{}</cbc:Note>"
DECLARED = '<?xml version="1.0" encoding="{}"?>\n'


def note(file: bytes) -> str:
    return str(json.loads(read(file).body)["Note"][0])


# --- attacks ------------------------------------------------------------------------------

LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
DOCUMENT_TYPES = {
    "billion laughs": f'<!DOCTYPE Invoice [<!ENTITY a0 "ha">{LAUGHS}]>',
    "external entity": '<!DOCTYPE Invoice [<!ENTITY a9 SYSTEM "file:///etc/passwd">]>',
    "parameter entity": '<!DOCTYPE Invoice [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;]>',
    "external subset": '<!DOCTYPE Invoice SYSTEM "http://127.0.0.1:9/x.dtd">',
    "public identifier": '<!DOCTYPE Invoice PUBLIC "-//X//Y" "http://127.0.0.1:9/x.dtd">',
    "default attribute": '<!DOCTYPE Invoice [<!ATTLIST Invoice a CDATA "b">]>',
    "empty": "<!DOCTYPE Invoice>",
    "after comments": "<!-- <Invoice> -->\n<?xml-stylesheet href='x'?> <!----><!DOCTYPE Invoice []>",
}


@pytest.mark.parametrize("document_type", DOCUMENT_TYPES.values(), ids=DOCUMENT_TYPES)
@pytest.mark.parametrize("declaration", ["", DECLARED.format("UTF-8")])
def test_document_type_is_refused_before_anything_is_expanded(document_type: str, declaration: str) -> None:
    with pytest.raises(XmlRefused, match=r"^a document type \(DOCTYPE\) in line \d: ") as refused:
        read(ubl("Invoice", NOTE.format("&a9;"), before=declaration + document_type))
    assert refused.value.hint


def test_document_type_is_refused_in_every_encoding() -> None:
    text = ubl("Invoice", "", before=DECLARED.format("UTF-16") + "<!DOCTYPE Invoice []>").decode()
    with pytest.raises(XmlRefused):
        read(text.encode("utf-16"))


def test_words_of_a_document_type_in_a_text_are_a_text() -> None:
    assert note(ubl("Invoice", NOTE.format("<![CDATA[<!DOCTYPE a [<!ENTITY b 'c'>]>]]>"))).startswith("<!DOCTYPE a")


def test_entities_that_xml_itself_has_are_read() -> None:
    assert note(ubl("Invoice", NOTE.format("&lt;&amp;&#65;&#x42;"))) == "<&AB"


@pytest.mark.parametrize("year", [2001, 2003])
def test_inclusion_is_refused(year: int, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    include = f'<xi:include xmlns:xi="http://www.w3.org/{year}/XInclude" href="{tmp_path}/secret.txt" parse="text"/>'
    for inside in (NOTE.format(include), f"<ext:UBLExtensions>{include}</ext:UBLExtensions>"):
        with pytest.raises(XmlRefused, match="XInclude"):
            read(ubl("Invoice", inside))


@pytest.mark.parametrize(
    ("before", "inside", "after"),
    [
        ("", NOTE.format("<?php system('x') ?>"), ""),
        ("", "<ext:UBLExtensions><?a b?></ext:UBLExtensions>", ""),
        ("<?php x ?>", "", ""),
        ("", "", "<?a b?>"),
        ("", "", "<?xml-stylesheet href='a'?>"),
    ],
)
def test_processing_instruction_is_refused(before: str, inside: str, after: str) -> None:
    with pytest.raises(XmlRefused, match="a processing instruction in line"):
        read(ubl("Invoice", inside, before=before) + after.encode())


def test_style_sheet_for_people_is_left_out_with_a_note() -> None:
    style = '<?xml-stylesheet type="text/xsl" href="http://127.0.0.1:9/x.xsl"?>'
    assert read(ubl("Invoice", "", before=DECLARED.format("UTF-8") + style)).left_out == {"xml-stylesheet": 1}


def test_comment_cannot_cut_a_value() -> None:
    assert note(ubl("Invoice", NOTE.format("1<!-- x -->00<!---->0"))) == "1000"


def test_schema_that_a_document_names_is_not_fetched() -> None:
    named = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="urn:x http://127.0.0.1:9/x.xsd"'
    file = ubl("Invoice", "<cbc:ID>1</cbc:ID>").replace(b"<Invoice ", b"<Invoice " + named.encode() + b" ")
    assert json.loads(read(file).body) == {"ID": "1"}


# --- bounds -------------------------------------------------------------------------------


def test_file_is_bounded_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    file = ubl("Invoice", "")
    monkeypatch.setattr(limits, "DOCUMENT_FILE_BYTES_MAX", len(file))
    assert read(file).body == b"{}"
    with pytest.raises(TooLarge, match="bytes, the limit is"):
        read(file + b" ")


@pytest.mark.parametrize(("more", "is_taken"), [(0, True), (1, False)])
def test_tags_and_attributes_are_bounded_before_they_are_parsed(
    monkeypatch: pytest.MonkeyPatch, more: int, is_taken: bool
) -> None:
    monkeypatch.setattr(limits, "DOCUMENT_PARTS_MAX", 100)
    # Two tags and two attributes; the rest are elements of two tags or attributes of one.
    file = b'<a b="" c="">' + b"<d/>" * 94 + b'<d e=""/>' + b"<d/>" * more + b"</a>"
    if is_taken:
        assert len(read_xml(file)) == 95
        return
    with pytest.raises(TooLarge, match="101 tags and attributes, the limit is 100"):
        read_xml(file)


@pytest.mark.parametrize("levels", [257, 30_000])
def test_deep_elements_are_refused(levels: int) -> None:
    with pytest.raises(TallyError) as refused:
        read(ubl("Invoice", "<cac:SubInvoiceLine>" * levels + "</cac:SubInvoiceLine>" * levels))
    assert refused.value.code in ("xml-malformed", "json-too-deep")


def test_hostile_beginning_costs_no_more_than_its_length() -> None:
    with pytest.raises(XmlMalformed):
        read_xml(b"<!---->" * 200_000 + b"<?a?>" * 10_000)
    with pytest.raises(XmlMalformed):
        read_xml(b"<?xml " + b" " * 1_000_000)


def test_long_names_are_cut_in_messages() -> None:
    file = ubl("Invoice", f"<{'a' * 40_000} xmlns='urn:x'/>")
    with pytest.raises(TallyError) as refused:
        read(file)
    assert len(str(refused.value)) < 600
    assert max(map(len, read(ubl("Invoice", f"<cbc:{'A' * 40_000}/>")).left_out)) <= 500


# --- damage -------------------------------------------------------------------------------


def test_every_file_that_is_cut_off_is_refused() -> None:
    file = ubl("Invoice", "<cbc:ID>1</cbc:ID>" + NOTE.format("ä <![CDATA[x]]> &amp;"))
    for length in range(len(file)):
        with pytest.raises((XmlMalformed, XmlEncoding)) as refused:
            read(file[:length])
        assert refused.value.hint


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"  \n",
        b'{"type": "invoice"}',
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"<a><b></a></b>",
        b"<a/><b/>",
        b"<a b='1' b='2'/>",
        b"<a>&x;</a>",
        b"<a>&#0;</a>",
        b"<a>\x01</a>",
        b"<a>\xef\xbf\xbf</a>",
        b"<a><c:b/></a>",
        b"<a></a>x",
        b"<a <b/></a>",
        b"<!DOCTYP a><a/>",
        b"\n<?xml version='1.0'?><a/>",
    ],
)
def test_what_is_no_xml_is_refused_with_the_place(file: bytes) -> None:
    with pytest.raises(XmlMalformed, match=r"^not well-formed XML, line \d+ column \d+: [^\n]+$") as refused:
        read(file)
    assert "line" not in str(refused.value.fields["reason"]).partition(" in data of tag ")[2]


# --- letters ------------------------------------------------------------------------------

TEXT = "Grünkohl, 5 €"


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("UTF-8", "utf-8"),
        ("utf-8", "utf-8-sig"),
        (None, "utf-8"),
        (None, "utf-8-sig"),
        (None, "utf-16"),
        ("UTF-16", "utf-16"),
        ("ISO-8859-15", "iso8859-15"),
        ("windows-1252", "cp1252"),
    ],
)
def test_letters_are_those_of_the_declared_encoding(declared: str | None, encoding: str) -> None:
    before = DECLARED.format(declared) if declared else ""
    assert note(ubl("Invoice", NOTE.format(TEXT), before=before).decode().encode(encoding)) == TEXT


def test_utf_16_is_read_in_both_orders() -> None:
    text = ubl("Invoice", NOTE.format(TEXT), before=DECLARED.format("UTF-16")).decode()
    assert note(b"\xfe\xff" + text.encode("utf-16-be")) == note(b"\xff\xfe" + text.encode("utf-16-le")) == TEXT


def test_ascii_and_latin_are_read() -> None:
    for declared in ("US-ASCII", "ISO-8859-1"):
        assert note(ubl("Invoice", NOTE.format("a&#8364;"), before=DECLARED.format(declared))) == "a€"


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (ubl("Invoice", NOTE.format("ü")).decode().encode("latin-1"), "is not UTF-8"),
        (ubl("Invoice", NOTE.format("ü"), before=DECLARED.format("US-ASCII")), "is not ASCII"),
        (ubl("Invoice", "", before=DECLARED.format("UTF-7")), "'utf-7' is not read here"),
        (ubl("Invoice", "", before=DECLARED.format("UTF-16")), "'utf-16' is not read here"),
        (ubl("Invoice", "", before=DECLARED.format("EBCDIC-CP-US")), "'ebcdic-cp-us' is not read here"),
        (ubl("Invoice", "", before=DECLARED.format("")), "'' is not read here"),
        (ubl("Invoice", "", before=DECLARED.format("UTF-16")).decode().encode("utf-8-sig"), "the mark of UTF-8"),
        (ubl("Invoice", "").decode().encode("utf-16"), "the mark of UTF-16"),
        (ubl("Invoice", "", before="").decode().encode("utf-16-le"), "without a byte order mark"),
        (ubl("Invoice", "", before="").decode().encode("utf-32"), ""),
        (ubl("Invoice", "", before="").decode().encode("utf-16")[:-1], "is not UTF-16"),
        (b"\xef\xbb\xbf\xef\xbb\xbf<a/>", "two byte order marks"),
        (b"\xef\xbb\xbf\xef\xbb\xbf<!DOCTYPE a []><a/>", "two byte order marks"),
    ],
)
def test_letters_that_are_not_what_the_file_says_are_refused(file: bytes, reason: str) -> None:
    with pytest.raises((XmlEncoding, XmlMalformed, XmlRefused) if not reason else XmlEncoding) as refused:
        read(file)
    assert reason in str(refused.value)
    assert refused.value.hint


def test_places_stay_where_they_are_in_the_file() -> None:
    assert decode(b'<?xml version="1.0"\n encoding="UTF-8"?><a/>').endswith(" <a/>")
    with pytest.raises(XmlMalformed, match="line 2 column 8:"):
        read_xml(DECLARED.format("UTF-8").encode() + b"<a><b>x")


def test_parser_is_told_to_fetch_nothing() -> None:
    text = Path(safexml.__file__).read_text(encoding="utf-8")
    for words in ("resolve_entities=False", "load_dtd=False", "no_network=True", "huge_tree=False", "recover=False"):
        assert words in text


# --- anything -----------------------------------------------------------------------------


def test_changed_bytes_are_read_or_refused_and_never_anything_else(seed: int) -> None:
    random = Random(seed)
    line = "<cbc:LineExtensionAmount currencyID='EUR'>1.50</cbc:LineExtensionAmount><cac:Item/>"
    inside = f"{NOTE.format('ä')}<cac:InvoiceLine>{line}</cac:InvoiceLine><cbc:IssueDate>2026-03-01</cbc:IssueDate>"
    file = ubl("Invoice", inside)
    pieces = (b"<", b">", b"&", b"]]>", b"<!--", b"<?", b"\xff", b"\0", b"'", b"xmlns", b"cbc:", b"/", b"=")
    for _ in range(3000):
        changed = bytearray(file)
        for _ in range(random.randint(1, 3)):
            place = random.randrange(len(changed))
            changed[place : place + random.randint(0, 4)] = random.choice((*pieces, random.randbytes(1)))
        with suppress(TallyError):
            check_strict(read(bytes(changed)).body)
