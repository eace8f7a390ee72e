//! Queries as DuckDB SQL: FROM, WHERE, GROUP BY, set operations, CTEs, sub-queries.

use std::rc::Rc;

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use super::aggregate::target_of;
use super::expression::{Decimal, Expression, MAX_WIDTH, check_groupable, is_known_at_start};
use super::literal;
use super::select::{self, Limit, Select};
use super::translator::{
    Cte, Item, ItemColumn, ItemText, Level, Result, Seen, Translator, Unsupported, unsupported,
};
use crate::lake::mixed;
use crate::lake::table::{self, LakeTable};
use crate::pg::acl;
use crate::pg::{catalog, nodes};
use crate::session::{self, Entry, access};
use crate::types::parameter;
use duck::policy::Expected;
use duck::sql::{Place, Sql};
use duck::{lexer, sql};

/// A query in DuckDB's SQL, with its columns.
pub struct Translated {
    pub sql: Sql,
    pub columns: Vec<Option<ItemColumn>>,
    /// Why columns are missing, by number from 1.
    pub missing: Vec<Missing>,
}

/// A column by its number, and why it is missing.
pub type Missing = (i16, Unsupported);

/// Conditions with what they need beside them, which EXPLAIN leaves out: see [`mixed`].
pub(super) fn with_companions(mut conditions: Vec<Sql>, companions: Vec<Sql>) -> Vec<Sql> {
    if let Some(last) = conditions.last_mut() {
        let mut known = vec![];
        for companion in companions {
            if !known.contains(&companion) {
                last.push(&sql!(" AND {}", companion).elided());
                known.push(companion);
            }
        }
    }
    conditions
}

/// How much of a query a text holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All but what the caller says: DISTINCT, ORDER BY, LIMIT.
    Whole,
    /// FROM, WHERE, GROUP BY, HAVING.
    Grouped,
    /// FROM and those conditions of WHERE that DuckDB may check.
    Joined,
}

impl Translator {
    /// A query inside of the part.
    ///
    /// # Errors
    /// What keeps it in PostgreSQL.
    ///
    /// # Safety
    /// A live query, which may be changed.
    pub unsafe fn query(&mut self, query: *mut pg_sys::Query) -> Result<Translated> {
        // SAFETY: by contract.
        unsafe {
            let translated = self.query_for_item(query)?;
            match translated.missing.into_iter().next() {
                Some((_, reason)) => Err(reason),
                None => Ok(Translated { missing: vec![], ..translated }),
            }
        }
    }

    /// A query in FROM, which may lack columns that DuckDB does not compute: perhaps nothing uses them.
    ///
    /// # Safety
    /// A live query, which may be changed.
    unsafe fn query_for_item(&mut self, query: *mut pg_sys::Query) -> Result<Translated> {
        // SAFETY: by contract.
        unsafe {
            self.enter(query)?;
            let made = self.query_in_level(query);
            let level = self.levels.pop();
            let (mut select, columns, missing) = made?;
            let level = level.ok_or(Unsupported::construct("a query"))?;
            self.finish_level(level, &mut select)?;
            Ok(Translated { sql: select.print(), columns, missing })
        }
    }

    /// A query inside of the part, or the rows of one that reads nothing of the lake.
    ///
    /// # Errors
    /// As [`Translator::query`].
    ///
    /// # Safety
    /// As [`Translator::query`].
    unsafe fn inner_query(&mut self, query: *mut pg_sys::Query) -> Result<Translated> {
        // SAFETY: by contract.
        unsafe {
            match self.attempt(|translator| translator.shipped_query(query)) {
                Ok(translated) => Ok(translated),
                Err(_) => self.query(query),
            }
        }
    }

    /// The same for a query in FROM.
    ///
    /// # Safety
    /// As [`Translator::query`].
    unsafe fn inner_item(&mut self, query: *mut pg_sys::Query) -> Result<Translated> {
        // SAFETY: by contract.
        unsafe {
            match self.attempt(|translator| translator.shipped_query(query)) {
                Ok(translated) => Ok(translated),
                Err(_) => self.query_for_item(query),
            }
        }
    }

    /// Opens a level for the query's FROM items.
    ///
    /// # Safety
    /// A live query.
    pub unsafe fn enter(&mut self, query: *mut pg_sys::Query) -> Result<()> {
        // SAFETY: by contract.
        unsafe {
            check_kind(query)?;
            let items = vec![Item::default(); nodes::len((*query).rtable)];
            self.levels.push(Level { query, items, aggregated: false, ctes: vec![] });
        }
        Ok(())
    }

    /// The SELECT of the innermost level, its columns, and which are missing.
    ///
    /// # Safety
    /// The innermost level is the query's.
    unsafe fn query_in_level(
        &mut self,
        query: *mut pg_sys::Query,
    ) -> Result<(Select, Vec<Option<ItemColumn>>, Vec<Missing>)> {
        // SAFETY: by contract.
        unsafe {
            let mut select = self.source(query, Extent::Whole)?.select;
            let mut columns: Vec<Option<ItemColumn>> = vec![];
            let mut missing = vec![];
            for entry in nodes::items::<pg_sys::TargetEntry>((*query).targetList) {
                if (*entry).resjunk {
                    continue;
                }
                let node = self.simplified((*entry).expr.cast());
                let made = self.attempt(|translator| {
                    let item = translator.expression(node)?;
                    check_output(node)?;
                    Ok(item)
                });
                let item = match made {
                    Ok(item) => item,
                    Err(reason) if may_lack(query, node) => {
                        missing.push(((*entry).resno, reason));
                        columns.push(None);
                        continue;
                    }
                    Err(reason) => return Err(reason),
                };
                let name = column_name(&columns, (*entry).resname);
                select.items.push(select::item(&typed(node, &item), &name));
                let Expression { decimal, inexact_scale, .. } = item;
                columns.push(Some(ItemColumn { name, decimal, inexact_scale }));
            }
            select.distinct = self.distinct(query)?;
            select.order = self.sort_keys((*query).sortClause, (*query).targetList)?;
            select.limit = self.limit(query)?;
            self.add_having(query, &mut select);
            Ok((select, columns, missing))
        }
    }

