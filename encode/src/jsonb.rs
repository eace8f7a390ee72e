//! PostgreSQL's jsonb (`src/include/utils/jsonb.h`), written in one pass.
//!
//! A container is a header with the number of its entries, one word for each entry with its type
//! and its length (at every 32nd entry its end offset instead), then the entries' data. An object
//! has the entries of its keys first, sorted by length and then by bytes, then those of its values
//! in the same order. Numbers and containers are aligned to four bytes; the padding counts as
//! theirs. Strings are in the server's encoding.

use crate::varlena;

const COUNT_MASK: usize = 0x0fff_ffff;
const SCALAR: u32 = 0x1000_0000;
const OBJECT: u32 = 0x2000_0000;
const ARRAY: u32 = 0x4000_0000;

const LENGTH_MASK: usize = 0x0fff_ffff;
const IS_STRING: u32 = 0;
const IS_NUMERIC: u32 = 0x1000_0000;
const IS_FALSE: u32 = 0x2000_0000;
const IS_TRUE: u32 = 0x3000_0000;
const IS_NULL: u32 = 0x4000_0000;
const IS_CONTAINER: u32 = 0x5000_0000;
const HAS_OFFSET: u32 = 0x8000_0000;
/// One in so many entries holds an offset (`JB_OFFSET_STRIDE`).
const STRIDE: usize = 32;

/// Where the value starts in the buffer when it is a container: see [`Writer::finish`].
const ROOT_DATA: usize = 12;

/// A value is larger than jsonb allows: 2^28 entries or bytes in a container, 1 GB in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

pub type Result<T> = std::result::Result<T, TooLarge>;

/// Writes one jsonb value after the other.
#[derive(Default)]
pub struct Writer {
    buffer: Vec<u8>,
}

/// A container that is being written.
#[derive(Debug)]
#[must_use = "a container is written with Writer::end or Writer::finish"]
pub struct Container {
    /// Where the padding before the container starts.
    base: usize,
    /// Where the word of the next entry goes.
    entry: usize,
    /// The number of entries so far, keys included, and the length of their data.
    index: usize,
    total: usize,
    /// The number of entries, keys included.
    entries: usize,
}

impl Writer {
    /// Starts a new value, which may be of any kind: write exactly one entry, then call
    /// [`Writer::finish`].
    pub fn begin(&mut self) -> Container {
        self.buffer.clear();
        self.buffer.extend_from_slice(&[0; varlena::LONG_HEADER]);
        // One entry always fits.
        self.container(1, ARRAY | SCALAR, 1).unwrap_or(Container {
            base: 0,
            entry: 0,
            index: 0,
            total: 0,
            entries: 0,
        })
    }

    /// Ends the value, and returns it with its varlena header.
    ///
    /// A scalar stands in an array of one element, marked as such. A container stands for itself:
    /// what was written before it gives way to the varlena header.
    ///
    /// # Errors
    /// When the value is too large.
    pub fn finish(&mut self, root: Container) -> Result<&[u8]> {
        debug_assert_eq!(root.index, root.entries, "one value");
        let word = self.word(root.entry - 4);
        let start =
            if word & 0x7000_0000 == IS_CONTAINER { ROOT_DATA - varlena::LONG_HEADER } else { 0 };
        let header = varlena::long_header(self.buffer.len() - start).ok_or(TooLarge)?;
        self.buffer[start..start + varlena::LONG_HEADER].copy_from_slice(&header);
        Ok(&self.buffer[start..])
    }

