== more than one statement
-- both: sql.one_statement
SELECT 1; SELECT 2

-- both: sql.one_statement
SELECT 1; DELETE FROM customers

-- both: sql.one_statement
SELECT 1;;SELECT value FROM secrets

-- both: sql.one_statement
SELECT 1; /* */ DROP TABLE customers

-- both: sql.one_statement or sql.syntax
SELECT 1 UNION SELECT 2; COMMIT; DROP TABLE customers

-- both: sql.one_statement
;

-- both: sql.one_statement
-- nothing but a comment

-- both: sql.one_statement
BEGIN; SELECT 1; COMMIT

-- postgres: sql.one_statement
SELECT 1; SET statement_timeout = 0

-- sqlite: sql.one_statement
SELECT 1; PRAGMA query_only = OFF

== writes
-- both: sql.write
INSERT INTO products (id) VALUES (1)

-- both: sql.write
UPDATE customers SET name = 'x' WHERE id = 1

-- both: sql.write
DELETE FROM customers WHERE id = 1

-- both: sql.write or sql.one_statement
DELETE FROM customers

-- both: sql.write
INSERT INTO products SELECT * FROM products

-- both: sql.write
/* SELECT */ DELETE FROM customers

-- both: sql.write
WITH x AS (SELECT 1) DELETE FROM customers

-- both: sql.write
WITH x AS (SELECT 1) UPDATE customers SET name = 'x'

-- both: sql.write
WITH x AS (SELECT 1) INSERT INTO products SELECT * FROM products

-- postgres: sql.write
WITH gone AS (DELETE FROM customers RETURNING *) SELECT * FROM gone

-- postgres: sql.write
WITH a AS (INSERT INTO products (id) VALUES (1) RETURNING id) SELECT 1

-- postgres: sql.write
WITH a AS (UPDATE customers SET name = 'x' RETURNING ssn) SELECT * FROM a

-- postgres: sql.write
SELECT * FROM (WITH d AS (DELETE FROM customers RETURNING *) SELECT * FROM d) AS x

-- postgres: sql.write
MERGE INTO customers USING orders ON true WHEN MATCHED THEN DELETE

-- postgres: sql.write or sql.syntax
COPY customers TO PROGRAM 'cat'

-- postgres: sql.write or sql.syntax
COPY (SELECT * FROM customers) TO '/tmp/x'

-- postgres: sql.write or sql.syntax
COPY customers FROM '/etc/passwd'

-- postgres: sql.construct
SELECT * INTO stolen FROM customers

-- postgres: sql.construct
SELECT name INTO TEMP stolen FROM customers

-- sqlite: sql.write or sql.statement
REPLACE INTO products (id) VALUES (1)

-- sqlite: sql.write
INSERT OR REPLACE INTO products (id) VALUES (1)

-- sqlite: sql.write or sql.syntax
UPDATE OR IGNORE products SET name = 'x'

-- both: sql.construct or sql.syntax or sql.session or sql.statement or sql.schema
EXPLAIN DELETE FROM customers

-- postgres: sql.statement or sql.session
EXPLAIN ANALYZE SELECT 1

-- sqlite: sql.statement
EXPLAIN QUERY PLAN SELECT * FROM secrets

-- postgres: sql.construct
SELECT * FROM customers FOR UPDATE

-- postgres: sql.construct
SELECT * FROM customers FOR NO KEY UPDATE SKIP LOCKED

-- postgres: sql.construct
SELECT * FROM customers FOR SHARE

-- postgres: sql.construct
SELECT id FROM (SELECT id FROM orders FOR UPDATE) AS x

== the schema
-- both: sql.schema
CREATE TABLE stolen AS SELECT * FROM customers

-- both: sql.schema
CREATE TABLE x (a int)

-- both: sql.schema
CREATE VIEW v AS SELECT * FROM secrets

-- both: sql.schema
CREATE TEMP TABLE x AS SELECT 1

-- both: sql.schema
DROP TABLE customers

-- both: sql.schema
ALTER TABLE customers ADD COLUMN x int

-- both: sql.schema
CREATE INDEX i ON customers (ssn)

-- postgres: sql.schema
TRUNCATE customers

-- postgres: sql.schema
GRANT ALL ON customers TO PUBLIC

-- postgres: sql.schema or sql.statement
REVOKE ALL ON customers FROM PUBLIC

-- postgres: sql.schema
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'

-- postgres: sql.schema
COMMENT ON TABLE customers IS 'x'

-- postgres: sql.schema or sql.syntax
REFRESH MATERIALIZED VIEW v

-- postgres: sql.schema or sql.syntax or sql.statement
CREATE EXTENSION dblink

-- sqlite: sql.one_statement
CREATE TRIGGER t AFTER INSERT ON customers BEGIN SELECT 1; END

-- sqlite: sql.schema
CREATE VIRTUAL TABLE x USING fts5(a)

-- sqlite: sql.schema
REINDEX

-- both: sql.schema
ANALYZE

== the session
-- postgres: sql.session
SET statement_timeout = 0

-- postgres: sql.session
SET LOCAL app.tenant_id = '2'

-- postgres: sql.session
SET ROLE postgres

-- postgres: sql.session or sql.syntax
SET SESSION AUTHORIZATION postgres

-- postgres: sql.session
RESET ALL

