"""A PostgreSQL datasource: what it answers, what it refuses, and that it ends."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from tests.datasources import databases_of
from tests.interaction.nldb.conftest import CONTEXT

from stepwell.errors import Code, NotFound
from stepwell.tools.port import ToolFailed
from stepwell.tools.process import ProcessPool

pytestmark = pytest.mark.anyio

Asking = Callable[..., Any]


async def test_rows_come_as_json_with_exact_decimals_and_times_as_postgres_writes_them(
    shop_url: str, asking: Asking
) -> None:
    answer = await asking(shop_url)("db_query", sql="SELECT * FROM orders ORDER BY id")
    assert len(answer.pop("sight")) == 32
    assert answer == {
        "columns": ["id", "customer_id", "total", "placed_at", "data", "twice"],
        "rows": [
            [1, 1, "120.50", "2026-01-01 10:00:00+00", '{"a": 1}', "241.00"],
            [2, 2, "5.00", "2026-01-01 10:00:00+00", None, "10.00"],
        ],
        "returned": 2,
        "total": 2,
        "truncated": False,
        "notes": [],
        "result_id": "k",
    }


async def test_odd_values_are_told_in_text(shop_url: str, asking: Asking) -> None:
    answer = await asking(shop_url)(
        "db_query",
        sql="SELECT 'infinity'::date, 'NaN'::float8, 'NaN'::numeric, ARRAY[1, 2], "
        "decode('00ff', 'hex'), NULL, true, interval '1 day 2 hours'",
    )
    assert answer["rows"] == [
        ["infinity", "nan", "NaN", "{1,2}", "<2 bytes>", None, True, "1 day 02:00:00"]
    ]


async def test_parameters_are_bound_by_place_and_by_name(shop_url: str, asking: Asking) -> None:
    ask = asking(shop_url)
    by_place = await ask("db_query", sql="SELECT name FROM customers WHERE id = $1", parameters=[2])
    by_name = await ask(
        "db_query", sql="SELECT name FROM customers WHERE name = :n", parameters={"n": "O'Neil"}
    )
    assert (by_place["rows"], by_name["rows"]) == ([["Bo"]], [])


async def test_the_catalog_has_keys_comments_views_and_other_schemas(
    shop_url: str, asking: Asking
) -> None:
    told = await asking(shop_url)("db_schema")
    tables = {table["name"]: table for table in told["tables"]}
    assert list(tables) == ["big", "customers", "orders", "stock.items"]
    assert tables["big"]["kind"] == "view"
    assert tables["orders"]["comment"] == "What was bought."
    assert tables["orders"]["foreign_keys"] == [
        {"columns": ["customer_id"], "table": "customers", "references": ["id"]}
    ]
    assert tables["orders"]["unique"] == [["customer_id", "placed_at"]]
    assert tables["stock.items"]["foreign_keys"][0]["table"] == "orders"
    columns = {column["name"]: column for column in tables["orders"]["columns"]}
    assert columns["total"] == {
        "name": "total",
        "type": "NUMERIC(10, 2)",
        "nullable": False,
        "comment": "In euros.",
    }
    assert columns["twice"]["generated"]
    assert columns["id"]["generated"]


async def test_a_change_of_the_schema_is_seen_at_the_next_call(
    shop_url: str, asking: Asking
) -> None:
    ask = asking(shop_url)
    await ask("db_query", sql="SELECT name FROM customers")
    with psycopg.connect(shop_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE later (a int)")
        connection.execute("ALTER TABLE customers RENAME COLUMN name TO title")
    assert (await ask("db_query", sql="SELECT count(*) FROM later"))["rows"] == [[0]]
    assert (await ask("db_query", sql="SELECT title FROM customers WHERE id = 1"))["rows"] == [
        ["Ada"]
    ]
    with pytest.raises(ToolFailed, match="no column name"):
        await ask("db_query", sql="SELECT name FROM customers")


MISTAKES = {
    "SELECT total / 0 FROM orders": "division by zero",
    "SELECT name::int FROM customers": "cannot be read as the type",
    "SELECT name + 1 FROM customers": "operator does not exist: text + integer",
    "SELECT id, count(*) FROM orders": "must appear in the GROUP BY clause",
    "SELECT (SELECT id FROM orders) FROM customers": "more than one row",
}


@pytest.mark.parametrize("sql", MISTAKES)
async def test_an_error_tells_its_kind_and_no_value(
    shop_url: str, asking: Asking, sql: str
) -> None:
    with pytest.raises(ToolFailed) as failed:
        await asking(shop_url)("db_query", sql=sql)
    assert failed.value.code is Code.QUERY_FAILED
    assert MISTAKES[sql] in failed.value.message
    assert "Ada" not in failed.value.message


ENDLESS = [
    "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT 1 FROM c) SELECT max(x) FROM c",
    "SELECT length(string_agg(repeat('x', 900), '')) FROM generate_series(1, 99999), customers a, "
    + ", ".join(f"customers {name}" for name in "bcdefghijk"),
    "SELECT a FROM generate_series(1, 100000) a, generate_series(1, 1000) b ORDER BY random()",
]


GATHERED = [
    "SELECT length(string_agg(repeat('x', 1000), '')) FROM generate_series(1, 100000)",
    "SELECT cardinality(array_agg(a)) FROM generate_series(1, 100000) a, generate_series(1, 100) b",
    "SELECT cardinality(ARRAY(SELECT a FROM generate_series(1, 100000) a, generate_series(1, 100) b))",
]


@pytest.mark.parametrize("sql", GATHERED)
async def test_one_value_is_not_made_of_millions_of_rows(
    shop_url: str, asking: Asking, sql: str
) -> None:
    ask = asking(shop_url)
    with pytest.raises(ToolFailed, match="gather") as refused:
        await ask("db_query", sql=sql)
    assert refused.value.detail == {"rule": "sql.memory"}
    few = "SELECT cardinality(array_agg(a)) FROM generate_series(1, 100000) a"
    assert (await ask("db_query", sql=few))["rows"] == [[100000]]


@pytest.mark.parametrize("sql", ENDLESS)
async def test_what_would_run_for_ever_ends_in_time_on_the_server_too(
    shop_url: str, asking: Asking, sql: str
) -> None:
    ask = asking(shop_url, timeout=timedelta(seconds=1))
    await ask("db_query", sql="SELECT 1")
    async with asyncio.timeout(1 + 1 + 1):  # a second for a slow machine
        with pytest.raises(ToolFailed) as ended:
            await ask("db_query", sql=sql)
    assert ended.value.code in (Code.TOOL_TIMEOUT, Code.QUERY_REFUSED)
    await nothing_runs(shop_url)
    assert (await ask("db_query", sql="SELECT 1"))["rows"] == [[1]]


async def test_a_cancelled_query_ends_on_the_server(shop_url: str, asking: Asking) -> None:
    ask = asking(shop_url)
    query = asyncio.create_task(ask("db_query", sql=ENDLESS[0]))
    await runs(shop_url, 1)
    query.cancel()
    with pytest.raises(asyncio.CancelledError):
        await query
    await nothing_runs(shop_url)


async def test_a_long_value_is_cut_by_the_server(shop_url: str, asking: Asking) -> None:
    ask = asking(shop_url, cell=10)
    answer = await ask(
        "db_query",
        sql="SELECT string_agg(repeat('é', 1000), '') AS long, 'short' AS short "
        "FROM generate_series(1, 1000)",
    )
    assert answer["rows"] == [[f"{'é' * 10}… (1000000 characters)", "short"]]
    assert answer["notes"] == ["values of more than 10 characters are cut"]
    assert answer["truncated"]


async def test_rows_beyond_the_limit_are_said_and_kept_in_order(
    shop_url: str, asking: Asking
) -> None:
    answer = await asking(shop_url, rows=3)(
        "db_query", sql="SELECT a, a::text AS t FROM generate_series(1, 100) a ORDER BY a DESC"
    )
    assert answer["rows"] == [[100, "100"], [99, "99"], [98, "98"]]
    assert (answer["truncated"], answer["total"]) == (True, None)


async def test_a_plan_that_costs_too_much_is_not_run(shop_url: str, asking: Asking) -> None:
    by_cost, by_rows = asking(shop_url, cost=1000.0), asking(shop_url, plan_rows=10_000)
    sql = "SELECT count(*) FROM orders a, orders b, orders c WHERE a.id = $1"
    for ask, rule in ((by_cost, "sql.cost"), (by_rows, "sql.rows")):
        assert (await ask("db_query", sql="SELECT count(*) FROM orders"))["rows"] == [[2]]
        with pytest.raises(ToolFailed) as refused:
            await ask("db_query", sql=sql, parameters=[1])
        assert refused.value.detail == {"rule": rule}


async def test_a_login_sees_only_what_it_may_read(shop_url: str, asking: Asking) -> None:
    with psycopg.connect(shop_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS narrow")
        connection.execute("CREATE ROLE narrow LOGIN")
        connection.execute("GRANT SELECT (id, name) ON customers TO narrow")
    ask = asking(shop_url.replace("postgres@", "narrow@"))
    (table,) = (await ask("db_schema"))["tables"]
    assert [column["name"] for column in table["columns"]] == ["id", "name"]
    assert (await ask("db_query", sql="SELECT * FROM customers WHERE id = 1"))["rows"] == [
        [1, "Ada"]
    ]


async def runs(url: str, count: int) -> None:
    """Waits until as many statements of a datasource run, and a little longer for none."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        async with asyncio.timeout(5):
            while True:
                cursor = await connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND application_name = 'stepwell datasource' AND state = 'active'"
                )
                row = await cursor.fetchone()
                assert row is not None
                if row[0] == count:
                    return


