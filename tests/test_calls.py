"""Signed calls (docs/spec/calls.md): what a verifier refuses, one attack per test."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx
import pytest
from starlette.requests import Request

from ledger.card import make_card
from ledger.charter import Expulsion
from ledger.errors import UnknownKey
from ledger.keys import SigningKey, VerifyKey, decode_vkey
from ledger.names import MemberName
from node.membership import make_membership
from node.sync import signing
from node.sync.routes import message_of
from node.sync.signing import LIFETIME_S, CallEarly, CallRefused, CallSigner, CallVerifier, Message
from tests.make import Log
from tests.make_membership import FOUR, charter, firm, firms, network_file, signed
from tests.source import ROOT

PAGE: Final = (ROOT / "docs" / "spec" / "calls.md").read_text(encoding="utf-8")
NOW: Final = 1_763_683_200
HOST: Final = "retailer.example:8443"
URL: Final = f"https://{HOST}/v1/heads?since=abc&wait=240"
SKEW_S: Final = 60


@dataclass
class Clock:
    now_s: float = NOW

    def __call__(self) -> int:
        return int(self.now_s * 1000)


@dataclass
class Node:
    """The retailer's node: it knows the cards of all, and listens at one endpoint."""

    clock: Clock = field(default_factory=Clock)
    keys: dict[str, VerifyKey] = field(
        default_factory=lambda: {name: firm(name).transport_key().public for name in ("carrier", "fishery")}
    )

    endpoint: str = f"https://{HOST}"

    def __post_init__(self) -> None:
        self.verifier = CallVerifier(
            endpoints=lambda: (self.endpoint,), find_key=self._find, clock=self.clock, skew_s=SKEW_S
        )

    def _find(self, member: str, key_id: str) -> VerifyKey:
        found = self.keys.get(member)
        if found is None or found.id != key_id:
            raise CallRefused(reason="unknown key")
        return found

    def take(self, message: Message, body: bytes = b"") -> MemberName:
        return self.verifier.verify(message, body)


def call(
    method: str = "GET", url: str = URL, body: bytes = b"", *, who: str = "fishery", key: SigningKey | None = None,
    at: float = NOW,
) -> Message:  # fmt: skip
    signer = CallSigner(MemberName(who), key or firm(who).transport_key(), Clock(at))
    return Message(method, url, dict(signer.sign(method, url, body)))


def _changed(message: Message, pattern: str, by: str) -> Message:
    """With one thing in the signature's parameters changed, the signature left as it is."""
    headers = dict(message.headers)
    new = re.sub(pattern, by, headers["Signature-Input"], count=1)
    assert new != headers["Signature-Input"], "the change changes something"
    return replace(message, headers={**headers, "Signature-Input": new})


def _signed_anew(components: str, parameters: str, **headers: str) -> Message:
    """A call whose signature covers what a test wants, made by hand from RFC 9421, 2.5."""
    values = {
        '"@method"': "GET", '"@authority"': HOST, '"@path"': "/v1/heads", '"@query"': "?since=abc&wait=240",
        '"content-digest"': headers.get("Content-Digest", ""), '"@target-uri"': URL,
    }  # fmt: skip
    lines = [f"{name}: {values[name]}" for name in components.split()]
    lines.append(f'"@signature-params": ({components}){parameters}')
    signature = base64.b64encode(firm("fishery").transport_key().sign("\n".join(lines).encode())).decode()
    given = {"Signature-Input": f"x=({components}){parameters}", "Signature": f"x=:{signature}:", **headers}
    return Message("GET", URL, given)


ALL: Final = '"@method" "@authority" "@path" "@query"'


def _parameters(**changes: Any) -> str:
    given: dict[str, Any] = {
        "created": NOW, "keyid": '"fishery/5a2120f8"', "alg": '"ed25519"', "expires": NOW + 60,
        "nonce": '"0123456789abcdef"', "tag": '"tally"', **changes,
    }  # fmt: skip
    return "".join(f";{name}={value}" for name, value in given.items() if value is not None)


# --- what passes ----------------------------------------------------------------------------