-- postgres: sql.session or sql.syntax
DISCARD ALL

-- postgres: sql.session
SHOW all

-- postgres: sql.session
DO $$ BEGIN DELETE FROM customers; END $$

-- postgres: sql.session
CALL do_it()

-- postgres: sql.session or sql.syntax
PREPARE p AS SELECT 1

-- postgres: sql.session
EXECUTE p

-- postgres: sql.session or sql.syntax
LISTEN x

-- postgres: sql.session or sql.syntax
NOTIFY x, 'y'

-- postgres: sql.session or sql.syntax
LOCK TABLE customers

-- postgres: sql.session
VACUUM customers

-- postgres: sql.session or sql.syntax
DECLARE c CURSOR FOR SELECT * FROM secrets

-- postgres: sql.session or sql.syntax
LOAD 'evil'

-- postgres: sql.session or sql.syntax
CHECKPOINT

-- both: sql.transaction
BEGIN

-- both: sql.transaction
COMMIT

-- both: sql.transaction
ROLLBACK

-- both: sql.transaction or sql.syntax
SAVEPOINT a

-- sqlite: sql.session
PRAGMA query_only = OFF

-- sqlite: sql.session
PRAGMA table_info(customers)

-- sqlite: sql.session
PRAGMA writable_schema = 1

-- sqlite: sql.session
VACUUM INTO '/tmp/stolen.db'

-- sqlite: sql.attach
ATTACH 'other.db' AS other

-- sqlite: sql.attach
DETACH main

-- postgres: sql.function
SELECT set_config('app.tenant_id', '2', true)

-- postgres: sql.function
SELECT current_setting('data_directory')

-- postgres: sql.function
SELECT pg_reload_conf()

-- postgres: sql.function
SELECT current_user

-- postgres: sql.function
SELECT session_user

-- postgres: sql.function or sql.column
SELECT user

-- postgres: sql.function or sql.column
SELECT current_catalog, current_schema

-- postgres: sql.function
SELECT version()

-- postgres: sql.function
SELECT current_database(), inet_server_addr()

-- postgres: sql.function
SELECT id FROM customers WHERE set_config('x.y', ssn, false) = ''

== SQL in a text
-- postgres: sql.function
SELECT query_to_xml('SELECT * FROM secrets', true, true, '')

-- postgres: sql.function
SELECT table_to_xml('secrets', true, true, '')

-- postgres: sql.function
SELECT database_to_xml(true, true, '')

-- postgres: sql.function
SELECT schema_to_xml('public', true, true, '')

-- postgres: sql.function
SELECT cursor_to_xml('c', 1, true, true, '')

-- postgres: sql.function
SELECT * FROM ts_stat('SELECT value FROM secrets')

-- postgres: sql.function
SELECT * FROM dblink('dbname=x', 'SELECT 1') AS t(a int)

-- postgres: sql.function
SELECT * FROM crosstab('SELECT 1') AS t(a int)

-- postgres: sql.function
SELECT * FROM connectby('secrets', 'id', 'id', '1', 0) AS t(a int)

-- postgres: sql.function
SELECT xpath('/x', query_to_xml('SELECT 1', true, true, ''))

-- postgres: sql.function
SELECT ts_rewrite('a'::text, 'SELECT 1')

-- postgres: sql.function
SELECT * FROM query_to_xml('SELECT 1', true, true, '') AS x

-- sqlite: sql.function
SELECT eval('DELETE FROM customers')

-- sqlite: sql.function
SELECT load_extension('evil')

-- sqlite: sql.function
SELECT edit('x')

== functions that read or write files, sleep, lock, or reach the server
-- postgres: sql.function
SELECT pg_read_file('/etc/passwd')

-- postgres: sql.function
SELECT * FROM pg_read_file('/etc/passwd')

-- postgres: sql.function
SELECT * FROM pg_ls_dir('.')

-- postgres: sql.function
SELECT pg_read_binary_file('x')

-- postgres: sql.function
SELECT lo_import('/etc/passwd')

-- postgres: sql.function
SELECT lo_export(1, '/tmp/x')

-- postgres: sql.function
SELECT lo_get(1)

-- postgres: sql.function
SELECT pg_sleep(10)

-- postgres: sql.function
SELECT pg_sleep_for('1 hour')

-- postgres: sql.function
SELECT 1 FROM customers ORDER BY pg_sleep(1)

-- postgres: sql.function
SELECT 1 LIMIT (SELECT 1 FROM pg_sleep(1))

-- postgres: sql.function
VALUES (pg_sleep(1))

-- postgres: sql.function
SELECT CASE WHEN true THEN pg_sleep(1) END

-- postgres: sql.function
SELECT count(*) FILTER (WHERE pg_sleep(1) IS NULL) FROM customers

-- postgres: sql.function
SELECT sum(id) OVER (ORDER BY pg_sleep(1)) FROM customers

-- postgres: sql.function
SELECT * FROM customers c JOIN orders o ON pg_sleep(1) IS NULL

-- postgres: sql.function
SELECT * FROM customers GROUP BY pg_sleep(1)

-- postgres: sql.function
SELECT * FROM customers, LATERAL pg_sleep(1)

-- postgres: sql.function or sql.construct
SELECT * FROM ROWS FROM (pg_sleep(1)) AS x

