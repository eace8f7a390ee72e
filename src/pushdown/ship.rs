//! What is not in the lake, handed to DuckDB: small tables of PostgreSQL, and sub-queries and
//! functions over no foreign table, are run by PostgreSQL when the scan starts, with all its rules
//! (snapshot, rights, policies), and their rows become a temporary table of the scan's connection.

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use super::expression::{Decimal, is_plain_type};
use super::translator::{Item, ItemColumn, ItemText, Level, Result, Translator, unsupported};
use crate::guc;
use crate::lake::table;
use crate::pg::{catalog, encoding, nodes};
use crate::session::shipping;
use duck::sql;
use duck::sql::Sql;

/// What rows that are shipped are called.
#[derive(Clone, Debug)]
pub enum Label {
    /// By its qualified name.
    Relation(String),
    Function,
    Query,
}

impl Label {
    /// In a list of what is shipped.
    fn name(&self) -> &str {
        match self {
            Self::Relation(name) => name,
            Self::Function => "a function in the FROM clause",
            Self::Query => "a query",
        }
    }

    /// As a reason why something stays in PostgreSQL.
    fn construct(&self) -> String {
        match self {
            Self::Relation(name) => format!("relation {name}"),
            Self::Function | Self::Query => self.name().to_owned(),
        }
    }
}

/// Rows to ship: the plan that gives them, and their columns.
#[derive(Clone, Debug)]
pub struct Ship {
    pub plan: *mut pg_sys::PlannedStmt,
    /// Name, OID and typmod.
    pub columns: Vec<(String, u32, i32)>,
    /// For EXPLAIN: what it is, and how many rows are expected.
    pub label: String,
    pub rows: f64,
}

impl Translator {
    /// A range table entry that is not in the lake as an item whose rows are shipped. The query is
    /// made when the columns that are used are known.
    ///
    /// # Safety
    /// A live entry of the innermost level's query.
    pub unsafe fn shipped_entry(
        &mut self,
        rte: *mut pg_sys::RangeTblEntry,
        name: &str,
    ) -> Result<Item> {
        // SAFETY: by contract.
        unsafe {
            let label = match (*rte).rtekind {
                pg_sys::RTEKind::RTE_RELATION => {
                    Label::Relation(catalog::relation_name((*rte).relid))
                }
                _ => Label::Function,
            };
            if guc::ship_rows() == 0
                || (*rte).lateral
                || reads_outside(rte.cast(), self.levels.len())
            {
                return unsupported(label.construct());
            }
            if (*rte).rtekind == pg_sys::RTEKind::RTE_RELATION {
                let kind = (*rte).relkind.cast_unsigned();
                if ![
                    pg_sys::RELKIND_RELATION,
                    pg_sys::RELKIND_PARTITIONED_TABLE,
                    pg_sys::RELKIND_MATVIEW,
                ]
                .contains(&kind)
                {
                    return unsupported(label.construct());
                }
            }
            let alias = self.alias(name);
            let count = nodes::len((*(*rte).eref).colnames);
            let columns = (1..=count)
                .map(|number| {
                    let number = i16::try_from(number).unwrap_or(i16::MAX);
                    let (oid, typmod, collation) = column_type(rte, number)?;
                    let _ = collation;
                    is_shippable(oid, typmod).then(|| ItemColumn {
                        name: format!("c{number}"),
                        decimal: (oid == pg_sys::NUMERICOID)
                            .then(|| Decimal::of_typmod(typmod))
                            .flatten(),
                        inexact_scale: false,
                    })
                })
                .collect();
            Ok(Item { alias, columns, text: ItemText::Shipped(label), ..Item::default() })
        }
    }

