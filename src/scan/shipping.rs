//! What PostgreSQL reads for a scan and hands to DuckDB before DuckDB is asked.

use duck::RowChunk;
use pgrx::pg_sys;

use super::plan::Shipped as Table;
use crate::error::Result;
use crate::pg::nested::{Nested, Receive};
use crate::pg::nodes;
use crate::session::shipping::{Shipment, Shipped};
use crate::types::row_writer::{RowWriter, SourceColumn};

/// The plans of the relations that a scan ships.
pub struct Shipping {
    sources: Vec<Source>,
    /// The places of the sources in the order in which they are read.
    order: Vec<usize>,
    /// How many of them have been read, or are being read.
    position: usize,
    shipment: Option<Shipment>,
    running: Option<Box<Sink>>,
    /// The rows of those that were read before the shipment began.
    kept: Vec<(usize, Vec<RowChunk>)>,
    /// How many rows have been read.
    pub rows: u64,
}

struct Source {
    plan: *mut pg_sys::PlannedStmt,
    table: Table,
    /// What may read a lake itself needs the connection that the rows are sent by.
    comes_first: bool,
    /// Started when the scan began, or when first needed; it runs as often as the scan.
    started: Option<Nested>,
}

/// What is to be done next.
pub enum Step {
    /// This runs, outside of Rust's frames.
    Run(*mut pg_sys::QueryDesc),
    Done(Shipped),
}

impl Shipping {
    /// The plans of `tables` behind the scan's own data, started already if there are `flags` of the
    /// executor for that.
    ///
    /// # Safety
    /// A live scan that is being begun.
    pub unsafe fn begin(
        scan: *mut pg_sys::CustomScan,
        tables: &[Table],
        outer: *mut pg_sys::EState,
        flags: Option<i32>,
    ) -> Self {
        // SAFETY: by contract; the plans live as long as the scan's plan.
        unsafe {
            let plans = nodes::items::<pg_sys::PlannedStmt>((*scan).custom_private).skip(2);
            let sources: Vec<_> = plans
                .zip(tables)
                .map(|(plan, table)| Source {
                    plan,
                    table: table.clone(),
                    comes_first: runs_functions(plan) || super::exec::has_scan((*plan).planTree),
                    started: flags.map(|flags| Nested::start(plan, outer, flags)),
                })
                .collect();
            let (first, later): (Vec<_>, Vec<_>) =
                (0..sources.len()).partition(|at| sources[*at].comes_first);
            let order = [first, later].concat();
            let (shipment, running, kept) = (None, None, vec![]);
            Self { sources, order, position: 0, shipment, running, kept, rows: 0 }
        }
    }

    /// Takes the rows of the plan that has run, and finds what is next. `open` connects to DuckDB.
    ///
    /// # Errors
    /// As [`Shipment`]'s; what a value cannot be handed over for.
    ///
    /// # Safety
    /// `outer` is live; what was to run has run.
    pub unsafe fn step(
        &mut self,
        outer: *mut pg_sys::EState,
        open: impl Fn() -> Result<Shipment>,
    ) -> Result<Step> {
        // SAFETY: by contract.
        unsafe {
            if let Some(sink) = self.running.take() {
                if let Some(nested) = &mut self.sources[sink.at].started {
                    nested.has_run();
                }
                self.take(*sink)?;
            }
            let next = self.order.get(self.position).copied();
            if next.is_none_or(|next| !self.sources[next].comes_first) && self.shipment.is_none() {
                let mut shipment = open()?;
                for (at, chunks) in self.kept.drain(..) {
                    let writer = row_writer(&self.sources[at].table)?;
                    shipment.table(at, writer.logical_types())?;
                    chunks.into_iter().try_for_each(|chunk| shipment.append(chunk))?;
                }
                self.shipment = Some(shipment);
            }
            let Some(at) = next else {
                self.position = 0;
                let Some(shipment) = self.shipment.take() else { unreachable!("it is open") };
                return Ok(Step::Done(shipment.finish()?));
            };
            self.position += 1;
            let source = &mut self.sources[at];
            let writer = row_writer(&source.table)?;
            if let Some(shipment) = &mut self.shipment {
                shipment.table(at, writer.logical_types())?;
            }
            let shipment = self.shipment.take();
            let start = || Nested::start(source.plan, outer, 0);
            let nested = source.started.get_or_insert_with(start);
            let sink = Sink { at, writer, rows: 0, shipment, kept: vec![], error: None };
            let sink = self.running.insert(Box::new(sink));
            Ok(Step::Run(nested.prepare(&raw mut **sink)))
        }
    }

    fn take(&mut self, mut sink: Sink) -> Result<()> {
        if let Some(error) = sink.error {
            return Err(error);
        }
        if let Some(chunk) = sink.writer.take_rest()? {
            sink.send(chunk)?;
        }
        self.rows += sink.rows;
        match sink.shipment {
            Some(shipment) => self.shipment = Some(shipment),
            None => self.kept.push((sink.at, sink.kept)),
        }
        Ok(())
    }

    /// Forgets what has been read.
    pub fn reset(&mut self) {
        self.position = 0;
        self.shipment = None;
        self.kept.clear();
    }

    /// # Safety
    /// The query is being ended in good order.
    pub unsafe fn end(&mut self) {
        for source in &mut self.sources {
            if let Some(nested) = source.started.take() {
                // SAFETY: by contract.
                unsafe { nested.end() };
            }
        }
    }
}

/// Makes chunks of a plan's rows.
struct Sink {
    /// The source's place.
    at: usize,
    writer: RowWriter,
    rows: u64,
    /// Where they go; without it they are kept.
    shipment: Option<Shipment>,
    kept: Vec<RowChunk>,
    error: Option<crate::error::Error>,
}

impl Sink {
    fn send(&mut self, chunk: RowChunk) -> Result<()> {
        match &mut self.shipment {
            Some(shipment) => shipment.append(chunk),
            None => {
                self.kept.push(chunk);
                Ok(())
            }
        }
    }

    fn take(&mut self, values: &[pg_sys::Datum], nulls: &[bool]) -> Result<()> {
        self.rows += 1;
        // SAFETY: the values are of the plan's columns.
        unsafe { self.writer.append(values, nulls)? };
        match self.writer.take_chunk()? {
            Some(chunk) => self.send(chunk),
            None => Ok(()),
        }
    }
}

impl Receive for Sink {
    fn row(&mut self, values: &[pg_sys::Datum], nulls: &[bool]) -> bool {
        self.error = self.take(values, nulls).err();
        self.error.is_none()
    }
}

/// What writes the rows of a shipped relation.
///
/// # Errors
/// 0A000 for a column whose values cannot be handed to DuckDB.
pub fn row_writer(table: &Table) -> Result<RowWriter> {
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|(name, oid, typmod)| SourceColumn {
            name,
            oid: pg_sys::Oid::from(*oid),
            typmod: *typmod,
        })
        .collect();
    RowWriter::new(&columns)
}

/// Whether a plan runs functions that are not PostgreSQL's own: on these a plan depends.
///
/// # Safety
/// A live plan.
unsafe fn runs_functions(plan: *mut pg_sys::PlannedStmt) -> bool {
    // SAFETY: by contract.
    unsafe { !(*plan).invalItems.is_null() }
}
