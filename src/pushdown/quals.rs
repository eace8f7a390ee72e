//! Conditions on one scanned item, as PostgreSQL's planner hands them to the scan.

use std::collections::BTreeSet;

use duck::sql::Sql;
use pgrx::pg_sys;

use super::query::with_companions;
use super::translator::{Item, ItemColumn, Level, Translator, unsupported};
use crate::pg::nodes;

/// Conditions divided between DuckDB and PostgreSQL.
pub struct Split {
    /// DuckDB's part, connected by AND.
    pub conditions: Vec<Sql>,
    /// What its parameters are.
    pub arguments: Vec<*mut pg_sys::Node>,
    /// The numbers of the columns that it looks at.
    pub used: BTreeSet<i16>,
    /// PostgreSQL's part.
    pub local: *mut pg_sys::List,
    /// Why.
    pub kept: Vec<String>,
}

impl Split {
    #[must_use]
    pub fn nothing(clauses: *mut pg_sys::List) -> Self {
        Self {
            conditions: vec![],
            arguments: vec![],
            used: BTreeSet::new(),
            local: clauses,
            kept: vec![],
        }
    }
}

/// Divides conditions on the item `rti`, which is called `alias` in the SQL and has `columns`; `mixed`
/// says whether files may hold them in several types.
///
/// # Safety
/// Live planner structures; `clauses` is a list of conditions connected by AND.
#[must_use]
pub unsafe fn split(
    root: *mut pg_sys::PlannerInfo,
    rti: pg_sys::Index,
    alias: &str,
    columns: Vec<Option<ItemColumn>>,
    clauses: *mut pg_sys::List,
    mixed: bool,
) -> Split {
    // SAFETY: by contract.
    unsafe {
        let query = (*root).parse;
        let mut items = vec![Item::default(); nodes::len((*query).rtable)];
        let Some(item) = usize::try_from(rti).ok().and_then(|at| items.get_mut(at - 1)) else {
            return Split::nothing(clauses);
        };
        *item = Item { alias: alias.to_owned(), columns: columns.into(), ..Item::default() };
        let mut translator = Translator::new(root);
        translator.mixed = mixed;
        translator.levels.push(Level { query, items, aggregated: false, ctes: vec![] });
        let (mut safe, mut local, mut kept) = (vec![], vec![], vec![]);
        let mut companions = vec![];
        for clause in nodes::items::<pg_sys::Node>(clauses) {
            let seen = translator.seen.len();
            let made = translator.attempt(|translator| {
                let condition = translator.expression(clause)?;
                // PostgreSQL raises its own errors, in its own order.
                if condition.risky {
                    return unsupported("a condition that may raise an error");
                }
                // A sub-query reads tables, which nobody would put in here.
                if condition.sql.has_places() {
                    return unsupported("a sub-query");
                }
                Ok(condition)
            });
            match made {
                Ok(condition) => {
                    safe.push(condition.sql);
                    companions.extend(translator.companions(clause, seen, true));
                }
                Err(unsupported) => {
                    local.push(clause);
                    kept.extend(unsupported.reason());
                }
            }
        }
        let used = translator
            .levels
            .pop()
            .map(|mut level| std::mem::take(&mut level.items[rti as usize - 1].used));
        Split {
            conditions: with_companions(safe, companions),
            arguments: translator.state.arguments,
            used: used.unwrap_or_default(),
            local: nodes::list_of(local),
            kept,
        }
    }
}
