//! Prepared statements, exactly one at a time, and their streaming results.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use libduckdb_sys as sys;
use parking_lot::Mutex;

use crate::chunk::Chunk;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::instance::Instance;
use crate::logical_type::LogicalType;
use crate::signals::BlockedSignals;
use crate::value::Value;

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub logical_type: LogicalType,
}

/// What a statement does, as DuckDB classifies it. Not a fence: `PRAGMA version` is a SELECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    Select,
    Explain,
    Insert,
    Update,
    Delete,
    Merge,
    Copy,
    Call,
    Pragma,
    Transaction,
    Other(u32),
}

struct Extracted(sys::duckdb_extracted_statements);

impl Drop for Extracted {
    fn drop(&mut self) {
        // SAFETY: filled by duckdb_extract_statements, destroyed once.
        unsafe { sys::duckdb_destroy_extracted(&raw mut self.0) };
    }
}

/// Runs the query that it is given as text.
const LATE: &str = "FROM query($1)";

/// A prepared statement.
pub struct Statement {
    raw: sys::duckdb_prepared_statement,
    instance: Arc<Instance>,
    /// The query whose text is the only parameter; see [`Statement::prepare_late`].
    text: Option<Value>,
}

// SAFETY: used by one thread at a time; DuckDB locks the client context in each call.
unsafe impl Send for Statement {}

impl Statement {
    /// Prepares `sql`, which must hold exactly one statement. Nothing is executed.
    ///
    /// # Errors
    /// [`ErrorKind::StatementCount`] for none or several; DuckDB's parser, binder and catalog
    /// errors.
    pub fn prepare(connection: &Connection, sql: &str) -> Result<Self> {
        let sql = CString::new(sql)
            .map_err(|_| Error::new(ErrorKind::Parser, "the statement holds a NUL byte"))?;
        let mut extracted = Extracted(std::ptr::null_mut());
        // SAFETY: live connection, NUL-terminated text, valid out pointer.
        let count = unsafe {
            sys::duckdb_extract_statements(connection.raw(), sql.as_ptr(), &raw mut extracted.0)
        };
        if count == 0 && !extracted.0.is_null() {
            // SAFETY: the message belongs to `extracted`; NULL when there is no error.
            let message = unsafe { sys::duckdb_extract_statements_error(extracted.0) };
            if !message.is_null() {
                // SAFETY: a NUL-terminated string, as just checked.
                return Err(unsafe { Error::from_ptr(message) });
            }
        }
        match count {
            1 => {}
            0 => {
                return Err(Error::new(ErrorKind::StatementCount, "there is no statement"));
            }
            n => {
                return Err(Error::new(
                    ErrorKind::StatementCount,
                    format!("{n} statements where one is allowed"),
                ));
            }
        }
        let instance = Arc::clone(connection.instance());
        let mut statement = Self { raw: std::ptr::null_mut(), instance, text: None };
        // Binding may start threads (HTTP, catalog connections).
        let _blocked = BlockedSignals::new();
        // SAFETY: live handles; the prepared statement is destroyed by Drop even after a failure.
        let state = unsafe {
            sys::duckdb_prepare_extracted_statement(
                connection.raw(),
                extracted.0,
                0,
                &raw mut statement.raw,
            )
        };
        if state != sys::DuckDBSuccess {
            // SAFETY: the message belongs to the statement.
            let error = unsafe { Error::from_ptr(sys::duckdb_prepare_error(statement.raw)) };
            statement.instance.note_error(&error);
            return Err(error);
        }
        Ok(statement)
    }

    /// A statement for one execution of the query `sql`, which takes no parameters. DuckDB looks at
    /// the text when it is executed, and only then: a statement that reads files is otherwise bound
    /// and planned both when it is prepared and when it is executed, which for remote files doubles
    /// the requests for their metadata. The query's errors come from [`Statement::start`], and do not
    /// point at a place in it.
    ///
    /// # Errors
    /// None that the text could cause.
    pub fn prepare_late(connection: &Connection, sql: &str) -> Result<Self> {
        // What depends on a parameter of a table function is not bound before that has a value.
        let mut statement = Self::prepare(connection, LATE)?;
        statement.text = Some(Value::Varchar(sql.to_owned()));
        Ok(statement)
    }

