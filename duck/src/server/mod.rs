//! Foreign servers as data: the options of servers, user mappings and foreign tables, their
//! validation, and [`ServerSpec`], which says what one server gives one role.
//!
//! The table in [`keywords`] drives everything. Values of sensitive options are held in
//! [`Secret`] and never stand in an error.

pub mod keywords;
mod lake;
mod secret_sql;

use std::fmt;

use crate::location;
use crate::secret::Secret;
use keywords::{Keyword, ValueKind};
pub use lake::LakeSpec;
pub(crate) use lake::METADATA_PREFIX;

/// Where options stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Catalog {
    Wrapper,
    Server,
    UserMapping,
}

impl Catalog {
    /// The word for messages.
    fn noun(self) -> &'static str {
        match self {
            Self::Wrapper => "foreign-data wrapper",
            Self::Server => "server",
            Self::UserMapping => "user mapping",
        }
    }
}

/// The TYPE of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerType {
    S3,
    Gcs,
    R2,
    Http,
    File,
    Ducklake,
}

impl ServerType {
    pub const ALL: [Self; 6] =
        [Self::S3, Self::Gcs, Self::R2, Self::Http, Self::File, Self::Ducklake];

    /// # Errors
    /// [`OptionError::InvalidValue`] with the list of types.
    pub fn parse(name: Option<&str>) -> Result<Self, OptionError> {
        let found = Self::ALL.into_iter().find(|t| Some(t.name()) == name);
        found.ok_or_else(|| {
            let message = match name {
                Some(name) => format!("server type \"{name}\" does not exist"),
                None => "a duckdb server needs a type".into(),
            };
            let names: Vec<_> = Self::ALL.iter().map(|t| t.name()).collect();
            OptionError::InvalidValue {
                message,
                hint: Some(format!("Valid server types are: {}.", names.join(", "))),
            }
        })
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::R2 => "r2",
            Self::Http => "http",
            Self::File => "file",
            Self::Ducklake => "ducklake",
        }
    }

    fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &["s3://"],
            Self::Gcs => &["gs://", "gcs://"],
            Self::R2 => &["r2://"],
            Self::Http => &["https://", "http://"],
            Self::File => &["/"],
            // Of its data.
            Self::Ducklake => &["s3://", "gs://", "gcs://", "r2://", "/"],
        }
    }
}

/// An option that is wrong. The message is in PostgreSQL's style and holds no sensitive value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// The catalog or the server type has no such option (HV00D).
    UnknownName { message: String, hint: Option<String> },
    /// The value is not one that the option takes (HV024).
    InvalidValue { message: String, hint: Option<String> },
    /// A required option is not there (HV00J).
    Missing { message: String, hint: Option<String> },
}

impl OptionError {
    #[must_use]
    pub fn message(&self) -> &str {
        let (Self::UnknownName { message, .. }
        | Self::InvalidValue { message, .. }
        | Self::Missing { message, .. }) = self;
        message
    }

    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        let (Self::UnknownName { hint, .. }
        | Self::InvalidValue { hint, .. }
        | Self::Missing { hint, .. }) = self;
        hint.as_deref()
    }

    fn invalid(message: String) -> Self {
        Self::InvalidValue { message, hint: None }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for OptionError {}

fn unknown_name(catalog: Catalog, server_type: Option<ServerType>, name: &str) -> OptionError {
    let of_type = server_type.map_or(String::new(), |t| format!(" of type \"{}\"", t.name()));
    let noun = catalog.noun();
    let names = keywords::valid_names(catalog, server_type);
    let hint = if names.is_empty() {
        format!("There are no valid options for a {noun}{of_type}.")
    } else {
        format!("Valid options for a {noun}{of_type} are: {names}.")
    };
    OptionError::UnknownName {
        message: format!("invalid option \"{name}\" for a {noun}{of_type}"),
        hint: Some(hint),
    }
}

/// The keyword of an option that stands in `catalog`.
fn keyword_in(
    catalog: Catalog,
    server_type: Option<ServerType>,
    name: &str,
) -> Result<&'static Keyword, OptionError> {
    let keyword = keywords::find(name)
        .filter(|keyword| server_type.is_none_or(|t| keyword.server_types.contains(&t)));
    match keyword {
        Some(keyword) if keyword.catalogs.contains(&catalog) => Ok(keyword),
        Some(keyword) if keyword.sensitive => Err(OptionError::UnknownName {
            message: format!("option \"{name}\" belongs in the user mapping"),
            hint: Some("Use CREATE USER MAPPING … OPTIONS (…).".into()),
        }),
        _ => Err(unknown_name(catalog, server_type, name)),
    }
}

