//! Iceberg and Delta tables: what their logs and manifests say is looked at before DuckDB's
//! extensions read it. DuckDB 1.5.5 ends the process, and with it every session of the server, at a
//! manifest that cannot be read, at a schema that is not there, and at an inline deletion vector that
//! is empty; and Delta's own client opens files past DuckDB's fence.
//!
//! A look counts for a short time, so that planning and execution pay for one. What changes between
//! the look and the reader's own is not seen.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::functions::{self, TableFunction};
use super::json::Item;
use super::lexer::{Kind, Token, tokens};
use super::views::texts;
use super::{Policy, delta, iceberg, not_allowed, shown};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::location;
use crate::open::Extension;
use crate::quote::{identifier, literal};

/// How long a table that was found sound counts as such.
const LOOK_COUNTS_FOR: Duration = Duration::from_millis(250);
const KEPT_LOOKS: usize = 256;
/// Larger files of metadata, and JSON nested more deeply, are refused.
pub(super) const MAX_METADATA_BYTES: u64 = 256 << 20;
pub(super) const MAX_JSON_DEPTH: usize = 500;

/// Named arguments, in lower case, with their values as SQL.
pub type Options = Vec<(String, String)>;

/// When a table was found sound, and which of its columns must be guarded.
pub(super) type KnownLook = (Instant, Vec<String>);

/// A table in files that name other files, as a statement reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTable {
    /// The function, in lower case.
    pub reader: String,
    pub path: String,
    pub options: Options,
    /// Where the function's name begins in the statement, in characters.
    pub at: usize,
    /// Whether the statement gives it another name.
    pub is_renamed: bool,
}

impl LogTable {
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A text given as a plain string.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = self.option(name)?;
        let inner = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        Some(inner.map_or_else(|| value.to_owned(), |inner| inner.replace("''", "'")))
    }

    fn is_delta(&self) -> bool {
        self.reader.starts_with("delta")
    }
}

/// The statement with the columns by whose statistics or partitions DuckDB would leave out rows that a
/// condition finds put behind a function that does not change them: conditions on such a column are
/// then checked row by row (docs/upstream.md). `guards` are the columns of each table.
///
/// # Errors
/// [`ErrorKind::NotSupported`] for a form that cannot be rewritten.
pub(super) fn guarded(sql: &str, tables: &[LogTable], guards: &[Vec<String>]) -> Result<String> {
    let mut calls: Vec<_> = tables.iter().zip(guards).filter(|(_, g)| !g.is_empty()).collect();
    calls.sort_by_key(|(table, _)| std::cmp::Reverse(table.at));
    let all = tokens(sql)?;
    let mut sql = sql.to_owned();
    for (table, columns) in calls {
        let unknown = || {
            Error::new(
                ErrorKind::NotSupported,
                format!("{} cannot be called in this form here", table.reader),
            )
        };
        let start = sql.char_indices().nth(table.at).map(|(at, _)| at).ok_or_else(unknown)?;
        let first = all.iter().position(|token| token.start == start).ok_or_else(unknown)?;
        let end = closing(&all[first..]).ok_or_else(unknown)?;
        let items: Vec<_> = columns
            .iter()
            .map(|name| {
                let name = identifier(name);
                format!("greatest({name}, {name}) AS {name}")
            })
            .collect();
        let name = if table.is_renamed { String::new() } else { format!(" AS {}", table.reader) };
        sql = format!(
            "{}(SELECT * REPLACE ({}) FROM {}){name}{}",
            &sql[..start],
            items.join(", "),
            &sql[start..end],
            &sql[end..]
        );
    }
    Ok(sql)
}

/// The tables that the text of a role without the sandbox reads: what no tree is made of is taken token
/// by token.
///
/// # Errors
/// [`ErrorKind::NotAllowed`] for a call whose arguments are no constants.
pub(super) fn named_in(sql: &str) -> Result<Vec<LogTable>> {
    let all = tokens(sql)?;
    let mut found = vec![];
    for (at, token) in all.iter().enumerate() {
        let reader = token.name().unwrap_or_default().to_ascii_lowercase();
        let reads = matches!(
            functions::table_function(&reader),
            Some(TableFunction::Reader(Some(Extension::Iceberg | Extension::Delta)))
        );
        if !reads || !all.get(at + 1).is_some_and(|next| next.is_symbol('(')) {
            continue;
        }
        let call = CallReader { tokens: &all, at: at + 2 };
        let (path, options, end) = call
            .read()
            .ok_or_else(|| not_allowed(format!("the arguments of {reader} must be constants")))?;
        let is_renamed = all.get(end).is_some_and(|next| match &next.kind {
            Kind::Quoted(_) => true,
            Kind::Word(_) => !BEHIND_A_TABLE.iter().any(|word| next.is_word(word)),
            _ => false,
        });
        let at = sql[..token.start].chars().count();
        found.push(LogTable { reader, path, options, at, is_renamed });
    }
    Ok(found)
}

