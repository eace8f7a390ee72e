//! DuckDB's part of PostgreSQL's transaction.
//!
//! What reads or writes a lake runs in one DuckDB transaction for each instance, from its first use
//! to the end of PostgreSQL's transaction: one snapshot of the lake is read, and what is written
//! becomes one snapshot, committed when everything else of PostgreSQL's commit is done. Statements
//! use the transaction's connection one after the other; the rows of a scan that is still open are
//! kept aside for it then.
//!
//! DuckDB cannot roll back a subtransaction by itself. Where one that has written is, what came before it
//! is written again into another DuckDB transaction, as the [`Journal`] has it; where that cannot be,
//! PostgreSQL's transaction cannot commit any more.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::sync::Arc;

use duck::driver::Control;
use duck::policy::{Expected, READS_THE_PAST};
use duck::scan::{Remote, Scan};
use duck::transaction::{Source, Transaction};
use duck::{ErrorKind, RowChunk, placeholder, quote};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::conflict::{self, Deletes};
use super::feed;
use super::journal::{Journal, Replay, Rows};
use super::{Engine, parts, run, wait_for_commit};
use crate::error::{Error, Result, is_of_a_catalog, report};
use crate::guc;
use crate::pg::callbacks::{self, Event};
use crate::pg::file_mode::ForOthersToRead;
use crate::pg::{acl, nodes};

/// The transaction of one instance.
struct Open {
    engine: Arc<Engine>,
    transaction: Transaction,
    /// The scans that may still use its connection.
    scans: Vec<Remote>,
    writes: Option<Writes>,
    /// Why it cannot commit any more.
    fault: Option<Fault>,
    /// Something of it was rolled back, and the rest must be written again before it is used.
    rebuild: bool,
    /// The snapshot of the lake that is written to, where a savepoint made it matter.
    base: Option<u64>,
    /// It was used otherwise than to insert rows.
    looked: bool,
    /// How many DuckDB transactions came before this one.
    generation: u32,
    /// A statement is sending rows.
    feeding: bool,
    /// How many statements have used it, and the lakes that they may have read.
    uses: u32,
    read: Vec<String>,
    /// What it has read was another snapshot than one that would be read now.
    lost: bool,
    /// A catalog could not be reached after the transaction had begun to write.
    unreachable: bool,
}

struct Fault {
    why: String,
    /// The nesting level of the subtransaction with which it goes.
    level: i32,
}

struct Writes {
    lake: String,
    journal: Journal,
    /// The user has said what the snapshot's message is.
    has_message: bool,
    /// The first statement that writes has not run yet: it may still read the past.
    is_first: bool,
    /// It is committed on the snapshot that it has seen, or not at all.
    once: bool,
    deletes: Deletes,
}

/// What a statement does to a lake, as far as it matters to the rest of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    Change,
    /// Merges and rewrites files, which DuckLake commits with nothing but more of that.
    Compaction,
    /// Deletes files at once, whatever becomes of the transaction. What it has done before must not
    /// be undone then, since the files may be in use again.
    Deletion,
}

impl Write {
    /// 0A000 where it cannot follow what the transaction has written before.
    fn check_after(self, before: Self, lake: &str) -> Result<()> {
        match (self, before) {
            (Self::Change, Self::Compaction) => Err(Error::not_supported(format!(
                "lake \"{lake}\" cannot be changed in a transaction that has merged or rewritten its files"
            ))
            .hint("Commit first.")),
            (Self::Compaction, Self::Change | Self::Deletion) => {
                Err(Error::not_supported(format!(
                    "files of lake \"{lake}\" cannot be merged or rewritten in a transaction that has changed it"
                ))
                .hint("Commit first."))
            }
            (Self::Deletion, Self::Change | Self::Compaction) => {
                Err(Error::not_supported(format!(
                    "files of lake \"{lake}\" cannot be deleted in a transaction that has changed it"
                ))
                .detail("They are deleted at once, and the changes may still be rolled back.")
                .hint("Commit first."))
            }
            _ => Ok(()),
        }
    }
}

thread_local! {
    static OPEN: RefCell<Vec<Open>> = const { RefCell::new(Vec::new()) };
}

