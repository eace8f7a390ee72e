//! The one error type of the extension, and the one place where it becomes a PostgreSQL error.
//!
//! Everything inside returns [`Result`]; a boundary (a function that PostgreSQL calls) reports with
//! [`Error::report`] or [`report`].

use duck::ErrorKind;
use pgrx::PgSqlErrorCode as SqlState;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

pub type Result<T> = std::result::Result<T, Error>;

/// An error that a user may see: SQLSTATE, message (lower case, no full stop), DuckDB's own words
/// or other facts as DETAIL, what to do as HINT.
#[derive(Clone, Debug)]
pub struct Error(Box<Report>);

#[derive(Clone, Debug)]
struct Report {
    sqlstate: SqlState,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    /// The DETAIL is DuckDB's words, which may quote rows, or SQL that the user has not written.
    may_quote: bool,
}

const UNPLANNED: &str = "pg_pond made SQL that reads more than was planned";

impl Error {
    #[must_use]
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self(Box::new(Report {
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            may_quote: false,
        }))
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// For errors that PostgreSQL shows with a line of the statement and a mark at the literal: in place of
    /// DuckDB's own such line the words at which it points.
    #[must_use]
    pub fn without_second_line(mut self) -> Self {
        const MOST: usize = 40;
        if let Some(words) = &mut self.0.detail
            && let Some(at) = words.rfind("\n\nLINE ")
            && let [line, mark] = words[at + 2..].lines().collect::<Vec<_>>()[..]
            && mark.trim_start() == "^"
        {
            let place: String = line.chars().skip(mark.chars().count() - 1).collect();
            let more = if place.chars().count() > MOST { "…" } else { "" };
            let place: String = place.chars().take(MOST).collect();
            words.truncate(at);
            if !place.trim().is_empty() {
                words.push_str(&format!("\nIt is at: {place}{more}"));
            }
        }
        self
    }

    /// The table that DuckDB does not have.
    #[must_use]
    pub fn missing_table(&self) -> Option<&str> {
        if self.0.sqlstate != SqlState::ERRCODE_UNDEFINED_TABLE {
            return None;
        }
        let words = self.0.detail.as_deref()?.strip_prefix("Table with name ")?;
        words.split_once(" does not exist").map(|(name, _)| name.trim_matches('"'))
    }

    /// The DETAIL quotes something that was read: see [`Self::without_quotes`].
    #[must_use]
    pub fn quoting(mut self) -> Self {
        self.0.may_quote = true;
        self
    }

    /// For those who may not read everything that the statement has read: without DuckDB's words where
    /// these may quote it. The line of a CSV file stays.
    #[must_use]
    pub fn without_quotes(mut self) -> Self {
        if !self.0.may_quote {
            return self;
        }
        const LINE: &str = "CSV Error on Line: ";
        let words = self.0.detail.take().unwrap_or_else(|| {
            // Our own words.
            if let Some((words, _)) = self.0.message.split_once(": ") {
                self.0.message = words.to_owned();
            }
            String::new()
        });
        let line = words.lines().next().and_then(|first| first.strip_prefix(LINE));
        let line = line.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        self.0.detail = line.map(|number| format!("It is line {number} of a CSV file."));
        self.0.hint.get_or_insert_with(|| {
            "What may quote data is shown to roles that may use the tables' servers by themselves.".into()
        });
        self.0.may_quote = false;
        self
    }

