"""Fields: who reads what, and that a body comes apart and together again. Spec: docs/spec/fields.md."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import (
    EncodingError,
    FieldsContradict,
    PatternMalformed,
    PatternOnElement,
    PatternsAmbiguous,
    TallyError,
    TooLarge,
)
from ledger.fields import (
    Field,
    Rules,
    audience_of,
    compile_rules,
    cut,
    cut_parts,
    decode_pointer,
    encode_pointer,
    is_flat,
    join,
    parse_pattern,
    unite,
)
from ledger.jsontext import check_strict, members
from tests.samples import samples

VECTORS: Final = json.loads((Path(__file__).parent / "vectors" / "fields.json").read_text())
Shares = Mapping[str, frozenset[str]]

# Few keys and short patterns, so that they meet; among them every letter that JSON, pointers or patterns treat apart.
_KEYS: Final = [
    "a",
    "b",
    "*",
    "",
    "/",
    "~",
    "~1",
    "0",
    "1",
    "00",
    "é",
    "e\u0301",
    '"',
    "\\",
    "\u0000",
    "\U0001f41f",
    "p",
]
_SPACE: Final = st.sampled_from(["", "", "", " ", "\n\t", " \r\n "])
_NUMBERS: Final = ["0", "-0", "26.0", "1e3", "1E+02", "-1.50", "12345678901234567890123", "0.1e-7"]


# --- bodies, patterns and what to expect of them ---------------------------------------


class Number(str):
    """A number by its text: 26.0 is not 26."""

    __slots__ = ()


def value_of(text: bytes) -> Any:
    """The JSON value with the texts of its numbers; not the reader that the code under test uses."""
    return json.loads(text, parse_int=Number, parse_float=Number)


@st.composite
def strings(draw: st.DrawFn, text: str) -> str:
    """One of the ways to write a string."""
    style = draw(st.integers(0, 2))
    if style == 2:
        return '"' + "".join(f"\\u{ord(c):04X}" if ord(c) < 0x10000 else json.dumps(c)[1:-1] for c in text) + '"'
    return json.dumps(text, ensure_ascii=bool(style))


@st.composite
def json_texts(draw: st.DrawFn, depth: int = 4) -> str:
    """Any JSON value with any white space, biased to nested objects and arrays."""
    kind = draw(st.integers(0, 9)) if depth else 0
    if kind <= 1:
        return draw(st.sampled_from([*_NUMBERS, "true", "false", "null"]))
    if kind <= 3:
        return draw(strings(draw(st.text(alphabet='a"\\{}[],:/~é\n🐟', max_size=6))))
    if kind <= 5:
        return _bracketed(draw, "[]", [draw(json_texts(depth - 1)) for _ in range(draw(st.integers(0, 3)))])
    return draw(json_objects(depth - 1))


@st.composite
def json_objects(draw: st.DrawFn, depth: int = 4) -> str:
    keys = draw(st.lists(st.sampled_from(_KEYS), unique=True, max_size=4))
    parts = []
    for key in keys:
        value = draw(json_texts(depth))
        parts.append(draw(strings(key)) + draw(_SPACE) + ":" + draw(_SPACE) + value)
    return _bracketed(draw, "{}", parts)


def _bracketed(draw: st.DrawFn, brackets: str, parts: list[str]) -> str:
    padded = [draw(_SPACE) + part + draw(_SPACE) for part in parts] or [draw(_SPACE)]
    return brackets[0] + ",".join(padded) + brackets[1]


bodies = st.tuples(_SPACE, json_objects(), _SPACE).map(lambda parts: "".join(parts).encode())
audiences = st.frozensets(st.sampled_from(["x", "y", "z"]), max_size=3)
_steps = st.one_of(st.just("*"), st.sampled_from(_KEYS))
patterns = st.lists(_steps, min_size=1, max_size=4).map(encode_pointer)


@st.composite
def shares(draw: st.DrawFn) -> Shares:
    """Patterns that compile: where two are ambiguous, the one that settles it is added."""
    found = draw(st.dictionaries(patterns, audiences, max_size=6))
    while True:
        try:
            compile_rules(found)
            return found
        except PatternsAmbiguous as cause:
            found[str(cause.fields["overlap"])] = draw(audiences)


def matches(pattern: str, pointer: tuple[str, ...]) -> bool:
    steps = decode_pointer(pattern)
    return len(steps) == len(pointer) and all(a in ("*", b) for a, b in zip(steps, pointer, strict=True))


def literals_first(pattern: str) -> list[bool]:
    return [step != "*" for step in decode_pointer(pattern)]


def by_own_pattern(given: Shares, pointer: tuple[str, ...]) -> frozenset[str]:
    """First reading of the rules: a pattern of one's own, else what the parent has."""
    own = [pattern for pattern in given if matches(pattern, pointer)]
    if own:
        return given[max(own, key=literals_first)]
    return by_own_pattern(given, pointer[:-1]) if len(pointer) > 1 else frozenset()


