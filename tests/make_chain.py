"""One purchase in UBL, of made-up firms: 100 kg ordered, sent and billed, 90 kg received, all of it paid."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.make_documents import ubl

ORDER: Final = "PO-2041"
INVOICE: Final = "INV-880"
STEPS: Final = ("order", "despatch", "receipt", "invoice", "payment")
_REFERENCE: Final = f"<cac:OrderReference><cbc:ID>{ORDER}</cbc:ID></cac:OrderReference>"
_OF_LINE: Final = "<cac:OrderLineReference><cbc:LineID>1</cbc:LineID></cac:OrderLineReference>"


def _head(name: str, day: int) -> str:
    return f"<cbc:ID>{name}</cbc:ID><cbc:IssueDate>2026-03-{day}</cbc:IssueDate>"


def _pounds(name: str, value: str) -> str:
    return f'<cbc:{name}Amount currencyID="GBP">{value}</cbc:{name}Amount>'


def _kilograms(name: str, value: int) -> str:
    return f'<cbc:{name}Quantity unitCode="KGM">{value}</cbc:{name}Quantity>'


_CURRENCY: Final = "<cbc:DocumentCurrencyCode>GBP</cbc:DocumentCurrencyCode>"
_DOCUMENTS: Final = {
    "order": ubl(
        "Order",
        f"{_head(ORDER, 20)}{_CURRENCY}<cac:OrderLine><cac:LineItem><cbc:ID>1</cbc:ID>{_kilograms('', 100)}"
        f"{_pounds('LineExtension', '100.00')}<cac:Price>{_pounds('Price', '1.00')}</cac:Price>"
        "</cac:LineItem></cac:OrderLine>",
    ),
    "despatch": ubl(
        "DespatchAdvice",
        f"{_head('DA-77', 20)}{_REFERENCE}<cac:DespatchLine><cbc:ID>1</cbc:ID>{_kilograms('Delivered', 100)}"
        f"{_OF_LINE}</cac:DespatchLine>",
    ),
    "receipt": ubl(
        "ReceiptAdvice",
        f"{_head('RA-51', 21)}{_REFERENCE}<cac:ReceiptLine><cbc:ID>1</cbc:ID>{_kilograms('Received', 90)}"
        "</cac:ReceiptLine>",
    ),
    "invoice": ubl(
        "Invoice",
        f"{_head('INV-880', 21)}{_CURRENCY}{_REFERENCE}<cac:AllowanceCharge>"
        f"<cbc:ChargeIndicator>false</cbc:ChargeIndicator>{_pounds('', '10.00')}</cac:AllowanceCharge>"
        f"<cac:TaxTotal>{_pounds('Tax', '17.50')}</cac:TaxTotal>"
        f"<cac:LegalMonetaryTotal>{_pounds('Payable', '107.50')}</cac:LegalMonetaryTotal>"
        f"<cac:InvoiceLine><cbc:ID>A</cbc:ID>{_kilograms('Invoiced', 100)}{_pounds('LineExtension', '100.00')}"
        f"{_OF_LINE}</cac:InvoiceLine>",
    ),
    "payment": ubl(
        "RemittanceAdvice",
        f"{_head('RM-12', 22)}<cac:RemittanceAdviceLine><cbc:ID>1</cbc:ID>{_pounds('DebitLine', '107.50')}"
        "<cac:BillingReference><cac:InvoiceDocumentReference><cbc:ID>INV-880</cbc:ID>"
        "</cac:InvoiceDocumentReference></cac:BillingReference></cac:RemittanceAdviceLine>",
    ),
}


def write_chain(folder: Path, *, order: str = ORDER, invoice: str = INVOICE) -> list[Path]:
    """The documents as files, in the order of `STEPS`. The payment names no order: UBL has no place for it."""
    files = [folder / f"{step}.xml" for step in STEPS]
    for step, file in zip(STEPS, files, strict=True):
        file.write_bytes(
            _DOCUMENTS[step].replace(ORDER.encode(), order.encode()).replace(INVOICE.encode(), invoice.encode())
        )
    return files
