//! Files as tables: the readers and their options ([`reader`]), a foreign table's options
//! ([`options`]), which tables a listing holds ([`layout`]), and a foreign table as DuckDB SQL ([`table`]). It reads the catalogs and asks
//! DuckDB for columns; it neither plans nor scans.

pub mod columns;
pub mod hidden;
pub mod layout;
pub mod options;
pub mod reader;
pub mod table;