    /// The text of a shipped entry, once its uses are known.
    ///
    /// # Safety
    /// A live level.
    pub unsafe fn shipped_text(&mut self, level: &Level, at: usize, label: &Label) -> Result<Sql> {
        // SAFETY: by contract.
        unsafe {
            let item = &level.items[at];
            let index = i32::try_from(at).unwrap_or(0);
            let rte =
                pg_sys::list_nth((*level.query).rtable, index).cast::<pg_sys::RangeTblEntry>();
            let query = empty_query();
            let copied = nodes::copy(rte);
            #[cfg(not(feature = "pg15"))]
            if (*copied).perminfoindex != 0 {
                let permissions =
                    nodes::copy(pg_sys::getRTEPermissionInfo((*level.query).rteperminfos, rte));
                (*query).rteperminfos = nodes::list_of([permissions]);
                (*copied).perminfoindex = 1;
            }
            (*copied).securityQuals = renumbered((*copied).securityQuals.cast()).cast();
            (*query).rtable = nodes::list_of([copied]);
            (*query).hasRowSecurity = (*level.query).hasRowSecurity;
            (*query).hasSubLinks = (*level.query).hasSubLinks;
            let reference =
                pg_sys::palloc0(size_of::<pg_sys::RangeTblRef>()).cast::<pg_sys::RangeTblRef>();
            (*reference).type_ = Tag::T_RangeTblRef;
            (*reference).rtindex = 1;
            let mut conditions = vec![];
            for condition in &item.own_conditions {
                conditions.push(renumbered(*condition));
            }
            let condition = if conditions.is_empty() {
                std::ptr::null_mut()
            } else {
                pg_sys::make_ands_explicit(nodes::list_of(conditions)).cast()
            };
            (*query).jointree = pg_sys::makeFromExpr(nodes::list_of([reference]), condition);
            let mut targets = vec![];
            let mut columns = vec![];
            let mut items = vec![];
            for (position, number) in item.used.iter().enumerate() {
                let Some((oid, typmod, collation)) = column_type(rte, *number) else {
                    return unsupported(label.construct());
                };
                let resno = i16::try_from(position + 1).unwrap_or(i16::MAX);
                let var = pg_sys::makeVar(1, *number, oid, typmod, collation, 0);
                let name = nodes::palloc_str(&format!("c{number}"));
                targets.push(pg_sys::makeTargetEntry(var.cast(), resno, name, false));
                columns.push((format!("c{number}"), oid.to_u32(), typmod));
                // Blanks at the end are not shipped.
                let length = typmod - 4;
                let value = sql!("c{}", position);
                let value = if oid == pg_sys::BPCHAROID && length > 0 {
                    sql!(
                        "CASE WHEN length({}) < {} THEN rpad({}, {}, ' ') ELSE {} END",
                        value,
                        length,
                        value,
                        length,
                        value
                    )
                } else {
                    value
                };
                items.push(sql!("{} AS c{}", value, *number));
            }
            (*query).targetList = nodes::list_of(targets);
            let number = self.ship(query, columns, label)?;
            let alias = sql::identifier(&item.alias);
            Ok(sql!("({}) AS {}", read_shipped(items, number), alias))
        }
    }

    /// A whole query over nothing of the lake, as the text that reads its shipped rows.
    ///
    /// # Errors
    /// When it depends on what is around it, has too many rows, or a type that is not shipped.
    ///
    /// # Safety
    /// A live query.
    pub unsafe fn shipped_query(
        &mut self,
        query: *mut pg_sys::Query,
    ) -> Result<super::query::Translated> {
        // SAFETY: by contract.
        unsafe {
            if guc::ship_rows() == 0
                || table::reads_tables(query)
                || reads_outside(query.cast(), self.levels.len() + 1)
                || (*query).commandType != pg_sys::CmdType::CMD_SELECT
                || (*query).hasModifyingCTE
                || !(*query).rowMarks.is_null()
                || pg_sys::contain_volatile_functions(query.cast())
            {
                return unsupported("a query that is not shipped");
            }
            let (mut columns, mut items, mut outer) = (vec![], vec![], vec![]);
            for entry in nodes::items::<pg_sys::TargetEntry>((*query).targetList) {
                if (*entry).resjunk {
                    continue;
                }
                let node = (*entry).expr.cast();
                let (oid, typmod) = (pg_sys::exprType(node), pg_sys::exprTypmod(node));
                if !is_shippable(oid, typmod) || oid == pg_sys::BPCHAROID {
                    return unsupported(format!(
                        "a query with a column of type {}",
                        catalog::type_name(oid, typmod)
                    ));
                }
                let position = columns.len();
                let name = super::query::column_name(&outer, (*entry).resname);
                columns.push((name.clone(), oid.to_u32(), typmod));
                items.push(sql!("c{} AS {}", position, sql::identifier(&name)));
                let decimal =
                    (oid == pg_sys::NUMERICOID).then(|| Decimal::of_typmod(typmod)).flatten();
                outer.push(Some(ItemColumn { name, decimal, inexact_scale: false }));
            }
            let number = self.ship(nodes::copy(query), columns, &Label::Query)?;
            let sql = read_shipped(items, number);
            Ok(super::query::Translated { sql, columns: outer, missing: vec![] })
        }
    }