/// Words that may follow a table that has no other name.
const BEHIND_A_TABLE: &[&str] = &[
    "anti",
    "asof",
    "cross",
    "except",
    "full",
    "group",
    "having",
    "inner",
    "intersect",
    "join",
    "left",
    "limit",
    "natural",
    "offset",
    "on",
    "order",
    "outer",
    "pivot",
    "positional",
    "qualify",
    "returning",
    "right",
    "select",
    "semi",
    "set",
    "tablesample",
    "union",
    "unpivot",
    "using",
    "when",
    "where",
    "window",
];

/// Reads the constant arguments of a call.
struct CallReader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl CallReader<'_> {
    fn symbol(&mut self, symbol: char) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|token| token.is_symbol(symbol));
        self.at += usize::from(found);
        found
    }

    /// The path, the options, and the number of the token behind the call.
    fn read(mut self) -> Option<(String, Options, usize)> {
        let Kind::Text(path) = &self.tokens.get(self.at)?.kind else { return None };
        self.at += 1;
        let mut options = vec![];
        while self.symbol(',') {
            let name = self.tokens.get(self.at)?.name()?.to_ascii_lowercase();
            self.at += 1;
            // `:=`, `=>` or `=`.
            let _ = self.symbol(':');
            if !self.symbol('=') {
                return None;
            }
            let _ = self.symbol('>');
            options.push((name, self.value()?));
        }
        self.symbol(')').then_some((path.clone(), options, self.at))
    }

    fn value(&mut self) -> Option<String> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        match &token.kind {
            Kind::Text(text) => Some(literal(text)),
            Kind::Number(number) => Some(number.clone()),
            Kind::Word(word) if token.is_word("true") || token.is_word("false") => {
                Some(word.to_ascii_lowercase())
            }
            Kind::Word(_) if token.is_word("timestamp") => {
                let Kind::Text(text) = &self.tokens.get(self.at)?.kind else { return None };
                self.at += 1;
                Some(format!("CAST({} AS TIMESTAMP)", literal(text)))
            }
            _ => None,
        }
    }
}

