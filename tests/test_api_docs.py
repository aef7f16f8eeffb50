"""What is written of the API is what the program does: every route, every error code, every table."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ledger import limits
from ledger.errors import BadInput, TallyError
from node import serving
from node.api import bulk
from node.api.errors import problem, respond, status_of
from node.app import create_app
from node.node import Node
from node.tokens import Scope
from tests import make_api_reference as reference
from tests import nodes
from tests.source import modules


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return reference.document()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(reference.PAGES))
def test_the_page_is_what_the_program_says(name: str) -> None:
    text = (reference.REFERENCE / name).read_text(encoding="utf-8")
    assert text.partition(reference.MARKER)[2] == reference.PAGES[name](), "python -m tests.make_api_reference"


@pytest.mark.slow
def test_every_route_is_described(document: dict[str, Any], tmp_path: Path) -> None:
    node = Node.open(nodes.found("fishery").folder(tmp_path, "fishery"))
    found = reference.routes_of(create_app(node).routes)
    described = {
        (method.upper(), path.replace("{log}", "{log:path}"))
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert found == described
    node.close()


def test_every_route_says_what_it_does_and_how_it_fails(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["description"].endswith("."), (method, path)
            if path == "/health":
                continue
            codes = {
                code
                for status, answer in operation["responses"].items()
                if int(status) >= 400
                for code in answer["content"]["application/problem+json"]["schema"]["properties"]["code"]["enum"]
            }
            assert {"token-refused", "scope-missing", "internal"} <= codes, (method, path)
            assert "requestBody" not in operation or {"media-type", "too-large", "upload-truncated"} <= codes


def test_every_answer_with_a_body_has_a_schema_and_every_schema_that_is_named_is_there(
    document: dict[str, Any],
) -> None:
    bare = {
        (path, kind)
        for path, operations in document["paths"].items()
        for operation in operations.values()
        for answer in operation["responses"].values()
        for kind, content in answer.get("content", {}).items()
        if not content["schema"]
    }
    # These are the documents of other pages: docs/spec, and OpenAPI itself.
    assert bare == {
        (f"/api/v1{path}", "application/json")
        for path in ("/openapi.json", "/network", "/records/{log}/{index}/receipt")
    }
    named = set(re.findall(r"'#/components/schemas/(\w+)'", str(document)))
    assert named == document["components"]["schemas"].keys()


def test_no_two_errors_share_a_code() -> None:
    repeated = [code for code, count in Counter(error.code for error in reference.errors()).items() if count > 1]
    assert repeated == []


def test_every_error_says_what_to_do_and_is_of_a_kind_that_has_a_status() -> None:
    assert len(reference.errors()) > 60
    for error in reference.errors():
        assert re.fullmatch(r"[a-z][a-z-]{2,40}", error.code), error
        assert 400 <= status_of(error) < 600
        assert not error.template.endswith("."), error


@pytest.mark.slow
def test_every_error_class_has_a_code_of_its_own() -> None:
    # By its text, as a class that nobody imports is in no list of subclasses.
    known = {error.__name__ for error in reference.errors()}
    for module in modules("ledger", "contracts", "node"):
        for found in ast.walk(module.tree):
            if isinstance(found, ast.ClassDef) and any(
                isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "") == "template" for line in found.body
            ):
                assert found.name in known | {"TallyError", "NodeRefused"}, f"{module.path} {found.name}"


def test_the_pages_name_the_limits_that_hold() -> None:
    text = (reference.REFERENCE / "api.md").read_text(encoding="utf-8")
    for words in (
        f"{bulk.LINES_MAX:,} lines",
        f"{limits.LINE_BYTES_MAX >> 10:,} KiB",
        f"{serving.HEAD_BYTES_MAX >> 10} KiB",
        f"more than {serving.HEADERS_MAX} header fields",
        f"longer than {serving.HEAD_S:.0f} s",
        *(f"| `{scope.value}` |" for scope in Scope),
    ):
        assert words in text, words


class Overlapping(BadInput):
    code = "overlapping"
    template = "{type} {status} {detail} {name}"
    hint = "Nothing."


def test_a_field_never_hides_a_member_of_the_problem() -> None:
    found = problem(Overlapping(type="a", status=1, detail=None, name="x" * 5000))
    assert (found["type"], found["status"], found["detail"][:8]) == ("/errors/overlapping", 400, "a 1 None")
    assert (found["type_"], found["status_"], found["detail_"]) == ("a", 1, None)
    assert len(found["name"]) == len(found["detail"]) == 1000


@pytest.mark.slow
@pytest.mark.parametrize("value", ["\ud800", b"\xff", {"a": 1}, 1.5, Path("x"), ("a", 2), None])
def test_whatever_a_field_is_the_problem_can_be_sent(value: object) -> None:
    class Odd(TallyError):
        code = "odd"
        template = "{value!r}"

    assert respond(Odd(value=value)).status_code == 500
