//! PostgreSQL's hooks: each is set once, keeps the hook that was there before, and passes on to it (or
//! to PostgreSQL's standard function).
//!
//! The calls on are made without pgrx's FFI boundary, which rebuilds errors as it lets them through:
//! SQLSTATEs that it does not know become XX000, and CONTEXT is lost, of every statement of the
//! server. So an error leaves by PostgreSQL's longjmp, over the frames of the hook: **a hook's own
//! function holds nothing that wants to be dropped, and does its work in functions of their own,
//! which have pgrx's guard.**

use std::ffi::c_char;

use pgrx::pg_sys;

/// PostgreSQL's functions as they are, without a boundary around them.
mod bare {
    use std::ffi::c_char;

    use pgrx::pg_sys;

    unsafe extern "C-unwind" {
        pub fn standard_ExecutorStart(query: *mut pg_sys::QueryDesc, flags: i32);
        pub fn standard_ExecutorFinish(query: *mut pg_sys::QueryDesc);
        #[cfg(not(feature = "pg18"))]
        pub fn standard_ExecutorRun(
            query: *mut pg_sys::QueryDesc,
            direction: pg_sys::ScanDirection::Type,
            count: u64,
            execute_once: bool,
        );
        #[cfg(feature = "pg18")]
        pub fn standard_ExecutorRun(
            query: *mut pg_sys::QueryDesc,
            direction: pg_sys::ScanDirection::Type,
            count: u64,
        );
        pub fn standard_planner(
            query: *mut pg_sys::Query,
            query_string: *const c_char,
            cursor_options: i32,
            params: pg_sys::ParamListInfo,
        ) -> *mut pg_sys::PlannedStmt;
        pub fn standard_ProcessUtility(
            statement: *mut pg_sys::PlannedStmt,
            query_string: *const c_char,
            read_only_tree: bool,
            context: pg_sys::ProcessUtilityContext::Type,
            params: pg_sys::ParamListInfo,
            environment: *mut pg_sys::QueryEnvironment,
            dest: *mut pg_sys::DestReceiver,
            completion: *mut pg_sys::QueryCompletion,
        );
        #[cfg(not(feature = "pg18"))]
        pub fn ExecutorRun(
            query: *mut pg_sys::QueryDesc,
            direction: pg_sys::ScanDirection::Type,
            count: u64,
            execute_once: bool,
        );
        #[cfg(feature = "pg18")]
        pub fn ExecutorRun(
            query: *mut pg_sys::QueryDesc,
            direction: pg_sys::ScanDirection::Type,
            count: u64,
        );
        pub fn ExecScan(
            node: *mut pg_sys::ScanState,
            access: pg_sys::ExecScanAccessMtd,
            recheck: pg_sys::ExecScanRecheckMtd,
        ) -> *mut pg_sys::TupleTableSlot;
    }
}

/// PostgreSQL's own scan loop, which evaluates conditions and the target list. The rule of this
/// module holds for whoever calls it.
///
/// # Safety
/// A live scan that has begun, and its callbacks.
pub unsafe fn exec_scan(
    node: *mut pg_sys::ScanState,
    access: pg_sys::ExecScanAccessMtd,
    recheck: pg_sys::ExecScanRecheckMtd,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: by contract.
    unsafe { bare::ExecScan(node, access, recheck) }
}

/// Runs a plan within another one to its end. The rule of this module holds for whoever calls it.
///
/// # Safety
/// `query` comes from [`Nested::prepare`](super::nested::Nested::prepare).
pub unsafe fn run_to_end(query: *mut pg_sys::QueryDesc) {
    let forward = pg_sys::ScanDirection::ForwardScanDirection;
    // SAFETY: by contract; 0 is no limit, and it may run again.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        bare::ExecutorRun(query, forward, 0, false);
        #[cfg(feature = "pg18")]
        bare::ExecutorRun(query, forward, 0);
    }
}

