//! Rust values owned by memory contexts.

use pgrx::pg_sys;

use super::local_settings::LocalSettings;

/// Moves `value` into the care of `context`: it is dropped when the context is reset or deleted,
/// that is at the end of the query or when an error ends it.
///
/// # Safety
/// `context` is live. The returned pointer is valid until the context's next reset, and nothing but
/// this callback drops the value.
pub unsafe fn own_by_context<T>(context: pg_sys::MemoryContext, value: T) -> *mut T {
    #[pgrx::pg_guard]
    unsafe extern "C-unwind" fn drop_value<T>(argument: *mut std::ffi::c_void) {
        // SAFETY: `argument` came from Box::into_raw below and is dropped once: a reset callback is
        // called once.
        drop(unsafe { Box::from_raw(argument.cast::<T>()) });
    }
    let pointer = Box::into_raw(Box::new(value));
    // SAFETY: the callback's struct lives in the context itself, as PostgreSQL wants it.
    unsafe {
        let callback =
            pg_sys::MemoryContextAllocZero(context, size_of::<pg_sys::MemoryContextCallback>())
                .cast::<pg_sys::MemoryContextCallback>();
        (*callback).func = Some(drop_value::<T>);
        (*callback).arg = pointer.cast();
        pg_sys::MemoryContextRegisterResetCallback(context, callback);
    }
    pointer
}

/// What all memory contexts of this backend hold.
#[must_use]
pub fn allocated_bytes() -> u64 {
    // SAFETY: TopMemoryContext always lives.
    unsafe { pg_sys::MemoryContextMemAllocated(pg_sys::TopMemoryContext, true) as u64 }
}

/// Runs `work` with `context` as CurrentMemoryContext.
///
/// # Safety
/// `context` is live.
pub unsafe fn in_context<R>(context: pg_sys::MemoryContext, work: impl FnOnce() -> R) -> R {
    struct Restore(pg_sys::MemoryContext);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the context that was current before.
            unsafe { pg_sys::CurrentMemoryContext = self.0 };
        }
    }
    // SAFETY: main thread.
    let _restore = Restore(unsafe { pg_sys::MemoryContextSwitchTo(context) });
    work()
}

/// While it lives, output functions write values in the one way that keeps all of them: as
/// `set_transmission_modes` of postgres_fdw.
pub struct PlainOutput {
    _settings: LocalSettings,
}

impl PlainOutput {
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it does something")]
    pub fn new() -> Self {
        let settings = [
            (c"datestyle", c"ISO"),
            (c"intervalstyle", c"postgres"),
            (c"extra_float_digits", c"3"),
        ];
        // SAFETY: settings that everybody may set, to values that they take; called where PostgreSQL's
        // functions are, in a transaction's main thread.
        Self { _settings: unsafe { LocalSettings::set(&settings) } }
    }
}
