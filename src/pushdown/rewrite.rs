//! Which parts of a query are pushed down, and the query that is left for PostgreSQL.
//!
//! Tried are, for a query and then for the queries in it: all of it; all but DISTINCT, window
//! functions, ORDER BY and LIMIT; its joins. An expression of the select list that DuckDB does not
//! compute as PostgreSQL does is computed by PostgreSQL from the largest parts of it that DuckDB
//! does. The relations of a part stay in the range table, so that PostgreSQL goes on checking rights
//! to them, locking them, and planning anew when they change.

use std::ffi::c_char;

use duck::policy::Expected;
use duck::sql;
use duck::sql::{Place, Sql};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use super::aggregate::target_of;
use super::expression::{Decimal, Expression, is_known_at_start};
use super::functions;
use super::late;
use super::modify;
use super::part::{self, Part, Plain, Scope};
use super::query::{self, Extent, Source};
use super::select::{self, Select};
use super::translator::{ItemColumn, ItemText, Result, Translator, Unsupported, unsupported};
use crate::lake::table;
use crate::pg::catalog::Objects;
use crate::pg::nodes::Change;
use crate::pg::{acl, hook, nodes};
use crate::session;

/// Whether a query is to go to [`planner()`].
///
/// # Safety
/// A live query.
#[must_use]
pub unsafe fn concerns(query: *mut pg_sys::Query) -> bool {
    late::note_hook();
    // SAFETY: by contract.
    part::is_enabled() && unsafe { table::reads_tables(query) }
}

/// Plans a query: PostgreSQL's planner, over what is left when DuckDB's parts are taken out.
///
/// # Safety
/// The planner hook's own arguments.
pub unsafe fn planner(
    query: *mut pg_sys::Query,
    query_string: *const c_char,
    cursor_options: i32,
    params: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: by contract; the planner may scribble on its query, and so may we.
    unsafe {
        // In a database of version 0.1.0 there is nothing to put in a part's place.
        let objects = Objects::get().filter(|objects| objects.pushed[0] != pg_sys::InvalidOid);
        let Some(objects) = objects else {
            return hook::prev_planner_guarded(query, query_string, cursor_options, params);
        };
        let _scope = Scope::open();
        let glob =
            pg_sys::palloc0(size_of::<pg_sys::PlannerGlobal>()).cast::<pg_sys::PlannerGlobal>();
        (*glob).type_ = Tag::T_PlannerGlobal;
        (*glob).boundParams = params;
        let root = pg_sys::palloc0(size_of::<pg_sys::PlannerInfo>()).cast::<pg_sys::PlannerInfo>();
        (*root).type_ = Tag::T_PlannerInfo;
        (*root).glob = glob;
        (*root).parse = query;
        let mut rewriter =
            Rewriter { pushed: objects.pushed, root, depends_on_role: false, complete: false };
        let direct = modify::prepare(&mut rewriter, query);
        let is_direct = direct.is_some();
        let _statement = modify::Scope::open(direct);
        let query = if is_direct { query } else { rewriter.rewrite(query) };
        let planned = hook::prev_planner_guarded(query, query_string, cursor_options, params);
        // What was inlined while translating makes the plan stale when it changes.
        (*planned).invalItems = pg_sys::list_concat((*planned).invalItems, (*glob).invalItems);
        (*planned).relationOids =
            pg_sys::list_concat((*planned).relationOids, (*glob).relationOids);
        (*planned).dependsOnRole |= rewriter.depends_on_role;
        planned
    }
}

pub(super) struct Rewriter {
    pushed: [pg_sys::Oid; 2],
    root: *mut pg_sys::PlannerInfo,
    depends_on_role: bool,
    /// Constants and parameters are the part's as well.
    complete: bool,
}

/// A part's rows in DuckDB's SQL.
struct Rows {
    sql: Sql,
    has_limit: bool,
    plain: Option<Plain>,
    expected: Expected,
}

/// One output column of a part.
struct Output {
    /// What it is in PostgreSQL.
    node: *mut pg_sys::Node,
    sql: Sql,
    column: ItemColumn,
}

impl Rewriter {
    /// # Safety
    /// A live query, which may be changed.
    unsafe fn rewrite(&mut self, query: *mut pg_sys::Query) -> *mut pg_sys::Query {
        // SAFETY: by contract.
        unsafe {
            if !table::reads_tables(query) {
                return query;
            }
            if (*query).commandType == pg_sys::CmdType::CMD_SELECT && (*query).utilityStmt.is_null()
            {
                for extent in [Extent::Whole, Extent::Grouped, Extent::Joined] {
                    match self.part(query, extent) {
                        Ok(outer) => {
                            self.rewrite_children(outer);
                            return outer;
                        }
                        Err(unsupported) => part::add_reason(unsupported),
                    }
                }
            }
            self.rewrite_children(query);
            query
        }
    }

    /// # Safety
    /// A live query, which may be changed.
    unsafe fn rewrite_children(&mut self, query: *mut pg_sys::Query) {
        // SAFETY: by contract; the walk does not see what is put in place of a sub-query.
        unsafe {
            for rte in nodes::items::<pg_sys::RangeTblEntry>((*query).rtable) {
                if (*rte).rtekind == pg_sys::RTEKind::RTE_SUBQUERY
                    && !(*rte).subquery.is_null()
                    && !is_plain((*rte).subquery)
                {
                    (*rte).subquery = self.rewrite((*rte).subquery);
                }
            }
            for cte in nodes::items::<pg_sys::CommonTableExpr>((*query).cteList) {
                if let Some(inner) = nodes::cast::<pg_sys::Query>((*cte).ctequery, Tag::T_Query) {
                    (*cte).ctequery = self.rewrite(inner).cast();
                }
            }
            if !(*query).hasSubLinks {
                return;
            }
            let mut links = vec![];
            let expressions = [
                (*query).targetList.cast::<pg_sys::Node>(),
                (*query).jointree.cast(),
                (*query).havingQual,
                (*query).limitCount,
                (*query).limitOffset,
            ];
            for expression in expressions {
                nodes::walk(expression, &mut |node| {
                    if let Some(link) = nodes::cast::<pg_sys::SubLink>(node, Tag::T_SubLink) {
                        links.push(link);
                    }
                    false
                });
            }
            for link in links {
                let inner = nodes::cast::<pg_sys::Query>((*link).subselect, Tag::T_Query);
                if let Some(inner) = inner {
                    (*link).subselect = self.rewrite(inner).cast();
                }
            }
        }
    }

