"""docs/spec/leakage.md, asserted on bytes: what left the author's node towards whom, and what lies in whose files.

Four nodes run in processes of their own behind proxies that keep every byte. The fishery files a
record that the carrier and the retailer read in part, and the insurer, a member, not at all.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from ledger import limits
from ledger.entry import Entry, decode_entry
from ledger.evidence import encode_evidence
from ledger.keys import SigningKey
from ledger.manifest import decode_manifest
from ledger.names import Digest, MemberName, id_time_ms, sha256
from ledger.note import decode_note
from ledger.proof import decode_proof
from ledger.record import Opened
from ledger.sealing import Contexts, decode_channel_message, field_salt, padded_length
from ledger.sidecar import Bodies, Sidecar, decode_bodies
from ledger.tiles import decode_bundle
from node.agreements import draft_private
from node.node import Node
from node.storage import logs, sidecars
from node.storage.packing import PackedSidecar
from node.storage.tables import row_key
from node.sync.answers import bodies
from tests.make import record_id
from tests.make_evidence import forked, repeated, two_cards, two_charters
from tests.make_wire import Companies, Company, agree, companies, wait_until
from tests.nodes import found
from tests.source import ROOT

pytestmark = pytest.mark.slow

PAGE: Final = ROOT / "docs" / "spec" / "leakage.md"
MEMBERS: Final = ("carrier", "fishery", "insurer", "retailer")
MARKS: Final = {
    name: f"{name}Kq7{number}xVw9" for number, name in enumerate(
        ("catcher", "buyer", "haulier", "landing", "port", "price", "species", "cost", "margin", "private", "clerk",
         "eventid", "epc", "place", "temperature", "terms")
    )
}  # fmt: skip
"""Words that stand nowhere else: roles, a record type, values of fields, a token's name."""
SOURCE: Final = f'''"""Share landings."""
ROLES = {{"{MARKS["catcher"]}", "{MARKS["buyer"]}", "{MARKS["haulier"]}"}}
SIGNERS = set()
AUTHORS = {{"{MARKS["landing"]}": {{"{MARKS["catcher"]}"}}, "epcis/ObjectEvent": {{"{MARKS["catcher"]}"}}}}
SHARES = {{
    "{MARKS["landing"]}": {{
        "/port": {{"{MARKS["catcher"]}", "{MARKS["buyer"]}", "{MARKS["haulier"]}"}},
        "/price": {{"{MARKS["catcher"]}", "{MARKS["buyer"]}"}},
        "/lines": {{"{MARKS["catcher"]}", "{MARKS["buyer"]}"}},
        "/lines/*/cost": {{"{MARKS["catcher"]}", "{MARKS["haulier"]}"}},
    }},
    "epcis/ObjectEvent": {{"/*": {{"{MARKS["catcher"]}", "{MARKS["buyer"]}"}}}},
}}
'''
BODY: Final = f"""{{
  "port": "{MARKS["port"]}",
  "price": "{MARKS["price"]}",
  "lines": [
    {{
      "species": "{MARKS["species"]}",
      "cost": "{MARKS["cost"]}",
      "boxes": 3
    }},
    {{
      "boxes": 4
    }},
    {{
      "cost": 12.50
    }}
  ],
  "margin": "{MARKS["margin"]}"
}}"""
EVENT: Final = {
    "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {"ex": "https://fishery.example/"}],
    "type": "ObjectEvent",
    "eventID": f"urn:x:{MARKS['eventid']}",
    "eventTime": "2026-03-02T10:00:00Z",
    "eventTimeZoneOffset": "+00:00",
    "action": "OBSERVE",
    "bizStep": "receiving",
    "epcList": [f"urn:epc:id:sgtin:4012345.011122.{MARKS['epc']}"],
    "readPoint": {"id": f"urn:x:{MARKS['place']}"},
    "ex:temperature": MARKS["temperature"],
}