/// # Safety
/// Called once, from `_PG_init`.
pub unsafe fn init() {
    // SAFETY: by contract.
    unsafe { callbacks::at_transaction_event(on_event) };
}

fn with<T>(engine: &Arc<Engine>, look: impl FnOnce(&mut Open) -> T) -> Option<T> {
    OPEN.with_borrow_mut(|all| {
        all.iter_mut().find(|open| Arc::ptr_eq(&open.engine, engine)).map(look)
    })
}

/// Where a statement runs: in the transaction if it may use a lake, on a connection of its own
/// otherwise.
///
/// # Errors
/// 40000 when the transaction cannot go on, 0A000 while rows are being sent to a lake.
pub fn source(engine: &Arc<Engine>, sql: &str) -> Result<Source> {
    if !engine.may_use_lake(sql) {
        return Ok(Source::Instance(Arc::clone(engine.instance())));
    }
    with(engine, |open| open.looked = true);
    settle(engine)?;
    note_base(engine)?;
    source_to_insert(engine, sql, false)
}

/// As [`source`], for what only inserts rows. `settle` says whether gathered rows are sent first.
///
/// # Errors
/// As [`source`].
pub fn source_to_insert(engine: &Arc<Engine>, sql: &str, settle: bool) -> Result<Source> {
    if settle {
        self::settle(engine)?;
    }
    let known = with(engine, |open| {
        if let Some(fault) = &open.fault {
            return Err(cannot_go_on(&fault.why));
        }
        if open.lost {
            return Err(snapshot_is_lost());
        }
        if open.feeding {
            return Err(Error::not_supported(
                "a lake cannot be used while a statement is writing rows to it",
            ));
        }
        if open.has_changes() && looks_back(sql) {
            return Err(Error::not_supported(READS_THE_PAST)
                .detail("DuckLake would mix it with the transaction's own changes.")
                .hint("Commit first."));
        }
        open.scans.retain(Remote::unbound);
        open.note_use(sql);
        Ok(open.transaction.clone())
    });
    match known {
        Some(known) => known.map(Source::Transaction),
        None => {
            check_replaced(engine, sql)?;
            let transaction = Transaction::new(engine.instance());
            let mut open = Open {
                engine: Arc::clone(engine),
                transaction: transaction.clone(),
                scans: vec![],
                writes: None,
                fault: None,
                rebuild: false,
                base: None,
                looked: true,
                generation: 0,
                feeding: false,
                uses: 0,
                read: vec![],
                lost: false,
                unreachable: false,
            };
            open.note_use(sql);
            OPEN.with_borrow_mut(|all| all.push(open));
            Ok(Source::Transaction(transaction))
        }
    }
}

/// Whether a statement may read a lake as it was: by AT, or DuckLake's functions for changes.
fn looks_back(sql: &str) -> bool {
    let mut words = sql.to_ascii_lowercase();
    // Literals do not count, unless they may be queries or their ends cannot be told.
    if !words.contains("query") && !words.contains('\\') {
        words = words.split('\'').step_by(2).collect();
    }
    let changes = ["table_changes", "table_insertions", "table_deletions"];
    if changes.iter().any(|function| words.contains(function)) {
        return true;
    }
    let dense: String = words.split_whitespace().collect();
    ["at(version", "at(timestamp"].iter().any(|at| dense.contains(at))
}

/// Where a statement is described, which needs the transaction only if that has written.
///
/// # Errors
/// As [`source`].
pub fn source_to_describe(engine: &Arc<Engine>, sql: &str) -> Result<Source> {
    if with(engine, |open| open.writes.is_some()) == Some(true) || !engine.may_use_lake(sql) {
        return source(engine, sql);
    }
    Ok(Source::Transaction(Transaction::new(engine.instance())))
}

/// A transaction of its own for a question about a lake.
pub fn source_beside(engine: &Arc<Engine>, sql: &str) -> Source {
    if engine.may_use_lake(sql) {
        Source::Transaction(Transaction::new(engine.instance()))
    } else {
        Source::Instance(Arc::clone(engine.instance()))
    }
}

