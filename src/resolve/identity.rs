//! The identity of a statement for pg_stat_statements: PostgreSQL leaves constants out of it, but the text
//! of a DuckDB query is a statement, not a value.

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use crate::pg::catalog::Objects;
use crate::pg::nodes;

/// Makes the identifier of a statement depend on its DuckDB queries, and keeps their texts in what
/// pg_stat_statements shows in place of it.
///
/// # Safety
/// `query` is an analysed query whose FROM items have been converted, `jumble` what PostgreSQL has found
/// out about its constants, or NULL.
pub unsafe fn distinguish(query: *mut pg_sys::Query, jumble: *mut pg_sys::JumbleState) {
    // SAFETY: by contract; each cast follows the tag.
    unsafe {
        // Nobody counts statements.
        if (*query).queryId == 0 {
            return;
        }
        let Some(objects) = Objects::get() else { return };
        let mut hash = Fnv::default();
        let mut locations = vec![];
        nodes::walk(query.cast(), &mut |node| {
            if let Some(call) = nodes::cast::<pg_sys::FuncExpr>(node, Tag::T_FuncExpr)
                && objects.query_by_name.contains(&(*call).funcid)
                && let Some(first) = nodes::items::<pg_sys::Node>((*call).args).next()
                && let Some(text) = nodes::cast::<pg_sys::Const>(first, Tag::T_Const)
                && !(*text).constisnull
            {
                let text_of = pg_sys::text_to_cstring((*text).constvalue.cast_mut_ptr());
                hash.add(std::ffi::CStr::from_ptr(text_of).to_bytes());
                locations.push((*text).location);
            }
            false
        });
        if locations.is_empty() {
            return;
        }
        // Its type is another one since PostgreSQL 18; 0 means that there is none.
        #[cfg(not(feature = "pg18"))]
        {
            (*query).queryId = ((*query).queryId ^ hash.0).max(1);
        }
        #[cfg(feature = "pg18")]
        {
            let id = ((*query).queryId.cast_unsigned() ^ hash.0).max(1);
            (*query).queryId = id.cast_signed();
        }
        keep_texts(jumble, &locations);
    }
}

/// Takes the constants at these places of the statement's text off the list of those that are shown as
/// `$n`.
///
/// # Safety
/// As [`distinguish`].
unsafe fn keep_texts(jumble: *mut pg_sys::JumbleState, locations: &[i32]) {
    if jumble.is_null() {
        return;
    }
    // SAFETY: the array has as many elements as the count says.
    unsafe {
        let count = usize::try_from((*jumble).clocations_count).unwrap_or(0);
        let mut kept = 0;
        for index in 0..count {
            let constant = (*jumble).clocations.add(index);
            if !locations.contains(&(*constant).location) {
                (*jumble).clocations.add(kept).write(constant.read());
                kept += 1;
            }
        }
        (*jumble).clocations_count = i32::try_from(kept).unwrap_or(0);
    }
}

/// FNV-1a, 64 bits: the identifiers outlive a server's start and an update of ours.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        // A text's end counts, so that two texts are not one.
        for byte in bytes.iter().chain(&[0]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
