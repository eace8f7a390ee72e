//! IMPORT FOREIGN SCHEMA from a lake: a foreign table for each table and view of one of its schemas.

use std::cell::RefCell;
use std::collections::HashMap;

use duck::policy::Expected;
use duck::{Value, quote};
use pgrx::pg_sys::{self, ImportForeignSchemaType as ListType};
use pgrx::prelude::*;

use super::import::{column_definitions, identifier, literal, warn_of_missing};
use crate::error::{Error, Result};
use crate::lake::columns;
use crate::lake::origin::{LakeRelation, Moment};
use crate::pg::{catalog, encoding, nodes};
use crate::session;

/// A table or view of a lake's schema.
pub struct Relation {
    pub name: String,
    pub columns: Vec<duck::Column>,
    /// The names of the columns that are never NULL.
    pub not_null: Vec<String>,
    pub comment: Option<String>,
    /// By the columns' names.
    pub column_comments: Vec<(String, String)>,
}

/// What a lake's schema holds.
pub struct Listing {
    /// In the order of their names.
    pub relations: Vec<Relation>,
    /// The names of those whose columns cannot be told.
    pub left_out: Vec<String>,
}

/// What is said of a table beside its columns.
#[derive(Default)]
struct Remarks {
    not_null: Vec<String>,
    comment: Option<String>,
    column_comments: Vec<(String, String)>,
}

/// # Safety
/// `statement` is live.
pub unsafe fn commands(
    statement: *mut pg_sys::ImportForeignSchemaStmt,
    server: pg_sys::Oid,
) -> Result<Vec<String>> {
    // SAFETY: by contract.
    let (schema, local, list, list_type, options) = unsafe {
        let names = nodes::items::<pg_sys::RangeVar>((*statement).table_list)
            .map(|name| encoding::server_to_utf8((*name).relname));
        (
            encoding::server_to_utf8((*statement).remote_schema),
            encoding::server_to_utf8((*statement).local_schema),
            names.collect::<Vec<_>>(),
            (*statement).list_type,
            catalog::def_elements((*statement).options),
        )
    };
    if let Some((option, _)) = options.first() {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_FDW_INVALID_OPTION_NAME,
            format!("invalid option \"{option}\" for IMPORT FOREIGN SCHEMA from a lake"),
        )
        .hint("There are no options."));
    }
    let server = catalog::server_by_oid(server).ok_or_else(|| {
        Error::new(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, "the foreign server is gone")
    })?;
    let wanted = |name: &String| match list_type {
        ListType::FDW_IMPORT_SCHEMA_LIMIT_TO => list.contains(name),
        ListType::FDW_IMPORT_SCHEMA_EXCEPT => !list.contains(name),
        _ => true,
    };
    let Listing { relations: found, left_out } = listing(&server, &schema, wanted)?;
    if list_type == ListType::FDW_IMPORT_SCHEMA_LIMIT_TO {
        let names = found.iter().map(|relation| &relation.name).chain(&left_out);
        warn_of_missing(&list, &names.map(String::as_str).collect::<Vec<_>>(), &schema);
    }
    remember_comments(&local, &found);
    Ok(found.iter().map(|relation| create(&server, &schema, None, relation)).collect())
}

thread_local! {
    /// Comments of the tables that are being imported: IMPORT takes no other commands than those
    /// that make tables.
    static COMMENTS: RefCell<Vec<Comment>> = const { RefCell::new(Vec::new()) };
}

/// A comment on a foreign table or on one of its columns.
#[derive(Debug)]
pub struct Comment {
    pub schema: String,
    pub table: String,
    pub column: Option<String>,
    pub text: String,
}

