//! Rows handed over to a driver thread, which puts them into temporary tables of a connection that
//! runs a statement afterwards.
//!
//! The main thread queues tables and chunks and never waits inside: it asks for room, waits for the
//! [`Wake`] however it likes, and asks again, so that the queue stays bounded. Dropping the
//! [`Loader`] stops everything, as with [`crate::scan::Scan`].

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::appender::{Appender, TempTable};
use crate::connection::Connection;
use crate::driver::{self, Control, Pool, Wake};
use crate::error::Result;
use crate::row_chunk::RowChunk;
use crate::transaction::{Lease, Source};

/// From so many bytes on, the queue has no room.
const QUEUE_BYTES: usize = 8 << 20;

enum Step {
    Table(TempTable),
    Rows(RowChunk),
    Finish,
}

#[derive(Default)]
struct State {
    steps: VecDeque<Step>,
    queued_bytes: usize,
    /// Set when the thread is done, with all rows or with an error.
    outcome: Option<Result<Loaded>>,
    /// The connection is somebody else's now.
    handed_out: bool,
}

struct Shared {
    state: Mutex<State>,
    more: Condvar,
    wake: Arc<Wake>,
    control: Control,
}

/// A connection whose temporary tables are being filled. Dropping it stops that without waiting.
pub struct Loader(Arc<Shared>);

impl Loader {
    /// Connects.
    ///
    /// # Errors
    /// When no thread can be started. All others come from [`Loader::poll_room`] or
    /// [`Loader::poll_loaded`].
    pub fn start(pool: &Pool, wake: &Arc<Wake>, source: &Source) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            more: Condvar::new(),
            wake: Arc::clone(wake),
            control: Control::default(),
        });
        let consumer = Arc::clone(&shared);
        let source = source.clone();
        let after = pool.clone();
        driver::spawn(pool, &shared.control, move || {
            let outcome = driver::catch_panic(|| consumer.run(&source))
                .map_err(|error| consumer.control.own_interrupt(error))
                .map(|lease| Loaded { lease: Some(lease), pool: after });
            if let Err(error) = &outcome {
                source.instance().note_error(error);
            }
            drop(source);
            consumer.state.lock().outcome = Some(outcome);
            consumer.wake.notify();
        })?;
        Ok(Self(shared))
    }

    /// Whether more rows can be queued now; otherwise ask again after the wake.
    ///
    /// # Errors
    /// The error that ended the loading.
    pub fn poll_room(&self) -> Result<bool> {
        let state = self.0.state.lock();
        match &state.outcome {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(state.queued_bytes < QUEUE_BYTES),
        }
    }

    /// Queues the creation of a table, which the rows that come after it belong to.
    pub fn table(&self, table: TempTable) {
        self.push(Step::Table(table));
    }

    /// Queues rows for the last table. There should be room; see [`Loader::poll_room`].
    pub fn rows(&self, rows: RowChunk) {
        self.push(Step::Rows(rows));
    }

    /// Says that nothing more comes.
    pub fn finish(&self) {
        self.push(Step::Finish);
    }

    /// The connection, once all rows are in its tables; after that `None` again.
    ///
    /// # Errors
    /// The error that ended the loading.
    pub fn poll_loaded(&self) -> Result<Option<Loaded>> {
        let mut state = self.0.state.lock();
        match state.outcome.take() {
            None => Ok(None),
            Some(Ok(loaded)) => {
                state.handed_out = true;
                Ok(Some(loaded))
            }
            Some(Err(error)) => {
                state.outcome = Some(Err(error.clone()));
                Err(error)
            }
        }
    }

    fn push(&self, step: Step) {
        let mut state = self.0.state.lock();
        state.queued_bytes += step.bytes();
        state.steps.push_back(step);
        drop(state);
        self.0.more.notify_one();
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // Under the state's lock, so that a consumer that is about to wait for more sees the flag.
        let state = self.0.state.lock();
        if state.handed_out {
            return;
        }
        self.0.control.cancel();
        drop(state);
        self.0.more.notify_one();
    }
}

impl Step {
    fn bytes(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.bytes(),
            Self::Table(_) | Self::Finish => 0,
        }
    }
}

impl Shared {
    fn run(&self, source: &Source) -> Result<Lease> {
        let lease = source.lease(&self.control)?;
        self.fill(&lease)?;
        Ok(lease)
    }

