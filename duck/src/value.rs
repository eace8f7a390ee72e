//! Values handed to DuckDB as parameters.

use libduckdb_sys as sys;

use crate::error::{Error, ErrorKind, Result};
use crate::logical_type::LogicalType;

/// A parameter's value. Units are DuckDB's: days since 1970-01-01 for dates, microseconds since
/// midnight for times, microseconds since 1970-01-01 00:00 (UTC) for timestamps.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL of a type.
    Null(LogicalType),
    Boolean(bool),
    SmallInt(i16),
    Integer(i32),
    BigInt(i64),
    HugeInt(i128),
    Float(f32),
    Double(f64),
    Decimal {
        width: u8,
        scale: u8,
        unscaled: i128,
    },
    /// Any whole number: its sign and its magnitude, most significant byte first.
    BigNum {
        negative: bool,
        magnitude: Vec<u8>,
    },
    Varchar(String),
    /// The text of a JSON value.
    Json(String),
    Blob(Vec<u8>),
    /// The bits as '0' and '1'.
    Bit(String),
    Uuid([u8; 16]),
    Date(i32),
    Time(i64),
    /// The offset in seconds east of UTC.
    TimeTz {
        micros: i64,
        offset_seconds: i32,
    },
    Timestamp(i64),
    TimestampTz(i64),
    Interval {
        months: i32,
        days: i32,
        micros: i64,
    },
    /// The element type, and the elements.
    List(LogicalType, Vec<Value>),
    /// The names and values of the fields.
    Struct(Vec<(String, Value)>),
}

pub(crate) struct RawValue(sys::duckdb_value);

impl RawValue {
    pub(crate) fn as_ptr(&self) -> sys::duckdb_value {
        self.0
    }
}

impl Drop for RawValue {
    fn drop(&mut self) {
        // SAFETY: owned, destroyed once; NULL is allowed.
        unsafe { sys::duckdb_destroy_value(&raw mut self.0) };
    }
}

pub(crate) fn wide_halves(value: i128) -> (u64, i64) {
    // Splitting into halves keeps all bits.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bit halves")]
    ((value as u64), (value >> 64) as i64)
}

impl Value {
    /// The DuckDB type of the value.
    #[must_use]
    pub fn logical_type(&self) -> LogicalType {
        match self {
            Self::Null(logical_type) => logical_type.clone(),
            Self::Boolean(_) => LogicalType::Boolean,
            Self::SmallInt(_) => LogicalType::SmallInt,
            Self::Integer(_) => LogicalType::Integer,
            Self::BigInt(_) => LogicalType::BigInt,
            Self::HugeInt(_) => LogicalType::HugeInt,
            Self::Float(_) => LogicalType::Float,
            Self::Double(_) => LogicalType::Double,
            Self::Decimal { width, scale, .. } => {
                LogicalType::Decimal { width: *width, scale: *scale }
            }
            Self::BigNum { .. } => LogicalType::BigNum,
            Self::Varchar(_) => LogicalType::Varchar,
            Self::Json(_) => LogicalType::Json,
            Self::Blob(_) => LogicalType::Blob,
            Self::Bit(_) => LogicalType::Bit,
            Self::Uuid(_) => LogicalType::Uuid,
            Self::Date(_) => LogicalType::Date,
            Self::Time(_) => LogicalType::Time,
            Self::TimeTz { .. } => LogicalType::TimeTz,
            Self::Timestamp(_) => LogicalType::Timestamp,
            Self::TimestampTz(_) => LogicalType::TimestampTz,
            Self::Interval { .. } => LogicalType::Interval,
            Self::List(element, _) => LogicalType::List(Box::new(element.clone())),
            Self::Struct(fields) => LogicalType::Struct(
                fields.iter().map(|(name, value)| (name.clone(), value.logical_type())).collect(),
            ),
        }
    }

