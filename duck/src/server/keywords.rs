//! The table of options: which catalog takes them, for which server types, of what kind.

use super::{Catalog, ServerType};
use ServerType::{Ducklake, File, Gcs, Http, R2, S3};

/// What an option's value may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Any text without control characters.
    Text,
    Boolean,
    Choice(&'static [&'static str]),
    /// `host` or `host:port`, without a scheme.
    HostPort,
    /// A URL prefix or an absolute directory; its scheme is that of the server type.
    Location,
    /// The name of a file on the server's machine.
    AbsolutePath,
    /// As [`ValueKind::AbsolutePath`], without blanks.
    PlainPath,
    /// The name of a schema: letters, digits, `-` and `_`, of any script.
    Identifier,
    /// Letters, digits, `-` and `_`.
    Word,
    /// A whole number, 0 or more.
    Number,
    /// A port, or a list of them as libpq takes it, one for each host.
    Ports,
    /// Names from a list, separated by semicolons.
    Chain(&'static [&'static str]),
    /// A JSON object of header names and values.
    Headers,
}

/// One option.
#[derive(Debug)]
pub struct Keyword {
    pub name: &'static str,
    pub catalogs: &'static [Catalog],
    pub server_types: &'static [ServerType],
    pub kind: ValueKind,
    /// Its value is never shown, and it belongs in a user mapping.
    pub sensitive: bool,
    /// It lets DuckDB use what belongs to the operating system's user.
    pub superuser: bool,
    /// It is handed to DuckDB's CREATE SECRET under its own name.
    pub in_secret: bool,
}

const SERVER: &[Catalog] = &[Catalog::Server];
const MAPPING: &[Catalog] = &[Catalog::UserMapping];
const OBJECT_STORES: &[ServerType] = &[S3, Gcs, R2];
const REMOTE: &[ServerType] = &[S3, Gcs, R2, Http];

const BASE: Keyword = Keyword {
    name: "",
    catalogs: SERVER,
    server_types: OBJECT_STORES,
    kind: ValueKind::Text,
    sensitive: false,
    superuser: false,
    in_secret: true,
};
const SECRET: Keyword = Keyword { catalogs: MAPPING, sensitive: true, ..BASE };
const LAKE: Keyword = Keyword { server_types: &[Ducklake], in_secret: false, ..BASE };
/// libpq's, "Database Connection Control Functions".
const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
const SESSION_ATTRS: &[&str] =
    &["any", "read-write", "read-only", "primary", "standby", "prefer-standby"];
const CHAIN: &[&str] = &["config", "env", "instance", "process", "sso", "sts", "web_identity"];