/// Writes the value of an expression to `result`, in the memory of `context` for one row. The rule of
/// this module holds for whoever calls it.
///
/// # Safety
/// `expression` and `context` are live, `result` is writable.
pub unsafe fn evaluate(
    expression: *mut pg_sys::ExprState,
    context: *mut pg_sys::ExprContext,
    result: *mut pg_sys::NullableDatum,
) {
    // SAFETY: by contract; an error sets the memory context by itself.
    unsafe {
        let Some(evaluate) = (*expression).evalfunc else { return };
        let before = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = (*context).ecxt_per_tuple_memory;
        (*result).value = evaluate(expression, context, &raw mut (*result).isnull);
        pg_sys::CurrentMemoryContext = before;
    }
}

static mut PREV_POST_PARSE_ANALYZE: pg_sys::post_parse_analyze_hook_type = None;
static mut PREV_PROCESS_UTILITY: pg_sys::ProcessUtility_hook_type = None;
static mut PREV_PLANNER: pg_sys::planner_hook_type = None;
static mut PREV_SET_REL_PATHLIST: pg_sys::set_rel_pathlist_hook_type = None;
static mut PREV_EXECUTOR_START: pg_sys::ExecutorStart_hook_type = None;
static mut PREV_EXECUTOR_FINISH: pg_sys::ExecutorFinish_hook_type = None;
static mut PREV_EXECUTOR_RUN: pg_sys::ExecutorRun_hook_type = None;
static mut PREV_OBJECT_ACCESS: pg_sys::object_access_hook_type = None;

/// Sets the hook and keeps the one before.
///
/// # Safety
/// Called once, from `_PG_init`.
pub unsafe fn set_post_parse_analyze(hook: pg_sys::post_parse_analyze_hook_type) {
    // SAFETY: _PG_init runs in the main thread before anything uses the static.
    unsafe {
        PREV_POST_PARSE_ANALYZE = pg_sys::post_parse_analyze_hook;
        pg_sys::post_parse_analyze_hook = hook;
    }
}

/// # Safety
/// The arguments of the hook itself.
pub unsafe fn prev_post_parse_analyze(
    pstate: *mut pg_sys::ParseState,
    query: *mut pg_sys::Query,
    jstate: *mut pg_sys::JumbleState,
) {
    // SAFETY: the arguments are passed on; main thread.
    unsafe {
        if let Some(prev) = PREV_POST_PARSE_ANALYZE {
            prev(pstate, query, jstate);
        }
    }
}

/// # Safety
/// As [`set_post_parse_analyze`].
pub unsafe fn set_process_utility(hook: pg_sys::ProcessUtility_hook_type) {
    // SAFETY: as above.
    unsafe {
        PREV_PROCESS_UTILITY = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = hook;
    }
}

/// # Safety
/// The arguments of the hook itself.
#[expect(clippy::too_many_arguments, reason = "the hook's own signature")]
pub unsafe fn prev_process_utility(
    statement: *mut pg_sys::PlannedStmt,
    query_string: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    dest: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: as above.
    unsafe {
        let Some(prev) = PREV_PROCESS_UTILITY else {
            return bare::standard_ProcessUtility(
                statement,
                query_string,
                read_only_tree,
                context,
                params,
                environment,
                dest,
                completion,
            );
        };
        prev(
            statement,
            query_string,
            read_only_tree,
            context,
            params,
            environment,
            dest,
            completion,
        );
    }
}

/// # Safety
/// As [`set_post_parse_analyze`].
pub unsafe fn set_planner(hook: pg_sys::planner_hook_type) {
    // SAFETY: as above.
    unsafe {
        PREV_PLANNER = pg_sys::planner_hook;
        pg_sys::planner_hook = hook;
    }
}

/// # Safety
/// The arguments of the hook itself.
pub unsafe fn prev_planner(
    query: *mut pg_sys::Query,
    query_string: *const c_char,
    cursor_options: i32,
    params: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: as above.
    unsafe {
        match PREV_PLANNER {
            Some(prev) => prev(query, query_string, cursor_options, params),
            None => bare::standard_planner(query, query_string, cursor_options, params),
        }
    }
}

/// The same inside of pgrx's boundary, for callers with something to drop.
///
/// # Safety
/// As [`prev_planner`].
pub unsafe fn prev_planner_guarded(
    query: *mut pg_sys::Query,
    query_string: *const c_char,
    cursor_options: i32,
    params: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: by contract.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            prev_planner(query, query_string, cursor_options, params)
        })
    }
}

