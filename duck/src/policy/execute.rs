//! Statements without rows. DuckDB writes down the tree of SELECTs only, so the outer statement of
//! an ordinary role is read here, strictly, and built anew from parts that were checked: names and
//! options are quoted again, and the SELECT inside has passed [`check_query`].

use super::lexer::{Kind, Token, tokens};
use super::{Policy, VerdictKind, check_listing, check_query, functions, not_allowed};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::quote::{identifier, literal};
use crate::value::Value;

const ALLOWED: &str = "ordinary roles may run COPY … TO a writable server, CREATE TABLE … AS, \
                       INSERT INTO … SELECT and DROP TABLE, the last three on tables of the session";

/// The options of COPY TO. Not among them: options that name other files or databases, and
/// `hive_file_pattern`, which would let a column's value become a bare path segment.
const COPY_OPTIONS: &[&str] = &[
    "append",
    "array",
    "chunk_size",
    "codec",
    "compression",
    "compression_level",
    "dateformat",
    "delim",
    "delimiter",
    "dictionary_compression_ratio_threshold",
    "dictionary_size_limit",
    "escape",
    "field_ids",
    "file_extension",
    "file_size_bytes",
    "filename_pattern",
    "force_quote",
    "format",
    "geoparquet_version",
    "header",
    "kv_metadata",
    "null",
    "nullstr",
    "overwrite",
    "overwrite_or_ignore",
    "parquet_version",
    "partition_by",
    "per_thread_output",
    "prefix",
    "preserve_order",
    "quote",
    "return_files",
    "row_group_size",
    "row_group_size_bytes",
    "row_groups_per_file",
    "sep",
    "sheet",
    "sheet_row_limit",
    "string_dictionary_page_size_limit",
    "suffix",
    "timestampformat",
    "use_tmp_file",
    "write_bloom_filter",
    "bloom_filter_false_positive_ratio",
    "write_empty_file",
    "write_partition_columns",
];
const COPY_FORMATS: &[&str] = &["csv", "json", "parquet", "xlsx"];
/// Options that become part of a file's name.
const NAME_OPTIONS: &[&str] = &["file_extension", "filename_pattern"];

/// Checks a statement for `duckdb.execute` and returns the text to run. A role without the sandbox
/// gets its own text back; an ordinary role a text made of checked parts.
///
/// # Errors
/// [`ErrorKind::NotAllowed`] for every statement that is not one of the allowed forms; the errors
/// of [`check_query`] for the SELECT within.
pub fn check_execute(
    connection: &Connection,
    policy: &Policy,
    sql: &str,
    parameters: &[Value],
) -> Result<String> {
    if !policy.is_sandboxed() {
        return Ok(sql.to_owned());
    }
    let all = tokens(sql)?;
    let mut end = all.len();
    while end > 0 && all[end - 1].is_symbol(';') {
        end -= 1;
    }
    let tokens = &all[..end];
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
        return Err(Error::new(ErrorKind::StatementCount, "there is no statement"));
    };
    let mut outer = Outer { connection, policy, parameters, sql, tokens, at: 1, end: last.end };
    let Kind::Word(word) = &first.kind else {
        return Err(not_allowed(ALLOWED));
    };
    match word.to_ascii_lowercase().as_str() {
        "copy" => outer.copy(),
        "create" => outer.create(),
        "insert" => outer.insert(),
        "drop" => outer.drop(),
        _ => Err(not_allowed(ALLOWED)),
    }
}

struct Outer<'a> {
    connection: &'a Connection,
    policy: &'a Policy,
    parameters: &'a [Value],
    sql: &'a str,
    tokens: &'a [Token],
    /// The next token.
    at: usize,
    /// The end of the last token, in bytes.
    end: usize,
}

