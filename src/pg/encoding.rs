//! The server encoding and DuckDB's UTF-8.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char};

use pgrx::pg_sys;

#[expect(clippy::cast_possible_wrap, reason = "encoding numbers are small")]
const UTF8: i32 = pg_sys::pg_enc::PG_UTF8 as i32;

/// Whether text needs conversion. SQL_ASCII is taken as it is.
#[must_use]
pub fn is_utf8() -> bool {
    // SAFETY: reads a global.
    unsafe { pg_sys::GetDatabaseEncoding() == UTF8 }
}

/// Server text as UTF-8.
///
/// Raises PostgreSQL's error (22021 or 22P05) for text that has no UTF-8 form.
///
/// # Safety
/// `text` is NUL-terminated.
#[must_use]
pub unsafe fn server_to_utf8(text: *const c_char) -> String {
    // SAFETY: pg_server_to_any returns its argument or a palloc'ed string of the same kind.
    unsafe {
        let bytes = CStr::from_ptr(text).to_bytes();
        if is_utf8() {
            return String::from_utf8_lossy(bytes).into_owned();
        }
        let len = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        let converted = pg_sys::pg_server_to_any(text, len, UTF8);
        CStr::from_ptr(converted).to_string_lossy().into_owned()
    }
}

/// The bytes of a text argument as UTF-8, since pgrx's own conversion wants a UTF-8 server. As
/// [`server_to_utf8`].
#[must_use]
pub fn server_bytes_to_utf8(bytes: &[u8]) -> String {
    let text = CString::new(bytes).unwrap_or_default();
    // SAFETY: NUL-terminated server text.
    unsafe { server_to_utf8(text.as_ptr()) }
}

/// UTF-8 as server text, for names and messages: NUL-terminated, palloc'ed or borrowed.
///
/// Raises PostgreSQL's error for characters that the server encoding lacks.
#[must_use]
pub fn utf8_to_server(text: &str) -> Cow<'_, [u8]> {
    if is_utf8() || text.is_ascii() {
        return Cow::Borrowed(text.as_bytes());
    }
    let Ok(c_text) = CString::new(text) else {
        return Cow::Borrowed(text.as_bytes());
    };
    // SAFETY: a NUL-terminated string and its length.
    unsafe {
        let len = i32::try_from(text.len()).unwrap_or(i32::MAX);
        let converted = pg_sys::pg_any_to_server(c_text.as_ptr(), len, UTF8);
        Cow::Owned(CStr::from_ptr(converted).to_bytes().to_vec())
    }
}
