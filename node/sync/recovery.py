"""The own log after a restore: bodies that others give back, and whom this node may give them to again.

A peer gives what it was given itself, with the author's wrap to itself. Its own wrap counts only where
the record says that it is a reader: otherwise a peer could add a wrap, and the author would from then
on serve it sections that it was never to have. A wrap to a third member does not count: nobody but
that member can tell whether it opens, and a record has one for each. What stays missing is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from ledger.errors import Missing
from ledger.manifest import decode_manifest
from ledger.names import MemberName
from ledger.record import Meta
from ledger.sealing import Wrap
from ledger.sidecar import Bodies, Sidecar
from node.node import Node
from node.storage import logs, sidecars
from node.storage.packing import PackedSidecar
from node.sync.sifting import Sieve, Sifted, announce, keep

REPLACED = "lost with the database that was replaced"
"""Reason of a gap for an entry of the own log that was fetched back, until somebody gives its body."""


class _Readers(NamedTuple):
    """Which sections each other member may read. is_known: whether the contract is, which tells who has a role."""

    sections: Mapping[MemberName, set[int]]
    is_known: bool


def take_back(node: Node, log: logs.StoredLog, start: int, end: int, *, bodies: Bodies, giver: MemberName) -> bool:
    """Keep what an answer of `giver` adds to own bodies that are due. Returns whether anything came of it."""
    sieve = Sieve.make(node, log, start, end)
    found = sieve.sift(bodies.messages, bodies.sidecars)
    kept = _commit(sieve, found, end, giver)
    if not kept.good and not kept.gaps:
        return False
    announce(node, log, kept)
    if any(True for _ in kept.statements):
        # A contract that was given back only now tells whose wraps of the other records are good.
        announce(node, log, _commit(sieve, found, end, giver))
    return True


def _commit(sieve: Sieve, found: Sifted, end: int, giver: MemberName) -> Sifted:
    """One commit. What is due and held is read within it, so that nothing another peer gave meanwhile is undone."""
    node, log = sieve.node, sieve.log
    kept = Sifted(messages=found.messages)
    with node.store.write("restore") as tx:
        due = dict(sidecars.list_gaps(tx, log.number, start=sieve.start, end=end))
        channels = sidecars.list_channels(tx, wrapper=log.origin.member)
        reader_of = {id_: message.reader for id_, (_, message) in found.messages.items()}
        reader_of |= {channel.id: channel.reader for channel in channels.values()}
        for body in found.good:
            if body.index not in due:
                continue
            readers = _readers(node, body.opened.meta)
            held = sidecars.read_sidecar(tx, log.number, body.index)
            known = [(channels[wrap.channel_number], wrap) for wrap in (held.wraps if held else ())]
            wraps = {channel.reader: Wrap(channel.id, wrap.sections, wrap.sealed) for channel, wrap in known}
            for wrap in body.sidecar.wraps:
                reader = reader_of[wrap.channel]
                may_count = reader == giver and readers.sections.get(giver, set()) >= set(wrap.sections)
                if reader not in wraps and (may_count or reader == node.member):
                    wraps[reader] = wrap
            fuller = _united(body.sidecar, tuple(wraps.values()), held)
            if held is None or (len(fuller.wraps), len(fuller.sections)) > (len(held.wraps), len(held.sections)):
                kept.good.append(body._replace(sidecar=fuller))
            missing = _missing(fuller, readers, wraps.keys())
            if missing != due[body.index]:
                kept.gaps.append((body.index, missing))
        keep(tx, log, kept)
        for index, reason in kept.gaps:
            if not reason:
                sidecars.delete_gap(tx, log.number, index)
    return kept


def _readers(node: Node, meta: Meta) -> _Readers:
    parties: Mapping[str, Sequence[MemberName]] = {}
    is_known = meta.contract is None
    if meta.contract is not None:
        try:
            parties = node.agreements.get(meta.contract).parties
            is_known = True
        except Missing:
            pass
    sections: defaultdict[MemberName, set[int]] = defaultdict(set)
    for number, names in enumerate(meta.audience):
        for name in names:
            for member in [MemberName(name[1:])] if name.startswith("@") else parties.get(name, ()):
                if member != node.member:
                    sections[member].add(number)
    return _Readers(sections, is_known)


def _united(fresh: Sidecar, wraps: tuple[Wrap, ...], held: PackedSidecar | None) -> Sidecar:
    """What is held of a body and what came of it, in one."""
    sections = {**fresh.sections, **(held.sections if held else {})}
    return Sidecar(fresh.manifest, wraps, dict(sorted(sections.items())))


def _missing(sidecar: Sidecar, readers: _Readers, wrapped: Set[MemberName]) -> str:
    """What of a body is still not here; empty if nothing."""
    found = []
    sections = len(decode_manifest(sidecar.manifest).sections) - len(sidecar.sections)
    if sections:
        found.append(f"{sections} sections were held by nobody who answered")
    lost = sorted(readers.sections.keys() - wrapped)
    if lost:
        found.append(f"the wraps for {', '.join(lost)} are lost")
    if not readers.is_known:
        found.append("its contract is not known here yet, so that nobody else is given it")
    return "; ".join(found)
