"""Cards: a member's own document, signed by its root keys: the keys it works with and where its node answers.

`document` holds the text, `endpoint` the grammar of addresses, `rules` who must have
signed, what may follow what, and which key counts where.

Spec: docs/spec/card.md.
"""

from ledger.card.document import Card, Epoch, decode_card, encode_card, make_card
from ledger.card.endpoint import check_endpoint, is_loopback
from ledger.card.rules import (
    check_keys_distinct,
    contradict,
    extend_card_chain,
    log_key_at,
    sign_card,
    verify_card,
    verify_card_chain,
    verify_card_of,
)

__all__ = [
    "Card",
    "Epoch",
    "check_endpoint",
    "check_keys_distinct",
    "contradict",
    "decode_card",
    "encode_card",
    "extend_card_chain",
    "is_loopback",
    "log_key_at",
    "make_card",
    "sign_card",
    "verify_card",
    "verify_card_chain",
    "verify_card_of",
]
