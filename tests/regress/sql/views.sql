-- Views: what they hold, and what they survive. Files that change under views and prepared plans.
SET client_min_messages = warning;
SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC';
CREATE VIEW v AS SELECT * FROM duckdb.query('SELECT i::INT AS id, ''n'' || i AS name FROM range(4) r(i)');
SELECT * FROM v WHERE id > 1 ORDER BY 1;
SELECT testing.view_text('v');
SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'v' ORDER BY ordinal_position;
-- A view on views, with joins, aliases and parameters.
CREATE VIEW vv AS SELECT v.name, count(*) AS n FROM v JOIN duckdb.query('SELECT i % 2 AS id FROM range($1) r(i)', 5) q(key) ON v.id = q.key GROUP BY 1;
SELECT * FROM vv ORDER BY 1;
SELECT regexp_replace(pg_get_viewdef('vv'), '\s+', ' ', 'g');
CREATE OR REPLACE VIEW v AS SELECT * FROM duckdb.query('SELECT i::INT AS id, ''m'' || i AS name, i * 10 AS ten FROM range(4) r(i)');
SELECT * FROM v ORDER BY 1;
SELECT * FROM vv ORDER BY 1;
SELECT testing.error_of($$ CREATE OR REPLACE VIEW v AS SELECT * FROM duckdb.query('SELECT ''x'' AS id') $$);
CREATE TEMP VIEW tv AS SELECT * FROM duckdb.query('SELECT 1 AS a');
CREATE RECURSIVE VIEW rv (n) AS SELECT 1 UNION ALL SELECT n + 1 FROM rv, duckdb.query('SELECT 3 AS top') q WHERE n < q.top;
SELECT max(n) FROM rv;
CREATE VIEW checked WITH (security_barrier) AS SELECT * FROM duckdb.query('SELECT a FROM range(5) r(a)') WHERE a < 3;
SELECT count(*) FROM checked;
DROP VIEW checked, rv, vv;
CREATE VIEW unioned AS SELECT id FROM v UNION ALL SELECT * FROM duckdb.query('SELECT 100 AS id');
SELECT max(id) FROM unioned;
DROP VIEW unioned;

-- The text of each view makes the same view again, as after a dump.
CREATE SCHEMA kept;
CREATE VIEW kept.types AS SELECT * FROM duckdb.query($$ SELECT 1.5::DECIMAL(10,2) AS "the price", [1] AS l, {a: 1} AS s, 'it''s' AS t, NULL AS n, TIMESTAMPTZ '2024-01-01 00:00:00+00' AS ts, [1.5] AS d, '1'::BIT AS b $$);
CREATE VIEW kept.params AS SELECT q.x AS y, q.* FROM duckdb.query('SELECT $1 AS a, $2 AS b', 1, 'x'::text) AS q(x);
CREATE TABLE shops (shop_id int, name text);
INSERT INTO shops VALUES (1, 'north');
CREATE VIEW kept.renamed AS SELECT * FROM shops JOIN duckdb.query('SELECT 1 AS shop_id, ''x'' AS name, 2 AS other') q(shop_id, title) USING (shop_id) FULL JOIN duckdb.query('SELECT 1 AS shop_id, 7 AS seven') r USING (shop_id);
ALTER TABLE shops RENAME COLUMN shop_id TO number;
CREATE VIEW kept.readers AS SELECT a FROM duckdb.read_parquet('s3://lake/regress/setup.parquet', filename => true);
CREATE VIEW kept.ordinal AS SELECT * FROM duckdb.query('SELECT 1 AS a') WITH ORDINALITY;
CREATE VIEW kept.whole AS SELECT to_jsonb(q) AS j FROM duckdb.query('SELECT 1 AS a, 2 AS b') q;
CREATE VIEW kept.sublinks AS SELECT (SELECT max(a) FROM duckdb.query('SELECT 1 AS a') q) AS m WHERE EXISTS (SELECT FROM duckdb.query('SELECT 1 AS b'));
CREATE MATERIALIZED VIEW kept.mat AS SELECT * FROM duckdb.query('SELECT 1 AS a');
DO $f$
DECLARE v record; before text; after text;
BEGIN
  FOR v IN SELECT c.oid::regclass::text AS name, c.relkind FROM pg_class c WHERE relnamespace = 'kept'::regnamespace ORDER BY 1 LOOP
    before := pg_get_viewdef(v.name::regclass);
    EXECUTE format('DROP %s VIEW %s', CASE v.relkind WHEN 'm' THEN 'MATERIALIZED' ELSE '' END, v.name);
    EXECUTE format('CREATE %s VIEW %s AS %s', CASE v.relkind WHEN 'm' THEN 'MATERIALIZED' ELSE '' END, v.name, before);
    after := pg_get_viewdef(v.name::regclass);
    RAISE WARNING '% %', v.name, CASE WHEN before = after THEN 'is the same' ELSE before || after END;
  END LOOP;
