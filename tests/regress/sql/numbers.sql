-- Numbers: extremes, signs, all widths of DECIMAL, and what does not fit.
SET extra_float_digits = 1;
\set VERBOSITY terse

-- Integers: the widest PostgreSQL type of each, at both ends.
SELECT q.*, pg_typeof(utinyint) AS t1, pg_typeof(usmallint) AS t2, pg_typeof(uinteger) AS t3, pg_typeof(ubigint) AS t4
FROM duckdb.query($$ SELECT 0::UTINYINT AS utinyint, 65535::USMALLINT AS usmallint, 4294967295::UINTEGER AS uinteger, 18446744073709551615::UBIGINT AS ubigint $$) q;
SELECT h = '-170141183460469231731687303715884105728' AND h2 = '170141183460469231731687303715884105727'
   AND u = '340282366920938463463374607431768211455' AND z = 0 AND one = -1 AS equal
FROM duckdb.query($$ SELECT (-170141183460469231731687303715884105728)::HUGEINT AS h, 170141183460469231731687303715884105727::HUGEINT AS h2, 340282366920938463463374607431768211455::UHUGEINT AS u, 0::HUGEINT AS z, (-1)::HUGEINT AS one $$) q;
-- Powers of ten: each is a border of numeric's base of 10000.
SELECT count(*), count(*) FILTER (WHERE h::text = t AND n::text = '-' || t AND u::text = t AND b::text = t) AS equal
FROM duckdb.query($$ SELECT h, -h AS n, h::UHUGEINT AS u, h::VARCHAR::BIGNUM AS b, h::VARCHAR AS t
  FROM (SELECT ('1' || repeat('0', i::INT))::HUGEINT + d AS h FROM range(1, 38) r(i), (VALUES (-1), (0), (1)) v(d)) $$) q;
-- BIGNUM has no length limit short of numeric's own.
SELECT count(*), count(*) FILTER (WHERE b::text = t) AS equal, max(length(t)) AS longest
FROM duckdb.query($$ SELECT t::BIGNUM AS b, t FROM (
  SELECT s || rtrim(repeat(((i * 7919) % 1000003)::VARCHAR || '7', 1 + (i * 13 % 97)::INT)) AS t
  FROM range(1, 1000) r(i), (VALUES (''), ('-')) v(s)) $$) q;

-- Floats: special values, the smallest, and both zeros.
SELECT f, d FROM duckdb.query($$ SELECT * FROM (VALUES
  (1, 'nan'::FLOAT, 'nan'::DOUBLE), (2, 'inf', 'inf'), (3, '-inf', '-inf'), (4, '-0.0'::FLOAT, '-0.0'::DOUBLE),
  (5, 1e-45::FLOAT, 5e-324::DOUBLE), (6, 3.4028235e38::FLOAT, 1.7976931348623157e308::DOUBLE), (7, NULL, NULL), (8, 0.1::FLOAT, 0.1::DOUBLE)) v(i, f, d) $$) ORDER BY i;
SELECT pg_typeof(f), pg_typeof(d) FROM duckdb.query('SELECT 1::FLOAT AS f, 1::DOUBLE AS d');

-- Decimals: the sign of fractions, and types.
SELECT d, pg_typeof(d) FROM duckdb.query($$ SELECT (-0.05)::DECIMAL(4,2) AS d $$) q;
CREATE TEMP TABLE typed AS SELECT * FROM duckdb.query($$ SELECT 1::DECIMAL(4,1) AS a, 1::DECIMAL(9,0) AS b, 0.5::DECIMAL(18,18) AS c, 1::DECIMAL(38,37) AS d, [1::DECIMAL(5,2)] AS e, 1::HUGEINT AS f $$);
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'typed'::regclass AND attnum > 0 ORDER BY attnum;
SELECT * FROM duckdb.query($$ SELECT * FROM (VALUES
  (1, -0.05::DECIMAL(3,2), -0.0001::DECIMAL(9,4), -0.000000001::DECIMAL(18,9), -0.00000000000000000001::DECIMAL(38,20)),
  (2, 9.99, 99999.9999, 999999999.999999999, 999999999999999999.99999999999999999999::DECIMAL(38,20)),
  (3, -9.99, -99999.9999, -999999999.999999999, (-999999999999999999.99999999999999999999)::DECIMAL(38,20)),
  (4, 0, 0, 0, 0), (5, NULL, NULL, NULL, NULL)) v(i, d16, d32, d64, d128) $$) ORDER BY i;

