//! Rows that PostgreSQL has made, sent into a statement that writes them to a lake.

use std::sync::Arc;

use duck::feed::Feed;
use duck::policy::{Expected, RelationName};
use duck::{LogicalType, RowChunk, Statement};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::engine::check_written;
use super::journal::{self, Replay};
pub use super::journal::{RowStatement, Rows};
use super::{Engine, Entry, engine, log_sql, parts, timezone, transaction, wait_for};
use crate::error::{Error, Result};
use crate::lake::table::WriteCheck;

/// A statement that takes rows. Dropping it before [`RowFeed::finish`] undoes the transaction's writes
/// to the lake.
pub struct RowFeed {
    feed: Option<Feed>,
    engine: Arc<Engine>,
    done: bool,
    generation: u32,
    /// What was sent, as long as it is little, and whether it was inserted.
    kept: Option<(Rows, bool)>,
}

/// What is written, and as whom.
pub struct Target<'a> {
    pub role: pg_sys::Oid,
    pub server: pg_sys::Oid,
    /// The names of the lake, which is the server's, of the schema and of the table.
    pub table: RelationName,
    /// For errors, as `INSERT`.
    pub command: &'a std::ffi::CStr,
    /// Names the table, perhaps among other things.
    pub text: &'a str,
}

impl Target<'_> {
    fn lake(&self) -> &str {
        &self.table[0]
    }

    fn expected(&self) -> Expected {
        Expected { writes: Some(self.table.clone()), ..Expected::default() }
    }
}

/// Starts a statement. `sql` is given the FROM item that has the rows, whose columns are called c0, c1
/// and so on.
///
/// # Errors
/// As [`engine()`] and [`transaction::begin_write`].
pub fn open(
    target: &Target<'_>,
    types: &Arc<[LogicalType]>,
    check: Option<(String, WriteCheck)>,
    sql: RowStatement,
) -> Result<RowFeed> {
    let engine = begin(target)?;
    let kept = Rows {
        table: target.table.clone(),
        types: Arc::clone(types),
        check,
        statement: sql,
        chunks: vec![],
    };
    let mut feed = start(engine, &kept)?;
    feed.kept = Some((kept, target.command == c"INSERT"));
    Ok(feed)
}

/// Sends rows that were kept, of a transaction that has noted the write.
///
/// # Errors
/// DuckDB's.
pub fn send(engine: &Arc<Engine>, rows: &Rows) -> Result<()> {
    let mut feed = start(Arc::clone(engine), rows)?;
    for chunk in &rows.chunks {
        feed.push(chunk.clone())?;
    }
    let changed = feed.finish()?;
    if usize::try_from(changed).is_ok_and(|changed| changed == rows.count()) {
        return Ok(());
    }
    Err(Error::new(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("DuckDB has written {changed} rows where {} were meant", rows.count()),
    ))
}

/// Gathers the rows of a small INSERT with those of others into the same columns of the same table, which
/// `key` names; gives them back where they have to be sent at once.
///
/// # Errors
/// As [`open`].
pub fn gather(
    target: &Target<'_>,
    key: &str,
    chunk: RowChunk,
    make: impl FnOnce() -> Rows,
) -> Result<Option<RowChunk>> {
    // SAFETY: raises an error or returns.
    unsafe { pg_sys::PreventCommandIfReadOnly(target.command.as_ptr()) };
    let engine = engine_of(target)?;
    transaction::gather(&engine, target.lake(), key, chunk, make)
}

/// Notes that rows with these columns NULL were inserted, so that more of the kind can be gathered.
pub fn note_inserted(target: &Target<'_>, key: &str, nulls: &[bool]) -> Result<()> {
    transaction::note_inserted(&engine_of(target)?, key, nulls);
    Ok(())
}

fn start(engine: Arc<Engine>, rows: &Rows) -> Result<RowFeed> {
    let quoted = duck::quote::identifier(rows.lake());
    let source = transaction::source_to_insert(&engine, &quoted, false)?;
    let (types, check, sql) = (&rows.types, rows.check.clone(), Arc::clone(&rows.statement));
    let (pool, wake) = parts()?;
    let (own, timezone) = (Arc::clone(&engine), timezone::current_or_none());
    if crate::guc::log_sql() {
        log_sql(&format!("rows for lake {}", rows.lake()));
    }
    let expected = Expected { writes: Some(rows.table.clone()), ..Expected::default() };
    let feed = Feed::start(&pool, &wake, &source, types, move |connection, rows, control| {
        own.set_timezone(connection, &timezone)?;
        own.hide_placeholders(connection, "", &[])?;
        if let Some((sql, _)) = &check {
            own.check_own(connection, sql, &expected)?;
        }
        check_written(connection, check.as_ref())?;
        let sql = sql(rows);
        own.check_own(connection, &sql, &expected)?;
        own.check_write(connection, &sql, false)?;
        let statement = Statement::prepare(connection, &sql)?;
        statement.start(|| control.is_cancelled())?.run_to_end()
    })?;
    transaction::set_feeding(&engine, true);
    let generation = transaction::generation(&engine);
    Ok(RowFeed { feed: Some(feed), engine, done: false, generation, kept: None })
}

