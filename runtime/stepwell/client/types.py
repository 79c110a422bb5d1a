"""What a client is shown. Times are aware datetimes in UTC."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from stepwell.engine.events import Event as Fact
from stepwell.engine.values import BlobRef, Failure, Json

OnConflict: TypeAlias = Literal["fail", "use_existing", "cancel_existing"]
"""What becomes of a run whose key another run has that has not ended."""

ServerStatus: TypeAlias = Literal["starting", "ready", "waiting", "stopped"]
Overlap: TypeAlias = Literal["skip", "queue", "allow", "cancel_other"]
"""What becomes of a schedule's fire while a run of the fire before goes on."""

QuestionAction: TypeAlias = Literal["accept", "decline", "cancel"]
Verdict: TypeAlias = Literal["approve", "deny", "done", "retry", "fail"]
"""A person's answer: the first two to an approval, the others to a call of unknown outcome."""


class RunStatus(StrEnum):
    """Where a run is in its life."""

    UNSPECIFIED = "unspecified"
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


class StepStatus(StrEnum):
    """Where a step is in its life."""

    UNSPECIFIED = "unspecified"
    ACTIVE = "active"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    RETRYING = "retrying"


class WaitingOn(StrEnum):
    """What a step waits for."""

    UNSPECIFIED = "unspecified"
    HUMAN = "human"
    SIGNAL = "signal"
    TIMER = "timer"
    QUEUE = "queue"
    BUDGET = "budget"
    INPUT = "input"


class Waiting(Struct, frozen=True, kw_only=True):
    """One thing that a step waits for.

    `about` is what a person is asked, `approval`, `outcome` or `call`, else the name of the message or
    of the queue; `step` is empty where the run itself waits for its place there. `until` is when the
    time of a timer has come, or until when a person may answer. `call` and `message` are what a person
    is asked about and told; the latter is in the steps of a run only. Of a call that policy holds
    `approval` is the id under which it is answered, and `rules` hold it. Of what a tool asks `about` is
    its kind, and `question` its id.
    """

    step: str
    on: WaitingOn
    about: str = ""
    until: datetime | None = None
    call: str = ""
    message: Json = None
    message_ref: BlobRef | None = None
    approval: str = ""
    tool: str = ""
    rules: tuple[str, ...] = ()
    reason: str = ""
    question: str = ""


class Question(Struct, frozen=True, kw_only=True):
    """What a tool asks of the person behind its caller.

    `kind` is `form`, with the JSON Schema of its fields, or none where yes or no is all that is
    asked; `url`, a page to be visited; or `sampling` or `roots`, which MCP clients answer. `key`
    names it inside the `call` of its step.
    """

    id: str
    step: str
    call: str
    key: str
    kind: str
    tool: str
    message: str
    asked_at: datetime
    expires_at: datetime | None = None
    schema: Mapping[str, Any] | None = None
    url: str = ""
    params: Mapping[str, Any] = {}


class Run(Struct, frozen=True, kw_only=True):
    """One execution of a workflow version.

    `output_ref` is set instead of `output` when the output is too large for a message. Lists
    leave both out. `waiting_for` is what it waits for, unless it goes on by itself and asks
    nobody. `parent` is the run that it is a step of. `created` is False when a request id or a run key led to a run
    that was there before.
    """

    id: str
    workflow: str
    version: str
    principal: str
    status: RunStatus
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None
    labels: Mapping[str, str] = {}
    output: Json = None
    output_ref: BlobRef | None = None
    failure: Failure | None = None
    reason: str = ""
    waiting_for: tuple[Waiting, ...] = ()
    run_key: str = ""
    parent: str = ""
    forked_from: str = ""
    created: bool = False
    questions: tuple[Question, ...] = ()
    """What its tools ask; a list of runs leaves it out."""
    is_erased: bool = False
    """Whether its output was erased: the key of it has been destroyed."""


class Step(Struct, frozen=True, kw_only=True):
    """The execution of a node in a run.

    `output_ref` is set instead of `output` when the output is large or sealed. `child` is the run
    that it is.
    """

    id: str
    node: str
    status: StepStatus
    attempt: int
    scheduled_at: datetime | None = None
    ended_at: datetime | None = None
    output: Json = None
    output_ref: BlobRef | None = None
    failure: Failure | None = None
    waiting_for: tuple[Waiting, ...] = ()
    child: str = ""
    tokens: int = 0
    cost: int = 0
    """What its models have cost, in millionths of a dollar."""
    unpriced_answers: int = 0
    """How many answers of models have a price that nobody knows, and that `cost` lacks."""


