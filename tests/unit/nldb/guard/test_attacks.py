"""Bad SQL is refused by the rule that is meant for it, or shows nothing that is hidden."""

from typing import Any

import pytest
from tests.unit.nldb.guard.corpus import Statement, read
from tests.unit.nldb.guard.shop import (
    COLUMNS,
    ROWS,
    holds_canary,
    shop_access,
    shop_catalog,
    whole_sqlite,
)

from stepwell.nldb.guard import RULES, Checked, Refused, check_read
from stepwell.nldb.model import Dialect

HIDDEN = ("notes", "tenant_id", "salary", "secrets", "customers_archive", "value")


@pytest.mark.parametrize("statement", read("attacks.sql", "sqlite"), ids=lambda s: s.title)
def test_bad_sqlite_is_refused_or_shows_nothing(statement: Statement) -> None:
    sql = judged(statement, "sqlite")
    if sql is None:
        return
    connection = whole_sqlite()
    rows = [list(row) for row in connection.execute(sql).fetchall()]
    left = {table: connection.execute(f'SELECT * FROM "{table}"').fetchall() for table in COLUMNS}
    connection.close()
    assert not holds_canary(rows)
    assert statement.rows is None or rows == statement.rows
    assert {table: len(rows) for table, rows in left.items()} == {
        table: len(rows) for table, rows in ROWS.items()
    }


@pytest.mark.parametrize("statement", read("attacks.sql", "postgres"), ids=lambda s: s.title)
def test_bad_postgres_is_refused(statement: Statement) -> None:
    judged(statement, "postgres")


def judged(statement: Statement, dialect: Dialect) -> str | None:
    """The rebuilt SQL of a harmless statement; None for one that is refused as it should."""
    verdict = asked(statement.sql, dialect)
    if isinstance(verdict, Refused):
        assert verdict.rule in statement.rules, f"{verdict.rule}: {verdict}"
        check_message(verdict, statement.sql)
        return None
    assert "harmless" in statement.rules, f"became {verdict.sql}"
    return verdict.sql


def asked(sql: str, dialect: Dialect) -> Checked | Refused:
    try:
        return check_read(sql, shop_catalog(dialect), shop_access())
    except Refused as refused:
        return refused


def check_message(refused: Refused, sql: str) -> None:
    """No value, and no hidden name that the asker did not write."""
    said = str(refused).lower()
    assert refused.rule in RULES
    assert not holds_canary([[said]])
    for name in HIDDEN:
        if name != "value":
            assert name not in said or name in sql.lower(), said


def test_there_are_at_least_300_bad_statements_of_every_class() -> None:
    statements = [*read("attacks.sql", "sqlite"), *read("attacks.sql", "postgres")]
    distinct = {s.sql for s in statements}
    assert len(distinct) >= 300
    assert len({s.kind for s in statements}) >= 15
    rules: set[Any] = {rule for s in statements for rule in s.rules}
    assert rules - {"harmless"} <= set(RULES)
