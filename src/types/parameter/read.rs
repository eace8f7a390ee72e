//! Reading Datums.

use std::ffi::CStr;

use duck::{LogicalType, Value};
use encode::numeric::{self, Decoded};
use encode::{bit, datetime, varlena};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Datum, Oid};

use super::{ElementStorage, Field, Kind, Parameter, fit};
use crate::error::{Error, Result};

impl Parameter {
    /// What PostgreSQL allocates on the way is left in the current memory context.
    ///
    /// # Safety
    /// `datum` is a value, not NULL, of the type that `kind` was made for.
    pub(super) unsafe fn read(&self, kind: &Kind, datum: Datum) -> Result<Value> {
        // SAFETY: by contract the value has the representation that is read: the C structs
        // of PostgreSQL's date/time.h, timestamp.h, uuid.h and varbit.h.
        unsafe {
            Ok(match kind {
                Kind::Boolean => Value::Boolean(low::<1>(datum) != [0]),
                Kind::Int2 => Value::SmallInt(i16::from_ne_bytes(low(datum))),
                Kind::Int4 => Value::Integer(i32::from_ne_bytes(low(datum))),
                Kind::Int8 => Value::BigInt(i64::from_ne_bytes(low(datum))),
                Kind::Oid => Value::BigInt(u32::from_ne_bytes(low(datum)).into()),
                Kind::Float4 => Value::Float(f32::from_ne_bytes(low(datum))),
                Kind::Float8 => Value::Double(f64::from_ne_bytes(low(datum))),
                Kind::Numeric(decimal) => self.numeric(payload(datum), *decimal)?,
                Kind::Text => self.text(payload(datum))?,
                Kind::Bpchar => self.text(without_blanks(payload(datum)))?,
                Kind::CString => self.text(CStr::from_ptr(datum.cast_mut_ptr()).to_bytes())?,
                Kind::Output(function) => {
                    let text = pg_sys::OidOutputFunctionCall(*function, datum);
                    self.text(CStr::from_ptr(text).to_bytes())?
                }
                Kind::Json(inner) => match self.read(inner, datum)? {
                    Value::Varchar(text) => Value::Json(text),
                    other => other,
                },
                Kind::Bytea => Value::Blob(payload(datum).to_vec()),
                Kind::Bit => self.bits(payload(datum))?,
                Kind::Uuid => Value::Uuid(fixed(datum)),
                Kind::Date => {
                    let days = i32::from_ne_bytes(low(datum));
                    datetime::date_to_duck(days).map(Value::Date).ok_or_else(|| self.overflow())?
                }
                Kind::Time => Value::Time(i64::from_ne_bytes(low(datum))),
                Kind::TimeTz => {
                    let (micros, offset_seconds) = timetz(datum);
                    Value::TimeTz { micros, offset_seconds }
                }
                Kind::Timestamp => Value::Timestamp(self.timestamp(datum)?),
                Kind::TimestampTz => Value::TimestampTz(self.timestamp(datum)?),
                Kind::Interval => self.interval(&fixed(datum))?,
                Kind::Array(element, storage) => self.array(element, storage, datum)?,
                Kind::Composite(fields) => self.composite(fields, datum)?,
            })
        }
    }

    fn text(&self, bytes: &[u8]) -> Result<Value> {
        self.encoding.decode(bytes).map(Value::Varchar)
    }

    fn timestamp(&self, datum: Datum) -> Result<i64> {
        let micros = i64::from_ne_bytes(low(datum));
        datetime::timestamp_to_duck(micros).ok_or_else(|| self.overflow())
    }

    fn interval(&self, bytes: &[u8; 16]) -> Result<Value> {
        let (months, days, micros) = finite_interval(bytes).ok_or_else(|| self.overflow())?;
        Ok(Value::Interval { months, days, micros })
    }

    fn bits(&self, payload: &[u8]) -> Result<Value> {
        let count = payload.first_chunk().map_or(0, |count| i32::from_ne_bytes(*count));
        match usize::try_from(count) {
            Ok(count) if count > 0 => Ok(Value::Bit(bit::unpack(count, &payload[4..]))),
            _ => Err(Error::new(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("parameter {} is an empty bit string, which DuckDB lacks", self.name),
            )),
        }
    }

