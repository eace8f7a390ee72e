-- Arguments of duckdb.query and duckdb.query_rows: every type, NULLs, expressions, plans.
SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = 'America/New_York';

-- Each type keeps its value: what DuckDB returns for $1 is what it was given.
CREATE TYPE pg_temp.mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE shop AS (id int, name text);
CREATE DOMAIN pg_temp.positive AS int CHECK (VALUE > 0);
CREATE FUNCTION pg_temp.round_trip(value text, type text, OUT duckdb_type text, OUT kept boolean, OUT returned text) LANGUAGE plpgsql AS $f$
BEGIN
  EXECUTE format($$ SELECT t, v IS NOT DISTINCT FROM %1$L::%2$s, v::text FROM duckdb.query('SELECT $1 AS v, typeof($1) AS t', %1$L::%2$s) $$, value, type)
  INTO duckdb_type, kept, returned;
END $f$;
SELECT type, value, (pg_temp.round_trip(value, type)).* FROM (VALUES
  (1, 'boolean', 'true'), (2, 'smallint', '-32768'), (3, 'integer', '-2147483648'), (4, 'bigint', '9223372036854775807'),
  (5, 'real', '3.4028235e+38'), (6, 'real', 'NaN'), (7, 'double precision', '-Infinity'), (8, 'double precision', '5e-324'),
  (10, 'numeric(10,4)', '-0.0500'), (11, 'numeric', '-0.05'), (12, 'numeric', '123456789012345678901234567890.12345678'), (13, 'numeric', '99999999999999999999999999999999999999'), (14, 'numeric', '1e-37'), (15, 'numeric(5,-2)', '12300'), (16, 'numeric', '0'),
  (20, 'text', 'aé€🦆'), (21, 'text', ''), (22, 'varchar(5)', 'abc'), (24, 'name', 'a name'), (25, '"char"', 'x'),
  (30, 'bytea', '\x0061ff'), (31, 'bytea', '\x'), (32, 'uuid', 'ffffffff-0000-0000-0000-000000000001'), (33, 'uuid', '00000000-0000-0000-0000-000000000000'),
  (34, 'bit varying', '10101'), (35, 'bit(9)', '000000001'),
  (40, 'date', 'infinity'), (41, 'date', '-infinity'), (42, 'date', '4714-11-24 BC'), (43, 'date', '5874897-12-31'), (44, 'date', '1999-12-31'),
  (50, 'timestamp', '2024-02-29 12:34:56.789012'), (51, 'timestamp', 'infinity'), (52, 'timestamp', '-infinity'), (53, 'timestamp', '4714-11-24 00:00:00 BC'),
  (54, 'timestamptz', '2024-03-10 12:34:56.789012+00'), (55, 'timestamptz', 'infinity'), (60, 'time', '24:00:00'), (61, 'time', '12:34:56.789012'), (62, 'timetz', '12:34:56-05:30'), (63, 'timetz', '00:00:00+15:59:59'),
  (70, 'interval', '-1 years -2 mons 3 days -04:05:06.000007'), (71, 'interval', '0'),
  (90, 'int[]', '{1,NULL,-3}'), (91, 'int[]', '{}'), (92, 'int[]', '{{1,2},{3,NULL}}'), (93, 'text[]', '{a,NULL,"","x,y"}'), (94, 'numeric(6,2)[]', '{1.50,NULL}'), (95, 'float8[]', '{NaN,Infinity,-Infinity,NULL}'), (96, 'date[]', '{infinity,2000-01-01,NULL}'),
  (97, 'uuid[]', '{00000000-0000-0000-0000-000000000001,NULL}'), (98, 'boolean[]', '{t,f,NULL}'), (99, 'timestamptz[]', '{"2024-03-10 12:00:00+00",NULL}'), (100, 'bytea[]', '{"\\x00",NULL}'), (101, 'interval[]', '{"1 mon","-1 day"}')
) v(i, type, value) ORDER BY i;
-- Types that come back as another one: their text, and the type that DuckDB sees.
CREATE FUNCTION pg_temp.text_of(value text, type text) RETURNS text LANGUAGE plpgsql AS $f$
DECLARE result text;
BEGIN
  EXECUTE format($$ SELECT t || ' [' || v::text || ']' FROM duckdb.query('SELECT $1 AS v, typeof($1) AS t', %L::%s) $$, value, type) INTO result;
  RETURN result;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $f$;
