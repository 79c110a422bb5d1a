"""What the runtime asks of a store. Storage holds opaque records and knows no domain type.

Everything lives in exactly one namespace, and every method takes it first. Times are UTC
microseconds, handed in by the caller: a store owns no clock. Every adapter passes the same
conformance suite (`tests/contract`); change the suite with the port.

Two orders: a record's `sequence` counts from 1 without a gap inside its run; its `position`
grows over the whole namespace in commit order, so a reader that passes its last position
misses nothing that is committed later. A run's id is a UUID in its canonical text form; any
other text names no run.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from stepwell_storage.errors import StorageError
from stepwell_storage.records import (
    ApiKeyRow,
    Append,
    ApprovalRow,
    Attempts,
    AuditEntry,
    AuditHead,
    Blob,
    BudgetRow,
    Census,
    Condition,
    DatasourceRow,
    Deed,
    DefinitionRow,
    FactorRow,
    KeyRow,
    Lease,
    Letter,
    Logged,
    PinRow,
    PolicyHead,
    PolicyRow,
    QueueLoad,
    QueueRow,
    Record,
    Reservation,
    Rest,
    RingUse,
    RunRow,
    ScheduleRow,
    Short,
    StoredRow,
    Ticket,
    Unnoted,
    Used,
)

Farewell: TypeAlias = Callable[[Sequence[str]], Deed]
"""What goes into the audit chain when these runs of one namespace are deleted. Pure: it is called on
the thread that writes."""

CommitWatch: TypeAlias = Callable[[int, float, StorageError | None], None]
"""Told of each transaction of this process: how many writes, seconds, and why it was refused."""


class EventLog(Protocol):
    """The append-only log. Nothing but retention of whole runs ever deletes from it."""

    def append(self, append: Append) -> asyncio.Future[int]:
        """Queues an append; the future ends after the commit that holds it.

        Appends of one process are committed in the order in which they were queued, many in
        one transaction; one that is refused does not fail its neighbours. Cancelling the future
        does not take back what is queued. The result is the position of the last record.

        An append that is repeated exactly, in the same epoch and while the log still ends with
        it, is answered as it was the first time and written once. So whoever was told
        Unavailable, because a connection broke while the commit was on its way, asks again.

        Raises (through the future):
            Fenced: the run's lease has another epoch, or nobody holds it.
            Duplicate: `new.request_id` was used before by this principal.
            KeyTaken: an open run has `new.run_key`, or that of a run that is reopened.
            Conflict: the run's log does not end at `after`, or `new` and the run exists.
            Full: nothing of it was written.
            Unavailable: nothing of it was written, or nobody can tell yet whether it was.
            ValueError: a text that no row of this database can hold, such as half a character.
        """
        ...

    async def read(
        self, namespace: str, run: str, *, after: int = 0, limit: int = 1000
    ) -> list[Record]:
        """The run's records with a sequence above `after`, in order, at most `limit`."""
        ...

    async def read_log(
        self, namespace: str, *, after: int, limit: int = 1000, run: str | None = None
    ) -> list[Logged]:
        """Records with a position above `after`, in order; of one run only where it is given."""
        ...

    async def last_position(self, namespace: str) -> int:
        """The position of the newest record; 0 for an empty log."""
        ...

    async def wait_past(self, namespace: str, position: int, *, timeout: float) -> bool:
        """Ends when the log may hold more than `position`, or after `timeout` seconds with False.

        A commit of this process ends it at once; one of another process may be seen only
        when the time is over.
        """
        ...


class Claims(Protocol):
    """Who may append to which run."""

    async def claim(
        self, owner: str, *, now: int, expires_at: int, limit: int, only_free: bool = False
    ) -> list[Lease]:
        """Takes over runs that have not ended and whose lease expired by `now`, oldest first.

        Each gets the next epoch, so every append of the owner before is refused from then on.
        Those that `owner` holds itself are left alone, expired or not; with `only_free` those
        that anybody holds.
        """
        ...

    async def evict(self, owner: str, *, now: int) -> int:
        """Lets go, at `now`, of every lease that somebody else than `owner` holds.

        For a process that knows that it is the only one. Tells how many there were.
        """
        ...

    async def last(self, namespace: str, run: str) -> Lease:
        """The last lease of a run, whether somebody holds it or the run has ended.

        Raises:
            Missing: there is no such run in this namespace.
        """
        ...

    async def held(self, owner: str) -> list[Lease]:
        """The leases of `owner`, expired or not: for a process that an answer did not reach."""
        ...

    async def heartbeat(self, owner: str, *, expires_at: int) -> int:
        """Extends every lease of `owner` in one statement; tells how many there are."""
        ...

    async def park(self, owner: str, rests: Sequence[Rest]) -> list[Rest]:
        """Lets go of runs of `owner` that wait; tells which ones it has let go of.

        Each may be claimed from its `wake_at` on, and at once when a letter comes for it. One that
        has a letter already, whose log has gone on, or whose lease is not the owner's any more,
        is left as it is. The epoch stays, and no append is accepted until somebody claims it.
        """
        ...

    async def next_wake(self) -> int | None:
        """When the next run that nobody holds may be claimed; None when there is none."""
        ...

    async def release(self, owner: str, *, now: int) -> int:
        """Lets go of every lease of `owner` at `now`, so that anybody may claim it at once.

        Tells how many there were. What `owner` has still queued is accepted until then.
        """
        ...