fn engine_of(target: &Target<'_>) -> Result<Arc<Engine>> {
    let lake = duck::quote::identifier(target.lake());
    engine(target.role, &Entry::table(target.server, target.expected()), &lake)
}

/// The instance for a write, which the transaction notes.
///
/// # Errors
/// As [`engine()`] and [`transaction::begin_write`].
fn begin(target: &Target<'_>) -> Result<Arc<Engine>> {
    let engine = engine_of(target)?;
    begin_on(&engine, target)?;
    Ok(engine)
}

fn begin_on(engine: &Arc<Engine>, target: &Target<'_>) -> Result<()> {
    transaction::begin_write(engine, target.lake(), target.command)?;
    if target.command != c"INSERT" {
        transaction::note_deletes(engine, target.text);
    }
    Ok(())
}

/// Notes that a statement of our own, over the tables of `servers`, is about to write.
///
/// # Errors
/// As [`open`].
pub fn note_write(target: &Target<'_>, entry: &Entry, sql: &str) -> Result<()> {
    let engine = engine(target.role, entry, sql)?;
    begin_on(&engine, target)
}

/// Runs a statement of our own that writes to a lake, and returns the number of changed rows.
///
/// # Errors
/// As [`open`]; DuckDB's.
pub fn run(target: &Target<'_>, sql: String) -> Result<i64> {
    let engine = begin(target)?;
    let source = transaction::source(&engine, &sql)?;
    log_sql(&sql);
    let own = Arc::clone(&engine);
    let (timezone, expected) = (timezone::current_or_none(), target.expected());
    let changed = super::run_raw(move |control| {
        let lease = source.lease(control)?;
        own.set_timezone(&lease, &timezone)?;
        own.check_own(&lease, &sql, &expected)?;
        own.hide_placeholders(&lease, &sql, &[])?;
        own.check_write(&lease, &sql, false)?;
        Statement::prepare(&lease, &sql)?.start(|| control.is_cancelled())?.run_to_end()
    })?;
    changed.map_err(|error| failed(&engine, error))
}

fn failed(engine: &Arc<Engine>, error: duck::Error) -> Error {
    engine.instance().note_error(&error);
    transaction::note_error(engine, &error);
    error.into()
}

impl RowFeed {
    /// Sends rows, once the statement keeps up.
    ///
    /// # Errors
    /// DuckDB's, which ends the statement.
    pub fn push(&mut self, rows: RowChunk) -> Result<()> {
        let Some(feed) = &self.feed else { return Ok(()) };
        let ended = wait_for(|| match feed.poll_done() {
            Some(done) => Some(Some(done)),
            None => feed.has_room().then_some(None),
        })?;
        match ended {
            None => {
                self.kept = self.kept.take().and_then(|(mut kept, insert)| {
                    kept.chunks.push(rows.clone());
                    (kept.bytes() <= journal::MOST_BYTES).then_some((kept, insert))
                });
                feed.push(rows);
                Ok(())
            }
            Some(Err(error)) => Err(self.fail(error)),
            Some(Ok(_)) => Err(Error::not_supported("DuckDB has ended a statement too early")),
        }
    }

    /// Waits for the end of the statement, and returns the number of changed rows.
    ///
    /// # Errors
    /// DuckDB's.
    pub fn finish(mut self) -> Result<i64> {
        let Some(feed) = &self.feed else { return Ok(0) };
        feed.finish();
        let done = wait_for(|| feed.poll_done())?;
        match done {
            Ok(rows) => {
                self.done = true;
                if let Some((kept, true)) = self.kept.take() {
                    let bytes = kept.bytes();
                    transaction::keep(&self.engine, Replay::Rows(Arc::new(kept)), bytes);
                }
                Ok(rows)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    fn fail(&mut self, error: duck::Error) -> Error {
        self.done = true;
        failed(&self.engine, error)
    }
}

impl Drop for RowFeed {
    fn drop(&mut self) {
        transaction::set_feeding(&self.engine, false);
        if !self.done {
            // What runs is interrupted, and DuckDB's transaction with it.
            transaction::note_interrupt(&self.engine, self.generation);
        }
    }
}
