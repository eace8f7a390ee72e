//! PostgreSQL's settings for the time of some work of our own.

use std::ffi::CStr;

use pgrx::pg_sys;

/// While it lives, settings have other values: those of before come back when it is dropped, and by
/// PostgreSQL itself when an error ends the transaction or the subtransaction.
#[must_use = "the settings are what they were when this is dropped"]
pub struct LocalSettings {
    level: i32,
}

impl LocalSettings {
    /// # Safety
    /// Within a transaction, in the main thread; settings that everybody may set, to values that they
    /// take.
    pub unsafe fn set(settings: &[(&CStr, &CStr)]) -> Self {
        // SAFETY: by contract. As PostgreSQL's own RestrictSearchPath (guc.c, since 17) does.
        unsafe {
            let level = pg_sys::NewGUCNestLevel();
            for (name, value) in settings {
                pg_sys::set_config_option(
                    name.as_ptr(),
                    value.as_ptr(),
                    pg_sys::GucContext::PGC_USERSET,
                    pg_sys::GucSource::PGC_S_SESSION,
                    pg_sys::GucAction::GUC_ACTION_SAVE,
                    true,
                    0,
                    false,
                );
            }
            Self { level }
        }
    }
}

impl Drop for LocalSettings {
    fn drop(&mut self) {
        // After an error of PostgreSQL's, the abort does it.
        if !std::thread::panicking() {
            // SAFETY: the level was begun by `set`; those within it have ended.
            unsafe { pg_sys::AtEOXact_GUC(true, self.level) };
        }
    }
}
