//! The wrapper's callbacks for foreign tables, and what happens when one is made.

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;
use pgrx::prelude::*;

use super::{analyze, estimate, import, import_lake, modify};
use crate::error::{Error, Result, report};
use crate::lake::columns;
use crate::lake::options::{Format, Source};
use crate::lake::origin::Origin;
use crate::lake::reader::Reader;
use crate::pg::parse::Constant;
use crate::pg::row_type::RowColumn;
use crate::pg::{acl, catalog, encoding, memory, nodes, spi};
use crate::pushdown;
use crate::scan;
use crate::session::{self, Entry};
use duck::policy::{Expected, TableCall};
use duck::quote;

/// `duckdb.fdw_handler() RETURNS fdw_handler`.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn duckdb_fdw_handler(
    _fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    // SAFETY: a fresh node.
    unsafe {
        let routine = pg_sys::palloc0(size_of::<pg_sys::FdwRoutine>()).cast::<pg_sys::FdwRoutine>();
        (*routine).type_ = Tag::T_FdwRoutine;
        (*routine).GetForeignRelSize = Some(get_foreign_rel_size);
        (*routine).GetForeignPaths = Some(get_foreign_paths);
        (*routine).AnalyzeForeignTable = Some(analyze::analyze_foreign_table);
        (*routine).ImportForeignSchema = Some(import::import_foreign_schema);
        modify::fill(&mut *routine);
        pg_sys::Datum::from(routine)
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_duckdb_fdw_handler() -> *const pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

#[pg_guard]
unsafe extern "C-unwind" fn get_foreign_rel_size(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    relation: pg_sys::Oid,
) {
    // SAFETY: the planner's own live structures.
    unsafe {
        // ANALYZE has counted; otherwise it is less than zero.
        if (*rel).tuples < 0.0 {
            let role = match (*rel).userid {
                pg_sys::InvalidOid => acl::current_role(),
                role => role,
            };
            let rows = estimate::rows(relation, role);
            (*rel).tuples = rows.unwrap_or(estimate::DEFAULT_ROWS);
        }
        pg_sys::set_baserel_size_estimates(root, rel);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn get_foreign_paths(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    _relation: pg_sys::Oid,
) {
    // SAFETY: the planner's own live structures.
    unsafe {
        pushdown::late::note_table();
        scan::add_path(root, rel);
    }
}

/// `duckdb.complete_foreign_table() RETURNS event_trigger`: before CREATE FOREIGN TABLE, checks the
/// table's options against the server's and gives a table without columns those of its files.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn duckdb_complete_foreign_table(
    fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    // SAFETY: PostgreSQL's own call information; an event trigger's context is its data, whose
    // statement is about to be executed and may be changed.
    unsafe {
        let tag = Tag::T_EventTriggerData;
        match nodes::cast::<pg_sys::EventTriggerData>((*fcinfo).context, tag) {
            Some(data) => {
                let tag = Tag::T_CreateForeignTableStmt;
                let statement =
                    nodes::cast::<pg_sys::CreateForeignTableStmt>((*data).parsetree, tag);
                if let Some(statement) = statement {
                    report(complete(statement));
                }
            }
            None => Error::not_supported("the function is an event trigger").report(),
        }
    }
    pg_sys::Datum::null()
}

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_duckdb_complete_foreign_table() -> *const pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// `duckdb.complete_import() RETURNS event_trigger`: after IMPORT FOREIGN SCHEMA, gives the tables and
/// columns the comments that the lake has for them.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn duckdb_complete_import(
    _fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    for comment in import_lake::take_comments() {
        let table = format!(
            "{}.{}",
            import::identifier(&comment.schema),
            import::identifier(&comment.table)
        );
        let on = match &comment.column {
            None => format!("FOREIGN TABLE {table}"),
            Some(column) => format!("COLUMN {table}.{}", import::identifier(column)),
        };
        let sql = format!("COMMENT ON {on} IS {}", import::literal(&comment.text));
        // SAFETY: within an event trigger, whose statement is done.
        if !unsafe { spi::run(&sql) } {
            pgrx::warning!("a comment of the lake could not be set on {on}");
        }
    }
    pg_sys::Datum::null()
}

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_duckdb_complete_import() -> *const pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// # Safety
/// `statement` is live and may be changed.
unsafe fn complete(statement: *mut pg_sys::CreateForeignTableStmt) -> Result<()> {
    // SAFETY: by contract.
    unsafe {
        let name = pg_sys::get_foreign_server_oid((*statement).servername, true);
        let Some(server) = catalog::server_by_oid(name).filter(catalog::Server::is_ours) else {
            return Ok(());
        };
        // What follows needs the right to the server, which PostgreSQL itself checks only later.
        if !acl::may_use_server(server.oid, acl::current_role()) {
            return Ok(());
        }
        let base = &raw mut (*statement).base;
        if (*base).if_not_exists && catalog::relation_exists((*base).relation) {
            return Ok(());
        }
        let name = encoding::server_to_utf8((*(*base).relation).relname);
        let options = catalog::def_elements((*statement).options);
        let origin = Origin::parse(&server, &name, &options)?;
        check_origin(&origin, &server)?;
        let infer = (*base).tableElts.is_null()
            && (*base).inhRelations.is_null()
            && (*base).partbound.is_null()
            && (*base).ofTypename.is_null();
        if let Origin::Files(source) = &origin
            && source.format == Format::Json
            && !infer
        {
            name_keys(statement, &origin, &server);
        }
        if infer {
            let columns = describe(&origin, &server)?;
            let formats = formats(&origin, &server, &columns)?;
            // The current context is gone when the event trigger returns.
            let context = pg_sys::GetMemoryChunkContext(statement.cast());
            (*base).tableElts = memory::in_context(context, || definitions(&columns));
            (*statement).options = memory::in_context(context, || {
                let mut options = (*statement).options;
                for (name, format) in &formats {
                    let value = nodes::server_string_node(format);
                    let option = pg_sys::makeDefElem(nodes::palloc_str(name), value, -1);
                    options = pg_sys::lappend(options, option.cast());
                }
                options
            });
        }
    }
    Ok(())
}

/// Gives columns whose names differ from a key of JSON files in case only that key as their option
/// `column_name`: DuckDB's reader looks for exactly the names that it is given. Files that cannot be
/// read now are looked at when the table is read, and then by the names as they are.
///
/// # Safety
/// `statement` is live and may be changed.
unsafe fn name_keys(
    statement: *mut pg_sys::CreateForeignTableStmt,
    origin: &Origin,
    server: &catalog::Server,
) {
    let found = match describe(origin, server) {
        Ok(found) => found,
        Err(error) => {
            pgrx::debug1!("the keys of the files are not known: {}", error.message());
            return;
        }
    };
    // SAFETY: by contract; the current context is gone when the event trigger returns.
    unsafe {
        let context = pg_sys::GetMemoryChunkContext(statement.cast());
        for element in nodes::items::<pg_sys::Node>((*statement).base.tableElts) {
            let Some(column) = nodes::cast::<pg_sys::ColumnDef>(element, Tag::T_ColumnDef) else {
                continue;
            };
            let name = encoding::server_to_utf8((*column).colname);
            let named = catalog::def_elements((*column).fdwoptions);
            let mut alike = found.iter().filter(|key| key.name.eq_ignore_ascii_case(&name));
            let (Some(key), None) = (alike.next(), alike.next()) else { continue };
            if key.name == name || named.iter().any(|(option, _)| option == "column_name") {
                continue;
            }
            (*column).fdwoptions = memory::in_context(context, || {
                let value = nodes::server_string_node(&key.name);
                let option = pg_sys::makeDefElem(nodes::palloc_str("column_name"), value, -1);
                pg_sys::lappend((*column).fdwoptions, option.cast())
            });
        }
    }
}

/// Whether the current role may make a table of this on this server.
///
/// # Errors
/// As [`check_source`].
pub fn check_origin(origin: &Origin, server: &catalog::Server) -> Result<()> {
    match origin {
        Origin::Files(source) => check_source(source, server),
        Origin::Lake(_) => Ok(()),
    }
}

/// Whether the current role may make a table of these files on this server.
///
/// # Errors
/// HV024 for files outside of the server's location, 42501 for local files without the rights of
/// pg_read_server_files.
pub fn check_source(source: &Source, server: &catalog::Server) -> Result<()> {
    let spec = session::specification(server)?;
    source.check_location(&spec)?;
    let role = acl::current_role();
    if !spec.is_remote() && !acl::has_rights_of(role, c"pg_read_server_files") {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "permission denied to make a foreign table of local files",
        )
        .detail("Only roles with privileges of the role pg_read_server_files may do so."));
    }
    Ok(())
}