    /// The query as one part that gives all its values, constants among them.
    ///
    /// # Errors
    /// What keeps it in PostgreSQL.
    ///
    /// # Safety
    /// A live query.
    pub(super) unsafe fn complete_part(
        &mut self,
        query: *mut pg_sys::Query,
    ) -> Result<*mut pg_sys::Query> {
        self.complete = true;
        // SAFETY: by contract.
        let made = unsafe { self.part(query, Extent::Whole) };
        self.complete = false;
        made
    }

    /// The query with the part of the given extent taken out.
    ///
    /// # Errors
    /// What keeps it in PostgreSQL.
    ///
    /// # Safety
    /// A live query, which is left as it is.
    unsafe fn part(
        &mut self,
        original: *mut pg_sys::Query,
        extent: Extent,
    ) -> Result<*mut pg_sys::Query> {
        // SAFETY: by contract; everything happens in a copy.
        unsafe {
            if extent != Extent::Whole && !(*original).setOperations.is_null() {
                return unsupported("a set operation");
            }
            if is_deep(original) {
                return unsupported("an expression that is nested too deeply");
            }
            if extent == Extent::Joined && is_single_table(original) {
                // PostgreSQL's own scan does the same, and knows how many rows there are.
                return Err(Unsupported::NoGain);
            }
            let query = nodes::copy(original);
            without_group_entry(query);
            let mut translator = Translator::new(self.root);
            translator.enter(query)?;
            let Source { mut select, remaining } = translator.source(query, extent)?;
            let mut outputs: Vec<Output> = vec![];
            let mut targets = vec![];
            let groups = group_keys(query, &translator);
            let grouped = extent != Extent::Joined && groups.is_some();
            let group_keys = groups.clone().unwrap_or_default();
            let keys = groups.filter(|_| extent == Extent::Joined);
            let distinct = extent == Extent::Whole && !(*query).distinctClause.is_null();
            let filtered = !remaining.is_empty();
            // PostgreSQL computes what DuckDB does not, unless something depends on its value.
            let split_allowed = extent != Extent::Whole
                || (*query).distinctClause.is_null() && (*query).setOperations.is_null();
            let mut splitter = Splitter {
                translator: &mut translator,
                outputs: &mut outputs,
                extent,
                keys,
                grouped,
                group_keys,
                distinct,
                filtered,
                complete: self.complete,
            };
            for entry in nodes::items::<pg_sys::TargetEntry>((*query).targetList) {
                if extent == Extent::Whole && (*entry).resjunk {
                    continue;
                }
                let node = splitter.translator.simplified((*entry).expr.cast());
                let expression = match splitter.top(node, (*entry).resname) {
                    Ok(var) => var,
                    Err(reason) if !split_allowed => return Err(reason),
                    Err(_) => splitter.split(node)?,
                };
                let copied = nodes::copy(entry);
                (*copied).expr = expression.cast();
                targets.push(copied);
            }
            let mut conditions = vec![];
            for condition in &remaining {
                // WHERE comes before any grouping.
                conditions.push(splitter.ungrouped(|splitter| splitter.split(*condition))?);
            }
            let mut having = std::ptr::null_mut();
            if extent == Extent::Joined && !(*query).havingQual.is_null() {
                let node = splitter.translator.simplified((*query).havingQual);
                having = splitter.split(node)?;
            }
            let mut keeps_limit = true;
            if extent == Extent::Whole {
                select.distinct = translator.distinct(query)?;
                select.order = translator.sort_keys((*query).sortClause, (*query).targetList)?;
                if (*query).limitOption != pg_sys::LimitOption::LIMIT_OPTION_COUNT {
                    return unsupported("FETCH FIRST … WITH TIES");
                }
                if let Ok(limit) = translator.limit(query) {
                    select.limit = limit;
                    keeps_limit = false;
                }
            }
            select.items.extend(
                outputs.iter().map(|output| select::item(&output.sql, &output.column.name)),
            );
            if extent != Extent::Joined {
                translator.add_having(query, &mut select);
            }
            let plain =
                plain_rows(&translator, &select, &outputs).filter(|_| extent == Extent::Whole);
            let has_limit = select.limit.is_given();
            let Some(level) = translator.levels.pop() else { return unsupported("a query") };
            translator.finish_level(level, &mut select)?;
            // Texts of `duckdb.query` see nothing of the query.
            let texts = translator.texts.iter();
            select.ctes.splice(0..0, texts.map(|(name, text)| (name.clone(), sql::query(text))));
            let sql = translator.with_tables(&select.print())?;
            if translator.servers.is_empty() {
                return unsupported("a query without foreign tables");
            }
            // Whatever came first.
            if translator.barrier && translator.risky_condition {
                return unsupported(
                    "a condition that may raise an error, behind a security barrier",
                );
            }
            if !translator.texts.is_empty() && !translator.ships.is_empty() {
                // A text may mean something else when it runs than when it was checked, and would
                // then find the shipped rows.
                return unsupported("duckdb.query beside a relation that is not in the lake");
            }
            if !translator.texts.is_empty() {
                let servers: Vec<_> =
                    translator.servers.iter().map(|oid| pg_sys::Oid::from(*oid)).collect();
                if !session::are_usable(acl::current_role(), &servers).unwrap_or(false) {
                    return unsupported("duckdb.query beside a server that the role may not use");
                }
            }
            if translator.servers.len() > 1 {
                check_servers(&translator)?;
            }
            let local = local_query(query, &outputs, &translator, extent, keeps_limit);
            without_conditions(local, &remaining, &translator);
            let local = if reads_outer_cte(local) { std::ptr::null_mut() } else { local };
            let rows = Rows { sql, has_limit, plain, expected: translator.expected()? };
            let item = self.item(&translator, rows, &outputs, local);
            self.depends_on_role |= translator.depends_on_role;
            let relations = relations(query);
            finish(query, item, relations, targets, conditions, having, extent, keeps_limit);
            Ok(query)
        }
    }

