//! What a role may run. DuckDB's own settings are not a sandbox (they leave table functions,
//! secrets, logging and URL parameters open), so every statement of an ordinary role is read
//! first, as the tree that DuckDB's own parser makes of it: see `walk`. This holds by itself, and
//! so does the lockdown of [`crate::open`]: two fences.

mod catalog;
mod copy;
mod ddl;
mod delta;
mod dml;
mod execute;
mod functions;
mod iceberg;
mod json;
mod lakes;
mod lexer;
mod outer;
mod planned;
mod tables;
mod target;
mod views;
mod walk;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::instance::Instance;
use crate::lexer as lexer_of_text;
use crate::location;
use crate::open::{Extension, OpenSpec};
use crate::quote::literal;
use crate::server::LakeSpec;
use crate::statement::Statement;
use crate::value::Value;
use target::Target;

/// The kind of a statement that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerdictKind {
    Select,
    /// Anything else; only a role without the sandbox gets this far with it.
    Other,
}

/// What the check found out about a statement that may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub kind: VerdictKind,
    /// The readers used, each once, in lower case; those that DuckDB puts in place of a table name
    /// included.
    pub readers: Vec<String>,
    /// The extensions that those readers come from; DuckDB knows the readers only when the instance
    /// was opened with them.
    pub extensions: Vec<Extension>,
    /// The paths in object stores that stand for whatever keys match them; see [`check_listing`].
    pub patterns: Vec<String>,
    /// The patterns of local paths; see [`check_listing`].
    pub local_patterns: Vec<String>,
    /// The Iceberg and Delta tables.
    pub tables: Vec<LogTable>,
    /// The names of all relations that are read, in lower case and without qualifiers, each once.
    pub relations: Vec<String>,
    /// The lakes whose relations are read, each once.
    pub lakes: Vec<String>,
    /// Whether DuckDB may look for functions to run it, of operators and the like.
    pub calls: bool,
    /// Whether relations are read as they were, by AT.
    pub travels: bool,
    /// The reader's name when the statement is `SELECT * FROM reader(constants)` and nothing else.
    pub bare_reader: Option<String>,
}

/// How the names of shipped tables begin. Rows that PostgreSQL has read for another part of a
/// statement, such as a view's, are not for what the user wrote beside it: no text may use such a
/// name but for the tables that were shipped to its own connection.
pub const SHIPPED_PREFIX: &str = "pond_shipped";

/// What a role may read and write, and the verdicts on its recent statements. It belongs to one
/// instance, which it keeps open after the first check: drop both together.
pub struct Policy {
    sandboxed: bool,
    readable: Vec<String>,
    writable: Vec<String>,
    /// The attached lakes.
    lakes: Vec<Lake>,
    /// Whether object stores can be reached.
    is_remote: bool,
    /// The readers that are switched off; see [`functions::READERS`].
    disabled_readers: Vec<String>,
    verdicts: Mutex<HashMap<Box<str>, Verdict>>,
    /// What recent queries of our own use.
    uses: Mutex<HashMap<Box<str>, Arc<planned::Uses>>>,
    listings: Mutex<HashMap<Box<str>, Instant>>,
    /// When Iceberg and Delta tables were found sound.
    looks: Mutex<HashMap<Box<str>, tables::KnownLook>>,
    /// When the catalogs of lakes were looked through, by the questions to them.
    catalogs: Mutex<HashMap<String, Instant>>,
    parser: Mutex<Option<Parser>>,
    /// The statement that was parsed last, and its tree: SQL of our own is looked at twice.
    last_tree: Mutex<Option<(Box<str>, Arc<str>)>>,
    /// What holds for what others have written down, whoever reads it.
    ordinary: OnceLock<Box<Policy>>,
}

