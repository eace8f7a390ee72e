//! The length words of variable-length values (PostgreSQL's `varatt.h`).

/// The most bytes that a value may have, its header included (`MaxAllocSize`).
pub const MAX_LENGTH: usize = 0x3fff_ffff;

/// The length of the long header.
pub const LONG_HEADER: usize = 4;

/// The most bytes that may follow a header of one byte (`VARATT_SHORT_MAX` less the header).
pub const SHORT_MAX_PAYLOAD: usize = 126;

/// The 4-byte header of an uncompressed value of `total` bytes, header included; `None` when that
/// is more than a value may have.
#[inline]
#[must_use]
pub fn long_header(total: usize) -> Option<[u8; LONG_HEADER]> {
    if total > MAX_LENGTH {
        return None;
    }
    let total = u32::try_from(total).ok()?;
    let word = if cfg!(target_endian = "big") { total } else { total << 2 };
    Some(word.to_ne_bytes())
}

/// The 1-byte header of a value with `payload` bytes after it; `None` when the value needs the long
/// one.
#[inline]
#[must_use]
pub fn short_header(payload: usize) -> Option<u8> {
    if payload > SHORT_MAX_PAYLOAD {
        return None;
    }
    let total = u8::try_from(payload + 1).ok()?;
    Some(if cfg!(target_endian = "big") { total | 0x80 } else { (total << 1) | 1 })
}

/// Whether a value that is neither compressed nor external has the 1-byte header, by its first
/// byte.
#[inline]
#[must_use]
pub fn is_short(first: u8) -> bool {
    if cfg!(target_endian = "big") { first & 0x80 != 0 } else { first & 1 != 0 }
}

/// Whether a value is neither compressed nor external, by its first byte.
#[inline]
#[must_use]
pub fn is_plain(first: u8) -> bool {
    if cfg!(target_endian = "big") {
        first & 0xc0 == 0 || first > 0x80
    } else {
        first & 3 == 0 || (first & 1 == 1 && first != 1)
    }
}

/// The length of such a value, header included, by the bytes of its header.
#[inline]
#[must_use]
pub fn total_length(byte: impl Fn(usize) -> u8) -> usize {
    let first = byte(0);
    if is_short(first) {
        let len = if cfg!(target_endian = "big") { first & 0x7f } else { first >> 1 };
        return usize::from(len);
    }
    let word = u32::from_ne_bytes([first, byte(1), byte(2), byte(3)]);
    let len = if cfg!(target_endian = "big") { word & 0x3fff_ffff } else { word >> 2 };
    len as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_and_external_values_are_not_plain() {
        let big = cfg!(target_endian = "big");
        for payload in [0, 1, 126] {
            assert!(is_plain(short_header(payload).unwrap()));
        }
        for total in [4, 5, 127, 128, 70_000, MAX_LENGTH] {
            let mut header = long_header(total).unwrap();
            assert!(is_plain(header[0]));
            // `VARATT_IS_4B_C`: bits 01 behind (before, on big-endian machines) the length.
            header[0] |= if big { 0x40 } else { 2 };
            assert!(!is_plain(header[0]));
        }
        // `VARATT_IS_1B_E`.
        assert!(!is_plain(if big { 0x80 } else { 1 }));
    }

    #[test]
    fn headers_hold_the_total_length() {
        assert_eq!(short_header(0), Some(0x03));
        assert_eq!(short_header(126), Some(0xff));
        assert_eq!(short_header(127), None);
        assert_eq!(long_header(4), Some([16, 0, 0, 0]));
        assert_eq!(long_header(MAX_LENGTH), Some([0xfc, 0xff, 0xff, 0xff]));
        assert_eq!(long_header(MAX_LENGTH + 1), None);
        for payload in [0, 1, 12, 126] {
            let header = short_header(payload).unwrap();
            assert!(is_short(header));
            assert_eq!(total_length(|_| header), payload + 1);
        }
        for total in [4, 5, 127, 128, 70_000, MAX_LENGTH] {
            let header = long_header(total).unwrap();
            assert!(!is_short(header[0]));
            assert_eq!(total_length(|at| header[at]), total);
        }
    }
}
