"""What a run learns from its model and tool calls."""

import msgspec

from stepwell.engine.budgets import rows_in
from stepwell.engine.commands import CallTool, JudgeLost, model_call_id, tool_call_id
from stepwell.engine.ends import complete, fail, give_up
from stepwell.engine.events import Event, LlmCall, PolicyDecided, ToolCall, ToolCallStarted
from stepwell.engine.graph import AgentNode
from stepwell.engine.inputs import (
    Answer,
    CallDenied,
    CallHeld,
    CallLost,
    CallThrottled,
    Given,
    ModelAnswered,
    ToolAnswered,
    ToolBegun,
)
from stepwell.engine.people import ask_call, ask_outcome
from stepwell.engine.sealing import quoted, sealed_by, withheld, words
from stepwell.engine.state import RunState, StepState
from stepwell.engine.values import NOTHING, Data, Failure
from stepwell.engine.wording import refusal
from stepwell.errors import Code

_OPEN_ENDS = {
    str(Code.TOOL_TIMEOUT): "ran out of its time",
    str(Code.TOOL_CRASHED): "lost its process",
    str(Code.INTERNAL): "met a defect of ours",
    str(Code.OUTCOME_UNKNOWN): "did not come back",
}
"""Failures that do not tell whether a call took effect."""

REPAIR = "Your answer cannot be used: {problem}. Answer again, with nothing but the answer."

# --- models -------------------------------------------------------------------------------


def model_answered(state: RunState, given: ModelAnswered) -> list[Event]:
    """A model call came back, with an answer or a failure."""
    if not state.awaits(model_call_id(given.step, given.attempt, given.call)):
        return []
    step = state.steps[given.step]
    node = step.spec
    talk = step.conversation
    assert isinstance(node, AgentNode), f"a model answered the step {step.id}, which has none"
    assert talk is not None, f"the step {step.id} has ended"
    answer = given.answer
    if answer is None:
        assert given.failure is not None, "a model call has an answer or a failure"
        seal = step.sealed or quoted(given.failure, state.subject)
        failure = withheld(given.failure, seal)
        return [
            _model_failed(given, failure, step.sealed),
            *give_up(state, step, given, failure),
        ]
    call = _model_said(given, answer)
    if answer.tools and given.call >= node.agent.turns:
        return [call, *fail(state, step, given, _too_many_turns(node.agent.turns))]
    if answer.problem and talk.repairs >= node.agent.repairs:
        failure = Failure(
            Code.MODEL_OUTPUT_INVALID,
            f"after {talk.repairs} repairs the model's answer still cannot be used: "
            f"{answer.problem}",
        )
        return [msgspec.structs.replace(call, problem=""), *fail(state, step, given, failure)]
    if answer.final is None:
        return [call]
    return [call, *complete(state, step, given, answer.final)]


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
        cost=given.cost,
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
        text=NOTHING if failure is given.failure else words(given.failure, sealed),
        usage=given.usage,
        cost=given.cost,
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
    state: RunState,
    given: ToolBegun | ToolAnswered | CallDenied | CallHeld | CallThrottled | CallLost,
) -> CallTool | None:
    """The call that an input is about, as it was asked for; None when the input is stale."""
    id = tool_call_id(given.step, given.attempt, given.call)
    if not state.awaits(id):
        return None
    command = state.open[id]
    if isinstance(command, JudgeLost):
        return command.call
    assert isinstance(command, CallTool), f"{id} is not a tool call"
    return command


def tool_begun(state: RunState, given: ToolBegun) -> list[Event]:
    """A call that may not be repeated is about to be made; in a pause it is not."""
    call = _open_call(state, given)
    if call is None or call.id in state.dormant:  # who sleeps until it is answered is not made
        return []
    if state.is_paused or given.call in state.steps[given.step].begun:
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
            decision=given.decision,
        )
    ]