    /// The FROM item that stands for the part.
    ///
    /// # Safety
    /// Within planning.
    unsafe fn item(
        &self,
        translator: &Translator,
        rows: Rows,
        outputs: &[Output],
        local: *mut pg_sys::Query,
    ) -> *mut pg_sys::RangeTblEntry {
        let id = part::add(Part {
            id: 0,
            sql: rows.sql,
            has_limit: rows.has_limit,
            columns: translator
                .columns
                .iter()
                .map(|(relation, numbers)| (*relation, numbers.iter().copied().collect()))
                .collect(),
            local,
            servers: translator.servers.iter().copied().collect(),
            relations: translator.relations.clone(),
            role: translator.role.unwrap_or(pg_sys::InvalidOid).to_u32(),
            expected: rows.expected,
            ships: translator.ships.clone(),
            plain: rows.plain,
        });
        let variadic = !translator.arguments.is_empty();
        // SAFETY: fresh nodes, allocated beside the query.
        unsafe {
            let number = pg_sys::makeConst(
                pg_sys::INT8OID,
                -1,
                pg_sys::InvalidOid,
                8,
                pg_sys::Datum::from(id),
                false,
                true,
            );
            let arguments = std::iter::once(number.cast::<pg_sys::Node>())
                .chain(translator.arguments.iter().copied());
            let call = pg_sys::makeFuncExpr(
                self.pushed[usize::from(variadic)],
                pg_sys::RECORDOID,
                nodes::list_of(arguments),
                pg_sys::InvalidOid,
                pg_sys::InvalidOid,
                pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
            );
            (*call).funcretset = true;
            let names = || {
                nodes::list_of(
                    outputs.iter().map(|output| nodes::server_string_node(&output.column.name)),
                )
            };
            let function = pg_sys::palloc0(size_of::<pg_sys::RangeTblFunction>())
                .cast::<pg_sys::RangeTblFunction>();
            (*function).type_ = Tag::T_RangeTblFunction;
            (*function).funcexpr = call.cast();
            (*function).funccolcount = i32::try_from(outputs.len()).unwrap_or(i32::MAX);
            (*function).funccolnames = names();
            (*function).funccoltypes =
                nodes::oid_list(outputs.iter().map(|output| pg_sys::exprType(output.node)));
            (*function).funccoltypmods =
                nodes::int_list(outputs.iter().map(|output| pg_sys::exprTypmod(output.node)));
            (*function).funccolcollations =
                nodes::oid_list(outputs.iter().map(|output| pg_sys::exprCollation(output.node)));
            let rte =
                pg_sys::palloc0(size_of::<pg_sys::RangeTblEntry>()).cast::<pg_sys::RangeTblEntry>();
            (*rte).type_ = Tag::T_RangeTblEntry;
            (*rte).rtekind = pg_sys::RTEKind::RTE_FUNCTION;
            (*rte).functions = nodes::list_of([function]);
            (*rte).eref = pg_sys::makeAlias(c"duckdb".as_ptr(), names());
            (*rte).inFromCl = true;
            rte
        }
    }
}

/// The part's rows as those of one table, if it reads nothing else.
///
/// # Safety
/// The innermost level is the query's.
unsafe fn plain_rows(
    translator: &Translator,
    select: &Select,
    outputs: &[Output],
) -> Option<Plain> {
    let [level] = translator.levels.as_slice() else { return None };
    let mut tables = level.items.iter().zip(1..).filter(|(item, _)| !item.alias.is_empty());
    let ((item, index), None) = (tables.next()?, tables.next()) else { return None };
    // SAFETY: by contract.
    let has_policies = unsafe {
        let rte =
            pg_sys::list_nth((*level.query).rtable, index - 1).cast::<pg_sys::RangeTblEntry>();
        !(*rte).securityQuals.is_null()
    };
    let place = usize::try_from(index).ok()?;
    let items: Vec<_> = outputs.iter().map(|output| output.sql.clone()).collect();
    let is_filter = select.from == [Sql::place(Place::Item(place))]
        && select.groups.is_empty()
        && select.having.is_empty()
        && select.distinct.is_none()
        && select.order.is_empty()
        && !select.limit.is_given();
    let reads_others = items.iter().chain(&select.conditions).any(Sql::has_places)
        || !level.ctes.is_empty()
        || !translator.texts.is_empty();
    let plain =
        matches!(item.text, ItemText::Table(_)) && !has_policies && is_filter && !reads_others;
    plain.then(|| Plain {
        alias: item.alias.clone(),
        items,
        conditions: select.conditions.clone(),
        used: item.used.iter().copied().filter(|number| *number > 0).collect(),
    })
}

/// Takes an expression apart into columns of the part and what PostgreSQL makes of them.
struct Splitter<'a> {
    translator: &'a mut Translator,
    outputs: &'a mut Vec<Output>,
    extent: Extent,
    /// What PostgreSQL groups the part's rows by: outside of aggregates only that, and single
    /// columns, come from the part, since grouping sets make NULLs of them.
    keys: Option<Vec<*mut pg_sys::Node>>,
    /// Whether the part itself groups its rows, and whether it removes duplicates.
    grouped: bool,
    /// By what the part does.
    group_keys: Vec<*mut pg_sys::Node>,
    distinct: bool,
    /// PostgreSQL checks conditions on the part's rows.
    filtered: bool,
    /// See [`Rewriter::complete`].
    complete: bool,
}

