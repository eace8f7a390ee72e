//! INSERT … SELECT, UPDATE and DELETE on a lake's table that DuckDB runs as one statement.
//!
//! The rows that the statement inserts or changes are a query, which is translated as any query is;
//! if DuckDB answers all of it, the statement is put around its text. PostgreSQL plans its own
//! statement all the same: rights, locks and statement triggers are its matter. Then the plan below
//! its `ModifyTable` is exchanged for a scan that runs the statement and returns no rows, in the
//! callback that asks the wrapper for that (`PlanDirectModify`).
//!
//! A row is known by its file and its place in it: see [`crate::lake::table::ROW_COLUMN`].

use std::cell::RefCell;

use duck::sql::Sql;
use duck::{placeholder, sql};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use super::part::{self, Plain};
use super::rewrite::Rewriter;
use crate::lake::origin::{LakeRelation, Moment};
use crate::lake::table::{self, LakeTable, ROW_COLUMN, ROW_NUMBER};
use crate::pg::{catalog, nodes};

/// What is done with a lake's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Insert,
    Update,
    Delete,
}

/// A statement that DuckDB can run, as the planner's hook has found it.
#[derive(Clone, Debug)]
pub struct Direct {
    pub command: Command,
    pub relation: pg_sys::Oid,
    pub server: pg_sys::Oid,
    pub target: LakeRelation,
    /// The query that is one part, for the planner.
    pub rows: *mut pg_sys::Query,
    /// The lake's columns and the part's columns that give their values; `None` for NULL.
    pub values: Vec<(String, Option<i16>)>,
    /// Those of them whose values may hold any text.
    pub texts: Vec<String>,
    /// The part's column that says which row is meant.
    pub row: Option<i16>,
    /// A row may come several times.
    pub repeats: bool,
    /// The rows as they are in the table, if nothing else is read.
    pub plain: Option<Plain>,
}

thread_local! {
    /// The statements that are being planned, innermost last.
    static PLANNING: RefCell<Vec<Option<Direct>>> = const { RefCell::new(Vec::new()) };
}

/// Lives as long as the planner's call for a statement.
pub struct Scope(());

impl Scope {
    #[must_use]
    pub fn open(direct: Option<Direct>) -> Self {
        PLANNING.with_borrow_mut(|stack| stack.push(direct));
        Self(())
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        PLANNING.with_borrow_mut(|stack| stack.pop());
    }
}

/// The statement that changes `relation`, if DuckDB runs it.
#[must_use]
pub fn current(relation: pg_sys::Oid) -> Option<Direct> {
    PLANNING.with_borrow(|stack| {
        stack.last().cloned().flatten().filter(|direct| direct.relation == relation)
    })
}

impl Direct {
    /// The statement that changes the rows where they are, and the numbers of the columns that it looks
    /// at: these must be in the lake just as the foreign table says.
    #[must_use]
    pub fn in_place(&self) -> Option<(Sql, Vec<i16>)> {
        let plain = self.plain.as_ref()?;
        let (target, alias) = (self.target.name(), sql::identifier(&plain.alias));
        let conditions = (!plain.conditions.is_empty())
            .then(|| sql!(" WHERE {}", Sql::join(&plain.conditions, " AND ")));
        let sql = match self.command {
            Command::Insert => return None,
            Command::Delete => sql!("DELETE FROM {} AS {}{}", target, alias, conditions),
            Command::Update => {
                let assignments = self.values.iter().map(|(column, number)| {
                    let index = usize::try_from((*number)? - 1).ok()?;
                    let value = self.stored(column, plain.items.get(index)?);
                    Some(sql!("{} = {}", sql::identifier(column), value))
                });
                let assignments = assignments.collect::<Option<Vec<_>>>()?;
                let assignments = Sql::join(assignments, ", ");
                sql!("UPDATE {} AS {} SET {}{}", target, alias, assignments, conditions)
            }
        };
        Some((sql, plain.used.clone()))
    }

    /// A value as it is put into a column.
    fn stored(&self, column: &str, value: &Sql) -> Sql {
        if self.texts.iter().any(|text| text == column) {
            placeholder::guarded_sql(value, column)
        } else {
            value.clone()
        }
    }

