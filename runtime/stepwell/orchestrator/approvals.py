"""Approvals: what runs ask of people, and how a person answers and proves who answers.

Only users decide. About a held call an answer needs a factor that no agent has, and is bound to what
was shown; the engine refuses whatever does not fit any more when the answer comes.
"""

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from msgspec import UNSET, Struct
from msgspec.structs import replace

from stepwell.clock import Clock
from stepwell.engine.inputs import Resolve
from stepwell.engine.values import Data
from stepwell.errors import Code, Denied, FailedPrecondition, KeyDestroyed
from stepwell.nldb.writes.preview import APPLY, PREVIEWS, Preview, found_in, key_of
from stepwell.orchestrator.asked import approval_of
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.beholders import Beholders, is_sealed
from stepwell.orchestrator.cursors import run_place, run_token
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.results import StoredResults
from stepwell.orchestrator.views import Approval, ApprovalPage, Run
from stepwell.principals import Caller
from stepwell_storage.ports import Storage
from stepwell_storage.records import WAITING, ApprovalRow

MAX_PAGE = 200
"""Approvals on one page."""


class Proof(Struct, frozen=True, kw_only=True):
    """What only the person has: a one-time code, or the JSON of a WebAuthn assertion."""

    kind: Literal["totp", "passkey"]
    value: str


class Factors(Protocol):
    """Knows the factors that people have enrolled."""

    async def is_enrolled(self, caller: Caller) -> bool:
        """Whether the caller has a factor."""
        ...

    async def is_wanted(self, caller: Caller) -> bool:
        """Whether the caller has to show one: as soon as anybody in the namespace has."""
        ...

    async def verify(self, caller: Caller, proof: Proof | None, subject: str) -> None:
        """Returns when the proof is the caller's and for this subject.

        Raises:
            Denied: FACTOR_REQUIRED, there is no proof, or no factor is enrolled; FACTOR_WRONG.
        """
        ...


class NoFactors:
    """Where nobody can enrol one: no held call is ever approved."""

    async def is_enrolled(self, caller: Caller) -> bool:
        """Nobody has one."""
        return False

    async def is_wanted(self, caller: Caller) -> bool:
        """Nobody has one."""
        return False

    async def verify(self, caller: Caller, proof: Proof | None, subject: str) -> None:
        """Nobody can.

        Raises:
            Denied: FACTOR_REQUIRED.
        """
        raise Denied(
            f"{caller.principal} has no second factor, and only somebody who has one may approve",
            code=Code.FACTOR_REQUIRED,
        )


NO_FACTORS: Factors = NoFactors()

PageOf = Callable[[str], str]
"""Where people see and answer an approval, by its id; "" where nobody serves a page."""


def no_page(id: str) -> str:
    """Nobody serves one."""
    return ""


Tell = Callable[[Caller, str, Resolve], Awaitable[Run]]
"""Tells a run something, whoever owns it, and waits for the commit."""


