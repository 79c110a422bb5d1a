"""Who makes a gRPC call, by its metadata and where it comes from."""

from collections.abc import Iterable

from stepwell.orchestrator.authentication import Authentication
from stepwell.principals import LOCAL_USER, Caller

AUTHORIZATION = "authorization"
PRINCIPAL = "x-stepwell-principal"
FORWARDED = ("forwarded", "x-forwarded-for")
"""What a proxy adds: then the peer is the proxy, and says nothing about who calls."""


class Authenticator:
    """Tells the callers of gRPC apart."""

    def __init__(self, authentication: Authentication) -> None:
        self._authentication = authentication

    async def authenticate(self, metadata: Iterable[tuple[str, str | bytes]], peer: str) -> Caller:
        """The caller of a call with this metadata from this peer (`ipv4:127.0.0.1:5000`).

        Raises:
            Unauthenticated: as `Authentication.authenticate`.
            Unavailable: the key cannot be looked up at the moment.
        """
        given = dict(metadata)
        return await self._authentication.authenticate(
            given.get(AUTHORIZATION),
            is_local=_is_local(peer) and not any(name in given for name in FORWARDED),
            as_user=given.get(PRINCIPAL) == LOCAL_USER.principal,
        )


def _is_local(peer: str) -> bool:
    """Whether gRPC's name of a peer is an address of this machine's loopback, or a socket."""
    return peer.startswith(("unix:", "ipv4:127.", "ipv6:[::1]", "ipv6:%5B::1%5D"))