class Inbox(Protocol):
    """Letters to runs, from whoever does not own them. `append` sends and takes them too."""

    async def send(self, namespace: str, letter: Letter) -> bool:
        """Leaves a letter for a run; one that is parked may be claimed from `letter.at` on.

        False, and nothing is left, when the run has ended or is not there.
        """
        ...

    async def fetch(self, owner: str, *, limit: int) -> list[tuple[str, Letter]]:
        """Letters for runs that `owner` holds, with their namespace, oldest first."""
        ...

    async def drop(self, namespace: str, run: str, ids: Sequence[str]) -> None:
        """Removes letters that teach their run nothing."""
        ...

    async def is_waiting(self, namespace: str, run: str, id: str) -> bool:
        """Whether a letter has not been taken yet."""
        ...

    async def wait(self, *, timeout: float) -> bool:
        """Ends when there may be a letter to fetch or a run to claim, or after `timeout` seconds.

        What this process does (a letter sent, or left by `append` or `admit`; a ticket given back)
        ends it at once.
        False when only the time is over.
        """
        ...


class Approvals(Protocol):
    """What runs ask of people. Written by `append`, deleted with the run."""

    async def get(self, namespace: str, id: str) -> ApprovalRow:
        """One of them.

        Raises:
            Missing: there is none with this id.
        """
        ...

    async def waiting(self, *, since: int, limit: int) -> list[tuple[str, ApprovalRow]]:
        """Those of any namespace that wait, and were asked for at `since` or later, oldest first."""
        ...

    async def list(
        self,
        namespace: str,
        *,
        limit: int,
        status: str | None = None,
        before: tuple[int, str] | None = None,
    ) -> list[ApprovalRow]:
        """Newest first, those of one status only where it is given.

        `before` is (requested_at, id) of the last row of the page before.
        """
        ...


class Queues(Protocol):
    """Named queues, whose limits hold over all processes."""

    async def put(self, namespace: str, row: QueueRow) -> bool:
        """Makes a queue, or changes its limits; True when it is new."""
        ...

    async def get(self, namespace: str, name: str) -> QueueLoad:
        """One queue.

        Raises:
            Missing: there is none of that name.
        """
        ...

    async def remove(self, namespace: str, name: str) -> None:
        """Forgets a queue that nobody waits for or is in.

        Raises:
            Missing: there is none of that name.
            Exists: it has tickets.
        """
        ...

    async def enter(self, namespace: str, tickets: Sequence[Ticket], *, now: int) -> list[Ticket]:
        """Asks for places; tells which of these tickets have one now, or had one already.

        A ticket is one by (run, step): asked for again it keeps its place in the line. Those of a
        queue that is not there are admitted at once. The line is by `at`, then by run and step.

        Those with an `epoch` that is not that of their run's lease, or whose lease is given up, are
        left out: whoever owned the run before takes no place that nobody would give back.
        """
        ...

    async def admit(self, *, now: int) -> int | None:
        """Admits whatever the limits allow, in all queues of all namespaces.

        Each run with a ticket that is admitted here gets a letter of the kind `admitted`, whose
        body is the name of the step in UTF-8 and whose id is `admitted/RUN/STEP`. A ticket of a run
        that has ended, or that is not there, is given back. Tells when a rate limit next lets
        somebody in; None when time alone changes nothing.
        """
        ...

    async def list(self, namespace: str) -> list[QueueLoad]:
        """All of them, by name."""
        ...


