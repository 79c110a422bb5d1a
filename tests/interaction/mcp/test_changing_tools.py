"""Clients of MCP while the tools of a runtime change."""

import anyio
import pytest
from mcp_types import TextContent, ToolListChangedNotification
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from tests.interaction.mcp.conftest import Connect

from stepwell.orchestrator.service import Service

pytestmark = pytest.mark.anyio


async def test_clients_are_told_that_the_tools_have_changed(
    connect: Connect, service: Service
) -> None:
    told = anyio.Event()

    async def note(message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            told.set()

    async with connect(message_handler=note) as client:
        before = {tool.name for tool in (await client.list_tools()).tools}
        with anyio.fail_after(5):
            if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
                async with client.listen(tools_list_changed=True) as changes:
                    service._tools.suspend("echo", "it has changed")
                    async for _ in changes:
                        break
            else:
                assert client.server_capabilities.tools is not None
                assert client.server_capabilities.tools.list_changed
                service._tools.suspend("echo", "it has changed")
                await told.wait()
        after = {tool.name for tool in (await client.list_tools()).tools}
        refused = await client.call_tool("echo", {"text": "hello"})
    assert before - after == {"echo"}
    assert refused.is_error
    assert isinstance(refused.content[0], TextContent)
    assert refused.content[0].text.startswith("TOOL_SUSPENDED: it has changed")
