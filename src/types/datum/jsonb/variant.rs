//! VARIANT, in the layout of DuckDB 1.5 (`src/include/duckdb/common/types/variant.hpp`).
//!
//! It is a struct of `keys VARCHAR[]`, `children STRUCT(keys_index UINTEGER, values_index
//! UINTEGER)[]`, `values STRUCT(type_id UTINYINT, byte_offset UINTEGER)[]` and `data BLOB`. Value 0
//! is the outermost one. Scalars are in `data`, numbers in the machine's byte order; strings after
//! a varint with their length; containers are a varint with the number of their children and, when
//! there are any, one with the index of the first in `children`.

use duck::Vector;
use encode::jsonb::Container;
use encode::{bit, text};
use pgrx::pg_sys;

use super::super::numeric::DecimalBits;
use super::leaf::{Leaf, MICROS, MILLIS, NANOS, timestamptz};
use super::node::{Bound, sort_entries};
use super::{Output, corrupted};
use crate::error::Result;

/// The vectors: keys, their text, children, their two fields, values, their two fields, data.
pub(super) fn children<'c>(vector: &Vector<'c>) -> Vec<Bound<'c>> {
    let [keys, children, values, data] = [0, 1, 2, 3].map(|field| vector.struct_child(field));
    let (child, value) = (children.list_child(), values.list_child());
    vec![
        keys,
        keys.list_child(),
        children,
        child.struct_child(0),
        child.struct_child(1),
        values,
        value.struct_child(0),
        value.struct_child(1),
        data,
    ]
    .into_iter()
    .map(Bound::plain)
    .collect()
}

/// One VARIANT: its parts of the vectors.
struct Variant<'c> {
    keys: Vector<'c>,
    first_key: usize,
    keys_index: &'c [u32],
    values_index: &'c [u32],
    type_ids: &'c [u8],
    byte_offsets: &'c [u32],
    data: &'c [u8],
}

/// Writes the VARIANT at `row` as the next entry of `outer`.
pub(super) fn write(
    bound: &[Bound<'_>],
    row: usize,
    out: &mut Output,
    outer: &mut Container,
) -> Result<()> {
    let variant = open(bound, row).ok_or_else(|| corrupted(&out.column))?;
    variant.write(0, out, outer)
}

fn open<'c>(bound: &[Bound<'c>], row: usize) -> Option<Variant<'c>> {
    let [keys, key_text, children, keys_index, values_index, values, type_ids, offsets, data] =
        bound
    else {
        return None;
    };
    let children = children.vector.list_entries().get(row)?.range();
    let values = values.vector.list_entries().get(row)?.range();
    // SAFETY: the types of these fields are as the module's documentation says.
    unsafe {
        Some(Variant {
            keys: key_text.vector,
            first_key: keys.vector.list_entries().get(row)?.range().start,
            keys_index: keys_index.vector.values::<u32>().get(children.clone())?,
            values_index: values_index.vector.values::<u32>().get(children)?,
            type_ids: type_ids.vector.values::<u8>().get(values.clone())?,
            byte_offsets: offsets.vector.values::<u32>().get(values)?,
            data: data.vector.strings().get(row)?.as_bytes(),
        })
    }
}

/// What value a number of `type_ids` stands for (`VariantLogicalType`).
enum Value<'c> {
    Leaf(Leaf<'c>),
    /// Positions in `children`.
    Array(std::ops::Range<usize>),
    Object(std::ops::Range<usize>),
}

impl<'c> Variant<'c> {
    fn write(&self, index: usize, out: &mut Output, outer: &mut Container) -> Result<()> {
        // SAFETY: reads the stack's address; raises PostgreSQL's own error 54001.
        unsafe { pg_sys::check_stack_depth() };
        match self.value(index).ok_or_else(|| corrupted(&out.column))? {
            Value::Leaf(leaf) => leaf.write(out, outer),
            Value::Array(children) => {
                let mut array = out.begin_array(children.len())?;
                for child in children {
                    self.write(self.values_index[child] as usize, out, &mut array)?;
                }
                out.end(array, outer)
            }
            Value::Object(children) => {
                let mut entries = Vec::with_capacity(children.len());
                for child in children {
                    let key = self.first_key + self.keys_index[child] as usize;
                    let key = self.keys.strings().get(key);
                    let key = key.ok_or_else(|| corrupted(&out.column))?;
                    let key = out.encoded(key.as_bytes())?.into_owned();
                    entries.push((key, self.values_index[child] as usize));
                }
                sort_entries(&mut entries);
                let mut object = out.begin_object(entries.iter().map(|(key, _)| key.as_slice()))?;
                for (_, value) in &entries {
                    self.write(*value, out, &mut object)?;
                }
                out.end(object, outer)
            }
        }
    }

