//! STRUCT, MAP, UNION, VARIANT, and lists of them, as jsonb.
//!
//! - STRUCT: an object; one whose fields have no names: an array.
//! - MAP: an object with the keys' text; one whose keys are nested: an array of objects with
//!   "key" and "value".
//! - UNION: its member's value. VARIANT: the value that it holds.
//! - LIST and ARRAY: an array.
//! - Numbers are numbers with all their digits; NaN and infinities are the strings that PostgreSQL
//!   uses ("NaN", "Infinity", "-Infinity").
//! - Dates and times are ISO 8601 as `to_jsonb` writes them, with all digits of a nanosecond;
//!   TIMESTAMP WITH TIME ZONE is given in UTC. Intervals are in PostgreSQL's own style.
//! - BLOB and GEOMETRY are `\x` and hex digits, BIT is its digits.
//! - JSON is the value that it denotes.
//!
//! The layout of each type is found once per column; the child vectors are looked up once per
//! batch. The value is written by `encode::jsonb`.

mod leaf;
mod node;
mod variant;

use std::ops::Range;

use duck::{LogicalType, Vector};
use encode::jsonb::{Container, TooLarge, Writer};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Datum};

use super::{Arena, Cells, Converter, is_valid, text};
use crate::error::{Error, Result};
use crate::types::encoding::ServerEncoding;
use node::{Bound, Node};

struct Jsonb {
    node: Node,
    output: Output,
}

impl Converter for Jsonb {
    fn convert(
        &mut self,
        vector: &Vector<'_>,
        rows: Range<usize>,
        mut cells: Cells<'_>,
        arena: &mut Arena,
    ) -> Result<()> {
        let bound = Bound::new(&self.node, vector);
        let validity = vector.validity();
        for (cell, row) in rows.enumerate() {
            if validity.is_some_and(|mask| !is_valid(mask, row)) {
                cells.set_null(cell);
                continue;
            }
            let mut root = self.output.writer.begin();
            self.node.write(&bound, row, &mut self.output, &mut root)?;
            let Output { writer, column, .. } = &mut self.output;
            let value = writer.finish(root).map_err(|TooLarge| too_large(column))?;
            let out = arena.alloc(value.len(), 4);
            out.copy_from_slice(value);
            cells.set(cell, Datum::from(out.as_mut_ptr()));
        }
        Ok(())
    }
}

/// Where values are written.
struct Output {
    column: String,
    encoding: ServerEncoding,
    writer: Writer,
    /// The payload of a number.
    payload: Vec<u8>,
}

impl Output {
    fn begin_array(&mut self, count: usize) -> Result<Container> {
        self.writer.begin_array(count).map_err(|TooLarge| too_large(&self.column))
    }

    fn begin_object<'k>(
        &mut self,
        keys: impl ExactSizeIterator<Item = &'k [u8]>,
    ) -> Result<Container> {
        self.writer.begin_object(keys).map_err(|TooLarge| too_large(&self.column))
    }

    fn end(&mut self, container: Container, outer: &mut Container) -> Result<()> {
        self.writer.end(container, outer).map_err(|TooLarge| too_large(&self.column))
    }

    fn null(&mut self, outer: &mut Container) -> Result<()> {
        self.writer.null(outer).map_err(|TooLarge| too_large(&self.column))
    }

    /// DuckDB's text in the server's encoding.
    ///
    /// # Errors
    /// 22021 for a NUL byte.
    fn encoded<'t>(&self, text: &'t [u8]) -> Result<std::borrow::Cow<'t, [u8]>> {
        if text::holds_nul(text) {
            return Err(text::nul_byte(&self.column));
        }
        text::check_utf8(text, &self.column)?;
        Ok(self.encoding.encode(text))
    }

    /// The value that JSON text denotes, as PostgreSQL itself reads it.
    fn json(&mut self, json: &[u8], outer: &mut Container) -> Result<()> {
        let json = self.encoded(json)?;
        let Ok(json) = std::ffi::CString::new(json) else {
            return Err(text::nul_byte(&self.column));
        };
        let written = crate::types::memory::scratch(|| {
            let argument = Datum::from(json.as_ptr());
            // SAFETY: jsonb_in takes a C string and returns a new jsonb in the current context,
            // which lives as long as this closure runs.
            let value = unsafe {
                let datum =
                    pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(argument)]);
                let Some(datum) = datum else { return Ok(None) };
                let start = datum.cast_mut_ptr::<u8>().cast_const();
                let total = encode::varlena::total_length(|at| *start.add(at));
                std::slice::from_raw_parts(start, total)
            };
            self.writer.raw(&value[encode::varlena::LONG_HEADER..], outer)
        });
        match written {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(corrupted(&self.column)),
            Err(TooLarge) => Err(too_large(&self.column)),
        }
    }
}

#[cold]
fn too_large(column: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        format!("a value in column \"{column}\" is too large for jsonb"),
    )
    .detail("An array or object in jsonb has less than 256 MB.")
}

#[cold]
fn corrupted(column: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        format!("a value in column \"{column}\" is not laid out as DuckDB 1.5 lays it out"),
    )
}

pub(super) fn choose(column: &str, from: &LogicalType) -> Result<Box<dyn Converter>> {
    let encoding = ServerEncoding::current();
    let node = Node::new(column, from)?;
    let output = Output {
        column: column.to_owned(),
        encoding,
        writer: Writer::default(),
        payload: Vec::new(),
    };
    Ok(Box::new(Jsonb { node, output }))
}