/// All options, in the order in which hints list them.
pub const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "location",
        server_types: &[S3, Gcs, R2, Http, File],
        kind: ValueKind::Location,
        in_secret: false,
        ..BASE
    },
    Keyword {
        name: "writable",
        server_types: &[S3, Gcs, R2, File],
        kind: ValueKind::Boolean,
        in_secret: false,
        ..BASE
    },
    Keyword { name: "endpoint", kind: ValueKind::HostPort, ..BASE },
    Keyword { name: "region", kind: ValueKind::Word, ..BASE },
    Keyword { name: "url_style", kind: ValueKind::Choice(&["path", "vhost"]), ..BASE },
    Keyword { name: "use_ssl", kind: ValueKind::Boolean, ..BASE },
    Keyword { name: "verify_ssl", server_types: REMOTE, kind: ValueKind::Boolean, ..BASE },
    Keyword {
        name: "ca_cert_file",
        server_types: REMOTE,
        kind: ValueKind::AbsolutePath,
        superuser: true,
        in_secret: false,
        ..BASE
    },
    Keyword { name: "account_id", server_types: &[R2], kind: ValueKind::Word, ..BASE },
    Keyword { name: "kms_key_id", ..BASE },
    Keyword { name: "requester_pays", kind: ValueKind::Boolean, ..BASE },
    Keyword { name: "http_proxy", server_types: REMOTE, kind: ValueKind::HostPort, ..BASE },
    Keyword {
        name: "provider",
        kind: ValueKind::Choice(&["config", "credential_chain"]),
        // Only the choice of credential_chain is a superuser's: see `needs_superuser`.
        in_secret: false,
        ..BASE
    },
    Keyword { name: "chain", kind: ValueKind::Chain(CHAIN), superuser: true, ..BASE },
    Keyword { name: "profile", superuser: true, ..BASE },
    Keyword { name: "assume_role_arn", superuser: true, ..BASE },
    Keyword { name: "external_id", superuser: true, ..BASE },
    Keyword { name: "catalog", kind: ValueKind::Choice(&["postgres", "sqlite", "duckdb"]), ..LAKE },
    Keyword { name: "host", ..LAKE },
    Keyword { name: "port", kind: ValueKind::Ports, ..LAKE },
    Keyword { name: "dbname", ..LAKE },
    Keyword { name: "target_session_attrs", kind: ValueKind::Choice(SESSION_ATTRS), ..LAKE },
    Keyword { name: "sslmode", kind: ValueKind::Choice(SSL_MODES), ..LAKE },
    Keyword { name: "sslrootcert", kind: ValueKind::AbsolutePath, superuser: true, ..LAKE },
    Keyword { name: "connect_timeout", kind: ValueKind::Number, ..LAKE },
    Keyword { name: "lock_timeout", kind: ValueKind::Number, ..LAKE },
    Keyword { name: "statement_timeout", kind: ValueKind::Number, ..LAKE },
    Keyword { name: "path", kind: ValueKind::PlainPath, ..LAKE },
    Keyword { name: "metadata_schema", kind: ValueKind::Identifier, ..LAKE },
    Keyword { name: "data_path", kind: ValueKind::Location, ..LAKE },
    Keyword { name: "storage", ..LAKE },
    Keyword { name: "read_only", kind: ValueKind::Boolean, ..LAKE },
    Keyword { name: "encrypted", kind: ValueKind::Boolean, ..LAKE },
    Keyword { name: "data_inlining_row_limit", kind: ValueKind::Number, ..LAKE },
    Keyword { name: "create_if_not_exists", kind: ValueKind::Boolean, ..LAKE },
    Keyword { name: "key_id", ..SECRET },
    Keyword { name: "secret", ..SECRET },
    Keyword { name: "session_token", ..SECRET },
    Keyword { name: "bearer_token", server_types: &[Gcs, Http], ..SECRET },
    Keyword { name: "username", server_types: &[Http], in_secret: false, ..SECRET },
    Keyword { name: "user", server_types: &[Ducklake], in_secret: false, ..SECRET },
    Keyword { name: "password", server_types: &[Http, Ducklake], in_secret: false, ..SECRET },
    Keyword {
        name: "password_required",
        catalogs: MAPPING,
        server_types: &[Ducklake],
        kind: ValueKind::Boolean,
        // Only `false` is a superuser's: see `needs_superuser`.
        in_secret: false,
        ..BASE
    },
    Keyword {
        name: "extra_http_headers",
        server_types: REMOTE,
        kind: ValueKind::Headers,
        in_secret: false,
        ..SECRET
    },
    Keyword { name: "http_proxy_username", server_types: REMOTE, ..SECRET },
    Keyword { name: "http_proxy_password", server_types: REMOTE, ..SECRET },
];

/// The keyword of a name, whatever its catalog. PostgreSQL keeps option names as they are written.
pub fn find(name: &str) -> Option<&'static Keyword> {
    KEYWORDS.iter().find(|keyword| keyword.name == name)
}

/// The options that `catalog` takes, for hints.
pub fn valid_names(catalog: Catalog, server_type: Option<ServerType>) -> String {
    KEYWORDS
        .iter()
        .filter(|keyword| keyword.catalogs.contains(&catalog))
        .filter(|keyword| server_type.is_none_or(|t| keyword.server_types.contains(&t)))
        .map(|keyword| keyword.name)
        .collect::<Vec<_>>()
        .join(", ")
}