    /// LIMIT and OFFSET of numbers that are known, parameters of a custom plan among them.
    ///
    /// # Safety
    /// A live query.
    pub unsafe fn limit(&self, query: *mut pg_sys::Query) -> Result<Limit> {
        // SAFETY: by contract.
        unsafe {
            let mut limit = Limit::default();
            if (*query).limitCount.is_null() && (*query).limitOffset.is_null() {
                return Ok(limit);
            }
            if (*query).limitOption != pg_sys::LimitOption::LIMIT_OPTION_COUNT {
                return unsupported("FETCH FIRST … WITH TIES");
            }
            let clauses = [
                ("LIMIT", (*query).limitCount, &mut limit.rows),
                ("OFFSET", (*query).limitOffset, &mut limit.offset),
            ];
            for (word, node, number) in clauses {
                let node = self.simplified(node);
                if node.is_null() {
                    continue;
                }
                if let Some(constant) = nodes::cast::<pg_sys::Const>(node, Tag::T_Const)
                    && (*constant).constisnull
                {
                    continue;
                }
                match literal::integer(node) {
                    Some(rows) if rows >= 0 => *number = Some(rows),
                    _ => return unsupported(format!("{word} with a varying number")),
                }
            }
            Ok(limit)
        }
    }

    /// `DISTINCT`, `DISTINCT ON (…)`, or nothing.
    ///
    /// # Safety
    /// A live query, whose level is the innermost.
    pub unsafe fn distinct(&mut self, query: *mut pg_sys::Query) -> Result<Option<Sql>> {
        // SAFETY: by contract.
        unsafe {
            if (*query).distinctClause.is_null() {
                return Ok(None);
            }
            let mut keys = vec![];
            for clause in nodes::items::<pg_sys::SortGroupClause>((*query).distinctClause) {
                let node = target_of(clause, (*query).targetList)?;
                check_groupable(pg_sys::exprType(node), pg_sys::exprCollation(node))?;
                keys.push(node);
            }
            if !(*query).hasDistinctOn {
                return Ok(Some(sql!("DISTINCT")));
            }
            let mut texts = vec![];
            for key in keys {
                let key = self.simplified(key);
                texts.push(self.expression(key)?.sql);
            }
            Ok(Some(sql!("DISTINCT ON ({})", Sql::join(texts, ", "))))
        }
    }

    /// What stands behind the select list: FROM to HAVING.
    ///
    /// # Safety
    /// A live query, whose level is the innermost.
    pub unsafe fn source(&mut self, query: *mut pg_sys::Query, extent: Extent) -> Result<Source> {
        // SAFETY: by contract.
        unsafe {
            if !(*query).setOperations.is_null() {
                let mut select = Select::default();
                select.from.push(self.set_operations(query)?);
                return Ok(Source { select, remaining: vec![] });
            }
            let jointree = (*query).jointree;
            let mut select = Select::default();
            for item in nodes::items::<pg_sys::Node>((*jointree).fromlist) {
                select.from.push(self.item_of_from(item)?);
            }
            let remaining;
            (select.conditions, remaining) =
                self.conditions((*jointree).quals, true, extent == Extent::Joined)?;
            if extent == Extent::Whole {
                select.companion = self.companion_of_order(query);
            }
            if extent != Extent::Joined {
                select.groups = self.grouping(query)?;
                if !(*query).havingQual.is_null() {
                    select.having = self.conditions((*query).havingQual, false, false)?.0;
                }
            }
            Ok(Source { select, remaining })
        }
    }

    /// Conditions connected by AND. One that may raise an error is checked for those rows only that
    /// the others let through, as PostgreSQL, which checks them from the left, usually does.
    ///
    /// # Safety
    /// A live condition or NULL.
    pub unsafe fn conditions(
        &mut self,
        quals: *mut pg_sys::Node,
        in_where: bool,
        some: bool,
    ) -> Result<(Vec<Sql>, Vec<*mut pg_sys::Node>)> {
        // SAFETY: by contract.
        unsafe {
            let quals = self.simplified(quals);
            let list = pg_sys::make_ands_implicit(quals.cast());
            let (mut safe, mut risky, mut remaining) = (vec![], vec![], vec![]);
            let mut companions = vec![];
            // What may raise an error stays behind a condition that stays.
            let mut stays = false;
            if some {
                for qual in nodes::items::<pg_sys::Node>(list) {
                    stays |= !self.probe(|translator| translator.expression(qual));
                }
            }
            for qual in nodes::items::<pg_sys::Node>(list) {
                if in_where && self.takes_condition(qual) {
                    continue;
                }
                let seen = self.seen.len();
                let made = self.attempt(|translator| {
                    let made = translator.expression(qual)?;
                    if stays && made.risky {
                        return unsupported("a condition that may raise an error");
                    }
                    Ok(made)
                });
                match made {
                    Ok(condition) if condition.risky => {
                        self.risky_condition = true;
                        risky.push(condition.sql);
                    }
                    Ok(condition) => {
                        safe.push(condition.sql);
                        companions.extend(self.companions(qual, seen, in_where));
                    }
                    Err(_) if some && !pg_sys::contain_volatile_functions(qual) => {
                        remaining.push(qual)
                    }
                    Err(reason) => return Err(reason),
                }
            }
            if self.barrier && self.risky_condition {
                return unsupported(
                    "a condition that may raise an error, behind a security barrier",
                );
            }
            let mut known = safe.clone();
            for condition in risky {
                let guarded = if known.is_empty() {
                    condition.clone()
                } else {
                    let others = Sql::join(&known, " AND ");
                    sql!("CASE WHEN {} THEN {} ELSE false END", others, condition)
                };
                safe.push(guarded);
                known.push(condition);
            }
            Ok((with_companions(safe, companions), remaining))
        }
    }

