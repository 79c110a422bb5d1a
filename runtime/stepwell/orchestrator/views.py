"""What callers are shown."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from stepwell.engine.events import Event, QuestionAsked
from stepwell.engine.values import Data, Failure
from stepwell.nldb.writes.preview import Preview
from stepwell.orchestrator.attributes import decoded
from stepwell.orchestrator.schedule_rules import ScheduleSpec
from stepwell.principals import Attributes
from stepwell_storage.records import ApiKeyRow, DatasourceRow, FactorRow, KeyRow, RunRow


class RunStatus(StrEnum):
    """Where a run is in its life."""

    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to the run any more."""
        return self in (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


WaitsOn = Literal["human", "input", "signal", "timer", "queue", "budget"]
BY_SOMEBODY: Final = frozenset[WaitsOn](("human", "input", "signal", "budget"))
"""What does not come by itself."""


class Waiting(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step of a run waits for.

    `about` is `approval`, `outcome` or `call` where a person is asked, else the name of the message or
    the queue; `step` is empty where the run itself waits for its place. `until` is the time of a timer,
    or until when a person may answer, in UTC microseconds. `call` and `message` are what a person is
    asked about and told; only the steps of a run have the latter. Of a call that policy holds
    `approval` is the id under which it is answered. Of a question that a tool asks (`input`) `about` is
    its kind, `question` its id, and `event` the sequence of the event that asks. Of a budget `about` is its scope, and its unit stands
    in `rules`.
    """

    step: str
    on: WaitsOn
    about: str = ""
    until: int | None = None
    call: str = ""
    message: Data | None = None
    approval: str = ""
    tool: str = ""
    rules: tuple[str, ...] = ()
    reason: str = ""
    question: str = ""
    event: int = 0


class OpenQuestion(Struct, frozen=True, kw_only=True):
    """What a tool asks of the person behind its caller, and nobody has answered yet.

    `kind` is `form`, which has a `schema`; `url`, a page; or `sampling` or `roots`, whose `params`
    only an MCP client answers. `key` names it inside the `call` of its step. Times are UTC
    microseconds.
    """

    id: str
    step: str
    call: str
    key: str
    kind: str
    tool: str
    message: str = ""
    schema: Mapping[str, Any] | None = None
    url: str = ""
    params: Mapping[str, Any] = {}
    asked_at: int = 0
    expires_at: int | None = None


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a run ended: its output, why it failed, or why it was cancelled; or what it waits for."""

    output: Data | None = None
    failure: Failure | None = None
    reason: str = ""
    waiting: tuple[Waiting, ...] = ()


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
    waiting: tuple[Waiting, ...] = ()
    """What it waits for, the first of them."""
    questions: tuple[OpenQuestion, ...] = ()
    """What its tools ask; a list of runs leaves it out."""
    run_key: str = ""
    parent: str = ""
    """The run that it is a step of."""
    forked_from: str = ""
    is_erased: bool = False
    """Whether its output cannot be read any more, because the key has been destroyed."""


def ended(run: Run) -> bool:
    """Whether nothing will happen to a run any more."""
    return run.status.ended


def stuck(run: Run) -> bool:
    """Whether nothing will happen to a run, which has not ended, until somebody does something."""
    if run.status is RunStatus.PAUSED:
        return True
    return run.status is RunStatus.WAITING and all(one.on in BY_SOMEBODY for one in run.waiting)


class Step(Struct, frozen=True, kw_only=True):
    """The execution of a node in a run.

    Its status is active, waiting, retrying, completed, failed, skipped or cancelled; `child` is the
    run that it is.
    """

    id: str
    node: str
    status: str
    attempt: int
    scheduled_at: int | None = None
    ended_at: int | None = None
    output: Data | None = None
    failure: Failure | None = None
    waiting: tuple[Waiting, ...] = ()
    child: str = ""
    tokens: int = 0
    cost: int = 0
    """In millionths of a dollar, of all attempts."""
    unpriced: int = 0
    """How many answers of models have a price that nobody knows, and that `cost` lacks."""


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


class DataKey(Struct, frozen=True, kw_only=True):
    """A data key: of the run, or of the subject, called `name`. `ring` is what wraps it."""

    id: str
    name: str
    of_run: bool
    ring: str
    created_at: int
    destroyed_at: int | None = None


class KeyPage(Struct, frozen=True):
    """One page of a list of data keys; `next` is empty on the last one."""

    keys: tuple[DataKey, ...]
    next: str


class RingKey(Struct, frozen=True, kw_only=True):
    """A key of the ring, and how many data keys it wraps."""

    name: str
    is_active: bool
    is_lost: bool
    keys: int


class DestroyedKeys(Struct, frozen=True, kw_only=True):
    """How many keys were destroyed, and the runs that were cancelled for it."""

    keys: int
    cancelled: tuple[str, ...]


class Datasource(Struct, frozen=True, kw_only=True):
    """A database that the SQL tools may reach."""

    name: str
    url: str
    principal: str
    created_at: int


class Queue(Struct, frozen=True, kw_only=True):
    """A queue, and how many have a place in it and wait for one.

    At most `concurrency` have a place, at most `rate` get one in any `per_us`; None is no limit.
    """

    name: str
    concurrency: int | None
    rate: int | None
    per_us: int | None
    running: int
    waiting: int
    updated_at: int


class Schedule(Struct, frozen=True, kw_only=True):
    """A schedule. `next_at` is its next fire; None when it is paused, or there is none any more.

    `last_at` is the last fire, whatever came of it, `last_run` the last run that one started. It
    is `waiting` while its next fire, which has come, waits for the run before.
    """

    name: str
    spec: ScheduleSpec
    principal: str
    created_at: int
    updated_at: int
    paused: bool
    next_at: int | None
    last_at: int | None
    last_run: str
    waiting: bool


class Approval(Struct, frozen=True, kw_only=True):
    """A question that a run puts to a person. Times are UTC microseconds.

    `about` is `call`, `approval` or `outcome`; `call` says which call of the step it is about.
    `principal` asks. `subject` is what an answer is bound to. Its `status` is waiting, approved,
    denied, expired or withdrawn; of an outcome, done, retried or failed.
    """

    id: str
    run: str
    step: str
    call: str = ""
    about: str = "call"
    tool: str = ""
    arguments: Data | None = None
    message: Data | None = None
    preview: Preview | None = None
    """What the call would do to the rows of a datasource, where it is one that changes them."""
    is_withheld: bool = False
    """Whether it is about rows of a datasource that whoever looks may not see; users may."""
    principal: str = ""
    rules: tuple[str, ...] = ()
    reason: str = ""
    subject: str = ""
    policy: str = ""
    approver: str = "other"
    """`caller` when whoever asked for the call may answer himself."""
    groups: tuple[str, ...] = ()
    """Whose members may answer; none is everybody."""
    requested_at: int = 0
    expires_at: int | None = None
    status: str = "waiting"
    decided_by: str = ""
    decided_at: int | None = None
    decision_reason: str = ""


class ApiKey(Struct, frozen=True, kw_only=True):
    """A key that callers show, without its secret. `used_at` is about when it was used last."""

    id: str
    namespace: str
    subject: str
    created_by: str
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    used_at: int | None = None
    attributes: Attributes = {}


class Factor(Struct, frozen=True, kw_only=True):
    """What a person has enrolled to prove that it is he: `kind` is totp or passkey."""

    id: str
    principal: str
    kind: str
    label: str
    created_at: int
    used_at: int | None = None


class ApprovalPage(Struct, frozen=True, kw_only=True):
    """One page of a list of approvals; `next_token` is empty on the last one."""

    approvals: tuple[Approval, ...]
    next_token: str


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
        waiting=outcome.waiting,
        run_key=row.run_key or "",
        parent=row.parent or "",
        forked_from=row.forked_from or "",
    )


def question_of(asked: QuestionAsked) -> OpenQuestion:
    """The question as it is shown."""
    said = asked.question.value if isinstance(asked.question.value, dict) else {}
    return OpenQuestion(
        id=asked.id,
        step=asked.step,
        call=asked.call,
        key=asked.key,
        kind=asked.kind,
        tool=asked.tool,
        message=said.get("message", ""),
        schema=said.get("schema"),
        url=said.get("url", ""),
        params=said.get("params", {}),
        asked_at=asked.at,
        expires_at=asked.expires_at,
    )


def data_key_of(row: KeyRow) -> DataKey:
    """The data key, without what it is."""
    kind, _, name = row.subject.partition(":")
    return DataKey(
        id=row.id,
        name=name,
        of_run=kind == "run",
        ring=row.ring,
        created_at=row.created_at,
        destroyed_at=row.destroyed_at,
    )


def datasource_of(row: DatasourceRow) -> Datasource:
    """The datasource as it is stored."""
    return Datasource(
        name=row.name, url=row.url, principal=row.principal, created_at=row.created_at
    )


def api_key_of(namespace: str, row: ApiKeyRow) -> ApiKey:
    """The key, without what it is checked against."""
    return ApiKey(
        id=row.id,
        namespace=namespace,
        subject=row.subject,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        used_at=row.used_at,
        attributes=decoded(row.attributes),
    )


def factor_of(row: FactorRow) -> Factor:
    """The factor, without its secret."""
    return Factor(
        id=row.id,
        principal=row.principal,
        kind=row.kind,
        label=row.label,
        created_at=row.created_at,
        used_at=row.used_at,
    )
