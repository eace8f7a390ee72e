//! The scan in EXPLAIN: the DuckDB SQL; with VERBOSE DuckDB's own plan; with ANALYZE its times.

use std::ffi::CString;
use std::time::{Duration, Instant};

use pgrx::pg_sys;

use super::exec::ScanState;
use super::shipping::row_writer;
use crate::error::Result;
use crate::pg::encoding;
use crate::session;

/// What one scan has done so far, over all its rescans.
#[derive(Default)]
pub struct Statistics {
    pub rows: u64,
    /// How many rows were handed to DuckDB.
    pub shipped_rows: u64,
    /// Why PostgreSQL answered itself, if it did.
    pub local: Option<String>,
    /// How often DuckDB was asked.
    pub starts: u64,
    /// From the start of the query to its last row or its early stop.
    pub elapsed: Duration,
    started: Option<Instant>,
}

impl Statistics {
    pub fn start(&mut self) {
        self.stop();
        self.starts += 1;
        self.started = Some(Instant::now());
    }

    pub fn is_running(&self) -> bool {
        self.started.is_some()
    }

    pub fn stop(&mut self) {
        if let Some(started) = self.started.take() {
            self.elapsed += started.elapsed();
        }
    }
}

/// # Safety
/// `es` is the live state of an EXPLAIN.
pub unsafe fn explain(scan: &mut ScanState, es: *mut pg_sys::ExplainState) -> Result<()> {
    let sql = scan.plan.shown_sql();
    if let Some(tables) = scan.plan.tables()
        && !tables.relations.is_empty()
    {
        property(es, c"Foreign Tables", &tables.relations.join(", "));
    }
    if let Some(tables) = scan.plan.tables()
        && !tables.shipped.is_empty()
    {
        let labels: Vec<_> = tables.shipped.iter().map(|shipped| shipped.label.as_str()).collect();
        property(es, c"Shipped Relations", &labels.join(", "));
    }
    // On one line where that changes nothing.
    let plain = !scan.plan.sql.contains('\n') && !scan.plan.sql.contains("--");
    let shown = if plain { sql.replace('\n', " ") } else { sql.clone() };
    property(es, c"DuckDB SQL", &shown);
    if scan.plan.limit {
        property(es, c"DuckDB Limit", "LIMIT and OFFSET of the query");
    }
    // SAFETY: by contract.
    let (analyze, verbose) = unsafe { ((*es).analyze, (*es).verbose) };
    if let Some(reason) = scan.statistics.local.clone().filter(|_| analyze) {
        property(es, c"Answered by PostgreSQL", &reason);
    }
    if analyze {
        scan.statistics.stop();
        let rows = i64::try_from(scan.statistics.rows).unwrap_or(i64::MAX);
        let starts = i64::try_from(scan.statistics.starts).unwrap_or(i64::MAX);
        let elapsed_ms = scan.statistics.elapsed.as_secs_f64() * 1000.0;
        // SAFETY: live state, static labels.
        unsafe {
            pg_sys::ExplainPropertyInteger(c"DuckDB Rows".as_ptr(), std::ptr::null(), rows, es);
            if scan.plan.tables().is_some_and(|tables| !tables.shipped.is_empty()) {
                let shipped = i64::try_from(scan.statistics.shipped_rows).unwrap_or(i64::MAX);
                let label = c"Shipped Rows".as_ptr();
                pg_sys::ExplainPropertyInteger(label, std::ptr::null(), shipped, es);
            }
            if starts != 1 {
                let label = c"DuckDB Starts".as_ptr();
                pg_sys::ExplainPropertyInteger(label, std::ptr::null(), starts, es);
            }
            if (*es).timing {
                let label = c"DuckDB Time".as_ptr();
                pg_sys::ExplainPropertyFloat(label, c"ms".as_ptr(), elapsed_ms, 3, es);
            }
        }
    }
    // A plan with parameters would need their values.
    if verbose && let Some(tables) = scan.plan.tables() {
        for reason in &tables.kept {
            property(es, c"Kept in PostgreSQL", reason);
        }
    }
    if verbose && scan.plan.arguments + scan.plan.condition_values == 0 && scan.plan.is_wrapped() {
        let is_ours = scan.plan.tables().is_some() || scan.plan.travel.is_some();
        let sql = if is_ours { scan.plan.final_sql(None) } else { sql };
        let shipped = scan.plan.tables().map(|tables| tables.shipped.clone()).unwrap_or_default();
        let types = shipped
            .iter()
            .map(|table| Ok(std::sync::Arc::clone(row_writer(table)?.logical_types())))
            .collect::<Result<Vec<_>>>()?;
        let plan = session::explain(scan.role, &scan.plan.sql, &sql, scan.entry(), types)?;
        // SAFETY: live state.
        let is_text = unsafe { (*es).format } == pg_sys::ExplainFormat::EXPLAIN_FORMAT_TEXT;
        let plan = if is_text { format!("\n{plan}") } else { plan };
        property(es, c"DuckDB Plan", &plan);
    }
    Ok(())
}

/// A line of EXPLAIN.
///
/// # Safety
/// A live state of EXPLAIN.
pub unsafe fn explain_property(es: *mut pg_sys::ExplainState, label: &std::ffi::CStr, text: &str) {
    property(es, label, text);
}

fn property(es: *mut pg_sys::ExplainState, label: &std::ffi::CStr, text: &str) {
    let text = CString::new(encoding::utf8_to_server(text).into_owned()).unwrap_or_default();
    // SAFETY: live state, NUL-terminated strings that are copied.
    unsafe { pg_sys::ExplainPropertyText(label.as_ptr(), text.as_ptr(), es) };
}
