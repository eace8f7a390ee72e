//! The progress of running DuckDB queries, in shared memory: one slot for each backend. There is
//! none unless the library is in shared_preload_libraries.

use std::ffi::CStr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use pgrx::pg_sys;

const NAME: &CStr = c"pg_pond progress";

/// One backend's slot. Readers may see the fields of two queries of one backend mixed; each field
/// is whole.
#[repr(C)]
struct Slot {
    /// 0 when nothing runs.
    pid: AtomicI32,
    role: AtomicU32,
    /// The bits of an f64; NaN while DuckDB cannot tell.
    percentage: AtomicU64,
}

static SLOTS: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());

static mut PREV_SHMEM_STARTUP: pg_sys::shmem_startup_hook_type = None;
static mut PREV_SHMEM_REQUEST: pg_sys::shmem_request_hook_type = None;

/// A running query as another session sees it.
pub struct Running {
    pub pid: i32,
    pub role: pg_sys::Oid,
    pub percentage: Option<f64>,
}

/// # Safety
/// Called once, from `_PG_init`.
pub unsafe fn init() {
    // SAFETY: by contract. Later than the postmaster's start there is no shared memory to be had.
    unsafe {
        if !pg_sys::process_shared_preload_libraries_in_progress {
            return;
        }
        PREV_SHMEM_REQUEST = pg_sys::shmem_request_hook;
        pg_sys::shmem_request_hook = Some(request);
        PREV_SHMEM_STARTUP = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(startup);
    }
}

fn slot_count() -> usize {
    // SAFETY: known before shared memory is made. Auxiliary processes run no queries.
    usize::try_from(unsafe { pg_sys::MaxBackends }).unwrap_or(0)
}

fn bytes() -> usize {
    slot_count() * size_of::<Slot>()
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn request() {
    // SAFETY: the previous hook, then our own request.
    unsafe {
        if let Some(prev) = PREV_SHMEM_REQUEST {
            pg_sys::ffi::pg_guard_ffi_boundary(|| prev());
        }
        pg_sys::RequestAddinShmemSpace(bytes());
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn startup() {
    // SAFETY: the previous hook, then the area that was requested; zeroed memory is "nothing runs".
    unsafe {
        if let Some(prev) = PREV_SHMEM_STARTUP {
            pg_sys::ffi::pg_guard_ffi_boundary(|| prev());
        }
        let mut found = false;
        let slots = pg_sys::ShmemInitStruct(NAME.as_ptr(), bytes(), &raw mut found).cast::<Slot>();
        if !found {
            std::ptr::write_bytes(slots, 0, slot_count());
        }
        SLOTS.store(slots, Ordering::Release);
    }
}

fn slots() -> Option<&'static [Slot]> {
    let slots = SLOTS.load(Ordering::Acquire);
    // SAFETY: shared memory of this size that lives as long as the process.
    (!slots.is_null()).then(|| unsafe { std::slice::from_raw_parts(slots, slot_count()) })
}

fn own_slot() -> Option<&'static Slot> {
    // SAFETY: a backend's number is set before it runs queries.
    unsafe {
        #[cfg(any(feature = "pg17", feature = "pg18"))]
        let number = usize::try_from(pg_sys::MyProcNumber).ok()?;
        #[cfg(not(any(feature = "pg17", feature = "pg18")))]
        let number = usize::try_from(pg_sys::MyBackendId - 1).ok()?;
        slots()?.get(number)
    }
}

/// Whether anybody could see a progress.
#[must_use]
pub fn is_available() -> bool {
    slots().is_some()
}

/// Says that this backend runs a query in DuckDB, and how far it is.
pub fn report(percentage: impl FnOnce() -> Option<f64>) {
    let Some(slot) = own_slot() else { return };
    let percentage = percentage();
    slot.percentage.store(percentage.unwrap_or(f64::NAN).to_bits(), Ordering::Relaxed);
    // SAFETY: globals of the main thread.
    unsafe {
        slot.role.store(pg_sys::GetUserId().to_u32(), Ordering::Relaxed);
        slot.pid.store(pg_sys::MyProcPid, Ordering::Release);
    }
}

/// Says that this backend runs nothing in DuckDB any more.
pub fn clear() {
    if let Some(slot) = own_slot() {
        slot.pid.store(0, Ordering::Release);
    }
}

/// The queries that run now; `None` without shared memory.
#[must_use]
pub fn running() -> Option<Vec<Running>> {
    let running = slots()?
        .iter()
        .filter_map(|slot| {
            let pid = slot.pid.load(Ordering::Acquire);
            let percentage = f64::from_bits(slot.percentage.load(Ordering::Relaxed));
            (pid != 0).then(|| Running {
                pid,
                role: pg_sys::Oid::from(slot.role.load(Ordering::Relaxed)),
                percentage: (!percentage.is_nan()).then_some(percentage),
            })
        })
        .collect();
    Some(running)
}
