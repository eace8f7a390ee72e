//! The settings `duckdb.*`: names, units, ranges, who may set them, and typed getters.

use std::ffi::CString;

use pgrx::pg_sys;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use crate::pg::{encoding, nodes};

static MEMORY_LIMIT_MB: GucSetting<i32> = GucSetting::<i32>::new(2048);
static THREADS: GucSetting<i32> = GucSetting::<i32>::new(0);
static TEMP_DIRECTORY: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static MAX_TEMP_DIRECTORY_SIZE_MB: GucSetting<i32> = GucSetting::<i32>::new(10 * 1024);
static HTTP_TIMEOUT_S: GucSetting<i32> = GucSetting::<i32>::new(30);
static HTTP_RETRIES: GucSetting<i32> = GucSetting::<i32>::new(3);
static ENABLE_FILE_CACHE: GucSetting<bool> = GucSetting::<bool>::new(false);
static ENABLE_PUSHDOWN: GucSetting<bool> = GucSetting::<bool>::new(true);
static PUSHDOWN_FLOAT_AGGREGATES: GucSetting<bool> = GucSetting::<bool>::new(true);
static SHIP_ROWS: GucSetting<i32> = GucSetting::<i32>::new(100_000);
static COMMIT_MESSAGE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static DISABLED_READERS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static SUPERUSER_SANDBOX: GucSetting<bool> = GucSetting::<bool>::new(true);
static LOG_SQL: GucSetting<bool> = GucSetting::<bool>::new(false);

/// The limits under which an instance is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub memory_limit_mb: i32,
    /// 0 is one thread per processor.
    pub threads: i32,
    /// Empty is a folder below the data directory's `base/pgsql_tmp`.
    pub temp_directory: String,
    /// -1 is no limit.
    pub max_temp_directory_size_mb: i32,
    pub http_timeout_s: i32,
    pub http_retries: i32,
    pub file_cache: bool,
    /// Of [`duck::policy::READERS`].
    pub disabled_readers: Vec<String>,
}

#[must_use]
pub fn limits() -> Limits {
    Limits {
        memory_limit_mb: MEMORY_LIMIT_MB.get(),
        threads: THREADS.get(),
        temp_directory: TEMP_DIRECTORY
            .get()
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default(),
        max_temp_directory_size_mb: MAX_TEMP_DIRECTORY_SIZE_MB.get(),
        http_timeout_s: HTTP_TIMEOUT_S.get(),
        http_retries: HTTP_RETRIES.get(),
        file_cache: ENABLE_FILE_CACHE.get(),
        disabled_readers: DISABLED_READERS
            .get()
            .map(|list| names_of(&list.to_string_lossy()))
            .unwrap_or_default(),
    }
}

#[expect(clippy::cast_possible_wrap, reason = "one bit")]
const LIST_INPUT: i32 = pg_sys::GUC_LIST_INPUT as i32;

/// The names in a list, in lower case.
fn names_of(list: &str) -> Vec<String> {
    list.split(',')
        .map(|name| name.trim().trim_matches('"').to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect()
}

/// Refuses names that are none of readers.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn check_disabled_readers(
    new: *mut *mut std::ffi::c_char,
    _extra: *mut *mut std::ffi::c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes a place that holds NULL or a NUL-terminated text.
    let list = unsafe { if (*new).is_null() { String::new() } else { nodes::str_at(*new) } };
    let names = names_of(&list);
    let Some(unknown) = names.iter().find(|n| !duck::policy::READERS.contains(&n.as_str())) else {
        return true;
    };
    let detail = format!(
        "\"{unknown}\" is not a reader; the readers are {}.",
        duck::policy::READERS.join(", ")
    );
    let detail = CString::new(detail).unwrap_or_default();
    // SAFETY: guc.c reads the text when it reports the refusal, within the same memory context.
    unsafe { pg_sys::GUC_check_errdetail_string = pg_sys::pstrdup(detail.as_ptr()) };
    false
}

#[must_use]
pub fn enable_pushdown() -> bool {
    ENABLE_PUSHDOWN.get()
}

#[must_use]
pub fn pushdown_float_aggregates() -> bool {
    PUSHDOWN_FLOAT_AGGREGATES.get()
}

#[must_use]
pub fn ship_rows() -> i32 {
    SHIP_ROWS.get()
}

/// Empty for the application's name.
#[must_use]
pub fn commit_message() -> String {
    let text = COMMIT_MESSAGE.get();
    // SAFETY: NUL-terminated server text.
    text.map_or(String::new(), |text| unsafe { encoding::server_to_utf8(text.as_ptr()) })
}

#[must_use]
pub fn superuser_sandbox() -> bool {
    SUPERUSER_SANDBOX.get()
}