    /// What a condition, whose columns were seen since, needs beside it: see [`mixed`].
    ///
    /// # Safety
    /// A live condition of the innermost level.
    pub(super) unsafe fn companions(
        &self,
        qual: *mut pg_sys::Node,
        since: usize,
        in_where: bool,
    ) -> Vec<Sql> {
        // SAFETY: by contract.
        unsafe {
            if !self.mixed || pg_sys::contain_agg_clause(qual) {
                return vec![];
            }
            let strict = !pg_sys::contain_nonstrict_functions(qual);
            let depth = self.levels.len().saturating_sub(1);
            let since = &self.seen[since.min(self.seen.len())..];
            let own: Vec<_> = since.iter().filter(|seen| seen.depth == depth).collect();
            // The two sides of a join: an outer join is not made by what looks at one side only.
            // Integers are left alone, since DuckDB compares whole numbers in all types alike.
            let joins = own.iter().any(|seen| seen.item != own[0].item);
            let integers = [pg_sys::INT2OID, pg_sys::INT4OID, pg_sys::INT8OID];
            let needs = |seen: &&&Seen| {
                mixed::is_cast(seen.type_oid)
                    && !(joins && (!in_where || integers.contains(&seen.type_oid)))
            };
            own.iter().filter(needs).map(|seen| mixed::companion(&seen.sql, strict)).collect()
        }
    }

    /// What the first key of an order needs, by which DuckDB may choose the first rows.
    ///
    /// # Safety
    /// A live query, whose level is the innermost.
    unsafe fn companion_of_order(&mut self, query: *mut pg_sys::Query) -> Option<Sql> {
        // SAFETY: by contract.
        unsafe {
            if !self.mixed || (*query).hasAggs || !(*query).groupClause.is_null() {
                return None;
            }
            let clause = nodes::items::<pg_sys::SortGroupClause>((*query).sortClause).next()?;
            let key = self.simplified(target_of(clause, (*query).targetList).ok()?);
            let var = nodes::cast::<pg_sys::Var>(key, Tag::T_Var)?;
            let sql = self.variable(var).ok()?.sql;
            mixed::is_cast((*var).vartype).then(|| mixed::companion(&sql, false))
        }
    }

    /// Adds what makes one row of all where constant folding has removed the aggregates.
    ///
    /// # Safety
    /// A live query, whose level is the innermost.
    pub unsafe fn add_having(&self, query: *mut pg_sys::Query, select: &mut Select) {
        // SAFETY: by contract.
        let makes_one_row = unsafe {
            ((*query).hasAggs || !(*query).havingQual.is_null())
                && (*query).groupClause.is_null()
                && (*query).groupingSets.is_null()
        };
        if makes_one_row && !self.levels.last().is_some_and(|level| level.aggregated) {
            select.having.insert(0, sql!("count(*) >= 0"));
        }
    }

    /// The keys of GROUP BY.
    ///
    /// # Safety
    /// A live query, whose level is the innermost.
    unsafe fn grouping(&mut self, query: *mut pg_sys::Query) -> Result<Vec<Sql>> {
        // SAFETY: by contract.
        unsafe {
            let mut keys = vec![];
            let targets = (*query).targetList;
            for clause in nodes::items::<pg_sys::SortGroupClause>((*query).groupClause) {
                let node = self.simplified(target_of(clause, targets)?);
                check_groupable(pg_sys::exprType(node), pg_sys::exprCollation(node))?;
                if is_known_at_start(node) {
                    return unsupported("GROUP BY a constant");
                }
            }
            if !(*query).groupingSets.is_null() {
                if (*query).groupClause.is_null() {
                    return unsupported("grouping sets of nothing");
                }
                if (*query).groupDistinct {
                    return unsupported("GROUP BY DISTINCT");
                }
                for set in nodes::items::<pg_sys::GroupingSet>((*query).groupingSets) {
                    keys.push(self.grouping_set(set, query)?);
                }
            } else {
                for clause in nodes::items::<pg_sys::SortGroupClause>((*query).groupClause) {
                    let node = self.simplified(target_of(clause, targets)?);
                    keys.push(self.expression(node)?.sql);
                }
            }
            Ok(keys)
        }
    }

    /// # Safety
    /// Live nodes.
    unsafe fn grouping_set(
        &mut self,
        set: *mut pg_sys::GroupingSet,
        query: *mut pg_sys::Query,
    ) -> Result<Sql> {
        // SAFETY: by contract.
        unsafe {
            use pg_sys::GroupingSetKind as Kind;
            let kind = (*set).kind;
            if kind == Kind::GROUPING_SET_EMPTY {
                return Ok(sql!("()"));
            }
            if kind == Kind::GROUPING_SET_SIMPLE {
                let mut keys = vec![];
                for reference in nodes::ints((*set).content) {
                    let entry = nodes::items::<pg_sys::TargetEntry>((*query).targetList)
                        .find(|entry| i32::try_from((**entry).ressortgroupref) == Ok(reference))
                        .ok_or(Unsupported::construct("a grouping set"))?;
                    let node = self.simplified((*entry).expr.cast());
                    keys.push(self.expression(node)?.sql);
                }
                return Ok(match keys.as_slice() {
                    [one] => one.clone(),
                    several => sql!("({})", Sql::join(several, ", ")),
                });
            }
            let mut inner = vec![];
            for set in nodes::items::<pg_sys::GroupingSet>((*set).content) {
                inner.push(self.grouping_set(set, query)?);
            }
            let word = match kind {
                Kind::GROUPING_SET_ROLLUP => "ROLLUP",
                Kind::GROUPING_SET_CUBE => "CUBE",
                _ => "GROUPING SETS",
            };
            Ok(sql!("{} ({})", word, Sql::join(inner, ", ")))
        }
    }

    /// # Safety
    /// A live node of the innermost level's join tree.
    unsafe fn item_of_from(&mut self, node: *mut pg_sys::Node) -> Result<Sql> {
        // SAFETY: by contract.
        unsafe {
            match (*node).type_ {
                Tag::T_RangeTblRef => {
                    let index = (*node.cast::<pg_sys::RangeTblRef>()).rtindex;
                    self.range_table_item(index)
                }
                Tag::T_JoinExpr => self.join(node.cast()),
                _ => unsupported("an item of the FROM clause"),
            }
        }
    }