    /// The same error in other words.
    #[must_use]
    pub fn reworded(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// A commit of which nobody knows whether it has happened: 08007.
    #[must_use]
    pub fn commit_is_unknown(lake: &str) -> Self {
        Self::new(
            SqlState::ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN,
            format!("it is not known whether lake \"{lake}\" has committed"),
        )
        .detail(
            "Its catalog was sent a COMMIT and has not answered. PostgreSQL's own part of the transaction is \
             rolled back.",
        )
        .hint("duckdb.snapshots tells whether the transaction's snapshot is there.")
    }

    /// A commit that failed, in words that name the lake.
    #[must_use]
    pub fn in_lake(self, lake: &str) -> Self {
        let conflict = self.sqlstate() == SqlState::ERRCODE_T_R_SERIALIZATION_FAILURE;
        let message = if conflict {
            format!(
                "could not commit to lake \"{lake}\" due to a conflict with another transaction"
            )
        } else {
            format!("could not commit to lake \"{lake}\": {}", self.message())
        };
        self.reworded(message)
    }

    /// A number that does not fit its PostgreSQL type: 22003.
    #[must_use]
    pub fn out_of_range(message: impl Into<String>) -> Self {
        Self::new(SqlState::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, message)
    }

    /// 0A000.
    #[must_use]
    pub fn not_supported(message: impl Into<String>) -> Self {
        Self::new(SqlState::ERRCODE_FEATURE_NOT_SUPPORTED, message)
    }

    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The error on one line: the words of DuckDB, if there are any, else the message.
    #[must_use]
    pub fn summary(&self) -> &str {
        let words = self.0.detail.as_deref().unwrap_or(&self.0.message);
        words.lines().next().unwrap_or_default()
    }

    #[must_use]
    pub fn sqlstate(&self) -> SqlState {
        self.0.sqlstate
    }

    /// Whether DuckDB's failure says nothing about what PostgreSQL would answer: an overflow of its
    /// decimals, a value that only PostgreSQL has, a statement that it does not understand, an error
    /// of its own. Failures of access, files, resources, and cancels do.
    #[must_use]
    pub fn is_duckdbs_own(&self) -> bool {
        if self.is_unplanned() {
            return false;
        }
        let state = self.0.sqlstate;
        let decided = [
            SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE,
            SqlState::ERRCODE_UNDEFINED_OBJECT,
            SqlState::ERRCODE_UNDEFINED_COLUMN,
            SqlState::ERRCODE_DATATYPE_MISMATCH,
            SqlState::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
        ];
        // Five characters of six bits each (MAKE_SQLSTATE in utils/elog.h); the class is two.
        let character = |shift: u32| char::from_u32(((state as u32 >> shift) & 0x3f) + 0x30);
        let class: String = [character(0), character(6)].into_iter().flatten().collect();
        let own = ["0A", "21", "22", "39", "42", "XX"];
        !decided.contains(&state) && own.contains(&class.as_str())
    }

    /// Whether the fence around DuckDB has refused something: the policy, in words of our own only, or
    /// DuckDB's lockdown.
    #[must_use]
    pub fn is_of_fence(&self) -> bool {
        let locked = |detail: &str| detail.contains("disabled by configuration");
        self.0.sqlstate == SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE
            && self.0.hint.is_none()
            && self.0.detail.as_deref().is_none_or(locked)
    }

    /// Whether it is about SQL of our own that uses more than was planned.
    #[must_use]
    pub fn is_unplanned(&self) -> bool {
        self.0.message == UNPLANNED
    }

    /// Raises the PostgreSQL error. Call it only at a boundary, with no DuckDB frame below and
    /// nothing left to drop that matters.
    pub fn report(self) -> ! {
        let mut report = *self.0;
        // Messages are handed over as UTF-8; other servers get what is the same in theirs.
        if !crate::pg::encoding::is_utf8() {
            let texts = [Some(&mut report.message), report.detail.as_mut(), report.hint.as_mut()];
            for text in texts.into_iter().flatten() {
                *text =
                    text.replace('…', "...").replace(|character: char| !character.is_ascii(), "?");
            }
        }
        let mut ereport = ErrorReport::new(report.sqlstate, report.message, "");
        if let Some(detail) = report.detail {
            ereport = ereport.set_detail(detail);
        }
        if let Some(hint) = report.hint {
            ereport = ereport.set_hint(hint);
        }
        ereport.report(PgLogLevel::ERROR);
        unreachable!("an ERROR does not return")
    }
}

/// Whatever RUST_BACKTRACE is in the server's environment: a backtrace, with the server's paths in it, is
/// nothing that a client's DETAIL has to hold. Rust's library looks at the environment at the first
/// capture only.
///
/// # Safety
/// Called from `_PG_init`, while the process has one thread.
pub unsafe fn turn_backtraces_off() {
    const LIBRARY: &str = "RUST_LIB_BACKTRACE";
    let before = std::env::var_os(LIBRARY);
    // SAFETY: by contract, nobody else reads or writes the environment.
    unsafe {
        std::env::set_var(LIBRARY, "0");
        drop(std::backtrace::Backtrace::capture());
        match before {
            Some(value) => std::env::set_var(LIBRARY, value),
            None => std::env::remove_var(LIBRARY),
        }
    }
}

/// Reports the error of `result`, if any. For boundaries.
pub fn report<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => error.report(),
    }
}

/// SQLSTATEs of our own words that end in a value, behind a colon.
const QUOTING: &[SqlState] = &[
    SqlState::ERRCODE_INVALID_TEXT_REPRESENTATION,
    SqlState::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
    SqlState::ERRCODE_DATETIME_FIELD_OVERFLOW,
];

