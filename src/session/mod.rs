//! This backend's DuckDB instances, one for each role that queries, and the way every DuckDB call
//! is made: on a driver thread, while the backend waits on its latch.
//!
//! An instance is opened at its role's first query with the role's servers as secrets, locked down
//! but for what superusers write themselves (see [`Fence`]), and replaced when servers, mappings, grants, memberships or limits have
//! changed, when a statement needs a further DuckDB extension, or when an INTERNAL or FATAL error
//! has broken it.

pub mod access;
mod conflict;
mod engine;
mod exit;
pub mod feed;
mod journal;
pub mod lakes;
mod planned;
pub mod shipping;
mod spec;
pub mod timezone;
pub mod transaction;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use duck::driver::{Control, Pool, Task, Wake};
use duck::open::{Extension, OpenSpec};
use duck::policy::Expected;
use duck::scan::{Poll, Scan};
use duck::transaction::Source;
use duck::watchdog::Watchdog;
use duck::{Chunk, Column, LogicalType, Value};
use pgrx::pg_sys;

use crate::error::{Error, Result, is_unanswered_commit};
use crate::guc::Limits;
use crate::lake::table::WriteCheck;
use crate::pg::file_mode::ForOthersToRead;
use crate::pg::{acl, callbacks, memory, progress, wait};

use journal::{Again, Replay};

pub use engine::{Description, Engine, Entry, TextRow};
pub use spec::{are_usable, check_usable, lake, specification, storage_of};

/// More roles than this in one backend (a pooled connection with SET ROLE) close the instance that
/// has been idle longest.
const MOST_INSTANCES: usize = 4;

/// Whose instance it is, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstanceKey {
    pub role: pg_sys::Oid,
    /// None stand for all that the role may use (its own queries); otherwise the instance has exactly
    /// these servers, for foreign tables on servers that the role may not use by itself.
    pub servers: Vec<pg_sys::Oid>,
    pub fence: Fence,
}

/// What an instance may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fence {
    /// The locations of its servers and the data of its lakes.
    Shut,
    /// All that the operating system's user may, for what a superuser writes. No lake is attached and no
    /// foreign table is read.
    Typed,
    /// As [`Fence::Typed`], with lakes and foreign tables: `duckdb.superuser_sandbox` is off.
    Off,
}

impl Fence {
    fn of(role: pg_sys::Oid, entry: &Entry, lakes: &[pg_sys::Oid]) -> Self {
        if !acl::is_superuser(role) {
            return Self::Shut;
        }
        if !crate::guc::superuser_sandbox() {
            return Self::Off;
        }
        match entry {
            Entry::Query | Entry::Readers(_) if lakes.is_empty() => Self::Typed,
            _ => Self::Shut,
        }
    }
}

struct RoleInstance {
    engine: Arc<Engine>,
    /// What the instance was opened with.
    spec: OpenSpec,
    /// The servers of the attached lakes.
    lakes: Vec<pg_sys::Oid>,
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
    Ok(run_raw(job)??)
}

/// As [`run`], with DuckDB's error as it is.
fn run_raw<T: Send + 'static>(
    job: impl FnOnce(&Control) -> duck::Result<T> + Send + 'static,
) -> Result<duck::Result<T>> {
    let (pool, wake) = parts()?;
    let task = Task::start(&pool, &wake, job)?;
    wait_for(|| task.poll())
}

