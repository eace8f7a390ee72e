//! The extension's own functions and types, and the foreign servers, as the catalogs have them.

use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::rc::Rc;

use pgrx::pg_sys;

use super::{acl, callbacks, encoding, nodes};

pub const EXTENSION: &std::ffi::CStr = c"pg_pond";
pub const SCHEMA: &str = "duckdb";

/// The readers: functions of schema `duckdb` that call the DuckDB function of the same name.
pub const READERS: [&str; 7] = [
    "read_parquet",
    "read_csv",
    "read_json",
    "read_text",
    "read_blob",
    "iceberg_scan",
    "delta_scan",
];

/// The objects of `CREATE EXTENSION pg_pond` that the module must recognise in a parse tree.
#[derive(Debug, Clone)]
pub struct Objects {
    /// The composite type without columns that `duckdb.query` and the readers return.
    pub row: pg_sys::Oid,
    /// The types of the literals that queries and readers take.
    pub sql: pg_sys::Oid,
    pub path: pg_sys::Oid,
    /// The functions of the extension that return [`Objects::row`]: `query`, the readers, and looks
    /// at a lake's past.
    pub in_from: Vec<pg_sys::Oid>,
    /// `duckdb.query(duckdb.sql)` and `duckdb.query(duckdb.sql, VARIADIC "any")`.
    pub query: [pg_sys::Oid; 2],
    /// `duckdb.query_rows(text)` and `duckdb.query_rows(text, VARIADIC "any")`.
    pub query_rows: [pg_sys::Oid; 2],
    /// `duckdb.query_by_name(text)` and `duckdb.query_by_name(text, VARIADIC "any")`.
    pub query_by_name: [pg_sys::Oid; 2],
    /// `duckdb.at` and `duckdb.table_changes`, and what they become: `duckdb.query_at` and
    /// `duckdb.query_changes`; InvalidOid in versions before 0.3.0 of the extension.
    pub at: pg_sys::Oid,
    pub table_changes: pg_sys::Oid,
    pub query_at: pg_sys::Oid,
    pub query_changes: pg_sys::Oid,
    /// `duckdb.pushed(bigint)` and `duckdb.pushed(bigint, VARIADIC "any")`; InvalidOid in version
    /// 0.1.0 of the extension.
    pub pushed: [pg_sys::Oid; 2],
}

impl Objects {
    /// Whether the function runs a text with a column definition list.
    #[must_use]
    pub fn scans(&self, function: pg_sys::Oid) -> bool {
        self.query_rows.contains(&function) || self.query_by_name.contains(&function)
    }
}

thread_local! {
    static OBJECTS: RefCell<Option<(u64, Rc<Objects>)>> = const { RefCell::new(None) };
}

impl Objects {
    /// The objects in this database; `None` when the extension is not installed.
    #[must_use]
    pub fn get() -> Option<Rc<Self>> {
        let generation = callbacks::function_generation();
        let known = OBJECTS.with_borrow(|known| match known {
            Some((of, objects)) if *of == generation => Some(Rc::clone(objects)),
            _ => None,
        });
        if known.is_some() {
            return known;
        }
        let objects = Rc::new(Self::look_up()?);
        OBJECTS.set(Some((generation, Rc::clone(&objects))));
        Some(objects)
    }

