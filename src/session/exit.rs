//! What happens to DuckDB when the backend ends.
//!
//! Instances are not closed: a driver thread may be stuck in a socket, and closing would wait for
//! it. The spill folders are removed, and the process ends without running the destructors of
//! libraries whose threads are still running.

use std::cell::RefCell;
use std::os::unix::fs::DirBuilderExt;

use pgrx::pg_sys;

use crate::pg::progress;

thread_local! {
    static TEMP_DIRECTORIES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

unsafe extern "C" {
    // stdlib.h of glibc; runs before every handler that was registered earlier.
    fn on_exit(
        handler: unsafe extern "C" fn(i32, *mut std::ffi::c_void),
        argument: *mut std::ffi::c_void,
    ) -> i32;
}

unsafe extern "C" fn end_process(status: i32, _argument: *mut std::ffi::c_void) {
    // SAFETY: ends the process at once; PostgreSQL's own exit callbacks have all run.
    unsafe { libc::_exit(status) }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn before_shmem_exit(_code: i32, _argument: pg_sys::Datum) {
    // A FATAL error drops nothing.
    progress::clear();
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn at_proc_exit(_code: i32, _argument: pg_sys::Datum) {
    TEMP_DIRECTORIES.with_borrow(|directories| {
        for directory in directories {
            // It exists only if something was spilled; what cannot be removed now is removed by
            // the server's next start.
            let _ = std::fs::remove_dir_all(directory);
        }
    });
    // Thread-local values are dropped before exit handlers run.
    super::leak();
    // Registered as late as this, it runs first of all exit handlers.
    // SAFETY: a static function without an argument.
    unsafe { on_exit(end_process, std::ptr::null_mut()) };
}

/// Called once, when the backend first uses DuckDB.
pub fn register() {
    // SAFETY: static callbacks.
    unsafe {
        pg_sys::before_shmem_exit(Some(before_shmem_exit), pg_sys::Datum::null());
        pg_sys::on_proc_exit(Some(at_proc_exit), pg_sys::Datum::null());
    }
}

/// A spill folder for one more instance, which is removed when the backend ends. (DuckDB removes it
/// when the instance is closed before that.)
pub fn own_temp_directory(prefix: String) -> String {
    TEMP_DIRECTORIES.with_borrow_mut(|directories| {
        let own = format!("{prefix}.{}", directories.len() + 1);
        // DuckDB's own would be open to all while something is written for others to read. The default
        // place lies in the data directory. Where it cannot be made, DuckDB says so when it needs it.
        if !crate::guc::limits().temp_directory.is_empty() {
            let _ = std::fs::DirBuilder::new().mode(0o700).create(&own);
        }
        directories.push(own.clone());
        own
    })
}
