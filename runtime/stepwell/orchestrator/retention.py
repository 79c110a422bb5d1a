"""Retention: ended runs are forgotten when their time is over, and nothing else ever is."""

import asyncio
import logging
from datetime import timedelta
from typing import Final

from stepwell.clock import Clock
from stepwell.durations import format_duration
from stepwell.errors import InvalidRequest
from stepwell.orchestrator.audit import Audit, farewell
from stepwell.orchestrator.authority import demand_user
from stepwell.orchestrator.refusals import refusals
from stepwell.principals import Caller
from stepwell_storage.errors import StorageError
from stepwell_storage.ports import Storage

SHORTEST: Final = timedelta(minutes=1)
"""Whoever waits for a run reads its output after its end."""
LONGEST: Final = timedelta(days=36_500)

BATCH: Final = 100
"""Runs that are deleted before others are let to the database."""
PAUSE: Final = 0.2
"""Seconds between two batches."""

_MICROSECOND: Final = timedelta(microseconds=1)

log = logging.getLogger(__name__)


class Retention:
    """How long ended runs are kept. Every method takes the caller first."""

    def __init__(self, storage: Storage, audit: Audit) -> None:
        self._storage = storage
        self._audit = audit

    async def set_retention(self, caller: Caller, keep: timedelta | None) -> None:
        """Keeps ended runs for this long, those that there are as well; None is for ever.

        A run is kept longer while its parent, a child or a fork of it is kept.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            InvalidRequest: INVALID_REQUEST, the time is too short or too long.
        """
        demand_user(caller, "how long runs are kept is set", "stepwell retention set")
        if keep is not None and not SHORTEST <= keep <= LONGEST:
            problem = f"is {format_duration(keep)}; it is a time from 1m to {LONGEST.days}d"
            raise InvalidRequest(f"keep {problem}", detail={"keep": problem})
        keep_us = None if keep is None else keep // _MICROSECOND
        with refusals():
            await self._storage.retention.keep(caller.namespace, keep_us)
        kept = "for ever" if keep is None else format_duration(keep)
        await self._audit.record(
            caller.namespace, caller.principal, "retention.set", "retention", {"keep": kept}
        )

    async def get_retention(self, caller: Caller) -> timedelta | None:
        """How long ended runs are kept; None is for ever."""
        with refusals():
            keep_us = await self._storage.retention.kept(caller.namespace)
        return None if keep_us is None else keep_us * _MICROSECOND


class RetentionLoop:
    """Deletes the runs whose time is over, until it is cancelled."""

    def __init__(self, storage: Storage, *, clock: Clock, every: timedelta) -> None:
        """`every` is how often it looks."""
        self._storage = storage
        self._clock = clock
        self._every = max(every.total_seconds(), PAUSE)

    async def run(self) -> None:
        """Looks for runs whose time is over and deletes them, a few at a time; for ever."""
        while True:
            try:
                await self._purge()
            except StorageError as error:
                log.warning("old runs cannot be deleted, trying again: %s", error)
            await asyncio.sleep(self._every)

    async def _purge(self) -> None:
        deleted = BATCH
        while deleted >= BATCH:
            now = self._clock.now()
            deleted = await self._storage.retention.purge(
                now=now, limit=BATCH, farewell=farewell(now)
            )
            if deleted:
                log.info("%d runs have been deleted, their time was over", deleted)
                await asyncio.sleep(PAUSE)
