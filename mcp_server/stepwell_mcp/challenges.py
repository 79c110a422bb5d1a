"""What a client without a right credential is told: RFC 6750, with what RFC 9728 adds.

A client of an authorization server reads from it where to get a token, and with which scopes.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse

from stepwell.orchestrator.authentication import Unauthenticated
from stepwell.orchestrator.resource_server import ResourceServer
from stepwell.orchestrator.scopes import InsufficientScope

METADATA = "/.well-known/oauth-protected-resource"


def metadata_url(resource: str) -> str:
    """Where the metadata of a resource are: between its host and its path."""
    parts = urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}{METADATA}{parts.path.rstrip('/')}"


def unauthenticated(
    error: Unauthenticated, oauth: ResourceServer | None, *, has_token: bool
) -> PlainTextResponse:
    """401, for who shows no credential, or a wrong one."""
    code = "invalid_token" if has_token else ""
    scopes = oauth.scopes.every if oauth else ()
    return _challenge(401, error.message, oauth, code=code, scopes=scopes)


def insufficient(
    error: InsufficientScope, oauth: ResourceServer, needed: Iterable[str]
) -> PlainTextResponse:
    """403, with all the scopes that this takes at once, and those the client has, lest it lose them."""
    known = set(oauth.scopes.supported)
    kept = (scope for scope in error.granted if scope in known)
    scopes = dict.fromkeys((*needed, *kept))
    return _challenge(403, error.message, oauth, code="insufficient_scope", scopes=scopes)


def _challenge(
    status: int,
    message: str,
    oauth: ResourceServer | None,
    *,
    code: str,
    scopes: Iterable[str],
) -> PlainTextResponse:
    fields = {}
    if oauth:
        if code:
            fields = {"error": code, "error_description": _quotable(message)}
        if scope := " ".join(scopes):
            fields["scope"] = _quotable(scope)
        fields["resource_metadata"] = metadata_url(oauth.resource)
    told = ", ".join(f'{name}="{value}"' for name, value in fields.items())
    headers = {"www-authenticate": f"Bearer {told}".strip()}
    return PlainTextResponse(f"{message}\n", status, headers)


def _quotable(text: str) -> str:
    """The text with what may not stand between quotes there left out."""
    return "".join(char for char in text if " " <= char <= "~" and char not in '"\\')
