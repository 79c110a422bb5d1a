"""What honest queries get: the rows that SQLite has, as JSON, cut where it is said."""

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot
from msgspec.structs import replace
from tests.datasources import always, databases_of

from stepwell.engine.values import Data
from stepwell.errors import Code, NotFound
from stepwell.nldb.model import Access, Catalog, open_access
from stepwell.nldb.tools import sql_tools
from stepwell.tools.invoke import invoke
from stepwell.tools.port import CallContext, ToolFailed
from stepwell.tools.process import ProcessPool

HONEST = [
    "SELECT count(*) FROM orders",
    "SELECT * FROM customers ORDER BY id",
    "SELECT city, count(*) AS n FROM customers GROUP BY city HAVING n > 1 ORDER BY n DESC, city",
    """SELECT p.name, sum(i.quantity * i.price_cents) / 100.0 AS total
       FROM order_items i JOIN products p ON p.id = i.product_id
       GROUP BY p.id ORDER BY total DESC LIMIT 5""",
    """WITH spent AS (SELECT o.customer_id, sum(i.quantity * i.price_cents) AS cents
                      FROM orders o JOIN order_items i ON i.order_id = o.id GROUP BY 1)
       SELECT c.name, cents FROM spent JOIN customers c ON c.id = customer_id ORDER BY 2 DESC, 1""",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) SELECT i FROM n",
    "WITH x AS (SELECT 1 AS a) SELECT count(*) FROM x",
    "SELECT id, rank() OVER (PARTITION BY status ORDER BY placed_on) FROM orders ORDER BY id",
    "SELECT sum(quantity) OVER (ORDER BY order_id, product_id ROWS 2 PRECEDING) FROM order_items",
    "SELECT strftime('%Y-%m', placed_on) AS month, count(*) FROM orders GROUP BY month",
    "SELECT julianday('2026-03-01') - julianday('2026-02-01')",
    "SELECT e.value FROM json_each('[1, \"b\", null]') AS e",
    "SELECT key, atom FROM json_tree('{\"a\": [1, 2]}')",
    "SELECT json_object('name', name) -> '$.name' AS name FROM products ORDER BY id",
    "SELECT upper(name) || ' ' || coalesce(NULL, 'x') FROM categories WHERE name LIKE '%e%'",
    "SELECT name FROM customers WHERE name GLOB 'A*' OR name = 'Paula O''Neil'",
    "SELECT printf('%.2f', avg(price_cents) / 100.0), round(1.005, 2) FROM products",
    "SELECT 1 UNION SELECT 2 EXCEPT SELECT 1 INTERSECT SELECT 2",
    "SELECT EXISTS (SELECT 1 FROM orders WHERE status = 'refunded') AS refunded",
    "SELECT count(*) FILTER (WHERE stock > 50), min(stock), max(stock), total(stock) FROM products",
    "SELECT CASE status WHEN 'paid' THEN 1 ELSE 0 END FROM orders ORDER BY id",
    "SELECT 'DELETE FROM orders; DROP TABLE x' AS \"update\"",
    "SELECT 1; -- and a comment",
    "/* first */ SELECT 1",
    "VALUES (1, 'a'), (2, NULL)",
    "SELECT * FROM categories NATURAL JOIN (SELECT 1 AS id)",
    "SELECT group_concat(name, ', ') FROM categories",
]


def plain(path: Path, sql: str) -> tuple[list[str], list[list[Any]]]:
    with closing(sqlite3.connect(path)) as connection:
        cursor = connection.execute(sql)
        return [column[0] for column in cursor.description], [list(row) for row in cursor]


async def both(
    path: Path, queries: Sequence[str], asker: Callable[..., Any]
) -> tuple[list[Any], list[Any]]:
    async with ProcessPool(size=1) as processes:
        ask = asker(processes, path)
        answers = [(await ask("db_query", sql=sql)).value for sql in queries]
    asked = [(answer["columns"], answer["rows"]) for answer in answers]
    return asked, [plain(path, sql) for sql in queries]


