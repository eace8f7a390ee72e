//! Files and relations of lakes as tables: the readers and their options ([`reader`]), what a foreign
//! table reads ([`origin`], [`options`] for files), which tables a listing holds ([`layout`]), what
//! files of several types need ([`mixed`]) and files of text ([`text`]), and a
//! foreign table as DuckDB SQL ([`table`]), now or as it was ([`travel`]). It reads the catalogs and asks DuckDB for columns; it
//! neither plans nor scans.

pub mod columns;
pub mod layout;
pub mod mixed;
pub mod options;
pub mod origin;
pub mod reader;
pub mod table;
pub mod text;
pub mod travel;
