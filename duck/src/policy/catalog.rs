//! What DuckLake reads of a lake's catalog without a question: the names of tables with inlined rows,
//! which it puts into SQL as they stand, the types of their columns, which it takes for granted, and the
//! paths of what it reads, writes and deletes. Whoever may write the catalog may change them, so they
//! are looked through before a statement uses the lake. What changes between this look and DuckLake's
//! own is not seen.

use std::time::{Duration, Instant};

use super::{Policy, not_allowed, shown};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::quote::{identifier, literal};
use crate::server::LakeSpec;

/// How long a catalog that was found clean counts: a statement is described, checked and run.
const COUNTS_FOR: Duration = Duration::from_millis(100);

/// The format of DuckLake's catalogs that the extension knows.
const VERSION: &str = "1.0";

/// Looks through the catalog of a lake.
///
/// # Errors
/// [`ErrorKind::NotAllowed`] naming a path outside of the lake; 42P17 naming a table that is not as
/// DuckLake makes it; [`ErrorKind::NotSupported`] for another format; DuckDB's own.
pub(super) fn check(connection: &Connection, policy: &Policy, lake: &str) -> Result<()> {
    let Some(lake) = policy.lake_named(lake) else { return Ok(()) };
    ask(connection, policy, &lake.name, &shape(&lake.spec))
}

/// What of a lake's paths a statement uses.
pub(super) enum Scope<'a> {
    /// The tables of these names, in lower case.
    Tables(&'a [String]),
    AllTables,
    /// The files that are to be deleted.
    Deleted,
}

/// Looks through the paths in the catalog of a lake.
///
/// # Errors
/// As [`check`].
pub(super) fn check_paths(
    connection: &Connection,
    policy: &Policy,
    lake: &str,
    scope: &Scope<'_>,
) -> Result<()> {
    let Some(lake) = policy.lake_named(lake) else { return Ok(()) };
    if matches!(scope, Scope::Tables([])) {
        return Ok(());
    }
    ask(connection, policy, &lake.name, &paths(&lake.spec, policy, scope))
}

fn ask(connection: &Connection, policy: &Policy, lake: &str, question: &str) -> Result<()> {
    let known = policy.catalogs.lock().get(question).copied();
    if known.is_some_and(|seen: Instant| seen.elapsed() < COUNTS_FOR) {
        return Ok(());
    }
    // A transaction of its own, so that no session of the catalog stays in one.
    let own = Connection::new(connection.instance())?;
    let found = super::views::texts(&own, question, &[])?;
    if let Some([kind, name]) = found.first().map(Vec::as_slice) {
        return Err(fault(lake, kind, name));
    }
    let mut catalogs = policy.catalogs.lock();
    if catalogs.len() >= super::CACHED_VERDICTS {
        catalogs.clear();
    }
    catalogs.insert(question.to_owned(), Instant::now());
    Ok(())
}

fn fault(lake: &str, kind: &str, name: &str) -> Error {
    match kind {
        "version" => Error::new(
            ErrorKind::NotSupported,
            format!(
                "lake \"{lake}\" has format {}, not {VERSION} of DuckLake",
                name.escape_debug()
            ),
        ),
        "path" => not_allowed(format!(
            "lake \"{lake}\" names \"{}\", which lies outside of its data_path",
            shown(name)
        )),
        _ => Error::new(
            ErrorKind::InvalidInput,
            format!(
                "pg_pond 42P17 table \"{}\" in the catalog of lake \"{lake}\" is not as DuckLake makes it",
                name.escape_debug()
            ),
        ),
    }
}

/// The question whether a catalog is what DuckLake makes; it returns kind and name of what is not.
fn shape(spec: &LakeSpec) -> String {
    match spec.postgres_schema() {
        Some(schema) => {
            let schema_name = identifier(schema);
            let table = |name: &str| format!("{schema_name}.{name}");
            let structure = structure_in_postgres(schema, table);
            in_postgres(spec, &format!("{} UNION ALL {structure} LIMIT 1", common(table, "~")))
        }
        None => {
            let table = |name: &str| spec.metadata_table(name);
            format!("{} UNION ALL {} LIMIT 1", common(table, "SIMILAR TO"), structure(spec, table))
        }
    }
}

fn in_postgres(spec: &LakeSpec, sql: &str) -> String {
    format!("SELECT * FROM postgres_query({}, {})", literal(&spec.metadata()), literal(sql))
}

