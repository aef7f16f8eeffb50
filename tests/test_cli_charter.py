"""`init`, `charter`, `card` on files: from nothing to a network file that all have signed."""

from __future__ import annotations

import json
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.charter import Council
from ledger.jsontext import encode_canonical
from ledger.keys import SigningKey
from ledger.letters import BOM
from ledger.names import MemberName, NetworkName
from ledger.network import MemberFile, decode_member_file, decode_network_file, encode_network_file, verify_network_file
from node import founding
from node.cli.trust import read_trust
from node.config import ConfigBroken, load_settings
from node.founding import (
    CopiesDiffer,
    FolderTaken,
    FoundingBroken,
    NewNode,
    NotInCharter,
    draw_up,
    encode_settings,
    listening_at,
    make_member_file,
    make_node,
    merge_files,
    missing_members,
    open_keyring,
    sign_file,
)
from node.keyring import make_keyring
from node.node import Node
from node.tokens import TokenBook, TokenRefused
from tests.make_cli import NETWORK, found, make_folders, tally


def fingerprint_of(file: Path) -> str:
    return verify_network_file(decode_network_file(file.read_bytes())).id.hex()


@pytest.mark.slow
def test_a_byte_order_mark_before_member_files_and_settings_is_dropped(tmp_path: Path) -> None:
    folders = make_folders(tmp_path, "fishery", "retailer")
    marked = [folder / "member.json" for folder in folders]
    for file in [*marked, folders[0] / "tally.toml"]:
        file.write_bytes(BOM + file.read_bytes())
    drawn = tally("charter", "new", *marked, "--dir", folders[0], "-o", tmp_path / "network.json")
    assert drawn.code == 0, drawn.err
    signed = tmp_path / "network.json"
    signed.write_bytes(BOM + signed.read_bytes())
    assert tally("charter", "sign", signed, "--dir", folders[1]).code == 0
    assert not signed.read_bytes().startswith(BOM)
    verify_network_file(decode_network_file(signed.read_bytes()))


# --- a folder -----------------------------------------------------------------------------


def test_init_makes_a_node_that_opens(tmp_path: Path) -> None:
    done = tally("init", tmp_path / "n", "--network", NETWORK, "--member", "fishery", "--json")
    assert done.json["endpoints"] == ["http://127.0.0.1:7450"]
    node = Node.open(tmp_path / "n")
    token = (tmp_path / "n" / "admin-token").read_text().strip()
    assert TokenBook(node.store, node.clock).verify(token).scopes == {"admin", "audit", "read", "write"}
    node.close()


