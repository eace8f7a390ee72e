-- EXPLAIN, and the scan beside other plans: parallel workers, JIT, row-level security.
EXPLAIN (COSTS OFF) SELECT * FROM duckdb.query('SELECT 1 AS a');
EXPLAIN (COSTS OFF, VERBOSE) SELECT a + 1 FROM duckdb.query('SELECT 1 AS a') q WHERE a = 1;
SELECT testing.analyze($$ SELECT * FROM duckdb.query('SELECT i FROM range(5000) r(i)') WHERE i >= 4990 $$);
SELECT testing.analyze($$ SELECT * FROM duckdb.query('SELECT i FROM range(5000) r(i)') WHERE i::text LIKE '499_' $$);
SELECT testing.analyze($$ SELECT * FROM duckdb.query('SELECT i FROM range(100000000) r(i)') LIMIT 2 $$);
SELECT testing.analyze($$ SELECT * FROM generate_series(1, 3) g, duckdb.query('SELECT i FROM range($1) r(i)', g) $$);
SELECT testing.analyze($$ SELECT * FROM duckdb.query('SELECT 1 AS a WHERE false') $$);
CREATE FUNCTION pg_temp.explained(options text, statement text) RETURNS text LANGUAGE plpgsql AS $f$
DECLARE result text := ''; line text;
BEGIN
  FOR line IN EXECUTE format('EXPLAIN (%s) %s', options, statement) LOOP result := result || line || E'\n'; END LOOP;
  RETURN result;
