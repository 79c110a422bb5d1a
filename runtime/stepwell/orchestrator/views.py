"""What callers are shown."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from stepwell.engine.events import Event
from stepwell.engine.state import RunPhase, RunState
from stepwell.engine.values import Data, Failure
from stepwell_storage.records import DatasourceRow, RunRow


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
    """One version of a workflow. `source` is what was put, byte for byte.

    MCP clients are offered it as a tool when it is `published`.
    """

    name: str
    version: str
    description: str
    input_schema: Mapping[str, Any]
    source: bytes
    principal: str
    created_at: int
    published: bool = True


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


def run_of_state(state: RunState) -> Run:
    """The run whose state is in our hands."""
    at = state.started_at if state.ended_at is None else state.ended_at
    return Run(
        id=state.run,
        workflow=state.graph.name,
        version=state.graph.version,
        principal=state.principal,
        status=RunStatus(state.phase),
        created_at=state.started_at,
        updated_at=at,
        ended_at=state.ended_at,
        labels=state.labels,
        output=state.output if state.phase is RunPhase.COMPLETED else None,
        failure=state.failure,
        reason=state.reason,
    )


def run_of_row(row: RunRow) -> Run:
    """The run as the list of runs has it; its output may be a reference."""
    outcome = msgspec.json.decode(row.detail, type=Outcome) if row.detail else Outcome()
    return Run(
        id=row.run,
        workflow=row.workflow,
        version=row.version,
        principal=row.principal,
        status=RunStatus(row.status),
        created_at=row.created_at,
        updated_at=row.updated_at,
        ended_at=row.ended_at,
        labels=row.labels,
        output=outcome.output,
        failure=outcome.failure,
        reason=outcome.reason,
    )


def datasource_of(row: DatasourceRow) -> Datasource:
    """The datasource as it is stored."""
    return Datasource(
        name=row.name, url=row.url, principal=row.principal, created_at=row.created_at
    )