def test_only_the_member_file_is_for_others(tmp_path: Path) -> None:
    (folder,) = make_folders(tmp_path, "fishery")
    paths = [folder, *folder.rglob("*")]
    open_to_others = [path.name for path in paths if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    assert open_to_others == ["member.json"]
    assert decode_member_file((folder / "member.json").read_bytes()).member.name == "fishery"


@pytest.mark.slow
def test_init_keeps_the_keys_under_a_passphrase(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    words = ("--network", NETWORK, "--member", "fishery", "--passphrase-file", secret)
    assert tally("init", tmp_path / "n", *words).code == 0
    assert b"seed" not in (tmp_path / "n" / "keys" / "root.json").read_bytes()
    assert open_keyring(tmp_path / "n").root.public.name == f"{NETWORK}/fishery/root"


def test_init_never_replaces_a_node(tmp_path: Path) -> None:
    (folder,) = make_folders(tmp_path, "fishery")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert tally("init", folder, "--network", NETWORK, "--member", "fishery").code == 1
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_init_that_broke_off_is_not_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    new = NewNode(network=NETWORK, member="fishery", endpoints=("http://127.0.0.1:1",), settings={})
    for step in ("save_keyring", "write_durably", "_renew_admin_token"):
        folder = tmp_path / step
        with monkeypatch.context() as patch:
            patch.setattr(founding, step, fail)
            with pytest.raises(OSError, match="No space"):
                make_node(folder, new, now_ms=0)
        if step == "save_keyring":
            make_node(folder, new, now_ms=0)
        else:
            with pytest.raises(FolderTaken):
                make_node(folder, new, now_ms=0)


def test_a_name_that_none_can_have_is_refused_with_the_rule(tmp_path: Path) -> None:
    done = tally("init", tmp_path / "n", "--network", "Bad Name", "--member", "fishery")
    assert (done.code, "'Bad Name' is not 1 to" in done.err) == (1, True)
    assert "rule for names" in done.err


@pytest.mark.slow
def test_a_lost_admin_token_is_replaced_and_the_old_one_revoked(tmp_path: Path) -> None:
    (folder,) = make_folders(tmp_path, "fishery")
    old = (folder / "admin-token").read_text().strip()
    assert tally("token", "admin", "--dir", folder).code == 0
    new = (folder / "admin-token").read_text().strip()
    node = Node.open(folder)
    book = TokenBook(node.store, node.clock)
    assert "admin" in book.verify(new).scopes
    with pytest.raises(TokenRefused):
        book.verify(old)
    node.close()
    for lost in ("nonsense", "\u00e9"):
        (folder / "admin-token").write_text(lost)
        assert tally("token", "admin", "--dir", folder).code == 0
    (folder / "admin-token").unlink()
    assert tally("token", "admin", "--dir", folder).code == 0
    assert (folder / "admin-token").stat().st_mode & 0o777 == 0o600


def test_no_token_is_made_where_there_is_no_node(tmp_path: Path) -> None:
    assert tally("token", "admin", "--dir", tmp_path).code == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--network", "N", "--member", "fishery"], 1),
        (["--network", "n", "--member", "-fishery"], 1),
        (["--network", "n", "--member", "fishery", "--endpoint", "http://node.example:80"], 1),
        (["--network", "n", "--member", "fishery", "--port", "65536"], 3),
        (["--network", "n", "--member", "fishery", "--tls-cert", __file__], 3),
    ],
)
def test_init_refuses_what_no_card_could_hold_and_leaves_nothing(tmp_path: Path, words: list[str], code: int) -> None:
    assert tally("init", tmp_path / "n", *words).code == code
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://127.0.0.1:9000", ("127.0.0.1", 9000)),
        ("http://[::1]:9000", ("127.0.0.1", 9000)),
        ("https://node.example:8443", ("0.0.0.0", 8443)),
        ("https://node.example", ("0.0.0.0", 7450)),
        ("https://[2001:db8::7]", ("0.0.0.0", 7450)),
    ],
)
def test_a_node_listens_where_its_endpoint_says(endpoint: str, expected: tuple[str, int]) -> None:
    assert listening_at(endpoint, has_tls=True) == expected
    assert listening_at(endpoint, has_tls=False) == ("127.0.0.1", expected[1])  # behind a proxy, or for itself


def test_settings_of_any_text_are_read_back(tmp_path: Path) -> None:
    odd = 'a"b\\c\u007fd\u00e9\n'
    values = {"network": NETWORK, "member": "m", "endpoints": ["http://127.0.0.1:1"], "port": 1, "tls_ca": "/x/" + odd}
    (tmp_path / "tally.toml").write_bytes(encode_settings(values))
    settings = load_settings(tmp_path)
    assert (settings.port, str(settings.tls_ca)) == (1, "/x/" + odd)


def test_relative_paths_start_where_the_settings_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where a node happens to be started: it would find no key, or somebody else's."""
    folder = tmp_path / "node"
    folder.mkdir()
    values: dict[str, object] = {"network": NETWORK, "member": "m", "endpoints": ["http://127.0.0.1:1"]}
    files: dict[str, object] = {
        "tls_cert": "tls/c.pem",
        "tls_key": "/etc/k.pem",
        "tls_ca": "../ca.pem",
        "passphrase_file": "secret",
    }
    (folder / "tally.toml").write_bytes(encode_settings(values | files))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLY_TLS_CA", "elsewhere.pem")
    settings = load_settings(Path("node"))
    monkeypatch.chdir(folder)
    assert settings.tls_cert == folder / "tls" / "c.pem"
    assert settings.tls_key == Path("/etc/k.pem")
    assert settings.passphrase_file == folder / "secret"
    assert settings.tls_ca == Path("elsewhere.pem")
    (folder / "tally.toml").write_bytes(encode_settings(values | {"tls_key": 7}))
    with pytest.raises(ConfigBroken, match="tls_key"):
        load_settings(folder)


# --- a charter ------------------------------------------------------------------------------


