"""JSON Schema validators. The library is loaded when one is made: that takes seconds, and most runs make none."""

from __future__ import annotations

from typing import Any


def draft7(schema: Any) -> Any:
    """A validator that also judges what has a format; without the packages that judge URIs and times it fails."""
    from jsonschema import Draft7Validator

    formats = Draft7Validator.FORMAT_CHECKER
    assert {"uri", "date-time"} <= set(formats.checkers)
    return Draft7Validator(schema, format_checker=formats)


def draft2020(schema: Any) -> Any:
    """A validator; fails where `schema` is none."""
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)
