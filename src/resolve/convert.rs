//! The analysed statement: every FROM item that returns `duckdb.row` becomes
//! `duckdb.query_by_name('…', …) AS (column definitions)`.

use duck::{lexer, quote};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;
use pgrx::prelude::*;

use super::input::{self, Described};
use super::travel;
use crate::error::{Error, Result};
use crate::pg::catalog::Objects;
use crate::pg::{encoding, nodes, parse};
use crate::session::access;

/// Converts the query and all its parts in place, and says whether there may have been something of
/// ours in it. Converting twice does nothing. `pstate` is that of the analysis, if it is still under
/// way.
///
/// # Safety
/// `query` is an analysed query that may be changed.
pub unsafe fn query(query: *mut pg_sys::Query, pstate: *mut pg_sys::ParseState) -> Result<bool> {
    // SAFETY: by contract.
    unsafe {
        // The common case first: nothing of ours, at the cost of a walk only.
        if !mentions_row_type(query) {
            return Ok(false);
        }
        let Some(objects) = Objects::get() else {
            return Ok(false);
        };
        tree(query.cast(), &objects, pstate)?;
        Ok(true)
    }
}

/// Whether any function of the statement may return `duckdb.row`. It must be cheap: it runs for
/// every statement of the server, twice. So it looks at range tables and leaves expressions alone,
/// unless they hold sub-queries.
///
/// # Safety
/// `query` is a live query.
unsafe fn mentions_row_type(query: *mut pg_sys::Query) -> bool {
    // SAFETY: by contract; each cast follows the tag.
    unsafe {
        if holds_query((*query).utilityStmt) {
            return true;
        }
        if (*query).hasSubLinks {
            let mut found = false;
            return nodes::walk(query.cast(), &mut |node| {
                if let Some(rte) = nodes::cast::<pg_sys::RangeTblEntry>(node, Tag::T_RangeTblEntry)
                {
                    found = is_concerned(rte);
                }
                found
            });
        }
        nodes::items::<pg_sys::RangeTblEntry>((*query).rtable).any(|rte| {
            is_concerned(rte)
                || ((*rte).rtekind == pg_sys::RTEKind::RTE_SUBQUERY
                    && !(*rte).subquery.is_null()
                    && mentions_row_type((*rte).subquery))
        }) || nodes::items::<pg_sys::CommonTableExpr>((*query).cteList).any(|cte| {
            let inner = nodes::cast::<pg_sys::Query>((*cte).ctequery, Tag::T_Query);
            inner.is_some_and(|inner| mentions_row_type(inner))
        })
    }
}

/// # Safety
/// `rte` is a live range table entry.
unsafe fn is_concerned(rte: *mut pg_sys::RangeTblEntry) -> bool {
    // SAFETY: by contract.
    unsafe {
        (*rte).rtekind == pg_sys::RTEKind::RTE_FUNCTION
            && nodes::items::<pg_sys::RangeTblFunction>((*rte).functions)
                .any(|function| returns_composite((*function).funcexpr))
    }
}

/// # Safety
/// `expression` is a live expression.
unsafe fn returns_composite(expression: *mut pg_sys::Node) -> bool {
    // SAFETY: by contract.
    unsafe {
        nodes::cast::<pg_sys::FuncExpr>(expression, Tag::T_FuncExpr)
            // Types below FirstNormalObjectId are PostgreSQL's own.
            .is_some_and(|call| (*call).funcresulttype.to_u32() >= pg_sys::FirstNormalObjectId)
    }
}

/// # Safety
/// `statement` is NULL or a live utility statement.
unsafe fn holds_query(statement: *mut pg_sys::Node) -> bool {
    // SAFETY: by contract.
    unsafe {
        !statement.is_null()
            && matches!(
                (*statement).type_,
                Tag::T_ExplainStmt
                    | Tag::T_CreateTableAsStmt
                    | Tag::T_DeclareCursorStmt
                    | Tag::T_CallStmt
            )
    }
}

/// # Safety
/// `node` is a live tree that may be changed.
unsafe fn tree(
    node: *mut pg_sys::Node,
    objects: &Objects,
    pstate: *mut pg_sys::ParseState,
) -> Result<()> {
    let mut outcome = Ok(());
    let mut converted = false;
    // SAFETY: by contract. The walk sees a range table entry before what is inside, and
    // query_tree_walker then walks into the new function call.
    unsafe {
        nodes::walk(node, &mut |node| {
            if let Some(rte) = nodes::cast::<pg_sys::RangeTblEntry>(node, Tag::T_RangeTblEntry) {
                if (*rte).rtekind == pg_sys::RTEKind::RTE_FUNCTION {
                    match range_table_entry(rte, objects, pstate) {
                        Ok(done) => converted |= done,
                        Err(error) => outcome = Err(error),
                    }
                }
            } else if let Some(query) = nodes::cast::<pg_sys::Query>(node, Tag::T_Query) {
                outcome = utility((*query).utilityStmt, objects, pstate);
            }
            outcome.is_err()
        });
        outcome?;
        if converted {
            row_references(node, objects);
        }
    }
    Ok(())
}