END $f$;
\x
SELECT * FROM kept.types;
\x
SELECT * FROM kept.params; SELECT * FROM kept.renamed; SELECT * FROM kept.readers; SELECT * FROM kept.ordinal; SELECT * FROM kept.whole; SELECT * FROM kept.sublinks; SELECT * FROM kept.mat;
-- Nothing of the view needs the lake when it is made from such a text.
CREATE VIEW kept.gone AS SELECT * FROM duckdb.query_by_name('FROM ''s3://lake/regress/gone.parquet''') AS q(a int);
SELECT testing.error_of('SELECT * FROM kept.gone');
DROP SCHEMA kept CASCADE;
DROP TABLE shops;

-- A file that changes under a view and under a prepared plan.
SELECT duckdb.execute($$ COPY (SELECT 1::INT AS a, 'x' AS b, 2.5::DECIMAL(4,1) AS c) TO 's3://lake/regress/drift.parquet' $$);
CREATE VIEW drift AS SELECT * FROM duckdb.query('FROM ''s3://lake/regress/drift.parquet''');
PREPARE drift AS SELECT * FROM duckdb.query('FROM ''s3://lake/regress/drift.parquet''');
PREPARE drift_a AS SELECT a FROM drift;
PREPARE drift_where AS SELECT b FROM drift WHERE a = 1;
SET plan_cache_mode = force_generic_plan;
EXECUTE drift; EXECUTE drift_a; EXECUTE drift_where;
CREATE FUNCTION pg_temp.drifted(change text, OUT view text, OUT prepared text, OUT prepared_a text, OUT prepared_where text) LANGUAGE plpgsql AS $f$
BEGIN
  PERFORM duckdb.execute(format('COPY (%s) TO ''s3://lake/regress/drift.parquet''', change));
  BEGIN SELECT string_agg(d::text, ' ') INTO view FROM drift d; EXCEPTION WHEN OTHERS THEN view := SQLSTATE; END;
  prepared := testing.sqlstate_of('EXECUTE drift'); prepared_a := testing.sqlstate_of('EXECUTE drift_a'); prepared_where := testing.sqlstate_of('EXECUTE drift_where');
