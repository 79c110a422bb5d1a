"""What callers may ask of a run that is there, whoever owns it.

A run in our hands is told directly. To any other a letter is left, which its owner takes, or
whoever takes it over; what stands against the wish is found out before, from the log.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from stepwell.clock import Clock, IdSource
from stepwell.definitions.builtin import CALL
from stepwell.engine.inputs import Cancel, Fork, Pause, Publish, Resolve, Resume, RetryStep, Signal
from stepwell.engine.objections import Objection, objection
from stepwell.engine.values import Data, Json
from stepwell.errors import (
    AlreadyExists,
    Code,
    Denied,
    FailedPrecondition,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    StepwellError,
    Unavailable,
)
from stepwell.orchestrator.approvals import Factors, Proof, demand_factor
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.folds import SharedFolds
from stepwell.orchestrator.forks import find_fork
from stepwell.orchestrator.intake import check_payload, check_repeat, fork_digest
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.letters import Control, is_taught_by, letter_to
from stepwell.orchestrator.owned import NotWritten
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.standing import run_of_state
from stepwell.orchestrator.texts import check_texts
from stepwell.orchestrator.views import Run
from stepwell.orchestrator.worker import Worker
from stepwell.principals import Caller
from stepwell_storage.errors import Duplicate, Full, KeyTaken
from stepwell_storage.ports import Storage

LETTER_PATIENCE = 20.0
"""Seconds that a caller waits until a letter is taken."""

REFUSALS = frozenset({"deny", "fail"})
"""Answers that let nothing happen."""

FIRST_LOOK, LONGEST_LOOK = 0.01, 0.25
"""Seconds between two looks whether it is: they grow."""


class Controls:
    """Steers runs. Every method takes the caller first and stays in its namespace."""

    def __init__(
        self,
        storage: Storage,
        *,
        worker: Worker,
        journal: Journal,
        clock: Clock,
        ids: IdSource,
        get_run: Callable[[Caller, str], Awaitable[Run]],
        audit: Audit,
        factors: Factors,
    ) -> None:
        self._storage = storage
        self._audit = audit
        self._worker = worker
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._get_run = get_run
        self._folds = SharedFolds(worker.fold)
        self._factors = factors

    async def cancel_run(self, caller: Caller, run: str, reason: str = "") -> Run:
        """Stops a run and its children; calls in flight are cancelled.

        Raises:
            NotFound: RUN_NOT_FOUND.
            FailedPrecondition: RUN_ENDED, it stays as it is.
        """
        given = Cancel(at=self._clock.now(), principal=caller.principal, reason=reason)
        return await self._recorded(caller, "cancel", run, self.tell(caller, run, given))

    async def pause_run(self, caller: Caller, run: str, reason: str = "") -> Run:
        """Lets a run begin nothing new; calls in flight may end.

        Raises:
            NotFound: RUN_NOT_FOUND.
            FailedPrecondition: RUN_ENDED; NOT_APPLICABLE, it is paused already.
        """
        given = Pause(at=self._clock.now(), principal=caller.principal, reason=reason)
        return await self._recorded(caller, "pause", run, self.tell(caller, run, given))

    async def resume_run(self, caller: Caller, run: str, reason: str = "") -> Run:
        """Lets a run that is paused go on.

        Raises:
            NotFound: RUN_NOT_FOUND.
            FailedPrecondition: RUN_ENDED; NOT_APPLICABLE, it is not paused.
        """
        given = Resume(at=self._clock.now(), principal=caller.principal, reason=reason)
        return await self._recorded(caller, "resume", run, self.tell(caller, run, given))

    async def signal_run(
        self, caller: Caller, run: str, name: str, payload: Json = None, *, id: str = ""
    ) -> Run:
        """Sends a message to whatever step waits for it, now or later. The same `id` is no news.

        Raises:
            NotFound: RUN_NOT_FOUND.
            FailedPrecondition: RUN_ENDED; NOT_APPLICABLE, no step of the workflow takes this name.
            LimitExceeded: too many that no step has taken; the payload is too large, or too deep.
        """
        check_texts(name=name, id=id)
        check_payload("payload", payload)
        given = Signal(
            at=self._clock.now(),
            principal=caller.principal,
            name=name,
            payload=Data(value=payload),
            id=id,
        )
        return await self.tell(caller, run, given, letter=f"signal/{run}/{id}" if id else None)

    async def resolve_step(
        self,
        caller: Caller,
        run: str,
        step: str,
        verdict: str,
        *,
        call: str | None = None,
        reason: str = "",
        value: Json = None,
        proof: Proof | None = None,
    ) -> Run:
        """Answers what a step asks: approve or deny; of a call of unknown outcome done, retry, fail.

        `call` names one of several calls; `value` is the result of one that is done, or goes into
        the output of an approval. A caller who has enrolled a factor proves with it that he says
        more than no. A call that policy holds is not answered here.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user; FACTOR_REQUIRED, FACTOR_WRONG.
            NotFound: RUN_NOT_FOUND, STEP_NOT_FOUND.
            InvalidRequest: the verdict does not fit what is asked.
            FailedPrecondition: RUN_ENDED; NOT_APPLICABLE, the step asks nothing.
            LimitExceeded: the value is too large, or too deep.
        """
        _demand_user(caller, "what a run asks is answered by a person", "stepwell resolve")
        check_payload("value", value)
        if verdict not in REFUSALS:
            await demand_factor(self._factors, caller, proof, answer_subject(run, step, call))
        given = Resolve(
            at=self._clock.now(),
            principal=caller.principal,
            step=step,
            verdict=verdict,
            call=call,
            reason=reason,
            value=Data(value=value),
        )
        detail = {"step": step, "call": call or "", "verdict": verdict}
        await self._get_run(caller, run)
        # Before the run hears of it, as in `Approvals.decide`.
        await self._record(caller, "resolve", run, detail)
        return await self.tell(caller, run, given)

    async def retry_step(self, caller: Caller, run: str, step: str = "", reason: str = "") -> Run:
        """Takes a run up again that has failed, with another attempt of the step it failed over.

        A map or loop that it failed over may be named by a step of it.

        Raises:
            NotFound: RUN_NOT_FOUND, STEP_NOT_FOUND.
            FailedPrecondition: NOT_APPLICABLE, the run has not failed, or not over this step.
            AlreadyExists: RUN_KEY_TAKEN, another run has its key by now.
        """
        await self._get_run(caller, run)
        try:
            with refusals():
                state = await self._worker.fold(caller.namespace, run)
                given = RetryStep(
                    at=self._clock.now(),
                    principal=caller.principal,
                    step=step or state.failed_step,
                    reason=reason,
                )
                _refuse(objection(state, given))
                await self._worker.reopen(caller.namespace, state, given)
        except KeyTaken as taken:
            raise AlreadyExists(
                f"the run {taken.run} has the run key of {run} by now, and has not ended",
                code=Code.RUN_KEY_TAKEN,
            ) from None
        shown = self._get_run(caller, run)
        return await self._recorded(caller, "retry", run, shown, {"step": given.step})

    async def fork_run(
        self,
        caller: Caller,
        run: str,
        step: str,
        *,
        input: Json | msgspec.UnsetType = msgspec.UNSET,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        proof: Proof | None = None,
    ) -> tuple[Run, bool]:
        """Starts a run that goes on from where another one was before it scheduled a step.

        What had ended by then is not done again; the step, and all after it, is. `input` takes the
        place of what the step was given. The flag is False for a repeat.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user; FACTOR_REQUIRED, FACTOR_WRONG.
            NotFound: RUN_NOT_FOUND; STEP_NOT_FOUND, the step never ran.
            FailedPrecondition: NOT_APPLICABLE, the step has no input that could be another.
            AlreadyExists: REQUEST_ID_REUSED.
            LimitExceeded: the input is too large, or too deep.
        """
        _demand_user(
            caller,
            "a fork does again, without asking again, what a person may have approved",
            "stepwell fork",
        )
        check_texts(labels, request_id=request_id)
        edited = input is not msgspec.UNSET
        if edited:
            check_payload("input", input)
        await self._get_run(caller, run)
        await demand_factor(self._factors, caller, proof, answer_subject(run, step, None))
        new = self._ids.new_id()
        with refusals():
            of, until = await find_fork(self._journal, caller.namespace, run, step)
            state = await self._worker.fold_as(caller.namespace, new, of=of, until=until)
        if edited and state.graph is CALL:
            raise FailedPrecondition(
                f"the run {run} is a direct call, which has nothing before it; call the tool again, "
                "with other arguments",
                code=Code.NOT_APPLICABLE,
            )
        given = Fork(
            at=self._clock.now(),
            principal=caller.principal,
            run=of,
            sequence=until,
            step=step,
            labels={
                **(state.labels if labels is None else labels),
                **self._journal.inherited(state.labels),
            },
            edited=edited,
            attributes=dict(caller.attributes),
            input=Data(value=input if edited else None),
        )
        _refuse(objection(state, given))
        digest = ""
        try:
            with refusals():
                if request_id:
                    digest = await self._journal.blinded(
                        caller.namespace, given.labels, fork_digest(given)
                    )
                state = await self._worker.fork(
                    caller.namespace, state, given, request_id=request_id, request_digest=digest
                )
        except Duplicate as duplicate:
            check_repeat(duplicate, digest, request_id)
            return await self._get_run(caller, duplicate.run), False
        detail = {"of": run, "step": step, "edited": "yes" if edited else "no"}
        await self._record(caller, "fork", state.run, detail)
        return run_of_state(state), True

    async def publish_event(self, caller: Caller, run: str, type: str, payload: Json) -> None:
        """Writes a `custom` event into the log of a run that has not ended.

        Raises:
            NotFound: RUN_NOT_FOUND.
            FailedPrecondition: RUN_ENDED.
            LimitExceeded: the payload is too large, or too deep.
        """
        check_payload("payload", payload)
        await self.tell(
            caller,
            run,
            Publish(
                at=self._clock.now(),
                principal=caller.principal,
                type=type,
                payload=Data(value=payload),
            ),
        )

    # --- inside ---------------------------------------------------------------------------

    async def _recorded(
        self,
        caller: Caller,
        verb: str,
        run: str,
        deed: Awaitable[Run],
        detail: Mapping[str, str] = {},
    ) -> Run:
        """Waits until it is done, and puts it into the audit log."""
        shown = await deed
        await self._record(caller, verb, run, detail)
        return shown

    async def _record(self, caller: Caller, verb: str, run: str, detail: Mapping[str, str]) -> None:
        await self._audit.record(
            caller.namespace, caller.principal, f"run.{verb}", f"run/{run}", detail
        )

    async def tell(
        self, caller: Caller, run: str, given: Control, *, letter: str | None = None
    ) -> Run:
        """Tells a run something, whoever owns it, and waits for the commit."""
        await self._get_run(caller, run)
        owned = self._worker.find(caller.namespace, run)
        try:
            with refusals():
                if owned is not None:
                    if not owned.state.has_ended:
                        _refuse(objection(owned.state, given))
                    if await owned.ask(given):
                        return await self._get_run(caller, run)
                # Nobody holds it here; or it has ended, went to another, or knew this already.
                await self._write_to(caller, run, given, letter or self._ids.new_id())
        except NotWritten as error:
            is_full = isinstance(error.__cause__, Full)
            raise Unavailable(
                f"{error.__cause__} What was asked is kept in memory, and is done when that has "
                "passed; ask again only if the daemon has ended before",
                code=Code.STORAGE_FULL if is_full else Code.STORAGE_UNAVAILABLE,
                retryable=False,
            ) from error
        return await self._get_run(caller, run)

    async def _write_to(self, caller: Caller, run: str, given: Control, id: str) -> None:
        """Leaves a letter for a run that is not in our hands, and waits until it is taken."""
        view = await self._get_run(caller, run)
        if view.status.ended:
            raise FailedPrecondition(f"the run {run} has ended ({view.status})")
        if isinstance(given, Cancel) and await self._worker.cancel_unreadable(
            caller.namespace, run, given
        ):
            return
        since: int | None = None
        try:
            state = await self._folds.state(caller.namespace, run)
        except (LookupError, msgspec.DecodeError, StepwellError):
            if not isinstance(given, Cancel):
                raise
        else:
            since = state.sequence
            _refuse(objection(state, given))
        letter = await self._journal.lock_letter(
            caller.namespace, letter_to(run, id, given), view.labels
        )
        if not await self._storage.inbox.send(caller.namespace, letter):
            raise FailedPrecondition(f"the run {run} has ended meanwhile")
        if not await self._is_taken(caller.namespace, run, id):
            raise Unavailable(
                f"nobody has taken the run {run} up within {LETTER_PATIENCE:g} s; what was asked is "
                "kept for it, and is done when somebody does",
                code=Code.LEASE_LOST,
                retryable=False,
            )
        if since is not None:
            await self._see_what_it_taught(caller.namespace, run, given, since)

    async def _see_what_it_taught(
        self, namespace: str, run: str, given: Control, since: int
    ) -> None:
        """Refuses what came too late: somebody else was first, or the end of the run was."""
        async for page in self._journal.read(namespace, run, after=since):
            if any(is_taught_by(given, event) for event in page):
                return
        state = await self._folds.state(namespace, run)
        _refuse(objection(state, given))
        if not (isinstance(given, Signal) and given.id in state.seen):
            raise FailedPrecondition(
                f"the run {run} had ended before it was told, and has been taken up again since"
            )

    async def _is_taken(self, namespace: str, run: str, id: str) -> bool:
        clock, look = asyncio.get_running_loop().time, FIRST_LOOK
        until = clock() + LETTER_PATIENCE
        while await self._storage.inbox.is_waiting(namespace, run, id):
            if clock() > until:
                return False
            await asyncio.sleep(look)
            look = min(look * 2, LONGEST_LOOK)
        return True


def answer_subject(run: str, step: str, call: str | None) -> str:
    """What a factor is shown for that answers a step."""
    return hashlib.sha256(f"{run}/{step}/{call or ''}".encode()).hexdigest()


def _refuse(found: Objection | None) -> None:
    """Raises what an objection is to a caller."""
    if found is None:
        return
    match found.code:
        case Code.STEP_NOT_FOUND:
            raise NotFound(found.message, code=found.code)
        case Code.INVALID_REQUEST:
            raise InvalidRequest(found.message)
        case Code.LIMIT_EXCEEDED:
            raise LimitExceeded(found.message)
        case Code.POLICY_DENIED:
            raise Denied(found.message)
        case _:
            raise FailedPrecondition(found.message, code=found.code)


def _demand_user(caller: Caller, why: str, command: str) -> None:
    """An agent that answers for a person, or goes on behind an answer, would approve itself."""
    if not caller.is_user:
        raise Denied(
            f"{why}, and this call is by {caller.principal}; have the owner of the home run "
            f"`{command}`"
        )
