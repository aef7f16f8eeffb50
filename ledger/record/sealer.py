"""Sealing records: the hot path of append.

One loop over plain bytes, in which a record's shape (its member names and audiences) looks up
a prepared layout. It was measured; see docs/performance.md.

`check` and `seal` are two steps, because records are sealed in batches: what `check` let
through does not fail in `seal`, where it would take the records of others down with it.

Spec: docs/spec/record.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger import limits
from ledger.errors import EncodingError, NotEntitled, TooLarge
from ledger.fields import Parts, Shape
from ledger.keys import entropy
from ledger.merkle import root_of
from ledger.names import Digest, MemberName, NetworkId, Origin, encode_b64_bytes, lp
from ledger.record.meta import Link, Meta, encode_links, encode_meta
from ledger.sealing import SEED_BYTES, Contexts, Wrap, Wrapper, padded_length
from ledger.sealing.sections import FIELD_TAG, INDEXES, NONCE, SALTS, SECTION_TAG

_LINKS_LP: Final = lp("links")
_LAYOUTS_MAX: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is the same for all records of one type that one author files under one contract (or none).

    readers: role or @member -> the members behind it; must have every name that stands in an audience.
    Under a contract they are its parties: readers' nodes compare (docs/spec/agreements.md).
    Keep one object per type and contract: the sealer finds its layouts by identity.
    """

    type: str
    contract: Digest | None
    role: str | None
    readers: Mapping[str, tuple[MemberName, ...]]


class Draft(NamedTuple):
    """One record before sealing: fields in body order, parents before children, each with its audience.

    An empty audience is the author alone.
    """

    statement: Statement
    by: bytes  # JSON text: the user or token that submitted
    fields: Sequence[tuple[str, bytes, frozenset[str]]]
    links: tuple[Link, ...] = ()
    flags: bytes = b""  # JSON text of a list, or nothing


class Measure(NamedTuple):
    """What a charter may limit of a record. fields: of its body. sections, readers: all, the author's own included."""

    fields: int
    sections: int
    readers: int


class Sealed(NamedTuple):
    """One sealed record: the manifest, one ciphertext and root per section, one wrap per reader (the author's first).

    The seeds are in the wraps and nowhere else.
    """

    manifest: bytes
    manifest_hash: bytes
    roots: list[bytes]
    sections: list[bytes]
    wraps: list[Wrap]


class _Layout(NamedTuple):
    """What records of one shape share: which field goes to which section, section 0's texts, who is wrapped what."""

    statement: Statement  # kept alive, as its identity is part of the cache key; so is that of the shape
    shape: Shape
    picks: list[list[tuple[int, bytes]]]  # per section from 1: (position among the texts, lp(name))
    meta_chunks: list[bytes]  # encoded fields of section 0 except links
    wraps: list[tuple[Wrapper, bytes, list[int]]]  # wrapper, section list, sections
    length: int  # bytes of plaintext that do not depend on the values


