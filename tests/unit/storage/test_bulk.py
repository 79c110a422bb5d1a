"""Many rows go into few statements."""

from collections.abc import Callable, Sequence

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from stepwell_storage.sql.bulk import MOST_ROWS, Bulk, Rows

DIALECT = sqlite.dialect(paramstyle="qmark")
TABLE = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Integer), sa.Column("b", sa.Integer))


def insert(rows: Rows) -> sa.Insert:
    return sa.insert(TABLE).values([{"a": a, "b": b} for a, b in rows])


def insert_new(rows: Rows) -> sa.Insert:
    values = [{"a": a, "b": b} for a, b in rows]
    return sqlite.insert(TABLE).values(values).on_conflict_do_nothing()


def update(rows: Rows) -> sa.Update:
    given = sa.values(sa.column("a"), sa.column("b"), name="given").data(rows).cte("given")
    return sa.update(TABLE).where(TABLE.c.a == given.c.a).values(b=given.c.b)


def statements(
    rows: int, statement: Callable[[Rows], sa.ClauseElement] = insert
) -> list[tuple[str, Sequence[int]]]:
    seen: list[tuple[str, Sequence[int]]] = []
    bulk = Bulk(("a", "b"), statement, dialect=DIALECT)
    bulk.run(lambda sql, values: seen.append((sql, values)), list(range(2 * rows)))
    return seen


def test_no_rows_need_no_statement() -> None:
    assert statements(0) == []


def test_a_few_rows_go_into_one_statement() -> None:
    assert statements(3) == [
        ("INSERT INTO t (a, b) VALUES (?, ?), (?, ?), (?, ?)", [0, 1, 2, 3, 4, 5])
    ]


@pytest.mark.parametrize("statement", [insert, insert_new, update])
def test_the_text_is_what_the_compiler_makes_of_as_many_rows(
    statement: Callable[[Rows], sa.ClauseElement],
) -> None:
    parameters: Rows = [(sa.bindparam(f"a{row}"), sa.bindparam(f"b{row}")) for row in range(5)]
    [(sql, _)] = statements(5, statement)

    assert sql == str(statement(parameters).compile(dialect=DIALECT))


def test_every_row_goes_in_once_and_in_order() -> None:
    for rows in (7, 8, 9, 255, 256, 257, 1000):
        seen = statements(rows)
        assert [value for _, values in seen for value in values] == list(range(2 * rows))
        assert all(sql.count("(?, ?)") == len(values) // 2 for sql, values in seen)
        assert len(seen) <= rows // MOST_ROWS + 8
