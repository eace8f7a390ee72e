//! Aggregates and window functions.

use duck::sql::Sql;
use duck::{quotient, sql};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use super::expression::{
    Decimal, Expression, MAX_WIDTH, check_groupable, check_sortable, is_known_at_start,
    is_plain_type,
};
use super::functions;
use super::literal;
use super::translator::{Result, Translator, Unsupported, unsupported};
use crate::guc;
use crate::pg::{catalog, nodes};

/// How an aggregate is called in DuckDB, and what makes its result PostgreSQL's.
struct Form {
    name: &'static str,
    /// The type that the result is cast to.
    cast: Option<&'static str>,
    decimal: Option<Decimal>,
    /// Its last bits depend on the order of the rows.
    float: bool,
    /// It depends on the order of the rows, which must therefore be given.
    ordered: bool,
    /// It must not be answered from statistics.
    looks: bool,
}

impl Form {
    fn plain(name: &'static str) -> Self {
        Self { name, cast: None, decimal: None, float: false, ordered: false, looks: false }
    }

    fn cast(name: &'static str, cast: &'static str) -> Self {
        Self { cast: Some(cast), ..Self::plain(name) }
    }

    fn float(name: &'static str) -> Self {
        Self { float: true, ..Self::plain(name) }
    }
}

/// The aggregates of one type of argument, by signature. min, max, count and the ordered ones are
/// looked at in [`form`] itself.
fn simple_form(signature: &str) -> Option<Form> {
    Some(match signature {
        "count()" => Form::plain("count"),
        "count(any)" => Form::plain("count"),
        "sum(int2)" | "sum(int4)" => Form::cast("sum", "BIGINT"),
        "sum(int8)" => Form {
            cast: Some("DECIMAL(38,0)"),
            decimal: Some(Decimal { width: MAX_WIDTH, scale: 0 }),
            ..Form::plain("sum")
        },
        "sum(float8)" => Form::float("sum"),
        "avg(float8)" | "avg(float4)" => Form::float("avg"),
        "bool_and(bool)" | "every(bool)" => Form::plain("bool_and"),
        "bool_or(bool)" => Form::plain("bool_or"),
        "bit_and(int2)" | "bit_and(int4)" | "bit_and(int8)" => Form::plain("bit_and"),
        "bit_or(int2)" | "bit_or(int4)" | "bit_or(int8)" => Form::plain("bit_or"),
        "bit_xor(int2)" | "bit_xor(int4)" | "bit_xor(int8)" => Form::plain("bit_xor"),
        "stddev(float8)" | "stddev_samp(float8)" => Form::float("stddev_samp"),
        "stddev_pop(float8)" => Form::float("stddev_pop"),
        "variance(float8)" | "var_samp(float8)" => Form::float("var_samp"),
        "var_pop(float8)" => Form::float("var_pop"),
        "covar_pop(float8,float8)" => Form::float("covar_pop"),
        "covar_samp(float8,float8)" => Form::float("covar_samp"),
        "regr_count(float8,float8)" => Form::cast("regr_count", "BIGINT"),
        "regr_avgx(float8,float8)" => Form::float("regr_avgx"),
        "regr_avgy(float8,float8)" => Form::float("regr_avgy"),
        "regr_sxx(float8,float8)" => Form::float("regr_sxx"),
        "regr_syy(float8,float8)" => Form::float("regr_syy"),
        "regr_sxy(float8,float8)" => Form::float("regr_sxy"),
        "string_agg(text,text)" => Form { ordered: true, ..Form::plain("string_agg") },
        "array_agg(anynonarray)" => Form { ordered: true, ..Form::plain("array_agg") },
        _ => return None,
    })
}

