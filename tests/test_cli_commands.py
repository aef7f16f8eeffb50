"""What holds for every command: exit codes, errors without tracebacks, JSON on stdout alone, quick start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import node.cli
from ledger.errors import Conflict, Missing, NotEntitled, ProofInvalid, TooDeep, Unavailable
from node.cli.exits import MEANINGS, ExitCode, UsageWrong, exit_code_of
from node.cli.output import Output, clean, clean_json, format_field, format_name, format_time
from node.cli.records import describe_problem
from tests.make_cli import NETWORK, found, make_folders, tally
from tests.make_cli_reference import PAGE, commands, is_common, render
from tests.make_folders import free_ports
from tests.source import ROOT

EVERY = [name for name, _ in commands()]


# --- the reference ----------------------------------------------------------------------


def test_the_reference_page_is_that_of_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.endswith("\n\n" + render()), "python -m tests.make_cli_reference renews it"


def test_every_exit_code_has_its_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_every_command_says_what_it_does_and_takes_the_common_options(name: str) -> None:
    command = dict(commands())[name]
    assert command.help
    assert all(param.help for param in command.params if param.param_type_name == "option")
    assert {"--json", "--debug"} <= {param.opts[0] for param in command.params if is_common(param)}


def test_every_command_of_the_list_is_there() -> None:
    wanted = (
        "init serve doctor charter-new charter-sign charter-adopt charter-show charter-verify card-show peers "
        "contract-new contract-test contract-run contract-compare "
        "contract-propose contract-accept contract-decline contract-end contract-list contract-show contract-lint "
        "capture records-list records-show records-tail receipt verify fsck token-new token-list token-revoke demo"
    )
    assert {f"tally {name.replace('-', ' ')}" for name in wanted.split()} <= set(EVERY)


# --- errors -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["bogus"],
        ["charter"],
        ["verify"],
        ["verify", "no-such-file"],
        ["init", "x", "--network", "n"],
        ["records", "list", "--limit", "0"],
        ["records", "list", "--limit", "many"],
        ["peers", "--no-such-option"],
        ["peers", "--dir", "no-such-folder"],
        ["--bogus"],
    ],
)
def test_a_wrong_command_line_exits_with_3(words: list[str]) -> None:
    done = tally(*words)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err
    told = tally(*words, "--json")
    assert told.code == 3
    assert told.json["error"].keys() == {"code", "message", "hint"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TooDeep(limit=1), 1),
        (NotEntitled(who="a", what="b"), 1),
        (Missing(what="a", name="b"), 1),
        (ProofInvalid(what="a", reason="b"), 1),
        (Conflict(reason="a"), 1),
        (UsageWrong(reason="a"), 3),
        (Unavailable(reason="a"), 4),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: TooDeep, code: int) -> None:
    assert exit_code_of(error) == code


def test_an_error_says_what_code_and_hint(tmp_path: Path) -> None:
    (folder,) = make_folders(tmp_path, "fishery")
    done = tally("init", folder, "--network", "n", "--member", "fishery")
    assert done.code == 1
    assert done.err.splitlines()[0].startswith(f"error: {folder} holds a node already")
    assert [line.split(":")[0] for line in done.err.splitlines()[1:]] == ["  code", "  hint"]


def test_a_fault_of_ours_exits_with_5_and_shows_its_place_only_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(node.cli.doctor, "_run", fail)
    done = tally("doctor")
    assert (done.code, done.out) == (5, "")
    assert "boom" in done.err
    assert "Traceback" not in done.err
    assert tally("doctor", "--json").json["error"]["code"] == "unexpected"
    assert "Traceback" in tally("doctor", "--debug").err


def test_ctrl_c_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(node.cli.doctor, "_run", interrupt)
    assert tally("doctor").code == 130


def test_a_file_that_cannot_be_written_exits_with_3(tmp_path: Path) -> None:
    (folder,) = make_folders(tmp_path, "fishery")
    done = tally("charter", "new", folder / "member.json", "--dir", folder, "-o", tmp_path / "none" / "network.json")
    assert done.code == 3
    assert "none" in done.err


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    file = found(tmp_path, "a", "b")
    words = [sys.executable, "-m", "node.cli", "card", "show", "--file", str(file)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as listing:
        assert listing.stdout is not None and listing.stderr is not None
        listing.stdout.close()
        assert (listing.stderr.read(), listing.wait()) == (b"", 0)


def test_no_command_prints_the_help() -> None:
    done = tally()
    assert done.code == 0
    assert "tally demo" in done.out


def test_version_is_printed() -> None:
    assert tally("--version").out.startswith("tally 0.")


# --- output -----------------------------------------------------------------------------


def test_what_a_partner_wrote_cannot_steer_the_terminal() -> None:
    assert clean("a\x1b[2Jb\rc\u202ed\x9be\u2028") == "a\\u001b[2Jb\\u000dc\\u202ed\\u009be\\u2028"
    assert clean("Ålesund 鮭 נמל ميناء 👍") == "Ålesund 鮭 נמל ميناء 👍"
    assert clean("a\tb\nc") == "a\\u0009b\\u000ac"
    assert clean("\ue000\U000e0041\U0001f468") == "\\ue000\\U000e0041\U0001f468"


HIDDEN: Final = [
    0x00, 0x09, 0x0A, 0x0D, 0x1B, 0x7F, 0x85, 0x9B, 0xA0, 0xAD, 0x034F, 0x061C, 0x115F, 0x1160, 0x180E,
    *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070),
    0x2800, 0x3164, 0xFE0F, 0xFEFF, 0xFFA0, 0xE0041, 0xE0100, 0x10FFFF,
]  # fmt: skip


def test_no_letter_that_cannot_be_seen_is_shown_as_it_is(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The one door of all that people read: lines, several lines, tables, pairs, and what goes to stderr."""
    out = Output(as_json=False)
    for letter in map(chr, HIDDEN):
        text = f"a{letter}b"
        assert (clean(text).isprintable(), letter in clean(text)) == (True, False)
        assert clean_json(json.dumps(text, ensure_ascii=False)).strip("\n").isprintable()
        assert json.loads(clean_json(json.dumps(text, ensure_ascii=False))) == text
        out.line(text)
        out.pairs({"name": text})
        out.table(["name"], [[text]])
        out.say(text)
        if letter not in "\t\n":
            out.lines(f"one{letter}\ntwo")
        shown = capfdbinary.readouterr()
        assert letter not in (shown.out + shown.err).decode().replace("\n", "")
        assert shown.out.decode().count("\n") == 5 + 2 * (letter not in "\t\n")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_json_steers_no_terminal_and_keeps_its_bytes_elsewhere(
    is_terminal: bool, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Output(as_json=True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    value = {"note": "a\x9b31mb\u202e", "price": 1}
    out.emit(value)
    out.answer(json.dumps(value, ensure_ascii=False).encode())
    shown = capfdbinary.readouterr().out.decode()
    assert [json.loads(line) for line in shown.splitlines()] == [value, value]
    assert ("\x9b" in shown, "\u202e" in shown) == (not is_terminal, not is_terminal)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/lines/0/größe", "/lines/0/größe"),
        ("by", "by"),
        ("/a b", '"/a b"'),
        ("/a=1", '"/a=1"'),
        ('/a"', '"/a\\""'),
        ("/a\\u0062", '"/a\\\\u0062"'),
        ("", '""'),
        ("/x = 1\n/price = 9\n/y", '"/x = 1\\n/price = 9\\n/y"'),
        ("/x\u202e\U000e0041", '"/x\\u202e\\udb40\\udc41"'),
        ("/\u2028", '"/\\u2028"'),
    ],
)
def test_name_of_a_field_cannot_be_taken_for_more_than_a_name(name: str, shown: str) -> None:
    assert format_name(name) == shown
    assert format_field(name, '"\u200b"') == shown + ' = "\\u200b"'
    problem = {"code": "field-unknown", "section": 1, "field": name, "who": []}
    assert describe_problem(problem) == f"problem: field-unknown: section 1: {shown}"


