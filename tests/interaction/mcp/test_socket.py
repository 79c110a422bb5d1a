"""The socket in the home, with raw lines where the SDK's client would never send them."""

import json
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteStream
from mcp_types import INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR

from stepwell.errors import Code, SetupError
from stepwell.orchestrator.service import Service
from stepwell_mcp.connection import MAX_IN_FLIGHT
from stepwell_mcp.lines import MESSAGE_LIMIT
from stepwell_mcp.server import McpServer, build_server
from stepwell_mcp.socket import SocketDoor, serve_loopback, serve_socket

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="Unix sockets"),
]

PATIENCE = 10
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class Wire:
    """One client of the socket, line by line."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = BufferedByteStream(stream)

    async def send(self, *messages: dict[str, Any] | bytes) -> None:
        lines = [m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages]
        await self._stream.send(b"".join(line + b"\n" for line in lines))

    async def receive(self) -> dict[str, Any]:
        with anyio.fail_after(PATIENCE):
            line = await self._stream.receive_until(b"\n", 2 * MESSAGE_LIMIT)
        message: dict[str, Any] = json.loads(line)
        return message

    async def call(self, id: int, tool: str, **arguments: Any) -> None:
        params = {"name": tool, "arguments": arguments}
        await self.send({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})

    async def greeted(self) -> bool:
        return await self._stream.receive_exactly(1) == b"\n"

    async def introduce(self) -> None:
        await self.send(INITIALIZE)
        assert "result" in await self.receive()
        await self.send(INITIALIZED)

    async def stop_sending(self) -> None:
        await self._stream.send_eof()

    async def has_ended(self) -> bool:
        with anyio.fail_after(PATIENCE):
            try:
                await self._stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return True
        return False


@asynccontextmanager
async def wire(path: Path) -> AsyncIterator[Wire]:
    async with await anyio.connect_unix(path) as stream:
        client = Wire(stream)
        assert await client.greeted()
        yield client


@asynccontextmanager
async def introduced(path: Path) -> AsyncIterator[Wire]:
    async with wire(path) as client:
        await client.introduce()
        yield client


@pytest.fixture
def server(service: Service) -> McpServer:
    return build_server(service)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mcp.sock"


@pytest.fixture
async def door(server: McpServer, path: Path) -> AsyncIterator[SocketDoor]:
    async with serve_socket(server, path) as door:
        yield door


async def test_only_the_owner_may_connect(door: SocketDoor, path: Path) -> None:
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert door.address == str(path)


async def test_garbage_is_answered_and_the_connection_goes_on(door: SocketDoor, path: Path) -> None:
    async with introduced(path) as client:
        await client.send(b"garbage", b"[1, 2]", b'{"id": 7}', b"\xff\xfe", b"", b"  ")
        codes = [(await client.receive())["error"]["code"] for _ in range(4)]
        await client.call(1, "add", a=1, b=1)
        answer = await client.receive()
    assert codes == [PARSE_ERROR, INVALID_REQUEST, INVALID_REQUEST, PARSE_ERROR]
    assert answer["result"]["structuredContent"] == {"total": 2}


async def test_json_of_any_depth_is_answered_and_the_connection_goes_on(
    door: SocketDoor, path: Path
) -> None:
    async with introduced(path) as client:
        for depth in (300, 5000, 100_000):
            await client.send(b'{"a":' * depth + b"1" + b"}" * depth)
        codes = [(await client.receive())["error"]["code"] for _ in range(3)]
        await client.call(1, "add", a=1, b=1)
        answer = await client.receive()
    assert codes == [INVALID_REQUEST, PARSE_ERROR, PARSE_ERROR]
    assert answer["id"] == 1


@pytest.mark.parametrize("id", [None, {}, [], 1.5, True])
async def test_a_request_with_an_id_that_is_none_is_answered(
    door: SocketDoor, path: Path, id: Any
) -> None:
    async with introduced(path) as client:
        await client.send({"jsonrpc": "2.0", "id": id, "method": "tools/list"})
        answer = await client.receive()
    assert (answer["id"], answer["error"]["code"]) == (None, INVALID_REQUEST)
    assert "string or an integer" in answer["error"]["message"]


async def test_a_notification_that_only_python_would_call_json_is_answered(
    door: SocketDoor, path: Path
) -> None:
    async with introduced(path) as client:
        await client.send(b'{"jsonrpc": "2.0", "method": "notifications/x", "params": {"a": NaN}}')
        assert (await client.receive())["error"]["code"] == PARSE_ERROR
        await client.call(1, "add", a=1, b=1)
        assert (await client.receive())["id"] == 1


async def test_garbage_before_the_first_request_is_answered_as_well(
    door: SocketDoor, path: Path
) -> None:
    async with wire(path) as client:
        await client.send(b"GET / HTTP/1.1")
        assert (await client.receive())["error"]["code"] == PARSE_ERROR
        await client.introduce()


async def test_a_message_of_four_megabytes_passes(door: SocketDoor, path: Path) -> None:
    text = "ä" * 2_000_000
    async with introduced(path) as client:
        await client.call(1, "echo", text=text)
        answer = await client.receive()
        link = answer["result"]["content"][1]["uri"]
        await client.send(
            {"jsonrpc": "2.0", "id": 2, "method": "resources/read", "params": {"uri": link}}
        )
        whole = await client.receive()
    assert whole["result"]["contents"][0]["text"] == text


async def test_a_message_over_the_limit_is_refused_and_the_next_one_is_served(
    door: SocketDoor, path: Path
) -> None:
    async with introduced(path) as client:
        await client.send(b"x" * (MESSAGE_LIMIT + 1))
        refusal = await client.receive()
        await client.call(1, "add", a=1, b=1)
        answer = await client.receive()
    assert (refusal["id"], refusal["error"]["code"]) == (None, INVALID_REQUEST)
    assert str(MESSAGE_LIMIT) in refusal["error"]["message"]
    assert answer["id"] == 1


async def test_a_client_that_stops_sending_still_gets_its_answers(
    door: SocketDoor, path: Path
) -> None:
    async with introduced(path) as patient, introduced(path) as other:
        await patient.call(1, "pass_gate", gate="a")
        await patient.stop_sending()
        await other.call(1, "open_gate", gate="a")
        assert (await patient.receive())["result"]["structuredContent"] == {"passed": "a"}
        assert await patient.has_ended()


async def test_one_client_leaving_does_not_trouble_another(door: SocketDoor, path: Path) -> None:
    async with introduced(path) as stays:
        async with introduced(path) as leaves:
            await leaves.call(1, "pass_gate", gate="b")
            assert door.connections == 2
        await stays.call(1, "open_gate", gate="b")
        assert (await stays.receive())["id"] == 1


async def test_an_id_that_is_in_flight_is_not_taken_twice(door: SocketDoor, path: Path) -> None:
    async with introduced(path) as client:
        await client.call(1, "pass_gate", gate="c")
        await client.call(1, "open_gate", gate="c")
        refusal = await client.receive()
        await client.call(2, "open_gate", gate="c")
        assert {(await client.receive())["id"] for _ in range(2)} == {1, 2}
    assert (refusal["id"], refusal["error"]["code"]) == (1, INVALID_REQUEST)


async def test_requests_over_the_limit_are_refused_until_others_are_answered(
    door: SocketDoor, path: Path
) -> None:
    async with introduced(path) as client:
        for id in range(MAX_IN_FLIGHT):
            await client.call(id, "pass_gate", gate="d")
        await client.call(MAX_IN_FLIGHT, "open_gate", gate="d")
        refusal = await client.receive()
        cancel = {"requestId": 0, "reason": "make room"}
        await client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel})
        await client.call(MAX_IN_FLIGHT, "open_gate", gate="d")
        answered = {(await client.receive())["id"] for _ in range(MAX_IN_FLIGHT)}
    assert (refusal["id"], refusal["error"]["code"]) == (MAX_IN_FLIGHT, INTERNAL_ERROR)
    assert answered == set(range(1, MAX_IN_FLIGHT + 1))


async def test_stopping_answers_what_is_in_flight_and_removes_the_socket(
    server: McpServer, path: Path
) -> None:
    async with AsyncExitStack() as serving:
        await serving.enter_async_context(serve_socket(server, path))
        async with introduced(path) as client:
            await client.call(1, "pass_gate", gate="e")
            await client.call(2, "open_gate", gate="e")
            first = await client.receive()
            await serving.aclose()
            second = await client.receive()
            assert {first["id"], second["id"]} == {1, 2}
            assert await client.has_ended()
    assert not path.exists()


async def test_a_call_that_outlasts_the_grace_is_cut_off(server: McpServer, path: Path) -> None:
    async with AsyncExitStack() as serving:
        grace = timedelta(milliseconds=10)
        await serving.enter_async_context(serve_socket(server, path, stop_grace=grace))
        async with introduced(path) as client:
            await client.call(1, "pass_gate", gate="never")
            await client.call(2, "add", a=1, b=1)
            assert (await client.receive())["id"] == 2
            await serving.aclose()
            assert await client.has_ended()


async def test_the_socket_of_a_dead_process_is_replaced(server: McpServer, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serve_socket(server, path), introduced(path) as client:
        await client.call(1, "add", a=1, b=1)
        assert (await client.receive())["id"] == 1


async def test_a_socket_that_somebody_listens_on_is_left_alone(
    door: SocketDoor, server: McpServer, path: Path
) -> None:
    with pytest.raises(SetupError) as refused:
        async with serve_socket(server, path):
            pass
    assert refused.value.code is Code.HOME_IN_USE
    async with introduced(path):
        pass


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.write_text("mine"), "is a file"),
        (lambda path: path.parent.rmdir(), "cannot open the socket"),
    ],
)
async def test_a_path_that_cannot_be_a_socket_is_refused(
    server: McpServer, tmp_path: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / "folder" / "mcp.sock"
    path.parent.mkdir()
    spoil(path)
    with pytest.raises(SetupError, match=reason):
        async with serve_socket(server, path):
            pass


async def test_over_loopback_only_the_token_opens(server: McpServer, tmp_path: Path) -> None:
    token_file = tmp_path / "mcp.token"
    async with serve_loopback(server, token_file) as door:
        host, port = door.address.split(":")
        assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
        token = token_file.read_bytes()
        for wrong in (b"guess\n", b"x" * 300 + b"\n", token[:-1] + b"x\n"):
            async with await anyio.connect_tcp(host, int(port)) as stream:
                await stream.send(wrong)
                assert await Wire(stream).has_ended()
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(token + b"\n")
            client = Wire(stream)
            assert await client.greeted()
            await client.introduce()
    assert not token_file.exists()
