//! The scan in the planner: a CustomPath for foreign tables, for what `pushdown/` has made of whole
//! queries, and in place of the FunctionScan of `duckdb.query_rows` and `duckdb.query_by_name`.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use duck::sql;
use duck::sql::{Printed, Sql};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use super::exec;
use super::plan::{Modify, ScanPlan, Shipped, Source, Tables};
use super::qual;
use crate::error::{Error, Result, report};
use crate::lake::mixed;
use crate::lake::table::{self, LakeTable, ROW_COLUMN, ROW_NUMBER};
use crate::lake::travel::Travel;
use crate::pg::catalog::{self, Objects};
use crate::pg::methods::Methods;
use crate::pg::row_type::RowColumn;
use crate::pg::{encoding, hook, nodes};
use crate::pushdown::expression::{Decimal, is_known_at_start};
use crate::pushdown::modify::{Command, Direct};
use crate::pushdown::part::{self, Part};
use crate::pushdown::quals;
use crate::pushdown::translator::ItemColumn;

/// # Safety
/// Called once, from `_PG_init`.
pub unsafe fn init() {
    // SAFETY: by contract.
    unsafe { hook::set_set_rel_pathlist(Some(set_rel_pathlist)) };
}

static PATH_METHODS: Methods<pg_sys::CustomPathMethods> = Methods(pg_sys::CustomPathMethods {
    CustomName: super::exec::NODE_NAME.as_ptr(),
    PlanCustomPath: Some(plan_custom_path),
    ReparameterizeCustomPathByChild: None,
});

/// What DuckDB's start costs, in the planner's units: about a millisecond.
const STARTUP_COST: f64 = 100.0;

