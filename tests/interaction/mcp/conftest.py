"""The SDK's own client through every door: in memory, HTTP, and the relay to the socket."""

import json
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from mcp import Client
from mcp.client._memory import InMemoryTransport
from mcp.client.stdio import StdioServerParameters
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION
from tests.permitting import permit_direct_calls

from stepwell.bootstrap import open_runtime
from stepwell.config import load_settings
from stepwell.orchestrator.authentication import Authentication, Unauthenticated
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_USER, Caller
from stepwell_mcp.http import McpHttp
from stepwell_mcp.server import McpServer, build_server
from stepwell_mcp.socket import serve_socket
from stepwell_server.http import HttpServer

PATIENT = timedelta(seconds=20)
HASTY = timedelta(milliseconds=50)

TOOLS = '''
import asyncio
from typing import TypedDict

from stepwell import tool

GATES = {}


class Sum(TypedDict):
    total: int


@tool(read_only=True, idempotent=True, title="Add up")
async def add(a: int, b: int) -> Sum:
    """Adds two numbers."""
    return {"total": a + b}


@tool
async def fail(why: str) -> str:
    """Always fails."""
    raise ValueError(why)


@tool(published=False)
async def hidden() -> str:
    """For workflows only."""
    return "seen"


@tool
async def pass_gate(gate: str) -> dict[str, str]:
    """Waits until the gate is open."""
    await GATES.setdefault(gate, asyncio.Event()).wait()
    return {"passed": gate}


@tool(name="open_gate")
async def open_it(gate: str) -> str:
    """Opens a gate."""
    GATES.setdefault(gate, asyncio.Event()).set()
    return "open"


@tool
async def echo(text: str) -> str:
    """Says it again."""
    return text


@tool(
    input_schema={
        "type": "object",
        "required": ["region"],
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    }
)
async def tag(region: str) -> dict[str, str]:
    """Takes an argument that clients mirror into a header."""
    return {"region": region}
'''

OFFERS = '''
import asyncio
from typing import Literal

from stepwell import (
    Audio,
    Content,
    EmbeddedResource,
    Icon,
    Image,
    Message,
    ResourceLink,
    ToolFailed,
    prompt,
    resource,
    resource_changed,
    tool,
)


@tool(icons=["https://shop.example/eye.png"])
async def picture() -> Content:
    """Shows a picture."""
    return Content(
        "Look:",
        Image(b"png"),
        Audio(b"wav"),
        EmbeddedResource("shop://terms", "Pay first.", "text/plain"),
        ResourceLink("shop://orders/7", name="order"),
        structured={"n": 1},
    )


@tool
async def touch(uri: str) -> None:
    """Says that a resource has changed."""
    resource_changed(uri)


@resource("shop://terms", mime="text/plain", title="Terms", icons=["data:image/png;base64,AA=="])
def terms() -> str:
    """The terms of the shop."""
    return "Pay first."


@resource("shop://logo", mime="image/png", size=3, audience=["user"])
async def logo() -> bytes:
    """The logo."""
    return b"png"


@resource("shop://orders/{number}{?lang}", mime="application/json")
async def order(number: int, lang: Literal["en", "de"] = "en") -> dict[str, str]:
    """One order."""
    if number == 404:
        raise ToolFailed("there is no order 404", retryable=False)
    if number == 500:
        raise ZeroDivisionError("a secret of ours")
    return {"number": str(number), "lang": lang}


@prompt(title="Complain", complete={"customer": lambda typed: [f"{typed}{n:03}" for n in range(150)]})
async def complain(customer: str, tone: Literal["kind", "firm"] = "kind") -> list[str | Message]:
    """Answers a complaint.

    Args:
        customer: Who complains.
    """
    if customer == "nobody":
        raise ToolFailed("there is no customer nobody", retryable=False)
    return [f"Answer {customer} in a {tone} way.", Message(Image(b"png"), role="assistant")]


@prompt
async def stuck() -> str:
    """Never comes."""
    await asyncio.Event().wait()
    return ""
'''