async def nothing_runs(url: str) -> None:
    await runs(url, 0)


async def test_a_value_that_cannot_be_sent_is_told_as_such(
    shop_url: str, asking: Callable[..., Any]
) -> None:
    ask = asking(shop_url)
    for value in ("a\x00b", 2**80):
        sql = "SELECT count(*) FROM customers WHERE name = $1"
        with pytest.raises(ToolFailed) as failed:
            await ask("db_query", sql=sql, parameters=[value])
        assert not failed.value.retryable
        assert "lost" not in failed.value.message


async def test_a_datasource_that_is_removed_keeps_no_connection(
    shop_url: str, processes: ProcessPool
) -> None:
    urls = [shop_url]

    async def url_of(namespace: str, name: str) -> str:
        if not urls:
            raise NotFound("it was removed", code=Code.DATASOURCE_NOT_FOUND)
        return urls[0]

    with psycopg.connect(shop_url, autocommit=True) as looking:

        def connections() -> int:
            row = looking.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name = 'stepwell datasource'"
            ).fetchone()
            assert row is not None
            return int(row[0])

        async with databases_of(url_of, processes) as databases:
            view = await databases.view(CONTEXT, "shop")
            async with view.database.connections.lend():  # type: ignore[attr-defined]
                urls.clear()
                with pytest.raises(NotFound):
                    await databases.view(CONTEXT, "shop")
            async with asyncio.timeout(5):
                while connections():
                    await asyncio.sleep(0)