impl<'a> Outer<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is_word(word));
        self.at += usize::from(found);
        found
    }

    fn symbol(&mut self, symbol: char) -> bool {
        let found = self.peek().is_some_and(|token| token.is_symbol(symbol));
        self.at += usize::from(found);
        found
    }

    fn must(&self, found: bool) -> Result<()> {
        if found { Ok(()) } else { Err(self.unexpected()) }
    }

    fn must_word(&mut self, word: &str) -> Result<()> {
        let found = self.word(word);
        self.must(found)
    }

    fn must_symbol(&mut self, symbol: char) -> Result<()> {
        let found = self.symbol(symbol);
        self.must(found)
    }

    /// What stands here is not part of an allowed form.
    fn unexpected(&self) -> Error {
        let place = self.peek().map_or("end of statement".to_owned(), |token| {
            let text: String = self.sql[token.start..token.end].chars().take(40).collect();
            format!("\"{}\"", text.escape_debug())
        });
        not_allowed(format!("not allowed at {place}: {ALLOWED}"))
    }

    fn finish(&self) -> Result<()> {
        self.must(self.at == self.tokens.len())
    }

    fn name(&mut self) -> Result<String> {
        let name = match self.peek().map(|token| &token.kind) {
            Some(Kind::Word(text) | Kind::Quoted(text)) => text.clone(),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(name)
    }

    /// The name of a table of the session, quoted.
    fn table(&mut self) -> Result<String> {
        let first = self.name()?;
        let parts = if self.symbol('.') { vec![first, self.name()?] } else { vec![first] };
        self.must(!self.peek().is_some_and(|token| token.is_symbol('.')))?;
        if let [schema, _] = parts.as_slice()
            && !["main", "temp"].iter().any(|open| schema.eq_ignore_ascii_case(open))
        {
            return Err(not_allowed(format!(
                "permission denied for schema \"{}\"",
                schema.escape_debug()
            )));
        }
        let full = parts.join(".");
        let table = parts.last().map_or("", String::as_str);
        if functions::is_path_like(&full, parts.len() > 1)
            || functions::system_view(table) == Some(false)
        {
            return Err(not_allowed(format!(
                "permission denied for table name \"{}\"",
                full.escape_debug()
            )));
        }
        Ok(parts.iter().map(|part| identifier(part)).collect::<Vec<_>>().join("."))
    }

    /// The SELECT between two places in the text, checked, in parentheses. The newline ends a
    /// comment.
    fn select(&self, from: usize, to: usize) -> Result<String> {
        let inner = &self.sql[from..to];
        let verdict = check_query(self.connection, self.policy, inner, self.parameters)?;
        if verdict.kind != VerdictKind::Select {
            return Err(self.unexpected());
        }
        for pattern in &verdict.patterns {
            check_listing(self.connection, self.policy, pattern)?;
        }
        Ok(format!("({inner}\n)"))
    }

    /// The SELECT from here to the end.
    fn select_to_end(&self) -> Result<String> {
        match self.peek() {
            Some(token) => self.select(token.start, self.end),
            None => Err(self.unexpected()),
        }
    }

    fn create(&mut self) -> Result<String> {
        let mut sql = String::from("CREATE ");
        if self.word("or") {
            self.must_word("replace")?;
            sql.push_str("OR REPLACE ");
        }
        // A temporary table would end with this call's connection; all others end with the instance.
        let _ = self.word("temp") || self.word("temporary");
        self.must_word("table")?;
        sql.push_str("TABLE ");
        if self.word("if") {
            self.must_word("not")?;
            self.must_word("exists")?;
            sql.push_str("IF NOT EXISTS ");
        }
        sql.push_str(&self.table()?);
        self.must_word("as")?;
        Ok(format!("{sql} AS {}", self.select_to_end()?))
    }

    fn insert(&mut self) -> Result<String> {
        self.must_word("into")?;
        let mut sql = format!("INSERT INTO {} ", self.table()?);
        let starts_query = |token: &Token| {
            token.is_symbol('(')
                || ["select", "from", "with", "values", "table"].iter().any(|w| token.is_word(w))
        };
        let columns = self.peek().is_some_and(|token| token.is_symbol('('))
            && !self.tokens.get(self.at + 1).is_some_and(starts_query);
        if columns {
            sql.push_str(&format!("({}) ", self.names()?));
        }
        Ok(sql + &self.select_to_end()?)
    }

    /// The names in `(a, "b")`, quoted.
    fn names(&mut self) -> Result<String> {
        self.must_symbol('(')?;
        let mut names = vec![identifier(&self.name()?)];
        while self.symbol(',') {
            names.push(identifier(&self.name()?));
        }
        self.must_symbol(')')?;
        Ok(names.join(", "))
    }

    fn drop(&mut self) -> Result<String> {
        self.must_word("table")?;
        let mut sql = String::from("DROP TABLE ");
        if self.word("if") {
            self.must_word("exists")?;
            sql.push_str("IF EXISTS ");
        }
        sql.push_str(&self.table()?);
        self.finish()?;
        Ok(sql)
    }

    fn copy(&mut self) -> Result<String> {
        let select = if self.symbol('(') {
            let from = self.peek().map_or(self.end, |token| token.start);
            let to = self.skip_to_closing()?;
            self.select(from, to)?
        } else {
            let table = self.table()?;
            let columns = if self.peek().is_some_and(|token| token.is_symbol('(')) {
                self.names()?
            } else {
                "*".to_owned()
            };
            let inner = format!("SELECT {columns} FROM {table}");
            check_query(self.connection, self.policy, &inner, self.parameters)?;
            format!("({inner})")
        };
        self.must_word("to")?;
        let Some(Kind::Text(path)) = self.peek().map(|token| &token.kind) else {
            return Err(not_allowed("the target of COPY must be a string constant"));
        };
        self.policy.check_write(path)?;
        self.at += 1;
        let with = self.word("with");
        let options =
            if with || self.peek().is_some() { self.copy_options()? } else { String::new() };
        self.finish()?;
        if options.contains("overwrite") && path.contains("://") {
            // What is overwritten is listed and deleted, key by key.
            let below = format!("{}/**", path.trim_end_matches('/'));
            match check_listing(self.connection, self.policy, &below) {
                // Nothing can be written there either.
                Err(error) if error.kind() == ErrorKind::MissingExtension => {}
                checked => checked?,
            }
        }
        Ok(format!("COPY {select} TO {}{options}", literal(path)))
    }

    /// Goes behind the parenthesis that closes the open one; returns where it stands.
    fn skip_to_closing(&mut self) -> Result<usize> {
        let mut depth = 1_u32;
        while let Some(token) = self.peek() {
            self.at += 1;
            match token.kind {
                Kind::Symbol('(') => depth += 1,
                Kind::Symbol(')') if depth == 1 => return Ok(token.start),
                Kind::Symbol(')') => depth -= 1,
                _ => {}
            }
        }
        Err(self.unexpected())
    }

    fn copy_options(&mut self) -> Result<String> {
        self.must_symbol('(')?;
        let mut options = Vec::new();
        loop {
            let name = self.name()?.to_ascii_lowercase();
            if !COPY_OPTIONS.contains(&name.as_str()) {
                return Err(not_allowed(format!(
                    "permission denied for COPY option \"{}\"",
                    name.escape_debug()
                )));
            }
            options.push(format!("{name}{}", self.copy_value(&name)?));
            if !self.symbol(',') {
                break;
            }
        }
        self.must_symbol(')')?;
        Ok(format!(" ({})", options.join(", ")))
    }

    /// The value of an option, with a blank before it; nothing for an option without one.
    fn copy_value(&mut self, option: &str) -> Result<String> {
        let mut value = String::new();
        let mut open = Vec::new();
        while let Some(token) = self.peek() {
            let ends = token.is_symbol(',') || token.is_symbol(')');
            if ends && open.is_empty() {
                break;
            }
            let text = match &token.kind {
                Kind::Word(word) => {
                    self.check_copy_word(option, word)?;
                    word.clone()
                }
                Kind::Text(text) => {
                    self.check_copy_word(option, text)?;
                    literal(text)
                }
                Kind::Quoted(name) => {
                    self.check_copy_word(option, name)?;
                    identifier(name)
                }
                Kind::Number(number) => number.clone(),
                Kind::Symbol(symbol @ ('(' | '{' | '[')) => {
                    open.push(match symbol {
                        '(' => ')',
                        '{' => '}',
                        _ => ']',
                    });
                    symbol.to_string()
                }
                Kind::Symbol(symbol @ (')' | '}' | ']')) if open.last() == Some(symbol) => {
                    open.pop();
                    symbol.to_string()
                }
                Kind::Symbol(symbol @ (',' | ':')) if !open.is_empty() => symbol.to_string(),
                Kind::Symbol(symbol @ ('*' | '-')) => symbol.to_string(),
                Kind::Symbol(_) | Kind::Other => return Err(self.unexpected()),
            };
            self.at += 1;
            value.push(' ');
            value.push_str(&text);
        }
        self.must(open.is_empty())?;
        Ok(value)
    }

    fn check_copy_word(&self, option: &str, word: &str) -> Result<()> {
        let format = COPY_FORMATS.iter().any(|format| word.eq_ignore_ascii_case(format));
        if option == "format" && !format {
            return Err(not_allowed(format!(
                "permission denied for COPY format \"{}\"",
                word.escape_debug()
            )));
        }
        let climbs = word.contains(['/', '\\', '?', '#']) || word.contains("..");
        if NAME_OPTIONS.contains(&option) && (climbs || word.chars().any(char::is_control)) {
            return Err(not_allowed(format!(
                "COPY option \"{option}\" must not hold slashes, \"..\", \"?\" or \"#\""
            )));
        }
        Ok(())
    }
}
