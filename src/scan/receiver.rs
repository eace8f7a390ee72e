//! CREATE TABLE AS, SELECT INTO and REFRESH MATERIALIZED VIEW over a DuckDB scan, with rows inserted
//! in batches.
//!
//! PostgreSQL's own receivers for these statements insert row by row. When such a statement reads
//! one of our scans, its receiver is wrapped: rows are collected in slots and go to the table with
//! `table_multi_insert`, which fills whole pages at a time and writes one WAL record for each.

use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

use super::exec;
use crate::pg::{hook, memory};

/// # Safety
/// Called once, from `_PG_init`.
pub unsafe fn init() {
    // SAFETY: by contract.
    unsafe { hook::set_executor_run(Some(executor_run)) };
}

#[cfg(not(feature = "pg18"))]
unsafe extern "C-unwind" fn executor_run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
    execute_once: bool,
) {
    // SAFETY: the executor's live query.
    unsafe {
        wrap_receiver(query);
        hook::prev_executor_run(query, direction, count, execute_once);
    }
}

#[cfg(feature = "pg18")]
unsafe extern "C-unwind" fn executor_run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
) {
    // SAFETY: the executor's live query.
    unsafe {
        wrap_receiver(query);
        hook::prev_executor_run(query, direction, count);
    }
}

/// # Safety
/// `query` is live and has been started.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn wrap_receiver(query: *mut pg_sys::QueryDesc) {
    // SAFETY: by contract.
    unsafe {
        let dest = (*query).dest;
        let fills_table = !dest.is_null()
            && matches!(
                (*dest).mydest,
                pg_sys::CommandDest::DestIntoRel | pg_sys::CommandDest::DestTransientRel
            );
        if !fills_table || !reads_our_scan((*query).planstate) {
            return;
        }
        memory::in_context((*(*query).estate).es_query_cxt, || {
            let receiver = pg_sys::palloc0(size_of::<Receiver>()).cast::<Receiver>();
            (*receiver).public = pg_sys::DestReceiver {
                receiveSlot: Some(receive_slot),
                rStartup: Some(startup),
                rShutdown: Some(shutdown),
                rDestroy: Some(destroy),
                mydest: (*dest).mydest,
            };
            (*receiver).inner = dest;
            (*query).dest = receiver.cast();
        });
    }
}

/// Whether a plan reads one of our scans, at the top or below.
///
/// # Safety
/// `node` is NULL or a live plan state.
unsafe fn reads_our_scan(node: *mut pg_sys::PlanState) -> bool {
    #[pgrx::pg_guard]
    unsafe extern "C-unwind" fn walker(
        node: *mut pg_sys::PlanState,
        _context: *mut std::ffi::c_void,
    ) -> bool {
        // SAFETY: the walker gives live nodes.
        unsafe { reads_our_scan(node) }
    }
    // SAFETY: by contract.
    unsafe {
        !node.is_null()
            && (exec::is_our_scan(node)
                || pg_sys::planstate_tree_walker(node, Some(walker), std::ptr::null_mut()))
    }
}

/// The private receiver of CREATE TABLE AS (`DR_intorel` in commands/createas.c, the same in
/// versions 14 to 18).
#[repr(C)]
struct IntoReceiver {
    public: pg_sys::DestReceiver,
    into: *mut pg_sys::IntoClause,
    relation: pg_sys::Relation,
    address: pg_sys::ObjectAddress,
    command_id: pg_sys::CommandId,
    insert_options: i32,
    bulk_state: pg_sys::BulkInsertState,
}

/// The private receiver of REFRESH (`DR_transientrel` in commands/matview.c, the same in versions
/// 14 to 18).
#[repr(C)]
struct TransientReceiver {
    public: pg_sys::DestReceiver,
    table: pg_sys::Oid,
    relation: pg_sys::Relation,
    command_id: pg_sys::CommandId,
    insert_options: i32,
    bulk_state: pg_sys::BulkInsertState,
}

/// As many rows go into one insert as PostgreSQL's COPY takes (MAX_BUFFERED_TUPLES, and
/// MAX_BUFFERED_BYTES by the rows' size).
const MOST_ROWS: usize = 1000;
const MOST_BYTES: usize = 65535 * 4;

