//! `duckdb.refresh_foreign_schema`: makes the foreign tables of a local schema follow the lake's
//! schema that they were imported from. It runs PostgreSQL's own commands as the caller, who needs
//! the rights to them.

use pgrx::prelude::*;
use pgrx::{PgSqlErrorCode, pg_sys};

use super::import::{column_definitions, identifier, literal};
use super::import_lake::{self, Relation};
use crate::error::{Error, Result, report};
use crate::lake::columns;
use crate::lake::origin::Moment;
use crate::lake::table::{LakeColumn, LakeTable, base_type};
use crate::pg::row_type::RowColumn;
use crate::pg::{catalog, encoding, spi};
use crate::session::{self, lakes};

/// `duckdb.refresh_foreign_schema(server text, remote_schema text, local_schema text) RETURNS TABLE
/// (action text, object text, detail text)`: what was done, and what was not and why. NULL returns
/// no rows.
///
/// Errors: 42501, 42704, 42809, 3F000 for the local schema, HV00Q for the lake's, and PostgreSQL's own
/// of CREATE, ALTER and DROP FOREIGN TABLE and COMMENT.
#[pg_extern]
fn duckdb_refresh_foreign_schema(
    server: &[u8],
    remote_schema: &[u8],
    local_schema: &[u8],
) -> TableIterator<'static, (name!(a, String), name!(o, Vec<u8>), name!(d, Option<Vec<u8>>))> {
    let [server, remote, local] =
        [server, remote_schema, local_schema].map(encoding::server_bytes_to_utf8);
    // Names of types are written and read under the same path.
    // SAFETY: within a function.
    let _path = unsafe { spi::OwnSearchPath::set() };
    let steps = report(refresh(&server, &remote, &local));
    TableIterator::new(steps.into_iter().map(|step| {
        let text = |text: &str| encoding::utf8_to_server(text).into_owned();
        (step.action.to_owned(), text(&step.object), step.detail.as_deref().map(text))
    }))
}

/// One thing that was done, or left.
struct Step {
    action: &'static str,
    object: String,
    detail: Option<String>,
}

/// A schema that is being refreshed.
struct Refresh {
    server: catalog::Server,
    remote: String,
    local: String,
    steps: Vec<Step>,
}

fn refresh(server: &str, remote: &str, local: &str) -> Result<Vec<Step>> {
    let server = lakes::usable_lake(server)?;
    let schema = format!(
        "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname OPERATOR(pg_catalog.=) {}",
        literal(local)
    );
    if select(&schema)?.is_empty() {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_INVALID_SCHEMA_NAME,
            format!("schema \"{local}\" does not exist"),
        ));
    }
    if session::transaction::has_written_to(&server.name) {
        return Err(Error::not_supported(format!(
            "the schemas of lake \"{}\" cannot be followed in a transaction that has written to it",
            server.name
        ))
        .hint("Commit first."));
    }
    let listing = import_lake::listing(&server, remote, |_| true)?;
    let mut refresh =
        Refresh { server, remote: remote.to_owned(), local: local.to_owned(), steps: vec![] };
    let tables = refresh.tables()?;
    for relation in &listing.relations {
        let mut known = false;
        for table in tables.iter().filter(|table| reads(table, &relation.name)) {
            known = true;
            refresh.alter(table, relation)?;
        }
        if !known {
            refresh.create(relation)?;
        }
    }
    for table in &tables {
        let names = listing.relations.iter().map(|relation| &relation.name);
        if !names.chain(&listing.left_out).any(|name| reads(table, name)) {
            refresh.drop(table)?;
        }
    }
    Ok(refresh.steps)
}

/// Whether a foreign table reads the lake's table of this name.
fn reads(table: &LakeTable, name: &str) -> bool {
    table.origin.lake().is_some_and(|relation| relation.table.eq_ignore_ascii_case(name))
}

impl Refresh {
    fn note(&mut self, action: &'static str, object: &str, detail: Option<String>) {
        self.steps.push(Step { action, object: object.to_owned(), detail });
    }

    /// The schema's foreign tables that follow the lake's schema. Those of a fixed snapshot do not.
    fn tables(&self) -> Result<Vec<LakeTable>> {
        let rows = select(&format!(
            "SELECT c.oid FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_foreign_table t ON t.ftrelid OPERATOR(pg_catalog.=) c.oid \
             JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
             WHERE n.nspname OPERATOR(pg_catalog.=) {} AND t.ftserver OPERATOR(pg_catalog.=) {} ORDER BY c.relname",
            literal(&self.local),
            self.server.oid.to_u32()
        ))?;
        let mut tables = vec![];
        for relation in rows.into_iter().filter_map(|row| oid_in(&row)) {
            catalog::lock_to_read(relation);
            let table = LakeTable::load(relation)?;
            let follows = table.origin.lake().is_some_and(|relation| {
                relation.schema == self.remote && relation.moment == Moment::Newest
            });
            if follows {
                tables.push(table);
            }
        }
        Ok(tables)
    }

