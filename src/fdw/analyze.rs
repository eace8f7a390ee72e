//! ANALYZE of foreign tables: a sample that DuckDB takes, and the number of rows that the files tell.
//! It reads as the table's owner.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::estimate;
use crate::error::{Result, report};
use crate::lake::table::LakeTable;
use crate::scan;

unsafe extern "C-unwind" {
    // catalog/pg_inherits.h; not in pgrx's bindings.
    fn has_superclass(relation: pg_sys::Oid) -> bool;
}

thread_local! {
    /// The rows of the tables that are being analyzed: PostgreSQL asks for the pages of all
    /// partitions before it samples the first.
    static COUNTED: RefCell<HashMap<pg_sys::Oid, f64>> = RefCell::default();
}

#[pg_guard]
pub unsafe extern "C-unwind" fn analyze_foreign_table(
    relation: pg_sys::Relation,
    function: *mut pg_sys::AcquireSampleRowsFunc,
    pages: *mut pg_sys::BlockNumber,
) -> bool {
    // SAFETY: an open relation, and places for the answers.
    unsafe {
        let rows = report(count(relation));
        COUNTED.with_borrow_mut(|counted| counted.insert((*relation).rd_id, rows));
        *function = Some(acquire_sample_rows);
        *pages = pages_of(relation, rows);
    }
    true
}

/// # Safety
/// `relation` is open.
unsafe fn count(relation: pg_sys::Relation) -> Result<f64> {
    // SAFETY: by contract.
    unsafe {
        let table = LakeTable::load((*relation).rd_id)?;
        estimate::counted_rows(&table, (*(*relation).rd_rel).relowner).map_err(|error| match error
            .sqlstate()
        {
            PgSqlErrorCode::ERRCODE_UNDEFINED_FILE => table.files_are_gone(error),
            _ => error,
        })
    }
}

/// How many pages a heap would need: by these PostgreSQL divides the sample of a partitioned table
/// among its partitions. Any other table has none: clients that find pages in `pg_class` (DuckDB's own
/// for PostgreSQL) divide their reading by ctid, which a foreign table does not have.
///
/// # Safety
/// `relation` is open.
unsafe fn pages_of(relation: pg_sys::Relation, rows: f64) -> pg_sys::BlockNumber {
    // SAFETY: by contract; a catalog look-up.
    if !unsafe { has_superclass((*relation).rd_id) } {
        return 0;
    }
    // SAFETY: by contract; without widths that are known only the types are looked at.
    let width = unsafe { pg_sys::get_rel_data_width(relation, std::ptr::null_mut()) };
    let tuple = f64::from(width) + size_of::<pg_sys::HeapTupleHeaderData>() as f64;
    let pages = (rows * tuple / f64::from(pg_sys::BLCKSZ)).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what a block number holds"
    )]
    let pages = pages.clamp(1.0, f64::from(u32::MAX - 1)) as pg_sys::BlockNumber;
    pages
}

#[pg_guard]
unsafe extern "C-unwind" fn acquire_sample_rows(
    relation: pg_sys::Relation,
    level: i32,
    rows: *mut pg_sys::HeapTuple,
    wanted: i32,
    total_rows: *mut f64,
    total_dead_rows: *mut f64,
) -> i32 {
    // SAFETY: an open relation, room for `wanted` tuples, and places for the numbers.
    unsafe {
        let wanted = usize::try_from(wanted).unwrap_or(0);
        let tuples = report(tuples(relation, wanted));
        for (at, tuple) in tuples.iter().enumerate() {
            *rows.add(at) = *tuple;
        }
        let sampled = i32::try_from(tuples.len()).unwrap_or(i32::MAX);
        let counted = COUNTED.with_borrow_mut(|counted| counted.remove(&(*relation).rd_id));
        *total_rows = if tuples.len() < wanted {
            f64::from(sampled)
        } else {
            counted.unwrap_or(0.0).max(f64::from(sampled))
        };
        *total_dead_rows = 0.0;
        if level >= PgLogLevel::INFO as i32 {
            let name = crate::pg::catalog::relation_name((*relation).rd_id);
            let total = *total_rows;
            pgrx::info!("{name}: {total} rows in the files, {sampled} in the sample");
        }
        sampled
    }
}

/// # Safety
/// `relation` is open.
unsafe fn tuples(relation: pg_sys::Relation, wanted: usize) -> Result<Vec<pg_sys::HeapTuple>> {
    // SAFETY: by contract.
    unsafe {
        let table = LakeTable::load((*relation).rd_id)?;
        scan::sample(&table, relation, (*(*relation).rd_rel).relowner, wanted)
    }
}