@dataclass(frozen=True)
class Landing:
    """What the four nodes came to: the record at `index` of the fishery's log is the one that the page shows."""

    net: Companies
    contract: str
    proposal: int
    private: int
    index: int
    event: int
    envelope: bytes
    answers: Mapping[str, Any]
    early: Mapping[str, Mapping[str, bytes]]
    author: Node

    @cached_property
    def log(self) -> logs.StoredLog:
        with self.author.store.read() as tx:
            return self.author.find_log(tx, "fishery")

    @cached_property
    def entries(self) -> list[bytes]:
        with self.author.store.read() as tx:
            return logs.read_entries(tx, self.log, 0, self.log.size)

    @property
    def entry(self) -> Entry:
        return decode_entry(self.entries[self.index])

    @cached_property
    def packed(self) -> PackedSidecar:
        return self.sidecar(self.index)

    @cached_property
    def opened(self) -> Opened:
        with self.author.store.read() as tx:
            found = self.author.joined.reader.read(tx, self.log, self.index).opened
        assert found is not None, "an author reads its own records"
        return found

    def sidecar(self, index: int) -> PackedSidecar:
        with self.author.store.read() as tx:
            found = sidecars.read_sidecar(tx, self.log.number, index)
        assert found is not None, "an author holds its own bodies"
        return found

    def files(self, name: str) -> bytes:
        """What ever lay in the folder of a member's node but for its private keys, its token and its view."""
        late = self.net[name].files()
        return b"\n".join(
            content
            for files in (self.early[name], late)
            for path, content in files.items()
            if not path.startswith("views.db")
        )


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landing]:
    root = tmp_path_factory.mktemp("leakage")
    with companies(root, *MEMBERS, settings={"log_level": "debug"}) as net:
        fishery = net["fishery"]
        parties = {MARKS["catcher"]: ["fishery"], MARKS["buyer"]: ["retailer"], MARKS["haulier"]: ["carrier"]}
        contract = agree(net, SOURCE, parties)
        token = fishery.post("/tokens", {"name": MARKS["clerk"], "scopes": ["write"]})["token"]
        private = fishery.post("/records", {"type": MARKS["private"], "body": {"note": MARKS["private"]}})
        link = ["answers", "cold-chain.example/fishery", private["index"], private["leaf"]]
        envelope = (
            f'{{"type":"{MARKS["landing"]}","contract":"{contract}","links":[{json.dumps(link)}],"body":{BODY}}}'
        ).encode()
        headers = {"content-type": "application/json", "idempotency-key": "one"}
        answer = fishery.api("POST", "/records", content=envelope, headers=headers, token=token)
        assert answer.status_code == 201, answer.text
        captured = fishery.post(f"/captures?contract={contract}", EVENT)["recorded"][0]
        net.sync()
        index = answer.json()["index"]
        for name in MEMBERS:  # a search waits until the view has what it asks for
            wait_until(lambda n=name: not net[n].get("/records")["pending"], "the view is up to date")  # type: ignore[misc]
        answers = {name: net[name].get(f"/records/fishery/{index}") for name in MEMBERS}
        early = {name: net[name].files() for name in MEMBERS}  # with what is only in the WAL
        proposal = fishery.get(f"/contracts/{contract}")["index"]
        shutil.copytree(fishery.folder, root / "copy")
        author = Node.open(root / "copy")
        yield Landing(
            net, contract, proposal, private["index"], index, captured["index"], envelope, answers, early, author
        )
        author.close()


# --- the two tables -----------------------------------------------------------------------


def _table(heading: str) -> dict[str, dict[str, str]]:
    """The first table of the page after a heading: row -> column -> cell."""
    text = PAGE.read_text(encoding="utf-8")
    rows = []
    for line in text[text.index(f"\n{heading}\n") :].splitlines()[2:]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            break
    head, _, *body = rows
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in body}


@dataclass(frozen=True)
class Thing:
    """whole: bytes that one who has it has. parts: bytes of which one who has it not has no stretch of 16."""

    whole: list[bytes]
    parts: list[bytes]

    def is_had(self, where: bytes) -> bool:
        if all(part in where for part in self.whole):
            return True
        for part in self.parts:
            width = min(16, len(part))
            assert not any(part[at : at + width] in where for at in range(0, len(part) - width + 1, 8)), "had in part"
        return False


def _thing(*parts: bytes) -> Thing:
    return Thing([*parts], [*parts])


def _things(case: Landing) -> dict[str, Thing]:
    """The rows of the table of bytes."""
    packed, opened = case.packed, case.opened
    with case.author.store.read() as tx:
        channels = sidecars.list_channels(tx)
    wraps = {str(channels[wrap.channel_number].reader): wrap for wrap in packed.wraps}
    messages = {reader: channels[wrap.channel_number].message for reader, wrap in wraps.items()}
    kinds = {audience: packed.sections[number] for number, audience in enumerate(opened.meta.audience) if number}
    buyer, haulier, catcher = (MARKS[name] for name in ("buyer", "haulier", "catcher"))
    contexts = Contexts(case.author.membership.network_id, case.log.origin)
    salts = [
        field_salt(seed, contexts.of(case.entry.id, number), i)
        for number, seed in opened.seeds.items()
        for i, _ in enumerate(opened.sections[number])
    ]
    return {
        "the entry": Thing([case.entries[case.index]], [base64.b64encode(case.entry.body), case.entry.body]),
        "the manifest": Thing([packed.manifest_bytes], _digests(packed)),
        "section 0: type, contract, role, audiences, links": _thing(packed.sections[0]),
        "the section of catcher and buyer": _thing(kinds[tuple(sorted((buyer, catcher)))]),
        "the section of catcher, buyer and haulier": _thing(kinds[tuple(sorted((buyer, catcher, haulier)))]),
        "the section of catcher and haulier": _thing(kinds[tuple(sorted((catcher, haulier)))]),
        "the section of the author alone": _thing(kinds[()]),
        "the wrap for the carrier": _thing(wraps["carrier"].sealed),
        "the wrap for the retailer": _thing(wraps["retailer"].sealed),
        "the wrap for the fishery itself": _thing(wraps["fishery"].sealed),
        "the channel message to the carrier": _thing(messages["carrier"]),
        "the channel message to the retailer": _thing(messages["retailer"]),
        "the channel message to the fishery itself": _thing(messages["fishery"]),
        "a seed, a salt": _thing(*opened.seeds.values(), *salts),
        "a value, a name, the type, a role, the submitter, in clear": _words(*MARKS),
    }


