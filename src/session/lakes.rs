//! Lakes as such: which ones the current role may look at and look after, statements of our own
//! about them, and how one is made.

use std::ffi::CStr;
use std::sync::Arc;
use std::time::Duration;

use duck::policy::Expected;
use duck::transaction::{Source, Transaction};
use duck::{placeholder, quote};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::conflict::{self, Deletes};
use super::transaction::{self, Write};
use super::{
    Engine, Entry, Fence, InstanceKey, TextRow, access, changed_by, engine, exit, log_sql, run,
    run_raw, spec, timezone,
};
use crate::error::{Error, Result};
use crate::pg::{acl, catalog, progress, wait};

/// The lake of the server called `name`, whoever may use it.
///
/// # Errors
/// 42704 when there is no such server, 42809 when it is no lake.
pub fn lake_server(name: &str) -> Result<catalog::Server> {
    // What other sessions have changed counts from now on.
    // SAFETY: within a transaction.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    let server = catalog::server_by_name(name).ok_or_else(|| {
        Error::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("server \"{name}\" does not exist"),
        )
    })?;
    if server.is_ours() && server.is_lake() {
        return Ok(server);
    }
    Err(Error::new(
        PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
        format!("server \"{name}\" is not a lake"),
    )
    .hint("A lake is a server of wrapper duckdb and type ducklake."))
}

/// The lake of the server called `name`, which the current role may use by itself.
///
/// # Errors
/// As [`lake_server`]; 42501 without USAGE, 42704 without a user mapping.
pub fn usable_lake(name: &str) -> Result<catalog::Server> {
    let server = lake_server(name)?;
    check_use(&server)?;
    Ok(server)
}

fn check_use(server: &catalog::Server) -> Result<()> {
    let role = acl::current_role();
    let denied = || {
        Error::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("permission denied for foreign server {}", server.name),
        )
    };
    if !acl::may_use_server(server.oid, role) {
        return Err(denied());
    }
    if catalog::role_mapping(role, server.oid).is_none() {
        return Err(access::no_mapping(role, server));
    }
    if spec::is_usable(role, server.oid)? {
        return Ok(());
    }
    // A lake names the files that are read and deleted with the rights of whoever uses it.
    Err(denied().detail("A superuser uses only lakes that superusers own."))
}

/// The instance that serves the current role's statements about a lake, and the lake's name quoted.
fn engine_of(server: &catalog::Server, sql: &str) -> Result<Arc<Engine>> {
    engine(acl::current_role(), &Entry::table(server.oid, Expected::default()), sql)
}

/// Runs a statement of our own that writes to a lake, in the transaction, and returns its rows,
/// whose columns are all text.
///
/// # Errors
/// 55000 for a lake that is attached to be read only; as [`transaction::begin_write_of`]; DuckDB's.
pub fn change(
    server: &catalog::Server,
    write: Write,
    sql: &str,
    command: &CStr,
    expected: Expected,
) -> Result<Vec<TextRow>> {
    check_writable(server)?;
    placeholder::refuse("an argument", sql)?;
    let engine = engine_of(server, sql)?;
    transaction::begin_write_of(write, &engine, &server.name, command)?;
    if must_commit_once(sql) {
        transaction::commit_once(&engine);
    }
    log_sql(sql);
    let source = transaction::source(&engine, &quote::identifier(&server.name))?;
    let own = Arc::clone(&engine);
    let (sql, timezone) = (sql.to_owned(), timezone::current_or_none());
    let rows = run_raw(move |control| {
        own.inspect_lake(&source, control, &sql, &[], &timezone, &expected)
    })?;
    let rows = rows.map_err(|error| {
        transaction::note_error(&engine, &error);
        Error::from(error)
    })?;
    if write == Write::Compaction {
        tables_of(&rows).for_each(|table| transaction::note_deletes(&engine, table));
    }
    Ok(rows)
}

/// What else writes to a lake while a statement takes effect at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Others may commit; DuckLake finds out what conflicts. Tried once.
    Others,
    /// The same, tried again on a new snapshot after a conflict.
    OthersAgain,
    /// pg_pond's other sessions wait with their commits. Where somebody else has committed, all is
    /// tried again on a new snapshot.
    Nobody,
}

