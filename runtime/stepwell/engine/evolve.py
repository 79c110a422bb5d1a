"""Folds events into the state of a run. Total and dumb: no rule is here.

Old events are upcast in the codec, never branched on here, and what is in the log is never
refused.
"""

from collections import deque
from heapq import heappush
from typing import assert_never

import msgspec
from msgspec.structs import replace

from stepwell.engine.commands import (
    Approval,
    CallModel,
    CallTool,
    Command,
    EnterQueue,
    ExpireAsk,
    ExpireQuestion,
    ExpireStep,
    FireTimer,
    JudgeLost,
    StartChild,
    child_id,
    child_run,
    enter_id,
    expire_ask_id,
    expire_id,
    expire_question_id,
    model_call_id,
    tool_call_id,
)
from stepwell.engine.events import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalRequested,
    BudgetExhausted,
    BudgetRaised,
    Custom,
    Event,
    LlmCall,
    PolicyDecided,
    QuestionAnswered,
    QuestionAsked,
    RunAdmitted,
    RunCancelled,
    RunCompensating,
    RunCompleted,
    RunFailed,
    RunForked,
    RunPaused,
    RunResumed,
    RunStarted,
    SignalReceived,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    StepScheduled,
    StepSkipped,
    StepStarted,
    TimerFired,
    ToolCall,
    ToolCallStarted,
)
from stepwell.engine.graph import (
    UNDO,
    AgentNode,
    ApprovalNode,
    LoopNode,
    MapNode,
    SignalNode,
    SwitchNode,
    ToolNode,
    TransformNode,
    WaitNode,
    WorkflowNode,
    spec_of,
)
from stepwell.engine.instants import instant
from stepwell.engine.messages import Message, Opaque, ToolRequest
from stepwell.engine.pages import first_page
from stepwell.engine.state import (
    Ask,
    AskChange,
    Conversation,
    Fan,
    Question,
    RunPhase,
    RunState,
    StepPhase,
    StepState,
    Turn,
)
from stepwell.engine.values import NOTHING, Data
from stepwell.engine.wording import NOBODY_ANSWERED, refusal, said_no

_PASSIVE = frozenset({ExpireAsk, ExpireQuestion, ExpireStep, FireTimer, EnterQueue})
"""Commands that only wait: for their time, or for a place."""


def evolve(state: RunState, event: Event) -> RunState:
    """Folds one event in, in place; never refuses what is in the log."""
    state.sequence += 1
    match event:
        case StepScheduled():
            _schedule(state, event)
        case ToolCall():
            _answer(state, state.steps[event.step], event)
        case StepCompleted():
            _complete(state, state.steps[event.step], event)
        case LlmCall():
            _hear(state, state.steps[event.step], event)
        case RunStarted():
            _begin_run(state, event)
        case RunCompleted():
            state.output = event.output
            _finish(state, RunPhase.COMPLETED, event.at)
        case RunFailed():
            state.failure, state.failed_step = event.failure, event.step
            _finish(state, RunPhase.FAILED, event.at)
        case RunCancelled():
            state.reason = event.reason
            _finish(state, RunPhase.CANCELLED, event.at)
        case StepSkipped():
            spec = state.graph.nodes[event.node]
            state.steps[event.step] = StepState(event.step, event.node, StepPhase.SKIPPED, spec)
            _settle(state, event.node)
        case StepFailed():
            _fail(state, event)
        case StepRetryScheduled():
            _retry(state, state.steps[event.step], event)
        case ToolCallStarted():
            _begin(state, state.steps[event.step], event)
        case PolicyDecided():
            _withhold(state, state.steps[event.step], event)
        case StepStarted():
            _start(state, state.steps[event.step], event)
        case ApprovalRequested():
            _ask(state, state.steps[event.step], event)
        case ApprovalDecided():
            _decide(state, state.steps[event.step], event)
        case ApprovalExpired():
            _expire_ask(state, state.steps[event.step], event)
        case QuestionAsked():
            _ask_question(state, state.steps[event.step], event)
        case QuestionAnswered():
            _answer_question(state, state.steps[event.step], event)
        case SignalReceived():
            _keep(state, event)
        case RunPaused():
            state.is_paused = True
        case RunResumed():
            _resume_run(state, event)
        case RunCompensating():
            _compensate(state, event)
        case RunAdmitted():
            state.is_admitted = True
            _close(state, None, enter_id(""))
        case RunForked():
            _fork(state, event)
        case BudgetExhausted():
            state.is_paused, state.exhausted = True, event
        case BudgetRaised():
            _raise_budget(state, event)
        case TimerFired() | Custom():
            pass
        case _:
            assert_never(event)
    return state


