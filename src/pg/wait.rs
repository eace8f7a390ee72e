//! Waiting for driver threads: on the latch, an eventfd and the postmaster's death, so that cancel,
//! terminate and timeouts act at once, and a client that went away is noticed.

use std::cell::Cell;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use pgrx::pg_sys;

/// How often a long wait or a long stream asks whether the client is still there.
const CLIENT_CHECK_INTERVAL: Duration = Duration::from_millis(400);

unsafe extern "C-unwind" {
    // libpq/pqcomm.h; exported by the server, not in pgrx's bindings.
    fn pq_check_connection() -> bool;
}

/// The longest sleep between two polls: what `poll` looks at need not wake the wait.
const POLL_INTERVAL_MS: i64 = 100;

thread_local! {
    static LAST_CLIENT_CHECK: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A wait event set that lives as long as the backend.
#[derive(Clone, Copy)]
pub struct WaitSet {
    set: *mut pg_sys::WaitEventSet,
}

impl WaitSet {
    /// Waits for `fd`, the latch and the postmaster's death.
    #[must_use]
    pub fn new(fd: RawFd) -> Self {
        // SAFETY: called in the main thread of a backend, whose latch exists. The set is allocated
        // in TopMemoryContext and never freed.
        unsafe {
            #[cfg(any(feature = "pg15", feature = "pg16"))]
            let set = pg_sys::CreateWaitEventSet(pg_sys::TopMemoryContext, 3);
            #[cfg(any(feature = "pg17", feature = "pg18"))]
            let set = pg_sys::CreateWaitEventSet(std::ptr::null_mut(), 3);
            let null = std::ptr::null_mut();
            let none = pg_sys::PGINVALID_SOCKET;
            pg_sys::AddWaitEventToSet(set, pg_sys::WL_LATCH_SET, none, pg_sys::MyLatch, null);
            pg_sys::AddWaitEventToSet(
                set,
                pg_sys::WL_EXIT_ON_PM_DEATH,
                none,
                std::ptr::null_mut(),
                null,
            );
            pg_sys::AddWaitEventToSet(
                set,
                pg_sys::WL_SOCKET_READABLE,
                fd,
                std::ptr::null_mut(),
                null,
            );
            Self { set }
        }
    }

    /// Calls `poll` until it has an answer, sleeping in between until `clear` is due, that is until
    /// the file descriptor is readable, a signal comes or some time has passed.
    ///
    /// Raises PostgreSQL's own error for a cancel request, a timeout, a terminate request or a
    /// client that is gone; what the caller holds is dropped by unwinding.
    pub fn until<T>(&self, clear: impl Fn(), mut poll: impl FnMut() -> Option<T>) -> T {
        loop {
            // Cleared before the poll: what comes after it wakes the wait below.
            clear();
            if let Some(answer) = poll() {
                return answer;
            }
            check_interrupts();
            let mut event = pg_sys::WaitEvent::default();
            // SAFETY: the set is live; one event is written at most.
            unsafe {
                pg_sys::WaitEventSetWait(
                    self.set,
                    POLL_INTERVAL_MS,
                    &raw mut event,
                    1,
                    pg_sys::PG_WAIT_EXTENSION,
                );
                if event.events & pg_sys::WL_LATCH_SET != 0 {
                    pg_sys::ResetLatch(pg_sys::MyLatch);
                }
            }
            check_interrupts();
        }
    }
}

/// Whether the user, an administrator, a timeout or the client's end has asked the statement to end,
/// whether or not that is held back.
#[must_use]
pub fn is_interrupted() -> bool {
    // SAFETY: flags of the main thread, which signal handlers set.
    unsafe {
        let pending = [
            &raw const pg_sys::QueryCancelPending,
            &raw const pg_sys::ProcDiePending,
            &raw const pg_sys::ClientConnectionLost,
            #[cfg(any(feature = "pg17", feature = "pg18"))]
            &raw const pg_sys::TransactionTimeoutPending,
        ];
        pending.iter().any(|flag| flag.read_volatile() != 0)
    }
}

/// `statement_timeout`, if one is set.
#[must_use]
pub fn statement_timeout() -> Option<Duration> {
    // SAFETY: a setting, read in the main thread.
    let ms = u64::try_from(unsafe { pg_sys::StatementTimeout }).unwrap_or(0);
    (ms > 0).then(|| Duration::from_millis(ms))
}

/// Holds cancel and terminate requests back while it lives.
pub struct HeldInterrupts(());

impl HeldInterrupts {
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it does something")]
    pub fn new() -> Self {
        // SAFETY: a global of the main thread.
        unsafe { pg_sys::InterruptHoldoffCount += 1 };
        Self(())
    }
}

impl Drop for HeldInterrupts {
    fn drop(&mut self) {
        // An error has set it to 0.
        // SAFETY: as above.
        unsafe { pg_sys::InterruptHoldoffCount = pg_sys::InterruptHoldoffCount.saturating_sub(1) };
    }
}

/// CHECK_FOR_INTERRUPTS, and now and then a look at the client's socket: a backend that never
/// writes to its client would not notice that it is gone.
pub fn check_interrupts() {
    pgrx::check_for_interrupts!();
    let now = Instant::now();
    let due = LAST_CLIENT_CHECK.get().is_none_or(|last| now - last >= CLIENT_CHECK_INTERVAL);
    if !due {
        return;
    }
    LAST_CLIENT_CHECK.set(Some(now));
    // SAFETY: globals of the main thread. pq_check_connection is for backends with a client.
    unsafe {
        if pg_sys::MyProcPort.is_null()
            || pg_sys::whereToSendOutput != pg_sys::CommandDest::DestRemote
        {
            return;
        }
        if !pq_check_connection() {
            // What PostgreSQL's own client_connection_check_interval does.
            pg_sys::ClientConnectionLost = 1;
            pg_sys::InterruptPending = 1;
        }
    }
    pgrx::check_for_interrupts!();
}

/// Sleeps, in slices short enough for a cancel request to be heard at once.
pub fn sleep(duration: Duration) {
    const SLICE: Duration = Duration::from_millis(20);
    let end = Instant::now() + duration;
    loop {
        check_interrupts();
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(SLICE));
    }
}