    fn create(&mut self, relation: &Relation) -> Result<()> {
        let name = format!("{}.{}", identifier(&self.local), identifier(&relation.name));
        if !select(&format!(
            "SELECT 1 FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
             WHERE n.nspname OPERATOR(pg_catalog.=) {} AND c.relname OPERATOR(pg_catalog.=) {}",
            literal(&self.local),
            literal(&relation.name)
        ))?
        .is_empty()
        {
            self.note("kept", &name, Some("another relation has the name".into()));
            return Ok(());
        }
        run(&import_lake::create(&self.server, &self.remote, Some(&self.local), relation))?;
        self.note("created", &name, None);
        let columns = relation.column_comments.iter();
        let comments = relation.comment.iter().map(|text| (None, text));
        for (column, text) in comments.chain(columns.map(|(column, text)| (Some(column), text))) {
            let described = columns::table_columns(&relation.columns);
            let column = column.and_then(|column| {
                let at = relation.columns.iter().position(|found| found.name == *column)?;
                Some(described[at].name.clone())
            });
            comment(&name, column.as_deref(), text)?;
        }
        Ok(())
    }

    /// Drops a table that the lake has no more, unless something depends on it.
    fn drop(&mut self, table: &LakeTable) -> Result<()> {
        match dependent(table.relation, None)? {
            Some(dependent) => {
                let reason = format!("the lake has it no more, but {dependent} depends on it");
                self.note("kept", &table.name, Some(reason));
            }
            None => {
                run(&format!("DROP FOREIGN TABLE {}", table.name))?;
                self.note("dropped", &table.name, None);
            }
        }
        Ok(())
    }

    /// Makes a table's columns and comments those of the lake's table.
    fn alter(&mut self, table: &LakeTable, relation: &Relation) -> Result<()> {
        let known = Known::of(table.relation)?;
        let own: Vec<_> = table.columns.iter().flatten().collect();
        for column in &own {
            let found = relation.columns.iter().any(|found| is_of(column, &found.name));
            if !found {
                self.drop_column(table, column)?;
            }
        }
        let described = columns::table_columns(&relation.columns);
        let definitions = column_definitions(&relation.columns);
        for ((found, wanted), definition) in
            relation.columns.iter().zip(&described).zip(&definitions)
        {
            let not_null = relation.not_null.contains(&found.name);
            let text = relation.column_comments.iter().find(|(column, _)| *column == found.name);
            let name = match own.iter().find(|column| is_of(column, &found.name)) {
                Some(column) => {
                    self.alter_type(table, column, wanted)?;
                    self.alter_null(table, column, &known, not_null)?;
                    &column.attribute.name
                }
                None => {
                    let null = if not_null { " NOT NULL" } else { "" };
                    self.alter_table(table, &format!("ADD COLUMN {definition}{null}"))?;
                    &wanted.name
                }
            };
            if let Some((_, text)) = text
                && known.comment_on(name) != Some(text)
            {
                comment(&table.name, Some(name), text)?;
                let object = format!("{}.{}", table.name, identifier(name));
                self.note("commented", &object, None);
            }
        }
        if let Some(text) = &relation.comment
            && known.comment.as_ref() != Some(text)
        {
            comment(&table.name, None, text)?;
            self.note("commented", &table.name, None);
        }
        Ok(())
    }

    fn alter_table(&mut self, table: &LakeTable, change: &str) -> Result<()> {
        run(&format!("ALTER FOREIGN TABLE {} {change}", table.name))?;
        self.note("altered", &table.name, Some(change.to_owned()));
        Ok(())
    }

    /// Changes a column unless something depends on it.
    fn alter_column(&mut self, table: &LakeTable, column: &LakeColumn, change: &str) -> Result<()> {
        match dependent(table.relation, Some(column.attribute.number))? {
            Some(dependent) => {
                let reason = format!("{change} is to be done, but {dependent} depends on it");
                self.note("kept", &table.name, Some(reason));
                Ok(())
            }
            None => self.alter_table(table, change),
        }
    }

    fn drop_column(&mut self, table: &LakeTable, column: &LakeColumn) -> Result<()> {
        let change = format!("DROP COLUMN {}", identifier(&column.attribute.name));
        self.alter_column(table, column, &change)
    }

    fn alter_type(
        &mut self,
        table: &LakeTable,
        column: &LakeColumn,
        wanted: &RowColumn,
    ) -> Result<()> {
        let attribute = &column.attribute;
        if base_type(attribute.type_oid, attribute.typmod) == (wanted.type_oid, wanted.typmod) {
            return Ok(());
        }
        let change = format!(
            "ALTER COLUMN {} TYPE {}",
            identifier(&attribute.name),
            catalog::type_name(wanted.type_oid, wanted.typmod)
        );
        self.alter_column(table, column, &change)
    }

