"""What a run learns from what it is told. Every rule of a run lives here and in `progress`.

A stale or duplicate input teaches nothing, so it gives no events: that is idempotency.
`decide` reads the state and changes nothing; whoever calls it folds the events in and
commits them before anything else happens.
"""

from typing import assert_never

import msgspec

from stepwell.engine.commands import (
    CallTool,
    JudgeLost,
    expire_id,
    model_call_id,
    tool_call_id,
)
from stepwell.engine.events import (
    Custom,
    Event,
    LlmCall,
    PolicyDecided,
    RunCancelled,
    RunFailed,
    RunStarted,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    ToolCall,
    ToolCallStarted,
)
from stepwell.engine.graph import AgentNode
from stepwell.engine.inputs import (
    Answer,
    CallDenied,
    CallLost,
    Cancel,
    Expire,
    Given,
    Input,
    ModelAnswered,
    Publish,
    Report,
    Start,
    ToolAnswered,
    ToolBegun,
)
from stepwell.engine.progress import Progress
from stepwell.engine.retry import delay
from stepwell.engine.sealing import sealed_by, withheld, words
from stepwell.engine.state import RunPhase, RunState, StepState
from stepwell.engine.values import NOTHING, Data, Failure
from stepwell.errors import Code

_OPEN_ENDS = {
    str(Code.TOOL_TIMEOUT): "ran out of its time",
    str(Code.TOOL_CRASHED): "lost its process",
    str(Code.INTERNAL): "met a defect of ours",
}
"""Failures that do not tell whether a call took effect."""

REPAIR = "Your answer cannot be used: {problem}. Answer again, with nothing but the answer."


def decide(state: RunState, given: Input) -> list[Event]:
    """The events that follow from an input; [] when it teaches nothing."""
    if isinstance(given, Start):
        return _start(state, given) if state.phase is RunPhase.NEW else []
    if state.phase is not RunPhase.RUNNING:
        return []
    events = _learn(state, given)
    if state.sequence + len(events) > state.max_events:
        return [RunFailed(at=given.at, failure=_too_long(state.max_events))]
    return events


def _learn(state: RunState, given: Report) -> list[Event]:
    match given:
        case ModelAnswered():
            return _model_answered(state, given)
        case ToolBegun():
            return _tool_begun(state, given)
        case ToolAnswered():
            return _tool_answered(state, given)
        case CallDenied():
            return _denied(state, given)
        case CallLost():
            return _lost(state, given)
        case Expire():
            return _expired(state, given)
        case Cancel():
            return [RunCancelled(at=given.at, reason=given.reason)]
        case Publish():
            return [Custom(at=given.at, type=given.type, payload=given.payload)]
        case _:
            assert_never(given)


def _too_long(limit: int) -> Failure:
    return Failure(
        Code.LIMIT_EXCEEDED,
        f"the run has reached the {limit} events that one run may have; split the work into "
        "several runs, or raise limits.history_events",
    )


def is_stale(state: RunState, command: str) -> bool:
    """Whether nobody waits for the outcome of this command: it came before, or too late."""
    return command not in state.open


def _start(state: RunState, given: Start) -> list[Event]:
    started = RunStarted(
        at=given.at,
        workflow=state.graph.name,
        version=state.graph.version,
        principal=given.principal,
        input=given.input,
        labels=given.labels,
    )
    return [started, *Progress(state, given.at, given.input).begin()]


# --- models -------------------------------------------------------------------------------