/// Whether what DuckDB says of an error may hold values of rows or parts of the statement.
fn may_quote(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        // Files, places, limits, and our own words.
        ErrorKind::Io
            | ErrorKind::Http
            | ErrorKind::Permission
            | ErrorKind::OutOfMemory
            | ErrorKind::Interrupt
            | ErrorKind::Configuration
            | ErrorKind::MissingExtension
            | ErrorKind::Attach
            | ErrorKind::Transaction
            | ErrorKind::StatementCount
            | ErrorKind::ParameterCount
            | ErrorKind::ColumnMismatch
            | ErrorKind::NotAllowed
            | ErrorKind::ReadOnly
            | ErrorKind::NotSupported
    )
}

impl From<duck::Error> for Error {
    /// DuckDB's class and words decide the SQLSTATE; its words become the DETAIL.
    fn from(error: duck::Error) -> Self {
        let mut report = Self::told(without_catalog_sql(error.clone()));
        let has_words = report.0.detail.is_some() && may_quote(error.kind());
        let has_value =
            own_words(error.message()).is_some() && QUOTING.contains(&report.sqlstate());
        report.0.may_quote = has_words || has_value;
        report
    }
}

impl Error {
    fn told(error: duck::Error) -> Self {
        let error = without_vain_advice(&error);
        if let Some((sqlstate, message)) = own_words(error.message()) {
            return Self::new(sqlstate, message);
        }
        let (sqlstate, message) = classify(&error);
        let report = Self::new(sqlstate, message);
        match error.kind() {
            // These are our own words, already in style.
            ErrorKind::StatementCount
            | ErrorKind::ParameterCount
            | ErrorKind::ColumnMismatch
            | ErrorKind::NotAllowed
            | ErrorKind::ReadOnly
            | ErrorKind::NotSupported => Self::new(sqlstate, error.message()),
            ErrorKind::Unplanned => report.detail(error.message()).hint(
                "This is a bug in pg_pond, of which somebody may have tried to make use. Nothing has run. \
                 Please report it with the statement.",
            ),
            ErrorKind::Internal if says_no_inlined_table(error.message()) => report
                .detail("The lake's catalog refuses a table that holds inlined rows.")
                .hint(
                    "Grant SELECT on the catalog's tables, also on new ones by ALTER DEFAULT PRIVILEGES, or give \
                     the lake data_inlining_row_limit 0.",
                ),
            ErrorKind::OutOfMemory => report
                .detail(error.message())
                .hint("Raise duckdb.memory_limit or duckdb.max_temp_directory_size, or read less."),
            ErrorKind::Internal | ErrorKind::Fatal => report.detail(error.message()).hint(
                "This is a bug in DuckDB or pg_pond. The session goes on with a new instance.",
            ),
            ErrorKind::ParameterNotResolved => report.detail(error.message()).hint(
                "Cast the parameter in DuckDB's query, or use duckdb.query_rows(…) AS alias(column type, …).",
            ),
            ErrorKind::InvalidInput if says_other_columns(error.message()) => report
                .detail(error.message())
                .hint("With the option union_by_name, columns are matched by their names."),
            _ if sqlstate == SqlState::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
                && says_old_inlined_table(error.message()) =>
            {
                report.detail(error.message()).hint(
                    "Columns were added while rows were not inlined (data_inlining_row_limit 0). Set that again \
                     for the table, or add a column while it is not 0.",
                )
            }
            _ if error.message().contains("canceling statement due to lock timeout") => report
                .detail(error.message())
                .hint("Another session holds a lock in the catalog. The server's option lock_timeout says how long to wait."),
            _ if error.message().contains("requires the extension httpfs") => {
                report.detail(error.message()).hint(
                    "A server of type s3, gcs, r2 or http with a user mapping brings what reads such paths.",
                )
            }
            _ if error.message().contains("SSL peer certificate") => report
                .detail(error.message())
                .hint("Give the server's option ca_cert_file the authority that signed it."),
            _ => report.detail(error.message()),
        }
    }
}

impl From<duck::server::OptionError> for Error {
    fn from(error: duck::server::OptionError) -> Self {
        use duck::server::OptionError;
        let sqlstate = match &error {
            OptionError::UnknownName { .. } => SqlState::ERRCODE_FDW_INVALID_OPTION_NAME,
            OptionError::Missing { .. } => SqlState::ERRCODE_FDW_OPTION_NAME_NOT_FOUND,
            _ => SqlState::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
        };
        let report = Self::new(sqlstate, error.message());
        match error.hint() {
            Some(hint) => report.hint(hint),
            None => report,
        }
    }
}

