"""What should be in flight now, from the state alone."""

from heapq import heappop

from stepwell.engine.commands import Command, Stop, WakeAt
from stepwell.engine.state import RunState


def due(state: RunState, now: int) -> list[Command]:
    """The commands that this fold of the log has not handed out yet, and when to ask again.

    Each command is handed out once per fold. Recovery is no special case: an owner that took
    the run over folds the log anew, and so is handed everything that is still open. `now` is
    in UTC microseconds. The last command is `WakeAt` when time alone will make more due.
    """
    timers = state.timers
    while timers and (timers[0][0] <= now or timers[0][1] not in state.open):
        _, id = heappop(timers)
        if id in state.open:
            state.fresh[id] = None
    commands: list[Command] = [Stop(id) for id in state.stops]
    commands.extend(state.open[id] for id in state.fresh)
    state.out.update(state.fresh)
    state.stops.clear()
    state.fresh.clear()
    if timers:
        commands.append(WakeAt(timers[0][0]))
    return commands