    fn look_up() -> Option<Self> {
        // SAFETY: catalog look-ups that return InvalidOid for what is missing.
        unsafe {
            let extension = pg_sys::get_extension_oid(EXTENSION.as_ptr(), true);
            if extension == pg_sys::InvalidOid {
                return None;
            }
            let schema = acl::schema(SCHEMA)?;
            let row = type_in(schema, "row")?;
            let sql = type_in(schema, "sql")?;
            let path = type_in(schema, "path")?;
            let of = |name: &str, first| {
                let one = function(extension, name, &[first])?;
                let variadic = function(extension, name, &[first, pg_sys::ANYOID])?;
                Some([one, variadic])
            };
            let query = of("query", sql)?;
            let readers = READERS.iter().filter_map(|name| reader(name));
            let [at, table_changes, query_at, query_changes] =
                ["at", "table_changes", "query_at", "query_changes"].map(reader);
            let or_none = |oid: Option<pg_sys::Oid>| oid.unwrap_or(pg_sys::InvalidOid);
            Some(Self {
                row,
                sql,
                path,
                in_from: readers.chain(query).chain(at).chain(table_changes).collect(),
                at: or_none(at),
                table_changes: or_none(table_changes),
                query_at: or_none(query_at),
                query_changes: or_none(query_changes),
                query,
                query_rows: of("query_rows", pg_sys::TEXTOID)?,
                query_by_name: of("query_by_name", pg_sys::TEXTOID)?,
                pushed: of("pushed", pg_sys::INT8OID).unwrap_or([pg_sys::InvalidOid; 2]),
            })
        }
    }
}

/// The reader function, or another that is not overloaded, of this name in schema `duckdb`, if it belongs to the extension.
#[must_use]
pub fn reader(name: &str) -> Option<pg_sys::Oid> {
    // SAFETY: catalog look-ups; the candidates are palloc'ed for us.
    unsafe {
        let extension = pg_sys::get_extension_oid(EXTENSION.as_ptr(), true);
        let names = nodes::list_of([nodes::string_node(SCHEMA), nodes::string_node(name)]);
        let function = pg_sys::LookupFuncName(names, -1, std::ptr::null(), true);
        (function != pg_sys::InvalidOid
            && extension != pg_sys::InvalidOid
            && pg_sys::getExtensionOfObject(pg_sys::ProcedureRelationId, function) == extension)
            .then_some(function)
    }
}

/// # Safety
/// Within a transaction.
unsafe fn type_in(schema: pg_sys::Oid, name: &str) -> Option<pg_sys::Oid> {
    let name = CString::new(name).ok()?;
    // SAFETY: a syscache look-up by name and schema.
    let oid = unsafe {
        #[expect(clippy::cast_possible_wrap, reason = "cache identifiers are small")]
        pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::TYPENAMENSP as i32,
            i16::try_from(pg_sys::Anum_pg_type_oid).unwrap_or(1),
            pg_sys::Datum::from(name.as_ptr()),
            pg_sys::Datum::from(schema),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        )
    };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

/// A function of the extension by its name and argument types. One of the same name that does not
/// belong to the extension is not taken.
///
/// # Safety
/// Within a transaction.
unsafe fn function(
    extension: pg_sys::Oid,
    name: &str,
    arguments: &[pg_sys::Oid],
) -> Option<pg_sys::Oid> {
    // SAFETY: a look-up by qualified name that may find nothing.
    unsafe {
        let names = nodes::list_of([nodes::string_node(SCHEMA), nodes::string_node(name)]);
        let count = i32::try_from(arguments.len()).ok()?;
        let oid = pg_sys::LookupFuncName(names, count, arguments.as_ptr(), true);
        (oid != pg_sys::InvalidOid
            && pg_sys::getExtensionOfObject(pg_sys::ProcedureRelationId, oid) == extension)
            .then_some(oid)
    }
}

/// A foreign server of the extension's wrapper, as one role sees it.
#[derive(Debug, Clone)]
pub struct Server {
    pub oid: pg_sys::Oid,
    pub wrapper: pg_sys::Oid,
    pub owner: pg_sys::Oid,
    pub name: String,
    pub server_type: Option<String>,
    pub options: Vec<(String, String)>,
    /// The options of the role's user mapping, or of PUBLIC's; `None` when there is neither.
    pub mapping: Option<Vec<(String, String)>>,
}

const WRAPPER: &std::ffi::CStr = c"duckdb";

