//! The input functions of `duckdb.sql` and `duckdb.path`.

use std::cell::RefCell;
use std::ffi::CStr;

use duck::{LogicalType, Value};
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::travel;
use crate::error::{Error, Result, report};
use crate::lake::travel::Travel;
use crate::lake::{columns, reader};
use crate::pg::parse::{self, Literal};
use crate::pg::row_type::{self, RowColumn};
use crate::pg::{acl, encoding, nodes};
use crate::session::{self, Entry, access};
use crate::types::{self, parameter};

/// A literal whose columns the parser has been shown and whose FROM item is yet to be converted.
#[derive(Clone)]
pub struct Described {
    /// The DuckDB SQL in UTF-8; for readers what was made of the path and the options.
    pub sql: String,
    /// Where the literal stands in the statement's text; -1 when unknown. The same text may stand in
    /// a statement twice, with arguments of different types.
    pub location: i32,
    pub columns: Vec<RowColumn>,
    /// What DuckDB calls the columns; longer names than PostgreSQL's are other ones there.
    pub duck_names: Vec<String>,
    /// The number of parameters.
    pub parameters: usize,
    /// The types of the arguments, for those that PostgreSQL does not know.
    pub arguments: Vec<pg_sys::Oid>,
    /// What the literal stands for in a look at a lake's past; `sql` only tells it from others then.
    pub travel: Option<Travel>,
}

thread_local! {
    /// The literals of the statements under analysis. A statement of PL/pgSQL may be analysed while
    /// another one is, so nothing is forgotten before the transaction's end; the bound only keeps
    /// long transactions small.
    static DESCRIBED: RefCell<Vec<Described>> = const { RefCell::new(Vec::new()) };
}

const MOST_DESCRIBED: usize = 256;

pub fn forget() {
    DESCRIBED.take();
}

/// The description of the literal at `location`.
pub fn described(sql: &str, location: i32) -> Option<Described> {
    DESCRIBED.with_borrow(|known| {
        known.iter().rev().find(|d| d.sql == sql && d.location == location).cloned()
    })
}

pub fn remember(described: Described) {
    DESCRIBED.with_borrow_mut(|known| {
        known.retain(|other| other.sql != described.sql || other.location != described.location);
        if known.len() >= MOST_DESCRIBED {
            known.remove(0);
        }
        known.push(described);
    });
}

fn holds_decimal(logical_type: &LogicalType) -> bool {
    match logical_type {
        LogicalType::Decimal { .. } => true,
        LogicalType::List(element) => holds_decimal(element),
        _ => false,
    }
}

/// The most columns that a PostgreSQL target list or row type may have (`MaxTupleAttributeNumber`).
const MOST_COLUMNS: usize = 1664;

/// Asks DuckDB for the columns of `sql` and shows them to the parser.
pub fn describe(
    sql: &str,
    location: i32,
    arguments: Vec<Value>,
    entry: Entry,
) -> Result<Described> {
    let unbounded = arguments.iter().any(|argument| holds_decimal(&argument.logical_type()));
    let session::Description { columns, parameters, arguments } =
        session::describe(acl::current_role(), sql, arguments, entry)
            .map_err(Error::without_second_line)?;
    let arguments = arguments.iter().map(argument_type).collect();
    if columns.len() > MOST_COLUMNS {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_TOO_MANY_COLUMNS,
            format!("the DuckDB query has {} columns", columns.len()),
        )
        .detail(format!("PostgreSQL allows at most {MOST_COLUMNS}."))
        .hint("Select the columns that you need in DuckDB's query."));
    }
    let duck_names = columns.iter().map(|column| column.name.clone()).collect();
    let mut columns = columns::row_columns(&columns);
    if unbounded {
        // The scale of a numeric argument is that of its value, and so may be a column's.
        for column in &mut columns {
            if [pg_sys::NUMERICOID, pg_sys::NUMERICARRAYOID].contains(&column.type_oid) {
                column.typmod = -1;
            }
        }
    }
    let sql = sql.to_owned();
    let described =
        Described { sql, location, columns, duck_names, parameters, arguments, travel: None };
    remember(described.clone());
    Ok(described)
}

