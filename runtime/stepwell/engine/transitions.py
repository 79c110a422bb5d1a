"""Every legal move of a run and of a step, as data.

`evolve` is checked against these tables, the simulation proves that every row is reached,
and the pictures in `docs/reference/transitions.md` are drawn from them. The log of a run begins
with its start, or with its fork from another one.
"""

from stepwell.engine import events
from stepwell.engine.events import Event
from stepwell.engine.state import RunPhase, StepPhase

RUN: dict[tuple[RunPhase, type[Event]], RunPhase] = {
    (RunPhase.NEW, events.RunStarted): RunPhase.RUNNING,
    (RunPhase.NEW, events.RunForked): RunPhase.RUNNING,
    (RunPhase.RUNNING, events.RunAdmitted): RunPhase.RUNNING,
    (RunPhase.RUNNING, events.RunPaused): RunPhase.RUNNING,
    (RunPhase.RUNNING, events.RunResumed): RunPhase.RUNNING,
    (RunPhase.RUNNING, events.SignalReceived): RunPhase.RUNNING,
    (RunPhase.RUNNING, events.Custom): RunPhase.RUNNING,
    (RunPhase.RUNNING, events.RunCompensating): RunPhase.RUNNING,
    (RunPhase.RUNNING, events.RunCompleted): RunPhase.COMPLETED,
    (RunPhase.RUNNING, events.RunFailed): RunPhase.FAILED,
    (RunPhase.RUNNING, events.RunCancelled): RunPhase.CANCELLED,
    (RunPhase.FAILED, events.RunResumed): RunPhase.RUNNING,
}

STEP: dict[tuple[StepPhase, type[Event]], StepPhase] = {
    (StepPhase.NEW, events.StepScheduled): StepPhase.ACTIVE,
    (StepPhase.NEW, events.StepSkipped): StepPhase.SKIPPED,
    (StepPhase.NEW, events.StepFailed): StepPhase.FAILED,
    (StepPhase.ACTIVE, events.StepStarted): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.LlmCall): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.ToolCallStarted): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.ToolCall): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.PolicyDecided): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.TimerFired): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.ApprovalRequested): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.ApprovalDecided): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.ApprovalExpired): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.QuestionAsked): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.QuestionAnswered): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.StepRetryScheduled): StepPhase.ACTIVE,
    (StepPhase.ACTIVE, events.StepCompleted): StepPhase.COMPLETED,
    (StepPhase.ACTIVE, events.StepFailed): StepPhase.FAILED,
    (StepPhase.FAILED, events.StepRetryScheduled): StepPhase.ACTIVE,
}