class Schedules(Protocol):
    """What is run again and again."""

    async def put(self, namespace: str, row: ScheduleRow) -> bool:
        """Makes a schedule, or replaces it; True when it is new."""
        ...

    async def get(self, namespace: str, name: str) -> ScheduleRow:
        """One schedule.

        Raises:
            Missing: there is none of that name.
        """
        ...

    async def remove(self, namespace: str, name: str) -> None:
        """Forgets one.

        Raises:
            Missing: there is none of that name.
        """
        ...

    async def due(self, *, now: int, limit: int) -> list[tuple[str, ScheduleRow]]:
        """Those of any namespace that are not paused and whose `next_at` has come, earliest first."""
        ...

    async def advance(self, namespace: str, row: ScheduleRow, *, from_at: int) -> bool:
        """Writes `next_at`, `last_at` and `last_run` if the row still has `next_at` = `from_at`.

        False when another process was first, or the schedule was changed meanwhile.
        """
        ...

    async def next_due(self) -> int | None:
        """When the next one that is not paused is due; None when there is none."""
        ...

    async def list(self, namespace: str) -> list[ScheduleRow]:
        """All of them, by name."""
        ...


class Retention(Protocol):
    """How long ended runs are kept, and the only thing that deletes events: whole runs."""

    async def keep(self, namespace: str, keep_us: int | None) -> None:
        """Keeps ended runs of a namespace for this long; None is for ever."""
        ...

    async def kept(self, namespace: str) -> int | None:
        """How long ended runs of a namespace are kept."""
        ...

    async def purge(self, *, now: int, limit: int, farewell: Farewell | None = None) -> int:
        """Deletes at most `limit` ended runs whose time is over, oldest first; tells how many.

        Each transaction puts its `farewell` into the audit chain of the namespace.

        All of a run goes in one transaction: events, blobs, keys of `run:ID`, letters, tickets,
        labels, request ids, lease and row. A run stays while a run that was forked from it, or
        its parent or child, is there whose own time is not over.
        """
        ...


class Keys(Protocol):
    """Wrapped data keys, with which blobs are encrypted."""

    async def add(self, namespace: str, row: KeyRow) -> KeyRow:
        """Adds the key of a subject; answers with the one that it has already, if it has one.

        Raises:
            Exists: another key has this id.
        """
        ...

    async def get(self, namespace: str, ids: Sequence[str]) -> dict[str, KeyRow]:
        """The keys of these ids; one that is not there is left out."""
        ...

    async def of_subject(self, namespace: str, subject: str) -> KeyRow | None:
        """The key of a subject that is not destroyed."""
        ...

    async def destroy(self, namespace: str, subject: str, *, now: int) -> int:
        """Empties the keys of a subject for good: what they encrypted cannot be read any more.

        Tells how many there were.
        """
        ...

    async def rings(self) -> list[RingUse]:
        """The keys of the ring that wrap keys of any namespace, by name."""
        ...

    async def not_wrapped_with(self, ring: str, *, limit: int) -> list[tuple[str, KeyRow]]:
        """Keys of any namespace that another key of the ring wraps, for rotation."""
        ...

    async def rewrap(self, namespace: str, row: KeyRow) -> bool:
        """Replaces `ring` and `wrapped` of a key that is not destroyed; False when it is."""
        ...

    async def list(
        self, namespace: str, *, limit: int, after: tuple[str, str] = ("", "")
    ) -> list[KeyRow]:
        """By subject, then id, also those that are destroyed.

        `after` is (subject, id) of the last row of the page before.
        """
        ...


class Blobs(Protocol):
    """Content too large, or too private, for the body of an event. Written by `append`."""

    async def get(self, namespace: str, run: str, digests: Sequence[str]) -> dict[str, Blob]:
        """The blobs of these digests; one that is not there is left out."""
        ...


class Counts(Protocol):
    """How much there is of what, for those who watch the whole store."""

    async def take(self, statuses: Sequence[str]) -> Census:
        """Counts. It passes over nothing but what is counted, so that it may be asked often."""
        ...


class Runs(Protocol):
    """The list of runs."""

    async def get(self, namespace: str, run: str) -> RunRow:
        """One run.

        Raises:
            Missing: there is no such run in this namespace.
        """
        ...

    async def list(
        self,
        namespace: str,
        *,
        limit: int,
        before: tuple[int, str] | None = None,
        where: Sequence[Condition] = (),
    ) -> list[RunRow]:
        """Newest first, those for which all conditions hold.

        `before` is (created_at, run) of the last row of the page before.
        """
        ...


class Definitions(Protocol):
    """Workflow versions. Immutable: the newest one put is what a bare name means."""

    async def put(self, namespace: str, row: DefinitionRow, *, takes_over: bool = False) -> bool:
        """Adds a version, or makes one that exists the newest again; True when it is new.

        Who put it first stays its author, unless this one `takes_over`.
        """
        ...

    async def get(self, namespace: str, name: str, version: str | None = None) -> DefinitionRow:
        """One version, the newest by default.

        Raises:
            Missing: there is no such workflow or version.
        """
        ...

    async def list(self, namespace: str) -> list[DefinitionRow]:
        """The newest version of every workflow, by name."""
        ...