/// As [`run`], for a job that looks at what the engine's transaction may have written.
fn run_beside_writes<T: Send + 'static>(
    engine: &Arc<Engine>,
    job: impl FnOnce(&Control) -> duck::Result<T> + Send + 'static,
) -> Result<T> {
    run_raw(job)?.map_err(|error| {
        transaction::note_error_beside_writes(engine, &error);
        error.into()
    })
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
    let lakes = match entry {
        Entry::Tables(servers, _) => spec::lakes_among(servers),
        Entry::Query | Entry::Readers(_) | Entry::QueryAndTables(_) => {
            spec::lakes_named_in(role, sql)?
        }
    };
    let fence = Fence::of(role, entry, &lakes);
    let key = InstanceKey { role, servers: servers_apart(role, entry)?, fence };
    let known = SESSION.with_borrow_mut(|slot| {
        let session = slot.as_mut()?;
        session.uses += 1;
        let found = session.instances.get_mut(&key)?;
        found.last_use = session.uses;
        let fits = found.generation == generation
            && found.limits == limits
            && extensions.iter().all(|e| found.spec.extra_extensions.contains(e))
            && lakes.iter().all(|lake| found.lakes.contains(lake))
            && !found.engine.is_broken();
        fits.then(|| Arc::clone(&found.engine))
    });
    match known {
        Some(engine) => Ok(engine),
        None => reopen(key, generation, &limits, extensions, lakes),
    }
}

/// Whether a text that `role` writes may read what the operating system's user may, so that it does not
/// run where foreign tables are read.
#[must_use]
pub fn is_free(role: pg_sys::Oid, sql: &str) -> bool {
    let lakes = spec::lakes_named_in(role, sql);
    lakes.is_ok_and(|lakes| Fence::of(role, &Entry::Query, &lakes) == Fence::Typed)
}

/// The servers of tables that are read in an instance with these servers only: those that `role` may
/// not use by itself; those that somebody else reads by `role`'s rights, through a view or a function;
/// and those whose files a log names, which must not lead to what else `role` may read. Lakes stay
/// in one instance with what the transaction has written; their catalogs are looked through.
fn servers_apart(role: pg_sys::Oid, entry: &Entry) -> Result<Vec<pg_sys::Oid>> {
    let Entry::Tables(servers, expected) = entry else { return Ok(vec![]) };
    let is_apart = !spec::are_usable(role, servers)?
        || (role != acl::outer_role() || expected.reads_logs())
            && spec::lakes_among(servers).is_empty()
            && spec::can_stand_apart(role, servers);
    Ok(if is_apart { servers.clone() } else { vec![] })
}

/// Whether what `role` has run through `entry` may have failed for what the instance is rather than for
/// what was asked, so that it may be run once more: the next statement has a new instance. (DuckLake 1.0
/// breaks an instance at a table that another client has changed; another lake's catalog may be in the
/// way.)
///
/// # Errors
/// As [`engine()`].
pub fn may_try_again(role: pg_sys::Oid, entry: &Entry, error: &Error) -> Result<bool> {
    if transaction::has_written() {
        return Ok(false);
    }
    if error.sqlstate() == pgrx::PgSqlErrorCode::ERRCODE_INTERNAL_ERROR {
        return Ok(!error.is_unplanned());
    }
    let servers = servers_apart(role, entry)?;
    let is_its = |key: &InstanceKey| key.role == role && key.servers == servers;
    Ok(SESSION.with_borrow(|slot| {
        let mut instances = slot.iter().flat_map(|session| &session.instances);
        instances.any(|(key, found)| is_its(key) && found.engine.is_crowded())
    }))
}

/// Does what only reads, and does it once more where that may help.
fn with_second_try<T>(
    role: pg_sys::Oid,
    entry: &Entry,
    attempt: impl Fn() -> Result<T>,
) -> Result<T> {
    match attempt() {
        Err(error) if may_try_again(role, entry, &error)? => attempt(),
        answer => answer,
    }
}