def _digests(packed: PackedSidecar) -> list[bytes]:
    """The hashes that only a record's manifest names."""
    raw = [digest for section in packed.manifest.sections for digest in (section.root, section.hash)]
    return [*raw, *map(base64.b64encode, raw)]


def _words(*names: str) -> Thing:
    return _thing(*(form for name in names for form in _forms(MARKS[name])))


def _forms(word: str) -> list[bytes]:
    """A word as UTF-8, as hexadecimal and as base64, wherever in a longer text it begins."""
    raw = word.encode()
    inner = [base64.b64encode(bytes(shift) + raw)[4 if shift else 0 : -4] for shift in range(3)]
    return [raw, raw.hex().encode(), *inner]


def test_bytes_of_a_record_go_exactly_where_the_page_says(landing: Landing) -> None:
    net = landing.net
    had: dict[str, bytes] = {name: net.sent_to(name) for name in ("insurer", "carrier", "retailer")}
    had["a stranger"] = b"\n".join(answer.content for answer in _unsigned_calls(net["fishery"]))
    had["the wire"] = net.wire()
    found = {
        name: {onlooker: "yes" if thing.is_had(bytes_) else "" for onlooker, bytes_ in had.items()}
        for name, thing in _things(landing).items()
    }
    assert found == _table("## What of a record goes where")


def test_files_of_a_peer_hold_no_more_than_what_was_sent_to_it(landing: Landing) -> None:
    expected = _table("## What of a record goes where")
    for row, thing in _kept(landing).items():
        for name in ("insurer", "carrier", "retailer"):
            assert thing.is_had(landing.files(name)) is (expected[row][name] == "yes"), (row, name)


def _kept(landing: Landing) -> dict[str, Thing]:
    """The rows of the table as files have them: of entries and manifests the parts from which they are made again."""
    entry = _thing(landing.entry.id, landing.entry.body)
    manifest = Thing([section.root for section in landing.packed.manifest.sections], _digests(landing.packed))
    return _things(landing) | {"the entry": entry, "the manifest": manifest}


def test_files_of_the_author_hold_all_of_it_sealed_and_nothing_in_clear(landing: Landing) -> None:
    # What the store keeps in clear besides: the names of API tokens.
    clear = _words(*(name for name in MARKS if name != "clerk"))
    things = _kept(landing) | {"a value, a name, the type, a role, the submitter, in clear": clear}
    had = {row: thing.is_had(landing.files("fishery")) for row, thing in things.items()}
    assert [row for row, is_had in had.items() if not is_had] == ["a seed, a salt", list(things)[-1]]


def test_fields_are_read_exactly_by_whom_the_page_says(landing: Landing) -> None:
    names = ["/port", "/price", "/lines", "/lines/0/cost", "/lines/2/cost", "/margin"]
    values = {"/lines/2/cost": "12.50", **{f"/{n}": MARKS[n] for n in ("port", "price", "margin")}}
    values |= {"/lines": MARKS["species"], "/lines/0/cost": MARKS["cost"]}
    raw = {n: landing.net[n].api("GET", f"/records/fishery/{landing.index}").text for n in MEMBERS}
    found = {name: {member: "yes" if values[name] in raw[member] else "" for member in MEMBERS} for name in names}
    assert found == _table("## Who reads which field")


def test_own_keys_open_nothing_that_was_excluded(landing: Landing, tmp_path: Path) -> None:
    """Every wrap that a reader holds, tried on every ciphertext that it holds, gives no more than its API shows."""
    excluded = {"carrier": ("price", "species", "margin"), "retailer": ("cost", "margin")}
    for name, words in excluded.items():
        shutil.copytree(landing.net[name].folder, tmp_path / name)
        node = Node.open(tmp_path / name)
        with node.store.read() as tx:
            log = node.find_log(tx, "fishery")
            opened = [record.opened for record in node.joined.reader.scan(tx, log, 0, log.size)]
            wraps = [wrap for _, packed in sidecars.scan_sidecars(tx, log.number, 0, log.size) for wrap in packed.wraps]
            readers = {channel.number: channel.reader for channel in sidecars.list_channels(tx).values()}
        node.close()
        texts = b"".join(text for o in opened if o for fields in o.sections.values() for _, text in fields)
        assert MARKS["port"].encode() in texts
        assert not any(MARKS[word].encode() in texts for word in words)
        assert {readers[wrap.channel_number] for wrap in wraps} == {name, "fishery"}