/// An instance that has taken the place of another one would neither see what that has written nor
/// the snapshot that it has read.
fn check_replaced(engine: &Arc<Engine>, sql: &str) -> Result<()> {
    let lakes = engine.lakes_maybe_in(sql);
    OPEN.with_borrow(|all| {
        for open in all {
            let same = open.engine.name() == engine.name();
            let written = open.writes.as_ref().map(|writes| &writes.lake);
            if !same && written.is_some_and(|lake| lakes.contains(lake)) {
                return Err(Error::not_supported(
                    "a lake that the transaction has written to cannot be used as another role, or \
                     beside tables of other servers",
                )
                .detail("That would be another transaction of the lake's, which does not see the changes.")
                .hint("Commit first. With USAGE on the servers a role uses them all together."));
            }
            if !same {
                continue;
            }
            if written.is_some() {
                return Err(Error::not_supported(
                    "servers, user mappings or settings have changed in a transaction that has \
                     written to a lake",
                )
                .hint("Commit first."));
            }
            if open.read.iter().any(|read| lakes.contains(read)) {
                return Err(snapshot_is_lost());
            }
        }
        Ok(())
    })
}

fn snapshot_is_lost() -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        "the snapshot of the lake that the transaction reads is lost",
    )
    .detail(
        "A statement that used the lake has failed, or the session's instance of DuckDB was replaced.",
    )
    .hint("Try the transaction again.")
}

/// Notes that the transaction is about to write to `lake`.
///
/// # Errors
/// As [`begin_write_of`].
pub fn begin_write(engine: &Arc<Engine>, lake: &str, command: &CStr) -> Result<()> {
    begin_write_of(Write::Change, engine, lake, command)
}

/// Notes that the transaction is about to write to `lake` in this way.
///
/// # Errors
/// 0A000 when it has written to another one, or in a way that does not go together with this one;
/// 25006 in a read-only transaction.
pub fn begin_write_of(
    write: Write,
    engine: &Arc<Engine>,
    lake: &str,
    command: &CStr,
) -> Result<()> {
    // SAFETY: raises an error or returns.
    unsafe { pg_sys::PreventCommandIfReadOnly(command.as_ptr()) };
    check_message()?;
    let own = quote::identifier(lake);
    let is_new = with(engine, |_| ()).is_none();
    source_to_insert(engine, &own, true)?;
    if is_new {
        with(engine, |open| open.looked = false);
    }
    let other = OPEN.with_borrow(|all| {
        all.iter().find_map(|open| {
            let writes = open.writes.as_ref()?;
            let same = Arc::ptr_eq(&open.engine, engine) && writes.lake == lake;
            (!same).then(|| writes.lake.clone())
        })
    });
    if let Some(other) = other {
        let message = if other == lake {
            format!("a transaction can write to lake \"{lake}\" as one role only")
        } else {
            format!("a transaction cannot write to lake \"{lake}\" after lake \"{other}\"")
        };
        return Err(Error::not_supported(message)
            .detail("Two lakes, or two roles, are two transactions, which cannot commit as one."));
    }
    let last = |open: &mut Open| open.writes.as_ref()?.journal.entries.last().map(|e| e.write);
    let before = with(engine, last).flatten();
    before.map_or(Ok(()), |before| write.check_after(before, lake))?;
    WRITTEN.with_borrow_mut(|mode| {
        mode.get_or_insert_with(ForOthersToRead::new);
    });
    with(engine, |open| {
        let writes = open.writes.get_or_insert_with(|| Writes {
            lake: lake.to_owned(),
            journal: Journal::default(),
            has_message: false,
            once: false,
            deletes: Deletes::default(),
            is_first: true,
        });
        writes.journal.add(nest_level(), write);
    });
    note_base(engine)
}

fn nest_level() -> i32 {
    // SAFETY: reads the transaction's state.
    unsafe { pg_sys::GetCurrentTransactionNestLevel() }
}

