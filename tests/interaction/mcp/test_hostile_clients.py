"""Clients that ask for too much, send too much, or do not go on: they cost nobody else anything."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta

import anyio
import httpx2
import pytest
from tests.interaction.mcp.test_http import ACCEPT, headed, modern

from stepwell.orchestrator.authentication import Authentication
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_USER
from stepwell_mcp import listening
from stepwell_mcp.http import McpHttp
from stepwell_mcp.limits import Limits
from stepwell_mcp.lines import MESSAGE_LIMIT
from stepwell_mcp.server import build_server
from stepwell_server.http import HttpServer
from stepwell_server.slow_clients import MOST_UNREAD, Patience

pytestmark = pytest.mark.anyio

LISTEN = modern("subscriptions/listen", notifications={"toolsListChanged": True})
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "one", "version": "1"},
    },
}
SHORT = timedelta(seconds=0.2)
IMPATIENT = Patience(request=SHORT, body=SHORT, reader=SHORT)
MIB = 1024 * 1024


class Door:
    """A server, and what it counts."""

    def __init__(self, http: HttpServer, port: int) -> None:
        self.http = http
        self.port = port

    def client(self, token: str = "") -> httpx2.AsyncClient:
        headers = {**ACCEPT, "authorization": f"Bearer {token}"} if token else ACCEPT
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        return httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", headers=headers, limits=limits, timeout=20
        )

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def is_left(self) -> None:
        """Waits until nobody is connected any more."""
        with anyio.fail_after(10):
            while self.http.connections:
                await anyio.sleep(0.01)


Open = Callable[..., AbstractAsyncContextManager[Door]]


@pytest.fixture
def opened(service: Service) -> Open:
    @asynccontextmanager
    async def open_door(*, patience: Patience | None = None, **limits: int) -> AsyncIterator[Door]:
        mcp = McpHttp(
            build_server(service),
            Authentication(service.api_keys.identify, None),
            limits=Limits(**limits),
        )
        http = HttpServer(mcp.routes, drain=timedelta(seconds=1), patience=patience)
        with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
            async with http.draining(), mcp.running():
                await http.listen(listener)
                yield Door(http, listener.getsockname()[1])

    return open_door


def head(length: int | None, **more: str) -> bytes:
    """A request as far as its body; None is one that comes in chunks."""
    size = {"transfer-encoding": "chunked"} if length is None else {"content-length": str(length)}
    fields = {"host": "127.0.0.1", "content-type": "application/json", **ACCEPT, **size, **more}
    lines = ["POST /mcp HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("length", "piece", "most"),
    [
        (100 * MIB, b"x" * 65536, MOST_UNREAD + 10 * MIB),
        (None, b"10000\r\n" + b"x" * 65536 + b"\r\n", MESSAGE_LIMIT + MOST_UNREAD + 10 * MIB),
    ],
    ids=["announced", "in chunks"],
)
async def test_a_hundred_megabytes_are_refused_without_reading_them(
    opened: Open, length: int | None, piece: bytes, most: int
) -> None:
    """Between the two programs is room for a few of them."""
    async with opened() as door:
        reader, writer = await door.connect()
        writer.write(head(length))
        sent = 0
        with anyio.fail_after(20):
            answer = asyncio.create_task(reader.readline())
            with contextlib.suppress(ConnectionError):
                while sent < 100 * MIB:
                    writer.write(piece)
                    await writer.drain()
                    sent += len(piece)
            assert (await answer).startswith(b"HTTP/1.1 413")
        assert sent < most
        await door.is_left()
        writer.close()


@pytest.mark.parametrize(
    "begun",
    [b"", b"POST /mcp HT", head(100) + b'{"jsonrpc"', head(None) + b"5\r\nabc"],
    ids=["nothing", "half a line", "half a body", "half a chunk"],
)
async def test_who_begins_and_does_not_go_on_is_hung_up_on(opened: Open, begun: bytes) -> None:
    async with opened(patience=IMPATIENT) as door:
        reader, writer = await door.connect()
        writer.write(begun)
        with anyio.fail_after(10), pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        await door.is_left()
        writer.close()


async def test_who_never_reads_is_hung_up_on_and_others_are_served(opened: Open) -> None:
    async with opened(patience=IMPATIENT, streams=1) as door:
        call = modern("tools/call", name="echo", arguments={"text": "x" * 8 * MIB})
        body = json.dumps(call["json"]).encode()
        deaf = socket.create_connection(("127.0.0.1", door.port))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with deaf:
            deaf.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(deaf, head(len(body), **call["headers"]) + body)
            with anyio.fail_after(20):
                # The only stream that there is comes free by itself.
                async with door.client() as client:
                    while (await client.post("/mcp", **modern("tools/list"))).status_code == 429:
                        await anyio.sleep(0.01)
        await door.is_left()


async def test_who_reads_slowly_gets_all_of_it(opened: Open) -> None:
    async with opened(patience=Patience(reader=timedelta(seconds=2))) as door:
        call = modern("tools/call", name="echo", arguments={"text": "x" * 200_000})
        async with door.client() as client, client.stream("POST", "/mcp", **call) as response:
            size = 0
            async for chunk in response.aiter_raw(4096):
                size += len(chunk)
        assert size > 200_000


async def test_of_a_thousand_streams_of_one_client_as_many_are_open_as_may_be(
    opened: Open, service: Service
) -> None:
    _, greedy = await service.api_keys.create(LOCAL_USER, "agent:greedy")
    _, modest = await service.api_keys.create(LOCAL_USER, "agent:modest")
    statuses: list[int] = []
    async with opened(streams=100) as door, AsyncExitStack() as open_streams:
        client = await open_streams.enter_async_context(door.client(greedy))

        async def listen() -> None:
            stream = client.stream("POST", "/mcp", **LISTEN)
            response = await open_streams.enter_async_context(stream)
            statuses.append(response.status_code)
            if response.status_code == 429:
                assert response.headers["retry-after"] == "1"

        for _ in range(10):
            async with asyncio.TaskGroup() as asking:
                for _ in range(100):
                    asking.create_task(listen())
        assert (statuses.count(200), statuses.count(429)) == (100, 900)
        async with door.client(modest) as other:
            assert (await other.post("/mcp", **modern("tools/list"))).status_code == 200


async def test_who_asks_one_thing_after_the_other_never_has_two_open(opened: Open) -> None:
    async with opened(streams=1) as door, door.client() as client:
        answers = [await client.post("/mcp", **modern("tools/list")) for _ in range(50)]
        assert {answer.status_code for answer in answers} == {200}


async def test_streams_that_have_ended_make_room(opened: Open) -> None:
    async with opened(streams=1) as door, door.client() as client:
        async with client.stream("POST", "/mcp", **LISTEN) as first:
            assert first.status_code == 200
            assert (await client.post("/mcp", **modern("tools/list"))).status_code == 429
        with anyio.fail_after(5):
            while (await client.post("/mcp", **modern("tools/list"))).status_code == 429:
                await anyio.sleep(0.01)


async def test_who_asks_too_often_is_told_when_to_come_again(
    opened: Open, service: Service
) -> None:
    _, busy = await service.api_keys.create(LOCAL_USER, "agent:busy")
    _, other = await service.api_keys.create(LOCAL_USER, "agent:other")
    ask = modern("tools/list")
    async with opened(rate=2) as door, door.client() as client:

        async def status(token: str) -> tuple[int, str | None]:
            answer = await client.post("/mcp", **headed(ask, {"authorization": f"Bearer {token}"}))
            return answer.status_code, answer.headers.get("retry-after")

        assert await status(busy) == (200, None)
        refused, later = await status(busy)
        assert refused == 429
        assert later is not None
        assert 0 < int(later) <= 30
        assert await status(other) == (200, None)
        local = [(await client.post("/mcp", **ask)).status_code for _ in range(20)]
        assert local == [200] * 20


async def test_nobody_takes_all_sessions_that_there_are(opened: Open, service: Service) -> None:
    _, greedy = await service.api_keys.create(LOCAL_USER, "agent:greedy")
    _, modest = await service.api_keys.create(LOCAL_USER, "agent:modest")
    async with (
        opened(sessions=3) as door,
        door.client(greedy) as client,
        door.client(modest) as other,
    ):

        async def begin(who: httpx2.AsyncClient) -> httpx2.Response:
            return await who.post("/mcp", json=INITIALIZE)

        begun = [await begin(client) for _ in range(4)]
        assert [answer.status_code for answer in begun] == [200, 200, 200, 429]
        assert (await client.post("/mcp", **modern("tools/list"))).status_code == 200
        assert (await begin(other)).status_code == 200
        refused = await client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
        assert refused.status_code == 429
        named = {"mcp-session-id": begun[0].headers["mcp-session-id"]}
        assert (await other.request("DELETE", "/mcp", headers=named)).status_code == 404
        assert (await begin(client)).status_code == 429
        assert (await client.request("DELETE", "/mcp", headers=named)).status_code == 200
        assert [(await begin(client)).status_code for _ in range(2)] == [200, 429]


async def test_what_begins_no_session_takes_no_place(opened: Open) -> None:
    async with opened(sessions=1) as door, door.client() as client:
        for _ in range(3):
            ping = await client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
            assert ping.status_code == 400
        assert (await client.post("/mcp", json=INITIALIZE)).status_code == 200


async def test_nobody_keeps_others_from_listening(
    opened: Open, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "MOST_OF_ONE", 2)
    _, greedy = await service.api_keys.create(LOCAL_USER, "agent:greedy")
    _, modest = await service.api_keys.create(LOCAL_USER, "agent:modest")
    kept: list[AsyncIterator[str]] = []
    async with opened() as door, AsyncExitStack() as open_streams:

        async def first(token: str) -> str:
            client = await open_streams.enter_async_context(door.client(token))
            stream = client.stream("POST", "/mcp", **LISTEN)
            response = await open_streams.enter_async_context(stream)
            kept.append(lines := response.aiter_lines())  # let go it would close the stream
            while "{" not in (line := await anext(lines)):
                pass
            return line

        with anyio.fail_after(10):
            assert ["acknowledged" in await first(greedy) for _ in range(2)] == [True, True]
            assert "2 streams of agent:greedy listen already" in await first(greedy)
            assert "acknowledged" in await first(modest)