    /// A value of the same type that is not NULL, for finding out what a query's columns are: NULL
    /// becomes zero, the empty text, 1970-01-01 and the like.
    #[must_use]
    pub fn stand_in(&self) -> Self {
        let Self::Null(logical_type) = self else { return self.clone() };
        match logical_type {
            LogicalType::Boolean => Self::Boolean(false),
            LogicalType::SmallInt => Self::SmallInt(0),
            LogicalType::Integer => Self::Integer(0),
            LogicalType::BigInt => Self::BigInt(0),
            LogicalType::HugeInt => Self::HugeInt(0),
            LogicalType::Float => Self::Float(0.0),
            LogicalType::Double => Self::Double(0.0),
            LogicalType::Decimal { width, scale } => {
                Self::Decimal { width: *width, scale: *scale, unscaled: 0 }
            }
            LogicalType::Varchar => Self::Varchar(String::new()),
            LogicalType::Json => Self::Json("null".into()),
            LogicalType::Blob => Self::Blob(vec![]),
            LogicalType::Bit => Self::Bit("0".into()),
            LogicalType::Uuid => Self::Uuid([0; 16]),
            LogicalType::Date => Self::Date(0),
            LogicalType::Time => Self::Time(0),
            LogicalType::TimeTz => Self::TimeTz { micros: 0, offset_seconds: 0 },
            LogicalType::Timestamp => Self::Timestamp(0),
            LogicalType::TimestampTz => Self::TimestampTz(0),
            LogicalType::Interval => Self::Interval { months: 0, days: 0, micros: 0 },
            LogicalType::List(element) => {
                Self::List((**element).clone(), vec![Self::Null((**element).clone()).stand_in()])
            }
            LogicalType::Struct(fields) => {
                let stand_in = |(name, field): &(String, LogicalType)| {
                    (name.clone(), Self::Null(field.clone()).stand_in())
                };
                Self::Struct(fields.iter().map(stand_in).collect())
            }
            _ => self.clone(),
        }
    }

    pub(crate) fn to_raw(&self) -> Result<RawValue> {
        let raw = self.create()?;
        if raw.0.is_null() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("DuckDB refuses a parameter of type {}", self.logical_type()),
            ));
        }
        Ok(raw)
    }

    fn create(&self) -> Result<RawValue> {
        // SAFETY: every constructor copies what it is given and returns a new value, which
        // RawValue destroys.
        Ok(RawValue(unsafe {
            match self {
                Self::Null(logical_type) => return typed_null(logical_type),
                Self::Boolean(v) => sys::duckdb_create_bool(*v),
                Self::SmallInt(v) => sys::duckdb_create_int16(*v),
                Self::Integer(v) => sys::duckdb_create_int32(*v),
                Self::BigInt(v) => sys::duckdb_create_int64(*v),
                Self::HugeInt(v) => {
                    let (lower, upper) = wide_halves(*v);
                    sys::duckdb_create_hugeint(sys::duckdb_hugeint { lower, upper })
                }
                Self::Float(v) => sys::duckdb_create_float(*v),
                Self::Double(v) => sys::duckdb_create_double(*v),
                Self::Decimal { width, scale, unscaled } => {
                    let (lower, upper) = wide_halves(*unscaled);
                    let value = sys::duckdb_hugeint { lower, upper };
                    sys::duckdb_create_decimal(sys::duckdb_decimal {
                        width: *width,
                        scale: *scale,
                        value,
                    })
                }
                Self::BigNum { negative, magnitude } => {
                    sys::duckdb_create_bignum(sys::duckdb_bignum {
                        data: magnitude.as_ptr().cast_mut(),
                        size: magnitude.len() as u64,
                        is_negative: *negative,
                    })
                }
                Self::Varchar(text) => sys::duckdb_create_varchar_length(
                    text.as_ptr().cast::<std::ffi::c_char>(),
                    text.len() as u64,
                ),
                Self::Json(text) => return json_value(text),
                Self::Blob(bytes) => sys::duckdb_create_blob(bytes.as_ptr(), bytes.len() as u64),
                Self::Bit(bits) => return bit_value(bits),
                Self::Uuid(bytes) => {
                    let value = u128::from_be_bytes(*bytes);
                    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
                    let lower = value as u64;
                    let upper = (value >> 64) as u64;
                    sys::duckdb_create_uuid(sys::duckdb_uhugeint { lower, upper })
                }
                Self::Date(days) => sys::duckdb_create_date(sys::duckdb_date { days: *days }),
                Self::Time(micros) => sys::duckdb_create_time(sys::duckdb_time { micros: *micros }),
                Self::TimeTz { micros, offset_seconds } => sys::duckdb_create_time_tz_value(
                    sys::duckdb_create_time_tz(*micros, *offset_seconds),
                ),
                Self::Timestamp(micros) => {
                    sys::duckdb_create_timestamp(sys::duckdb_timestamp { micros: *micros })
                }
                Self::TimestampTz(micros) => {
                    sys::duckdb_create_timestamp_tz(sys::duckdb_timestamp { micros: *micros })
                }
                Self::Interval { months, days, micros } => {
                    sys::duckdb_create_interval(sys::duckdb_interval {
                        months: *months,
                        days: *days,
                        micros: *micros,
                    })
                }
                Self::List(element, values) => return list_value(element, values),
                Self::Struct(fields) => return struct_value(fields),
            }
        }))
    }
}

