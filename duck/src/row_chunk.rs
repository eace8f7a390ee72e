//! Rows on their way to DuckDB, column by column, in memory of their own.
//!
//! A [`RowChunk`] is filled by the main thread without any call of DuckDB's library, and sent to the
//! driver thread that owns the connection; [`crate::appender`] copies it into a data chunk there.
//! Values have DuckDB's physical forms ("Vectors" in the documentation of its C API); its strings
//! lie one after the other in one buffer.

use std::sync::Arc;

use crate::chunk::Chunk;
use crate::error::{Error, ErrorKind, Result};
use crate::logical_type::LogicalType;

/// A chunk of so many bytes counts as full, however few its rows are.
const FULL_BYTES: usize = 1 << 20;

/// Up to [`Chunk::CAPACITY`] rows.
#[derive(Clone, Debug)]
pub struct RowChunk {
    types: Arc<[LogicalType]>,
    columns: Vec<ColumnBuffer>,
    rows: usize,
}

impl RowChunk {
    /// An empty chunk for columns of these types.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidType`] for a type that [`form`] has nothing for.
    pub fn new(types: &Arc<[LogicalType]>) -> Result<Self> {
        let columns = types.iter().map(ColumnBuffer::new).collect::<Result<_>>()?;
        Ok(Self { types: Arc::clone(types), columns, rows: 0 })
    }

    /// The columns' types.
    #[must_use]
    pub fn types(&self) -> &[LogicalType] {
        &self.types
    }

    /// The number of finished rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the chunk should be sent before another row is written.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows >= Chunk::CAPACITY || self.bytes() >= FULL_BYTES
    }

    /// What the values take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(ColumnBuffer::bytes).sum()
    }

    /// Which columns have a NULL.
    #[must_use]
    pub fn nulls(&self) -> Vec<bool> {
        self.columns.iter().map(|column| !column.validity.is_empty()).collect()
    }

    /// Whether rows of the same columns can be appended.
    #[must_use]
    pub fn takes(&self, other: &Self) -> bool {
        self.rows + other.rows <= Chunk::CAPACITY && self.bytes() + other.bytes() <= FULL_BYTES
    }

    /// Appends the rows of another chunk.
    ///
    /// # Panics
    /// When that has other columns, or the chunk has no room.
    pub fn append(&mut self, other: &Self) {
        assert!(self.types == other.types, "the chunks have the same columns");
        self.rows += other.rows;
        assert!(self.rows <= Chunk::CAPACITY, "a chunk has {} rows at most", Chunk::CAPACITY);
        for (column, more) in self.columns.iter_mut().zip(&other.columns) {
            column.append(more);
        }
    }

    /// The columns, each of which takes one value for every row.
    pub fn columns_mut(&mut self) -> &mut [ColumnBuffer] {
        &mut self.columns
    }

    pub(crate) fn columns(&self) -> &[ColumnBuffer] {
        &self.columns
    }

    /// Finishes a row, of which every column has got its value.
    ///
    /// # Panics
    /// When a column has got none or several, or the chunk has no room for the row.
    pub fn end_row(&mut self) {
        self.rows += 1;
        assert!(self.rows <= Chunk::CAPACITY, "a chunk has {} rows at most", Chunk::CAPACITY);
        assert!(
            self.columns.iter().all(|column| column.len() == self.rows),
            "a row has one value in every column"
        );
    }
}

/// How the values of a type lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One byte, 0 or 1.
    Boolean,
    /// So many bytes, in the machine's order.
    Fixed(usize),
    /// Text in UTF-8.
    Text,
    /// Any bytes.
    Blob,
    /// Bits as `pack_bits` of [`crate::value`] packs them.
    Bits,
}

impl Form {
    /// The bytes of a value; `None` when they differ from value to value.
    pub(crate) fn width(self) -> Option<usize> {
        match self {
            Self::Boolean => Some(1),
            Self::Fixed(width) => Some(width),
            Self::Text | Self::Blob | Self::Bits => None,
        }
    }
}

/// The form of a type's values; `None` for types that no rows are sent of (nested ones, enums, and
/// what parameters cannot be either).
#[must_use]
pub fn form(logical_type: &LogicalType) -> Option<Form> {
    Some(match logical_type {
        LogicalType::Boolean => Form::Boolean,
        LogicalType::TinyInt => Form::Fixed(1),
        LogicalType::SmallInt => Form::Fixed(2),
        LogicalType::Integer | LogicalType::Float | LogicalType::Date => Form::Fixed(4),
        LogicalType::BigInt
        | LogicalType::Double
        | LogicalType::Time
        | LogicalType::TimeTz
        | LogicalType::Timestamp
        | LogicalType::TimestampTz => Form::Fixed(8),
        LogicalType::HugeInt | LogicalType::Uuid | LogicalType::Interval => Form::Fixed(16),
        LogicalType::Decimal { width: 1..=4, .. } => Form::Fixed(2),
        LogicalType::Decimal { width: 5..=9, .. } => Form::Fixed(4),
        LogicalType::Decimal { width: 10..=18, .. } => Form::Fixed(8),
        LogicalType::Decimal { width: 19..=38, .. } => Form::Fixed(16),
        LogicalType::Varchar | LogicalType::Json => Form::Text,
        LogicalType::Blob => Form::Blob,
        LogicalType::Bit => Form::Bits,
        _ => return None,
    })
}

