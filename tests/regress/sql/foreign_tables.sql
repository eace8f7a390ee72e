-- Foreign tables: columns, options, types, errors, partitions, import.
\getenv s3_endpoint S3_ENDPOINT
\getenv s3_region S3_REGION
\getenv s3_key_id S3_KEY_ID
\getenv s3_secret S3_SECRET
SET client_min_messages = warning;
SET DateStyle = 'ISO, YMD';
CREATE SCHEMA ft;
CREATE FUNCTION ft.columns_of(t regclass) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT format('%I %s%s', attname, format_type(atttypid, atttypmod), coalesce(' ' || attfdwoptions::text, ''))
  FROM pg_attribute WHERE attrelid = t AND attnum > 0 AND NOT attisdropped ORDER BY attnum
$$;
CREATE FUNCTION ft.options_of(t regclass) RETURNS text[] LANGUAGE sql AS $$ SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = t $$;
CREATE FUNCTION ft.detail_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  EXECUTE statement;
  RETURN 'OK';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN detail;
END $$;
SELECT duckdb.execute($$ COPY (SELECT i::INT AS i, 'n' || i AS name, 'n' || (i % 3) AS mood, [i, i + 1] AS l, {'a': i} AS s, (i / 4)::DECIMAL(10,2) AS d, DATE '2024-01-01' + i::INT AS day FROM range(10) r(i)) TO 's3://lake/regress/ft/a.parquet' $$);
SELECT duckdb.execute($$ COPY (SELECT i::INT AS i, 'v' || i AS v, i % 3 AS p, chr(97 + (i % 2)::INT) AS q FROM range(12) r(i)) TO 's3://lake/regress/ft/parts' (FORMAT parquet, PARTITION_BY (p, q), OVERWRITE_OR_IGNORE) $$);
SELECT duckdb.execute($$ COPY (SELECT 1 AS id, 'a;b' AS name, DATE '2024-01-02' AS day, 1.50::DECIMAL(6,2) AS amount UNION ALL SELECT 2, NULL, '2024-01-03', 2.25) TO 's3://lake/regress/ft/plain.csv' (HEADER, DELIMITER '|', NULLSTR 'nil') $$);
SELECT duckdb.execute($$ COPY (SELECT '007' AS code, 5 AS n) TO 's3://lake/regress/ft/code.csv' $$);
SELECT duckdb.execute($$ COPY (SELECT '007' AS code, 5 AS n) TO 's3://lake/regress/ft/code.csv.gz' $$);
SELECT duckdb.execute($$ COPY (SELECT '007' AS code, 5 AS n) TO 's3://lake/regress/ft/code.csv.zst' $$);
SELECT duckdb.execute($$ COPY (SELECT 1, 'x') TO 's3://lake/regress/ft/bare.csv' (HEADER false) $$);
SELECT duckdb.execute($$ COPY (SELECT 1 AS id, {x: [1, 2]} AS nested, 'b' AS t UNION ALL SELECT 2, NULL, '7') TO 's3://lake/regress/ft/lines.json' $$);
SELECT duckdb.execute($$ COPY (SELECT 1 AS id, 'b' AS t UNION ALL SELECT 2, '7') TO 's3://lake/regress/ft/array.json.gz' (ARRAY) $$);
SELECT duckdb.execute($$ COPY (SELECT 1 AS a, 2 AS b) TO 's3://lake/regress/ft/u/1.parquet' $$);
SELECT duckdb.execute($$ COPY (SELECT 3 AS a, 4 AS c) TO 's3://lake/regress/ft/u/2.parquet' $$);
SELECT duckdb.execute($$ COPY (SELECT 1 AS a WHERE false) TO 's3://lake/regress/ft/none.parquet' $$);