/// Notes the snapshot before a subtransaction does something that may be undone.
fn note_base(engine: &Arc<Engine>) -> Result<()> {
    let wanted = with(engine, |open| {
        let lake = open.writes.as_ref().map(|writes| writes.lake.clone())?;
        open.scans.retain(Remote::unbound);
        let wanted =
            nest_level() > 1 && open.base.is_none() && open.fault.is_none() && !open.rebuild;
        wanted.then(|| (open.transaction.clone(), lake))
    });
    if let Some((transaction, lake)) = wanted.flatten() {
        let base = run(move |control| conflict::snapshot_of(&transaction, &lake, control))?;
        with(engine, |open| open.base = base);
    }
    Ok(())
}

/// Makes the DuckDB transaction what PostgreSQL's has written: what was undone is not in it, and
/// gathered rows are.
fn settle(engine: &Arc<Engine>) -> Result<()> {
    if with(engine, |open| std::mem::take(&mut open.rebuild)) == Some(true) {
        let rebuilt = rebuild(engine);
        if rebuilt.is_err() {
            with(engine, |open| open.fail(SAVEPOINT_LOST, 0));
        }
        rebuilt?;
    }
    send_gathered(engine)
}

/// Writes again what was not rolled back.
fn rebuild(engine: &Arc<Engine>) -> Result<()> {
    let known = with(engine, |open| {
        let writes = open.writes.as_ref()?;
        let entries = writes.journal.entries.iter().map(|entry| entry.replay.clone());
        let entries: Vec<_> = entries.collect();
        let depends = open.looked || !writes.journal.only_inserts();
        Some((open.transaction.clone(), writes.lake.clone(), open.base, depends, entries))
    });
    let Some((transaction, lake, base, depends, entries)) = known.flatten() else { return Ok(()) };
    if depends {
        let (look, name) = (transaction.clone(), lake.clone());
        let now = run(move |control| conflict::snapshot_of(&look, &name, control))?;
        if now != base {
            return Err(snapshot_is_lost().detail(
                "After ROLLBACK TO it was read again, and another transaction has changed it.",
            ));
        }
    }
    for replay in entries {
        match replay {
            Replay::Never => return Err(cannot_go_on(SAVEPOINT_LOST)),
            Replay::Rows(rows) => feed::send(engine, &rows)?,
            Replay::Statement(again) => {
                let (own, source) = (Arc::clone(engine), Source::Transaction(transaction.clone()));
                run(move |control| again(&own, &source, control))?;
            }
        }
    }
    Ok(())
}

const SAVEPOINT_LOST: &str = "a savepoint behind which the lake was written to was rolled back";

fn send_gathered(engine: &Arc<Engine>) -> Result<()> {
    let gathered = with(engine, |open| {
        let writes = open.writes.as_mut().filter(|_| !open.feeding && open.fault.is_none())?;
        Some(std::mem::take(&mut writes.journal.gathered))
    });
    let Some(groups) = gathered.flatten() else { return Ok(()) };
    for group in groups {
        let rows = Arc::new(group.rows);
        with(engine, |open| {
            if let Some(writes) = &mut open.writes {
                writes.journal.add(group.level, Write::Change);
                writes.journal.keep(Replay::Rows(Arc::clone(&rows)), rows.bytes());
            }
        });
        feed::send(engine, &rows)?;
    }
    Ok(())
}

/// Takes the rows of a small INSERT, to be sent with others; gives them back where they have to be sent at
/// once. The rights to write were checked.
///
/// # Errors
/// As [`source`]; 25006 in a read-only transaction.
pub fn gather(
    engine: &Arc<Engine>,
    lake: &str,
    key: &str,
    chunk: RowChunk,
    make: impl FnOnce() -> Rows,
) -> Result<Option<RowChunk>> {
    let nulls = chunk.nulls();
    let level = nest_level();
    let mut chunk = Some(chunk);
    let full = with(engine, |open| {
        let usable = open.fault.is_none() && !open.feeding;
        let writes = open.writes.as_mut().filter(|writes| usable && writes.lake == lake)?;
        let last = writes.journal.entries.last();
        let fits = last.is_none_or(|entry| entry.write == Write::Change);
        if !fits || !writes.journal.knows(key, &nulls) {
            return None;
        }
        chunk.take().map(|chunk| writes.journal.gather(key, level, chunk, make))
    });
    if full.flatten() == Some(true) {
        settle(engine)?;
    }
    Ok(chunk)
}