-- postgres: sql.construct or sql.function
SELECT pg_catalog.pg_sleep(1)

-- postgres: sql.construct or sql.function
SELECT pg_catalog.lower('x')

-- postgres: sql.construct or sql.function
SELECT "pg_sleep"(1)

-- postgres: sql.construct or sql.function
SELECT "pg_catalog"."pg_sleep"(1)

-- postgres: sql.function
SELECT PG_SLEEP(1)

-- postgres: sql.function
SELECT pg_advisory_lock(1)

-- postgres: sql.function
SELECT pg_notify('a', 'b')

-- postgres: sql.function
SELECT pg_terminate_backend(1)

-- postgres: sql.function
SELECT pg_cancel_backend(1)

-- postgres: sql.function
SELECT pg_logical_emit_message(false, 'a', 'b')

-- postgres: sql.function
SELECT pg_create_physical_replication_slot('x')

-- postgres: sql.function
SELECT nextval('s')

-- postgres: sql.function
SELECT setval('s', 1)

-- postgres: sql.function
SELECT txid_current()

-- postgres: sql.function
SELECT pg_get_functiondef(1)

-- postgres: sql.function
SELECT pg_table_size('secrets')

-- postgres: sql.function
SELECT has_table_privilege('secrets', 'select')

-- postgres: sql.function
SELECT obj_description(1, 'pg_class')

-- postgres: sql.function
SELECT to_regclass('secrets')

-- postgres: sql.function
SELECT col_description(1, 1)

-- postgres: sql.function
SELECT pg_stat_reset()

-- postgres: sql.function
SELECT setseed(0.5)

-- postgres: sql.function
SELECT my_own_function(1)

-- sqlite: sql.function
SELECT readfile('/etc/passwd')

-- sqlite: sql.function
SELECT writefile('/tmp/x', 'y')

-- sqlite: sql.function
SELECT fts3_tokenizer('x')

-- sqlite: sql.function
SELECT sqlite_compileoption_get(1)

-- sqlite: sql.function
SELECT sqlite_version(), sqlite_source_id()

-- sqlite: sql.function
SELECT last_insert_rowid(), changes(), total_changes()

-- sqlite: sql.function
SELECT sqlite_offset(id) FROM customers

-- sqlite: sql.function
SELECT 1 FROM customers ORDER BY load_extension('x')

-- sqlite: sql.function
SELECT * FROM pragma_table_info('secrets')

-- sqlite: sql.function
SELECT * FROM pragma_database_list()

-- sqlite: sql.function
SELECT * FROM fts5vocab('a', 'row')

-- sqlite: sql.function or sql.arguments
SELECT * FROM generate_series(1, 1000000000)

-- sqlite: sql.table
SELECT * FROM pragma_database_list

-- sqlite: sql.table
SELECT * FROM dbstat

-- sqlite: sql.table
SELECT * FROM sqlite_stmt

== operators and types with functions behind them
-- postgres: sql.construct or sql.syntax or sql.operator
SELECT 1 OPERATOR(public.@+@) 2

-- postgres: sql.construct or sql.syntax or sql.operator
SELECT 1 OPERATOR(pg_catalog.+) 2

-- postgres: sql.construct or sql.syntax or sql.operator or sql.parameter
SELECT 1 @+@ 2

-- postgres: sql.construct or sql.syntax or sql.function
SELECT name <-> 'x' FROM customers

-- postgres: sql.construct or sql.function
SELECT name @@ 'x' FROM customers

-- postgres: sql.parameter or sql.syntax
SELECT @ -5

-- postgres: sql.type
SELECT 'secrets'::regclass

-- postgres: sql.type
SELECT 'pg_sleep'::regproc

-- postgres: sql.type
SELECT CAST('secrets' AS regclass)::text

-- postgres: sql.type
SELECT 'postgres'::regrole

-- postgres: sql.type
SELECT '1'::customers

-- postgres: sql.type or sql.syntax
SELECT '1'::public.evil

-- postgres: sql.type or sql.syntax
SELECT '1'::pg_catalog.regclass

-- postgres: sql.type
SELECT '<x/>'::xml

-- postgres: sql.type
SELECT 'x'::"char"

-- postgres: sql.type
SELECT name::evil_domain FROM customers

-- postgres: sql.type
SELECT 'a'::tsquery

-- postgres: sql.type or sql.syntax or sql.construct
SELECT evil_type 'x'

-- postgres: sql.type or sql.syntax
SELECT ARRAY['secrets']::regclass[]

-- postgres: sql.type or sql.syntax
SELECT 'x'::varchar(100000000)

-- postgres: sql.construct or sql.syntax or sql.type
SELECT name COLLATE "evil" FROM customers

-- sqlite: sql.construct or sql.syntax
SELECT name COLLATE evil FROM customers

-- sqlite: sql.construct or sql.function
SELECT name MATCH 'x' FROM customers

-- sqlite: sql.operator
SELECT name REGEXP '(a+)+$' FROM customers

-- sqlite: sql.type
SELECT CAST('x' AS "evil")

== tables that may not be read
-- both: sql.table
SELECT * FROM secrets

-- both: sql.table
SELECT * FROM customers_archive

-- both: sql.table
SELECT * FROM nothing_of_the_kind

-- both: sql.table
SELECT s.value FROM customers c JOIN secrets s ON s.id = c.id

