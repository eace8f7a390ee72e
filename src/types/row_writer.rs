//! Rows of PostgreSQL as chunks for DuckDB.
//!
//! The map of types is that of [`super::parameter`], less the types some of whose values DuckDB's
//! type would not hold, or would hold as something else: arrays (which may have any dimensions and
//! lower bounds), composite types, bit strings (which may be empty), and numerics that are not
//! numeric(p,s) with at most 38 digits. What then is left to fail with single values is NaN in a
//! numeric, dates and times beyond DuckDB's range, and text of a SQL_ASCII database that is not
//! UTF-8.
//!
//! char(n) goes without the blanks at its end, as it compares. What depends on them (LIKE,
//! octet_length, the value itself as a result) is PostgreSQL's to finish: a cast to char(n) puts
//! them back. Values of enums, jsonb, network addresses and the like are texts, which are as equal as
//! the values in most of these types, but in another order, and jsonb's are not even that.

use std::ffi::CStr;
use std::sync::Arc;

use duck::{ColumnBuffer, LogicalType, RowChunk};
use encode::datetime;
use encode::numeric::{self, Decoded};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Datum, Oid};

use super::encoding::ServerEncoding;
use super::json_array::json_array;
use super::memory;
use super::parameter::Kind;
use super::parameter::read::{finite_interval, fixed, low, payload, timetz, without_blanks};
use crate::error::{Error, Result};

/// A column of the rows, as PostgreSQL has it.
#[derive(Clone, Copy, Debug)]
pub struct SourceColumn<'a> {
    /// For errors.
    pub name: &'a str,
    pub oid: Oid,
    pub typmod: i32,
}

/// The DuckDB type that values of a PostgreSQL type get.
///
/// # Errors
/// 0A000, naming the column and its type, when not all its values can be handed to DuckDB.
pub fn logical_type(column: SourceColumn<'_>) -> Result<LogicalType> {
    ColumnWriter::new(column).map(|writer| writer.logical_type)
}

/// Writes rows into chunks.
pub struct RowWriter {
    columns: Vec<ColumnWriter>,
    types: Arc<[LogicalType]>,
    /// Whether reading a row may allocate.
    allocates: bool,
    chunk: RowChunk,
}

