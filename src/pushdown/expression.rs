//! Expressions of PostgreSQL as DuckDB SQL.
//!
//! What comes out has exactly the DuckDB type that belongs to the expression's PostgreSQL type, so
//! that DuckDB never chooses another operator than PostgreSQL did; for numerics the digits are
//! known.

use duck::sql;
use duck::sql::{Part, Sql};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use super::functions::{self, Need};
use super::literal;
use super::translator::{Result, Translator, Unsupported, unsupported};
use crate::pg::{catalog, encoding, nodes};
use crate::types::parameter;

/// The digits of a DECIMAL: in all, and behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    pub width: u8,
    pub scale: u8,
}

pub const MAX_WIDTH: u8 = 38;

/// Expressions in expressions, sub-queries included: each takes some room on the stack.
const DEEPEST: u32 = 200;

impl Decimal {
    #[must_use]
    pub fn new(width: u8, scale: u8) -> Self {
        Self { width, scale }
    }

    /// That of a numeric's typmod, if it has one that DuckDB can hold.
    #[must_use]
    pub fn of_typmod(typmod: i32) -> Option<Self> {
        if typmod < 4 {
            return None;
        }
        // numeric.c: the scale is a signed number of eleven bits.
        let (precision, scale) = ((typmod - 4) >> 16, (((typmod - 4) & 0x7ff) ^ 1024) - 1024);
        if precision > i32::from(MAX_WIDTH) || !(0..=precision).contains(&scale) {
            return None;
        }
        match parameter::duck_type(pg_sys::NUMERICOID, typmod) {
            Ok(duck::LogicalType::Decimal { width, scale }) => Some(Self { width, scale }),
            _ => None,
        }
    }

    fn integral(self) -> u8 {
        self.width - self.scale
    }

    /// The smallest that holds both.
    #[must_use]
    pub fn unify(self, other: Self) -> Self {
        let scale = self.scale.max(other.scale);
        let integral = self.integral().max(other.integral());
        Self { width: (integral + scale).min(MAX_WIDTH), scale }
    }
}

impl Part for Decimal {
    fn append_to(&self, sql: &mut Sql) {
        sql.push(&sql!("DECIMAL({},{})", self.width, self.scale));
    }
}

/// An expression in DuckDB's SQL.
#[derive(Clone, Debug, Default)]
pub struct Expression {
    pub sql: Sql,
    /// It is the constant NULL.
    pub is_null: bool,
    /// Of a numeric: its digits, where they are known.
    pub decimal: Option<Decimal>,
    /// The digits of a numeric constant, to be written in another scale.
    pub constant: Option<String>,
    /// It may raise an error for some rows, so that it matters for which rows it is evaluated.
    pub risky: bool,
    /// A numeric with PostgreSQL's value, perhaps with other zeros at its end.
    pub inexact_scale: bool,
    /// For such a numeric the number of digits behind the point that PostgreSQL's value has, row by
    /// row, where DuckDB can tell.
    pub scale: Option<Sql>,
    /// The number of those digits does not depend on the parts.
    pub fixed_scale: bool,
    /// The sides of a comparison.
    pub comparison: Option<Box<Comparison>>,
}

/// `left operator right`.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub left: Sql,
    pub operator: &'static str,
    pub right: Sql,
}

impl Part for Expression {
    fn append_to(&self, sql: &mut Sql) {
        self.sql.append_to(sql);
    }
}

impl Part for &Expression {
    fn append_to(&self, sql: &mut Sql) {
        self.sql.append_to(sql);
    }
}

impl Expression {
    #[must_use]
    pub fn new(sql: Sql) -> Self {
        Self { sql, ..Self::default() }
    }

    #[must_use]
    pub fn numeric(sql: Sql, decimal: Decimal) -> Self {
        Self { sql, decimal: Some(decimal), ..Self::default() }
    }

    /// The properties that an expression inherits from its parts.
    #[must_use]
    pub fn with(mut self, parts: &[&Self]) -> Self {
        self.risky |= parts.iter().any(|part| part.risky);
        self.inexact_scale |= self.decimal.is_some()
            && !self.fixed_scale
            && parts.iter().any(|part| part.inexact_scale);
        self
    }