class Sealer:
    """Seals the records of one log. Owned by the thread that appends.

    wrappers: reader -> the channel to it; must hold the author itself and every reader of a draft.
    """

    def __init__(
        self, network: NetworkId, origin: Origin, *, author: MemberName, wrappers: Mapping[MemberName, Wrapper]
    ) -> None:
        """Make a new one when a channel changes: the layouts hold the wrappers."""
        self.author = author
        self._wrappers = wrappers
        self._contexts = Contexts(network, origin)
        self._layouts: dict[tuple[object, ...], _Layout] = {}

    def check(self, draft: Draft) -> Measure:
        """Raise if `draft` cannot be sealed, or is more than its readers would take; cheap for shapes seen before.

        Raises: TooLarge, EncodingError, NotEntitled.
        """
        layout = self._layout(draft)
        if draft.links:
            encode_links(draft.links)
        length = layout.length + len(draft.by) + len(draft.flags) + sum(map(len, _texts(draft)))
        if length > limits.RECORD_BYTES_MAX:
            raise TooLarge(what="record", got=length, limit=limits.RECORD_BYTES_MAX, unit="bytes of names and values")
        return Measure(len(draft.fields), len(layout.picks) + 1, len(layout.wraps))

    def seal(self, drafts: Sequence[Draft], ids: Sequence[bytes]) -> list[Sealed]:
        """Seal a batch: commit to every field, encrypt every section, wrap the seeds for every reader.

        drafts: each has passed `check`. ids: 16 bytes each, used for no other record of this log.
        """
        plans = [self._layout(draft) for draft in drafts]
        # One call for all seeds of the batch: 32 bytes at a time cost five times as much.
        seeds = entropy(SEED_BYTES * sum(len(layout.picks) + 1 for layout in plans))
        out: list[Sealed] = []
        at = 0
        for draft, record_id, layout in zip(drafts, ids, plans, strict=True):
            end = at + SEED_BYTES * (len(layout.picks) + 1)
            out.append(self._seal_one(draft, record_id, layout, seeds[at:end]))
            at = end
        return out

    def _seal_one(self, draft: Draft, record_id: bytes, layout: _Layout, seeds: bytes) -> Sealed:
        """One record: section 0, then each section of the layout. Manifest and wraps need all of them."""
        # The manifest is formatted here, not by `encode_manifest`: its numbers are at hand. A test compares both.
        links = encode_links(draft.links) if draft.links else b"[]"
        texts: list[bytes] = [draft.by, draft.flags, *_texts(draft)]
        chunks = [*layout.meta_chunks, _LINKS_LP + len(links).to_bytes(4, "big") + links]
        entries: list[bytes] = []
        roots: list[bytes] = []
        sections: list[bytes] = []
        number, at = 0, 0
        while True:
            context = self._contexts.of(record_id, number)
            ciphertext, root = _seal_chunks(chunks, seeds[at : at + SEED_BYTES], context)
            digest = hashlib.sha256(ciphertext).digest()
            entries.append(b'[%d,"%b","%b"]' % (len(ciphertext), encode_b64_bytes(root), encode_b64_bytes(digest)))
            roots.append(root)
            sections.append(ciphertext)
            if number == len(layout.picks):
                break
            # The next section's fields, each with its prefix from the layout.
            chunks = [name + len(texts[i]).to_bytes(4, "big") + texts[i] for i, name in layout.picks[number]]
            number, at = number + 1, at + SEED_BYTES
        manifest = b'{"blobs":[],"sections":[%b],"v":1}' % b",".join(entries)
        manifest_hash = hashlib.sha256(manifest).digest()
        wraps = []
        for wrapper, numbers, chosen in layout.wraps:
            picked = b"".join([seeds[SEED_BYTES * i : SEED_BYTES * i + SEED_BYTES] for i in chosen])
            wraps.append(wrapper.wrap(picked, record_id, manifest_hash, numbers))
        return Sealed(manifest, manifest_hash, roots, sections, wraps)

    def _layout(self, draft: Draft) -> _Layout:
        # By identity: hashing a statement and all names for each record would cost more than sealing a field.
        fields = draft.fields
        shape = fields.shape if type(fields) is Parts else tuple([(name, audience) for name, _, audience in fields])
        key = (id(draft.statement), bool(draft.flags), id(shape) if type(fields) is Parts else shape)
        found = self._layouts.get(key)
        if found is None:
            if len(self._layouts) > _LAYOUTS_MAX:
                self._layouts.clear()
            found = self._layouts[key] = self._make_layout(draft, shape)
        return found

    def _make_layout(self, draft: Draft, shape: Shape) -> _Layout:
        """What all records of this shape have in common; here too are the bounds that do not depend on values.

        Raises: TooLarge, EncodingError.
        """
        if len(draft.fields) > limits.FIELDS_MAX:
            raise TooLarge(what="record", got=len(draft.fields), limit=limits.FIELDS_MAX, unit="fields")
        _check_names(draft)
        own = [(0, lp("by"))] + ([(1, lp("flags"))] if draft.flags else [])
        shared: dict[tuple[str, ...], list[tuple[int, bytes]]] = {}
        for position, (name, _, audience) in enumerate(draft.fields):
            place = (position + 2, lp(name))  # after `by` and `flags` among the texts
            if audience:
                shared.setdefault(tuple(sorted(audience)), []).append(place)
            else:
                own.append(place)
        # Sorted, so that an author cannot say anything by the order of its sections.
        audiences = sorted(shared)
        picks = [shared[audience] for audience in audiences] + [own]
        everyone = tuple(sorted({role for audience in audiences for role in audience}))
        meta = Meta(
            type=draft.statement.type,
            contract=draft.statement.contract,
            role=draft.statement.role,
            audience=(everyone, *audiences, ()),
        )
        chunks = [lp(name) + len(text).to_bytes(4, "big") + text for name, text in encode_meta(meta)[:-1]]
        length = sum(map(len, chunks)) + sum(len(name) + 4 for section in picks for _, name in section)
        return _Layout(draft.statement, shape, picks, chunks, self._plan_wraps(draft.statement, meta), length)

    def _plan_wraps(self, statement: Statement, meta: Meta) -> list[tuple[Wrapper, bytes, list[int]]]:
        """Who is wrapped what: the author, as a reader of every section, and first; a member of several roles once.

        Raises: NotEntitled for a reader that the statement does not have: such a draft is wider than its contract.
        """
        strangers = sorted(set(meta.audience[0]) - statement.readers.keys())
        if strangers:
            raise NotEntitled(who=", ".join(strangers), what=f"records of type {statement.type!r}")
        by_reader: dict[MemberName, list[int]] = {self.author: list(range(len(meta.audience)))}
        for number, audience in enumerate(meta.audience):
            for member in dict.fromkeys(m for role in audience for m in statement.readers[role]):
                if member != self.author:
                    by_reader.setdefault(member, []).append(number)
        if len(by_reader) > limits.READERS_MAX:
            raise TooLarge(what="record", got=len(by_reader), limit=limits.READERS_MAX, unit="readers")
        return [(self._wrappers[member], bytes(numbers), numbers) for member, numbers in by_reader.items()]


