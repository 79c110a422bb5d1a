"""A database that is held by others, gone, another one, or that dies in the middle of a change."""

import asyncio
import selectors
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from dev.postgres import PostgresServer, Shutdown, running_postgres
from tests.contract.writes import postgres_shelves
from tests.contract.writes.postgres_shelves import PostgresDesk
from tests.contract.writes.shelves import Desk, SqliteDesk

from stepwell.errors import Code
from stepwell.nldb.applied_table import create_sql
from stepwell.tools.port import ToolFailed

pytestmark = pytest.mark.anyio

UPDATE = "UPDATE goods SET stock = stock + 1 WHERE shelf = 1"
INSERT = "INSERT INTO goods (name, stock) VALUES ('Vase', 1)"


@pytest.fixture(scope="module")
def fragile() -> Iterator[PostgresServer]:
    """A server that may die: nobody else uses it."""
    with running_postgres() as server:
        yield server


@pytest.fixture
async def fragile_desk(fragile: PostgresServer, tmp_path: object) -> AsyncIterator[PostgresDesk]:
    made = PostgresDesk(fragile.create_database(f"shop_{abs(hash(tmp_path))}"))
    made.run(postgres_shelves.SHOP)
    yield made
    await made.close()


async def test_a_file_that_is_locked_is_changed_when_it_is_free(sqlite_desk: SqliteDesk) -> None:
    shown = await sqlite_desk.preview(UPDATE)
    before = sqlite_desk.dump()
    with closing(sqlite3.connect(sqlite_desk.path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        for call in (sqlite_desk.preview(UPDATE), sqlite_desk.apply(shown)):
            with pytest.raises(ToolFailed, match="another program holds the database") as refusal:
                await call
            assert (refusal.value.code, refusal.value.retryable) == ("QUERY_FAILED", True)
    assert sqlite_desk.dump() == before
    assert (await sqlite_desk.apply(shown))["repeated"] is False


async def test_rows_that_are_locked_are_changed_when_they_are_free(
    postgres_desk: PostgresDesk,
) -> None:
    desk = postgres_desk
    shown = await desk.preview(UPDATE)
    before = desk.dump()
    with psycopg.connect(desk.url) as holder:
        holder.execute("SELECT 1 FROM goods WHERE id = 2 FOR UPDATE")
        for call in (desk.preview(UPDATE), desk.apply(shown)):
            with pytest.raises(ToolFailed, match="somebody else is changing") as refusal:
                await call
            assert (refusal.value.code, refusal.value.retryable) == ("QUERY_FAILED", True)
        holder.rollback()
    assert desk.dump() == before
    assert (await desk.apply(shown))["repeated"] is False


async def test_a_file_that_is_gone_is_told(sqlite_desk: SqliteDesk) -> None:
    shown = await sqlite_desk.preview(UPDATE)
    away = sqlite_desk.path.rename(sqlite_desk.path.with_name("away.db"))
    for call in (sqlite_desk.preview, sqlite_desk.apply):
        with pytest.raises(ToolFailed, match="was the file moved") as refusal:
            await call(UPDATE if call == sqlite_desk.preview else shown)
        assert refusal.value.code == "QUERY_FAILED"
    assert not sqlite_desk.path.exists()
    away.rename(sqlite_desk.path)
    assert (await sqlite_desk.apply(shown))["repeated"] is False


async def test_another_file_in_its_place_is_not_changed(sqlite_desk: SqliteDesk) -> None:
    shown = await sqlite_desk.preview(UPDATE)
    sqlite_desk.path.rename(sqlite_desk.path.with_name("away.db"))
    sqlite_desk.run("CREATE TABLE goods (id INTEGER PRIMARY KEY, stock INTEGER, shelf INTEGER);"
                    "INSERT INTO goods VALUES (1, 4, 1), (2, 0, 1)")  # fmt: skip
    with pytest.raises(ToolFailed) as refusal:
        await sqlite_desk.apply(shown)
    assert refusal.value.code == "PREVIEW_STALE"
    assert sqlite_desk.rows("SELECT stock FROM goods") == [(4,), (0,)]


@pytest.mark.parametrize(
    "meanwhile",
    [
        "DROP TABLE marks; DROP TABLE goods",
        "ALTER TABLE goods RENAME TO wares",
        "ALTER TABLE goods RENAME COLUMN stock TO amount",
        "CREATE UNIQUE INDEX one ON goods (name, shelf)",
        "ALTER TABLE goods ADD COLUMN label TEXT",
    ],
)
async def test_a_schema_that_has_changed_is_found_out(desk: Desk, meanwhile: str) -> None:
    shown = await desk.preview(UPDATE)
    desk.run(meanwhile)
    before = desk.dump()
    with pytest.raises(ToolFailed) as refusal:
        await desk.apply(shown)
    assert refusal.value.code == "PREVIEW_STALE"
    assert desk.dump() == before


async def test_a_schema_that_says_the_same_of_what_was_shown_makes_nothing_stale(
    desk: Desk,
) -> None:
    shown = await desk.preview(UPDATE)
    desk.run("CREATE INDEX quick ON goods (shelf)")
    assert (await desk.apply(shown))["rows"] == 2


async def test_a_row_that_a_cascade_would_meet_makes_a_preview_stale(desk: Desk) -> None:
    shown = await desk.preview("DELETE FROM shelves WHERE id = 2")
    desk.run("INSERT INTO goods (id, name, shelf) VALUES (9, 'New', 2)")
    before = desk.dump()
    with pytest.raises(ToolFailed) as refusal:
        await desk.apply(shown)
    assert refusal.value.code == "PREVIEW_STALE"
    assert desk.dump() == before


async def test_changes_that_are_the_first_at_the_same_moment_are_all_made(desk: Desk) -> None:
    names = [f"Vase {n}" for n in range(4)]
    shown = [
        await desk.preview("INSERT INTO goods (name) VALUES (:name)", parameters={"name": name})
        for name in names
    ]
    made = await asyncio.gather(*map(desk.apply, shown))
    assert [one["repeated"] for one in made] == [False] * len(names)
    found = desk.rows("SELECT name FROM goods WHERE name LIKE 'Vase%' ORDER BY name")
    assert found == [(name,) for name in names]


async def test_the_first_change_waits_for_another_that_is_the_first(
    postgres_desk: PostgresDesk,
) -> None:
    desk = postgres_desk
    shown = await desk.preview(UPDATE)
    with psycopg.connect(desk.url) as other:
        other.execute(create_sql("public").encode())
        applying = asyncio.create_task(desk.apply(shown))
        await until_somebody_waits(desk)
        other.commit()
        made = await applying
    assert (made["repeated"], made["rows"]) == (False, 2)
    assert desk.rows("SELECT id, stock FROM goods WHERE shelf = 1") == [(1, 5), (2, 1)]


async def until_somebody_waits(desk: PostgresDesk) -> None:
    async with asyncio.timeout(10):
        while not desk.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("sql", [UPDATE, INSERT, "DELETE FROM goods WHERE shelf = 2"])
@pytest.mark.parametrize("how", list(Shutdown))
async def test_a_server_that_dies_in_the_middle_leaves_it_made_once_or_not_at_all(
    fragile: PostgresServer, fragile_desk: PostgresDesk, sql: str, how: Shutdown
) -> None:
    desk = fragile_desk
    await desk.apply(await desk.preview("DELETE FROM marks WHERE good = 1"))
    before = desk.dump()
    shown = await desk.preview(sql)
    holder = psycopg.connect(desk.url)
    holder.execute("LOCK TABLE _stepwell_applied IN EXCLUSIVE MODE")
    applying = asyncio.create_task(desk.apply(shown))
    await until_somebody_waits(desk)
    await asyncio.to_thread(fragile.stop, how)
    first: Any = (await asyncio.gather(applying, return_exceptions=True))[0]
    holder.close()
    await asyncio.to_thread(fragile.start)
    desk.reconnect()
    was_made = desk.dump() != before  # where its lock was gone before its own session was
    if isinstance(first, ToolFailed):
        assert (first.code, first.retryable) == ("QUERY_FAILED", True)
    else:
        assert (isinstance(first, dict), was_made) == (True, True)
    made = await desk.apply(shown)
    assert made["repeated"] is was_made
    assert (await desk.apply(shown)) == {**made, "repeated": True}
    await desk.apply(await desk.undo(made))
    assert desk.dump() == before


async def test_a_connection_that_the_server_has_ended_is_not_lent_again(
    postgres_desk: PostgresDesk,
) -> None:
    connections = postgres_desk.connections
    async with connections.lend() as connection:
        ended, socket = connection.info.backend_pid, connection.pgconn.socket
    postgres_desk.run(f"SELECT pg_terminate_backend({ended})")
    with selectors.DefaultSelector() as told:
        told.register(socket, selectors.EVENT_READ)
        assert await asyncio.to_thread(told.select, 10)
    async with connections.lend() as connection:
        assert connection.info.backend_pid != ended
        await connection.execute("SELECT 1")


async def test_a_text_that_is_none_is_not_previewed_and_says_so(sqlite_desk: SqliteDesk) -> None:
    sqlite_desk.run("UPDATE goods SET name = CAST(x'ff41' AS TEXT) WHERE id = 1")
    with pytest.raises(ToolFailed) as failed:
        await sqlite_desk.preview("UPDATE goods SET stock = 1 WHERE id = 1")
    assert failed.value.code == Code.QUERY_FAILED
    assert "UTF-8" in failed.value.message