@pytest.mark.anyio
async def test_honest_queries_give_what_plain_sqlite_gives(
    shop: Path, asker: Callable[..., Any]
) -> None:
    asked, expected = await both(shop, HONEST, asker)
    assert asked == expected


@pytest.mark.anyio
async def test_virtual_tables_of_the_datasource_can_be_read(
    tmp_path: Path, database: Callable[[Path, str], Path], asker: Callable[..., Any]
) -> None:
    path = database(
        tmp_path / "docs.db",
        "CREATE VIRTUAL TABLE docs USING fts5(body);"
        "INSERT INTO docs VALUES ('green tea'), ('black coffee');"
        "CREATE VIRTUAL TABLE areas USING rtree(id, low, high);"
        "INSERT INTO areas VALUES (1, 0, 5), (2, 6, 9);",
    )
    queries = [
        "SELECT body FROM docs ORDER BY body",
        "SELECT id FROM areas WHERE low < 3",
    ]
    asked, expected = await both(path, queries, asker)
    assert asked == expected


@pytest.mark.anyio
async def test_decimals_are_texts_with_the_digits_of_their_column(
    tmp_path: Path, database: Callable[[Path, str], Path], asker: Callable[..., Any]
) -> None:
    path = database(
        tmp_path / "bills.db",
        "CREATE TABLE bills (id INTEGER PRIMARY KEY, total NUMERIC(10, 2), vat NUMERIC);"
        "INSERT INTO bills VALUES (1, 0.1, 0.1), (2, 0.2, 0.2), (3, 5, 7), (4, NULL, 'none');",
    )
    queries = [
        "SELECT total FROM bills ORDER BY id",
        "SELECT sum(total), sum(total) * 3, avg(total), count(total) FROM bills",
        "SELECT vat, sum(vat) OVER (ORDER BY id) FROM bills WHERE id < 4 ORDER BY id",
        "SELECT vat FROM bills WHERE id = 4",
    ]
    asked, _ = await both(path, queries, asker)
    assert [rows for _, rows in asked] == [
        [["0.10"], ["0.20"], ["5.00"], [None]],
        [["5.30", "15.90", "1.766667", 3]],
        [["0.1", "0.1"], ["0.2", "0.3"], ["7", "7.3"]],
        [["none"]],
    ]


@pytest.mark.anyio
async def test_values_without_a_word_in_json_are_told_in_text(
    shop: Path, asker: Callable[..., Any]
) -> None:
    async with ProcessPool(size=1) as processes:
        result = await asker(processes, shop)(
            "db_query", sql="SELECT x'00ff' AS b, 9e999 AS i, NULL AS n, CAST(x'ff61' AS TEXT) AS t"
        )
    assert len(result.value.pop("sight")) == 32
    assert result.value == {
        "columns": ["b", "i", "n", "t"],
        "rows": [["<2 bytes>", "inf", None, "\ufffda"]],
        "returned": 1,
        "total": 1,
        "truncated": False,
        "notes": [],
        "result_id": "k",
    }


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("limits", "returned", "note"),
    [
        ({"rows": 7}, 7, "only the first 7 rows are here, there are more"),
        (
            {"size": 64},
            16,
            "only the first 16 rows are here, there are more: they have more than 64 bytes",
        ),
        ({"cell": 3}, 50, "values of more than 3 characters are cut"),
    ],
)
async def test_what_is_cut_off_is_said(
    shop: Path, asker: Callable[..., Any], limits: dict[str, int], returned: int, note: str
) -> None:
    sql = "SELECT status FROM orders" if "cell" in limits else "SELECT 1 FROM orders"
    async with ProcessPool(size=1) as processes:
        value = (await asker(processes, shop, **limits)("db_query", sql=sql)).value
    assert (value["returned"], len(value["rows"])) == (returned, returned)
    assert (value["truncated"], value["notes"]) == (True, [note])
    if "cell" in limits:
        assert {row[0] for row in value["rows"]} <= {
            "pai… (4 characters)",
            "shi… (7 characters)",
            "ref… (8 characters)",
        }