def by_first_literal(given: Shares, pointer: tuple[str, ...]) -> frozenset[str]:
    """Second reading: of all patterns on the way, the first in order, step by step from the left."""
    found = [p for p in given for end in range(1, len(pointer) + 1) if matches(p, pointer[:end])]
    return given[max(found, key=literals_first)] if found else frozenset()


def places(value: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Every pointer into `value` in the order of the text, and whether it is that of an element."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*at, key), False
            yield from places(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield (*at, str(index)), True
            yield from places(item, (*at, str(index)))


def expected_fields(body: bytes, given: Shares) -> list[tuple[str, frozenset[str]]] | None:
    """Name and audience of every field, in order; None where the record is refused."""
    found = []
    for pointer, is_element in places(value_of(body)):
        own = any(matches(pattern, pointer) for pattern in given)
        if is_element and own:
            return None
        if not is_element and (own or len(pointer) == 1):
            found.append((encode_pointer(pointer), by_own_pattern(given, pointer)))
    return found


def resolve(value: Any, name: str) -> Any:
    for step in decode_pointer(name):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def holds(value: Any, name: str) -> bool:
    try:
        resolve(value, name)
    except (KeyError, IndexError, TypeError, ValueError):
        return False
    return True


def texts(fields: list[Field]) -> list[tuple[str, bytes]]:
    return [(field.name, field.text) for field in fields]


def rules_of(*names: str) -> Rules:
    return compile_rules({name: frozenset({"x"}) for name in names})


def cut_or_refuse(body: bytes, given: Shares) -> list[Field]:
    try:
        return cut(body, compile_rules(given))
    except PatternOnElement:
        assume(False)
        raise


# --- cut -------------------------------------------------------------------------------


@pytest.mark.slow
@given(bodies, shares())
@example(b'{"a":{"b":1,"*":{"p":[]}}}', {"/*": frozenset("x"), "/a/*": frozenset("y"), "/a/*/p": frozenset("z")})
def test_every_part_with_a_pattern_is_a_field_with_the_audience_that_decides(body: bytes, given: Shares) -> None:
    check_strict(body)
    expected = expected_fields(body, given)
    if expected is None:
        with pytest.raises(PatternOnElement):
            cut(body, compile_rules(given))
        return
    assert [(field.name, field.audience) for field in cut(body, compile_rules(given))] == expected


@pytest.mark.slow
@given(bodies, shares())
def test_like_bodies_share_one_shape(body: bytes, given: Shares) -> None:
    fields = cut_or_refuse(body, given)
    rules = compile_rules(given)
    first, second = cut_parts(body, rules), cut_parts(body, rules)
    assert list(first) == [first[i] for i in range(len(first))] == fields
    assert first.shape is second.shape
    assert all(field.audience == audience_of(rules, field.name) for field in first)


def test_a_shape_that_is_forgotten_at_once_is_told_all_the_same() -> None:
    """As when another thread clears what is remembered."""

    class Forgetful(dict[Any, Any]):
        def setdefault(self, _key: Any, default: Any = None) -> Any:
            return default

    rules = Rules(rules_of("/a", "/o/k").tables, {}, Forgetful())
    assert [field.name for field in cut(b'{"a":1}', rules)] == ["/a"]
    assert [field.name for field in cut(b'{"o":{"k":1}}', rules)] == ["/o", "/o/k"]


@pytest.mark.slow
@given(bodies, shares())
def test_join_of_cut_is_the_same_value(body: bytes, given: Shares) -> None:
    fields = cut_or_refuse(body, given)
    joined = join(texts(fields))
    check_strict(joined)
    assert value_of(joined) == value_of(body)


@given(
    st.lists(st.tuples(st.booleans(), _SPACE, json_texts(2), _SPACE), max_size=6),
    st.lists(_SPACE, min_size=12, max_size=12),
)
def test_a_cut_takes_the_member_and_one_comma_and_no_other_byte(
    parts: list[tuple[bool, str, str, str]], space: list[str]
) -> None:
    kept: list[str] = []
    whole: list[str] = []
    for i, (is_cut, before, value, after) in enumerate(parts):
        member = f'"k{i}"{before}:{after}{value}'
        is_last = i == len(parts) - 1
        comma = [] if is_last else [","]
        whole += [space[2 * i], member, space[2 * i + 1], *comma]
        kept += [space[2 * i], *([] if is_cut else [member]), space[2 * i + 1], *([] if is_cut else comma)]
        if is_cut and is_last and "," in kept:
            del kept[len(kept) - 1 - kept[::-1].index(",")]
    body = '{"o":{' + "".join(whole) + "}}"
    fields = cut(body.encode(), rules_of("/o", *[f"/o/k{i}" for i, (is_cut, *_) in enumerate(parts) if is_cut]))
    assert fields[0].text.decode() == "{" + "".join(kept) + "}"
    assert [field.text.decode() for field in fields[1:]] == [value for is_cut, _, value, _ in parts if is_cut]


@given(bodies, st.dictionaries(st.sampled_from(_KEYS).map(lambda key: encode_pointer((key,))), audiences))
def test_flat_rules_leave_every_value_as_it_came(body: bytes, given: Shares) -> None:
    rules = compile_rules(given)
    assert is_flat(rules)
    assert texts(cut(body, rules)) == [(encode_pointer((key,)), text) for key, text in members(body).items()]


@pytest.mark.parametrize("vector", VECTORS["cut"], ids=lambda vector: vector["name"])
def test_vectors_cut(vector: dict[str, Any]) -> None:
    rules = compile_rules({pattern: frozenset(roles) for pattern, roles in vector["patterns"].items()})
    body = vector["body"].encode()
    check_strict(body)
    fields = cut(body, rules)
    assert [[field.name, field.text.decode(), sorted(field.audience)] for field in fields] == vector["fields"]
    assert value_of(join(texts(fields))) == value_of(body)
    for field in fields:
        assert audience_of(rules, field.name) == field.audience


@pytest.mark.parametrize("vector", VECTORS["refused_bodies"], ids=lambda vector: vector["name"])
def test_vectors_refused_bodies(vector: dict[str, Any]) -> None:
    with pytest.raises(TallyError) as refusal:
        cut(vector["body"].encode(), rules_of(*vector["patterns"]))
    assert refusal.value.code == vector["code"]


def test_a_pattern_on_an_element_is_named_with_the_place() -> None:
    with pytest.raises(PatternOnElement) as refusal:
        cut(b'{"l":[{},[0,1]]}', rules_of("/l/*/1"))
    assert refusal.value.fields == {"pattern": "/l/*/1", "name": "/l/1/1"}


def test_a_body_may_be_as_deep_as_its_limit_and_be_cut_at_the_bottom() -> None:
    depth = limits.JSON_DEPTH
    body = b'{"a":' * depth + b"1" + b"}" * depth
    check_strict(body)
    fields = cut(body, rules_of("/a" * depth))
    assert [field.name for field in fields] == ["/a", "/a" * depth]
    assert value_of(join(texts(fields))) == value_of(body)


@pytest.mark.slow
def test_fields_are_counted() -> None:
    most = limits.FIELDS_MAX
    for number, accepted in ((most, True), (most + 1, False)):
        flat = json.dumps({str(i): 0 for i in range(number)}).encode()
        deep = json.dumps({"a": {str(i): 0 for i in range(number - 1)}}).encode()
        both = json.dumps({"a": {str(i): 0 for i in range(number - 2)}, "b": 0}).encode()
        for body, rules in ((flat, rules_of("/*")), (deep, rules_of("/a/*")), (both, rules_of("/a/*"))):
            if accepted:
                assert len(cut(body, rules)) == most
                assert join(texts(cut(body, rules)))
            else:
                with pytest.raises(TooLarge):
                    cut(body, rules)


def test_field_names_have_a_greatest_length_top_and_deep() -> None:
    for key, accepted in (("é" * 511, True), ("é" * 512, False)):
        for body, rules in (({key + "a": 0}, rules_of("/*")), ({"": {key: 0}}, rules_of("//*"))):
            text = json.dumps(body).encode()
            if accepted:
                assert max(len(field.name.encode()) for field in cut(text, rules)) == limits.NAME_BYTES_MAX
            else:
                with pytest.raises(TooLarge):
                    cut(text, rules)


def test_a_megabyte_with_deep_patterns_is_cut_in_one_pass() -> None:
    line = '{"sku":"%s","price":1.50}' % ('}],\\\\\\"' * 30)
    body = ('{"lines":[' + ",".join([line] * 4000) + "]}").encode()
    fields = cut(body, rules_of("/lines", "/lines/*/price", "/lines/*/sku/x/y/z"))
    assert len(fields) == 4001
    assert value_of(join(texts(fields))) == value_of(body)


def test_a_long_name_on_the_way_is_no_name_of_a_field() -> None:
    key = "k" * 400_000
    body = json.dumps({"a": {key: [{"p": 0}] + [{}] * 50_000}}).encode()
    assert [field.name for field in cut(body, rules_of("/a", "/a/*/*/q"))] == ["/a"]
    with pytest.raises(TooLarge):
        cut(body, rules_of("/a", "/a/*/*/p"))


def test_rules_remember_member_names_without_growing_for_ever() -> None:
    rules = rules_of("/*")
    for batch in range(5):
        cut(json.dumps({f"{batch}-{i}": 0 for i in range(2000)}).encode(), rules)
    assert len(rules._plans) <= 4096
    assert [field.name for field in cut(b'{"0-0":1}', rules)] == ["/0-0"]


@pytest.mark.slow
def test_the_real_samples_come_together_again() -> None:
    event = "/epcisBody/eventList/*"
    deep = [f"{event}/{name}" for name in ("readPoint", "*/id", "readPoint/id", "bizTransactionList/*/bizTransaction")]
    rules = rules_of("/*", "/epcisBody/*", "/*/type", "/epcisBody/type", *deep)
    seen = 0
    for path in samples("epcis/**/*.json*"):
        body = path.read_bytes()
        try:
            check_strict(body)
            fields = cut(body, rules)
        except TallyError:  # not every sample is strict JSON, and not every one has the shape of the patterns
            continue
        assert value_of(join(texts(fields))) == value_of(body)
        seen += len(fields) > len(members(body))
    assert seen > 50


# --- join --------------------------------------------------------------------------------


@given(bodies, shares(), st.data())
def test_join_of_some_fields_holds_those_and_no_other(body: bytes, given: Shares, data: st.DataObject) -> None:
    fields = texts(cut_or_refuse(body, given))
    chosen = dict(data.draw(st.lists(st.sampled_from(fields), unique=True)) if fields else [])
    joined = value_of(join(data.draw(st.permutations(list(chosen.items())))))
    for name, text in fields:
        below = [other for other in chosen if other.startswith(name + "/")]
        if name in chosen and not below:
            assert resolve(joined, name) == value_of(text)
        elif name not in chosen:
            assert bool(below) == holds(joined, name), "a withheld field is absent unless something stands below it"


@pytest.mark.parametrize("vector", VECTORS["join"], ids=lambda vector: vector["name"])
def test_vectors_join(vector: dict[str, Any]) -> None:
    assert join([(name, text.encode()) for name, text in vector["fields"]]).decode() == vector["body"]


@pytest.mark.parametrize("vector", VECTORS["refused_joins"], ids=lambda vector: vector["name"])
def test_vectors_refused_joins(vector: dict[str, Any]) -> None:
    with pytest.raises(TallyError) as refusal:
        join([(name, text.encode()) for name, text in vector["fields"]])
    assert refusal.value.code == vector["code"]


@given(st.lists(st.tuples(patterns, st.binary(max_size=12) | json_texts(2).map(str.encode)), max_size=4))
@example([("/a", b'{"b":1}'), ("/a/b/c", b"2")])
@example([("/a", b'"\xff"')])
@example([("/a", b"1"), ("/a\x00", b'2,"b":3')])
def test_join_of_anything_is_strict_or_refused(fields: list[tuple[str, bytes]]) -> None:
    try:
        joined = join(fields)
    except TallyError:
        return
    check_strict(joined)
    value = value_of(joined)
    for name, text in fields:
        assert holds(value, name)
        assert any(other.startswith(name + "/") for other, _ in fields) or resolve(value, name) == value_of(text)


def test_join_bounds_what_it_is_given() -> None:
    half = b'"' + b"x" * (limits.BODY_BYTES_MAX // 2 - 2) + b'"'
    assert len(join([("/a", half), ("/b", half)])) > limits.BODY_BYTES_MAX
    with pytest.raises(TooLarge):
        join([("/a", half), ("/b", half), ("/c", b"1")])
    with pytest.raises(TooLarge):
        join([(f"/{i}", b"1") for i in range(limits.FIELDS_MAX + 1)])


def test_join_takes_the_deepest_value_and_none_deeper() -> None:
    for steps in (1, 2):
        name = "/a" * steps
        inner = limits.JSON_DEPTH - steps
        check_strict(join([(name, b"[" * inner + b"]" * inner)]))
        with pytest.raises(TallyError, match="deeper"):
            join([(name, b"[" * (inner + 1) + b"]" * (inner + 1))])


def test_a_field_that_its_withheld_parent_lacks_is_named() -> None:
    with pytest.raises(FieldsContradict) as refusal:
        join([("/a", b"[{}]"), ("/a/7/b/c", b"1")])
    assert refusal.value.fields["name"] == "/a/7/b/c"


# --- patterns and rules --------------------------------------------------------------------


@given(shares(), st.lists(_steps, min_size=1, max_size=5).map(tuple))
def test_both_readings_of_the_rules_give_one_audience(given: Shares, pointer: tuple[str, ...]) -> None:
    found = audience_of(compile_rules(given), encode_pointer(pointer))
    assert found == by_own_pattern(given, pointer) == by_first_literal(given, pointer)


def test_a_step_costs_the_same_however_many_patterns_match() -> None:
    """A contract whose 256 patterns all match would else take its readers seconds for one record."""
    ends = [(*bits, *["a"] * 23, f"e{i}") for i, bits in enumerate(product("a*", repeat=8))]
    many = compile_rules({encode_pointer(steps): frozenset({"x"}) for steps in ends})
    one = compile_rules({encode_pointer(ends[0]): frozenset({"x"})})
    names = [encode_pointer((*["a"] * 31, f"x{i}")) for i in range(500)]

    def took_s(rules: Rules) -> float:
        began_s = time.process_time()
        assert all(audience_of(rules, name) == frozenset() for name in names)
        return time.process_time() - began_s

    assert min(took_s(many) for _ in range(3)) < 4 * min(took_s(one) for _ in range(3))
    assert audience_of(many, encode_pointer(("b", *["a"] * 30, "e0"))) == frozenset()
    assert audience_of(many, encode_pointer((*["b"] * 8, *["a"] * 23, "e255"))) == frozenset({"x"})


@given(st.dictionaries(patterns, audiences, max_size=5))
def test_patterns_are_ambiguous_only_where_the_readings_could_differ(given: Shares) -> None:
    try:
        compile_rules(given)
    except PatternsAmbiguous as cause:
        first, second, overlap = (str(cause.fields[name]) for name in ("first", "second", "overlap"))
        pair = {first: frozenset("x"), second: frozenset("y")}
        pointer = tuple("a" if step == "*" else step for step in decode_pointer(overlap))
        assert by_own_pattern(pair, pointer) == frozenset("y")
        assert by_first_literal(pair, pointer) == frozenset("x")


@pytest.mark.parametrize("vector", VECTORS["ambiguous_patterns"], ids=lambda vector: vector["name"])
def test_vectors_ambiguous_patterns(vector: dict[str, Any]) -> None:
    with pytest.raises(PatternsAmbiguous) as refusal:
        rules_of(*vector["patterns"])
    assert (refusal.value.code, refusal.value.fields["overlap"]) == (vector["code"], vector["overlap"])
    rules_of(*vector["patterns"], vector["overlap"])


@pytest.mark.parametrize("vector", VECTORS["refused_patterns"], ids=lambda vector: vector["name"])
def test_vectors_refused_patterns(vector: dict[str, Any]) -> None:
    with pytest.raises(PatternMalformed) as refusal:
        rules_of(vector["pattern"])
    assert refusal.value.code == vector["code"]
    with pytest.raises(EncodingError):
        decode_pointer(vector["pattern"])


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=5), min_size=1, max_size=32))
def test_pointers_round_trip(steps: list[str]) -> None:
    assert decode_pointer(encode_pointer(steps)) == tuple(steps)
    assert parse_pattern(encode_pointer(steps)).steps == tuple(steps)


