//! The streaming scan node: `duckdb.query_rows(…)` in a FROM clause as a CustomScan.
//!
//! [`path`] puts it into the planner's choice, [`plan`] is what the plan keeps, [`qual`] says which
//! conditions DuckDB may check, [`exec`] runs it, [`batch`] turns chunks into rows, [`explain`]
//! shows it, [`drift`] says why one fails whose files have changed. [`shipping`] is what PostgreSQL reads for it,
//! [`local`] what it answers itself. [`function`] is the same as an ordinary set-returning function, for the places where
//! there is no plan node, and [`receiver`] fills new tables from a scan in batches, [`recheck`] serves concurrent updates,
//! [`mod@sample`] is for ANALYZE.

mod batch;
mod drift;
mod exec;
mod explain;
mod function;
mod local;
mod path;
mod plan;
mod qual;
mod receiver;
mod recheck;
mod sample;
mod shipping;

pub use exec::is_in;
pub use explain::explain_property;
pub use path::{add_path, plan_direct};
pub use sample::sample;

/// Registers the node and sets the hooks.
///
/// # Safety
/// Called once, from `_PG_init`.
pub unsafe fn init() {
    // SAFETY: by contract.
    unsafe {
        exec::register();
        path::init();
        receiver::init();
    }
}