    #[must_use]
    pub fn kind(&self) -> StatementKind {
        // SAFETY: live statement.
        match unsafe { sys::duckdb_prepared_statement_type(self.raw) } {
            sys::duckdb_statement_type_DUCKDB_STATEMENT_TYPE_SELECT => StatementKind::Select,
            sys::duckdb_statement_type_DUCKDB_STATEMENT_TYPE_EXPLAIN => StatementKind::Explain,
            sys::duckdb_statement_type_DUCKDB_STATEMENT_TYPE_INSERT => StatementKind::Insert,
            sys::duckdb_statement_type_DUCKDB_STATEMENT_TYPE_UPDATE => StatementKind::Update,
            sys::duckdb_statement_type_DUCKDB_STATEMENT_TYPE_DELETE => StatementKind::Delete,
            sys::duckdb_statement_type_DUCKDB_STATEMENT_TYPE_MERGE_INTO => StatementKind::Merge,
            sys::duckdb_statement_type_DUCKDB_STATEMENT_TYPE_COPY => StatementKind::Copy,
            sys::duckdb_statement_type_DUCKDB_STATEMENT_TYPE_CALL => StatementKind::Call,
            sys::duckdb_statement_type_DUCKDB_STATEMENT_TYPE_PRAGMA => StatementKind::Pragma,
            sys::duckdb_statement_type_DUCKDB_STATEMENT_TYPE_TRANSACTION => {
                StatementKind::Transaction
            }
            other => StatementKind::Other(other),
        }
    }

    /// The result's columns, as far as they are known before the parameters are bound.
    #[must_use]
    pub fn columns(&self) -> Vec<Column> {
        // SAFETY: live statement; names are freed with duckdb_free, types by LogicalType::take.
        unsafe {
            (0..sys::duckdb_prepared_statement_column_count(self.raw))
                .map(|index| {
                    let raw_name = sys::duckdb_prepared_statement_column_name(self.raw, index);
                    let name = if raw_name.is_null() {
                        String::new()
                    } else {
                        let name = CStr::from_ptr(raw_name).to_string_lossy().into_owned();
                        sys::duckdb_free(raw_name.cast_mut().cast());
                        name
                    };
                    let raw_type =
                        sys::duckdb_prepared_statement_column_logical_type(self.raw, index);
                    Column { name, logical_type: LogicalType::take(raw_type) }
                })
                .collect()
        }
    }

    /// The names of the parameters in the order of their numbers; `$1` is named `1`.
    #[must_use]
    pub fn parameter_names(&self) -> Vec<String> {
        // SAFETY: live statement; each name is freed with duckdb_free.
        unsafe {
            (1..=sys::duckdb_nparams(self.raw))
                .map(|index| {
                    let raw = sys::duckdb_parameter_name(self.raw, index);
                    if raw.is_null() {
                        return index.to_string();
                    }
                    let name = CStr::from_ptr(raw).to_string_lossy().into_owned();
                    sys::duckdb_free(raw.cast_mut().cast());
                    name
                })
                .collect()
        }
    }

    /// The types that DuckDB gives the parameters from what is done with them, in the order of their
    /// numbers; [`LogicalType::Unknown`] where that is open.
    #[must_use]
    pub fn parameter_types(&self) -> Vec<LogicalType> {
        // SAFETY: live statement; each type is freed by LogicalType::take, which takes NULL too.
        unsafe {
            (1..=sys::duckdb_nparams(self.raw))
                .map(|index| LogicalType::take(sys::duckdb_param_logical_type(self.raw, index)))
                .collect()
        }
    }