-- Columns of the files, or one's own.
CREATE FOREIGN TABLE ft.a () SERVER lake OPTIONS (path 's3://lake/regress/ft/a.parquet');
SELECT ft.columns_of('ft.a');
SELECT * FROM ft.a WHERE i < 2;
CREATE FOREIGN TABLE ft.own (day date, n bigint OPTIONS (column_name 'i'), "Name" varchar(10) OPTIONS (column_name 'name')) SERVER lake OPTIONS (path 's3://lake/regress/ft/a.parquet');
SELECT * FROM ft.own WHERE n = 3;
SELECT count(*), sum(n), max("Name") FROM ft.own;
CREATE FOREIGN TABLE ft.none () SERVER lake OPTIONS (path 's3://lake/regress/ft/none.parquet');
SELECT * FROM ft.none;

-- Types that the files have in another form.
CREATE TYPE ft.mood AS ENUM ('n0', 'n1', 'n2');
CREATE DOMAIN ft.positive AS int CHECK (VALUE >= 0);
CREATE DOMAIN ft.deeper AS ft.positive;
CREATE FOREIGN TABLE ft.forms (i ft.deeper, m ft.mood OPTIONS (column_name 'mood'), c char(4) OPTIONS (column_name 'name'), d numeric, big bigint OPTIONS (column_name 'i'), f float8 OPTIONS (column_name 'i'), ts timestamp OPTIONS (column_name 'day'), l int8[], s jsonb)
  SERVER lake OPTIONS (path 's3://lake/regress/ft/a.parquet');
SELECT i, m, c, c = 'n1' AS same, d, big, f, ts, l, s, s->'a' AS sa FROM ft.forms WHERE i < 3 AND big > 0;
SELECT i, m FROM ft.forms WHERE m > 'n1' ORDER BY i;
ALTER FOREIGN TABLE ft.forms ALTER COLUMN m OPTIONS (SET column_name 'name');
SELECT testing.error_of('SELECT m FROM ft.forms');
ALTER FOREIGN TABLE ft.forms ALTER COLUMN m OPTIONS (SET column_name 'mood');

-- What is wrong is said by table and column.
CREATE FOREIGN TABLE ft.wrong (i text, zz int, s int, l text[], d numeric(4,1), name date) SERVER lake OPTIONS (path 's3://lake/regress/ft/a.parquet');
SELECT c, testing.error_of(format('SELECT %I FROM ft.wrong', c)) FROM unnest('{i,zz,s,l,d,name}'::text[]) c;
SELECT ft.detail_of('SELECT zz FROM ft.wrong');
SELECT testing.hint_of('SELECT zz FROM ft.wrong');
CREATE FOREIGN TABLE ft.gone (i int) SERVER lake OPTIONS (path 's3://lake/regress/ft/gone.parquet');
CREATE FOREIGN TABLE ft.gone_pattern (i int) SERVER lake OPTIONS (path 's3://lake/regress/ft/gone/*.parquet');
SELECT testing.error_of('SELECT i FROM ft.gone'), testing.error_of('SELECT i FROM ft.gone_pattern');
SELECT testing.error_of($$ CREATE FOREIGN TABLE ft.x () SERVER lake OPTIONS (path 's3://lake/regress/ft/gone.parquet') $$);
CREATE FOREIGN TABLE ft.range (i money) SERVER lake OPTIONS (path 's3://lake/regress/ft/a.parquet');
SELECT testing.error_of('SELECT i FROM ft.range');
CREATE FOREIGN TABLE ft.digits (d numeric(50,2), day int) SERVER lake OPTIONS (path 's3://lake/regress/ft/a.parquet');
SELECT testing.error_of('SELECT d FROM ft.digits'), testing.error_of('SELECT sum(d) FROM ft.digits');
SELECT testing.error_of($$ SELECT * FROM duckdb.query('SELECT error(''pg_pond 57P01 not on the list'')') $$);