impl Splitter<'_> {
    /// An expression of the select list.
    ///
    /// # Safety
    /// A live expression of the part's level.
    unsafe fn top(
        &mut self,
        node: *mut pg_sys::Node,
        name: *const c_char,
    ) -> Result<*mut pg_sys::Node> {
        // SAFETY: by contract.
        unsafe { if self.keys.is_some() { self.split(node) } else { self.whole(node, name) } }
    }

    /// The expression as one column of the part.
    ///
    /// # Safety
    /// A live expression of the part's level.
    unsafe fn whole(
        &mut self,
        node: *mut pg_sys::Node,
        name: *const c_char,
    ) -> Result<*mut pg_sys::Node> {
        // SAFETY: by contract.
        unsafe {
            if is_known_at_start(node) && !self.complete {
                return Ok(node);
            }
            if let Some(known) = self.known(node) {
                return Ok(known);
            }
            if self.belongs_to_postgres(node) {
                return unsupported("a window function or an aggregate");
            }
            query::check_output(node)?;
            let made = self.translator.attempt(|translator| translator.expression(node))?;
            if self.grouped && !self.is_grouped(node) {
                return unsupported("a column that is not grouped by");
            }
            if made.risky && self.filtered {
                return unsupported(
                    "an expression that may raise an error, above a condition that stays",
                );
            }
            if !made.inexact_scale {
                return self.add(node, made, name);
            }
            // PostgreSQL's value has so many digits behind the point: it is rounded to them. They are
            // computed from columns, which below a grouping only an aggregate may look at.
            // DISTINCT would tell them apart.
            let fits = !self.distinct
                && (!self.grouped || nodes::walk(node, &mut |n| nodes::is_a(n, Tag::T_Aggref)));
            let Some(scale) = made.scale.clone().filter(|_| fits) else {
                return unsupported("a numeric whose digits behind the point vary");
            };
            let value = self.add(node, Expression { inexact_scale: false, ..made }, name)?;
            let count = built_in("scale", &[pg_sys::NUMERICOID], pg_sys::INT4OID, &[node]);
            let scale = Expression::new(sql!("CAST({} AS INTEGER)", scale));
            let scale = match self.known(count) {
                Some(known) => known,
                None => self.add(count, scale, std::ptr::null())?,
            };
            let types = [pg_sys::NUMERICOID, pg_sys::INT4OID];
            Ok(built_in("round", &types, pg_sys::NUMERICOID, &[value, scale]))
        }
    }

    /// Whether a grouping has one value of the expression for each group.
    ///
    /// # Safety
    /// A live expression.
    unsafe fn is_grouped(&self, node: *mut pg_sys::Node) -> bool {
        let mut grouped = true;
        // SAFETY: by contract; each cast follows the tag.
        unsafe {
            let _ = nodes::mutate(node, &mut |node, depth| {
                let is_key = |node: *mut pg_sys::Node| {
                    let same = |key: &*mut pg_sys::Node| {
                        pg_sys::equal((*key).cast_const().cast(), node.cast_const().cast())
                    };
                    self.group_keys.iter().any(same)
                };
                let is_aggregate = matches!((*node).type_, Tag::T_Aggref | Tag::T_GroupingFunc);
                if depth == 0 && (is_aggregate || is_key(node)) {
                    return Change::Into(node);
                }
                if let Some(var) = nodes::cast::<pg_sys::Var>(node, Tag::T_Var)
                    && (*var).varlevelsup == depth
                {
                    let own = nodes::copy(var);
                    (*own).varlevelsup = 0;
                    grouped &= is_key(own.cast());
                }
                Change::Descend
            });
        }
        grouped
    }

    /// # Safety
    /// A live expression.
    unsafe fn known(&self, node: *mut pg_sys::Node) -> Option<*mut pg_sys::Node> {
        // SAFETY: by contract.
        unsafe {
            let at = self.outputs.iter().position(|output| {
                pg_sys::equal(output.node.cast_const().cast(), node.cast_const().cast())
            })?;
            Some(variable(at, node))
        }
    }

    /// # Safety
    /// `made` is the translation of the live `node`.
    unsafe fn add(
        &mut self,
        node: *mut pg_sys::Node,
        made: Expression,
        name: *const c_char,
    ) -> Result<*mut pg_sys::Node> {
        // SAFETY: by contract.
        unsafe {
            let taken: Vec<_> =
                self.outputs.iter().map(|output| Some(output.column.clone())).collect();
            let name = query::column_name(&taken, name);
            let mut sql = query::typed(node, &made);
            if pg_sys::exprType(node) == pg_sys::NUMERICOID
                && let Some(wanted) = Decimal::of_typmod(pg_sys::exprTypmod(node))
                && made.decimal != Some(wanted)
            {
                sql = made.to_decimal_by_cast(wanted);
            }
            let column = ItemColumn { name, decimal: made.decimal, inexact_scale: false };
            self.outputs.push(Output { node, sql, column });
            Ok(variable(self.outputs.len() - 1, node))
        }
    }

    /// Whether the expression holds what the rest of the query computes.
    ///
    /// # Safety
    /// A live expression.
    unsafe fn belongs_to_postgres(&self, node: *mut pg_sys::Node) -> bool {
        let extent = self.extent;
        // SAFETY: by contract.
        unsafe {
            extent != Extent::Whole
                && nodes::walk(node, &mut |node| match (*node).type_ {
                    Tag::T_WindowFunc => true,
                    Tag::T_Aggref | Tag::T_GroupingFunc => extent == Extent::Joined,
                    // An inner query's are its own.
                    Tag::T_Query => false,
                    _ => false,
                })
        }
    }

    /// The expression over columns of the part.
    ///
    /// # Errors
    /// A column or an aggregate that DuckDB cannot give.
    ///
    /// # Safety
    /// A live expression of the part's level.
    unsafe fn split(&mut self, node: *mut pg_sys::Node) -> Result<*mut pg_sys::Node> {
        let mut outcome = Ok(());
        // SAFETY: by contract; each cast follows the tag.
        unsafe {
            let made = nodes::mutate(node, &mut |node, depth| {
                if outcome.is_err() {
                    return Change::Into(node);
                }
                match self.visit(node, depth) {
                    Ok(change) => change,
                    Err(reason) => {
                        outcome = Err(reason);
                        Change::Into(node)
                    }
                }
            });
            outcome.map(|()| made)
        }
    }

    /// A step below the grouping.
    fn ungrouped<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let keys = self.keys.take();
        let outcome = step(self);
        self.keys = keys;
        outcome
    }

    /// # Safety
    /// A live node below the expression, with `depth` queries around it.
    unsafe fn visit(&mut self, node: *mut pg_sys::Node, depth: u32) -> Result<Change> {
        // SAFETY: by contract; each cast follows the tag.
        unsafe {
            let tag = (*node).type_;
            if depth > 0 {
                // Inside of a sub-query that PostgreSQL runs: only what it takes from outside.
                let (of_ours, inner) = match tag {
                    Tag::T_Var => ((*node.cast::<pg_sys::Var>()).varlevelsup == depth, true),
                    Tag::T_Aggref => ((*node.cast::<pg_sys::Aggref>()).agglevelsup == depth, true),
                    Tag::T_GroupingFunc => {
                        ((*node.cast::<pg_sys::GroupingFunc>()).agglevelsup == depth, true)
                    }
                    _ => (false, false),
                };
                if !inner || !of_ours {
                    return Ok(Change::Descend);
                }
                match tag {
                    Tag::T_Aggref => return unsupported("an aggregate of an outer query"),
                    Tag::T_GroupingFunc => return unsupported("GROUPING of an outer query"),
                    _ => {}
                }
                let own = nodes::copy(node);
                (*own.cast::<pg_sys::Var>()).varlevelsup = 0;
                let var = nodes::copy(self.whole(own, std::ptr::null())?);
                if !nodes::is_a(var, Tag::T_Var) {
                    return unsupported("a numeric whose digits behind the point vary");
                }
                (*var.cast::<pg_sys::Var>()).varlevelsup = depth;
                return Ok(Change::Into(var));
            }
            if !is_splittable(tag) {
                return Ok(Change::Descend);
            }
            if let Some(keys) = &self.keys {
                if tag == Tag::T_Aggref {
                    let call = nodes::copy(node.cast::<pg_sys::Aggref>());
                    (*call).args =
                        self.ungrouped(|splitter| splitter.split((*call).args.cast()))?.cast();
                    (*call).aggfilter =
                        self.ungrouped(|splitter| splitter.split((*call).aggfilter.cast()))?.cast();
                    (*call).aggdirectargs = self.split((*call).aggdirectargs.cast())?.cast();
                    return Ok(Change::Into(call.cast()));
                }
                let is_key = keys
                    .iter()
                    .any(|key| pg_sys::equal((*key).cast_const().cast(), node.cast_const().cast()));
                if !is_key && tag != Tag::T_Var {
                    return Ok(Change::Descend);
                }
            }
            match self.whole(node, std::ptr::null()) {
                Ok(var) => Ok(Change::Into(var)),
                Err(reason) => match tag {
                    Tag::T_Var => Err(reason),
                    Tag::T_Aggref if self.extent != Extent::Joined => {
                        self.average(node.cast(), reason).map(Change::Into)
                    }
                    Tag::T_GroupingFunc if self.extent != Extent::Joined => Err(reason),
                    Tag::T_WindowFunc if self.extent == Extent::Whole => Err(reason),
                    _ => Ok(Change::Descend),
                },
            }
        }
    }

    /// An average of exact numbers as the quotient of its sum and its count, computed by PostgreSQL
    /// as its own aggregate computes it (numeric_avg in utils/adt/numeric.c).
    ///
    /// # Safety
    /// A live aggregate.
    unsafe fn average(
        &mut self,
        call: *mut pg_sys::Aggref,
        reason: Unsupported,
    ) -> Result<*mut pg_sys::Node> {
        // SAFETY: by contract; the aggregates are PostgreSQL's own.
        unsafe {
            let signature = functions::signature((*call).aggfnoid)?;
            let argument = match &*signature {
                "avg(int2)" => pg_sys::INT2OID,
                "avg(int4)" => pg_sys::INT4OID,
                "avg(int8)" => pg_sys::INT8OID,
                "avg(numeric)" => pg_sys::NUMERICOID,
                _ => return Err(reason),
            };
            let aggregate = |name: &str, argument: pg_sys::Oid| {
                let names =
                    nodes::list_of([nodes::string_node("pg_catalog"), nodes::string_node(name)]);
                let arguments = [argument];
                let function = pg_sys::LookupFuncName(names, 1, arguments.as_ptr(), true);
                let other = nodes::copy(call);
                (*other).aggfnoid = function;
                (*other).aggtype = pg_sys::get_func_rettype(function);
                other
            };
            let (sum, count) = (aggregate("sum", argument), aggregate("count", pg_sys::ANYOID));
            let sum_type = (*sum).aggtype;
            let to_numeric = |node: *mut pg_sys::Node, from: pg_sys::Oid| {
                if from == pg_sys::NUMERICOID {
                    return node;
                }
                built_in("numeric", &[from], pg_sys::NUMERICOID, &[node])
            };
            let sum = self.whole(sum.cast(), std::ptr::null())?;
            let count = self.whole(count.cast(), std::ptr::null())?;
            let (sum, count) = (to_numeric(sum, sum_type), to_numeric(count, pg_sys::INT8OID));
            let types = [pg_sys::NUMERICOID, pg_sys::NUMERICOID];
            Ok(built_in("numeric_div", &types, pg_sys::NUMERICOID, &[sum, count]))
        }
    }
}