    /// Binds positional parameters: `values[0]` is `$1`.
    fn bind(&self, values: &[Value]) -> Result<()> {
        let values = match &self.text {
            Some(text) if values.is_empty() => std::slice::from_ref(text),
            _ => values,
        };
        let names = self.parameter_names();
        if let Some(name) = names.iter().find(|name| name.parse::<u64>().is_err()) {
            return Err(Error::new(
                ErrorKind::ParameterCount,
                format!(
                    "parameter ${name} has a name; only $1, $2 and so on can be given values here"
                ),
            ));
        }
        if names.len() != values.len() {
            return Err(Error::new(
                ErrorKind::ParameterCount,
                format!(
                    "the DuckDB query has {} parameters, but {} values are given",
                    names.len(),
                    values.len()
                ),
            ));
        }
        values.iter().zip(1..).try_for_each(|(value, index)| self.bind_one(index, value))
    }

    /// Binds parameters by name; every parameter needs a value, values without one are an error.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a missing or superfluous name.
    pub fn bind_named(&self, values: &[(&str, Value)]) -> Result<()> {
        let names = self.parameter_names();
        if let Some((name, _)) = values.iter().find(|(name, _)| !names.iter().any(|n| n == name)) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("the statement has no parameter ${name}"),
            ));
        }
        names.iter().zip(1..).try_for_each(|(name, index)| {
            let found = values.iter().find(|(given, _)| given == name);
            let (_, value) = found.ok_or_else(|| {
                Error::new(ErrorKind::InvalidInput, format!("parameter ${name} has no value"))
            })?;
            self.bind_one(index, value)
        })
    }

    fn bind_one(&self, index: u64, value: &Value) -> Result<()> {
        let value = value.to_raw()?;
        // SAFETY: live statement and value; DuckDB copies the value.
        let state = unsafe { sys::duckdb_bind_value(self.raw, index, value.as_ptr()) };
        if state == sys::DuckDBSuccess {
            return Ok(());
        }
        // SAFETY: the message belongs to the statement.
        Err(unsafe { Error::from_ptr(sys::duckdb_prepare_error(self.raw)) })
    }

    /// Binds `values` to the positional parameters and executes; see [`Statement::start`].
    ///
    /// # Errors
    /// As [`Statement::start`], and [`ErrorKind::InvalidInput`] for a wrong number of values.
    pub fn execute(&self, values: &[Value]) -> Result<Rows> {
        self.bind(values)?;
        self.start(|| false)
    }

    /// Binds `values`; for use before [`Statement::start`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a wrong number of values or a named parameter.
    pub fn bind_positional(&self, values: &[Value]) -> Result<()> {
        self.bind(values)
    }

    /// Executes with the values bound before, and returns when the first rows are there. Blocks;
    /// [`crate::connection::Interrupter::interrupt`] ends it from another thread. An interrupt that
    /// comes before DuckDB has begun the query is lost on DuckDB, so `cancelled` is asked once
    /// right after that point: set the flag first, interrupt second, and nothing is missed.
    ///
    /// # Errors
    /// DuckDB's own; [`ErrorKind::Interrupt`] when interrupted.
    pub fn start(&self, cancelled: impl Fn() -> bool) -> Result<Rows> {
        self.run(None, cancelled)
    }

    /// As [`Statement::start`], in a transaction that is to survive when `cancelled` ends the
    /// statement: it is asked between two of DuckDB's tasks, and an interrupt within one, which would
    /// end the transaction, is not needed.
    ///
    /// # Errors
    /// As [`Statement::start`].
    pub fn start_in_transaction(
        &self,
        connection: &Connection,
        cancelled: impl Fn() -> bool,
    ) -> Result<Rows> {
        self.run(Some(connection), cancelled)
    }

    fn run(&self, within: Option<&Connection>, cancelled: impl Fn() -> bool) -> Result<Rows> {
        struct Pending(sys::duckdb_pending_result);
        impl Drop for Pending {
            fn drop(&mut self) {
                // SAFETY: created below, destroyed once.
                unsafe { sys::duckdb_destroy_pending(&raw mut self.0) };
            }
        }
        let fail = |error: Error| {
            self.instance.note_error(&error);
            Err(if self.text.is_some() { error.without_line(LATE) } else { error })
        };
        let _blocked = BlockedSignals::new();
        let mut pending = Pending(std::ptr::null_mut());
        // SAFETY: live statement, valid out pointer; Pending destroys whatever came out.
        let state = unsafe { sys::duckdb_pending_prepared_streaming(self.raw, &raw mut pending.0) };
        if state != sys::DuckDBSuccess {
            // SAFETY: the message belongs to the pending result.
            return fail(unsafe { Error::from_ptr(sys::duckdb_pending_error(pending.0)) });
        }
        if cancelled() {
            return Err(Error::new(ErrorKind::Interrupt, "Interrupted!"));
        }
        // DuckDB's own loop spins while a worker does the last task, which may wait for somebody's rows.
        let stopped = || within.is_some() && cancelled();
        if !work_until_ready(pending.0, stopped)
            && let Some(connection) = within
        {
            // What still runs ends at an interrupt, which here does the transaction no harm.
            connection.interrupter().interrupt();
            return Err(Error::new(ErrorKind::Interrupt, "Interrupted!"));
        }
        let mut result = RawResult::empty();
        // SAFETY: live pending result; `result` is destroyed by its Drop whatever the outcome.
        let state = unsafe { sys::duckdb_execute_pending(pending.0, &raw mut result.0) };
        if state != sys::DuckDBSuccess {
            // SAFETY: the message belongs to the result.
            return fail(unsafe { Error::from_ptr(sys::duckdb_result_error(&raw mut result.0)) });
        }
        Ok(Rows { result: Mutex::new(result), instance: Arc::clone(&self.instance) })
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: prepared (or failed) once, destroyed once.
        unsafe { sys::duckdb_destroy_prepare(&raw mut self.raw) };
    }
}

