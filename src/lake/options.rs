//! The options of foreign tables: which files, in which format, read how.

use duck::location;
use duck::policy::{Expected, TableCall};
use duck::server::ServerSpec;
use duck::sql::Sql;
use pgrx::PgSqlErrorCode;

use super::reader::{self, Reader, paths_of};
use crate::error::{Error, Result};
use crate::pg::parse::Constant;

/// What a foreign table reads.
#[derive(Clone, Debug)]
pub struct Source {
    pub format: Format,
    pub paths: Vec<String>,
    /// The reader's options under DuckDB's names.
    pub options: Vec<(String, Constant)>,
}

/// The formats of foreign tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Parquet,
    Csv,
    Json,
    Iceberg,
    Delta,
}

impl Format {
    const ALL: [Self; 5] = [Self::Parquet, Self::Csv, Self::Json, Self::Iceberg, Self::Delta];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Iceberg => "iceberg",
            Self::Delta => "delta",
        }
    }

    fn reader_name(self) -> &'static str {
        match self {
            Self::Parquet => "read_parquet",
            Self::Csv => "read_csv",
            Self::Json => "read_json",
            Self::Iceberg => "iceberg_scan",
            Self::Delta => "delta_scan",
        }
    }

    /// # Errors
    /// Never for the formats there are.
    pub fn reader(self) -> Result<&'static Reader> {
        reader::find(self.reader_name())
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Whether foreign tables of the format have the option.
    ///
    /// # Errors
    /// Never for the formats there are.
    pub fn takes(self, option: &str) -> Result<bool> {
        if OWN_OPTIONS.contains(&option) {
            return Ok(true);
        }
        let known = if option == JSON_FORMAT { "format" } else { option };
        Ok(self.reader()?.options.contains(&known))
    }

    /// The format that a path's name tells, without the suffix of a compression.
    #[must_use]
    pub fn guess(path: &str) -> Option<Self> {
        let name = path.to_ascii_lowercase();
        let name = [".gz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        if ends(&[".parquet", ".parq", ".pq"]) {
            Some(Self::Parquet)
        } else if ends(&[".csv", ".tsv"]) {
            Some(Self::Csv)
        } else if ends(&[".json", ".ndjson", ".jsonl"]) {
            Some(Self::Json)
        } else {
            None
        }
    }
}

/// Options that are not the reader's.
const OWN_OPTIONS: [&str; 2] = ["path", "format"];
/// DuckDB's option `format` of read_json, whose name is taken.
const JSON_FORMAT: &str = "json_format";

/// The options that a foreign table may have, of all formats, for hints.
#[must_use]
pub fn names() -> Vec<&'static str> {
    let readers = Format::ALL.into_iter().filter_map(|format| format.reader().ok());
    let mut names: Vec<_> = readers
        .flat_map(|reader| reader.options.iter().copied())
        .map(|name| if name == "format" { JSON_FORMAT } else { name })
        .collect();
    names.sort_unstable();
    names.dedup();
    OWN_OPTIONS.into_iter().chain(names).collect()
}

/// A reader's option under DuckDB's name, with its value.
///
/// # Errors
/// HV024 for a text that is not of the option's kind.
pub fn value(name: &str, text: &str) -> Result<(String, Constant)> {
    let known = if name == JSON_FORMAT { "format" } else { name };
    Ok((known.to_owned(), Reader::value_of_text(known, text)?))
}

impl Source {
    /// Reads a foreign table's options.
    ///
    /// # Errors
    /// HV00D for a name that the format does not take, HV024 for a value, HV00J for a missing path
    /// or a format that the path's name does not tell.
    pub fn parse(options: &[(String, String)]) -> Result<Self> {
        let given = |name: &str| options.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let path = given("path").ok_or_else(|| {
            Error::new(
                PgSqlErrorCode::ERRCODE_FDW_OPTION_NAME_NOT_FOUND,
                "option \"path\" of the foreign table is missing",
            )
        })?;
        let paths = paths_of(path);
        for path in &paths {
            let fault = if path.is_empty() { Some("it is empty") } else { location::fault(path) };
            if let Some(fault) = fault {
                return Err(bad_path(path, fault));
            }
        }
        let format = match given("format") {
            Some(name) => Format::named(name).ok_or_else(|| unknown_format(name))?,
            None => Format::guess(&paths[0]).ok_or_else(|| {
                Error::new(
                    PgSqlErrorCode::ERRCODE_FDW_OPTION_NAME_NOT_FOUND,
                    "option \"format\" of the foreign table is missing",
                )
                .detail(format!("The name \"{}\" does not tell the format.", paths[0]))
            })?,
        };
        let mut read = vec![];
        for (name, text) in options.iter().filter(|(n, _)| !OWN_OPTIONS.contains(&n.as_str())) {
            if !format.takes(name)? {
                return Err(unknown(name, format));
            }
            read.push(value(name, text)?);
        }
        Ok(Self { format, paths, options: read })
    }

    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|(name, _)| name == option)
    }

    /// The reader's call, with further options if these are not given, which EXPLAIN leaves out.
    ///
    /// # Errors
    /// An option that cannot be written.
    pub fn call(&self, further: &[(&str, &Constant)]) -> Result<Sql> {
        let options: Vec<_> = self.options.iter().map(|(n, v)| (n.as_str(), v)).collect();
        let further: Vec<_> = further.iter().filter(|(name, _)| !self.has(name)).copied().collect();
        self.format.reader()?.call(&self.paths, &options, &further)
    }

    /// What the call uses.
    ///
    /// # Errors
    /// Never for the formats there are.
    pub fn expected(&self) -> Result<Expected> {
        Ok(Expected::call(TableCall::new(self.format.reader()?.name, self.paths.clone())))
    }

    /// Whether all files lie under the server's location.
    ///
    /// # Errors
    /// HV024 naming the path and the location.
    pub fn check_location(&self, server: &ServerSpec) -> Result<()> {
        match self.paths.iter().find(|path| !location::is_under(path, server.location())) {
            None => Ok(()),
            Some(path) => Err(Error::new(
                PgSqlErrorCode::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
                format!(
                    "path \"{path}\" lies outside the location \"{}\" of server \"{}\"",
                    server.location(),
                    server.name()
                ),
            )),
        }
    }
}

fn bad_path(path: &str, fault: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
        format!("invalid value \"{}\" for option \"path\": {fault}", path.escape_debug()),
    )
}

/// HV024.
#[must_use]
pub fn unknown_format(name: &str) -> Error {
    let names: Vec<_> = Format::ALL.iter().map(|f| f.name()).collect();
    Error::new(
        PgSqlErrorCode::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
        format!("invalid value \"{name}\" for option \"format\""),
    )
    .hint(format!("Valid formats are: {}.", names.join(", ")))
}

fn unknown(name: &str, format: Format) -> Error {
    let names: Vec<_> =
        names().into_iter().filter(|known| format.takes(known).unwrap_or(false)).collect();
    Error::new(
        PgSqlErrorCode::ERRCODE_FDW_INVALID_OPTION_NAME,
        format!("invalid option \"{name}\" for a foreign table of format {}", format.name()),
    )
    .hint(format!("Valid options are: {}.", names.join(", ")))
}
