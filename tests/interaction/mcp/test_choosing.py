"""Clients that choose some of the tools: by URL, by headers, by the flags of the relay, on a pipe."""

import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, TextContent
from tests.interaction.mcp.conftest import ECHO, ERAS, PATIENT, nobody
from tests.interaction.mcp.task_client import TakesTasks, ask, call, ended

from stepwell.config import ToolsetSettings
from stepwell.orchestrator.authentication import Authentication
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_AGENT, LOCAL_USER
from stepwell_mcp import choice
from stepwell_mcp.http import McpHttp
from stepwell_mcp.selection import Offering
from stepwell_mcp.server import McpServer, build_server
from stepwell_mcp.socket import serve_socket
from stepwell_server.http import HttpServer

pytestmark = pytest.mark.anyio

OFFERING = Offering(
    {
        "sums": ToolsetSettings(tools=("add", "fail")),
        "gates": ToolsetSettings(tools=("*_gate", "walk")),
        "renamed": ToolsetSettings(tools=("workflow_*",)),
        "looking": ToolsetSettings(tools=("*",), read_only=True),
        "found": ToolsetSettings(tools=("e*", "add"), surface="search"),
    }
)
RUN_TOOLS = {"run_start", "run_get", "run_result", "run_events", "run_signal", "run_cancel"}
FOLLOWING = {"run_get", "run_result", "run_events"}
DATABASE = {"db_ask", "db_check", "db_query", "db_result", "db_schema"}
READERS = FOLLOWING | DATABASE | {"add", "db_preview_write", "db_undo"}
META_TOOLS = {"search_tools", "describe_tools", "call_tool"}

Connect: TypeAlias = Callable[..., AbstractAsyncContextManager[Client]]


