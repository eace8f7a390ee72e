//! Views of lakes. Whoever may write a lake's catalog decides what its views hold, and DuckDB runs
//! that for whoever reads them: functions that reach other servers and files among it. So a view is
//! read only if its own query would be allowed to an ordinary role.

use super::lakes::check_macros;
use super::lexer::tokens;
use super::tables::look_at;
use super::{Policy, Verdict, VerdictKind, catalog, check, check_listing, not_allowed};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::quote::identifier;
use crate::statement::Statement;
use crate::value::Value;

struct View {
    name: String,
    sql: String,
}

/// Views of views that stand deeper are refused.
const MAX_DEPTH: usize = 16;

/// DuckLake would mix the past with the transaction's own changes.
pub const READS_THE_PAST: &str =
    "the past of a lake cannot be read in a transaction that has written to it";

/// Checks the views that a statement of this verdict reads, and returns the lakes and the names that it
/// reads with them. To be called in the transaction in which
/// the statement is bound, so that both see the same views.
///
/// # Errors
/// [`ErrorKind::NotAllowed`] naming the view; [`ErrorKind::NotSupported`] for one that reads the past of
/// a lake while a transaction is writing; DuckDB's own, when the lake cannot be read.
pub fn check_views(
    connection: &Connection,
    policy: &Policy,
    verdict: &Verdict,
) -> Result<(Vec<String>, Vec<String>)> {
    let is_writing = connection.instance().is_writing();
    if verdict.travels && is_writing {
        return Err(Error::new(ErrorKind::NotSupported, READS_THE_PAST));
    }
    let mut names: Vec<_> = verdict.relations.iter().map(|name| (name.clone(), 0)).collect();
    let mut travels = verdict.travels;
    let looked = |lake: &String| Looked::new(connection, policy, lake, travels);
    let mut lakes = verdict.lakes.iter().map(looked).collect::<Result<Vec<_>>>()?;
    // A view may name relations and lakes that the statement does not: every name is looked up in
    // every lake.
    while let Some(lake) = lakes.iter_mut().find(|lake| lake.next < names.len()) {
        let (name, depth) = names[lake.next].clone();
        lake.next += 1;
        if depth > MAX_DEPTH {
            return Err(Error::new(
                ErrorKind::NotSupported,
                format!("views of lake \"{}\" are nested too deeply", lake.name),
            ));
        }
        for read in lake.check(connection, policy, &name)? {
            for name in read.relations {
                if !names.iter().any(|(known, _)| *known == name) {
                    names.push((name, depth + 1));
                }
            }
            if read.travels && is_writing {
                return Err(Error::new(ErrorKind::NotSupported, READS_THE_PAST));
            }
            if read.travels && !travels {
                travels = true;
                lakes.iter_mut().try_for_each(|lake| lake.travel(connection, policy))?;
            }
            for name in read.lakes {
                if !lakes.iter().any(|known| known.name == name) {
                    lakes.push(Looked::new(connection, policy, &name, travels)?);
                }
            }
        }
    }
    let lakes = lakes.into_iter().map(|lake| lake.name).collect();
    Ok((lakes, names.into_iter().map(|(name, _)| name).collect()))
}

/// A lake whose views are looked at.
struct Looked {
    name: String,
    views: Vec<View>,
    /// How many of the names have been looked up.
    next: usize,
    has_known_macros: bool,
}

impl Looked {
    fn new(connection: &Connection, policy: &Policy, lake: &str, travels: bool) -> Result<Self> {
        catalog::check(connection, policy, lake)?;
        let views = views_of(connection, lake)?;
        let mut looked = Self { name: lake.to_owned(), views, next: 0, has_known_macros: false };
        if travels {
            looked.travel(connection, policy)?;
        }
        Ok(looked)
    }

    /// Looks at the views of all versions from now on: a statement may read what a view was. Only the
    /// catalog's tables tell. Somebody who changes them between this look and DuckLake's own is not
    /// seen.
    fn travel(&mut self, connection: &Connection, policy: &Policy) -> Result<()> {
        let Some(lake) = policy.lake_named(&self.name) else { return Ok(()) };
        let past = texts(connection, &lake.past_views, &[])?;
        for row in past {
            if let Ok([name, sql]) = <[_; 2]>::try_from(row) {
                let sql = sql.replace("{DUCKLAKE_CATALOG}", &identifier(&self.name));
                self.views.push(View { name, sql: format!("CREATE VIEW v AS {sql}") });
            }
        }
        self.next = 0;
        Ok(())
    }

