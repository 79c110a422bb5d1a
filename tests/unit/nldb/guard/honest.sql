== plain reading
-- both
SELECT * FROM products

-- both
SELECT id, name FROM customers ORDER BY id

-- both
select NAME, City from CUSTOMERS order by Id

-- both
SELECT c.* FROM customers c WHERE c.id = 1

-- both
SELECT c.id AS "Customer No", c.name AS who FROM customers AS c ORDER BY c.id LIMIT 2

-- both
SELECT DISTINCT city FROM customers

-- both
SELECT name, ssn FROM customers ORDER BY name

-- both
SELECT name, phone FROM employees ORDER BY id

-- both
SELECT upper(ssn) AS hidden, coalesce(email, 'none') AS email FROM customers ORDER BY id

-- both
SELECT name FROM products ORDER BY price DESC, name LIMIT 3 OFFSET 1

-- both
SELECT 1 AS one, 'it''s' AS text, NULL AS missing, 1.50 AS amount

-- both
VALUES (1, 'a'), (2, 'b')

-- both
SELECT name FROM customers -- a comment with ; DROP TABLE customers
ORDER BY name

-- both
SELECT /* select * from secrets */ count(*) AS n FROM orders

-- both
SELECT name FROM customers WHERE name = 'DROP TABLE customers; --'

-- both
SELECT status AS "delete", total AS "update" FROM orders ORDER BY id

-- both
SELECT 'Größe – “quoted” 😀' AS text

-- postgres
(SELECT name FROM products) ORDER BY name

-- both
SELECT id FROM orders WHERE id IN (10, 11, 12);

== conditions
-- both
SELECT name FROM customers WHERE city = 'London' AND vip ORDER BY name

-- both
SELECT name FROM customers WHERE NOT vip OR city IS NULL ORDER BY name

-- both
SELECT name FROM customers WHERE email IS NULL

-- both
SELECT name FROM customers WHERE email IS NOT NULL AND name LIKE '%o' ORDER BY id

-- both
SELECT name FROM customers WHERE name NOT LIKE 'A%' ORDER BY id

-- both
SELECT name FROM products WHERE name LIKE '%!_%' ESCAPE '!'

-- both
SELECT id FROM orders WHERE total BETWEEN 20 AND 100 ORDER BY id

-- both
SELECT id FROM orders WHERE total NOT BETWEEN 20 AND 100 ORDER BY id

-- both
SELECT id FROM orders WHERE status NOT IN ('paid', 'open') ORDER BY id

-- both
SELECT id FROM orders WHERE (status = 'paid' OR status = 'open') AND total > 10 ORDER BY id

-- both
SELECT id FROM orders WHERE status <> 'paid' ORDER BY id

-- both
SELECT id FROM orders WHERE status != 'paid' AND NOT (total < 50) ORDER BY id

-- both
SELECT id, total FROM orders WHERE -total < -100 ORDER BY id

-- both
SELECT name FROM customers WHERE (city, vip) = ('London', TRUE) ORDER BY id

-- both
SELECT id FROM orders WHERE (status, customer_id) IN (('paid', 1), ('open', 3)) ORDER BY id

-- both
SELECT name FROM customers WHERE city IS DISTINCT FROM 'London' ORDER BY id

-- both
SELECT name FROM customers WHERE city IS NOT DISTINCT FROM 'Oslo'

-- both
SELECT name FROM customers WHERE (vip IS TRUE) = TRUE ORDER BY id

-- both
SELECT name FROM customers WHERE vip IS NOT TRUE ORDER BY id

-- both
SELECT name FROM customers WHERE joined >= '2023-02-01' AND joined < '2023-03-01' ORDER BY joined

-- postgres
SELECT name FROM customers WHERE name ILIKE 'a%' OR city NOT ILIKE 'l%' ORDER BY id

-- postgres
SELECT name FROM customers WHERE name ~ '^[AB]' AND name !~* 'z' ORDER BY id

-- postgres
SELECT name FROM customers WHERE name SIMILAR TO '(A|B)%' ORDER BY id

