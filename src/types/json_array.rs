//! An array as JSON text with all elements as texts: `["1",null,"x"]`.

use std::ffi::CStr;

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Datum};

use super::encoding::ServerEncoding;
use crate::error::{Error, Result};
use crate::pg::{array, memory};

/// The text, allocated in part in the current memory context.
///
/// # Errors
/// 2202E for an array of several dimensions, 22021 for text that is not valid.
///
/// # Safety
/// `datum` is an array.
pub unsafe fn json_array(column: &str, datum: Datum) -> Result<String> {
    // SAFETY: by contract; everything is palloc'ed for us.
    unsafe {
        let Some(elements) = array::elements(datum) else {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_ARRAY_ELEMENT_ERROR,
                format!("column \"{column}\" holds an array of several dimensions"),
            )
            .detail("DuckDB's lists have one."));
        };
        let (mut output, mut is_varlena) = (pg_sys::InvalidOid, false);
        pg_sys::getTypeOutputInfo(elements.oid, &raw mut output, &raw mut is_varlena);
        let _plain = memory::PlainOutput::new();
        let encoding = ServerEncoding::current();
        let mut texts = vec![];
        for value in elements.values {
            let Some(value) = value else {
                texts.push(None);
                continue;
            };
            let text = pg_sys::OidOutputFunctionCall(output, value);
            texts.push(Some(encoding.decode(CStr::from_ptr(text).to_bytes())?));
        }
        Ok(serde_json::to_string(&texts).unwrap_or_default())
    }
}
