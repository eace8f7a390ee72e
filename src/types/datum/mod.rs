//! DuckDB's vectors as Datums.
//!
//! A [`Converter`] is chosen once per column and then turns whole vectors into the cells of a
//! [`Matrix`]. Values passed by reference are written into an [`Arena`], which must outlive the
//! cells and is reset between batches; nothing is allocated per value, and PostgreSQL is called
//! only in the rare cases that `encoding` and the JSON type inside of a STRUCT need, with memory
//! that is freed at once.

mod arena;
mod by_reference;
mod cells;
mod enumeration;
mod fixed;
mod jsonb;
mod label;
mod list;
mod numeric;
mod text;

use std::ops::Range;

use duck::{LogicalType, Vector};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Datum};

pub use arena::Arena;
pub use cells::{Cells, Matrix};

use super::PgType;
use crate::error::{Error, Result};

/// Converts the vectors of one column.
pub trait Converter {
    /// Writes the values `rows` of `vector` to `cells`, of which there are as many as rows. The
    /// vector's type is the one that the converter was chosen for.
    ///
    /// # Errors
    /// For a value that the PostgreSQL type cannot hold, naming the column: 22003 for numbers,
    /// 22008 for dates and times, 22021 for text with NUL bytes, 2202E for lists that are no array,
    /// 54000 for values of 1 GB and more.
    fn convert(
        &mut self,
        vector: &Vector<'_>,
        rows: Range<usize>,
        cells: Cells<'_>,
        arena: &mut Arena,
    ) -> Result<()>;
}

/// The converter for the column `column` of the DuckDB type `from`, whose type the plan promised to
/// be `to`.
///
/// # Errors
/// 42804 when DuckDB's type does not become `to` (any more); 0A000 as [`super::pg_type`].
pub fn converter(column: &str, from: &LogicalType, to: &PgType) -> Result<Box<dyn Converter>> {
    let becomes = super::pg_type(column, from)?;
    let mut typmod = to.typmod;
    // SAFETY: a catalog look-up of an existing type.
    let mut oid = unsafe { pg_sys::getBaseTypeAndTypmod(to.oid, &raw mut typmod) };
    if becomes.oid == pg_sys::JSONOID && oid == pg_sys::JSONBOID {
        return jsonb::choose(column, from);
    }
    if *from == LogicalType::Varchar && super::is_enum(oid) {
        return Ok(enumeration::choose(column, oid));
    }
    if matches!(oid, pg_sys::VARCHAROID | pg_sys::BPCHAROID) {
        // Stored as text is; the length is the table's promise.
        (oid, typmod) = (pg_sys::TEXTOID, -1);
    }
    if oid == pg_sys::VARCHARARRAYOID && becomes.oid == pg_sys::TEXTARRAYOID {
        return list::choose_of(column, from, pg_sys::VARCHAROID);
    }
    if becomes.oid != oid || (typmod != -1 && becomes.typmod != typmod) {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!("column \"{column}\" has changed its type since the query was planned"),
        )
        .detail(format!("DuckDB now gives it the type {from}."))
        .hint("Plan the query again."));
    }
    choose(column, from)
}

fn choose(column: &str, from: &LogicalType) -> Result<Box<dyn Converter>> {
    if super::pg_type(column, from)?.oid == pg_sys::JSONBOID {
        return jsonb::choose(column, from);
    }
    match from {
        LogicalType::List(_) | LogicalType::Array(..) => list::choose(column, from),
        LogicalType::Enum(labels) => label::choose(column, labels),
        _ => fixed::choose(column, from)
            .or_else(|| text::choose(column, from))
            .or_else(|| numeric::choose(column, from))
            .or_else(|| by_reference::choose(column, from))
            .ok_or_else(|| super::unsupported(column, from)),
    }
}

/// Whether bit `row` of a validity mask is set.
#[inline]
fn is_valid(mask: &[u64], row: usize) -> bool {
    (mask[row / 64] >> (row % 64)) & 1 == 1
}

/// The loop over one vector: `datum` for each value that is not NULL.
#[inline]
fn each<T: Copy>(
    values: &[T],
    validity: Option<&[u64]>,
    rows: Range<usize>,
    mut cells: Cells<'_>,
    mut datum: impl FnMut(&T) -> Result<Datum>,
) -> Result<()> {
    let start = rows.start;
    let values = &values[rows];
    assert_eq!(values.len(), cells.rows(), "a cell for each row");
    match validity {
        None => {
            for (row, value) in values.iter().enumerate() {
                cells.set(row, datum(value)?);
            }
        }
        Some(mask) => {
            for (row, value) in values.iter().enumerate() {
                if is_valid(mask, start + row) {
                    cells.set(row, datum(value)?);
                } else {
                    cells.set_null(row);
                }
            }
        }
    }
    Ok(())
}