-- postgres
SELECT name FROM customers WHERE name ~~ 'A%' AND name !~~ 'Z%'

-- postgres
SELECT id FROM orders WHERE status = ANY(ARRAY['paid', 'open']) ORDER BY id

-- postgres
SELECT id FROM orders WHERE status <> ALL (ARRAY['paid', 'open']) ORDER BY id

-- postgres
SELECT id FROM orders WHERE id = ANY('{10,11}'::int[]) ORDER BY id

-- postgres
SELECT id FROM orders WHERE total BETWEEN SYMMETRIC 100 AND 20 ORDER BY id

-- sqlite
SELECT name FROM customers WHERE name GLOB 'A*'

-- sqlite
SELECT name FROM customers WHERE city IS 'London' AND email IS NOT 'x' ORDER BY id

-- sqlite
SELECT name FROM customers WHERE city ISNULL OR email NOTNULL ORDER BY id

-- sqlite
SELECT name FROM customers WHERE name == 'Ada' COLLATE NOCASE

-- sqlite
SELECT length(name) AS n FROM customers WHERE n > 2 ORDER BY n, id

== joins
-- both
SELECT c.name, o.id FROM customers c JOIN orders o ON o.customer_id = c.id ORDER BY o.id

-- both
SELECT c.name, o.id FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND o.status = 'open' ORDER BY c.id, o.id

-- both
SELECT c.name, p.name FROM customers c, orders o, order_items i, products p WHERE o.customer_id = c.id AND i.order_id = o.id AND p.id = i.product_id ORDER BY o.id, p.id

-- both
SELECT name, status FROM customers INNER JOIN orders ON customer_id = customers.id ORDER BY orders.id

-- both
SELECT count(*) AS n FROM customers CROSS JOIN products

-- both
SELECT a.name AS boss, b.name AS worker FROM employees a RIGHT JOIN employees b ON b.manager_id = a.id ORDER BY b.id

-- both
SELECT o.id, p.name FROM orders o JOIN (order_items i JOIN products p ON p.id = i.product_id) ON i.order_id = o.id ORDER BY o.id, p.id

-- both
SELECT id, n FROM orders JOIN (SELECT order_id AS id, count(*) AS n FROM order_items GROUP BY order_id) AS x USING (id) ORDER BY id

-- both
SELECT * FROM (SELECT id, name FROM customers) AS a NATURAL JOIN (SELECT id, city FROM customers) AS b ORDER BY id

-- both
SELECT a.id, b.id FROM (SELECT 1 AS id UNION SELECT 2) AS a FULL OUTER JOIN (SELECT 2 AS id UNION SELECT 3) AS b ON a.id = b.id ORDER BY 1, 2

-- both
SELECT c.name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.total > 100) ORDER BY c.id

-- both
SELECT c.name FROM customers c WHERE NOT EXISTS (SELECT * FROM orders o WHERE o.customer_id = c.id)

-- both
SELECT name FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE status = 'paid') ORDER BY id

-- both
SELECT name FROM customers WHERE id NOT IN (SELECT customer_id FROM orders) ORDER BY id

-- both
SELECT c.name, (SELECT max(o.total) FROM orders o WHERE o.customer_id = c.id) AS most FROM customers c ORDER BY c.id

-- both
SELECT name FROM products p WHERE price > (SELECT avg(price) FROM products q WHERE q.category = p.category)

-- both
SELECT c.name, x.n FROM customers c JOIN (SELECT customer_id, count(*) AS n FROM orders GROUP BY customer_id) x ON x.customer_id = c.id ORDER BY c.id

-- postgres
SELECT c.name, x.id FROM customers c LEFT JOIN LATERAL (SELECT o.id FROM orders o WHERE o.customer_id = c.id ORDER BY o.total DESC LIMIT 1) x ON true ORDER BY c.id

-- postgres
SELECT c.name, x.total FROM customers c CROSS JOIN LATERAL (SELECT total FROM orders WHERE customer_id = c.id) AS x ORDER BY c.id, x.total

-- postgres
SELECT * FROM products AS p(no, label) ORDER BY no

