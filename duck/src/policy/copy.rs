//! COPY … TO of an ordinary role: the options that are let through.

use super::lexer::Kind;
use super::outer::Outer;
use super::{check_listing, not_allowed};
use crate::error::{ErrorKind, Result};
use crate::quote::{identifier, literal};

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
