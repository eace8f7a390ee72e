//! This backend's DuckDB instances, one for each role that queries, and the way every DuckDB call
//! is made: on a driver thread, while the backend waits on its latch.
//!
//! An instance is opened at its role's first query with the role's servers as secrets, locked down
//! for ordinary roles, and replaced when servers, mappings, grants, memberships or limits have
//! changed, when a statement needs a further DuckDB extension, or when an INTERNAL or FATAL error
//! has broken it.

pub mod access;
mod engine;
mod exit;
pub mod shipping;
mod spec;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use duck::driver::{Control, Pool, Task, Wake};
use duck::open::{Extension, OpenSpec};
use duck::scan::{Poll, Scan};
use duck::watchdog::Watchdog;
use duck::{Chunk, Column, Value};
use pgrx::pg_sys;

use crate::error::{Error, Result};
use crate::guc::Limits;
use crate::pg::{acl, callbacks, memory, progress, wait};

pub use engine::{Description, Engine, Entry, TextRow};
pub use spec::{are_usable, check_usable, specification};

/// More roles than this in one backend (a pooled connection with SET ROLE) close the instance that
/// has been idle longest.
const MOST_INSTANCES: usize = 4;

/// Whose instance it is, and for what: no servers stand for all that the role may use (its own
/// queries); otherwise the instance has exactly these servers, for foreign tables on servers that
/// the role may not use by itself.
type InstanceKey = (pg_sys::Oid, Vec<pg_sys::Oid>);

struct RoleInstance {
    engine: Arc<Engine>,
    /// What the instance was opened with.
    spec: OpenSpec,
    limits: Limits,
    /// The state of the catalogs for which `spec` was last seen to hold.
    generation: u64,
    last_use: u64,
}

struct Session {
    pool: Pool,
    wake: Arc<Wake>,
    wait_set: wait::WaitSet,
    watchdog: Watchdog,
    instances: HashMap<InstanceKey, RoleInstance>,
    uses: u64,
}

thread_local! {
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
}

/// The pieces that outlive a borrow of the session.
fn parts() -> Result<(Pool, Arc<Wake>)> {
    SESSION.with_borrow_mut(|slot| {
        if slot.is_none() {
            let wake = Wake::new()?;
            let wait_set = wait::WaitSet::new(wake.fd());
            let pool = Pool::default();
            let watchdog = Watchdog::start(&pool);
            *slot = Some(Session {
                pool,
                wake,
                wait_set,
                watchdog,
                instances: HashMap::new(),
                uses: 0,
            });
            exit::register();
        }
        let session = slot.as_ref().ok_or_else(no_session)?;
        Ok((session.pool.clone(), Arc::clone(&session.wake)))
    })
}

/// Forgets the session without closing anything.
fn leak() {
    let session = SESSION.try_with(|slot| slot.try_borrow_mut().ok().and_then(|mut s| s.take()));
    std::mem::forget(session);
}

fn no_session() -> Error {
    Error::new(pgrx::PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "the DuckDB session is not open")
}

/// Polls until there is an answer; see [`wait::WaitSet::until`].
fn wait_for<T>(poll: impl FnMut() -> Option<T>) -> Result<T> {
    let (_, wake) = parts()?;
    let wait_set = SESSION.with_borrow(|slot| slot.as_ref().map(|session| session.wait_set));
    let wait_set = wait_set.ok_or_else(no_session)?;
    let mut poll = poll;
    wait_set.until(
        || wake.clear(),
        || match poll() {
            Some(answer) => Some(Ok(answer)),
            None if is_over_memory() => Some(Err(over_memory())),
            None => None,
        },
    )
}

fn is_over_memory() -> bool {
    SESSION.with_borrow(|slot| {
        slot.as_ref().is_some_and(|session| session.watchdog.is_over(memory::allocated_bytes))
    })
}

fn over_memory() -> Error {
    Error::new(
        pgrx::PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
        "DuckDB uses more memory than duckdb.memory_limit allows",
    )
    .detail(
        "Single values, such as very long lists and strings, are not held to the limit by DuckDB.",
    )
    .hint("Make smaller values, or raise duckdb.memory_limit.")
}

/// Runs `job` on a driver thread and waits for its answer. A cancel request, a timeout or the end
/// of the client ends the wait with PostgreSQL's own error; the job is interrupted and left behind.
///
/// # Errors
/// The job's own.
pub fn run<T: Send + 'static>(
    job: impl FnOnce(&Control) -> duck::Result<T> + Send + 'static,
) -> Result<T> {
    let (pool, wake) = parts()?;
    let task = Task::start(&pool, &wake, job)?;
    Ok(wait_for(|| task.poll())??)
}

