//! IMPORT FOREIGN SCHEMA: the files below a prefix as CREATE FOREIGN TABLE commands with all their
//! columns. `lake/layout.rs` says which tables there are.

use std::ffi::CString;

use duck::location;
use duck::policy::{Expected, TableCall};
use duck::server::{ServerSpec, ServerType};
use pgrx::pg_sys::{self, ImportForeignSchemaType as ListType};
use pgrx::prelude::*;

use super::import_lake;
use super::table::{check_source, describe, formats, note_renamed};
use crate::error::{Error, Result, report};
use crate::lake::columns;
use crate::lake::layout::{self, Found};
use crate::lake::options::{self, Format, Source};
use crate::lake::origin::Origin;
use crate::pg::{acl, catalog, encoding, nodes};
use crate::session::{self, Entry};

/// More files than this below the prefix are not looked at.
const MOST_FILES: usize = 100_000;
/// More tables than this are not made at once.
const MOST_TABLES: usize = 1000;
/// So many files of a folder are held against each other.
const COMPARED_FILES: usize = 4;

#[pg_guard]
pub unsafe extern "C-unwind" fn import_foreign_schema(
    statement: *mut pg_sys::ImportForeignSchemaStmt,
    server: pg_sys::Oid,
) -> *mut pg_sys::List {
    // SAFETY: PostgreSQL's own statement; the commands are new strings.
    unsafe {
        let is_lake = catalog::server_by_oid(server).is_some_and(|server| server.is_lake());
        let commands = report(if is_lake {
            import_lake::commands(statement, server)
        } else {
            Import::new(statement, server).and_then(|import| import.commands())
        });
        nodes::list_of(
            commands.iter().map(|command| nodes::palloc_bytes(&encoding::utf8_to_server(command))),
        )
    }
}

/// Says which tables of LIMIT TO there are none of. PostgreSQL and its own wrapper say nothing.
pub fn warn_of_missing(wanted: &[String], found: &[&str], place: &str) {
    for name in wanted.iter().filter(|name| !found.contains(&name.as_str())) {
        let message = format!("there is no table \"{name}\" in \"{place}\" to import");
        ereport!(PgLogLevel::WARNING, PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE, message);
    }
}

struct Import {
    server: catalog::Server,
    spec: ServerSpec,
    prefix: String,
    /// The statement's options, for the tables that take them.
    options: Vec<(String, String)>,
    list_type: ListType::Type,
    list: Vec<String>,
}

impl Import {
    /// # Safety
    /// `statement` is live.
    unsafe fn new(
        statement: *mut pg_sys::ImportForeignSchemaStmt,
        server: pg_sys::Oid,
    ) -> Result<Self> {
        let server = catalog::server_by_oid(server).ok_or_else(|| {
            Error::new(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, "the foreign server is gone")
        })?;
        let spec = session::specification(&server)?;
        // SAFETY: by contract.
        unsafe {
            let schema = encoding::server_to_utf8((*statement).remote_schema);
            let list = nodes::items::<pg_sys::RangeVar>((*statement).table_list)
                .map(|name| encoding::server_to_utf8((*name).relname));
            Ok(Self {
                prefix: prefix(&schema, &spec)?,
                options: checked(catalog::def_elements((*statement).options))?,
                list_type: (*statement).list_type,
                list: list.collect(),
                server,
                spec,
            })
        }
    }

    fn commands(&self) -> Result<Vec<String>> {
        let mut tables = vec![];
        let found = layout::tables(&self.prefix, &self.files()?);
        self.check_number(found.len())?;
        for found in found {
            tables.extend(self.split(found)?);
        }
        tables.retain(|found| self.wanted_format().is_none_or(|format| format == found.format));
        tables.sort_by(|a, b| a.base.cmp(&b.base));
        let bases: Vec<_> = tables.iter().map(|found| found.base.as_str()).collect();
        let top = self.prefix.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let names = layout::names(&bases, top);
        let listed = names.into_iter().zip(&tables).filter(|(name, _)| match self.list_type {
            ListType::FDW_IMPORT_SCHEMA_LIMIT_TO => self.list.contains(name),
            ListType::FDW_IMPORT_SCHEMA_EXCEPT => !self.list.contains(name),
            _ => true,
        });
        let listed: Vec<_> = listed.collect();
        if self.list_type == ListType::FDW_IMPORT_SCHEMA_LIMIT_TO {
            let found: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
            warn_of_missing(&self.list, &found, &self.prefix);
        }
        self.check_number(listed.len())?;
        listed.iter().map(|(name, found)| self.command(name, found)).collect()
    }

