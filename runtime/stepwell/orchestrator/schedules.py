"""Schedules: runs that are started by the clock, by nobody's hand.

`ScheduleLoop` lets them fire; here people make, look at and hold them.
"""

from collections.abc import Iterator, Mapping
from itertools import islice, takewhile
from typing import Literal, Protocol

from msgspec.structs import replace

from stepwell.clock import Clock, IdSource
from stepwell.engine.instants import instant_text
from stepwell.engine.values import Failure, Json
from stepwell.errors import Code, Denied, NotFound, StepwellError
from stepwell.orchestrator.approvals import Factors
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.authority import demand_user
from stepwell.orchestrator.intake import check_input
from stepwell.orchestrator.queues import Queues
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.schedule_rules import (
    ScheduleSpec,
    check_spec,
    fires_of,
    is_waiting,
    read_spec,
    run_key_of,
    write_spec,
)
from stepwell.orchestrator.texts import check_texts
from stepwell.orchestrator.views import Run, Schedule
from stepwell.orchestrator.workflows import Workflows
from stepwell.principals import SCHEDULE, Caller
from stepwell.tools.registry import ToolRegistry
from stepwell_storage.ports import Storage
from stepwell_storage.records import ScheduleRow

MOST_FIRES = 1000
"""How many fires one may ask for at a time."""

HORIZON = 20 * 366 * 86_400_000_000
"""Microseconds after the next fire in which more are looked for: rare ones take long to find, and
nobody else is answered meanwhile."""


class StartRun(Protocol):
    """Starts runs."""

    async def __call__(
        self,
        caller: Caller,
        workflow: str,
        input: Json,
        *,
        version: str | None = None,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        run_key: str = "",
        on_conflict: Literal["fail", "cancel_existing"] = "fail",
        queue: str = "",
    ) -> tuple[Run, bool]:
        """`Service.start_run`."""
        ...


