//! Queries on foreign tables that DuckDB answers in PostgreSQL's place.
//!
//! The planner's hook comes here with the rewritten query (views expanded, policies applied). The
//! largest part that DuckDB answers with the same rows is replaced by one FROM item,
//! `duckdb.pushed(…)`, which [`crate::scan`] turns into a scan; PostgreSQL finishes the rest:
//!
//! - [`translator`], [`query`], [`expression`], [`aggregate`], [`literal`]: a Query as DuckDB SQL, or the
//!   construct that stands in the way.
//! - [`select`]: the query in DuckDB's SQL, printed at the end.
//! - [`functions`] and [`rules`]: the allow-list.
//! - [`rewrite`]: which parts there are, and what is left for PostgreSQL.
//! - [`modify`]: statements that change a lake's table.
//! - [`ship`]: what is not in the lake, handed to DuckDB.
//! - [`quals`]: conditions of a single scan.
//! - [`late`]: the first statement of a session without preloading.
//! - [`part`]: the parts of the statement that is being planned.

pub mod aggregate;
pub mod expression;
pub mod functions;
pub mod late;
pub mod literal;
pub mod modify;
pub mod part;
pub mod quals;
pub mod query;
pub mod rewrite;
pub mod rules;
pub mod select;
pub mod ship;
pub mod translator;

pub use rewrite::{concerns, planner};
