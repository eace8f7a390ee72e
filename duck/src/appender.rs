//! Filling temporary tables of a connection with [`RowChunk`]s. For driver threads.
//!
//! Temporary tables belong to their connection: no other one sees them, and they go with it. They
//! count against the instance's memory limit and spill, once they are flushed.

use std::ffi::CString;
use std::marker::PhantomData;
use std::sync::Arc;

use libduckdb_sys as sys;

use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::logical_type::{LogicalType, RawLogicalType};
use crate::policy::SHIPPED_PREFIX;
use crate::quote;
use crate::row_chunk::{ColumnBuffer, RowChunk};
use crate::signals::BlockedSignals;

/// What an appender holds outside of DuckDB's memory limit before it is flushed (and never more than
/// 204,800 rows, which is DuckDB's own bound).
const FLUSH_BYTES: usize = 16 << 20;

/// A temporary table to be. Its columns are called c0, c1 and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TempTable {
    name: String,
    types: Arc<[LogicalType]>,
}

impl TempTable {
    /// Table `number` of its connection, with columns of these types.
    #[must_use]
    pub fn new(number: usize, types: Arc<[LogicalType]>) -> Self {
        Self { name: Self::name_of(number), types }
    }

    /// What table `number` is called, in lower case and without need of quotes. Nobody else can use
    /// such a name; see [`SHIPPED_PREFIX`].
    #[must_use]
    pub fn name_of(number: usize) -> String {
        format!("{SHIPPED_PREFIX}_{number}")
    }

    #[must_use]
    pub fn types(&self) -> &Arc<[LogicalType]> {
        &self.types
    }

    /// Creates the empty table, which makes the policy accept statements on this connection that
    /// read it.
    ///
    /// # Errors
    /// DuckDB's own, for a number that is taken, a table without columns, and types that it lacks.
    pub fn create(&self, connection: &Connection) -> Result<()> {
        let columns: Vec<_> =
            self.types.iter().enumerate().map(|(index, t)| format!("c{index} {t}")).collect();
        let name = quote::identifier(&self.name);
        connection.execute_batch(&format!("CREATE TEMP TABLE {name} ({})", columns.join(", ")))?;
        connection.note_shipped_table(&self.name);
        Ok(())
    }
}

/// Drops the tables that [`TempTable::create`] made on the connection. In a transaction that an error
/// has ended nothing can be dropped, and nothing runs any more either.
pub(crate) fn drop_shipped_tables(connection: &Connection) {
    for name in connection.take_shipped_tables() {
        let name = quote::identifier(&name);
        let _ = connection.execute_batch(&format!("DROP TABLE IF EXISTS temp.{name}"));
    }
}

/// A data chunk to be written into.
struct WritableChunk(sys::duckdb_data_chunk);

impl WritableChunk {
    fn new(types: &[LogicalType]) -> Result<Self> {
        let refused = || Error::new(ErrorKind::InvalidType, "DuckDB refuses the types of the rows");
        let types: Vec<_> =
            types.iter().map(LogicalType::to_raw).collect::<Option<_>>().ok_or_else(refused)?;
        let mut raw_types: Vec<_> = types.iter().map(RawLogicalType::as_ptr).collect();
        // SAFETY: as many live types as are counted; the chunk copies them.
        let raw = unsafe {
            sys::duckdb_create_data_chunk(raw_types.as_mut_ptr(), raw_types.len() as u64)
        };
        if raw.is_null() { Err(refused()) } else { Ok(Self(raw)) }
    }

    /// Makes the chunk hold `rows`, whose strings it points at.
    ///
    /// # Safety
    /// The chunk was made for the types of `rows`, and is not read after `rows` is gone.
    unsafe fn fill(&mut self, rows: &RowChunk) -> Result<()> {
        // SAFETY: a live chunk with as many columns as `rows`, by contract; a vector lives as long
        // as its chunk.
        unsafe {
            sys::duckdb_data_chunk_reset(self.0);
            for (index, column) in (0..).zip(rows.columns()) {
                fill_vector(sys::duckdb_data_chunk_get_vector(self.0, index), column)?;
            }
            sys::duckdb_data_chunk_set_size(self.0, rows.len() as u64);
        }
        Ok(())
    }
}

impl Drop for WritableChunk {
    fn drop(&mut self) {
        // SAFETY: owned, destroyed once.
        unsafe { sys::duckdb_destroy_data_chunk(&raw mut self.0) };
    }
}

