"""What db_schema tells of a database."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from stepwell.errors import Code
from stepwell.tools.port import ToolFailed
from stepwell.tools.process import ProcessPool


@pytest.mark.anyio
async def test_tables_have_columns_keys_and_the_number_of_rows(
    shop: Path, asker: Callable[..., Any]
) -> None:
    async with ProcessPool(size=1) as processes:
        result = await asker(processes, shop)("db_schema", tables=["order_items"])
    assert result.value == snapshot(
        {
            "dialect": "sqlite",
            "tables": [
                {
                    "name": "order_items",
                    "kind": "table",
                    "columns": [
                        {"name": "order_id", "type": "INTEGER", "nullable": False},
                        {"name": "product_id", "type": "INTEGER", "nullable": False},
                        {"name": "quantity", "type": "INTEGER", "nullable": False},
                        {"name": "price_cents", "type": "INTEGER", "nullable": False},
                    ],
                    "primary_key": ["order_id", "product_id"],
                    "foreign_keys": [
                        {"columns": ["order_id"], "table": "orders", "references": ["id"]},
                        {"columns": ["product_id"], "table": "products", "references": ["id"]},
                    ],
                    "rows": 102,
                }
            ],
            "truncated": False,
            "notes": [],
        }
    )


@pytest.mark.anyio
async def test_everything_is_listed_by_name_without_what_indexes_keep_for_themselves(
    tmp_path: Path, database: Callable[[Path, str], Path], asker: Callable[..., Any]
) -> None:
    path = database(
        tmp_path / "odd.db",
        'CREATE TABLE "two ""words" (a);'
        "CREATE TABLE child (p REFERENCES parent);"
        "CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT NOT NULL);"
        "CREATE VIRTUAL TABLE docs USING fts5(body);"
        "CREATE VIEW broken AS SELECT * FROM gone;"
        "CREATE VIEW v AS SELECT id FROM parent;",
    )
    async with ProcessPool(size=1) as processes:
        result = await asker(processes, path)("db_schema")
    assert result.value == snapshot(
        {
            "dialect": "sqlite",
            "tables": [
                {
                    "name": "child",
                    "kind": "table",
                    "columns": [{"name": "p", "type": "", "nullable": True}],
                    "foreign_keys": [{"columns": ["p"], "table": "parent", "references": ["id"]}],
                    "rows": 0,
                },
                {
                    "name": "docs",
                    "kind": "table",
                    "columns": [{"name": "body", "type": "", "nullable": True}],
                    "rows": 0,
                },
                {
                    "name": "parent",
                    "kind": "table",
                    "columns": [
                        {"name": "id", "type": "INTEGER", "nullable": True},
                        {"name": "x", "type": "TEXT", "nullable": False},
                    ],
                    "primary_key": ["id"],
                    "rows": 0,
                },
                {
                    "name": 'two "words',
                    "kind": "table",
                    "columns": [{"name": "a", "type": "", "nullable": True}],
                    "rows": 0,
                },
                {
                    "name": "v",
                    "kind": "view",
                    "columns": [{"name": "id", "type": "INTEGER", "nullable": True}],
                },
            ],
            "truncated": False,
            "notes": [],
        }
    )


@pytest.mark.anyio
async def test_a_large_table_is_not_counted(
    tmp_path: Path, database: Callable[[Path, str], Path], asker: Callable[..., Any]
) -> None:
    path = database(
        tmp_path / "large.db",
        "CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < 10001) SELECT i FROM n",
    )
    async with ProcessPool(size=1) as processes:
        (table,) = (await asker(processes, path)("db_schema")).value["tables"]
    assert "rows" not in table


@pytest.mark.anyio
async def test_of_very_many_tables_the_rest_is_named_and_can_be_asked_for(
    tmp_path: Path, database: Callable[[Path, str], Path], asker: Callable[..., Any]
) -> None:
    columns = ", ".join(f"a_column_with_a_long_name_{number} TEXT" for number in range(60))
    path = database(
        tmp_path / "many.db", ";".join(f"CREATE TABLE t{n:03} ({columns})" for n in range(120))
    )
    async with ProcessPool(size=1) as processes:
        ask = asker(processes, path)
        everything = (await ask("db_schema")).value
        last = (await ask("db_schema", tables=["t119"])).value
    assert len(everything["tables"]) == 120
    assert everything["truncated"]
    assert everything["tables"][-1] == {"name": "t119", "kind": "table"}
    assert len(last["tables"][0]["columns"]) == 60
    assert not last["truncated"]


@pytest.mark.anyio
async def test_a_table_that_is_not_there_is_told_with_those_that_are(
    shop: Path, asker: Callable[..., Any]
) -> None:
    async with ProcessPool(size=1) as processes:
        with pytest.raises(ToolFailed) as failed:
            await asker(processes, shop)("db_schema", tables=["order"])
    assert failed.value.code is Code.QUERY_FAILED
    assert failed.value.message == snapshot(
        "there is no table order; there are categories, customers, order_items, orders, products"
    )
