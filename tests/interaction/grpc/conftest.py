"""A real client and a real server over loopback, on a runtime whose store is memory."""

import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from tests.permitting import permit_direct_calls

from stepwell.bootstrap import open_runtime
from stepwell.client import Client
from stepwell.config import load_settings
from stepwell.errors import StepwellError
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import EventBatch, Run
from stepwell.principals import Caller
from stepwell_server.grpc_server import GrpcServer

TOKEN = "owner"
AT_ONCE = timedelta(0)

TOOLS = '''
import asyncio

from stepwell import ask, tool

NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


@tool(read_only=True)
async def greet() -> str:
    """Greets whoever is there."""
    reply = await ask("Who is there?", schema=NAME, key="who")
    return f"hello {reply.content['name']}" if reply.is_accepted else reply.action


@tool(read_only=True)
async def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@tool(read_only=True)
async def hold() -> None:
    """Ends when it is cancelled."""
    await asyncio.Event().wait()


@tool
async def pay() -> None:
    """Ends when it is cancelled, and may not be repeated."""
    await asyncio.Event().wait()


FAILED = []


@tool(idempotent=True)
async def flaky(n: int) -> int:
    """Fails at the first time."""
    if not FAILED:
        FAILED.append(n)
        raise ValueError("not yet")
    return n
'''

HELLO = b"""
workflow: hello
description: Says hello.
input: { type: object, properties: { name: { type: string } } }
nodes:
  - { id: greet, transform: "='hello ' + input.name" }
output: { text: "=greet.output" }
"""

HOLD = b"""
workflow: hold
nodes:
  - { id: wait, tool: hold }
"""


class Serving(NamedTuple):
    """A server that listens, and where."""

    server: GrpcServer
    address: str
    port: int


@asynccontextmanager
async def serving(service: Service, port: int = 0, **settings: Any) -> AsyncIterator[Serving]:
    """A server that is stopped without a word at the end."""
    server = GrpcServer(service, host="127.0.0.1", port=port, owner_token=TOKEN, **settings)
    bound = await server.start()
    try:
        yield Serving(server, f"127.0.0.1:{bound}", bound)
    finally:
        await server.stop(AT_ONCE)


class ScriptedService(Service):
    """Fails, or never ends, as a test says; the rest is not there."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.endless = EventBatch(events=(), cursor="place", caught_up=True)

    async def ping(self) -> None:
        if isinstance(self.failure, StepwellError):
            raise self.failure

    async def get_run(self, caller: Caller, run: str, *, is_own: bool = False) -> Run:
        raise self.failure or AssertionError("the test has said nothing")

    async def watch_events(
        self, caller: Caller, **asked: object
    ) -> AsyncGenerator[EventBatch, None]:
        while True:
            yield self.endless


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """As everywhere, but for the whole session: see `one_loop`."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
async def one_loop(anyio_backend: str) -> AsyncIterator[None]:
    """All tests on one loop: gRPC has one poller for the process, which misses a closed loop."""
    yield  # noqa: PT022 - the loop lives until here


@pytest.fixture
def scripted() -> ScriptedService:
    """A service that fails, or never ends, as the test says."""
    return ScriptedService()


@pytest.fixture
def serve() -> Callable[..., AbstractAsyncContextManager[Serving]]:
    """`serving`, for tests that start and stop servers themselves."""
    return serving


@pytest.fixture
def port() -> int:
    """A port that nobody listens on, for servers that come and go."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        bound: int = listener.getsockname()[1]
        return bound


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """The real one, with the tools `add` and `hold` and the workflows `hello` and `hold`."""
    tools = tmp_path / "tools.py"
    tools.write_text(TOOLS)
    overrides = {"storage.url": "memory:", "tools.paths": [str(tools)]}
    async with open_runtime(load_settings(tmp_path / "home", {}, overrides)) as runtime:
        await permit_direct_calls(runtime.service)
        yield runtime.service


@pytest.fixture
async def address(service: Service) -> AsyncIterator[str]:
    """Where a server listens."""
    async with serving(service) as running:
        yield running.address


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    """The home's owner, with two workflows put."""
    async with Client(address, token=TOKEN) as client:
        await client.workflows.put(HELLO)
        await client.workflows.put(HOLD)
        yield client


@pytest.fixture
async def channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    """A bare channel, for what the client would never send."""
    async with grpc.aio.insecure_channel(address) as channel:
        yield channel