/// A call of a function of PostgreSQL's own.
///
/// # Safety
/// Live nodes.
unsafe fn built_in(
    name: &str,
    types: &[pg_sys::Oid],
    result: pg_sys::Oid,
    arguments: &[*mut pg_sys::Node],
) -> *mut pg_sys::Node {
    // SAFETY: a look-up by qualified name, and a fresh node.
    unsafe {
        let names = nodes::list_of([nodes::string_node("pg_catalog"), nodes::string_node(name)]);
        let count = i32::try_from(types.len()).unwrap_or(0);
        pg_sys::makeFuncExpr(
            pg_sys::LookupFuncName(names, count, types.as_ptr(), false),
            result,
            nodes::list_of(arguments.iter().copied()),
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        )
        .cast()
    }
}

/// The query that gives the part's columns in PostgreSQL, for when DuckDB fails before its first row.
///
/// # Safety
/// A live query, which is left as it is.
unsafe fn local_query(
    query: *mut pg_sys::Query,
    outputs: &[Output],
    translator: &Translator,
    extent: Extent,
    keeps_limit: bool,
) -> *mut pg_sys::Query {
    // SAFETY: by contract.
    unsafe {
        let local = nodes::copy(query);
        // What is left above the part is done there.
        if extent != Extent::Whole {
            (*local).hasWindowFuncs = false;
            (*local).windowClause = std::ptr::null_mut();
            (*local).distinctClause = std::ptr::null_mut();
            (*local).hasDistinctOn = false;
            (*local).sortClause = std::ptr::null_mut();
            (*local).limitCount = std::ptr::null_mut();
            (*local).limitOffset = std::ptr::null_mut();
        }
        if extent == Extent::Joined {
            (*local).hasAggs = false;
            (*local).groupClause = std::ptr::null_mut();
            (*local).groupingSets = std::ptr::null_mut();
            (*local).havingQual = std::ptr::null_mut();
        }
        if keeps_limit {
            (*local).limitCount = std::ptr::null_mut();
            (*local).limitOffset = std::ptr::null_mut();
        }
        let mut targets: Vec<*mut pg_sys::TargetEntry> = vec![];
        let mut add = |node: *mut pg_sys::Node, name: &str, hidden: bool| {
            let number = i16::try_from(targets.len() + 1).unwrap_or(i16::MAX);
            let name = nodes::palloc_str(name);
            let entry = pg_sys::makeTargetEntry(nodes::copy(node).cast(), number, name, hidden);
            targets.push(entry);
            entry
        };
        let mut entries = vec![];
        for output in outputs {
            entries.push((output.node, add(output.node, &output.column.name, false)));
        }
        // What is sorted, grouped and told apart by keeps its number.
        for entry in nodes::items::<pg_sys::TargetEntry>((*query).targetList) {
            if (*entry).ressortgroupref == 0 || !is_referred_to(local, (*entry).ressortgroupref) {
                continue;
            }
            let node = translator.simplified((*entry).expr.cast());
            let known = entries.iter().find(|(other, target)| {
                (**target).ressortgroupref == 0
                    && pg_sys::equal((*other).cast_const().cast(), node.cast_const().cast())
            });
            let target = match known {
                Some((_, target)) => *target,
                None => add(node, "hidden", true),
            };
            (*target).ressortgroupref = (*entry).ressortgroupref;
        }
        (*local).targetList = nodes::list_of(targets);
        local
    }
}