/// The engine for what `role` runs through `entry`, opened or replaced as needed. `sql` is looked at
/// for the DuckDB extensions that only some statements need.
///
/// # Errors
/// A server whose options do not fit its type; 42704 for a server of a foreign table for which the
/// role has no user mapping; DuckDB's failure to open.
pub fn engine(role: pg_sys::Oid, entry: &Entry, sql: &str) -> Result<Arc<Engine>> {
    // Other sessions' REVOKE and DROP count from now on.
    // SAFETY: within a transaction.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    parts()?;
    let generation = callbacks::access_generation();
    let limits = crate::guc::limits();
    let extensions = spec::extensions_for(sql);
    let servers = match entry {
        Entry::Tables(servers) if !spec::are_usable(role, servers)? => servers.clone(),
        _ => vec![],
    };
    let key = (role, servers);
    let known = SESSION.with_borrow_mut(|slot| {
        let session = slot.as_mut()?;
        session.uses += 1;
        let found = session.instances.get_mut(&key)?;
        found.last_use = session.uses;
        let fits = found.generation == generation
            && found.limits == limits
            && extensions.iter().all(|e| found.spec.extra_extensions.contains(e))
            && !found.engine.is_broken();
        fits.then(|| Arc::clone(&found.engine))
    });
    match known {
        Some(engine) => Ok(engine),
        None => reopen(key, generation, &limits, extensions),
    }
}

fn reopen(
    key: InstanceKey,
    generation: u64,
    limits: &Limits,
    mut extensions: Vec<Extension>,
) -> Result<Arc<Engine>> {
    let old = SESSION.with_borrow(|slot| {
        let found = slot.as_ref()?.instances.get(&key)?;
        Some((found.spec.clone(), Arc::clone(&found.engine)))
    });
    if let Some((spec, _)) = &old {
        extensions.extend(&spec.extra_extensions);
        extensions.sort_unstable();
        extensions.dedup();
    }
    let (role, servers) = &key;
    let spec = spec::build(*role, servers, limits, extensions)?;
    let engine = match old {
        Some((old_spec, engine)) if old_spec == spec && !engine.is_broken() => engine,
        _ => {
            // The old one goes first: two instances at once would double the memory.
            SESSION.with_borrow_mut(|slot| slot.as_mut().map(|s| s.instances.remove(&key)));
            let (mut own, timezone) = (spec.clone(), timezone());
            own.temp_directory = own.temp_directory.map(exit::own_temp_directory);
            Arc::new(run(move |_| Engine::open(&own, &timezone))?)
        }
    };
    SESSION.with_borrow_mut(|slot| {
        let Some(session) = slot else { return };
        let entry = RoleInstance {
            engine: Arc::clone(&engine),
            spec,
            limits: limits.clone(),
            generation,
            last_use: session.uses,
        };
        session.instances.insert(key, entry);
        session.watchdog.set_limit(total_limit(session));
        if session.instances.len() > MOST_INSTANCES {
            let idle = session.instances.iter().min_by_key(|(_, found)| found.last_use);
            if let Some(key) = idle.map(|(key, _)| key.clone()) {
                session.instances.remove(&key);
            }
        }
    });
    Ok(engine)
}

/// What the instances together may use; `None` when one has no limit.
fn total_limit(session: &Session) -> Option<u64> {
    session.instances.values().map(|instance| instance.spec.memory_limit_bytes).sum()
}

/// Closes the current role's instances; the next query opens a new one.
pub fn recycle() -> bool {
    let role = acl::current_role();
    SESSION.with_borrow_mut(|slot| {
        let Some(session) = slot else { return false };
        let before = session.instances.len();
        session.instances.retain(|(of, _), _| *of != role);
        session.instances.len() < before
    })
}

/// PostgreSQL's current time zone.
#[must_use]
pub fn timezone() -> String {
    // SAFETY: session_timezone is always set; the name belongs to it.
    unsafe { crate::pg::nodes::str_at(pg_sys::pg_get_timezone_name(pg_sys::session_timezone)) }
}

/// The columns that `sql` would return, with nothing executed. `arguments` stand for `$1` and so
/// on: their types are what counts, values are used where the columns depend on them.
///
/// # Errors
/// 42601 for several statements, 42501 for what the role may not do, DuckDB's own.
pub fn describe(
    role: pg_sys::Oid,
    sql: &str,
    arguments: Vec<Value>,
    entry: Entry,
) -> Result<Description> {
    let engine = engine(role, &entry, sql)?;
    let (sql, timezone) = (sql.to_owned(), timezone());
    let described =
        run(move |control| engine.describe(control, &sql, &arguments, &timezone, entry));
    described.map_err(|error| access::explain_outside(error, role))
}

/// A query to run.
pub struct Request {
    /// The text that the user wrote.
    pub original: String,
    /// The text that runs.
    pub sql: String,
    /// How many columns the original must have, where only positions tell columns apart.
    pub expected_columns: Option<usize>,
    /// How many of the values are the original's own; conditions have the others.
    pub arguments: usize,
    /// The values of `$1` and so on.
    pub values: Vec<Value>,
    /// Who runs it: the role that was current when the executor started, whoever fetches.
    pub role: pg_sys::Oid,
    pub entry: Entry,
}

