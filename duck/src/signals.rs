//! Blocking of signals while threads are started.
//!
//! A new thread inherits its creator's signal mask. PostgreSQL's handlers must run in the backend's
//! main thread only, so every thread that DuckDB or this crate starts is started with all signals
//! blocked.

use std::mem::MaybeUninit;

/// Blocks every signal for the calling thread until it is dropped.
pub struct BlockedSignals {
    saved: libc::sigset_t,
}

impl BlockedSignals {
    #[must_use]
    pub fn new() -> Self {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut saved = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset initialises `all`; pthread_sigmask reads it and initialises `saved`.
        // Neither can fail with valid pointers and a valid `how`.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), saved.as_mut_ptr());
            Self { saved: saved.assume_init() }
        }
    }
}

impl Default for BlockedSignals {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: `saved` was filled by pthread_sigmask.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.saved, std::ptr::null_mut())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_blocked(signal: i32) -> bool {
        let mut current = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: a NULL set only reads the current mask into `current`.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), current.as_mut_ptr());
            libc::sigismember(current.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn signals_are_blocked_for_new_threads_and_restored_afterwards() {
        assert!(!is_blocked(libc::SIGUSR1));
        let in_thread = {
            let _blocked = BlockedSignals::new();
            std::thread::spawn(|| is_blocked(libc::SIGUSR1)).join().unwrap()
        };
        assert!(in_thread);
        assert!(!is_blocked(libc::SIGUSR1));
    }
}
