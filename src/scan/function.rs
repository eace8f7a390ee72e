//! `duckdb.query_rows` and `duckdb.query_by_name` as an ordinary set-returning function, for ROWS FROM, WITH ORDINALITY, the
//! select list, and texts that are only known at run time. It fills a tuplestore.

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::batch::Batch;
use super::exec;
use super::plan::{ScanPlan, Source};
use crate::error::{Error, Result, report};
use crate::lake::travel::Travel;
use crate::pg::{acl, encoding, nodes};
use crate::session::{self, Entry, access};
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

/// `duckdb.query_at(foreign_table regclass, version bigint, "timestamp" timestamptz)` and
/// `duckdb.query_changes(foreign_table regclass, from_version bigint, to_version bigint)`, both
/// RETURNS SETOF record: the columns of the definition list by their names. NULL for the table or a
/// version of changes returns no rows.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn duckdb_query_past(
    fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    // SAFETY: PostgreSQL's own call information.
    unsafe { report(query_past(fcinfo)) };
    pg_sys::Datum::null()
}

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_duckdb_query_past() -> *const pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// # Safety
/// `fcinfo` is a live call of `duckdb.query_at` or `duckdb.query_changes`.
unsafe fn query_past(fcinfo: pg_sys::FunctionCallInfo) -> Result<()> {
    // SAFETY: by contract.
    unsafe {
        let info = begin_rows(fcinfo)?;
        let has_changes = (*(*fcinfo).flinfo).fn_oid == access::objects()?.query_changes;
        let value = |index: usize| {
            let argument = (*fcinfo).args.as_slice(3)[index];
            (!argument.isnull).then_some(argument.value)
        };
        let Some(relation) = value(0) else { return Ok(()) };
        let travel = Travel::of_arguments(has_changes, relation, value(1), value(2));
        if travel.is_none() && !has_changes {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "duckdb.query_at takes either a version or a timestamp",
            ));
        }
        let Some(travel) = travel else { return Ok(()) };
        let mut plan = plan_of(String::new(), (*info).setDesc, true);
        plan.travel = Some(travel);
        let Some(entry) = exec::travel_entry(&mut plan)? else { return Ok(()) };
        collect(fcinfo, &plan, vec![], entry)
    }
}

/// Makes the call ready to return rows.
///
/// # Errors
/// 0A000 without a column definition list.
///
/// # Safety
/// `fcinfo` is a live call.
unsafe fn begin_rows(fcinfo: pg_sys::FunctionCallInfo) -> Result<*mut pg_sys::ReturnSetInfo> {
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
        Ok(info)
    }
}

/// # Safety
/// `fcinfo` is a live call of `duckdb.query_rows`.
unsafe fn query_rows(fcinfo: pg_sys::FunctionCallInfo) -> Result<()> {
    // SAFETY: by contract.
    unsafe {
        let info = begin_rows(fcinfo)?;
        let Some((sql, values)) = parameter::of_call(fcinfo)? else { return Ok(()) };
        let descriptor = (*info).setDesc;
        let by_name = access::objects()?.query_by_name.contains(&(*(*fcinfo).flinfo).fn_oid);
        let plan = plan_of(sql, descriptor, by_name);
        let entry = access::entry_of_role()?;
        collect(fcinfo, &plan, values, entry)
    }
}

/// Runs the plan and returns its rows.
///
/// # Safety
/// `fcinfo` is a live call that takes rows, which has begun to return them.
unsafe fn collect(
    fcinfo: pg_sys::FunctionCallInfo,
    plan: &ScanPlan,
    values: Vec<duck::Value>,
    entry: Entry,
) -> Result<()> {
    // SAFETY: by contract.
    unsafe {
        let info = (*fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
        let descriptor = (*info).setDesc;
        let running = session::start_scan(session::Request {
            original: plan.sql.clone(),
            sql: plan.final_sql(None),
            expected_columns: plan.expected_columns(),
            arguments: values.len(),
            values,
            role: acl::current_role(),
            around: None,
            entry,
        })?;
        let columns = running.columns()?;
        let context = pg_sys::CurrentMemoryContext;
        let mut batch = Batch::new(plan, &columns, descriptor, context)?;
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