#[must_use]
pub fn log_sql() -> bool {
    LOG_SQL.get()
}

pub fn init() {
    GucRegistry::define_int_guc(
        c"duckdb.memory_limit",
        c"Sets the most memory that one DuckDB instance may use.",
        c"Each backend has an instance per role that queries in it. Beyond the limit DuckDB spills \
          to duckdb.temp_directory; a query that cannot spill ends with error 53200.",
        &MEMORY_LIMIT_MB,
        64,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"duckdb.threads",
        c"Sets the number of threads that one DuckDB instance uses.",
        c"0 is one thread per processor.",
        &THREADS,
        0,
        1024,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"duckdb.temp_directory",
        c"Sets the folder below which DuckDB instances spill.",
        c"Empty is base/pgsql_tmp in the data directory, which PostgreSQL cleans after a crash and \
          base backups leave out. Each backend makes its own folder in it.",
        &TEMP_DIRECTORY,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_int_guc(
        c"duckdb.max_temp_directory_size",
        c"Sets the most disk space that one DuckDB instance may spill to.",
        c"Beyond it a query ends with error 53100 or 53200. -1 is no limit.",
        &MAX_TEMP_DIRECTORY_SIZE_MB,
        -1,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"duckdb.http_timeout",
        c"Sets how long DuckDB waits for an answer of an object store or web server.",
        c"It counts for one request, without its retries. A cancelled query does not wait for it.",
        &HTTP_TIMEOUT_S,
        1,
        3600,
        GucContext::Userset,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"duckdb.http_retries",
        c"Sets how often DuckDB repeats a failed HTTP request.",
        c"Connection failures and answers 408, 418, 429, 500, 503 and 504 are repeated.",
        &HTTP_RETRIES,
        0,
        100,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"duckdb.enable_file_cache",
        c"Lets DuckDB keep what it has read of remote files in memory.",
        c"Later queries of the session then read it from there. Each backend has a cache of its own, \
          which grows up to duckdb.memory_limit.",
        &ENABLE_FILE_CACHE,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"duckdb.enable_pushdown",
        c"Lets PostgreSQL's queries, or parts of them, run in DuckDB.",
        c"Only what both compute alike is pushed down. Turned off, DuckDB returns rows and \
          PostgreSQL does the rest; columns that are not used are left out either way.",
        &ENABLE_PUSHDOWN,
        GucContext::Userset,
        GucFlags::EXPLAIN,
    );
    GucRegistry::define_bool_guc(
        c"duckdb.pushdown_float_aggregates",
        c"Lets DuckDB compute aggregates of floating-point numbers.",
        c"The last digits of sums, averages and deviations depend on the order of the rows, which \
          differs between DuckDB and PostgreSQL, and between DuckDB's threads.",
        &PUSHDOWN_FLOAT_AGGREGATES,
        GucContext::Userset,
        GucFlags::EXPLAIN,
    );
    GucRegistry::define_int_guc(
        c"duckdb.ship_rows",
        c"Sets up to how many rows a table of PostgreSQL is sent to DuckDB to be joined there.",
        c"It counts by the planner's estimate. 0 sends none.",
        &SHIP_ROWS,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::EXPLAIN,
    );
    GucRegistry::define_string_guc(
        c"duckdb.commit_message",
        c"Sets the message of the snapshots that transactions make in lakes.",
        c"Empty is the application's name (application_name). The author is the role that commits.",
        &COMMIT_MESSAGE,
        GucContext::Userset,
        GucFlags::default(),
    );
    // SAFETY: the hook is guarded; the texts are static.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"duckdb.disabled_readers",
            c"Sets which of DuckDB's readers nobody may use.",
            c"A list of names such as iceberg_scan; each closes the functions that belong to it, \
              foreign tables of its format, and paths that stand as tables.",
            &DISABLED_READERS,
            GucContext::Suset,
            GucFlags::from_bits_retain(LIST_INPUT),
            Some(check_disabled_readers),
            None,
            None,
        );
    }
    GucRegistry::define_bool_guc(
        c"duckdb.superuser_sandbox",
        c"Fences in what superusers read of foreign tables and lakes.",
        c"Such a statement reads the locations of its servers and nothing else, as anybody's does. \
          DuckDB SQL that a superuser writes and that names no lake is free either way.",
        &SUPERUSER_SANDBOX,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"duckdb.log_sql",
        c"Logs each statement that is sent to DuckDB.",
        c"The text goes to the server log at level LOG, without the values of parameters.",
        &LOG_SQL,
        GucContext::Suset,
        GucFlags::default(),
    );
    // SAFETY: _PG_init runs in the main thread; the prefix is a static string.
    unsafe {
        pg_sys::MarkGUCPrefixReserved(c"duckdb".as_ptr());
    }
}
