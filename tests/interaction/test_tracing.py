"""One run is one trace, seen by a collector on loopback, and nothing in it is data."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import mcp
import pytest
from mcp.client._memory import InMemoryTransport
from mcp_types.version import LATEST_MODERN_VERSION
from tests.interaction.otlp_receiver import OtlpReceiver, receiving
from tests.permitting import permit_direct_calls

from stepwell.bootstrap import open_runtime
from stepwell.config import load_settings
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run, RunStatus
from stepwell.principals import LOCAL_USER
from stepwell.telemetry import traceparent
from stepwell_mcp.server import build_server

pytestmark = pytest.mark.anyio

PATIENCE = timedelta(seconds=5)
REQUEST = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SECRET = "4111-1111"

TOOLS = '''
from stepwell import CallContext, tool

@tool(read_only=True)
async def whereabouts(context: CallContext, note: str = "") -> str:
    """Tells in which trace it was called."""
    return context.traceparent

@tool(read_only=True)
def apart(context: CallContext) -> str:
    """The same in a worker process."""
    return context.traceparent

@tool(read_only=True)
async def fail(note: str) -> str:
    """Fails, and quotes what it was given."""
    raise ValueError(note)
'''
SCRIPT = """
conversations:
  - when: go
    turns:
      - tools: [{ name: whereabouts, arguments: { note: "4111-1111" } }]
      - text: done
"""
ASK = b"""
workflow: ask
agents:
  helper: { model: small, tools: [whereabouts] }
nodes:
  - { id: ask, agent: helper, with: { message: go } }
output: =ask.output
"""
NEST = b"""
workflow: nest
nodes:
  - { id: below, workflow: look }
output: =below.output
"""
LOOK = b"""
workflow: look
nodes:
  - { id: here, tool: whereabouts }
  - { id: apart, tool: apart }
output: { here: =here.output, apart: =apart.output }
"""
BREAK = b"""
workflow: break
nodes:
  - { id: bad, tool: fail, with: { note: 4111-1111 } }
"""
HOLD = b"""
workflow: hold
nodes:
  - { id: before, tool: whereabouts }
  - { id: held, signal: go, needs: [before] }
  - { id: after, tool: whereabouts, needs: [held] }
