"""A database is made and brought up to date by whoever comes first, while others work."""

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from dev.postgres import PostgresServer
from tests.contract.appends import RUN, begin, go_on
from tests.unit.storage.test_migrations import upgrade_to

from stepwell_storage.errors import Incompatible, Unavailable
from stepwell_storage.sql import migrate
from stepwell_storage.sql.postgres.storage import PostgresStorage
from stepwell_storage.sql.tables import metadata

pytestmark = pytest.mark.anyio


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def in_our_schema(url: str, work: Callable[[sa.Connection], object]) -> object:
    """Work on a database as a migration finds it."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS stepwell")
            connection.exec_driver_sql("SET LOCAL search_path TO stepwell")
            return work(connection)
    finally:
        engine.dispose()


async def opened_and_closed(url: str) -> str:
    storage = PostgresStorage(url)
    await storage.open()
    await storage.close()
    return storage.id


async def test_several_processes_may_start_on_an_empty_database_at_once(postgres_url: str) -> None:
    made = await asyncio.gather(*(opened_and_closed(postgres_url) for _ in range(5)))

    assert len(set(made)) == 1
    assert ask(postgres_url, "SELECT version_num FROM stepwell.stepwell_schema") == [
        (migrate.NEWEST,)
    ]


async def test_an_older_database_is_migrated_once_though_several_start(postgres_url: str) -> None:
    in_our_schema(postgres_url, lambda connection: upgrade_to("0001", connection))
    made = await asyncio.gather(*(opened_and_closed(postgres_url) for _ in range(3)))

    assert len(set(made)) == 1
    assert ask(postgres_url, "SELECT version_num FROM stepwell.stepwell_schema") == [
        (migrate.NEWEST,)
    ]


@pytest.mark.parametrize("make", [migrate.create, migrate.upgrade])
def test_a_new_database_has_the_tables_that_we_describe(
    postgres_url: str, make: Callable[[sa.Connection], None]
) -> None:
    def differences(connection: sa.Connection) -> list[Any]:
        make(connection)
        options = {"version_table": migrate.VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))

    assert in_our_schema(postgres_url, differences) == []


def test_a_migrated_database_is_made_like_a_new_one(postgres_url: str) -> None:
    columns = (
        "SELECT table_name, column_name, data_type, is_nullable, collation_name"
        " FROM information_schema.columns WHERE table_schema = 'stepwell'"
    )
    indexes = (
        "SELECT indexname, indexdef FROM pg_indexes"
        f" WHERE schemaname = 'stepwell' AND tablename <> '{migrate.VERSION_TABLE}'"
    )
    tables = (
        "SELECT relname, reloptions FROM pg_class"
        " WHERE relnamespace = 'stepwell'::regnamespace AND relkind = 'r'"
    )

    def made(make: Callable[[sa.Connection], None]) -> list[set[str]]:
        ask(postgres_url, "DROP SCHEMA IF EXISTS stepwell CASCADE")
        in_our_schema(postgres_url, make)
        return [
            {str(row) for row in ask(postgres_url, asked)} for asked in (columns, indexes, tables)
        ]

    assert made(migrate.upgrade) == made(migrate.create)


async def test_all_text_sorts_by_code_point(postgres_url: str) -> None:
    await opened_and_closed(postgres_url)

    assert ask(
        postgres_url,
        "SELECT DISTINCT collation_name FROM information_schema.columns"
        " WHERE table_schema = 'stepwell' AND data_type = 'text'",
    ) == [("C",)]


async def test_what_other_programs_keep_in_the_database_is_left_alone(postgres_url: str) -> None:
    ask(postgres_url, "CREATE TABLE events (title text)")
    ask(postgres_url, "INSERT INTO events VALUES ('concert')")
    storage = PostgresStorage(postgres_url)
    await storage.open()
    await storage.log.append(begin(RUN))
    await storage.close()

    assert ask(postgres_url, "SELECT * FROM events") == [("concert",)]


async def test_a_schema_of_another_program_is_refused_and_left_alone(postgres_url: str) -> None:
    ask(postgres_url, "CREATE SCHEMA stepwell CREATE TABLE artist (name text)")

    with pytest.raises(Incompatible, match="another program"):
        await PostgresStorage(postgres_url).open()
    assert ask(postgres_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'stepwell'") == [
        ("artist",)
    ]


async def test_an_older_process_works_with_a_newer_schema_that_only_adds(
    postgres_url: str,
) -> None:
    running = PostgresStorage(postgres_url)
    await running.open()
    await running.log.append(begin(RUN))
    ask(postgres_url, "ALTER TABLE stepwell.events ADD COLUMN news text")
    ask(postgres_url, "UPDATE stepwell.stepwell_schema SET version_num = '9999'")

    assert await running.log.append(go_on(RUN, after=1)) == 2
    await running.close()
    started = PostgresStorage(postgres_url)
    await started.open()
    assert await started.log.append(go_on(RUN, after=2)) == 3
    await started.close()


async def test_a_newer_schema_that_takes_away_is_refused(postgres_url: str) -> None:
    await opened_and_closed(postgres_url)
    ask(postgres_url, "UPDATE stepwell.stepwell_schema SET version_num = '9999'")
    ask(postgres_url, "UPDATE stepwell.meta SET readable_by = '9998'")

    with pytest.raises(Incompatible, match=r"schema 9999.*newer Stepwell"):
        await PostgresStorage(postgres_url).open()


async def test_a_user_who_may_not_make_tables_is_told_what_helps(
    postgres: PostgresServer, postgres_url: str
) -> None:
    ask(postgres_url, "DROP ROLE IF EXISTS guest")
    ask(postgres_url, "CREATE ROLE guest LOGIN")
    guest = postgres_url.replace("postgres@", "guest@")
    with pytest.raises(Unavailable, match="CREATE SCHEMA stepwell AUTHORIZATION"):
        await PostgresStorage(guest).open()
    ask(postgres_url, "CREATE SCHEMA stepwell AUTHORIZATION guest")

    await opened_and_closed(guest)
    ask(postgres_url, "DROP OWNED BY guest")
    ask(postgres_url, "DROP ROLE guest")


async def test_a_database_that_cannot_hold_all_text_is_refused(postgres: PostgresServer) -> None:
    ask(postgres.url(), "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(Incompatible, match=r"LATIN1.*UTF8"):
            await PostgresStorage(postgres.url("latin")).open()
    finally:
        ask(postgres.url(), "DROP DATABASE latin WITH (FORCE)")


async def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    storage = PostgresStorage("postgresql://me:hush@127.0.0.1:1/shop")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1.*refused") as caught:
        await storage.open()
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)
