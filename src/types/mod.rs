//! The map between DuckDB's types and PostgreSQL's, and the conversion of values both ways.
//!
//! [`pg_type`] says which PostgreSQL type holds a DuckDB type; [`datum`] turns the vectors of a
//! chunk into Datums; [`parameter`] turns Datums into parameter values of DuckDB, [`row_writer`] whole
//! rows into chunks for it. All decisions
//! about types are taken once per column or parameter, never per value. The binary forms come from
//! the crate `encode`; `scan/` is the user.

pub mod datum;
pub mod parameter;
pub mod row_writer;

mod encoding;
mod json_array;
mod memory;

use duck::LogicalType;
use pgrx::pg_sys;

use crate::error::{Error, Result};

/// A PostgreSQL type as a column has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PgType {
    pub oid: pg_sys::Oid,
    pub typmod: i32,
    pub collation: pg_sys::Oid,
}

/// The deepest nesting of a PostgreSQL array (`MAXDIM`).
const VARHDRSZ: i32 = 4;
const MAX_DIMENSIONS: usize = 6;

impl PgType {
    const fn new(oid: pg_sys::Oid, typmod: i32) -> Self {
        Self { oid, typmod, collation: pg_sys::InvalidOid }
    }

    const fn plain(oid: pg_sys::Oid) -> Self {
        Self::new(oid, -1)
    }

    const fn text(oid: pg_sys::Oid) -> Self {
        Self { oid, typmod: -1, collation: pg_sys::DEFAULT_COLLATION_OID }
    }
}

/// The PostgreSQL type that holds values of the DuckDB type `t`.
///
/// Nested lists become arrays of as many dimensions, up to PostgreSQL's six, and jsonb beyond that;
/// lists of what becomes jsonb become one jsonb value. DECIMAL(p,s) becomes numeric(p,s), and so do
/// the elements of lists.
///
/// # Errors
/// 0A000 naming `column` and the type when PostgreSQL has nothing for it.
pub fn pg_type(column: &str, t: &LogicalType) -> Result<PgType> {
    find(t).ok_or_else(|| unsupported(column, t))
}

/// Whether a column of the type `oid`, which is no domain, takes values of the DuckDB type `t`:
/// the type that [`pg_type`] gives, and what [`datum`] makes of that without loss.
#[must_use]
pub fn becomes(column: &str, t: &LogicalType, oid: pg_sys::Oid) -> bool {
    pg_type(column, t).is_ok_and(|found| found.oid == oid || takes(oid, found.oid))
}

/// Whether values of the type `found` are stored in the type `oid`.
fn takes(oid: pg_sys::Oid, found: pg_sys::Oid) -> bool {
    match found {
        pg_sys::TEXTOID => matches!(oid, pg_sys::VARCHAROID | pg_sys::BPCHAROID) || is_enum(oid),
        pg_sys::JSONOID => oid == pg_sys::JSONBOID,
        pg_sys::TEXTARRAYOID => oid == pg_sys::VARCHARARRAYOID,
        _ => false,
    }
}

/// Whether the type is an enum.
#[must_use]
pub fn is_enum(oid: pg_sys::Oid) -> bool {
    // SAFETY: a catalog look-up; a type that is not there has no kind.
    oid.to_u32() >= pg_sys::FirstNormalObjectId
        && unsafe { pg_sys::get_typtype(oid) }.cast_unsigned() == pg_sys::TYPTYPE_ENUM
}

fn unsupported(column: &str, t: &LogicalType) -> Error {
    Error::not_supported(format!(
        "column \"{column}\" has the DuckDB type {t}, for which there is no PostgreSQL type"
    ))
    .hint("Leave the column out, or cast it in DuckDB's query, for example to VARCHAR.")
}

fn find(t: &LogicalType) -> Option<PgType> {
    Some(match t {
        LogicalType::List(_) | LogicalType::Array(..) => return list(t),
        LogicalType::Struct(fields) | LogicalType::Union(fields) => fields
            .iter()
            .all(|(_, t)| find(t).is_some())
            .then_some(PgType::plain(pg_sys::JSONBOID))?,
        LogicalType::Map(key, value) => (find(key).is_some() && find(value).is_some())
            .then_some(PgType::plain(pg_sys::JSONBOID))?,
        LogicalType::Variant => PgType::plain(pg_sys::JSONBOID),
        scalar => scalar_type(scalar)?.0,
    })
}

