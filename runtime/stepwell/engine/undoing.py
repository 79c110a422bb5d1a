"""How a run ends badly: what its steps have done is undone in reverse order, then it fails."""

from collections.abc import Iterable, Iterator
from itertools import chain

from msgspec.structs import replace

from stepwell.engine.events import Event, RunCompensating, RunFailed, StepFailed, StepScheduled
from stepwell.engine.expressions import ExpressionError
from stepwell.engine.fans import view_of
from stepwell.engine.graph import CONTINUE, UNDO
from stepwell.engine.sealing import said_of
from stepwell.engine.sight import Sight
from stepwell.engine.state import RunState, StepState
from stepwell.engine.values import Data, Failure


def undo_step(step: str) -> str:
    """The id of the step that undoes a step."""
    return step + UNDO


def end_badly(
    state: RunState,
    sight: Sight,
    at: int,
    failure: Failure,
    step: str,
    *,
    also: tuple[StepState, Data] | None = None,
) -> list[Event]:
    """What follows when nothing handles a failure.

    `also` is a step that has ended well in this very decision, with its output.
    """
    newest = [(also[0].id, also[1])] if also and also[0].spec.compensate is not None else []
    if not (newest or state.undo):
        return [RunFailed(at=at, step=step, failure=failure)]
    begun = RunCompensating(at=at, failure=failure, step=step)
    todo = chain(newest, _newest_first(state, len(state.undo)))
    return [begun, *_undo(state, sight, at, todo, failure, step)]


def undo_next(state: RunState, at: int, *, failed: str = "") -> list[Event]:
    """What follows when the newest of `state.undo` is undone; or could not be (`failed`)."""
    assert state.failure is not None, "a run is undone because it has failed"
    todo = _newest_first(state, len(state.undo) - 1)
    return _undo(state, Sight(state), at, todo, state.failure, state.failed_step, failed)


def _newest_first(state: RunState, left: int) -> Iterator[tuple[str, Data]]:
    """The oldest `left` that can be undone, each with its output; no more are looked at than used."""
    for place in range(left - 1, -1, -1):
        id = state.undo[place]
        yield id, state.steps[id].output


def _undo(
    state: RunState,
    sight: Sight,
    at: int,
    todo: Iterable[tuple[str, Data]],
    failure: Failure,
    step: str,
    failed: str = "",
) -> list[Event]:
    """Begins to undo the first that can be; ends the run when none is left."""
    events: list[Event] = []
    lost = [failed] if failed else []
    for id, output in todo:
        undone, beside = state.steps[id], _beside(state, id, output)
        compensate = undone.spec.compensate
        assert compensate is not None, f"{id} cannot be undone"
        try:
            given = sight.render(compensate.parameters, beside)
        except ExpressionError as error:
            why = said_of(error, f"undoing {id}", output.sealed, state.subject)
            events.append(
                StepFailed(at=at, step=undo_step(id), attempt=1, failure=why, handled=CONTINUE)
            )
            lost.append(id)
            continue
        events.append(StepScheduled(at=at, step=undo_step(id), node=undone.node, input=given))
        return events
    return [
        *events,
        RunFailed(at=at, step=step, failure=_told(failure, [*state.not_undone, *lost])),
    ]


def _beside(state: RunState, id: str, output: Data) -> dict[str, Data]:
    """What undoing a step sees besides what all see: its output, and its item or index."""
    step = state.steps[id]
    if not step.owner:
        return {"output": output}
    return {**view_of(state.steps[step.owner]).beside(step.index), "output": output}


def _told(failure: Failure, lost: list[str]) -> Failure:
    if not lost:
        return failure
    return replace(failure, detail={**failure.detail, "not_undone": ", ".join(lost)})
