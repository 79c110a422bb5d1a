"""Clients of MCP while the tools of a runtime change."""

import anyio
import pytest
from mcp.shared.subscriptions import ResourcesListChanged, ToolsListChanged
from mcp_types import TextContent, ToolListChangedNotification
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from tests.interaction.mcp.conftest import Connect

from stepwell.orchestrator.service import Service
from stepwell.policy.source import PolicyFile
from stepwell.principals import LOCAL_USER

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


HELLO_AGAIN = b"""
workflow: hello-again
description: Says hello again.
nodes:
  - { id: greet, transform: "hello" }
"""
NOBODY = '@id("nobody") forbid(principal, action, resource);'


@pytest.mark.parametrize("change", ["workflow", "policy"])
async def test_clients_are_told_of_what_is_published_and_of_policies_too(
    connect: Connect, service: Service, change: str
) -> None:
    told = anyio.Event()

    async def note(message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            told.set()

    async def do() -> None:
        if change == "workflow":
            await service.put_workflow(LOCAL_USER, HELLO_AGAIN)
        else:
            await service.policies.apply(LOCAL_USER, [PolicyFile("nobody.cedar", NOBODY)])

    async with connect(message_handler=note) as client:
        await client.list_tools()
        with anyio.fail_after(10):
            if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
                async with client.listen(
                    tools_list_changed=True, resources_list_changed=True
                ) as changes:
                    assert changes.honored.prompts_list_changed is None
                    await do()
                    seen = {await anext(changes), await anext(changes)}
                assert seen == {ToolsListChanged(), ResourcesListChanged()}
            else:
                await do()
                await told.wait()