    /// The number of digits behind the point that PostgreSQL's value has.
    #[must_use]
    pub fn scale(&self) -> Option<Sql> {
        match self.decimal {
            _ if self.inexact_scale => self.scale.clone(),
            Some(decimal) => Some(sql!("{}", decimal.scale)),
            None => None,
        }
    }

    /// Whether PostgreSQL's values of these differ in their digits behind the point.
    #[must_use]
    pub fn scales_vary(parts: &[Self]) -> bool {
        let mut known: Option<u8> = None;
        parts.iter().filter(|part| !part.is_null).any(|part| match part.decimal {
            _ if part.inexact_scale => true,
            Some(decimal) => known.replace(decimal.scale).is_some_and(|k| k != decimal.scale),
            None => false,
        })
    }

    #[must_use]
    pub fn risky(mut self) -> Self {
        self.risky = true;
        self
    }

    /// A constant without zeros at its end; anything else as it is.
    #[must_use]
    pub fn without_zeros(&self) -> Self {
        let (Some(digits), Some(decimal)) = (&self.constant, self.decimal) else {
            return self.clone();
        };
        let Some((whole, fraction)) = digits.split_once('.') else { return self.clone() };
        let kept = fraction.trim_end_matches('0');
        let dropped = u8::try_from(fraction.len() - kept.len()).unwrap_or(0);
        if dropped == 0 || dropped > decimal.scale || dropped >= decimal.width {
            return self.clone();
        }
        let point = if kept.is_empty() { "" } else { "." };
        let constant = format!("{whole}{point}{kept}");
        let decimal = Decimal { width: decimal.width - dropped, scale: decimal.scale - dropped };
        let sql = sql!("{}::{}", sql::number(&constant), decimal);
        Self { sql, constant: Some(constant), decimal: Some(decimal), ..self.clone() }
    }

    /// As a decimal of the given digits, rounded if they are fewer.
    #[must_use]
    pub fn to_decimal_by_cast(&self, decimal: Decimal) -> Sql {
        sql!("CAST({} AS {})", self, decimal)
    }

    /// As a decimal of the given digits, which hold its values.
    #[must_use]
    pub fn to_decimal(&self, decimal: Decimal) -> Sql {
        match &self.constant {
            Some(digits) => sql!("{}::{}", sql::number(digits), decimal),
            None if self.decimal == Some(decimal) => self.sql.clone(),
            None => self.to_decimal_by_cast(decimal),
        }
    }
}

/// Types whose values DuckDB can group, compare for equality and return as PostgreSQL does.
#[must_use]
pub fn is_plain_type(oid: pg_sys::Oid) -> bool {
    [
        pg_sys::BOOLOID,
        pg_sys::INT2OID,
        pg_sys::INT4OID,
        pg_sys::INT8OID,
        pg_sys::FLOAT4OID,
        pg_sys::FLOAT8OID,
        pg_sys::NUMERICOID,
        pg_sys::TEXTOID,
        pg_sys::VARCHAROID,
        pg_sys::DATEOID,
        pg_sys::TIMEOID,
        pg_sys::TIMESTAMPOID,
        pg_sys::TIMESTAMPTZOID,
        pg_sys::UUIDOID,
        pg_sys::BYTEAOID,
    ]
    .contains(&oid)
}

/// Whether values of the type are equal, grouped and told apart alike in both.
///
/// # Errors
/// The reason why not.
pub fn check_groupable(oid: pg_sys::Oid, collation: pg_sys::Oid) -> Result<()> {
    if !is_plain_type(oid) {
        return unsupported(format!("equality of type {}", catalog::type_name(oid, -1)));
    }
    if is_text(oid) { check_deterministic(collation) } else { Ok(()) }
}

/// Whether values of the type have the same order in both.
///
/// # Errors
/// The reason why not.
pub fn check_sortable(oid: pg_sys::Oid, collation: pg_sys::Oid) -> Result<()> {
    check_groupable(oid, collation)?;
    if is_text(oid) { check_bytewise(collation) } else { Ok(()) }
}

fn is_text(oid: pg_sys::Oid) -> bool {
    matches!(oid, pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID)
}

fn check_deterministic(collation: pg_sys::Oid) -> Result<()> {
    if !encoding::is_utf8() {
        return unsupported("text in a server encoding other than UTF8");
    }
    // SAFETY: a catalog look-up.
    let deterministic = collation == pg_sys::InvalidOid
        || unsafe { pg_sys::get_collation_isdeterministic(collation) };
    if deterministic { Ok(()) } else { unsupported("a nondeterministic collation") }
}

