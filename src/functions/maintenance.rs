//! The functions that look after a lake: files merged, rewritten, added and deleted, snapshots
//! expired, options set. They call DuckLake's functions of the same names.

use std::ffi::CStr;

use duck::policy::{Expected, TableCall};
use duck::quote;
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::function;
use super::lake::{SNAPSHOT_COLUMNS, answer};
use crate::error::{Error, Result};
use crate::pg::call::{Call, Row};
use crate::pg::catalog::Server;
use crate::pg::input;
use crate::session;
use crate::session::lakes::{self, Beside};
use crate::session::transaction::{self, Write};

function! {
    /// `duckdb.merge_adjacent_files(server text, table_name text, schema_name text,
    /// max_compacted_files bigint, min_file_size bigint, max_file_size bigint) RETURNS TABLE
    /// (schema text, relation text, files_processed bigint, files_created bigint)`.
    duckdb_merge_adjacent_files, pg_finfo_duckdb_merge_adjacent_files, merge_adjacent_files
}

function! {
    /// `duckdb.rewrite_data_files(server text, table_name text, schema_name text, delete_threshold
    /// double precision)`, with the columns of `duckdb.merge_adjacent_files`.
    duckdb_rewrite_data_files, pg_finfo_duckdb_rewrite_data_files, rewrite_data_files
}

function! {
    /// `duckdb.flush_inlined_data(server text, table_name text, schema_name text) RETURNS TABLE
    /// (schema text, relation text, rows_flushed bigint)`.
    duckdb_flush_inlined_data, pg_finfo_duckdb_flush_inlined_data, flush_inlined_data
}

function! {
    /// `duckdb.expire_snapshots(server text, dry_run boolean, versions bigint[], older_than
    /// timestamptz)`, with the columns of `duckdb.snapshots`: those that are expired, or would be.
    duckdb_expire_snapshots, pg_finfo_duckdb_expire_snapshots, expire_snapshots
}

function! {
    /// `duckdb.cleanup_old_files(server text, dry_run boolean, cleanup_all boolean, older_than
    /// timestamptz) RETURNS TABLE (path text)`: deletes files that no snapshot needs any more.
    duckdb_cleanup_old_files, pg_finfo_duckdb_cleanup_old_files, cleanup_old_files
}

function! {
    /// `duckdb.delete_orphaned_files(server text, dry_run boolean, older_than timestamptz) RETURNS
    /// TABLE (path text)`: deletes files that the lake knows nothing of.
    duckdb_delete_orphaned_files, pg_finfo_duckdb_delete_orphaned_files, delete_orphaned_files
}

function! {
    /// `duckdb.checkpoint(server text) RETURNS void`: DuckLake's CHECKPOINT, which is all of these.
    duckdb_checkpoint, pg_finfo_duckdb_checkpoint, checkpoint
}

function! {
    /// `duckdb.add_data_files(server text, table_name text, files text[], schema_name text,
    /// allow_missing boolean, ignore_extra_columns boolean, hive_partitioning boolean) RETURNS void`.
    /// Files that the role may not read: 42501.
    duckdb_add_data_files, pg_finfo_duckdb_add_data_files, add_data_files
}

function! {
    /// `duckdb.set_option(server text, option text, value text, schema_name text, table_name text)
    /// RETURNS void`.
    duckdb_set_option, pg_finfo_duckdb_set_option, set_option
}

/// The youngest files that are taken for orphans, in seconds. Those of a transaction that has not
/// committed yet look the same.
const YOUNGEST_ORPHAN_S: i64 = 3600;
/// A call of one of DuckLake's functions.
struct Statement {
    call: TableCall,
    arguments: Vec<String>,
}

impl Statement {
    fn new(function: &'static str, server: &Server) -> Self {
        let call = TableCall { function: function.to_owned(), strings: vec![] };
        Self { call, arguments: vec![] }.value(&server.name)
    }

    fn value(mut self, value: &str) -> Self {
        self.call.strings.push(value.to_owned());
        self.arguments.push(quote::literal(value));
        self
    }

