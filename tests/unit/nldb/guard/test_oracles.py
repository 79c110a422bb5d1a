"""No statement tells, by its rows or by how it fails, of what is hidden: two shops that differ in
hidden things alone answer the same."""

import sqlite3
from collections.abc import Iterator

import pytest
from tests.unit.nldb.guard.corpus import Statement, read
from tests.unit.nldb.guard.shop import (
    OTHERWISE,
    changing_access,
    shop_access,
    shop_catalog,
    slowly_filtered,
    whole_sqlite,
)

from stepwell.nldb.guard import Refused, check_read, check_write
from stepwell.nldb.model import Access, Dialect, TableAccess

ACCESSES = {
    "quick": (shop_access(), changing_access()),
    "slow": (slowly_filtered(shop_access()), slowly_filtered(changing_access())),
}
ORACLES = read("oracles.sql", "sqlite")


def rebuilt(statement: Statement, dialect: Dialect, reads: Access, changes: Access) -> str | None:
    """What runs of a statement; None if it is refused, as it should."""
    catalog = shop_catalog(dialect)
    if not statement.rules and statement.is_change:
        return check_write(statement.sql, catalog, changes).returning(["id"])
    if not statement.rules:
        return check_read(statement.sql, catalog, reads).sql
    with pytest.raises(Refused) as refused:
        check_write(statement.sql, catalog, changes)
    assert refused.value.rule in statement.rules
    return None


@pytest.fixture(scope="module")
def shops() -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    one, other = whole_sqlite(), whole_sqlite(OTHERWISE)
    yield one, other
    one.close()
    other.close()


def told(connection: sqlite3.Connection, sql: str) -> str:
    """The rows, or the error, that a statement gives."""
    try:
        return repr(sorted(connection.execute(sql).fetchall(), key=repr))
    except sqlite3.Error as error:
        return repr(error)
    finally:
        connection.rollback()


@pytest.mark.parametrize("filtered", ACCESSES)
@pytest.mark.parametrize("statement", ORACLES, ids=lambda s: s.title)
def test_sqlite_tells_nothing_of_what_is_hidden(
    shops: tuple[sqlite3.Connection, sqlite3.Connection], statement: Statement, filtered: str
) -> None:
    sql = rebuilt(statement, "sqlite", *ACCESSES[filtered])
    if sql is not None:
        assert told(shops[0], sql) == told(shops[1], sql)


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_what_an_asker_is_told_of_a_statement_has_nothing_of_the_policy(dialect: Dialect) -> None:
    catalog = shop_catalog(dialect)
    schema = catalog.default_schema
    table = TableAccess(
        columns=("id", "name"), masks={"name": "hash"}, rows="tenant_id = 1", update=True
    )
    access = Access(tables={"customers": table}, salt="the-key-of-hashes")
    read = check_read("SELECT name FROM customers WHERE id / 2 > 1", catalog, access)
    assert "the-key-of-hashes" in read.sql or dialect == "sqlite"
    assert read.told.startswith('SELECT "customers"."name"')
    assert read.told.endswith(
        f'FROM "{schema}"."customers" AS "customers" WHERE "customers"."id" / 2 > 1'
    )
    change = check_write(
        "UPDATE customers SET id = 3 WHERE id IN (SELECT id FROM customers c)", catalog, access
    )
    assert change.told == (
        f'UPDATE "{schema}"."customers" AS "customers" SET "id" = 3 WHERE "customers"."id" IN '
        f'(SELECT "c"."id"{" AS " + chr(34) + "id" + chr(34) if dialect == "sqlite" else ""} '
        f'FROM "{schema}"."customers" AS "c")'
    )


@pytest.mark.parametrize(
    "condition",
    [
        "total > 100 AND status = 'paid'",
        "placed_at >= now() - interval '30 days'",
        "placed_at >= date_trunc('month', CURRENT_DATE)",
        "placed_at > CURRENT_DATE - 30",
        "placed_at BETWEEN date '2024-01-01' AND '2024-02-01'::timestamp",
        "total > (SELECT avg(total) FROM orders)",
        "total = (SELECT total FROM orders ORDER BY id LIMIT 1)",
        "customer_id IN (SELECT id FROM customers WHERE city LIKE 'L%')",
        "status = ANY (ARRAY['paid', 'open'])",
        "total > 10 * 3 + 1",
        "status || ' ' LIKE 'p%'",
        "id = $1",
    ],
)
def test_a_condition_that_cannot_fail_costs_no_index(condition: str) -> None:
    checked = check_read(
        f"SELECT id FROM orders WHERE {condition}",
        shop_catalog("postgres"),
        shop_access(),
        params=[1] if "$1" in condition else None,
    )
    assert "OFFSET 0" not in checked.sql
