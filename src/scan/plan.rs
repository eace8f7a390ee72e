//! What a plan keeps of a scan: plain data, copied and cached with the plan.

use duck::policy::{Expected, RelationName};
use duck::sql::{Printed, Sql};
use duck::{lexer, sql};
use pgrx::pg_sys;
use serde::{Deserialize, Serialize};

use crate::lake::travel::Travel;

/// Where a scan's SQL comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Source {
    /// The user's own text. Columns are found by their names (`duckdb.query_by_name`, which is what
    /// `duckdb.query` becomes) or by their positions (`duckdb.query_rows`).
    Call { by_name: bool },
    /// Text of our own over foreign tables; it returns just the fetched columns.
    Tables(Tables),
}

/// A statement around the scan's text, which writes its rows to a lake.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Modify {
    /// `INSERT`, `UPDATE` or `DELETE`.
    pub command: String,
    pub server: u32,
    /// The names of the lake, the schema and the table.
    pub table: RelationName,
    /// The foreign table's OID, and what the lake calls the columns that are written.
    pub relation: u32,
    pub columns: Vec<String>,
    pub before: String,
    pub behind: String,
    /// The statement that does the same without joining the table to its own rows, and the numbers of
    /// the columns that have to be just as declared for that.
    pub in_place: Option<(Printed, Vec<i16>)>,
}

/// Rows that are handed to DuckDB.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Shipped {
    pub label: String,
    pub estimated_rows: f64,
    /// Name, OID and typmod.
    pub columns: Vec<(String, u32, i32)>,
}

impl ScanPlan {
    /// Whether the columns of a query of the user's, found out when the statement was analysed, are
    /// part of the plan.
    #[must_use]
    pub fn holds_queries(&self) -> bool {
        match &self.source {
            Source::Call { by_name } => *by_name,
            Source::Tables(tables) => tables.queries,
        }
    }
}

impl Tables {
    #[must_use]
    pub fn server_oids(&self) -> Vec<pg_sys::Oid> {
        self.servers.iter().map(|oid| pg_sys::Oid::from(*oid)).collect()
    }

    /// The numbers of the columns that are read of a foreign table.
    #[must_use]
    pub fn columns_of(&self, relation: pg_sys::Oid) -> &[i16] {
        let found = self.columns.iter().find(|(oid, _)| *oid == relation.to_u32());
        found.map_or(&[], |(_, numbers)| numbers)
    }
}

impl Default for Source {
    fn default() -> Self {
        Self::Call { by_name: false }
    }
}

/// What a text of our own reads.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tables {
    /// The OIDs of the servers, sorted, each once.
    pub servers: Vec<u32>,
    /// The relations' names, for EXPLAIN.
    pub relations: Vec<String>,
    /// Their OIDs, with the numbers of the columns that are read.
    #[serde(default)]
    pub columns: Vec<(u32, Vec<i16>)>,
    /// The text ends with LIMIT or OFFSET.
    #[serde(default)]
    pub has_limit: bool,
    /// The role as which PostgreSQL checks access to the relations; 0 for whoever runs the plan.
    pub role: u32,
    /// Whether the text holds queries of `duckdb.query`, which need the role's right to it.
    pub queries: bool,
    /// What the text uses, those queries included.
    pub expected: Box<Expected>,
    /// What PostgreSQL does itself, and why.
    pub kept: Vec<String>,
    /// What PostgreSQL reads and hands over; the plans stand in the node's `custom_private`.
    pub shipped: Vec<Shipped>,
}

/// A DuckDB scan as the planner left it. The expressions whose values it needs (the query's
/// arguments, the values of pushed-down conditions, the limits) are the node's `custom_exprs`, in
/// that order; the types of its columns are those of its `custom_scan_tlist`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ScanPlan {
    pub source: Source,
    /// A look at a lake's past, whose SQL is made anew when it runs.
    #[serde(default)]
    pub travel: Option<Travel>,
    /// The DuckDB query in UTF-8: as the user wrote it, or ours.
    pub sql: String,
    /// Ours as EXPLAIN shows it, where that differs.
    #[serde(default)]
    pub shown: Option<String>,
    /// The names of all its columns, in order, as they were when it was described.
    pub names: Vec<String>,
    /// The columns to fetch: positions in `names`, from 0.
    pub fetch: Vec<usize>,
    /// Whether a whole row is asked for; its value comes behind the fetched columns.
    pub whole_row: bool,
    /// The composite type of a whole row, 0 for a record of all columns; and for each attribute of
    /// that type the fetched column that fills it.
    pub row_type: u32,
    pub row_columns: Vec<Option<usize>>,
    /// The whole row is asked for as a plain record, whatever its type.
    #[serde(default)]
    pub row_as_record: bool,
    /// The OID that `tableoid` returns, if it is asked for; it comes next.
    pub table_oid: Option<u32>,
    /// Whether a row's place is asked for, which SELECT FOR UPDATE of a partitioned table asks all
    /// partitions for. Foreign tables have none; that it has none comes last.
    #[serde(default)]
    pub row_id: bool,
    /// The condition that DuckDB checks, in its SQL; empty for none.
    pub condition: String,
    /// What the condition's columns need beside it, which EXPLAIN does not show: see [`mixed`].
    ///
    /// [`mixed`]: crate::lake::mixed
    #[serde(default)]
    pub companions: Vec<String>,
    /// The columns that the condition looks at: their positions, and the PostgreSQL types (OID and
    /// typmod) on which the condition was agreed.
    pub condition_columns: Vec<(usize, u32, i32)>,
    pub arguments: usize,
    pub condition_values: usize,
    /// Whether the LIMIT, and the OFFSET, stand at the end of the expressions.
    pub limit: bool,
    pub offset: bool,
    /// What is done with the rows, which the scan does not return then.
    #[serde(default)]
    pub modify: Option<Modify>,
}

