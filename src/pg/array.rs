//! The elements of an array.

use pgrx::pg_sys;

/// An array's element type and its elements, NULLs included, in the array's own order.
pub struct Elements {
    pub oid: pg_sys::Oid,
    pub length: i16,
    pub by_value: bool,
    pub values: Vec<Option<pg_sys::Datum>>,
}

/// Reads an array; `None` for one of several dimensions. Elements passed by reference are those of the
/// array, or of its copy in the current memory context.
///
/// # Safety
/// `datum` is an array.
pub unsafe fn elements(datum: pg_sys::Datum) -> Option<Elements> {
    // SAFETY: by contract; what is made is palloc'ed.
    unsafe {
        let array = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        if (*array).ndim > 1 {
            return None;
        }
        let oid = (*array).elemtype;
        let (mut length, mut by_value, mut align) = (0, false, 0);
        pg_sys::get_typlenbyvalalign(oid, &raw mut length, &raw mut by_value, &raw mut align);
        let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        pg_sys::deconstruct_array(
            array,
            oid,
            i32::from(length),
            by_value,
            align,
            &raw mut values,
            &raw mut nulls,
            &raw mut count,
        );
        let count = usize::try_from(count).unwrap_or(0);
        let value = |at| (!*nulls.add(at)).then(|| *values.add(at));
        Some(Elements { oid, length, by_value, values: (0..count).map(value).collect() })
    }
}
