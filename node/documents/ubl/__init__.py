"""UBL 2.0 and 2.1: orders, despatch and receipt advices, invoices, credit notes and answers to them."""

from __future__ import annotations

from node.documents.ubl.amounts import Amount, rebuild_amounts
from node.documents.ubl.kinds import KINDS
from node.documents.ubl.orders import add_order, named_orders
from node.documents.ubl.reading import Document, read

__all__ = ["KINDS", "Amount", "Document", "add_order", "named_orders", "read", "rebuild_amounts"]
