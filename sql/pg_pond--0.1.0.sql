\echo Use "CREATE EXTENSION pg_pond" to load this file. \quit

-- Types -----------------------------------------------------------------------------------------

-- The text of a DuckDB query. Its input function makes the query's columns known while PostgreSQL
-- analyses the statement that holds the literal.
CREATE TYPE duckdb.sql;
CREATE FUNCTION duckdb.sql_in(cstring) RETURNS duckdb.sql
  LANGUAGE c STRICT STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'duckdb_sql_in_wrapper';
CREATE FUNCTION duckdb.sql_out(duckdb.sql) RETURNS cstring
  LANGUAGE internal STRICT IMMUTABLE PARALLEL SAFE AS 'textout';
CREATE TYPE duckdb.sql (INPUT = duckdb.sql_in, OUTPUT = duckdb.sql_out, LIKE = text);
COMMENT ON TYPE duckdb.sql IS 'a DuckDB query, written as a literal';

-- The path of a reader, in the same way.
CREATE TYPE duckdb.path;
CREATE FUNCTION duckdb.path_in(cstring) RETURNS duckdb.path
  LANGUAGE c STRICT STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'duckdb_path_in_wrapper';
CREATE FUNCTION duckdb.path_out(duckdb.path) RETURNS cstring
  LANGUAGE internal STRICT IMMUTABLE PARALLEL SAFE AS 'textout';
CREATE TYPE duckdb.path (INPUT = duckdb.path_in, OUTPUT = duckdb.path_out, LIKE = text);
COMMENT ON TYPE duckdb.path IS 'a file, a pattern, or several as an array literal, written as a literal';

-- The row of a DuckDB query; it gets its columns at each use.
CREATE TYPE duckdb."row" AS ();

-- A computed text has no columns at analysis time: these casts say so, with a hint.
CREATE FUNCTION duckdb.not_a_literal(text) RETURNS duckdb.sql
  LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'duckdb_not_a_literal_wrapper';
CREATE CAST (text AS duckdb.sql) WITH FUNCTION duckdb.not_a_literal(text) AS IMPLICIT;
CREATE FUNCTION duckdb.path_not_a_literal(text) RETURNS duckdb.path
  LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'duckdb_not_a_literal_wrapper';
CREATE CAST (text AS duckdb.path) WITH FUNCTION duckdb.path_not_a_literal(text) AS IMPLICIT;

-- Queries ---------------------------------------------------------------------------------------

CREATE FUNCTION duckdb.query(sql duckdb.sql) RETURNS SETOF duckdb."row"
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000
  AS 'MODULE_PATHNAME', 'duckdb_only_in_from';
CREATE FUNCTION duckdb.query(sql duckdb.sql, VARIADIC arguments "any") RETURNS SETOF duckdb."row"
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000
  AS 'MODULE_PATHNAME', 'duckdb_only_in_from';
COMMENT ON FUNCTION duckdb.query(duckdb.sql) IS 'rows of a DuckDB query, with its columns';
COMMENT ON FUNCTION duckdb.query(duckdb.sql, "any") IS 'rows of a DuckDB query with parameters $1, $2, …';

-- Loads the library when a stored view is planned in a session that has not used it yet.
CREATE FUNCTION duckdb.query_rows_support(internal) RETURNS internal
  LANGUAGE c STRICT IMMUTABLE AS 'MODULE_PATHNAME', 'duckdb_query_rows_support';
CREATE FUNCTION duckdb.query_rows(sql text) RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000 SUPPORT duckdb.query_rows_support
  AS 'MODULE_PATHNAME', 'duckdb_query_rows';
CREATE FUNCTION duckdb.query_rows(sql text, VARIADIC arguments "any") RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000 SUPPORT duckdb.query_rows_support
  AS 'MODULE_PATHNAME', 'duckdb_query_rows';
COMMENT ON FUNCTION duckdb.query_rows(text) IS 'rows of a DuckDB query whose text is computed; takes a column definition list';
COMMENT ON FUNCTION duckdb.query_rows(text, "any") IS 'rows of a DuckDB query whose text is computed, with parameters; takes a column definition list';

-- What duckdb.query becomes in a view or a plan: query_rows with columns that are found by name.
CREATE FUNCTION duckdb.query_by_name(sql text) RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000 SUPPORT duckdb.query_rows_support
  AS 'MODULE_PATHNAME', 'duckdb_query_rows';
CREATE FUNCTION duckdb.query_by_name(sql text, VARIADIC arguments "any") RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000 SUPPORT duckdb.query_rows_support
  AS 'MODULE_PATHNAME', 'duckdb_query_rows';
