"""Tells MCP clients that the list of tools has changed, each in the way of its era.

Older clients are told on the stream of their session, newer ones on the stream of the
`subscriptions/listen` that they have sent.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from mcp.server.session import ServerSession
from mcp.shared.subscriptions import ServerEvent, ToolsListChanged
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from stepwell.orchestrator.service import Service

_logger = logging.getLogger(__name__)


class ToolChanges:
    """The bus of the newer clients: what is published on it is each change of the tools."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def publish(self, event: ServerEvent) -> None:
        """Nothing: events come from the registry of the tools alone."""

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Tells the listener of each change until what is answered is called."""
        return self._service.on_tools_changed(lambda: listener(ToolsListChanged()))


class Sessions:
    """The sessions of older clients that have asked for the list."""

    def __init__(self) -> None:
        self._sessions: dict[int, ServerSession] = {}

    def add(self, session: ServerSession) -> None:
        """Tells this client of changes for as long as it is connected."""
        if session.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return
        # The session is one request's; what lives as long as the client is its connection.
        connection = session._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if id(connection) not in self._sessions:
            connection.exit_stack.callback(self._sessions.pop, id(connection), None)
            self._sessions[id(connection)] = session

    async def tell(self) -> None:
        """Tells all of them; one that has gone is none of the others' business."""
        for session in tuple(self._sessions.values()):
            try:
                await session.send_tool_list_changed()
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                _logger.debug("a client left before it was told that the tools have changed")


@asynccontextmanager
async def telling(service: Service) -> AsyncIterator[Sessions]:
    """Sessions that are told of every change until this is left."""
    sessions, changed = Sessions(), [anyio.Event()]

    async def tell() -> None:
        while True:
            await changed[0].wait()
            changed[0] = anyio.Event()
            await sessions.tell()

    leave = service.on_tools_changed(lambda: changed[0].set())
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tell)
            try:
                yield sessions
            finally:
                tasks.cancel_scope.cancel()
    finally:
        leave()
