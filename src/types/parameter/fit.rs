//! Values of one list, and values for a type that was promised before they were known: unbounded
//! numerics bring scales of their own.

use duck::{LogicalType, Value};
use encode::numeric;
use pgrx::PgSqlErrorCode;

use crate::error::{Error, Result};

/// A type that holds all `values`, as far as they are of one PostgreSQL type; `None` without
/// values.
pub(super) fn common<'v>(values: impl Iterator<Item = &'v Value>) -> Option<LogicalType> {
    values.map(Value::logical_type).reduce(|a, b| widest(&a, &b))
}

fn widest(a: &LogicalType, b: &LogicalType) -> LogicalType {
    match (a, b) {
        (
            LogicalType::Decimal { width: a, scale: a_scale },
            LogicalType::Decimal { width: b, scale: b_scale },
        ) => LogicalType::Decimal { width: *a.max(b), scale: *a_scale.max(b_scale) },
        (LogicalType::List(a), LogicalType::List(b)) => LogicalType::List(Box::new(widest(a, b))),
        (LogicalType::Struct(a), LogicalType::Struct(b)) if a.len() == b.len() => {
            let fields = a.iter().zip(b);
            LogicalType::Struct(fields.map(|((n, a), (_, b))| (n.clone(), widest(a, b))).collect())
        }
        (a, _) => a.clone(),
    }
}

/// `value`, of parameter `name`, as a value of type `to`.
///
/// # Errors
/// 22003 for a number that the type cannot hold exactly, 42804 for a value of another type.
pub(super) fn fit(name: &str, value: Value, to: &LogicalType) -> Result<Value> {
    Ok(match (value, to) {
        (Value::Null(_), to) => Value::Null(to.clone()),
        (Value::Decimal { scale: from, unscaled, .. }, LogicalType::Decimal { width, scale }) => {
            let unscaled = numeric::rescale(unscaled, from, *scale)
                .filter(|unscaled| numeric::fits_width(*unscaled, *width));
            let unscaled = unscaled.ok_or_else(|| {
                Error::out_of_range(format!("numeric parameter {name} does not fit {to}"))
                    .detail("Its type was decided before the value was known.")
                    .hint("Cast the parameter to numeric(p,s).")
            })?;
            Value::Decimal { width: *width, scale: *scale, unscaled }
        }
        (Value::List(_, values), LogicalType::List(element)) => {
            let values = values.into_iter().map(|value| fit(name, value, element));
            Value::List((**element).clone(), values.collect::<Result<Vec<_>>>()?)
        }
        (Value::Struct(fields), LogicalType::Struct(types)) if fields.len() == types.len() => {
            let fields = fields.into_iter().zip(types);
            let fields = fields.map(|((field, value), (_, to))| Ok((field, fit(name, value, to)?)));
            Value::Struct(fields.collect::<Result<Vec<_>>>()?)
        }
        (value, to) if value.logical_type() == *to => value,
        (value, to) => {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                format!("parameter {name} is not of the type that it was planned with"),
            )
            .detail(format!("It is {}, and was {to}.", value.logical_type())));
        }
    })
}
