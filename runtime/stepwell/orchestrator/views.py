"""What callers are shown."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from stepwell.engine.events import Event
from stepwell.engine.values import Data, Failure


class RunStatus(StrEnum):
    """Where a run is in its life."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to the run any more."""
        return self is not RunStatus.RUNNING


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a run ended: its output, why it failed, or why it was cancelled."""

    output: Data | None = None
    failure: Failure | None = None
    reason: str = ""


class Run(Struct, frozen=True, kw_only=True):
    """One execution of a workflow version. Times are UTC microseconds."""

    id: str
    workflow: str
    version: str
    principal: str
    status: RunStatus
    created_at: int
    updated_at: int
    ended_at: int | None = None
    labels: Mapping[str, str] = {}
    output: Data | None = None
    failure: Failure | None = None
    reason: str = ""
    """Why it was cancelled."""


class Step(Struct, frozen=True, kw_only=True):
    """The execution of a node in a run."""

    id: str
    node: str
    status: str
    attempt: int
    scheduled_at: int | None = None
    ended_at: int | None = None
    output: Data | None = None
    failure: Failure | None = None


class RunEvent(Struct, frozen=True, kw_only=True):
    """An event with its place in the log."""

    run: str
    sequence: int
    kind: str
    principal: str
    event: Event


class EventBatch(Struct, frozen=True, kw_only=True):
    """Events in order, maybe none. `cursor` resumes after them, and after what was left out."""

    events: tuple[RunEvent, ...]
    cursor: str
    caught_up: bool


class Workflow(Struct, frozen=True, kw_only=True):
    """One version of a workflow. `source` is what was put, byte for byte."""

    name: str
    version: str
    description: str
    input_schema: Mapping[str, Any]
    source: bytes
    principal: str
    created_at: int


class Page(Struct, frozen=True, kw_only=True):
    """One page of a list of runs; `next_token` is empty on the last one."""

    runs: tuple[Run, ...]
    next_token: str


class Datasource(Struct, frozen=True, kw_only=True):
    """A database that the SQL tools may reach."""

    name: str
    url: str
    principal: str
    created_at: int
