//! The foreign-data wrapper `duckdb`: its validator, the checks on servers, user mappings and
//! foreign tables that a validator cannot make, since it sees neither the server's type nor who the
//! server is for, and foreign tables: [`table`], [`estimate`], [`analyze`], [`import`], [`refresh`].

mod analyze;
mod estimate;
mod import;
mod import_lake;
mod modify;
mod refresh;
mod table;

use duck::server::{self, Catalog, LakeSpec, ServerSpec};
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::error::{Error, Result, report};
use crate::lake::origin::Origin;
use crate::pg::callbacks::{self, Event};
use crate::pg::{acl, catalog, hook};
use crate::session;

/// # Safety
/// Called once, from `_PG_init`.
pub unsafe fn init() {
    // SAFETY: by contract.
    unsafe {
        hook::set_object_access(Some(object_access));
        modify::init();
        callbacks::at_transaction_event(|event| {
            if matches!(event, Event::Commit | Event::Abort | Event::SubAbort) {
                import_lake::forget_comments();
            }
        });
    }
}

/// The wrapper's validator: names, places and values of options. HV00D for a name, HV024 for a
/// value.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn duckdb_fdw_validator(
    fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    // SAFETY: called by PostgreSQL with (text[], oid).
    unsafe {
        let arguments = (*fcinfo).args.as_slice(2);
        let options = catalog::options_of(arguments[0].value);
        let catalog = pg_sys::Oid::from_datum(arguments[1].value, false);
        report(validate(&options, catalog.unwrap_or(pg_sys::InvalidOid)));
    }
    pg_sys::Datum::null()
}

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_duckdb_fdw_validator() -> *const pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

fn validate(options: &[(String, String)], catalog: pg_sys::Oid) -> Result<()> {
    let place = match catalog {
        pg_sys::ForeignServerRelationId => Catalog::Server,
        pg_sys::UserMappingRelationId => Catalog::UserMapping,
        pg_sys::ForeignTableRelationId => return Origin::check(options),
        pg_sys::AttributeRelationId => return validate_column(options),
        _ => Catalog::Wrapper,
    };
    let options = borrowed(options);
    server::validate(place, &options)?;
    if let Some(name) = server::needs_superuser(place, &options)
        && !acl::is_superuser(acl::current_role())
    {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("only a superuser may set option \"{name}\""),
        ));
    }
    Ok(())
}

/// A column's only option is the name that the files have for it.
fn validate_column(options: &[(String, String)]) -> Result<()> {
    match options.iter().find(|(name, _)| name != "column_name") {
        None => Ok(()),
        Some((name, _)) => Err(Error::new(
            PgSqlErrorCode::ERRCODE_FDW_INVALID_OPTION_NAME,
            format!("invalid option \"{name}\" for a column of a foreign table"),
        )
        .hint("The valid option is: column_name.")),
    }
}

fn borrowed(options: &[(String, String)]) -> Vec<(&str, &str)> {
    options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Looks at servers and user mappings as they are after CREATE or ALTER.
unsafe extern "C-unwind" fn object_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    sub_id: i32,
    argument: *mut std::ffi::c_void,
) {
    // SAFETY: the hook's own arguments.
    unsafe {
        hook::prev_object_access(access, class, object, sub_id, argument);
        check_object(access, class, object);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn check_object(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
) {
    // SAFETY: the hook's own arguments; the row is looked at with a fresh command counter.
    unsafe {
        let changed = access == pg_sys::ObjectAccessType::OAT_POST_CREATE
            || access == pg_sys::ObjectAccessType::OAT_POST_ALTER;
        if !changed {
            return;
        }
        if class == pg_sys::ForeignServerRelationId {
            pg_sys::CommandCounterIncrement();
            report(check_server(object));
        } else if class == pg_sys::UserMappingRelationId {
            pg_sys::CommandCounterIncrement();
            report(check_user_mapping(object));
        } else if class == pg_sys::ForeignTableRelationId {
            pg_sys::CommandCounterIncrement();
            report(check_foreign_table(object));
        }
    }
}

fn check_server(oid: pg_sys::Oid) -> Result<()> {
    let Some(server) = catalog::server_by_oid(oid).filter(catalog::Server::is_ours) else {
        return Ok(());
    };
    let role = acl::current_role();
    let required = if server.is_lake() {
        check_lake(&server, role)?
    } else {
        spec_of(&server, &[])?.required_roles()
    };
    for needed in required {
        let name = std::ffi::CString::new(*needed).unwrap_or_default();
        if !acl::has_rights_of(role, &name) {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("permission denied to make server \"{}\"", server.name),
            )
            .detail(format!("A server like this takes the privileges of role {needed}.")));
        }
    }
    Ok(())
}

/// Checks a lake and its storage; returns the roles whose privileges its maker needs.
fn check_lake(server: &catalog::Server, role: pg_sys::Oid) -> Result<&'static [&'static str]> {
    let lake = LakeSpec::new(&server.name, &borrowed(&server.options), &[])?;
    if let Some(name) = lake.storage_name()
        && catalog::server_by_name(name).is_none()
    {
        // pg_dump knows of no order among servers. Each use of the lake looks at its storage again.
        pgrx::notice!(
            "server \"{name}\", the storage of server \"{}\", does not exist yet",
            server.name
        );
    } else if let Some(name) = lake.storage_name() {
        let storage = session::storage_of(server, name)?;
        // With it comes the use of the keys that roles have for it.
        if !acl::may_use_server(storage.oid, role) {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("permission denied for foreign server {}", storage.name),
            ));
        }
        lake.clone().stored_in(spec_of(&storage, &[])?)?;
    }
    Ok(if lake.uses_local_files() {
        &["pg_read_server_files", "pg_write_server_files"]
    } else {
        &[]
    })
}

fn check_foreign_table(relation: pg_sys::Oid) -> Result<()> {
    let Some(table) = catalog::foreign_table(relation) else { return Ok(()) };
    let Some(server) = catalog::server_by_oid(table.server) else { return Ok(()) };
    // PostgreSQL asks for this right at CREATE only, but another path is as good as another table.
    if !acl::may_use_server(server.oid, acl::current_role()) {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("permission denied for foreign server {}", server.name),
        ));
    }
    let origin = Origin::parse(&server, &table.relation_name, &table.options)?;
    table::check_origin(&origin, &server)
}

fn check_user_mapping(oid: pg_sys::Oid) -> Result<()> {
    let Some((server, options)) = catalog::mapping_by_oid(oid) else {
        return Ok(());
    };
    let Some(server) = catalog::server_by_oid(server).filter(catalog::Server::is_ours) else {
        return Ok(());
    };
    if server.is_lake() {
        LakeSpec::new(&server.name, &borrowed(&server.options), &borrowed(&options))?;
        return Ok(());
    }
    spec_of(&server, &options).map(drop)
}

fn spec_of(server: &catalog::Server, mapping: &[(String, String)]) -> Result<ServerSpec> {
    let server_type = server.server_type.as_deref();
    let (options, mapping) = (borrowed(&server.options), borrowed(mapping));
    Ok(ServerSpec::new(&server.name, server_type, &options, &mapping)?)
}