/// For docs and tests: the aggregates that are pushed down.
pub const SIGNATURES: &[&str] = &[
    "count(*)",
    "count(any)",
    "sum(int2)",
    "sum(int4)",
    "sum(int8)",
    "sum(numeric)",
    "sum(float8)",
    "avg(int2)",
    "avg(int4)",
    "avg(int8)",
    "avg(numeric)",
    "avg(float4)",
    "avg(float8)",
    "min",
    "max",
    "bool_and(bool)",
    "bool_or(bool)",
    "every(bool)",
    "bit_and",
    "bit_or",
    "bit_xor",
    "stddev*(float8)",
    "var*(float8)",
    "covar_*",
    "regr_*",
    "string_agg(text,text) with ORDER BY",
    "array_agg with ORDER BY",
    "percentile_cont(float8)",
    "percentile_disc",
];

/// The call of an aggregate without what stands around it.
struct Parts {
    distinct: bool,
    order: Vec<Sql>,
    /// The condition of FILTER.
    filter: Option<Sql>,
}

impl Parts {
    fn filter(&self) -> Option<Sql> {
        self.filter.as_ref().map(|condition| sql!(" FILTER (WHERE {})", condition))
    }
}

impl Translator {
    /// # Safety
    /// A live aggregate.
    pub unsafe fn aggregate(&mut self, call: *mut pg_sys::Aggref) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            if (*call).agglevelsup != 0 {
                return unsupported("an aggregate of an outer query");
            }
            if let Some(level) = self.levels.last_mut() {
                level.aggregated = true;
            }
            let signature = functions::signature((*call).aggfnoid)?;
            if (*call).aggkind.cast_unsigned() == b'o' {
                return self.percentile(call, &signature);
            }
            if (*call).aggkind.cast_unsigned() != b'n' || (*call).aggvariadic {
                return unsupported(format!("aggregate {signature}"));
            }
            let entries: Vec<_> = nodes::items::<pg_sys::TargetEntry>((*call).args).collect();
            let mut arguments = vec![];
            for entry in entries.iter().filter(|entry| !(***entry).resjunk) {
                arguments.push(self.expression((**entry).expr.cast())?);
            }
            let parts = self.aggregate_parts(call)?;
            // DuckDB computes the argument of rows too that the filter leaves out.
            if let Some(condition) = &parts.filter {
                for argument in arguments.iter_mut().filter(|argument| argument.risky) {
                    argument.sql = sql!("CASE WHEN {} THEN {} END", condition, argument.sql);
                }
            }
            if parts.distinct && !parts.order.is_empty() && arguments.iter().any(|a| a.risky) {
                return unsupported(
                    "an ordered aggregate with DISTINCT of an expression that may raise errors",
                );
            }
            let argument = entries.first().map(|entry| (**entry).expr.cast::<pg_sys::Node>());
            if let Some(average) = self.average(&signature, &arguments, &parts) {
                return average;
            }
            let form = form(&signature, argument, (*call).inputcollid, &arguments)?;
            if form.name == "string_agg" {
                let delimiter = entries.get(1).map(|entry| (**entry).expr.cast());
                if delimiter.and_then(|node| literal::text(node)).is_none() {
                    return unsupported("string_agg with a varying delimiter");
                }
            }
            if form.ordered && parts.order.is_empty() {
                return unsupported(format!("aggregate {signature} without ORDER BY"));
            }
            finish(&form, &arguments, &parts, (*call).aggstar, None)
        }
    }

    /// avg of integers and numerics: the exact quotient, rounded as PostgreSQL rounds it.
    fn average(
        &mut self,
        signature: &str,
        arguments: &[Expression],
        parts: &Parts,
    ) -> Option<Result<Expression>> {
        let scale = match signature {
            "avg(int2)" | "avg(int4)" | "avg(int8)" => 0,
            "avg(numeric)" => match arguments.first()?.decimal {
                Some(decimal) => decimal.scale,
                None => return Some(unsupported("a numeric of unknown precision")),
            },
            _ => return None,
        };
        let value = arguments.first()?;
        let distinct = if parts.distinct { "DISTINCT " } else { "" };
        let call = |name: &'static str| sql!("{}({}{}){}", name, distinct, value, parts.filter());
        let sum = guarded(call("sum"), value, &parts.filter(), None);
        let sum = sql!("CAST({} AS DECIMAL(38,{}))", sum, scale);
        let function = sql::word(&quotient::function_name(scale));
        let sql = sql!("{}({}, {})", function, sum, call("count"));
        let result = Decimal { width: MAX_WIDTH, scale: quotient::SCALE };
        let all: Vec<_> = arguments.iter().collect();
        let mut quotient = Expression::numeric(sql, result).with(&all);
        quotient.scale = None;
        quotient.inexact_scale = true;
        Some(Ok(quotient))
    }

    /// # Safety
    /// A live aggregate.
    unsafe fn aggregate_parts(&mut self, call: *mut pg_sys::Aggref) -> Result<Parts> {
        // SAFETY: by contract.
        unsafe {
            let distinct = !(*call).aggdistinct.is_null();
            if distinct {
                for entry in nodes::items::<pg_sys::TargetEntry>((*call).args) {
                    let node = (*entry).expr.cast();
                    if !(*entry).resjunk {
                        let constant = nodes::is_a(node, Tag::T_Const);
                        if !constant {
                            check_groupable(pg_sys::exprType(node), pg_sys::exprCollation(node))?;
                        }
                    }
                }
            }
            let filter = self.filter((*call).aggfilter)?;
            let order = self.sort_keys((*call).aggorder, (*call).args)?;
            Ok(Parts { distinct, order, filter })
        }
    }

    /// The condition of FILTER.
    ///
    /// # Safety
    /// A live condition or NULL.
    unsafe fn filter(&mut self, condition: *mut pg_sys::Expr) -> Result<Option<Sql>> {
        if condition.is_null() {
            return Ok(None);
        }
        // SAFETY: by contract.
        Ok(Some(unsafe { self.expression(condition.cast())? }.sql))
    }

    /// `percentile_cont(p) WITHIN GROUP (ORDER BY x)` and `percentile_disc`.
    ///
    /// # Safety
    /// A live ordered-set aggregate.
    unsafe fn percentile(
        &mut self,
        call: *mut pg_sys::Aggref,
        signature: &str,
    ) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            let direct: Vec<_> = nodes::items::<pg_sys::Node>((*call).aggdirectargs).collect();
            let name = match signature {
                "percentile_cont(float8,float8)" => "quantile_cont",
                "percentile_disc(float8,anyelement)" => "quantile_disc",
                _ => return unsupported(format!("aggregate {signature}")),
            };
            let fraction = direct.first().and_then(|node| {
                let constant = nodes::cast::<pg_sys::Const>(*node, Tag::T_Const)?;
                (!(*constant).constisnull)
                    .then(|| f64::from_bits((*constant).constvalue.value() as u64))
            });
            let Some(fraction) = fraction.filter(|f| (0.0..=1.0).contains(f)) else {
                return unsupported("a percentile that is no constant from 0 to 1");
            };
            let entry = nodes::items::<pg_sys::TargetEntry>((*call).args).next();
            let sort = nodes::items::<pg_sys::SortGroupClause>((*call).aggorder).next();
            let (Some(entry), Some(sort)) = (entry, sort) else {
                return unsupported(format!("aggregate {signature}"));
            };
            let node = (*entry).expr.cast();
            let (descending, _) = sort_direction(sort)?;
            let oid = pg_sys::exprType(node);
            check_sortable(oid, pg_sys::exprCollation(node))?;
            if descending || !guc::pushdown_float_aggregates() && name == "quantile_cont" {
                return unsupported(format!("aggregate {signature}"));
            }
            let value = self.expression(node)?;
            let filter = self.filter((*call).aggfilter)?;
            let decimal = value.decimal;
            let filter = filter.map(|condition| sql!(" FILTER (WHERE {})", condition));
            let sql = sql!("{}({}, {}){}", name, value, fraction, filter);
            Ok(Expression { sql, decimal, ..Expression::default() }.with(&[&value]))
        }
    }

    /// # Safety
    /// A live window function.
    pub unsafe fn window_function(&mut self, call: *mut pg_sys::WindowFunc) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            let signature = functions::signature((*call).winfnoid)?;
            let over = sql!(" OVER ({})", self.window((*call).winref)?);
            let arguments = self.expressions((*call).args)?;
            let nodes: Vec<_> = nodes::items::<pg_sys::Node>((*call).args).collect();
            let filter = self.filter((*call).aggfilter)?;
            let parts = Parts { distinct: false, order: vec![], filter };
            let all: Vec<_> = arguments.iter().collect();
            if (*call).winagg {
                if signature.starts_with("avg(") && !signature.contains("float") {
                    return unsupported("avg of exact numbers as a window function");
                }
                let form =
                    form(&signature, nodes.first().copied(), (*call).inputcollid, &arguments)?;
                if form.ordered {
                    return unsupported(format!("window function {signature}"));
                }
                return finish(&form, &arguments, &parts, (*call).winstar, Some(&over));
            }
            let plain = |name: &'static str| Ok(Expression::new(sql!("{}(){}", name, over)));
            match &*signature {
                "row_number()" => plain("row_number"),
                "rank()" => plain("rank"),
                "dense_rank()" => plain("dense_rank"),
                "percent_rank()" => plain("percent_rank"),
                "cume_dist()" => plain("cume_dist"),
                "ntile(int4)" => match literal::integer(nodes[0]) {
                    Some(count) if count > 0 => {
                        Ok(Expression::new(sql!("CAST(ntile({}){} AS INTEGER)", count, over)))
                    }
                    _ => unsupported("ntile with a varying number"),
                },
                "lag(anyelement)"
                | "lead(anyelement)"
                | "first_value(anyelement)"
                | "last_value(anyelement)"
                | "lag(anyelement,int4)"
                | "lead(anyelement,int4)"
                | "lag(anycompatible,int4,anycompatible)"
                | "lead(anycompatible,int4,anycompatible)"
                | "nth_value(anyelement,int4)" => {
                    let offset = nodes.get(1).map(|node| literal::integer(*node));
                    if offset.is_some_and(|offset| offset.is_none_or(|offset| offset < 1)) {
                        return unsupported(format!(
                            "window function {signature} with a varying offset"
                        ));
                    }
                    let name = sql::word(signature.split('(').next().unwrap_or_default());
                    let mut decimal = arguments[0].decimal;
                    let mut texts: Vec<Sql> = arguments.iter().map(|a| a.sql.clone()).collect();
                    if let (Some(own), Some(other)) = (decimal, arguments.get(2)) {
                        let default = other
                            .decimal
                            .ok_or(Unsupported::construct("a numeric of unknown precision"))?;
                        let unified = own.unify(default);
                        texts[0] = arguments[0].to_decimal(unified);
                        texts[2] = other.to_decimal(unified);
                        decimal = Some(unified);
                    }
                    if pg_sys::exprType(nodes[0]) == pg_sys::NUMERICOID && decimal.is_none() {
                        return unsupported("a numeric of unknown precision");
                    }
                    let sql = sql!("{}({}){}", name, Sql::join(texts, ", "), over);
                    // The default's zeros are its own.
                    let variants = [arguments.first(), arguments.get(2)];
                    let variants: Vec<_> = variants.into_iter().flatten().cloned().collect();
                    let inexact_scale = decimal.is_some() && Expression::scales_vary(&variants);
                    let made = Expression { sql, decimal, inexact_scale, ..Expression::default() };
                    Ok(made.with(&all))
                }
                _ => unsupported(format!("window function {signature}")),
            }
        }
    }

    /// What stands between the brackets of OVER.
    ///
    /// # Safety
    /// The innermost level's query is live.
    unsafe fn window(&mut self, reference: pg_sys::Index) -> Result<Sql> {
        // SAFETY: by contract.
        unsafe {
            let Some(level) = self.levels.last() else { return unsupported("a window") };
            let (clauses, targets) = ((*level.query).windowClause, (*level.query).targetList);
            let clause = nodes::items::<pg_sys::WindowClause>(clauses)
                .find(|clause| (**clause).winref == reference);
            let Some(clause) = clause else { return unsupported("a window") };
            let mut parts = vec![];
            let mut partition = vec![];
            for group in nodes::items::<pg_sys::SortGroupClause>((*clause).partitionClause) {
                let node = target_of(group, targets)?;
                check_groupable(pg_sys::exprType(node), pg_sys::exprCollation(node))?;
                let node = self.simplified(node);
                partition.push(self.expression(node)?.sql);
            }
            if !partition.is_empty() {
                parts.push(sql!("PARTITION BY {}", Sql::join(partition, ", ")));
            }
            let order = self.sort_keys((*clause).orderClause, targets)?;
            if !order.is_empty() {
                parts.push(sql!("ORDER BY {}", Sql::join(order, ", ")));
            }
            parts.extend(self.frame(clause)?);
            Ok(Sql::join(parts, " "))
        }
    }

    /// The frame, unless it is the default one, which is the same in both.
    ///
    /// # Safety
    /// A live window clause.
    unsafe fn frame(&mut self, clause: *mut pg_sys::WindowClause) -> Result<Option<Sql>> {
        // SAFETY: by contract.
        unsafe {
            let options = (*clause).frameOptions.cast_unsigned();
            let has = |flag: u32| options & flag != 0;
            if !has(pg_sys::FRAMEOPTION_NONDEFAULT) {
                return Ok(None);
            }
            let mode = if has(pg_sys::FRAMEOPTION_ROWS) {
                "ROWS"
            } else if has(pg_sys::FRAMEOPTION_GROUPS) {
                "GROUPS"
            } else {
                "RANGE"
            };
            let (first, last) =
                (self.simplified((*clause).startOffset), self.simplified((*clause).endOffset));
            // DuckDB 1.5.5 adds an offset to the row's number, which overflows.
            const LARGEST: i64 = 1 << 62;
            let offset = |node: *mut pg_sys::Node| match literal::integer(node) {
                Some(offset) if (0..=LARGEST).contains(&offset) && mode != "RANGE" => Ok(offset),
                _ => unsupported(format!("a {mode} frame with this offset")),
            };
            let start = if has(pg_sys::FRAMEOPTION_START_UNBOUNDED_PRECEDING) {
                sql!("UNBOUNDED PRECEDING")
            } else if has(pg_sys::FRAMEOPTION_START_CURRENT_ROW) {
                sql!("CURRENT ROW")
            } else if has(pg_sys::FRAMEOPTION_START_OFFSET_PRECEDING) {
                sql!("{} PRECEDING", offset(first)?)
            } else if has(pg_sys::FRAMEOPTION_START_OFFSET_FOLLOWING) {
                sql!("{} FOLLOWING", offset(first)?)
            } else {
                return unsupported("a frame that starts at the end");
            };
            let end = if has(pg_sys::FRAMEOPTION_END_UNBOUNDED_FOLLOWING) {
                sql!("UNBOUNDED FOLLOWING")
            } else if has(pg_sys::FRAMEOPTION_END_CURRENT_ROW) {
                sql!("CURRENT ROW")
            } else if has(pg_sys::FRAMEOPTION_END_OFFSET_PRECEDING) {
                sql!("{} PRECEDING", offset(last)?)
            } else if has(pg_sys::FRAMEOPTION_END_OFFSET_FOLLOWING) {
                sql!("{} FOLLOWING", offset(last)?)
            } else {
                return unsupported("a frame that ends at the start");
            };
            let exclude = if has(pg_sys::FRAMEOPTION_EXCLUDE_CURRENT_ROW) {
                " EXCLUDE CURRENT ROW"
            } else if has(pg_sys::FRAMEOPTION_EXCLUDE_GROUP) {
                " EXCLUDE GROUP"
            } else if has(pg_sys::FRAMEOPTION_EXCLUDE_TIES) {
                " EXCLUDE TIES"
            } else {
                ""
            };
            Ok(Some(sql!("{} BETWEEN {} AND {}{}", mode, start, end, exclude)))
        }
    }

    /// The keys of ORDER BY.
    ///
    /// # Safety
    /// Live lists; the targets hold what the clauses refer to.
    pub unsafe fn sort_keys(
        &mut self,
        clauses: *mut pg_sys::List,
        targets: *mut pg_sys::List,
    ) -> Result<Vec<Sql>> {
        // SAFETY: by contract.
        unsafe {
            let mut keys = vec![];
            for clause in nodes::items::<pg_sys::SortGroupClause>(clauses) {
                let node = self.simplified(target_of(clause, targets)?);
                // It orders nothing, and DuckDB might take it for a position.
                if is_known_at_start(node) {
                    continue;
                }
                check_sortable(pg_sys::exprType(node), pg_sys::exprCollation(node))?;
                let (descending, nulls_first) = sort_direction(clause)?;
                let key = self.expression(node)?;
                keys.push(sql!(
                    "{} {} NULLS {}",
                    key,
                    if descending { "DESC" } else { "ASC" },
                    if nulls_first { "FIRST" } else { "LAST" }
                ));
            }
            Ok(keys)
        }
    }
}

