//! Who may do what.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;

/// The role whose rights decide at this moment.
#[must_use]
pub fn current_role() -> pg_sys::Oid {
    // SAFETY: reads a global.
    unsafe { pg_sys::GetUserId() }
}

/// The role that gave the statement, whatever functions with another one's rights it has called.
#[must_use]
pub fn outer_role() -> pg_sys::Oid {
    // SAFETY: reads a global.
    unsafe { pg_sys::GetOuterUserId() }
}

#[must_use]
pub fn is_superuser(role: pg_sys::Oid) -> bool {
    // SAFETY: a catalog look-up.
    unsafe { pg_sys::superuser_arg(role) }
}

/// The role's name, for messages.
#[must_use]
pub fn role_name(role: pg_sys::Oid) -> String {
    // SAFETY: returns a palloc'ed string, or NULL as the role need not exist.
    unsafe { super::nodes::str_at(pg_sys::GetUserNameFromId(role, true)) }
}

/// Whether `role` has the rights of the role named `group`. A superuser has all.
#[must_use]
pub fn has_rights_of(role: pg_sys::Oid, group: &CStr) -> bool {
    // SAFETY: catalog look-ups.
    unsafe {
        let group = pg_sys::get_role_oid(group.as_ptr(), true);
        group != pg_sys::InvalidOid && pg_sys::has_privs_of_role(role, group)
    }
}

/// Whether `role` may execute `function`.
#[must_use]
pub fn may_execute(function: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: catalog look-ups.
    unsafe {
        let mode = pg_sys::AclMode::from(pg_sys::ACL_EXECUTE);
        #[cfg(feature = "pg15")]
        let result = pg_sys::pg_proc_aclcheck(function, role, mode);
        #[cfg(not(feature = "pg15"))]
        let result = pg_sys::object_aclcheck(pg_sys::ProcedureRelationId, function, role, mode);
        result == pg_sys::AclResult::ACLCHECK_OK
    }
}

/// Whether `role` has USAGE on the foreign server.
#[must_use]
pub fn may_use_server(server: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: catalog look-ups.
    unsafe {
        let mode = pg_sys::AclMode::from(pg_sys::ACL_USAGE);
        #[cfg(feature = "pg15")]
        let result = pg_sys::pg_foreign_server_aclcheck(server, role, mode);
        #[cfg(not(feature = "pg15"))]
        let result = pg_sys::object_aclcheck(pg_sys::ForeignServerRelationId, server, role, mode);
        result == pg_sys::AclResult::ACLCHECK_OK
    }
}

/// Whether `role` owns the foreign server, by itself or through a membership. A superuser owns all.
#[must_use]
pub fn owns_server(server: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: catalog look-ups.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pg_foreign_server_ownercheck(server, role);
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_ownercheck(pg_sys::ForeignServerRelationId, server, role);
    }
}

/// Whether `role` may select all columns of a relation.
#[must_use]
pub fn may_select(relation: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    let mode = pg_sys::AclMode::from(pg_sys::ACL_SELECT);
    // SAFETY: catalog look-ups.
    unsafe {
        pg_sys::pg_class_aclcheck(relation, role, mode) == pg_sys::AclResult::ACLCHECK_OK
            || pg_sys::pg_attribute_aclcheck_all(
                relation,
                role,
                mode,
                pg_sys::AclMaskHow::ACLMASK_ALL,
            ) == pg_sys::AclResult::ACLCHECK_OK
    }
}

/// The OID of a schema, if it exists.
#[must_use]
pub fn schema(name: &str) -> Option<pg_sys::Oid> {
    let name = CString::new(name).ok()?;
    // SAFETY: a catalog look-up.
    let oid = unsafe { pg_sys::get_namespace_oid(name.as_ptr(), true) };
    (oid != pg_sys::InvalidOid).then_some(oid)
}