def test_an_author_may_claim_any_time() -> None:
    assert format_time(None) is None
    assert format_time(1_763_680_000_000) == "2025-11-20T23:06:40Z"
    assert format_time(2**48 - 1) is not None


def test_tables_in_a_pipe_are_never_cut(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Output(as_json=False).table(["name", "value"], [["long", "x" * 500], [None, "\x1b[31m[red]"]])
    shown = capfdbinary.readouterr().out.decode()
    assert "x" * 500 in shown
    assert "\\u001b[31m[red]" in shown


# --- start ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["--help"], ("pydantic", "httpx", "sqlalchemy", "fastapi", "nacl", "cryptography")),
        (["verify", str(ROOT / "README.md")], ("pydantic_settings", "httpx", "sqlalchemy", "fastapi")),
        (["contract", "lint", str(ROOT / "README.md")], ("pydantic_settings", "httpx", "sqlalchemy", "fastapi")),
    ],
)
def test_quick_commands_load_nothing_slow(words: list[str], absent: tuple[str, ...]) -> None:
    program = (
        "import json, sys\nfrom node.cli import run\nrun(sys.argv[1:])\nprint('\\n' + json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert loaded.isdisjoint(absent)


_SERVE_AND_STOP = """
import json, os, signal, socket, sys, threading, time
from node.cli import run

def stop():
    while True:
        try:
            socket.create_connection(("127.0.0.1", int(sys.argv[2]))).close()
        except OSError:
            time.sleep(0.05)
        else:
            return os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=stop, daemon=True).start()
run(["serve", "--dir", sys.argv[1]])
print(json.dumps(list(sys.modules)))
import rich
"""


@pytest.mark.slow
def test_a_node_holds_nothing_in_memory_that_is_for_terminals_or_for_upgrades(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    folder = tmp_path / "fishery"
    done = tally("init", folder, "--network", NETWORK, "--member", "fishery", "--port", str(port))
    assert done.code == 0, done.err
    words = [sys.executable, "-c", _SERVE_AND_STOP, str(folder), str(port)]
    served = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert served.returncode == 0, served.stderr
    loaded = set(json.loads(served.stdout.splitlines()[-1]))
    assert loaded >= {"httpx", "structlog", "sqlalchemy"}
    assert loaded.isdisjoint({"rich", "pygments", "alembic"})


@pytest.mark.slow
def test_python_runs_the_package() -> None:
    done = subprocess.run([sys.executable, "-m", "node.cli", "nonsense"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 3
    assert done.stdout == b""