    fn numeric(&self, payload: &[u8], decimal: Option<(u8, u8)>) -> Result<Value> {
        let parts = match numeric::decode(payload) {
            Some(Decoded::Finite(parts)) => parts,
            Some(Decoded::NotANumber) => return Err(self.no_decimal("is NaN")),
            _ => return Err(self.no_decimal("is infinite")),
        };
        let typed = decimal.map(|(width, scale)| (width, u16::from(scale)));
        // Of an unbounded numeric, the digits that it shows; else only those that it needs.
        let candidates = typed
            .into_iter()
            .chain([parts.scale, parts.needed_scale()].map(|scale| (numeric::DUCK_WIDTH, scale)));
        for (width, scale) in candidates {
            let Ok(scale) = u8::try_from(scale) else { continue };
            let unscaled = parts.unscaled(scale).filter(|_| scale <= width);
            if let Some(unscaled) = unscaled.filter(|n| numeric::fits_width(*n, width)) {
                return Ok(Value::Decimal { width, scale, unscaled });
            }
        }
        Err(self.no_decimal("has more than 38 digits"))
    }

    #[cold]
    fn no_decimal(&self, why: &str) -> Error {
        Error::out_of_range(format!("numeric parameter {} {why}", self.name))
            .detail("DuckDB's DECIMAL has at most 38 digits, no NaN and no infinity.")
            .hint("Pass it as double precision or as text.")
    }

    #[cold]
    fn overflow(&self) -> Error {
        Error::new(
            PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
            format!("date or time out of DuckDB's range in parameter {}", self.name),
        )
    }

