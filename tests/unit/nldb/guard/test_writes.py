"""A change of one table is rebuilt with the row filter in it; everything else is refused."""

import sqlite3
from typing import Any

import msgspec
import pytest
from tests.unit.nldb.guard.shop import shop_access, shop_catalog, whole_sqlite

from stepwell.nldb.guard import Refused, check_write
from stepwell.nldb.model import Access, ChangeAccess, Dialect, TableAccess, open_access

ENGINES: tuple[Dialect, ...] = ("sqlite", "postgres")


def access() -> Access:
    """Customers and orders of tenant 1 may be changed; the tenant of a new order may be set."""
    given = shop_access()
    tables = dict(given.tables)
    tables["customers"] = msgspec.structs.replace(
        tables["customers"], update=True, delete=True, writable=("name", "city", "vip", "tenant_id")
    )
    tables["orders"] = msgspec.structs.replace(
        tables["orders"],
        insert=True,
        delete=True,
        writable=("id", "customer_id", "status", "total", "tenant_id"),
    )
    tables["products"] = TableAccess(insert=True, update=True, delete=True)
    return msgspec.structs.replace(given, tables=tables)


def run(sql: str) -> tuple[sqlite3.Connection, list[Any]]:
    connection = whole_sqlite()
    return connection, connection.execute(sql).fetchall()


@pytest.mark.parametrize("dialect", ENGINES)
def test_a_kind_of_change_may_reach_less_far_than_what_is_read(dialect: Dialect) -> None:
    table = TableAccess(
        rows="tenant_id = 1",
        insert=True,
        update=True,
        changes={"update": ChangeAccess(columns=("city",), rows="id < 3")},
    )
    narrow = Access(tables={"customers": table})
    checked = check_write(
        "UPDATE customers SET city = 'x' WHERE id > 0", shop_catalog(dialect), narrow
    )
    assert checked.where_sql == '("customers"."id" > 0) AND (tenant_id = 1) AND (id < 3)'
    assert checked.row_check == "(tenant_id = 1) AND (id < 3)"
    inserted = check_write(
        "INSERT INTO customers (name) VALUES ('x')", shop_catalog(dialect), narrow
    )
    assert inserted.row_check == "(tenant_id = 1)"
    with pytest.raises(Refused) as refused:
        check_write("UPDATE customers SET name = 'x' WHERE id > 0", shop_catalog(dialect), narrow)
    assert refused.value.rule == "sql.not_writable"


@pytest.mark.parametrize("dialect", ENGINES)
def test_an_update_has_the_row_filter_in_its_where(dialect: Dialect) -> None:
    checked = check_write(
        "update customers set city = upper(city), vip = true where id > 0 or name = 'x'",
        shop_catalog(dialect),
        access(),
    )
    schema = "main" if dialect == "sqlite" else "public"
    assert checked.target == f'"{schema}"."customers" AS "customers"'
    assert checked.where_sql == (
        '("customers"."id" > 0 OR "customers"."name" = \'x\') AND (tenant_id = 1)'
    )
    assert checked.sql == (
        f'UPDATE {checked.target} SET "city" = upper("customers"."city"), "vip" = TRUE '
        f"WHERE {checked.where_sql}"
    )
    assert (checked.kind, checked.table, checked.assigned) == (
        "update",
        "customers",
        ("city", "vip"),
    )


@pytest.mark.parametrize("dialect", ENGINES)
def test_the_conditions_of_a_change_may_read_its_own_table(dialect: Dialect) -> None:
    checked = check_write(
        "UPDATE customers SET city = 'x' WHERE id = 1 AND NOT EXISTS "
        "(SELECT 1 FROM customers AS other WHERE other.city = customers.city AND other.id > 5)",
        shop_catalog(dialect),
        access(),
    )
    assert checked.sql.count('."customers" WHERE (tenant_id = 1)') == 1


def test_an_update_changes_only_rows_that_may_be_seen() -> None:
    checked = check_write(
        "UPDATE customers SET city = 'Bergen' WHERE id > 4", shop_catalog("sqlite"), access()
    )
    connection, returned = run(checked.returning(["id"]))
    changed = connection.execute("SELECT id FROM customers WHERE city = 'Bergen'").fetchall()
    assert returned == [(5, 1)]
    assert changed == [(5,)]


def test_a_row_that_leaves_the_filter_is_seen_by_the_row_check() -> None:
    checked = check_write(
        "UPDATE customers AS c SET tenant_id = c.id WHERE c.id < 3",
        shop_catalog("sqlite"),
        access(),
    )
    _, returned = run(checked.returning(["id"]))
    assert returned == [(1, 1), (2, 0)]


def test_an_inserted_row_of_somebody_else_is_seen_by_the_row_check() -> None:
    checked = check_write(
        "INSERT INTO orders (id, total, tenant_id) VALUES (90, 1.5, 1), (91, -2, 2)",
        shop_catalog("sqlite"),
        access(),
    )
    assert checked.rows == 2
    assert run(checked.returning(["id"]))[1] == [(90, 1), (91, 0)]


def test_a_row_without_the_column_of_the_filter_is_seen_too() -> None:
    checked = check_write("INSERT INTO orders (id) VALUES (90)", shop_catalog("sqlite"), access())
    assert run(checked.returning(["id"]))[1] == [(90, 0)]


