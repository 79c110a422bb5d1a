"""Streamable HTTP: who may come in, and what a browser page of another site may not."""

import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from mcp_types import HEADER_MISMATCH
from mcp_types.version import LATEST_MODERN_VERSION

from stepwell.orchestrator.authentication import Authentication
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_USER
from stepwell_mcp.http import McpHttp
from stepwell_mcp.lines import MESSAGE_LIMIT
from stepwell_mcp.places import places
from stepwell_mcp.server import build_server
from stepwell_server.http import HttpServer

pytestmark = pytest.mark.anyio

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"accept": "application/json, text/event-stream"}


def modern(method: str, **params: Any) -> dict[str, Any]:
    """A request of 2026-07-28, as keyword arguments of `post`."""
    params["_meta"] = {
        "io.modelcontextprotocol/protocolVersion": LATEST_MODERN_VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {"MCP-Protocol-Version": LATEST_MODERN_VERSION, "Mcp-Method": method}
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return {"json": message, "headers": headers}


def headed(request: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    return {**request, "headers": {**request["headers"], **headers}}


@pytest.fixture
async def port(service: Service) -> AsyncIterator[int]:
    door = McpHttp(build_server(service), Authentication(service.api_keys.identify, None))
    http = HttpServer(door.routes, drain=timedelta(seconds=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with http.draining(), door.running():
            await http.listen(listener)
            yield listener.getsockname()[1]


@pytest.fixture
async def http(port: int) -> AsyncIterator[httpx2.AsyncClient]:
    base = f"http://127.0.0.1:{port}"
    async with httpx2.AsyncClient(base_url=base, headers=ACCEPT) as client:
        yield client


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7421",
        "127.0.0.1.evil.example",
        "localhost:1@evil.example",
        "[::1]:1:evil.example",
    ],
)
async def test_a_name_that_is_not_ours_is_refused(http: httpx2.AsyncClient, host: str) -> None:
    response = await http.post("/mcp", json=PING, headers={"host": host})
    assert response.status_code == 421


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://localhost.evil.example",
        "http://localhost:1@evil.example",
        "null",
    ],
)
async def test_a_page_of_another_site_is_refused(http: httpx2.AsyncClient, origin: str) -> None:
    response = await http.post("/mcp", json=PING, headers={"origin": origin})
    assert response.status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_loopback_names_and_pages_are_served(
    http: httpx2.AsyncClient, port: int, host: str
) -> None:
    headers = {"host": f"{host}:{port}", "origin": f"http://{host}:{port}"}
    response = await http.post("/mcp", json=PING, headers=headers)
    assert response.status_code == 400  # asked without a session, so it was let in
    assert "session" in response.text.lower()


async def test_an_argument_that_its_header_contradicts_is_refused(http: httpx2.AsyncClient) -> None:
    """2026-07-28: who has listed the tools mirrors what `x-mcp-header` marks into headers."""
    listed = await http.post("/mcp", **modern("tools/list"))
    assert "tag" in {tool["name"] for tool in listed.json()["result"]["tools"]}
    call = modern("tools/call", name="tag", arguments={"region": "north"})
    agreeing = await http.post("/mcp", **headed(call, {"Mcp-Param-Region": "north"}))
    assert agreeing.json()["result"]["structuredContent"] == {"region": "north"}
    contradicting = await http.post("/mcp", **headed(call, {"Mcp-Param-Region": "south"}))
    assert contradicting.status_code == 400
    assert contradicting.json()["error"]["code"] == HEADER_MISMATCH


async def test_a_body_over_the_limit_is_refused(http: httpx2.AsyncClient) -> None:
    response = await http.post("/mcp", content=b"x" * (MESSAGE_LIMIT + 1))
    assert response.status_code == 413


async def test_garbage_is_a_parse_error(http: httpx2.AsyncClient) -> None:
    response = await http.post(
        "/mcp", content=b"garbage", headers={"content-type": "application/json"}
    )
    assert response.status_code == 400


async def seen(http: httpx2.AsyncClient, run: str, token: str) -> str:
    """What a caller with this key is told of a run."""
    request = modern("tools/call", name="run_get", arguments={"run": run})
    response = await http.post("/mcp", **headed(request, {"authorization": f"Bearer {token}"}))
    return response.text


