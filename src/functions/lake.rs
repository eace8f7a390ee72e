//! The functions that make a lake and tell about it.

use duck::policy::{Expected, TableCall};
use duck::quote;
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::function;
use crate::error::{Error, Result};
use crate::lake::origin::{LakeRelation, Moment};
use crate::lake::travel;
use crate::pg::acl;
use crate::pg::call::{Call, Row};
use crate::session::{self, lakes};

function! {
    /// `duckdb.create_lake(server text) RETURNS boolean`: makes the lake of a server; false if it
    /// was there. For the server's owner: 42501. NULL returns NULL.
    duckdb_create_lake, pg_finfo_duckdb_create_lake, create_lake
}

function! {
    /// `duckdb.snapshots(server text) RETURNS TABLE (snapshot_id bigint, snapshot_time timestamptz,
    /// schema_version bigint, changes jsonb, author text, commit_message text, commit_extra_info
    /// text)`: the snapshots of a lake, oldest first. NULL returns no rows.
    duckdb_snapshots, pg_finfo_duckdb_snapshots, snapshots
}

function! {
    /// `duckdb.table_info(server text) RETURNS TABLE (schema_name text, table_name text, table_id
    /// bigint, table_uuid uuid, file_count bigint, file_size_bytes bigint, delete_file_count bigint,
    /// delete_file_size_bytes bigint)`: the tables of a lake and their files. NULL returns no rows.
    duckdb_table_info, pg_finfo_duckdb_table_info, table_info
}

function! {
    /// `duckdb.list_files(foreign_table regclass) RETURNS TABLE (data_file text,
    /// data_file_size_bytes bigint, delete_file text, delete_file_size_bytes bigint)`: the files
    /// that hold the rows of a foreign table on a lake. Needs SELECT on it: 42501. NULL returns no
    /// rows.
    duckdb_list_files, pg_finfo_duckdb_list_files, list_files
}

function! {
    /// `duckdb.create_lake_table(name text, query text) RETURNS bigint`: makes a table of a lake from
    /// a DuckDB query and returns its number of rows. NULL returns NULL.
    duckdb_create_lake_table, pg_finfo_duckdb_create_lake_table, create_lake_table
}

/// The columns of DuckLake's snapshots as texts that PostgreSQL reads.
pub const SNAPSHOT_COLUMNS: &str = "CAST(snapshot_id AS VARCHAR), CAST(snapshot_time AS VARCHAR), \
     CAST(schema_version AS VARCHAR), CAST(to_json(changes) AS VARCHAR), author, commit_message, \
     commit_extra_info";

/// # Safety
/// A live call of `duckdb.create_lake`.
unsafe fn create_lake(call: &Call) -> Result<pg_sys::Datum> {
    // SAFETY: raises an error or returns.
    unsafe { pg_sys::PreventCommandIfReadOnly(c"duckdb.create_lake()".as_ptr()) };
    let Some(name) = call.text(0) else { return Ok(call.null()) };
    let server = lakes::lake_server(&name)?;
    if !acl::owns_server(server.oid, acl::current_role()) {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("must be owner of foreign server {}", server.name),
        ));
    }
    Ok(pg_sys::Datum::from(lakes::create(&server)?))
}

/// # Safety
/// A live call of `duckdb.create_lake_table`.
unsafe fn create_lake_table(call: &Call) -> Result<pg_sys::Datum> {
    let (Some(name), Some(query)) = (call.text(0), call.text(1)) else { return Ok(call.null()) };
    let rows = lakes::create_table(&parts(&name)?, &query, c"duckdb.create_lake_table()")?;
    Ok(pg_sys::Datum::from(rows))
}

/// The parts of `lake.schema.table`, quoted as identifiers where need be.
///
/// # Errors
/// 42602 for another number of them, or a quote that is not closed.
fn parts(name: &str) -> Result<[String; 3]> {
    let (mut parts, mut part, mut quoted) = (vec![], String::new(), false);
    let mut characters = name.trim().chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => part.push('"'),
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(std::mem::take(&mut part)),
            other => part.push(other),
        }
    }
    parts.push(part);
    let whole = !quoted && parts.iter().all(|part| !part.is_empty());
    parts.try_into().ok().filter(|_| whole).ok_or_else(|| {
        Error::new(
            PgSqlErrorCode::ERRCODE_INVALID_NAME,
            format!("invalid name of a lake's table: \"{name}\""),
        )
        .hint("Write lake.schema.table, with double quotes where a part needs them.")
    })
}

