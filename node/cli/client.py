"""Calls of the command line to a node's partner API, and the probes of `doctor`: its only door to the network."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from ledger.errors import TallyError, Unavailable
from node.cli.exits import UsageWrong
from node.config import Settings

PREFIX: Final = "/api/v1"
_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 120.0  # a write may wait for the start-up guard, a capture is read whole before it is answered
_PROBE_S: Final = 5.0
_TEMPORARY: Final = frozenset({429, 502, 503, 504, 507})


class NodeUnreachable(Unavailable):
    code = "node-unreachable"
    template = "no node answers at {url}: {reason}"
    hint = "`tally serve` starts the node of a folder; --url names another address."


class AnswerBroken(Unavailable):
    code = "answer-broken"
    template = "{url} answered {status}, but not as a node does"
    hint = "Something else listens there, or stands in between."


class NodeRefused(TallyError):
    """What the node answered in place of a result: its own code, message and hint."""

    template = "{message}"

    def __init__(self, *, status: int, code: str, message: str, hint: str, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.code = code  # type: ignore[misc]  # the code is the one that the node gave
        self.hint = hint
        super().__init__(message=message)


class NodeBusy(NodeRefused, Unavailable):
    """The node answers, and cannot do this now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a node answers, and by which certificates it is known there.

    pinned: the very certificate that the node shows. It lies in the folder, so its host name need not fit.
    authorities: PEM file of authorities, where not those of the system.
    """

    url: str
    pinned: Path | None = None
    authorities: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What an address said to a stranger: `error` is empty if it answered as a node does."""

    error: str = ""
    clock_ahead_s: float = 0.0


# --- addresses ----------------------------------------------------------------------


def address_of(url: str | None, settings: Settings | None, folder: Path) -> Address:
    """The address that was asked for, else that of the node in `folder`. Raises: UsageWrong."""
    if url is not None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise UsageWrong(reason=f"--url {url!r} is not http(s)://host[:port]")
        if parts.scheme == "http" and not is_local(url):
            raise UsageWrong(reason=f"--url {url!r} would send the token in clear; use https")
        address = Address(url=url.rstrip("/"), authorities=settings.tls_ca if settings else None)
        # The node of the folder by another name of this machine. Whatever else listens has a certificate of its own.
        is_own = settings is not None and is_local(url) and settings.port in (0, parts.port or 443)
        return replace(address, pinned=settings.tls_cert) if settings and is_own else address
    assert settings is not None, "without a URL the settings say where the node is"
    if settings.port == 0:
        raise UsageWrong(reason=f"the node of {folder} listens on a port of the system's choice: give --url")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  # read, not bound
    scheme = "http" if settings.tls_cert is None else "https"
    shown = f"[{host}]" if ":" in host else host
    return Address(url=f"{scheme}://{shown}:{settings.port}", pinned=settings.tls_cert)