    /// # Safety
    /// `datum` is an array of the elements that `element` and `storage` describe.
    unsafe fn array(
        &self,
        element: &Kind,
        storage: &ElementStorage,
        datum: Datum,
    ) -> Result<Value> {
        // SAFETY: a live array by contract; detoasted, it starts with an ArrayType, followed by
        // `ndim` lengths. deconstruct_array returns as many values and flags as elements.
        let (lengths, elements) = unsafe {
            let array = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
            let dimensions = usize::try_from((*array).ndim).unwrap_or(0);
            let lengths = std::slice::from_raw_parts(array.add(1).cast::<i32>(), dimensions);
            let (mut values, mut nulls) = (std::ptr::null_mut(), std::ptr::null_mut());
            let mut count = 0;
            pg_sys::deconstruct_array(
                array,
                storage.oid,
                storage.len.into(),
                storage.by_value,
                storage.align,
                &raw mut values,
                &raw mut nulls,
                &raw mut count,
            );
            let elements = (0..usize::try_from(count).unwrap_or(0))
                .map(|i| (!*nulls.add(i)).then(|| self.read(element, *values.add(i))).transpose())
                .collect::<Result<Vec<_>>>()?;
            (lengths, elements)
        };
        let element_type =
            fit::common(elements.iter().flatten()).unwrap_or_else(|| element.logical_type());
        let elements = elements
            .into_iter()
            .map(|value| match value {
                Some(value) => fit::fit(&self.name, value, &element_type),
                None => Ok(Value::Null(element_type.clone())),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(nest(element_type, elements, lengths))
    }

    /// # Safety
    /// `datum` is a row of the composite type that `fields` describes.
    unsafe fn composite(&self, fields: &[Field], datum: Datum) -> Result<Value> {
        // SAFETY: a live row by contract; detoasted, it is a HeapTupleHeader that names its type,
        // whose descriptor says how many values heap_deform_tuple fills in.
        let attributes: Vec<(Oid, Option<Datum>)> = unsafe {
            let header = pg_sys::pg_detoast_datum(datum.cast_mut_ptr())
                .cast::<pg_sys::HeapTupleHeaderData>();
            let row_type = (*header).t_choice.t_datum;
            let descriptor =
                pg_sys::lookup_rowtype_tupdesc_copy(row_type.datum_typeid, row_type.datum_typmod);
            let mut tuple = pg_sys::HeapTupleData {
                t_len: u32::try_from(varlena::total_length(|at| *header.cast::<u8>().add(at)))
                    .unwrap_or(0),
                t_data: header,
                ..Default::default()
            };
            let count = usize::try_from((*descriptor).natts).unwrap_or(0);
            let (mut values, mut nulls) = (vec![Datum::null(); count], vec![true; count]);
            pg_sys::heap_deform_tuple(
                &raw mut tuple,
                descriptor,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
            let descriptor = pgrx::PgTupleDesc::from_pg_is_copy(descriptor);
            let types = descriptor.iter().map(|attribute| attribute.atttypid);
            let values = values.iter().zip(nulls).map(|(value, null)| (!null).then_some(*value));
            types.zip(values).collect()
        };
        let field_value = |field: &Field| {
            let value = match attributes.get(field.index) {
                Some((oid, value)) if *oid == field.oid => *value,
                _ => return Err(self.changed()),
            };
            let value = match value {
                // SAFETY: the row's own type says that the value has this type.
                Some(value) => unsafe { self.read(&field.kind, value)? },
                None => Value::Null(field.kind.logical_type()),
            };
            Ok((field.name.clone(), value))
        };
        fields.iter().map(field_value).collect::<Result<Vec<_>>>().map(Value::Struct)
    }

    #[cold]
    fn changed(&self) -> Error {
        Error::new(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!("the composite type of parameter {} has changed", self.name),
        )
    }
}

/// Elements in row-major order as lists of lists with these lengths. An array without dimensions
/// is an empty list.
fn nest(element_type: LogicalType, elements: Vec<Value>, lengths: &[i32]) -> Value {
    let (mut level_type, mut level) = (element_type, elements);
    for length in lengths.iter().skip(1).rev() {
        let length = usize::try_from(*length).unwrap_or(1).max(1);
        let mut rest = level.into_iter();
        let mut lists = Vec::new();
        while rest.len() > 0 {
            let list = rest.by_ref().take(length).collect();
            lists.push(Value::List(level_type.clone(), list));
        }
        level = lists;
        level_type = LogicalType::List(Box::new(level_type));
    }
    Value::List(level_type, level)
}

/// Months, days and microseconds of an interval; `None` for an infinite one.
pub fn finite_interval(bytes: &[u8; 16]) -> Option<(i32, i32, i64)> {
    let micros = word(bytes, 0);
    let (days, months) = (i32::from_ne_bytes(part(bytes, 8)), i32::from_ne_bytes(part(bytes, 12)));
    // From 17 on these are infinities.
    let infinite = |month, day, time| (months, days, micros) == (month, day, time);
    if cfg!(any(feature = "pg17", feature = "pg18"))
        && (infinite(i32::MAX, i32::MAX, i64::MAX) || infinite(i32::MIN, i32::MIN, i64::MIN))
    {
        return None;
    }
    Some((months, days, micros))
}

/// Microseconds since midnight, and the offset in seconds east of UTC.
///
/// # Safety
/// `datum` is a timetz.
pub unsafe fn timetz(datum: Datum) -> (i64, i32) {
    // SAFETY: by contract 12 bytes; the offset counts west.
    let bytes: [u8; 12] = unsafe { fixed(datum) };
    (word(&bytes, 0), -i32::from_ne_bytes(part(&bytes, 8)))
}

/// A char(n) as it compares.
pub fn without_blanks(padded: &[u8]) -> &[u8] {
    let blanks = padded.iter().rev().take_while(|byte| **byte == b' ').count();
    &padded[..padded.len() - blanks]
}

/// The lowest `N` bytes of a value that is passed by value.
pub fn low<const N: usize>(datum: Datum) -> [u8; N] {
    let bytes = datum.value().to_ne_bytes();
    let start = if cfg!(target_endian = "big") { bytes.len() - N } else { 0 };
    part(&bytes, start)
}

pub fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

pub fn word(bytes: &[u8], at: usize) -> i64 {
    i64::from_ne_bytes(part(bytes, at))
}

/// The bytes of a value of fixed length that is passed by reference.
///
/// # Safety
/// `datum` points at `N` bytes.
pub unsafe fn fixed<const N: usize>(datum: Datum) -> [u8; N] {
    // SAFETY: by contract; an array of bytes has no alignment.
    unsafe { *datum.cast_mut_ptr::<[u8; N]>() }
}

/// What follows the header of a value, read from where it is stored if need be.
///
/// # Safety
/// `datum` points at a varlena, which lives at least as long as the current memory context.
pub unsafe fn payload<'a>(datum: Datum) -> &'a [u8] {
    // SAFETY: by contract; the result has a short header or a plain long one.
    unsafe {
        let mut start = datum.cast_mut_ptr::<u8>();
        if !varlena::is_plain(*start) {
            start = pg_sys::pg_detoast_datum_packed(start.cast()).cast::<u8>();
        }
        let total = varlena::total_length(|at| *start.add(at));
        let header = if varlena::is_short(*start) { 1 } else { varlena::LONG_HEADER };
        std::slice::from_raw_parts(start.add(header), total - header)
    }
}
