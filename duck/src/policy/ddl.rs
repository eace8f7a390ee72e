//! DDL of an ordinary role in lakes, and the calls that set a lake's options.

use super::dml::dotted;
use super::lexer::Kind;
use super::outer::{ALLOWED, InLake, Outer};
use super::{lakes, not_allowed};
use crate::error::Result;
use crate::quote::identifier;

/// The options of a lake that whoever may write to it may set: none that changes where files are
/// and how they are called.
const OPTIONS: &[&str] = &[
    "auto_compact",
    "data_inlining_row_limit",
    "delete_older_than",
    "expire_older_than",
    "parquet_compression",
    "parquet_compression_level",
    "parquet_row_group_size",
    "parquet_row_group_size_bytes",
    "parquet_version",
    "per_thread_output",
    "require_commit_message",
    "rewrite_delete_threshold",
    "sort_on_insert",
    "target_file_size",
];

impl Outer<'_> {
    /// CREATE TABLE in a lake behind its name; `sql` is what stands before the name.
    pub(super) fn create_in_lake(&mut self, mut sql: String, target: &InLake) -> Result<String> {
        self.new_name(&target.name)?;
        sql.push_str(&target.sql);
        if self.word("as") {
            let Some(token) = self.peek() else { return Err(self.unexpected()) };
            self.at = self.tokens.len();
            let (rows, columns) = self.stored_rows(&self.sql[token.start..self.end])?;
            // How many rows there are is not known yet.
            lakes::check_made(self.policy, &target.lake, &columns, 1)?;
            return Ok(format!("{sql} AS {rows}"));
        }
        self.must_symbol('(')?;
        let mut columns = vec![self.column(target)?];
        while self.symbol(',') {
            columns.push(self.column(target)?);
        }
        self.must_symbol(')')?;
        self.finish()?;
        Ok(format!("{sql} ({})", columns.join(", ")))
    }

    /// `name type [NOT NULL] [DEFAULT expression]`.
    fn column(&mut self, target: &InLake) -> Result<String> {
        let mut sql = format!("{} {}", self.quoted()?, self.data_type()?);
        loop {
            if self.words(&["not", "null"]) {
                sql.push_str(" NOT NULL");
            } else if self.word("null") {
                sql.push_str(" NULL");
            } else if self.word("default") {
                sql.push_str(&format!(" DEFAULT {}", self.default_expression(target)?));
            } else {
                return Ok(sql);
            }
        }
    }

    /// An expression that is stored. DuckDB looks for its functions in the lake first.
    fn default_expression(&mut self, target: &InLake) -> Result<String> {
        lakes::check_macros(self.connection, &target.lake)?;
        let start = self.at;
        let expression = self.expression(&[])?;
        // x NOT NULL is an expression too.
        let ends = self.at.checked_sub(2).filter(|at| *at > start);
        let Some(before) = ends else { return Ok(expression) };
        if self.tokens[before].is_word("not") && self.tokens[before + 1].is_word("null") {
            self.at = before;
            return self.expression_of(start, before);
        }
        Ok(expression)
    }

    /// `lake.schema`.
    fn schema(&mut self) -> Result<InLake> {
        let start = self.at;
        if let [lake, schema] = self.parts()?.as_slice()
            && let Some(lake) = self.policy.lake(lake)
        {
            self.policy.check_lake_write(lake)?;
            let sql = dotted(&[lake.to_owned(), schema.clone()]);
            return Ok(InLake { lake: lake.to_owned(), sql, name: schema.clone() });
        }
        self.at = start;
        Err(self.unexpected())
    }

    pub(super) fn create_schema(&mut self) -> Result<String> {
        let exists = self.words(&["if", "not", "exists"]);
        let schema = self.schema()?;
        self.new_name(&schema.name)?;
        self.finish()?;
        Ok(format!("CREATE SCHEMA {}{}", if exists { "IF NOT EXISTS " } else { "" }, schema.sql))
    }

    pub(super) fn create_view(&mut self, replace: bool) -> Result<String> {
        let mut sql =
            String::from(if replace { "CREATE OR REPLACE VIEW " } else { "CREATE VIEW " });
        if self.words(&["if", "not", "exists"]) {
            sql.push_str("IF NOT EXISTS ");
        }
        let target = self.lake_target()?;
        self.new_name(&target.name)?;
        sql.push_str(&target.sql);
        if self.is_symbol('(') {
            sql.push_str(&format!(" ({})", self.names()?));
        }
        self.must_word("as")?;
        // DuckDB binds it at once, and looks for its functions in the lake first.
        lakes::check_macros(self.connection, &target.lake)?;
        Ok(format!("{sql} AS {}", self.select_to_end()?))
    }

    /// DROP TABLE or DROP VIEW.
    pub(super) fn drop_from_lake(&mut self, what: &str) -> Result<String> {
        let exists = if self.words(&["if", "exists"]) { "IF EXISTS " } else { "" };
        let target = self.lake_target()?;
        Ok(format!("DROP {what} {exists}{}{}", target.sql, self.cascade_to_end()?))
    }

    pub(super) fn drop_schema(&mut self) -> Result<String> {
        let exists = if self.words(&["if", "exists"]) { "IF EXISTS " } else { "" };
        let schema = self.schema()?;
        Ok(format!("DROP SCHEMA {exists}{}{}", schema.sql, self.cascade_to_end()?))
    }

    fn cascade_to_end(&mut self) -> Result<&'static str> {
        let found = if self.word("cascade") {
            " CASCADE"
        } else if self.word("restrict") {
            " RESTRICT"
        } else {
            ""
        };
        self.finish()?;
        Ok(found)
    }

    pub(super) fn alter(&mut self) -> Result<String> {
        self.must_word("table")?;
        let exists = if self.words(&["if", "exists"]) { "IF EXISTS " } else { "" };
        let target = self.lake_target()?;
        let action = self.alter_action(&target)?;
        self.finish()?;
        Ok(format!("ALTER TABLE {exists}{} {action}", target.sql))
    }

    fn alter_action(&mut self, target: &InLake) -> Result<String> {
        if self.word("add") {
            let _ = self.word("column");
            let exists = if self.words(&["if", "not", "exists"]) { "IF NOT EXISTS " } else { "" };
            let column = dotted(&self.parts()?);
            let mut sql = format!("ADD COLUMN {exists}{column} {}", self.data_type()?);
            if self.word("default") {
                sql.push_str(&format!(" DEFAULT {}", self.constant()?));
            }
            return Ok(sql);
        }
        if self.word("drop") {
            let _ = self.word("column");
            let exists = if self.words(&["if", "exists"]) { "IF EXISTS " } else { "" };
            return Ok(format!("DROP COLUMN {exists}{}", dotted(&self.parts()?)));
        }
        if self.word("rename") {
            return self.rename();
        }
        if self.word("alter") {
            let _ = self.word("column");
            let column = dotted(&self.parts()?);
            return Ok(format!("ALTER COLUMN {column} {}", self.alter_column(target)?));
        }
        let found = [("partitioned", "PARTITIONED BY"), ("sorted", "SORTED BY")];
        for (word, words) in found {
            if self.words(&["reset", word, "by"]) {
                return Ok(format!("RESET {words}"));
            }
        }
        if self.words(&["set", "partitioned", "by"]) {
            return Ok(format!("SET PARTITIONED BY ({})", self.list(Self::partition)?));
        }
        if self.words(&["set", "sorted", "by"]) {
            return Ok(format!("SET SORTED BY ({})", self.list(Self::order)?));
        }
        Err(self.unexpected())
    }

    fn rename(&mut self) -> Result<String> {
        if self.word("to") {
            let name = self.name()?;
            self.new_name(&name)?;
            return Ok(format!("RENAME TO {}", identifier(&name)));
        }
        let _ = self.word("column");
        let column = dotted(&self.parts()?);
        self.must_word("to")?;
        Ok(format!("RENAME COLUMN {column} TO {}", self.quoted()?))
    }

    fn alter_column(&mut self, target: &InLake) -> Result<String> {
        if self.words(&["set", "not", "null"]) {
            return Ok("SET NOT NULL".to_owned());
        }
        if self.words(&["drop", "not", "null"]) {
            return Ok("DROP NOT NULL".to_owned());
        }
        if self.words(&["drop", "default"]) {
            return Ok("DROP DEFAULT".to_owned());
        }
        if self.words(&["set", "default"]) {
            return Ok(format!("SET DEFAULT {}", self.default_expression(target)?));
        }
        let typed = self.words(&["set", "data", "type"]) || self.word("type");
        self.must(typed)?;
        Ok(format!("SET DATA TYPE {}", self.data_type()?))
    }

    /// `(item, item)` without the parentheses.
    fn list(&mut self, item: fn(&mut Self) -> Result<String>) -> Result<String> {
        self.must_symbol('(')?;
        let mut items = vec![item(self)?];
        while self.symbol(',') {
            items.push(item(self)?);
        }
        self.must_symbol(')')?;
        Ok(items.join(", "))
    }

    /// A column, or one of DuckLake's transforms of a column.
    fn partition(&mut self) -> Result<String> {
        let transform = ["year", "month", "day", "hour", "identity", "bucket"]
            .into_iter()
            .find(|transform| self.is_word(transform))
            .filter(|_| self.tokens.get(self.at + 1).is_some_and(|token| token.is_symbol('(')));
        let Some(transform) = transform else { return Ok(dotted(&self.parts()?)) };
        self.at += 2;
        let mut arguments = String::new();
        if transform == "bucket" {
            arguments = format!("{}, ", self.constant()?);
            self.must_symbol(',')?;
        }
        arguments.push_str(&dotted(&self.parts()?));
        self.must_symbol(')')?;
        Ok(format!("{transform}({arguments})"))
    }

    /// An item of an ORDER BY.
    fn order(&mut self) -> Result<String> {
        let mut sql = self.expression(&["asc", "desc", "nulls"])?;
        for (words, text) in [
            (&["asc"][..], " ASC"),
            (&["desc"], " DESC"),
            (&["nulls", "first"], " NULLS FIRST"),
            (&["nulls", "last"], " NULLS LAST"),
        ] {
            if self.words(words) {
                sql.push_str(text);
            }
        }
        Ok(sql)
    }

    pub(super) fn comment(&mut self) -> Result<String> {
        self.must_word("on")?;
        let kinds = [("table", "TABLE"), ("view", "VIEW"), ("column", "COLUMN")];
        let found = kinds.into_iter().find(|(word, _)| self.is_word(word));
        let Some((_, what)) = found else { return Err(self.unexpected()) };
        self.at += 1;
        let start = self.at;
        let mut parts = self.parts()?;
        let column = if what == "COLUMN" { parts.pop() } else { None };
        let Some(target) = self.in_lake(&parts)? else {
            self.at = start;
            return Err(self.unexpected());
        };
        let place = column
            .map_or(target.sql.clone(), |column| format!("{}.{}", target.sql, identifier(&column)));
        self.must_word("is")?;
        let comment = self.constant()?;
        self.finish()?;
        Ok(format!("COMMENT ON {what} {place} IS {comment}"))
    }

    pub(super) fn call(&mut self) -> Result<String> {
        let parts = self.parts()?;
        let lake = match parts.as_slice() {
            [lake, _] => self.policy.lake(lake),
            _ => None,
        };
        let Some(lake) = lake else {
            return Err(not_allowed(ALLOWED));
        };
        self.policy.check_lake_write(lake)?;
        let named: &[&str] = match parts[1].to_ascii_lowercase().as_str() {
            "set_commit_message" => &["extra_info"],
            "set_option" => &["schema", "table_name"],
            _ => return Err(not_allowed(ALLOWED)),
        };
        if named.len() == 2 {
            self.check_option()?;
        }
        let arguments = self.call_arguments(named)?;
        self.finish()?;
        Ok(format!("CALL {}({arguments})", dotted(&[lake.to_owned(), parts[1].clone()])))
    }

    fn check_option(&self) -> Result<()> {
        let option = self.tokens.get(self.at + 1).map(|token| &token.kind);
        match option {
            Some(Kind::Text(name)) if OPTIONS.contains(&name.to_ascii_lowercase().as_str()) => {
                Ok(())
            }
            Some(Kind::Text(name)) => Err(not_allowed(format!(
                "permission denied for the lake's option \"{}\"",
                name.escape_debug()
            ))),
            _ => Err(not_allowed("the option of set_option must be a string constant")),
        }
    }

    /// Constants and parameters, some of them by name.
    fn call_arguments(&mut self, named: &[&str]) -> Result<String> {
        self.must_symbol('(')?;
        let mut arguments = vec![];
        loop {
            let name = named.iter().find(|name| self.is_word(name));
            let mut argument = String::new();
            if let Some(name) = name {
                self.at += 1;
                let arrow = self.symbol('=') && self.symbol('>');
                self.must(arrow)?;
                argument = format!("{name} => ");
            }
            argument.push_str(&self.constant()?);
            arguments.push(argument);
            if !self.symbol(',') {
                break;
            }
        }
        self.must_symbol(')')?;
        Ok(arguments.join(", "))
    }
}