# --- asking for what is not one's own ---------------------------------------------------------


def _bodies(asker: Company, at: Company, log: bytes, **given: Any) -> Bodies | None:
    """What `asker` is given of the first bundle of a log, nothing if there is no entry; None where it is refused."""
    answer = asker.ask(at, f"/v1/logs/{log.hex()}/bodies/0?from=0", **given)
    if answer.status_code == 404:
        return Bodies(messages=[], sidecars={})
    if answer.status_code != 200:
        return None
    end = int.from_bytes(answer.content[:8], "big")
    return decode_bodies(answer.content[8:], start=0, end=end)


def test_each_member_is_given_its_own_sections_by_every_node_and_no_others(landing: Landing) -> None:
    net = landing.net
    origins = {name: landing.author.membership.origin(name) for name in MEMBERS}
    seen = 0
    for at in net.all:
        for asker in net.all:
            for author, origin in origins.items():
                found = _bodies(asker, at, origin.hash)
                assert found is not None
                messages = {m.id: m for m in map(decode_channel_message, found.messages)}
                for sidecar in found.sidecars.values():
                    mine = [w for w in sidecar.wraps if messages[w.channel].reader == asker.name]
                    assert set(sidecar.sections) <= {number for wrap in mine for number in wrap.sections}
                    others = at.name if asker.name == author else author
                    assert {messages[wrap.channel].reader for wrap in sidecar.wraps} <= {asker.name, others}
                    seen += 1
                assert at.name in (author, asker.name) or asker.name == author or not found.sidecars
    assert seen > 10


def test_bodies_are_refused_to_whoever_is_not_who_it_says(landing: Landing) -> None:
    net, log = landing.net, landing.log.origin.hash
    insurer, retailer, fishery = net["insurer"], net["retailer"], net["fishery"]
    foreign, own = retailer.keyring().transport, insurer.keyring().transport
    path = f"/v1/logs/{log.hex()}/bodies/0?from=0"
    assert httpx.get(fishery.proxy.url + path).status_code == 403
    in_anothers_name = Company("retailer", insurer.folder, insurer.port, insurer.proxy)
    assert _bodies(in_anothers_name, fishery, log) is None
    # The key id of the retailer's card over a signature of the insurer's key.
    assert _bodies(in_anothers_name, fishery, log, key=SigningKey(foreign.public, own.seed)) is None
    stranger = Company("auditor", insurer.folder, insurer.port, insurer.proxy)
    assert _bodies(stranger, fishery, log) is None
    assert _bodies(retailer, fishery, log) is not None


def test_recorded_calls_of_another_member_give_nothing(landing: Landing) -> None:
    net = landing.net
    calls = [
        re.match(rb"GET (\S+) HTTP/1.1\r\n(.*?)\r\n\r\n", bytes(passage.asked), re.DOTALL)
        for passage in net["fishery"].proxy.passages
        if passage.caller == "retailer"
    ]
    replayed = 0
    for call in filter(None, calls):
        headers = dict(line.split(": ", 1) for line in call[2].decode().splitlines())
        for port in (net["fishery"].port, net["insurer"].port):  # again, and passed on to another node
            answer = httpx.get(f"http://127.0.0.1:{port}{call[1].decode()}", headers=headers)
            assert answer.status_code == 403, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            replayed += 1
    assert replayed >= 2


@pytest.mark.parametrize(
    "path",
    [
        "/v1/logs/{log}/bodies/1?from=256",
        "/v1/logs/{log}/bodies/0?from=256",
        "/v1/logs/{log}/bodies/0?from=-1",
        "/v1/logs/{log}/bodies/00?from=0",
        "/v1/logs/{LOG}/bodies/0?from=0",
        "/v1/logs/{log}/bodies/0/../0?from=0",
        "/v1/logs/{log}/bodies/0?from=0&caller=retailer",
        "/v1/logs/{log}//bodies/0",
        "/api/v1/records/fishery/{index}",
        "/api/v1/records/fishery/{index}/receipt?fields=/price",
    ],
)
def test_no_path_gives_a_member_more_than_its_due(landing: Landing, path: str) -> None:
    log = landing.log.origin.hash.hex()
    path = path.format(log=log, LOG=log.upper(), index=landing.index)
    answer = landing.net["insurer"].ask(landing.net["fishery"], path)
    given = _things(landing)
    for row, thing in given.items():
        if row != "the entry":
            assert not thing.is_had(answer.content), row


