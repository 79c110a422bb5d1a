"""What the sandbox refuses: nothing that a statement says may change a byte on disk."""

import asyncio
import hashlib
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stepwell.errors import Code
from stepwell.tools.port import ToolFailed
from stepwell.tools.process import ProcessPool

BOMB = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"

REFUSED = {
    # writes, in every dress
    "INSERT INTO customers VALUES (99, 'a', 'b', 'c', 'd')": "sql.write",
    "INSERT OR REPLACE INTO customers VALUES (1, 'a', 'b', 'c', 'd')": "sql.write",
    "REPLACE INTO categories VALUES (1, 'x')": "sql.write",
    "INSERT INTO categories DEFAULT VALUES": "sql.write",
    "INSERT INTO categories SELECT id + 90, name FROM products": "sql.write",
    "INSERT INTO categories VALUES (9, 'x') ON CONFLICT DO NOTHING": "sql.write",
    "INSERT INTO categories VALUES (9, 'x') RETURNING id": "sql.write",
    "UPDATE products SET price_cents = 1": "sql.write",
    "UPDATE products SET stock = 0 WHERE 0": "sql.write",
    "UPDATE OR IGNORE products SET stock = 0 RETURNING *": "sql.write",
    "UPDATE products SET stock = i.quantity FROM order_items i": "sql.write",
    "DELETE FROM orders": "sql.write",
    "DELETE FROM orders RETURNING id": "sql.write",
    "delete from orders where id in (select 1)": "sql.write",
    "WITH gone AS (SELECT 1) DELETE FROM orders": "sql.write",
    "WITH x AS (SELECT 1) INSERT INTO categories SELECT 9, 'x' FROM x": "sql.write",
    "WITH x AS (SELECT 1) UPDATE products SET stock = 0": "sql.write",
    "/* SELECT */ DELETE FROM orders": "sql.write",
    "-- SELECT\nDELETE FROM orders": "sql.write",
    "\ufeffDELETE FROM orders": "sql.write",
    "EXPLAIN DELETE FROM orders": "sql.write",
    "EXPLAIN QUERY PLAN UPDATE products SET stock = 0": "sql.write",
    # the schema
    "CREATE TABLE evil (a)": "sql.schema",
    "CREATE TABLE IF NOT EXISTS evil AS SELECT * FROM customers": "sql.schema",
    "CREATE TEMP TABLE evil (a)": "sql.schema",
    "CREATE TEMPORARY VIEW evil AS SELECT 1": "sql.schema",
    "CREATE VIEW evil AS SELECT 1": "sql.schema",
    "CREATE INDEX evil ON orders (status)": "sql.schema",
    "CREATE UNIQUE INDEX temp.evil ON orders (status)": None,
    "CREATE TRIGGER evil AFTER INSERT ON orders BEGIN SELECT 1; END": "sql.schema",
    "CREATE TEMP TRIGGER evil AFTER INSERT ON orders BEGIN SELECT 1; END": "sql.schema",
    "CREATE VIRTUAL TABLE evil USING fts5(a)": "sql.schema",
    "CREATE VIRTUAL TABLE temp.evil USING fts5(a)": "sql.schema",
    "DROP TABLE orders": "sql.schema",
    "DROP TABLE IF EXISTS orders": "sql.schema",
    "DROP INDEX sqlite_autoindex_customers_1": None,
    "ALTER TABLE orders RENAME TO gone": None,
    "ALTER TABLE orders ADD COLUMN evil": None,
    "ALTER TABLE orders DROP COLUMN note": None,
    "UPDATE sqlite_master SET sql = ''": None,
    "DELETE FROM sqlite_master": None,
    "ANALYZE": None,
    "REINDEX": None,
    # other files
    "ATTACH 'evil.db' AS evil": "sql.attach",
    "ATTACH DATABASE ':memory:' AS evil": "sql.attach",
    "ATTACH 'file:evil.db?mode=rwc' AS evil": "sql.attach",
    "DETACH main": "sql.attach",
    "VACUUM": None,
    "VACUUM INTO 'evil.db'": None,
    "VACUUM main INTO 'evil.db'": None,
    # the session
    "PRAGMA query_only = OFF": "sql.pragma",
    "PRAGMA journal_mode = WAL": "sql.pragma",
    "PRAGMA writable_schema = 1": "sql.pragma",
    "PRAGMA table_info(orders)": "sql.pragma",
    "PRAGMA user_version = 7": "sql.pragma",
    "PRAGMA wal_checkpoint": "sql.pragma",
    "PRAGMA database_list": "sql.pragma",
    "SELECT * FROM pragma_database_list": "sql.table",
    "SELECT * FROM pragma_table_info('orders')": "sql.table",
    "SELECT * FROM dbstat": "sql.table",
    "SELECT sql FROM sqlite_stmt": "sql.table",
    "BEGIN": "sql.transaction",
    "BEGIN EXCLUSIVE": "sql.transaction",
    "COMMIT": "sql.transaction",
    "ROLLBACK": "sql.transaction",
    "SAVEPOINT a": "sql.transaction",
    # functions
    "SELECT load_extension('./evil.so')": "sql.function",
    "SELECT load_extension('./evil.so', 'init')": "sql.function",
    "SELECT 1 FROM orders ORDER BY load_extension('evil')": "sql.function",
    "SELECT 1 WHERE load_extension('evil') IS NULL": "sql.function",
    "SELECT 1 LIMIT load_extension('evil')": "sql.function",
    "VALUES (load_extension('evil'))": "sql.function",
    "SELECT fts3_tokenizer('evil', x'00')": "sql.function",
    "SELECT writefile('evil', 'x')": None,
    "SELECT readfile('/etc/passwd')": None,
    "SELECT edit('evil')": None,
    "SELECT hex(zeroblob(4e8))": "sql.function",
    "SELECT length(randomblob(9e8))": "sql.function",
    "SELECT sqlite_log(1, 'evil')": "sql.function",
    # more than one statement
    "SELECT 1; DELETE FROM orders": "sql.one_statement",
    "SELECT 1;;SELECT 2": "sql.one_statement",
    "SELECT 1; ATTACH 'evil.db' AS evil": "sql.one_statement",
    "SELECT 1;\n--\n/* */ DROP TABLE orders": "sql.one_statement",
    # too much
    "SELECT group_concat(a.id) FROM orders a, orders b, orders c, orders d": "sql.size",
    "SELECT * FROM order_items a, order_items b, order_items c, order_items d ORDER BY a.quantity": (
        "sql.memory"
    ),
}
"""Each statement with the rule that refuses it; None where SQLite may be first to say no."""


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_no_statement_changes_a_byte_or_leaves_a_file(
    shop: Path,
    bare: Callable[..., Any],
    database: Callable[[Path, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    wal: bool,
) -> None:
    folder = shop.parent
    monkeypatch.chdir(folder)
    if wal:
        database(shop, "PRAGMA journal_mode = WAL")
        # SQLite itself keeps these beside a database in WAL mode, also to read it.
        (folder / "shop.db-wal").touch()
        (folder / "shop.db-shm").touch()
    before = fingerprint(folder)
    wrong: list[str] = []

    async def ask_all() -> None:
        async with ProcessPool(size=1) as processes:
            ask = bare(processes, shop)
            for sql, rule in REFUSED.items():
                wrong.extend(await judge(ask, sql, rule))

    asyncio.run(ask_all())
    after = fingerprint(folder)
    if wal:
        before.pop("shop.db-shm")
        after.pop("shop.db-shm")
    assert wrong == []
    assert after == before


async def judge(ask: Any, sql: str, rule: str | None) -> list[str]:
    try:
        await ask("db_query", sql=sql)
    except ToolFailed as error:
        if rule is None:
            refused = error.code in (Code.QUERY_REFUSED, Code.QUERY_FAILED)
        else:
            refused = error.code is Code.QUERY_REFUSED and error.detail == {"rule": rule}
        return [] if refused else [f"{sql!r:.80}: {error.code} {error.detail} {error.message}"]
    return [f"{sql!r:.80} was run"]


@pytest.mark.anyio
async def test_the_guard_refuses_them_before_the_sandbox_sees_them(
    shop: Path, asker: Callable[..., Any]
) -> None:
    too_much = {"sql.size", "sql.memory"}
    ran: list[str] = []
    async with ProcessPool(size=1) as processes:
        ask = asker(processes, shop)
        for sql, rule in REFUSED.items():
            if rule not in too_much:
                with pytest.raises(ToolFailed) as refused:
                    await ask("db_query", sql=sql)
                if refused.value.code is not Code.QUERY_REFUSED:
                    ran.append(sql)
    assert ran == []


def test_at_least_sixty_ways_to_do_harm_are_tried() -> None:
    assert len(REFUSED) >= 60


@pytest.mark.anyio
async def test_a_refusal_says_what_by_which_rule_and_what_is_possible(
    shop: Path, bare: Callable[..., Any]
) -> None:
    async with ProcessPool(size=1) as processes:
        with pytest.raises(ToolFailed) as refused:
            await bare(processes, shop)("db_query", sql="DELETE FROM orders")
    assert refused.value.message == (
        "the query is refused: DELETE from orders (rule sql.write); only reading is possible"
    )
    assert not refused.value.retryable


ENDLESS = [
    f"{BOMB} SELECT count(*) FROM c",
    f"{BOMB} SELECT max(x) FROM c",
    "SELECT count(*) FROM order_items a, order_items b, order_items c, order_items d, order_items e",
    # One call inside SQLite, which no handler can interrupt.
    "SELECT length(printf('%.*c', 900000000, 'x'))",
]


@pytest.mark.anyio
@pytest.mark.parametrize("sql", ENDLESS)
async def test_what_would_run_for_ever_ends_at_the_timeout(
    sql: str, shop: Path, bare: Callable[..., Any]
) -> None:
    async with ProcessPool(size=1) as processes:
        ask = bare(processes, shop, timeout=timedelta(seconds=0.3))
        async with asyncio.timeout(0.3 + 1 + 3):  # 3 s for a slow machine to start the child
            with pytest.raises(ToolFailed) as late:
                await ask("db_query", sql=sql)
        assert late.value.code is Code.TOOL_TIMEOUT
        assert "0.3 s" in late.value.message
        assert (await ask("db_query", sql="SELECT 1")).value["rows"] == [[1]]


@pytest.mark.anyio
async def test_a_cancelled_query_has_its_process_killed(
    shop: Path, bare: Callable[..., Any]
) -> None:
    async with ProcessPool(size=1) as processes:
        ask = bare(processes, shop)
        await ask("db_query", sql="SELECT 1")
        (pid,) = processes.children
        query = asyncio.create_task(ask("db_query", sql=ENDLESS[0]))
        await asyncio.sleep(0)
        query.cancel()
        with pytest.raises(asyncio.CancelledError):
            await query
        assert processes.children == ()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
