//! Conflicts between commits to a lake that DuckLake 1.0 does not see.
//!
//! When another transaction was faster, DuckLake commits again on the new snapshot unless both have
//! changed the same. It overlooks that rows are deleted by entries in the catalog on one side, while
//! the other side has merged, rewritten or deleted from the files that these entries are about: rows
//! come back or are counted twice. So pg_pond looks before each commit that deletes rows or rewrites
//! files, under the lock that its sessions commit under.

use std::sync::Arc;

use duck::driver::Control;
use duck::transaction::{Source, Transaction};
use duck::{Error, ErrorKind, Result, quote};

use super::Engine;

/// Texts longer than this in all are not kept.
const MOST_BYTES: usize = 1 << 20;

/// The tables of which a transaction deletes rows or rewrites files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Deletes {
    #[default]
    Nothing,
    /// Those whose names these texts contain.
    NamedIn(Vec<String>),
    /// It may be any.
    Anything,
}

impl Deletes {
    /// Adds the tables that are named in a text.
    pub fn add(&mut self, text: &str) {
        match self {
            Self::Nothing => *self = Self::NamedIn(vec![text.to_lowercase()]),
            Self::NamedIn(texts) => {
                let text = text.to_lowercase();
                if texts.contains(&text) {
                    return;
                }
                texts.push(text);
                if texts.iter().map(String::len).sum::<usize>() > MOST_BYTES {
                    *self = Self::Anything;
                }
            }
            Self::Anything => {}
        }
    }

    fn may_be_of(&self, table: &str) -> bool {
        match self {
            Self::Nothing => false,
            // As it stands in a quoted identifier.
            Self::NamedIn(texts) => {
                let quoted = table.to_lowercase().replace('"', "\"\"");
                texts.iter().any(|text| text.contains(&quoted))
            }
            Self::Anything => true,
        }
    }
}

/// What others do to a table's files or its deleted rows.
const KINDS: &[&str] = &[
    "deleted_from_table",
    "inlined_delete",
    "inline_flush",
    "flushed_inlined",
    "merge_adjacent",
    "rewrite_delete",
    "compacted_table",
];

/// The snapshot of a lake that a transaction sees.
///
/// # Errors
/// DuckDB's.
pub fn snapshot_of(
    transaction: &Transaction,
    lake: &str,
    control: &Control,
) -> Result<Option<u64>> {
    let lake = quote::literal(lake);
    let lease = Source::Transaction(transaction.clone()).lease(control)?;
    let sql = format!("SELECT id::VARCHAR FROM ducklake_current_snapshot({lake})");
    Ok(lease.query_text(&sql, &[])?.and_then(|id| id.parse().ok()))
}

/// Looks whether another transaction, since the snapshot that `transaction` has seen, has deleted rows
/// or rewritten files of a table of which this one does too.
///
/// # Errors
/// A conflict, as DuckLake tells its own; DuckDB's.
pub fn check(
    engine: &Arc<Engine>,
    transaction: &Transaction,
    lake: &str,
    deletes: &Deletes,
    control: &Control,
) -> Result<()> {
    let Some(catalog) = engine.catalog(lake).filter(|_| *deletes != Deletes::Nothing) else {
        return Ok(());
    };
    let Some(snapshot) = snapshot_of(transaction, lake, control)? else { return Ok(()) };
    let kinds: Vec<_> = KINDS.iter().map(|kind| quote::literal(kind)).collect();
    let sql = format!(
        "SELECT DISTINCT changed.table_name FROM (SELECT unnest(string_split(changes_made, ',')) AS change \
         FROM {} WHERE snapshot_id > {snapshot}) AS made, {} AS changed \
         WHERE split_part(made.change, ':', 1) IN ({}) \
         AND TRY_CAST(split_part(made.change, ':', 2) AS BIGINT) = changed.table_id",
        catalog.snapshot_changes,
        catalog.tables,
        kinds.join(", ")
    );
    // What it has read of the catalog itself is of its own snapshot.
    let beside = Transaction::new(engine.instance());
    let found = {
        let lease = Source::Transaction(beside.clone()).lease(control)?;
        super::engine::text_column(&lease, &sql)
    };
    beside.roll_back();
    match found?.iter().find(|table| deletes.may_be_of(table)) {
        None => Ok(()),
        Some(table) => Err(Error::new(
            ErrorKind::Transaction,
            format!(
                "Transaction conflict - attempting to delete from table \"{table}\" or to rewrite its \
                 files - but another transaction has deleted from it or rewritten them"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_in_the_texts_that_name_them() {
        let mut deletes = Deletes::default();
        assert!(!deletes.may_be_of("t"));
        deletes.add("DELETE FROM \"lk\".\"main\".\"Odd \"\"name\"");
        deletes.add("update lk.Orders set a = 1");
        assert!(deletes.may_be_of("odd \"name") && deletes.may_be_of("orders"));
        assert!(!deletes.may_be_of("lines"));
        deletes.add(&"x".repeat(MOST_BYTES));
        assert_eq!(deletes, Deletes::Anything);
        assert!(deletes.may_be_of("lines"));
    }
}