@pytest.mark.anyio
async def test_exactly_as_many_rows_as_the_limit_are_not_truncated(
    shop: Path, asker: Callable[..., Any]
) -> None:
    async with ProcessPool(size=1) as processes:
        result = await asker(processes, shop, rows=50)("db_query", sql="SELECT id FROM orders")
    assert (result.value["returned"], result.value["truncated"]) == (50, False)


@pytest.mark.anyio
async def test_results_are_sealed_with_the_name_of_the_datasource(
    shop: Path, asker: Callable[..., Any]
) -> None:
    async with ProcessPool(size=1) as processes:
        ask = asker(processes, shop)
        assert (await ask("db_query", sql="SELECT 1")).sealed == "datasource:shop"
        assert (await ask("db_schema")).sealed == "datasource:shop"


MISTAKES = snapshot(
    {
        "SELECT nme FROM customers": "the query is refused: there is no column nme to read (rule sql.column); did you mean name?",
        "SELECT * FROM customer": "the query is refused: there is no table customer to read (rule sql.table); did you mean customers?",
        "SELEC 1": "the query is refused: the SQL cannot be read as SQLite near line 1, column 7 (rule sql.syntax); check the spelling of the keywords, the commas and the parentheses",
        "SELECT median_of(1)": "the query is refused: the function median_of() is not one that may be called (rule sql.function); did you mean median?",
        "SELECT id FROM orders, customers": "the query is refused: the column id is in several tables: orders, customers (rule sql.ambiguous); write orders.id or another one",
        "SELECT ? FROM orders": "the query is refused: there is no value for 1 (rule sql.parameter); give each parameter exactly one value",
        "": "the query is refused: there is no statement (rule sql.one_statement); ask with exactly one",
        "SELECT 1 \x00": "the query is refused: the SQL has the character U+0000, which is not text (rule sql.characters); leave control characters out",
    }
)


@pytest.mark.anyio
async def test_a_mistake_is_told_with_what_to_write(shop: Path, asker: Callable[..., Any]) -> None:
    told: dict[str, str] = {}
    async with ProcessPool(size=1) as processes:
        ask = asker(processes, shop)
        for sql in (
            "SELECT nme FROM customers",
            "SELECT * FROM customer",
            "SELEC 1",
            "SELECT median_of(1)",
            "SELECT id FROM orders, customers",
            "SELECT ? FROM orders",
            "",
            "SELECT 1 \x00",
        ):
            with pytest.raises(ToolFailed) as failed:
                await ask("db_query", sql=sql)
            assert failed.value.code is Code.QUERY_REFUSED
            told[sql] = failed.value.message
    assert told == MISTAKES


@pytest.mark.anyio
async def test_an_error_over_rows_quotes_no_value(shop: Path, asker: Callable[..., Any]) -> None:
    """A failure is written to the log, and the log holds no row (DESIGN, section 2)."""
    async with ProcessPool(size=1) as processes:
        with pytest.raises(ToolFailed) as failed:
            await asker(processes, shop)(
                "db_query", sql="SELECT json_extract('{}', email) FROM customers"
            )
    assert failed.value.code is Code.QUERY_FAILED
    assert "JSON path error" in failed.value.message
    assert "example.org" not in failed.value.message


class AnyResults:
    """Every result is that of a query of 120 rows."""

    def __init__(self, sight: str = "") -> None:
        self._sight = sight

    async def find(
        self, namespace: str, principal: str, key: str, tools: frozenset[str]
    ) -> Data | None:
        value = {
            "columns": ["i"],
            "rows": [[i] for i in range(120)],
            "returned": 120,
            "total": 120,
            "truncated": False,
            "notes": [],
            "result_id": key,
            "sight": self._sight,
        }
        return Data(value, sealed="datasource:shop")


