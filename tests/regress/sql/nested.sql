-- Lists as arrays; STRUCT, MAP, UNION, VARIANT as jsonb.

-- Lists of every scalar type: the array's type, its elements, a NULL among them, and none.
SELECT name, postgres_type FROM duckdb.describe($$ SELECT [true] AS bool, [1::TINYINT] AS tinyint, [1::SMALLINT] AS smallint, [1] AS int, [1::BIGINT] AS bigint, [1::HUGEINT] AS hugeint,
  [1::UTINYINT] AS utinyint, [1::UBIGINT] AS ubigint, [1.5::DECIMAL(4,1)] AS dec, [1.5::FLOAT] AS float, [1.5::DOUBLE] AS double, ['a'] AS varchar, ['a'::BLOB] AS blob, ['1'::BIT] AS bit,
  [DATE '2000-01-01'] AS date, [TIME '00:00'] AS time, ['00:00+00'::TIMETZ] AS timetz, [TIMESTAMP '2000-01-01'] AS ts, ['2000-01-01 00:00:00+00'::TIMESTAMPTZ] AS tstz, [INTERVAL 1 DAY] AS interval,
  ['00000000-0000-0000-0000-000000000001'::UUID] AS uuid, ['{}'::JSON] AS json, ['a'::ENUM('a')] AS enum, [{a: 1}] AS struct, [MAP {'a': 1}] AS map, [[1]] AS int2, [[[1]]] AS int3, [1, 2]::INT[2] AS fixed,
  [[[[[[1]]]]]] AS int6, [[[[[[[1]]]]]]] AS int7, [NULL] AS nulls, [] AS nothing $$);
SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC'; SET IntervalStyle = 'postgres';
\x
SELECT * FROM duckdb.query($$ SELECT [true, NULL, false] AS bool, [1::TINYINT, NULL] AS tinyint, [-1::SMALLINT, NULL] AS smallint, [NULL, 1] AS int, [1::BIGINT, NULL, 3] AS bigint, [1::HUGEINT << 100, NULL] AS hugeint,
  [255::UTINYINT] AS utinyint, [18446744073709551615::UBIGINT, NULL] AS ubigint, [-0.5::DECIMAL(4,1), NULL, 999.9] AS dec, ['nan'::FLOAT, 'inf', NULL, '-inf'] AS float, ['nan'::DOUBLE, NULL, '-inf'] AS double,
  ['a', NULL, '', 'NULL', 'a,b', '"', '\'] AS varchar, ['a\x00'::BLOB, NULL, ''::BLOB] AS blob, ['101'::BIT, NULL] AS bit,
  ['infinity'::DATE, NULL, '2000-01-01'] AS date, [TIME '24:00', NULL] AS time, ['12:00:00+05:30'::TIMETZ, NULL] AS timetz, [TIMESTAMP '2000-01-01', NULL, '-infinity'] AS ts, ['2000-01-01 00:00:00+00'::TIMESTAMPTZ, NULL] AS tstz, [INTERVAL 1 DAY, NULL, INTERVAL '-3 months'] AS interval,
  ['ffffffff-0000-0000-0000-000000000001'::UUID, NULL] AS uuid, ['{"a":[]}'::JSON, NULL] AS json, ['a'::ENUM('a', 'b'), NULL, 'b'] AS enum, [1, NULL]::INT[2] AS fixed, [NULL] AS nulls, [] AS nothing $$);
\x
-- Elements work as PostgreSQL's: subscripts, ANY, lengths, unnest, comparison, the btree, the binary form.
SELECT a[2], a[4], 3 = ANY (a) AS has, array_length(a, 1), cardinality(a), array_lower(a, 1), a = ARRAY[1, NULL, 3] AS equal, a || 4 AS longer, array_send(a) = array_send(ARRAY[1, NULL, 3]) AS same_binary
FROM duckdb.query('SELECT [1, NULL, 3] AS a');
SELECT a = ARRAY['x', 'yy', repeat('z', 200)] AS equal, array_send(a) = array_send(ARRAY['x', 'yy', repeat('z', 200)]) AS same_binary FROM duckdb.query('SELECT [''x'', ''yy'', repeat(''z'', 200)] AS a');
SELECT array_send(a) = array_send(ARRAY['12:00:00+05:30'::timetz, NULL, '00:00:00-01']) AS timetz, array_send(b) = array_send(ARRAY['1 day'::interval, NULL]) AS interval, array_send(c) = array_send(ARRAY['0.5'::numeric, NULL, '-1.0'::numeric]) AS numeric, array_send(d) = array_send(ARRAY[true, NULL, false]) AS bool, array_send(e) = array_send(ARRAY['00000000-0000-0000-0000-000000000001'::uuid, NULL, 'ffffffff-0000-0000-0000-000000000001']) AS uuid, array_send(f) = array_send(ARRAY[1::int2, NULL, -2::int2]) AS int2
FROM duckdb.query($$ SELECT ['12:00:00+05:30'::TIMETZ, NULL, '00:00:00-01'] AS a, [INTERVAL 1 DAY, NULL] AS b, [0.5::DECIMAL(2,1), NULL, -1] AS c, [true, NULL, false] AS d, ['00000000-0000-0000-0000-000000000001'::UUID, NULL, 'ffffffff-0000-0000-0000-000000000001'] AS e, [1::SMALLINT, NULL, -2] AS f $$);
SELECT u, ord FROM duckdb.query('SELECT [''a'', NULL, ''c''] AS a') q, unnest(q.a) WITH ORDINALITY AS t(u, ord);
-- Many lists of many lengths.
SELECT count(*), count(*) FILTER (WHERE a = ARRAY(SELECT g FROM generate_series(0, n - 1) g)) AS equal FROM duckdb.query('SELECT i::INT AS n, range(i)::INT[] AS a FROM range(0, 300) r(i)');
SELECT count(*), sum(cardinality(a)), count(*) FILTER (WHERE a IS NULL) AS nulls FROM duckdb.query('SELECT CASE WHEN i % 10 <> 0 THEN list_transform(range(i % 7), x -> ''v'' || x) END AS a FROM range(5000) r(i)');

-- More dimensions, rectangular.
SELECT a, array_ndims(a), array_dims(a), b, array_dims(b), c, d FROM duckdb.query('SELECT [[1, 2], [3, NULL]] AS a, [[[''a''], [''b'']], [[''c''], [NULL]]] AS b, [[1, 2], [3, 4]]::INT[2][2] AS c, [[]] AS d');
-- Ragged ones, and NULL in place of a list, cannot be arrays.
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT [[1, 2], [3]] AS a') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT [[1, 2], NULL] AS a') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT [[], [1]] AS a') $$);
SELECT testing.hint_of($$ SELECT * FROM duckdb.query('SELECT [[1, 2], [3]] AS a') $$);
SELECT a FROM duckdb.query('SELECT [[1, 2], [3], NULL]::JSON AS a');
-- Beyond six dimensions, jsonb.
SELECT a, pg_typeof(a) FROM duckdb.query('SELECT [[[[[[[1, NULL]]]]]]] AS a');

-- STRUCT: keys in jsonb's order, values exact.
SELECT s, pg_typeof(s), s->'b' AS b FROM duckdb.query($$ SELECT {bb: 1, a: 'x', b: NULL, 'C c': [1, 2], d: {d: DATE '2000-01-01'}} AS s $$);
SELECT s FROM duckdb.query($$ SELECT * FROM (VALUES (1, {a: 1}), (2, {a: NULL}), (3, NULL)) v(i, s) $$) ORDER BY i;
-- Every scalar inside of one: numbers are numbers, bytes are hex, times are ISO.
\x
SELECT s.key, s.value, jsonb_typeof(s.value) FROM duckdb.query($$ SELECT {bool: true, tinyint: -1::TINYINT, bigint: (-9223372036854775808)::BIGINT, hugeint: 170141183460469231731687303715884105727::HUGEINT, uhugeint: 340282366920938463463374607431768211455::UHUGEINT,
  dec: -0.050::DECIMAL(4,3), float: 0.1::FLOAT, double: 1e300::DOUBLE, nan: 'nan'::DOUBLE, inf: '-inf'::DOUBLE, negative_zero: '-0.0'::DOUBLE, varchar: e'a"\n🦆', blob: 'a\x00'::BLOB, bit: '101'::BIT, uuid: 'ffffffff-0000-0000-0000-000000000001'::UUID,
  date: DATE '2000-01-01', infinite_date: 'infinity'::DATE, bc: '0044-03-15 (BC)'::DATE, time: TIME '12:34:56.7', timetz: '12:34:56.7+05:30'::TIMETZ, ts: TIMESTAMP '2000-01-01 12:34:56.000007', ts_ns: '2000-01-01 12:34:56.123456789'::TIMESTAMP_NS, tstz: '2000-01-01 12:00:00+02'::TIMESTAMPTZ,
  interval: INTERVAL '1 year 2 days 3.5 seconds', json: '{"z": [1, null], "y": 1.0}'::JSON, enum: 'b'::ENUM('a', 'b'), list: [1, NULL], ragged: [[1], [], NULL], nothing: NULL, bignum: '123456789012345678901234567890123456789012345678901234567890'::BIGNUM} AS s $$) q, jsonb_each(q.s) s;
