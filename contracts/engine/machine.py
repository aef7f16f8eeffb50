"""The machine: wasmtime, set up so that it does the same everywhere, and instances of the guest in it.

An instance has no import: no clock, entropy, file, socket or other instance is within its reach. Its fuel is set
before each call and its memory bounded, both exact. Whatever ends a call early is a `Trap` of one of five kinds.

Used in the worker process alone. Spec: docs/spec/contract-engine.md.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from wasmtime import Config, Engine, Store, Trap, WasmtimeError
from wasmtime.component import Component, Func, Linker

from contracts import limits
from contracts.engine import pin
from contracts.engine.errors import EngineFailed, EngineUnfit
from contracts.engine.host import check_memory

_RESERVED_BYTES: Final = 4 << 30
"""Reserved around a memory, so that the code needs no check of its own at each access."""

_KINDS: Final = (
    ("all fuel consumed", "fuel"),
    ("call stack exhausted", "stack"),
    ("divide by zero", "memory"),  # what contracts/guest/refused.wat does
    ("unreachable", "forbidden"),  # what the stubs of the system calls do
)


class Trapped(Exception):
    """A call ended early. kind: `fuel`, `stack`, `memory`, `forbidden` (it asked for what there is not) or `fault`."""

    def __init__(self, kind: str, fuel: int) -> None:
        super().__init__(kind)
        self.kind = kind
        self.fuel = fuel


def make_engine() -> Engine:
    if version("wasmtime") != pin.WASMTIME:
        reason = f"it has wasmtime {version('wasmtime')}, and parties agree on {pin.WASMTIME}"
        raise EngineUnfit(reason=reason)
    config = Config()
    config.target = pin.TARGET
    config.consume_fuel = True
    config.cranelift_nan_canonicalization = True
    config.wasm_component_model = True
    config.wasm_threads = False
    config.wasm_relaxed_simd = False
    config.max_wasm_stack = limits.STACK_BYTES
    config.memory_reservation = _RESERVED_BYTES
    config.memory_may_move = False
    config.native_unwind_info = False
    return Engine(config)


def compile_component(engine: Engine, wasm: bytes) -> bytes:
    """Machine code for the guest: seconds of all cores. Done once, see `contracts.engine.cache`."""
    return bytes(Component(engine, wasm).serialize())


def load_component(engine: Engine, path: Path) -> Component:
    """Load machine code. It is trusted as this program itself is: the cache has checked it."""
    try:
        component = Component.deserialize_file(engine, str(path))
    except WasmtimeError as cause:
        raise EngineUnfit(reason=f"the compiled guest does not fit: {cause}") from cause
    if component.type.imports(engine):
        raise EngineUnfit(reason="the guest asks for something from outside")
    return component


class Instance:
    """One fresh copy of the guest. Dead after a trap."""

    __slots__ = ("_component", "_engine", "_functions", "_instance", "_linker", "_store")

    def __init__(self, engine: Engine, component: Component) -> None:
        self._engine = engine
        self._store = Store(engine)
        self._store.set_limits(memory_size=limits.MEMORY_BYTES)
        self._store.set_fuel(limits.FUEL_LOAD)
        self._functions: dict[str, Func] = {}
        try:
            self._linker = Linker(engine)
            self._component = component
            self._instance = self._linker.instantiate(self._store, component)
        except (Trap, WasmtimeError) as cause:
            # The guest has done nothing yet, so this is no outcome of anything.
            raise EngineFailed(reason=f"cannot make an instance: {str(cause).splitlines()[0]}") from cause

    def call(self, name: str, *arguments: Any, fuel: int) -> tuple[str, int]:
        """Call an export. -> what it answers, fuel used. Raises: Trapped, EngineFailed."""
        function = self._functions.get(name)
        if function is None:
            found = self._instance.get_func(self._store, name)
            assert found is not None, "the artifact was checked: it has all exports"
            function = self._functions[name] = _with_known_type(found, self._store)
        self._store.set_fuel(fuel)
        try:
            answer = function(self._store, *arguments)
        except (Trap, WasmtimeError) as cause:
            check_memory(self._engine)  # whatever it ended with: memory that it did not get may have led there
            raise Trapped(_kind(str(cause)), fuel - self._store.get_fuel()) from None
        assert isinstance(answer, str), "every export answers with text"
        return answer, fuel - self._store.get_fuel()

    def close(self) -> None:
        self._store.close()


class _Type:
    """What `Func` asks the type of a function for."""

    __slots__ = ("params", "result")

    def __init__(self, params: Any, result: Any) -> None:
        self.params = params
        self.result = result


def _with_known_type(function: Func, store: Store) -> Func:
    """Look up the type of `function` once: wasmtime's Python asks at every call, and that is a quarter of one."""
    asked = function.type(store)
    known = _Type(asked.params, asked.result)
    function.type = lambda store: known  # type: ignore[method-assign,assignment,return-value]
    return function


def _kind(message: str) -> str:
    return next((kind for words, kind in _KINDS if words in message), "fault")