# --- the run ------------------------------------------------------------------------------


def _begin_run(state: RunState, event: RunStarted) -> None:
    state.phase = RunPhase.RUNNING
    state.principal, state.attributes = event.principal, event.attributes
    state.labels = event.labels
    state.run_key, state.parent, state.trace = event.run_key, event.parent, event.trace
    state.limits, state.shares = dict(event.limits), event.shares
    state.started_at = event.at
    state.input = event.input
    _note_seal(state, event.input)
    _note_called(state, event.called)
    state.waiting = {id: len(node.needs) for id, node in state.graph.nodes.items()}
    state.queue = event.queue
    if event.queue:
        state.is_admitted = False
        _enter_run(state)


def _enter_run(state: RunState) -> None:
    state.tickets[""] = state.queueing[""] = None
    enter = EnterQueue("", state.queue)
    _open(state, None, enter.id, enter)


def _fork(state: RunState, event: RunForked) -> None:
    """The log of another run ends here; from now on it is this one."""
    state.sequence = 1
    state.principal, state.labels = event.principal, event.labels
    state.attributes = event.attributes
    state.started_at = event.at
    state.run_key, state.parent, state.trace, state.queue = "", None, "", ""
    state.forked_from = event.run
    state.is_paused, state.is_admitted = False, True
    state.exhausted, state.shares = None, ()
    state.seen.clear()
    for step in state.steps.values():
        # The other run's calls are its own: whatever was under way there is done anew here.
        step.begun, step.time_left = frozenset(), None
        step.questions.clear()
        for call, ask in tuple(step.asks.items()):
            if ask.call is None:
                step.asks[call] = replace(ask, sequence=0)
            else:
                del step.asks[call]
        if not step.asks:
            state.asking.pop(step.id, None)
    state.approved.clear()
    state.questioning.clear()
    _forget_open(state)
    state.stops.clear()
    state.orphans.clear()
    state.tickets.clear()
    state.left.clear()
    _take_up_steps(state, event.at)


def _raise_budget(state: RunState, event: BudgetRaised) -> None:
    state.limits.update(event.limits)
    if state.exhausted is not None:
        state.is_paused, state.exhausted = False, None


def _resume_run(state: RunState, event: RunResumed) -> None:
    state.is_paused, state.exhausted = False, None
    if state.phase is not RunPhase.FAILED:
        return
    state.phase = RunPhase.RUNNING
    state.failure, state.failed_step, state.ended_at = None, "", None
    if state.queue:
        state.is_admitted = False
        _enter_run(state)
    _take_up_steps(state, event.at)


def _take_up_steps(state: RunState, at: int) -> None:
    """Opens again what every step calls for that has not ended."""
    for step in state.steps.values():
        if step.phase is StepPhase.ACTIVE:
            if step.asks:
                _ask_again(state, step, at)
            if step.questions:
                _ask_questions_again(state, step)
            _enter_or_resume(state, step, since=at)


def _compensate(state: RunState, event: RunCompensating) -> None:
    state.failure, state.failed_step = event.failure, event.step
    state.is_compensating = True
    _drop_open(state)
    _withdraw_all(state, event.at)
    state.asking.clear()
    state.questioning.clear()
    state.napping.clear()
    state.listening.clear()


def _finish(state: RunState, phase: RunPhase, at: int) -> None:
    state.phase = phase
    state.ended_at = at
    _drop_open(state)
    _withdraw_all(state, at)
    state.questioning.clear()
    state.left.extend(state.tickets)
    state.tickets.clear()


def _drop_open(state: RunState) -> None:
    """Nothing is to be in flight any more."""
    state.stops.extend(state.out)
    for command in state.open.values():
        if isinstance(command, StartChild):
            state.orphans.append(child_run(state.run, command.step, command.attempt))
    for step in tuple(state.tickets):
        if step:
            _give_back(state, step)
    _forget_open(state)


