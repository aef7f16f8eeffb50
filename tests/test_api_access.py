"""Who is let in: nothing but health without a token, and no more than its scopes with one."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from node.node import Node
from node.tokens import Scope
from tests import nodes
from tests.nodes import Door, ask

_OPEN = {("GET", "/health")}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    found = nodes.found().join(tmp_path_factory.mktemp("access"))
    yield found
    found.close()


def routes(door: Door) -> Iterator[tuple[str, str, list[str]]]:
    """Every route as (method, a path of it, scopes)."""
    for template, operations in door.app.openapi()["paths"].items():
        path = template.replace("{log}", "fishery").replace("{index}", "0").replace("{id}", "0" * 64)
        for method, operation in operations.items():
            if (method.upper(), template) not in _OPEN:
                (found,) = operation["security"]
                yield method.upper(), path, found["token"]


@pytest.mark.slow
def test_every_route_but_health_needs_a_token(node: Node) -> None:
    async def story(door: Door) -> None:
        found = list(routes(door))
        assert len(found) >= 20
        for method, path, _ in found:
            for headers in (
                {},
                {"authorization": "Bearer"},
                {"authorization": f"Basic {door.token}"},
                {"authorization": "Bearer tally_0123456789abcdef_" + "x" * 43},
                {"authorization": f"Bearer {door.token}x"},
            ):
                del door.http.headers["authorization"]
                answer = await door.call(method, path, headers=headers)
                door.http.headers["authorization"] = f"Bearer {door.token}"
                assert (answer.status_code, answer.json()["code"]) == (401, "token-refused"), (method, path)
                assert answer.headers["www-authenticate"] == "Bearer"

    ask(node, story)


@pytest.mark.slow
@pytest.mark.parametrize("scope", [scope.value for scope in Scope])
def test_a_token_opens_exactly_the_routes_of_its_scope(node: Node, scope: str) -> None:
    async def story(door: Door) -> None:
        opened = 0
        for method, path, scopes in routes(door):
            answer = await door.call(method, path)
            is_refused = answer.status_code == 403 and answer.json()["code"] == "scope-missing"
            assert is_refused == bool(scopes and scope not in scopes), (method, path)
            opened += not is_refused
        assert opened

    ask(node, story, scope)


def test_the_scopes_are_those_of_the_design(node: Node) -> None:
    async def story(door: Door) -> None:
        found = {f"{method} {path}": scopes for method, path, scopes in routes(door)}
        assert found["POST /api/v1/records"] == found["POST /api/v1/captures"] == ["write"]
        assert found["GET /api/v1/records"] == found["GET /api/v1/records/fishery/0/receipt"] == ["read", "audit"]
        assert found["POST /api/v1/network"] == found["POST /api/v1/tokens"] == found["GET /api/v1/tokens"] == ["admin"]

    ask(node, story)


def test_health_says_nothing_but_that_it_is_well(node: Node) -> None:
    async def story(door: Door) -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(door.app), base_url="http://node") as stranger:
            answer = await stranger.get("/health")
            assert answer.json().keys() == {"status", "version"}
            for path in ("/", "/docs", "/redoc", "/openapi.json", "/api/v1", "/api/v1/records/", "/metrics"):
                answer = await stranger.get(path)
                assert (answer.status_code, answer.json()["code"]) == (404, "no-such-route"), path
            answer = await stranger.put("/health")
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET")

    ask(node, story)


def test_a_made_token_works_until_it_is_revoked(node: Node) -> None:
    async def story(door: Door) -> None:
        made = (await door.post("/api/v1/tokens", {"name": "erp", "scopes": ["read"]})).json()
        assert (made["name"], made["scopes"]) == ("erp", ["read"])
        bearer = {"authorization": f"Bearer {made['token']}"}
        assert (await door.call("GET", "/api/v1/status", headers=bearer)).status_code == 200
        listed = (await door.get("/api/v1/tokens"))["tokens"]
        assert made["token"] not in str(listed)
        assert [row["revoked_ms"] for row in listed if row["id"] == made["id"]] == [None]
        assert (await door.call("DELETE", f"/api/v1/tokens/{made['id']}")).status_code == 204
        assert (await door.call("GET", "/api/v1/status", headers=bearer)).status_code == 401
        assert (await door.call("DELETE", f"/api/v1/tokens/{made['id']}")).status_code == 404

    ask(node, story)


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b'{"name":"x"}',
        b'{"name":"x","scopes":"read"}',
        b'{"name":"x","scopes":[]}',
        b'{"name":"x","scopes":[1]}',
        b'{"name":"x","scopes":["root"]}',
        b'{"name":"","scopes":["read"]}',
        b'{"name":"x","scopes":["read"],"more":1}',
        b'{"name":"x","name":"y","scopes":["read"]}',
        b'{"name":"x","scopes":["read"]',
    ],
)
def test_a_malformed_request_makes_no_token(node: Node, body: bytes) -> None:
    async def story(door: Door) -> None:
        count = len((await door.get("/api/v1/tokens"))["tokens"])
        assert (await door.post("/api/v1/tokens", body)).status_code == 400
        assert len((await door.get("/api/v1/tokens"))["tokens"]) == count

    ask(node, story)


def test_a_refusal_of_the_short_way_is_that_of_the_long_way(node: Node) -> None:
    async def story(door: Door) -> None:
        for headers in ({"authorization": "Bearer x"}, {"content-type": "text/plain"}):
            short = await door.call("POST", "/api/v1/records", headers=headers)
            long = await door.call("POST", "/api/v1/records?dry_run=false", headers=headers)
            assert (short.status_code, short.json()) == (long.status_code, long.json())

    ask(node, story)


@pytest.mark.slow
def test_every_route_refuses_a_parameter_that_it_does_not_have(node: Node) -> None:
    async def story(door: Door) -> None:
        for method, path, _ in routes(door):
            answer = await door.call(method, path, params={"nonsense": "1"})
            assert (answer.status_code, answer.json()["code"]) == (400, "parameter"), (method, path)

    ask(node, story)


@pytest.mark.parametrize(
    ("method", "path", "query", "told"),
    [
        ("POST", "/records", "dryrun=true", "dryrun: no such parameter here; did you mean 'dry_run'?"),
        ("POST", "/captures", "contracts=ab&dry_run=true", "contracts: no such parameter here; did you mean 'contract"),
        ("GET", "/records", "since=2030", "since: no such parameter here; this route has log, author, state,"),
        ("GET", "/status", "x", "x: no such parameter here; this route has none"),
        ("GET", "/status", "tally_0123456789abcdef_" + "x" * 43, "...: no such parameter here"),
    ],
)
def test_the_parameter_that_was_meant_is_named(node: Node, method: str, path: str, query: str, told: str) -> None:
    async def story(door: Door) -> None:
        answer = await door.call(method, f"/api/v1{path}?{query}", content=b"{}")
        assert (answer.status_code, answer.json()["code"]) == (400, "parameter")
        assert answer.json()["detail"].startswith(told)

    ask(node, story)
