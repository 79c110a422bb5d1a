"""What a run learns from what it is told. Every rule of a run lives here and beside it.

A stale or duplicate input teaches nothing, so it gives no events: that is idempotency.
`decide` reads the state and changes nothing; whoever calls it folds the events in and
commits them before anything else happens. Why a caller's wish gives no events is told by
`stepwell.engine.objections`.
"""

from typing import assert_never

from stepwell.engine.budgets import least, raised, short
from stepwell.engine.calls import (
    denied,
    held,
    lost,
    model_answered,
    throttled,
    tool_answered,
    tool_begun,
)
from stepwell.engine.controls import (
    fork,
    pause,
    resolve,
    resume,
    retry_step,
    signal,
)
from stepwell.engine.ends import ask_expired, expired
from stepwell.engine.events import Custom, Event, RunCancelled, RunFailed, RunStarted
from stepwell.engine.inputs import (
    Admitted,
    AnswerQuestion,
    AskExpired,
    AskQuestions,
    BudgetShort,
    CallDenied,
    CallHeld,
    CallLost,
    CallThrottled,
    Cancel,
    ChildEnded,
    ChildStarted,
    Expire,
    Fired,
    Fork,
    Input,
    ModelAnswered,
    Pause,
    Publish,
    QuestionExpired,
    RaiseBudget,
    Resolve,
    Resume,
    RetryStep,
    Signal,
    Start,
    ToolAnswered,
    ToolBegun,
)
from stepwell.engine.progress import Progress
from stepwell.engine.questions import answer_question, ask_questions, question_expired
from stepwell.engine.state import RunPhase, RunState
from stepwell.engine.values import Failure
from stepwell.engine.waits import admitted, child_ended, child_started, fired
from stepwell.errors import Code


def decide(state: RunState, given: Input) -> list[Event]:
    """The events that follow from an input; [] when it teaches nothing."""
    if state.phase is not RunPhase.RUNNING:
        return _set_going(state, given)
    events = _learn(state, given)
    if state.sequence + len(events) > state.max_events:
        return [RunFailed(at=given.at, failure=_too_long(state.max_events))]
    return events


def _set_going(state: RunState, given: Input) -> list[Event]:
    match given:
        case Start() if state.phase is RunPhase.NEW:
            return _start(state, given)
        case RetryStep():
            return retry_step(state, given)
        case _:
            return []


def _learn(state: RunState, given: Input) -> list[Event]:
    match given:
        case ToolAnswered():
            return tool_answered(state, given)
        case ModelAnswered():
            return model_answered(state, given)
        case ToolBegun():
            return tool_begun(state, given)
        case CallDenied():
            return denied(state, given)
        case CallHeld():
            return held(state, given)
        case CallThrottled():
            return throttled(state, given)
        case CallLost():
            return lost(state, given)
        case Expire():
            return expired(state, given)
        case AskExpired():
            return ask_expired(state, given)
        case AskQuestions():
            return ask_questions(state, given)
        case AnswerQuestion():
            return answer_question(state, given)
        case QuestionExpired():
            return question_expired(state, given)
        case Fired():
            return fired(state, given)
        case Admitted():
            return admitted(state, given)
        case ChildStarted():
            return child_started(state, given)
        case ChildEnded():
            return child_ended(state, given)
        case Cancel():
            return [RunCancelled(at=given.at, reason=given.reason)]
        case Pause():
            return pause(state, given)
        case Resume():
            return resume(state, given)
        case Signal():
            return signal(state, given)
        case Resolve():
            return resolve(state, given)
        case BudgetShort():
            return short(state, given)
        case RaiseBudget():
            return raised(state, given)
        case Publish():
            return [Custom(at=given.at, type=given.type, payload=given.payload)]
        case Fork():
            return fork(state, given)
        case Start() | RetryStep():
            return []  # it is running
        case _:
            assert_never(given)


def _start(state: RunState, given: Start) -> list[Event]:
    queue = given.queue or state.graph.queue
    started = RunStarted(
        at=given.at,
        workflow=state.graph.name,
        version=state.graph.version,
        principal=given.principal,
        input=given.input,
        labels=given.labels,
        run_key=given.run_key,
        queue=queue,
        parent=given.parent,
        trace=given.trace,
        limits=least(state.graph.limits, given.limits),
        shares=given.shares,
        called=given.called,
        attributes=given.attributes,
    )
    if queue:
        return [started]  # it begins when it has its place
    return [started, *Progress(state, given.at, given.input, given.labels).begin()]


def _too_long(limit: int) -> Failure:
    return Failure(
        Code.LIMIT_EXCEEDED,
        f"the run has reached the {limit} events that one run may have; split the work into "
        "several runs, or raise limits.history_events",
    )