/// # Safety
/// As [`set_post_parse_analyze`].
pub unsafe fn set_set_rel_pathlist(hook: pg_sys::set_rel_pathlist_hook_type) {
    // SAFETY: as above.
    unsafe {
        PREV_SET_REL_PATHLIST = pg_sys::set_rel_pathlist_hook;
        pg_sys::set_rel_pathlist_hook = hook;
    }
}

/// # Safety
/// The arguments of the hook itself.
pub unsafe fn prev_set_rel_pathlist(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    rti: pg_sys::Index,
    rte: *mut pg_sys::RangeTblEntry,
) {
    // SAFETY: as above.
    unsafe {
        if let Some(prev) = PREV_SET_REL_PATHLIST {
            prev(root, rel, rti, rte);
        }
    }
}

/// # Safety
/// As [`set_post_parse_analyze`].
pub unsafe fn set_executor_start(hook: pg_sys::ExecutorStart_hook_type) {
    // SAFETY: as above.
    unsafe {
        PREV_EXECUTOR_START = pg_sys::ExecutorStart_hook;
        pg_sys::ExecutorStart_hook = hook;
    }
}

/// # Safety
/// The arguments of the hook itself.
pub unsafe fn prev_executor_start(query: *mut pg_sys::QueryDesc, flags: i32) {
    // SAFETY: as above.
    unsafe {
        match PREV_EXECUTOR_START {
            Some(prev) => prev(query, flags),
            None => bare::standard_ExecutorStart(query, flags),
        }
    }
}

/// # Safety
/// As [`set_post_parse_analyze`].
pub unsafe fn set_executor_finish(hook: pg_sys::ExecutorFinish_hook_type) {
    // SAFETY: as above.
    unsafe {
        PREV_EXECUTOR_FINISH = pg_sys::ExecutorFinish_hook;
        pg_sys::ExecutorFinish_hook = hook;
    }
}

/// # Safety
/// The arguments of the hook itself.
pub unsafe fn prev_executor_finish(query: *mut pg_sys::QueryDesc) {
    // SAFETY: as above.
    unsafe {
        match PREV_EXECUTOR_FINISH {
            Some(prev) => prev(query),
            None => bare::standard_ExecutorFinish(query),
        }
    }
}

/// # Safety
/// As [`set_post_parse_analyze`].
pub unsafe fn set_executor_run(hook: pg_sys::ExecutorRun_hook_type) {
    // SAFETY: as above.
    unsafe {
        PREV_EXECUTOR_RUN = pg_sys::ExecutorRun_hook;
        pg_sys::ExecutorRun_hook = hook;
    }
}

/// # Safety
/// The arguments of the hook itself.
#[cfg(not(feature = "pg18"))]
pub unsafe fn prev_executor_run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
    execute_once: bool,
) {
    // SAFETY: as above.
    unsafe {
        match PREV_EXECUTOR_RUN {
            Some(prev) => prev(query, direction, count, execute_once),
            None => bare::standard_ExecutorRun(query, direction, count, execute_once),
        }
    }
}

/// # Safety
/// The arguments of the hook itself.
#[cfg(feature = "pg18")]
pub unsafe fn prev_executor_run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
) {
    // SAFETY: as above.
    unsafe {
        match PREV_EXECUTOR_RUN {
            Some(prev) => prev(query, direction, count),
            None => bare::standard_ExecutorRun(query, direction, count),
        }
    }
}

/// # Safety
/// As [`set_post_parse_analyze`].
pub unsafe fn set_object_access(hook: pg_sys::object_access_hook_type) {
    // SAFETY: as above.
    unsafe {
        PREV_OBJECT_ACCESS = pg_sys::object_access_hook;
        pg_sys::object_access_hook = hook;
    }
}

/// # Safety
/// The arguments of the hook itself.
pub unsafe fn prev_object_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    sub_id: i32,
    argument: *mut std::ffi::c_void,
) {
    // SAFETY: as above.
    unsafe {
        if let Some(prev) = PREV_OBJECT_ACCESS {
            prev(access, class, object, sub_id, argument);
        }
    }
}