SELECT type, value, pg_temp.text_of(value, type) FROM (VALUES (1, 'char(5)', 'ab'), (2, 'pg_temp.mood', 'ok'), (3, 'pg_temp.positive', '7'), (4, 'inet', '10.0.0.1/24'), (5, 'money', '1.50'), (6, 'oid', '4294967295'), (7, 'macaddr', '08:00:2b:01:02:03'), (8, 'regclass', 'pg_class'), (9, 'tsvector', 'a b'), (10, 'point', '(1,2)'), (11, 'json', '{"a": [1.50, null]}'), (19, 'jsonb', '{"a": [1.50, null]}'), (12, 'int4range', '[1,2)'), (13, 'shop', '(1,north)'), (14, 'char(5)[]', '{ab}'), (15, 'pg_temp.mood[]', '{ok,NULL}'), (16, 'jsonb[]', '{1}'), (17, 'varchar(3)', 'abc'), (18, 'shop[]', '{"(1,x)",NULL}')) c(i, type, value) ORDER BY i;

-- NULL of every type is NULL, with its type.
SELECT a, b, c, d, e, f, pg_typeof(a), pg_typeof(b), pg_typeof(c), pg_typeof(d), pg_typeof(e), pg_typeof(f)
FROM duckdb.query('SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e, $6 AS f', NULL::int, NULL::text, NULL::numeric(5,2), NULL::date, NULL::int[], NULL::boolean);
SELECT a, pg_typeof(a) FROM duckdb.query('SELECT $1 AS a', NULL);

-- Expressions with parameters, and parameters that are expressions.
SELECT a, pg_typeof(a) FROM duckdb.query('SELECT $1 + 1 AS a', 41);
SELECT a, pg_typeof(a) FROM duckdb.query('SELECT $1 + 1 AS a', 41::bigint);
SELECT a, pg_typeof(a) FROM duckdb.query('SELECT $1 + 1 AS a', 41.5::float8);
SELECT a, pg_typeof(a) FROM duckdb.query('SELECT $1 || ''x'' AS a', 'literal');
SELECT a, b FROM duckdb.query('SELECT $2[1] || $1 AS a, $3.name || ''!'' AS b', 'e'::text, ARRAY['s', upper('t')], row(1, 'n')::shop);
SELECT j, pg_typeof(j), k FROM duckdb.query('SELECT $1 AS j, {a: $1} AS k', '{"b":[1]}'::jsonb);
SELECT a FROM duckdb.query('SELECT $2 || $1 || $2 AS a', 'in', 'out');
SELECT a, b FROM duckdb.query('SELECT upper($1) AS a, $2 * 2 AS b', lower('ABC'), 20 + 1);
SELECT i FROM duckdb.query('SELECT i FROM range(10) r(i) WHERE i >= $1 AND i < $2', 3, 5);
SELECT i FROM duckdb.query('SELECT i FROM range(10) r(i) WHERE i IN (SELECT unnest($1))', ARRAY[2, 3]) ORDER BY 1;
SELECT i FROM duckdb.query('SELECT i FROM range(10) r(i) LIMIT $1', 2);
SELECT i FROM duckdb.query('SELECT i FROM range($1) r(i)', 2);
SELECT d FROM duckdb.query('SELECT DATE ''2024-01-01'' + $1 AS d', '1 month'::interval);
SELECT a, b FROM duckdb.query('SELECT ? AS a, ? AS b', 1, 'x');
SELECT a FROM duckdb.query('SELECT a FROM (VALUES (1, ''$1''), (2, ''x'')) v(a, b) WHERE b = ''$1''');

-- Numbers of arguments that do not fit, and other mistakes.
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $1 AS a') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $1 AS a, $2 AS b', 1) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $1 AS a', 1, 2) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT 1 AS a', 1) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $name AS a', 1) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $1 + 1 AS a', 'x') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $1::DATE AS a', 'yesterday-ish') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $1 AS a', int4range(1, 2)) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $1 AS a', VARIADIC ARRAY[1]) $$);
-- Values that DuckDB cannot hold.
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $1 AS a', 'NaN'::numeric) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $1 AS a', 'Infinity'::numeric) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $1 AS a', 1e38::numeric) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $1 AS a', 1.23456789e-45::numeric) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $1 AS a', '294276-12-31 23:59:59'::timestamp) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $1 AS a', '[2:3]={1,2}'::int[]) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT $1 AS a', row(1, 'x')) $$);