/// How often a statement is tried, how often of these while others may commit, and how long the first
/// pause is.
const ATTEMPTS: u32 = 12;
const PATIENCE: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Runs a statement of our own in a transaction of its own that commits at once, and returns its rows,
/// whose columns are all text. For what deletes files, since they cannot be brought back and neither
/// must be what made them superfluous, and for what changes no row of any table.
///
/// # Errors
/// 55000 for a lake that is attached to be read only; as [`transaction::check_at_once`]; 40001 for a
/// conflict with others' commits; DuckDB's.
pub fn change_at_once(
    server: &catalog::Server,
    beside: Beside,
    sql: &str,
    command: &CStr,
    expected: Expected,
) -> Result<Vec<TextRow>> {
    check_writable(server)?;
    transaction::check_at_once(&server.name, command)?;
    placeholder::refuse("an argument", sql)?;
    let engine = engine_of(server, sql)?;
    log_sql(sql);
    let (mut lock, mut beside) = (None, beside);
    let mut pause = FIRST_PAUSE;
    let expected = Arc::new(expected);
    for attempt in 1.. {
        if beside == Beside::OthersAgain && attempt > PATIENCE {
            beside = Beside::Nobody;
        }
        if beside == Beside::Nobody && lock.is_none() {
            lock = Some(transaction::lock_commits(&engine, &server.name)?);
        }
        let done = try_at_once(&engine, server, beside, sql, &expected)?.map_err(Error::from);
        let conflict = done.as_ref().is_err_and(|error| {
            error.sqlstate() == PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE
        });
        if !conflict || beside == Beside::Others || attempt == ATTEMPTS {
            return done
                .map_err(|error| if conflict { error.in_lake(&server.name) } else { error });
        }
        wait::sleep(pause);
        pause = pause * 3 / 2;
    }
    Ok(vec![])
}

/// The tables whose files were rewritten, which these rows are about: their second column.
fn tables_of(rows: &[TextRow]) -> impl Iterator<Item = &str> {
    rows.iter().filter_map(|row| row.get(1)?.as_deref())
}

fn try_at_once(
    engine: &Arc<Engine>,
    server: &catalog::Server,
    beside: Beside,
    sql: &str,
    expected: &Arc<Expected>,
) -> Result<duck::Result<Vec<TextRow>>> {
    let (engine, sql, timezone) = (Arc::clone(engine), sql.to_owned(), timezone::current_or_none());
    let (lake, message) = (server.name.clone(), transaction::commit_message(&server.name)?);
    let expected = Arc::clone(expected);
    let of_message = Expected { lake: Some(lake.clone()), ..Expected::default() };
    run_raw(move |control| {
        let own = Transaction::new(engine.instance());
        let source = Source::Transaction(own.clone());
        let inspect = |sql: &str, expected: &Expected| {
            engine.inspect_lake(&source, control, sql, &[], &timezone, expected)
        };
        let done = inspect(&sql, &expected).and_then(|rows| {
            inspect(&message, &of_message)?;
            if beside == Beside::Nobody {
                own.commit_once(control)?;
                return Ok(rows);
            }
            let lock = engine.lock_commits(&lake, control)?;
            let mut deletes = Deletes::default();
            tables_of(&rows).for_each(|table| deletes.add(table));
            let done = conflict::check(&engine, &own, &lake, &deletes, control)
                .and_then(|()| own.commit(control));
            lock.roll_back();
            done.map(|()| rows)
        });
        if done.is_err() {
            own.roll_back();
        }
        done
    })
}

