"""What should be in flight now, from the state alone."""

from collections.abc import Iterable
from heapq import heappop

from stepwell.engine.commands import (
    CallModel,
    CallTool,
    Command,
    EnterQueue,
    StartChild,
    Stop,
    WakeAt,
    enter_id,
)
from stepwell.engine.state import RunState

ENTER_RUN = enter_id("")
UNATTENDED = frozenset({EnterQueue, StartChild})
"""Commands that nobody is busy with once they have been carried out."""


def due(state: RunState, now: int) -> list[Command]:
    """The commands that this fold of the log has not handed out yet, and when to ask again.

    Each command is handed out once per fold. Recovery is no special case: an owner that took
    the run over folds the log anew, and so is handed everything that is still open. Of a run
    that is paused nothing is due, of one that waits for its place in a queue nothing else. `now` is
    in UTC microseconds. The last command is `WakeAt` when time alone will make more due.
    """
    commands: list[Command] = []
    if state.stops:
        commands += (Stop(id) for id in state.stops)
        state.stops.clear()
    if state.is_paused:
        return commands
    timers = state.timers
    while timers and (timers[0][0] <= now or state.ripe.get(timers[0][1]) != timers[0][0]):
        at, id = heappop(timers)
        if state.ripe.get(id) == at:
            del state.ripe[id]
            state.fresh[id] = None
    for id in _fresh(state):
        command = state.open[id]
        commands.append(command)
        if type(command) not in UNATTENDED:
            state.out.add(id)
    if timers:
        commands.append(WakeAt(timers[0][0]))
    return commands


def put_back(state: RunState, command: CallModel | CallTool | EnterQueue | StartChild) -> None:
    """Nobody has begun with a command that was handed out: it is due when the run goes on."""
    if state.open.get(command.id) is command:
        state.out.discard(command.id)
        state.fresh[command.id] = None


def lull(state: RunState, command: CallTool) -> bool:
    """Nobody is busy any more with a call that asks something: it is due when that is answered.

    False when it asks nothing, or is not waited for.
    """
    is_open = isinstance(state.open.get(command.id), CallTool)
    if not (is_open and state.steps[command.step].asks_in(command.call)):
        return False
    state.out.discard(command.id)
    state.dormant[command.id] = None
    return True


def _fresh(state: RunState) -> Iterable[str]:
    """Takes out what has not been handed out yet: all, or the run's own wish for a place."""
    if state.is_admitted:
        fresh, state.fresh = state.fresh, {}
        return fresh
    return [ENTER_RUN] if state.fresh.pop(ENTER_RUN, state) is None else []