def is_local(url: str) -> bool:
    """True if the address names this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# --- calls --------------------------------------------------------------------------


class NodeClient:
    """Calls one node with one token. Every call raises NodeUnreachable, AnswerBroken or NodeRefused."""

    def __init__(self, address: Address, token: str) -> None:
        self._url = address.url
        self._http = httpx.Client(
            base_url=address.url,
            headers={"authorization": f"Bearer {token}", "user-agent": "tally"},
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
            verify=_tls(address),
            follow_redirects=False,
            trust_env=not is_local(address.url),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> bytes:
        """The bytes of an answer; parameters that are None are left out."""
        return self._call("GET", path, params=_given(params)).content

    def get_json(self, path: str, **params: Any) -> Any:
        return self.decode(self.get(path, **params))

    def post(self, path: str, content: bytes, *, kind: str = "application/json", **params: Any) -> bytes:
        return self._call("POST", path, content=content, headers={"content-type": kind}, params=_given(params)).content

    def delete(self, path: str) -> bytes:
        return self._call("DELETE", path).content

    def post_lines(self, path: str, lines: bytes, *, key: str | None, **params: Any) -> Iterator[bytes]:
        """Send NDJSON and yield each line of the answer as it comes."""
        headers = {"content-type": "application/x-ndjson"} | ({"idempotency-key": key} if key else {})
        with self._errors():
            request = self._http.stream("POST", PREFIX + path, content=lines, headers=headers, params=_given(params))
            with request as response:
                if response.status_code >= 300:
                    response.read()
                    self._check(response)
                rest = b""
                for part in response.iter_bytes():
                    *whole, rest = (rest + part).split(b"\n")
                    yield from whole
                if rest:
                    yield rest

    def _call(self, method: str, path: str, **given: Any) -> httpx.Response:
        with self._errors():
            response = self._http.request(method, PREFIX + path, **given)
        self._check(response)
        return response

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as cause:
            raise NodeUnreachable(url=self._url, reason=str(cause) or type(cause).__name__) from cause

    def _check(self, response: httpx.Response) -> None:
        if response.status_code < 300:
            return
        kind = response.headers.get("content-type", "")
        if not kind.startswith("application/problem+json"):
            raise AnswerBroken(url=self._url, status=response.status_code)
        problem = self.decode(response.content)
        if not isinstance(problem, dict):
            raise AnswerBroken(url=self._url, status=response.status_code)
        raise refusal(problem, response.status_code)

    def decode(self, content: bytes) -> Any:
        """The value of an answer. Raises: AnswerBroken."""
        try:
            return msgspec.json.decode(content)
        except msgspec.DecodeError as cause:
            raise AnswerBroken(url=self._url, status=200) from cause


def refusal(problem: Mapping[str, Any], status: int) -> NodeRefused:
    """The error that a problem document (RFC 9457) tells of."""
    kind = NodeBusy if status in _TEMPORARY else NodeRefused
    message = problem.get("detail") or problem.get("title") or f"the node answered {status}"
    return kind(
        status=status,
        code=str(problem.get("code", "error")),
        message=str(message),
        hint=str(problem.get("hint") or ""),
        problem=problem,
    )


def segment(text: str) -> str:
    """`text` as one step of a path; the slash of an origin is kept, nothing else has a meaning."""
    return quote(text, safe="/")


def port_error(host: str, port: int) -> str:
    """Why nobody could listen there now; empty if one could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except OSError as cause:
        return cause.strerror or str(cause)
    return ""


def probe(address: Address) -> Probe:
    """Ask an address for its health, without a token and believing little of what comes."""
    started = time.time()
    try:
        with (
            httpx.Client(verify=_tls(address), timeout=_PROBE_S, follow_redirects=False, trust_env=False) as http,
            http.stream("GET", address.url + "/health") as response,
        ):
            finished = time.time()
            if response.status_code != 200:
                return Probe(error=f"answers {response.status_code} to /health")
            date = response.headers.get("date", "")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UsageWrong) as cause:
        return Probe(error=str(cause) or type(cause).__name__)
    return Probe(clock_ahead_s=_ahead(date, (started + finished) / 2))


def _ahead(date: str, now_s: float) -> float:
    """How far the sender of a Date header is ahead of `now_s`; the header counts whole seconds."""
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return 0.0
    return theirs + 0.5 - now_s


def _tls(address: Address) -> ssl.SSLContext | bool:
    if not address.url.startswith("https:"):
        # Reading the authorities of the system takes as long as the call; where no proxy is asked, none is needed.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_local(address.url) else True
    try:
        if address.pinned is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False  # the certificate itself is known, whatever name it bears
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            # The first alone: what may follow are authorities, and their other certificates are not this node.
            leaf, end, _ = address.pinned.read_text(encoding="ascii").partition("-----END CERTIFICATE-----")
            context.load_verify_locations(cadata=leaf + end + "\n")
            return context
        if address.authorities is not None:
            return ssl.create_default_context(cafile=str(address.authorities))
    except (OSError, ValueError) as cause:  # an SSLError is an OSError
        raise UsageWrong(reason=f"{address.pinned or address.authorities} holds no certificate: {cause}") from cause
    return True


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}