/// Makes a table of a lake from a query of the user's, in the transaction; returns its number of
/// rows.
///
/// # Errors
/// As [`usable_lake`] and [`change`]; 42501 for a query that the role may not run.
pub fn create_table(name: &[String; 3], query: &str, command: &CStr) -> Result<i64> {
    let server = usable_lake(&name[0])?;
    check_writable(&server)?;
    let role = acl::current_role();
    let quoted = name.each_ref().map(|part| quote::identifier(part)).join(".");
    // The query may name other lakes.
    let engine = engine(role, &Entry::Query, &format!("{quoted} {query}"))?;
    transaction::begin_write(&engine, &server.name, command)?;
    let source = transaction::source(&engine, &format!("{quoted} {query}"))?;
    log_sql(&format!("CREATE TABLE {quoted} AS {query}"));
    let measured = progress::is_available();
    let own = Arc::clone(&engine);
    let timezone = timezone::current(&Entry::Query)?;
    let (query, lake) = (query.to_owned(), server.name.clone());
    let rows = changed_by(move |control| {
        own.create_table(&source, control, &lake, &quoted, &query, &timezone, measured)
    })?;
    rows.map_err(|error| {
        transaction::note_error(&engine, &error);
        access::explain_outside(error.into(), role)
    })
}

fn check_writable(server: &catalog::Server) -> Result<()> {
    if !spec::lake(acl::current_role(), server.oid)?.is_read_only() {
        return Ok(());
    }
    Err(Error::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("lake \"{}\" is read only", server.name),
    )
    .hint("The server's option read_only says so."))
}

/// Refuses paths that the current role may not read.
///
/// # Errors
/// 42501.
pub fn check_paths(server: &catalog::Server, paths: Vec<String>) -> Result<()> {
    let role = acl::current_role();
    let engine = engine_of(server, "")?;
    run(move |control| paths.iter().try_for_each(|path| engine.check_read(control, path)))
        .map_err(|error| access::explain_outside(error, role))
}

/// Whether a user's own statement may delete rows or rewrite files. As in [`write_of`] a look is enough.
#[must_use]
pub fn may_delete(sql: &str) -> bool {
    let first = duck::lexer::first_word(sql);
    !["INSERT", "CREATE", "ALTER", "COPY", "COMMENT"].contains(&first.as_str())
}

/// Whether a user's own statement calls a function that sends to the catalog at once what DuckLake does
/// not send again if it has to commit on another snapshot. As in [`write_of`] a look is enough.
#[must_use]
pub fn must_commit_once(sql: &str) -> bool {
    let sql = sql.to_ascii_lowercase();
    ["flush_inlined_data", "expire_snapshots", "cleanup_old_files", "set_option"]
        .iter()
        .any(|name| sql.contains(name))
}

/// What a user's own statement does to a lake. A look at the text is enough: what hides from it
/// only meets DuckLake's own error when the transaction commits.
#[must_use]
pub fn write_of(sql: &str) -> Write {
    let sql = sql.to_ascii_lowercase();
    let calls = |names: &[&str]| names.iter().any(|name| sql.contains(name));
    if calls(&["merge_adjacent_files", "rewrite_data_files"])
        || sql.trim_start().starts_with("checkpoint")
    {
        Write::Compaction
    } else if calls(&["ducklake_cleanup_old_files", "ducklake_delete_orphaned_files"]) {
        Write::Deletion
    } else {
        Write::Change
    }
}

/// Makes the lake of a server, if it is not there; returns whether it was made. It is there at once,
/// whatever becomes of the transaction.
///
/// # Errors
/// As [`usable_lake`]; 55000 for a lake that is attached to be read only; DuckDB's.
pub fn create(server: &catalog::Server) -> Result<bool> {
    check_use(server)?;
    check_writable(server)?;
    let servers = [server.oid];
    let limits = crate::guc::limits();
    let role = acl::current_role();
    let fence = Fence::of(role, &Entry::table(server.oid, Expected::default()), &servers);
    let key = InstanceKey { role, servers: servers.to_vec(), fence };
    let mut spec = spec::build(&key, &servers, &limits, vec![])?;
    spec.temp_directory = spec.temp_directory.map(exit::own_temp_directory);
    let mut attach = |creating: bool| {
        for lake in &mut spec.lakes {
            let found = lake.clone();
            *lake = if creating { found.to_be_created() } else { found.to_be_found() };
        }
        let spec = spec.clone();
        run(move |_| duck::open::open(&spec).map(drop))
    };
    match attach(false) {
        Ok(()) => Ok(false),
        Err(error) if error.sqlstate() == PgSqlErrorCode::ERRCODE_FDW_SCHEMA_NOT_FOUND => {
            attach(true).map(|()| true)
        }
        Err(error) => Err(error),
    }
}
