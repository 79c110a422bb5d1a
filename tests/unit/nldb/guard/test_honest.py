"""Good SQL is never refused, and returns what it would return on a copy that has no more than the
policy shows."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.nldb.guard.corpus import Statement, read
from tests.unit.nldb.guard.shop import (
    holds_canary,
    shop_access,
    shop_catalog,
    shown_sqlite,
    whole_sqlite,
)

from stepwell.nldb.guard import check_read
from stepwell.nldb.model import open_access

SQLITE = read("honest.sql", "sqlite")
CATALOG = shop_catalog("sqlite")


@pytest.fixture(scope="module")
def whole() -> Iterator[sqlite3.Connection]:
    connection = whole_sqlite()
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def shown() -> Iterator[sqlite3.Connection]:
    connection = shown_sqlite()
    yield connection
    connection.close()


def ask(connection: sqlite3.Connection, sql: str) -> tuple[list[str], list[Any]]:
    cursor = connection.execute(sql)
    rows = cursor.fetchall()
    names = [name.lower() for name, *_ in cursor.description]
    return names, rows if "ORDER BY" in sql.upper() else sorted(rows, key=repr)


@pytest.mark.parametrize("statement", SQLITE, ids=lambda s: s.title)
def test_the_guard_returns_what_a_filtered_copy_returns(
    whole: sqlite3.Connection, shown: sqlite3.Connection, statement: Statement
) -> None:
    checked = check_read(statement.sql, CATALOG, shop_access())
    names, rows = ask(whole, checked.sql)
    wanted_names, wanted = ask(shown, statement.sql)
    assert rows == wanted
    assert not holds_canary(rows)
    plain = [name for name in wanted_names if name.isidentifier()]
    assert [name for name in names if name in plain] == plain


@pytest.mark.parametrize("statement", SQLITE, ids=lambda s: s.title)
def test_under_an_open_policy_nothing_changes(
    whole: sqlite3.Connection, statement: Statement
) -> None:
    checked = check_read(statement.sql, CATALOG, open_access(CATALOG))
    assert ask(whole, checked.sql)[1] == ask(whole, statement.sql)[1]


def test_there_are_at_least_150_honest_queries() -> None:
    everything = {s.sql for engine in ("sqlite", "postgres") for s in read("honest.sql", engine)}
    assert len(everything) >= 150
    assert len(SQLITE) >= 100
    assert len(read("honest.sql", "postgres")) >= 100


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT 1 UNION SELECT 2 EXCEPT SELECT 1 INTERSECT SELECT 2", [(2,)]),
        ("SELECT 1; -- and a comment", [(1,)]),
    ],
)
def test_what_sqlite_reads_without_parentheses_is_written_without(
    whole: sqlite3.Connection, sql: str, rows: list[Any]
) -> None:
    assert ask(whole, check_read(sql, CATALOG, shop_access()).sql)[1] == rows


def test_the_name_of_a_column_holds_no_row_filter() -> None:
    checked = check_read("SELECT EXISTS (SELECT 1 FROM customers)", CATALOG, shop_access())
    assert checked.outputs == ("subquery",)
    assert checked.sql.endswith('AS "subquery"')
