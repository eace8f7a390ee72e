//! The wrapper's callbacks for foreign tables, and what happens when one is made.

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;
use pgrx::prelude::*;

use super::{analyze, estimate, import, import_lake, modify};
use crate::error::{Error, Result, report};
use crate::lake::columns;
use crate::lake::options::Source;
use crate::lake::origin::Origin;
use crate::pg::{acl, catalog, encoding, memory, nodes, spi};
use crate::pushdown;
use crate::scan;
use crate::session::{self, Entry};

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
        if infer {
            let columns = describe(&origin, &server)?;
            // The current context is gone when the event trigger returns.
            let context = pg_sys::GetMemoryChunkContext(statement.cast());
            (*base).tableElts = memory::in_context(context, || definitions(&columns));
        }
    }
    Ok(())
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
    let sql = format!("SELECT * FROM {}", origin.from_item()?.executed());
    let entry = Entry::Tables(vec![server.oid]);
    Ok(session::describe(acl::current_role(), &sql, vec![], entry)?.columns)
}

/// The column definitions for what the files hold, in CurrentMemoryContext.
fn definitions(described: &[duck::Column]) -> *mut pg_sys::List {
    let columns = columns::row_columns(described);
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
