//! Tuple descriptors and slots, where PostgreSQL's versions differ.

use pgrx::pg_sys;

/// The slot holds no row.
#[expect(clippy::cast_possible_truncation, reason = "a flag bit")]
pub const FLAG_EMPTY: u16 = pg_sys::TTS_FLAG_EMPTY as u16;

/// The slot owns the memory of its row.
#[expect(clippy::cast_possible_truncation, reason = "a flag bit")]
pub const FLAG_SHOULD_FREE: u16 = pg_sys::TTS_FLAG_SHOULDFREE as u16;

/// Attribute `index`, from 0.
///
/// # Safety
/// `descriptor` is live and has more than `index` attributes.
#[must_use]
pub unsafe fn attribute(
    descriptor: pg_sys::TupleDesc,
    index: usize,
) -> *mut pg_sys::FormData_pg_attribute {
    // SAFETY: by contract. Since version 18 the full attributes lie behind the compact ones
    // (TupleDescAttr in access/tupdesc.h).
    unsafe {
        #[cfg(not(feature = "pg18"))]
        {
            (*descriptor).attrs.as_mut_ptr().add(index)
        }
        #[cfg(feature = "pg18")]
        {
            let count = usize::try_from((*descriptor).natts).unwrap_or(0);
            (*descriptor)
                .compact_attrs
                .as_mut_ptr()
                .add(count)
                .cast::<pg_sys::FormData_pg_attribute>()
                .add(index)
        }
    }
}

/// The `ctid` of a row that has no place, in `context`.
///
/// # Safety
/// `context` is live.
#[must_use]
pub unsafe fn no_place(context: pg_sys::MemoryContext) -> pg_sys::Datum {
    // SAFETY: fresh memory of the right size; no block and no item, as ItemPointerSetInvalid of
    // storage/itemptr.h writes them.
    unsafe {
        let size = size_of::<pg_sys::ItemPointerData>();
        let place = pg_sys::MemoryContextAllocZero(context, size).cast::<pg_sys::ItemPointerData>();
        (*place).ip_blkid = pg_sys::BlockIdData { bi_hi: u16::MAX, bi_lo: u16::MAX };
        pg_sys::Datum::from(place)
    }
}

/// A column's value, and whether it is NULL.
///
/// # Safety
/// `slot` holds a row with more than `number` - 1 columns.
pub unsafe fn value(slot: *mut pg_sys::TupleTableSlot, number: i16) -> (pg_sys::Datum, bool) {
    // SAFETY: by contract.
    unsafe {
        if (*slot).tts_nvalid < number {
            pg_sys::slot_getsomeattrs_int(slot, i32::from(number));
        }
        let at = usize::try_from(number - 1).unwrap_or(0);
        (*(*slot).tts_values.add(at), *(*slot).tts_isnull.add(at))
    }
}