def test_signed_call_names_its_member() -> None:
    assert Node().take(call()) == "fishery"


def test_call_made_by_hand_as_the_page_says_passes() -> None:
    assert Node().take(_signed_anew(ALL, _parameters())) == "fishery"
    assert Node().take(_signed_anew(ALL, _parameters(alg=None))) == "fishery"
    assert Node().take(_signed_anew(ALL + ' "@target-uri"', _parameters())) == "fishery"


def _examples() -> list[tuple[Message, bytes]]:
    found = []
    for block in re.findall(r"```\n((?:GET|POST) .*?)```", PAGE, re.DOTALL):
        head, _, body = block.partition("\n\n")
        first, *lines = head.rstrip("\n").splitlines()
        method, target, _ = first.split()
        headers = dict(line.split(": ", 1) for line in lines)
        found.append((Message(method, f"http://{headers['Host']}{target}", headers), body.encode()))
    return found


def test_examples_of_the_page_verify() -> None:
    key = re.search(r"^cold-chain\.example/fishery/transport\+\S+$", PAGE, re.MULTILINE)
    assert key is not None
    node = Node(keys={"fishery": decode_vkey(key[0])})
    examples = _examples()
    assert [message.method for message, _ in examples] == ["GET", "POST"]
    for message, body in examples:
        assert node.take(message, body) == "fishery"


def test_signature_base_of_the_page_is_what_was_signed() -> None:
    base = re.search(r'```\n("@method": GET\n.*?)\n```', PAGE, re.DOTALL)
    assert base is not None
    message, _ = _examples()[0]
    signature = base64.b64decode(message.headers["Signature"].removeprefix("pyhms=:").removesuffix(":"))
    firm("fishery").transport_key().public.verify(base[1].encode(), signature, what="the example")


# --- altered calls --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("POST", URL),
        ("GET", URL.replace("heads", "evidence")),
        ("GET", URL.replace("abc", "abd")),
        ("GET", URL.partition("?")[0]),
        ("GET", URL + "&since=x"),
        ("GET", URL.replace("/v1/", "/v1//")),
        ("GET", URL.replace("heads", "%68eads")),
    ],
)
def test_altered_call_is_refused(method: str, url: str) -> None:
    with pytest.raises(CallRefused):
        Node().take(replace(call(), method=method, url=url))


@pytest.mark.parametrize(
    ("pattern", "by"),
    [
        (r"created=\d+", f"created={NOW - 1}"),
        (r"expires=\d+", f"expires={NOW + 59}"),
        ("fishery/", "carrier/"),
        (r'nonce="..?', 'nonce="zz'),
        ('tag="tally"', 'tag="other"'),
        (r';tag="tally"', ""),
        (r' "@query"', ""),
        (r"$", ";extra=1"),
    ],
)
def test_altered_parameter_is_refused(pattern: str, by: str) -> None:
    with pytest.raises(CallRefused):
        Node().take(_changed(call(), pattern, by))


@pytest.mark.parametrize("missing", ['"@method"', '"@authority"', '"@path"', '"@query"'])
def test_missing_component_is_refused_though_the_signature_is_good(missing: str) -> None:
    components = " ".join(name for name in ALL.split() if name != missing)
    with pytest.raises(CallRefused, match="not covered"):
        Node().take(_signed_anew(components, _parameters()))


def test_altered_body_is_refused() -> None:
    message = call("POST", f"https://{HOST}/v1/evidence", b'{"first":1}')
    for body in (b'{"first":2}', b"", b'{"first":1} '):
        with pytest.raises(CallRefused, match="Digest"):
            Node().take(message, body)
    assert Node().take(message, b'{"first":1}') == "fishery"


def test_body_that_is_not_covered_is_refused() -> None:
    with pytest.raises(CallRefused):
        Node().take(call("POST", f"https://{HOST}/v1/evidence"), b"added on the way")