fn remember_comments(local_schema: &str, relations: &[Relation]) {
    COMMENTS.with_borrow_mut(|comments| {
        comments.clear();
        for relation in relations {
            let comment = |column: Option<&String>, text: &String| Comment {
                schema: local_schema.to_owned(),
                table: relation.name.clone(),
                column: column.cloned(),
                text: text.clone(),
            };
            comments.extend(relation.comment.iter().map(|text| comment(None, text)));
            let names = columns::table_columns(&relation.columns);
            for (found, column) in relation.columns.iter().zip(names) {
                let texts = relation.column_comments.iter();
                let texts = texts.filter(|(name, _)| *name == found.name);
                comments.extend(texts.map(|(_, text)| comment(Some(&column.name), text)));
            }
        }
    });
}

/// Forgets the comments of an import that has failed.
pub fn forget_comments() {
    COMMENTS.take();
}

/// The comments of the last import, once.
pub fn take_comments() -> Vec<Comment> {
    COMMENTS.take()
}

/// The command that makes a relation's foreign table.
#[must_use]
pub fn create(
    server: &catalog::Server,
    schema: &str,
    local_schema: Option<&str>,
    relation: &Relation,
) -> String {
    let definitions: Vec<_> = column_definitions(&relation.columns)
        .into_iter()
        .zip(&relation.columns)
        .map(|(definition, column)| match relation.not_null.contains(&column.name) {
            true => format!("{definition} NOT NULL"),
            false => definition,
        })
        .collect();
    let place = local_schema.map_or(String::new(), |name| format!("{}.", identifier(name)));
    format!(
        "CREATE FOREIGN TABLE {place}{} ({}) SERVER {} OPTIONS (schema_name {}, table_name {})",
        identifier(&relation.name),
        definitions.join(", "),
        identifier(&server.name),
        literal(schema),
        literal(&relation.name)
    )
}

/// The tables and views of a lake's schema.
///
/// # Errors
/// HV00Q when the lake has no such schema; DuckDB's. A view whose columns cannot be told is left out
/// with a warning.
pub fn listing(
    server: &catalog::Server,
    schema: &str,
    wanted: impl Fn(&String) -> bool,
) -> Result<Listing> {
    let lake = session::lake(crate::pg::acl::current_role(), server.oid)?;
    let table = |name: &str| lake.metadata_table(name);
    let expected = |names: &[&str]| Expected {
        relations: names.iter().map(|name| lake.metadata_name(name)).collect(),
        ..Expected::default()
    };
    let schema_value = || vec![Value::Varchar(schema.to_owned())];
    let of_schema = format!(
        "(SELECT schema_id FROM {} WHERE schema_name = CAST($1 AS VARCHAR) AND end_snapshot IS NULL)",
        table("ducklake_schema")
    );
    let known = session::ask_lake(
        server.oid,
        &format!("SELECT CAST(schema_id AS VARCHAR) FROM {of_schema} AS known"),
        schema_value(),
        expected(&["ducklake_schema"]),
    )?;
    if known.is_empty() {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_FDW_SCHEMA_NOT_FOUND,
            format!("schema \"{schema}\" does not exist in lake \"{}\"", server.name),
        ));
    }
    let names = session::ask_lake(
        server.oid,
        &format!(
            "SELECT table_name FROM {} WHERE schema_id IN {of_schema} AND end_snapshot IS NULL \
             UNION ALL \
             SELECT view_name FROM {} WHERE schema_id IN {of_schema} AND end_snapshot IS NULL \
             ORDER BY 1",
            table("ducklake_table"),
            table("ducklake_view")
        ),
        schema_value(),
        expected(&["ducklake_schema", "ducklake_table", "ducklake_view"]),
    )?;
    let names: Vec<_> = names
        .into_iter()
        .filter_map(|row| row.into_iter().next().flatten())
        .filter(wanted)
        .collect();
    let mut remarks = remarks(server, &lake, &of_schema, schema)?;
    let relations = names.iter().map(|name| LakeRelation {
        lake: server.name.clone(),
        schema: schema.to_owned(),
        table: name.clone(),
        moment: Moment::Newest,
    });
    let queries = relations
        .clone()
        .map(|relation| format!("SELECT * FROM {}", relation.from_item().executed()));
    let read =
        Expected { relations: relations.map(|r| r.parts()).collect(), ..Expected::default() };
    let described = session::describe_all(server.oid, queries.collect(), read)?;
    let mut listing = Listing { relations: vec![], left_out: vec![] };
    for (name, columns) in names.into_iter().zip(described) {
        match columns {
            Ok(columns) => {
                let Remarks { not_null, comment, column_comments } =
                    remarks.remove(&name).unwrap_or_default();
                let relation = Relation { name, columns, not_null, comment, column_comments };
                listing.relations.push(relation);
            }
            Err(error) => {
                pgrx::warning!(
                    "\"{}\" of lake \"{}\" is left out: {}",
                    name,
                    server.name,
                    error.summary()
                );
                listing.left_out.push(name);
            }
        }
    }
    Ok(listing)
}

