"""One tool of an MCP server, as a tool of ours."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from mcp import Client
from mcp_types import CallToolRequest, CallToolResult, InputRequiredResult
from pydantic import TypeAdapter

from stepwell.engine.values import Data, Json
from stepwell.tools.answers import value_of
from stepwell.tools.mcp.calls import Calls, ServerLost, Wanted
from stepwell.tools.mcp.describe import Offered
from stepwell.tools.port import Begin, CallContext, NotBegun, SelfTimed, ToolSpec
from stepwell.tools.rate import Rate

_ANSWER: Final = TypeAdapter[Any](CallToolResult | InputRequiredResult)


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
    """A tool of a server, or what reads its resources; its time counts from when the call is sent."""

    def __init__(
        self,
        spec: ToolSpec,
        host: Host,
        *,
        rate: Rate,
        wanted: Callable[[dict[str, Json]], Wanted],
    ) -> None:
        """`wanted` says what a call with these arguments asks the server for."""
        self.spec: ToolSpec = spec
        self._wanted = wanted
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
        wanted = self._wanted(arguments)
        client = await self._host.session(self.spec.name)
        if begin is not None and not await begin():
            raise NotBegun
        try:
            return await self._host.calls.make(client, wanted, context)
        except ServerLost:
            self._host.lost()
            if not (self.spec.read_only or self.spec.idempotent):
                raise
        client = await self._host.session(self.spec.name)  # once more: that does no harm
        return await self._host.calls.make(client, wanted, context)


def call_of(tool: Offered, arguments: dict[str, Json]) -> Wanted:
    """What a call of a tool asks its server for."""

    def request(more: dict[str, Any]) -> CallToolRequest:
        params = {"name": tool.name, "arguments": arguments, **more}
        return CallToolRequest.model_validate({"params": params})

    def value(result: CallToolResult, limit: int) -> Data:
        return value_of(result, tool.spec, limit)

    return Wanted(spec=tool.spec, name=tool.name, request=request, answer=_ANSWER, value=value)
