//! A server of type `ducklake`: where the lake's catalog and its data are, and the statements that
//! attach it.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::{
    Catalog, OptionError, ServerSpec, ServerType, check_value, is_true, keyword_in, missing_option,
    normal_location,
};
use crate::location;
use crate::open::Extension;
use crate::policy::RelationName;
use crate::quote::{identifier, literal};
use crate::secret::Secret;

/// How long a statement in the catalog waits for a lock. The catalog may be in the database that
/// asks, where a wait for oneself would never end.
const LOCK_TIMEOUT_MS: &str = "10000";
const CONNECT_TIMEOUT_S: &str = "10";
/// When a catalog's machine that answers nothing any more counts as gone, while its answer is awaited
/// (libpq's, "Parameter Key Words"): after 10 seconds of silence, at the third probe that is lost.
const KEEPALIVES: &[(&str, &str)] =
    &[("keepalives_idle", "10"), ("keepalives_interval", "5"), ("keepalives_count", "3")];
/// The upper half of the advisory lock that is taken in a catalog; the lower one is the oid of its
/// table of snapshots.
const COMMIT_LOCK_CLASS: u32 = 0x504f_4e44;

/// Names that DuckDB's own databases and schemas have.
const TAKEN_NAMES: &[&str] =
    &["memory", "system", "temp", "main", "information_schema", "pg_catalog"];
/// Where the libpq in DuckDB's extension looks for a server when nothing else is said.
const DEFAULT_SOCKET_FOLDER: &str = "/tmp";
/// What DuckLake calls the catalog of a lake that is attached under a name.
pub(crate) const METADATA_PREFIX: &str = "__ducklake";