END $f$;
-- Columns are found by name: a new one, another order, one that nobody asked for that is gone.
SELECT * FROM pg_temp.drifted($$ SELECT 1::INT AS a, 'x' AS b, 2.5::DECIMAL(4,1) AS c, 'new' AS d $$);
SELECT * FROM pg_temp.drifted($$ SELECT 2.5::DECIMAL(4,1) AS c, 'x' AS b, 1::INT AS a $$);
SELECT * FROM pg_temp.drifted($$ SELECT 1::INT AS a, 'x' AS b $$);
SELECT * FROM pg_temp.drifted($$ SELECT 'x' AS b, 2.5::DECIMAL(4,1) AS c $$);
-- Another type of a column.
SELECT * FROM pg_temp.drifted($$ SELECT 'text' AS a, 'x' AS b, 2.5::DECIMAL(4,1) AS c $$);
SELECT * FROM pg_temp.drifted($$ SELECT 1::BIGINT AS a, 'x' AS b, 2.5::DECIMAL(4,1) AS c $$);
SELECT * FROM pg_temp.drifted($$ SELECT 1::SMALLINT AS a, 'x' AS b, 2.5::DECIMAL(4,1) AS c $$);
SELECT * FROM pg_temp.drifted($$ SELECT 1::INT AS a, 7 AS b, 2.5::DECIMAL(4,1) AS c $$);
SELECT * FROM pg_temp.drifted($$ SELECT 1::INT AS a, 'x' AS b, 12345.678::DECIMAL(10,3) AS c $$);
SELECT * FROM pg_temp.drifted($$ SELECT 1::INT AS a, 'x' AS b, 2.5::DOUBLE AS c $$);
SELECT * FROM pg_temp.drifted($$ SELECT 1.4::DOUBLE AS a, 'x' AS b, 2.5::DECIMAL(4,1) AS c $$);
SELECT * FROM pg_temp.drifted($$ SELECT [1] AS a, ['x'] AS b, {c: 1} AS c $$);
SELECT * FROM pg_temp.drifted($$ SELECT 1::INT AS "A", 'x' AS "B", 2.5::DECIMAL(4,1) AS "C" $$);
-- As it was: all work again.
SELECT * FROM pg_temp.drifted($$ SELECT 1::INT AS a, 'x' AS b, 2.5::DECIMAL(4,1) AS c $$);
-- The words of the errors.
SELECT duckdb.execute($$ COPY (SELECT 'text' AS a, 'x' AS b) TO 's3://lake/regress/drift.parquet' $$);
EXECUTE drift_a;
SELECT c FROM drift;
SELECT count(*) FROM drift;
RESET plan_cache_mode;
DEALLOCATE ALL;
DROP VIEW drift;

-- query_rows goes by position.
SELECT * FROM duckdb.query_rows('SELECT 1 AS b, ''x'' AS a') AS t(a int, b text);
SELECT * FROM duckdb.query_by_name('SELECT 1 AS b, ''x'' AS a') AS t(a text, b int);
SELECT testing.error_of($$ SELECT * FROM duckdb.query_rows('SELECT 1 AS b, ''x'' AS a') AS t(a text, b int) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query_rows('SELECT 1 AS b') AS t(a int, b int) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query_rows('SELECT 1 AS a, 2 AS b') AS t(a int) $$);
SELECT testing.error_of($$ SELECT b FROM duckdb.query_rows('SELECT 1 AS a, 2 AS b') AS t(b bigint) $$);
SELECT testing.error_of($$ SELECT a FROM duckdb.query_by_name('SELECT 1 AS b') AS t(a int) $$);
SELECT count(*) FROM duckdb.query_rows('SELECT 1 AS b UNION ALL SELECT 2') AS t(a int);
SELECT * FROM duckdb.query_rows(NULL) AS t(a int);
SELECT * FROM duckdb.query_rows('SELECT 1' || '0') AS t(a int);
SELECT * FROM duckdb.query_rows((SELECT 'SELECT ' || string_agg(g::text, ' + ') FROM generate_series(1, 4) g)) AS t(a int);
SELECT s.n, t.a FROM (VALUES (1, 'SELECT 1'), (2, 'SELECT 2 UNION ALL SELECT 3'), (3, NULL)) s(n, sql), duckdb.query_rows(s.sql) AS t(a int) ORDER BY 1, 2;
SELECT s.n, t.a FROM (VALUES (1, 'SELECT 1'), (2, 'SELECT 2 WHERE false'), (3, NULL)) s(n, sql) LEFT JOIN LATERAL duckdb.query_rows(s.sql) AS t(a int) ON true ORDER BY 1, 2;
DROP VIEW v;
