"""Records: what section 0 says, how a record is sealed for its readers, and how a reader opens it.

`meta` is section 0, `sealer` the writer's side, many records at a time, `opening` the reader's, one at a time.

Spec: docs/spec/record.md.
"""

from ledger.record.meta import (
    META_NAMES,
    OWN_NAMES,
    Link,
    Meta,
    check_links,
    check_meta_field,
    decode_meta,
    encode_links,
    encode_meta,
    is_type,
)
from ledger.record.opening import Opened, check_ciphertext, glance_record, open_record
from ledger.record.sealer import Draft, Measure, Sealed, Sealer, Statement

__all__ = [
    "META_NAMES",
    "OWN_NAMES",
    "Draft",
    "Link",
    "Measure",
    "Meta",
    "Opened",
    "Sealed",
    "Sealer",
    "Statement",
    "check_ciphertext",
    "check_links",
    "check_meta_field",
    "decode_meta",
    "encode_links",
    "encode_meta",
    "glance_record",
    "is_type",
    "open_record",
]
