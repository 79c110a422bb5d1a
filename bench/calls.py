"""Calls of a tool on the wire, in process or over a socket, and what they cost whoever answers.

No client of the SDK: it takes more processor time than what is measured. This module stands on
the standard library alone, so that peers can be measured with it in an environment of their own.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple, Protocol

MODERN: Final = "2026-07-28"
OLDER: Final = "2025-11-25"
TEXT: Final = "the same for everyone, and as long as a short answer is"
META: Final = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
}
Message = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]
App = Callable[[Any, Any, Any], Awaitable[None]]
Send = Callable[[], Awaitable[None]]
Clock = Callable[[], float]


class Calls(NamedTuple):
    """How many calls make a block, and how many blocks are made; the best one is the figure."""

    each: int
    blocks: int
    in_flight: int


class Answer(NamedTuple):
    """What an HTTP request is answered."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Carrier(Protocol):
    """Brings one POST to a server."""

    async def post(self, headers: Headers, body: bytes) -> Answer:
        """Ends when all of the answer is there."""
        ...


class Wire:
    """Requests as newer clients send them, one POST each; after `begin` those of an older client."""

    def __init__(self, carrier: Carrier, tool: str = "echo", *, key: str = "") -> None:
        self._carrier = carrier
        self._tool = tool
        self._key = key
        self._version = MODERN
        self._session = b""
        self._number = 0

    async def echo(self) -> None:
        """Calls the tool with what nobody has told it before.

        Raises:
            AssertionError: it was not made, or is an error.
        """
        text = f"{TEXT}: {self._number}"
        result = await self.ask("tools/call", {"name": self._tool, "arguments": {"text": text}})
        assert "said" in result["structuredContent"], result

    async def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        """Sends a request, and tells its result."""
        self._number += 1
        meta = {"_meta": META} if self._version == MODERN else {}
        request = {"jsonrpc": "2.0", "id": self._number, "method": method}
        answer = await self._post({**request, "params": {**params, **meta}})
        assert answer.status == 200, answer
        message = _last_message(answer.body)
        assert "result" in message, message
        return message["result"]

    @property
    def listening(self) -> Headers:
        """The headers of the stream that an older client listens on."""
        return [
            (b"host", b"127.0.0.1"),
            (b"accept", b"text/event-stream"),
            (b"mcp-protocol-version", self._version.encode()),
            (b"mcp-session-id", self._session),
        ]

    async def begin(self) -> "Wire":
        """Begins the session of an older client."""
        self._version = OLDER
        client = {"name": "bench", "version": "1"}
        params = {"protocolVersion": OLDER, "capabilities": {}, "clientInfo": client}
        request = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        answer = await self._post(request)
        assert answer.status == 200, answer
        self._session = answer.headers.get(b"mcp-session-id", b"")
        await self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self

    async def _post(self, message: Mapping[str, Any]) -> Answer:
        body = json.dumps(message).encode()
        headers = [
            (b"host", b"127.0.0.1"),
            (b"content-type", b"application/json"),
            (b"accept", b"application/json, text/event-stream"),
            (b"content-length", str(len(body)).encode()),
            (b"mcp-protocol-version", self._version.encode()),
        ]
        if self._key:
            headers.append((b"authorization", f"Bearer {self._key}".encode()))
        if self._session:
            headers.append((b"mcp-session-id", self._session))
        if self._version == MODERN:
            headers.append((b"mcp-method", message["method"].encode()))
            if message["method"] == "tools/call":
                headers.append((b"mcp-name", message["params"]["name"].encode()))
        return await self._carrier.post(headers, body)


class InProcess:
    """Brings requests to an ASGI app in this process."""

    def __init__(self, app: App, path: str = "/mcp") -> None:
        self._app = app
        self._path = path

    async def post(self, headers: Headers, body: bytes) -> Answer:
        """Ends when the app has done with it."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": b"",
            "root_path": "",
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 7421),
            "headers": headers,
        }
        exchange = _Exchange(body)
        await self._app(scope, exchange.receive, exchange.send)
        return Answer(exchange.status, exchange.headers, bytes(exchange.body))


class _Exchange:
    """One request and its answer."""

    def __init__(self, body: bytes) -> None:
        self._request: bytes | None = body
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = bytearray()

    async def receive(self) -> Message:
        if self._request is None:
            await asyncio.get_running_loop().create_future()  # the client stays
        body, self._request = self._request, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            self.body += message.get("body", b"")


class OverHttp:
    """Brings requests to a port of this machine, over as many connections as there are at once."""

    def __init__(self, port: int, path: str = "/mcp") -> None:
        self._port = port
        self._path = path
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, headers: Headers, body: bytes) -> Answer:
        """Ends when all of the answer has come."""
        while True:
            is_used = bool(self._idle)
            reader, writer = await self._connection()
            try:
                answer = await self._exchange(reader, writer, headers, body)
            except BaseException as error:
                writer.close()
                # A server hangs up on who has been silent for seconds, maybe just now.
                if is_used and isinstance(error, ConnectionError | EOFError):
                    continue
                raise
            self._idle.append((reader, writer))
            return answer

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        headers: Headers,
        body: bytes,
    ) -> Answer:
        head = b"".join(b"%s: %s\r\n" % header for header in headers)
        writer.write(b"POST %s HTTP/1.1\r\n%s\r\n%s" % (self._path.encode(), head, body))
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        told = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in lines)
        }
        if told.get(b"transfer-encoding") == b"chunked":
            answer = await _chunks(reader)
        else:
            answer = await reader.readexactly(int(told.get(b"content-length", b"0")))
        return Answer(int(status.split()[1]), told, answer)

    def close(self) -> None:
        """Hangs up."""
        for _, writer in self._idle:
            writer.close()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _last_message(body: bytes) -> Any:
    """The answer: all of the body, or the last event of a stream."""
    if body.startswith(b"{"):
        return json.loads(body)
    data = [line for line in body.splitlines() if line.startswith(b"data: {")]
    return json.loads(data[-1].removeprefix(b"data: "))


async def best_us(
    senders: Mapping[str, Send], calls: Calls, spent: Mapping[str, Clock] | None = None
) -> dict[str, float]:
    """Microseconds of processor time for each call, in the best block of each sender.

    They take turns, so that whatever else the machine does falls on all. `spent` are the clocks that
    count, in seconds; without them it is the time of this process.
    """
    best = dict.fromkeys(senders, float("inf"))
    for _ in range(calls.blocks + 1):  # the first one warms up, and is never the best
        for name, send in senders.items():
            clock = spent[name] if spent else time.process_time
            began = clock()
            await _block(send, calls)
            best[name] = min(best[name], (clock() - began) * 1e6 / calls.each)
    return best


async def _block(send: Send, calls: Calls) -> None:
    left = iter(range(calls.each))

    async def one_after_another() -> None:
        for _ in left:
            await send()

    await asyncio.gather(*(one_after_another() for _ in range(calls.in_flight)))
