== a condition that fails of a hidden row
-- postgres
SELECT id FROM customers WHERE 1 / (id - 6) >= 0

-- postgres
SELECT id FROM customers WHERE sqrt(score) >= 0

-- postgres
SELECT id FROM customers WHERE -score::int4 * 100000 < 0

-- postgres
SELECT id FROM customers WHERE name::int > 0 OR id > 0

-- postgres
SELECT q.x FROM (SELECT 1 / (id - 6) AS x FROM customers) AS q WHERE q.x > 0

-- postgres
SELECT count(*) FROM customers c JOIN orders o ON 1 / (c.id - 6) >= 0 AND o.customer_id = c.id

-- sqlite
SELECT id FROM customers WHERE abs(id - 9223372036854775807 - 7) > 0

-- sqlite
SELECT id FROM customers WHERE json(name) IS NULL OR id > 0

-- sqlite
SELECT name FROM customers WHERE name > 'A' AND 'x' GLOB replace(name, 'C', '12345678901234567890123456789012345678901234567890123456789012345678901234567890')

== a constant that fails when an engine comes to it
-- both
SELECT id FROM customers WHERE name = 'CANARY-Zed' AND (SELECT CASE WHEN id > 0 THEN 1 END FROM products) = 1

-- postgres
SELECT id FROM customers WHERE name = 'CANARY-Zed' AND (SELECT 1 / 0) = 1

-- postgres
SELECT id FROM customers WHERE name = 'CANARY-Zed' AND EXISTS (SELECT 1 FROM products LIMIT -1)

-- postgres
SELECT id FROM customers WHERE CASE WHEN name = 'CANARY-Zed' THEN now() + interval '999999 years' > now() ELSE true END

-- postgres
SELECT id FROM customers WHERE CASE WHEN name = 'CANARY-Zed' THEN (SELECT ntile(0) OVER () FROM products LIMIT 1) END = 1

-- postgres
SELECT id FROM customers WHERE name = 'CANARY-Zed' AND (SELECT x FROM (VALUES (1), (2)) AS v (x)) = 1

-- sqlite
SELECT id FROM customers WHERE name = 'CANARY-Zed' AND (SELECT abs(-9223372036854775807 - 1)) = 1

-- sqlite
SELECT id FROM customers WHERE name = 'CANARY-Zed' AND (SELECT sum(9223372036854775807) FROM customers) = 1

-- sqlite
SELECT id FROM customers WHERE CASE WHEN name = 'CANARY-Zed' THEN json('x') ELSE 1 END = 1

== a sub-query that fails of a row outside of it
-- postgres
SELECT id FROM customers c WHERE (SELECT v.x FROM (VALUES (1, 'CANARY-Zed'), (2, 'CANARY-Zed')) AS v (x, n) WHERE v.n = c.name) IS NULL

-- postgres
SELECT id FROM customers c WHERE (SELECT sum(p.price / (c.id - 6)) FROM products p) IS NOT NULL

-- postgres
SELECT id FROM customers c WHERE EXISTS (SELECT 1 FROM products p LIMIT 1 OFFSET (c.id - 1) * -1 + 5)

-- postgres
SELECT id FROM customers c WHERE EXISTS (SELECT 1 FROM products p OFFSET c.score LIMIT 1) OR id > 0

-- postgres
SELECT id FROM customers c WHERE c.id IN (SELECT p.id / (c.id - 6) FROM products p) OR id > 0

-- sqlite
SELECT id FROM customers c WHERE (SELECT sum(9223372036854775807 - c.id + 7) FROM products p WHERE p.id < 102) IS NOT NULL

-- sqlite
SELECT id FROM customers c WHERE (SELECT nth_value(p.id, c.id) OVER () FROM products p) > 0

-- sqlite
SELECT id FROM customers c WHERE EXISTS (SELECT 1 FROM products LIMIT 1 OFFSET c.name)

== a change of which the condition fails of a hidden row
-- both change
DELETE FROM customers WHERE id > 0 AND CASE WHEN name = 'CANARY-Zed' THEN (SELECT count(*) FROM products) / 0 ELSE 1 END = 1

-- postgres change
DELETE FROM customers WHERE 1 / (id - 6) <= 0

-- postgres change
UPDATE customers SET city = 'x' WHERE CASE WHEN name = 'CANARY-Zed' THEN 1 / 0 ELSE 1 END = 1

-- postgres change
DELETE FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE 1 / (total - 777003) <= 0)

-- postgres change
DELETE FROM customers WHERE name = 'CANARY-Zed' AND (SELECT 1 / 0) = 1

-- sqlite change
DELETE FROM customers WHERE abs(id - 9223372036854775807 - 7) > 0

-- sqlite change
UPDATE customers SET city = 'x' WHERE CASE WHEN name = 'CANARY-Zed' THEN json('x') ELSE 1 END = 1

-- sqlite change
DELETE FROM customers WHERE name = 'CANARY-Zed' AND (SELECT sum(9223372036854775807) FROM products) = 1

== a change that asks for the value under a mask
-- both change: sql.masked
DELETE FROM customers WHERE id > 0 AND (SELECT count(*) FROM (SELECT customers.ssn UNION SELECT 'CANARY-ssn-1') AS q) = 1

-- both change: sql.masked
UPDATE customers SET city = 'x' WHERE id = 1 AND (SELECT count(*) FROM (SELECT DISTINCT s FROM (SELECT customers.ssn AS s UNION ALL SELECT 'CANARY-ssn-1') AS z) AS q) = 1

-- both change: sql.masked
UPDATE employees SET name = 'x' WHERE id = 1 AND EXISTS (SELECT phone)

-- both change: sql.masked
DELETE FROM customers WHERE id > 0 AND EXISTS (VALUES (customers.ssn))

-- both change: sql.masked
DELETE FROM customers WHERE id > 0 AND EXISTS (WITH RECURSIVE q(s) AS (SELECT customers.ssn UNION SELECT substr(s, 2) FROM q) SELECT 1 FROM q LIMIT 1 OFFSET 12)

-- sqlite change: sql.masked
DELETE FROM customers WHERE id > 0 AND EXISTS (SELECT 1 FROM json_each(json_array(customers.ssn)))

-- sqlite change: sql.masked
DELETE FROM customers WHERE id > 0 AND EXISTS (SELECT 1 FROM (SELECT json(replace(customers.ssn, 'CANARY-ssn-1', '1')) AS s LIMIT 1) AS q)

-- postgres change: sql.masked
DELETE FROM customers WHERE id > 0 AND EXISTS (SELECT 1 FROM regexp_matches(customers.ssn, '^CANARY-s'))

-- postgres change: sql.masked
DELETE FROM customers WHERE id > 0 AND EXISTS (SELECT regexp_matches(customers.ssn, '^CANARY-s'))

-- postgres change: sql.masked
DELETE FROM customers WHERE id > 0 AND EXISTS (SELECT 1 FROM string_to_table(customers.ssn, 'A') AS s OFFSET 2)

-- postgres change: sql.masked
DELETE FROM customers WHERE id > 0 AND EXISTS (WITH q AS MATERIALIZED (SELECT CAST(substr(customers.ssn, 1, 1) AS int) AS s) SELECT 1 FROM q)

-- postgres change: sql.masked
DELETE FROM customers WHERE id > 0 AND EXISTS (SELECT 1 FROM jsonb_path_query(to_jsonb(customers.ssn), '$ ? (@ like_regex "^C")'))
