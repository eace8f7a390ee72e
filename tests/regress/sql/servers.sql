-- Servers, user mappings, settings and the functions for administrators.
\getenv s3_endpoint S3_ENDPOINT
\getenv s3_region S3_REGION
\getenv lake_key_id S3_LAKE_KEY_ID
\getenv lake_secret S3_LAKE_SECRET
\getenv vault_key_id S3_VAULT_KEY_ID
\getenv vault_secret S3_VAULT_SECRET
SET client_min_messages = warning;

-- Options: each with a wrong name or value, of servers and of mappings.
SELECT testing.error_of($$ CREATE SERVER x TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/', no_such_option '1') $$);
SELECT testing.hint_of($$ CREATE SERVER x TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/', no_such_option '1') $$);
SELECT statement, testing.error_of('CREATE SERVER x ' || statement) FROM (VALUES
  (1, $$TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/', key_id 'k')$$),
  (2, $$TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/', secret 'very secret')$$),
  (3, $$TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/', use_ssl 'perhaps')$$),
  (4, $$TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/', url_style 'sideways')$$),
  (5, $$TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 'http://x/')$$),
  (6, $$TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/../y/')$$),
  (7, $$TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location '')$$),
  (8, $$TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://')$$),
  (9, $$TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/', writable 'maybe')$$),
  (10, $$TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/', endpoint 'host:1/path?x=y')$$),
  (11, $$TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://*/')$$),
  (12, $$TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/?s3_endpoint=evil')$$)
) s(i, statement) ORDER BY i;
SELECT testing.error_of($$ CREATE SERVER x FOREIGN DATA WRAPPER duckdb OPTIONS (endpoint 'e') $$);
CREATE ROLE regress_srv;
GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql), duckdb.query(duckdb.sql, "any"), duckdb.execute(text), duckdb.settings() TO regress_srv;
SELECT duckdb.execute('COPY (SELECT 1 AS a) TO ''s3://lake/regress/servers/x.parquet''');
CREATE SERVER s TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://lake/regress/servers/', endpoint :'s3_endpoint', region :'s3_region', url_style 'path', use_ssl 'false');
SELECT testing.error_of($$ CREATE USER MAPPING FOR regress_srv SERVER s OPTIONS (key_id 'k', password 'very secret') $$);
SELECT testing.hint_of($$ CREATE USER MAPPING FOR regress_srv SERVER s OPTIONS (key_id 'k', password 'very secret') $$);
SELECT testing.error_of($$ CREATE USER MAPPING FOR regress_srv SERVER s OPTIONS (location 's3://x/') $$);
SELECT testing.error_of($$ CREATE FOREIGN DATA WRAPPER w VALIDATOR duckdb.fdw_validator OPTIONS (nothing '1') $$);

-- A role reads with a grant and a mapping, and not without.
SET ROLE regress_srv;
SELECT testing.error_of($$ SELECT * FROM duckdb.query('FROM ''s3://lake/regress/servers/x.parquet''') $$) AS neither;
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER s TO regress_srv;
SET ROLE regress_srv;
SELECT testing.error_of($$ SELECT * FROM duckdb.query('FROM ''s3://lake/regress/servers/x.parquet''') $$) AS usage_only;
RESET ROLE;
CREATE USER MAPPING FOR regress_srv SERVER s OPTIONS (key_id :'lake_key_id', secret :'lake_secret');
SET ROLE regress_srv;
SELECT * FROM duckdb.query('FROM ''s3://lake/regress/servers/x.parquet''');
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER s FROM regress_srv;
SET ROLE regress_srv;
SELECT testing.error_of($$ SELECT * FROM duckdb.query('FROM ''s3://lake/regress/servers/x.parquet''') $$) AS mapping_only;
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER s TO PUBLIC;
SET ROLE regress_srv;
SELECT * FROM duckdb.query('FROM ''s3://lake/regress/servers/x.parquet''');
-- Nothing beside the location.
SELECT statement, testing.sqlstate_of(format('SELECT * FROM duckdb.query(%L)', statement)) FROM (VALUES
  (1, $$FROM 's3://lake/other/x.parquet'$$), (2, $$FROM 's3://vault/x.parquet'$$), (3, $$FROM 's3://lake/regress/servers/../other/x.parquet'$$), (4, $$FROM '/etc/passwd'$$), (5, $$FROM read_text('/etc/passwd')$$),
  (6, $$FROM 'http://127.0.0.1:1/x.parquet'$$), (7, $$FROM 's3://lake/regress/servers/x.parquet?s3_endpoint=127.0.0.1:1'$$), (8, $$FROM glob('/etc/*')$$), (9, $$FROM glob('s3://vault/*')$$), (10, $$SELECT * FROM duckdb_secrets()$$), (11, $$SELECT getenv('HOME')$$),
  (12, $$FROM 's3://lake/regress/serversive/x.parquet'$$), (13, $$CALL pragma_version()$$), (14, $$FROM duckdb_settings()$$), (15, $$FROM sniff_csv('/etc/passwd')$$), (16, $$FROM parquet_metadata('/etc/passwd')$$), (17, $$FROM 'file:///etc/passwd'$$), (18, $$SELECT current_setting('s3_secret_access_key')$$),
  (19, $$FROM read_csv(['s3://lake/regress/servers/x.csv', '/etc/passwd'])$$), (20, $$SELECT content FROM read_blob((SELECT '/etc/passwd'))$$), (21, $$FROM query('FROM ''/etc/passwd''')$$), (22, $$FROM query_table('/etc/passwd')$$), (23, $$PRAGMA enable_logging$$), (24, $$WITH x AS (FROM '/etc/passwd') SELECT 1$$), (25, $$SELECT (SELECT count(*) FROM '/etc/passwd')$$)
) s(i, statement) ORDER BY i;
-- Writing needs a writable server.
SELECT testing.error_of($$ SELECT duckdb.execute('COPY (SELECT 1) TO ''s3://lake/regress/servers/written.csv''') $$);
SELECT testing.error_of($$ SELECT duckdb.execute('COPY (SELECT 1) TO ''/tmp/written.csv''') $$);
SELECT statement, testing.sqlstate_of(format('SELECT duckdb.execute(%L)', statement)) FROM unnest(ARRAY['SET threads = 2', 'INSTALL httpfs', 'LOAD httpfs', 'ATTACH '':memory:'' AS x', 'CREATE SECRET x (TYPE s3)', 'DROP SECRET s', 'PRAGMA database_size', 'CREATE TABLE x (a INT)', 'SELECT 1', 'EXPORT DATABASE ''/tmp/x''', 'CHECKPOINT']) statement;
-- A role may set no limit of its instance.
SELECT name, testing.sqlstate_of(format('SET %s = %L', name, setting)) FROM pg_settings WHERE name LIKE 'duckdb.%' ORDER BY 1;
RESET ROLE;
-- Its secret does not show anywhere.
SET ROLE regress_srv;
SELECT count(*) FROM duckdb.settings() WHERE value LIKE '%' || :'lake_secret' || '%';
RESET ROLE;
\getenv all_secret S3_SECRET
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE q::text LIKE '%' || :'all_secret' || '%' OR q::text LIKE '%' || :'lake_secret' || '%') AS leaking FROM duckdb.query('FROM duckdb_secrets()') q;

-- A change of the server or the mapping counts at the next statement.
ALTER USER MAPPING FOR regress_srv SERVER s OPTIONS (SET key_id :'vault_key_id', SET secret :'vault_secret');
SET ROLE regress_srv;
SELECT testing.error_of($$ SELECT * FROM duckdb.query('FROM ''s3://lake/regress/servers/x.parquet''') $$) AS other_key;
RESET ROLE;
ALTER USER MAPPING FOR regress_srv SERVER s OPTIONS (SET key_id :'lake_key_id', SET secret 'wrong');
SET ROLE regress_srv;
SELECT testing.error_of($$ SELECT * FROM duckdb.query('FROM ''s3://lake/regress/servers/x.parquet''') $$) AS wrong_secret;
RESET ROLE;
ALTER USER MAPPING FOR regress_srv SERVER s OPTIONS (SET secret :'lake_secret');
ALTER SERVER s OPTIONS (SET location 's3://lake/regress/elsewhere/');
SET ROLE regress_srv;
SELECT testing.error_of($$ SELECT * FROM duckdb.query('FROM ''s3://lake/regress/servers/x.parquet''') $$) AS other_location;
RESET ROLE;
ALTER SERVER s OPTIONS (SET location 's3://lake/regress/servers/', SET endpoint '127.0.0.1:1');
SET duckdb.http_retries = 0; SET duckdb.http_timeout = '2s';
SET ROLE regress_srv;
SELECT testing.error_of($$ SELECT * FROM duckdb.query('FROM ''s3://lake/regress/servers/x.parquet''') $$) AS unreachable;
RESET ROLE;
RESET duckdb.http_retries; RESET duckdb.http_timeout;
ALTER SERVER s OPTIONS (SET endpoint :'s3_endpoint');
SELECT testing.error_of($$ ALTER SERVER s OPTIONS (ADD no_such_option 'x') $$);
SELECT testing.error_of($$ ALTER SERVER s OPTIONS (ADD secret 'x') $$);
SELECT testing.error_of($$ ALTER SERVER s OPTIONS (DROP location) $$);
ALTER SERVER s OPTIONS (ADD writable 'true');
CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (key_id :'lake_key_id', secret :'lake_secret');
DROP USER MAPPING FOR regress_srv SERVER s;
SET ROLE regress_srv;
SELECT * FROM duckdb.query('FROM ''s3://lake/regress/servers/x.parquet''');
-- This key may only read.
SELECT testing.error_of($$ SELECT duckdb.execute('COPY (SELECT 1) TO ''s3://lake/regress/servers/written.csv''') $$);
RESET ROLE;
-- Odd names.
CREATE SERVER "od'd; ""$$ name" TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://lake/regress/servers/odd $$/', endpoint :'s3_endpoint', region :'s3_region', url_style 'path', use_ssl 'false');
CREATE USER MAPPING FOR regress_srv SERVER "od'd; ""$$ name" OPTIONS (key_id 'k''ey"; $$', secret 's''ecret"; $$');
GRANT USAGE ON FOREIGN SERVER "od'd; ""$$ name" TO regress_srv;
SET ROLE regress_srv;
SELECT * FROM duckdb.query('FROM ''s3://lake/regress/servers/x.parquet''');
RESET ROLE;
DROP SERVER "od'd; ""$$ name" CASCADE;
DROP SERVER s CASCADE;

-- Settings: units, ranges, contexts.
SELECT name, setting, unit, context, vartype, min_val, max_val FROM pg_settings WHERE name LIKE 'duckdb.%' ORDER BY name COLLATE "C";
SELECT count(*) FROM pg_settings WHERE name LIKE 'duckdb.%' AND (short_desc = '' OR extra_desc = '' OR extra_desc IS NULL OR short_desc NOT LIKE '%.');
SET duckdb.memory_limit = '1GB'; SHOW duckdb.memory_limit;
SELECT value FROM duckdb.settings() WHERE name = 'memory_limit';
SET duckdb.threads = 1;
SELECT value FROM duckdb.settings() WHERE name = 'threads';
SET duckdb.http_timeout = '5s'; SHOW duckdb.http_timeout;
SET duckdb.http_timeout = '2min'; SHOW duckdb.http_timeout;
\set VERBOSITY sqlstate
SET duckdb.memory_limit = '1kB';
SET duckdb.memory_limit = 'a lot';
SET duckdb.threads = -1;
SET duckdb.http_retries = 101;
SET duckdb.no_such_setting = 1;
\set VERBOSITY default
RESET ALL;
SET client_min_messages = warning;

-- Functions.
SELECT * FROM duckdb.describe('SELECT 1 AS a, ''x'' AS "B c", 1.5 AS d, [1] AS l, {a: 1} AS s');
SELECT testing.error_of($$ SELECT * FROM duckdb.describe('SELEC') $$), testing.error_of($$ SELECT * FROM duckdb.describe('DROP TABLE x') $$);
SELECT count(*) FROM duckdb.describe(NULL);
SELECT name, loaded FROM duckdb.extensions() WHERE name IN ('parquet', 'json', 'icu', 'httpfs') ORDER BY 1;
SELECT duckdb.recycle(), duckdb.recycle();
SELECT a FROM duckdb.query('SELECT 1 AS a');
SELECT duckdb.recycle();
SELECT duckdb.execute(NULL);
SELECT duckdb.execute('COPY (SELECT i FROM range($1) r(i)) TO ''s3://lake/regress/executed.parquet''', 5);
SELECT count(*) FROM duckdb.query('FROM ''s3://lake/regress/executed.parquet''');
SELECT testing.error_of($$ SELECT duckdb.execute('SELECT 1; SELECT 2') $$), testing.error_of($$ SELECT duckdb.execute('COPY nowhere TO ''s3://lake/regress/x.parquet''') $$);
SELECT testing.error_of($$ SELECT * FROM duckdb.progress() $$);
-- A cursor goes on while its instance is recycled.
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM duckdb.query('SELECT i FROM range(10000) r(i)');
FETCH 1 FROM c;
SELECT duckdb.recycle();
FETCH 2 FROM c;
SELECT a FROM duckdb.query('SELECT 2 AS a');
MOVE ALL FROM c;
COMMIT;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA duckdb FROM regress_srv;
DROP ROLE regress_srv;