/// Rows with these columns NULL could be inserted by a statement of their own.
pub fn note_inserted(engine: &Arc<Engine>, key: &str, nulls: &[bool]) {
    with(engine, |open| {
        if let Some(writes) = &mut open.writes {
            writes.journal.learn(key, nulls);
        }
    });
}

/// How the statement that has just written is written again after ROLLBACK TO.
pub fn keep(engine: &Arc<Engine>, replay: Replay, bytes: usize) {
    with(engine, |open| {
        if let Some(writes) = &mut open.writes {
            writes.journal.keep(replay, bytes);
        }
    });
}

/// What the transaction writes must be committed on the snapshot that it sees, since DuckLake would
/// forget a part of it when it commits again on another one.
pub fn commit_once(engine: &Arc<Engine>) {
    with(engine, |open| {
        if let Some(writes) = &mut open.writes {
            writes.once = true;
        }
    });
}

/// The transaction deletes rows or rewrites files of the tables that a text names.
pub fn note_deletes(engine: &Arc<Engine>, text: &str) {
    with(engine, |open| {
        if let Some(writes) = &mut open.writes {
            writes.deletes.add(text);
        }
    });
}

/// The lock under which pg_pond's sessions commit to a lake, for as long as this lives.
pub struct CommitLock(Option<Transaction>);

impl Drop for CommitLock {
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            in_background(held);
        }
    }
}

/// Lets pg_pond's other sessions wait with their commits to `lake`.
///
/// # Errors
/// DuckDB's, if the lock cannot be had.
pub fn lock_commits(engine: &Arc<Engine>, lake: &str) -> Result<CommitLock> {
    let (own, lake) = (Arc::clone(engine), lake.to_owned());
    run(move |control| own.lock_commits(&lake, control)).map(|held| CommitLock(Some(held)))
}

/// Whether the transaction has written to `lake`.
#[must_use]
pub fn has_written_to(lake: &str) -> bool {
    let written = |open: &Open| open.writes.as_ref().is_some_and(|writes| writes.lake == lake);
    OPEN.with_borrow(|all| all.iter().any(written))
}

/// Makes sure that the transaction may do what takes effect at once, in a transaction of its own.
///
/// # Errors
/// 0A000 when it has written to `lake`; 25006 in a read-only transaction.
pub fn check_at_once(lake: &str, command: &CStr) -> Result<()> {
    // SAFETY: raises an error or returns.
    unsafe { pg_sys::PreventCommandIfReadOnly(command.as_ptr()) };
    if has_written_to(lake) {
        return Write::Deletion.check_after(Write::Change, lake);
    }
    Ok(())
}

/// Whether PostgreSQL's transaction has used a lake.
#[must_use]
pub fn is_open() -> bool {
    OPEN.with_borrow(|all| !all.is_empty())
}

/// Whether a transaction of another instance is open.
#[must_use]
pub fn is_open_beside(engine: &Arc<Engine>) -> bool {
    OPEN.with_borrow(|all| all.iter().any(|open| !Arc::ptr_eq(&open.engine, engine)))
}

thread_local! {
    /// The session's instances are to be closed when the transaction ends.
    static FORGET: Cell<bool> = const { Cell::new(false) };
}

thread_local! {
    /// The files of a local lake are other clients' too: from the first write to the transaction's end.
    static WRITTEN: RefCell<Option<ForOthersToRead>> = const { RefCell::new(None) };
}

/// Closes the session's instances when the transaction ends, however it does.
pub fn forget_at_end() {
    FORGET.set(true);
}

/// Whether PostgreSQL's transaction has written to a lake.
#[must_use]
pub fn has_written() -> bool {
    OPEN.with_borrow(|all| all.iter().any(|open| open.writes.is_some()))
}

/// The user's own statement has set the message of the snapshot.
pub fn note_message(engine: &Arc<Engine>) {
    with(engine, |open| {
        if let Some(writes) = &mut open.writes {
            writes.has_message = true;
        }
    });
}

/// Whether a statement is sending rows to a lake.
pub fn set_feeding(engine: &Arc<Engine>, feeding: bool) {
    with(engine, |open| open.feeding = feeding);
}