-- both: sql.table
SELECT * FROM customers WHERE id IN (SELECT id FROM secrets)

-- both: sql.table
SELECT (SELECT value FROM secrets LIMIT 1)

-- both: sql.table
SELECT name FROM customers UNION ALL SELECT value FROM secrets

-- both: sql.table
WITH x AS (SELECT * FROM secrets) SELECT * FROM x

-- both: sql.table
SELECT * FROM customers ORDER BY (SELECT value FROM secrets)

-- both: sql.table
SELECT * FROM customers LIMIT (SELECT id FROM secrets)

-- both: sql.table
SELECT CASE WHEN EXISTS (SELECT 1 FROM secrets) THEN 1 END

-- both: sql.table
SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM secrets)) FROM customers

-- both: sql.table
SELECT sum(id) OVER (ORDER BY (SELECT count(*) FROM secrets)) FROM customers

-- both: sql.table
VALUES ((SELECT value FROM secrets))

-- both: sql.table
SELECT * FROM (SELECT * FROM (SELECT * FROM secrets) AS a) AS b

-- both: sql.table
SELECT * FROM customers GROUP BY (SELECT value FROM secrets)

-- both: sql.table
SELECT * FROM "secrets"

-- both: sql.table
SELECT * FROM Secrets

-- both: sql.table
SELECT * FROM other.customers

-- postgres: sql.table
SELECT * FROM pg_class

-- postgres: sql.table
SELECT * FROM pg_catalog.pg_authid

-- postgres: sql.table
SELECT * FROM information_schema.columns

-- postgres: sql.table
SELECT prosrc FROM pg_proc

-- postgres: sql.table
SELECT * FROM pg_stat_activity

-- postgres: sql.table
SELECT * FROM "Customers"

-- postgres: sql.table or sql.construct
SELECT * FROM otherdb.public.customers

-- postgres: sql.table
TABLE secrets

-- postgres: harmless [[100, "Lamp"]]
SELECT id, name FROM (TABLE products) AS p WHERE id = 100

-- postgres: sql.construct
SELECT * FROM ONLY customers

-- postgres: sql.construct
SELECT * FROM customers TABLESAMPLE SYSTEM (100)

-- postgres: sql.table
SELECT * FROM (secrets)

-- postgres: sql.table or sql.syntax
SELECT * FROM customers, LATERAL (SELECT * FROM secrets) AS x

-- sqlite: sql.table
SELECT * FROM sqlite_master

-- sqlite: sql.table
SELECT sql FROM sqlite_schema

-- sqlite: sql.table
SELECT * FROM sqlite_temp_master

-- sqlite: sql.table
SELECT * FROM sqlite_sequence

-- sqlite: sql.table
SELECT * FROM main.secrets

-- sqlite: sql.table
SELECT * FROM temp.customers

-- sqlite: sql.table
SELECT * FROM [secrets]

-- sqlite: sql.table
SELECT * FROM `secrets`

-- sqlite: sql.table
SELECT * FROM 'secrets'

-- sqlite: sql.column or sql.construct or sql.table
SELECT name FROM customers WHERE id IN secrets

-- sqlite: sql.construct
SELECT * FROM customers INDEXED BY sqlite_autoindex_customers_1

== common table expressions that shadow
-- both: sql.table
WITH a AS (SELECT * FROM b), b AS (SELECT * FROM secrets) SELECT * FROM a

-- both: sql.table
WITH x AS (SELECT 1 AS id) SELECT * FROM x, secrets

-- both: harmless [[1]]
WITH secrets AS (SELECT 1 AS id) SELECT id FROM secrets

-- both: harmless [[2]]
WITH customers AS (SELECT 2 AS ssn) SELECT ssn FROM customers

-- both: sql.table
SELECT * FROM (WITH secrets AS (SELECT 1 AS id) SELECT * FROM secrets) AS x, secrets

-- both: sql.table
WITH a AS (WITH secrets AS (SELECT 1 AS id) SELECT * FROM secrets) SELECT * FROM secrets

-- postgres: sql.table
WITH secrets AS (SELECT * FROM secrets) SELECT * FROM secrets

-- sqlite: sql.table
WITH secrets AS (SELECT * FROM secrets) SELECT * FROM secrets

-- both: sql.table
WITH RECURSIVE secrets AS (SELECT * FROM secrets) SELECT * FROM secrets

-- postgres: sql.table
WITH secrets AS (SELECT 1 AS id) SELECT * FROM public.secrets

-- sqlite: sql.table
WITH secrets AS (SELECT 1 AS id) SELECT * FROM main.secrets

-- sqlite: sql.table
WITH customers AS (SELECT * FROM customers) SELECT * FROM customers

-- postgres: harmless [[5]]
WITH customers AS (SELECT * FROM customers), x AS (SELECT count(*) AS n FROM orders WHERE customer_id < 4) SELECT n FROM x

-- both: sql.ambiguous
WITH a AS (SELECT 1 AS x), a AS (SELECT 2 AS x) SELECT * FROM a

-- postgres: sql.construct or sql.syntax
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SEARCH DEPTH FIRST BY n SET o SELECT * FROM t

== columns that are not there
-- both: sql.column
SELECT tenant_id FROM customers

-- both: sql.column
SELECT notes FROM customers