/// What the lake's catalog says of the schema's tables and views beside their columns.
fn remarks(
    server: &catalog::Server,
    lake: &duck::server::LakeSpec,
    of_schema: &str,
    schema: &str,
) -> Result<HashMap<String, Remarks>> {
    let table = |name: &str| lake.metadata_table(name);
    let relations = format!(
        "(SELECT table_id AS id, table_name AS name FROM {} \
          WHERE schema_id IN {of_schema} AND end_snapshot IS NULL \
          UNION ALL SELECT view_id, view_name FROM {} \
          WHERE schema_id IN {of_schema} AND end_snapshot IS NULL)",
        table("ducklake_table"),
        table("ducklake_view")
    );
    let comment = quote::literal("comment");
    let sql = format!(
        "SELECT relation.name, 'not null', column_name, NULL \
           FROM {relations} AS relation JOIN {columns} AS col ON col.table_id = relation.id \
          WHERE col.end_snapshot IS NULL AND col.parent_column IS NULL AND NOT col.nulls_allowed \
         UNION ALL \
         SELECT relation.name, 'comment', NULL, tag.\"value\" \
           FROM {relations} AS relation JOIN {tags} AS tag ON tag.object_id = relation.id \
          WHERE tag.end_snapshot IS NULL AND tag.\"key\" = {comment} \
         UNION ALL \
         SELECT relation.name, 'column comment', col.column_name, tag.\"value\" \
           FROM {relations} AS relation JOIN {columns} AS col ON col.table_id = relation.id \
           JOIN {column_tags} AS tag ON tag.table_id = col.table_id AND tag.column_id = col.column_id \
          WHERE col.end_snapshot IS NULL AND col.parent_column IS NULL \
            AND tag.end_snapshot IS NULL AND tag.\"key\" = {comment}",
        columns = table("ducklake_column"),
        tags = table("ducklake_tag"),
        column_tags = table("ducklake_column_tag"),
    );
    let tables = [
        "ducklake_column",
        "ducklake_column_tag",
        "ducklake_schema",
        "ducklake_table",
        "ducklake_tag",
        "ducklake_view",
    ];
    let expected = Expected {
        relations: tables.iter().map(|name| lake.metadata_name(name)).collect(),
        ..Expected::default()
    };
    let schema = vec![Value::Varchar(schema.to_owned())];
    let rows = session::ask_lake(server.oid, &sql, schema, expected)?;
    let mut found: HashMap<String, Remarks> = HashMap::new();
    for row in rows {
        let Ok([Some(name), Some(kind), column, text]) = <[_; 4]>::try_from(row) else { continue };
        let remarks = found.entry(name).or_default();
        match (kind.as_str(), column, text) {
            ("not null", Some(column), _) => remarks.not_null.push(column),
            ("comment", _, Some(text)) => remarks.comment = Some(text),
            ("column comment", Some(column), Some(text)) => {
                remarks.column_comments.push((column, text));
            }
            _ => {}
        }
    }
    Ok(found)
}
