//! UPDATE, DELETE, MERGE and TRUNCATE of an ordinary role on tables of lakes. Every expression is
//! checked as an item of a SELECT, what is read beside the target as a table or a SELECT.

use super::lakes;
use super::lexer::Kind;
use super::outer::{InLake, Outer};
use crate::error::Result;
use crate::feed;
use crate::placeholder;
use crate::quote::identifier;

impl Outer<'_> {
    /// What runs when a row is written to the target: its defaults and its order.
    pub(super) fn check_target(&self, target: &InLake) -> Result<()> {
        if self.planned.is_some() {
            return Ok(());
        }
        lakes::check_target(self.connection, self.policy, &target.lake, &target.name)
    }

    /// `[AS] alias`, quoted, with a blank before it.
    fn alias(&mut self, ends: &[&str]) -> Result<String> {
        let named = self.word("as");
        let ends_here = ends.iter().any(|end| self.is_word(end));
        let bare = !ends_here
            && self
                .peek()
                .is_some_and(|token| matches!(token.kind, Kind::Word(_) | Kind::Quoted(_)));
        if named || bare { Ok(format!(" AS {}", self.quoted()?)) } else { Ok(String::new()) }
    }

    /// A table, or a SELECT in parentheses, each with an alias.
    fn source(&mut self, ends: &[&str]) -> Result<String> {
        if self.symbol('(') {
            let from = self.peek().map_or(self.end, |token| token.start);
            let to = self.skip_to_closing()?;
            let mut source = self.select(from, to)?;
            source.push_str(&self.alias(ends)?);
            if self.is_symbol('(') {
                source.push_str(&format!(" ({})", self.names()?));
            }
            return Ok(source);
        }
        if self.planned.is_some() && self.word(feed::NAME) {
            let from = self.at;
            self.must_symbol('(')?;
            self.skip_to_closing()?;
            let call = format!(
                "{}{}",
                feed::NAME,
                &self.sql[self.tokens[from].start..self.tokens[self.at - 1].end]
            );
            self.checked(&format!("FROM {call}"))?;
            return Ok(call + &self.alias(ends)?);
        }
        let table = self.readable_table()?;
        self.checked(&format!("FROM {table}"))?;
        Ok(table + &self.alias(ends)?)
    }

    /// As [`Outer::source`], if its rows are written to a lake as they are.
    fn stored_source(&mut self, ends: &[&str]) -> Result<String> {
        let (query, name) = if self.symbol('(') {
            let from = self.peek().map_or(self.end, |token| token.start);
            let to = self.skip_to_closing()?;
            (self.sql[from..to].to_owned(), String::new())
        } else {
            let parts = self.parts()?;
            let name = parts.last().map(|name| identifier(name)).unwrap_or_default();
            (format!("FROM {}", dotted(&parts)), format!(" AS {name}"))
        };
        let (rows, _) = self.stored_rows(&query)?;
        let alias = self.alias(ends)?;
        Ok(format!("({rows}){}", if alias.is_empty() { name } else { alias }))
    }

    /// Whether a MERGE takes rows of its source as they are.
    fn takes_whole_rows(&self) -> bool {
        let rest = &self.tokens[self.at..];
        rest.iter().enumerate().any(|(at, token)| {
            let next = rest.get(at + 1);
            (token.is_word("insert") || token.is_word("update"))
                && next.is_none_or(|next| next.is_word("when") || next.is_word("by"))
        })
    }

    fn sources(&mut self, ends: &[&str]) -> Result<String> {
        let mut sources = vec![self.source(ends)?];
        while self.symbol(',') {
            sources.push(self.source(ends)?);
        }
        Ok(sources.join(", "))
    }

    /// A value to be stored in a column of this name: an expression, or DEFAULT.
    fn stored(&mut self, column: &str, stops: &[&str]) -> Result<String> {
        if self.word("default") {
            return Ok("DEFAULT".to_owned());
        }
        let is_number = self.peek().is_some_and(|token| matches!(token.kind, Kind::Number(_)));
        let start = self.at;
        let expression = self.expression(stops)?;
        if is_number && self.at == start + 1 {
            return Ok(expression);
        }
        Ok(placeholder::guarded_once(&expression, column))
    }

    /// `a = x, b = y`.
    fn assignments(&mut self, stops: &[&str]) -> Result<String> {
        let mut assignments = vec![];
        loop {
            let column = self.name()?;
            self.must_symbol('=')?;
            let value = self.stored(&column, stops)?;
            assignments.push(format!("{} = {value}", identifier(&column)));
            if !self.symbol(',') {
                return Ok(assignments.join(", "));
            }
        }
    }

    /// WHERE and its condition, or nothing, to the end.
    fn condition_to_end(&mut self) -> Result<String> {
        let mut sql = String::new();
        if self.word("where") {
            sql = format!(" WHERE {}", self.expression(&[])?);
        }
        self.finish()?;
        Ok(sql)
    }

    pub(super) fn update(&mut self) -> Result<String> {
        let target = self.lake_target()?;
        self.check_target(&target)?;
        let alias = self.alias(&["set"])?;
        self.must_word("set")?;
        let mut sql = format!("UPDATE {}{alias} SET ", target.sql);
        sql.push_str(&self.assignments(&["from", "where"])?);
        if self.word("from") {
            sql.push_str(&format!(" FROM {}", self.sources(&["where"])?));
        }
        Ok(sql + &self.condition_to_end()?)
    }

    pub(super) fn delete(&mut self) -> Result<String> {
        self.must_word("from")?;
        let target = self.lake_target()?;
        let mut sql = format!("DELETE FROM {}{}", target.sql, self.alias(&["using", "where"])?);
        if self.word("using") {
            sql.push_str(&format!(" USING {}", self.sources(&["where"])?));
        }
        Ok(sql + &self.condition_to_end()?)
    }

    pub(super) fn truncate(&mut self) -> Result<String> {
        let _ = self.word("table");
        let target = self.lake_target()?;
        self.finish()?;
        Ok(format!("TRUNCATE {}", target.sql))
    }

    pub(super) fn merge(&mut self) -> Result<String> {
        self.must_word("into")?;
        let target = self.lake_target()?;
        self.check_target(&target)?;
        let mut sql = format!("MERGE INTO {}{}", target.sql, self.alias(&["using"])?);
        self.must_word("using")?;
        let source = if self.takes_whole_rows() { Self::stored_source } else { Self::source };
        sql.push_str(&format!(" USING {}", source(self, &["on", "using"])?));
        if self.word("using") {
            sql.push_str(&format!(" USING ({})", self.names()?));
        } else {
            self.must_word("on")?;
            sql.push_str(&format!(" ON {}", self.expression(&["when"])?));
        }
        self.must(self.is_word("when"))?;
        while self.word("when") {
            sql.push_str(&self.merge_action()?);
        }
        self.finish()?;
        Ok(sql)
    }

    /// What stands behind WHEN.
    fn merge_action(&mut self) -> Result<String> {
        let mut sql = String::from(" WHEN");
        if self.word("not") {
            sql.push_str(" NOT");
        }
        self.must_word("matched")?;
        sql.push_str(" MATCHED");
        if self.words(&["by", "source"]) {
            sql.push_str(" BY SOURCE");
        } else if self.words(&["by", "target"]) {
            sql.push_str(" BY TARGET");
        }
        if self.word("and") {
            sql.push_str(&format!(" AND {}", self.expression(&["then"])?));
        }
        self.must_word("then")?;
        sql.push_str(" THEN ");
        if self.word("delete") {
            sql.push_str("DELETE");
        } else if self.words(&["do", "nothing"]) {
            sql.push_str("DO NOTHING");
        } else if self.word("update") {
            sql.push_str("UPDATE");
            if self.word("set") {
                sql.push_str(&format!(" SET {}", self.assignments(&["when"])?));
            } else if self.words(&["by", "name"]) {
                sql.push_str(" BY NAME");
            }
        } else {
            self.must_word("insert")?;
            sql.push_str(&self.merge_insert()?);
        }
        Ok(sql)
    }

    fn merge_insert(&mut self) -> Result<String> {
        let mut sql = String::from("INSERT");
        if self.words(&["by", "name"]) {
            sql.push_str(" BY NAME");
            return Ok(sql);
        }
        if self.is_symbol('(') {
            sql.push_str(&format!(" ({})", self.names()?));
        }
        if self.word("values") {
            self.must_symbol('(')?;
            let mut values = vec![self.stored("", &[])?];
            while self.symbol(',') {
                values.push(self.stored("", &[])?);
            }
            self.must_symbol(')')?;
            sql.push_str(&format!(" VALUES ({})", values.join(", ")));
        }
        Ok(sql)
    }
}

/// A name of one part or several, quoted.
pub(super) fn dotted(parts: &[String]) -> String {
    parts.iter().map(|part| identifier(part)).collect::<Vec<_>>().join(".")
}