/// What is asked in PostgreSQL's SQL and in DuckDB's: the format, the names of tables of inlined rows, the
/// numbers of the newest snapshot, the columns of nested types, which DuckLake takes for granted.
fn common(table: impl Fn(&str) -> String, matches: &str) -> String {
    format!(
        "SELECT 'version' AS kind, CAST(value AS text) AS name FROM {} WHERE CAST(key AS text) = 'version' \
         AND scope IS NULL AND CAST(value AS text) <> '{VERSION}' \
         UNION ALL SELECT 'table', coalesce(CAST(table_name AS text), 'NULL') FROM {} \
         WHERE (CAST(table_name AS text) {matches} '^ducklake_inlined_data_[0-9]+_[0-9]+$' \
         AND starts_with(CAST(table_name AS text), \
         'ducklake_inlined_data_' || CAST(table_id AS text) || '_')) IS NOT TRUE \
         UNION ALL SELECT 'table', 'ducklake_snapshot' FROM \
         (SELECT max(snapshot_id) AS snapshot_id FROM {}) newest \
         LEFT JOIN {} s ON s.snapshot_id = newest.snapshot_id \
         WHERE (newest.snapshot_id >= 0 AND s.next_catalog_id >= 0 AND s.next_file_id >= 0) IS NOT TRUE \
         UNION ALL SELECT 'table', 'ducklake_column' FROM {} k \
         WHERE lower(CAST(k.column_type AS text)) IN ('struct', 'list', 'map') AND NOT EXISTS \
         (SELECT 1 FROM {} f WHERE f.table_id = k.table_id AND f.parent_column = k.column_id)",
        table("ducklake_metadata"),
        table("ducklake_inlined_data_tables"),
        table("ducklake_snapshot"),
        table("ducklake_snapshot"),
        table("ducklake_column"),
        table("ducklake_column"),
    )
}

/// The question for paths that lead out of a lake. Files may lie below the role's other locations as
/// well, and those that are to be deleted below its writable ones.
fn paths(spec: &LakeSpec, policy: &Policy, scope: &Scope<'_>) -> String {
    let in_catalog = spec.postgres_schema();
    let table = |name: &str| match in_catalog {
        Some(schema) => format!("{}.{name}", identifier(schema)),
        None => spec.metadata_table(name),
    };
    let tables = match scope {
        Scope::Tables(names) => {
            let names: Vec<_> = names.iter().map(|name| literal(name)).collect();
            format!("lower(CAST(t.table_name AS text)) IN ({})", names.join(", "))
        }
        _ => "true".to_owned(),
    };
    let of_tables = format!(
        "table_id IN (SELECT t.table_id FROM {} t WHERE {tables})",
        table("ducklake_table")
    );
    let all = "true".to_owned();
    let asked: &[(&str, &[String], &String)] = match scope {
        Scope::Deleted => &[("ducklake_files_scheduled_for_deletion", &policy.writable, &all)],
        _ => &[
            ("ducklake_schema", &[], &all),
            ("ducklake_table", &[], &of_tables),
            ("ducklake_data_file", &policy.readable, &of_tables),
            ("ducklake_delete_file", &policy.readable, &of_tables),
        ],
    };
    let own = [spec.data_path().to_owned()];
    let parts: Vec<_> = asked
        .iter()
        .map(|(name, locations, condition)| {
            let below: Vec<_> = own
                .iter()
                .chain(*locations)
                .map(|location| format!("starts_with(CAST(path AS text), {})", literal(location)))
                .collect();
            format!(
                "SELECT 'path' AS kind, CAST(path AS text) AS name FROM {} WHERE {condition} \
                 AND path IS NOT NULL AND (CAST(path_is_relative AS BOOLEAN) IS NOT TRUE AND NOT ({}) \
                 OR CAST(path AS text) LIKE '%..%' AND '/' || CAST(path AS text) || '/' LIKE '%/../%')",
                table(name),
                below.join(" OR ")
            )
        })
        .collect();
    let sql = format!("{} LIMIT 1", parts.join(" UNION ALL "));
    if in_catalog.is_some() { in_postgres(spec, &sql) } else { sql }
}