def _forget_open(state: RunState) -> None:
    for step in state.steps.values():
        if step.open:
            step.open.clear()
    state.out.clear()
    state.open.clear()
    state.fresh.clear()
    state.dormant.clear()
    state.timers.clear()
    state.ripe.clear()
    state.queueing.clear()
    state.busy = 0


def _settle(state: RunState, node: str) -> None:
    """A node has ended: those that wait for it wait for one less."""
    state.ended += 1
    for dependent in state.graph.dependents[node]:
        state.waiting[dependent] -= 1


# --- steps --------------------------------------------------------------------------------


def _schedule(state: RunState, event: StepScheduled) -> None:
    spec = spec_of(state.graph, event.node, event.step)
    step = StepState(
        event.step, event.node, StepPhase.ACTIVE, spec, input=event.input, sealed=event.input.sealed
    )
    state.steps[event.step] = step
    if event.step != event.node and not event.step.endswith(UNDO):
        step.owner = event.node
        owner = state.steps[event.node]
        assert owner.fan is not None, f"{owner.id} repeats nothing"
        step.index = owner.fan.next
        owner.fan.next += 1
        owner.fan.active[step.id] = None
    _enter_or_resume(state, step, since=event.at)


def _enter_or_resume(state: RunState, step: StepState, *, since: int) -> None:
    if step.spec.queue:
        step.in_queue = True
        state.tickets[step.id] = state.queueing[step.id] = None
        enter = EnterQueue(step.id, step.spec.queue)
        _open(state, step, enter.id, enter)
    else:
        _resume(state, step, since=since)


def _start(state: RunState, step: StepState, event: StepStarted) -> None:
    if event.child:
        step.child = event.child
    elif step.in_queue:
        step.in_queue = False
        _close(state, step, enter_id(step.id))
        _resume(state, step, since=event.at)


def _resume(state: RunState, step: StepState, *, since: int, not_before: int | None = None) -> None:
    """Opens what the step calls for as it stands: at its start, and for another attempt."""
    spec = step.spec
    match spec:
        case ToolNode():
            _open_tool(state, step, spec, not_before)
        case AgentNode():
            if step.conversation is None:
                step.conversation = Conversation(_opening(spec, step.input))
            _open_turn(state, step, not_before)
        case WorkflowNode():
            start = StartChild(step.id, step.attempt, spec.workflow, spec.version, step.input)
            _open(state, step, start.id, start, not_before)
        case WaitNode():
            fire = FireTimer(step.id, step.attempt)
            state.napping[step.id] = None
            _open(state, step, fire.id, fire, instant(step.input.value["until"]))
        case SignalNode():
            state.listening.setdefault(spec.signal, {})[step.id] = None
        case MapNode() | LoopNode():
            if step.fan is None:
                items = step.input.value if isinstance(spec, MapNode) else []
                step.fan = Fan([None] * len(items), sealed=step.input.sealed)
        case ApprovalNode():
            pass  # what is asked is an event of its own
        case TransformNode() | SwitchNode():
            return
        case _:
            assert_never(spec)
    if spec.timeout is not None and not _is_held_up(step):
        expire = ExpireStep(step.id, step.attempt)  # nothing is in doubt, so it takes its time
        _open(state, step, expire.id, expire, max(since, not_before or 0) + spec.timeout)


def _opening(node: AgentNode, given: Data) -> list[Message]:
    """How an agent's conversation begins: its instructions, then what it is asked."""
    message = given.value.get("message", "") if isinstance(given.value, dict) else ""
    text = message if isinstance(message, str) else _text(message)
    system = [Message("system", node.agent.instructions)] if node.agent.instructions else []
    return [*system, Message("user", text)]


def _open(
    state: RunState,
    step: StepState | None,
    id: str,
    command: Command,
    not_before: int | None = None,
) -> None:
    state.open[id] = command
    if type(command) not in _PASSIVE:
        state.busy += 1
    if step is not None:
        step.open.append(id)
    if not_before is None:
        state.fresh[id] = None
    else:
        state.ripe[id] = not_before
        heappush(state.timers, (not_before, id))