    fn list(mut self, values: &[String]) -> Self {
        self.call.strings.extend_from_slice(values);
        let values: Vec<_> = values.iter().map(|value| quote::literal(value)).collect();
        self.arguments.push(format!("[{}]", values.join(", ")));
        self
    }

    /// What the statement uses.
    fn expected(&self) -> Expected {
        Expected::call(self.call.clone())
    }

    /// A named argument, if it is given.
    fn named(mut self, name: &str, value: Option<impl ToString>) -> Self {
        self.arguments.extend(value.map(|value| format!("{name} => {}", value.to_string())));
        self
    }

    /// The table, as the functions take it that do all tables without one.
    fn table(self, call: &Call, table: usize, schema: usize) -> Result<Self> {
        match (call.text(table), call.text(schema)) {
            (None, None) => Ok(self),
            (Some(table), schema) => Ok(self
                .value(&table)
                .named("schema", Some(quote::literal(schema.as_deref().unwrap_or("main"))))),
            (None, Some(_)) => Err(Error::new(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "schema_name needs table_name",
            )),
        }
    }

    /// The statement that returns these columns.
    fn select(&self, columns: &str) -> String {
        format!("SELECT {columns} FROM {}({})", self.call.function, self.arguments.join(", "))
    }
}

/// # Safety
/// A live call of the function of that name; so in all that follow.
unsafe fn merge_adjacent_files(call: &Call) -> Result<pg_sys::Datum> {
    let server = server(call)?;
    let statement = Statement::new("ducklake_merge_adjacent_files", &server)
        .table(call, 1, 2)?
        .named("max_compacted_files", size(call, 3, "max_compacted_files")?)
        .named("min_file_size", size(call, 4, "min_file_size")?)
        .named("max_file_size", size(call, 5, "max_file_size")?);
    // SAFETY: by contract.
    unsafe { compact(call, &server, &statement, c"duckdb.merge_adjacent_files()") }
}

unsafe fn rewrite_data_files(call: &Call) -> Result<pg_sys::Datum> {
    let server = server(call)?;
    let threshold = call.double(3);
    if threshold.is_some_and(|threshold| !(0.0..=1.0).contains(&threshold)) {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "delete_threshold must be between 0 and 1",
        ));
    }
    let statement = Statement::new("ducklake_rewrite_data_files", &server)
        .table(call, 1, 2)?
        .named("delete_threshold", threshold);
    // SAFETY: by contract.
    unsafe { compact(call, &server, &statement, c"duckdb.rewrite_data_files()") }
}

unsafe fn compact(
    call: &Call,
    server: &Server,
    statement: &Statement,
    command: &CStr,
) -> Result<pg_sys::Datum> {
    let sql = statement.select(
        "schema_name, table_name, CAST(files_processed AS VARCHAR), \
         CAST(files_created AS VARCHAR)",
    );
    let rows = lakes::change(server, Write::Compaction, &sql, command, statement.expected())?;
    // SAFETY: by contract.
    unsafe { answer(call, &rows) }
}

unsafe fn flush_inlined_data(call: &Call) -> Result<pg_sys::Datum> {
    let server = server(call)?;
    let (table, schema) = (call.text(1), call.text(2));
    let schema = schema.or_else(|| table.as_ref().map(|_| "main".to_owned()));
    let statement = Statement::new("ducklake_flush_inlined_data", &server)
        .named("schema_name", schema.map(|name| quote::literal(&name)))
        .named("table_name", table.map(|name| quote::literal(&name)));
    let sql = statement.select("schema_name, table_name, CAST(rows_flushed AS VARCHAR)");
    let (command, expected) = (c"duckdb.flush_inlined_data()", statement.expected());
    // It changes no row, so that it may take effect at once; unless there are rows of the transaction's
    // own, which nobody else sees.
    let rows = if transaction::has_written_to(&server.name) {
        lakes::change(&server, Write::Change, &sql, command, expected)?
    } else {
        lakes::change_at_once(&server, Beside::Nobody, &sql, command, expected)?
    };
    // SAFETY: by contract.
    unsafe { answer(call, &rows) }
}

