"""Code that is allowed and hardly meant: slow, unclear, or used by nothing.

Spec: docs/spec/contract-source.md, "Code".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from contracts.source.allowed import BUILTINS, words
from contracts.source.functions import find_unused, meant
from contracts.source.literals import Finding
from contracts.source.scopes import Binding, Code, Function, line_of, show

_FUNCTION_LINES_MAX: Final = 60
_PLAIN: Final = words(
    "Decimal OrderedDict date datetime divide frozenset dict list namedtuple range set time timedelta timezone tuple "
    "fromisoformat quantize"
)
"""What may be called above the functions without being work: it makes a constant."""
_EVERY_INPUT: Final = "the whole file is run anew for every input"
_STATEMENTS: Final = (
    ast.Assign, ast.AnnAssign, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Pass
)  # fmt: skip
_REGEX: Final = words("compile findall finditer fullmatch match search split sub subn")
_REGEX_WIDE: Final = frozenset("*+{")


def check_doubtful(code: Code) -> Iterator[Finding]:
    yield from _check_module(code)
    yield from _check_shapes(code)
    yield from _check_unused(code)
    yield from _check_builtins(code)
    yield from _check_operators(code)
    yield from _check_calls(code)
    yield from _check_texts(code)


def _check_module(code: Code) -> Iterator[Finding]:
    for statement in code.tree.body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not isinstance(statement, _STATEMENTS) and not is_text:
            message = f"this is done outside of functions, and {_EVERY_INPUT}"
            yield _doubt(statement, "module-work", message, "move it into the function that needs it")
    for call in code.all(ast.Call):
        if code.scopes[call] is code.file and isinstance(_statement(code, call), ast.Assign | ast.AnnAssign):
            name = _called(call)
            if name not in _PLAIN:
                message = f"{name[:80] or 'something'}() is called outside of functions, and {_EVERY_INPUT}"
                yield _doubt(
                    call, "module-work", message, "write the value out, or call it in the function that needs it"
                )


def _statement(code: Code, node: ast.AST) -> ast.AST:
    """The statement in which a call stands; walks up at most from the depth that Python reads."""
    while not isinstance(node, ast.stmt):
        node = code.parents[node]
    return node


def _check_shapes(code: Code) -> Iterator[Finding]:
    for node in code.all(ast.FunctionDef):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > _FUNCTION_LINES_MAX:
            message = f"{node.name[:80]} has {lines} lines, more than a reader keeps in mind"
            yield _doubt(
                node, "function-long", message, f"take it apart, into functions of {_FUNCTION_LINES_MAX} at most"
            )
    for made in code.all(ast.ClassDef):
        names = {_called(one) if isinstance(one, ast.Call) else _last(one) for one in made.decorator_list}
        if "dataclass" in names:
            message = (
                f"the dataclass {made.name[:80]} is made anew for every input, which costs more than most contracts do"
            )
            yield _doubt(made, "dataclass-used", message, "use a dictionary, or a tuple")


def _check_unused(code: Code) -> Iterator[Finding]:
    for node in find_unused(code):
        if not meant(code, node.name):
            yield _doubt(
                node, "function-unused", f"nothing uses the function {node.name[:80]}", "remove it, or call it"
            )


def _check_builtins(code: Code) -> Iterator[Finding]:
    """Names that contracts use; `id`, `input` and others are free, as their first meaning is not there."""
    for scope in (code.file, *code.inner.values()):
        if not isinstance(scope.node, ast.ClassDef):
            for name in sorted(scope.bound.keys() & BUILTINS):
                first = scope.bound[name][0].node
                if isinstance(first, ast.Name) and isinstance(first.ctx, ast.Del):
                    continue  # an error
                message = f"{name} gets another meaning here than Python's"
                yield _doubt(first, "builtin-replaced", message, "choose another name")


def _check_operators(code: Code) -> Iterator[Finding]:
    operations = [(node, node.op, node.right) for node in code.all(ast.BinOp)]
    updates = [(node, node.op, node.value) for node in code.all(ast.AugAssign)]
    called = [(call, ast.Pow(), call.args[1]) for call in code.all(ast.Call) if _is_power(code, call)]
    for node, op, exponent in (*operations, *updates, *called):
        if isinstance(op, ast.Pow) and not isinstance(exponent, ast.Constant):
            message = "** with an exponent that may be large or negative: huge numbers, or a binary fraction"
            yield _doubt(
                node,
                "power-open",
                message,
                "write the exponent out, check it before, or take Decimal(1).scaleb(n) for 10 ** n",
            )


def _is_power(code: Code, call: ast.Call) -> bool:
    return len(call.args) == 2 and code.is_given(call.func, ("pow",))


# --- calls -----------------------------------------------------------------------------


def _check_calls(code: Code) -> Iterator[Finding]:
    for call in code.all(ast.Call):
        name, given = _called(call), {keyword.arg for keyword in call.keywords}
        if code.is_given(call.func, ("sorted", "min", "max")) and "key" not in given and _holds_tables(call):
            message = f"{name}() cannot tell which of two dictionaries comes first"
            yield _doubt(call, "key-missing", message, 'say by what: key=lambda line: line["ID"]')
        elif name in _REGEX and _is_of_re(code, call) and _is_slow(call):
            message = "this pattern repeats what already repeats, and may take very long on a text made for it"
            yield _doubt(call, "regex-slow", message, "let only one of the two repeat")
    for thrown in code.all(ast.Raise):
        match thrown.exc:
            case ast.Name(id="Reject") | ast.Call(func=ast.Name(id="Reject"), args=[], keywords=[]):
                message = "Reject without a reason leaves the other side to guess"
                yield _doubt(thrown, "reason-missing", message, 'raise Reject("what is wrong, with the figures")')


def _holds_tables(call: ast.Call) -> bool:
    match call.args:
        case [ast.List(elts=[ast.Dict() | ast.DictComp(), *_]) | ast.Tuple(elts=[ast.Dict() | ast.DictComp(), *_])]:
            return True
        case [ast.ListComp(elt=ast.Dict() | ast.DictComp()) | ast.GeneratorExp(elt=ast.Dict() | ast.DictComp())]:
            return True
    return False


def _is_of_re(code: Code, call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id=name)):
            return name == "re"
        case ast.Name() as name:
            return code.is_imported(name)
    return False


def _is_slow(call: ast.Call) -> bool:
    """`(a+)+`: a group that repeats and holds something that repeats."""
    if not call.args or not isinstance(call.args[0], ast.Constant) or not isinstance(call.args[0].value, str):
        return False
    pattern = call.args[0].value.replace("\\\\", "")
    repeats: list[bool] = [False]  # of each group that is open: whether something in it repeats
    at, in_class = 0, False
    while at < len(pattern):
        letter, after = pattern[at], pattern[at + 1 : at + 2]
        if letter == "\\":
            at += 1
        elif in_class:
            in_class = letter != "]"
        elif letter == "[":
            in_class = True
        elif letter == "(":
            repeats.append(False)
        elif letter == ")" and len(repeats) > 1:
            inner = repeats.pop()
            if inner and after in _REGEX_WIDE:
                return True
            repeats[-1] = repeats[-1] or inner
        elif letter in _REGEX_WIDE:
            repeats[-1] = True
        at += 1
    return False


# --- texts -----------------------------------------------------------------------------


def _check_texts(code: Code) -> Iterator[Finding]:
    """Texts that Python words, and may word otherwise: of exceptions, and of objects, which tell where they lie."""
    classes = {node.name for node in code.tree.body if isinstance(node, ast.ClassDef) and not _has_text(node)}
    shown: list[tuple[ast.AST, ast.expr]] = [(node, node.value) for node in code.all(ast.FormattedValue)]
    for call in code.all(ast.Call):
        if code.is_given(call.func, ("str", "repr", "ascii")) and len(call.args) == 1:
            shown.append((call, call.args[0]))
    for place, value in shown:
        if not isinstance(value, ast.Name):
            continue
        scope = code.find(value)
        bindings = scope.bound[value.id] if scope is not None else []
        if any(isinstance(one.node, ast.ExceptHandler) for one in bindings[:1]):
            message = f"the text of {show(value.id)[1:-1]} is worded by Python, not by the contract"
            yield _doubt(place, "text-unsteady", message, "write the reason in words of your own")
        elif any(_is_object(one, classes) for one in bindings[:1]):
            message = f"the text of {show(value.id)[1:-1]} tells where it lies in memory"
            yield _doubt(place, "text-unsteady", message, "write out its members")


def _is_object(binding: Binding, classes: set[str]) -> bool:
    """A function, a class, or an object of a class that does not word its own text."""
    made = binding.value
    is_made = isinstance(made, ast.Call) and _called(made) in classes
    return is_made or isinstance(binding.node, Function | ast.ClassDef)


def _has_text(node: ast.ClassDef) -> bool:
    """Whether the class words its own text, or takes that of another class."""
    own = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
    return bool(own & {"__str__", "__repr__"} or node.bases or node.decorator_list)


# --- inside ----------------------------------------------------------------------------


def _called(call: ast.Call) -> str:
    return _last(call.func)


def _last(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _doubt(node: ast.AST, code: str, message: str, instead: str) -> Finding:
    return Finding(line=line_of(node), code=code, message=message, instead=instead, is_error=False)
