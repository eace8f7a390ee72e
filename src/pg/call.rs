//! The arguments and the answer of a function that PostgreSQL calls directly.

use pgrx::pg_sys;

use super::{encoding, nodes};

/// A call of one of our functions.
pub struct Call(pg_sys::FunctionCallInfo);

/// A row as texts that the input functions of its columns' types take.
pub type Row = Vec<Option<String>>;

impl Call {
    /// # Safety
    /// `info` is the live call of a function whose parameters have the types by which they are
    /// asked for.
    #[must_use]
    pub unsafe fn new(info: pg_sys::FunctionCallInfo) -> Self {
        Self(info)
    }

    /// The value of a parameter, from 0; `None` for NULL.
    fn datum(&self, index: usize) -> Option<pg_sys::Datum> {
        // SAFETY: by contract of `new`.
        unsafe {
            let count = usize::try_from((*self.0).nargs).unwrap_or(0);
            let argument = (*self.0).args.as_slice(count).get(index)?;
            (!argument.isnull).then_some(argument.value)
        }
    }

    /// A text in UTF-8.
    #[must_use]
    pub fn text(&self, index: usize) -> Option<String> {
        // SAFETY: by contract of `new`.
        self.datum(index).map(|datum| unsafe { text_of(datum) })
    }

    #[must_use]
    pub fn boolean(&self, index: usize) -> Option<bool> {
        self.datum(index).map(|datum| datum.value() != 0)
    }

    #[must_use]
    pub fn bigint(&self, index: usize) -> Option<i64> {
        self.datum(index).map(bigint_of)
    }

    #[must_use]
    pub fn double(&self, index: usize) -> Option<f64> {
        self.datum(index).map(|datum| f64::from_bits(datum.value() as u64))
    }

    #[must_use]
    pub fn oid(&self, index: usize) -> Option<pg_sys::Oid> {
        self.datum(index).and_then(|datum| u32::try_from(datum.value()).ok()).map(Into::into)
    }

    /// The elements of a text[] that are not NULL.
    #[must_use]
    pub fn texts(&self, index: usize) -> Option<Vec<String>> {
        let array = self.datum(index)?;
        // SAFETY: by contract of `new`.
        unsafe {
            let elements = elements(array, pg_sys::TEXTOID, -1, false);
            Some(elements.into_iter().map(|element| text_of(element)).collect())
        }
    }

    /// The elements of a bigint[] that are not NULL.
    #[must_use]
    pub fn bigints(&self, index: usize) -> Option<Vec<i64>> {
        let array = self.datum(index)?;
        // SAFETY: by contract of `new`.
        let elements = unsafe { elements(array, pg_sys::INT8OID, 8, true) };
        Some(elements.into_iter().map(bigint_of).collect())
    }

    /// NULL as the function's answer.
    #[must_use]
    pub fn null(&self) -> pg_sys::Datum {
        // SAFETY: by contract of `new`.
        unsafe { (*self.0).isnull = true };
        pg_sys::Datum::null()
    }

    /// Whether rows can be returned where the function stands.
    #[must_use]
    pub fn takes_rows(&self) -> bool {
        // SAFETY: the caller's ReturnSetInfo, if it is one.
        unsafe {
            let info = (*self.0).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            !info.is_null()
                && nodes::is_a(info.cast(), pg_sys::NodeTag::T_ReturnSetInfo)
                && !(*info).expectedDesc.is_null()
        }
    }

    /// The rows of a set-returning function. PostgreSQL's own errors for values that are none of
    /// their columns' types.
    ///
    /// # Safety
    /// [`Call::takes_rows`].
    pub unsafe fn return_rows(&self, rows: &[Row]) -> pg_sys::Datum {
        // SAFETY: by contract; the tuples are copied into the store.
        unsafe {
            pg_sys::InitMaterializedSRF(self.0, pg_sys::MAT_SRF_USE_EXPECTED_DESC);
            let info = (*self.0).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            let descriptor = (*info).setDesc;
            let metadata = pg_sys::TupleDescGetAttInMetadata(descriptor);
            for row in rows {
                let mut values: Vec<_> = row
                    .iter()
                    .map(|value| match value {
                        Some(text) => nodes::palloc_bytes(&encoding::utf8_to_server(text)),
                        None => std::ptr::null_mut(),
                    })
                    .collect();
                let columns = usize::try_from((*descriptor).natts).unwrap_or(0);
                values.resize(columns, std::ptr::null_mut());
                let tuple = pg_sys::BuildTupleFromCStrings(metadata, values.as_mut_ptr());
                pg_sys::tuplestore_puttuple((*info).setResult, tuple);
                pg_sys::heap_freetuple(tuple);
            }
        }
        pg_sys::Datum::null()
    }
}

fn bigint_of(datum: pg_sys::Datum) -> i64 {
    (datum.value() as u64).cast_signed()
}

/// # Safety
/// A text Datum.
unsafe fn text_of(datum: pg_sys::Datum) -> String {
    // SAFETY: by contract.
    unsafe { encoding::server_to_utf8(pg_sys::text_to_cstring(datum.cast_mut_ptr())) }
}

/// # Safety
/// `array` is an array of a type with this length that is passed so.
unsafe fn elements(
    array: pg_sys::Datum,
    element: pg_sys::Oid,
    length: i32,
    by_value: bool,
) -> Vec<pg_sys::Datum> {
    let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
    // SAFETY: by contract; text is aligned as int, int8 as double.
    unsafe {
        pg_sys::deconstruct_array(
            pg_sys::pg_detoast_datum(array.cast_mut_ptr()).cast(),
            element,
            length,
            by_value,
            if by_value { b'd' } else { b'i' }.cast_signed(),
            &raw mut values,
            &raw mut nulls,
            &raw mut count,
        );
        let count = usize::try_from(count).unwrap_or(0);
        (0..count).filter(|at| !*nulls.add(*at)).map(|at| *values.add(at)).collect()
    }
}