-- both: sql.column
SELECT c.notes FROM customers c

-- both: sql.column
SELECT salary FROM employees

-- both: sql.column
SELECT name FROM customers WHERE notes LIKE 'C%'

-- both: sql.column
SELECT name FROM customers ORDER BY notes

-- both: sql.column
SELECT max(salary) FROM employees

-- both: sql.column
SELECT name FROM customers WHERE tenant_id = 2

-- both: sql.column
SELECT name FROM employees GROUP BY salary

-- both: sql.column
SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE c.notes = o.status)

-- both: sql.column
SELECT sum(id) OVER (PARTITION BY notes) FROM customers

-- both: sql.column
SELECT x.notes FROM (SELECT * FROM customers) AS x

-- both: sql.column
WITH x AS (SELECT * FROM customers) SELECT tenant_id FROM x

-- both: sql.column
SELECT * FROM customers JOIN orders USING (tenant_id)

-- both: sql.column or sql.masked
SELECT * FROM customers JOIN employees USING (salary)

-- both: sql.column
SELECT "NOTES" FROM customers

-- sqlite: sql.column
SELECT "notes" FROM customers

-- sqlite: sql.column
SELECT "no such column" FROM customers

-- sqlite: sql.column
SELECT [notes], `tenant_id` FROM customers

-- sqlite: sql.column
SELECT name FROM customers WHERE "tenant_id" = 'tenant_id'

-- sqlite: sql.column
SELECT rowid FROM customers

-- sqlite: sql.column
SELECT oid, _rowid_ FROM customers

-- postgres: sql.column
SELECT ctid FROM customers

-- postgres: sql.column
SELECT xmin, xmax, tableoid FROM customers

-- postgres: sql.column
SELECT tableoid::int FROM customers

-- both: harmless
SELECT * FROM customers

-- both: harmless
SELECT customers.* FROM customers

-- both: harmless
SELECT * FROM employees

-- both: harmless [[5]]
SELECT count(*) FROM customers

-- both: harmless [[6]]
SELECT count(*) FROM orders

== whole rows
-- both: sql.whole_row
SELECT c FROM customers c

-- both: sql.whole_row
SELECT customers FROM customers

-- both: sql.whole_row
SELECT count(c) FROM customers c

-- postgres: sql.whole_row
SELECT c::text FROM customers c

-- postgres: harmless
SELECT to_jsonb(c) FROM customers c

-- postgres: harmless
SELECT to_json(c.*) FROM customers c

-- postgres: sql.masked
SELECT jsonb_agg(c ORDER BY c.id) FROM customers c

-- postgres: harmless
SELECT row_to_json(c) FROM customers c

-- postgres: harmless
SELECT to_jsonb(c.*) FROM customers c

-- postgres: sql.masked
SELECT json_agg(c) FROM customers c

-- postgres: sql.masked
SELECT id FROM customers c WHERE to_jsonb(c) ? 'ssn'

-- postgres: sql.masked
SELECT x FROM (SELECT to_json(c) AS x FROM customers c) AS q ORDER BY x

-- postgres: sql.table or sql.column
SELECT row_to_json(secrets) FROM customers

-- postgres: sql.construct
SELECT pg_catalog.customers.id FROM customers

-- postgres: sql.construct
SELECT public.c.id FROM customers c

-- sqlite: sql.column
SELECT main.customers.notes FROM customers

-- postgres: sql.column
SELECT public.customers.tenant_id FROM customers

-- postgres: sql.construct
SELECT (c).ssn FROM customers c

-- postgres: sql.construct
SELECT (c).* FROM customers c

-- postgres: sql.function
SELECT ssn(c) FROM customers c

-- postgres: sql.function
SELECT notes(customers) FROM customers

-- postgres: sql.construct or sql.column or sql.table
SELECT c.customers.ssn FROM customers c

-- postgres: sql.whole_row
SELECT c FROM customers c ORDER BY c

-- postgres: sql.whole_row
SELECT 1 FROM customers c WHERE c IS NOT NULL

-- postgres: sql.whole_row
SELECT count(DISTINCT c) FROM customers c

-- postgres: sql.whole_row
SELECT ARRAY[c] FROM customers c

-- postgres: sql.whole_row
SELECT row(c.*) FROM customers c

-- postgres: sql.whole_row
SELECT 1 FROM customers c WHERE c.* = c.*

-- postgres: sql.whole_row
SELECT coalesce(c) FROM customers c

-- postgres: sql.whole_row
SELECT o.id, (SELECT c) FROM customers c, orders o

== renaming
-- postgres: sql.syntax
SELECT i FROM customers AS x(a, b, c, d, e, f, g, h, i)

-- postgres: sql.syntax
SELECT * FROM employees AS e(a, b, c, d, e)

-- postgres: sql.column
SELECT x.ssn FROM customers AS x(a, b, c, d)

-- postgres: sql.masked
SELECT a FROM customers AS x(a, b, c, d) WHERE d = 'x'

-- both: sql.masked
WITH x(a, b) AS (SELECT name, ssn FROM customers) SELECT a FROM x WHERE b LIKE 'C%'

-- both: sql.masked
SELECT a FROM (SELECT name AS a, ssn AS b FROM customers) AS x WHERE b > 'a'

-- both: sql.masked
SELECT a FROM (SELECT name AS a, 'x' || ssn AS b FROM customers) AS x WHERE b > 'a'