def tool_answered(state: RunState, given: ToolAnswered) -> list[Event]:
    """A tool call came back, with a result or a failure."""
    call = _open_call(state, given)
    if call is None:
        return []
    step, failure = state.steps[given.step], given.failure
    if failure is not None and failure.reason in _OPEN_ENDS and given.call in step.begun:
        return ask_outcome(state.run, step, given, call, _OPEN_ENDS[failure.reason])
    return called(
        state,
        step,
        given,
        call,
        given.result,
        failure,
        latency_us=given.latency_us,
        decision=given.decision,
    )


def called(
    state: RunState,
    step: StepState,
    given: Given,
    call: CallTool,
    result: Data | None,
    failure: Failure | None,
    *,
    latency_us: int = 0,
    decision: str = "",
) -> list[Event]:
    """What follows when it is known how a call ended."""
    sealed = call.arguments.sealed
    said = sealed_by(result or NOTHING, sealed)
    if failure is not None and sealed and failure.reason != Code.OUTCOME_UNKNOWN:
        said, failure = words(failure, sealed), withheld(failure, sealed)
    elif failure is not None and (subject := quoted(failure, state.subject)):
        said, failure = words(failure, ""), withheld(failure, subject)
    event = ToolCall(
        at=given.at,
        step=step.id,
        attempt=step.attempt,
        call=call.call,
        tool=call.tool,
        key=call.key,
        arguments=call.arguments,
        result=said,
        latency_us=latency_us,
        decision=decision,
        rows=rows_in(result),
        failure=failure,
    )
    if failure is not None and failure.reason == Code.OUTCOME_UNKNOWN:
        return [event, *fail(state, step, given, failure)]
    if step.conversation is not None:
        return [event]
    if failure is not None:
        return [event, *give_up(state, step, given, failure)]
    return [event, *complete(state, step, given, said)]


def denied(state: RunState, given: CallDenied) -> list[Event]:
    """Policy refused a call."""
    call = _withheld_call(state, given)
    if call is None:
        return []
    step = state.steps[given.step]
    event = _decided(given, call, "deny", remedy=given.remedy)
    if step.conversation is not None:
        return [event]
    failure = Failure(
        Code.POLICY_DENIED,
        refusal(given.reason, given.remedy),
        detail={"rules": ", ".join(given.rules)},
    )
    return [event, *fail(state, step, given, failure)]


def held(state: RunState, given: CallHeld) -> list[Event]:
    """Policy wants a person's yes to a call that has not begun."""
    call = _withheld_call(state, given)
    if call is None:
        return []
    return [_decided(given, call, "require_approval"), ask_call(given, call)]


def throttled(state: RunState, given: CallThrottled) -> list[Event]:
    """Policy has put off a call that has not begun."""
    call = _withheld_call(state, given)
    if call is None:
        return []
    return [_decided(given, call, "throttle", retry_at=given.until)]


def _withheld_call(
    state: RunState, given: CallDenied | CallHeld | CallThrottled
) -> CallTool | None:
    """The call that policy did not let be made; None when it has begun, or was asked for again since."""
    call = _open_call(state, given)
    if call is None or given.call in state.steps[given.step].begun:
        return None
    return call if call.withheld == given.withheld else None


def _decided(
    given: CallDenied | CallHeld | CallThrottled,
    call: CallTool,
    effect: str,
    *,
    remedy: str = "",
    retry_at: int | None = None,
) -> PolicyDecided:
    return PolicyDecided(
        at=given.at,
        step=given.step,
        attempt=given.attempt,
        call=given.call,
        action="call_tool",
        resource=call.tool,
        effect=effect,
        rules=given.rules,
        reason=given.reason,
        remedy=remedy,
        retry_at=retry_at,
        policy=given.policy,
    )


def lost(state: RunState, given: CallLost) -> list[Event]:
    """A call that may not be repeated was begun by an owner that is gone."""
    call = _open_call(state, given)
    if call is None:
        return []
    how = "was begun by a process that died"
    return ask_outcome(state.run, state.steps[given.step], given, call, how)
