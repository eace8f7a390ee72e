//! LIST and ARRAY as PostgreSQL arrays, written in the form of `array.h`.
//!
//! The number of dimensions is that of the type, decided before any value is seen. So the lists
//! inside of a list must all have the same length, and none may be NULL; a list without elements
//! is `{}` whatever its type.

use std::ops::Range;

use duck::{LogicalType, Vector};
use encode::varlena;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Datum, Oid};

use super::{Arena, Cells, Converter, is_valid};
use crate::error::{Error, Result};

/// PostgreSQL's limit for the elements of an array (`MaxArraySize`).
const MAX_ELEMENTS: usize = varlena::MAX_LENGTH / size_of::<Datum>();

/// The struct ArrayType: varlena header, dimensions, offset of the data, element type.
const FIXED_HEADER: usize = 16;

/// Where the data starts (`MAXIMUM_ALIGNOF`).
const MAX_ALIGN: usize = 8;

/// How elements are stored, as in pg_type.
#[derive(Clone, Copy)]
enum Storage {
    /// By value, of so many bytes, which are also the alignment.
    Value(usize),
    /// By reference, of a fixed length and alignment.
    Reference(usize, usize),
    /// With a header.
    Variable,
}

impl Storage {
    fn of(oid: Oid) -> Self {
        match oid {
            pg_sys::BOOLOID => Self::Value(1),
            pg_sys::INT2OID => Self::Value(2),
            pg_sys::INT4OID | pg_sys::FLOAT4OID | pg_sys::DATEOID => Self::Value(4),
            pg_sys::INT8OID
            | pg_sys::FLOAT8OID
            | pg_sys::TIMEOID
            | pg_sys::TIMESTAMPOID
            | pg_sys::TIMESTAMPTZOID => Self::Value(8),
            pg_sys::UUIDOID => Self::Reference(16, 1),
            pg_sys::INTERVALOID => Self::Reference(16, 8),
            pg_sys::TIMETZOID => Self::Reference(12, 8),
            _ => Self::Variable,
        }
    }
}

/// One level of nesting.
#[derive(Clone, Copy)]
enum Level {
    List,
    Array(usize),
}

/// A level of a vector.
struct Bound<'c> {
    level: Level,
    vector: Vector<'c>,
}

impl Bound<'_> {
    /// Where the elements of the list at `row` are in the next level's vector.
    fn elements(&self, row: usize) -> Range<usize> {
        match self.level {
            Level::List => self.vector.list_entries()[row].range(),
            Level::Array(size) => row * size..(row + 1) * size,
        }
    }
}

struct Lists {
    column: String,
    levels: Vec<Level>,
    element: Box<dyn Converter>,
    element_oid: Oid,
    storage: Storage,
    /// The elements of one list, and what they point at.
    values: Vec<Datum>,
    nulls: Vec<bool>,
    scratch: Arena,
    /// The dimensions of one list, outermost first, and its innermost lists.
    dimensions: Vec<usize>,
    innermost: Vec<Range<usize>>,
}

impl Converter for Lists {
    fn convert(
        &mut self,
        vector: &Vector<'_>,
        rows: Range<usize>,
        mut cells: Cells<'_>,
        arena: &mut Arena,
    ) -> Result<()> {
        let mut bound = Vec::with_capacity(self.levels.len());
        let mut next = *vector;
        for &level in &self.levels {
            let child = match level {
                Level::List => next.list_child(),
                Level::Array(size) => next.array_child(size as u64),
            };
            bound.push(Bound { level, vector: next });
            next = child;
        }
        let validity = vector.validity();
        for (cell, row) in rows.enumerate() {
            if validity.is_some_and(|mask| !is_valid(mask, row)) {
                cells.set_null(cell);
            } else {
                cells.set(cell, self.array(&bound, &next, row, arena)?);
            }
        }
        Ok(())
    }
}

