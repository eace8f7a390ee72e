//! What an instance is opened with: the role's servers from the catalogs, the limits from the
//! settings, the extensions that the statement at hand needs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use duck::location;
use duck::open::{Extension, OpenSpec};
use duck::policy;
use duck::server::{LakeSpec, ServerSpec};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::{Fence, InstanceKey, access};
use crate::error::{Error, Result};
use crate::guc::{self, Limits};
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

/// What a role may use by itself.
#[derive(Clone, Default)]
struct Usable {
    servers: Vec<pg_sys::Oid>,
    /// The lakes among them. Of those whose names differ in case only, which DuckDB takes for one, the
    /// first counts most.
    lakes: Vec<UsableLake>,
}

#[derive(Clone)]
struct UsableLake {
    oid: pg_sys::Oid,
    name: String,
    is_stranger: bool,
}

impl UsableLake {
    fn has_same_name(&self, other: &Self) -> bool {
        self.name.to_lowercase() == other.name.to_lowercase()
    }
}

thread_local! {
    /// What roles may use by themselves, and the state of the catalogs for which it holds.
    static USABLE: RefCell<HashMap<pg_sys::Oid, (u64, Usable)>> = RefCell::default();
}

fn with_usable<T>(role: pg_sys::Oid, look: impl Fn(&Usable) -> T) -> Result<T> {
    let generation = callbacks::access_generation();
    let known = USABLE.with_borrow(|known| {
        let (of, usable) = known.get(&role)?;
        (*of == generation).then(|| look(usable))
    });
    if let Some(answer) = known {
        return Ok(answer);
    }
    let mut lakes: Vec<_> = usable_lakes(role)
        .into_iter()
        .map(|lake| UsableLake {
            oid: lake.oid,
            is_stranger: is_stranger(role, lake.owner),
            name: lake.name,
        })
        .collect();
    lakes.sort_by_key(|lake| (lake.is_stranger, lake.oid.to_u32()));
    let mut servers: Vec<_> = usable(role)?.into_iter().map(|(oid, _)| oid).collect();
    servers.extend(lakes.iter().map(|lake| lake.oid));
    let usable = Usable { servers, lakes };
    let answer = look(&usable);
    USABLE.with_borrow_mut(|known| known.insert(role, (generation, usable)));
    Ok(answer)
}

/// The lakes that `role` may use by itself and whose names stand in `sql`. Of those whose names differ in
/// case only it is one: strangers' come last, and the one that is spelled as it is called comes first.
///
/// # Errors
/// A server whose options do not fit its type.
pub fn lakes_named_in(role: pg_sys::Oid, sql: &str) -> Result<Vec<pg_sys::Oid>> {
    let fences = acl::is_superuser(role) && guc::superuser_sandbox();
    with_usable(role, |usable| {
        if usable.lakes.is_empty() {
            return vec![];
        }
        let lower = sql.to_ascii_lowercase();
        let is_named = |lake: &UsableLake| {
            names(&lower, &lake.name.to_ascii_lowercase())
                && (!fences || policy::names_database(sql, &lake.name))
        };
        let named: Vec<_> = usable.lakes.iter().filter(|lake| is_named(lake)).collect();
        let mut chosen: Vec<&UsableLake> = vec![];
        for lake in &named {
            if chosen.iter().any(|other| other.has_same_name(lake)) {
                continue;
            }
            let spelled = |other: &&&UsableLake| {
                other.has_same_name(lake)
                    && other.is_stranger == lake.is_stranger
                    && names(sql, &other.name)
            };
            chosen.push(named.iter().find(spelled).unwrap_or(lake));
        }
        chosen.into_iter().map(|lake| lake.oid).collect()
    })
}

/// Whether DuckDB would take the lake for one of these.
pub fn has_name_of(lake: pg_sys::Oid, others: &[pg_sys::Oid]) -> bool {
    let name = |oid: pg_sys::Oid| catalog::server_by_oid(oid).map(|s| s.name.to_lowercase());
    others.contains(&lake) || others.iter().any(|other| name(*other) == name(lake))
}

/// Whether `name` stands in `sql` as a word, as it is written. A lake is attached for whoever's text
/// names it: its owner, who chooses the name, must not have it attached for every text.
fn names(sql: &str, name: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let stands_in = |name: &str| {
        sql.match_indices(name).any(|(at, _)| {
            let (before, behind) = (&sql[..at], &sql[at + name.len()..]);
            let glued_before = part(before.chars().next_back()) && part(name.chars().next());
            let glued_behind = part(behind.chars().next()) && part(name.chars().next_back());
            !glued_before && !glued_behind
        })
    };
    stands_in(name) || (name.contains('"') && stands_in(&name.replace('"', "\"\"")))
}

/// Whether `role` may use a server by itself.
///
/// # Errors
/// A server whose options do not fit its type.
pub fn is_usable(role: pg_sys::Oid, server: pg_sys::Oid) -> Result<bool> {
    are_usable(role, &[server])
}

