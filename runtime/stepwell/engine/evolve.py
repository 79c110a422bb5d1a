"""Folds events into the state of a run. Total and dumb: no rule is here.

Old events are upcast in the codec, never branched on here, and what is in the log is never
refused.
"""

from heapq import heappush
from typing import assert_never

import msgspec

from stepwell.engine.commands import (
    CallModel,
    CallTool,
    Command,
    ExpireStep,
    JudgeLost,
    model_call_id,
    tool_call_id,
)
from stepwell.engine.events import (
    Custom,
    Event,
    LlmCall,
    PolicyDecided,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunStarted,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    StepScheduled,
    StepSkipped,
    ToolCall,
    ToolCallStarted,
)
from stepwell.engine.graph import AgentNode, Node, SwitchNode, ToolNode, TransformNode
from stepwell.engine.messages import Message, Opaque, ToolRequest
from stepwell.engine.state import Conversation, RunPhase, RunState, StepPhase, StepState, Turn
from stepwell.engine.values import Data


def evolve(state: RunState, event: Event) -> RunState:
    """Folds one event in, in place; never refuses what is in the log."""
    state.sequence += 1
    match event:
        case RunStarted():
            state.phase = RunPhase.RUNNING
            state.principal = event.principal
            state.labels = event.labels
            state.started_at = event.at
            state.input = event.input
            state.waiting = {id: len(node.needs) for id, node in state.graph.nodes.items()}
        case StepScheduled():
            _schedule(state, event)
        case StepSkipped():
            state.steps[event.step] = StepState(event.step, event.node, StepPhase.SKIPPED)
            _settle(state, event.node)
        case LlmCall():
            _hear(state, state.steps[event.step], event)
        case ToolCallStarted():
            _begin(state, state.steps[event.step], event)
        case ToolCall():
            _answer(state, state.steps[event.step], event)
        case PolicyDecided():
            _deny(state, state.steps[event.step], event)
        case StepRetryScheduled():
            _retry(state, state.steps[event.step], event)
        case StepCompleted():
            step = _end(state, event.step, StepPhase.COMPLETED)
            step.output = event.output
            _settle(state, step.node)
        case StepFailed():
            # One whose input has no value fails before it was scheduled.
            if event.step not in state.steps:
                state.steps[event.step] = StepState(event.step, event.step, StepPhase.NEW)
            _end(state, event.step, StepPhase.FAILED)
        case RunCompleted():
            state.output = event.output
            _finish(state, RunPhase.COMPLETED, event.at)
        case RunFailed():
            state.failure = event.failure
            _finish(state, RunPhase.FAILED, event.at)
        case RunCancelled():
            state.reason = event.reason
            _finish(state, RunPhase.CANCELLED, event.at)
        case Custom():
            pass
        case _:
            assert_never(event)
    return state


def _settle(state: RunState, node: str) -> None:
    """A node has ended: those that wait for it wait for one less."""
    state.ended += 1
    for dependent in state.graph.dependents.get(node, ()):
        state.waiting[dependent] -= 1


def _schedule(state: RunState, event: StepScheduled) -> None:
    step = StepState(
        event.step, event.node, StepPhase.ACTIVE, input=event.input, sealed=event.input.sealed
    )
    state.steps[event.step] = step
    node = state.graph.nodes[event.node]
    if isinstance(node, AgentNode):
        step.conversation = Conversation(_opening(node, event.input))
    _resume(state, step, node, since=event.at)


def _opening(node: AgentNode, given: Data) -> list[Message]:
    """How an agent's conversation begins: its instructions, then what it is asked."""
    message = given.value.get("message", "") if isinstance(given.value, dict) else ""
    text = message if isinstance(message, str) else _text(message)
    system = [Message("system", node.agent.instructions)] if node.agent.instructions else []
    return [*system, Message("user", text)]


def _resume(
    state: RunState, step: StepState, node: Node, *, since: int, not_before: int | None = None
) -> None:
    """Opens what the step calls for as it stands: at its start, and for another attempt."""
    match node:
        case ToolNode():
            _open_tool(state, step, node, not_before)
        case AgentNode():
            _open_turn(state, step, not_before)
        case TransformNode() | SwitchNode():
            return
        case _:
            assert_never(node)
    if node.timeout is not None:
        expire = ExpireStep(step.id, step.attempt)
        _open(state, step, expire.id, expire, max(since, not_before or 0) + node.timeout)


def _open(
    state: RunState, step: StepState, id: str, command: Command, not_before: int | None = None
) -> None:
    state.open[id] = command
    step.open.add(id)
    if not_before is None:
        state.fresh[id] = None
    else:
        heappush(state.timers, (not_before, id))


def _open_tool(state: RunState, step: StepState, node: ToolNode, not_before: int | None) -> None:
    tool, arguments = node.tool, step.input
    if not isinstance(tool, str):
        # The built-in workflow `call`: what it is given names the tool.
        if not isinstance(arguments.value, dict):
            return  # its `with` has no value: the step fails with the events that follow
        tool = arguments.value["tool"]
        arguments = Data(value=arguments.value["arguments"], sealed=arguments.sealed)
    call = CallTool(step.id, step.attempt, "", tool, step.id, arguments, node.idempotent)
    _open_call(state, step, call, not_before)