def test_the_rows_that_a_change_meets_can_be_read_first() -> None:
    checked = check_write(
        "DELETE FROM orders AS o WHERE o.status = 'paid' AND o.customer_id IN "
        "(SELECT id FROM customers WHERE city = 'London')",
        shop_catalog("sqlite"),
        access(),
    )
    read = f"SELECT o.id FROM {checked.target} WHERE {checked.where_sql}"
    connection = whole_sqlite()
    assert connection.execute(read).fetchall() == [(10,)]
    connection.execute(checked.sql)
    assert connection.execute("SELECT count(*) FROM orders").fetchall() == [(6,)]
    assert checked.tables == ("customers",)


@pytest.mark.parametrize("dialect", ENGINES)
def test_a_sub_query_may_say_which_rows_if_it_names_a_column_of_them(dialect: Dialect) -> None:
    lonely = "DELETE FROM orders WHERE NOT EXISTS (SELECT 1 FROM customers c WHERE c.id = {})"
    assert check_write(
        lonely.format("orders.customer_id"), shop_catalog(dialect), access()
    ).where_sql
    with pytest.raises(Refused, match="names a column of the table"):
        check_write(lonely.format("7"), shop_catalog(dialect), access())


@pytest.mark.parametrize("dialect", ENGINES)
def test_parameters_are_values_by_their_place(dialect: Dialect) -> None:
    checked = check_write(
        "UPDATE products SET price = :price, name = :name WHERE id = :id AND price < :price",
        shop_catalog(dialect),
        access(),
        params={"id": 100, "name": "x", "price": 9},
    )
    assert checked.parameters == (9, "x", 100)
    assert checked.sql.count("$1" if dialect == "postgres" else "?1") == 2


REFUSED = [
    ("UPDATE customers SET city = 'x'", "sql.where"),
    ("UPDATE customers SET city = 'x' WHERE 1 = 1", "sql.where"),
    ("DELETE FROM orders", "sql.where"),
    ("DELETE FROM orders WHERE EXISTS (SELECT id FROM orders)", "sql.where"),
    ("DELETE FROM orders WHERE tenant_id = 2", "sql.column"),
    ("DELETE FROM orders WHERE id IN (SELECT id FROM secrets)", "sql.table"),
    ("DELETE FROM customers WHERE ssn = 'x'", "sql.masked"),
    ("UPDATE customers SET name = ssn WHERE id = 1", "sql.masked"),
    ("UPDATE customers SET name = notes WHERE id = 1", "sql.column"),
    ("UPDATE customers SET ssn = 'x' WHERE id = 1", "sql.masked"),
    ("UPDATE customers SET id = 9 WHERE id = 1", "sql.not_writable"),
    ("UPDATE customers SET notes = 'x' WHERE id = 1", "sql.column"),
    ("UPDATE customers SET city = 'a', city = 'b' WHERE id = 1", "sql.columns"),
    ("UPDATE customers SET name = (SELECT name FROM products) WHERE id = 1", "sql.construct"),
    ("UPDATE customers SET name = o.status FROM orders o WHERE o.id = 1", "sql.construct"),
    ("UPDATE customers SET name = 'x' WHERE id = 1 RETURNING ssn", "sql.construct"),
    ("WITH x AS (SELECT 1) UPDATE customers SET name = 'x' WHERE id = 1", "sql.construct"),
    ("UPDATE orders SET status = 'x' WHERE id = 1", "sql.not_writable"),
    ("UPDATE secrets SET value = 'x' WHERE id = 1", "sql.table"),
    ("DELETE FROM customers WHERE id = 1 RETURNING *", "sql.construct"),
    ("INSERT INTO orders VALUES (1)", "sql.columns"),
    ("INSERT INTO orders DEFAULT VALUES", "sql.columns"),
    ("INSERT INTO orders (id) SELECT id FROM products", "sql.construct"),
    ("INSERT INTO orders (id) VALUES ((SELECT max(id) FROM orders))", "sql.construct"),
    ("INSERT INTO orders (id) VALUES (id)", "sql.column"),
    ("INSERT INTO orders (id) VALUES (1, 2)", "sql.syntax"),
    ("INSERT INTO orders (id) VALUES (1) ON CONFLICT DO NOTHING", "sql.construct"),
    ("INSERT INTO orders (id) VALUES (1) RETURNING *", "sql.construct"),
    ("INSERT INTO customers (name) VALUES ('x')", "sql.not_writable"),
    ("INSERT INTO orders (id) VALUES (1); DELETE FROM orders WHERE id = 1", "sql.one_statement"),
    ("SELECT 1", "sql.statement"),
    ("DROP TABLE orders", "sql.statement"),
    ("DELETE FROM orders WHERE load_extension(id) = 1", "sql.function"),
    ("DELETE FROM orders WHERE id = pg_sleep(1)", "sql.function"),
]


@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize(("sql", "rule"), REFUSED)
def test_other_changes_are_refused(sql: str, rule: str, dialect: Dialect) -> None:
    with pytest.raises(Refused) as refused:
        check_write(sql, shop_catalog(dialect), access())
    assert refused.value.rule == rule


def test_nothing_may_be_written_under_an_open_policy() -> None:
    catalog = shop_catalog("sqlite")
    with pytest.raises(Refused) as refused:
        check_write("DELETE FROM orders WHERE id = 1", catalog, open_access(catalog))
    assert refused.value.rule == "sql.not_writable"


def test_sqlite_writes_that_sqlite_alone_knows_are_refused() -> None:
    for sql in (
        "INSERT OR REPLACE INTO orders (id) VALUES (1)",
        "REPLACE INTO orders (id) VALUES (1)",
        "UPDATE OR IGNORE products SET name = 'x' WHERE id = 1",
        "DELETE FROM orders WHERE id = 1 ORDER BY id LIMIT 1",
    ):
        with pytest.raises(Refused):
            check_write(sql, shop_catalog("sqlite"), access())