/// The lakes among the servers of foreign tables.
#[must_use]
pub fn lakes_among(servers: &[pg_sys::Oid]) -> Vec<pg_sys::Oid> {
    let is_lake =
        |oid: &&pg_sys::Oid| catalog::server_by_oid(**oid).is_some_and(|server| server.is_lake());
    servers.iter().filter(is_lake).copied().collect()
}

/// The lakes of which a role has the right to the server and a mapping. A superuser's are those of
/// superusers: somebody else's lake would name the files that it reads.
fn usable_lakes(role: pg_sys::Oid) -> Vec<catalog::Server> {
    let servers = catalog::usable_servers(role);
    let mut lakes: Vec<_> = servers.iter().filter(|server| server.is_lake()).cloned().collect();
    if acl::is_superuser(role) {
        lakes.retain(|server| acl::is_superuser(server.owner));
    } else {
        lakes.retain(|lake| !leads_astray(role, lake, &servers));
    }
    lakes
}

/// Whether `owner` is somebody whose servers must not take precedence over others that `role` uses.
fn is_stranger(role: pg_sys::Oid, owner: pg_sys::Oid) -> bool {
    owner != role && !acl::is_superuser(owner)
}

/// Whether a stranger's lake has its data where the role uses another owner's server: the lake's keys
/// and endpoint would count there. Its own storage apart. As [`trusted`], with a warning.
fn leads_astray(role: pg_sys::Oid, lake: &catalog::Server, servers: &[catalog::Server]) -> bool {
    if !is_stranger(role, lake.owner) {
        return false;
    }
    let Some((data_path, storage)) = place(lake) else { return false };
    let clashes = servers.iter().find(|server| {
        server.oid != lake.oid
            && server.owner != lake.owner
            && storage.as_ref() != Some(&server.name)
            && place(server).is_some_and(|(location, _)| {
                location::is_under(&data_path, &location)
                    || location::is_under(&location, &data_path)
            })
    });
    if let Some(known) = clashes {
        pgrx::warning!(
            "server \"{}\" is left out: its location overlaps that of server \"{}\", which has \
             another owner",
            lake.name,
            known.name
        );
    }
    clashes.is_some()
}

/// The location of a server, or of the data of a lake, and the lake's storage; `None` for options
/// that do not fit.
fn place(server: &catalog::Server) -> Option<(String, Option<String>)> {
    let options = borrowed(&server.options);
    if server.is_lake() {
        let lake = LakeSpec::new(&server.name, &options, &[]).ok()?;
        return Some((lake.data_path().to_owned(), lake.storage_name().map(str::to_owned)));
    }
    let spec = ServerSpec::new(&server.name, server.server_type.as_deref(), &options, &[]).ok()?;
    Some((spec.location().to_owned(), None))
}

/// Whether `role` may use all of `servers` by itself, so that its own instance serves their tables.
///
/// # Errors
/// A server whose options do not fit its type.
pub fn are_usable(role: pg_sys::Oid, servers: &[pg_sys::Oid]) -> Result<bool> {
    with_usable(role, |usable| servers.iter().all(|server| usable.servers.contains(server)))
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

/// The servers that `role` may use by itself, lakes apart: USAGE, a user mapping, and nobody's trap.
fn usable(role: pg_sys::Oid) -> Result<Vec<(pg_sys::Oid, ServerSpec)>> {
    let servers = catalog::usable_servers(role)
        .into_iter()
        .filter(|server| !server.is_lake())
        .map(|server| Ok((server.owner, (server.oid, specification(&server)?))))
        .collect::<Result<Vec<_>>>()?;
    Ok(trusted(role, servers))
}

/// The servers of foreign tables, lakes apart, with the mappings that `role` has for them.
///
/// # Errors
/// 42704 without a mapping, 42809 for servers of which one's location lies in another's.
fn of_tables(role: pg_sys::Oid, servers: &[pg_sys::Oid]) -> Result<Vec<ServerSpec>> {
    let mut specs: Vec<ServerSpec> = vec![];
    let all: Vec<_> = servers.iter().filter_map(|oid| catalog::server_by_oid(*oid)).collect();
    if let Some(lake) = all.iter().find(|s| s.is_lake() && leads_astray(role, s, &all)) {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("the data of server \"{}\" lies in the location of another server", lake.name),
        ));
    }
    for oid in servers {
        let server = catalog::server_by_oid(*oid).ok_or_else(|| {
            Error::new(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, "the foreign server is gone")
        })?;
        if server.is_lake() {
            continue;
        }
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

/// Whether an instance can have just these servers.
pub fn can_stand_apart(role: pg_sys::Oid, servers: &[pg_sys::Oid]) -> bool {
    of_tables(role, servers).is_ok()
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

/// A lake with the mappings that `role` has for it and for its storage.
///
/// # Errors
/// 42704 without a mapping or the storage, 2F003 for a mapping without a password where one is
/// needed, options that do not fit.
pub fn lake(role: pg_sys::Oid, oid: pg_sys::Oid) -> Result<LakeSpec> {
    let server = catalog::server_by_oid(oid).ok_or_else(|| {
        Error::new(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, "the foreign server is gone")
    })?;
    if acl::is_superuser(role) && !acl::is_superuser(server.owner) {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("superusers do not use lake \"{}\", whose owner is none", server.name),
        )
        .detail("Its owner decides which catalog and which files are read."));
    }
    let Some(mapping) = catalog::role_mapping(role, oid) else {
        return Err(access::no_mapping(role, &server));
    };
    let mut lake = LakeSpec::new(&server.name, &borrowed(&server.options), &borrowed(&mapping))?;
    if !acl::is_superuser(role) {
        lake.check_password().map_err(|message| {
            Error::new(PgSqlErrorCode::ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED, message)
                .detail("Non-superusers must provide a password in the user mapping.")
        })?;
    }
    let Some(name) = lake.storage_name() else { return Ok(lake) };
    let storage = storage_of(&server, name)?;
    // Whose keys for the storage are used, the owner of the lake decides, who may have lost the right to it,
    // or may have named a storage that somebody else has made since.
    if !acl::may_use_server(storage.oid, server.owner) {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("permission denied for foreign server {}", storage.name),
        )
        .detail(format!("The owner of server \"{}\" may not use its storage.", server.name)));
    }
    let Some(mapping) = catalog::role_mapping(role, storage.oid) else {
        return Err(access::no_mapping(role, &storage)
            .detail(format!("Server \"{}\" keeps its data there.", server.name)));
    };
    let storage = specification(&catalog::Server { mapping: Some(mapping), ..storage })?;
    Ok(lake.stored_in(storage)?)
}

