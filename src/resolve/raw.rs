//! Statements whose inner queries PostgreSQL analyses without calling `post_parse_analyze_hook`:
//! BEGIN ATOMIC and RETURN bodies of functions, rules, policies. Their raw parse tree is rewritten:
//! `duckdb.query('…')` becomes `duckdb.query_by_name('…') AS (column definitions)` before the analysis.

use duck::{LogicalType, Value};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use super::input::{self, Described};
use super::travel;
use crate::error::Result;
use crate::lake::reader;
use crate::pg::catalog::{self, Objects};
use crate::pg::parse::{self, Constant};
use crate::pg::{encoding, nodes};
use crate::session::{Entry, access};
use crate::types::parameter;

/// Rewrites the statement if it holds anything of ours, in a copy when the tree must not change.
/// Returns the statement to go on with and whether it is still read-only.
///
/// # Safety
/// `statement` is a live utility statement.
pub unsafe fn rewrite(
    statement: *mut pg_sys::PlannedStmt,
    read_only_tree: bool,
) -> Result<(*mut pg_sys::PlannedStmt, bool)> {
    // SAFETY: by contract.
    unsafe {
        let utility = (*statement).utilityStmt;
        let concerned = !utility.is_null()
            && matches!(
                (*utility).type_,
                Tag::T_CreateFunctionStmt
                    | Tag::T_RuleStmt
                    | Tag::T_CreatePolicyStmt
                    | Tag::T_AlterPolicyStmt
            );
        if !concerned {
            return Ok((statement, read_only_tree));
        }
        let Some(objects) = Objects::get() else {
            return Ok((statement, read_only_tree));
        };
        if range_functions(utility, &objects).is_empty() {
            return Ok((statement, read_only_tree));
        }
        let statement = if read_only_tree {
            pg_sys::copyObjectImpl(statement.cast()).cast::<pg_sys::PlannedStmt>()
        } else {
            statement
        };
        let parameters = parameters_of((*statement).utilityStmt);
        for item in range_functions((*statement).utilityStmt, &objects) {
            rewrite_item(item, &parameters)?;
        }
        Ok((statement, false))
    }
}

struct Item {
    from: *mut pg_sys::RangeFunction,
    call: *mut pg_sys::FuncCall,
    literal: *mut pg_sys::A_Const,
    name: String,
    text: String,
}

/// Every FROM item below `statement` that calls `duckdb.query` or a reader with a literal.
///
/// # Safety
/// `statement` is NULL or a live raw statement.
unsafe fn range_functions(statement: *mut pg_sys::Node, objects: &Objects) -> Vec<Item> {
    if statement.is_null() {
        return vec![];
    }
    // SAFETY: by contract.
    unsafe {
        let inner = parse::inner_statements(statement);
        if !inner.is_empty() {
            return inner.into_iter().flat_map(|inner| range_functions(inner, objects)).collect();
        }
        let mut found = vec![];
        nodes::walk_raw(statement, &mut |node| {
            let tag = Tag::T_RangeFunction;
            if let Some(from) = nodes::cast::<pg_sys::RangeFunction>(node, tag) {
                found.extend(item(from, objects));
            }
            false
        });
        found
    }
}

/// # Safety
/// `from` is a live raw FROM item.
unsafe fn item(from: *mut pg_sys::RangeFunction, objects: &Objects) -> Option<Item> {
    // SAFETY: `functions` is a list of lists of a call and its column definitions.
    unsafe {
        if (*from).is_rowsfrom || !(*from).coldeflist.is_null() {
            return None;
        }
        let first = nodes::items::<pg_sys::List>((*from).functions).next()?;
        let call = nodes::items::<pg_sys::Node>(first).next()?;
        let call = nodes::cast::<pg_sys::FuncCall>(call, Tag::T_FuncCall)?;
        let parts: Vec<_> = nodes::items::<pg_sys::Node>((*call).funcname)
            .map(|part| nodes::string_value(part))
            .collect();
        let name = match parts.as_slice() {
            [schema, name] if schema == catalog::SCHEMA => name.clone(),
            [name] if is_ours_on_path(name, objects) => name.clone(),
            _ => return None,
        };
        let first = nodes::items::<pg_sys::Node>((*call).args).next()?;
        let literal = parse::literal_of(first)?;
        let value = (&raw mut (*literal).val).cast::<pg_sys::Node>();
        if (*literal).isnull || !nodes::is_a(value, Tag::T_String) {
            return None;
        }
        let ours = name == "query" || reader::find(&name).is_ok() || travel::is_travel(&name);
        let text = encoding::server_to_utf8((*value.cast::<pg_sys::String>()).sval);
        ours.then_some(Item { from, call, literal, name, text })
    }
}

