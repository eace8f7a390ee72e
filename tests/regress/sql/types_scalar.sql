-- Scalar types of DuckDB as PostgreSQL has them: types, extremes, NULL, and what does not fit.
\set VERBOSITY terse
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'postgres';
SET extra_float_digits = 1;

-- Every type of test_all_types() that PostgreSQL can hold in full.
\x on
SELECT * FROM duckdb.query($$
  SELECT bool, tinyint, smallint, int, bigint, hugeint, uhugeint, utinyint, usmallint, uint, ubigint,
         time, timestamp_ns, time_tz, time_ns, float, double, dec_4_1, dec_9_4, dec_18_6, dec38_10,
         uuid, interval, blob, bit, small_enum, medium_enum, large_enum
  FROM test_all_types()$$);
\x off
-- The types themselves, typmods included.
SELECT name, duckdb_type, postgres_type FROM duckdb.describe($$
  SELECT * EXCLUDE (small_enum, medium_enum, large_enum) FROM test_all_types()$$);

-- BIGNUM: more digits than any other type.
SELECT length(n::text), n
  FROM duckdb.query('SELECT bignum AS n FROM test_all_types()') q;
-- 3^400.
SELECT count(*) FILTER (WHERE n <> 3::numeric ^ 400) AS wrong, count(*)
  FROM duckdb.query($$SELECT '70550791086553325712464271575934796216507949612787315762871223209262085551582934156579298529447134158154952334825355911866929793071824566694145084454535257027960285323760313192443283334088001'::BIGNUM AS n$$) q;

-- Decimals: negative fractions keep their sign, zeros their scale.
SELECT * FROM duckdb.query($$
  SELECT (-0.05)::DECIMAL(4,2) a, 0::DECIMAL(4,2) b, (-0.0000001)::DECIMAL(9,7) c,
         1234567.50::DECIMAL(18,2) d, 0.00000000000000000000000000000000000001::DECIMAL(38,38) e,
         -1::DECIMAL(38,0) f, 10000::DECIMAL(9,0) g, 99990000.0001::DECIMAL(18,4) h$$);
-- Numerics that are equal are the same: they hash and sort alike, whoever wrote them.
SELECT count(*), count(*) FILTER (WHERE v <> t::numeric) AS wrong,
       count(*) FILTER (WHERE hash_numeric(v) <> hash_numeric(t::numeric)) AS other_hash,
       count(*) FILTER (WHERE v::text <> t::numeric(18,5)::text) AS other_text
  FROM duckdb.query($$
    SELECT ((hash(i) % 1999999999)::BIGINT - 999999999)::DECIMAL(18,5) / 1 AS x,
           (((hash(i) % 1999999999)::BIGINT - 999999999) * 7)::DECIMAL(18,5) AS v, v::VARCHAR AS t
    FROM range(100000) r(i)$$) q;
SELECT count(*), count(*) FILTER (WHERE v::text <> t::numeric(38,18)::text) AS other_text
  FROM duckdb.query($$
    SELECT (hash(i)::HUGEINT * (CASE WHEN i % 2 = 0 THEN 1 ELSE -1 END))::DECIMAL(38,18) AS v,
           v::VARCHAR AS t
    FROM range(100000) r(i)$$) q;

-- Floats: the special values, and the shortest form of others.
SELECT * FROM duckdb.query($$
  SELECT 'nan'::DOUBLE a, 'inf'::DOUBLE b, '-inf'::FLOAT c, -0.0::DOUBLE d, 0.1::FLOAT e,
         5e-324::DOUBLE f$$);

-- Dates and times: infinities stay, what is out of range is an error, never another value.
SELECT * FROM duckdb.query($$
  SELECT 'infinity'::DATE a, '-infinity'::DATE b, 'infinity'::TIMESTAMP c, '-infinity'::TIMESTAMPTZ d,
         'infinity'::TIMESTAMP_S e, '-infinity'::TIMESTAMP_MS f, 'infinity'::TIMESTAMP_NS g$$);