/// The servers of wrapper `duckdb` that `role` may use: USAGE, and a user mapping of its own or
/// PUBLIC's. In the order of their names.
#[must_use]
pub fn usable_servers(role: pg_sys::Oid) -> Vec<Server> {
    servers()
        .into_iter()
        .filter(|server| acl::may_use_server(server.oid, role))
        .filter_map(|server| {
            let mapping = role_mapping(role, server.oid)?;
            Some(Server { mapping: Some(mapping), ..server })
        })
        .collect()
}

/// All servers of wrapper `duckdb`, without mappings, in the order of their names.
#[must_use]
pub fn servers() -> Vec<Server> {
    // SAFETY: within a transaction; the scan is closed before anything else happens, and only
    // look-ups that may find nothing follow.
    let mut servers: Vec<_> = unsafe {
        let wrapper = pg_sys::get_foreign_data_wrapper_oid(WRAPPER.as_ptr(), true);
        if wrapper == pg_sys::InvalidOid {
            return vec![];
        }
        server_oids(wrapper).into_iter().filter_map(server_by_oid).collect()
    };
    servers.sort_by(|a, b| a.name.cmp(&b.name));
    servers
}

/// The options of the mapping that `role` has for the server, its own or PUBLIC's.
#[must_use]
pub fn role_mapping(role: pg_sys::Oid, server: pg_sys::Oid) -> Option<Vec<(String, String)>> {
    user_mapping(role, server).or_else(|| user_mapping(pg_sys::InvalidOid, server))
}

/// The OIDs of all servers of a wrapper.
///
/// # Safety
/// Within a transaction.
unsafe fn server_oids(wrapper: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    #[expect(clippy::cast_possible_wrap, reason = "a small lock mode")]
    let lock = pg_sys::AccessShareLock as i32;
    let mut found = vec![];
    // SAFETY: a sequential scan of a system catalog, ended and closed below.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::ForeignServerRelationId, lock);
        let scan = pg_sys::systable_beginscan(
            relation,
            pg_sys::InvalidOid,
            false,
            std::ptr::null_mut(),
            0,
            std::ptr::null_mut(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let row = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_foreign_server>();
            if (*row).srvfdw == wrapper {
                found.push((*row).oid);
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, lock);
    }
    found
}

/// A server without its mapping; `None` when it is gone.
#[must_use]
pub fn server_by_oid(oid: pg_sys::Oid) -> Option<Server> {
    // SAFETY: FSV_MISSING_OK (1) makes a missing server NULL; the rest is palloc'ed for us.
    unsafe {
        let server = pg_sys::GetForeignServerExtended(oid, 1);
        if server.is_null() {
            return None;
        }
        let server_type = (*server).servertype;
        Some(Server {
            oid,
            wrapper: (*server).fdwid,
            owner: (*server).owner,
            name: nodes::str_at((*server).servername),
            server_type: (!server_type.is_null()).then(|| nodes::str_at(server_type)),
            options: def_elements((*server).options),
            mapping: None,
        })
    }
}

/// The server of this name, of whatever wrapper, without its mapping.
#[must_use]
pub fn server_by_name(name: &str) -> Option<Server> {
    let name = CString::new(encoding::utf8_to_server(name).into_owned()).ok()?;
    // SAFETY: a catalog look-up that may find nothing.
    let oid = unsafe { pg_sys::get_foreign_server_oid(name.as_ptr(), true) };
    (oid != pg_sys::InvalidOid).then(|| server_by_oid(oid)).flatten()
}

/// Options as the catalog's DefElem list has them, in UTF-8.
///
/// # Safety
/// `list` is NIL or a list of DefElem with text values.
#[must_use]
pub unsafe fn def_elements(list: *mut pg_sys::List) -> Vec<(String, String)> {
    // SAFETY: by contract; defGetString reads any value as text.
    unsafe {
        nodes::items::<pg_sys::DefElem>(list)
            .map(|element| {
                let value = if (*element).arg.is_null() {
                    String::new()
                } else {
                    encoding::server_to_utf8(pg_sys::defGetString(element))
                };
                (nodes::str_at((*element).defname), value)
            })
            .collect()
    }
}

/// The options of a `text[]` of `name=value`, as validators get them.
///
/// # Safety
/// `array` is a `text[]` Datum, or null for none.
#[must_use]
pub unsafe fn options_of(array: pg_sys::Datum) -> Vec<(String, String)> {
    if array.is_null() {
        return vec![];
    }
    // SAFETY: by contract.
    unsafe { def_elements(pg_sys::untransformRelOptions(array)) }
}

/// The options of exactly this user's mapping (InvalidOid is PUBLIC), if there is one.
#[must_use]
pub fn user_mapping(user: pg_sys::Oid, server: pg_sys::Oid) -> Option<Vec<(String, String)>> {
    #[expect(clippy::cast_possible_wrap, reason = "cache identifiers are small")]
    let cache = pg_sys::SysCacheIdentifier::USERMAPPINGUSERSERVER as i32;
    // SAFETY: a syscache look-up, released below.
    unsafe {
        let tuple =
            pg_sys::SearchSysCache2(cache, pg_sys::Datum::from(user), pg_sys::Datum::from(server));
        if tuple.is_null() {
            return None;
        }
        let mut is_null = false;
        let attribute = i16::try_from(pg_sys::Anum_pg_user_mapping_umoptions).unwrap_or(4);
        let options = pg_sys::SysCacheGetAttr(cache, tuple, attribute, &raw mut is_null);
        let options =
            if is_null { vec![] } else { def_elements(pg_sys::untransformRelOptions(options)) };
        pg_sys::ReleaseSysCache(tuple);
        Some(options)
    }
}

/// The server and the options of a user mapping.
#[must_use]
pub fn mapping_by_oid(oid: pg_sys::Oid) -> Option<(pg_sys::Oid, Vec<(String, String)>)> {
    #[expect(clippy::cast_possible_wrap, reason = "cache identifiers are small")]
    let cache = pg_sys::SysCacheIdentifier::USERMAPPINGOID as i32;
    // SAFETY: a syscache look-up, released below.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(oid));
        if tuple.is_null() {
            return None;
        }
        let row = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_user_mapping>();
        let (user, server) = ((*row).umuser, (*row).umserver);
        pg_sys::ReleaseSysCache(tuple);
        Some((server, user_mapping(user, server)?))
    }
}