fn check_bytewise(collation: pg_sys::Oid) -> Result<()> {
    check_deterministic(collation)?;
    if catalog::is_bytewise(collation) {
        return Ok(());
    }
    // SAFETY: a catalog look-up; the name is palloc'ed, or NULL.
    let name = unsafe { nodes::str_at(pg_sys::get_collation_name(collation)) };
    unsupported(format!("the order of text under collation \"{name}\""))
}

impl Translator {
    /// # Errors
    /// The construct that DuckDB does not do as PostgreSQL does.
    ///
    /// # Safety
    /// `node` is a live expression of the innermost level.
    pub unsafe fn expression(&mut self, node: *mut pg_sys::Node) -> Result<Expression> {
        if self.depth >= DEEPEST {
            return unsupported("an expression that is nested too deeply");
        }
        self.depth += 1;
        // SAFETY: by contract.
        let made = unsafe { self.expression_of(node) };
        self.depth -= 1;
        made
    }

    /// # Safety
    /// As [`Self::expression`].
    unsafe fn expression_of(&mut self, node: *mut pg_sys::Node) -> Result<Expression> {
        // SAFETY: by contract; each cast follows the tag.
        unsafe {
            if node.is_null() {
                return unsupported("an empty expression");
            }
            match (*node).type_ {
                Tag::T_Const => return self.constant(node.cast()),
                Tag::T_Var => return self.variable(node.cast()),
                Tag::T_CaseTestExpr => {
                    return self.case_tests.last().cloned().ok_or(Unsupported::construct("CASE"));
                }
                _ => {}
            }
            if is_known_at_start(node) {
                return self.argument(node);
            }
            match (*node).type_ {
                Tag::T_Param => self.sublink_parameter(node.cast()),
                Tag::T_RelabelType => self.relabel(node.cast()),
                Tag::T_CollateExpr => {
                    self.expression((*node.cast::<pg_sys::CollateExpr>()).arg.cast())
                }
                Tag::T_FuncExpr => {
                    let call = node.cast::<pg_sys::FuncExpr>();
                    self.call((*call).funcid, (*call).args, (*call).inputcollid, node)
                }
                Tag::T_OpExpr => {
                    let call = node.cast::<pg_sys::OpExpr>();
                    let function = pg_sys::get_opcode((*call).opno);
                    self.call(function, (*call).args, (*call).inputcollid, node)
                }
                Tag::T_DistinctExpr => {
                    let call = node.cast::<pg_sys::DistinctExpr>();
                    let function = pg_sys::get_opcode((*call).opno);
                    let equal = self.call(function, (*call).args, (*call).inputcollid, node)?;
                    let Some(Comparison { left, right, .. }) = equal.comparison.as_deref() else {
                        return unsupported("IS DISTINCT FROM of these types");
                    };
                    let sql = sql!("({} IS DISTINCT FROM {})", left, right);
                    Ok(Expression::new(sql).with(&[&equal]))
                }
                Tag::T_NullIfExpr => {
                    let call = node.cast::<pg_sys::NullIfExpr>();
                    let function = pg_sys::get_opcode((*call).opno);
                    let equal = self.call(function, (*call).args, (*call).inputcollid, node)?;
                    let first = nodes::items::<pg_sys::Node>((*call).args).next();
                    let first = self.expression(first.unwrap_or(std::ptr::null_mut()))?;
                    let sql = sql!("CASE WHEN {} THEN NULL ELSE {} END", equal, first);
                    let decimal = first.decimal;
                    Ok(Expression { sql, decimal, ..Expression::default() }.with(&[&equal, &first]))
                }
                Tag::T_BoolExpr => self.boolean(node.cast()),
                Tag::T_CaseExpr => self.case(node.cast()),
                Tag::T_CoalesceExpr => {
                    let list = (*node.cast::<pg_sys::CoalesceExpr>()).args;
                    self.variants("coalesce", list, node)
                }
                Tag::T_MinMaxExpr => {
                    let call = node.cast::<pg_sys::MinMaxExpr>();
                    check_sortable((*call).minmaxtype, (*call).inputcollid)?;
                    let greatest = (*call).op == pg_sys::MinMaxOp::IS_GREATEST;
                    self.variants(if greatest { "greatest" } else { "least" }, (*call).args, node)
                }
                Tag::T_NullTest => {
                    let test = node.cast::<pg_sys::NullTest>();
                    if (*test).argisrow {
                        return unsupported("IS NULL of a row");
                    }
                    let part = self.expression((*test).arg.cast())?;
                    let is_null = (*test).nulltesttype == pg_sys::NullTestType::IS_NULL;
                    let word = if is_null { "IS NULL" } else { "IS NOT NULL" };
                    Ok(Expression::new(sql!("({} {})", part, word)).with(&[&part]))
                }
                Tag::T_BooleanTest => {
                    let test = node.cast::<pg_sys::BooleanTest>();
                    let part = self.expression((*test).arg.cast())?;
                    use pg_sys::BoolTestType as Kind;
                    let kind = match (*test).booltesttype {
                        Kind::IS_TRUE => "IS TRUE",
                        Kind::IS_NOT_TRUE => "IS NOT TRUE",
                        Kind::IS_FALSE => "IS FALSE",
                        Kind::IS_NOT_FALSE => "IS NOT FALSE",
                        Kind::IS_UNKNOWN => "IS NULL",
                        _ => "IS NOT NULL",
                    };
                    Ok(Expression::new(sql!("({} {})", part, kind)).with(&[&part]))
                }
                Tag::T_ScalarArrayOpExpr => self.any_or_all(node.cast()),
                Tag::T_RowCompareExpr => self.row_comparison(node.cast()),
                Tag::T_CoerceViaIO => self.coerce_via_io(node.cast()),
                Tag::T_SubLink => self.sublink(node.cast()),
                Tag::T_Aggref => self.aggregate(node.cast()),
                Tag::T_WindowFunc => self.window_function(node.cast()),
                Tag::T_GroupingFunc => {
                    let call = node.cast::<pg_sys::GroupingFunc>();
                    if (*call).agglevelsup != 0 {
                        return unsupported("GROUPING of an outer query");
                    }
                    let args = self.expressions((*call).args)?;
                    let args = Sql::join(args, ", ");
                    Ok(Expression::new(sql!("CAST(grouping({}) AS INTEGER)", args)))
                }
                tag => unsupported(construct(tag)),
            }
        }
    }

