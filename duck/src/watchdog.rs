//! Keeps a process from being eaten by what DuckDB does beyond its own bounds.
//!
//! DuckDB counts only part of its memory against its limit (a list or a string of any size is made
//! without asking), and a function that works on one huge value sees no interrupt. So the process's
//! own memory is measured: the caller ends the query when it is too much ([`Watchdog::is_over`]).
//! What goes on after it was cancelled is nobody's any more: when it uses too much memory, or burns
//! processors for long, the watchdog's thread ends the process by SIGTERM, as an administrator would.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::driver::Pool;
use crate::signals::BlockedSignals;

/// What a process has besides its instances: libraries, PostgreSQL's caches, chunks on their way.
const BESIDES_BYTES: u64 = 512 << 20;

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a cancelled task may burn processors.
const BURNS_FOR: Duration = Duration::from_secs(30);

/// The watchdog of a process.
pub struct Watchdog {
    limit_bytes: Arc<AtomicU64>,
    looked_at: Mutex<Instant>,
}

impl Watchdog {
    /// Starts the thread. Call it in the main thread, whose processor time does not count.
    #[must_use]
    pub fn start(pool: &Pool) -> Self {
        let limit_bytes = Arc::new(AtomicU64::new(0));
        let (pool, limit) = (pool.clone(), Arc::clone(&limit_bytes));
        // SAFETY: no arguments; returns the calling thread.
        let main_thread = unsafe { libc::pthread_self() };
        let _blocked = BlockedSignals::new();
        // Without a thread there is no watchdog; the process is then in trouble anyway.
        let _ = std::thread::Builder::new()
            .name("duckdb watchdog".into())
            .stack_size(256 << 10)
            .spawn(move || watch(&pool, &limit, main_thread));
        Self { limit_bytes, looked_at: Mutex::new(Instant::now()) }
    }

    /// Sets what all instances together may use by their own limits; `None` is no limit.
    pub fn set_limit(&self, bytes: Option<u64>) {
        let limit = bytes.map_or(0, |bytes| bytes + bytes / 4 + BESIDES_BYTES);
        self.limit_bytes.store(limit, Ordering::Relaxed);
    }

    /// Whether the process uses more memory than the instances' limits and the caller's own
    /// allocations explain. Looks only now and then.
    #[must_use]
    pub fn is_over(&self, own_bytes: impl FnOnce() -> u64) -> bool {
        let mut looked_at = self.looked_at.lock();
        if looked_at.elapsed() < LOOK_EVERY / 4 {
            return false;
        }
        *looked_at = Instant::now();
        let limit = self.limit_bytes.load(Ordering::Relaxed);
        is_over(limit) && is_over(limit.saturating_add(own_bytes()))
    }
}

fn is_over(limit: u64) -> bool {
    limit > 0 && private_bytes().is_some_and(|bytes| bytes > limit)
}

/// The process's own memory: resident pages that are neither files' nor shared (proc(5), statm).
fn private_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut fields = statm.split(' ').skip(1).map(str::parse::<u64>);
    let (resident, shared) = (fields.next()?.ok()?, fields.next()?.ok()?);
    // SAFETY: a plain query.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    Some(resident.saturating_sub(shared) * page)
}

/// The processor time of all threads but the main one.
fn processor_time(main_thread: libc::pthread_t) -> Duration {
    let read = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a valid out pointer; an unknown clock leaves zero.
        unsafe { libc::clock_gettime(clock, &raw mut time) };
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    let mut main_clock = 0;
    // SAFETY: the main thread lives as long as the process.
    let known = unsafe { libc::pthread_getcpuclockid(main_thread, &raw mut main_clock) } == 0;
    let main = if known { read(main_clock) } else { Duration::ZERO };
    read(libc::CLOCK_PROCESS_CPUTIME_ID).saturating_sub(main)
}

fn watch(pool: &Pool, limit: &AtomicU64, main_thread: libc::pthread_t) {
    let mut burned_since: Option<(Instant, Duration)> = None;
    loop {
        std::thread::sleep(LOOK_EVERY);
        if pool.runs_on_since_cancel().is_none() {
            burned_since = None;
            continue;
        }
        if is_over(limit.load(Ordering::Relaxed)) {
            end_process("uses more memory than duckdb.memory_limit explains");
        }
        let now = processor_time(main_thread);
        let (start, at_start) = *burned_since.get_or_insert_with(|| (Instant::now(), now));
        if start.elapsed() >= BURNS_FOR {
            if now.saturating_sub(at_start) > BURNS_FOR / 2 {
                end_process("does not stop");
            }
            burned_since = None;
        }
    }
}

/// Says why in the server log, and asks the process to end.
fn end_process(reason: &str) {
    let words = format!("pg_pond: ending the session: a cancelled DuckDB query {reason}\n");
    // SAFETY: writes from live memory to standard error, the server log; kill takes plain numbers.
    // The signal is blocked in all threads but the main one.
    unsafe {
        libc::write(2, words.as_ptr().cast(), words.len());
        libc::kill(libc::getpid(), libc::SIGTERM);
    }
    std::thread::sleep(Duration::from_secs(5));
}
