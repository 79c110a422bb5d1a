"""What a run learns while it waits: for a time, for a place in a queue, for another run."""

from msgspec.structs import replace

from stepwell.engine.commands import child_id, enter_id, fire_id
from stepwell.engine.ends import complete, give_up
from stepwell.engine.events import Event, RunAdmitted, StepStarted, TimerFired
from stepwell.engine.inputs import Admitted, ChildEnded, ChildStarted, Fired
from stepwell.engine.progress import Progress
from stepwell.engine.sealing import quoted, withheld
from stepwell.engine.state import RunState
from stepwell.engine.values import NOTHING


def fired(state: RunState, given: Fired) -> list[Event]:
    """The time of a `wait` has come."""
    if not state.awaits(fire_id(given.step, given.attempt)):
        return []
    step = state.steps[given.step]
    event = TimerFired(at=given.at, step=step.id, attempt=step.attempt)
    return [event, *complete(state, step, given, step.input)]


def admitted(state: RunState, given: Admitted) -> list[Event]:
    """A step, or the whole run, has its place in its queue."""
    if not state.awaits(enter_id(given.step)):
        return []
    if given.step:
        attempt = state.steps[given.step].attempt
        return [StepStarted(at=given.at, step=given.step, attempt=attempt)]
    event = RunAdmitted(at=given.at)
    if state.steps:
        return [event]  # it failed, and is tried again
    return [event, *Progress(state, given.at).begin()]


def child_started(state: RunState, given: ChildStarted) -> list[Event]:
    """The run that a step is has been started; told again it is no news."""
    if not state.awaits(child_id(given.step, given.attempt)):
        return []
    if state.steps[given.step].child == given.child:
        return []
    return [StepStarted(at=given.at, step=given.step, attempt=given.attempt, child=given.child)]


def child_ended(state: RunState, given: ChildEnded) -> list[Event]:
    """The run that a step is has ended."""
    if not state.awaits(child_id(given.step, given.attempt)):
        return []
    step = state.steps[given.step]
    if given.failure is None:
        done, *more = complete(state, step, given, given.output or NOTHING)
        return [replace(done, called=given.called) if given.called else done, *more]
    failure = withheld(given.failure, quoted(given.failure, state.subject))
    return give_up(state, step, given, failure)
