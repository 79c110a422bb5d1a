"""Who is calling: what a credential proves, and nothing that a call merely claims.

Every door asks here. Without a credential a call from this machine is `agent:local`, which can never
approve. The token of the home's owner, which only the owner's account can read, lets its bearer be
`user:local`. Everybody else shows an API key, or an access token of the authorization server that the
settings name; who bears one of those is an agent.
"""

import hmac
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from stepwell.errors import Code, StepwellError
from stepwell.principals import LOCAL_AGENT, LOCAL_USER, Caller

BEARER = "Bearer "
KEY_PREFIX = "sw_"
"""How API keys begin; the owner's token is random base64, and does not."""
DOTS = 2
"""In an access token, which is a JWT; no other credential has any."""

Identify: TypeAlias = Callable[[str], Awaitable[Caller]]


class Unauthenticated(StepwellError):
    """The credential is missing or wrong."""

    code = Code.UNAUTHENTICATED


class Authentication:
    """Tells callers apart. `identify` knows whose an API key is, or raises Unauthenticated.

    `owner_token` belongs to the home; without one nobody is its owner. `bearer` knows who bears an
    access token; without it none is taken.
    """

    def __init__(
        self, identify: Identify, owner_token: str | None, *, bearer: Identify | None = None
    ) -> None:
        self._identify = identify
        self._owner_token = owner_token
        self._bearer = bearer

    async def authenticate(
        self, authorization: str | bytes | None, *, is_local: bool, as_user: bool = False
    ) -> Caller:
        """The caller who sends this `authorization` header, or none, from this machine or another.

        The owner is `user:local` where `as_user` asks for it, else `agent:local`.

        Raises:
            Unauthenticated: the credential is not one of ours, or there is none and the call
                comes from another machine.
            InsufficientScope: the access token lacks a scope that everything takes.
            Unavailable: the credential cannot be looked up at the moment.
        """
        if authorization is None:
            if is_local:
                return LOCAL_AGENT
            raise Unauthenticated(
                "a call from another machine needs a credential: send "
                "'authorization: Bearer TOKEN' with an API key; `stepwell key create` makes one"
            )
        token = _token(authorization)
        if self._bearer and token.count(".") == DOTS:
            return await self._bearer(token)
        return await self._known(token, as_user=as_user)

    async def person(self, token: str) -> Caller:
        """Who signs in with a token alone: the owner, or whose API key it is.

        Raises:
            Unauthenticated: it is neither.
            Unavailable: the key cannot be looked up at the moment.
        """
        return await self._known(token, as_user=True)

    def is_owner(self, token: str) -> bool:
        """Whether this is the token of the home's owner."""
        expected = self._owner_token or ""
        return bool(expected) and hmac.compare_digest(
            token.encode(errors="surrogateescape"), expected.encode()
        )

    async def _known(self, token: str, *, as_user: bool) -> Caller:
        if token.startswith(KEY_PREFIX):
            return await self._identify(token)
        if not self.is_owner(token):
            raise Unauthenticated(
                "the bearer token is neither an API key nor the token of this server's home; the "
                "server may have been started on another home, or the token was replaced: read it "
                "again"
            )
        return LOCAL_USER if as_user else LOCAL_AGENT


def _token(authorization: str | bytes) -> str:
    text = (
        authorization
        if isinstance(authorization, str)
        else authorization.decode(errors="surrogateescape")
    )
    return text[len(BEARER) :] if text[: len(BEARER)].lower() == BEARER.lower() else ""
