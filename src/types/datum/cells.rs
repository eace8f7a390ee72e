//! The row-major matrix of Datums that a batch is converted into, and the writer of one column.

use std::marker::PhantomData;

use pgrx::pg_sys::Datum;

/// The Datums of up to `capacity` rows of a result, row after row, so that a tuple slot can point
/// at a row's values and null flags.
pub struct Matrix {
    values: Vec<Datum>,
    nulls: Vec<bool>,
    columns: usize,
    capacity: usize,
}

impl Matrix {
    #[must_use]
    pub fn new(columns: usize, capacity: usize) -> Self {
        let len = columns * capacity;
        Self { values: vec![Datum::null(); len], nulls: vec![true; len], columns, capacity }
    }

    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The cells of column `column` in the first `rows` rows.
    ///
    /// # Panics
    /// When there is no such column, or less room.
    pub fn cells(&mut self, column: usize, rows: usize) -> Cells<'_> {
        assert!(column < self.columns && rows <= self.capacity, "no such cells");
        // SAFETY: the cells column + row * columns for row < rows lie in both vectors, and the
        // borrow of `self` is held by the result.
        unsafe {
            Cells::new(
                self.values.as_mut_ptr().add(column),
                self.nulls.as_mut_ptr().add(column),
                self.columns,
                rows,
            )
        }
    }

    /// The values and the null flags of a row, each of [`Matrix::columns`].
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&mut self, row: usize) -> (&mut [Datum], &mut [bool]) {
        let range = row * self.columns..(row + 1) * self.columns;
        (&mut self.values[range.clone()], &mut self.nulls[range])
    }
}

/// Writes the cells of one column, which are `stride` apart.
pub struct Cells<'a> {
    values: *mut Datum,
    nulls: *mut bool,
    stride: usize,
    rows: usize,
    matrix: PhantomData<&'a mut [Datum]>,
}

impl<'a> Cells<'a> {
    /// # Safety
    /// `values` and `nulls` each point at the first of `rows` cells, `stride` apart, that may be
    /// written and that nobody else uses during `'a`.
    #[must_use]
    pub unsafe fn new(values: *mut Datum, nulls: *mut bool, stride: usize, rows: usize) -> Self {
        Self { values, nulls, stride, rows, matrix: PhantomData }
    }

    /// The cells of a column that stands alone.
    ///
    /// # Panics
    /// When the slices differ in length.
    #[must_use]
    pub fn contiguous(values: &'a mut [Datum], nulls: &'a mut [bool]) -> Self {
        assert_eq!(values.len(), nulls.len(), "a flag for each value");
        // SAFETY: as many cells as the slices have, one apart, borrowed for 'a.
        unsafe { Self::new(values.as_mut_ptr(), nulls.as_mut_ptr(), 1, values.len()) }
    }

    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// # Panics
    /// When there is no such row.
    #[inline]
    pub fn set(&mut self, row: usize, value: Datum) {
        assert!(row < self.rows, "row {row} is out of range");
        // SAFETY: the row exists, and `new` promised its cells.
        unsafe {
            *self.values.add(row * self.stride) = value;
            *self.nulls.add(row * self.stride) = false;
        }
    }

    /// # Panics
    /// When there is no such row.
    #[inline]
    pub fn set_null(&mut self, row: usize) {
        assert!(row < self.rows, "row {row} is out of range");
        // SAFETY: the row exists, and `new` promised its cells.
        unsafe {
            *self.values.add(row * self.stride) = Datum::null();
            *self.nulls.add(row * self.stride) = true;
        }
    }
}
