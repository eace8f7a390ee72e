//! Running a plan inside of another one's execution.

use pgrx::pg_sys;

use super::{memory, nodes};

/// Takes the rows of a nested plan.
pub trait Receive {
    /// Takes a row's values and NULL flags, which are gone when it returns; returns whether more are
    /// wanted. An error of PostgreSQL's goes on as one. It calls nothing that ends the transaction.
    fn row(&mut self, values: &[pg_sys::Datum], nulls: &[bool]) -> bool;
}

/// A SELECT's plan that has been started: its relations are locked and open, the rights to them are
/// checked (those of the current role, and of the roles that its range table names).
///
/// The plan sees what the query around it sees: its snapshot, parameters and transition tables. What
/// is not ended goes with the query around it, or with the transaction.
#[derive(Debug)]
pub struct Nested {
    query: *mut pg_sys::QueryDesc,
    receiver: *mut Receiver,
    flags: i32,
    has_run: bool,
}

impl Nested {
    /// Starts the plan, with the executor's flags of the query around it.
    ///
    /// # Safety
    /// `plan` is a complete plan of a SELECT that is not changed meanwhile, `outer` the live state of
    /// the query that is being executed.
    pub unsafe fn start(
        plan: *mut pg_sys::PlannedStmt,
        outer: *mut pg_sys::EState,
        flags: i32,
    ) -> Self {
        // SAFETY: by contract; what is made lives in the outer query's context.
        unsafe {
            lock_relations(plan);
            memory::in_context((*outer).es_query_cxt, || {
                let receiver = pg_sys::palloc0(size_of::<Receiver>()).cast::<Receiver>();
                receiver.write(Receiver {
                    public: pg_sys::DestReceiver {
                        receiveSlot: Some(receive_slot),
                        rStartup: Some(startup),
                        rShutdown: Some(end),
                        rDestroy: Some(end),
                        mydest: pg_sys::CommandDest::DestNone,
                    },
                    to: None,
                });
                let query = pg_sys::CreateQueryDesc(
                    plan,
                    (*outer).es_sourceText,
                    (*outer).es_snapshot,
                    (*outer).es_crosscheck_snapshot,
                    receiver.cast(),
                    (*outer).es_param_list_info,
                    (*outer).es_queryEnv,
                    0,
                );
                // The executor wants the query's snapshot to be the active one, whoever calls.
                pg_sys::PushActiveSnapshot((*outer).es_snapshot);
                pg_sys::ExecutorStart(query, flags);
                pg_sys::PopActiveSnapshot();
                Self { query, receiver, flags, has_run: false }
            })
        }
    }

    /// Makes ready for [`hook::run_to_end`](super::hook::run_to_end), and for [`Self::has_run`] behind
    /// it: the rows go to `to`.
    ///
    /// # Safety
    /// The outer query is live; `to` lives until the plan has run.
    #[must_use]
    pub unsafe fn prepare(&mut self, to: *mut dyn Receive) -> *mut pg_sys::QueryDesc {
        // SAFETY: by contract.
        unsafe {
            (*self.receiver).to = Some(to);
            pg_sys::PushActiveSnapshot((*self.query).snapshot);
            if std::mem::replace(&mut self.has_run, true) {
                pg_sys::ExecutorRewind(self.query);
            }
        }
        self.query
    }

    /// # Safety
    /// The plan has run since [`Self::prepare`].
    pub unsafe fn has_run(&mut self) {
        // SAFETY: by contract.
        unsafe {
            (*self.receiver).to = None;
            pg_sys::PopActiveSnapshot();
        }
    }

    /// Ends a plan that does not run at the moment.
    ///
    /// # Safety
    /// The outer query is live.
    pub unsafe fn end(self) {
        let explains = self.flags.cast_unsigned() & pg_sys::EXEC_FLAG_EXPLAIN_ONLY != 0;
        // SAFETY: by contract; ended once.
        unsafe {
            if !explains {
                pg_sys::ExecutorFinish(self.query);
            }
            pg_sys::ExecutorEnd(self.query);
            pg_sys::FreeQueryDesc(self.query);
            pg_sys::pfree(self.receiver.cast());
        }
    }
}

/// The executor expects the relations of its plan to be locked. Those of a plan within a plan are
/// not seen by who locks the outer one's, if that comes from a cache.
///
/// # Safety
/// As [`Nested::start`].
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

/// PostgreSQL's receiver with ours behind it.
#[repr(C)]
struct Receiver {
    public: pg_sys::DestReceiver,
    to: Option<*mut dyn Receive>,
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn receive_slot(
    slot: *mut pg_sys::TupleTableSlot,
    this: *mut pg_sys::DestReceiver,
) -> bool {
    // SAFETY: the executor's live slot, which after slot_getallattrs holds as many values as its
    // descriptor has attributes; `this` is the receiver that `start` has made.
    unsafe {
        let Some(to) = (*this.cast::<Receiver>()).to else { return false };
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
        (*to).row(values, nulls)
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