    /// # Safety
    /// A live join of the innermost level.
    unsafe fn join(&mut self, join: *mut pg_sys::JoinExpr) -> Result<Sql> {
        // SAFETY: by contract.
        unsafe {
            use pg_sys::JoinType as Kind;
            let left = self.item_of_from((*join).larg)?;
            let right = self.item_of_from((*join).rarg)?;
            let (condition, _) = self.conditions((*join).quals, false, false)?;
            let word = match (*join).jointype {
                Kind::JOIN_INNER => "JOIN",
                Kind::JOIN_LEFT => "LEFT JOIN",
                Kind::JOIN_RIGHT => "RIGHT JOIN",
                Kind::JOIN_FULL => "FULL JOIN",
                _ => return unsupported("a join"),
            };
            let condition =
                if condition.is_empty() { sql!("true") } else { Sql::join(condition, " AND ") };
            Ok(sql!("({} {} {} ON {})", left, word, right, condition))
        }
    }

    /// # Safety
    /// The innermost level is live.
    unsafe fn range_table_item(&mut self, index: i32) -> Result<Sql> {
        // SAFETY: by contract.
        unsafe {
            let depth = self.levels.len() - 1;
            let query = self.levels[depth].query;
            let rte = pg_sys::list_nth((*query).rtable, index - 1).cast::<pg_sys::RangeTblEntry>();
            let name = if (*rte).eref.is_null() {
                String::new()
            } else {
                nodes::str_at((*(*rte).eref).aliasname)
            };
            use pg_sys::RTEKind as Kind;
            let item = match (*rte).rtekind {
                Kind::RTE_RELATION => self.relation(query, rte, &name)?,
                Kind::RTE_SUBQUERY => {
                    if (*rte).security_barrier {
                        self.barrier = true;
                    }
                    let lateral = (*rte).lateral;
                    let translated = self.inner_item((*rte).subquery)?;
                    let alias = self.alias(&name);
                    let word = if lateral { "LATERAL " } else { "" };
                    let name = sql::identifier(&alias);
                    let text = sql!("{}({}) AS {}", word, translated.sql, name);
                    Item {
                        alias,
                        columns: translated.columns.into(),
                        missing: translated.missing.into(),
                        text: ItemText::of(text),
                        ..Item::default()
                    }
                }
                Kind::RTE_CTE => self.cte_reference(rte, &name)?,
                Kind::RTE_VALUES => self.values(rte, &name)?,
                Kind::RTE_RESULT => {
                    let alias = self.alias("result");
                    let text = sql!("(SELECT 1) AS {}", sql::identifier(&alias));
                    Item { alias, text: ItemText::of(text), ..Item::default() }
                }
                Kind::RTE_FUNCTION => match self.query_call(rte, &name)? {
                    Some(item) => item,
                    None => self.shipped_entry(rte, &name)?,
                },
                _ => return unsupported("an item of the FROM clause"),
            };
            let Ok(place) = usize::try_from(index) else {
                return unsupported("an item of the FROM clause");
            };
            self.levels[depth].items[place - 1] = item;
            Ok(Sql::place(Place::Item(place)))
        }
    }

    /// # Safety
    /// Live nodes.
    unsafe fn relation(
        &mut self,
        query: *mut pg_sys::Query,
        rte: *mut pg_sys::RangeTblEntry,
        name: &str,
    ) -> Result<Item> {
        // SAFETY: by contract.
        unsafe {
            if !(*rte).tablesample.is_null() {
                return unsupported("TABLESAMPLE");
            }
            if !table::is_ours(rte) {
                return self.shipped_entry(rte, name);
            }
            if (*rte).inh && catalog::may_have_children((*rte).relid) {
                return unsupported("a foreign table with tables that inherit from it");
            }
            if catalog::has_virtual_columns((*rte).relid) {
                return unsupported("a foreign table with virtual generated columns");
            }
            let table = LakeTable::load((*rte).relid)
                .map_err(|error| Unsupported::construct(error.message()))?;
            self.read_as(catalog::checked_as(query, rte))?;
            self.servers.insert(table.server.to_u32());
            self.relations.push(table.name.clone());
            self.note_format(&table)?;
            self.mixed |= mixed::may_be(&table.origin);
            let alias = self.alias(name);
            let columns = table
                .columns
                .iter()
                .map(|column| {
                    let column = column.as_ref()?;
                    let attribute = &column.attribute;
                    let numeric = attribute.type_oid == pg_sys::NUMERICOID;
                    let decimal = numeric.then(|| Decimal::of_typmod(attribute.typmod)).flatten();
                    Some(ItemColumn { name: column.alias.clone(), decimal, inexact_scale: false })
                })
                .collect();
            Ok(Item { alias, columns, text: ItemText::Table((*rte).relid), ..Item::default() })
        }
    }

    /// `duckdb.query('…')` as an item, if the entry is one.
    ///
    /// # Safety
    /// A live function entry.
    unsafe fn query_call(
        &mut self,
        rte: *mut pg_sys::RangeTblEntry,
        name: &str,
    ) -> Result<Option<Item>> {
        // SAFETY: by contract; each cast follows the tag.
        unsafe {
            let functions: Vec<_> =
                nodes::items::<pg_sys::RangeTblFunction>((*rte).functions).collect();
            let [function] = functions.as_slice() else { return Ok(None) };
            let call = nodes::cast::<pg_sys::FuncExpr>((**function).funcexpr, Tag::T_FuncExpr);
            let ours = catalog::Objects::get();
            let (Some(call), Some(objects)) = (call, ours) else { return Ok(None) };
            if !objects.scans((*call).funcid) {
                return Ok(None);
            }
            let arguments: Vec<_> = nodes::items::<pg_sys::Node>((*call).args).collect();
            let text = match arguments.as_slice() {
                [text] if objects.query_by_name.contains(&(*call).funcid) => {
                    nodes::cast::<pg_sys::Const>(*text, Tag::T_Const)
                }
                _ => None,
            };
            let Some(text) = text.filter(|text| !(**text).constisnull && !(*rte).funcordinality)
            else {
                return unsupported("duckdb.query with parameters");
            };
            let text = pg_sys::text_to_cstring((*text).constvalue.cast_mut_ptr());
            let text = crate::pg::encoding::server_to_utf8(text);
            let text = lexer::without_terminator(&text).to_owned();
            if session::is_free(acl::current_role(), &text) {
                // It runs where it may read all, the tables where they may not.
                self.depends_on_role = true;
                return Ok(None);
            }
            if !lexer::is_subquery(&text) || text.contains(['$', '?', '\0']) {
                return unsupported("duckdb.query with such a text");
            }
            if !matches!(access::entry_of_role(), Ok(Entry::Query)) {
                return unsupported("duckdb.query without the right to it");
            }
            self.read_as(pg_sys::InvalidOid)?;
            let (cte, alias) = (self.alias("query"), self.alias(name));
            let mut columns: Vec<Option<ItemColumn>> = vec![];
            let mut items = vec![];
            let types = nodes::oids((**function).funccoltypes)
                .zip(nodes::ints((**function).funccoltypmods));
            let names = nodes::items::<pg_sys::Node>((**function).funccolnames);
            for (label, (oid, typmod)) in names.zip(types) {
                let label = nodes::server_string_value(label);
                if columns
                    .iter()
                    .flatten()
                    .any(|other| other.name.to_lowercase() == label.to_lowercase())
                {
                    return unsupported("duckdb.query with two columns of one name");
                }
                let quoted = sql::identifier(&label);
                let what = format!("column {} of a DuckDB query", quoted.executed());
                let held = table::held_to_type(&quoted, oid, typmod, &what)
                    .map_err(|error| Unsupported::construct(error.message()))?;
                items.push(sql!("{} AS {}", held, quoted));
                let decimal =
                    (oid == pg_sys::NUMERICOID).then(|| Decimal::of_typmod(typmod)).flatten();
                columns.push(Some(ItemColumn { name: label, decimal, inexact_scale: false }));
            }
            let read = sql!(
                "(SELECT {} FROM {}) AS {}",
                table::select_list(items),
                sql::identifier(&cte),
                sql::identifier(&alias)
            );
            self.texts.push((cte, text));
            let columns = columns.into();
            Ok(Some(Item { alias, columns, text: ItemText::of(read), ..Item::default() }))
        }
    }

