"""The daemon of a home as an MCP client sees it, over Streamable HTTP with the official SDK."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from mcp import Client, types

from stepwell.errors import Code, Unavailable
from stepwell_server.home import Endpoints

TIMEOUT: Final = 60.0
"""Seconds for one answer."""


@asynccontextmanager
async def connected_mcp(endpoints: Endpoints) -> AsyncIterator[Client]:
    """A client that has shaken hands.

    Raises:
        Unavailable: nobody speaks MCP there.
    """
    async with AsyncExitStack() as stack:
        client = Client(endpoints.mcp, read_timeout_seconds=TIMEOUT)
        try:
            await stack.enter_async_context(client)
        except Exception as error:
            raise Unavailable(
                f"{endpoints.mcp} does not speak MCP: {error}; `stepwell doctor` says more",
                code=Code.DAEMON_NOT_RUNNING,
            ) from error
        yield client


async def every_tool(client: Client) -> list[types.Tool]:
    """All tools on offer, from every page."""
    found: list[types.Tool] = []
    cursor = None
    while True:
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if cursor is None:
            return found
