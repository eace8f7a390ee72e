-- duckdb.query in every place of a SELECT.
CREATE TABLE shops (shop_id int PRIMARY KEY, name text, region text);
INSERT INTO shops VALUES (1, 'north', 'a'), (2, 'south', 'b'), (3, 'east', 'a'), (4, 'none', NULL);
ANALYZE shops;

-- Columns by name, by alias, by star.
SELECT q.a, b FROM duckdb.query('SELECT 1 AS a, ''x'' AS b') q;
SELECT query.a FROM duckdb.query('SELECT 1 AS a');
SELECT q.*, q.a + 1 AS next FROM duckdb.query('SELECT 1 AS a, ''x'' AS b') AS q;
SELECT x, y FROM duckdb.query('SELECT 1 AS a, ''x'' AS b') AS q(x, y);
SELECT x, b FROM duckdb.query('SELECT 1 AS a, ''x'' AS b') AS q(x);
SELECT sql.a FROM duckdb.query(sql => 'SELECT 1 AS a') AS sql;
SELECT a FROM duckdb.query('SELECT 1 AS a;');
SELECT a FROM duckdb.query('SELECT 1 AS a -- a comment');
SELECT a FROM duckdb.query('/* a */ FROM (VALUES (1)) v(a) /* comment */;;  ');
SELECT a FROM duckdb.query('WITH c AS (SELECT 1 AS a) FROM c');
SELECT a FROM duckdb.query('VALUES (1), (2)') AS v(a) ORDER BY 1;
SELECT * FROM duckdb.query('SELECT 1 AS a UNION ALL SELECT 2 ORDER BY a DESC');
SELECT * FROM duckdb.query('PIVOT (SELECT * FROM (VALUES (''x'', 1), (''y'', 2)) v(k, n)) ON k IN (''x'', ''y'') USING sum(n)');
SELECT testing.sqlstate_of($$ SELECT * FROM duckdb.query('PIVOT (SELECT * FROM (VALUES (''x'', 1), (''y'', 2)) v(k, n)) ON k USING sum(n)') $$);
SELECT * FROM duckdb.query('SHOW TABLES');
SELECT column_name, column_type FROM duckdb.query('DESCRIBE SELECT 1 AS a, ''x'' AS b');

-- WHERE, GROUP BY, HAVING, DISTINCT ON, windows, ORDER BY.
SELECT a % 2 AS parity, count(*), sum(a) FROM duckdb.query('SELECT a FROM range(10) r(a)') WHERE a > 2 GROUP BY 1 HAVING count(*) > 1 ORDER BY 1;
SELECT DISTINCT ON (a % 3) a % 3 AS m, a FROM duckdb.query('SELECT a FROM range(10) r(a)') ORDER BY 1, a DESC;
SELECT a, sum(a) OVER (ORDER BY a), rank() OVER (PARTITION BY a % 2 ORDER BY a DESC) FROM duckdb.query('SELECT a FROM range(4) r(a)') ORDER BY a;
SELECT a, count(*) FROM duckdb.query('SELECT a FROM range(3) r(a)') GROUP BY ROLLUP (a) ORDER BY a;
SELECT a FROM duckdb.query('SELECT * FROM (VALUES (2), (NULL), (1)) v(a)') ORDER BY a;
SELECT a FROM duckdb.query('SELECT * FROM (VALUES (2), (NULL), (1)) v(a)') ORDER BY a DESC;
SELECT a FROM duckdb.query('SELECT a FROM range(10) r(a) ORDER BY a') LIMIT 2 OFFSET 3;
SELECT a FROM duckdb.query('SELECT a // 2 AS a FROM range(10) r(a)') ORDER BY a FETCH FIRST 3 ROWS WITH TIES;
SELECT ctid FROM duckdb.query('SELECT 1 AS a');