HELLO = b"""
workflow: hello
description: Says hello.
input: { type: object, required: [name], properties: { name: { type: string } } }
nodes:
  - { id: greet, transform: "='hello ' + input.name" }
output: { text: "=greet.output" }
"""

WALK = b"""
workflow: walk
description: Goes through a gate, and adds up.
input: { type: object, required: [gate], properties: { gate: { type: string } } }
nodes:
  - { id: gate, tool: pass_gate, with: { gate: "=input.gate" } }
  - { id: sum, tool: add, needs: [gate], with: { a: 2, b: 3 } }
output: { total: "=sum.output.total" }
"""

TILL = b"""
workflow: till
description: Waits for money.
nodes:
  - { id: paid, signal: paid }
output: "=paid.output"
"""

REFUND = b"""
workflow: refund
description: Asks a person.
nodes:
  - { id: ok, approval: Refund it? }
"""

ECHO = b"""
workflow: echo
description: Has the name of a tool.
nodes:
  - { id: say, transform: "='from the workflow'" }
output: { text: "=say.output" }
"""

INNER = b"""
workflow: inner
publish: false
nodes:
  - { id: say, transform: for services and people }
"""

Connect: TypeAlias = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """The real one over memory, with the tools and workflows above."""
    tools = tmp_path / "tools.py"
    tools.write_text(TOOLS)
    offers = tmp_path / "offers.py"
    offers.write_text(OFFERS)
    overrides = {"storage.url": "memory:", "tools.paths": [str(tools), str(offers)]}
    async with open_runtime(load_settings(tmp_path, {}, overrides)) as runtime:
        for source in (HELLO, WALK, TILL, REFUND, ECHO, INNER):
            await runtime.service.put_workflow(LOCAL_USER, source)
        await permit_direct_calls(runtime.service)
        yield runtime.service


async def nobody(token: str) -> Caller:
    """There are no API keys."""
    raise Unauthenticated


@asynccontextmanager
async def over_memory(
    server: McpServer, home: Path, mode: str, **options: Any
) -> AsyncIterator[Client]:
    async with Client(InMemoryTransport(server), mode=mode, **options) as client:
        yield client


@asynccontextmanager
async def over_http(
    server: McpServer, home: Path, mode: str, **options: Any
) -> AsyncIterator[Client]:
    door = McpHttp(server, Authentication(nobody, None))
    http = HttpServer(door.routes, drain=timedelta(seconds=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with http.draining(), door.running():
            await http.listen(listener)
            async with Client(f"http://127.0.0.1:{port}/mcp", mode=mode, **options) as client:
                yield client


@asynccontextmanager
async def over_relay(
    server: McpServer, home: Path, mode: str, **options: Any
) -> AsyncIterator[Client]:
    path = home / f"{mode}.sock"
    relay = StdioServerParameters(
        command=sys.executable, args=["-m", "stepwell_mcp.relay", "--home", str(home)]
    )
    async with serve_socket(server, path):
        (home / "endpoints.json").write_text(json.dumps({"socket": str(path)}))
        async with Client(relay, mode=mode, **options) as client:
            yield client


DOORS = {"memory": over_memory, "http": over_http, "relay": over_relay}
ERAS = {"modern": LATEST_MODERN_VERSION, "handshake": "legacy"}
WIRE = {LATEST_MODERN_VERSION: LATEST_MODERN_VERSION, "legacy": LATEST_HANDSHAKE_VERSION}


@pytest.fixture(params=[(door, era) for door in DOORS for era in ERAS], ids="-".join)
def connect(request: pytest.FixtureRequest, service: Service, tmp_path: Path) -> Connect:
    """Connects a client through the door, in the era; `wait` is how long a call may take.

    What else is given is for the client.
    """
    door, era = request.param

    @asynccontextmanager
    async def connected(wait: timedelta = PATIENT, **options: Any) -> AsyncIterator[Client]:
        server = build_server(service, wait=wait)
        async with DOORS[door](server, tmp_path, ERAS[era], **options) as client:
            assert client.protocol_version == WIRE[ERAS[era]]
            yield client

    return connected