    fn fill(&self, connection: &Connection) -> Result<()> {
        let mut appender: Option<Appender<'_>> = None;
        loop {
            let step = self.next()?;
            match (step, &mut appender) {
                (Step::Rows(rows), Some(appender)) => appender.append(&rows)?,
                (Step::Rows(_), None) => {}
                (Step::Table(table), current) => {
                    if let Some(before) = current {
                        before.flush()?;
                    }
                    table.create(connection)?;
                    *current = Some(Appender::new(connection, &table)?);
                }
                (Step::Finish, current) => {
                    return current.as_mut().map_or(Ok(()), Appender::flush);
                }
            }
        }
    }

    /// Waits for the next step.
    fn next(&self) -> Result<Step> {
        let mut state = self.state.lock();
        loop {
            self.control.check()?;
            let Some(step) = state.steps.pop_front() else {
                self.more.wait(&mut state);
                continue;
            };
            let was_full = state.queued_bytes >= QUEUE_BYTES;
            state.queued_bytes -= step.bytes();
            let has_room = state.queued_bytes < QUEUE_BYTES;
            drop(state);
            if was_full && has_room {
                self.wake.notify();
            }
            return Ok(step);
        }
    }
}

/// A connection whose temporary tables are filled. A driver thread closes it.
pub struct Loaded {
    lease: Option<Lease>,
    pool: Pool,
}

