//! A foreign table on a lake as it was, and how it has changed: `duckdb.at` and
//! `duckdb.table_changes`.
//!
//! Such a look is kept as the foreign table and a moment, never as DuckDB's SQL. The SQL is made when
//! it runs, of the columns that the foreign table has, for a role that may select them: so a stored
//! view, or whoever writes the stored form himself, gets at nothing else of the lake.

use duck::policy::{Expected, TableCall};
use duck::sql::Sql;
use duck::{Column, sql};
use pgrx::{PgSqlErrorCode, pg_sys};
use serde::{Deserialize, Serialize};

use super::origin::{LakeRelation, Moment};
use super::table::{self, LakeColumn, LakeTable};
use crate::error::{Error, Result};
use crate::pg::row_type::RowColumn;
use crate::pg::{acl, catalog, input};

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Travel {
    /// The OID of the foreign table.
    pub relation: u32,
    pub period: Period,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Period {
    /// The snapshot of this number.
    Version(i64),
    /// The newest snapshot of that time, in microseconds since 2000.
    Timestamp(i64),
    /// What the snapshots from the first to the second have changed.
    Changes(i64, i64),
}

/// The columns of a change beside the table's own.
const OF_CHANGES: [(&str, pg_sys::Oid); 3] = [
    ("snapshot_id", pg_sys::INT8OID),
    ("rowid", pg_sys::INT8OID),
    ("change_type", pg_sys::TEXTOID),
];

/// A foreign table with what is looked at.
pub struct Past {
    pub table: LakeTable,
    from_item: Sql,
    expected: Expected,
    has_changes: bool,
}

/// A foreign table on a lake of which `role` may select all columns.
///
/// # Errors
/// 42809 for another relation, 42501 without the right.
pub fn readable(relation: pg_sys::Oid, role: pg_sys::Oid) -> Result<(LakeTable, LakeRelation)> {
    catalog::lock_to_read(relation);
    let table = LakeTable::load(relation)?;
    let Some(found) = table.origin.lake().cloned() else {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("foreign table \"{}\" is not on a lake", table.name),
        ));
    };
    if !acl::may_select(relation, role) {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("permission denied for foreign table {}", table.name),
        ));
    }
    Ok((table, found))
}

impl Travel {
    /// What the arguments of `duckdb.query_at(regclass, bigint, timestamptz)` or
    /// `duckdb.query_changes(regclass, bigint, bigint)` look at; `None` where one is missing.
    #[must_use]
    pub fn of_arguments(
        has_changes: bool,
        relation: pg_sys::Datum,
        first: Option<pg_sys::Datum>,
        second: Option<pg_sys::Datum>,
    ) -> Option<Self> {
        let number = |datum: pg_sys::Datum| (datum.value() as u64).cast_signed();
        let period = match (has_changes, first, second) {
            (true, Some(from), Some(to)) => Period::Changes(number(from), number(to)),
            (false, Some(version), None) => Period::Version(number(version)),
            (false, None, Some(moment)) => Period::Timestamp(number(moment)),
            _ => return None,
        };
        Some(Self { relation: u32::try_from(relation.value()).ok()?, period })
    }

    /// The past of the table for `role`.
    ///
    /// # Errors
    /// As [`readable`]; 0A000 for a table that is held to a snapshot, whose readers are not to see
    /// others; 22008 for a time without end.
    pub fn open(&self, role: pg_sys::Oid) -> Result<Past> {
        let (table, relation) = readable(self.relation.into(), role)?;
        if relation.moment != Moment::Newest {
            return Err(Error::not_supported(format!(
                "foreign table \"{}\" shows one snapshot only",
                table.name
            ))
            .detail("Its options say which."));
        }
        let from_item = match self.period {
            Period::Version(number) => sql!("{} AT (VERSION => {})", relation.name(), number),
            Period::Timestamp(moment) => sql!(
                "{} AT (TIMESTAMP => make_timestamptz({}))",
                relation.name(),
                since_1970(moment)?
            ),
            Period::Changes(from, to) => sql!(
                "ducklake_table_changes({}, {}, {}, {}, {})",
                sql::literal(&relation.lake),
                sql::literal(&relation.schema),
                sql::literal(&relation.table),
                from,
                to
            ),
        };
        let has_changes = matches!(self.period, Period::Changes(..));
        let expected = if has_changes {
            Expected::call(TableCall::new("ducklake_table_changes", relation.parts()))
        } else {
            relation.expected()
        };
        Ok(Past { table, from_item, expected, has_changes })
    }
}

