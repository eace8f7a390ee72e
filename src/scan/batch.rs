//! Chunks as rows: each chunk is converted column by column into a row-major matrix of Datums, and
//! the slot points into it row by row.

use duck::{Chunk, Column};
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::plan::{ScanPlan, Source};
use super::recheck;
use crate::error::{Error, Result};
use crate::lake::table;
use crate::pg::{memory, nodes, slot};
use crate::types::PgType;
use crate::types::datum::{self, Arena, Converter, Matrix};

struct ColumnConverter {
    /// The column of the chunk.
    source: usize,
    converter: Box<dyn Converter>,
}

/// Converts chunks for one scan.
pub struct Batch {
    converters: Vec<ColumnConverter>,
    matrix: Matrix,
    arena: Arena,
    /// The descriptor and the memory of whole-row values.
    whole_row: Option<WholeRow>,
    /// What is the same in all rows: cells behind the others, and their values.
    fixed: Vec<(usize, pg_sys::Datum)>,
    /// The number of cells in a row.
    width: pg_sys::AttrNumber,
    rows: usize,
    next: usize,
}

struct WholeRow {
    /// The cell for each attribute of the descriptor, and the cell of the row itself.
    sources: Vec<Option<usize>>,
    target: usize,
    descriptor: pg_sys::TupleDesc,
    context: pg_sys::MemoryContext,
}

impl Batch {
    /// Chooses the converters: `columns` is what DuckDB returns, `descriptor` is the scan's row.
    ///
    /// # Errors
    /// 42804 when a column is not what the plan promised, 42703 when it is missing.
    ///
    /// # Safety
    /// `descriptor` is the scan slot's, and lives as long as the batch, as does `context`.
    pub unsafe fn new(
        plan: &ScanPlan,
        columns: &[Column],
        descriptor: pg_sys::TupleDesc,
        context: pg_sys::MemoryContext,
    ) -> Result<Self> {
        let expected = plan.fetch.len() + plan.condition_columns.len();
        if plan.is_wrapped() && expected == 0 {
            // Rows are counted, nothing is read.
        } else if plan.is_wrapped() && columns.len() != expected
            || !plan.is_wrapped() && columns.len() != plan.names.len()
        {
            return Err(drifted(format!(
                "DuckDB returns {} columns where {} were planned.",
                columns.len(),
                plan.names.len()
            )));
        }
        if plan.is_wrapped() {
            for (column, (at, oid, typmod)) in
                columns.iter().skip(plan.fetch.len()).zip(&plan.condition_columns)
            {
                let collation = pg_sys::InvalidOid;
                let target = PgType { oid: pg_sys::Oid::from(*oid), typmod: *typmod, collation };
                datum::converter(&plan.names[*at], &column.logical_type, &target)?;
            }
        }
        let converters = plan
            .fetch
            .iter()
            .enumerate()
            .map(|(index, position)| {
                let source = plan.result_column(index);
                let name = &plan.names[*position];
                // SAFETY: the descriptor has an attribute for each fetched column.
                let target = unsafe { attribute_type(descriptor, index) };
                let target = if plan.tables().is_some() || plan.travel.is_some() {
                    without_precision(target)
                } else {
                    target
                };
                let from = &columns[source];
                let converter = datum::converter(name, &from.logical_type, &target).map_err(
                    |error| match plan.source {
                        Source::Call { by_name: false } => defined_otherwise(name, &target, from),
                        _ => error,
                    },
                )?;
                Ok(ColumnConverter { source, converter })
            })
            .collect::<Result<Vec<_>>>()?;
        // SAFETY: by contract.
        let whole_row = plan.whole_row.then(|| unsafe { WholeRow::new(plan, descriptor, context) });
        let mut width = converters.len() + usize::from(plan.whole_row);
        let table_oid = plan.table_oid.map(pg_sys::Datum::from);
        // SAFETY: by contract.
        let place = plan.row_id.then(|| unsafe { slot::no_place(context) });
        let fixed = table_oid.into_iter().chain(place).map(|value| {
            width += 1;
            (width - 1, value)
        });
        let fixed: Vec<_> = fixed.collect();
        Ok(Self {
            converters,
            matrix: Matrix::new(width, Chunk::CAPACITY),
            arena: Arena::new(),
            whole_row,
            fixed,
            width: pg_sys::AttrNumber::try_from(width).unwrap_or(pg_sys::AttrNumber::MAX),
            rows: 0,
            next: 0,
        })
    }

    /// Takes over the next chunk; the rows of the one before are gone.
    ///
    /// # Errors
    /// For a value that its PostgreSQL type cannot hold.
    pub fn load(&mut self, chunk: &Chunk) -> Result<()> {
        self.rows = 0;
        self.next = 0;
        self.arena.reset();
        let rows = chunk.len();
        for (index, column) in self.converters.iter_mut().enumerate() {
            let vector = chunk.column(column.source);
            let cells = self.matrix.cells(index, rows);
            column.converter.convert(&vector, 0..rows, cells, &mut self.arena)?;
        }
        if let Some(whole_row) = &self.whole_row {
            // SAFETY: the context lives as long as the batch; its values belong to the rows that
            // are gone.
            unsafe { whole_row.fill(&mut self.matrix, rows) };
        }
        for (cell, value) in &self.fixed {
            for row in 0..rows {
                let (values, nulls) = self.matrix.row(row);
                values[*cell] = *value;
                nulls[*cell] = false;
            }
        }
        self.rows = rows;
        Ok(())
    }

