"""Whatever anybody sends: the door answers, in time, without a stack trace, and nothing is lost.

`make test` sends a few hundred requests, `make fuzz` ten thousand (FUZZ=n, FUZZ_SEED=n).
"""

import asyncio
import json
import logging
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from tests.e2e.fuzzing import META, MODERN, Fuzz, HttpRequest
from tests.permitting import permit_direct_calls

from stepwell.bootstrap import open_runtime
from stepwell.config import load_settings
from stepwell.orchestrator.authentication import Authentication
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import RunStatus
from stepwell.principals import LOCAL_AGENT, LOCAL_USER
from stepwell_mcp.http import McpHttp
from stepwell_mcp.server import build_server
from stepwell_mcp.socket import serve_socket
from stepwell_server.http import HttpServer

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(1800),
    # The SDK leaves streams to the garbage when a client hangs up at the wrong moment.
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]

REQUESTS: Final = int(os.environ.get("FUZZ", "400"))
SEED: Final = int(os.environ.get("FUZZ_SEED", "1"))
HANGS: Final = 20.0
"""Seconds in which an answer must have begun."""
LONG: Final = 32 * 1024
"""Bytes of a body that may not all be on their way when the answer is."""
AT_ONCE: Final = 8
SOUND: Final = 10
"""After so many requests there is a sound one, whose run must be there in the end."""
UNTIDY: Final = re.compile(rb"Traceback|site-packages|\.py\b.{0,12}line \d|/stepwell(_mcp)?/")
"""What would tell a client how we are made."""
FAILED: Final = re.compile(rb"failed to answer this request|Internal server error|\"INTERNAL\"")
"""How the door and the SDK tell of something that nobody foresaw."""

TOOLS: Final = '''
import asyncio

from stepwell import ask, prompt, tool


@tool(read_only=True)
async def echo(text: str) -> str:
    """Says it again."""
    return text


@tool(read_only=True)
async def add(a: int, b: int) -> dict[str, int]:
    """Adds two numbers."""
    return {"total": a + b}


@tool(read_only=True)
async def fail(why: str) -> str:
    """Always fails."""
    raise ValueError(why)


@tool(read_only=True)
async def sleep(seconds: float) -> str:
    """Takes a while, and not long."""
    await asyncio.sleep(min(max(seconds, 0), 1))
    return "awake"


@tool(read_only=True)
async def wonder() -> str:
    """Asks the user."""
    return (await ask("Well?", key="well")).action


@prompt
async def greeting(name: str) -> str:
    """Greets somebody."""
    return f"Say hello to {name}."
'''
HELLO: Final = b"""
workflow: hello
input: { type: object, required: [name], properties: { name: { type: string } } }
nodes:
  - { id: greet, transform: "='hello ' + input.name" }
output: { text: "=greet.output" }
"""


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    (tmp_path / "tools.py").write_text(TOOLS)
    overrides = {"tools.paths": [str(tmp_path / "tools.py")]}
    async with open_runtime(load_settings(tmp_path, {}, overrides)) as runtime:
        await runtime.service.put_workflow(LOCAL_USER, HELLO)
        await permit_direct_calls(runtime.service)
        yield runtime.service


