//! VARCHAR as an enum of PostgreSQL: each label is looked up once.

use std::collections::HashMap;
use std::ffi::CString;
use std::ops::Range;

use duck::Vector;
use pgrx::pg_sys::{self, Datum, Oid};

use super::{Arena, Cells, Converter, text};
use crate::error::Result;
use crate::types::encoding::ServerEncoding;
use crate::types::memory;

struct Enumeration {
    column: String,
    oid: Oid,
    encoding: ServerEncoding,
    labels: HashMap<Vec<u8>, Datum>,
}

impl Converter for Enumeration {
    fn convert(
        &mut self,
        vector: &Vector<'_>,
        rows: Range<usize>,
        mut cells: Cells<'_>,
        _arena: &mut Arena,
    ) -> Result<()> {
        for (cell, row) in rows.enumerate() {
            if vector.is_valid(row) {
                let value = vector.string(row);
                cells.set(cell, self.label(value.as_bytes())?);
            } else {
                cells.set_null(cell);
            }
        }
        Ok(())
    }
}

impl Enumeration {
    /// The label's OID; PostgreSQL's own error 22P02 for what is no label.
    fn label(&mut self, bytes: &[u8]) -> Result<Datum> {
        if let Some(known) = self.labels.get(bytes) {
            return Ok(*known);
        }
        let label =
            CString::new(self.encoding.encode(bytes)).map_err(|_| text::nul_byte(&self.column))?;
        let found = memory::scratch(|| {
            let arguments = [Some(Datum::from(label.as_ptr())), Some(Datum::from(self.oid))];
            // SAFETY: enum_in takes a C string and the OID of an enum, and returns an OID.
            unsafe { pgrx::direct_function_call_as_datum(pg_sys::enum_in, &arguments) }
        });
        let found = found.unwrap_or_else(Datum::null);
        self.labels.insert(bytes.to_vec(), found);
        Ok(found)
    }
}

pub(super) fn choose(column: &str, oid: Oid) -> Box<dyn Converter> {
    Box::new(Enumeration {
        column: column.to_owned(),
        oid,
        encoding: ServerEncoding::current(),
        labels: HashMap::new(),
    })
}
