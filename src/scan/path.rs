//! The scan in the planner: a CustomPath in place of the FunctionScan of `duckdb.query_rows` and `duckdb.query_by_name`.

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use super::exec;
use super::plan::ScanPlan;
use super::qual;
use crate::guc;
use crate::pg::catalog::Objects;
use crate::pg::methods::Methods;
use crate::pg::{encoding, hook, nodes};

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

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn set_rel_pathlist(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    rti: pg_sys::Index,
    rte: *mut pg_sys::RangeTblEntry,
) {
    // SAFETY: the planner's own live structures.
    unsafe {
        hook::prev_set_rel_pathlist(root, rel, rti, rte);
        if scanned_call(rte).is_none() {
            return;
        }
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
        (*rel).pathlist = std::ptr::null_mut();
        (*rel).partial_pathlist = std::ptr::null_mut();
        pg_sys::add_path(rel, path.cast());
    }
}

struct ScannedCall {
    function: *mut pg_sys::RangeTblFunction,
    call: *mut pg_sys::FuncExpr,
    sql: String,
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
        if !objects.scans((*call).funcid) {
            return None;
        }
        let first = nodes::items::<pg_sys::Node>((*call).args).next()?;
        let text = nodes::cast::<pg_sys::Const>(first, Tag::T_Const)?;
        if (*text).constisnull {
            return None;
        }
        let text = pg_sys::text_to_cstring((*text).constvalue.cast_mut_ptr());
        Some(ScannedCall { function, call, sql: encoding::server_to_utf8(text) })
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
        let rti = (*rel).relid;
        let rte = *(*root).simple_rte_array.add(rti as usize);
        let Some(ScannedCall { function, call, sql }) = scanned_call(rte) else {
            pgrx::error!("the DuckDB scan lost its function call");
        };
        let names: Vec<String> = nodes::items::<pg_sys::Node>((*function).funccolnames)
            .map(|name| nodes::server_string_value(name))
            .collect();
        let mut plan = ScanPlan {
            sql,
            names,
            fetch: vec![],
            whole_row: false,
            condition: String::new(),
            condition_columns: vec![],
            arguments: nodes::len((*call).args) - 1,
            condition_values: 0,
            limit: false,
            offset: false,
            by_name: objects_by_name(call),
        };
        let clauses = pg_sys::extract_actual_clauses(clauses, false);
        let columns = qual::Columns::new(rti, function);
        let pushed = if guc::enable_pushdown() && qual::can_push(&plan) {
            qual::split(clauses, &plan, &columns)
        } else {
            qual::Split::nothing(clauses)
        };
        plan.condition = pushed.condition;
        plan.condition_columns = pushed.columns;
        plan.condition_values = pushed.values.len();
        // The target list may be left out here and put in later; it uses the relation's targets.
        let targets = (*(*rel).reltarget).exprs;
        choose_columns(&mut plan, rti, [targets, tlist, pushed.local]);
        // A fetched column's type is looked at anyway.
        let fetched = plan.fetch.clone();
        plan.condition_columns.retain(|(at, ..)| !fetched.contains(at));
        let limits = if pushed.local.is_null() && guc::enable_pushdown() && plan.is_wrapped() {
            limits(root, rel)
        } else {
            vec![]
        };
        plan.limit = !limits.is_empty();
        plan.offset = limits.len() > 1;

        let scan = pg_sys::palloc0(size_of::<pg_sys::CustomScan>()).cast::<pg_sys::CustomScan>();
        (*scan).scan.plan.type_ = Tag::T_CustomScan;
        (*scan).scan.plan.targetlist = tlist;
        (*scan).scan.plan.qual = pushed.local;
        (*scan).scan.scanrelid = 0;
        (*scan).flags = (*path).flags;
        (*scan).custom_exprs = nodes::list_of(
            nodes::items::<pg_sys::Node>((*call).args).skip(1).chain(pushed.values).chain(limits),
        );
        (*scan).custom_private = nodes::list_of([nodes::server_string_node(&plan.to_json())]);
        (*scan).custom_scan_tlist = scan_tlist(&plan, rti, &columns);
        (*scan).methods = exec::scan_methods();
        scan.cast()
    }
}

/// # Safety
/// `call` is a live call.
unsafe fn objects_by_name(call: *mut pg_sys::FuncExpr) -> bool {
    // SAFETY: by contract.
    Objects::get().is_some_and(|objects| unsafe { objects.query_by_name.contains(&(*call).funcid) })
}

/// The columns that the target list and PostgreSQL's own conditions use.
///
/// # Safety
/// Live expressions.
unsafe fn choose_columns(plan: &mut ScanPlan, rti: pg_sys::Index, trees: [*mut pg_sys::List; 3]) {
    let mut used = vec![false; plan.names.len()];
    // SAFETY: by contract.
    unsafe {
        for tree in trees {
            nodes::walk(tree.cast(), &mut |node| {
                if let Some(var) = nodes::cast::<pg_sys::Var>(node, Tag::T_Var)
                    && u32::try_from((*var).varno).is_ok_and(|varno| varno == rti)
                    && (*var).varlevelsup == 0
                {
                    match usize::try_from((*var).varattno) {
                        Ok(0) => plan.whole_row = true,
                        Ok(number) if number <= used.len() => used[number - 1] = true,
                        _ => {}
                    }
                }
                false
            });
        }
    }
    plan.fetch = (0..used.len()).filter(|position| plan.whole_row || used[*position]).collect();
}

/// # Safety
/// Within planning.
unsafe fn scan_tlist(
    plan: &ScanPlan,
    rti: pg_sys::Index,
    columns: &qual::Columns,
) -> *mut pg_sys::List {
    let entry = |var: *mut pg_sys::Var, number: i16| {
        // SAFETY: makes a node of a live Var.
        unsafe { pg_sys::makeTargetEntry(var.cast(), number, std::ptr::null_mut(), false) }
    };
    let varno = rti.try_into().unwrap_or_default();
    let fetched = plan.fetch.iter().map(|position| {
        let column = &columns.columns[*position];
        let number = i16::try_from(position + 1).unwrap_or(i16::MAX);
        // SAFETY: plain arguments.
        unsafe {
            pg_sys::makeVar(varno, number, column.type_oid, column.typmod, column.collation, 0)
        }
    });
    // SAFETY: plain arguments.
    let whole_row = plan.whole_row.then(|| unsafe {
        pg_sys::makeVar(varno, 0, pg_sys::RECORDOID, -1, pg_sys::InvalidOid, 0)
    });
    let entries = fetched.chain(whole_row).zip(1i16..).map(|(var, number)| entry(var, number));
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
        let known = |node: *mut pg_sys::Node| {
            nodes::is_a(node, Tag::T_Const)
                || nodes::cast::<pg_sys::Param>(node, Tag::T_Param)
                    .is_some_and(|param| (*param).paramkind == pg_sys::ParamKind::PARAM_EXTERN)
        };
        let (count, offset) = ((*query).limitCount, (*query).limitOffset);
        if !plain || !known(count) || !(offset.is_null() || known(offset)) {
            return vec![];
        }
        [count, offset].into_iter().filter(|node| !node.is_null()).collect()
    }
}