END $f$;
-- JSON, XML and YAML are valid whatever the SQL holds.
SELECT options, pg_temp.explained('FORMAT JSON, ' || options, $$ SELECT * FROM duckdb.query('SELECT 1 AS "a""b\c", ''<&>"\'' AS t -- comment') WHERE t <> '"' $$)::json -> 0 -> 'Plan' ->> 'Custom Plan Provider' AS provider
FROM unnest(ARRAY['COSTS OFF', 'VERBOSE', 'ANALYZE', 'ANALYZE, VERBOSE, TIMING OFF']) options;
SELECT j -> 0 -> 'Plan' ->> 'DuckDB SQL' AS sql, j -> 0 -> 'Plan' ->> 'DuckDB Rows' AS rows, jsonb_typeof(j -> 0 -> 'Plan' -> 'DuckDB Rows') AS type, (j -> 0 -> 'Plan') ? 'DuckDB Plan' AS has_plan
FROM CAST(pg_temp.explained('FORMAT JSON, ANALYZE, VERBOSE', $$ SELECT * FROM duckdb.query('SELECT i FROM range(3) r(i)') $$) AS jsonb) j;
SELECT pg_temp.explained('FORMAT XML, VERBOSE', $$ SELECT * FROM duckdb.query('SELECT 1 AS a, ''<&>"\'' AS t') WHERE t <> '<' $$) LIKE '%&lt;&amp;&gt;%' AS xml;
SELECT pg_temp.explained('FORMAT YAML, COSTS OFF', $$ SELECT * FROM duckdb.query('SELECT 1 AS a') $$) LIKE '%
    DuckDB SQL: "SELECT \\"a\\" FROM%' AS yaml;
-- EXPLAIN alone does not run the query.
EXPLAIN (COSTS OFF) SELECT * FROM duckdb.query('SELECT error(''never'') AS a');
-- Values of conditions are not shown; they are parameters.
EXPLAIN (COSTS OFF) SELECT * FROM duckdb.query('SELECT ''x'' AS t') WHERE t IN ('secret', 'x') AND t <> 'also secret';
-- Without pushdown the conditions stay.
SET duckdb.enable_pushdown = off;
EXPLAIN (COSTS OFF) SELECT a FROM duckdb.query('SELECT 1 AS a, 2 AS b') WHERE a = 1 LIMIT 5;
RESET duckdb.enable_pushdown;
-- A function that PostgreSQL itself runs.
EXPLAIN (COSTS OFF) SELECT * FROM duckdb.query('SELECT 1 AS a') WITH ORDINALITY;
EXPLAIN (COSTS OFF) SELECT * FROM duckdb.query_rows('SELECT 1') AS t(a int);

-- Parallel workers beside: the scan stays in the leader.
CREATE TABLE big AS SELECT g AS id, g % 10 AS k FROM generate_series(1, 20000) g;
ANALYZE big;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
SELECT count(*) FROM big b JOIN duckdb.query('SELECT i FROM range(5) r(i)') q ON q.i = b.k;
SELECT string_agg(line, E'\n') ~ 'Gather' AS gathers, string_agg(line, E'\n') ~ 'DuckDB Scan' AS scans FROM unnest(string_to_array(pg_temp.explained('COSTS OFF', 'SELECT count(*) FROM big b JOIN duckdb.query(''SELECT i FROM range(5) r(i)'') q ON q.i = b.k'), E'\n')) line;
SELECT sum(n) FROM (SELECT count(*) AS n FROM big UNION ALL SELECT i FROM duckdb.query('SELECT i FROM range(3) r(i)')) u;
SELECT count(*) FROM big WHERE k IN (SELECT i FROM duckdb.query('SELECT i FROM range(2) r(i)'));
SELECT count(set_config(name, 'on', false)) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT count(*), sum(i) FROM duckdb.query('SELECT i FROM range(1000) r(i)');
SELECT count(*) FROM big b JOIN duckdb.query('SELECT i FROM range(5) r(i)') q ON q.i = b.k;
RESET ALL;
-- JIT.
SET jit = on; SET jit_above_cost = 0; SET jit_inline_above_cost = 0; SET jit_optimize_above_cost = 0;
SELECT k, sum(q.i * 2 + 1), max(q.t) FROM big b JOIN duckdb.query('SELECT i::INT AS i, ''t'' || i AS t FROM range(10) r(i)') q ON q.i = b.k WHERE q.i > 5 AND length(q.t) = 2 GROUP BY k ORDER BY k;
RESET ALL;
DROP TABLE big;

-- Row-level security on a heap table beside, and a policy that queries.
CREATE TABLE guarded (id int, owner name);
INSERT INTO guarded VALUES (1, 'regress_duck_a'), (2, 'regress_duck_b'), (3, 'regress_duck_a');
CREATE ROLE regress_duck_a; CREATE ROLE regress_duck_b;
GRANT SELECT ON guarded TO regress_duck_a, regress_duck_b;
GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql), duckdb.query(duckdb.sql, "any") TO regress_duck_a, regress_duck_b;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON guarded USING (owner = current_user);
SET ROLE regress_duck_a;
SELECT g.id, q.t FROM guarded g JOIN duckdb.query('SELECT i::INT AS id, ''t'' || i AS t FROM range(5) r(i)') q USING (id) ORDER BY 1;
SET ROLE regress_duck_b;
SELECT g.id, q.t FROM guarded g JOIN duckdb.query('SELECT i::INT AS id, ''t'' || i AS t FROM range(5) r(i)') q USING (id) ORDER BY 1;
RESET ROLE;
CREATE POLICY listed ON guarded AS RESTRICTIVE USING (id IN (SELECT a FROM duckdb.query('SELECT 1 AS a UNION ALL SELECT 2')));
SELECT polname, regexp_replace(pg_get_expr(polqual, polrelid), '\s+', ' ', 'g') FROM pg_policy WHERE polrelid = 'guarded'::regclass ORDER BY 1;
SET ROLE regress_duck_a;
SELECT id FROM guarded ORDER BY 1;
-- The same prepared plan serves another role with that role's rows.
PREPARE guarded AS SELECT g.id FROM guarded g JOIN duckdb.query('SELECT i::INT AS id FROM range(5) r(i)') q USING (id) ORDER BY 1;
EXECUTE guarded;
RESET ROLE; SET ROLE regress_duck_b;
EXECUTE guarded;
RESET ROLE;
EXECUTE guarded;
DEALLOCATE guarded;
ALTER POLICY listed ON guarded USING (id = (SELECT max(a) FROM duckdb.query('SELECT 3 AS a') q));
SET ROLE regress_duck_a;
SELECT id FROM guarded ORDER BY 1;
RESET ROLE;

-- Who may run what: the view's owner does not lend the right, a SECURITY DEFINER function does.
CREATE ROLE regress_duck_none;
CREATE VIEW owned AS SELECT * FROM duckdb.query('SELECT 1 AS a');
CREATE FUNCTION lent() RETURNS SETOF bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $f$ SELECT i FROM duckdb.query('SELECT i FROM range(2) r(i)') $f$;
CREATE FUNCTION lent_plpgsql() RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $f$ BEGIN RETURN (SELECT current_user || a FROM duckdb.query('SELECT 1 AS a')); END $f$;
GRANT SELECT ON owned TO regress_duck_none;
PREPARE theirs AS SELECT * FROM duckdb.query('SELECT 1 AS a');
EXECUTE theirs;
SET ROLE regress_duck_none;
SELECT * FROM duckdb.query('SELECT 1 AS a');
SELECT * FROM duckdb.query_rows('SELECT 1') AS t(a int);
SELECT * FROM duckdb.query_by_name('SELECT 1 AS a') AS t(a int);
SELECT * FROM duckdb.read_parquet('s3://lake/regress/setup.parquet');
SELECT * FROM owned;
EXECUTE theirs;
SELECT * FROM lent();
SELECT lent_plpgsql() = session_user || '1' AS as_owner;
SELECT duckdb.execute('SELECT 1');
SELECT * FROM duckdb.describe('SELECT 1 AS a');
SELECT count(*) > 0 FROM duckdb.settings();
RESET ROLE;
DEALLOCATE theirs;
DROP FUNCTION lent, lent_plpgsql; DROP VIEW owned; DROP TABLE guarded;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA duckdb FROM regress_duck_a, regress_duck_b;
DROP ROLE regress_duck_a, regress_duck_b, regress_duck_none;