@asynccontextmanager
async def served(server: McpServer) -> AsyncIterator[str]:
    door = McpHttp(server, Authentication(nobody, None))
    http = HttpServer(door.routes, drain=timedelta(seconds=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error: BaseException | None = None
        async with http.draining(), door.running():
            await http.listen(listener)
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            except (MCPError, BaseExceptionGroup) as refused:
                error = refused  # raised later: the loop has to see the socket closed
        if error is not None:
            raise error


@asynccontextmanager
async def by_headers(
    server: McpServer, home: Path, mode: str, chosen: Mapping[str, str], **options: Any
) -> AsyncIterator[Client]:
    async with served(server) as base, httpx2.AsyncClient(headers=dict(chosen)) as http:
        transport = streamable_http_client(f"{base}/mcp", http_client=http)
        async with Client(transport, mode=mode, **options) as client:
            yield client


@asynccontextmanager
async def by_url(
    server: McpServer, home: Path, mode: str, chosen: Mapping[str, str], **options: Any
) -> AsyncIterator[Client]:
    place = f"/x/{chosen[choice.TOOLSETS]}" if choice.TOOLSETS in chosen else ""
    place += "/readonly" if choice.READONLY in chosen else ""
    left = {name: chosen[name] for name in (choice.TOOLS, choice.SURFACE) if name in chosen}
    async with served(server) as base, httpx2.AsyncClient(headers=left) as http:
        transport = streamable_http_client(f"{base}/mcp{place}", http_client=http)
        async with Client(transport, mode=mode, **options) as client:
            yield client


@asynccontextmanager
async def by_flags(
    server: McpServer, home: Path, mode: str, chosen: Mapping[str, str], **options: Any
) -> AsyncIterator[Client]:
    path = home / f"{mode}.sock"
    flags = choice.flags_of(chosen)
    relay = StdioServerParameters(
        command=sys.executable,
        args=["-m", "stepwell_mcp.relay", "--home", str(home), *flags],
        env=dict(os.environ),
    )
    async with serve_socket(server, path):
        (home / "endpoints.json").write_text(json.dumps({"socket": str(path)}))
        async with Client(relay, mode=mode, **options) as client:
            yield client


DOORS = {"headers": by_headers, "url": by_url, "flags": by_flags}


@pytest.fixture(params=[(door, era) for door in DOORS for era in ERAS], ids="-".join)
def choose(request: pytest.FixtureRequest, service: Service, tmp_path: Path) -> Connect:
    """Connects a client that has chosen something through the door, in the era."""
    door, era = request.param

    @asynccontextmanager
    async def connected(**chosen: str) -> AsyncIterator[Client]:
        server = build_server(service, wait=PATIENT, offering=OFFERING)
        headers = {f"x-mcp-{name}": text for name, text in chosen.items()}
        async with DOORS[door](server, tmp_path, ERAS[era], headers) as client:
            yield client

    return connected


async def listed(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


def said(result: CallToolResult) -> Any:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return json.loads(content.text)


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    with pytest.raises(MCPError) as refused:
        await client.call_tool(tool, arguments)
    assert refused.value.error.code == INVALID_PARAMS
    assert refused.value.error.data["code"] == "TOOL_NOT_FOUND"
    return refused.value.error.message


async def test_a_client_sees_and_calls_the_toolset_that_it_has_chosen_and_no_other(
    choose: Connect,
) -> None:
    async with choose(toolsets="sums") as client:
        assert await listed(client) == {"add", "fail"} | RUN_TOOLS
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"total": 3}
        assert "has chosen" in await refusal(client, "echo", text="hello")
        assert "has chosen" in await refusal(client, "hello", name="you")
        assert "has chosen" in await refusal(client, "call_tool", name="echo", arguments={})
        hidden, absent = await refusal(client, "echo"), await refusal(client, "nothing")
        assert hidden.replace("echo", "nothing") == absent


async def test_what_is_begun_without_waiting_is_chosen_too(
    choose: Connect, service: Service
) -> None:
    for name in ("call_tool", "run_cancel"):
        await service.put_workflow(LOCAL_USER, ECHO.replace(b"echo", name.encode(), 1))
    async with choose(toolsets="sums") as client:
        begun = await client.call_tool("run_start", {"name": "add", "arguments": {"a": 1, "b": 2}})
        assert begun.structured_content is not None
        assert "has chosen" in await refusal(client, "run_start", name="echo")
        assert "has chosen" in await refusal(client, "run_start", name="hello")
        assert "has chosen" in await refusal(client, "run_start", name="call_tool")
        assert "there is no tool" in await refusal(client, "run_start", name="run_cancel")


async def test_workflows_are_chosen_by_their_name_as_tools_are(choose: Connect) -> None:
    async with choose(toolsets="gates,renamed") as client:
        expected = {"pass_gate", "open_gate", "walk", "workflow_echo"}
        assert await listed(client) == expected | RUN_TOOLS
        found = await client.call_tool("workflow_echo", {})
        assert found.structured_content == {"text": "from the workflow"}
        assert "has chosen" in await refusal(client, "echo", text="hello")
        assert "has chosen" in await refusal(client, "till")


async def test_a_client_that_may_only_read_is_refused_everything_else(
    choose: Connect, service: Service
) -> None:
    async with choose(readonly="true") as client:
        assert await listed(client) == READERS
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"total": 3}
        assert "may change something" in await refusal(client, "echo", text="hello")
        assert "may change something" in await refusal(client, "call_tool", name="echo")
        assert "may change something" in await refusal(client, "run_cancel", run="x")
        assert "has chosen" in await refusal(client, "hello", name="you")
        assert "has chosen" in await refusal(client, "call_tool", name="hello")
    runs = (await service.list_runs(LOCAL_AGENT)).runs
    assert len(runs) == 1  # the one of `add`


async def test_a_toolset_may_be_one_that_only_reads(choose: Connect) -> None:
    async with choose(toolsets="looking") as client:
        assert await listed(client) == READERS
        assert "may change something" in await refusal(client, "echo", text="hello")


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("door", DOORS)
async def test_a_toolset_that_is_not_there_is_refused_with_the_nearest(
    service: Service, tmp_path: Path, door: str, era: str
) -> None:
    server = build_server(service, offering=OFFERING)
    with pytest.raises((MCPError, BaseExceptionGroup)) as refused:
        async with DOORS[door](server, tmp_path, ERAS[era], {choice.TOOLSETS: "sum"}) as client:
            await client.list_tools()
    error: BaseException = refused.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, MCPError)
    assert error.error.code == INVALID_PARAMS
    assert "there is no toolset 'sum'; did you mean 'sums'?" in error.error.message


