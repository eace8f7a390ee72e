//! What whoever may write a lake's catalog has others run and read: macros, defaults, orders and the
//! paths of files. Views are in [`super::views`].

use super::catalog::Scope;
use super::lexer::{Kind, Token, tokens};
use super::tables::{guarded, look_at};
use super::views::{READS_THE_PAST, texts};
use super::walk::Found;
use super::{Lake, Policy, Verdict, VerdictKind, check, check_listing, check_views};
use super::{catalog, functions, not_allowed};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::logical_type::LogicalType;
use crate::open::Extension;
use crate::quote::{identifier, literal};
use crate::statement::Column;
use crate::stored;
use crate::value::Value;

/// Looks at what a statement of this verdict would read before it is bound: views of lakes, and the
/// keys that its patterns match. To be called in the transaction in which the statement is bound.
///
/// Paths that somebody else wrote down, in the catalog of a lake or in the log of a table, are taken
/// literally by the connection from now on: an S3 path may hold `?s3_endpoint=…`, and DuckDB would
/// send a request with the role's signature there.
///
/// # Errors
/// [`ErrorKind::NotAllowed`] naming the view or the key; [`ErrorKind::NotSupported`] for a pattern
/// beside a table whose log names files; DuckDB's own.
///
/// Returns the statement anew where it reads tables whose columns must be guarded; see
/// [`super::tables::guarded`].
pub fn admit(
    connection: &Connection,
    policy: &Policy,
    verdict: &Verdict,
    sql: &str,
) -> Result<Option<String>> {
    let (lakes, names) = check_views(connection, policy, verdict)?;
    for lake in &lakes {
        catalog::check_paths(connection, policy, lake, &Scope::Tables(&names))?;
    }
    let from_log =
        |extension: &Extension| matches!(extension, Extension::Iceberg | Extension::Delta);
    let reads_logs = policy.is_remote && verdict.extensions.iter().any(from_log);
    if reads_logs && !verdict.patterns.is_empty() {
        return Err(Error::new(
            ErrorKind::NotSupported,
            "a statement cannot read both an Iceberg or Delta table and a pattern of files",
        ));
    }
    // The newest file of metadata is found by a pattern; all that it names is looked at below.
    let guesses =
        verdict.tables.iter().any(|table| table.text("version").is_some_and(|v| v == "?"));
    let literally =
        verdict.patterns.is_empty() && !guesses && (reads_logs || !verdict.lakes.is_empty());
    connection.take_paths_literally(policy.is_remote && literally)?;
    if !verdict.patterns.is_empty() || guesses {
        for lake in verdict.lakes.iter().filter_map(|name| policy.lake_named(name)) {
            check_paths(connection, lake)?;
        }
    }
    let mut patterns = verdict.patterns.iter().chain(&verdict.local_patterns);
    patterns.try_for_each(|pattern| check_listing(connection, policy, pattern))?;
    let guards = look_at(connection, policy, &verdict.tables)?;
    if guards.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    guarded(sql, &verdict.tables, &guards).map(Some)
}

/// Where patterns must be understood, the lake's own paths are looked through instead. One that comes
/// into being after this look is not seen.
fn check_paths(connection: &Connection, lake: &Lake) -> Result<()> {
    if let Some(path) = connection.query_text(&lake.odd_paths, &[])? {
        return Err(not_allowed(format!(
            "lake \"{}\" names the file \"{}\", which DuckDB would read as something else",
            lake.name,
            super::shown(&path)
        )));
    }
    Ok(())
}

/// Prepares for the text of a role without the sandbox, which runs as it is: what others have stored
/// with the tables that it writes to is looked at. No more than a look: a text may hide them.
///
/// # Errors
/// As [`check_target`].
pub(super) fn prepare_unchecked(connection: &Connection, policy: &Policy, sql: &str) -> Result<()> {
    if !policy.disabled_readers.is_empty() {
        tokens(sql)?
            .iter()
            .filter_map(Token::name)
            .try_for_each(|name| policy.check_reader(name))?;
    }
    if policy.may_name_lake(sql) {
        check_past(connection, policy, sql)?;
        // A text that names places itself may hold patterns.
        return prepare_write(connection, policy, sql, sql.contains("://"));
    }
    connection.take_paths_literally(false)
}

/// Refuses a text that reads the past of a lake, itself or by a view, after writes.
fn check_past(connection: &Connection, policy: &Policy, sql: &str) -> Result<()> {
    if !connection.instance().is_writing() {
        return Ok(());
    }
    let tokens = tokens(sql)?;
    let is_at = |three: &[Token]| {
        three[0].is_word("at")
            && three[1].is_symbol('(')
            && (three[2].is_word("version") || three[2].is_word("timestamp"))
    };
    let verdict = Verdict {
        relations: tokens.iter().filter_map(Token::name).map(str::to_lowercase).collect(),
        lakes: policy.lakes_maybe_in(sql).map(str::to_owned).collect(),
        travels: tokens.windows(3).any(is_at),
        ..Found::other().verdict
    };
    match check_views(connection, policy, &verdict) {
        Err(error) if error.message() == READS_THE_PAST => Err(error),
        _ => Ok(()),
    }
}

