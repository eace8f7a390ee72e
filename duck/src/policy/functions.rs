//! Which functions an ordinary role may call. Whatever is not listed here is refused: functions of
//! a new DuckDB or of an extension are closed until somebody has read what they do.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::open::Extension;

/// Scalar functions, aggregates, window functions and macros, in lower case: those that touch
/// neither files, network, settings, logs nor sessions, run no SQL, and take no raw internal bytes.
static SCALARS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("functions.txt").split_ascii_whitespace().collect());

/// All other functions of DuckDB.
static CLOSED: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("closed_functions.txt").split_ascii_whitespace().collect());

/// Whether DuckDB has a function of this name, or it is not even a plain name, as those of operators
/// are not.
pub fn is_duckdbs(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let lower = name.to_ascii_lowercase();
    !name.chars().all(plain)
        || lower.starts_with("__internal")
        || lower.starts_with("icu_collate_")
        || SCALARS.contains(lower.as_str())
        || CLOSED.contains(lower.as_str())
        || table_function(name).is_some()
        || takes_structure(name)
}

/// Whether a name without parentheses may stand for a function, as `current_date` does
/// (`ExpressionBinder::GetSQLValueFunctionName` in DuckDB's sources).
pub fn may_be_value(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let starts = ["current_", "local", "session_", "user"];
    starts.iter().any(|start| lower.starts_with(start)) || is_duckdbs(name)
}

