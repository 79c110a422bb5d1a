"""The public keys of an authorization server, fetched over HTTP and kept for a while.

A key that is not known yet is looked for again, but not at every token that names one: whoever sends
tokens with made-up names would have us ask the issuer as often. Keys that cannot be fetched anew go
on counting for `LONGEST`, and not longer: the issuer may have withdrawn one.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import jwt
import msgspec
from msgspec import Struct

from stepwell.errors import Code, StepwellError, Unavailable
from stepwell.tools.network import Grants, Guard, guarded_client, host_of

FRESH: Final = 300.0
"""Seconds that keys count without a look whether others have come."""
LONGEST: Final = 3600.0
"""Seconds that they count when the issuer does not answer."""
PAUSE: Final = 5.0
"""Seconds between two tries to fetch them."""
TIMEOUT: Final = timedelta(seconds=5)
MOST_BYTES: Final = 1024 * 1024
MOST_KEYS: Final = 100

_FAMILIES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}

_log = logging.getLogger(__name__)


class IssuerUnavailable(Unavailable):
    """The keys of the authorization server cannot be fetched; try again."""

    code = Code.ISSUER_UNAVAILABLE


class _Key(Struct, frozen=True):
    """One public key; `alg` is empty where it is good for all of its family."""

    kid: str
    family: str
    alg: str
    data: dict[str, Any]


class SigningKeys:
    """The keys that an issuer signs with. `jwks_url` is empty where its metadata says it."""

    def __init__(self, issuer: str, jwks_url: str, networks: Sequence[str] = ()) -> None:
        """`networks` is what their addresses may be besides public ones.

        Raises:
            ValueError: one of the networks is none.
        """
        self._issuer = issuer
        self._jwks_url = jwks_url
        hosts = tuple(host_of(url) for url in (issuer, jwks_url) if url)
        self._guard = Guard(Grants(hosts, tuple(networks)), whose="mcp.oauth")
        self._keys: tuple[_Key, ...] = ()
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def find(self, kid: str, alg: str) -> jwt.PyJWK | None:
        """The key of this name for this algorithm; `kid` is empty where a token names none.

        Then it is the only one that fits, or none.

        Raises:
            IssuerUnavailable: there are no keys that still count, and none can be fetched.
        """
        await self._keep_fresh()
        found = self._fitting(kid, alg)
        if found is None and await self._fetch_again():
            found = self._fitting(kid, alg)
        return found

    def _fitting(self, kid: str, alg: str) -> jwt.PyJWK | None:
        fitting = [
            key
            for key in self._keys
            if key.family == _FAMILIES.get(alg[:2])
            and key.alg in ("", alg)
            and (key.kid == kid or not kid)
        ]
        if len(fitting) != 1:
            return None
        try:
            return jwt.PyJWK(fitting[0].data, alg)
        except jwt.PyJWTError:
            return None

    async def _keep_fresh(self) -> None:
        """Fetches the keys where their time is over; who finds that being done goes on with the old."""
        age = _now() - self._fetched_at
        if age < FRESH or (age < LONGEST and self._fetching.locked()):
            return
        await self._fetch_again()
        if _now() - self._fetched_at >= LONGEST:
            self._keys = ()
            raise IssuerUnavailable(
                f"the keys of {self._issuer} cannot be fetched, so no access token can be checked; "
                "try again"
            )

    async def _fetch_again(self) -> bool:
        """Whether the keys were fetched since this was asked."""
        asked_at = _now()
        async with self._fetching:
            if self._fetched_at >= asked_at:
                return True
            if _now() - self._tried_at < PAUSE:
                return False
            self._tried_at = _now()
            try:
                self._keys = await self._fetch()
            except (httpx2.HTTPError, StepwellError, ValueError, TimeoutError) as error:
                _log.warning("the keys of %s cannot be fetched: %s", self._issuer, error)
                return False
            self._fetched_at = _now()
            return True

    async def _fetch(self) -> tuple[_Key, ...]:
        timeout = TIMEOUT.total_seconds()
        async with (
            asyncio.timeout(timeout),
            guarded_client(self._guard, limit=MOST_BYTES, timeout=timeout) as client,
        ):
            url = self._jwks_url or await self._jwks_url_of(client)
            answer = await _get(client, url)
            return _keys(msgspec.json.decode(answer))

    async def _jwks_url_of(self, client: httpx2.AsyncClient) -> str:
        """Where the issuer's metadata says that the keys are (RFC 8414, or OpenID Connect)."""
        problem = "it has none"
        for url in metadata_urls(self._issuer):
            try:
                metadata = msgspec.json.decode(await _get(client, url), type=dict[str, Any])
            except (httpx2.HTTPStatusError, ValueError) as error:
                problem = str(error)
                continue
            if metadata.get("issuer") != self._issuer:
                problem = f"{url} is that of another issuer, {metadata.get('issuer')!r}"
            elif isinstance(found := metadata.get("jwks_uri"), str):
                return found
        raise ValueError(f"its metadata do not tell where; set mcp.oauth.jwks_url ({problem})")


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where an issuer's metadata may be: by RFC 8414, and by OpenID Connect in both ways."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    found = (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}/.well-known/openid-configuration{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )
    return tuple(dict.fromkeys(found))


async def _get(client: httpx2.AsyncClient, url: str) -> bytes:
    response = await client.get(url, headers={"accept": "application/json"})
    response.raise_for_status()
    if response.status_code != httpx2.codes.OK:
        raise ValueError(f"{url} answers {response.status_code}")
    return response.content


def _keys(document: Any) -> tuple[_Key, ...]:
    """The keys of a JWK set that sign, and that we know how to check; what else is there is passed over."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("its keys are no JWK set")  # noqa: TRY004 - of the issuer, not of ours
    found = (_key(each) for each in listed[:MOST_KEYS])
    return tuple(key for key in found if key is not None)


def _key(data: Any) -> _Key | None:
    if not isinstance(data, dict) or data.get("use", "sig") != "sig":
        return None
    operations = data.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    kid, family, alg = data.get("kid", ""), data.get("kty"), data.get("alg", "")
    if not isinstance(kid, str) or not isinstance(family, str) or not isinstance(alg, str):
        return None
    return _Key(kid, family, alg, data) if family in _FAMILIES.values() else None


def _now() -> float:
    return asyncio.get_running_loop().time()
