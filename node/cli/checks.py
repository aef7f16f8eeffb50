"""The checks of `tally doctor`: each looks at one thing and says what it found and what to do."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ledger.errors import TallyError

if TYPE_CHECKING:
    from node.cli.client import NodeClient
    from node.config import Settings

DISK_FAIL_BYTES: Final = 200 << 20
DISK_WARN_BYTES: Final = 2 << 30
CERTIFICATE_WARN_DAYS: Final = 30
_PRIVATE: Final = ("admin-token", "ledger.db", "high-water", "cosigned", "tally.toml")
_PACKAGES: Final = ("contracts", "ledger", "node")
_DISTRIBUTION: Final = "tallystick"
_TOKENS_AGAIN: Final = "Tokens revoked since the backup are valid again: see `tally token list`."


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. `do`: what to do about it, empty where all is well."""

    name: str
    state: State
    says: str
    do: str = ""


# --- this program -------------------------------------------------------------------


def check_program() -> Iterator[Check]:
    """Which versions run, and that the packages loaded are those of this project."""
    from importlib.metadata import version

    python = ".".join(map(str, sys.version_info[:3]))
    yield Check("versions", State.OK, f"tally {version(_DISTRIBUTION)}, Python {python}")
    yield check_packages(
        {name: str(getattr(sys.modules.get(name) or __import__(name), "__file__", "")) for name in _PACKAGES},
        claims=_claims(),
    )


def check_packages(files: dict[str, str], *, claims: dict[str, list[str]]) -> Check:
    """Other projects install packages named `node` or `ledger` too; the wrong one in front breaks in odd places.

    files: package -> its __init__.py as loaded. claims: package -> distributions that install one of that name.
    """
    home = Path(__file__).resolve().parents[2]
    foreign = [name for name, file in files.items() if Path(file).resolve().parent != home / name]
    others = sorted({claim for name in _PACKAGES for claim in claims.get(name, []) if claim != _DISTRIBUTION})
    do = "Install tally in an environment of its own: pipx install PATH, of a clone of it or of its wheel."
    if foreign:
        return Check("packages", State.FAIL, f"not ours: {', '.join(foreign)}", do)
    if others:
        return Check("packages", State.WARN, f"{', '.join(others)} installs packages of the same names", do)
    return Check("packages", State.OK, f"ours, in {home}")


def check_contracts() -> Check:
    """Whether contracts run here: for their authors. No node of this version runs any, so it is no failure of one."""
    try:
        from contracts.engine.checking import check_engine

        is_compiled = check_engine()
    except TallyError as cause:
        return Check("contracts", State.WARN, str(cause), cause.hint)
    except ImportError as cause:
        return Check("contracts", State.WARN, f"the engine cannot be loaded: {cause}", "Install tally again.")
    if is_compiled:
        return Check("contracts", State.OK, "the engine runs, and is compiled")
    return Check(
        "contracts", State.OK, "the engine is not compiled yet: the first contract command takes about ten seconds"
    )


def _claims() -> dict[str, list[str]]:
    from importlib.metadata import packages_distributions

    return {name: list(found) for name, found in packages_distributions().items() if name in _PACKAGES}


# --- the folder ---------------------------------------------------------------------


def check_folder(folder: Path) -> Iterator[Check]:
    """Permissions, keys, space."""
    open_to_others = [path for path in _private_paths(folder) if _is_open(path)]
    if open_to_others:
        names = ", ".join(str(path) for path in open_to_others[:5])
        yield Check("permissions", State.FAIL, f"others can read {names}", f"chmod -R go= {folder}")
    else:
        yield Check("permissions", State.OK, "keys, token and store are the owner's alone")
    yield _check_keys(folder)
    yield check_space(shutil.disk_usage(folder).free)
    yield _check_mark(folder)