/// A foreign table as the catalogs have it.
pub struct ForeignTable {
    pub server: pg_sys::Oid,
    /// Schema and name, quoted as needed.
    pub name: String,
    /// The name alone, as it is.
    pub relation_name: String,
    pub options: Vec<(String, String)>,
    /// By number, from 1; `None` for dropped ones.
    pub attributes: Vec<Option<Attribute>>,
}

/// A column of a relation.
#[derive(Clone, Debug)]
pub struct Attribute {
    pub number: i16,
    pub name: String,
    pub type_oid: pg_sys::Oid,
    pub typmod: i32,
    pub collation: pg_sys::Oid,
    /// PostgreSQL computes it whenever it is read.
    pub is_virtual: bool,
    pub options: Vec<(String, String)>,
}

/// The foreign table of the wrapper `duckdb` with this OID, if it is one. The caller holds a lock
/// on it.
#[must_use]
pub fn foreign_table(relation: pg_sys::Oid) -> Option<ForeignTable> {
    if !is_our_foreign_table(relation) {
        return None;
    }
    // SAFETY: the relation exists and is locked by the caller; it is closed again below.
    unsafe {
        let table = pg_sys::GetForeignTable(relation);
        let opened = pg_sys::RelationIdGetRelation(relation);
        if opened.is_null() {
            return None;
        }
        let descriptor = (*opened).rd_att;
        let count = usize::try_from((*descriptor).natts).unwrap_or(0);
        let attributes = (0..count)
            .map(|index| {
                let attribute = super::slot::attribute(descriptor, index);
                (!(*attribute).attisdropped).then(|| Attribute {
                    number: (*attribute).attnum,
                    name: encoding::server_to_utf8((*attribute).attname.data.as_ptr()),
                    type_oid: (*attribute).atttypid,
                    typmod: (*attribute).atttypmod,
                    collation: (*attribute).attcollation,
                    // ATTRIBUTE_GENERATED_VIRTUAL in catalog/pg_attribute.h, since version 18.
                    is_virtual: (*attribute).attgenerated.cast_unsigned() == b'v',
                    options: def_elements(pg_sys::GetForeignColumnOptions(
                        relation,
                        (*attribute).attnum,
                    )),
                })
            })
            .collect();
        let name = (*(*opened).rd_rel).relname;
        let bare_name = encoding::server_to_utf8(name.data.as_ptr());
        pg_sys::RelationClose(opened);
        Some(ForeignTable {
            server: (*table).serverid,
            name: relation_name(relation),
            relation_name: bare_name,
            options: def_elements((*table).options),
            attributes,
        })
    }
}

