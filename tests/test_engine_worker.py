"""However the host side fails, it is an error and never the outcome of an input, and the next call works."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

import pytest

from contracts import limits
from contracts.engine import ContractNotRunnable, Engine, EngineFailed
from contracts.engine.cache import default_folder, open_compiled
from contracts.engine.machine import Instance, load_component, make_engine
from contracts.engine.worker import _Worker
from ledger import limits as ledger_limits
from tests.engines import COUNTS, HEAD, contract, record, run
from tests.source import ROOT

ENDLESS = contract('while record["body"].get("x"):\n    pass\nreturn {"n": 1}')
CLOCK = "import datetime\nNOW = datetime.datetime.now()\n"


@pytest.fixture
def engine() -> Iterator[Engine]:
    """One of its own: what is done to it here is nothing for others."""
    with Engine() as one:
        one.start()
        yield one


def pid_of(engine: Engine) -> int:
    assert engine._worker is not None, "it was started"
    return engine._worker.pid


def key_of(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def check_works(engine: Engine) -> None:
    outcomes = run(engine, COUNTS, record(case="a"), record(1, case="b"), record(2, case="a"))
    assert [one.state for one in outcomes] == [b'{"last":null,"n":1}', b'{"last":null,"n":1}', b'{"last":null,"n":2}']


# --- it dies -------------------------------------------------------------------------


def test_worker_killed_within_a_batch_is_an_error_and_the_next_call_works(engine: Engine) -> None:
    def kill(cases: Sequence[str]) -> list[bytes | None]:
        os.kill(pid_of(engine), signal.SIGKILL)
        return [None for _ in cases]

    with pytest.raises(EngineFailed, match="ended by signal 9"):
        engine.run(COUNTS, b"{}", [record()], kill)
    check_works(engine)


def test_worker_killed_at_work_is_an_error_and_the_next_call_works(engine: Engine) -> None:
    engine.load(ENDLESS)
    killing = threading.Timer(0.2, os.kill, (pid_of(engine), signal.SIGKILL))
    killing.start()
    with pytest.raises(EngineFailed, match="ended by signal 9"):
        run(engine, ENDLESS, *[record(n, x=1) for n in range(limits.BATCH_INPUTS_MAX)])
    killing.join()
    check_works(engine)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_worker_killed_between_calls_is_started_anew(engine: Engine, how: signal.Signals) -> None:
    check_works(engine)
    worker = engine._worker
    assert worker is not None
    worker.send_signal(how)
    worker.wait(timeout=20)
    check_works(engine)


def test_worker_that_is_silent_is_stopped(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    check_works(engine)
    monkeypatch.setattr(limits, "WORKER_SILENT_S", 0.5)
    os.kill(pid_of(engine), signal.SIGSTOP)
    with pytest.raises(EngineFailed, match="said nothing"):
        check_works(engine)
    monkeypatch.undo()
    check_works(engine)


def test_worker_that_takes_no_more_is_stopped(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    check_works(engine)
    monkeypatch.setattr(limits, "WORKER_SILENT_S", 0.5)
    os.kill(pid_of(engine), signal.SIGSTOP)
    with pytest.raises(EngineFailed, match="said nothing"):
        run(engine, COUNTS, *[record(n, x="x" * 100_000) for n in range(8)])  # more than a pipe holds
    monkeypatch.undo()
    check_works(engine)


def test_start_that_was_interrupted_leaves_no_word_for_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Engine, timeout_s: float) -> list[object]:
        raise KeyboardInterrupt

    with Engine() as engine:
        monkeypatch.setattr(Engine, "_receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            engine.start()
        monkeypatch.undo()
        check_works(engine)


@pytest.mark.slow
def test_worker_that_is_long_at_work_is_not_taken_for_silent(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    spends = contract("for _ in range(200_000):\n    pass\nreturn {}")
    engine.load(spends)
    monkeypatch.setattr(limits, "WORKER_SILENT_S", 4.0)
    outcomes = run(engine, spends, *[record(n) for n in range(limits.BATCH_INPUTS_MAX)])
    assert {one.state for one in outcomes} == {b"{}"}


def test_engine_that_was_closed_starts_again(engine: Engine) -> None:
    engine.close()
    check_works(engine)
    engine.close()
    engine.close()


# --- it is left in the middle --------------------------------------------------------


def test_lookup_that_raises_leaves_no_answer_for_the_next_call(engine: Engine) -> None:
    def fail(cases: Sequence[str]) -> list[bytes | None]:
        raise LookupError("the store is gone")

    with pytest.raises(LookupError, match="the store is gone"):
        engine.run(COUNTS, b"{}", [record(case="z")], fail)
    check_works(engine)


@pytest.mark.parametrize("answer", [[], [None, None]])
def test_lookup_that_answers_for_other_cases_is_a_fault_of_ours(engine: Engine, answer: list[bytes | None]) -> None:
    with pytest.raises(AssertionError, match="one state for each case"):
        engine.run(COUNTS, b"{}", [record(case="z")], lambda cases: answer)
    check_works(engine)


def test_interrupted_call_leaves_no_answer_for_the_next_one(engine: Engine) -> None:
    """Else the outcomes of one batch would be recorded as those of another."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise InterruptedError("by hand")

    engine.load(ENDLESS)
    before = signal.signal(signal.SIGUSR1, interrupt)
    interrupting = threading.Timer(0.3, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
    interrupting.start()
    with pytest.raises(InterruptedError, match="by hand"):
        run(engine, ENDLESS, *[record(n, x=1) for n in range(limits.BATCH_INPUTS_MAX)])
    interrupting.join()
    signal.signal(signal.SIGUSR1, before)
    check_works(engine)


def test_threads_that_call_at_once_get_each_their_own_outcomes(engine: Engine) -> None:
    states: dict[int, list[bytes | None]] = {}

    def work(number: int) -> None:
        records = [record(n, case=f"{number}-{n}", x=number) for n in range(20)]
        states[number] = [one.state for one in run(engine, COUNTS, *records)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states == {number: [b'{"last":%d,"n":1}' % number] * 20 for number in range(6)}


# --- the machine is too small --------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "bytes_max", "words"),
    [
        (resource.RLIMIT_AS, 6 << 30, "its address space is 6144 MiB"),
        (resource.RLIMIT_DATA, 1 << 30, "its data is 1024 MiB"),
        (resource.RLIMIT_STACK, 1 << 20, "its stack is 1 MiB"),
    ],
)
def test_machine_that_cannot_hold_every_contract_runs_none(kind: int, bytes_max: int, words: str) -> None:
    done = start_limited(lambda: resource.setrlimit(kind, (bytes_max, bytes_max)))
    assert "EngineUnfit" in done.stderr and words in done.stderr


def test_limits_that_can_be_lifted_are(engine: Engine) -> None:
    """A soft limit is what somebody set for programs of another kind."""

    def shrink() -> None:
        for kind, soft in ((resource.RLIMIT_STACK, 512 << 10), (resource.RLIMIT_DATA, 1 << 30)):
            resource.setrlimit(kind, (soft, resource.getrlimit(kind)[1]))

    assert start_limited(shrink).returncode == 0


@pytest.mark.parametrize(
    ("kind", "bound"), [(resource.RLIMIT_NOFILE, 16), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CPU, 600)]
)
def test_limits_below_those_of_a_worker_are_left_as_they_are(engine: Engine, kind: int, bound: int) -> None:
    """It would only lower them further, and may not raise them."""
    done = start_limited(lambda: resource.setrlimit(kind, (bound, bound)))
    assert (done.returncode, done.stderr) == (0, "")


