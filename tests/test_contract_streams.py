"""Streams of inputs: folded in batches of any size, with what came of each, and saved digit by digit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts import limits
from contracts.engine import Engine
from contracts.folding import Fold
from contracts.inputs import InputMalformed
from contracts.streaming import Run, SummaryMissing, batches, encode_states, summarise, tabulate
from ledger.jsontext import parse
from tests.engines import COUNTS, HEAD, inputs
from tests.make_crates import TERMS, TEXT, lines


def test_a_stream_is_folded_the_same_in_batches_of_any_size(engine: Engine) -> None:
    stream = lines(*[f"{kind} {pool} {n}" for n in range(1, 6) for pool in "AB" for kind in ("sent", "returned")])
    hashes = set()
    for size in (1, 3, limits.BATCH_INPUTS_MAX):
        run = Run(Fold(engine, TEXT, TERMS, batch_inputs=size), "x.ndjson")
        for at in range(0, len(stream), size):
            run.add(stream[at : at + size])
        hashes.add((run.fold.states_hash(), run.applied, len(run.rejected)))
    assert len(hashes) == 1


def test_lines_are_read_in_parts_of_bounded_number_and_bytes() -> None:
    stream = [(number, b"{}") for number in range(2 * limits.STREAM_INPUTS + 1)]
    assert [len(part) for part in batches(stream)] == [limits.STREAM_INPUTS, limits.STREAM_INPUTS, 1]
    large = [(number, bytes(limits.STREAM_BYTES // 2)) for number in range(5)]
    assert [len(part) for part in batches(large)] == [2, 2, 1]
    assert list(batches([])) == []


def test_rejected_inputs_are_told_by_line_and_case_and_counted_by_place(engine: Engine) -> None:
    run = Run(Fold(engine, TEXT, TERMS), "x.ndjson")
    run.add(lines("returned A 1", "sent A 5", "returned A 6", "sent A null"))
    assert (run.applied, [(one.line, one.case) for one in run.rejected]) == (1, [(1, "A"), (3, "A"), (4, "A")])
    assert [count for _, count in run.reasons()] == [2, 1]
    assert 0 < run.fuel_most < run.fuel


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b'{"type":"sent"}', b'{"type":"sent","body":{},"x":1}', b'{"type":"sent","type":"sent"}', b"{\xff}"],
)
def test_a_line_that_is_no_input_is_named(engine: Engine, line: bytes) -> None:
    with pytest.raises(InputMalformed, match=r"^x\.ndjson:7: "):
        Run(Fold(engine, TEXT, TERMS), "x.ndjson").add([(7, line)])


@pytest.mark.parametrize("line", [b"{", b"[", b'[{"type":"sent","body":{}}]'])
def test_json_that_is_not_one_input_a_line_is_told_so(engine: Engine, line: bytes) -> None:
    with pytest.raises(InputMalformed, match="write each input whole, on a line of its own"):
        Run(Fold(engine, TEXT, TERMS), "x.json").add([(1, line)])


def test_saved_states_keep_every_digit(engine: Engine) -> None:
    run = Run(Fold(engine, TEXT, b'{"deposit":3.1234567890123456789012345678,"currency":"EUR"}'), "x.ndjson")
    run.add(lines("sent B 1", "sent A 1"))
    rows = list(encode_states(run.fold, summarise(run.fold)))
    assert [parse(row)["case"] for row in rows] == ["A", "B"]
    assert b'"state":{"balance":3.1234567890123456789012345678,' in rows[0]
    assert b'"summary":{"amount_due": 3.1234567890123456789012345678,' in rows[0]


def test_a_summary_that_fails_is_saved_as_such(engine: Engine) -> None:
    run = Run(Fold(engine, TEXT.replace('return {"crates_out"', 'return {"a": {}, "crates_out"'), TERMS), "x.ndjson")
    run.add(lines("sent A 1"))
    (row,) = encode_states(run.fold, summarise(run.fold))
    assert parse(row)["summary"] is None
    assert "'a'" in parse(row)["summary_refused"]["message"]


PLACES = HEAD + (
    'def share(record, terms):\n    assert "sequence" not in record  # or what it adds would hang on batches\n'
    '    return {"/case": {"z" if record["body"]["case"] == "x" else "a"}}\n\n\n'
    'def apply(state, record, terms):\n    if record["body"]["case"] == "r":\n        raise Reject("no")\n'
    '    return {"at": record["sequence"]["position"]}\n'
)


@pytest.mark.parametrize("size", [1, 2, 256])
def test_the_sequence_counts_what_is_recorded_and_nothing_else(engine: Engine, size: int) -> None:
    """Refused by the literals, by `share`, and by `apply`: the last one alone has a place of its own."""
    fold = Fold(engine, PLACES, b"{}", batch_inputs=size)
    given = inputs(PLACES, [{"case": case} for case in ("a", "not", "b", "x", "c", "r", "d")])
    fold.add([replace(one, role="b") if b"not" in one.body else one for one in given])
    fold.add(inputs(PLACES, [{"case": "e"}]))
    states = {case: parse(state)["at"] for case, state in fold.states.items()}
    assert (states, fold.recorded) == ({"a": 0, "b": 1, "c": 2, "d": 4, "e": 5}, 6)


def test_text_that_a_spreadsheet_would_compute_is_no_formula_in_the_table(engine: Engine) -> None:
    source = COUNTS + '\n\ndef summary(state):\n    return {"=1+1": "=2+2", "n": -state["n"], "x": None}\n'
    fold = Fold(engine, source, b"{}")
    fold.add(inputs(source, [{"case": "@a"}]))
    assert list(tabulate(fold, summarise(fold))) == [
        ["case", "'=1+1", "n", "x", "no summary because"],
        ["'@a", "'=2+2", "-1", "", ""],
    ]


def test_formula_behind_what_others_part_cells_at_is_none_in_the_table(engine: Engine) -> None:
    texts = ["x;=1+1", 'x; "@a', "x\t-1", "x\n+1", ";=;=1", "paid; 3 left", "a=b; c-d", "x;\uff1d1"]
    source = COUNTS + f"\n\ndef summary(state):\n    return dict(enumerate_text({texts!r}))\n"
    source += "\n\ndef enumerate_text(texts):\n    return [(str(i), text) for i, text in enumerate(texts)]\n"
    fold = Fold(engine, source, b"{}")
    fold.add(inputs(source, [{"case": "a"}]))
    _, row = tabulate(fold, summarise(fold))
    guarded = ["x;'=1+1", "x; \"'@a", "x\t'-1", "x\n'+1", ";'=;'=1", "paid; 3 left", "a=b; c-d", "x;'\uff1d1"]
    assert row[1:-1] == guarded


def test_columns_stand_as_summary_writes_them_and_unwritten_ones_behind(engine: Engine) -> None:
    body = """
    columns = {f"{name}_to": state.get("amount", state["late"]) for name in "zy"}
    columns |= {"status": state.get("n", 0), "due": 1, "amount": 2} if state["n"] else {}
    return {**columns, "late": None, "n": 3}
"""
    source = COUNTS.replace('{"n": ', '{"late": 0, "n": ') + f"\n\ndef summary(state):{body}"
    fold = Fold(engine, source, b"{}")
    fold.add(inputs(source, [{"case": "a"}]))
    head, _ = tabulate(fold, summarise(fold))
    assert head == ["case", "status", "due", "amount", "late", "n", "y_to", "z_to", "no summary because"]


def test_contract_without_a_summary_has_no_table(engine: Engine) -> None:
    with pytest.raises(SummaryMissing):
        list(tabulate(Fold(engine, COUNTS, b"{}"), {}))