/// Whether a query reads a CTE of a query around it.
///
/// # Safety
/// A live query.
unsafe fn reads_outer_cte(query: *mut pg_sys::Query) -> bool {
    let (mut defined, mut read) = (vec![], vec![]);
    // SAFETY: by contract; each cast follows the tag.
    unsafe {
        nodes::walk(query.cast(), &mut |node| {
            if let Some(cte) = nodes::cast::<pg_sys::CommonTableExpr>(node, Tag::T_CommonTableExpr)
            {
                defined.push(nodes::str_at((*cte).ctename));
            } else if let Some(rte) =
                nodes::cast::<pg_sys::RangeTblEntry>(node, Tag::T_RangeTblEntry)
                && (*rte).rtekind == pg_sys::RTEKind::RTE_CTE
            {
                read.push(nodes::str_at((*rte).ctename));
            }
            false
        });
    }
    read.iter().any(|name| !defined.contains(name))
}

/// Leaves conditions to what stands above the part. They may use what the part does not hold, such
/// as a CTE of an outer query.
///
/// # Safety
/// Live nodes; the query is a copy of the part's.
unsafe fn without_conditions(
    local: *mut pg_sys::Query,
    remaining: &[*mut pg_sys::Node],
    translator: &Translator,
) {
    if remaining.is_empty() {
        return;
    }
    // SAFETY: by contract; the conditions were simplified in the same way.
    unsafe {
        let jointree = (*local).jointree;
        let all = pg_sys::make_ands_implicit(translator.simplified((*jointree).quals).cast());
        let is_left = |condition: &*mut pg_sys::Node| {
            let same = |other: &*mut pg_sys::Node| {
                pg_sys::equal((*other).cast_const().cast(), (*condition).cast_const().cast())
            };
            !remaining.iter().any(same)
        };
        let own: Vec<_> = nodes::items::<pg_sys::Node>(all).filter(is_left).collect();
        (*jointree).quals = if own.is_empty() {
            std::ptr::null_mut()
        } else {
            pg_sys::make_ands_explicit(nodes::list_of(own)).cast()
        };
        (*local).hasSubLinks =
            nodes::walk(local.cast(), &mut |node| nodes::is_a(node, Tag::T_SubLink));
    }
}

/// Whether a query sorts, groups or tells rows apart by this target.
///
/// # Safety
/// A live query.
unsafe fn is_referred_to(query: *mut pg_sys::Query, reference: pg_sys::Index) -> bool {
    // SAFETY: by contract.
    unsafe {
        let clauses = |list| {
            nodes::items::<pg_sys::SortGroupClause>(list)
                .any(|clause| (*clause).tleSortGroupRef == reference)
        };
        clauses((*query).sortClause)
            || clauses((*query).groupClause)
            || clauses((*query).distinctClause)
            || nodes::items::<pg_sys::WindowClause>((*query).windowClause)
                .any(|w| clauses((*w).partitionClause) || clauses((*w).orderClause))
    }
}

/// The expressions that a query groups by; `None` when it does not group.
///
/// # Safety
/// A live query.
unsafe fn group_keys(
    query: *mut pg_sys::Query,
    translator: &Translator,
) -> Option<Vec<*mut pg_sys::Node>> {
    // SAFETY: by contract.
    unsafe {
        let groups = (*query).hasAggs
            || !(*query).groupClause.is_null()
            || !(*query).groupingSets.is_null()
            || !(*query).havingQual.is_null();
        groups.then(|| {
            nodes::items::<pg_sys::SortGroupClause>((*query).groupClause)
                .filter_map(|clause| target_of(clause, (*query).targetList).ok())
                .map(|node| translator.simplified(node))
                .collect()
        })
    }
}