@pytest.mark.slow
def test_four_firms_found_a_network(tmp_path: Path) -> None:
    file = found(tmp_path, "carrier", "fishery", "processor", "retailer")
    network = verify_network_file(decode_network_file(file.read_bytes()))
    assert network.charter.names == ("carrier", "fishery", "processor", "retailer")
    assert network.charter.f == 1
    assert network.charter.council.threshold == 3
    shown = tally("charter", "show", "--file", file, "--json").json
    assert shown["fingerprint"] == network.id.hex()
    assert all(member["signed"] for member in shown["members"])


@pytest.mark.slow
def test_each_member_signs_its_own_copy_and_one_puts_them_together(tmp_path: Path) -> None:
    folders = make_folders(tmp_path, "a", "b", "c")
    first = tmp_path / "network.json"
    tally("charter", "new", *(folder / "member.json" for folder in folders), "--dir", folders[0], "-o", first)
    copies = []
    for folder in folders[1:]:
        copies.append(tmp_path / f"{folder.name}.json")
        shutil.copy(first, copies[-1])
        assert tally("charter", "sign", copies[-1], "--dir", folder).code == 0
    done = tally("charter", "sign", first, *copies, "--dir", folders[0], "--json")
    assert [member["signed"] for member in done.json["members"]] == [True] * 3
    verify_network_file(decode_network_file(first.read_bytes()))


@pytest.mark.slow
def test_verify_tells_proved_from_incomplete_and_invalid(tmp_path: Path) -> None:
    folders = make_folders(tmp_path, "a", "b")
    file = tmp_path / "network.json"
    members = [folder / "member.json" for folder in folders]
    drawn = tally("charter", "new", *members, "--dir", folders[0], "-o", file, "--json").json
    assert tally("charter", "verify", file, "--trust", drawn["fingerprint"]).code == 2
    tally("charter", "sign", file, "--dir", folders[1])
    incomplete = tally("charter", "verify", file, "--json")
    assert (incomplete.code, incomplete.json["lacking"]) == (2, ["a fingerprint to trust (--trust)"])
    assert tally("charter", "verify", file, "--trust", drawn["fingerprint"].upper()).code == 0
    assert tally("charter", "verify", file, "--trust", file).code == 0
    assert tally("charter", "verify", file, "--trust", "00" * 32).code == 1
    assert tally("charter", "verify", file, "--trust", "typo").code == 3
    file.write_bytes(file.read_bytes().replace(b'\\"f\\":0', b'\\"f\\":1'))
    assert tally("charter", "verify", file, "--trust", drawn["fingerprint"]).code == 1


@pytest.mark.slow
def test_sign_refuses_a_charter_that_is_not_the_expected_one(tmp_path: Path) -> None:
    folders = make_folders(tmp_path, "a", "b")
    file = tmp_path / "network.json"
    tally("charter", "new", *(f / "member.json" for f in folders), "--dir", folders[0], "-o", file)
    before = file.read_bytes()
    assert tally("charter", "sign", file, "--dir", folders[1], "--trust", "00" * 32).code == 1
    assert file.read_bytes() == before


def test_new_never_replaces_a_file(tmp_path: Path) -> None:
    (folder,) = make_folders(tmp_path, "a")
    file = tmp_path / "network.json"
    file.write_text("precious")
    assert tally("charter", "new", folder / "member.json", "--dir", folder, "-o", file).code == 3
    assert file.read_text() == "precious"


@pytest.mark.slow
def test_council_and_threshold_are_as_asked(tmp_path: Path) -> None:
    folders = make_folders(tmp_path, "a", "b", "c", "d")
    members = [folder / "member.json" for folder in folders]
    words = ["--council", "a", "--council", "b", "--council", "c", "--threshold", "3", "--f", "0"]
    done = tally("charter", "new", *members, *words, "--dir", folders[0], "-o", tmp_path / "n.json", "--json")
    assert done.json["council"] == {"members": ["a", "b", "c"], "threshold": 3}
    assert done.json["f"] == 0
    refused = tally("charter", "new", *members, "--threshold", "2", "--dir", folders[0], "-o", tmp_path / "m.json")
    assert refused.code == 1
    assert not (tmp_path / "m.json").exists()


@pytest.mark.slow
def test_a_charter_is_drawn_up_by_a_member_of_it(tmp_path: Path) -> None:
    a, b = make_folders(tmp_path, "a", "b")
    done = tally("charter", "new", a / "member.json", "--dir", b, "-o", tmp_path / "n.json")
    assert done.code == 1
    assert "not-in-charter" in done.err