def _model_answered(state: RunState, given: ModelAnswered) -> list[Event]:
    if is_stale(state, model_call_id(given.step, given.attempt, given.call)):
        return []
    step = state.steps[given.step]
    node = state.graph.nodes[step.node]
    talk = step.conversation
    assert isinstance(node, AgentNode), f"a model answered the step {step.id}, which has none"
    assert talk is not None, f"the step {step.id} has ended"
    answer = given.answer
    if answer is None:
        assert given.failure is not None, "a model call has an answer or a failure"
        failure = withheld(given.failure, step.sealed)
        return [
            _model_failed(given, failure, step.sealed),
            *_give_up(state, step, given, failure),
        ]
    call = _model_said(given, answer)
    if answer.tools and given.call >= node.agent.turns:
        return [call, *_fail(state, step, given, _too_many_turns(node.agent.turns))]
    if answer.problem and talk.repairs >= node.agent.repairs:
        failure = Failure(
            Code.MODEL_OUTPUT_INVALID,
            f"after {talk.repairs} repairs the model's answer still cannot be used: "
            f"{answer.problem}",
        )
        return [msgspec.structs.replace(call, problem=""), *_fail(state, step, given, failure)]
    if answer.final is None:
        return [call]
    return [call, *_complete(state, step, given, answer.final)]


def _model_said(given: ModelAnswered, answer: Answer) -> LlmCall:
    sealed = answer.text.sealed
    tools = [msgspec.to_builtins(request) for request in answer.tools]
    opaque = [msgspec.to_builtins(part) for part in answer.opaque]
    return LlmCall(
        at=given.at,
        step=given.step,
        attempt=given.attempt,
        call=given.call,
        model=given.model,
        messages=given.messages,
        text=answer.text,
        tools=Data(value=tools or None, sealed=sealed if tools else ""),
        opaque=Data(value=opaque or None, sealed=sealed if opaque else ""),
        finish=answer.finish,
        problem=REPAIR.format(problem=answer.problem) if answer.problem else "",
        usage=given.usage,
        latency_us=given.latency_us,
    )


def _model_failed(given: ModelAnswered, failure: Failure, sealed: str) -> LlmCall:
    assert given.failure is not None, "it has failed"
    return LlmCall(
        at=given.at,
        step=given.step,
        attempt=given.attempt,
        call=given.call,
        model=given.model,
        messages=given.messages,
        text=words(given.failure, sealed) if sealed else NOTHING,
        usage=given.usage,
        latency_us=given.latency_us,
        failure=failure,
    )


def _too_many_turns(limit: int) -> Failure:
    return Failure(
        Code.TURNS_EXCEEDED,
        f"the model asked for tools in all of its {limit} turns and gave no answer; "
        "raise `limits.turns` of the agent, or make its task smaller",
    )


# --- tools --------------------------------------------------------------------------------


def _open_call(
    state: RunState, given: ToolBegun | ToolAnswered | CallDenied | CallLost
) -> CallTool | None:
    """The call that an input is about, as it was asked for; None when the input is stale."""
    id = tool_call_id(given.step, given.attempt, given.call)
    if is_stale(state, id):
        return None
    command = state.open[id]
    if isinstance(command, JudgeLost):
        return command.call
    assert isinstance(command, CallTool), f"{id} is not a tool call"
    return command


def _tool_begun(state: RunState, given: ToolBegun) -> list[Event]:
    call = _open_call(state, given)
    if call is None or given.call in state.steps[given.step].begun:
        return []
    return [
        ToolCallStarted(
            at=given.at,
            step=given.step,
            attempt=given.attempt,
            call=given.call,
            tool=call.tool,
            key=call.key,
            arguments=call.arguments,
        )
    ]


def _tool_answered(state: RunState, given: ToolAnswered) -> list[Event]:
    call = _open_call(state, given)
    if call is None:
        return []
    step = state.steps[given.step]
    sealed = call.arguments.sealed
    result = sealed_by(given.result or NOTHING, sealed)
    failure = given.failure
    if failure is not None and failure.reason in _OPEN_ENDS and given.call in step.begun:
        failure = _unknown(state.run, call, _OPEN_ENDS[failure.reason])
    elif failure is not None and sealed:
        result, failure = words(failure, sealed), withheld(failure, sealed)
    event = ToolCall(
        at=given.at,
        step=given.step,
        attempt=given.attempt,
        call=given.call,
        tool=call.tool,
        key=call.key,
        arguments=call.arguments,
        result=result,
        latency_us=given.latency_us,
        decision=given.decision,
        failure=failure,
    )
    if failure is not None and failure.reason == Code.OUTCOME_UNKNOWN:
        return [event, *_fail(state, step, given, failure)]
    if step.conversation is not None:
        return [event]
    if failure is not None:
        return [event, *_give_up(state, step, given, failure)]
    return [event, *_complete(state, step, given, event.result)]


