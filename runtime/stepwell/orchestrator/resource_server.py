"""What OAuth calls a resource server: whose tokens we take, and for which URL, read from the settings."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from stepwell.config import OAuthSettings
from stepwell.errors import SetupError
from stepwell.orchestrator.api_keys import NAMESPACE
from stepwell.orchestrator.attributes import check_names
from stepwell.orchestrator.authentication import Identify
from stepwell.orchestrator.scopes import Scopes

OFFLINE: Final = "offline_access"


class ResourceServer(Struct, frozen=True):
    """This server for the clients of one authorization server, by the URL that they know.

    `bearer` knows who bears an access token.
    """

    issuer: str
    resource: str
    scopes: Scopes
    bearer: Identify


def resource_server(settings: OAuthSettings, resource: str) -> ResourceServer | None:
    """What the settings say of this resource, a URL; None where they name no issuer.

    Raises:
        SetupError: one of the settings cannot be used.
    """
    if not settings.issuer:
        return None
    # Loaded here: who takes no access tokens needs no JWT.
    from stepwell.orchestrator.access_tokens import AccessTokens
    from stepwell.orchestrator.signing_keys import SigningKeys

    for name, value in (
        ("issuer", settings.issuer),
        ("jwks_url", settings.jwks_url),
        ("resource", resource),
    ):
        if value:
            _check_url(name, value)
    if not NAMESPACE.fullmatch(settings.namespace):
        raise SetupError(f"mcp.oauth.namespace: {settings.namespace!r} is no namespace")
    check_names("mcp.oauth.attributes", settings.attributes)
    scopes = Scopes(settings.scopes, settings.tools)
    if OFFLINE in scopes.supported:
        raise SetupError(
            f"mcp.oauth: {OFFLINE} is a matter between a client and its authorization server; take "
            "it out of the scopes"
        )
    try:
        keys = SigningKeys(settings.issuer, settings.jwks_url, settings.networks)
    except ValueError as error:
        raise SetupError(f"mcp.oauth.networks: {error}") from error
    tokens = AccessTokens(
        settings.issuer,
        settings.audience or resource,
        keys=keys,
        scopes=scopes,
        namespace=settings.namespace,
        principal=settings.principal,
        attributes=settings.attributes,
    )
    return ResourceServer(settings.issuer, resource, scopes, tokens.identify)


def _check_url(name: str, url: str) -> None:
    """Whether a URL may be used: encrypted, but on this machine.

    Raises:
        SetupError: it may not.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)):
        if host and not (parts.query or parts.fragment or parts.username or parts.password):
            return
        raise SetupError(f"mcp.oauth.{name}: {url} has to be a URL of a host and a path alone")
    raise SetupError(f"mcp.oauth.{name}: {url} has to be https, as it is not on this machine")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