-- postgres
SELECT label FROM (SELECT id, name FROM products) AS p(no, label) WHERE no = 100

-- postgres
SELECT id, quantity FROM orders JOIN order_items ON orders.id = order_items.order_id WHERE id > ALL (SELECT 10) ORDER BY id, product_id

== groups
-- both
SELECT status, count(*) AS n FROM orders GROUP BY status ORDER BY n DESC, status

-- both
SELECT status, sum(total) AS total, min(total) AS low, max(total) AS high FROM orders GROUP BY status HAVING count(*) > 1 ORDER BY status

-- both
SELECT city, count(DISTINCT vip) AS kinds FROM customers GROUP BY 1 ORDER BY 2, 1

-- both
SELECT c.name, count(o.id) AS n FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.name ORDER BY n DESC, c.name

-- both
SELECT c.id, c.name, c.city, count(o.id) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.id ORDER BY c.id

-- both
SELECT c.id, c.name FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.id HAVING c.city = 'London' ORDER BY c.joined, c.id

-- both
SELECT c.id, upper(c.name) AS name, sum(o.total) AS sum FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY 1 ORDER BY 3 DESC

-- both
SELECT category AS kind, avg(price) AS mean FROM products GROUP BY kind ORDER BY kind

-- both
SELECT count(*), count(email), count(DISTINCT city) FROM customers

-- both
SELECT count(*) FILTER (WHERE status = 'paid') AS paid, count(*) FILTER (WHERE status <> 'paid') AS other FROM orders

-- both
SELECT sum(CASE WHEN status = 'paid' THEN total ELSE 0 END) AS paid FROM orders

-- both
SELECT customer_id, sum(total) FROM orders WHERE status = 'paid' GROUP BY customer_id HAVING sum(total) > 50 ORDER BY sum(total) DESC

-- both
SELECT category, price > 20 AS dear, count(*) AS n FROM products GROUP BY category, price > 20 ORDER BY 1, 2

-- postgres
SELECT category, name, sum(price) AS total FROM products GROUP BY ROLLUP (category, name) ORDER BY category, name

-- postgres
SELECT category, count(*) AS n FROM products GROUP BY CUBE (category) ORDER BY 1

-- postgres
SELECT status, customer_id, count(*), grouping(status) FROM orders GROUP BY GROUPING SETS ((status), (customer_id), ()) ORDER BY 1, 2

-- postgres
SELECT string_agg(name, ', ' ORDER BY name DESC) AS names FROM customers

-- postgres
SELECT array_agg(DISTINCT status ORDER BY status) AS states FROM orders

-- postgres
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total) AS median, mode() WITHIN GROUP (ORDER BY status) FROM orders

-- postgres
SELECT bool_or(vip), every(vip), stddev(score), round(variance(score)::numeric, 3) FROM customers

-- postgres
SELECT DISTINCT ON (customer_id) customer_id, id, total FROM orders ORDER BY customer_id, total DESC

-- postgres
SELECT date_trunc('month', placed_at) AS month, sum(total) FROM orders GROUP BY 1 ORDER BY 1

-- postgres
SELECT json_agg(json_build_object('id', id, 'status', status) ORDER BY id) AS list FROM orders

-- sqlite
SELECT group_concat(name, '; ') AS names, total(price) AS sum FROM products WHERE category = 'home'

-- sqlite
SELECT name, max(price) FROM products

-- sqlite
SELECT strftime('%Y-%m', placed_at) AS month, sum(total) FROM orders GROUP BY month ORDER BY month

-- sqlite
SELECT json_group_array(name) FROM (SELECT name FROM products ORDER BY id)

== windows
-- both
SELECT id, row_number() OVER (ORDER BY total DESC) AS place FROM orders ORDER BY id

-- both
SELECT id, rank() OVER (PARTITION BY status ORDER BY total) AS r, dense_rank() OVER (ORDER BY status) AS d FROM orders ORDER BY id

-- both
SELECT id, sum(total) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS running FROM orders ORDER BY id