impl RowWriter {
    /// # Errors
    /// As [`logical_type`].
    pub fn new(columns: &[SourceColumn<'_>]) -> Result<Self> {
        let columns: Vec<_> =
            columns.iter().map(|column| ColumnWriter::new(*column)).collect::<Result<_>>()?;
        Self::of_columns(columns)
    }

    fn of_columns(columns: Vec<ColumnWriter>) -> Result<Self> {
        // A table of DuckDB's has a column; without one of its own it gets one of NULLs.
        let types: Arc<[LogicalType]> = if columns.is_empty() {
            [LogicalType::Boolean].into()
        } else {
            columns.iter().map(|column| column.logical_type.clone()).collect()
        };
        let allocates = columns.iter().any(|column| column.form.allocates());
        let chunk = RowChunk::new(&types)?;
        Ok(Self { columns, types, allocates, chunk })
    }

    /// The types of the chunks' columns, of which there is at least one.
    #[must_use]
    pub fn logical_types(&self) -> &Arc<[LogicalType]> {
        &self.types
    }

    /// Writes one row. If the chunk is full then, [`RowWriter::take_chunk`] has to take it before the
    /// next row comes.
    ///
    /// # Errors
    /// 22003 for NaN and infinite numerics, 22008 for a date or time that DuckDB cannot hold, 22021
    /// for text that is not valid. The writer is of no use afterwards.
    ///
    /// # Safety
    /// `values` are of the columns' types, as many as there are columns, and so are `nulls`.
    pub unsafe fn append(&mut self, values: &[Datum], nulls: &[bool]) -> Result<()> {
        let allocates = self.allocates;
        // SAFETY: by contract.
        let mut append = || unsafe { self.append_here(values, nulls) };
        if allocates { memory::scratch(append) } else { append() }
    }

    /// As [`RowWriter::append`], leaving what it allocates in the current memory context.
    ///
    /// # Errors
    /// As [`RowWriter::append`].
    ///
    /// # Safety
    /// As [`RowWriter::append`].
    pub unsafe fn append_here(&mut self, values: &[Datum], nulls: &[bool]) -> Result<()> {
        // SAFETY: by contract.
        unsafe { self.write(values, nulls)? };
        self.chunk.end_row();
        Ok(())
    }

    /// # Safety
    /// As [`RowWriter::append`].
    unsafe fn write(&mut self, values: &[Datum], nulls: &[bool]) -> Result<()> {
        let buffers = self.chunk.columns_mut();
        if self.columns.is_empty() {
            buffers.iter_mut().for_each(ColumnBuffer::push_null);
        }
        let cells = values.iter().zip(nulls);
        for ((writer, buffer), (value, is_null)) in self.columns.iter().zip(buffers).zip(cells) {
            if *is_null {
                buffer.push_null();
            } else {
                // SAFETY: by contract a value of the column's type.
                unsafe { writer.write(*value, buffer)? };
            }
        }
        Ok(())
    }

    /// The chunk, if it is full; an empty one takes its place.
    ///
    /// # Errors
    /// None that the first chunk did not have.
    pub fn take_chunk(&mut self) -> Result<Option<RowChunk>> {
        if !self.chunk.is_full() {
            return Ok(None);
        }
        let empty = RowChunk::new(&self.types)?;
        Ok(Some(std::mem::replace(&mut self.chunk, empty)))
    }

    /// The rows of the chunk that is not full, if there are any; an empty one takes its place.
    ///
    /// # Errors
    /// None that the first chunk did not have.
    pub fn take_rest(&mut self) -> Result<Option<RowChunk>> {
        if self.chunk.is_empty() {
            return Ok(None);
        }
        let empty = RowChunk::new(&self.types)?;
        Ok(Some(std::mem::replace(&mut self.chunk, empty)))
    }

    /// The rows of the last chunk, if there are any.
    #[must_use]
    pub fn finish(self) -> Option<RowChunk> {
        Some(self.chunk).filter(|chunk| !chunk.is_empty())
    }
}

/// A column whose values are written to a lake's table: also of types that go as text and become
/// what they are in DuckDB.
pub struct LakeColumnWriter {
    writer: ColumnWriter,
    /// What DuckDB makes of the text; `{}` is the column.
    conversion: &'static str,
}

/// A JSON array of texts, which DuckDB casts to the type of the lake's column.
const LIST_OF_TEXTS: &str = "from_json({}, '[\"VARCHAR\"]')";

impl LakeColumnWriter {
    /// # Errors
    /// 0A000, naming the column and its type, when its values cannot be handed to DuckDB.
    pub fn new(name: &str, oid: Oid, typmod: i32) -> Result<Self> {
        let column = SourceColumn { name, oid, typmod };
        let kind = Kind::new("", oid, typmod).ok();
        let (form, conversion) = match &kind {
            Some(Kind::Numeric(None)) => (Form::Output(pg_sys::Oid::from(NUMERIC_OUT)), "{}"),
            // DuckDB writes the bytes of a BLOB in another way than PostgreSQL.
            Some(Kind::Array(element, _))
                if Form::of(element).is_some_and(|form| !matches!(form, Form::Bytea)) =>
            {
                (Form::JsonArray, LIST_OF_TEXTS)
            }
            _ => {
                let mut writer = ColumnWriter::new(column)?;
                if matches!(writer.form, Form::Interval) {
                    writer.form = Form::MillisecondInterval;
                }
                return Ok(Self { writer, conversion: "{}" });
            }
        };
        let writer = ColumnWriter {
            name: name.to_owned(),
            form,
            logical_type: LogicalType::Varchar,
            encoding: ServerEncoding::current(),
        };
        Ok(Self { writer, conversion })
    }

    /// A column of texts of our own.
    ///
    /// # Errors
    /// None.
    pub fn text(name: &str) -> Result<Self> {
        Self::new(name, pg_sys::TEXTOID, -1)
    }

