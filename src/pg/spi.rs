//! Running SQL of our own, as the current role, with names and operators of pg_catalog's only.

use std::ffi::CString;

use pgrx::pg_sys;

use super::local_settings::LocalSettings;
use super::{encoding, nodes};

/// While it lives, the search path is pg_catalog: what the user's own would find first, an operator or a
/// function of somebody else's, is not run. The temporary schema comes last, where no relation of it
/// hides another; functions and operators are never looked for in it.
///
/// What it was comes back as [`LocalSettings`] say.
#[must_use = "the search path is what it was when this is dropped"]
pub struct OwnSearchPath {
    _settings: LocalSettings,
}

impl OwnSearchPath {
    /// # Safety
    /// Within a transaction, in the main thread.
    pub unsafe fn set() -> Self {
        // SAFETY: by contract; everybody may set the path.
        let path = unsafe { LocalSettings::set(&[(c"search_path", c"pg_catalog, pg_temp")]) };
        Self { _settings: path }
    }
}

/// Runs one command; false when there can be no SPI connection. Errors of PostgreSQL's go on as they
/// are.
///
/// # Safety
/// Where user code may run: within a function or a trigger. Types and relations must be qualified.
#[must_use]
pub unsafe fn run(sql: &str) -> bool {
    let text = CString::new(encoding::utf8_to_server(sql).into_owned()).unwrap_or_default();
    // SAFETY: by contract; connected, used and finished here. An error leaves the connection to the
    // end of the transaction, as any does.
    unsafe {
        let _path = OwnSearchPath::set();
        if pg_sys::SPI_connect().cast_unsigned() != pg_sys::SPI_OK_CONNECT {
            return false;
        }
        let outcome = pg_sys::SPI_execute(text.as_ptr(), false, 0);
        pg_sys::SPI_finish();
        outcome >= 0
    }
}

/// The rows of a query as texts; `None` when there can be no SPI connection. Changes of the statement
/// at hand are seen. Errors of PostgreSQL's go on as they are.
///
/// # Safety
/// As [`run`].
#[must_use]
pub unsafe fn select(sql: &str) -> Option<Vec<Vec<Option<String>>>> {
    let text = CString::new(encoding::utf8_to_server(sql).into_owned()).unwrap_or_default();
    // SAFETY: by contract; as in `run`. The values are copied before the connection ends.
    unsafe {
        let _path = OwnSearchPath::set();
        if pg_sys::SPI_connect().cast_unsigned() != pg_sys::SPI_OK_CONNECT {
            return None;
        }
        let outcome = pg_sys::SPI_execute(text.as_ptr(), false, 0);
        let mut found = vec![];
        if outcome >= 0 && !pg_sys::SPI_tuptable.is_null() {
            let table = pg_sys::SPI_tuptable;
            for row in 0..usize::try_from(pg_sys::SPI_processed).unwrap_or(0) {
                let tuple = *(*table).vals.add(row);
                let value = |column| {
                    let value = pg_sys::SPI_getvalue(tuple, (*table).tupdesc, column);
                    (!value.is_null()).then(|| nodes::str_at(value))
                };
                found.push((1..=(*(*table).tupdesc).natts).map(value).collect());
            }
        }
        pg_sys::SPI_finish();
        (outcome >= 0).then_some(found)
    }
}
