//! Data chunks and their vectors, read in place.
//!
//! Layouts are those of DuckDB's C API ("Vectors" in its documentation): a flat array of
//! fixed-width values, a validity bit mask (absent when no value is NULL), `duckdb_string_t` for
//! text and blobs, offset and length for lists, child vectors for nested types. A chunk fetched
//! from a result is flat: DuckDB flattens it before it hands it out.

use std::marker::PhantomData;
use std::sync::Arc;

use libduckdb_sys as sys;

use crate::instance::Instance;

/// Up to [`Chunk::CAPACITY`] rows of a result. It keeps the instance alive, whose allocator owns
/// the memory.
pub struct Chunk {
    raw: sys::duckdb_data_chunk,
    rows: usize,
    _instance: Arc<Instance>,
}

// SAFETY: a fetched chunk is not touched by DuckDB any more; its buffers may be read and freed by
// any thread.
unsafe impl Send for Chunk {}

impl Chunk {
    /// The most rows that DuckDB puts into a chunk (STANDARD_VECTOR_SIZE).
    pub const CAPACITY: usize = 2048;

    /// # Safety
    /// `raw` is a live chunk that nobody else destroys, with buffers of `instance`.
    pub(crate) unsafe fn take(raw: sys::duckdb_data_chunk, instance: Arc<Instance>) -> Self {
        // SAFETY: live by contract.
        let rows = unsafe { sys::duckdb_data_chunk_get_size(raw) };
        // A chunk never has more than CAPACITY rows, so the number fits.
        let rows = usize::try_from(rows).unwrap_or(0);
        Self { raw, rows, _instance: instance }
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    #[must_use]
    pub fn column_count(&self) -> usize {
        // SAFETY: live chunk.
        usize::try_from(unsafe { sys::duckdb_data_chunk_get_column_count(self.raw) }).unwrap_or(0)
    }

    /// The vector of column `index`.
    ///
    /// # Panics
    /// When there is no such column.
    #[must_use]
    pub fn column(&self, index: usize) -> Vector<'_> {
        assert!(index < self.column_count(), "column {index} is out of range");
        // SAFETY: live chunk, index in range; the vector lives as long as the chunk.
        unsafe { Vector::new(sys::duckdb_data_chunk_get_vector(self.raw, index as u64), self.rows) }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: owned, destroyed once.
        unsafe { sys::duckdb_destroy_data_chunk(&raw mut self.raw) };
    }
}

/// A column of a chunk, or a child of a nested column.
#[derive(Clone, Copy)]
pub struct Vector<'c> {
    raw: sys::duckdb_vector,
    data: *const u8,
    validity: *const u64,
    len: usize,
    chunk: PhantomData<&'c Chunk>,
}

impl<'c> Vector<'c> {
    /// # Safety
    /// `raw` is a flat vector of at least `len` values that lives for `'c`.
    unsafe fn new(raw: sys::duckdb_vector, len: usize) -> Self {
        // SAFETY: live by contract.
        let (data, validity) = unsafe {
            (
                sys::duckdb_vector_get_data(raw).cast_const().cast::<u8>(),
                sys::duckdb_vector_get_validity(raw).cast_const(),
            )
        };
        Self { raw, data, validity, len, chunk: PhantomData }
    }

    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the vector has a validity mask, that is, may hold NULLs.
    #[must_use]
    pub fn has_nulls(&self) -> bool {
        !self.validity.is_null()
    }

