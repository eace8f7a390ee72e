//! Opening an instance for one role: extensions, secrets, limits, and for ordinary roles the
//! lockdown.
//!
//! The order is what makes it hold: configuration, LOAD of the extensions that the servers need
//! (with the signature check off, since the files' hashes were checked when they were installed),
//! then the check on again, secrets, settings, what may be read, lakes whose catalog is a PostgreSQL
//! database, the doors that only close, and lakes whose catalog is a file. (DuckDB 1.5.5 refuses to
//! attach a PostgreSQL database behind shut doors, and reads whatever a file holds when it attaches that,
//! views included.) Every statement is made of quoted parts by this crate.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::feed;
use crate::instance::Instance;
use crate::placeholder;
use crate::quote::literal;
use crate::quotient;
use crate::server::{LakeSpec, ServerSpec};
use crate::sockets::{self, Catalogs};

/// The extensions of DuckDB that an instance may load, in the order in which they load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extension {
    Httpfs,
    Aws,
    Azure,
    Avro,
    Iceberg,
    Delta,
    Excel,
    PostgresScanner,
    SqliteScanner,
    Ducklake,
    Tpch,
}

impl Extension {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Httpfs => "httpfs",
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Avro => "avro",
            Self::Iceberg => "iceberg",
            Self::Delta => "delta",
            Self::Excel => "excel",
            Self::PostgresScanner => "postgres_scanner",
            Self::SqliteScanner => "sqlite_scanner",
            Self::Ducklake => "ducklake",
            Self::Tpch => "tpch",
        }
    }

    /// The extensions that must be there before this one.
    fn needs(self) -> &'static [Self] {
        match self {
            Self::Aws => &[Self::Httpfs],
            Self::Iceberg => &[Self::Httpfs, Self::Avro],
            _ => &[],
        }
    }
}

/// Everything that decides what an instance is. Two equal specifications give equal instances, so
/// a session keeps its instance while the specification stays the same.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OpenSpec {
    /// Holds `v1.5.5/linux_amd64/NAME.duckdb_extension`. An absolute path.
    pub extension_directory: String,
    /// It reads its servers' locations and nothing else.
    pub sandboxed: bool,
    /// DuckDB's own default, 80 % of the machine, when `None`.
    pub memory_limit_bytes: Option<u64>,
    /// One per core when `None`.
    pub threads: Option<u32>,
    /// Where DuckDB spills; nowhere when `None`.
    pub temp_directory: Option<String>,
    pub max_temp_directory_size_bytes: Option<u64>,
    pub http_timeout_seconds: Option<u64>,
    pub http_retries: Option<u64>,
    /// Whether what was read of remote files stays in memory.
    pub file_cache: bool,
    /// Certificate authorities for all servers; a server's own must agree.
    pub ca_cert_file: Option<String>,
    pub servers: Vec<ServerSpec>,
    /// The lakes to attach.
    pub lakes: Vec<LakeSpec>,
    /// Extensions besides those that the servers need, in any order.
    pub extra_extensions: Vec<Extension>,
    /// The readers that are switched off, of [`crate::policy::READERS`].
    pub disabled_readers: Vec<String>,
    /// PostgreSQL's TimeZone, which stays settable.
    pub time_zone: Option<String>,
}