fn list(t: &LogicalType) -> Option<PgType> {
    let (element, dimensions) = innermost(t);
    let element_type = find(element)?;
    if element_type.oid == pg_sys::JSONBOID || dimensions > MAX_DIMENSIONS {
        return Some(PgType::plain(pg_sys::JSONBOID));
    }
    let (element_type, array) = scalar_type(element)?;
    Some(PgType { oid: array, ..element_type })
}

/// The type inside of all levels of LIST and ARRAY, and the number of levels.
pub(crate) fn innermost(t: &LogicalType) -> (&LogicalType, usize) {
    let (mut t, mut dimensions) = (t, 0);
    while let LogicalType::List(element) | LogicalType::Array(element, _) = t {
        t = element;
        dimensions += 1;
    }
    (t, dimensions)
}

/// The type for a scalar, and the type of arrays of it.
fn scalar_type(t: &LogicalType) -> Option<(PgType, pg_sys::Oid)> {
    Some(match t {
        LogicalType::Boolean => (PgType::plain(pg_sys::BOOLOID), pg_sys::BOOLARRAYOID),
        LogicalType::TinyInt | LogicalType::UTinyInt | LogicalType::SmallInt => {
            (PgType::plain(pg_sys::INT2OID), pg_sys::INT2ARRAYOID)
        }
        LogicalType::USmallInt | LogicalType::Integer => {
            (PgType::plain(pg_sys::INT4OID), pg_sys::INT4ARRAYOID)
        }
        LogicalType::UInteger | LogicalType::BigInt => {
            (PgType::plain(pg_sys::INT8OID), pg_sys::INT8ARRAYOID)
        }
        LogicalType::UBigInt
        | LogicalType::HugeInt
        | LogicalType::UHugeInt
        | LogicalType::BigNum => (PgType::plain(pg_sys::NUMERICOID), pg_sys::NUMERICARRAYOID),
        LogicalType::Decimal { width, scale } => (
            PgType::new(pg_sys::NUMERICOID, numeric_typmod(*width, *scale)),
            pg_sys::NUMERICARRAYOID,
        ),
        LogicalType::Float => (PgType::plain(pg_sys::FLOAT4OID), pg_sys::FLOAT4ARRAYOID),
        LogicalType::Double => (PgType::plain(pg_sys::FLOAT8OID), pg_sys::FLOAT8ARRAYOID),
        LogicalType::Varchar | LogicalType::Enum(_) | LogicalType::Null => {
            (PgType::text(pg_sys::TEXTOID), pg_sys::TEXTARRAYOID)
        }
        LogicalType::Json => (PgType::plain(pg_sys::JSONOID), pg_sys::JSONARRAYOID),
        LogicalType::Blob | LogicalType::Geometry => {
            (PgType::plain(pg_sys::BYTEAOID), pg_sys::BYTEAARRAYOID)
        }
        LogicalType::Bit => (PgType::plain(pg_sys::VARBITOID), pg_sys::VARBITARRAYOID),
        LogicalType::Uuid => (PgType::plain(pg_sys::UUIDOID), pg_sys::UUIDARRAYOID),
        LogicalType::Date => (PgType::plain(pg_sys::DATEOID), pg_sys::DATEARRAYOID),
        LogicalType::Time | LogicalType::TimeNs => {
            (PgType::plain(pg_sys::TIMEOID), pg_sys::TIMEARRAYOID)
        }
        LogicalType::TimeTz => (PgType::plain(pg_sys::TIMETZOID), pg_sys::TIMETZARRAYOID),
        LogicalType::Timestamp
        | LogicalType::TimestampS
        | LogicalType::TimestampMs
        | LogicalType::TimestampNs => {
            (PgType::plain(pg_sys::TIMESTAMPOID), pg_sys::TIMESTAMPARRAYOID)
        }
        LogicalType::TimestampTz => {
            (PgType::plain(pg_sys::TIMESTAMPTZOID), pg_sys::TIMESTAMPTZARRAYOID)
        }
        LogicalType::Interval => (PgType::plain(pg_sys::INTERVALOID), pg_sys::INTERVALARRAYOID),
        _ => return None,
    })
}

/// The typmod of numeric(width,scale), as `make_numeric_typmod` of PostgreSQL makes it.
fn numeric_typmod(width: u8, scale: u8) -> i32 {
    ((i32::from(width) << 16) | i32::from(scale)) + VARHDRSZ
}