/// Keeps a relation from being changed by others, to the end of the transaction.
pub fn lock_to_read(relation: pg_sys::Oid) {
    #[expect(clippy::cast_possible_wrap, reason = "a small lock mode")]
    let lock = pg_sys::AccessShareLock as i32;
    // SAFETY: within a transaction; the relation need not exist.
    unsafe { pg_sys::LockRelationOid(relation, lock) };
}

/// Whether there is a relation already where one of this name would be made. PostgreSQL's own error
/// when there is no such place.
///
/// # Safety
/// `name` is live.
#[must_use]
pub unsafe fn relation_exists(name: *mut pg_sys::RangeVar) -> bool {
    // SAFETY: by contract.
    unsafe {
        let schema = pg_sys::RangeVarGetCreationNamespace(name);
        pg_sys::get_relname_relid((*name).relname, schema) != pg_sys::InvalidOid
    }
}

/// The relation of a name without quotes, `schema.name` or one of the search path's, if there is one.
#[must_use]
pub fn visible_relation(name: &str) -> Option<pg_sys::Oid> {
    let in_server = |name: &str| CString::new(encoding::utf8_to_server(name).into_owned()).ok();
    // SAFETY: look-ups by NUL-terminated names, which may find nothing.
    let found = unsafe {
        match name.split_once('.') {
            None => pg_sys::RelnameGetRelid(in_server(name)?.as_ptr()),
            Some((schema, name)) => {
                let schema = pg_sys::get_namespace_oid(in_server(schema)?.as_ptr(), true);
                pg_sys::get_relname_relid(in_server(name)?.as_ptr(), schema)
            }
        }
    };
    (found != pg_sys::InvalidOid).then_some(found)
}

/// Makes this session analyse and plan all cached statements anew that call a function.
pub fn forget_plans_with(function: pg_sys::Oid) {
    #[expect(clippy::cast_possible_wrap, reason = "cache identifiers are small")]
    let cache = pg_sys::SysCacheIdentifier::PROCOID as i32;
    let none = pg_sys::Datum::null();
    // SAFETY: what a change of the function by another session would cause.
    unsafe {
        let key = pg_sys::Datum::from(function);
        let hash = pg_sys::GetSysCacheHashValue(cache, key, none, none, none);
        pg_sys::CallSyscacheCallbacks(cache, hash);
    }
}

/// Whether an enum has this label, which is in the server's encoding.
#[must_use]
pub fn is_enum_label(oid: pg_sys::Oid, label: &CStr) -> bool {
    // The name in the catalog has no more bytes.
    if label.count_bytes() >= pg_sys::NAMEDATALEN as usize {
        return false;
    }
    #[expect(clippy::cast_possible_wrap, reason = "cache identifiers are small")]
    let cache = pg_sys::SysCacheIdentifier::ENUMTYPOIDNAME as i32;
    // SAFETY: a look-up by the two keys of the cache; the tuple is released.
    unsafe {
        let keys = (pg_sys::Datum::from(oid), pg_sys::Datum::from(label.as_ptr()));
        let tuple = pg_sys::SearchSysCache2(cache, keys.0, keys.1);
        if tuple.is_null() {
            return false;
        }
        pg_sys::ReleaseSysCache(tuple);
        true
    }
}

