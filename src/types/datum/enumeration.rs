//! VARCHAR as an enum of PostgreSQL: each label is looked up once.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ops::Range;

use duck::Vector;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Datum, Oid};

use super::{Arena, Cells, Converter, text};
use crate::error::{Error, Result};
use crate::pg::{catalog, encoding};
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
    /// The label's OID.
    ///
    /// # Errors
    /// 22P02 for what is no label. PostgreSQL's own error would quote the value to whoever asks.
    fn label(&mut self, bytes: &[u8]) -> Result<Datum> {
        if let Some(known) = self.labels.get(bytes) {
            return Ok(*known);
        }
        let label =
            CString::new(self.encoding.encode(bytes)).map_err(|_| text::nul_byte(&self.column))?;
        if !catalog::is_enum_label(self.oid, &label) {
            return Err(no_label(&self.column, self.oid, &label));
        }
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

#[cold]
fn no_label(column: &str, oid: Oid, label: &CStr) -> Error {
    let enumeration = catalog::type_name(oid, -1);
    // SAFETY: NUL-terminated.
    let value = unsafe { encoding::server_to_utf8(label.as_ptr()) };
    Error::new(
        PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
        format!("a value in column \"{column}\" is no label of the enum {enumeration}"),
    )
    .detail(format!("The value is \"{value}\"."))
    .quoting()
}

pub(super) fn choose(column: &str, oid: Oid) -> Box<dyn Converter> {
    Box::new(Enumeration {
        column: column.to_owned(),
        oid,
        encoding: ServerEncoding::current(),
        labels: HashMap::new(),
    })
}