"""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    """A collector that the environment names."""
    # The provider of the whole process can be set once only; nobody but the MCP SDK looks there.
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", lambda _: None)
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        yield receiver


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Service]:
    """The runtime of a home; what is left is sent when the block ends."""
    home.mkdir(exist_ok=True)
    (home / "tools.py").write_text(TOOLS)
    (home / "script.yaml").write_text(SCRIPT)
    overrides = {"tools.paths": ["tools.py"], "models.small": "fake:script.yaml"}
    async with open_runtime(load_settings(home, {}, overrides)) as runtime:
        for source in (ASK, LOOK, NEST, BREAK, HOLD):
            await runtime.service.put_workflow(LOCAL_USER, source)
        await permit_direct_calls(runtime.service)
        yield runtime.service


async def ended(service: Service, workflow: str, **more: Any) -> Run:
    run, _ = await service.start_run(LOCAL_USER, workflow, {}, **more)
    return await service.wait_run(LOCAL_USER, run.id, PATIENCE)


def value(run: Run) -> Any:
    assert run.status is RunStatus.COMPLETED, run.failure
    assert run.output is not None
    return run.output.value


async def test_calls_of_models_and_tools_are_spans_below_their_run(
    collector: OtlpReceiver, tmp_path: Path
) -> None:
    async with opened(tmp_path) as service:
        run = await ended(service, "ask")
    assert sorted(span.name for span in collector.spans) == [
        "chat script.yaml",
        "chat script.yaml",
        "execute_tool whereabouts",
        "invoke_workflow ask",
    ]
    whole = collector["invoke_workflow ask"]
    assert (whole.trace, whole.parent) == (run.id.replace("-", ""), "")
    assert whole.attributes == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "ask",
        "stepwell.namespace": "default",
        "stepwell.run": run.id,
        "stepwell.status": "completed",
        "stepwell.workflow.version": run.version,
    }
    for span in collector.spans:
        assert span.trace == whole.trace
        assert span.service == "stepwell"
        assert span is whole or span.parent == whole.id
    called = collector["execute_tool whereabouts"].attributes
    assert called["gen_ai.tool.name"] == "whereabouts"
    assert (called["stepwell.step"], called["stepwell.attempt"]) == ("ask", 1)
    asked = next(span for span in collector.spans if span.name.startswith("chat")).attributes
    assert asked["gen_ai.operation.name"] == "chat"
    assert asked["gen_ai.provider.name"] == "fake"
    assert asked["gen_ai.request.model"] == "script.yaml"
    assert asked["gen_ai.agent.name"] == "helper"
    assert SECRET not in str(collector.spans)


async def test_a_tool_is_handed_its_own_span_wherever_it_runs(
    collector: OtlpReceiver, tmp_path: Path
) -> None:
    async with opened(tmp_path) as service:
        seen = value(await ended(service, "look"))
    for name, step in (("whereabouts", "here"), ("apart", "apart")):
        span = collector[f"execute_tool {name}"]
        place = traceparent.parse(seen[step])
        assert place is not None
        assert (f"{place.trace_id:032x}", f"{place.span_id:016x}") == (span.trace, span.id)


async def test_a_child_is_below_the_step_that_started_it(
    collector: OtlpReceiver, tmp_path: Path
) -> None:
    async with opened(tmp_path) as service:
        await ended(service, "nest", trace=REQUEST)
    parent, start, child = (
        collector[name]
        for name in ("invoke_workflow nest", "start_child look", "invoke_workflow look")
    )
    assert {parent.trace, start.trace, child.trace} == {REQUEST[3:35]}
    assert parent.parent == REQUEST[36:52]
    assert (start.parent, child.parent) == (parent.id, start.id)
    assert collector["execute_tool whereabouts"].parent == child.id


async def test_a_failure_is_a_span_with_its_code_and_without_its_words(
    collector: OtlpReceiver, tmp_path: Path
) -> None:
    async with opened(tmp_path) as service:
        await ended(service, "break")
    call, run = collector["execute_tool fail"], collector["invoke_workflow break"]
    assert (call.is_error, call.attributes["error.type"]) == (True, "TOOL_ERROR")
    assert (run.is_error, run.attributes["error.type"]) == (True, "TOOL_ERROR")
    assert SECRET not in str(collector.spans)


async def test_a_run_is_one_trace_also_when_another_process_goes_on_with_it(
    collector: OtlpReceiver, tmp_path: Path
) -> None:
    async with opened(tmp_path) as service:
        run, _ = await service.start_run(LOCAL_USER, "hold", {}, trace=REQUEST)
        async with asyncio.timeout(5):
            while (await service.get_run(LOCAL_USER, run.id)).status is not RunStatus.WAITING:
                await asyncio.sleep(0.01)
    assert [span.name for span in collector.spans] == ["execute_tool whereabouts"]
    async with opened(tmp_path) as service:
        await service.controls.signal_run(LOCAL_USER, run.id, "go")
        await service.wait_run(LOCAL_USER, run.id, PATIENCE)
    whole = collector["invoke_workflow hold"]
    before, after = (span for span in collector.spans if span is not whole)
    assert before.trace == after.trace == whole.trace
    assert before.parent == after.parent == whole.id


async def test_what_comes_with_a_request_is_handed_on_though_nobody_collects(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as service:
        assert value(await ended(service, "nest", trace=REQUEST))["apart"] == REQUEST
        assert value(await ended(service, "look"))["here"] == ""


async def test_the_trace_of_an_mcp_request_goes_on_in_its_run(tmp_path: Path) -> None:
    async with opened(tmp_path) as service:
        transport = InMemoryTransport(build_server(service, wait=PATIENCE))
        async with mcp.Client(transport, mode=LATEST_MODERN_VERSION) as client:
            given: Any = {"traceparent": REQUEST}
            for name in ("whereabouts", "look"):
                answer = await client.call_tool(name, {}, meta=given)
                assert REQUEST in str(answer.structured_content)
            plain = await client.call_tool("whereabouts", {})
            assert REQUEST not in str(plain.structured_content)


async def test_a_collector_that_is_not_there_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", lambda _: None)
    monkeypatch.setattr("stepwell.telemetry.tracing.FLUSH", 0.05)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    async with opened(tmp_path) as service:
        assert value(await ended(service, "ask")) == "done"