    /// # Safety
    /// `list` is a live list of expressions.
    pub unsafe fn expressions(&mut self, list: *mut pg_sys::List) -> Result<Vec<Expression>> {
        // SAFETY: by contract.
        unsafe { nodes::items::<pg_sys::Node>(list).map(|node| self.expression(node)).collect() }
    }

    /// # Safety
    /// A live constant.
    unsafe fn constant(&mut self, constant: *mut pg_sys::Const) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            match literal::of_constant(constant) {
                Some(expression) => Ok(expression),
                None if (*constant).consttype == pg_sys::NUMERICOID => {
                    unsupported("a numeric that no DECIMAL of DuckDB holds")
                }
                None => self.argument(constant.cast()),
            }
        }
    }

    /// A value that PostgreSQL computes when the scan starts.
    ///
    /// # Safety
    /// A live expression that needs no row.
    pub unsafe fn argument(&mut self, node: *mut pg_sys::Node) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            let (oid, typmod) = (pg_sys::exprType(node), pg_sys::exprTypmod(node));
            let duck_type = parameter::duck_type(oid, typmod).map_err(|_| {
                Unsupported::construct(format!(
                    "a value of type {}",
                    catalog::type_name(oid, typmod)
                ))
            })?;
            let known = self
                .arguments
                .iter()
                .position(|known| pg_sys::equal((*known).cast(), node.cast_const().cast()));
            let number = known.unwrap_or_else(|| {
                self.arguments.push(node);
                self.arguments.len() - 1
            }) + 1;
            if oid == pg_sys::NUMERICOID {
                // The digits are those of the value.
                return Ok(match Decimal::of_typmod(typmod) {
                    Some(decimal) => Expression::numeric(
                        sql!("{}::{}", Sql::parameter(number), decimal),
                        decimal,
                    ),
                    // A value with too many digits for a DECIMAL is an error.
                    None => Expression::new(Sql::parameter(number)).risky(),
                });
            }
            if pg_sys::get_element_type(oid) != pg_sys::InvalidOid {
                return Ok(Expression::new(Sql::parameter(number)));
            }
            Ok(Expression::new(sql!("{}::{}", Sql::parameter(number), duck_type)))
        }
    }

    /// # Safety
    /// A live parameter.
    unsafe fn sublink_parameter(&mut self, param: *mut pg_sys::Param) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            if (*param).paramkind == pg_sys::ParamKind::PARAM_SUBLINK
                && let Some(columns) = self.sublink_columns.last()
                && let Some(found) =
                    usize::try_from((*param).paramid - 1).ok().and_then(|i| columns.get(i))
            {
                return Ok(found.clone());
            }
            unsupported("a parameter of the plan")
        }
    }

    /// # Safety
    /// A live expression.
    unsafe fn relabel(&mut self, relabel: *mut pg_sys::RelabelType) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            let from = pg_sys::exprType((*relabel).arg.cast());
            let to = (*relabel).resulttype;
            let text = |oid| matches!(oid, pg_sys::TEXTOID | pg_sys::VARCHAROID);
            if from != to && !(text(from) && text(to)) {
                return unsupported(format!(
                    "the cast of {} to {}",
                    catalog::type_name(from, -1),
                    catalog::type_name(to, -1)
                ));
            }
            self.expression((*relabel).arg.cast())
        }
    }

    /// A call of a function, or of the function of an operator.
    ///
    /// # Safety
    /// `args` is a live list; `node` is the call.
    unsafe fn call(
        &mut self,
        function: pg_sys::Oid,
        args: *mut pg_sys::List,
        collation: pg_sys::Oid,
        node: *mut pg_sys::Node,
    ) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            let (signature, rule) = functions::find(function)?;
            let arguments: Vec<_> = nodes::items::<pg_sys::Node>(args).collect();
            let types: Vec<_> = arguments.iter().map(|arg| pg_sys::exprType(*arg)).collect();
            let parts =
                arguments.iter().map(|arg| self.expression(*arg)).collect::<Result<Vec<_>>>()?;
            functions::apply(
                &functions::Call {
                    signature: &signature,
                    node,
                    arguments: &arguments,
                    types: &types,
                    parts: &parts,
                    collation,
                },
                rule,
            )
        }
    }

    /// # Safety
    /// A live expression.
    unsafe fn boolean(&mut self, expression: *mut pg_sys::BoolExpr) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            let parts = self.expressions((*expression).args)?;
            let all: Vec<_> = parts.iter().collect();
            let sql = match (*expression).boolop {
                pg_sys::BoolExprType::AND_EXPR => sql!("({})", Sql::join(&parts, " AND ")),
                pg_sys::BoolExprType::OR_EXPR => sql!("({})", Sql::join(&parts, " OR ")),
                _ => sql!("(NOT {})", Sql::join(&parts, ", ")),
            };
            Ok(Expression::new(sql).with(&all))
        }
    }

    /// # Safety
    /// A live expression.
    unsafe fn case(&mut self, case: *mut pg_sys::CaseExpr) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            let tested = !(*case).arg.is_null();
            if tested {
                let arg = self.expression((*case).arg.cast())?;
                self.case_tests.push(arg);
            }
            let mut whens = vec![];
            let mut outcome = Ok(());
            for when in nodes::items::<pg_sys::CaseWhen>((*case).args) {
                match self.expression((*when).expr.cast()) {
                    Ok(condition) => whens.push((condition, (*when).result)),
                    Err(reason) => outcome = Err(reason),
                }
            }
            if tested {
                self.case_tests.pop();
            }
            outcome?;
            let mut results = whens
                .iter()
                .map(|(_, result)| self.expression((*result).cast()))
                .collect::<Result<Vec<_>>>()?;
            let otherwise = (*case).defresult;
            if !otherwise.is_null() {
                results.push(self.expression(otherwise.cast())?);
            }
            let decimal = self.unify(&mut results, (*case).casetype)?;
            let case_of = |values: &[Sql]| {
                let mut sql = sql!("CASE");
                for ((condition, _), value) in whens.iter().zip(values) {
                    sql.push(&sql!(" WHEN {} THEN {}", condition, value));
                }
                if !otherwise.is_null()
                    && let Some(value) = values.last()
                {
                    sql.push(&sql!(" ELSE {}", value));
                }
                sql.push(&" END");
                sql
            };
            let sql = case_of(&results.iter().map(|result| result.sql.clone()).collect::<Vec<_>>());
            let varies = decimal.is_some() && Expression::scales_vary(&results);
            let scales: Option<Vec<_>> = results.iter().map(Expression::scale).collect();
            let scale = scales.filter(|_| varies).map(|scales| case_of(&scales));
            let parts: Vec<_> = whens.iter().map(|(c, _)| c).chain(&results).collect();
            let made = Expression { sql, decimal, ..Expression::default() };
            Ok(Expression { inexact_scale: varies, scale, ..made }.with(&parts))
        }
    }

    /// Gives the variants of a value one DuckDB type.
    fn unify(&self, parts: &mut [Expression], oid: pg_sys::Oid) -> Result<Option<Decimal>> {
        if oid != pg_sys::NUMERICOID {
            let known = is_plain_type(oid) || oid == pg_sys::INTERVALOID;
            return if known {
                Ok(None)
            } else {
                unsupported(format!(
                    "a choice between values of type {}",
                    catalog::type_name(oid, -1)
                ))
            };
        }
        let mut unified: Option<Decimal> = None;
        for part in parts.iter() {
            let decimal =
                part.decimal.ok_or(Unsupported::construct("a numeric of unknown precision"))?;
            unified = Some(unified.map_or(decimal, |unified| unified.unify(decimal)));
        }
        if let Some(decimal) = unified {
            for part in parts {
                part.sql = part.to_decimal(decimal);
            }
        }
        Ok(unified)
    }

    /// # Safety
    /// A live list of expressions of the type of `node`.
    unsafe fn variants(
        &mut self,
        function: &'static str,
        list: *mut pg_sys::List,
        node: *mut pg_sys::Node,
    ) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            let mut parts = self.expressions(list)?;
            let decimal = self.unify(&mut parts, pg_sys::exprType(node))?;
            let sql = sql!("{}({})", function, Sql::join(&parts, ", "));
            let varies = decimal.is_some() && Expression::scales_vary(&parts);
            let scales: Option<Vec<_>> = parts.iter().map(Expression::scale).collect();
            let scale = scales.filter(|_| varies && function == "coalesce").map(|scales| {
                let whens = parts
                    .iter()
                    .zip(&scales)
                    .map(|(part, scale)| sql!(" WHEN {} IS NOT NULL THEN {}", part, scale));
                sql!("CASE{} END", Sql::join(whens, ""))
            });
            let parts: Vec<_> = parts.iter().collect();
            let made = Expression { sql, decimal, ..Expression::default() };
            Ok(Expression { inexact_scale: varies, scale, ..made }.with(&parts))
        }
    }

    /// `x op ANY (array)` and `x op ALL (array)`, IN lists among them.
    ///
    /// # Safety
    /// A live expression.
    unsafe fn any_or_all(
        &mut self,
        expression: *mut pg_sys::ScalarArrayOpExpr,
    ) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            let arguments: Vec<_> = nodes::items::<pg_sys::Node>((*expression).args).collect();
            let [left, array] = arguments.as_slice() else {
                return unsupported("an operator with ANY or ALL");
            };
            let use_or = (*expression).useOr;
            let Some(elements) = literal::elements(*array) else {
                return self.any_of_argument(expression, *left, *array);
            };
            if elements.is_empty() {
                // Even for NULL.
                return Ok(Expression::new(if use_or { sql!("false") } else { sql!("true") }));
            }
            let function = pg_sys::get_opcode((*expression).opno);
            let mut tests = vec![];
            for element in elements {
                let pair = nodes::list_of([*left, element]);
                let test =
                    self.call(function, pair, (*expression).inputcollid, expression.cast())?;
                tests.push(test);
            }
            let parts: Vec<_> = tests.iter().collect();
            let word = if use_or { " OR " } else { " AND " };
            let sql =
                in_list(&tests, use_or).unwrap_or_else(|| sql!("({})", Sql::join(&tests, word)));
            Ok(Expression::new(sql).with(&parts))
        }
    }

    /// An array that is known when the scan starts.
    ///
    /// # Safety
    /// Live expressions.
    unsafe fn any_of_argument(
        &mut self,
        expression: *mut pg_sys::ScalarArrayOpExpr,
        left: *mut pg_sys::Node,
        array: *mut pg_sys::Node,
    ) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            let element = pg_sys::get_element_type(pg_sys::exprType(array));
            let operator = nodes::str_at(pg_sys::get_opname((*expression).opno));
            let equality =
                matches!((operator.as_str(), (*expression).useOr), ("=", true) | ("<>", false));
            if !is_known_at_start(array) || !equality || element == pg_sys::NUMERICOID {
                return unsupported("ANY or ALL of an array that varies");
            }
            check_groupable(element, (*expression).inputcollid)?;
            let (signature, _) = functions::find(pg_sys::get_opcode((*expression).opno))?;
            if pg_sys::exprType(left) != element && !functions::is_integer_comparison(&signature) {
                return unsupported("ANY or ALL of an array of another type");
            }
            let left = self.expression(left)?;
            let list = self.argument(array)?;
            let duck_type = parameter::duck_type(element, -1)
                .map_err(|_| Unsupported::construct("an array of such a type"))?;
            let values = sql!("(SELECT unnest({}::{}[]))", list, duck_type);
            let word = if (*expression).useOr { "IN" } else { "NOT IN" };
            // Nothing is known of the elements of NULL; DuckDB would see none.
            let sql =
                sql!("CASE WHEN {} IS NULL THEN NULL ELSE {} {} {} END", list, left, word, values);
            Ok(Expression::new(sql).with(&[&left]))
        }
    }

    /// `(a, b) < (c, d)`, column by column from the left (PostgreSQL's manual, "Row Constructor
    /// Comparison").
    ///
    /// # Safety
    /// A live expression.
    unsafe fn row_comparison(
        &mut self,
        expression: *mut pg_sys::RowCompareExpr,
    ) -> Result<Expression> {
        // SAFETY: by contract; the lists are parallel.
        unsafe {
            let lefts: Vec<_> = nodes::items::<pg_sys::Node>((*expression).largs).collect();
            let rights: Vec<_> = nodes::items::<pg_sys::Node>((*expression).rargs).collect();
            let operators: Vec<_> = nodes::oids((*expression).opnos).collect();
            let collations: Vec<_> = nodes::oids((*expression).inputcollids).collect();
            let mut sql: Option<Sql> = None;
            let mut parts = vec![];
            for index in (0..lefts.len()).rev() {
                let (left, right) = (lefts[index], rights[index]);
                let name = nodes::str_at(pg_sys::get_opname(operators[index]));
                let last = sql.is_none();
                // All but the last column are compared strictly.
                let strict = if last { name.as_str() } else { &name[..1] };
                let (kind_left, kind_right) = (pg_sys::exprType(left), pg_sys::exprType(right));
                let compare =
                    self.named(strict, left, right, kind_left, kind_right, collations[index])?;
                sql = Some(match sql {
                    None => compare.sql.clone(),
                    Some(rest) => {
                        let equal =
                            self.named("=", left, right, kind_left, kind_right, collations[index])?;
                        let text = sql!("({} OR ({} AND {}))", compare, equal, rest);
                        parts.push(equal);
                        text
                    }
                });
                parts.push(compare);
            }
            let parts: Vec<_> = parts.iter().collect();
            Ok(Expression::new(sql.unwrap_or_else(|| sql!("true"))).with(&parts))
        }
    }

    /// PostgreSQL's own operator of a name and types, applied.
    ///
    /// # Safety
    /// Live expressions.
    unsafe fn named(
        &mut self,
        name: &str,
        left: *mut pg_sys::Node,
        right: *mut pg_sys::Node,
        left_type: pg_sys::Oid,
        right_type: pg_sys::Oid,
        collation: pg_sys::Oid,
    ) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            let names =
                nodes::list_of([nodes::string_node("pg_catalog"), nodes::string_node(name)]);
            let operator = pg_sys::OpernameGetOprid(names, left_type, right_type);
            if operator == pg_sys::InvalidOid {
                return unsupported("a row comparison of these types");
            }
            let pair = nodes::list_of([left, right]);
            self.call(pg_sys::get_opcode(operator), pair, collation, left)
        }
    }

    /// # Safety
    /// A live expression.
    unsafe fn coerce_via_io(&mut self, coerce: *mut pg_sys::CoerceViaIO) -> Result<Expression> {
        // SAFETY: by contract.
        unsafe {
            let from = pg_sys::exprType((*coerce).arg.cast());
            let to = (*coerce).resulttype;
            let same_text = [
                pg_sys::BOOLOID,
                pg_sys::INT2OID,
                pg_sys::INT4OID,
                pg_sys::INT8OID,
                pg_sys::UUIDOID,
                pg_sys::NUMERICOID,
            ];
            let part = self.expression((*coerce).arg.cast())?;
            // DuckDB writes no zero before the point of a type without whole digits.
            let exact = from != pg_sys::NUMERICOID
                || part.decimal.is_some_and(|decimal| decimal.width > decimal.scale)
                    && !part.inexact_scale;
            let is_text = matches!(to, pg_sys::TEXTOID | pg_sys::VARCHAROID);
            if !is_text || !same_text.contains(&from) || !exact {
                return unsupported(format!(
                    "the cast of {} to {}",
                    catalog::type_name(from, -1),
                    catalog::type_name(to, -1)
                ));
            }
            Ok(Expression::new(sql!("CAST({} AS VARCHAR)", part)).with(&[&part]))
        }
    }

    /// # Errors
    /// The collation that a function needs and does not have.
    pub fn check_need(need: Need, collation: pg_sys::Oid) -> Result<()> {
        match need {
            Need::Nothing => Ok(()),
            Need::Deterministic => check_deterministic(collation),
            Need::Bytewise => check_bytewise(collation),
        }
    }
}