/// Checks what others have stored with the tables that a statement writes to: those behind INTO and
/// UPDATE, and all of the lake for what writes its files anew. `patterns` says whether it reads patterns of files; paths are taken literally if not. To be
/// called in the transaction in which the statement runs.
///
/// # Errors
/// As [`check_target`]; [`ErrorKind::NotAllowed`] naming a path that is none.
pub fn prepare_write(
    connection: &Connection,
    policy: &Policy,
    statement: &str,
    patterns: bool,
) -> Result<()> {
    connection.take_paths_literally(policy.is_remote && !patterns)?;
    let Some(lake) = policy.lake_changed_by(statement).and_then(|name| policy.lake_named(name))
    else {
        return Ok(());
    };
    catalog::check(connection, policy, &lake.name)?;
    if patterns && policy.is_remote {
        check_paths(connection, lake)?;
    }
    let all = tokens(statement)?;
    // Functions name tables by strings.
    let name = |token: &Token| match &token.kind {
        Kind::Word(name) | Kind::Quoted(name) | Kind::Text(name) => Some(name.to_lowercase()),
        _ => None,
    };
    let names: Vec<_> = all.iter().filter_map(name).collect();
    let ends = |words: &[&str]| names.iter().any(|name| words.iter().any(|w| name.ends_with(w)));
    if ends(&["cleanup_old_files", "delete_orphaned_files", "checkpoint"]) {
        catalog::check_paths(connection, policy, &lake.name, &Scope::Deleted)?;
    }
    let scope = if all.iter().any(sorts_rows) { Scope::AllTables } else { Scope::Tables(&names) };
    catalog::check_paths(connection, policy, &lake.name, &scope)?;
    if all.iter().any(sorts_rows) {
        // What others have stored is committed. A catalog in SQLite, read in the transaction itself,
        // would be locked against its commit.
        let own = Connection::new(connection.instance())?;
        let orders = texts(&own, &lake.orders, &[Value::Null(LogicalType::Varchar)])?;
        check_expressions(connection, policy, lake, &orders)?;
    }
    for (at, token) in all.iter().enumerate() {
        if (token.is_word("into") || token.is_word("update"))
            && let Some(table) = last_name(&all[at + 1..])
        {
            check_target(connection, policy, &lake.name, table)?;
        }
    }
    Ok(())
}

/// Whether the token names something that writes rows anew, in their order.
fn sorts_rows(token: &Token) -> bool {
    const NAMES: &[&str] =
        &["merge_adjacent_files", "flush_inlined_data", "rewrite_data_files", "checkpoint"];
    match &token.kind {
        Kind::Word(word) | Kind::Quoted(word) => {
            let word = word.to_ascii_lowercase();
            NAMES.iter().any(|name| word.ends_with(name))
        }
        _ => false,
    }
}

/// The last part of the name that the tokens begin with.
fn last_name(tokens: &[Token]) -> Option<&str> {
    let mut last = None;
    for pair in tokens.chunks(2) {
        match &pair.first()?.kind {
            Kind::Word(name) | Kind::Quoted(name) => last = Some(name.as_str()),
            _ => return last,
        }
        if !pair.get(1).is_some_and(|token| token.is_symbol('.')) {
            break;
        }
    }
    last
}

/// Checks what runs when rows are written to a table of a lake: its columns' defaults, and the
/// expressions of its order. Tables are told apart without their schemas: one table too many is looked
/// at. To be called in the transaction in which the rows are written.
///
/// # Errors
/// [`ErrorKind::NotAllowed`] naming the expression; DuckDB's own, when the lake cannot be read.
pub fn check_target(
    connection: &Connection,
    policy: &Policy,
    lake: &str,
    table: &str,
) -> Result<()> {
    let Some(known) = policy.lake_named(lake) else { return Ok(()) };
    let table = Value::Varchar(table.to_owned());
    let columns = "SELECT DISTINCT table_name, coalesce(column_default, 'NULL'), schema_name, column_name, \
         data_type FROM duckdb_columns() WHERE database_name = CAST($1 AS VARCHAR) \
         AND lower(table_name) = lower(CAST($2 AS VARCHAR)) AND (column_default IS NOT NULL \
         OR contains(data_type, 'STRUCT(') OR contains(data_type, 'JSON['))";
    let lake_name = Value::Varchar(lake.to_owned());
    let mut found = texts(connection, columns, &[lake_name, table.clone()])?;
    for row in &found {
        if let [table, _, schema, column, type_text] = row.as_slice()
            && known.rows_as_text > 0
            && stored::is_lost_as_text(type_text)
        {
            keep_in_files(connection, known, [schema, table], column)?;
        }
    }
    found.iter_mut().for_each(|row| row.truncate(2));
    found.retain(|row| row.get(1).is_none_or(|text| !is_plain(text)));
    if !found.is_empty() {
        // DuckDB looks for a default's functions in the lake first.
        check_macros(connection, lake)?;
    }
    found.extend(texts(connection, &known.orders, &[table])?);
    check_expressions(connection, policy, known, &found)
}