-- Parquet options.
CREATE FOREIGN TABLE ft.several () SERVER lake OPTIONS (path '{s3://lake/regress/ft/u/1.parquet,"s3://lake/regress/ft/u/2.parquet"}', union_by_name 'true', filename 'true', file_row_number 'yes');
SELECT ft.columns_of('ft.several');
SELECT a, b, c, right(filename, 11) AS file, file_row_number FROM ft.several ORDER BY a;
CREATE FOREIGN TABLE ft.not_united (a int, b int) SERVER lake OPTIONS (path 's3://lake/regress/ft/u/*.parquet');
SELECT testing.error_of('SELECT a, b FROM ft.not_united');
SELECT testing.hint_of('SELECT a, b FROM ft.not_united');
CREATE FOREIGN TABLE ft.parts () SERVER lake OPTIONS (path 's3://lake/regress/ft/parts/*/*/*.parquet');
SELECT ft.columns_of('ft.parts');
SELECT p, q, count(*), min(i) FROM ft.parts GROUP BY p, q ORDER BY p, q;
CREATE FOREIGN TABLE ft.parts_typed () SERVER lake OPTIONS (path 's3://lake/regress/ft/parts/**/*.parquet', hive_partitioning 'true', hive_types '{"p": "SMALLINT"}');
SELECT ft.columns_of('ft.parts_typed');
SELECT i, v FROM ft.parts_typed WHERE p = 2 AND q = 'b' ORDER BY i;
CREATE FOREIGN TABLE ft.parts_off () SERVER lake OPTIONS (path 's3://lake/regress/ft/parts/**/*.parquet', hive_partitioning 'false');
SELECT ft.columns_of('ft.parts_off');

-- CSV: with the table's types, and with options.
CREATE FOREIGN TABLE ft.plain () SERVER lake OPTIONS (path 's3://lake/regress/ft/plain.csv', delim '|', header 'true', nullstr 'nil');
SELECT ft.columns_of('ft.plain');
SELECT * FROM ft.plain ORDER BY id;
CREATE FOREIGN TABLE ft.plain_own (id smallint, name text, day timestamp, amount numeric(8,3)) SERVER lake OPTIONS (path 's3://lake/regress/ft/plain.csv', sep '|', nullstr 'nil');
SELECT * FROM ft.plain_own ORDER BY id;
CREATE FOREIGN TABLE ft.code (code text, n numeric(5,1)) SERVER lake OPTIONS (path 's3://lake/regress/ft/code.csv');
CREATE FOREIGN TABLE ft.code_gz (code varchar(3), n int) SERVER lake OPTIONS (path 's3://lake/regress/ft/code.csv.gz');
CREATE FOREIGN TABLE ft.code_zst (code char(5), n int) SERVER lake OPTIONS (path 's3://lake/regress/ft/code.csv.zst');
CREATE FOREIGN TABLE ft.code_any () SERVER lake OPTIONS (path 's3://lake/regress/ft/code.csv', all_varchar 'true');
SELECT * FROM ft.code, ft.code_gz, ft.code_zst, ft.code_any;
CREATE FOREIGN TABLE ft.bare (id int, t text) SERVER lake OPTIONS (path 's3://lake/regress/ft/bare.csv', header 'false', names '{id,t}');
SELECT * FROM ft.bare;
CREATE FOREIGN TABLE ft.numeric (code text, n numeric) SERVER lake OPTIONS (path 's3://lake/regress/ft/code.csv');
SELECT testing.error_of('SELECT n FROM ft.numeric');
CREATE FOREIGN TABLE ft.csv_wrong (code text, zz text) SERVER lake OPTIONS (path 's3://lake/regress/ft/code.csv');
SELECT testing.error_of('SELECT zz FROM ft.csv_wrong');
SELECT code FROM ft.csv_wrong;
SELECT count(*) FROM ft.csv_wrong;
CREATE FOREIGN TABLE ft.csv_value (code int, n date) SERVER lake OPTIONS (path 's3://lake/regress/ft/code.csv');
SELECT testing.sqlstate_of('SELECT n FROM ft.csv_value'), testing.sqlstate_of('SELECT code FROM ft.csv_value');

-- JSON.
CREATE FOREIGN TABLE ft.lines () SERVER lake OPTIONS (path 's3://lake/regress/ft/lines.json');
SELECT ft.columns_of('ft.lines');
SELECT * FROM ft.lines ORDER BY id;
CREATE FOREIGN TABLE ft.lines_own (id numeric(3), nested jsonb, t text, absent date) SERVER lake OPTIONS (path 's3://lake/regress/ft/lines.json', json_format 'newline_delimited');
SELECT id, nested, nested->'x'->>0 AS x, t, absent FROM ft.lines_own ORDER BY id;
CREATE FOREIGN TABLE ft.array_gz (id int, t text) SERVER lake OPTIONS (path 's3://lake/regress/ft/array.json.gz', json_format 'array');
SELECT * FROM ft.array_gz ORDER BY id;

