//! The scan in the executor.

use std::ffi::CStr;
use std::sync::Arc;

use pgrx::pg_sys::NodeTag as Tag;
use pgrx::{PgSqlErrorCode as SqlState, pg_sys};

use super::batch::Batch;
use super::drift;
use super::explain;
use super::local::{Answer, Rows};
use super::plan::{Modify, ScanPlan};
use super::recheck;
use super::shipping::{self, Shipping};
use crate::error::{Error, Result, report};
use crate::lake::table::LakeTable;
use crate::pg::methods::Methods;
use crate::pg::{acl, hook, memory, nodes};
use crate::session::{self, Around, Entry, RunningScan, access, feed};
use crate::types::parameter::Parameter;

pub const NODE_NAME: &CStr = c"DuckDB Scan";

static SCAN_METHODS: Methods<pg_sys::CustomScanMethods> = Methods(pg_sys::CustomScanMethods {
    CustomName: NODE_NAME.as_ptr(),
    CreateCustomScanState: Some(create_custom_scan_state),
});

static EXEC_METHODS: Methods<pg_sys::CustomExecMethods> = Methods(pg_sys::CustomExecMethods {
    CustomName: NODE_NAME.as_ptr(),
    BeginCustomScan: Some(begin_custom_scan),
    ExecCustomScan: Some(exec_custom_scan),
    EndCustomScan: Some(end_custom_scan),
    ReScanCustomScan: Some(rescan_custom_scan),
    MarkPosCustomScan: None,
    RestrPosCustomScan: None,
    EstimateDSMCustomScan: None,
    InitializeDSMCustomScan: None,
    ReInitializeDSMCustomScan: None,
    InitializeWorkerCustomScan: None,
    ShutdownCustomScan: None,
    ExplainCustomScan: Some(explain_custom_scan),
});

/// # Safety
/// Called once, from `_PG_init`.
pub unsafe fn register() {
    // SAFETY: a static that PostgreSQL only reads.
    unsafe { pg_sys::RegisterCustomScanMethods(SCAN_METHODS.as_ptr()) };
}

pub fn scan_methods() -> *const pg_sys::CustomScanMethods {
    SCAN_METHODS.as_ptr()
}

/// Whether `node` is the state of one of our scans.
///
/// # Safety
/// `node` is NULL or a live plan state.
#[must_use]
pub unsafe fn is_our_scan(node: *mut pg_sys::PlanState) -> bool {
    // SAFETY: by contract.
    unsafe {
        nodes::is_a(node.cast(), Tag::T_CustomScanState)
            && std::ptr::eq(
                (*node.cast::<pg_sys::CustomScanState>()).methods,
                EXEC_METHODS.as_ptr(),
            )
    }
}

/// Whether a plan has one of our scans.
///
/// # Safety
/// A live plan.
#[must_use]
pub unsafe fn is_in(statement: *mut pg_sys::PlannedStmt) -> bool {
    // SAFETY: by contract.
    unsafe {
        let plans = nodes::items::<pg_sys::Plan>((*statement).subplans);
        std::iter::once((*statement).planTree).chain(plans).any(|plan| has_scan(plan))
    }
}

/// # Safety
/// `plan` is NULL or a live plan.
pub(super) unsafe fn has_scan(plan: *mut pg_sys::Plan) -> bool {
    if plan.is_null() {
        return false;
    }
    // SAFETY: by contract; each cast follows the tag.
    unsafe {
        if let Some(scan) = nodes::cast::<pg_sys::CustomScan>(plan.cast(), Tag::T_CustomScan)
            && std::ptr::eq((*scan).methods, SCAN_METHODS.as_ptr())
        {
            return true;
        }
        let further = match (*plan).type_ {
            Tag::T_Append => (*plan.cast::<pg_sys::Append>()).appendplans,
            Tag::T_MergeAppend => (*plan.cast::<pg_sys::MergeAppend>()).mergeplans,
            Tag::T_SubqueryScan => {
                return has_scan((*plan.cast::<pg_sys::SubqueryScan>()).subplan);
            }
            _ => std::ptr::null_mut(),
        };
        has_scan((*plan).lefttree)
            || has_scan((*plan).righttree)
            || nodes::items::<pg_sys::Plan>(further).any(|plan| has_scan(plan))
    }
}

