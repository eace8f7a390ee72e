//! Driver threads: the threads that make every DuckDB call that may block.
//!
//! The calling (main) thread starts a [`Task`], waits for the [`Wake`] however it likes, and polls.
//! It may drop the task at any moment: the task is told to stop and DuckDB is interrupted, but
//! nobody waits for it, so that a call that is stuck in a socket holds up its own thread only.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::connection::{Connection, Interrupter};
use crate::error::{Error, ErrorKind, Result};
use crate::signals::BlockedSignals;

/// An eventfd by which driver threads wake the main thread.
pub struct Wake(OwnedFd);

impl Wake {
    /// # Errors
    /// When no file descriptor is to be had.
    pub fn new() -> Result<Arc<Self>> {
        // SAFETY: plain system call; the result is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            let reason = std::io::Error::last_os_error();
            return Err(Error::new(ErrorKind::Io, format!("cannot create an eventfd: {reason}")));
        }
        // SAFETY: a fresh file descriptor that nobody else owns.
        Ok(Arc::new(Self(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    /// Readable after [`Wake::notify`] until [`Wake::clear`].
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub fn notify(&self) {
        let one = 1u64;
        // SAFETY: writes 8 bytes from a live u64. The only failure of an eventfd write is a full
        // counter, and then the reader is awake anyway.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: reads 8 bytes into a live u64; EAGAIN means that there was nothing to clear.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle_threads: usize,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    busy_threads: AtomicUsize,
    /// The tasks that run, to see which were cancelled and go on all the same.
    running: Mutex<Vec<Control>>,
}

/// A pool of driver threads that grows when all are busy. Idle threads stay.
#[derive(Clone, Default)]
pub struct Pool(Arc<Shared>);

/// Deep expressions, and deeply nested values in somebody's JSON file, recurse deeply in DuckDB, and
/// a stack that overflows ends every session of the server. Stacks are therefore large: address
/// space, whose pages are only touched when needed. 4 GiB hold what a JSON object of DuckDB's
/// default largest size (16 MiB) can do. The kernel refuses a mapping beyond the machine's memory,
/// and where it accounts for address space (vm.overcommit_memory = 2) stacks are small.
fn stack_bytes() -> usize {
    static BYTES: std::sync::LazyLock<usize> = std::sync::LazyLock::new(|| {
        const LEAST: usize = 64 << 20;
        const MOST: usize = 4 << 30;
        let accounting = std::fs::read_to_string("/proc/sys/vm/overcommit_memory");
        if accounting.is_ok_and(|mode| mode.trim() == "2") {
            return LEAST;
        }
        // SAFETY: plain queries; -1 for unknown.
        let (pages, page) =
            unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
        let memory = usize::try_from(pages)
            .ok()
            .zip(usize::try_from(page).ok())
            .map_or(0, |(pages, page)| pages.saturating_mul(page));
        // A multiple of the page size, as pthread_attr_setstacksize wants it.
        (memory / 2).clamp(LEAST, MOST) & !((1 << 20) - 1)
    });
    *BYTES
}

unsafe extern "C" {
    // pthread.h of glibc; not in the libc crate.
    fn pthread_setattr_default_np(attributes: *const libc::pthread_attr_t) -> i32;
}

/// Gives DuckDB's own worker threads, which are started with the process's default, the same stack
/// as driver threads.
pub(crate) fn set_default_stack_size() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
        // SAFETY: the attributes are initialised, used and destroyed here; a failure leaves the
        // default as it is.
        unsafe {
            if libc::pthread_attr_init(attributes.as_mut_ptr()) == 0 {
                libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack_bytes());
                pthread_setattr_default_np(attributes.as_ptr());
                libc::pthread_attr_destroy(attributes.as_mut_ptr());
            }
        }
    });
}

impl Pool {
    /// The number of threads that are running a job.
    #[must_use]
    pub fn busy_threads(&self) -> usize {
        self.0.busy_threads.load(Ordering::Acquire)
    }

    /// How long the task has been going on that was cancelled first; `None` when all that were have
    /// ended.
    #[must_use]
    pub fn runs_on_since_cancel(&self) -> Option<Duration> {
        let running = self.0.running.lock();
        running.iter().filter_map(Control::cancelled_for).max()
    }

    fn enter(&self, control: &Control) -> Entered {
        self.0.running.lock().push(control.clone());
        Entered { shared: Arc::clone(&self.0), control: control.clone() }
    }

    /// Runs `job` on a thread, without an answer.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn run_detached(&self, job: impl FnOnce() + Send + 'static) -> Result<()> {
        spawn(self, &Control::default(), job)
    }

    fn submit(&self, job: Job) -> Result<()> {
        {
            let mut queue = self.0.queue.lock();
            queue.jobs.push_back(job);
            if queue.idle_threads >= queue.jobs.len() {
                self.0.work.notify_one();
                return Ok(());
            }
        }
        let shared = Arc::clone(&self.0);
        let _blocked = BlockedSignals::new();
        let started = std::thread::Builder::new()
            .name("duckdb driver".into())
            .stack_size(stack_bytes())
            .spawn(move || run_jobs(&shared));
        started.map(drop).map_err(|reason| {
            self.0.queue.lock().jobs.pop_back();
            Error::new(ErrorKind::OutOfMemory, format!("cannot start a thread: {reason}"))
        })
    }
}

/// Takes a task off the list of the running ones when it ends, however it ends.
struct Entered {
    shared: Arc<Shared>,
    control: Control,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.shared.running.lock().retain(|other| !Arc::ptr_eq(&other.0, &self.control.0));
    }
}