    /// Plans a query whose rows are shipped; its number.
    ///
    /// # Safety
    /// A query of ours.
    unsafe fn ship(
        &mut self,
        query: *mut pg_sys::Query,
        columns: Vec<(String, u32, i32)>,
        label: &Label,
    ) -> Result<usize> {
        // SAFETY: by contract; the planner's own entry point.
        unsafe {
            let params = (*(*self.planner).glob).boundParams;
            let plan = pg_sys::planner(query, c"".as_ptr(), 0, params);
            let rows = (*(*plan).planTree).plan_rows;
            if rows > f64::from(guc::ship_rows()) {
                let label = label.name();
                return unsupported(format!("{label}: more rows than duckdb.ship_rows"));
            }
            let label = label.name().to_owned();
            self.ships.push(Ship { plan, columns, label, rows });
            Ok(self.ships.len() - 1)
        }
    }
}

/// The query that reads shipped rows.
fn read_shipped(items: Vec<Sql>, number: usize) -> Sql {
    let table = sql::word(&shipping::table_name(number));
    sql!("SELECT {} FROM temp.{}", table::select_list(items), table)
}

/// Whether rows of the type go to DuckDB and come back unchanged.
fn is_shippable(oid: pg_sys::Oid, typmod: i32) -> bool {
    match oid {
        pg_sys::NUMERICOID => Decimal::of_typmod(typmod).is_some(),
        pg_sys::BPCHAROID => typmod > 4,
        oid => is_plain_type(oid) && encoding::is_utf8(),
    }
}

/// The type, typmod and collation of a column of a range table entry.
///
/// # Safety
/// A live entry.
unsafe fn column_type(
    rte: *mut pg_sys::RangeTblEntry,
    number: i16,
) -> Option<(pg_sys::Oid, i32, pg_sys::Oid)> {
    // SAFETY: by contract; a dropped column is no column.
    unsafe {
        if (*rte).rtekind == pg_sys::RTEKind::RTE_RELATION {
            let (mut oid, mut typmod, mut collation) = (pg_sys::InvalidOid, -1, pg_sys::InvalidOid);
            pg_sys::get_atttypetypmodcoll(
                (*rte).relid,
                number,
                &raw mut oid,
                &raw mut typmod,
                &raw mut collation,
            );
            return (oid != pg_sys::InvalidOid).then_some((oid, typmod, collation));
        }
        // A function of one column: the usual set-returning function.
        let function = nodes::items::<pg_sys::RangeTblFunction>((*rte).functions).next()?;
        let node = (*function).funcexpr;
        let single = nodes::len((*rte).functions) == 1
            && !(*rte).funcordinality
            && nodes::len((*(*rte).eref).colnames) == 1
            && (*function).funccoltypes.is_null();
        (single && number == 1).then(|| {
            (pg_sys::exprType(node), pg_sys::exprTypmod(node), pg_sys::exprCollation(node))
        })
    }
}

/// Whether something refers to queries around it, of which there are at most `levels`.
///
/// # Safety
/// A live query or range table entry.
unsafe fn reads_outside(node: *mut pg_sys::Node, levels: usize) -> bool {
    // SAFETY: by contract.
    unsafe {
        if let Some(rte) = nodes::cast::<pg_sys::RangeTblEntry>(node, Tag::T_RangeTblEntry) {
            let functions = (*rte).functions.cast::<pg_sys::Node>();
            return nodes::walk(functions, &mut |node| {
                matches!((*node).type_, Tag::T_Var | Tag::T_Query | Tag::T_SubLink)
            });
        }
        let most = i32::try_from(levels).unwrap_or(i32::MAX);
        (1..=most).any(|level| pg_sys::contain_vars_of_level(node, level))
            || nodes::walk(node, &mut |node| {
                nodes::cast::<pg_sys::RangeTblEntry>(node, Tag::T_RangeTblEntry)
                    .is_some_and(|rte| (*rte).rtekind == pg_sys::RTEKind::RTE_CTE)
            })
    }
}

