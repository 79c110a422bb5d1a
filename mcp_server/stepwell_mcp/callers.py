"""Who makes an MCP request: over HTTP by its credential, over a socket or a pipe `agent:local`."""

from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.context import ServerRequestContext
from starlette.datastructures import Headers
from starlette.types import Scope

from stepwell.orchestrator.authentication import Authentication
from stepwell.principals import LOCAL_AGENT, Caller

CALLER: Final = "stepwell.caller"
"""Where a request's scope has its caller."""

LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")
FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""What a proxy adds: then the peer is the proxy, and says nothing about who calls."""

RequestContext: TypeAlias = ServerRequestContext[Any, Any]


def allowed_hosts(page_url: str) -> tuple[str, ...]:
    """The names under which we may be reached: those of this machine, and that of the page."""
    name = urlsplit(page_url).hostname or ""
    name = f"[{name}]" if ":" in name else name
    return tuple(dict.fromkeys((*LOOPBACK_HOSTS, name))) if name else LOOPBACK_HOSTS


def caller_of(context: RequestContext) -> Caller:
    """The caller that the door has found; a door that only its owner can reach finds none."""
    if context.request is None:
        return LOCAL_AGENT
    caller: Caller = context.request.scope[CALLER]
    return caller


async def authenticate(scope: Scope, authentication: Authentication) -> None:
    """Writes the caller of an HTTP request into its scope.

    A session belongs to whoever began it: the SDK goes by `user`.

    Raises:
        Unauthenticated: as `Authentication.authenticate`.
        Unavailable: the key cannot be looked up at the moment.
    """
    headers = Headers(scope=scope)
    caller = await authentication.authenticate(
        headers.get("authorization"), is_local=is_local(scope, headers)
    )
    scope[CALLER] = caller
    if caller.key:
        name = f"{caller.namespace}/{caller.principal}/{caller.key}"
        scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=name, scopes=[]))


def host_name(headers: Headers) -> str:
    """The name under which a request was sent to us, without its port; in lower case."""
    host = headers.get("host", "").lower()
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() else host


def is_local(scope: Scope, headers: Headers) -> bool:
    """Whether a request comes from this machine, to it, and by no proxy."""
    client = scope.get("client")
    return (
        client is not None
        and (client[0].startswith("127.") or client[0] in ("::1", "::ffff:127.0.0.1"))
        and host_name(headers) in LOOPBACK_HOSTS
        and not any(header in headers for header in FORWARDED)
    )