@pytest.fixture
async def port(service: Service) -> AsyncIterator[int]:
    server = build_server(service, wait=timedelta(milliseconds=50))
    door = McpHttp(server, Authentication(service.api_keys.identify, None))
    http = HttpServer(door.routes, drain=timedelta(seconds=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with http.draining(), door.running():
            await http.listen(listener)
            yield listener.getsockname()[1]


async def test_no_request_over_http_breaks_anything(
    service: Service, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    fuzz = Fuzz(SEED)
    session = await _session(port)
    left = iter(range(REQUESTS // 2))

    async def send_some() -> None:
        for number in left:
            request = fuzz.http(session)
            answer = await _sent(port, request)
            assert _is_tidy(answer), (SEED, number, request, answer[:2000])
            if number % SOUND == 0:
                await _echo(port, f"http-{number}")

    await asyncio.gather(*(send_some() for _ in range(AT_ONCE)))
    sound = {f"http-{number}" for number in range(0, REQUESTS // 2, SOUND)}
    await _assert_kept(service, sound)
    assert _mishaps(caplog) == []


@pytest.mark.parametrize("modern", [True, False], ids=["modern", "older"])
async def test_no_line_on_the_socket_breaks_anything(
    service: Service, tmp_path: Path, modern: bool, caplog: pytest.LogCaptureFixture
) -> None:
    fuzz = Fuzz(SEED + 1 + modern)
    server = build_server(service, wait=timedelta(milliseconds=50))
    count = REQUESTS // 4
    sound = {f"line-{number}" for number in range(0, count, SOUND)}
    async with serve_socket(server, tmp_path / "fuzz.sock") as door:
        async with _client(door.address, modern=modern) as client:
            for number in range(count):
                line = fuzz.line(modern=modern)
                await client.send(line)
                if number % SOUND == 0:
                    await client.echo(f"line-{number}")
        await _assert_kept(service, sound)
    assert _mishaps(caplog) == []


# --- over HTTP ------------------------------------------------------------------------------


async def _sent(port: int, request: HttpRequest) -> bytes:
    """What came back: all of it, or of a stream what came soon.

    Who is refused is not read to the end, so that the answer to a long body may be lost on the way.

    Raises:
        TimeoutError: nothing has come in time.
    """
    try:
        return await _exchanged(port, request)
    except ConnectionError:
        assert len(request.body) > LONG, request
        return b"HTTP/1.1 413 -"


async def _exchanged(port: int, request: HttpRequest) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.wire)
        async with asyncio.timeout(HANGS):
            head = await reader.readuntil(b"\r\n\r\n")
        is_stream = b"text/event-stream" in head.lower()
        body = b""
        try:
            async with asyncio.timeout(0.2 if is_stream else HANGS):
                while chunk := await reader.read(65536):
                    body += chunk
        except TimeoutError:
            assert is_stream, (request, head, body[:500])
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    return head + body


def _is_tidy(answer: bytes) -> bool:
    """Whether it is an answer, tells nothing of our inside, and of nothing unforeseen."""
    status = int(answer.split(b" ", 2)[1])
    is_refusal = status < 500 or status == 503
    return is_refusal and not UNTIDY.search(answer) and not FAILED.search(answer)


async def _session(port: int) -> str:
    """A session of an older client."""
    params = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "fuzz", "version": "1"},
    }
    answer = await _sent(port, _post({"id": 0, "method": "initialize", "params": params}))
    found = re.search(rb"(?i)mcp-session-id: (\S+)", answer)
    assert found, answer
    return found[1].decode()


async def _echo(port: int, text: str) -> None:
    params = {"name": "echo", "arguments": {"text": text}, "_meta": META}
    said = (
        (b"mcp-protocol-version", MODERN.encode()),
        (b"mcp-method", b"tools/call"),
        (b"mcp-name", b"echo"),
    )
    answer = await _sent(port, _post({"id": text, "method": "tools/call", "params": params}, *said))
    assert b'"result"' in answer, answer


def _post(message: dict[str, Any], *said: tuple[bytes, bytes]) -> HttpRequest:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    headers = (
        (b"host", b"127.0.0.1"),
        (b"content-type", b"application/json"),
        (b"accept", b"application/json, text/event-stream"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *said,
    )
    return HttpRequest("POST", "/mcp", headers, body)


# --- over the socket ------------------------------------------------------------------------


class _Lines:
    """A client on the socket, that reads all that comes."""

    def __init__(self, writer: asyncio.StreamWriter, *, modern: bool) -> None:
        self._writer = writer
        self._meta = {"_meta": META} if modern else {}
        self._answers: dict[str, asyncio.Future[Any]] = {}

    async def send(self, line: bytes) -> None:
        self._writer.write(line + b"\n")
        async with asyncio.timeout(HANGS):
            await self._writer.drain()

    async def echo(self, text: str) -> None:
        """Makes a sound call; ends when it is answered."""
        params = {"name": "echo", "arguments": {"text": text}, **self._meta}
        answer = await self.ask(text, "tools/call", params)
        assert "result" in answer, answer

    async def ask(self, id: str, method: str, params: dict[str, Any]) -> Any:
        future = self._answers[id] = asyncio.get_running_loop().create_future()
        message = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        await self.send(json.dumps(message).encode())
        async with asyncio.timeout(HANGS):
            return await future

    async def read(self, reader: asyncio.StreamReader) -> None:
        async for line in reader:
            assert not UNTIDY.search(line), (SEED, line[:2000])
            assert not FAILED.search(line), (SEED, line[:2000])
            if not line.strip():
                continue
            message = json.loads(line)
            waiting = self._answers.pop(str(message.get("id")), None)
            if waiting is not None:
                waiting.set_result(message)


@asynccontextmanager
async def _client(path: str, *, modern: bool) -> AsyncIterator[_Lines]:
    reader, writer = await asyncio.open_unix_connection(path, limit=64 << 20)
    client = _Lines(writer, modern=modern)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(client.read(reader))
        if modern:
            await client.ask("first", "server/discover", {"_meta": META})
        else:
            said = {"name": "fuzz", "version": "1"}
            params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": said}
            await client.ask("first", "initialize", params)
            await client.send(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}')
        yield client
        writer.close()
        await writer.wait_closed()
        reading.cancel()


# --- afterwards -----------------------------------------------------------------------------


async def _assert_kept(service: Service, sound: set[str]) -> None:
    """Every sound call has its run, which is complete and whose events have no gap."""
    found: set[str] = set()
    token = ""
    while True:
        page = await service.list_runs(LOCAL_AGENT, page_size=500, page_token=token)
        for run in page.runs:
            said = str(run.output.value) if run.output else ""
            if run.status is RunStatus.COMPLETED and said in sound:
                found.add(said)
                await _assert_gapless(service, run.id)
        token = page.next_token
        if not token:
            break
    assert sound - found == set()


async def _assert_gapless(service: Service, run: str) -> None:
    sequences: list[int] = []
    async with aclosing(service.watch_events(LOCAL_AGENT, run=run)) as batches:
        async for batch in batches:
            sequences += [event.sequence for event in batch.events]
            if any(event.kind == "run_completed" for event in batch.events):
                break
    assert sequences == list(range(1, len(sequences) + 1))
    assert len(sequences) > 1


def _mishaps(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as a failure of ours."""
    return [
        record.getMessage() + (caplog.handler.format(record) if record.exc_info else "")
        for record in caplog.records
        if record.levelno >= logging.ERROR
    ]
