//! What a transaction has written to a lake, statement by statement: DuckDB has no savepoints, so after
//! ROLLBACK TO what came before is written again into another DuckDB transaction; and the rows of small
//! INSERTs, which are gathered before they are sent.

use std::collections::HashMap;
use std::sync::Arc;

use duck::driver::Control;
use duck::policy::RelationName;
use duck::transaction::Source;
use duck::{LogicalType, RowChunk};

use super::Engine;
use super::transaction::Write;

use crate::lake::table::WriteCheck;

/// What is kept to be written again, in all. Beyond it a savepoint cannot be rolled back to.
pub const MOST_BYTES: usize = 32 << 20;
pub const MOST_STATEMENTS: usize = 10_000;
/// Gathered rows are sent when there are so many of a table.
const MOST_GATHERED_ROWS: usize = 10_000;
const MOST_GATHERED_BYTES: usize = 8 << 20;

/// The statement that takes rows, given the FROM item that has them.
pub type RowStatement = Arc<dyn Fn(&str) -> String + Send + Sync>;
/// Runs a statement again.
pub type Again = Arc<dyn Fn(&Engine, &Source, &Control) -> duck::Result<()> + Send + Sync>;

/// Rows that PostgreSQL has made, and the statement that takes them.
#[derive(Clone)]
pub struct Rows {
    pub table: RelationName,
    pub types: Arc<[LogicalType]>,
    pub check: Option<(String, WriteCheck)>,
    pub statement: RowStatement,
    pub chunks: Vec<RowChunk>,
}

impl Rows {
    /// The name of the lake that they go to.
    pub fn lake(&self) -> &str {
        &self.table[0]
    }

    pub fn count(&self) -> usize {
        self.chunks.iter().map(RowChunk::len).sum()
    }

    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(RowChunk::bytes).sum()
    }

    fn append(&mut self, rows: RowChunk) {
        match self.chunks.last_mut() {
            Some(last) if last.takes(&rows) => last.append(&rows),
            _ => self.chunks.push(rows),
        }
    }
}

/// How a statement is written again.
#[derive(Clone)]
pub enum Replay {
    /// It cannot be.
    Never,
    /// An INSERT, which does not depend on what is in the lake.
    Rows(Arc<Rows>),
    /// What it does depends on the snapshot.
    Statement(Again),
}

/// A statement that has written.
pub struct Entry {
    /// The nesting level of subtransactions that it belongs to.
    pub level: i32,
    pub write: Write,
    pub replay: Replay,
}

/// Rows of single INSERTs into one table, which are not sent yet.
pub struct Gathered {
    /// Tells tables and columns apart.
    pub key: String,
    pub level: i32,
    pub rows: Rows,
}

#[derive(Default)]
pub struct Journal {
    pub entries: Vec<Entry>,
    pub gathered: Vec<Gathered>,
    /// The tables and columns of which an INSERT was sent at once, and which of these may be NULL as was
    /// seen then: what DuckDB has against an INSERT is told at its own statement.
    known: HashMap<String, Vec<bool>>,
    /// What the entries keep.
    bytes: usize,
}

impl Journal {
    pub fn add(&mut self, level: i32, write: Write) {
        self.entries.push(Entry { level, write, replay: Replay::Never });
        if self.entries.len() > MOST_STATEMENTS {
            self.forget();
        }
    }

    /// How the last statement is written again.
    pub fn keep(&mut self, replay: Replay, bytes: usize) {
        if let Some(last) = self.entries.last_mut() {
            last.replay = replay;
            self.bytes += bytes;
        }
        if self.bytes > MOST_BYTES || self.entries.len() > MOST_STATEMENTS {
            self.forget();
        }
    }