impl OpenSpec {
    /// The extensions to load, dependencies first.
    #[must_use]
    pub fn extensions(&self) -> Vec<Extension> {
        let mut wanted = self.extra_extensions.clone();
        if self.servers.iter().any(ServerSpec::is_remote) {
            wanted.push(Extension::Httpfs);
        }
        if self.servers.iter().any(ServerSpec::uses_credential_chain) {
            wanted.push(Extension::Aws);
        }
        wanted.extend(self.lakes.iter().flat_map(LakeSpec::extensions));
        let needed: Vec<_> = wanted.iter().flat_map(|e| e.needs().iter().copied()).collect();
        wanted.extend(needed);
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// # Errors
    /// [`ErrorKind::Configuration`] when two servers want different files: DuckDB has one setting.
    fn ca_cert_file(&self) -> Result<Option<&str>> {
        let mut chosen = self.ca_cert_file.as_deref();
        let storages = self.lakes.iter().filter_map(LakeSpec::storage);
        for server in self.servers.iter().chain(storages) {
            match (chosen, server.ca_cert_file()) {
                (Some(chosen), Some(file)) if chosen != file => {
                    return Err(Error::new(
                        ErrorKind::Configuration,
                        format!(
                            "server \"{}\" wants another ca_cert_file than the session's other \
                             servers or settings",
                            server.name()
                        ),
                    ));
                }
                (None, file) => chosen = file,
                _ => {}
            }
        }
        Ok(chosen)
    }

    /// What `duckdb_open` itself is given.
    fn configuration(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("autoinstall_known_extensions", "false".into()),
            ("autoload_known_extensions", "false".into()),
            ("allow_unsigned_extensions", "true".into()),
            ("allow_community_extensions", "false".into()),
            ("allow_persistent_secrets", "false".into()),
            ("extension_directory", self.extension_directory.clone()),
            // Nothing is read from or written to the operating system user's home.
            ("home_directory", NOWHERE.into()),
            ("secret_directory", NOWHERE.into()),
            ("custom_user_agent", "pg_pond".into()),
            ("temp_directory", self.temp_directory.clone().unwrap_or_default()),
        ];
        if let Some(bytes) = self.memory_limit_bytes {
            settings.push(("memory_limit", format!("{bytes}B")));
        }
        if let Some(threads) = self.threads {
            settings.push(("threads", threads.to_string()));
        }
        settings
    }
}

/// A directory that is not there and cannot be made.
const NOWHERE: &str = "/dev/null/pg_pond";

/// Opens an instance as `spec` says.
///
/// # Errors
/// A missing or damaged extension file; a server's secret that DuckDB refuses (the error names the
/// server and shows nothing of the secret); settings that contradict each other.
pub fn open(spec: &OpenSpec) -> Result<Arc<Instance>> {
    let settings = spec.configuration();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let instance = Instance::open(&settings)?;
    let connection = Connection::new(&instance)?;
    let extensions = spec.extensions();
    for extension in &extensions {
        load(&connection, spec, *extension)?;
    }
    connection.execute_batch("SET allow_unsigned_extensions = false")?;
    quotient::register(&connection)?;
    placeholder::register(&connection)?;
    feed::register(&connection)?;
    let mut taken = HashSet::new();
    for server in &spec.servers {
        create_secret(&connection, server, &mut taken)?;
    }
    // What reads a lake's data is set before it is attached.
    let httpfs = extensions.contains(&Extension::Httpfs);
    if httpfs {
        connection.execute_batch(&remote_settings(spec)?)?;
    }
    connection.execute_batch(&early_settings(spec))?;
    spec.lakes.iter().try_for_each(make_folder)?;
    let mark = sockets::next_mark();
    let unix = spec.lakes.iter().flat_map(LakeSpec::catalog_sockets).collect();
    instance.set_catalogs(Catalogs { mark, unix });
    let (files, databases): (Vec<_>, Vec<_>) =
        spec.lakes.iter().partition(|lake| lake.catalog_file().is_some());
    for lake in databases {
        attach(&connection, lake, mark)?;
    }
    if spec.sandboxed {
        connection.execute_batch("SET GLOBAL enable_external_access = false")?;
    }
    for lake in files {
        attach(&connection, lake, mark)?;
    }
    if spec.sandboxed {
        connection.execute_batch(&lock(spec, httpfs))?;
    }
    Ok(instance)
}

/// Sets what DuckDB keeps per connection: progress is measured and never printed. For connections
/// whose progress somebody asks for.
///
/// # Errors
/// DuckDB's own.
pub fn measure_progress(connection: &Connection) -> Result<()> {
    connection
        .execute_batch("SET enable_progress_bar_print = false; SET enable_progress_bar = true")
}