def _open_tool(state: RunState, step: StepState, node: ToolNode, not_before: int | None) -> None:
    tool, arguments = node.tool, step.input
    if not isinstance(tool, str):
        # The built-in workflow `call`: what it is given names the tool.
        if not isinstance(arguments.value, dict):
            return  # its `with` has no value: the step fails with the events that follow
        tool = arguments.value["tool"]
        arguments = Data(value=arguments.value["arguments"], sealed=arguments.sealed)
    call = CallTool(
        step.id,
        step.attempt,
        "",
        tool,
        step.id,
        arguments,
        node.idempotent,
        withheld=step.withheld,
    )
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
            command = CallTool(
                step.id,
                step.attempt,
                call,
                request.name,
                key,
                arguments,
                withheld=step.withheld,
            )
            _open_call(state, step, command, not_before)


def _open_call(state: RunState, step: StepState, call: CallTool, not_before: int | None) -> None:
    """A call that was begun and never came back is not made again, nor asked about twice."""
    if call.call in step.asks:
        return
    command = JudgeLost(call) if call.call in step.begun else call
    _open(state, step, call.id, command, not_before)
    if command is call and step.questions and step.asks_in(call.call):
        _lull(state, call.id)


def _hear(state: RunState, step: StepState, event: LlmCall) -> None:
    """A model answered, or failed to."""
    _close(state, step, model_call_id(step.id, event.attempt, event.call))
    state.tokens += event.usage.input + event.usage.output
    state.usd_micros += event.cost or 0
    if event.cost is None and event.failure is None:
        state.unpriced += 1
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
    step.begun |= {event.call}
    id = tool_call_id(step.id, event.attempt, event.call)
    command = state.open.get(id)
    if isinstance(command, CallTool):
        state.open[id] = JudgeLost(_unapproved(command), command.approval)
        _rouse(state, id)


def _answer(state: RunState, step: StepState, event: ToolCall) -> None:
    _close(state, step, tool_call_id(step.id, event.attempt, event.call))
    state.calls[event.tool] = state.calls.get(event.tool, 0) + 1
    state.rows += event.rows
    if step.begun:
        step.begun -= {event.call}
    if step.questions:
        _withdraw_questions(state, step, event.call, event.at)
        if step.conversation is not None:
            _forget_questions(step, event.call)
    step.sealed = step.sealed or event.result.sealed
    _note_seal(state, event.result)
    if step.conversation is None:
        return  # a tool node has none
    if event.failure is None:
        _reply(state, step, event.call, _text(first_page(event.result.value)), is_error=False)
    else:
        said = event.failure.message if event.result.value is None else event.result.value
        text = f"{event.failure.reason}: {said}"
        _reply(state, step, event.call, text, is_error=True)


def _withhold(state: RunState, step: StepState, event: PolicyDecided) -> None:
    """Policy did not let a call be made; where it wants a person's yes, that event follows."""
    id = tool_call_id(step.id, event.attempt, event.call)
    step.withheld += 1
    if event.effect == "deny":
        _close(state, step, id)
        _withdraw_questions(state, step, event.call, event.at)
        said = refusal(event.reason, event.remedy)
        _reply(state, step, event.call, f"POLICY_DENIED: {said}", is_error=True)
    elif event.effect == "throttle":
        command = state.open[id]
        assert isinstance(command, CallTool), f"{id} has not begun"
        _close(state, step, id)
        again = replace(command, withheld=step.withheld)
        _open(state, step, id, again, event.retry_at)


def _reply(state: RunState, step: StepState, call: str, text: str, *, is_error: bool) -> None:
    """Puts what a tool said into the agent's conversation."""
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
    step.attempt, step.time_left = event.attempt, None
    if step.questions:
        _keep_accepted(state, step)
    if step.phase is StepPhase.FAILED:
        _revive(state, step, since=event.at)
        _enter_or_resume(state, step, since=event.at)
    else:
        _resume(state, step, since=event.at, not_before=event.retry_at)


def _revive(state: RunState, step: StepState, *, since: int) -> None:
    """A step that failed is tried again, and the map or loop that failed with it goes on."""
    step.phase, step.failure = StepPhase.ACTIVE, None
    owner = state.steps.get(step.owner)
    if owner is None or owner.fan is None:
        return
    owner.fan.active[step.id] = None
    if owner.phase is StepPhase.FAILED:
        owner.phase, owner.failure = StepPhase.ACTIVE, None
        _resume(state, owner, since=since)