/// An attached lake, and questions to its catalog.
#[derive(Clone)]
struct Lake {
    name: String,
    read_only: bool,
    /// As [`LakeSpec::rows_as_text`].
    rows_as_text: i64,
    /// The tables and expressions by which their rows are ordered; `$1` is a table, or NULL for all.
    orders: String,
    /// A path that is no plain path.
    odd_paths: String,
    /// The views of all versions.
    past_views: String,
    /// Where its catalog is.
    spec: LakeSpec,
}

impl Lake {
    fn new(spec: &LakeSpec) -> Self {
        let table = |name| spec.metadata_table(name);
        let orders = format!(
            "SELECT DISTINCT t.table_name, e.expression FROM {} e JOIN {} i USING (sort_id) JOIN {} t \
             ON t.table_id = e.table_id WHERE (i.end_snapshot IS NULL OR i.end_snapshot > \
             (SELECT id FROM ducklake_current_snapshot({}))) \
             AND lower(t.table_name) = lower(coalesce(CAST($1 AS VARCHAR), t.table_name))",
            table("ducklake_sort_expression"),
            table("ducklake_sort_info"),
            table("ducklake_table"),
            literal(spec.name()),
        );
        let holders =
            ["ducklake_schema", "ducklake_table", "ducklake_data_file", "ducklake_delete_file"];
        let odd_paths: Vec<_> = holders
            .iter()
            .map(|name| format!("SELECT path FROM {} WHERE contains(path, '?')", table(name)))
            .collect();
        Self {
            name: spec.name().to_owned(),
            read_only: spec.is_read_only(),
            rows_as_text: spec.rows_as_text(),
            orders,
            spec: spec.clone(),
            past_views: format!("SELECT view_name, sql FROM {}", table("ducklake_view")),
            odd_paths: format!("({}) LIMIT 1", odd_paths.join(" UNION ALL ")),
        }
    }
}

/// DuckDB's parser as a prepared statement: preparing it costs three times what it does.
struct Parser {
    // Dropped before its connection.
    statement: Statement,
    connection: Connection,
}

impl Parser {
    fn new(instance: &Arc<Instance>) -> Result<Self> {
        let connection = Connection::new(instance)?;
        let sql = "SELECT json_serialize_sql(CAST($1 AS VARCHAR))";
        let statement = Statement::prepare(&connection, sql)?;
        Ok(Self { statement, connection })
    }

    /// The tree of `sql` as JSON; DuckDB's parser errors are in it.
    fn tree(&self, sql: &str) -> Result<Option<String>> {
        let rows = self.statement.execute(&[Value::Varchar(sql.to_owned())])?;
        let mut tree = None;
        // To the end, so that no unfinished result is dropped.
        while let Some(chunk) = rows.next_chunk()? {
            if tree.is_none() && !chunk.is_empty() {
                let column = chunk.column(0);
                tree = column.is_valid(0).then(|| column.string(0).to_text());
            }
        }
        Ok(tree)
    }
}

/// Verdicts are kept for so many statements, none longer than so many bytes.
const CACHED_VERDICTS: usize = 256;
const CACHED_SQL_BYTES: usize = 16 << 10;
/// A larger tree is not kept for the second look.
const KEPT_TREE_BYTES: usize = 1 << 20;
/// Deeper brackets and longer names than anybody writes overflow DuckDB's stack.
const MAX_BRACKETS: usize = 1000;
const MAX_DOTS: usize = 1000;
/// The longest statement that an ordinary role may run.
const MAX_SQL_BYTES: usize = 1 << 20;

impl Policy {
    #[must_use]
    pub fn new(spec: &OpenSpec) -> Self {
        let locations = |wanted: fn(&crate::server::ServerSpec) -> bool| -> Vec<String> {
            spec.servers.iter().filter(|s| wanted(s)).map(|s| s.location().to_owned()).collect()
        };
        Self {
            sandboxed: spec.sandboxed,
            readable: locations(|_| true),
            writable: locations(crate::server::ServerSpec::is_writable),
            lakes: spec.lakes.iter().map(Lake::new).collect(),
            catalogs: Mutex::default(),
            is_remote: spec.extensions().contains(&Extension::Httpfs),
            disabled_readers: spec.disabled_readers.clone(),
            verdicts: Mutex::default(),
            uses: Mutex::default(),
            listings: Mutex::default(),
            looks: Mutex::default(),
            parser: Mutex::default(),
            last_tree: Mutex::default(),
            ordinary: OnceLock::new(),
        }
    }