/// DuckDB's advice that nobody can follow here: extensions are not installed by statements, and
/// what DuckDB's own catalog happens to have is not what was meant.
fn without_vain_advice(error: &duck::Error) -> duck::Error {
    const INSTALL: &str = "\n\nPlease try installing and loading the ";
    const MEANT: &str = "\nDid you mean \"";
    const PLACE: &str = "\n\nLINE ";
    let mut text = error.message().to_owned();
    if let Some(start) = text.find(INSTALL) {
        let end = text[start..].find(PLACE).map_or(text.len(), |at| start + at);
        text.replace_range(start..end, "");
    }
    if text.starts_with("Table with name")
        && let Some(start) = text.find(MEANT)
    {
        let end = text[start + 1..].find('\n').map_or(text.len(), |at| start + 1 + at);
        let name = text[start + MEANT.len()..end].to_ascii_lowercase();
        let system = ["duckdb_", "pg_", "sqlite_", "pragma_", "information_schema."];
        let tables = ["tables", "columns", "views", "schemata"];
        if system.iter().any(|prefix| name.starts_with(prefix))
            || tables.iter().any(|table| name.starts_with(&format!("{table}\"")))
        {
            text.replace_range(start..end, "");
        }
    }
    duck::Error::new(error.kind(), text)
}