/// Schema and name of a relation, quoted as needed, in UTF-8.
#[must_use]
pub fn relation_name(relation: pg_sys::Oid) -> String {
    // SAFETY: catalog look-ups; a dropped relation has no name.
    unsafe {
        let name = pg_sys::get_rel_name(relation);
        if name.is_null() {
            return relation.to_u32().to_string();
        }
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(relation));
        encoding::server_to_utf8(pg_sys::quote_qualified_identifier(schema, name))
    }
}

/// The number of rows that ANALYZE has found in a relation; `None` when it has not looked.
#[must_use]
pub fn analyzed_rows(relation: pg_sys::Oid) -> Option<f32> {
    #[expect(clippy::cast_possible_wrap, reason = "cache identifiers are small")]
    let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
    // SAFETY: a syscache look-up, released below.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(relation));
        if tuple.is_null() {
            return None;
        }
        let rows = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>()).reltuples;
        pg_sys::ReleaseSysCache(tuple);
        (rows >= 0.0).then_some(rows)
    }
}

/// A type as PostgreSQL writes it, in UTF-8.
#[must_use]
pub fn type_name(oid: pg_sys::Oid, typmod: i32) -> String {
    // SAFETY: format_type_with_typemod returns a new string for any OID.
    unsafe { encoding::server_to_utf8(pg_sys::format_type_with_typemod(oid, typmod)) }
}

/// Whether the relation is a foreign table of the wrapper `duckdb`.
#[must_use]
pub fn is_our_foreign_table(relation: pg_sys::Oid) -> bool {
    // SAFETY: catalog look-ups; the relation is known to be a foreign table, or is checked to be.
    unsafe {
        if pg_sys::get_rel_relkind(relation).cast_unsigned() != pg_sys::RELKIND_FOREIGN_TABLE {
            return false;
        }
        let server = pg_sys::GetForeignServerIdByRelId(relation);
        server_by_oid(server).is_some_and(|server| server.is_ours())
    }
}

/// The role as which PostgreSQL checks access to the relation of a range table entry; InvalidOid for
/// whoever runs the query.
///
/// # Safety
/// `rte` is an entry of the live query's range table.
#[must_use]
pub unsafe fn checked_as(
    query: *mut pg_sys::Query,
    rte: *mut pg_sys::RangeTblEntry,
) -> pg_sys::Oid {
    // SAFETY: by contract.
    unsafe {
        #[cfg(feature = "pg15")]
        {
            let _ = query;
            (*rte).checkAsUser
        }
        #[cfg(not(feature = "pg15"))]
        {
            if (*rte).perminfoindex == 0 {
                return pg_sys::InvalidOid;
            }
            (*pg_sys::getRTEPermissionInfo((*query).rteperminfos, rte)).checkAsUser
        }
    }
}

/// As [`checked_as`], for a relation that rows are written to.
///
/// # Safety
/// Live structures of the executor.
#[must_use]
pub unsafe fn result_checked_as(
    estate: *mut pg_sys::EState,
    result: *mut pg_sys::ResultRelInfo,
) -> pg_sys::Oid {
    // SAFETY: by contract.
    unsafe {
        #[cfg(feature = "pg15")]
        {
            let root = (*result).ri_RootResultRelInfo;
            let of = if root.is_null() { result } else { root };
            let index = usize::try_from((*of).ri_RangeTableIndex).unwrap_or(0);
            if index == 0 {
                return pg_sys::InvalidOid;
            }
            let rte =
                nodes::items::<pg_sys::RangeTblEntry>((*estate).es_range_table).nth(index - 1);
            rte.map_or(pg_sys::InvalidOid, |rte| (*rte).checkAsUser)
        }
        #[cfg(not(feature = "pg15"))]
        {
            let user = pg_sys::ExecGetResultRelCheckAsUser(result, estate);
            if user == acl::current_role() { pg_sys::InvalidOid } else { user }
        }
    }
}