/// The name of the wrapped query. No column is likely to have it.
const ALIAS: &str = "\"pg_pond query\"";

impl ScanPlan {
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    #[must_use]
    pub fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Whether the query can stand inside another one. CALL, PRAGMA and EXPLAIN cannot: they run
    /// as they are and return all their columns.
    #[must_use]
    pub fn is_wrapped(&self) -> bool {
        matches!(self.source, Source::Tables(_)) || lexer::is_subquery(&self.sql)
    }

    /// What the scan reads, if its text is ours.
    #[must_use]
    pub fn tables(&self) -> Option<&Tables> {
        match &self.source {
            Source::Tables(tables) => Some(tables),
            Source::Call { .. } => None,
        }
    }

    /// Whether columns are asked for by name, so that one that has moved is still the right one,
    /// and a missing one is DuckDB's error. Duplicate names leave only their positions.
    #[must_use]
    pub fn uses_names(&self) -> bool {
        match self.source {
            Source::Tables(_) => return true,
            Source::Call { by_name: false } => return false,
            Source::Call { by_name: true } => {}
        }
        let mut names: Vec<_> = self.names.iter().map(|name| name.to_lowercase()).collect();
        names.sort_unstable();
        names.windows(2).all(|pair| pair[0] != pair[1]) && !names.iter().any(String::is_empty)
    }

    /// How many columns the query must have, where only that keeps positions meaningful.
    #[must_use]
    pub fn expected_columns(&self) -> Option<usize> {
        (self.is_wrapped() && !self.uses_names()).then_some(self.names.len())
    }

    /// The position of the result's column for the `index`th fetched column.
    #[must_use]
    pub fn result_column(&self, index: usize) -> usize {
        if self.is_wrapped() { index } else { self.fetch[index] }
    }

    /// The name by which DuckDB's SQL calls column `position` of the wrapped query.
    #[must_use]
    pub fn column_reference(&self, position: usize) -> Sql {
        if self.uses_names() {
            sql::identifier(&self.names[position])
        } else {
            sql!("c{}", position)
        }
    }

    /// The SQL that runs, with at most `limit` rows.
    #[must_use]
    pub fn final_sql(&self, limit: Option<u64>) -> String {
        if let Some(tables) = self.tables() {
            let sql = &self.sql;
            return match limit {
                None => sql.clone(),
                Some(limit) if tables.has_limit => {
                    format!("SELECT * FROM ({sql}) AS \"pushed\" LIMIT {limit}")
                }
                Some(limit) => format!("{sql} LIMIT {limit}"),
            };
        }
        // These cost nothing, and their types tell whether the condition still means the same.
        let types_only = self.condition_columns.iter().map(|(at, ..)| {
            format!("CASE WHEN false THEN {} END", self.column_reference(*at).executed())
        });
        self.sql_with(&self.sql, types_only.collect(), &self.companions, limit)
    }

    /// Takes our own text.
    pub fn set_sql(&mut self, sql: &Sql) {
        let Printed { executed, shown } = sql.printed();
        (self.sql, self.shown) = (executed, shown);
    }

    /// The SQL as EXPLAIN shows it.
    #[must_use]
    pub fn shown_sql(&self) -> String {
        let shown = self.shown.as_deref().unwrap_or(&self.sql);
        if self.tables().is_some() {
            return match &self.modify {
                Some(Modify { in_place: Some((sql, _)), .. }) => sql.shown().to_owned(),
                Some(modify) => format!("{}{shown}{}", modify.before, modify.behind),
                None => shown.to_owned(),
            };
        }
        self.sql_with(shown, vec![], &[], None)
    }

    fn sql_with(
        &self,
        sql: &str,
        types_only: Vec<String>,
        companions: &[String],
        limit: Option<u64>,
    ) -> String {
        if !lexer::is_subquery(sql) {
            return sql.to_owned();
        }
        let columns: Vec<_> =
            self.fetch.iter().map(|position| self.column_reference(*position).executed()).collect();
        let columns: Vec<_> = columns.into_iter().chain(types_only).collect();
        // A row count needs rows, and a row needs a column.
        let columns = if columns.is_empty() { "1".to_owned() } else { columns.join(", ") };
        let aliases = if self.uses_names() {
            String::new()
        } else {
            let names: Vec<_> = (0..self.names.len()).map(|i| format!("c{i}")).collect();
            format!("({})", names.join(", "))
        };
        // The newline ends a comment at the query's end.
        let query = lexer::without_terminator(sql);
        let mut sql = format!("SELECT {columns} FROM (\n{query}\n) AS {ALIAS}{aliases}");
        if !self.condition.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&self.condition);
            for companion in companions {
                sql.push_str(" AND ");
                sql.push_str(companion);
            }
        }
        if let Some(limit) = limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        sql
    }
}
