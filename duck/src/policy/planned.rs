//! The second look at SQL of our own making. Whoever makes a statement says beforehand what it is going
//! to use: [`Expected`]. Before it runs, DuckDB's own tree of it is compared with that; one that uses
//! anything more was made of something that somebody else has written, and does not run.
//!
//! It is no list of what is allowed: the policy looks at the statement too, wherever it is fenced.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::json::{Document, Item, Kind};
use super::lexer::{self, Token};
use super::outer::Outer;
use super::walk::{self, Found};
use super::{CACHED_SQL_BYTES, CACHED_VERDICTS, Policy, functions, shown};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::feed;
use crate::lexer as lexer_of_text;
use crate::quotient;

/// A relation by the names of its database, schema and its own.
pub type RelationName = [String; 3];

/// A call of a table function, with the strings among its positional arguments and in lists there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCall {
    pub function: String,
    pub strings: Vec<String>,
}

impl TableCall {
    pub fn new<S: Into<String>>(function: &str, strings: impl IntoIterator<Item = S>) -> Self {
        let strings = strings.into_iter().map(Into::into).collect();
        Self { function: function.to_owned(), strings }
    }
}

/// What a statement of our own is meant to use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Readers with their paths, and functions of lakes with what they are about.
    pub calls: Vec<TableCall>,
    /// The relations of lakes and of their catalogs that are read.
    pub relations: Vec<RelationName>,
    /// The table of a lake that is changed.
    pub writes: Option<RelationName>,
    /// The lake of which a procedure is called, or that is checkpointed.
    pub lake: Option<String>,
    /// Whether rows are read that were shipped.
    pub shipped: bool,
    /// Queries of a user's that stand in it: what they use is theirs.
    pub texts: Vec<String>,
}

impl Expected {
    /// Nothing but this call.
    #[must_use]
    pub fn call(call: TableCall) -> Self {
        Self { calls: vec![call], ..Self::default() }
    }

    /// Whether tables are read whose files are named by a log or by manifests, which whoever writes there
    /// decides.
    #[must_use]
    pub fn reads_logs(&self) -> bool {
        let is_log = |call: &TableCall| {
            call.function.starts_with("iceberg_") || call.function.starts_with("delta_")
        };
        self.calls.iter().any(is_log)
    }

    /// Adds what another one has.
    pub fn extend(&mut self, other: Self) {
        let Self { calls, relations, writes, lake, shipped, texts } = other;
        let mut add = |call| {
            if !self.calls.contains(&call) {
                self.calls.push(call);
            }
        };
        calls.into_iter().for_each(&mut add);
        for relation in relations {
            if !self.relations.contains(&relation) {
                self.relations.push(relation);
            }
        }
        self.writes = self.writes.take().or(writes);
        self.lake = self.lake.take().or(lake);
        self.shipped |= shipped;
        self.texts.extend(texts);
    }
}

/// The scalar functions, aggregates and operators that SQL of our own may call.
pub type Functions = HashSet<&'static str>;

/// What a query uses.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    calls: Vec<TableCall>,
    /// Relations with a qualifier.
    relations: Vec<RelationName>,
    /// Names without one, those of CTEs apart.
    names: Vec<String>,
    functions: Vec<String>,
    /// Kinds of nodes that no SQL of ours has.
    kinds: Vec<String>,
}

/// Compares a statement of our own with what was expected of it. Nothing of it is bound or executed.
///
/// # Errors
/// [`ErrorKind::Unplanned`] naming what is too much; DuckDB's parser errors.
pub fn check_planned(
    connection: &Connection,
    policy: &Policy,
    sql: &str,
    expected: &Expected,
    functions: &Functions,
) -> Result<()> {
    let word = lexer_of_text::first_word(sql);
    match word.as_str() {
        "INSERT" | "UPDATE" | "DELETE" | "TRUNCATE" | "CHECKPOINT" | "CALL" => {
            statement(connection, policy, sql, &word, expected, functions)
        }
        _ => query(connection, policy, sql, expected, functions),
    }
}

fn unplanned(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::Unplanned, format!("It uses {what} \"{}\".", shown(name)))
}

fn query(
    connection: &Connection,
    policy: &Policy,
    sql: &str,
    expected: &Expected,
    functions: &Functions,
) -> Result<()> {
    let found = uses(connection, policy, sql)?;
    let texts: Vec<_> =
        expected.texts.iter().map(|text| uses(connection, policy, text)).collect::<Result<_>>()?;
    found.check(expected, &texts, functions)
}