def _open_turn(state: RunState, step: StepState, not_before: int | None = None) -> None:
    """The next thing in an agent's loop: the tool calls not answered yet, else the model."""
    talk = _conversation(step)
    if talk.pending is None:
        ask = CallModel(step.id, step.attempt, talk.turns + 1)
        _open(state, step, ask.id, ask, not_before)
        return
    for index, request in enumerate(talk.pending.requests):
        call = f"{talk.turns}.{index}"
        if call not in talk.pending.answers:
            arguments = Data(value=request.arguments, sealed=step.sealed)
            key = f"{step.id}/{call}"
            command = CallTool(step.id, step.attempt, call, request.name, key, arguments)
            _open_call(state, step, command, not_before)


def _open_call(state: RunState, step: StepState, call: CallTool, not_before: int | None) -> None:
    """A call that was begun and never came back is not made again."""
    command = JudgeLost(call) if call.call in step.begun else call
    _open(state, step, call.id, command, not_before)


def _hear(state: RunState, step: StepState, event: LlmCall) -> None:
    """A model answered, or failed to."""
    _close(state, step, model_call_id(step.id, event.attempt, event.call))
    talk = _conversation(step)
    if event.failure is not None:
        return
    requests = msgspec.convert(event.tools.value or (), tuple[ToolRequest, ...])
    opaque = msgspec.convert(event.opaque.value or (), tuple[Opaque, ...])
    talk.messages.append(
        Message("assistant", str(event.text.value or ""), tools=requests, opaque=opaque)
    )
    talk.told = len(talk.messages)
    talk.turns = event.call
    step.sealed = step.sealed or event.text.sealed
    if event.problem:
        talk.repairs += 1
        talk.messages.append(Message("user", event.problem))
        _open_turn(state, step)
    elif requests:
        talk.pending = Turn(requests)
        for index, request in enumerate(requests):
            if request.problem:
                talk.pending.answers[f"{event.call}.{index}"] = Message(
                    "tool", request.problem, call=request.id, is_error=True
                )
        _take_up(state, step, talk)
        _open_turn(state, step)


def _begin(state: RunState, step: StepState, event: ToolCallStarted) -> None:
    """From here on the call is never made again: a new owner finds a lost call instead."""
    step.begun.add(event.call)
    id = tool_call_id(step.id, event.attempt, event.call)
    command = state.open.get(id)
    if isinstance(command, CallTool):
        state.open[id] = JudgeLost(command)


def _answer(state: RunState, step: StepState, event: ToolCall) -> None:
    _close(state, step, tool_call_id(step.id, event.attempt, event.call))
    step.begun.discard(event.call)
    step.sealed = step.sealed or event.result.sealed
    if event.failure is None:
        _reply(state, step, event.call, _text(event.result.value), is_error=False)
    else:
        said = event.failure.message if event.result.value is None else event.result.value
        text = f"{event.failure.reason}: {said}"
        _reply(state, step, event.call, text, is_error=True)


def _deny(state: RunState, step: StepState, event: PolicyDecided) -> None:
    _close(state, step, tool_call_id(step.id, event.attempt, event.call))
    _reply(state, step, event.call, f"POLICY_DENIED: {event.reason}", is_error=True)


def _reply(state: RunState, step: StepState, call: str, text: str, *, is_error: bool) -> None:
    """Puts what a tool said into the agent's conversation; a tool node has none."""
    talk = step.conversation
    if talk is None or talk.pending is None:
        return
    request = talk.pending.requests[int(call.rpartition(".")[2])]
    talk.pending.answers[call] = Message("tool", text, call=request.id, is_error=is_error)
    if _take_up(state, step, talk):
        _open_turn(state, step)


def _take_up(state: RunState, step: StepState, talk: Conversation) -> bool:
    """Once every request of a turn is answered, the answers join the talk in call order."""
    turn = talk.pending
    if turn is None or len(turn.answers) < len(turn.requests):
        return False
    calls = (f"{talk.turns}.{index}" for index in range(len(turn.requests)))
    talk.messages.extend(turn.answers[call] for call in calls)
    talk.pending = None
    return True


def _retry(state: RunState, step: StepState, event: StepRetryScheduled) -> None:
    for id in tuple(step.open):
        _close(state, step, id, stop=True)
    step.attempt = event.attempt
    node = state.graph.nodes[step.node]
    _resume(state, step, node, since=event.at, not_before=event.retry_at)


def _end(state: RunState, id: str, phase: StepPhase) -> StepState:
    step = state.steps[id]
    step.phase = phase
    for command in tuple(step.open):
        _close(state, step, command, stop=True)
    step.conversation = None
    return step


def _close(state: RunState, step: StepState, id: str, *, stop: bool = False) -> None:
    """Nobody waits for the command any more; `stop` tells a worker that is busy with it."""
    step.open.discard(id)
    state.open.pop(id, None)
    state.fresh.pop(id, None)
    if id in state.out:
        state.out.remove(id)
        if stop:
            state.stops.append(id)


def _finish(state: RunState, phase: RunPhase, at: int) -> None:
    state.phase = phase
    state.ended_at = at
    state.stops.extend(state.out)
    state.out.clear()
    state.open.clear()
    state.fresh.clear()
    state.timers.clear()


def _conversation(step: StepState) -> Conversation:
    assert step.conversation is not None, f"step {step.id} is not an agent's"
    return step.conversation


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
