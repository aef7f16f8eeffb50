"""Records: section 0, sealing in batches, and what each reader opens. Spec: docs/spec/record.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import BadInput, EncodingError, NotEntitled, SealBroken, TallyError, TooLarge
from ledger.fields import compile_rules, cut, join
from ledger.jsontext import parse
from ledger.manifest import Section, decode_manifest, encode_manifest
from ledger.names import Digest, MemberName, NetworkId, Origin, RecordId, decode_origin, sha256
from ledger.record import (
    Draft,
    Link,
    Meta,
    Opened,
    Sealer,
    Statement,
    check_ciphertext,
    decode_meta,
    encode_links,
    encode_meta,
    glance_record,
    open_record,
)
from ledger.sealing import Channel, Contexts, Wrap, Wrapper, open_section, seal_section
from tests import formats
from tests.make import record_id
from tests.make_sealed import (
    AUTHOR,
    MEMBERS,
    NETWORK,
    ORIGIN,
    READERS,
    Record,
    draft,
    record,
    sealer,
    statement,
    wrapper,
)
from tests.vectors.make_record import render

FILE: Final = Path(__file__).parent / "vectors" / "record.json"
VECTORS: Final[dict[str, Any]] = json.loads(FILE.read_text())
LINK: Final = Link(relation="answers", origin="cold-chain.example/carrier", index=7, leaf=sha256(b"leaf"))
FULL_NAME: Final = "n" * limits.MEMBER_NAME_MAX


def texts(fields: list[list[str]]) -> list[tuple[str, bytes]]:
    return [(name, text.encode()) for name, text in fields]


def link_of(item: list[Any]) -> Link:
    relation, origin, index, leaf = item
    return Link(relation=relation, origin=origin, index=index, leaf=Digest(bytes.fromhex(leaf)))


def test_vectors_are_what_the_pages_say() -> None:
    # A change here is a new version of the format, not a new file.
    assert render() == FILE.read_text()


# --- section 0 --------------------------------------------------------------------------

roles = st.text(alphabet="abcXYZ_9", min_size=1, max_size=5).filter(lambda text: not text[0].isdigit())
addressed = st.text(alphabet="abc.-9", min_size=1, max_size=5).map(lambda name: "@" + name)
digests = st.binary(min_size=32, max_size=32).map(Digest)
log_names = st.sampled_from(["n/a", "cold-chain.example/fishery/2", "0a" * 32 + ":n/a"])
links = st.builds(
    Link,
    relation=st.sampled_from(["corrects", "a", "a-9", "r" * limits.RELATION_LENGTH_MAX]),
    origin=log_names,
    index=st.integers(0, limits.INTEGER_MAX),
    leaf=digests,
)


@st.composite
def metas(draw: st.DrawFn) -> Meta:
    shared = draw(st.sets(st.sets(roles | addressed, min_size=1, max_size=3).map(frozenset), max_size=4))
    audiences = sorted(tuple(sorted(names)) for names in shared)
    everyone = tuple(sorted({name for names in shared for name in names}))
    return Meta(
        type=draw(st.text(alphabet="aZ09._-/", min_size=1, max_size=64).filter(lambda text: text[0] != "/")),
        contract=draw(st.none() | digests),
        role=draw(st.none() | roles),
        audience=(everyone, *audiences, ()),
        links=tuple(draw(st.lists(links, max_size=3))),
        version=draw(st.integers(1, limits.INTEGER_MAX)),
    )


@given(metas())
def test_section_0_round_trip(meta: Meta) -> None:
    assert decode_meta(tuple(encode_meta(meta))) == meta


@given(metas(), st.integers(0, 5), st.data())
def test_changed_text_is_another_section_0_or_none(meta: Meta, number: int, data: st.DataObject) -> None:
    fields = encode_meta(meta)
    name, text = fields[number]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    fields[number] = (
        name,
        text[:start] + data.draw(st.sampled_from([b"", b" ", b"1", b'""', b"[]", b","])) + text[end:],
    )
    try:
        found = decode_meta(tuple(fields))
    except BadInput:
        return
    assert encode_meta(found) == fields


@pytest.mark.parametrize("item", VECTORS["refused_section_zero"], ids=lambda item: item["why"])
def test_what_is_no_section_0_is_refused(item: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        decode_meta(tuple(texts(item["fields"])))


def test_what_no_reader_would_take_is_not_written() -> None:
    good = Meta(type="t", contract=None, role=None, audience=((), ()))
    changes: list[dict[str, Any]] = [
        {"type": ""},
        {"type": "/t"},
        {"type": "t" * (limits.TYPE_LENGTH_MAX + 1)},
        {"version": 0},
        {"role": "r" * (limits.ROLE_LENGTH_MAX + 1)},
        {"audience": ((),)},
        {"audience": (("a",), ("a",))},
        {"audience": ((), ("a",))},
        {"audience": (("a",), ("a",), ("a",), ())},
        {"audience": ((), ("a",), ())},
        {"links": (LINK,) * (limits.LINKS_MAX + 1)},
        {"links": (replace(LINK, index=-1),)},
        {"links": (replace(LINK, index=2**53),)},
        {"links": (replace(LINK, leaf=Digest(bytes(31))),)},
        {"links": (replace(LINK, origin="x"),)},
        {"links": (replace(LINK, relation=""),)},
    ]
    for change in changes:
        with pytest.raises(BadInput):
            encode_meta(replace(good, **change))
    assert encode_meta(replace(good, type="t" * limits.TYPE_LENGTH_MAX, role="r" * limits.ROLE_LENGTH_MAX))


def test_sections_and_links_end_at_their_limits() -> None:
    shared = sorted((f"r{i:02}",) for i in range(limits.SECTIONS_MAX - 2))
    full = (tuple(name for (name,) in shared), *shared, ())
    meta = Meta(type="t", contract=None, role=None, audience=full, links=(LINK,) * limits.LINKS_MAX)
    assert decode_meta(tuple(encode_meta(meta))) == meta
    more = sorted([*shared, ("s",)])
    with pytest.raises(TooLarge):
        encode_meta(replace(meta, audience=(tuple(name for (name,) in more), *more, ())))
    everyone = tuple(f"r{i:02}" for i in range(limits.READERS_MAX))
    assert encode_meta(replace(meta, audience=(everyone, everyone, ())))
    with pytest.raises(TooLarge):
        encode_meta(replace(meta, audience=((*everyone, "s"), (*everyone, "s"), ())))


def test_no_links_are_an_empty_list() -> None:
    assert encode_links(()) == b"[]"


# --- the vector -------------------------------------------------------------------------


def vector_channel(reader: str) -> Channel:
    item = next(item for item in VECTORS["wraps"] if item["reader"] == reader)
    return Channel(
        network=NetworkId(Digest(bytes.fromhex(VECTORS["network"]))),
        wrapper=MemberName(VECTORS["author"]),
        reader=MemberName(reader),
        key=bytes.fromhex(item["channel_key"]),
    )


def vector_draft() -> tuple[Draft, list[bytes]]:
    """The record of the vector as its author hands it in, and the seeds that it drew."""
    audiences = [frozenset(names) for names in VECTORS["audiences"]]
    own = [field for field in texts(VECTORS["sections"][-1]) if field[0].startswith("/")]
    cut_fields = [
        (name, text, audience)
        for audience, section in zip(audiences[1:-1], VECTORS["sections"][1:-1], strict=True)
        for name, text in texts(section)
    ]
    notes = dict(texts(VECTORS["sections"][-1]))
    readers = {role: tuple(map(MemberName, members)) for role, members in VECTORS["readers"].items()}
    made = Draft(
        statement=statement(type=VECTORS["type"], contract=Digest(bytes.fromhex(VECTORS["contract"])), readers=readers),
        by=notes["by"],
        flags=notes["flags"],
        fields=[*cut_fields, *[(name, text, frozenset()) for name, text in own]],
        links=(link_of(VECTORS["link"]),),
    )
    return made, [bytes.fromhex(seed) for seed in VECTORS["seeds"]]


def test_sealer_writes_the_record_of_the_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    made, seeds = vector_draft()
    origin = decode_origin(VECTORS["origin"])
    wrappers = {MemberName(r): Wrapper(vector_channel(r), origin) for r in ("fishery", "processor", "carrier")}
    network = NetworkId(Digest(bytes.fromhex(VECTORS["network"])))
    monkeypatch.setattr("ledger.record.sealer.entropy", lambda length: b"".join(seeds)[:length])
    found = Sealer(network, origin, author=AUTHOR, wrappers=wrappers).seal([made], [bytes.fromhex(VECTORS["id"])])[0]
    assert found.manifest.decode() == VECTORS["manifest"]
    assert found.manifest_hash.hex() == VECTORS["manifest_hash"]
    assert [ciphertext.hex() for ciphertext in found.sections] == VECTORS["ciphertexts"]
    assert [(w.channel.hex(), w.sections.hex(), w.sealed.hex()) for w in found.wraps] == [
        (item["channel"], item["sections"], item["sealed"]) for item in VECTORS["wraps"]
    ]


@pytest.mark.parametrize("item", VECTORS["wraps"], ids=lambda item: item["reader"])
def test_reader_opens_the_record_of_the_vector(item: dict[str, Any]) -> None:
    numbers = bytes.fromhex(item["sections"])
    channel, origin = vector_channel(item["reader"]), decode_origin(VECTORS["origin"])
    opened = open_record(
        Wrap(bytes.fromhex(item["channel"]), numbers, bytes.fromhex(item["sealed"])),
        {number: bytes.fromhex(VECTORS["ciphertexts"][number]) for number in numbers},
        wrapper=Wrapper(channel, origin),
        contexts=Contexts(channel.network, origin),
        record_id=bytes.fromhex(VECTORS["id"]),
        manifest=decode_manifest(VECTORS["manifest"].encode()),
        manifest_hash=bytes.fromhex(VECTORS["manifest_hash"]),
    )
    assert {number: texts(VECTORS["sections"][number]) for number in numbers} == opened.sections
    assert {number: bytes.fromhex(VECTORS["seeds"][number]) for number in numbers} == opened.seeds
    assert opened.meta == decode_meta(tuple(texts(VECTORS["sections"][0])))
    assert opened.meta.links == (link_of(VECTORS["link"]),)
    assert {name for name, _ in opened.fields} == {
        name for number in numbers if number for name, _ in VECTORS["sections"][number] if name not in ("by", "flags")
    }


# --- sealing ----------------------------------------------------------------------------

cut_fields = st.lists(
    st.tuples(
        st.text(max_size=6).map(lambda text: "/" + text),
        st.sampled_from([b"1", b"26.0", b'"x"', b"null", b"[ ]", b'"' + b"z" * 300 + b'"']),
        st.frozensets(st.sampled_from(sorted(READERS)), max_size=3),
    ),
    unique_by=lambda field: field[0],
    max_size=8,
)


@given(cut_fields, st.booleans(), st.booleans())
def test_sealer_and_the_plain_way_agree(fields: list[Any], flagged: bool, linked: bool) -> None:
    made = Draft(statement(), b'"clerk"', fields, links=(LINK,) if linked else (), flags=b'["odd"]' if flagged else b"")
    found = record(made)
    opened = found.open()
    sections: list[list[tuple[str, bytes]]] = [encode_meta(opened.meta)]
    for audience in opened.meta.audience[1:-1]:
        sections.append([(name, text) for name, text, names in fields if tuple(sorted(names)) == audience])
    notes = [("by", b'"clerk"')] + ([("flags", b'["odd"]')] if flagged else [])
    sections.append(notes + [(name, text) for name, text, names in fields if not names])
    seeds = found.seeds()
    for number, expected in enumerate(sections):
        context = found.contexts.of(found.id, number)
        ciphertext, root = seal_section(expected, seed=seeds[number], context=context)
        assert (found.sealed.sections[number], found.sealed.roots[number]) == (ciphertext, root)
    assert found.sealed.manifest == encode_manifest(found.manifest)
    assert (found.sealed.manifest, found.sealed.sections) == formats.seal_record(
        sections, [seeds[n] for n in sorted(seeds)], network=NETWORK, origin=str(ORIGIN), record_id=found.id
    )
    assert opened.meta.links == made.links


@given(st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4), max_size=6))
def test_author_reads_back_the_body_that_was_cut(body: dict[str, Any]) -> None:
    rules = compile_rules({"/*": frozenset({"buyer"}), "/a": frozenset({"carrier"}), "/b": frozenset()})
    made = Draft(statement(), b'"clerk"', cut(json.dumps(body).encode(), rules))
    assert parse(join(record(made).open().fields)) == body


def test_each_reader_gets_the_sections_of_its_roles_and_no_other() -> None:
    found = record()
    assert found.open().meta.audience == (
        ("buyer", "carrier", "seller"), ("buyer", "seller"), ("carrier", "seller"), ()
    )  # fmt: skip
    sections = {member: list(found.wrap(member).sections) for member in MEMBERS}
    assert sections == {"fishery": [0, 1, 2, 3], "processor": [0, 1], "retailer": [0, 1], "carrier": [0, 2]}
    assert [name for name, _ in found.open("processor").fields] == ["/quantity", "/price"]
    assert [name for name, _ in found.open("carrier").fields] == ["/deliver_to"]
    assert found.sealed.wraps[0] == found.wrap(AUTHOR)


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("linked", [False, True])
def test_a_glance_reads_what_opening_reads(member: str, linked: bool) -> None:
    found = record(draft(links=(LINK,) if linked else (), flags=b'["odd"]'))
    opened = found.open(member)
    assert _glance(found, member) == replace(opened, seeds={})
    brief = _glance(found, member, is_wanted=False)
    assert list(brief.sections) == [0, max(opened.sections)]
    assert all(fields == opened.sections[number] for number, fields in brief.sections.items())


def test_a_glance_finds_damage_and_another_records_wrap() -> None:
    found, other = record(label="one"), record(label="two")
    for number in (0, 3):
        sections = dict(enumerate(found.sealed.sections))
        sections[number] = sections[number][:-1] + bytes([sections[number][-1] ^ 1])
        with pytest.raises(SealBroken):
            _glance(found, AUTHOR, sections=sections)
    with pytest.raises(SealBroken):
        _glance(found, AUTHOR, sections={1: found.sealed.sections[1]})
    with pytest.raises(SealBroken):
        _glance(found, AUTHOR, wrap=other.wrap(AUTHOR))


def _glance(
    found: Record,
    member: str,
    *,
    is_wanted: bool = True,
    sections: Mapping[int, bytes] | None = None,
    wrap: Wrap | None = None,
) -> Opened:
    return glance_record(
        wrap or found.wrap(member),
        sections or dict(enumerate(found.sealed.sections)),
        wrapper=wrapper(member),
        contexts=found.contexts,
        record_id=found.id,
        manifest_hash=found.sealed.manifest_hash,
        is_wanted=lambda _: is_wanted,
    )


def test_member_of_several_roles_gets_one_wrap() -> None:
    readers = {"seller": (AUTHOR,), "buyer": (MemberName("carrier"),), "carrier": (MemberName("carrier"),)}
    found = record(draft(statement=statement(readers=readers)))
    assert list(found.wrap("carrier").sections) == [0, 1, 2]
    assert len(found.sealed.wraps) == 2


def test_record_outside_any_contract_is_the_authors_alone() -> None:
    private = Statement(type="note", contract=None, role=None, readers={})
    found = record(draft(("/a", b"1", []), statement=private))
    assert found.open().meta == Meta(type="note", contract=None, role=None, audience=((), ()))
    assert [wrap.channel for wrap in found.sealed.wraps] == [wrapper(AUTHOR).channel_id]


def test_record_without_fields_still_says_who_submitted_it() -> None:
    opened = record(Draft(statement(), b'"clerk"', [])).open()
    assert opened.sections[1] == [("by", b'"clerk"')]
    assert opened.fields == []


def test_every_record_and_section_has_a_seed_of_its_own() -> None:
    used = sealer()
    first, second = (record(label=label, by=used) for label in ("one", "two"))
    seeds = [*first.seeds().values(), *second.seeds().values()]
    assert len(set(seeds)) == 8
    assert all(len(seed) == 32 for seed in seeds)


def test_records_of_a_batch_are_each_as_if_alone() -> None:
    used = sealer()
    drafts = [draft(), Draft(statement(), b'"clerk"', []), draft(links=(LINK,)), draft(flags=b'["odd"]')]
    ids = [record_id("batch", i) for i in range(len(drafts))]
    for given_draft, own_id, sealed in zip(drafts, ids, used.seal(drafts, ids), strict=True):
        opened = Record(sealed, own_id).open()
        assert opened.fields == [
            (name, text) for name, text, _ in sorted(given_draft.fields, key=order_of(opened.meta))
        ]
        assert opened.meta.links == given_draft.links
        notes = dict(opened.sections[len(opened.meta.audience) - 1])
        assert notes.get("flags", b"") == given_draft.flags


def order_of(meta: Meta) -> Any:
    places = {names: place for place, names in enumerate(meta.audience) if place}
    return lambda field: places[tuple(sorted(field[2]))]


def test_batch_needs_an_id_for_each_record() -> None:
    with pytest.raises(ValueError, match="zip"):
        sealer().seal([draft(), draft()], [record_id("one")])


def test_layouts_of_more_shapes_than_are_kept_are_made_anew() -> None:
    used = sealer()
    for i in range(1010):
        used.check(draft((f"/{i}", b"1", [])))
    assert record(draft(("/0", b"1", [])), by=used).open().fields == [("/0", b"1")]


# --- what is not sealed -------------------------------------------------------------------


def refused(given_draft: Draft) -> TallyError:
    with pytest.raises(BadInput) as caught:
        sealer().check(given_draft)
    return caught.value


def test_fields_end_at_the_limit() -> None:
    most = [(f"/{i}", b"1", ["buyer"]) for i in range(limits.FIELDS_MAX)]
    assert len(record(draft(*most)).open("processor").fields) == limits.FIELDS_MAX
    assert refused(draft(*most, ("/more", b"1", ["buyer"]))).code == "too-large"


def test_names_end_at_the_limit() -> None:
    name = "/" + "é" * ((limits.NAME_BYTES_MAX - 1) // 2) + "x"
    assert len(name.encode()) == limits.NAME_BYTES_MAX
    assert record(draft((name, b"1", []))).open().fields == [(name, b"1")]
    assert refused(draft((name + "x", b"1", []))).code == "too-large"
    assert refused(draft(("/" + "x" * 70_000, b"1", []))).code == "too-large"


def test_sections_and_readers_end_at_their_limits() -> None:
    members = tuple(MemberName(f"m{i:02}") for i in range(limits.READERS_MAX))
    readers = {f"r{i:02}": (members[i],) for i in range(limits.READERS_MAX)}
    by = sealer(members=(AUTHOR, *members))
    most = limits.SECTIONS_MAX - 2
    fields = [(f"/{i}", b"1", [f"r{i:02}"]) for i in range(most + 1)]
    assert len(record(draft(*fields[:most], statement=statement(readers=readers)), by=by).manifest.sections) == 64
    assert refused(draft(*fields, statement=statement(readers=readers))).code == "too-large"
    everyone = sorted(readers)
    whole = draft(("/a", b"1", everyone[:-1]), statement=statement(readers=readers))
    assert len(record(whole, by=by).sealed.wraps) == limits.READERS_MAX
    with pytest.raises(TooLarge, match="readers"):
        by.check(draft(("/a", b"1", everyone), statement=statement(readers=readers)))


def test_links_end_at_the_limit_and_are_looked_at_before_sealing() -> None:
    sealer().check(draft(links=(LINK,) * limits.LINKS_MAX))
    assert refused(draft(links=(LINK,) * (limits.LINKS_MAX + 1))).code == "too-large"
    assert refused(draft(links=(replace(LINK, origin="elsewhere"),))).code == "encoding"


def test_bytes_end_at_the_limit_and_fit_one_sidecar() -> None:
    fixed = sum(
        len(formats.lp(n)) + 4 + len(t) for n, t in record(Draft(statement(), b"0", [])).open().sections[0][:-1]
    )
    fixed += len(formats.lp("by")) + 4 + len(b"0") + len(formats.lp("/a")) + 4
    room = limits.RECORD_BYTES_MAX - fixed
    by = sealer()
    by.check(Draft(statement(), b"0", [("/a", b"1" * room, frozenset())]))
    with pytest.raises(TooLarge, match="names and values"):
        by.check(Draft(statement(), b"0", [("/a", b"1" * (room + 1), frozenset())]))
    with pytest.raises(TooLarge):
        by.check(Draft(statement(), b"0" * 2, [("/a", b"1" * room, frozenset())]))


def test_names_that_weigh_more_than_any_reader_takes_are_refused() -> None:
    name = "/" + "n" * (limits.NAME_BYTES_MAX - 7)
    fields = [(f"{name}/{i:05}", b"1", ["buyer"]) for i in range(limits.FIELDS_MAX)]
    assert refused(draft(*fields)).code == "too-large"


def test_field_without_a_pointer_or_with_the_name_of_another_is_refused() -> None:
    for name in ("by", "flags", "a", "a/b", "~"):
        assert refused(draft((name, b"1", []))).code == "encoding"
    assert refused(draft(("/a", b"1", []), ("/a", b"1", ["buyer"]))).code == "encoding"


def test_draft_that_is_wider_than_its_statement_is_refused() -> None:
    with pytest.raises(NotEntitled, match="auditor"):
        sealer().check(draft(("/a", b"1", ["buyer", "auditor"])))


def test_type_and_role_that_no_reader_takes_are_refused() -> None:
    for change in ({"type": "a b"}, {"role": "a-b"}):
        assert refused(draft(statement=statement(**change))).code == "encoding"


# --- what does not open -------------------------------------------------------------------


def test_sections_that_changed_places_do_not_open() -> None:
    found = record(draft(("/a", b"1", ["buyer"]), ("/b", b"1", ["carrier"])))
    texts_given = dict(enumerate(found.sealed.sections))
    sections = list(found.manifest.sections)
    sections[1], sections[2] = sections[2], sections[1]
    texts_given[1], texts_given[2] = texts_given[2], texts_given[1]
    with pytest.raises(SealBroken):
        found.open(manifest=replace(found.manifest, sections=tuple(sections)), ciphertexts=texts_given)
    with pytest.raises(SealBroken, match="not those of the manifest"):
        found.open(ciphertexts=texts_given)


def test_section_with_the_root_of_another_record_does_not_open() -> None:
    first, second = record(label="one"), record(label="two")
    sections = list(first.manifest.sections)
    sections[1] = Section(sections[1].size, second.manifest.sections[1].root, sections[1].hash)
    with pytest.raises(SealBroken, match="signed root"):
        first.open(manifest=replace(first.manifest, sections=tuple(sections)))


def test_wrap_of_another_record_reader_or_log_does_not_open() -> None:
    first, second = record(label="one"), record(label="two")
    with pytest.raises(SealBroken):
        first.open(wrap=second.wrap(AUTHOR))
    with pytest.raises(SealBroken):
        first.open(wrap=first.wrap("processor"))
    with pytest.raises(SealBroken):
        first.open("processor", wrapper=wrapper("carrier"))
    with pytest.raises(SealBroken):
        first.open("processor", wrapper=wrapper("processor", author="carrier"))
    with pytest.raises(SealBroken):
        first.open("processor", wrapper=wrapper("processor", network=NetworkId(sha256(b"other"))))
    with pytest.raises(SealBroken):
        first.open("processor", wrapper=wrapper("processor", origin=replace(ORIGIN, epoch=2)))


def test_copying_anothers_record_into_ones_own_log_proves_nothing() -> None:
    """The copier has id, manifest, ciphertexts and its own seeds of them; under its origin none of it opens."""
    found = record()
    copier = MemberName("processor")
    own_log = Origin(ORIGIN.network, copier)
    given = found.open(copier)
    seeds = b"".join(given.seeds[number] for number in sorted(given.seeds))
    numbers = bytes(sorted(given.seeds))
    for reader in MEMBERS:
        mine = wrapper(reader, author=copier, origin=own_log)
        forged = mine.wrap(seeds, found.id, found.sealed.manifest_hash, numbers)
        with pytest.raises(SealBroken):
            found.open(copier, wrap=forged, wrapper=mine, contexts=Contexts(NETWORK, own_log))
    with pytest.raises(SealBroken):
        found.open(copier, contexts=Contexts(NETWORK, own_log))


def test_copied_record_does_not_open_in_another_network_or_epoch_or_under_another_id() -> None:
    found = record()
    for contexts in (Contexts(NetworkId(sha256(b"other")), ORIGIN), Contexts(NETWORK, replace(ORIGIN, epoch=2))):
        with pytest.raises(SealBroken):
            found.open(contexts=contexts)
    with pytest.raises(SealBroken):
        found.open(record_id=record_id("other"))
    with pytest.raises(SealBroken):
        found.open(manifest_hash=sha256(b"other"))


def test_wrap_that_names_sections_beyond_the_manifest_is_refused() -> None:
    found = record()
    numbers = b"\0\1\2\3\4"
    own = wrapper(AUTHOR)
    seeds = b"".join(found.seeds().values()) + bytes(32)
    with pytest.raises(SealBroken, match="no such section"):
        found.open(wrap=own.wrap(seeds, found.id, found.sealed.manifest_hash, numbers))


def test_record_without_section_0_does_not_open() -> None:
    found = record()
    own = wrapper(AUTHOR)
    alone = own.wrap(found.seeds()[1], found.id, found.sealed.manifest_hash, b"\1")
    with pytest.raises(SealBroken, match="section 0 is missing"):
        found.open(wrap=alone, ciphertexts={1: found.sealed.sections[1]})
    with pytest.raises(SealBroken, match="section 0 is missing"):
        found.open(ciphertexts={1: found.sealed.sections[1]})


def test_section_that_is_not_held_is_left_out_and_one_that_was_not_given_is_not_looked_at() -> None:
    found = record()
    assert list(found.open(ciphertexts={0: found.sealed.sections[0]}).sections) == [0]
    everything = dict(enumerate(found.sealed.sections))
    assert list(found.open("carrier", ciphertexts=everything | {3: b"garbage"}).sections) == [0, 2]


def test_audience_list_of_another_length_is_refused() -> None:
    found = record()
    more = replace(found.manifest, sections=(*found.manifest.sections, found.manifest.sections[0]))
    with pytest.raises(SealBroken, match="audience list"):
        found.open(manifest=more)


def addressed_record(**given: Any) -> Record:
    """A record for named members, as proposals are: two fields for both readers, one for the carrier."""
    readers = {f"@{name}": (MemberName(name),) for name in ("carrier", "processor")}
    fields = [("/a", b"1", ["@carrier", "@processor"]), ("/b", b"2", ["@carrier"]), ("/c", b"3", [])]
    own = statement(type="tally/propose", contract=None, role=None, readers=readers)
    return record(draft(*fields, statement=own, **given))


def rewrapped(found: Record, reader: str, numbers: bytes) -> Any:
    """What `reader` opens if the author wrapped it these sections."""
    seeds = b"".join(found.seeds()[number] for number in numbers)
    wrap = wrapper(reader).wrap(seeds, found.id, found.sealed.manifest_hash, numbers)
    return found.open(reader, wrap=wrap, ciphertexts=dict(enumerate(found.sealed.sections)))


def test_wrap_gives_a_named_member_what_section_0_says_and_neither_more_nor_less() -> None:
    # Else an author could tell two readers of one record two things, and both would have its signature.
    found = addressed_record()
    sections = {member: found.wrap(member).sections for member in ("carrier", "processor")}
    assert found.open().meta.audience[1:] == (("@carrier",), ("@carrier", "@processor"), ())
    assert sections == {"carrier": b"\0\1\2", "processor": b"\0\2"}
    for member, numbers in sections.items():
        assert set(rewrapped(found, member, numbers).sections) == set(numbers)
    for member, numbers in (
        ("processor", b"\0\1\2"), ("processor", b"\0"), ("processor", b"\0\2\3"), ("carrier", b"\0\1"),
        ("retailer", b"\0\2"), ("retailer", b"\0"),
    ):  # fmt: skip
        with pytest.raises(SealBroken, match="section 0 names"):
            rewrapped(found, member, numbers)


def test_authors_own_section_is_nobody_elses_whatever_it_wraps() -> None:
    found = record()
    with pytest.raises(SealBroken, match="section"):
        rewrapped(found, "carrier", b"\0\2\3")


@pytest.mark.parametrize("fields", [[("type", b"1")], [("type", b'"t"')] * 6, []], ids=["number", "same name", "empty"])
def test_malformed_section_0_is_refused(fields: list[tuple[str, bytes]]) -> None:
    found = record()
    seed = found.seeds()[0]
    ciphertext, root = seal_section(fields, seed=seed, context=found.contexts.of(found.id, 0))
    sections = (Section(len(ciphertext), root, sha256(ciphertext)), *found.manifest.sections[1:])
    with pytest.raises(EncodingError):
        found.open(
            manifest=replace(found.manifest, sections=sections),
            ciphertexts={**dict(enumerate(found.sealed.sections)), 0: ciphertext},
        )


def test_field_without_a_pointer_is_not_passed_over() -> None:
    """An author that slips a name into a shared section makes a record that cannot be joined, not a hidden field."""
    found = record()
    for name in ("by", "flags", "hidden"):
        seed = found.seeds()[1]
        ciphertext, root = seal_section([(name, b"1")], seed=seed, context=found.contexts.of(found.id, 1))
        sections = list(found.manifest.sections)
        sections[1] = Section(len(ciphertext), root, sha256(ciphertext))
        opened = found.open(
            "processor",
            manifest=replace(found.manifest, sections=tuple(sections)),
            ciphertexts={0: found.sealed.sections[0], 1: ciphertext},
        )
        with pytest.raises(EncodingError):
            join(opened.fields)


def test_ciphertext_is_compared_with_size_and_hash() -> None:
    found = record()
    text = found.sealed.sections[1]
    check_ciphertext(text, found.manifest, 1)
    for other in (text[:-1], text + b"\0", bytes(len(text)), b""):
        with pytest.raises(SealBroken):
            check_ciphertext(other, found.manifest, 1)
    with pytest.raises(SealBroken):
        check_ciphertext(text, found.manifest, 2)
    for size in (len(text) - 1, len(text) + 1):
        sections = list(found.manifest.sections)
        sections[1] = Section(size, sections[1].root, sections[1].hash)
        with pytest.raises(SealBroken):
            check_ciphertext(text, replace(found.manifest, sections=tuple(sections)), 1)


def test_opened_sections_are_those_of_open_section() -> None:
    found = record()
    for number, seed in found.seeds().items():
        context = found.contexts.of(RecordId(found.id), number)
        root = found.manifest.sections[number].root
        opened = open_section(found.sealed.sections[number], root, seed=seed, context=context, section=number)
        assert opened == found.open().sections[number]
