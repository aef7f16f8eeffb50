"""The kinds of UBL documents that are read: what each is as an input of a contract, and who files it by custom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_SCHEMAS: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
AGGREGATE: Final = _SCHEMAS + "CommonAggregateComponents-2"
BASIC: Final = _SCHEMAS + "CommonBasicComponents-2"
EXTENSION: Final = _SCHEMAS + "CommonExtensionComponents-2"


@dataclass(frozen=True, slots=True)
class Kind:
    """type: of the record. role: of who issues such documents, in the contracts of the library."""

    type: str
    role: str


KINDS: Final[Mapping[str, Kind]] = {
    "Order": Kind("order", "buyer"),
    "OrderChange": Kind("order-change", "buyer"),
    "OrderCancellation": Kind("order-cancellation", "buyer"),
    "OrderResponse": Kind("order-response", "seller"),
    "OrderResponseSimple": Kind("order-response", "seller"),
    "DespatchAdvice": Kind("despatch", "seller"),
    "ReceiptAdvice": Kind("receipt", "buyer"),
    "Invoice": Kind("invoice", "seller"),
    "CreditNote": Kind("credit-note", "seller"),
    "SelfBilledInvoice": Kind("invoice", "buyer"),
    "SelfBilledCreditNote": Kind("credit-note", "buyer"),
    "RemittanceAdvice": Kind("payment", "buyer"),
    "ApplicationResponse": Kind("invoice-response", "buyer"),
}
"""Name of the outermost element -> kind."""


def namespace_of(kind: str) -> str:
    """The namespace of the outermost element of that name, for all versions 2.x."""
    return f"{_SCHEMAS}{kind}-2"
