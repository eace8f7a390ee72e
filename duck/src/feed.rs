//! Rows on their way into a statement that runs already: the table function `pg_pond_rows(number)`,
//! whose rows come from the main thread while the statement consumes them, so that any number of
//! rows passes through a bounded queue.
//!
//! The main thread queues chunks and never waits inside; see [`crate::loader`], which fills tables
//! before a statement begins.

use std::collections::{HashMap, VecDeque};
use std::ffi::{CString, c_void};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};

use libduckdb_sys as sys;
use parking_lot::{Condvar, Mutex};

use crate::appender::fill_vector;
use crate::connection::Connection;
use crate::driver::{Control, Pool, Task, Wake};
use crate::error::{Error, ErrorKind, Result};
use crate::logical_type::LogicalType;
use crate::row_chunk::RowChunk;
use crate::transaction::Source;

/// The queue counts as full with so many bytes.
const QUEUE_BYTES: usize = 16 << 20;
pub(crate) const NAME: &str = "pg_pond_rows";
const C_NAME: &std::ffi::CStr = c"pg_pond_rows";

/// The queues that calls of the function may name. The numbers are drawn in sequence; a statement of
/// an ordinary role cannot call the function.
static QUEUES: LazyLock<Mutex<HashMap<i64, Arc<Queue>>>> = LazyLock::new(Mutex::default);
static NEXT_NUMBER: AtomicI64 = AtomicI64::new(1);

#[derive(Default)]
struct State {
    chunks: VecDeque<RowChunk>,
    queued_bytes: usize,
    finished: bool,
    abandoned: bool,
}

struct Queue {
    types: Arc<[LogicalType]>,
    state: Mutex<State>,
    more: Condvar,
    wake: Arc<Wake>,
}

impl Queue {
    /// The next chunk; `None` at the end. Blocks.
    fn next(&self) -> std::result::Result<Option<RowChunk>, &'static std::ffi::CStr> {
        let mut state = self.state.lock();
        loop {
            if state.abandoned {
                return Err(c"pg_pond: the rows are not wanted any more");
            }
            if let Some(chunk) = state.chunks.pop_front() {
                let was_full = state.queued_bytes >= QUEUE_BYTES;
                state.queued_bytes -= chunk.bytes();
                let has_room = state.queued_bytes < QUEUE_BYTES;
                drop(state);
                if was_full && has_room {
                    self.wake.notify();
                }
                return Ok(Some(chunk));
            }
            if state.finished {
                return Ok(None);
            }
            self.more.wait(&mut state);
        }
    }
}

/// A statement that takes rows. Dropping it before its end stops it and undoes what it has done.
pub struct Feed {
    number: i64,
    queue: Arc<Queue>,
    task: Task<i64>,
}

impl Feed {
    /// Starts a statement on a connection of `source`. `run` is given the FROM item that has the
    /// rows, with columns c0, c1 and so on of these types, and returns the number of changed rows.
    ///
    /// # Errors
    /// When no thread can be started. All others come from [`Feed::poll_done`].
    pub fn start(
        pool: &Pool,
        wake: &Arc<Wake>,
        source: &Source,
        types: &Arc<[LogicalType]>,
        run: impl FnOnce(&Connection, &str, &Control) -> Result<i64> + Send + 'static,
    ) -> Result<Self> {
        let queue = Arc::new(Queue {
            types: Arc::clone(types),
            state: Mutex::default(),
            more: Condvar::new(),
            wake: Arc::clone(wake),
        });
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        QUEUES.lock().insert(number, Arc::clone(&queue));
        let source = source.clone();
        let task = Task::start(pool, wake, move |control| {
            let lease = source.lease(control)?;
            let outcome = run(&lease, &format!("{NAME}({number})"), control);
            if let Err(error) = &outcome {
                source.instance().note_error(error);
            }
            outcome
        });
        match task {
            Ok(task) => Ok(Self { number, queue, task }),
            Err(error) => {
                QUEUES.lock().remove(&number);
                Err(error)
            }
        }
    }

    /// Whether more rows can be queued now; otherwise ask again after the wake.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.queue.state.lock().queued_bytes < QUEUE_BYTES
    }

    /// Queues rows, whether or not there is room.
    pub fn push(&self, rows: RowChunk) {
        let mut state = self.queue.state.lock();
        state.queued_bytes += rows.bytes();
        state.chunks.push_back(rows);
        drop(state);
        self.queue.more.notify_one();
    }

    /// Says that no more rows come.
    pub fn finish(&self) {
        self.queue.state.lock().finished = true;
        self.queue.more.notify_one();
    }

    /// The number of changed rows, or the error, once the statement is done; after that `None` again.
    #[must_use]
    pub fn poll_done(&self) -> Option<Result<i64>> {
        self.task.poll()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        QUEUES.lock().remove(&self.number);
        let mut state = self.queue.state.lock();
        state.abandoned = true;
        state.chunks.clear();
        drop(state);
        self.queue.more.notify_all();
    }
}