/// The columns that the files or the lake's table have.
///
/// # Errors
/// DuckDB's, for what cannot be read.
pub fn describe(origin: &Origin, server: &catalog::Server) -> Result<Vec<duck::Column>> {
    let iso = Constant::Text("iso".into());
    let call = match origin.files() {
        // DuckDB guesses other dates by a sample, and does not tell the format. They stay text.
        Some(source) if source.format == Format::Json => source.call(&[("dateformat", &iso)])?,
        _ => origin.from_item()?,
    };
    let sql = format!("SELECT * FROM {}", call.executed());
    let entry = Entry::table(server.oid, origin.expected()?);
    Ok(session::describe(acl::current_role(), &sql, vec![], entry)?.columns)
}

/// The options that say what DuckDB has found out and columns do not tell: the formats of a CSV file's
/// dates and times that are not ISO 8601, since another sample might mean another order of day and
/// month; the types of a JSON file with lists of lists.
///
/// # Errors
/// DuckDB's.
pub fn formats(
    origin: &Origin,
    server: &catalog::Server,
    described: &[duck::Column],
) -> Result<Vec<(&'static str, String)>> {
    use duck::LogicalType as Type;
    let Some(source) = origin.files() else { return Ok(vec![]) };
    if source.format == Format::Json {
        // PostgreSQL's arrays do not tell their dimensions.
        let nested = |column: &duck::Column| match &column.logical_type {
            Type::List(inner) => matches!(**inner, Type::List(_)),
            _ => false,
        };
        if source.has("columns") || !described.iter().any(nested) {
            return Ok(vec![]);
        }
        let types = described.iter().map(|column| {
            (column.name.clone(), serde_json::Value::String(column.logical_type.to_string()))
        });
        let types: serde_json::Map<_, _> = types.collect();
        return Ok(vec![("columns", serde_json::Value::Object(types).to_string())]);
    }
    if source.format != Format::Csv {
        return Ok(vec![]);
    }
    let moments = [Type::Date, Type::Timestamp, Type::TimestampTz];
    if !described.iter().any(|column| moments.contains(&column.logical_type)) {
        return Ok(vec![]);
    }
    let ask = |sql: &str, reader: &str, path: &str| {
        let expected = Expected::call(TableCall::new(reader, [path.to_owned()]));
        session::ask(acl::current_role(), sql, Entry::table(server.oid, expected), None)
    };
    let mut path = source.paths.first().cloned().unwrap_or_default();
    if path.contains(['*', '?', '[']) {
        let pattern = quote::literal(&path);
        let sql = format!("SELECT file FROM glob({pattern}) ORDER BY file LIMIT 1");
        let files = ask(&sql, "glob", &path)?;
        let first = files.and_then(|rows| rows.into_iter().flatten().flatten().next());
        path = first.unwrap_or(path);
    }
    let options: Vec<_> =
        source.options.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let arguments = Reader::arguments(std::slice::from_ref(&path), &options, &[])?.executed();
    let sql = format!("SELECT DateFormat, TimestampFormat FROM sniff_csv{arguments}");
    let rows = ask(&sql, "sniff_csv", &path)?;
    let found = rows.unwrap_or_default().into_iter().next().unwrap_or_default();
    let formats = ["dateformat", "timestampformat"].into_iter().zip(found);
    Ok(formats
        .filter_map(|(name, format)| Some((name, format?)))
        .filter(|(name, format)| {
            !source.has(name) && !format.is_empty() && !format.starts_with("%Y-%m-%d")
        })
        .collect())
}

