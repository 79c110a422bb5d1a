"""What an MCP client can do, the same through every door and in both eras of the protocol."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, TypeAlias

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, TextContent

from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import RunStatus
from stepwell.principals import LOCAL_AGENT

pytestmark = pytest.mark.anyio

Connect: TypeAlias = Callable[..., AbstractAsyncContextManager[Client]]
HASTY = timedelta(milliseconds=50)
PATIENCE = 10


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def follow(client: Client, result: CallToolResult) -> Any:
    """The end of the run that a handle names."""
    run = result.structured_content["run"]
    ended = await client.call_tool("run_get", {"run": run, "wait_seconds": PATIENCE})
    return ended.structured_content


async def test_tools_and_workflows_are_listed_by_name(connect: Connect) -> None:
    async with connect() as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        instructions = client.instructions
    assert list(tools) == sorted(tools)
    assert {"add", "db_query", "hello", "walk"} <= set(tools)
    assert {"run_cancel", "run_events", "run_get", "run_signal"} <= set(tools)
    assert "workflow_echo" in tools
    assert not {"hidden", "inner"} & set(tools)
    add = tools["add"]
    assert (add.title, add.annotations and add.annotations.read_only_hint) == ("Add up", True)
    assert tools["hello"].input_schema["required"] == ["name"]
    assert instructions is None or "run_get" in instructions


async def test_a_tool_answers_with_structured_content_and_its_text(connect: Connect) -> None:
    async with connect() as client:
        result = await client.call_tool("add", {"a": 2, "b": 3})
    assert result.structured_content == {"total": 5}
    assert text_of(result) == '{"total":5}'
    assert not result.is_error


async def test_a_large_result_does_not_travel_twice(connect: Connect) -> None:
    name = "x" * 100_000
    async with connect() as client:
        result = await client.call_tool("hello", {"name": name})
    assert result.structured_content == {"text": f"hello {name}"}
    assert [block.type for block in result.content] == ["text", "resource_link"]
    assert isinstance(result.content[0], TextContent)
    assert len(result.content[0].text) < 3000


async def test_a_workflow_that_ends_in_time_answers_its_result(connect: Connect) -> None:
    async with connect() as client:
        result = await client.call_tool("hello", {"name": "Ada"})
        namesake = await client.call_tool("workflow_echo", {})
    assert result.structured_content == {"text": "hello Ada"}
    assert namesake.structured_content == {"text": "from the workflow"}


async def test_a_workflow_that_takes_longer_answers_a_run_to_follow(connect: Connect) -> None:
    async with connect(wait=HASTY) as client:
        handle = await client.call_tool("walk", {"gate": "east"})
        assert handle.structured_content["status"] == "running"
        await client.call_tool("open_gate", {"gate": "east"})
        ended = await follow(client, handle)
        told = await client.call_tool("run_events", {"run": ended["run"]})
    assert (ended["status"], ended["output"]) == ("completed", {"total": 5})
    kinds = [event["kind"] for event in told.structured_content["events"]]
    assert (kinds[0], kinds[-1], kinds.count("tool_call")) == ("run_started", "run_completed", 2)
    assert told.structured_content["caught_up"]


async def test_a_tool_that_takes_longer_answers_a_run_to_follow(connect: Connect) -> None:
    async with connect(wait=HASTY) as client:
        handle = await client.call_tool("pass_gate", {"gate": "west"})
        await client.call_tool("open_gate", {"gate": "west"})
        assert (await follow(client, handle))["output"] == {"passed": "west"}


async def test_wrong_arguments_are_a_result_that_tells_the_model_what_is_wrong(
    connect: Connect,
) -> None:
    async with connect() as client:
        tool = await client.call_tool("add", {"a": "two", "b": 3})
        workflow = await client.call_tool("hello", {})
        run_tool = await client.call_tool("run_get", {"id": "r"})
    assert all(result.is_error for result in (tool, workflow, run_tool))
    assert text_of(tool).startswith("INVALID_ARGUMENTS: ")
    assert "integer" in text_of(tool)
    assert text_of(workflow).startswith("INVALID_INPUT: ")
    assert "name" in text_of(workflow)
    assert "it takes run, wait_seconds" in text_of(run_tool)


@pytest.mark.parametrize("name", ["nope", "hidden", "inner", "call", "workflow_hello", ""])
async def test_an_unknown_tool_is_a_protocol_error(connect: Connect, name: str) -> None:
    async with connect() as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool(name, {})
    assert refused.value.code == INVALID_PARAMS
    assert refused.value.data["code"] == "TOOL_NOT_FOUND"


async def test_a_failing_tool_is_a_result_with_code_and_message(connect: Connect) -> None:
    async with connect() as client:
        result = await client.call_tool("fail", {"why": "the moon is full"})
    assert result.is_error
    assert text_of(result).startswith("TOOL_ERROR: ")
    assert "the moon is full" in text_of(result)


async def test_an_unknown_run_is_a_result_that_says_so(connect: Connect) -> None:
    unknown = {"run": "00000000-0000-7000-8000-000000000000"}
    said = (
        f"RUN_NOT_FOUND: there is no run {unknown['run']!r}; "
        "its id is in the answer of the call that began it"
    )
    async with connect() as client:
        for tool in ("run_get", "run_events", "run_cancel"):
            result = await client.call_tool(tool, unknown)
            assert (result.is_error, text_of(result)) == (True, said)


async def test_giving_up_on_a_call_leaves_its_run_alone(connect: Connect, service: Service) -> None:
    async with connect() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, "walk", {"gate": "north"})
        run = await started(service)
        tasks.cancel_scope.cancel()
        assert (await service.get_run(LOCAL_AGENT, run)).status is RunStatus.RUNNING
    async with connect() as client:
        await client.call_tool("open_gate", {"gate": "north"})
        ended = await client.call_tool("run_get", {"run": run, "wait_seconds": PATIENCE})
    assert ended.structured_content["status"] == "completed"


async def test_a_run_that_waits_says_for_what_and_goes_on_with_a_message(connect: Connect) -> None:
    async with connect(wait=HASTY) as client:
        handle = await client.call_tool("till", {})
        run = handle.structured_content["run"]
        waiting = (await client.call_tool("run_get", {"run": run})).structured_content
        message = {"run": run, "name": "paid", "payload": {"cents": 5}, "id": "m-1"}
        await client.call_tool("run_signal", message)
        ended = await follow(client, handle)
    assert waiting["status"] == "waiting"
    assert waiting["waiting_for"] == [{"step": "paid", "on": "signal", "about": "paid"}]
    assert "run_signal" in waiting["next"]
    assert (ended["status"], ended["output"]) == ("completed", {"cents": 5})
    assert not {"waiting_for", "next"} & set(ended)


async def test_no_tool_answers_what_a_person_is_asked(connect: Connect) -> None:
    async with connect(wait=HASTY) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        handle = (await client.call_tool("refund", {})).structured_content
    assert {tool for tool in tools if tool.startswith("run_")} == {
        "run_cancel",
        "run_events",
        "run_get",
        "run_result",
        "run_signal",
        "run_start",
    }
    assert handle["waiting_for"] == [{"step": "ok", "on": "human", "about": "approval"}]
    assert "only a person can answer" in handle["next"]


async def test_a_run_is_cancelled_when_it_is_asked_for(connect: Connect) -> None:
    async with connect(wait=HASTY) as client:
        handle = await client.call_tool("walk", {"gate": "never"})
        run = handle.structured_content["run"]
        await client.call_tool("run_cancel", {"run": run, "reason": "enough"})
        ended = await follow(client, handle)
        again = await client.call_tool("run_cancel", {"run": run})
    assert ended["status"] == "cancelled"
    assert again.is_error
    assert text_of(again).startswith("RUN_ENDED: ")


async def test_progress_tells_the_events_of_the_run(connect: Connect) -> None:
    told: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    async with connect() as client:
        await client.call_tool("open_gate", {"gate": "south"})
        result = await client.call_tool("walk", {"gate": "south"}, progress_callback=hear)
    assert result.structured_content == {"total": 5}
    assert [progress for progress, _ in told] == sorted({progress for progress, _ in told})
    messages = [message for _, message in told]
    assert messages[0] == "run_started"
    assert "step_completed gate" in messages


async def test_clients_work_at_the_same_time(connect: Connect) -> None:
    totals: dict[int, int] = {}

    async def add(client: Client, a: int) -> None:
        result = await client.call_tool("add", {"a": a, "b": a})
        totals[a] = result.structured_content["total"]

    async with connect() as client, anyio.create_task_group() as tasks:
        for a in range(20):
            tasks.start_soon(add, client, a)
    assert totals == {a: 2 * a for a in range(20)}


async def started(service: Service) -> str:
    """The id of the only run, as soon as there is one."""
    async for batch in service.watch_events(LOCAL_AGENT):
        for event in batch.events:
            return event.run
    raise AssertionError("the watch ended")


async def test_a_call_is_started_without_waiting_for_it(connect: Connect) -> None:
    async with connect() as client:
        with anyio.fail_after(5):
            handle = await client.call_tool(
                "run_start", {"name": "walk", "arguments": {"gate": "far"}}
            )
        assert handle.structured_content["status"] == "running"
        early = await client.call_tool("run_result", {"run": handle.structured_content["run"]})
        await client.call_tool("open_gate", {"gate": "far"})
        ended = await follow(client, handle)
        result = await client.call_tool("run_result", {"run": ended["run"]})
    assert (early.structured_content["status"], "value" in early.structured_content) == (
        "running",
        False,
    )
    assert "run_get" in early.structured_content["next"]
    assert result.structured_content["value"] == {"total": 5}


async def test_a_long_output_is_read_part_by_part(connect: Connect) -> None:
    text, read, cursor = "x" * 25_000, "", ""
    async with connect() as client:
        call = {"name": "echo", "arguments": {"text": text}}
        run = (await client.call_tool("run_start", call)).structured_content["run"]
        await client.call_tool("run_get", {"run": run, "wait_seconds": PATIENCE})
        while not read or cursor:
            given = {"run": run, "cursor": cursor, "limit": 10_000}
            part = (await client.call_tool("run_result", given)).structured_content
            assert (part["first"] if read else 0, part["total"]) == (len(read), 25_000)
            read, cursor = read + part["text"], part.get("cursor", "")
    assert read == text


@pytest.mark.parametrize("name", ["run_start", "run_get", "search_tools", "nothing", "hidden"])
async def test_what_is_no_tool_or_workflow_is_not_started(connect: Connect, name: str) -> None:
    async with connect() as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("run_start", {"name": name})
        wrong = await client.call_tool("run_start", {"tool": "echo"})
    assert (refused.value.code, name in refused.value.message) == (INVALID_PARAMS, True)
    assert wrong.is_error
    assert "it takes name, arguments" in text_of(wrong)
