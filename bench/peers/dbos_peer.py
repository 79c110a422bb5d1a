"""DBOS Transact with asynchronous steps, the cheapest that it has.

Its SQLite is set to a write-ahead log by hand, which it does not do itself: it is faster so.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID

from bench.peers.assignment import Assignment, carry_out
from bench.trial import STEPS, step_result, stored_bytes

POOL = 20


async def _step(number: int) -> dict[str, object]:
    return step_result(number)


step = DBOS.step()(_step)


async def _chain() -> int:
    return sum([(await step(number))["ok"] for number in range(STEPS)])


async def _fan_out(items: int) -> int:
    return len(await asyncio.gather(*(step(number) for number in range(items))))


chain = DBOS.workflow()(_chain)
fan_out = DBOS.workflow()(_fan_out)


class DbosPeer:
    """See `assignment.Peer`."""

    def __init__(self, assignment: Assignment) -> None:
        self._url = assignment.url
        self._runs = 0

    def stored_bytes(self) -> int:
        return stored_bytes(self._url)

    async def run(self) -> None:
        self._runs += 1
        with SetWorkflowID(f"run-{self._runs}"):
            assert await chain() == STEPS

    async def fan_out(self, items: int) -> None:
        assert await fan_out(items) == items


@asynccontextmanager
async def opened(assignment: Assignment) -> AsyncIterator[DbosPeer]:
    """DBOS on the database, launched."""
    if assignment.file is not None:
        _set_up(assignment)
    DBOS(
        config={
            "name": "bench",
            "system_database_url": assignment.url,
            "log_level": "ERROR",
            "sys_db_pool_size": POOL,
            "application_version": "1",
        }
    )
    DBOS.launch()
    yield DbosPeer(assignment)


def _set_up(assignment: Assignment) -> None:
    with sqlite3.connect(str(assignment.file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()

    def make_durable(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous = FULL")

    sa.event.listen(sa.pool.Pool, "connect", make_durable)


if __name__ == "__main__":
    carry_out(opened)