def test_digest_that_is_there_and_not_covered_is_refused() -> None:
    digest = {"Content-Digest": "sha-256=:Z5kc06zxfN1YaqDe1n1kcyFr2p5rZyCEAeGLgFiIYv8=:"}
    with pytest.raises(CallRefused):
        Node().take(_signed_anew(ALL, _parameters(), **digest), b'{"first":"..."}\n')


@pytest.mark.parametrize("gone", ["Signature", "Signature-Input"])
def test_unsigned_call_is_refused(gone: str) -> None:
    message = call()
    headers = {name: value for name, value in message.headers.items() if name != gone}
    for given in (headers, {}, {**headers, gone: "?"}, {**headers, gone: ""}):
        with pytest.raises(CallRefused):
            Node().take(replace(message, headers=given))


def test_two_signatures_of_ours_are_refused() -> None:
    one, other = call().headers, call().headers
    both: Mapping[str, str] = {
        name: f"{one[name]}, {other[name].replace('pyhms=', 'second=', 1)}" for name in ("Signature", "Signature-Input")
    }
    with pytest.raises(CallRefused, match="more than one"):
        Node().take(Message("GET", URL, dict(both)))


# --- keys -------------------------------------------------------------------------------------


def test_call_signed_by_another_members_key_is_refused() -> None:
    thief = firm("carrier").transport_key()
    with pytest.raises(CallRefused):
        Node().take(call(key=SigningKey(firm("fishery").transport_key().public, thief.seed)))
    with pytest.raises(CallRefused):
        Node().take(call(who="fishery", key=thief))


def test_key_that_is_no_transport_key_is_refused() -> None:
    for key in (firm("fishery").log_key(), firm("fishery").root_keys[0], firm("fishery").witness_key()):
        with pytest.raises(CallRefused):
            Node().take(call(key=key))


def test_key_of_an_older_card_signs_no_calls() -> None:
    fishery = firm("fishery")
    new = make_card(
        log_key=fishery.log_key().public,
        log_from=0,
        witness_keys=[fishery.witness_key().public],
        transport_keys=[fishery.transport_key(2).public],
        sealing_key=fishery.sealing_key().public,
        endpoints=("https://node.example:8443",),
        previous=fishery.card(),
    )
    old_id, new_id = (fishery.transport_key(number).public.id for number in (1, 2))
    before = make_membership(network_file(firms()))
    assert before.transport_key("fishery", old_id) == fishery.transport_key().public
    after = before.with_cards((fishery.signed(new),))
    assert after.transport_key("fishery", new_id) == fishery.transport_key(2).public
    with pytest.raises(UnknownKey):
        after.transport_key("fishery", old_id)


def test_expelled_and_unknown_members_sign_no_calls() -> None:
    gone = Expulsion(log=Log(firm("retailer")).origin, size=3)
    after = charter(firms(*FOUR[:3]), previous=charter(firms()), expelled=(gone,))
    file = network_file(firms())
    membership = make_membership(replace(file, charters=(*file.charters, signed(after, firms()))))
    for name in ("retailer", "nobody"):
        with pytest.raises(UnknownKey):
            membership.transport_key(name, firm(name).transport_key().public.id)


# --- place and time ---------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["carrier.example:8443", "retailer.example", "retailer.example:8444", "127.0.0.1"])
def test_call_for_another_host_is_refused_though_the_signature_is_good(host: str) -> None:
    """A peer passes on what was meant for it, unchanged."""
    with pytest.raises(CallRefused, match="another host"):
        Node().take(call(url=URL.replace(HOST, host)))


def test_call_for_another_host_is_refused_though_its_head_says_ours() -> None:
    message = call(url=URL.replace(HOST, "carrier.example:8443"))
    with pytest.raises(CallRefused):
        Node().take(replace(message, url=URL))


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://retailer.example", "https://retailer.example:80", "https://retailer.example:8443",
        "https://[2001:db8::1]:80", "http://localhost", "http://localhost:443", "http://127.0.0.1:7450",
    ],
)  # fmt: skip
def test_call_to_any_form_of_endpoint_passes(endpoint: str) -> None:
    """As it arrives: the host that an HTTP client sends, and TLS taken off by a proxy."""
    url = f"{endpoint}/v1/heads?since=abc&wait=240"
    host = httpx.Request("GET", url).headers["host"]
    arrived = replace(call(url=url), url=f"http://{host}/v1/heads?since=abc&wait=240")
    assert Node(endpoint=endpoint).take(arrived) == "fishery"


