//! Conditions that DuckDB may check in PostgreSQL's place: comparisons, on types where both agree,
//! of a column with a value that is known when the scan starts, and what AND, OR, NOT, IS NULL and
//! IN make of them.
//!
//! A column is cast to the DuckDB type of its PostgreSQL type before it is compared, so that what
//! PostgreSQL would have seen is compared (a TIMESTAMP_NS column as the timestamp that it becomes).
//! Where the types are the same, DuckDB drops the cast.

use duck::lexer;
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use super::plan::ScanPlan;
use crate::lake::mixed;
use crate::pg::row_type::RowColumn;
use crate::pg::{encoding, nodes};
use crate::types::parameter;

/// The scanned item's columns.
pub struct Columns {
    rti: pg_sys::Index,
    pub columns: Vec<RowColumn>,
}

impl Columns {
    /// # Safety
    /// `function` is a live function with a column definition list.
    #[must_use]
    pub unsafe fn new(rti: pg_sys::Index, function: *mut pg_sys::RangeTblFunction) -> Self {
        // SAFETY: the four lists are parallel.
        let columns = unsafe {
            nodes::items::<pg_sys::Node>((*function).funccolnames)
                .zip(nodes::oids((*function).funccoltypes))
                .zip(nodes::ints((*function).funccoltypmods))
                .zip(nodes::oids((*function).funccolcollations))
                .map(|(((name, type_oid), typmod), collation)| RowColumn {
                    name: nodes::server_string_value(name),
                    type_oid,
                    typmod,
                    collation,
                })
                .collect()
        };
        Self { rti, columns }
    }
}

/// Conditions divided between DuckDB and PostgreSQL.
pub struct Split {
    /// DuckDB's part; its values are parameters behind the query's own arguments.
    pub condition: String,
    /// What its columns need beside it.
    pub companions: Vec<String>,
    pub values: Vec<*mut pg_sys::Node>,
    /// The columns that it looks at, with the OID and typmod of their types.
    pub columns: Vec<(usize, u32, i32)>,
    /// PostgreSQL's part.
    pub local: *mut pg_sys::List,
}

impl Split {
    #[must_use]
    pub fn nothing(clauses: *mut pg_sys::List) -> Self {
        Self {
            condition: String::new(),
            companions: vec![],
            values: vec![],
            columns: vec![],
            local: clauses,
        }
    }
}

/// Whether conditions can be added to the query at all.
#[must_use]
pub fn can_push(plan: &ScanPlan) -> bool {
    plan.is_wrapped() && !lexer::has_anonymous_parameters(&plan.sql)
}

/// # Safety
/// `clauses` is a list of live conditions that are connected by AND.
#[must_use]
pub unsafe fn split(clauses: *mut pg_sys::List, plan: &ScanPlan, columns: &Columns) -> Split {
    let mut translator =
        Translator { plan, columns, values: vec![], used: std::collections::BTreeSet::new() };
    let mut pushed = vec![];
    let mut strict: std::collections::BTreeSet<usize> = std::collections::BTreeSet::new();
    let mut local = vec![];
    // SAFETY: by contract.
    unsafe {
        for clause in nodes::items::<pg_sys::Node>(clauses) {
            let known_values = translator.values.len();
            let used = translator.used.clone();
            match translator.condition(clause) {
                Some(sql) => {
                    pushed.push(sql);
                    if !pg_sys::contain_nonstrict_functions(clause) {
                        strict.extend(translator.used.difference(&used));
                    }
                }
                None => {
                    translator.values.truncate(known_values);
                    translator.used = used;
                    local.push(clause);
                }
            }
        }
        Split {
            condition: pushed.join(" AND "),
            companions: translator
                .used
                .iter()
                .filter(|at| mixed::is_cast(columns.columns[**at].type_oid))
                .map(|at| mixed::companion(&plan.column_reference(*at), strict.contains(at)))
                .map(|companion| companion.executed())
                .collect(),
            columns: translator
                .used
                .iter()
                .map(|at| {
                    let column = &columns.columns[*at];
                    (*at, column.type_oid.to_u32(), column.typmod)
                })
                .collect(),
            values: translator.values,
            local: nodes::list_of(local),
        }
    }
}

struct Translator<'a> {
    plan: &'a ScanPlan,
    columns: &'a Columns,
    values: Vec<*mut pg_sys::Node>,
    /// The positions of the columns that were compared.
    used: std::collections::BTreeSet<usize>,
}

/// Types whose comparisons agree in PostgreSQL and DuckDB, by groups within which PostgreSQL
/// compares directly.
fn comparable(left: pg_sys::Oid, right: pg_sys::Oid) -> bool {
    let groups: [&[pg_sys::Oid]; 8] = [
        &[pg_sys::INT2OID, pg_sys::INT4OID, pg_sys::INT8OID],
        &[pg_sys::FLOAT4OID, pg_sys::FLOAT8OID],
        &[pg_sys::BOOLOID],
        &[pg_sys::TEXTOID],
        &[pg_sys::DATEOID],
        &[pg_sys::TIMESTAMPOID],
        &[pg_sys::TIMESTAMPTZOID],
        &[pg_sys::UUIDOID],
    ];
    groups.iter().any(|group| group.contains(&left) && group.contains(&right))
}

