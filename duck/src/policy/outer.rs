//! The outer part of a statement that is no SELECT, token by token. What is taken out of it is
//! either quoted anew (names, strings, types) or read by DuckDB's own parser as (part of) a SELECT
//! and checked, so that it does not matter where the lexer here and DuckDB's disagree.

use super::lexer::{Kind, Token};
use super::planned::{Expected, Functions, check_planned};
use super::tables::{guarded, look_at};
use super::{Policy, Verdict, VerdictKind, check_query, functions, not_allowed};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::lexer;
use crate::quote::identifier;
use crate::statement::{Column, Statement};
use crate::stored;
use crate::value::Value;

pub(super) const ALLOWED: &str = "ordinary roles may run COPY … TO a writable server; CREATE TABLE … AS, \
     INSERT INTO … SELECT and DROP TABLE on tables of the session; and the usual DML and DDL on \
     tables and views of lakes";

/// A relation that a statement changes.
pub(super) enum Target {
    /// Of the session.
    Session(String),
    Lake(InLake),
}

/// A name within an attached lake.
pub(super) struct InLake {
    pub lake: String,
    /// The names below the lake, quoted and joined behind it.
    pub sql: String,
    /// The last name.
    pub name: String,
}

pub(super) struct Outer<'a> {
    pub connection: &'a Connection,
    pub policy: &'a Policy,
    pub parameters: &'a [Value],
    pub sql: &'a str,
    pub tokens: &'a [Token],
    /// The next token.
    pub at: usize,
    /// The end of the last token, in bytes.
    pub end: usize,
    /// What all of its parts read.
    pub seen: Verdict,
    /// The statement is our own, and this is what it may use.
    pub planned: Option<(&'a Expected, &'a Functions)>,
    /// Whether it drops what it names, whose files are not read then: wherever they lie, a table can be
    /// dropped.
    pub drops: bool,
}

impl<'a> Outer<'a> {
    pub fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    pub fn is_word(&self, word: &str) -> bool {
        self.peek().is_some_and(|token| token.is_word(word))
    }

    pub fn is_symbol(&self, symbol: char) -> bool {
        self.peek().is_some_and(|token| token.is_symbol(symbol))
    }

    pub fn word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    /// These words, one after the other, or none of them.
    pub fn words(&mut self, words: &[&str]) -> bool {
        let next = self.tokens.get(self.at..self.at + words.len());
        let found = next
            .is_some_and(|next| next.iter().zip(words).all(|(token, word)| token.is_word(word)));
        self.at += if found { words.len() } else { 0 };
        found
    }

    pub fn symbol(&mut self, symbol: char) -> bool {
        let found = self.is_symbol(symbol);
        self.at += usize::from(found);
        found
    }

    pub fn must(&self, found: bool) -> Result<()> {
        if found { Ok(()) } else { Err(self.unexpected()) }
    }

    pub fn must_word(&mut self, word: &str) -> Result<()> {
        let found = self.word(word);
        self.must(found)
    }

    pub fn must_symbol(&mut self, symbol: char) -> Result<()> {
        let found = self.symbol(symbol);
        self.must(found)
    }

    /// What stands here is not part of an allowed form.
    pub fn unexpected(&self) -> Error {
        let place = self.peek().map_or("end of statement".to_owned(), |token| {
            let text: String = self.sql[token.start..token.end].chars().take(40).collect();
            format!("\"{}\"", text.escape_debug())
        });
        not_allowed(format!("not allowed at {place}: {ALLOWED}"))
    }

    pub fn finish(&self) -> Result<()> {
        self.must(self.at == self.tokens.len())
    }