-- Joins.
SELECT name, total FROM shops JOIN duckdb.query('SELECT shop_id::INT AS shop_id, shop_id * 10 AS total FROM range(1, 4) r(shop_id)') q USING (shop_id) WHERE total > 10 ORDER BY 1;
SELECT * FROM shops NATURAL JOIN duckdb.query('SELECT 2 AS shop_id, 20 AS total') q;
SELECT s.name, q.total FROM shops s LEFT JOIN duckdb.query('SELECT 2 AS shop_id, 20 AS total') q ON q.shop_id = s.shop_id ORDER BY 1;
SELECT s.name, q.total FROM shops s FULL JOIN duckdb.query('SELECT * FROM (VALUES (2, 20), (9, 90)) v(shop_id, total)') q USING (shop_id) ORDER BY 1, 2;
SELECT count(*) FROM duckdb.query('SELECT 1 AS a') x, duckdb.query('SELECT b FROM range(3) r(b)') y, duckdb.query('SELECT c FROM range(4) r(c)') z;
SELECT x.a, y.b FROM duckdb.query('SELECT a FROM range(3) r(a)') x JOIN duckdb.query('SELECT b, ''t'' || b AS t FROM range(3) r(b)') y ON x.a = y.b AND y.t <> 't1' ORDER BY 1;
-- The inner side of a nested loop is scanned again and again.
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
SELECT s.shop_id, q.a FROM shops s JOIN duckdb.query('SELECT a FROM range(1, 6) r(a)') q ON q.a > s.shop_id ORDER BY 1, 2;
RESET enable_hashjoin; RESET enable_material;
SET enable_nestloop = off; SET enable_hashjoin = off; SET enable_mergejoin = on;
SELECT x.a, y.a AS b FROM duckdb.query('SELECT a // 2 AS a FROM range(4) r(a)') x JOIN duckdb.query('SELECT a // 2 AS a FROM range(4) r(a)') y USING (a) ORDER BY 1, 2;
RESET enable_nestloop; RESET enable_hashjoin; RESET enable_mergejoin;

-- Sub-queries, sublinks, CTEs.
SELECT name FROM shops WHERE shop_id IN (SELECT a FROM duckdb.query('SELECT a FROM range(2, 4) r(a)')) ORDER BY 1;
SELECT name FROM shops WHERE shop_id NOT IN (SELECT a FROM duckdb.query('SELECT a FROM range(2, 4) r(a)')) ORDER BY 1;
SELECT name, (SELECT max(a) FROM duckdb.query('SELECT a FROM range(5) r(a)') q WHERE q.a < s.shop_id) AS below FROM shops s ORDER BY 1;
SELECT EXISTS (SELECT FROM duckdb.query('SELECT a FROM range(5) r(a)') WHERE a = 4) AS yes, EXISTS (SELECT FROM duckdb.query('SELECT a FROM range(5) r(a)') WHERE a = 5) AS no;
SELECT ARRAY(SELECT a FROM duckdb.query('SELECT a FROM range(3) r(a)') ORDER BY a DESC);
SELECT s.a FROM (SELECT a, count(*) OVER () AS n FROM (SELECT * FROM duckdb.query('SELECT a FROM range(3) r(a)')) i) s WHERE s.n = 3 ORDER BY 1;
WITH c AS (SELECT * FROM duckdb.query('SELECT a FROM range(3) r(a)')), d AS MATERIALIZED (SELECT * FROM duckdb.query('SELECT a * 2 AS a FROM range(3) r(a)')) SELECT c.a, d.a FROM c JOIN d USING (a) ORDER BY 1;
WITH RECURSIVE r(n, a) AS (SELECT 0, a FROM duckdb.query('SELECT 1::BIGINT AS a') UNION ALL SELECT n + 1, r.a + q.a FROM r, duckdb.query('SELECT 2::BIGINT AS a') q WHERE n < 3) SELECT * FROM r ORDER BY 1;
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5 AND EXISTS (SELECT FROM duckdb.query('SELECT 4 AS top') q WHERE r.n < q.top)) SELECT max(n) FROM r;