/// The server that holds the data of a lake.
///
/// # Errors
/// 42704 when there is none of the name; HV024 when it is no object store.
pub fn storage_of(lake: &catalog::Server, name: &str) -> Result<catalog::Server> {
    let storage = catalog::servers().into_iter().find(|server| server.name == name);
    let storage = storage.ok_or_else(|| {
        Error::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("server \"{name}\", the storage of server \"{}\", does not exist", lake.name),
        )
    })?;
    let store = matches!(storage.server_type.as_deref(), Some("s3" | "gcs" | "r2"));
    if !store {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
            format!("server \"{name}\" cannot be the storage of a lake"),
        )
        .hint("The storage is a server of type s3, gcs or r2."));
    }
    Ok(storage)
}

/// What an instance is opened with.
pub fn build(
    key: &InstanceKey,
    lakes: &[pg_sys::Oid],
    limits: &Limits,
    extensions: Vec<Extension>,
) -> Result<OpenSpec> {
    let InstanceKey { role, ref servers, fence } = *key;
    if let Some((at, lake)) =
        lakes.iter().enumerate().find(|(at, l)| has_name_of(**l, &lakes[..*at]))
    {
        let name =
            |oid: pg_sys::Oid| catalog::server_by_oid(oid).map(|s| s.name).unwrap_or_default();
        let other = lakes[..at].iter().find(|other| has_name_of(**other, &[*lake]));
        return Err(Error::not_supported(format!(
            "lakes \"{}\" and \"{}\" cannot be used in one statement",
            name(*other.unwrap_or(lake)),
            name(*lake)
        ))
        .detail("DuckDB does not tell their names apart, which differ in case only.")
        .hint("Rename one: ALTER SERVER … RENAME TO …"));
    }
    let servers = if servers.is_empty() {
        usable(role)?.into_iter().map(|(_, spec)| spec).collect()
    } else {
        of_tables(role, servers)?
    };
    let megabytes = |mb: i32| u64::try_from(mb).ok().map(|mb| mb * MB);
    Ok(OpenSpec {
        extension_directory: extension_directory().to_string_lossy().into_owned(),
        sandboxed: fence == Fence::Shut,
        memory_limit_bytes: megabytes(limits.memory_limit_mb),
        threads: u32::try_from(limits.threads).ok().filter(|threads| *threads > 0),
        temp_directory: Some(temp_directory(limits, role)),
        max_temp_directory_size_bytes: megabytes(limits.max_temp_directory_size_mb),
        http_timeout_seconds: u64::try_from(limits.http_timeout_s).ok(),
        http_retries: u64::try_from(limits.http_retries).ok(),
        // A lake's files never change.
        file_cache: limits.file_cache || !lakes.is_empty(),
        ca_cert_file: None,
        servers,
        lakes: lakes.iter().map(|oid| lake(role, *oid)).collect::<Result<_>>()?,
        extra_extensions: extensions,
        disabled_readers: limits.disabled_readers.clone(),
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