fn load(connection: &Connection, spec: &OpenSpec, extension: Extension) -> Result<()> {
    let name = extension.name();
    let path = format!(
        "{}/{}/linux_amd64/{name}.duckdb_extension",
        spec.extension_directory.trim_end_matches('/'),
        crate::library_version(),
    );
    connection.execute_batch(&format!("LOAD {}", literal(&path))).map_err(|error| {
        Error::new(
            ErrorKind::MissingExtension,
            format!("cannot load DuckDB's extension \"{name}\": {}", error.message()),
        )
    })
}

/// DuckDB tells names of secrets apart without their case, PostgreSQL names of servers with it: whose
/// name is taken gets a number.
fn create_secret(
    connection: &Connection,
    server: &ServerSpec,
    taken: &mut HashSet<String>,
) -> Result<()> {
    let mut name = format!("server {}", server.name());
    let mut number = 1;
    while !taken.insert(name.to_lowercase()) {
        number += 1;
        name = format!("server {} ({number})", server.name());
    }
    let Some(sql) = server.create_secret(&name) else {
        return Ok(());
    };
    connection.execute_batch(sql.expose()).map_err(|error| {
        // DuckDB's message may quote the statement, so only its class is passed on.
        Error::new(
            error.kind(),
            format!("DuckDB refuses the options of server \"{}\"", server.name()),
        )
    })
}

/// Makes the folder of a lake's data where the lake may be made: behind shut doors DuckDB makes no
/// folders above it.
fn make_folder(lake: &LakeSpec) -> Result<()> {
    let Some(folder) = lake.folder_to_make() else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(|error| {
        Error::new(
            ErrorKind::Attach,
            format!("cannot attach lake \"{}\": cannot make \"{folder}\": {error}", lake.name()),
        )
    })
}

fn attach(connection: &Connection, lake: &LakeSpec, mark: u32) -> Result<()> {
    for secret in lake.create_secrets() {
        connection.execute_batch(secret.expose()).map_err(|error| {
            // As above.
            Error::new(
                error.kind(),
                format!("DuckDB refuses the options of server \"{}\"", lake.name()),
            )
        })?;
    }
    connection.execute_batch(&lake.attach(mark)).map_err(|error| {
        Error::new(
            ErrorKind::Attach,
            format!("cannot attach lake \"{}\": {}", lake.name(), error.message()),
        )
    })
}

/// How object stores and web servers are read.
fn remote_settings(spec: &OpenSpec) -> Result<String> {
    let mut sql = String::new();
    // Writing to a String cannot fail.
    let mut set = |name: &str, value: &str| {
        let _ = write!(sql, "SET GLOBAL {name} = {value}; ");
    };
    if let Some(seconds) = spec.http_timeout_seconds {
        set("http_timeout", &seconds.to_string());
    }
    if let Some(retries) = spec.http_retries {
        set("http_retries", &retries.to_string());
    }
    if let Some(file) = spec.ca_cert_file()? {
        set("ca_cert_file", &literal(file));
    }
    // Only the secrets say which keys are used, never the server's environment.
    set("enable_global_s3_configuration", "false");
    set("enable_server_cert_verification", "true");
    Ok(sql)
}

