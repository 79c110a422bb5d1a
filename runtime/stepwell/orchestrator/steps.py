"""The steps of a run, as its events tell of them."""

from collections.abc import Iterable

from msgspec.structs import replace

from stepwell.engine.events import (
    Event,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    StepScheduled,
    StepSkipped,
)
from stepwell.orchestrator.views import Step


def steps_of(events: Iterable[Event]) -> tuple[Step, ...]:
    """In the order in which they were scheduled or skipped."""
    steps: dict[str, Step] = {}
    for event in events:
        match event:
            case StepScheduled():
                steps[event.step] = Step(
                    id=event.step,
                    node=event.node,
                    status="active",
                    attempt=1,
                    scheduled_at=event.at,
                )
            case StepSkipped():
                steps[event.step] = Step(
                    id=event.step, node=event.node, status="skipped", attempt=0, ended_at=event.at
                )
            case StepRetryScheduled():
                steps[event.step] = replace(
                    steps[event.step], status="retrying", attempt=event.attempt
                )
            case StepCompleted():
                steps[event.step] = replace(
                    steps[event.step], status="completed", ended_at=event.at, output=event.output
                )
            case StepFailed():
                # One whose input has no value fails before it was scheduled.
                step = steps.get(event.step) or Step(
                    id=event.step, node=event.step, status="failed", attempt=event.attempt
                )
                steps[event.step] = replace(
                    step, status="failed", ended_at=event.at, failure=event.failure
                )
            case _:
                pass
    return tuple(steps.values())