def _texts(draft: Draft) -> list[bytes]:
    fields = draft.fields
    return fields.texts if type(fields) is Parts else [text for _, text, _ in fields]


def _check_names(draft: Draft) -> None:
    """Raise unless every field has a pointer of its own for a name: two of one name could be disclosed as one."""
    names = {name for name, _, _ in draft.fields}
    if len(names) != len(draft.fields):
        raise EncodingError(field="record", reason="two fields of one name")
    for name in names:
        if name[:1] not in ("/", ""):
            raise EncodingError(field="record", reason=f"the field name {name[:80]!r} is no JSON Pointer")
        length = len(name.encode())
        if length > limits.NAME_BYTES_MAX:
            raise TooLarge(what="field name", got=length, limit=limits.NAME_BYTES_MAX, unit="bytes")


def _seal_chunks(chunks: Sequence[bytes], seed: bytes, context: bytes) -> tuple[bytes, Digest]:
    """Ciphertext and root of one section whose fields are encoded already; as `seal_section`, by a test.

    Tried and dropped: hashing leaves from a copied prefix state (slower below 64 bytes of
    prefix), one SHAKE call per record (no gain), struct.pack for the chunks (slower than +).
    """
    sha = hashlib.sha256
    stream = hashlib.shake_128(SECTION_TAG + seed + context).digest(32 + 16 * len(chunks))
    head = FIELD_TAG + context
    leaves = [
        sha(head + index + stream[salt] + chunk).digest()
        for index, salt, chunk in zip(INDEXES, SALTS, chunks, strict=False)
    ]
    # Its bound on the number of fields is checked with the layout, its length by `check`.
    plain = INDEXES[len(chunks)] + b"".join(chunks)
    plain += bytes(padded_length(len(plain)) - len(plain))
    ciphertext = AESGCM(stream[:32]).encrypt(NONCE, plain, context)
    if len(leaves) == 1:
        return ciphertext, Digest(leaves[0])
    return ciphertext, root_of(cast(list[Digest], leaves))
