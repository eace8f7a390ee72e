//! Rows of a foreign table as heap tuples, picked at random by DuckDB: what ANALYZE looks at.

use duck::sql;
use pgrx::pg_sys;

use super::batch::Batch;
use super::drift;
use super::plan::{ScanPlan, Source, Tables};
use crate::error::Result;
use crate::lake::table::LakeTable;
use crate::session::{self, Entry};

/// At most `wanted` rows of the relation's row type, in CurrentMemoryContext.
///
/// # Errors
/// DuckDB's; 42703 and 42804 for files that are not as the table says.
///
/// # Safety
/// `relation` is open, and the foreign table that `table` was loaded from.
pub unsafe fn sample(
    table: &LakeTable,
    relation: pg_sys::Relation,
    role: pg_sys::Oid,
    wanted: usize,
) -> Result<Vec<pg_sys::HeapTuple>> {
    let entry = Entry::table(table.server, table.origin.expected()?);
    let columns = table.columns.iter().flatten();
    let numbers: Vec<_> = columns.map(|column| column.attribute.number).collect();
    let sql = table.select(&numbers)?;
    drift::described(table, role, &entry, &numbers)?;
    let plan = ScanPlan {
        source: Source::Tables(Tables::default()),
        names: numbers.iter().filter_map(|n| table.column(*n)).map(|c| c.alias.clone()).collect(),
        fetch: (0..numbers.len()).collect(),
        sql: sql!("SELECT * FROM ({}) USING SAMPLE reservoir({} ROWS)", sql, wanted).executed(),
        ..ScanPlan::default()
    };
    let running = session::start_scan(session::Request {
        original: plan.sql.clone(),
        sql: plan.final_sql(None),
        expected_columns: None,
        arguments: 0,
        values: vec![],
        role,
        around: None,
        entry,
    })?;
    let columns = running.columns()?;
    // SAFETY: by contract; the descriptor lives in the current context, as the tuples do.
    unsafe {
        let row_type = (*relation).rd_att;
        let width = usize::try_from((*row_type).natts).unwrap_or(0);
        let fetched = descriptor(row_type, &numbers);
        let mut batch = Batch::new(&plan, &columns, fetched, pg_sys::CurrentMemoryContext)?;
        let mut tuples = vec![];
        let mut values = vec![pg_sys::Datum::null(); width];
        let mut nulls = vec![true; width];
        while let Some(chunk) = running.next_chunk()? {
            batch.load(&chunk)?;
            while let Some((row, row_nulls)) = batch.next_values() {
                for (at, number) in numbers.iter().enumerate() {
                    let index = usize::try_from(*number).unwrap_or(1) - 1;
                    values[index] = row[at];
                    nulls[index] = row_nulls[at];
                }
                if tuples.len() < wanted {
                    let (values, nulls) = (values.as_mut_ptr(), nulls.as_mut_ptr());
                    tuples.push(pg_sys::heap_form_tuple(row_type, values, nulls));
                }
            }
        }
        Ok(tuples)
    }
}

/// The attributes with these numbers.
///
/// # Safety
/// `row_type` is live and has them.
unsafe fn descriptor(row_type: pg_sys::TupleDesc, numbers: &[i16]) -> pg_sys::TupleDesc {
    // SAFETY: by contract.
    unsafe {
        let count = i32::try_from(numbers.len()).unwrap_or(i32::MAX);
        let fetched = pg_sys::CreateTemplateTupleDesc(count);
        for (target, number) in (1i16..).zip(numbers) {
            pg_sys::TupleDescCopyEntry(fetched, target, row_type, *number);
        }
        fetched
    }
}