\x
-- The jsonb is PostgreSQL's own: equal to what it parses, indexable, usable with its operators.
SELECT s = '{"a": [1, {"b": "x"}], "c": {"k": null}}'::jsonb AS equal, s @> '{"a": [1]}' AS contains, s ? 'c' AS has, jsonb_send(s) = jsonb_send('{"a": [1, {"b": "x"}], "c": {"k": null}}'::jsonb) AS same_binary, jsonb_hash(s) = jsonb_hash('{"a": [1, {"b": "x"}], "c": {"k": null}}'::jsonb) AS same_hash
FROM duckdb.query($$ SELECT {c: {k: NULL}, a: ['1'::JSON, {b: 'x'}::JSON]} AS s $$);
SELECT count(*), count(*) FILTER (WHERE s = j::jsonb) AS equal FROM duckdb.query($$ SELECT s, to_json(s) AS j FROM (SELECT {i: i, t: 'v' || i, l: range(i % 5), n: {x: i / 4, y: CASE WHEN i % 3 = 0 THEN NULL ELSE i END}} AS s FROM range(3000) r(i)) $$);
-- A tuple without names.
SELECT r, pg_typeof(r) FROM duckdb.query('SELECT row(1, ''a'', NULL) AS r');

-- MAP: scalar keys become an object's, others a list of pairs.
SELECT m FROM duckdb.query($$ SELECT * FROM (VALUES (1, MAP {'b': 1, 'a': NULL}), (2, MAP {}), (3, NULL)) v(i, m) $$) ORDER BY i;
SELECT a, b, c, d FROM duckdb.query($$ SELECT MAP {2: 'x', 10: 'y'} AS a, MAP {DATE '2000-01-01': [1]} AS b, MAP {[1, 2]: 'x'} AS c, MAP {'k': MAP {'l': 1}} AS d $$);
-- UNION: the value of the member at hand.
SELECT u FROM duckdb.query($$ SELECT i, u FROM (VALUES (1, union_value(num := 1)), (2, union_value(num := NULL))) v(i, u) $$) ORDER BY i;
SELECT u, pg_typeof(u) FROM duckdb.query($$ SELECT v::UNION(num INT, str VARCHAR) AS u FROM (VALUES (1::UNION(num INT, str VARCHAR)), ('one'), (NULL)) t(v) $$);
-- VARIANT: values of any type.
SELECT v, pg_typeof(v) FROM duckdb.query($$ SELECT i, v FROM (SELECT 1 AS i, 42::VARIANT AS v UNION ALL SELECT 2, 'x'::VARIANT UNION ALL SELECT 3, {a: [1, NULL]}::VARIANT UNION ALL SELECT 4, NULL UNION ALL SELECT 5, (1.50)::VARIANT UNION ALL SELECT 6, DATE '2000-01-01'::VARIANT UNION ALL SELECT 7, true::VARIANT) $$) ORDER BY i;

-- GEOMETRY: well-known binary.
SELECT g, pg_typeof(g) FROM duckdb.query($$ SELECT 'POINT (1 2)'::GEOMETRY AS g $$);
