"""Endpoints: the addresses at which a member's node answers, each written in exactly one way.

An endpoint is a web origin and no more: scheme, host, port. No user, path or
query, so that a card cannot steer another node's calls to a place of its choice on
the host. Plain http is for loopback alone, where nobody is in between.

Spec: docs/spec/card.md, "Endpoints".
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from ledger import limits
from ledger.errors import EncodingError

_PARTS: Final = re.compile(r"(https?)://(\[[0-9a-f:]{2,39}\]|[a-z0-9.-]{1,253})(?::([1-9][0-9]{0,4}))?\Z")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_NUMBER: Final = re.compile(r"[0-9]+\Z|0x[0-9a-f]*\Z")
_USUAL_PORT: Final = {"http": "80", "https": "443"}


def check_endpoint(text: str) -> str:
    """Return `text` if it is `https://host[:port]`, or `http://` with a loopback host, in its one form.

    Raises: EncodingError.
    """
    found = _PARTS.match(text) if len(text) <= limits.ENDPOINT_BYTES_MAX else None
    if found is None:
        raise _refusal("not scheme://host[:port] in lower case, without user, path or query")
    scheme, host, port = found.groups()
    if port is not None and (int(port) > 65535 or port == _USUAL_PORT[scheme]):
        raise _refusal("the port is above 65535, or is the scheme's own and must be left out")
    _check_host(host)
    if scheme == "http" and not is_loopback(text):
        raise _refusal("http is for localhost, 127.0.0.0/8 and [::1]; elsewhere the scheme is https")
    return text


def is_loopback(endpoint: str) -> bool:
    """True if a checked endpoint names the machine that calls it."""
    host = endpoint.split("://", 1)[1]
    return re.match(r"(localhost|127\.[0-9.]+|\[::1\])(:|\Z)", host) is not None


def _check_host(host: str) -> None:
    if host.startswith("["):
        _check_address(host[1:-1], ipaddress.IPv6Address)
        return
    labels = host.split(".")
    # Resolvers read `2130706433`, `0x7f000001` and `127.1` as 127.0.0.1: a host whose last
    # label looks like a number is an address, and an address has one spelling.
    if _NUMBER.match(labels[-1]):
        _check_address(host, ipaddress.IPv4Address)
    elif not all(_LABEL.match(label) for label in labels):
        raise _refusal("a label of the host name is empty, too long, or begins or ends with '-'")


def _check_address(text: str, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> None:
    try:
        address = kind(text)
    except ValueError:
        raise _refusal("the host is not an IP address in canonical form") from None
    # Pythons differ in how they print mapped addresses, and what they reach has its own IPv4 spelling.
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        raise _refusal("an IPv4 address is written as one")
    if str(address) != text:
        raise _refusal("the host is not an IP address in canonical form")
    if address.is_unspecified or address.is_multicast:
        raise _refusal("the address does not name one machine")


def _refusal(reason: str) -> EncodingError:
    return EncodingError(field="endpoint", reason=reason)
