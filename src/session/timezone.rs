//! DuckDB's name for PostgreSQL's time zone.
//!
//! ICU has the zones that PostgreSQL has by name, and fixed offsets of whole hours. A zone of another
//! kind (an offset with minutes, a POSIX rule, `localtime`) goes by the name of one with the same
//! transitions, if there is one.

use std::cell::RefCell;
use std::ffi::CStr;

use pgrx::{PgSqlErrorCode, pg_sys};

use super::Entry;
use crate::error::{Error, Result};
use crate::pg::nodes;

/// DuckDB's zone where it has none like PostgreSQL's: no conversion in it means anything.
pub const NONE: &str = "Etc/Unknown";

/// The zone that a statement runs in. Our own SQL over foreign tables converts nothing by it but texts
/// of CSV and JSON, which look for [`NONE`] themselves.
///
/// # Errors
/// 22023 for a user's text where DuckDB has no such zone.
pub fn current(entry: &Entry) -> Result<String> {
    match (of_session(), entry) {
        (Some(zone), _) => Ok(zone),
        (None, Entry::Tables(..)) => Ok(NONE.to_owned()),
        (None, _) => Err(Error::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("DuckDB has no time zone like PostgreSQL's \"{}\"", name()),
        )
        .hint("SET timezone to a zone with a name, such as Europe/Berlin, or to whole hours.")),
    }
}

/// The zone of what is done without a statement.
#[must_use]
pub fn current_or_none() -> String {
    of_session().unwrap_or_else(|| NONE.to_owned())
}

fn name() -> String {
    // SAFETY: session_timezone is always set; the name belongs to it.
    unsafe { nodes::str_at(pg_sys::pg_get_timezone_name(pg_sys::session_timezone)) }
}

fn of_session() -> Option<String> {
    thread_local! {
        static LAST: RefCell<Option<(String, Option<String>)>> = const { RefCell::new(None) };
    }
    let name = name();
    LAST.with_borrow_mut(|last| {
        if last.as_ref().is_none_or(|(known, _)| *known != name) {
            // SAFETY: session_timezone is always set.
            let zone = unsafe { duck_zone(&name, pg_sys::session_timezone) };
            *last = Some((name, zone));
        }
        last.as_ref().and_then(|(_, zone)| zone.clone())
    })
}

/// # Safety
/// A live zone of this name.
unsafe fn duck_zone(name: &str, zone: *const pg_sys::pg_tz) -> Option<String> {
    const HOUR: std::ffi::c_long = 3600;
    let plain = name.strip_prefix("posix/").unwrap_or(name);
    let mut offset = 0;
    // SAFETY: by contract.
    if unsafe { pg_sys::pg_get_timezone_offset(zone, &raw mut offset) } {
        return match offset {
            0 if is_known(plain) => Some(plain.to_owned()),
            0 => Some("UTC".into()),
            // In these names hours west of Greenwich are positive.
            _ if offset % HOUR == 0 && (-12..=14).contains(&(offset / HOUR)) => {
                Some(format!("Etc/GMT{:+}", -(offset / HOUR)))
            }
            // SAFETY: as above.
            _ => unsafe { like(zone, Transitions::FIXED_SINCE) },
        };
    }
    if is_known(plain) {
        return Some(plain.to_owned());
    }
    // SAFETY: by contract.
    unsafe { like(zone, Transitions::EVER) }
}

/// Whether a name is one of the time zone database's: those that PostgreSQL reads as POSIX rules have
/// digits, and two files go by other names than their zone's.
fn is_known(name: &str) -> bool {
    const WITH_DIGITS: [&str; 5] = ["EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT", "GMT0"];
    let is_place = !name.chars().any(|c| c.is_ascii_digit() || matches!(c, '<' | '>' | ','));
    let other = ["localtime", "posixrules"].contains(&name);
    (is_place && !other) || WITH_DIGITS.contains(&name)
}

/// The name of a zone with the same transitions.
///
/// # Safety
/// A live zone.
unsafe fn like(zone: *const pg_sys::pg_tz, since: pg_sys::pg_time_t) -> Option<String> {
    // SAFETY: the enumeration is closed; a zone that it gives is live until the next.
    unsafe {
        let zones = pg_sys::pg_tzenumerate_start();
        let mut found = None;
        while found.is_none() {
            let candidate = pg_sys::pg_tzenumerate_next(zones);
            if candidate.is_null() {
                break;
            }
            let name = CStr::from_ptr(pg_sys::pg_get_timezone_name(candidate));
            let name = name.to_string_lossy().into_owned();
            let is_place = is_known(&name) && name.contains('/') && !name.starts_with("posix/");
            let same = || Transitions::new(zone, since).eq(Transitions::new(candidate, since));
            if is_place && same() {
                found = Some(name);
            }
        }
        pg_sys::pg_tzenumerate_end(zones);
        found
    }
}

/// The changes of a zone's offset: when, from and to.
struct Transitions {
    zone: *const pg_sys::pg_tz,
    at: Option<pg_sys::pg_time_t>,
}

impl Transitions {
    /// 1 January 1850.
    const EVER: pg_sys::pg_time_t = -3_786_825_600;
    /// 1 January 1950, since when the offsets with minutes that are still in use have been in use.
    const FIXED_SINCE: pg_sys::pg_time_t = -631_152_000;
    /// 1 January 2100.
    const UNTIL: pg_sys::pg_time_t = 4_102_444_800;

    /// # Safety
    /// The zone lives as long as this is used.
    unsafe fn new(zone: *const pg_sys::pg_tz, since: pg_sys::pg_time_t) -> Self {
        Self { zone, at: Some(since) }
    }
}

impl Iterator for Transitions {
    type Item = (pg_sys::pg_time_t, std::ffi::c_long, std::ffi::c_long);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at?;
        let (mut before, mut after, mut boundary) = (0, 0, 0);
        let (mut before_dst, mut after_dst) = (0, 0);
        // SAFETY: the zone is live.
        let found = unsafe {
            pg_sys::pg_next_dst_boundary(
                &raw const at,
                &raw mut before,
                &raw mut before_dst,
                &raw mut boundary,
                &raw mut after,
                &raw mut after_dst,
                self.zone,
            )
        };
        self.at = (found == 1 && boundary < Self::UNTIL).then_some(boundary);
        match self.at {
            Some(boundary) => Some((boundary, before, after)),
            None => Some((Self::UNTIL, before, before)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_known;

    #[test]
    fn names_of_places_are_known_and_rules_are_not() {
        for name in ["UTC", "Europe/Berlin", "America/Port-au-Prince", "NZ-CHAT", "EST5EDT"] {
            assert!(is_known(name), "{name}");
        }
        for name in ["UTC+3", "CET-1CEST", "<+05>-05", "localtime", "EST5EDT,M3.2.0,M11.1.0"] {
            assert!(!is_known(name), "{name}");
        }
    }
}