async def test_tools_that_are_not_listed_are_found_described_and_called(choose: Connect) -> None:
    async with choose(surface="search") as client:
        assert await listed(client) == META_TOOLS | RUN_TOOLS
        found = said(await client.call_tool("search_tools", {"query": "adding numbers"}))
        assert found["tools"][0] == {
            "name": "add",
            "description": "Adds two numbers",
            "arguments": "a, b",
        }
        described = said(await client.call_tool("describe_tools", {"names": ["add", "ad"]}))
        (add,) = described["tools"]
        assert add["inputSchema"]["required"] == ["a", "b"]
        assert described["unknown"] == [{"name": "ad", "nearest": ["add"]}]
        called = await client.call_tool("call_tool", {"name": "add", "arguments": {"a": 2, "b": 3}})
        directly = await client.call_tool("add", {"a": 2, "b": 3})
        assert called.structured_content == directly.structured_content == {"total": 5}


async def test_a_search_finds_nothing_that_was_not_chosen(choose: Connect) -> None:
    async with choose(toolsets="found") as client:
        assert await listed(client) == META_TOOLS | RUN_TOOLS
        everything = said(await client.call_tool("search_tools", {}))
        assert [tool["name"] for tool in everything["tools"]] == ["add", "echo"]
        described = said(await client.call_tool("describe_tools", {"names": ["fail"]}))
        assert described == {"tools": [], "unknown": [{"name": "fail", "nearest": []}]}
        assert "has chosen" in await refusal(client, "call_tool", name="fail")


async def test_a_call_by_name_is_a_call(choose: Connect, service: Service) -> None:
    """It runs, fails, starts workflows and follows runs as the call that it stands for."""
    async with choose(surface="search") as client:
        failed = await client.call_tool("call_tool", {"name": "fail", "arguments": {"why": "it"}})
        assert failed.is_error
        unfit = await client.call_tool("call_tool", {"name": "add", "arguments": {"a": "x"}})
        assert unfit.is_error
        assert "INVALID_ARGUMENTS" in str(unfit.content[0])
        begun = await client.call_tool("call_tool", {"name": "hello", "arguments": {"name": "Al"}})
        assert begun.structured_content == {"text": "hello Al"}
        run = (begun.meta or {})["stepwell/run"]
        followed = await client.call_tool("run_get", {"run": run})
        assert followed.structured_content is not None
        assert followed.structured_content["workflow"] == "hello"
        assert "there is no tool" in await refusal(client, "call_tool", name="no_such_tool")
        wrong: list[dict[str, Any]] = [{}, {"name": "add", "arguments": []}, {"x": 1}]
        wrong += [{"name": name} for name in ("call_tool", "search_tools", "run_get", "run_start")]
        for arguments in wrong:
            refused = await client.call_tool("call_tool", arguments)
            assert refused.is_error
            assert "INVALID_ARGUMENTS" in str(refused.content[0])


async def test_a_call_by_name_is_decided_by_the_same_rules(
    service: Service, tmp_path: Path
) -> None:
    await service.policies.withdraw(LOCAL_USER)
    server = build_server(service, wait=timedelta(milliseconds=50), offering=OFFERING)
    async with by_headers(server, tmp_path, ERAS["modern"], {}) as client:
        held = await client.call_tool("call_tool", {"name": "echo", "arguments": {"text": "x"}})
    assert held.structured_content is not None
    assert held.structured_content["waiting_for"][0]["on"] == "human"
    assert held.structured_content["waiting_for"][0]["tool"] == "echo"


@pytest.mark.parametrize("door", DOORS)
async def test_a_call_by_name_becomes_a_task_that_can_be_followed(
    service: Service, tmp_path: Path, door: str
) -> None:
    soon = timedelta(milliseconds=50)
    server = build_server(service, wait=PATIENT, task_after=soon, offering=OFFERING)
    chosen, takes_tasks = {choice.TOOLSETS: "gates"}, {"extensions": [TakesTasks()]}
    async with DOORS[door](server, tmp_path, ERAS["modern"], chosen, **takes_tasks) as client:
        waits = {"name": "pass_gate", "arguments": {"gate": door}}
        task = (await call(client, "call_tool", waits))["taskId"]
        assert (await ask(client, "tasks/get", task))["status"] == "working"
        await call(client, "call_tool", {"name": "open_gate", "arguments": {"gate": door}})
        state = await ended(client, task)
    assert state["result"]["structuredContent"] == {"passed": door}