/// # Safety
/// A live call of `duckdb.snapshots`.
unsafe fn snapshots(call: &Call) -> Result<pg_sys::Datum> {
    let rows = match call.text(0) {
        None => vec![],
        Some(name) => {
            let server = lakes::usable_lake(&name)?;
            let lake = quote::literal(&server.name);
            let sql = format!(
                "SELECT {SNAPSHOT_COLUMNS} FROM ducklake_snapshots({lake}) ORDER BY snapshot_id"
            );
            let expected = Expected::call(TableCall::new("ducklake_snapshots", [server.name]));
            session::ask_lake(server.oid, &sql, vec![], expected)?
        }
    };
    // SAFETY: by contract.
    unsafe { answer(call, &rows) }
}

/// # Safety
/// A live call of `duckdb.table_info`.
unsafe fn table_info(call: &Call) -> Result<pg_sys::Datum> {
    let rows = match call.text(0) {
        None => vec![],
        Some(name) => {
            let server = lakes::usable_lake(&name)?;
            let lake = session::lake(acl::current_role(), server.oid)?;
            let sql = format!(
                "SELECT place.schema_name, info.table_name, CAST(info.table_id AS VARCHAR), \
                 CAST(info.table_uuid AS VARCHAR), CAST(info.file_count AS VARCHAR), \
                 CAST(info.file_size_bytes AS VARCHAR), \
                 CAST(info.delete_file_count AS VARCHAR), \
                 CAST(info.delete_file_size_bytes AS VARCHAR) \
                 FROM ducklake_table_info({}) AS info JOIN {} AS place \
                 ON place.schema_id = info.schema_id AND place.end_snapshot IS NULL ORDER BY 1, 2",
                quote::literal(&server.name),
                lake.metadata_table("ducklake_schema")
            );
            let expected = Expected {
                relations: vec![lake.metadata_name("ducklake_schema")],
                ..Expected::call(TableCall::new("ducklake_table_info", [server.name]))
            };
            session::ask_lake(server.oid, &sql, vec![], expected)?
        }
    };
    // SAFETY: by contract.
    unsafe { answer(call, &rows) }
}

/// # Safety
/// A live call of `duckdb.list_files`.
unsafe fn list_files(call: &Call) -> Result<pg_sys::Datum> {
    let rows = match call.oid(0) {
        None => vec![],
        Some(relation) => {
            let (table, relation) = travel::readable(relation, acl::current_role())?;
            let names = [&*relation.lake, &*relation.table];
            let expected = Expected::call(TableCall::new("ducklake_list_files", names));
            session::ask_lake(table.server, &files_of(&relation), vec![], expected)?
        }
    };
    // SAFETY: by contract.
    unsafe { answer(call, &rows) }
}

/// The query of a table's files.
fn files_of(relation: &LakeRelation) -> String {
    let moment = match &relation.moment {
        Moment::Newest => String::new(),
        Moment::Version(number) => format!(", snapshot_version => {number}"),
        Moment::Timestamp(moment) => format!(
            ", snapshot_time => CAST({} AS TIMESTAMP WITH TIME ZONE)",
            quote::literal(moment)
        ),
    };
    format!(
        "SELECT data_file, CAST(data_file_size_bytes AS VARCHAR), delete_file, \
         CAST(delete_file_size_bytes AS VARCHAR) FROM ducklake_list_files({}, {}, schema => {}{moment}) \
         ORDER BY data_file",
        quote::literal(&relation.lake),
        quote::literal(&relation.table),
        quote::literal(&relation.schema)
    )
}

/// Returns the rows of a set-returning function.
///
/// # Errors
/// 0A000 where no set is accepted.
///
/// # Safety
/// A live call.
pub unsafe fn answer(call: &Call, rows: &[Row]) -> Result<pg_sys::Datum> {
    if !call.takes_rows() {
        return Err(Error::not_supported(
            "set-valued function called in context that cannot accept a set",
        ));
    }
    // SAFETY: by contract, and just looked at.
    Ok(unsafe { call.return_rows(rows) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_three_parts() {
        let found = parts("lk.\"a.b\".\"c\"\"d\"").ok();
        assert_eq!(found, Some(["lk".into(), "a.b".into(), "c\"d".into()]));
        for wrong in ["", "t", "lk.t", "a.b.c.d", "a..c", "a.b.\"c"] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }
}