    fn check_number(&self, tables: usize) -> Result<()> {
        if tables <= MOST_TABLES {
            return Ok(());
        }
        Err(Error::new(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("\"{}\" holds {tables} tables", self.prefix),
        )
        .hint(format!("At most {MOST_TABLES} are imported at once; import a folder below it.")))
    }

    /// The files below the prefix, named from there.
    fn files(&self) -> Result<Vec<String>> {
        if self.spec.server_type() == ServerType::Http {
            return Err(Error::not_supported("a web server does not list its files")
                .hint("Create the foreign tables one by one."));
        }
        let pattern = format!("{}**", self.prefix);
        let listed = duck::quote::literal(&pattern);
        let sql = format!("SELECT file FROM glob({listed}) LIMIT {}", MOST_FILES + 1);
        let expected = Expected::call(TableCall::new("glob", [pattern]));
        let entry = Entry::table(self.server.oid, expected);
        let rows = session::ask(acl::current_role(), &sql, entry, None)?.unwrap_or_default();
        if rows.len() > MOST_FILES {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("\"{}\" holds more than {MOST_FILES} files", self.prefix),
            )
            .hint("Import a folder below it."));
        }
        let mut files = vec![];
        for path in rows.into_iter().filter_map(|row| row.into_iter().next().flatten()) {
            let Some(file) = path.strip_prefix(&self.prefix) else { continue };
            match location::fault(&path) {
                None if file.is_empty() || file.ends_with('/') => {}
                None => files.push(file.to_owned()),
                Some(fault) => pgrx::warning!("a file is left out, since {fault} in its name"),
            }
        }
        if files.is_empty() {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_FDW_SCHEMA_NOT_FOUND,
                format!("there are no files below \"{}\"", self.prefix),
            ));
        }
        files.sort();
        Ok(files)
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn wanted_format(&self) -> Option<Format> {
        self.option("format").and_then(Format::named)
    }

    /// A folder as one table where its files are alike, as a table for each file otherwise.
    fn split(&self, found: Found) -> Result<Vec<Found>> {
        let united = self.option("union_by_name").is_some_and(|v| v != "false");
        if found.files.len() < 2 || united {
            return Ok(vec![found]);
        }
        let last = found.files.len() - 1;
        let mut samples: Vec<_> =
            (0..COMPARED_FILES).map(|n| &found.files[last * n / (COMPARED_FILES - 1)]).collect();
        samples.dedup();
        let mut first: Option<Vec<String>> = None;
        for file in samples {
            let path = layout::literal(&format!("{}{file}", self.prefix));
            // What is wrong with it, the table's own columns will tell, if anybody wants them.
            let Ok(columns) = self.describe(&Found { path, ..found.clone() }) else { break };
            let names: Vec<_> = columns.iter().map(|c| c.name.to_ascii_lowercase()).collect();
            match &first {
                None => first = Some(names),
                Some(first) if !alike(found.format, first, &names) => {
                    let singles = found.files.iter().map(|file| layout::single(&self.prefix, file));
                    return Ok(singles.flatten().collect());
                }
                Some(_) => {}
            }
        }
        Ok(vec![found])
    }

    /// The options of a table.
    fn options(&self, found: &Found) -> Result<Vec<(String, String)>> {
        let newest = found.format == Format::Iceberg && self.option("version") == Some("?");
        // Otherwise a folder without a version hint is the metadata file that is the newest now.
        let path = if newest {
            format!("{}{}", self.prefix, found.base).trim_end_matches('/').to_owned()
        } else {
            found.path.clone()
        };
        let mut options = vec![("path".to_owned(), path.clone())];
        if Format::guess(&found.path) != Some(found.format) {
            options.push(("format".into(), found.format.name().into()));
        }
        if found.hive && self.option("hive_partitioning").is_none() {
            options.push(("hive_partitioning".into(), "true".into()));
        }
        let codec = "metadata_compression_codec";
        if found.gzip && !path.ends_with(".json") && self.option(codec).is_none() {
            options.push((codec.into(), "gzip".into()));
        }
        for (name, value) in &self.options {
            // Delta's version is a number.
            let other = found.format == Format::Delta && name == "version" && value == "?";
            if name != "format" && !other && found.format.takes(name)? {
                options.push((name.clone(), value.clone()));
            }
        }
        Ok(options)
    }

    fn source(&self, found: &Found) -> Result<Source> {
        let source = Source::parse(&self.options(found)?)?;
        check_source(&source, &self.server)?;
        Ok(source)
    }

    fn describe(&self, found: &Found) -> Result<Vec<duck::Column>> {
        describe(&Origin::Files(self.source(found)?), &self.server).map_err(|error| {
            error.hint(format!(
                "IMPORT FOREIGN SCHEMA reads \"{}\"; EXCEPT leaves a table out, and so does a \
                 folder above it.",
                found.path
            ))
        })
    }

    fn command(&self, name: &str, found: &Found) -> Result<String> {
        let described = self.describe(found)?;
        let columns = column_definitions(&described);
        let origin = Origin::Files(self.source(found)?);
        let detected = formats(&origin, &self.server, &described)?;
        let detected = detected.into_iter().map(|(name, format)| (name.to_owned(), format));
        let options: Vec<_> = self
            .options(found)?
            .into_iter()
            .chain(detected)
            .map(|(name, value)| format!("{} {}", identifier(&name), literal(&value)))
            .collect();
        Ok(format!(
            "CREATE FOREIGN TABLE {} ({}) SERVER {} OPTIONS ({})",
            identifier(name),
            columns.join(", "),
            identifier(&self.server.name),
            options.join(", ")
        ))
    }
}