-- both
SELECT id, avg(total) OVER (ORDER BY id ROWS 2 PRECEDING) AS moving FROM orders ORDER BY id

-- both
SELECT id, lag(total) OVER w AS before, lead(total, 1, 0) OVER w AS after FROM orders WINDOW w AS (ORDER BY id) ORDER BY id

-- both
SELECT id, first_value(id) OVER (PARTITION BY status ORDER BY total DESC) AS top, ntile(2) OVER (ORDER BY id) AS half FROM orders ORDER BY id

-- both
SELECT * FROM (SELECT id, status, row_number() OVER (PARTITION BY status ORDER BY total DESC) AS r FROM orders) AS ranked WHERE r = 1 ORDER BY id

-- both
SELECT status, sum(total) AS total, sum(sum(total)) OVER () AS all_of_it FROM orders GROUP BY status ORDER BY status

-- both
SELECT id, count(*) FILTER (WHERE status = 'paid') OVER (ORDER BY id) AS paid FROM orders ORDER BY id

-- both
SELECT id, sum(total) OVER (ORDER BY total RANGE BETWEEN 50 PRECEDING AND 50 FOLLOWING EXCLUDE CURRENT ROW) AS near FROM orders ORDER BY id

-- postgres
SELECT id, count(*) OVER (ORDER BY placed_at RANGE BETWEEN INTERVAL '30 days' PRECEDING AND CURRENT ROW) AS month FROM orders ORDER BY id

== common table expressions and set operations
-- both
WITH paid AS (SELECT * FROM orders WHERE status = 'paid') SELECT count(*) AS n, sum(total) AS total FROM paid

-- both
WITH a AS (SELECT id FROM customers), b AS (SELECT customer_id FROM orders JOIN a ON a.id = customer_id) SELECT count(*) AS n FROM b

-- both
WITH customers AS (SELECT id, name FROM products) SELECT name FROM customers ORDER BY id

-- both
WITH x(no, label) AS (SELECT id, name FROM products) SELECT label FROM x WHERE no > 101 ORDER BY no

-- both
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n

-- both
WITH RECURSIVE chain AS (SELECT id, name, 0 AS depth FROM employees WHERE manager_id IS NULL UNION ALL SELECT e.id, e.name, c.depth + 1 FROM employees e JOIN chain c ON e.manager_id = c.id) SELECT name, depth FROM chain ORDER BY id

-- both
WITH RECURSIVE up(id, boss) AS (SELECT id, manager_id FROM employees WHERE name = 'Leaf' UNION SELECT e.id, e.manager_id FROM employees e, up WHERE e.id = up.boss) SELECT count(*) AS n FROM up

-- both
SELECT name FROM (WITH t AS (SELECT name FROM products) SELECT * FROM t) AS s ORDER BY name

-- both
SELECT name FROM customers UNION SELECT name FROM products ORDER BY name

-- both
SELECT id FROM customers UNION ALL SELECT customer_id FROM orders ORDER BY 1

-- both
SELECT id FROM customers EXCEPT SELECT customer_id FROM orders

-- both
SELECT id FROM customers INTERSECT SELECT customer_id FROM orders ORDER BY id

-- both
SELECT 'c' AS kind, count(*) AS n FROM customers UNION ALL SELECT 'o', count(*) FROM orders UNION ALL SELECT 'p', count(*) FROM products ORDER BY kind

-- both
SELECT name, ssn FROM customers UNION ALL SELECT name, phone FROM employees

-- both
SELECT x.total FROM (SELECT total FROM orders UNION ALL SELECT price FROM products) AS x WHERE x.total > 50 ORDER BY x.total

-- both
SELECT column1, column2 FROM (VALUES (1, 'a'), (2, 'b')) AS v ORDER BY column1

-- postgres
SELECT v.code, v.label FROM (VALUES ('paid', 'Paid'), ('open', 'Open')) AS v(code, label) ORDER BY 1

-- postgres
WITH big AS MATERIALIZED (SELECT * FROM orders WHERE total > 50) SELECT id FROM big ORDER BY id