/// Checks options as CREATE and ALTER give them to the foreign-data wrapper's validator, which does
/// not know the server's type.
///
/// # Errors
/// The first option that is wrong.
pub fn validate(catalog: Catalog, options: &[(&str, &str)]) -> Result<(), OptionError> {
    for (name, value) in options {
        let keyword = keyword_in(catalog, None, name)?;
        check_value(keyword, None, value)?;
    }
    Ok(())
}

fn missing_option(catalog: Catalog, name: &str) -> OptionError {
    OptionError::Missing {
        message: format!("option \"{name}\" of the {} is missing", catalog.noun()),
        hint: None,
    }
}

fn value_of<'a>(options: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    options.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
}

/// The first option that only a superuser may set, because DuckDB would then use credentials or
/// files of the operating system's user.
#[must_use]
pub fn needs_superuser(catalog: Catalog, options: &[(&str, &str)]) -> Option<&'static str> {
    options.iter().find_map(|(name, value)| {
        let keyword = keywords::find(name).filter(|k| k.catalogs.contains(&catalog))?;
        let chosen = match keyword.name {
            "provider" => *value != "config",
            "password_required" => parse_boolean(value) == Some(false),
            _ => false,
        };
        (keyword.superuser || chosen).then_some(keyword.name)
    })
}

/// Whether a boolean option's value is one of the words for true.
#[must_use]
pub fn is_true(value: &str) -> bool {
    parse_boolean(value) == Some(true)
}

fn parse_boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn check_value(
    keyword: &Keyword,
    server_type: Option<ServerType>,
    value: &str,
) -> Result<(), OptionError> {
    let name = keyword.name;
    let wrong = |wanted: &str| {
        let shown = if keyword.sensitive {
            String::new()
        } else {
            format!(" \"{}\"", value.escape_debug())
        };
        OptionError::invalid(format!("invalid value{shown} for option \"{name}\": {wanted}"))
    };
    if value.chars().any(char::is_control) {
        return Err(wrong("it holds a control character"));
    }
    if value.is_empty() {
        return Err(wrong("it is empty"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match keyword.kind {
        ValueKind::Text => Ok(()),
        ValueKind::Boolean => match parse_boolean(value) {
            Some(_) => Ok(()),
            None => Err(wrong("it must be true or false")),
        },
        ValueKind::Choice(choices) if choices.contains(&value) => Ok(()),
        ValueKind::Choice(choices) => {
            Err(wrong(&format!("it must be one of: {}", choices.join(", "))))
        }
        ValueKind::Chain(links) if value.split(';').all(|link| links.contains(&link)) => Ok(()),
        ValueKind::Chain(links) => Err(wrong(&format!(
            "it must be names separated by semicolons, of: {}",
            links.join(", ")
        ))),
        ValueKind::Word if value.chars().all(plain) => Ok(()),
        ValueKind::Word => Err(wrong("it must be letters, digits, \"-\" and \"_\"")),
        ValueKind::Number if value.parse::<u32>().is_ok() => Ok(()),
        ValueKind::Number => Err(wrong("it must be a whole number")),
        ValueKind::Ports if value.split(',').all(|port| port.parse::<u16>().is_ok()) => Ok(()),
        ValueKind::Ports => Err(wrong("it must be a port, or a list of ports with commas")),
        ValueKind::HostPort if is_host_port(value) => Ok(()),
        ValueKind::HostPort => Err(wrong("it must be host or host:port, without http://")),
        ValueKind::AbsolutePath | ValueKind::PlainPath => {
            let plain = keyword.kind == ValueKind::PlainPath;
            match location::fault(value).or_else(|| odd_character(value, !plain)) {
                Some(fault) => Err(wrong(fault)),
                None if value.starts_with('/') => Ok(()),
                None => Err(wrong("it must be an absolute path")),
            }
        }
        ValueKind::Identifier if value.chars().all(is_of_identifier) => Ok(()),
        ValueKind::Identifier => Err(wrong("it must be letters, digits, \"-\" and \"_\"")),
        ValueKind::Location => {
            let known = match keyword.server_types {
                [only] => Some(*only),
                _ => server_type,
            };
            normal_location(known, value).map(drop).map_err(|e| wrong(&e))
        }
        ValueKind::Headers => match parse_headers(value) {
            Some(_) => Ok(()),
            None => Err(wrong(
                "it must be a JSON object of header names and values, {\"X-Name\": \"value\"}",
            )),
        },
    }
}

/// Whether a name with such characters only is an identifier and nothing else, wherever it stands.
fn is_of_identifier(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_'
}

/// What is wrong with a place whose name becomes part of DuckLake's SQL, in which DuckLake replaces
/// `{DATA_PATH}` and its like, before the doors are shut: quotes, braces, semicolons, and white space
/// but for the blank, which the names of folders and keys may have.
fn odd_character(place: &str, blanks: bool) -> Option<&'static str> {
    if place.contains(['\'', '"', '`', '{', '}', ';']) {
        return Some("it must not hold quotes, braces or semicolons");
    }
    let odd = |c: char| c.is_whitespace() && !(blanks && c == ' ');
    place.chars().any(odd).then_some("it must not hold blanks")
}

fn is_host_port(value: &str) -> bool {
    // An IPv6 address stands in brackets.
    let (host, rest) = match value.strip_prefix('[').and_then(|v| v.split_once(']')) {
        Some((host, rest)) => {
            if !host.chars().all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.') {
                return false;
            }
            (host, rest)
        }
        None => {
            let end = value.find(':').unwrap_or(value.len());
            let (host, rest) = value.split_at(end);
            if !host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')) {
                return false;
            }
            (host, rest)
        }
    };
    let port = rest.strip_prefix(':');
    !host.is_empty() && (rest.is_empty() || port.is_some_and(|p| p.parse::<u16>().is_ok()))
}

