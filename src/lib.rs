//! pg_pond: DuckDB inside PostgreSQL's backends.
//!
//! SQL text goes through [`resolve`] (real columns at parse analysis), [`scan`] (one streaming plan
//! node), [`session`] (this backend's DuckDB instances and who may do what in them) and the crate
//! `duck` (DuckDB itself); values come back through [`types`]. [`fdw`] and [`functions`] are the
//! other entry points, [`pg`] is PostgreSQL's side. docs/internals.md says more.

#![deny(unsafe_op_in_unsafe_fn)]

pub mod error;
pub mod fdw;
pub mod functions;
pub mod guc;
pub mod lake;
pub mod pg;
pub mod pushdown;
pub mod resolve;
pub mod scan;
pub mod session;
pub mod types;

#[cfg(not(panic = "unwind"))]
compile_error!("pg_pond turns panics into errors and needs panic = \"unwind\"");

::pgrx::pg_module_magic!();

/// Called by PostgreSQL when the library is loaded: at server start, or at the first use in
/// a session.
#[pgrx::pg_guard]
pub unsafe extern "C-unwind" fn _PG_init() {
    // SAFETY: PostgreSQL calls this once per process, in the main thread.
    unsafe {
        error::turn_backtraces_off();
        guc::init();
        pg::callbacks::register_invalidation();
        pg::progress::init();
        resolve::init();
        session::transaction::init();
        pushdown::late::init();
        scan::init();
        fdw::init();
    }
}