/// What can be set only while the doors are open.
fn early_settings(spec: &OpenSpec) -> String {
    let mut sql = String::new();
    // Writing to a String cannot fail.
    let mut set = |name: &str, value: &str| {
        // Without GLOBAL some would hold for this connection only.
        let _ = write!(sql, "SET GLOBAL {name} = {value}; ");
    };
    set("enable_external_file_cache", if spec.file_cache { "true" } else { "false" });
    // Given at open it is ignored.
    if let Some(bytes) = spec.max_temp_directory_size_bytes {
        set("max_temp_directory_size", &format!("'{bytes}B'"));
    }
    // What a table without a version hint is read by, the policy says: the option `version`.
    if spec.extensions().contains(&Extension::Iceberg) {
        set("unsafe_enable_version_guessing", "true");
    }
    if let Some(time_zone) = &spec.time_zone {
        set("TimeZone", &literal(time_zone));
    }
    if !spec.lakes.is_empty() {
        // pg_pond's own sessions take turns; others may come between. In all 6 s at most.
        set("ducklake_max_retry_count", "16");
        set("ducklake_retry_wait_ms", "5");
        // It prunes by the least and greatest values that the lake keeps for a whole table. Those do
        // not include files for which none are known (DuckLake 1.0).
        set("disabled_optimizers", "'statistics_propagation'");
    }
    if spec.sandboxed {
        // What of a lake's data a statement may name, the policy says: nothing.
        let data = spec.lakes.iter().map(LakeSpec::data_path);
        let locations = spec.servers.iter().map(ServerSpec::location);
        let directories: Vec<_> = locations.chain(data).map(literal).collect();
        set("allowed_directories", &format!("[{}]", directories.join(", ")));
        // What DuckDB and SQLite keep beside a file that they open.
        let beside = ["", ".wal", ".wal.checkpoint", ".wal.recovery", "-wal", "-shm", "-journal"];
        let files = spec.lakes.iter().filter_map(LakeSpec::catalog_file);
        let files: Vec<_> = files
            .flat_map(|file| beside.iter().map(move |end| literal(&format!("{file}{end}"))))
            .collect();
        set("allowed_paths", &format!("[{}]", files.join(", ")));
    }
    sql
}

/// Nothing but `allowed_configs` can be set after the lock: what this crate itself sets for a connection.
/// Nobody else runs SET here.
fn lock(spec: &OpenSpec, httpfs: bool) -> String {
    let mut open = "'TimeZone', 'enable_progress_bar', 'enable_progress_bar_print'".to_owned();
    if !spec.lakes.is_empty() {
        open.push_str(", 'disabled_optimizers', 'ducklake_max_retry_count'");
    }
    if httpfs {
        open.push_str(", 's3_url_compatibility_mode'");
    }
    format!("SET GLOBAL allowed_configs = [{open}]; SET GLOBAL lock_configuration = true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, server_type: &str, location: &str) -> ServerSpec {
        ServerSpec::new(name, Some(server_type), &[("location", location)], &[]).unwrap()
    }

    #[test]
    fn extensions_come_after_what_they_need_and_once() {
        let spec = OpenSpec {
            servers: vec![server("a", "s3", "s3://a"), server("b", "http", "http://h")],
            extra_extensions: vec![Extension::Iceberg, Extension::Httpfs],
            ..OpenSpec::default()
        };
        assert_eq!(spec.extensions(), [Extension::Httpfs, Extension::Avro, Extension::Iceberg]);
        let local = OpenSpec { servers: vec![server("f", "file", "/d")], ..OpenSpec::default() };
        assert!(local.extensions().is_empty());
    }

    #[test]
    fn two_certificate_files_are_refused() {
        let with = |name, file| {
            let options = [("location", "http://h"), ("ca_cert_file", file)];
            ServerSpec::new(name, Some("http"), &options, &[]).unwrap()
        };
        let spec = OpenSpec {
            servers: vec![with("a", "/a.pem"), with("b", "/b.pem")],
            ..OpenSpec::default()
        };
        let error = spec.ca_cert_file().unwrap_err();
        assert!(error.message().starts_with("server \"b\" wants another"), "{error}");
    }

    #[test]
    fn a_missing_extension_is_named() {
        let spec = OpenSpec {
            extension_directory: "/nonexistent".into(),
            servers: vec![server("a", "s3", "s3://a")],
            ..OpenSpec::default()
        };
        let error = open(&spec).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::MissingExtension);
        assert!(error.message().starts_with("cannot load DuckDB's extension \"httpfs\": "));
    }
}