impl Loaded {
    #[expect(clippy::expect_used, reason = "only this and Drop take it, and both come last")]
    pub(crate) fn take(mut self) -> Lease {
        self.lease.take().expect("a loaded connection is taken once")
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            // Where no thread can be had, the connection is closed right here.
            let _ = driver::spawn(&self.pool, &Control::default(), move || drop(lease));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    use crate::error::{Error, ErrorKind};
    use crate::instance::Instance;
    use crate::logical_type::LogicalType;
    use crate::scan::{Poll, Scan};
    use crate::statement::Statement;

    struct Ground {
        pool: Pool,
        wake: Arc<Wake>,
        instance: Arc<Instance>,
    }

    impl Ground {
        fn new(settings: &[(&str, &str)]) -> Self {
            let instance = Instance::open(settings).unwrap();
            Self { pool: Pool::default(), wake: Wake::new().unwrap(), instance }
        }

        fn loader(&self) -> Loader {
            Loader::start(&self.pool, &self.wake, &Source::Instance(Arc::clone(&self.instance)))
                .unwrap()
        }

        fn scan(&self, loaded: Loaded, sql: &'static str) -> Scan {
            Scan::start_on(&self.pool, &self.wake, loaded, vec![], move |connection, _| {
                Statement::prepare(connection, sql)
            })
            .unwrap()
        }

        /// Waits until nothing but this question is connected.
        fn wait_until_closed(&self) {
            let connection = Connection::new(&self.instance).unwrap();
            let sql = "SELECT count::VARCHAR FROM duckdb_connection_count()";
            let start = Instant::now();
            while connection.query_text(sql, &[]).unwrap().unwrap() != "1" {
                assert!(start.elapsed() < Duration::from_secs(20), "a connection is left open");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn wait<T>(mut poll: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(answer) = poll()? {
                return Ok(answer);
            }
            assert!(start.elapsed() < Duration::from_secs(60), "nothing comes");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn table(number: usize) -> TempTable {
        TempTable::new(number, [LogicalType::BigInt, LogicalType::Varchar].into())
    }

    /// A full chunk whose strings have `width` bytes.
    fn chunk(table: &TempTable, first: i64, width: usize) -> RowChunk {
        let mut chunk = RowChunk::new(table.types()).unwrap();
        let text = "x".repeat(width);
        for number in (first..).take(2048) {
            chunk.columns_mut()[0].push_i64(number);
            chunk.columns_mut()[1].push_str(&text);
            chunk.end_row();
        }
        chunk
    }

    fn append(loader: &Loader, rows: RowChunk) -> Result<()> {
        wait(|| loader.poll_room().map(|room| room.then_some(())))?;
        loader.rows(rows);
        Ok(())
    }

    fn first_text(scan: &Scan) -> Result<String> {
        wait(|| {
            Ok(match scan.poll()? {
                Poll::Chunk(chunk) => Some(chunk.column(0).string(0).to_text()),
                _ => None,
            })
        })
    }

    #[test]
    fn a_statement_joins_the_tables_that_were_loaded() {
        let ground = Ground::new(&[("threads", "2")]);
        let loader = ground.loader();
        for number in [1, 2] {
            let table = table(number);
            loader.table(table.clone());
            for number in 0..20 {
                append(&loader, chunk(&table, number * 2048, 10)).unwrap();
            }
        }
        loader.table(table(3));
        loader.finish();
        let loaded = wait(|| loader.poll_loaded()).unwrap();
        drop(loader);
        let sql = "SELECT ((SELECT count(*) FROM pond_shipped_1 JOIN pond_shipped_2 USING (c0)), \
                   (SELECT count(*) FROM pond_shipped_3))::VARCHAR";
        assert_eq!(first_text(&ground.scan(loaded, sql)).unwrap(), "(40960, 0)");
    }

    #[test]
    fn the_queue_is_bounded_while_duckdb_is_slow() {
        let ground = Ground::new(&[("threads", "2")]);
        let loader = ground.loader();
        let table = table(1);
        loader.table(table.clone());
        let mut waits = 0;
        for number in 0..200 {
            wait(|| {
                let room = loader.poll_room()?;
                waits += u32::from(!room);
                Ok(room.then_some(()))
            })
            .unwrap();
            loader.rows(chunk(&table, number * 2048, 1000));
            let queued = loader.0.state.lock().queued_bytes;
            assert!(queued < QUEUE_BYTES + (4 << 20), "{queued} bytes are queued");
        }
        assert!(waits > 0, "400 MB never filled the queue");
        loader.finish();
        let loaded = wait(|| loader.poll_loaded()).unwrap();
        let sql = "SELECT (count(*), sum(c0), sum(strlen(c1)))::VARCHAR FROM pond_shipped_1";
        let expected = format!("(409600, {}, 409600000)", 409_600_i64 * 409_599 / 2);
        assert_eq!(first_text(&ground.scan(loaded, sql)).unwrap(), expected);
    }

    #[test]
    fn dropping_a_loader_ends_it_in_every_phase_and_closes_the_connection() {
        let ground = Ground::new(&[("threads", "2")]);
        for chunks in [0, 1, 30] {
            for delay_ms in [0, 3, 30] {
                let loader = ground.loader();
                let table = table(1);
                loader.table(table.clone());
                for number in 0..chunks {
                    append(&loader, chunk(&table, number, 1000)).unwrap();
                }
                if delay_ms == 30 {
                    loader.finish();
                }
                std::thread::sleep(Duration::from_millis(delay_ms));
                let dropped = Instant::now();
                drop(loader);
                assert!(dropped.elapsed() < Duration::from_millis(500));
                ground.wait_until_closed();
            }
        }
        // What is loaded and not used goes as well, and so does a scan over it.
        for sql in [None, Some("SELECT count(*)::VARCHAR FROM range(100000000000), pond_shipped_1")]
        {
            let loader = ground.loader();
            loader.table(table(1));
            append(&loader, chunk(&table(1), 0, 10)).unwrap();
            loader.finish();
            let loaded = wait(|| loader.poll_loaded()).unwrap();
            drop(loader);
            match sql {
                Some(sql) => {
                    let scan = ground.scan(loaded, sql);
                    std::thread::sleep(Duration::from_millis(20));
                    drop(scan);
                }
                None => drop(loaded),
            }
            ground.wait_until_closed();
        }
    }

    #[test]
    fn an_error_surfaces_at_the_next_question_and_stays() {
        let ground = Ground::new(&[("threads", "2")]);
        let loader = ground.loader();
        loader.table(table(1));
        loader.table(table(1));
        let error = wait(|| loader.poll_room().map(|_| None::<()>)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Catalog);
        loader.rows(chunk(&table(1), 0, 10));
        loader.finish();
        for _ in 0..2 {
            assert_eq!(loader.poll_loaded().err().unwrap(), error);
            assert_eq!(loader.poll_room().unwrap_err(), error);
        }
        ground.wait_until_closed();
    }

    #[test]
    fn more_than_memory_and_disk_hold_is_an_error() {
        let ground =
            Ground::new(&[("threads", "2"), ("memory_limit", "30MB"), ("temp_directory", "")]);
        let loader = ground.loader();
        let table = table(1);
        loader.table(table.clone());
        let load = || -> Result<Loaded> {
            for number in 0..100 {
                // Strings that do not compress away.
                let mut rows = RowChunk::new(table.types()).unwrap();
                for row in 0..2048_u64 {
                    let mut word = (number * 2048 + row).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    let mut text = String::new();
                    while text.len() < 500 {
                        word ^= word << 13;
                        word ^= word >> 7;
                        word ^= word << 17;
                        text.push_str(&format!("{word:x}"));
                    }
                    rows.columns_mut()[0].push_i64(0);
                    rows.columns_mut()[1].push_str(&text);
                    rows.end_row();
                }
                append(&loader, rows)?;
            }
            loader.finish();
            wait(|| loader.poll_loaded())
        };
        let error: Error = load().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
        assert!(!ground.instance.is_broken());
    }
}
