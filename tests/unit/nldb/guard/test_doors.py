"""Whatever may not be reached, by every place of a statement where a name can stand: all of it is
refused, with a refusal that names nothing that is hidden."""

from itertools import product

import pytest
from tests.unit.nldb.guard.shop import shop_access, shop_catalog
from tests.unit.nldb.guard.test_attacks import check_message

from stepwell.nldb.guard import Refused, check_read
from stepwell.nldb.model import Dialect

ENGINES: tuple[Dialect, ...] = ("sqlite", "postgres")
TABLES = (
    "secrets", "SECRETS", '"secrets"', '"Secrets"', "[secrets]", "`secrets`", "public.secrets", "main.secrets",
    "temp.secrets", "customers_archive", "sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_stat1",
    "dbstat", "sqlite_dbpage", "pragma_table_info", "sqlite_stmt", "pg_class", "pg_catalog.pg_class", "pg_authid",
    "pg_stats", "pg_toast.pg_toast_1", "information_schema.tables", "_stepwell_applied", "cte1_x", "'/etc/passwd'",
)  # fmt: skip
PLACES = (
    "SELECT * FROM {}",
    "SELECT count(*) FROM {}",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM {})",
    "SELECT (SELECT count(*) FROM {})",
    "WITH a AS (SELECT * FROM {}) SELECT * FROM a",
    "WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT 1 FROM {}) SELECT * FROM a",
    "SELECT id FROM customers UNION ALL SELECT count(*) FROM {}",
    "SELECT * FROM customers c JOIN {} s ON true",
    "SELECT * FROM customers NATURAL JOIN {}",
    "SELECT * FROM customers c, LATERAL (SELECT * FROM {}) x",
    "SELECT * FROM (SELECT * FROM {}) q",
    "SELECT * FROM ({})",
    "TABLE {}",
    "FROM {} SELECT *",
    "SELECT * FROM ONLY {}",
    "SELECT * FROM {} TABLESAMPLE SYSTEM (100)",
    "VALUES ((SELECT count(*) FROM {}))",
    "SELECT 1 FROM customers WHERE id IN (SELECT 1 FROM {})",
    "SELECT 1 FROM customers WHERE id IN {}",
    "SELECT 1 FROM customers GROUP BY (SELECT count(*) FROM {})",
    "SELECT 1 FROM customers HAVING (SELECT count(*) FROM {}) > 0",
    "SELECT 1 ORDER BY (SELECT count(*) FROM {})",
    "SELECT 1 LIMIT (SELECT count(*) FROM {})",
    "SELECT sum(id) OVER (ORDER BY (SELECT count(*) FROM {})) FROM customers",
    "SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM {})) FROM customers",
    "SELECT CASE WHEN EXISTS (SELECT 1 FROM {}) THEN 1 END",
    "SELECT ARRAY(SELECT 1 FROM {})",
    "SELECT json_agg(t) FROM {} t",
    "SELECT * INTO x FROM {}",
    "COPY {} TO STDOUT",
    "EXPLAIN SELECT * FROM {}",
)
CALLS = (
    "pg_sleep(1)", "pg_catalog.pg_sleep(1)", '"pg_sleep"(1)', "pg_read_file('x')", "pg_ls_dir('.')", "pg_stat_file('x')",
    "lo_import('x')", "lo_export(1, 'x')", "lo_get(1)", "lo_from_bytea(0, 'x')", "dblink('x', 'y')", "set_config('a.b', 'c', false)",
    "current_setting('a.b')", "current_user", "session_user", "user", "current_database()", "version()", "pg_backend_pid()",
    "inet_server_addr()", "pg_terminate_backend(1)", "pg_reload_conf()", "pg_advisory_lock(1)", "pg_notify('a', 'b')",
    "pg_logical_emit_message(false, 'a', 'b')", "txid_current()", "pg_export_snapshot()", "nextval('x')", "setval('x', 1)",
    "query_to_xml('x', true, true, '')", "table_to_xml('x', true, true, '')", "cursor_to_xml('x', 1, true, true, '')",
    "ts_stat('x')", "pg_get_viewdef('x')", "pg_relation_size('x')", "has_table_privilege('x', 'select')", "to_regclass('x')",
    "obj_description(1)", "pg_stat_get_activity(1)", "array_fill(1, ARRAY[100000000])", "xpath('/a', '<a/>')", "setseed(0.5)",
    "pg_typeof(1)", "pg_input_is_valid('1', 'int')", "convert_from('a', 'UTF8')", "pg_stat_reset()", "load_extension('x')",
    "readfile('x')", "writefile('x', 'y')", "edit('x')", "zeroblob(100)", "randomblob(100)", "sqlite_version()",
    "sqlite_compileoption_get(1)", "sqlite_offset(id)", "last_insert_rowid()", "changes()", "total_changes()",
    "fts3_tokenizer('x')", "match('a', 'b')", "matchinfo(customers)", "eval('x')", "stepwell_hash('x')", "sleep(1)",
    "public.lower('x')", '"lower"(\'x\')', "lower.x(1)", "json_populate_record(null::secrets, '{{}}')", "'secrets'::regclass",
    "1 OPERATOR(public.+) 1", "1 @+@ 2", "'x'::xml", "1::oid", "'x'::public.customers", "(null::customers).notes",
)  # fmt: skip
COMMANDS = (
    "SET search_path = public", "SET LOCAL statement_timeout = 0", "SET ROLE postgres", "RESET ALL", "SHOW ALL", "DISCARD ALL",
    "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT x", "PREPARE TRANSACTION 'x'", "DO $$BEGIN END$$", "CALL x()", "EXECUTE x",
    "PREPARE x AS SELECT 1", "DEALLOCATE ALL", "DECLARE c CURSOR FOR SELECT 1", "FETCH ALL FROM c", "LISTEN x", "NOTIFY x",
    "LOCK TABLE customers", "LOAD 'x'", "VACUUM", "VACUUM INTO 'x'", "ANALYZE", "REINDEX", "CHECKPOINT", "CREATE EXTENSION x",
    "ALTER SYSTEM SET x = 1", "PRAGMA table_info(customers)", "PRAGMA writable_schema = 1", "ATTACH 'x' AS y", "DETACH y",
    "COPY (SELECT 1) TO PROGRAM 'id'", "IMPORT FOREIGN SCHEMA x FROM SERVER y INTO z", "SECURITY LABEL ON TABLE customers IS 'x'",
    "MERGE INTO customers c USING orders o ON true WHEN MATCHED THEN DELETE", "REPLACE INTO customers (id) VALUES (1)",
    "WITH x AS (DELETE FROM customers RETURNING *) SELECT * FROM x", "SELECT * FROM customers FOR UPDATE",
    "SELECT 1; SELECT 2", ";", "", "SELECT", "SUMMARIZE secrets", "PIVOT secrets ON id", "DESCRIBE customers", "KILL 1", "USE x",
    "SELECT TOP 1 * FROM customers", "SELECT * EXCLUDE (id) FROM customers", "SELECT * FROM customers QUALIFY true",
    "SELECT * FROM customers INDEXED BY cname", "SELECT * FROM read_csv('x')", "SELECT transform(id USING 'cat') FROM customers",
    "SELECT @@version", "SELECT @x := 1", "SELECT {{ x }}", "SELECT ${x}",
)  # fmt: skip


@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize("place", PLACES)
def test_a_table_that_is_hidden_is_not_reached_from(place: str, dialect: Dialect) -> None:
    for table in TABLES:
        refuses(place.format(table), dialect)


@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize("call", CALLS)
def test_what_does_more_than_compute_is_not_called(call: str, dialect: Dialect) -> None:
    for place in ("SELECT {}", "SELECT * FROM {}", "SELECT id FROM customers ORDER BY {}"):
        refuses(place.format(call), dialect)


@pytest.mark.parametrize(("dialect", "sql"), [*product(ENGINES, COMMANDS)])
def test_what_is_no_query_does_not_run(sql: str, dialect: Dialect) -> None:
    refuses(sql, dialect)


def refuses(sql: str, dialect: Dialect) -> None:
    with pytest.raises(Refused) as refused:
        check_read(sql, shop_catalog(dialect), shop_access())
    check_message(refused.value, sql)