/// 22008 for a moment that is none of DuckDB's.
fn since_1970(moment: i64) -> Result<i64> {
    input::since_1970(moment).ok_or_else(|| {
        Error::new(PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW, "the timestamp must be finite")
    })
}

impl Past {
    /// What its queries use.
    #[must_use]
    pub fn expected(&self) -> Expected {
        self.expected.clone()
    }

    /// A query of all columns as the lake had them.
    #[must_use]
    pub fn all_columns(&self) -> String {
        sql!("SELECT * FROM {}", self.from_item).executed()
    }

    /// The columns of the foreign table that the lake's table had, after those of a change.
    ///
    /// # Errors
    /// 0A000 when there is none, 42701 when a column of the table is called as one of a change.
    pub fn columns(&self, found: &[Column]) -> Result<Vec<RowColumn>> {
        let mut columns: Vec<_> = self
            .of_changes()
            .iter()
            .map(|(name, type_oid)| RowColumn {
                name: (*name).to_owned(),
                type_oid: *type_oid,
                typmod: -1,
                collation: if *type_oid == pg_sys::TEXTOID {
                    pg_sys::DEFAULT_COLLATION_OID
                } else {
                    pg_sys::InvalidOid
                },
            })
            .collect();
        for LakeColumn { attribute, file_name, .. } in self.table.columns.iter().flatten() {
            if columns.iter().any(|column| column.name == attribute.name) {
                return Err(Error::new(
                    PgSqlErrorCode::ERRCODE_DUPLICATE_COLUMN,
                    format!(
                        "column \"{}\" of foreign table \"{}\" has the name of a change's own",
                        attribute.name, self.table.name
                    ),
                )
                .hint("Give the column another name by ALTER FOREIGN TABLE … RENAME COLUMN."));
            }
            if found.iter().any(|column| column.name.eq_ignore_ascii_case(file_name)) {
                columns.push(RowColumn {
                    name: attribute.name.clone(),
                    type_oid: attribute.type_oid,
                    typmod: attribute.typmod,
                    collation: attribute.collation,
                });
            }
        }
        if columns.is_empty() {
            return Err(Error::not_supported(format!(
                "the lake had none of the columns of foreign table \"{}\" then",
                self.table.name
            )));
        }
        Ok(columns)
    }

    fn of_changes(&self) -> &'static [(&'static str, pg_sys::Oid)] {
        if self.has_changes { &OF_CHANGES } else { &[] }
    }

    /// The query of the columns with these names, each held to the type that the table declares.
    ///
    /// # Errors
    /// 42703 for a name that is none of them; 0A000 for a type that DuckDB has nothing for.
    pub fn select(&self, names: &[String]) -> Result<Sql> {
        let mut items = vec![];
        for name in names {
            let quoted = sql::identifier(name);
            if self.of_changes().iter().any(|(own, _)| own == name) {
                items.push(quoted);
                continue;
            }
            let mut columns = self.table.columns.iter().flatten();
            let Some(column) = columns.find(|column| column.attribute.name == *name) else {
                return Err(Error::new(
                    PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                    format!(
                        "column \"{name}\" of foreign table \"{}\" does not exist",
                        self.table.name
                    ),
                ));
            };
            items.push(sql!("{} AS {}", self.table.column_sql(column)?, quoted));
        }
        Ok(sql!("SELECT {} FROM {}", table::select_list(items), self.from_item))
    }
}