def _complete(state: RunState, step: StepState, event: StepCompleted) -> None:
    _end(state, step, StepPhase.COMPLETED, event.at)
    step.output = event.output
    _note_seal(state, event.output)
    _note_called(state, event.called)
    if state.signals and isinstance(step.spec, SignalNode):
        _take_message(state, step.spec.signal)
    if step.id == step.node:
        _settle(state, step.node)
    elif step.owner:
        _end_of_child(state, step, event.output)
    else:
        state.undo.pop()
        return
    if step.spec.compensate is not None:
        state.undo.append(step.id)


def _fail(state: RunState, event: StepFailed) -> None:
    step = state.steps.get(event.step)
    if step is None:
        step = _unscheduled(state, event.step)
    _end(state, step, StepPhase.FAILED, event.at)
    step.failure, step.handled = event.failure, event.handled
    if step.id.endswith(UNDO):
        state.not_undone.append(state.undo.pop())
    elif event.handled:
        _forget_steps(state, step)
        if step.owner:
            _end_of_child(state, step, NOTHING)
        else:
            _settle(state, step.node)


def _unscheduled(state: RunState, id: str) -> StepState:
    """One whose input has no value fails before it was scheduled."""
    node = id
    if id.endswith(UNDO):
        node = state.steps[id.removesuffix(UNDO)].node
    step = StepState(id, node, StepPhase.NEW, spec_of(state.graph, node, id))
    state.steps[id] = step
    return step


def _end(state: RunState, step: StepState, phase: StepPhase, at: int) -> None:
    step.phase = phase
    if step.open:
        if isinstance(step.spec, WorkflowNode) and phase is StepPhase.COMPLETED:
            _close(state, step, child_id(step.id, step.attempt))  # it has ended, nobody's orphan
        for command in tuple(step.open):
            _close(state, step, command, stop=True)
    step.conversation, step.time_left = None, None
    if step.questions:
        _keep_accepted(state, step)
    if state.napping:
        state.napping.pop(step.id, None)
    if state.listening and isinstance(step.spec, SignalNode):
        state.listening.get(step.spec.signal, {}).pop(step.id, None)
    if step.fan is not None and phase is StepPhase.FAILED:
        for child in step.fan.active:
            _interrupt(state, state.steps[child], at)
    if step.id in state.tickets:
        _give_back(state, step.id)


def _interrupt(state: RunState, child: StepState, at: int) -> None:
    """The map or loop of a step has failed: nothing of it goes on, until that is tried again."""
    for command in tuple(child.open):
        _close(state, child, command, stop=True)
    if state.asking.pop(child.id, child) is None:
        _tell_all(state, child, "withdrawn", at)
    state.questioning.pop(child.id, None)
    state.napping.pop(child.id, None)
    if isinstance(child.spec, SignalNode):
        state.listening.get(child.spec.signal, {}).pop(child.id, None)
    if child.id in state.tickets:
        _give_back(state, child.id)


def _forget_steps(state: RunState, owner: StepState) -> None:
    """A map or a loop has failed and will not be tried again, nor will the steps that it left."""
    if owner.fan is not None:
        for child in owner.fan.active:
            del state.steps[child]
        owner.fan.active.clear()


def _end_of_child(state: RunState, step: StepState, output: Data) -> None:
    fan = state.steps[step.owner].fan
    assert fan is not None, f"{step.owner} repeats nothing"
    fan.ended += 1
    fan.active.pop(step.id, None)
    fan.sealed = fan.sealed or output.sealed
    fan.last = output.value
    if fan.outputs:
        fan.outputs[step.index] = output.value
    if step.spec.compensate is None or step.phase is not StepPhase.COMPLETED:
        # A map of many items holds no more than their outputs.
        del state.steps[step.id]


def _give_back(state: RunState, ticket: str) -> None:
    del state.tickets[ticket]
    state.left.append(ticket)
    state.steps[ticket].in_queue = False


# --- people and messages ------------------------------------------------------------------


def _ask(state: RunState, step: StepState, event: ApprovalRequested) -> None:
    call: CallTool | None = None
    if event.about != "approval":
        id = tool_call_id(step.id, event.attempt, event.call)
        command = state.open[id]
        call = command.call if isinstance(command, JudgeLost) else command  # type: ignore[assignment]
        _close(state, step, id, stop=True)
        _withdraw_questions(state, step, event.call, event.at)
        _close(state, step, expire_id(step.id, step.attempt))
    if event.expires_at is not None:
        expire = ExpireAsk(step.id, event.attempt, event.call, event.expires_at)
        _open(state, step, expire.id, expire, event.expires_at)
    ask = Ask(event, call, state.sequence)
    step.asks[event.call] = ask
    state.asking[step.id] = None
    state.ask_changes.append(AskChange(ask, "waiting", event.at))


