//! DuckLake's own placeholders. DuckLake 1.0 puts values, names and messages into the text of a
//! statement for its catalog, and then replaces these words in all of it. A value that holds one is
//! stored as something else (as the smallest or largest of a column it makes other rows invisible),
//! or ends the literal that it stands in. So no value with such a word is written to a lake, and a
//! condition with one is not shown to DuckLake: see [`Connection::push_conditions`].

use std::ffi::CString;

use libduckdb_sys as sys;

use crate::chunk::StringRef;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::quote::literal;
use crate::sql;
use crate::sql::Sql;
use crate::value::Value;

/// `SubstituteSnapshotPlaceholders` and `SubstituteCatalogPlaceholders` in
/// ducklake_metadata_manager.cpp.
const WORDS: &[&str] = &[
    "{SNAPSHOT_ID}",
    "{SCHEMA_VERSION}",
    "{NEXT_CATALOG_ID}",
    "{NEXT_FILE_ID}",
    "{AUTHOR}",
    "{COMMIT_MESSAGE}",
    "{COMMIT_EXTRA_INFO}",
    "{METADATA_CATALOG_NAME_LITERAL}",
    "{METADATA_CATALOG_NAME_IDENTIFIER}",
    "{METADATA_SCHEMA_NAME_LITERAL}",
    "{METADATA_CATALOG}",
    "{METADATA_SCHEMA_ESCAPED}",
    "{METADATA_PATH}",
    "{DATA_PATH}",
];

/// The first placeholder in a text.
#[must_use]
pub fn find(text: &[u8]) -> Option<&'static str> {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'{') {
        rest = &rest[at..];
        if let Some(word) = WORDS.iter().find(|word| rest.starts_with(word.as_bytes())) {
            return Some(word);
        }
        rest = &rest[1..];
    }
    None
}

/// The first placeholder in a value.
#[must_use]
pub fn find_in(value: &Value) -> Option<&'static str> {
    match value {
        Value::Varchar(text) | Value::Json(text) => find(text.as_bytes()),
        Value::Blob(bytes) => find(bytes),
        Value::List(_, items) => items.iter().find_map(find_in),
        Value::Struct(fields) => {
            fields.iter().find_map(|(name, item)| find(name.as_bytes()).or_else(|| find_in(item)))
        }
        _ => None,
    }
}

const FUNCTION: &str = "pg_pond_storable";

/// The expression `value` as it may be written to the column `name` of a lake; evaluated twice.
/// Error 22023 for one with a placeholder.
#[must_use]
pub fn guarded(value: &str, name: &str) -> String {
    format!("CASE WHEN {FUNCTION}(CAST({value} AS VARCHAR), {}) THEN {value} END", literal(name))
}

/// As [`guarded`], of pieces.
#[must_use]
pub fn guarded_sql(value: &Sql, name: &str) -> Sql {
    sql!(
        "CASE WHEN {}(CAST({} AS VARCHAR), {}) THEN {} END",
        FUNCTION,
        value,
        sql::literal(name),
        value
    )
}

/// As [`guarded`], for an expression that is evaluated once, whatever its type.
#[must_use]
pub fn guarded_once(value: &str, name: &str) -> String {
    let item = guarded("pg_pond_item", name);
    format!("list_transform([{value}], lambda pg_pond_item: {item})[1]")
}

/// The refusal of a text, such as a comment or a name.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] that names the placeholder.
pub fn refuse(what: &str, text: &str) -> Result<()> {
    match find(text.as_bytes()) {
        Some(word) => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("pg_pond 22023 {what} holds \"{word}\", which DuckLake would replace"),
        )),
        None => Ok(()),
    }
}

/// Makes the function known to the connection's instance.
///
/// # Errors
/// When DuckDB refuses, which it has no reason for.
pub fn register(connection: &Connection) -> Result<()> {
    let name = CString::new(FUNCTION).unwrap_or_default();
    // SAFETY: each handle is made, used and destroyed here; DuckDB copies what it is given.
    let state = unsafe {
        let mut function = sys::duckdb_create_scalar_function();
        sys::duckdb_scalar_function_set_name(function, name.as_ptr());
        let mut text = sys::duckdb_create_logical_type(sys::DUCKDB_TYPE_DUCKDB_TYPE_VARCHAR);
        let mut result = sys::duckdb_create_logical_type(sys::DUCKDB_TYPE_DUCKDB_TYPE_BOOLEAN);
        sys::duckdb_scalar_function_add_parameter(function, text);
        sys::duckdb_scalar_function_add_parameter(function, text);
        sys::duckdb_scalar_function_set_return_type(function, result);
        sys::duckdb_scalar_function_set_function(function, Some(check_chunk));
        let state = sys::duckdb_register_scalar_function(connection.raw(), function);
        sys::duckdb_destroy_logical_type(&raw mut text);
        sys::duckdb_destroy_logical_type(&raw mut result);
        sys::duckdb_destroy_scalar_function(&raw mut function);
        state
    };
    if state == sys::DuckDBSuccess {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Internal, format!("DuckDB does not take the function {FUNCTION}")))
}

