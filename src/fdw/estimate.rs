//! How many rows a foreign table has, for the planner: from Parquet footers, from the sizes of CSV and
//! JSON files, by counting where a format keeps counts. A look at a few files, not at all; kept for
//! some minutes; and never a reason for a query to fail.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::{Duration, Instant};

use duck::policy::{Expected, TableCall};
use duck::quote;
use pgrx::pg_sys;

use crate::error::Result;
use crate::lake::layout;
use crate::lake::options::{Format, Source};
use crate::lake::origin::{LakeRelation, Origin};
use crate::lake::table::LakeTable;
use crate::session::{self, Entry};

/// What the planner is told when nothing can be found out.
pub const DEFAULT_ROWS: f64 = 100_000.0;

/// How long the look at one table may take, and after how long the further tables of a statement are
/// not looked at any more.
const PATIENCE: Duration = Duration::from_secs(3);
const PATIENCE_FOR_STATEMENT: Duration = Duration::from_secs(5);
/// How long an answer counts, and how long it counts that there was none.
const ANSWER_COUNTS_FOR: Duration = Duration::from_secs(300);
const SILENCE_COUNTS_FOR: Duration = Duration::from_secs(60);
/// So many files are looked into.
const SAMPLED_FILES: usize = 8;
/// So many rows of a file without footers are read.
const SAMPLED_ROWS: usize = 1000;
/// Text is about so many times as long as its compressed form.
const COMPRESSION: f64 = 5.0;
const CACHED_TABLES: usize = 1000;

struct Known {
    /// What was read, as whom.
    call: String,
    role: pg_sys::Oid,
    at: Instant,
    rows: Option<f64>,
}

thread_local! {
    /// When the statement at hand started, and what its looks have taken so far.
    static SPENT: Cell<(pg_sys::TimestampTz, Duration)> = const { Cell::new((0, Duration::ZERO)) };
    static KNOWN: RefCell<HashMap<pg_sys::Oid, Known>> = RefCell::default();
}

/// The rows of a foreign table as `role` can read it; `None` when that cannot be found out soon.
#[must_use]
pub fn rows(relation: pg_sys::Oid, role: pg_sys::Oid) -> Option<f64> {
    let table = LakeTable::load(relation).ok()?;
    let call = table.origin.from_item().ok()?.executed();
    let known = KNOWN.with_borrow(|known| {
        let found =
            known.get(&relation).filter(|found| found.call == call && found.role == role)?;
        let counts = if found.rows.is_some() { ANSWER_COUNTS_FOR } else { SILENCE_COUNTS_FOR };
        (found.at.elapsed() < counts).then_some(found.rows)
    });
    if let Some(rows) = known {
        return rows;
    }
    // SAFETY: reads a global.
    let statement = unsafe { pg_sys::GetCurrentStatementStartTimestamp() };
    let (of, spent) = SPENT.get();
    let spent = if of == statement { spent } else { Duration::ZERO };
    if spent > PATIENCE_FOR_STATEMENT {
        return None;
    }
    let started = Instant::now();
    let question = Question { role, server: table.server, until: started + PATIENCE };
    let rows = match &table.origin {
        Origin::Files(source) => question.rows(source, &call),
        Origin::Lake(relation) => question.rows_of_lake(relation),
    };
    let rows = rows.ok().flatten();
    SPENT.set((statement, spent + started.elapsed()));
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= CACHED_TABLES {
            known.clear();
        }
        known.insert(relation, Known { call, role, at: Instant::now(), rows });
    });
    rows
}

/// The number of rows as exactly as the files tell without being read: what ANALYZE stores.
///
/// # Errors
/// DuckDB's.
pub fn counted_rows(table: &LakeTable, role: pg_sys::Oid) -> Result<f64> {
    let sql = count(&table.origin.from_item()?.executed());
    let entry = Entry::table(table.server, table.origin.expected()?);
    let rows = session::ask(role, &sql, entry, None)?;
    Ok(rows.and_then(|rows| number(&rows, 0)).unwrap_or(0.0))
}

struct Question {
    role: pg_sys::Oid,
    server: pg_sys::Oid,
    until: Instant,
}

fn count(call: &str) -> String {
    format!("SELECT CAST(count(*) AS VARCHAR) FROM {call}")
}

/// A number of the first row.
fn number(rows: &[session::TextRow], column: usize) -> Option<f64> {
    rows.first()?.get(column)?.as_ref()?.parse().ok()
}

impl Question {
    fn ask(&self, sql: &str, expected: Expected) -> Result<Vec<session::TextRow>> {
        let left = self.until.saturating_duration_since(Instant::now());
        let entry = Entry::table(self.server, expected);
        Ok(session::ask(self.role, sql, entry, Some(left))?.unwrap_or_default())
    }