/// Where the call ends whose name the tokens begin with.
fn closing(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0_u32;
    for token in tokens {
        match token.kind {
            Kind::Symbol('(') => depth += 1,
            Kind::Symbol(')') if depth == 1 => return Some(token.end),
            Kind::Symbol(')') => depth = depth.checked_sub(1)?,
            Kind::Symbol('.') | Kind::Word(_) | Kind::Quoted(_) => {}
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Looks at the tables that a statement reads. Returns for each the columns that must be guarded; see
/// [`guarded`].
///
/// # Errors
/// [`ErrorKind::NotAllowed`] for a file outside the role's locations; [`ErrorKind::InvalidInput`] for
/// one that is damaged; [`ErrorKind::NotSupported`] for one that this DuckDB cannot read; DuckDB's own.
pub fn look_at(
    connection: &Connection,
    policy: &Policy,
    tables: &[LogTable],
) -> Result<Vec<Vec<String>>> {
    let mut all = vec![];
    for table in tables {
        let key = format!("{} {:?} {:?}", table.reader, table.path, table.options);
        let known = policy.looks.lock().get(key.as_str()).cloned();
        if let Some((seen, guards)) = known
            && seen.elapsed() < LOOK_COUNTS_FOR
        {
            all.push(guards);
            continue;
        }
        // A connection of its own: what fails here must not end the statement's transaction.
        let look = Look { connection: Connection::new(connection.instance())?, policy };
        look.connection.take_paths_literally(policy.is_remote)?;
        let guards = if table.is_delta() {
            delta::look(&look, table)?
        } else {
            iceberg::look(&look, table)?
        };
        let mut looks = policy.looks.lock();
        if looks.len() >= KEPT_LOOKS {
            looks.clear();
        }
        looks.insert(key.into(), (Instant::now(), guards.clone()));
        all.push(guards);
    }
    Ok(all)
}

/// What a look is made with.
pub(super) struct Look<'a> {
    pub connection: Connection,
    pub policy: &'a Policy,
}

impl Look<'_> {
    /// The rows of a query of our own whose columns are all text.
    pub fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        texts(&self.connection, sql, &[]).map_err(|error| error.without_line(sql))
    }

    /// What an error in reading a table's metadata means: that it is damaged, unless it cannot be read
    /// at all. An instance that it has broken is noted as such.
    pub fn unsound(&self, table: &LogTable, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Io
            | ErrorKind::Http
            | ErrorKind::Permission
            | ErrorKind::Interrupt
            | ErrorKind::OutOfMemory
            | ErrorKind::NotImplemented
            | ErrorKind::MissingExtension => error,
            _ => {
                self.connection.instance().note_error(&error);
                damaged(table, error.message())
            }
        }
    }

    /// A path of a file as an argument of a reader that takes patterns.
    pub fn argument(&self, path: &str) -> String {
        // In object stores patterns are switched off for this connection; web servers have none.
        if path.contains("://") && !path.starts_with("file://") {
            return literal(path);
        }
        let escaped: String = path
            .chars()
            .map(|c| if matches!(c, '*' | '?' | '[') { format!("[{c}]") } else { c.to_string() })
            .collect();
        literal(&escaped)
    }

    /// The content of a small text file, if it can be read.
    pub fn text_of(&self, path: &str) -> Option<String> {
        let sql = format!(
            "SELECT content FROM read_text({}) WHERE size < {MAX_METADATA_BYTES}",
            self.argument(path)
        );
        self.rows(&sql).ok()?.into_iter().flatten().next()
    }

    pub fn exists(&self, path: &str) -> bool {
        let sql = format!("SELECT CAST(size AS VARCHAR) FROM read_blob({})", self.argument(path));
        self.rows(&sql).is_ok_and(|rows| !rows.is_empty())
    }

    /// The names and types of a table's columns, as the statement will have them.
    pub fn columns(&self, table: &LogTable) -> Result<Vec<(String, String)>> {
        let mut call = format!("{}({}", table.reader, literal(&table.path));
        for (name, value) in &table.options {
            call.push_str(&format!(", {name} = {value}"));
        }
        let sql = format!("SELECT column_name, column_type FROM (DESCRIBE FROM {call}))");
        let rows = self.rows(&sql)?.into_iter();
        let pairs = rows.filter_map(|row| <[_; 2]>::try_from(row).ok());
        Ok(pairs.map(|[name, kind]| (name, kind)).collect())
    }

    /// The files below a folder, by a pattern within it.
    pub fn list(&self, folder: &str, pattern: &str) -> Result<Vec<String>> {
        self.connection.take_paths_literally(false)?;
        let folder: String = folder
            .chars()
            .map(|c| if matches!(c, '*' | '?' | '[') { format!("[{c}]") } else { c.to_string() })
            .collect();
        let sql = format!("SELECT file FROM glob({})", literal(&format!("{folder}/{pattern}")));
        let found = self.rows(&sql);
        self.connection.take_paths_literally(self.policy.is_remote)?;
        Ok(found?.into_iter().flatten().collect())
    }

    /// Checks a place that a table's log names.
    pub fn check_place(&self, table: &LogTable, path: &str) -> Result<()> {
        let plain = path.strip_prefix("file://").unwrap_or(path);
        if let Some(fault) = location::fault(plain) {
            return Err(not_allowed(format!(
                "table \"{}\" names the file \"{}\", which is not allowed: {fault}",
                shown(&table.path),
                shown(path)
            )));
        }
        if !self.policy.sandboxed {
            return Ok(());
        }
        self.policy.check_read(plain).map_err(|_| outside(table, path))?;
        if plain.contains("://") || self.policy.leads_to_location(Path::new(plain)) {
            return Ok(());
        }
        Err(outside(table, path))
    }
}

fn outside(table: &LogTable, path: &str) -> Error {
    not_allowed(format!(
        "table \"{}\" names the file \"{}\", which lies outside the locations of the role's servers",
        shown(&table.path),
        shown(path)
    ))
}

pub(super) fn damaged(table: &LogTable, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("Corrupt table \"{}\": {what}", shown(&table.path)))
}

/// Whether a schema of Iceberg's or Delta's has a type that DuckDB has not but takes for granted: a struct
/// without fields, the table's own included, or a decimal of more than 38 digits.
pub(super) fn is_unsound(schema: Item<'_, '_>) -> bool {
    let mut types = vec![schema];
    while let Some(kind) = types.pop() {
        let digits = kind.as_text().and_then(|text| text.strip_prefix("decimal("));
        if let Some((digits, _)) = digits.and_then(|rest| rest.split_once(','))
            && !digits.trim().parse::<u8>().is_ok_and(|digits| (1..=38).contains(&digits))
        {
            return true;
        }
        match kind.text("type") {
            Some("struct") => {
                let before = types.len();
                let fields = kind.get("fields").into_iter().flat_map(Item::children);
                types.extend(fields.map(|field| field.get("type").unwrap_or(field)));
                if types.len() == before {
                    return true;
                }
            }
            Some("array" | "list" | "map") => {
                let inner = ["element", "elementType", "key", "keyType", "value", "valueType"];
                types.extend(inner.iter().filter_map(|name| kind.get(name)));
            }
            _ => {}
        }
    }
    false
}

