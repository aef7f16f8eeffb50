"""`doctor`: each check notices what it is for, and says what to do."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.engine import Engine
from node.cli import checks
from node.cli.checks import (
    Check,
    State,
    check_certificate,
    check_clock,
    check_guard,
    check_packages,
    check_peers,
    check_space,
)
from node.clock import system_clock
from node.config import load_settings
from node.storage import logs, sidecars
from tests.make_cli import Result, found, tally
from tests.make_running import free_port, make_lone_folder, running
from tests.source import ROOT
from tests.test_cli_client import make_certificate, settings

OURS = {name: str(ROOT / name / "__init__.py") for name in ("contracts", "ledger", "node")}


def states(done: Result) -> dict[str, str]:
    return {row["name"]: row["state"] for row in done.json}


@pytest.mark.slow
def test_a_sound_node_has_nothing_but_ok(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    with running(folder):
        done = tally("doctor", "--dir", folder, "--json")
    assert done.code == 0
    # The disk of this machine and packages of its tests are not the node's.
    others = {name: state for name, state in states(done).items() if name not in ("disk", "packages")}
    assert set(others.values()) == {"ok"}
    assert {
        "versions",
        "contracts",
        "settings",
        "owner",
        "permissions",
        "keys",
        "high-water",
        "bodies",
        "node",
        "network",
        "guard",
    } == set(others)


@pytest.mark.slow
def test_every_line_that_is_not_ok_says_what_to_do(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    (folder / "keys" / "log.json").chmod(0o640)
    done = tally("doctor", "--dir", folder, "--json")
    assert done.code == 1
    assert states(done)["permissions"] == "fail"
    assert states(done)["node"] == "warn"
    assert states(done)["port"] == "ok"
    assert all(bool(row["do"]) == (row["state"] != "ok") for row in done.json)
    shown = tally("doctor", "--dir", folder)
    assert f"      do: chmod -R go= {folder}" in shown.out


def test_a_folder_without_a_node_is_told(tmp_path: Path) -> None:
    done = tally("doctor", "--dir", tmp_path, "--json")
    assert (done.code, states(done)["settings"]) == (1, "fail")


@pytest.mark.slow
def test_a_missing_key_and_a_broken_mark_are_told(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    (folder / "keys" / "witness.json").unlink()
    (folder / "high-water").write_text("nonsense")
    found_states = states(tally("doctor", "--dir", folder, "--json"))
    assert (found_states["keys"], found_states["high-water"]) == ("fail", "fail")


@pytest.mark.slow
def test_a_node_serves_without_its_root_key_and_signs_no_charter_without_it(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    kept = (folder / "keys" / "root.json").rename(tmp_path / "root.json")
    with running(folder):
        one = tmp_path / "one.ndjson"
        one.write_text('{"type":"note","body":{"n":1}}\n')
        assert tally("capture", one, "--dir", folder).code == 0
        checked = tally("doctor", "--dir", folder)
        assert (checked.code, "but the root key" in checked.out) == (0, True)
        assert tally("backup", tmp_path / "copy", "--dir", folder).code == 0
    assert tally("fsck", "--dir", folder).code == 0
    words = ("charter", "sign", folder / "network.json", "--dir", folder)
    refused = tally(*words, "--json")
    assert (refused.code, refused.json["error"]["code"]) == (3, "root-key-away")
    kept.rename(folder / "keys" / "root.json")
    assert tally(*words).code == 0


@pytest.mark.slow
def test_a_node_without_a_charter_is_told(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    with running(folder, adopt=False):
        done = tally("doctor", "--dir", folder, "--json")
    assert (done.code, states(done)["network"]) == (0, "warn")


@pytest.mark.slow
def test_a_node_that_was_to_answer_and_does_not_is_a_failure(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    with running(folder):
        pass
    done = tally("doctor", "--dir", folder, "--json")
    assert (done.code, states(done)["node"], states(done)["bodies"], states(done)["port"]) == (1, "fail", "ok", "ok")
    (folder / "ledger.db").write_bytes(b"no database" * 1000)
    assert states(tally("doctor", "--dir", folder, "--json"))["store"] == "fail"


@pytest.mark.slow
def test_bodies_that_are_lost_are_counted_also_while_the_node_runs(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    with running(folder) as node:
        with node.store.write("restore") as tx:
            log = logs.find_log(tx, node.joined.origin)
            assert log is not None
            sidecars.insert_gaps(tx, log.number, [(0, "lost"), (1, "lost")])
        done = tally("doctor", "--dir", folder, "--json")
    (bodies,) = [row for row in done.json if row["name"] == "bodies"]
    assert (done.code, bodies["state"], bodies["says"]) == (0, "warn", "2 of the own log are missing")
    assert all(words in bodies["do"] for words in ("tally fsck", "tally token list"))


@pytest.mark.slow
def test_a_lost_admin_token_is_told_with_what_makes_another(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    with running(folder):
        (folder / "admin-token").write_text("tally_0123456789abcdef_" + "A" * 43)
        refused = tally("doctor", "--dir", folder, "--json")
        (folder / "admin-token").unlink()
        lost = tally("doctor", "--dir", folder, "--json")
    for done in (refused, lost):
        (node_row,) = [row for row in done.json if row["name"] == "node"]
        assert (done.code, node_row["state"], "tally token admin" in node_row["do"]) == (1, "fail", True)


@pytest.mark.slow
def test_a_peer_that_is_down_is_told_and_is_no_fault_of_ours(tmp_path: Path) -> None:
    found(tmp_path, "carrier", "fishery")
    folder = tmp_path / "fishery"
    (folder / "network.json").write_bytes((tmp_path / "network.json").read_bytes())
    text = (folder / "tally.toml").read_text()
    (folder / "tally.toml").write_text(text.replace("port = 7450", f"port = {free_port()}"))
    with running(folder):
        done = tally("doctor", "--dir", folder, "--json")
    assert (done.code, states(done)["peer carrier"]) == (0, "warn")


@pytest.mark.slow
def test_keys_that_are_not_those_of_the_card_are_told(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    other = make_lone_folder(tmp_path / "other")
    with running(folder):
        (folder / "keys" / "log.json").write_bytes((other / "keys" / "log.json").read_bytes())
        done = tally("doctor", "--dir", folder, "--json")
    assert (done.code, states(done)["card"]) == (1, "fail")


@pytest.mark.slow
def test_a_token_that_the_node_refuses_is_told(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    with running(folder):
        done = tally("doctor", "--dir", folder, "--token", "stale", "--json")
    assert (done.code, states(done)["node"]) == (1, "fail")


def test_a_folder_of_another_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.process_owner(tmp_path).state is State.OK
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert checks.process_owner(tmp_path).state is State.WARN


def test_packages_of_others_in_front_of_ours_are_noticed() -> None:
    assert check_packages(OURS, claims={"node": ["tallystick"]}).state is State.OK
    assert check_packages(OURS | {"node": "/else/node/__init__.py"}, claims={}).state is State.FAIL
    assert check_packages(OURS, claims={"ledger": ["tallystick", "ledger-cli"]}).state is State.WARN


@pytest.mark.parametrize(
    ("free", "state"),
    [
        (checks.DISK_FAIL_BYTES - 1, State.FAIL),
        (checks.DISK_FAIL_BYTES, State.WARN),
        (checks.DISK_WARN_BYTES - 1, State.WARN),
        (checks.DISK_WARN_BYTES, State.OK),
    ],
)
def test_a_disk_that_fills_is_noticed(free: int, state: State) -> None:
    assert check_space(free).state is state


@pytest.mark.parametrize(
    ("days", "state"), [(-1, State.FAIL), (checks.CERTIFICATE_WARN_DAYS - 1, State.WARN), (90, State.OK)]
)
def test_a_certificate_that_runs_out_is_noticed(tmp_path: Path, days: int, state: State) -> None:
    certificate, key = make_certificate(tmp_path, "node.example", days=days)
    (found_check,) = check_certificate(settings(tls_cert=certificate, tls_key=key), now_ms=system_clock())
    assert found_check.state is state


def test_no_certificate_and_a_broken_one(tmp_path: Path) -> None:
    assert list(check_certificate(settings(), now_ms=0)) == []
    (tmp_path / "c.pem").write_text("nothing")
    (broken,) = check_certificate(settings(tls_cert=tmp_path / "c.pem"), now_ms=0)
    assert broken.state is State.FAIL


@pytest.mark.slow
def test_files_of_tls_that_are_wrong_are_told_by_setting_and_file_before_anything_is_served(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "node.example")
    _, other = make_certificate(tmp_path, "other.example")
    (empty := tmp_path / "empty.pem").touch()
    good: dict[str, Any] = {"tls_cert": certificate, "tls_key": key, "tls_ca": certificate}
    assert [check.state for check in check_certificate(settings(**good), now_ms=system_clock())] == [State.OK]
    folder = make_lone_folder(tmp_path)
    text = (folder / "tally.toml").read_text()
    for setting, file in (
        ("tls_ca", empty), ("tls_cert", empty), ("tls_key", empty), ("tls_key", other), ("tls_ca", tmp_path / "none"),
    ):  # fmt: skip
        files = good | {setting: file}
        (found_check,) = check_certificate(settings(**files), now_ms=system_clock())
        lines = "".join(f'{name} = "{path}"\n' for name, path in files.items())
        (folder / "tally.toml").write_text(text + lines)
        served = tally("serve", "--dir", folder)
        assert (found_check.state, served.code, "config-broken" in served.err) == (State.FAIL, 1, True)
        assert all(f"{file}: {setting}: " in said for said in (found_check.says, served.err))
    (alone,) = check_certificate(settings(tls_ca=empty), now_ms=0)
    assert alone.state is State.FAIL
    words = ("--network", "n.example", "--member", "m", "--tls-ca", empty)
    assert tally("init", tmp_path / "new", *words).code == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("ahead", "state"),
    [(0, State.OK), (2, State.OK), (-2, State.OK), (2.5, State.WARN), (60, State.WARN), (-61, State.FAIL)],
)
def test_clocks_that_differ_are_noticed(ahead: float, state: State) -> None:
    assert check_clock("carrier", ahead, skew_s=60).state is state


def test_the_guard_says_whom_it_waits_for() -> None:
    assert check_guard({"state": "ready", "waiting_for": []}).state is State.OK
    waiting = check_guard({"state": "waiting", "waiting_for": ["carrier", "retailer"]})
    assert (waiting.state, "carrier, retailer" in waiting.says) == (State.WARN, True)
    assert "not-restored" in waiting.do
    missing = "entries 3 to 8 of its own log, from its peers"
    behind = check_guard({"state": "behind", "waiting_for": ["carrier", missing]})
    assert f"it waits for: carrier, {missing}" in behind.says
    assert ("not-restored" in behind.do, "tally token list" in behind.do) == (False, True)
    doubt = check_guard({"state": "behind", "waiting_for": ["an operator (two histories)"]})
    assert ("an operator (two histories)" in doubt.says, "Peers cannot" in doubt.do) == (True, True)


def test_a_frozen_log_is_a_failure() -> None:
    status = {
        "version": "1", "uptime_s": 1, "member": "fishery", "network": "n", "fingerprint": "ab",
        "guard": {"state": "ready", "waiting_for": []}, "logs": [{"origin": "n/carrier", "frozen": "fork"}],
    }  # fmt: skip
    client: Any = SimpleNamespace(get_json=lambda _path: status)
    last = list(checks.check_node(client))[-1]
    assert (last.state, last.says) == (State.FAIL, "frozen: n/carrier (fork)")


@pytest.mark.slow
def test_one_good_address_of_a_peer_is_enough(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    with running(folder) as node:
        good, bad = f"http://127.0.0.1:{node.settings.port}", f"http://127.0.0.1:{free_port()}"
        found_checks = list(check_peers(load_settings(folder), {"a": (bad, good), "b": (bad,), "c": ()}))
    assert [check.state for check in found_checks] == [State.OK, State.WARN, State.WARN]
    assert all(isinstance(check, Check) for check in found_checks)


# --- contracts ------------------------------------------------------------------------------


def test_engine_that_is_not_compiled_is_said_and_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = checks.check_contracts()
    assert (found.state, "not compiled yet: the first contract command takes" in found.says) == (State.OK, True)
    assert list(tmp_path.iterdir()) == []


def test_engine_that_is_compiled_is_started(engine: Engine) -> None:
    engine.start()
    assert checks.check_contracts() == Check("contracts", State.OK, "the engine runs, and is compiled")


def test_engine_that_has_no_place_is_said_with_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = checks.check_contracts()
    assert (found.state, str(tmp_path / "cache") in found.says) == (State.WARN, True)
    assert "set XDG_CACHE_HOME to a folder of your own" in found.do
