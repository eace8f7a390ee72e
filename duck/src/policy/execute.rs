//! Statements without rows. DuckDB writes down the tree of SELECTs only, so the outer statement of
//! an ordinary role is read here, strictly, and built anew from parts that were checked: see
//! [`super::outer`].

use super::lexer::{Kind, Token, tokens as tokens_of};
use super::outer::{ALLOWED, Outer, Target};
use super::walk::Found;
use super::{Policy, lakes, not_allowed, tables};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::placeholder;
use crate::value::Value;

/// Checks a statement for `duckdb.execute` and returns the text to run. A role without the sandbox
/// gets its own text back; an ordinary role a text made of checked parts. To be called in the
/// transaction in which the text will run.
///
/// # Errors
/// [`ErrorKind::NotAllowed`] for every statement that is not one of the allowed forms;
/// [`ErrorKind::ReadOnly`] for a lake that is attached for reading only; the errors of
/// [`super::check_query`] and [`super::admit`] for what is read.
pub fn check_execute(
    connection: &Connection,
    policy: &Policy,
    sql: &str,
    parameters: &[Value],
) -> Result<String> {
    if policy.may_name_lake(sql) {
        let literal = placeholder::find(sql.as_bytes());
        if let Some(word) = literal.or_else(|| parameters.iter().find_map(placeholder::find_in)) {
            let message = format!(
                "pg_pond 22023 the statement holds \"{word}\", which DuckLake would replace"
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
    }
    if !policy.is_sandboxed() {
        lakes::prepare_unchecked(connection, policy, sql)?;
        // A crash of the server is nobody's right.
        let found = tables::named_in(sql)?;
        let guards = tables::look_at(connection, policy, &found)?;
        return tables::guarded(sql, &found, &guards);
    }
    super::check_size(policy, sql)?;
    let all = tokens_of(sql)?;
    let mut end = all.len();
    while end > 0 && all[end - 1].is_symbol(';') {
        end -= 1;
    }
    let tokens = &all[..end];
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
        return Err(Error::new(ErrorKind::StatementCount, "there is no statement"));
    };
    connection.take_paths_literally(false)?;
    let seen = Found::other().verdict;
    let mut outer = Outer {
        connection,
        policy,
        parameters,
        sql,
        tokens,
        at: 1,
        end: last.end,
        seen,
        planned: None,
        drops: false,
    };
    let Kind::Word(word) = &first.kind else {
        return Err(not_allowed(ALLOWED));
    };
    let rebuilt = match word.to_ascii_lowercase().as_str() {
        "copy" => outer.copy(),
        "create" => outer.create(),
        "insert" => outer.insert(),
        "drop" => outer.drop(),
        "update" => outer.update(),
        "delete" => outer.delete(),
        "merge" => outer.merge(),
        "truncate" => outer.truncate(),
        "alter" => outer.alter(),
        "comment" => outer.comment(),
        "call" => outer.call(),
        _ => Err(not_allowed(ALLOWED)),
    }?;
    // Iceberg and Delta tables have been looked at in its parts.
    lakes::admit(connection, policy, &outer.seen, "")?;
    Ok(rebuilt)
}

/// Whether a statement writes files and nothing else: `COPY … TO …`.
#[must_use]
pub fn is_export(sql: &str) -> bool {
    let Ok(tokens) = tokens_of(sql) else { return false };
    let end = tokens.iter().rposition(|token| !token.is_symbol(';')).map_or(0, |last| last + 1);
    let Some((first, rest)) = tokens[..end].split_first() else { return false };
    let mut depth = 0_usize;
    let direction = rest.iter().find(|token| {
        if token.is_symbol('(') {
            depth += 1;
        } else if token.is_symbol(')') {
            depth = depth.saturating_sub(1);
        }
        depth == 0 && (token.is_word("to") || token.is_word("from"))
    });
    first.is_word("copy")
        && direction.is_some_and(|word| word.is_word("to"))
        && !rest.iter().any(|token| token.is_symbol(';'))
}

impl Outer<'_> {
    fn create(&mut self) -> Result<String> {
        let replace = self.word("or");
        if replace {
            self.must_word("replace")?;
        }
        if self.word("view") {
            return self.create_view(replace);
        }
        if !replace && self.word("schema") {
            return self.create_schema();
        }
        // A temporary table would end with this call's connection; all others end with the instance.
        let temporary = self.word("temp") || self.word("temporary");
        self.must_word("table")?;
        let mut sql = format!("CREATE {}TABLE ", if replace { "OR REPLACE " } else { "" });
        if self.words(&["if", "not", "exists"]) {
            sql.push_str("IF NOT EXISTS ");
        }
        match self.target()? {
            Target::Lake(_) if temporary => Err(self.unexpected()),
            Target::Lake(target) => self.create_in_lake(sql, &target),
            Target::Session(table) => {
                self.must_word("as")?;
                Ok(format!("{sql}{table} AS {}", self.select_to_end()?))
            }
        }
    }

    pub(super) fn insert(&mut self) -> Result<String> {
        self.must_word("into")?;
        let target = self.target()?;
        let mut sql = match &target {
            Target::Session(table) => format!("INSERT INTO {table} "),
            Target::Lake(target) => format!("INSERT INTO {} ", target.sql),
        };
        let starts_query = |token: &Token| {
            token.is_symbol('(')
                || ["select", "from", "with", "values", "table"].iter().any(|w| token.is_word(w))
        };
        let columns =
            self.is_symbol('(') && !self.tokens.get(self.at + 1).is_some_and(starts_query);
        if columns {
            sql.push_str(&format!("({}) ", self.names()?));
        }
        if let Target::Lake(target) = target {
            self.check_target(&target)?;
            if self.words(&["by", "name"]) {
                sql.push_str("BY NAME ");
            }
            if self.words(&["default", "values"]) {
                self.finish()?;
                return Ok(sql + "DEFAULT VALUES");
            }
            let defaults = self.tokens[self.at..].iter().any(|token| token.is_word("default"));
            if self.is_word("values") && defaults {
                return Ok(sql + &self.values_to_end()?);
            }
            return Ok(sql + &self.stored_to_end()?);
        }
        Ok(sql + &self.select_to_end()?)
    }

    /// VALUES from here to the end. Not in parentheses, where DEFAULT would not be understood: what
    /// is a whole statement by itself may follow INSERT INTO … as it stands.
    fn values_to_end(&mut self) -> Result<String> {
        let Some(token) = self.peek() else { return Err(self.unexpected()) };
        self.at = self.tokens.len();
        let text = &self.sql[token.start..self.end];
        self.check_whole(text)?;
        Ok(format!("{text}\n"))
    }

    fn drop(&mut self) -> Result<String> {
        self.drops = true;
        if self.word("view") {
            return self.drop_from_lake("VIEW");
        }
        if self.word("schema") {
            return self.drop_schema();
        }
        self.must_word("table")?;
        let start = self.at;
        let exists = self.words(&["if", "exists"]);
        match self.target()? {
            Target::Lake(_) => {
                self.at = start;
                self.drop_from_lake("TABLE")
            }
            Target::Session(table) => {
                self.finish()?;
                Ok(format!("DROP TABLE {}{table}", if exists { "IF EXISTS " } else { "" }))
            }
        }
    }
}
