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
}

impl Error {
    #[must_use]
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self(Box::new(Report { sqlstate, message: message.into(), detail: None, hint: None }))
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

    /// The same error in other words.
    #[must_use]
    pub fn reworded(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
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

/// Reports the error of `result`, if any. For boundaries.
pub fn report<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => error.report(),
    }
}

impl From<duck::Error> for Error {
    /// DuckDB's class and words decide the SQLSTATE; its words become the DETAIL.
    fn from(error: duck::Error) -> Self {
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
            | ErrorKind::NotSupported => Self::new(sqlstate, error.message()),
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
];

/// What our own SQL raises by `error('pg_pond SQLSTATE message')`.
fn own_words(text: &str) -> Option<(SqlState, &str)> {
    // DuckDB puts its own words before it, more of them where rows have been returned already.
    let text = text.rsplit("Invalid Input Error: ").next().unwrap_or(text);
    let (sqlstate, message) = text.strip_prefix("pg_pond ")?.split_once(' ')?;
    let (_, sqlstate) = OWN_SQLSTATES.iter().find(|(code, _)| *code == sqlstate)?;
    Some((*sqlstate, message))
}

fn classify(error: &duck::Error) -> (SqlState, &'static str) {
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
        ErrorKind::InvalidInput if says_other_columns(text) => {
            (SqlState::ERRCODE_DATATYPE_MISMATCH, "the files do not have the same columns")
        }
        ErrorKind::InvalidInput if has("Malformed JSON") || has("CSV Error") => {
            (SqlState::ERRCODE_INVALID_TEXT_REPRESENTATION, "a file cannot be parsed")
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
        ErrorKind::Transaction if has("onflict") => {
            (SqlState::ERRCODE_T_R_SERIALIZATION_FAILURE, "conflict with another transaction")
        }
        ErrorKind::Transaction => {
            (SqlState::ERRCODE_INVALID_TRANSACTION_STATE, "DuckDB's transaction failed")
        }
        ErrorKind::Io | ErrorKind::Http => classify_file_error(text),
        ErrorKind::Permission if has("GET error") || has("HTTP") => classify_file_error(text),
        ErrorKind::Permission => (
            SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "permission denied: the path lies outside the locations of the role's servers",
        ),
        ErrorKind::NotAllowed => (SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE, ""),
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
        ErrorKind::Internal | ErrorKind::Fatal => {
            (SqlState::ERRCODE_INTERNAL_ERROR, "DuckDB failed with an internal error")
        }
        ErrorKind::Other => {
            (SqlState::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION, "DuckDB reports an error")
        }
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
    if missing("Type with name") || missing("Setting with name") || missing("Collation with name") {
        (SqlState::ERRCODE_UNDEFINED_OBJECT, "an object does not exist in DuckDB")
    } else if missing("Schema with name") {
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
    } else if has("Permission denied") || has("disabled by configuration") {
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
    fn own_words_name_a_sqlstate_of_the_list() {
        let found = own_words("Invalid Input Error: pg_pond 22012 division by zero");
        assert_eq!(found, Some((SqlState::ERRCODE_DIVISION_BY_ZERO, "division by zero")));
        for other in ["pg_pond 57P01 x", "pg_pond XX000 x", "pg_pond", "pg_pond 22012", "22012 x"] {
            assert_eq!(own_words(other), None, "{other}");
        }
    }
}