_ANSWERED = {
    "approve": "approved",
    "deny": "denied",
    "done": "done",
    "retry": "retried",
    "fail": "failed",
}


def _decide(state: RunState, step: StepState, event: ApprovalDecided) -> None:
    ask = _take_ask(state, step, event.call)
    status = _ANSWERED[event.decision]
    state.ask_changes.append(AskChange(ask, status, event.at, event.by, event.reason))
    if ask.call is None:
        return
    if event.decision == "retry":
        step.begun -= {event.call}
        _open_call(state, step, _unapproved(ask.call), None)
    elif event.decision == "approve":
        asked = ask.asked
        approval = Approval(asked.subject, asked.nonce, event.by, event.at, asked.rules)
        state.approved[ask.call.tool] = state.approved.get(ask.call.tool, 0) + 1
        _open_call(state, step, replace(ask.call, approval=approval, withheld=step.withheld), None)
    elif event.decision == "deny":
        said = said_no(event.by, event.reason)
        _reply(state, step, event.call, f"APPROVAL_DENIED: {said}", is_error=True)
    _go_on_with_time(state, step, event.at)


def _expire_ask(state: RunState, step: StepState, event: ApprovalExpired) -> None:
    ask = _take_ask(state, step, event.call)
    state.ask_changes.append(AskChange(ask, "expired", event.at))
    if ask.call is not None:
        _reply(state, step, event.call, f"APPROVAL_EXPIRED: {NOBODY_ANSWERED}", is_error=True)
        _go_on_with_time(state, step, event.at)


def _take_ask(state: RunState, step: StepState, call: str) -> Ask:
    ask = step.asks.pop(call)
    if not step.asks:
        state.asking.pop(step.id, None)
    if ask.asked.expires_at is not None:
        asked = ask.asked
        _close(state, step, expire_ask_id(step.id, asked.attempt, call, ask.asked.expires_at))
    return ask


def _go_on_with_time(state: RunState, step: StepState, at: int) -> None:
    """The time of an attempt does not run while a person is asked about a call, or by one.

    It begins anew after the first, and goes on after the other.
    """
    if step.spec.timeout is None or _is_held_up(step):
        return
    expire = ExpireStep(step.id, step.attempt)
    if expire.id not in state.open:
        left = step.spec.timeout if step.time_left is None else step.time_left
        step.time_left = None
        _open(state, step, expire.id, expire, at + left)


def _is_held_up(step: StepState) -> bool:
    """Whether a person is asked about a call of the step, or by one."""
    if any(ask.call is not None for ask in step.asks.values()):
        return True
    return bool(step.questions and step.open_questions)


def _unapproved(call: CallTool) -> CallTool:
    return call if call.approval is None else replace(call, approval=None)


def _ask_question(state: RunState, step: StepState, event: QuestionAsked) -> None:
    """A call asks: it is not in doubt until it has its answer, and no time runs meanwhile."""
    step.questions[event.call, event.key] = Question(event, state.sequence)
    state.questioning[step.id] = None
    expire = expire_id(step.id, step.attempt)
    if expire in state.open:
        step.time_left = max(state.ripe.get(expire, event.at) - event.at, 0)
        _close(state, step, expire)
    _time_question(state, step, event)
    step.begun -= {event.call}
    id = tool_call_id(step.id, event.attempt, event.call)
    command = state.open.get(id)
    if isinstance(command, JudgeLost):
        state.open[id] = replace(command.call, approval=command.approval)
    _lull(state, id)


def _time_question(state: RunState, step: StepState, asked: QuestionAsked) -> None:
    if asked.expires_at is None:
        return
    expire = ExpireQuestion(step.id, asked.attempt, asked.id, asked.expires_at)
    if expire.id not in state.open:
        _open(state, step, expire.id, expire, asked.expires_at)


def _answer_question(state: RunState, step: StepState, event: QuestionAnswered) -> None:
    key = event.call, event.key
    question = step.questions[key]
    step.questions[key] = replace(question, answer=event, answered=state.sequence)
    _close(state, step, expire_question_id(step.id, event.attempt, event.id))
    _settle_questions(state, step, event.at)
    id = tool_call_id(step.id, event.attempt, event.call)
    if not step.asks_in(event.call):
        _rouse(state, id)