    /// What stands before and behind the text of the rows, whose columns have these names.
    #[must_use]
    pub fn around(&self, names: &[String]) -> (Sql, Sql) {
        let name = |number: i16| {
            let index = usize::try_from(number - 1).ok();
            sql::identifier(index.and_then(|index| names.get(index)).map_or("", String::as_str))
        };
        let target = self.target.name();
        let row = self.row.map(name);
        let is_row = table::is_row(&sql!("\"target\""), &sql!("\"source\".{}", row));
        match self.command {
            Command::Insert => {
                let columns = self.values.iter().map(|(column, _)| sql::identifier(column));
                let value = |(column, number): &(String, Option<i16>)| {
                    number.map_or(sql!("NULL"), |number| self.stored(column, &name(number)))
                };
                let values = self.values.iter().map(value);
                let before = sql!(
                    "INSERT INTO {} ({}) SELECT {} FROM (",
                    target,
                    Sql::join(columns, ", "),
                    Sql::join(values, ", ")
                );
                (before, sql!(") AS \"source\""))
            }
            Command::Update => {
                let assignments = self
                    .values
                    .iter()
                    .filter_map(|(column, number)| Some((column, (*number)?)))
                    .map(|(column, number)| {
                        let value = self.stored(column, &sql!("\"source\".{}", name(number)));
                        sql!("{} = {}", sql::identifier(column), value)
                    });
                // Of several values for a row PostgreSQL takes any one.
                let distinct = self.repeats.then(|| sql!("DISTINCT ON ({}) ", row));
                let before = sql!(
                    "UPDATE {} AS \"target\" SET {} FROM (SELECT {}* FROM (",
                    target,
                    Sql::join(assignments, ", "),
                    distinct
                );
                (before, sql!(") AS \"rows\") AS \"source\" WHERE {}", is_row))
            }
            Command::Delete => (
                sql!("DELETE FROM {} AS \"target\" USING (", target),
                sql!(") AS \"source\" WHERE {}", is_row),
            ),
        }
    }
}

/// The statement that DuckDB can run for `query`; notes the reason if it cannot.
///
/// # Safety
/// A live query, which is left as it is.
pub(super) unsafe fn prepare(rewriter: &mut Rewriter, query: *mut pg_sys::Query) -> Option<Direct> {
    // SAFETY: by contract.
    unsafe {
        let (command, table, role) = target_of(query)?;
        let relation = table.origin.lake()?.clone();
        if relation.moment != Moment::Newest || !is_plain(query, &table) {
            return None;
        }
        let rows = rows_of(query, command);
        let numbers: Vec<_> = nodes::items::<pg_sys::TargetEntry>((*rows).targetList)
            .map(|entry| (*entry).resno)
            .collect();
        let outer = match rewriter.complete_part(rows) {
            Ok(outer) => outer,
            Err(unsupported) => {
                part::add_reason(unsupported);
                return None;
            }
        };
        let mut values = vec![];
        let mut row = None;
        for (entry, number) in nodes::items::<pg_sys::TargetEntry>((*outer).targetList).zip(numbers)
        {
            let var = nodes::cast::<pg_sys::Var>((*entry).expr.cast(), Tag::T_Var)?;
            if number == ROW_RESNO {
                row = Some((*var).varattno);
                continue;
            }
            let column = table.column(number)?;
            // What Parquet files cannot hold of it is found out row by row.
            if column.attribute.type_oid == pg_sys::INTERVALOID {
                return None;
            }
            values.push((column.file_name.clone(), Some((*var).varattno)));
        }
        let plain = (*(*outer).jointree).quals.is_null()
            && (*outer).limitCount.is_null()
            && (*outer).limitOffset.is_null();
        let part = part::last()?;
        let same_role = part.role == role.to_u32();
        if command == Command::Insert {
            // What is not given is NULL, as when PostgreSQL makes the rows, not the lake's default.
            for column in table.columns.iter().flatten() {
                if !values.iter().any(|(name, _)| *name == column.file_name) {
                    values.push((column.file_name.clone(), None));
                }
            }
        }
        let fits = match command {
            Command::Insert => !values.is_empty() && row.is_none(),
            Command::Update => !values.is_empty() && row.is_some(),
            Command::Delete => row.is_some(),
        };
        if !plain || !fits || !same_role {
            return None;
        }
        Some(Direct {
            command,
            relation: table.relation,
            server: table.server,
            target: relation,
            rows: outer,
            texts: table.text_columns(),
            values,
            row,
            repeats: !is_alone((*query).jointree),
            plain: part.plain.filter(|_| command != Command::Insert),
        })
    }
}