    /// A statement cannot read both Iceberg or Delta tables and patterns of files.
    fn note_format(&mut self, table: &LakeTable) -> Result<()> {
        use crate::lake::options::Format;
        let Some(source) = table.origin.files() else { return Ok(()) };
        match source.format {
            Format::Iceberg | Format::Delta => self.reads_lake_format = true,
            _ => {
                self.reads_pattern |=
                    source.paths.iter().any(|path| path.contains(['*', '?', '[']));
            }
        }
        if self.reads_lake_format && self.reads_pattern {
            return unsupported("an Iceberg or Delta table beside a pattern of files");
        }
        Ok(())
    }

    /// # Safety
    /// Live nodes.
    unsafe fn values(&mut self, rte: *mut pg_sys::RangeTblEntry, name: &str) -> Result<Item> {
        // SAFETY: by contract.
        unsafe {
            let mut rows = vec![];
            for row in nodes::items::<pg_sys::List>((*rte).values_lists) {
                let mut cells = vec![];
                for cell in nodes::items::<pg_sys::Node>(row) {
                    let cell = self.simplified(cell);
                    cells.push(self.expression(cell)?);
                }
                rows.push(cells);
            }
            let width = rows.first().map_or(0, Vec::len);
            let types: Vec<_> = nodes::oids((*rte).coltypes).collect();
            let mut columns: Vec<Option<ItemColumn>> = vec![];
            for at in 0..width {
                let mut unified: Option<Decimal> = None;
                if types.get(at) == Some(&pg_sys::NUMERICOID) {
                    for row in &rows {
                        let decimal = row[at]
                            .decimal
                            .ok_or(Unsupported::construct("a numeric of unknown precision"))?;
                        unified = Some(unified.map_or(decimal, |known| known.unify(decimal)));
                    }
                }
                let cells: Vec<_> = rows.iter().map(|row| row[at].clone()).collect();
                let inexact_scale = unified.is_some() && Expression::scales_vary(&cells);
                if let Some(decimal) = unified {
                    for row in &mut rows {
                        row[at].sql = row[at].to_decimal(decimal);
                    }
                }
                let name = format!("c{}", at + 1);
                columns.push(Some(ItemColumn { name, decimal: unified, inexact_scale }));
            }
            let rows: Vec<_> = rows.iter().map(|row| sql!("({})", Sql::join(row, ", "))).collect();
            let names = columns.iter().flatten().map(|c| sql::word(&c.name));
            let alias = self.alias(name);
            let text = sql!(
                "(VALUES {}) AS {}({})",
                Sql::join(rows, ", "),
                sql::identifier(&alias),
                Sql::join(names, ", ")
            );
            let columns = columns.into();
            Ok(Item { alias, columns, text: ItemText::of(text), ..Item::default() })
        }
    }

    /// # Safety
    /// Live nodes.
    unsafe fn cte_reference(
        &mut self,
        rte: *mut pg_sys::RangeTblEntry,
        name: &str,
    ) -> Result<Item> {
        // SAFETY: by contract.
        unsafe {
            let up = usize::try_from((*rte).ctelevelsup).unwrap_or(usize::MAX);
            let Some(depth) = self.levels.len().checked_sub(up.saturating_add(1)) else {
                return unsupported("a CTE of an outer query");
            };
            let wanted = nodes::str_at((*rte).ctename);
            if (*rte).self_reference {
                return unsupported("a recursive CTE");
            }
            let known = self.levels[depth].ctes.iter().find(|cte| cte.name == wanted).cloned();
            let cte = match known {
                Some(cte) => cte,
                None => {
                    let list = (*self.levels[depth].query).cteList;
                    let found = nodes::items::<pg_sys::CommonTableExpr>(list)
                        .find(|cte| nodes::str_at((**cte).ctename) == wanted)
                        .ok_or(Unsupported::construct("a CTE"))?;
                    if (*found).cterecursive {
                        return unsupported("a recursive CTE");
                    }
                    // A CTE sees the levels around its own query.
                    let inner = self.levels.split_off(depth + 1);
                    let made = self.inner_item((*found).ctequery.cast());
                    self.levels.extend(inner);
                    let Translated { sql, columns, missing } = made?;
                    let alias = self.alias(&wanted);
                    let cte = Cte {
                        name: wanted,
                        alias,
                        columns: columns.into(),
                        missing: missing.into(),
                        text: Rc::new(sql!("({})", sql)),
                    };
                    self.levels[depth].ctes.push(cte.clone());
                    cte
                }
            };
            let alias = self.alias(name);
            let text = sql!("{} AS {}", sql::identifier(&cte.alias), sql::identifier(&alias));
            let Cte { columns, missing, .. } = cte;
            Ok(Item { alias, columns, missing, text: ItemText::of(text), ..Item::default() })
        }
    }

