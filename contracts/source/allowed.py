"""What contracts may import and name: tables, and what to write instead of the rest.

Spec: docs/spec/contract-source.md, "Code".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def words(text: str) -> frozenset[str]:
    """The words of a table, written without quotes."""
    return frozenset(text.split())


GIVEN: Final = words("Decimal Reject divide")
"""What the engine gives every contract without import."""

MODULES: Final[Mapping[str, frozenset[str]]] = {
    "decimal": words(
        "Clamped Context Decimal DecimalException DecimalTuple DivisionByZero FloatOperation Inexact InvalidOperation "
        "Overflow Rounded Subnormal Underflow getcontext localcontext ROUND_05UP ROUND_CEILING ROUND_DOWN ROUND_FLOOR "
        "ROUND_HALF_DOWN ROUND_HALF_EVEN ROUND_HALF_UP ROUND_UP"
    ),
    "datetime": words("MAXYEAR MINYEAR UTC date datetime time timedelta timezone tzinfo"),
    "dataclasses": words(
        "FrozenInstanceError InitVar KW_ONLY MISSING asdict astuple dataclass field fields is_dataclass replace"
    ),
    "enum": words("Enum Flag IntEnum IntFlag ReprEnum StrEnum auto member nonmember unique verify UNIQUE CONTINUOUS"),
    "collections": words("ChainMap Counter OrderedDict UserDict UserList UserString defaultdict deque namedtuple"),
    "itertools": words(
        "accumulate chain combinations combinations_with_replacement compress count cycle dropwhile filterfalse "
        "groupby islice pairwise permutations product repeat starmap takewhile tee zip_longest"
    ),
    "functools": words("cache cached_property cmp_to_key lru_cache partial partialmethod reduce singledispatch "
                        "singledispatchmethod total_ordering update_wrapper wraps"),
    "re": words(
        "A ASCII DOTALL I IGNORECASE M MULTILINE Match Pattern S VERBOSE X compile error escape findall finditer "
        "fullmatch match search split sub subn"
    ),
    "json": words("JSONDecodeError dumps loads"),
    "math": words("ceil comb factorial floor gcd isqrt lcm perm prod trunc"),
}  # fmt: skip
"""Module -> what a contract may take of it: pure, the same on every machine, and no way to other modules."""

INSTEAD_OF_MEMBERS: Final = {
    "decimal.BasicContext": "write with localcontext() as context: around what needs it",
    "decimal.DefaultContext": "write with localcontext() as context: around what needs it",
    "decimal.ExtendedContext": "write with localcontext() as context: around what needs it",
    "decimal.setcontext": "write with localcontext() as context: around what needs it",
    "dataclasses.make_dataclass": "write the class out",
}

INSTEAD_OF_MODULES: Final = {
    "__future__": "leave it out: nothing of it is needed",
    "fractions": "use Decimal and divide(a, b, places)",
    "numbers": "ask isinstance(x, (int, Decimal))",
    "os": "take what is needed from the record, the state or the terms",
    "random": "take what must be chosen from the record or the terms",
    "secrets": "let the author put the secret into the record",
    "statistics": "compute with Decimal and divide(a, b, places)",
    "sys": "take what is needed from the record, the state or the terms",
    "time": 'use record["time"] or record["sequence"]["time"]',
    "typing": "leave it out: annotations may name built-in types, list[str]",
    "uuid": 'use record["id"]',
}

BUILTINS: Final = words(
    "abs all any ascii bin bool bytearray bytes callable chr classmethod dict divmod enumerate filter format frozenset "
    "getattr hasattr hex int isinstance issubclass iter len list map max min next object oct ord pow property range "
    "repr reversed round set setattr delattr slice sorted staticmethod str sum super tuple type zip "
    "Ellipsis False None NotImplemented True __name__ "
    "ArithmeticError AssertionError AttributeError BaseException BufferError EOFError Exception ExceptionGroup "
    "FloatingPointError ImportError ModuleNotFoundError OSError ReferenceError SystemError TimeoutError Warning "
    "IndexError KeyError LookupError MemoryError NameError NotImplementedError OverflowError RecursionError "
    "RuntimeError StopIteration SyntaxError TypeError UnboundLocalError UnicodeDecodeError UnicodeEncodeError "
    "UnicodeError ValueError ZeroDivisionError"
)

_TAKE: Final = "take what is needed from the record, the state or the terms"
_WRITE_OUT: Final = "write out what is meant"
FORBIDDEN: Final = {
    "hash": ("hash() differs from run to run", "use the value itself, or a name made of it"),
    "id": ("id() tells where a value lies in memory, which differs from run to run", "compare with is or =="),
    "open": ("open() would read a file, and contracts have none", _TAKE),
    "input": ("input() would wait for a person", _TAKE),
    "print": ("print() goes nowhere", 'return it in the state, or raise Reject("why")'),
    "eval": ("eval() runs code that nobody can read beforehand", _WRITE_OUT),
    "exec": ("exec() runs code that nobody can read beforehand", _WRITE_OUT),
    "compile": ("compile() makes code that nobody can read beforehand", _WRITE_OUT),
    "__import__": ("__import__() hides what is imported", "write import at the top"),
    "globals": ("globals() reaches the interpreter", "name the values"),
    "locals": ("locals() reaches the interpreter", "name the values"),
    "vars": ("vars() reaches the interpreter", "name the values"),
    "dir": ("dir() reaches the interpreter", "name the values"),
    "breakpoint": ("breakpoint() would wait for a person", "remove it"),
    "help": ("help() talks to a person", "remove it"),
    "memoryview": ("memoryview() looks at memory", "use bytes"),
    "float": ("float() makes a binary fraction, which is not exact", "use Decimal"),
    "complex": ("complex() makes binary fractions, which are not exact", "use Decimal"),
    "exit": ("exit() would end the engine", 'raise Reject("why"), or return the state'),
    "quit": ("quit() would end the engine", 'raise Reject("why"), or return the state'),
    "SystemExit": ("SystemExit would end the engine", 'raise Reject("why"), or return the state'),
    "KeyboardInterrupt": ("KeyboardInterrupt is no error of a contract", 'raise Reject("why")'),
    "GeneratorExit": ("GeneratorExit is no error of a contract", 'raise Reject("why")'),
}
"""Names of Python that contracts do not use: what is wrong with each, and what to do instead."""

DUNDERS: Final = words(
    "__init__ __post_init__ __str__ __repr__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __len__ __iter__ __next__ "
    "__contains__ __getitem__ __setitem__ __delitem__ __bool__ __hash__ __call__ __enter__ __exit__ __add__ __radd__ "
    "__sub__ __rsub__ __mul__ __rmul__ __floordiv__ __mod__ __neg__ __abs__ __int__ __name__ __slots__ __missing__"
)
"""Names with two underscores on both sides that say what an object of the contract's own can do."""
DEFINED_ONLY: Final = words("__hash__ __slots__")
"""Of these, what is defined and never asked for: a hash differs from run to run."""

