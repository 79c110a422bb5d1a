"""Generated queries and policies: the guard changes no result, and hides what is hidden."""

import sqlite3
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.nldb.guard.shop import COLUMNS, ROWS, shop_catalog, whole_sqlite

from stepwell.nldb.guard import Checked, Refused, check_read
from stepwell.nldb.model import Access, Mask, TableAccess, open_access

CATALOG = shop_catalog("sqlite")
TABLES = ("customers", "orders", "products", "employees")
NUMBERS = {"integer", "numeric(10,2)", "double precision"}
MASKS: list[Mask] = ["null", "redact", "first"]

names = st.sampled_from(TABLES)


@st.composite
def conditions(draw: st.DrawFn, alias: str, table: str, depth: int = 2) -> str:
    kind = draw(st.integers(0, 8 if depth else 5))
    column = draw(st.sampled_from(list(COLUMNS[table])))
    value = (
        str(draw(st.integers(-5, 200)))
        if COLUMNS[table][column] in NUMBERS
        else draw(st.sampled_from(["'Ada'", "'paid'", "'2024-02-01'", "'it''s'", "NULL"]))
    )
    name = draw(
        st.sampled_from([f"{alias}.{column}", f'{alias}."{column}"', f"{alias}.{column.upper()}"])
    )
    operator = draw(st.sampled_from(["=", "<>", "<", ">=", "IS", "IS NOT"]))
    plain = (
        f"{name} {operator} {value}",
        f"{name} IS NOT NULL",
        f"{name} NOT IN ({value}, 1, 'x')",
        f"{name} BETWEEN 1 AND {value}",
        f"{name} LIKE '%a%' ESCAPE '!'",
        f"coalesce({name}, 0) || '' NOT LIKE 'A%'",
    )
    if kind < 6:
        return plain[kind]
    left = draw(conditions(alias, table, depth - 1))
    right = draw(conditions(alias, table, depth - 1))
    return (f"NOT ({left})", f"({left} OR {right})", f"{left} AND {right}")[kind - 6]


@st.composite
def queries(draw: st.DrawFn, depth: int = 1) -> str:
    table, other = draw(names), draw(names)
    columns = draw(st.lists(st.sampled_from(list(COLUMNS[table])), min_size=1, max_size=3))
    where = draw(conditions("a", table))
    shape = draw(st.integers(0, 7 if depth else 4))
    listed = ", ".join(f"a.{column}" for column in columns)
    first = columns[0]
    match shape:
        case 0:
            return f"SELECT * FROM {table} AS a WHERE {where}"
        case 1:
            return f"SELECT {listed} FROM {table} a WHERE {where} ORDER BY a.id DESC LIMIT 3"
        case 2:
            return (
                f"SELECT a.{first} AS v, count(*) AS n FROM {table} a JOIN {other} b "
                f"ON a.id >= b.id WHERE {where} GROUP BY a.{first} HAVING count(*) > 1"
            )
        case 3:
            return f"SELECT DISTINCT {listed}, CASE WHEN {where} THEN 1 ELSE 0 END FROM {table} a"
        case 4:
            return (
                f"SELECT a.id, sum(a.id) OVER (PARTITION BY a.{first} ORDER BY a.id) FROM {table} a"
            )
        case 5:
            return f"WITH secrets AS ({draw(queries(depth - 1))}) SELECT * FROM secrets"
        case 6:
            return (
                f"SELECT {listed} FROM {table} a WHERE a.id IN (SELECT b.id FROM {other} b) "
                f"AND EXISTS (SELECT 1 FROM {other} c WHERE c.id = a.id AND {where})"
            )
        case _:
            return (
                f"SELECT a.id, a.{first} FROM {table} a UNION ALL "
                f"SELECT x.id, 1 FROM (SELECT a.id FROM {table} a WHERE {where}) x"
            )


@st.composite
def accesses(draw: st.DrawFn) -> Access:
    tables: dict[str, TableAccess] = {}
    for table in draw(st.sets(names, min_size=1)):
        columns = list(COLUMNS[table])
        visible = {"id", *draw(st.sets(st.sampled_from(columns)))}
        masked = draw(st.sets(st.sampled_from(columns))) - {"id"}
        masks = {column: draw(st.sampled_from(MASKS)) for column in sorted(masked & visible)}
        rows = draw(st.sampled_from(["", "id < 4", "id % 2 = 0", "id IN (1, 11, 101)"]))
        kept = tuple(column for column in columns if column in visible)
        tables[table] = TableAccess(columns=kept, masks=masks, rows=rows)
    return Access(tables=tables)


def rows_of(connection: sqlite3.Connection, sql: str) -> list[Any]:
    return sorted(connection.execute(sql).fetchall(), key=repr)


@given(queries())
@settings(max_examples=150)
def test_an_open_guard_changes_no_result(sql: str) -> None:
    connection = whole_sqlite()
    checked = check_read(sql, CATALOG, open_access(CATALOG))
    assert rows_of(connection, checked.sql) == rows_of(connection, sql)
    connection.close()


@given(queries(), accesses())
@settings(max_examples=300)
def test_no_hidden_value_comes_out(sql: str, access: Access) -> None:
    """Every cell of the database holds a word of its own; only words that may be seen come out."""
    checked = asked(sql, access)
    if isinstance(checked, str):
        assert "word-" not in checked
        return
    connection = whole_sqlite()
    for table, columns in COLUMNS.items():
        words = ", ".join(
            f"{name} = 'word-{table}-{name}-' || rowid" for name in columns if name != "id"
        )
        connection.execute(f"UPDATE {table} SET {words}")
    may = allowed_words(connection, access)
    for row in connection.execute(checked.sql).fetchall():
        for cell in row:
            assert not str(cell).startswith("word-") or cell in may, (checked.sql, cell)
    connection.close()


def asked(sql: str, access: Access) -> Checked | str:
    """What may run, or why nothing may."""
    try:
        return check_read(sql, CATALOG, access)
    except Refused as refused:
        return str(refused)


def allowed_words(connection: sqlite3.Connection, access: Access) -> set[str]:
    words: set[str] = set()
    for table, allowed in access.tables.items():
        for column in allowed.columns or ():
            if column != "id" and column not in allowed.masks:
                found = connection.execute(
                    f"SELECT {column} FROM {table} WHERE {allowed.rows or '1'}"
                )
                words |= {word for (word,) in found.fetchall()}
    assert all(len(rows) for rows in ROWS.values())
    return words