unsafe extern "C-unwind" fn set_rel_pathlist(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    rti: pg_sys::Index,
    rte: *mut pg_sys::RangeTblEntry,
) {
    // SAFETY: the planner's own live structures.
    unsafe {
        hook::prev_set_rel_pathlist(root, rel, rti, rte);
        scan_our_calls(root, rel, rte);
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn scan_our_calls(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    rte: *mut pg_sys::RangeTblEntry,
) {
    // SAFETY: by contract of the hook.
    unsafe {
        let pushed = pushed_part(rte);
        // What is proven empty stays so: the hook is called for it too.
        if scanned_call(rte).is_none() && pushed.is_none() || pg_sys::is_dummy_rel(rel) {
            return;
        }
        if let Some(rows) = pushed.and_then(|pushed| expected_rows(root, &pushed.part)) {
            (*rel).tuples = rows;
            pg_sys::set_baserel_size_estimates(root, rel);
        }
        (*rel).pathlist = std::ptr::null_mut();
        (*rel).partial_pathlist = std::ptr::null_mut();
        add_path(root, rel);
    }
}

/// Adds the path that scans `rel`, a foreign table of the wrapper or one of our calls.
///
/// # Safety
/// The planner's own live structures; sizes are estimated.
pub unsafe fn add_path(root: *mut pg_sys::PlannerInfo, rel: *mut pg_sys::RelOptInfo) {
    // SAFETY: by contract.
    unsafe {
        let path = pg_sys::palloc0(size_of::<pg_sys::CustomPath>()).cast::<pg_sys::CustomPath>();
        (*path).path.type_ = Tag::T_CustomPath;
        (*path).path.pathtype = Tag::T_CustomScan;
        (*path).path.parent = rel;
        (*path).path.pathtarget = (*rel).reltarget;
        (*path).path.param_info =
            pg_sys::get_baserel_parampathinfo(root, rel, (*rel).lateral_relids);
        (*path).path.parallel_aware = false;
        (*path).path.parallel_safe = false;
        let param_info = (*path).path.param_info;
        (*path).path.rows = if param_info.is_null() { (*rel).rows } else { (*param_info).ppi_rows };
        (*path).path.startup_cost = STARTUP_COST;
        (*path).path.total_cost = STARTUP_COST
            + (*rel).tuples.max((*path).path.rows)
                * (pg_sys::cpu_tuple_cost + (*rel).baserestrictcost.per_tuple);
        (*path).flags = pg_sys::CUSTOMPATH_SUPPORT_PROJECTION;
        (*path).methods = PATH_METHODS.as_ptr();
        pg_sys::add_path(rel, path.cast());
    }
}

/// How many rows PostgreSQL expects of a part, by planning it: where something above depends on
/// that, and for queries of one table. Planning asks the object store for the sizes of tables that
/// are not analyzed; groups of such a table are not worth that.
///
/// # Safety
/// Live planner structures, and a part of the statement at hand.
unsafe fn expected_rows(root: *mut pg_sys::PlannerInfo, part: &Part) -> Option<f64> {
    // SAFETY: by contract; the planner changes a copy.
    unsafe {
        let local = part.local;
        if local.is_null() || !part.expected.texts.is_empty() {
            return None;
        }
        if pg_sys::bms_num_members((*root).all_baserels) == 1 {
            let groups = (*local).hasAggs || !(*local).groupClause.is_null();
            let analyzed = || {
                nodes::items::<pg_sys::RangeTblEntry>((*local).rtable).all(|rte| {
                    (*rte).rtekind != pg_sys::RTEKind::RTE_RELATION
                        || catalog::analyzed_rows((*rte).relid).is_some()
                })
            };
            let one_table = part.relations.len() == 1 && part.ships.is_empty();
            if !one_table || groups && !analyzed() {
                return None;
            }
        }
        let plan = part::without(|| {
            pg_sys::planner(nodes::copy(local), c"".as_ptr(), 0, std::ptr::null_mut())
        });
        Some((*(*plan).planTree).plan_rows.max(1.0))
    }
}

struct ScannedCall {
    function: *mut pg_sys::RangeTblFunction,
    call: *mut pg_sys::FuncExpr,
    sql: String,
    travel: Option<Travel>,
}

/// The call, if the entry is one of `duckdb.query_rows` and `duckdb.query_by_name` with a text that is known now.
///
/// # Safety
/// `rte` is a live range table entry.
unsafe fn scanned_call(rte: *mut pg_sys::RangeTblEntry) -> Option<ScannedCall> {
    // SAFETY: by contract.
    unsafe {
        if (*rte).rtekind != pg_sys::RTEKind::RTE_FUNCTION
            || (*rte).funcordinality
            || nodes::len((*rte).functions) != 1
        {
            return None;
        }
        let function = nodes::items::<pg_sys::RangeTblFunction>((*rte).functions).next()?;
        let call = nodes::cast::<pg_sys::FuncExpr>((*function).funcexpr, Tag::T_FuncExpr)?;
        // Cheaper than the look-up of our functions, which every function scan would pay.
        if (*call).funcid.to_u32() < pg_sys::FirstNormalObjectId || (*call).funcvariadic {
            return None;
        }
        let objects = Objects::get()?;
        if let Some(travel) = travel_of(call, &objects) {
            let sql = "SELECT".to_owned();
            return Some(ScannedCall { function, call, sql, travel: Some(travel) });
        }
        if !objects.scans((*call).funcid) {
            return None;
        }
        let first = nodes::items::<pg_sys::Node>((*call).args).next()?;
        let text = nodes::cast::<pg_sys::Const>(first, Tag::T_Const)?;
        if (*text).constisnull {
            return None;
        }
        let text = pg_sys::text_to_cstring((*text).constvalue.cast_mut_ptr());
        Some(ScannedCall { function, call, sql: encoding::server_to_utf8(text), travel: None })
    }
}

/// What a call of `duckdb.query_at` or `duckdb.query_changes` looks at, if that is known now.
///
/// # Safety
/// `call` is live.
unsafe fn travel_of(call: *mut pg_sys::FuncExpr, objects: &Objects) -> Option<Travel> {
    // SAFETY: by contract; the parameters are a regclass, and two of 8 bytes.
    unsafe {
        let has_changes = (*call).funcid == objects.query_changes;
        if !has_changes && (*call).funcid != objects.query_at {
            return None;
        }
        let arguments: Vec<_> = nodes::items::<pg_sys::Node>((*call).args)
            .map(|argument| nodes::cast::<pg_sys::Const>(argument, Tag::T_Const))
            .collect::<Option<_>>()?;
        let &[relation, first, second] = arguments.as_slice() else { return None };
        let value = |constant: *mut pg_sys::Const| {
            (!(*constant).constisnull).then(|| (*constant).constvalue)
        };
        Travel::of_arguments(has_changes, value(relation)?, value(first), value(second))
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn plan_custom_path(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    path: *mut pg_sys::CustomPath,
    tlist: *mut pg_sys::List,
    clauses: *mut pg_sys::List,
    _custom_plans: *mut pg_sys::List,
) -> *mut pg_sys::Plan {
    // SAFETY: the planner's own live structures; new nodes are allocated in its memory context.
    unsafe {
        let rte = *(*root).simple_rte_array.add((*rel).relid as usize);
        let clauses = pg_sys::extract_actual_clauses(clauses, false);
        let planned = if (*rte).rtekind == pg_sys::RTEKind::RTE_RELATION {
            report(plan_table(root, rel, (*rte).relid, tlist, clauses))
        } else if let Some(part) = pushed_part(rte) {
            plan_part(root, rel, &part, tlist, clauses)
        } else {
            let Some(scanned) = scanned_call(rte) else {
                pgrx::error!("the DuckDB scan lost its function call");
            };
            plan_call(root, rel, &scanned, tlist, clauses)
        };
        let Planned { plan, expressions, local, scan_tlist, nested } = planned;
        let scan = pg_sys::palloc0(size_of::<pg_sys::CustomScan>()).cast::<pg_sys::CustomScan>();
        (*scan).scan.plan.type_ = Tag::T_CustomScan;
        (*scan).scan.plan.targetlist = tlist;
        (*scan).scan.plan.qual = local;
        (*scan).scan.scanrelid = 0;
        (*scan).flags = (*path).flags;
        (*scan).custom_exprs = nodes::list_of(expressions);
        let json = nodes::server_string_node(&plan.to_json());
        (*scan).custom_private = nodes::list_of(std::iter::once(json).chain(nested));
        (*scan).custom_scan_tlist = scan_tlist;
        (*scan).methods = exec::scan_methods();
        scan.cast()
    }
}

/// A scan with what PostgreSQL keeps of it.
struct Planned {
    plan: ScanPlan,
    /// What the plan's parameters and limits are.
    expressions: Vec<*mut pg_sys::Node>,
    /// The conditions that PostgreSQL checks.
    local: *mut pg_sys::List,
    scan_tlist: *mut pg_sys::List,
    /// The same as a query for PostgreSQL, or NULL; then the plans of what is shipped.
    nested: Vec<*mut pg_sys::Node>,
}

/// # Safety
/// Live planner structures.
unsafe fn plan_call(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    scanned: &ScannedCall,
    tlist: *mut pg_sys::List,
    clauses: *mut pg_sys::List,
) -> Planned {
    // SAFETY: by contract.
    unsafe {
        let rti = (*rel).relid;
        let names: Vec<String> = nodes::items::<pg_sys::Node>((*scanned.function).funccolnames)
            .map(|name| nodes::server_string_value(name))
            .collect();
        // A look at the past is in the plan, with what it looks at.
        let arguments =
            if scanned.travel.is_some() { 0 } else { nodes::len((*scanned.call).args) - 1 };
        let mut plan = ScanPlan {
            source: Source::Call {
                by_name: scanned.travel.is_some() || objects_by_name(scanned.call),
            },
            travel: scanned.travel.clone(),
            sql: scanned.sql.clone(),
            names,
            arguments,
            ..ScanPlan::default()
        };
        let columns = qual::Columns::new(rti, scanned.function);
        let pushed = if part::is_enabled() && qual::can_push(&plan) {
            qual::split(clauses, &plan, &columns)
        } else {
            qual::Split::nothing(clauses)
        };
        plan.condition = pushed.condition;
        plan.companions = pushed.companions;
        plan.condition_columns = pushed.columns;
        plan.condition_values = pushed.values.len();
        // The target list may be left out here and put in later; it uses the relation's targets.
        let used = used_attributes(rti, [(*(*rel).reltarget).exprs, tlist, pushed.local]);
        plan.whole_row = used.contains(&0);
        let count = plan.names.len();
        plan.fetch = (0..count)
            .filter(|at| {
                plan.whole_row || i16::try_from(at + 1).is_ok_and(|number| used.contains(&number))
            })
            .collect();
        plan.row_columns = (0..plan.fetch.len()).map(Some).collect();
        // A fetched column's type is looked at anyway.
        let fetched = plan.fetch.clone();
        plan.condition_columns.retain(|(at, ..)| !fetched.contains(at));
        let limits = if pushed.local.is_null() && part::is_enabled() && plan.is_wrapped() {
            limits(root, rel)
        } else {
            vec![]
        };
        plan.limit = !limits.is_empty();
        plan.offset = limits.len() > 1;
        let fetched: Vec<_> = plan
            .fetch
            .iter()
            .map(|at| (i16::try_from(at + 1).unwrap_or(i16::MAX), &columns.columns[*at]))
            .collect();
        let scan_tlist = scan_tlist(&plan, rti, &fetched);
        let arguments = nodes::items::<pg_sys::Node>((*scanned.call).args).skip(1).take(arguments);
        let expressions = arguments.chain(pushed.values).chain(limits).collect();
        Planned { plan, expressions, local: pushed.local, scan_tlist, nested: vec![] }
    }
}

/// # Safety
/// Live planner structures.
unsafe fn plan_table(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    relation: pg_sys::Oid,
    tlist: *mut pg_sys::List,
    clauses: *mut pg_sys::List,
) -> Result<Planned> {
    // SAFETY: by contract.
    unsafe {
        let rti = (*rel).relid;
        let table = LakeTable::load(relation)?;
        let alias = "scanned";
        let item_columns = table
            .columns
            .iter()
            .map(|column| {
                let column = column.as_ref()?;
                let numeric = column.attribute.type_oid == pg_sys::NUMERICOID;
                let decimal =
                    numeric.then(|| Decimal::of_typmod(column.attribute.typmod)).flatten();
                Some(ItemColumn { name: column.alias.clone(), decimal, inexact_scale: false })
            })
            .collect();
        let pushed = if part::is_enabled() {
            quals::split(root, rti, alias, item_columns, clauses, mixed::may_be(&table.origin))
        } else {
            quals::Split::nothing(clauses)
        };
        let local = pushed.local;
        let used = used_attributes(rti, [(*(*rel).reltarget).exprs, tlist, local]);
        let targets = [(*(*rel).reltarget).exprs, tlist];
        let is_changed = asks_for(rti, targets, ROW_NUMBER, pg_sys::TEXTOID);
        // The user's own ctid, beside the text that stands for a changed row.
        let by_place = is_changed
            && (asks_for(rti, [(*(*rel).reltarget).exprs, local], ROW_ID, pg_sys::TIDOID)
                || asks_for(rti, [tlist, std::ptr::null_mut()], ROW_ID, pg_sys::TIDOID));
        let row_id = used.contains(&ROW_ID) && !is_changed && !(*root).rowMarks.is_null();
        let given = |number: i16| {
            number == TABLE_OID || number == ROW_ID && (row_id || is_changed && !by_place)
        };
        if let Some(number) = used.iter().find(|number| **number < 0 && !given(**number)) {
            let name =
                nodes::str_at((*pg_sys::SystemAttributeDefinition(*number)).attname.data.as_ptr());
            return Err(Error::not_supported(format!(
                "foreign table \"{}\" has no system column \"{name}\"",
                table.name
            )));
        }
        let whole_row = used.contains(&0);
        let fetched: Vec<_> = table
            .columns
            .iter()
            .flatten()
            .filter(|column| whole_row || used.contains(&column.attribute.number))
            .collect();
        let mut numbers: Vec<_> = fetched.iter().map(|column| column.attribute.number).collect();
        if is_changed {
            numbers.push(ROW_NUMBER);
        }
        let position = |number: i16| numbers.iter().position(|fetched| *fetched == number);
        let limits = if local.is_null() && part::is_enabled() { limits(root, rel) } else { vec![] };
        let (sql, read) = if pushed.conditions.is_empty() {
            (table.select(&numbers)?, numbers.clone())
        } else {
            let inside: Vec<_> = numbers
                .iter()
                .copied()
                .chain(pushed.used)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
            let row = is_changed.then_some(ROW_COLUMN);
            let aliases = fetched.iter().map(|column| column.alias.as_str()).chain(row);
            let names = table::select_list(aliases.map(sql::identifier).collect());
            let sql = sql!(
                "SELECT {} FROM ({}) AS {} WHERE {}",
                names,
                table.select(&inside)?,
                sql::identifier(alias),
                Sql::join(pushed.conditions, " AND ")
            );
            (sql, inside)
        };
        let Printed { executed, shown } = sql.printed();
        let mut kept = part::reasons();
        kept.extend(
            pushed.kept.iter().filter(|reason| !kept.contains(reason)).cloned().collect::<Vec<_>>(),
        );
        let plan = ScanPlan {
            source: Source::Tables(Tables {
                servers: vec![table.server.to_u32()],
                relations: vec![table.name.clone()],
                columns: vec![(relation.to_u32(), read)],
                role: (*rel).userid.to_u32(),
                expected: Box::new(table.origin.expected()?),
                kept,
                ..Tables::default()
            }),
            sql: executed,
            shown,
            arguments: pushed.arguments.len(),
            names: fetched
                .iter()
                .map(|column| column.attribute.name.clone())
                .chain(is_changed.then(|| ROW_COLUMN.to_owned()))
                .collect(),
            fetch: (0..numbers.len()).collect(),
            whole_row,
            row_type: if whole_row { pg_sys::get_rel_type_id(relation).to_u32() } else { 0 },
            row_as_record: whole_row && asks_for(rti, targets, 0, pg_sys::RECORDOID),
            row_columns: (1..=table.columns.len())
                .map(|number| position(i16::try_from(number).unwrap_or(i16::MAX)))
                .collect(),
            table_oid: used.contains(&TABLE_OID).then(|| relation.to_u32()),
            row_id,
            limit: !limits.is_empty(),
            offset: limits.len() > 1,
            ..ScanPlan::default()
        };
        let columns: Vec<_> = fetched
            .iter()
            .map(|column| {
                let attribute = &column.attribute;
                let column = RowColumn {
                    name: attribute.name.clone(),
                    type_oid: attribute.type_oid,
                    typmod: attribute.typmod,
                    collation: attribute.collation,
                };
                (attribute.number, column)
            })
            .chain(is_changed.then(|| {
                let column = RowColumn {
                    name: ROW_COLUMN.to_owned(),
                    type_oid: pg_sys::TEXTOID,
                    typmod: -1,
                    collation: pg_sys::DEFAULT_COLLATION_OID,
                };
                (ROW_NUMBER, column)
            }))
            .collect();
        let columns: Vec<_> = columns.iter().map(|(number, column)| (*number, column)).collect();
        let scan_tlist = scan_tlist(&plan, rti, &columns);
        let expressions = pushed.arguments.into_iter().chain(limits).collect();
        Ok(Planned { plan, expressions, local, scan_tlist, nested: vec![] })
    }
}

/// The part that the entry's call of `duckdb.pushed` stands for.
///
/// # Safety
/// `rte` is a live range table entry.
unsafe fn pushed_part(rte: *mut pg_sys::RangeTblEntry) -> Option<PushedPart> {
    // SAFETY: by contract.
    unsafe {
        if (*rte).rtekind != pg_sys::RTEKind::RTE_FUNCTION || nodes::len((*rte).functions) != 1 {
            return None;
        }
        let function = nodes::items::<pg_sys::RangeTblFunction>((*rte).functions).next()?;
        let call = nodes::cast::<pg_sys::FuncExpr>((*function).funcexpr, Tag::T_FuncExpr)?;
        if (*call).funcid.to_u32() < pg_sys::FirstNormalObjectId
            || !Objects::get()?.pushed.contains(&(*call).funcid)
        {
            return None;
        }
        let first = nodes::items::<pg_sys::Node>((*call).args).next()?;
        let id = nodes::cast::<pg_sys::Const>(first, Tag::T_Const)?;
        let part = part::find((*id).constvalue.value().cast_signed() as i64)?;
        Some(PushedPart { function, call, part })
    }
}

struct PushedPart {
    function: *mut pg_sys::RangeTblFunction,
    call: *mut pg_sys::FuncExpr,
    part: Part,
}

/// # Safety
/// Live planner structures.
unsafe fn plan_part(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    pushed: &PushedPart,
    tlist: *mut pg_sys::List,
    clauses: *mut pg_sys::List,
) -> Planned {
    // SAFETY: by contract.
    unsafe {
        let rti = (*rel).relid;
        let columns = qual::Columns::new(rti, pushed.function).columns;
        let part = &pushed.part;
        // Conditions that PostgreSQL moved to the part from around it.
        let mut conditions = quals::Split::nothing(clauses);
        if !clauses.is_null() {
            let items = columns
                .iter()
                .map(|column| {
                    let numeric = column.type_oid == pg_sys::NUMERICOID;
                    let decimal = numeric.then(|| Decimal::of_typmod(column.typmod)).flatten();
                    let name = column.name.clone();
                    Some(ItemColumn { name, decimal, inexact_scale: false })
                })
                .collect();
            conditions = quals::split(root, rti, "pushed", items, clauses, true);
        }
        let arguments: Vec<_> = nodes::items::<pg_sys::Node>((*pushed.call).args).skip(1).collect();
        if !conditions.arguments.is_empty() && !arguments.is_empty() {
            // Their numbers are the part's already.
            conditions = quals::Split::nothing(clauses);
        }
        // PostgreSQL checks them too, should it have to answer itself.
        let local = clauses;
        let used = used_attributes(rti, [(*(*rel).reltarget).exprs, tlist, local]);
        let mut sql = part.sql.clone();
        let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
        let items = items_of_part(&names, &used);
        let mut has_limit = part.has_limit;
        if !conditions.conditions.is_empty() {
            let items = items.unwrap_or_else(|| sql!("*"));
            let condition = Sql::join(conditions.conditions, " AND ");
            sql = sql!("SELECT {} FROM ({}) AS \"pushed\" WHERE {}", items, sql, condition);
            has_limit = false;
        } else if let Some(items) = items {
            sql = sql!("SELECT {} FROM ({}) AS \"pushed\"", items, sql);
            has_limit = false;
        }
        let Printed { executed, shown } = sql.printed();
        let limits = if local.is_null() { limits(root, rel) } else { vec![] };
        let plan = ScanPlan {
            source: Source::Tables(Tables {
                servers: part.servers.clone(),
                relations: part.relations.clone(),
                columns: part.columns.clone(),
                has_limit,
                role: part.role,
                queries: !part.expected.texts.is_empty(),
                expected: Box::new(part.expected.clone()),
                kept: part::reasons(),
                shipped: part
                    .ships
                    .iter()
                    .map(|ship| Shipped {
                        label: ship.label.clone(),
                        estimated_rows: ship.rows,
                        columns: ship.columns.clone(),
                    })
                    .collect(),
            }),
            sql: executed,
            shown,
            names: columns.iter().map(|column| column.name.clone()).collect(),
            fetch: (0..columns.len()).collect(),
            whole_row: used.contains(&0),
            row_columns: (0..columns.len()).map(Some).collect(),
            arguments: arguments.len() + conditions.arguments.len(),
            limit: !limits.is_empty(),
            offset: limits.len() > 1,
            ..ScanPlan::default()
        };
        let fetched: Vec<_> =
            columns.iter().zip(1i16..).map(|(column, number)| (number, column)).collect();
        let scan_tlist = scan_tlist(&plan, rti, &fetched);
        let expressions = arguments.into_iter().chain(conditions.arguments).chain(limits).collect();
        let nested = std::iter::once(part.local.cast())
            .chain(part.ships.iter().map(|ship| ship.plan.cast()))
            .collect();
        Planned { plan, expressions, local, scan_tlist, nested }
    }
}

/// The scan that runs a whole statement, in place of the plan `below` a `ModifyTable`; `None` when
/// PostgreSQL's planner wants something else on top of the part.
///
/// # Safety
/// Within planning; `direct` is of the statement at hand.
pub unsafe fn plan_direct(
    direct: &Direct,
    below: *mut pg_sys::Plan,
    parameters: pg_sys::ParamListInfo,
) -> Option<*mut pg_sys::Plan> {
    // SAFETY: by contract; the planner may scribble on its copy.
    unsafe {
        let rows = nodes::copy(direct.rows);
        let planned = pg_sys::standard_planner(rows, c"".as_ptr(), 0, parameters);
        let scan =
            nodes::cast::<pg_sys::CustomScan>((*planned).planTree.cast(), Tag::T_CustomScan)?;
        if !std::ptr::eq((*scan).methods, exec::scan_methods())
            || !(*scan).scan.plan.qual.is_null()
            || !(*planned).subplans.is_null()
        {
            return None;
        }
        let mut private = nodes::items::<pg_sys::Node>((*scan).custom_private);
        let mut plan = ScanPlan::from_json(&nodes::server_string_value(private.next()?))?;
        let further: Vec<_> = private.collect();
        let (before, behind) = direct.around(&plan.names);
        let Source::Tables(tables) = &mut plan.source else { return None };
        if !tables.servers.contains(&direct.server.to_u32()) {
            tables.servers.push(direct.server.to_u32());
            tables.servers.sort_unstable();
        }
        tables.expected.writes = Some(direct.target.parts());
        plan.modify = Some(Modify {
            command: match direct.command {
                Command::Insert => "INSERT".into(),
                Command::Update => "UPDATE".into(),
                Command::Delete => "DELETE".into(),
            },
            server: direct.server.to_u32(),
            table: direct.target.parts(),
            relation: direct.relation.to_u32(),
            columns: direct.values.iter().map(|(name, _)| name.clone()).collect(),
            in_place: direct.in_place().map(|(sql, used)| (sql.printed(), used)),
            before: before.executed(),
            behind: behind.executed(),
        });
        let json = nodes::server_string_node(&plan.to_json());
        (*scan).custom_private = nodes::list_of(std::iter::once(json).chain(further));
        // It returns no rows; what stands above only looks at the types.
        let nulls = nodes::items::<pg_sys::TargetEntry>((*below).targetlist).map(|entry| {
            let node = (*entry).expr.cast::<pg_sys::Node>();
            let null = pg_sys::makeNullConst(
                pg_sys::exprType(node),
                pg_sys::exprTypmod(node),
                pg_sys::exprCollation(node),
            );
            let copied = nodes::copy(entry);
            (*copied).expr = null.cast();
            copied
        });
        (*scan).scan.plan.targetlist = nodes::list_of(nulls);
        (*scan).custom_scan_tlist = std::ptr::null_mut();
        Some(scan.cast())
    }
}

/// The select list over a part of which some columns are used only. The others become NULLs of
/// their type, for which DuckDB reads nothing; EXPLAIN does not show them. `None` when all are used.
fn items_of_part(names: &[&str], used: &BTreeSet<i16>) -> Option<Sql> {
    let is_used = |number: i16| used.contains(&number);
    if is_used(0) || (1i16..).zip(names).all(|(number, _)| is_used(number)) {
        return None;
    }
    // What stands before the first column that is shown takes its comma along.
    let first = (1i16..).zip(names).position(|(number, _)| is_used(number));
    let first = first.unwrap_or(names.len() - 1);
    let items = (1i16..).zip(names).enumerate().map(|(at, (number, name))| {
        let name = sql::identifier(name);
        let column = sql!("\"pushed\".{}", name);
        let unused = sql!("CASE WHEN false THEN {} END AS {}", column, name);
        match (is_used(number), at.cmp(&first)) {
            (false, Ordering::Less) => sql!("{}, ", unused).elided(),
            (false, Ordering::Equal) => unused,
            (false, Ordering::Greater) => sql!(", {}", unused).elided(),
            (true, Ordering::Equal) => column,
            (true, _) => sql!(", {}", column),
        }
    });
    Some(Sql::join(items, ""))
}

#[expect(clippy::cast_possible_truncation, reason = "a small negative number")]
const TABLE_OID: i16 = pg_sys::TableOidAttributeNumber as i16;
#[expect(clippy::cast_possible_truncation, reason = "a small negative number")]
const ROW_ID: i16 = pg_sys::SelfItemPointerAttributeNumber as i16;

/// Whether a Var of this number and type is asked for, which tells what it is for: the row of a lake's
/// table that is to be changed, the old row as a plain record.
///
/// # Safety
/// Live expressions.
unsafe fn asks_for(
    rti: pg_sys::Index,
    trees: [*mut pg_sys::List; 2],
    number: i16,
    var_type: pg_sys::Oid,
) -> bool {
    // SAFETY: by contract.
    unsafe {
        trees.into_iter().any(|tree| {
            nodes::walk(tree.cast(), &mut |node| {
                nodes::cast::<pg_sys::Var>(node, Tag::T_Var).is_some_and(|var| {
                    u32::try_from((*var).varno).is_ok_and(|varno| varno == rti)
                        && (*var).varlevelsup == 0
                        && (*var).varattno == number
                        && (*var).vartype == var_type
                })
            })
        })
    }
}

/// # Safety
/// `call` is a live call.
unsafe fn objects_by_name(call: *mut pg_sys::FuncExpr) -> bool {
    // SAFETY: by contract.
    Objects::get().is_some_and(|objects| unsafe { objects.query_by_name.contains(&(*call).funcid) })
}

/// The numbers of the attributes that the expressions use; 0 is the whole row.
///
/// # Safety
/// Live expressions.
unsafe fn used_attributes(rti: pg_sys::Index, trees: [*mut pg_sys::List; 3]) -> BTreeSet<i16> {
    let mut used = BTreeSet::new();
    // SAFETY: by contract.
    unsafe {
        for tree in trees {
            nodes::walk(tree.cast(), &mut |node| {
                if let Some(var) = nodes::cast::<pg_sys::Var>(node, Tag::T_Var)
                    && u32::try_from((*var).varno).is_ok_and(|varno| varno == rti)
                    && (*var).varlevelsup == 0
                {
                    used.insert((*var).varattno);
                }
                false
            });
        }
    }
    used
}

/// The row of the scan: the fetched columns with their attribute numbers, then the whole row, then
/// the table's OID.
///
/// # Safety
/// Within planning.
unsafe fn scan_tlist(
    plan: &ScanPlan,
    rti: pg_sys::Index,
    columns: &[(i16, &RowColumn)],
) -> *mut pg_sys::List {
    let entry = |var: *mut pg_sys::Var, number: i16| {
        // SAFETY: makes a node of a live Var.
        unsafe { pg_sys::makeTargetEntry(var.cast(), number, std::ptr::null_mut(), false) }
    };
    let varno = rti.try_into().unwrap_or_default();
    let fetched = columns.iter().map(|(number, column)| {
        // SAFETY: plain arguments.
        unsafe {
            pg_sys::makeVar(varno, *number, column.type_oid, column.typmod, column.collation, 0)
        }
    });
    let row_type = match plan.row_type {
        0 => pg_sys::RECORDOID,
        _ if plan.row_as_record => pg_sys::RECORDOID,
        oid => pg_sys::Oid::from(oid),
    };
    // SAFETY: plain arguments.
    let whole_row = plan
        .whole_row
        .then(|| unsafe { pg_sys::makeVar(varno, 0, row_type, -1, pg_sys::InvalidOid, 0) });
    // SAFETY: plain arguments.
    let table_oid = plan.table_oid.map(|_| unsafe {
        pg_sys::makeVar(varno, TABLE_OID, pg_sys::OIDOID, -1, pg_sys::InvalidOid, 0)
    });
    // SAFETY: plain arguments.
    let row_id = plan.row_id.then(|| unsafe {
        pg_sys::makeVar(varno, ROW_ID, pg_sys::TIDOID, -1, pg_sys::InvalidOid, 0)
    });
    let entries = fetched
        .chain(whole_row)
        .chain(table_oid)
        .chain(row_id)
        .zip(1i16..)
        .map(|(var, n)| entry(var, n));
    // SAFETY: fresh nodes.
    unsafe { nodes::list_of(entries) }
}

/// LIMIT and OFFSET, when nothing stands between them and the scan and both can be known when the
/// scan starts.
///
/// # Safety
/// Live planner structures.
unsafe fn limits(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
) -> Vec<*mut pg_sys::Node> {
    // SAFETY: by contract.
    unsafe {
        let query = (*root).parse;
        let plain = !(*query).limitCount.is_null()
            && (*query).limitOption == pg_sys::LimitOption::LIMIT_OPTION_COUNT
            && (*query).commandType == pg_sys::CmdType::CMD_SELECT
            && !(*query).hasAggs
            && !(*query).hasWindowFuncs
            && !(*query).hasTargetSRFs
            && (*query).groupClause.is_null()
            && (*query).groupingSets.is_null()
            && (*query).havingQual.is_null()
            && (*query).distinctClause.is_null()
            && (*query).sortClause.is_null()
            && (*query).setOperations.is_null()
            && (*query).rowMarks.is_null()
            && pg_sys::bms_equal((*root).all_baserels, (*rel).relids)
            && pg_sys::bms_num_members((*root).all_baserels) == 1;
        let known = |node: *mut pg_sys::Node| is_known_at_start(node);
        let (count, offset) = ((*query).limitCount, (*query).limitOffset);
        if !plain || !known(count) || !(offset.is_null() || known(offset)) {
            return vec![];
        }
        [count, offset].into_iter().filter(|node| !node.is_null()).collect()
    }
}