def _lull(state: RunState, id: str) -> None:
    """Nobody is to begin with a call that would only wait for an answer."""
    if id in state.fresh:
        del state.fresh[id]
        state.dormant[id] = None


def _rouse(state: RunState, id: str) -> None:
    """What sleeps is due again: it has its answers, or it was begun with some of them."""
    if id in state.dormant:
        del state.dormant[id]
        state.fresh[id] = None


def _withdraw_questions(state: RunState, step: StepState, call: str, at: int) -> None:
    """A call waits for no answers any more: it has come back, or will not be made."""
    for question in step.open_questions:
        asked = question.asked
        if asked.call == call:
            del step.questions[asked.call, asked.key]
            _close(state, step, expire_question_id(step.id, asked.attempt, asked.id))
    if step.id in state.questioning:
        _settle_questions(state, step, at)


def _settle_questions(state: RunState, step: StepState, at: int) -> None:
    """The time of the step goes on once nothing is asked any more."""
    if not step.open_questions:
        state.questioning.pop(step.id, None)
        _go_on_with_time(state, step, at)


def _forget_questions(step: StepState, call: str) -> None:
    for key in [key for key in step.questions if key[0] == call]:
        del step.questions[key]


def _keep_accepted(state: RunState, step: StepState) -> None:
    """What a person has said stands for the next attempt; what he would not say is asked again."""
    for key, question in tuple(step.questions.items()):
        is_accepted = question.answer is not None and question.answer.action == "accept"
        if not is_accepted or step.phase is StepPhase.COMPLETED:
            del step.questions[key]
    state.questioning.pop(step.id, None)


def _ask_questions_again(state: RunState, step: StepState) -> None:
    """A run goes on that had ended: what its calls asked then is asked still."""
    for question in step.open_questions:
        state.questioning[step.id] = None
        _time_question(state, step, question.asked)


def _ask_again(state: RunState, step: StepState, at: int) -> None:
    """A run goes on that had ended: about calls that were held policy is asked anew."""
    for call, ask in tuple(step.asks.items()):
        if ask.about == "call":
            del step.asks[call]
    if step.asks:
        state.asking[step.id] = None
        _tell_all(state, step, "waiting", at)
    else:
        state.asking.pop(step.id, None)


def _withdraw_all(state: RunState, at: int) -> None:
    """Nobody is asked about the run any more, unless it is taken up again."""
    for id in state.asking:
        _tell_all(state, state.steps[id], "withdrawn", at)


def _tell_all(state: RunState, step: StepState, status: str, at: int) -> None:
    state.ask_changes += (AskChange(ask, status, at) for ask in step.asks.values())


def _note_called(state: RunState, tools: tuple[str, ...]) -> None:
    """What other runs have read has come into this one; their calls are not its own."""
    for tool in tools:
        state.calls.setdefault(tool, 0)


def _note_seal(state: RunState, data: Data) -> None:
    if data.sealed:
        state.read.add(data.sealed)


def _keep(state: RunState, event: SignalReceived) -> None:
    if event.id:
        state.seen.add(event.id)
    state.signals.setdefault(event.name, deque()).append(event.payload)


def _take_message(state: RunState, name: str) -> None:
    kept = state.signals[name]
    kept.popleft()
    if not kept:
        del state.signals[name]


# --- closing ------------------------------------------------------------------------------


def _close(state: RunState, step: StepState | None, id: str, *, stop: bool = False) -> None:
    """Nobody waits for the command any more; `stop` tells a worker that is busy with it."""
    command = state.open.pop(id, None)
    if command is None:
        return
    if step is not None:
        step.open.remove(id)
    if type(command) not in _PASSIVE:
        state.busy -= 1
    elif isinstance(command, EnterQueue):
        del state.queueing[command.step]
    state.fresh.pop(id, None)
    if state.dormant:
        state.dormant.pop(id, None)
    state.ripe.pop(id, None)
    if id in state.out:
        state.out.remove(id)
        if stop:
            state.stops.append(id)
    if stop and isinstance(command, StartChild):
        state.orphans.append(child_run(state.run, command.step, command.attempt))


def _conversation(step: StepState) -> Conversation:
    assert step.conversation is not None, f"step {step.id} is not an agent's"
    return step.conversation


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
