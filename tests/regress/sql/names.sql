-- Names of columns: case, duplicates, quotes, length; no rows, very many columns.
SELECT "Mixed", "UPPER", lower FROM duckdb.query('SELECT 1 AS Mixed, 2 AS UPPER, 3 AS lower');
SELECT testing.error_of($$ SELECT Mixed FROM duckdb.query('SELECT 1 AS Mixed') $$);
SELECT "two words", "select", "ünï🦆", "a""b", "1st", "a.b", "it's", "$1" FROM duckdb.query($$ SELECT 1 AS "two words", 2 AS "select", 3 AS "ünï🦆", 4 AS "a""b", 5 AS "1st", 6 AS "a.b", 7 AS "it's", 8 AS "$1" $$) WHERE "two words" = 1 AND "a""b" = 4;
SELECT * FROM duckdb.query($$ SELECT 1 AS " ", 2 AS "a b" $$) WHERE " " = 1;
SELECT * FROM duckdb.query('SELECT 1 + 1, upper(''x'')');
SELECT "(1 + 1)" FROM duckdb.query('SELECT 1 + 1');

-- Duplicates get a number, as in DuckDB's own sub-queries.
SELECT a, a_1 FROM duckdb.query('SELECT 1 AS a, 2 AS a');
SELECT a, a_1, a_2 FROM duckdb.query('SELECT 1 AS a, 2 AS a, 3 AS a') WHERE a_2 = 3;
SELECT a_1, a, a_2 FROM duckdb.query('SELECT 1 AS a, 2 AS a_1, 3 AS a');
CREATE VIEW duplicates AS SELECT * FROM duckdb.query('SELECT 1 AS a, 2 AS a, 3 AS b');
SELECT b, a_1, a FROM duplicates WHERE a_1 = 2;
DROP VIEW duplicates;
CREATE TEMP TABLE duplicates AS SELECT * FROM duckdb.query('SELECT 1 AS a, 2 AS a, 3 AS b');
SELECT * FROM duplicates;
-- DuckDB's names have no case.
SELECT a, "A_1" FROM duckdb.query('SELECT 1 AS a, 2 AS A');
SELECT a, "A_1" FROM duckdb.query('SELECT 1 AS a, 2 AS A') WHERE "A_1" = 2;

-- 63 bytes are PostgreSQL's limit; longer ones are cut at a character, and stay apart.
SELECT count(*) FROM duckdb.query($$ SELECT 1 AS abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz_abcdefghi $$) q WHERE abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz_abcdefghi = 1;
CREATE TEMP TABLE long_names AS SELECT * FROM duckdb.query($$ SELECT 1 AS aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg_one, 2 AS aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg_two, 3 AS "🦆🦆🦆🦆🦆🦆🦆🦆🦆🦆🦆🦆🦆🦆🦆🦆🦆🦆🦆🦆" $$);
SELECT attname, octet_length(attname::text) FROM pg_attribute WHERE attrelid = 'long_names'::regclass AND attnum > 0 ORDER BY attnum;
SELECT * FROM long_names;
SELECT aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg_one AS one FROM duckdb.query($$ SELECT 1 AS aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg_one $$);
CREATE VIEW long_name AS SELECT * FROM duckdb.query($$ SELECT 1 AS aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg_one $$);
SELECT aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg_one = 1 AS equal FROM long_name WHERE aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg_one = 1;
DROP VIEW long_name;

-- Names that the rewritten query might use itself.
SELECT __a, c0, c1, "pg_pond query" FROM duckdb.query($$ SELECT 1 AS __a, 2 AS c1, 3 AS c0, 4 AS "pg_pond query" $$) WHERE c0 = 3 AND c1 = 2 AND "pg_pond query" = 4;
SELECT rowid, "FILENAME" FROM duckdb.query('SELECT 1 AS rowid, 2 AS FILENAME') WHERE rowid = 1;
SELECT oid, ctid_ FROM duckdb.query('SELECT 1 AS oid, 2 AS ctid_');
SELECT tableoid FROM duckdb.query('SELECT 1 AS tableoid') q WHERE q.tableoid = 1;

-- No rows.
SELECT * FROM duckdb.query('SELECT 1 AS a, ''x'' AS b WHERE false');
SELECT count(*), max(a) FROM duckdb.query('SELECT 1 AS a WHERE false');
CREATE TEMP TABLE empty AS SELECT * FROM duckdb.query('SELECT 1 AS a, [1.5] AS b WHERE false');
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'empty'::regclass AND attnum > 0 ORDER BY attnum;

-- 1,600 columns fit a table; PostgreSQL's row has at most 1,664.
CREATE FUNCTION pg_temp.wide(columns int) RETURNS text LANGUAGE sql AS $$
  SELECT 'SELECT ' || string_agg(format('%s::INT AS c%s', i, i), ', ' ORDER BY i) || ' FROM range(3)' FROM generate_series(1, columns) i $$;
DO $f$
DECLARE first bigint; sums record;
BEGIN
  EXECUTE format('CREATE TEMP TABLE wide AS SELECT * FROM duckdb.query(%L)', pg_temp.wide(1600));
  SELECT sum(c1), sum(c1600) INTO sums FROM wide;
  RAISE NOTICE '% %', (SELECT count(*) FROM pg_attribute WHERE attrelid = 'wide'::regclass AND attnum > 0), sums;
  EXECUTE format('SELECT c1664 + c1 FROM duckdb.query(%L)', pg_temp.wide(1664)) INTO first;
  RAISE NOTICE '%', first;
END $f$;
SELECT testing.error_of(format('SELECT * FROM duckdb.query(%L)', pg_temp.wide(1664)));
SELECT testing.error_of(format('SELECT c1 FROM duckdb.query(%L)', pg_temp.wide(1665)));
SELECT testing.error_of(format('SELECT q FROM duckdb.query(%L) q', pg_temp.wide(1600)));

-- Large values and long results, stopped early.
SELECT length(v) FROM duckdb.query('SELECT repeat(''x'', 50000000) AS v');
SELECT a FROM duckdb.query('SELECT a FROM range(1000000000) r(a)') LIMIT 3;
SELECT count(*), sum(a) FROM duckdb.query('SELECT a FROM range(300000) r(a)');
