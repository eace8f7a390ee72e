//! What an instance is opened with: the role's servers from the catalogs, the limits from the
//! settings, the extensions that the statement at hand needs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use duck::location;
use duck::open::{Extension, OpenSpec};
use duck::server::ServerSpec;
use pgrx::{PgSqlErrorCode, pg_sys};

use super::access;
use crate::error::{Error, Result};
use crate::guc::Limits;
use crate::pg::{acl, callbacks, catalog, nodes};

/// The folder of libduckdb.so and DuckDB's extensions, below PostgreSQL's own library folder.
fn package_directory() -> PathBuf {
    // SAFETY: set at server start, NUL-terminated.
    let library = unsafe { nodes::str_at((&raw const pg_sys::pkglib_path).cast()) };
    PathBuf::from(library).join("pg_pond")
}

/// Where DuckDB's extension binaries were installed.
#[must_use]
pub fn extension_directory() -> PathBuf {
    package_directory().join("extensions")
}

/// The names of the extension binaries that are there.
pub fn installed_extensions() -> Vec<String> {
    let Ok(versions) = std::fs::read_dir(extension_directory()) else {
        return vec![];
    };
    versions
        .flatten()
        .flat_map(|version| std::fs::read_dir(version.path()).into_iter().flatten().flatten())
        .flat_map(|platform| std::fs::read_dir(platform.path()).into_iter().flatten().flatten())
        .filter_map(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            Some(name.strip_suffix(".duckdb_extension")?.to_owned())
        })
        .collect()
}

/// The start of the names of this backend's and role's spill folders; each instance adds a number,
/// since an old one may still run beside its successor. The name's start makes PostgreSQL remove it after a
/// crash (`RemovePgTempFiles` in storage/file/fd.c), and base backups leave its parent out.
fn temp_directory(limits: &Limits, role: pg_sys::Oid) -> String {
    // SAFETY: globals that are set at server start.
    let (data_directory, pid) = unsafe { (nodes::str_at(pg_sys::DataDir), pg_sys::MyProcPid) };
    let parent = match limits.temp_directory.as_str() {
        "" => {
            let parent = PathBuf::from(data_directory).join("base/pgsql_tmp");
            // PostgreSQL makes it with its own first temporary file. Should this fail, a query
            // that spills says so.
            let _ = std::fs::DirBuilder::new().mode(0o700).create(&parent);
            parent
        }
        given => PathBuf::from(data_directory).join(given),
    };
    let name = format!("pgsql_tmp_duckdb.{pid}.{}", role.to_u32());
    parent.join(name).to_string_lossy().into_owned()
}

/// The DuckDB extensions that only some statements need. A look at the text is enough: a name that
/// hides from it only meets DuckDB's own "does not exist".
pub fn extensions_for(sql: &str) -> Vec<Extension> {
    let sql = sql.to_ascii_lowercase();
    let by_word = [
        ("iceberg_", Extension::Iceberg),
        ("delta_scan", Extension::Delta),
        ("xlsx", Extension::Excel),
        ("avro", Extension::Avro),
        ("dbgen", Extension::Tpch),
    ];
    by_word.into_iter().filter(|(word, _)| sql.contains(word)).map(|(_, found)| found).collect()
}

const MB: u64 = 1024 * 1024;

thread_local! {
    /// The servers that a role may use by itself, and the state of the catalogs for which it holds.
    static USABLE: RefCell<HashMap<pg_sys::Oid, (u64, Vec<pg_sys::Oid>)>> = RefCell::default();
}

/// Whether `role` may use all of `servers` by itself, so that its own instance serves their tables.
///
/// # Errors
/// A server whose options do not fit its type.
pub fn are_usable(role: pg_sys::Oid, servers: &[pg_sys::Oid]) -> Result<bool> {
    let generation = callbacks::access_generation();
    let known = USABLE.with_borrow(|known| {
        let (of, usable) = known.get(&role)?;
        (*of == generation).then(|| servers.iter().all(|server| usable.contains(server)))
    });
    if let Some(answer) = known {
        return Ok(answer);
    }
    let usable: Vec<_> = usable(role)?.into_iter().map(|(oid, _)| oid).collect();
    let answer = servers.iter().all(|server| usable.contains(server));
    USABLE.with_borrow_mut(|known| known.insert(role, (generation, usable)));
    Ok(answer)
}

/// # Errors
/// 42501 when `role` may not use one of `servers` by itself.
pub fn check_usable(role: pg_sys::Oid, servers: &[pg_sys::Oid]) -> Result<()> {
    if are_usable(role, servers)? {
        return Ok(());
    }
    Err(Error::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "permission denied for a foreign server whose tables are joined with duckdb.query",
    ))
}

/// The servers that `role` may use by itself: USAGE, a user mapping, and nobody's trap.
fn usable(role: pg_sys::Oid) -> Result<Vec<(pg_sys::Oid, ServerSpec)>> {
    let servers = catalog::usable_servers(role)
        .into_iter()
        .map(|server| Ok((server.owner, (server.oid, specification(&server)?))))
        .collect::<Result<Vec<_>>>()?;
    Ok(trusted(role, servers))
}