impl Translator<'_> {
    /// # Safety
    /// `node` is a live expression.
    unsafe fn condition(&mut self, node: *mut pg_sys::Node) -> Option<String> {
        // SAFETY: each cast follows the tag.
        unsafe {
            match (*node).type_ {
                Tag::T_OpExpr => self.comparison(node.cast()),
                Tag::T_BoolExpr => self.boolean(node.cast()),
                Tag::T_NullTest => {
                    let test = node.cast::<pg_sys::NullTest>();
                    if (*test).argisrow {
                        return None;
                    }
                    let column = self.bare_column((*test).arg.cast())?;
                    let is_null = (*test).nulltesttype == pg_sys::NullTestType::IS_NULL;
                    Some(format!("{column} IS {}", if is_null { "NULL" } else { "NOT NULL" }))
                }
                Tag::T_BooleanTest => {
                    let test = node.cast::<pg_sys::BooleanTest>();
                    let inner = self.condition((*test).arg.cast())?;
                    use pg_sys::BoolTestType as Kind;
                    let kind = match (*test).booltesttype {
                        Kind::IS_TRUE => "TRUE",
                        Kind::IS_NOT_TRUE => "NOT TRUE",
                        Kind::IS_FALSE => "FALSE",
                        Kind::IS_NOT_FALSE => "NOT FALSE",
                        Kind::IS_UNKNOWN => "NULL",
                        Kind::IS_NOT_UNKNOWN => "NOT NULL",
                        _ => return None,
                    };
                    Some(format!("({inner}) IS {kind}"))
                }
                Tag::T_ScalarArrayOpExpr => self.any_or_all(node.cast()),
                Tag::T_Var if pg_sys::exprType(node) == pg_sys::BOOLOID => self.column(node),
                _ => None,
            }
        }
    }

    /// # Safety
    /// A live expression.
    unsafe fn boolean(&mut self, expression: *mut pg_sys::BoolExpr) -> Option<String> {
        // SAFETY: by contract.
        unsafe {
            let parts = nodes::items::<pg_sys::Node>((*expression).args)
                .map(|part| self.condition(part))
                .collect::<Option<Vec<_>>>()?;
            Some(match (*expression).boolop {
                pg_sys::BoolExprType::AND_EXPR => format!("({})", parts.join(" AND ")),
                pg_sys::BoolExprType::OR_EXPR => format!("({})", parts.join(" OR ")),
                _ => format!("(NOT {})", parts.first()?),
            })
        }
    }

    /// # Safety
    /// A live expression.
    unsafe fn comparison(&mut self, expression: *mut pg_sys::OpExpr) -> Option<String> {
        // SAFETY: by contract.
        unsafe {
            let arguments: Vec<_> = nodes::items::<pg_sys::Node>((*expression).args).collect();
            let [left, right] = arguments.as_slice() else {
                return None;
            };
            let operator =
                agreed_operator((*expression).opno, (*expression).inputcollid, *left, *right)?;
            let left = self.operand(*left)?;
            let right = self.operand(*right)?;
            Some(format!("({left} {operator} {right})"))
        }
    }

    /// `column = ANY (values)` and `column <> ALL (values)`, the forms of IN and NOT IN.
    ///
    /// # Safety
    /// A live expression.
    unsafe fn any_or_all(&mut self, expression: *mut pg_sys::ScalarArrayOpExpr) -> Option<String> {
        // SAFETY: by contract.
        unsafe {
            let arguments: Vec<_> = nodes::items::<pg_sys::Node>((*expression).args).collect();
            let [left, right] = arguments.as_slice() else {
                return None;
            };
            let array_type = pg_sys::exprType(*right);
            let element_type = pg_sys::get_element_type(array_type);
            let (left_type, collation) = (pg_sys::exprType(*left), (*expression).inputcollid);
            let operator =
                agreed_operator_of_types((*expression).opno, collation, left_type, element_type)?;
            // ANY of a multi-dimensional array means its elements, which DuckDB would not do.
            let array = nodes::cast::<pg_sys::Const>(*right, Tag::T_Const)?;
            if !is_plain_array(array) {
                return None;
            }
            let column = self.column(*left)?;
            let value = self.value(*right)?;
            match ((*expression).useOr, operator) {
                (true, "=") => Some(format!("({column} = ANY ({value}))")),
                (false, "<>") => Some(format!("(NOT ({column} = ANY ({value})))")),
                _ => None,
            }
        }
    }

    /// # Safety
    /// `node` is a live expression.
    unsafe fn operand(&mut self, node: *mut pg_sys::Node) -> Option<String> {
        // SAFETY: by contract.
        unsafe { self.column(node).or_else(|| self.value(node)) }
    }

    /// A column without the cast to its PostgreSQL type's DuckDB type: for IS NULL only.
    ///
    /// # Safety
    /// `node` is a live expression.
    unsafe fn bare_column(&self, node: *mut pg_sys::Node) -> Option<String> {
        // SAFETY: by contract.
        unsafe {
            let var = nodes::cast::<pg_sys::Var>(strip_relabel(node), Tag::T_Var)?;
            if u32::try_from((*var).varno) != Ok(self.columns.rti) || (*var).varlevelsup != 0 {
                return None;
            }
            let position = usize::try_from((*var).varattno).ok()?.checked_sub(1)?;
            (position < self.plan.names.len())
                .then(|| self.plan.column_reference(position).executed())
        }
    }

    /// # Safety
    /// `node` is a live expression.
    unsafe fn column(&mut self, node: *mut pg_sys::Node) -> Option<String> {
        // SAFETY: by contract.
        unsafe {
            let reference = self.bare_column(node)?;
            let stripped = strip_relabel(node);
            let position = usize::try_from((*stripped.cast::<pg_sys::Var>()).varattno).ok()?;
            self.used.insert(position.checked_sub(1)?);
            let type_oid = pg_sys::exprType(stripped);
            let duck_type = parameter::duck_type(type_oid, pg_sys::exprTypmod(stripped)).ok()?;
            Some(format!("CAST({reference} AS {duck_type})"))
        }
    }

    /// A value that is known when the scan starts, as the next parameter.
    ///
    /// # Safety
    /// `node` is a live expression.
    unsafe fn value(&mut self, node: *mut pg_sys::Node) -> Option<String> {
        // SAFETY: by contract.
        unsafe {
            let known = nodes::is_a(node, Tag::T_Const) || nodes::is_a(node, Tag::T_Param);
            parameter::duck_type(pg_sys::exprType(node), pg_sys::exprTypmod(node)).ok()?;
            if !known {
                return None;
            }
            self.values.push(node);
            Some(format!("${}", self.plan.arguments + self.values.len()))
        }
    }
}