class Datasources(Protocol):
    """Databases that tools may reach."""

    async def add(self, namespace: str, row: DatasourceRow) -> None:
        """Adds one.

        Raises:
            Exists: the name is taken.
        """
        ...

    async def get(self, namespace: str, name: str) -> DatasourceRow:
        """One datasource.

        Raises:
            Missing: there is none of that name.
        """
        ...

    async def list(self, namespace: str) -> list[DatasourceRow]:
        """All of them, by name."""
        ...

    async def teach(self, namespace: str, name: str, taught: bytes) -> None:
        """Puts what people told of one in the place of what they told before.

        Raises:
            Missing: there is none of that name.
        """
        ...

    async def remove(self, namespace: str, name: str) -> None:
        """Forgets one.

        Raises:
            Missing: there is none of that name.
        """
        ...


class Policies(Protocol):
    """Versions of policies. Immutable: at most one of a namespace is in force."""

    async def put(self, namespace: str, row: PolicyRow) -> bool:
        """Adds a version; False when it is there already, and is left as it is."""
        ...

    async def apply(self, namespace: str, head: PolicyHead) -> None:
        """Puts a version into force, in place of the one that was.

        Raises:
            Missing: there is no such version.
        """
        ...

    async def withdraw(self, namespace: str) -> bool:
        """Leaves no version in force; False when none was. The versions stay."""
        ...

    async def get(self, namespace: str, version: str) -> PolicyRow:
        """One version.

        Raises:
            Missing: there is no such version.
        """
        ...

    async def list(self, namespace: str) -> list[PolicyRow]:
        """Every version, newest first."""
        ...

    async def in_force(self) -> dict[str, PolicyHead]:
        """What is in force, by namespace: every process asks again and again."""
        ...


class AuditChain(Protocol):
    """What was done, in one chain of hashes per namespace. Nothing ever deletes from it."""

    async def append(self, namespace: str, deed: Deed) -> int:
        """Puts a deed at the end of the chain; tells its sequence, which counts from 1 without a gap.

        Whatever processes append at the same time, each entry follows the one before it.
        """
        ...

    async def note(self, namespace: str, deed: Deed, *, after: int, to: int) -> int | None:
        """Appends a deed that vouches for the positions above `after` up to `to` of the log.

        None, and nothing is appended, when the chain does not vouch for exactly what is up to
        `after`: another process was first.
        """
        ...

    async def head(self, namespace: str) -> AuditHead:
        """Where the chain ends; sequence 0 where there is none."""
        ...

    async def read(self, namespace: str, *, after: int = 0, limit: int = 1000) -> list[AuditEntry]:
        """Entries with a sequence above `after`, in order, as they are stored."""
        ...

    async def unnoted(self, *, limit: int) -> list[Unnoted]:
        """Namespaces whose log goes further than their chain vouches for, by name."""
        ...

    async def rows(
        self, namespace: str, *, after: int, to: int, limit: int = 1000
    ) -> list[StoredRow]:
        """Rows of the log with a position above `after` up to `to`, in order, as they are stored."""
        ...

    async def namespaces(self) -> list[str]:
        """Those that have a chain, by name."""
        ...


class Budgets(Protocol):
    """What may be spent, and what is. Scopes, accounts and units are names that the store compares."""

    async def put(self, namespace: str, row: BudgetRow) -> None:
        """Sets a limit, or replaces it."""
        ...

    async def remove(self, namespace: str, scope: str, unit: str) -> bool:
        """Takes a limit away; False when there was none. What was counted stays."""
        ...

    async def of_run(self, namespace: str, run: str) -> list[BudgetRow]:
        """Those of one run, by unit."""
        ...

    async def shared(self) -> list[tuple[str, BudgetRow]]:
        """Those of all namespaces that are of no run."""
        ...

    async def reserve(self, namespace: str, reservation: Reservation, *, now: int) -> Short | None:
        """Reserves all of it, or nothing, and then tells what is short.

        Whatever processes reserve at the same time, what is spent and reserved of an account is
        never more than its scope allows. Reservations whose time is over make room. A charge
        without a limit in its scope counts nowhere.
        """
        ...

    async def used(self, namespace: str, accounts: Sequence[str]) -> list[Used]:
        """What is in these accounts, by account and unit."""
        ...

    async def list(self, namespace: str) -> list[BudgetRow]:
        """Those that are of no run, by scope and unit."""
        ...


