-- Every column of DuckDB's own test_all_types(), compared with what DuckDB prints for the same rows.
SET DateStyle = 'ISO, YMD';
SET TimeZone = 'UTC';
SET IntervalStyle = 'postgres';
SET extra_float_digits = 1;

SELECT name, postgres_type FROM duckdb.describe('FROM test_all_types()');

-- column: how PostgreSQL's value is written to be equal to what DuckDB makes of its own one.
CREATE TEMP TABLE expectation (position serial, name text, in_postgres text, in_duckdb text);
-- The text is the same in both.
INSERT INTO expectation (name, in_postgres, in_duckdb)
SELECT name, 'c::text', 'c::VARCHAR' FROM unnest(ARRAY['bool', 'tinyint', 'smallint', 'int', 'bigint',
  'hugeint', 'uhugeint', 'utinyint', 'usmallint', 'uint', 'ubigint', 'bignum', 'time', 'dec_4_1',
  'dec_9_4', 'dec_18_6', 'dec38_10', 'uuid', 'bit', 'small_enum', 'medium_enum', 'large_enum',
  'time_ns']) AS name;
INSERT INTO expectation (name, in_postgres, in_duckdb) VALUES
-- A full hour needs no minutes in PostgreSQL's offset.
  ('time_tz', 'c::text', 'c::VARCHAR'),
-- The precision is cut to microseconds.
  ('timestamp_ns', 'c::text', 'regexp_replace(c::VARCHAR, ''(\.\d{6})\d+$'', ''\1'')'),
-- Exponents are written in other ways.
  ('float', 'c', 'c::VARCHAR::DOUBLE::FLOAT'),
  ('double', 'c', 'c::VARCHAR::DOUBLE'),
-- DuckDB spells months out.
  ('interval', 'replace(c::text, ''mons'', ''months'')', 'c::VARCHAR'),
  ('blob', 'upper(encode(c, ''hex''))', 'hex(c)'),
  ('geometry', 'upper(encode(c, ''hex''))', 'hex(ST_AsWKB(c))');
-- Nested values are compared as JSON.
INSERT INTO expectation (name, in_postgres, in_duckdb)
SELECT name, 'to_jsonb(c)', 'c::JSON' FROM unnest(ARRAY['int_array', 'varchar_array',
  'struct', 'struct_of_arrays', 'array_of_structs', 'map', 'fixed_int_array', 'fixed_varchar_array',
  'fixed_struct_array', 'struct_of_fixed_array', 'list_of_fixed_int_array']) AS name;
INSERT INTO expectation (name, in_postgres, in_duckdb) VALUES
-- JSON has no number for NaN and the infinities.
  ('double_array', 'to_jsonb(c)', 'to_json(list_transform(c, x -> CASE WHEN isfinite(x) THEN x::BIGINT::JSON WHEN isnan(x) THEN ''"NaN"''::JSON WHEN x > 0 THEN ''"Infinity"''::JSON WHEN x < 0 THEN ''"-Infinity"''::JSON END))'),
-- PostgreSQL writes a T between date and time.
  ('date_array', 'to_jsonb(c)', 'c::JSON'),
  ('timestamp_array', 'replace(to_jsonb(c)::text, ''T'', '' '')::jsonb', 'c::JSON'),
  ('timestamptz_array', 'replace(replace(to_jsonb(c)::text, ''T'', '' ''), ''+00:00'', ''+00'')::jsonb', 'c::JSON'),
-- The tag of a UNION is not kept, its value is.
  ('union', 'c', 'CASE WHEN union_tag(c) = ''name'' THEN to_json(c.name) WHEN union_tag(c) = ''age'' THEN to_json(c.age) END');

CREATE FUNCTION pg_temp.compare(name text, in_postgres text, in_duckdb text,
  OUT rows bigint, OUT nulls bigint, OUT unequal bigint) LANGUAGE plpgsql AS $$