-- Set operations.
SELECT a FROM duckdb.query('SELECT a FROM range(3) r(a)') UNION SELECT shop_id FROM shops ORDER BY 1;
SELECT a FROM duckdb.query('SELECT a FROM range(3) r(a)') INTERSECT ALL SELECT shop_id FROM shops EXCEPT SELECT a FROM duckdb.query('SELECT 2 AS a') ORDER BY 1;
(SELECT a FROM duckdb.query('SELECT 1 AS a') LIMIT 1) UNION ALL (SELECT b FROM duckdb.query('SELECT 2 AS b') LIMIT 1) ORDER BY 1;
SELECT count(*) FROM (SELECT * FROM duckdb.query('SELECT 1 AS a') UNION ALL SELECT * FROM duckdb.query('SELECT 2 AS a') UNION ALL SELECT * FROM duckdb.query('SELECT 3 AS a') UNION ALL SELECT shop_id FROM shops) u WHERE a >= 2;

-- LATERAL, also from the scan's side.
SELECT q.a, s.name FROM duckdb.query('SELECT a::INT AS a FROM range(1, 3) r(a)') q, LATERAL (SELECT name FROM shops WHERE shop_id = q.a) s ORDER BY 1;
SELECT q.a, g FROM duckdb.query('SELECT a::INT AS a FROM range(1, 3) r(a)') q, LATERAL generate_series(1, q.a) g ORDER BY 1, 2;
SELECT q.a, r.b FROM duckdb.query('SELECT a::INT AS a FROM range(3) r(a)') q, LATERAL duckdb.query('SELECT b FROM range($1) r(b)', q.a) r ORDER BY 1, 2;

-- Whole rows.
SELECT q FROM duckdb.query('SELECT 1 AS a, ''x y'' AS b') q;
SELECT to_jsonb(q), row_to_json(q), q::text, (q).b, (q.*) IS NULL AS is_null FROM duckdb.query('SELECT 1 AS a, ''x'' AS b') q;
SELECT count(q), array_agg(q ORDER BY a), jsonb_agg(q ORDER BY a DESC) FROM duckdb.query('SELECT a, ''x'' || a AS b FROM range(2) r(a)') q;
SELECT q IS NULL AS is_null, q IS NOT NULL AS is_not_null, count(*) FROM duckdb.query('SELECT * FROM (VALUES (NULL, NULL), (1, NULL), (1, 2)) v(a, b)') q GROUP BY 1, 2 ORDER BY 1, 2;
SELECT q = p AS same FROM duckdb.query('SELECT 1 AS a') q, duckdb.query('SELECT 1 AS a') p;
SELECT DISTINCT q FROM duckdb.query('SELECT a // 2 AS a FROM range(4) r(a)') q ORDER BY q;
SELECT s.name, q FROM shops s LEFT JOIN duckdb.query('SELECT 2 AS shop_id, 20 AS total') q USING (shop_id) ORDER BY 1;
SELECT (x.q).b FROM (SELECT q FROM duckdb.query('SELECT 1 AS a, ''x'' AS b') q) x;
SELECT coalesce(q, q) FROM duckdb.query('SELECT 1 AS a') q;
SELECT CASE WHEN a = 1 THEN q END FROM duckdb.query('SELECT 1 AS a') q;
SELECT ARRAY[q, q] FROM duckdb.query('SELECT 1 AS a') q;
SELECT jsonb_build_object('row', q) FROM duckdb.query('SELECT 1 AS a, [1,2] AS l, {x: 1} AS s') q;
SELECT q FROM duckdb.query('SELECT 1 AS a') q UNION ALL SELECT p FROM duckdb.query('SELECT 2 AS a') p ORDER BY 1;
SELECT to_jsonb(q) FROM duckdb.query('SELECT a, ''x'' || a AS b FROM range(3) r(a)') q WHERE a > 0 ORDER BY q.a LIMIT 1;
WITH c AS MATERIALIZED (SELECT q FROM duckdb.query('SELECT 1 AS a') q) SELECT to_jsonb(q) FROM c;
SELECT q, lag(q) OVER (ORDER BY a) FROM duckdb.query('SELECT a FROM range(2) r(a)') q ORDER BY a;

