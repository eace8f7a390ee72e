\echo Use "ALTER EXTENSION pg_pond UPDATE" to load this file. \quit

-- Foreign tables --------------------------------------------------------------------------------

CREATE FUNCTION duckdb.fdw_handler() RETURNS fdw_handler
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'duckdb_fdw_handler';
-- PostgreSQL warns that a new handler may change existing foreign tables; there are none.
SET LOCAL client_min_messages = error;
ALTER FOREIGN DATA WRAPPER duckdb HANDLER duckdb.fdw_handler;
SET LOCAL client_min_messages = warning;

-- Before CREATE FOREIGN TABLE: checks the options against the server, and gives a table that is
-- defined without columns those of its files. It loads the library in time for that.
CREATE FUNCTION duckdb.complete_foreign_table() RETURNS event_trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'duckdb_complete_foreign_table';
CREATE EVENT TRIGGER pg_pond_complete_foreign_table ON ddl_command_start
  WHEN TAG IN ('CREATE FOREIGN TABLE')
  EXECUTE FUNCTION duckdb.complete_foreign_table();

-- Pushdown --------------------------------------------------------------------------------------

-- What the planner puts in place of a query, or of a part of it, that DuckDB answers. It means
-- something within the planner only.
CREATE FUNCTION duckdb.pushed(id bigint) RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1000
  AS 'MODULE_PATHNAME', 'duckdb_pushed';
CREATE FUNCTION duckdb.pushed(id bigint, VARIADIC arguments "any") RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1000
  AS 'MODULE_PATHNAME', 'duckdb_pushed';
COMMENT ON FUNCTION duckdb.pushed(bigint) IS 'stands for a pushed-down query within the planner; not for users';
COMMENT ON FUNCTION duckdb.pushed(bigint, "any") IS 'stands for a pushed-down query within the planner; not for users';

REVOKE EXECUTE ON FUNCTION
  duckdb.fdw_handler(),
  duckdb.complete_foreign_table(),
  duckdb.pushed(bigint),
  duckdb.pushed(bigint, "any")
FROM PUBLIC;
