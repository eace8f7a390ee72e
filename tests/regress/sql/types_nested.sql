-- Lists as arrays; STRUCT, MAP, UNION, VARIANT as jsonb.
\set VERBOSITY terse
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'postgres';

\x on
SELECT * FROM duckdb.query($$
  SELECT int_array, double_array, date_array, timestamp_array, timestamptz_array, varchar_array,
         fixed_int_array, fixed_varchar_array, list_of_fixed_int_array,
         struct, struct_of_arrays, array_of_structs, map, "union", fixed_struct_array,
         struct_of_fixed_array
  FROM test_all_types()$$);
\x off

-- Elements of all kinds, NULLs among them.
SELECT * FROM duckdb.query($$SELECT [true, NULL] a, [1::TINYINT] b, ['inf'::FLOAT, 'nan'] c,
  [1.5::DECIMAL(4,2), -0.05, NULL] d, ['x', '', NULL, repeat('y', 200)] e, ['\xFF'::BLOB] f,
  ['101'::BIT] g, ['a'::ENUM('a')] h, ['10:00:00+01'::TIMETZ, NULL] i, [INTERVAL 1 DAY] j,
  ['01234567-89ab-cdef-0123-456789abcdef'::UUID, NULL] k, [1::HUGEINT] l, ['{}'::JSON] m, [NULL] n$$);
SELECT a, array_length(a, 1) AS length, a = '{}' AS empty, b, array_dims(b), c, array_ndims(c) AS none
  FROM duckdb.query($$SELECT []::INT[] a, [[[1, 2]], [[NULL, 4]]] b, [[], []]::INT[][] c$$) q;
-- Arrays that DuckDB's lists become are the arrays that PostgreSQL's own input makes.
SELECT count(*), count(*) FILTER (WHERE a <> a::text::int8[]) AS a, count(*) FILTER (WHERE b <> b::text::text[]) AS b,
       count(*) FILTER (WHERE c <> c::text::numeric[]) AS c, count(*) FILTER (WHERE d <> d::text::int8[]) AS d,
       sum((SELECT sum(x) FROM unnest(a) x)) AS sum
  FROM duckdb.query($$
    SELECT range(i % 5) a, ['s' || x FOR x IN range(i % 40)] b,
           [CASE WHEN x % 3 > 0 THEN (x / 4)::DECIMAL(10,2) END FOR x IN range(i % 20)] c,
           [[x, i] FOR x IN range(i % 4)] d FROM range(5000) r(i)$$) q;
-- What is no array.
SELECT * FROM duckdb.query('SELECT [[1], [2, 3]] a');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM duckdb.query('SELECT [[1], NULL] a');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM duckdb.query('SELECT [[1], [2, 3]]::JSON a');
SELECT * FROM duckdb.query($$SELECT ['5881580-07-10'::DATE] a$$);
\echo :LAST_ERROR_SQLSTATE
-- More than six dimensions are jsonb.
SELECT pg_typeof(a), a FROM duckdb.query('SELECT [[[[[[[1]]]]]]] a') q;

-- jsonb: numbers are exact, other values are text as to_jsonb has it.
SELECT jsonb_pretty(a) FROM duckdb.query($$SELECT {
  'bool': true, 'tiny': (-128)::TINYINT, 'ubigint': 18446744073709551615::UBIGINT,
  'hugeint': (-170141183460469231731687303715884105728)::HUGEINT,
  'bignum': '123456789012345678901234567890123456789012345'::BIGNUM,
  'decimal': (-0.050)::DECIMAL(6,3), 'wide': 12345678901234567890123456789.123456789::DECIMAL(38,9),
  'float': 0.1::FLOAT, 'double': 1e100, 'nan': 'nan'::DOUBLE, 'inf': '-inf'::FLOAT,
  'text': 'a"b\c' || chr(10) || '🦆', 'empty': '', 'json': '{"z": [1, {"y": null}], "a": "\u00e9"}'::JSON,
  'scalar json': '"x"'::JSON, 'blob': '\x00\xFF'::BLOB, 'bit': '0101'::BIT, 'enum': 'a'::ENUM('a', 'b'),
  'uuid': '01234567-89ab-cdef-0123-456789abcdef'::UUID, 'date': '0044-03-15 (BC)'::DATE,
  'infinity': 'infinity'::DATE, 'time': '24:00:00'::TIME, 'time_ns': '00:00:00.000000001'::TIME_NS,
  'timetz': '10:00:00.5-05:30:10'::TIMETZ, 'timestamp': '2020-01-01 00:00:00.000001'::TIMESTAMP,
  'timestamp_ns': '1969-12-31 23:59:59.999999999'::TIMESTAMP_NS, 'timestamp_s': '2020-01-01'::TIMESTAMP_S,
  'timestamptz': '2020-01-01 12:00:00+02'::TIMESTAMPTZ, 'interval': '14 months -3 days 01:00:00'::INTERVAL,
  'list': [1, NULL], 'array': [1, 2]::INT[2], 'struct': {'b': 1, 'a': NULL}, 'tuple': row(1, 'x'),
  'map': MAP {1.50::DECIMAL(4,2): 'x', 2: NULL}, 'pairs': MAP {[1]: 2},
  'union': union_value(k := 7)} a$$) q;
-- Keys: sorted as jsonb sorts them, more than one offset stride of them.
SELECT count(*), count(*) FILTER (WHERE m <> m::text::jsonb) AS wrong,
       count(*) FILTER (WHERE m->('key' || (n - 1)) <> to_jsonb(n - 1)) AS lost
  FROM duckdb.query($$
    SELECT i % 100 AS n, map(['key' || x FOR x IN range(i % 100)], range(i % 100)) AS m
    FROM range(1000) r(i)$$) q;
SELECT * FROM duckdb.query($$SELECT MAP {DATE '2020-01-01': 1} a, MAP {true: 1} b, MAP {}::MAP(VARCHAR, INT) c,
  [MAP {'k': [union_value(u := 'x')]}] d, [[{'x': NULL}]] e$$);
SELECT * FROM duckdb.query($$SELECT {'a': 'x' || chr(0)} a$$);
\echo :LAST_ERROR_SQLSTATE

-- VARIANT: whatever it holds.
SELECT pg_typeof(v), v FROM duckdb.query($$
  SELECT unnest([1::VARIANT, 'text'::VARIANT, NULL::VARIANT, true::VARIANT, (-0.05)::DECIMAL(4,2)::VARIANT,
    'nan'::DOUBLE::VARIANT, [1, 2]::VARIANT, {'b': {'c': ['x'::VARIANT, 1::VARIANT]}, 'a': NULL}::VARIANT,
    (-170141183460469231731687303715884105728)::HUGEINT::VARIANT, '\xAA'::BLOB::VARIANT,
    '2020-02-29'::DATE::VARIANT, '12:00:00.000000001'::TIME_NS::VARIANT, '10:00:00+01'::TIMETZ::VARIANT,
    '2020-01-01 00:00:00.000000001'::TIMESTAMP_NS::VARIANT, INTERVAL 1 MONTH::VARIANT,
    '123456789012345678901234567890123456789012345'::BIGNUM::VARIANT, '101'::BIT::VARIANT,
    '01234567-89ab-cdef-0123-456789abcdef'::UUID::VARIANT, MAP {'k': 1}::VARIANT,
    '{"a": null, "b": [1, {}]}'::JSON::VARIANT]) v$$) q;

-- GEOMETRY: well-known binary.
SELECT pg_typeof(g), g FROM duckdb.query($$SELECT 'POINT(1 2)'::GEOMETRY g$$) q;
