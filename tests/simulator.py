"""A network of real nodes in one process: real stores, appenders, drivers, clients, routes; no socket, no thread.

Only the wire is made up: a seeded one that drops, repeats, delays and reorders messages, cuts
members off from each other, and lets machines die at any crash point and start again. Time is
virtual (`tests.virtual_loop`), so that an hour of it takes a second, and one seed gives one run.
Rounds are those of production: `step` below is `ledger.replica.replicate`, as `node.sync.rounds` drives it.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import random
import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from fastapi import FastAPI

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import TallyError
from ledger.evidence import Finding, decode_evidence, verify_evidence
from ledger.merkle import EMPTY_ROOT, range_hash
from ledger.names import Digest, MemberName, NetworkName, Origin, RecordId
from ledger.network import verify_network_file
from ledger.replica import replicate
from node import crash
from node.api import errors
from node.app import make_verifier
from node.append import Appended, Appender, NewRecord, Outcome
from node.config import DATABASE_NAME
from node.cosigned import COSIGNED_NAME
from node.fsck import check_store
from node.highwater import HIGH_WATER_NAME
from node.node import Node
from node.storage import checkpoints, facts, logs, sidecars
from node.storage.copies import copy_database
from node.storage.store import Store, Tx
from node.sync import rounds, routes
from node.sync.client import KEEP_ALIVE_S, make_http_client
from node.sync.driver import SyncDriver
from tests.make_folders import Founded
from tests.virtual_loop import VirtualLoop

step: Final = rounds.step  # type: ignore[attr-defined]  # what every machine's driver runs
assert step is replicate, "the simulator drives the step function of production"

_EPOCH_MS: Final = 1_763_680_000_000
Answer = tuple[int, bytes]
Lie = Callable[[str, Answer, random.Random], Answer]
"""What a lying machine makes of an answer: path, honest status and content -> those that it gives."""


class Crashed(BaseException):
    """Ends whatever a dead machine was at."""


@dataclass
class Weather:
    """Chances of what may happen to one message or at one crash point; delay_s: the longest."""

    drop: float = 0.0
    repeat: float = 0.0
    delay_s: float = 0.01
    crash: float = 0.0


class InlineAppender(Appender):
    """The appender without its thread: what is queued is written at once, by whoever queues it."""

    _is_started = False

    def start(self) -> None:
        self._is_started = True
        self._write()

    def submit(self, records: Sequence[NewRecord]) -> Any:
        done = super().submit(records)
        self._write()
        return done

    def _write(self) -> None:
        while self._is_started and self.write_queued(wait=False):
            pass


_current: contextvars.ContextVar[Machine | None] = contextvars.ContextVar("machine", default=None)


class Machine:
    """One member's computer: its folder outlives the node that runs on it."""

    def __init__(self, simulation: Simulation, name: str, folder: Path, *, is_honest: bool = True) -> None:
        self.simulation = simulation
        self.name = MemberName(name)
        self.folder = folder
        self.is_honest = is_honest
        self.lie: Lie | None = None
        self.clock_offset_ms = 0
        self.is_up = False
        self.is_alone = False
        self.die_at: tuple[str, int] | None = None  # crash point, and how often it is passed before
        self.fail_at: tuple[str, Exception] | None = None  # crash point that raises, once
        self.recorded: dict[int, tuple[RecordId, Digest]] = {}  # what a client was told is durable
        self.by_key: dict[bytes, int] = {}
        self.node: Node
        self.driver: SyncDriver
        self._app: FastAPI
        self._tasks: list[asyncio.Task[Any]] = []
        self._context = contextvars.copy_context()
        self._context.run(_current.set, self)
        self._backups = 0
        self._opened: Node | None = None
        self._answered: set[tuple[str, int]] = set()

    # --- life -----------------------------------------------------------------------

    def start(self, *, not_restored: bool = False, alone: bool = False) -> None:
        """Open the node and serve. alone: for good, answer others and never ask them (a liar has nothing to learn)."""
        assert not self.is_up, "it runs already"
        self.is_up = True
        self.is_alone = self.is_alone or alone
        try:
            self.node = self._opened = self._context.run(
                Node.open, self.folder, clock=self.clock, appender=InlineAppender
            )
        except Crashed:
            return
        http = make_http_client(self.node.settings, transport=_Wire(self))
        self.driver = SyncDriver(self.node, http=http, chance=self.simulation.chance)
        self._app = FastAPI(openapi_url=None, redirect_slashes=False)
        errors.install(self._app)
        self._app.include_router(routes.make_router(self.node, make_verifier(self.node)))
        if self.is_alone:
            with suppress(Crashed):
                self._context.run(self.node.open_for_writing, not_restored=True)
            return
        task = self._spawn(self.driver.run(not_restored=not_restored))
        task.add_done_callback(self._ended)

    def die(self) -> None:
        """As by a power cut: nothing of it happens any more, and what was not committed is gone."""
        if not self.is_up:
            return
        self.is_up = False
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        if self._opened is not None:
            self.simulation.loop.call_soon(_clear_away, self._opened)
            self._opened = None

    def stop(self) -> None:
        """As by an operator: what is queued is finished."""
        if self.is_up:
            for task in self._tasks:
                task.cancel()
            self._tasks.clear()
            self.simulation.run(0.1)
            self.is_up = False
            self.node.close()
            self._opened = None

    def back_up(self) -> Path:
        self._backups += 1
        target = self.folder.with_name(f"{self.folder.name}.backup{self._backups}")
        copy_database(self.folder / DATABASE_NAME, target)
        return target

    def restore(self, backup: Path, *, keep_high_water: bool) -> None:
        """Put an old database in the place of the present one. The machine must be down."""
        assert not self.is_up, "a database is not replaced under a running node"
        self.simulation.run(0.1)  # connections of the dead node are closed by then
        for path in self.folder.glob(DATABASE_NAME + "*"):
            path.unlink()
        shutil.copy(backup, self.folder / DATABASE_NAME)
        if not keep_high_water:
            (self.folder / HIGH_WATER_NAME).unlink(missing_ok=True)
            (self.folder / COSIGNED_NAME).unlink(missing_ok=True)
        self.recorded.clear()  # what was told is told; what of it is lost, the test that restores looks at
        self.by_key.clear()

    def clock(self) -> int:
        return _EPOCH_MS + int(self.simulation.loop.time() * 1000) + self.clock_offset_ms

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = self.simulation.loop.create_task(work, context=self._context.copy())
        self._tasks.append(task)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        cause = None if task.cancelled() else task.exception()
        if task.cancelled() or not self.is_up:
            return
        text = "".join(traceback.format_exception(cause)) if cause else "it returned"
        self.simulation.faults.append(f"the driver of {self.name} ended: {text}")

    def note_fault(self) -> None:
        """What the driver's outermost door let nobody notice but its log."""
        if self._opened is not None and (cause := self.driver.fault) is not None:
            text = "".join(traceback.format_exception(cause))
            self.simulation.faults.append(f"a task of the driver of {self.name} failed: {text}")

    # --- use ------------------------------------------------------------------------

    @property
    def may_write(self) -> bool:
        return self.is_up and self.node.is_joined and self.node.joined.guard.is_ready

    def file(self, envelope: bytes, *, key: bytes | None = None) -> Outcome | None:
        """Record one envelope, as its API would; None if the machine cannot, or died of it."""
        if not self.may_write:
            return None
        try:
            record = self._context.run(self.node.joined.intake.parse, envelope, by=b'"client"', answer_key=key)
        except TallyError as cause:
            return cause
        return self.append(record)

    def append(self, record: NewRecord) -> Outcome | None:
        try:
            outcome: Outcome = self._context.run(self.node.joined.appender.submit, [record]).result(0)[0]
        except (Crashed, TimeoutError):
            return None  # nobody is told; it may become durable all the same
        except TallyError as cause:
            return cause
        if isinstance(outcome, Appended):
            self._note(record.answer_key, outcome)
        return outcome

    def _note(self, key: bytes | None, outcome: Appended) -> None:
        at: int = outcome.index
        told = self.recorded.setdefault(at, (outcome.id, outcome.leaf))
        assert told == (outcome.id, outcome.leaf), f"entry {at} of {self.name} was told to be two records"
        if key is not None:
            assert self.by_key.setdefault(key, at) == at, f"one key, two records at {self.name}"

    async def answer(self, request: httpx.Request, content: bytes) -> tuple[int, list[Any], bytes] | None:
        """What the app answers; None if the machine dies of it."""
        call = self._spawn(_call(self._app, request, content))
        try:
            found: tuple[int, list[Any], bytes] = await asyncio.shield(call)
        except asyncio.CancelledError:
            if call.cancelled():
                return None
            raise
        except Crashed:
            return None
        except Exception:
            self.simulation.faults.append(f"{self.name} failed at {request.url}: {traceback.format_exc()}")
            return 500, [], b""
        finally:
            if call.done() and call in self._tasks:
                self._tasks.remove(call)
        if found[0] < 400:
            signature = request.headers["signature"]
            # A process that was started since refuses it too, save where clocks differ (docs/spec/calls.md).
            if (signature, id(self.node)) in self._answered:
                self.simulation.faults.append(f"{request.url} was answered a second time by {self.name}")
            self._answered.add((signature, id(self.node)))
        return found


