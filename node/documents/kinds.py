"""Kinds of documents that become inputs of contracts, as the command line names them."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a path holds."""

    UBL = "ubl"
    PURCHASES = "purchases"
    SHIPMENTS = "shipments"
    EVENTS = "events"


class Encoding(StrEnum):
    """How the letters of a delivery history were written, in Python's names."""

    UTF_8 = "utf-8-sig"
    WINDOWS = "cp1252"
    LATIN = "latin-1"