/// The values of one column. Each `push` adds the value of the next row, and panics when the column's
/// type has another form: which one fits is decided once for a column, by the caller.
#[derive(Clone, Debug)]
pub struct ColumnBuffer {
    form: Form,
    /// The values, one after the other.
    data: Vec<u8>,
    /// Where each value ends in `data`, when they have no common width.
    ends: Vec<usize>,
    /// One bit for each row, set for values; empty as long as no value is NULL.
    validity: Vec<u64>,
    rows: usize,
}

impl ColumnBuffer {
    fn new(logical_type: &LogicalType) -> Result<Self> {
        let form = form(logical_type).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidType,
                format!("no rows with columns of type {logical_type} can be sent to DuckDB"),
            )
        })?;
        Ok(Self { form, data: vec![], ends: vec![], validity: vec![], rows: 0 })
    }

    fn len(&self) -> usize {
        self.rows
    }

    fn append(&mut self, other: &Self) {
        let start = self.data.len();
        self.data.extend_from_slice(&other.data);
        self.ends.extend(other.ends.iter().map(|end| start + end));
        for row in 0..other.rows {
            let valid = |word: &u64| word & (1 << (row % 64)) != 0;
            if !other.validity.get(row / 64).is_none_or(valid) {
                self.mark_null(self.rows + row);
            }
        }
        self.rows += other.rows;
    }

    fn mark_null(&mut self, row: usize) {
        if self.validity.is_empty() {
            self.validity = vec![u64::MAX; Chunk::CAPACITY / 64];
        }
        if let Some(word) = self.validity.get_mut(row / 64) {
            *word &= !(1 << (row % 64));
        }
    }

    fn bytes(&self) -> usize {
        self.data.len() + self.ends.len() * size_of::<usize>()
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    /// The value of every row, of a column without a common width.
    pub(crate) fn values(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.data[start..*end])
    }

    /// The validity mask as DuckDB has it; empty when no value is NULL.
    pub(crate) fn validity(&self) -> &[u64] {
        &self.validity
    }

    #[inline]
    fn push_fixed(&mut self, value: &[u8]) {
        self.expect(Form::Fixed(value.len()));
        self.data.extend_from_slice(value);
        self.rows += 1;
    }

    #[inline]
    fn push_variable(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.ends.push(self.data.len());
        self.rows += 1;
    }

    #[inline]
    fn expect(&self, form: Form) {
        assert!(self.form == form, "the value does not fit the column");
    }

    pub fn push_null(&mut self) {
        self.mark_null(self.rows);
        match self.form.width() {
            Some(width) => self.data.resize(self.data.len() + width, 0),
            None => self.ends.push(self.data.len()),
        }
        self.rows += 1;
    }

    pub fn push_bool(&mut self, value: bool) {
        self.expect(Form::Boolean);
        self.data.push(u8::from(value));
        self.rows += 1;
    }

    pub fn push_i8(&mut self, value: i8) {
        self.push_fixed(&value.to_ne_bytes());
    }

    pub fn push_i16(&mut self, value: i16) {
        self.push_fixed(&value.to_ne_bytes());
    }

    /// An INTEGER, or a DATE as days since 1970-01-01.
    pub fn push_i32(&mut self, value: i32) {
        self.push_fixed(&value.to_ne_bytes());
    }

    /// A BIGINT, a TIME as microseconds since midnight, or a TIMESTAMP, with time zone or without,
    /// as microseconds since 1970-01-01 00:00 (UTC).
    pub fn push_i64(&mut self, value: i64) {
        self.push_fixed(&value.to_ne_bytes());
    }

    pub fn push_i128(&mut self, value: i128) {
        // The halves are in this order on any machine.
        let (lower, upper) = crate::value::wide_halves(value);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&lower.to_ne_bytes());
        bytes[8..].copy_from_slice(&upper.to_ne_bytes());
        self.push_fixed(&bytes);
    }

    pub fn push_f32(&mut self, value: f32) {
        self.push_fixed(&value.to_ne_bytes());
    }

    pub fn push_f64(&mut self, value: f64) {
        self.push_fixed(&value.to_ne_bytes());
    }

    /// A DECIMAL as the number of units of its last digit.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] when the column's form does not hold it. Whether it has more digits
    /// than the type allows is for the caller to check.
    pub fn push_decimal(&mut self, unscaled: i128) -> Result<()> {
        let overflow = |_| Error::new(ErrorKind::OutOfRange, "the number has too many digits");
        match self.form {
            Form::Fixed(2) => self.push_i16(unscaled.try_into().map_err(overflow)?),
            Form::Fixed(4) => self.push_i32(unscaled.try_into().map_err(overflow)?),
            Form::Fixed(8) => self.push_i64(unscaled.try_into().map_err(overflow)?),
            _ => self.push_i128(unscaled),
        }
        Ok(())
    }

    /// A TIME WITH TIME ZONE: microseconds since midnight, and the offset in seconds east of UTC,
    /// at most 15:59:59 either way.
    pub fn push_time_tz(&mut self, micros: i64, offset_seconds: i32) {
        // As DuckDB packs it: so that larger numbers are later moments.
        let offset = i64::from(57_599 - offset_seconds);
        self.push_i64((micros << 24) | (offset & 0xff_ffff));
    }

    pub fn push_interval(&mut self, months: i32, days: i32, micros: i64) {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&months.to_ne_bytes());
        bytes[4..8].copy_from_slice(&days.to_ne_bytes());
        bytes[8..].copy_from_slice(&micros.to_ne_bytes());
        self.push_fixed(&bytes);
    }

    pub fn push_uuid(&mut self, bytes: [u8; 16]) {
        // DuckDB turns the first bit, so that UUIDs order as signed numbers.
        let value = u128::from_be_bytes(bytes) ^ (1 << 127);
        self.push_i128(value.cast_signed());
    }

    /// A VARCHAR, or the text of a JSON value.
    pub fn push_str(&mut self, text: &str) {
        self.expect(Form::Text);
        self.push_variable(text.as_bytes());
    }

    pub fn push_blob(&mut self, bytes: &[u8]) {
        self.expect(Form::Blob);
        self.push_variable(bytes);
    }

    /// A BIT, given as its bits, '0' and '1', of which there is at least one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for anything else.
    pub fn push_bits(&mut self, bits: &str) -> Result<()> {
        self.expect(Form::Bits);
        self.push_variable(&crate::value::pack_bits(bits)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(types: &[LogicalType]) -> RowChunk {
        RowChunk::new(&types.into()).unwrap()
    }

    #[test]
    fn nested_types_are_refused() {
        let list = LogicalType::List(Box::new(LogicalType::Integer));
        let error = RowChunk::new(&[LogicalType::Integer, list].into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidType);
        assert!(error.message().contains("INTEGER[]"), "{error}");
    }

    #[test]
    fn chunks_are_appended_with_their_nulls() {
        let types = [LogicalType::Varchar, LogicalType::BigInt];
        let (mut chunk, mut more) = (empty(&types), empty(&types));
        for (to, text) in [(0, Some("a")), (0, None), (1, Some("bc")), (1, None), (1, Some(""))] {
            let chunk = if to == 0 { &mut chunk } else { &mut more };
            match text {
                Some(text) => chunk.columns_mut()[0].push_str(text),
                None => chunk.columns_mut()[0].push_null(),
            }
            chunk.columns_mut()[1].push_i64(to);
            chunk.end_row();
        }
        assert_eq!(chunk.nulls(), [true, false]);
        assert!(chunk.takes(&more));
        chunk.append(&more);
        let texts: Vec<_> = chunk.columns()[0].values().collect();
        assert_eq!(texts, [&b"a"[..], b"", b"bc", b"", b""]);
        assert_eq!(chunk.columns()[0].validity()[0] & 0b11111, 0b10101);
        assert!(chunk.columns()[1].validity().is_empty());
        assert_eq!((chunk.len(), chunk.columns()[1].data().len()), (5, 40));
    }

    #[test]
    fn a_chunk_is_full_by_rows_or_by_bytes() {
        let mut chunk = empty(&[LogicalType::Varchar]);
        for _ in 0..Chunk::CAPACITY {
            assert!(!chunk.is_full());
            chunk.columns_mut()[0].push_str("x");
            chunk.end_row();
        }
        assert!(chunk.is_full());
        let mut chunk = empty(&[LogicalType::Varchar]);
        chunk.columns_mut()[0].push_str(&"x".repeat(FULL_BYTES));
        chunk.end_row();
        assert!(chunk.is_full());
        assert_eq!(chunk.len(), 1);
    }

    #[test]
    #[should_panic(expected = "one value in every column")]
    fn a_row_without_all_its_values_cannot_end() {
        let mut chunk = empty(&[LogicalType::Integer, LogicalType::Integer]);
        chunk.columns_mut()[0].push_i32(1);
        chunk.end_row();
    }

    #[test]
    #[should_panic(expected = "does not fit the column")]
    fn a_value_of_another_width_is_refused() {
        let mut chunk = empty(&[LogicalType::Integer]);
        chunk.columns_mut()[0].push_i64(1);
    }

    #[test]
    fn a_decimal_beyond_its_form_is_an_error() {
        let mut chunk = empty(&[LogicalType::Decimal { width: 4, scale: 0 }]);
        let error = chunk.columns_mut()[0].push_decimal(40_000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfRange);
    }
}
