-- Dates, times and intervals: infinity, ranges, precision, offsets.
SET DateStyle = 'ISO, YMD';
SET IntervalStyle = 'postgres';
SET TimeZone = 'UTC';

-- DATE: PostgreSQL's range is 4714-11-24 BC to 5874897-12-31.
SELECT d, isfinite(d) FROM duckdb.query($$ SELECT * FROM (VALUES
  (1, 'infinity'::DATE), (2, '-infinity'), (3, '1970-01-01'), (4, '0001-01-01'), (5, '0001-12-31 (BC)'),
  (6, '4714-11-24 (BC)'), (7, '5874897-12-31'), (8, '2000-02-29'), (9, NULL), (10, '1999-12-31'), (11, '2000-01-01')) v(i, d) $$) ORDER BY i;
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT ''4714-11-23 (BC)''::DATE AS d') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT ''5874898-01-01''::DATE AS d') $$);
SELECT count(*), count(*) FILTER (WHERE d::text = t) AS equal
FROM duckdb.query($$ SELECT d, d::VARCHAR AS t FROM (SELECT DATE '0001-01-01' + (i * 7)::INT AS d FROM range(150000) r(i)) $$);

-- TIMESTAMP: 4714-11-24 BC to 294276-12-31 in PostgreSQL; DuckDB ends before that.
SELECT t FROM duckdb.query($$ SELECT * FROM (VALUES
  (1, 'infinity'::TIMESTAMP), (2, '-infinity'), (3, '1970-01-01'), (4, '1969-12-31 23:59:59.999999'), (5, '4714-11-24 (BC) 00:00:00'),
  (6, '294247-01-10 04:00:54.775806'), (7, '0001-01-01 00:00:00.000001'), (8, NULL), (9, '2000-01-01'), (10, '1999-12-31 23:59:59.5')) v(i, t) $$) ORDER BY i;
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT ''4714-11-23 (BC) 23:59:59.999999''::TIMESTAMP AS t') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT ''4714-11-23 (BC) 23:59:59.999999''::TIMESTAMPTZ AS t') $$);
SELECT count(*), count(*) FILTER (WHERE t::text = s) AS equal
FROM duckdb.query($$ SELECT t, t::VARCHAR AS s FROM (SELECT TIMESTAMP '1000-01-01' + to_microseconds(i * 3155760000123457) AS t FROM range(2000) r(i)) $$);

-- TIMESTAMP_S and _MS are exact, _NS is cut towards 1970, as DuckDB's own cast does; infinity in each.
SELECT s, ms, ns FROM duckdb.query($$ SELECT * FROM (VALUES
  (1, 'infinity'::TIMESTAMP_S, 'infinity'::TIMESTAMP_MS, 'infinity'::TIMESTAMP_NS),
  (2, '-infinity', '-infinity', '-infinity'),
  (3, '1970-01-01', '1969-12-31 23:59:59.999', '1969-12-31 23:59:59.999999999'),
  (4, '0001-01-01', '0001-01-01 00:00:00.001', '1677-09-22 00:00:00.123456789'),
  (5, '294247-01-10 04:00:54', '294247-01-10 04:00:54.775', '2262-04-11 23:47:16.854775806'),
  (6, '2000-01-01', '2000-01-01', '2000-01-01 00:00:00.000000999'),
  (7, NULL, NULL, NULL)) v(i, s, ms, ns) $$) ORDER BY i;
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT ''290000-01-01 (BC)''::TIMESTAMP_S AS t') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT ''290000-01-01 (BC)''::TIMESTAMP_MS AS t') $$);

