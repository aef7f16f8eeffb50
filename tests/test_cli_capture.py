"""`capture`: what a file is, in which parts it goes, and that nothing is recorded twice or lost."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import TooLarge
from ledger.letters import BOM
from node.cli import captured, lines
from node.cli.client import NodeClient, NodeUnreachable
from node.cli.lines import fill_in, is_lines, read_parts
from node.cli.progress import describe
from node.node import Node
from tests.make_cli import Result, tally
from tests.make_running import make_lone_folder, running

pytestmark = pytest.mark.slow

EVENT = {
    "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
    "type": "ObjectEvent",
    "eventID": "urn:uuid:7f3e1c9a-0c1b-4a53-9a52-2f4bb7a3b111",
    "eventTime": "2030-05-04T03:02:01.000Z",
    "eventTimeZoneOffset": "+02:00",
    "epcList": ["urn:epc:id:sgtin:4012345.011111.9876"],
    "action": "OBSERVE",
    "bizStep": "receiving",
}
CONTRACT = """'''Shipments.'''
ROLES = {"x", "y"}
SIGNERS = set()
AUTHORS = {"ship": {"x"}, "other": {"x", "y"}}
SHARES = {"ship": {"/*": {"x"}}, "other": {"/*": {"x"}}}
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with running(make_lone_folder(tmp_path_factory.mktemp("capture")), search=True) as found:
        yield found


@pytest.fixture(scope="module")
def contract(node: Node) -> str:
    """An active contract with the one member in both roles."""
    source = node.folder / "contract.py"
    source.write_text(CONTRACT)
    words = ("--party", "x=fishery", "--party", "y=fishery", "--dir", node.folder, "--json")
    return str(tally("contract", "propose", source, *words).json["id"])


def capture_file(node: Node, file: Path, *words: str | Path) -> Result:
    return tally("capture", file, "--dir", node.folder, *words)


def size_of(node: Node) -> int:
    return int(tally("records", "list", "--dir", node.folder, "--limit", "1", "--json").json["records"][0]["index"]) + 1


def write_lines(folder: Path, *texts: str, name: str = "records.ndjson") -> Path:
    file = folder / name
    file.write_text("".join(text + "\n" for text in texts))
    return file


def note(n: int) -> str:
    return json.dumps({"type": "note", "body": {"n": n}})


# --- what a file is -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (note(1), "x", True),
        ("\n \n" + note(1), "x", True),
        (json.dumps(EVENT), "x.jsonld", False),
        (json.dumps(EVENT, indent=2), "x.json", False),
        ("broken\n" + note(1), "x.ndjson", True),
        ("broken\n" + note(1), "x.json", False),
        ("[" * 100_000, "x", False),
        ("", "x", False),
    ],
)
def test_the_first_line_says_what_a_file_is(tmp_path: Path, content: str, name: str, expected: bool) -> None:
    (tmp_path / name).write_text(content)
    assert is_lines(tmp_path / name) is expected
    (tmp_path / name).write_bytes(BOM + content.encode())
    assert is_lines(tmp_path / name) is expected


# --- parts ----------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=40), st.integers(1, 7))
def test_parts_hold_every_line_that_is_not_blank_once_and_in_order(texts: list[bytes], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "PART_LINES", most)
        patch.setattr(lines, "PART_BYTES", 40)
        parts = list(read_parts(io.BytesIO(b"\n".join(texts))))
    assert all(1 <= len(part.lines) <= most for part in parts)
    found = [(number, line) for part in parts for number, line in zip(part.numbers, part.lines, strict=True)]
    first = [texts[0].removeprefix(BOM)] if texts else []
    expected = [(n, text.strip()) for n, text in enumerate([*first, *texts[1:]], 1) if text.strip()]
    assert found == expected