def _unsigned_calls(company: Company) -> list[httpx.Response]:
    """Every route of a node, called as a stranger."""
    log, url = "a" * 64, company.proxy.url
    paths = ["/health", "/", "/openapi.json", "/docs", "/v1/heads", f"/v1/logs/{log}/checkpoint", "/v1/charters/1"]
    paths += [f"/v1/logs/{log}/{rest}" for rest in ("tile/0/000.p/1", "tile/entries/000.p/1", "cosignatures?size=1")]
    paths += [f"/v1/logs/{log}/bodies/0", "/v1/cards/fishery/1", "/v1/evidence"]
    api = (
        "status",
        "network",
        "peers",
        "records",
        "contracts",
        "evidence",
        "tokens",
        "openapi.json",
        "records/fishery/0",
    )
    return [httpx.get(url + path) for path in [*paths, *(f"/api/v1/{name}" for name in api)]]


def test_strangers_learn_that_a_node_answers_and_its_version(landing: Landing) -> None:
    health, *others = _unsigned_calls(landing.net["fishery"])
    assert health.json().keys() == {"status", "version"}
    assert {answer.status_code for answer in others} <= {401, 403, 404}
    for answer in others:
        assert not any(name in answer.text for name in (*MEMBERS, "cold-chain")), answer.text
    log = landing.log.origin.hash.hex()
    known = httpx.get(f"{landing.net['fishery'].proxy.url}/v1/logs/{log}/checkpoint")
    unknown = httpx.get(f"{landing.net['fishery'].proxy.url}/v1/logs/{'b' * 64}/checkpoint")
    assert known.content == unknown.content, "a stranger cannot even tell which logs there are"


# --- entries ------------------------------------------------------------------------------


def test_log_entries_hold_no_name_type_contract_audience_size_or_count(landing: Landing) -> None:
    answer = landing.net["insurer"].ask(
        landing.net["fishery"],
        f"/v1/logs/{landing.log.origin.hash.hex()}/tile/entries/000.p/{landing.log.size}",
    )
    entries = decode_bundle(answer.content, landing.log.size)
    assert entries == landing.entries
    contract = bytes.fromhex(landing.contract)
    for index, raw in enumerate(entries):
        found = json.loads(raw)
        assert found.keys() - {"slot", "card", "charter"} == {"body", "id", "index", "log", "prev", "v"}
        assert ("card" in found, "charter" in found) == (index == 0, index == 0), "where they changed, and there alone"
        assert found["log"] == "cold-chain.example/fishery"
        assert not any(form in raw for name in MARKS for form in _forms(MARKS[name]))
        # The id of a contract is the leaf hash of its proposal; only the entry behind that one names it, as `prev`.
        assert (base64.b64encode(contract) in raw) is (index == landing.proposal + 1)
    lengths = {len(raw) for raw in entries if b'"slot"' in raw and b'"card"' not in raw}
    assert len(lengths) == 1, "an entry's length tells nothing of its record"


def test_ids_tell_the_time_and_slots_that_there_was_a_batch(landing: Landing) -> None:
    entries = [decode_entry(raw) for raw in landing.entries]
    assert [entry.id for entry in entries] == sorted(entry.id for entry in entries)
    assert landing.answers["fishery"]["time_ms"] == id_time_ms(landing.entry.id)
    # Requests one after the other: each is a batch of its own, and a batch has a slot.
    assert all(entry.slot is not None for entry in entries)
    lines = b"".join(b'{"type":"x","body":{}}\n' for _ in range(50))
    headers = {"content-type": "application/x-ndjson"}
    landing.net["fishery"].api("POST", "/records", content=lines, headers=headers)
    landing.net.sync()
    size = landing.net["fishery"].get("/status")["log"]["size"]
    path = f"/v1/logs/{landing.log.origin.hash.hex()}/tile/entries/000.p/{size}"
    bundle = decode_bundle(landing.net["insurer"].ask(landing.net["fishery"], path).content, size)
    bulk = [decode_entry(raw).slot for raw in bundle[-50:]]
    assert any(slot is not None for slot in bulk)
    assert sum(slot is not None for slot in bulk) < 50


# --- readers --------------------------------------------------------------------------------


def test_readers_learn_all_audiences_and_the_padded_size_of_every_section(landing: Landing) -> None:
    sizes = [section.size for section in landing.packed.manifest.sections]
    audiences = [list(names) for names in landing.opened.meta.audience]
    for name in ("carrier", "retailer"):
        answer = landing.answers[name]
        assert answer["audience"] == audiences
        read = {number for number in range(len(sizes)) if number not in {w["section"] for w in answer["withheld"]}}
        assert read | {w["section"] for w in answer["withheld"]} == set(range(5))
        for withheld in answer["withheld"]:
            assert withheld["size"] == sizes[withheld["section"]]
            assert withheld["audience"] == audiences[withheld["section"]]
    assert landing.answers["insurer"]["audience"] == landing.answers["insurer"]["withheld"] == []