-- both: sql.masked
WITH x AS (SELECT ssn AS name FROM customers) SELECT * FROM x ORDER BY name

-- both: sql.masked
SELECT name FROM customers JOIN (SELECT ssn AS name2 FROM customers) AS y ON name = name2

-- both: sql.masked
SELECT * FROM (SELECT id, ssn AS s FROM customers) AS a NATURAL JOIN (SELECT id, ssn AS s FROM customers) AS b

-- sqlite: sql.construct
SELECT a FROM customers AS x(a, b)

== masked columns as an oracle
-- both: sql.masked
SELECT name FROM customers WHERE ssn = 'CANARY-ssn-1'

-- both: sql.masked
SELECT name FROM customers WHERE ssn LIKE 'CANARY%'

-- both: sql.masked
SELECT name FROM customers WHERE ssn IS NOT NULL

-- both: sql.masked
SELECT name FROM customers WHERE substr(ssn, 1, 1) = 'C'

-- both: sql.masked
SELECT name FROM customers WHERE ssn IN ('a', 'b')

-- both: sql.masked
SELECT name FROM customers WHERE ssn BETWEEN 'a' AND 'b'

-- both: sql.masked
SELECT name FROM customers ORDER BY ssn

-- both: sql.masked
SELECT name, ssn FROM customers ORDER BY 2

-- both: sql.masked
SELECT ssn AS s FROM customers ORDER BY s

-- both: sql.masked
SELECT ssn, count(*) FROM customers GROUP BY ssn

-- both: sql.masked
SELECT ssn AS s, count(*) FROM customers GROUP BY s

-- both: sql.masked
SELECT ssn, count(*) FROM customers GROUP BY 1

-- both: sql.masked
SELECT count(ssn) FROM customers

-- both: sql.masked
SELECT count(DISTINCT ssn) FROM customers

-- both: sql.masked
SELECT max(ssn) FROM customers

-- both: sql.masked
SELECT CASE WHEN ssn > 'a' THEN 1 ELSE 0 END FROM customers

-- both: sql.masked
SELECT CASE ssn WHEN 'a' THEN 1 END FROM customers

-- both: sql.masked
SELECT ssn = 'a' FROM customers

-- both: sql.masked
SELECT ssn LIKE 'a' FROM customers

-- both: sql.masked
SELECT a.name FROM customers a JOIN customers b ON a.ssn = b.ssn

-- both: sql.masked
SELECT name FROM customers a JOIN customers b USING (ssn)

-- both: sql.masked
SELECT * FROM customers a NATURAL JOIN customers b

-- both: sql.masked
SELECT row_number() OVER (ORDER BY ssn) FROM customers

-- both: sql.masked
SELECT count(*) OVER (PARTITION BY ssn) FROM customers

-- both: sql.masked
SELECT lag(ssn) OVER (ORDER BY id) FROM customers

-- both: sql.masked
SELECT name FROM customers GROUP BY name HAVING max(ssn) > 'a'

-- both: sql.masked
SELECT count(*) FILTER (WHERE ssn > 'a') FROM customers

-- both: sql.masked
SELECT name FROM customers WHERE id IN (SELECT id FROM customers WHERE ssn > 'a')

-- both: sql.masked
SELECT name FROM customers WHERE name IN (SELECT ssn FROM customers)

-- both: sql.masked
SELECT name FROM customers WHERE name = (SELECT ssn FROM customers LIMIT 1)

-- both: sql.masked
SELECT ssn FROM customers EXCEPT SELECT name FROM customers

-- both: sql.masked
SELECT ssn FROM customers INTERSECT SELECT 'CANARY-ssn-1'

-- both: sql.masked
SELECT name FROM customers LIMIT (SELECT length(ssn) FROM customers LIMIT 1)

-- both: sql.masked
SELECT name FROM employees WHERE phone = '+47 1'

-- postgres: sql.masked
SELECT DISTINCT ON (ssn) name FROM customers

-- postgres: sql.masked
SELECT string_agg(ssn, ',') FROM customers

-- postgres: sql.masked
SELECT name FROM customers WHERE ssn ~ '^C'

-- postgres: sql.masked
SELECT name FROM customers WHERE ssn = ANY (ARRAY['a'])

-- postgres: sql.masked
SELECT name FROM customers WHERE 'a' = ANY (SELECT ssn FROM customers)

-- postgres: sql.masked
SELECT array_agg(name ORDER BY ssn) FROM customers

-- postgres: sql.masked
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ssn) FROM customers

-- postgres: sql.masked
SELECT name FROM customers WHERE ssn IS DISTINCT FROM 'a'

-- sqlite: sql.masked
SELECT length(ssn) AS n FROM customers WHERE n > 3

-- sqlite: sql.masked
SELECT group_concat(ssn) FROM customers

-- sqlite: sql.masked
SELECT name FROM customers WHERE ssn GLOB 'C*'

-- both: harmless
SELECT ssn FROM customers

-- both: harmless
SELECT DISTINCT ssn FROM customers

-- both: harmless
SELECT ssn || '!' AS s, upper(ssn), length(ssn) FROM customers

-- both: harmless
SELECT (SELECT c.ssn) AS s FROM customers c