/// Notes a scan that uses the transaction's connection.
pub fn note_scan(engine: &Arc<Engine>, scan: &Scan) {
    with(engine, |open| open.scans.push(scan.remote()));
}

/// What an error of a statement in the transaction means for it.
pub fn note_error(engine: &Arc<Engine>, error: &duck::Error) {
    // `Exception::InvalidatesTransaction` in DuckDB's sources, and our own refusals.
    let harmless = matches!(
        error.kind(),
        ErrorKind::Parser
            | ErrorKind::Binder
            | ErrorKind::Catalog
            | ErrorKind::ParameterNotResolved
            | ErrorKind::NotAllowed
            | ErrorKind::Unplanned
            | ErrorKind::ReadOnly
            | ErrorKind::NotSupported
            | ErrorKind::StatementCount
            | ErrorKind::ParameterCount
            | ErrorKind::ColumnMismatch
    );
    if !harmless {
        with(engine, |open| open.lose("a statement that used the lake has failed"));
    }
    note_unreachable(engine, error);
}

/// A transaction that has written cannot go on with another instance; the next one can.
fn note_unreachable(engine: &Arc<Engine>, error: &duck::Error) {
    if !is_of_a_catalog(error) {
        return;
    }
    if has_written() {
        with(engine, |open| open.unreachable = true);
    } else {
        engine.note_unreachable();
    }
}

/// As [`note_error`], for a statement that is in the transaction only if that has written; see
/// [`source_to_describe`].
pub fn note_error_beside_writes(engine: &Arc<Engine>, error: &duck::Error) {
    if with(engine, |open| open.writes.is_some()) == Some(true) {
        note_error(engine, error);
    }
    note_unreachable(engine, error);
}

/// A statement that has written was interrupted, in the DuckDB transaction of this generation. One that
/// was undone with a savepoint is interrupted after that.
pub fn note_interrupt(engine: &Arc<Engine>, generation: u32) {
    with(engine, |open| {
        if open.generation == generation {
            open.lose("a statement that wrote to the lake was interrupted");
        }
    });
}

/// Tells the DuckDB transactions apart that follow each other in one of PostgreSQL's.
#[must_use]
pub fn generation(engine: &Arc<Engine>) -> u32 {
    with(engine, |open| open.generation).unwrap_or_default()
}

impl Open {
    /// Whether there may be changes when the next statement runs. Asked once for each.
    fn has_changes(&mut self) -> bool {
        let Some(writes) = &mut self.writes else { return false };
        let changed = !std::mem::replace(&mut writes.is_first, false);
        self.engine.instance().set_writing(changed);
        changed
    }

    fn note_use(&mut self, sql: &str) {
        self.uses += 1;
        for lake in self.engine.lakes_maybe_in(sql) {
            if !self.read.contains(&lake) {
                self.read.push(lake);
            }
        }
    }

    /// The DuckDB transaction is lost; one that has only read is replaced.
    fn lose(&mut self, why: &str) {
        if self.writes.is_some() {
            self.fail(why, nest_level());
            return;
        }
        // What the transaction's first look saw, nobody knows yet.
        self.lost |= self.uses > 1;
        self.uses = 0;
        if !self.lost {
            self.read.clear();
        }
        self.replace();
    }

    fn fail(&mut self, why: &str, level: i32) {
        self.fault.get_or_insert_with(|| Fault { why: why.to_owned(), level });
    }

    /// Goes on with another DuckDB transaction.
    fn replace(&mut self) {
        let fresh = Transaction::new(self.engine.instance());
        let lost = std::mem::replace(&mut self.transaction, fresh);
        self.generation += 1;
        self.scans.clear();
        in_background(lost);
    }

    fn release(&mut self, level: i32) {
        if let Some(writes) = &mut self.writes {
            writes.journal.release(level);
        }
        if let Some(fault) = &mut self.fault {
            fault.level = fault.level.min(level - 1);
        }
    }

    fn undo(&mut self, level: i32) {
        let Some(writes) = &mut self.writes else { return };
        let undone = writes.journal.undo(level);
        let cured = self.fault.as_ref().is_some_and(|fault| fault.level >= level);
        if !undone && !cured {
            return;
        }
        let depends = self.looked || !writes.journal.only_inserts();
        if writes.journal.can_be_replayed() && (self.base.is_some() || !depends) {
            if cured {
                self.fault = None;
            }
            self.rebuild = true;
            self.replace();
        } else {
            self.fault = None;
            self.fail(SAVEPOINT_LOST, 0);
        }
    }
}

