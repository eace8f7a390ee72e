//! The readers `duckdb.read_parquet` and so on: which options each takes, and the DuckDB SQL that a
//! call becomes.

use duck::sql;
use duck::sql::Sql;
use pgrx::PgSqlErrorCode;

use crate::error::{Error, Result};
use crate::pg::parse::Constant;

/// One reader. Its options are the parameters of the SQL function of the same name, in order.
pub struct Reader {
    pub name: &'static str,
    pub options: &'static [&'static str],
}

/// DuckDB's documentation, pages "Parquet", "CSV Import", "Loading JSON", "read_text", Iceberg and
/// Delta. `path` comes first in each.
const READERS: &[Reader] = &[
    Reader {
        name: "read_parquet",
        options: &[
            "binary_as_string",
            "file_row_number",
            "filename",
            "hive_partitioning",
            "hive_types",
            "hive_types_autocast",
            "union_by_name",
        ],
    },
    Reader {
        name: "read_csv",
        options: &[
            "all_varchar",
            "allow_quoted_nulls",
            "auto_detect",
            "auto_type_candidates",
            "buffer_size",
            "columns",
            "comment",
            "compression",
            "dateformat",
            "decimal_separator",
            "delim",
            "delimiter",
            "encoding",
            "escape",
            "filename",
            "force_not_null",
            "header",
            "hive_partitioning",
            "hive_types",
            "hive_types_autocast",
            "ignore_errors",
            "max_line_size",
            "names",
            "new_line",
            "normalize_names",
            "null_padding",
            "nullstr",
            "parallel",
            "quote",
            "sample_size",
            "sep",
            "skip",
            "strict_mode",
            "thousands",
            "timestampformat",
            "types",
            "union_by_name",
        ],
    },
    Reader {
        name: "read_json",
        options: &[
            "auto_detect",
            "columns",
            "compression",
            "convert_strings_to_integers",
            "dateformat",
            "field_appearance_threshold",
            "filename",
            "format",
            "hive_partitioning",
            "hive_types",
            "hive_types_autocast",
            "ignore_errors",
            "map_inference_threshold",
            "maximum_depth",
            "maximum_object_size",
            "maximum_sample_files",
            "records",
            "sample_size",
            "timestampformat",
            "union_by_name",
        ],
    },
    Reader { name: "read_text", options: &[] },
    Reader { name: "read_blob", options: &[] },
    Reader {
        name: "iceberg_scan",
        options: &[
            "allow_moved_paths",
            "metadata_compression_codec",
            "mode",
            "snapshot_from_id",
            "snapshot_from_timestamp",
            "version",
            "version_name_format",
        ],
    },
    Reader { name: "delta_scan", options: &["file_row_number", "filename", "version"] },
];

pub fn names() -> impl Iterator<Item = &'static str> {
    READERS.iter().map(|reader| reader.name)
}

/// The error for an argument, by its name or number, that is not a constant.
pub fn not_constant(reader: &str) -> impl FnOnce(String) -> Error {
    let reader = reader.to_owned();
    move |argument| {
        Error::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("argument \"{argument}\" of duckdb.{reader} must be a constant"),
        )
        .hint("Use duckdb.query with parameters, or duckdb.query_rows.")
    }
}

pub fn find(name: &str) -> Result<&'static Reader> {
    READERS.iter().find(|reader| reader.name == name).ok_or_else(|| {
        Error::not_supported(format!("duckdb.{name} is not a reader"))
            .hint(format!("The readers are {}.", names().collect::<Vec<_>>().join(", ")))
    })
}

impl Reader {
    /// The DuckDB query for a call. Positional options stand for the SQL function's parameters in
    /// order; NULL is an option that is not given.
    pub fn sql(&self, path: &str, options: &[(Option<String>, Constant)]) -> Result<String> {
        let mut named = vec![];
        for (position, (name, value)) in options.iter().enumerate() {
            let name = match name {
                Some(name) => name.as_str(),
                None => self.options.get(position).copied().unwrap_or_default(),
            };
            if !self.options.contains(&name) {
                return Err(Error::new(
                    PgSqlErrorCode::ERRCODE_UNDEFINED_PARAMETER,
                    format!("duckdb.{} has no option \"{name}\"", self.name),
                )
                .hint(format!("Valid options are {}.", self.options.join(", "))));
            }
            named.push((name, value));
        }
        Ok(sql!("SELECT * FROM {}", self.call(&paths_of(path), &named, &[])?).executed())
    }

    /// The call of DuckDB's function; EXPLAIN leaves the `elided` options out.
    pub fn call(
        &self,
        paths: &[String],
        options: &[(&str, &Constant)],
        elided: &[(&str, &Constant)],
    ) -> Result<Sql> {
        Ok(sql!("{}{}", self.name, Self::arguments(paths, options, elided)?))
    }

    /// What a call has in its parentheses, and these.
    pub fn arguments(
        paths: &[String],
        options: &[(&str, &Constant)],
        elided: &[(&str, &Constant)],
    ) -> Result<Sql> {
        let paths: Vec<_> = paths.iter().map(|path| sql::literal(path)).collect();
        let paths = match paths.as_slice() {
            [one] => one.clone(),
            several => sql!("[{}]", Sql::join(several, ", ")),
        };
        let mut arguments = paths;
        for (given, shown) in [(options, true), (elided, false)] {
            for (name, value) in given.iter().filter(|(_, value)| **value != Constant::Null) {
                let argument = sql!(", {} = {}", sql::word(name), option_value(name, value)?);
                arguments.push(&if shown { argument } else { argument.elided() });
            }
        }
        Ok(sql!("({})", arguments))
    }