def test_sealed_sizes_are_the_padded_lengths_and_nothing_else(landing: Landing) -> None:
    for number, section in enumerate(landing.packed.manifest.sections):
        fields = landing.opened.sections[number]
        length = 2 + sum(2 + len(name.encode()) + 4 + len(text) for name, text in fields)
        assert section.size == padded_length(length) + 16


def test_table_of_sizes_is_that_of_the_padding() -> None:
    for row, cells in _table("## Sizes").items():
        least, most = (int(part.replace(",", "")) for part in row.split(" to "))
        step = int(cells["in steps of"])
        lengths = {padded_length(length) for length in range(least, most + 1)}
        assert lengths == set(range(least, most + (2 if step > 1 else 1), step)), row
        assert padded_length(least) == least


def test_skeletons_show_counts_and_where_something_was_cut(landing: Landing) -> None:
    fields = {name: text.decode() for f in landing.opened.sections.values() for name, text in f}
    assert fields["/lines"] == _example("skeleton")
    assert landing.answers["retailer"]["body"]["lines"] == [{"species": MARKS["species"], "boxes": 3}, {"boxes": 4}, {}]
    # Who reads parts without what they were cut from learns their places, and so a least number of them.
    assert landing.answers["carrier"]["body"]["lines"] == {"0": {"cost": MARKS["cost"]}, "2": {"cost": 12.5}}
    compact = json.dumps(json.loads(BODY), separators=(",", ":"))
    assert "\n" not in compact


def _example(label: str) -> str:
    """The code block of the page that stands under `<!-- label -->`, with the marked words put in."""
    text = PAGE.read_text(encoding="utf-8")
    block = text[text.index(f"<!-- {label} -->") :].split("```")[1]
    body = block[block.index("\n") + 1 : -1]
    return body.replace("SPECIES", MARKS["species"])


def test_links_tell_every_reader_which_record_is_meant(landing: Landing) -> None:
    private = landing.private
    for name in ("carrier", "retailer"):
        (link,) = landing.answers[name]["links"]
        assert (link["relation"], link["log"], link["index"]) == ("answers", "cold-chain.example/fishery", private)
        closed = landing.net[name].get(f"/records/fishery/{private}")
        assert (closed["state"], closed["body"], closed["type"]) == ("closed", None, None)
    assert landing.answers["insurer"]["links"] == []


def test_submitter_and_flags_are_the_authors_alone(landing: Landing) -> None:
    assert landing.answers["fishery"]["by"].startswith(MARKS["clerk"])
    for name in ("carrier", "retailer", "insurer"):
        assert landing.answers[name]["by"] is landing.answers[name]["flags"] is None


def test_records_without_a_contract_leave_no_more_than_an_entry(landing: Landing) -> None:
    packed = landing.sidecar(landing.private)
    for name in ("carrier", "insurer", "retailer"):
        had = landing.net.sent_to(name) + landing.files(name)
        for part in (*_digests(packed), *packed.sections.values(), *(wrap.sealed for wrap in packed.wraps)):
            assert not _thing(part).is_had(had)


def test_secret_of_a_contract_is_for_the_nodes_of_its_parties_alone(landing: Landing) -> None:
    with landing.author.store.read() as tx:
        opened = landing.author.joined.reader.read(tx, landing.log, landing.proposal).opened
    assert opened is not None
    secret = dict(opened.sections[1])["/secret"].strip(b'"')
    everywhere = landing.net.wire() + b"".join(landing.files(name) for name in MEMBERS)
    assert not any(form in everywhere for form in (secret, base64.b64decode(secret)))
    place = f"/records/fishery/{landing.proposal}"
    for name in MEMBERS:
        company = landing.net[name]
        receipt = company.api("GET", f"{place}/receipt?fields=/secret")
        assert receipt.status_code >= 400
        answers = [
            company.api("GET", path) for path in (place, f"/contracts/{landing.contract}", "/contracts", "/records")
        ]
        assert not any(secret in answer.content for answer in (*answers, receipt))


def test_channel_messages_tell_who_seals_to_whom(landing: Landing) -> None:
    found = _bodies(landing.net["carrier"], landing.net["fishery"], landing.log.origin.hash)
    assert found is not None
    messages = [decode_channel_message(message) for message in found.messages]
    assert {(m.wrapper, m.reader) for m in messages} == {("fishery", "carrier"), ("fishery", "fishery")}
    for message in messages:
        card = landing.author.membership.card(message.reader)
        assert message.sealing_key == card.sealing_key.id
        assert message.signer == landing.author.membership.card("fishery").transport_keys[0].hash


# --- the author and its peers -----------------------------------------------------------------


