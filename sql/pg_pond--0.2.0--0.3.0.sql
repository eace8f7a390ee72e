\echo Use "ALTER EXTENSION pg_pond UPDATE" to load this file. \quit

-- Lakes -----------------------------------------------------------------------------------------

-- After IMPORT FOREIGN SCHEMA: the comments of a lake's tables and columns.
CREATE FUNCTION duckdb.complete_import() RETURNS event_trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'duckdb_complete_import';
CREATE EVENT TRIGGER pg_pond_complete_import ON ddl_command_end
  WHEN TAG IN ('IMPORT FOREIGN SCHEMA')
  EXECUTE FUNCTION duckdb.complete_import();

REVOKE EXECUTE ON FUNCTION duckdb.complete_import() FROM PUBLIC;

CREATE FUNCTION duckdb.create_lake(server text) RETURNS boolean
  LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_create_lake';
COMMENT ON FUNCTION duckdb.create_lake(text) IS 'makes the lake of a server if it is not there; returns whether it was made';

CREATE FUNCTION duckdb.snapshots(
  server text,
  OUT snapshot_id bigint,
  OUT snapshot_time timestamptz,
  OUT schema_version bigint,
  OUT changes jsonb,
  OUT author text,
  OUT commit_message text,
  OUT commit_extra_info text
) RETURNS SETOF record
  LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'duckdb_snapshots';
COMMENT ON FUNCTION duckdb.snapshots(text) IS 'the snapshots of a lake';

CREATE FUNCTION duckdb.table_info(
  server text,
  OUT schema_name text,
  OUT table_name text,
  OUT table_id bigint,
  OUT table_uuid uuid,
  OUT file_count bigint,
  OUT file_size_bytes bigint,
  OUT delete_file_count bigint,
  OUT delete_file_size_bytes bigint
) RETURNS SETOF record
  LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'duckdb_table_info';
COMMENT ON FUNCTION duckdb.table_info(text) IS 'the tables of a lake and how many files they have';

CREATE FUNCTION duckdb.list_files(
  foreign_table regclass,
  OUT data_file text,
  OUT data_file_size_bytes bigint,
  OUT delete_file text,
  OUT delete_file_size_bytes bigint
) RETURNS SETOF record
  LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'duckdb_list_files';
COMMENT ON FUNCTION duckdb.list_files(regclass) IS 'the files that hold the rows of a foreign table on a lake';

CREATE FUNCTION duckdb.refresh_foreign_schema(
  server text,
  remote_schema text,
  local_schema text,
  OUT action text,
  OUT object text,
  OUT detail text
) RETURNS SETOF record
  LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_refresh_foreign_schema_wrapper';
COMMENT ON FUNCTION duckdb.refresh_foreign_schema(text, text, text) IS 'makes the foreign tables of a schema follow a lake''s schema; returns what was done';

CREATE FUNCTION duckdb.create_lake_table(name text, query text) RETURNS bigint
  LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_create_lake_table';
COMMENT ON FUNCTION duckdb.create_lake_table(text, text) IS 'makes a table of a lake from a DuckDB query; returns its number of rows';

-- The past of a foreign table on a lake, with its columns; they are found out as those of the readers.
CREATE FUNCTION duckdb.at(
  foreign_table duckdb.path,
  version bigint DEFAULT NULL,
  "timestamp" timestamptz DEFAULT NULL
) RETURNS SETOF duckdb."row"
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000
  AS 'MODULE_PATHNAME', 'duckdb_only_in_from';
COMMENT ON FUNCTION duckdb.at IS 'rows of a foreign table on a lake as they were';
CREATE FUNCTION duckdb.table_changes(
  foreign_table duckdb.path,
  from_version bigint,
  to_version bigint
) RETURNS SETOF duckdb."row"
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000
  AS 'MODULE_PATHNAME', 'duckdb_only_in_from';
COMMENT ON FUNCTION duckdb.table_changes IS 'what snapshots have changed of a foreign table on a lake';

-- What these become in a view or a plan. They read what the caller may select of the table.
CREATE FUNCTION duckdb.query_at(
  foreign_table regclass,
  version bigint DEFAULT NULL,
  "timestamp" timestamptz DEFAULT NULL
) RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000 SUPPORT duckdb.query_rows_support
  AS 'MODULE_PATHNAME', 'duckdb_query_past';
COMMENT ON FUNCTION duckdb.query_at IS 'duckdb.at, with the columns of the definition list found by their names';
CREATE FUNCTION duckdb.query_changes(
  foreign_table regclass,
  from_version bigint,
  to_version bigint
) RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000 SUPPORT duckdb.query_rows_support
  AS 'MODULE_PATHNAME', 'duckdb_query_past';