REACHING: Final = words(
    "ag_await ag_code ag_frame co_code co_consts co_names cr_await cr_code cr_frame cr_origin f_back f_builtins f_code "
    "f_globals f_lineno f_locals f_trace func_closure func_code func_globals gi_code gi_frame gi_yieldfrom mro "
    "tb_frame tb_lasti tb_lineno tb_next"
)
"""Attributes by which code gets at the interpreter that runs it."""

CLOCK: Final = {
    "now": ("the clock", 'use record["time"] or record["sequence"]["time"]'),
    "today": ("the clock", 'use record["time"] or record["sequence"]["time"]'),
    "utcnow": ("the clock", 'use record["time"] or record["sequence"]["time"]'),
    "fromtimestamp": ("the zone", "use fromisoformat"),
    "utcfromtimestamp": ("the zone", "use fromisoformat"),
}
"""Attributes of what datetime has that ask the machine: for what, and what to do instead."""

FLOATS: Final = {
    "timestamp": "subtract two times: (a - b) // timedelta(seconds=1)",
    "total_seconds": "divide exactly: span // timedelta(seconds=1)",
}
"""Attributes of what datetime has that make a binary float."""

CHANGING: Final = words(
    "add append appendleft clear clear_flags clear_traps difference_update discard extend extendleft "
    "intersection_update insert move_to_end pop popitem popleft remove reverse rotate setdefault sort subtract "
    "symmetric_difference_update update"
)
"""Methods that change what they are called on."""
