"""Endpoints: one spelling per address. Spec: docs/spec/card.md, "Endpoints"."""

from __future__ import annotations

import pytest

from ledger import limits
from ledger.card import check_endpoint, is_loopback
from ledger.errors import EncodingError

LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


@pytest.mark.parametrize(
    "text",
    [
        "https://fishery.example",
        "https://fishery.example:8443",
        "https://fishery.example:1",
        "https://fishery.example:65535",
        "https://fishery.example:80",
        "https://xn--fischhndler-r8a.example",
        "https://10node.example",
        "https://node",
        "https://192.0.2.1",
        "https://192.0.2.1:8443",
        "https://[2001:db8::1]:8443",
        "https://[fe80::1]",
        "https://127.0.0.1",
        "https://localhost",
        "http://localhost:8401",
        "http://127.0.0.1:8401",
        "http://127.255.0.9",
        "http://[::1]:8401",
        "http://localhost:443",
        f"https://{LONGEST}:65535",
    ],
)
def test_endpoint_is_taken(text: str) -> None:
    assert check_endpoint(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fishery.example",
        "HTTPS://fishery.example",
        "https://Fishery.example",
        "https://fishery.example/",
        "https://fishery.example/tally",
        "https://fishery.example?x",
        "https://fishery.example#x",
        "https://user@fishery.example",
        "https://fishery.example\n",
        "https://fishery.example ",
        "https://fishery_node.example",
        "https://fishery.example.",
        "https://.example",
        "https://a..example",
        "https://-a.example",
        "https://a-.example",
        "https://",
        "https://:8443",
        "https://" + "a" * 64,
        "https://fischhändler.example",
        "ftp://fishery.example",
        "https://fishery.example:",
        "https://fishery.example:0",
        "https://fishery.example:08443",
        "https://fishery.example:65536",
        "https://fishery.example:443",
        "http://localhost:80",
        "https://fishery.example:٨",
    ],
)
def test_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        check_endpoint(text)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.0x1",
        "a.0x",
        "127.1",
        "127.0.0.01",
        "0177.0.0.1",
        "256.0.0.1",
        "1.2.3.4.5",
        "fishery.1",
        "0.0.0.0",
        "224.0.0.1",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "[2001:db8:0::1]",
        "[2001:0db8::1]",
        "[2001:DB8::1]",
        "[ff02::1]",
        "[fe80::1%eth0]",
        "[fe80::1%25eth0]",
        "[1]",
        "::1",
    ],
)
def test_address_in_disguise_is_refused(host: str) -> None:
    with pytest.raises(EncodingError):
        check_endpoint(f"https://{host}")


@pytest.mark.parametrize(
    "host", ["fishery.example", "192.0.2.1", "128.0.0.1", "[2001:db8::1]", "localhost.example", "127.example"]
)
def test_plain_http_is_for_loopback_alone(host: str) -> None:
    check_endpoint(f"https://{host}")
    assert not is_loopback(f"https://{host}")
    with pytest.raises(EncodingError, match="http is for"):
        check_endpoint(f"http://{host}")


def test_endpoint_is_bounded() -> None:
    assert len(f"https://{LONGEST}:65535") <= limits.ENDPOINT_BYTES_MAX
    for text in (f"https://{LONGEST}ddd:65535", "https://" + "a." * limits.ENDPOINT_BYTES_MAX + "a"):
        with pytest.raises(EncodingError):
            check_endpoint(text)
