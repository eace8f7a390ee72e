//! Rows of a scan that DuckDB does not give now: those of an earlier run, and PostgreSQL's own answer.

use pgrx::pg_sys;

use super::plan::ScanPlan;
use super::recheck;
use crate::pg::nested::{Nested, Receive};
use crate::pg::{memory, nodes};
use crate::pushdown::part;

/// Rows of a scan in a tuplestore.
pub struct Rows {
    pub store: *mut pg_sys::Tuplestorestate,
    row: *mut pg_sys::TupleTableSlot,
}

impl Rows {
    /// An empty store for rows of the scan.
    ///
    /// # Safety
    /// `node` is a live scan of ours.
    pub unsafe fn open(node: *mut pg_sys::ScanState) -> Self {
        // SAFETY: by contract; what is made lives in the query's context.
        unsafe {
            let descriptor = (*(*node).ss_ScanTupleSlot).tts_tupleDescriptor;
            memory::in_context((*(*node).ps.state).es_query_cxt, || Self {
                store: pg_sys::tuplestore_begin_heap(true, false, pg_sys::work_mem),
                row: pg_sys::MakeSingleTupleTableSlot(
                    descriptor,
                    &raw const pg_sys::TTSOpsMinimalTuple,
                ),
            })
        }
    }

    /// Puts the next row into the scan's slot, or empties it.
    ///
    /// # Safety
    /// `slot` is the scan's own virtual slot, with its own arrays.
    pub unsafe fn next(&self, slot: *mut pg_sys::TupleTableSlot) -> *mut pg_sys::TupleTableSlot {
        // SAFETY: by contract; the row's values live until the next one is read.
        unsafe {
            pg_sys::ExecClearTuple(slot);
            if pg_sys::tuplestore_gettupleslot(self.store, true, false, self.row) {
                pg_sys::slot_getallattrs(self.row);
                let count = usize::try_from((*(*slot).tts_tupleDescriptor).natts).unwrap_or(0);
                std::ptr::copy_nonoverlapping((*self.row).tts_values, (*slot).tts_values, count);
                std::ptr::copy_nonoverlapping((*self.row).tts_isnull, (*slot).tts_isnull, count);
                pg_sys::ExecStoreVirtualTuple(slot);
            }
            slot
        }
    }

    /// # Safety
    /// No slot points at its rows any more.
    pub unsafe fn end(self) {
        // SAFETY: made in `open`, ended once.
        unsafe {
            pg_sys::ExecDropSingleTupleTableSlot(self.row);
            pg_sys::tuplestore_end(self.store);
        }
    }
}

/// The scan's query, run by PostgreSQL without pushdown.
pub struct Answer {
    nested: Nested,
    sink: Box<Sink>,
    has_run: bool,
}

impl Answer {
    /// Plans and starts the query.
    ///
    /// # Safety
    /// `query` is the plan's and left as it is; `node` is a live scan of ours.
    pub unsafe fn start(
        query: *mut pg_sys::Query,
        node: *mut pg_sys::ScanState,
        plan_data: &ScanPlan,
    ) -> Self {
        // SAFETY: by contract; what is made lives in the query's context.
        unsafe {
            let outer = (*node).ps.state;
            let descriptor = (*(*node).ss_ScanTupleSlot).tts_tupleDescriptor;
            memory::in_context((*outer).es_query_cxt, || {
                let nested = part::without(|| {
                    let params = (*outer).es_param_list_info;
                    let query = nodes::copy(query);
                    let plan = pg_sys::planner(query, (*outer).es_sourceText, 0, params);
                    Nested::start(plan, outer, 0)
                });
                let row_type = plan_data
                    .whole_row
                    .then(|| recheck::row_descriptor(plan_data, descriptor, (*outer).es_query_cxt));
                let sink = Box::new(Sink { rows: Rows::open(node), descriptor, row_type });
                Self { nested, sink, has_run: false }
            })
        }
    }

    /// What is to run, outside of Rust's frames; `None` when it has.
    ///
    /// # Safety
    /// The scan is live.
    pub unsafe fn prepare(&mut self) -> Option<*mut pg_sys::QueryDesc> {
        // SAFETY: by contract; the sink lives as long as this does.
        let prepare = || unsafe { self.nested.prepare(&raw mut *self.sink) };
        (!std::mem::replace(&mut self.has_run, true)).then(prepare)
    }

    /// # Safety
    /// It has run.
    pub unsafe fn end(mut self) -> Rows {
        // SAFETY: by contract.
        unsafe {
            self.nested.has_run();
            self.nested.end();
        }
        self.sink.rows
    }
}

struct Sink {
    rows: Rows,
    descriptor: pg_sys::TupleDesc,
    /// For a scan with a whole-row column behind the others.
    row_type: Option<pg_sys::TupleDesc>,
}

impl Receive for Sink {
    fn row(&mut self, values: &[pg_sys::Datum], nulls: &[bool]) -> bool {
        let (mut values, mut nulls) = (values.to_vec(), nulls.to_vec());
        // SAFETY: the values are of the query's columns, which are the scan's.
        unsafe {
            if let Some(row_type) = self.row_type {
                let (to_values, to_nulls) = (values.as_mut_ptr(), nulls.as_mut_ptr());
                let tuple = pg_sys::heap_form_tuple(row_type, to_values, to_nulls);
                values.push(pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data));
                nulls.push(false);
            }
            let (values, nulls) = (values.as_mut_ptr(), nulls.as_mut_ptr());
            pg_sys::tuplestore_putvalues(self.rows.store, self.descriptor, values, nulls);
        }
        true
    }
}