COMMENT ON FUNCTION duckdb.query_by_name(text) IS 'query_rows, with the columns of the definition list found by their names';
COMMENT ON FUNCTION duckdb.query_by_name(text, "any") IS 'query_rows with parameters, with the columns of the definition list found by their names';

-- Readers: options that are NULL are left to DuckDB. They must be constants.
CREATE FUNCTION duckdb.read_parquet(
  path duckdb.path,
  binary_as_string boolean DEFAULT NULL,
  file_row_number boolean DEFAULT NULL,
  filename boolean DEFAULT NULL,
  hive_partitioning boolean DEFAULT NULL,
  hive_types text DEFAULT NULL,
  hive_types_autocast boolean DEFAULT NULL,
  union_by_name boolean DEFAULT NULL
) RETURNS SETOF duckdb."row"
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000
  AS 'MODULE_PATHNAME', 'duckdb_only_in_from';
COMMENT ON FUNCTION duckdb.read_parquet IS 'rows of DuckDB''s read_parquet';
CREATE FUNCTION duckdb.read_csv(
  path duckdb.path,
  all_varchar boolean DEFAULT NULL,
  allow_quoted_nulls boolean DEFAULT NULL,
  auto_detect boolean DEFAULT NULL,
  auto_type_candidates text[] DEFAULT NULL,
  buffer_size bigint DEFAULT NULL,
  columns text DEFAULT NULL,
  comment text DEFAULT NULL,
  compression text DEFAULT NULL,
  dateformat text DEFAULT NULL,
  decimal_separator text DEFAULT NULL,
  delim text DEFAULT NULL,
  delimiter text DEFAULT NULL,
  encoding text DEFAULT NULL,
  escape text DEFAULT NULL,
  filename boolean DEFAULT NULL,
  force_not_null text[] DEFAULT NULL,
  header boolean DEFAULT NULL,
  hive_partitioning boolean DEFAULT NULL,
  hive_types text DEFAULT NULL,
  hive_types_autocast boolean DEFAULT NULL,
  ignore_errors boolean DEFAULT NULL,
  max_line_size bigint DEFAULT NULL,
  names text[] DEFAULT NULL,
  new_line text DEFAULT NULL,
  normalize_names boolean DEFAULT NULL,
  null_padding boolean DEFAULT NULL,
  nullstr text DEFAULT NULL,
  parallel boolean DEFAULT NULL,
  quote text DEFAULT NULL,
  sample_size bigint DEFAULT NULL,
  sep text DEFAULT NULL,
  skip bigint DEFAULT NULL,
  strict_mode boolean DEFAULT NULL,
  thousands text DEFAULT NULL,
  timestampformat text DEFAULT NULL,
  types text DEFAULT NULL,
  union_by_name boolean DEFAULT NULL
) RETURNS SETOF duckdb."row"
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000
  AS 'MODULE_PATHNAME', 'duckdb_only_in_from';
COMMENT ON FUNCTION duckdb.read_csv IS 'rows of DuckDB''s read_csv';
CREATE FUNCTION duckdb.read_json(
  path duckdb.path,
  auto_detect boolean DEFAULT NULL,
  columns text DEFAULT NULL,
  compression text DEFAULT NULL,
  convert_strings_to_integers boolean DEFAULT NULL,
  dateformat text DEFAULT NULL,
  field_appearance_threshold double precision DEFAULT NULL,
  filename boolean DEFAULT NULL,
  format text DEFAULT NULL,
  hive_partitioning boolean DEFAULT NULL,
  hive_types text DEFAULT NULL,
  hive_types_autocast boolean DEFAULT NULL,
  ignore_errors boolean DEFAULT NULL,
  map_inference_threshold bigint DEFAULT NULL,
  maximum_depth bigint DEFAULT NULL,
  maximum_object_size bigint DEFAULT NULL,
  maximum_sample_files bigint DEFAULT NULL,
  records text DEFAULT NULL,
  sample_size bigint DEFAULT NULL,
  timestampformat text DEFAULT NULL,
  union_by_name boolean DEFAULT NULL
) RETURNS SETOF duckdb."row"
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000
  AS 'MODULE_PATHNAME', 'duckdb_only_in_from';
COMMENT ON FUNCTION duckdb.read_json IS 'rows of DuckDB''s read_json';
CREATE FUNCTION duckdb.read_text(
  path duckdb.path
) RETURNS SETOF duckdb."row"
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000
  AS 'MODULE_PATHNAME', 'duckdb_only_in_from';
COMMENT ON FUNCTION duckdb.read_text IS 'rows of DuckDB''s read_text';
CREATE FUNCTION duckdb.read_blob(
  path duckdb.path
) RETURNS SETOF duckdb."row"
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000
  AS 'MODULE_PATHNAME', 'duckdb_only_in_from';