-- TIMESTAMPTZ is an instant; each system shows it in the session's time zone.
SELECT t, text FROM duckdb.query($$ SELECT i, t, t::VARCHAR AS text FROM (VALUES (1, '2024-03-10 12:00:00+00'::TIMESTAMPTZ), (2, 'infinity'), (3, '-infinity'), (4, NULL)) v(i, t) $$) ORDER BY i;
SET TimeZone = 'America/New_York';
SELECT t, text FROM duckdb.query($$ SELECT t, t::VARCHAR AS text FROM (VALUES ('2024-03-10 12:00:00+00'::TIMESTAMPTZ)) v(t) $$);
SELECT h FROM duckdb.query($$ SELECT extract(hour FROM '2024-03-10 12:00:00+00'::TIMESTAMPTZ) AS h $$);
-- A rollback takes the setting back, and so does a function's own setting.
BEGIN;
SET LOCAL TimeZone = 'Asia/Tokyo';
SELECT h FROM duckdb.query($$ SELECT extract(hour FROM '2024-03-10 12:00:00+00'::TIMESTAMPTZ) AS h $$);
ROLLBACK;
SELECT h FROM duckdb.query($$ SELECT extract(hour FROM '2024-03-10 12:00:00+00'::TIMESTAMPTZ) AS h $$);
CREATE FUNCTION pg_temp.hour_in_kolkata() RETURNS bigint LANGUAGE plpgsql SET TimeZone = 'Asia/Kolkata' AS $f$
DECLARE h bigint; BEGIN
  SELECT q.h INTO h FROM duckdb.query($$ SELECT extract(hour FROM '2024-03-10 12:00:00+00'::TIMESTAMPTZ) AS h $$) q;
  RETURN h;
END $f$;
SELECT pg_temp.hour_in_kolkata();
SELECT h FROM duckdb.query($$ SELECT extract(hour FROM '2024-03-10 12:00:00+00'::TIMESTAMPTZ) AS h $$);
-- A change under a prepared plan.
PREPARE hour AS SELECT h FROM duckdb.query($$ SELECT extract(hour FROM '2024-03-10 12:00:00+00'::TIMESTAMPTZ) AS h $$);
EXECUTE hour;
SET TimeZone = 'UTC';
EXECUTE hour;
-- Fixed offsets: whole hours have a name in DuckDB, others that of a place.
SET TIME ZONE -7;
EXECUTE hour;
SET TIME ZONE INTERVAL '+05:30' HOUR TO MINUTE;
SELECT testing.sqlstate_of('EXECUTE hour');
SET TimeZone = 'UTC';
EXECUTE hour;
DEALLOCATE hour;

-- TIME: 24:00 is a time of its own.
SELECT t, t = '24:00' AS is_24, n FROM duckdb.query($$ SELECT * FROM (VALUES
  (1, '00:00:00'::TIME, '00:00:00'::TIME_NS), (2, '24:00:00', '24:00:00'), (3, '23:59:59.999999', '23:59:59.999999999'), (4, '00:00:00.000001', '00:00:00.000000999'), (5, NULL, NULL)) v(i, t, n) $$) ORDER BY i;
-- TIMETZ: east is positive for people, whatever the storage; seconds of an offset count (DuckDB's own text takes them for minutes).
SELECT t, extract(timezone FROM t)::int AS seconds_east FROM duckdb.query($$ SELECT i, t FROM (VALUES
  (1, '12:00:00+00'::TIMETZ), (2, '12:00:00+02:00'), (3, '12:00:00-05:30'), (4, '24:00:00-15:59:59'), (5, '00:00:00+15:59:59'), (6, '01:02:03.456789+00:00:01'), (7, '01:02:03-00:00:59'), (8, NULL)) v(i, t) $$) ORDER BY i;

-- INTERVAL: months, days and microseconds stay apart.
SELECT v, extract(epoch FROM v)::bigint AS epoch FROM duckdb.query($$ SELECT * FROM (VALUES
  (1, INTERVAL '0 seconds'), (2, INTERVAL '1 month'), (3, INTERVAL '30 days'), (4, INTERVAL '720 hours'), (5, INTERVAL '-1 year -2 months -3 days -4 hours -5.000006 seconds'),
  (6, INTERVAL '1 microsecond'), (7, NULL), (8, to_months(2147483647::INT)), (9, to_days(-2147483648)), (10, to_microseconds(9223372036854775807))) v(i, v) $$) ORDER BY i;