/// # Safety
/// `vector` is a flat vector of the column's type, with room for its values, and is not read after
/// `column` is gone.
pub(crate) unsafe fn fill_vector(vector: sys::duckdb_vector, column: &ColumnBuffer) -> Result<()> {
    // SAFETY: the vector's data has room for Chunk::CAPACITY values of the type's form, which is
    // what `row_chunk::form` says, and a RowChunk has no more rows. Both are aligned for any type.
    // The mask, once it is there, has a bit for each of them, as the column's.
    unsafe {
        let data = sys::duckdb_vector_get_data(vector);
        match column.form().width() {
            Some(_) => {
                let bytes = column.data();
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), data.cast::<u8>(), bytes.len());
            }
            None => {
                let strings = data.cast::<sys::duckdb_string_t>();
                for (row, value) in column.values().enumerate() {
                    strings.add(row).write(borrowed_string(value)?);
                }
            }
        }
        if !column.validity().is_empty() {
            sys::duckdb_vector_ensure_validity_writable(vector);
            let mask = sys::duckdb_vector_get_validity(vector);
            let words = column.validity();
            std::ptr::copy_nonoverlapping(words.as_ptr(), mask, words.len());
        }
    }
    Ok(())
}

/// A string as vectors have it, that points at `bytes` unless they are few.
fn borrowed_string(bytes: &[u8]) -> Result<sys::duckdb_string_t> {
    const INLINE: usize = 12;
    let length = u32::try_from(bytes.len())
        .map_err(|_| Error::new(ErrorKind::OutOfRange, "a value is longer than DuckDB allows"))?;
    let mut string = sys::duckdb_string_t {
        value: sys::duckdb_string_t__bindgen_ty_1 {
            inlined: sys::duckdb_string_t__bindgen_ty_1__bindgen_ty_2 {
                length,
                inlined: [0; INLINE],
            },
        },
    };
    if bytes.len() <= INLINE {
        // SAFETY: the variant that was just written.
        let inlined = unsafe { &mut string.value.inlined.inlined };
        for (place, byte) in inlined.iter_mut().zip(bytes) {
            *place = byte.cast_signed();
        }
    } else {
        string.value.pointer = sys::duckdb_string_t__bindgen_ty_1__bindgen_ty_1 {
            length,
            prefix: std::array::from_fn(|index| bytes[index].cast_signed()),
            ptr: bytes.as_ptr().cast_mut().cast(),
        };
    }
    Ok(string)
}

/// Appends rows to a temporary table. What was not flushed when it is dropped is lost.
pub struct Appender<'c> {
    raw: sys::duckdb_appender,
    chunk: WritableChunk,
    types: Arc<[LogicalType]>,
    unflushed_bytes: usize,
    connection: PhantomData<&'c Connection>,
}

impl<'c> Appender<'c> {
    /// An appender to a table that [`TempTable::create`] has made on this connection.
    ///
    /// # Errors
    /// DuckDB's own.
    pub fn new(connection: &'c Connection, table: &TempTable) -> Result<Self> {
        let chunk = WritableChunk::new(&table.types)?;
        let name = CString::new(table.name.as_str())
            .map_err(|_| Error::new(ErrorKind::InvalidInput, "the name holds a NUL byte"))?;
        let mut this = Self {
            raw: std::ptr::null_mut(),
            chunk,
            types: Arc::clone(&table.types),
            unflushed_bytes: 0,
            connection: PhantomData,
        };
        let _blocked = BlockedSignals::new();
        // SAFETY: a live connection and NUL-terminated names; the appender is destroyed by Drop even
        // after a failure.
        let state = unsafe {
            sys::duckdb_appender_create_ext(
                connection.raw(),
                c"temp".as_ptr(),
                c"main".as_ptr(),
                name.as_ptr(),
                &raw mut this.raw,
            )
        };
        this.check(state)?;
        Ok(this)
    }