@pytest.mark.anyio
async def test_a_result_is_read_page_by_page(shop: Path) -> None:
    context = CallContext(namespace="n", principal="p", run="r", step="s", attempt=1, key="k")
    async with ProcessPool() as processes:
        databases = databases_of(always(f"sqlite:///{shop}"), processes)
        sight = (await databases.view(context, "shop")).sight
        tool = sql_tools(databases, AnyResults(sight))[3]
        pages = [
            await invoke(tool, {"result_id": "r/call", "offset": offset}, context)
            for offset in (0, 50, 100, 500)
        ]
    assert [page.sealed for page in pages] == ["datasource:shop"] * 4
    shown = [(p.value["returned"], p.value["truncated"], p.value["rows"][:1]) for p in pages]
    assert shown == [(50, True, [[0]]), (50, True, [[50]]), (20, False, [[100]]), (0, False, [])]
    (note,) = pages[0].value["notes"]
    assert note.startswith(
        "rows 1 to 50 of 120 are shown; db_result with result_id='r/call' and off"
    )


@pytest.mark.anyio
async def test_a_result_of_what_may_not_be_seen_any_more_is_not_there(
    shop: Path, tmp_path: Path
) -> None:
    context = CallContext(namespace="n", principal="p", run="r", step="s", attempt=1, key="k")
    copied = shutil.copy(shop, tmp_path / "copy.db")

    def narrower(catalog: Catalog) -> Access:
        return replace(open_access(catalog), tables={})

    async with ProcessPool() as processes:
        databases = databases_of(always(f"sqlite:///{shop}"), processes)
        sight = (await databases.view(context, "shop")).sight
        for now in (
            databases_of(always(f"sqlite:///{shop}"), processes, access=narrower),
            databases_of(always(f"sqlite:///{copied}"), processes),
        ):
            with pytest.raises(ToolFailed, match="is not what it was") as failed:
                await invoke(sql_tools(now, AnyResults(sight))[3], {"result_id": "r/call"}, context)
            assert failed.value.code is Code.RESOURCE_NOT_FOUND


@pytest.mark.anyio
async def test_an_unknown_datasource_is_told_and_not_retried() -> None:
    async def url_of(namespace: str, name: str) -> str:
        raise NotFound(f"there is no datasource {name}", code=Code.DATASOURCE_NOT_FOUND)

    context = CallContext(namespace="n", principal="p", run="r", step="s", attempt=1, key="k")
    async with ProcessPool() as processes:
        databases = databases_of(url_of, processes)
        for tool in sql_tools(databases, AnyResults())[:3]:
            arguments = {"datasource": "shop", "sql": "SELECT 1"}
            if tool.spec.name == "db_schema":
                del arguments["sql"]
            with pytest.raises(ToolFailed) as failed:
                await invoke(tool, arguments, context)
            assert (failed.value.code, failed.value.retryable) == (
                Code.DATASOURCE_NOT_FOUND,
                False,
            )


@pytest.mark.anyio
async def test_a_file_that_is_gone_or_replaced_is_told(
    shop: Path, asker: Callable[..., Any]
) -> None:
    async with ProcessPool(size=1) as processes:
        ask = asker(processes, shop)
        shop.write_bytes(b"no database" * 100)
        with pytest.raises(ToolFailed, match="was the file moved or replaced"):
            await ask("db_query", sql="SELECT 1")
        shop.unlink()
        with pytest.raises(ToolFailed, match="was the file moved or replaced"):
            await ask("db_schema")


@pytest.mark.anyio
async def test_a_database_that_somebody_is_writing_may_be_asked_again(
    shop: Path, asker: Callable[..., Any]
) -> None:
    with closing(sqlite3.connect(shop, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        async with ProcessPool(size=1) as processes:
            with pytest.raises(ToolFailed, match="locked") as failed:
                await asker(processes, shop)("db_query", sql="SELECT 1 FROM orders")
    assert failed.value.retryable
