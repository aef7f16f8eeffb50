"""A running node: its folder, keys, store and services, put together once and closed once.

The doors (API, sync) call what is here; nothing here knows them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import BadInput, Conflict, Missing, TallyError, Unavailable
from ledger.jsontext import encode_canonical
from ledger.names import Digest, MemberName, Origin, encode_b64
from ledger.network import NetworkFile
from ledger.record import Draft
from node import agreements as agree
from node.agreements import Agreements
from node.append import Appended, Appender, NewRecord, Outcome, Statements
from node.changes import Changes
from node.channels import ChannelBook
from node.clock import Clock, system_clock
from node.commit import Committer
from node.config import DATABASE_NAME, Settings, load_settings
from node.cosigned import COSIGNED_NAME, CosignedFile
from node.crash import crash_point
from node.findings import FindingBook
from node.guard import Guard
from node.highwater import HIGH_WATER_NAME, HighWaterFile
from node.intake import Intake, submitter
from node.keyring import Keyring, load_keyring
from node.membership import Membership, contradictions, load_membership, save_membership, take_file, tell_newer
from node.reader import Reader
from node.startup import let_out, make_guard, others
from node.statements import take_all
from node.storage import facts, logs, sidecars
from node.storage.store import DatabaseReplaced, Store, Tx


class NotAdopted(Unavailable):
    code = "no-charter"
    template = "this node has not adopted a charter yet"
    hint = "`tally charter adopt FILE` with the network file that all members signed."


class CharterConflict(Conflict):
    code = "charter-conflict"
    template = "this node belongs to network {fingerprint}; the file is of another one, or older"
    hint = "A node lives in one network; make another folder for another network."


class NotThisMember(BadInput):
    code = "not-this-member"
    template = "the network file does not list {member} with the keys of this folder"
    hint = "Hand the member file of `tally init` to whoever draws up the charter, and adopt what comes back."


@dataclass(frozen=True, slots=True)
class Joined:
    """What exists once a charter was adopted."""

    origin: Origin
    channels: ChannelBook
    high_water: HighWaterFile
    cosigned: CosignedFile
    appender: Appender
    reader: Reader
    intake: Intake
    guard: Guard


class Node:
    """Open one with `Node.open`; `close` finishes what is queued."""

    def __init__(
        self,
        folder: Path,
        *,
        settings: Settings,
        keyring: Keyring,
        store: Store,
        clock: Clock = system_clock,
        appender: type[Appender] = Appender,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.keyring = keyring
        self.store = store
        self.clock = clock
        self.member = MemberName(settings.member)
        self.agreements = Agreements(self.member)
        self.changes = Changes()
        self.findings = FindingBook(store, self.changes, clock)
        self._membership: Membership | None = None
        self._joined: Joined | None = None
        self._appender = appender
        self._is_stated = False  # that nothing was restored
        self._adopting = threading.Lock()

    @classmethod
    def open(cls, folder: Path, *, clock: Clock = system_clock, appender: type[Appender] = Appender) -> Node:
        """Open the node in `folder`. Raises: ConfigBroken, KeyFileBroken.

        appender: what writes the own log; tests that are all of one thread have one without its own.
        """
        settings = load_settings(folder)
        passphrase = settings.passphrase_file.read_text().rstrip("\n") if settings.passphrase_file else None
        keyring = load_keyring(folder, passphrase)
        store = Store.open(folder / DATABASE_NAME)
        node = cls(folder, settings=settings, keyring=keyring, store=store, clock=clock, appender=appender)
        with node.store.read() as tx:
            membership = load_membership(tx)
        if membership is not None:
            node._join(membership)
        crash_point("start.before-guard")
        return node

    def close(self) -> None:
        if self._joined is not None:
            self._joined.appender.stop()
            self._joined.high_water.close()
            self._joined.cosigned.close()
        self.store.close()

    # --- membership -----------------------------------------------------------------

    @property
    def membership(self) -> Membership:
        """Raises: NotAdopted."""
        if self._membership is None:
            raise NotAdopted()
        return self._membership

    @property
    def is_joined(self) -> bool:
        return self._joined is not None

    @property
    def joined(self) -> Joined:
        """Raises: NotAdopted."""
        if self._joined is None:
            raise NotAdopted()
        return self._joined

    def adopt(self, file: NetworkFile) -> Membership:
        """Verify a network file, keep it, and join the network it names. Raises: what verification raises."""
        membership = take_file(file)
        with self._adopting:
            if self._membership is not None:
                self.findings.keep_all(contradictions(self._membership, membership.file), self.membership.documents)
                self._check_newer(membership, self._membership)
                # A file may be older than what peers have told since; their cards stay in force.
                membership = self._membership.renewed(membership)
            self._check_self(membership)
            with self.store.write("adopt") as tx:
                save_membership(tx, membership)
                facts.set_meta(tx, facts.OWN_ORIGIN, str(membership.origin(self.member)))
                logs.ensure_log(tx, membership.origin(self.member))
                for name in membership.names:
                    logs.ensure_log(tx, membership.origin(name))
            if self._joined is None:
                self._join(membership)
            else:
                self._membership = tell_newer(membership)
                required = membership.network.charter.required_answers
                self._joined.guard.ask(others(membership, self.member), required=required)
        for origin in membership.origins:
            self.changes.bump(origin)
        return membership

    def learn_cards(self, notes: Sequence[bytes]) -> Membership:
        """Take in newer cards of members; of two of a version the one held stays. Raises: what verification raises."""
        with self._adopting:
            found = contradictions(self.membership, NetworkFile(charters=(), cards=tuple(notes)))
            self.findings.keep_all(found, self.membership.documents)
            membership = self.membership.with_cards(tuple(notes))
            if membership is not self._membership:
                with self.store.write("sync-documents") as tx:
                    save_membership(tx, membership)
                self._membership = tell_newer(membership)
        return membership

    def _check_newer(self, new: Membership, old: Membership) -> None:
        known = [charter.hash for charter in old.network.charters]
        if [charter.hash for charter in new.network.charters[: len(known)]] != known:
            raise CharterConflict(fingerprint=old.network_id.hex())

    def _check_self(self, membership: Membership) -> None:
        if self.member not in membership.names:
            raise NotThisMember(member=self.member)
        if membership.card(self.member).log_key != self.keyring.log.public:
            raise NotThisMember(member=self.member)

    def _join(self, membership: Membership) -> None:
        self._membership = tell_newer(membership)
        origin = membership.origin(self.member)
        channels = ChannelBook(
            self.store,
            member=self.member,
            membership=lambda: self.membership,
            transport=self.keyring.transport,
            opening=self.keyring.opening,
        )
        high_water = HighWaterFile(self.folder / HIGH_WATER_NAME)
        cosigned = CosignedFile(self.folder / COSIGNED_NAME)
        guard = make_guard(self.store, membership, member=self.member, high_water=high_water, cosigned=cosigned)
        committer = Committer(
            self.store,
            network=membership.network_id,
            origin=origin,
            key=self.keyring.log,
            channels=channels,
            documents=self._documents,
            high_water=high_water,
            clock=self.clock,
        )
        appender = self._appender(committer, batch_records=self.settings.batch_records, on_commit=self._on_commit)
        reader = Reader(self.store, member=self.member, channels=channels)
        intake = Intake(self.agreements, self.member, self.keyring.answer_secret, lambda: self.membership.limits)
        self._joined = Joined(origin, channels, high_water, cosigned, appender, reader, intake, guard)
        with self.store.read() as tx:
            self.apply_statements(tx, sidecars.list_statements(tx))

    def _documents(self) -> tuple[Digest, Digest]:
        return self.membership.announced[self.member]

    # --- writing ----------------------------------------------------------------------

    def open_for_writing(self, *, not_restored: bool = False) -> None:
        """Begin to sign. Call it once the guard is ready, or with an operator's word that nothing was restored.

        Raises: NodeNotReady, RestoreProved, DatabaseReplaced, what storing the own first record raises.
        """
        joined, held = self.joined, self.joined.guard.size
        with self.store.read() as tx:
            log = self.find_log(tx, str(joined.origin))
        if log.checkpoint_size < held:
            raise DatabaseReplaced()
        if not_restored and not self._is_stated:
            joined.guard.check_override()
            # Before anybody else may write, so that nothing is signed on a word that the log does not hold.
            joined.high_water.begin_at(None)
            joined.cosigned.forget_broken()
            joined.appender.start()
            self._note("tally/not-restored")
            self._is_stated = True
            joined.guard.override()
        joined.guard.wait(0)
        self.let_out(log)  # from now on less than that is another database
        crash_point("start.after-guard")
        joined.appender.start()
        if log.size == 0:
            self._note("tally/start")

    def _note(self, type_name: str) -> None:
        """Append a record of the node about itself."""
        card, charter = self._documents()
        body = encode_canonical({"card": encode_b64(card), "charter": encode_b64(charter)})
        self.append_one(agree.draft_private(type_name, body, by=submitter("node")))

    def let_out(self, log: logs.StoredLog) -> None:
        """Call before a checkpoint or an answer leaves: of our own log, the high-water file must know first."""
        if log.origin == self.joined.origin:
            let_out(self.joined.high_water, log)

    def append_one(self, draft: Draft) -> Appended:
        """Append one record and wait until it is durable. Raises: what sealing or storing raises."""
        outcome = self.joined.appender.submit([NewRecord(draft)]).result()[0]
        if isinstance(outcome, TallyError):
            raise outcome
        return outcome

    def append(self, records: Sequence[NewRecord]) -> Callable[[], list[Outcome]]:
        """Queue records; the returned call waits until they are durable. Raises: NodeNotReady, QueueFull."""
        joined = self.joined
        joined.guard.wait(self.settings.queue_wait_s)
        return joined.appender.submit(records).result

    def _on_commit(self, statements: Statements) -> None:
        self.changes.bump(self.joined.origin.hash)
        if statements:
            with self.store.read() as tx:
                log = self.find_log(tx, str(self.joined.origin))
                self.apply_statements(tx, [(log.number, index, name) for index, name in statements])

    def apply_statements(self, tx: Tx, stated: Sequence[tuple[int, int, str]]) -> None:
        """Take readable `tally/*` records (log number, index, type) into the agreements."""
        take_all(self.agreements, self.joined.reader, tx, stated)

    # --- small things that several doors need -----------------------------------------------

    def find_log(self, tx: Tx, member_or_origin: str) -> logs.StoredLog:
        """A log by its member's name or its origin. Raises: Missing."""
        for log in logs.list_logs(tx):
            if member_or_origin in (str(log.origin), log.origin.member):
                return log
        raise Missing(what="log", name=member_or_origin)