unsafe fn expire_snapshots(call: &Call) -> Result<pg_sys::Datum> {
    let server = server(call)?;
    let versions = call.bigints(2);
    if versions.is_none() && call.bigint(3).is_none() {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            "expire_snapshots needs versions or older_than",
        ));
    }
    let statement = Statement::new("ducklake_expire_snapshots", &server)
        .named("dry_run", dry_run(call).then_some("true"))
        .named("versions", versions.as_ref().map(|versions| format!("{versions:?}")))
        .named("older_than", moment(call, 3, "older_than")?);
    let rows = match versions {
        // DuckLake would take an empty list for none at all.
        Some(versions) if versions.is_empty() => vec![],
        Some(versions) if versions.iter().any(|version| *version < 0) => {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "the number of a snapshot must not be negative",
            ));
        }
        _ => {
            let sql = statement.select(SNAPSHOT_COLUMNS);
            if dry_run(call) {
                session::ask_lake(server.oid, &sql, vec![], statement.expected())?
            } else {
                let (command, expected) = (c"duckdb.expire_snapshots()", statement.expected());
                lakes::change(&server, Write::Change, &sql, command, expected)?
            }
        }
    };
    // SAFETY: by contract.
    unsafe { answer(call, &rows) }
}

unsafe fn cleanup_old_files(call: &Call) -> Result<pg_sys::Datum> {
    let server = server(call)?;
    let all = call.boolean(2).unwrap_or(false);
    let older_than = moment(call, 3, "older_than")?;
    if all == older_than.is_some() {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "cleanup_old_files needs either older_than or cleanup_all",
        ));
    }
    let statement = Statement::new("ducklake_cleanup_old_files", &server)
        .named("dry_run", dry_run(call).then_some("true"))
        .named("cleanup_all", all.then_some("true"))
        .named("older_than", older_than);
    let rows = delete(call, &server, &statement, c"duckdb.cleanup_old_files()")?;
    // SAFETY: by contract.
    unsafe { answer(call, &rows) }
}

unsafe fn delete_orphaned_files(call: &Call) -> Result<pg_sys::Datum> {
    let server = server(call)?;
    let dry_run = dry_run(call);
    let older_than = moment(call, 2, "older_than")?;
    if !dry_run {
        check_orphans_age(call.bigint(2))?;
    }
    let statement = Statement::new("ducklake_delete_orphaned_files", &server)
        .named("dry_run", dry_run.then_some("true"))
        // Without a moment, and only to be shown.
        .named("cleanup_all", older_than.is_none().then_some("true"))
        .named("older_than", older_than);
    let rows = delete(call, &server, &statement, c"duckdb.delete_orphaned_files()")?;
    // SAFETY: by contract.
    unsafe { answer(call, &rows) }
}

/// 22004 without a moment, 22023 for one that has hardly passed.
fn check_orphans_age(older_than: Option<i64>) -> Result<()> {
    let Some(older_than) = older_than else {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            "delete_orphaned_files needs older_than",
        )
        .detail("Files of transactions that have not committed yet look like orphans."));
    };
    // SAFETY: reads the clock.
    let now = unsafe { pg_sys::GetCurrentTimestamp() };
    if older_than <= now - YOUNGEST_ORPHAN_S * 1_000_000 {
        return Ok(());
    }
    Err(Error::new(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        "older_than must lie at least an hour back",
    )
    .detail("Files of transactions that have not committed yet look like orphans."))
}

/// What DuckLake's own CHECKPOINT calls, each in a transaction of its own.
const CHECKPOINT: &[(&str, Beside)] = &[
    ("ducklake_flush_inlined_data", Beside::Nobody),
    ("ducklake_expire_snapshots", Beside::OthersAgain),
    ("ducklake_merge_adjacent_files", Beside::OthersAgain),
    ("ducklake_rewrite_data_files", Beside::OthersAgain),
    ("ducklake_cleanup_old_files", Beside::Others),
    ("ducklake_delete_orphaned_files", Beside::Others),
];

