-- The extension comes and goes within one session.
SET client_min_messages = warning;
CREATE DATABASE regress_extension;
\c regress_extension
SET client_min_messages = warning;
SELECT * FROM duckdb.query('SELECT 1 AS a');
CREATE EXTENSION pg_pond;
SELECT a FROM duckdb.query('SELECT 1 AS a');
CREATE EXTENSION pg_pond;
CREATE EXTENSION IF NOT EXISTS pg_pond;
CREATE VIEW v AS SELECT * FROM duckdb.query('SELECT 1 AS a');
PREPARE p AS SELECT * FROM duckdb.query('SELECT 1 AS a');
EXECUTE p;
DROP EXTENSION pg_pond;
DROP EXTENSION pg_pond CASCADE;
SELECT to_regclass('v');
EXECUTE p;
SELECT * FROM duckdb.query('SELECT 1 AS a');
SELECT 1 AS still_here;
CREATE EXTENSION pg_pond;
SELECT b, c FROM duckdb.query('SELECT 2 AS b, ''x'' AS c') WHERE b = 2;
EXECUTE p;
CREATE VIEW v AS SELECT * FROM duckdb.query('SELECT 2 AS a');
SELECT * FROM v;
BEGIN;
DROP EXTENSION pg_pond CASCADE;
ROLLBACK;
SELECT * FROM v;
SELECT a FROM duckdb.query('SELECT 3 AS a');
-- Another database knows nothing of it; objects of the extension belong to it.
SELECT count(*) > 30 AS owned FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_pond') AND deptype = 'e';
CREATE SERVER s TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/');
DROP EXTENSION pg_pond;
DROP EXTENSION pg_pond CASCADE;
SELECT count(*) FROM pg_foreign_server;
SELECT count(*) FROM pg_proc WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'duckdb');
\c pond_regress
DROP DATABASE regress_extension;