def test_author_learns_who_fetches_when_and_not_what_is_read(landing: Landing) -> None:
    net = landing.net
    asked = b"\n".join(bytes(p.asked) for p in net["fishery"].proxy.passages if p.caller == "retailer")
    assert re.search(rb"GET /v1/logs/[0-9a-f]{64}/bodies/0\?from=[0-9]+ HTTP", asked)
    before = [len(company.proxy.passages) for company in net.all], len(net.sent_by("retailer"))
    for _ in range(5):
        net["retailer"].get(f"/records/fishery/{landing.index}")
        net["retailer"].get(f"/records/fishery/{landing.index}/receipt?fields=/price")
    assert ([len(company.proxy.passages) for company in net.all], len(net.sent_by("retailer"))) == before


def test_heads_tell_every_member_what_a_node_holds_and_cosigned(landing: Landing) -> None:
    answer = landing.net["insurer"].ask(landing.net["carrier"], "/v1/heads").json()
    assert answer.keys() == {"cursor", "heads"}
    hashes = {landing.author.membership.origin(name).hash.hex() for name in MEMBERS}
    assert {head[0] for head in answer["heads"]} == hashes
    assert all(len(head) == 4 and head[1] >= head[3] for head in answer["heads"])


def test_wire_shows_who_asks_whom_for_what(landing: Landing) -> None:
    """Without TLS: the head of every call is in clear, with the name and key of who calls."""
    asked = b"\n".join(bytes(p.asked) for p in landing.net["fishery"].proxy.passages)
    callers = {found.decode() for found in re.findall(rb'keyid="([a-z0-9.-]+)/[0-9a-f]{8}"', asked)}
    assert {"carrier", "insurer", "retailer"} <= callers
    assert b"/v1/heads?since=" in asked
    answered = b"\n".join(bytes(p.answered) for p in landing.net["fishery"].proxy.passages)
    calls = _header_names(rb"(?:GET|POST) [^\r]+ HTTP/1.1", asked)
    assert calls <= set(_CALL_HEADERS.split())
    assert _header_names(rb"HTTP/1.1 \d+ [^\r]+", answered) <= set(_ANSWER_HEADERS.split())
    # No token of the partner API is ever sent to a peer.
    assert b"\nauthorization:" not in landing.net.wire().lower()
    assert not any(company.token().encode() in landing.net.wire() for company in landing.net.all)


def test_records_that_an_author_lost_are_told_by_their_index_to_every_member_that_asks(tmp_path: Path) -> None:
    """It cannot know any more whom they were for, and who was to read them has to learn that there was something."""
    node = found(*MEMBERS).join(tmp_path)
    try:
        lost = node.append_one(draft_private("note", b'{"a":1}', by=b'"test"')).index
        kept = node.append_one(draft_private("note", b'{"a":2}', by=b'"test"')).index
        origin = node.joined.origin
        with node.store.write("restore") as tx:
            number = node.find_log(tx, str(origin)).number
            tx.exec_driver_sql("DELETE FROM sidecar WHERE key = ?", (row_key(number, lost),))
            sidecars.insert_gaps(tx, number, [(lost, "lost")])
        answer = bodies(node, origin.hash.hex(), bundle=0, start=0, caller=MemberName("insurer"))
        told = decode_bodies(answer[8:], start=0, end=int.from_bytes(answer[:8], "big"))
        assert (told.messages, set(told.sidecars)) == ([], {lost})
        assert told.sidecars[lost] == Sidecar(b"", (), {})
        assert kept not in told.sidecars
    finally:
        node.close()


_CALL_HEADERS: Final = (
    "accept accept-encoding connection content-digest content-length content-type host"
    " signature signature-input user-agent"
)
_ANSWER_HEADERS: Final = "cache-control content-length content-type date retry-after www-authenticate"


def _header_names(first_line: bytes, sent: bytes) -> set[str]:
    heads = re.findall(first_line + rb"\r\n((?:[!-9;-~]+: [^\r]*\r\n)+)\r\n", sent)
    assert heads
    return {line.split(b":")[0].decode().lower() for head in heads for line in head.splitlines()}


# --- receipts -------------------------------------------------------------------------------


def test_receipts_show_the_disclosed_fields_and_the_whole_network_and_nothing_else(landing: Landing) -> None:
    raw = landing.net["fishery"].api("GET", f"/records/fishery/{landing.index}/receipt?fields=/port").content
    receipt = json.loads(raw)
    assert receipt.keys() == {"cards", "charters", "disclosures", "manifest", "proof", "v"}
    (disclosure,) = receipt["disclosures"]
    assert disclosure.keys() == {"index", "name", "path", "salt", "section", "size", "value"}
    assert (disclosure["name"], json.loads(disclosure["value"])) == ("/port", MARKS["port"])
    # The number of sections and their sizes; the number of fields in the section of the one disclosed, and its place.
    assert receipt["manifest"].encode() == landing.packed.manifest_bytes
    assert disclosure["size"] == len(landing.opened.sections[disclosure["section"]])
    # Every member with its keys and addresses, also those that have nothing to do with the record.
    network = landing.net["fishery"].get("/network")
    assert (receipt["cards"], receipt["charters"]) == (network["cards"], network["charters"])
    assert all(name in raw.decode() for name in MEMBERS)
    assert all(company.proxy.url in raw.decode() for company in landing.net.all)
    hidden = [form for name in MARKS if name != "port" for form in _forms(MARKS[name])]
    assert not any(form in raw for form in hidden)
    for number, seed in landing.opened.seeds.items():
        context = Contexts(landing.author.membership.network_id, landing.log.origin).of(landing.entry.id, number)
        for i, (name, _) in enumerate(landing.opened.sections[number]):
            salt = base64.b64encode(field_salt(seed, context, i))
            assert (salt in raw) is (name == "/port")


