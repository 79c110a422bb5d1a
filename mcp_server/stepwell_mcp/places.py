"""From where we are called: the names that are ours, and the web sites whose pages may be clients.

A name that is not ours is what DNS rebinding uses, and a page of another site is not who its reader
thinks it is. Both are refused before anybody is asked who he is.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from stepwell.errors import SetupError
from stepwell_mcp.callers import LOOPBACK_HOSTS, headers_of, host_name

_AUTHORITY: Final = re.compile(r"(https?://)?(\[[0-9A-Fa-f:.]+\]|[^:/@\[\]]+)(:[0-9]+)?")
_HOST: Final = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9._-]+")


class Places:
    """The names, without ports, under which we may be reached, and the sites besides our own."""

    def __init__(self, hosts: Iterable[str] = LOOPBACK_HOSTS, origins: Iterable[str] = ()) -> None:
        self.hosts = tuple(dict.fromkeys(host.lower() for host in hosts))
        self.origins = tuple(dict.fromkeys(origin.lower() for origin in origins))

    @property
    def of_sdk(self) -> TransportSecuritySettings:
        """The same for the SDK, which looks again."""
        names = [name for host in self.hosts for name in (host, f"{host}:*")]
        own = [f"{scheme}://{name}" for name in names for scheme in ("http", "https")]
        return TransportSecuritySettings(allowed_hosts=names, allowed_origins=[*own, *self.origins])

    def is_ours(self, headers: Mapping[str, str]) -> bool:
        """Whether a request was sent to one of our names."""
        return bool(_AUTHORITY.fullmatch(headers.get("host", ""))) and (
            host_name(headers) in self.hosts
        )

    def may_ask(self, headers: Mapping[str, str]) -> bool:
        """Whether the page that sends a request may, or no page sends it."""
        origin = headers.get("origin")
        if origin is None or origin.lower() in self.origins:
            return True
        return bool(_AUTHORITY.fullmatch(origin)) and urlsplit(origin).hostname in {
            host.strip("[]") for host in self.hosts
        }


class PlaceGate:
    """Lets in who comes from where he may."""

    def __init__(self, app: ASGIApp, places: Places) -> None:
        self._app = app
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 421 to a name that is not ours, and 403 to a page of another site."""
        headers = headers_of(scope)
        if not self._places.is_ours(headers):
            await PlainTextResponse("Invalid host\n", 421)(scope, receive, send)
        elif not self._places.may_ask(headers):
            await PlainTextResponse("Invalid origin\n", 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def places(hosts: Iterable[str], origins: Iterable[str]) -> Places:
    """The places that settings name, besides those of this machine.

    Raises:
        SetupError: one is no name of a host, or no origin.
    """
    hosts, origins = tuple(hosts), tuple(origins)
    for host in hosts:
        if not _HOST.fullmatch(host.lower()):
            raise SetupError(f"mcp.hosts: {host!r} has to be the name of a host, without a port")
    for origin in origins:
        parts = urlsplit(origin)
        is_origin = parts.scheme in ("http", "https") and parts.netloc and not parts.path
        if not (is_origin and _AUTHORITY.fullmatch(origin)):
            raise SetupError(
                f"mcp.origins: {origin!r} has to be like https://app.example, without a path"
            )
    return Places((*LOOPBACK_HOSTS, *hosts), origins)
