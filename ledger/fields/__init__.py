"""Fields: which parts of a body are shared with whom, cut out and put together again.

`patterns` answers who reads what, `cutting` takes a body apart, `joining` puts what a
reader holds together, `scan` finds the exact bytes. Nothing here knows members, keys
or sections: audiences are sets of roles, and the empty set is the author alone.

Spec: docs/spec/fields.md.
"""

from ledger.fields.cutting import Field, Parts, cut, cut_parts
from ledger.fields.joining import join
from ledger.fields.patterns import (
    Pattern,
    Rules,
    Shape,
    audience_of,
    compile_rules,
    decode_pointer,
    encode_pointer,
    is_flat,
    parse_pattern,
    unite,
)

__all__ = [
    "Field",
    "Parts",
    "Pattern",
    "Rules",
    "Shape",
    "audience_of",
    "compile_rules",
    "cut",
    "cut_parts",
    "decode_pointer",
    "encode_pointer",
    "is_flat",
    "join",
    "parse_pattern",
    "unite",
]