class Page(Struct, frozen=True, kw_only=True):
    """One page of a list of runs; `next_page_token` is empty on the last one."""

    runs: tuple[Run, ...]
    next_page_token: str


class Event(Struct, frozen=True, kw_only=True):
    """One entry of the log.

    `fact` says what happened; it is None when this client is older than the kind.
    """

    run: str
    sequence: int
    kind: str
    principal: str
    at: datetime
    fact: Fact | None


class EventBatch(Struct, frozen=True, kw_only=True):
    """Events in order, maybe none. `cursor` resumes after them, and after what was left out."""

    events: tuple[Event, ...]
    cursor: str
    caught_up: bool


class Workflow(Struct, frozen=True, kw_only=True):
    """One version of a workflow. Lists leave the source out.

    `created` is False when this very version was there before it was put.
    """

    name: str
    version: str
    description: str
    input_schema: Mapping[str, Json]
    source: bytes
    principal: str
    created_at: datetime
    created: bool = False


class Problem(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a document: where (1-based), what, what would be right."""

    line: int
    column: int
    path: str
    message: str
    hint: str


class RingKey(Struct, frozen=True):
    """A key of the operator's ring, and how many data keys it wraps."""

    name: str
    is_active: bool
    is_lost: bool
    keys: int


class DataKey(Struct, frozen=True, kw_only=True):
    """A data key, of a run or of a subject: the other is "". `ring` is what wraps it."""

    id: str
    run: str
    subject: str
    ring: str
    created_at: datetime
    destroyed_at: datetime | None = None


class KeyPage(Struct, frozen=True, kw_only=True):
    """One page of a list of data keys; `next_page_token` is empty on the last one."""

    keys: tuple[DataKey, ...]
    next_page_token: str


class Rotation(Struct, frozen=True):
    """How many data keys were wrapped anew, and how many a lost key of the ring wraps."""

    wrapped: int
    lost: int


class Datasource(Struct, frozen=True, kw_only=True):
    """A database that the SQL tools may reach."""

    name: str
    url: str
    principal: str
    created_at: datetime


class DatasourceFinding(Struct, frozen=True, kw_only=True):
    """Something about a datasource that should be otherwise, and what to do about it.

    `level` is `refuse`, `warn` or `note`.
    """

    level: str
    rule: str
    what: str
    advice: str


class InspectedDatasource(Struct, frozen=True, kw_only=True):
    """A datasource as it is now. `hardening_sql` is for the owner of the database."""

    datasource: Datasource
    dialect: str
    version: str
    login: str
    tables: tuple[str, ...]
    fingerprint: str
    findings: tuple[DatasourceFinding, ...]
    hardening_sql: str


class Queue(Struct, frozen=True, kw_only=True):
    """A queue, and how many have a place in it and wait for one.

    At most `concurrency` have a place, at most `rate` get one in any `per`; None is no limit.
    `created` is False when there was one of this name before it was put.
    """

    name: str
    concurrency: int | None
    rate: int | None
    per: timedelta | None
    running: int
    waiting: int
    updated_at: datetime
    created: bool = False


class Schedule(Struct, frozen=True, kw_only=True):
    """What is run when.

    `next_at` is None when it is paused or never fires again; `last_at` is the last fire, whatever
    came of it, `last_run` the last run that one started. It is `waiting` while its next fire, which
    has come, waits for the run before. The next `fires`, and the `problem` for which the next one
    would start no run, are told by `get` only. `created` is as that of a queue.
    """

    name: str
    cron: str
    zone: str
    workflow: str
    version: str
    input: Json
    labels: Mapping[str, str]
    queue: str
    run_key: str
    overlap: Overlap
    catch_up: timedelta
    jitter: timedelta
    note: str
    principal: str
    created_at: datetime
    updated_at: datetime
    paused: bool
    next_at: datetime | None
    last_at: datetime | None
    last_run: str
    waiting: bool
    fires: tuple[datetime, ...] = ()
    problem: Failure | None = None
    created: bool = False


class AuditEntry(Struct, frozen=True, kw_only=True):
    """Something that was done, in the chain of the audit log; `detail` is JSON as it was hashed."""

    sequence: int
    at: datetime
    principal: str
    action: str
    resource: str
    detail: str
    previous: str
    hash: str


class AuditHead(Struct, frozen=True, kw_only=True):
    """The hash of an entry of the audit log; sequence 0 where only the hash is known."""

    sequence: int
    hash: str


class AuditFinding(Struct, frozen=True):
    """Something that is not as it was; `where` says which entry, or which events of which run."""

    what: str
    where: str


class Verification(Struct, frozen=True, kw_only=True):
    """How far a check of the audit log is, and what was found since the last one of these.

    `unnoted_events` are those at the end of the log that nothing vouches for yet; they are known
    once it is `done`.
    """

    entries: int
    events: int
    deleted_runs: int
    unnoted_events: int
    findings: tuple[AuditFinding, ...]
    done: bool
    head: AuditHead


class Tool(Struct, frozen=True, kw_only=True):
    """Something that can be called; `suspended` tells why it may not be now.

    The schemas are told by `get` only. `destructive` and `open_world` are None when nobody said;
    `server` is the MCP server that it is of, `definition` names what callers are told of it.
    """

    name: str
    title: str
    description: str
    kind: str
    server: str
    input_schema: Json
    output_schema: Json
    read_only: bool
    destructive: bool | None
    idempotent: bool
    open_world: bool | None
    timeout: timedelta | None
    published: bool
    labels: tuple[str, ...]
    definition: str
    suspended: str


class ToolServer(Struct, frozen=True, kw_only=True):
    """An MCP server of the settings, and how it is.

    `refused` are tools that are not offered, with why; `words` is the end of what it wrote to its
    standard error.
    """

    name: str
    transport: str
    status: ServerStatus
    tools: tuple[str, ...]
    suspended: tuple[str, ...]
    refused: tuple[str, ...]
    product: str
    protocol: str
    starts: int
    problem: str
    words: str


class ToolChange(Struct, frozen=True, kw_only=True):
    """What a tool said when it was pinned, and says now; `diff` is empty when that is the same."""

    tool: str
    server: str
    pinned_definition: str
    offered_definition: str
    pinned_by: str
    pinned_at: datetime
    diff: str


class ApiKey(Struct, frozen=True, kw_only=True):
    """A key that callers show, without its secret; `used_at` is known to ten minutes or so."""

    id: str
    namespace: str
    subject: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None
    attributes: Mapping[str, tuple[str, ...]] = {}


class Factor(Struct, frozen=True, kw_only=True):
    """What a user proves with that it is he: `kind` is totp or passkey."""

    id: str
    kind: str
    label: str
    created_at: datetime
    used_at: datetime | None = None


class TotpOffer(Struct, frozen=True, kw_only=True):
    """A secret for an authenticator app; the ticket goes back with a code of it."""

    secret: str
    uri: str
    ticket: str


class Approval(Struct, frozen=True, kw_only=True):
    """A question that a run puts to a person.

    `about` is call, approval or outcome; `subject` is what an answer is bound to. What is large or
    sealed is left out of lists, and may be a reference.
    """

    id: str
    run: str
    step: str
    call: str
    about: str
    tool: str
    arguments: Json
    arguments_ref: BlobRef | None
    message: Json
    message_ref: BlobRef | None
    preview: Json
    """What a change of a datasource would do, row by row, where the call is one."""
    preview_ref: BlobRef | None
    principal: str
    rules: tuple[str, ...]
    reason: str
    subject: str
    policy: str
    groups: tuple[str, ...]
    caller_may_answer: bool
    requested_at: datetime
    expires_at: datetime | None
    status: str
    decided_by: str
    decided_at: datetime | None
    decision_reason: str


class ApprovalPage(Struct, frozen=True, kw_only=True):
    """One page of a list of approvals; `next_page_token` is empty on the last one."""

    approvals: tuple[Approval, ...]
    next_page_token: str


class Budget(Struct, frozen=True, kw_only=True):
    """What a scope may spend of a unit, and has; without a limit it is counted only."""

    scope: str
    unit: str
    limit: int | None
    used: int
    reserved: int
    principal: str
    updated_at: datetime
