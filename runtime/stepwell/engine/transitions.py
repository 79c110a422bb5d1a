"""Every legal move of a run and of a step, as data.

`evolve` is checked against these tables, the simulation proves that every row is reached,
and the pictures in `docs/reference/transitions.md` are drawn from them.
"""

from stepwell.engine import events
from stepwell.engine.events import Event
from stepwell.engine.state import RunPhase, StepPhase

RUN: dict[tuple[RunPhase, type[Event]], RunPhase] = {
    (RunPhase.NEW, events.RunStarted): RunPhase.RUNNING,
    (RunPhase.RUNNING, events.Custom): RunPhase.RUNNING,
    (RunPhase.RUNNING, events.RunCompleted): RunPhase.COMPLETED,
    (RunPhase.RUNNING, events.RunFailed): RunPhase.FAILED,
    (RunPhase.RUNNING, events.RunCancelled): RunPhase.CANCELLED,
}

STEP: dict[tuple[StepPhase, type[Event]], StepPhase] = {
    (StepPhase.NEW, events.StepScheduled): StepPhase.ACTIVE,
    (StepPhase.NEW, events.StepSkipped): StepPhase.SKIPPED,
    (StepPhase.NEW, events.StepFailed): StepPhase.FAILED,
    (StepPhase.ACTIVE, events.LlmCall): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.ToolCallStarted): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.ToolCall): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.PolicyDecided): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.StepRetryScheduled): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.StepCompleted): StepPhase.COMPLETED,
    (StepPhase.ACTIVE, events.StepFailed): StepPhase.FAILED,
}
