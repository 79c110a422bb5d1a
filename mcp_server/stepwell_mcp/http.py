"""MCP over Streamable HTTP at `/mcp`: sessions for older clients, none for newer ones.

`/mcp/x/{toolset}` is the same with the tools of a toolset, or of several with commas between; with
`/readonly` after either, only those that change nothing (`selection`).

Serve it with uvicorn's `http="h11"`: httptools keeps the white space at the end of a header
value, so that `Mcp-Name` would not match.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from stepwell.config import MCP_PATH
from stepwell.orchestrator.authentication import Authentication
from stepwell.orchestrator.resource_server import ResourceServer
from stepwell_mcp.called import Called
from stepwell_mcp.credentials import CredentialGate, ScopeGate
from stepwell_mcp.limits import LimitGate, Limits
from stepwell_mcp.lines import MESSAGE_LIMIT
from stepwell_mcp.places import PlaceGate, Places
from stepwell_mcp.protected_resource import ProtectedResource
from stepwell_mcp.server import McpServer
from stepwell_mcp.session_gate import IDLE, SessionGate


class McpHttp:
    """The HTTP side of an MCP server, to be mounted in a Starlette app.

    `routes` go into the app, and its lifespan holds `running()` open. Leaving `running()`
    ends every open stream, so leave it before waiting for the HTTP server's connections.
    `places` are the names and web sites that may be clients; the gates let in by turns who comes
    from where he may, who shows a right credential, who does not ask too much, and whose access
    token covers what he asks.
    """

    def __init__(
        self,
        server: McpServer,
        authentication: Authentication,
        *,
        places: Places | None = None,
        limits: Limits | None = None,
        oauth: ResourceServer | None = None,
        called: Called | None = None,
        keyless: bool = True,
    ) -> None:
        """Without `keyless` a call from this machine needs a credential too.

        Where access tokens are taken (`oauth`), `called` tells which tools a request uses.
        """
        assert oauth is None or called is not None, "scopes are those of the tools that are used"
        self._authentication = authentication
        self._places = places or Places()
        self._limits = limits or Limits()
        self._oauth = oauth
        self._called = called
        self._keyless = keyless
        self._manager = StreamableHTTPSessionManager(
            server,
            security_settings=self._places.of_sdk,
            session_idle_timeout=IDLE.total_seconds(),
            max_request_body_size=MESSAGE_LIMIT,
        )

    @property
    def routes(self) -> list[Route]:
        """The routes of the endpoint, for all of its methods, and that of its metadata."""
        metadata = ProtectedResource(self._oauth).routes if self._oauth else []
        endpoint = self._endpoint()
        chosen = f"{MCP_PATH}/x/{{toolsets}}"
        return [
            Route(MCP_PATH, endpoint=endpoint),
            Route(chosen, endpoint=endpoint),
            Route(f"{MCP_PATH}/readonly", endpoint=_ReadOnly(endpoint)),
            Route(f"{chosen}/readonly", endpoint=_ReadOnly(endpoint)),
            *metadata,
        ]

    def _endpoint(self) -> ASGIApp:
        app: ASGIApp = _FromNowOn(StreamableHTTPASGIApp(self._manager))
        app = SessionGate(app, self._limits.sessions)
        if self._oauth and self._called:
            app = ScopeGate(app, self._oauth, self._called)
        app = LimitGate(app, self._limits)
        app = CredentialGate(
            app,
            self._authentication,
            oauth=self._oauth,
            called=self._called,
            keyless=self._keyless,
        )
        app = PlaceGate(app, self._places)
        return _for_pages(app, self._places.origins) if self._places.origins else app

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serves requests from entering to leaving; may be entered once."""
        async with self._manager.run():
            yield


class _ReadOnly:
    """An endpoint whose URL chooses tools that read only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["path_params"] = {**scope.get("path_params", {}), "readonly": "true"}
        await self._app(scope, receive, send)


class _FromNowOn:
    """Gives a client that comes back what is new from then on.

    Streams are not kept: the log is, and tasks are asked for. The SDK answers nothing at all to who
    asks for the rest of a stream that it did not keep.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            scope["headers"] = [each for each in scope["headers"] if each[0] != b"last-event-id"]
        await self._app(scope, receive, send)


def _for_pages(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    """The same for pages of other sites, whose browsers ask first whether they may."""
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["mcp-session-id", "www-authenticate", "retry-after"],
    )
