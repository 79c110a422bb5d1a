"""Several processes on one PostgreSQL, one of them with a transaction that stalls.

`STEPWELL_WRITTEN_EVENTS=1000000` writes as many; the test suite itself writes a few.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from tests.e2e.writing import NAMESPACE

from stepwell_storage.open import open_storage
from stepwell_storage.ports import Storage

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1800)]

REPOSITORY = Path(__file__).resolve().parents[2]
WRITERS = 4
EVENTS = int(os.environ.get("STEPWELL_WRITTEN_EVENTS", "8000"))
PATIENCE = 60 + EVENTS / 500
STALLS = 3
STALLED = 1.5
"""Seconds that a foreign transaction holds the end of the log."""


class Watcher:
    """Follows a log by its positions, and notes each number that it sees."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.seen = 0

    async def has_seen(self, count: int) -> None:
        """Ends when it has seen more than so many."""
        while self.seen <= count:
            await asyncio.sleep(0.01)

    async def watch(self, until: int) -> None:
        """Ends when it has seen `until` events; a position that is missing ends the test."""
        while self.seen < until:
            page = await self._storage.log.read_log(NAMESPACE, after=self.seen, limit=1000)
            for logged in page:
                assert logged.position == self.seen + 1, "no watcher misses an event"
                self.seen = logged.position
            if not page:
                await self._storage.log.wait_past(NAMESPACE, self.seen, timeout=1)


@contextmanager
def holding_the_end_of_the_log(url: str) -> Iterator[None]:
    """A transaction that has begun to give positions, and goes no further."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE stepwell.log_heads SET position = position WHERE namespace = %s", [NAMESPACE]
        )
        yield
        connection.rollback()


async def test_no_watcher_misses_an_event_of_many_writers(postgres_url: str) -> None:
    storage, other = open_storage(postgres_url), open_storage(postgres_url)
    await storage.open()
    await other.open()
    share = EVENTS // WRITERS
    watchers = [Watcher(storage), Watcher(other)]
    writers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.e2e.writing", postgres_url, str(writer), str(share)),
            cwd=REPOSITORY,
        )
        for writer in range(WRITERS)
    ]
    try:
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            for watcher in watchers:
                tasks.create_task(watcher.watch(share * WRITERS))
            for stall in range(STALLS):
                await watchers[0].has_seen(share * stall)
                with holding_the_end_of_the_log(postgres_url):
                    await asyncio.sleep(STALLED)
        assert [await writer.wait() for writer in writers] == [0] * WRITERS
        assert await storage.log.last_position(NAMESPACE) == share * WRITERS
    finally:
        for writer in writers:
            if writer.returncode is None:
                writer.kill()
                await writer.wait()
        await storage.close()
        await other.close()
