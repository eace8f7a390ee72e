-- What the library's hooks let through is not changed by it: other statements' errors above all.
LOAD 'pg_pond';
CREATE FUNCTION hooks_fails(integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE 'no %', $1 USING ERRCODE = 'P0042', TABLE = 'there', DETAIL = 'why'; END $$;
\set SHOW_CONTEXT never
DO $$
DECLARE
  state text; context text; relation text; detail text;
BEGIN
  PERFORM hooks_fails(1);
EXCEPTION WHEN SQLSTATE 'P0042' THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, context = PG_EXCEPTION_CONTEXT, relation = TABLE_NAME, detail = PG_EXCEPTION_DETAIL;
  RAISE INFO '% | % | % | %', state, relation, detail, split_part(context, E'\n', 1);
END $$;
-- A condition above a scan of DuckDB's.
DO $$
DECLARE
  state text; context text;
BEGIN
  PERFORM 1 FROM duckdb.query('SELECT 1 AS a') q WHERE hooks_fails(q.a) = 1;
EXCEPTION WHEN SQLSTATE 'P0042' THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, context = PG_EXCEPTION_CONTEXT;
  RAISE INFO '% | %', state, split_part(context, E'\n', 1);
END $$;
DROP FUNCTION hooks_fails;