COMMENT ON FUNCTION duckdb.query_changes IS 'duckdb.table_changes, with the columns of the definition list found by their names';

-- Maintenance: what is NULL is left to DuckLake.
CREATE FUNCTION duckdb.merge_adjacent_files(
  server text,
  table_name text DEFAULT NULL,
  schema_name text DEFAULT NULL,
  max_compacted_files bigint DEFAULT NULL,
  min_file_size bigint DEFAULT NULL,
  max_file_size bigint DEFAULT NULL
) RETURNS TABLE (schema text, relation text, files_processed bigint, files_created bigint)
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_merge_adjacent_files';
COMMENT ON FUNCTION duckdb.merge_adjacent_files IS 'merges small files of a lake''s tables';

CREATE FUNCTION duckdb.rewrite_data_files(
  server text,
  table_name text DEFAULT NULL,
  schema_name text DEFAULT NULL,
  delete_threshold double precision DEFAULT NULL
) RETURNS TABLE (schema text, relation text, files_processed bigint, files_created bigint)
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_rewrite_data_files';
COMMENT ON FUNCTION duckdb.rewrite_data_files IS 'rewrites files of which many rows are deleted';

CREATE FUNCTION duckdb.flush_inlined_data(
  server text,
  table_name text DEFAULT NULL,
  schema_name text DEFAULT NULL
) RETURNS TABLE (schema text, relation text, rows_flushed bigint)
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_flush_inlined_data';
COMMENT ON FUNCTION duckdb.flush_inlined_data IS 'writes rows that are in a lake''s catalog to files';

CREATE FUNCTION duckdb.expire_snapshots(
  server text,
  dry_run boolean DEFAULT false,
  versions bigint[] DEFAULT NULL,
  older_than timestamptz DEFAULT NULL
) RETURNS TABLE (
  snapshot_id bigint,
  snapshot_time timestamptz,
  schema_version bigint,
  changes jsonb,
  author text,
  commit_message text,
  commit_extra_info text
)
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_expire_snapshots';
COMMENT ON FUNCTION duckdb.expire_snapshots IS 'gives up snapshots of a lake, and returns them';

CREATE FUNCTION duckdb.cleanup_old_files(
  server text,
  dry_run boolean DEFAULT false,
  cleanup_all boolean DEFAULT false,
  older_than timestamptz DEFAULT NULL
) RETURNS TABLE (path text)
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_cleanup_old_files';
COMMENT ON FUNCTION duckdb.cleanup_old_files IS 'deletes files that no snapshot of a lake needs any more, and returns them';

CREATE FUNCTION duckdb.delete_orphaned_files(
  server text,
  dry_run boolean DEFAULT false,
  older_than timestamptz DEFAULT NULL
) RETURNS TABLE (path text)
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_delete_orphaned_files';
COMMENT ON FUNCTION duckdb.delete_orphaned_files IS 'deletes files below a lake''s data_path that the lake knows nothing of, and returns them';

CREATE FUNCTION duckdb.checkpoint(server text) RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_checkpoint';
COMMENT ON FUNCTION duckdb.checkpoint(text) IS 'DuckLake''s CHECKPOINT: the maintenance that the lake''s options ask for';

CREATE FUNCTION duckdb.add_data_files(
  server text,
  table_name text,
  files text[],
  schema_name text DEFAULT NULL,
  allow_missing boolean DEFAULT NULL,
  ignore_extra_columns boolean DEFAULT NULL,
  hive_partitioning boolean DEFAULT NULL
) RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_add_data_files';
COMMENT ON FUNCTION duckdb.add_data_files IS 'makes Parquet files part of a lake''s table, without copying them';

CREATE FUNCTION duckdb.set_option(
  server text,
  option text,
  value text,
  schema_name text DEFAULT NULL,
  table_name text DEFAULT NULL
) RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'duckdb_set_option';
COMMENT ON FUNCTION duckdb.set_option IS 'sets an option of a lake, of a schema or of a table';

-- The others look at a lake as its server and its tables are granted.
REVOKE EXECUTE ON FUNCTION
  duckdb.create_lake_table(text, text),
  duckdb.merge_adjacent_files,
  duckdb.rewrite_data_files,
  duckdb.flush_inlined_data,
  duckdb.expire_snapshots,
  duckdb.cleanup_old_files,
  duckdb.delete_orphaned_files,
  duckdb.checkpoint(text),
  duckdb.add_data_files,
  duckdb.set_option
FROM PUBLIC;
