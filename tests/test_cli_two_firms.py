"""Two firms in processes of their own, over TLS, by the commands of docs/guide/two-firms.md; and a restore."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.make_cli import NETWORK, Result, tally
from tests.make_running import free_port
from tests.source import ROOT

pytestmark = pytest.mark.slow
_WAIT_S = 120.0
CONTRACT = """'''Shipments, the price withheld.'''
ROLES = {"seller", "buyer"}
SIGNERS = set()
AUTHORS = {"ship": {"seller"}}
SHARES = {"ship": {"/*": {"seller", "buyer"}, "/price": {"seller"}}}
"""


def make_authority(root: Path, *folders: Path) -> None:
    """An authority, and a certificate of it for each folder's node on this machine."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
    ca = _certificate(ca_name, ca_name, ca_key.public_key(), ca_key, is_authority=True)
    (root / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    for folder in folders:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, folder.name)])
        certificate = _certificate(name, ca_name, key.public_key(), ca_key, is_authority=False)
        (root / f"{folder.name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (root / f"{folder.name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[None]:
    """`tally serve` in a process of its own, until the block ends."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    with (folder / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "node.cli", "serve", "--dir", str(folder), *options],
            cwd=ROOT, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_for(
            lambda: process.poll() is not None or tally("token", "list", "--dir", folder).code == 0,
            f"{folder.name} serves",
        )
        assert process.poll() is None, (folder / "serve.log").read_text()
        yield
    finally:
        process.terminate()
        assert process.wait(20) == 0, (folder / "serve.log").read_text()


def wait_for(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _WAIT_S
    while not holds():
        assert time.monotonic() < until, f"not within {_WAIT_S} s: {what}"
        time.sleep(0.1)


def ask(folder: Path, *words: str | Path) -> Any:
    done: Result = tally(*words, "--dir", folder, "--json")
    assert done.code == 0, done.err
    return done.json


def is_ready(folder: Path) -> bool:
    done = tally("doctor", "--dir", folder, "--json")
    return {"name": "guard", "state": "ok"}.items() <= _row(done.json, "guard").items()


def _row(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next((row for row in rows if row["name"] == name), {})


def entries_of(folder: Path) -> int:
    """How many entries the node holds, its own and its peers'."""
    return int(tally("fsck", "--dir", folder, "--json").json["entries"])


@pytest.fixture
def firms(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Folders of two firms, and the network file that both signed."""
    fishery, retailer = tmp_path / "fishery", tmp_path / "retailer"
    make_authority(tmp_path, fishery, retailer)
    for folder in (fishery, retailer):
        words = ["--network", NETWORK, "--member", folder.name, "--endpoint", f"https://localhost:{free_port()}"]
        words += ["--host", "127.0.0.1", "--tls-ca", str(tmp_path / "ca.pem")]
        words += ["--tls-cert", str(tmp_path / f"{folder.name}.pem"), "--tls-key", str(tmp_path / f"{folder.name}.key")]
        assert tally("init", folder, *words).code == 0
    file = tmp_path / "network.json"
    members = (fishery / "member.json", retailer / "member.json")
    fingerprint = tally("charter", "new", *members, "--dir", fishery, "-o", file, "--json").json["fingerprint"]
    assert tally("charter", "sign", file, "--trust", fingerprint, "--dir", retailer).code == 0
    return fishery, retailer, file


@pytest.mark.timeout(240)
def test_two_firms_share_and_one_comes_back_from_its_keys_alone(firms: tuple[Path, Path, Path], tmp_path: Path) -> None:
    fishery, retailer, file = firms
    with serving(retailer):
        with serving(fishery):
            for folder in (fishery, retailer):
                assert tally("charter", "adopt", file, "--dir", folder).code == 0
            wait_for(lambda: is_ready(fishery) and is_ready(retailer), "both may sign")
            _share(fishery, retailer, tmp_path)
            _prove(fishery, file, tmp_path)
            held = entries_of(fishery)
            rows = tally("doctor", "--dir", fishery, "--json").json
            assert (_row(rows, "peer retailer")["state"], _row(rows, "certificate")["state"]) == ("ok", "ok")
        _lose_all_but_keys(fishery)
        assert tally("token", "admin", "--dir", fishery).code == 0
        with serving(fishery):
            assert tally("charter", "adopt", file, "--dir", fishery).code == 0
            wait_for(lambda: is_ready(fishery) and entries_of(fishery) >= held, "the fishery has its log back")
            # What it shared comes back from whom it was shared with; what it kept to itself is gone with the disk.
            wait_for(lambda: _reads(fishery, "fishery/2") == {"quantity": 7}, "the fishery has its bodies back")
            checked = tally("fsck", "--dir", fishery, "--json")
            assert (checked.code, checked.json["sound"], checked.json["gaps"] > 0) == (2, True, True)


def _share(fishery: Path, retailer: Path, root: Path) -> None:
    (root / "contract.py").write_text(CONTRACT)
    (root / "one.ndjson").write_text('{"type":"ship","body":{"quantity":7,"price":"9.50"}}\n')
    parties = ("--party", "seller=fishery", "--party", "buyer=retailer")
    contract = ask(fishery, "contract", "propose", root / "contract.py", *parties)["id"]
    wait_for(lambda: bool(ask(retailer, "contract", "list")["contracts"]), "the proposal arrives")
    assert ask(retailer, "contract", "accept", contract[:12])["status"] == "active"
    wait_for(lambda: bool(ask(fishery, "contract", "show", contract)["status"] == "active"), "the acceptance arrives")
    assert tally("capture", root / "one.ndjson", "--contract", contract[:12], "--dir", fishery).code == 0
    wait_for(lambda: _reads(retailer, "fishery/2") == {"quantity": 7}, "the record arrives without its price")
    assert _reads(fishery, "fishery/2") == {"quantity": 7, "price": "9.50"}


def _reads(folder: Path, place: str) -> Any:
    done = tally("records", "show", place, "--dir", folder, "--json")
    return done.json["body"] if done.code == 0 else None


def _prove(fishery: Path, file: Path, root: Path) -> None:
    receipt = root / "receipt.json"

    def is_proved() -> bool:
        made = tally("receipt", "fishery/2", "--field", "/quantity", "--dir", fishery, "-o", receipt)
        return made.code == 0 and tally("verify", receipt, "--trust", file).code == 0

    wait_for(is_proved, "the retailer cosigns")
    forged = root / "forged.json"
    value = json.loads(receipt.read_bytes())
    value["disclosures"][0]["value"] = "8"
    forged.write_text(json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n")
    assert tally("verify", forged, "--trust", file).code == 1


def _lose_all_but_keys(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name not in ("keys", "tally.toml"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