fn is_ours_on_path(name: &str, objects: &Objects) -> bool {
    let function = if name == "query" { Some(objects.query[0]) } else { catalog::reader(name) };
    // SAFETY: a catalog look-up.
    function.is_some_and(|function| unsafe { pg_sys::FunctionIsVisible(function) })
}

/// # Safety
/// The item's tree may be changed.
unsafe fn rewrite_item(item: Item, parameters: &[FunctionParameter]) -> Result<()> {
    if travel::is_travel(&item.name) {
        // SAFETY: by contract.
        return unsafe { rewrite_travel(item) };
    }
    let Item { from, call, literal, name, text } = item;
    // SAFETY: by contract; new nodes are allocated beside the tree.
    unsafe {
        let reader = reader::find(&name).ok();
        let described = match reader {
            Some(reader) => {
                let options = parse::options_of_call(call).map_err(reader::not_constant(&name))?;
                let sql = reader.sql(&text, &options)?;
                input::describe(&sql, -1, vec![], access::entry_of_role()?)?
            }
            None => {
                input::describe(&text, -1, argument_values(call, parameters), entry_of_query()?)?
            }
        };
        let sql = nodes::palloc_bytes(&encoding::utf8_to_server(&described.sql));
        (*literal).val.sval.sval = sql;
        let rest: Vec<_> = match reader {
            Some(_) => vec![],
            None => nodes::items::<pg_sys::Node>((*call).args).skip(1).collect(),
        };
        (*call).args = nodes::list_of(std::iter::once(literal.cast()).chain(rest));
        (*call).funcname = nodes::list_of([
            nodes::string_node(catalog::SCHEMA),
            nodes::string_node("query_by_name"),
        ]);
        if (*from).alias.is_null() {
            (*from).alias = pg_sys::makeAlias(nodes::palloc_str(&name), std::ptr::null_mut());
        }
        (*from).coldeflist = column_definitions(&described);
    }
    Ok(())
}

/// The stored form has the same parameters.
///
/// # Safety
/// As [`rewrite_item`].
unsafe fn rewrite_travel(item: Item) -> Result<()> {
    let Item { from, call, name, text, .. } = item;
    // SAFETY: by contract; new nodes are allocated beside the tree.
    unsafe {
        let options = parse::options_of_call(call).map_err(reader::not_constant(&name))?;
        let described = travel::describe(travel::of_call(&name, &text, &options)?, -1)?;
        let stored = if name == "at" { "query_at" } else { "query_changes" };
        (*call).funcname =
            nodes::list_of([nodes::string_node(catalog::SCHEMA), nodes::string_node(stored)]);
        if (*from).alias.is_null() {
            (*from).alias = pg_sys::makeAlias(nodes::palloc_str(&name), std::ptr::null_mut());
        }
        (*from).coldeflist = column_definitions(&described);
    }
    Ok(())
}

fn entry_of_query() -> Result<Entry> {
    match access::entry_of_role()? {
        Entry::Query => Ok(Entry::Query),
        Entry::Readers(_) | Entry::Tables(..) | Entry::QueryAndTables(_) => {
            Err(access::permission_denied("query"))
        }
    }
}

/// A parameter of the function that is being created.
struct FunctionParameter {
    name: String,
    type_oid: pg_sys::Oid,
    typmod: i32,
}

