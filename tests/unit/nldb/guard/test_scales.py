"""How many digits after the point the guard finds for the decimals of a result."""

import pytest

from stepwell.nldb.guard import check_read
from stepwell.nldb.model import Column, Table, catalog, open_access

COLUMNS = (
    Column(name="id", type="INTEGER", kind="integer"),
    Column(name="price", type="NUMERIC(10, 2)", kind="decimal"),
    Column(name="rate", type="DECIMAL(6,4)", kind="decimal"),
    Column(name="loose", type="NUMERIC", kind="decimal"),
    Column(name="weight", type="REAL", kind="float"),
    Column(name="name", type="TEXT", kind="text"),
)
SHOP = catalog(
    dialect="sqlite",
    version="3",
    default_schema="main",
    tables={"items": Table(name="items", schema="main", columns=COLUMNS)},
)


@pytest.mark.parametrize(
    ("sql", "scales"),
    [
        ("SELECT price, rate, loose, weight, name FROM items", (2, 4, -1, None, None)),
        ("SELECT * FROM items", (0, 2, 4, -1, None, None)),
        ("SELECT sum(price), min(price), max(rate), avg(price) FROM items", (2, 2, 4, 6)),
        ("SELECT sum(price * rate), price - 1, price / 3, -price FROM items", (6, 2, 6, 2)),
        ("SELECT round(avg(price), 1), coalesce(sum(price), 0) FROM items", (1, 2)),
        ("SELECT sum(CASE WHEN id > 1 THEN price ELSE 0 END) FROM items", (2,)),
        ("SELECT sum(price) OVER (ORDER BY id), count(*), avg(id) FROM items", (2, None, 0)),
        ("WITH t AS (SELECT sum(price) AS s FROM items) SELECT s, s + 0.125 FROM t", (2, 3)),
        ("SELECT t.p FROM (SELECT price AS p FROM items) AS t", (2,)),
        ("SELECT price FROM items UNION ALL SELECT rate FROM items", (4,)),
        ("SELECT price FROM items UNION ALL SELECT weight FROM items", (None,)),
        ("SELECT id / 100.0, id * 2, 1.5, price * 1.1 FROM items", (None, 0, 0, 3)),
        ("SELECT price * weight, price || '', sum(loose) FROM items", (None, None, -1)),
    ],
)
def test_digits_follow_from_the_columns_that_a_figure_is_made_of(
    sql: str, scales: tuple[int | None, ...]
) -> None:
    assert check_read(sql, SHOP, open_access(SHOP)).scales == scales
