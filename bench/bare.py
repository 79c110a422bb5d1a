"""What the door is held against: MCP servers that are nothing but the SDK's lowlevel `Server`.

One answers at once. The other makes one SQLite commit first, as durable as ours: write-ahead log,
`synchronous=FULL`, a row with the arguments and the result.

    python -m bench.bare PORT|- [DATABASE]
"""

import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    TextContent,
    Tool,
    ToolAnnotations,
)
from starlette.applications import Starlette
from starlette.routing import Route

from bench.calls import App

SCHEMA: Final = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
OUTPUT: Final = {"type": "object", "properties": {"said": {"type": "string"}}}
NAMES: Final = ("127.0.0.1", "127.0.0.1:*", "localhost", "localhost:*")
SECURITY: Final = TransportSecuritySettings(
    allowed_hosts=list(NAMES), allowed_origins=[f"http://{name}" for name in NAMES]
)


class Commits:
    """A database that gets one row for each call."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, body TEXT)")

    def write(self, arguments: object, result: object) -> None:
        """Ends when the row is on the disk."""
        body = json.dumps([arguments, result])
        self._db.execute("INSERT INTO calls (body) VALUES (?)", (body,))


def bare_server(commits: Commits | None = None, tools: int = 1) -> Server[Any]:
    """A server with this many tools; one of them is `echo`."""
    offers = [_offer("echo"), *(_offer(f"tool_{number:04}") for number in range(1, tools))]

    async def list_tools(context: object, params: object) -> ListToolsResult:
        return ListToolsResult(tools=offers)

    async def call_tool(context: object, params: CallToolRequestParams) -> CallToolResult:
        said = {"said": (params.arguments or {})["text"]}
        if commits is not None:
            commits.write(params.arguments, said)
        text = TextContent(type="text", text=json.dumps(said))
        return CallToolResult(content=[text], structured_content=said)

    # Without the schema at hand the SDK lists all tools again for each call.
    schemas = {offer.name: offer.input_schema for offer in offers}
    return Server(
        "bare",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=schemas.get,
    )


def _offer(name: str) -> Tool:
    return Tool(
        name=name,
        title=name.capitalize(),
        description="Says what it is told.",
        input_schema=SCHEMA,
        output_schema=OUTPUT,
        annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
    )


@asynccontextmanager
async def served(server: Server[Any]) -> AsyncIterator[App]:
    """The server as an ASGI app, as the SDK serves it on loopback."""
    manager = StreamableHTTPSessionManager(server, security_settings=SECURITY)
    async with manager.run():
        yield StreamableHTTPASGIApp(manager)


async def main(arguments: Sequence[str]) -> None:
    """Serves HTTP on a port of this machine, or standard input and output, until it is ended."""
    port, *database = arguments
    server = bare_server(Commits(Path(database[0])) if database else None)
    if port == "-":
        async with stdio_server() as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())
        return
    async with served(server) as app:
        routes = Starlette(routes=[Route("/mcp", app)])
        config = uvicorn.Config(
            routes,
            port=int(port),
            http="h11",
            log_level="critical",
            access_log=False,
            lifespan="off",
        )
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:], backend_options={"use_uvloop": True})
