"""What a client may ask about schedules."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal

from stepwell.client import decode
from stepwell.client.connection import Connection
from stepwell.client.encode import data
from stepwell.client.types import Overlap, Run, Schedule
from stepwell.clock import SystemClock, Uuid7Source
from stepwell.engine.values import Json
from stepwell.v1 import schedule_service_pb2 as pb

_OVERLAPS: Mapping[Overlap, pb.ScheduleOverlap.ValueType] = MappingProxyType(
    {
        "skip": pb.SCHEDULE_OVERLAP_SKIP,
        "queue": pb.SCHEDULE_OVERLAP_QUEUE,
        "allow": pb.SCHEDULE_OVERLAP_ALLOW,
        "cancel_other": pb.SCHEDULE_OVERLAP_CANCEL_OTHER,
    }
)
_READ: dict[int, Overlap] = {wire: overlap for overlap, wire in _OVERLAPS.items()}


class Schedules:
    """`client.schedules`: runs that are started by the clock."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ids = Uuid7Source(SystemClock())

    async def put(
        self,
        name: str,
        *,
        cron: str,
        workflow: str,
        zone: str = "UTC",
        version: str = "",
        input: Json = None,
        labels: Mapping[str, str] | None = None,
        queue: str = "",
        run_key: str = "",
        overlap: Overlap = "skip",
        catch_up: timedelta = timedelta(minutes=1),
        jitter: timedelta = timedelta(0),
        note: str = "",
        paused: bool | None = None,
    ) -> Schedule:
        """Makes a schedule, or replaces it as a whole.

        No input is an empty object, no version the newest one at the time of each fire. While a run
        of the fire before goes on, a fire starts none (`skip`), waits (`queue`), starts one beside
        it (`allow`) or in its place (`cancel_other`). One that is more than `catch_up` late starts
        none. Each is moved to a later time by at most `jitter`. With `paused` None a schedule that
        is there stays paused or not.
        """
        spec = pb.ScheduleSpec(
            cron=cron,
            zone=zone,
            workflow=workflow,
            version=version,
            input=None if input is None else data(input),
            labels=labels or {},
            queue=queue,
            run_key=run_key,
            overlap=_OVERLAPS[overlap],
            note=note,
        )
        spec.catch_up.FromTimedelta(catch_up)
        spec.jitter.FromTimedelta(jitter)
        request = pb.PutScheduleRequest(name=name, spec=spec, paused=paused)
        answer = await self._connection.call(self._connection.schedules.PutSchedule, request)
        return _schedule(answer.schedule, created=answer.created)

    async def get(self, name: str, *, fires: int = 5) -> Schedule:
        """One schedule, with its next fires, and why the next one would start no run."""
        request = pb.GetScheduleRequest(name=name, fires=fires)
        answer = await self._connection.call(self._connection.schedules.GetSchedule, request)
        return _schedule(answer.schedule, details=answer)

    async def list(self) -> tuple[Schedule, ...]:
        """All of them, by name."""
        found: tuple[Schedule, ...] = ()
        request = pb.ListSchedulesRequest(page_size=1000)
        while True:
            answer = await self._connection.call(self._connection.schedules.ListSchedules, request)
            found += tuple(map(_schedule, answer.schedules))
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def delete(self, name: str) -> None:
        """Forgets one; its runs stay and go on."""
        request = pb.DeleteScheduleRequest(name=name)
        await self._connection.call(self._connection.schedules.DeleteSchedule, request)

    async def pause(self, name: str, note: str = "") -> Schedule:
        """Holds one back; a note takes the place of its own until it is resumed or changed."""
        request = pb.PauseScheduleRequest(name=name, note=note)
        answer = await self._connection.call(self._connection.schedules.PauseSchedule, request)
        return _schedule(answer.schedule)

    async def resume(self, name: str, note: str = "") -> Schedule:
        """Lets one go on with its next fire; what it missed is not made up for."""
        request = pb.ResumeScheduleRequest(name=name, note=note)
        answer = await self._connection.call(self._connection.schedules.ResumeSchedule, request)
        return _schedule(answer.schedule)

    async def trigger(self, name: str, *, request_id: str | None = None) -> Run:
        """Starts a run now, beside the fires.

        Where it would overlap with another, which is not to be cancelled, it is `AlreadyExists`,
        RUN_KEY_TAKEN. The same `request_id` again gives the run that it started.
        """
        request = pb.TriggerScheduleRequest(name=name, request_id=request_id or self._ids.new_id())
        answer = await self._connection.call(self._connection.schedules.TriggerSchedule, request)
        return decode.run(answer.run, created=answer.created)


def _schedule(
    message: pb.Schedule, *, created: bool = False, details: pb.GetScheduleResponse | None = None
) -> Schedule:
    spec, told = message.spec, details or pb.GetScheduleResponse()
    return Schedule(
        name=message.name,
        cron=spec.cron,
        zone=spec.zone,
        workflow=spec.workflow,
        version=spec.version,
        input=decode.data(spec.input).value,
        labels=dict(spec.labels),
        queue=spec.queue,
        run_key=spec.run_key,
        overlap=_READ.get(spec.overlap, "skip"),
        catch_up=spec.catch_up.ToTimedelta(),
        jitter=spec.jitter.ToTimedelta(),
        note=spec.note,
        principal=message.principal,
        created_at=decode.instant(message.created_at),
        updated_at=decode.instant(message.updated_at),
        paused=message.paused,
        next_at=_maybe_instant(message, "next_at"),
        last_at=_maybe_instant(message, "last_at"),
        last_run=message.last_run.removeprefix(decode.RUN_PREFIX),
        waiting=message.waiting,
        fires=tuple(map(decode.instant, told.fires)),
        problem=decode.failure(told.problem) if told.HasField("problem") else None,
        created=created,
    )


def _maybe_instant(message: pb.Schedule, field: Literal["next_at", "last_at"]) -> datetime | None:
    return decode.instant(getattr(message, field)) if message.HasField(field) else None
