//! Values that PostgreSQL passes by value: booleans, integers, floats, dates, times, timestamps.

use std::marker::PhantomData;
use std::ops::Range;

use duck::{LogicalType, Vector};
use encode::datetime;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Datum;

use super::{Arena, Cells, Converter, each};
use crate::error::{Error, Result};

/// How one type becomes a Datum.
trait ByValue {
    /// The type of the vector's values.
    type Physical: Copy;
    /// `None` when PostgreSQL's type cannot hold the value.
    fn datum(value: Self::Physical) -> Option<Datum>;
}

macro_rules! by_value {
    ($($name:ident: $physical:ty, |$value:ident| $datum:expr;)*) => {$(
        struct $name;
        impl ByValue for $name {
            type Physical = $physical;
            #[inline(always)]
            fn datum($value: $physical) -> Option<Datum> {
                $datum
            }
        }
    )*};
}

by_value! {
    // A bool of DuckDB's is a byte, 0 or 1.
    Boolean: u8, |v| Some(Datum::from(v != 0));
    TinyInt: i8, |v| Some(Datum::from(i16::from(v)));
    UTinyInt: u8, |v| Some(Datum::from(i16::from(v)));
    SmallInt: i16, |v| Some(Datum::from(v));
    USmallInt: u16, |v| Some(Datum::from(i32::from(v)));
    Integer: i32, |v| Some(Datum::from(v));
    UInteger: u32, |v| Some(Datum::from(i64::from(v)));
    BigInt: i64, |v| Some(Datum::from(v));
    Float: u32, |v| Some(Datum::from(v));
    Double: u64, |v| Some(Datum::from(v));
    Date: i32, |v| datetime::date_from_duck(v).map(Datum::from);
    Time: i64, |v| datetime::time_from_duck(v).map(Datum::from);
    TimeNs: i64, |v| datetime::time_from_duck(v / 1000).map(Datum::from);
    Timestamp: i64, |v| datetime::timestamp_from_duck(v).map(Datum::from);
    TimestampS: i64, |v| datetime::timestamp_from_duck_coarse(v, 1_000_000).map(Datum::from);
    TimestampMs: i64, |v| datetime::timestamp_from_duck_coarse(v, 1000).map(Datum::from);
    TimestampNs: i64, |v| datetime::timestamp_from_duck_nanos(v).map(Datum::from);
}

struct Fixed<M> {
    column: String,
    from: &'static str,
    map: PhantomData<M>,
}

impl<M: ByValue> Converter for Fixed<M> {
    fn convert(
        &mut self,
        vector: &Vector<'_>,
        rows: Range<usize>,
        cells: Cells<'_>,
        _arena: &mut Arena,
    ) -> Result<()> {
        // SAFETY: `choose` pairs each logical type with its physical type, all plain numbers.
        let values = unsafe { vector.values::<M::Physical>() };
        each(values, vector.validity(), rows, cells, |value| {
            M::datum(*value).ok_or_else(|| out_of_range(self.from, &self.column))
        })
    }
}

#[cold]
pub(super) fn out_of_range(from: &str, column: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
        format!("{from} out of range in column \"{column}\""),
    )
    .detail("DuckDB holds a wider range of dates and times than PostgreSQL.")
    .hint("Cast the column in DuckDB's query, for example to VARCHAR, or leave such rows out.")
}

pub(super) fn choose(column: &str, from: &LogicalType) -> Option<Box<dyn Converter>> {
    fn fixed<M: ByValue + 'static>(column: &str, from: &'static str) -> Box<dyn Converter> {
        Box::new(Fixed::<M> { column: column.to_owned(), from, map: PhantomData })
    }
    Some(match from {
        LogicalType::Boolean => fixed::<Boolean>(column, "boolean"),
        LogicalType::TinyInt => fixed::<TinyInt>(column, "integer"),
        LogicalType::UTinyInt => fixed::<UTinyInt>(column, "integer"),
        LogicalType::SmallInt => fixed::<SmallInt>(column, "integer"),
        LogicalType::USmallInt => fixed::<USmallInt>(column, "integer"),
        LogicalType::Integer => fixed::<Integer>(column, "integer"),
        LogicalType::UInteger => fixed::<UInteger>(column, "integer"),
        LogicalType::BigInt => fixed::<BigInt>(column, "integer"),
        LogicalType::Float => fixed::<Float>(column, "float"),
        LogicalType::Double => fixed::<Double>(column, "float"),
        LogicalType::Date => fixed::<Date>(column, "date"),
        LogicalType::Time => fixed::<Time>(column, "time"),
        LogicalType::TimeNs => fixed::<TimeNs>(column, "time"),
        LogicalType::Timestamp | LogicalType::TimestampTz => {
            fixed::<Timestamp>(column, "timestamp")
        }
        LogicalType::TimestampS => fixed::<TimestampS>(column, "timestamp"),
        LogicalType::TimestampMs => fixed::<TimestampMs>(column, "timestamp"),
        LogicalType::TimestampNs => fixed::<TimestampNs>(column, "timestamp"),
        _ => return None,
    })
}