fn run_jobs(shared: &Shared) {
    loop {
        let job = {
            let mut queue = shared.queue.lock();
            loop {
                if let Some(job) = queue.jobs.pop_front() {
                    break job;
                }
                queue.idle_threads += 1;
                shared.work.wait(&mut queue);
                queue.idle_threads -= 1;
            }
        };
        shared.busy_threads.fetch_add(1, Ordering::AcqRel);
        job();
        shared.busy_threads.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a job sees of its task: whether it shall stop, and where to leave its connection's
/// interrupter.
#[derive(Clone, Default)]
pub struct Control(Arc<ControlState>);

#[derive(Default)]
struct ControlState {
    cancelled: AtomicBool,
    cancelled_at: Mutex<Option<Instant>>,
    interrupter: Mutex<Option<Interrupter>>,
}

impl Control {
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Lets [`Control::cancel`] interrupt this connection from now on.
    ///
    /// # Errors
    /// [`ErrorKind::Interrupt`] when the task is cancelled already.
    pub fn attach(&self, connection: &Connection) -> Result<()> {
        *self.0.interrupter.lock() = Some(connection.interrupter());
        self.check()
    }

    /// Takes the connection away from [`Control::cancel`]: another task uses it from now on.
    pub fn detach(&self) {
        self.0.interrupter.lock().take();
    }

    /// # Errors
    /// [`ErrorKind::Interrupt`] when the task is cancelled.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::new(ErrorKind::Interrupt, "Interrupted!"));
        }
        Ok(())
    }

    /// The flag first, the interrupt second: see `Statement::start`.
    pub fn cancel(&self) {
        self.0.cancelled_at.lock().get_or_insert_with(Instant::now);
        self.0.cancelled.store(true, Ordering::Release);
        if let Some(interrupter) = self.0.interrupter.lock().as_ref() {
            interrupter.interrupt();
        }
    }

    /// As [`Control::cancel`], without an interrupt: the task stops where it looks.
    pub fn cancel_gently(&self) {
        self.0.cancelled_at.lock().get_or_insert_with(Instant::now);
        self.0.cancelled.store(true, Ordering::Release);
    }

    /// DuckDB interrupts a query by itself when one of its threads meets an error, and a fetch that
    /// is under way may see the interrupt before the error, which is then lost (DuckDB 1.5.5). That
    /// is no cancel.
    pub(crate) fn own_interrupt(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::Interrupt || self.is_cancelled() {
            return error;
        }
        Error::new(
            ErrorKind::Other,
            "One of DuckDB's threads met an error and stopped the query; DuckDB does not tell which \
             error it was. Running the query again usually shows it.",
        )
    }

    fn cancelled_for(&self) -> Option<Duration> {
        self.0.cancelled_at.lock().map(|at| at.elapsed())
    }

    /// Progress of the attached connection's query in percent, when DuckDB knows it.
    #[must_use]
    pub fn progress_percent(&self) -> Option<f64> {
        self.0.interrupter.lock().as_ref()?.progress_percent()
    }
}

/// A job on a driver thread with one answer.
pub struct Task<T> {
    answer: Arc<Mutex<Option<Result<T>>>>,
    control: Control,
}

impl<T: Send + 'static> Task<T> {
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        pool: &Pool,
        wake: &Arc<Wake>,
        job: impl FnOnce(&Control) -> Result<T> + Send + 'static,
    ) -> Result<Self> {
        let answer = Arc::new(Mutex::new(None));
        let control = Control::default();
        let task = Self { answer: Arc::clone(&answer), control: control.clone() };
        let wake = Arc::clone(wake);
        let entered = pool.enter(&control);
        pool.submit(Box::new(move || {
            let _entered = entered;
            let outcome = catch_panic(|| job(&control));
            *answer.lock() = Some(outcome);
            wake.notify();
        }))?;
        Ok(task)
    }

    /// How much of its query is done, in percent, when DuckDB knows it.
    #[must_use]
    pub fn progress_percent(&self) -> Option<f64> {
        self.control.progress_percent()
    }

    /// The answer once it is there; after that `None` again.
    #[must_use]
    pub fn poll(&self) -> Option<Result<T>> {
        self.answer.lock().take()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.control.cancel();
    }
}

/// Starts a job without an answer.
pub(crate) fn spawn(
    pool: &Pool,
    control: &Control,
    job: impl FnOnce() + Send + 'static,
) -> Result<()> {
    let entered = pool.enter(control);
    pool.submit(Box::new(move || {
        let _entered = entered;
        job();
    }))
}

/// Runs `job`, turning a panic into an INTERNAL error.
pub(crate) fn catch_panic<T>(job: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a driver thread panicked");
        Err(Error::new(ErrorKind::Internal, words))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn wait<T: Send + 'static>(task: &Task<T>) -> Result<T> {
        loop {
            if let Some(answer) = task.poll() {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn threads_are_used_again_and_panics_become_errors() {
        let (pool, wake) = (Pool::default(), Wake::new().unwrap());
        let first = Task::start(&pool, &wake, |_| Ok(std::thread::current().id())).unwrap();
        let first = wait(&first).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let second = Task::start(&pool, &wake, |_| Ok(std::thread::current().id())).unwrap();
        assert_eq!(wait(&second).unwrap(), first);
        let broken = Task::<()>::start(&pool, &wake, |_| panic!("oops")).unwrap();
        let error = wait(&broken).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "oops"));
    }

    #[test]
    fn dropping_a_task_does_not_wait_for_it() {
        let (pool, wake) = (Pool::default(), Wake::new().unwrap());
        let start = Instant::now();
        let slow = Task::start(&pool, &wake, |_| {
            std::thread::sleep(Duration::from_secs(1));
            Ok(())
        });
        drop(slow);
        assert!(start.elapsed() < Duration::from_millis(500));
    }
}