impl Policy {
    /// Whether a local file lies in one of the role's locations when symbolic links are followed. One
    /// that is not there does.
    pub(super) fn leads_to_location(&self, path: &Path) -> bool {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return true,
            Err(_) => return false,
        };
        let local = self.readable.iter().filter(|location| !location.contains("://"));
        local
            .map(|location| {
                Path::new(location).canonicalize().unwrap_or_else(|_| PathBuf::from(location))
            })
            .any(|location| real.starts_with(location))
    }
}

/// How deep brackets are nested in a JSON text, those within strings apart.
pub(super) fn json_depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_in_a_text_that_has_no_tree() {
        let sql = "CREATE TABLE é AS FROM iceberg_scan('a''b', version = '?', allow_moved_paths => true) t \
                   JOIN \"DELTA_SCAN\"('d', version := 3) WHERE x";
        let found = named_in(sql).unwrap();
        let options: Vec<_> = found.iter().flat_map(|table| &table.options).collect();
        assert_eq!(
            options.iter().map(|(n, v)| format!("{n} {v}")).collect::<Vec<_>>(),
            ["version '?'", "allow_moved_paths true", "version 3"]
        );
        assert_eq!((found[0].path.as_str(), found[0].is_renamed), ("a'b", true));
        assert_eq!((found[1].reader.as_str(), found[1].is_renamed), ("delta_scan", false));
        let guards = [vec!["t".to_owned()], vec!["D".to_owned(), "e".to_owned()]];
        assert_eq!(
            guarded(sql, &found, &guards).unwrap(),
            "CREATE TABLE é AS FROM (SELECT * REPLACE (greatest(\"t\", \"t\") AS \"t\") FROM \
             iceberg_scan('a''b', version = '?', allow_moved_paths => true)) t JOIN (SELECT * REPLACE \
             (greatest(\"D\", \"D\") AS \"D\", greatest(\"e\", \"e\") AS \"e\") FROM \"DELTA_SCAN\"('d', \
             version := 3)) AS delta_scan WHERE x"
        );
        for sql in [
            "FROM iceberg_scan(x)",
            "FROM delta_scan('a' || 'b')",
            "FROM delta_scan('a', b = now())",
        ] {
            assert_eq!(named_in(sql).unwrap_err().kind(), ErrorKind::NotAllowed, "{sql}");
        }
    }

    #[test]
    fn depth_is_that_of_brackets_outside_of_strings() {
        assert_eq!(json_depth(r#"{"a": [1, {"b": "[[[\"[["}]}"#), 3);
        assert_eq!(json_depth(r#"["\\", [[]]]"#), 3);
        assert_eq!(json_depth(&"[".repeat(1_000_000)), 1_000_000);
    }

    #[test]
    fn schemas_that_duckdb_cannot_hold_are_found() {
        let lacks =
            |schema: &str| is_unsound(super::super::json::Document::parse(schema).unwrap().root());
        for schema in [
            r#"{"type": "struct", "fields": []}"#,
            r#"{"type": "struct"}"#,
            r#"{"type": "struct", "fields": [{"name": "a", "type": "decimal(39, 2)"}]}"#,
            r#"{"type": "struct", "fields": [{"name": "a", "type": "decimal(x,2)"}]}"#,
            r#"{"type": "struct", "fields": [{"name": "a", "type": {"type": "struct", "fields": []}}]}"#,
            r#"{"type": "struct", "fields": [{"name": "a", "type":
                {"type": "array", "elementType": {"type": "struct", "fields": []}}}]}"#,
            r#"{"type": "struct", "fields": [{"name": "a", "type":
                {"type": "map", "key": "int", "value": {"type": "struct", "fields": []}}}]}"#,
        ] {
            assert!(lacks(schema), "{schema}");
        }
        for schema in [
            r#"{"type": "struct", "fields": [{"name": "a", "type": "long"}]}"#,
            r#"{"type": "struct", "fields": [{"name": "a", "type": "decimal(38,2)"}]}"#,
            r#"{"type": "struct", "fields": [{"name": "struct", "type": {"type": "struct", "fields":
                [{"name": "b", "type": "struct"}]}}]}"#,
            "{}",
        ] {
            assert!(!lacks(schema), "{schema}");
        }
    }
}