async def test_a_key_says_who_asks(http: httpx2.AsyncClient, service: Service) -> None:
    _, bot = await service.api_keys.create(LOCAL_USER, "agent:bot")
    _, other = await service.api_keys.create(LOCAL_USER, "agent:bot", namespace="elsewhere")
    call = modern("tools/call", name="echo", arguments={"text": "hello"})
    assert (await http.post("/mcp", **headed(call, {"authorization": f"Bearer {bot}"}))).is_success

    page = await service.list_runs(LOCAL_USER)
    assert [run.principal for run in page.runs] == ["agent:bot"]
    assert page.runs[0].id in await seen(http, page.runs[0].id, bot)
    assert "RUN_NOT_FOUND" in await seen(http, page.runs[0].id, other)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer sw_000000000000_" + "A" * 43},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"authorization": ""},
        {"x-forwarded-for": "203.0.113.9"},
        {"forwarded": "for=203.0.113.9"},
    ],
    ids=["unknown", "basic", "empty", "proxied", "forwarded"],
)
async def test_who_cannot_be_known_gets_nothing(
    http: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    response = await http.post("/mcp", **headed(modern("tools/list"), headers))
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_session_belongs_to_who_began_it(
    http: httpx2.AsyncClient, service: Service
) -> None:
    _, ann = await service.api_keys.create(LOCAL_USER, "agent:ann")
    _, bob = await service.api_keys.create(LOCAL_USER, "agent:bob")
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    begun = await http.post(
        "/mcp",
        json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        headers={"authorization": f"Bearer {ann}"},
    )
    session = begun.headers["mcp-session-id"]
    answers = []
    for token in (bob, ann):
        headers = {"authorization": f"Bearer {token}", "mcp-session-id": session}
        answers.append((await http.post("/mcp", json=PING, headers=headers)).status_code)
    without = await http.post("/mcp", json=PING, headers={"mcp-session-id": session})
    assert [*answers, without.status_code] == [404, 200, 404]


async def test_a_page_of_a_named_site_is_a_client_and_no_other(service: Service) -> None:
    """A browser asks first, and shows its page no answer that does not allow it."""
    door = McpHttp(
        build_server(service),
        Authentication(service.api_keys.identify, None),
        places=places([], ["https://app.example"]),
    )
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, mcp-protocol-version, mcp-method",
    }
    server = HttpServer(door.routes, drain=timedelta(seconds=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with (
            server.draining(),
            door.running(),
            httpx2.AsyncClient(base_url=base, headers=ACCEPT) as http,
        ):
            await server.listen(listener)
            named, other = {"origin": "https://app.example"}, {"origin": "https://evil.example"}
            allowed = await http.options("/mcp", headers={**asked, **named})
            assert allowed.headers["access-control-allow-origin"] == "https://app.example"
            assert "mcp-method" in allowed.headers["access-control-allow-headers"]
            answer = await http.post("/mcp", **headed(modern("tools/list"), named))
            assert answer.headers["access-control-allow-origin"] == "https://app.example"
            refused = await http.options("/mcp", headers={**asked, **other})
            assert "access-control-allow-origin" not in refused.headers
            assert (
                await http.post("/mcp", **headed(modern("tools/list"), other))
            ).status_code == 403


async def test_without_keyless_this_machine_shows_a_credential_too(service: Service) -> None:
    door = McpHttp(
        build_server(service), Authentication(service.api_keys.identify, "owner"), keyless=False
    )
    server = HttpServer(door.routes, drain=timedelta(seconds=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with (
            server.draining(),
            door.running(),
            httpx2.AsyncClient(base_url=base, headers=ACCEPT) as http,
        ):
            await server.listen(listener)
            ask = modern("tools/list")
            assert (await http.post("/mcp", **ask)).status_code == 401
            shown = headed(ask, {"authorization": "bearer owner"})
            assert (await http.post("/mcp", **shown)).status_code == 200


async def test_a_client_that_comes_back_is_told_what_is_new(http: httpx2.AsyncClient) -> None:
    """No stream is kept, so there is no rest of one: it was answered 500."""
    params = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "returning", "version": "1"},
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    begun = await http.post("/mcp", json=message)
    headers = {"mcp-session-id": begun.headers["mcp-session-id"], "last-event-id": "7"}
    async with http.stream("GET", "/mcp", headers=headers) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"] == "text/event-stream"