-- postgres
WITH big AS NOT MATERIALIZED (SELECT * FROM orders WHERE total > 50) SELECT id FROM big ORDER BY id FETCH FIRST 2 ROWS ONLY

-- postgres
(SELECT id FROM orders ORDER BY total DESC LIMIT 1) UNION ALL (SELECT id FROM orders ORDER BY total LIMIT 1)

-- postgres
SELECT id FROM orders EXCEPT ALL SELECT 10 ORDER BY id

-- postgres
SELECT d FROM generate_series(1, 5) AS d

-- postgres
SELECT g.day::date AS day, count(o.id) AS n FROM generate_series('2024-01-01'::date, '2024-01-31'::date, INTERVAL '10 days') AS g(day) LEFT JOIN orders o ON o.placed_at >= g.day AND o.placed_at < g.day + INTERVAL '10 days' GROUP BY 1 ORDER BY 1

-- postgres
SELECT n, ordinality FROM generate_series(10, 30, 10) WITH ORDINALITY AS t(n, ordinality)

== case and casts
-- both
SELECT name, CASE WHEN price > 50 THEN 'dear' WHEN price > 10 THEN 'fair' ELSE 'cheap' END AS class FROM products ORDER BY id

-- both
SELECT id, CASE status WHEN 'paid' THEN 1 ELSE 0 END AS paid FROM orders ORDER BY id

-- both
SELECT id, CASE WHEN vip THEN name END FROM customers ORDER BY id

-- both
SELECT CAST(total AS integer) AS whole, CAST(id AS text) AS code FROM orders ORDER BY id

-- both
SELECT id, total * 1.1 AS gross, total - 1 AS less, total / 2 AS half, id % 3 AS rest FROM orders ORDER BY id

-- both
SELECT CAST('12' AS INTEGER) + 1 AS n, CAST(3 AS REAL) / 2 AS half

-- both
SELECT name || ' (' || category || ')' AS label FROM products ORDER BY id

-- both
SELECT coalesce(city, '?') AS city, nullif(status, 'paid') AS state FROM customers c JOIN orders o ON o.customer_id = c.id ORDER BY o.id

-- both
SELECT id FROM orders ORDER BY CASE status WHEN 'open' THEN 1 WHEN 'paid' THEN 2 ELSE 3 END, id

-- postgres
SELECT total::int, total::text, orders.id::numeric(10,2), name::varchar(3) FROM orders JOIN products ON true WHERE products.id = 100 ORDER BY orders.id

-- postgres
SELECT id FROM orders ORDER BY total DESC NULLS LAST, id NULLS FIRST

-- postgres
SELECT DATE '2024-02-01' AS d, TIMESTAMP '2024-02-01 10:00' AS t, '2024-01-01'::timestamptz AT TIME ZONE 'UTC' AS z

-- postgres
SELECT 7 / 2 AS whole, 7 % 2 AS rest, 2 ^ 10 AS power, 5 & 3 AS both, 5 | 3 AS any, 5 # 3 AS one, ~5 AS none, 1 << 4 AS up

-- sqlite
SELECT 7 / 2, 7 % 2, 5 & 3, 5 | 3, ~5, 1 << 4, x'4142', 1e3, .5, 0x10

-- sqlite
SELECT CAST('12abc' AS INTEGER), CAST('1.5' AS REAL), CAST('7' AS DECIMAL), CAST(65 AS BLOB), CAST('x' AS VARCHAR(10))

-- sqlite
SELECT name FROM customers ORDER BY city COLLATE NOCASE DESC, name

-- sqlite
SELECT id FROM customers ORDER BY city NULLS LAST, id

-- sqlite
SELECT id FROM orders LIMIT 2, 3

-- sqlite
SELECT [name], `city`, "vip" FROM [customers] AS "c" ORDER BY "c"."id"

-- sqlite
SELECT name FROM main.customers ORDER BY id

-- postgres
SELECT name FROM public.customers ORDER BY id

-- postgres
SELECT "name", "city" FROM "customers" ORDER BY "id"

== texts
-- both
SELECT upper(name), lower(city), length(name), trim(name) FROM customers ORDER BY id