/// # Safety
/// `statement` is NULL or a live utility statement that may be changed.
unsafe fn utility(
    statement: *mut pg_sys::Node,
    objects: &Objects,
    pstate: *mut pg_sys::ParseState,
) -> Result<()> {
    if statement.is_null() {
        return Ok(());
    }
    // SAFETY: each cast follows the tag; the inner statements are analysed queries.
    unsafe {
        let inner: Vec<*mut pg_sys::Node> = match (*statement).type_ {
            Tag::T_ExplainStmt => vec![(*statement.cast::<pg_sys::ExplainStmt>()).query],
            Tag::T_DeclareCursorStmt => {
                vec![(*statement.cast::<pg_sys::DeclareCursorStmt>()).query]
            }
            Tag::T_CreateTableAsStmt => {
                let create = statement.cast::<pg_sys::CreateTableAsStmt>();
                // A materialized view keeps a copy that was made before any hook.
                let view_query = (*(*create).into).viewQuery.cast::<pg_sys::Node>();
                vec![(*create).query, view_query]
            }
            Tag::T_CallStmt => vec![(*statement.cast::<pg_sys::CallStmt>()).funcexpr.cast()],
            _ => vec![],
        };
        inner
            .into_iter()
            .filter(|node| !node.is_null() && !nodes::is_a(*node, Tag::T_RawStmt))
            .try_for_each(|node| tree(node, objects, pstate))
    }
}

/// # Safety
/// `rte` is a live function entry that may be changed.
unsafe fn range_table_entry(
    rte: *mut pg_sys::RangeTblEntry,
    objects: &Objects,
    pstate: *mut pg_sys::ParseState,
) -> Result<bool> {
    // SAFETY: by contract.
    unsafe {
        let ours = |function: *mut pg_sys::RangeTblFunction| {
            nodes::cast::<pg_sys::FuncExpr>((*function).funcexpr, Tag::T_FuncExpr)
                .filter(|call| objects.in_from.contains(&(**call).funcid))
        };
        let functions: Vec<_> = nodes::items((*rte).functions).collect();
        if !functions.iter().any(|function| ours(*function).is_some()) {
            return Ok(false);
        }
        if functions.len() > 1 {
            return Err(Error::not_supported(
                "ROWS FROM with several functions cannot hold duckdb.query or a reader",
            )
            .hint("Use duckdb.query_rows(…) AS (column definitions) inside of ROWS FROM."));
        }
        let function = functions[0];
        let Some(call) = ours(function) else {
            return Ok(false);
        };
        let described = describe_call(call, objects)?;
        let shown = nodes::len((*(*rte).eref).colnames) - usize::from((*rte).funcordinality);
        if shown != described.columns.len() {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                "the columns of a DuckDB query changed while the statement was analysed",
            )
            .hint("Run the statement again."));
        }
        let variadic = nodes::len((*call).args) > 1;
        if (*call).funcvariadic {
            return Err(Error::not_supported("VARIADIC arrays are not arguments of duckdb.query")
                .hint("Give the arguments one by one."));
        }
        let arguments = if is_reader(call, objects) { vec![] } else { extra_arguments(call) };
        if arguments.len() != described.parameters {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_PARAMETER,
                format!(
                    "the DuckDB query has {} parameters, but {} values are given",
                    described.parameters,
                    arguments.len()
                ),
            ));
        }
        for (argument, type_oid) in arguments.iter().zip(&described.arguments) {
            if parse::is_untyped_parameter(*argument) {
                parse::give_type(pstate, (*argument).cast(), *type_oid);
            }
        }
        let names: Vec<String> = nodes::items::<pg_sys::Node>((*(*rte).eref).colnames)
            .take(described.columns.len())
            .map(|name| nodes::server_string_value(name))
            .collect();
        if let Some(travel) = &described.travel {
            travel::check_names(&described, &names)?;
            let (stored, arguments) = travel::stored(travel, objects);
            (*call).args = nodes::list_of(arguments);
            (*call).funcid = stored;
            returns_records(call);
            define_columns(function, &described, &names);
            return Ok(true);
        }
        let sql = text_const(&with_names(&described, &names), first_location(call));
        let args = std::iter::once(sql.cast()).chain(arguments);
        (*call).args = nodes::list_of::<pg_sys::Node>(args);
        (*call).funcid = objects.query_by_name[usize::from(variadic && !is_reader(call, objects))];
        returns_records(call);
        define_columns(function, &described, &names);
        Ok(true)
    }
}

