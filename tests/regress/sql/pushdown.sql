SET TimeZone = 'UTC';
-- Conditions and limits in DuckDB give the rows that PostgreSQL itself would give.
-- Each condition runs three times: pushed down, in PostgreSQL over the scan, and over a heap copy.
-- The rows in a file, and in a heap table that is filled without DuckDB.
SELECT duckdb.execute($$ COPY (SELECT * REPLACE (f4::FLOAT AS f4) FROM (VALUES
  (1, true, (-32768)::SMALLINT, (-2147483648)::INT, (-9223372036854775807)::BIGINT, '-inf'::FLOAT, '-inf'::DOUBLE, '', '-infinity'::DATE, '-infinity'::TIMESTAMP, '-infinity'::TIMESTAMPTZ, '00000000-0000-0000-0000-000000000000'::UUID, (-99.99)::DECIMAL(4,2), 'happy'::ENUM('sad', 'happy', 'ok'), 0::UTINYINT, '1677-09-22 00:00:00.123456789'::TIMESTAMP_NS),
  (2, false, -1, -1, -1, -1.5, -1.5, 'a', '1999-12-31', '1999-12-31 23:59:59.999999', '1999-12-31 23:59:59.999999+00', '7fffffff-ffff-ffff-ffff-ffffffffffff', -0.01, 'sad', 1, '1999-12-31 23:59:59.999999999'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, true, 0, 0, 0, '-0.0', '-0.0', 'A', '2000-01-01', '2000-01-01', '2000-01-01 00:00:00+00', '80000000-0000-0000-0000-000000000000', 0, 'ok', 2, '2000-01-01 00:00:00.000000999'),
  (5, false, 0, 0, 0, 0, 0, 'b', '2000-01-01', '2000-01-01 00:00:00.000001', '2000-01-01 00:00:00+01', '80000000-0000-0000-0000-000000000001', 0.01, 'ok', 100, '2000-01-01 00:00:00.000001'),
  (6, true, 1, 1, 1, 0.1, 0.1, 'é', '2000-02-29', '2024-03-10 02:30:00', '2024-03-10 12:00:00+00', 'ffffffff-0000-0000-0000-000000000000', 1.50, 'sad', 254, '2024-03-10 02:30:00.5'),
  (7, false, 32767, 2147483647, 9223372036854775807, 3.4028235e38, 1.7976931348623157e308, '🦆', '5874897-12-31', '294247-01-10 04:00:54.775806', '294247-01-10 04:00:54.775806+00', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 99.99, 'happy', 255, '2262-04-11 23:47:16.854775806'),
  (8, true, 2, 2, 2, 'inf', 'inf', 'a ', 'infinity', 'infinity', 'infinity', 'a0000000-0000-0000-0000-000000000000', 10, 'happy', 3, 'infinity'),
  (9, NULL, 3, 3, 3, 'nan', 'nan', 'ab', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
) v(id, bo, i2, i4, i8, f4, f8, t, d, ts, tz, u, n, e, u1, ns)) TO 's3://lake/regress/pushdown.parquet' $$);

CREATE TABLE heap (id int, bo boolean, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision, t text, d date, ts timestamp, tz timestamptz, u uuid, n numeric(4,2), e text, u1 smallint, ns timestamp);
INSERT INTO heap VALUES
  (1, true, -32768, -2147483648, -9223372036854775807, '-inf', '-inf', '', '-infinity', '-infinity', '-infinity', '00000000-0000-0000-0000-000000000000', -99.99, 'happy', 0, '1677-09-22 00:00:00.123457'),
  (2, false, -1, -1, -1, -1.5, -1.5, 'a', '1999-12-31', '1999-12-31 23:59:59.999999', '1999-12-31 23:59:59.999999+00', '7fffffff-ffff-ffff-ffff-ffffffffffff', -0.01, 'sad', 1, '1999-12-31 23:59:59.999999'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, true, 0, 0, 0, '-0.0', '-0.0', 'A', '2000-01-01', '2000-01-01', '2000-01-01 00:00:00+00', '80000000-0000-0000-0000-000000000000', 0, 'ok', 2, '2000-01-01 00:00:00.000000'),
  (5, false, 0, 0, 0, 0, 0, 'b', '2000-01-01', '2000-01-01 00:00:00.000001', '2000-01-01 00:00:00+01', '80000000-0000-0000-0000-000000000001', 0.01, 'ok', 100, '2000-01-01 00:00:00.000001'),
  (6, true, 1, 1, 1, 0.1, 0.1, 'é', '2000-02-29', '2024-03-10 02:30:00', '2024-03-10 12:00:00+00', 'ffffffff-0000-0000-0000-000000000000', 1.50, 'sad', 254, '2024-03-10 02:30:00.5'),
  (7, false, 32767, 2147483647, 9223372036854775807, 3.4028235e38, 1.7976931348623157e308, '🦆', '5874897-12-31', '294247-01-10 04:00:54.775806', '294247-01-10 04:00:54.775806+00', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 99.99, 'happy', 255, '2262-04-11 23:47:16.854775'),
  (8, true, 2, 2, 2, 'inf', 'inf', 'a ', 'infinity', 'infinity', 'infinity', 'a0000000-0000-0000-0000-000000000000', 10, 'happy', 3, 'infinity'),
  (9, NULL, 3, 3, 3, 'nan', 'nan', 'ab', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

-- Rows of a condition: ids in the three ways; and whether DuckDB checked it.
CREATE FUNCTION pg_temp.check(condition text, OUT pushed boolean, OUT ids text, OUT same boolean) LANGUAGE plpgsql AS $f$
DECLARE
  local_ids text; heap_ids text; line text;
BEGIN
  EXECUTE format($$ SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '-') FROM duckdb.query('FROM ''s3://lake/regress/pushdown.parquet''') q WHERE %s $$, condition) INTO ids;
  SET LOCAL duckdb.enable_pushdown = off;
  EXECUTE format($$ SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '-') FROM duckdb.query('FROM ''s3://lake/regress/pushdown.parquet''') q WHERE %s $$, condition) INTO local_ids;
  SET LOCAL duckdb.enable_pushdown = on;
  EXECUTE format($$ SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '-') FROM heap WHERE %s $$, condition) INTO heap_ids;
  pushed := true;
  FOR line IN EXECUTE format($$ EXPLAIN (COSTS OFF) SELECT id FROM duckdb.query('FROM ''s3://lake/regress/pushdown.parquet''') q WHERE %s $$, condition) LOOP
    IF line ~ '^ *Filter:' THEN pushed := false; END IF;
  END LOOP;
  same := ids = local_ids AND ids = heap_ids;
  IF NOT same THEN ids := format('pushed [%s], local [%s], heap [%s]', ids, local_ids, heap_ids); END IF;
