//! The parts of the statement that is being planned: what a call of `duckdb.pushed` stands for. The
//! call has the part's number, which is drawn by lot and known to nobody else, so that no text of a
//! user's can name one.

use std::cell::{Cell, RefCell};

use duck::policy::Expected;
use duck::sql::Sql;
use pgrx::{PgSqlErrorCode, pg_sys};

use super::ship::Ship;
use super::translator::Unsupported;
use crate::error::Error;
use crate::guc;

/// A query, or a part of one, in DuckDB's SQL.
#[derive(Clone, Debug)]
pub struct Part {
    pub id: i64,
    pub sql: Sql,
    /// It ends with LIMIT or OFFSET.
    pub has_limit: bool,
    /// The OIDs of the foreign tables that it reads, with the numbers of the columns.
    pub columns: Vec<(u32, Vec<i16>)>,
    pub servers: Vec<u32>,
    pub relations: Vec<String>,
    pub role: u32,
    /// What it uses, and the texts of `duckdb.query` that it holds.
    pub expected: Expected,
    pub ships: Vec<Ship>,
    /// The same in PostgreSQL.
    pub local: *mut pg_sys::Query,
    pub plain: Option<Plain>,
}

/// The rows of one table that meet a condition, for statements that change these rows where they are.
#[derive(Clone, Debug)]
pub struct Plain {
    /// The table's name in the expressions.
    pub alias: String,
    /// The part's columns, as expressions of the table's.
    pub items: Vec<Sql>,
    /// Connected by AND.
    pub conditions: Vec<Sql>,
    /// The numbers of the columns that the expressions use.
    pub used: Vec<i16>,
}

#[derive(Default)]
struct Planning {
    parts: Vec<Part>,
    /// What stays in PostgreSQL, and why.
    kept: Vec<String>,
}

thread_local! {
    /// One for each planner call that is under way: planning may call the planner.
    static PLANNING: RefCell<Vec<Planning>> = const { RefCell::new(Vec::new()) };
}

thread_local! {
    /// How many plans without pushdown are being made.
    static DISABLED: Cell<u32> = const { Cell::new(0) };
}

/// Whether anything is pushed down at all.
#[must_use]
pub fn is_enabled() -> bool {
    guc::enable_pushdown() && DISABLED.get() == 0
}

/// Plans without pushdown.
pub fn without<T>(work: impl FnOnce() -> T) -> T {
    struct Enable;
    impl Drop for Enable {
        fn drop(&mut self) {
            DISABLED.set(DISABLED.get().saturating_sub(1));
        }
    }
    DISABLED.set(DISABLED.get() + 1);
    let _enable = Enable;
    work()
}

/// Lives as long as a planner call.
pub struct Scope(());

impl Scope {
    #[must_use]
    pub fn open() -> Self {
        PLANNING.with_borrow_mut(|stack| stack.push(Planning::default()));
        Self(())
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        PLANNING.with_borrow_mut(|stack| stack.pop());
    }
}

/// Keeps a part and gives it its number.
#[must_use]
pub fn add(mut part: Part) -> i64 {
    // SAFETY: fills the eight bytes.
    let drawn = unsafe { pg_sys::pg_strong_random((&raw mut part.id).cast(), size_of::<i64>()) };
    if !drawn {
        // A number that could be guessed would do for reading the part.
        Error::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "could not generate random values")
            .report();
    }
    let id = part.id;
    PLANNING.with_borrow_mut(|stack| {
        if let Some(planning) = stack.last_mut() {
            planning.parts.push(part);
        }
    });
    id
}

/// The part that was added last to the statement that is being planned.
#[must_use]
pub fn last() -> Option<Part> {
    PLANNING.with_borrow(|stack| stack.last()?.parts.last().cloned())
}

/// The part with this number.
#[must_use]
pub fn find(id: i64) -> Option<Part> {
    PLANNING.with_borrow(|stack| {
        stack.iter().rev().flat_map(|planning| &planning.parts).find(|part| part.id == id).cloned()
    })
}

/// Notes why something stays.
pub fn add_reason(unsupported: Unsupported) {
    let Some(reason) = unsupported.reason() else { return };
    PLANNING.with_borrow_mut(|stack| {
        if let Some(planning) = stack.last_mut()
            && !planning.kept.contains(&reason)
        {
            planning.kept.push(reason);
        }
    });
}

/// What stays in PostgreSQL of the statement that is being planned.
#[must_use]
pub fn reasons() -> Vec<String> {
    PLANNING.with_borrow(|stack| stack.last().map(|p| p.kept.clone()).unwrap_or_default())
}
