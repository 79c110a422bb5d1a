"""MCP servers over Streamable HTTP behind ours."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp.server.lowlevel import Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool
from tests.interaction.tools.conftest import act, allow_all, call, health, until

from stepwell.bootstrap import open_runtime
from stepwell.config import load_settings
from stepwell.orchestrator.authentication import Authentication
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_AGENT, Caller
from stepwell_mcp.http import McpHttp
from stepwell_server.http import HttpServer

pytestmark = pytest.mark.anyio


class Remote:
    """A server of the SDK, in this process."""

    def __init__(self) -> None:
        self.names = ["act", "long"]
        self.tokens: list[str] = []
        self.bus = InMemorySubscriptionBus()
        self.server: Server[Any] = Server(
            "remote",
            version="2",
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_subscriptions_listen=ListenHandler(self.bus),
        )

    async def list_tools(self, context: Any, params: Any) -> ListToolsResult:
        schema = {"type": "object"}
        return ListToolsResult(
            tools=[Tool(name=name, description="Does.", input_schema=schema) for name in self.names]
        )

    async def call_tool(self, context: Any, params: Any) -> CallToolResult:
        text = "x" * 20_000_000 if params.name == "long" else f"did {params.arguments['text']}"
        return CallToolResult(content=[TextContent(type="text", text=text)])

    async def anybody(self, token: str) -> Caller:
        """Whoever shows a token is let in: what he shows is looked at afterwards."""
        self.tokens.append(token)
        return LOCAL_AGENT

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[int]:
        door = McpHttp(self.server, Authentication(self.anybody, None))
        http = HttpServer(door.routes, drain=timedelta(seconds=0.1))
        with socket.create_server(("127.0.0.1", port)) as listener:
            async with http.draining(), door.running():
                await http.listen(listener)
                yield listener.getsockname()[1]


Open = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture
def opened_at(tmp_path: Path) -> Open:
    """A service of a home that knows the remote server at a port."""

    @asynccontextmanager
    async def open_home(port: int, **settings: Any) -> AsyncIterator[Service]:
        given = {"url": f"http://127.0.0.1:{port}/mcp", "networks": ("loopback",), **settings}
        overrides = {f"tools.servers.remote.{key}": value for key, value in given.items()}
        loaded = load_settings(tmp_path / "home", {}, overrides | {"storage.url": "memory:"})
        async with open_runtime(loaded, environ={"TOKEN": "sw_hush-hush-4711"}) as runtime:
            await allow_all(runtime.service)
            yield runtime.service

    return open_home


async def test_a_remote_server_is_called_with_its_credentials(opened_at: Open) -> None:
    remote = Remote()
    headers = {"headers.Authorization": "Bearer secret://env/TOKEN"}
    async with remote.listening() as port, opened_at(port, **headers) as service:
        state = await health(service)
        assert await act(service, "it") == "did it"
    assert (state.status, state.product, state.transport) == ("ready", "remote 2", "http")
    assert state.protocol == "2026-07-28"
    assert set(remote.tokens) == {"sw_hush-hush-4711"}


async def test_a_remote_server_may_be_on_this_machine_only_where_that_is_granted(
    opened_at: Open,
) -> None:
    async with Remote().listening() as port, opened_at(port, networks=()) as service:
        state = await health(service)
    assert state.status != "ready"
    assert "may not connect to 127.0.0.1" in state.problem


async def test_a_server_that_fails_as_it_is_given_up_holds_nobody_up(
    opened_at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_tried = asyncio.Event()

    @asynccontextmanager
    async def failing(*_: object, **__: object) -> AsyncIterator[None]:
        is_tried.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("the connection broke") from None
        yield

    monkeypatch.setattr("stepwell.tools.mcp.server.streamable_http_client", failing)
    async with asyncio.timeout(20), opened_at(1):
        await is_tried.wait()


async def test_a_newer_server_tells_that_its_tools_have_changed(opened_at: Open) -> None:
    remote = Remote()
    async with remote.listening() as port, opened_at(port) as service:
        remote.names.append("newest")

        async def is_there() -> bool:
            await remote.bus.publish(ToolsListChanged())
            return "newest" in {spec.name for spec in await service.list_tools(LOCAL_AGENT)}

        await until(is_there)


async def test_an_answer_that_is_too_long_fails_and_the_server_goes_on(opened_at: Open) -> None:
    async with Remote().listening() as port, opened_at(port) as service:
        failed = await call(service, "long")
        assert await act(service, "on") == "did on"
    assert failed.reason in ("TOOL_ERROR", "TOOL_CRASHED"), failed


async def test_a_remote_server_that_was_away_is_found_again(opened_at: Open) -> None:
    remote = Remote()
    async with remote.listening() as port:
        pass
    async with opened_at(port) as service:
        away = await health(service)
        async with remote.listening(port):

            async def is_ready() -> bool:
                return (await health(service)).status == "ready"

            await until(is_ready)
            assert await act(service, "again") == "did again"
    assert away.status != "ready"