@given(st.text(alphabet="/~01ab*", max_size=8))
def test_a_pointer_is_refused_unless_it_is_written_as_we_write_it(text: str) -> None:
    try:
        steps = decode_pointer(text)
    except EncodingError:
        assert not text.startswith("/") or "~" in text.replace("~0", "").replace("~1", "")
    else:
        assert encode_pointer(steps) == text


def test_pointers_and_patterns_are_bounded_in_length_and_depth() -> None:
    decode_pointer("/" + "a" * (limits.NAME_BYTES_MAX - 1))
    decode_pointer("/a" * limits.JSON_DEPTH)
    for text in ("/" + "a" * limits.NAME_BYTES_MAX, "/a" * (limits.JSON_DEPTH + 1)):
        with pytest.raises(EncodingError):
            decode_pointer(text)


def test_patterns_of_a_type_are_counted() -> None:
    rules_of(*[f"/{i}" for i in range(limits.PATTERNS_MAX)])
    with pytest.raises(TooLarge):
        rules_of(*[f"/{i}" for i in range(limits.PATTERNS_MAX + 1)])


def test_rules_are_flat_until_a_pattern_reaches_below_the_top() -> None:
    assert is_flat(rules_of("/*", "/a", "/b"))
    for pattern in ("/a/b", "/a/*", "/*/b", "/*/*"):
        assert not is_flat(rules_of("/*", pattern))
        assert not is_flat(compile_rules({pattern: frozenset()}))


