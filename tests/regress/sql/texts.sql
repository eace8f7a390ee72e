-- Text, bytes, bits, labels and JSON.

-- UTF-8 of every length; a length is in characters.
SELECT v, length(v), octet_length(v) FROM duckdb.query($$ SELECT * FROM (VALUES (1, ''), (2, 'a'), (3, 'é'), (4, '€'), (5, '🦆'), (6, 'aé€🦆'), (7, NULL), (8, e'tab\tnew\nline'), (9, '''"\')) v(i, v) $$) ORDER BY i;
-- The short and the long varlena header, and DuckDB's inlined and pointed-at strings: all lengths.
SELECT count(*), count(*) FILTER (WHERE octet_length(v) = n AND v = repeat('x', n::int)) AS equal
FROM duckdb.query('SELECT i AS n, repeat(''x'', i) AS v FROM range(0, 400) r(i)');
SELECT count(*), count(*) FILTER (WHERE char_length(v) = n AND v = repeat('🦆', n::int)) AS equal
FROM duckdb.query('SELECT i AS n, repeat(''🦆'', i) AS v FROM range(0, 400) r(i)');
SELECT n, length(v), md5(v) = md5(repeat('y', n::int)) AS equal FROM duckdb.query('SELECT i AS n, repeat(''y'', i) AS v FROM (VALUES (126), (127), (128), (8191), (65536), (10000000)) r(i)') ORDER BY n;
-- More than one batch of rows.
SELECT count(*), count(DISTINCT v), sum(length(v)) FROM duckdb.query('SELECT ''row '' || i AS v FROM range(10000) r(i)');
-- text has no NUL.
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT ''a'' || chr(0) || ''b'' AS t') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT [''a'', chr(0)] AS t') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT {a: chr(0)} AS t') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT {''a'': 1, (''b'' || chr(0)): 2} AS t') $$);
SELECT testing.hint_of($$ SELECT * FROM duckdb.query('SELECT chr(0) AS t') $$);
-- It only matters where the value is read.
SELECT n FROM duckdb.query('SELECT chr(0) AS t, 1 AS n');

-- BLOB
SELECT b, length(b) FROM duckdb.query($$ SELECT * FROM (VALUES (1, ''::BLOB), (2, '\x00'::BLOB), (3, 'a\x00b\x00'::BLOB), (4, '\xFF\xFE'::BLOB), (5, NULL), (6, encode('🦆'))) v(i, b) $$) ORDER BY i;
SELECT count(*), count(*) FILTER (WHERE upper(encode(b, 'hex')) = h) AS equal FROM duckdb.query('SELECT b, hex(b) AS h FROM (SELECT unhex(md5(i::VARCHAR))::BLOB AS b FROM range(1000) r(i))');
SELECT length(b), get_byte(b, 99999) FROM duckdb.query($$ SELECT repeat('x', 100000)::BLOB AS b $$);

-- BIT: any length, any padding.
SELECT b, length(b) FROM duckdb.query($$ SELECT * FROM (VALUES (1, '0'::BIT), (2, '1'), (3, '10101'), (4, '11111111'), (5, '000000001'), (6, NULL), (7, repeat('10', 40)::BIT)) v(i, b) $$) ORDER BY i;
SELECT count(*), count(*) FILTER (WHERE b::text = t AND b = t::varbit) AS equal FROM duckdb.query('SELECT t::BIT AS b, t FROM (SELECT rpad(bin(i), 1 + (i % 70)::INT, ''01'') AS t FROM range(2000) r(i))');

-- ENUM: its label.
SELECT e, pg_typeof(e), e < 'zebra' AS as_text FROM duckdb.query($$ SELECT * FROM (VALUES (1, 'sad'::ENUM('happy', 'sad', '🦆', '')), (2, 'happy'), (3, '🦆'), (4, ''), (5, NULL)) v(i, e) $$) ORDER BY i;
SELECT count(*), count(*) FILTER (WHERE e = t) AS equal FROM duckdb.query($$ SELECT e, e::VARCHAR AS t FROM (SELECT medium_enum AS e FROM test_all_types() UNION ALL SELECT ('enum_' || i)::ENUM('enum_0', 'enum_1', 'enum_2')::VARCHAR FROM range(3) r(i)) $$);

-- JSON: DuckDB's text as it is.
SELECT j, pg_typeof(j), j->'b'->>1 AS b1 FROM duckdb.query($$ SELECT '{"a": 1.50, "b": [null, "🦆"], "a": 2}'::JSON AS j $$);
SELECT j FROM duckdb.query($$ SELECT * FROM (VALUES (1, 'null'::JSON), (2, '"x"'), (3, '1e400'), (4, '[]'), (5, NULL), (6, '"\u0000"')) v(i, j) $$) ORDER BY i;
SELECT to_jsonb(j) FROM duckdb.query($$ SELECT {'a': 1}::JSON AS j $$);

-- A query of no columns' names, of none type.
SELECT n, pg_typeof(n) FROM duckdb.query('SELECT NULL AS n');
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT ''x''::VARCHAR AS a, 1::INTEGER AS b') q(a, b, c) $$);

-- char(n), padding: a heap table's own.
CREATE TEMP TABLE padded (c char(5));
INSERT INTO padded SELECT * FROM duckdb.query('SELECT ''ab''');
SELECT c || '|', octet_length(c), p.c = q.c AS equal FROM padded p JOIN duckdb.query('SELECT ''ab'' AS c') q USING (c);
SELECT p.c || '|' AS c FROM padded p;
