"""One tool of an MCP server, as a tool of ours."""

from typing import Protocol

from mcp import Client

from stepwell.engine.values import Data, Json
from stepwell.tools.mcp.calls import Calls, ServerLost
from stepwell.tools.mcp.describe import Offered
from stepwell.tools.port import Begin, CallContext, NotBegun, SelfTimed, ToolSpec
from stepwell.tools.rate import Rate


class Host(Protocol):
    """The server of a tool, as far as a call needs it."""

    @property
    def calls(self) -> Calls:
        """Its calls in flight."""
        ...

    async def session(self, tool: str) -> Client:
        """Its client, once it is there."""
        ...

    def lost(self) -> None:
        """Notes that its connection is of no use any more."""
        ...


class McpTool(SelfTimed):
    """A tool of a server; its time counts from when the call is sent."""

    def __init__(self, offered: Offered, host: Host, *, rate: Rate) -> None:
        self.spec: ToolSpec = offered.spec
        self._offered = offered
        self._host = host
        self._rate = rate

    async def call(
        self, arguments: dict[str, Json], context: CallContext, *, begin: Begin | None = None
    ) -> Data:
        """Calls it on the server's session; nothing has begun while it waits for its turn.

        Raises:
            ToolFailed: TOOL_UNAVAILABLE, TOOL_RATE_LIMITED, or what `Calls.make` raises.
            NotBegun: `begin` answered False.
        """
        await self._rate.turn(self.spec.name)
        client = await self._host.session(self.spec.name)
        if begin is not None and not await begin():
            raise NotBegun
        try:
            return await self._host.calls.make(client, self._offered, arguments, context)
        except ServerLost:
            self._host.lost()
            if not (self.spec.read_only or self.spec.idempotent):
                raise
        client = await self._host.session(self.spec.name)  # once more: that does no harm
        return await self._host.calls.make(client, self._offered, arguments, context)
