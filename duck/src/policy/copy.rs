//! COPY … TO of an ordinary role: the options that are let through.

use super::lexer::Kind;
use super::outer::Outer;
use super::{check_listing, not_allowed};
use crate::error::{Error, ErrorKind, Result};
use crate::quote::{identifier, literal};

/// What the value of an option may be: a literal each time, since DuckDB takes any expression there
/// and runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Boolean,
    Number,
    /// A number, or a text such as `'100MB'`.
    Size,
    Text,
    /// A text that becomes part of a file's name.
    Name,
    Format,
    /// Names of columns: `*`, one, or several in brackets.
    Columns,
    /// Literals, and lists and structs of them.
    Nested,
}

/// The options of COPY TO. Not among them: options that name other files or databases, and
/// `hive_file_pattern`, which would let a column's value become a bare path segment.
const COPY_OPTIONS: &[(&str, Value)] = &[
    ("append", Value::Boolean),
    ("array", Value::Boolean),
    ("bloom_filter_false_positive_ratio", Value::Number),
    ("chunk_size", Value::Number),
    ("codec", Value::Text),
    ("compression", Value::Text),
    ("compression_level", Value::Number),
    ("dateformat", Value::Text),
    ("delim", Value::Text),
    ("delimiter", Value::Text),
    ("dictionary_compression_ratio_threshold", Value::Number),
    ("dictionary_size_limit", Value::Number),
    ("escape", Value::Text),
    ("field_ids", Value::Nested),
    ("file_extension", Value::Name),
    ("file_size_bytes", Value::Size),
    ("filename_pattern", Value::Name),
    ("force_quote", Value::Columns),
    ("format", Value::Format),
    ("geoparquet_version", Value::Text),
    ("header", Value::Boolean),
    ("kv_metadata", Value::Nested),
    ("null", Value::Text),
    ("nullstr", Value::Text),
    ("overwrite", Value::Boolean),
    ("overwrite_or_ignore", Value::Boolean),
    ("parquet_version", Value::Text),
    ("partition_by", Value::Columns),
    ("per_thread_output", Value::Boolean),
    ("prefix", Value::Text),
    ("preserve_order", Value::Boolean),
    ("quote", Value::Text),
    ("return_files", Value::Boolean),
    ("row_group_size", Value::Number),
    ("row_group_size_bytes", Value::Size),
    ("row_groups_per_file", Value::Number),
    ("sep", Value::Text),
    ("sheet", Value::Text),
    ("sheet_row_limit", Value::Number),
    ("string_dictionary_page_size_limit", Value::Number),
    ("suffix", Value::Text),
    ("timestampformat", Value::Text),
    ("use_tmp_file", Value::Boolean),
    ("write_bloom_filter", Value::Boolean),
    ("write_empty_file", Value::Boolean),
    ("write_partition_columns", Value::Boolean),
];
const COPY_FORMATS: &[&str] = &["csv", "json", "parquet", "xlsx"];
/// Lists and structs in the value of an option that are nested deeper are refused.
const MAX_NESTING: u32 = 32;