/// Does DuckDB's tasks one by one until there is a result or an error; false when cancelled before.
fn work_until_ready(pending: sys::duckdb_pending_result, cancelled: impl Fn() -> bool) -> bool {
    /// How often to look again at once, and how long to wait then, when other threads have the tasks.
    const LOOKS: u32 = 50;
    const IDLE: std::time::Duration = std::time::Duration::from_micros(100);
    let mut looks = 0;
    loop {
        // SAFETY: a live pending result.
        let state = unsafe { sys::duckdb_pending_execute_task(pending) };
        // SAFETY: a plain question.
        if unsafe { sys::duckdb_pending_execution_is_finished(state) } {
            return true;
        }
        if cancelled() {
            return false;
        }
        if state == sys::duckdb_pending_state_DUCKDB_PENDING_RESULT_NOT_READY {
            looks = 0;
        } else if looks < LOOKS {
            looks += 1;
            std::thread::yield_now();
        } else {
            std::thread::sleep(IDLE);
        }
    }
}

struct RawResult(sys::duckdb_result);

impl RawResult {
    fn empty() -> Self {
        // SAFETY: duckdb_result is plain data for which zero means "nothing to free".
        Self(unsafe { std::mem::zeroed() })
    }
}

impl Drop for RawResult {
    fn drop(&mut self) {
        // SAFETY: zeroed or filled by DuckDB, destroyed once.
        unsafe { sys::duckdb_destroy_result(&raw mut self.0) };
    }
}

/// A streaming result. An unfinished one must be interrupted before it is dropped, or DuckDB may
/// loop while a worker still runs one of its tasks.
pub struct Rows {
    result: Mutex<RawResult>,
    instance: Arc<Instance>,
}

// SAFETY: the result is used under its mutex.
unsafe impl Send for Rows {}

impl Rows {
    /// The columns with their final types.
    #[must_use]
    pub fn columns(&self) -> Vec<Column> {
        let mut result = self.result.lock();
        let raw = &raw mut result.0;
        // SAFETY: live result; names belong to it, types are taken over.
        unsafe {
            (0..sys::duckdb_column_count(raw))
                .map(|index| {
                    let name = sys::duckdb_column_name(raw, index);
                    let name = if name.is_null() {
                        String::new()
                    } else {
                        CStr::from_ptr(name).to_string_lossy().into_owned()
                    };
                    let logical_type =
                        LogicalType::take(sys::duckdb_column_logical_type(raw, index));
                    Column { name, logical_type }
                })
                .collect()
        }
    }