    /// Adds rows, which must be of the table's types.
    ///
    /// # Errors
    /// DuckDB's own, for earlier rows as well; [`ErrorKind::Interrupt`] when interrupted. The
    /// appender is of no use after an error.
    pub fn append(&mut self, rows: &RowChunk) -> Result<()> {
        if *rows.types() != *self.types {
            return Err(Error::new(ErrorKind::InvalidInput, "the rows are not those of the table"));
        }
        let _blocked = BlockedSignals::new();
        // SAFETY: the types are those of the chunk. The appender copies what it is given, and nothing
        // reads the chunk before the next `fill` has reset it.
        let state = unsafe {
            self.chunk.fill(rows)?;
            sys::duckdb_append_data_chunk(self.raw, self.chunk.0)
        };
        self.check(state)?;
        self.unflushed_bytes += rows.bytes();
        if self.unflushed_bytes >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Makes the rows part of the table.
    ///
    /// # Errors
    /// As [`Appender::append`].
    pub fn flush(&mut self) -> Result<()> {
        self.unflushed_bytes = 0;
        let _blocked = BlockedSignals::new();
        // SAFETY: live appender.
        let state = unsafe { sys::duckdb_appender_flush(self.raw) };
        self.check(state)
    }

    fn check(&self, state: sys::duckdb_state) -> Result<()> {
        if state == sys::DuckDBSuccess {
            return Ok(());
        }
        // SAFETY: the appender, which is there even when it could not be created, gives a copy of its
        // error.
        Err(unsafe { Error::take_data(sys::duckdb_appender_error_data(self.raw)) })
    }
}

impl Drop for Appender<'_> {
    fn drop(&mut self) {
        let _blocked = BlockedSignals::new();
        // SAFETY: created in `new`, destroyed once; NULL is allowed. Emptied first, since destroying
        // it flushes.
        unsafe {
            sys::duckdb_appender_clear(self.raw);
            sys::duckdb_appender_destroy(&raw mut self.raw);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instance;
    use crate::chunk::Chunk;

    fn connect() -> Connection {
        let connection = Connection::new(&Instance::open(&[("threads", "2")]).unwrap()).unwrap();
        connection.execute("SET TimeZone = 'UTC'").unwrap();
        connection
    }

    fn table(types: &[LogicalType]) -> TempTable {
        TempTable::new(1, types.into())
    }

    fn load(connection: &Connection, table: &TempTable, chunks: &[RowChunk]) {
        table.create(connection).unwrap();
        let mut appender = Appender::new(connection, table).unwrap();
        for chunk in chunks {
            appender.append(chunk).unwrap();
        }
        appender.flush().unwrap();
    }

    fn text(connection: &Connection, sql: &str) -> String {
        connection.query_text(sql, &[]).unwrap().unwrap_or_else(|| "NULL".into())
    }

    /// What DuckDB prints of the values that `push` gives a column of this type, NULL between them.
    fn printed(
        t: LogicalType,
        push: impl FnOnce(&mut dyn FnMut(&dyn Fn(&mut ColumnBuffer))),
    ) -> String {
        let connection = connect();
        let table = table(std::slice::from_ref(&t));
        let mut chunk = RowChunk::new(&table.types).unwrap();
        push(&mut |value| {
            value(&mut chunk.columns_mut()[0]);
            chunk.end_row();
            chunk.columns_mut()[0].push_null();
            chunk.end_row();
        });
        load(&connection, &table, &[chunk]);
        assert_eq!(text(&connection, "SELECT typeof(c0) FROM pond_shipped_1"), t.to_string());
        text(
            &connection,
            "SELECT string_agg(coalesce(c0::VARCHAR, '-'), '|' ORDER BY rowid) FROM pond_shipped_1",
        )
    }

    /// Rows of one column: each expression is a push.
    macro_rules! printed {
        ($type:expr, $($method:ident($($value:expr),*)),+ $(,)?) => {
            printed($type, |row| { $(row(&|column| { let _ = column.$method($($value),*); });)+ })
        };
    }

    #[test]
    fn numbers_arrive_with_their_extremes_and_nulls() {
        use LogicalType as T;
        assert_eq!(printed!(T::Boolean, push_bool(true), push_bool(false)), "true|-|false|-");
        assert_eq!(printed!(T::TinyInt, push_i8(i8::MIN), push_i8(i8::MAX)), "-128|-|127|-");
        assert_eq!(printed!(T::SmallInt, push_i16(i16::MIN), push_i16(0)), "-32768|-|0|-");
        assert_eq!(
            printed!(T::Integer, push_i32(i32::MIN), push_i32(i32::MAX)),
            "-2147483648|-|2147483647|-"
        );
        assert_eq!(
            printed!(T::BigInt, push_i64(i64::MIN), push_i64(i64::MAX)),
            "-9223372036854775808|-|9223372036854775807|-"
        );
        assert_eq!(
            printed!(T::HugeInt, push_i128(i128::MIN), push_i128(-1), push_i128(i128::MAX)),
            "-170141183460469231731687303715884105728|-|-1|-|170141183460469231731687303715884105727|-"
        );
        assert_eq!(
            printed!(T::Float, push_f32(-0.5), push_f32(f32::INFINITY), push_f32(f32::NAN)),
            "-0.5|-|inf|-|nan|-"
        );
        assert_eq!(
            printed!(T::Double, push_f64(f64::MIN), push_f64(0.1), push_f64(f64::NEG_INFINITY)),
            "-1.7976931348623157e+308|-|0.1|-|-inf|-"
        );
    }

    #[test]
    fn decimals_arrive_in_all_four_widths() {
        let decimal = |width, scale| LogicalType::Decimal { width, scale };
        for (t, unscaled, expected) in [
            (decimal(4, 2), -9_999_i128, "-99.99|-"),
            (decimal(4, 2), -5, "-0.05|-"),
            (decimal(9, 0), 999_999_999, "999999999|-"),
            (decimal(18, 18), -999_999_999_999_999_999, "-.999999999999999999|-"),
            (decimal(38, 1), 10_i128.pow(38) - 1, "9999999999999999999999999999999999999.9|-"),
            (decimal(19, 0), -1, "-1|-"),
        ] {
            assert_eq!(printed!(t, push_decimal(unscaled)), expected);
        }
    }

    #[test]
    fn times_arrive_with_their_extremes_and_infinities() {
        use LogicalType as T;
        assert_eq!(
            printed!(T::Date, push_i32(0), push_i32(i32::MAX), push_i32(-i32::MAX), push_i32(-1)),
            "1970-01-01|-|infinity|-|-infinity|-|1969-12-31|-"
        );
        assert_eq!(
            printed!(T::Time, push_i64(0), push_i64(86_400_000_000), push_i64(1)),
            "00:00:00|-|24:00:00|-|00:00:00.000001|-"
        );
        assert_eq!(
            printed!(T::TimeTz, push_time_tz(0, -19_800), push_time_tz(86_399_999_999, 57_599)),
            "00:00:00-05:30|-|23:59:59.999999+15:59:59|-"
        );
        assert_eq!(
            printed!(T::Timestamp, push_i64(-1), push_i64(i64::MAX), push_i64(-i64::MAX)),
            "1969-12-31 23:59:59.999999|-|infinity|-|-infinity|-"
        );
        assert_eq!(printed!(T::TimestampTz, push_i64(0)), "1970-01-01 00:00:00+00|-");
        assert_eq!(
            printed!(T::Interval, push_interval(14, -3, 1), push_interval(0, 0, 0)),
            "1 year 2 months -3 days 00:00:00.000001|-|00:00:00|-"
        );
    }

    #[test]
    fn strings_arrive_whatever_their_length() {
        use LogicalType as T;
        let long = "🦆 longer than twelve bytes";
        assert_eq!(
            printed!(
                T::Varchar,
                push_str(""),
                push_str("äöü"),
                push_str("twelve bytes"),
                push_str("thirteen byte"),
                push_str(long),
                push_str("\0")
            ),
            format!("|-|äöü|-|twelve bytes|-|thirteen byte|-|{long}|-|\0|-")
        );
        assert_eq!(printed!(T::Json, push_str("{\"a\": [1, null]}")), "{\"a\": [1, null]}|-");
        assert_eq!(
            printed!(T::Blob, push_blob(&[]), push_blob(&[0, 255]), push_blob(&[7; 14])),
            format!("|-|\\x00\\xFF|-|{}|-", "\\x07".repeat(14))
        );
        assert_eq!(printed!(T::Bit, push_bits("1"), push_bits("1010101010")), "1|-|1010101010|-");
        assert_eq!(
            printed!(T::Uuid, push_uuid([0xab; 16]), push_uuid([0; 16])),
            "abababab-abab-abab-abab-abababababab|-|00000000-0000-0000-0000-000000000000|-"
        );
    }

    #[test]
    fn values_compare_as_those_that_duckdb_makes() {
        let connection = connect();
        let table = table(&[LogicalType::Uuid, LogicalType::TimeTz, LogicalType::Bit]);
        let mut chunk = RowChunk::new(&table.types).unwrap();
        let columns = chunk.columns_mut();
        columns[0].push_uuid([0xf0; 16]);
        columns[1].push_time_tz(3_600_000_000, 3_600);
        columns[2].push_bits("0101").unwrap();
        chunk.end_row();
        load(&connection, &table, &[chunk]);
        let sql = "SELECT (c0 = 'f0f0f0f0-f0f0-f0f0-f0f0-f0f0f0f0f0f0'::UUID AND c0 > uuid '0f0f0f0f-f0f0-f0f0-f0f0-f0f0f0f0f0f0' \
                   AND c1 = '01:00:00+01'::TIMETZ AND c2 = '0101'::BIT)::VARCHAR FROM pond_shipped_1";
        assert_eq!(text(&connection, sql), "true");
    }

    #[test]
    fn many_chunks_of_any_length_keep_every_row() {
        let connection = connect();
        let table = table(&[LogicalType::BigInt, LogicalType::Varchar, LogicalType::Varchar]);
        let mut chunks = vec![];
        let mut number = 0_i64;
        for rows in [0, 1, 63, 64, 65, 2047].into_iter().chain(std::iter::repeat_n(2048, 150)) {
            let mut chunk = RowChunk::new(&table.types).unwrap();
            for _ in 0..rows {
                let columns = chunk.columns_mut();
                columns[0].push_i64(number);
                if number % 3 == 0 {
                    columns[1].push_null();
                } else {
                    columns[1].push_str(&format!("number {number} and more"));
                }
                columns[2].push_null();
                chunk.end_row();
                number += 1;
            }
            chunks.push(chunk);
        }
        load(&connection, &table, &chunks);
        let sql = "SELECT (count(*), sum(c0), count(c1), count(c2), \
                   bool_and(c1 = 'number ' || c0 || ' and more'))::VARCHAR FROM pond_shipped_1";
        let expected = format!(
            "({number}, {}, {}, 0, true)",
            number * (number - 1) / 2,
            number - (number + 2) / 3
        );
        assert_eq!(text(&connection, sql), expected);
        assert_eq!(chunks[7].len(), Chunk::CAPACITY);
    }

    #[test]
    fn rows_of_another_table_are_refused() {
        let connection = connect();
        let table = table(&[LogicalType::BigInt]);
        table.create(&connection).unwrap();
        let mut appender = Appender::new(&connection, &table).unwrap();
        let other = RowChunk::new(&[LogicalType::Timestamp].into()).unwrap();
        assert_eq!(appender.append(&other).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn unflushed_rows_are_lost_and_errors_are_duckdbs() {
        let connection = connect();
        let table = table(&[LogicalType::Integer]);
        assert_eq!(Appender::new(&connection, &table).err().unwrap().kind(), ErrorKind::Catalog);
        table.create(&connection).unwrap();
        assert_eq!(table.create(&connection).unwrap_err().kind(), ErrorKind::Catalog);
        let mut chunk = RowChunk::new(&table.types).unwrap();
        chunk.columns_mut()[0].push_i32(1);
        chunk.end_row();
        Appender::new(&connection, &table).unwrap().append(&chunk).unwrap();
        assert_eq!(text(&connection, "SELECT count(*)::VARCHAR FROM pond_shipped_1"), "0");
        let mut appender = Appender::new(&connection, &table).unwrap();
        appender.append(&chunk).unwrap();
        connection.execute("DROP TABLE pond_shipped_1").unwrap();
        let error = appender.flush().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Catalog, "{error}");
    }

    #[test]
    fn other_connections_see_nothing_of_the_table() {
        let connection = connect();
        let table = table(&[LogicalType::Integer]);
        load(&connection, &table, &[]);
        let other = Connection::new(connection.instance()).unwrap();
        for name in ["pond_shipped_1", "temp.main.POND_SHIPPED_1", "temp.pond_shipped_1"] {
            assert_eq!(text(&connection, &format!("SELECT count(*)::VARCHAR FROM {name}")), "0");
            let error = other.execute(&format!("SELECT * FROM {name}")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Catalog, "{error}");
        }
        let seen = "SELECT count(*)::VARCHAR FROM duckdb_tables() WHERE temporary";
        assert_eq!(text(&connection, seen), "1");
        assert_eq!(text(&other, seen), "0");
        table.create(&other).unwrap();
    }
}