/// The SQLSTATEs that a message of our own SQL may name. Whoever writes DuckDB SQL can raise such a
/// message too: nothing on this list ends a session or is more than a wrong value.
const OWN_SQLSTATES: &[(&str, SqlState)] = &[
    ("0A000", SqlState::ERRCODE_FEATURE_NOT_SUPPORTED),
    ("21000", SqlState::ERRCODE_CARDINALITY_VIOLATION),
    ("22003", SqlState::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
    ("22008", SqlState::ERRCODE_DATETIME_FIELD_OVERFLOW),
    ("22011", SqlState::ERRCODE_SUBSTRING_ERROR),
    ("22012", SqlState::ERRCODE_DIVISION_BY_ZERO),
    ("2201E", SqlState::ERRCODE_INVALID_ARGUMENT_FOR_LOG),
    ("2201F", SqlState::ERRCODE_INVALID_ARGUMENT_FOR_POWER_FUNCTION),
    ("22021", SqlState::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
    ("22023", SqlState::ERRCODE_INVALID_PARAMETER_VALUE),
    ("22P02", SqlState::ERRCODE_INVALID_TEXT_REPRESENTATION),
    ("42703", SqlState::ERRCODE_UNDEFINED_COLUMN),
    ("42804", SqlState::ERRCODE_DATATYPE_MISMATCH),
    ("42P17", SqlState::ERRCODE_INVALID_OBJECT_DEFINITION),
];

/// DuckLake quotes the statements that fail in its catalog, with the values of rows in them, and the
/// connection strings that fail. They are cut out, what the catalog has answered stays.
fn without_catalog_sql(error: duck::Error) -> duck::Error {
    const STARTS: &[&str] = &[
        "Failed to execute query \"",
        "Failed to prepare query \"",
        "Failed to prepare COPY \"",
        "Failed to execute COPY \"",
    ];
    const END: &str = "\": ERROR:";
    const CONNECTION: &str = "Unable to connect to Postgres at \"";
    let text = error.message();
    if let Some(at) = text.find(CONNECTION)
        && let Some(end) = text[at + CONNECTION.len()..].find("\": ")
    {
        let start = text.find("Failed to attach DuckLake MetaData").unwrap_or(at).min(at);
        let answer = &text[at + CONNECTION.len() + end + 3..];
        return duck::Error::new(error.kind(), format!("{}{answer}", &text[..start]));
    }
    let start = STARTS.iter().filter_map(|start| text.find(start)).min();
    let Some(start) = start else { return error };
    // The last: the statement's own values may hold such words too.
    let answer = text.rfind(END).filter(|at| *at > start);
    let answer = answer.map_or(CATALOG_IS_LOST, |at| text[at + END.len()..].trim_start());
    // PostgreSQL points at the place in the statement, values and all.
    let answer = answer.split("\nLINE ").next().unwrap_or_default();
    duck::Error::new(error.kind(), format!("{}{answer}", &text[..start]))
}

/// Whether a commit has failed at the one statement after which nobody knows whether it has happened.
#[must_use]
pub fn is_unanswered_commit(error: &duck::Error) -> bool {
    const COMMIT: &str = "Failed to execute query \"COMMIT\": ";
    let answer = error.message().split_once(COMMIT).map(|(_, answer)| answer.trim_start());
    answer.is_some_and(|answer| !answer.starts_with("ERROR:") && !answer.starts_with("FATAL:"))
}

/// In place of an answer that the catalog has not given.
const CATALOG_IS_LOST: &str = "the connection to the lake's catalog is lost";

/// What DuckDB makes of a table of inlined rows that the catalog does not let it read.
fn says_no_inlined_table(text: &str) -> bool {
    text.contains("Attempted to access index 0 within vector of size 0")
}

/// What catalogs answer to inlined rows with more columns than their table there has.
fn says_old_inlined_table(text: &str) -> bool {
    text.contains("INSERT has more expressions than target columns")
        || (text.contains("ducklake_inlined_data_") && text.contains("values were supplied"))
}

/// What a lake's catalog has answered, whatever DuckDB makes of it.
fn classify_catalog_error(error: &duck::Error) -> Option<(SqlState, &'static str)> {
    let text = error.message();
    let has = |part: &str| text.contains(part);
    let denied =
        (SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE, "permission denied in the lake's catalog");
    let inlined = error.kind() == ErrorKind::Internal && says_no_inlined_table(text);
    let refused = ["table", "schema", "sequence", "view"]
        .iter()
        .any(|what| has(&format!("permission denied for {what} ")));
    if inlined || (refused && error.kind() != ErrorKind::NotAllowed) {
        return Some(denied);
    }
    if has("canceling statement due to lock timeout") {
        return Some((SqlState::ERRCODE_LOCK_NOT_AVAILABLE, "the lake's catalog is locked"));
    }
    let lost = [
        CATALOG_IS_LOST,
        "server closed the connection unexpectedly",
        "terminating connection due to administrator command",
        "could not receive data from server",
        "connection has been closed unexpectedly",
    ];
    if lost.iter().any(|words| has(words)) {
        let message = "the connection to the lake's catalog is lost";
        return Some((SqlState::ERRCODE_CONNECTION_FAILURE, message));
    }
    if has("connection to server ") && has("failed: ") && error.kind() != ErrorKind::Attach {
        return Some((
            SqlState::ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
            "the lake's catalog cannot be reached",
        ));
    }
    match error.kind() {
        ErrorKind::InvalidInput if has("attached in read-only mode") => {
            Some((SqlState::ERRCODE_READ_ONLY_SQL_TRANSACTION, "the lake is read-only"))
        }
        ErrorKind::Transaction if has("can only write to a single attached database") => Some((
            SqlState::ERRCODE_FEATURE_NOT_SUPPORTED,
            "a transaction can write to one lake only, and to nothing else of DuckDB",
        )),
        ErrorKind::Transaction if has("Current transaction is aborted") => Some((
            SqlState::ERRCODE_IN_FAILED_SQL_TRANSACTION,
            "DuckDB's transaction is aborted by an earlier error",
        )),
        ErrorKind::Constraint if has("NOT NULL constraint failed") => {
            Some((SqlState::ERRCODE_NOT_NULL_VIOLATION, "a NULL violates a NOT NULL constraint"))
        }
        _ => None,
    }
}

/// Whether a lake's catalog cannot be reached or is not as DuckLake makes it, which may be that of a lake
/// other than the one that the statement is about: DuckDB loads the names of all that are attached.
#[must_use]
pub fn is_of_a_catalog(error: &duck::Error) -> bool {
    let unreachable = matches!(
        classify_catalog_error(error),
        Some((
            SqlState::ERRCODE_CONNECTION_FAILURE
                | SqlState::ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
            _
        ))
    );
    let has = |part: &str| error.message().contains(part);
    unreachable
        || has("pg_pond 42P17 table ") && has(" in the catalog of lake ")
        || has("No snapshot found in DuckLake")
        || has("Failed to load DuckLake")
        || has("Failed to get ") && has(" information from DuckLake: ")
}

/// What our own SQL raises by `error('pg_pond SQLSTATE message')`.
fn own_words(text: &str) -> Option<(SqlState, &str)> {
    // DuckDB puts its own words before it, more of them where rows have been returned already.
    let text = text.rsplit("Invalid Input Error: ").next().unwrap_or(text);
    let (sqlstate, message) = text.strip_prefix("pg_pond ")?.split_once(' ')?;
    let (_, sqlstate) = OWN_SQLSTATES.iter().find(|(code, _)| *code == sqlstate)?;
    Some((*sqlstate, message))
}

fn classify(error: &duck::Error) -> (SqlState, &'static str) {
    if let Some(found) = classify_catalog_error(error) {
        return found;
    }
    let text = error.message();
    let has = |part: &str| text.contains(part);
    match error.kind() {
        ErrorKind::Parser => (SqlState::ERRCODE_SYNTAX_ERROR, "DuckDB cannot parse the statement"),
        ErrorKind::StatementCount => (SqlState::ERRCODE_SYNTAX_ERROR, ""),
        ErrorKind::ParameterCount => (SqlState::ERRCODE_UNDEFINED_PARAMETER, ""),
        ErrorKind::ColumnMismatch => (SqlState::ERRCODE_DATATYPE_MISMATCH, ""),
        ErrorKind::Binder | ErrorKind::Catalog => classify_name_error(text),
        ErrorKind::Conversion
            if has("out of range") || has("to DECIMAL(") || has("value out of range") =>
        {
            (SqlState::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "value out of range in DuckDB")
        }
        ErrorKind::Conversion => {
            (SqlState::ERRCODE_INVALID_TEXT_REPRESENTATION, "DuckDB cannot convert a value")
        }
        ErrorKind::OutOfRange => {
            (SqlState::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "value out of range in DuckDB")
        }
        ErrorKind::DivideByZero => (SqlState::ERRCODE_DIVISION_BY_ZERO, "division by zero"),
        ErrorKind::InvalidInput if says_damaged(text) => {
            (SqlState::ERRCODE_DATA_CORRUPTED, "a file is not what its format says")
        }
        ErrorKind::InvalidInput if has("has duplicate key") => {
            (SqlState::ERRCODE_INVALID_TEXT_REPRESENTATION, "a file cannot be parsed")
        }
        ErrorKind::InvalidInput if says_other_columns(text) => {
            (SqlState::ERRCODE_DATATYPE_MISMATCH, "the files do not have the same columns")
        }
        ErrorKind::InvalidInput if has("Malformed JSON") || has("CSV Error") => {
            (SqlState::ERRCODE_INVALID_TEXT_REPRESENTATION, "a file cannot be parsed")
        }
        ErrorKind::InvalidInput if has("No snapshot found") => {
            (SqlState::ERRCODE_INVALID_PARAMETER_VALUE, "the lake has no such snapshot")
        }
        ErrorKind::InvalidInput => {
            (SqlState::ERRCODE_INVALID_PARAMETER_VALUE, "DuckDB refuses the input")
        }
        ErrorKind::InvalidType => (SqlState::ERRCODE_DATATYPE_MISMATCH, "DuckDB refuses a type"),
        ErrorKind::NotImplemented => {
            (SqlState::ERRCODE_FEATURE_NOT_SUPPORTED, "DuckDB does not implement this")
        }
        ErrorKind::NotSupported => (SqlState::ERRCODE_FEATURE_NOT_SUPPORTED, ""),
        ErrorKind::Constraint => {
            (SqlState::ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION, "a constraint in DuckDB is violated")
        }
        ErrorKind::Transaction
            if has("onflict")
                || has("Exceeded the maximum retry count")
                || has("ducklake_snapshot_pkey") =>
        {
            (SqlState::ERRCODE_T_R_SERIALIZATION_FAILURE, "conflict with another transaction")
        }
        ErrorKind::Transaction if says_old_inlined_table(text) => (
            SqlState::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "the catalog has no table for inlined rows of these columns",
        ),
        ErrorKind::Transaction => {
            (SqlState::ERRCODE_INVALID_TRANSACTION_STATE, "DuckDB's transaction failed")
        }
        ErrorKind::Attach => classify_attach_error(text),
        ErrorKind::Io if has("do not support negative intervals") => (
            SqlState::ERRCODE_FEATURE_NOT_SUPPORTED,
            "a negative interval, which a lake's files cannot hold",
        ),
        ErrorKind::Io | ErrorKind::Http => classify_file_error(text),
        ErrorKind::Permission if has("GET error") || has("HTTP") => classify_file_error(text),
        ErrorKind::Permission if has("Permission denied") => classify_file_error(text),
        ErrorKind::Permission => (
            SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "permission denied: the path lies outside the locations of the role's servers",
        ),
        ErrorKind::NotAllowed => (SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE, ""),
        ErrorKind::ReadOnly => (SqlState::ERRCODE_READ_ONLY_SQL_TRANSACTION, ""),
        ErrorKind::OutOfMemory => (SqlState::ERRCODE_OUT_OF_MEMORY, "DuckDB is out of memory"),
        ErrorKind::Interrupt => (SqlState::ERRCODE_QUERY_CANCELED, "canceling statement in DuckDB"),
        ErrorKind::Configuration => {
            (SqlState::ERRCODE_INVALID_PARAMETER_VALUE, "DuckDB refuses a setting")
        }
        ErrorKind::MissingExtension => (
            SqlState::ERRCODE_FEATURE_NOT_SUPPORTED,
            "a DuckDB extension that the statement needs is not loaded",
        ),
        ErrorKind::ParameterNotResolved => {
            (SqlState::ERRCODE_INDETERMINATE_DATATYPE, "DuckDB cannot tell the type of a parameter")
        }
        ErrorKind::Unplanned => (SqlState::ERRCODE_INTERNAL_ERROR, UNPLANNED),
        ErrorKind::Internal | ErrorKind::Fatal => {
            (SqlState::ERRCODE_INTERNAL_ERROR, "DuckDB failed with an internal error")
        }
        ErrorKind::Other => {
            (SqlState::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION, "DuckDB reports an error")
        }
    }
}

/// What DuckLake and libpq say when a lake is attached.
fn classify_attach_error(text: &str) -> (SqlState, &'static str) {
    let has = |part: &str| text.contains(part);
    if has("password authentication failed") || has("no password supplied") {
        (SqlState::ERRCODE_INVALID_PASSWORD, "the lake's catalog refuses the user or the password")
    } else if has("connection to server")
        || has("could not translate host name")
        || has("could not connect")
    {
        (
            SqlState::ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
            "the lake's catalog cannot be reached",
        )
    } else if has("catalog version mismatch") || has("Only DuckLake versions ") {
        (SqlState::ERRCODE_FEATURE_NOT_SUPPORTED, "the lake has another format than DuckLake 1.0")
    } else if has("permission denied") {
        (SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE, "permission denied in the lake's catalog")
    } else if has("does not exist") || has("not exist") {
        (SqlState::ERRCODE_FDW_SCHEMA_NOT_FOUND, "the lake does not exist")
    } else if has("lock timeout") || has("lock on file") {
        (SqlState::ERRCODE_LOCK_NOT_AVAILABLE, "the lake's catalog is locked")
    } else {
        (SqlState::ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, "the lake cannot be attached")
    }
}

/// The words of DuckDB's readers for files of one pattern that differ.
fn says_other_columns(text: &str) -> bool {
    text.contains("union_by_name")
}

/// The words of DuckDB's readers for files that are not what they should be.
fn says_damaged(text: &str) -> bool {
    [
        "No magic bytes",
        "orrupt",
        "too small to be a Parquet",
        "TProtocolException",
        "Snappy",
        "ZSTD",
        "Out of buffer",
        "Invalid Parquet",
    ]
    .iter()
    .any(|words| text.contains(words))
}

fn classify_name_error(text: &str) -> (SqlState, &'static str) {
    let missing = |what: &str| text.starts_with(what) && text.contains("does not exist");
    if text.contains("already exists!") {
        (SqlState::ERRCODE_DUPLICATE_TABLE, "relation already exists in DuckDB")
    } else if missing("Type with name")
        || missing("Setting with name")
        || missing("Collation with name")
    {
        (SqlState::ERRCODE_UNDEFINED_OBJECT, "an object does not exist in DuckDB")
    } else if missing("Schema with name") || text.contains("not found in DuckLakeCatalog") {
        (SqlState::ERRCODE_INVALID_SCHEMA_NAME, "schema does not exist in DuckDB")
    } else if text.starts_with("unrecognized configuration parameter") {
        (SqlState::ERRCODE_UNDEFINED_OBJECT, "DuckDB has no such setting")
    } else if text.starts_with("Referenced column") || text.contains("does not have a column named")
    {
        (SqlState::ERRCODE_UNDEFINED_COLUMN, "column does not exist in DuckDB's query")
    } else if text.starts_with("Could not choose a best candidate") {
        (SqlState::ERRCODE_AMBIGUOUS_FUNCTION, "function call is ambiguous in DuckDB")
    } else if text.starts_with("No function matches") || text.contains("Function with name") {
        (SqlState::ERRCODE_UNDEFINED_FUNCTION, "function does not exist in DuckDB")
    } else if text.contains("already exists") {
        (SqlState::ERRCODE_DUPLICATE_TABLE, "an object of that name exists in DuckDB already")
    } else if text.starts_with("Table with name") || text.contains("does not exist!") {
        (SqlState::ERRCODE_UNDEFINED_TABLE, "table does not exist in DuckDB")
    } else if text.contains("Cannot compare") || text.contains("type mismatch") {
        (SqlState::ERRCODE_DATATYPE_MISMATCH, "DuckDB refuses the types of an expression")
    } else {
        (
            SqlState::ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION,
            "DuckDB cannot make sense of the statement",
        )
    }
}

/// Errors of files and of object stores, told apart by the words of DuckDB and of S3's error codes
/// ("Error Responses", Amazon S3 API reference).
fn classify_file_error(text: &str) -> (SqlState, &'static str) {
    let has = |part: &str| text.contains(part);
    if has("InvalidAccessKeyId")
        || has("SignatureDoesNotMatch")
        || has("Invalid signature")
        || has("No such key:")
    {
        (SqlState::ERRCODE_INVALID_PASSWORD, "the object store refuses the keys")
    } else if has("NoSuchBucket") || has("Bucket not found") {
        (SqlState::ERRCODE_FDW_SCHEMA_NOT_FOUND, "the bucket does not exist")
    } else if has("HTTP 403") || has("HTTP 401") || has("AccessDenied") || has("Forbidden") {
        (SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE, "the object store denies access")
    } else if has("No files found that match") {
        (SqlState::ERRCODE_UNDEFINED_FILE, "no file matches the path")
    } else if has("HTTP 404") || has("Not Found") || has("No such file") {
        (SqlState::ERRCODE_UNDEFINED_FILE, "the file does not exist")
    } else if has("SSL peer certificate") || has("SSL connect error") || has("certificate") {
        (
            SqlState::ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
            "the object store's certificate is not trusted",
        )
    } else if has("Could not connect")
        || has("Could not resolve")
        || has("Could not establish")
        || has("Connection refused")
    {
        (
            SqlState::ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
            "the object store cannot be reached",
        )
    } else if has("imeout") || has("timed out") || has("Connection error") {
        (SqlState::ERRCODE_CONNECTION_FAILURE, "the object store does not answer")
    } else if says_damaged(text) {
        (SqlState::ERRCODE_DATA_CORRUPTED, "a file is not what its format says")
    } else if has("Permission denied") {
        (
            SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "permission denied: the operating system does not let the server open a file",
        )
    } else if has("disabled by configuration") {
        (
            SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "permission denied: the path lies outside the locations of the role's servers",
        )
    } else if has("failed to offload") || has("max_temp_directory_size") || has("No space left") {
        (SqlState::ERRCODE_DISK_FULL, "DuckDB's temporary files have no room")
    } else {
        (SqlState::ERRCODE_IO_ERROR, "DuckDB cannot read or write a file")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogs_sql_is_cut_out() {
        let shown =
            |text: &str| without_catalog_sql(duck::Error::from_duckdb(text)).message().to_owned();
        assert_eq!(
            shown(
                "TransactionContext Error: Failed to commit: Failed to commit DuckLake transaction.\n\
                 Failed to flush changes into DuckLake: Failed to execute query \"INSERT INTO x VALUES \
                 ('a\": ERROR: b');\": ERROR:  permission denied for table x"
            ),
            "Failed to commit: Failed to commit DuckLake transaction.\n\
             Failed to flush changes into DuckLake: permission denied for table x"
        );
        assert_eq!(
            shown("IO Error: Failed to prepare query \"SELECT 'secret'"),
            " the catalog refuses a statement".trim_start()
        );
        assert_eq!(shown("IO Error: plain"), "plain");
    }

    #[test]
    fn errors_of_lakes_have_their_sqlstates() {
        let state = |text: &str| Error::from(duck::Error::from_duckdb(text)).sqlstate();
        for (text, expected) in [
            (
                "IO Error: Failed to prepare COPY \"COPY (SELECT)\": ERROR:  permission denied for table t",
                SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE,
            ),
            (
                "INTERNAL Error: Attempted to access index 0 within vector of size 0",
                SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE,
            ),
            (
                "Binder Error: Failed to prepare query \"SELECT\": ERROR:  canceling statement due to lock timeout",
                SqlState::ERRCODE_LOCK_NOT_AVAILABLE,
            ),
            (
                "Invalid Input Error: Cannot execute statement of type \"INSERT\" on database \"ro\" which is attached in read-only mode!",
                SqlState::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            ),
            (
                "TransactionContext Error: Attempting to write to database \"b\" in a transaction that has already modified database \"a\" - a single transaction can only write to a single attached database.",
                SqlState::ERRCODE_FEATURE_NOT_SUPPORTED,
            ),
            (
                "TransactionContext Error: Current transaction is aborted (please ROLLBACK)",
                SqlState::ERRCODE_IN_FAILED_SQL_TRANSACTION,
            ),
            (
                "TransactionContext Error: Failed to commit: Failed to commit DuckLake transaction.\nTransaction conflict - attempting to x",
                SqlState::ERRCODE_T_R_SERIALIZATION_FAILURE,
            ),
            (
                "Constraint Error: NOT NULL constraint failed: t.a",
                SqlState::ERRCODE_NOT_NULL_VIOLATION,
            ),
        ] {
            assert_eq!(state(text), expected, "{text}");
        }
    }

    #[test]
    fn own_words_name_a_sqlstate_of_the_list() {
        let found = own_words("Invalid Input Error: pg_pond 22012 division by zero");
        assert_eq!(found, Some((SqlState::ERRCODE_DIVISION_BY_ZERO, "division by zero")));
        for other in ["pg_pond 57P01 x", "pg_pond XX000 x", "pg_pond", "pg_pond 22012", "22012 x"] {
            assert_eq!(own_words(other), None, "{other}");
        }
    }
}
