//! VARCHAR, JSON and BLOB, copied behind the shortest header that fits.

use std::ops::Range;

use duck::{LogicalType, StringRef, Vector};
use encode::varlena;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Datum;

use super::{Arena, Cells, Converter, each};
use crate::error::{Error, Result};
use crate::types::encoding::ServerEncoding;

/// A value of `bytes` with a 1-byte header where it fits, else with a long one.
///
/// # Errors
/// 54000 for 1 GB and more.
#[inline]
pub(super) fn put(bytes: &[u8], column: &str, arena: &mut Arena) -> Result<Datum> {
    let Some(header) = varlena::short_header(bytes.len()) else {
        return put_long(bytes, column, arena);
    };
    let out = arena.alloc(1 + bytes.len(), 1);
    out[0] = header;
    out[1..].copy_from_slice(bytes);
    Ok(Datum::from(out.as_mut_ptr()))
}

/// A value of `bytes` with a long header.
///
/// # Errors
/// 54000 for 1 GB and more.
pub(super) fn put_long(bytes: &[u8], column: &str, arena: &mut Arena) -> Result<Datum> {
    let total = varlena::LONG_HEADER + bytes.len();
    let header = varlena::long_header(total).ok_or_else(|| too_long(bytes.len(), column))?;
    let out = arena.alloc(total, varlena::LONG_HEADER);
    out[..varlena::LONG_HEADER].copy_from_slice(&header);
    out[varlena::LONG_HEADER..].copy_from_slice(bytes);
    Ok(Datum::from(out.as_mut_ptr()))
}

#[cold]
pub(super) fn too_long(len: usize, column: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        format!("a value of {len} bytes in column \"{column}\" is too long"),
    )
    .detail("A value in PostgreSQL has less than 1 GB.")
}

#[cold]
pub(super) fn nul_byte(column: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
        format!("text in column \"{column}\" holds a NUL byte"),
    )
    .detail("Text in PostgreSQL cannot hold the character with code zero.")
    .hint("In DuckDB's query, remove it with replace(x, chr(0), ''), or cast the column to BLOB.")
}

/// Strings of up to 12 bytes are copied whole, in one move.
#[inline]
fn put_inlined(value: &StringRef<'_>, inlined: &[u8; 12], arena: &mut Arena) -> Datum {
    let out = arena.room(13, 1);
    // At most 12 bytes always have a short header.
    out[0] = varlena::short_header(value.len()).unwrap_or_default();
    out[1..13].copy_from_slice(inlined);
    Datum::from(arena.take(1 + value.len()))
}

/// Whether one of the first `len` of 12 bytes is zero.
#[inline]
fn inlined_holds_nul(inlined: &[u8; 12], len: usize) -> bool {
    const ONES: u128 = 0x0101_0101_0101_0101_0101_0101_0101_0101;
    let mut padded = [0; 16];
    padded[..12].copy_from_slice(inlined);
    let word = u128::from_le_bytes(padded) | (u128::MAX << (8 * len));
    word.wrapping_sub(ONES) & !word & (ONES << 7) != 0
}

/// Whether a byte is zero, in a form that the compiler makes vector instructions of.
#[inline]
pub(super) fn holds_nul(bytes: &[u8]) -> bool {
    bytes.chunks(64).any(|chunk| chunk.iter().fold(false, |found, byte| found | (*byte == 0)))
}

/// A few of DuckDB's functions make text that is not UTF-8.
#[inline]
fn is_utf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

/// # Errors
/// 22021 for text that is not UTF-8.
#[inline]
pub(super) fn check_utf8(bytes: &[u8], column: &str) -> Result<()> {
    if is_utf8(bytes) {
        return Ok(());
    }
    Err(Error::new(
        PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
        format!("text in column \"{column}\" is not valid UTF-8"),
    ))
}

struct Text {
    column: String,
    encoding: ServerEncoding,
    takes_utf8: bool,
}

impl Text {
    #[inline]
    fn datum(&self, value: &StringRef<'_>, arena: &mut Arena) -> Result<Datum> {
        if let Some(inlined) = value.inlined() {
            if inlined_holds_nul(inlined, value.len()) {
                return Err(nul_byte(&self.column));
            }
            if inlined.is_ascii() || (self.takes_utf8 && is_utf8(value.as_bytes())) {
                return Ok(put_inlined(value, inlined, arena));
            }
        } else if holds_nul(value.as_bytes()) {
            return Err(nul_byte(&self.column));
        }
        check_utf8(value.as_bytes(), &self.column)?;
        if self.takes_utf8 {
            return put(value.as_bytes(), &self.column, arena);
        }
        put(&self.encoding.encode(value.as_bytes()), &self.column, arena)
    }
}

impl Converter for Text {
    fn convert(
        &mut self,
        vector: &Vector<'_>,
        rows: Range<usize>,
        cells: Cells<'_>,
        arena: &mut Arena,
    ) -> Result<()> {
        each(vector.strings(), vector.validity(), rows, cells, |value| self.datum(value, arena))
    }
}

/// BLOB, and GEOMETRY, whose vectors hold well-known binary.
struct Bytes {
    column: String,
}

impl Converter for Bytes {
    fn convert(
        &mut self,
        vector: &Vector<'_>,
        rows: Range<usize>,
        cells: Cells<'_>,
        arena: &mut Arena,
    ) -> Result<()> {
        each(vector.strings(), vector.validity(), rows, cells, |value| match value.inlined() {
            Some(inlined) => Ok(put_inlined(value, inlined, arena)),
            None => put(value.as_bytes(), &self.column, arena),
        })
    }
}

/// A bare NULL: every value is NULL.
struct Null;

impl Converter for Null {
    fn convert(
        &mut self,
        _vector: &Vector<'_>,
        rows: Range<usize>,
        mut cells: Cells<'_>,
        _arena: &mut Arena,
    ) -> Result<()> {
        (0..rows.len()).for_each(|row| cells.set_null(row));
        Ok(())
    }
}

pub(super) fn choose(column: &str, from: &LogicalType) -> Option<Box<dyn Converter>> {
    let column = column.to_owned();
    Some(match from {
        LogicalType::Varchar | LogicalType::Json => {
            let encoding = ServerEncoding::current();
            Box::new(Text { column, encoding, takes_utf8: encoding.takes_utf8() })
        }
        LogicalType::Blob | LogicalType::Geometry => Box::new(Bytes { column }),
        LogicalType::Null => Box::new(Null),
        _ => return None,
    })
}
