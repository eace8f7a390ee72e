//! Running a plan inside of another one's execution.

use pgrx::pg_sys;

use super::{memory, nodes};

/// Runs a SELECT's plan to its end, or until `row` returns false. `row` gets every row's values and
/// NULL flags, which are gone when it returns.
///
/// The plan sees what the query around it sees: its snapshot, parameters and transition tables. It
/// runs with the rights of the current role (and those that its range table names): the executor
/// checks them as it starts. Its memory is freed at the end. An error, also one that `row` raises,
/// is PostgreSQL's, and goes on as one; the plan is then left to the cleanup of the transaction,
/// as any plan is.
///
/// # Safety
/// `plan` is a complete plan of a SELECT that is not changed meanwhile, `outer` the live state of the
/// query that is being executed. `row` calls nothing that ends the transaction.
pub unsafe fn run(
    plan: *mut pg_sys::PlannedStmt,
    outer: *mut pg_sys::EState,
    mut row: impl FnMut(&[pg_sys::Datum], &[bool]) -> bool,
) {
    // SAFETY: by contract. The receiver outlives the execution, or is not called any more after an
    // error; so does the callback that it points at.
    unsafe {
        lock_relations(plan);
        memory::in_context((*outer).es_query_cxt, || {
            let mut receiver = receiver(&mut row);
            let query = pg_sys::CreateQueryDesc(
                plan,
                (*outer).es_sourceText,
                (*outer).es_snapshot,
                (*outer).es_crosscheck_snapshot,
                (&raw mut receiver).cast(),
                (*outer).es_param_list_info,
                (*outer).es_queryEnv,
                0,
            );
            // The executor wants the query's snapshot to be the active one, whoever calls.
            pg_sys::PushActiveSnapshot((*outer).es_snapshot);
            pg_sys::ExecutorStart(query, 0);
            run_to_end(query);
            pg_sys::ExecutorFinish(query);
            pg_sys::ExecutorEnd(query);
            pg_sys::FreeQueryDesc(query);
            pg_sys::PopActiveSnapshot();
        });
    }
}

/// # Safety
/// `query` has been started.
unsafe fn run_to_end(query: *mut pg_sys::QueryDesc) {
    let forward = pg_sys::ScanDirection::ForwardScanDirection;
    // SAFETY: by contract; 0 is no limit.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::ExecutorRun(query, forward, 0, true);
        #[cfg(feature = "pg18")]
        pg_sys::ExecutorRun(query, forward, 0);
    }
}

/// The executor expects the relations of its plan to be locked. Those of a plan within a plan are
/// not seen by who locks the outer one's, if that comes from a cache.
///
/// # Safety
/// As [`run`].
unsafe fn lock_relations(plan: *mut pg_sys::PlannedStmt) {
    // SAFETY: by contract.
    unsafe {
        for entry in nodes::items::<pg_sys::RangeTblEntry>((*plan).rtable) {
            // Views, which became sub-queries, included: as AcquireExecutorLocks of PostgreSQL's
            // plancache.c does it.
            let relation = match (*entry).rtekind {
                pg_sys::RTEKind::RTE_RELATION => true,
                pg_sys::RTEKind::RTE_SUBQUERY => (*entry).relid != pg_sys::InvalidOid,
                _ => false,
            };
            if relation {
                pg_sys::LockRelationOid((*entry).relid, (*entry).rellockmode);
            }
        }
    }
}

/// PostgreSQL's receiver with our callback behind it.
#[repr(C)]
struct Receiver<F> {
    public: pg_sys::DestReceiver,
    row: *mut F,
}

fn receiver<F: FnMut(&[pg_sys::Datum], &[bool]) -> bool>(row: &mut F) -> Receiver<F> {
    Receiver {
        public: pg_sys::DestReceiver {
            receiveSlot: Some(receive_slot::<F>),
            rStartup: Some(startup),
            rShutdown: Some(end),
            rDestroy: Some(end),
            mydest: pg_sys::CommandDest::DestNone,
        },
        row,
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn receive_slot<F: FnMut(&[pg_sys::Datum], &[bool]) -> bool>(
    slot: *mut pg_sys::TupleTableSlot,
    this: *mut pg_sys::DestReceiver,
) -> bool {
    // SAFETY: the executor's live slot, which after slot_getallattrs holds as many values as its
    // descriptor has attributes; `this` is the receiver that `run` has made, with its callback.
    unsafe {
        pg_sys::slot_getallattrs(slot);
        let count = usize::try_from((*(*slot).tts_tupleDescriptor).natts).unwrap_or(0);
        let (values, nulls) = if count == 0 {
            (&[][..], &[][..])
        } else {
            (
                std::slice::from_raw_parts((*slot).tts_values, count),
                std::slice::from_raw_parts((*slot).tts_isnull, count),
            )
        };
        (*(*this.cast::<Receiver<F>>()).row)(values, nulls)
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn startup(
    _this: *mut pg_sys::DestReceiver,
    _operation: i32,
    _descriptor: pg_sys::TupleDesc,
) {
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn end(_this: *mut pg_sys::DestReceiver) {}