impl Lists {
    fn array(
        &mut self,
        bound: &[Bound<'_>],
        elements: &Vector<'_>,
        row: usize,
        arena: &mut Arena,
    ) -> Result<Datum> {
        self.dimensions.clear();
        self.innermost.clear();
        self.measure(bound, 0, bound[0].elements(row))?;
        let count: usize = self.innermost.iter().map(ExactSizeIterator::len).sum();
        if count > MAX_ELEMENTS {
            return Err(too_large(&self.column));
        }
        self.values.resize(count, Datum::null());
        self.nulls.resize(count, true);
        self.scratch.reset();
        let mut start = 0;
        for range in &self.innermost {
            let end = start + range.len();
            let cells =
                Cells::contiguous(&mut self.values[start..end], &mut self.nulls[start..end]);
            self.element.convert(elements, range.clone(), cells, &mut self.scratch)?;
            start = end;
        }
        self.write(arena)
    }

    /// Collects the innermost lists below the list `range` of level `depth`, and checks that all
    /// lists of a level have the same length.
    fn measure(&mut self, bound: &[Bound<'_>], depth: usize, range: Range<usize>) -> Result<()> {
        match self.dimensions.get(depth) {
            None => self.dimensions.push(range.len()),
            Some(len) if *len == range.len() => {}
            Some(_) => return Err(ragged(&self.column)),
        }
        let Some(inner) = bound.get(depth + 1) else {
            self.innermost.push(range);
            return Ok(());
        };
        let validity = inner.vector.validity();
        for row in range {
            if validity.is_some_and(|mask| !is_valid(mask, row)) {
                return Err(null_list(&self.column));
            }
            self.measure(bound, depth + 1, inner.elements(row))?;
        }
        Ok(())
    }

    /// Writes the array of `values`.
    fn write(&self, arena: &mut Arena) -> Result<Datum> {
        let has_nulls = self.nulls.contains(&true);
        let dimensions = if self.values.is_empty() { &[][..] } else { &self.dimensions };
        let bitmap = FIXED_HEADER + 8 * dimensions.len();
        let bitmap_len = if has_nulls { self.values.len().div_ceil(8) } else { 0 };
        let data = (bitmap + bitmap_len).next_multiple_of(MAX_ALIGN);
        let total = if dimensions.is_empty() { FIXED_HEADER } else { data + self.data_len() };
        let header = varlena::long_header(total).ok_or_else(|| too_large(&self.column))?;
        let small = |n: usize| i32::try_from(n).map_err(|_| too_large(&self.column));

        let out = arena.alloc(total, MAX_ALIGN);
        out.fill(0);
        out[0..4].copy_from_slice(&header);
        out[4..8].copy_from_slice(&small(dimensions.len())?.to_ne_bytes());
        let offset = if has_nulls { small(data)? } else { 0 };
        out[8..12].copy_from_slice(&offset.to_ne_bytes());
        out[12..16].copy_from_slice(&u32::from(self.element_oid).to_ne_bytes());
        for (i, len) in dimensions.iter().enumerate() {
            let (at, lower_bound) =
                (FIXED_HEADER + 4 * i, FIXED_HEADER + 4 * (dimensions.len() + i));
            out[at..at + 4].copy_from_slice(&small(*len)?.to_ne_bytes());
            out[lower_bound..lower_bound + 4].copy_from_slice(&1i32.to_ne_bytes());
        }
        if !dimensions.is_empty() {
            for (i, null) in self.nulls.iter().enumerate().filter(|_| has_nulls) {
                out[bitmap + i / 8] |= u8::from(!null) << (i % 8);
            }
            self.write_data(&mut out[data..]);
        }
        Ok(Datum::from(out.as_mut_ptr()))
    }

    fn present(&self) -> impl Iterator<Item = Datum> {
        self.values.iter().zip(&self.nulls).filter(|(_, null)| !**null).map(|(value, _)| *value)
    }

    /// The bytes of the elements, each padded to its alignment.
    fn data_len(&self) -> usize {
        match self.storage {
            Storage::Value(len) => self.present().count() * len,
            Storage::Reference(len, align) => self.present().count() * len.next_multiple_of(align),
            Storage::Variable => self
                .present()
                .map(|value| {
                    // SAFETY: the element converter made the value in `scratch` just now.
                    let payload = unsafe { payload(value) };
                    (varlena::LONG_HEADER + payload.len()).next_multiple_of(4)
                })
                .sum(),
        }
    }

    fn write_data(&self, out: &mut [u8]) {
        match self.storage {
            Storage::Value(1) => self.write_values::<1>(out),
            Storage::Value(2) => self.write_values::<2>(out),
            Storage::Value(4) => self.write_values::<4>(out),
            Storage::Value(_) => self.write_values::<8>(out),
            Storage::Reference(len, align) => {
                let slots = out.chunks_exact_mut(len.next_multiple_of(align));
                for (slot, value) in slots.zip(self.present()) {
                    // SAFETY: the element converter made a value of `len` bytes just now.
                    let bytes = unsafe {
                        std::slice::from_raw_parts(value.cast_mut_ptr::<u8>().cast_const(), len)
                    };
                    slot[..len].copy_from_slice(bytes);
                }
            }
            Storage::Variable => {
                let mut at = 0;
                for value in self.present() {
                    // SAFETY: the element converter made the value in `scratch` just now.
                    let payload = unsafe { payload(value) };
                    let total = varlena::LONG_HEADER + payload.len();
                    let slot = &mut out[at..at + total];
                    // The whole array has a header, so its elements have.
                    slot[..4].copy_from_slice(&varlena::long_header(total).unwrap_or_default());
                    slot[4..].copy_from_slice(payload);
                    at += total.next_multiple_of(4);
                }
            }
        }
    }

    fn write_values<const LEN: usize>(&self, out: &mut [u8]) {
        let (slots, _) = out.as_chunks_mut::<LEN>();
        for (slot, value) in slots.iter_mut().zip(self.present()) {
            let bytes = value.value().to_ne_bytes();
            let start = if cfg!(target_endian = "big") { bytes.len() - LEN } else { 0 };
            slot.copy_from_slice(&bytes[start..start + LEN]);
        }
    }
}

/// What follows the header of a value that one of the converters made.
///
/// # Safety
/// `value` points at a value with a 1-byte or a 4-byte header, neither compressed nor external,
/// that lives for `'a`.
unsafe fn payload<'a>(value: Datum) -> &'a [u8] {
    let start = value.cast_mut_ptr::<u8>().cast_const();
    // SAFETY: at least the first byte of the header is there, and it tells the length.
    unsafe {
        let total = varlena::total_length(|at| *start.add(at));
        let header = if varlena::is_short(*start) { 1 } else { varlena::LONG_HEADER };
        std::slice::from_raw_parts(start.add(header), total - header)
    }
}

#[cold]
fn too_large(column: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        format!("a list in column \"{column}\" is too large for an array"),
    )
}

const CAST_TO_JSON: &str = "Cast the column to JSON in DuckDB's query.";

#[cold]
fn ragged(column: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_ARRAY_ELEMENT_ERROR,
        format!("lists of different lengths in column \"{column}\" cannot form an array"),
    )
    .detail("A multidimensional array in PostgreSQL is rectangular.")
    .hint(CAST_TO_JSON)
}

