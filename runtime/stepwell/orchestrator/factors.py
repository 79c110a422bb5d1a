"""Factors: what people have besides a credential, to prove that it is they who answer.

A credential can be read by a program that runs as the same account, and so by an agent with a shell. A
one-time code or a passkey is with the person. A proof is for one subject: what was shown for one
approval is worth nothing for another, and is taken once.

Secrets are sealed (`vault.factor_key`), each for its namespace, principal and id.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, NoReturn

import msgspec
from msgspec import Struct

from stepwell.clock import Clock
from stepwell.engine.values import Json
from stepwell.errors import Code, DataDamaged, Denied, FailedPrecondition, InvalidRequest
from stepwell.orchestrator import one_time_codes, passkeys
from stepwell.orchestrator.approvals import Proof
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.authority import demand_user
from stepwell.orchestrator.deeds import deed
from stepwell.orchestrator.passkeys import Passkey, Site, WrongPasskey
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.views import Factor, factor_of
from stepwell.principals import Caller
from stepwell.vault.boxes import Boxes, NotOpened
from stepwell_storage.errors import Exists
from stepwell_storage.ports import Storage
from stepwell_storage.records import Attempts, FactorRow

PATIENCE: Final = timedelta(minutes=10)
"""How long an enrolment, or the question to a passkey, may be answered."""
MOST_FACTORS: Final = 20
LONGEST_LABEL: Final = 60
ENROL: Final = "factor.enrol"
REMOVE: Final = "factor.remove"

_PATIENCE_US: Final = PATIENCE // timedelta(microseconds=1)


class TotpOffer(Struct, frozen=True, kw_only=True):
    """A secret for an app, which counts once a code of it was shown together with the ticket."""

    secret: str
    uri: str
    ticket: str


class _Ticket(Struct, frozen=True):
    """What a ticket or a challenge holds: until when it counts, and what it is about."""

    until: int
    secret: str = ""


class FactorKeeping:
    """Enrols, verifies and removes factors. Every method takes the caller first.

    Raises, besides what a method names:
        Unavailable: the database cannot be used right now; nothing was changed.
        SetupError: the key that seals factors cannot be read.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        open_boxes: Callable[[], Boxes],
        site: Site,
        clock: Clock,
        audit: Audit,
    ) -> None:
        """`open_boxes` may wait for the keyring of the system."""
        self.site = site
        self._storage = storage
        self._open_boxes = open_boxes
        self._clock = clock
        self._audit = audit
        self._opened: Boxes | None = None
        self._opening = asyncio.Lock()

    # --- proving --------------------------------------------------------------------------

    async def verify(self, caller: Caller, proof: Proof | None, subject: str) -> None:
        """Returns when the proof is the caller's, is for this subject, and was not used before.

        Raises:
            Denied: FACTOR_REQUIRED, there is no proof, or nothing is enrolled; FACTOR_WRONG;
                FACTOR_LOCKED, too many codes were wrong.
        """
        if not caller.is_user:
            raise Denied(
                f"{caller.principal} is no person, and only people have factors",
                code=Code.FACTOR_REQUIRED,
            )
        rows = await self._rows(caller)
        if not rows:
            raise Denied(
                f"{caller.principal} has no second factor yet, and this takes one; enrol it with "
                "`stepwell factor enroll`, or on the page /factor",
                code=Code.FACTOR_REQUIRED,
            )
        if proof is None:
            kinds = {"totp": "a one-time code (--code)", "passkey": "a passkey (on the page)"}
            ways = " or ".join(kinds[kind] for kind in sorted({row.kind for row in rows}))
            raise Denied(
                f"{caller.principal} has to prove to be there, with {ways}",
                code=Code.FACTOR_REQUIRED,
                detail={"kinds": " ".join(sorted({row.kind for row in rows}))},
            )
        if proof.kind == "totp":
            await self._verify_code(caller, rows, proof.value)
        else:
            await self._verify_passkey(caller, rows, proof.value, subject)

    async def is_enrolled(self, caller: Caller) -> bool:
        """Whether the caller has a factor."""
        return bool(await self._rows(caller))

    async def is_wanted(self, caller: Caller) -> bool:
        """Whether the caller has to show one: as soon as anybody in the namespace has."""
        return await self.is_anybody_enrolled(caller.namespace)

    async def is_anybody_enrolled(self, namespace: str) -> bool:
        """Whether anybody in a namespace has one."""
        with refusals():
            return bool(await self._storage.factors.list(namespace))

    async def question(self, caller: Caller, subject: str) -> dict[str, Json]:
        """What a browser asks the caller's passkeys, so that the answer proves something for a subject.

        Raises:
            Denied: FACTOR_REQUIRED, the caller has enrolled no passkey.
        """
        boxes = await self._boxes()
        known = [passkey for _, passkey in _passkeys(boxes, caller, await self._rows(caller))]
        if not known:
            raise Denied(f"{caller.principal} has enrolled no passkey", code=Code.FACTOR_REQUIRED)
        challenge = boxes.lock(self._ticket(), "assertion", *_whose(caller), subject)
        return passkeys.question(self.site, challenge=challenge, known=known)

    # --- keeping --------------------------------------------------------------------------

    async def list_factors(self, caller: Caller) -> tuple[Factor, ...]:
        """The caller's own, oldest first."""
        return tuple(map(factor_of, await self._rows(caller)))

    async def offer_totp(self, caller: Caller) -> TotpOffer:
        """A new secret for an app. Nothing is enrolled before `enrol_totp`.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user, or may not enrol his first.
        """
        await self._check_may_enrol(caller)
        secret = one_time_codes.new_secret()
        boxes = await self._boxes()
        ticket = boxes.lock(self._ticket(secret), "totp", *_whose(caller))
        return TotpOffer(
            secret=secret,
            uri=one_time_codes.enrolment_uri(secret, _account(caller)),
            ticket=ticket.hex(),
        )

    async def enrol_totp(
        self, caller: Caller, ticket: str, code: str, *, label: str = "", proof: Proof | None = None
    ) -> Factor:
        """Enrols the app that was offered, as its code shows that it has the secret.

        The first factor needs no proof, each later one that of another (for `enrol_subject`).

        Raises:
            Denied: POLICY_DENIED; FACTOR_REQUIRED, FACTOR_WRONG, FACTOR_LOCKED; the code, too.
            InvalidRequest: the ticket is none, or its time is over.
        """
        await self._check_may_enrol(caller)
        boxes = await self._boxes()
        try:
            opened = boxes.open(bytes.fromhex(ticket), "totp", *_whose(caller))
        except (NotOpened, ValueError):
            _refuse_enrolment()
        secret = self._in_time(opened).secret
        step = one_time_codes.matching_step(secret, code, now=self._clock.now())
        if step is None:
            raise Denied(
                "this is not the code that the app should show now; look whether the clocks of both "
                "devices are right, and enter the next one",
                code=Code.FACTOR_WRONG,
            )
        is_first = await self._prove_to_enrol(caller, proof)
        if not await self._spend(caller, ticket, self._clock.now() + _PATIENCE_US):
            _refuse_enrolment()
        row = self._row(caller, "totp", label or "authenticator app", secret.encode(), boxes)
        await self._spend(caller, f"{row.id}:{step}", one_time_codes.spent_until(step))
        return await self._add(caller, row, is_first=is_first)

    async def offer_passkey(self, caller: Caller) -> dict[str, Json]:
        """What a browser is asked so that it makes a passkey. Nothing is enrolled before `enrol_passkey`.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user, or may not enrol his first.
        """
        await self._check_may_enrol(caller)
        boxes = await self._boxes()
        known = [passkey for _, passkey in _passkeys(boxes, caller, await self._rows(caller))]
        return passkeys.new_passkey(
            self.site,
            account=_account(caller),
            user=deed("account", *_whose(caller)).encode()[:32],
            challenge=boxes.lock(self._ticket(), "passkey", *_whose(caller)),
            known=known,
        )

    async def enrol_passkey(
        self, caller: Caller, answer: str, *, label: str = "", proof: Proof | None = None
    ) -> Factor:
        """Enrols the passkey that a browser has made; proofs are as for `enrol_totp`.

        Raises:
            Denied: POLICY_DENIED; FACTOR_REQUIRED, FACTOR_WRONG, FACTOR_LOCKED.
            InvalidRequest: the answer is none, or its time is over.
        """
        await self._check_may_enrol(caller)
        boxes = await self._boxes()
        with _wrong_passkeys():
            challenge = passkeys.challenge_of(answer)
            try:
                opened = boxes.open(challenge, "passkey", *_whose(caller))
            except NotOpened:
                _refuse_enrolment()
            self._in_time(opened)
            made, counter = passkeys.registered(self.site, answer, challenge=challenge)
        is_first = await self._prove_to_enrol(caller, proof)
        if not await self._spend(caller, challenge.hex(), self._clock.now() + _PATIENCE_US):
            _refuse_enrolment()
        row = self._row(caller, "passkey", label or "passkey", msgspec.json.encode(made), boxes)
        row = msgspec.structs.replace(row, counter=counter)
        return await self._add(caller, row, is_first=is_first)

    def enrol_subject(self, caller: Caller) -> str:
        """What a proof must be for when another factor is enrolled."""
        return deed(ENROL, *_whose(caller))

    def remove_subject(self, caller: Caller, id: str) -> str:
        """What a proof must be for when a factor is removed."""
        return deed(REMOVE, *_whose(caller), id)

    async def remove(self, caller: Caller, id: str, *, proof: Proof | None) -> None:
        """Forgets one of the caller's factors; a proof with any of them is needed (`remove_subject`).

        Raises:
            Denied: POLICY_DENIED; FACTOR_REQUIRED, FACTOR_WRONG, FACTOR_LOCKED.
            NotFound: FACTOR_NOT_FOUND.
        """
        demand_user(caller, "factors are removed", "stepwell factor remove")
        await self.verify(caller, proof, self.remove_subject(caller, id))
        missing = f"{caller.principal} has no factor {id!r}; `stepwell factor list` shows all"
        with refusals(missing, Code.FACTOR_NOT_FOUND):
            await self._storage.factors.remove(caller.namespace, caller.principal, id)
        await self._audit.record(caller.namespace, caller.principal, REMOVE, f"factor/{id}", {})

    # --- inside: proving ------------------------------------------------------------------

    async def _verify_code(self, caller: Caller, rows: list[FactorRow], code: str) -> None:
        """Every attempt is counted before it is looked at, so that many at once are many."""
        failed = await self._count_attempt(caller)
        boxes, now = await self._boxes(), self._clock.now()
        for row in rows:
            if row.kind != "totp":
                continue
            secret = _unsealed(boxes, caller, row).decode()
            step = one_time_codes.matching_step(secret, code, now=now)
            if step is None:
                continue
            if not await self._spend(caller, f"{row.id}:{step}", one_time_codes.spent_until(step)):
                raise Denied(
                    "this code was used before; wait for the next one", code=Code.FACTOR_WRONG
                )
            with refusals():
                await self._storage.factors.advance(caller.namespace, row.id, counter=0, now=now)
                await self._storage.factors.clear_attempts(caller.namespace, caller.principal)
            return
        if failed == one_time_codes.FREE_ATTEMPTS:
            told = {"failed": str(failed)}
            await self._audit.record(*_whose(caller), "factor.lock", "factors", told)
        raise Denied(
            "the code is wrong; enter the one that your app shows now", code=Code.FACTOR_WRONG
        )

    async def _count_attempt(self, caller: Caller) -> int:
        """Counts one more; tells how many there were in a row, with it."""
        while True:
            with refusals():
                before = await self._storage.factors.attempts(caller.namespace, caller.principal)
                now = self._clock.now()
                self._check_not_locked(before, now)
                if await self._storage.factors.attempt(
                    caller.namespace, caller.principal, after=before, now=now
                ):
                    return before.failed + 1

    def _check_not_locked(self, attempts: Attempts, now: int) -> None:
        until = one_time_codes.locked_until(attempts)
        if until > now:
            seconds = -(-(until - now) // 1_000_000)
            raise Denied(
                f"{attempts.failed} codes in a row were wrong, so none is looked at for another "
                f"{seconds} s; a passkey works all the same. If it was not you, somebody tries",
                code=Code.FACTOR_LOCKED,
                detail={"retry_after_seconds": str(seconds)},
            )

    async def _verify_passkey(
        self, caller: Caller, rows: list[FactorRow], answer: str, subject: str
    ) -> None:
        boxes, now = await self._boxes(), self._clock.now()
        with _wrong_passkeys():
            challenge = passkeys.challenge_of(answer)
            try:
                opened = boxes.open(challenge, "assertion", *_whose(caller), subject)
            except NotOpened:
                raise WrongPasskey("it is the answer to another question") from None
            if self._ticket_in(opened).until < now:
                raise WrongPasskey("it came too late; try again")
            credential = passkeys.credential_of(answer)
            mine = _passkeys(boxes, caller, rows)
            found = next((one for one in mine if one[1].credential == credential), None)
            if found is None:
                raise WrongPasskey("it is by none of your passkeys")
            row, passkey = found
            counter = passkeys.counted(
                self.site, answer, passkey, challenge=challenge, counter=row.counter
            )
        if not await self._spend(caller, challenge.hex(), now + _PATIENCE_US):
            raise Denied("this answer was used before", code=Code.FACTOR_WRONG)
        with refusals():
            is_fresh = await self._storage.factors.advance(
                caller.namespace, row.id, counter=counter, now=now
            )
        if not is_fresh:
            raise Denied(
                "the passkey counts no further than before, so there may be a copy of it; remove it "
                "with another factor",
                code=Code.FACTOR_WRONG,
            )

    # --- inside: keeping ------------------------------------------------------------------

    async def _check_may_enrol(self, caller: Caller) -> None:
        """Whoever has a factor may, with it. A first one is free where nobody else has one yet.

        After that only who has an API key that was made with a factor may enrol his first:
        otherwise a program that can read the owner's token would make itself another user, enrol
        that one, and approve what it asks for.
        """
        demand_user(caller, "factors are enrolled", "stepwell factor enroll")
        mine = await self._rows(caller)
        if len(mine) >= MOST_FACTORS:
            raise FailedPrecondition(
                f"{caller.principal} has {MOST_FACTORS} factors, which is the most; remove one",
                code=Code.NOT_APPLICABLE,
            )
        if mine or not await self.is_anybody_enrolled(caller.namespace):
            return
        with refusals():
            found = await self._storage.api_keys.find(caller.key) if caller.key else None
        if found is None or not found[1].is_vouched:
            raise Denied(
                f"others in the namespace {caller.namespace} have factors, and nobody has shown one "
                f"for {caller.principal}; have one of them make a new API key for it, with "
                "`stepwell key create --code`, and enrol with that",
            )

    async def _prove_to_enrol(self, caller: Caller, proof: Proof | None) -> bool:
        """Whether it is the caller's first; otherwise another one was shown."""
        if not await self.is_enrolled(caller):
            return True
        await self.verify(caller, proof, self.enrol_subject(caller))
        return False

    async def _add(self, caller: Caller, row: FactorRow, *, is_first: bool) -> Factor:
        try:
            with refusals():
                await self._storage.factors.add(caller.namespace, row, is_first=is_first)
        except Exists:
            raise Denied(
                f"{caller.principal} has enrolled another factor meanwhile; show it to enrol more",
                code=Code.FACTOR_REQUIRED,
            ) from None
        told = {"kind": row.kind, "label": row.label, "first": str(is_first).lower()}
        await self._audit.record(
            caller.namespace, caller.principal, ENROL, f"factor/{row.id}", told
        )
        return factor_of(row)

    def _row(self, caller: Caller, kind: str, label: str, secret: bytes, boxes: Boxes) -> FactorRow:
        label = " ".join(label.split())
        if len(label) > LONGEST_LABEL or not label.isprintable():
            raise InvalidRequest(
                f"a label has at most {LONGEST_LABEL} printable characters",
                detail={"label": f"must have at most {LONGEST_LABEL} printable characters"},
            )
        id = secrets.token_hex(6)
        sealed = boxes.lock(secret, "factor", *_whose(caller), id, kind)
        return FactorRow(id, caller.principal, kind, label, sealed, self._clock.now())

    async def _rows(self, caller: Caller) -> list[FactorRow]:
        with refusals():
            return await self._storage.factors.list(caller.namespace, caller.principal)

    async def _spend(self, caller: Caller, token: str, until: int) -> bool:
        with refusals():
            return await self._storage.factors.spend(
                caller.namespace, token, until=until, now=self._clock.now()
            )

    def _ticket(self, secret: str = "") -> bytes:
        return msgspec.json.encode(_Ticket(self._clock.now() + _PATIENCE_US, secret))

    def _ticket_in(self, opened: bytes) -> _Ticket:
        return msgspec.json.decode(opened, type=_Ticket)

    def _in_time(self, opened: bytes) -> _Ticket:
        ticket = self._ticket_in(opened)
        if ticket.until < self._clock.now():
            _refuse_enrolment()
        return ticket

    async def _boxes(self) -> Boxes:
        async with self._opening:
            if self._opened is None:
                self._opened = await asyncio.to_thread(self._open_boxes)
        return self._opened


def _whose(caller: Caller) -> tuple[str, str]:
    return caller.namespace, caller.principal


def _account(caller: Caller) -> str:
    """How an app or a browser names the account."""
    name = caller.principal.removeprefix("user:")
    return name if caller.namespace == "default" else f"{name} ({caller.namespace})"


def _unsealed(boxes: Boxes, caller: Caller, row: FactorRow) -> bytes:
    try:
        return boxes.open(row.secret, "factor", *_whose(caller), row.id, row.kind)
    except NotOpened as error:
        raise DataDamaged(
            f"the factor {row.id} of {caller.principal} was sealed with another key than the one of "
            "this process, or its row was changed: put the key back (approvals.factor_key, the "
            "keyring, or factor.key in the home). docs/security.md says what to do if it is lost"
        ) from error


def _passkeys(
    boxes: Boxes, caller: Caller, rows: list[FactorRow]
) -> list[tuple[FactorRow, Passkey]]:
    return [
        (row, msgspec.json.decode(_unsealed(boxes, caller, row), type=Passkey))
        for row in rows
        if row.kind == "passkey"
    ]


def _refuse_enrolment() -> NoReturn:
    raise InvalidRequest(
        "this enrolment was not begun here, was finished before, or its time is over; begin anew"
    )


@contextmanager
def _wrong_passkeys() -> Iterator[None]:
    try:
        yield
    except WrongPasskey as error:
        raise Denied(
            f"the passkey's answer is not right: {error}", code=Code.FACTOR_WRONG
        ) from error