    /// An option's value from the text in which a foreign table's catalog entry keeps it.
    ///
    /// # Errors
    /// HV024 for a text that is not of the option's kind.
    pub fn value_of_text(name: &str, text: &str) -> Result<Constant> {
        let wrong = |wanted: &str| {
            Error::new(
                PgSqlErrorCode::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
                format!("invalid value \"{text}\" for option \"{name}\": it must be {wanted}"),
            )
        };
        if BOOLEAN_OPTIONS.contains(&name) {
            return match text.to_ascii_lowercase().as_str() {
                "true" | "on" | "yes" | "1" => Ok(Constant::Boolean(true)),
                "false" | "off" | "no" | "0" => Ok(Constant::Boolean(false)),
                _ => Err(wrong("true or false")),
            };
        }
        if NUMBER_OPTIONS.contains(&name) {
            let number = text.parse::<f64>().is_ok_and(f64::is_finite);
            return if number { Ok(Constant::Number(text.into())) } else { Err(wrong("a number")) };
        }
        if LIST_OPTIONS.contains(&name) {
            let elements = paths_of(text).into_iter().map(Constant::Text).collect();
            return Ok(Constant::List(elements));
        }
        if JSON_OPTIONS.contains(&name) {
            struct_literal(name, text).map_err(|_| {
                wrong("a JSON object of names and types, or an array of types").hint(JSON_HINT)
            })?;
        }
        Ok(Constant::Text(text.to_owned()))
    }
}

const BOOLEAN_OPTIONS: &[&str] = &[
    "all_varchar",
    "allow_moved_paths",
    "allow_quoted_nulls",
    "auto_detect",
    "binary_as_string",
    "convert_strings_to_integers",
    "file_row_number",
    "filename",
    "header",
    "hive_partitioning",
    "hive_types_autocast",
    "ignore_errors",
    "normalize_names",
    "null_padding",
    "parallel",
    "strict_mode",
    "union_by_name",
];

const NUMBER_OPTIONS: &[&str] = &[
    "buffer_size",
    "field_appearance_threshold",
    "map_inference_threshold",
    "max_line_size",
    "maximum_depth",
    "maximum_object_size",
    "maximum_sample_files",
    "sample_size",
    "skip",
    "snapshot_from_id",
];

const LIST_OPTIONS: &[&str] = &["auto_type_candidates", "force_not_null", "names"];

/// One path, or several as a PostgreSQL array literal: `{s3://a/x.parquet,s3://b/y.parquet}`.
pub fn paths_of(path: &str) -> Vec<String> {
    match path.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(inner) => array_elements(inner),
        None => vec![path.to_owned()],
    }
}

/// The elements of an array literal's inside, quoted with `"` or bare.
fn array_elements(inner: &str) -> Vec<String> {
    let mut elements = vec![];
    let mut element = String::new();
    let mut quoted = false;
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' => element.extend(characters.next()),
            ',' if !quoted => elements.push(std::mem::take(&mut element)),
            other => element.push(other),
        }
    }
    elements.push(element);
    elements.iter().map(|element| element.trim().to_owned()).collect()
}

/// Options whose value DuckDB wants as a struct or map: given as JSON text.
const JSON_OPTIONS: &[&str] = &["columns", "types", "hive_types"];

const JSON_HINT: &str = "For example '{\"id\": \"BIGINT\", \"day\": \"DATE\"}'.";

fn option_value(name: &str, value: &Constant) -> Result<Sql> {
    Ok(match value {
        Constant::Null => sql!("NULL"),
        Constant::Boolean(true) => sql!("true"),
        Constant::Boolean(false) => sql!("false"),
        Constant::Number(digits) => sql::number(digits).unwrap_or_else(|| sql::literal(digits)),
        Constant::Text(text) if JSON_OPTIONS.contains(&name) => struct_literal(name, text)?,
        Constant::Text(text) => text_value(text),
        Constant::List(values) => {
            let values: Vec<_> =
                values.iter().map(|value| option_value("", value)).collect::<Result<_>>()?;
            sql!("[{}]", Sql::join(values, ", "))
        }
    })
}

/// A literal; control characters, such as a delimiter may be, as calls of `chr`, so that EXPLAIN shows
/// them.
fn text_value(text: &str) -> Sql {
    if !text.chars().any(char::is_control) {
        return sql::literal(text);
    }
    let parts = text.chars().map(|character| match character.is_control() {
        true => sql!("chr({})", u64::from(character)),
        false => sql::literal(&character.to_string()),
    });
    sql!("concat({})", Sql::join(parts, ", "))
}

/// `{"a": "INTEGER"}` as DuckDB's `{'a': 'INTEGER'}`; an array of texts stays a list.
fn struct_literal(name: &str, json: &str) -> Result<Sql> {
    let bad = || {
        Error::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("option \"{name}\" is not a JSON object of names and types"),
        )
        .hint(JSON_HINT)
    };
    match serde_json::from_str(json).map_err(|_| bad())? {
        serde_json::Value::Object(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|(key, value)| {
                    let value = value.as_str().ok_or_else(bad)?;
                    Ok(sql!("{}: {}", sql::literal(key), sql::literal(value)))
                })
                .collect::<Result<_>>()?;
            let mut made = Sql::of("{", &[]);
            made.push(&Sql::join(fields, ", "));
            made.push(&"}");
            Ok(made)
        }
        serde_json::Value::Array(values) => {
            let values: Vec<_> = values
                .iter()
                .map(|value| value.as_str().map(sql::literal).ok_or_else(bad))
                .collect::<Result<_>>()?;
            Ok(sql!("[{}]", Sql::join(values, ", ")))
        }
        _ => Err(bad()),
    }
}
