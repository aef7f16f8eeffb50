"""Writes the parts of docs/reference/api.md and errors.md that a program can write: every route, every error.

`python -m tests.make_api_reference` renews the pages; test_api_docs compares.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from fastapi.routing import APIRoute

import contracts
import ledger
import node
from ledger.errors import TallyError
from node.api.errors import status_of
from node.api.routes import EVERYWHERE
from node.app import create_app
from node.node import Node
from tests import nodes
from tests.source import ROOT

REFERENCE: Final = ROOT / "docs" / "reference"
MARKER: Final = "<!-- From here on written by `python -m tests.make_api_reference`; a test compares. -->\n"
_PLACEHOLDER: Final = re.compile(r"\{(\w+)(?:![rsa])?\}")


def document() -> dict[str, Any]:
    """The OpenAPI document; it is the same for every node."""
    with tempfile.TemporaryDirectory() as root:
        found = Node.open(nodes.found("fishery").folder(Path(root), "fishery"))
        try:
            return create_app(found).openapi()
        finally:
            found.close()


def errors() -> list[type[TallyError]]:
    """Every error of the program that has a code of its own, by code."""
    for package in (ledger, contracts, node):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not {"migrations", "guest"}.intersection(module.name.split(".")) and not module.name.endswith(
                ".__main__"
            ):
                importlib.import_module(module.name)
    found = {error for error in _subclasses(TallyError) if "code" in vars(error) and _is_ours(error)}
    return sorted(found, key=lambda error: (error.code, error.__module__))


def _subclasses(error: type[TallyError]) -> Iterator[type[TallyError]]:
    for below in error.__subclasses__():
        yield below
        yield from _subclasses(below)


def _is_ours(error: type[TallyError]) -> bool:
    return error.__module__.partition(".")[0] in ("ledger", "contracts", "node")


# --- routes ---------------------------------------------------------------------------------


def render_routes() -> str:
    found = document()
    lines = ["", "## Routes", "", "Besides what is listed, any path may answer " + _codes_of(EVERYWHERE) + "."]
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            lines += _route(method.upper(), path, operation)
    return "\n".join(lines) + "\n"


def _route(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield from ("", f"### {method} {path}", "", operation["description"])
    scopes = [scope for entry in operation.get("security", []) for scope in entry["token"]]
    needs = " or ".join(f"`{scope}`" for scope in scopes) or ("any token" if operation.get("security") else "no token")
    yield from ("", f"Needs {needs}.")
    if "requestBody" in operation:
        yield from ("", "Takes " + " or ".join(f"`{kind}`" for kind in operation["requestBody"]["content"]) + ".")
    parameters = [given for given in operation.get("parameters", []) if given["in"] != "path"]
    if parameters:
        yield from ("", "| parameter | | |", "|---|---|---|")
        for given in parameters:
            schema = given["schema"]
            yield f"| `{given['name']}` | {_kind(schema, given['in'])} | {given.get('description', '')} |"
    yield from ("", "| answer | |", "|---|---|")
    for status, answer in operation["responses"].items():
        if int(status) < 400:
            yield f"| {status} | {answer['description']} |"
        else:
            (content,) = answer["content"].values()
            yield f"| {status} | {', '.join(f'`{code}`' for code in content['schema']['properties']['code']['enum'])} |"


def _kind(schema: dict[str, Any], place: str) -> str:
    inner = next((option for option in schema.get("anyOf", []) if option.get("type") != "null"), schema)
    kind = " or ".join(f"`{value}`" for value in inner["enum"]) if "enum" in inner else inner["type"]
    bounds = [str(inner[name]) for name in ("minimum", "maximum") if name in inner]
    default = schema.get("default")
    parts = [place if place != "query" else "", kind, f"{' to '.join(bounds)}" if bounds else ""]
    parts.append(f"default {str(default).lower()}" if default not in (None, [], False) else "")
    return ", ".join(part for part in parts if part)


def _codes_of(found: tuple[type[TallyError], ...]) -> str:
    return " and ".join(f"{status_of(error)} `{error.code}`" for error in found)


# --- errors ---------------------------------------------------------------------------------


def render_errors() -> str:
    answered = codes_over_http()
    lines = ["", "| code | HTTP | says | what to do |", "|---|---|---|---|"]
    for error in errors():
        status = str(status_of(error)) if error.code in answered else ""
        lines.append(f"| `{error.code}` | {status} | {_plain(error.template)} | {_plain(error.hint)} |")
    return "\n".join(lines) + "\n"


def codes_over_http() -> set[str]:
    """Codes that a route of the partner API may answer with."""
    found = {error.code for error in EVERYWHERE}
    for operations in document()["paths"].values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    (content,) = answer["content"].values()
                    found.update(content["schema"]["properties"]["code"]["enum"])
    return found


def _plain(text: str) -> str:
    return _PLACEHOLDER.sub(lambda found: f"*{found[1]}*", text).replace("|", "\\|")


# --- pages ----------------------------------------------------------------------------------

PAGES: Final = {"api.md": render_routes, "errors.md": render_errors}


def write() -> None:
    for name, render in PAGES.items():
        page = REFERENCE / name
        text = page.read_text(encoding="utf-8")
        page.write_text(text[: text.index(MARKER)] + MARKER + render(), encoding="utf-8")


def routes_of(routes: Iterable[Any]) -> set[tuple[str, str]]:
    """Every route of an app or router, described or not."""
    found: set[tuple[str, str]] = set()
    for route in routes:
        if isinstance(route, APIRoute):
            found |= {(method, route.path) for method in route.methods or ()}
        else:
            found |= routes_of(route.original_router.routes)
    return found


if __name__ == "__main__":
    write()
