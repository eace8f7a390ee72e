//! The columns of `duckdb.row`, which change from one FROM item to the next.
//!
//! PostgreSQL reads a composite type's columns from the backend's type cache. `duckdb.row` has no
//! columns of its own; while a statement is analysed, its entry holds the columns of the query that
//! is being looked at. [`replace`] puts them there, [`restore`] takes them away; PostgreSQL then
//! reads the type anew from its catalog. The entry's descriptor lives in CacheMemoryContext with
//! a reference count of one that belongs to the entry, exactly as PostgreSQL's own do, so that its
//! invalidation works unchanged (utils/cache/typcache.c, TypeCacheRelCallback).

use std::cell::Cell;

use pgrx::pg_sys;

use super::nodes::palloc_bytes;
use super::{encoding, memory};

/// A column as PostgreSQL's parser shall see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowColumn {
    /// In UTF-8.
    pub name: String,
    pub type_oid: pg_sys::Oid,
    pub typmod: i32,
    pub collation: pg_sys::Oid,
}

thread_local! {
    /// The cache entry that holds our descriptor, if any. Entries are never freed.
    static REPLACED: Cell<*mut pg_sys::TypeCacheEntry> = const { Cell::new(std::ptr::null_mut()) };
}

fn entry(row_type: pg_sys::Oid) -> *mut pg_sys::TypeCacheEntry {
    #[expect(clippy::cast_possible_wrap, reason = "a flag bit")]
    let flags = pg_sys::TYPECACHE_TUPDESC as i32;
    // SAFETY: looks up or makes the entry of an existing type; entries are never freed.
    unsafe { pg_sys::lookup_type_cache(row_type, flags) }
}

/// Releases the entry's descriptor as typcache.c does.
///
/// # Safety
/// `entry` is a live type-cache entry.
unsafe fn release(entry: *mut pg_sys::TypeCacheEntry) {
    // SAFETY: by contract; the entry owns one reference of its descriptor.
    unsafe {
        let descriptor = (*entry).tupDesc;
        if descriptor.is_null() {
            return;
        }
        (*entry).tupDesc = std::ptr::null_mut();
        (*entry).tupDesc_identifier = 0;
        (*descriptor).tdrefcount -= 1;
        if (*descriptor).tdrefcount == 0 {
            pg_sys::FreeTupleDesc(descriptor);
        }
    }
}

/// Makes the parser see `columns` as those of `row_type`.
pub fn replace(row_type: pg_sys::Oid, columns: &[RowColumn]) {
    let entry = entry(row_type);
    // SAFETY: the descriptor is built completely before it is put into the live entry.
    unsafe {
        let descriptor = memory::in_context(pg_sys::CacheMemoryContext, || {
            let count = i32::try_from(columns.len()).unwrap_or(i32::MAX);
            let descriptor = pg_sys::CreateTemplateTupleDesc(count);
            for (column, number) in columns.iter().zip(1i16..) {
                pg_sys::TupleDescInitEntry(
                    descriptor,
                    number,
                    palloc_bytes(&encoding::utf8_to_server(&column.name)),
                    column.type_oid,
                    column.typmod,
                    0,
                );
                pg_sys::TupleDescInitEntryCollation(descriptor, number, column.collation);
            }
            descriptor
        });
        (*descriptor).tdtypeid = row_type;
        (*descriptor).tdtypmod = -1;
        (*descriptor).tdrefcount = 1;
        release(entry);
        (*entry).tupDesc = descriptor;
    }
    REPLACED.set(entry);
}

/// Takes our columns away again. Does nothing when there are none. Safe in an aborted transaction:
/// it reads no catalog.
pub fn restore() {
    let entry = REPLACED.replace(std::ptr::null_mut());
    if !entry.is_null() {
        // SAFETY: `replace` left a live entry here.
        unsafe { release(entry) };
    }
}
