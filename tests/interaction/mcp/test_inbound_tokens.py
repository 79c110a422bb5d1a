"""A token that is shown to us goes no further: not to wrapped servers, not to HTTP tools, not into the log."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.server.lowlevel import Server
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.interaction.mcp.authorization_server import AuthorizationServer
from tests.interaction.mcp.test_http import ACCEPT, headed, modern
from tests.permitting import permit_direct_calls

from stepwell.bootstrap import open_runtime
from stepwell.config import load_settings
from stepwell.orchestrator.authentication import Authentication
from stepwell.principals import LOCAL_USER
from stepwell_mcp.http import McpHttp
from stepwell_mcp.server import build_server
from stepwell_server.http import HttpServer

pytestmark = pytest.mark.anyio


class Upstream:
    """An MCP server and an API, which write down every byte that reaches them."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.calls: list[str] = []
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server: Server[Any] = Server("up", on_list_tools=self._tools, on_call_tool=self._call)
        door = McpHttp(server, Authentication(_anybody, None))
        endpoint = door.routes[0]
        routes = [
            Route("/mcp", self._writing_down(endpoint.app)),
            Route("/api", self._writing_down(self._api)),
        ]
        http = HttpServer(routes, drain=timedelta(seconds=0.1))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            async with http.draining(), door.running():
                await http.listen(listener)
                yield

    def _writing_down(self, app: ASGIApp) -> ASGIApp:
        class Wrapped:
            async def __call__(_, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: N805
                self.heard += [part for header in scope["headers"] for part in header]
                self.heard.append(scope["raw_path"] + b"?" + scope["query_string"])

                async def hearing() -> Message:
                    message = await receive()
                    self.heard.append(message.get("body", b""))
                    return message

                await app(scope, hearing, send)

        return Wrapped()

    async def _tools(self, context: Any, params: Any) -> ListToolsResult:
        tool = Tool(name="act", description="Acts.", input_schema={"type": "object"})
        return ListToolsResult(tools=[tool])

    async def _call(self, context: Any, params: Any) -> CallToolResult:
        self.calls.append(params.name)
        return CallToolResult(content=[TextContent(type="text", text="done")])

    async def _api(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        self.calls.append("api")
        await JSONResponse({"ok": True})(scope, receive, send)


async def _anybody(token: str) -> Any:
    raise AssertionError("nobody shows a credential here")


@pytest.mark.parametrize("credential", ["access token", "API key", "owner"])
async def test_what_we_call_never_sees_the_token_that_we_were_shown(
    tmp_path: Path, credential: str
) -> None:
    server, upstream = AuthorizationServer("stepwell"), Upstream()
    async with server.listening(), upstream.listening():
        at = f"http://127.0.0.1:{upstream.port}"
        overrides = {
            "storage.url": f"sqlite:///{tmp_path / 'runs.db'}",
            "tools.servers.up.url": f"{at}/mcp",
            "tools.servers.up.networks": ["loopback"],
            "tools.http.api.url": f"{at}/api",
            "tools.http.api.description": "Tells the API.",
            "tools.http.api.method": "POST",
            "tools.http.api.body": {"text": "{text}"},
            "tools.http.api.networks": ["loopback"],
            "mcp.oauth.issuer": server.issuer,
            "mcp.oauth.audience": "stepwell",
            "mcp.oauth.networks": ["loopback"],
        }
        async with open_runtime(load_settings(tmp_path, {}, overrides)) as runtime:
            await permit_direct_calls(runtime.service)
            assert runtime.oauth
            _, key = await runtime.service.api_keys.create(LOCAL_USER, "agent:bot")
            owner = "an-owner-token-of-43-characters"
            shown = {"access token": server.token(), "API key": key, "owner": owner}[credential]
            door = McpHttp(
                build_server(runtime.service),
                Authentication(
                    runtime.service.api_keys.identify, owner, bearer=runtime.oauth.bearer
                ),
            )
            http = HttpServer(door.routes, drain=timedelta(seconds=1))
            with socket.create_server(("127.0.0.1", 0)) as listener:
                base = f"http://127.0.0.1:{listener.getsockname()[1]}"
                async with (
                    http.draining(),
                    door.running(),
                    httpx2.AsyncClient(base_url=base, headers=ACCEPT, timeout=30) as client,
                ):
                    await http.listen(listener)
                    for name in ("act", "api"):
                        call = modern("tools/call", name=name, arguments={"text": "hello"})
                        given = headed(call, {"authorization": f"Bearer {shown}"})
                        answer = await client.post("/mcp", **given)
                        assert not answer.json()["result"]["isError"], answer.text
    assert upstream.calls == ["act", "api"]
    secret = shown.rpartition(".")[2].encode()
    assert not [heard for heard in upstream.heard if secret in heard]
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert secret not in kept
