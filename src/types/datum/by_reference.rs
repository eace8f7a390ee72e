//! Values of a fixed length that PostgreSQL passes by reference: uuid, interval, timetz; and the
//! bit string.

use std::marker::PhantomData;
use std::ops::Range;

use duck::{LogicalType, Vector};
use encode::{bit, datetime};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Datum;

use super::numeric::Wide;
use super::{Arena, Cells, Converter, each, fixed, text};
use crate::error::{Error, Result};

/// PostgreSQL aligns structs with 64-bit members so.
const ALIGN: usize = 8;

/// An INTERVAL as DuckDB lays it out.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct DuckInterval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

/// How values of one type become bytes.
trait Bytes {
    type Physical: Copy;
    type Out: AsRef<[u8]>;
    /// `None` when PostgreSQL's type cannot hold the value.
    fn bytes(value: Self::Physical) -> Option<Self::Out>;
}

struct Uuid;

impl Bytes for Uuid {
    type Physical = Wide;
    type Out = [u8; 16];

    fn bytes(value: Wide) -> Option<[u8; 16]> {
        Some(encode::text::uuid_bytes(value.signed()))
    }
}

struct Interval;

impl Bytes for Interval {
    type Physical = DuckInterval;
    type Out = [u8; 16];

    /// The struct Interval: microseconds, days, months.
    fn bytes(value: DuckInterval) -> Option<[u8; 16]> {
        let DuckInterval { months, days, micros } = value;
        // From 17 on, PostgreSQL takes these for its infinities.
        let infinite = |month, day, time| (months, days, micros) == (month, day, time);
        if infinite(i32::MAX, i32::MAX, i64::MAX) || infinite(i32::MIN, i32::MIN, i64::MIN) {
            return None;
        }
        let mut out = [0; 16];
        out[..8].copy_from_slice(&micros.to_ne_bytes());
        out[8..12].copy_from_slice(&days.to_ne_bytes());
        out[12..].copy_from_slice(&months.to_ne_bytes());
        Some(out)
    }
}

struct TimeTz;

impl Bytes for TimeTz {
    type Physical = u64;
    type Out = [u8; 12];

    /// The struct TimeTzADT: microseconds, and the offset in seconds west of UTC.
    fn bytes(value: u64) -> Option<[u8; 12]> {
        let (micros, east) = datetime::unpack_timetz(value)?;
        let micros = datetime::time_from_duck(micros)?;
        let mut out = [0; 12];
        out[..8].copy_from_slice(&micros.to_ne_bytes());
        out[8..].copy_from_slice(&(-east).to_ne_bytes());
        Some(out)
    }
}

struct Fixed<B> {
    column: String,
    from: &'static str,
    bytes: PhantomData<B>,
}

impl<B: Bytes> Converter for Fixed<B> {
    fn convert(
        &mut self,
        vector: &Vector<'_>,
        rows: Range<usize>,
        cells: Cells<'_>,
        arena: &mut Arena,
    ) -> Result<()> {
        // SAFETY: `choose` pairs each logical type with its physical type, all plain numbers.
        let values = unsafe { vector.values::<B::Physical>() };
        each(values, vector.validity(), rows, cells, |value| {
            let bytes =
                B::bytes(*value).ok_or_else(|| fixed::out_of_range(self.from, &self.column))?;
            let bytes = bytes.as_ref();
            let out = arena.alloc(bytes.len(), ALIGN);
            out.copy_from_slice(bytes);
            Ok(Datum::from(out.as_mut_ptr()))
        })
    }
}

/// BIT as varbit: the number of bits, then the bits.
struct Bit {
    column: String,
    payload: Vec<u8>,
}

impl Converter for Bit {
    fn convert(
        &mut self,
        vector: &Vector<'_>,
        rows: Range<usize>,
        cells: Cells<'_>,
        arena: &mut Arena,
    ) -> Result<()> {
        each(vector.strings(), vector.validity(), rows, cells, |value| {
            let bits = value.as_bytes();
            let count = i32::try_from(bit::len(bits)).map_err(|_| too_many_bits(&self.column))?;
            self.payload.clear();
            self.payload.extend_from_slice(&count.to_ne_bytes());
            bit::append_packed(bits, &mut self.payload);
            text::put_long(&self.payload, &self.column, arena)
        })
    }
}

#[cold]
fn too_many_bits(column: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        format!("a bit string in column \"{column}\" is too long"),
    )
}

pub(super) fn choose(column: &str, from: &LogicalType) -> Option<Box<dyn Converter>> {
    fn fixed<B: Bytes + 'static>(column: &str, from: &'static str) -> Box<dyn Converter> {
        Box::new(Fixed::<B> { column: column.to_owned(), from, bytes: PhantomData })
    }
    Some(match from {
        LogicalType::Uuid => fixed::<Uuid>(column, "uuid"),
        LogicalType::Interval => fixed::<Interval>(column, "interval"),
        LogicalType::TimeTz => fixed::<TimeTz>(column, "time with time zone"),
        LogicalType::Bit => Box::new(Bit { column: column.to_owned(), payload: Vec::new() }),
        _ => return None,
    })
}
