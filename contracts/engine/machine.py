"""The machine: wasmtime, set up so that it does the same everywhere, and instances of the guest in it.

An instance has no import: no clock, entropy, file, socket or other instance is within its reach. Its fuel is set
before each call and its memory bounded, both exact. Whatever ends a call early is a `Trap` of one of five kinds.

Used in the worker process alone. Spec: docs/spec/contract-engine.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import POINTER, byref, c_uint8, cast, string_at
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Final

from wasmtime import Config, Engine, Store, Trap, WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime.component import Component, Func, Linker

from contracts import limits
from contracts.engine import pin
from contracts.engine.errors import EngineFailed, EngineUnfit
from contracts.engine.host import check_memory

_RESERVED_BYTES: Final = 4 << 30
"""Reserved around a memory, so that the code needs no check of its own at each access."""

_ANEW: Final = (
    "Nothing was recorded. Remove the files engine-* of the folder where compiled code is kept, which is "
    "$XDG_CACHE_HOME/tallystick or ~/.cache/tallystick: they are made anew."
)

_BYTES: Final = POINTER(c_uint8)

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


def load_component(engine: Engine, code: BinaryIO) -> Component:
    """Load machine code from an open file. It is trusted as this program itself is: the cache has checked it.

    The file is mapped. To read it and pass its bytes would take 28 MB more in each worker, and 80 ms at each start.
    """
    try:
        component = Component.deserialize_file(engine, f"/proc/self/fd/{code.fileno()}")
    except WasmtimeError as cause:
        if not Path("/proc/self/fd").is_dir():
            raise EngineUnfit(reason="/proc is not mounted, by way of which compiled code is loaded") from cause
        error = EngineUnfit(reason=f"the compiled guest does not fit: {str(cause).strip().splitlines()[-1].strip()}")
        error.hint = _ANEW
        raise error from cause
    if component.type.imports(engine):
        raise EngineUnfit(reason="the guest asks for something from outside")
    return component


class Instance:
    """One fresh copy of the guest. Dead after a trap."""

    __slots__ = ("_engine", "_functions", "_instance", "_store")

    def __init__(self, engine: Engine, component: Component) -> None:
        self._engine = engine
        self._store = Store(engine)
        self._store.set_limits(memory_size=limits.MEMORY_BYTES)
        self._store.set_fuel(limits.FUEL_LOAD)
        self._functions: dict[str, Func] = {}
        try:
            self._instance = Linker(engine).instantiate(self._store, component)
        except (Trap, WasmtimeError) as cause:
            # The guest has done nothing yet, so this is no outcome of anything.
            raise EngineFailed(reason=f"cannot make an instance: {str(cause).splitlines()[0]}") from cause

    def call(self, name: str, *arguments: str | int, fuel: int) -> tuple[str, int]:
        """Call an export. -> what it answers, fuel used. Raises: Trapped, EngineFailed."""
        function = self._functions.get(name)
        if function is None:
            found = self._instance.get_func(self._store, name)
            assert found is not None, "the artifact was checked: it has all exports"
            function = self._functions[name] = found
        self._store.set_fuel(fuel)
        try:
            answer = _call(function, self._store, arguments)
        except (Trap, WasmtimeError) as cause:
            check_memory(self._engine)  # whatever it ended with: memory that it did not get may have led there
            raise Trapped(_kind(str(cause)), fuel - self._store.get_fuel()) from None
        return answer, fuel - self._store.get_fuel()

    def close(self) -> None:
        self._store.close()


def _call(function: Func, store: Store, arguments: Sequence[str | int]) -> str:
    """Call a function that takes texts, numbers and truths as contract.wit says, and answers with text.

    What `Func.__call__` does, for these types alone: that one asks the function's type at every call, and copies each
    text three times. The pin names the version of wasmtime whose structures these are. Raises: WasmtimeError, Trap.
    """
    given = (ffi.wasmtime_component_val_t * len(arguments))()
    texts = []  # kept until the call is over: the guest's arguments are read out of them
    for place, argument in zip(given, arguments, strict=True):
        if isinstance(argument, str):
            texts.append(text := argument.encode())
            place.kind = ffi.WASMTIME_COMPONENT_STRING
            # It takes bytes for a pointer to them, which its types do not say.
            place.of.string = ffi.wasm_byte_vec_t(len(text), cast(text, _BYTES))  # type: ignore[arg-type]
        elif isinstance(argument, bool):
            place.kind = ffi.WASMTIME_COMPONENT_BOOL
            place.of.boolean = argument
        else:
            place.kind = ffi.WASMTIME_COMPONENT_U32
            place.of.u32 = argument
    answer = ffi.wasmtime_component_val_t()
    error: Any = ffi.wasmtime_component_func_call(
        byref(function._func), store._context(), given, len(given), byref(answer), 1
    )
    if error:
        raise WasmtimeError._from_ptr(error)
    assert answer.kind == ffi.WASMTIME_COMPONENT_STRING.value, "every export answers with text"
    try:
        return string_at(answer.of.string.data, answer.of.string.size).decode()
    finally:
        ffi.wasmtime_component_val_delete(byref(answer))


def _kind(message: str) -> str:
    return next((kind for words, kind in _KINDS if words in message), "fault")