    /// `(… UNION …) AS …` of a query whose rows come from set operations.
    ///
    /// # Safety
    /// A live query, whose level is the innermost.
    unsafe fn set_operations(&mut self, query: *mut pg_sys::Query) -> Result<Sql> {
        // SAFETY: by contract.
        unsafe {
            let (sql, columns) = self.set_operation((*query).setOperations)?;
            let alias = self.alias("united");
            // The query's own columns refer to those of its leftmost part.
            let mut node = (*query).setOperations;
            while let Some(set) =
                nodes::cast::<pg_sys::SetOperationStmt>(node, Tag::T_SetOperationStmt)
            {
                node = (*set).larg;
            }
            let reference = node.cast::<pg_sys::RangeTblRef>();
            let at = usize::try_from((*reference).rtindex - 1).unwrap_or(0);
            let depth = self.levels.len() - 1;
            self.levels[depth].items[at] =
                Item { alias: alias.clone(), columns: columns.into(), ..Item::default() };
            Ok(sql!("({}) AS {}", sql, sql::identifier(&alias)))
        }
    }

    /// # Safety
    /// A live node of a tree of set operations.
    unsafe fn set_operation(
        &mut self,
        node: *mut pg_sys::Node,
    ) -> Result<(Sql, Vec<Option<ItemColumn>>)> {
        // SAFETY: by contract.
        unsafe {
            if let Some(leaf) = nodes::cast::<pg_sys::RangeTblRef>(node, Tag::T_RangeTblRef) {
                let query = self.levels[self.levels.len() - 1].query;
                let rte = pg_sys::list_nth((*query).rtable, (*leaf).rtindex - 1)
                    .cast::<pg_sys::RangeTblEntry>();
                if (*rte).rtekind != pg_sys::RTEKind::RTE_SUBQUERY {
                    return unsupported("a part of a set operation");
                }
                let translated = self.query((*rte).subquery)?;
                return Ok((translated.sql, translated.columns));
            }
            let set = node.cast::<pg_sys::SetOperationStmt>();
            let types: Vec<_> = nodes::oids((*set).colTypes).collect();
            for side in [(*set).larg, (*set).rarg] {
                let level = &self.levels[self.levels.len() - 1];
                let loses_blanks = column_types(level.query, side)
                    .into_iter()
                    .zip(&types)
                    .any(|(own, common)| own == pg_sys::BPCHAROID && own != *common);
                if loses_blanks {
                    return unsupported("a set operation of character with another type");
                }
            }
            let (left, columns) = self.set_operation((*set).larg)?;
            let (right, others) = self.set_operation((*set).rarg)?;
            let collations: Vec<_> = nodes::oids((*set).colCollations).collect();
            let all = (*set).all;
            let mut unified = vec![];
            for (at, (own, other)) in
                columns.into_iter().flatten().zip(others.into_iter().flatten()).enumerate()
            {
                if !all || (*set).op != pg_sys::SetOperation::SETOP_UNION {
                    check_groupable(types[at], collations[at])?;
                }
                let mut inexact_scale = own.inexact_scale || other.inexact_scale;
                let decimal = if types[at] == pg_sys::NUMERICOID {
                    let unknown = || Unsupported::construct("a numeric of unknown precision");
                    let (own, other) =
                        (own.decimal.ok_or_else(unknown)?, other.decimal.ok_or_else(unknown)?);
                    inexact_scale |= own.scale != other.scale;
                    Some(own.unify(other))
                } else {
                    None
                };
                unified.push(Some(ItemColumn { name: own.name, decimal, inexact_scale }));
            }
            let word = match (*set).op {
                pg_sys::SetOperation::SETOP_UNION => "UNION",
                pg_sys::SetOperation::SETOP_INTERSECT => "INTERSECT",
                _ => "EXCEPT",
            };
            let all = if all { " ALL" } else { "" };
            Ok((sql!("(({}) {}{} ({}))", left, word, all, right), unified))
        }
    }