    /// The values and null flags of the next row, which are valid until the next [`Batch::load`].
    pub fn next_values(&mut self) -> Option<(&mut [pg_sys::Datum], &mut [bool])> {
        let row = self.next;
        if row >= self.rows {
            return None;
        }
        self.next += 1;
        Some(self.matrix.row(row))
    }

    /// Points `slot` at the next row; `false` when there is none.
    ///
    /// # Safety
    /// `slot` is a virtual slot with the descriptor of [`Batch::new`]. It is used no longer than
    /// until the next [`Batch::load`].
    #[inline]
    pub unsafe fn next_row(&mut self, slot: *mut pg_sys::TupleTableSlot) -> bool {
        if self.next >= self.rows {
            return false;
        }
        let (values, nulls) = self.matrix.row(self.next);
        self.next += 1;
        // SAFETY: a virtual slot takes its values from whatever these point at; the row has as
        // many cells as the descriptor has attributes.
        unsafe {
            (*slot).tts_values = values.as_mut_ptr();
            (*slot).tts_isnull = nulls.as_mut_ptr();
            (*slot).tts_nvalid = self.width;
            (*slot).tts_flags &= !crate::pg::slot::FLAG_EMPTY;
        }
        true
    }
}

/// 42804 for a column definition list of the user's own that does not fit.
fn defined_otherwise(name: &str, target: &PgType, from: &Column) -> Error {
    // SAFETY: a catalog look-up of an existing type.
    let defined =
        unsafe { nodes::str_at(pg_sys::format_type_with_typemod(target.oid, target.typmod)) };
    Error::new(
        PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
        format!(
            "column \"{name}\" is defined as {defined}, but DuckDB returns {}",
            from.logical_type
        ),
    )
    .hint("Cast the column in DuckDB's query, or define it as what it is.")
}

pub fn drifted(detail: String) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
        "the columns of a DuckDB query have changed since the query was planned",
    )
    .detail(detail)
    .hint("Plan the query again; create views on it anew.")
}

/// A foreign table's times are rounded by its SQL: see [`crate::lake::table`].
fn without_precision(target: PgType) -> PgType {
    let (oid, _) = table::base_type(target.oid, target.typmod);
    if table::has_precision(oid) { PgType { oid, typmod: -1, ..target } } else { target }
}

/// # Safety
/// `descriptor` is live and has more than `index` attributes.
unsafe fn attribute_type(descriptor: pg_sys::TupleDesc, index: usize) -> PgType {
    // SAFETY: by contract.
    unsafe {
        let attribute = slot::attribute(descriptor, index);
        PgType {
            oid: (*attribute).atttypid,
            typmod: (*attribute).atttypmod,
            collation: (*attribute).attcollation,
        }
    }
}

impl WholeRow {
    /// # Safety
    /// As [`Batch::new`].
    unsafe fn new(
        plan: &ScanPlan,
        descriptor: pg_sys::TupleDesc,
        parent: pg_sys::MemoryContext,
    ) -> Self {
        // SAFETY: by contract; the new descriptor is registered as a record type of this backend.
        unsafe {
            let row = recheck::row_descriptor(plan, descriptor, parent);
            let context = pg_sys::AllocSetContextCreateInternal(
                parent,
                c"DuckDB whole rows".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            );
            Self {
                sources: plan.row_columns.clone(),
                target: plan.fetch.len(),
                descriptor: row,
                context,
            }
        }
    }

    /// Puts the composite value of each row into its last cell.
    ///
    /// # Safety
    /// The rows' other cells are filled; values of earlier batches are not used any more.
    unsafe fn fill(&self, matrix: &mut Matrix, rows: usize) {
        // SAFETY: by contract.
        unsafe {
            pg_sys::MemoryContextReset(self.context);
            memory::in_context(self.context, || {
                let count = self.sources.len();
                let mut own_values = vec![pg_sys::Datum::null(); count];
                let mut own_nulls = vec![true; count];
                for row in 0..rows {
                    let (values, nulls) = matrix.row(row);
                    for (at, source) in self.sources.iter().enumerate() {
                        if let Some(source) = *source {
                            own_values[at] = values[source];
                            own_nulls[at] = nulls[source];
                        }
                    }
                    let tuple = pg_sys::heap_form_tuple(
                        self.descriptor,
                        own_values.as_mut_ptr(),
                        own_nulls.as_mut_ptr(),
                    );
                    values[self.target] = pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data);
                    nulls[self.target] = false;
                }
            });
        }
    }
}
