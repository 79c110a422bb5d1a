"""What goes into a store and comes out of it. Opaque: storage knows no domain type.

Times are UTC microseconds, handed in by the caller. A record's `sequence` counts from 1 without
a gap inside its run; its `position` grows over the whole namespace in commit order.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from msgspec import Struct

FOR_EVER = 2**63 - 1
"""No time is as late as this."""

_canonical = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NO_RUN_ID = "{!r} is not a run id: it must be a UUID in canonical form"
_TEXTS = frozenset(("status", "workflow", "version", "principal", "run_key"))
_TIMES = frozenset(("created_at", "updated_at", "ended_at"))
_RUNS = frozenset(("parent", "forked_from"))


def is_run_id(text: str) -> bool:
    """Whether a text is a UUID in canonical form."""
    return len(text) == 36 and _is_canonical(text)


@lru_cache(maxsize=4096)
def _is_canonical(text: str) -> bool:
    # Remembered, as every append asks it of a run that has appended before.
    return _canonical.fullmatch(text) is not None


class Record(Struct, frozen=True):
    """One event as the store sees it: a kind, which is one word, and a body, which is JSON.

    The store looks into neither, but it may put several of them together and take them apart.
    """

    sequence: int
    kind: str
    principal: str
    body: bytes


class Logged(Struct, frozen=True):
    """A record as read back from the log of a namespace."""

    run: str
    position: int
    record: Record


class Blob(Struct, frozen=True):
    """Content that an event refers to by its digest; kept with the run that wrote it.

    `key_id` names the key it is encrypted with ("" is plain). `label` is what policy and
    retention go by, for instance `datasource:shop`.
    """

    digest: str
    size: int
    data: bytes
    label: str = ""
    key_id: str = ""


class Head(Struct, frozen=True):
    """What the list of runs shows, updated in the transaction of the event that changes it.

    `ended_at` set means that the run has ended: its lease is given up and never claimed again.
    """

    status: str
    at: int
    ended_at: int | None = None
    detail: bytes = b""


class Letter(Struct, frozen=True):
    """What a run is to be told by somebody who does not own it; kept until the run has taken it.

    `run` is who it is for. An `id` is unique in its namespace: sent again it changes nothing.
    """

    id: str
    run: str
    kind: str
    principal: str
    body: bytes
    at: int


class ApprovalRow(Struct, frozen=True):
    """What a run asks a person, or has asked. `detail` is opaque.

    `run`, `step` and `call` say what it is about, `sequence` is that of the event that asks, `principal`
    is who wants to go on. `expires_at` is when nobody can answer any more. While its `status` is
    `waiting` nobody has decided.

    Raises:
        ValueError: `run` is no run id.
    """

    id: str
    run: str
    step: str
    call: str
    about: str
    status: str
    principal: str
    subject: str
    sequence: int
    requested_at: int
    expires_at: int | None = None
    decided_at: int | None = None
    decided_by: str = ""
    detail: bytes = b""

    def __post_init__(self) -> None:
        if not is_run_id(self.run):
            raise ValueError(_NO_RUN_ID.format(self.run))


WAITING = "waiting"
"""The status of an approval that nobody has decided."""

WITHDRAWN = "withdrawn"
"""The status of an approval that nobody needs any more."""


class NewRun(Struct, frozen=True):
    """The row and the first lease of a run, made with its first events.

    The lease has epoch 1. `labels` are kept as they are. No two runs of a namespace that have
    not ended have the same `run_key`. `parent` is the run that this one is a step of,
    `forked_from` the run whose log this one goes on from; retention keeps that as long as this.

    `request_id`, where given, is unique per (namespace, principal); `request_digest` tells
    whether a second request with the same id asks for the same thing.

    Raises:
        ValueError: `parent` or `forked_from` is no run id.
    """

    workflow: str
    version: str
    principal: str
    created_at: int
    owner: str
    lease_expires_at: int
    labels: Mapping[str, str] = {}
    request_id: str | None = None
    request_digest: str = ""
    run_key: str | None = None
    parent: str | None = None
    forked_from: str | None = None

    def __post_init__(self) -> None:
        for run in (self.parent, self.forked_from):
            if run is not None and not is_run_id(run):
                raise ValueError(_NO_RUN_ID.format(run))


class Reopened(Struct, frozen=True):
    """The new lease of a run that had ended and goes on: its epoch is the one after the last."""

    owner: str
    lease_expires_at: int


class BudgetRow(Struct, frozen=True):
    """At most `amount` of a unit in a scope; None is counted and not limited.

    With `run` it goes when that run is deleted.
    """

    scope: str
    unit: str
    amount: int | None
    principal: str
    updated_at: int
    run: str | None = None


class Charge(Struct, frozen=True):
    """An amount of a unit, which counts in an account and may not exceed what its scope allows.

    `amount` None is one that nobody knows. An account with `run` goes when that run is deleted.
    """

    scope: str
    account: str
    unit: str
    amount: int | None
    run: str | None = None


class Reservation(Struct, frozen=True):
    """What a call of a run will need at most, for as long as it goes on and until `expires_at`.

    The call is known by (run, key): reserved again it keeps what it has.
    """

    run: str
    key: str
    charges: tuple[Charge, ...]
    expires_at: int


class Spent(Struct, frozen=True):
    """What a call has needed: it takes the place of what was reserved for the key."""

    key: str
    charges: tuple[Charge, ...] = ()


class Short(Struct, frozen=True):
    """Why there is no reservation: `taken` of `limit` is spent or reserved, and `wanted` too much.

    `wanted` None is an amount that nobody knows.
    """

    scope: str
    unit: str
    limit: int
    taken: int
    wanted: int | None


class Used(Struct, frozen=True):
    """What an account has: spent, and reserved for calls that go on."""

    account: str
    unit: str
    used: int
    reserved: int


class Append(Struct, frozen=True):
    """Consecutive events of one run, all or nothing.

    `after` is the sequence of the run's last event so far; `epoch` is the writer's lease.
    With `new` the run must not exist yet, `after` is 0, `epoch` is 1 and there is a `head`.
    A blob that the run has already is left as it is. With `reopened` the run must have ended,
    `epoch` is that of its last lease, and there is a `head` that has not ended.

    In the same transaction `letters` go to other runs of the namespace (those to a run that has
    ended, or that is not there, are dropped), the letters of this run whose ids are in `taken`
    are removed, and its queue tickets of the steps in `left` are given back. Each of `approvals`
    is added to the list of them, or takes the place of the one with its id there; with `withdraws`
    those of this run that are still waiting then are withdrawn, at that time.
    What its calls have `spent` is counted, and with `frees` all else that is reserved for the run is
    given back. `budgets` are made where they are not there.

    Raises:
        ValueError: it cannot be right, whatever the store holds.
    """

    namespace: str
    run: str
    epoch: int
    after: int
    records: tuple[Record, ...]
    blobs: tuple[Blob, ...] = ()
    head: Head | None = None
    new: NewRun | None = None
    reopened: Reopened | None = None
    letters: tuple[Letter, ...] = ()
    taken: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    approvals: tuple[ApprovalRow, ...] = ()
    withdraws: int | None = None
    spent: tuple[Spent, ...] = ()
    frees: bool = False
    budgets: tuple[BudgetRow, ...] = ()

    def __post_init__(self) -> None:
        if not is_run_id(self.run):
            raise ValueError(_NO_RUN_ID.format(self.run))
        if not self.records:
            raise ValueError("an append has at least one record")
        for expected, record in enumerate(self.records, self.after + 1):
            if record.sequence != expected:
                raise ValueError(f"record {record.sequence} stands where {expected} must be")
            if " " in record.kind:
                raise ValueError(f"{record.kind!r} is not one word, as a kind must be")
        if self.new is not None and (self.after or self.epoch != 1 or self.head is None):
            raise ValueError("a new run begins after 0, in epoch 1, with a head")
        if self.reopened is not None and (
            self.new is not None or self.head is None or self.head.ended_at is not None
        ):
            raise ValueError("a run that is reopened is not new, and has a head that has not ended")

    @property
    def last(self) -> int:
        """The sequence of the last record."""
        return self.after + len(self.records)

    @property
    def then_epoch(self) -> int:
        """The epoch of the run's lease afterwards."""
        return self.epoch if self.reopened is None else self.epoch + 1