def _clear_away(node: Node) -> None:
    node.store.close()
    if node.is_joined:
        node.joined.high_water.close()
        node.joined.cosigned.close()


class Simulation:
    """The machines, the wire between them, and what must hold."""

    def __init__(self, founded: Founded, root: Path, *, seed: int, liar: str | None = None) -> None:
        """Begins with copies of the folders in `founded`, below `root`. liar: a member that nothing is expected of."""
        self.founded = founded
        self.chance = random.Random(seed)
        self.loop = VirtualLoop(self.chance)
        self.weather = Weather()
        self.cut: set[frozenset[str]] = set()
        self.faults: list[str] = []
        self.seen: dict[tuple[str, int], Digest] = {}  # (member, size) -> root, of every checkpoint on the wire
        self.trace = hashlib.sha256()  # of who asked whom for what when, and the answer's status
        self.machines: dict[str, Machine] = {}
        self.faces: dict[tuple[str, str], Machine] = {}  # (who asks, whom) -> the machine that answers
        for name, folder in founded.folders.items():
            shutil.copytree(folder, root / name)
            self.machines[name] = Machine(self, name, root / name, is_honest=name != liar)

    @contextmanager
    def running(self) -> Iterator[Simulation]:
        """Start all machines; afterwards everything is closed, whatever happened."""
        crash.watchers.append(self._at_crash_point)
        off_loop = vars(routes)["run_in_threadpool"]
        vars(routes)["run_in_threadpool"] = asyncio.to_thread  # which the loop runs in its own way
        asyncio.set_event_loop(self.loop)
        try:
            for machine in self.machines.values():
                machine.start()
            yield self
        finally:
            for machine in {*self.machines.values(), *self.faces.values()}:
                machine.die()
            self.loop.run_until_complete(asyncio.sleep(0.1))
            vars(routes)["run_in_threadpool"] = off_loop
            crash.watchers.remove(self._at_crash_point)
            self._end()

    def _end(self) -> None:
        while left := [task for task in asyncio.all_tasks(self.loop) if not task.done()]:
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0.1))
        asyncio.set_event_loop(None)
        self.loop.close()

    @property
    def honest(self) -> list[Machine]:
        return [machine for machine in self.machines.values() if machine.is_honest]

    # --- time -----------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))
        for machine in self.machines.values():
            machine.note_fault()
        assert not self.faults, "\n".join(self.faults)

    def run_until(self, holds: Callable[[], bool], limit_s: float = 900.0) -> None:
        end = self.loop.time() + limit_s
        while not holds():
            assert self.loop.time() < end, f"not within {limit_s} s: {self.describe()}"
            self.run(0.5)

    def calm(self) -> None:
        """The wire works and everybody is up, from now on."""
        self.weather = Weather()
        self.cut.clear()
        for machine in dict.fromkeys([*self.machines.values(), *self.faces.values()]):
            machine.die_at = machine.fail_at = None
            if not machine.is_up:
                self.run(0.1)
                machine.start()

    def settle(self) -> None:
        """Calm, and run until all honest members hold the same."""
        self.calm()
        self.run_until(self.is_in_sync)

    # --- the wire ---------------------------------------------------------------------

    def split(self, name: str) -> Machine:
        """Give a liar a second face: a copy of its machine that writes a history of its own, for some of the others."""
        first = self.machines[name]
        assert not first.is_honest, "only a liar has two faces"
        first.stop()
        folder = first.folder.with_name(name + ".face2")
        shutil.copytree(first.folder, folder)
        second = Machine(self, name, folder, is_honest=False)
        for machine in (first, second):
            machine.start(alone=True)
        others = [other for other in self.machines if other != name]
        deceived = self.chance.sample(others, self.chance.randrange(1, len(others)))
        for other in deceived:
            self.faces[other, name] = second
        return second

    def reach(self, sender: Machine, host: str) -> Machine:
        name = host.partition(".")[0]
        return self.faces.get((sender.name, name), self.machines[name])

    def is_cut(self, one: str, other: str) -> bool:
        return frozenset({one, other}) in self.cut

    def strikes(self, chance: float) -> bool:
        return chance > 0 and self.chance.random() < chance

    def _at_crash_point(self, name: str) -> None:
        machine = _current.get()
        if machine is None:
            return
        if not machine.is_up:
            raise Crashed(name)  # nothing that a dead machine was at becomes durable
        if machine.fail_at is not None and machine.fail_at[0] == name:
            cause = machine.fail_at[1]
            machine.fail_at = None
            raise cause
        if machine.die_at is not None and machine.die_at[0] == name:
            machine.die_at = (name, machine.die_at[1] - 1)
            if machine.die_at[1] < 0:
                machine.die_at = None
                machine.die()
                raise Crashed(name)
        if self.strikes(self.weather.crash):
            machine.die()
            raise Crashed(name)

    # --- what must hold -----------------------------------------------------------------

    def is_in_sync(self) -> bool:
        """Whether every honest machine that may write holds all of every honest log, and has asked for its bodies."""
        if not all(machine.may_write for machine in self.honest):
            return False
        sizes = {machine.name: stored(machine, machine.name).size for machine in self.honest}
        for machine in self.honest:
            for author, size in sizes.items():
                log = stored(machine, author)
                if log.checkpoint_size != size or (author != machine.name and log.bodies_size != size):
                    return False
                if size and cosigned(machine, author) != size and author != machine.name and log.frozen is None:
                    return False
        return True

    def check(self) -> None:
        """What holds for honest members after anything. Machines are stopped for it, and stay down."""
        for machine in self.honest:
            machine.stop()
        for machine in self.honest:
            report = check_store(machine.folder, keyring=self.founded.rings[machine.name], member=machine.name)
            assert report.is_sound, f"{machine.name}: {report.faults[:5]}"
        for machine in self.honest:
            self._check_own(machine)
            self._check_evidence(machine)

    def _check_own(self, author: Machine) -> None:
        """Nothing that was told is missing, and no two checkpoints contradict, wherever they are."""
        roots = {size: root for (name, size), root in self.seen.items() if name == author.name}
        for other in self.honest:
            with self.opened(other) as (tx, log):
                kept = checkpoints.list_checkpoints(tx, log(author.name).number)
            roots |= {found.size: found.root for _, note in kept if (found := self.verified(author.name, note))}
        with self.opened(author) as (tx, log):
            own = log(author.name)
            rows = logs.read_packed(tx, own.number, 0, own.size)
            for index, (record_id, leaf) in author.recorded.items():
                assert index < len(rows), f"{author.name} told of entry {index} and has {len(rows)}"
                assert (rows[index].id, rows[index].leaf) == (record_id, leaf), f"entry {index} of {author.name}"
            for key, index in author.by_key.items():
                answer = facts.find_answer(tx, key)
                assert answer is not None and answer.index == index
            reader = logs.hash_reader(tx, own.number)
            for size, root in roots.items():
                assert size <= own.size, f"{author.name} signed {size} entries and has {own.size}"
                assert root == (range_hash(0, size, reader) if size else EMPTY_ROOT), f"two {author.name} at {size}"

    def _check_evidence(self, machine: Machine) -> None:
        """Nobody honest is accused, and what accuses convinces a third party."""
        for finding in self.findings(machine):
            assert not {m.name for m in self.honest} & set(finding.members), f"{finding} at {machine.name}"

    def findings(self, machine: Machine) -> list[Finding]:
        """What a third party is convinced of by the evidence that a machine keeps."""
        with self.opened(machine) as (tx, _):
            documents = [item.document for item in facts.list_evidence(tx)]
        network = verify_network_file(self.founded.file)
        return [verify_evidence(decode_evidence(document), network) for document in documents]

    @contextmanager
    def opened(self, machine: Machine) -> Iterator[tuple[Tx, Callable[[str], logs.StoredLog]]]:
        """A machine's database, also while it is down; and its logs by the name of their author."""
        store = Store.open_readonly(machine.folder / DATABASE_NAME)
        try:
            with store.read() as tx:
                by_author = {log.origin.member: log for log in logs.list_logs(tx)}
                yield tx, lambda name: by_author[MemberName(name)]
        finally:
            store.close()

    def verified(self, author: str, note: bytes) -> Checkpoint | None:
        """The checkpoint in a note, if the author signed it."""
        key = self.founded.rings[author].log.public
        try:
            return open_checkpoint(note, origin=self._origin(author), key=key)
        except TallyError:
            return None

    def _origin(self, name: str) -> Origin:
        return Origin(NetworkName(self.founded.firms[name].network), MemberName(name))

    def describe(self) -> str:
        """How far everybody is, for a failure."""
        lines = [f"at {self.loop.time():.1f} s"]
        for machine in self.machines.values():
            if not machine.is_up:
                lines.append(f"{machine.name}: down")
                continue
            held = ", ".join(
                f"{author} {log.checkpoint_size}/{log.bodies_size}{' frozen' if log.frozen else ''}"
                f" cosigned {cosigned(machine, author)}"
                for author in self.machines
                for log in [stored(machine, author)]
            )
            guard = machine.node.joined.guard
            lines.append(f"{machine.name}: {guard.state} {guard.waiting_for}; {held}")
            lines += [f"  {peer.member}: {peer.state} {peer.error}" for peer in machine.driver.peers.values()]
        return "\n".join(lines)