/// Whether a node is an expression that may become a column of a part; lists, clauses and
/// constants are not.
fn is_splittable(tag: Tag) -> bool {
    matches!(
        tag,
        Tag::T_Var
            | Tag::T_Aggref
            | Tag::T_GroupingFunc
            | Tag::T_WindowFunc
            | Tag::T_FuncExpr
            | Tag::T_OpExpr
            | Tag::T_DistinctExpr
            | Tag::T_NullIfExpr
            | Tag::T_ScalarArrayOpExpr
            | Tag::T_BoolExpr
            | Tag::T_SubLink
            | Tag::T_RelabelType
            | Tag::T_CoerceViaIO
            | Tag::T_CaseExpr
            | Tag::T_RowCompareExpr
            | Tag::T_CoalesceExpr
            | Tag::T_MinMaxExpr
            | Tag::T_NullTest
            | Tag::T_BooleanTest
    )
}

/// The `at`th column of the part.
///
/// # Safety
/// A live expression.
unsafe fn variable(at: usize, node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    let number = i16::try_from(at + 1).unwrap_or(i16::MAX);
    // SAFETY: by contract.
    unsafe {
        pg_sys::makeVar(
            1,
            number,
            pg_sys::exprType(node),
            pg_sys::exprTypmod(node),
            pg_sys::exprCollation(node),
            0,
        )
        .cast()
    }
}

/// Version 18 keeps grouped expressions in a range table entry of their own: they go back to where
/// they are used.
///
/// # Safety
/// A live query, which may be changed.
unsafe fn without_group_entry(query: *mut pg_sys::Query) {
    #[cfg(feature = "pg18")]
    // SAFETY: by contract; the function takes no planner state for plain expressions.
    unsafe {
        if (*query).hasGroupRTE {
            let no_root = std::ptr::null_mut();
            let (targets, having) = ((*query).targetList, (*query).havingQual);
            (*query).targetList =
                pg_sys::flatten_group_exprs(no_root, query, targets.cast()).cast();
            (*query).havingQual = pg_sys::flatten_group_exprs(no_root, query, having);
            (*query).hasGroupRTE = false;
        }
    }
    #[cfg(not(feature = "pg18"))]
    let _ = query;
}

/// Whether a query has expressions so deep that walking them would need much of the stack: they are
/// looked at without any recursion.
///
/// # Safety
/// A live query.
unsafe fn is_deep(query: *mut pg_sys::Query) -> bool {
    const DEEPEST: u32 = 200;
    // SAFETY: by contract; each cast follows the tag.
    unsafe {
        let targets = nodes::items::<pg_sys::TargetEntry>((*query).targetList)
            .map(|entry| (*entry).expr.cast::<pg_sys::Node>());
        let conditions = [(*(*query).jointree).quals, (*query).havingQual];
        let mut open: Vec<_> = targets.chain(conditions).map(|node| (node, 1)).collect();
        while let Some((node, depth)) = open.pop() {
            if node.is_null() {
                continue;
            }
            if depth > DEEPEST {
                return true;
            }
            let list = match (*node).type_ {
                Tag::T_OpExpr => (*node.cast::<pg_sys::OpExpr>()).args,
                Tag::T_FuncExpr => (*node.cast::<pg_sys::FuncExpr>()).args,
                Tag::T_BoolExpr => (*node.cast::<pg_sys::BoolExpr>()).args,
                Tag::T_CoalesceExpr => (*node.cast::<pg_sys::CoalesceExpr>()).args,
                Tag::T_CaseExpr => {
                    let case = node.cast::<pg_sys::CaseExpr>();
                    open.push(((*case).defresult.cast(), depth + 1));
                    let whens = nodes::items::<pg_sys::CaseWhen>((*case).args);
                    open.extend(whens.map(|when| ((*when).result.cast(), depth + 1)));
                    continue;
                }
                Tag::T_RelabelType => {
                    open.push(((*node.cast::<pg_sys::RelabelType>()).arg.cast(), depth + 1));
                    continue;
                }
                Tag::T_CoerceViaIO => {
                    open.push(((*node.cast::<pg_sys::CoerceViaIO>()).arg.cast(), depth + 1));
                    continue;
                }
                _ => continue,
            };
            open.extend(nodes::items::<pg_sys::Node>(list).map(|inner| (inner, depth + 1)));
        }
        false
    }
}

/// Whether PostgreSQL's planner pulls the sub-query up to where it stands, and then scans its table
/// with the columns and conditions of the query around it.
///
/// # Safety
/// A live query.
unsafe fn is_plain(query: *mut pg_sys::Query) -> bool {
    // SAFETY: by contract.
    unsafe {
        let lists = [
            (*query).groupClause,
            (*query).groupingSets,
            (*query).distinctClause,
            (*query).sortClause,
            (*query).cteList,
            (*query).rowMarks,
        ];
        let nodes = [
            (*query).setOperations,
            (*query).havingQual,
            (*query).limitCount,
            (*query).limitOffset,
        ];
        is_single_table(query)
            && !(*query).hasAggs
            && !(*query).hasWindowFuncs
            && !(*query).hasTargetSRFs
            && !(*query).hasSubLinks
            && lists.iter().all(|list| list.is_null())
            && nodes.iter().all(|node| node.is_null())
            && !pg_sys::contain_volatile_functions((*query).targetList.cast())
    }
}

/// # Safety
/// A live query.
unsafe fn is_single_table(query: *mut pg_sys::Query) -> bool {
    // SAFETY: by contract.
    unsafe {
        let list = (*(*query).jointree).fromlist;
        nodes::len(list) == 1
            && nodes::items::<pg_sys::Node>(list).all(|node| {
                nodes::cast::<pg_sys::RangeTblRef>(node, Tag::T_RangeTblRef).is_some_and(|item| {
                    let rte = pg_sys::list_nth((*query).rtable, (*item).rtindex - 1)
                        .cast::<pg_sys::RangeTblEntry>();
                    (*rte).rtekind == pg_sys::RTEKind::RTE_RELATION
                })
            })
    }
}