/// Bits are packed behind a byte that counts the padding bits, which are set, at the front.
pub(crate) fn pack_bits(bits: &str) -> Result<Vec<u8>> {
    if bits.is_empty() || !bits.bytes().all(|b| b == b'0' || b == b'1') {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "a BIT value needs at least one bit, each 0 or 1",
        ));
    }
    let padding = (8 - bits.len() % 8) % 8;
    let mut data = vec![u8::try_from(padding).unwrap_or(0)];
    data.resize(1 + bits.len().div_ceil(8), 0);
    let padded = std::iter::repeat_n(b'1', padding).chain(bits.bytes());
    for (position, bit) in padded.enumerate() {
        if bit == b'1' {
            data[1 + position / 8] |= 0x80 >> (position % 8);
        }
    }
    Ok(data)
}

fn bit_value(bits: &str) -> Result<RawValue> {
    let mut data = pack_bits(bits)?;
    let bit = sys::duckdb_bit { data: data.as_mut_ptr(), size: data.len() as u64 };
    // SAFETY: the data is copied.
    Ok(RawValue(unsafe { sys::duckdb_create_bit(bit) }))
}

/// JSON is VARCHAR with another name; an element of a list of that type has it.
fn json_value(text: &str) -> Result<RawValue> {
    let text = Value::Varchar(text.to_owned());
    let list = list_value(&LogicalType::Json, &[text])?;
    // SAFETY: a live list of one element; a new value is returned.
    Ok(RawValue(unsafe { sys::duckdb_get_list_child(list.as_ptr(), 0) }))
}

fn list_value(element: &LogicalType, values: &[Value]) -> Result<RawValue> {
    let element_type = raw_type(element)?;
    let raw_values = values.iter().map(Value::to_raw).collect::<Result<Vec<_>>>()?;
    let mut pointers: Vec<_> = raw_values.iter().map(RawValue::as_ptr).collect();
    // SAFETY: live type and values; DuckDB copies them.
    Ok(RawValue(unsafe {
        sys::duckdb_create_list_value(
            element_type.as_ptr(),
            pointers.as_mut_ptr(),
            pointers.len() as u64,
        )
    }))
}

fn struct_value(fields: &[(String, Value)]) -> Result<RawValue> {
    let struct_type = LogicalType::Struct(
        fields.iter().map(|(name, value)| (name.clone(), value.logical_type())).collect(),
    );
    let raw_values = fields.iter().map(|(_, value)| value.to_raw()).collect::<Result<Vec<_>>>()?;
    let mut pointers: Vec<_> = raw_values.iter().map(RawValue::as_ptr).collect();
    let raw_type = raw_type(&struct_type)?;
    // SAFETY: live type and as many live values as it has fields; DuckDB copies them.
    Ok(RawValue(unsafe {
        sys::duckdb_create_struct_value(raw_type.as_ptr(), pointers.as_mut_ptr())
    }))
}

fn raw_type(logical_type: &LogicalType) -> Result<crate::logical_type::RawLogicalType> {
    logical_type.to_raw().ok_or_else(|| {
        Error::new(ErrorKind::InvalidType, format!("no parameter can be of type {logical_type}"))
    })
}

