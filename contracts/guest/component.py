"""Reads a component: its core modules, what each of them is given, and which of their exports it lifts.

Known is what componentize-py writes with `--stub-wasi`: no import, every core module instantiated once, nothing but
aliases of core exports, `canon lift` and exports of functions. Beside those it exports an instance of its own, through
which the snapshot was taken; that is named, and otherwise passed over. All else is refused.

Source: Component Model, Binary.md: "Component Definitions", "Instance Definitions", "Alias Definitions", "Canonical
Definitions", "Import and Export Definitions"; CanonicalABI.md for the options of a lift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from contracts.guest.binary import COMPONENT, Kind, Reader, read_sections

T = TypeVar("T")

SECTIONS: Final = {
    0: "custom",
    1: "core module",
    2: "core instance",
    4: "component",
    5: "instance",
    6: "alias",
    7: "type",
    8: "canon",
    11: "export",
}
"""Kinds of sections that are known here. Imports (10) are not among them, nor are start functions (9)."""

_PASSED_OVER: Final = frozenset({"custom", "component", "instance", "type"})
_CORE, _FUNCTION, _INSTANCE, _CORE_INSTANCE = 0x00, 0x01, 0x05, 0x12
_UTF8, _MEMORY_IS, _REALLOC_IS, _POST_RETURN_IS = 0x00, 0x03, 0x04, 0x05
_ROOTS: Final = {_MEMORY_IS: "memory", _REALLOC_IS: "cabi_realloc", _POST_RETURN_IS: "cabi_post_{}"}
"""Under these names `wasm-tools component new` looks for them in a core module."""


class Export(NamedTuple):
    """An export of a core module."""

    module: int
    name: str


Instance = int | dict[str, Export]
"""A core instance: number of the module that it is one of, or exports that were put together."""

Lift = dict[str, Export]
"""What a function is lifted with, by name in the core module to be; `{}` stands for the function's own name."""


@dataclass(slots=True, kw_only=True)
class Component:
    """modules: core modules. given: number of each, as they are instantiated, with its imports by module name.

    roots: what stays an export of the merged module. functions, instances: names of the component's own exports.
    """

    modules: list[bytes] = field(default_factory=list)
    given: list[tuple[int, dict[str, Instance]]] = field(default_factory=list)
    roots: dict[str, Export] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)


def read_component(content: bytes) -> Component:
    """Read a component. Raises: Unreadable."""
    reading = _Reading()
    for kind, section in read_sections(content, start=COMPONENT, where="component"):
        name = SECTIONS.get(kind)
        reader = Reader(section, f"{name} section of the component")
        if name is None:
            raise Reader(section, "component").unreadable(f"a section of kind {kind}, which is not known here")
        if name == "core module":
            reading.component.modules.append(section)
        elif name == "core instance":
            reading.read_instances(reader)
        elif name == "alias":
            reading.read_aliases(reader)
        elif name == "canon":
            reading.read_lifts(reader)
        elif name == "export":
            reading.read_exports(reader)
        else:
            assert name in _PASSED_OVER, "every known section is read or passed over"
    return reading.component


def find_export(instance: Instance, name: str, reader: Reader) -> Export:
    """Which module's export an export of `instance` is."""
    if isinstance(instance, int):
        return Export(instance, name)
    if name not in instance:
        raise reader.unreadable(f"no export {name!r} in the instance that is given")
    return instance[name]


def find(space: Sequence[T], reader: Reader) -> T:
    """The item of an index space that the next number names."""
    index = reader.unsigned()
    if index >= len(space):
        raise reader.unreadable(f"index {index}, of {len(space)} that were defined")
    return space[index]


class _Reading:
    """A component as far as it was read: the index spaces that its definitions count in."""

    def __init__(self) -> None:
        self.component = Component()
        self._instances: list[Instance] = []
        self._items: dict[int, list[Export]] = {sort: [] for sort in Kind}
        self._lifts: list[Lift] = []

    def read_instances(self, reader: Reader) -> None:
        for _ in reader.entries():
            if reader.expect("core instance", 0, 1) == 0:
                module = find(range(len(self.component.modules)), reader)
                if any(module == number for number, _ in self.component.given):
                    raise reader.unreadable(f"core module {module} is instantiated twice")
                self.component.given.append((module, self._read_arguments(reader)))
                self._instances.append(module)
            else:
                self._instances.append(dict(self._read_export(reader) for _ in range(reader.unsigned())))

    def _read_arguments(self, reader: Reader) -> dict[str, Instance]:
        given = {}
        for _ in range(reader.unsigned()):
            name = reader.name()
            reader.expect("sort of argument", _CORE_INSTANCE)
            given[name] = find(self._instances, reader)
        return given

    def _read_export(self, reader: Reader) -> tuple[str, Export]:
        name = reader.name()
        return name, self._read_item(reader, reader.expect("sort of core export", *Kind))

    def _read_item(self, reader: Reader, sort: int) -> Export:
        return find(self._items[sort], reader)

    def read_aliases(self, reader: Reader) -> None:
        for _ in reader.entries():
            reader.expect("sort of alias", _CORE)
            sort = reader.expect("core sort of alias", *Kind)
            reader.expect("target of alias", 1)  # an export of a core instance
            instance = find(self._instances, reader)
            self._items[sort].append(find_export(instance, reader.name(), reader))

    def read_lifts(self, reader: Reader) -> None:
        for _ in reader.entries():
            reader.expect("canonical definition", 0)
            reader.expect("second byte of a lift", 0)
            lift = {"{}": self._read_item(reader, Kind.FUNC)}
            for _ in range(reader.unsigned()):
                option = reader.expect("canonical option", _UTF8, *_ROOTS)
                if option != _UTF8:
                    lift[_ROOTS[option]] = self._read_item(reader, Kind.MEMORY if option == _MEMORY_IS else Kind.FUNC)
            reader.unsigned()  # its type
            self._lifts.append(lift)

    def read_exports(self, reader: Reader) -> None:
        for _ in reader.entries():
            reader.expect("kind of export name", 0)
            name = reader.name()
            if reader.expect("sort of export", _FUNCTION, _INSTANCE) == _INSTANCE:
                reader.unsigned()
                self.component.instances.append(name)
            else:
                lift = find(self._lifts, reader)
                self._lifts.append(lift)  # an export is a definition too, and counts
                self.component.functions.append(name)
                self._add_roots(name, lift, reader)
            reader.expect("type given to an export", 0)

    def _add_roots(self, name: str, lift: Lift, reader: Reader) -> None:
        for pattern, export in lift.items():
            root = pattern.format(name)
            if self.component.roots.setdefault(root, export) != export:
                raise reader.unreadable(f"{root} is not the same for all functions")
