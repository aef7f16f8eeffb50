"""Makes one core module of the many that componentize-py puts into a component, and optimises it.

componentize-py links at run time: CPython, its libraries and the stubs of the system are 38 core modules that call
one another through imports, and all of them are instantiated anew for each batch. Here they become one module, with
the same functions, the same memory and the same snapshot of it, made into a component again by tools that many use.
What is written here names imports after the exports that they are given, and puts in the numbers of what the modules
ask one another for (where a library lies in memory and table). Of our own only `refused.wat` and `sized.wat` enter it:
memory that is refused ends the instance, so that no contract learns how much of it the inputs before it left.

Steps: `split`, wasm-merge (with `sized.wat` between the modules and the C library), calls around each `memory.grow`
(wasm-opt) and what they call (wasm-merge), `keep`, `make_immortal`, wasm-opt, and the three of wasm-tools. The same
input gives the same bytes.

Source: WebAssembly Core Specification, "Binary Format", "Modules"; for components see `component.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from contracts.guest import tools
from contracts.guest.binary import (
    MODULE,
    Kind,
    Reader,
    Section,
    Unreadable,
    encode_name,
    encode_offset,
    encode_section,
    encode_unsigned,
    encode_vector,
    read_sections,
)
from contracts.guest.component import Component, Export, Instance, find, find_export, read_component
from contracts.guest.immortal import make_immortal

_HERE: Final = Path(__file__).parent
_REFUSED: Final = _HERE / "refused.wat"
_SIZED: Final = _HERE / "sized.wat"
_SIZED_MODULE: Final = "sized"
_SIZED_FUNCTIONS: Final = frozenset({"malloc", "calloc", "realloc"})
_GROWN: Final = ("--instrument-memory", "--pass-arg=instrument-memory@memory.grow")
_GROWN_MODULE: Final = "env"  # of the functions that binaryen calls there

OPTIMISE: Final = (
    "--remove-unused-module-elements",  # first, or time goes into what is thrown away
    "--simplify-globals",
    "--remove-unused-module-elements",
    "-O3",
    "--flexible-inline-max-function-size=50",  # twice the usual: calls between small functions are what CPython does
)

_OWN_EXPORTS: Final = ["exports"]
"""The instance that componentize-py exports beside ours: its `init`, which made the snapshot."""

_AS_THEY_ARE: Final = frozenset(
    {Section.TYPE, Section.FUNCTION, Section.TABLE, Section.MEMORY, Section.CODE, Section.DATA_COUNT}
)
_I32, _FUNCREF = 0x7F, 0x70


def link(content: bytes, wit: Path, folder: Path) -> bytes:
    """The component `content` with one core module, optimised. folder: for what lies between; it may be thrown away.

    Takes minutes. Raises: Unreadable; tools.ToolMissing; CalledProcessError if a tool fails.
    """
    component = read_component(content)
    verify_exports(component, wit.read_text(encoding="utf-8"), instances=_OWN_EXPORTS)
    named: list[str | Path] = []
    functions: set[Export] = set()
    for number, module in split(component, functions):
        path = folder / f"{number}.wasm"
        path.write_bytes(module)
        named += [path, _module_name(number)]
    sized, library = folder / _SIZED.name, _module_name(find_library(functions))
    sized.write_text(_SIZED.read_text(encoding="utf-8").replace("@LIBC@", library), encoding="utf-8")
    named += [sized, _SIZED_MODULE]
    merged, grown, kept, optimised = (folder / f"{name}.wasm" for name in ("merged", "grown", "kept", "optimised"))
    tools.run_binaryen("wasm-merge", *named, "-o", merged)
    tools.run_binaryen("wasm-opt", merged, *_GROWN, "-o", grown)
    tools.run_binaryen("wasm-merge", grown, "merged", _REFUSED, _GROWN_MODULE, "-o", merged)
    kept.write_bytes(make_immortal(keep(merged.read_bytes(), component.roots)))
    tools.run_binaryen("wasm-opt", kept, *OPTIMISE, "-o", optimised)
    stripped, typed, result = folder / "stripped.wasm", folder / "typed.wasm", folder / "result.wasm"
    tools.run_wasm_tools("strip", "--all", optimised, "-o", stripped)
    tools.run_wasm_tools("component", "embed", wit, "-w", "contract", stripped, "-o", typed)
    tools.run_wasm_tools("component", "new", typed, "-o", result)
    linked = read_component(result.read_bytes())
    verify_exports(linked, wit.read_text(encoding="utf-8"), instances=[])
    if len(linked.modules) != 1:
        raise Unreadable(where="the result", met=f"{len(linked.modules)} core modules, not one")
    return result.read_bytes()


def verify_exports(component: Component, wit: str, *, instances: Sequence[str]) -> None:
    """Check that its functions are those of the world, and its instances are `instances`. It can have no import."""
    expected = sorted(re.findall(r"^ *export ([a-z][a-z0-9-]*): func\(", wit, re.MULTILINE))
    if sorted(component.functions) != expected or component.instances != list(instances):
        met = f"functions {sorted(component.functions)}, instances {component.instances}"
        raise Unreadable(where=f"exports of the component, which should be {expected}, {list(instances)}", met=met)


def split(component: Component, functions: set[Export]) -> list[tuple[int, bytes]]:
    """Number and content of each core module, as they are instantiated, with names that no other module has.

    functions: those of the C library that `sized.wat` stands before are added.
    """
    constants: dict[Export, int] = {}
    return [
        (number, _Renaming(number, given, constants, functions).rename(component.modules[number]))
        for number, given in component.given
    ]


def find_library(functions: set[Export]) -> int:
    """The number of the module that has all the functions that `sized.wat` stands before."""
    modules = {export.module for export in functions}
    if {export.name for export in functions} != _SIZED_FUNCTIONS or len(modules) != 1:
        raise Unreadable(where="functions of the C library", met=f"{sorted(functions)}")
    return modules.pop()


def keep(module: bytes, roots: dict[str, Export]) -> bytes:
    """The merged module with the exports `roots` alone, under their names there."""
    names = {_export_name(export): name for name, export in roots.items()}
    content = bytearray(MODULE)
    found = []
    for kind, section in read_sections(module, start=MODULE, where="merged module"):
        reader = Reader(section, f"section {kind} of the merged module")
        if kind == Section.EXPORT:
            exports = [(names[name], rest) for name, rest in _read_exports(reader) if name in names]
            found += [name for name, _ in exports]
            section = encode_vector([encode_name(name) + rest for name, rest in exports])
        elif kind == Section.START:
            raise reader.unreadable("a start function")
        elif kind == Section.IMPORT and reader.unsigned():
            raise reader.unreadable(f"an import that no module gives: {reader.name()} {reader.name()}")
        content += encode_section(kind, section)
    if sorted(found) != sorted(roots):
        raise Unreadable(where="merged module", met=f"exports {sorted(found)}, not {sorted(roots)}")
    return bytes(content)


def _module_name(number: int) -> str:
    return f"m{number}"


def _export_name(export: Export) -> str:
    return f"{_module_name(export.module)}|{export.name}"


def _read_exports(reader: Reader) -> list[tuple[str, bytes]]:
    """Name of each export, and the bytes that say what it is."""
    found = []
    for _ in reader.entries():
        name, start = reader.name(), reader.position
        reader.expect("kind of export", *Kind)
        reader.unsigned()
        found.append((name, reader.since(start)))
    return found


class _Renaming:
    """One core module on its way into the merged one.

    constants: values of the constants that modules before it export; its own are added. An offset may name such a
    global only as long as it is imported, so its value is put in its place. sized: what it imports of that is added.
    """

    def __init__(
        self, number: int, given: dict[str, Instance], constants: dict[Export, int], sized: set[Export]
    ) -> None:
        self._number = number
        self._sized = sized
        self._given = given
        self._constants = constants
        self._globals: list[int | None] = []

    def rename(self, module: bytes) -> bytes:
        content = bytearray(MODULE)
        where = f"core module {self._number}"
        for kind, section in read_sections(module, start=MODULE, where=where):
            if (
                kind != Section.CUSTOM
            ):  # names, producers, what a dynamic linker would read: nothing that changes what it does
                content += encode_section(kind, self._section(kind, section, f"section {kind} of {where}"))
        return bytes(content)

    def _section(self, kind: int, section: bytes, where: str) -> bytes:
        reader = Reader(section, where)
        match kind:
            case Section.IMPORT:
                return encode_vector([self._import(reader) for _ in reader.entries()])
            case Section.GLOBAL:
                return encode_vector([self._global(reader) for _ in reader.entries()])
            case Section.EXPORT:
                return encode_vector([self._export(name, rest) for name, rest in _read_exports(reader)])
            case Section.ELEMENT:
                return encode_vector([self._elements(reader) for _ in reader.entries()])
            case Section.DATA:
                return encode_vector([self._bytes(reader) for _ in reader.entries()])
        if kind not in _AS_THEY_ARE:
            raise reader.unreadable("a section of this kind is not known here")
        return section

    def _import(self, reader: Reader) -> bytes:
        module, name = reader.name(), reader.name()
        if module not in self._given:
            raise reader.unreadable(f"an import of module {module!r}, which is not given")
        export = find_export(self._given[module], name, reader)
        start = reader.position
        kind = reader.expect("kind of import", *Kind)
        if kind == Kind.FUNC:
            reader.unsigned()
            if export.name in _SIZED_FUNCTIONS:
                self._sized.add(export)
                return encode_name(_SIZED_MODULE) + encode_name(export.name) + reader.since(start)
        elif kind == Kind.TABLE:
            reader.expect("type of table", _FUNCREF)
            reader.limits()
        elif kind == Kind.MEMORY:
            reader.limits()
        else:
            reader.expect("type of global", _I32)
            reader.expect("mutability", 0, 1)
            self._globals.append(self._constants.get(export))
        return encode_name(_module_name(export.module)) + encode_name(_export_name(export)) + reader.since(start)

    def _global(self, reader: Reader) -> bytes:
        start = reader.position
        reader.expect("type of global", _I32)
        changes = reader.expect("mutability", 0, 1)
        head = reader.since(start)
        value = reader.offset(self._globals)
        self._globals.append(None if changes else value)
        return head + encode_offset(value)

    def _export(self, name: str, rest: bytes) -> bytes:
        export = Export(self._number, name)
        reader = Reader(rest, f"export {name} of core module {self._number}")
        if reader.byte() == Kind.GLOBAL:
            value = find(self._globals, reader)
            if value is not None:
                self._constants[export] = value
        return encode_name(_export_name(export)) + rest

    def _elements(self, reader: Reader) -> bytes:
        reader.expect("form of elements", 0)  # active, in table 0, functions by index
        start = encode_offset(reader.offset(self._globals))
        return b"\0" + start + encode_vector([encode_unsigned(reader.unsigned()) for _ in range(reader.unsigned())])

    def _bytes(self, reader: Reader) -> bytes:
        reader.expect("form of data", 0)  # active, in memory 0
        start = encode_offset(reader.offset(self._globals))
        length = reader.unsigned()
        return b"\0" + start + encode_unsigned(length) + reader.take(length)