    /// # Safety
    /// A live sub-query expression.
    pub unsafe fn sublink(&mut self, link: *mut pg_sys::SubLink) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            use pg_sys::SubLinkType as Kind;
            let kind = (*link).subLinkType;
            if !matches!(
                kind,
                Kind::EXISTS_SUBLINK | Kind::EXPR_SUBLINK | Kind::ANY_SUBLINK | Kind::ALL_SUBLINK
            ) {
                return unsupported("a sub-query of this form");
            }
            let query = (*link).subselect.cast::<pg_sys::Query>();
            let translated = if kind == Kind::EXISTS_SUBLINK {
                self.query(without_unused_targets(query))?
            } else {
                self.inner_query(query)?
            };
            if kind == Kind::EXISTS_SUBLINK {
                return Ok(Expression::new(sql!("EXISTS ({})", translated.sql)));
            }
            if kind == Kind::EXPR_SUBLINK {
                let column = translated.columns.first().cloned().flatten();
                let column = column.ok_or(Unsupported::construct("a sub-query without columns"))?;
                return Ok(Expression {
                    sql: sql!("({})", translated.sql),
                    decimal: column.decimal,
                    inexact_scale: column.inexact_scale,
                    ..Expression::default()
                });
            }
            let test = nodes::cast::<pg_sys::OpExpr>((*link).testexpr, Tag::T_OpExpr)
                .ok_or(Unsupported::construct("a sub-query compared with several columns"))?;
            let operands: Vec<_> = nodes::items::<pg_sys::Node>((*test).args).collect();
            let [left, right] = operands.as_slice() else { return unsupported("a sub-query") };
            let alias = self.alias("compared");
            let columns = translated.columns.iter().flatten().map(|column| column.of(&alias));
            self.sublink_columns.push(columns.collect());
            let made = self.expression(test.cast());
            let common = self.common_type(*left, *right);
            self.sublink_columns.pop();
            let (made, common) = (made?, common?);
            let Some(comparison) = made.comparison.as_deref() else {
                return unsupported("a sub-query compared in this way");
            };
            let operator = comparison.operator;
            let word = if kind == Kind::ANY_SUBLINK { "ANY" } else { "ALL" };
            // DuckDB would cast the left side to the type of the right one.
            let cast = |sql: &Sql| match &common {
                Some(common) => sql!("CAST({} AS {})", sql, common),
                None => sql.clone(),
            };
            let sql = sql!(
                "({} {} {} (SELECT {} FROM ({}) AS {}))",
                cast(&comparison.left),
                operator,
                word,
                cast(&comparison.right),
                translated.sql,
                sql::identifier(&alias)
            );
            Ok(Expression::new(sql).with(&[&made]))
        }
    }

    /// The type in which two sides are compared whose DuckDB types differ.
    ///
    /// # Safety
    /// Live expressions of the innermost level.
    unsafe fn common_type(
        &mut self,
        left: *mut pg_sys::Node,
        right: *mut pg_sys::Node,
    ) -> Result<Option<Sql>> {
        // SAFETY: by contract.
        unsafe {
            let types = [pg_sys::exprType(left), pg_sys::exprType(right)];
            if types == [pg_sys::NUMERICOID; 2] {
                let sides = [self.expression(left)?.decimal, self.expression(right)?.decimal];
                let [Some(left), Some(right)] = sides else {
                    return unsupported("a numeric of unknown precision");
                };
                if left == right {
                    return Ok(None);
                }
                let integral = (left.width - left.scale).max(right.width - right.scale);
                let scale = left.scale.max(right.scale);
                if integral + scale > MAX_WIDTH {
                    return unsupported("a comparison of numerics of more than 38 digits");
                }
                return Ok(Some(sql!("{}", Decimal::new(integral + scale, scale))));
            }
            let integers = [pg_sys::INT2OID, pg_sys::INT4OID, pg_sys::INT8OID];
            if types[0] == types[1] {
                return Ok(None);
            }
            if types.iter().all(|oid| integers.contains(oid)) {
                return Ok(Some(sql!("BIGINT")));
            }
            let floats = [pg_sys::FLOAT4OID, pg_sys::FLOAT8OID];
            if types.iter().all(|oid| floats.contains(oid)) {
                return Ok(Some(sql!("DOUBLE")));
            }
            unsupported("a sub-query compared with a value of another type")
        }
    }

    /// Puts the items in, and the CTEs before the query.
    ///
    /// # Errors
    /// A table that cannot be read.
    ///
    /// # Safety
    /// The level was left just now.
    pub unsafe fn finish_level(&mut self, level: Level, select: &mut Select) -> Result<()> {
        let mut items = vec![];
        for (at, item) in level.items.iter().enumerate() {
            let sql = match &item.text {
                ItemText::None => continue,
                ItemText::Text(text) => Sql::clone(text),
                ItemText::Shipped(label) => {
                    // SAFETY: by contract.
                    unsafe { self.shipped_text(&level, at, label)? }
                }
                ItemText::Table(relation) => {
                    // SAFETY: by contract.
                    unsafe { self.table_text(&level, at, *relation, item)? }
                }
            };
            items.push((at + 1, sql));
        }
        select.place(&items);
        let ctes = level.ctes.iter().map(|cte| (cte.alias.clone(), Sql::clone(&cte.text)));
        select.ctes.extend(ctes);
        Ok(())
    }

    /// The queries that read the part's tables. All places that read a table read the same columns of
    /// it, whichever they use, so that DuckDB sees where the same is computed twice.
    ///
    /// # Errors
    /// A table that cannot be read.
    pub fn with_tables(&self, sql: &Sql) -> Result<Sql> {
        let mut tables = vec![];
        for (relation, numbers) in &self.columns {
            let numbers: Vec<_> = numbers.iter().copied().collect();
            let select = LakeTable::load(pg_sys::Oid::from(*relation))
                .and_then(|table| table.select(&numbers))
                .map_err(|error| Unsupported::construct(error.message()))?;
            tables.push((*relation, select));
        }
        let sql = sql.placed(&|place| match place {
            Place::Table(wanted) => {
                tables.iter().find(|(oid, _)| *oid == wanted).map(|(_, sql)| sql.clone())
            }
            Place::Item(_) => None,
        });
        if sql.has_places() {
            return unsupported("an item of the FROM clause");
        }
        Ok(sql)
    }

    /// What the finished SQL uses.
    ///
    /// # Errors
    /// As [`Translator::with_tables`].
    pub fn expected(&self) -> Result<Expected> {
        let mut expected = Expected {
            shipped: !self.ships.is_empty(),
            texts: self.texts.iter().map(|(_, text)| text.clone()).collect(),
            ..Expected::default()
        };
        for relation in self.columns.keys() {
            let table = LakeTable::load(pg_sys::Oid::from(*relation));
            let used = table.and_then(|table| table.origin.expected());
            expected.extend(used.map_err(|error| Unsupported::construct(error.message()))?);
        }
        Ok(expected)
    }

    /// # Safety
    /// A live level.
    unsafe fn table_text(
        &mut self,
        level: &Level,
        at: usize,
        relation: pg_sys::Oid,
        item: &Item,
    ) -> Result<Sql> {
        // SAFETY: by contract.
        unsafe {
            let index = i32::try_from(at).unwrap_or(0);
            let rte =
                pg_sys::list_nth((*level.query).rtable, index).cast::<pg_sys::RangeTblEntry>();
            let alias = sql::identifier(&item.alias);
            let mut used = item.used.clone();
            let mut conditions = vec![];
            if !(*rte).securityQuals.is_null() {
                // Policies come before everything else.
                self.barrier = true;
                let mut items = level.items.clone();
                items[at].used.clear();
                self.levels.push(Level {
                    query: level.query,
                    items,
                    aggregated: false,
                    ctes: vec![],
                });
                for quals in nodes::items::<pg_sys::Node>((*rte).securityQuals) {
                    let made = self.conditions(quals, false, false);
                    match made {
                        Ok((made, _)) => conditions.extend(made),
                        Err(reason) => {
                            self.levels.pop();
                            return Err(reason);
                        }
                    }
                }
                if let Some(inner) = self.levels.pop() {
                    used.extend(&inner.items[at].used);
                }
                if self.risky_condition {
                    return unsupported(
                        "a condition that may raise an error, behind a security barrier",
                    );
                }
            }
            self.columns.entry(relation.to_u32()).or_default().extend(used);
            let table = sql!("({}) AS {}", Sql::place(Place::Table(relation.to_u32())), alias);
            if conditions.is_empty() {
                return Ok(table);
            }
            let conditions = Sql::join(conditions, " AND ");
            Ok(sql!("(SELECT * FROM {} WHERE {}) AS {}", table, conditions, alias))
        }
    }
}

