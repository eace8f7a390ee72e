//! Rows that PostgreSQL has made, sent into a statement that writes them to a lake.

use std::sync::Arc;

use duck::feed::Feed;
use duck::{LogicalType, RowChunk, Statement};
use pgrx::pg_sys;

use super::engine::check_written;
use super::{Engine, Entry, engine, log_sql, parts, timezone, transaction, wait_for};
use crate::error::{Error, Result};
use crate::lake::table::WriteCheck;

/// A statement that takes rows. Dropping it before [`RowFeed::finish`] undoes the transaction's writes
/// to the lake.
pub struct RowFeed {
    feed: Option<Feed>,
    engine: Arc<Engine>,
    done: bool,
}

/// What is written, and as whom.
pub struct Target<'a> {
    pub role: pg_sys::Oid,
    pub server: pg_sys::Oid,
    /// The server's name.
    pub lake: &'a str,
    /// For errors, as `INSERT`.
    pub command: &'a std::ffi::CStr,
    /// Names the table, perhaps among other things.
    pub text: &'a str,
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
    sql: impl FnOnce(&str) -> String + Send + 'static,
) -> Result<RowFeed> {
    let engine = begin(target)?;
    let source = transaction::source(&engine, &duck::quote::identifier(target.lake))?;
    let (pool, wake) = parts()?;
    let (own, timezone) = (Arc::clone(&engine), timezone());
    if crate::guc::log_sql() {
        log_sql(&format!("rows for lake {}", target.lake));
    }
    let feed = Feed::start(&pool, &wake, &source, types, move |connection, rows, control| {
        own.set_timezone(connection, &timezone)?;
        check_written(connection, check.as_ref())?;
        let sql = sql(rows);
        own.check_write(connection, &sql, false)?;
        let statement = Statement::prepare(connection, &sql)?;
        statement.start(|| control.is_cancelled())?.run_to_end()
    })?;
    transaction::set_feeding(&engine, true);
    Ok(RowFeed { feed: Some(feed), engine, done: false })
}

/// The instance for a write, which the transaction notes.
///
/// # Errors
/// As [`engine()`] and [`transaction::begin_write`].
fn begin(target: &Target<'_>) -> Result<Arc<Engine>> {
    let lake = duck::quote::identifier(target.lake);
    let engine = engine(target.role, &Entry::Tables(vec![target.server]), &lake)?;
    begin_on(&engine, target)?;
    Ok(engine)
}

fn begin_on(engine: &Arc<Engine>, target: &Target<'_>) -> Result<()> {
    transaction::begin_write(engine, target.lake, target.command)?;
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
    let timezone = timezone();
    let changed = super::run_raw(move |control| {
        let lease = source.lease(control)?;
        own.set_timezone(&lease, &timezone)?;
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
            transaction::note_interrupt(&self.engine);
        }
    }
}