def check_space(free_bytes: int) -> Check:
    """A full disk stops every append."""
    shown = f"{free_bytes / (1 << 30):.1f} GiB free"
    if free_bytes < DISK_FAIL_BYTES:
        return Check("disk", State.FAIL, shown, "Make room now: the node stops to record when the disk is full.")
    if free_bytes < DISK_WARN_BYTES:
        return Check("disk", State.WARN, shown, "Make room soon.")
    return Check("disk", State.OK, shown)


def _private_paths(folder: Path) -> list[Path]:
    keys = sorted((folder / "keys").glob("*.json"))
    return [folder / "keys", *keys, *(folder / name for name in _PRIVATE)]


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except FileNotFoundError:
        return False


def _check_keys(folder: Path) -> Check:
    from node.founding import open_keyring

    try:
        keyring = open_keyring(folder)
    except (TallyError, OSError) as cause:
        return Check("keys", State.FAIL, str(cause), "Restore the folder keys/ from its backup.")
    there = "all there" if keyring.root_here else "all there but the root key, which a node does not need"
    return Check("keys", State.OK, f"{there}; log key {keyring.log.public.id}")


def _check_mark(folder: Path) -> Check:
    from node.highwater import read_high_water

    try:
        mark = read_high_water(folder / "high-water")
    except TallyError as cause:
        return Check("high-water", State.FAIL, str(cause), cause.hint)
    return Check("high-water", State.OK, "nothing signed yet" if mark is None else f"signed up to {mark.size}")