fn reopen(
    key: InstanceKey,
    generation: u64,
    limits: &Limits,
    mut extensions: Vec<Extension>,
    mut lakes: Vec<pg_sys::Oid>,
) -> Result<Arc<Engine>> {
    let old = SESSION.with_borrow(|slot| {
        let found = slot.as_ref()?.instances.get(&key)?;
        Some((found.spec.clone(), Arc::clone(&found.engine), found.lakes.clone()))
    });
    let wanted = lakes.clone();
    if let Some((spec, engine, attached)) = &old {
        extensions.extend(&spec.extra_extensions);
        extensions.sort_unstable();
        extensions.dedup();
        // A lake that is not the role's any more is left out.
        for lake in attached.iter().filter(|_| !engine.is_crowded()) {
            if !spec::has_name_of(*lake, &lakes) && spec::is_usable(key.role, *lake)? {
                lakes.push(*lake);
            }
        }
    }
    let old = old.map(|(spec, engine, _)| (spec, engine));
    let (lakes, (spec, engine)) =
        match open_instance(&key, &lakes, limits, &extensions, old.as_ref()) {
            // What the statement does not need may be what cannot be reached.
            Err(_) if lakes.len() > wanted.len() => {
                let opened = open_instance(&key, &wanted, limits, &extensions, None)?;
                (wanted, opened)
            }
            opened => (lakes, opened?),
        };
    SESSION.with_borrow_mut(|slot| {
        let Some(session) = slot else { return };
        // What a superuser has opened is not for what it is afterwards.
        session.instances.retain(|other, _| other.role != key.role || fits_now(other));
        let entry = RoleInstance {
            engine: Arc::clone(&engine),
            spec,
            lakes,
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

/// Whether the role may still have such an instance.
fn fits_now(key: &InstanceKey) -> bool {
    match key.fence {
        Fence::Shut => true,
        Fence::Typed => acl::is_superuser(key.role),
        Fence::Off => acl::is_superuser(key.role) && !crate::guc::superuser_sandbox(),
    }
}

/// Opens an instance with these lakes, or goes on with the old one if nothing has changed.
fn open_instance(
    key: &InstanceKey,
    lakes: &[pg_sys::Oid],
    limits: &Limits,
    extensions: &[Extension],
    old: Option<&(OpenSpec, Arc<Engine>)>,
) -> Result<(OpenSpec, Arc<Engine>)> {
    let mut lakes = lakes.to_vec();
    lakes.sort_unstable_by_key(|lake| lake.to_u32());
    let spec = spec::build(key, &lakes, limits, extensions.to_vec())?;
    if let Some((_, engine)) =
        old.filter(|(old_spec, engine)| *old_spec == spec && !engine.is_broken())
    {
        return Ok((spec, Arc::clone(engine)));
    }
    close_broken();
    // The old one goes first: two instances at once would double the memory.
    SESSION.with_borrow_mut(|slot| slot.as_mut().map(|s| s.instances.remove(key)));
    let (mut own, timezone) = (spec.clone(), timezone::current_or_none());
    own.temp_directory = own.temp_directory.map(exit::own_temp_directory);
    let name = key.clone();
    let engine = run(move |_| Engine::open(name, &own, &timezone))?;
    Ok((spec, Arc::new(engine)))
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
        session.instances.retain(|key, _| key.role != role);
        session.instances.len() < before
    })
}

/// Closes all instances of the session: who has it next finds nothing of what was made in them. While
/// the transaction uses one, that waits for its end.
pub fn forget() {
    if transaction::is_open() {
        transaction::forget_at_end();
    } else {
        close_all();
    }
}

fn close_all() {
    SESSION.with_borrow_mut(|slot| {
        if let Some(session) = slot {
            session.instances.clear();
        }
    });
}

/// Closes the instances that an INTERNAL error has broken. DuckDB leaves the transactions in their lakes'
/// catalogs open, with their locks, so these sessions are ended here.
fn close_broken() {
    let broken: Vec<_> = SESSION.with_borrow_mut(|slot| {
        let Some(session) = slot else { return vec![] };
        let is_broken = |instance: &RoleInstance| instance.engine.instance().is_broken();
        let broken = session.instances.values().filter(|instance| is_broken(instance));
        let broken = broken.map(|instance| Arc::clone(&instance.engine)).collect();
        session.instances.retain(|_, instance| !is_broken(instance));
        broken
    });
    for engine in broken {
        // Over a Unix socket it cannot be told whose a connection is; others may be in a transaction.
        if transaction::is_open_beside(&engine) {
            engine.instance().cut_own_catalogs_off();
        } else {
            engine.instance().cut_catalogs_off();
        }
    }
}

/// How long a commit may go on after somebody has asked it to end, and how long it may take to return
/// once its catalog is cut off.
const COMMIT_GRACE: Duration = Duration::from_secs(1);

/// Runs the commit of a DuckDB transaction on a driver thread and waits for it. Whoever stopped
/// waiting at once would not know whether it has happened; so a cancel, a terminate request, the end
/// of the client and statement_timeout (which PostgreSQL does not look at any more here) leave it
/// some time, and then cut the catalog off. Unless the catalog was asked for its own COMMIT by then,
/// nothing has happened.
///
/// # Errors
/// DuckDB's, after which it has not happened; 57014 and 57P01 likewise; 08007 when nobody knows.
fn wait_for_commit(
    engine: &Engine,
    lake: &str,
    job: impl FnOnce(&Control) -> duck::Result<()> + Send + 'static,
) -> Result<()> {
    let (pool, wake) = parts()?;
    let wait_set = SESSION.with_borrow(|slot| slot.as_ref().map(|session| session.wait_set));
    let wait_set = wait_set.ok_or_else(no_session)?;
    let held = wait::HeldInterrupts::new();
    let task = Task::start(&pool, &wake, job)?;
    let begun = Instant::now();
    let timed_out = || wait::statement_timeout().is_some_and(|limit| begun.elapsed() > limit);
    let (mut asked, mut cut) = (None, None);
    let answer = wait_set.until(
        || wake.clear(),
        || {
            if let Some(answer) = task.poll() {
                return Some(Some(answer));
            }
            let is_over =
                |since: Option<Instant>| since.is_some_and(|at| at.elapsed() > COMMIT_GRACE);
            if asked.is_none() && (wait::is_interrupted() || timed_out() || is_over_memory()) {
                asked = Some(Instant::now());
            }
            if is_over(asked) && cut.is_none() {
                engine.instance().cut_catalogs_off();
                cut = Some(Instant::now());
            }
            is_over(cut).then_some(None)
        },
    );
    drop(held);
    match answer {
        Some(Ok(())) => Ok(()),
        None => Err(Error::commit_is_unknown(lake)),
        Some(Err(error)) if is_unanswered_commit(&error) => Err(Error::commit_is_unknown(lake)),
        Some(Err(error)) => {
            if cut.is_some() {
                // PostgreSQL's own error.
                wait::check_interrupts();
                if timed_out() {
                    return Err(Error::new(
                        pgrx::PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
                        "canceling statement due to statement timeout",
                    ));
                }
            }
            Err(Error::from(error).in_lake(lake))
        }
    }
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
    let described = with_second_try(role, &entry, || {
        let engine = engine(role, &entry, sql)?;
        let source = transaction::source_to_describe(&engine, sql)?;
        let (sql, timezone, entry) = (sql.to_owned(), timezone::current(&entry)?, entry.clone());
        let (own, arguments) = (Arc::clone(&engine), arguments.clone());
        run_beside_writes(&engine, move |control| {
            own.describe(&source, control, &sql, &arguments, &timezone, entry)
        })
    });
    described.map_err(|error| told(error, role, &entry))
}

/// An error as whoever gave the statement is told of it.
fn told(error: Error, role: pg_sys::Oid, entry: &Entry) -> Error {
    let error = access::explain_outside(error, role);
    access::discreet(access::explain_missing(error, role), role, entry)
}

/// A statement around a query, which writes the query's rows to a lake.
pub struct Around {
    pub before: String,
    pub behind: String,
    /// What is asked of the lake's table before.
    pub check: Option<(String, WriteCheck)>,
    /// Another statement that does the same, and what is asked before it.
    pub in_place: Option<(String, (String, WriteCheck))>,
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
    /// What stands before and behind the text in a statement that writes its rows to a lake.
    pub around: Option<Around>,
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
    let timezone = timezone::current(&request.entry)?;
    let source = transaction::source(&engine, &request.sql)?;
    let values = std::mem::take(&mut request.values);
    let measured = progress::is_available();
    let own = Arc::clone(&engine);
    let entry = request.entry.clone();
    let request = Arc::new(request);
    if request.around.is_some() {
        keep_modification(&engine, &request, &values, &timezone);
    }
    let scan = Scan::start(&pool, &wake, &source, values, move |connection, values| {
        if measured {
            duck::open::measure_progress(connection)?;
        }
        own.prepare_request(connection, &request, values, &timezone)
    })?;
    Ok(RunningScan::new(scan, role, entry, &engine, &source))
}

/// A statement that changes a lake can be run again after ROLLBACK TO: PostgreSQL has computed what may
/// differ from one time to the next.
fn keep_modification(
    engine: &Arc<Engine>,
    request: &Arc<Request>,
    values: &[Value],
    timezone: &str,
) {
    let bytes = request.sql.len() + size_of_val(values);
    let (request, values) = (Arc::clone(request), values.to_vec());
    let timezone = timezone.to_owned();
    let again: Again = Arc::new(move |engine, source, control| {
        engine.modify_again(source, control, &request, &values, &timezone)
    });
    transaction::keep(engine, Replay::Statement(again), bytes);
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
    // What is given up is interrupted, and must not take the transaction with it.
    let source = match patience {
        Some(_) => transaction::source_beside(&engine, sql),
        None => transaction::source_to_describe(&engine, sql)?,
    };
    let (sql, timezone) = (sql.to_owned(), timezone::current(&entry)?);
    let (pool, wake) = parts()?;
    let (own, asked) = (Arc::clone(&engine), entry.clone());
    let task = Task::start(&pool, &wake, move |control| {
        own.ask(&source, control, &sql, &timezone, &asked).map(Some)
    })?;
    let started = Instant::now();
    let answer = wait_for(|| {
        let late = || patience.is_some_and(|patience| started.elapsed() > patience);
        task.poll().or_else(|| late().then_some(Ok(None)))
    })?;
    answer.map_err(|error| {
        if patience.is_none() {
            transaction::note_error_beside_writes(&engine, &error);
        }
        told(error.into(), role, &entry)
    })
}

/// The rows of a query of our own about the lake of `server`, which uses what is expected, as the current
/// role. Its columns are all text.
///
/// # Errors
/// As [`engine()`]; DuckDB's.
pub fn ask_lake(
    server: pg_sys::Oid,
    sql: &str,
    values: Vec<Value>,
    expected: Expected,
) -> Result<Vec<TextRow>> {
    let expected = Arc::new(expected);
    let (role, entry) = (acl::current_role(), Entry::Tables(vec![server], Arc::clone(&expected)));
    log_sql(sql);
    with_second_try(role, &entry, || {
        let engine = engine(role, &entry, sql)?;
        let source = transaction::source_to_describe(&engine, sql)?;
        let (sql, values, timezone) = (sql.to_owned(), values.clone(), timezone::current(&entry)?);
        let (own, expected) = (Arc::clone(&engine), Arc::clone(&expected));
        run_beside_writes(&engine, move |control| {
            own.inspect_lake(&source, control, &sql, &values, &timezone, &expected)
        })
    })
    .map_err(|error| access::discreet(error, role, &entry))
}

/// The columns of queries of our own over the tables of a lake, each by itself.
///
/// # Errors
/// As [`engine()`]; the queries' own errors stand in their places.
pub fn describe_all(
    server: pg_sys::Oid,
    queries: Vec<String>,
    expected: Expected,
) -> Result<Vec<Result<Vec<Column>>>> {
    let Some(first) = queries.first() else { return Ok(vec![]) };
    let entry = Entry::table(server, expected);
    let of_server = entry.clone();
    let engine = engine(acl::current_role(), &entry, first)?;
    let source = transaction::source_to_describe(&engine, first)?;
    let timezone = timezone::current(&entry)?;
    let own = Arc::clone(&engine);
    let found = run_beside_writes(&engine, move |control| {
        own.describe_all(&source, control, &queries, &timezone, &entry)
    })?;
    for error in found.iter().filter_map(|columns| columns.as_ref().err()) {
        transaction::note_error_beside_writes(&engine, error);
    }
    let role = acl::current_role();
    let told = |error: duck::Error| access::discreet(error.into(), role, &of_server);
    Ok(found.into_iter().map(|columns| columns.map_err(told)).collect())
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

/// DuckDB's own plan of `sql`, as its EXPLAIN draws it; `tables` are the types of the tables that are
/// shipped for it.
///
/// # Errors
/// As [`describe`].
pub fn explain(
    role: pg_sys::Oid,
    original: &str,
    sql: &str,
    entry: Entry,
    tables: Vec<Arc<[LogicalType]>>,
) -> Result<String> {
    let plan = with_second_try(role, &entry, || {
        let engine = engine(role, &entry, original)?;
        let source = transaction::source_to_describe(&engine, sql)?;
        let (original, sql, timezone) =
            (original.to_owned(), sql.to_owned(), timezone::current(&entry)?);
        let (own, entry, tables) = (Arc::clone(&engine), entry.clone(), tables.clone());
        run_beside_writes(&engine, move |control| {
            own.explain(&source, control, &original, &sql, &timezone, &entry, &tables)
        })
    });
    plan.map_err(|error| told(error, role, &entry))
}

fn log_sql(sql: &str) {
    if crate::guc::log_sql() {
        pgrx::log!("DuckDB SQL: {sql}");
    }
}

/// A query that runs in DuckDB. Dropping it stops the query.
pub struct RunningScan {
    scan: Option<Scan>,
    role: pg_sys::Oid,
    entry: Entry,
    /// The instance in whose transaction it runs, if it does.
    shared: Option<Arc<Engine>>,
}

impl Drop for RunningScan {
    fn drop(&mut self) {
        progress::clear();
        if self.shared.is_some()
            && let Some(scan) = self.scan.take()
        {
            scan.stop_gently();
        }
    }
}

impl RunningScan {
    fn new(
        scan: Scan,
        role: pg_sys::Oid,
        entry: Entry,
        engine: &Arc<Engine>,
        source: &Source,
    ) -> Self {
        let shared = matches!(source, Source::Transaction(_)).then(|| Arc::clone(engine));
        if shared.is_some() {
            transaction::note_scan(engine, &scan);
        }
        Self { scan: Some(scan), role, entry, shared }
    }

    fn failed(&self, error: duck::Error) -> Error {
        if let Some(engine) = &self.shared {
            transaction::note_error(engine, &error);
        }
        told(error.into(), self.role, &self.entry)
    }

    /// Waits until execution has begun, and returns the columns.
    ///
    /// # Errors
    /// DuckDB's.
    pub fn columns(&self) -> Result<Vec<Column>> {
        let Some(scan) = &self.scan else { return Ok(vec![]) };
        let columns = wait_for(|| {
            progress::report(|| scan.progress_percent());
            scan.poll_columns().transpose()
        })?;
        columns.map_err(|error| self.failed(error))
    }

    /// Waits for the next chunk; `None` at the end.
    ///
    /// # Errors
    /// DuckDB's.
    pub fn next_chunk(&self) -> Result<Option<Chunk>> {
        let Some(scan) = &self.scan else { return Ok(None) };
        // A stream that is never empty still listens.
        wait::check_interrupts();
        wait_for(|| match scan.poll() {
            Ok(Poll::Pending) => {
                progress::report(|| scan.progress_percent());
                None
            }
            Ok(Poll::Chunk(chunk)) => Some(Ok(Some(chunk))),
            Ok(Poll::End) => Some(Ok(None)),
            Err(error) => Some(Err(error)),
        })?
        .map_err(|error| self.failed(error))
    }
}

/// Executes a statement that need not return rows, and returns the number of changed rows.
///
/// # Errors
/// 42501 for what the role may not do, DuckDB's own.
pub fn execute(sql: &str, arguments: Vec<Value>) -> Result<i64> {
    let role = acl::current_role();
    let engine = engine(role, &Entry::Query, sql)?;
    log_sql(sql);
    let (sql, timezone) = (sql.to_owned(), timezone::current(&Entry::Query)?);
    let measured = progress::is_available();
    let lake = engine.lake_changed_by(&sql);
    if let Some(lake) = &lake {
        if sql.trim_start().get(..10).is_some_and(|word| word.eq_ignore_ascii_case("checkpoint")) {
            // DuckLake's has transactions of its own, each of which it may commit on a snapshot that
            // it has not seen.
            return Err(Error::not_supported("CHECKPOINT of a lake in duckdb.execute()")
                .hint(format!("Use: SELECT duckdb.checkpoint({})", duck::quote::literal(lake))));
        }
        let write = lakes::write_of(&sql);
        transaction::begin_write_of(write, &engine, lake, c"duckdb.execute()")?;
        if lakes::must_commit_once(&sql) {
            transaction::commit_once(&engine);
        }
        if lakes::may_delete(&sql) {
            transaction::note_deletes(&engine, &sql);
        }
    }
    // What changes no lake takes effect at once, whatever it reads.
    let source = match lake {
        Some(_) => transaction::source(&engine, &sql)?,
        None => transaction::source_beside(&engine, &sql),
    };
    let at_once = lake.is_none();
    let own = Arc::clone(&engine);
    let message = sql.to_ascii_lowercase().contains("set_commit_message");
    let again = (message || !journal::varies(&sql)).then(|| {
        let bytes = sql.len() + arguments.len() * size_of::<Value>();
        let (sql, arguments, timezone) = (sql.clone(), arguments.clone(), timezone.clone());
        let again: Again = Arc::new(move |engine, source, control| {
            engine.execute(source, control, &sql, &arguments, &timezone, false).map(drop)
        });
        (again, bytes)
    });
    let _mode = ForOthersToRead::new();
    let changed = changed_by(move |control| {
        let rows = own.execute(&source, control, &sql, &arguments, &timezone, measured)?;
        match &source {
            Source::Transaction(transaction) if at_once => transaction.commit(control)?,
            _ => {}
        }
        Ok(rows)
    })?;
    if lake.is_some() {
        if changed.is_ok()
            && let Some((again, bytes)) = again
        {
            transaction::keep(&engine, Replay::Statement(again), bytes);
        }
        match &changed {
            Ok(_) if message => transaction::note_message(&engine),
            Err(error) => transaction::note_error(&engine, error),
            Ok(_) => {}
        }
    }
    changed.map_err(|error| told(error.into(), role, &Entry::Query))
}

/// Runs a statement whose progress is shown.
fn changed_by(
    job: impl FnOnce(&Control) -> duck::Result<i64> + Send + 'static,
) -> Result<duck::Result<i64>> {
    struct Shown;
    impl Drop for Shown {
        fn drop(&mut self) {
            progress::clear();
        }
    }
    let (pool, wake) = parts()?;
    let task = Task::start(&pool, &wake, job)?;
    let _shown = Shown;
    wait_for(|| {
        progress::report(|| task.progress_percent());
        task.poll()
    })
}
