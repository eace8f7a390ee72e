//! What DuckLake 1.0 keeps as it is: the rows of a query as they may be written to a lake, and the
//! types whose rows must not stand in its catalog.

use crate::error::Result;
use crate::lexer;
use crate::logical_type::LogicalType;
use crate::placeholder;
use crate::quote::identifier;
use crate::statement::Column;

/// The query whose rows are those of `query`, which returns `columns`, with an error for a value
/// that a lake does not keep.
///
/// # Errors
/// As [`check_column`].
pub fn rows(query: &str, columns: &[Column]) -> Result<String> {
    let (mut items, mut names) = (vec![], vec![]);
    for (at, column) in columns.iter().enumerate() {
        check_column(&column.name, &column.logical_type)?;
        let name = format!("c{at}");
        let value = if holds_text(&column.logical_type) {
            placeholder::guarded(&name, &column.name)
        } else {
            name.clone()
        };
        items.push(format!("{value} AS {}", identifier(&column.name)));
        names.push(name);
    }
    // The newline ends a comment at the query's end.
    Ok(format!(
        "SELECT {} FROM (\n{}\n) AS \"pg_pond rows\"({})",
        items.join(", "),
        lexer::without_terminator(query),
        names.join(", ")
    ))
}

/// Refuses a column whose name, or that of a field, holds a placeholder.
///
/// # Errors
/// 22023 that names it.
pub fn check_column(name: &str, logical_type: &LogicalType) -> Result<()> {
    placeholder::refuse(&format!("the name of column \"{name}\""), name)?;
    match placeholder::find(fields(logical_type).as_bytes()) {
        Some(_) => placeholder::refuse(
            &format!("the name of a field of column \"{name}\""),
            &fields(logical_type),
        ),
        None => Ok(()),
    }
}

/// The names of all fields in a type, one on a line.
fn fields(logical_type: &LogicalType) -> String {
    match logical_type {
        LogicalType::Struct(all) | LogicalType::Union(all) => {
            all.iter().map(|(name, field)| format!("{name}\n{}", fields(field))).collect()
        }
        LogicalType::List(item) | LogicalType::Array(item, _) => fields(item),
        LogicalType::Map(key, value) => fields(key) + &fields(value),
        _ => String::new(),
    }
}

/// Whether rows of a column whose type DuckDB spells so come back changed, or not at all, from a
/// catalog that keeps them as text: of a struct quotes, dates and the like are written as in SQL, of
/// a list JSON as it stands.
#[must_use]
pub fn is_lost_as_text(type_text: &str) -> bool {
    type_text.contains("JSON[") || (type_text.starts_with("STRUCT(") && !type_text.ends_with(']'))
}

/// Whether values of a type may hold any text.
#[must_use]
pub fn holds_text(logical_type: &LogicalType) -> bool {
    match logical_type {
        LogicalType::Varchar
        | LogicalType::Json
        | LogicalType::Blob
        | LogicalType::Enum(_)
        | LogicalType::Variant => true,
        LogicalType::List(item) | LogicalType::Array(item, _) => holds_text(item),
        LogicalType::Map(key, value) => holds_text(key) || holds_text(value),
        LogicalType::Struct(fields) | LogicalType::Union(fields) => {
            fields.iter().any(|(_, field)| holds_text(field))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_hold_text_is_guarded() {
        let column = |name: &str, logical_type| Column { name: name.into(), logical_type };
        let columns = [column("a", LogicalType::Integer), column("b\"", LogicalType::Varchar)];
        assert_eq!(
            rows("FROM t -- x", &columns).unwrap(),
            format!(
                "SELECT c0 AS \"a\", {} AS \"b\"\"\" FROM (\nFROM t -- x\n) AS \"pg_pond rows\"(c0, c1)",
                placeholder::guarded("c1", "b\"")
            )
        );
        assert!(rows("FROM t", &[column("{AUTHOR}", LogicalType::Integer)]).is_err());
    }

    #[test]
    fn placeholders_in_the_names_of_fields_are_refused() {
        let of = |name: &str| {
            LogicalType::List(Box::new(LogicalType::Struct(vec![(name.into(), LogicalType::Date)])))
        };
        assert!(check_column("c", &of("a'b")).is_ok());
        let error = check_column("c", &of("a{AUTHOR}")).unwrap_err();
        assert!(error.message().contains("field of column \"c\""), "{error}");
    }

    #[test]
    fn types_that_are_lost_as_text_are_known() {
        for text in
            ["JSON[]", "STRUCT(a DATE)", "JSON[][]", "MAP(VARCHAR, JSON[])", "STRUCT(a INTEGER[])"]
        {
            assert!(is_lost_as_text(text), "{text}");
        }
        for text in ["JSON", "STRUCT(a DATE)[]", "MAP(VARCHAR, STRUCT(a DATE))", "VARCHAR[]"] {
            assert!(!is_lost_as_text(text), "{text}");
        }
    }
}