-- Options that are wrong.
SELECT i, testing.error_of('CREATE FOREIGN TABLE ft.x (a int) SERVER lake OPTIONS (' || options || ')'), testing.hint_of('CREATE FOREIGN TABLE ft.x (a int) SERVER lake OPTIONS (' || options || ')') FROM (VALUES
  (1, $$path 's3://lake/regress/x.parquet', filenam 'true'$$),
  (2, $$path 's3://lake/regress/x.parquet', delim ','$$),
  (3, $$path 's3://lake/regress/x.parquet', filename 'perhaps'$$),
  (4, $$path 's3://lake/regress/x.csv', skip 'two'$$),
  (5, $$path 's3://lake/regress/x.csv', types 'int'$$),
  (6, $$path 's3://lake/regress/x', format 'orc'$$),
  (7, $$path 's3://lake/regress/x'$$),
  (8, $$format 'csv'$$),
  (9, $$path ''$$),
  (10, $$path '{s3://lake/regress/x.parquet,}'$$),
  (11, $$path 's3://lake/regress/../x.parquet'$$),
  (12, $$path 's3://lake/elsewhere/x.parquet'$$),
  (13, $$path 's3://lake/regress/x.parquet?s3_endpoint=evil'$$),
  (14, $$path 's3://lake/regress/x', format 'iceberg', hive_types '{}'$$),
  (15, $$path 's3://lake/regress/x', format 'delta', snapshot_from_id '1'$$),
  (16, $$path 's3://lake/regress/x', format 'iceberg', snapshot_from_id 'one'$$)
) o(i, options) ORDER BY i;
SELECT testing.error_of($$ CREATE FOREIGN TABLE ft.x (a int OPTIONS (column_nam 'b')) SERVER lake OPTIONS (path 's3://lake/regress/x.parquet') $$);
SELECT testing.sqlstate_of($$ CREATE FOREIGN TABLE ft.ok1 (a int) SERVER lake OPTIONS (path 's3://lake/regress/x', format 'iceberg', allow_moved_paths 'true', snapshot_from_id '12', version '3') $$);
SELECT testing.sqlstate_of($$ CREATE FOREIGN TABLE ft.ok2 (a int) SERVER lake OPTIONS (path 's3://lake/regress/x', format 'delta', version '3') $$);

-- ALTER checks like CREATE, and prepared plans follow it.
PREPARE follows AS SELECT count(*) FROM ft.own;
EXECUTE follows;
SELECT testing.error_of('ALTER FOREIGN TABLE ft.own OPTIONS (' || options || ')') FROM (VALUES
  (1, $$ADD delim ','$$), (2, $$SET path 's3://lake/other/a.parquet'$$), (3, $$DROP path$$), (4, $$ADD union_by_name '?'$$), (5, $$ADD format 'orc'$$)) o(i, options) ORDER BY i;
ALTER FOREIGN TABLE ft.own OPTIONS (SET path 's3://lake/regress/ft/none.parquet');
EXECUTE follows;
SELECT testing.error_of('SELECT n FROM ft.own');
ALTER FOREIGN TABLE ft.own OPTIONS (SET path '{s3://lake/regress/ft/a.parquet,s3://lake/regress/ft/a.parquet}', ADD filename 'true');
EXECUTE follows;
ALTER FOREIGN TABLE ft.own ADD COLUMN d numeric(10,2), DROP COLUMN day, ADD COLUMN filename text;
SELECT n, d, right(filename, 9) FROM ft.own WHERE n = 9;
ALTER FOREIGN TABLE ft.own ALTER COLUMN n OPTIONS (SET column_name 'nope');
SELECT testing.error_of('SELECT n FROM ft.own'), testing.error_of('ALTER FOREIGN TABLE ft.own ALTER COLUMN n OPTIONS (ADD colum_name ''x'')');
ALTER FOREIGN TABLE ft.own ALTER COLUMN n OPTIONS (DROP column_name);
ALTER FOREIGN TABLE ft.own RENAME COLUMN n TO i;
SELECT sum(i) FROM ft.own;
ALTER FOREIGN TABLE ft.own ALTER COLUMN i TYPE text;
SELECT testing.error_of('SELECT i FROM ft.own');