-- 10,000 random values of each width, with scales of all kinds, against the text that DuckDB prints
-- (which leaves out the zero before the point where the scale is the width).
CREATE FUNCTION pg_temp.compare_decimals(width int, scale int, OUT rows bigint, OUT unequal bigint, OUT distinct_values bigint) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format($query$
    SELECT count(*), count(*) FILTER (WHERE d::text IS DISTINCT FROM regexp_replace(t, '^(-?)\.', '\10.')), count(DISTINCT d)
    FROM duckdb.query(%L) $query$,
    format($duck$
      SELECT d, d::VARCHAR AS t FROM (
        SELECT CASE WHEN i %% 997 = 0 THEN NULL ELSE
          ((CASE WHEN i %% 2 = 0 THEN '-' ELSE '' END) ||
           CASE WHEN %1$s > %2$s THEN substr(digits, 3, 1 + (i %% (%1$s - %2$s))::INT) ELSE '0' END ||
           CASE WHEN %2$s > 0 THEN '.' || substr(digits, 41 - %2$s, %2$s) ELSE '' END)::DECIMAL(%1$s,%2$s) END AS d
        FROM (SELECT i, lpad((hash(i) %% 1000000000000000000)::VARCHAR, 20, '7') || lpad((hash(i + 1000000) %% 10000000000000000000)::VARCHAR, 20, '0') AS digits
              FROM range(10000) r(i))) $duck$, width, scale))
  INTO rows, unequal, distinct_values;
END $$;
SELECT width, scale, rows, unequal, distinct_values >= CASE width WHEN 1 THEN 5 ELSE 1000 END AS varied
FROM (VALUES (1, 0), (1, 1), (4, 0), (4, 1), (4, 2), (4, 4), (9, 0), (9, 2), (9, 4), (9, 5), (9, 9), (15, 2), (18, 0), (18, 3), (18, 4), (18, 6), (18, 18),
             (19, 0), (19, 2), (25, 7), (30, 4), (38, 0), (38, 1), (38, 10), (38, 37), (38, 38)) AS w(width, scale),
  LATERAL pg_temp.compare_decimals(width, scale);
-- The same through the binary form and the hash: what is built must be what PostgreSQL itself would build.
SELECT count(*), count(*) FILTER (WHERE numeric_send(d) = numeric_send(t::numeric)) AS same_binary,
       count(*) FILTER (WHERE hash_numeric(d) = hash_numeric(t::numeric)) AS same_hash
FROM duckdb.query($$ SELECT d, d::VARCHAR AS t FROM (SELECT ((hash(i) % 2000000000000)::BIGINT - 1000000000000) / 10000 AS x, x::DECIMAL(18,4) AS d FROM range(10000) r(i)) $$) q;
-- Arithmetic and indexes work on them.
CREATE TEMP TABLE numbers AS SELECT * FROM duckdb.query('SELECT (i / 8)::DECIMAL(18,3) AS d FROM range(-5000, 5000) r(i)');
CREATE INDEX ON numbers (d);
SET enable_seqscan = off;
SELECT d, d + 0.001, d * -1 FROM numbers WHERE d = -0.125;
SELECT sum(d), min(d), max(d) FROM numbers;
RESET enable_seqscan;

-- Out of range: DuckDB's own errors keep their class.
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT (i + 9223372036854775800)::BIGINT + 10 FROM range(3) r(i)') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT i::TINYINT FROM range(100, 200) r(i)') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT (i * 100)::DECIMAL(3,1) FROM range(3) r(i)') $$);
-- PostgreSQL's: a computed numeric that the column's type cannot hold.
SELECT testing.error_of($$ CREATE TEMP TABLE too_narrow (d numeric(3,1)); INSERT INTO too_narrow SELECT * FROM duckdb.query('SELECT 100::DECIMAL(5,2)') $$);

-- BOOLEAN
SELECT b, NOT b AS negated FROM duckdb.query('SELECT * FROM (VALUES (1, true), (2, false), (3, NULL)) v(i, b)') ORDER BY i;

-- UUID: DuckDB flips the top bit internally; the order is PostgreSQL's.
SELECT u FROM duckdb.query($$ SELECT * FROM (VALUES ('ffffffff-ffff-ffff-ffff-ffffffffffff'::UUID), ('00000000-0000-0000-0000-000000000000'), ('80000000-0000-0000-0000-000000000000'), ('7fffffff-ffff-ffff-ffff-ffffffffffff'), (NULL)) v(u) $$) ORDER BY u;
SELECT count(*), count(*) FILTER (WHERE u::text = t) AS equal FROM duckdb.query($$ SELECT u, u::VARCHAR AS t FROM (SELECT md5(i::VARCHAR)::UUID AS u FROM range(1000) r(i)) $$);
SELECT string_agg(u::text, ',' ORDER BY u) = string_agg(t, ',' ORDER BY t COLLATE "C") AS same_order FROM duckdb.query($$ SELECT u, u::VARCHAR AS t FROM (SELECT md5(i::VARCHAR)::UUID AS u FROM range(100) r(i)) $$);