class Approvals:
    """What a caller may ask about approvals. Every method takes the caller first."""

    def __init__(
        self,
        storage: Storage,
        *,
        journal: Journal,
        tell: Tell,
        clock: Clock,
        audit: Audit,
        factors: Factors,
        page: PageOf = no_page,
    ) -> None:
        """`page` tells where people see an approval."""
        self.page = page
        self._storage = storage
        self._journal = journal
        self._tell = tell
        self._clock = clock
        self._audit = audit
        self._factors = factors
        self._results = StoredResults(storage, journal)
        self._beholders = Beholders(journal)

    async def list(
        self,
        caller: Caller,
        *,
        status: str = WAITING,
        page_size: int = 50,
        page_token: str = "",
        is_told: bool = False,
    ) -> ApprovalPage:
        """Newest first; `status` "" is all of them.

        With `is_told` each has what the person is told, which costs a read of its run's log.

        Raises:
            InvalidRequest: INVALID_CURSOR, the token is not one of this list.
        """
        size = min(page_size or 50, MAX_PAGE)
        with refusals():
            rows = await self._storage.approvals.list(
                caller.namespace,
                limit=size + 1,
                status=status or None,
                before=run_place(page_token, status),
            )
        shown = rows[:size]
        more = len(rows) > size
        token = run_token(status, shown[-1].requested_at, shown[-1].id) if more else ""
        found = [await self._told(caller, row) if is_told else approval_of(row) for row in shown]
        return ApprovalPage(approvals=tuple(found), next_token=token)

    async def get(self, caller: Caller, id: str) -> Approval:
        """One of them, with what the person is told; of a run that was erased that is left out.

        So are rows of a datasource, for whoever may not see them.

        Raises:
            NotFound: APPROVAL_NOT_FOUND.
        """
        return await self._told(caller, await self._row(caller, id))

    async def _told(self, caller: Caller, row: ApprovalRow) -> Approval:
        approval = approval_of(row)
        message = await self._message(caller, row)
        if message is None:
            return approval
        with refusals():
            may_see = await self._beholders.has(caller, row.run, approval.principal)
        if not may_see and is_sealed(message):
            return replace(approval, is_withheld=True)
        arguments: Data | None = None
        if row.about == "call" and isinstance(message.value, dict):
            arguments = Data(value=message.value.get("arguments"), sealed=message.sealed)
        if not may_see:
            is_withheld = approval.tool == APPLY
            return replace(approval, message=message, arguments=arguments, is_withheld=is_withheld)
        preview = await self._preview(caller, approval, arguments)
        return replace(approval, message=message, arguments=arguments, preview=preview)

    async def _preview(
        self, caller: Caller, approval: Approval, arguments: Data | None
    ) -> Preview | None:
        """What a change of a datasource would do, as whoever asks was shown it."""
        given = arguments.value if arguments is not None else None
        if approval.tool != APPLY or not isinstance(given, dict):
            return None
        name = str(given.get("preview", ""))
        key, _ = key_of(name)
        try:
            told = await self._results.find(caller.namespace, approval.principal, key, PREVIEWS)
        except KeyDestroyed:
            return None
        return found_in(told.value, name) if told is not None else None

    async def decide(
        self,
        caller: Caller,
        id: str,
        *,
        verdict: Literal["approve", "deny"],
        reason: str = "",
        subject: str | None = None,
        proof: Proof | None = None,
    ) -> Approval:
        """Answers. `subject` is what the person has seen, where he has; denying needs no proof.

        Raises:
            Denied: POLICY_DENIED, the caller is no user, or asked for it himself, or is not among
                those who may; FACTOR_REQUIRED; FACTOR_WRONG.
            NotFound: APPROVAL_NOT_FOUND.
            FailedPrecondition: NOT_APPLICABLE, it is answered, over, or not what was seen; RUN_ENDED.
            InvalidRequest: an outcome is not asked for by yes or no.
        """
        if not caller.is_user:
            raise Denied(
                f"what a run asks is answered by a user, and this call is by {caller.principal}; tell "
                f"the user that the approval {id} waits"
            )
        row = await self._row(caller, id)
        approval = approval_of(row)
        self._check_open(approval)
        if subject is not None and subject != row.subject:
            raise FailedPrecondition(
                f"what the approval {id} asks is not what was answered; look at it again",
                code=Code.NOT_APPLICABLE,
            )
        if verdict == "approve":
            _check_approver(caller, approval)
            await demand_factor(
                self._factors, caller, proof, row.subject, always=row.about == "call"
            )
        given = Resolve(
            at=self._clock.now(),
            principal=caller.principal,
            step=row.step,
            verdict=verdict,
            call=row.call,
            reason=reason,
            value=Data(value=None),
            subject=row.subject if row.about == "call" else "",
        )
        told = {"run": row.run, "step": row.step, "about": row.about, "subject": row.subject}
        # Before the run hears of it: an answer in the log that the audit log does not know is forged.
        await self._audit.record(
            caller.namespace, caller.principal, f"approval.{verdict}", f"approval/{id}", told
        )
        await self._tell(caller, row.run, given)
        return await self.get(caller, id)

    async def _row(self, caller: Caller, id: str) -> ApprovalRow:
        with refusals(f"there is no approval {id!r}", Code.APPROVAL_NOT_FOUND):
            return await self._storage.approvals.get(caller.namespace, id)

    async def _message(self, caller: Caller, row: ApprovalRow) -> Data | None:
        """What the person is told; it stands in the log of the run, or in that which it goes on from."""
        try:
            with refusals():
                asked = await self._journal.asked(caller.namespace, row.run, row.sequence, row.step)
        except KeyDestroyed:
            return None
        return asked.message if asked is not None and asked.message.value is not UNSET else None

    def _check_open(self, approval: Approval) -> None:
        if approval.status != WAITING:
            by = f" by {approval.decided_by}" if approval.decided_by else ""
            raise FailedPrecondition(
                f"the approval {approval.id} waits for nobody any more: it was {approval.status}{by}",
                code=Code.NOT_APPLICABLE,
            )
        if approval.expires_at is not None and approval.expires_at <= self._clock.now():
            raise FailedPrecondition(
                f"the time to answer the approval {approval.id} is over", code=Code.NOT_APPLICABLE
            )


async def demand_factor(
    factors: Factors, caller: Caller, proof: Proof | None, subject: str, *, always: bool = False
) -> None:
    """Wants a proof: always, or as soon as anybody in the namespace has enrolled a factor.

    Not only of those who have: a program that was there first may have made itself another user.

    Raises:
        Denied: FACTOR_REQUIRED, FACTOR_WRONG.
    """
    if always or await factors.is_wanted(caller):
        await factors.verify(caller, proof, subject)


def _check_approver(caller: Caller, approval: Approval) -> None:
    is_own = approval.about == "call" and caller.principal == approval.principal
    if is_own and approval.approver != "caller":
        raise Denied(f"{caller.principal} asked for this call, and somebody else has to approve it")
    if approval.groups and caller.principal not in approval.groups:
        raise Denied(
            f"only {' or '.join(approval.groups)} may approve this, and {caller.principal} is "
            "neither; the rule names them"
        )