-- both
SELECT substr(name, 1, 2) AS head, replace(name, 'a', 'o') AS other FROM customers ORDER BY id

-- both
SELECT replace(replace(replace(name, 'a', '1'), 'b', '2'), '&', '&amp;') AS x FROM customers ORDER BY id

-- both
SELECT round(price, 1) AS r, abs(-price) AS a FROM products ORDER BY id

-- postgres
SELECT left(name, 1), right(name, 1), initcap(city), reverse(name), lpad(id::text, 5, '0'), rpad(name, 6, '.'), repeat('*', 3) FROM customers ORDER BY id

-- postgres
SELECT substring(name from 1 for 2), substring(name, 2), substring(name from '[a-z]+'), position('a' in name), strpos(name, 'd'), overlay(name placing 'X' from 1 for 1) FROM customers ORDER BY id

-- postgres
SELECT trim(both ' ' from '  x '), trim(leading from '  x'), ltrim('xxa', 'x'), btrim('xax', 'x'), split_part('a-b', '-', 2)

-- postgres
SELECT format('%s has %s', name, coalesce(city, '-')) AS line, concat(name, ':', id), concat_ws('-', name, city) FROM customers ORDER BY id

-- postgres
SELECT regexp_replace(name, '[aeiou]', '_', 'g'), regexp_match(name, '(.)(.)'), translate(name, 'abc', 'xyz'), md5(name), ascii(name), chr(65) FROM customers ORDER BY id

-- postgres
SELECT string_agg(name, E'\n') AS lines, string_agg(DISTINCT category, $$; $$) AS kinds FROM products

-- sqlite
SELECT instr(name, 'a'), hex(name), unicode(name), char(65, 66), quote(name), ltrim(name, 'A'), printf('%05d|%-8s|%.2f', id, name, score) FROM customers ORDER BY id

-- sqlite
SELECT iif(vip, 'v', '-'), ifnull(city, '?'), typeof(score), max(id, 3), min(id, 3), format('%s', name) FROM customers ORDER BY id

-- sqlite
SELECT name || '' AS "select", glob('A*', name), like('A%', name) FROM customers ORDER BY id

== dates
-- postgres
SELECT extract(year FROM placed_at) AS y, date_part('month', placed_at) AS m, to_char(placed_at, 'YYYY-MM-DD') AS d, placed_at::date AS day FROM orders ORDER BY id

-- postgres
SELECT id FROM orders WHERE placed_at >= TIMESTAMP '2024-03-20' - INTERVAL '1 month' AND placed_at < '2024-03-20'::timestamp + INTERVAL '2' DAY ORDER BY id

-- postgres
SELECT placed_at + INTERVAL '1 year 2 months 3 days 04:05:06' AS a, placed_at - INTERVAL '1 day ago' AS b, age(placed_at, TIMESTAMP '2023-01-01') AS c FROM orders ORDER BY id

-- postgres
SELECT placed_at::date - joined AS days FROM orders JOIN customers ON customers.id = customer_id WHERE joined IS NOT NULL ORDER BY orders.id

-- postgres
SELECT count(*) AS n FROM orders WHERE placed_at < now() AND placed_at <= CURRENT_TIMESTAMP AND placed_at::date <= CURRENT_DATE

-- postgres
SELECT to_date('05 Jan 2024', 'DD Mon YYYY') AS d, make_date(2024, 2, 29) AS leap, date_trunc('quarter', TIMESTAMP '2024-05-17') AS q, EXTRACT(EPOCH FROM INTERVAL '1 hour') AS s

-- sqlite
SELECT date(placed_at), time(placed_at), datetime(placed_at, '+1 day', 'start of month'), strftime('%Y', placed_at), julianday(placed_at) FROM orders ORDER BY id

-- sqlite
SELECT id FROM orders WHERE date(placed_at) BETWEEN date('2024-02-01') AND date('2024-02-01', '+1 month', '-1 day') ORDER BY id

-- sqlite
SELECT count(*) FROM orders WHERE placed_at < CURRENT_TIMESTAMP AND date(placed_at) <= date('now')

