//! Constants as DuckDB literals of exactly their type. What has no good literal (dates beyond four
//! digits of years, intervals, long or odd strings) goes as a parameter instead.

use duck::sql;
use duck::sql::Sql;
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use super::expression::{Decimal, Expression, MAX_WIDTH};
use crate::pg::{array, encoding, nodes};
use crate::types::parameter;

const LONGEST_TEXT: usize = 1000;
const MOST_ELEMENTS: usize = 200;

/// The literal of a constant, if it has one.
///
/// # Safety
/// A live constant.
#[must_use]
pub unsafe fn of_constant(constant: *mut pg_sys::Const) -> Option<Expression> {
    // SAFETY: by contract; the value is of the constant's type.
    unsafe {
        let (oid, typmod) = ((*constant).consttype, (*constant).consttypmod);
        if (*constant).constisnull {
            if oid == pg_sys::NUMERICOID {
                let decimal = Decimal::of_typmod(typmod).unwrap_or(Decimal::new(1, 0));
                let null = Expression::numeric(sql!("NULL::{}", decimal), decimal);
                return Some(Expression { is_null: true, ..null });
            }
            let null = Expression::new(sql!("NULL::{}", parameter::duck_type(oid, typmod).ok()?));
            return Some(Expression { is_null: true, ..null });
        }
        let value = (*constant).constvalue;
        let typed = |number: i64, type_name: &'static str| {
            Some(sql!("{}::{}", sql::number(&number.to_string())?, type_name))
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "the Datum of a type that short"
        )]
        let sql = match oid {
            pg_sys::BOOLOID if value.value() != 0 => sql!("true"),
            pg_sys::BOOLOID => sql!("false"),
            pg_sys::INT2OID => typed(i64::from(value.value() as i16), "SMALLINT")?,
            pg_sys::INT4OID => typed(i64::from(value.value() as i32), "INTEGER")?,
            pg_sys::INT8OID => typed(value.value().cast_signed() as i64, "BIGINT")?,
            pg_sys::FLOAT8OID => {
                let number = f64::from_bits(value.value() as u64);
                sql!("{}::DOUBLE", sql::literal(&float(number.to_string())))
            }
            pg_sys::FLOAT4OID => {
                let number = f32::from_bits(value.value() as u32);
                sql!("{}::FLOAT", sql::literal(&float(number.to_string())))
            }
            pg_sys::NUMERICOID => return numeric(&output(oid, value), typmod),
            pg_sys::TEXTOID | pg_sys::VARCHAROID => sql::literal(&text(constant.cast())?),
            pg_sys::DATEOID => {
                sql!("DATE {}", sql::literal(&date(i64::from(value.value() as i32))?))
            }
            pg_sys::TIMESTAMPOID => {
                let text = timestamp(value.value().cast_signed() as i64)?;
                sql!("TIMESTAMP {}", sql::literal(&text))
            }
            pg_sys::TIMESTAMPTZOID => {
                let text = timestamp(value.value().cast_signed() as i64)?;
                sql!("TIMESTAMPTZ {}", sql::literal(&format!("{text}+00")))
            }
            pg_sys::UUIDOID => sql!("{}::UUID", sql::literal(&output(oid, value))),
            pg_sys::INTERVALOID => interval(&*value.cast_mut_ptr::<pg_sys::Interval>())?,
            _ => return None,
        };
        Some(Expression::new(sql))
    }
}

/// PostgreSQL's words for the odd values; digits as Rust writes them, which is the shortest exact
/// form.
fn float(text: String) -> String {
    match text.as_str() {
        "inf" => "Infinity".into(),
        "-inf" => "-Infinity".into(),
        _ => text,
    }
}

fn numeric(text: &str, typmod: i32) -> Option<Expression> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        // NaN and the infinities.
        return None;
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = u8::try_from(fraction.len()).ok()?;
    let whole = u8::try_from(whole.trim_start_matches('0').len()).ok()?;
    let width = (whole + scale).max(1);
    if width > MAX_WIDTH {
        return None;
    }
    let decimal = Decimal::of_typmod(typmod).unwrap_or(Decimal { width, scale });
    let sql = sql!("{}::{}", sql::number(text)?, decimal);
    Some(Expression { constant: Some(text.to_owned()), ..Expression::numeric(sql, decimal) })
}

/// # Safety
/// `value` is of the type.
unsafe fn output(oid: pg_sys::Oid, value: pg_sys::Datum) -> String {
    let (mut function, mut is_varlena) = (pg_sys::InvalidOid, false);
    // SAFETY: by contract.
    unsafe {
        pg_sys::getTypeOutputInfo(oid, &raw mut function, &raw mut is_varlena);
        nodes::str_at(pg_sys::OidOutputFunctionCall(function, value))
    }
}

const DAYS_FROM_1970_TO_2000: i64 = 10957;

/// `YYYY-MM-DD` of the days since 2000-01-01, for the years 1 to 9999 (Howard Hinnant, "chrono-
/// Compatible Low-Level Date Algorithms", civil_from_days).
fn date(days: i64) -> Option<String> {
    let shifted = days + DAYS_FROM_1970_TO_2000 + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (1..=9999).contains(&year).then(|| format!("{year:04}-{month:02}-{day:02}"))
}

fn timestamp(microseconds: i64) -> Option<String> {
    const DAY: i64 = 86_400_000_000;
    let (days, rest) = (microseconds.div_euclid(DAY), microseconds.rem_euclid(DAY));
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:06}") };
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(format!("{} {hour:02}:{minute:02}:{second:02}{fraction}", date(days)?))
}