/// Has DuckLake keep a table's rows in files only, whose catalog would not give back `column`.
///
/// # Errors
/// [`ErrorKind::NotSupported`] for a table that the transaction has made; DuckDB's own.
fn keep_in_files(
    connection: &Connection,
    lake: &Lake,
    [schema, table]: [&str; 2],
    column: &str,
) -> Result<()> {
    let name = identifier(&lake.name);
    let known = connection.query_text(
        &format!(
            "SELECT value FROM {name}.options() WHERE option_name = 'data_inlining_row_limit' \
             AND (scope = 'TABLE' AND scope_entry = CAST($1 AS VARCHAR) OR scope = 'GLOBAL') \
             ORDER BY scope DESC LIMIT 1"
        ),
        &[Value::Varchar(format!("{schema}.{table}"))],
    )?;
    if known.as_deref() == Some("0") {
        return Ok(());
    }
    let sql = format!(
        "CALL {name}.set_option('data_inlining_row_limit', 0, schema => {}, table_name => {})",
        literal(schema),
        literal(table)
    );
    connection.execute_batch(&sql).map_err(|error| match error.kind() {
        ErrorKind::NotImplemented => is_lost(column, "Commit what has made the table first."),
        _ => error,
    })
}

/// Refuses a table that a statement has made of so few rows that the lake's catalog keeps them, if it
/// would not give them back.
///
/// # Errors
/// [`ErrorKind::NotSupported`] that names the column.
pub fn check_made(policy: &Policy, lake: &str, columns: &[Column], rows: i64) -> Result<()> {
    let limit = policy.lake_named(lake).map_or(0, |lake| lake.rows_as_text);
    if rows == 0 || rows > limit {
        return Ok(());
    }
    let lost = columns.iter().find(|c| stored::is_lost_as_text(&c.logical_type.to_string()));
    match lost {
        Some(column) => Err(is_lost(
            &column.name,
            "Make the table without rows, commit, and insert them, or give the server \
             data_inlining_row_limit '0'.",
        )),
        None => Ok(()),
    }
}

fn is_lost(column: &str, way: &str) -> Error {
    Error::new(
        ErrorKind::NotSupported,
        format!("column \"{column}\" cannot be kept in the lake's catalog as it is: {way}"),
    )
}

/// Checks expressions of tables, which come in rows of table and expression.
fn check_expressions(
    connection: &Connection,
    policy: &Policy,
    lake: &Lake,
    found: &[Vec<String>],
) -> Result<()> {
    for row in found {
        let [table, expression] = row.as_slice() else { continue };
        check_expression(connection, policy, expression).map_err(|error| {
            let message = format!(
                "table \"{table}\" of lake \"{}\" cannot be written to: {}",
                lake.name,
                error.message()
            );
            Error::new(error.kind(), message)
        })?;
    }
    Ok(())
}

/// A default without functions and operators.
fn is_plain(default: &str) -> bool {
    let found = tokens(default).unwrap_or_default();
    match found.as_slice() {
        [only] => {
            matches!(only.kind, Kind::Text(_) | Kind::Number(_))
                || ["null", "true", "false"].iter().any(|word| only.is_word(word))
        }
        _ => false,
    }
}

fn check_expression(connection: &Connection, policy: &Policy, expression: &str) -> Result<()> {
    let sql = format!("SELECT (\n{expression}\n)");
    let verdict = check(connection.instance(), policy.ordinary(), &sql, &[], &[])?;
    if verdict.kind != VerdictKind::Select || !verdict.relations.is_empty() {
        return Err(not_allowed("it holds an expression that reads a table"));
    }
    Ok(())
}

/// Within the views and defaults of a lake, DuckDB looks for functions in the lake first, also for
/// those behind operators, brackets and the like. A macro that has the name of such a function
/// is a way around the list of functions; one of another name is not on the list. That holds for views read by AT as well: their functions are today's.
///
/// # Errors
/// [`ErrorKind::NotAllowed`] naming such a macro; DuckDB's own, when the lake cannot be read.
pub(super) fn check_macros(connection: &Connection, lake: &str) -> Result<()> {
    let sql = "SELECT DISTINCT function_name FROM duckdb_functions() \
               WHERE database_name = CAST($1 AS VARCHAR)";
    let macros = texts(connection, sql, &[Value::Varchar(lake.to_owned())])?;
    match macros.iter().flatten().find(|name| functions::is_duckdbs(name)) {
        Some(name) => Err(not_allowed(format!(
            "its macro \"{}\" takes the place of DuckDB's function",
            name.escape_debug()
        ))),
        None => Ok(()),
    }
}