/// A query from FROM to HAVING, and the conditions that are left out of it.
pub struct Source {
    pub select: Select,
    pub remaining: Vec<*mut pg_sys::Node>,
}

/// Whether the query is one that may be translated at all.
///
/// # Safety
/// A live query.
unsafe fn check_kind(query: *mut pg_sys::Query) -> Result<()> {
    // SAFETY: by contract.
    unsafe {
        if (*query).commandType != pg_sys::CmdType::CMD_SELECT || !(*query).utilityStmt.is_null() {
            return unsupported("a statement other than SELECT");
        }
        if (*query).hasModifyingCTE {
            return unsupported("a CTE that changes data");
        }
        if (*query).hasTargetSRFs {
            return unsupported("a set-returning function in the select list");
        }
        if !(*query).rowMarks.is_null() {
            return unsupported("FOR UPDATE and the like");
        }
    }
    Ok(())
}

/// An output column in SQL. What a parameter's NULL makes NULL as a whole keeps its type.
///
/// # Safety
/// A live expression.
#[must_use]
pub unsafe fn typed(node: *mut pg_sys::Node, made: &Expression) -> Sql {
    // SAFETY: by contract.
    let (oid, typmod) = unsafe { (pg_sys::exprType(node), pg_sys::exprTypmod(node)) };
    if !made.sql.has_parameters() {
        return made.sql.clone();
    }
    match (made.decimal, parameter::duck_type(oid, typmod)) {
        (Some(decimal), _) => made.to_decimal_by_cast(decimal),
        (None, Ok(duck_type)) if oid != pg_sys::NUMERICOID => {
            sql!("CAST({} AS {})", made, duck_type)
        }
        _ => made.sql.clone(),
    }
}

/// Whether DuckDB's value of an expression is PostgreSQL's to the last blank.
///
/// # Errors
/// A char(n) that is not a column as it is.
///
/// # Safety
/// A live expression.
pub unsafe fn check_output(node: *mut pg_sys::Node) -> Result<()> {
    // SAFETY: by contract.
    unsafe {
        if pg_sys::exprType(node) == pg_sys::BPCHAROID && !nodes::is_a(node, Tag::T_Var) {
            return unsupported("an expression of type character");
        }
    }
    Ok(())
}

/// Whether a query in FROM has the same rows without a column. PostgreSQL keeps unused columns of
/// volatile functions, for what these do.
///
/// # Safety
/// A live query and an expression of its select list.
unsafe fn may_lack(query: *mut pg_sys::Query, column: *mut pg_sys::Node) -> bool {
    // SAFETY: by contract.
    unsafe {
        let grouped = !(*query).groupClause.is_null();
        (*query).distinctClause.is_null()
            && (*query).setOperations.is_null()
            && (grouped || !(*query).hasAggs && (*query).havingQual.is_null())
            && !pg_sys::contain_volatile_functions(column)
    }
}

/// The types of the columns of a part of a set operation, before they are given one type.
///
/// # Safety
/// A live query and a node of its tree of set operations.
unsafe fn column_types(query: *mut pg_sys::Query, node: *mut pg_sys::Node) -> Vec<pg_sys::Oid> {
    // SAFETY: by contract; each cast follows the tag.
    unsafe {
        if let Some(set) = nodes::cast::<pg_sys::SetOperationStmt>(node, Tag::T_SetOperationStmt) {
            return nodes::oids((*set).colTypes).collect();
        }
        let Some(leaf) = nodes::cast::<pg_sys::RangeTblRef>(node, Tag::T_RangeTblRef) else {
            return vec![];
        };
        let rte =
            pg_sys::list_nth((*query).rtable, (*leaf).rtindex - 1).cast::<pg_sys::RangeTblEntry>();
        if (*rte).subquery.is_null() {
            return vec![];
        }
        nodes::items::<pg_sys::TargetEntry>((*(*rte).subquery).targetList)
            .filter(|entry| !(**entry).resjunk)
            .map(|entry| pg_sys::exprType((*entry).expr.cast()))
            .collect()
    }
}

/// The query of an EXISTS, whose select list counts for nothing where it does not decide which rows
/// there are.
///
/// # Safety
/// A live query.
unsafe fn without_unused_targets(query: *mut pg_sys::Query) -> *mut pg_sys::Query {
    // SAFETY: by contract; the copy is flat.
    unsafe {
        let lists = [
            (*query).groupClause,
            (*query).groupingSets,
            (*query).distinctClause,
            (*query).sortClause,
        ];
        let decides = (*query).hasAggs
            || (*query).hasWindowFuncs
            || (*query).hasTargetSRFs
            || !(*query).setOperations.is_null()
            || !(*query).havingQual.is_null()
            || lists.iter().any(|list| !list.is_null());
        if decides {
            return query;
        }
        let copy = pg_sys::palloc(size_of::<pg_sys::Query>()).cast::<pg_sys::Query>();
        copy.copy_from_nonoverlapping(query, 1);
        (*copy).targetList = std::ptr::null_mut();
        copy
    }
}

/// A name for an output column: its own, if no other has it.
///
/// # Safety
/// `name` is NULL or NUL-terminated.
pub unsafe fn column_name(columns: &[Option<ItemColumn>], name: *const std::ffi::c_char) -> String {
    let own = if name.is_null() {
        String::new()
    } else {
        // SAFETY: by contract.
        unsafe { crate::pg::encoding::server_to_utf8(name) }
    };
    let taken = |name: &str| {
        columns.iter().flatten().any(|column| column.name.to_lowercase() == name.to_lowercase())
    };
    let usable = !own.is_empty() && own != "?column?";
    if usable && !taken(&own) {
        return own;
    }
    let mut number = columns.len() + 1;
    loop {
        let name = format!("c{number}");
        if !taken(&name) {
            return name;
        }
        number += 1;
    }
}