/// The servers of foreign tables, with the mappings that `role` has for them.
///
/// # Errors
/// 42704 without a mapping, 42809 for servers of which one's location lies in another's.
fn of_tables(role: pg_sys::Oid, servers: &[pg_sys::Oid]) -> Result<Vec<ServerSpec>> {
    let mut specs: Vec<ServerSpec> = vec![];
    for oid in servers {
        let server = catalog::server_by_oid(*oid).ok_or_else(|| {
            Error::new(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, "the foreign server is gone")
        })?;
        let Some(mapping) = catalog::role_mapping(role, *oid) else {
            return Err(access::no_mapping(role, &server));
        };
        let spec = specification(&catalog::Server { mapping: Some(mapping), ..server })?;
        if let Some(other) = specs.iter().find(|other| overlap(other, &spec)) {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                format!(
                    "the locations of servers \"{}\" and \"{}\" overlap",
                    other.name(),
                    spec.name()
                ),
            ));
        }
        specs.push(spec);
    }
    Ok(specs)
}

/// Whether one's location lies in the other's.
fn overlap(a: &ServerSpec, b: &ServerSpec) -> bool {
    location::is_under(a.location(), b.location()) || location::is_under(b.location(), a.location())
}

/// A server as `duck` takes it.
///
/// # Errors
/// Options that do not fit the server's type.
pub fn specification(server: &catalog::Server) -> Result<ServerSpec> {
    let mapping = server.mapping.clone().unwrap_or_default();
    Ok(ServerSpec::new(
        &server.name,
        server.server_type.as_deref(),
        &borrowed(&server.options),
        &borrowed(&mapping),
    )?)
}

/// What the instance of `role` is opened with; see [`super::InstanceKey`] for `servers`.
pub fn build(
    role: pg_sys::Oid,
    servers: &[pg_sys::Oid],
    limits: &Limits,
    extensions: Vec<Extension>,
) -> Result<OpenSpec> {
    let servers = if servers.is_empty() {
        usable(role)?.into_iter().map(|(_, spec)| spec).collect()
    } else {
        of_tables(role, servers)?
    };
    let megabytes = |mb: i32| u64::try_from(mb).ok().map(|mb| mb * MB);
    Ok(OpenSpec {
        extension_directory: extension_directory().to_string_lossy().into_owned(),
        sandboxed: !acl::is_superuser(role),
        memory_limit_bytes: megabytes(limits.memory_limit_mb),
        threads: u32::try_from(limits.threads).ok().filter(|threads| *threads > 0),
        temp_directory: Some(temp_directory(limits, role)),
        max_temp_directory_size_bytes: megabytes(limits.max_temp_directory_size_mb),
        http_timeout_seconds: u64::try_from(limits.http_timeout_s).ok(),
        http_retries: u64::try_from(limits.http_retries).ok(),
        file_cache: limits.file_cache,
        ca_cert_file: None,
        servers,
        extra_extensions: extensions,
        time_zone: None,
    })
}

/// Leaves out servers by which somebody else would lead the role astray: whoever may use the wrapper
/// can make a server with the location of another one and let everybody use it, and DuckDB takes
/// the secret with the longest scope. What a superuser or the role itself owns counts first;
/// a superuser uses only what superusers own. Servers come with their owners.
fn trusted(
    role: pg_sys::Oid,
    servers: Vec<(pg_sys::Oid, (pg_sys::Oid, ServerSpec))>,
) -> Vec<(pg_sys::Oid, ServerSpec)> {
    let counts = |owner: pg_sys::Oid| owner == role || acl::is_superuser(owner);
    let (first, others): (Vec<_>, Vec<_>) =
        servers.into_iter().partition(|(owner, _)| counts(*owner));
    let mut kept: Vec<_> = first.into_iter().map(|(_, server)| server).collect();
    if acl::is_superuser(role) {
        return kept;
    }
    for (index, (owner, (oid, spec))) in others.iter().enumerate() {
        let clashes = kept.iter().map(|(_, known)| known).find(|known| overlap(known, spec));
        let clashes = clashes.or_else(|| {
            let strangers = others.iter().enumerate();
            strangers
                .filter(|(other, (other_owner, _))| *other != index && other_owner != owner)
                .map(|(_, (_, (_, other)))| other)
                .find(|other| overlap(other, spec))
        });
        match clashes {
            Some(known) => pgrx::warning!(
                "server \"{}\" is left out: its location overlaps that of server \"{}\", which has \
                 another owner",
                spec.name(),
                known.name()
            ),
            None => kept.push((*oid, spec.clone())),
        }
    }
    kept.sort_by(|(_, a), (_, b)| a.name().cmp(b.name()));
    kept
}

/// Options as the option table takes them.
pub fn borrowed(options: &[(String, String)]) -> Vec<(&str, &str)> {
    options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
