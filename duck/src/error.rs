//! DuckDB's errors: the class that DuckDB names, and its message without the class.

use std::ffi::{CStr, c_char};
use std::fmt;

use libduckdb_sys as sys;

pub type Result<T> = std::result::Result<T, Error>;

/// The class of an error, read off the prefix that DuckDB puts before every message
/// (`Exception::ExceptionTypeToString` in DuckDB's sources).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    Parser,
    Binder,
    Catalog,
    Conversion,
    OutOfRange,
    DivideByZero,
    InvalidInput,
    InvalidType,
    NotImplemented,
    Constraint,
    Transaction,
    Io,
    Http,
    Permission,
    OutOfMemory,
    Interrupt,
    Configuration,
    MissingExtension,
    ParameterNotResolved,
    Internal,
    Fatal,
    /// A lake cannot be attached.
    Attach,
    /// More or fewer statements than the one that is allowed.
    StatementCount,
    /// More or fewer values than the statement has parameters, or parameters of another kind.
    ParameterCount,
    /// Other columns than were promised.
    ColumnMismatch,
    /// pg_pond's own refusal of a statement that the role may not run.
    NotAllowed,
    /// SQL of pg_pond's own that uses more than was planned.
    Unplanned,
    /// A change to a lake that is attached for reading only.
    ReadOnly,
    /// Something that the statement may do elsewhere, but that pg_pond does not offer.
    NotSupported,
    Other,
}

impl ErrorKind {
    fn from_prefix(prefix: &str) -> Option<Self> {
        Some(match prefix {
            "Parser" | "Syntax" => Self::Parser,
            "Binder" | "Planner" | "Expression" => Self::Binder,
            "Catalog" | "Dependency" => Self::Catalog,
            "Conversion" => Self::Conversion,
            "Out of Range" | "Decimal" | "Object Size" => Self::OutOfRange,
            "Divide by Zero" => Self::DivideByZero,
            "Invalid Input" | "Invalid" | "Sequence" | "Settings" => Self::InvalidInput,
            "Invalid type" | "Unknown Type" | "Mismatch Type" => Self::InvalidType,
            "Not implemented" => Self::NotImplemented,
            "Constraint" | "Index" => Self::Constraint,
            "TransactionContext" => Self::Transaction,
            "IO" | "Connection" | "Serialization" => Self::Io,
            "HTTP" => Self::Http,
            "Permission" => Self::Permission,
            "Out of Memory" => Self::OutOfMemory,
            "INTERRUPT" => Self::Interrupt,
            "Invalid Configuration" => Self::Configuration,
            "Missing Extension" | "Extension Autoloading" => Self::MissingExtension,
            "Parameter Not Resolved" | "Parameter Not Allowed" => Self::ParameterNotResolved,
            "INTERNAL" | "NullPointer" | "Executor" | "Scheduler" | "Optimizer" | "Stat" => {
                Self::Internal
            }
            "FATAL" => Self::Fatal,
            _ => return None,
        })
    }

    /// The class of an error that DuckDB gives as a number.
    fn from_number(number: sys::duckdb_error_type) -> Self {
        match number {
            sys::duckdb_error_type_DUCKDB_ERROR_PARSER
            | sys::duckdb_error_type_DUCKDB_ERROR_SYNTAX => Self::Parser,
            sys::duckdb_error_type_DUCKDB_ERROR_BINDER
            | sys::duckdb_error_type_DUCKDB_ERROR_PLANNER
            | sys::duckdb_error_type_DUCKDB_ERROR_EXPRESSION => Self::Binder,
            sys::duckdb_error_type_DUCKDB_ERROR_CATALOG
            | sys::duckdb_error_type_DUCKDB_ERROR_DEPENDENCY => Self::Catalog,
            sys::duckdb_error_type_DUCKDB_ERROR_CONVERSION => Self::Conversion,
            sys::duckdb_error_type_DUCKDB_ERROR_OUT_OF_RANGE
            | sys::duckdb_error_type_DUCKDB_ERROR_DECIMAL
            | sys::duckdb_error_type_DUCKDB_ERROR_OBJECT_SIZE => Self::OutOfRange,
            sys::duckdb_error_type_DUCKDB_ERROR_INVALID_INPUT
            | sys::duckdb_error_type_DUCKDB_ERROR_SETTINGS
            | sys::duckdb_error_type_DUCKDB_ERROR_SEQUENCE => Self::InvalidInput,
            sys::duckdb_error_type_DUCKDB_ERROR_INVALID_TYPE
            | sys::duckdb_error_type_DUCKDB_ERROR_UNKNOWN_TYPE
            | sys::duckdb_error_type_DUCKDB_ERROR_MISMATCH_TYPE => Self::InvalidType,
            sys::duckdb_error_type_DUCKDB_ERROR_NOT_IMPLEMENTED => Self::NotImplemented,
            sys::duckdb_error_type_DUCKDB_ERROR_CONSTRAINT
            | sys::duckdb_error_type_DUCKDB_ERROR_INDEX => Self::Constraint,
            sys::duckdb_error_type_DUCKDB_ERROR_TRANSACTION => Self::Transaction,
            sys::duckdb_error_type_DUCKDB_ERROR_IO
            | sys::duckdb_error_type_DUCKDB_ERROR_SERIALIZATION => Self::Io,
            sys::duckdb_error_type_DUCKDB_ERROR_PERMISSION => Self::Permission,
            sys::duckdb_error_type_DUCKDB_ERROR_OUT_OF_MEMORY => Self::OutOfMemory,
            sys::duckdb_error_type_DUCKDB_ERROR_INTERRUPT => Self::Interrupt,
            sys::duckdb_error_type_DUCKDB_ERROR_INTERNAL
            | sys::duckdb_error_type_DUCKDB_ERROR_NULL_POINTER
            | sys::duckdb_error_type_DUCKDB_ERROR_EXECUTOR
            | sys::duckdb_error_type_DUCKDB_ERROR_SCHEDULER
            | sys::duckdb_error_type_DUCKDB_ERROR_OPTIMIZER
            | sys::duckdb_error_type_DUCKDB_ERROR_STAT => Self::Internal,
            sys::duckdb_error_type_DUCKDB_ERROR_FATAL => Self::Fatal,
            _ => Self::Other,
        }
    }
}

