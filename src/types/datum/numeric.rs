//! Numbers that become numeric: DECIMAL of all widths, UBIGINT, HUGEINT, UHUGEINT and BIGNUM.
//!
//! They get the long varlena header: PostgreSQL's numeric functions copy a value that has the short
//! one.

use std::marker::PhantomData;
use std::ops::Range;

use duck::{LogicalType, Vector};
use encode::numeric::{self, MAX_PAYLOAD};
use encode::{bignum, varlena};
use pgrx::pg_sys::Datum;

use super::{Arena, Cells, Converter, each, text};
use crate::error::{Error, Result};

/// A HUGEINT as DuckDB lays it out. Its vectors are aligned to 8 bytes only, so they are no `i128`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Wide {
    lower: u64,
    upper: u64,
}

impl Wide {
    #[inline]
    pub(super) fn unsigned(self) -> u128 {
        (u128::from(self.upper) << 64) | u128::from(self.lower)
    }

    #[inline]
    pub(super) fn signed(self) -> i128 {
        i128::from_ne_bytes(self.unsigned().to_ne_bytes())
    }
}

/// A numeric whose payload `write` writes.
#[inline(always)]
fn put(write: impl FnOnce(&mut [u8; MAX_PAYLOAD]) -> usize, arena: &mut Arena) -> Datum {
    let room = arena.room(varlena::LONG_HEADER + MAX_PAYLOAD, varlena::LONG_HEADER);
    let (header, payload) = room.split_at_mut(varlena::LONG_HEADER);
    let len = payload.first_chunk_mut().map_or(0, write);
    let total = varlena::LONG_HEADER + len;
    // A few bytes always have a header.
    header.copy_from_slice(&varlena::long_header(total).unwrap_or_default());
    Datum::from(arena.take(total))
}

/// How values of one physical type become numerics.
trait Number {
    type Physical: Copy;
    fn write(value: Self::Physical, scale: u8, out: &mut [u8; MAX_PAYLOAD]) -> usize;
}

macro_rules! numbers {
    ($($name:ident: $physical:ty, |$value:ident, $scale:ident, $out:ident| $write:expr;)*) => {$(
        struct $name;
        impl Number for $name {
            type Physical = $physical;
            #[inline(always)]
            fn write($value: $physical, $scale: u8, $out: &mut [u8; MAX_PAYLOAD]) -> usize {
                $write
            }
        }
    )*};
}

numbers! {
    Decimal16: i16, |v, scale, out| numeric::write_i64(i64::from(v), scale, out);
    Decimal32: i32, |v, scale, out| numeric::write_i64(i64::from(v), scale, out);
    Decimal64: i64, |v, scale, out| numeric::write_i64(v, scale, out);
    Decimal128: Wide, |v, scale, out| numeric::write_i128(v.signed(), scale, out);
    UBigInt: u64, |v, _scale, out| numeric::write_u64(v, out);
    UHugeInt: Wide, |v, _scale, out| numeric::write_u128(v.unsigned(), out);
}

struct Numbers<N> {
    scale: u8,
    number: PhantomData<N>,
}

impl<N: Number> Converter for Numbers<N> {
    fn convert(
        &mut self,
        vector: &Vector<'_>,
        rows: Range<usize>,
        cells: Cells<'_>,
        arena: &mut Arena,
    ) -> Result<()> {
        // SAFETY: `choose` pairs each logical type with its physical type, all plain numbers.
        let values = unsafe { vector.values::<N::Physical>() };
        let scale = self.scale;
        each(values, vector.validity(), rows, cells, |value| {
            Ok(put(|out| N::write(*value, scale, out), arena))
        })
    }
}

struct BigNum {
    column: String,
    payload: Vec<u8>,
}

impl Converter for BigNum {
    fn convert(
        &mut self,
        vector: &Vector<'_>,
        rows: Range<usize>,
        cells: Cells<'_>,
        arena: &mut Arena,
    ) -> Result<()> {
        each(vector.strings(), vector.validity(), rows, cells, |value| {
            self.payload.clear();
            bignum::append_numeric(value.as_bytes(), &mut self.payload)
                .ok_or_else(|| too_many_digits(&self.column))?;
            text::put_long(&self.payload, &self.column, arena)
        })
    }
}

#[cold]
pub(super) fn too_many_digits(column: &str) -> Error {
    Error::out_of_range(format!("BIGNUM out of range in column \"{column}\""))
        .detail("A numeric in PostgreSQL has at most 131072 digits before the decimal point.")
}

/// The integer that holds a DECIMAL, by its width.
#[derive(Clone, Copy)]
pub(super) enum DecimalBits {
    Bits16,
    Bits32,
    Bits64,
    Bits128,
}

impl DecimalBits {
    pub(super) fn of(width: u8) -> Self {
        match width {
            0..=4 => Self::Bits16,
            5..=9 => Self::Bits32,
            10..=18 => Self::Bits64,
            _ => Self::Bits128,
        }
    }
}

pub(super) fn choose(column: &str, from: &LogicalType) -> Option<Box<dyn Converter>> {
    fn numbers<N: Number + 'static>(scale: u8) -> Box<dyn Converter> {
        Box::new(Numbers::<N> { scale, number: PhantomData })
    }
    Some(match *from {
        LogicalType::Decimal { width, scale } => match DecimalBits::of(width) {
            DecimalBits::Bits16 => numbers::<Decimal16>(scale),
            DecimalBits::Bits32 => numbers::<Decimal32>(scale),
            DecimalBits::Bits64 => numbers::<Decimal64>(scale),
            DecimalBits::Bits128 => numbers::<Decimal128>(scale),
        },
        LogicalType::UBigInt => numbers::<UBigInt>(0),
        LogicalType::HugeInt => numbers::<Decimal128>(0),
        LogicalType::UHugeInt => numbers::<UHugeInt>(0),
        LogicalType::BigNum => Box::new(BigNum { column: column.to_owned(), payload: Vec::new() }),
        _ => return None,
    })
}