/// The C API makes untyped NULLs only. An element of a typed list has the list's type, so the NULL
/// is put into a list and taken out again.
fn typed_null(logical_type: &LogicalType) -> Result<RawValue> {
    // SAFETY: live values; duckdb_get_list_child returns a new value.
    unsafe {
        let null = RawValue(sys::duckdb_create_null_value());
        if matches!(logical_type, LogicalType::Null | LogicalType::Unknown) {
            return Ok(null);
        }
        let element_type = raw_type(logical_type)?;
        let mut pointers = [null.as_ptr()];
        let list = RawValue(sys::duckdb_create_list_value(
            element_type.as_ptr(),
            pointers.as_mut_ptr(),
            1,
        ));
        Ok(RawValue(sys::duckdb_get_list_child(list.as_ptr(), 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Connection, Instance};

    #[test]
    fn every_kind_of_value_arrives_as_duckdb_prints_it() {
        let connection = Connection::new(&Instance::open(&[("threads", "1")]).unwrap()).unwrap();
        connection.execute("SET TimeZone = 'UTC'").unwrap();
        let cases: Vec<(Value, &str)> = vec![
            (Value::Boolean(true), "true BOOLEAN"),
            (Value::SmallInt(i16::MIN), "-32768 SMALLINT"),
            (Value::Integer(i32::MAX), "2147483647 INTEGER"),
            (Value::BigInt(i64::MIN), "-9223372036854775808 BIGINT"),
            (Value::HugeInt(-1), "-1 HUGEINT"),
            (Value::Float(0.5), "0.5 FLOAT"),
            (Value::Double(f64::NEG_INFINITY), "-inf DOUBLE"),
            (Value::Decimal { width: 38, scale: 2, unscaled: -5 }, "-0.05 DECIMAL(38,2)"),
            (Value::BigNum { negative: true, magnitude: vec![1, 0] }, "-256 BIGNUM"),
            (Value::Varchar("🦆\0x".into()), "🦆\0x VARCHAR"),
            (Value::Json("[1]".into()), "[1] JSON"),
            (Value::List(LogicalType::Json, vec![Value::Json("1".into())]), "[1] JSON[]"),
            (Value::Blob(vec![0, 255]), "\\x00\\xFF BLOB"),
            (Value::Bit("101".into()), "101 BIT"),
            (Value::Bit("1010101010".into()), "1010101010 BIT"),
            (Value::Uuid([0xab; 16]), "abababab-abab-abab-abab-abababababab UUID"),
            (Value::Date(0), "1970-01-01 DATE"),
            (Value::Time(86_400_000_000), "24:00:00 TIME"),
            (
                Value::TimeTz { micros: 0, offset_seconds: -19_800 },
                "00:00:00-05:30 TIME WITH TIME ZONE",
            ),
            (Value::Timestamp(1), "1970-01-01 00:00:00.000001 TIMESTAMP"),
            (Value::TimestampTz(0), "1970-01-01 00:00:00+00 TIMESTAMP WITH TIME ZONE"),
            (
                Value::Interval { months: 14, days: -3, micros: 1 },
                "1 year 2 months -3 days 00:00:00.000001 INTERVAL",
            ),
            (
                Value::List(
                    LogicalType::Integer,
                    vec![Value::Integer(1), Value::Null(LogicalType::Integer)],
                ),
                "[1, NULL] INTEGER[]",
            ),
            (
                Value::List(LogicalType::List(Box::new(LogicalType::Varchar)), vec![]),
                "[] VARCHAR[][]",
            ),
            (
                Value::Struct(vec![
                    ("a b".into(), Value::Integer(1)),
                    ("c".into(), Value::Null(LogicalType::Date)),
                ]),
                "{'a b': 1, 'c': NULL} STRUCT(\"a b\" INTEGER, c DATE)",
            ),
        ];
        for (value, expected) in cases {
            let sql = "SELECT CAST($1 AS VARCHAR) || ' ' || typeof($1)";
            let text = connection.query_text(sql, std::slice::from_ref(&value));
            assert_eq!(text.unwrap().as_deref(), Some(expected), "{value:?}");
        }
    }
}
