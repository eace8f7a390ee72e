//! Transaction, cache-invalidation and exit callbacks as plain Rust functions.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use pgrx::pg_sys;

/// What happens to a transaction or a subtransaction, seen from a module that keeps state for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Everything else is done; an error still makes it an abort.
    PreCommit,
    /// As [`Event::PreCommit`], for PREPARE TRANSACTION.
    PrePrepare,
    Commit,
    Abort,
    SubCommit,
    SubAbort,
}

thread_local! {
    static CALLBACKS: RefCell<Vec<fn(Event)>> = const { RefCell::new(Vec::new()) };
}

/// Calls `callback` at every event. It may raise an error at [`Event::PreCommit`] and
/// [`Event::PrePrepare`] only.
///
/// # Safety
/// Called from `_PG_init`.
pub unsafe fn at_transaction_event(callback: fn(Event)) {
    CALLBACKS.with_borrow_mut(|callbacks| {
        if callbacks.is_empty() {
            // SAFETY: static functions without an argument.
            unsafe {
                pg_sys::RegisterXactCallback(Some(on_xact), std::ptr::null_mut());
                pg_sys::RegisterSubXactCallback(Some(on_subxact), std::ptr::null_mut());
            }
        }
        callbacks.push(callback);
    });
}

fn run(event: Event) {
    // A callback that raises an error may be left while another transaction begins.
    let callbacks = CALLBACKS.with_borrow(Clone::clone);
    callbacks.iter().for_each(|callback| callback(event));
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_xact(
    event: pg_sys::XactEvent::Type,
    _argument: *mut std::ffi::c_void,
) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT => run(Event::PreCommit),
        pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE => run(Event::PrePrepare),
        pg_sys::XactEvent::XACT_EVENT_COMMIT | pg_sys::XactEvent::XACT_EVENT_PREPARE => {
            run(Event::Commit);
        }
        pg_sys::XactEvent::XACT_EVENT_ABORT => run(Event::Abort),
        _ => {}
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_subxact(
    event: pg_sys::SubXactEvent::Type,
    _my: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut std::ffi::c_void,
) {
    match event {
        pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => run(Event::SubAbort),
        pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => run(Event::SubCommit),
        _ => {}
    }
}

/// Counts changes of servers, user mappings, roles, memberships and functions.
static ACCESS_GENERATION: AtomicU64 = AtomicU64::new(1);
static FUNCTION_GENERATION: AtomicU64 = AtomicU64::new(1);

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_access_change(_arg: pg_sys::Datum, _cache: i32, _hash: u32) {
    ACCESS_GENERATION.fetch_add(1, Ordering::Relaxed);
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_function_change(_arg: pg_sys::Datum, _cache: i32, _hash: u32) {
    FUNCTION_GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Changes whenever a server, a user mapping, a grant on a server, a role or a membership may have
/// changed.
#[must_use]
pub fn access_generation() -> u64 {
    ACCESS_GENERATION.load(Ordering::Relaxed)
}

/// Changes whenever a function may have changed.
#[must_use]
pub fn function_generation() -> u64 {
    FUNCTION_GENERATION.load(Ordering::Relaxed)
}

/// # Safety
/// Called once, from `_PG_init`.
#[expect(clippy::cast_possible_wrap, reason = "cache identifiers are small")]
pub unsafe fn register_invalidation() {
    let access = [
        pg_sys::SysCacheIdentifier::FOREIGNSERVEROID,
        pg_sys::SysCacheIdentifier::USERMAPPINGOID,
        pg_sys::SysCacheIdentifier::FOREIGNDATAWRAPPEROID,
        pg_sys::SysCacheIdentifier::AUTHOID,
        pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE,
    ];
    // SAFETY: the callbacks are static functions.
    unsafe {
        for cache in access {
            pg_sys::CacheRegisterSyscacheCallback(
                cache as i32,
                Some(on_access_change),
                pg_sys::Datum::null(),
            );
        }
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::PROCOID as i32,
            Some(on_function_change),
            pg_sys::Datum::null(),
        );
    }
}
