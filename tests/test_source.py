"""Contract source: what is read without running anything, and what is refused. Spec: docs/spec/contract-source.md."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.source import Finding, Source, format_finding, lint, read_source
from ledger import limits
from ledger.errors import ContractMalformed
from ledger.fields import audience_of, cut
from tests.lint_cases import IN_APPLY
from tests.lint_cases_file import IN_FILE
from tests.source import ROOT

PURCHASE: Final = '''"""Purchase with three-way match.

The buyer orders, the seller delivers.
"""
ROLES   = {"buyer", "seller", "carrier", "bank"}
SIGNERS = {"buyer", "seller"}  # whose acknowledgement makes a state agreed
AUTHORS = {"order": {"buyer"}, "invoice": {"seller"}}
SHARES  = {
    "order": {
        "/*": {"buyer", "seller"},
        "/deliver_to": {"buyer", "seller", "carrier"},
        "/lines/*/price": {"buyer", "seller", "bank"},
        "/internal": set(),
    },
    "invoice": {"/*": {'buyer', 'seller', 'bank'}},
}

def key(record): return record["body"]["order_id"]

def apply(state, record, terms):
    key = state or {}
    return key
'''
APPLY: Final = "def apply(state, record, terms): ..."
BOTH: Final = frozenset({"buyer", "seller"})

CODES: Final = {
    "duplicate", "hidden-text", "literal-malformed", "literal-missing", "name-rebound", "not-alike",
    "pattern-malformed", "patterns-ambiguous", "role-malformed", "role-unknown", "roles-missing", "signers-missing",
    "syntax", "title-missing", "too-large", "too-many", "type-malformed", "type-reserved",
}  # fmt: skip
DOUBTS: Final = {
    "no-effect",
    "pattern-odd",
    "role-blind",
    "role-unused",
    "type-unauthored",
    "type-unseen",
    "type-unshared",
}
OF_CODE: Final = {"function-missing", *[pair.code for pair in (*IN_APPLY, *IN_FILE)]} - CODES
"""What is found in the code of functions; see tests/test_lint_code.py."""


def agreement(
    *,
    roles: str = '{"a", "b"}',
    signers: str = '{"a"}',
    authors: str = '{"t": {"a"}}',
    shares: str = '{"t": {"/*": {"a", "b"}}}',
    title: str = '"""A title."""',
    rest: str = "",
) -> str:
    return f"{title}\nROLES = {roles}\nSIGNERS = {signers}\nAUTHORS = {authors}\nSHARES = {shares}\n{rest}\n"


def the_fault(text: str) -> Finding:
    """The one error that `lint` finds, code apart; `read_source` must refuse with the same line and reason."""
    found = [finding for finding in lint(text) if finding.code not in OF_CODE]
    assert len(found) == 1, found
    assert found[0].is_error
    assert found[0].instead
    with pytest.raises(ContractMalformed) as refusal:
        read_source(text)
    assert refusal.value.fields == {"line": found[0].line, "reason": found[0].message}
    assert found[0].code in CODES
    return found[0]


# --- what is read --------------------------------------------------------------------------


def test_a_contract_is_read() -> None:
    assert read_source(PURCHASE) == Source(
        title="Purchase with three-way match.",
        roles=frozenset({"buyer", "seller", "carrier", "bank"}),
        signers=BOTH,
        authors={"order": frozenset({"buyer"}), "invoice": frozenset({"seller"})},
        shares={
            "order": {
                "/*": BOTH,
                "/deliver_to": BOTH | {"carrier"},
                "/lines/*/price": BOTH | {"bank"},
                "/internal": frozenset(),
            },
            "invoice": {"/*": BOTH | {"bank"}},
        },
        functions=frozenset({"key", "apply"}),
        rules={},
    )
    assert lint(PURCHASE) == []


def test_the_functions_are_known_by_name() -> None:
    assert read_source(PURCHASE).functions == {"key", "apply"}
    assert read_source(agreement()).functions == frozenset()
    shared = read_source(agreement(rest="def share(record, terms): ..."))
    assert (shared.has_share, read_source(PURCHASE).has_share) == (True, False)


def test_the_rules_of_every_type_are_compiled() -> None:
    rules = read_source(PURCHASE).rules
    assert sorted(rules) == ["invoice", "order"]
    assert audience_of(rules["order"], "/lines/3/price") == BOTH | {"bank"}
    assert [field.audience for field in cut(b'{"n":1,"internal":2}', rules["order"])] == [BOTH, frozenset()]


def test_nothing_in_the_file_is_run() -> None:
    rest = "raise SystemExit(1 / 0)\nimport no_such_module\nopen('/nowhere')\ndef share(record, terms): return exit()"
    assert read_source(agreement(rest=rest)).has_share


def test_a_sharing_agreement_needs_no_signers() -> None:
    assert read_source(agreement(signers="set()")).signers == frozenset()
    assert the_fault(agreement(signers="set()", rest="def key(record): return 1")).code == "signers-missing"


def test_line_ends_of_any_system_are_read_alike() -> None:
    assert read_source(PURCHASE.replace("\n", "\r\n")) == read_source(PURCHASE)
    for end in ("\n", "\r\n"):
        assert the_fault(agreement(signers='{"a" "x"}').replace("\n", end)).line == 3
    assert the_fault(PURCHASE.replace("\n", "\r")).code == "hidden-text"


@pytest.mark.parametrize("text", [r"'\x61'", r"'\u0061'", "'a'", '"a"'])
def test_a_plain_string_may_have_either_quote_and_common_escapes(text: str) -> None:
    assert read_source(agreement(roles='{"b", ' + text + "}")).roles == {"a", "b"}


# --- what is refused ---------------------------------------------------------------------------


_NO_SETS: Final = [
    '"a"', '["a"]', '("a", "b")', "{}", "{*()}", '{"a", *X}', "{a}", "{1}", "{None}", '{b"a"}', '{r"a"}', '{u"a"}',
    '{f"a"}', '{"""a"""}', '{"b" "a"}', '{"b"\n"a"}', '{("b" + "a")}', '{"\\a"}', '{"\\d"}',
    "set", 'set("a")', 'set(("a",))', "set(*x)", "set(**x)", "frozenset()", '{x for x in "ab"}', '{"a"} | {"b"}',
    '{"a"\n           "x"}', "x.set()", "(lambda: 1)()", "{'a': 1}", '{"' + "a" * 3000 + '"}', "...",
]  # fmt: skip
_NO_DICTIONARIES: Final = [
    "{'t'}", "[]", "None", "dict()", "dict(t={'a'})", "{**x}", "{k: {'a'}}", "{1: {'a'}}", "{'t' 'u': {'a'}}",
    "{k: {'a'} for k in x}", "{'t': {'a'}} | {}", "set()", "{f't': {'a'}}", "{'t': 'a'}", "{'t': {}}", "{'t': x}",
]  # fmt: skip
_REBOUND: Final = [
    "(ROLES := 1)", "for ROLES in x: pass", "import ROLES", "import x as ROLES", "from x import ROLES",
    "def ROLES(): ...", "class ROLES: ...", "def f():\n    global ROLES\n", "def f(ROLES): ...",
    "import ROLES.x", "with x as ROLES: pass",
    "try: pass\nexcept E as ROLES: pass", "match x:\n    case ROLES: pass", "match x:\n    case [*ROLES]: pass",
    "match x:\n    case {**ROLES}: pass", "ROLES['a'] = 1", "del ROLES['a']", "[ROLES, x] = 1, 2", "lambda ROLES: 1",
    "SHARES['t']['/x'] = 1", "del SHARES['t']['/*']", "SHARES['t']['/*'] |= x", "SHARES.x = 1", "SHARES['t'].x.y = 1",
    "SHARES['t'].update(x)", "ROLES.add('c')", "SHARES['t']['/*'].add('c')", "SHARES.get('t')['/x'] = 1",
    "change = SHARES['t'].update", "AUTHORS.setdefault('t', x)", "for SHARES['t']['/x'] in x: pass", "SIGNERS.clear()",
    "def f():\n    SHARES['t']['/x'] = 1", "[SHARES['t']['/x'], x] = 1, 2", "with x as SHARES['t']['/x']: pass",
    "ROLES.__init__(x)", "f'{ROLES.add(1)}'", "f'{(ROLES := 1)}'", "f'{(\uff32OLES := 1)}'",
    "from x import *", "ROLES = x = 1", "async def ROLES(): ...", "{1 for ROLES in x}", "ROLES['a'] += 1",
    "apply = 1", "async def apply(): ...", "class apply: ...", "if 1:\n    def apply(): ...", "from x import apply",
    "def f():\n    global apply\n", "def f(x=(apply := 1)): ...", "@(apply := x)\ndef f(): ...", "key: int = 1",
    "lambda x=(key := 1): 1", "def key(): ...\ndef key(): ...", "[key for key in x]", "class X((summary := 1)): ...",
    "try: pass\nexcept E as share: pass", "def f(x: (migrate := 1)): ...",
]  # fmt: skip
_NOT_REBOUND: Final = [
    "def f(key, apply): summary = key", "def f():\n    for key in x: pass", "class X:\n    def apply(self): ...",
    "x = SHARES['t'].get('/*')", "x = SHARES['t']['/*'].union(ROLES)", "for x in SHARES['t'].items(): pass",
    "x[ROLES] = 1", "x = ROLES | {'c'}", "f(SHARES['t'])['/x'] = 1", "x.ROLES.add(1)",
    "print(ROLES)", "def f(): return 'buyer' in ROLES", "lambda key: key", "x = ROLES", "x.ROLES = 1", "f(ROLES=1)",
    "def key(): ...; key = 1",
]  # fmt: skip


@pytest.mark.parametrize("text", _NO_SETS)
def test_a_set_is_written_out(text: str) -> None:
    assert the_fault(agreement(signers=text)).code == "literal-malformed"
    assert the_fault(agreement(signers=text)).line in (3, 4)


@pytest.mark.parametrize("text", _NO_DICTIONARIES)
def test_a_dictionary_is_written_out(text: str) -> None:
    assert the_fault(agreement(authors=text)).code == "literal-malformed"


@pytest.mark.parametrize(
    "text", ["{'t': {'a'}}", "{'t': []}", "{'t': {'/*': 'a'}}", "{'t': {'/*': {}}}", "{'t': {x: {'a'}}}"]
)
def test_shares_are_patterns_with_sets(text: str) -> None:
    assert the_fault(agreement(shares=text)).code == "literal-malformed"


@pytest.mark.parametrize("name", ["ROLES", "SIGNERS", "AUTHORS", "SHARES"])
def test_every_literal_is_there_once(name: str) -> None:
    lines = agreement().splitlines()
    missing = "\n".join(line for line in lines if not line.startswith(name))
    assert "literal-missing" in [finding.code for finding in lint(missing)]
    for again in (f"{name} = set()", f"{name} |= x", f"{name}: set = x", f"if 1:\n    {name} = 2", f"del {name}"):
        fault = the_fault(agreement(rest=again))
        assert fault.code == "name-rebound"
        assert fault.line >= 6


@pytest.mark.parametrize("text", _REBOUND)
def test_a_name_that_is_read_gets_no_other_value(text: str) -> None:
    assert {finding.code for finding in lint(agreement(rest=text))} - OF_CODE == {"name-rebound"}


@pytest.mark.parametrize("text", _NOT_REBOUND)
def test_names_may_be_used_and_stand_for_other_things_inside(text: str) -> None:
    assert not {finding.code for finding in lint(agreement(rest=text))} & CODES


@pytest.mark.parametrize(
    "title", ["", '""', '"""  \n """', "1", 'f"A"', "x = 1", '"' + "a" * 201 + '"', r'"a\x07b"', 'b"a"']
)
def test_a_title_is_due(title: str) -> None:
    assert the_fault(agreement(title=title)).code == "title-missing"


def test_a_title_is_one_line_of_limited_length() -> None:
    most = "é" * limits.TITLE_LENGTH_MAX
    assert read_source(agreement(title=f'"""\n  {most}  \n more\n"""')).title == most


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (agreement(signers='{"a", "c"}'), "role-unknown", 3),
        (agreement(authors='{"t": {"c"}}'), "role-unknown", 4),
        (agreement(shares='{"t": {"/*": {"a", "b", "c"}}}'), "role-unknown", 5),
        (agreement(roles='{"a", "b", "a"}'), "duplicate", 2),
        (agreement(authors='{"t": {"a"},\n"t": {"b"}}'), "duplicate", 5),
        (agreement(shares='{"t": {"/*": {"a", "b"}},\n"t": {"/*": {"a"}}}'), "duplicate", 6),
        (agreement(shares='{"t": {"/*": {"a", "b"},\n"/*": {"a"}}}'), "duplicate", 6),
        (agreement(shares='{"t": {"/a": {"a", "b"}, "/\\x61": {"a"}}}'), "duplicate", 5),
        (agreement(shares='{"t": {"/*": {"a", "b"},\n"x": {"a"}}}'), "pattern-malformed", 6),
        (agreement(shares='{"t": {"/*": {"a", "b"}, "/\\ud800": {"a"}}}'), "pattern-malformed", 5),
        (agreement(shares='{"t": {"/x": {"a", "b"},\n"/*/y": {"a"}}}'), "patterns-ambiguous", 6),
        (agreement(authors='{"tally/x": {"a"}}'), "type-reserved", 4),
        (agreement(shares='{"tally/x": {"/*": {"a", "b"}}}', authors='{"t": {"a"}}'), "type-reserved", 5),
        (agreement(roles='{"a", "b", "c d"}'), "role-malformed", 2),
        (agreement(roles="set()", signers="set()", authors="{}", shares="{}"), "roles-missing", 2),
        (agreement(rest="x = "), "syntax", 6),
        (agreement(rest="x = 1_"), "syntax", 6),
        (agreement(rest="type X = int"), "syntax", 6),
        (agreement(rest="\tx = 1"), "syntax", 6),
        (agreement(rest="x = 1 # \u202e"), "hidden-text", 6),
        (agreement(rest="x = 1 \x00"), "hidden-text", 6),
        (agreement(rest="x = '\ud800'"), "syntax", 6),
        ("\ufeff" + agreement(), "hidden-text", 1),
    ],
)
def test_a_fault_is_named_with_its_line(text: str, code: str, line: int) -> None:
    fault = the_fault(text)
    assert (fault.code, fault.line) == (code, line)


@pytest.mark.parametrize("roles", ['["a", "b"]', '("a", "b")', '{"a": 1}', '{"a" "b"}', '{"a", f"b"}', "set()", "{}"])
def test_roles_that_are_no_set_are_told_once_and_not_at_every_use(roles: str) -> None:
    (finding,) = lint(agreement(roles=roles))
    assert finding.code == ("roles-missing" if roles == "set()" else "literal-malformed")


@pytest.mark.parametrize("signers", ['["a", "b"]', '{"a" "b"}', "{}"])
def test_signers_that_are_no_set_are_not_said_to_be_missing_besides(signers: str) -> None:
    text = agreement(signers=signers, rest="def share(record, terms):\n    return {}")
    assert [finding.code for finding in lint(text)] == ["literal-malformed"]


_PARTIES: Final = {"roles": '{"buyer", "seller"}', "signers": '{"buyer"}', "authors": '{"order": {"buyer"}}'}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"signers": '{"buyr"}'}, "x.py:3: SIGNERS names the role 'buyr'"),
        ({"authors": '{"order": {"buyr"}}'}, "x.py:4: AUTHORS['order'] names the role 'buyr'"),
        ({"shares": '{"order": {"/*": {"buyr", "seller"}}}'}, "x.py:5: SHARES['order']['/*'] names the role 'buyr'"),
    ],
)
def test_a_misspelt_role_is_told_with_the_one_that_is_meant(wrong: dict[str, str], said: str) -> None:
    (finding,) = lint(agreement(**{**_PARTIES, "shares": '{"order": {"/*": {"buyer", "seller"}}}', **wrong}))
    expected = f"{said}, which ROLES does not have; write 'buyer', or add it to ROLES"
    assert format_finding("x.py", finding) == expected


def test_a_role_that_is_misspelt_in_roles_alone_is_one_finding() -> None:
    parties = {**_PARTIES, "roles": '{"buyr", "seller"}', "shares": '{"order": {"/*": {"seller", "buyer"}}}'}
    (finding,) = lint(agreement(**parties))
    assert "(2 more of the kind, the next in line 4); write 'buyr'" in format_finding("x.py", finding)


@pytest.mark.parametrize(("authors", "shares"), [("ordr", "order"), ("order", "ordr")])
def test_a_type_that_is_misspelt_on_one_side_is_one_finding(authors: str, shares: str) -> None:
    text = agreement(
        **{**_PARTIES, "authors": f'{{"{authors}": {{"buyer"}}}}', "shares": f'{{"{shares}": {{"/*": {{"seller"}}}}}}'}
    )
    (finding,) = [finding for finding in lint(text) if finding.code.startswith("type-")]
    assert finding.instead == f"write {authors!r} there, too, or {shares!r} in AUTHORS"


@pytest.mark.parametrize(
    ("pattern", "instead"),
    [("x", "write '/x'"), ("", "write '/*'"), ("*", "write '/*'"), ("#/x/y", "write '/x/y'"), ("x~", "A pattern is")],
)
def test_a_pattern_without_a_slash_is_told_how_to_be_written(pattern: str, instead: str) -> None:
    (finding,) = lint(agreement(shares=f'{{"t": {{"/*": {{"a", "b"}}, "{pattern}": {{"a"}}}}}}'))
    assert (finding.code, finding.instead[: len(instead)]) == ("pattern-malformed", instead)


HIDDEN: Final = (
    "\u200b\u200c\u200d\u2060\ufeff\u00ad\u061c\u200e\u202e\u2066\U000e0041\u3164\u115f\uffa0\u2800\ufe0f\u034f\u00a0\u3000"
    "\u2028\u2029\u0085\x0b\x0c\r\x1b\x7f\x9b\ue000"
)


@pytest.mark.parametrize("letter", HIDDEN, ids=lambda letter: f"U+{ord(letter):04X}")
def test_nothing_hides_in_a_contract(letter: str) -> None:
    """In a pattern, which then is another one; before a line of SHARES that a person takes for a comment; in a name."""
    pattern = agreement(shares=f'{{"t": {{"/*": {{"a"}},\n"/price{letter}": {{"a", "b"}}}}}}')
    comment = agreement(shares=f'{{"t": {{"/*": {{"a"}}, # and no more\n#{letter}"/price": {{"a", "b"}}}}}}')
    for text in (pattern, comment):
        assert (the_fault(text).code, the_fault(text).line) == ("hidden-text", 6)
    assert the_fault(agreement(rest=f"x{letter} = 1")).code == "hidden-text"
    assert the_fault(agreement(title=f'"""A{letter} title."""')).code == "hidden-text"


@pytest.mark.parametrize("text", ["/pric\u0435", "/größe", "/\uff0a", "/\u5024"])
def test_strings_that_are_read_are_written_in_ascii(text: str) -> None:
    """Letters of other alphabets look like those of ours: an escape shows which one it is."""
    shares = '{"t": {"/*": {"a", "b"}, "NAME": {"a"}}}'
    assert the_fault(agreement(shares=shares.replace("NAME", text))).code == "literal-malformed"
    escaped = read_source(agreement(shares=shares.replace("NAME", ascii(text)[1:-1])))
    assert sorted(escaped.shares["t"]) == sorted(["/*", text])


@pytest.mark.parametrize(
    "text",
    [
        "\u0405HARES = {}", "\uff33\uff28\uff21\uff32\uff25\uff33['t'] = 1", "größe = 1", "def \u0430pply(): ...",
        "x = y.größe", "x = 'é' + é", "x = f'{y}é' + é", "x = '''é\n#é''' + é", "x = '#' + é  # é",
    ],
)  # fmt: skip
def test_names_are_written_in_ascii(text: str) -> None:
    """`SHARES` of other letters is not read and looks as if it were, or is read and is not found by a search."""
    assert the_fault(agreement(rest=text)).code == "hidden-text"


def test_strings_and_comments_may_hold_any_letter_that_is_seen() -> None:
    text = "# größe 鮭 ✓ 👍\nx = 'größe # 鮭'\ny = f'{x} é' 'ø'\nz = '''é\n鮭 # ø\n'''  # é"
    assert read_source(agreement(title='"""Größe 鮭."""', rest=text)).title == "Größe 鮭."


def test_an_ambiguity_names_the_pattern_to_add() -> None:
    fault = the_fault(agreement(shares='{"t": {"/x": {"a", "b"}, "/*/y": {"a"}}}'))
    assert "'/x/y'" in fault.instead
    assert lint(agreement(shares='{"t": {"/x": {"a", "b"}, "/*/y": {"a"}, "/x/y": {"a"}}}')) == []


@pytest.mark.parametrize("role", ["x", "_x", "X1", "a" * limits.ROLE_LENGTH_MAX])
def test_roles_are_identifiers(role: str) -> None:
    assert role in read_source(agreement(roles=f'{{"a", "b", "{role}"}}')).roles
    for bad in ("", "1" + role[1:], role + "-", "@" + role[1:], role[:-1] + "\\xe9", role + "\\n", "a" * 64):
        assert the_fault(agreement(roles=f'{{"a", "b", "{bad}"}}')).code == "role-malformed"


@pytest.mark.parametrize("kind", ["t", "epcis/event", "7", "A.b_c-d/e", "tally", "a" * limits.TYPE_LENGTH_MAX])
def test_types_have_a_grammar(kind: str) -> None:
    shares = '{"KIND": {"/*": {"a", "b"}}}'
    source = read_source(agreement(authors=f'{{"{kind}": {{"a"}}}}', shares=shares.replace("KIND", kind)))
    assert list(source.authors) == list(source.shares) == [kind]
    for bad in ("", "/" + kind[1:], kind + " ", kind[:-1] + "\\xe9", kind + ":", kind + "\\n", "a" * 65):
        found = lint(agreement(shares=shares.replace("KIND", bad)))
        assert [finding.code for finding in found] == ["type-malformed"]


@pytest.mark.slow
def test_everything_is_counted() -> None:
    many = rows(7, '"r#"')
    for most, build in (
        (limits.CONTRACT_ROLES_MAX, lambda n: agreement(roles="{" + rows(n - 2, '"r#"') + ',"a","b"}')),
        (limits.CONTRACT_TYPES_MAX, lambda n: agreement(authors="{" + rows(n, '"t#": {"a"}') + "}")),
        (limits.CONTRACT_TYPES_MAX, lambda n: agreement(shares="{" + rows(n, '"t#": {"/*": {"a", "b"}}') + "}")),
        (limits.PATTERNS_MAX, lambda n: agreement(shares='{"t": {' + rows(n, '"/#": {"a", "b"}') + "}}")),
        (limits.CONTRACT_PATTERNS_MAX, lambda n: agreement(shares=spread(n))),
        (limits.SECTIONS_MAX - 2, lambda n: agreement(roles="{" + many + ',"a","b"}', shares=audiences(n))),
    ):
        read_source(build(most))
        fault = [finding for finding in lint(build(most + 1)) if finding.is_error]
        assert [finding.code for finding in fault] == ["too-many"]
        with pytest.raises(ContractMalformed):
            read_source(build(most + 1))


def rows(number: int, row: str) -> str:
    return ",".join(row.replace("#", str(i)) for i in range(number))


def spread(number: int) -> str:
    """`number` patterns over types of at most 200 each."""
    kinds = [min(200, number - first) for first in range(0, number, 200)]
    tables = [f'"t{i}": {{' + rows(count, '"/#": {"a", "b"}') + "}" for i, count in enumerate(kinds)]
    return "{" + ",".join(tables) + "}"


def audiences(number: int) -> str:
    """`number` patterns, no two with the same roles, and one with none."""
    sets = [",".join(f'"r{bit}"' for bit in range(7) if i >> bit & 1) for i in range(1, number + 1)]
    return '{"t": {' + ",".join(f'"/{i}": {{{roles}}}' for i, roles in enumerate(sets)) + ', "/x": set()}}'


def test_the_file_has_a_greatest_size() -> None:
    room = limits.CONTRACT_BYTES_MAX - len(agreement(rest="#").encode())
    read_source(agreement(rest="#" + "é" * (room // 2) + "x" * (room % 2)))
    assert the_fault(agreement(rest="#" + "é" * (room // 2) + "xx" * (room % 2 + 1))).code == "too-large"


@pytest.mark.slow
def test_words_and_signs_are_counted_before_anything_is_parsed() -> None:
    room = limits.CONTRACT_WORDS_MAX - len(re.findall(r"\w+|[^\w\s]", agreement()))
    read_source(agreement(rest="0;" * (room // 2) + "0" * (room % 2)))
    assert the_fault(agreement(rest="0;" * (room // 2) + "0" * (room % 2) + " ;")).code == "too-many"
    assert the_fault("(" * (limits.CONTRACT_WORDS_MAX + 1)).code == "too-many", "not that it is no Python"


def test_findings_are_counted_too() -> None:
    assert len(lint("ROLES = 1\n" * 5000)) == limits.CONTRACT_FINDINGS_MAX


# --- what is allowed and doubted ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (agreement(roles='{"a", "b",\n"c"}'), "role-unused", 3),
        (agreement(roles='{"a", "b",\n"c"}', authors='{"t": {"c"}}'), "role-blind", 3),
        (agreement(signers='{"a", "c"}', roles='{"a", "b",\n"c"}'), "role-blind", 3),
        (agreement(authors='{"t": {"a"},\n"u": {"a"}}'), "type-unshared", 5),
        (agreement(authors='{"t": set()}'), "type-unauthored", 4),
        (agreement(shares='{"t": {"/*": {"a", "b"}},\n"u": {}}'), "type-unauthored", 6),
        (
            agreement(signers='{"a", "b"}', shares='{"t": {"/x": {"a"}, "/y": {"b"}}}', rest="def apply(s, r, t): ..."),
            "type-unseen",
            5,
        ),
        (agreement(shares='{"t": {"/*": {"a", "b"},\n"/lines[*]/cost": set()}}'), "pattern-odd", 6),
        (agreement(shares='{"t": {"/*": {"a", "b"},\n"/**/cost": set()}}'), "pattern-odd", 6),
        (agreement(shares='{"t": {"/*": {"a", "b"},\n"/cost/": set()}}'), "pattern-odd", 6),
        (agreement(rest="import os"), "no-effect", 6),
        (agreement(rest="'a word'\nos.system('x')"), "no-effect", 7),
        (agreement(rest="def price(): ..."), "no-effect", 6),
    ],
)
def test_a_doubt_is_named_with_its_line_and_refuses_nothing(text: str, code: str, line: int) -> None:
    (found,) = [finding for finding in lint(text) if finding.code not in OF_CODE]
    assert (found.code, found.line, found.is_error) == (code, line, False)
    assert found.instead
    assert code in DOUBTS
    read_source(text)


def test_findings_come_in_order_of_lines_and_read_like_those_of_a_compiler() -> None:
    text = agreement(roles='{"a", "b", "1"}', signers='{"c"}', authors='{"": {"a"}}', shares='{"t": {"x": {"d"}}}')
    found = lint(text)
    assert [finding.line for finding in found] == [2, 3, 4, 5, 5]
    assert format_finding("deal.py", found[1]) == (
        "deal.py:3: SIGNERS names the role 'c', which ROLES does not have; correct the name, or add it to ROLES"
    )
    with pytest.raises(ContractMalformed, match="line 2: '1' is no name for a role"):
        read_source(text)


def test_the_page_lists_every_code() -> None:
    page = (ROOT / "docs" / "spec" / "contract-source.md").read_text().partition("## Findings")[2]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == CODES | DOUBTS | OF_CODE


# --- hostile files ----------------------------------------------------------------------------------

_HOSTILE: Final = {
    "unary": "x=" + "-" * 250_000 + "1",
    "not": "x=" + "not " * 60_000 + "1",
    "sum": "x=1" + "+1" * 120_000,
    "power": "x=1" + "**1" * 80_000,
    "brackets": "x=" + "(" * 100_000,
    "attributes": "x=a" + ".b" * 120_000,
    "calls": "x=f" + "()" * 120_000,
    "subscripts": "x=a" + "[0]" * 80_000,
    "lambdas": "x=" + "lambda a,b:" * 20_000 + "1",
    "choices": "x=" + "1 if 1 else " * 20_000 + "1",
    "branches": "if 1:0\n" + "elif 1:0\n" * 28_000,
    "indents": "".join(" " * i + "if 1:\n" for i in range(500)),
    "digits": "x=" + "9" * 250_000,
    "hexadecimal": "ROLES={0x" + "f" * 250_000 + "}",
    "pieces": "ROLES={" + '"a"' * 80_000 + "}",
    "statements": "0;" * 120_000,
    "targets": "x=" * 120_000 + "1",
    "sets": "ROLES=" + "{(1," * 90 + "1" + ")}" * 90,
    "escapes": 'ROLES={"' + "\\x41" * 60_000 + '"}',
    "doubtful escapes": 'x="' + "\\d" * 100_000 + '"',
    "keys": "SHARES={" + '"%s":{},' % ("k" * 1000) * 250 + "}",
    "formatted": "x=f" + '"{f' * 50 + "1",
}


def test_files_that_threads_read_at_the_same_time_are_all_read() -> None:
    """A node reads the proposals of several members side by side, and the collector may run in any of them."""
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(50)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            read = list(pool.map(lambda _: read_while_collecting(), range(300)))
    finally:
        gc.set_threshold(*threshold)
        sys.setswitchinterval(interval)
    assert set(read) == {("bank", "buyer", "carrier", "seller")}


class Cycle:
    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        sum(range(50))  # code of Python: another thread may take over


def read_while_collecting() -> tuple[str, ...]:
    for _ in range(5):
        Cycle()
    return tuple(sorted(read_source(PURCHASE).roles))


@pytest.mark.slow
def test_no_file_brings_the_reader_down() -> None:
    # In a process of its own: what this is about would take the whole test run with it.
    program = (
        "import sys, threading\n"
        "from contracts.source import lint\n"
        "from tests.test_source import _HOSTILE\n"
        "def read():\n"
        "    for name, text in _HOSTILE.items():\n"
        "        found = lint(text)\n"
        "        assert any(finding.is_error for finding in found), name\n"
        "        print(name)\n"
        "thread = threading.Thread(target=read)\n"
        "thread.start(); thread.join(); read()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[:-1] == [*_HOSTILE, *_HOSTILE]


@given(st.text(max_size=200) | st.lists(st.sampled_from(PURCHASE.split(" ")), max_size=60).map(" ".join))
@example("\x0c\n")
@example("")
def test_any_text_is_read_or_refused_with_a_reason(text: str) -> None:
    found = lint(text)
    assert all(finding.code in CODES | DOUBTS | OF_CODE and finding.line >= 1 for finding in found)
    if any(finding.is_error and finding.code not in OF_CODE for finding in found):
        with pytest.raises(ContractMalformed):
            read_source(text)
    else:
        read_source(text)


@given(st.data())
def test_a_contract_with_a_letter_lost_or_doubled_never_says_more(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(PURCHASE) - 1))
    text = PURCHASE[:at] + data.draw(st.sampled_from(["", PURCHASE[at] * 2])) + PURCHASE[at + 1 :]
    try:
        source = read_source(text)
    except ContractMalformed:
        return
    assert source.signers <= source.roles
    used = [*source.authors.values(), *[roles for rows in source.shares.values() for roles in rows.values()]]
    assert all(roles <= source.roles for roles in used)
    assert sorted(source.rules) == sorted(source.shares)
