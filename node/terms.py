"""Terms of a contract, checked against the JSON Schema that its author wrote for them.

For authors and proposers: no node needs it. A schema fetches nothing, whatever it refers to.

Spec: docs/spec/contract-cases.md, "Terms".
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from contracts import limits as contract_limits
from contracts.source import Finding
from contracts.source.asked import Asked, find_asked
from contracts.source.spelling import find_close
from ledger import limits
from ledger.errors import BadInput
from ledger.fields import encode_pointer
from ledger.jsontext import check_strict, parse

_MESSAGE_LETTERS_MAX: Final = 300
_AT_LINE: Final = re.compile(r"line (\d+) column")
_OPEN: Final = frozenset(("$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties"))
"""Words of the whole by which further members may be allowed."""
_MISLED: Final = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError, re.error)
"""What jsonschema raises on its way through a schema that its own check lets pass, or ends at."""


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
    except SchemaSlow:
        raise
    except BadInput as cause:
        raise SchemaWrong(where=name, reason=str(cause)) from cause
    except _MISLED as cause:
        raise SchemaWrong(where=name, reason=f"it cannot be read: {type(cause).__name__}: {cause}"[:200]) from cause
    return wanted


def lint_schema(schema: bytes, contract: str, *, name: str) -> list[Finding]:
    """Findings of the file `name`, which lies beside a contract. contract: its text."""
    try:
        wanted = check_schema(schema, name=name)
    except (SchemaWrong, SchemaSlow) as cause:
        reason = str(cause.fields["reason"]) if isinstance(cause, SchemaWrong) else str(cause)
        found = _AT_LINE.search(reason)
        message = f"this is no JSON Schema: {reason}" if isinstance(cause, SchemaWrong) else reason
        line = int(found[1]) if found else 1
        return [Finding(line=line, code=cause.code, message=message, instead=cause.hint[:1].lower() + cause.hint[1:])]
    asked = find_asked(contract)
    return [] if asked is None else sorted(_compare(schema, wanted, asked), key=lambda finding: finding.line)


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
    except _MISLED as cause:
        reason = "it refers to a part of itself that is no schema, or by a place that there cannot be"
        raise SchemaWrong(where=schema_name, reason=reason) from cause
    except ArithmeticError as cause:
        raise TermsWrong(where=where, reason="a number has too many digits to be checked by multipleOf") from cause
    if fault is not None:
        path = encode_pointer(str(step) for step in fault.absolute_path)
        place = f"{where} at {path}" if path else where
        raise TermsWrong(where=place, reason=fault.message[:_MESSAGE_LETTERS_MAX])


_AGAIN_S: Final = 0.1


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

    is_on = True

    def stop(_: int, __: object) -> None:
        if is_on:
            raise _Late

    before = signal.signal(signal.SIGVTALRM, stop)
    timer = (0.0, 0.0)
    try:
        # Again and again: what is raised while Python cleans something up is lost.
        timer = signal.setitimer(signal.ITIMER_VIRTUAL, contract_limits.TERMS_CHECK_S, _AGAIN_S)
        try:
            yield
        finally:
            is_on = False
    except _Late:
        is_on = False
        raise SchemaSlow(where=name, limit=contract_limits.TERMS_CHECK_S) from None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        signal.setitimer(signal.ITIMER_VIRTUAL, *timer)


def _compare(schema: bytes, wanted: Any, asked: Asked) -> Iterator[Finding]:
    """Members that one of the two has alone; nothing where it cannot be told what they have."""
    if not isinstance(wanted, dict) or _OPEN & wanted.keys() or not isinstance(wanted.get("properties"), dict):
        return
    known = wanted["properties"]
    for member in known.keys() - asked.texts if asked.is_whole else ():
        line = _find_line(schema, member)
        message = f"the contract never asks for terms[{member[:80]!a}]"
        yield _doubt(line, "term-unasked", message, "leave it out, or use it")
    if wanted.get("additionalProperties") is False:
        for member, line in asked.members.items():
            if member not in known:
                message = f"line {line} of the contract asks for terms[{member[:80]!a}], which is not allowed here"
                close = find_close(member, known)
                instead = (
                    "add it to properties" if close is None else f"ask for {close!a} there, or add it to properties"
                )
                yield _doubt(1, "term-unknown", message, instead)


def _find_line(schema: bytes, member: str) -> int:
    """Of the first place at which its name stands as a key."""
    found = re.search(rb'"%b"\s*:' % re.escape(member.encode()), schema)
    return 1 if found is None else schema.count(b"\n", 0, found.start()) + 1


def _doubt(line: int, code: str, message: str, instead: str) -> Finding:
    return Finding(line=line, code=code, message=message, instead=instead, is_error=False)