impl Uses {
    fn check(&self, expected: &Expected, texts: &[Arc<Self>], known: &Functions) -> Result<()> {
        let sent = |name: &str| functions::is_shipped(name) && expected.shipped;
        for kind in &self.kinds {
            if !texts.iter().any(|text| text.kinds.contains(kind)) {
                return Err(unplanned("the clause", kind));
            }
        }
        for call in &self.calls {
            let planned = expected.calls.contains(call)
                || (call.function == feed::NAME && expected.writes.is_some())
                || texts.iter().any(|text| text.calls.contains(call));
            if !planned {
                let strings = call.strings.join(", ");
                return Err(unplanned(
                    "the table function",
                    &format!("{}({strings})", call.function),
                ));
            }
        }
        for relation in &self.relations {
            let [database, schema, name] = relation;
            let planned = expected.relations.contains(relation)
                || expected.writes.as_ref() == Some(relation)
                || (database.is_empty() && schema == "temp" && sent(name))
                || texts.iter().any(|text| text.relations.contains(relation));
            if !planned {
                return Err(unplanned("the relation", &relation.join(".")));
            }
        }
        for name in &self.names {
            if !sent(name) && !texts.iter().any(|text| text.names.contains(name)) {
                return Err(unplanned("the relation", name));
            }
        }
        for function in &self.functions {
            let planned = known.contains(function.as_str())
                || quotient::is_name(function)
                || texts.iter().any(|text| text.functions.contains(function));
            if !planned {
                return Err(unplanned("the function", function));
            }
        }
        Ok(())
    }
}

/// What a query uses, from memory if it was looked at before.
fn uses(connection: &Connection, policy: &Policy, sql: &str) -> Result<Arc<Uses>> {
    if let Some(known) = policy.uses.lock().get(sql) {
        return Ok(Arc::clone(known));
    }
    let tree = policy.tree(connection.instance(), sql)?;
    let document = Document::parse(&tree)?;
    let found = Arc::new(Uses::of(walk::statement(document.root(), sql)?));
    if sql.len() <= CACHED_SQL_BYTES {
        let mut known = policy.uses.lock();
        if known.len() >= CACHED_VERDICTS {
            known.clear();
        }
        known.insert(sql.into(), Arc::clone(&found));
    }
    Ok(found)
}

fn note<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

impl Uses {
    fn of(root: Item<'_, '_>) -> Self {
        let mut uses = Self::default();
        let mut ctes: Vec<String> = vec![];
        let mut pending = vec![root];
        while let Some(item) = pending.pop() {
            match item.kind() {
                Kind::Object => {}
                Kind::Array => {
                    pending.extend(item.children());
                    continue;
                }
                _ => continue,
            }
            if let Some(class) = item.text("class") {
                uses.expression(item, class);
            } else {
                match item.get("type").map(Item::kind) {
                    Some(Kind::Text(kind)) => uses.node(item, kind, &mut ctes),
                    // A value, of which nothing is run.
                    Some(Kind::Object) if item.get("is_null").is_some() => continue,
                    Some(_) => note(&mut uses.kinds, "of an unknown form".into()),
                    None => {}
                }
            }
            let is_call = item.text("type") == Some("TABLE_FUNCTION");
            for child in item.children() {
                // The function itself was looked at; its arguments follow.
                match child.get("children").filter(|_| is_call && child.key() == "function") {
                    Some(arguments) => pending.push(arguments),
                    None => pending.push(child),
                }
            }
        }
        uses.names.retain(|name| !ctes.contains(name));
        uses
    }

    fn expression(&mut self, item: Item<'_, '_>, class: &str) {
        match class {
            "BETWEEN" | "CASE" | "CAST" | "COLLATE" | "COLUMN_REF" | "COMPARISON"
            | "CONJUNCTION" | "CONSTANT" | "LAMBDA" | "OPERATOR" | "PARAMETER" | "STAR"
            | "SUBQUERY" => {}
            "FUNCTION" | "WINDOW" => {
                let part = |key| item.text(key).unwrap_or_default();
                let name = part("function_name").to_ascii_lowercase();
                let qualifiers = [part("catalog"), part("schema")];
                let name = match qualifiers {
                    ["", "" | "main"] => name,
                    [catalog, schema] => format!("{catalog}.{schema}.{name}"),
                };
                note(&mut self.functions, name);
            }
            other => note(&mut self.kinds, other.to_owned()),
        }
    }