def start_limited(shrink: Callable[[], None]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"from contracts.engine import Engine; {RUN_DEEP}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, preexec_fn=shrink, env=environment, capture_output=True, text=True, check=False)


DEEP = (
    "import json\\ndef key(record):\\n    return 'a'\\ndef apply(state, record, terms):\\n    items = []\\n"
    "    for _ in range(40000):\\n        items = [items]\\n    return {'n': items == [items]}\\n"
)
RUN_DEEP = f'e = Engine(); print(e.run("{DEEP}", b"{{}}", ["{{}}"], lambda cases: [None])); e.close()'


def test_memory_that_the_host_lacks_is_no_outcome(engine: Engine) -> None:
    check_works(engine)
    resource.prlimit(pid_of(engine), resource.RLIMIT_AS, (1 << 30, 1 << 30))
    with pytest.raises(EngineFailed, match="cannot make an instance"):
        check_works(engine)
    check_works(engine)


LOWERED: Final = [
    (resource.RLIMIT_DATA, (1 << 20, 1 << 20), "its data is 1 MiB"),
    (resource.RLIMIT_DATA, (1 << 20, resource.RLIM_INFINITY), "its data is 1 MiB"),
    (resource.RLIMIT_AS, (1 << 30, limits.WORKER_ADDRESS_BYTES), "its address space is 1024 MiB"),
]
"""What is done to a live worker: limits, soft and hard, and what is said of it."""

TAKES: Final = contract('return {"n": len("x" * record["body"].get("x", 0))}')
TAKES_ALL: Final = contract('items = []\nwhile record["body"].get("x"):\n    items.append("x" * 1_000_000)\nreturn {}')


@pytest.mark.parametrize("source", [TAKES, TAKES_ALL])
@pytest.mark.parametrize(("kind", "bounds", "words"), LOWERED)
def test_memory_that_the_host_refuses_later_is_no_outcome(
    engine: Engine, source: str, kind: int, bounds: tuple[int, int], words: str
) -> None:
    """The input takes less than an instance may have, or more: in both cases it may have been the host."""

    def shrink(cases: Sequence[str]) -> list[bytes | None]:
        resource.prlimit(pid_of(engine), kind, bounds)
        return [None for _ in cases]

    # A memory grows within what was reserved for it, so only the limit on data is felt in the first of these inputs.
    x = 60_000_000 if kind == resource.RLIMIT_DATA else 200_000_000
    with pytest.raises(EngineFailed, match=words):
        engine.run(source, b"{}", [record(x=x)], shrink)
    check_works(engine)


def test_memory_that_the_bound_of_an_instance_refuses_is_an_outcome(engine: Engine) -> None:
    outcomes = run(engine, TAKES, record(x=200_000_000), record(1, x=60_000_000))
    assert outcomes[0].reason is not None and outcomes[0].reason.kind == "trap"
    assert outcomes[1].state == b'{"n":60000000}'


# --- it is alone with what it needs --------------------------------------------------


def test_worker_knows_nothing_of_the_environment(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_TOKEN", "secret")
    with Engine() as other:
        other.start()
        content = Path(f"/proc/{pid_of(other)}/environ").read_bytes()
    assert b"secret" not in content and {part.partition(b"=")[0] for part in content.split(b"\0")} <= {
        b"", b"PATH", b"LANG", b"LC_ALL", b"PYTHONPATH",
    }  # fmt: skip


def test_contracts_that_are_refused_leave_nothing_behind(engine: Engine) -> None:
    """Each instance reserves four of the twelve gigabytes that a worker may address."""
    for n in range(6):
        with pytest.raises(ContractNotRunnable):
            engine.load(f"{CLOCK}N = {n}\n")
        with pytest.raises(ContractNotRunnable):
            engine.load(f"raise Reject('{n}')\n")
    check_works(engine)


def test_worker_keeps_no_more_contracts_than_its_bound(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those used last: one that was let go is compiled anew. One that is refused costs a place."""
    monkeypatch.setattr(limits, "WORKER_CONTRACTS_MAX", 2)
    sources = [contract(f"return {{'n': {n}}}") for n in range(3)]
    kept = []
    for n in (0, 1, 0, 2, 1, 1, 2, 0):
        assert [one.state for one in run(engine, sources[n], record())] == [b'{"n":%d}' % n]
        kept.append([at for at, source in enumerate(sources) if key_of(source) in engine._loaded])
    with pytest.raises(ContractNotRunnable):
        engine.load(CLOCK)
    assert kept == [[0], [0, 1], [0, 1], [0, 2], [1, 2], [1, 2], [1, 2], [0, 2]]
    assert list(engine._loaded) == [key_of(sources[0])]


def test_worker_lets_go_what_it_is_told_to() -> None:
    """The other end alone counts: what it names is gone, and a contract that it loads is there."""
    machine = make_engine()
    with open_compiled(default_folder(), lambda line: None) as code:
        component = load_component(machine, code)
    worker = _Worker(lambda: Instance(machine, component))
    for key, dropped in (("a", []), ("b", ["a"]), ("c", [])):
        assert worker.answer(["load", key, COUNTS, dropped]) == ["loaded"]
    assert sorted(worker._codes) == ["b", "c"]


def test_row_of_traps_is_gone_through_and_its_neighbours_count(engine: Engine) -> None:
    records = [record(n, case="c", x=n % 3) for n in range(12)]
    source = contract('while record["body"]["x"] == 1:\n    pass\nreturn {"n": (state or {"n": 0})["n"] + 1}')
    outcomes = run(engine, source, *records)
    assert [one.state for one in outcomes if one.state] == [b'{"n":%d}' % n for n in range(1, 9)]
    assert [one.reason.kind for one in outcomes if one.reason] == ["trap"] * 4


def test_answers_of_functions_have_the_bound_of_a_state(engine: Engine) -> None:
    source = (
        HEAD
        + 'def apply(state, record, terms):\n    return {}\ndef summary(state):\n    return {"n": "x" * state["n"]}\n'
    )
    sizes = [1, limits.STATE_BYTES_MAX - 8, limits.STATE_BYTES_MAX - 7]
    answers = engine.ask(source, b"{}", "summary", [b'[{"n":%d}]' % n for n in sizes])
    assert [len(one.content or b"") for one in answers] == [9, limits.STATE_BYTES_MAX, 0]
    assert [one.reason and one.reason.kind for one in answers] == [None, None, "answer"]


def test_functions_are_asked_any_number_of_times(engine: Engine) -> None:
    source = HEAD + "def apply(state, record, terms):\n    return {}\ndef summary(state):\n    return state\n"
    number = 2 * limits.BATCH_INPUTS_MAX + 1
    answers = engine.ask(source, b"{}", "summary", [b'[{"n":%d}]' % n for n in range(number)])
    assert [one.content for one in answers] == [b'{"n":%d}' % n for n in range(number)]


LARGEST: Final = (ledger_limits.BODY_BYTES_MAX - 100) // 100 * 100
SHAPES: Final = {
    "empty lists": "[" + "[]," * (LARGEST // 3 - 1) + "0]",
    "lists in each other": "[" + ("[" * 28 + "]" * 28 + ",") * (LARGEST // 57 - 1) + "0]",
    "fractions": "[" + "1.5," * (LARGEST // 4 - 1) + "0]",
    "objects": "[" + ",".join(f'{{"{n:06}":1}}' for n in range(LARGEST // 13 - 1)) + "]",
    "text": '"' + "x" * (LARGEST - 2) + '"',
    "letters of four bytes": '"' + "\U0001f4a9" * (LARGEST // 4 - 1) + '"',
}


@pytest.mark.parametrize("shape", SHAPES)
def test_largest_record_is_read_whatever_it_holds(engine: Engine, shape: str) -> None:
    largest = record(y="$").replace('"$"', SHAPES[shape])
    outcomes = run(engine, COUNTS, largest, largest)
    assert [one.state for one in outcomes] == [b'{"last":null,"n":1}', b'{"last":null,"n":2}']
