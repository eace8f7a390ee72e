//! INSERT, UPDATE, DELETE, COPY FROM and TRUNCATE on the foreign tables of lakes.
//!
//! What DuckDB can run as one statement it does ([`crate::pushdown::modify`]). Otherwise PostgreSQL
//! makes the rows: those of an INSERT or COPY stream into one statement of DuckDB's while they are
//! made; those of an UPDATE or DELETE, and of an INSERT beside scans of DuckDB's, are kept until the
//! last one is there, since the scans that find them need the transaction's connection.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use duck::{RowChunk, placeholder, quote, sql};
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, report};
use crate::lake::origin::{LakeRelation, Moment};
use crate::lake::table::{self, LakeTable, ROW_COLUMN, ROW_NUMBER, WriteCheck};
use crate::pg::{acl, catalog, hook, memory, nodes, slot};
use crate::pushdown::modify;
use crate::scan;
use crate::session::feed::{self, RowFeed, RowStatement, Rows, Target};
use crate::types::row_writer::{LakeColumnWriter, RowWriter};

/// Sets the callbacks.
pub fn fill(routine: &mut pg_sys::FdwRoutine) {
    routine.IsForeignRelUpdatable = Some(is_updatable);
    routine.AddForeignUpdateTargets = Some(add_update_targets);
    routine.PlanForeignModify = Some(plan_modify);
    routine.BeginForeignModify = Some(begin_modify);
    routine.ExecForeignInsert = Some(insert_row);
    routine.ExecForeignUpdate = Some(update_row);
    routine.ExecForeignDelete = Some(delete_row);
    routine.EndForeignModify = Some(end_modify);
    routine.BeginForeignInsert = Some(begin_insert);
    routine.EndForeignInsert = Some(end_modify);
    routine.ExplainForeignModify = Some(explain_modify);
    routine.PlanDirectModify = Some(plan_direct);
    routine.BeginDirectModify = Some(begin_direct);
    routine.IterateDirectModify = Some(iterate_direct);
    routine.EndDirectModify = Some(end_direct);
    routine.ExecForeignTruncate = Some(truncate);
}

/// # Safety
/// Called once, from `_PG_init`.
pub unsafe fn init() {
    // SAFETY: by contract.
    unsafe { hook::set_executor_finish(Some(executor_finish)) };
}

thread_local! {
    /// The modifications that are under way, with the executor's state that each is part of.
    static LIVE: RefCell<Vec<(*mut pg_sys::EState, *mut Modification)>> =
        const { RefCell::new(Vec::new()) };
}

