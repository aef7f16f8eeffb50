"""Commands against a running node: records, contracts, tokens, charter, evidence."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ledger import limits
from ledger.letters import BOM, has_hidden
from node.cli.exits import UsageWrong
from node.cli.inputs import find_contract
from node.node import Node
from tests.make_cli import Result, tally
from tests.make_folders import proposal
from tests.make_running import make_lone_folder, running
from tests.source import ROOT

pytestmark = pytest.mark.slow

CONTRACT = """'''Share shipments.'''
ROLES = {"seller", "buyer"}
SIGNERS = set()
AUTHORS = {"ship": {"seller"}}
SHARES = {"ship": {"/*": {"seller", "buyer"}, "/price": {"seller"}}}
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with running(make_lone_folder(tmp_path_factory.mktemp("node")), search=True) as found:
        yield found


def at(node: Node, *words: str | Path) -> Result:
    return tally(*words, "--dir", node.folder)


def propose(node: Node, *, title: str, terms: str = "{}") -> str:
    source, terms_file = node.folder / "contract.py", node.folder / "terms.json"
    source.write_text(CONTRACT.replace("Share shipments.", title))
    terms_file.write_text(terms)
    parties = ("--party", "seller=fishery", "--party", "buyer=fishery")
    done = at(node, "contract", "propose", source, *parties, "--terms", terms_file, "--json")
    assert done.code == 0, done.err
    return str(done.json["id"])


def file_record(node: Node, record: dict[str, object]) -> str:
    """Record one and return its place."""
    file = node.folder / "one.ndjson"
    file.write_text(json.dumps(record) + "\n")
    assert at(node, "capture", file, "--contract", str(record["contract"])).code == 0
    (found,) = at(node, "records", "list", "--limit", "1", "--json").json["records"]
    return f"fishery/{found['index']}"


# --- contracts ------------------------------------------------------------------------------


def test_a_contract_goes_from_proposal_to_its_end(node: Node) -> None:
    contract = propose(node, title="From first to last")
    assert at(node, "contract", "show", contract[:10], "--json").json["status"] == "active"
    assert at(node, "contract", "accept", contract, "--json").json["id"] == contract
    listed = at(node, "contract", "list")
    assert contract[:16] in listed.out
    ended = at(node, "contract", "end", contract)
    assert (ended.code, ended.out) == (0, f"Ended {contract}.\n")
    again = at(node, "contract", "end", contract)
    assert (again.code, "contract-settled" in again.err) == (1, True)
    assert at(node, "contract", "decline", contract).code == 1


def test_a_contract_is_shown_with_its_source_terms_and_readings(node: Node) -> None:
    contract = propose(node, title="Shown whole", terms='{"rate": 1.50, "late": 1e3}')
    shown = at(node, "contract", "show", contract)
    assert '"rate": 1.50' in shown.out
    assert "1e3" in shown.out
    assert [line.split() for line in shown.out.splitlines() if "/price" in line] == [
        ["ship", "seller", "/price", "seller"]
    ]
    source = at(node, "contract", "show", contract, "--source")
    assert source.out == CONTRACT.replace("Share shipments.", "Shown whole")


def test_a_part_of_an_id_must_name_one_contract(node: Node) -> None:
    first, second = propose(node, title="One"), propose(node, title="Two")
    assert first != second
    client: Any = SimpleNamespace(get_json=lambda _path: {"contracts": [{"id": "ab" * 32}, {"id": "ac" * 32}]})
    assert find_contract(client, "AB") == "ab" * 32
    for ambiguous in ("a", "b"):
        with pytest.raises(UsageWrong, match="contracts have an id"):
            find_contract(client, ambiguous)
    assert at(node, "contract", "show", "xyz").code == 3
    assert at(node, "contract", "show", first[:12]).code == 0


@pytest.mark.parametrize("party", ["seller", "seller=", "=fishery", "seller=fishery,"])
def test_a_party_is_a_role_and_its_members(node: Node, party: str) -> None:
    source = node.folder / "contract.py"
    source.write_text(CONTRACT)
    assert at(node, "contract", "propose", source, "--party", party).code == 3


def test_a_proposal_that_the_node_refuses_says_why(node: Node) -> None:
    source = node.folder / "contract.py"
    source.write_text(CONTRACT)
    done = at(node, "contract", "propose", source, "--party", "seller=fishery", "--json")
    assert (done.code, done.json["error"]["code"]) == (1, "proposal-broken")
    terms = node.folder / "terms.json"
    terms.write_text('{"a": 1, "a": 2}')
    twice = at(node, "contract", "propose", source, "--party", "seller=fishery", "--terms", terms)
    assert (twice.code, "'a'" in twice.err) == (1, True)


