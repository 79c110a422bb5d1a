"""Whether an event may come where it comes: by the tables, and by what the run is about."""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from stepwell.engine import transitions
from stepwell.engine.commands import child_run, fire_id, tool_call_id
from stepwell.engine.events import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalRequested,
    Event,
    LlmCall,
    PolicyDecided,
    QuestionAnswered,
    QuestionAsked,
    RunAdmitted,
    RunCancelled,
    RunForked,
    RunPaused,
    RunResumed,
    SignalReceived,
    StepFailed,
    StepRetryScheduled,
    StepScheduled,
    StepSkipped,
    StepStarted,
    TimerFired,
    ToolCall,
    ToolCallStarted,
)
from stepwell.engine.graph import UNDO, ApprovalNode, MapNode
from stepwell.engine.state import RunPhase, RunState, StepPhase, StepState

Row: TypeAlias = tuple[RunPhase | StepPhase, type[Event]]

_OF_RUNS = frozenset(event for _, event in transitions.RUN)


class Move(NamedTuple):
    """An event, and the state that it meets; `is_first` of the log of its run."""

    state: RunState
    event: Event
    is_first: bool

    @property
    def step(self) -> StepState | None:
        """The step that it is about, if that is there."""
        return self.state.steps.get(getattr(self.event, "step", ""))

    @property
    def is_of_run(self) -> bool:
        """Whether it is about the run as a whole."""
        return type(self.event) in _OF_RUNS

    @property
    def row(self) -> Row:
        """Its row in the tables. The log of a fork begins where that of another run goes on."""
        if self.is_of_run:
            return RunPhase.NEW if self.is_first else self.state.phase, type(self.event)
        return StepPhase.NEW if self.step is None else self.step.phase, type(self.event)


def misfit(move: Move, last: Event | None) -> str:
    """What is wrong with a move; "" is nothing. `last` is the event before."""
    name, row = type(move.event).__name__, move.row
    if move.is_of_run:
        if row not in transitions.RUN:
            return f"{name} comes while the run is {row[0]}"
        return _misfit_of_run(move)
    if move.state.phase is not RunPhase.RUNNING:
        return f"{name} comes while the run is {move.state.phase}"
    if row not in transitions.STEP:
        return f"{name} meets a {row[0]} step"
    if move.step is None:
        return _misfit_of_new_step(move)
    return _misfit_of_step(move, move.step, last)


def granted(move: Move) -> Iterable[str]:
    """The step that a person lets be tried once more, or the key of the call."""
    event, step = move.event, move.step
    if step is None:
        return
    match event:
        case StepRetryScheduled() if step.phase is StepPhase.FAILED:
            yield step.id
        case ApprovalDecided(call=call, decision="retry"):
            asked = step.asks[call].call
            assert asked is not None, "only an outcome is answered with retry"
            yield asked.key
        case _:
            pass


def is_meddling(move: Move) -> bool:
    """Whether the outcome of a run may be another one after this."""
    match move.event:
        case RunForked(edited=edited):
            return edited
        case RunResumed():
            return move.state.phase is RunPhase.FAILED
        case _:
            return isinstance(move.event, RunCancelled | ApprovalDecided)


def _misfit_of_run(move: Move) -> str:
    state = move.state
    match move.event:
        case RunForked() if not move.is_first:
            return "a run is forked where its log begins"
        case RunAdmitted() if state.is_admitted:
            return "a run has its place once"
        case RunPaused() if state.is_paused:
            return "a run is paused once"
        case RunResumed() if not (state.is_paused or state.phase is RunPhase.FAILED):
            return "a run is resumed that was paused or had failed"
        case SignalReceived(id=id) if id in state.seen:
            return f"the message {id} is received once"
    return ""


def _misfit_of_new_step(move: Move) -> str:
    state, event = move.state, move.event
    assert isinstance(event, StepScheduled | StepSkipped | StepFailed), "by the table"
    undone = event.step.removesuffix(UNDO)
    if undone != event.step:
        # What is begun now is the newest; whoever fails before was in its place.
        newest = state.undo[-1] if state.undo else "nothing"
        is_next = state.is_compensating and undone == newest
        return "" if is_next else f"{undone} is undone when {newest} is the newest"
    if isinstance(event, StepScheduled) and event.step != event.node:
        return _misfit_of_fan(state.steps[event.node], event)
    waiting = state.waiting[event.step]
    return f"{event.step} starts while it waits for {waiting}" if waiting else ""


def _misfit_of_fan(owner: StepState, event: StepScheduled) -> str:
    fan, node = owner.fan, owner.spec
    if fan is None or owner.phase is not StepPhase.ACTIVE:
        return f"{event.step} is a step of {owner.id}, which is {owner.phase}"
    if event.step != f"{owner.id}[{fan.next}]":
        return f"{event.step} comes when {owner.id} is at {fan.next}"
    most = node.concurrency if isinstance(node, MapNode) else 1
    return f"{event.step} is one too many" if len(fan.active) >= most else ""


def _misfit_of_step(move: Move, step: StepState, last: Event | None) -> str:
    state, event = move.state, move.event
    attempt = getattr(event, "attempt", step.attempt)
    expected = step.attempt + isinstance(event, StepRetryScheduled)
    if attempt != expected:
        return f"{step.id} is at attempt {expected}, not {attempt}"
    match event:
        case PolicyDecided(call=call) | ToolCallStarted(call=call):
            return _misfit_of_call(state, step, call)
        case ToolCall(call=call):
            is_told = isinstance(last, ApprovalDecided) and last.step == step.id
            return "" if is_told else _misfit_of_call(state, step, call)
        case ApprovalRequested(about="call", call=call):
            is_decided = isinstance(last, PolicyDecided) and last.effect == "require_approval"
            if not is_decided or call in step.begun:
                return f"a call is held that policy did not hold: {call!r}"
            return _misfit_of_call(state, step, call)
        case ApprovalExpired(call=call) if call in step.asks and step.asks[call].about == "call":
            return ""
        case ApprovalRequested(about="outcome", call=call):
            if call not in step.begun:
                return f"the outcome of {call!r} is asked, which was not begun"
            if call in step.asks:
                return f"the outcome of {call!r} is asked already"
            return _misfit_of_call(state, step, call)
        case ApprovalRequested() | ApprovalExpired():
            return "" if isinstance(step.spec, ApprovalNode) else f"{step.id} asks nobody"
        case ApprovalDecided(call=call):
            return "" if call in step.asks else f"nobody was asked about {call!r}"
        case LlmCall(call=call):
            talk = step.conversation
            is_next = talk is not None and call == talk.turns + 1
            return "" if is_next else f"model call {call} of {step.id} is not the next one"
        case TimerFired():
            is_open = fire_id(step.id, attempt) in state.open
            return "" if is_open else f"{step.id} waits for no time"
        case QuestionAsked(call=call, key=key, id=id):
            known = step.questions.get((call, key))
            if known is not None and (known.answer is not None or known.asked.id != id):
                return f"the question {key!r} is asked again, and was answered"
            return _misfit_of_call(state, step, call)
        case QuestionAnswered(call=call):
            return _misfit_of_call(state, step, call)
        case StepStarted(child=child):
            own = child_run(state.run, step.id, attempt)
            is_right = child == own if child else step.in_queue
            return "" if is_right else f"{step.id} is begun as {child!r}"
        case _:
            return ""


def _misfit_of_call(state: RunState, step: StepState, call: str) -> str:
    id = tool_call_id(step.id, step.attempt, call)
    return "" if id in state.open else f"{id} is not open"