/// Makes the function known to the connection's instance.
///
/// # Errors
/// When DuckDB refuses, which it has no reason for.
pub fn register(connection: &Connection) -> Result<()> {
    // SAFETY: each handle is made, used and destroyed here; DuckDB copies what it is given.
    let state = unsafe {
        let mut function = sys::duckdb_create_table_function();
        sys::duckdb_table_function_set_name(function, C_NAME.as_ptr());
        let mut number = sys::duckdb_create_logical_type(sys::DUCKDB_TYPE_DUCKDB_TYPE_BIGINT);
        sys::duckdb_table_function_add_parameter(function, number);
        sys::duckdb_table_function_set_bind(function, Some(bind));
        sys::duckdb_table_function_set_init(function, Some(init));
        sys::duckdb_table_function_set_function(function, Some(produce));
        let state = sys::duckdb_register_table_function(connection.raw(), function);
        sys::duckdb_destroy_logical_type(&raw mut number);
        sys::duckdb_destroy_table_function(&raw mut function);
        state
    };
    if state == sys::DuckDBSuccess {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Internal, "DuckDB does not take the function pg_pond_rows"))
}

unsafe extern "C" fn bind(info: sys::duckdb_bind_info) {
    // SAFETY: DuckDB's live handle; the queue's reference is given back by `drop_queue`.
    unsafe {
        let mut value = sys::duckdb_bind_get_parameter(info, 0);
        let number = sys::duckdb_get_int64(value);
        sys::duckdb_destroy_value(&raw mut value);
        let queue = QUEUES.lock().get(&number).cloned();
        let Some(queue) = queue else {
            return sys::duckdb_bind_set_error(info, c"pg_pond: there are no such rows".as_ptr());
        };
        for (index, logical_type) in queue.types.iter().enumerate() {
            let name = CString::new(format!("c{index}")).unwrap_or_default();
            let Some(raw) = logical_type.to_raw() else {
                return sys::duckdb_bind_set_error(info, c"pg_pond: a type is unknown".as_ptr());
            };
            sys::duckdb_bind_add_result_column(info, name.as_ptr(), raw.as_ptr());
        }
        let raw = Arc::into_raw(queue).cast_mut().cast::<c_void>();
        sys::duckdb_bind_set_bind_data(info, raw, Some(drop_queue));
    }
}

unsafe extern "C" fn drop_queue(queue: *mut c_void) {
    // SAFETY: made by `bind`, dropped once.
    drop(unsafe { Arc::from_raw(queue.cast_const().cast::<Queue>()) });
}

/// The chunks whose strings DuckDB may still look at.
type Borrowed = Mutex<VecDeque<RowChunk>>;

unsafe extern "C" fn init(info: sys::duckdb_init_info) {
    // SAFETY: DuckDB's live handle; the box is given back by `drop_borrowed`.
    unsafe {
        // The rows keep their order.
        sys::duckdb_init_set_max_threads(info, 1);
        let borrowed: Box<Borrowed> = Box::default();
        sys::duckdb_init_set_init_data(info, Box::into_raw(borrowed).cast(), Some(drop_borrowed));
    }
}

unsafe extern "C" fn drop_borrowed(borrowed: *mut c_void) {
    // SAFETY: made by `init`, dropped once.
    drop(unsafe { Box::from_raw(borrowed.cast::<Borrowed>()) });
}