class RunRow(Struct, frozen=True):
    """One line of the list of runs."""

    namespace: str
    run: str
    workflow: str
    version: str
    principal: str
    status: str
    created_at: int
    updated_at: int
    ended_at: int | None
    labels: Mapping[str, str]
    detail: bytes
    run_key: str | None = None
    parent: str | None = None
    forked_from: str | None = None


class Condition(Struct, frozen=True):
    """One condition of a filter over the list of runs; `values` has one, or any of which may hold.

    `field` is a column of `RunRow` (status, workflow, version, principal, created_at, updated_at,
    ended_at, run_key, parent, forked_from) or `labels.NAME`. `!=` holds too where there is no value.

    Raises:
        ValueError: it cannot be right, whatever the store holds.
    """

    field: str
    operator: Literal["=", "!=", "<", "<=", ">", ">="]
    values: tuple[str | int, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a condition has at least one value")
        if self.field in _TIMES:
            if not all(isinstance(it, int) and abs(it) <= FOR_EVER for it in self.values):
                raise ValueError(f"{self.field} is compared with times in microseconds")
        elif self.field in _RUNS:
            if self.operator not in ("=", "!="):
                raise ValueError(f"{self.field} is the same or another, not more or less")
        elif self.field not in _TEXTS and self.label is None:
            raise ValueError(f"{self.field!r} is nothing that a run can be listed by")
        if self.field not in _TIMES and not all(isinstance(it, str) for it in self.values):
            raise ValueError(f"{self.field} is compared with texts")

    @property
    def label(self) -> str | None:
        """The name of the label that is compared, where it is one."""
        kind, dot, name = self.field.partition(".")
        return name if dot and kind == "labels" else None


class Lease(Struct, frozen=True):
    """The right to append to a run, fenced by its epoch."""

    namespace: str
    run: str
    epoch: int


class Rest(Struct, frozen=True):
    """A run of which nothing is in flight: nobody need hold it until `wake_at`, or until a letter.

    `wake_at` None is for ever. `sequence` is where the log ends for whoever lets it rest.
    """

    namespace: str
    run: str
    epoch: int
    sequence: int
    wake_at: int | None


class QueueRow(Struct, frozen=True):
    """A named queue: at most `concurrency` at a time, at most `rate` admitted in any `per_us`.

    None is no limit; `rate` and `per_us` go together. 0 of `concurrency` admits nothing.

    Raises:
        ValueError: no queue can be like this.
    """

    name: str
    concurrency: int | None
    rate: int | None
    per_us: int | None
    updated_at: int

    def __post_init__(self) -> None:
        if (self.rate is None) != (self.per_us is None):
            raise ValueError("a rate is so many in so long")
        if min(self.concurrency or 0, self.rate or 0) < 0 or (
            self.per_us is not None and self.per_us < 1
        ):
            raise ValueError("no queue admits fewer than none, or any number in no time")


class QueueLoad(Struct, frozen=True):
    """A queue, and how many tickets hold a place in it and wait for one."""

    queue: QueueRow
    running: int
    waiting: int


class Ticket(Struct, frozen=True):
    """A wish for a place in a queue: by a step of a run, or by the whole run where `step` is "".

    `epoch` is the lease under which it is asked for, where that matters.

    Raises:
        ValueError: `run` is no run id.
    """

    queue: str
    run: str
    step: str
    at: int
    epoch: int | None = None

    def __post_init__(self) -> None:
        if not is_run_id(self.run):
            raise ValueError(_NO_RUN_ID.format(self.run))


class ScheduleRow(Struct, frozen=True):
    """When a workflow is run again and again. `next_at` is the next fire; None when there is none.

    `spec` is opaque: what is run, and by which rules.

    Raises:
        ValueError: `last_run` is no run id.
    """

    name: str
    spec: bytes
    principal: str
    created_at: int
    updated_at: int
    next_at: int | None
    last_at: int | None = None
    last_run: str | None = None
    paused: bool = False

    def __post_init__(self) -> None:
        if self.last_run is not None and not is_run_id(self.last_run):
            raise ValueError(_NO_RUN_ID.format(self.last_run))


class KeyRow(Struct, frozen=True):
    """A data key, wrapped with the key `ring` of the key ring; `wrapped` is empty once destroyed.

    `subject` says whose data it is for: `run:ID`, or the name of a person or thing.
    """

    id: str
    subject: str
    ring: str
    wrapped: bytes
    created_at: int
    destroyed_at: int | None = None


class RingUse(Struct, frozen=True):
    """How many data keys one key of the ring wraps, and one of them, in `namespace`."""

    ring: str
    keys: int
    namespace: str
    sample: KeyRow


class Deed(Struct, frozen=True):
    """What somebody did, for the audit chain. `detail` is JSON, as text."""

    at: int
    principal: str
    action: str
    resource: str
    detail: str = "{}"


class AuditEntry(Struct, frozen=True):
    """A deed in the chain of its namespace; `hash` covers all of it (`stepwell_storage.chain`)."""

    sequence: int
    at: int
    principal: str
    action: str
    resource: str
    detail: str
    previous: str
    hash: str


class AuditHead(Struct, frozen=True):
    """Where a chain ends, and up to which position of the log its entries vouch for events."""

    sequence: int
    hash: str
    noted: int


class Unnoted(Struct, frozen=True):
    """A namespace whose log ends at `position`, while its chain vouches for it up to `noted`."""

    namespace: str
    noted: int
    position: int


class StoredRow(Struct, frozen=True):
    """A row of the log as it is stored; it may hold several events, and the numbers are its last's."""

    run: str
    sequence: int
    position: int
    kind: str
    principal: str
    body: bytes


class Census(Struct, frozen=True):
    """How much there is at the moment, in all namespaces.

    `runs` counts those of each status that was asked for; queues go with their namespace.
    """

    runs: Mapping[str, int]
    letters: int
    queues: tuple[tuple[str, QueueLoad], ...]


class DefinitionRow(Struct, frozen=True):
    """An immutable version of a workflow, named by the digest of its source, and its author."""

    name: str
    version: str
    source: bytes
    principal: str
    created_at: int


class PolicyRow(Struct, frozen=True):
    """An immutable version of a policy, named by the digest of its source."""

    version: str
    source: bytes
    principal: str
    created_at: int


class PolicyHead(Struct, frozen=True):
    """Which version of a policy is in force, who has said so, and when."""

    version: str
    principal: str
    applied_at: int


class DatasourceRow(Struct, frozen=True):
    """A database that the SQL tools may reach; `taught` is what people told of it, b"" if nothing."""

    name: str
    url: str
    principal: str
    created_at: int
    taught: bytes = b""


class PinRow(Struct, frozen=True):
    """What a tool said of itself when it was pinned: `definition` names it, `body` holds it.

    `source` is the server that the tool is of.
    """

    tool: str
    source: str
    definition: str
    body: bytes
    principal: str
    pinned_at: int


class ApiKeyRow(Struct, frozen=True):
    """A key that callers show, without its secret: `hash` is what the secret is checked against.

    `id` is in one namespace only, of all. `is_vouched` says that whoever made it proved to be
    present. `used_at` is about when it was used last; None is never. `attributes` is opaque JSON.
    """

    id: str
    subject: str
    kind: str
    hash: bytes
    created_by: str
    created_at: int
    is_vouched: bool = False
    expires_at: int | None = None
    revoked_at: int | None = None
    used_at: int | None = None
    attributes: str = "{}"


class FactorRow(Struct, frozen=True):
    """What a principal has besides his name to prove that it is he.

    `secret` is opaque. `counter` only ever grows: it is what the factor counts by itself, and 0
    where it counts nothing.
    """

    id: str
    principal: str
    kind: str
    label: str
    secret: bytes
    created_at: int
    counter: int = 0
    used_at: int | None = None


class Attempts(Struct, frozen=True):
    """How often in a row a principal has failed to prove who he is, and when last."""

    failed: int = 0
    at: int = 0