/// # Safety
/// `call` may be changed.
unsafe fn returns_records(call: *mut pg_sys::FuncExpr) {
    // SAFETY: by contract.
    unsafe {
        (*call).funcresulttype = pg_sys::RECORDOID;
        (*call).funcretset = true;
        (*call).funcformat = pg_sys::CoercionForm::COERCE_EXPLICIT_CALL;
    }
}

/// The query with its columns called as the FROM item calls them. A view prints only those names, so
/// the text itself must say which columns they are.
fn with_names(described: &Described, names: &[String]) -> String {
    let same = described.duck_names.iter().zip(names).all(|(duck, name)| duck == name);
    if same || !lexer::is_subquery(&described.sql) {
        return described.sql.clone();
    }
    let columns: Vec<_> = described
        .duck_names
        .iter()
        .zip(names)
        .map(|(duck, name)| format!("{} AS {}", quote::identifier(duck), quote::identifier(name)))
        .collect();
    let query = lexer::without_terminator(&described.sql);
    format!("SELECT {} FROM (\n{query}\n)", columns.join(", "))
}

/// # Safety
/// `call` is a live call of one of our functions.
unsafe fn is_reader(call: *mut pg_sys::FuncExpr, objects: &Objects) -> bool {
    // SAFETY: by contract.
    unsafe { !objects.query.contains(&(*call).funcid) }
}

/// The columns of the call's literal: known from its input function, or asked for now.
///
/// # Safety
/// `call` is a live call of one of our functions.
unsafe fn describe_call(call: *mut pg_sys::FuncExpr, objects: &Objects) -> Result<Described> {
    // SAFETY: by contract; the types duckdb.sql and duckdb.path are stored as text is.
    unsafe {
        let first = first_argument(call);
        let Some(literal) = nodes::cast::<pg_sys::Const>(first, Tag::T_Const) else {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_INDETERMINATE_DATATYPE,
                "the columns of a DuckDB query are only known when its text is a literal",
            )
            .hint(
                "Use duckdb.query_rows(text, …) AS alias(column type, …) for a text that is \
                 computed.",
            ));
        };
        if ![objects.sql, objects.path].contains(&(*literal).consttype) {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                "the text of a DuckDB query is of another type than duckdb.sql",
            ));
        }
        if (*literal).constisnull {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                "the text of a DuckDB query must not be null",
            ));
        }
        let text = pg_sys::text_to_cstring((*literal).constvalue.cast_mut_ptr());
        let sql = encoding::server_to_utf8(text);
        match input::described(&sql, (*literal).location) {
            Some(known) => Ok(known),
            None if [objects.at, objects.table_changes].contains(&(*call).funcid) => {
                let travel = travel::of_key(&sql).ok_or_else(|| {
                    Error::not_supported("the table of a look at a lake's past must be a literal")
                })?;
                travel::describe(travel, (*literal).location)
            }
            None => input::describe(&sql, (*literal).location, vec![], access::entry_of_role()?),
        }
    }
}

/// # Safety
/// `call` is a live call with at least one argument.
unsafe fn first_argument(call: *mut pg_sys::FuncExpr) -> *mut pg_sys::Node {
    // SAFETY: by contract.
    unsafe {
        let first =
            nodes::items::<pg_sys::Node>((*call).args).next().unwrap_or(std::ptr::null_mut());
        match nodes::cast::<pg_sys::NamedArgExpr>(first, Tag::T_NamedArgExpr) {
            Some(named) => (*named).arg.cast(),
            None => first,
        }
    }
}

/// # Safety
/// As [`first_argument`].
unsafe fn first_location(call: *mut pg_sys::FuncExpr) -> i32 {
    // SAFETY: by contract.
    unsafe { pg_sys::exprLocation(first_argument(call)) }
}

/// The arguments behind the text; literals that nothing gave a type become text.
///
/// # Safety
/// `call` is a live call.
unsafe fn extra_arguments(call: *mut pg_sys::FuncExpr) -> Vec<*mut pg_sys::Node> {
    // SAFETY: an unknown constant is a C string or NULL.
    unsafe {
        nodes::items::<pg_sys::Node>((*call).args)
            .skip(1)
            .map(|argument| match nodes::cast::<pg_sys::Const>(argument, Tag::T_Const) {
                Some(unknown) if (*unknown).consttype == pg_sys::UNKNOWNOID => {
                    if (*unknown).constisnull {
                        let null = pg_sys::makeNullConst(
                            pg_sys::TEXTOID,
                            -1,
                            pg_sys::DEFAULT_COLLATION_OID,
                        );
                        return null.cast();
                    }
                    let text = pg_sys::cstring_to_text((*unknown).constvalue.cast_mut_ptr());
                    make_text_const(pg_sys::Datum::from(text), (*unknown).location).cast()
                }
                _ => argument,
            })
            .collect()
    }
}