/// # Safety
/// A live expression.
unsafe fn form(
    signature: &str,
    argument: Option<*mut pg_sys::Node>,
    collation: pg_sys::Oid,
    arguments: &[Expression],
) -> Result<Form> {
    if let Some(form) = simple_form(signature) {
        if form.float && !guc::pushdown_float_aggregates() {
            return unsupported(format!(
                "aggregate {signature} (see duckdb.pushdown_float_aggregates)"
            ));
        }
        if form.name == "array_agg" {
            // SAFETY: by contract.
            let oid = argument.map_or(pg_sys::InvalidOid, |node| unsafe { pg_sys::exprType(node) });
            if !is_plain_type(oid) {
                return unsupported(format!("array_agg of type {}", catalog::type_name(oid, -1)));
            }
            if arguments.first().is_some_and(|argument| argument.inexact_scale) {
                return unsupported("array_agg of a numeric whose digits behind the point vary");
            }
        }
        return Ok(form);
    }
    let (name, _) = signature.split_once('(').unwrap_or((signature, ""));
    let (Some(first), Some(argument)) = (arguments.first(), argument) else {
        return unsupported(format!("aggregate {signature}"));
    };
    match name {
        "sum" if signature == "sum(numeric)" => {
            let scale = first
                .decimal
                .ok_or(Unsupported::construct("a numeric of unknown precision"))?
                .scale;
            Ok(Form { decimal: Some(Decimal { width: MAX_WIDTH, scale }), ..Form::plain("sum") })
        }
        "min" | "max" => {
            // SAFETY: by contract.
            let oid = unsafe { pg_sys::exprType(argument) };
            check_sortable(oid, collation)?;
            if oid == pg_sys::NUMERICOID && first.decimal.is_none() {
                return unsupported("a numeric of unknown precision");
            }
            let form = Form::plain(if name == "min" { "min" } else { "max" });
            // Over files that may have NaN, DuckDB 1.5.5 takes it for the maximum of any column
            // whose statistics it answers from; with a filter it looks.
            let looks = matches!(oid, pg_sys::FLOAT4OID | pg_sys::FLOAT8OID);
            Ok(Form { decimal: first.decimal, looks, ..form })
        }
        _ => unsupported(format!("aggregate {signature}")),
    }
}

