//! An open instance with the policy of its role. All of this runs on driver threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use duck::appender::TempTable;
use duck::driver::Control;
use duck::open::{self, Extension, OpenSpec};
use duck::policy::{self, Expected, Policy, Verdict};
use duck::server::LakeSpec;
use duck::statement::Rows;
use duck::transaction::{Lease, Source, Transaction};
use duck::{
    Column, Connection, Error, ErrorKind, Instance, LogicalType, Result, Statement, StatementKind,
    Value, lexer, placeholder, quote, stored,
};

use pgrx::pg_sys;

use super::{Around, InstanceKey, Request, planned};
use crate::lake::table::WriteCheck;

/// Through which door a statement came, which decides what it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A role that may execute `duckdb.query`: any query.
    Query,
    /// A role that may execute these readers only: exactly one call of one of them.
    Readers(Vec<String>),
    /// SQL that pg_pond itself wrote over foreign tables on these servers, sorted, and what it is going
    /// to use: what the role may read of them PostgreSQL has checked.
    Tables(Vec<pg_sys::Oid>, Arc<Expected>),
    /// SQL of pg_pond's over foreign tables and queries of the user's, who may execute `duckdb.query`
    /// and use the tables' servers.
    QueryAndTables(Arc<Expected>),
}

impl Entry {
    /// SQL of our own over tables of one server, or about them.
    pub fn table(server: pg_sys::Oid, expected: Expected) -> Self {
        Self::Tables(vec![server], Arc::new(expected))
    }

    /// What SQL of our own is going to use.
    fn expected(&self) -> Option<&Expected> {
        match self {
            Self::Query | Self::Readers(_) => None,
            Self::Tables(_, expected) | Self::QueryAndTables(expected) => Some(expected),
        }
    }
}

/// What is known of a query without running it.
pub struct Description {
    pub columns: Vec<Column>,
    /// The number of its parameters.
    pub parameters: usize,
    /// The arguments' types; of those that were not known what DuckDB does with them, or else text.
    pub arguments: Vec<LogicalType>,
}

/// An open instance and what its role may do with it.
pub struct Engine {
    name: InstanceKey,
    instance: Arc<Instance>,
    policy: Policy,
    extensions: Vec<Extension>,
    /// The instance's own time zone; connections set another one where it differs.
    timezone: String,
    lakes: usize,
    catalogs: HashMap<String, Catalog>,
    crowded: AtomicBool,
}

/// What commits need to know of a lake's catalog.
pub struct Catalog {
    /// The statement that takes the lock under which pg_pond commits.
    lock: Option<String>,
    /// Tables, as DuckDB names them.
    pub snapshot_changes: String,
    pub tables: String,
    partition_columns: String,
}

impl Catalog {
    fn of(lake: &LakeSpec) -> Self {
        Self {
            lock: lake.commit_lock(),
            snapshot_changes: lake.metadata_table("ducklake_snapshot_changes"),
            tables: lake.metadata_table("ducklake_table"),
            partition_columns: lake.metadata_table("ducklake_partition_column"),
        }
    }
}

impl Engine {
    pub fn open(name: InstanceKey, spec: &OpenSpec, timezone: &str) -> Result<Self> {
        let instance = open::open(spec)?;
        let connection = Connection::new(&instance)?;
        let set = format!("SET GLOBAL TimeZone = {}", quote::literal(timezone));
        connection.execute_batch(&set).map_err(|error| timezone_error(timezone, &error))?;
        let policy = Policy::new(spec);
        let extensions = spec.extensions();
        let (timezone, lakes) = (timezone.to_owned(), spec.lakes.len());
        let crowded = AtomicBool::new(false);
        let catalogs = spec.lakes.iter().map(|lake| (lake.name().to_owned(), Catalog::of(lake)));
        let catalogs = catalogs.collect();
        Ok(Self { name, instance, policy, extensions, timezone, lakes, catalogs, crowded })
    }

