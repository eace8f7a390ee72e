//! PostgreSQL's side, and nothing of DuckDB's: hooks, waits, nodes, catalogs, memory, and what
//! differs between versions. `unsafe` towards PostgreSQL lives here and in the callbacks that
//! PostgreSQL calls.

pub mod acl;
pub mod array;
pub mod call;
pub mod callbacks;
pub mod catalog;
pub mod encoding;
pub mod file_mode;
pub mod hook;
pub mod input;
mod local_settings;
pub mod memory;
pub mod methods;
pub mod nested;
pub mod nodes;
pub mod parse;
pub mod progress;
pub mod row_type;
pub mod slot;
pub mod spi;
pub mod wait;