def _arrived(target: str, *hosts: str, signed: str = URL) -> Request:
    """A request for `target` with these lines of Host, under the head of a call to `signed`."""
    path, _, query = target.partition("?")
    headers = [("host", host) for host in hosts] + [
        (name.lower(), text) for name, text in call(url=signed).headers.items()
    ]
    return Request({
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(name.encode(), text.encode()) for name, text in headers],
    })  # fmt: skip


def test_request_is_checked_as_it_came() -> None:
    assert Node().take(message_of(_arrived("/v1/heads?since=abc&wait=240", HOST))) == "fishery"
    with pytest.raises(CallRefused):
        Node().take(message_of(_arrived("/v1/evidence", HOST)))


@pytest.mark.parametrize(
    ("target", "hosts"),
    [
        ("/v1/evidence", [f"{HOST}/v1/heads?since=abc&wait=240#"]),
        ("/v1/evidence", [f"{HOST}/v1/heads?since=abc&wait=240"]),
        ("&wait=240", [f"{HOST}/v1/heads?since=abc"]),
        ("/heads?since=abc&wait=240", [f"{HOST}/v1"]),
        ("/v1/heads?since=abc&wait=240", [f"x@{HOST}"]),
        ("/v1/heads?since=abc&wait=240", [f"{HOST}#"]),
        ("/v1/heads?since=abc&wait=240", [f"{HOST}\t"]),
        ("/v1/heads?since=abc&wait=240", [f"{HOST} "]),
        ("/v1/heads?since=abc&wait=240", []),
        ("/v1/heads?since=abc&wait=240", [HOST, HOST]),
        ("/v1/heads?since=abc&wait=240", [HOST, "carrier.example"]),
        ("/v1/heads?since=abc&wait=240#", [HOST]),
        ("/v1/heads?since=abc#&wait=240", [HOST]),
        ("/v1/he\tads?since=abc&wait=240", [HOST]),
        ("/v1/heads?since=a\nbc&wait=240", [HOST]),
    ],
)
def test_signed_call_is_not_turned_to_another_target_by_its_host(target: str, hosts: list[str]) -> None:
    """Put together and taken apart again, some of these are the call that was signed, or would be to some reader."""
    with pytest.raises(CallRefused):
        Node().take(message_of(_arrived(target, *hosts)))


def test_host_is_compared_without_case() -> None:
    assert Node().take(replace(call(), url=URL.replace(HOST, HOST.upper()))) == "fishery"


def test_replayed_call_is_refused_as_long_as_it_would_pass() -> None:
    node, message = Node(), call()
    node.take(message)
    for later_s in (0, 1, LIFETIME_S, LIFETIME_S + SKEW_S):
        node.clock.now_s = NOW + later_s
        with pytest.raises(CallRefused, match="replay"):
            node.take(message)
    node.clock.now_s = NOW + LIFETIME_S + SKEW_S + 1
    with pytest.raises(CallRefused, match="clocks"):
        node.take(message)


@pytest.mark.parametrize(("started", "passes"), [(NOW - 1, True), (NOW, True), (NOW + 0.001, False), (NOW + 30, False)])
def test_call_from_before_the_start_is_refused(started: float, passes: bool) -> None:
    """Its nonce is not known any more: it may be a recorded one."""
    node, message = Node(clock=Clock(started)), call()
    if passes:
        assert node.take(message) == "fishery"
        return
    for later_s in (1, LIFETIME_S, LIFETIME_S + SKEW_S - 30):
        node.clock.now_s = started + later_s
        with pytest.raises(CallEarly):
            node.take(message)
    again = math.ceil(started)
    with pytest.raises(CallEarly, match=f"at {again}$"):
        node.take(message)
    node.clock.now_s = again
    assert node.take(call(at=again)) == "fishery", "signed anew it passes"