/// Scalar functions that read a type from their second argument.
pub fn takes_structure(name: &str) -> bool {
    ["from_json", "from_json_strict", "json_transform", "json_transform_strict"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// What a table function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFunction {
    /// Reads the files named by its first argument.
    Reader(Option<Extension>),
    /// Tells something of the attached lake that its first argument names.
    Lake,
    /// Computes from its arguments, or lists what harms nobody.
    Harmless,
}

const TABLE_FUNCTIONS: &[(&str, TableFunction)] = &[
    ("delta_scan", TableFunction::Reader(Some(Extension::Delta))),
    ("duckdb_columns", TableFunction::Harmless),
    ("duckdb_functions", TableFunction::Harmless),
    ("duckdb_keywords", TableFunction::Harmless),
    ("duckdb_schemas", TableFunction::Harmless),
    ("duckdb_tables", TableFunction::Harmless),
    ("duckdb_types", TableFunction::Harmless),
    ("duckdb_views", TableFunction::Harmless),
    ("ducklake_current_snapshot", TableFunction::Lake),
    ("ducklake_last_committed_snapshot", TableFunction::Lake),
    ("ducklake_list_files", TableFunction::Lake),
    ("ducklake_options", TableFunction::Lake),
    ("ducklake_settings", TableFunction::Lake),
    ("ducklake_snapshots", TableFunction::Lake),
    ("ducklake_table_changes", TableFunction::Lake),
    ("ducklake_table_deletions", TableFunction::Lake),
    ("ducklake_table_info", TableFunction::Lake),
    ("ducklake_table_insertions", TableFunction::Lake),
    ("generate_series", TableFunction::Harmless),
    ("generate_subscripts", TableFunction::Harmless),
    ("glob", TableFunction::Reader(None)),
    ("iceberg_column_stats", TableFunction::Reader(Some(Extension::Iceberg))),
    ("iceberg_metadata", TableFunction::Reader(Some(Extension::Iceberg))),
    ("iceberg_partition_stats", TableFunction::Reader(Some(Extension::Iceberg))),
    ("iceberg_scan", TableFunction::Reader(Some(Extension::Iceberg))),
    ("iceberg_snapshots", TableFunction::Reader(Some(Extension::Iceberg))),
    ("icu_calendar_names", TableFunction::Harmless),
    ("json_each", TableFunction::Harmless),
    ("json_tree", TableFunction::Harmless),
    ("parquet_bloom_probe", TableFunction::Reader(None)),
    ("parquet_file_metadata", TableFunction::Reader(None)),
    ("parquet_full_metadata", TableFunction::Reader(None)),
    ("parquet_kv_metadata", TableFunction::Reader(None)),
    ("parquet_metadata", TableFunction::Reader(None)),
    ("parquet_scan", TableFunction::Reader(None)),
    ("parquet_schema", TableFunction::Reader(None)),
    ("pg_timezone_names", TableFunction::Harmless),
    ("pragma_collations", TableFunction::Harmless),
    ("pragma_version", TableFunction::Harmless),
    ("range", TableFunction::Harmless),
    ("read_avro", TableFunction::Reader(Some(Extension::Avro))),
    ("read_blob", TableFunction::Reader(None)),
    ("read_csv", TableFunction::Reader(None)),
    ("read_csv_auto", TableFunction::Reader(None)),
    ("read_json", TableFunction::Reader(None)),
    ("read_json_auto", TableFunction::Reader(None)),
    ("read_json_objects", TableFunction::Reader(None)),
    ("read_json_objects_auto", TableFunction::Reader(None)),
    ("read_ndjson", TableFunction::Reader(None)),
    ("read_ndjson_auto", TableFunction::Reader(None)),
    ("read_ndjson_objects", TableFunction::Reader(None)),
    ("read_parquet", TableFunction::Reader(None)),
    ("read_text", TableFunction::Reader(None)),
    ("read_xlsx", TableFunction::Reader(Some(Extension::Excel))),
    ("repeat", TableFunction::Harmless),
    ("repeat_row", TableFunction::Harmless),
    ("sniff_csv", TableFunction::Reader(None)),
    ("summary", TableFunction::Harmless),
    ("test_all_types", TableFunction::Harmless),
    ("test_vector_types", TableFunction::Harmless),
    ("unnest", TableFunction::Harmless),
];

/// Named arguments of readers that an ordinary role may give. Not among them: `store_rejects`,
/// `rejects_table` and `rejects_scan`, which write tables; `debug_use_openssl`; `log_tail`, which
/// names files.
const READER_ARGUMENTS: &[&str] = &[
    "all_varchar",
    "allow_moved_paths",
    "allow_quoted_nulls",
    "auto_detect",
    "auto_type_candidates",
    "binary_as_string",
    "buffer_size",
    "can_have_nan",
    "column_names",
    "column_types",
    "columns",
    "comment",
    "compression",
    "convert_strings_to_integers",
    "date_format",
    "dateformat",
    "decimal_separator",
    "delim",
    "dtypes",
    "empty_as_varchar",
    "encoding",
    "encryption_config",
    "escape",
    "explicit_cardinality",
    "field_appearance_threshold",
    "file_row_number",
    "filename",
    "files_to_sniff",
    "force_match",
    "force_not_null",
    "format",
    "header",
    "hive_partitioning",
    "hive_types",
    "hive_types_autocast",
    "ignore_errors",
    "map_inference_threshold",
    "max_line_size",
    "maximum_depth",
    "maximum_line_size",
    "maximum_object_size",
    "maximum_sample_files",
    "metadata_compression_codec",
    "mode",
    "names",
    "new_line",
    "normalize_names",
    "null_padding",
    "nullstr",
    "parallel",
    "parquet_version",
    "pushdown_filters",
    "pushdown_partition_info",
    "quote",
    "range",
    "records",
    "sample_size",
    "schema",
    "sep",
    "sheet",
    "skip",
    "snapshot_from_id",
    "snapshot_from_timestamp",
    "stop_at_empty",
    "strict_mode",
    "thousands",
    "timestamp_format",
    "timestampformat",
    "types",
    "union_by_name",
    "version",
    "version_name_format",
];

/// Named arguments that become part of a file's name: no slash, no dots that climb.
const NAME_ARGUMENTS: &[&str] = &["metadata_compression_codec", "version", "version_name_format"];

/// The settings that an ordinary role may read with `current_setting`.
const SETTINGS: &[&str] = &["calendar", "threads", "timezone"];

pub fn is_allowed_scalar(name: &str) -> bool {
    SCALARS.contains(name.to_ascii_lowercase().as_str())
}

pub fn table_function(name: &str) -> Option<TableFunction> {
    let name = name.to_ascii_lowercase();
    let found = TABLE_FUNCTIONS.binary_search_by_key(&name.as_str(), |(name, _)| name).ok()?;
    Some(TABLE_FUNCTIONS[found].1)
}

pub fn is_allowed_reader_argument(name: &str) -> bool {
    READER_ARGUMENTS.binary_search(&name.to_ascii_lowercase().as_str()).is_ok()
}

pub fn is_name_argument(name: &str) -> bool {
    NAME_ARGUMENTS.contains(&name.to_ascii_lowercase().as_str())
}

pub fn is_readable_setting(name: &str) -> bool {
    SETTINGS.contains(&name.to_ascii_lowercase().as_str())
}

/// The functions that DuckDB 1.5.5 and its extensions put in place of a table name that ends like a
/// file, those that ordinary roles may not call among them.
const SUFFIXES: &[(&str, &str, Option<Extension>)] = &[
    ("parquet", "read_parquet", None),
    ("csv", "read_csv_auto", None),
    ("tsv", "read_csv_auto", None),
    ("json", "read_json_auto", None),
    ("jsonl", "read_json_auto", None),
    ("ndjson", "read_json_auto", None),
    ("avro", "read_avro", Some(Extension::Avro)),
    ("xlsx", "read_xlsx", Some(Extension::Excel)),
    ("duckdb", "read_duckdb", None),
    ("db", "read_duckdb", None),
    ("ddb", "read_duckdb", None),
];

/// The reader of a file that stands as a table name; `None` when DuckDB would not take it for one, or
/// when more than one reader might (`ReplacementScan::CanReplace` in DuckDB's sources also finds an
/// ending before any question mark).
pub fn reader_of_path(path: &str) -> Option<(&'static str, Option<Extension>)> {
    let lower = path.to_ascii_lowercase();
    let bare = [".gz", ".zst"].iter().find_map(|end| lower.strip_suffix(end)).unwrap_or(&lower);
    let matches = |suffix: &str| {
        let ending = format!(".{suffix}");
        bare.ends_with(&ending) || lower.contains(&format!("{ending}?"))
    };
    let mut found = SUFFIXES.iter().filter(|(suffix, ..)| matches(suffix));
    let (_, reader, extension) = found.next()?;
    found.all(|(_, other, _)| other == reader).then_some((*reader, *extension))
}

/// The readers that an administrator may switch off, each with the functions that go with it.
pub const READERS: &[&str] = &[
    "delta_scan",
    "glob",
    "iceberg_scan",
    "read_avro",
    "read_blob",
    "read_csv",
    "read_duckdb",
    "read_json",
    "read_parquet",
    "read_text",
    "read_xlsx",
];

/// Which of [`READERS`] a function belongs to.
pub fn reader_family(function: &str) -> Option<&'static str> {
    let name = function.to_ascii_lowercase();
    let starts = |start: &str| name.starts_with(start);
    let family = if starts("iceberg_") {
        "iceberg_scan"
    } else if starts("delta_") {
        "delta_scan"
    } else if starts("read_json") || starts("read_ndjson") {
        "read_json"
    } else if starts("read_csv") || name == "sniff_csv" {
        "read_csv"
    } else if starts("parquet_") {
        "read_parquet"
    } else {
        name.as_str()
    };
    READERS.iter().copied().find(|known| *known == family)
}