/// Whether other tables may inherit from the relation, or have done so. The caller holds a lock on it.
#[must_use]
pub fn may_have_children(relation: pg_sys::Oid) -> bool {
    // SAFETY: the relation exists and is locked by the caller; it is closed again.
    unsafe {
        let opened = pg_sys::RelationIdGetRelation(relation);
        if opened.is_null() {
            return false;
        }
        let found = (*(*opened).rd_rel).relhassubclass;
        pg_sys::RelationClose(opened);
        found
    }
}

/// Whether PostgreSQL computes columns of the relation when it is read. The caller holds a lock on it.
#[must_use]
pub fn has_virtual_columns(relation: pg_sys::Oid) -> bool {
    #[cfg(not(feature = "pg18"))]
    {
        let _ = relation;
        false
    }
    #[cfg(feature = "pg18")]
    // SAFETY: the relation exists and is locked by the caller; it is closed again below.
    unsafe {
        let opened = pg_sys::RelationIdGetRelation(relation);
        if opened.is_null() {
            return false;
        }
        let constraints = (*(*opened).rd_att).constr;
        let found = !constraints.is_null() && (*constraints).has_generated_virtual;
        pg_sys::RelationClose(opened);
        found
    }
}

/// Whether rows of the relation go through triggers, or have columns that PostgreSQL computes. The
/// caller holds a lock on it.
#[must_use]
pub fn has_row_triggers_or_generated_columns(relation: pg_sys::Oid) -> bool {
    // SAFETY: the relation exists and is locked by the caller; it is closed again below.
    unsafe {
        let opened = pg_sys::RelationIdGetRelation(relation);
        if opened.is_null() {
            return true;
        }
        let triggers = (*opened).trigdesc;
        let by_row = !triggers.is_null()
            && ((*triggers).trig_insert_before_row
                || (*triggers).trig_insert_after_row
                || (*triggers).trig_update_before_row
                || (*triggers).trig_update_after_row
                || (*triggers).trig_delete_before_row
                || (*triggers).trig_delete_after_row
                || (*triggers).trig_insert_new_table
                || (*triggers).trig_update_old_table
                || (*triggers).trig_update_new_table
                || (*triggers).trig_delete_old_table);
        let constraints = (*(*opened).rd_att).constr;
        let generated = !constraints.is_null() && (*constraints).has_generated_stored;
        pg_sys::RelationClose(opened);
        by_row || generated
    }
}

unsafe extern "C-unwind" {
    // utils/partcache.h; not in pgrx's bindings.
    fn RelationGetPartitionQual(relation: pg_sys::Relation) -> *mut pg_sys::List;
}

/// The columns of which a partition's bounds are, by their numbers; none of a relation that is no
/// partition. The caller holds a lock on it.
#[must_use]
pub fn partition_columns(relation: pg_sys::Oid) -> Vec<i16> {
    let mut columns = vec![];
    // SAFETY: the relation exists and is locked by the caller; it is closed again below.
    unsafe {
        let opened = pg_sys::RelationIdGetRelation(relation);
        if opened.is_null() {
            return columns;
        }
        if (*(*opened).rd_rel).relispartition {
            let quals = pg_sys::ffi::pg_guard_ffi_boundary(|| RelationGetPartitionQual(opened));
            let mut used = std::ptr::null_mut();
            pg_sys::pull_varattnos(quals.cast(), 1, &raw mut used);
            let mut member = -1;
            loop {
                member = pg_sys::bms_next_member(used, member);
                if member < 0 {
                    break;
                }
                let number = member + pg_sys::FirstLowInvalidHeapAttributeNumber;
                columns.extend(i16::try_from(number));
            }
        }
        pg_sys::RelationClose(opened);
    }
    columns
}