unsafe fn checkpoint(call: &Call) -> Result<pg_sys::Datum> {
    let server = server(call)?;
    for (function, beside) in CHECKPOINT {
        let columns = match *function {
            "ducklake_merge_adjacent_files" | "ducklake_rewrite_data_files" => {
                "schema_name, table_name"
            }
            _ => "CAST(count(*) AS VARCHAR)",
        };
        let statement = Statement::new(function, &server);
        let (sql, expected) = (statement.select(columns), statement.expected());
        lakes::change_at_once(&server, *beside, &sql, c"duckdb.checkpoint()", expected)?;
    }
    Ok(pg_sys::Datum::null())
}

unsafe fn add_data_files(call: &Call) -> Result<pg_sys::Datum> {
    let server = server(call)?;
    let table = required(call.text(1), "table_name")?;
    let files = required(call.texts(2), "files")?;
    if files.is_empty() {
        return Ok(pg_sys::Datum::null());
    }
    lakes::check_paths(&server, files.clone())?;
    let schema = call.text(3).unwrap_or_else(|| "main".into());
    let statement = Statement::new("ducklake_add_data_files", &server)
        .value(&table)
        .list(&files)
        .named("schema", Some(quote::literal(&schema)))
        .named("allow_missing", call.boolean(4))
        .named("ignore_extra_columns", call.boolean(5))
        .named("hive_partitioning", call.boolean(6));
    let sql = statement.select("filename");
    let (command, expected) = (c"duckdb.add_data_files()", statement.expected());
    lakes::change(&server, Write::Change, &sql, command, expected)?;
    Ok(pg_sys::Datum::null())
}

unsafe fn set_option(call: &Call) -> Result<pg_sys::Datum> {
    let server = server(call)?;
    let option = required(call.text(1), "option")?;
    let value = required(call.text(2), "value")?;
    let (schema, table) = (call.text(3), call.text(4));
    let schema = schema.or_else(|| table.as_ref().map(|_| "main".to_owned()));
    let statement = Statement::new("ducklake_set_option", &server)
        .value(&option)
        .value(&value)
        .named("schema", schema.map(|name| quote::literal(&name)))
        .named("table_name", table.map(|name| quote::literal(&name)));
    let sql = statement.select("CAST(Success AS VARCHAR)");
    let (command, expected) = (c"duckdb.set_option()", statement.expected());
    lakes::change(&server, Write::Change, &sql, command, expected)?;
    Ok(pg_sys::Datum::null())
}

/// Runs what deletes files, unless it is a dry run, which writes nothing.
fn delete(call: &Call, server: &Server, statement: &Statement, command: &CStr) -> Result<Vec<Row>> {
    let (sql, expected) = (statement.select("path"), statement.expected());
    if dry_run(call) {
        return session::ask_lake(server.oid, &sql, vec![], expected);
    }
    lakes::change_at_once(server, Beside::Others, &sql, command, expected)
}

/// Whether the second argument asks for a dry run.
fn dry_run(call: &Call) -> bool {
    call.boolean(1).unwrap_or(false)
}

/// The server that the first argument names.
fn server(call: &Call) -> Result<Server> {
    lakes::usable_lake(&required(call.text(0), "server")?)
}

/// 22004 for NULL.
fn required<T>(value: Option<T>, name: &str) -> Result<T> {
    value.ok_or_else(|| {
        Error::new(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            format!("{name} must not be null"),
        )
    })
}

/// A number of bytes or files: 22023 for a negative one.
fn size(call: &Call, index: usize, name: &str) -> Result<Option<i64>> {
    match call.bigint(index) {
        Some(size) if size < 0 => Err(Error::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("{name} must not be negative"),
        )),
        size => Ok(size),
    }
}

/// A timestamptz in DuckDB's SQL: 22008 for one without end.
fn moment(call: &Call, index: usize, name: &str) -> Result<Option<String>> {
    let Some(moment) = call.bigint(index) else { return Ok(None) };
    match input::since_1970(moment) {
        Some(moment) => Ok(Some(format!("make_timestamptz({moment})"))),
        None => Err(Error::new(
            PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
            format!("{name} must be finite"),
        )),
    }
}