/// The input parameters of a CREATE FUNCTION, in order; none for other statements.
///
/// # Safety
/// `statement` is a live utility statement.
unsafe fn parameters_of(statement: *mut pg_sys::Node) -> Vec<FunctionParameter> {
    // SAFETY: by contract; an unknown type is left to the statement itself.
    unsafe {
        let tag = Tag::T_CreateFunctionStmt;
        let Some(create) = nodes::cast::<pg_sys::CreateFunctionStmt>(statement, tag) else {
            return vec![];
        };
        nodes::items::<pg_sys::FunctionParameter>((*create).parameters)
            .filter(|parameter| {
                use pg_sys::FunctionParameterMode as Mode;
                !matches!((**parameter).mode, Mode::FUNC_PARAM_OUT | Mode::FUNC_PARAM_TABLE)
            })
            .map(|parameter| {
                let mut typmod = -1;
                let found = pg_sys::LookupTypeName(
                    std::ptr::null_mut(),
                    (*parameter).argType,
                    &raw mut typmod,
                    true,
                );
                let mut type_oid = pg_sys::InvalidOid;
                if !found.is_null() {
                    let row = pg_sys::GETSTRUCT(found).cast::<pg_sys::FormData_pg_type>();
                    type_oid = (*row).oid;
                    pg_sys::ReleaseSysCache(found);
                }
                FunctionParameter { name: nodes::str_at((*parameter).name), type_oid, typmod }
            })
            .collect()
    }
}

/// The arguments as far as the raw tree tells: constants, and the function's own parameters; the
/// rest is of unknown type.
///
/// # Safety
/// `call` is a live raw call.
unsafe fn argument_values(
    call: *mut pg_sys::FuncCall,
    parameters: &[FunctionParameter],
) -> Vec<Value> {
    // SAFETY: by contract.
    unsafe {
        nodes::items::<pg_sys::Node>((*call).args)
            .skip(1)
            .map(|argument| {
                if let Some(constant) = parse::constant(argument) {
                    return value(constant);
                }
                let found = parameter_of(argument, parameters);
                let logical_type =
                    found.and_then(|found| parameter::duck_type(found.type_oid, found.typmod).ok());
                Value::Null(logical_type.unwrap_or(LogicalType::Unknown))
            })
            .collect()
    }
}

/// The parameter that a raw expression is: `$1`, `name` or `function.name`.
///
/// # Safety
/// `node` is a live raw expression.
unsafe fn parameter_of(
    node: *mut pg_sys::Node,
    parameters: &[FunctionParameter],
) -> Option<&FunctionParameter> {
    // SAFETY: by contract; each cast follows the tag.
    unsafe {
        if let Some(parameter) = nodes::cast::<pg_sys::ParamRef>(node, Tag::T_ParamRef) {
            let index = usize::try_from((*parameter).number).ok()?.checked_sub(1)?;
            return parameters.get(index);
        }
        let column = nodes::cast::<pg_sys::ColumnRef>(node, Tag::T_ColumnRef)?;
        let last = nodes::items::<pg_sys::Node>((*column).fields).last()?;
        let name = nodes::is_a(last, Tag::T_String).then(|| nodes::string_value(last))?;
        parameters.iter().find(|parameter| parameter.name == name)
    }
}

fn value(constant: Constant) -> Value {
    match constant {
        Constant::Boolean(value) => Value::Boolean(value),
        Constant::Number(digits) => match (digits.parse::<i32>(), digits.parse::<f64>()) {
            (Ok(number), _) => Value::Integer(number),
            (_, Ok(number)) => Value::Double(number),
            _ => Value::Null(LogicalType::Unknown),
        },
        Constant::Text(text) => Value::Varchar(text),
        Constant::Null | Constant::List(_) => Value::Null(LogicalType::Unknown),
    }
}

/// # Safety
/// Within a transaction.
unsafe fn column_definitions(described: &Described) -> *mut pg_sys::List {
    // SAFETY: makeColumnDef copies nothing; names are palloc'ed here.
    unsafe {
        nodes::list_of(described.columns.iter().map(|column| {
            pg_sys::makeColumnDef(
                nodes::palloc_bytes(&encoding::utf8_to_server(&column.name)),
                column.type_oid,
                column.typmod,
                column.collation,
            )
        }))
    }
}