/// What one server of type `ducklake` gives one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeSpec {
    name: String,
    catalog: LakeCatalog,
    metadata_schema: Option<String>,
    /// Ends in a slash.
    data_path: String,
    storage_name: Option<String>,
    storage: Option<ServerSpec>,
    read_only: bool,
    encrypted: bool,
    create_if_not_exists: bool,
    data_inlining_row_limit: Option<String>,
    lock_timeout_ms: String,
    statement_timeout_ms: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum LakeCatalog {
    Postgres(Postgres),
    Sqlite(String),
    Duckdb(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Postgres {
    /// Options of libpq that need not be hidden, for the secret.
    place: Vec<(&'static str, String)>,
    /// Those that the secret has no name for.
    further: Vec<(&'static str, String)>,
    user: Option<Secret>,
    password: Option<Secret>,
    password_required: bool,
}

impl LakeSpec {
    /// Puts a lake together from its catalog entries; its storage comes by [`LakeSpec::stored_in`].
    ///
    /// # Errors
    /// An option that is unknown, of the wrong catalog or not one of a lake's; a bad value; a
    /// missing option; options that do not go together; a name that DuckDB needs.
    pub fn new(
        name: &str,
        server_options: &[(&str, &str)],
        mapping_options: &[(&str, &str)],
    ) -> Result<Self, OptionError> {
        let taken = TAKEN_NAMES.iter().any(|taken| name.eq_ignore_ascii_case(taken))
            || name.to_ascii_lowercase().starts_with(METADATA_PREFIX)
            // DuckLake replaces `{DATA_PATH}` and its like in the SQL that it makes.
            || name.contains(['/', '\\', ':', '"', '{', '}'])
            || name.chars().any(char::is_control);
        if taken {
            return Err(OptionError::invalid(format!(
                "a server of type \"ducklake\" cannot be called \"{}\"",
                name.escape_debug()
            )));
        }
        let server_type = Some(ServerType::Ducklake);
        let mut path = None;
        let mut kind = "postgres";
        let mut postgres = Postgres { password_required: true, ..Postgres::default() };
        let mut connect_timeout = CONNECT_TIMEOUT_S;
        let mut lake = Self {
            name: name.to_owned(),
            catalog: LakeCatalog::Postgres(Postgres::default()),
            metadata_schema: None,
            data_path: String::new(),
            storage_name: None,
            storage: None,
            read_only: false,
            encrypted: false,
            create_if_not_exists: false,
            data_inlining_row_limit: None,
            lock_timeout_ms: LOCK_TIMEOUT_MS.into(),
            statement_timeout_ms: None,
        };
        for (option, value) in server_options {
            let keyword = keyword_in(Catalog::Server, server_type, option)?;
            check_value(keyword, server_type, value)?;
            let text = || (*value).to_owned();
            match keyword.name {
                "catalog" => kind = value,
                "path" => path = Some(text()),
                "host" | "port" | "dbname" => postgres.place.push((keyword.name, text())),
                "sslmode" | "sslrootcert" | "target_session_attrs" => {
                    postgres.further.push((keyword.name, text()))
                }
                "connect_timeout" => connect_timeout = value,
                "lock_timeout" => lake.lock_timeout_ms = text(),
                "statement_timeout" => lake.statement_timeout_ms = Some(text()),
                "metadata_schema" => lake.metadata_schema = Some(text()),
                "data_path" => {
                    lake.data_path =
                        normal_location(server_type, value).map_err(OptionError::invalid)?;
                }
                "storage" => lake.storage_name = Some(text()),
                "read_only" => lake.read_only = is_true(value),
                "encrypted" => lake.encrypted = is_true(value),
                "create_if_not_exists" => lake.create_if_not_exists = is_true(value),
                _ => lake.data_inlining_row_limit = Some(text()),
            }
        }
        for (option, value) in mapping_options {
            let keyword = keyword_in(Catalog::UserMapping, server_type, option)?;
            check_value(keyword, server_type, value)?;
            match keyword.name {
                "user" => postgres.user = Some(Secret::new(*value)),
                "password" => postgres.password = Some(Secret::new(*value)),
                _ => postgres.password_required = is_true(value),
            }
        }
        if lake.data_path.is_empty() {
            return Err(missing_option(Catalog::Server, "data_path"));
        }
        lake.catalog = match (kind, path) {
            ("postgres", None) => {
                let mut options = format!("-c lock_timeout={}", lake.lock_timeout_ms);
                if let Some(timeout) = &lake.statement_timeout_ms {
                    let _ = write!(options, " -c statement_timeout={timeout}");
                }
                postgres.further.push(("connect_timeout", connect_timeout.into()));
                postgres.further.push(("application_name", "pg_pond".into()));
                postgres.further.push(("options", options));
                let keepalives = KEEPALIVES.iter().map(|(name, value)| (*name, (*value).into()));
                postgres.further.extend(keepalives);
                LakeCatalog::Postgres(postgres)
            }
            ("postgres", Some(_)) => {
                return Err(OptionError::invalid(
                    "option \"path\" needs catalog \"sqlite\" or \"duckdb\"".into(),
                ));
            }
            (_, None) => return Err(missing_option(Catalog::Server, "path")),
            (_, Some(_)) if !postgres.place.is_empty() || !postgres.further.is_empty() => {
                return Err(OptionError::invalid(format!(
                    "a lake whose catalog is a {kind} file has no connection options"
                )));
            }
            ("sqlite", Some(path)) => LakeCatalog::Sqlite(path),
            (_, Some(path)) => LakeCatalog::Duckdb(path),
        };
        if lake.storage_name.is_some() && lake.data_path.starts_with('/') {
            return Err(OptionError::invalid(
                "a lake whose data_path is a local folder needs no storage".into(),
            ));
        }
        Ok(lake)
    }

    /// The lake with the server whose keys its data needs.
    ///
    /// # Errors
    /// When the data lies outside of that server's location.
    pub fn stored_in(mut self, storage: ServerSpec) -> Result<Self, OptionError> {
        if !location::is_under(&self.data_path, storage.location()) {
            return Err(OptionError::invalid(format!(
                "data_path \"{}\" of server \"{}\" lies outside the location \"{}\" of its \
                 storage \"{}\"",
                self.data_path,
                self.name,
                storage.location(),
                storage.name()
            )));
        }
        self.storage = Some(storage);
        Ok(self)
    }

    /// As the lake is attached to be created.
    #[must_use]
    pub fn to_be_created(mut self) -> Self {
        self.create_if_not_exists = true;
        self
    }

    /// As the lake is attached if it is there already.
    #[must_use]
    pub fn to_be_found(mut self) -> Self {
        self.create_if_not_exists = false;
        self
    }

    /// For a role that may not use what the catalog's server takes on trust from the operating
    /// system's user: its mapping must have a password, and the server must ask for it.
    ///
    /// # Errors
    /// The message of an error for a mapping without one.
    pub fn check_password(&mut self) -> Result<(), String> {
        let LakeCatalog::Postgres(postgres) = &mut self.catalog else { return Ok(()) };
        if !postgres.password_required {
            return Ok(());
        }
        // libpq's: a server that trusts the operating system's user does not ask.
        postgres.further.push(("require_auth", "password,md5,scram-sha-256".into()));
        match &postgres.password {
            Some(_) => Ok(()),
            None => {
                Err(format!("password is required for the catalog of server \"{}\"", self.name))
            }
        }
    }

    /// The server's name, which is also what DuckDB calls the attached lake.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn storage_name(&self) -> Option<&str> {
        self.storage_name.as_deref()
    }

    /// The prefix below which the lake keeps its files; it ends in a slash.
    #[must_use]
    pub fn data_path(&self) -> &str {
        &self.data_path
    }

    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The file that is the catalog, if it is one.
    #[must_use]
    pub fn catalog_file(&self) -> Option<&str> {
        match &self.catalog {
            LakeCatalog::Postgres(_) => None,
            LakeCatalog::Sqlite(path) | LakeCatalog::Duckdb(path) => Some(path),
        }
    }

    /// The local folder of the data of a lake that is made with it.
    pub(crate) fn folder_to_make(&self) -> Option<&str> {
        let makes = self.create_if_not_exists && !self.read_only && self.data_path.starts_with('/');
        makes.then_some(&self.data_path)
    }

    /// Whether the lake needs files of the server's machine.
    #[must_use]
    pub fn uses_local_files(&self) -> bool {
        self.data_path.starts_with('/') || !matches!(self.catalog, LakeCatalog::Postgres(_))
    }

    /// The CA file of its storage.
    #[must_use]
    pub fn storage(&self) -> Option<&ServerSpec> {
        self.storage.as_ref()
    }

    /// What DuckDB calls the database that is the lake's catalog.
    #[must_use]
    pub fn metadata(&self) -> String {
        format!("{METADATA_PREFIX}_metadata_{}", self.name)
    }

    /// The schema of a catalog that is in PostgreSQL.
    #[must_use]
    pub fn postgres_schema(&self) -> Option<&str> {
        match self.catalog {
            LakeCatalog::Postgres(_) => Some(self.metadata_schema.as_deref().unwrap_or("public")),
            _ => None,
        }
    }

    /// The qualified name of a table of DuckLake's catalog, as DuckDB knows it.
    #[must_use]
    pub fn metadata_table(&self, table: &str) -> String {
        self.metadata_name(table).map(|part| identifier(&part)).join(".")
    }

    /// The parts of the name of a table of DuckLake's catalog.
    #[must_use]
    pub fn metadata_name(&self, table: &str) -> RelationName {
        let schema = self.metadata_schema.as_deref().unwrap_or(match self.catalog {
            LakeCatalog::Postgres(_) => "public",
            _ => "main",
        });
        [self.metadata(), schema.to_owned(), table.to_owned()]
    }

    /// How many rows of one statement the catalog keeps itself, if it keeps them as text.
    #[must_use]
    pub fn rows_as_text(&self) -> i64 {
        // DuckLake's own.
        const DEFAULT: i64 = 10;
        if let LakeCatalog::Duckdb(_) = self.catalog {
            return 0;
        }
        let own = self.data_inlining_row_limit.as_ref();
        own.map_or(DEFAULT, |rows| rows.parse().unwrap_or(i64::MAX))
    }

    /// The statement that takes the lock under which pg_pond commits to the lake, and holds it until
    /// the end of its transaction. None where the catalog is a file, which has one writer at a time.
    #[must_use]
    pub fn commit_lock(&self) -> Option<String> {
        let LakeCatalog::Postgres(_) = self.catalog else { return None };
        let schema = self.metadata_schema.as_deref().unwrap_or("public");
        // As PostgreSQL quotes identifiers.
        let table = format!("{}.{}", identifier(schema), identifier("ducklake_snapshot"));
        let lock = format!(
            "SELECT pg_advisory_xact_lock({COMMIT_LOCK_CLASS}::bigint << 32 | {}::regclass::oid::bigint)::text",
            literal(&table)
        );
        Some(format!("FROM postgres_query({}, {})", literal(&self.metadata()), literal(&lock)))
    }

    pub(crate) fn extensions(&self) -> Vec<Extension> {
        let mut extensions = vec![Extension::Ducklake];
        match self.catalog {
            LakeCatalog::Postgres(_) => extensions.push(Extension::PostgresScanner),
            LakeCatalog::Sqlite(_) => extensions.push(Extension::SqliteScanner),
            LakeCatalog::Duckdb(_) => {}
        }
        if !self.data_path.starts_with('/') {
            extensions.push(Extension::Httpfs);
        }
        if self.storage.as_ref().is_some_and(ServerSpec::uses_credential_chain) {
            extensions.push(Extension::Aws);
        }
        extensions
    }

    fn secret_name(&self) -> String {
        format!("catalog of {}", self.name)
    }

    /// The statements that give DuckDB what it needs to know before the lake is attached. They hold
    /// secrets: run them, show them to nobody.
    #[must_use]
    pub fn create_secrets(&self) -> Vec<Secret> {
        let mut secrets = vec![];
        if let LakeCatalog::Postgres(postgres) = &self.catalog {
            let mut sql = format!(
                "CREATE TEMPORARY SECRET {} (TYPE postgres",
                identifier(&self.secret_name())
            );
            // Writing to a String cannot fail.
            for (name, value) in &postgres.place {
                let name = if *name == "dbname" { "database" } else { *name };
                let _ = write!(sql, ", {name} {}", literal(value));
            }
            for (name, value) in [("user", &postgres.user), ("password", &postgres.password)] {
                if let Some(value) = value {
                    let _ = write!(sql, ", {name} {}", literal(value.expose()));
                }
            }
            sql.push(')');
            secrets.push(Secret::new(sql));
        }
        let storage = self.storage.as_ref();
        let name = format!("storage of {}", self.name);
        secrets.extend(storage.and_then(|s| s.create_secret_for(&name, &self.data_path)));
        secrets
    }

    /// The Unix sockets by which the catalog may be reached.
    pub(crate) fn catalog_sockets(&self) -> Vec<PathBuf> {
        let LakeCatalog::Postgres(postgres) = &self.catalog else { return vec![] };
        let option = |wanted: &str, variable: &str, otherwise: &str| {
            let given = postgres.place.iter().find(|(name, _)| *name == wanted);
            let from_environment = || std::env::var(variable).ok();
            given
                .map(|(_, value)| value.clone())
                .or_else(from_environment)
                .unwrap_or_else(|| otherwise.to_owned())
        };
        // libpq takes lists of both.
        let ports = option("port", "PGPORT", "5432");
        option("host", "PGHOST", DEFAULT_SOCKET_FOLDER)
            .split(',')
            .map(|host| if host.is_empty() { DEFAULT_SOCKET_FOLDER } else { host })
            .filter(|host| host.starts_with('/'))
            .flat_map(|host| ports.split(',').map(move |port| (host, port)))
            .map(|(host, port)| PathBuf::from(host).join(format!(".s.PGSQL.{port}")))
            .collect()
    }

    /// The statement that attaches the lake. It holds no secret. `user_timeout_ms` says how long
    /// what was sent to the catalog may stay unacknowledged, and marks its connections.
    #[must_use]
    pub fn attach(&self, user_timeout_ms: u32) -> String {
        let place = match &self.catalog {
            LakeCatalog::Postgres(postgres) => {
                let further: Vec<_> = postgres
                    .further
                    .iter()
                    .map(|(name, value)| format!("{name}={}", connection_value(value)))
                    .collect();
                format!(
                    "ducklake:postgres:{} tcp_user_timeout='{user_timeout_ms}'",
                    further.join(" ")
                )
            }
            LakeCatalog::Sqlite(path) => format!("ducklake:sqlite:{path}"),
            LakeCatalog::Duckdb(path) => format!("ducklake:{path}"),
        };
        let mut sql = format!(
            "ATTACH {} AS {} (DATA_PATH {}, CREATE_IF_NOT_EXISTS {}",
            literal(&place),
            identifier(&self.name),
            literal(&self.data_path),
            self.create_if_not_exists && !self.read_only
        );
        match self.catalog {
            LakeCatalog::Postgres(_) => {
                let _ = write!(sql, ", META_SECRET {}", literal(&self.secret_name()));
            }
            LakeCatalog::Sqlite(_) => {
                let _ = write!(sql, ", META_BUSY_TIMEOUT {}", self.lock_timeout_ms);
            }
            LakeCatalog::Duckdb(_) => {}
        }
        if let Some(schema) = &self.metadata_schema {
            let _ = write!(sql, ", METADATA_SCHEMA {}", literal(schema));
        }
        if let Some(rows) = &self.data_inlining_row_limit {
            let _ = write!(sql, ", DATA_INLINING_ROW_LIMIT {rows}");
        }
        if self.encrypted {
            sql.push_str(", ENCRYPTED true");
        }
        if self.read_only {
            sql.push_str(", READ_ONLY true");
        }
        sql.push(')');
        sql
    }
}

/// A value in a connection string of libpq.
fn connection_value(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}
