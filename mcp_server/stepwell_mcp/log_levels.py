"""`logging/setLevel`, and which messages of a tool a client wants to read.

Newer clients say so with each request, older ones once for their session.
"""

from typing import Any, Final, get_args

from mcp.server.connection import allowed_log_levels
from mcp.server.lowlevel import Server
from mcp.server.session import ServerSession
from mcp_types import EmptyResult, LoggingLevel, SetLevelRequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from stepwell_mcp.callers import RequestContext

LEVELS: Final[tuple[LoggingLevel, ...]] = get_args(LoggingLevel)
"""From the least to the most severe."""


class LogLevels:
    """The least severe level that each older client wants, for as long as it is connected."""

    def __init__(self) -> None:
        self._least: dict[int, int] = {}

    def serve(self, server: Server[Any]) -> None:
        """Adds the method to a server."""
        server.add_request_handler("logging/setLevel", SetLevelRequestParams, self.set_level)

    async def set_level(
        self, context: RequestContext, params: SetLevelRequestParams
    ) -> EmptyResult:
        """Sends this client nothing less severe from now on."""
        # The session is one request's; what lives as long as the client is its connection.
        connection = _connection(context.session)
        if id(connection) not in self._least:
            connection.exit_stack.callback(self._least.pop, id(connection), None)
        self._least[id(connection)] = LEVELS.index(params.level)
        return EmptyResult()

    def wanted(self, context: RequestContext) -> frozenset[LoggingLevel]:
        """The levels of the messages that the client of a request wants.

        An older client that has not said which it wants gets all of them.
        """
        if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return allowed_log_levels(context.protocol_version, context.meta)
        return frozenset(LEVELS[self._least.get(id(_connection(context.session)), 0) :])


def _connection(session: ServerSession) -> Any:
    return session._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