/// Whether a table name could make DuckDB look for a file: it looks like a path or ends like a file
/// of any format that DuckDB or an extension may read.
pub fn is_path_like(name: &str, qualified: bool) -> bool {
    const ENDINGS: &[&str] = &[
        "parquet", "csv", "tsv", "txt", "gz", "zst", "bz2", "json", "jsonl", "ndjson", "avro",
        "xlsx", "xls", "db", "duckdb", "ddb", "sqlite", "sqlite3", "shp", "gpkg", "geojson", "fgb",
        "kml", "arrow", "arrows", "ipc", "feather", "vortex", "lance", "delta", "orc", "zip",
    ];
    if name.contains(['/', '\\', ':', '*', '?', '[', '~', '\0', '%']) {
        return true;
    }
    match name.rsplit_once('.') {
        // Within a name that has no qualifier, a dot is part of the name itself.
        Some((_, ending)) => !qualified || ENDINGS.contains(&ending.to_ascii_lowercase().as_str()),
        None => false,
    }
}

/// Whether only a shipped table has such a name.
pub fn is_shipped(table: &str) -> bool {
    let start = table.get(..super::SHIPPED_PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(super::SHIPPED_PREFIX))
}

/// Whether a name is that of a view of PostgreSQL's that DuckDB has no counterpart of (as of 1.5.5; what
/// a later one has stays out of reach).
pub fn is_of_postgresql_only(name: &str) -> bool {
    const OF_DUCKDB: &[&str] = &[
        "pg_am",
        "pg_attrdef",
        "pg_attribute",
        "pg_class",
        "pg_collation",
        "pg_constraint",
        "pg_database",
        "pg_depend",
        "pg_description",
        "pg_enum",
        "pg_index",
        "pg_indexes",
        "pg_namespace",
        "pg_prepared_statements",
        "pg_proc",
        "pg_sequence",
        "pg_sequences",
        "pg_settings",
        "pg_tables",
        "pg_tablespace",
        "pg_type",
        "pg_views",
    ];
    let name = name.to_ascii_lowercase();
    name.starts_with("pg_") && !OF_DUCKDB.contains(&name.as_str())
}

