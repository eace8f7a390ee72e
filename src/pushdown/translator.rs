//! The state of one translation: the levels of nested queries, what has been used, and whose rights
//! count.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use duck::sql;
use duck::sql::Sql;
use pgrx::pg_sys;

use super::expression::{Decimal, Expression};
use super::ship::{Label, Ship};
use crate::lake::table::{ROW_COLUMN, ROW_NUMBER};
use crate::pg::nodes;

/// Why something stays in PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// A construct that DuckDB does not do as PostgreSQL does, by the name that EXPLAIN gives it.
    Construct(String),
    /// PostgreSQL does as well, so nothing is told.
    NoGain,
}

impl Unsupported {
    #[must_use]
    pub fn construct(name: impl Into<String>) -> Self {
        Self::Construct(name.into())
    }

    /// What EXPLAIN tells.
    #[must_use]
    pub fn reason(self) -> Option<String> {
        match self {
            Self::Construct(name) => Some(name),
            Self::NoGain => None,
        }
    }
}

pub type Result<T> = std::result::Result<T, Unsupported>;

/// # Errors
/// Always.
pub fn unsupported<T>(construct: impl Into<String>) -> Result<T> {
    Err(Unsupported::construct(construct))
}

/// One column of a FROM item.
#[derive(Clone, Debug)]
pub struct ItemColumn {
    /// Under which name the item has it.
    pub name: String,
    pub decimal: Option<Decimal>,
    pub inexact_scale: bool,
}

impl ItemColumn {
    /// The column of the item called `alias`.
    #[must_use]
    pub fn of(&self, alias: &str) -> Expression {
        Expression {
            sql: qualified(alias, &self.name),
            decimal: self.decimal,
            inexact_scale: self.inexact_scale,
            ..Expression::default()
        }
    }
}

fn qualified(alias: &str, column: &str) -> Sql {
    sql!("{}.{}", sql::identifier(alias), sql::identifier(column))
}

/// A FROM item: where its columns are found.
#[derive(Clone, Debug, Default)]
pub struct Item {
    pub alias: String,
    /// By attribute number, from 0; `None` for dropped ones.
    pub columns: Rc<[Option<ItemColumn>]>,
    /// Why columns are missing, by attribute number.
    pub missing: Rc<[(i16, Unsupported)]>,
    /// The attribute numbers that were used.
    pub used: BTreeSet<i16>,
    /// Conditions that PostgreSQL checks where it reads the item's rows to ship them.
    pub own_conditions: Vec<*mut pg_sys::Node>,
    /// What the item is, once everything that uses it is known: its place in the text.
    pub text: ItemText,
}

/// How an item's text is made.
#[derive(Clone, Debug, Default)]
pub enum ItemText {
    /// Not made yet, or not in the FROM clause by itself (a join's alias).
    #[default]
    None,
    /// A foreign table; its columns are listed when all uses are known.
    Table(pg_sys::Oid),
    /// Rows that PostgreSQL gives, by the name under which reasons call it.
    Shipped(Label),
    /// Whole.
    Text(Rc<Sql>),
}

impl ItemText {
    #[must_use]
    pub fn of(sql: Sql) -> Self {
        Self::Text(Rc::new(sql))
    }
}

/// One level of nested queries.
#[derive(Clone)]
pub struct Level {
    pub query: *mut pg_sys::Query,
    /// By range table index, from 1.
    pub items: Vec<Item>,
    /// Whether an aggregate of this level stands in the SQL.
    pub aggregated: bool,
    /// The CTEs of this level that are used: names in PostgreSQL and in our SQL, columns, and text.
    pub ctes: Vec<Cte>,
}

#[derive(Clone, Debug)]
pub struct Cte {
    pub name: String,
    pub alias: String,
    pub columns: Rc<[Option<ItemColumn>]>,
    pub missing: Rc<[(i16, Unsupported)]>,
    pub text: Rc<Sql>,
}

