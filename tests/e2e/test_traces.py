"""A real daemon sends its traces where the environment says, and knows whose they are."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.interaction.otlp_receiver import OtlpReceiver, receiving

from stepwell_server.cli.child_daemon import ChildDaemon
from stepwell_server.cli.mcp_client import connected_mcp

pytestmark = pytest.mark.anyio

REQUEST = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "shop-agents")
        yield receiver


async def test_an_mcp_request_its_run_and_the_call_are_one_trace(
    collector: OtlpReceiver, daemon: ChildDaemon
) -> None:
    endpoints = await daemon.start()
    given: Any = {"traceparent": REQUEST}
    async with connected_mcp(endpoints) as client:
        await client.call_tool("db_schema", {"datasource": "shop"}, meta=given)
    await asyncio.to_thread(daemon.stop)

    request = collector["tools/call db_schema"]
    run, call = collector["invoke_workflow call"], collector["execute_tool db_schema"]
    assert {request.trace, run.trace, call.trace} == {REQUEST[3:35]}
    assert request.parent == REQUEST[36:52]
    assert run.parent == request.id
    assert call.parent == run.id
    assert {span.service for span in collector.spans} == {"shop-agents"}
