"""The statements of tests/unit/nldb/guard on a real PostgreSQL: good ones return what they should,
bad ones are refused or show nothing."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from dev.postgres import PostgresServer
from tests.unit.nldb.guard.corpus import Statement, read
from tests.unit.nldb.guard.shop import (
    COLUMNS,
    INDEXES,
    OTHERWISE,
    ROWS,
    VISIBLE,
    holds_canary,
    shop_access,
    shop_catalog,
    shown_rows,
    statements,
)
from tests.unit.nldb.guard.test_oracles import ACCESSES, rebuilt

from stepwell.nldb.guard import check_read
from stepwell.nldb.model import open_access

HONEST = read("honest.sql", "postgres")
CATALOG = shop_catalog("postgres")


@pytest.fixture(scope="module")
def shop(postgres: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    """The shop in `public`, and what the policy leaves of it in `shown`."""
    url = postgres.create_database("guarded_shop")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA shown")
        for table, columns in COLUMNS.items():
            put(connection, table, list(columns), ROWS[table], "public")
        for table, names in VISIBLE.items():
            put(connection, table, list(names), shown_rows(table), "shown")
        yield connection


def put(
    connection: psycopg.Connection[Any], table: str, columns: list[str], rows: Any, schema: str
) -> None:
    make, insert = statements(table, columns, schema)
    connection.execute(make.encode())
    with connection.cursor() as cursor:
        cursor.executemany(insert.replace("?", "%s").encode(), rows)


def ask(connection: psycopg.Connection[Any], sql: str, schema: str) -> tuple[list[str], list[Any]]:
    connection.execute(f"SET search_path = {schema}, pg_temp".encode())
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(sql.encode(), prepare=True)
        rows = cursor.fetchall()
        names = [column.name for column in cursor.description or ()]
    return names, rows if "ORDER BY" in sql.upper() else sorted(rows, key=repr)


@pytest.mark.parametrize("statement", HONEST, ids=lambda s: s.title)
def test_the_guard_returns_what_a_filtered_copy_returns(
    shop: psycopg.Connection[Any], statement: Statement
) -> None:
    checked = check_read(statement.sql, CATALOG, shop_access())
    returned = ask(shop, checked.sql, "pg_temp")
    assert returned == ask(shop, statement.sql.replace("public.", ""), "shown")
    assert not holds_canary(returned[1])


@pytest.mark.parametrize("statement", HONEST, ids=lambda s: s.title)
def test_under_an_open_policy_nothing_changes(
    shop: psycopg.Connection[Any], statement: Statement
) -> None:
    checked = check_read(statement.sql, CATALOG, open_access(CATALOG))
    assert ask(shop, checked.sql, "pg_temp") == ask(shop, statement.sql, "public")


@pytest.mark.parametrize(
    "statement",
    [s for s in read("attacks.sql", "postgres") if "harmless" in s.rules],
    ids=lambda s: s.title,
)
def test_bad_postgres_that_is_not_refused_shows_nothing(
    shop: psycopg.Connection[Any], statement: Statement
) -> None:
    checked = check_read(statement.sql, CATALOG, shop_access())
    rows = [list(row) for row in ask(shop, checked.sql, "pg_temp")[1]]
    assert not holds_canary(rows)
    assert statement.rows is None or rows == statement.rows


@pytest.fixture(scope="module")
def shops(postgres: PostgresServer) -> Iterator[list[psycopg.Connection[Any]]]:
    """Two that differ in what is hidden alone."""
    connections = []
    for name, rows in (("one", ROWS), ("other", OTHERWISE)):
        url = postgres.create_database(f"oracle_{name}")
        connections.append(psycopg.connect(url))
        for table, columns in COLUMNS.items():
            put(connections[-1], table, list(columns), rows[table], "public")
        for index in INDEXES:
            connections[-1].execute(index.encode())
        connections[-1].execute("SET enable_seqscan = off")
        connections[-1].commit()
    yield connections
    for connection in connections:
        connection.close()


def told(connection: psycopg.Connection[Any], sql: str) -> str:
    """The rows, or the error, that a statement gives."""
    try:
        with psycopg.RawCursor(connection) as cursor:
            cursor.execute(sql.encode())
            return repr(sorted(cursor.fetchall(), key=repr))
    except psycopg.Error as error:
        return repr((error.sqlstate, error.diag.message_primary))
    finally:
        connection.rollback()


@pytest.mark.parametrize("filtered", ACCESSES)
@pytest.mark.parametrize("statement", read("oracles.sql", "postgres"), ids=lambda s: s.title)
def test_postgres_tells_nothing_of_what_is_hidden(
    shops: list[psycopg.Connection[Any]], statement: Statement, filtered: str
) -> None:
    sql = rebuilt(statement, "postgres", *ACCESSES[filtered])
    if sql is not None:
        assert told(shops[0], sql) == told(shops[1], sql)
