"""Who makes an MCP request: over HTTP by its credential, over a socket or a pipe `agent:local`."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.context import ServerRequestContext
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from stepwell.config import McpSettings
from stepwell.principals import LOCAL_AGENT, Caller

CALLER: Final = "stepwell.caller"
"""Where a request's scope has its caller."""
HEADERS: Final = "stepwell.headers"
"""Where a request's scope has its headers, once they were read."""

LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")
FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""What a proxy adds: then the peer is the proxy, and says nothing about who calls."""

RequestContext: TypeAlias = ServerRequestContext[Any, Any]


def allowed_hosts(*urls: str) -> tuple[str, ...]:
    """The names under which we may be reached: those of this machine, and those of our URLs."""
    found = (urlsplit(url).hostname or "" for url in urls)
    names = (f"[{name}]" if ":" in name else name for name in found if name)
    return tuple(dict.fromkeys((*LOOPBACK_HOSTS, *names)))


def caller_of(context: RequestContext) -> Caller:
    """The caller that the door has found; a door that only its owner can reach finds none."""
    if context.request is None:
        return LOCAL_AGENT
    caller: Caller = context.request.scope[CALLER]
    return caller


def http_headers(context: RequestContext) -> Headers | None:
    """The headers of a request that has come by HTTP; None of one on a socket or a pipe."""
    return context.request.headers if isinstance(context.request, Request) else None


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers of an HTTP request by their names, in lower case; of those with one name the first.

    They are read once for all gates. Starlette's `Headers` go through all of them for each question.
    """
    known: dict[str, str] | None = scope.get(HEADERS)
    if known is None:
        known = scope[HEADERS] = {
            name.decode("latin-1").lower(): text.decode("latin-1")
            for name, text in reversed(scope["headers"])
        }
    return known


def admit(scope: Scope, caller: Caller) -> None:
    """Writes the caller of an HTTP request into its scope, and takes the credential out of it.

    A session belongs to whoever began it: the SDK goes by `user`.
    """
    scope[CALLER] = caller
    headers_of(scope).pop("authorization", None)
    scope["headers"] = [
        (name, value) for name, value in scope["headers"] if name.lower() != b"authorization"
    ]
    if caller != LOCAL_AGENT:
        name = f"{caller.namespace}/{caller.principal}/{caller.key}"
        scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=name, scopes=[]))


def host_name(headers: Mapping[str, str]) -> str:
    """The name under which a request was sent to us, without its port; in lower case."""
    host = headers.get("host", "").lower()
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() else host


def is_local(scope: Scope, headers: Mapping[str, str]) -> bool:
    """Whether a request comes from this machine, to it, and by no proxy."""
    client = scope.get("client")
    return (
        client is not None
        and (client[0].startswith("127.") or client[0] in ("::1", "::ffff:127.0.0.1"))
        and host_name(headers) in LOOPBACK_HOSTS
        and not any(header in headers for header in FORWARDED)
    )


def is_keyless(settings: McpSettings) -> bool:
    """Whether calls over HTTP from this machine need no credential."""
    return settings.keyless == "loopback" or not (settings.keyless or settings.oauth.issuer)
