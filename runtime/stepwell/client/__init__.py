"""The typed gRPC client, for programs and for the command line."""

from stepwell.client.client import Client
from stepwell.client.types import (
    Datasource,
    Event,
    EventBatch,
    OnConflict,
    Overlap,
    Page,
    Problem,
    Queue,
    Run,
    RunStatus,
    Schedule,
    Step,
    StepStatus,
    Verdict,
    Waiting,
    WaitingOn,
    Workflow,
)

__all__ = [
    "Client",
    "Datasource",
    "Event",
    "EventBatch",
    "OnConflict",
    "Overlap",
    "Page",
    "Problem",
    "Queue",
    "Run",
    "RunStatus",
    "Schedule",
    "Step",
    "StepStatus",
    "Verdict",
    "Waiting",
    "WaitingOn",
    "Workflow",
]