/// Says which columns are called otherwise than in the files, since PostgreSQL has their names itself.
pub fn note_renamed(columns: &[RowColumn], described: &[duck::Column]) {
    for (column, found) in columns.iter().zip(described) {
        if columns::is_system_column(&found.name) {
            pgrx::notice!(
                "column \"{}\" is called \"{}\": PostgreSQL has a system column of that name",
                found.name,
                column.name
            );
        }
    }
}

/// The column definitions for what the files hold, in CurrentMemoryContext.
fn definitions(described: &[duck::Column]) -> *mut pg_sys::List {
    let columns = columns::table_columns(described);
    note_renamed(&columns, described);
    // SAFETY: makeColumnDef copies nothing; names are palloc'ed here.
    unsafe {
        let definitions = columns.iter().zip(described).map(|(column, found)| {
            let name = nodes::palloc_bytes(&encoding::utf8_to_server(&column.name));
            let definition =
                pg_sys::makeColumnDef(name, column.type_oid, column.typmod, column.collation);
            if column.name != found.name {
                let value = nodes::server_string_node(&found.name);
                let label = nodes::palloc_str("column_name");
                let option = pg_sys::makeDefElem(label, value, -1);
                (*definition).fdwoptions = nodes::list_of([option]);
            }
            definition
        });
        nodes::list_of(definitions)
    }
}
