//! `duckdb.query_rows` and `duckdb.query_by_name` as an ordinary set-returning function, for ROWS FROM, WITH ORDINALITY, the
//! select list, and texts that are only known at run time. It fills a tuplestore.

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::batch::Batch;
use super::plan::{ScanPlan, Source};
use crate::error::{Error, Result, report};
use crate::pg::{acl, encoding, nodes};
use crate::session::{self, access};
use crate::types::parameter;

/// `duckdb.query_rows(sql text [, VARIADIC "any"]) RETURNS SETOF record`. The columns are those of
/// the caller's column definition list, which DuckDB's must match in order and type.
///
/// NULL text returns no rows. Errors: 42501, 42804 for other columns than defined, 0A000 where no
/// set is accepted, and DuckDB's.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn duckdb_query_rows(
    fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    // SAFETY: PostgreSQL's own call information.
    unsafe { report(query_rows(fcinfo)) };
    pg_sys::Datum::null()
}

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_duckdb_query_rows() -> *const pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// Support function of `duckdb.query_rows`. It has no advice: being called is its purpose, which
/// loads the library, and with it the planner hook, while a statement is being planned.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn duckdb_query_rows_support(
    _fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    pg_sys::Datum::null()
}

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_duckdb_query_rows_support() -> *const pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// # Safety
/// `fcinfo` is a live call of `duckdb.query_rows`.
unsafe fn query_rows(fcinfo: pg_sys::FunctionCallInfo) -> Result<()> {
    // SAFETY: by contract.
    unsafe {
        let info = (*fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
        if info.is_null()
            || !nodes::is_a(info.cast(), pg_sys::NodeTag::T_ReturnSetInfo)
            || (*info).expectedDesc.is_null()
        {
            return Err(Error::not_supported("duckdb.query_rows needs a column definition list")
                .hint(
                    "Write it in a FROM clause: duckdb.query_rows(…) AS alias(column type, …).",
                ));
        }
        pg_sys::InitMaterializedSRF(fcinfo, pg_sys::MAT_SRF_USE_EXPECTED_DESC);
        let Some((sql, values)) = parameter::of_call(fcinfo)? else { return Ok(()) };
        let descriptor = (*info).setDesc;
        let by_name = access::objects()?.query_by_name.contains(&(*(*fcinfo).flinfo).fn_oid);
        let plan = plan_of(sql, descriptor, by_name);
        let entry = access::entry_of_role()?;
        let running = session::start_scan(session::Request {
            original: plan.sql.clone(),
            sql: plan.final_sql(None),
            expected_columns: plan.expected_columns(),
            arguments: values.len(),
            values,
            role: acl::current_role(),
            entry,
        })?;
        let columns = running.columns()?;
        let context = pg_sys::CurrentMemoryContext;
        let mut batch = Batch::new(&plan, &columns, descriptor, context)?;
        let slot = pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsVirtual);
        while let Some(chunk) = running.next_chunk()? {
            batch.load(&chunk)?;
            while batch.next_row(slot) {
                pg_sys::tuplestore_puttupleslot((*info).setResult, slot);
            }
        }
        pg_sys::ExecClearTuple(slot);
    }
    Ok(())
}

/// All columns of the definition list.
///
/// # Safety
/// `descriptor` is live.
unsafe fn plan_of(sql: String, descriptor: pg_sys::TupleDesc, by_name: bool) -> ScanPlan {
    // SAFETY: by contract.
    let names: Vec<String> = unsafe {
        (0..usize::try_from((*descriptor).natts).unwrap_or(0))
            .map(|index| {
                let attribute = crate::pg::slot::attribute(descriptor, index);
                encoding::server_to_utf8((*attribute).attname.data.as_ptr())
            })
            .collect()
    };
    ScanPlan {
        source: Source::Call { by_name },
        sql,
        fetch: (0..names.len()).collect(),
        names,
        ..ScanPlan::default()
    }
}
