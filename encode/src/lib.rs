//! PostgreSQL's binary forms of values, as plain bytes and numbers: numeric, dates and times, bit
//! strings, jsonb, and the headers of variable-length values; and the text forms that values have
//! inside of jsonb.
//!
//! The crate knows neither DuckDB's library nor pgrx, allocates nothing for single values of
//! bounded size, and is tested without a server. Its neighbour is `types/` in the extension, which
//! reads DuckDB's vectors and puts the bytes where PostgreSQL wants them.

#![forbid(unsafe_code)]

pub mod bignum;
pub mod bit;
pub mod datetime;
pub mod jsonb;
pub mod numeric;
pub mod text;
pub mod varlena;