-- A location that moves away takes its tables out of use.
CREATE SERVER moving TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://lake/regress/ft/', endpoint :'s3_endpoint', region :'s3_region', url_style 'path', use_ssl 'false');
CREATE USER MAPPING FOR CURRENT_USER SERVER moving OPTIONS (key_id :'s3_key_id', secret :'s3_secret');
CREATE FOREIGN TABLE ft.moved () SERVER moving OPTIONS (path 's3://lake/regress/ft/u/1.parquet');
SELECT * FROM ft.moved;
ALTER SERVER moving OPTIONS (SET location 's3://lake/regress/ft/u2/');
SELECT testing.error_of('SELECT * FROM ft.moved');
ALTER SERVER moving OPTIONS (SET location 's3://lake/regress/ft/u/');
SELECT * FROM ft.moved;

-- Reading only.
SELECT testing.error_of(statement) FROM (VALUES (1, 'INSERT INTO ft.a (i) VALUES (1)'), (2, 'UPDATE ft.a SET i = 1'), (3, 'DELETE FROM ft.a'), (4, 'TRUNCATE ft.a'), (5, 'SELECT ctid FROM ft.a'), (6, 'CREATE INDEX ON ft.a (i)'), (7, 'SELECT xmin FROM ft.a'), (8, 'ALTER TABLE ft.a ENABLE ROW LEVEL SECURITY'), (9, 'COPY ft.a FROM ''/dev/null''')) s(i, statement) ORDER BY i;
SELECT testing.error_of('LOCK TABLE ft.a IN ACCESS SHARE MODE'), testing.error_of('COPY ft.a TO ''/dev/null''');
BEGIN;
DECLARE c CURSOR FOR SELECT i, name FROM ft.a ORDER BY i;
FETCH 2 FROM c;
MOVE 5 FROM c;
FETCH 1 FROM c;
COMMIT;
COPY (SELECT i, name FROM ft.a WHERE i > 7 ORDER BY i) TO STDOUT;
SELECT tableoid::regclass, i FROM ft.a WHERE i = 4;
SELECT a FROM ft.a a WHERE i = 4;

-- Joins with rows that are locked.
CREATE TABLE ft.heap AS SELECT i, 'h' || i AS h FROM generate_series(0, 4) i;
SELECT h.h, a.name FROM ft.heap h JOIN ft.a a USING (i) WHERE i > 2 ORDER BY h FOR UPDATE OF h;
UPDATE ft.heap h SET h = a.name FROM ft.a a WHERE a.i = h.i AND a.i = 1 RETURNING h.*, a.day;
DELETE FROM ft.heap h USING ft.a a WHERE a.i = h.i AND a.i > 2;
SELECT * FROM ft.heap ORDER BY i;
SELECT i, name FROM ft.a WHERE i < 2 ORDER BY i FOR UPDATE;

-- Names that DuckDB does not tell apart, or that need quotes.
SELECT duckdb.execute($$ COPY (SELECT 1 AS "A b", 2 AS "ü""x", 3 AS "select") TO 's3://lake/regress/ft/odd names, "x".parquet' $$);
CREATE FOREIGN TABLE ft."Odd ""t" () SERVER lake OPTIONS (path 's3://lake/regress/ft/odd names, "x".parquet');
SELECT ft.columns_of('ft."Odd ""t"');
SELECT * FROM ft."Odd ""t";
CREATE FOREIGN TABLE ft.cases (i int, "I" bigint, "NAME" text) SERVER lake OPTIONS (path 's3://lake/regress/ft/a.parquet');
SELECT i, "I", "NAME", cases FROM ft.cases WHERE "I" = 2;

