"""What people ask of a run: pause, go on, try again, fork, a message, an answer.

Each of them gives no events where it cannot be; `objections` tells the caller why.
"""

from collections.abc import Iterator

from stepwell.engine.calls import called
from stepwell.engine.ends import complete, fail
from stepwell.engine.events import (
    ApprovalDecided,
    ApprovalRequested,
    Event,
    RunForked,
    RunPaused,
    RunResumed,
    SignalReceived,
    StepRetryScheduled,
)
from stepwell.engine.graph import ApprovalNode
from stepwell.engine.inputs import Fork, Pause, Resolve, Resume, RetryStep, Signal
from stepwell.engine.objections import objection
from stepwell.engine.progress import Progress
from stepwell.engine.state import RunState, StepPhase, StepState
from stepwell.engine.values import Data, Failure
from stepwell.engine.wording import said_no
from stepwell.errors import Code


def pause(state: RunState, given: Pause) -> list[Event]:
    """Nothing new is begun."""
    return [] if state.is_paused else [RunPaused(at=given.at, reason=given.reason)]


def resume(state: RunState, given: Resume) -> list[Event]:
    """What was held back goes on."""
    return [RunResumed(at=given.at, reason=given.reason)] if state.is_paused else []


def retry_step(state: RunState, given: RetryStep) -> list[Event]:
    """A run that has failed is taken up again, with another attempt of what it failed over."""
    if objection(state, given) is not None:
        return []
    events: list[Event] = [RunResumed(at=given.at, reason=given.reason)]
    for step in failed_steps(state, given.step):
        events += _again(step, given)
    return events


def failed_steps(state: RunState, step: str) -> list[StepState]:
    """What a failed step failed over: the steps of a map or loop, else itself."""
    found = state.steps[step]
    children = [
        child
        for child in state.steps.values()
        if child.owner == step and child.phase is StepPhase.FAILED and not child.handled
    ]
    return children or [found]


def _again(step: StepState, given: RetryStep) -> Iterator[Event]:
    assert step.failure is not None, f"{step.id} has not failed"
    attempt = step.attempt + 1
    yield StepRetryScheduled(
        at=given.at, step=step.id, attempt=attempt, retry_at=given.at, failure=step.failure
    )
    if isinstance(step.spec, ApprovalNode):
        yield ApprovalRequested(at=given.at, step=step.id, attempt=attempt, message=step.input)


def fork(state: RunState, given: Fork) -> list[Event]:
    """Goes on from where another run was, whose log the state has folded until there."""
    forked = RunForked(
        at=given.at,
        run=given.run,
        sequence=given.sequence,
        step=given.step,
        workflow=state.graph.name,
        version=state.graph.version,
        principal=given.principal,
        labels=given.labels,
        edited=given.edited,
        input=given.input,
        attributes=given.attributes,
    )
    edited = given.input if given.edited else None
    return [forked, *Progress(state, given.at, labels=given.labels).again(given.step, edited)]


def signal(state: RunState, given: Signal) -> list[Event]:
    """A message came: whoever waits longest for its name takes it, else it is kept."""
    if (given.id and given.id in state.seen) or objection(state, given) is not None:
        return []
    event = SignalReceived(at=given.at, name=given.name, payload=given.payload, id=given.id)
    waiting = next(iter(state.listening.get(given.name, ())), None)
    if waiting is None:
        return [event]
    return [event, *complete(state, state.steps[waiting], given, given.payload)]


def resolve(state: RunState, given: Resolve) -> list[Event]:
    """A person has answered."""
    if objection(state, given) is not None:
        return []
    step = state.steps[given.step]
    call = given.call if given.call is not None else next(iter(step.asks))
    ask = step.asks[call]
    decided = ApprovalDecided(
        at=given.at,
        step=step.id,
        attempt=step.attempt,
        decision=given.verdict,
        call=call,
        reason=given.reason,
        value=given.value,
        by=given.principal,
    )
    if ask.call is None:
        return [decided, *_approved(state, step, given)]
    if given.verdict in ("retry", "approve"):
        return [decided]
    if given.verdict == "deny":
        is_told = step.conversation is not None  # as the answer of its tool
        return [decided] if is_told else [decided, *_denied(state, step, given)]
    if given.verdict == "done":
        return [decided, *called(state, step, given, ask.call, given.value, None)]
    unknown = Failure(
        Code.OUTCOME_UNKNOWN,
        given.reason or f"{given.principal} ended the call of {ask.call.tool!r} as failed",
        detail={"tool": ask.call.tool, "key": f"{state.run}/{ask.call.key}"},
    )
    return [decided, *called(state, step, given, ask.call, None, unknown)]


def _approved(state: RunState, step: StepState, given: Resolve) -> list[Event]:
    if given.verdict == "approve":
        value = {
            "approved": True,
            "by": given.principal,
            "reason": given.reason,
            "value": given.value.value,
        }
        return complete(state, step, given, Data(value=value, sealed=given.value.sealed))
    return _denied(state, step, given)


def _denied(state: RunState, step: StepState, given: Resolve) -> list[Event]:
    failure = Failure(Code.APPROVAL_DENIED, said_no(given.principal, given.reason))
    return fail(state, step, given, failure)