SELECT * FROM duckdb.query($$SELECT '4714-11-24 (BC)'::DATE a, '5874897-12-31'::DATE b,
  '4714-11-24 (BC) 00:00:00'::TIMESTAMP c, '0044-03-15 (BC) 12:00:00'::TIMESTAMP d,
  '294247-01-10 04:00:54.775806'::TIMESTAMP e$$);
SELECT * FROM duckdb.query($$SELECT '4714-11-23 (BC)'::DATE a$$);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM duckdb.query($$SELECT '5874898-01-01'::DATE a$$);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM duckdb.query($$SELECT '4714-11-23 (BC) 23:59:59.999999'::TIMESTAMP a$$);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM duckdb.query($$SELECT timestamp_s, timestamp_ms FROM test_all_types()$$);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM duckdb.query($$SELECT '24:00:00'::TIME a, '00:00:00-15:59:59'::TIMETZ b,
  '23:59:59.999999+05:30:10'::TIMETZ c, '12:00:00.123456789'::TIME_NS d$$);
-- Nanoseconds are cut off as DuckDB's own cast to TIMESTAMP does it.
SELECT a, a = b AS same FROM duckdb.query($$
  SELECT x::TIMESTAMP_NS AS a, x::TIMESTAMP_NS::TIMESTAMP AS b
  FROM (VALUES ('2020-01-01 00:00:00.123456789'), ('1969-12-31 23:59:59.999999999'),
               ('1960-02-29 12:00:00.000001999')) v(x)$$) q;
SELECT * FROM duckdb.query($$SELECT '1 year 2 months -3 days 04:05:06.000007'::INTERVAL a,
  INTERVAL (-1) MONTH b, '0 days'::INTERVAL c$$);

-- Text: all lengths around the ends of inlined strings and of short headers, and of characters.
SELECT count(*), sum(octet_length(v)), count(*) FILTER (WHERE v <> repeat('🦆é€x', (i / 4)::int) || repeat('y', (i % 4)::int)) AS wrong
  FROM duckdb.query($$
    SELECT i, repeat('🦆é€x', (i // 4)::INT) || repeat('y', (i % 4)::INT) AS v FROM range(600) r(i)$$) q;
SELECT * FROM duckdb.query($$SELECT 'a' || chr(0) AS short$$);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM duckdb.query($$SELECT 'a string that is not inlined' || chr(0) || 'b' AS long$$);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM duckdb.query($$SELECT ('a' || chr(0))::BLOB a, ''::BLOB b, ''::VARCHAR c, NULL::BLOB d$$);
SELECT count(*), count(*) FILTER (WHERE v::text <> t) AS wrong
  FROM duckdb.query('SELECT (i * 7919)::BIT v, v::VARCHAR t FROM range(5000) r(i)') q;
SELECT * FROM duckdb.query($$SELECT '1'::BIT a, '00000000'::BIT b, '101010101'::BIT c$$);
SELECT * FROM duckdb.query($$
  SELECT '00000000-0000-0000-0000-000000000000'::UUID a, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::UUID b,
         '01234567-89ab-cdef-8123-456789abcdef'::UUID c$$);
SELECT a, pg_typeof(a), b, pg_typeof(b) FROM duckdb.query($$
  SELECT '{"b": 1,  "a": [1.50, "\u00e9"]}'::JSON a, NULL b$$) q;

-- NULLs in all places of a validity mask.
SELECT count(*), count(v), sum(v), count(t), count(d) FROM duckdb.query($$
  SELECT CASE WHEN hash(i) % 3 > 0 THEN i END v, CASE WHEN hash(i) % 5 > 0 THEN i::VARCHAR END t,
         CASE WHEN hash(i) % 7 > 0 THEN i::DECIMAL(18,2) END d FROM range(10000) r(i)$$) q;

-- A type that PostgreSQL cannot hold does no harm while nobody selects it.
SELECT a FROM duckdb.query($$SELECT 1 a, '5881580-07-10'::DATE b$$) q;
