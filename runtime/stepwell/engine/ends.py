"""How the attempts of a step end: well, with another attempt, handled by the graph, or with the run."""

from msgspec.structs import replace

from stepwell.engine.commands import expire_ask_id, expire_id
from stepwell.engine.events import (
    ApprovalExpired,
    Event,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
)
from stepwell.engine.graph import CONTINUE, FAIL, UNDO, ApprovalNode
from stepwell.engine.inputs import AskExpired, Expire, Given
from stepwell.engine.people import ask_outcome_of
from stepwell.engine.progress import Progress
from stepwell.engine.retry import delay
from stepwell.engine.sight import Sight
from stepwell.engine.state import RunState, StepState
from stepwell.engine.undoing import end_badly, undo_next
from stepwell.engine.values import Data, Failure
from stepwell.engine.wording import NOBODY_ANSWERED
from stepwell.errors import Code


def complete(state: RunState, step: StepState, given: Given, output: Data) -> list[Event]:
    """What follows when a step has ended well."""
    done = StepCompleted(at=given.at, step=step.id, attempt=step.attempt, output=output)
    if state.is_compensating:
        return [done, *undo_next(state, given.at)]
    return [done, *Progress(state, given.at).after(step, output)]


def give_up(state: RunState, step: StepState, given: Given, failure: Failure) -> list[Event]:
    """Another attempt where the node allows one and it may help, else the end."""
    policy = step.spec.retry
    if not failure.retryable or step.attempt > policy.max:
        return fail(state, step, given, failure)
    wait = max(delay(policy, step.attempt, given.jitter), _asked_wait(failure, policy.ceiling))
    again = StepRetryScheduled(
        at=given.at,
        step=step.id,
        attempt=step.attempt + 1,
        retry_at=given.at + wait,
        failure=failure,
    )
    return [again]


def fail(state: RunState, step: StepState, given: Given, failure: Failure) -> list[Event]:
    """What follows when a step has ended badly: who handles it goes on, else the run ends."""
    is_undo = step.id.endswith(UNDO)
    on_error = CONTINUE if is_undo else step.spec.on_error
    handled = "" if on_error == FAIL else on_error
    failed = StepFailed(
        at=given.at, step=step.id, attempt=step.attempt, failure=failure, handled=handled
    )
    if is_undo:
        return [failed, *undo_next(state, given.at, failed=step.id.removesuffix(UNDO))]
    if handled:
        return [failed, *Progress(state, given.at).after_failure(step, failure, handled)]
    if step.owner:
        said = replace(failure, message=f"{step.id}: {failure.message}", retryable=False)
        return [failed, *fail(state, state.steps[step.owner], given, said)]
    return [failed, *end_badly(state, Sight(state), given.at, failure, step.id)]


def expired(state: RunState, given: Expire) -> list[Event]:
    """The time of an attempt is over."""
    if not state.awaits(expire_id(given.step, given.attempt)):
        return []
    step = state.steps[given.step]
    timeout = (step.spec.timeout or 0) / 1e6
    if step.begun:
        return ask_outcome_of(state, step, given, f"was under way when its {timeout:g} s were over")
    if isinstance(step.spec, ApprovalNode):
        gone = ApprovalExpired(at=given.at, step=step.id, attempt=step.attempt)
        nobody = Failure(Code.APPROVAL_EXPIRED, f"nobody answered within {timeout:g} s")
        return [gone, *fail(state, step, given, nobody)]
    failure = Failure(
        Code.STEP_TIMEOUT, f"the step did not end within {timeout:g} s", retryable=True
    )
    return give_up(state, step, given, failure)


def ask_expired(state: RunState, given: AskExpired) -> list[Event]:
    """Nobody has said in time whether a call may be made, so it may not."""
    if not state.awaits(expire_ask_id(given.step, given.attempt, given.call, given.until)):
        return []
    step = state.steps[given.step]
    ask = step.asks[given.call]
    gone = ApprovalExpired(at=given.at, step=step.id, attempt=step.attempt, call=given.call)
    if step.conversation is not None:
        return [gone]
    detail = {"rules": ", ".join(ask.asked.rules)}
    failure = Failure(Code.APPROVAL_EXPIRED, NOBODY_ANSWERED, detail=detail)
    return [gone, *fail(state, step, given, failure)]


def _asked_wait(failure: Failure, ceiling: int) -> int:
    """What a provider asked for in `retry_after` (seconds), in microseconds."""
    try:
        return min(int(float(failure.detail.get("retry_after", "0")) * 1_000_000), ceiling)
    except (ValueError, OverflowError):
        return 0
