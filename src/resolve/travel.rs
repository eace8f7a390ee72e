//! `duckdb.at` and `duckdb.table_changes`: what a call looks at, and its columns. In views and plans
//! they become `duckdb.query_at` and `duckdb.query_changes`.

use pgrx::{PgSqlErrorCode, pg_sys};

use super::input::{self, Described};
use crate::error::{Error, Result};
use crate::lake::travel::{Period, Travel};
use crate::pg::catalog::Objects;
use crate::pg::parse::{Constant, Options};
use crate::pg::{acl, input as values};
use crate::session::{self, Entry};

/// The functions, with the names of their parameters after the first.
const FUNCTIONS: [(&str, [&str; 2]); 2] =
    [("at", ["version", "timestamp"]), ("table_changes", ["from_version", "to_version"])];

/// Whether a function of this name in our schema is one of them.
#[must_use]
pub fn is_travel(function: &str) -> bool {
    FUNCTIONS.iter().any(|(name, _)| *name == function)
}

/// What a call looks at, given its first argument and the others.
///
/// # Errors
/// 42P01 for a table that does not exist; 22023 and 22004 for other arguments than it takes.
pub fn of_call(function: &str, table: &str, options: &Options) -> Result<Travel> {
    let names = FUNCTIONS.iter().find(|(name, _)| *name == function).map(|(_, names)| names);
    let names = names.ok_or_else(|| Error::not_supported("this is no look at a lake's past"))?;
    let given = |at: usize| {
        let mut options = options.iter().enumerate();
        let found = options.find(|(position, (name, _))| match name {
            Some(name) => name == names[at],
            None => *position == at,
        });
        found.map(|(_, (_, value))| value).filter(|value| **value != Constant::Null)
    };
    let version = |at: usize| given(at).map(|value| number(names[at], value)).transpose();
    let period = if function == "at" {
        match (version(0)?, given(1)) {
            (Some(number), None) => Period::Version(number),
            (None, Some(Constant::Text(text))) => Period::Timestamp(values::timestamptz(text)),
            (None, Some(_)) => return Err(wrong("timestamp", "a timestamp with time zone")),
            _ => {
                return Err(Error::new(
                    PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                    "duckdb.at takes either a version or a timestamp",
                )
                .hint("Write duckdb.at('table', version => 12)."));
            }
        }
    } else {
        match (version(0)?, version(1)?) {
            (Some(from), Some(to)) => Period::Changes(from, to),
            _ => {
                return Err(Error::new(
                    PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                    "the versions of duckdb.table_changes must not be null",
                ));
            }
        }
    };
    Ok(Travel { relation: values::regclass(table).to_u32(), period })
}

fn number(name: &str, value: &Constant) -> Result<i64> {
    match value {
        Constant::Number(digits) | Constant::Text(digits) => digits.trim().parse().ok(),
        _ => None,
    }
    .ok_or_else(|| wrong(name, "the number of a snapshot"))
}

fn wrong(name: &str, wanted: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("argument \"{name}\" must be {wanted}"),
    )
}

/// The text by which the statement's literal stands for it until the statement is converted.
#[must_use]
pub fn key(travel: &Travel) -> String {
    serde_json::to_string(travel).unwrap_or_default()
}

/// What such a text stands for.
#[must_use]
pub fn of_key(key: &str) -> Option<Travel> {
    serde_json::from_str(key).ok()
}

/// Asks DuckDB for the columns.
///
/// # Errors
/// 42501 without SELECT on the table; DuckDB's.
pub fn describe(travel: Travel, location: i32) -> Result<Described> {
    let role = acl::current_role();
    let past = travel.open(role)?;
    let entry = Entry::table(past.table.server, past.expected());
    let found = session::describe(role, &past.all_columns(), vec![], entry)?.columns;
    let columns = past.columns(&found)?;
    let duck_names = columns.iter().map(|column| column.name.clone()).collect();
    let described = Described {
        sql: key(&travel),
        location,
        columns,
        duck_names,
        parameters: 0,
        arguments: vec![],
        travel: Some(travel),
    };
    input::remember(described.clone());
    Ok(described)
}

/// The stored form of a call: the function, and its arguments.
///
/// # Safety
/// Within a transaction.
pub unsafe fn stored(travel: &Travel, objects: &Objects) -> (pg_sys::Oid, Vec<*mut pg_sys::Node>) {
    let bigint = |value: Option<i64>| constant(pg_sys::INT8OID, value);
    let relation = pg_sys::Datum::from(travel.relation);
    // SAFETY: values of their types, of which none is a pointer.
    let relation = unsafe {
        pg_sys::makeConst(pg_sys::REGCLASSOID, -1, pg_sys::InvalidOid, 4, relation, false, true)
    };
    let (function, further) = match travel.period {
        Period::Version(number) => {
            (objects.query_at, [bigint(Some(number)), constant(pg_sys::TIMESTAMPTZOID, None)])
        }
        Period::Timestamp(moment) => {
            (objects.query_at, [bigint(None), constant(pg_sys::TIMESTAMPTZOID, Some(moment))])
        }
        Period::Changes(from, to) => {
            (objects.query_changes, [bigint(Some(from)), bigint(Some(to))])
        }
    };
    (function, std::iter::once(relation).chain(further).map(|constant| constant.cast()).collect())
}

/// A constant of a type of 8 bytes that is passed by value.
fn constant(type_oid: pg_sys::Oid, value: Option<i64>) -> *mut pg_sys::Const {
    let datum = value.map_or(pg_sys::Datum::null(), pg_sys::Datum::from);
    // SAFETY: within a transaction.
    unsafe { pg_sys::makeConst(type_oid, -1, pg_sys::InvalidOid, 8, datum, value.is_none(), true) }
}

/// The column names of a FROM item, which the stored form finds its columns by.
///
/// # Errors
/// 0A000 where the item gives them others.
pub fn check_names(described: &Described, names: &[String]) -> Result<()> {
    if described.columns.iter().map(|column| &column.name).eq(names) {
        return Ok(());
    }
    Err(Error::not_supported(
        "the columns of duckdb.at and duckdb.table_changes cannot be renamed in the FROM clause",
    )
    .hint("Rename them in the select list."))
}