@pytest.mark.slow
def test_a_forged_member_file_is_refused(tmp_path: Path) -> None:
    a, b = make_folders(tmp_path, "a", "b")
    value = json.loads((b / "member.json").read_bytes())
    value["card"] = value["card"].replace("7450", "7451")
    (b / "member.json").write_bytes(encode_canonical(value) + b"\n")
    done = tally("charter", "new", a / "member.json", b / "member.json", "--dir", a, "-o", tmp_path / "n.json")
    assert done.code == 1
    assert "bad-signature" in done.err


def _member(name: str, network: str = NETWORK) -> tuple[MemberFile, SigningKey]:
    keyring = make_keyring(NetworkName(network), MemberName(name))
    return make_member_file(keyring, NetworkName(network), MemberName(name), endpoints=[]), keyring.root


def test_member_files_of_two_networks_or_one_name_make_no_charter() -> None:
    (a, key), (b, _), (again, _) = _member("a"), _member("b", "other"), _member("a")
    with pytest.raises(FoundingBroken, match="2 networks"):
        draw_up([a, b], key)
    with pytest.raises(FoundingBroken, match="one member"):
        draw_up([a, again], key)


def test_only_a_listed_key_signs() -> None:
    (a, key), (b, _), (_, foreign) = _member("a"), _member("b"), _member("b")
    file = draw_up([a, b], key)
    with pytest.raises(NotInCharter):
        sign_file(file, foreign)
    assert missing_members(file) == ("b",)


def test_copies_that_differ_in_more_than_signatures_are_not_put_together() -> None:
    (a, key), (b, other) = _member("a"), _member("b")
    file = draw_up([a, b], key)
    another_council = draw_up([a, b], key, council=Council(members=(MemberName("a"),), threshold=1))
    with pytest.raises(CopiesDiffer, match="charters"):
        merge_files([file, another_council])
    with pytest.raises(CopiesDiffer, match="cards"):
        merge_files([file, replace(file, cards=file.cards[:1])])
    assert merge_files([file, sign_file(file, other)]) == sign_file(file, other)


# --- cards and trust ----------------------------------------------------------------------


@pytest.mark.slow
def test_cards_are_shown_from_a_file(tmp_path: Path) -> None:
    file = found(tmp_path, "a", "b")
    assert [card["member"] for card in tally("card", "show", "--file", file, "--json").json] == ["a", "b"]
    shown = tally("card", "show", "b", "--file", file)
    assert f"{NETWORK}/b/transport+" in shown.out
    assert tally("card", "show", "c", "--file", file).code == 1


@pytest.mark.slow
def test_trust_is_a_fingerprint_a_network_file_or_a_charter(tmp_path: Path) -> None:
    file = found(tmp_path, "a", "b")
    charter = tmp_path / "charter"
    charter.write_bytes(decode_network_file(file.read_bytes()).charters[0])
    wanted = fingerprint_of(file)
    spaced = " ".join(wanted[i : i + 8] for i in range(0, 64, 8))
    for text in (wanted, spaced.upper(), str(file), str(charter)):
        assert read_trust(text).network.hex() == wanted


def test_a_fingerprint_is_one_even_where_a_file_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive from somebody may hold such a file, with another network in it."""
    wanted = fingerprint_of(found(tmp_path / "right", "a", "b"))
    impostor = found(tmp_path / "wrong", "a", "b")
    monkeypatch.chdir(tmp_path)
    (tmp_path / wanted).write_bytes(impostor.read_bytes())
    assert read_trust(wanted).network.hex() == wanted
    assert read_trust(f"./{wanted}").network.hex() == fingerprint_of(impostor) != wanted


@pytest.mark.slow
def test_trust_in_a_charter_that_not_all_signed_is_refused(tmp_path: Path) -> None:
    folders = make_folders(tmp_path, "a", "b")
    file = tmp_path / "network.json"
    tally("charter", "new", *(f / "member.json" for f in folders), "--dir", folders[0], "-o", file)
    done = tally("charter", "verify", file, "--trust", file)
    assert done.code == 3


def test_a_network_file_is_written_as_it_is_read(tmp_path: Path) -> None:
    file = found(tmp_path, "a", "b")
    assert encode_network_file(decode_network_file(file.read_bytes())) == file.read_bytes()