/// Comparisons of one value with several for equality, as an IN list.
fn in_list(tests: &[Expression], use_or: bool) -> Option<Sql> {
    let wanted = if use_or { "=" } else { "<>" };
    let sides = tests.iter().map(|test| test.comparison.as_deref()).collect::<Option<Vec<_>>>()?;
    let left = &sides.first()?.left;
    if !sides.iter().all(|side| side.operator == wanted && side.left == *left) {
        return None;
    }
    let values = Sql::join(sides.iter().map(|side| &side.right), ", ");
    let word = if use_or { "IN" } else { "NOT IN" };
    Some(sql!("({} {} ({}))", left, word, values))
}

/// Whether PostgreSQL knows the value when a scan starts: no columns, nothing volatile.
///
/// # Safety
/// A live expression.
#[must_use]
pub unsafe fn is_known_at_start(node: *mut pg_sys::Node) -> bool {
    // SAFETY: by contract.
    unsafe {
        let depends = nodes::walk(node, &mut |node| match (*node).type_ {
            Tag::T_Var
            | Tag::T_Aggref
            | Tag::T_WindowFunc
            | Tag::T_GroupingFunc
            | Tag::T_SubLink
            | Tag::T_CaseTestExpr
            | Tag::T_CoerceToDomainValue
            | Tag::T_SetToDefault
            | Tag::T_CurrentOfExpr
            | Tag::T_NextValueExpr
            | Tag::T_Query => true,
            Tag::T_Param => {
                use pg_sys::ParamKind as Kind;
                !matches!(
                    (*node.cast::<pg_sys::Param>()).paramkind,
                    Kind::PARAM_EXTERN | Kind::PARAM_EXEC
                )
            }
            Tag::T_FuncExpr => (*node.cast::<pg_sys::FuncExpr>()).funcretset,
            _ => false,
        });
        !depends && !pg_sys::contain_volatile_functions(node)
    }
}

/// What a node is called in EXPLAIN.
fn construct(tag: Tag) -> String {
    match tag {
        Tag::T_RowExpr => "ROW(…)".into(),
        Tag::T_ArrayExpr => "ARRAY[…]".into(),
        Tag::T_SubscriptingRef => "a subscript".into(),
        Tag::T_FieldSelect => "a field of a composite value".into(),
        Tag::T_XmlExpr => "an XML expression".into(),
        Tag::T_CoerceToDomain => "a cast to a domain".into(),
        Tag::T_ArrayCoerceExpr => "a cast of an array".into(),
        Tag::T_ConvertRowtypeExpr => "a cast of a row".into(),
        Tag::T_CurrentOfExpr => "CURRENT OF".into(),
        other => {
            let name = format!("{other:?}");
            name.strip_prefix("T_").unwrap_or(&name).to_owned()
        }
    }
}