    fn node(&mut self, item: Item<'_, '_>, kind: &str, ctes: &mut Vec<String>) {
        match kind {
            "SELECT_NODE" | "SET_OPERATION_NODE" | "CTE_NODE" => {
                let map = item.get("cte_map").and_then(|map| map.get("map"));
                let entries = map.into_iter().flat_map(Item::children);
                ctes.extend(entries.filter_map(|entry| entry.text("key")).map(str::to_owned));
                ctes.extend(item.text("cte_name").map(str::to_owned));
            }
            "BASE_TABLE" => {
                let part = |key| item.text(key).unwrap_or_default().to_owned();
                match [part("catalog_name"), part("schema_name"), part("table_name")] {
                    [database, schema, name] if database.is_empty() && schema.is_empty() => {
                        note(&mut self.names, name);
                    }
                    relation => note(&mut self.relations, relation),
                }
            }
            "TABLE_FUNCTION" => {
                if let Some(function) = item.get("function") {
                    note(&mut self.calls, table_call(function));
                }
            }
            "EMPTY" | "EXPRESSION_LIST" | "JOIN" | "SUBQUERY" | "DISTINCT_MODIFIER"
            | "LIMIT_MODIFIER" | "ORDER_MODIFIER" | "ASCENDING" | "DESCENDING"
            | "ORDER_DEFAULT" => {}
            kind if kind.ends_with("_TYPE_INFO") => {}
            other => note(&mut self.kinds, other.to_owned()),
        }
    }
}

/// The call of a table function; what is given by name does not count.
fn table_call(function: Item<'_, '_>) -> TableCall {
    let part = |key| function.text(key).unwrap_or_default();
    let name = part("function_name").to_ascii_lowercase();
    let name = match [part("catalog"), part("schema")] {
        ["", "" | "main"] => name,
        [catalog, schema] => format!("{catalog}.{schema}.{name}"),
    };
    let mut call = TableCall { function: name, strings: vec![] };
    let arguments = function.get("children").into_iter().flat_map(Item::children);
    for argument in arguments.filter(|argument| walk::named_argument(*argument).is_none()) {
        match walk::constant_text(argument) {
            Some(text) => call.strings.push(text.to_owned()),
            None if argument.text("function_name") == Some("list_value") => {
                let elements = argument.get("children").into_iter().flat_map(Item::children);
                let texts = elements.map(|element| walk::constant_text(element).unwrap_or("…"));
                call.strings.extend(texts.map(str::to_owned));
            }
            None if argument.text("class") == Some("CONSTANT") => {}
            // A path that is computed.
            None => call.strings.push("…".to_owned()),
        }
    }
    call
}

/// A statement that is no query, for which DuckDB gives no tree: its form is read here, its expressions
/// and queries are compared as such.
fn statement(
    connection: &Connection,
    policy: &Policy,
    sql: &str,
    word: &str,
    expected: &Expected,
    functions: &Functions,
) -> Result<()> {
    let tokens = lexer::tokens(sql)?;
    let planned = match word {
        "CHECKPOINT" => match tokens.as_slice() {
            [_, lake] => lake.name().is_some() && lake.name() == expected.lake.as_deref(),
            _ => false,
        },
        "CALL" => is_call(&tokens, expected),
        _ => {
            let (Some(last), count) = (tokens.last(), tokens.len()) else {
                return Err(unplanned("the statement", word));
            };
            let seen = Found::other().verdict;
            let mut outer = Outer {
                connection,
                policy,
                parameters: &[],
                sql,
                tokens: &tokens,
                at: 1,
                end: last.end,
                seen,
                planned: Some((expected, functions)),
                drops: false,
            };
            let read = match word {
                "INSERT" => outer.insert(),
                "UPDATE" => outer.update(),
                "DELETE" => outer.delete(),
                _ => outer.truncate(),
            };
            match read {
                Ok(_) => outer.at == count,
                Err(error) if error.kind() == ErrorKind::Unplanned => return Err(error),
                Err(_) => false,
            }
        }
    };
    if planned { Ok(()) } else { Err(unplanned("the statement", sql)) }
}

