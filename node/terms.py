"""Terms of a contract, checked against the JSON Schema that its author wrote for them.

For authors and proposers: no node needs it. A schema fetches nothing, whatever it refers to.

Spec: docs/spec/contract-cases.md, "Terms".
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from contracts import limits as contract_limits
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


class SchemaSlow(BadInput):
    code = "schema-slow"
    template = "{where}: to check terms by it takes more than {limit} seconds of computing"
    hint = "Look for a pattern that repeats what repeats, as ^(a+)+$ does, and for $defs that each name others twice."


def check_terms(terms: bytes, schema: bytes | None, *, where: str = "terms", schema_name: str = "the schema") -> None:
    """Raise unless the terms are one strict JSON object, and what the schema wants. Raises: TermsWrong, SchemaWrong,
    SchemaSlow.
    """
    try:
        check_strict(terms)
    except BadInput as cause:
        raise TermsWrong(where=where, reason=str(cause)) from cause
    if terms[:1] != b"{":
        raise TermsWrong(where=where, reason="they are no object")
    if schema is not None:
        _check_schema(terms, schema, where=where, schema_name=schema_name)


def check_schema(schema: bytes, *, name: str) -> Any:
    """The schema as a value. Raises: SchemaWrong, SchemaSlow."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        with _in_time(name):
            wanted = parse(schema, bytes_max=limits.BODY_BYTES_MAX)
            Draft202012Validator.check_schema(wanted)
    except SchemaError as cause:
        place = encode_pointer(str(step) for step in cause.absolute_path)
        reason = cause.message[:_MESSAGE_LETTERS_MAX] + (f" at {place}" if place else "")
        raise SchemaWrong(where=name, reason=reason) from cause
    except BadInput as cause:
        raise cause if isinstance(cause, SchemaSlow) else SchemaWrong(where=name, reason=str(cause)) from cause
    return wanted


def _check_schema(terms: bytes, schema: bytes, *, where: str, schema_name: str) -> None:
    # Only authors need it, and it takes as long to load as all the rest.
    import referencing.exceptions
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from referencing.jsonschema import EMPTY_REGISTRY

    wanted = check_schema(schema, name=schema_name)
    given = parse(terms)
    try:
        with _in_time(schema_name):
            # With a registry of its own: the one it has otherwise would open connections for references.
            fault = best_match(Draft202012Validator(wanted, registry=EMPTY_REGISTRY).iter_errors(given))
    except RecursionError as cause:
        raise SchemaWrong(where=schema_name, reason="it refers to itself without end") from cause
    except referencing.exceptions.Unresolvable as cause:
        raise SchemaWrong(where=schema_name, reason=f"it refers to {cause.ref!r}, which it does not have") from cause
    except ArithmeticError as cause:
        raise TermsWrong(where=where, reason="a number has too many digits to be checked by multipleOf") from cause
    if fault is not None:
        path = encode_pointer(str(step) for step in fault.absolute_path)
        place = f"{where} at {path}" if path else where
        raise TermsWrong(where=place, reason=fault.message[:_MESSAGE_LETTERS_MAX])


class _Late(BaseException):
    """No `except Exception` on the way may take it for an answer."""


@contextmanager
def _in_time(name: str) -> Iterator[None]:
    """End what takes too long: a pattern that goes back and forth, references that double. Raises: SchemaSlow.

    By the time that this process computes, so that a busy machine refuses no more than another. Python's patterns look
    for signals on their way. Only the main thread gets any, and whoever runs contracts for authors is one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_: int, __: object) -> None:
        raise _Late

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, contract_limits.TERMS_CHECK_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except _Late:
        raise SchemaSlow(where=name, limit=contract_limits.TERMS_CHECK_S) from None
    finally:
        signal.signal(signal.SIGVTALRM, before)