class _Wire(httpx.AsyncBaseTransport):
    """What carries one machine's calls."""

    def __init__(self, sender: Machine) -> None:
        self._sender = sender
        self._simulation = sender.simulation

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        sim, sender = self._simulation, self._sender
        if not sender.is_up:
            raise Crashed("a dead machine calls nobody")
        content = await request.aread()
        target = sim.reach(sender, request.url.host)
        await self._pass(target)
        if not target.is_up:
            raise httpx.ConnectError("connection refused")
        if sim.strikes(sim.weather.repeat):
            _again = sim.loop.create_task(self._repeat(target, request, content))
        found = await target.answer(request, content)
        if found is None:
            raise httpx.ReadError("connection reset")
        await self._pass(target)
        status, headers, answer = found
        if target.lie is not None:
            status, answer = target.lie(request.url.raw_path.decode(), (status, answer), sim.chance)
            headers = []
        self._note(request.url.path, status, answer)
        sim.trace.update(f"{sim.loop.time():.6f} {sender.name} {target.name} {request.url.path} {status}\n".encode())
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(answer))

    async def _pass(self, target: Machine) -> None:
        """One way: takes its time, or never arrives, which keep-alive notices where the caller has not given up."""
        sim = self._simulation
        await asyncio.sleep(sim.chance.uniform(0, sim.weather.delay_s))
        if sim.is_cut(self._sender.name, target.name) or sim.strikes(sim.weather.drop):
            await asyncio.sleep(KEEP_ALIVE_S)
            raise httpx.ReadError("connection lost")

    async def _repeat(self, target: Machine, request: httpx.Request, content: bytes) -> None:
        """The same message arrives once more; nobody waits for this answer."""
        await asyncio.sleep(self._simulation.chance.uniform(0, 2.0))
        if target.is_up:
            await target.answer(request, content)

    def _note(self, path: str, status: int, answer: bytes) -> None:
        """Remember every checkpoint that left; two of an honest author that contradict end the run at once."""
        if status != 200 or not path.endswith("/checkpoint"):
            return
        sim = self._simulation
        for name in sim.machines:
            found = sim.verified(name, answer)
            if found is not None:
                root = sim.seen.setdefault((name, found.size), found.root)
                if root != found.root and sim.machines[name].is_honest:
                    sim.faults.append(f"{name} let two histories out, at {found.size}")


async def _call(app: FastAPI, request: httpx.Request, content: bytes) -> tuple[int, list[Any], bytes]:
    """One request through the app, as a server would put it."""
    path, _, query = request.url.raw_path.partition(b"?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method,
        "scheme": request.url.scheme, "path": request.url.path, "raw_path": path, "query_string": query,
        "root_path": "", "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 1), "server": (request.url.host, 443), "state": {},
    }  # fmt: skip
    messages = [{"type": "http.request", "body": content, "more_body": False}]
    status, headers, chunks = 500, [], []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("never")

    async def send(message: Any) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message["headers"])
        else:
            chunks.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, headers, b"".join(chunks)


def stored(machine: Machine, author: str) -> logs.StoredLog:
    """What a running machine holds of a log."""
    with machine.node.store.read() as tx:
        return machine.node.find_log(tx, author)


def cosigned(machine: Machine, author: str) -> int:
    with machine.node.store.read() as tx:
        return checkpoints.cosigned_size(tx, machine.node.find_log(tx, author).number, machine.name)


def gaps(machine: Machine, author: str) -> dict[int, str]:
    with machine.node.store.read() as tx:
        return dict(sidecars.list_gaps(tx, machine.node.find_log(tx, author).number))
