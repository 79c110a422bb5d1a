"""The metadata of this server for clients of its authorization server (RFC 9728)."""

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from stepwell.orchestrator.resource_server import ResourceServer
from stepwell_mcp.challenges import METADATA


class ProtectedResource:
    """Answers where tokens for this server come from. Anybody may ask, pages of any site too."""

    def __init__(self, oauth: ResourceServer) -> None:
        self._metadata = {
            "resource": oauth.resource,
            "authorization_servers": [oauth.issuer],
            "scopes_supported": list(oauth.scopes.supported),
            "bearer_methods_supported": ["header"],
            "resource_name": "Stepwell",
        }
        self._answer = CORSMiddleware(self._metadata_of, allow_origins=["*"])

    @property
    def routes(self) -> list[Route]:
        """Where clients look: below the host, and for whatever is below the endpoint."""
        return [Route(METADATA, self._answer), Route(METADATA + "/{path:path}", self._answer)]

    async def _metadata_of(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if request.method not in ("GET", "HEAD"):
            await JSONResponse({}, 405, {"allow": "GET, HEAD"})(scope, receive, send)
            return
        headers = {"cache-control": "public, max-age=3600"}
        await JSONResponse(self._metadata, headers=headers)(scope, receive, send)