    fn value(&self, index: usize) -> Option<Value<'c>> {
        let type_id = *self.type_ids.get(index)?;
        let offset = usize::try_from(*self.byte_offsets.get(index)?).ok()?;
        let mut reader = Reader(self.data.get(offset..)?);
        Some(Value::Leaf(match type_id {
            0 => Leaf::Null,
            1 => Leaf::Boolean(true),
            2 => Leaf::Boolean(false),
            3 => Leaf::Signed(i8::from_ne_bytes(reader.take()?).into()),
            4 => Leaf::Signed(i16::from_ne_bytes(reader.take()?).into()),
            5 => Leaf::Signed(i32::from_ne_bytes(reader.take()?).into()),
            6 => Leaf::Signed(i64::from_ne_bytes(reader.take()?).into()),
            7 => Leaf::Signed(reader.wide()?),
            8 => Leaf::Unsigned(u8::from_ne_bytes(reader.take()?).into()),
            9 => Leaf::Unsigned(u16::from_ne_bytes(reader.take()?).into()),
            10 => Leaf::Unsigned(u32::from_ne_bytes(reader.take()?).into()),
            11 => Leaf::Unsigned(u64::from_ne_bytes(reader.take()?).into()),
            12 => Leaf::Unsigned(u128::from_ne_bytes(reader.wide()?.to_ne_bytes())),
            13 => Leaf::Float(f32::from_ne_bytes(reader.take()?)),
            14 => Leaf::Double(f64::from_ne_bytes(reader.take()?)),
            15 => reader.decimal()?,
            16 => Leaf::Text(reader.string()?),
            // BLOB and GEOMETRY
            17 | 33 => Leaf::Plain(text::bytea(reader.string()?)),
            18 => Leaf::Plain(text::uuid(reader.wide()?)),
            19 => Leaf::Plain(text::date(i32::from_ne_bytes(reader.take()?))),
            20 => Leaf::Plain(text::time(reader.i64()?, MICROS)),
            21 => Leaf::Plain(text::time(reader.i64()?, NANOS)),
            22 => Leaf::Plain(text::timestamp(reader.i64()?, 1, "")),
            23 => Leaf::Plain(text::timestamp(reader.i64()?, MILLIS, "")),
            24 => Leaf::Plain(text::timestamp(reader.i64()?, MICROS, "")),
            25 => Leaf::Plain(text::timestamp(reader.i64()?, NANOS, "")),
            26 => Leaf::Plain(text::timetz(u64::from_ne_bytes(reader.take()?))),
            27 => timestamptz(reader.i64()?),
            28 => {
                let months = i32::from_ne_bytes(reader.take()?);
                let days = i32::from_ne_bytes(reader.take()?);
                Leaf::Plain(text::interval(months, days, reader.i64()?))
            }
            29 => return Some(Value::Object(self.children(&mut reader)?)),
            30 => return Some(Value::Array(self.children(&mut reader)?)),
            31 => Leaf::BigNum(reader.string()?),
            32 => Leaf::Plain(bit::text(reader.string()?)),
            _ => return None,
        }))
    }

    fn children(&self, reader: &mut Reader<'c>) -> Option<std::ops::Range<usize>> {
        let count = reader.varint()?;
        let start = if count == 0 { 0 } else { reader.varint()? };
        let end = start.checked_add(count)?;
        (end <= self.values_index.len()).then_some(start..end)
    }
}

/// Reads `data` from some offset on.
struct Reader<'c>(&'c [u8]);

impl<'c> Reader<'c> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_ne_bytes)
    }

    /// A HUGEINT: the lower half, then the upper.
    fn wide(&mut self) -> Option<i128> {
        let lower = u64::from_ne_bytes(self.take()?);
        let upper = self.i64()?;
        Some((i128::from(upper) << 64) | i128::from(lower))
    }

    /// Seven bits a byte, the lowest first, the top bit set in all but the last.
    fn varint(&mut self) -> Option<usize> {
        let mut value: u32 = 0;
        for shift in (0..32).step_by(7) {
            let [byte] = self.take()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return usize::try_from(value).ok();
            }
        }
        None
    }

    fn string(&mut self) -> Option<&'c [u8]> {
        let len = self.varint()?;
        self.0.get(..len)
    }

    /// Width, scale, and the value in as many bytes as DuckDB uses for that width.
    fn decimal(&mut self) -> Option<Leaf<'c>> {
        let width = u8::try_from(self.varint()?).ok()?;
        let scale = u8::try_from(self.varint()?).ok().filter(|scale| *scale <= 38)?;
        let unscaled = match DecimalBits::of(width) {
            DecimalBits::Bits16 => i16::from_ne_bytes(self.take()?).into(),
            DecimalBits::Bits32 => i32::from_ne_bytes(self.take()?).into(),
            DecimalBits::Bits64 => i64::from_ne_bytes(self.take()?).into(),
            DecimalBits::Bits128 => self.wide()?,
        };
        Some(Leaf::Decimal(unscaled, scale))
    }
}
