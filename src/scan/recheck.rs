//! Rows of a scan in EvalPlanQual: when UPDATE, DELETE or MERGE meets a row that another transaction
//! has changed, PostgreSQL runs the plan again for that row, and every other relation gives the row
//! that it gave before. Ours is in the whole-row column that the planner asked for (ROW_MARK_COPY);
//! DuckDB is not asked again (executor/README, "EvalPlanQual").

use pgrx::pg_sys;

use super::plan::ScanPlan;
use crate::pg::{encoding, memory, nodes, slot};

/// The place of the scanned item in the range table.
///
/// # Safety
/// `plan` is a live plan of ours.
unsafe fn range_table_index(plan: *mut pg_sys::CustomScan) -> Option<u32> {
    // SAFETY: by contract; the target list's entries are Vars of the item.
    unsafe {
        let entry = nodes::items::<pg_sys::TargetEntry>((*plan).custom_scan_tlist).next()?;
        let tag = pg_sys::NodeTag::T_Var;
        let var = nodes::cast::<pg_sys::Var>((*entry).expr.cast(), tag)?;
        u32::try_from((*var).varno).ok()
    }
}

/// Whether the row of this scan is given for the recheck that is under way.
///
/// # Safety
/// `node` is one of our states and has begun.
pub unsafe fn is_given(node: *mut pg_sys::ScanState, plan: &ScanPlan) -> bool {
    // SAFETY: by contract; the arrays have an entry for each range table entry.
    unsafe {
        let recheck = (*(*node).ps.state).es_epq_active;
        if recheck.is_null() || !plan.whole_row || (*recheck).relsubs_rowmark.is_null() {
            return false;
        }
        match range_table_index((*node).ps.plan.cast()) {
            Some(index) => !(*(*recheck).relsubs_rowmark.add(index as usize - 1)).is_null(),
            None => false,
        }
    }
}

/// Puts the given row into `slot`; `false` when it has been given already, or is NULL.
///
/// # Safety
/// [`is_given`] holds; `slot` is the node's own scan slot.
pub unsafe fn give(
    node: *mut pg_sys::ScanState,
    plan: &ScanPlan,
    slot: *mut pg_sys::TupleTableSlot,
) -> bool {
    // SAFETY: by contract. Fetched are all columns in order, and the whole row behind them.
    unsafe {
        pg_sys::ExecClearTuple(slot);
        let recheck = (*(*node).ps.state).es_epq_active;
        let Some(index) = range_table_index((*node).ps.plan.cast()) else { return false };
        let done = (*recheck).relsubs_done.add(index as usize - 1);
        if *done {
            return false;
        }
        *done = true;
        let context = (*(*node).ps.state).es_query_cxt;
        let descriptor = row_descriptor(plan, (*slot).tts_tupleDescriptor, context);
        let row = memory::in_context(context, || {
            pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsVirtual)
        });
        let found = pg_sys::EvalPlanQualFetchRowMark(recheck, index, row);
        if found {
            for (from, to) in plan.row_columns.iter().enumerate() {
                let Some(to) = *to else { continue };
                (*slot).tts_values.add(to).write(*(*row).tts_values.add(from));
                (*slot).tts_isnull.add(to).write(*(*row).tts_isnull.add(from));
            }
            let count = plan.fetch.len();
            let whole = memory::in_context(context, || pg_sys::ExecFetchSlotHeapTupleDatum(row));
            (*slot).tts_values.add(count).write(whole);
            (*slot).tts_isnull.add(count).write(false);
            let mut at = count;
            if let Some(oid) = plan.table_oid {
                at += 1;
                (*slot).tts_values.add(at).write(pg_sys::Datum::from(oid));
                (*slot).tts_isnull.add(at).write(false);
            }
            if plan.row_id {
                at += 1;
                (*slot).tts_values.add(at).write(slot::no_place(context));
                (*slot).tts_isnull.add(at).write(false);
            }
            pg_sys::ExecStoreVirtualTuple(slot);
        }
        found
    }
}

/// The type of a scan's whole rows: the table's own, or a record of all columns.
///
/// # Safety
/// `scan` is the descriptor of the scan's slot; `context` is live.
pub unsafe fn row_descriptor(
    plan: &ScanPlan,
    scan: pg_sys::TupleDesc,
    context: pg_sys::MemoryContext,
) -> pg_sys::TupleDesc {
    // SAFETY: by contract; the new descriptor is registered as a record type of this backend.
    unsafe {
        memory::in_context(context, || {
            if plan.row_type != 0 {
                return pg_sys::lookup_rowtype_tupdesc_copy(pg_sys::Oid::from(plan.row_type), -1);
            }
            let count = i32::try_from(plan.names.len()).unwrap_or(i32::MAX);
            let row = pg_sys::CreateTemplateTupleDesc(count);
            for ((index, name), number) in plan.names.iter().enumerate().zip(1i16..) {
                let attribute = slot::attribute(scan, index);
                let name = nodes::palloc_bytes(&encoding::utf8_to_server(name));
                let (type_oid, typmod) = ((*attribute).atttypid, (*attribute).atttypmod);
                pg_sys::TupleDescInitEntry(row, number, name, type_oid, typmod, 0);
                pg_sys::TupleDescInitEntryCollation(row, number, (*attribute).attcollation);
            }
            pg_sys::BlessTupleDesc(row)
        })
    }
}