    fn alter_null(
        &mut self,
        table: &LakeTable,
        column: &LakeColumn,
        known: &Known,
        not_null: bool,
    ) -> Result<()> {
        let name = &column.attribute.name;
        if known.not_null.contains(name) == not_null {
            return Ok(());
        }
        let verb = if not_null { "SET" } else { "DROP" };
        let change = format!("ALTER COLUMN {} {verb} NOT NULL", identifier(name));
        self.alter_table(table, &change)
    }
}

/// Whether a column of a foreign table is the lake's column of this name, as DuckDB compares names.
fn is_of(column: &LakeColumn, name: &str) -> bool {
    column.file_name.eq_ignore_ascii_case(name)
}

/// What PostgreSQL knows of a foreign table beside the columns' types.
struct Known {
    not_null: Vec<String>,
    comment: Option<String>,
    column_comments: Vec<(String, String)>,
}

impl Known {
    fn of(relation: pg_sys::Oid) -> Result<Self> {
        let oid = relation.to_u32();
        let rows = select(&format!(
            "SELECT attname, attnotnull, pg_catalog.col_description(attrelid, attnum) \
             FROM pg_catalog.pg_attribute \
             WHERE attrelid OPERATOR(pg_catalog.=) {oid} AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped"
        ))?;
        let mut known = Self { not_null: vec![], comment: None, column_comments: vec![] };
        for row in rows {
            let Ok([Some(name), not_null, text]) = <[_; 3]>::try_from(row) else { continue };
            if not_null.as_deref() == Some("t") {
                known.not_null.push(name.clone());
            }
            known.column_comments.extend(text.map(|text| (name, text)));
        }
        let rows = select(&format!("SELECT pg_catalog.obj_description({oid}, 'pg_class')"))?;
        known.comment = rows.into_iter().flatten().next().flatten();
        Ok(known)
    }

    fn comment_on(&self, column: &str) -> Option<&String> {
        self.column_comments.iter().find(|(name, _)| name == column).map(|(_, text)| text)
    }
}

/// Something that depends on a relation, or on one of its columns, and does not go with it.
fn dependent(relation: pg_sys::Oid, column: Option<i16>) -> Result<Option<String>> {
    let oid = relation.to_u32();
    let of_column = column.map_or(String::new(), |number| {
        format!(" AND d.refobjsubid OPERATOR(pg_catalog.=) {number}")
    });
    let of_type = if column.is_some() {
        String::new()
    } else {
        format!(
            " OR d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass \
             AND EXISTS (SELECT FROM pg_catalog.pg_type t \
              WHERE t.typrelid OPERATOR(pg_catalog.=) {oid} \
              AND (t.oid OPERATOR(pg_catalog.=) d.refobjid OR t.typarray OPERATOR(pg_catalog.=) d.refobjid))"
        )
    };
    let rows = select(&format!(
        "SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) \
         FROM pg_catalog.pg_depend AS d \
         WHERE d.deptype OPERATOR(pg_catalog.=) 'n' \
         AND (d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
         AND d.refobjid OPERATOR(pg_catalog.=) {oid}{of_column}{of_type}) \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS own \
          WHERE own.classid OPERATOR(pg_catalog.=) d.classid \
          AND own.objid OPERATOR(pg_catalog.=) d.objid \
          AND own.refobjid OPERATOR(pg_catalog.=) {oid} \
          AND own.deptype OPERATOR(pg_catalog.=) ANY ('{{a,i}}'::pg_catalog.\"char\"[])) \
         ORDER BY 1 LIMIT 1"
    ))?;
    Ok(rows.into_iter().flatten().next().flatten())
}

fn comment(table: &str, column: Option<&str>, text: &str) -> Result<()> {
    let object = match column {
        Some(column) => format!("COLUMN {table}.{}", identifier(column)),
        None => format!("FOREIGN TABLE {table}"),
    };
    run(&format!("COMMENT ON {object} IS {}", literal(text)))
}

fn oid_in(row: &[Option<String>]) -> Option<pg_sys::Oid> {
    let oid: u32 = row.first()?.as_deref()?.parse().ok()?;
    Some(oid.into())
}

fn run(sql: &str) -> Result<()> {
    // SAFETY: within a function.
    if unsafe { spi::run(sql) } { Ok(()) } else { Err(no_spi()) }
}

fn select(sql: &str) -> Result<Vec<Vec<Option<String>>>> {
    // SAFETY: within a function.
    unsafe { spi::select(sql) }.ok_or_else(no_spi)
}

fn no_spi() -> Error {
    Error::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "there is no SPI connection")
}