/// An error of DuckDB or of this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Without the place in `statement` at which DuckDB's message points.
    #[must_use]
    pub fn without_line(mut self, statement: &str) -> Self {
        if let Some(at) = self.message.find(&format!("\n\nLINE 1: {statement}")) {
            self.message.truncate(at);
        }
        self
    }

    /// Splits DuckDB's `Class Error: message` into its parts.
    #[must_use]
    pub fn from_duckdb(text: &str) -> Self {
        // INTERNAL errors bring a stack trace, with the library's path on the server.
        let text = text.split("\n\nStack Trace:").next().unwrap_or(text).trim_end();
        // A pending result that has failed says so each time; what counts is why.
        const FAILED: &str = "unsuccessful or closed pending query result\nError: ";
        let text = text.split_once(FAILED).map_or(text, |(_, why)| why);
        if let Some((prefix, rest)) = text.split_once(" Error: ")
            && let Some(kind) = ErrorKind::from_prefix(prefix)
        {
            return Self::new(kind, rest);
        }
        Self::new(ErrorKind::Other, text)
    }

    /// Reads an error message that belongs to a DuckDB object.
    ///
    /// # Safety
    /// `text` is NULL or points to a NUL-terminated string that lives during the call.
    pub(crate) unsafe fn from_ptr(text: *const c_char) -> Self {
        if text.is_null() {
            return Self::new(ErrorKind::Internal, "DuckDB reported an error without a message");
        }
        // SAFETY: not NULL, and NUL-terminated by this function's contract.
        Self::from_duckdb(&unsafe { CStr::from_ptr(text) }.to_string_lossy())
    }

    /// Takes an error of an appender, whose message comes without its class.
    ///
    /// # Safety
    /// `data` is a live error that nobody else destroys.
    pub(crate) unsafe fn take_data(mut data: sys::duckdb_error_data) -> Self {
        // SAFETY: by contract; the message belongs to the error, and is copied before that goes.
        unsafe {
            let kind = ErrorKind::from_number(sys::duckdb_error_data_error_type(data));
            let error = Self::from_ptr(sys::duckdb_error_data_message(data));
            sys::duckdb_destroy_error_data(&raw mut data);
            let message =
                error.message.strip_prefix("Failed to append: ").unwrap_or(&error.message);
            Self::new(kind, message)
        }
    }

    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message without DuckDB's class.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// After such an error the instance answers nothing any more and must be opened again.
    #[must_use]
    pub fn breaks_instance(&self) -> bool {
        matches!(self.kind, ErrorKind::Internal | ErrorKind::Fatal)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_prefix_is_split_off() {
        let error = Error::from_duckdb("Binder Error: no such column");
        assert_eq!(error.kind(), ErrorKind::Binder);
        assert_eq!(error.message(), "no such column");
    }

    #[test]
    fn the_reason_of_a_failed_pending_result_counts() {
        let error = Error::from_duckdb(
            "Invalid Input Error: Attempting to execute an unsuccessful or closed pending query \
             result\nError: INTERNAL Error: x",
        );
        assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "x"));
    }

    #[test]
    fn message_without_known_class_is_kept_whole() {
        let error = Error::from_duckdb("Odd Error: what");
        assert_eq!(error.kind(), ErrorKind::Other);
        assert_eq!(error.message(), "Odd Error: what");
    }
}