DECLARE
  source text := format('SELECT c, %s AS d FROM (SELECT %I AS c FROM test_all_types())', in_duckdb, name);
BEGIN
  EXECUTE format(
    'SELECT count(*), count(*) FILTER (WHERE c IS NULL),
            count(*) FILTER (WHERE (c IS NULL) <> (d IS NULL) OR (%s)::text <> CASE pg_typeof(%2$s)::text WHEN ''jsonb'' THEN d::text::jsonb::text ELSE d::text END)
     FROM duckdb.query(%L) q', in_postgres, in_postgres, source)
  INTO rows, nulls, unequal;
END $$;
SELECT name, (pg_temp.compare(name, in_postgres, in_duckdb)).* FROM expectation ORDER BY position;

-- What PostgreSQL's types cannot hold is an error, never another value.
SELECT name, testing.error_of(format('SELECT * FROM duckdb.query(%L)', format('SELECT %I FROM test_all_types()', name)))
FROM duckdb.describe('FROM test_all_types()')
WHERE name NOT IN (SELECT name FROM expectation);

-- With those columns replaced, the values that remain, as psql shows them.
\x
SELECT * FROM duckdb.query($$
  SELECT * REPLACE (
    CASE WHEN date IS NOT NULL THEN DATE '4714-11-24 (BC)' END AS date,
    CASE WHEN timestamp > '2000-01-01' THEN timestamp END AS timestamp,
    CASE WHEN timestamp_s > '2000-01-01' THEN timestamp_s END AS timestamp_s,
    CASE WHEN timestamp_ms > '2000-01-01' THEN timestamp_ms END AS timestamp_ms,
    CASE WHEN timestamp_tz > '2000-01-01' THEN timestamp_tz END AS timestamp_tz,
    replace(varchar, chr(0), '\0') AS varchar,
    nested_int_array::JSON AS nested_int_array,
    fixed_nested_int_array::JSON AS fixed_nested_int_array,
    fixed_nested_varchar_array::JSON AS fixed_nested_varchar_array,
    fixed_array_of_int_list::JSON AS fixed_array_of_int_list)
  FROM test_all_types() $$);
\x

-- A column that cannot be read does no harm while nobody asks for it.
SELECT int, bigint FROM duckdb.query('FROM test_all_types()') ORDER BY int;
SELECT count(*) FROM duckdb.query('FROM test_all_types()');
SELECT int FROM duckdb.query('FROM test_all_types()') WHERE date IS NULL;

-- The same values inside of lists, structs and maps are those that stand alone.
CREATE FUNCTION pg_temp.wrapped(name text, OUT list_equal bigint, OUT struct_equal bigint, OUT map_equal bigint, OUT list_of_structs_equal bigint) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format(
    'SELECT count(*) FILTER (WHERE l[1]::text IS NOT DISTINCT FROM c::text AND l[2] IS NULL AND cardinality(l) = 2),
            count(*) FILTER (WHERE s = jsonb_build_object(''x'', c)), count(*) FILTER (WHERE m = jsonb_build_object(''k'', c)), count(*) FILTER (WHERE ls = jsonb_build_array(jsonb_build_object(''x'', c), NULL))
     FROM duckdb.query(%L) q', format('SELECT c, [c, NULL] AS l, {x: c} AS s, MAP {''k'': c} AS m, [{x: c}, NULL] AS ls FROM (SELECT %I AS c FROM test_all_types())', name))
  INTO list_equal, struct_equal, map_equal, list_of_structs_equal;
END $$;
-- (jsonb keeps the nanoseconds that timestamp has no room for.)
SELECT name, (pg_temp.wrapped(name)).* FROM expectation WHERE in_duckdb NOT LIKE '%JSON%' AND name NOT IN ('union', 'timestamp_ns') ORDER BY position;
SELECT s->>'x' AS in_jsonb, c FROM duckdb.query('SELECT timestamp_ns AS c, {x: timestamp_ns} AS s FROM test_all_types()') ORDER BY c;
