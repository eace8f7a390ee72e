//! What an instance is opened with: the role's servers from the catalogs, the limits from the
//! settings, the extensions that the statement at hand needs.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use duck::location;
use duck::open::{Extension, OpenSpec};
use duck::server::ServerSpec;
use pgrx::pg_sys;

use crate::error::Result;
use crate::guc::Limits;
use crate::pg::{acl, catalog, nodes};

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

pub fn build(role: pg_sys::Oid, limits: &Limits, extensions: Vec<Extension>) -> Result<OpenSpec> {
    let servers = catalog::usable_servers(role)
        .into_iter()
        .map(|server| {
            let mapping = server.mapping.unwrap_or_default();
            let spec = ServerSpec::new(
                &server.name,
                server.server_type.as_deref(),
                &borrowed(&server.options),
                &borrowed(&mapping),
            )?;
            Ok((server.owner, spec))
        })
        .collect::<Result<Vec<_>>>()?;
    let servers = trusted(role, servers);
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
/// a superuser uses only what superusers own.
fn trusted(role: pg_sys::Oid, servers: Vec<(pg_sys::Oid, ServerSpec)>) -> Vec<ServerSpec> {
    let counts = |owner: pg_sys::Oid| owner == role || acl::is_superuser(owner);
    let overlap = |a: &ServerSpec, b: &ServerSpec| {
        location::is_under(a.location(), b.location())
            || location::is_under(b.location(), a.location())
    };
    let (first, others): (Vec<_>, Vec<_>) =
        servers.into_iter().partition(|(owner, _)| counts(*owner));
    let mut kept: Vec<ServerSpec> = first.into_iter().map(|(_, spec)| spec).collect();
    if acl::is_superuser(role) {
        return kept;
    }
    for (index, (owner, spec)) in others.iter().enumerate() {
        let clashes = kept.iter().find(|known| overlap(known, spec)).or_else(|| {
            let strangers = others.iter().enumerate();
            strangers
                .filter(|(other, (other_owner, _))| *other != index && other_owner != owner)
                .map(|(_, (_, other))| other)
                .find(|other| overlap(other, spec))
        });
        match clashes {
            Some(known) => pgrx::warning!(
                "server \"{}\" is left out: its location overlaps that of server \"{}\", which has \
                 another owner",
                spec.name(),
                known.name()
            ),
            None => kept.push(spec.clone()),
        }
    }
    kept.sort_by(|a, b| a.name().cmp(b.name()));
    kept
}

/// Options as the option table takes them.
pub fn borrowed(options: &[(String, String)]) -> Vec<(&str, &str)> {
    options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