/// A SELECT of nothing yet.
///
/// # Safety
/// Within planning.
unsafe fn empty_query() -> *mut pg_sys::Query {
    // SAFETY: a zeroed node with its tag is a query.
    unsafe {
        let query = pg_sys::palloc0(size_of::<pg_sys::Query>()).cast::<pg_sys::Query>();
        (*query).type_ = Tag::T_Query;
        (*query).commandType = pg_sys::CmdType::CMD_SELECT;
        (*query).canSetTag = true;
        query
    }
}

/// A condition on one item as one on the only item of a query, sub-queries in it included.
///
/// # Safety
/// A live condition.
unsafe fn renumbered(condition: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: by contract; the visitor changes copies.
    unsafe {
        nodes::mutate(condition, &mut |node, depth| match nodes::cast::<pg_sys::Var>(
            node,
            Tag::T_Var,
        ) {
            Some(var) if (*var).varlevelsup == depth => {
                let other = pg_sys::makeVar(
                    1,
                    (*var).varattno,
                    (*var).vartype,
                    (*var).vartypmod,
                    (*var).varcollid,
                    depth,
                );
                nodes::Change::Into(other.cast())
            }
            _ => nodes::Change::Descend,
        })
    }
}

impl Translator {
    /// Gives a condition on one shipped item to PostgreSQL's side, where the item's rows are read:
    /// fewer rows are shipped. Only for items that no outer join extends with NULLs.
    ///
    /// # Safety
    /// A live condition of the innermost level.
    pub unsafe fn takes_condition(&mut self, condition: *mut pg_sys::Node) -> bool {
        // SAFETY: by contract.
        unsafe {
            let mut item = None;
            let mixed = nodes::walk(condition, &mut |node| match (*node).type_ {
                Tag::T_Var => {
                    let var = node.cast::<pg_sys::Var>();
                    let at = ((*var).varlevelsup == 0).then_some((*var).varno);
                    let other = at.is_none() || item.is_some_and(|known| Some(known) != at);
                    item = at;
                    other || (*var).varattno <= 0
                }
                Tag::T_SubLink | Tag::T_Aggref | Tag::T_WindowFunc | Tag::T_GroupingFunc => true,
                _ => false,
            });
            let Some(at) = item.filter(|_| !mixed) else { return false };
            if pg_sys::contain_volatile_functions(condition) {
                return false;
            }
            let Some(level) = self.levels.last_mut() else { return false };
            let plain = inner_items(level.query);
            if !plain.contains(&at) {
                return false;
            }
            let index = usize::try_from(at - 1).unwrap_or(usize::MAX);
            match level.items.get_mut(index) {
                Some(item) if matches!(item.text, ItemText::Shipped(_)) => {
                    item.own_conditions.push(condition);
                    true
                }
                _ => false,
            }
        }
    }
}

/// The items of a query's FROM clause that no outer join touches.
///
/// # Safety
/// A live query.
unsafe fn inner_items(query: *mut pg_sys::Query) -> Vec<i32> {
    // SAFETY: by contract; each cast follows the tag.
    unsafe {
        let mut found = vec![];
        let mut open: Vec<*mut pg_sys::Node> =
            nodes::items::<pg_sys::Node>((*(*query).jointree).fromlist).collect();
        while let Some(node) = open.pop() {
            if let Some(item) = nodes::cast::<pg_sys::RangeTblRef>(node, Tag::T_RangeTblRef) {
                found.push((*item).rtindex);
            } else if let Some(join) = nodes::cast::<pg_sys::JoinExpr>(node, Tag::T_JoinExpr)
                && (*join).jointype == pg_sys::JoinType::JOIN_INNER
            {
                open.push((*join).larg);
                open.push((*join).rarg);
            }
        }
        found
    }
}
