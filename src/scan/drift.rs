//! Why a scan of foreign tables fails whose files are not what their tables say: DuckDB's words name
//! parts of our SQL; here the tables' files are described one by one, and the first difference is
//! what the user gets to know.

use duck::Column;
use pgrx::{PgSqlErrorCode as SqlState, pg_sys};

use super::plan::ScanPlan;
use crate::error::{Error, Result};
use crate::lake::table::{self, LakeTable};
use crate::pg::nodes;
use crate::session::{self, Entry, access};

/// The error to report for one of DuckDB's.
///
/// # Safety
/// `range_table` is that of the statement that runs, whose relations are locked.
pub unsafe fn explain(
    error: Error,
    plan: &ScanPlan,
    role: pg_sys::Oid,
    entry: &Entry,
    range_table: *mut pg_sys::List,
) -> Error {
    if plan.tables().is_none() || !may_be_drift(&error) {
        return error;
    }
    // SAFETY: by contract.
    let tables = unsafe { tables_of(plan, range_table) };
    for table in &tables {
        let numbers = plan.tables().map(|read| read.columns_of(table.relation)).unwrap_or_default();
        match described(table, role, entry, numbers) {
            Err(found) if says_which_table(&found) => {
                return access::discreet(found, role, entry);
            }
            _ => {}
        }
    }
    match tables.as_slice() {
        // It was there when the files were listed.
        [table] if error.sqlstate() == SqlState::ERRCODE_UNDEFINED_FILE => {
            error.reworded(format!("a file of foreign table \"{}\" does not exist", table.name))
        }
        _ => error,
    }
}

/// The columns of a table's files, if those with these numbers are as the table says.
///
/// # Errors
/// 42703, 42804 and 58P01 naming the table; DuckDB's.
pub fn described(
    table: &LakeTable,
    role: pg_sys::Oid,
    entry: &Entry,
    numbers: &[i16],
) -> Result<Vec<Column>> {
    let describe = |query: &str| -> Result<Vec<Column>> {
        Ok(session::describe(role, query, vec![], entry.clone())?.columns)
    };
    match describe(&table.all_columns(true)?) {
        Ok(found) => match table.difference(&found, numbers, true) {
            Some(difference) => Err(difference),
            None => Ok(found),
        },
        Err(error) if error.sqlstate() == SqlState::ERRCODE_UNDEFINED_FILE => {
            Err(table.files_are_gone(error))
        }
        // CSV cannot be read with the type of a column that it does not have.
        Err(error) => match describe(&table.all_columns(false)?) {
            Ok(found) => {
                // A mere count reads the first column.
                let all = || table.difference(&found, &table.numbers(), false);
                Err(table.difference(&found, numbers, false).or_else(all).unwrap_or(error))
            }
            Err(_) => Err(error),
        },
    }
}

fn says_which_table(error: &Error) -> bool {
    error.message().contains("of foreign table")
}

/// Whether an error may come from columns or files that are not there any more.
fn may_be_drift(error: &Error) -> bool {
    // Our own SQL has said it already.
    !says_which_table(error)
        && matches!(
            error.sqlstate(),
            SqlState::ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION
                | SqlState::ERRCODE_UNDEFINED_COLUMN
                | SqlState::ERRCODE_UNDEFINED_FUNCTION
                | SqlState::ERRCODE_UNDEFINED_TABLE
                | SqlState::ERRCODE_UNDEFINED_FILE
                | SqlState::ERRCODE_AMBIGUOUS_FUNCTION
                | SqlState::ERRCODE_DATATYPE_MISMATCH
                | SqlState::ERRCODE_FEATURE_NOT_SUPPORTED
                | SqlState::ERRCODE_INVALID_TEXT_REPRESENTATION
                | SqlState::ERRCODE_INVALID_PARAMETER_VALUE
        )
}

/// The foreign tables that the scan reads.
///
/// # Safety
/// As [`explain`].
unsafe fn tables_of(plan: &ScanPlan, range_table: *mut pg_sys::List) -> Vec<LakeTable> {
    let Some(read) = plan.tables() else { return vec![] };
    let mut tables: Vec<LakeTable> = vec![];
    // SAFETY: by contract.
    unsafe {
        for rte in nodes::items::<pg_sys::RangeTblEntry>(range_table) {
            if !table::is_ours(rte) || tables.iter().any(|known| known.relation == (*rte).relid) {
                continue;
            }
            if let Ok(table) = LakeTable::load((*rte).relid)
                && read.relations.contains(&table.name)
            {
                tables.push(table);
            }
        }
    }
    tables
}
