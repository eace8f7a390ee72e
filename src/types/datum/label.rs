//! ENUM as text: a Datum for each label is made once, and the values only point at them.

use std::marker::PhantomData;
use std::ops::Range;

use duck::Vector;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Datum;

use super::{Arena, Cells, Converter, each, text};
use crate::error::{Error, Result};
use crate::types::encoding::ServerEncoding;

/// The bytes of an ENUM's codes, as `EnumTypeInfo::DictType` of DuckDB chooses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodeWidth {
    One,
    Two,
    Four,
}

impl CodeWidth {
    pub(super) fn of(labels: usize) -> Self {
        match labels {
            0..=0xff => Self::One,
            0x100..=0xffff => Self::Two,
            _ => Self::Four,
        }
    }
}

/// The labels in the server's encoding.
///
/// # Errors
/// 22021 for a label with a NUL byte.
pub(super) fn encoded(column: &str, labels: &[String]) -> Result<Vec<Vec<u8>>> {
    let encoding = ServerEncoding::current();
    labels
        .iter()
        .map(|label| {
            if text::holds_nul(label.as_bytes()) {
                return Err(text::nul_byte(column));
            }
            Ok(encoding.encode(label.as_bytes()).into_owned())
        })
        .collect()
}

#[cold]
pub(super) fn unknown_code(column: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        format!("a value in column \"{column}\" is none of its ENUM's labels"),
    )
}

struct Labels<C> {
    column: String,
    labels: Vec<Datum>,
    /// What `labels` points into.
    _arena: Arena,
    code: PhantomData<C>,
}

impl<C: Copy + TryInto<usize>> Converter for Labels<C> {
    fn convert(
        &mut self,
        vector: &Vector<'_>,
        rows: Range<usize>,
        cells: Cells<'_>,
        _arena: &mut Arena,
    ) -> Result<()> {
        // SAFETY: `choose` picks the width that DuckDB uses for so many labels.
        let codes = unsafe { vector.values::<C>() };
        each(codes, vector.validity(), rows, cells, |code| {
            let label = (*code).try_into().ok().and_then(|code| self.labels.get(code));
            label.copied().ok_or_else(|| unknown_code(&self.column))
        })
    }
}

pub(super) fn choose(column: &str, labels: &[String]) -> Result<Box<dyn Converter>> {
    fn make<C: Copy + TryInto<usize> + 'static>(
        column: &str,
        labels: Vec<Datum>,
        arena: Arena,
    ) -> Box<dyn Converter> {
        let column = column.to_owned();
        Box::new(Labels::<C> { column, labels, _arena: arena, code: PhantomData })
    }
    let mut arena = Arena::new();
    let datums = encoded(column, labels)?
        .iter()
        .map(|label| text::put(label, column, &mut arena))
        .collect::<Result<Vec<_>>>()?;
    Ok(match CodeWidth::of(labels.len()) {
        CodeWidth::One => make::<u8>(column, datums, arena),
        CodeWidth::Two => make::<u16>(column, datums, arena),
        CodeWidth::Four => make::<u32>(column, datums, arena),
    })
}