/// Whether it is `CALL lake.procedure('…', …)`, of strings only.
fn is_call(tokens: &[Token], expected: &Expected) -> bool {
    let [_, lake, dot, procedure, open, arguments @ .., close] = tokens else { return false };
    lake.name().is_some()
        && lake.name() == expected.lake.as_deref()
        && dot.is_symbol('.')
        && procedure.name().is_some()
        && open.is_symbol('(')
        && close.is_symbol(')')
        && arguments.iter().enumerate().all(|(at, token)| {
            if at % 2 == 0 {
                matches!(token.kind, lexer::Kind::Text(_))
            } else {
                token.is_symbol(',')
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::Instance;
    use crate::open::OpenSpec;

    struct Bench {
        connection: Connection,
        policy: Policy,
        expected: Expected,
        functions: Functions,
    }

    fn bench() -> Bench {
        let instance = Instance::open(&[]).unwrap();
        let connection = Connection::new(&instance).unwrap();
        let relation = |name: &str| ["lk".to_owned(), "s".to_owned(), name.to_owned()];
        let expected = Expected {
            calls: vec![
                TableCall::new("read_csv", ["s3://b/x.csv"]),
                TableCall::new("read_parquet", ["s3://b/1.parquet", "s3://b/2.parquet"]),
                TableCall::new("ducklake_table_changes", ["lk", "s", "t"]),
            ],
            relations: vec![relation("t")],
            writes: Some(relation("w")),
            lake: Some("lk".into()),
            shipped: true,
            texts: vec![],
        };
        let functions = HashSet::from([
            "upper",
            "+",
            "count_star",
            "error",
            "typeof",
            "||",
            "concat",
            "struct_pack",
            "list_value",
        ]);
        Bench { connection, policy: Policy::new(&OpenSpec::default()), expected, functions }
    }

    impl Bench {
        fn check(&self, sql: &str) -> Result<()> {
            check_planned(&self.connection, &self.policy, sql, &self.expected, &self.functions)
        }
    }

    #[test]
    fn what_was_planned_passes() {
        let bench = bench();
        for sql in [
            "SELECT upper(\"a\") FROM read_csv('s3://b/x.csv', delim = concat('x', 'y'), types = {'a': 'INTEGER'}) WHERE (\"a\" + 1 > $1)",
            "SELECT count(*) FROM read_parquet(['s3://b/1.parquet', 's3://b/2.parquet'])",
            "WITH \"c\" AS (SELECT \"a\" FROM \"lk\".\"s\".\"t\" AT (VERSION => 3)) SELECT * FROM \"c\" JOIN temp.pond_shipped_0 ON true ORDER BY 1 LIMIT 3",
            "SELECT CASE WHEN typeof(\"a\") IN ('X') THEN \"a\" ELSE error('pg_pond' || typeof(\"a\")) END AS \"a\" FROM \"lk\".\"s\".\"t\"",
            "SELECT * FROM (SELECT 1 FROM \"lk\".\"s\".\"t\") USING SAMPLE reservoir(10 ROWS)",
            "SELECT snapshot_id FROM ducklake_table_changes('lk', 's', 't', 1, 2)",
            "VALUES (1), (2)",
            "INSERT INTO \"lk\".\"s\".\"w\" (\"a\", \"b\") SELECT c0, c1 FROM pg_pond_rows(1)",
            "INSERT INTO \"lk\".\"s\".\"w\" (\"a\") SELECT \"a\" FROM (SELECT upper(\"a\") AS \"a\" FROM \"lk\".\"s\".\"t\") AS \"rows\"",
            "UPDATE \"lk\".\"s\".\"w\" AS \"target\" SET \"a\" = \"source\".v1 FROM (SELECT c0, c1 AS v1 FROM pg_pond_rows(7)) AS \"source\" WHERE \"target\".filename = \"source\".c0",
            "DELETE FROM \"lk\".\"s\".\"w\" AS \"target\" USING pg_pond_rows(2) AS \"source\" WHERE \"target\".\"a\" = \"source\".c0",
            "DELETE FROM \"lk\".\"s\".\"w\" AS \"x\" WHERE (\"x\".\"a\" > 3)",
            "TRUNCATE \"lk\".\"s\".\"w\"",
            "CHECKPOINT \"lk\"",
            "CALL \"lk\".set_commit_message('it''s', 'x')",
        ] {
            bench.check(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }

    #[test]
    fn anything_more_is_refused() {
        let bench = bench();
        for sql in [
            // Another path, reader, function, relation, sub-query.
            "SELECT * FROM read_csv('s3://b/y.csv')",
            "SELECT * FROM read_csv(['s3://b/x.csv', 's3://b/y.csv'])",
            "SELECT * FROM read_csv(concat('s3://b/', 'x.csv'))",
            "SELECT * FROM read_csv($1)",
            "SELECT * FROM read_parquet(['s3://b/1.parquet'])",
            "SELECT * FROM read_text('s3://b/x.csv')",
            "SELECT * FROM read_csv('s3://b/x.csv', delim = lower('X'))",
            "SELECT lower(\"a\") FROM \"lk\".\"s\".\"t\"",
            "SELECT \"lk\".\"main\".upper(\"a\") FROM \"lk\".\"s\".\"t\"",
            "SELECT \"a\" - 1 FROM \"lk\".\"s\".\"t\"",
            "SELECT count(*) OVER (), sum(\"a\") OVER () FROM \"lk\".\"s\".\"t\"",
            "SELECT * FROM \"lk\".\"s\".\"u\"",
            "SELECT * FROM \"lk\".\"t\"",
            "SELECT * FROM \"other\".\"s\".\"t\"",
            "SELECT * FROM 's3://b/x.csv'",
            "SELECT * FROM duckdb_secrets()",
            "SELECT * FROM duckdb_tables",
            "SELECT * FROM t",
            "SELECT (SELECT max(content) FROM read_text('/etc/passwd')) FROM \"lk\".\"s\".\"t\"",
            "SELECT \"a\" FROM \"lk\".\"s\".\"t\" WHERE \"a\" = '' || (SELECT content FROM read_text('/etc/passwd')) || ''",
            "SELECT \"a\" FROM \"lk\".\"s\".\"t\" UNION ALL SELECT name FROM pragma_table_info('x')",
            "SELECT * FROM ducklake_table_changes('lk', 's', 'u', 1, 2)",
            "SELECT * FROM ducklake_table_insertions('lk', 's', 't', 1, 2)",
            "DESCRIBE SELECT 1",
            "SUMMARIZE \"lk\".\"s\".\"t\"",
            "FROM (PIVOT \"lk\".\"s\".\"t\" ON \"a\" IN (1) USING count(*))",
            "SELECT 1; SELECT 2",
            "INSERT INTO \"lk\".\"s\".\"t\" (\"a\") SELECT 1",
            "INSERT INTO \"lk\".\"s\".\"w\" (\"a\") SELECT content FROM read_text('/etc/passwd')",
            "INSERT INTO \"lk\".\"s\".\"w\" (\"a\") SELECT 1; SELECT 2",
            "UPDATE \"lk\".\"s\".\"w\" AS \"target\" SET \"a\" = (SELECT max(content) FROM read_text('/etc/passwd'))",
            "UPDATE \"lk\".\"s\".\"w\" AS \"target\" SET \"a\" = lower('x')",
            "DELETE FROM \"lk\".\"s\".\"w\" AS \"target\" USING \"lk\".\"s\".\"u\" AS \"source\" WHERE true",
            "DELETE FROM \"lk\".\"s\".\"w\" AS \"target\" WHERE lower('x') = 'x'",
            "TRUNCATE \"lk\".\"s\".\"t\"",
            "CHECKPOINT \"other\"",
            "CHECKPOINT \"lk\"; SELECT 1",
            "CALL \"lk\".set_commit_message('a', 'b' || (SELECT 1))",
            "CALL \"lk\".set_commit_message('a'), ('b')",
            "CALL other.set_commit_message('a')",
        ] {
            let error = bench.check(sql).err().unwrap_or_else(|| panic!("{sql}"));
            let kinds = [ErrorKind::Unplanned, ErrorKind::StatementCount];
            assert!(kinds.contains(&error.kind()), "{sql}: {error}");
        }
    }

    #[test]
    fn what_a_users_text_uses_is_the_users() {
        let mut bench = bench();
        let text = "SELECT lower(content) AS x FROM read_text('s3://b/t.txt')";
        let whole = format!("WITH \"q\" AS (\n{text}\n) SELECT * FROM \"q\"");
        assert_eq!(bench.check(&whole).unwrap_err().kind(), ErrorKind::Unplanned);
        bench.expected.texts = vec![text.to_owned()];
        bench.check(&whole).unwrap();
        let more = format!("{whole}, read_text('s3://b/u.txt')");
        assert_eq!(bench.check(&more).unwrap_err().kind(), ErrorKind::Unplanned);
    }

    #[test]
    fn a_text_is_looked_at_once() {
        let bench = bench();
        let sql = "SELECT upper(\"a\") FROM \"lk\".\"s\".\"t\"";
        bench.check(sql).unwrap();
        let known = Arc::clone(&bench.policy.uses.lock()[sql]);
        bench.check(sql).unwrap();
        assert!(Arc::ptr_eq(&known, &bench.policy.uses.lock()[sql]));
    }
}