class Schedules:
    """What a caller may ask about schedules. Every method takes the caller first."""

    def __init__(
        self,
        storage: Storage,
        *,
        workflows: Workflows,
        tools: ToolRegistry,
        queues: Queues,
        start_run: StartRun,
        audit: Audit,
        factors: Factors,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        self._storage = storage
        self._audit = audit
        self._factors = factors
        self._workflows = workflows
        self._tools = tools
        self._queues = queues
        self._start_run = start_run
        self._clock = clock
        self._ids = ids

    async def put_schedule(
        self, caller: Caller, name: str, spec: ScheduleSpec, *, paused: bool | None = None
    ) -> tuple[Schedule, bool]:
        """Makes a schedule, or replaces it; the flag tells whether it is new.

        With `paused` None one that is there stays as it is. A fire that has come already is not
        lost unless the times become others.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user; FACTOR_REQUIRED, he has no factor, and
                others have.
            InvalidRequest: INVALID_REQUEST, it would never fire; INVALID_INPUT.
            NotFound: WORKFLOW_NOT_FOUND, QUEUE_NOT_FOUND.
        """
        demand_user(caller, "schedules are made", f"stepwell schedules put {name}")
        await self._demand_enrolled(caller)
        check_texts(
            spec.labels,
            name=name,
            workflow=spec.workflow,
            version=spec.version,
            run_key=spec.run_key,
            queue=spec.queue,
        )
        check_spec(spec)
        fires = fires_of(caller.namespace, name, spec)
        await self._check_start(caller, spec)
        now = self._clock.now()
        old = await self._find(caller, name)
        row = ScheduleRow(
            name,
            write_spec(spec),
            caller.principal,
            created_at=now,
            updated_at=now,
            next_at=fires.after(now),
            paused=bool(paused),
        )
        if old is not None:
            row = _successor(row, old, spec, paused)
        with refusals():
            is_new = await self._storage.schedules.put(caller.namespace, row)
        await self._record(caller, "put", name, {"workflow": spec.workflow})
        return _schedule(row), is_new

    async def get_schedule(self, caller: Caller, name: str) -> Schedule:
        """One schedule.

        Raises:
            NotFound: SCHEDULE_NOT_FOUND.
        """
        return _schedule(await self._row(caller, name))

    async def next_fires(self, caller: Caller, name: str, count: int) -> tuple[int, ...]:
        """When a schedule fires next, as if it were not paused.

        At most `MOST_FIRES` times; after the first, at most 20 years ahead.

        Raises:
            NotFound: SCHEDULE_NOT_FOUND.
        """
        row = await self._row(caller, name)
        fires = fires_of(caller.namespace, name, read_spec(row))
        is_known = row.next_at is not None and not row.paused
        after = row.next_at - 1 if is_known and row.next_at else self._clock.now()
        return tuple(_within_sight(islice(fires.following(after), min(count, MOST_FIRES))))

    async def problem(self, caller: Caller, name: str) -> Failure | None:
        """Why the next fire of a schedule would start no run, as things are now; None if it would.

        Raises:
            NotFound: SCHEDULE_NOT_FOUND.
        """
        row = await self._row(caller, name)
        try:
            await self._check_start(caller, read_spec(row))
        except StepwellError as error:
            if error.retryable:
                raise
            return Failure(error.code, error.message, detail=dict(error.detail))
        return None

    async def list_schedules(self, caller: Caller) -> tuple[Schedule, ...]:
        """All of them, by name."""
        with refusals():
            return tuple(map(_schedule, await self._storage.schedules.list(caller.namespace)))

    async def remove_schedule(self, caller: Caller, name: str) -> None:
        """Forgets a schedule; its runs stay.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            NotFound: SCHEDULE_NOT_FOUND.
        """
        demand_user(caller, "schedules are removed", f"stepwell schedules remove {name}")
        check_texts(name=name)
        with refusals(_no_schedule(name), Code.SCHEDULE_NOT_FOUND):
            await self._storage.schedules.remove(caller.namespace, name)
        await self._record(caller, "remove", name)

    async def pause_schedule(self, caller: Caller, name: str, note: str = "") -> Schedule:
        """Holds a schedule back; a note takes the place of its own until it is resumed or changed.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            NotFound: SCHEDULE_NOT_FOUND.
        """
        demand_user(caller, "schedules are paused", f"stepwell schedules pause {name}")
        return await self._hold(caller, await self._row(caller, name), note, paused=True)

    async def resume_schedule(self, caller: Caller, name: str, note: str = "") -> Schedule:
        """Lets a schedule go on with its next fire; what it missed is not made up for.

        A note takes the place of its own, which is shown again without one.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            NotFound: SCHEDULE_NOT_FOUND.
        """
        demand_user(caller, "schedules are resumed", f"stepwell schedules resume {name}")
        row = await self._row(caller, name)
        if row.paused:
            fires = fires_of(caller.namespace, name, read_spec(row))
            row = replace(row, next_at=fires.after(self._clock.now()))
        return await self._hold(caller, row, note, paused=False)

    async def trigger_schedule(
        self, caller: Caller, name: str, *, request_id: str | None = None
    ) -> tuple[Run, bool]:
        """Starts a run now, beside the fires; the flag is False for a repeat.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            NotFound: SCHEDULE_NOT_FOUND.
            AlreadyExists: RUN_KEY_TAKEN, another run goes on, which is neither cancelled nor may
                it overlap.
            Whatever `Service.start_run` raises.
        """
        demand_user(caller, "schedules are triggered", f"stepwell schedules trigger {name}")
        spec = read_spec(await self._row(caller, name))
        id = f"schedule/{name}/trigger/{request_id or self._ids.new_id()}"
        run, is_new = await self._start(caller.namespace, name, spec, {"schedule": name}, id)
        await self._record(caller, "trigger", name, {"run": run.id})
        return run, is_new

    async def fire(self, namespace: str, row: ScheduleRow, spec: ScheduleSpec) -> tuple[Run, bool]:
        """Starts the run of the fire that has come; the flag is False when it was started before.

        Raises:
            AlreadyExists: RUN_KEY_TAKEN, another run goes on; REQUEST_ID_REUSED, it was started
                when the schedule was another.
            Whatever `Service.start_run` raises.
        """
        assert row.next_at is not None, "a fire has come"
        fire = instant_text(row.next_at)
        labels = {"schedule": row.name, "fire": fire}
        id = f"schedule/{row.name}/{fire}"
        return await self._start(namespace, row.name, spec, labels, id)

    # --- inside ---------------------------------------------------------------------------

    async def _start(
        self,
        namespace: str,
        name: str,
        spec: ScheduleSpec,
        labels: Mapping[str, str],
        request_id: str,
    ) -> tuple[Run, bool]:
        return await self._start_run(
            # Nobody else can be this, so nobody else can have used its request ids.
            Caller(namespace, f"{SCHEDULE}{name}"),
            spec.workflow,
            spec.input,
            version=spec.version or None,
            labels={**spec.labels, **labels},
            request_id=request_id,
            run_key=run_key_of(name, spec),
            on_conflict="cancel_existing" if spec.overlap == "cancel_other" else "fail",
            queue=spec.queue,
        )

    async def _demand_enrolled(self, caller: Caller) -> None:
        """What a workflow lists is permitted in the runs of schedules, whoever of the users made them."""
        if await self._factors.is_wanted(caller) and not await self._factors.is_enrolled(caller):
            raise Denied(
                f"others in the namespace have enrolled a factor, and {caller.principal} has not; "
                "schedules are made by users who have (stepwell factor enroll)",
                code=Code.FACTOR_REQUIRED,
            )

    async def _check_start(self, caller: Caller, spec: ScheduleSpec) -> None:
        """Whether a run could be started now."""
        with refusals():
            graph = await self._workflows.graph(
                caller.namespace, spec.workflow, spec.version or None
            )
        check_input(graph, spec.input, self._tools)
        if spec.queue:
            await self._queues.get_queue(caller, spec.queue)

    async def _row(self, caller: Caller, name: str) -> ScheduleRow:
        check_texts(name=name)
        with refusals(_no_schedule(name), Code.SCHEDULE_NOT_FOUND):
            return await self._storage.schedules.get(caller.namespace, name)

    async def _find(self, caller: Caller, name: str) -> ScheduleRow | None:
        try:
            return await self._row(caller, name)
        except NotFound:
            return None

    async def _hold(self, caller: Caller, row: ScheduleRow, note: str, *, paused: bool) -> Schedule:
        spec = read_spec(row)
        own_note = spec.note if spec.own_note is None else spec.own_note
        if not paused:
            spec = replace(spec, note=note or own_note, own_note=None)
        elif note:
            spec = replace(spec, note=note, own_note=own_note)
        row = replace(
            row,
            spec=write_spec(spec),
            updated_at=self._clock.now(),
            paused=paused,
        )
        with refusals():
            await self._storage.schedules.put(caller.namespace, row)
        await self._record(caller, "pause" if paused else "resume", row.name)
        return _schedule(row)

    async def _record(
        self, caller: Caller, verb: str, name: str, detail: Mapping[str, str] = {}
    ) -> None:
        await self._audit.record(
            caller.namespace, caller.principal, f"schedule.{verb}", f"schedule/{name}", detail
        )


def _within_sight(fires: Iterator[int]) -> Iterator[int]:
    first = next(fires, None)
    if first is not None:
        yield first
        yield from takewhile(lambda at: at <= first + HORIZON, fires)


def _successor(
    row: ScheduleRow, old: ScheduleRow, spec: ScheduleSpec, paused: bool | None
) -> ScheduleRow:
    """A new row in the place of another: it goes on where that one was."""
    stays_paused = old.paused if paused is None else paused
    goes_on = read_spec(old).timing == spec.timing and not old.paused
    return replace(
        row,
        created_at=old.created_at,
        next_at=old.next_at if goes_on else row.next_at,
        last_at=old.last_at,
        last_run=old.last_run,
        paused=stays_paused,
    )


def _no_schedule(name: str) -> str:
    return f"there is no schedule {name!r}; `stepwell schedules list` shows all"


def _schedule(row: ScheduleRow) -> Schedule:
    return Schedule(
        name=row.name,
        spec=read_spec(row),
        principal=row.principal,
        created_at=row.created_at,
        updated_at=row.updated_at,
        paused=row.paused,
        next_at=None if row.paused else row.next_at,
        last_at=row.last_at,
        last_run=row.last_run or "",
        waiting=is_waiting(row) and not row.paused,
    )