/// Tables that are none, or whose columns DuckLake would read as something else. A table of inlined
/// rows belongs to whoever wrote the first of them: rules, policies, triggers, defaults, checks and
/// indexes on it would run as whoever reads or writes.
fn structure_in_postgres(schema: &str, table: impl Fn(&str) -> String) -> String {
    let columns = table("ducklake_column");
    let (inlined, versions) =
        (table("ducklake_inlined_data_tables"), table("ducklake_schema_versions"));
    format!(
        "SELECT 'table', CAST(c.relname AS text) FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = {} AND c.relname LIKE 'ducklake\\_%' AND c.relkind NOT IN ('i', 'I') AND CASE \
         WHEN c.relname LIKE 'ducklake\\_inlined\\_data\\_%' AND c.relname <> 'ducklake_inlined_data_tables' \
         OR c.relname LIKE 'ducklake\\_inlined\\_delete\\_%' THEN c.relkind <> 'r' OR c.relrowsecurity \
         OR c.relhasrules OR c.relhastriggers OR c.relhassubclass OR c.relispartition OR c.relchecks > 0 \
         OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid \
         AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)) \
         OR EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 \
         AND NOT a.attisdropped AND (a.atthasdef OR a.atttypid NOT IN \
         (16, 17, 20, 21, 23, 25, 700, 701, 1043, 1083, 1186, 1266, 1700, 2950) \
         OR a.attname IN ('row_id', 'file_id', 'begin_snapshot', 'end_snapshot') AND a.atttypid <> 20)) \
         ELSE c.relkind NOT IN ('r', 'p') OR c.relname IN ('ducklake_inlined_data_tables', \
         'ducklake_macro_impl', 'ducklake_macro_parameters') \
         AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid \
         AND a.attname IN ('table_name', 'dialect', 'sql', 'type', 'parameter_name', 'parameter_type', \
         'default_value', 'default_value_type') AND a.atttypid NOT IN (25, 1043)) END \
         UNION ALL SELECT 'table', CAST(i.table_name AS text) FROM {inlined} i \
         JOIN pg_catalog.pg_class c ON CAST(c.relname AS text) = CAST(i.table_name AS text) \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = {} \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.atttypid <> 17 \
         JOIN {columns} k ON k.table_id = i.table_id AND CAST(k.column_name AS text) = CAST(a.attname AS text) \
         AND k.parent_column IS NULL AND lower(CAST(k.column_type AS text)) IN ('varchar', 'json') \
         LEFT JOIN {versions} v ON v.table_id = i.table_id AND v.schema_version = i.schema_version \
         WHERE coalesce(v.begin_snapshot, k.begin_snapshot) >= k.begin_snapshot \
         AND (k.end_snapshot IS NULL OR v.begin_snapshot < k.end_snapshot)",
        literal(schema),
        literal(schema)
    )
}

/// The same of a catalog in a file.
fn structure(spec: &LakeSpec, table: impl Fn(&str) -> String) -> String {
    let columns = table("ducklake_column");
    let (inlined, versions) =
        (table("ducklake_inlined_data_tables"), table("ducklake_schema_versions"));
    let database = literal(&spec.metadata());
    format!(
        "SELECT 'table', view_name FROM duckdb_views() WHERE database_name = {database} \
         AND starts_with(view_name, 'ducklake_') \
         UNION ALL SELECT 'table', d.table_name FROM duckdb_columns() d WHERE d.database_name = {database} \
         AND starts_with(d.table_name, 'ducklake_inlined_') \
         AND d.column_name IN ('row_id', 'begin_snapshot', 'end_snapshot') AND d.data_type <> 'BIGINT' \
         UNION ALL SELECT 'table', i.table_name FROM {inlined} i \
         JOIN duckdb_columns() d ON d.database_name = {database} AND d.table_name = i.table_name \
         AND d.data_type NOT IN ('VARCHAR', 'JSON') \
         JOIN {columns} k ON k.table_id = i.table_id AND k.column_name = d.column_name \
         AND k.parent_column IS NULL AND lower(k.column_type) IN ('varchar', 'json') \
         LEFT JOIN {versions} v ON v.table_id = i.table_id AND v.schema_version = i.schema_version \
         WHERE coalesce(v.begin_snapshot, k.begin_snapshot) >= k.begin_snapshot \
         AND (k.end_snapshot IS NULL OR v.begin_snapshot < k.end_snapshot)"
    )
}