#[cold]
fn null_list(column: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_ARRAY_ELEMENT_ERROR,
        format!("a NULL among the lists in column \"{column}\" cannot form an array"),
    )
    .detail("A multidimensional array in PostgreSQL is rectangular.")
    .hint(CAST_TO_JSON)
}

pub(super) fn choose(column: &str, from: &LogicalType) -> Result<Box<dyn Converter>> {
    let (element, _) = crate::types::innermost(from);
    let element_oid = crate::types::pg_type(column, element)?.oid;
    choose_of(column, from, element_oid)
}

/// Arrays whose elements are stored as those of [`choose`] are, and have the type `element_oid`.
pub(super) fn choose_of(
    column: &str,
    from: &LogicalType,
    element_oid: Oid,
) -> Result<Box<dyn Converter>> {
    let (mut levels, mut element) = (Vec::new(), from);
    loop {
        match element {
            LogicalType::List(inner) => {
                levels.push(Level::List);
                element = inner;
            }
            LogicalType::Array(inner, size) => {
                let size = usize::try_from(*size).map_err(|_| too_large(column))?;
                levels.push(Level::Array(size));
                element = inner;
            }
            _ => break,
        }
    }
    Ok(Box::new(Lists {
        column: column.to_owned(),
        levels,
        element: super::choose(column, element)?,
        element_oid,
        storage: Storage::of(element_oid),
        values: Vec::new(),
        nulls: Vec::new(),
        scratch: Arena::new(),
        dimensions: Vec::new(),
        innermost: Vec::new(),
    }))
}