#[repr(C)]
struct Receiver {
    public: pg_sys::DestReceiver,
    inner: *mut pg_sys::DestReceiver,
    relation: pg_sys::Relation,
    command_id: pg_sys::CommandId,
    insert_options: i32,
    bulk_state: pg_sys::BulkInsertState,
    /// Slots that are made when first needed, of the table's own kind.
    slots: [*mut pg_sys::TupleTableSlot; MOST_ROWS],
    used: usize,
    bytes: usize,
    /// The memory of TOAST work for one insert.
    context: pg_sys::MemoryContext,
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn startup(
    this: *mut pg_sys::DestReceiver,
    operation: i32,
    descriptor: pg_sys::TupleDesc,
) {
    // SAFETY: `this` is a Receiver; the inner receiver makes or opens its table in rStartup and
    // says so in its private part, whose layout is the version's.
    unsafe {
        let receiver = this.cast::<Receiver>();
        let inner = (*receiver).inner;
        if let Some(start) = (*inner).rStartup {
            pg_guard_ffi_boundary(|| start(inner, operation, descriptor));
        }
        let (relation, command_id, insert_options, bulk_state) =
            if (*inner).mydest == pg_sys::CommandDest::DestIntoRel {
                let into = inner.cast::<IntoReceiver>();
                ((*into).relation, (*into).command_id, (*into).insert_options, (*into).bulk_state)
            } else {
                let transient = inner.cast::<TransientReceiver>();
                (
                    (*transient).relation,
                    (*transient).command_id,
                    (*transient).insert_options,
                    (*transient).bulk_state,
                )
            };
        (*receiver).relation = relation;
        (*receiver).command_id = command_id;
        (*receiver).insert_options = insert_options;
        (*receiver).bulk_state = bulk_state;
        (*receiver).context = pg_sys::AllocSetContextCreateInternal(
            pg_sys::CurrentMemoryContext,
            c"DuckDB multi-insert".as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        );
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn receive_slot(
    slot: *mut pg_sys::TupleTableSlot,
    this: *mut pg_sys::DestReceiver,
) -> bool {
    // SAFETY: as startup. WITH NO DATA never runs the executor, so there is a table.
    unsafe {
        let receiver = this.cast::<Receiver>();
        let index = (*receiver).used;
        let mut buffered = (*receiver).slots[index];
        if buffered.is_null() {
            buffered = pg_sys::table_slot_create((*receiver).relation, std::ptr::null_mut());
            (*receiver).slots[index] = buffered;
        }
        (*receiver).bytes += copy_slot(buffered, slot);
        (*receiver).used += 1;
        if (*receiver).used == MOST_ROWS || (*receiver).bytes >= MOST_BYTES {
            flush(receiver);
        }
        true
    }
}

/// ExecCopySlot, which is inline in C: the slot's own kind copies, so that the row is independent of
/// the source. Returns the row's size in bytes, as far as the table's kind of slot tells.
///
/// # Safety
/// Live slots of compatible descriptors.
unsafe fn copy_slot(to: *mut pg_sys::TupleTableSlot, from: *mut pg_sys::TupleTableSlot) -> usize {
    // SAFETY: by contract.
    unsafe {
        if let Some(copy) = (*(*to).tts_ops).copyslot {
            pg_guard_ffi_boundary(|| copy(to, from));
        }
        if std::ptr::eq((*to).tts_ops, &raw const pg_sys::TTSOpsBufferHeapTuple) {
            let tuple = (*to.cast::<pg_sys::HeapTupleTableSlot>()).tuple;
            if !tuple.is_null() {
                return (*tuple).t_len as usize;
            }
        }
        MOST_BYTES / MOST_ROWS
    }
}

/// # Safety
/// A receiver that has been started.
unsafe fn flush(receiver: *mut Receiver) {
    // SAFETY: by contract.
    unsafe {
        let used = (*receiver).used;
        if used == 0 {
            return;
        }
        let relation = (*receiver).relation;
        memory::in_context((*receiver).context, || {
            if let Some(insert) = (*(*relation).rd_tableam).multi_insert {
                let slots = (*receiver).slots.as_mut_ptr();
                let count = i32::try_from(used).unwrap_or(0);
                pg_guard_ffi_boundary(|| {
                    insert(
                        relation,
                        slots,
                        count,
                        (*receiver).command_id,
                        (*receiver).insert_options,
                        (*receiver).bulk_state,
                    );
                });
            }
        });
        pg_sys::MemoryContextReset((*receiver).context);
        for slot in (&(*receiver).slots)[..used].iter() {
            pg_sys::ExecClearTuple(*slot);
        }
        (*receiver).used = 0;
        (*receiver).bytes = 0;
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn shutdown(this: *mut pg_sys::DestReceiver) {
    // SAFETY: as startup; the table is still open until the inner receiver's rShutdown.
    unsafe {
        let receiver = this.cast::<Receiver>();
        flush(receiver);
        for slot in &mut (*receiver).slots {
            if !slot.is_null() {
                pg_sys::ExecDropSingleTupleTableSlot(*slot);
                *slot = std::ptr::null_mut();
            }
        }
        let inner = (*receiver).inner;
        if let Some(end) = (*inner).rShutdown {
            pg_guard_ffi_boundary(|| end(inner));
        }
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn destroy(this: *mut pg_sys::DestReceiver) {
    // SAFETY: as startup. The wrapper itself belongs to the query's memory.
    unsafe {
        let inner = (*this.cast::<Receiver>()).inner;
        if let Some(destroy) = (*inner).rDestroy {
            pg_guard_ffi_boundary(|| destroy(inner));
        }
    }
}