/// A column in a translated expression: where it comes from, and what it is.
#[derive(Clone, Debug)]
pub struct Seen {
    pub depth: usize,
    pub item: usize,
    pub type_oid: pg_sys::Oid,
    pub sql: Rc<Sql>,
}

/// The translation of one part: the planner's structures, and the one value that holds all that is
/// known of the part so far.
pub struct Translator {
    /// Stands for the planner's in const folding.
    pub planner: *mut pg_sys::PlannerInfo,
    pub state: State,
}

/// What a translation has come to. A step that fails gives it back whole, as it was before: nothing
/// of what the step noted stays, and nothing that a text of the step's needs gets lost while the text
/// itself is kept.
#[derive(Clone, Default)]
pub struct State {
    /// What `$1` and so on stand for.
    pub arguments: Vec<*mut pg_sys::Node>,
    pub servers: BTreeSet<u32>,
    /// The columns that are read of each foreign table.
    pub columns: BTreeMap<u32, BTreeSet<i16>>,
    pub relations: Vec<String>,
    /// As whom access to the relations is checked; InvalidOid is whoever runs the plan.
    pub role: Option<pg_sys::Oid>,
    /// The plan holds for the role that plans it only.
    pub depends_on_role: bool,
    /// The texts of `duckdb.query` that the part holds, with their names in the SQL.
    pub texts: Vec<(String, String)>,
    /// A condition must not be checked before another one, for rows that the role may not see.
    pub barrier: bool,
    /// A condition that may raise errors was translated.
    pub risky_condition: bool,
    /// Text for which a file listing would be taken literally, and text that needs patterns.
    pub reads_lake_format: bool,
    pub reads_pattern: bool,
    /// The files of a table may hold a column in several types.
    pub mixed: bool,
    /// The columns that were translated.
    pub seen: Vec<Seen>,
    /// What PostgreSQL reads and hands over.
    pub ships: Vec<Ship>,
    pub levels: Vec<Level>,
    aliases: BTreeSet<String>,
    /// How many expressions are around the one at hand.
    pub depth: u32,
    pub case_tests: Vec<Expression>,
    pub sublink_columns: Vec<Rc<[Expression]>>,
}

impl Deref for Translator {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Translator {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Translator {
    #[must_use]
    pub fn new(planner: *mut pg_sys::PlannerInfo) -> Self {
        Self { planner, state: State::default() }
    }

    /// A name for a FROM item that nothing else in the text has.
    pub fn alias(&mut self, name: &str) -> String {
        let plain: String = name.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
        let plain = if plain.is_empty() { "item".to_owned() } else { plain.to_lowercase() };
        let mut alias = plain.clone();
        let mut number = 1;
        while !self.aliases.insert(alias.clone()) {
            number += 1;
            alias = format!("{plain}_{number}");
        }
        alias
    }

    /// Runs a step whose failure leaves nothing behind.
    ///
    /// # Errors
    /// The step's own.
    pub fn attempt<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = self.state.clone();
        let outcome = step(self);
        if outcome.is_err() {
            self.state = before;
        }
        outcome
    }

    /// Whether a step would succeed: it leaves nothing behind in any case.
    pub fn probe<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T>) -> bool {
        let before = self.state.clone();
        let outcome = step(self);
        self.state = before;
        outcome.is_ok()
    }

    /// Folds constants, and inlines SQL functions, as PostgreSQL's planner would.
    ///
    /// # Safety
    /// A live expression.
    #[must_use]
    pub unsafe fn simplified(&self, node: *mut pg_sys::Node) -> *mut pg_sys::Node {
        if node.is_null() {
            return node;
        }
        // SAFETY: by contract; the planner's structure holds what the function looks at.
        unsafe { pg_sys::eval_const_expressions(self.planner, node) }
    }

