"""What the events of a run tell of its steps."""

from stepwell.engine.events import (
    Custom,
    Event,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    StepScheduled,
    StepSkipped,
)
from stepwell.engine.values import Data, Failure
from stepwell.orchestrator.steps import steps_of
from stepwell.orchestrator.views import Step

BUSY = Failure("TOOL_ERROR", "busy", retryable=True)


def test_steps_are_told_in_the_order_in_which_they_came_up() -> None:
    events: list[Event] = [
        StepScheduled(at=1, step="a", node="a"),
        StepSkipped(at=1, step="b", node="b", reason="switch"),
        Custom(at=2, type="note"),
        StepScheduled(at=2, step="c", node="c"),
        StepCompleted(at=3, step="a", attempt=1, output=Data(value=7)),
        StepRetryScheduled(at=4, step="c", attempt=2, retry_at=9, failure=BUSY),
    ]
    assert steps_of(events) == (
        Step(
            id="a",
            node="a",
            status="completed",
            attempt=1,
            scheduled_at=1,
            ended_at=3,
            output=Data(value=7),
        ),
        Step(id="b", node="b", status="skipped", attempt=0, ended_at=1),
        Step(id="c", node="c", status="retrying", attempt=2, scheduled_at=2),
    )


def test_a_step_that_failed_says_why() -> None:
    events: list[Event] = [
        StepScheduled(at=1, step="a", node="a"),
        StepFailed(at=2, step="a", attempt=1, failure=BUSY),
    ]
    (step,) = steps_of(events)
    assert (step.status, step.ended_at, step.failure) == ("failed", 2, BUSY)