/// PostgreSQL's state with ours behind it.
#[repr(C)]
struct DuckScanState {
    custom: pg_sys::CustomScanState,
    /// Owned by the query's memory context.
    scan: *mut ScanState,
}

/// One expression whose value the query needs.
struct Argument {
    state: *mut pg_sys::ExprState,
    parameter: Parameter,
}

/// What a query is given.
#[derive(Clone)]
struct Inputs {
    values: Vec<duck::Value>,
    limit: Option<u64>,
}

/// What is to be done before a scan can go on, outside of Rust's frames.
#[repr(C)]
#[derive(Clone, Copy)]
enum Step {
    Evaluate {
        expression: *mut pg_sys::ExprState,
        context: *mut pg_sys::ExprContext,
        result: *mut pg_sys::NullableDatum,
    },
    Run(*mut pg_sys::QueryDesc),
    /// Nothing.
    Rest,
}

/// The state of one scan.
pub struct ScanState {
    pub plan: ScanPlan,
    /// Who runs it, whoever fetches.
    pub role: pg_sys::Oid,
    entry: Entry,
    arguments: Vec<Argument>,
    /// LIMIT and OFFSET.
    limits: Vec<*mut pg_sys::ExprState>,
    /// The results of the arguments and the limits, in the expression context's memory for one row;
    /// and how many there are so far.
    results: Vec<pg_sys::NullableDatum>,
    evaluated: usize,
    /// What the results are to DuckDB.
    inputs: Option<Inputs>,
    /// Runs between the first fetch and the end or a rescan.
    running: Option<RunningScan>,
    batch: Option<Batch>,
    /// The slot's own arrays, which it gets back before the batch goes.
    own_arrays: Option<(*mut pg_sys::Datum, *mut bool)>,
    finished: bool,
    /// Whether rows of DuckDB's have been returned.
    has_rows: bool,
    /// It has been started on a second instance.
    retried: bool,
    /// The rows of a scan that is started again with the same parameters.
    record: Option<Record>,
    /// Something is to be run by PostgreSQL before the next row can be had, or the next row is to be
    /// asked for once more.
    unsettled: bool,
    /// What PostgreSQL reads for DuckDB.
    shipping: Option<Shipping>,
    /// What it has read.
    shipped: Option<session::shipping::Shipped>,
    /// PostgreSQL's own answer, where DuckDB has failed before its first row: as it is being made, and
    /// made.
    answer: Option<Answer>,
    local: Option<Rows>,
    pub statistics: explain::Statistics,
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn create_custom_scan_state(
    _scan: *mut pg_sys::CustomScan,
) -> *mut pg_sys::Node {
    // SAFETY: zeroed memory is a valid state before its begin.
    unsafe {
        let state = pg_sys::palloc0(size_of::<DuckScanState>()).cast::<DuckScanState>();
        (*state).custom.ss.ps.type_ = Tag::T_CustomScanState;
        (*state).custom.methods = EXEC_METHODS.as_ptr();
        state.cast()
    }
}

/// # Safety
/// `node` came from `create_custom_scan_state` and has begun.
unsafe fn scan_of<'a>(node: *mut pg_sys::CustomScanState) -> Option<&'a mut ScanState> {
    // SAFETY: by contract; PostgreSQL calls one callback at a time.
    unsafe { (*node.cast::<DuckScanState>()).scan.as_mut() }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn begin_custom_scan(
    node: *mut pg_sys::CustomScanState,
    estate: *mut pg_sys::EState,
    flags: i32,
) {
    // SAFETY: the executor's live structures; the state is owned by the query's context.
    unsafe {
        let scan = report(begin(node, estate, flags));
        let scan = memory::own_by_context((*estate).es_query_cxt, scan);
        (*node.cast::<DuckScanState>()).scan = scan;
    }
}

/// What of the executor's flags holds for a plan within another one.
#[cfg(feature = "pg15")]
const EXPLAIN_FLAGS: i32 = pg_sys::EXEC_FLAG_EXPLAIN_ONLY.cast_signed();
#[cfg(not(feature = "pg15"))]
const EXPLAIN_FLAGS: i32 =
    (pg_sys::EXEC_FLAG_EXPLAIN_ONLY | pg_sys::EXEC_FLAG_EXPLAIN_GENERIC).cast_signed();

/// # Safety
/// `node` is a state that is being begun.
unsafe fn begin(
    node: *mut pg_sys::CustomScanState,
    estate: *mut pg_sys::EState,
    flags: i32,
) -> Result<ScanState> {
    // SAFETY: by contract; the plan is one of ours.
    unsafe {
        let plan_node = (*node).ss.ps.plan.cast::<pg_sys::CustomScan>();
        let mut plan = nodes::items::<pg_sys::Node>((*plan_node).custom_private)
            .next()
            .and_then(|json| ScanPlan::from_json(&nodes::server_string_value(json)))
            .ok_or_else(|| {
                Error::new(
                    pgrx::PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                    "the plan of a DuckDB scan cannot be read",
                )
            })?;
        let entry = match plan.tables() {
            // Access to the tables is checked by the executor.
            Some(tables) if !tables.queries => {
                Entry::Tables(tables.server_oids(), Arc::from(tables.expected.clone()))
            }
            // The user's own texts in it run with the user's own servers.
            Some(tables) => {
                access::check_query()?;
                session::check_usable(acl::current_role(), &tables.server_oids())?;
                Entry::QueryAndTables(Arc::from(tables.expected.clone()))
            }
            // The node stands for a function call, whose right the executor would have checked.
            None => travel_entry(&mut plan)?.map_or_else(access::entry_of_role, Ok)?,
        };
        let checked_as = plan.tables().map_or(0, |tables| tables.role);
        let role = match checked_as {
            0 => acl::current_role(),
            oid => pg_sys::Oid::from(oid),
        };
        let expressions: Vec<_> = nodes::items::<pg_sys::Expr>((*plan_node).custom_exprs).collect();
        let values = plan.arguments + plan.condition_values;
        let parent = &raw mut (*node).ss.ps;
        let arguments = expressions[..values]
            .iter()
            .enumerate()
            .map(|(index, expression)| {
                let node = expression.cast::<pg_sys::Node>();
                let name = format!("${}", index + 1);
                let (oid, typmod) = (pg_sys::exprType(node), pg_sys::exprTypmod(node));
                let parameter = Parameter::new(&name, oid, typmod)?;
                Ok(Argument { state: pg_sys::ExecInitExpr(*expression, parent), parameter })
            })
            .collect::<Result<Vec<_>>>()?;
        let limits = expressions[values..]
            .iter()
            .map(|expression| pg_sys::ExecInitExpr(*expression, parent))
            .collect();
        let no_result = pg_sys::NullableDatum { value: pg_sys::Datum::null(), isnull: true };
        let ships = plan.tables().filter(|tables| !tables.shipped.is_empty());
        let shipping = ships.map(|tables| {
            // A recheck may not need them.
            let starts = (*estate).es_epq_active.is_null();
            let flags = starts.then_some(flags & EXPLAIN_FLAGS);
            Shipping::begin(plan_node, &tables.shipped, estate, flags)
        });
        Ok(ScanState {
            plan,
            role,
            entry,
            arguments,
            limits,
            results: vec![no_result; expressions.len()],
            evaluated: 0,
            inputs: None,
            running: None,
            batch: None,
            own_arrays: None,
            finished: false,
            has_rows: false,
            retried: false,
            record: None,
            unsettled: true,
            shipping,
            shipped: None,
            answer: None,
            local: None,
            statistics: explain::Statistics::default(),
        })
    }
}

/// Makes the SQL of a look at a lake's past, for the current role; `None` for other plans.
///
/// # Errors
/// As [`Travel::open`](crate::lake::travel::Travel::open).
pub fn travel_entry(plan: &mut ScanPlan) -> Result<Option<Entry>> {
    let Some(travel) = &plan.travel else { return Ok(None) };
    let past = travel.open(acl::current_role())?;
    plan.set_sql(&past.select(&plan.names)?);
    Ok(Some(Entry::table(past.table.server, past.expected())))
}

/// It holds nothing to drop: errors of conditions, of the target list, and of what PostgreSQL runs for
/// the scan leave by longjmp, as they are (see [`hook`]).
unsafe extern "C-unwind" fn exec_custom_scan(
    node: *mut pg_sys::CustomScanState,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: the executor's live node, which has begun.
    unsafe {
        let scan_state = &raw mut (*node).ss;
        loop {
            while is_unsettled(scan_state) {
                match next_step(scan_state) {
                    Step::Evaluate { expression, context, result } => {
                        hook::evaluate(expression, context, result);
                    }
                    Step::Run(query) => hook::run_to_end(query),
                    Step::Rest => {}
                }
            }
            let direct = (*scan_state).ps.qual.is_null()
                && (*scan_state).ps.ps_ProjInfo.is_null()
                && (*(*scan_state).ps.state).es_epq_active.is_null();
            let row = if direct {
                access_next(scan_state)
            } else {
                hook::exec_scan(scan_state, Some(access_next), Some(recheck_row))
            };
            if !is_unsettled(scan_state) {
                return row;
            }
        }
    }
}

/// Whether something is to be done before the scan's next row.
///
/// # Safety
/// As [`exec_custom_scan`].
unsafe fn is_unsettled(node: *mut pg_sys::ScanState) -> bool {
    // SAFETY: by contract.
    unsafe {
        scan_of(node.cast())
            .is_some_and(|scan| scan.unsettled && !recheck::is_given(node, &scan.plan))
    }
}

/// # Safety
/// As [`exec_custom_scan`]; [`is_unsettled`] holds.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn next_step(node: *mut pg_sys::ScanState) -> Step {
    // SAFETY: by contract.
    unsafe { scan_of(node.cast()).map_or(Step::Rest, |scan| report(scan.settle(node))) }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn access_next(
    node: *mut pg_sys::ScanState,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: as exec_custom_scan.
    unsafe { next_slot(node) }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn recheck_row(
    node: *mut pg_sys::ScanState,
    slot: *mut pg_sys::TupleTableSlot,
) -> bool {
    // SAFETY: PostgreSQL calls this in a recheck, for a node that has begun and its own slot.
    unsafe {
        let Some(scan) = scan_of(node.cast()) else { return false };
        if recheck::is_given(node, &scan.plan) {
            return recheck::give(node, &scan.plan, slot);
        }
        let row = next_slot(node);
        (*row).tts_flags & crate::pg::slot::FLAG_EMPTY == 0
    }
}

/// The next row in the scan's slot, or the empty slot.
///
/// # Safety
/// `node` is one of our states and has begun.
#[inline]
unsafe fn next_slot(node: *mut pg_sys::ScanState) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: by contract.
    unsafe {
        let slot = (*node).ss_ScanTupleSlot;
        if (*slot).tts_flags & crate::pg::slot::FLAG_SHOULD_FREE != 0 {
            pg_sys::ExecClearTuple(slot);
        }
        let Some(scan) = scan_of(node.cast()) else {
            return slot;
        };
        loop {
            if let Some(local) = &scan.local {
                return local.next(slot);
            }
            if let Some(record) = scan.record.as_ref().filter(|record| record.replays) {
                return record.rows.next(slot);
            }
            if let Some(batch) = &mut scan.batch
                && batch.next_row(slot)
            {
                if let Some(record) = &scan.record {
                    pg_sys::tuplestore_puttupleslot(record.rows.store, slot);
                }
                return slot;
            }
            if !report(scan.load(node)) {
                if let Some(record) = &mut scan.record {
                    record.whole = !scan.unsettled;
                }
                pg_sys::ExecClearTuple(slot);
                return slot;
            }
        }
    }
}

impl ScanState {
    pub fn entry(&self) -> Entry {
        self.entry.clone()
    }

    /// Does the next of what is to be done before a row can be had, up to what PostgreSQL is to run.
    ///
    /// # Safety
    /// `node` is this scan's node; what was to run has run.
    unsafe fn settle(&mut self, node: *mut pg_sys::ScanState) -> Result<Step> {
        // SAFETY: by contract.
        unsafe {
            if let Some(answer) = &mut self.answer {
                if let Some(query) = answer.prepare() {
                    return Ok(Step::Run(query));
                }
                self.local = self.answer.take().map(|answer| answer.end());
                self.unsettled = false;
                return Ok(Step::Rest);
            }
            let context = (*node).ps.ps_ExprContext;
            let arguments = self.arguments.iter().map(|argument| argument.state);
            let mut expressions = arguments.chain(self.limits.iter().copied());
            if let Some(expression) = expressions.nth(self.evaluated) {
                let result = &raw mut self.results[self.evaluated];
                self.evaluated += 1;
                return Ok(Step::Evaluate { expression, context, result });
            }
            match self.prepare(node) {
                Err(error) => self.recover(error, node).map(|()| Step::Rest),
                step => step,
            }
        }
    }

    /// # Safety
    /// As [`Self::settle`]; the results are there.
    unsafe fn prepare(&mut self, node: *mut pg_sys::ScanState) -> Result<Step> {
        // SAFETY: by contract.
        unsafe {
            if self.inputs.is_none() {
                let memory = (*(*node).ps.ps_ExprContext).ecxt_per_tuple_memory;
                self.inputs = Some(self.inputs(memory)?);
            }
            self.ship((*node).ps.state)
        }
    }

    /// # Safety
    /// The results are there; `memory` is where they are.
    unsafe fn inputs(&self, memory: pg_sys::MemoryContext) -> Result<Inputs> {
        // SAFETY: by contract; each value is of its parameter's type, and used before it is freed.
        unsafe {
            let values = memory::in_context(memory, || {
                let results = self.arguments.iter().zip(&self.results);
                let value = |(argument, result): (&Argument, &pg_sys::NullableDatum)| {
                    argument.parameter.value(result.value, result.isnull)
                };
                results.map(value).collect::<Result<Vec<_>>>()
            })?;
            let limit = limit(&self.results[self.arguments.len()..]);
            pg_sys::MemoryContextReset(memory);
            Ok(Inputs { values, limit })
        }
    }

    /// # Safety
    /// As [`Self::settle`].
    unsafe fn ship(&mut self, outer: *mut pg_sys::EState) -> Result<Step> {
        if let Some(shipping) = &mut self.shipping {
            if !self.statistics.is_running() {
                self.statistics.start();
            }
            let open = || {
                note_write(&self.plan, self.role, &self.entry)?;
                session::shipping::open(self.role, &self.entry, &self.plan.sql)
            };
            // SAFETY: by contract.
            match unsafe { shipping.step(outer, open)? } {
                shipping::Step::Run(query) => return Ok(Step::Run(query)),
                shipping::Step::Done(shipped) => self.shipped = Some(shipped),
            }
            self.statistics.shipped_rows += std::mem::take(&mut shipping.rows);
        }
        self.unsettled = false;
        Ok(Step::Rest)
    }

    /// Loads the next chunk, starting the query at first; `false` at the end, or when the scan is
    /// unsettled.
    ///
    /// # Safety
    /// `node` is this scan's node.
    unsafe fn load(&mut self, node: *mut pg_sys::ScanState) -> Result<bool> {
        if self.finished {
            return Ok(false);
        }
        // SAFETY: by contract.
        unsafe {
            if self.plan.modify.is_some() {
                self.modify(node)?;
                return Ok(false);
            }
            match self.load_from_duckdb(node) {
                Err(error) => self.recover(error, node).map(|()| false),
                loaded => loaded,
            }
        }
    }

    /// After an error before the first row: the query may run once more, or PostgreSQL answers itself.
    ///
    /// # Errors
    /// The error, where neither is possible.
    ///
    /// # Safety
    /// `node` is this scan's node.
    unsafe fn recover(&mut self, error: Error, node: *mut pg_sys::ScanState) -> Result<()> {
        let error = session::access::discreet(error, self.role, &self.entry);
        let may_be_changed = error.is_duckdbs_own()
            || error.sqlstate() == SqlState::ERRCODE_DATATYPE_MISMATCH
            || error.sqlstate() == SqlState::ERRCODE_UNDEFINED_COLUMN;
        if may_be_changed && self.plan.holds_queries() {
            // The files may have other columns than they had: a prepared statement would fail for ever. It is
            // analysed anew next time.
            session::access::forget_plans_of_queries();
        }
        if self.has_rows || self.plan.modify.is_some() {
            return Err(error);
        }
        let again = !self.retried && session::may_try_again(self.role, &self.entry, &error)?;
        // SAFETY: by contract.
        unsafe {
            let local = local_query(node).filter(|_| !again && error.is_duckdbs_own());
            if !again && local.is_none() {
                return Err(error);
            }
            self.retried = true;
            self.stop((*node).ss_ScanTupleSlot);
            if let Some(query) = local {
                self.answer = Some(Answer::start(query, node, &self.plan));
                pgrx::debug1!("DuckDB could not answer, PostgreSQL does: {}", error.summary());
                self.statistics.local = Some(error.summary().to_owned());
            }
        }
        self.unsettled = true;
        Ok(())
    }

    /// Stops what runs in DuckDB, and forgets what it was sent.
    ///
    /// # Safety
    /// As [`Self::drop_batch`].
    unsafe fn stop(&mut self, slot: *mut pg_sys::TupleTableSlot) {
        self.statistics.stop();
        self.running = None;
        self.shipped = None;
        if let Some(shipping) = &mut self.shipping {
            shipping.reset();
        }
        // SAFETY: by contract.
        unsafe { self.drop_batch(slot) };
    }

    /// Runs the statement around the scan, once.
    ///
    /// # Safety
    /// `node` is this scan's node.
    unsafe fn modify(&mut self, node: *mut pg_sys::ScanState) -> Result<()> {
        if self.shipping.is_none() {
            note_write(&self.plan, self.role, &self.entry)?;
        }
        // SAFETY: by contract.
        unsafe { self.start(node)? };
        let mut changed = 0;
        while let Some(chunk) =
            self.running.as_ref().map(RunningScan::next_chunk).transpose()?.flatten()
        {
            if !chunk.is_empty() {
                // SAFETY: the number of changed rows is one BIGINT.
                changed += unsafe { chunk.column(0).values::<i64>() }[0];
            }
        }
        self.finish();
        self.statistics.rows = u64::try_from(changed).unwrap_or(0);
        // SAFETY: by contract; the statement's own count, as its plan has nothing else.
        unsafe { (*(*node).ps.state).es_processed += self.statistics.rows };
        Ok(())
    }

    /// # Safety
    /// `node` is this scan's node.
    unsafe fn load_from_duckdb(&mut self, node: *mut pg_sys::ScanState) -> Result<bool> {
        if self.running.is_none() {
            // SAFETY: by contract.
            unsafe { self.start(node)? };
        }
        let Some(running) = &self.running else { return Ok(false) };
        let chunk = running.next_chunk().map_err(|error| {
            // SAFETY: by contract.
            unsafe { self.explain_drift(error, node) }
        })?;
        match (chunk, &mut self.batch) {
            (Some(chunk), Some(batch)) => {
                self.statistics.rows += chunk.len() as u64;
                batch.load(&chunk)?;
                self.has_rows = true;
                Ok(true)
            }
            _ => {
                self.finish();
                Ok(false)
            }
        }
    }

    /// Drops the batch, at whose cells the slot may point.
    ///
    /// # Safety
    /// `slot` is NULL or the scan's own slot, and holds no row.
    unsafe fn drop_batch(&mut self, slot: *mut pg_sys::TupleTableSlot) {
        if let Some((values, nulls)) = self.own_arrays
            && !slot.is_null()
        {
            // SAFETY: by contract; the slot's own arrays live as long as the slot.
            unsafe {
                (*slot).tts_values = values;
                (*slot).tts_isnull = nulls;
            }
        }
        self.batch = None;
    }

    fn finish(&mut self) {
        self.statistics.stop();
        self.running = None;
        self.finished = true;
    }

    /// # Safety
    /// `node` is this scan's node.
    unsafe fn start(&mut self, node: *mut pg_sys::ScanState) -> Result<()> {
        // SAFETY: by contract.
        unsafe {
            let Some(Inputs { values, limit }) = self.inputs.clone() else {
                unreachable!("a scan is settled before it starts")
            };
            let sql = self.plan.final_sql(limit);
            if self.shipped.is_none() {
                self.statistics.start();
            }
            let request = session::Request {
                original: self.plan.sql.clone(),
                sql,
                expected_columns: self.plan.expected_columns(),
                arguments: self.plan.arguments,
                values,
                around: self.plan.modify.clone().map(around).transpose()?,
                role: self.role,
                entry: self.entry.clone(),
            };
            let running = match self.shipped.take() {
                None => session::start_scan(request)?,
                Some(shipped) => {
                    let texts =
                        self.plan.tables().map(|t| t.expected.texts.clone()).unwrap_or_default();
                    session::shipping::start_scan(request, texts, shipped)?
                }
            };
            let columns = running.columns().map_err(|e| self.explain_drift(e, node))?;
            if self.plan.modify.is_some() {
                self.running = Some(running);
                return Ok(());
            }
            let descriptor = (*(*node).ss_ScanTupleSlot).tts_tupleDescriptor;
            let query_context = (*(*node).ps.state).es_query_cxt;
            let batch = Batch::new(&self.plan, &columns, descriptor, query_context);
            self.batch = Some(batch.map_err(|e| self.explain_drift(e, node))?);
            let slot = (*node).ss_ScanTupleSlot;
            self.own_arrays.get_or_insert(((*slot).tts_values, (*slot).tts_isnull));
            self.running = Some(running);
        }
        Ok(())
    }

    /// # Safety
    /// `node` is this scan's node.
    #[cold]
    unsafe fn explain_drift(&self, error: Error, node: *mut pg_sys::ScanState) -> Error {
        // SAFETY: by contract; the executor holds locks on the relations of its range table.
        unsafe {
            let range_table = (*(*node).ps.state).es_range_table;
            drift::explain(error, &self.plan, self.role, &self.entry, range_table)
        }
    }
}

/// How many rows LIMIT and OFFSET can use, if they are known; wrong values are left to PostgreSQL's
/// own Limit node. Both are int8.
fn limit(results: &[pg_sys::NullableDatum]) -> Option<u64> {
    let mut total = 0u64;
    for (index, result) in results.iter().enumerate() {
        // An int8 Datum; a negative one is a number that no limit has.
        let rows =
            i64::try_from(result.value.value()).ok().and_then(|rows| u64::try_from(rows).ok());
        match (result.isnull, rows) {
            // LIMIT NULL is no limit, OFFSET NULL is none.
            (true, _) if index == 0 => return None,
            (true, _) => {}
            (false, Some(rows)) => total = total.saturating_add(rows),
            (false, None) => return None,
        }
    }
    // DuckDB counts no further than an int8.
    (!results.is_empty()).then_some(total.min(i64::MAX.cast_unsigned()))
}

/// Notes that the scan is about to write, if it is.
fn note_write(plan: &ScanPlan, role: pg_sys::Oid, entry: &Entry) -> Result<()> {
    let Some(modify) = &plan.modify else { return Ok(()) };
    let command = std::ffi::CString::new(modify.command.as_str()).unwrap_or_default();
    let target = feed::Target {
        role,
        server: pg_sys::Oid::from(modify.server),
        table: modify.table.clone(),
        command: &command,
        text: &modify.before,
    };
    feed::note_write(&target, entry, &plan.sql)
}

fn around(modify: Modify) -> Result<Around> {
    let table = LakeTable::load(pg_sys::Oid::from(modify.relation))?;
    let check = table.before_write(&modify.columns);
    let in_place =
        modify.in_place.and_then(|(sql, used)| Some((sql.executed, table.as_declared(&used)?)));
    Ok(Around { before: modify.before, behind: modify.behind, check, in_place })
}

/// The scan as a query for PostgreSQL, if it has one.
///
/// # Safety
/// `node` is a live scan of ours.
unsafe fn local_query(node: *mut pg_sys::ScanState) -> Option<*mut pg_sys::Query> {
    // SAFETY: by contract.
    unsafe {
        let scan = (*node).ps.plan.cast::<pg_sys::CustomScan>();
        let second = nodes::items::<pg_sys::Node>((*scan).custom_private).nth(1)?;
        nodes::cast(second, Tag::T_Query)
    }
}

/// The rows of an earlier run of the scan.
struct Record {
    rows: Rows,
    /// That run went to its end.
    whole: bool,
    /// It is read now.
    replays: bool,
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn rescan_custom_scan(node: *mut pg_sys::CustomScanState) {
    // SAFETY: a node that has begun.
    unsafe {
        pg_sys::ExecScanReScan(&raw mut (*node).ss);
        if let Some(scan) = scan_of(node) {
            let slot = (*node).ss.ss_ScanTupleSlot;
            scan.stop(slot);
            scan.finished = false;
            scan.has_rows = false;
            pg_sys::ExecClearTuple(slot);
            let unchanged = (*node).ss.ps.chgParam.is_null();
            match &mut scan.local {
                Some(local) if unchanged => return pg_sys::tuplestore_rescan(local.store),
                local => {
                    if let Some(local) = local.take() {
                        local.end();
                    }
                }
            }
            match &mut scan.record {
                Some(record) if unchanged && record.whole => {
                    record.replays = true;
                    return pg_sys::tuplestore_rescan(record.rows.store);
                }
                record => {
                    if let Some(record) = record.take() {
                        record.rows.end();
                    }
                }
            }
            // Whoever starts a scan twice may start it often.
            if unchanged && scan.statistics.starts > 0 {
                let rows = Rows::open(&raw mut (*node).ss);
                scan.record = Some(Record { rows, whole: false, replays: false });
            }
            scan.evaluated = 0;
            scan.inputs = None;
            scan.unsettled = true;
        }
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn end_custom_scan(node: *mut pg_sys::CustomScanState) {
    // SAFETY: a node whose begin may have failed, in which case there is nothing to end.
    unsafe {
        let slot = (*node).ss.ss_ScanTupleSlot;
        if !slot.is_null() {
            pg_sys::ExecClearTuple(slot);
        }
        if let Some(scan) = scan_of(node) {
            scan.stop(slot);
            if let Some(shipping) = &mut scan.shipping {
                shipping.end();
            }
            if let Some(local) = scan.local.take() {
                local.end();
            }
            if let Some(record) = scan.record.take() {
                record.rows.end();
            }
        }
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn explain_custom_scan(
    node: *mut pg_sys::CustomScanState,
    _ancestors: *mut pg_sys::List,
    es: *mut pg_sys::ExplainState,
) {
    // SAFETY: a node that has begun.
    unsafe {
        if let Some(scan) = scan_of(node) {
            report(explain::explain(scan, es));
        }
    }
}
