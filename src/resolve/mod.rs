//! Real columns for `duckdb.query('…')` and the readers.
//!
//! PostgreSQL fixes a FROM item's columns while it analyses the statement. In three steps they
//! become those of the DuckDB query:
//!
//! 1. [`input`]: the literal is turned into `duckdb.sql` (or `duckdb.path`) by our input function,
//!    which asks DuckDB for the columns and shows them to the parser as those of `duckdb.row`.
//! 2. [`convert`]: once the statement is analysed, every such FROM item becomes
//!    `duckdb.query_by_name('…') AS (column definitions)`, which views and plans can keep.
//! 3. [`raw`]: statements whose inner queries PostgreSQL analyses without telling anybody (BEGIN
//!    ATOMIC bodies, RETURN, rules, policies) are rewritten before their analysis.
//!
//! [`travel`] does the same for `duckdb.at` and `duckdb.table_changes`, which become `duckdb.query_at`
//! and `duckdb.query_changes`. [`crate::lake::reader`] turns `read_parquet('…', option => …)` and its kin into DuckDB SQL.

mod convert;
mod identity;
mod input;
mod raw;
mod travel;

use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use crate::error::report;
use crate::pg::callbacks::{self, Event};
use crate::pg::{hook, nodes, row_type};
use crate::pushdown;
use crate::session;

/// Sets the hooks.
///
/// # Safety
/// Called once, from `_PG_init`.
pub unsafe fn init() {
    // SAFETY: by contract.
    unsafe {
        hook::set_post_parse_analyze(Some(post_parse_analyze));
        hook::set_process_utility(Some(process_utility));
        hook::set_planner(Some(planner));
        callbacks::at_transaction_event(|event| {
            if matches!(event, Event::Commit | Event::Abort | Event::SubAbort) {
                row_type::restore();
                input::forget();
            }
        });
    }
}

unsafe extern "C-unwind" fn post_parse_analyze(
    pstate: *mut pg_sys::ParseState,
    query: *mut pg_sys::Query,
    jstate: *mut pg_sys::JumbleState,
) {
    // SAFETY: the analysed query is ours to change at this point.
    unsafe {
        convert_analyzed(pstate, query, jstate);
        hook::prev_post_parse_analyze(pstate, query, jstate);
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn convert_analyzed(
    pstate: *mut pg_sys::ParseState,
    query: *mut pg_sys::Query,
    jumble: *mut pg_sys::JumbleState,
) {
    // SAFETY: by contract of the hook.
    unsafe {
        if report(convert::query(query, pstate)) {
            identity::distinguish(query, jumble);
        }
        row_type::restore();
    }
}

unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    query_string: *const std::ffi::c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    dest: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    let mut read_only_tree = read_only_tree;
    // Asked before it runs: it may be gone afterwards.
    // SAFETY: by contract of the hook.
    let forgets = unsafe { forgets_the_session((*statement).utilityStmt) };
    // SAFETY: the statement is live; a tree that is read-only is copied before it is changed.
    unsafe {
        let statement = rewrite_utility(statement, &raw mut read_only_tree);
        hook::prev_process_utility(
            statement,
            query_string,
            read_only_tree,
            context,
            params,
            environment,
            dest,
            completion,
        );
        // Inner statements may have been analysed without the hook.
        restore_columns();
        if forgets {
            forget_session();
        }
    }
}

/// Whether a statement gives the session to somebody else: what a pooler sends between its clients.
///
/// # Safety
/// `statement` is a live node or NULL.
unsafe fn forgets_the_session(statement: *mut pg_sys::Node) -> bool {
    // SAFETY: by contract.
    unsafe {
        let discard = nodes::cast::<pg_sys::DiscardStmt>(statement, Tag::T_DiscardStmt);
        if let Some(discard) = discard {
            let target = (*discard).target;
            return target == pg_sys::DiscardMode::DISCARD_ALL
                || target == pg_sys::DiscardMode::DISCARD_TEMP;
        }
        let set = nodes::cast::<pg_sys::VariableSetStmt>(statement, Tag::T_VariableSetStmt);
        set.is_some_and(|set| {
            let name = (*set).name;
            !name.is_null() && CStr::from_ptr(name) == c"session_authorization"
        })
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn forget_session() {
    session::forget();
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn rewrite_utility(
    statement: *mut pg_sys::PlannedStmt,
    read_only_tree: *mut bool,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: by contract of the hook.
    unsafe {
        let (statement, read_only) = report(raw::rewrite(statement, *read_only_tree));
        *read_only_tree = read_only;
        statement
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn restore_columns() {
    row_type::restore();
}

/// A net for queries that reach the planner unconverted, such as those of SQL functions that were
/// stored by a session without the hooks; and the way to [`pushdown`].
unsafe extern "C-unwind" fn planner(
    query: *mut pg_sys::Query,
    query_string: *const std::ffi::c_char,
    cursor_options: i32,
    params: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: the planner may scribble on its query, and so may we.
    unsafe {
        if concerns_pushdown(query) {
            plan_with_pushdown(query, query_string, cursor_options, params)
        } else {
            hook::prev_planner(query, query_string, cursor_options, params)
        }
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn concerns_pushdown(query: *mut pg_sys::Query) -> bool {
    // SAFETY: by contract of the hook.
    unsafe {
        report(convert::query(query, std::ptr::null_mut()));
        pushdown::concerns(query)
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn plan_with_pushdown(
    query: *mut pg_sys::Query,
    query_string: *const std::ffi::c_char,
    cursor_options: i32,
    params: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: by contract of the hook.
    unsafe { pushdown::planner(query, query_string, cursor_options, params) }
}