    /// Nothing of this is written again any more.
    fn forget(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.replay = Replay::Never);
    }

    /// Whether rows for a table, of which these columns are NULL, may be gathered.
    pub fn knows(&self, key: &str, nulls: &[bool]) -> bool {
        let may = |known: &Vec<bool>| nulls.iter().zip(known).all(|(null, known)| !null || *known);
        self.known.get(key).is_some_and(may)
    }

    /// Rows with these columns NULL were inserted.
    pub fn learn(&mut self, key: &str, nulls: &[bool]) {
        let known = self.known.entry(key.to_owned()).or_insert_with(|| vec![false; nulls.len()]);
        known.iter_mut().zip(nulls).for_each(|(known, null)| *known |= *null);
    }

    /// Takes rows; true when it is time to send them.
    pub fn gather(
        &mut self,
        key: &str,
        level: i32,
        chunk: RowChunk,
        make: impl FnOnce() -> Rows,
    ) -> bool {
        let at = self.gathered.iter().rposition(|group| group.key == key);
        let at = match at.filter(|at| self.gathered[*at].level == level) {
            Some(at) => at,
            None => {
                self.gathered.push(Gathered { key: key.to_owned(), level, rows: make() });
                self.gathered.len() - 1
            }
        };
        let rows = &mut self.gathered[at].rows;
        rows.append(chunk);
        rows.count() >= MOST_GATHERED_ROWS || rows.bytes() >= MOST_GATHERED_BYTES
    }

    /// A subtransaction of this level belongs to its parent from now on.
    pub fn release(&mut self, level: i32) {
        self.entries.iter_mut().for_each(|entry| entry.level = entry.level.min(level - 1));
        self.gathered.iter_mut().for_each(|group| group.level = group.level.min(level - 1));
    }

    /// A subtransaction of this level is undone; returns whether statements were.
    pub fn undo(&mut self, level: i32) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.level < level);
        self.gathered.retain(|group| group.level < level);
        before != self.entries.len()
    }

    pub fn can_be_replayed(&self) -> bool {
        self.entries.iter().all(|entry| !matches!(entry.replay, Replay::Never))
    }

    /// Whether what is written does not depend on what is in the lake.
    pub fn only_inserts(&self) -> bool {
        self.entries.iter().all(|entry| matches!(entry.replay, Replay::Rows(_)))
    }
}

/// Whether a statement of the user's may do something else when it runs a second time on the same
/// snapshot. A look at the text is enough to be sure that it does not.
pub fn varies(sql: &str) -> bool {
    const WORDS: &[&str] = &[
        "random",
        "rand",
        "uuid",
        "nextval",
        "currval",
        "now",
        "today",
        "current_",
        "localtime",
        "transaction_timestamp",
        "timestamp_tz",
        "txid",
        "sample",
        "getvariable",
        "setseed",
        "query",
        "limit",
        "shuffle",
        "call",
        // These depend on the order of rows.
        "any_value",
        "arbitrary",
        "first",
        "last",
        "array_agg",
        "string_agg",
        "group_concat",
        "list",
        "row_number",
        "arg_m",
    ];
    let sql = sql.to_ascii_lowercase();
    WORDS.iter().any(|word| sql.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: i64) -> RowChunk {
        let mut chunk = RowChunk::new(&[LogicalType::BigInt].into()).unwrap();
        chunk.columns_mut()[0].push_i64(value);
        chunk.end_row();
        chunk
    }

    fn none() -> Rows {
        let types = [LogicalType::BigInt].into();
        let table = ["lake", "main", "t"].map(str::to_owned);
        Rows { table, types, check: None, statement: Arc::new(str::to_owned), chunks: vec![] }
    }

    #[test]
    fn what_a_subtransaction_did_goes_with_it_or_to_its_parent() {
        let mut journal = Journal::default();
        for level in [1, 2, 2, 3] {
            journal.gather("t", level, row(1), none);
        }
        assert_eq!(journal.gathered.iter().map(|g| g.rows.count()).collect::<Vec<_>>(), [1, 2, 1]);
        journal.add(2, Write::Change);
        assert!(!journal.can_be_replayed());
        journal.release(3);
        assert!(!journal.undo(3), "nothing is left at that level");
        assert!(journal.undo(2));
        assert_eq!((journal.gathered.len(), journal.entries.len()), (1, 0));
        assert!(journal.can_be_replayed() && journal.only_inserts());
    }

    #[test]
    fn too_much_is_not_kept() {
        let mut journal = Journal::default();
        journal.add(1, Write::Change);
        journal.keep(Replay::Rows(Arc::new(none())), MOST_BYTES);
        assert!(journal.can_be_replayed());
        journal.add(1, Write::Change);
        journal.keep(Replay::Rows(Arc::new(none())), 1);
        assert!(!journal.can_be_replayed());
    }

    #[test]
    fn columns_may_be_null_once_they_were() {
        let mut journal = Journal::default();
        assert!(!journal.knows("t", &[false, false]));
        journal.learn("t", &[false, true]);
        assert!(journal.knows("t", &[false, false]) && journal.knows("t", &[false, true]));
        assert!(!journal.knows("t", &[true, false]));
    }
}
