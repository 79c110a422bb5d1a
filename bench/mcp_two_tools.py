"""The MCP server that is wrapped: the least with the SDK that has a tool which reads and one that writes."""

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool, ToolAnnotations

SCHEMA = {"type": "object", "properties": {"number": {"type": "integer"}}}
TOOLS = [
    Tool(
        name="look",
        input_schema=SCHEMA,
        annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
    ),
    Tool(name="note", input_schema=SCHEMA),
]


async def _list(context: object, params: object) -> ListToolsResult:
    return ListToolsResult(tools=TOOLS)


async def _call(context: object, params: object) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text="3")])


async def main() -> None:
    """Serves stdio until it is closed."""
    server = Server("two-tools", on_list_tools=_list, on_call_tool=_call)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