    /// The expression that reads the column called `column`.
    #[must_use]
    pub fn read(&self, column: &str) -> String {
        self.conversion.replace("{}", column)
    }
}

/// `numeric_out` in pg_proc.dat.
const NUMERIC_OUT: u32 = 1702;

impl RowWriter {
    /// A writer for the columns of a lake's table.
    ///
    /// # Errors
    /// As [`RowWriter::new`].
    pub fn of(columns: Vec<LakeColumnWriter>) -> Result<Self> {
        Self::of_columns(columns.into_iter().map(|column| column.writer).collect())
    }
}

/// How a column's values are read and written.
#[derive(Clone, Copy)]
enum Form {
    Boolean,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric {
        width: u8,
        scale: u8,
    },
    Text,
    Bpchar,
    CString,
    Bytea,
    Uuid,
    Date,
    Time,
    TimeTz,
    Timestamp,
    Interval,
    /// By the type's output function.
    Output(Oid),
    /// An array as JSON, with all elements as texts.
    JsonArray,
    /// Parquet files hold no shorter times, and DuckDB drops them without a word.
    MillisecondInterval,
}

impl Form {
    fn of(kind: &Kind) -> Option<Self> {
        Some(match kind {
            Kind::Boolean => Self::Boolean,
            Kind::Int2 => Self::Int2,
            Kind::Int4 => Self::Int4,
            Kind::Int8 => Self::Int8,
            Kind::Oid => Self::Oid,
            Kind::Float4 => Self::Float4,
            Kind::Float8 => Self::Float8,
            Kind::Numeric(Some((width, scale))) => Self::Numeric { width: *width, scale: *scale },
            Kind::Text => Self::Text,
            Kind::Bpchar => Self::Bpchar,
            Kind::CString => Self::CString,
            Kind::Bytea => Self::Bytea,
            Kind::Uuid => Self::Uuid,
            Kind::Date => Self::Date,
            Kind::Time => Self::Time,
            Kind::TimeTz => Self::TimeTz,
            Kind::Timestamp | Kind::TimestampTz => Self::Timestamp,
            Kind::Interval => Self::Interval,
            Kind::Output(function) => Self::Output(*function),
            Kind::Json(inner) => return Self::of(inner),
            Kind::Numeric(None) | Kind::Bit | Kind::Array(..) | Kind::Composite(_) => return None,
        })
    }

    /// Whether a value may have to be fetched, unpacked, converted or printed.
    fn allocates(self) -> bool {
        matches!(
            self,
            Self::Numeric { .. }
                | Self::Text
                | Self::Bpchar
                | Self::CString
                | Self::Bytea
                | Self::Output(_)
                | Self::JsonArray
        )
    }
}

struct ColumnWriter {
    name: String,
    form: Form,
    logical_type: LogicalType,
    encoding: ServerEncoding,
}

impl ColumnWriter {
    fn new(column: SourceColumn<'_>) -> Result<Self> {
        let refused = || {
            let type_name = super::parameter::type_name(column.oid, column.typmod);
            Error::not_supported(format!(
                "column \"{}\" has the type {type_name}, which cannot be handed to DuckDB",
                column.name
            ))
        };
        let kind = Kind::new("", column.oid, column.typmod).map_err(|_| refused())?;
        let form = Form::of(&kind).ok_or_else(refused)?;
        Ok(Self {
            name: column.name.to_owned(),
            form,
            logical_type: kind.logical_type(),
            encoding: ServerEncoding::current(),
        })
    }