/// A location with its closing slash, or what is wrong with it.
fn normal_location(server_type: Option<ServerType>, value: &str) -> Result<String, String> {
    let all_types = ServerType::ALL;
    let types = server_type.as_ref().map_or(&all_types[..], std::slice::from_ref);
    let scheme = types.iter().flat_map(|t| t.schemes()).find(|scheme| value.starts_with(**scheme));
    let Some(scheme) = scheme else {
        let wanted: Vec<_> = types.iter().flat_map(|t| t.schemes()).copied().collect();
        return Err(format!("it must begin with {}", wanted.join(" or ")));
    };
    if let Some(fault) = location::fault(value) {
        return Err(fault.into());
    }
    if value.contains(['*', '?', '[', ']', '{', '}', '#']) {
        return Err("it must not hold glob characters, \"?\" or \"#\"".into());
    }
    let blanks = server_type != Some(ServerType::Ducklake);
    if let Some(fault) = odd_character(value, blanks) {
        return Err(fault.into());
    }
    let rest = &value[scheme.len()..];
    // The bucket or the host; nothing to check in a local path.
    let authority = rest.split('/').next().unwrap_or_default();
    match *scheme {
        "/" => {}
        "http://" | "https://" if !is_host_port(authority) => {
            return Err("it must name a host after its scheme".into());
        }
        "http://" | "https://" => {}
        _ => {
            let bucket = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            if authority.is_empty() || !authority.chars().all(bucket) {
                return Err("it must name a bucket after its scheme".into());
            }
        }
    }
    if rest.contains("//") || rest.starts_with('/') {
        return Err("it holds an empty segment".into());
    }
    Ok(if value.ends_with('/') { value.to_owned() } else { format!("{value}/") })
}

fn parse_headers(value: &str) -> Option<Vec<(String, Secret)>> {
    let headers: std::collections::BTreeMap<String, String> = serde_json::from_str(value).ok()?;
    let named = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    headers
        .into_iter()
        .map(|(name, text)| {
            let fits =
                !name.is_empty() && name.chars().all(named) && !text.chars().any(char::is_control);
            fits.then(|| (name, Secret::new(text)))
        })
        .collect()
}

