-- The readers with their named options.
SET DateStyle = 'ISO, YMD';
SELECT duckdb.execute($$ COPY (SELECT i::INT AS i, 'v' || i AS v, i % 2 AS part FROM range(6) r(i)) TO 's3://lake/regress/parts' (FORMAT parquet, PARTITION_BY (part), OVERWRITE_OR_IGNORE) $$);
SELECT duckdb.execute($$ COPY (SELECT 1 AS id, 'a' AS name, DATE '2024-01-02' AS day UNION ALL SELECT 2, NULL, '2024-01-03') TO 's3://lake/regress/plain.csv' (HEADER, DELIMITER '|') $$);
SELECT duckdb.execute($$ COPY (SELECT 1 AS id, {x: [1, 2]} AS nested UNION ALL SELECT 2, NULL) TO 's3://lake/regress/lines.json' $$);
SELECT duckdb.execute($$ COPY (SELECT 1 AS a, 2 AS b) TO 's3://lake/regress/union1.parquet' $$);
SELECT duckdb.execute($$ COPY (SELECT 3 AS a, 4 AS c) TO 's3://lake/regress/union2.parquet' $$);

-- read_parquet
SELECT i, v, part, pg_typeof(part) FROM duckdb.read_parquet('s3://lake/regress/parts/*/*.parquet', hive_partitioning => true) ORDER BY i;
SELECT * FROM duckdb.read_parquet('s3://lake/regress/parts/*/*.parquet', hive_partitioning => false) WHERE i < 2 ORDER BY i;
SELECT i, pg_typeof(part) FROM duckdb.read_parquet('s3://lake/regress/parts/*/*.parquet', hive_types => '{"part": "SMALLINT"}', hive_partitioning => true) WHERE part = 1 ORDER BY i LIMIT 1;
SELECT pg_typeof(part) FROM duckdb.read_parquet('s3://lake/regress/parts/*/*.parquet', hive_types_autocast => false) LIMIT 1;
SELECT a, filename FROM duckdb.read_parquet('s3://lake/regress/setup.parquet', filename => true);
SELECT a, file_row_number FROM duckdb.read_parquet('s3://lake/regress/setup.parquet', file_row_number => true);
SELECT * FROM duckdb.read_parquet('{s3://lake/regress/union1.parquet,s3://lake/regress/union2.parquet}', union_by_name => true) ORDER BY a;
SELECT count(*) FROM duckdb.read_parquet(path => 's3://lake/regress/union1.parquet');
SELECT * FROM duckdb.read_parquet('s3://lake/regress/union1.parquet', NULL, true);
SELECT u.a, p.part FROM duckdb.read_parquet('s3://lake/regress/union1.parquet') u JOIN duckdb.read_parquet('s3://lake/regress/parts/*/*.parquet', hive_partitioning => true) p ON p.i = u.a;
CREATE TEMP TABLE read AS SELECT * FROM duckdb.read_parquet('s3://lake/regress/parts/*/*.parquet');
SELECT count(*) FROM read;

-- read_csv
SELECT *, pg_typeof(day) FROM duckdb.read_csv('s3://lake/regress/plain.csv') ORDER BY id;
SELECT * FROM duckdb.read_csv('s3://lake/regress/plain.csv', all_varchar => true, header => false, delim => '|', names => ARRAY['x', 'y', 'z']) ORDER BY x;
SELECT id, pg_typeof(id), pg_typeof(day) FROM duckdb.read_csv('s3://lake/regress/plain.csv', types => '{"id": "HUGEINT", "day": "VARCHAR"}') ORDER BY id LIMIT 1;
SELECT * FROM duckdb.read_csv('s3://lake/regress/plain.csv', columns => '{"a": "INTEGER", "b": "VARCHAR", "c": "DATE"}', delim => '|', header => true, auto_detect => false, nullstr => 'a', skip => 0) ORDER BY a;
SELECT count(*) FROM duckdb.read_csv('s3://lake/regress/plain.csv', sample_size => -1, ignore_errors => true);
-- read_json
SELECT id, nested, pg_typeof(nested) FROM duckdb.read_json('s3://lake/regress/lines.json') ORDER BY id;
SELECT * FROM duckdb.read_json('s3://lake/regress/lines.json', format => 'newline_delimited', columns => '{"id": "INTEGER"}') ORDER BY id;
SELECT * FROM duckdb.read_json('s3://lake/regress/lines.json', records => 'false', maximum_depth => 1) LIMIT 1;
-- read_text, read_blob
SELECT size, content FROM duckdb.read_text('s3://lake/regress/plain.csv');
SELECT filename, size, encode(substr(content, 1, 4), 'escape') AS start FROM duckdb.read_blob('s3://lake/regress/setup.parquet');

-- Mistakes.
SELECT testing.error_of($$ SELECT * FROM duckdb.read_parquet('s3://lake/regress/setup.parquet', no_such_option => true) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.read_parquet('s3://lake/regress/setup.parquet', filename => (SELECT true)) $$);
SELECT testing.hint_of($$ SELECT * FROM duckdb.read_parquet('s3://lake/regress/setup.parquet', filename => (SELECT true)) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.read_parquet('s3://lake/regress/setup.parquet', filename => 'perhaps') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.read_parquet('s3://lake/regress/' || 'setup.parquet') $$);
SELECT testing.hint_of($$ SELECT * FROM duckdb.read_parquet('s3://lake/regress/' || 'setup.parquet') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.read_parquet(NULL) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.read_parquet('s3://lake/regress/none.parquet') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.read_parquet('s3://lake/regress/plain.csv') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.read_csv('s3://lake/regress/plain.csv', columns => '{"a": "INTEGER", "b": "INTEGER", "c": "DATE"}', delim => '|', header => true, auto_detect => false) $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.read_csv('s3://lake/regress/plain.csv', columns => 'not json') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.read_csv('s3://lake/regress/plain.csv', delim => 'a, header = true) --') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.read_text('s3://lake/regress/it''s.txt') $$);
SELECT testing.error_of($$ SELECT duckdb.read_parquet('s3://lake/regress/setup.parquet') $$);
PREPARE prepared_path(text) AS SELECT * FROM duckdb.read_parquet($1);
