"""What of the guest's build can be tested without its tools: what linking changes, what it refuses, what it needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest

from contracts.engine.cache import read_artifact
from contracts.guest import build, linking, tools
from contracts.guest.binary import (
    COMPONENT,
    MODULE,
    Unreadable,
    encode_name,
    encode_offset,
    encode_section,
    encode_vector,
    read_sections,
)
from contracts.guest.component import Component, Export, read_component
from tests.source import ROOT

WIT: Final = build.WIT.read_text(encoding="utf-8")
I32: Final = b"\x7f"


# --- core modules ------------------------------------------------------------------


def module(*sections: tuple[int, bytes]) -> bytes:
    return MODULE + b"".join(encode_section(kind, content) for kind, content in sections)


def an_import(where: str, name: str, what: bytes) -> bytes:
    return encode_name(where) + encode_name(name) + what


def an_export(name: str, kind: int, index: int) -> bytes:
    return encode_name(name) + bytes([kind, index])


BASE: Final = module(
    (0, encode_name("producers")),
    (6, encode_vector([I32 + b"\0" + encode_offset(4096), I32 + b"\1" + encode_offset(7)])),
    (7, encode_vector([an_export("base", 3, 0), an_export("top", 3, 1)])),
)
"""A constant and a variable; what a library is given."""

LIBRARY: Final = module(
    (2, encode_vector([an_import("env", "base", b"\3" + I32 + b"\0"), an_import("env", "run", b"\0\0")])),
    (6, encode_vector([I32 + b"\0" + bytes.fromhex("230041026a0b")])),
    (7, encode_vector([an_export("own", 3, 1)])),
    (9, encode_vector([b"\0" + bytes.fromhex("23000b") + encode_vector([b"\0"])])),
    (11, encode_vector([b"\0" + bytes.fromhex("23010b") + b"\2hi"])),
)


def split(*contents: bytes, **given_names: Export) -> list[bytes]:
    """The modules as they are merged; all but the first import from `env`, which has these names."""
    order: list[tuple[int, dict[str, Any]]] = [(0, {})]
    order += [(i, {"env": given_names}) for i in range(1, len(contents))]
    return [content for _, content in linking.split(Component(modules=list(contents), given=order), set())]


def sections(content: bytes) -> dict[int, bytes]:
    return dict(read_sections(content, start=MODULE, where="module"))


def test_imports_are_named_after_the_exports_that_they_are_given() -> None:
    _, library = split(BASE, LIBRARY, base=Export(0, "base"), run=Export(2, "start"))
    assert sections(library)[2] == encode_vector(
        [an_import("m0", "m0|base", b"\3" + I32 + b"\0"), an_import("m2", "m2|start", b"\0\0")]
    )
    assert sections(library)[7] == encode_vector([an_export("m1|own", 3, 1)])


def test_library_is_asked_for_room_by_way_of_what_looks_at_the_size() -> None:
    functions: set[Export] = set()
    asking = module((2, encode_vector([an_import("env", "malloc", b"\0\0"), an_import("env", "free", b"\0\0")])))
    given: dict[str, Any] = {"env": {"malloc": Export(0, "malloc"), "free": Export(0, "free")}}
    ((_, linked),) = linking.split(Component(modules=[asking], given=[(0, given)]), functions)
    expected = [an_import("sized", "malloc", b"\0\0"), an_import("m0", "m0|free", b"\0\0")]
    assert (sections(linked)[2], functions) == (encode_vector(expected), {Export(0, "malloc")})
    with pytest.raises(Unreadable, match="functions of the C library"):
        linking.find_library(functions)
    assert linking.find_library({Export(3, name) for name in ("malloc", "calloc", "realloc")}) == 3


def test_offsets_are_put_in_as_numbers_and_custom_sections_left_out() -> None:
    base, library = split(BASE, LIBRARY, base=Export(0, "base"), run=Export(0, "run"))
    assert 0 not in sections(base)
    assert sections(library)[6] == encode_vector([I32 + b"\0" + encode_offset(4098)])
    assert sections(library)[9] == encode_vector([b"\0" + encode_offset(4096) + b"\1\0"])
    assert sections(library)[11] == encode_vector([b"\0" + encode_offset(4098) + b"\2hi"])


def test_a_variable_is_no_offset() -> None:
    with pytest.raises(Unreadable, match="global 0, which is no constant"):
        split(BASE, LIBRARY, base=Export(0, "top"), run=Export(0, "run"))


@pytest.mark.parametrize(
    ("kind", "content", "met"),
    [
        (8, b"\0", "section 8 of core module 0.*not known here"),
        (13, b"\0", "section 13 of core module 0.*not known here"),
        (2, encode_vector([an_import("env", "x", b"\0\0")]), "an import of module 'env', which is not given"),
        (6, encode_vector([b"\x7e\0\x42\0\x0b"]), "type of global 0x7e"),
        (7, encode_vector([an_export("x", 4, 0)]), "kind of export 0x04"),
        (7, encode_vector([an_export("x", 3, 0)]), "index 0, of 0 that were defined"),
        (9, encode_vector([b"\1\0\0"]), "form of elements 0x01"),
        (11, encode_vector([b"\1\0"]), "form of data 0x01"),
        (11, encode_vector([]) + b"\0", "bytes after the last entry"),
    ],
)
def test_what_is_not_known_in_a_module_is_refused(kind: int, content: bytes, met: str) -> None:
    with pytest.raises(Unreadable, match=met):
        split(module((kind, content)))


@pytest.mark.parametrize(
    ("what", "met"),
    [
        (b"\4\0\0", "kind of import 0x04"),
        (b"\2\3\1\1", "limits 0x03"),
        (b"\2\4\1", "limits 0x04"),
        (b"\1\x6f\0\1", "type of table 0x6f"),
        (b"\3\x7e\0", "type of global 0x7e"),
    ],
)
def test_an_import_of_what_is_not_known_is_refused(what: bytes, met: str) -> None:
    with pytest.raises(Unreadable, match=met):
        split(BASE, module((2, encode_vector([an_import("env", "x", what)]))), x=Export(0, "x"))


def test_an_import_that_its_instance_does_not_have_is_refused() -> None:
    with pytest.raises(Unreadable, match="no export 'run' in the instance"):
        split(BASE, LIBRARY, base=Export(0, "base"))


# --- the merged module -------------------------------------------------------------

ROOTS: Final = {"memory": Export(0, "memory"), "load": Export(3, "load")}
EXPORTS: Final = [an_export("m0|memory", 2, 0), an_export("m3|load", 0, 9), an_export("m3|other", 0, 8)]


def test_only_what_is_lifted_stays_an_export() -> None:
    kept = linking.keep(module((2, b"\0"), (7, encode_vector(EXPORTS)), (10, b"code")), ROOTS)
    assert sections(kept) == {
        2: b"\0",
        7: encode_vector([an_export("memory", 2, 0), an_export("load", 0, 9)]),
        10: b"code",
    }


@pytest.mark.parametrize(
    ("merged", "met"),
    [
        (module((7, encode_vector(EXPORTS)), (8, b"\0")), "a start function"),
        (module((2, encode_vector([an_import("m9", "m9|x", b"\0\0")]))), "an import that no module gives: m9 m9|x"),
        (module((7, encode_vector(EXPORTS[1:]))), "exports ['load'], not ['load', 'memory']"),
    ],
)
def test_a_merged_module_that_would_do_otherwise_is_refused(merged: bytes, met: str) -> None:
    with pytest.raises(Unreadable, match=re.escape(met)):
        linking.keep(merged, ROOTS)


# --- components --------------------------------------------------------------------

LIFT: Final = b"\0\0\0" + encode_vector([b"\0", b"\3\0", b"\4\1", b"\5\2"]) + b"\0"
ALIASES: Final = [
    b"\0" + bytes([sort, 1, 1]) + encode_name(name)
    for sort, name in ((0, "ask"), (0, "realloc"), (0, "after"), (2, "memory"))
]


def component(*more: tuple[int, bytes], lift: bytes = LIFT) -> bytes:
    """Module 0 exports all; instance 1 gives it on, under other names; a function is lifted from there."""
    instances = [b"\0\0\0", b"\1" + encode_vector([an_export("ask", 0, 0)])]
    parts = [
        (1, BASE),
        (2, encode_vector(instances[:1])),
        (6, encode_vector([alias.replace(b"\1\1", b"\1\0", 1) for alias in ALIASES])),
        (2, encode_vector(instances[1:])),
        (8, encode_vector([lift])),
        (11, encode_vector([b"\0" + encode_name("ask") + b"\1\0\0"])),
        *more,
    ]
    return COMPONENT + b"".join(encode_section(kind, content) for kind, content in parts)


def test_what_is_lifted_is_found_under_the_names_that_a_module_has_for_it() -> None:
    read = read_component(component())
    assert (read.modules, read.given, read.functions) == ([BASE], [(0, {})], ["ask"])
    assert read.roots == {
        "ask": Export(0, "ask"),
        "memory": Export(0, "memory"),
        "cabi_realloc": Export(0, "realloc"),
        "cabi_post_ask": Export(0, "after"),
    }


def test_an_alias_of_exports_that_were_put_together_leads_to_their_module() -> None:
    again = b"\0\0\1\1" + encode_name("ask")
    more = [(6, encode_vector([again])), (8, encode_vector([b"\0\0\3\0\0"]))]
    read = read_component(component(*more, (11, encode_vector([b"\0" + encode_name("b") + b"\1\2\0"]))))
    assert read.roots["b"] == Export(0, "ask")


@pytest.mark.parametrize(
    ("kind", "content", "met"),
    [
        (9, b"\0", "a section of kind 9, which is not known here"),
        (10, b"\0", "a section of kind 10, which is not known here"),
        (12, b"\0", "a section of kind 12, which is not known here"),
        (2, encode_vector([b"\0\0\0"]), "core module 0 is instantiated twice"),
        (2, encode_vector([b"\0\1\0"]), "index 1, of 1 that were defined"),
        (2, encode_vector([b"\2"]), "core instance 0x02"),
        (6, encode_vector([b"\1\0\0"]), "sort of alias 0x01"),
        (6, encode_vector([b"\0\x10\2\0\0"]), "core sort of alias 0x10"),
        (6, encode_vector([b"\0\0\0\0\0"]), "target of alias 0x00"),
        (6, encode_vector([b"\0\0\1\7" + encode_name("x")]), "index 7, of 2 that were defined"),
        (6, encode_vector([b"\0\0\1\1" + encode_name("x")]), "no export 'x' in the instance"),
        (8, encode_vector([b"\1\0\0\0"]), "canonical definition 0x01"),
        (8, encode_vector([b"\0\0\0\1\6\0"]), "canonical option 0x06"),
        (8, encode_vector([b"\0\0\0\1\1\0"]), "canonical option 0x01"),
        (11, encode_vector([b"\0" + encode_name("x") + b"\3\0\0"]), "sort of export 0x03"),
        (11, encode_vector([b"\1" + encode_name("x") + b"\1\0\0"]), "kind of export name 0x01"),
    ],
)
def test_what_is_not_known_in_a_component_is_refused(kind: int, content: bytes, met: str) -> None:
    with pytest.raises(Unreadable, match=met):
        read_component(component((kind, content)))


def test_functions_that_are_lifted_with_another_realloc_are_refused() -> None:
    other = b"\0\0\0" + encode_vector([b"\4\2"]) + b"\0"
    with pytest.raises(Unreadable, match="cabi_realloc is not the same for all functions"):
        read_component(
            component((8, encode_vector([other])), (11, encode_vector([b"\0" + encode_name("b") + b"\1\2\0"])))
        )


def test_a_component_with_more_or_fewer_exports_than_the_world_is_refused() -> None:
    names = ["translate", "load", "rehearse", "begin", "advance", "look", "forget", "ask"]
    linking.verify_exports(Component(functions=names), WIT, instances=[])
    for functions, instances in ((names[1:], []), ([*names, "more"], []), (names, ["exports"])):
        with pytest.raises(Unreadable, match="exports of the component"):
            linking.verify_exports(Component(functions=functions, instances=instances), WIT, instances=[])


def test_the_pinned_guest_is_one_module_with_the_exports_of_the_world() -> None:
    pinned = read_component(read_artifact())
    linking.verify_exports(pinned, WIT, instances=[])
    assert len(pinned.modules) == 1 and "cabi_realloc" in pinned.roots


# --- the tools ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "tool"),
    [("wasm-opt", tools.BINARYEN), ("wasm-tools", tools.WASM_TOOLS), ("componentize-py", tools.COMPONENTIZE)],
)
def test_a_tool_that_is_missing_is_named_with_its_version_and_how_to_get_it(
    program: str, tool: tools.Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(tool.setting or "UNUSED", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(tools.ToolMissing) as missing:
        tools.find_program(program, tool)
    assert all(words in str(missing.value) for words in (program, tool.version, tool.install))


def test_a_setting_names_the_program_or_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "wasm-tools"
    program.touch(mode=0o755)
    for setting in (tmp_path, program):
        monkeypatch.setenv("WASM_TOOLS", str(setting))
        assert tools.find_program("wasm-tools", tools.WASM_TOOLS) == str(program)


def test_the_docs_name_the_versions_that_the_build_names() -> None:
    decision = (ROOT / "docs/decisions/the-guest-is-linked-into-one-module.md").read_text(encoding="utf-8")
    for tool in tools.TOOLS:
        version = tool.version if tool is not tools.NODE else tool.version.partition(".")[0]
        assert f"{tool.package} {version}" in decision and f"{tool.package} {version}" in (build.__doc__ or "")
    extra = f'"{tools.COMPONENTIZE.package}=={tools.COMPONENTIZE.version}"'
    assert extra in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_every_file_of_the_guest_enters_the_image_or_builds_it() -> None:
    builds = {"__init__.py", "binary.py", "build.py", "component.py", "immortal.py", "linking.py", "tools.py"}
    assert {path.name for path in build.HERE.glob("*.py")} - set(build.FILES) == builds