/// Rolls a transaction back on a driver thread. Where no thread can be had, it ends with its
/// connection.
fn in_background(transaction: Transaction) {
    if let Ok((pool, _)) = parts() {
        let _ = pool.run_detached(move || transaction.roll_back());
    }
}

fn cannot_go_on(fault: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_TRANSACTION_ROLLBACK,
        "the transaction's changes to the lake are lost, and it cannot commit any more",
    )
    .detail(format!("The reason is that {fault}."))
    .hint("Roll the transaction back and start again.")
}

fn on_event(event: Event) {
    match event {
        Event::PreCommit => report(commit()),
        Event::PrePrepare => report(check_prepare()),
        Event::Commit => end(false),
        Event::Abort => end(true),
        Event::SubCommit => at_level(Open::release),
        Event::SubAbort => at_level(Open::undo),
    }
}

/// The end of a subtransaction, seen from all that is open.
fn at_level(end: impl Fn(&mut Open, i32)) {
    let level = nest_level();
    OPEN.with_borrow_mut(|all| all.iter_mut().for_each(|open| end(open, level)));
}

fn check_prepare() -> Result<()> {
    let lake = OPEN.with_borrow(|all| {
        all.iter().find_map(|open| open.writes.as_ref().map(|writes| writes.lake.clone()))
    });
    match lake {
        None => Ok(()),
        Some(lake) => Err(Error::not_supported(format!(
            "cannot PREPARE a transaction that has written to lake \"{lake}\""
        ))),
    }
}

/// Commits what was written.
fn commit() -> Result<()> {
    let writer = OPEN.with_borrow(|all| {
        all.iter().find_map(|open| {
            let writes = open.writes.as_ref()?;
            Some((
                Arc::clone(&open.engine),
                writes.lake.clone(),
                open.fault.as_ref().map(|fault| fault.why.clone()),
                writes.has_message,
                writes.once,
                writes.deletes.clone(),
            ))
        })
    });
    let Some((engine, lake, fault, has_message, once, deletes)) = writer else {
        return Ok(());
    };
    if let Some(fault) = fault {
        return Err(cannot_go_on(&fault));
    }
    settle(&engine)?;
    // A savepoint may have left nothing, or another transaction of DuckDB's.
    let current = with(&engine, |open| {
        let wrote = open.writes.as_ref().is_some_and(|writes| !writes.journal.entries.is_empty());
        wrote.then(|| open.transaction.clone())
    });
    let Some(transaction) = current.flatten() else { return Ok(()) };
    check_serializable();
    // A transaction that an error has ended would be committed as if nothing had happened: some
    // statement has to run in it.
    let message = if has_message { "SELECT 1".to_owned() } else { commit_message(&lake)? };
    let source = Source::Transaction(transaction.clone());
    let (own, name) = (Arc::clone(&engine), lake.clone());
    let expected = Expected { lake: Some(lake.clone()), ..Expected::default() };
    wait_for_commit(&engine, &lake, move |control: &Control| {
        let prepared = source.lease(control).and_then(|lease| {
            own.check_own(&lease, &message, &expected)?;
            lease.execute_batch(&message)
        });
        if let Err(error) = &prepared {
            own.instance().note_error(error);
        }
        prepared?;
        let lock = own.lock_commits(&name, control)?;
        let done = conflict::check(&own, &transaction, &name, &deletes, control).and_then(|()| {
            if once { transaction.commit_once(control) } else { transaction.commit(control) }
        });
        lock.roll_back();
        done
    })?;
    hold_until_commit();
    engine.instance().set_writing(false);
    // Nothing is left to be undone.
    OPEN.with_borrow_mut(|all| all.retain(|open| !Arc::ptr_eq(&open.engine, &engine)));
    Ok(())
}

unsafe extern "C-unwind" {
    // storage/predicate.h; not in pgrx's bindings.
    fn PreCommit_CheckForSerializationFailure();
}

