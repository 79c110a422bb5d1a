"""Who is calling: what the metadata of a call proves, and nothing that it merely claims."""

import hmac
from collections.abc import Iterable

from stepwell.errors import Code, StepwellError
from stepwell.principals import LOCAL_AGENT, LOCAL_USER, Caller

AUTHORIZATION = "authorization"
PRINCIPAL = "x-stepwell-principal"


class Unauthenticated(StepwellError):
    """The credential is missing or wrong."""

    code = Code.UNAUTHENTICATED


class Authenticator:
    """Tells callers apart by the token that only the owner of the home can read."""

    def __init__(self, owner_token: str | None) -> None:
        self._owner_token = owner_token

    def authenticate(self, metadata: Iterable[tuple[str, str | bytes]], peer: str) -> Caller:
        """The caller of a call with this metadata from this peer (`ipv4:127.0.0.1:5000`).

        Without a credential a call from this machine is `agent:local`, whatever it claims to
        be. The owner's token lets it act as `user:local`, when it asks to.

        Raises:
            Unauthenticated: the credential is not one of ours, or there is none and the call
                comes from another machine.
        """
        given = {key: value for key, value in metadata if key in (AUTHORIZATION, PRINCIPAL)}
        credential = given.get(AUTHORIZATION)
        if credential is None:
            if not _is_local(peer):
                raise Unauthenticated(
                    "a call from another machine needs a credential: send the metadata "
                    "'authorization: Bearer TOKEN' with the token of the server's home"
                )
            return LOCAL_AGENT
        if not self._is_owner(credential):
            raise Unauthenticated(
                "the bearer token is not that of this server's home; the server may have been "
                "started on another home, or the token was replaced: read it again"
            )
        return LOCAL_USER if given.get(PRINCIPAL) == LOCAL_USER.principal else LOCAL_AGENT

    def _is_owner(self, credential: str | bytes) -> bool:
        sent = credential.encode() if isinstance(credential, str) else credential
        expected = f"Bearer {self._owner_token}".encode()
        return bool(self._owner_token) and hmac.compare_digest(sent, expected)


def _is_local(peer: str) -> bool:
    """Whether gRPC's name of a peer is an address of this machine's loopback, or a socket."""
    return peer.startswith(("unix:", "ipv4:127.", "ipv6:[::1]", "ipv6:%5B::1%5D"))
