//! A running query whose chunks are fetched ahead by a driver thread.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::{Condvar, Mutex};

use crate::chunk::Chunk;
use crate::connection::Connection;
use crate::driver::{self, Control, Pool, Wake};
use crate::error::{Error, ErrorKind, Result};
use crate::loader::Loaded;
use crate::statement::{Column, Rows, Statement};
use crate::transaction::{Lease, Source};
use crate::value::Value;

/// How far the driver fetches ahead, in cells (rows × columns); at least two chunks.
const AHEAD_CELLS: usize = 128 * 1024;

#[derive(Default)]
struct State {
    columns: Option<Vec<Column>>,
    chunks: VecDeque<Chunk>,
    /// The end or the error that comes after the chunks.
    end: Option<Result<()>>,
    /// The chunks are kept however many they are, since somebody else waits for the connection.
    unbounded: bool,
}

struct Shared {
    state: Mutex<State>,
    room: Condvar,
    wake: Arc<Wake>,
    control: Control,
}

/// What [`Scan::poll`] finds.
pub enum Poll {
    /// Nothing yet; wait for the wake.
    Pending,
    Chunk(Chunk),
    End,
}

/// A query that runs on a driver thread. Dropping it stops the query without waiting.
pub struct Scan(Arc<Shared>);

impl Scan {
    /// Connects, calls `prepare` for the statement (checks, settings, and the prepare itself go
    /// there), binds `values`, executes and streams.
    ///
    /// # Errors
    /// When no thread can be started. All others come from [`Scan::poll_columns`] or
    /// [`Scan::poll`].
    pub fn start(
        pool: &Pool,
        wake: &Arc<Wake>,
        source: &Source,
        values: Vec<Value>,
        prepare: impl FnOnce(&Connection, &[Value]) -> Result<Statement> + Send + 'static,
    ) -> Result<Self> {
        let own = source.clone();
        Self::launch(pool, wake, source.clone(), values, prepare, move |control| own.lease(control))
    }

    /// As [`Scan::start`], on a connection with temporary tables.
    ///
    /// # Errors
    /// As [`Scan::start`].
    pub fn start_on(
        pool: &Pool,
        wake: &Arc<Wake>,
        loaded: Loaded,
        values: Vec<Value>,
        prepare: impl FnOnce(&Connection, &[Value]) -> Result<Statement> + Send + 'static,
    ) -> Result<Self> {
        let mut lease = loaded.take();
        let instance = Source::Instance(Arc::clone(lease.instance()));
        Self::launch(pool, wake, instance, values, prepare, move |control| {
            lease.hand_to(control)?;
            Ok(lease)
        })
    }

    fn launch(
        pool: &Pool,
        wake: &Arc<Wake>,
        source: Source,
        values: Vec<Value>,
        prepare: impl FnOnce(&Connection, &[Value]) -> Result<Statement> + Send + 'static,
        connect: impl FnOnce(&Control) -> Result<Lease> + Send + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            room: Condvar::new(),
            wake: Arc::clone(wake),
            control: Control::default(),
        });
        let producer = Arc::clone(&shared);
        driver::spawn(pool, &shared.control, move || {
            let outcome = driver::catch_panic(|| producer.run(connect, &values, prepare))
                .map_err(|error| producer.control.own_interrupt(error));
            if let Err(error) = &outcome {
                source.instance().note_error(error);
            }
            // The last reference to a replaced instance may be this one: it is closed here, before
            // anybody hears of the end.
            drop(source);
            producer.state.lock().end = Some(outcome);
            producer.wake.notify();
        })?;
        Ok(Self(shared))
    }

    /// Keeps all chunks from now on, so that the connection is free as soon as DuckDB is done.
    pub fn unbound(&self) {
        self.0.unbound();
    }

    /// Stops the query between two of its tasks: an interrupt within one would end the transaction
    /// that the query is part of.
    pub fn stop_gently(self) {
        let state = self.0.state.lock();
        self.0.control.cancel_gently();
        drop(state);
        self.0.room.notify_one();
    }

    /// Somebody who may outlive the scan and asks for [`Scan::unbound`].
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote(Arc::downgrade(&self.0))
    }

    /// The result's columns once execution has begun.
    ///
    /// # Errors
    /// The error that ended the query before that.
    pub fn poll_columns(&self) -> Result<Option<Vec<Column>>> {
        let state = self.0.state.lock();
        match (&state.columns, &state.end) {
            (Some(columns), _) => Ok(Some(columns.clone())),
            (None, Some(Err(error))) => Err(error.clone()),
            (None, _) => Ok(None),
        }
    }

    /// The next chunk, if it is there.
    ///
    /// # Errors
    /// The error that ended the query, after the chunks that came before it.
    pub fn poll(&self) -> Result<Poll> {
        let mut state = self.0.state.lock();
        if let Some(chunk) = state.chunks.pop_front() {
            self.0.room.notify_one();
            return Ok(Poll::Chunk(chunk));
        }
        match &state.end {
            None => Ok(Poll::Pending),
            Some(Ok(())) => Ok(Poll::End),
            Some(Err(error)) => Err(error.clone()),
        }
    }

    /// How much of the query is done, in percent, when DuckDB knows it.
    #[must_use]
    pub fn progress_percent(&self) -> Option<f64> {
        self.0.control.progress_percent()
    }
}