fn interval(value: &pg_sys::Interval) -> Option<Sql> {
    let parts = [
        ("to_months", i64::from(value.month)),
        ("to_days", i64::from(value.day)),
        ("to_microseconds", value.time),
    ];
    let extreme = |(_, number): &(&str, i64)| {
        *number <= i64::from(i32::MIN) && number != &value.time || *number == i64::MIN
    };
    if parts.iter().any(extreme) {
        return None;
    }
    let given: Vec<_> = parts
        .iter()
        .filter(|(_, number)| *number != 0)
        .map(|(function, number)| sql!("{}({})", *function, *number))
        .collect();
    Some(if given.is_empty() { sql!("to_days(0)") } else { sql!("({})", Sql::join(given, " + ")) })
}

/// The text of a constant; `None` for NULL, for other types, and for a long one.
///
/// # Safety
/// A live expression.
#[must_use]
pub unsafe fn text(node: *mut pg_sys::Node) -> Option<String> {
    // SAFETY: by contract.
    unsafe {
        let constant = nodes::cast::<pg_sys::Const>(node, Tag::T_Const)?;
        let is_text = matches!((*constant).consttype, pg_sys::TEXTOID | pg_sys::VARCHAROID);
        if (*constant).constisnull || !is_text || !encoding::is_utf8() {
            return None;
        }
        let text = pg_sys::text_to_cstring((*constant).constvalue.cast_mut_ptr());
        let text = encoding::server_to_utf8(text);
        (text.len() <= LONGEST_TEXT).then_some(text)
    }
}

/// The value of a constant of an integer type.
///
/// # Safety
/// A live expression.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "the Datum of a type that short"
)]
pub unsafe fn integer(node: *mut pg_sys::Node) -> Option<i64> {
    // SAFETY: by contract.
    unsafe {
        let constant = nodes::cast::<pg_sys::Const>(node, Tag::T_Const)?;
        if (*constant).constisnull {
            return None;
        }
        let value = (*constant).constvalue.value();
        match (*constant).consttype {
            pg_sys::INT2OID => Some(i64::from(value as i16)),
            pg_sys::INT4OID => Some(i64::from(value as i32)),
            pg_sys::INT8OID => Some(value.cast_signed() as i64),
            _ => None,
        }
    }
}

/// # Safety
/// A live expression.
#[must_use]
pub unsafe fn is_constant(node: *mut pg_sys::Node) -> bool {
    // SAFETY: by contract.
    unsafe { nodes::is_a(node, Tag::T_Const) }
}

/// # Safety
/// A live expression.
#[must_use]
pub unsafe fn is_nonzero(node: *mut pg_sys::Node) -> bool {
    // SAFETY: by contract. -1 is left out: the smallest integer divided by it overflows.
    unsafe { integer(node) }.is_some_and(|number| number != 0 && number != -1)
}

/// The elements of an array that is written out, as expressions of their own; `None` for arrays
/// that vary, that have other than one dimension, or too many elements.
///
/// # Safety
/// A live expression of an array type.
#[must_use]
pub unsafe fn elements(array: *mut pg_sys::Node) -> Option<Vec<*mut pg_sys::Node>> {
    // SAFETY: by contract; detoasting returns a whole array, whose elements are taken apart by
    // their own type's storage.
    unsafe {
        if let Some(list) = nodes::cast::<pg_sys::ArrayExpr>(array, Tag::T_ArrayExpr) {
            let items: Vec<_> = nodes::items::<pg_sys::Node>((*list).elements).collect();
            return (!(*list).multidims && items.len() <= MOST_ELEMENTS).then_some(items);
        }
        let constant = nodes::cast::<pg_sys::Const>(array, Tag::T_Const)?;
        if (*constant).constisnull {
            return None;
        }
        let elements = array::elements((*constant).constvalue)?;
        if elements.values.len() > MOST_ELEMENTS {
            return None;
        }
        let collation = pg_sys::get_typcollation(elements.oid);
        let length = i32::from(elements.length);
        let element = |value: Option<pg_sys::Datum>| {
            let (datum, null) = (value.unwrap_or(pg_sys::Datum::null()), value.is_none());
            pg_sys::makeConst(elements.oid, -1, collation, length, datum, null, elements.by_value)
                .cast()
        };
        Some(elements.values.iter().copied().map(element).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_iso_says() {
        assert_eq!(date(0).unwrap(), "2000-01-01");
        assert_eq!(date(-1).unwrap(), "1999-12-31");
        assert_eq!(date(59).unwrap(), "2000-02-29");
        assert_eq!(date(-730_119).unwrap(), "0001-01-01");
        assert_eq!(date(-730_120), None);
        assert_eq!(date(i64::from(i32::MAX)), None);
        assert_eq!(timestamp(-1).unwrap(), "1999-12-31 23:59:59.999999");
        assert_eq!(timestamp(0).unwrap(), "2000-01-01 00:00:00");
    }

    #[test]
    fn numerics_keep_their_digits() {
        let number = |text: &str| numeric(text, -1).map(|e| e.sql.executed());
        assert_eq!(number("0.05").unwrap(), "0.05::DECIMAL(2,2)");
        assert_eq!(number("-12.50").unwrap(), "(-12.50)::DECIMAL(4,2)");
        assert_eq!(number("0").unwrap(), "0::DECIMAL(1,0)");
        assert_eq!(number("NaN"), None);
        assert_eq!(number(&"9".repeat(39)), None);
    }
}
