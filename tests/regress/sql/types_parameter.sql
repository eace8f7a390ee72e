-- PostgreSQL's values as parameters: what DuckDB takes them for, and that they come back the same.
\set VERBOSITY terse
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'postgres';
CREATE FUNCTION pg_temp.duck(value anyelement) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  SELECT q.t INTO result
    FROM duckdb.query('SELECT concat($1::VARCHAR, '' '', typeof($1)) AS t', value) q;
  RETURN result;
END $$;

SELECT pg_temp.duck(true) a, pg_temp.duck(1::int2) b, pg_temp.duck(-5) c, pg_temp.duck(9223372036854775807) d,
       pg_temp.duck(4294967295::oid) e, pg_temp.duck(1.5::float4) f, pg_temp.duck('-inf'::float8) g,
       pg_temp.duck('nan'::float8) h;
-- numeric: every digit or an error.
SELECT pg_temp.duck(1.50) a, pg_temp.duck(-0.05) b, pg_temp.duck(0.000) c, pg_temp.duck(1e30) d;
SELECT pg_temp.duck(99999999999999999999999999999999999999) a, pg_temp.duck(0.00000000000000000000000000000000000001) b,
       pg_temp.duck(123456789012345678901234567890.12345678000000000000) c;
SELECT pg_temp.duck(100000000000000000000000000000000000000);
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.duck('nan'::numeric);
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.duck('-infinity'::numeric);
\echo :LAST_ERROR_SQLSTATE
-- Text in all its forms.
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN price AS numeric(10,2);
SELECT pg_temp.duck('héllo🦆'::text) a, pg_temp.duck(''::text) b, pg_temp.duck('ab  '::char(6)) c,
       pg_temp.duck('nm'::name) d, pg_temp.duck('c'::"char") e, pg_temp.duck('{"a":  1}'::json) f,
       pg_temp.duck('{"a":  1}'::jsonb) g, pg_temp.duck('sad'::mood) h, pg_temp.duck(5::positive) i,
       pg_temp.duck(5.5::price) j, pg_temp.duck('10.0.0.1/8'::inet) k, pg_temp.duck('10.0.0.0/8'::cidr) l,
       pg_temp.duck('08:00:2b:01:02:03'::macaddr) m;
SELECT pg_temp.duck('\x00ff'::bytea) a, pg_temp.duck(''::bytea) b, pg_temp.duck(B'101') c,
       pg_temp.duck(B'101101110'::varbit) d, pg_temp.duck('01234567-89ab-cdef-0123-456789abcdef'::uuid) e;
SELECT pg_temp.duck(''::varbit);
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.duck('2020-02-29'::date) a, pg_temp.duck('infinity'::date) b, pg_temp.duck('4714-11-24 BC'::date) c,
       pg_temp.duck('5874897-12-31'::date) d, pg_temp.duck('24:00'::time) e, pg_temp.duck('12:34:56.789+05:30:10'::timetz) f;
SELECT pg_temp.duck('4714-11-24 BC'::timestamp) a, pg_temp.duck('-infinity'::timestamptz) b,
       pg_temp.duck('2020-01-01 12:00+02'::timestamptz) c, pg_temp.duck('14 mons -3 days 04:05:06.000007'::interval) d;
SELECT pg_temp.duck('294276-12-31'::timestamp);
\echo :LAST_ERROR_SQLSTATE
-- Arrays and rows.
CREATE TYPE pair AS (a int, "b c" text, n numeric, d date[]);
SELECT pg_temp.duck(array[1,null,3]) a, pg_temp.duck('{}'::int[]) b, pg_temp.duck('[5:6]={1,2}'::int[]) c,
       pg_temp.duck(array[[1,2],[3,4]]) d, pg_temp.duck(array[[['a','b']],[['c',null]]]) e,
       pg_temp.duck(array[1.5,2.25,null,100]) f, pg_temp.duck('{NULL}'::numeric[]) g;
SELECT pg_temp.duck(row(1,'x',1.25,'{2020-01-01}')::pair) a, pg_temp.duck(row(null,null,null,null)::pair) b;
SELECT pg_temp.duck(array[row(1,'x',1.25,null)::pair, row(2,null,3,'{}')::pair, null]) a;
-- What DuckDB has nothing for.
SELECT pg_temp.duck(int4range(1,2));
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.duck(array[point(1,2)]);
\echo :LAST_ERROR_SQLSTATE
-- NULL keeps its type.
SELECT * FROM duckdb.query('SELECT typeof($1) a, typeof($2) b, typeof($3) c', NULL::date, NULL::numeric(5,1), NULL::int[]);
-- Values stored out of line.
CREATE TEMP TABLE stored (t text);
ALTER TABLE stored ALTER t SET STORAGE EXTERNAL;
INSERT INTO stored SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) i;
SELECT pg_temp.duck(t) = t || ' VARCHAR' AS same FROM stored;
DROP TYPE mood, pair;
DROP DOMAIN positive, price;