/// A varchar column compared as text is the same column.
///
/// # Safety
/// `node` is a live expression.
unsafe fn strip_relabel(node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: by contract.
    unsafe {
        match nodes::cast::<pg_sys::RelabelType>(node, Tag::T_RelabelType) {
            Some(relabel) if (*relabel).resulttype == pg_sys::TEXTOID => (*relabel).arg.cast(),
            _ => node,
        }
    }
}

/// # Safety
/// Live expressions.
unsafe fn agreed_operator(
    operator: pg_sys::Oid,
    collation: pg_sys::Oid,
    left: *mut pg_sys::Node,
    right: *mut pg_sys::Node,
) -> Option<&'static str> {
    // SAFETY: by contract.
    unsafe {
        agreed_operator_of_types(
            operator,
            collation,
            pg_sys::exprType(left),
            pg_sys::exprType(right),
        )
    }
}

fn agreed_operator_of_types(
    operator: pg_sys::Oid,
    collation: pg_sys::Oid,
    left: pg_sys::Oid,
    right: pg_sys::Oid,
) -> Option<&'static str> {
    if operator.to_u32() >= pg_sys::FirstNormalObjectId || !comparable(left, right) {
        return None;
    }
    // SAFETY: a catalog look-up; the name is palloc'ed, or NULL.
    let name = unsafe { nodes::str_at(pg_sys::get_opname(operator)) };
    let operator = ["=", "<>", "<", "<=", ">", ">="].into_iter().find(|known| *known == name)?;
    if matches!(left, pg_sys::FLOAT4OID | pg_sys::FLOAT8OID) && matches!(operator, "=" | "<>") {
        // DuckDB 1.5.5 may miss zeros in a Parquet file that has negative ones.
        return None;
    }
    if left != pg_sys::TEXTOID {
        return Some(operator);
    }
    // Text: equality is equality of bytes in both, unless the collation says otherwise; order is
    // the collation's.
    // SAFETY: a catalog look-up.
    let deterministic = collation == pg_sys::InvalidOid
        || unsafe { pg_sys::get_collation_isdeterministic(collation) };
    let equality = matches!(operator, "=" | "<>");
    let bytewise = collation == pg_sys::C_COLLATION_OID;
    ((equality && deterministic || bytewise) && encoding::is_utf8()).then_some(operator)
}

/// One dimension, at least one element, and no NULL among them: an empty array is equal to nothing
/// and different from NULL too, which DuckDB sees otherwise.
///
/// # Safety
/// `array` is a live constant of an array type.
unsafe fn is_plain_array(array: *mut pg_sys::Const) -> bool {
    // SAFETY: detoasting returns a whole array.
    unsafe {
        if (*array).constisnull {
            return false;
        }
        let value = pg_sys::pg_detoast_datum((*array).constvalue.cast_mut_ptr());
        let header = value.cast::<pg_sys::ArrayType>();
        (*header).ndim == 1 && !pg_sys::array_contains_nulls(header)
    }
}
