"""Lets schedules fire, beside every other process that does.

Whatever is decided here may be decided elsewhere at the same time. A run is started under the request
id of its fire, so it is started once; a schedule is moved on from the fire that was dealt with, so it
is moved once.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final, TypeAlias

from msgspec.structs import replace

from stepwell.clock import Clock
from stepwell.errors import AlreadyExists, Code, StepwellError
from stepwell.orchestrator.fires import Fires
from stepwell.orchestrator.schedule_rules import (
    ScheduleSpec,
    after_start,
    fires_of,
    is_waiting,
    read_spec,
    wanted_fire,
)
from stepwell.orchestrator.schedules import Schedules
from stepwell_storage.errors import StorageError
from stepwell_storage.ports import Storage
from stepwell_storage.records import ScheduleRow

AT_ONCE: Final = 100
"""Fires that are dealt with at the same time."""

REST: Final = timedelta(seconds=1)
"""Until a fire is tried again that waits for another run, or for the database."""

LONG_REST: Final = timedelta(minutes=1)
"""Until a schedule is looked at again that this version cannot deal with."""

_MICROSECOND: Final = timedelta(microseconds=1)
_PASSING: Final = (Code.STORAGE_FULL, Code.STORAGE_UNAVAILABLE, Code.LEASE_LOST)
_Key: TypeAlias = tuple[str, str]

log = logging.getLogger(__name__)


class ScheduleLoop:
    """Starts the runs of the fires that have come, until it is cancelled."""

    def __init__(
        self, storage: Storage, schedules: Schedules, *, clock: Clock, poll: timedelta
    ) -> None:
        """`poll` is the most that it sleeps: others change schedules, too."""
        self._storage = storage
        self._schedules = schedules
        self._clock = clock
        self._poll = poll // _MICROSECOND
        self._busy: set[_Key] = set()
        self._resting: dict[_Key, int] = {}
        """Schedules whose fire is tried again, and when."""
        self._one_is_done = asyncio.Event()
        self._expects = False

    @property
    def is_expecting(self) -> bool:
        """Whether a schedule fires again some time, as far as was seen last."""
        return self._expects or bool(self._busy)

    async def run(self) -> None:
        """Looks what is due, starts that, sleeps until the next fire; for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._one_is_done.clear()
                try:
                    wake_at = await self._look(tasks)
                except StorageError as error:
                    log.warning("the schedules cannot be read, trying again: %s", error)
                    wake_at = self._clock.now() + self._poll
                await self._sleep(wake_at)

    async def _sleep(self, wake_at: int) -> None:
        """Sleeps until then, or until a fire is dealt with: its schedule may have missed more."""
        seconds = max(wake_at - self._clock.now(), 0) / 1_000_000
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._one_is_done.wait()

    async def _look(self, tasks: asyncio.TaskGroup) -> int:
        """Begins to deal with what is due; tells when to look again."""
        now = self._clock.now()
        soon = now + self._poll
        self._resting = {key: until for key, until in self._resting.items() if until > now}
        dealt_with = frozenset(self._busy)  # what is read of these may be old
        next_at = await self._storage.schedules.next_due()
        self._expects = next_at is not None
        if next_at is None or next_at > soon:
            return soon
        most = AT_ONCE + len(self._resting)
        for namespace, row in await self._storage.schedules.due(now=soon, limit=most):
            key = namespace, row.name
            if key in dealt_with:
                continue
            assert row.next_at is not None, "it is due"
            at = self._resting.get(key, row.next_at)
            if at > now:
                soon = min(soon, at)
            elif len(self._busy) < AT_ONCE:
                self._busy.add(key)
                tasks.create_task(self._deal(key, row)).add_done_callback(partial(self._done, key))
        return soon

    def _done(self, key: _Key, task: asyncio.Task[None]) -> None:
        self._busy.discard(key)
        self._one_is_done.set()

    async def _deal(self, key: _Key, row: ScheduleRow) -> None:
        """Deals with one fire, and never fails: one schedule does not stop the others."""
        try:
            await self._fire(key, row)
        except StorageError as error:
            self._rest(key, REST)
            log.warning("the schedule %s has to wait for the database: %s", row.name, error)
        except Exception:
            self._rest(key, LONG_REST)
            log.exception("the schedule %s cannot fire with this version", row.name)

    async def _fire(self, key: _Key, row: ScheduleRow) -> None:
        namespace, name = key
        spec, now = read_spec(row), self._clock.now()
        fires = fires_of(namespace, name, spec)
        wanted = wanted_fire(row, spec, fires, now)
        if wanted != row.next_at:
            log.warning("the schedule %s passes over fires that were missed", name)
            await self._move_on(namespace, row, next_at=wanted)
            return
        try:
            run, is_new = await self._schedules.fire(namespace, row, spec)
        except AlreadyExists as error:
            await self._overlap(key, row, spec, fires, error)
        except StepwellError as error:
            await self._fail(key, row, fires, error)
        else:
            if is_new:
                log.info("the schedule %s has started run %s", name, run.id)
            next_at = after_start(row, fires, self._clock.now())
            await self._move_on(namespace, row, next_at=next_at, last_at=wanted, last_run=run.id)

    async def _overlap(
        self, key: _Key, row: ScheduleRow, spec: ScheduleSpec, fires: Fires, error: AlreadyExists
    ) -> None:
        """Another run goes on; or that of this fire was started when the schedule was another."""
        now, at = self._clock.now(), row.next_at
        if error.code is Code.REQUEST_ID_REUSED:
            await self._move_on(key[0], row, next_at=after_start(row, fires, now), last_at=at)
        elif spec.overlap == "skip":
            log.info("the schedule %s starts no run: %s", row.name, error)
            await self._move_on(key[0], row, next_at=fires.after(now), last_at=at)
        else:
            self._rest(key, REST)
            if spec.overlap == "queue" and not is_waiting(row):
                await self._move_on(key[0], row, next_at=at, last_at=at)

    async def _fail(self, key: _Key, row: ScheduleRow, fires: Fires, error: StepwellError) -> None:
        """The run cannot be started, now or for good."""
        if error.code in _PASSING:
            self._rest(key, REST)
            log.warning("the schedule %s has to wait: %s", row.name, error)
            return
        log.error("the schedule %s starts no run: %s: %s", row.name, error.code, error)
        next_at = fires.after(self._clock.now())
        await self._move_on(key[0], row, next_at=next_at, last_at=row.next_at)

    async def _move_on(self, namespace: str, row: ScheduleRow, **values: int | str | None) -> None:
        """Writes what became of a fire, unless another process was first or it was changed."""
        assert row.next_at is not None, "a fire has come"
        after = replace(row, **values)
        await self._storage.schedules.advance(namespace, after, from_at=row.next_at)

    def _rest(self, key: _Key, length: timedelta) -> None:
        self._resting[key] = self._clock.now() + length // _MICROSECOND