    #[must_use]
    pub fn is_sandboxed(&self) -> bool {
        self.sandboxed
    }

    /// The prefixes that the role may read.
    #[must_use]
    pub fn readable(&self) -> &[String] {
        &self.readable
    }

    /// The prefixes that the role may write.
    #[must_use]
    pub fn writable(&self) -> &[String] {
        &self.writable
    }

    /// The attached lake of this name.
    fn lake(&self, name: &str) -> Option<&str> {
        self.lake_named(name).map(|lake| lake.name.as_str())
    }

    fn lake_named(&self, name: &str) -> Option<&Lake> {
        // As DuckDB compares names.
        self.lakes.iter().find(|lake| lake.name.eq_ignore_ascii_case(name))
    }

    /// # Errors
    /// [`ErrorKind::ReadOnly`].
    fn check_lake_write(&self, lake: &str) -> Result<()> {
        match self.lake_named(lake) {
            Some(lake) if lake.read_only => Err(Error::new(
                ErrorKind::ReadOnly,
                format!("server \"{}\" is read-only", lake.name),
            )),
            _ => Ok(()),
        }
    }

    /// What an ordinary role with the same servers might read.
    fn ordinary(&self) -> &Self {
        self.ordinary.get_or_init(|| {
            Box::new(Self {
                sandboxed: true,
                readable: self.readable.clone(),
                writable: vec![],
                lakes: self.lakes.clone(),
                is_remote: self.is_remote,
                disabled_readers: self.disabled_readers.clone(),
                verdicts: Mutex::default(),
                uses: Mutex::default(),
                listings: Mutex::default(),
                looks: Mutex::default(),
                catalogs: Mutex::default(),
                parser: Mutex::default(),
                last_tree: Mutex::default(),
                ordinary: OnceLock::new(),
            })
        })
    }

    /// Whether `sql` may name an attached lake. Its name may stand there as something else.
    pub fn may_name_lake(&self, sql: &str) -> bool {
        self.lakes_maybe_in(sql).next().is_some()
    }

    /// The attached lakes that `sql` may name.
    pub fn lakes_maybe_in(&self, sql: &str) -> impl Iterator<Item = &str> {
        let sql = if self.lakes.is_empty() { String::new() } else { sql.to_ascii_lowercase() };
        self.lakes.iter().map(|lake| lake.name.as_str()).filter(move |name| {
            let name = name.to_ascii_lowercase();
            sql.contains(&name) || sql.contains(&name.replace('"', "\"\""))
        })
    }

    /// The attached lake that a statement that is no query changes: that of its target where the
    /// statement's form tells the target; otherwise the first that it names as the qualifier of a
    /// name, as a string, or as its last word (`CHECKPOINT lake`).
    pub fn lake_changed_by(&self, sql: &str) -> Option<&str> {
        if !self.may_name_lake(sql) {
            return None;
        }
        let tokens = lexer::tokens(sql).ok()?;
        match target::of(&tokens) {
            Target::Named(at) => {
                let qualifies = tokens.get(at + 1).is_some_and(|next| next.is_symbol('.'));
                tokens[at].name().filter(|_| qualifies).and_then(|name| self.lake(name))
            }
            Target::Outside => None,
            Target::Unknown => tokens.iter().enumerate().find_map(|(at, token)| {
                let next = tokens.get(at + 1);
                match &token.kind {
                    lexer::Kind::Word(name) | lexer::Kind::Quoted(name)
                        if next.is_none_or(|next| next.is_symbol('.') || next.is_symbol(';')) =>
                    {
                        self.lake(name)
                    }
                    lexer::Kind::Text(name) => self.lake(name),
                    _ => None,
                }
            }),
        }
    }