/// Sums of fewer digits stay within 38 for ten thousand million rows.
const SUMMABLE_WIDTH: u8 = 28;

/// A sum of a numeric that is an error, and so PostgreSQL's to compute, where it might need more than
/// 38 digits: DuckDB 1.5.5 checks each addition of a value, but not that of two threads' sums, which
/// wraps around 2^127.
fn guarded(sum: Sql, value: &Expression, filter: &Option<Sql>, over: Option<&Sql>) -> Sql {
    let Some(decimal) = value.decimal.filter(|decimal| decimal.width > SUMMABLE_WIDTH) else {
        return sum;
    };
    let around = sql!("{}{}", filter.as_ref(), over);
    let before = sql!(
        "CASE WHEN CAST(max(abs({})){} AS DOUBLE) * count({}){} >= 1e{} \
         THEN error('pg_pond 0A000 a sum may need more than 38 digits') ELSE ",
        value,
        around,
        value,
        around,
        MAX_WIDTH - decimal.scale
    );
    sql!("{}{}{}", before.elided(), sum, sql!(" END").elided())
}

fn finish(
    form: &Form,
    arguments: &[Expression],
    parts: &Parts,
    star: bool,
    over: Option<&Sql>,
) -> Result<Expression> {
    let inside = if star { sql!("*") } else { Sql::join(arguments, ", ") };
    let distinct = if parts.distinct { "DISTINCT " } else { "" };
    let order = &parts.order;
    let filter = match parts.filter() {
        None if form.looks => Some(sql!(" FILTER (WHERE {} IS NOT NULL)", inside)),
        filter => filter,
    };
    // The order matters to some only, and costs.
    let order =
        (form.ordered && !order.is_empty()).then(|| sql!(" ORDER BY {}", Sql::join(order, ", ")));
    let sql = sql!("{}({}{}{}){}{}", form.name, distinct, inside, order, filter, over);
    let sql = match arguments.first() {
        Some(argument) if form.name == "sum" => guarded(sql, argument, &filter, over),
        _ => sql,
    };
    let sql = match form.cast {
        Some(cast) => sql!("CAST({} AS {})", sql, cast),
        None => sql,
    };
    let all: Vec<_> = arguments.iter().collect();
    // A sum has as many digits behind the point as the longest of its values.
    let scale = arguments
        .first()
        .filter(|argument| argument.inexact_scale && form.name == "sum")
        .and_then(Expression::scale)
        .map(|scale| sql!("max({}){}{}", scale, filter, over));
    Ok(Expression { sql, scale, decimal: form.decimal, ..Expression::default() }.with(&all))
}

/// The expression that a sort or group clause refers to.
///
/// # Safety
/// Live nodes.
pub unsafe fn target_of(
    clause: *mut pg_sys::SortGroupClause,
    targets: *mut pg_sys::List,
) -> Result<*mut pg_sys::Node> {
    // SAFETY: by contract.
    unsafe {
        nodes::items::<pg_sys::TargetEntry>(targets)
            .find(|entry| (**entry).ressortgroupref == (*clause).tleSortGroupRef)
            .map(|entry| (*entry).expr.cast())
            .ok_or(Unsupported::construct("a sort key"))
    }
}

/// Whether descending, and whether NULLs come first.
///
/// # Safety
/// A live clause.
pub unsafe fn sort_direction(clause: *mut pg_sys::SortGroupClause) -> Result<(bool, bool)> {
    // SAFETY: by contract.
    unsafe {
        let operator = (*clause).sortop;
        let own = operator.to_u32() < pg_sys::FirstNormalObjectId;
        match nodes::str_at(pg_sys::get_opname(operator)).as_str() {
            "<" if own => Ok((false, (*clause).nulls_first)),
            ">" if own => Ok((true, (*clause).nulls_first)),
            other => unsupported(format!("ORDER BY USING {other}")),
        }
    }
}