-- both: harmless
SELECT ssn FROM customers UNION SELECT ssn FROM customers

== row filters
-- both: harmless []
SELECT name FROM customers WHERE id > 5

-- both: harmless []
SELECT name FROM customers WHERE 1 = 1 AND id = 6 OR id = 7

-- both: harmless [[0]]
SELECT count(*) FROM orders WHERE status LIKE 'CANARY%'

-- both: harmless [[null]]
SELECT max(total) FROM orders WHERE total > 1000

-- both: harmless []
SELECT c.name FROM customers c RIGHT JOIN orders o ON o.customer_id = c.id WHERE o.id = 16

-- both: harmless []
SELECT * FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.id = 16)

-- both: harmless [[null, "Mug"]]
SELECT c.name, p.name FROM products p LEFT JOIN customers c ON c.id = 6 WHERE p.id = 102

-- postgres: harmless []
SELECT id FROM orders WHERE CAST(substr(status, 8) AS integer) = 1 AND status LIKE 'CANARY%'

-- postgres: harmless []
SELECT id FROM orders WHERE 1 / (total - 777003) > 5

-- postgres: harmless []
SELECT id FROM (SELECT id, 1 / (id - 16) AS x FROM orders) AS s WHERE x > 100

== characters
-- escaped both: sql.characters
SELECT 1\u0000

-- escaped both: sql.characters
SELECT\u000b1

-- escaped both: sql.characters
SELECT name FROM customers WHERE name = 'a\u0008'

-- escaped both: sql.characters
SELECT\u00a0name FROM customers

-- escaped both: sql.characters
SELECT name FROM cust\u200bomers

-- escaped both: sql.characters
SELECT name FROM \u202ecustomers

-- escaped both: sql.characters
SELECT \u2018a\u2019

-- escaped both: sql.characters
SELECT name FROM customers WHERE name = \uff07x\uff07

-- escaped both: sql.characters
\ufeffDELETE FROM customers

-- escaped both: sql.characters
SELECT 1\uff1bDROP TABLE customers

-- escaped both: sql.characters
SELECT \uff33\uff33\uff2e FROM customers

-- escaped both: sql.table
SELECT * FROM s\u0435crets

-- escaped both: sql.table
SELECT * FROM \u0441ustomers

-- escaped both: sql.column
SELECT s\u0455n FROM customers

-- escaped both: sql.characters or sql.column
SELECT \u017fsn FROM customers

-- escaped both: sql.characters
SELECT 'a' \u2013 1

-- postgres: sql.syntax or sql.function or sql.construct or sql.column
SELECT U&"s\0073n" FROM customers

-- postgres: sql.construct or sql.syntax or sql.function
SELECT U&'\0041'

-- postgres: sql.construct or sql.syntax or sql.column
SELECT * FROM U&"secret\0073"

== comments and ends
-- both: sql.syntax
SELECT name FROM customers /*

-- both: sql.syntax
SELECT name FROM customers /* /* */ WHERE

-- both: sql.syntax
SELECT 'abc

-- both: sql.syntax
SELECT "abc

-- both: sql.syntax
SELECT name FROM

-- both: sql.syntax
this is not sql at all

-- both: harmless
SELECT name FROM customers /* LIMIT 1 */

-- both: harmless [[1]]
SELECT 1 -- ; DROP TABLE customers

-- both: harmless [[1]]
SELECT /*! 2 + */ 1

-- both: sql.syntax
SELECT 1 1

-- both: sql.syntax
SELECT 1_000

-- both: sql.syntax
SELECT 'a' 'b'

== late costs
-- sqlite: sql.function
SELECT hex(zeroblob(400000000))

-- sqlite: sql.function
SELECT length(randomblob(900000000))

-- sqlite: sql.arguments
SELECT printf('%.*c', 300000000, 'x')

-- sqlite: sql.arguments
SELECT printf('%300000000d', 1)

-- sqlite: sql.arguments
SELECT format('%.300000000f', 1.0)

-- sqlite: sql.arguments
SELECT format(name, 1) FROM customers

-- sqlite: sql.arguments
SELECT printf('%' || '300000000' || 'd', 1)

-- sqlite: sql.growth
SELECT replace(replace(replace(replace('aaaa', 'a', 'aaaaaaaaaaaaaaaaaaaa'), 'a', 'aaaaaaaaaaaaaaaaaaaa'), 'a', 'aaaaaaaaaaaaaaaaaaaa'), 'a', 'aaaaaaaaaaaaaaaaaaaa')

-- postgres: sql.arguments
SELECT repeat('x', 300000000)

-- postgres: sql.arguments
SELECT repeat('x', id) FROM customers

-- postgres: sql.arguments
SELECT repeat('x', 10 * 10000000)

-- postgres: sql.arguments
SELECT repeat('x', (SELECT 300000000))

-- postgres: sql.growth
SELECT repeat(repeat(repeat('x', 1000), 1000), 1000)

-- postgres: sql.arguments
SELECT lpad('x', 250000000, 'y')

-- postgres: sql.arguments
SELECT rpad(name, id) FROM customers

-- postgres: sql.arguments
SELECT format('%250000000s', 'x')

-- postgres: sql.arguments
SELECT format('%*s', 250000000, 'x')

-- postgres: sql.arguments
SELECT format('%1$*2$s', 'x', 250000000)

