"""An MCP server that is wrapped: it changes what it offers, and says so.

python dev/conformance/changing.py
"""

from itertools import count

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ToolsListChanged,
)
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListPromptsResult,
    ListToolsResult,
    PaginatedRequestParams,
    Prompt,
    TextContent,
    Tool,
    ToolAnnotations,
)

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
tools = ["test_trigger_tool_change", "test_trigger_prompt_change"]
prompts = ["changing_prompt"]
numbers = count(1)
bus = InMemorySubscriptionBus()


async def _tools(
    context: ServerRequestContext, params: PaginatedRequestParams | None
) -> ListToolsResult:
    offers = [
        Tool(
            name=name,
            description=f"Changes what is offered: {name}.",
            input_schema={"type": "object"},
            annotations=READS,
        )
        for name in tools
    ]
    return ListToolsResult(tools=offers)


async def _prompts(
    context: ServerRequestContext, params: PaginatedRequestParams | None
) -> ListPromptsResult:
    return ListPromptsResult(prompts=[Prompt(name=name, description=name) for name in prompts])


async def _call(context: ServerRequestContext, params: CallToolRequestParams) -> CallToolResult:
    number = next(numbers)
    if params.name == "test_trigger_prompt_change":
        prompts[:] = [f"changing_prompt_{number}"]
        await bus.publish(PromptsListChanged())
    else:
        tools[2:] = [f"changing_tool_{number}"]
        await bus.publish(ToolsListChanged())
    return CallToolResult(content=[TextContent(type="text", text="changed")])


async def main() -> None:
    """Serves stdio until it is closed."""
    server = Server(
        "changing",
        on_list_tools=_tools,
        on_list_prompts=_prompts,
        on_call_tool=_call,
        on_subscriptions_listen=ListenHandler(bus),
    )
    options = server.create_initialization_options(
        NotificationOptions(tools_changed=True, prompts_changed=True)
    )
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, options)


if __name__ == "__main__":
    anyio.run(main)
