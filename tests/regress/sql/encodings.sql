-- Databases of other encodings: names, texts, parameters and conditions are converted both ways.
SET client_min_messages = warning;
CREATE DATABASE regress_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE regress_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_latin1
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
CREATE EXTENSION pg_pond;
-- Columns' names, literals in DuckDB's SQL, values.
SELECT "naïve", octet_length("naïve") AS bytes, "naïve" = 'café' AS equal FROM duckdb.query('SELECT ''café'' AS naïve') WHERE "naïve" = 'café';
SELECT "naïve" FROM duckdb.query('SELECT * FROM (VALUES (''café''), (''caffè''), (''z'')) v(naïve)') WHERE "naïve" IN ('café', 'z') ORDER BY 1;
SET duckdb.enable_pushdown = off;
SELECT "naïve" FROM duckdb.query('SELECT * FROM (VALUES (''café''), (''caffè''), (''z'')) v(naïve)') WHERE "naïve" IN ('café', 'z') ORDER BY 1;
RESET duckdb.enable_pushdown;
-- Order by bytes differs between the encodings of one character set no more than the characters do.
SELECT string_agg(c, '' ORDER BY c COLLATE "C") FROM duckdb.query('SELECT chr(i::INT) AS c FROM range(192, 256) r(i)') WHERE c COLLATE "C" > 'ü';
-- Parameters.
SELECT a, b, c FROM duckdb.query('SELECT $1 AS a, length($1) AS b, $2[1] || $1 AS c', 'é'::text, ARRAY['ß']);
SELECT count(*) FROM duckdb.query('SELECT i, chr(i::INT) AS c FROM range(160, 256) r(i)') WHERE ascii(c) = i AND c = chr(i::int);
-- Lists, structs, enums, JSON.
SELECT * FROM duckdb.query('SELECT [''é''] AS l, {é: ''ü''} AS s, ''ö''::ENUM(''ö'') AS e, ''{"ä": "\u00e9"}''::JSON AS j, MAP {''é'': 1} AS m');
-- What the encoding lacks.
\set VERBOSITY sqlstate
SELECT * FROM duckdb.query('SELECT chr(8364) AS euro');
SELECT * FROM duckdb.query('SELECT [chr(129414)] AS duck');
SELECT * FROM duckdb.query('SELECT {a: chr(129414)} AS duck');
SELECT * FROM duckdb.query('SELECT ''{"a": "'' || chr(129414) || ''"}'' AS duck');
SELECT n FROM duckdb.query('SELECT chr(129414) AS duck, 1 AS n');
\set VERBOSITY default
-- Views and functions keep the text.
CREATE VIEW v AS SELECT * FROM duckdb.query('SELECT ''é'' AS é, length(''é'') AS n');
SELECT pg_get_viewdef('v') LIKE '%''''é'''' AS é%' AS kept;
SELECT * FROM v WHERE "é" = 'é';
CREATE FUNCTION f(t text) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT q.x FROM duckdb.query('SELECT ''é'' || $1 AS x', t) q; END;
SELECT f('ü');
SELECT * FROM duckdb.describe('SELECT 1 AS "é"');
SELECT * FROM duckdb.query_rows('SELECT ''' || 'é' || '''') AS t(a text);
SELECT * FROM duckdb.query('SELECT é FROM range(1)');
EXPLAIN (COSTS OFF) SELECT * FROM duckdb.query('SELECT ''é'' AS é');
\c regress_ascii
SET client_min_messages = warning;
CREATE EXTENSION pg_pond;
-- SQL_ASCII has no conversion: bytes go as they are, and must be UTF-8 on the way to DuckDB.
SELECT a, octet_length(a) AS bytes, length(a) AS length FROM duckdb.query('SELECT ''é🦆'' AS a');
SELECT a, n FROM duckdb.query('SELECT $1 AS a, length($1) AS n', 'é'::text) WHERE a = 'é';
\set VERBOSITY sqlstate
SELECT a FROM duckdb.query('SELECT $1 AS a', convert_from('\xe9', 'SQL_ASCII'));
DO $$ BEGIN EXECUTE convert_from('SELECT * FROM duckdb.query(''SELECT 1 AS "'::bytea || '\xe9'::bytea || '"'')'::bytea, 'SQL_ASCII'); END $$;
\set VERBOSITY default
SELECT a FROM duckdb.query('SELECT 1 AS a');
\c pond_regress
DROP DATABASE regress_latin1;
DROP DATABASE regress_ascii;
