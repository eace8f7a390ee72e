//! Rows that PostgreSQL has read, handed to DuckDB as temporary tables of the connection that runs a
//! statement over them.
//!
//! ```text
//! open()  →  table()  append()…  table()  append()…  →  finish()  →  start_scan()
//! ```
//!
//! The tables are there for that one statement; a rescan ships again. Every wait answers to cancel,
//! and dropping any of the stages stops what DuckDB does.

use std::sync::Arc;

use duck::appender::TempTable;
use duck::loader::{Loaded, Loader};
use duck::scan::Scan;
use duck::transaction::Source;
use duck::{LogicalType, RowChunk};
use pgrx::pg_sys;

use super::{
    Engine, Entry, Request, RunningScan, engine, log_sql, parts, timezone, transaction, wait_for,
};
use crate::error::{Error, Result};
use crate::pg::progress;

/// A connection whose tables are being filled.
pub struct Shipment {
    loader: Loader,
    engine: Arc<Engine>,
    source: Source,
    role: pg_sys::Oid,
}

/// Connects to the instance on which `role` is going to run `sql`, through `entry`.
///
/// # Errors
/// As [`engine()`].
pub fn open(role: pg_sys::Oid, entry: &Entry, sql: &str) -> Result<Shipment> {
    let engine = engine(role, entry, sql)?;
    let (pool, wake) = parts()?;
    let source = transaction::source(&engine, sql)?;
    let loader = Loader::start(&pool, &wake, &source)?;
    Ok(Shipment { loader, engine, source, role })
}

/// The name of a shipment's table: the first has number 0. It needs no quotes; `temp.` may stand
/// before it. Its columns are called c0, c1 and so on.
#[must_use]
pub fn table_name(number: usize) -> String {
    TempTable::name_of(number)
}

impl Shipment {
    /// Creates the table of this number, for the rows that come from now on.
    ///
    /// # Errors
    /// DuckDB's, about what was shipped before.
    pub fn table(&mut self, number: usize, types: &Arc<[LogicalType]>) -> Result<()> {
        self.wait_for_room()?;
        self.loader.table(TempTable::new(number, Arc::clone(types)));
        Ok(())
    }

    /// Ships rows of the last table, once the driver thread keeps up.
    ///
    /// # Errors
    /// DuckDB's, about what was shipped before.
    pub fn append(&mut self, rows: RowChunk) -> Result<()> {
        self.wait_for_room()?;
        self.loader.rows(rows);
        Ok(())
    }

    /// Waits until DuckDB has all rows.
    ///
    /// # Errors
    /// DuckDB's.
    pub fn finish(self) -> Result<Shipped> {
        self.loader.finish();
        let loaded = wait_for(|| self.loader.poll_loaded().map_err(Error::from).transpose())??;
        Ok(Shipped { loaded, engine: self.engine, source: self.source, role: self.role })
    }

    fn wait_for_room(&self) -> Result<()> {
        wait_for(|| match self.loader.poll_room() {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(error) => Some(Err(Error::from(error))),
        })?
    }
}

/// A connection whose tables are filled.
pub struct Shipped {
    loaded: Loaded,
    engine: Arc<Engine>,
    source: Source,
    role: pg_sys::Oid,
}

/// As [`super::start_scan`], over the tables of `shipped`, by the role that they were shipped for.
/// Each of `user_texts` is a query that a user wrote and that is part of the request's text; these
/// are also checked alone, as the tables are not for them. (They must not be able to name the
/// tables' columns either: a sub-query in FROM sees the items before it, a CTE does not.)
///
/// # Errors
/// As [`super::start_scan`].
pub fn start_scan(
    mut request: Request,
    user_texts: Vec<String>,
    shipped: Shipped,
) -> Result<RunningScan> {
    let Shipped { loaded, engine, source, role } = shipped;
    log_sql(&request.sql);
    let (pool, wake) = parts()?;
    let timezone = timezone::current(&request.entry)?;
    let values = std::mem::take(&mut request.values);
    let measured = progress::is_available();
    let own = Arc::clone(&engine);
    let entry = request.entry.clone();
    let scan = Scan::start_on(&pool, &wake, loaded, values, move |connection, values| {
        if measured {
            duck::open::measure_progress(connection)?;
        }
        for text in &user_texts {
            own.check_user_text(text, values)?;
        }
        own.prepare_request(connection, &request, values, &timezone)
    })?;
    Ok(RunningScan::new(scan, role, entry, &engine, &source))
}