    /// The table that a statement creates, alters or writes rows to, as the statement names it; `None`
    /// for other statements.
    pub fn table_changed_by<'a>(&self, sql: &'a str) -> Option<&'a str> {
        let tokens = lexer::tokens(sql).ok()?;
        let first = |word: &str| tokens.first().is_some_and(|token| token.is_word(word));
        let defines = first("create") || first("alter");
        if defines && !tokens.iter().take(4).any(|token| token.is_word("table")) {
            return None;
        }
        if !defines && !["insert", "update", "merge", "copy"].into_iter().any(first) {
            return None;
        }
        let Target::Named(at) = target::of(&tokens) else { return None };
        let mut end = at;
        while tokens.get(end + 1).is_some_and(|token| token.is_symbol('.'))
            && tokens.get(end + 2).is_some_and(|token| token.name().is_some())
        {
            end += 2;
        }
        sql.get(tokens[at].start..tokens.get(end)?.end)
    }

    /// DuckDB's tree of a statement.
    fn tree(&self, instance: &Arc<Instance>, sql: &str) -> Result<Arc<str>> {
        let mut last = self.last_tree.lock();
        if let Some((_, tree)) = last.as_ref().filter(|(of, _)| **of == *sql) {
            return Ok(Arc::clone(tree));
        }
        let tree: Arc<str> = self.parsed(instance, sql)?.into();
        *last = (tree.len() <= KEPT_TREE_BYTES).then(|| (sql.into(), Arc::clone(&tree)));
        Ok(tree)
    }

    fn parsed(&self, instance: &Arc<Instance>, sql: &str) -> Result<String> {
        let mut kept = self.parser.lock();
        let fits = |parser: &Parser| Arc::ptr_eq(parser.connection.instance(), instance);
        // Taken out, so that one that fails is not used again.
        let parser = match kept.take().filter(fits) {
            Some(parser) => parser,
            None => Parser::new(instance)?,
        };
        let tree = parser.tree(sql)?;
        *kept = Some(parser);
        tree.ok_or_else(|| {
            Error::new(ErrorKind::NotSupported, "DuckDB gives no tree of the statement")
        })
    }

    /// Refuses a function of a reader that is switched off, whoever calls it.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`] naming the setting.
    fn check_reader(&self, function: &str) -> Result<()> {
        match functions::reader_family(function) {
            Some(family) if self.disabled_readers.iter().any(|disabled| disabled == family) => Err(
                not_allowed(format!("reader {family} is switched off by duckdb.disabled_readers")),
            ),
            _ => Ok(()),
        }
    }

    /// Checks a path to read, as the role wrote it.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`].
    pub fn check_read(&self, path: &str) -> Result<()> {
        self.check_path(path, &self.readable, "lies outside the locations of the role's servers")
    }

    /// Checks a path to write, as the role wrote it.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`].
    pub fn check_write(&self, path: &str) -> Result<()> {
        let outside = "lies outside the locations of the role's writable servers";
        self.check_path(path, &self.writable, outside)?;
        if self.sandboxed && path.contains(['*', '?', '[', ']', '{', '}']) {
            return Err(not_allowed(format!(
                "path \"{}\" is not allowed: it holds glob characters",
                shown(path)
            )));
        }
        Ok(())
    }

    fn check_path(&self, path: &str, prefixes: &[String], outside: &str) -> Result<()> {
        if !self.sandboxed {
            return Ok(());
        }
        if let Some(fault) = location::fault(path) {
            return Err(not_allowed(format!("path \"{}\" is not allowed: {fault}", shown(path))));
        }
        if prefixes.iter().any(|prefix| location::is_under(path, prefix)) {
            return Ok(());
        }
        Err(not_allowed(format!("path \"{}\" {outside}", shown(path))))
    }
}