    fn word(&self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.buffer[at..at + 4]);
        u32::from_ne_bytes(bytes)
    }

    fn pad(&mut self) {
        self.buffer.resize(self.buffer.len().next_multiple_of(4), 0);
    }

    fn container(&mut self, count: usize, kind: u32, entries: usize) -> Result<Container> {
        if count > COUNT_MASK || entries.saturating_mul(4) > varlena::MAX_LENGTH {
            return Err(TooLarge);
        }
        let base = self.buffer.len();
        self.pad();
        let count = u32::try_from(count).map_err(|_| TooLarge)?;
        self.buffer.extend_from_slice(&(kind | count).to_ne_bytes());
        let entry = self.buffer.len();
        self.buffer.resize(entry + 4 * entries, 0);
        Ok(Container { base, entry, index: 0, total: 0, entries })
    }

    /// Starts an array with `count` elements, which are then written in their order.
    ///
    /// # Errors
    /// When there are too many.
    pub fn begin_array(&mut self, count: usize) -> Result<Container> {
        self.container(count, ARRAY, count)
    }

    /// Starts an object with `keys`, which must be sorted by [`key_order`] and different from each
    /// other; their values are then written in the same order.
    ///
    /// # Errors
    /// When there are too many, or too long ones.
    pub fn begin_object<'k>(
        &mut self,
        keys: impl ExactSizeIterator<Item = &'k [u8]>,
    ) -> Result<Container> {
        let count = keys.len();
        let mut object = self.container(count, OBJECT, count.saturating_mul(2))?;
        for key in keys {
            self.string(key, &mut object)?;
        }
        Ok(object)
    }

    /// Ends `container`, which thereby is the next entry of `outer`.
    ///
    /// # Errors
    /// When `outer` becomes too large.
    pub fn end(&mut self, container: Container, outer: &mut Container) -> Result<()> {
        debug_assert_eq!(container.index, container.entries, "all entries are written");
        self.entry(outer, IS_CONTAINER, self.buffer.len() - container.base)
    }

    /// # Errors
    /// When `outer` becomes too large; so for all kinds of values.
    pub fn null(&mut self, outer: &mut Container) -> Result<()> {
        self.entry(outer, IS_NULL, 0)
    }

    /// # Errors
    /// As [`Writer::null`].
    pub fn boolean(&mut self, value: bool, outer: &mut Container) -> Result<()> {
        self.entry(outer, if value { IS_TRUE } else { IS_FALSE }, 0)
    }

    /// # Errors
    /// As [`Writer::null`].
    pub fn string(&mut self, value: &[u8], outer: &mut Container) -> Result<()> {
        if value.len() > LENGTH_MASK {
            return Err(TooLarge);
        }
        self.buffer.extend_from_slice(value);
        self.entry(outer, IS_STRING, value.len())
    }

    /// A number, given as the payload of a numeric.
    ///
    /// # Errors
    /// As [`Writer::null`].
    pub fn numeric(&mut self, payload: &[u8], outer: &mut Container) -> Result<()> {
        let start = self.buffer.len();
        self.pad();
        let total = varlena::LONG_HEADER + payload.len();
        self.buffer.extend_from_slice(&varlena::long_header(total).ok_or(TooLarge)?);
        self.buffer.extend_from_slice(payload);
        self.entry(outer, IS_NUMERIC, self.buffer.len() - start)
    }

    /// A value that PostgreSQL wrote: a jsonb without its varlena header. `None` inside of the
    /// result when it is not one.
    ///
    /// # Errors
    /// As [`Writer::null`].
    pub fn raw(&mut self, jsonb: &[u8], outer: &mut Container) -> Result<Option<()>> {
        let Some((header, rest)) = jsonb.split_first_chunk::<4>() else {
            return Ok(None);
        };
        if u32::from_ne_bytes(*header) & SCALAR == 0 {
            let start = self.buffer.len();
            self.pad();
            self.buffer.extend_from_slice(jsonb);
            return self.entry(outer, IS_CONTAINER, self.buffer.len() - start).map(Some);
        }
        let Some((word, data)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let kind = u32::from_ne_bytes(*word) & 0x7000_0000;
        let start = self.buffer.len();
        if kind == IS_NUMERIC {
            self.pad();
        }
        self.buffer.extend_from_slice(data);
        self.entry(outer, kind, self.buffer.len() - start).map(Some)
    }

    fn entry(&mut self, outer: &mut Container, kind: u32, len: usize) -> Result<()> {
        outer.total += len;
        if outer.total > LENGTH_MASK {
            return Err(TooLarge);
        }
        let word = if outer.index.is_multiple_of(STRIDE) {
            HAS_OFFSET | u32::try_from(outer.total).map_err(|_| TooLarge)?
        } else {
            u32::try_from(len).map_err(|_| TooLarge)?
        };
        self.buffer[outer.entry..outer.entry + 4].copy_from_slice(&(kind | word).to_ne_bytes());
        outer.entry += 4;
        outer.index += 1;
        Ok(())
    }
}

/// The order of the keys of an object.
#[must_use]
pub fn key_order(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
#[path = "jsonb_tests.rs"]
mod tests;