/// Whether a statement reads nothing beside the table that it changes, but for sub-queries in
/// expressions.
///
/// # Safety
/// A live FROM clause.
unsafe fn is_alone(from: *mut pg_sys::FromExpr) -> bool {
    // SAFETY: by contract.
    unsafe {
        nodes::len((*from).fromlist) == 1
            && nodes::items::<pg_sys::Node>((*from).fromlist)
                .all(|item| nodes::is_a(item, Tag::T_RangeTblRef))
    }
}

/// The number of the select list's entry for the row.
const ROW_RESNO: i16 = i16::MAX;

/// The foreign table that a statement changes, and as whom.
///
/// # Safety
/// A live query.
unsafe fn target_of(query: *mut pg_sys::Query) -> Option<(Command, LakeTable, pg_sys::Oid)> {
    use pg_sys::CmdType;
    // SAFETY: by contract.
    unsafe {
        let command = match (*query).commandType {
            CmdType::CMD_INSERT => Command::Insert,
            CmdType::CMD_UPDATE => Command::Update,
            CmdType::CMD_DELETE => Command::Delete,
            _ => return None,
        };
        let rte = pg_sys::list_nth((*query).rtable, (*query).resultRelation - 1)
            .cast::<pg_sys::RangeTblEntry>();
        if !table::is_ours(rte) {
            return None;
        }
        let table = LakeTable::load((*rte).relid).ok()?;
        Some((command, table, catalog::checked_as(query, rte)))
    }
}

/// Whether nothing is asked for that DuckDB would not know of.
///
/// # Safety
/// A live query that changes `table`.
unsafe fn is_plain(query: *mut pg_sys::Query, table: &LakeTable) -> bool {
    // SAFETY: by contract.
    unsafe {
        (*query).returningList.is_null()
            && (*query).withCheckOptions.is_null()
            && (*query).onConflict.is_null()
            && !(*query).hasModifyingCTE
            && (*query).canSetTag
            && !catalog::has_row_triggers_or_generated_columns(table.relation)
            && !touches_bounds(query, table)
    }
}

/// Whether a statement writes columns of which the table's bounds as a partition are: then PostgreSQL
/// looks at each row.
///
/// # Safety
/// A live query that changes `table`.
unsafe fn touches_bounds(query: *mut pg_sys::Query, table: &LakeTable) -> bool {
    let bounds = catalog::partition_columns(table.relation);
    // SAFETY: by contract.
    unsafe {
        match (*query).commandType {
            pg_sys::CmdType::CMD_INSERT => !bounds.is_empty(),
            pg_sys::CmdType::CMD_UPDATE => nodes::items::<pg_sys::TargetEntry>((*query).targetList)
                .any(|entry| bounds.contains(&(*entry).resno)),
            _ => false,
        }
    }
}

/// The rows that a statement inserts or changes, as a query.
///
/// # Safety
/// A live query.
unsafe fn rows_of(query: *mut pg_sys::Query, command: Command) -> *mut pg_sys::Query {
    // SAFETY: by contract; the copy is ours.
    unsafe {
        let rows = nodes::copy(query);
        let rti = (*rows).resultRelation;
        (*rows).commandType = pg_sys::CmdType::CMD_SELECT;
        (*rows).resultRelation = 0;
        let mut targets: Vec<_> = match command {
            Command::Delete => vec![],
            _ => nodes::items::<pg_sys::TargetEntry>((*rows).targetList)
                .filter(|entry| !(**entry).resjunk)
                .collect(),
        };
        if command != Command::Insert {
            let var = pg_sys::makeVar(
                rti,
                ROW_NUMBER,
                pg_sys::TEXTOID,
                -1,
                pg_sys::DEFAULT_COLLATION_OID,
                0,
            );
            let name = nodes::palloc_str(ROW_COLUMN);
            targets.push(pg_sys::makeTargetEntry(var.cast(), ROW_RESNO, name, false));
        }
        (*rows).targetList = nodes::list_of(targets);
        rows
    }
}
