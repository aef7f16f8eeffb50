"""The guest: CPython inside WebAssembly, with one contract in it. Contract-side code, built by build.py.

What makes it the same everywhere: there is no clock, entropy, file or thread in here (asking for one traps), the
garbage collector is off, the recursion limit is fixed, and the host counts fuel and memory. What is left out of the
builtins and of the modules is for clear errors, and no wall: a contract can reach and change everything in its own
instance. The wall is the instance; so the host believes nothing of what comes back.

Spec: docs/spec/contract-engine.md.
"""

import _strptime
import ast
import decimal
import gc
import marshal
import re
import sys
import warnings

import wit_world
from given import BUILTINS, CONTEXT
from problems import FILE, describe
from values import check, read, write, write_case, write_readers

LITERALS = frozenset(("ROLES", "SIGNERS", "AUTHORS", "SHARES"))
RECURSION = 200
"""Python calls inside each other. Found to end long before the 1 MiB of stack that WebAssembly has."""

BYTES = "latin-1"
"""Compiled code crosses as text of one letter for each byte, which costs a twentieth of what base64 does."""

_code = None
_terms = "{}"
_begun = []
_last = None


def _translate(source):
    # What Python would warn of (`x is "note"`, "\\d") it says with the line; elsewhere a warning has nobody to reach.
    warnings.simplefilter("error", SyntaxWarning)
    tree = ast.parse(source, FILE)
    for node in ast.walk(tree):
        _refuse_floats(node)
    _leave_out_literals(tree)
    return marshal.dumps(compile(tree, FILE, "exec", dont_inherit=True)).decode(BYTES)


def _leave_out_literals(tree):
    """The ledger reads them in the file. Here they would be built anew for each input: unnamed ones go."""
    named = {node.id for node in ast.walk(tree) if type(node) is ast.Name and type(node.ctx) is ast.Load}
    unused = LITERALS - named
    tree.body = [statement for statement in tree.body if not _gives(statement, unused)]


def _gives(statement, names):
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name in names
    return False


def _refuse_floats(node):
    match node:
        case ast.Constant(value=float() | complex() as value):
            what = f"{value!r} is a binary fraction; write Decimal('{value!r}')"
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            what = "`/` does not say how it rounds; write divide(a, b, places)"
        case _:
            return
    raise SyntaxError(what, (FILE, node.lineno, None, None))


def _load(code, terms):
    global _code, _terms
    _code, _terms = marshal.loads(code.encode(BYTES)), terms
    _begun.clear()
    read(terms)


def _rehearse():
    _namespace().clear()


def _refresh():
    """Forget what may be forgotten: an input must not be spared what another was not, nor meet its context."""
    re.purge()
    _strptime._regex_cache.clear()
    decimal.setcontext(CONTEXT.copy())


def _namespace():
    _refresh()
    names = {"__name__": "contract", "__builtins__": BUILTINS.copy()}
    exec(_code, names)
    decimal.setcontext(CONTEXT.copy())
    return names


def _begin(record):
    names = _namespace()
    value = read(record)
    _begun.append((names, value))
    return write_case(names["key"](value))


def _advance(index, state, careful):
    global _last
    names, record = _begun[index]
    _begun[index] = None
    _refresh()
    _last = names["apply"](read(state), record, read(_terms))
    if careful:
        check(_last)
    # A function knows its namespace and the namespace its functions: with no collector at work nobody else parts them.
    names.clear()
    return write(_last)


def _look():
    check(_last)


def _ask(name, arguments):
    names = _namespace()
    value = names[name](*read(arguments))
    names.clear()
    if name == "share":
        return write_readers(value)
    check(value)
    return write(value)


def _answer(function, *arguments):
    try:
        return "=" + (function(*arguments) or "")
    except BaseException as fault:
        return "!" + describe(fault)


class WitWorld(wit_world.WitWorld):
    def translate(self, source: str) -> str:
        return _answer(_translate, source)

    def load(self, code: str, terms: str) -> str:
        return _answer(_load, code, terms)

    def rehearse(self) -> str:
        return _answer(_rehearse)

    def begin(self, input: str) -> str:
        return _answer(_begin, input)

    def advance(self, index: int, state: str, careful: bool) -> str:
        return _answer(_advance, index, state, careful)

    def look(self) -> str:
        return _answer(_look)

    def forget(self) -> str:
        return _answer(_begun.clear)

    def ask(self, name: str, arguments: str) -> str:
        return _answer(_ask, name, arguments)