COMMENT ON FUNCTION duckdb.read_blob IS 'rows of DuckDB''s read_blob';
CREATE FUNCTION duckdb.iceberg_scan(
  path duckdb.path,
  allow_moved_paths boolean DEFAULT NULL,
  metadata_compression_codec text DEFAULT NULL,
  mode text DEFAULT NULL,
  snapshot_from_id bigint DEFAULT NULL,
  snapshot_from_timestamp timestamp DEFAULT NULL,
  version text DEFAULT NULL,
  version_name_format text DEFAULT NULL
) RETURNS SETOF duckdb."row"
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000
  AS 'MODULE_PATHNAME', 'duckdb_only_in_from';
COMMENT ON FUNCTION duckdb.iceberg_scan IS 'rows of DuckDB''s iceberg_scan';
CREATE FUNCTION duckdb.delta_scan(
  path duckdb.path,
  file_row_number boolean DEFAULT NULL,
  filename boolean DEFAULT NULL,
  version bigint DEFAULT NULL
) RETURNS SETOF duckdb."row"
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000
  AS 'MODULE_PATHNAME', 'duckdb_only_in_from';
COMMENT ON FUNCTION duckdb.delta_scan IS 'rows of DuckDB''s delta_scan';

-- Other functions -------------------------------------------------------------------------------

CREATE FUNCTION duckdb.execute(sql text) RETURNS bigint
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_execute';
CREATE FUNCTION duckdb.execute(sql text, VARIADIC arguments "any") RETURNS bigint
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_execute';
COMMENT ON FUNCTION duckdb.execute(text) IS 'runs a DuckDB statement that is no query; returns the number of rows changed or written';
COMMENT ON FUNCTION duckdb.execute(text, "any") IS 'runs a DuckDB statement with parameters; returns the number of rows changed or written';

CREATE FUNCTION duckdb.describe(sql text, OUT name text, OUT duckdb_type text, OUT postgres_type text)
  RETURNS SETOF record
  LANGUAGE c STRICT STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'duckdb_describe_wrapper';
COMMENT ON FUNCTION duckdb.describe(text) IS 'the columns of a DuckDB query and their types in both systems';

CREATE FUNCTION duckdb.version() RETURNS text
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'duckdb_version_wrapper';
COMMENT ON FUNCTION duckdb.version() IS 'the version of the DuckDB library';

CREATE FUNCTION duckdb.extensions(OUT name text, OUT loaded boolean, OUT version text)
  RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'duckdb_extensions_wrapper';
COMMENT ON FUNCTION duckdb.extensions() IS 'DuckDB''s extensions: installed, and loaded in the current role''s instance';

CREATE FUNCTION duckdb.settings(OUT name text, OUT value text, OUT description text)
  RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'duckdb_settings_wrapper';
COMMENT ON FUNCTION duckdb.settings() IS 'DuckDB''s settings in the current role''s instance';

CREATE FUNCTION duckdb.recycle() RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_recycle_wrapper';
COMMENT ON FUNCTION duckdb.recycle() IS 'closes the current role''s DuckDB instance in this session; the next query opens a new one';

CREATE FUNCTION duckdb.progress(OUT pid integer, OUT role text, OUT percentage double precision)
  RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'duckdb_progress_wrapper';
COMMENT ON FUNCTION duckdb.progress() IS 'the DuckDB queries that run now in all sessions, in percent';

-- Servers ---------------------------------------------------------------------------------------

CREATE FUNCTION duckdb.fdw_validator(text[], oid) RETURNS void
  LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'duckdb_fdw_validator';
CREATE FOREIGN DATA WRAPPER duckdb VALIDATOR duckdb.fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER duckdb IS 'data lakes, read by DuckDB';

-- Rights ----------------------------------------------------------------------------------------

-- No columns, functions or domains of these types by others: they mean something only here.
REVOKE USAGE ON TYPE duckdb.sql, duckdb.path, duckdb."row" FROM PUBLIC;

-- query_by_name stays open: it stands in views for what the caller must have the right to.
-- Whoever may use the schema may call version, recycle and progress; queries are granted one by one.
GRANT USAGE ON SCHEMA duckdb TO PUBLIC;
REVOKE EXECUTE ON FUNCTION
  duckdb.query(duckdb.sql),
  duckdb.query(duckdb.sql, "any"),
  duckdb.query_rows(text),
  duckdb.query_rows(text, "any"),
  duckdb.read_parquet,
  duckdb.read_csv,
  duckdb.read_json,
  duckdb.read_text,
  duckdb.read_blob,
  duckdb.iceberg_scan,
  duckdb.delta_scan,
  duckdb.execute(text),
  duckdb.execute(text, "any"),
  duckdb.describe(text),
  duckdb.extensions(),
  duckdb.settings()
FROM PUBLIC;
