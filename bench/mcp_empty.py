"""The least that an MCP server on stdio can be with the SDK: one tool, and nothing behind it."""

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolResult, TextContent


async def _call(context: object, params: object) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text="3")])


async def main() -> None:
    """Serves stdio until it is closed."""
    server = Server("empty", on_call_tool=_call)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