/// Servers of one statement must not lie in one another: a path would be ambiguous.
fn check_servers(translator: &Translator) -> Result<()> {
    let mut locations: Vec<String> = vec![];
    for oid in &translator.servers {
        let server = crate::pg::catalog::server_by_oid(pg_sys::Oid::from(*oid));
        let spec = server.and_then(|server| session::specification(&server).ok());
        let Some(spec) = spec else { return unsupported("a server that is gone") };
        let location = spec.location().to_owned();
        let overlaps = |other: &String| {
            duck::location::is_under(&location, other) || duck::location::is_under(other, &location)
        };
        if locations.iter().any(overlaps) {
            return unsupported("tables on servers whose locations overlap");
        }
        locations.push(location);
    }
    Ok(())
}

/// The relations of a query and of all queries in it, each with what PostgreSQL checks of it.
struct Relation {
    rte: *mut pg_sys::RangeTblEntry,
    #[cfg(not(feature = "pg15"))]
    permissions: *mut pg_sys::RTEPermissionInfo,
}

/// # Safety
/// A live query.
unsafe fn relations(query: *mut pg_sys::Query) -> Vec<Relation> {
    // SAFETY: by contract.
    unsafe {
        let mut queries = vec![query];
        nodes::walk(query.cast(), &mut |node| {
            if let Some(inner) = nodes::cast::<pg_sys::Query>(node, Tag::T_Query)
                && inner != query
            {
                queries.push(inner);
            }
            false
        });
        let mut found = vec![];
        for query in queries {
            for rte in nodes::items::<pg_sys::RangeTblEntry>((*query).rtable) {
                let is_relation = (*rte).rtekind == pg_sys::RTEKind::RTE_RELATION;
                // Since version 16 a view's own entry becomes the sub-query, and keeps its rights.
                #[cfg(not(feature = "pg15"))]
                let is_relation = is_relation
                    || (*rte).rtekind == pg_sys::RTEKind::RTE_SUBQUERY
                        && (*rte).relid != pg_sys::InvalidOid;
                if !is_relation {
                    continue;
                }
                // The copy is shallow on purpose: what is inside is not used any more.
                let copy = pg_sys::palloc0(size_of::<pg_sys::RangeTblEntry>())
                    .cast::<pg_sys::RangeTblEntry>();
                std::ptr::copy_nonoverlapping(rte, copy, 1);
                (*copy).subquery = std::ptr::null_mut();
                (*copy).securityQuals = std::ptr::null_mut();
                (*copy).tablesample = std::ptr::null_mut();
                (*copy).lateral = false;
                (*copy).inh = false;
                (*copy).inFromCl = false;
                found.push(Relation {
                    rte: copy,
                    #[cfg(not(feature = "pg15"))]
                    permissions: if (*rte).perminfoindex == 0 {
                        std::ptr::null_mut()
                    } else {
                        pg_sys::getRTEPermissionInfo((*query).rteperminfos, rte)
                    },
                });
            }
        }
        found
    }
}

/// Makes the query what is left of it.
///
/// # Safety
/// Live nodes; the query is a copy of ours.
#[expect(clippy::too_many_arguments, reason = "the pieces of a query")]
unsafe fn finish(
    query: *mut pg_sys::Query,
    item: *mut pg_sys::RangeTblEntry,
    relations: Vec<Relation>,
    targets: Vec<*mut pg_sys::TargetEntry>,
    conditions: Vec<*mut pg_sys::Node>,
    having: *mut pg_sys::Node,
    extent: Extent,
    keeps_limit: bool,
) {
    // SAFETY: by contract.
    unsafe {
        let none = std::ptr::null_mut::<pg_sys::List>();
        #[cfg(not(feature = "pg15"))]
        {
            let mut permissions = vec![];
            for relation in &relations {
                if relation.permissions.is_null() {
                    (*relation.rte).perminfoindex = 0;
                } else {
                    permissions.push(relation.permissions);
                    (*relation.rte).perminfoindex = u32::try_from(permissions.len()).unwrap_or(0);
                }
            }
            (*query).rteperminfos = nodes::list_of(permissions);
        }
        let entries = std::iter::once(item).chain(relations.iter().map(|relation| relation.rte));
        (*query).rtable = nodes::list_of(entries);
        let reference =
            pg_sys::palloc0(size_of::<pg_sys::RangeTblRef>()).cast::<pg_sys::RangeTblRef>();
        (*reference).type_ = Tag::T_RangeTblRef;
        (*reference).rtindex = 1;
        let condition = if conditions.is_empty() {
            std::ptr::null_mut()
        } else {
            pg_sys::make_ands_explicit(nodes::list_of(conditions)).cast()
        };
        (*query).jointree = pg_sys::makeFromExpr(nodes::list_of([reference]), condition);
        (*query).targetList = nodes::list_of(targets);
        (*query).havingQual = having;
        (*query).setOperations = std::ptr::null_mut();
        if extent != Extent::Joined {
            (*query).hasAggs = false;
            (*query).groupClause = none;
            (*query).groupingSets = none;
        }
        if extent == Extent::Whole {
            (*query).hasWindowFuncs = false;
            (*query).windowClause = none;
            (*query).distinctClause = none;
            (*query).hasDistinctOn = false;
            (*query).sortClause = none;
            if !keeps_limit {
                (*query).limitCount = std::ptr::null_mut();
                (*query).limitOffset = std::ptr::null_mut();
            }
        }
        let mut links = false;
        let trees = [
            (*query).targetList.cast::<pg_sys::Node>(),
            (*query).jointree.cast(),
            having,
            (*query).limitCount,
            (*query).limitOffset,
            // Their offsets may be sub-queries.
            (*query).windowClause.cast(),
        ];
        for tree in trees {
            links |= nodes::walk(tree, &mut |node| nodes::is_a(node, Tag::T_SubLink));
        }
        (*query).hasSubLinks = links;
        // A sub-query that stays may refer to a CTE.
        if !links {
            (*query).cteList = none;
            (*query).hasRecursive = false;
        }
    }
}