    /// # Safety
    /// A live Var of the innermost level.
    pub unsafe fn variable(&mut self, var: *mut pg_sys::Var) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            let up = usize::try_from((*var).varlevelsup).unwrap_or(usize::MAX);
            let Some(depth) = self.levels.len().checked_sub(up.saturating_add(1)) else {
                return unsupported("a column of an outer query");
            };
            let Ok(index) = usize::try_from((*var).varno) else {
                return unsupported("a special variable");
            };
            let rte = pg_sys::list_nth((*self.levels[depth].query).rtable, (*var).varno - 1)
                .cast::<pg_sys::RangeTblEntry>();
            let number = (*var).varattno;
            if number == 0 {
                return unsupported("a whole row");
            }
            if number < 0 {
                return self.row_of(var, depth, index);
            }
            if let Some(meaning) = meaning_of_alias(rte, number) {
                // In the level of the join, whose expressions are its own.
                let inner = self.levels.split_off(depth + 1);
                let made = self.expression(meaning);
                self.levels.extend(inner);
                return made;
            }
            let Some(item) = self.levels[depth].items.get_mut(index - 1) else {
                return unsupported("a column of an unknown item");
            };
            let column = usize::try_from(number - 1).ok().and_then(|at| item.columns.get(at));
            let Some(Some(column)) = column else {
                let missing = item.missing.iter().find(|(missing, _)| *missing == number);
                let unknown =
                    || Unsupported::construct("a column of an item that is not translated");
                return Err(missing.map_or_else(unknown, |(_, reason)| reason.clone()));
            };
            let made = column.of(&item.alias);
            item.used.insert(number);
            let (type_oid, sql) = ((*var).vartype, Rc::new(made.sql.clone()));
            self.seen.push(Seen { depth, item: index, type_oid, sql });
            Ok(made)
        }
    }

    /// The row of a lake's table, for a statement that changes it.
    ///
    /// # Safety
    /// A live Var.
    unsafe fn row_of(
        &mut self,
        var: *mut pg_sys::Var,
        depth: usize,
        index: usize,
    ) -> Result<Expression> {
        // SAFETY: by contract.
        let is_row = unsafe { (*var).varattno == ROW_NUMBER && (*var).vartype == pg_sys::TEXTOID };
        let item = self.levels[depth].items.get_mut(index.wrapping_sub(1));
        match item {
            Some(item) if is_row && matches!(item.text, ItemText::Table(_)) => {
                item.used.insert(ROW_NUMBER);
                Ok(Expression::new(qualified(&item.alias, ROW_COLUMN)))
            }
            _ => unsupported("a system column"),
        }
    }

    /// Notes a relation: all of a part's are read as the same role.
    ///
    /// # Errors
    /// Two roles.
    pub fn read_as(&mut self, role: pg_sys::Oid) -> Result<()> {
        match self.role {
            None => self.role = Some(role),
            Some(known) if known == role => {}
            Some(known) => {
                // One of them is whoever runs the plan.
                let current = crate::pg::acl::current_role();
                let meant = |role| if role == pg_sys::InvalidOid { current } else { role };
                if meant(known) != meant(role) {
                    return unsupported("relations that are read as different roles");
                }
                self.role = Some(meant(role));
                self.depends_on_role = true;
            }
        }
        Ok(())
    }
}

/// What a column of a join's alias, or of a grouping, stands for.
///
/// # Safety
/// A live range table entry.
unsafe fn meaning_of_alias(
    rte: *mut pg_sys::RangeTblEntry,
    number: i16,
) -> Option<*mut pg_sys::Node> {
    // SAFETY: by contract.
    unsafe {
        let list = match (*rte).rtekind {
            pg_sys::RTEKind::RTE_JOIN => (*rte).joinaliasvars,
            #[cfg(feature = "pg18")]
            pg_sys::RTEKind::RTE_GROUP => (*rte).groupexprs,
            _ => return None,
        };
        nodes::items::<pg_sys::Node>(list).nth(usize::try_from(number - 1).ok()?)
    }
}