-- FOR UPDATE of the heap table beside.
SELECT s.name FROM shops s JOIN duckdb.query('SELECT 2 AS shop_id') q USING (shop_id) FOR UPDATE OF s;
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT 2 AS shop_id') q FOR UPDATE OF q $$);

-- Where it cannot stand.
SELECT testing.error_of($$ SELECT duckdb.query('SELECT 1 AS a') $$);
SELECT testing.hint_of($$ SELECT duckdb.query('SELECT 1 AS a') $$);
SELECT testing.error_of($$ SELECT (duckdb.query('SELECT 1 AS a')).a $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT ' || '1') $$);
SELECT testing.hint_of($$ SELECT * FROM duckdb.query('SELECT ' || '1') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query(name) FROM shops $$);
SELECT testing.error_of($$ SELECT * FROM shops, duckdb.query(name) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT 1'::text) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query(NULL) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT 1'::duckdb.sql) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT 1 AS a') AS q(a int) $$);
SELECT testing.error_of($$ SELECT * FROM ROWS FROM (duckdb.query('SELECT 1 AS a'), duckdb.query('SELECT 2 AS b')) $$);
SELECT testing.error_of($$ SELECT * FROM ROWS FROM (duckdb.query('SELECT 1 AS a'), generate_series(1, 2)) $$);
SELECT testing.hint_of($$ SELECT * FROM ROWS FROM (duckdb.query('SELECT 1 AS a'), generate_series(1, 2)) $$);
SELECT * FROM ROWS FROM (duckdb.query('SELECT 1 AS a'));
SELECT * FROM duckdb.query('SELECT a FROM range(5, 8) r(a)') WITH ORDINALITY;
SELECT * FROM duckdb.query('SELECT a FROM range(5, 8) r(a)') WITH ORDINALITY AS q(x, n) WHERE n > 1;
SELECT * FROM ROWS FROM (duckdb.query_rows('SELECT a FROM range(2) r(a)') AS (a bigint), duckdb.query_rows('SELECT b FROM range(3) r(b)') AS (b bigint)) WITH ORDINALITY;
SELECT duckdb.query_rows('SELECT 1');
SELECT testing.error_of($$ SELECT * FROM duckdb.query_rows('SELECT 1') $$);

-- Statements that are no queries, and more than one.
SELECT testing.error_of($$ SELECT * FROM duckdb.query('') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('  -- nothing') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT 1; SELECT 2') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('CREATE TABLE x (a INT)') $$);
SELECT testing.sqlstate_of($$ SELECT * FROM duckdb.query('DROP TABLE x') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SET threads = 1') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('COPY (SELECT 1) TO ''/tmp/x.csv''') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('ATTACH '':memory:'' AS x') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('BEGIN') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELEC 1') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT 1) AS q; DROP TABLE x; --') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('FROM no_such_table') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT no_such_column FROM range(1)') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT no_such_function(1)') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT 1::no_such_type') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT ''x''::INT') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT error(''mine'')') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT 1 // 0, 1 % 0') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('FROM ''s3://lake/regress/no_such_file.parquet''') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('FROM ''s3://lake/regress/nothing/*.parquet''') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('FROM ''/no/such/file.csv''') $$);
-- The position of a mistake, in the literal.
SELECT * FROM duckdb.query('SELECT a,
  b FROM (SELECT 1 AS a)');
-- The columns are PostgreSQL's matter.
SELECT q.b FROM duckdb.query('SELECT 1 AS a') q;
SELECT a FROM duckdb.query('SELECT 1 AS a') q WHERE b = 1;
-- After all of these, the session works.
SELECT a FROM duckdb.query('SELECT 1 AS a');
DROP TABLE shops;