# Everything is done once while the image is built, so that a fresh instance starts warm.
gc.disable()
warnings.simplefilter("ignore")
sys.setrecursionlimit(RECURSION)
sys.unraisablehook = lambda _: None  # an error in a __del__ would be printed, and there is nothing to print on
_WARM = """
import collections
import datetime
import re
from decimal import ROUND_HALF_UP

CENT = Decimal("0.01")

def key(record):
    return record["body"]["id"]

def apply(state, record, terms):
    if state and "x" in state:
        raise Reject("no")
    try:
        {}["a"]
    except KeyError as missing:
        text = f"{missing} {3:05d} {'a':>4}".strip().split(",")
    day = datetime.date.fromisoformat("2026-01-02") + datetime.timedelta(days=1)
    rows = sorted(({"n": n, "q": n * CENT} for n in (3, 1)), key=lambda row: row["n"])
    low = divide(record["body"]["q"], 3, 2).quantize(CENT, ROUND_HALF_UP)
    days = [day.isoformat(), day.strftime("%d.%m.%Y"), datetime.datetime.strptime("2026-01-02", "%Y-%m-%d").isoformat()]
    some = [1, None, (True,), 10**9000 // 7**5000 % 97, collections.Counter("aab").most_common(1)]
    return {**record["body"], "rows": rows, "days": days, "low": low, "text": text, "all": some}

def summary(state):
    return {"low": state["low"], "is": bool(re.match("[a-z]+", "abc"))}

def share(record, terms):
    return {"/id": {"b", "a"}}
"""
_code_text = _answer(_translate, _WARM)[1:]
assert _answer(_load, _code_text, "{}") == _answer(_rehearse) == "="
assert _answer(_begin, '{"body":{"id":"a","q":1.50}}') == '="a"', "the guest reads and answers"
_out = _answer(_advance, 0, "null", True)
assert '"low":"\\ud8000.50"' in _out, _out
_answer(_begin, '{"body":{"id":"a","q":1e3}}')
assert '"Reject"' in _answer(_advance, 1, '{"x":1}', False)
assert _answer(_ask, "summary", '[{"low":1}]') == '={"low":1,"is":true}'
assert _answer(_ask, "share", "[{},{}]") == '={"/id":["a","b"]}'
assert _answer(_translate, "x = (\n")[0] == "!" and _answer(_translate, "x = 1 / 2\n")[0] == "!"
_answer(_begun.clear)
_code = _last = None
gc.collect()


def _use_up_holes():
    """Fill what is free between the objects of the image, so that what an input makes lies together behind them.

    A page that an instance writes to is copied by the host first: it copied three hundred, and half of the time of an
    input alone went there.
    """
    blocks = [None] * 300_000
    end = id(bytes(4 << 20))  # larger than any hole: it lies behind them
    count = 0
    for size in range(1 << 16, 0, -8):
        while id(block := bytes(size)) < end:
            blocks[count] = block
            count += 1
    return blocks


def _list_objects():
    """Every object there is so far, as good as: those that the collector knows, and what these lead to."""
    found, queue = {}, gc.get_objects()
    while queue:
        new = {id(one): one for one in queue if id(one) not in found}
        found |= new
        queue = gc.get_referents(*new.values())
        for one in new.values():
            queue.append(type(one))
            if type(one) is type(_list_objects.__code__):  # of which the collector does not know what it leads to
                queue += (one.co_consts, one.co_names, one.co_name, one.co_qualname, one.co_linetable)
                queue += (*one.co_varnames, *one.co_cellvars, *one.co_freevars, one.co_exceptiontable)
    return list(found.values())


def _tell_objects(objects):
    """For `immortal.py`, which finds this in the image: where each object lies, and where its type."""
    table = bytearray(8 * len(objects) + 29)
    table[0:12] = b"objects and "  # in two parts, so that the whole of it is in the image but once
    table[12:25] = b"their types: "
    table[25:29] = len(objects).to_bytes(4, "little")
    for n, one in enumerate(objects):
        for at, place in ((8 * n + 29, one), (8 * n + 33, type(one))):
            table[at : at + 4] = id(place).to_bytes(4, "little")
    return table


_all = _list_objects()
_table = _tell_objects(_all)
_module = sys._getframe().f_code  # else it is freed now, and what an input makes would lie in its holes
_blocks = _use_up_holes()
gc.freeze()