/// Whether a statement may name the database `name`: as the qualifier of a name, as a string, or where the
/// name of a database stands. A path that has it as a folder, or a column of the name, does not.
#[must_use]
pub fn names_database(sql: &str, name: &str) -> bool {
    let before = ["checkpoint", "database", "detach", "from", "to", "use"];
    // What cannot be read may name anything.
    let Ok(tokens) = lexer::tokens(sql) else { return true };
    let is_database = |(at, token): (usize, &lexer::Token)| match &token.kind {
        lexer::Kind::Word(word) | lexer::Kind::Quoted(word) if word.eq_ignore_ascii_case(name) => {
            let previous = at.checked_sub(1).and_then(|at| tokens.get(at));
            tokens.get(at + 1).is_some_and(|next| next.is_symbol('.'))
                || previous.is_some_and(|word| before.iter().any(|known| word.is_word(known)))
        }
        lexer::Kind::Text(text) => text.eq_ignore_ascii_case(name),
        lexer::Kind::Other => {
            let text = sql[token.start..token.end].to_ascii_lowercase();
            text.contains(&name.to_ascii_lowercase())
        }
        _ => false,
    };
    tokens.iter().enumerate().any(is_database)
}

fn not_allowed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::NotAllowed, message)
}

/// A path as it may stand in a message: bounded, without control characters, and without URL
/// parameters, which may hold signatures and keys.
fn shown(path: &str) -> String {
    let (place, parameters) = path.split_once('?').map_or((path, ""), |(place, _)| (place, "?…"));
    let mut text: String = place.chars().take(200).flat_map(char::escape_debug).collect();
    if place.chars().nth(200).is_some() {
        text.push('…');
    }
    text + parameters
}

/// Checks a statement that returns rows. Nothing of it is bound or executed.
///
/// Tables that the caller has shipped to `connection` may be read in it; what a user wrote goes
/// through [`check_user_text`] as well, to which they do not exist.
///
/// An ordinary role may run exactly one SELECT (DESCRIBE, SUMMARIZE, VALUES, FROM … and the like
/// are SELECTs to DuckDB), whose functions are allow-listed and whose paths lie under the
/// locations of its servers. Paths that are parameters are looked up in `parameters`, `$1` first.
///
/// # Errors
/// [`ErrorKind::NotAllowed`], [`ErrorKind::NotSupported`], [`ErrorKind::StatementCount`],
/// [`ErrorKind::ParameterNotResolved`] when a path's parameter has no value, and DuckDB's parser
/// errors in DuckDB's words.
pub fn check_query(
    connection: &Connection,
    policy: &Policy,
    sql: &str,
    parameters: &[Value],
) -> Result<Verdict> {
    check(connection.instance(), policy, sql, parameters, &connection.shipped_tables())
}

/// As [`check_query`], for a text that becomes part of a larger statement.
///
/// # Errors
/// As [`check_query`].
pub fn check_user_text(
    instance: &Arc<Instance>,
    policy: &Policy,
    sql: &str,
    parameters: &[Value],
) -> Result<Verdict> {
    check(instance, policy, sql, parameters, &[])
}

fn check(
    instance: &Arc<Instance>,
    policy: &Policy,
    sql: &str,
    parameters: &[Value],
    shipped: &[String],
) -> Result<Verdict> {
    if let Some(verdict) = policy.verdicts.lock().get(sql) {
        return Ok(verdict.clone());
    }
    check_size(policy, sql)?;
    let tree = policy.tree(instance, sql)?;
    let document = json::Document::parse(&tree)?;
    let found = match walk::statement(document.root(), sql) {
        Ok(node) => walk::walk(policy, parameters, shipped, node)?,
        Err(error) if !policy.sandboxed && error.kind() == ErrorKind::NotAllowed => {
            walk::Found::other()
        }
        Err(error) => return Err(error),
    };
    if found.holds_for_others && sql.len() <= CACHED_SQL_BYTES {
        let mut verdicts = policy.verdicts.lock();
        if verdicts.len() >= CACHED_VERDICTS {
            verdicts.clear();
        }
        verdicts.insert(sql.into(), found.verdict.clone());
    }
    Ok(found.verdict)
}