    /// What PostgreSQL allocates on the way is left in the current memory context.
    ///
    /// # Safety
    /// `datum` is a value of the column's type, not NULL.
    unsafe fn write(&self, datum: Datum, to: &mut ColumnBuffer) -> Result<()> {
        // SAFETY: by contract the value has the representation that is read.
        unsafe {
            match self.form {
                Form::Boolean => to.push_bool(low::<1>(datum) != [0]),
                Form::Int2 => to.push_i16(i16::from_ne_bytes(low(datum))),
                Form::Int4 => to.push_i32(i32::from_ne_bytes(low(datum))),
                Form::Int8 | Form::Time => to.push_i64(i64::from_ne_bytes(low(datum))),
                Form::Oid => to.push_i64(u32::from_ne_bytes(low(datum)).into()),
                Form::Float4 => to.push_f32(f32::from_ne_bytes(low(datum))),
                Form::Float8 => to.push_f64(f64::from_ne_bytes(low(datum))),
                Form::Numeric { width, scale } => {
                    to.push_decimal(self.decimal(payload(datum), width, scale)?)?;
                }
                Form::Text => self.text(payload(datum), to)?,
                Form::Bpchar => self.text(without_blanks(payload(datum)), to)?,
                Form::CString => self.text(CStr::from_ptr(datum.cast_mut_ptr()).to_bytes(), to)?,
                Form::Output(function) => {
                    let text = pg_sys::OidOutputFunctionCall(function, datum);
                    self.text(CStr::from_ptr(text).to_bytes(), to)?;
                }
                Form::JsonArray => to.push_str(&json_array(&self.name, datum)?),
                Form::Bytea => to.push_blob(payload(datum)),
                Form::Uuid => to.push_uuid(fixed(datum)),
                Form::Date => {
                    let days = datetime::date_to_duck(i32::from_ne_bytes(low(datum)));
                    to.push_i32(days.ok_or_else(|| self.overflow())?);
                }
                Form::TimeTz => {
                    let (micros, offset_seconds) = timetz(datum);
                    to.push_time_tz(micros, offset_seconds);
                }
                Form::Timestamp => {
                    let micros = datetime::timestamp_to_duck(i64::from_ne_bytes(low(datum)));
                    to.push_i64(micros.ok_or_else(|| self.overflow())?);
                }
                Form::MillisecondInterval => {
                    let (months, days, micros) =
                        finite_interval(&fixed(datum)).ok_or_else(|| self.overflow())?;
                    if months < 0 || days < 0 || micros < 0 {
                        return Err(Error::not_supported(format!(
                            "column \"{}\" gets a negative interval, which a lake's files cannot hold",
                            self.name
                        )));
                    }
                    if micros % 1000 != 0 {
                        return Err(Error::not_supported(format!(
                            "column \"{}\" gets an interval with microseconds, which a lake's files \
                             cannot hold",
                            self.name
                        )));
                    }
                    to.push_interval(months, days, micros);
                }
                Form::Interval => {
                    let (months, days, micros) =
                        finite_interval(&fixed(datum)).ok_or_else(|| self.overflow())?;
                    to.push_interval(months, days, micros);
                }
            }
        }
        Ok(())
    }

    fn text(&self, bytes: &[u8], to: &mut ColumnBuffer) -> Result<()> {
        // Text in UTF-8 is written from where it is.
        if self.encoding.takes_utf8() || bytes.is_ascii() {
            let text = std::str::from_utf8(bytes).map_err(|_| self.not_utf8())?;
            to.push_str(text);
        } else {
            to.push_str(&self.encoding.decode(bytes)?);
        }
        Ok(())
    }

    fn decimal(&self, payload: &[u8], width: u8, scale: u8) -> Result<i128> {
        let unscaled = match numeric::decode(payload) {
            Some(Decoded::Finite(parts)) => parts.unscaled(scale),
            _ => None,
        };
        unscaled.filter(|unscaled| numeric::fits_width(*unscaled, width)).ok_or_else(|| {
            self.elsewhere(Error::out_of_range(format!(
                "column \"{}\" holds a numeric that DuckDB's DECIMAL({width},{scale}) cannot hold",
                self.name
            )))
            .detail("DECIMAL has no NaN and no infinity.")
        })
    }

    #[cold]
    fn overflow(&self) -> Error {
        self.elsewhere(Error::new(
            PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
            format!("column \"{}\" holds a date or time out of DuckDB's range", self.name),
        ))
    }

    #[cold]
    fn not_utf8(&self) -> Error {
        self.elsewhere(Error::new(
            PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
            format!("column \"{}\" holds text that is not valid UTF-8", self.name),
        ))
    }

    fn elsewhere(&self, error: Error) -> Error {
        error.hint("Set duckdb.ship_rows to 0, and PostgreSQL joins its tables itself.")
    }
}
