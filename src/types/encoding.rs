//! Text between DuckDB (always UTF-8) and the encoding of the database.

use std::borrow::Cow;

use pgrx::{PgSqlErrorCode, pg_sys};

use crate::error::{Error, Result};

const UTF8: i32 = pg_sys::pg_enc::PG_UTF8.cast_signed();
const SQL_ASCII: i32 = pg_sys::pg_enc::PG_SQL_ASCII.cast_signed();

/// The encoding of the current database, which does not change in the life of a backend.
#[derive(Clone, Copy, Debug)]
pub struct ServerEncoding(i32);

impl ServerEncoding {
    #[must_use]
    pub fn current() -> Self {
        // SAFETY: reads a variable of the backend, on its main thread.
        Self(unsafe { pg_sys::GetDatabaseEncoding() })
    }

    /// Whether text in UTF-8 is stored byte by byte: the encoding is UTF8, or SQL_ASCII, which is
    /// no encoding at all.
    #[must_use]
    pub fn takes_utf8(self) -> bool {
        self.0 == UTF8 || self.0 == SQL_ASCII
    }

    /// UTF-8 without NUL bytes as the database stores it. A character that the encoding lacks is
    /// PostgreSQL's own error 22P05.
    #[must_use]
    pub fn encode(self, text: &[u8]) -> Cow<'_, [u8]> {
        if self.takes_utf8() || text.is_ascii() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(convert(text, UTF8, self.0))
    }

    /// Text of the database as UTF-8.
    ///
    /// # Errors
    /// 22021 when it is not text in any encoding that is known (a SQL_ASCII database).
    pub fn decode(self, text: &[u8]) -> Result<String> {
        let bytes = if self.takes_utf8() || text.is_ascii() {
            text.to_vec()
        } else {
            convert(text, self.0, UTF8)
        };
        String::from_utf8(bytes).map_err(|_| {
            Error::new(
                PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
                "text for DuckDB is not valid UTF-8",
            )
        })
    }
}

/// Both encodings are known and differ; PostgreSQL raises its own error for what has no equivalent.
fn convert(text: &[u8], from: i32, to: i32) -> Vec<u8> {
    let Ok(len) = i32::try_from(text.len()) else {
        // No value of PostgreSQL's is as long, and the callers pass nothing longer.
        return text.to_vec();
    };
    // SAFETY: pg_do_encoding_conversion reads `len` bytes and returns a NUL-terminated string, new
    // from palloc or `text` itself when there is nothing to convert; text without NUL bytes stays
    // so. The copy is freed at once.
    unsafe {
        let source = text.as_ptr().cast_mut();
        let converted = pg_sys::pg_do_encoding_conversion(source, len, from, to);
        if converted == source {
            return text.to_vec();
        }
        let bytes = std::ffi::CStr::from_ptr(converted.cast()).to_bytes().to_vec();
        pg_sys::pfree(converted.cast());
        bytes
    }
}
