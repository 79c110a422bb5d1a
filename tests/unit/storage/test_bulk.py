"""Many rows go into few statements."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from stepwell_storage.sql.bulk import MOST_ROWS, Bulk

TABLE = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Integer), sa.Column("b", sa.Integer))


def statements(rows: int) -> list[tuple[str, Sequence[int]]]:
    seen: list[tuple[str, Sequence[int]]] = []
    bulk = Bulk(
        ("a", "b"),
        lambda given: sa.insert(TABLE).values([{"a": a, "b": b} for a, b in given]),
        dialect=sqlite.dialect(paramstyle="qmark"),
    )
    bulk.run(lambda sql, values: seen.append((sql, values)), list(range(2 * rows)))
    return seen


def test_no_rows_need_no_statement() -> None:
    assert statements(0) == []


def test_a_few_rows_go_into_one_statement() -> None:
    assert statements(3) == [
        ("INSERT INTO t (a, b) VALUES (?, ?), (?, ?), (?, ?)", [0, 1, 2, 3, 4, 5])
    ]


def test_every_row_goes_in_once_and_in_order() -> None:
    for rows in (7, 8, 9, 255, 256, 257, 1000):
        seen = statements(rows)
        assert [value for _, values in seen for value in values] == list(range(2 * rows))
        assert all(sql.count("(?, ?)") == len(values) // 2 for sql, values in seen)
        assert len(seen) <= rows // MOST_ROWS + 8
