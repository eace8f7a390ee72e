//! Values from texts, by PostgreSQL's own input functions, whose errors go on as they are; and times as
//! others count them.

use std::ffi::CString;

use pgrx::pg_sys;

use super::encoding;

/// The relation of this name, looked for as a `regclass` is: 42P01 when there is none.
#[must_use]
pub fn regclass(name: &str) -> pg_sys::Oid {
    let datum = of_text(pg_sys::regclassin, name, &[]);
    u32::try_from(datum.value()).map_or(pg_sys::InvalidOid, Into::into)
}

/// A timestamptz in microseconds since 2000, in the session's time zone where the text names none.
#[must_use]
pub fn timestamptz(text: &str) -> i64 {
    let further = [pg_sys::Datum::from(pg_sys::InvalidOid), pg_sys::Datum::from(-1_i32)];
    (of_text(pg_sys::timestamptz_in, text, &further).value() as u64).cast_signed()
}

/// Microseconds between 1970 and 2000, from which PostgreSQL counts.
const EPOCH_US: i64 = 946_684_800_000_000;

/// The microseconds since 1970 of a timestamptz; `None` for an infinite one.
#[must_use]
pub fn since_1970(moment: i64) -> Option<i64> {
    let finite = ![i64::MAX, i64::MIN].contains(&moment);
    moment.checked_add(EPOCH_US).filter(|_| finite)
}

type Function = unsafe fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum;

fn of_text(function: Function, text: &str, further: &[pg_sys::Datum]) -> pg_sys::Datum {
    let text = CString::new(encoding::utf8_to_server(text).into_owned()).unwrap_or_default();
    let text = std::iter::once(pg_sys::Datum::from(text.as_ptr()));
    let arguments: Vec<_> = text.chain(further.iter().copied()).map(Some).collect();
    // SAFETY: an input function of PostgreSQL's with its own arguments.
    let value = unsafe { pgrx::direct_function_call_as_datum(function, &arguments) };
    value.unwrap_or(pg_sys::Datum::null())
}