def _denied(state: RunState, given: CallDenied) -> list[Event]:
    call = _open_call(state, given)
    if call is None:
        return []
    step = state.steps[given.step]
    event = PolicyDecided(
        at=given.at,
        step=given.step,
        attempt=given.attempt,
        call=given.call,
        action="call_tool",
        resource=call.tool,
        effect="deny",
        rules=given.rules,
        reason=given.reason,
    )
    if step.conversation is not None:
        return [event]
    failure = Failure(Code.POLICY_DENIED, given.reason, detail={"rules": ", ".join(given.rules)})
    return [event, *_fail(state, step, given, failure)]


def _lost(state: RunState, given: CallLost) -> list[Event]:
    call = _open_call(state, given)
    if call is None:
        return []
    failure = _unknown(state.run, call, "was begun by a process that died")
    event = ToolCall(
        at=given.at,
        step=given.step,
        attempt=given.attempt,
        call=given.call,
        tool=call.tool,
        key=call.key,
        arguments=call.arguments,
        failure=failure,
    )
    return [event, *_fail(state, state.steps[given.step], given, failure)]


def _unknown(run: str, call: CallTool, how: str) -> Failure:
    key = f"{run}/{call.key}"
    return Failure(
        Code.OUTCOME_UNKNOWN,
        f"the call of {call.tool!r} {how}, so nobody knows whether it took effect; it is not "
        "repeated because neither the tool nor the node says that it is idempotent. Look up "
        f"its key {key!r} where the tool leaves its traces, then start a new run",
        detail={"tool": call.tool, "key": key},
    )


# --- ends of steps ------------------------------------------------------------------------


def _expired(state: RunState, given: Expire) -> list[Event]:
    if is_stale(state, expire_id(given.step, given.attempt)):
        return []
    step = state.steps[given.step]
    timeout = state.graph.nodes[step.node].timeout or 0
    began = [step.id if not call else f"{step.id}/{call}" for call in sorted(step.begun)]
    if began:
        failure = Failure(
            Code.OUTCOME_UNKNOWN,
            f"the step ran out of its {timeout / 1e6:g} s while calls that may not be repeated "
            f"were under way: {', '.join(began)}",
        )
        return _fail(state, step, given, failure)
    failure = Failure(
        Code.STEP_TIMEOUT, f"the step did not end within {timeout / 1e6:g} s", retryable=True
    )
    return _give_up(state, step, given, failure)


def _complete(state: RunState, step: StepState, given: Given, output: Data) -> list[Event]:
    done = StepCompleted(at=given.at, step=step.id, attempt=step.attempt, output=output)
    return [done, *Progress(state, given.at).after(step.node, output)]


def _give_up(state: RunState, step: StepState, given: Given, failure: Failure) -> list[Event]:
    """Another attempt where the node allows one and it may help, else the end."""
    policy = state.graph.nodes[step.node].retry
    if not failure.retryable or step.attempt > policy.max:
        return _fail(state, step, given, failure)
    wait = max(delay(policy, step.attempt, given.jitter), _asked_wait(failure, policy.ceiling))
    again = StepRetryScheduled(
        at=given.at,
        step=step.id,
        attempt=step.attempt + 1,
        retry_at=given.at + wait,
        failure=failure,
    )
    return [again]


def _asked_wait(failure: Failure, ceiling: int) -> int:
    """What a provider asked for in `retry_after` (seconds), in microseconds."""
    try:
        return min(int(float(failure.detail.get("retry_after", "0")) * 1_000_000), ceiling)
    except (ValueError, OverflowError):
        return 0


def _fail(state: RunState, step: StepState, given: Given, failure: Failure) -> list[Event]:
    return [
        StepFailed(at=given.at, step=step.id, attempt=step.attempt, failure=failure),
        RunFailed(at=given.at, step=step.id, failure=failure),
    ]
