//! `pg_pond_divide_s(sum, count)`: the quotient of a DECIMAL(38,s) and a BIGINT, rounded where
//! PostgreSQL's numeric division rounds it (`select_div_scale` and `div_var` in
//! utils/adt/numeric.c), as a DECIMAL(38,20). DuckDB itself divides decimals as doubles. There is
//! one function for each scale, since DuckDB does not choose between decimals of one width.
//!
//! NULL for NULL arguments. An error for a quotient that DECIMAL(38,20) does not hold exactly.

use std::ffi::{CString, c_void};

use libduckdb_sys as sys;

use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};

const PREFIX: &str = "pg_pond_divide_";

/// Whether one of the functions may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|scale| scale.parse::<u8>().is_ok())
}

/// The function for sums of this scale.
#[must_use]
pub fn function_name(scale: u8) -> String {
    format!("{PREFIX}{scale}")
}

/// The scale of the result.
pub const SCALE: u8 = 20;
const MAX_WIDTH: u8 = 38;

/// Makes the functions known to the connection's instance.
///
/// # Errors
/// When DuckDB refuses, which it has no reason for.
pub fn register(connection: &Connection) -> Result<()> {
    // SAFETY: each handle is made, used and destroyed here; DuckDB copies what it is given. The
    // state of a function is its scale, a number in place of a pointer, that is never followed.
    unsafe {
        for scale in 0..=MAX_WIDTH {
            let name = CString::new(function_name(scale)).unwrap_or_default();
            let mut function = sys::duckdb_create_scalar_function();
            sys::duckdb_scalar_function_set_name(function, name.as_ptr());
            let mut sum = sys::duckdb_create_decimal_type(MAX_WIDTH, scale);
            let mut count = sys::duckdb_create_logical_type(sys::DUCKDB_TYPE_DUCKDB_TYPE_BIGINT);
            let mut result = sys::duckdb_create_decimal_type(MAX_WIDTH, SCALE);
            sys::duckdb_scalar_function_add_parameter(function, sum);
            sys::duckdb_scalar_function_add_parameter(function, count);
            sys::duckdb_scalar_function_set_return_type(function, result);
            let info = std::ptr::without_provenance_mut::<c_void>(usize::from(scale) + 1);
            sys::duckdb_scalar_function_set_extra_info(function, info, None);
            sys::duckdb_scalar_function_set_function(function, Some(divide_chunk));
            let state = sys::duckdb_register_scalar_function(connection.raw(), function);
            sys::duckdb_destroy_logical_type(&raw mut sum);
            sys::duckdb_destroy_logical_type(&raw mut count);
            sys::duckdb_destroy_logical_type(&raw mut result);
            sys::duckdb_destroy_scalar_function(&raw mut function);
            if state != sys::DuckDBSuccess {
                let message = format!("DuckDB does not take the function {}", function_name(scale));
                return Err(Error::new(ErrorKind::Internal, message));
            }
        }
    }
    Ok(())
}

unsafe extern "C" fn divide_chunk(
    info: sys::duckdb_function_info,
    input: sys::duckdb_data_chunk,
    output: sys::duckdb_vector,
) {
    // SAFETY: DuckDB's live handles; the vectors have the types of `register` and as many rows as
    // the chunk. Nothing in here panics.
    unsafe {
        let scale = sys::duckdb_scalar_function_get_extra_info(info).addr().wrapping_sub(1);
        let scale = u8::try_from(scale).unwrap_or(0);
        let rows = sys::duckdb_data_chunk_get_size(input);
        let (sums, counts) = (
            sys::duckdb_data_chunk_get_vector(input, 0),
            sys::duckdb_data_chunk_get_vector(input, 1),
        );
        let sum_values = sys::duckdb_vector_get_data(sums).cast::<sys::duckdb_hugeint>();
        let count_values = sys::duckdb_vector_get_data(counts).cast::<i64>();
        let (sums_valid, counts_valid) =
            (sys::duckdb_vector_get_validity(sums), sys::duckdb_vector_get_validity(counts));
        let results = sys::duckdb_vector_get_data(output).cast::<sys::duckdb_hugeint>();
        let is_valid =
            |mask: *mut u64, row| mask.is_null() || sys::duckdb_validity_row_is_valid(mask, row);
        for row in 0..rows {
            let at = usize::try_from(row).unwrap_or(0);
            let quotient = if is_valid(sums_valid, row) && is_valid(counts_valid, row) {
                let sum = *sum_values.add(at);
                let sum = (i128::from(sum.upper) << 64) | i128::from(sum.lower);
                let count = *count_values.add(at);
                if count == 0 { Ok(None) } else { divide(sum, scale, count).map(Some) }
            } else {
                Ok(None)
            };
            match quotient {
                Ok(Some(quotient)) => {
                    let bits = quotient.cast_unsigned();
                    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
                    let halves = sys::duckdb_hugeint {
                        lower: bits as u64,
                        upper: ((bits >> 64) as u64).cast_signed(),
                    };
                    results.add(at).write(halves);
                }
                Ok(None) => {
                    sys::duckdb_vector_ensure_validity_writable(output);
                    let mask = sys::duckdb_vector_get_validity(output);
                    sys::duckdb_validity_set_row_invalid(mask, row);
                }
                Err(message) => {
                    sys::duckdb_scalar_function_set_error(info, message.as_ptr());
                    return;
                }
            }
        }
    }
}

const TOO_MANY_DIGITS: &std::ffi::CStr =
    c"pg_pond 22003 an average has more digits than DuckDB's decimals";