/// Views that every instance has, and whether an ordinary role may read them; `None` for a name
/// that is none of them.
pub fn system_view(name: &str) -> Option<bool> {
    const OPEN: &[&str] = &[
        "character_sets",
        "check_constraints",
        "columns",
        "constraint_column_usage",
        "constraint_table_usage",
        "key_column_usage",
        "referential_constraints",
        "schemata",
        "table_constraints",
        "tables",
        "views",
        "duckdb_columns",
        "duckdb_schemas",
        "duckdb_tables",
        "duckdb_types",
        "duckdb_views",
    ];
    let name = name.to_ascii_lowercase();
    if OPEN.contains(&name.as_str()) {
        return Some(true);
    }
    let system = ["duckdb_", "pragma_", "sqlite_", "pg_", "__ducklake_metadata"];
    system.iter().any(|prefix| name.starts_with(prefix)).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_for_binary_search() {
        assert!(TABLE_FUNCTIONS.is_sorted_by_key(|(name, _)| *name));
        assert!(READER_ARGUMENTS.is_sorted());
    }

    #[test]
    fn dangerous_functions_are_closed() {
        for name in ["write_log", "WRITE_BLOB", "json_serialize_plan", "nosuch", "current_setting"]
        {
            assert!(!is_allowed_scalar(name), "{name}");
        }
        for name in ["query", "query_table", "postgres_scan", "duckdb_secrets", "read_duckdb"] {
            assert_eq!(table_function(name), None, "{name}");
        }
        assert_eq!(table_function("READ_CSV"), Some(TableFunction::Reader(None)));
        assert!(!is_allowed_reader_argument("store_rejects"));
    }

    #[test]
    fn a_path_has_the_reader_that_duckdb_would_take_or_none() {
        let of = |path| reader_of_path(path).map(|(reader, _)| reader);
        assert_eq!(of("/d/x.CSV.gz"), Some("read_csv_auto"));
        assert_eq!(of("/d/x?.csv"), Some("read_csv_auto"));
        assert_eq!(of("https://h/x.parquet?signature=a.b"), Some("read_parquet"));
        for path in ["/d/x.duckdb", "/d/x.DB", "/d/x.ddb", "/d/*.duckdb", "/d/x.duckdb.gz"] {
            assert_eq!(of(path), Some("read_duckdb"), "{path}");
        }
        for path in ["/d/x.csv?.duckdb", "/d/x.db?.csv", "/d/x.txt", "/d/x", "/d/xcsv"] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn each_reader_belongs_to_one_that_can_be_switched_off() {
        for (name, kind) in TABLE_FUNCTIONS {
            let family = reader_family(name);
            assert_eq!(family.is_some(), matches!(kind, TableFunction::Reader(_)), "{name}");
        }
        assert!(SUFFIXES.iter().all(|(_, reader, _)| reader_family(reader).is_some()));
        assert!(READERS.iter().all(|name| reader_family(name) == Some(name)));
    }
}