/// A handle on a scan that does not keep it.
pub struct Remote(Weak<Shared>);

impl Remote {
    /// [`Scan::unbound`], if the scan is still there. False if it is not, or has ended.
    #[must_use]
    pub fn unbound(&self) -> bool {
        let Some(shared) = self.0.upgrade() else { return false };
        shared.unbound();
        shared.state.lock().end.is_none()
    }

    /// Stops the query, if it still runs.
    pub fn cancel(&self) {
        if let Some(shared) = self.0.upgrade() {
            let state = shared.state.lock();
            shared.control.cancel();
            drop(state);
            shared.room.notify_one();
        }
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        // Under the state's lock, so that a producer that is about to wait for room sees the flag.
        let state = self.0.state.lock();
        if self.0.control.is_cancelled() {
            return;
        }
        self.0.control.cancel();
        drop(state);
        self.0.room.notify_one();
    }
}

impl Shared {
    fn unbound(&self) {
        self.state.lock().unbounded = true;
        self.room.notify_one();
    }

    fn run(
        &self,
        connect: impl FnOnce(&Control) -> Result<Lease>,
        values: &[Value],
        prepare: impl FnOnce(&Connection, &[Value]) -> Result<Statement>,
    ) -> Result<()> {
        self.control.check()?;
        let connection = connect(&self.control)?;
        let statement = prepare(&connection, values)?;
        self.control.check()?;
        statement.bind_positional(values)?;
        let cancelled = || self.control.is_cancelled();
        let rows = if connection.is_of_transaction() {
            statement.start_in_transaction(&connection, cancelled)?
        } else {
            statement.start(cancelled)?
        };
        let columns = rows.columns();
        let ahead = (AHEAD_CELLS / (Chunk::CAPACITY * columns.len().max(1))).clamp(2, 32);
        self.state.lock().columns = Some(columns);
        self.wake.notify();
        let outcome = self.stream(&rows, ahead);
        if self.control.is_cancelled() {
            // An unfinished result may only be closed interrupted; a second interrupt does no harm.
            connection.interrupter().interrupt();
        }
        outcome
    }

    fn stream(&self, rows: &Rows, ahead: usize) -> Result<()> {
        while let Some(chunk) = rows.next_chunk()? {
            if chunk.is_empty() {
                continue;
            }
            let mut state = self.state.lock();
            while state.chunks.len() >= ahead && !state.unbounded && !self.control.is_cancelled() {
                self.room.wait(&mut state);
            }
            if self.control.is_cancelled() {
                return Err(Error::new(ErrorKind::Interrupt, "Interrupted!"));
            }
            state.chunks.push_back(chunk);
            if state.chunks.len() == 1 {
                drop(state);
                self.wake.notify();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::Instance;
    use std::time::{Duration, Instant};

    fn start(pool: &Pool, sql: &'static str) -> Scan {
        let instance = Instance::open(&[("threads", "2")]).unwrap();
        let wake = Wake::new().unwrap();
        Scan::start(pool, &wake, &Source::Instance(instance), vec![], move |connection, _| {
            Statement::prepare(connection, sql)
        })
        .unwrap()
    }

    fn rows_of(scan: &Scan) -> Result<usize> {
        let mut rows = 0;
        loop {
            match scan.poll()? {
                Poll::Pending => std::thread::sleep(Duration::from_millis(1)),
                Poll::Chunk(chunk) => rows += chunk.len(),
                Poll::End => return Ok(rows),
            }
        }
    }

    fn wait_idle(pool: &Pool) {
        let start = Instant::now();
        while pool.busy_threads() > 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "a driver thread does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn all_rows_arrive() {
        let pool = Pool::default();
        assert_eq!(rows_of(&start(&pool, "FROM range(1000000)")).unwrap(), 1_000_000);
    }

    #[test]
    fn dropping_a_scan_ends_the_query_in_every_phase() {
        let pool = Pool::default();
        for sql in [
            "FROM range(100000000000)",
            "SELECT i % 1000003 AS k, count(*) FROM range(100000000000) t(i) GROUP BY k",
            "SELECT * FROM range(50000000) t(i) ORDER BY hash(i)",
        ] {
            for delay_ms in [0, 1, 5, 50] {
                let scan = start(&pool, sql);
                std::thread::sleep(Duration::from_millis(delay_ms));
                let dropped = Instant::now();
                drop(scan);
                assert!(dropped.elapsed() < Duration::from_millis(500));
                wait_idle(&pool);
            }
        }
    }

    #[test]
    fn errors_arrive_from_prepare_and_from_execution() {
        let pool = Pool::default();
        let error = rows_of(&start(&pool, "SELECT nosuch")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Binder);
        let error = rows_of(&start(&pool, "SELECT error('bang')")).unwrap_err();
        assert!(error.message().contains("bang"));
    }
}