/// PostgreSQL checks a serializable transaction after the callbacks, when the lake has committed.
/// Once checked, it is safe from the others.
fn check_serializable() {
    // SAFETY: reads the transaction's isolation level, within its commit; an error of the check is
    // PostgreSQL's own and goes on as one.
    unsafe {
        if pg_sys::XactIsoLevel == pg_sys::XACT_SERIALIZABLE.cast_signed() {
            pg_sys::ffi::pg_guard_ffi_boundary(|| PreCommit_CheckForSerializationFailure());
        }
    }
}

thread_local! {
    /// Whether interrupts are held back until PostgreSQL has committed.
    static HELD: Cell<bool> = const { Cell::new(false) };
}

/// The lake has committed: nobody's cancel is to keep PostgreSQL from doing so.
fn hold_until_commit() {
    // SAFETY: a global of the main thread; an error resets it.
    unsafe { pg_sys::InterruptHoldoffCount += 1 };
    HELD.set(true);
}

fn stop_holding(committed: bool) {
    if HELD.take() && committed {
        // SAFETY: as above.
        unsafe { pg_sys::InterruptHoldoffCount = pg_sys::InterruptHoldoffCount.saturating_sub(1) };
    }
}

/// 22023 for a message that DuckLake would not keep as it is.
fn check_message() -> Result<()> {
    let Some(word) = placeholder::find(guc::commit_message().as_bytes()) else { return Ok(()) };
    Err(Error::new(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("duckdb.commit_message holds \"{word}\", which DuckLake would replace"),
    ))
}

/// Who has made the snapshot, and with what.
///
/// # Errors
/// 22023 as [`check_message`].
pub(super) fn commit_message(lake: &str) -> Result<String> {
    check_message()?;
    let mut message = guc::commit_message();
    if message.is_empty() {
        // SAFETY: a setting of the server, ASCII or NULL.
        message = without_placeholders(unsafe { nodes::str_at(pg_sys::application_name) });
    }
    let author = without_placeholders(acl::role_name(acl::current_role()));
    Ok(format!(
        "CALL {}.set_commit_message({}, {})",
        quote::identifier(lake),
        quote::literal(&author),
        quote::literal(&message)
    ))
}

/// A name that nobody has chosen as a message: with round brackets where DuckLake would replace some
/// of it.
fn without_placeholders(name: String) -> String {
    match placeholder::find(name.as_bytes()) {
        Some(_) => name.replace('{', "(").replace('}', ")"),
        None => name,
    }
}

/// What is still open has only read, or is to be undone.
fn end(aborted: bool) {
    stop_holding(!aborted);
    WRITTEN.take();
    for open in OPEN.take() {
        if aborted {
            open.scans.iter().for_each(Remote::cancel);
        }
        open.engine.instance().set_writing(false);
        if open.unreachable {
            open.engine.note_unreachable();
        }
        in_background(open.transaction);
    }
    super::close_broken();
    if FORGET.take() {
        super::close_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_the_past_is_seen_however_it_is_written() {
        for sql in [
            "FROM l.s.t AT (VERSION => 3)",
            "from t at(\n timestamp =>now())",
            "FROM l.table_changes('t', 1, 2)",
            "FROM query('FROM l.s.t AT (VERSION => 3)')",
        ] {
            assert!(looks_back(sql), "{sql}");
        }
        for sql in ["SELECT version FROM l.s.t", "FROM t WHERE a = 'table_changes' AND b = 'x'"] {
            assert!(!looks_back(sql), "{sql}");
        }
    }

    #[test]
    fn compaction_goes_with_compaction_only() {
        use Write::{Change, Compaction, Deletion};
        for (write, before, allowed) in [
            (Change, Change, true),
            (Change, Deletion, true),
            (Change, Compaction, false),
            (Compaction, Compaction, true),
            (Compaction, Change, false),
            (Compaction, Deletion, false),
            (Deletion, Deletion, true),
            (Deletion, Change, false),
            (Deletion, Compaction, false),
        ] {
            assert_eq!(write.check_after(before, "l").is_ok(), allowed, "{write:?} {before:?}");
        }
    }
}
