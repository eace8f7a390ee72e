//! An in-memory DuckDB instance.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, OnceLock};

use libduckdb_sys as sys;
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::signals::BlockedSignals;
use crate::sockets::Catalogs;

/// An open in-memory database. Dropping the last reference closes it, which joins DuckDB's
/// scheduler threads: every connection must be gone by then, and each connection holds a reference,
/// so that order is kept by itself.
pub struct Instance {
    raw: sys::duckdb_database,
    broken: AtomicBool,
    writing: AtomicBool,
    catalogs: OnceLock<Catalogs>,
    pub(crate) unpushed: Mutex<Unpushed>,
}

/// The connections whose conditions are not to reach what they read from, and whether DuckDB has been
/// told, for which it has one setting for all.
#[derive(Default)]
pub(crate) struct Unpushed {
    pub connections: usize,
    pub is_set: bool,
}

// SAFETY: a duckdb_database handle is thread-safe by DuckDB's documentation.
unsafe impl Send for Instance {}
// SAFETY: as above; the flags are atomic.
unsafe impl Sync for Instance {}

/// Every configuration name that the library knows; `duckdb_set_config` itself accepts any name.
static CONFIG_NAMES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mut names = HashSet::new();
    // SAFETY: duckdb_get_config_flag fills `name` with a static string for each index below the
    // count.
    unsafe {
        for index in 0..sys::duckdb_config_count() {
            let mut name = std::ptr::null();
            let state = sys::duckdb_get_config_flag(index, &raw mut name, std::ptr::null_mut());
            if state == sys::DuckDBSuccess && !name.is_null() {
                names.insert(CStr::from_ptr(name).to_string_lossy().into_owned());
            }
        }
    }
    names
});

struct Config(sys::duckdb_config);

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: created in Instance::open, destroyed once.
        unsafe { sys::duckdb_destroy_config(&raw mut self.0) };
    }
}

impl Instance {
    /// Opens an in-memory instance with the given configuration (name, value).
    ///
    /// # Errors
    /// An unknown name, a value that DuckDB refuses, or a failure to open.
    pub fn open(settings: &[(&str, &str)]) -> Result<Arc<Self>> {
        crate::driver::set_default_stack_size();
        let _blocked = BlockedSignals::new();
        let mut config = Config(std::ptr::null_mut());
        // SAFETY: the out pointer is valid; the config is freed by its Drop.
        if unsafe { sys::duckdb_create_config(&raw mut config.0) } != sys::DuckDBSuccess {
            return Err(Error::new(ErrorKind::OutOfMemory, "cannot create a DuckDB configuration"));
        }
        for (name, value) in settings {
            if !CONFIG_NAMES.contains(*name) {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    format!("DuckDB has no setting \"{name}\""),
                ));
            }
            let bad = |_| Error::new(ErrorKind::Configuration, "a setting holds a NUL byte");
            let c_name = CString::new(*name).map_err(bad)?;
            let c_value = CString::new(*value).map_err(bad)?;
            // SAFETY: live config, NUL-terminated strings.
            let state =
                unsafe { sys::duckdb_set_config(config.0, c_name.as_ptr(), c_value.as_ptr()) };
            if state != sys::DuckDBSuccess {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    format!("DuckDB refuses the value \"{value}\" of setting \"{name}\""),
                ));
            }
        }
        let mut raw = std::ptr::null_mut();
        let mut message = std::ptr::null_mut();
        // SAFETY: valid out pointers; the message is freed with duckdb_free.
        unsafe {
            let state = sys::duckdb_open_ext(
                c":memory:".as_ptr(),
                &raw mut raw,
                config.0,
                &raw mut message,
            );
            if state != sys::DuckDBSuccess {
                let error = Error::from_ptr(message);
                sys::duckdb_free(message.cast());
                return Err(error);
            }
        }
        Ok(Arc::new(Self {
            raw,
            broken: AtomicBool::new(false),
            writing: AtomicBool::new(false),
            catalogs: OnceLock::new(),
            unpushed: Mutex::default(),
        }))
    }

    pub(crate) fn raw(&self) -> sys::duckdb_database {
        self.raw
    }

    /// Notes an error that a statement ended with; INTERNAL and FATAL ones break the instance.
    pub fn note_error(&self, error: &Error) {
        if error.breaks_instance() {
            self.broken.store(true, Ordering::Release);
        }
    }

    /// Whether the instance must be thrown away and opened anew.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Notes where the catalogs of its lakes are, before they are attached.
    pub(crate) fn set_catalogs(&self, catalogs: Catalogs) {
        // Once for each instance; a second time says the same.
        let _ = self.catalogs.set(catalogs);
    }

    /// Cuts the connections to the catalogs of its lakes off, so that whatever waits for one of them
    /// returns with an error; says how many there were. DuckDB makes new ones.
    pub fn cut_catalogs_off(&self) -> usize {
        self.catalogs.get().map_or(0, |catalogs| catalogs.cut_off(true))
    }

    /// As [`Self::cut_catalogs_off`], but only those that are known to be this instance's.
    pub fn cut_own_catalogs_off(&self) -> usize {
        self.catalogs.get().map_or(0, |catalogs| catalogs.cut_off(false))
    }

    /// Notes whether a transaction that has not ended has changed a lake.
    pub fn set_writing(&self, writing: bool) {
        self.writing.store(writing, Ordering::Release);
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.writing.load(Ordering::Acquire)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: opened in `open`, closed once; no connection is left, as each holds a reference.
        unsafe { sys::duckdb_close(&raw mut self.raw) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Connection;

    #[test]
    fn unknown_setting_is_refused() {
        let error = Instance::open(&[("nosuch", "1")]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }

    #[test]
    fn settings_are_applied() {
        let instance = Instance::open(&[("threads", "1")]).unwrap();
        let connection = Connection::new(&instance).unwrap();
        let threads = connection.query_text("SELECT current_setting('threads')::VARCHAR", &[]);
        assert_eq!(threads.unwrap().as_deref(), Some("1"));
    }

    #[test]
    fn only_internal_and_fatal_errors_break_an_instance() {
        let instance = Instance::open(&[]).unwrap();
        instance.note_error(&Error::from_duckdb("Binder Error: x"));
        assert!(!instance.is_broken());
        instance.note_error(&Error::from_duckdb("INTERNAL Error: x"));
        assert!(instance.is_broken());
    }
}