-- sqlite
SELECT julianday('2024-03-01') - julianday(placed_at) AS age FROM orders ORDER BY age

== json
-- postgres
SELECT data->>'channel' AS channel, data->'gift'->>'wrap' AS wrap, data#>>'{lines,0}' AS first FROM orders ORDER BY id

-- postgres
SELECT data->>'a.b' AS dotted, data->'lines'->0 AS line, (data->'lines'->>0)::int AS n FROM orders ORDER BY id

-- postgres
SELECT id FROM orders WHERE data @> '{"channel": "web"}' AND data ? 'lines' ORDER BY id

-- postgres
SELECT jsonb_array_length(data->'lines') AS n, jsonb_typeof(data->'lines') AS t FROM orders WHERE data IS NOT NULL AND data ? 'lines' ORDER BY id

-- postgres
SELECT p.name, t.value FROM products p CROSS JOIN LATERAL jsonb_array_elements_text(p.tags) AS t(value) ORDER BY p.id, t.value

-- postgres
SELECT p.name, tag FROM products p, jsonb_array_elements_text(p.tags) AS tag ORDER BY 1, 2

-- postgres
SELECT e.key, count(*) AS n FROM orders o, jsonb_each(o.data) AS e GROUP BY e.key ORDER BY e.key

-- postgres
SELECT x.a, x.b FROM jsonb_to_recordset('[{"a": 1, "b": "x"}]') AS x(a int, b text)

-- postgres
SELECT u FROM unnest(ARRAY[3, 1, 2]) AS u ORDER BY u

-- postgres
SELECT (ARRAY['a', 'b'])[1] AS first, array_length(ARRAY[1, 2], 1) AS n, array_to_string(ARRAY['a', 'b'], '-') AS text, 2 = ANY(ARRAY[1, 2]) AS has

-- postgres
SELECT ARRAY(SELECT name FROM products ORDER BY id) AS names

-- sqlite
SELECT json_extract(data, '$.channel') AS channel, data->>'$.gift.wrap' AS wrap, data->'lines' AS lines FROM orders ORDER BY id

-- sqlite
SELECT data->>'$."a.b"' AS dotted FROM orders WHERE json_extract(data, '$.channel') = 'web' ORDER BY id

-- sqlite
SELECT p.name, t.value FROM products p, json_each(p.tags) t ORDER BY p.id, t.value

-- sqlite
SELECT value FROM json_each('[1, 2, 3]') WHERE value > 1

-- sqlite
SELECT json_array_length(data, '$.lines') AS n, json_type(data, '$.lines') AS t, json_valid(data) AS ok FROM orders ORDER BY id

-- sqlite
SELECT count(*) FROM orders o WHERE EXISTS (SELECT 1 FROM json_each(o.data, '$.lines') WHERE value = 3)

-- postgres
SELECT jsonb_array_length(data->'lines') - 1 AS n, data->'lines'->-1 AS last, coalesce(data->>'channel', '-') AS c FROM orders WHERE jsonb_typeof(data->'lines') = 'array' ORDER BY id

-- postgres
SELECT count(*) AS n, max(data->>'channel') AS c FROM orders WHERE data @? '$.gift' OR data #- '{gift}' = data

== questions people ask
-- both
SELECT p.category, sum(i.quantity * i.price) AS revenue FROM order_items i JOIN products p ON p.id = i.product_id GROUP BY p.category ORDER BY revenue DESC LIMIT 5

-- both
SELECT c.name, sum(o.total) AS spent, count(*) AS orders, max(o.placed_at) AS last FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.status = 'paid' GROUP BY c.id, c.name HAVING count(*) >= 1 ORDER BY spent DESC

-- both
SELECT avg(n) AS mean FROM (SELECT order_id, sum(quantity) AS n FROM order_items GROUP BY order_id) AS per_order