-- postgres: sql.function
SELECT array_fill(0, ARRAY[250000000])

-- postgres: sql.function
SELECT factorial(30000)

-- postgres: sql.arguments
SELECT count(*) FROM generate_series(1, 1000000000)

-- postgres: sql.arguments
SELECT count(*) FROM generate_series(1, (SELECT max(id) FROM customers) * 100000000)

-- postgres: sql.arguments
SELECT * FROM generate_series('2020-01-01'::timestamp, '2030-01-01'::timestamp, '1 microsecond'::interval)

-- postgres: sql.arguments
SELECT * FROM generate_series(now(), now() + INTERVAL '1 day', INTERVAL '0 days')

-- postgres: sql.arguments
SELECT generate_series(1, 1000000000)

-- postgres: sql.growth
SELECT regexp_replace(regexp_replace(regexp_replace(name, '', 'aaaaaaaaaaaaaaaaaaaaaaaaa', 'g'), '', 'aaaaaaaaaaaaaaaaaaaaaaaaa', 'g'), '', 'aaaaaaaaaaaaaaaaaaaaaaaaa', 'g') FROM customers

-- postgres: sql.growth
SELECT (1, (1, (1, (1, (1, (1, (1, (1, (1, (1, (1, (1, (1, (1, (1, 2)))))))))))))))

-- postgres: sql.growth
SELECT ARRAY[ARRAY[ARRAY[ARRAY[ARRAY[ARRAY[ARRAY[ARRAY[ARRAY[ARRAY[ARRAY[ARRAY[ARRAY[ARRAY[ARRAY[ARRAY[1]::text]::text]::text]::text]::text]::text]::text]::text]::text]::text]::text]::text]::text]::text]::text]

-- postgres: sql.growth
SELECT quote_literal(quote_literal(quote_literal(quote_literal(quote_literal(quote_literal(quote_literal(quote_literal(quote_literal(quote_literal(quote_literal(quote_literal(quote_literal(quote_literal(name)))))))))))))) FROM customers

-- postgres: sql.growth
SELECT to_json(to_json(to_json(to_json(to_json(to_json(to_json(to_json(to_json(to_json(to_json(to_json(to_json(to_json(name)::text)::text)::text)::text)::text)::text)::text)::text)::text)::text)::text)::text)::text) FROM customers

-- postgres: sql.growth
WITH a AS (SELECT repeat('x', 1000) AS x), b AS (SELECT x||x||x||x||x||x||x||x||x||x AS x FROM a) SELECT x || x FROM b

-- postgres: sql.growth
SELECT concat(q.x, q.x) FROM (SELECT format('%1$s%1$s', repeat(repeat('x', 1000), 5)) AS x) AS q

-- postgres: sql.growth
WITH RECURSIVE c(x) AS (SELECT 'x' UNION ALL SELECT x || x FROM c) SELECT length(x) FROM c

-- postgres: sql.growth
WITH RECURSIVE c(x) AS (SELECT 'x' UNION ALL SELECT y || y FROM (SELECT x AS y FROM c) AS q) SELECT length(x) FROM c

-- postgres: sql.growth
WITH RECURSIVE c(x) AS (SELECT 'x' UNION ALL SELECT quote_literal(x) FROM c) SELECT length(x) FROM c

-- postgres: sql.growth
WITH RECURSIVE c(x) AS (SELECT ARRAY['x'] UNION ALL SELECT ARRAY[x::text] FROM c) SELECT x FROM c

== parts of SQL that are not rebuilt
-- postgres: sql.function
SELECT xmlelement(name x, 'a')

-- postgres: sql.construct or sql.syntax or sql.function
SELECT * FROM XMLTABLE('/x' PASSING '<x/>' COLUMNS a int)

-- postgres: sql.construct or sql.syntax or sql.function
SELECT * FROM JSON_TABLE('[]', '$[*]' COLUMNS (a int))

-- postgres: sql.construct or sql.function
SELECT concat(VARIADIC ARRAY['a', 'b'])

-- postgres: sql.construct or sql.syntax
SELECT make_interval(other => 10)

-- postgres: sql.construct or sql.syntax
SELECT * FROM customers QUALIFY row_number() OVER () = 1

-- postgres: sql.construct or sql.syntax
SELECT lag(id) IGNORE NULLS OVER () FROM orders

-- both: sql.construct or sql.syntax
SELECT * EXCLUDE (name) FROM products

-- both: sql.construct or sql.syntax
SELECT * REPLACE (1 AS id) FROM products

-- both: sql.construct or sql.syntax or sql.function or sql.column
SELECT {'a': 1}

-- both: sql.construct or sql.syntax or sql.function or sql.column or sql.ambiguous
SELECT * FROM products PIVOT (sum(price) FOR category IN ('home'))

-- both: sql.ambiguous
SELECT * FROM products, products

-- both: sql.ambiguous
SELECT name FROM customers, products

-- both: sql.construct
SELECT c.id FROM customers c SEMI JOIN orders o ON true

-- both: sql.parameter
SELECT name FROM customers WHERE id = :id

-- both: sql.parameter or sql.column or sql.function or sql.syntax
SELECT @@version

-- sqlite: sql.parameter
SELECT name FROM customers WHERE id = ?

-- postgres: sql.parameter
SELECT name FROM customers WHERE id = $1