/// Refuses what DuckDB's parser would choke on.
fn check_size(policy: &Policy, sql: &str) -> Result<()> {
    if policy.sandboxed && sql.len() > MAX_SQL_BYTES {
        return Err(Error::new(
            ErrorKind::NotSupported,
            format!("the statement is longer than {MAX_SQL_BYTES} bytes"),
        ));
    }
    let (brackets, dots) = lexer_of_text::nesting(sql);
    if policy.sandboxed && (brackets > MAX_BRACKETS || dots > MAX_DOTS) {
        return Err(Error::new(ErrorKind::NotSupported, "the statement is nested too deeply"));
    }
    Ok(())
}

/// How long a listing that was found clean counts.
const LISTING_COUNTS_FOR: Duration = Duration::from_secs(1);

/// Looks through the keys that a pattern of a statement matches, before the statement is bound. An
/// object's key may hold `?s3_endpoint=…`: anybody who can write below a location can make one, and
/// DuckDB, which reads URL parameters off every path it opens, would send the next reader's signed
/// request to any host. (Its setting `s3_url_compatibility_mode` prevents that, and patterns too.)
/// A key that comes into being between this look and DuckDB's own is not seen.
///
/// # Errors
/// [`ErrorKind::NotAllowed`] naming the key; DuckDB's own for a listing that fails.
pub fn check_listing(connection: &Connection, policy: &Policy, pattern: &str) -> Result<()> {
    let known = policy.listings.lock().get(pattern).copied();
    if known.is_some_and(|seen: Instant| seen.elapsed() < LISTING_COUNTS_FOR) {
        return Ok(());
    }
    let question = [Value::Varchar(pattern.to_owned())];
    if !pattern.contains("://") {
        check_links(connection, policy, pattern, &question)?;
        note_listing(policy, pattern);
        return Ok(());
    }
    let odd = connection.query_text(
        "SELECT file FROM glob(CAST($1 AS VARCHAR)) \
         WHERE contains(file, '?') OR contains(file, '/../') OR contains(file, '/./') LIMIT 1",
        &question,
    )?;
    if let Some(key) = odd {
        return Err(not_allowed(format!(
            "pattern \"{pattern}\" matches the key \"{key}\", which DuckDB would read as something else"
        )));
    }
    note_listing(policy, pattern);
    Ok(())
}

fn note_listing(policy: &Policy, pattern: &str) {
    let mut listings = policy.listings.lock();
    if listings.len() >= CACHED_VERDICTS {
        listings.clear();
    }
    listings.insert(pattern.into(), Instant::now());
}

/// Looks through the local files that a pattern matches: DuckDB goes through symbolic links when it
/// lists folders, and looks where they lead only when it opens a file.
fn check_links(
    connection: &Connection,
    policy: &Policy,
    pattern: &str,
    question: &[Value],
) -> Result<()> {
    if !policy.sandboxed {
        return Ok(());
    }
    let files = views::texts(connection, "SELECT file FROM glob(CAST($1 AS VARCHAR))", question)?;
    match files.iter().flatten().find(|file| !policy.leads_to_location(file.as_ref())) {
        None => Ok(()),
        // Not by its name, which the role need not know.
        Some(_) => Err(not_allowed(format!(
            "pattern \"{}\" leads outside the locations of the role's servers by a symbolic link",
            shown(pattern)
        ))),
    }
}

pub use execute::{check_execute, is_export};
pub use functions::READERS;
pub use lakes::{admit, check_made, check_target, prepare_write};
pub use planned::{Expected, Functions, RelationName, TableCall, check_planned};
pub use tables::LogTable;
pub use views::READS_THE_PAST;
use views::check_views;

#[cfg(test)]
mod lake_tests;
#[cfg(test)]
mod tests;