/// What the triggers look at that come now, the statement has written.
unsafe extern "C-unwind" fn executor_finish(query: *mut pg_sys::QueryDesc) {
    // SAFETY: the executor's live query.
    unsafe {
        finish_live((*query).estate);
        hook::prev_executor_finish(query);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn finish_live(estate: *mut pg_sys::EState) {
    if LIVE.with_borrow(Vec::is_empty) {
        return;
    }
    let of_query: Vec<_> = LIVE.with_borrow(|live| {
        live.iter().filter(|(of, _)| std::ptr::eq(*of, estate)).map(|(_, m)| *m).collect()
    });
    for modification in of_query {
        // SAFETY: it takes itself off the list when it is dropped.
        report(unsafe { (*modification).finish() });
    }
}

/// Gives a modification to the executor's memory context.
///
/// # Safety
/// Live structures of the executor.
unsafe fn begin(
    estate: *mut pg_sys::EState,
    result: *mut pg_sys::ResultRelInfo,
    modification: Modification,
) {
    // SAFETY: by contract.
    unsafe {
        let modification = memory::own_by_context((*estate).es_query_cxt, modification);
        LIVE.with_borrow_mut(|live| live.push((estate, modification)));
        (*result).ri_FdwState = modification.cast();
    }
}

/// The other modifications that are sending rows.
fn others(own: &Modification) -> impl Iterator<Item = *mut Modification> + use<> {
    let own = std::ptr::from_ref(own);
    let all = LIVE.with_borrow(|live| live.iter().map(|(_, other)| *other).collect::<Vec<_>>());
    // SAFETY: those on the list live.
    let sends = |other: *mut Modification| unsafe { (*other).feed.is_some() };
    all.into_iter().filter(move |other| !std::ptr::eq(other.cast_const(), own) && sends(*other))
}

/// Whether rows that are written may lie outside of the table's bounds as a partition.
///
/// # Safety
/// Live structures of the executor.
unsafe fn writes_bounds(
    result: *mut pg_sys::ResultRelInfo,
    table: &LakeTable,
    plan: &ModifyPlan,
) -> Result<bool> {
    let bounds = catalog::partition_columns(table.relation);
    let written = |number: &i16| plan.columns.contains(number);
    if plan.command == "INSERT" {
        // SAFETY: by contract; rows that came through the parent lie within the bounds.
        let routed = unsafe { !(*result).ri_RootResultRelInfo.is_null() };
        return Ok(!bounds.is_empty() && !routed);
    }
    if !bounds.iter().any(written) {
        return Ok(false);
    }
    if bounds.iter().all(written) {
        return Ok(true);
    }
    Err(Error::not_supported(format!(
        "foreign table \"{}\" is a partition by several columns, of which an UPDATE must set all or none",
        table.name
    )))
}

impl Drop for Modification {
    fn drop(&mut self) {
        let own = std::ptr::from_mut(self);
        LIVE.with_borrow_mut(|live| live.retain(|(_, other)| !std::ptr::eq(*other, own)));
    }
}

/// What a plan keeps of a modification.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ModifyPlan {
    command: String,
    /// The attribute numbers of the columns that are written.
    columns: Vec<i16>,
}

/// A modification that is under way.
struct Modification {
    table: LakeTable,
    relation: LakeRelation,
    /// The relation's name in DuckDB's SQL.
    name: String,
    role: pg_sys::Oid,
    command: &'static std::ffi::CStr,
    columns: Vec<i16>,
    /// All columns that the table has ever had are written, in their order.
    writes_all: bool,
    /// What DuckDB makes of each sent column.
    conversions: Vec<String>,
    /// The place of the row's column in the plan's rows.
    row: i16,
    /// The place of the old row, for what RETURNING says of deleted ones.
    whole_row: i16,
    writer: RowWriter,
    /// The rows may lie outside of the table's bounds as a partition.
    checks_bounds: bool,
    /// Rows are kept until the last one is there.
    collects: bool,
    kept: Vec<RowChunk>,
    feed: Option<RowFeed>,
    seen: HashSet<String>,
    rows: i64,
}

/// The rows of an INSERT that may be gathered with those of others.
const MOST_GATHERED: i64 = 100;
const INSERT: &std::ffi::CStr = c"INSERT";
const UPDATE: &std::ffi::CStr = c"UPDATE";
const DELETE: &std::ffi::CStr = c"DELETE";

/// The lake's relation behind a table that can be written to.
///
/// # Errors
/// 0A000 for files and for tables that show one moment of a lake.
fn writable(table: &LakeTable) -> Result<LakeRelation> {
    match table.origin.lake() {
        Some(relation) if relation.moment == Moment::Newest => Ok(relation.clone()),
        Some(_) => Err(Error::not_supported(format!(
            "foreign table \"{}\" shows one moment of a lake and cannot be changed",
            table.name
        ))),
        None => Err(Error::not_supported(format!(
            "foreign table \"{}\" reads files and cannot be changed",
            table.name
        ))
        .hint("duckdb.execute('COPY … TO …') writes files.")),
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn is_updatable(relation: pg_sys::Relation) -> i32 {
    // SAFETY: an open relation.
    let table = unsafe { LakeTable::load((*relation).rd_id) };
    let writable = table.is_ok_and(|table| {
        let server = catalog::server_by_oid(table.server);
        let read_only = server.is_some_and(|server| {
            let option = server.options.iter().find(|(name, _)| name == "read_only");
            option.is_some_and(|(_, value)| duck::server::is_true(value))
        });
        writable(&table).is_ok() && !read_only
    });
    if !writable {
        return 0;
    }
    use pg_sys::CmdType::{CMD_DELETE, CMD_INSERT, CMD_UPDATE};
    (1 << CMD_INSERT) | (1 << CMD_UPDATE) | (1 << CMD_DELETE)
}

#[pg_guard]
unsafe extern "C-unwind" fn add_update_targets(
    root: *mut pg_sys::PlannerInfo,
    rti: pg_sys::Index,
    rte: *mut pg_sys::RangeTblEntry,
    _relation: pg_sys::Relation,
) {
    // SAFETY: the planner's own live structures.
    unsafe {
        report(LakeTable::load((*rte).relid).and_then(|table| writable(&table)));
        let number = i32::try_from(rti).unwrap_or(0);
        let var = pg_sys::makeVar(
            number,
            ROW_NUMBER,
            pg_sys::TEXTOID,
            -1,
            pg_sys::DEFAULT_COLLATION_OID,
            0,
        );
        pg_sys::add_row_identity_var(root, var, rti, ROW_NAME.as_ptr());
        let returns = !(*(*root).parse).returningList.is_null();
        if returns && (*(*root).parse).commandType == pg_sys::CmdType::CMD_DELETE {
            // As PostgreSQL itself asks for it.
            let var = pg_sys::makeVar(number, 0, pg_sys::RECORDOID, -1, pg_sys::InvalidOid, 0);
            pg_sys::add_row_identity_var(root, var, rti, WHOLE_ROW_NAME.as_ptr());
        }
    }
}

/// The names of junk columns. PostgreSQL's own for the second.
const ROW_NAME: &std::ffi::CStr = c"pg_pond_row";
const WHOLE_ROW_NAME: &std::ffi::CStr = c"wholerow";

#[pg_guard]
unsafe extern "C-unwind" fn plan_modify(
    root: *mut pg_sys::PlannerInfo,
    plan: *mut pg_sys::ModifyTable,
    rti: pg_sys::Index,
    index: i32,
) -> *mut pg_sys::List {
    // SAFETY: the planner's own live structures.
    unsafe {
        let rte = *(*root).simple_rte_array.add(rti as usize);
        let table = report(LakeTable::load((*rte).relid));
        report(writable(&table));
        let (command, columns) = match (*plan).operation {
            pg_sys::CmdType::CMD_INSERT => ("INSERT", all_columns(&table)),
            pg_sys::CmdType::CMD_UPDATE => {
                let list = pg_sys::list_nth((*plan).updateColnosLists, index);
                let changed = nodes::ints(list.cast::<pg_sys::List>());
                let changed = changed.filter_map(|number| i16::try_from(number).ok()).collect();
                // A trigger may change other columns.
                let all = catalog::has_row_triggers_or_generated_columns(table.relation);
                ("UPDATE", if all { all_columns(&table) } else { changed })
            }
            pg_sys::CmdType::CMD_DELETE => ("DELETE", vec![]),
            _ => Error::not_supported("MERGE into a foreign table").report(),
        };
        let data = ModifyPlan { command: command.into(), columns };
        let json = serde_json::to_string(&data).unwrap_or_default();
        nodes::list_of([nodes::server_string_node(&json)])
    }
}

fn all_columns(table: &LakeTable) -> Vec<i16> {
    let columns = table.columns.iter().flatten().map(|column| &column.attribute);
    columns.filter(|attribute| !attribute.is_virtual).map(|attribute| attribute.number).collect()
}

#[pg_guard]
unsafe extern "C-unwind" fn begin_modify(
    state: *mut pg_sys::ModifyTableState,
    result: *mut pg_sys::ResultRelInfo,
    private: *mut pg_sys::List,
    _index: i32,
    flags: i32,
) {
    // SAFETY: the executor's own live structures; the plan's data is ours.
    unsafe {
        if flags & i32::try_from(pg_sys::EXEC_FLAG_EXPLAIN_ONLY).unwrap_or(0) != 0 {
            return;
        }
        let plan = nodes::items::<pg_sys::Node>(private)
            .next()
            .and_then(|json| serde_json::from_str(&nodes::server_string_value(json)).ok());
        let Some(plan) = plan else {
            Error::new(
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                "the plan of a modification cannot be read",
            )
            .report()
        };
        let below = (*state).ps.lefttree;
        let targets =
            if below.is_null() { std::ptr::null_mut() } else { (*(*below).plan).targetlist };
        let estate = (*state).ps.state;
        let scans = plan_reads_lake((*estate).es_plannedstmt);
        let role = catalog::result_checked_as(estate, result);
        let modification = report(Modification::new(result, plan, role, targets, scans));
        begin(estate, result, modification);
    }
}

/// COPY FROM, and rows that a partitioned table passes on.
#[pg_guard]
unsafe extern "C-unwind" fn begin_insert(
    state: *mut pg_sys::ModifyTableState,
    result: *mut pg_sys::ResultRelInfo,
) {
    // SAFETY: the executor's own live structures.
    unsafe {
        let estate = (*state).ps.state;
        let table = report(LakeTable::load((*(*result).ri_RelationDesc).rd_id));
        if !(*result).ri_FdwState.is_null() {
            Error::not_supported(format!(
                "rows cannot move into foreign table \"{}\", which the same statement changes",
                table.name
            ))
            .report();
        }
        let role = catalog::result_checked_as(estate, result);
        let plan = ModifyPlan { command: "INSERT".into(), columns: all_columns(&table) };
        let scans = plan_reads_lake((*estate).es_plannedstmt);
        let none = std::ptr::null_mut();
        let modification = report(Modification::new(result, plan, role, none, scans));
        begin(estate, result, modification);
    }
}

/// Whether a statement has scans of DuckDB's, which may need the connection that its rows are written
/// by.
///
/// # Safety
/// `statement` is NULL or a live plan.
unsafe fn plan_reads_lake(statement: *mut pg_sys::PlannedStmt) -> bool {
    if statement.is_null() {
        return false;
    }
    // SAFETY: by contract.
    unsafe {
        nodes::items::<pg_sys::RangeTblEntry>((*statement).rtable)
            .filter(|rte| table::is_ours(*rte))
            .count()
            > 1
            || scan::is_in(statement)
    }
}

impl Modification {
    /// # Safety
    /// Live structures of the executor; `targets` is the select list of the plan below, if any.
    unsafe fn new(
        result: *mut pg_sys::ResultRelInfo,
        plan: ModifyPlan,
        role: pg_sys::Oid,
        targets: *mut pg_sys::List,
        collects: bool,
    ) -> Result<Self> {
        // SAFETY: by contract.
        let (table, row, whole_row) = unsafe {
            (
                LakeTable::load((*(*result).ri_RelationDesc).rd_id)?,
                pg_sys::ExecFindJunkAttributeInTlist(targets, ROW_NAME.as_ptr()),
                pg_sys::ExecFindJunkAttributeInTlist(targets, WHOLE_ROW_NAME.as_ptr()),
            )
        };
        let relation = writable(&table)?;
        let command = match plan.command.as_str() {
            "INSERT" => INSERT,
            "UPDATE" => UPDATE,
            _ => DELETE,
        };
        let mut writers = vec![];
        if command != INSERT {
            writers.push(LakeColumnWriter::text(ROW_COLUMN)?);
        }
        for number in &plan.columns {
            let column = table.column(*number).ok_or_else(|| Error::not_supported("a column"))?;
            let attribute = &column.attribute;
            writers.push(LakeColumnWriter::new(
                &attribute.name,
                attribute.type_oid,
                attribute.typmod,
            )?);
        }
        let mut conversions: Vec<_> =
            writers.iter().enumerate().map(|(at, w)| w.read(&format!("c{at}"))).collect();
        let texts = table.text_columns();
        let first = conversions.len() - plan.columns.len();
        for (value, number) in conversions.iter_mut().skip(first).zip(&plan.columns) {
            let name = table.column(*number).map(|column| &column.file_name);
            if let Some(name) = name.filter(|name| texts.contains(name)) {
                *value = placeholder::guarded(value, name);
            }
        }
        let role = if role == pg_sys::InvalidOid { acl::current_role() } else { role };
        // SAFETY: by contract.
        let checks_bounds = command != DELETE && unsafe { writes_bounds(result, &table, &plan)? };
        Ok(Self {
            checks_bounds,
            collects: collects || command != INSERT,
            writer: RowWriter::of(writers)?,
            conversions,
            writes_all: plan.columns.iter().copied().eq((1..).take(table.columns.len())),
            columns: plan.columns,
            table,
            name: relation.name().executed(),
            relation,
            role,
            command,
            row,
            whole_row,
            kept: vec![],
            feed: None,
            seen: HashSet::new(),
            rows: 0,
        })
    }

    fn target(&self) -> Target<'_> {
        Target {
            role: self.role,
            server: self.table.server,
            table: self.relation.parts(),
            command: self.command,
            text: &self.name,
        }
    }

    fn check(&self) -> Option<(String, WriteCheck)> {
        let columns = self.columns.iter().filter_map(|number| self.table.column(*number));
        let names: Vec<_> = columns.map(|column| column.file_name.clone()).collect();
        self.table.before_write(&names)
    }

    /// The statement that takes the rows, given where they come from.
    fn statement(&self) -> RowStatement {
        let target = self.relation.name().executed();
        let is_row = table::is_row(&sql!("\"target\""), &sql!("\"source\".c0")).executed();
        let columns: Vec<_> = self
            .columns
            .iter()
            .filter_map(|number| Some(quote::identifier(&self.table.column(*number)?.file_name)))
            .collect();
        let (conversions, command) = (self.conversions.clone(), self.command);
        Arc::new(move |rows: &str| {
            if command == INSERT {
                let (columns, values) = (columns.join(", "), conversions.join(", "));
                return format!("INSERT INTO {target} ({columns}) SELECT {values} FROM {rows}");
            }
            if command == DELETE {
                return format!(
                    "DELETE FROM {target} AS \"target\" USING {rows} AS \"source\" WHERE {is_row}"
                );
            }
            let names =
                columns.iter().zip(1..).map(|(column, at)| format!("{column} = \"source\".v{at}"));
            let values = conversions.iter().zip(0..).skip(1);
            let values: Vec<_> = values.map(|(value, at)| format!("{value} AS v{at}")).collect();
            format!(
                "UPDATE {target} AS \"target\" SET {} FROM (SELECT c0, {} FROM {rows}) AS \"source\" \
                 WHERE {is_row}",
                names.collect::<Vec<_>>().join(", "),
                values.join(", ")
            )
        })
    }

    /// # Safety
    /// The values are of the written columns' types, the row's place first where one is; `estate` is
    /// the live state of the query, which frees its memory for a row with every row.
    unsafe fn write(
        &mut self,
        estate: *mut pg_sys::EState,
        values: &[pg_sys::Datum],
        nulls: &[bool],
    ) -> Result<()> {
        self.rows += 1;
        // SAFETY: by contract.
        unsafe {
            let mut context = (*estate).es_per_tuple_exprcontext;
            if context.is_null() {
                context = pg_sys::MakePerTupleExprContext(estate);
            }
            memory::in_context((*context).ecxt_per_tuple_memory, || {
                self.writer.append_here(values, nulls)
            })?;
        }
        match self.writer.take_chunk()? {
            Some(chunk) => self.send(chunk),
            None => Ok(()),
        }
    }

    fn send(&mut self, chunk: RowChunk) -> Result<()> {
        if !self.collects && self.feed.is_none() {
            // Another table's rows have the connection.
            self.collects = others(self).next().is_some();
        }
        if self.collects {
            self.kept.push(chunk);
            return Ok(());
        }
        self.open_feed()?;
        match &mut self.feed {
            Some(feed) => feed.push(chunk),
            None => Ok(()),
        }
    }

    fn open_feed(&mut self) -> Result<()> {
        if self.feed.is_some() {
            return Ok(());
        }
        let types = Arc::clone(self.writer.logical_types());
        self.feed = Some(feed::open(&self.target(), &types, self.check(), self.statement())?);
        Ok(())
    }

    /// Whether these are the rows of a small INSERT, which can wait for more of the kind.
    fn may_gather(&self) -> bool {
        self.command == INSERT
            && self.rows <= MOST_GATHERED
            && !self.collects
            && self.feed.is_none()
    }

    /// Tells tables, columns and roles apart.
    fn key(&self) -> String {
        format!("{} {:?} {}", self.table.relation.to_u32(), self.columns, self.role.to_u32())
    }

    fn gather(&self, chunk: RowChunk) -> Result<Option<RowChunk>> {
        let types = Arc::clone(self.writer.logical_types());
        let target = self.target();
        feed::gather(&target, &self.key(), chunk, || Rows {
            table: target.table.clone(),
            types,
            check: self.check(),
            statement: self.statement(),
            chunks: vec![],
        })
    }

    /// Sends what is left, and waits until DuckDB has written all.
    fn finish(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        if self.feed.is_none() {
            // By now they have all their rows.
            for other in others(self) {
                // SAFETY: another modification, which takes itself off the list when it is dropped.
                unsafe { (*other).finish()? };
            }
        }
        let mut last = self.writer.take_rest()?;
        let small = self.may_gather();
        let nulls = last.as_ref().map(RowChunk::nulls);
        if small && let Some(chunk) = last.take() {
            last = self.gather(chunk)?;
            if last.is_none() {
                self.rows = 0;
                return Ok(());
            }
        }
        self.open_feed()?;
        let Some(mut feed) = self.feed.take() else { return Ok(()) };
        for chunk in std::mem::take(&mut self.kept).into_iter().chain(last) {
            feed.push(chunk)?;
        }
        let rows = std::mem::take(&mut self.rows);
        let changed = feed.finish()?;
        if changed == rows {
            return match nulls.filter(|_| small) {
                Some(nulls) => feed::note_inserted(&self.target(), &self.key(), &nulls),
                None => Ok(()),
            };
        }
        Err(Error::new(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!(
                "DuckDB has changed {changed} rows of \"{}\" where {rows} were meant",
                self.table.name
            ),
        ))
    }

    /// Raises 23514 for a row outside of the table's bounds. PostgreSQL leaves that to the wrapper.
    ///
    /// # Safety
    /// Live structures of the executor.
    unsafe fn check_bounds(
        &self,
        estate: *mut pg_sys::EState,
        result: *mut pg_sys::ResultRelInfo,
        slot: *mut pg_sys::TupleTableSlot,
    ) {
        if self.checks_bounds {
            // SAFETY: by contract; the slot has the columns that the bounds are of.
            unsafe { pg_sys::ExecPartitionCheck(result, slot, estate, true) };
        }
    }

    /// The written columns' values of a row.
    ///
    /// # Safety
    /// `slot` holds a row of the table.
    unsafe fn values(&self, slot: *mut pg_sys::TupleTableSlot) -> (Vec<pg_sys::Datum>, Vec<bool>) {
        // SAFETY: by contract.
        unsafe {
            pg_sys::slot_getallattrs(slot);
            let at = |number: &i16| usize::try_from(*number - 1).unwrap_or(0);
            let values = self.columns.iter().map(|n| *(*slot).tts_values.add(at(n))).collect();
            let nulls = self.columns.iter().map(|n| *(*slot).tts_isnull.add(at(n))).collect();
            (values, nulls)
        }
    }

    /// The row that the plan's row means; `None` if it was changed already.
    ///
    /// # Safety
    /// `plan_slot` is a row of the plan below.
    unsafe fn row_of(
        &mut self,
        plan_slot: *mut pg_sys::TupleTableSlot,
    ) -> Result<Option<pg_sys::Datum>> {
        // SAFETY: by contract; the column is a text.
        unsafe {
            let (row, is_null) = slot::value(plan_slot, self.row);
            if is_null {
                return Err(Error::new(
                    PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                    "a row to be changed has no place in the lake",
                ));
            }
            let text = nodes::str_at(pg_sys::text_to_cstring(row.cast_mut_ptr()));
            Ok(self.seen.insert(text).then_some(row))
        }
    }
}

/// # Safety
/// `result` is of a modification that has begun.
unsafe fn of<'a>(result: *mut pg_sys::ResultRelInfo) -> Option<&'a mut Modification> {
    // SAFETY: by contract; NULL in EXPLAIN.
    unsafe { (*result).ri_FdwState.cast::<Modification>().as_mut() }
}

#[pg_guard]
unsafe extern "C-unwind" fn insert_row(
    estate: *mut pg_sys::EState,
    result: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    _plan_slot: *mut pg_sys::TupleTableSlot,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: the executor's own live structures.
    unsafe {
        if let Some(modification) = of(result) {
            modification.check_bounds(estate, result, slot);
            if modification.writes_all {
                // The slot's own arrays are just what is written.
                pg_sys::slot_getallattrs(slot);
                let count = modification.columns.len();
                let values = std::slice::from_raw_parts((*slot).tts_values, count);
                let nulls = std::slice::from_raw_parts((*slot).tts_isnull, count);
                report(modification.write(estate, values, nulls));
            } else {
                let (values, nulls) = modification.values(slot);
                report(modification.write(estate, &values, &nulls));
            }
        }
        slot
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn update_row(
    estate: *mut pg_sys::EState,
    result: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    plan_slot: *mut pg_sys::TupleTableSlot,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: as above.
    unsafe {
        let Some(modification) = of(result) else { return slot };
        let Some(row) = report(modification.row_of(plan_slot)) else {
            return std::ptr::null_mut();
        };
        modification.check_bounds(estate, result, slot);
        let (values, nulls) = modification.values(slot);
        let values: Vec<_> = std::iter::once(row).chain(values).collect();
        let nulls: Vec<_> = std::iter::once(false).chain(nulls).collect();
        report(modification.write(estate, &values, &nulls));
        slot
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn delete_row(
    estate: *mut pg_sys::EState,
    result: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    plan_slot: *mut pg_sys::TupleTableSlot,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: as above; the slot is the executor's own for what RETURNING says.
    unsafe {
        let Some(modification) = of(result) else { return slot };
        let Some(row) = report(modification.row_of(plan_slot)) else {
            return std::ptr::null_mut();
        };
        report(modification.write(estate, &[row], &[false]));
        if modification.whole_row != 0 && !slot.is_null() {
            let (old, is_null) = slot::value(plan_slot, modification.whole_row);
            if !is_null {
                pg_sys::ExecStoreHeapTupleDatum(old, slot);
            }
        }
        slot
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn end_modify(
    _estate: *mut pg_sys::EState,
    result: *mut pg_sys::ResultRelInfo,
) {
    // SAFETY: as above.
    unsafe {
        if let Some(modification) = of(result) {
            report(modification.finish());
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn explain_modify(
    _state: *mut pg_sys::ModifyTableState,
    result: *mut pg_sys::ResultRelInfo,
    private: *mut pg_sys::List,
    _index: i32,
    es: *mut pg_sys::ExplainState,
) {
    // SAFETY: as above.
    unsafe {
        if !(*es).verbose {
            return;
        }
        let json = nodes::items::<pg_sys::Node>(private).next();
        let plan = json.and_then(|json| {
            serde_json::from_str::<ModifyPlan>(&nodes::server_string_value(json)).ok()
        });
        let Some(plan) = plan else { return };
        let shown =
            Modification::new(result, plan, pg_sys::InvalidOid, std::ptr::null_mut(), false)
                .map(|modification| modification.statement()("the rows"));
        if let Ok(sql) = shown {
            scan::explain_property(es, c"DuckDB SQL", &sql);
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn plan_direct(
    root: *mut pg_sys::PlannerInfo,
    plan: *mut pg_sys::ModifyTable,
    rti: pg_sys::Index,
    _index: i32,
) -> bool {
    // SAFETY: the planner's own live structures.
    unsafe {
        if !(*root).parent_root.is_null() || nodes::len((*plan).resultRelations) != 1 {
            return false;
        }
        let rte = *(*root).simple_rte_array.add(rti as usize);
        let Some(direct) = modify::current((*rte).relid) else { return false };
        let below = (*plan).plan.lefttree;
        let scanned = scan::plan_direct(&direct, below, (*(*root).glob).boundParams);
        let Some(scanned) = scanned else { return false };
        (*scanned).startup_cost = (*below).startup_cost;
        (*scanned).total_cost = (*below).total_cost;
        (*scanned).plan_rows = (*below).plan_rows;
        (*scanned).plan_width = (*below).plan_width;
        (*plan).plan.lefttree = scanned;
        true
    }
}

// The scan that took the plan's place does all of it; PostgreSQL wants these callbacks all the same.

#[pg_guard]
unsafe extern "C-unwind" fn begin_direct(_node: *mut pg_sys::ForeignScanState, _flags: i32) {}

#[pg_guard]
unsafe extern "C-unwind" fn iterate_direct(
    _node: *mut pg_sys::ForeignScanState,
) -> *mut pg_sys::TupleTableSlot {
    std::ptr::null_mut()
}

#[pg_guard]
unsafe extern "C-unwind" fn end_direct(_node: *mut pg_sys::ForeignScanState) {}

#[pg_guard]
unsafe extern "C-unwind" fn truncate(
    relations: *mut pg_sys::List,
    behavior: pg_sys::DropBehavior::Type,
    _restart_sequences: bool,
) {
    // SAFETY: a list of open relations.
    unsafe {
        for relation in nodes::items::<pg_sys::RelationData>(relations) {
            report(truncate_one((*relation).rd_id, behavior));
        }
    }
}

fn truncate_one(relation: pg_sys::Oid, _behavior: pg_sys::DropBehavior::Type) -> Result<()> {
    let table = LakeTable::load(relation)?;
    let target = writable(&table)?;
    let sql = sql!("TRUNCATE {}", target.name()).executed();
    let target = Target {
        role: acl::current_role(),
        server: table.server,
        table: target.parts(),
        command: c"TRUNCATE",
        text: &sql,
    };
    feed::run(&target, sql.clone()).map(drop)
}