def check_certificate(settings: Settings, *, now_ms: int) -> Iterator[Check]:
    """The files of TLS are what they should be. A certificate that runs out takes the node off the network."""
    from cryptography.x509 import load_pem_x509_certificate

    from node.tlsfiles import check_tls_files

    try:
        check_tls_files(tls_cert=settings.tls_cert, tls_key=settings.tls_key, tls_ca=settings.tls_ca)
        if settings.tls_cert is None:
            return
        certificate = load_pem_x509_certificate(settings.tls_cert.read_bytes())
    except (TallyError, OSError, ValueError) as cause:
        yield Check("certificate", State.FAIL, str(cause), "Set tls_cert, tls_key, tls_ca to good files in PEM form.")
        return
    days = int((certificate.not_valid_after_utc.timestamp() * 1000 - now_ms) // 86_400_000)
    do = "Renew it, then restart the node."
    if days < 0:
        yield Check("certificate", State.FAIL, f"ran out {-days} days ago", do)
    elif days < CERTIFICATE_WARN_DAYS:
        yield Check("certificate", State.WARN, f"runs out in {days} days", do)
    else:
        yield Check("certificate", State.OK, f"good for {days} days")


def check_stored(folder: Path) -> Iterator[Check]:
    """Bodies of the own log that are missing; nothing before a charter was adopted, when there is no own log."""
    from ledger.names import decode_origin
    from node.config import DATABASE_NAME
    from node.storage import facts, logs, sidecars
    from node.storage.engine import DatabaseError
    from node.storage.store import Store

    if not (folder / DATABASE_NAME).is_file():
        return
    store = Store.open_readonly(folder / DATABASE_NAME)
    try:
        with store.read() as tx:
            own = facts.get_meta(tx, facts.OWN_ORIGIN)
            log = own and logs.find_log(tx, decode_origin(own))
            if log:
                yield check_bodies(sidecars.count_gaps(tx, log.number))
    except DatabaseError as cause:
        yield Check("store", State.FAIL, str(cause.orig), "`tally fsck` says what is damaged; or restore a backup.")
    finally:
        store.close()


def check_bodies(gaps: int) -> Check:
    """What was lost with a database that was replaced stays lost, unless another backup or a peer has it."""
    if not gaps:
        return Check("bodies", State.OK, "none of the own log is missing")
    do = "`tally fsck` names each. Keep newer backups, and peers reachable: they may have them. " + _TOKENS_AGAIN
    return Check("bodies", State.WARN, f"{gaps} of the own log are missing", do)


# --- the running node ---------------------------------------------------------------


def check_node(client: NodeClient) -> Iterator[Check]:
    """Whether it runs, is in a network, and may sign."""
    status = client.get_json("/status")
    yield Check("node", State.OK, f"{status['version']} runs for {status['uptime_s']} s as {status['member']}")
    if status["fingerprint"] is None:
        yield Check("network", State.WARN, "no charter adopted yet", "tally charter adopt FILE")
        return
    yield Check("network", State.OK, f"{status['network']}, fingerprint {status['fingerprint']}")
    yield check_guard(status["guard"])
    frozen = [f"{log['origin']} ({log['frozen']})" for log in status["logs"] if log["frozen"]]
    if frozen:
        yield Check("logs", State.FAIL, f"frozen: {', '.join(frozen)}", "`tally evidence list`; call that member.")


def check_guard(guard: dict[str, Any]) -> Check:
    """The start-up guard: may this node sign, and whom does it wait for?"""
    from node.guard import OPERATOR, NodeNotReady

    if guard["state"] == "ready":
        return Check("guard", State.OK, "the node may sign")
    wants = guard["waiting_for"]
    says = str(NodeNotReady(state=guard["state"], waiting_for=", ".join(wants) or "peers"))
    do = "Bring them up. If this folder was surely not restored from a backup: tally serve --not-restored."
    if any(want.startswith(OPERATOR) for want in wants):
        do = "Peers cannot settle that: docs/guide/operate.md, Restore, says what to put back, and when to override."
    elif guard["state"] == "behind":
        do = "It was restored: leave it running and the peers reachable, it fetches that back. " + _TOKENS_AGAIN
    return Check("guard", State.WARN, says, do)


def check_port(settings: Settings) -> Check:
    """For a node that does not run: could it listen?"""
    from node.cli.client import port_error

    error = port_error(settings.host, settings.port)
    if error:
        return Check("port", State.FAIL, f"{settings.host}:{settings.port}: {error}",
                     "Stop what listens there, or set another port in tally.toml.")  # fmt: skip
    return Check("port", State.OK, f"{settings.host}:{settings.port} is free")


def check_peers(settings: Settings, endpoints: dict[str, tuple[str, ...]]) -> Iterator[Check]:
    """Whether each other member answers at one of its addresses, and what its clock says."""
    from node.cli.client import Address, probe

    for member, urls in endpoints.items():
        if member == settings.member:
            continue
        found = [(url, probe(Address(url=url, authorities=settings.tls_ca))) for url in urls]
        good = next((answer for _, answer in found if not answer.error), None)
        if good is None:
            said = "; ".join(f"{url}: {answer.error}" for url, answer in found) or "its card names no address"
            yield Check(f"peer {member}", State.WARN, said,
                        "Ask whether it runs; check firewall, DNS, and tls_ca for its certificate.")  # fmt: skip
            continue
        yield check_clock(member, good.clock_ahead_s, skew_s=settings.clock_skew_s)


def check_clock(member: str, ahead_s: float, *, skew_s: int) -> Check:
    """Signed calls are refused where two clocks differ by more than `skew_s`; the header has whole seconds."""
    if abs(ahead_s) <= 2:
        return Check(f"peer {member}", State.OK, "answers, and its clock agrees")
    side = "ahead of" if ahead_s > 0 else "behind"
    state = State.FAIL if abs(ahead_s) > skew_s else State.WARN
    return Check(f"peer {member}", state, f"answers; its clock is {abs(ahead_s):.0f} s {side} this one",
                 "Let both machines keep time by NTP.")  # fmt: skip


def process_owner(folder: Path) -> Check:
    """Root could read everything; a service account of its own cannot be asked for other files."""
    owner = folder.stat().st_uid
    if owner != os.geteuid():
        return Check("owner", State.WARN, f"the folder belongs to user {owner}, this runs as {os.geteuid()}",
                     "Run tally as the folder's owner.")  # fmt: skip
    return Check("owner", State.OK, "this user owns the folder")
