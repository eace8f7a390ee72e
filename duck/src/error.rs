//! DuckDB's errors: the class that DuckDB names, and its message without the class.

use std::ffi::{CStr, c_char};
use std::fmt;

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
    /// More or fewer statements than the one that is allowed.
    StatementCount,
    /// More or fewer values than the statement has parameters, or parameters of another kind.
    ParameterCount,
    /// Other columns than were promised.
    ColumnMismatch,
    /// pg_pond's own refusal of a statement that the role may not run.
    NotAllowed,
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

    /// Splits DuckDB's `Class Error: message` into its parts.
    #[must_use]
    pub fn from_duckdb(text: &str) -> Self {
        // INTERNAL errors bring a stack trace, with the library's path on the server.
        let text = text.split("\n\nStack Trace:").next().unwrap_or(text).trim_end();
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
    fn message_without_known_class_is_kept_whole() {
        let error = Error::from_duckdb("Odd Error: what");
        assert_eq!(error.kind(), ErrorKind::Other);
        assert_eq!(error.message(), "Odd Error: what");
    }
}
