//! The entries of the allow-list that take more than a template.

use pgrx::pg_sys;

use super::expression::{Comparison, Decimal, Expression, MAX_WIDTH};
use super::functions::{Call, fill};
use super::literal;
use super::translator::{Result, Unsupported, unsupported};
use crate::pg::catalog;
use duck::sql;
use duck::sql::Sql;

/// The expression that the code `name` makes of a call; `rest` is what stands behind its name in the
/// list.
///
/// # Errors
/// What stands in the way.
///
/// # Safety
/// The call's nodes are live.
pub unsafe fn apply(name: &'static str, rest: &'static str, call: &Call<'_>) -> Result<Expression> {
    // SAFETY: by contract.
    unsafe {
        match name {
            "compare" => {
                let (operator, cast) = rest.split_once(' ').unwrap_or((rest, ""));
                let equality = matches!(operator, "=" | "<>");
                let side = |index: usize| {
                    let sql = &call.parts[index].sql;
                    let varies = !literal::is_constant(call.arguments[index]);
                    match (call.types[index], cast) {
                        // DuckDB 1.5.5 looks for a value of these types in a column's Bloom filter
                        // by its bytes as another writer would have them, and misses it; that is
                        // done for bare columns only. Negative zero is another byte sequence.
                        (pg_sys::FLOAT4OID | pg_sys::FLOAT8OID, _) if equality && varies => {
                            sql!("(CAST({} AS DOUBLE) + 0::DOUBLE)", sql)
                        }
                        (pg_sys::BYTEAOID, _) if equality && varies => {
                            sql!("({} || ''::BLOB)", sql)
                        }
                        (_, "") => sql.clone(),
                        (_, cast) => sql!("CAST({} AS {})", sql, cast),
                    }
                };
                Ok(compared(side(0), operator, side(1)))
            }
            "compare_trimmed" => {
                let side = |index: usize| sql!("rtrim({}, ' ')", call.parts[index]);
                Ok(compared(side(0), rest, side(1)))
            }
            "compare_numeric" => compare_numeric(rest, call),
            "divide" => {
                let (left, right) = (&call.parts[0].sql, &call.parts[1].sql);
                if literal::is_nonzero(call.arguments[1]) {
                    return Ok(Expression::new(sql!("({} {} {})", left, rest, right)));
                }
                // The smallest integer % -1 overflows in DuckDB.
                let minus_one = match rest {
                    "%" => sql!("WHEN {} = -1 THEN {} * 0 ", right, left),
                    _ => Sql::new(),
                };
                Ok(Expression::new(sql!(
                    "CASE WHEN {} = 0 THEN error('pg_pond 22012 division by zero') \
                     {}ELSE {} {} {} END",
                    right,
                    minus_one,
                    left,
                    rest,
                    right
                )))
            }
            "numeric_add" => sum(call, "+"),
            "numeric_sub" => sum(call, "-"),
            "numeric_mul" => product(call),
            "numeric_mod" => modulo(call),
            "numeric_negate" => one(call, |sql| sql!("(-{})", sql)),
            "numeric_same" => one(call, Sql::clone),
            "numeric_abs" => one(call, |sql| sql!("abs({})", sql)),
            "numeric_round" => round(call),
            "numeric_ceil" => whole(call, "ceil"),
            "numeric_floor" => whole(call, "floor"),
            "numeric_of_int2" => Ok(of_integer(call, 5)),
            "numeric_of_int4" => Ok(of_integer(call, 10)),
            "numeric_of_int8" => Ok(of_integer(call, 19)),
            "numeric_cast" => numeric_cast(call),
            "double_of_numeric" => match digits(call, 0)? {
                // Both 10^s and the digits are exact doubles: one correctly rounded division.
                Decimal { width, .. } if width <= 15 => {
                    Ok(Expression::new(sql!("CAST({} AS DOUBLE)", call.parts[0])))
                }
                _ => {
                    unsupported("the cast of a numeric of more than 15 digits to double precision")
                }
            },
            "substring" => substring(call),
            "left" | "right" => match integer(call, 1) {
                Some(count) if count >= 0 => {
                    Ok(Expression::new(sql!("{}({}, {})", name, call.parts[0], count)))
                }
                _ => unsupported(format!("{name} with a negative number")),
            },
            "lpad" | "rpad" => {
                let fill = literal::text(call.arguments[2]).unwrap_or_default();
                match integer(call, 1) {
                    Some(count) if count >= 0 && !fill.is_empty() => {
                        let (value, fill) = (&call.parts[0].sql, &call.parts[2].sql);
                        Ok(Expression::new(sql!("{}({}, {}, {})", name, value, count, fill)))
                    }
                    _ => unsupported(format!("{name} to a negative length or with nothing")),
                }
            }
            "split_part" => {
                let delimiter = literal::text(call.arguments[1]).unwrap_or_default();
                match integer(call, 2) {
                    Some(field) if field > 0 && !delimiter.is_empty() => {
                        let (value, delimiter) = (&call.parts[0].sql, &call.parts[1].sql);
                        Ok(Expression::new(sql!("split_part({}, {}, {})", value, delimiter, field)))
                    }
                    _ => unsupported("split_part from the end or at nothing"),
                }
            }
            "upper" => cased(call, "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
            "lower" => cased(call, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"),
            "like" => like(call, "LIKE"),
            "notlike" => like(call, "NOT LIKE"),
            "finite" => {
                let date = call.types.iter().position(|oid| *oid == pg_sys::DATEOID).unwrap_or(0);
                let (value, sum) = (&call.parts[date].sql, fill(rest, call.parts));
                Ok(Expression::new(sql!(
                    "CASE WHEN isfinite({}) THEN {} ELSE {} END",
                    value,
                    sum,
                    value
                )))
            }
            "extract" => extract(call),
            "date_part" => date_part(call),
            "date_trunc" => date_trunc(call),
            other => unsupported(format!("the unknown rule {other}")),
        }
    }
}

/// `left operator right` as a condition.
#[must_use]
pub fn compared(left: Sql, operator: &'static str, right: Sql) -> Expression {
    let sql = sql!("({} {} {})", left, operator, right);
    let comparison = Comparison { left, operator, right };
    Expression { sql, comparison: Some(Box::new(comparison)), ..Expression::default() }
}

/// A constant takes the digits of what it is compared with, so that a column stays as it is.
fn compare_numeric(operator: &'static str, call: &Call<'_>) -> Result<Expression> {
    let (left, right) = (call.parts[0].without_zeros(), call.parts[1].without_zeros());
    // The digits of the other side, if the constant fits into them.
    let fit = |constant: &Expression, other: &Expression| match (constant.decimal, other.decimal) {
        (Some(own), Some(wanted)) if constant.constant.is_some() => {
            if own.width - own.scale > wanted.width - wanted.scale {
                return unsupported(
                    "a comparison with a number of more digits than the other side's",
                );
            }
            Ok((own.scale <= wanted.scale).then_some(wanted))
        }
        _ => Ok(None),
    };
    if let Some(decimal) = fit(&right, &left)? {
        return Ok(compared(left.sql, operator, right.to_decimal(decimal)));
    }
    if let Some(decimal) = fit(&left, &right)? {
        return Ok(compared(left.to_decimal(decimal), operator, right.sql));
    }
    let made = compared(left.sql, operator, right.sql);
    let fits = match (left.decimal, right.decimal) {
        (Some(left), Some(right)) => {
            let integral = (left.width - left.scale).max(right.width - right.scale);
            integral + left.scale.max(right.scale) <= MAX_WIDTH
        }
        _ => false,
    };
    // DuckDB compares both sides with as many digits as either has.
    Ok(if fits { made } else { made.risky() })
}

fn digits(call: &Call<'_>, index: usize) -> Result<Decimal> {
    call.parts[index].decimal.ok_or(Unsupported::construct("a numeric of unknown precision"))
}

/// The most digits of a DECIMAL that DuckDB keeps in 64 bits.
const SHORT_WIDTH: u8 = 18;

/// DuckDB's rule for + and -: one digit more, checked when that is more than 38.
fn sum(call: &Call<'_>, operator: &'static str) -> Result<Expression> {
    let decimal = digits(call, 0)?.unify(digits(call, 1)?);
    let wider = Decimal { width: (decimal.width + 1).min(MAX_WIDTH), ..decimal };
    let sql = if wider.width <= SHORT_WIDTH {
        // That is the type that DuckDB gives it; a cast would check each value again.
        sql!("({} {} {})", call.parts[0], operator, call.parts[1])
    } else {
        // Both sides get the result's type first, so that no narrower sum overflows.
        let (left, right) = (call.parts[0].to_decimal(wider), call.parts[1].to_decimal(wider));
        sql!("CAST({} {} {} AS {})", left, operator, right, wider)
    };
    Ok(with_scale(call, Expression::numeric(sql, wider), |left, right| {
        sql!("greatest({}, {})", left, right)
    }))
}

/// The digits behind the point of a result, where those of its parts vary.
fn with_scale(call: &Call<'_>, made: Expression, scale: impl Fn(&Sql, &Sql) -> Sql) -> Expression {
    let varies = call.parts.iter().any(|part| part.inexact_scale);
    match (call.parts[0].scale(), call.parts.get(1).and_then(Expression::scale)) {
        (Some(left), Some(right)) if varies => {
            Expression { scale: Some(scale(&left, &right)), ..made }
        }
        _ => made,
    }
}

/// DuckDB's rule for *: digits and scales are added.
fn product(call: &Call<'_>) -> Result<Expression> {
    let (left, right) = (digits(call, 0)?, digits(call, 1)?);
    let scale = left.scale + right.scale;
    if scale > MAX_WIDTH {
        return unsupported("a numeric product with more than 38 digits behind the point");
    }
    let width = (left.width + right.width).min(MAX_WIDTH);
    let sql = sql!("({} * {})", call.parts[0], call.parts[1]);
    let made = Expression::numeric(sql, Decimal { width, scale });
    Ok(with_scale(call, made, |left, right| sql!("({} + {})", left, right)))
}

/// # Safety
/// The call's nodes are live.
unsafe fn modulo(call: &Call<'_>) -> Result<Expression> {
    let decimal = digits(call, 0)?.unify(digits(call, 1)?);
    let (left, right) = (call.parts[0].to_decimal(decimal), call.parts[1].to_decimal(decimal));
    let sql = sql!(
        "CASE WHEN {} = 0 THEN error('pg_pond 22012 division by zero') ELSE {} % {} END",
        right,
        left,
        right
    );
    Ok(Expression::numeric(sql, decimal))
}

fn one(call: &Call<'_>, sql: impl Fn(&Sql) -> Sql) -> Result<Expression> {
    let made = Expression::numeric(sql(&call.parts[0].sql), digits(call, 0)?);
    Ok(Expression { scale: call.parts[0].scale.clone(), ..made })
}

/// # Safety
/// The call's nodes are live.
unsafe fn round(call: &Call<'_>) -> Result<Expression> {
    let decimal = digits(call, 0)?;
    // SAFETY: by contract.
    let scale = unsafe { integer(call, 1) }.and_then(|scale| u8::try_from(scale).ok());
    let scale = scale.filter(|scale| *scale <= MAX_WIDTH);
    let Some(scale) = scale else { return unsupported("round to a negative or very large scale") };
    let integral = decimal.width - decimal.scale + u8::from(scale < decimal.scale);
    let rounded = Decimal { width: integral + scale, scale };
    if rounded.width > MAX_WIDTH {
        return unsupported("round to more than 38 digits");
    }
    // A cast rounds half away from zero, as round does.
    Ok(fixed(Expression::numeric(call.parts[0].to_decimal_by_cast(rounded), rounded)))
}

fn whole(call: &Call<'_>, function: &'static str) -> Result<Expression> {
    let decimal = digits(call, 0)?;
    let width = (decimal.width - decimal.scale + 1).min(MAX_WIDTH);
    let result = Decimal { width, scale: 0 };
    let sql = sql!("CAST({}({}) AS {})", function, call.parts[0], result);
    Ok(fixed(Expression::numeric(sql, result)))
}

fn fixed(made: Expression) -> Expression {
    Expression { fixed_scale: true, ..made }
}

fn of_integer(call: &Call<'_>, width: u8) -> Expression {
    let decimal = Decimal { width, scale: 0 };
    Expression::numeric(call.parts[0].to_decimal_by_cast(decimal), decimal)
}

/// # Safety
/// The call's nodes are live.
unsafe fn numeric_cast(call: &Call<'_>) -> Result<Expression> {
    // SAFETY: by contract.
    let typmod = unsafe { integer(call, 1) }.and_then(|typmod| i32::try_from(typmod).ok());
    digits(call, 0)?;
    let Some(wanted) = typmod.and_then(Decimal::of_typmod) else {
        return unsupported("a cast to a numeric that DuckDB has not");
    };
    Ok(fixed(Expression::numeric(call.parts[0].to_decimal_by_cast(wanted), wanted)))
}

/// # Safety
/// The call's nodes are live.
unsafe fn integer(call: &Call<'_>, index: usize) -> Option<i64> {
    // SAFETY: by contract.
    unsafe { literal::integer(call.arguments[index]) }
}

/// # Safety
/// The call's nodes are live.
unsafe fn substring(call: &Call<'_>) -> Result<Expression> {
    // SAFETY: by contract.
    let (start, count) = unsafe {
        (integer(call, 1), if call.parts.len() > 2 { integer(call, 2) } else { Some(0) })
    };
    match (start, count) {
        (Some(start), Some(count)) if start >= 1 && count >= 0 => {
            let count = (call.parts.len() > 2).then(|| sql!(", {}", count));
            Ok(Expression::new(sql!("substring({}, {}{})", call.parts[0], start, count)))
        }
        _ => unsupported("substring from before the start"),
    }
}

/// Under C, letters beyond ASCII have no case.
fn cased(call: &Call<'_>, from: &'static str, to: &'static str) -> Result<Expression> {
    if !catalog::has_ascii_case(call.collation) {
        return unsupported("upper and lower case under this collation");
    }
    Ok(Expression::new(sql!("translate({}, '{}', '{}')", call.parts[0], from, to)))
}

/// PostgreSQL's escape character is the backslash.
///
/// # Safety
/// The call's nodes are live.
unsafe fn like(call: &Call<'_>, operator: &'static str) -> Result<Expression> {
    // SAFETY: by contract.
    let Some(pattern) = (unsafe { literal::text(call.arguments[1]) }) else {
        return unsupported("LIKE with a varying pattern");
    };
    let (value, quoted) = (&call.parts[0].sql, sql::literal(&pattern));
    if !pattern.contains('\\') {
        return Ok(Expression::new(sql!("({} {} {})", value, operator, quoted)));
    }
    let trailing = pattern.chars().rev().take_while(|c| *c == '\\').count();
    if trailing % 2 == 1 {
        return unsupported("LIKE with an unfinished escape");
    }
    Ok(Expression::new(sql!("({} {} {} ESCAPE '\\')", value, operator, quoted)))
}

/// # Safety
/// The call's nodes are live.
unsafe fn field(call: &Call<'_>) -> String {
    // SAFETY: by contract.
    unsafe { literal::text(call.arguments[0]) }.unwrap_or_default().to_ascii_lowercase()
}

/// The year as PostgreSQL counts: there is no year 0.
fn year(function: &'static str, value: &Sql) -> Sql {
    let year = sql!("{}({})", function, value);
    sql!("CASE WHEN {} > 0 THEN {} ELSE {} - 1 END", year, year, year)
}

/// # Safety
/// The call's nodes are live.
unsafe fn extract(call: &Call<'_>) -> Result<Expression> {
    let value = &call.parts[1].sql;
    let is_date = call.types[1] == pg_sys::DATEOID;
    let plain = |function: &'static str| {
        let sql = sql!("CAST({}({}) AS DECIMAL(4,0))", function, value);
        Ok(Expression::numeric(sql, Decimal::new(4, 0)))
    };
    // These are infinite for infinite dates, which a DECIMAL cannot be.
    let finite = |sql: Sql, decimal: Decimal| {
        let sql = sql!(
            "CASE WHEN isfinite({}) THEN {} WHEN {} IS NOT NULL THEN \
             error('pg_pond 0A000 cannot push down the field of an infinite date') END",
            value,
            sql,
            value
        );
        Ok(Expression::numeric(sql, decimal).risky())
    };
    let scaled = |sql: Sql, scale: u8| {
        let unit = sql::number(&format!("0.{}1", "0".repeat(usize::from(scale) - 1)));
        let decimal = Decimal::new(scale, scale);
        sql!("(CAST({} AS DECIMAL(19,0)) * {}::{})", sql, unit, decimal)
    };
    // SAFETY: by contract.
    match unsafe { field(call) }.as_str() {
        "month" => plain("month"),
        "day" => plain("day"),
        "quarter" => plain("quarter"),
        "week" => plain("week"),
        "doy" => plain("dayofyear"),
        "dow" => plain("dayofweek"),
        "isodow" => plain("isodow"),
        "hour" if !is_date => plain("hour"),
        "minute" if !is_date => plain("minute"),
        "year" => finite(sql!("CAST({} AS DECIMAL(7,0))", year("year", value)), Decimal::new(7, 0)),
        "isoyear" => {
            let sql = sql!("CAST({} AS DECIMAL(7,0))", year("isoyear", value));
            finite(sql, Decimal::new(7, 0))
        }
        "second" if !is_date => {
            Ok(Expression::numeric(scaled(sql!("microsecond({})", value), 6), Decimal::new(25, 6)))
        }
        "milliseconds" if !is_date => {
            Ok(Expression::numeric(scaled(sql!("microsecond({})", value), 3), Decimal::new(22, 3)))
        }
        "microseconds" if !is_date => {
            let sql = sql!("CAST(microsecond({}) AS DECIMAL(19,0))", value);
            Ok(Expression::numeric(sql, Decimal::new(19, 0)))
        }
        "epoch" if is_date => {
            let sql = sql!("CAST(epoch_us({}) // 1000000 AS DECIMAL(19,0))", value);
            finite(sql, Decimal::new(19, 0))
        }
        "epoch" => finite(scaled(sql!("epoch_us({})", value), 6), Decimal::new(25, 6)),
        other => unsupported(format!("extract of field {other}")),
    }
}

/// # Safety
/// The call's nodes are live.
unsafe fn date_part(call: &Call<'_>) -> Result<Expression> {
    let value = &call.parts[1].sql;
    let plain = |function: &'static str| {
        Ok(Expression::new(sql!("CAST({}({}) AS DOUBLE)", function, value)))
    };
    let monotone = |sql: Sql| {
        Ok(Expression::new(sql!(
            "CASE WHEN isfinite({}) THEN CAST({} AS DOUBLE) WHEN {} > TIMESTAMP \
             '2000-01-01' THEN 'Infinity'::DOUBLE WHEN {} IS NOT NULL THEN '-Infinity'::DOUBLE END",
            value,
            sql,
            value,
            value
        )))
    };
    // SAFETY: by contract.
    match unsafe { field(call) }.as_str() {
        "month" => plain("month"),
        "day" => plain("day"),
        "quarter" => plain("quarter"),
        "week" => plain("week"),
        "doy" => plain("dayofyear"),
        "dow" => plain("dayofweek"),
        "isodow" => plain("isodow"),
        "hour" => plain("hour"),
        "minute" => plain("minute"),
        "microseconds" => plain("microsecond"),
        "year" => monotone(year("year", value)),
        "isoyear" => monotone(year("isoyear", value)),
        other => unsupported(format!("date_part of field {other}")),
    }
}

/// # Safety
/// The call's nodes are live.
unsafe fn date_trunc(call: &Call<'_>) -> Result<Expression> {
    const FIELDS: [&str; 10] = [
        "microseconds",
        "milliseconds",
        "second",
        "minute",
        "hour",
        "day",
        "week",
        "month",
        "quarter",
        "year",
    ];
    // SAFETY: by contract.
    let field = unsafe { field(call) };
    let Some(field) = FIELDS.into_iter().find(|known| *known == field) else {
        return unsupported(format!("date_trunc to {field}"));
    };
    let value = &call.parts[1].sql;
    Ok(Expression::new(sql!(
        "CASE WHEN isfinite({}) THEN date_trunc('{}', {}) ELSE {} END",
        value,
        field,
        value,
        value
    )))
}