    pub fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// The names of the extensions that were loaded.
    pub fn extensions(&self) -> impl Iterator<Item = &'static str> {
        self.extensions.iter().map(|extension| extension.name())
    }

    /// Whether the next statement needs another instance.
    pub fn is_broken(&self) -> bool {
        self.instance.is_broken() || self.is_crowded()
    }

    /// Notes that a catalog cannot be reached. DuckDB asks all attached lakes for their views,
    /// so that may be a lake that the statement does not name: the next statement has an instance
    /// with its own lakes only.
    pub fn note_unreachable(&self) {
        self.crowded.fetch_or(self.lakes > 1, Ordering::Relaxed);
    }

    /// Whether lakes that the statement at hand does not need are in its way.
    pub fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    /// Where the catalog of an attached lake says what was changed.
    pub fn catalog(&self, lake: &str) -> Option<&Catalog> {
        self.catalogs.get(lake)
    }

    /// Takes the lock of a lake under which pg_pond's sessions commit to it one after the other, as
    /// long as the transaction lasts that is returned.
    pub fn lock_commits(&self, lake: &str, control: &Control) -> Result<Transaction> {
        let holder = Transaction::new(&self.instance);
        if let Some(sql) = self.catalogs.get(lake).and_then(|catalog| catalog.lock.as_ref()) {
            let lease = Source::Transaction(holder.clone()).lease(control)?;
            lease.execute_batch(sql)?;
        }
        Ok(holder)
    }

    /// Whose instance it is, and for what.
    pub fn name(&self) -> &InstanceKey {
        &self.name
    }

    /// Whether `sql` may read or write an attached lake.
    pub fn may_use_lake(&self, sql: &str) -> bool {
        self.policy.may_name_lake(sql)
    }

    /// The attached lakes that `sql` may read or write.
    pub fn lakes_maybe_in(&self, sql: &str) -> Vec<String> {
        self.policy.lakes_maybe_in(sql).map(str::to_owned).collect()
    }

    /// The attached lake that a statement changes, if it changes one.
    pub fn lake_changed_by(&self, sql: &str) -> Option<String> {
        self.policy.lake_changed_by(sql).map(str::to_owned)
    }

    fn connect(&self, source: &Source, control: &Control, timezone: &str) -> Result<Lease> {
        let lease = source.lease(control)?;
        // A statement that needs patterns says so when it is checked.
        let of_lake = lease.is_of_transaction() && self.extensions.contains(&Extension::Httpfs);
        lease.take_paths_literally(of_lake)?;
        self.set_timezone(&lease, timezone)?;
        Ok(lease)
    }

    pub fn set_timezone(&self, connection: &Connection, timezone: &str) -> Result<()> {
        connection
            .set_time_zone(&self.timezone, timezone)
            .map_err(|error| timezone_error(timezone, &error))
    }

    /// Refuses a path, or a pattern of them, that the role may not read.
    pub fn check_read(&self, control: &Control, path: &str) -> Result<()> {
        self.policy.check_read(path)?;
        if path.contains(['*', '?', '[']) {
            let connection = Connection::new(&self.instance)?;
            control.attach(&connection)?;
            policy::check_listing(&connection, &self.policy, path)?;
        }
        Ok(())
    }

    /// Refuses what the role may not run, whatever the text; returns what `sql` uses, and the text to
    /// run where that is another one.
    fn check(
        &self,
        connection: &Connection,
        original: &str,
        sql: &str,
        values: &[Value],
        entry: &Entry,
    ) -> Result<(Verdict, Option<String>)> {
        let verdict = policy::check_query(connection, &self.policy, sql, values)?;
        self.check_planned(connection, sql, entry)?;
        let guarded = policy::admit(connection, &self.policy, &verdict, sql)?;
        let Entry::Readers(allowed) = entry else { return Ok((verdict, guarded)) };
        let reader = if original == sql {
            verdict.bare_reader.clone()
        } else {
            // A bare reader has no parameters.
            policy::check_query(connection, &self.policy, original, &[])?.bare_reader
        };
        match reader {
            Some(reader) if allowed.contains(&reader) => Ok((verdict, guarded)),
            _ => Err(Error::new(
                ErrorKind::NotAllowed,
                "permission denied for function duckdb.query",
            )),
        }
    }

    /// Compares SQL of our own with what it was going to use.
    fn check_planned(&self, connection: &Connection, sql: &str, entry: &Entry) -> Result<()> {
        match entry.expected() {
            Some(expected) => self.check_own(connection, sql, expected),
            None => Ok(()),
        }
    }

    /// As [`Engine::check_planned`].
    pub fn check_own(&self, connection: &Connection, sql: &str, expected: &Expected) -> Result<()> {
        policy::check_planned(connection, &self.policy, sql, expected, planned::functions())
    }

    /// Checks what others have stored with the lake's tables that a statement of our own writes to.
    /// `patterns` says whether it reads patterns of files.
    pub fn check_write(
        &self,
        connection: &Connection,
        statement: &str,
        patterns: bool,
    ) -> Result<()> {
        policy::prepare_write(connection, &self.policy, statement, patterns)
    }

    /// Checks a text of a user's that is part of a statement over shipped tables, which it must not
    /// read.
    pub fn check_user_text(&self, sql: &str, values: &[Value]) -> Result<()> {
        policy::check_user_text(&self.instance, &self.policy, sql, values).map(drop)
    }

    /// Keeps DuckLake from putting a condition with one of its placeholders into a statement for the
    /// catalog.
    pub fn hide_placeholders(
        &self,
        connection: &Connection,
        sql: &str,
        values: &[Value],
    ) -> Result<()> {
        let holds = self.lakes > 0
            && (placeholder::find(sql.as_bytes()).is_some()
                || values.iter().any(|value| placeholder::find_in(value).is_some()));
        connection.push_conditions(!holds)
    }

    /// Prepares `sql` with every check made. Nothing is executed.
    pub fn prepare(
        &self,
        connection: &Connection,
        original: &str,
        sql: &str,
        values: &[Value],
        timezone: &str,
        entry: &Entry,
    ) -> Result<Statement> {
        self.set_timezone(connection, timezone)?;
        self.hide_placeholders(connection, sql, values)?;
        let (_, guarded) = self.check(connection, original, sql, values, entry)?;
        let sql = guarded.as_deref().unwrap_or(sql);
        let word = lexer::first_word(sql);
        let is_query = lexer::is_subquery(sql)
            || matches!(word.as_str(), "" | "EXPLAIN" | "CALL" | "PRAGMA")
            || !word.chars().all(|character| character.is_ascii_alphabetic());
        let other =
            ["INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "DROP", "ALTER", "COPY", "SET"];
        if !is_query && other.contains(&word.as_str()) {
            return Err(queries_only(&word));
        }
        let statement =
            Statement::prepare(connection, sql).map_err(|error| match error.kind() {
                ErrorKind::StatementCount if word == "PIVOT" => Error::new(
                    ErrorKind::NotSupported,
                    "PIVOT without an IN list is several statements; list the values with IN",
                ),
                _ => error,
            })?;
        match statement.kind() {
            StatementKind::Select
            | StatementKind::Explain
            | StatementKind::Call
            | StatementKind::Pragma => Ok(statement),
            kind => Err(queries_only(kind_name(kind))),
        }
    }

    /// Prepares a request's text.
    pub fn prepare_request(
        &self,
        connection: &Connection,
        request: &Request,
        values: &[Value],
        timezone: &str,
    ) -> Result<Statement> {
        let Request { original, sql, entry, .. } = request;
        self.hide_placeholders(connection, sql, values)?;
        if let Some(expected) = request.expected_columns {
            self.set_timezone(connection, timezone)?;
            let own = &values[..request.arguments.min(values.len())];
            self.check(connection, original, original, own, entry)?;
            let found = no_rows(connection, original, own)?.len();
            if found != expected {
                return Err(Error::new(
                    ErrorKind::ColumnMismatch,
                    format!("the DuckDB query has {found} columns where {expected} are defined"),
                ));
            }
        }
        if let Some(Around { before, behind, check, in_place }) = &request.around {
            self.set_timezone(connection, timezone)?;
            if let Some((sql, _)) = check {
                self.check_planned(connection, sql, entry)?;
            }
            check_written(connection, check.as_ref())?;
            let (verdict, guarded) = self.check(connection, original, sql, values, entry)?;
            let sql = guarded.as_deref().unwrap_or(sql);
            self.check_write(connection, before, !verdict.patterns.is_empty())?;
            let whole = format!("{before}{sql}{behind}");
            self.check_planned(connection, &whole, entry)?;
            if let Some((statement, check)) = in_place {
                self.check_planned(connection, statement, entry)?;
                self.check_planned(connection, &check.0, entry)?;
                if check_written(connection, Some(check)).is_ok() {
                    return Statement::prepare(connection, statement);
                }
            }
            return Statement::prepare(connection, &whole);
        }
        // In a text of the user's, errors are to point at their place.
        if values.is_empty() && matches!(entry, Entry::Tables(..)) {
            self.set_timezone(connection, timezone)?;
            let (_, guarded) = self.check(connection, original, sql, values, entry)?;
            return Statement::prepare_late(connection, guarded.as_deref().unwrap_or(sql));
        }
        self.prepare(connection, original, sql, values, timezone, entry)
    }

    pub fn describe(
        &self,
        source: &Source,
        control: &Control,
        sql: &str,
        arguments: &[Value],
        timezone: &str,
        entry: Entry,
    ) -> Result<Description> {
        let connection = self.connect(source, control, timezone)?;
        let wrapped = lexer::is_subquery(sql);
        let mut path_unknown = false;
        let mut unresolved = Error::new(
            ErrorKind::ParameterNotResolved,
            "the columns depend on a parameter whose type is not known",
        );
        let mut arguments = arguments.to_vec();
        self.infer_types(&connection, sql, &mut arguments, timezone, &entry);
        let arguments = arguments.as_slice();
        let types = || arguments.iter().map(Value::logical_type).collect();
        let known = match self.prepare(&connection, sql, sql, arguments, timezone, &entry) {
            Ok(statement) => {
                let parameters = statement.parameter_names().len();
                let columns = statement.columns();
                // What a parameter's type decides is only known once it has one.
                let unknown =
                    |c: &Column| matches!(c.logical_type, LogicalType::Unknown | LogicalType::Null);
                let known = parameters == 0 || !columns.iter().any(unknown);
                if known && !(wrapped && has_duplicate_names(&columns)) {
                    return Ok(Description { columns, parameters, arguments: types() });
                }
                parameters
            }
            Err(error)
                if error.kind() == ErrorKind::ParameterNotResolved && !arguments.is_empty() =>
            {
                unresolved = error;
                path_unknown = true;
                arguments.len()
            }
            Err(error) => return Err(error),
        };
        if !wrapped || known != arguments.len() {
            return Err(Error::new(
                ErrorKind::ParameterCount,
                format!(
                    "the DuckDB query has {known} parameters, but {} values are given",
                    arguments.len()
                ),
            ));
        }
        // A NULL would be folded into what it makes NULL, and its type lost.
        let stand_ins: Vec<_> = arguments.iter().map(Value::stand_in).collect();
        let unknown = |value: &Value| value.logical_type() == LogicalType::Unknown;
        if arguments.iter().any(unknown) {
            return Err(unresolved);
        }
        let columns = no_rows(&connection, sql, &stand_ins)
            .or_else(|_| no_rows(&connection, sql, arguments))
            .map_err(|error| if path_unknown { unresolved } else { error })?;
        Ok(Description { columns, parameters: known, arguments: types() })
    }

    /// Gives arguments of unknown types those that DuckDB expects, and text where it does not say.
    fn infer_types(
        &self,
        connection: &Connection,
        sql: &str,
        arguments: &mut [Value],
        timezone: &str,
        entry: &Entry,
    ) {
        let is_open = |value: &Value| value.logical_type() == LogicalType::Unknown;
        if !arguments.iter().any(is_open) {
            return;
        }
        // What is wrong with the query is said where it is described.
        let expected = self.prepare(connection, sql, sql, &[], timezone, entry);
        let expected = expected.map(|statement| statement.parameter_types()).unwrap_or_default();
        for (index, value) in arguments.iter_mut().enumerate().filter(|(_, value)| is_open(value)) {
            let found = expected
                .get(index)
                .filter(|found| !matches!(found, LogicalType::Unknown | LogicalType::Null));
            *value = Value::Null(found.cloned().unwrap_or(LogicalType::Varchar));
        }
    }

    /// Runs a query of our own whose columns are all text.
    pub fn inspect(&self, control: &Control, sql: &str) -> Result<Vec<TextRow>> {
        let connection = Connection::new(&self.instance)?;
        control.attach(&connection)?;
        text_rows(&Statement::prepare(&connection, sql)?)
    }

    /// Runs a query of our own about an attached lake, whose columns are all text, if it uses what is
    /// expected.
    pub fn inspect_lake(
        &self,
        source: &Source,
        control: &Control,
        sql: &str,
        values: &[Value],
        timezone: &str,
        expected: &Expected,
    ) -> Result<Vec<TextRow>> {
        let connection = self.connect(source, control, timezone)?;
        self.check_own(&connection, sql, expected)?;
        self.hide_placeholders(&connection, sql, values)?;
        // The only one that takes patterns, which the caller has checked.
        self.check_write(&connection, sql, sql.contains("ducklake_add_data_files"))?;
        let statement = Statement::prepare(&connection, sql)?;
        rows_of(statement.execute(values)?)
    }

    /// The columns of several queries of our own, of which none is executed, in one transaction.
    ///
    /// DuckDB plans what is prepared, and DuckLake then asks its catalog for each column's statistics.
    /// DESCRIBE does not, but tells types by their texts only; what those are is asked once for all.
    pub fn describe_all(
        &self,
        source: &Source,
        control: &Control,
        queries: &[String],
        timezone: &str,
        entry: &Entry,
    ) -> Result<Vec<Result<Vec<Column>>>> {
        const CHECKED_TOGETHER: usize = 100;
        let connection = self.connect(source, control, timezone)?;
        self.set_timezone(&connection, timezone)?;
        let mut found = vec![];
        for group in queries.chunks(CHECKED_TOGETHER) {
            let all: Vec<_> = group.iter().map(|sql| format!("EXISTS ({sql})")).collect();
            let all = format!("SELECT {}", all.join(", "));
            let checked = self.check(&connection, &all, &all, &[], entry).is_ok();
            for sql in group {
                control.check()?;
                if !checked && let Err(error) = self.check(&connection, sql, sql, &[], entry) {
                    found.push(Err(error));
                    continue;
                }
                found.push(described(&connection, sql));
            }
        }
        let columns_of = |sql: &str| {
            let statement = self.prepare(&connection, sql, sql, &[], timezone, entry)?;
            Ok(statement.columns())
        };
        let mut types = HashMap::new();
        let mut type_of = |text: String| -> Option<LogicalType> {
            if !is_plain_type(&text) {
                return None;
            }
            let known = types.entry(text).or_insert_with_key(|text| {
                let [column] = &*columns_of(&format!("SELECT CAST(NULL AS {text})")).ok()? else {
                    return None;
                };
                Some(column.logical_type.clone())
            });
            known.clone()
        };
        let typed = found.into_iter().zip(queries).map(|(columns, sql)| {
            let columns: Option<Vec<_>> = columns?
                .into_iter()
                .map(|(name, text)| Some(Column { name, logical_type: type_of(text)? }))
                .collect();
            columns.map_or_else(|| columns_of(sql), Ok)
        });
        Ok(typed.collect())
    }

    /// Runs a query of our own about files, whose columns are all text, with every check made.
    pub fn ask(
        &self,
        source: &Source,
        control: &Control,
        sql: &str,
        timezone: &str,
        entry: &Entry,
    ) -> Result<Vec<TextRow>> {
        let connection = self.connect(source, control, timezone)?;
        text_rows(&self.prepare(&connection, sql, sql, &[], timezone, entry)?)
    }

    /// DuckDB's plan of a statement over shipped tables of these types, none of which has rows.
    #[expect(clippy::too_many_arguments, reason = "what each call of the engine is given")]
    pub fn explain(
        &self,
        source: &Source,
        control: &Control,
        original: &str,
        sql: &str,
        timezone: &str,
        entry: &Entry,
        tables: &[Arc<[LogicalType]>],
    ) -> Result<String> {
        let connection = self.connect(source, control, timezone)?;
        for (number, types) in tables.iter().enumerate() {
            TempTable::new(number, Arc::clone(types)).create(&connection)?;
        }
        let (_, guarded) = self.check(&connection, original, sql, &[], entry)?;
        let sql = guarded.as_deref().unwrap_or(sql);
        let rows = Statement::prepare(&connection, &format!("EXPLAIN {sql}"))?.execute(&[])?;
        let mut plan = String::new();
        while let Some(chunk) = rows.next_chunk()? {
            for row in 0..chunk.len() {
                plan.push_str(&chunk.column(1).string(row).to_text());
            }
        }
        Ok(plan)
    }

    pub fn execute(
        &self,
        source: &Source,
        control: &Control,
        sql: &str,
        arguments: &[Value],
        timezone: &str,
        measured: bool,
    ) -> Result<i64> {
        let connection = self.connect(source, control, timezone)?;
        if measured {
            open::measure_progress(&connection)?;
        }
        connection.push_conditions(true)?;
        let sql = policy::check_execute(&connection, &self.policy, sql, arguments)?;
        // Its columns, before rows are written to it, or as the statement has made them.
        let table = self.lake_changed_by(&sql).and_then(|_| self.policy.table_changed_by(&sql));
        let defines = ["CREATE", "ALTER"].contains(&lexer::first_word(&sql).as_str());
        let check = |wanted: bool| match table.filter(|_| wanted) {
            // What is no table is told by the statement itself.
            Some(table) => no_rows(&connection, &format!("FROM {table}"), &[])
                .map_or(Ok(()), |columns| check_exact(&columns)),
            None => Ok(()),
        };
        check(!defines)?;
        if let Some(table) = table.filter(|_| partitions(&sql)) {
            self.check_partitioning(&connection, table)?;
        }
        let statement = Statement::prepare(&connection, &sql)?;
        statement.bind_positional(arguments)?;
        let changed = statement.start(|| control.is_cancelled())?.run_to_end()?;
        check(defines)?;
        Ok(changed)
    }

    /// Refuses to partition a table anew that was partitioned by buckets: DuckLake 1.0 looks for older
    /// rows in the new buckets.
    fn check_partitioning(&self, connection: &Connection, table: &str) -> Result<()> {
        for catalog in self.catalogs.values() {
            let sql = format!(
                "SELECT DISTINCT changed.table_name FROM {} AS by_column, {} AS changed \
                 WHERE by_column.table_id = changed.table_id AND changed.end_snapshot IS NULL \
                 AND starts_with(by_column.transform, 'bucket')",
                catalog.partition_columns, catalog.tables
            );
            let named = table.to_lowercase();
            let is_it = |name: &String| named.contains(&name.to_lowercase().replace('"', "\"\""));
            if let Some(name) = text_column(connection, &sql)?.into_iter().find(is_it) {
                return Err(Error::new(
                    ErrorKind::NotSupported,
                    format!(
                        "table \"{name}\" is partitioned by buckets, and DuckLake would not find its rows \
                         after a change of that"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Runs a statement that changes a lake again.
    pub fn modify_again(
        &self,
        source: &Source,
        control: &Control,
        request: &Request,
        values: &[Value],
        timezone: &str,
    ) -> Result<()> {
        let connection = self.connect(source, control, timezone)?;
        let statement = self.prepare_request(&connection, request, values, timezone)?;
        statement.bind_positional(values)?;
        statement.start(|| control.is_cancelled())?.run_to_end().map(drop)
    }

    /// Makes a table of `lake`, whose quoted name is ours, from a query that a user wrote.
    #[expect(clippy::too_many_arguments, reason = "what each call of the engine is given")]
    pub fn create_table(
        &self,
        source: &Source,
        control: &Control,
        lake: &str,
        name: &str,
        query: &str,
        timezone: &str,
        measured: bool,
    ) -> Result<i64> {
        let connection = self.connect(source, control, timezone)?;
        if measured {
            open::measure_progress(&connection)?;
        }
        placeholder::refuse("the table's name", name)?;
        self.hide_placeholders(&connection, query, &[])?;
        let (verdict, guarded) = self.check(&connection, query, query, &[], &Entry::Query)?;
        self.check_write(&connection, name, !verdict.patterns.is_empty())?;
        let query = guarded.as_deref().unwrap_or(query);
        let columns = no_rows(&connection, query, &[])?;
        check_exact(&columns)?;
        let sql = format!("CREATE TABLE {name} AS {}", stored::rows(query, &columns)?);
        let statement = Statement::prepare(&connection, &sql)?;
        let rows = statement.start(|| control.is_cancelled())?;
        let rows = rows.run_to_end()?;
        policy::check_made(&self.policy, lake, &columns, rows)?;
        Ok(rows)
    }
}

/// Looks at a lake's table before it is written to.
pub fn check_written(connection: &Connection, check: Option<&(String, WriteCheck)>) -> Result<()> {
    match check {
        Some((sql, check)) => check(&Statement::prepare(connection, sql)?.columns()),
        None => Ok(()),
    }
}

/// Whether a statement says how a table is partitioned from now on.
fn partitions(sql: &str) -> bool {
    let words: Vec<_> = sql.split_whitespace().map(str::to_ascii_lowercase).collect();
    words.windows(2).any(|pair| pair[0] == "set" && pair[1].starts_with("partitioned"))
}

/// Refuses columns whose values a lake's files would change without a word.
fn check_exact(columns: &[Column]) -> Result<()> {
    match columns.iter().find(|column| !column.logical_type.is_exact_in_files()) {
        None => Ok(()),
        Some(column) => Err(Error::new(
            ErrorKind::NotSupported,
            format!(
                "column \"{}\" of the lake has type {}, whose values its files would change",
                column.name, column.logical_type
            ),
        )),
    }
}

/// A row whose columns are all text.
pub type TextRow = Vec<Option<String>>;

/// The texts of a query of our own with one column, in which NULL does not occur.
pub fn text_column(connection: &Connection, sql: &str) -> Result<Vec<String>> {
    let rows = text_rows(&Statement::prepare(connection, sql)?)?;
    Ok(rows.into_iter().flatten().flatten().collect())
}

fn text_rows(statement: &Statement) -> Result<Vec<TextRow>> {
    rows_of(statement.execute(&[])?)
}

fn rows_of(rows: Rows) -> Result<Vec<TextRow>> {
    let mut found = vec![];
    while let Some(chunk) = rows.next_chunk()? {
        for row in 0..chunk.len() {
            let cell = |column| {
                let vector = chunk.column(column);
                vector.is_valid(row).then(|| vector.string(row).to_text())
            };
            found.push((0..chunk.column_count()).map(cell).collect());
        }
    }
    Ok(found)
}

/// Whether a text that DuckDB gives for a type is made of the names of its own types. Others may hold
/// what somebody else has written, as it is: an enum of a PostgreSQL catalog goes by its name there.
fn is_plain_type(text: &str) -> bool {
    const NAMES: &[&str] = &[
        "BIGINT",
        "BIT",
        "BLOB",
        "BOOLEAN",
        "DATE",
        "DECIMAL",
        "DOUBLE",
        "FLOAT",
        "GEOMETRY",
        "HUGEINT",
        "INTEGER",
        "INTERVAL",
        "JSON",
        "MAP",
        "SMALLINT",
        "TIME",
        "TIMESTAMP",
        "TIMESTAMP_MS",
        "TIMESTAMP_NS",
        "TIMESTAMP_S",
        "TINYINT",
        "UBIGINT",
        "UHUGEINT",
        "UINTEGER",
        "USMALLINT",
        "UTINYINT",
        "UUID",
        "VARCHAR",
        "VARIANT",
        "WITH",
        "ZONE",
    ];
    let is_symbol = |c: char| matches!(c, '(' | ')' | '[' | ']' | ',' | ' ');
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    let mut depth = 0_i32;
    let balanced = text.chars().all(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth >= 0
    });
    balanced
        && depth == 0
        && text.split(is_symbol).all(|word| is_number(word) || NAMES.contains(&word))
}

/// The names of a query's columns, and their types as DuckDB writes them.
fn described(connection: &Connection, sql: &str) -> Result<Vec<(String, String)>> {
    let sql = format!("SELECT column_name, column_type FROM (DESCRIBE {sql})");
    let rows = text_rows(&Statement::prepare(connection, &sql)?)?;
    let pairs = rows.into_iter().filter_map(|row| {
        let [name, text] = <[_; 2]>::try_from(row).ok()?;
        Some((name?, text?))
    });
    Ok(pairs.collect())
}

/// The columns of a query with its parameters bound, by running it for no rows. Duplicate names get
/// the suffixes that DuckDB gives them in sub-queries.
fn no_rows(connection: &Connection, sql: &str, values: &[Value]) -> Result<Vec<Column>> {
    let sql = format!("FROM (\n{}\n) LIMIT 0", lexer::without_terminator(sql));
    Ok(Statement::prepare(connection, &sql)?.execute(values)?.columns())
}

fn has_duplicate_names(columns: &[Column]) -> bool {
    let mut names: Vec<_> = columns.iter().map(|column| column.name.to_lowercase()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

fn queries_only(what: &str) -> Error {
    Error::new(
        ErrorKind::NotSupported,
        format!("duckdb.query runs queries only, not {what}; use duckdb.execute"),
    )
}

fn kind_name(kind: StatementKind) -> &'static str {
    match kind {
        StatementKind::Insert => "INSERT",
        StatementKind::Update => "UPDATE",
        StatementKind::Delete => "DELETE",
        StatementKind::Merge => "MERGE",
        StatementKind::Copy => "COPY",
        StatementKind::Transaction => "transaction control",
        _ => "this statement",
    }
}

fn timezone_error(timezone: &str, error: &Error) -> Error {
    Error::new(
        ErrorKind::Configuration,
        format!("DuckDB does not know the time zone \"{timezone}\": {}", error.message()),
    )
}
