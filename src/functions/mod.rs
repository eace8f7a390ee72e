//! The functions of schema `duckdb` that administrators and users call, besides the queries
//! themselves.

mod lake;
mod maintenance;

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::error::{Error, Result, report};
use crate::pg::{acl, encoding, nodes, progress};
use crate::session::{self, access};
use crate::types::{self, parameter};

/// A function whose arguments may be NULL, or whose answer is rows of texts: its symbol, that of its
/// information record, and what it does with a [`crate::pg::call::Call`].
macro_rules! function {
    ($(#[$doc:meta])* $symbol:ident, $information:ident, $body:path) => {
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[pgrx::pg_guard]
        pub unsafe extern "C-unwind" fn $symbol(
            fcinfo: pgrx::pg_sys::FunctionCallInfo,
        ) -> pgrx::pg_sys::Datum {
            // SAFETY: PostgreSQL's own call information of this function.
            unsafe { $crate::error::report($body(&$crate::pg::call::Call::new(fcinfo))) }
        }

        #[unsafe(no_mangle)]
        pub extern "C" fn $information() -> *const pgrx::pg_sys::Pg_finfo_record {
            const V1: pgrx::pg_sys::Pg_finfo_record =
                pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &V1
        }
    };
}
use function;

/// `duckdb.version() RETURNS text`: the version of the DuckDB library.
#[pg_extern]
fn duckdb_version() -> String {
    duck::library_version()
}

/// `duckdb.recycle() RETURNS boolean`: closes the current role's instance; true if there was one.
#[pg_extern]
fn duckdb_recycle() -> bool {
    session::recycle()
}

/// `duckdb.query` and the readers outside of a FROM clause, where they have no columns: 0A000.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn duckdb_only_in_from(
    _fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    Error::not_supported("duckdb.query and the readers can only be used in a FROM clause")
        .hint("Write SELECT … FROM duckdb.query('…').")
        .report()
}

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_duckdb_only_in_from() -> *const pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// `duckdb.pushed` outside of the planner: 0A000.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn duckdb_pushed(_fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    Error::not_supported("duckdb.pushed means something within the planner only").report()
}

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_duckdb_pushed() -> *const pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// The cast from text to `duckdb.sql`: exists so that a computed text gets a clear error, 42P18.
#[pg_extern]
fn duckdb_not_a_literal(_text: &str) -> String {
    Error::new(
        PgSqlErrorCode::ERRCODE_INDETERMINATE_DATATYPE,
        "the columns of a DuckDB query are only known when its text is a literal",
    )
    .hint("Use duckdb.query_rows(text, …) AS alias(column type, …) for a text that is computed.")
    .report()
}

/// `duckdb.execute(sql text [, VARIADIC "any"]) RETURNS bigint`: runs one statement that is no
/// query and returns the number of rows that it changed or wrote. NULL text returns NULL.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn duckdb_execute(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL's own call information.
    unsafe {
        match report(execute(fcinfo)) {
            Some(rows) => pg_sys::Datum::from(rows),
            None => {
                (*fcinfo).isnull = true;
                pg_sys::Datum::null()
            }
        }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_duckdb_execute() -> *const pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// # Safety
/// `fcinfo` is a live call of `duckdb.execute`.
unsafe fn execute(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<i64>> {
    // SAFETY: by contract.
    unsafe {
        let Some((sql, values)) = parameter::of_call(fcinfo)? else { return Ok(None) };
        // As PostgreSQL allows COPY … TO.
        if !duck::policy::is_export(&sql) {
            pg_sys::PreventCommandIfReadOnly(c"duckdb.execute()".as_ptr());
        }
        session::execute(&sql, values).map(Some)
    }
}

/// `duckdb.describe(sql text) RETURNS TABLE (name text, duckdb_type text, postgres_type text)`:
/// the columns of a query, which is not executed. A type that PostgreSQL has nothing for is NULL.
#[pg_extern]
fn duckdb_describe(
    sql: &[u8],
) -> TableIterator<'static, (name!(n, Vec<u8>), name!(d, Vec<u8>), name!(p, Option<String>))> {
    report(access::check_query());
    let sql = encoding::server_bytes_to_utf8(sql);
    let columns =
        report(session::describe(acl::current_role(), &sql, vec![], session::Entry::Query)).columns;
    TableIterator::new(columns.into_iter().map(|column| {
        let pg_type = types::pg_type(&column.name, &column.logical_type).ok().map(|found| {
            // SAFETY: a catalog look-up of an existing type.
            unsafe {
                nodes::str_at(pg_sys::format_type_extended(
                    found.oid,
                    found.typmod,
                    u16::try_from(pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN).unwrap_or(0),
                ))
            }
        });
        let server = |text: &str| encoding::utf8_to_server(text).into_owned();
        (server(&column.name), server(&column.logical_type.to_string()), pg_type)
    }))
}

/// `duckdb.extensions() RETURNS TABLE (name text, loaded boolean, version text)`: DuckDB's
/// extensions in the current role's instance, and those that are installed beside the module.
#[pg_extern]
fn duckdb_extensions() -> TableIterator<
    'static,
    (name!(name, String), name!(loaded, bool), name!(version, Option<String>)),
> {
    report(access::check_query());
    let loaded = report(session::loaded_extensions());
    let mut extensions: std::collections::BTreeMap<String, (bool, Option<String>)> =
        session::installed_extensions().into_iter().map(|name| (name, (false, None))).collect();
    // All are of the version of the library, which the installer checks.
    let version = duck::library_version();
    for name in loaded {
        extensions.insert(name.to_owned(), (true, Some(version.clone())));
    }
    TableIterator::new(
        extensions.into_iter().map(|(name, (loaded, version))| (name, loaded, version)),
    )
}

/// `duckdb.settings() RETURNS TABLE (name text, value text, description text)`: DuckDB's settings
/// in the current role's instance. Values that hold secrets do not exist as settings.
#[pg_extern]
fn duckdb_settings() -> TableIterator<
    'static,
    (name!(name, String), name!(value, Option<String>), name!(description, Option<String>)),
> {
    report(access::check_query());
    let rows = report(session::inspect(
        "SELECT name, value, description FROM duckdb_settings() ORDER BY name",
    ));
    TableIterator::new(rows.into_iter().filter_map(|row| match <[_; 3]>::try_from(row) {
        Ok([Some(name), value, description]) => Some((name, value, description)),
        _ => None,
    }))
}

/// `duckdb.progress() RETURNS TABLE (pid integer, role text, percentage double precision)`: the
/// queries that run in DuckDB now, in all sessions. Without the library in
/// shared_preload_libraries: 55000. Rows of other roles only for members of pg_read_all_stats.
#[pg_extern]
fn duckdb_progress()
-> TableIterator<'static, (name!(pid, i32), name!(role, String), name!(percentage, Option<f64>))> {
    let Some(running) = progress::running() else {
        Error::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "duckdb.progress needs pg_pond in shared_preload_libraries",
        )
        .report()
    };
    let role = acl::current_role();
    let sees_all = acl::has_rights_of(role, c"pg_read_all_stats");
    TableIterator::new(
        running
            .into_iter()
            // SAFETY: a catalog look-up.
            .filter(move |query| sees_all || unsafe { pg_sys::has_privs_of_role(role, query.role) })
            .map(|query| (query.pid, acl::role_name(query.role), query.percentage)),
    )
}