    /// Whether the statement returns rows, rather than a count of changed rows or nothing.
    #[must_use]
    pub fn returns_rows(&self) -> bool {
        let result = self.result.lock();
        // SAFETY: live result.
        let kind = unsafe { sys::duckdb_result_return_type(result.0) };
        kind == sys::duckdb_result_type_DUCKDB_RESULT_TYPE_QUERY_RESULT
    }

    /// Runs to the end and returns the number of changed rows; 0 for statements that change none.
    ///
    /// # Errors
    /// As [`Rows::next_chunk`].
    pub fn run_to_end(self) -> Result<i64> {
        let counts = {
            let result = self.result.lock();
            // SAFETY: live result.
            let kind = unsafe { sys::duckdb_result_return_type(result.0) };
            kind == sys::duckdb_result_type_DUCKDB_RESULT_TYPE_CHANGED_ROWS
        };
        // CREATE TABLE AS counts its rows, but does not call that a change.
        let counts = counts
            || matches!(self.columns().as_slice(), [one] if one.name == "Count"
                && one.logical_type == LogicalType::BigInt);
        let mut changed = 0;
        while let Some(chunk) = self.next_chunk()? {
            if counts && !chunk.is_empty() {
                // SAFETY: the count of changed rows is one BIGINT.
                changed += unsafe { chunk.column(0).values::<i64>() }[0];
            }
        }
        Ok(changed)
    }