    /// Checks the views of this name, whatever their schemas; returns what each of them reads.
    fn check(
        &mut self,
        connection: &Connection,
        policy: &Policy,
        name: &str,
    ) -> Result<Vec<Verdict>> {
        let mut found = vec![];
        for view in self.views.iter().filter(|view| view.name.to_lowercase() == name) {
            let read = check_body(connection, policy.ordinary(), view);
            let read = read.map_err(|error| self.unreadable(view, &error))?;
            let looked = look_through(connection, policy.ordinary(), &read);
            looked.map_err(|error| self.unreadable(view, &error))?;
            // This takes ten times as long as the rest.
            if read.calls && !self.has_known_macros {
                check_macros(connection, &self.name).map_err(|e| self.unreadable(view, &e))?;
                self.has_known_macros = true;
            }
            found.push(read);
        }
        Ok(found)
    }

    fn unreadable(&self, view: &View, error: &Error) -> Error {
        let message = format!(
            "view \"{}\" of lake \"{}\" cannot be read: {}",
            view.name,
            self.name,
            error.message()
        );
        Error::new(error.kind(), message)
    }
}

/// What a view reads.
fn check_body(connection: &Connection, ordinary: &Policy, view: &View) -> Result<Verdict> {
    let body = body(&view.sql)?;
    let verdict = check(connection.instance(), ordinary, body, &[], &[])?;
    if verdict.kind != VerdictKind::Select {
        return Err(not_allowed("it is not a query"));
    }
    if !verdict.patterns.is_empty() {
        return Err(not_allowed("it reads a pattern of files"));
    }
    Ok(verdict)
}

/// Looks at the files that a view reads. It runs as it is stored, so nothing of it can be guarded.
fn look_through(connection: &Connection, ordinary: &Policy, read: &Verdict) -> Result<()> {
    let mut patterns = read.local_patterns.iter();
    patterns.try_for_each(|pattern| check_listing(connection, ordinary, pattern))?;
    let guards = look_at(connection, ordinary, &read.tables)?;
    if guards.iter().all(Vec::is_empty) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NotSupported,
        "DuckDB would leave out rows of the Iceberg or Delta table that it reads",
    ))
}

/// The query in `CREATE VIEW name (columns) AS query`.
fn body(sql: &str) -> Result<&str> {
    let mut depth = 0_u32;
    let mut end = sql.len();
    let all = tokens(sql)?;
    if let Some(last) = all.last().filter(|last| last.is_symbol(';')) {
        end = last.start;
    }
    for token in &all {
        if token.is_symbol('(') {
            depth += 1;
        } else if token.is_symbol(')') {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && token.is_word("as") {
            return Ok(&sql[token.end..end]);
        }
    }
    Err(not_allowed("its definition cannot be read"))
}

fn views_of(connection: &Connection, lake: &str) -> Result<Vec<View>> {
    let sql = "SELECT view_name, sql FROM duckdb_views() \
               WHERE database_name = CAST($1 AS VARCHAR) AND NOT internal";
    let rows = texts(connection, sql, &[Value::Varchar(lake.to_owned())])?;
    Ok(rows
        .into_iter()
        .filter_map(|row| match <[_; 2]>::try_from(row) {
            Ok([name, sql]) => Some(View { name, sql }),
            Err(_) => None,
        })
        .collect())
}

/// The rows of a query of our own whose columns are all text.
pub(super) fn texts(
    connection: &Connection,
    sql: &str,
    parameters: &[Value],
) -> Result<Vec<Vec<String>>> {
    let rows = Statement::prepare(connection, sql)?.execute(parameters)?;
    let mut found = vec![];
    while let Some(chunk) = rows.next_chunk()? {
        for row in 0..chunk.len() {
            let columns = 0..chunk.column_count();
            found.push(columns.map(|c| chunk.column(c).string(row).to_text()).collect());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_a_view_is_found() {
        let of = |sql: &str| body(sql).map(str::trim).map(str::to_owned).unwrap();
        assert_eq!(of("CREATE VIEW v AS SELECT 1 AS a;"), "SELECT 1 AS a");
        assert_eq!(of("CREATE VIEW \"as\" (a, \"b as c\") AS (FROM t)"), "(FROM t)");
        assert!(body("CREATE VIEW v").is_err());
    }
}