class Pins(Protocol):
    """What tools of others said of themselves when they were pinned."""

    async def add(self, namespace: str, rows: Sequence[PinRow]) -> None:
        """Pins tools, all at once; one that has a pin keeps it."""
        ...

    async def replace(self, namespace: str, row: PinRow, *, was: str) -> None:
        """Pins a tool anew.

        Raises:
            Missing: it has no pin.
            Conflict: its pin is of another definition than `was`.
        """
        ...

    async def get(self, namespace: str, tool: str) -> PinRow:
        """The pin of a tool.

        Raises:
            Missing: it has none.
        """
        ...

    async def list(self, namespace: str) -> list[PinRow]:
        """All of them, by tool."""
        ...


class ApiKeys(Protocol):
    """Keys that callers show to say who they are."""

    async def add(self, namespace: str, row: ApiKeyRow) -> None:
        """Adds one.

        Raises:
            Exists: a key of any namespace has this id.
        """
        ...

    async def find(self, id: str) -> tuple[str, ApiKeyRow] | None:
        """The key of this id, and its namespace."""
        ...

    async def list(self, namespace: str) -> list[ApiKeyRow]:
        """All of them, oldest first, those that are revoked too."""
        ...

    async def revoke(self, namespace: str, id: str, *, now: int) -> ApiKeyRow:
        """Lets nobody in with it any more; one that is revoked already stays as it is.

        Raises:
            Missing: there is no such key in this namespace.
        """
        ...

    async def touch(self, namespace: str, id: str, *, now: int) -> None:
        """Notes that it is in use."""
        ...


class Factors(Protocol):
    """What principals have enrolled to prove that it is they, and how often they failed to."""

    async def add(self, namespace: str, row: FactorRow, *, is_first: bool = False) -> None:
        """Adds one; with `is_first` only where the principal has none.

        Raises:
            Exists: there is one of this id; or, with `is_first`, any of this principal.
        """
        ...

    async def list(self, namespace: str, principal: str | None = None) -> list[FactorRow]:
        """Those of a principal, or of all, oldest first."""
        ...

    async def remove(self, namespace: str, principal: str, id: str) -> None:
        """Forgets one.

        Raises:
            Missing: the principal has no such factor.
        """
        ...

    async def advance(self, namespace: str, id: str, *, counter: int, now: int) -> bool:
        """Notes that it was used. False when its counter has not grown, unless it stays at 0."""
        ...

    async def spend(self, namespace: str, token: str, *, until: int, now: int) -> bool:
        """Whether a token is seen for the first time. It may be forgotten after `until`."""
        ...

    async def attempts(self, namespace: str, principal: str) -> Attempts:
        """How often he has failed in a row."""
        ...

    async def attempt(self, namespace: str, principal: str, *, after: Attempts, now: int) -> bool:
        """Counts one more; False when it is not `after` these any more, and nothing is counted."""
        ...

    async def clear_attempts(self, namespace: str, principal: str) -> None:
        """Begins to count anew."""
        ...


class Storage(Protocol):
    """All ports over one database."""

    @property
    def id(self) -> str:
        """Made with the database; a cursor of another log is told apart by it."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other processes may own runs of it at the same time."""
        ...

    @property
    def log(self) -> EventLog: ...
    @property
    def claims(self) -> Claims: ...
    @property
    def inbox(self) -> Inbox: ...
    @property
    def approvals(self) -> Approvals: ...
    @property
    def queues(self) -> Queues: ...
    @property
    def schedules(self) -> Schedules: ...
    @property
    def retention(self) -> Retention: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def blobs(self) -> Blobs: ...
    @property
    def counts(self) -> Counts: ...
    @property
    def runs(self) -> Runs: ...
    @property
    def definitions(self) -> Definitions: ...
    @property
    def datasources(self) -> Datasources: ...
    @property
    def policies(self) -> Policies: ...
    @property
    def audit(self) -> AuditChain: ...
    @property
    def budgets(self) -> Budgets: ...
    @property
    def pins(self) -> Pins: ...
    @property
    def api_keys(self) -> ApiKeys: ...
    @property
    def factors(self) -> Factors: ...

    async def open(self) -> None:
        """Connects, and brings the schema up to date.

        Raises:
            Incompatible: the database belongs to a newer version or to something else.
            Unavailable: it cannot be reached.
        """
        ...

    async def ping(self) -> None:
        """Proves that the database can be read and written.

        Raises:
            Unavailable, Full: it cannot.
        """
        ...

    async def close(self) -> None:
        """Waits for what is queued, then disconnects."""
        ...
