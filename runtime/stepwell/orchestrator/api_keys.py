"""API keys: how callers say who they are.

A token is `sw_ID_SECRET`; the secret has 256 random bits, so its plain SHA-256 is as good as a slow
hash, and costs a call nothing. What the store said of a key counts for `FRESH` seconds: so long a
process may take to notice that another one has revoked it.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from msgspec import Struct

from stepwell.clock import Clock
from stepwell.errors import Code, Denied, InvalidRequest, Unavailable
from stepwell.orchestrator.approvals import Factors, Proof
from stepwell.orchestrator.attributes import decoded, encoded, read_attributes
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.authentication import KEY_PREFIX, Unauthenticated
from stepwell.orchestrator.authority import demand_user
from stepwell.orchestrator.deeds import deed
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.views import ApiKey, api_key_of
from stepwell.principals import Caller
from stepwell_storage.ports import Storage
from stepwell_storage.records import ApiKeyRow

FRESH: Final = 2.0
"""Seconds."""
MOST_KNOWN: Final = 10_000
COARSE: Final = timedelta(minutes=10)
"""How exactly it is known when a key was used last."""

_SUBJECT: Final = re.compile(r"(user|agent|service):[a-z0-9][a-z0-9._@-]{0,62}")
NAMESPACE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_TOKEN: Final = re.compile(r"sw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_MICROSECOND: Final = timedelta(microseconds=1)


class _Known(Struct, frozen=True):
    """What the store said of a key, and when, by the loop's clock."""

    namespace: str
    row: ApiKeyRow
    at: float


