"""Whatever dies while a change is made, it is made once or not at all, and can be undone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import psycopg
import pytest
from tests.contract.writes.crashing import ENDED, ENDING
from tests.contract.writes.postgres_shelves import PostgresDesk
from tests.contract.writes.shelves import SqliteDesk

from stepwell.nldb import applied_table
from stepwell.nldb.limits import Limits
from stepwell.nldb.postgres.connections import Connection
from stepwell.nldb.sqlite.database import SqliteDatabase
from stepwell.nldb.writes import applied, postgres
from stepwell.nldb.writes.job import Applied, Job, Outcome
from stepwell.nldb.writes.postgres import PostgresWriter
from stepwell.nldb.writes.sqlite import SqliteWriter
from stepwell.tools.modules import Source
from stepwell.tools.port import ToolFailed
from stepwell.tools.process import ProcessPool

pytestmark = pytest.mark.anyio

CHANGES = {
    "update": "UPDATE goods SET stock = stock + 1 WHERE shelf = 1",
    "insert": "INSERT INTO goods (name, stock) VALUES ('Vase', 1), ('Vase', 2)",
    "delete": "DELETE FROM goods WHERE shelf = 2",
}
STATEMENTS = 12
"""More than any of these changes asks of its transaction."""


class DyingWriter(SqliteWriter):
    """Kills the child that makes a change, once."""

    def __init__(self, desk: SqliteDesk, processes: ProcessPool, die_at: int) -> None:
        super().__init__(SqliteDatabase(desk.path, processes))
        self._file, self._pool, self._die_at = desk.path, processes, die_at
        self.died = False

    async def change(self, job: Job, limits: Limits) -> Outcome:
        """As `Writer.change`, until the child dies."""
        if job.application is None or self.died:
            return await super().change(job, limits)
        self.died = True
        told = await self._pool.call(
            Source("tests.contract.writes.crashing"),
            "change",
            {
                "path": str(self._file),
                "job": msgspec.to_builtins(job),
                "limits": msgspec.to_builtins(limits),
                "die_at": self._die_at,
            },
            timeout=limits.timeout,
        )
        return msgspec.convert(told, Outcome)


class CutConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """Is lost at a moment that the test chooses."""

    cut = ""

    async def execute(self, query: Any, *args: Any, **more: Any) -> Any:
        """As ever, unless it is the commit."""
        if query == "COMMIT" and self.cut:
            if self.cut == "after":
                await super().execute(query)
            await self.close()
            raise psycopg.OperationalError("the connection is lost")
        return await super().execute(query, *args, **more)


class CutWriter(PostgresWriter):
    """Loses the connection of a change, once."""

    def __init__(self, desk: PostgresDesk, die_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(self._lent)
        self._url, self._die_at, self._done = desk.url, die_at, 0
        self.died = False
        self._applies = False
        rows = postgres._rows

        async def counted(connection: Connection, *args: Any) -> Any:
            self._done += self._applies
            if self._applies and self._done == self._die_at:
                await connection.close()
                raise psycopg.OperationalError("the connection is lost")
            return await rows(connection, *args)

        monkeypatch.setattr(postgres, "_rows", counted)

    async def change(self, job: Job, limits: Limits) -> Outcome:
        """As `Writer.change`, until the connection is lost."""
        self._applies = job.application is not None and not self.died
        self.died = self.died or self._applies
        try:
            return await super().change(job, limits)
        finally:
            self._applies = False

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Any]:
        connection = await CutConnection.connect(self._url, autocommit=True)
        if self._applies:
            connection.cut = {ENDING: "before", ENDED: "after"}.get(self._die_at, "")
        try:
            yield connection
        finally:
            await connection.close()


async def _check(desk: SqliteDesk | PostgresDesk, kind: str, die_at: int) -> None:
    before = desk.dump()
    shown = await desk.preview(CHANGES[kind])
    key = "applying/call"
    try:
        first = await desk.apply(shown, key=key)
    except ToolFailed:
        assert desk.dump() == before
        first = None
    assert (first is None) == (die_at in (*range(1, 7), ENDING)) or die_at in range(7, ENDING)
    made = await desk.apply(shown, key=key)  # as the engine repeats it after a crash
    if first is not None:
        assert made == {**first, "repeated": True}
    rows = desk.rows("SELECT name, stock FROM goods ORDER BY name, stock")
    assert rows == AFTER[kind]
    assert [row["preview"] for row in (made,)] == [shown["preview"]]
    await desk.apply(await desk.undo(made))
    assert desk.dump() == before, f"after {die_at}"


AFTER = {
    "update": [("Chair", 1), ("Lamp", 5), ("Mug", 12), ("Pan", 7), ("Secret", 1)],
    "insert": [
        ("Chair", 0),
        ("Lamp", 4),
        ("Mug", 12),
        ("Pan", 7),
        ("Secret", 1),
        ("Vase", 1),
        ("Vase", 2),
    ],
    "delete": [("Chair", 0), ("Lamp", 4), ("Secret", 1)],
}


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("die_at", [*range(1, STATEMENTS + 1), ENDING, ENDED])
async def test_a_child_that_dies_anywhere_leaves_it_made_once(
    sqlite_desk: SqliteDesk, processes: ProcessPool, kind: str, die_at: int
) -> None:
    sqlite_desk.writer = DyingWriter(sqlite_desk, processes, die_at)
    await _check(sqlite_desk, kind, die_at)


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("die_at", [*range(1, STATEMENTS + 5), ENDING, ENDED])
async def test_a_connection_that_is_lost_anywhere_leaves_it_made_once(
    postgres_desk: PostgresDesk, monkeypatch: pytest.MonkeyPatch, kind: str, die_at: int
) -> None:
    postgres_desk.writer = CutWriter(postgres_desk, die_at, monkeypatch)
    await _check(postgres_desk, kind, die_at)


async def test_who_looks_waits_for_a_transaction_that_is_still_applying(
    postgres_desk: PostgresDesk,
) -> None:
    row = applied.put(
        "postgres", "public", Applied(key="k", preview="p", at="now", keys=[], state="s")
    )
    async with postgres_desk.lend() as connection:
        await connection.execute(applied_table.create_sql("public").encode())
        await connection.execute("BEGIN")
        await postgres._rows(connection, row.sql, row.parameters)
        looking = asyncio.create_task(
            postgres_desk.writer.look("public", "k", "p", Limits(), settles=True)
        )
        while not postgres_desk.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        await connection.execute("COMMIT")
        assert (await looking).applied is not None


async def test_two_calls_that_apply_one_preview_at_once_write_it_once(
    postgres_desk: PostgresDesk,
) -> None:
    desk = postgres_desk
    for kind in CHANGES:
        shown = await desk.preview(CHANGES[kind])
        made = await asyncio.gather(
            *(desk.apply(shown, key=f"{kind}{n}/call") for n in range(4)), return_exceptions=True
        )
        assert [one for one in made if isinstance(one, dict) and not one["repeated"]] != []
        assert desk.rows(
            f"SELECT count(*) FROM _stepwell_applied WHERE preview = '{shown['preview']}'"
        ) == [(1,)]
    assert desk.rows(
        "SELECT name, stock FROM goods WHERE name IN ('Lamp', 'Vase') ORDER BY 1, 2"
    ) == [
        ("Lamp", 5),
        ("Vase", 1),
        ("Vase", 2),
    ]