def test_a_part_ends_where_the_file_says_and_its_key_names_the_file_and_the_line() -> None:
    content = b"".join(b"%d\n" % n for n in range(lines.PART_LINES + 1))
    first, second = read_parts(io.BytesIO(content))
    assert (len(first.lines), second.numbers) == (lines.PART_LINES, [lines.PART_LINES + 1])
    assert (first.key("ab"), second.key("ab")) == ("tally-capture-ab-1", f"tally-capture-ab-{lines.PART_LINES + 1}")
    long = b"x" * (lines.PART_BYTES // 8) + b"\n"
    assert [len(part.lines) for part in read_parts(io.BytesIO(long * 9))] == [8, 1]


def test_a_file_without_line_ends_costs_one_line_of_memory() -> None:
    most = limits.LINE_BYTES_MAX
    endless = io.BytesIO(b"x" * (3 * most) + b"\n" + b"y" * most + b"\n")
    (cut, whole) = next(read_parts(endless)).lines
    assert (len(cut), len(whole)) == (most + 1, most)
    fill_in(whole, contract=None, role=None)
    with pytest.raises(TooLarge):
        fill_in(cut, contract=None, role=None)


# --- filling in -----------------------------------------------------------------------------


@given(
    st.dictionaries(
        st.sampled_from(["type", "body", "contract", "role", "x"]), st.floats(allow_nan=False, allow_infinity=False)
    )
)
def test_filling_in_adds_what_is_missing_and_changes_no_other_byte(record: dict[str, float]) -> None:
    line = json.dumps(record, indent=1).replace("\n", " ").encode()
    filled = fill_in(line, contract="c", role="r")
    if record:
        assert filled.endswith(line[1:])
        assert json.loads(filled) == {"contract": "c", "role": "r"} | record
    else:
        assert filled == line
    assert fill_in(line, contract=None, role=None) == line


@pytest.mark.parametrize("line", [b"", b"nonsense", b"[]", b'"text"', b"[" * 2000, b'{"a":'])
def test_what_is_no_object_is_left_as_it_is(line: bytes) -> None:
    assert fill_in(line, contract="c", role=None) == line


# --- records --------------------------------------------------------------------------------


def test_every_line_is_a_record_and_refusals_name_their_line(node: Node, contract: str, tmp_path: Path) -> None:
    good = '{"type":"ship","body":{"n":1.50}}'
    file = write_lines(
        tmp_path, good, "", '{"type":"nope","body":{}}', "nonsense", '{"type":"other","role":"y","body":{}}'
    )
    errors = tmp_path / "errors"
    before = size_of(node)
    done = capture_file(node, file, "--contract", contract[:8], "--errors", errors, "--json")
    assert done.code == 1
    assert (done.json["recorded_lines"], done.json["repeated_lines"]) == (2, 0)
    assert [row["line"] for row in done.json["refused"]] == [3, 4]
    told = [json.loads(line) for line in errors.read_text().splitlines()]
    assert told == done.json["refused"]
    assert [row["code"] for row in told] == ["type-unknown", "json-malformed"]
    assert size_of(node) == before + 2
    shown = tally("records", "show", f"fishery/{before}", "--dir", node.folder, "--json")
    assert '"body":{"n":1.50}' in shown.out
    assert shown.json["contract"] == contract


def test_role_is_filled_in_where_a_record_names_none(node: Node, contract: str, tmp_path: Path) -> None:
    file = write_lines(tmp_path, '{"type":"other","body":{"n":7}}', '{"type":"other","body":{"n":7},"role":"x"}')
    assert capture_file(node, file, "--contract", contract, "--role", "y").code == 0
    size = size_of(node)
    roles = [
        tally("records", "show", f"fishery/{size - back}", "--dir", node.folder, "--json").json["role"]
        for back in (2, 1)
    ]
    assert roles == ["y", "x"]


def test_a_dry_run_records_nothing_and_says_the_same(node: Node, contract: str, tmp_path: Path) -> None:
    file = write_lines(tmp_path, '{"type":"ship","body":{"n":20}}', '{"type":"nope","body":{}}')
    before = size_of(node)
    dry = capture_file(node, file, "--contract", contract, "--dry-run", "--json")
    assert (dry.code, dry.json["dry_run"], dry.json["recorded_lines"]) == (1, True, 1)
    assert size_of(node) == before
    wet = capture_file(node, file, "--contract", contract, "--json")
    assert wet.json["refused"] == dry.json["refused"]
    assert size_of(node) == before + 1


def test_a_file_captured_before_is_refused_and_resume_records_nothing_twice(node: Node, tmp_path: Path) -> None:
    file = write_lines(tmp_path, note(100), note(101))
    assert capture_file(node, file).code == 0
    before = size_of(node)
    again = capture_file(node, file)
    assert again.code == 1
    assert "captured-before" in again.err
    resumed = capture_file(node, file, "--resume", "--json")
    assert (resumed.code, resumed.json["recorded_lines"], resumed.json["repeated_lines"]) == (0, 0, 2)
    assert size_of(node) == before


def test_the_same_lines_in_another_file_are_other_records(node: Node, tmp_path: Path) -> None:
    first = write_lines(tmp_path, note(200), note(201), name="a")
    second = write_lines(tmp_path, note(200), note(202), name="b")
    assert capture_file(node, first).code == capture_file(node, second).code == 0


def test_after_a_break_resume_goes_on_where_it_was(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_lines(tmp_path, *(note(n) for n in range(300, 310)))
    monkeypatch.setattr(lines, "PART_LINES", 3)
    send, sent = NodeClient.post_lines, []

    def break_off(client: NodeClient, path: str, content: bytes, **given: object) -> Iterator[bytes]:
        sent.append(content)
        if len(sent) == 3:
            # One line of the third part arrives; what the node says of it does not.
            list(send(client, path, content.splitlines(keepends=True)[0], **given))  # type: ignore[arg-type]
            raise NodeUnreachable(url="there", reason="cable cut")
        return send(client, path, content, **given)  # type: ignore[arg-type]

    before = size_of(node)
    with monkeypatch.context() as patch:
        patch.setattr(NodeClient, "post_lines", break_off)
        broken = capture_file(node, file)
    assert (broken.code, size_of(node) - before) == (4, 7)
    assert "interrupted; at least 6 recorded; run again with --resume" in broken.err
    resumed = capture_file(node, file, "--resume", "--json").json
    assert (resumed["recorded_lines"], resumed["repeated_lines"], resumed["refused"]) == (3, 7, [])
    assert size_of(node) == before + 10


def test_a_run_that_ends_by_ctrl_c_says_how_to_go_on(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, event = write_lines(tmp_path, *(note(n) for n in range(320, 324))), tmp_path / "event.json"
    event.write_text(json.dumps(EVENT))
    monkeypatch.setattr(lines, "PART_LINES", 3)
    send, sent = NodeClient.post_lines, []

    def interrupt(client: NodeClient, path: str, content: bytes, **given: object) -> Iterator[bytes]:
        sent.append(content)
        if len(sent) == 2:
            raise KeyboardInterrupt
        return send(client, path, content, **given)  # type: ignore[arg-type]

    def stop(*_: object, **__: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(NodeClient, "post_lines", interrupt)
    monkeypatch.setattr(NodeClient, "post", stop)
    done = capture_file(node, file)
    assert (done.code, "interrupted; at least 3 recorded; run again with --resume" in done.err) == (130, True)
    done = capture_file(node, event)
    assert (done.code, "interrupted; run it again: nothing is recorded twice" in done.err) == (130, True)


def test_a_node_that_never_answered_is_no_interruption(node: Node, tmp_path: Path) -> None:
    done = tally("capture", write_lines(tmp_path, note(330)), "--dir", node.folder, "--url", "http://127.0.0.1:1")
    assert done.code != 0
    assert "interrupted" not in done.err


def test_resume_under_another_token_records_nothing_again(node: Node, tmp_path: Path) -> None:
    file = write_lines(tmp_path, '{"type":"no type at all","body":{}}', note(340), note(341))
    assert capture_file(node, file).code == 1
    before, other = size_of(node), tally("token", "new", "other", "--scope", "write", "--dir", node.folder).out.strip()
    again = capture_file(node, file, "--resume", "--token", other, "--json")
    assert (again.code, again.json["error"]["code"], size_of(node)) == (1, "not-begun", before)
    refused = write_lines(tmp_path, '{"type":"no type at all","body":{}}', name="refused.ndjson")
    assert capture_file(node, refused, "--resume", "--json").json["refused"][0]["line"] == 1
    assert capture_file(node, file, "--resume", "--json").json["repeated_lines"] == 2


def test_an_answer_that_ends_early_is_no_success(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_lines(tmp_path, note(400), note(401), note(402))
    send = NodeClient.post_lines
    monkeypatch.setattr(NodeClient, "post_lines", lambda *a, **k: list(send(*a, **k))[:1])
    done = capture_file(node, file)
    assert done.code == 4
    assert "ended before line 2" in done.err


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [(1, 507, "disk-full"), (1, 409, "log-frozen"), (2, 409, "head-moved"), (3, 408, "upload-too-slow")],
)
def test_a_node_that_cannot_go_on_stops_the_run(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: int, status: int, code: str
) -> None:
    """No line is blamed for it, and one that stands behind the last is the request's own fault."""
    file = write_lines(tmp_path, note(500), note(501))
    problem = {"code": code, "detail": "a reason", "hint": "a hint"}
    answer = [msgspec.json.encode({"line": line, "status": status, "problem": problem})]
    monkeypatch.setattr(NodeClient, "post_lines", lambda *_, **__: answer)
    done = capture_file(node, file)
    assert done.code not in (0, 5)
    assert code in done.err and "a hint" in done.err
    assert ", 0 refused" in done.err


def test_a_line_above_the_limit_is_refused_and_the_rest_goes_on(node: Node, tmp_path: Path) -> None:
    long = json.dumps({"type": "note", "body": {"text": "x" * limits.LINE_BYTES_MAX}})
    file = write_lines(tmp_path, note(600), long, note(601))
    done = capture_file(node, file, "--json")
    assert (done.json["recorded_lines"], [row["line"] for row in done.json["refused"]]) == (2, [2])
    assert done.json["refused"][0]["code"] == "too-large"
    assert capture_file(node, file, "--resume", "--json").json["repeated_lines"] == 2


def test_it_is_said_that_nobody_else_gets_what_has_no_contract(node: Node, contract: str, tmp_path: Path) -> None:
    file, event = write_lines(tmp_path, note(800)), tmp_path / "event.json"
    event.write_text(json.dumps(EVENT))
    for path in (file, event):
        assert "without --contract" in capture_file(node, path, "--dry-run").err
        assert "without --contract" not in capture_file(node, path, "--dry-run", "--contract", contract).err


def test_a_file_captured_before_in_another_manner_has_advice_of_its_own(
    node: Node, contract: str, tmp_path: Path
) -> None:
    file = write_lines(tmp_path, '{"type":"ship","body":{"n":801}}')
    assert capture_file(node, file).code == 0
    before = size_of(node)
    for words in ((), ("--resume",)):
        again = capture_file(node, file, "--contract", contract, *words, "--json")
        assert (again.code, again.json["error"]["code"]) == (1, "captured-otherwise")
        assert f"line 1 of this file was recorded before, as entry {before - 1}," in again.json["error"]["message"]
        assert "another file" in again.json["error"]["hint"]
    assert size_of(node) == before


# --- documents ------------------------------------------------------------------------------


def test_an_event_is_recorded_once_with_a_byte_order_mark_or_without(node: Node, tmp_path: Path) -> None:
    file = tmp_path / "event.jsonld"
    file.write_bytes(BOM + json.dumps(EVENT).encode())
    done = capture_file(node, file, "--json")
    assert (done.code, [row["type"] for row in done.json["recorded"]]) == (0, ["epcis/ObjectEvent"])
    file.write_bytes(json.dumps(EVENT).encode())
    again = capture_file(node, file, "--json")
    assert (again.code, again.json["recorded"], len(again.json["duplicates"])) == (0, [], 1)


def test_an_event_that_breaks_the_standard_is_refused_with_its_path(node: Node, tmp_path: Path) -> None:
    file, errors = tmp_path / "event.json", tmp_path / "errors"
    file.write_text(json.dumps(EVENT | {"eventTime": "yesterday"}))
    before = size_of(node)
    done = capture_file(node, file, "--errors", errors)
    assert (done.code, done.out) == (1, "")
    assert "/eventTime" in done.err
    assert "--accept-invalid records" in done.err
    assert json.loads(errors.read_text().splitlines()[0])["path"] == "/eventTime"
    assert capture_file(node, file, "--accept-invalid", "--dry-run").code == 0
    assert size_of(node) == before
    assert capture_file(node, file, "--accept-invalid").code == 0
    assert size_of(node) == before + 1
    found = tally("records", "list", "--flag", "invalid", "--dir", node.folder, "--json").json["records"]
    assert [record["body"]["eventTime"] for record in found] == ["yesterday"]


def make_document(*events: Mapping[str, object]) -> str:
    frame = {"type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": EVENT["eventTime"]}
    return json.dumps({"@context": EVENT["@context"], **frame, "epcisBody": {"eventList": list(events)}})


def test_events_and_the_document_and_complaints_are_counted_apart(node: Node, tmp_path: Path) -> None:
    bare = {name: value for name, value in EVENT.items() if name != "@context"}
    good = [bare | {"eventID": f"urn:uuid:7f3e1c9a-0c1b-4a53-9a52-2f4bb7a3b2{n:02}"} for n in range(3)]
    bad = bare | {"eventID": "urn:uuid:7f3e1c9a-0c1b-4a53-9a52-2f4bb7a3b299", "action": "SEE", "eventTime": "soon"}
    file = tmp_path / "document.json"
    file.write_text(make_document(*good, bad))
    done = capture_file(node, file)
    assert "events: 3 recorded, 0 were there already, 1 refused (2 complaints)" in done.err
    assert "the document around them: 1 recorded, 0 were there already" in done.err
    again = capture_file(node, file, "--json")
    assert "events: 0 recorded, 3 were there already, 1 refused (2 complaints)" in again.err
    assert "the document around them: 0 recorded, 1 were there already" in again.err
    counts = {name: again.json[name] for name in ("events", "events_refused", "refused_more")}
    assert counts == {"events": 4, "events_refused": 1, "refused_more": 0}


def test_accept_invalid_is_named_only_where_it_helps(node: Node, contract: str, tmp_path: Path) -> None:
    bare = {name: value for name, value in EVENT.items() if name != "@context"}
    file, advice = tmp_path / "document.json", "--accept-invalid records"
    file.write_text(make_document(bare))
    unknown = capture_file(node, file, "--dry-run", "--contract", contract)
    assert ("type-unknown" in unknown.err, advice in unknown.err) == (True, False)
    file.write_text(make_document(7))  # type: ignore[arg-type]  # no event
    number = capture_file(node, file, "--dry-run")
    assert ("wrong-type" in number.err, advice in number.err) == (True, False)
    file.write_text(make_document(bare | {"epcList": [7]}))
    item = capture_file(node, file, "--dry-run")
    assert ("wrong-type" in item.err, advice in item.err) == (True, True)


@pytest.mark.parametrize(("content", "words"), [(note(1), ["--accept-invalid"]), (json.dumps(EVENT), ["--resume"])])
def test_options_of_the_other_kind_of_file_are_refused(
    node: Node, tmp_path: Path, content: str, words: list[str]
) -> None:
    (tmp_path / "file").write_text(content)
    assert capture_file(node, tmp_path / "file", *words).code == 3


def test_a_contract_that_is_unknown_is_refused_before_anything_is_sent(node: Node, tmp_path: Path) -> None:
    file = write_lines(tmp_path, note(700))
    assert capture_file(node, file, "--contract", "abcdef").code == 3
    assert capture_file(node, file, "--contract", "zz").code == 3
    done = capture_file(node, file, "--contract", "ab" * 32)
    assert (done.code, "not-found" in done.err) == (1, True)


def test_a_token_that_may_only_write_gives_the_whole_id_of_a_contract(
    node: Node, contract: str, tmp_path: Path
) -> None:
    file = write_lines(tmp_path, '{"type":"ship","body":{"n":701}}')
    token = tally("token", "new", "writer", "--scope", "write", "--dir", node.folder).out.strip()
    short = capture_file(node, file, "--contract", contract[:8], "--token", token)
    assert (short.code, "scope-missing" in short.err) == (1, True)
    assert "Or give the whole contract id." in short.err
    assert capture_file(node, file, "--contract", contract, "--token", token).code == 0


# --- telling --------------------------------------------------------------------------------


def test_progress_says_how_far_and_how_fast() -> None:
    assert describe(0.5, 1000, 2, 2.0) == " 50%  1,000 good, 2 refused, 501/s"
    assert describe(0, 0, 0, 0.0) == "  0%  0 good, 0 refused, 0/s"


def test_refusals_that_the_node_only_counted_are_told_as_such(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CAPTURE_REFUSED_MAX", captured.SHOWN + 1)
    file, errors = tmp_path / "many.json", tmp_path / "errors.ndjson"
    broken = {name: value for name, value in EVENT.items() if name != "@context"} | {"action": "SEE"}
    file.write_text(make_document(*[broken] * (captured.SHOWN + 4)))
    done = capture_file(node, file)
    assert f"{captured.SHOWN + 4} refused" in done.err
    assert f"... and 4 more; --errors has the first {captured.SHOWN + 1}" in done.err
    capture_file(node, file, "--errors", errors)
    lines = [json.loads(line) for line in errors.read_text().splitlines()]
    assert len(lines) == captured.SHOWN + 2
    assert lines[-1] == {"refused_more": 3}


def test_only_the_first_refusals_are_told(node: Node, tmp_path: Path) -> None:
    file = write_lines(tmp_path, *["nonsense"] * (captured.SHOWN + 1), name="x.ndjson")
    done = capture_file(node, file)
    assert done.err.count("json-malformed") == captured.SHOWN
    assert "... and 1 more; --errors has all" in done.err