def test_what_became_of_a_proposal_is_told_in_one_line(node: Node) -> None:
    source = node.folder / "told.py"
    source.write_text(CONTRACT)
    done = at(node, "contract", "propose", source, "--party", "seller=fishery", "--party", "buyer=fishery")
    assert done.out.startswith("Proposed ")
    assert done.out.endswith(". It is active now.\n")


def test_a_contract_with_code_is_refused_by_propose_and_read_by_lint(node: Node) -> None:
    source = node.folder / "contract.py"
    source.write_text(CONTRACT.replace("set()", '{"seller"}') + "def key(record): return '1'\n")
    done = at(node, "contract", "propose", source, "--party", "seller=fishery", "--party", "buyer=fishery")
    assert (done.code, "code-not-run" in done.err, "key" in done.err) == (1, True, True)
    found = tally("contract", "lint", source, "--json")
    assert (found.code, [(row["code"], row["line"]) for row in found.json]) == (1, [("function-missing", 6)])


def test_a_contract_with_code_that_is_there_is_shown_with_a_warning(node: Node) -> None:
    """Of a partner with a later version, say; this node would not propose it."""
    source = CONTRACT.replace("set()", '{"seller"}') + "def key(record): return 1\n"
    leaf = node.append_one(proposal({"seller": ["fishery"], "buyer": ["fishery"]}, source=source)).leaf
    shown = at(node, "contract", "show", leaf.hex())
    assert (shown.code, "it has code (key)" in shown.out) == (0, True)
    assert "unsupported" in at(node, "contract", "list").out


def test_a_byte_order_mark_is_refused_before_a_contract_and_dropped_before_terms(node: Node) -> None:
    source, terms = node.folder / "contract.py", node.folder / "terms.json"
    source.write_bytes(BOM + CONTRACT.encode())
    terms.write_bytes(BOM + b'{"rate": 1}')
    parties = ("--party", "seller=fishery", "--party", "buyer=fishery")
    for refused in (tally("contract", "lint", source), at(node, "contract", "propose", source, *parties)):
        assert (refused.code, "byte order mark" in refused.out + refused.err) == (1, True), refused
    source.write_text(CONTRACT)
    done = at(node, "contract", "propose", source, *parties, "--terms", terms, "--json")
    assert (done.code, done.json["source"], done.json["terms"]) == (0, CONTRACT, {"rate": 1})


def test_lint_tells_errors_from_doubts(tmp_path: Path) -> None:
    source = tmp_path / "contract.py"
    source.write_text(CONTRACT)
    assert tally("contract", "lint", source).code == 0
    source.write_text(CONTRACT.replace('"buyer"}\n', '"buyer", "bank"}\n'))
    doubted = tally("contract", "lint", source, "--json")
    assert (doubted.code, [row["is_error"] for row in doubted.json]) == (0, [False])
    source.write_text("import os\n" + CONTRACT)
    wrong = tally("contract", "lint", source)
    assert wrong.code == 1
    assert wrong.out.startswith(f"{source}:1: ")
    source.write_bytes(b"\xff")
    assert tally("contract", "lint", source).code == 3


# --- records --------------------------------------------------------------------------------


def test_records_are_listed_filtered_and_paged(node: Node) -> None:
    contract = propose(node, title="Listed")
    file = node.folder / "listed.ndjson"
    file.write_text("".join(json.dumps({"type": "ship", "body": {"n": n}}) + "\n" for n in range(5)))
    assert at(node, "capture", file, "--contract", contract).code == 0
    words = ("records", "list", "--contract", contract[:12], "--type", "ship", "--json")
    first = at(node, *words, "--limit", "2").json
    rest = at(node, *words, "--cursor", first["next"]).json
    assert [row["body"]["n"] for row in first["records"] + rest["records"]] == [4, 3, 2, 1, 0]
    assert rest["next"] is None
    oldest = at(node, *words, "--oldest").json["records"]
    assert [row["body"]["n"] for row in oldest] == [0, 1, 2, 3, 4]
    assert at(node, *words, "--until", "2001-01-01").json["records"] == []
    assert len(at(node, *words, "--since", "2001-01-01T00:00:00Z").json["records"]) == 5
    assert at(node, *words, "--since", "yesterday").code == 3
    assert at(node, "records", "list", "--log", "nobody").code in (0, 1)
    shown = at(node, "records", "list", "--limit", "2")
    assert (len(shown.out.splitlines()), "more: --cursor" in shown.err) == (4, True)