unsafe extern "C" fn check_chunk(
    info: sys::duckdb_function_info,
    input: sys::duckdb_data_chunk,
    output: sys::duckdb_vector,
) {
    // SAFETY: DuckDB's live handles; the vectors have the types of `register` and as many rows as
    // the chunk. Nothing in here panics.
    unsafe {
        let rows = usize::try_from(sys::duckdb_data_chunk_get_size(input)).unwrap_or(0);
        let (values, names) = (
            sys::duckdb_data_chunk_get_vector(input, 0),
            sys::duckdb_data_chunk_get_vector(input, 1),
        );
        let valid = sys::duckdb_vector_get_validity(values);
        let values = sys::duckdb_vector_get_data(values).cast::<StringRef<'_>>();
        let results = sys::duckdb_vector_get_data(output).cast::<bool>();
        for row in 0..rows {
            results.add(row).write(true);
            if !valid.is_null() && !sys::duckdb_validity_row_is_valid(valid, row as u64) {
                continue;
            }
            if let Some(word) = find((*values.add(row)).as_bytes()) {
                let name = (*sys::duckdb_vector_get_data(names).cast::<StringRef<'_>>()).to_text();
                let message = format!(
                    "pg_pond 22023 column \"{name}\" of a lake cannot hold a value with \"{word}\", \
                     which DuckLake would replace"
                );
                let message = CString::new(message.replace('\0', "")).unwrap_or_default();
                sys::duckdb_scalar_function_set_error(info, message.as_ptr());
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instance;

    #[test]
    fn placeholders_are_found_wherever_they_stand() {
        for word in WORDS {
            for text in [(*word).to_owned(), format!("a {{x}} {word} b"), format!("{{{{{word}}}")] {
                assert_eq!(find(text.as_bytes()), Some(*word), "{text}");
            }
            assert_eq!(find(word.to_lowercase().as_bytes()), None);
            assert_eq!(find(&word.as_bytes()[..word.len() - 1]), None);
        }
        assert_eq!(find(b"{} {x} {SNAPSHOT} SNAPSHOT_ID"), None);
        let list = Value::List(
            crate::LogicalType::Varchar,
            vec![Value::Varchar("a".into()), Value::Varchar("b{AUTHOR}".into())],
        );
        assert_eq!(find_in(&list), Some("{AUTHOR}"));
    }

    #[test]
    fn the_guard_lets_other_values_through_and_keeps_their_types() {
        let instance = Instance::open(&[("threads", "1")]).unwrap();
        let connection = Connection::new(&instance).unwrap();
        register(&connection).unwrap();
        let text = |sql: &str| connection.query_text(sql, &[]);
        for guard in [guarded, guarded_once] {
            for (value, kind) in [
                ("'a{b}'", "VARCHAR"),
                ("CAST('{\"a\": 1}' AS JSON)", "JSON"),
                ("CAST('{x' AS BLOB)", "BLOB"),
                ("{'a': ['{', 'b']}", "STRUCT(a VARCHAR[])"),
                ("1", "INTEGER"),
            ] {
                let guarded = guard(&format!("({value})"), "c");
                let sql = format!("SELECT typeof({guarded}) || ({value} = {guarded})");
                assert_eq!(text(&sql).unwrap(), Some(format!("{kind}true")), "{value}");
            }
            assert_eq!(text(&format!("SELECT {}", guard("NULL", "c"))).unwrap(), None);
            for value in [
                "'a{AUTHOR}'",
                "'{AUT' || 'HOR}'",
                "CAST('{AUTHOR}' AS BLOB)",
                "['a', '{AUTHOR}']",
                "{'a': {'b': '{AUTHOR}'}}",
                "MAP {'{AUTHOR}': 1}",
                "CAST('\"{AUTHOR}\"' AS JSON)",
            ] {
                let error = text(&format!("SELECT {}", guard(value, "it's"))).expect_err(value);
                let words =
                    "pg_pond 22023 column \"it's\" of a lake cannot hold a value with \"{AUTHOR}\"";
                assert!(error.message().contains(words), "{value}: {error}");
            }
        }
    }
}