/// `sum` / 10^`scale` / `count` in units of 10^-[`SCALE`].
fn divide(sum: i128, scale: u8, count: i64) -> std::result::Result<i128, &'static std::ffi::CStr> {
    let places = i32::from(quotient_scale(sum.unsigned_abs(), scale, count.unsigned_abs()));
    let divisor = u128::from(count.unsigned_abs());
    let dividend = sum.unsigned_abs();
    let (mut quotient, mut rest) = (dividend / divisor, dividend % divisor);
    for _ in i32::from(scale)..places {
        rest *= 10;
        quotient = quotient
            .checked_mul(10)
            .and_then(|q| q.checked_add(rest / divisor))
            .ok_or(TOO_MANY_DIGITS)?;
        rest %= divisor;
    }
    if rest * 2 >= divisor {
        quotient += 1;
    }
    let result = if places <= i32::from(SCALE) {
        let factor = power_of_ten(i32::from(SCALE) - places);
        factor.and_then(|factor| quotient.checked_mul(factor))
    } else {
        power_of_ten(places - i32::from(SCALE))
            .filter(|factor| quotient % factor == 0)
            .map(|factor| quotient / factor)
    };
    let largest = power_of_ten(i32::from(MAX_WIDTH)).unwrap_or(u128::MAX);
    let result = result.filter(|result| *result < largest).ok_or(TOO_MANY_DIGITS)?;
    let result = i128::try_from(result).map_err(|_| TOO_MANY_DIGITS)?;
    Ok(if (sum < 0) == (count < 0) { result } else { -result })
}

fn power_of_ten(exponent: i32) -> Option<u128> {
    10u128.checked_pow(u32::try_from(exponent).ok()?)
}

/// `select_div_scale`: at least 16 significant digits, counted in groups of four.
fn quotient_scale(sum: u128, scale: u8, count: u64) -> u8 {
    let (weight, first) = leading_group(sum, scale);
    let (count_weight, count_first) = leading_group(u128::from(count), 0);
    let weight = weight - count_weight - i32::from(first <= count_first);
    let places = (16 - weight * 4).max(i32::from(scale)).max(0);
    u8::try_from(places).unwrap_or(u8::MAX)
}

/// The weight and the value of the first group of four digits that is not zero, as numeric stores
/// numbers: groups are counted from the point.
fn leading_group(digits: u128, scale: u8) -> (i32, u128) {
    // At most 38 digits in all, so that this is a power of ten that there is.
    let unit = power_of_ten(i32::from(scale)).unwrap_or(1);
    let (mut whole, mut fraction) = (digits / unit, digits % unit);
    if whole > 0 {
        let mut weight = 0;
        while whole >= 10_000 {
            whole /= 10_000;
            weight += 1;
        }
        return (weight, whole);
    }
    let mut weight = -1;
    // Below one: group by group from the point.
    let mut unit = unit;
    while fraction > 0 {
        // `unit` may not be divisible by 10,000 any more at the last group.
        let group =
            if unit >= 10_000 { fraction / (unit / 10_000) } else { fraction * (10_000 / unit) };
        if group > 0 {
            return (weight, group);
        }
        unit /= 10_000;
        fraction %= unit.max(1);
        weight -= 1;
    }
    (0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::Instance;

    fn text(sum: i128, scale: u8, count: i64) -> String {
        let value = divide(sum, scale, count).unwrap();
        let unit = 10i128.pow(u32::from(SCALE));
        let sign = if value < 0 { "-" } else { "" };
        let fraction = format!("{:020}", (value % unit).abs());
        format!("{sign}{}.{}", (value / unit).abs(), fraction.trim_end_matches('0'))
    }

    /// The expected values are PostgreSQL's answers.
    #[test]
    fn quotients_are_rounded_where_postgresql_rounds_them() {
        assert_eq!(text(1, 0, 3), "0.33333333333333333333");
        assert_eq!(text(10, 0, 3), "3.3333333333333333");
        assert_eq!(text(20_000, 0, 3), "6666.6666666666666667");
        assert_eq!(text(200_000, 0, 3), "66666.666666666667");
        assert_eq!(text(-200, 2, 3), "-0.66666666666666666667");
        assert_eq!(text(5, 0, 2), "2.5");
        assert_eq!(text(0, 2, 7), "0.");
        assert_eq!(text(1, 2, 1), "0.01");
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert!(divide(i128::MAX / 2, 0, 1).is_err());
        assert!(divide(1, 10, 3).is_err());
    }

    #[test]
    fn duckdb_calls_it() {
        let instance = Instance::open(&[]).unwrap();
        let connection = Connection::new(&instance).unwrap();
        register(&connection).unwrap();
        let ask = |sql: &str| connection.query_text(sql, &[]).unwrap();
        let sql = "SELECT CAST(pg_pond_divide_0(CAST(sum(i) AS DECIMAL(38,0)), count(i)) AS VARCHAR) \
                   FROM range(4000) t(i)";
        assert_eq!(ask(sql).unwrap(), "1999.50000000000000000000");
        let sql = "SELECT CAST(pg_pond_divide_2(CAST(NULL AS DECIMAL(38,2)), 0) AS VARCHAR)";
        assert_eq!(ask(sql), None);
        let sql = "SELECT CAST(pg_pond_divide_2(CAST(-7 AS DECIMAL(38,2)), 3) AS VARCHAR)";
        assert_eq!(ask(sql).unwrap(), "-2.33333333333333330000");
    }
}