    fn rows(&self, source: &Source, call: &str) -> Result<Option<f64>> {
        // These two keep counts, and know which files count.
        if matches!(source.format, Format::Iceberg | Format::Delta) {
            return Ok(number(&self.ask(&count(call), source.expected()?)?, 0));
        }
        let (files, sampled) = self.files(source)?;
        if sampled.is_empty() {
            return Ok(Some(0.0));
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let factor = files / sampled.len() as f64;
        let list: Vec<_> = sampled.iter().map(|file| quote::literal(file)).collect();
        let list = list.join(", ");
        let rows = match source.format {
            Format::Parquet => number(
                &self.ask(
                    &format!(
                        "SELECT CAST(sum(num_rows) AS VARCHAR) FROM parquet_file_metadata([{list}])"
                    ),
                    Expected::call(TableCall::new("parquet_file_metadata", sampled)),
                )?,
                0,
            ),
            _ => self.rows_of_text(source, &sampled)?,
        };
        Ok(rows.map(|rows| (rows * factor).round()))
    }

    /// DuckLake counts a table's rows without reading its files.
    fn rows_of_lake(&self, relation: &LakeRelation) -> Result<Option<f64>> {
        let sql = count(&relation.from_item().executed());
        Ok(number(&self.ask(&sql, relation.expected())?, 0))
    }

    /// The number of files, and some of them.
    fn files(&self, source: &Source) -> Result<(f64, Vec<String>)> {
        let is_pattern = |path: &String| path.contains(['*', '?', '[']);
        let (patterns, named): (Vec<_>, Vec<_>) =
            source.paths.iter().cloned().partition(is_pattern);
        let every = named.len().div_ceil(SAMPLED_FILES).max(1);
        let mut sampled: Vec<_> = named.iter().step_by(every).cloned().collect();
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let mut count = named.len() as f64;
        for pattern in patterns {
            let glob = quote::literal(&pattern);
            let more = SAMPLED_FILES - 1;
            // Not all the names: there may be a million.
            let listed = self.ask(
                &format!(
                    "SELECT file, CAST(files AS VARCHAR) FROM (SELECT file, row_number() OVER () AS \"position\", \
                     count(*) OVER () AS files FROM glob({glob})) AS listed \
                     WHERE \"position\" % ((files + {more}) // {SAMPLED_FILES}) = 0"
                ),
                Expected::call(TableCall::new("glob", [pattern])),
            )?;
            count += number(&listed, 1).unwrap_or(0.0);
            let files = listed.into_iter().filter_map(|row| row.into_iter().next().flatten());
            sampled.extend(files.map(|file| layout::literal(&file)));
        }
        let every = sampled.len().div_ceil(SAMPLED_FILES).max(1);
        Ok((count, sampled.into_iter().step_by(every).collect()))
    }

    /// The rows of files without footers: their size by that of the first rows of one.
    fn rows_of_text(&self, source: &Source, sampled: &[String]) -> Result<Option<f64>> {
        let size = |of: &[String]| -> Result<Option<f64>> {
            let list: Vec<_> = of.iter().map(|file| quote::literal(file)).collect();
            let list = list.join(", ");
            let sql = format!("SELECT CAST(sum(size) AS VARCHAR) FROM read_blob([{list}])");
            let expected = Expected::call(TableCall::new("read_blob", of.to_vec()));
            Ok(number(&self.ask(&sql, expected)?, 0))
        };
        let Some(bytes) = size(sampled)? else { return Ok(None) };
        let one = Source { paths: sampled[..1].to_vec(), ..source.clone() };
        let first = one.call(&[])?.executed();
        // The alias is none that a column is likely to have.
        let row = match source.format {
            Format::Csv => "concat_ws(',', *COLUMNS(*))",
            _ => "CAST(to_json(\"pg_pond rows\") AS VARCHAR)",
        };
        let measured = self.ask(
            &format!(
                "SELECT CAST(avg(strlen({row})) + 1 AS VARCHAR), CAST(count(*) AS VARCHAR) \
                 FROM (SELECT * FROM {first} LIMIT {SAMPLED_ROWS}) AS \"pg_pond rows\""
            ),
            one.expected()?,
        )?;
        let read = number(&measured, 1).unwrap_or(0.0);
        if sampled.len() == 1 && read < SAMPLED_ROWS as f64 {
            return Ok(Some(read));
        }
        if read > 0.0 && read < SAMPLED_ROWS as f64 {
            // All of it, so its size tells more.
            let first = size(&sampled[..1])?.filter(|size| *size > 0.0);
            return Ok(first.map(|size| bytes / size * read));
        }
        let compressed =
            [".gz", ".zst"].iter().any(|end| sampled[0].to_ascii_lowercase().ends_with(end));
        let bytes = if compressed { bytes * COMPRESSION } else { bytes };
        Ok(number(&measured, 0).map(|per_row| bytes / per_row.max(1.0)))
    }
}