/// Whether only ASCII letters have cases under this collation.
#[must_use]
pub fn has_ascii_case(collation: pg_sys::Oid) -> bool {
    if collation == pg_sys::C_COLLATION_OID || collation.to_u32() == POSIX_COLLATION_OID {
        return true;
    }
    if collation != pg_sys::DEFAULT_COLLATION_OID {
        return false;
    }
    // SAFETY: a setting that PostgreSQL sets when a backend connects.
    let ctype =
        unsafe { nodes::str_at(pg_sys::GetConfigOption(c"lc_ctype".as_ptr(), true, false)) };
    is_bytewise(collation) && matches!(ctype.as_str(), "C" | "POSIX")
}

/// Whether strings under this collation are ordered by their bytes.
#[must_use]
#[expect(clippy::cast_possible_wrap, reason = "cache identifiers are small")]
pub fn is_bytewise(collation: pg_sys::Oid) -> bool {
    if collation == pg_sys::C_COLLATION_OID || collation.to_u32() == POSIX_COLLATION_OID {
        return true;
    }
    let of_database = collation == pg_sys::DEFAULT_COLLATION_OID;
    let (cache, key) = if of_database {
        // SAFETY: a global that is set when a backend connects.
        (pg_sys::SysCacheIdentifier::DATABASEOID as i32, unsafe { pg_sys::MyDatabaseId })
    } else {
        (pg_sys::SysCacheIdentifier::COLLOID as i32, collation)
    };
    // SAFETY: a syscache look-up, released below.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(key));
        if tuple.is_null() {
            return false;
        }
        let form = pg_sys::GETSTRUCT(tuple);
        let provider = if of_database {
            (*form.cast::<pg_sys::FormData_pg_database>()).datlocprovider.cast_unsigned()
        } else {
            (*form.cast::<pg_sys::FormData_pg_collation>()).collprovider.cast_unsigned()
        };
        let number = |number: u32| i16::try_from(number).unwrap_or(0);
        let text = |attribute: u32| {
            let mut is_null = false;
            let value = pg_sys::SysCacheGetAttr(cache, tuple, number(attribute), &raw mut is_null);
            if is_null {
                return String::new();
            }
            nodes::str_at(pg_sys::text_to_cstring(value.cast_mut_ptr()))
        };
        let locale = match (provider, of_database) {
            (b'c', true) => text(pg_sys::Anum_pg_database_datcollate),
            (b'c', false) => text(pg_sys::Anum_pg_collation_collcollate),
            #[cfg(any(feature = "pg17", feature = "pg18"))]
            (b'b', true) => text(pg_sys::Anum_pg_database_datlocale),
            #[cfg(any(feature = "pg17", feature = "pg18"))]
            (b'b', false) => text(pg_sys::Anum_pg_collation_colllocale),
            _ => String::new(),
        };
        pg_sys::ReleaseSysCache(tuple);
        // glibc's C.UTF-8 compares code points, which is the order of UTF-8's bytes, and so do all
        // locales of the builtin provider.
        provider == b'b' || ["C", "POSIX", "C.UTF-8", "C.utf8"].contains(&locale.as_str())
    }
}

const POSIX_COLLATION_OID: u32 = 951;

impl Server {
    /// Whether it is a lake, and no place of files.
    #[must_use]
    pub fn is_lake(&self) -> bool {
        self.server_type.as_deref() == Some("ducklake")
    }

    /// Whether the server belongs to the extension's wrapper.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        // SAFETY: catalog look-ups.
        unsafe {
            let wrapper = pg_sys::get_foreign_data_wrapper_oid(WRAPPER.as_ptr(), true);
            wrapper != pg_sys::InvalidOid && self.wrapper == wrapper
        }
    }
}
