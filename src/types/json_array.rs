//! An array as JSON text with all elements as texts: `["1",null,"x"]`.

use std::ffi::CStr;

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Datum};

use super::encoding::ServerEncoding;
use crate::error::{Error, Result};
use crate::pg::memory;

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
        let array = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        if (*array).ndim > 1 {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_ARRAY_ELEMENT_ERROR,
                format!("column \"{column}\" holds an array of several dimensions"),
            )
            .detail("DuckDB's lists have one."));
        }
        let element = (*array).elemtype;
        let (mut len, mut by_value, mut align) = (0, false, 0);
        pg_sys::get_typlenbyvalalign(element, &raw mut len, &raw mut by_value, &raw mut align);
        let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        pg_sys::deconstruct_array(
            array,
            element,
            i32::from(len),
            by_value,
            align,
            &raw mut values,
            &raw mut nulls,
            &raw mut count,
        );
        let (mut output, mut is_varlena) = (pg_sys::InvalidOid, false);
        pg_sys::getTypeOutputInfo(element, &raw mut output, &raw mut is_varlena);
        let _plain = memory::PlainOutput::new();
        let encoding = ServerEncoding::current();
        let mut texts = vec![];
        for at in 0..usize::try_from(count).unwrap_or(0) {
            if *nulls.add(at) {
                texts.push(None);
                continue;
            }
            let text = pg_sys::OidOutputFunctionCall(output, *values.add(at));
            texts.push(Some(encoding.decode(CStr::from_ptr(text).to_bytes())?));
        }
        Ok(serde_json::to_string(&texts).unwrap_or_default())
    }
}
