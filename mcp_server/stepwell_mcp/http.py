"""MCP over Streamable HTTP at `/mcp`: sessions for older clients, none for newer ones.

Serve it with uvicorn's `http="h11"`: httptools keeps the white space at the end of a header
value, so that `Mcp-Name` would not match.
"""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from stepwell.errors import StepwellError
from stepwell.orchestrator.authentication import Authentication, Unauthenticated
from stepwell_mcp.callers import LOOPBACK_HOSTS, authenticate, host_name
from stepwell_mcp.lines import MESSAGE_LIMIT
from stepwell_mcp.server import McpServer

MCP_PATH: Final = "/mcp"

_AUTHORITY = re.compile(r"(https?://)?(\[[0-9A-Fa-f:.]+\]|[^:/@\[\]]+)(:[0-9]+)?")


class McpHttp:
    """The HTTP side of an MCP server, to be mounted in a Starlette app.

    `routes` go into the app, and its lifespan holds `running()` open. Leaving `running()`
    ends every open stream, so leave it before waiting for the HTTP server's connections.
    `hosts` are the names, without ports, under which browsers and clients may reach us:
    anything else is refused, which is what stops DNS rebinding.
    """

    def __init__(
        self,
        server: McpServer,
        authentication: Authentication,
        *,
        hosts: Iterable[str] = LOOPBACK_HOSTS,
    ) -> None:
        self._authentication = authentication
        self._hosts = tuple(hosts)
        self._manager = StreamableHTTPSessionManager(
            server,
            security_settings=_allow(self._hosts),
            max_request_body_size=MESSAGE_LIMIT,
        )

    @property
    def routes(self) -> list[Route]:
        """The route of the endpoint, for all of its methods."""
        return [Route(MCP_PATH, endpoint=self._endpoint())]

    def _endpoint(self) -> ASGIApp:
        known = _Known(StreamableHTTPASGIApp(self._manager), self._authentication)
        return _Named(known, self._hosts)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serves requests from entering to leaving; may be entered once."""
        async with self._manager.run():
            yield


class _Named:
    """Refuses what is no name with a port: the SDK does not look at what follows the colon.

    And whoever calls us by a name that is not ours, before he is asked who he is.
    """

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        for name, status in (("host", 421), ("origin", 403)):
            if not _AUTHORITY.fullmatch(headers.get(name) or "null"):
                await PlainTextResponse(f"Invalid {name}\n", status)(scope, receive, send)
                return
        if host_name(headers) not in self._hosts:
            await PlainTextResponse("Invalid host\n", 421)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class _Known:
    """Finds out who asks; whoever shows a wrong credential is told so, and nothing else."""

    def __init__(self, app: ASGIApp, authentication: Authentication) -> None:
        self._app = app
        self._authentication = authentication

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await authenticate(scope, self._authentication)
        except Unauthenticated as error:
            headers = {"www-authenticate": "Bearer"}
            await PlainTextResponse(f"{error.message}\n", 401, headers)(scope, receive, send)
        except StepwellError as error:
            await PlainTextResponse(f"{error.message}\n", 503)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _allow(hosts: tuple[str, ...]) -> TransportSecuritySettings:
    names = [name for host in hosts for name in (host, f"{host}:*")]
    return TransportSecuritySettings(
        allowed_hosts=names, allowed_origins=[f"http://{name}" for name in names]
    )
