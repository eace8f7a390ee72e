//! Static tables of callbacks.

/// A table of callbacks that PostgreSQL only reads. Its pointers are to static names and functions.
#[repr(transparent)]
pub struct Methods<T>(pub T);

// SAFETY: never written, and used by the backend's main thread only.
unsafe impl<T> Sync for Methods<T> {}

impl<T> Methods<T> {
    #[must_use]
    pub const fn as_ptr(&'static self) -> *const T {
        &raw const self.0
    }
}
