//! The PostgreSQL columns that stand for DuckDB's.

use duck::{Column, LogicalType};
use pgrx::pg_sys;

use crate::pg::row_type::RowColumn;
use crate::types;

/// The PostgreSQL columns for those of a DuckDB query. A type that PostgreSQL has nothing for
/// becomes text, and reading that column is an error: it does no harm while nobody selects it.
///
/// Names are cut to what PostgreSQL keeps of them; those that then are the same are told apart.
#[must_use]
pub fn row_columns(columns: &[Column]) -> Vec<RowColumn> {
    let mut columns: Vec<_> = columns
        .iter()
        .map(|column| {
            let name = match column.name.as_str() {
                "" => "?column?",
                name => name,
            };
            let pg_type = types::pg_type(name, &column.logical_type)
                .or_else(|_| types::pg_type(name, &LogicalType::Varchar));
            let (type_oid, typmod, collation) = match pg_type {
                Ok(found) => (found.oid, found.typmod, found.collation),
                Err(_) => (pg_sys::TEXTOID, -1, pg_sys::DEFAULT_COLLATION_OID),
            };
            RowColumn { name: name.to_owned(), type_oid, typmod, collation }
        })
        .collect();
    shorten_names(&mut columns);
    columns
}

/// The columns of a table: as [`row_columns`], but that none is called like a system column, which every
/// table has. These get a number, and the column's option `column_name` says what the files call them.
#[must_use]
pub fn table_columns(columns: &[Column]) -> Vec<RowColumn> {
    let mut columns = row_columns(columns);
    for index in 0..columns.len() {
        let own = columns[index].name.clone();
        if !SYSTEM_COLUMNS.contains(&own.as_str()) {
            continue;
        }
        let is_taken = |name: &String| columns.iter().any(|other| other.name == *name);
        let free = (1..).map(|number| format!("{own}_{number}")).find(|name| !is_taken(name));
        columns[index].name = free.unwrap_or(own);
    }
    columns
}

/// Whether every table of PostgreSQL has a column of this name.
#[must_use]
pub fn is_system_column(name: &str) -> bool {
    SYSTEM_COLUMNS.contains(&name)
}

/// PostgreSQL's manual, chapter "System Columns".
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// Cuts names to what PostgreSQL keeps of them, and tells apart those that then are the same.
fn shorten_names(columns: &mut [RowColumn]) {
    const LONGEST: usize = pg_sys::NAMEDATALEN as usize - 1;
    let cut = |name: &str, most: usize| {
        let end = (0..=most.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
        name[..end.unwrap_or(0)].to_owned()
    };
    for index in 0..columns.len() {
        if columns[index].name.len() <= LONGEST {
            continue;
        }
        let full = columns[index].name.clone();
        let mut short = cut(&full, LONGEST);
        let mut number = 1;
        while columns[..index].iter().any(|other| other.name == short) {
            let suffix = format!("_{number}");
            short = cut(&full, LONGEST - suffix.len()) + &suffix;
            number += 1;
        }
        columns[index].name = short;
    }
}
