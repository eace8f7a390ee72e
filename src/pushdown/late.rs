//! The first statement of a session that has not loaded the library.
//!
//! Without preloading, the library is loaded when the planner first asks for the wrapper's callbacks:
//! too late for the planner's hook to see the statement whole. When its execution starts, such a
//! statement is planned once more, with the hook. That is done for a client's own SELECT, and inside
//! of EXPLAIN, CREATE TABLE AS and DECLARE CURSOR; others (functions, prepared statements) run as they
//! were planned, correctly and with per-table scans, and are planned anew the next time.

use std::cell::Cell;

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use crate::pg::{hook, nodes, parse};

thread_local! {
    /// Whether the planner's hook has been called in this session.
    static HOOKED: Cell<bool> = const { Cell::new(false) };
    /// Whether a foreign table was planned before that.
    static MISSED: Cell<bool> = const { Cell::new(false) };
}

/// Called by the planner's hook.
pub fn note_hook() {
    HOOKED.set(true);
}

/// Called when a foreign table is planned.
pub fn note_table() {
    if !HOOKED.get() {
        MISSED.set(true);
    }
}

/// # Safety
/// Called once, from `_PG_init`.
pub unsafe fn init() {
    // SAFETY: by contract.
    unsafe { hook::set_executor_start(Some(executor_start)) };
}

unsafe extern "C-unwind" fn executor_start(query: *mut pg_sys::QueryDesc, flags: i32) {
    // SAFETY: the executor's live query.
    unsafe {
        replan_if_missed(query);
        hook::prev_executor_start(query, flags);
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn replan_if_missed(query: *mut pg_sys::QueryDesc) {
    if !MISSED.replace(false) {
        return;
    }
    // SAFETY: by contract of the hook.
    unsafe {
        // Plans that were cached without the hook go.
        pg_sys::ResetPlanCache();
        if let Some(plan) = plan_again(query) {
            (*query).plannedstmt = plan;
        }
    }
}

/// # Safety
/// A live query that has not been started.
unsafe fn plan_again(query: *mut pg_sys::QueryDesc) -> Option<*mut pg_sys::PlannedStmt> {
    // SAFETY: by contract; each cast follows the tag.
    unsafe {
        let portal = pg_sys::ActivePortal;
        let params = (*query).params;
        let by_client = (*query).operation == pg_sys::CmdType::CMD_SELECT
            && !portal.is_null()
            && std::ptr::eq((*portal).sourceText, (*query).sourceText)
            && (params.is_null() || (*params).parserSetup.is_none());
        // A materialized view is filled with a search_path of PostgreSQL's own, under which the
        // client's text would mean something else.
        let (mut user, mut context) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context);
        if !by_client || context != 0 {
            return None;
        }
        let old = (*query).plannedstmt;
        let statements: Vec<_> =
            nodes::items::<pg_sys::RawStmt>(pg_sys::pg_parse_query((*query).sourceText)).collect();
        let statement = match statements.as_slice() {
            [only] => *only,
            several => {
                *several.iter().find(|raw| (***raw).stmt_location == (*old).stmt_location)?
            }
        };
        let utility = [Tag::T_ExplainStmt, Tag::T_CreateTableAsStmt, Tag::T_DeclareCursorStmt];
        while utility.contains(&(*(*statement).stmt).type_) {
            (*statement).stmt = parse::inner_statements((*statement).stmt).into_iter().next()?;
        }
        if !nodes::is_a((*statement).stmt, Tag::T_SelectStmt)
            || !(*(*statement).stmt.cast::<pg_sys::SelectStmt>()).intoClause.is_null()
        {
            return None;
        }
        let types: Vec<_> = if params.is_null() {
            vec![]
        } else {
            let count = usize::try_from((*params).numParams).unwrap_or(0);
            (*params).params.as_slice(count).iter().map(|param| param.ptype).collect()
        };
        let analyzed = pg_sys::pg_analyze_and_rewrite_fixedparams(
            statement,
            (*query).sourceText,
            types.as_ptr(),
            i32::try_from(types.len()).unwrap_or(0),
            (*query).queryEnv,
        );
        let mut queries = nodes::items::<pg_sys::Query>(analyzed);
        let (first, second) = (queries.next()?, queries.next());
        if second.is_some() || (*first).commandType != pg_sys::CmdType::CMD_SELECT {
            return None;
        }
        let options =
            (*portal).cursorOptions | i32::try_from(pg_sys::CURSOR_OPT_PARALLEL_OK).unwrap_or(0);
        let plan = pg_sys::pg_plan_query(first, (*query).sourceText, options, params);
        (*plan).queryId = (*old).queryId;
        (*plan).stmt_location = (*old).stmt_location;
        (*plan).stmt_len = (*old).stmt_len;
        Some(plan)
    }
}
