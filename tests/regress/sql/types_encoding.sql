-- A database whose encoding is not UTF8.
\set VERBOSITY terse
SELECT current_database() AS main \gset
CREATE DATABASE pond_latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
\c pond_latin1
SET client_encoding = 'UTF8';
SET client_min_messages = warning;
CREATE EXTENSION pg_pond;
SELECT a, octet_length(a) AS bytes, b, length(b), c, d FROM duckdb.query($$
  SELECT 'caf' || chr(233) AS a, 'caf' || chr(233) || ' and more than twelve bytes' AS b,
         {'k': ['x' || chr(233)]} AS c, ['y' || chr(233)] AS d$$) q;
SELECT * FROM duckdb.query($$SELECT ('{"k' || chr(233) || '": "\u00e9"}')::JSON a, {'j': ('{"k' || chr(233) || '": "\u00e9"}')::JSON} b$$);
-- The parameter reaches DuckDB as UTF-8.
SELECT * FROM duckdb.query('SELECT strlen($1) bytes, length($1) characters, $1 AS same', 'café'::text);
-- A character that the encoding lacks.
SELECT * FROM duckdb.query($$SELECT 'duck ' || chr(129414) AS a$$);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM duckdb.query($$SELECT {'a': chr(129414)} AS a$$);
\echo :LAST_ERROR_SQLSTATE
\c :main
DROP DATABASE pond_latin1;