def test_rules_without_patterns_keep_everything_to_the_author() -> None:
    rules = compile_rules({})
    assert is_flat(rules)
    assert cut(b'{"a":{"b":1}}', rules) == [Field("/a", b'{"b":1}', frozenset())]


# --- readers that are added for one record ---------------------------------------------------


@given(bodies, shares(), shares())
def test_united_rules_only_ever_add_readers(body: bytes, static: Shares, added: Shares) -> None:
    rules = unite(compile_rules(static), added)
    both = {**static, **added}
    try:
        fields = cut(body, rules)
    except PatternOnElement:
        assert expected_fields(body, static) is None or expected_fields(body, added) is None
        return
    expected = []
    for pointer, _ in places(value_of(body)):
        if len(pointer) == 1 or any(matches(pattern, pointer) for pattern in both):
            audience = by_own_pattern(static, pointer) | by_own_pattern(added, pointer)
            expected.append((encode_pointer(pointer), audience))
    assert [(field.name, field.audience) for field in fields] == expected
    assert value_of(join(texts(fields))) == value_of(body)


def test_united_rules_leave_the_rules_they_came_from_alone() -> None:
    rules = rules_of("/a")
    deep = unite(rules, {"/a/b": frozenset({"y"})})
    assert is_flat(rules)
    assert not is_flat(deep)
    assert [sorted(field.audience) for field in cut(b'{"a":{"b":1}}', deep)] == [["x"], ["x", "y"]]
    assert [sorted(field.audience) for field in cut(b'{"a":{"b":1}}', rules)] == [["x"]]