-- both
WITH totals AS (SELECT customer_id, sum(total) AS total FROM orders GROUP BY customer_id), ranked AS (SELECT customer_id, total, rank() OVER (ORDER BY total DESC) AS place FROM totals) SELECT c.name, r.total, r.place FROM ranked r JOIN customers c ON c.id = r.customer_id WHERE r.place <= 2 ORDER BY r.place

-- both
SELECT p.name FROM products p LEFT JOIN order_items i ON i.product_id = p.id WHERE i.product_id IS NULL

-- both
SELECT name, price, price - avg(price) OVER (PARTITION BY category) AS above FROM products ORDER BY id

-- both
SELECT c.city, count(DISTINCT c.id) AS customers, count(o.id) AS orders FROM customers AS c LEFT OUTER JOIN orders AS o ON c.id = o.customer_id WHERE c.city IS NOT NULL GROUP BY c.city ORDER BY c.city

-- both
SELECT 100.0 * sum(CASE WHEN status = 'refunded' THEN 1 ELSE 0 END) / count(*) AS share FROM orders

-- both
SELECT a.name AS first, b.name AS second FROM products a JOIN products b ON a.category = b.category AND a.id < b.id ORDER BY 1, 2

-- both
SELECT id, total FROM orders WHERE total = (SELECT max(total) FROM orders)

== rows as one value
-- postgres
SELECT jsonb_agg(t) FROM (SELECT id, total FROM orders ORDER BY id) AS t

-- postgres
SELECT row_to_json(o) FROM orders o ORDER BY o.id

-- postgres
SELECT to_jsonb(o.*) - 'data' AS told FROM orders o ORDER BY o.id

-- postgres
SELECT o.id, (SELECT json_agg(x) FROM (SELECT i.product_id, i.quantity FROM order_items i WHERE i.order_id = o.id ORDER BY 1) AS x) AS lines FROM orders o ORDER BY o.id

-- postgres
WITH t AS (SELECT status, count(*) AS n FROM orders GROUP BY status ORDER BY status) SELECT json_agg(t ORDER BY t.status) FROM t

-- postgres
SELECT (1, (2, 3)) = (1, (2, 3)) AS same

== made of several
-- postgres
SELECT make_interval(days => 3, hours => 2), now() + make_interval(years => 1) > now()

-- postgres
SELECT (ARRAY[1, 2, 3, 4])[2:3], (string_to_array('a,b,c', ','))[2:]

-- sqlite
SELECT main.orders.id, main.orders.total FROM main.orders ORDER BY 1

-- postgres
WITH RECURSIVE t(id, path) AS (SELECT id, name::text FROM employees WHERE manager_id IS NULL UNION ALL SELECT e.id, t.path || ' > ' || e.name FROM employees e JOIN t ON e.manager_id = t.id) SELECT path FROM t ORDER BY id

-- postgres
WITH RECURSIVE t(id, path) AS (SELECT id, ARRAY[id] FROM employees WHERE manager_id IS NULL UNION ALL SELECT e.id, t.path || e.id FROM employees e JOIN t ON e.manager_id = t.id WHERE e.id <> ALL (t.path)) SELECT id, path FROM t ORDER BY id

-- both
WITH RECURSIVE f(n, a, b) AS (SELECT 1, 0, 1 UNION ALL SELECT n + 1, b, a + b FROM f WHERE n < 20) SELECT n, a FROM f ORDER BY n

-- both
SELECT o.status, count(*) AS n, sum(CASE WHEN o.total > 50 THEN 1 ELSE 0 END) AS large FROM orders o GROUP BY o.status HAVING count(*) > 0 ORDER BY o.status

-- both
SELECT o.id FROM orders o WHERE NOT EXISTS (SELECT 1 FROM order_items i WHERE i.order_id = o.id AND i.quantity > 2) ORDER BY o.id

-- both
WITH sums AS (SELECT order_id, sum(quantity) AS n FROM order_items GROUP BY order_id) SELECT o.id, coalesce(s.n, 0) AS n FROM orders o LEFT JOIN sums s ON s.order_id = o.id ORDER BY n DESC, o.id

-- both
SELECT id, total, total - lag(total) OVER (ORDER BY id) AS change FROM orders ORDER BY id