unsafe extern "C" fn produce(info: sys::duckdb_function_info, output: sys::duckdb_data_chunk) {
    // SAFETY: DuckDB's live handles, and what `bind` and `init` have left there. The output's vectors
    // have the types of the queue and room for a chunk.
    unsafe {
        let queue = &*sys::duckdb_function_get_bind_data(info).cast::<Queue>();
        let borrowed = &*sys::duckdb_function_get_init_data(info).cast::<Borrowed>();
        let chunk = match queue.next() {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return sys::duckdb_data_chunk_set_size(output, 0),
            Err(message) => return sys::duckdb_function_set_error(info, message.as_ptr()),
        };
        let mut borrowed = borrowed.lock();
        // Long enough for operators that look at the chunk before the last one.
        if borrowed.len() > 2 {
            borrowed.pop_front();
        }
        borrowed.push_back(chunk);
        let Some(chunk) = borrowed.back() else { return };
        for (index, column) in (0..).zip(chunk.columns()) {
            let vector = sys::duckdb_data_chunk_get_vector(output, index);
            if fill_vector(vector, column).is_err() {
                let message = c"Out of Range Error: a value is longer than DuckDB allows";
                return sys::duckdb_function_set_error(info, message.as_ptr());
            }
        }
        sys::duckdb_data_chunk_set_size(output, chunk.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    use crate::instance::Instance;
    use crate::statement::Statement;

    fn types() -> Arc<[LogicalType]> {
        [LogicalType::BigInt, LogicalType::Varchar].into()
    }

    fn chunk(first: i64) -> RowChunk {
        let mut chunk = RowChunk::new(&types()).unwrap();
        for number in (first..).take(2048) {
            chunk.columns_mut()[0].push_i64(number);
            if number % 7 == 0 {
                chunk.columns_mut()[1].push_null();
            } else {
                chunk.columns_mut()[1].push_str(&format!("a string that is not inlined {number}"));
            }
            chunk.end_row();
        }
        chunk
    }

    fn start(instance: &Arc<Instance>, sql: &'static str) -> Feed {
        let (pool, wake) = (Pool::default(), Wake::new().unwrap());
        let source = Source::Instance(Arc::clone(instance));
        Feed::start(&pool, &wake, &source, &types(), move |connection, rows, _| {
            Statement::prepare(connection, &sql.replace("ROWS", rows))?.execute(&[])?.run_to_end()
        })
        .unwrap()
    }

    fn wait(feed: &Feed) -> Result<i64> {
        let started = Instant::now();
        loop {
            if let Some(done) = feed.poll_done() {
                return done;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "it does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn instance() -> Arc<Instance> {
        let instance = Instance::open(&[("threads", "2")]).unwrap();
        register(&Connection::new(&instance).unwrap()).unwrap();
        instance
    }

    #[test]
    fn rows_arrive_in_their_order_while_the_statement_runs() {
        let instance = instance();
        let connection = Connection::new(&instance).unwrap();
        connection.execute_batch("CREATE TABLE t (a BIGINT, b VARCHAR)").unwrap();
        let feed = start(&instance, "INSERT INTO t SELECT * FROM ROWS");
        for number in 0..300 {
            while !feed.has_room() {
                std::thread::sleep(Duration::from_millis(1));
            }
            feed.push(chunk(number * 2048));
        }
        feed.finish();
        assert_eq!(wait(&feed).unwrap(), 300 * 2048);
        let sql = "SELECT (count(*), count(b), bool_and(a = rowid), \
                   bool_and(b IS NULL OR b = 'a string that is not inlined ' || a))::VARCHAR FROM t";
        let found = connection.query_text(sql, &[]).unwrap().unwrap();
        assert_eq!(found, "(614400, 526628, true, true)");
    }

    #[test]
    fn waiting_for_rows_takes_no_processor() {
        fn used() -> Duration {
            // SAFETY: plain data, filled by the call.
            let usage = unsafe {
                let mut usage = std::mem::zeroed();
                libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
                usage
            };
            let of = |time: libc::timeval| {
                Duration::from_secs(time.tv_sec.cast_unsigned())
                    + Duration::from_micros(time.tv_usec.cast_unsigned())
            };
            of(usage.ru_utime) + of(usage.ru_stime)
        }
        let instance = instance();
        let connection = Connection::new(&instance).unwrap();
        connection.execute_batch("CREATE TABLE t (a BIGINT, b VARCHAR)").unwrap();
        let (pool, wake) = (Pool::default(), Wake::new().unwrap());
        let source = Source::Instance(Arc::clone(&instance));
        let run = |connection: &Connection, rows: &str, _: &Control| {
            let sql = format!("INSERT INTO t SELECT * FROM {rows}");
            let (statement, before) = (Statement::prepare(connection, &sql)?, used());
            statement.start(|| false)?.run_to_end()?;
            Ok(i64::try_from((used() - before).as_millis()).unwrap())
        };
        // Which thread takes the task, chance decides.
        for _ in 0..4 {
            let feed = Feed::start(&pool, &wake, &source, &types(), run).unwrap();
            feed.push(chunk(0));
            std::thread::sleep(Duration::from_millis(300));
            feed.finish();
            let milliseconds = wait(&feed).unwrap();
            assert!(milliseconds < 150, "{milliseconds} ms");
        }
    }

    #[test]
    fn an_error_ends_the_statement_and_so_does_the_loss_of_interest() {
        let instance = instance();
        let feed = start(&instance, "INSERT INTO no_such_table SELECT * FROM ROWS");
        assert_eq!(wait(&feed).unwrap_err().kind(), ErrorKind::Catalog);
        let feed = start(&instance, "CREATE TABLE half AS SELECT * FROM ROWS");
        feed.push(chunk(0));
        std::thread::sleep(Duration::from_millis(20));
        drop(feed);
        let started = Instant::now();
        let connection = Connection::new(&instance).unwrap();
        let sql = "SELECT count::VARCHAR FROM duckdb_connection_count()";
        while connection.query_text(sql, &[]).unwrap().unwrap() != "1" {
            assert!(started.elapsed() < Duration::from_secs(20), "a connection is left open");
            std::thread::sleep(Duration::from_millis(1));
        }
        let tables = "SELECT count(*)::VARCHAR FROM duckdb_tables()";
        assert_eq!(connection.query_text(tables, &[]).unwrap().unwrap(), "0");
        assert!(connection.query_text("FROM pg_pond_rows(-1)", &[]).is_err());
    }
}
