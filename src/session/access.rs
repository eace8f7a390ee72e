//! Which of the extension's functions the current role may execute, and thereby what it may run.

use duck::location;
use duck::server::ServerSpec;
use pgrx::{PgSqlErrorCode, pg_sys};

use super::{Entry, spec};
use crate::error::{Error, Result};
use crate::pg::acl;
use crate::pg::catalog::{self, Objects};

/// The extension's objects.
///
/// # Errors
/// 42704 when the extension is not installed in this database.
pub fn objects() -> Result<std::rc::Rc<Objects>> {
    // What other sessions have revoked counts from now on.
    // SAFETY: within a transaction.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    Objects::get().ok_or_else(|| {
        Error::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            "extension pg_pond is not installed in this database",
        )
        .hint("Run CREATE EXTENSION pg_pond.")
    })
}

#[must_use]
pub fn permission_denied(function: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("permission denied for function duckdb.{function}"),
    )
    .hint(format!("An administrator can grant EXECUTE on function duckdb.{function} to the role."))
}

/// Whether the current role may run any query.
///
/// # Errors
/// 42501 if not.
pub fn check_query() -> Result<()> {
    if may_query(&*objects()?) { Ok(()) } else { Err(permission_denied("query")) }
}

fn may_query(objects: &Objects) -> bool {
    let role = acl::current_role();
    // query_by_name is what others become; everybody may execute it, and it decides nothing.
    let any = objects.query.iter().chain(&objects.query_rows);
    any.into_iter().any(|function| acl::may_execute(*function, role))
}

/// What the current role may run through the reader `name`. The right to run any query covers the
/// readers.
///
/// # Errors
/// 42501 when it may not execute it.
pub fn entry_for_reader(name: &str) -> Result<Entry> {
    if may_query(&*objects()?) {
        return Ok(Entry::Query);
    }
    let role = acl::current_role();
    let may = catalog::reader(name).is_some_and(|function| acl::may_execute(function, role));
    if may { Ok(Entry::Readers(vec![name.to_owned()])) } else { Err(permission_denied(name)) }
}

/// Makes this session analyse and plan the statements anew that hold a query of the user's: its columns
/// are not what they were.
pub fn forget_plans_of_queries() {
    if let Ok(objects) = objects() {
        for function in objects.query_by_name {
            catalog::forget_plans_with(function);
        }
    }
}

/// What the current role may run of a text that a view or a plan holds.
///
/// # Errors
/// 42501 when it may execute neither `duckdb.query` nor any reader.
pub fn entry_of_role() -> Result<Entry> {
    if may_query(&*objects()?) {
        return Ok(Entry::Query);
    }
    let role = acl::current_role();
    let readers: Vec<String> = catalog::READERS
        .iter()
        .filter(|name| catalog::reader(name).is_some_and(|f| acl::may_execute(f, role)))
        .map(|name| (*name).to_owned())
        .collect();
    if readers.is_empty() { Err(permission_denied("query")) } else { Ok(Entry::Readers(readers)) }
}

/// 42704: the role has no user mapping for the server.
#[must_use]
pub fn no_mapping(role: pg_sys::Oid, server: &catalog::Server) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!(
            "user mapping not found for role \"{}\" and server \"{}\"",
            acl::role_name(role),
            server.name
        ),
    )
}

/// An error of what `role` has run through `entry`, as whoever gave the statement may see it: who may
/// not read all that was read, through somebody else's view or function, or a table of which some
/// columns or the rows behind a view are granted only, does not learn it from an error either.
#[must_use]
pub fn discreet(error: Error, role: pg_sys::Oid, entry: &Entry) -> Error {
    if may_see_all(role, entry) { error } else { error.without_quotes() }
}

/// Whether whoever gave the statement may read the files by themselves, as they are.
fn may_see_all(role: pg_sys::Oid, entry: &Entry) -> bool {
    let (asker, current) = (acl::outer_role(), acl::current_role());
    if acl::is_superuser(asker) {
        return true;
    }
    asker == current
        && match entry {
            Entry::Tables(servers, _) => spec::are_usable(asker, servers).unwrap_or(false),
            Entry::Query | Entry::Readers(_) | Entry::QueryAndTables(_) => role == current,
        }
}

/// A table that DuckDB does not have may be one of PostgreSQL's.
#[must_use]
pub fn explain_missing(error: Error, role: pg_sys::Oid) -> Error {
    let relation = error.missing_table().and_then(catalog::visible_relation);
    match relation {
        Some(relation) if acl::may_select(relation, role) => error.hint(
            "PostgreSQL has a table of that name, which DuckDB's queries do not see. Join it outside of the \
             function, or query foreign tables in plain SQL.",
        ),
        _ => error,
    }
}

/// A path outside of the role's locations may lie in the location of a server that the role lacks
/// something for: then that is what is wrong.
#[must_use]
pub fn explain_outside(error: Error, role: pg_sys::Oid) -> Error {
    if error.sqlstate() != PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE {
        return error;
    }
    if acl::is_superuser(role) {
        if !error.is_of_fence() {
            return error;
        }
        return error.hint(
            "What uses a foreign table or a lake is fenced in as an ordinary role's statement is, also \
             for a superuser, unless duckdb.superuser_sandbox is off.",
        );
    }
    let path = error.message().strip_prefix("path \"").and_then(|rest| rest.split_once("\" lies"));
    let Some((path, _)) = path else { return error };
    let location_of = |server: &catalog::Server| {
        let options = spec::borrowed(&server.options);
        let spec = ServerSpec::new(&server.name, server.server_type.as_deref(), &options, &[]);
        spec.ok().map(|spec| spec.location().to_owned())
    };
    let mut servers: Vec<_> = catalog::servers()
        .into_iter()
        .filter_map(|server| Some((location_of(&server)?, server)))
        .filter(|(location, _)| location::is_under(path, location))
        .collect();
    // The one that is closest.
    servers.sort_by_key(|(location, _)| std::cmp::Reverse(location.len()));
    for (_, server) in servers {
        if !acl::may_use_server(server.oid, role) {
            return Error::new(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("permission denied for foreign server {}", server.name),
            )
            .detail(format!("Path \"{path}\" lies in its location."));
        }
        if catalog::role_mapping(role, server.oid).is_none() {
            return no_mapping(role, &server)
                .detail(format!("Path \"{path}\" lies in its location."));
        }
    }
    error
}