/// Starts a query.
///
/// # Errors
/// As [`describe`]; what DuckDB finds later comes from the scan.
pub fn start_scan(mut request: Request) -> Result<RunningScan> {
    let role = request.role;
    let engine = engine(role, &request.entry, &request.original)?;
    log_sql(&request.sql);
    let (pool, wake) = parts()?;
    let timezone = timezone();
    let instance = Arc::clone(engine.instance());
    let values = std::mem::take(&mut request.values);
    let measured = progress::is_available();
    let scan = Scan::start(&pool, &wake, &instance, values, move |connection, values| {
        if measured {
            duck::open::measure_progress(connection)?;
        }
        engine.prepare_request(connection, &request, values, &timezone)
    })?;
    Ok(RunningScan { scan, role })
}

/// Rows of text from a query of our own.
///
/// # Errors
/// DuckDB's.
pub fn inspect(sql: &'static str) -> Result<Vec<TextRow>> {
    let engine = engine(acl::current_role(), &Entry::Query, "")?;
    run(move |control| engine.inspect(control, sql))
}

/// The rows of a query of our own about files, whose columns are all text; `None` when there is no
/// answer within `patience`.
///
/// # Errors
/// As [`describe`].
pub fn ask(
    role: pg_sys::Oid,
    sql: &str,
    entry: Entry,
    patience: Option<Duration>,
) -> Result<Option<Vec<TextRow>>> {
    let engine = engine(role, &entry, sql)?;
    log_sql(sql);
    let (sql, timezone) = (sql.to_owned(), timezone());
    let (pool, wake) = parts()?;
    let task = Task::start(&pool, &wake, move |control| {
        engine.ask(control, &sql, &timezone, &entry).map(Some)
    })?;
    let started = Instant::now();
    let answer = wait_for(|| {
        let late = || patience.is_some_and(|patience| started.elapsed() > patience);
        task.poll().or_else(|| late().then_some(Ok(None)))
    })?;
    answer.map_err(|error| access::explain_outside(error.into(), role))
}

/// The DuckDB extensions that the current role's instance has: those in the library, and those that
/// it was opened with.
///
/// # Errors
/// As [`engine()`].
pub fn loaded_extensions() -> Result<Vec<&'static str>> {
    let engine = engine(acl::current_role(), &Entry::Query, "")?;
    Ok(["autocomplete", "core_functions", "icu", "json", "parquet"]
        .into_iter()
        .chain(engine.extensions())
        .collect())
}

/// The DuckDB extensions that are installed beside the module.
#[must_use]
pub fn installed_extensions() -> Vec<String> {
    spec::installed_extensions()
}

/// DuckDB's own plan of `sql`, as its EXPLAIN draws it.
///
/// # Errors
/// As [`describe`].
pub fn explain(role: pg_sys::Oid, original: &str, sql: &str, entry: Entry) -> Result<String> {
    let engine = engine(role, &entry, original)?;
    let (original, sql, timezone) = (original.to_owned(), sql.to_owned(), timezone());
    run(move |control| engine.explain(control, &original, &sql, &timezone, &entry))
}

fn log_sql(sql: &str) {
    if crate::guc::log_sql() {
        pgrx::log!("DuckDB SQL: {sql}");
    }
}

/// A query that runs in DuckDB. Dropping it stops the query.
pub struct RunningScan {
    scan: Scan,
    role: pg_sys::Oid,
}

impl Drop for RunningScan {
    fn drop(&mut self) {
        progress::clear();
    }
}

impl RunningScan {
    /// Waits until execution has begun, and returns the columns.
    ///
    /// # Errors
    /// DuckDB's.
    pub fn columns(&self) -> Result<Vec<Column>> {
        let columns = wait_for(|| {
            progress::report(|| self.scan.progress_percent());
            self.scan.poll_columns().transpose()
        })?;
        columns.map_err(|error| access::explain_outside(error.into(), self.role))
    }

    /// Waits for the next chunk; `None` at the end.
    ///
    /// # Errors
    /// DuckDB's.
    pub fn next_chunk(&self) -> Result<Option<Chunk>> {
        // A stream that is never empty still listens.
        wait::check_interrupts();
        wait_for(|| match self.scan.poll() {
            Ok(Poll::Pending) => {
                progress::report(|| self.scan.progress_percent());
                None
            }
            Ok(Poll::Chunk(chunk)) => Some(Ok(Some(chunk))),
            Ok(Poll::End) => Some(Ok(None)),
            Err(error) => Some(Err(Error::from(error))),
        })?
    }
}

/// Executes a statement that need not return rows, and returns the number of changed rows.
///
/// # Errors
/// 42501 for what the role may not do, DuckDB's own.
pub fn execute(sql: &str, arguments: Vec<Value>) -> Result<i64> {
    struct Shown;
    impl Drop for Shown {
        fn drop(&mut self) {
            progress::clear();
        }
    }
    let role = acl::current_role();
    let engine = engine(role, &Entry::Query, sql)?;
    log_sql(sql);
    let (sql, timezone) = (sql.to_owned(), timezone());
    let (pool, wake) = parts()?;
    let measured = progress::is_available();
    let task = Task::start(&pool, &wake, move |control| {
        engine.execute(control, &sql, &arguments, &timezone, measured)
    })?;
    let _shown = Shown;
    let changed = wait_for(|| {
        progress::report(|| task.progress_percent());
        task.poll()
    })?;
    changed.map_err(|error| access::explain_outside(error.into(), role))
}