/// The definitions of columns that files or a lake's table have, under PostgreSQL's names.
pub fn column_definitions(described: &[duck::Column]) -> Vec<String> {
    let columns = columns::table_columns(described);
    note_renamed(&columns, described);
    let columns = columns.into_iter().zip(described);
    columns
        .map(|(column, found)| {
            let option = if column.name == found.name {
                String::new()
            } else {
                format!(" OPTIONS (column_name {})", literal(&found.name))
            };
            let name = identifier(&column.name);
            let type_name = catalog::type_name(column.type_oid, column.typmod);
            format!("{name} {type_name}{option}")
        })
        .collect()
}

/// The place that the statement's schema means: the location itself, a folder below it, or the whole
/// path of such a folder.
fn prefix(schema: &str, spec: &ServerSpec) -> Result<String> {
    let wrong = |what: &str| {
        Error::new(
            PgSqlErrorCode::ERRCODE_FDW_SCHEMA_NOT_FOUND,
            format!("invalid place \"{schema}\" to import from: {what}"),
        )
        .hint(format!(
            "Name a folder below the server's location \"{}\", or \".\" for all of it.",
            spec.location()
        ))
    };
    let path = match schema {
        "." => spec.location().to_owned(),
        whole if whole.contains("://") || whole.starts_with('/') => whole.to_owned(),
        below => format!("{}{below}", spec.location()),
    };
    let path = if path.ends_with('/') { path } else { path + "/" };
    if let Some(fault) = location::fault(&path) {
        return Err(wrong(fault));
    }
    if path.contains(['*', '?', '[', ']', '{', '}']) {
        return Err(wrong("it holds glob characters"));
    }
    if !location::is_under(&path, spec.location()) {
        return Err(wrong("it lies outside the server's location"));
    }
    Ok(path)
}

/// The statement's options, which go to the tables.
fn checked(given: Vec<(String, String)>) -> Result<Vec<(String, String)>> {
    let known = options::names();
    for (name, value) in &given {
        if name == "path" || !known.contains(&name.as_str()) {
            let valid: Vec<_> = known.iter().filter(|name| **name != "path").copied().collect();
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_FDW_INVALID_OPTION_NAME,
                format!("invalid option \"{name}\" for IMPORT FOREIGN SCHEMA"),
            )
            .hint(format!("Valid options are: {}.", valid.join(", "))));
        }
        if name == "format" {
            Format::named(value).ok_or_else(|| options::unknown_format(value))?;
        } else {
            options::value(name, value)?;
        }
    }
    Ok(given)
}

/// Whether files with these columns are of one table. Fields of JSON may be left out.
fn alike(format: Format, first: &[String], other: &[String]) -> bool {
    if format != Format::Json {
        return first == other;
    }
    let common = other.iter().filter(|name| first.contains(name)).count();
    2 * common >= first.len().min(other.len())
}

/// An identifier for PostgreSQL's SQL, in UTF-8.
pub fn identifier(name: &str) -> String {
    // SAFETY: `quoted` passes a NUL-terminated string.
    quoted(name, |text| unsafe { pg_sys::quote_identifier(text) })
}

/// A literal for PostgreSQL's SQL, in UTF-8.
pub fn literal(text: &str) -> String {
    // SAFETY: as above.
    quoted(text, |text| unsafe { pg_sys::quote_literal_cstr(text) })
}

fn quoted(
    text: &str,
    quote: impl FnOnce(*const std::ffi::c_char) -> *const std::ffi::c_char,
) -> String {
    let text = CString::new(encoding::utf8_to_server(text).into_owned()).unwrap_or_default();
    // SAFETY: a NUL-terminated string, and PostgreSQL's answer, which is one.
    unsafe { encoding::server_to_utf8(quote(text.as_ptr())) }
}