END $f$;

-- Every comparison with every value, both ways round, on the types that are compared in DuckDB.
CREATE TEMP TABLE cases AS
SELECT c.name, o.op, v.value FROM (VALUES
  ('i2', ARRAY['0::int2', '''-32768''::int2', '1::int4', '9223372036854775807::int8', 'NULL::int2']),
  ('i4', ARRAY['0', '''-2147483648''::int4', '1::int2', '2147483648::int8', 'NULL::int4']),
  ('i8', ARRAY['0', '9223372036854775807', '''-1''::int2', 'NULL::int8']),
  ('u1', ARRAY['0::int2', '255', '300']),
  ('f4', ARRAY['''NaN''::real', '''Infinity''::real', '''-Infinity''::real', '0::real', '''-0''::real', '0.1::real', '0.1::double precision', 'NULL::real']),
  ('f8', ARRAY['''NaN''::float8', '''Infinity''::float8', '''-Infinity''::float8', '0::float8', '''-0''::float8', '0.1::float8', '0.1::real', '1.7976931348623157e308::float8']),
  ('bo', ARRAY['true', 'false', 'NULL::boolean']),
  ('t', ARRAY['''''', '''a''', '''A''', '''é''', '''🦆''', '''a ''', '''b''', 'NULL::text', '''a''::varchar', '''a''::char(3)']),
  ('t COLLATE "C"', ARRAY['''''', '''a''', '''A''', '''é''', '''🦆''', '''a ''']),
  ('d', ARRAY['''2000-01-01''::date', '''infinity''::date', '''-infinity''::date', '''5874897-12-31''::date', '''2000-01-01''::timestamp']),
  ('ts', ARRAY['''2000-01-01''::timestamp', '''infinity''::timestamp', '''-infinity''::timestamp', '''2000-01-01 00:00:00.000001''::timestamp', '''2000-01-01''::date', '''294247-01-10 04:00:54.775806''::timestamp']),
  ('ns', ARRAY['''2000-01-01''::timestamp', '''2000-01-01 00:00:00.000001''::timestamp', '''1999-12-31 23:59:59.999999''::timestamp', '''infinity''::timestamp', '''1677-09-22 00:00:00.123457''::timestamp']),
  ('tz', ARRAY['''2000-01-01 00:00:00+00''::timestamptz', '''2000-01-01 00:00:00+01''::timestamptz', '''infinity''::timestamptz']),
  ('u', ARRAY['''80000000-0000-0000-0000-000000000000''::uuid', '''7fffffff-ffff-ffff-ffff-ffffffffffff''::uuid']),
  ('n', ARRAY['0', '0.01', '-99.99', '99.99', '1000', 'NULL::numeric', '''NaN''::numeric']),
  ('e', ARRAY['''happy''', '''ok''', '''nobody'''])
) c(name, "values"), unnest(ARRAY['=', '<>', '<', '<=', '>', '>=']) o(op), unnest(c."values") v(value);
CREATE TEMP TABLE results AS SELECT name, op, value, c.* FROM cases, LATERAL pg_temp.check(format('%s %s %s', name, op, value)) c;
SELECT count(*) AS cases, count(*) FILTER (WHERE same) AS same FROM results;
SELECT name, op, value, ids FROM results WHERE NOT same ORDER BY 1, 2, 3;
SELECT name, op, value, ids FROM cases, LATERAL pg_temp.check(format('(%3$s %2$s %1$s) IS NOT TRUE', name, op, value)) WHERE NOT same ORDER BY 1, 2, 3;
-- What goes to DuckDB, of conditions that are not always NULL.
SELECT name, string_agg(op || CASE WHEN pushed = values THEN '' ELSE format(' (%s of %s)', pushed, values) END, ', ' ORDER BY op) AS pushed
FROM (SELECT name, op, count(*) AS values, count(*) FILTER (WHERE pushed) AS pushed FROM results WHERE value NOT LIKE 'NULL%' GROUP BY 1, 2) r WHERE pushed > 0 GROUP BY 1 ORDER BY 1;

-- The other conditions, one by one.
SELECT condition, c.* FROM unnest(ARRAY[
  'i4 IS NULL', 'i4 IS NOT NULL', 't IS NULL', 'n IS NOT NULL', 'ns IS NULL',
  'bo', 'NOT bo', 'bo IS TRUE', 'bo IS NOT TRUE', 'bo IS FALSE', 'bo IS NOT FALSE', 'bo IS UNKNOWN', 'bo IS NOT UNKNOWN', '(i4 > 0) IS UNKNOWN',
  'i4 IN (0, 1)', 'i4 IN (0, NULL)', 'i4 NOT IN (0, 1)', 'i4 NOT IN (0, NULL)', 'i4 = ANY (''{}'')', 'i4 <> ALL (''{}'')', 'i4 = ANY (''{{0,1},{2,3}}'')', 'i4 = ALL (ARRAY[0])', 'i4 > ANY (ARRAY[0, 1])', 'i4 <> ANY (ARRAY[0, 1])', 'i4 = ANY (NULL::int[])',
  'i8 IN (0, 9223372036854775807)', 'i2 IN (0, 100000)', 't IN (''a'', ''🦆'')', 't NOT IN (''a'', ''🦆'')', 't = ANY (ARRAY[''a'', NULL])', 'f8 IN (''NaN'', 0)', 'f8 NOT IN (''NaN'', 0)', 'f4 IN (0.1, ''-0'')', 'd IN (''2000-01-01'', ''infinity'')', 'u IN (''80000000-0000-0000-0000-000000000000'')', 'bo IN (true)', 'n IN (0, 1.5)', 'ts NOT IN (''infinity'')',
  'i4 = 0 AND t = ''b''', 'i4 = 0 OR t = ''a''', 'i4 = 0 OR t IS NULL', 'NOT (i4 = 0 OR t = ''a'')', 'NOT (i4 = 0 AND t = ''a'')', 'i4 = 0 OR length(t) > 1', 'i4 = 0 AND length(t) = 1', '(i4 = 0 OR i4 = 1) AND (bo OR bo IS NULL)',
  'i4 BETWEEN -1 AND 1', 'i4 NOT BETWEEN -1 AND 1', 't BETWEEN ''a'' AND ''b''', 'i4 BETWEEN SYMMETRIC 1 AND -1', 'i4 IS DISTINCT FROM 0', 'i4 IS NOT DISTINCT FROM NULL',
  'i4 = i2', 'i4 < i8', 'f4 = f8', 'd = ts', 'd <= d', 't = t', 'f8 = f8', 'f8 <> f8', 'i4 % 2 = 0', 'i4 = 0 + 1', 'abs(i2::int) = 1', 'i4::text = ''0''', 'i4::bigint = 0', 't || '''' = ''a''',
  't LIKE ''a%''', 't ~ ''a''', 't ILIKE ''A''', 'lower(t) = ''a''', 't::varchar = ''a''', 't::varchar(1) = ''a''', 't::char(3) = ''a''', 't::bytea = ''a''', '(i4, t) = (0, ''b'')', '(i4, t) < (0, ''b'')',
  'd > now() - interval ''100 years'' AND d < ''infinity''', 'tz < now()', 'ts < current_timestamp', 'd = ''2000-01-01'' AND tz = ''2000-01-01 00:00:00+01''', 'id IS NULL OR true', 'true', 'false', 'NULL', 'id = (SELECT 4)', 'id IN (SELECT 4 UNION SELECT 5)', 'i4 = 0 AND 1 = 1', 'e = ''ok'' OR e IS NULL', 'n = 1.5', 'n = 1.500', 'n > i4'
  ]) WITH ORDINALITY AS u(condition, n), LATERAL pg_temp.check(u.condition) c ORDER BY u.n;

-- A time zone change counts in comparisons of timestamp with timestamptz.
SET TimeZone = 'America/New_York';
SELECT condition, c.* FROM unnest(ARRAY['ts = tz', 'd = tz', 'tz = ''2000-01-01 00:00:00''', 'tz > ''2000-01-01''::date', 'ts < ''2000-01-01 00:00:00+00''::timestamptz', 'ns > ''2000-01-01 00:00:00+00''::timestamptz']) u(condition), LATERAL pg_temp.check(condition) c ORDER BY 1;
SET TimeZone = 'UTC';

-- Domains, another collation, a non-deterministic one where there is ICU.
SELECT condition, c.* FROM unnest(ARRAY['t COLLATE "POSIX" > ''a''', 't > ''a'' COLLATE "C"']) u(condition), LATERAL pg_temp.check(condition) c ORDER BY 1;

-- Only the columns that are used are asked for; none at all for a count.
EXPLAIN (COSTS OFF) SELECT t FROM duckdb.query('SELECT 1 AS a, ''x'' AS t, 2 AS c') WHERE a = 1;
EXPLAIN (COSTS OFF) SELECT count(*) FROM duckdb.query('SELECT 1 AS a, ''x'' AS t, 2 AS c');
EXPLAIN (COSTS OFF) SELECT c + a FROM duckdb.query('SELECT 1 AS a, ''x'' AS t, 2 AS c') WHERE length(t) = 1;
EXPLAIN (COSTS OFF) SELECT q FROM duckdb.query('SELECT 1 AS a, ''x'' AS t, 2 AS c') q;
EXPLAIN (COSTS OFF) SELECT 1 FROM duckdb.query('SELECT 1 AS a, 2 AS a') ;
-- LIMIT goes along when nothing stands between.
EXPLAIN (COSTS OFF) SELECT a FROM duckdb.query('SELECT a FROM range(10) r(a)') LIMIT 3;
EXPLAIN (COSTS OFF) SELECT a FROM duckdb.query('SELECT a FROM range(10) r(a)') WHERE a > 2 LIMIT 3 OFFSET 1;
EXPLAIN (COSTS OFF) SELECT a FROM duckdb.query('SELECT a FROM range(10) r(a)') WHERE a + 1 > 2 LIMIT 3;
EXPLAIN (COSTS OFF) SELECT a FROM duckdb.query('SELECT a FROM range(10) r(a)') ORDER BY a LIMIT 3;
EXPLAIN (COSTS OFF) SELECT DISTINCT a FROM duckdb.query('SELECT a FROM range(10) r(a)') LIMIT 3;
EXPLAIN (COSTS OFF) SELECT count(*) FROM duckdb.query('SELECT a FROM range(10) r(a)') LIMIT 3;
EXPLAIN (COSTS OFF) SELECT a, generate_series(1, 2) FROM duckdb.query('SELECT a FROM range(10) r(a)') LIMIT 3;
EXPLAIN (COSTS OFF) SELECT x.a FROM duckdb.query('SELECT a FROM range(10) r(a)') x, generate_series(1, 2) LIMIT 3;
EXPLAIN (COSTS OFF) SELECT a FROM (SELECT a FROM duckdb.query('SELECT a FROM range(10) r(a)') LIMIT 5) s LIMIT 3;
SELECT condition, (SELECT array_agg(a) FROM (SELECT a FROM duckdb.query('SELECT a FROM range(10) r(a) ORDER BY a') LIMIT l OFFSET o) s) FROM (VALUES ('3', 3::bigint, NULL::bigint), ('3+2', 3, 2), ('null', NULL, NULL), ('0', 0, 0), ('null+8', NULL, 8), ('huge', 9223372036854775807, 9223372036854775807), ('2+100', 2, 100)) v(condition, l, o);
SELECT a FROM duckdb.query('SELECT a FROM range(10) r(a) ORDER BY a DESC LIMIT 4') WHERE a < 9 LIMIT 2 OFFSET 1;
SELECT a FROM duckdb.query('SELECT a FROM range(10) r(a) ORDER BY a DESC') OFFSET 8;
SELECT count(*) FROM (SELECT 1 FROM duckdb.query('SELECT a FROM range(10) r(a)') LIMIT 3) s;
SELECT testing.sqlstate_of($$ SELECT a FROM duckdb.query('SELECT 1 AS a') LIMIT -1 $$), testing.sqlstate_of($$ SELECT a FROM duckdb.query('SELECT 1 AS a') OFFSET -1 $$);
-- A query with parameters of its own, and a condition with others.
PREPARE both_kinds(int, text) AS SELECT i, t FROM duckdb.query('SELECT i::INT AS i, ''t'' || i AS t FROM range($1) r(i)', $1) WHERE t = $2 OR i = $1 - 1 OR i IN (0);
EXECUTE both_kinds(5, 't2');
EXECUTE both_kinds(NULL, 't2');
DEALLOCATE both_kinds;
SELECT i FROM duckdb.query('SELECT i::INT AS i FROM range(?) r(i)', 5) WHERE i > 3;
DROP TABLE heap;
