"""Whatever is sent, every route answers as its description says, and never with a fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from node.app import create_app
from tests import nodes

_EXAMPLES = 40  # per route and kind of data
_CHECKS = (status_code_conformance, content_type_conformance, response_schema_conformance)


@schemathesis.serializer("application/x-ndjson")
def write_lines(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The routes of a node that is ready, as its OpenAPI document describes them."""
    node = nodes.found().join(tmp_path_factory.mktemp("fuzz"), queue_wait_s=1)
    nodes.agree(node)
    nodes.catch_up(node)
    token = {"authorization": f"Bearer {nodes.token(node)}"}
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", create_app(node), headers=token)
    schema.config.update(headers=token)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("node.services.records._OWN_S", 0)  # nobody brings the search up to date here
        yield schema
    node.close()


@pytest.mark.slow
@pytest.mark.parametrize("is_sound", [True, False])
def test_no_request_brings_about_a_fault(described: Any, is_sound: bool) -> None:
    mode = schemathesis.GenerationMode.POSITIVE if is_sound else schemathesis.GenerationMode.NEGATIVE
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) > 20
    tried = 0
    for operation in operations:

        @settings(max_examples=_EXAMPLES, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def attempt(case: Any) -> None:
            answer = case.call_and_validate(checks=_CHECKS)
            # A server error that the description names is none of a node that is ready and has room on its disk.
            assert answer.status_code < 500, answer.text

        try:
            attempt()
            tried += 1
        except Unsatisfiable:
            assert not is_sound  # there are parameters that nothing can be wrong with
    assert tried == len(operations) if is_sound else tried >= 7
