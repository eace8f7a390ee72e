-- Functions of every kind, DO blocks, procedures, cursors, transactions.
SET DateStyle = 'ISO, YMD';

-- SQL functions: as text, BEGIN ATOMIC, RETURN.
CREATE FUNCTION f_sql(n int) RETURNS TABLE (i bigint) LANGUAGE sql AS $f$ SELECT i FROM duckdb.query('SELECT i FROM range($1) r(i)', n) $f$;
SELECT * FROM f_sql(3); SELECT * FROM f_sql(2);
CREATE FUNCTION f_scalar() RETURNS bigint LANGUAGE sql STABLE AS $f$ SELECT sum(i)::bigint FROM duckdb.query('SELECT i FROM range(5) r(i)') $f$;
SELECT f_scalar(), f_scalar();
CREATE FUNCTION f_atomic(n int) RETURNS TABLE (i bigint, name text) LANGUAGE sql BEGIN ATOMIC SELECT q.i, q.name FROM duckdb.query('SELECT i, ''n'' || i AS name FROM range(10) r(i)') q WHERE q.i < n; END;
SELECT * FROM f_atomic(2);
SELECT regexp_replace(prosrc || pg_get_function_sqlbody(oid), '\s+', ' ', 'g') FROM pg_proc WHERE proname = 'f_atomic';
CREATE FUNCTION f_return() RETURNS bigint LANGUAGE sql RETURN (SELECT max(i) FROM duckdb.query('SELECT i FROM range(5) r(i)'));
SELECT f_return();
CREATE FUNCTION f_atomic_params(n int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM duckdb.query('SELECT i FROM range($1) r(i)', n) q; END;
SELECT f_atomic_params(7);
CREATE FUNCTION f_atomic_types(t text, d date, n numeric(6,2), a int[]) RETURNS TABLE (t2 text, d2 date, n2 numeric, a2 int[], e int) LANGUAGE sql BEGIN ATOMIC SELECT q.t, q.d, q.n, q.a, q.e FROM duckdb.query('SELECT ''<'' || $1 || ''>'' AS t, $2 + 1 AS d, $3 AS n, $4 AS a, $4[1] + 1 AS e', t, d, n, a) q; END;
SELECT * FROM f_atomic_types('x', '2024-02-28', 1.5, '{1,2}');
CREATE FUNCTION f_return_types(t text) RETURNS text LANGUAGE sql RETURN (SELECT q.t FROM duckdb.query('SELECT upper($1) AS t', f_return_types.t || '!') q);
SELECT f_return_types('x');
CREATE FUNCTION f_two() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a FROM duckdb.query('SELECT 1 AS a'); SELECT b FROM duckdb.query('SELECT 2 AS b') WHERE b IN (SELECT c FROM duckdb.query('SELECT 2 AS c')); END;
SELECT f_two();
CREATE FUNCTION f_reader() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM duckdb.read_parquet('s3://lake/regress/setup.parquet'); END;
SELECT f_reader();
CREATE FUNCTION f_inlined(n bigint) RETURNS TABLE (i bigint) LANGUAGE sql STABLE AS $f$ SELECT i FROM duckdb.query('SELECT i FROM range(100) r(i)') WHERE i < n $f$;
EXPLAIN (COSTS OFF) SELECT * FROM f_inlined(3);
SELECT count(*) FROM f_inlined(3);
CREATE FUNCTION f_row() RETURNS SETOF record LANGUAGE sql AS $f$ SELECT * FROM duckdb.query('SELECT 1 AS a, ''x'' AS b') $f$;
SELECT * FROM f_row() AS t(a int, b text);
CREATE TYPE pair AS (a int, b text);
CREATE FUNCTION f_pair() RETURNS SETOF pair LANGUAGE sql AS $f$ SELECT * FROM duckdb.query('SELECT 1 AS a, ''x'' AS b') $f$;
SELECT (f_pair()).*;
CREATE FUNCTION f_out(OUT a int, OUT b text) LANGUAGE sql AS $f$ SELECT * FROM duckdb.query('SELECT 1 AS a, ''x'' AS b') $f$;
SELECT f_out();
SELECT testing.error_of($$ CREATE FUNCTION f_wrong() RETURNS int LANGUAGE sql AS 'SELECT * FROM duckdb.query(''SELECT ''''x'''' AS a'')' $$);

-- PL/pgSQL: loops, assignments, exceptions, EXECUTE, cursors, RETURN QUERY.
CREATE FUNCTION f_plpgsql(n int) RETURNS TABLE (i bigint, note text) LANGUAGE plpgsql AS $f$
DECLARE
  r record; total numeric := 0; c CURSOR (top bigint) FOR SELECT q.i AS j FROM duckdb.query('SELECT i FROM range(10) r(i)') q WHERE q.i < top ORDER BY 1; unbound refcursor; a bigint[]; v bigint;
BEGIN
  FOR r IN SELECT q.i AS j, q.t FROM duckdb.query('SELECT i, ''t'' || i AS t FROM range($1) r(i)', n) q LOOP
    i := r.j; note := 'loop ' || r.t; RETURN NEXT;
    FOR v IN SELECT q.i FROM duckdb.query('SELECT i FROM range($1) r(i)', r.j) q LOOP total := total + v; END LOOP;
  END LOOP;
  i := total; note := 'nested'; RETURN NEXT;
  FOR r IN c(2) LOOP i := r.j; note := 'cursor'; RETURN NEXT; END LOOP;
  OPEN c(5); FETCH c INTO i; MOVE NEXT FROM c; FETCH c INTO i; CLOSE c; note := 'fetched'; RETURN NEXT;
  OPEN unbound FOR SELECT q.a FROM duckdb.query('SELECT 7::BIGINT AS a') q; FETCH unbound INTO i; CLOSE unbound; note := 'unbound'; RETURN NEXT;
  EXECUTE 'SELECT q.a + $1 FROM duckdb.query(''SELECT 1 AS a'') q' INTO i USING n; note := 'execute'; RETURN NEXT;
  a := ARRAY(SELECT q.i FROM duckdb.query('SELECT i FROM range(3) r(i)') q); i := a[3]; note := 'assigned'; RETURN NEXT;
  i := (SELECT max(q.i) FROM duckdb.query('SELECT i FROM range($1) r(i)', n) q); note := 'expression'; RETURN NEXT;
  IF EXISTS (SELECT FROM duckdb.query('SELECT 1 AS a')) THEN note := 'if'; RETURN NEXT; END IF;
  BEGIN
    PERFORM * FROM duckdb.query('SELECT error(''stop'') AS a');
  EXCEPTION WHEN invalid_parameter_value THEN
    GET STACKED DIAGNOSTICS note = PG_EXCEPTION_DETAIL; RETURN NEXT;
  END;
  BEGIN
    FOR r IN SELECT * FROM duckdb.query('SELECT i, CASE WHEN i > 5000 THEN error(''late'') END AS e FROM range(100000) r(i)') LOOP NULL; END LOOP;
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS note = PG_EXCEPTION_DETAIL; RETURN NEXT;
  END;
  BEGIN
    EXECUTE 'SELECT * FROM duckdb.query(''FROM nowhere'')';
  EXCEPTION WHEN undefined_table THEN note := 'undefined_table'; RETURN NEXT;
  END;
  FOR r IN SELECT * FROM duckdb.query('SELECT i FROM range(1000000) r(i)') LOOP EXIT WHEN r.i = 3; END LOOP; i := r.i; note := 'exit'; RETURN NEXT;
  RETURN QUERY SELECT q.i, q.t FROM duckdb.query('SELECT 1::BIGINT AS i, ''query'' AS t') q;
  RETURN QUERY EXECUTE 'SELECT * FROM duckdb.query(''SELECT 2::BIGINT AS i, ''''query execute'''' AS t'')';
END $f$;
SELECT * FROM f_plpgsql(3);
SELECT note, i FROM f_plpgsql(2) WHERE note LIKE 'ex%';

-- SECURITY DEFINER and procedures; a procedure may commit between scans.
CREATE TABLE log (n bigint);
CREATE PROCEDURE p(top int) LANGUAGE plpgsql AS $f$
DECLARE r record;
BEGIN
  FOR r IN SELECT * FROM duckdb.query('SELECT i FROM range($1) r(i)', top) LOOP
    INSERT INTO log VALUES (r.i);
    COMMIT;
  END LOOP;
  INSERT INTO log SELECT * FROM duckdb.query('SELECT 100');
  ROLLBACK;
END $f$;
CALL p(3);
SELECT * FROM log ORDER BY 1;
CREATE PROCEDURE p_sql(n bigint) LANGUAGE sql AS $f$ INSERT INTO log SELECT a + n FROM duckdb.query('SELECT 1000::BIGINT AS a') $f$;
CALL p_sql(f_scalar());
SELECT max(n) FROM log;
DO $f$ BEGIN PERFORM * FROM duckdb.query('SELECT 1 AS a'); RAISE NOTICE 'done %', (SELECT b FROM duckdb.query('SELECT 2 AS b')); END $f$;

-- Cursors: forward, SCROLL, WITH HOLD, two at once, left open.
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM duckdb.query('SELECT i FROM range(5000) r(i)');
DECLARE d SCROLL CURSOR FOR SELECT * FROM duckdb.query('SELECT i * 10 AS i FROM range(5) r(i)');
FETCH 2 FROM c; FETCH 2 FROM d; FETCH 1 FROM c; FETCH PRIOR FROM d; FETCH LAST FROM d; FETCH FIRST FROM d; FETCH ABSOLUTE 3 FROM d; FETCH RELATIVE -2 FROM d; FETCH BACKWARD ALL FROM d;
MOVE 4900 FROM c; FETCH 1 FROM c;
MOVE ALL FROM c; FETCH NEXT FROM c;
CLOSE c;
DECLARE left_open CURSOR FOR SELECT * FROM duckdb.query('SELECT i FROM range(1000000) r(i)');
FETCH 1 FROM left_open;
COMMIT;
-- Backwards needs SCROLL.
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM duckdb.query('SELECT i FROM range(5) r(i)');
FETCH 2 FROM c;
FETCH PRIOR FROM c;
ROLLBACK;
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT * FROM duckdb.query('SELECT i, ''h'' || i AS t FROM range(3) r(i)');
FETCH 1 FROM h;
COMMIT;
FETCH ALL FROM h; FETCH FIRST FROM h;
CLOSE h;
DECLARE hs SCROLL CURSOR WITH HOLD FOR SELECT * FROM duckdb.query('SELECT i FROM range(3) r(i)');
FETCH LAST FROM hs; FETCH PRIOR FROM hs; CLOSE hs;
-- A cursor that outlives the subtransaction that opened it dies with its abort; others go on.
BEGIN;
DECLARE o CURSOR FOR SELECT * FROM duckdb.query('SELECT i FROM range(5) r(i)');
FETCH 1 FROM o;
SAVEPOINT s;
DECLARE i CURSOR FOR SELECT * FROM duckdb.query('SELECT i FROM range(5) r(i)');
FETCH 1 FROM i; FETCH 1 FROM o;
ROLLBACK TO s;
FETCH 1 FROM o;
COMMIT;

-- Savepoints around failures.
BEGIN;
INSERT INTO log VALUES (1);
SAVEPOINT a;
SELECT * FROM duckdb.query('FROM nowhere');
ROLLBACK TO a;
SELECT * FROM duckdb.query('SELECT 1 AS works');
SAVEPOINT b;
SELECT * FROM duckdb.query('SELECT (300 + i)::TINYINT AS x FROM range(5) r(i)');
ROLLBACK TO b;
SELECT works FROM duckdb.query('SELECT 2 AS works');
SELECT q.nothing FROM duckdb.query('SELECT 3 AS works') q;
SELECT 1;
COMMIT;
SELECT works FROM duckdb.query('SELECT 4 AS works');

-- READ ONLY, isolation levels.
BEGIN READ ONLY; SELECT * FROM duckdb.query('SELECT 1 AS a'); SELECT duckdb.execute('CREATE TABLE never AS SELECT 1 AS a'); ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT * FROM duckdb.query('SELECT 1 AS a'); COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY DEFERRABLE; SELECT * FROM duckdb.query('SELECT 1 AS a'); COMMIT;
SELECT count(*) FROM duckdb.query('FROM duckdb_tables() WHERE table_name = ''never''');

DROP TABLE log; DROP PROCEDURE p, p_sql; DROP FUNCTION f_sql, f_scalar, f_atomic, f_return, f_atomic_params, f_atomic_types, f_return_types, f_two, f_reader, f_inlined, f_row, f_pair, f_out, f_plpgsql; DROP TYPE pair;
