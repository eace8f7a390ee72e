//! Columns that the files of one set hold in several types.
//!
//! DuckDB casts what it reads to the type that the set has, but compares what it pushes into a file in
//! the *file's* type, for which it rounds the constant (1.5.5: `x < 1.1` is `x < 1` in a file of
//! integers, and so is the boundary of a top-N). It does not do so where the column has another
//! condition that it cannot cast; then it casts the values. So a condition gets such a companion, which
//! is true and costs next to nothing: in files of the set's own type, row groups are skipped as before.

use duck::sql;
use duck::sql::Sql;
use pgrx::pg_sys;

use super::options::{Format, Source};
use super::origin::Origin;

/// Types whose constants DuckDB casts to a file's type, by the numbers that stand for them.
const CAST_TYPES: [pg_sys::Oid; 9] = [
    pg_sys::INT2OID,
    pg_sys::INT4OID,
    pg_sys::INT8OID,
    pg_sys::FLOAT4OID,
    pg_sys::FLOAT8OID,
    pg_sys::NUMERICOID,
    pg_sys::DATEOID,
    pg_sys::TIMESTAMPOID,
    pg_sys::TIMESTAMPTZOID,
];

/// Whether a condition on a column of this type needs a companion where files may differ.
#[must_use]
pub fn is_cast(type_oid: pg_sys::Oid) -> bool {
    CAST_TYPES.contains(&super::table::base_type(type_oid, -1).0)
}

/// Whether the files of a table may hold a column in several types: those of a lake as well, whose
/// columns are widened without being written anew.
#[must_use]
pub fn may_be(origin: &Origin) -> bool {
    match origin {
        Origin::Lake(_) => true,
        Origin::Files(source) => may_be_files(source),
    }
}

fn may_be_files(source: &Source) -> bool {
    match source.format {
        Format::Parquet => {
            source.paths.len() > 1 || source.paths.iter().any(|path| path.contains(['*', '?', '[']))
        }
        Format::Iceberg | Format::Delta => true,
        // Read as text, and compared above the reader.
        Format::Csv | Format::Json => false,
    }
}

/// The companion of a condition on a column. `strict` says that the condition is not true for NULL.
#[must_use]
pub fn companion(column: &Sql, strict: bool) -> Sql {
    // Nothing that DuckDB would fold: it does not know that the function is true but for NULL.
    let test = sql!("constant_or_null(true, {})", column);
    if strict { test } else { sql!("{} IS NOT FALSE", test) }
}
