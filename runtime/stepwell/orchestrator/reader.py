"""Reading the log of a namespace: a page at a time, or as it grows.

A cursor is a place in the log as a whole, also when only one run is read: it moves over what
was left out, so that a reader who comes back does not read it again.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from stepwell.engine import codec
from stepwell.orchestrator.cursors import log_cursor, log_position
from stepwell.orchestrator.views import EventBatch, RunEvent
from stepwell_storage.ports import Storage
from stepwell_storage.records import Logged


class LogReader:
    """Gives events in the order of their commits."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def page(self, namespace: str, *, run: str | None, cursor: str, limit: int) -> EventBatch:
        """The next events after a cursor, at most `limit`.

        Raises:
            InvalidRequest: INVALID_CURSOR, CURSOR_EXPIRED.
        """
        last = await self._storage.log.last_position(namespace)
        after = log_position(cursor, self._storage.id, last)
        batch, _ = await self._read(namespace, run, after, limit)
        return batch

    async def watch(
        self,
        namespace: str,
        *,
        run: str | None,
        cursor: str | None,
        batch: int,
        heartbeat: timedelta,
    ) -> AsyncIterator[EventBatch]:
        """Batches as they happen, an empty one every `heartbeat` of silence.

        With `run` it ends when the run has ended and everything of it was given.

        Raises:
            InvalidRequest: INVALID_CURSOR, CURSOR_EXPIRED.
        """
        after = await self._storage.log.last_position(namespace)
        if cursor is not None:
            after = log_position(cursor, self._storage.id, after)
        clock, patience = asyncio.get_running_loop().time, heartbeat.total_seconds()
        due = clock() + patience
        silent = cursor is None  # whoever begins now is told at once where that is
        while True:
            # Asked before the read: what the run wrote until it ended is in what is read then.
            ended = run is not None and await self._has_ended(namespace, run)
            found, after = await self._read(namespace, run, after, batch)
            if found.events or silent:
                yield found
                due = clock() + patience
            if ended and found.caught_up:
                return
            silent = False
            if found.caught_up:
                # What other runs write ends the wait, and is no reason to say anything.
                rest = max(0.0, due - clock())
                is_past = await self._storage.log.wait_past(namespace, after, timeout=rest)
                silent = not is_past or clock() >= due

    async def _has_ended(self, namespace: str, run: str) -> bool:
        return (await self._storage.runs.get(namespace, run)).ended_at is not None

    async def _read(
        self, namespace: str, run: str | None, after: int, limit: int
    ) -> tuple[EventBatch, int]:
        """A batch, and the position that its cursor stands for."""
        last = await self._storage.log.last_position(namespace)
        rows = await self._storage.log.read_log(namespace, after=after, limit=limit, run=run)
        full = len(rows) == limit
        head = rows[-1].position if full else max(last, after, rows[-1].position if rows else 0)
        batch = EventBatch(
            events=tuple(_event(row) for row in rows),
            cursor=log_cursor(self._storage.id, head),
            caught_up=not full,
        )
        return batch, head


def _event(row: Logged) -> RunEvent:
    record = row.record
    return RunEvent(
        run=row.run,
        sequence=record.sequence,
        kind=record.kind,
        principal=record.principal,
        event=codec.decode(record.kind, record.body),
    )
