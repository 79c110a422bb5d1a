"""The daemon of a home as an MCP client sees it, over Streamable HTTP with the official SDK."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import httpx2
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from stepwell.errors import Code, InvalidRequest, StepwellError, Unavailable
from stepwell_server.home import Endpoints

TIMEOUT: Final = 60.0
"""Seconds for one answer."""


@asynccontextmanager
async def connected_mcp(
    endpoints: Endpoints, chosen: Mapping[str, str] | None = None
) -> AsyncIterator[Client]:
    """A client that has shaken hands; `chosen` are headers that say which tools it wants.

    Raises:
        InvalidRequest: there is no such choice.
        Unavailable: nobody speaks MCP there.
    """
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            httpx2.AsyncClient(headers=dict(chosen or {}), timeout=TIMEOUT)
        )
        transport = streamable_http_client(endpoints.mcp, http_client=http)
        client = Client(transport, read_timeout_seconds=TIMEOUT)
        try:
            await stack.enter_async_context(client)
        except Exception as error:
            raise _told(error, endpoints.mcp) from error
        yield client


def _told(error: Exception, url: str) -> StepwellError:
    """What went wrong, out of the groups in which the SDK raises it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, MCPError) and error.error.code == types.INVALID_PARAMS:
        return InvalidRequest(error.error.message)
    return Unavailable(
        f"{url} does not speak MCP: {error}; `stepwell doctor` says more",
        code=Code.DAEMON_NOT_RUNNING,
    )


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