/// A text constant of UTF-8 SQL, in the server encoding.
pub fn text_const(sql: &str, location: i32) -> *mut pg_sys::Const {
    let bytes = encoding::utf8_to_server(sql);
    let len = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    // SAFETY: copies `len` bytes.
    unsafe {
        let text = pg_sys::cstring_to_text_with_len(bytes.as_ptr().cast(), len);
        make_text_const(pg_sys::Datum::from(text), location)
    }
}

/// # Safety
/// `text` is a text Datum.
unsafe fn make_text_const(text: pg_sys::Datum, location: i32) -> *mut pg_sys::Const {
    // SAFETY: by contract; text is a variable-length type passed by reference.
    unsafe {
        let constant = pg_sys::makeConst(
            pg_sys::TEXTOID,
            -1,
            pg_sys::DEFAULT_COLLATION_OID,
            -1,
            text,
            false,
            false,
        );
        (*constant).location = location;
        constant
    }
}

/// # Safety
/// `function` is a live function of a range table entry.
unsafe fn define_columns(
    function: *mut pg_sys::RangeTblFunction,
    described: &Described,
    names: &[String],
) {
    let columns = &described.columns;
    // SAFETY: by contract; the lists are allocated beside the query tree.
    unsafe {
        (*function).funccolcount = i32::try_from(columns.len()).unwrap_or(i32::MAX);
        (*function).funccolnames =
            nodes::list_of(names.iter().map(|name| nodes::server_string_node(name)));
        (*function).funccoltypes = nodes::oid_list(columns.iter().map(|column| column.type_oid));
        (*function).funccoltypmods = nodes::int_list(columns.iter().map(|column| column.typmod));
        (*function).funccolcollations =
            nodes::oid_list(columns.iter().map(|column| column.collation));
    }
}

/// Whole-row references to a converted item have the type `duckdb.row`, which has no columns any
/// more: they become plain records, and so do arrays of them.
///
/// # Safety
/// `node` is a live tree that may be changed.
unsafe fn row_references(node: *mut pg_sys::Node, objects: &Objects) {
    // SAFETY: the row type exists.
    let row_array = unsafe { pg_sys::get_array_type(objects.row) };
    let fix = |oid: &mut pg_sys::Oid| {
        if *oid == objects.row {
            *oid = pg_sys::RECORDOID;
        } else if *oid == row_array && row_array != pg_sys::InvalidOid {
            *oid = pg_sys::RECORDARRAYOID;
        }
    };
    // SAFETY: each cast follows the tag.
    unsafe {
        nodes::walk(node, &mut |node| {
            match (*node).type_ {
                Tag::T_Var => fix(&mut (*node.cast::<pg_sys::Var>()).vartype),
                Tag::T_FuncExpr => fix(&mut (*node.cast::<pg_sys::FuncExpr>()).funcresulttype),
                Tag::T_OpExpr => fix(&mut (*node.cast::<pg_sys::OpExpr>()).opresulttype),
                Tag::T_Aggref => {
                    let aggregate = node.cast::<pg_sys::Aggref>();
                    fix(&mut (*aggregate).aggtype);
                    let types = (*aggregate).aggargtypes;
                    for index in 0..nodes::len(types) {
                        fix(&mut (*(*types).elements.add(index)).oid_value);
                    }
                }
                Tag::T_RowExpr => fix(&mut (*node.cast::<pg_sys::RowExpr>()).row_typeid),
                Tag::T_WindowFunc => fix(&mut (*node.cast::<pg_sys::WindowFunc>()).wintype),
                Tag::T_CoalesceExpr => {
                    fix(&mut (*node.cast::<pg_sys::CoalesceExpr>()).coalescetype);
                }
                Tag::T_CaseExpr => fix(&mut (*node.cast::<pg_sys::CaseExpr>()).casetype),
                Tag::T_ArrayExpr => {
                    let array = node.cast::<pg_sys::ArrayExpr>();
                    fix(&mut (*array).array_typeid);
                    fix(&mut (*array).element_typeid);
                }
                Tag::T_SubscriptingRef => {
                    let subscript = node.cast::<pg_sys::SubscriptingRef>();
                    fix(&mut (*subscript).refcontainertype);
                    fix(&mut (*subscript).refelemtype);
                    fix(&mut (*subscript).refrestype);
                }
                Tag::T_SetOperationStmt => {
                    let types = (*node.cast::<pg_sys::SetOperationStmt>()).colTypes;
                    for index in 0..nodes::len(types) {
                        fix(&mut (*(*types).elements.add(index)).oid_value);
                    }
                }
                _ => {}
            }
            false
        });
    }
}
