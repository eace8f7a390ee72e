//! DuckDB as pg_pond needs it: instances, connections, exactly-one-statement prepare, parameters,
//! streaming results in data chunks, and a pool of driver threads that make every call which may
//! block.
//!
//! This crate is the only user of `libduckdb-sys` and knows nothing of PostgreSQL: its unit tests
//! run without a server. What it must never do: call back into PostgreSQL, or let a Rust panic or
//! a C++ exception cross a C frame (DuckDB's C API catches its own exceptions).

#![deny(unsafe_op_in_unsafe_fn)]

pub mod appender;
pub mod chunk;
pub mod connection;
pub mod driver;
pub mod error;
pub mod feed;
pub mod instance;
pub mod lexer;
pub mod loader;
pub mod location;
pub mod logical_type;
pub mod open;
pub mod placeholder;
pub mod policy;
pub mod quote;
pub mod quotient;
pub mod row_chunk;
pub mod scan;
pub mod secret;
pub mod server;
pub mod signals;
mod sockets;
pub mod sql;
pub mod statement;
pub mod stored;
pub mod transaction;
pub mod value;
pub mod watchdog;

pub use chunk::{Chunk, ListEntry, StringRef, Vector};
pub use connection::Connection;
pub use error::{Error, ErrorKind, Result};
pub use instance::Instance;
pub use logical_type::LogicalType;
pub use row_chunk::{ColumnBuffer, RowChunk};
pub use secret::Secret;
pub use statement::{Column, Statement, StatementKind};
pub use value::Value;

/// The version of the DuckDB library that is loaded, such as `v1.5.5`.
#[must_use]
pub fn library_version() -> String {
    // SAFETY: duckdb_library_version returns a static NUL-terminated string.
    let version = unsafe { std::ffi::CStr::from_ptr(libduckdb_sys::duckdb_library_version()) };
    version.to_string_lossy().into_owned()
}