/// What one server gives one role: where it may read (and write), and with which credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSpec {
    name: String,
    server_type: ServerType,
    /// Ends in a slash.
    location: String,
    writable: bool,
    ca_cert_file: Option<String>,
    credential_chain: bool,
    /// Options for CREATE SECRET that need not be hidden.
    plain: Vec<(&'static str, String)>,
    /// Options for CREATE SECRET from the user mapping.
    credentials: Vec<(&'static str, Secret)>,
    headers: Vec<(String, Secret)>,
}

impl ServerSpec {
    /// Puts a server together from its catalog entries.
    ///
    /// # Errors
    /// An unknown type; an option that is unknown, of the wrong catalog or not one of the type's;
    /// a bad value; a missing option; options that contradict each other.
    pub fn new(
        name: &str,
        server_type: Option<&str>,
        server_options: &[(&str, &str)],
        mapping_options: &[(&str, &str)],
    ) -> Result<Self, OptionError> {
        let server_type = ServerType::parse(server_type)?;
        let mut spec = Self {
            name: name.to_owned(),
            server_type,
            location: String::new(),
            writable: false,
            ca_cert_file: None,
            credential_chain: false,
            plain: Vec::new(),
            credentials: Vec::new(),
            headers: Vec::new(),
        };
        for (option, value) in server_options {
            let keyword = keyword_in(Catalog::Server, Some(server_type), option)?;
            check_value(keyword, Some(server_type), value)?;
            spec.set_server_option(keyword, value)?;
        }
        for (option, value) in mapping_options {
            let keyword = keyword_in(Catalog::UserMapping, Some(server_type), option)?;
            check_value(keyword, Some(server_type), value)?;
            if keyword.in_secret {
                spec.credentials.push((keyword.name, Secret::new(*value)));
            } else if keyword.kind == ValueKind::Headers {
                spec.headers.extend(parse_headers(value).unwrap_or_default());
            }
        }
        if spec.location.is_empty() {
            return Err(missing_option(Catalog::Server, "location"));
        }
        spec.add_basic_authorization(mapping_options)?;
        spec.check_combinations()?;
        Ok(spec)
    }

    fn set_server_option(&mut self, keyword: &Keyword, value: &str) -> Result<(), OptionError> {
        match keyword.name {
            "location" => {
                self.location =
                    normal_location(Some(self.server_type), value).map_err(OptionError::invalid)?;
            }
            "writable" => self.writable = parse_boolean(value) == Some(true),
            "ca_cert_file" => self.ca_cert_file = Some(value.to_owned()),
            "provider" => self.credential_chain = value == "credential_chain",
            name => self.plain.push((name, value.to_owned())),
        }
        Ok(())
    }

    fn add_basic_authorization(&mut self, mapping: &[(&str, &str)]) -> Result<(), OptionError> {
        let header = match (value_of(mapping, "username"), value_of(mapping, "password")) {
            (None, None) => return Ok(()),
            (Some(username), password) => {
                let pair = format!("{username}:{}", password.unwrap_or_default());
                Secret::new(format!("Basic {}", secret_sql::base64(pair.as_bytes())))
            }
            (None, Some(_)) => return Err(missing_option(Catalog::UserMapping, "username")),
        };
        let authorization = |(name, _): &(String, _)| name.eq_ignore_ascii_case("authorization");
        if value_of(mapping, "bearer_token").is_some() || self.headers.iter().any(authorization) {
            return Err(OptionError::invalid(
                "the user mapping has more than one way to authorize: username, bearer_token or \
                 an Authorization header"
                    .into(),
            ));
        }
        self.headers.push(("Authorization".into(), header));
        Ok(())
    }

    fn check_combinations(&self) -> Result<(), OptionError> {
        let has = |name: &str| self.credentials.iter().any(|(n, _)| *n == name);
        if self.credential_chain && has("key_id") {
            return Err(OptionError::invalid(
                "provider \"credential_chain\" takes no keys from a user mapping".into(),
            ));
        }
        if has("key_id") != has("secret") {
            let absent = if has("key_id") { "secret" } else { "key_id" };
            return Err(missing_option(Catalog::UserMapping, absent));
        }
        if has("session_token") && !has("key_id") {
            return Err(missing_option(Catalog::UserMapping, "key_id"));
        }
        let chain_only = ["chain", "profile", "assume_role_arn", "external_id"];
        let stray = self.plain.iter().find(|(name, _)| chain_only.contains(name));
        match stray {
            Some((name, _)) if !self.credential_chain => Err(OptionError::invalid(format!(
                "option \"{name}\" needs provider \"credential_chain\""
            ))),
            _ => Ok(()),
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn server_type(&self) -> ServerType {
        self.server_type
    }

    /// The prefix that the server opens; it ends in a slash.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    #[must_use]
    pub fn ca_cert_file(&self) -> Option<&str> {
        self.ca_cert_file.as_deref()
    }

    /// Whether DuckDB's aws extension must find the credentials.
    #[must_use]
    pub fn uses_credential_chain(&self) -> bool {
        self.credential_chain
    }

    /// Whether the httpfs extension reads it.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.server_type != ServerType::File
    }

    /// The predefined roles of PostgreSQL that a role must be a member of to use the server.
    #[must_use]
    pub fn required_roles(&self) -> &'static [&'static str] {
        match (self.server_type, self.writable) {
            (ServerType::File, true) => &["pg_read_server_files", "pg_write_server_files"],
            (ServerType::File, false) => &["pg_read_server_files"],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests;