    /// The validity mask, one bit for each value, the lowest bit of the first word first; set bits
    /// are values, clear bits are NULLs. `None` when no value is NULL.
    #[must_use]
    pub fn validity(&self) -> Option<&'c [u64]> {
        if self.validity.is_null() {
            return None;
        }
        // SAFETY: the mask has a bit for each of `len` values and lives for 'c.
        Some(unsafe { std::slice::from_raw_parts(self.validity, self.len.div_ceil(64)) })
    }

    /// Whether the value at `row` is not NULL.
    #[inline]
    #[must_use]
    pub fn is_valid(&self, row: usize) -> bool {
        assert!(row < self.len, "row {row} is out of range");
        if self.validity.is_null() {
            return true;
        }
        // SAFETY: the mask has a bit for each of `len` values, and row < len.
        unsafe { (*self.validity.add(row / 64) >> (row % 64)) & 1 == 1 }
    }

    /// The values as an array of `T`. The values of NULL rows are unspecified (but initialised
    /// memory of the right size).
    ///
    /// # Safety
    /// `T` is the physical type that DuckDB's C API documents for the vector's logical type, and
    /// any bit pattern is a valid `T`.
    #[must_use]
    pub unsafe fn values<T: Copy>(&self) -> &'c [T] {
        if self.len == 0 {
            return &[];
        }
        debug_assert!(self.data.cast::<T>().is_aligned());
        // SAFETY: `len` values of `T` by contract; they live for 'c.
        unsafe { std::slice::from_raw_parts(self.data.cast::<T>(), self.len) }
    }

    /// The text or bytes at `row` of a VARCHAR, BLOB, BIT, BIGNUM or GEOMETRY vector.
    #[must_use]
    pub fn string(&self, row: usize) -> StringRef<'c> {
        self.strings()[row]
    }

    /// The values of a VARCHAR, BLOB, BIT, BIGNUM or GEOMETRY vector. Those of NULL rows must not
    /// be read.
    #[must_use]
    pub fn strings(&self) -> &'c [StringRef<'c>] {
        // SAFETY: StringRef has the layout of duckdb_string_t.
        unsafe { self.values::<StringRef<'c>>() }
    }

    /// Offset and length into [`Vector::list_child`] for each value of a LIST or MAP vector.
    #[must_use]
    pub fn list_entries(&self) -> &'c [ListEntry] {
        // SAFETY: ListEntry has the layout of duckdb_list_entry.
        unsafe { self.values::<ListEntry>() }
    }

    /// The elements of all values of a LIST vector (of a MAP: structs of key and value).
    #[must_use]
    pub fn list_child(&self) -> Vector<'c> {
        // SAFETY: called for list vectors; the child lives as long as its parent.
        unsafe {
            let len = sys::duckdb_list_vector_get_size(self.raw);
            Vector::new(
                sys::duckdb_list_vector_get_child(self.raw),
                usize::try_from(len).unwrap_or(0),
            )
        }
    }

    /// The elements of all values of an ARRAY vector: `size` for each row, NULL rows included.
    #[must_use]
    pub fn array_child(&self, size: u64) -> Vector<'c> {
        // SAFETY: called for array vectors; the child has len * size elements.
        unsafe {
            let size = usize::try_from(size).unwrap_or(0);
            Vector::new(sys::duckdb_array_vector_get_child(self.raw), self.len * size)
        }
    }

    /// Field `index` of a STRUCT vector. A UNION is a struct whose field 0 is the tag (u8) and
    /// whose field n+1 is member n.
    #[must_use]
    pub fn struct_child(&self, index: usize) -> Vector<'c> {
        // SAFETY: called for struct vectors with an index below their field count; a field has as
        // many values as the struct.
        unsafe {
            Vector::new(sys::duckdb_struct_vector_get_child(self.raw, index as u64), self.len)
        }
    }
}

/// Where the elements of one list are in the child vector.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListEntry {
    pub offset: u64,
    pub length: u64,
}

impl ListEntry {
    /// The positions of the elements in the child vector.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<usize> {
        let start = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let len = usize::try_from(self.length).unwrap_or(0);
        start..start.saturating_add(len)
    }
}

/// One string or blob of a vector: `duckdb_string_t`, 16 bytes, inlined up to 12 bytes.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct StringRef<'c> {
    length: u32,
    rest: [u8; 12],
    vector: PhantomData<&'c [u8]>,
}

const _: () = assert!(size_of::<StringRef<'static>>() == size_of::<sys::duckdb_string_t>());

impl<'c> StringRef<'c> {
    const INLINE_LENGTH: u32 = 12;

    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.length as usize
    }

    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The 12 bytes that hold a short string, zeros after its end; `None` for a longer one.
    #[inline]
    #[must_use]
    pub fn inlined(&self) -> Option<&[u8; 12]> {
        (self.length <= Self::INLINE_LENGTH).then_some(&self.rest)
    }

    /// The bytes. VARCHAR is valid UTF-8 by DuckDB's own checks, possibly with NUL bytes.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        if self.length <= Self::INLINE_LENGTH {
            return &self.rest[..self.length as usize];
        }
        let mut pointer = [0u8; 8];
        pointer.copy_from_slice(&self.rest[4..12]);
        let pointer = usize::from_ne_bytes(pointer) as *const u8;
        // SAFETY: longer strings hold a pointer to `length` bytes after a 4-byte prefix; the bytes
        // live as long as the vector, and `self` borrows from it.
        unsafe { std::slice::from_raw_parts(pointer, self.length as usize) }
    }

    #[must_use]
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(self.as_bytes()).into_owned()
    }
}