-- Text is data, never SQL.
SELECT a FROM duckdb.query('SELECT $1 AS a', '''; DROP TABLE x; --');

-- Prepared statements: six executions and more, as the planner likes and in both modes.
PREPARE add_one(int, text) AS SELECT a, b FROM duckdb.query('SELECT $1 + 1 AS a, $2 AS b', $1, $2) WHERE a > $1;
EXECUTE add_one(1, 'a'); EXECUTE add_one(2, NULL); EXECUTE add_one(3, 'c'); EXECUTE add_one(4, 'd'); EXECUTE add_one(5, 'e'); EXECUTE add_one(6, 'f'); EXECUTE add_one(NULL, 'g'); EXECUTE add_one(8, 'h');
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE add_one(1, 'a');
EXECUTE add_one(10, 'x'); EXECUTE add_one(11, NULL);
SET plan_cache_mode = force_custom_plan;
EXPLAIN (COSTS OFF) EXECUTE add_one(1, 'a');
EXECUTE add_one(10, 'x'); EXECUTE add_one(11, NULL);
RESET plan_cache_mode;
-- Of a condition that is pushed down, and of the LIMIT.
PREPARE limited(int, bigint, bigint) AS SELECT i FROM duckdb.query('SELECT i::INT AS i FROM range(100) r(i)') WHERE i >= $1 LIMIT $2 OFFSET $3;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE limited(1, 2, 3);
EXECUTE limited(10, 2, 1); EXECUTE limited(98, NULL, NULL); EXECUTE limited(NULL, 1, 0); EXECUTE limited(10, 0, 0);
SELECT testing.error_of('EXECUTE limited(10, -1, 0)');
SET plan_cache_mode = force_custom_plan;
EXECUTE limited(10, 2, 1); EXECUTE limited(98, NULL, NULL); EXECUTE limited(NULL, 1, 0);
RESET plan_cache_mode;
-- Types inferred by PREPARE: a parameter of a polymorphic argument is text.
PREPARE untyped AS SELECT a, pg_typeof(a) FROM duckdb.query('SELECT $1 AS a', $1);
EXECUTE untyped('x');
-- EXPLAIN EXECUTE, then EXECUTE.
PREPARE twice(date) AS SELECT d FROM duckdb.query('SELECT $1 + 1 AS d', $1);
EXPLAIN (COSTS OFF, VERBOSE) EXECUTE twice('2024-01-01');
EXECUTE twice('2024-01-01');
DEALLOCATE ALL;

-- PL/pgSQL variables.
DO $f$
DECLARE
  low int := 3; high numeric := 5.5; label text := 'n'; r record; total bigint := 0; days date[] := ARRAY['2024-01-01'::date];
BEGIN
  FOR r IN SELECT * FROM duckdb.query($$ SELECT $3 || i AS name, i FROM range(10) q(i) WHERE i BETWEEN $1 AND $2 ORDER BY i $$, low, high, label) LOOP
    RAISE NOTICE '% %', r.name, r.i;
  END LOOP;
  FOR n IN 1..8 LOOP
    SELECT total + q.s INTO total FROM duckdb.query('SELECT sum(i)::BIGINT AS s FROM range($1) r(i)', n) q;
  END LOOP;
  RAISE NOTICE 'total %', total;
  SELECT q.d INTO r FROM duckdb.query('SELECT $1[1] AS d', days) q;
  RAISE NOTICE 'first day %', r.d;
END $f$;

-- LATERAL: one scan for each row of the table.
CREATE TEMP TABLE bounds (id int, low int, high int, word text);
INSERT INTO bounds VALUES (1, 0, 3, 'a'), (2, 5, 5, 'b'), (3, NULL, 2, 'c'), (4, 8, 20, NULL);
SELECT b.id, q.i, q.w FROM bounds b, LATERAL duckdb.query('SELECT i, $3 AS w FROM range(10) r(i) WHERE i >= $1 AND i < $2', b.low, b.high, b.word) q ORDER BY 1, 2;
SELECT b.id, q.i FROM bounds b LEFT JOIN LATERAL duckdb.query('SELECT i FROM range(10) r(i) WHERE i >= $1 AND i < $2', b.low, b.high) q ON q.i <> 1 ORDER BY 1, 2;
SELECT b.id, (SELECT sum(q.i) FROM duckdb.query('SELECT i FROM range($1) r(i)', b.high) q) AS s FROM bounds b ORDER BY 1;
SELECT b.id FROM bounds b WHERE EXISTS (SELECT FROM duckdb.query('SELECT $1 AS l', b.low) q WHERE q.l > 1) ORDER BY 1;
SELECT b.id, q.n FROM bounds b, LATERAL duckdb.query_rows('SELECT count(*) FROM range($1)', b.high) AS q(n bigint) ORDER BY 1;

-- query_rows: the text may be computed as well.
SELECT * FROM duckdb.query_rows('SELECT $1 AS a, $2 AS b', 1, 'x') AS t(a int, b text);
SELECT * FROM duckdb.query_rows('SELECT ' || '$1' || ' AS a', 1.5) AS t(a numeric(2,1));
PREPARE computed(text, int) AS SELECT * FROM duckdb.query_rows($1, $2) AS t(a int);
EXECUTE computed('SELECT $1 + 1', 1); EXECUTE computed('SELECT $1 * 10', 2); EXECUTE computed('SELECT $1', NULL); EXECUTE computed(NULL, 1);
EXECUTE computed('SELECT $1 + 1', 1); EXECUTE computed('SELECT $1 + 1', 2); EXECUTE computed('SELECT $1 + 1', 3);
SELECT testing.error_of($$ EXECUTE computed('SELECT $1::VARCHAR', 2) $$);
SELECT testing.error_of($$ EXECUTE computed('SELECT $1, $1', 2) $$);

DROP TYPE shop CASCADE;