    pub fn name(&mut self) -> Result<String> {
        let name = match self.peek().map(|token| &token.kind) {
            Some(Kind::Word(text) | Kind::Quoted(text)) => text.clone(),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(name)
    }

    /// A name, quoted.
    pub fn quoted(&mut self) -> Result<String> {
        Ok(identifier(&self.name()?))
    }

    /// The names in `a.b."c"`.
    pub fn parts(&mut self) -> Result<Vec<String>> {
        let mut parts = vec![self.name()?];
        while self.symbol('.') {
            parts.push(self.name()?);
        }
        Ok(parts)
    }

    /// The names in `(a, "b")`, quoted.
    pub fn names(&mut self) -> Result<String> {
        self.must_symbol('(')?;
        let mut names = vec![self.quoted()?];
        while self.symbol(',') {
            names.push(self.quoted()?);
        }
        self.must_symbol(')')?;
        Ok(names.join(", "))
    }

    /// The name of a table to change.
    pub fn target(&mut self) -> Result<Target> {
        let parts = self.parts()?;
        if let Some(inside) = self.in_lake(&parts)? {
            return Ok(Target::Lake(inside));
        }
        self.must(self.planned.is_none())?;
        Ok(Target::Session(self.session_table(&parts)?))
    }

    /// The name of a table or view of a lake that may be changed.
    pub fn lake_target(&mut self) -> Result<InLake> {
        let start = self.at;
        let parts = self.parts()?;
        if let Some(inside) = self.in_lake(&parts)? {
            return Ok(inside);
        }
        self.at = start;
        Err(self.unexpected())
    }

    /// `lake.table` or `lake.schema.table`.
    pub fn in_lake(&mut self, parts: &[String]) -> Result<Option<InLake>> {
        if let Some((expected, _)) = self.planned {
            let written = expected.writes.as_ref().filter(|relation| relation[..] == *parts);
            return Ok(written.map(|[lake, schema, name]| InLake {
                lake: lake.clone(),
                sql: [lake, schema, name].map(|part| identifier(part)).join("."),
                name: name.clone(),
            }));
        }
        let (lake, names) = match parts {
            [lake, table] => (lake, [identifier("main"), identifier(table)]),
            [lake, schema, table] => (lake, [identifier(schema), identifier(table)]),
            _ => return Ok(None),
        };
        let Some(lake) = self.policy.lake(lake) else { return Ok(None) };
        self.policy.check_lake_write(lake)?;
        self.note_lake(lake);
        let name = parts.last().cloned().unwrap_or_default();
        super::catalog::check(self.connection, self.policy, lake)?;
        if !self.drops {
            let scope = super::catalog::Scope::Tables(&[name.to_lowercase()]);
            super::catalog::check_paths(self.connection, self.policy, lake, &scope)?;
        }
        let sql = format!("{}.{}", identifier(lake), names.join("."));
        Ok(Some(InLake { lake: lake.to_owned(), sql, name }))
    }

    /// A table of the session, quoted.
    fn session_table(&self, parts: &[String]) -> Result<String> {
        self.must(parts.len() <= 2)?;
        if let [schema, _] = parts
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

    /// The name of a relation to read, quoted. [`Outer::checked`] decides whether it may be read.
    pub fn readable_table(&mut self) -> Result<String> {
        let parts = self.parts()?;
        let of_lake = parts.len() > 1 && self.policy.lake(&parts[0]).is_some();
        if !of_lake {
            return self.session_table(&parts);
        }
        self.must(parts.len() <= 3)?;
        Ok(parts.iter().map(|part| identifier(part)).collect::<Vec<_>>().join("."))
    }

    /// A name that is new in a lake.
    pub fn new_name(&self, name: &str) -> Result<()> {
        // Names become parts of the paths of files, and of names that DuckDB may take for paths.
        let bad = name.contains(['/', '\\', '?', '#', '%', ':', '*', '[', '~'])
            || name.chars().any(char::is_control);
        if bad {
            return Err(not_allowed(format!(
                "name \"{}\" is not allowed in a lake",
                name.escape_debug()
            )));
        }
        Ok(())
    }

    /// A whole SELECT, checked, in parentheses. The newline ends a comment.
    pub fn checked(&mut self, inner: &str) -> Result<String> {
        let guarded = self.check(inner)?;
        Ok(format!("({}\n)", guarded.as_deref().unwrap_or(inner)))
    }

    /// Returns the query anew where columns of it must be guarded. The caller admits what all parts
    /// read.
    fn check(&mut self, query: &str) -> Result<Option<String>> {
        if let Some((expected, functions)) = self.planned {
            check_planned(self.connection, self.policy, query, expected, functions)?;
            return Ok(None);
        }
        let verdict = check_query(self.connection, self.policy, query, self.parameters)?;
        if verdict.kind != VerdictKind::Select {
            return Err(self.unexpected());
        }
        self.seen.extensions.extend(verdict.extensions);
        self.seen.patterns.extend(verdict.patterns);
        self.seen.local_patterns.extend(verdict.local_patterns);
        self.seen.relations.extend(verdict.relations);
        self.seen.travels |= verdict.travels;
        verdict.lakes.iter().for_each(|lake| self.note_lake(lake));
        let guards = look_at(self.connection, self.policy, &verdict.tables)?;
        if guards.iter().all(Vec::is_empty) {
            return Ok(None);
        }
        guarded(query, &verdict.tables, &guards).map(Some)
    }

    /// [`Outer::check`] for what is not built anew from the query.
    pub fn check_whole(&mut self, query: &str) -> Result<()> {
        match self.check(query)? {
            None => Ok(()),
            Some(_) => Err(Error::new(
                ErrorKind::NotSupported,
                "an Iceberg or Delta table with such columns cannot be read within an expression here",
            )),
        }
    }

    fn note_lake(&mut self, lake: &str) {
        if !self.seen.lakes.iter().any(|known| known == lake) {
            self.seen.lakes.push(lake.to_owned());
        }
    }

    /// The SELECT between two places in the text, checked, in parentheses.
    pub fn select(&mut self, from: usize, to: usize) -> Result<String> {
        self.checked(&self.sql[from..to])
    }

    /// The SELECT from here to the end.
    pub fn select_to_end(&mut self) -> Result<String> {
        let Some(token) = self.peek() else { return Err(self.unexpected()) };
        self.at = self.tokens.len();
        self.select(token.start, self.end)
    }

    /// As [`Outer::select_to_end`], whose rows are written to a lake.
    pub fn stored_to_end(&mut self) -> Result<String> {
        let Some(token) = self.peek() else { return Err(self.unexpected()) };
        self.at = self.tokens.len();
        Ok(self.stored_rows(&self.sql[token.start..self.end])?.0)
    }

    /// A whole SELECT, checked, whose rows are written to a lake, without parentheses, and its columns.
    pub fn stored_rows(&mut self, query: &str) -> Result<(String, Vec<Column>)> {
        let guarded = self.check(query)?;
        if self.planned.is_some() {
            // Of SQL of our own nothing is built anew.
            return Ok((query.to_owned(), vec![]));
        }
        // Its own check, since the query is bound here.
        super::lakes::admit(self.connection, self.policy, &self.seen, "")?;
        let query = guarded.as_deref().unwrap_or(query);
        let sql = format!("FROM (\n{}\n) LIMIT 0", lexer::without_terminator(query));
        let columns =
            Statement::prepare(self.connection, &sql)?.execute(self.parameters)?.columns();
        Ok((stored::rows(query, &columns)?, columns))
    }

    /// Goes behind the parenthesis that closes the open one; returns where it stands.
    pub fn skip_to_closing(&mut self) -> Result<usize> {
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

    /// The expression up to a comma, a closing bracket or one of `stops`, checked, in parentheses.
    pub fn expression(&mut self, stops: &[&str]) -> Result<String> {
        let start = self.at;
        self.skip_expression(stops);
        self.expression_of(start, self.at)
    }

    /// Goes to the end of an expression. Words within brackets and CASE … END do not count; neither
    /// does the FROM of IS DISTINCT FROM.
    fn skip_expression(&mut self, stops: &[&str]) {
        let (mut brackets, mut cases, mut distinct) = (0_u32, 0_u32, false);
        while let Some(token) = self.peek() {
            let outside = brackets == 0 && cases == 0;
            match &token.kind {
                Kind::Symbol('(' | '[' | '{') => brackets += 1,
                Kind::Symbol(')' | ']' | '}') if brackets == 0 => return,
                Kind::Symbol(')' | ']' | '}') => brackets -= 1,
                Kind::Symbol(',') if outside => return,
                Kind::Word(_) if outside && !distinct && stops.iter().any(|w| token.is_word(w)) => {
                    return;
                }
                Kind::Word(_) if token.is_word("case") => cases += 1,
                Kind::Word(_) if token.is_word("end") => cases = cases.saturating_sub(1),
                _ => {}
            }
            distinct = token.is_word("distinct");
            self.at += 1;
        }
    }

    /// The expression that these tokens are.
    pub fn expression_of(&mut self, from: usize, to: usize) -> Result<String> {
        let (Some(first), Some(last)) = (self.tokens.get(from), self.tokens[..to].last()) else {
            return Err(self.unexpected());
        };
        self.must(from < to)?;
        let text = &self.sql[first.start..last.end];
        // By itself its brackets match, in parentheses it is an expression: so it is one wherever
        // an expression may stand.
        self.check_whole(&format!("SELECT\n{text}\n"))?;
        self.check_whole(&format!("SELECT (\n{text}\n)"))?;
        Ok(format!("(\n{text}\n)"))
    }

    /// A type, written anew from plain tokens and checked.
    pub fn data_type(&mut self) -> Result<String> {
        const ENDS: &[&str] = &["not", "null", "default", "using"];
        let (mut text, mut open) = (String::new(), vec![]);
        while let Some(token) = self.peek() {
            let part = match &token.kind {
                Kind::Word(_) if open.is_empty() && ENDS.iter().any(|w| token.is_word(w)) => break,
                Kind::Word(word) => word.clone(),
                Kind::Quoted(name) => identifier(name),
                Kind::Number(number) => number.clone(),
                Kind::Symbol(symbol @ ('(' | '[')) => {
                    open.push(if *symbol == '(' { ')' } else { ']' });
                    symbol.to_string()
                }
                Kind::Symbol(symbol) if open.last() == Some(symbol) => {
                    open.pop();
                    symbol.to_string()
                }
                Kind::Symbol(',') if !open.is_empty() => ",".to_owned(),
                Kind::Symbol(',' | ')') if open.is_empty() => break,
                _ => return Err(self.unexpected()),
            };
            self.at += 1;
            text.push(' ');
            text.push_str(&part);
        }
        self.must(open.is_empty() && !text.is_empty())?;
        self.check_whole(&format!("SELECT CAST(NULL AS{text})"))?;
        Ok(text.trim_start().to_owned())
    }

    /// A parameter or a constant, written anew.
    pub fn constant(&mut self) -> Result<String> {
        let minus = if self.symbol('-') { "-" } else { "" };
        let Some(token) = self.peek() else { return Err(self.unexpected()) };
        let text = match &token.kind {
            Kind::Text(text) if minus.is_empty() => crate::quote::literal(text),
            Kind::Number(number) => format!("{minus}{number}"),
            Kind::Word(word)
                if minus.is_empty()
                    && ["true", "false", "null"].iter().any(|known| token.is_word(known)) =>
            {
                word.clone()
            }
            Kind::Other if minus.is_empty() && is_parameter(&self.sql[token.start..token.end]) => {
                self.sql[token.start..token.end].to_owned()
            }
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(text)
    }
}

fn is_parameter(text: &str) -> bool {
    let number = text.strip_prefix('$').unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}