def test_who_cosigned_and_when_is_in_a_receipt(landing: Landing) -> None:
    def receipt() -> Any:
        return landing.net["fishery"].get(f"/records/fishery/{landing.index}/receipt")

    wait_until(lambda: "/carrier " in receipt()["proof"], "the others cosign")
    lines = [line for line in receipt()["proof"].splitlines() if line.startswith("— ")]
    assert lines[0].startswith("— cold-chain.example/fishery ")
    assert {line.split()[1] for line in lines[1:]} <= {f"cold-chain.example/{name}" for name in MEMBERS}


@pytest.mark.parametrize("kind", ["fork", "repeat", "charters", "cards"])
def test_evidence_holds_notes_and_entries_alone(kind: str) -> None:
    repeat = repeated(id=record_id("twice"))[1]
    made = {"fork": forked(), "repeat": repeat, "charters": two_charters(), "cards": two_cards()}
    document = json.loads(encode_evidence(made[kind]))
    assert document.keys() == {"first", "kind", "path", "second", "v"}
    for half in (document["first"], document["second"]):
        note = half.encode()
        if kind == "repeat":
            proof = decode_proof(note)
            assert proof.extra is not None
            assert json.loads(proof.extra).keys() == {"body", "id", "index", "log", "prev", "v"}
            note = proof.note
        text = decode_note(note).text  # and nothing but signatures behind it
        assert len(text.splitlines()) == (3 if kind in ("fork", "repeat") else 1)


# --- the database file ----------------------------------------------------------------------


def test_database_file_keeps_no_hash_by_which_a_guess_could_be_confirmed(landing: Landing) -> None:
    """Of a request that came with an Idempotency-Key: only whoever has the private keys can make what is kept of it."""
    fishery, carrier = (landing.net[name].keyring().answer_secret for name in ("fishery", "carrier"))
    kept = blake2b(landing.envelope, digest_size=32, key=fishery).digest()
    for name in MEMBERS:
        store = landing.files(name)
        assert sha256(landing.envelope) not in store
        assert blake2b(landing.envelope, digest_size=32).digest() not in store
        assert (kept in store) is (name == "fishery")
    assert fishery != carrier
    assert fishery not in landing.files("fishery")


def test_database_file_keeps_tokens_as_hashes_with_their_names(landing: Landing) -> None:
    fishery = landing.net["fishery"]
    assert fishery.token().encode() not in landing.files("fishery")
    assert sha256(fishery.token().encode()) in landing.files("fishery")
    assert MARKS["clerk"].encode() in landing.files("fishery")


def test_view_holds_what_is_searched_in_clear_and_only_of_what_its_member_reads(landing: Landing) -> None:
    def view(name: str) -> bytes:
        return b"".join(content for path, content in landing.early[name].items() if path.startswith("views.db"))

    searched = ("landing", "catcher", "eventid", "epc")
    for name, words in {
        "fishery": (*searched, "private", "clerk"),
        "retailer": searched,
        "carrier": ("landing", "catcher"),
        "insurer": (),
    }.items():
        assert {word for word in MARKS if MARKS[word].encode() in view(name)} == set(words), name


def test_private_keys_are_in_no_file_but_their_own_and_on_no_wire(landing: Landing) -> None:
    wire = landing.net.wire()
    for company in landing.net.all:
        ring = company.keyring()
        seeds = [ring.root.seed, ring.log.seed, ring.witness.seed, ring.transport.seed]
        seeds += [key.seed for key in ring.opening.values()]
        everywhere = wire + b"".join(b"".join(other.files().values()) for other in landing.net.all)
        for seed in seeds:
            assert not any(form in everywhere for form in (seed, seed.hex().encode(), base64.b64encode(seed)))


# --- what stands where ----------------------------------------------------------------------


def test_manifests_count_sections_and_stay_within_the_limits(landing: Landing) -> None:
    manifest = decode_manifest(landing.packed.manifest_bytes)
    assert Digest(sha256(landing.packed.manifest_bytes)) == landing.entry.body
    assert len(manifest.sections) == 5 <= limits.SECTIONS_MAX