class ApiKeys:
    """Makes, lists and revokes keys, which is for users; and knows whose a token is.

    Raises, besides what a method names:
        Unavailable: the database cannot be used right now; nothing was changed.
    """

    def __init__(self, storage: Storage, *, factors: Factors, clock: Clock, audit: Audit) -> None:
        self._storage = storage
        self._factors = factors
        self._clock = clock
        self._audit = audit
        self._known: dict[str, _Known] = {}

    async def create(
        self,
        caller: Caller,
        subject: str,
        *,
        namespace: str = "",
        expires: timedelta | None = None,
        attributes: Iterable[tuple[str, Iterable[str]]] = (),
        proof: Proof | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key for a subject, `user:ann`, `agent:bot` or `service:ci`; and its token.

        `attributes` is what rules of data shall know of its bearer.

        Nobody can ask for the token again. Only the owner of the home makes keys for other
        namespaces than his own. Once anybody in the namespace has a factor, the caller shows his: a key outlives a call.

        Raises:
            Denied: POLICY_DENIED, the caller may not; FACTOR_REQUIRED, FACTOR_WRONG, FACTOR_LOCKED.
            InvalidRequest: the subject or the namespace is none; or an attribute.
        """
        demand_user(caller, "API keys are made", "stepwell key create")
        namespace = namespace or caller.namespace
        _check(subject, namespace)
        known = read_attributes(attributes)
        if namespace != caller.namespace and not caller.is_owner:
            raise Denied(
                f"{caller.principal} belongs to the namespace {caller.namespace}, and keys of "
                "other namespaces are made by the owner of the home"
            )
        is_vouched = await self._factors.is_wanted(caller)
        if is_vouched:
            await self._factors.verify(caller, proof, deed("api_key.create", namespace, subject))
        now = self._clock.now()
        secret = secrets.token_urlsafe(32)
        row = ApiKeyRow(
            id=secrets.token_hex(6),
            subject=subject,
            kind=subject.partition(":")[0],
            hash=_hash(secret),
            created_by=caller.principal,
            created_at=now,
            is_vouched=is_vouched,
            expires_at=None if expires is None else now + expires // _MICROSECOND,
            attributes=encoded(known),
        )
        with refusals():
            await self._storage.api_keys.add(namespace, row)
        told = {"subject": subject, "vouched": str(is_vouched).lower()}
        if known:
            told["attributes"] = row.attributes
        await self._audit.record(
            namespace, caller.principal, "api_key.create", f"api_key/{row.id}", told
        )
        return api_key_of(namespace, row), f"{KEY_PREFIX}{row.id}_{secret}"

    async def list_keys(self, caller: Caller, *, namespace: str = "") -> tuple[ApiKey, ...]:
        """The keys of a namespace, oldest first, those that are revoked too.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user, or not of this namespace.
        """
        demand_user(caller, "API keys are listed", "stepwell key list")
        namespace = self._namespace(caller, namespace)
        with refusals():
            rows = await self._storage.api_keys.list(namespace)
        return tuple(api_key_of(namespace, row) for row in rows)

    async def revoke(self, caller: Caller, id: str, *, namespace: str = "") -> ApiKey:
        """Lets nobody in with a key any more: here at once, in other processes within seconds.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user, or not of this namespace.
            NotFound: API_KEY_NOT_FOUND.
        """
        demand_user(caller, "API keys are revoked", "stepwell key revoke")
        namespace = self._namespace(caller, namespace)
        missing = f"there is no API key {id!r}; `stepwell key list` shows all"
        with refusals(missing, Code.API_KEY_NOT_FOUND):
            row = await self._storage.api_keys.revoke(namespace, id, now=self._clock.now())
        self._known.pop(id, None)
        told = {"subject": row.subject}
        await self._audit.record(
            namespace, caller.principal, "api_key.revoke", f"api_key/{id}", told
        )
        return api_key_of(namespace, row)

    async def identify(self, token: str) -> Caller:
        """Whose key this is.

        Raises:
            Unauthenticated: it is none of ours, was revoked, or has expired.
        """
        match = _TOKEN.fullmatch(token)
        known = await self._look_up(match[1]) if match else None
        if (
            match is None
            or known is None
            or not hmac.compare_digest(_hash(match[2]), known.row.hash)
        ):
            raise Unauthenticated(
                "this is no API key of this server; `stepwell key create` makes one, and shows it "
                "once"
            )
        return self._caller(known)

    async def still(self, caller: Caller) -> Caller:
        """The caller, as long as the key that it showed counts.

        Raises:
            Unauthenticated: it was revoked, or has expired.
        """
        if not caller.key:
            return caller
        known = await self._look_up(caller.key)
        if known is None:
            raise Unauthenticated("the API key is gone; sign in with another")
        return self._caller(known)

    # --- inside ---------------------------------------------------------------------------

    def _caller(self, known: _Known) -> Caller:
        row = known.row
        if row.revoked_at is not None:
            raise Unauthenticated(f"the API key {row.id} was revoked; ask for another")
        if row.expires_at is not None and row.expires_at <= self._clock.now():
            raise Unauthenticated(f"the API key {row.id} has expired; ask for another")
        return Caller(known.namespace, row.subject, row.id, attributes=decoded(row.attributes))

    async def _look_up(self, id: str) -> _Known | None:
        now = asyncio.get_running_loop().time()
        known = self._known.get(id)
        if known is not None and now - known.at < FRESH:
            return known
        with refusals():
            found = await self._storage.api_keys.find(id)
        if found is None:
            self._known.pop(id, None)
            return None
        known = _Known(*found, now)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[id] = known
        await self._touch(known)
        return known

    async def _touch(self, known: _Known) -> None:
        """Notes that a key is in use, where that is no news of the last minutes."""
        row, now = known.row, self._clock.now()
        if row.used_at is None or now - row.used_at > COARSE // _MICROSECOND:
            with suppress(Unavailable), refusals():
                await self._storage.api_keys.touch(known.namespace, row.id, now=now)

    def _namespace(self, caller: Caller, asked: str) -> str:
        if asked in ("", caller.namespace) or caller.is_owner:
            return asked or caller.namespace
        raise Denied(f"{caller.principal} belongs to the namespace {caller.namespace}")


def _check(subject: str, namespace: str) -> None:
    if not _SUBJECT.fullmatch(subject):
        raise InvalidRequest(
            f"{subject!r} is no principal: user:NAME, agent:NAME or service:NAME, with a NAME of at "
            "most 63 lower-case letters, digits and . _ @ -",
            detail={"subject": "must be user:NAME, agent:NAME or service:NAME"},
        )
    if subject.endswith(":local"):
        raise InvalidRequest(
            f"{subject} is who calls from the machine itself; take another name",
            detail={"subject": "must not be local"},
        )
    if not NAMESPACE.fullmatch(namespace):
        raise InvalidRequest(
            f"{namespace!r} is no namespace: at most 63 lower-case letters, digits, _ and -",
            detail={"namespace": "must be lower-case letters, digits, _ and -"},
        )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
