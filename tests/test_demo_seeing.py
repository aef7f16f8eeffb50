"""What the demo says is withheld: parts that the agreement cuts out count, and every record; and how it fails."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from node.cli import demo
from node.cli.demo import firms
from node.cli.demo.firms import DemoFailed, Network, Tally
from node.cli.demo.report import Story
from node.cli.demo.seeing import Place, count_withheld
from tests.make_cli import tally
from tests.make_cli_reference import commands

SHARES = {
    "catch": {"/*": ["a", "b"], "/lines/*/price": ["a", "c"], "/place/position": ["a"]},
    "epcis/document": {"/*": ["a", "b"]},
}
CATCH = {"lines": [{"n": 1, "price": 2}, {"n": 3}], "place": {"position": 4}}
"""Four fields: /lines, /lines/0/price, /place and /place/position, and none for the line without a price."""


def count(kind: str, *bodies: dict[str, Any]) -> int:
    """What is withheld of a record of firm a: `bodies` are what a, b and so on read of it."""
    place = Place(log="a", index=0, type=kind)
    return count_withheld({place: dict(zip("abc", bodies, strict=False))}, SHARES)


@pytest.mark.parametrize(
    ("body", "withheld"),
    [
        (CATCH, 0),
        ({}, 4),
        ({"lines": [{"n": 1}, {"n": 3}], "place": {}}, 2),
        ({"lines": [{"n": 1, "price": 2}, {"n": 3}]}, 2),
        ({"lines": {"0": {"price": 2}}}, 3),
        ({"place": {"position": 4}}, 2),
    ],
    ids=["whole", "nothing", "skeletons", "one member", "part without its parent", "other member"],
)
def test_members_and_the_parts_cut_out_of_them_count(body: dict[str, Any], withheld: int) -> None:
    assert count("catch", CATCH, body) == withheld


def test_all_firms_but_the_author_and_all_records_count() -> None:
    assert count("catch", CATCH, {}, {"place": {"position": 4}}) == 4 + 2
    assert count("epcis/document", {"sender": 1, "receiver": {"x": 2}}, {"sender": 1}) == 1
    assert count("of no agreement", {"x": {"position": 1}, "y": 2}, {}) == 2
    assert count("catch", {}, {}) == 0


def test_help_names_every_kind_of_file_that_the_demo_takes() -> None:
    (told,) = (param.help for param in dict(commands())["tally demo"].params if param.name == "events")
    assert "EPCIS document" in told
    assert "query document" in told


@pytest.mark.parametrize(
    ("content", "code"),
    [("no JSON", "json-malformed"), ("{}", "nothing-to-share"), ('{"epcisBody":{"eventList":[]}}', "nothing-to-share")],
)
def test_a_file_of_no_events_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, code: str
) -> None:
    monkeypatch.setattr(demo, "tell", lambda *_, **__: pytest.fail("it started"))
    (tmp_path / "events.json").write_text(content)
    done = tally("demo", "--once", "--json", "--events", tmp_path / "events.json")
    assert (done.code, done.json["error"]["code"]) == (1, code)


def test_a_demo_that_fails_shows_the_last_words_of_its_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(network: Network, *_: Any, **__: Any) -> None:
        folder = network.firm("carrier").folder
        folder.mkdir()
        (folder / "serve.log").write_text("\n".join(f"line {n}" for n in range(9)))
        raise DemoFailed(what="this", reason="not now")

    monkeypatch.setattr(demo, "tell", fail)
    done = tally("demo", "--once", "--json")
    assert (done.code, "carrier: line 8" in done.err, "line 0" in done.err) == (4, True, False)


def test_whoever_waits_beside_nodes_that_have_ended_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script's background ignores Ctrl-C, and its nodes do not."""
    monkeypatch.setattr(firms, "_WATCH_S", 0.01)
    network = Network(tmp_path, Tally(Story(as_json=True)), names=("fishery", "retailer"))
    network.firms[1].process = subprocess.Popen(["true"])
    with pytest.raises(DemoFailed, match="retailer has ended: with 0"):
        network.wait_for_interrupt()