def test_clock_that_is_set_back_shuts_out_nobody() -> None:
    node = Node(clock=Clock(NOW + 3600))
    node.clock.now_s = NOW
    assert node.take(call()) == "fishery"
    with pytest.raises(CallEarly):
        node.take(call(at=NOW - 1))


def test_calls_of_one_member_are_bounded_and_those_of_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "CALLS_MAX", 10)
    node = Node()
    for _ in range(10):
        node.take(call())
    with pytest.raises(CallRefused, match="too many"):
        node.take(call())
    assert node.take(call(who="carrier")) == "carrier"
    node.clock.now_s = NOW + 10 * SKEW_S
    assert node.take(call(at=node.clock.now_s)) == "fishery"


def test_nonces_are_forgotten_after_twice_their_time_at_most() -> None:
    node, period_s = Node(), LIFETIME_S + 2 * SKEW_S + 1
    for number in range(30):
        node.clock.now_s = NOW + number * period_s / 3
        node.take(call(at=node.clock.now_s))
    kept = node.verifier._nonces[MemberName("fishery")]
    assert 3 <= len(kept._new | kept._old) <= 2 * 4


def test_head_is_verified_before_its_body_has_come() -> None:
    node, message = Node(), call("POST", f"https://{HOST}/v1/evidence", b"what is signed")
    head = node.verifier.verify_head(message, has_body=True)
    assert head.member == "fishery"
    with pytest.raises(CallRefused, match="Digest"):
        node.verifier.verify_body(head, b"what came")
    node.verifier.verify_body(head, b"what is signed")
    with pytest.raises(CallRefused, match="replay"):
        node.verifier.verify_head(message, has_body=True)
    with pytest.raises(CallRefused, match="not covered"):
        node.verifier.verify_head(call("POST", f"https://{HOST}/v1/evidence"), has_body=True)


def test_refused_call_uses_up_no_nonce() -> None:
    node, message = Node(), call()
    with pytest.raises(CallRefused):
        node.take(replace(message, url=URL + "x"))
    assert node.take(message) == "fishery"


def test_equal_nonces_of_two_members_do_not_meet() -> None:
    node = Node()
    node.take(call())
    assert node.take(call(who="carrier")) == "carrier"


@pytest.mark.parametrize(("apart_s", "passes"), [(-60, True), (-61, False), (0, True), (120, True), (121, False)])
def test_call_counts_within_its_life_and_the_skew(apart_s: int, passes: bool) -> None:
    node, message = Node(), call()
    node.clock.now_s = NOW + apart_s
    if passes:
        assert node.take(message) == "fishery"
        return
    with pytest.raises(CallRefused, match="clocks"):
        node.take(message)


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({"expires": NOW + 60}, True),
        ({"expires": NOW + 61}, False),
        ({"expires": NOW}, True),
        ({"expires": NOW - 1}, False),
        ({"expires": NOW + 86_400}, False),
        ({"expires": None}, False),
        ({"created": None}, False),
        ({"created": f'"{NOW}"'}, False),
        ({"created": "99999999999999", "expires": "99999999999999"}, False),
        ({"nonce": None}, False),
        ({"nonce": '"012345678901234"'}, False),
        ({"nonce": '"0123456789012345"'}, True),
        ({"nonce": f'"{"0" * 64}"'}, True),
        ({"nonce": f'"{"0" * 65}"'}, False),
        ({"nonce": "7"}, False),
        ({"keyid": None}, False),
        ({"keyid": '"fishery"'}, False),
        ({"keyid": '"/5a2120f8"'}, False),
        ({"alg": '"hmac-sha256"'}, False),
        ({"tag": None}, False),
        ({"tag": '"Tally"'}, False),
        ({"x": "1"}, False),
    ],
)
def test_parameters_are_as_the_page_says_though_the_signature_is_good(changes: dict[str, Any], passes: bool) -> None:
    message = _signed_anew(ALL, _parameters(**changes))
    if passes:
        assert Node().take(message) == "fishery"
        return
    with pytest.raises(CallRefused):
        Node().take(message)