impl Outer<'_> {
    pub(super) fn copy(&mut self) -> Result<String> {
        let select = if self.symbol('(') {
            let from = self.peek().map_or(self.end, |token| token.start);
            let to = self.skip_to_closing()?;
            self.select(from, to)?
        } else {
            let table = self.readable_table()?;
            let columns = if self.peek().is_some_and(|token| token.is_symbol('(')) {
                self.names()?
            } else {
                "*".to_owned()
            };
            let inner = format!("SELECT {columns} FROM {table}");
            self.checked(&inner)?
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

    fn copy_options(&mut self) -> Result<String> {
        self.must_symbol('(')?;
        let mut options = Vec::new();
        loop {
            let name = self.name()?.to_ascii_lowercase();
            let known = COPY_OPTIONS.iter().find(|(known, _)| *known == name);
            let Some((name, kind)) = known else {
                return Err(not_allowed(format!(
                    "permission denied for COPY option \"{}\"",
                    name.escape_debug()
                )));
            };
            // An option without a value is one that is switched on.
            let bare = self.peek().is_none_or(|t| t.is_symbol(',') || t.is_symbol(')'));
            let value = if bare { String::new() } else { self.copy_value(name, *kind)? };
            options.push(format!("{name}{value}"));
            if !self.symbol(',') {
                break;
            }
        }
        self.must_symbol(')')?;
        Ok(format!(" ({})", options.join(", ")))
    }

    /// The value of an option, written anew with a blank before it.
    fn copy_value(&mut self, option: &str, kind: Value) -> Result<String> {
        let value = match kind {
            Value::Boolean => match self.option_text() {
                Some(word) if is_boolean(&word) => word.to_ascii_lowercase(),
                Some(_) => return Err(wrong_value(option, "true or false")),
                None => match self.copy_number(option)? {
                    digit if digit == "0" || digit == "1" => digit,
                    _ => return Err(wrong_value(option, "true or false")),
                },
            },
            Value::Number => self.copy_number(option)?,
            Value::Size => match self.option_text() {
                Some(text) => literal(&text),
                None => self.copy_number(option)?,
            },
            Value::Text => match self.option_text() {
                Some(text) => literal(&text),
                // `PARQUET_VERSION 2`.
                None => literal(&self.copy_number(option)?),
            },
            Value::Name => {
                let text = self.option_text().unwrap_or_default();
                if !is_harmless_name(&text) {
                    return Err(wrong_value(
                        option,
                        "a string of letters, digits, \"_\", \"-\", \".\" (not two in a row), and \
                         \"{i}\", \"{uuid}\", \"{uuidv4}\", \"{uuidv7}\"",
                    ));
                }
                literal(&text)
            }
            Value::Format => {
                let text = self.option_text().unwrap_or_default();
                if !COPY_FORMATS.iter().any(|format| text.eq_ignore_ascii_case(format)) {
                    return Err(not_allowed(format!(
                        "permission denied for COPY format \"{}\"",
                        text.escape_debug()
                    )));
                }
                text.to_ascii_lowercase()
            }
            Value::Columns => self.copy_columns(option)?,
            Value::Nested => self.copy_nested(option, 0)?,
        };
        // Nothing is left of an expression.
        let ends = self.peek().is_none_or(|t| t.is_symbol(',') || t.is_symbol(')'));
        if !ends {
            return Err(not_a_literal(option));
        }
        Ok(format!(" {value}"))
    }

    /// The text of a string or a word.
    fn option_text(&mut self) -> Option<String> {
        let text = match &self.peek()?.kind {
            Kind::Word(text) | Kind::Quoted(text) | Kind::Text(text) => text.clone(),
            _ => return None,
        };
        self.at += 1;
        Some(text)
    }

    fn copy_number(&mut self, option: &str) -> Result<String> {
        let minus = if self.symbol('-') { "-" } else { "" };
        let number = match self.peek().map(|token| &token.kind) {
            Some(Kind::Number(number)) => format!("{minus}{number}"),
            Some(Kind::Text(text))
                if minus.is_empty() && text.parse::<f64>().is_ok_and(f64::is_finite) =>
            {
                text.clone()
            }
            _ => return Err(wrong_value(option, "a number")),
        };
        self.at += 1;
        Ok(number)
    }

    fn copy_columns(&mut self, option: &str) -> Result<String> {
        if self.symbol('*') {
            return Ok("*".to_owned());
        }
        if !self.symbol('(') {
            let name = self.option_text().ok_or_else(|| not_a_literal(option))?;
            return Ok(identifier(&name));
        }
        let mut names = vec![];
        loop {
            let name = self.option_text().ok_or_else(|| not_a_literal(option))?;
            names.push(identifier(&name));
            if !self.symbol(',') {
                break;
            }
        }
        if !self.symbol(')') {
            return Err(not_a_literal(option));
        }
        Ok(format!("({})", names.join(", ")))
    }

    /// A literal, or a list or struct of literals.
    fn copy_nested(&mut self, option: &str, depth: u32) -> Result<String> {
        if depth > MAX_NESTING {
            return Err(wrong_value(option, "nested less deeply"));
        }
        if self.symbol('{') {
            let mut fields = vec![];
            loop {
                let key = self.option_text().ok_or_else(|| not_a_literal(option))?;
                if !self.symbol(':') {
                    return Err(not_a_literal(option));
                }
                fields.push(format!("{}: {}", literal(&key), self.copy_nested(option, depth + 1)?));
                if !self.symbol(',') {
                    break;
                }
            }
            return if self.symbol('}') {
                Ok(format!("{{{}}}", fields.join(", ")))
            } else {
                Err(not_a_literal(option))
            };
        }
        if self.symbol('[') {
            let mut items = vec![];
            loop {
                items.push(self.copy_nested(option, depth + 1)?);
                if !self.symbol(',') {
                    break;
                }
            }
            return if self.symbol(']') {
                Ok(format!("[{}]", items.join(", ")))
            } else {
                Err(not_a_literal(option))
            };
        }
        let value = match self.peek().map(|token| &token.kind) {
            Some(Kind::Word(word)) if is_boolean(word) => word.to_ascii_lowercase(),
            // `FIELD_IDS auto`.
            Some(Kind::Word(word) | Kind::Text(word)) => literal(word),
            _ => return self.copy_number(option).map_err(|_| not_a_literal(option)),
        };
        self.at += 1;
        Ok(value)
    }
}

fn is_boolean(word: &str) -> bool {
    ["true", "false", "on", "off"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Whether a text leaves a file in its folder, whatever DuckDB puts into its braces.
fn is_harmless_name(text: &str) -> bool {
    let mut rest = text.to_owned();
    for part in ["{i}", "{uuid}", "{uuidv4}", "{uuidv7}"] {
        rest = rest.replace(part, "x");
    }
    !rest.is_empty()
        && !rest.contains("..")
        && rest.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn wrong_value(option: &str, wanted: &str) -> Error {
    not_allowed(format!("COPY option \"{option}\" must be {wanted}"))
}

fn not_a_literal(option: &str) -> Error {
    not_allowed(format!("the value of COPY option \"{option}\" must be a literal"))
}
