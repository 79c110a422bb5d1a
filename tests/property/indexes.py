"""A state keeps indexes so that nothing is ever searched: they say what its steps say."""

from stepwell.engine.commands import (
    CallTool,
    EnterQueue,
    ExpireAsk,
    ExpireQuestion,
    ExpireStep,
    FireTimer,
    StartChild,
    enter_id,
)
from stepwell.engine.graph import MapNode, SignalNode, WaitNode
from stepwell.engine.state import RunState, StepPhase


def contradiction(state: RunState) -> str:
    """What two places of a state do not agree on; "" where all do."""
    active = {id: step for id, step in state.steps.items() if step.phase is StepPhase.ACTIVE}
    checks = {
        "every open command belongs to one step": _owned(state),
        "busy counts what is more than a wait": state.busy
        == sum(
            not isinstance(it, EnterQueue | ExpireAsk | ExpireQuestion | ExpireStep | FireTimer)
            for it in state.open.values()
        ),
        "who waits for a place asks for one": list(state.queueing)
        == [it.step for it in state.open.values() if isinstance(it, EnterQueue)],
        "what is open is fresh, has a time, or was handed out": _placed(state),
        "only what is active calls for something, or asks": all(
            not (step.open or step.asks) for id, step in state.steps.items() if id not in active
        ),
        "who may still answer is asked": state.has_ended
        or all(
            it.call in state.steps[it.step].asks
            for it in state.open.values()
            if isinstance(it, ExpireAsk)
        ),
        "a step that asks has a question": all(state.steps[it].asks for it in state.asking),
        "whose tools ask has open questions": all(
            state.steps[it].open_questions for it in state.questioning
        ),
        "who has open questions is known": state.has_ended
        or all(it in state.questioning for it in active if active[it].open_questions),
        "what sleeps asks something": all(_asks(state, it) for it in state.dormant),
        "no time runs while something is asked": not any(
            isinstance(it, ExpireStep) and state.steps[it.step].open_questions
            for it in state.open.values()
        ),
        "who listens is active and waits for that name": _listens(state),
        "nobody listens for what is there": not any(
            state.listening.get(name) for name in state.signals
        ),
        "who naps is active and waits": state.has_ended
        or all(it in active and isinstance(active[it].spec, WaitNode) for it in state.napping),
        "a ticket is of a step with a queue": all(
            (state.steps[it].spec.queue if it else state.queue) for it in state.tickets
        ),
        "who waits in a queue has a ticket": state.has_ended
        or all(id in state.tickets for id, step in active.items() if step.in_queue),
        "a map is as far as its steps are": _counted(state),
    }
    return "; ".join(law for law, holds in checks.items() if not holds)


def _owned(state: RunState) -> bool:
    owned = [id for step in state.steps.values() for id in step.open]
    of_run = [id for id in state.open if id == enter_id("")]
    return sorted(owned + of_run) == sorted(state.open)


def _placed(state: RunState) -> bool:
    places = [*state.fresh, *state.dormant, *state.ripe, *state.out]
    elsewhere = state.open.keys() - set(places)
    unattended = all(isinstance(state.open[it], EnterQueue | StartChild) for it in elsewhere)
    return len(places) == len(set(places)) and set(places) <= state.open.keys() and unattended


def _asks(state: RunState, command: str) -> bool:
    call = state.open[command]
    return isinstance(call, CallTool) and state.steps[call.step].asks_in(call.call)


def _listens(state: RunState) -> bool:
    for name, steps in state.listening.items():
        for id in steps:
            step = state.steps[id]
            is_right = isinstance(step.spec, SignalNode) and step.spec.signal == name
            if not (is_right and step.phase is StepPhase.ACTIVE):
                return False
    return True


def _counted(state: RunState) -> bool:
    for step in state.steps.values():
        fan = step.fan
        if fan is None or step.phase is not StepPhase.ACTIVE:
            continue
        left = {it.id for it in state.steps.values() if it.owner == step.id}
        is_bounded = not isinstance(step.spec, MapNode) or fan.next <= len(fan.outputs)
        in_flight = len(fan.active) == fan.next - fan.ended
        if not (fan.active.keys() <= left and in_flight and is_bounded):
            return False
    return True
