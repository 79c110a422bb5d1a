"""What tools ask of the person behind their caller, and how it is answered.

A question is answered once, by whoever its run belongs to, or by a user. No model is given a way
to do it: the doors answer for the person at the other end.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, get_args

from stepwell.clock import Clock
from stepwell.engine.events import QuestionAsked
from stepwell.engine.inputs import AnswerQuestion
from stepwell.engine.values import Data, Json
from stepwell.errors import Code, Denied, FailedPrecondition, InvalidRequest, KeyDestroyed
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.intake import check_payload
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.views import OpenQuestion, Run, question_of
from stepwell.principals import Caller
from stepwell.tools.questions import Action
from stepwell.tools.schema import compiled

ACTIONS: Final[tuple[str, ...]] = get_args(Action)


class Tell(Protocol):
    """Tells a run something, whoever owns it, and waits for the commit."""

    async def __call__(self, caller: Caller, run: str, given: AnswerQuestion, /) -> Run:
        """The run afterwards."""
        ...


class Questions:
    """What a caller may ask about questions. Every method takes the caller first."""

    def __init__(
        self,
        *,
        journal: Journal,
        get_run: Callable[[Caller, str], Awaitable[Run]],
        tell: Tell,
        audit: Audit,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._get_run = get_run
        self._tell = tell
        self._audit = audit
        self._clock = clock

    async def of(self, namespace: str, run: Run) -> tuple[OpenQuestion, ...]:
        """What the tools of a run ask; of a run that was erased nobody can tell."""
        found = []
        for waiting in run.waiting:
            if waiting.on != "input":
                continue
            try:
                event = await self._journal.event(namespace, run.id, waiting.event)
            except KeyDestroyed:
                return ()
            if isinstance(event, QuestionAsked):
                found.append(question_of(event))
        return tuple(found)

    async def answer(
        self,
        caller: Caller,
        run: str,
        question: str = "",
        *,
        action: str,
        content: Json = None,
    ) -> Run:
        """Answers a question, by its id; "" is the only one that there is.

        `content` is what was asked for, where the `action` is accept.

        Raises:
            NotFound: RUN_NOT_FOUND.
            Denied: POLICY_DENIED, the run is of somebody else, and the caller is no user.
            InvalidRequest: the action is none; the content does not fit the form; several things
                are asked, and none is named.
            FailedPrecondition: NOT_APPLICABLE, nothing like this is asked, or it was answered
                already, or its time is over; RUN_ENDED.
            LimitExceeded: the content is too large, or too deep.
        """
        if action not in ACTIONS:
            raise InvalidRequest(f"{action!r} is no answer; there are {', '.join(ACTIONS)}")
        view = await self._get_run(caller, run)
        if not (caller.is_user or caller.principal == view.principal):
            raise Denied(
                f"what the run {run} asks is answered by {view.principal}, whose run it is, or by a "
                f"user; this call is by {caller.principal}"
            )
        asked = _chosen(view, question)
        check_answer(asked, action, content)
        given = AnswerQuestion(
            at=self._clock.now(),
            principal=caller.principal,
            step=asked.step,
            question=asked.id,
            action=action,
            content=Data(value=content if action == "accept" else None),
        )
        detail = {"question": asked.id, "step": asked.step, "action": action}
        await self._audit.record(
            caller.namespace, caller.principal, "run.answer", f"run/{run}", detail
        )
        return await self._tell(caller, run, given)


def check_answer(asked: OpenQuestion, action: str, content: Json) -> None:
    """Whether an answer is what was asked for.

    Raises:
        InvalidRequest: it does not fit the schema of the form, or is no object.
        LimitExceeded: the content is too large, or too deep.
    """
    check_payload("content", content)
    if action != "accept" or asked.kind == "url":
        return
    if asked.kind != "form":
        if not isinstance(content, dict):
            raise InvalidRequest(f"the answer to {asked.kind!r} is an object, as MCP has it")
        return
    if content is not None and not isinstance(content, dict):
        raise InvalidRequest("the answer to a form is an object with its fields")
    problems = compiled(asked.schema).problems(content or {}) if asked.schema else ()
    if problems:
        raise InvalidRequest(
            f"the answer does not fit the form of the question {asked.id!r}: {'; '.join(problems)}"
        )


def _chosen(view: Run, question: str) -> OpenQuestion:
    open_ids = ", ".join(it.id for it in view.questions) or "none"
    if view.status.ended:
        raise FailedPrecondition(f"the run {view.id} has ended ({view.status})")
    if not question and len(view.questions) > 1:
        raise InvalidRequest(f"the run {view.id} asks several things; name one of {open_ids}")
    for asked in view.questions:
        if question in ("", asked.id):
            return asked
    which = f"the question {question!r}" if question else "a question"
    raise FailedPrecondition(
        f"{which} waits for no answer in the run {view.id}, or has been answered: an answer is given "
        f"once; those that wait: {open_ids}",
        code=Code.NOT_APPLICABLE,
    )