    /// The next chunk; `None` at the end. Blocks.
    ///
    /// # Errors
    /// DuckDB's own; [`ErrorKind::Interrupt`] when interrupted.
    pub fn next_chunk(&self) -> Result<Option<Chunk>> {
        let mut result = self.result.lock();
        let _blocked = BlockedSignals::new();
        // SAFETY: live result; the chunk is taken over.
        unsafe {
            let chunk = sys::duckdb_fetch_chunk(result.0);
            if !chunk.is_null() {
                return Ok(Some(Chunk::take(chunk, Arc::clone(&self.instance))));
            }
            let message = sys::duckdb_result_error(&raw mut result.0);
            if message.is_null() || *message == 0 {
                return Ok(None);
            }
            let error = Error::from_ptr(message);
            self.instance.note_error(&error);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect() -> Connection {
        Connection::new(&Instance::open(&[]).unwrap()).unwrap()
    }

    #[test]
    fn a_late_statement_keeps_names_order_and_streaming() {
        let connection = connect();
        let sql =
            "SELECT i::VARCHAR AS \"A\", 'x' AS b FROM range(5000) t(i) ORDER BY i DESC LIMIT 3000";
        let rows = Statement::prepare_late(&connection, sql).unwrap().execute(&[]).unwrap();
        let names: Vec<_> = rows.columns().into_iter().map(|column| column.name).collect();
        assert_eq!(names, ["A", "b"]);
        let mut seen = vec![];
        while let Some(chunk) = rows.next_chunk().unwrap() {
            seen.extend((0..chunk.len()).map(|row| chunk.column(0).string(row).to_text()));
        }
        assert!(seen.into_iter().eq((2000..5000).rev().map(|i: i32| i.to_string())));
        let endless = Statement::prepare_late(&connection, "FROM range(100000000000)").unwrap();
        assert!(endless.execute(&[]).unwrap().next_chunk().unwrap().is_some());
        connection.interrupter().interrupt();
    }

    #[test]
    fn a_late_statement_fails_when_it_is_executed() {
        let connection = connect();
        for (sql, kind) in [
            ("SELECT nosuch", ErrorKind::Binder),
            ("SELECT 1 1", ErrorKind::Parser),
            ("SELECT error('bang')", ErrorKind::InvalidInput),
        ] {
            let statement = Statement::prepare_late(&connection, sql).unwrap();
            let failed = statement.execute(&[]).and_then(|rows| rows.next_chunk().map(drop));
            let error = failed.unwrap_err();
            assert_eq!(error.kind(), kind, "{sql}");
            assert!(!error.message().contains("query("), "{}", error.message());
        }
    }

    #[test]
    fn exactly_one_statement_is_allowed() {
        let connection = connect();
        for sql in ["", ";", "-- nothing", "SELECT 1; SELECT 2"] {
            let error = Statement::prepare(&connection, sql).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::StatementCount, "{sql}");
        }
        assert!(Statement::prepare(&connection, "SELECT 1;").is_ok());
    }

    #[test]
    fn several_statements_are_refused_before_any_runs() {
        let connection = connect();
        connection.execute("CREATE TABLE t (i INTEGER)").unwrap();
        let several = "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)";
        assert!(Statement::prepare(&connection, several).is_err());
        let count = connection.query_text("SELECT count(*)::VARCHAR FROM t", &[]).unwrap();
        assert_eq!(count.as_deref(), Some("0"));
    }

    #[test]
    fn columns_are_known_before_execution() {
        let statement =
            Statement::prepare(&connect(), "SELECT 1::TINYINT AS a, 1.5 AS \"B b\"").unwrap();
        let columns = statement.columns();
        assert_eq!(columns[0].name, "a");
        assert_eq!(columns[0].logical_type, LogicalType::TinyInt);
        assert_eq!(columns[1].name, "B b");
        assert_eq!(columns[1].logical_type, LogicalType::Decimal { width: 2, scale: 1 });
    }

    #[test]
    fn named_and_positional_parameters_are_bound() {
        let connection = connect();
        let statement = Statement::prepare(&connection, "SELECT ($a || $b)::VARCHAR").unwrap();
        assert_eq!(statement.parameter_names(), ["a", "b"]);
        statement
            .bind_named(&[("b", Value::Varchar("y".into())), ("a", Value::Varchar("x".into()))])
            .unwrap();
        let rows = statement.start(|| false).unwrap();
        assert_eq!(rows.next_chunk().unwrap().unwrap().column(0).string(0).as_bytes(), b"xy");
        let text = connection
            .query_text("SELECT ($2 - $1)::VARCHAR", &[Value::Integer(3), Value::Integer(10)]);
        assert_eq!(text.unwrap().as_deref(), Some("7"));
        let error = statement.bind_named(&[("a", Value::Integer(1))]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = statement.execute(&[Value::Integer(1)]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::ParameterCount);
    }

    #[test]
    fn typed_null_parameter_keeps_its_type() {
        let text = connect().query_text("SELECT typeof($1)", &[Value::Null(LogicalType::Date)]);
        assert_eq!(text.unwrap().as_deref(), Some("DATE"));
    }

    #[test]
    fn errors_while_rows_stream_are_returned() {
        let connection = connect();
        let sql =
            "SELECT CASE WHEN i = 500000 THEN error('late') ELSE i END FROM range(1000000) t(i)";
        let rows = Statement::prepare(&connection, sql).unwrap().execute(&[]);
        let error = match rows {
            Err(error) => error,
            Ok(rows) => loop {
                match rows.next_chunk() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("no error came"),
                    Err(error) => break error,
                }
            },
        };
        assert!(error.message().contains("late"), "{error:?}");
    }

    #[test]
    fn nested_vectors_are_flat() {
        let connection = connect();
        let sql = "SELECT {'a': s, 'b': 7, 'c': [s, 'k']} FROM \
                   (SELECT CASE WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END AS s FROM range(5000) t(i))";
        let rows = Statement::prepare(&connection, sql).unwrap().execute(&[]).unwrap();
        let mut total = 0;
        while let Some(chunk) = rows.next_chunk().unwrap() {
            let column = chunk.column(0);
            let (a, b, c) =
                (column.struct_child(0), column.struct_child(1), column.struct_child(2));
            // SAFETY: field b is INTEGER.
            assert!(unsafe { b.values::<i32>() }.iter().all(|value| *value == 7));
            for row in 0..chunk.len() {
                let expected: &[u8] = if total % 2 == 0 { b"even" } else { b"odd" };
                assert_eq!(a.string(row).as_bytes(), expected);
                let elements = c.list_entries()[row].range();
                assert_eq!(c.list_child().string(elements.start).as_bytes(), expected);
                assert_eq!(c.list_child().string(elements.start + 1).as_bytes(), b"k");
                total += 1;
            }
        }
        assert_eq!(total, 5000);
    }
}