/// PostgreSQL's type for an argument.
fn argument_type(logical_type: &LogicalType) -> pg_sys::Oid {
    types::pg_type("", logical_type).map_or(pg_sys::TEXTOID, |found| found.oid)
}

fn show_to_parser(described: &Described) -> Result<()> {
    let objects = access::objects()?;
    row_type::replace(objects.row, &described.columns);
    Ok(())
}

/// Input function of `duckdb.sql`: text, and within a FROM clause the moment at which the query's
/// columns become known. Any error of DuckDB's parser, binder or catalog comes out here, with the
/// literal's position.
#[pg_extern]
fn duckdb_sql_in(text: &CStr) -> Vec<u8> {
    if let Some(literal) = parse::literal_in_from() {
        // SAFETY: an input function's argument is NUL-terminated server text.
        let sql = unsafe { encoding::server_to_utf8(text.as_ptr()) };
        report(describe_literal(&literal, &sql));
    }
    text.to_bytes().to_vec()
}

fn describe_literal(literal: &Literal, sql: &str) -> Result<()> {
    access::check_query()?;
    // SAFETY: within the input function.
    let arguments = unsafe { argument_values(literal, sql)? };
    show_to_parser(&describe(sql, literal.location, arguments, Entry::Query)?)
}

/// The query's arguments by type, with their values where those are constants. Only looked for when
/// the query may have parameters at all.
///
/// # Safety
/// Within the input function that makes `literal`.
unsafe fn argument_values(literal: &Literal, sql: &str) -> Result<Vec<Value>> {
    if !sql.contains(['$', '?']) {
        return Ok(vec![]);
    }
    // SAFETY: by contract.
    unsafe {
        let Some(call) = literal.enclosing_call() else {
            return Ok(vec![]);
        };
        literal
            .analyzed_arguments(&call)
            .into_iter()
            .zip(1..)
            .map(|(argument, number)| {
                let constant = nodes::cast::<pg_sys::Const>(argument, pg_sys::NodeTag::T_Const);
                let type_oid = pg_sys::exprType(argument);
                match constant {
                    Some(constant) if !(*constant).constisnull => parameter::Parameter::new(
                        &format!("${number}"),
                        type_oid,
                        (*constant).consttypmod,
                    )?
                    .value((*constant).constvalue, false),
                    _ if parse::is_untyped_parameter(argument) => {
                        Ok(Value::Null(LogicalType::Unknown))
                    }
                    _ => Ok(Value::Null(parameter::duck_type(
                        type_oid,
                        pg_sys::exprTypmod(argument),
                    )?)),
                }
            })
            .collect()
    }
}

/// Input function of `duckdb.path`, the first argument of the readers. Within a FROM clause its
/// result is the whole DuckDB query: the reader with the path and the options that stand beside it;
/// for `duckdb.at` and `duckdb.table_changes`, whose first argument is a foreign table, what they look
/// at.
#[pg_extern]
fn duckdb_path_in(text: &CStr) -> Vec<u8> {
    let Some(literal) = parse::literal_in_from() else {
        return text.to_bytes().to_vec();
    };
    // SAFETY: an input function's argument is NUL-terminated server text.
    let path = unsafe { encoding::server_to_utf8(text.as_ptr()) };
    let sql = report(describe_reader(&literal, &path));
    encoding::utf8_to_server(&sql).into_owned()
}

fn describe_reader(literal: &Literal, path: &str) -> Result<String> {
    // SAFETY: within the input function that makes the literal.
    let (name, options) = unsafe {
        let call = literal.enclosing_call().ok_or_else(|| {
            Error::not_supported("the reader's call cannot be found in the statement's text")
        })?;
        let options = call.constant_options().map_err(reader::not_constant(&call.name))?;
        (call.name.clone(), options)
    };
    if travel::is_travel(&name) {
        let described =
            travel::describe(travel::of_call(&name, path, &options)?, literal.location)?;
        show_to_parser(&described)?;
        return Ok(described.sql);
    }
    let reader = reader::find(&name)?;
    let sql = reader.sql(path, &options)?;
    let entry = access::entry_for_reader(&name)?;
    let described = describe(&sql, literal.location, vec![], entry)?;
    show_to_parser(&described)?;
    Ok(sql)
}
