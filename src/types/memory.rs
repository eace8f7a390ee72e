//! Memory for what PostgreSQL's functions allocate on the way.

use pgrx::pg_sys;

/// Runs `work` with a memory context of its own as the current one, and frees everything that was
/// allocated in it. When PostgreSQL raises an error inside, the context goes with its parent, the
/// context that was current before.
pub fn scratch<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: plain memory management on the main thread: the new context is a child of the current
    // one, is switched to, switched from, and deleted.
    unsafe {
        let context = pg_sys::AllocSetContextCreateInternal(
            pg_sys::CurrentMemoryContext,
            c"pg_pond value".as_ptr(),
            pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
            pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
            pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
        );
        let before = pg_sys::MemoryContextSwitchTo(context);
        let result = work();
        pg_sys::MemoryContextSwitchTo(before);
        pg_sys::MemoryContextDelete(context);
        result
    }
}
