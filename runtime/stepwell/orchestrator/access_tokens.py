"""Access tokens: what an authorization server vouches for, and who their bearer is here.

A token is a JWT, signed by a key of the issuer, for this server and for this moment. Its bearer is an
agent that acts for whoever the token names, so it never approves anything, whatever the token says.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

import jwt

from stepwell.orchestrator.attributes import claimed
from stepwell.orchestrator.authentication import Unauthenticated
from stepwell.orchestrator.scopes import Scopes
from stepwell.principals import Caller

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""Signatures with a private key only: no `none`, and no HMAC, whose key would be our public one."""
LEEWAY: Final = 30
"""Seconds that clocks may differ."""
LONGEST: Final = 16 * 1024
"""Characters of a token."""
TYPES: Final = ("at+jwt", "application/at+jwt", "jwt")
"""What `typ` may be, where it is said at all: not an ID token's or a logout token's."""
UNREADABLE: Final = (ValueError, TypeError, OverflowError, RecursionError)
"""What reading JSON that others have written may come to."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")
_HASHED: Final = re.compile(r"sub-[0-9a-f]{32}")


class Keys(Protocol):
    """Knows the public keys of an issuer."""

    async def find(self, kid: str, alg: str) -> jwt.PyJWK | None:
        """The key of this name that is good for this algorithm."""
        ...


class AccessTokens:
    """The tokens of one issuer that are for one audience."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        keys: Keys,
        scopes: Scopes,
        namespace: str,
        principal: str = "sub",
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """`principal` is the claim that names a bearer, `attributes` those that say more of it."""
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._scopes = scopes
        self._namespace = namespace
        self._principal = principal
        self._attributes = attributes or {}

    async def identify(self, token: str) -> Caller:
        """The bearer of a token, with the scopes that it grants.

        Raises:
            Unauthenticated: it is none of ours, or not for now.
            InsufficientScope: it lacks a scope that everything takes.
            Unavailable: ISSUER_UNAVAILABLE, the keys of the issuer cannot be fetched.
        """
        try:
            claims = await self._claims(token)
        except (jwt.PyJWTError, *UNREADABLE) as error:
            raise Unauthenticated(f"the access token is not good here: {_why(error)}") from None
        name = claims.get(self._principal)
        if not isinstance(name, str) or not name:
            raise Unauthenticated(
                f"the access token does not say whose it is: it has no claim {self._principal!r}"
            )
        caller = Caller(
            self._namespace,
            f"agent:{agent_name(name)}",
            scopes=granted_scopes(claims),
            attributes=claimed(claims, self._attributes),
        )
        self._scopes.demand(caller, (), "this server")
        return caller

    async def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > LONGEST:
            raise jwt.DecodeError("it is too long")
        header = jwt.get_unverified_header(token)
        alg, kid, typ = header.get("alg"), header.get("kid", ""), header.get("typ", "jwt")
        if alg not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError("its algorithm is not one that is taken")
        if not isinstance(kid, str) or not isinstance(typ, str) or typ.lower() not in TYPES:
            raise jwt.DecodeError("it is no access token")
        if "crit" in header:
            raise jwt.DecodeError("it has an extension that is not known")
        key = await self._keys.find(kid, alg)
        if key is None:
            raise jwt.InvalidKeyError("the issuer has no such key")
        return jwt.decode(
            token,
            key,
            algorithms=[alg],
            issuer=self._issuer,
            audience=self._audience,
            leeway=LEEWAY,
            options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
        )


def granted_scopes(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The scopes of a token: `scope` with spaces (RFC 9068), or `scp`, which some issuers write."""
    said = claims.get("scope", claims.get("scp", ""))
    if isinstance(said, str):
        return tuple(said.split())
    return tuple(each for each in said if isinstance(each, str)) if isinstance(said, list) else ()


def agent_name(name: str) -> str:
    """The name of an agent for whatever a token calls its bearer; no two have the same.

    What cannot be a name, or is that of this machine, is named by its digest.
    """
    if _NAME.fullmatch(name) and name != "local" and not _HASHED.fullmatch(name):
        return name
    return f"sub-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:32]}"


def _why(error: Exception) -> str:
    """What is wrong with a token, for its bearer: nothing of the token itself."""
    match error:
        case jwt.ExpiredSignatureError():
            return "it has expired"
        case jwt.ImmatureSignatureError():
            return "it is not good yet"
        case jwt.InvalidAudienceError():
            return "it is for another server"
        case jwt.InvalidIssuerError():
            return "it is from another issuer"
        case jwt.MissingRequiredClaimError():
            return f"it has no claim {error.claim!r}"
        case jwt.InvalidSignatureError():
            return "its signature is wrong"
        case jwt.InvalidKeyError():
            return "its issuer has no such key"
        case jwt.InvalidAlgorithmError():
            return "its algorithm is not one that is taken"
        case _:
            return "it is no access token that can be read"