-- Partitions, inheritance, UNION ALL.
CREATE TABLE ft.measured (i int, v text, p int) PARTITION BY LIST (p);
CREATE FOREIGN TABLE ft.measured_0 PARTITION OF ft.measured FOR VALUES IN (0) SERVER lake OPTIONS (path 's3://lake/regress/ft/parts/p=0/*/*.parquet', hive_partitioning 'true');
CREATE FOREIGN TABLE ft.measured_1 PARTITION OF ft.measured FOR VALUES IN (1) SERVER lake OPTIONS (path 's3://lake/regress/ft/parts/p=1/*/*.parquet', hive_partitioning 'true');
CREATE TABLE ft.measured_2 PARTITION OF ft.measured FOR VALUES IN (2);
INSERT INTO ft.measured SELECT i, v, p FROM ft.parts WHERE p = 2;
SELECT testing.error_of($$ INSERT INTO ft.measured VALUES (1, 'x', 1) $$);
SELECT tableoid::regclass, count(*), min(i), max(v) FROM ft.measured GROUP BY 1 ORDER BY 1;
SELECT i, v, p FROM ft.measured EXCEPT SELECT i, v, p FROM ft.parts;
SELECT i, v FROM ft.measured WHERE p = 1 ORDER BY i;
CREATE FUNCTION ft.relations_of(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
    RETURN QUERY SELECT m[1] FROM regexp_matches(line, 'ft\.measured_\d|(?<=on )measured_\d', 'g') m;
  END LOOP;
END $$;
SELECT DISTINCT replace(ft.relations_of('SELECT * FROM ft.measured WHERE p = 1'), 'ft.', '') AS read;
SELECT DISTINCT replace(ft.relations_of('SELECT * FROM ft.measured WHERE p > 0'), 'ft.', '') AS read ORDER BY 1;
SELECT i, v, tableoid::regclass FROM ft.measured WHERE i < 4 ORDER BY i FOR UPDATE;
DELETE FROM ft.measured WHERE p = 2 AND i = 2 RETURNING i, v;
SELECT testing.error_of('UPDATE ft.measured SET v = NULL'), testing.error_of('SELECT ctid FROM ft.measured');
ANALYZE ft.measured;
SELECT reltuples FROM pg_class WHERE oid = 'ft.measured'::regclass;
CREATE TABLE ft.parent (i int, v text);
INSERT INTO ft.parent VALUES (100, 'heap');
CREATE FOREIGN TABLE ft.child () INHERITS (ft.parent) SERVER lake OPTIONS (path 's3://lake/regress/ft/parts/*/*/*.parquet', hive_partitioning 'true');
SELECT count(*), max(i), min(v) FROM ft.parent;
CREATE VIEW ft.both AS SELECT i, v, 'heap' AS place FROM ft.parent WHERE false UNION ALL SELECT i, v, 'lake' FROM ft.child UNION ALL SELECT i, h, 'heap' FROM ft.heap;
SELECT place, count(*), sum(i) FROM ft.both GROUP BY place ORDER BY place;

-- Estimates and ANALYZE.
CREATE FUNCTION ft.estimate_of(statement text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT JSON) ' || statement INTO plan;
  RETURN plan->0->'Plan'->>'Plan Rows';
END $$;
SET duckdb.enable_pushdown = off;
SELECT ft.estimate_of('SELECT * FROM ft.a') AS a, ft.estimate_of('SELECT * FROM ft.parts') AS parts, ft.estimate_of('SELECT * FROM ft.code') AS csv, ft.estimate_of('SELECT * FROM ft.gone') AS unknown;
ANALYZE ft.a, ft.parts, ft.plain, ft.lines, ft.lines_own, ft.code, ft.code_gz, ft.forms (i), ft.none;
SELECT relname, reltuples FROM pg_class WHERE oid IN ('ft.a'::regclass, 'ft.parts'::regclass, 'ft.plain'::regclass, 'ft.lines'::regclass, 'ft.lines_own'::regclass, 'ft.code'::regclass, 'ft.code_gz'::regclass, 'ft.none'::regclass) ORDER BY 1;
SELECT attname, n_distinct, null_frac FROM pg_stats WHERE schemaname = 'ft' AND tablename = 'parts' ORDER BY 1;
SELECT ft.estimate_of('SELECT * FROM ft.parts WHERE p = 1');
SELECT testing.error_of('ANALYZE ft.wrong'), testing.error_of('ANALYZE ft.gone');
RESET duckdb.enable_pushdown;
-- The same for what is pushed down.
SELECT ft.estimate_of('SELECT * FROM ft.parts') AS all_rows, ft.estimate_of('SELECT * FROM ft.parts WHERE p = 1') AS some, ft.estimate_of('SELECT p, count(*) FROM ft.parts GROUP BY p') AS groups,
  ft.estimate_of('SELECT count(*) FROM ft.parts') AS one, ft.estimate_of('SELECT * FROM ft.several') AS unanalyzed;
-- Every type can be sampled; what no PostgreSQL value can be is left out of the file.
SELECT duckdb.execute($$ COPY (SELECT * EXCLUDE (nested_int_array, fixed_nested_int_array, fixed_nested_varchar_array, fixed_array_of_int_list) FROM (SELECT COLUMNS(c -> c NOT IN ('union', 'bignum', 'time_ns', 'date', 'timestamp', 'timestamp_s', 'timestamp_ms', 'timestamp_tz', 'varchar')), DATE '2024-01-01' AS date, TIMESTAMP '2024-01-01' AS timestamp, 'x' AS varchar, '{}'::JSON AS json, 1::VARIANT AS variant FROM test_all_types())) TO 's3://lake/regress/ft/all.parquet' $$) > 0 AS made;
CREATE FOREIGN TABLE ft.all_types () SERVER lake OPTIONS (path 's3://lake/regress/ft/all.parquet');
ANALYZE ft.all_types;
SELECT reltuples FROM pg_class WHERE oid = 'ft.all_types'::regclass;
SELECT count(*) AS columns, count(*) FILTER (WHERE null_frac < 1) AS with_values FROM pg_stats WHERE schemaname = 'ft' AND tablename = 'all_types';

-- IMPORT FOREIGN SCHEMA.
CREATE SCHEMA imported;
IMPORT FOREIGN SCHEMA "ft/" FROM SERVER lake INTO imported;
SELECT relname, ft.options_of(oid) FROM pg_class WHERE relnamespace = 'imported'::regnamespace AND relkind = 'f' ORDER BY relname COLLATE "C";
SELECT ft.columns_of('imported.parts');
SELECT ft.columns_of('imported.odd_names_x');
SELECT count(*) FROM imported.parts;
DROP SCHEMA imported CASCADE;
CREATE SCHEMA imported;
IMPORT FOREIGN SCHEMA "s3://lake/regress/ft/u/" LIMIT TO (_1) FROM SERVER lake INTO imported OPTIONS (filename 'true');
IMPORT FOREIGN SCHEMA "ft" EXCEPT (all_, a) FROM SERVER lake INTO imported OPTIONS (format 'csv', all_varchar 'true');
SELECT relname, ft.options_of(oid) FROM pg_class WHERE relnamespace = 'imported'::regnamespace AND relkind = 'f' ORDER BY relname COLLATE "C";
SELECT testing.error_of('IMPORT FOREIGN SCHEMA ' || statement), left(testing.hint_of('IMPORT FOREIGN SCHEMA ' || statement), 90) AS hint FROM (VALUES
  (1, '"nothing" FROM SERVER lake INTO imported'),
  (2, '"s3://lake/" FROM SERVER lake INTO imported'),
  (3, '"../x" FROM SERVER lake INTO imported'),
  (4, '"*" FROM SERVER lake INTO imported'),
  (5, '"ft" FROM SERVER lake INTO imported OPTIONS (path ''x'')'),
  (6, '"ft" FROM SERVER lake INTO imported OPTIONS (format ''orc'')'),
  (7, '"ft" FROM SERVER lake INTO imported OPTIONS (header ''maybe'')')) s(i, statement) ORDER BY i;

DROP SERVER moving CASCADE;
DROP SCHEMA imported, ft CASCADE;
