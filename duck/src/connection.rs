//! A connection to an instance, and the means to interrupt it from another thread.

use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libduckdb_sys as sys;
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::instance::Instance;
use crate::signals::BlockedSignals;
use crate::statement::Statement;

/// DuckDB's optimizers that hand conditions to scans.
const PUSHING_OPTIMIZERS: &str = "filter_pushdown,join_filter_pushdown,top_n";

/// A DuckDB connection. It keeps its instance alive.
pub struct Connection {
    raw: sys::duckdb_connection,
    interrupter: Interrupter,
    instance: Arc<Instance>,
    shipped_tables: Mutex<Vec<String>>,
    /// The time zone that was set for it, if any was.
    time_zone: Mutex<Option<String>>,
    literal_paths: Mutex<bool>,
    unpushed: Mutex<bool>,
    in_transaction: AtomicBool,
}

// SAFETY: a duckdb_connection may be used by any thread, one at a time; DuckDB's client context
// takes its own lock in every call.
unsafe impl Send for Connection {}

impl Connection {
    /// # Errors
    /// When the instance is broken or out of memory.
    pub fn new(instance: &Arc<Instance>) -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        // DuckDB may start threads at a connection.
        let _blocked = BlockedSignals::new();
        // SAFETY: the database handle is open as long as `instance` lives.
        let state = unsafe { sys::duckdb_connect(instance.raw(), &raw mut raw) };
        if state != sys::DuckDBSuccess {
            return Err(Error::new(ErrorKind::Internal, "cannot connect to the DuckDB instance"));
        }
        let interrupter = Interrupter(Arc::new(Mutex::new(Some(RawConnection(raw)))));
        let instance = Arc::clone(instance);
        Ok(Self {
            raw,
            interrupter,
            instance,
            shipped_tables: Mutex::default(),
            time_zone: Mutex::default(),
            literal_paths: Mutex::default(),
            unpushed: Mutex::default(),
            in_transaction: AtomicBool::new(false),
        })
    }

    pub(crate) fn raw(&self) -> sys::duckdb_connection {
        self.raw
    }

    #[must_use]
    pub fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// The temporary tables that [`crate::appender::TempTable`] has made on this connection.
    pub(crate) fn shipped_tables(&self) -> Vec<String> {
        self.shipped_tables.lock().clone()
    }

    pub(crate) fn take_shipped_tables(&self) -> Vec<String> {
        std::mem::take(&mut *self.shipped_tables.lock())
    }

    pub(crate) fn note_shipped_table(&self, name: &str) {
        self.shipped_tables.lock().push(name.to_owned());
    }

    /// Begins a transaction, which [`Connection::end_transaction`] ends.
    pub(crate) fn begin_transaction(&self) -> Result<()> {
        self.execute_batch("BEGIN TRANSACTION")?;
        self.in_transaction.store(true, Ordering::Release);
        Ok(())
    }

    /// Ends the transaction by `COMMIT` or `ROLLBACK`.
    pub(crate) fn end_transaction(&self, statement: &str) -> Result<()> {
        let outcome = self.execute_batch(statement);
        match &outcome {
            Ok(()) => self.in_transaction.store(false, Ordering::Release),
            Err(error) => self.instance.note_error(error),
        }
        outcome
    }

    /// Sets the connection's time zone, unless it has it.
    ///
    /// # Errors
    /// DuckDB's, for a zone that it does not know.
    pub fn set_time_zone(&self, own: &str, zone: &str) -> Result<()> {
        let mut current = self.time_zone.lock();
        if current.as_deref().unwrap_or(own) != zone {
            let zone_sql = crate::quote::literal(zone);
            self.execute_batch(&format!("SET TimeZone = {zone_sql}"))?;
            *current = Some(zone.to_owned());
        }
        Ok(())
    }

    /// Whether paths in object stores are taken literally, without URL parameters and patterns: for
    /// statements that read paths which somebody else wrote down (in the catalogs of lakes, the logs
    /// and manifests of Delta and Iceberg). Literally only where `httpfs` is loaded.
    ///
    /// # Errors
    /// DuckDB's own.
    pub fn take_paths_literally(&self, literally: bool) -> Result<()> {
        let mut current = self.literal_paths.lock();
        if *current != literally {
            self.execute_batch(&format!("SET s3_url_compatibility_mode = {literally}"))?;
            *current = literally;
        }
        Ok(())
    }

    /// Whether conditions may reach what they read from: files and catalogs of lakes.
    ///
    /// # Errors
    /// DuckDB's own.
    pub fn push_conditions(&self, pushed: bool) -> Result<()> {
        let mut own = self.unpushed.lock();
        let mut all = self.instance.unpushed.lock();
        if *own == pushed {
            *own = !pushed;
            all.connections = if pushed { all.connections - 1 } else { all.connections + 1 };
        }
        let wanted = all.connections > 0;
        if wanted != all.is_set {
            let optimizers = if wanted { PUSHING_OPTIMIZERS } else { "" };
            self.execute_batch(&format!("SET GLOBAL disabled_optimizers = '{optimizers}'"))?;
            all.is_set = wanted;
        }
        Ok(())
    }

    /// A handle that other threads may use to interrupt what this connection runs.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// Runs one statement to its end and drops its result.
    ///
    /// # Errors
    /// DuckDB's own.
    pub fn execute(&self, sql: &str) -> Result<()> {
        Statement::prepare(self, sql)?.execute(&[]).map(drop)
    }

    /// Runs one or more statements of our own making, without parameters.
    ///
    /// # Errors
    /// DuckDB's own; the statements after the failing one are not run.
    pub fn execute_batch(&self, sql: &str) -> Result<()> {
        let sql = CString::new(sql)
            .map_err(|_| Error::new(ErrorKind::InvalidInput, "the statement holds a NUL byte"))?;
        let mut result = std::mem::MaybeUninit::<sys::duckdb_result>::zeroed();
        let _blocked = BlockedSignals::new();
        // SAFETY: `raw` is connected, `sql` is NUL-terminated, and `result` is destroyed below
        // whatever the outcome, as duckdb_query demands.
        unsafe {
            let state = sys::duckdb_query(self.raw, sql.as_ptr(), result.as_mut_ptr());
            let outcome = if state == sys::DuckDBSuccess {
                Ok(())
            } else {
                Err(Error::from_ptr(sys::duckdb_result_error(result.as_mut_ptr())))
            };
            sys::duckdb_destroy_result(result.as_mut_ptr());
            outcome
        }
    }

    /// The first column of the first row as text; `None` for no row or NULL. For short answers to
    /// questions of our own.
    ///
    /// # Errors
    /// DuckDB's own.
    pub fn query_text(&self, sql: &str, parameters: &[crate::Value]) -> Result<Option<String>> {
        let rows = Statement::prepare(self, sql)?.execute(parameters)?;
        let mut found = None;
        // To its end: an unfinished result must not be dropped while a worker may still fill it.
        while let Some(chunk) = rows.next_chunk()? {
            if found.is_none() && !chunk.is_empty() {
                let column = chunk.column(0);
                found = Some(column.is_valid(0).then(|| column.string(0).to_text()));
            }
        }
        Ok(found.flatten())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The interrupter first: after this no other thread reaches the connection.
        self.interrupter.0.lock().take();
        if *self.unpushed.lock() {
            // The next statement tells DuckDB.
            self.instance.unpushed.lock().connections -= 1;
        }
        // DuckDB rolls an open transaction back when it disconnects, and ends the process where it cannot:
        // in an instance that is broken, or beside a catalog that is lost (DuckDB 1.5.5). As a statement
        // ROLLBACK only fails, after which no transaction is open; in a broken instance it does not run:
        // better a connection that is lost.
        if self.in_transaction.load(Ordering::Acquire) {
            if !self.instance.is_broken() {
                let _ = self.end_transaction("ROLLBACK");
            }
            if self.instance.is_broken() && self.in_transaction.load(Ordering::Acquire) {
                std::mem::forget(Arc::clone(&self.instance));
                return;
            }
        }
        // SAFETY: connected in `new`, disconnected once.
        unsafe { sys::duckdb_disconnect(&raw mut self.raw) };
    }
}

struct RawConnection(sys::duckdb_connection);

// SAFETY: used under the mutex of Interrupter, for duckdb_interrupt and duckdb_query_progress only,
// which DuckDB allows from any thread while the connection lives.
unsafe impl Send for RawConnection {}

/// Interrupts a connection from another thread; does nothing once the connection is gone.
#[derive(Clone)]
pub struct Interrupter(Arc<Mutex<Option<RawConnection>>>);

impl Interrupter {
    pub fn interrupt(&self) {
        if let Some(connection) = self.0.lock().as_ref() {
            // SAFETY: the lock keeps the connection from being closed during the call.
            unsafe { sys::duckdb_interrupt(connection.0) };
        }
    }

    /// How much of the running query is done, in percent; `None` when DuckDB cannot tell.
    #[must_use]
    pub fn progress_percent(&self) -> Option<f64> {
        let guard = self.0.lock();
        let connection = guard.as_ref()?;
        // SAFETY: as in `interrupt`.
        let progress = unsafe { sys::duckdb_query_progress(connection.0) };
        (progress.percentage >= 0.0).then_some(progress.percentage)
    }
}