def test_a_list_goes_on_over_the_pages_of_the_node(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = at(node, "records", "list", "--limit", "5", "--json").json
    monkeypatch.setattr(limits, "VIEW_PAGE_MAX", 2)
    assert at(node, "records", "list", "--limit", "5", "--json").json["records"] == whole["records"]


def test_a_record_is_shown_with_the_very_texts_of_its_author(node: Node) -> None:
    contract = propose(node, title="Texts")
    file = node.folder / "texts.ndjson"
    file.write_text('{"type":"ship","body":{"weight":26.0,"price":1e3,"place":"Ålesund \\u202e"}}\n')
    assert at(node, "capture", file, "--contract", contract).code == 0
    index = at(node, "records", "list", "--limit", "1", "--json").json["records"][0]["index"]
    as_json = at(node, "records", "show", f"fishery/{index}", "--json")
    for field in ('"weight":26.0', '"price":1e3', '"place":"Ålesund \\u202e"'):
        assert field in as_json.out
    shown = at(node, "records", "show", as_json.json["id"])
    assert "26.0" in shown.out
    assert "1e3" in shown.out
    assert at(node, "records", "show", f"cold-chain.example/fishery/{index}").out == shown.out


def test_a_record_and_its_contract_are_shown_without_letters_that_hide(node: Node) -> None:
    rule = '"/price": {"seller"}, "/pric\\u0435": {"seller"}'
    source, terms = node.folder / "shown.py", node.folder / "shown.json"
    source.write_text(CONTRACT.replace("Share shipments.", "Seen").replace('"/price": {"seller"}', rule))
    terms.write_text(json.dumps({"note": "\u2028a\u200bb\U000e0041"}, ensure_ascii=False, indent=1))
    parties = ("--party", "seller=fishery", "--party", "buyer=fishery")
    contract = at(node, "contract", "propose", source, *parties, "--terms", terms, "--json").json["id"]
    shown = at(node, "contract", "show", contract).out
    assert '{"note": "\\u2028a\\u200bb\\udb40\\udc41"}' in shown
    assert "/pric\\u0435" in shown
    body = {"a\u202eb\n/price": "\u2066c\u3164", "place": "Ålesund"}
    place = file_record(node, {"type": "ship", "body": body, "contract": contract})
    shown = at(node, "records", "show", place).out
    assert all(not has_hidden(line) for line in shown.split("\n"))
    assert json.loads(shown[shown.index("\n{") : shown.rindex("}") + 1]) == body


def test_a_record_that_is_not_there_is_refused(node: Node) -> None:
    assert at(node, "records", "show", "fishery/999999").code == 1
    assert at(node, "records", "show", "nobody/1").code == 1
    assert at(node, "records", "show", "no-id").code == 1


def test_tail_shows_the_last_records_and_then_the_new_ones(node: Node) -> None:
    contract = propose(node, title="Tail")
    file_record(node, {"type": "ship", "body": {"n": "before"}, "contract": contract})
    words = [sys.executable, "-m", "node.cli", "records", "tail", "--dir", str(node.folder), "--json"]
    words += ["--type", "ship", "--contract", contract, "--lines", "1", "--interval", "0.1"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as tail:
        assert tail.stdout is not None
        assert json.loads(tail.stdout.readline())["body"] == {"n": "before"}
        file_record(node, {"type": "ship", "body": {"n": "after"}, "contract": contract})
        assert json.loads(tail.stdout.readline())["body"] == {"n": "after"}
        tail.terminate()


# --- tokens ---------------------------------------------------------------------------------


def test_a_token_opens_its_scopes_until_it_is_revoked(node: Node) -> None:
    made = at(node, "token", "new", "erp", "--scope", "read", "--scope", "write", "--json").json
    used = ("--token", made["token"])
    assert at(node, "records", "list", *used).code == 0
    refused = at(node, "token", "list", *used)
    assert (refused.code, "scope-missing" in refused.err) == (1, True)
    rows = {row["id"]: row for row in at(node, "token", "list", "--json").json["tokens"]}
    assert rows[made["id"]]["scopes"] == ["read", "write"]
    assert made["token"] not in at(node, "token", "list").out
    assert at(node, "token", "revoke", made["id"]).code == 0
    gone = at(node, "records", "list", *used)
    assert (gone.code, "token-refused" in gone.err) == (1, True)
    again = at(node, "token", "revoke", made["id"])
    assert (again.code, "hint: `tally token list`" in again.err) == (1, True)


def test_a_new_token_is_all_that_stdout_holds(node: Node) -> None:
    done = at(node, "token", "new", "bi", "--scope", "audit")
    assert done.out.startswith("tally_")
    assert len(done.out.split()) == 1


def test_a_token_without_a_known_scope_is_refused(node: Node) -> None:
    assert at(node, "token", "new", "x").code == 3
    done = at(node, "token", "new", "x", "--scope", "everything")
    assert (done.code, "token-malformed" in done.err) == (1, True)


# --- the network ----------------------------------------------------------------------------


def test_charter_card_and_peers_are_those_of_the_node(node: Node) -> None:
    shown = at(node, "charter", "show", "--json").json
    assert shown["fingerprint"] == node.membership.network_id.hex()
    assert [card["member"] for card in at(node, "card", "show", "--json").json] == ["fishery"]
    assert at(node, "peers", "--json").json == {"peers": []}
    assert "fishery: ready" in at(node, "peers").err


def test_a_node_adopts_a_charter_while_it_runs(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    with running(folder, adopt=False) as node:
        refused = at(node, "peers")
        assert (refused.code, "no-charter" in refused.err) == (4, True)
        assert at(node, "charter", "adopt", folder / "network.json", "--trust", "00" * 32).code == 1
        assert not node.is_joined
        done = at(node, "charter", "adopt", folder / "network.json", "--json")
        assert (done.code, done.json["fingerprint"]) == (0, node.membership.network_id.hex())


def test_evidence_is_listed_and_printed_byte_for_byte(node: Node) -> None:
    from node.storage.facts import StoredEvidence, insert_evidence

    document = b'{"first":"\xe2\x80\x94 x","kind":"fork"}\n'
    item = StoredEvidence(id=bytes(32), kind="fork", member="carrier", found_ms=1, document=document, log="", place=1)
    with node.store.write("evidence") as tx:
        insert_evidence(tx, item)
    assert "carrier" in at(node, "evidence", "list").out
    assert at(node, "evidence", "show", "0000").out.encode() == document
    assert at(node, "evidence", "show", "ff").code == 3
    with node.store.write("evidence") as tx:
        tx.exec_driver_sql("DELETE FROM evidence")  # it proves nothing, as `fsck` would say


def test_fsck_proves_a_store_while_its_node_runs(node: Node) -> None:
    done = at(node, "fsck", "--json")
    assert (done.code, done.json["sound"], done.json["faults"]) == (0, True, [])
    assert done.json["entries"] == at(node, "records", "list", "--limit", "1", "--json").json["records"][0]["index"] + 1


def test_fsck_of_what_is_no_store_is_a_wrong_command_line(tmp_path: Path) -> None:
    assert tally("fsck", "--offline", tmp_path).code == 3
    assert tally("fsck", "--dir", tmp_path).code == 3
    for option in ("--dir", "--offline"):
        assert tally("fsck", option, tmp_path / "nowhere").code == 3


def test_a_backup_of_a_running_node_is_proved_and_leaves_the_high_water_file_behind(node: Node, tmp_path: Path) -> None:
    target = tmp_path / "copies" / "today"
    assert at(node, "backup", target).code == 0
    names = {path.name for path in target.iterdir()}
    assert names >= {"ledger.db", "tally.toml", "keys", "admin-token", "member.json"}
    assert "high-water" not in names
    kept = [target, target / "keys", target / "ledger.db", target / "admin-token", *(target / "keys").iterdir()]
    assert [path for path in kept if path.stat().st_mode & 0o077] == []
    checked = tally("fsck", "--offline", target, "--json")
    assert (checked.code, checked.json["entries"]) == (0, at(node, "fsck", "--json").json["entries"])
    again = at(node, "backup", target)
    assert (again.code, "folder-taken" in again.err) == (1, True)


def test_a_backup_without_keys_holds_no_key_and_no_token_and_is_checked_unopened(node: Node, tmp_path: Path) -> None:
    done = at(node, "backup", tmp_path / "b", "--no-keys", "--json")
    assert (done.code, done.json["keys"]) == (0, False)
    # A copy that may go to outsiders: no key, and no token either, as that one may do everything here.
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"ledger.db", "tally.toml", "member.json"}
    secret = (node.folder / "admin-token").read_bytes().strip()
    assert [path.name for path in (tmp_path / "b").iterdir() if secret in path.read_bytes()] == []
    assert tally("fsck", "--offline", tmp_path / "b", "--dir", tmp_path).code == 0
    copy = tmp_path / "copy.db"
    (tmp_path / "b" / "ledger.db").rename(copy)
    checked = tally("fsck", "--offline", copy)
    assert (checked.code, "not opened" in checked.err) == (0, True)


def test_a_backup_of_no_node_is_a_wrong_command_line(tmp_path: Path) -> None:
    assert tally("backup", tmp_path / "x", "--dir", tmp_path).code == 3
    assert list(tmp_path.iterdir()) == []


def test_every_answer_with_json_is_json_alone(node: Node) -> None:
    contract = propose(node, title="Only JSON")
    place = file_record(node, {"type": "ship", "body": {"n": 1}, "contract": contract})
    for words in (
        ["peers"], ["doctor"], ["fsck"], ["charter", "show"], ["card", "show"], ["contract", "list"],
        ["contract", "show", contract], ["records", "list"], ["records", "show", place], ["token", "list"],
        ["evidence", "list"], ["receipt", place, "-o", str(node.folder / "receipt.json")],
    ):  # fmt: skip
        done = at(node, *words, "--json")
        assert done.code == 0, done.err
        json.loads(done.out)
