"""Terms of a contract, checked against the JSON Schema that its author wrote for them.

For authors and proposers: no node needs it. A schema fetches nothing, whatever it refers to.

Spec: docs/spec/contract-cases.md, "Terms".
"""

from __future__ import annotations

from ledger import limits
from ledger.errors import BadInput
from ledger.fields import encode_pointer
from ledger.jsontext import check_strict, parse

_MESSAGE_LETTERS_MAX = 300


class TermsWrong(BadInput):
    code = "terms-wrong"
    template = "{where}: {reason}"
    hint = "The contract's NAME.schema.json says what its terms may be."


class SchemaWrong(BadInput):
    code = "schema-wrong"
    template = "{where} is no JSON Schema: {reason}"
    hint = "Write it in JSON Schema 2020-12, without references to other files."


def check_terms(terms: bytes, schema: bytes | None, *, where: str = "terms", schema_name: str = "the schema") -> None:
    """Raise unless the terms are one strict JSON object, and what the schema wants. Raises: TermsWrong, SchemaWrong."""
    try:
        check_strict(terms)
    except BadInput as cause:
        raise TermsWrong(where=where, reason=str(cause)) from cause
    if terms[:1] != b"{":
        raise TermsWrong(where=where, reason="they are no object")
    if schema is not None:
        _check_schema(terms, schema, where=where, schema_name=schema_name)


def _check_schema(terms: bytes, schema: bytes, *, where: str, schema_name: str) -> None:
    # Only authors need it, and it takes as long to load as all the rest.
    import referencing.exceptions
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError, best_match
    from referencing.jsonschema import EMPTY_REGISTRY

    try:
        wanted = parse(schema, bytes_max=limits.BODY_BYTES_MAX)
        Draft202012Validator.check_schema(wanted)
        # With a registry of its own: the one it has otherwise would open connections for references.
        fault = best_match(Draft202012Validator(wanted, registry=EMPTY_REGISTRY).iter_errors(parse(terms)))
    except SchemaError as cause:
        raise SchemaWrong(where=schema_name, reason=cause.message[:_MESSAGE_LETTERS_MAX]) from cause
    except BadInput as cause:
        raise SchemaWrong(where=schema_name, reason=str(cause)) from cause
    except RecursionError as cause:
        raise SchemaWrong(where=schema_name, reason="it refers to itself without end") from cause
    except referencing.exceptions.Unresolvable as cause:
        raise SchemaWrong(where=schema_name, reason=f"it refers to {cause.ref!r}, which it does not have") from cause
    if fault is not None:
        path = encode_pointer(str(step) for step in fault.absolute_path)
        place = f"{where} at {path}" if path else where
        raise TermsWrong(where=place, reason=fault.message[:_MESSAGE_LETTERS_MAX])
