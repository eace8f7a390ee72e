//! DuckDB's BIGNUM (`src/common/types/bignum.cpp`): three bytes with the number of bytes of the
//! magnitude and the sign, then the magnitude, most significant byte first. All bits of a negative
//! number are inverted.

use crate::numeric;

/// PostgreSQL's numeric has at most this many groups of four digits before the point.
const MAX_GROUPS: usize = 32_768;

/// Appends the numeric payload of a BIGNUM to `out`; `None` when it has more than the 131,072
/// digits of PostgreSQL's numeric.
#[must_use]
pub fn append_numeric(bignum: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (negative, magnitude) = decode(bignum);
    // 10^131072 has 54,427 bytes.
    if magnitude.len() > 54_427 {
        return None;
    }
    let groups = groups(&magnitude);
    if groups.len() > MAX_GROUPS {
        return None;
    }
    let weight = i32::try_from(groups.len()).ok()? - 1;
    numeric::append(negative, weight, 0, &groups, out)
}

/// The decimal text of a BIGNUM.
#[must_use]
pub fn text(bignum: &[u8]) -> String {
    let (negative, magnitude) = decode(bignum);
    let mut digits = String::with_capacity(1 + magnitude.len() * 5 / 2);
    for group in groups(&magnitude) {
        digits.push_str(&format!("{group:04}"));
    }
    let digits = digits.trim_start_matches('0');
    match (negative, digits) {
        (_, "") => "0".to_owned(),
        (true, digits) => format!("-{digits}"),
        (false, digits) => digits.to_owned(),
    }
}

/// Sign and magnitude, without leading zero bytes.
fn decode(bignum: &[u8]) -> (bool, Vec<u8>) {
    let (header, data) = bignum.split_at(bignum.len().min(3));
    let negative = header.first().is_some_and(|byte| byte & 0x80 == 0);
    let plain = data.iter().map(|byte| if negative { !byte } else { *byte });
    (negative, plain.skip_while(|byte| *byte == 0).collect())
}

/// The digits of base 10,000 of a magnitude, most significant first; the first may be zero.
fn groups(magnitude: &[u8]) -> Vec<u16> {
    const CHUNK: u64 = 100_000_000;
    // Words of 32 bits, most significant first.
    let mut words: Vec<u32> = magnitude
        .rchunks(4)
        .map(|chunk| chunk.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte)))
        .rev()
        .collect();
    let mut groups = Vec::with_capacity(words.len() * 5 / 2 + 2);
    let mut start = 0;
    while start < words.len() {
        let mut remainder: u64 = 0;
        for word in &mut words[start..] {
            let value = (remainder << 32) | u64::from(*word);
            // remainder < CHUNK, so the quotient has 32 bits.
            *word = u32::try_from(value / CHUNK).unwrap_or_default();
            remainder = value % CHUNK;
        }
        groups.push(u16::try_from(remainder % 10_000).unwrap_or_default());
        groups.push(u16::try_from(remainder / 10_000).unwrap_or_default());
        start += words[start..].iter().take_while(|word| **word == 0).count();
    }
    if groups.last() == Some(&0) {
        groups.pop();
    }
    groups.reverse();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As DuckDB's SetHeader and FromByteArray write it.
    fn bignum(negative: bool, magnitude: &[u8]) -> Vec<u8> {
        let header = u32::try_from(magnitude.len()).unwrap() | 0x80_0000;
        let mut bytes = header.to_be_bytes()[1..].to_vec();
        bytes.extend_from_slice(magnitude);
        if negative {
            bytes.iter_mut().for_each(|byte| *byte = !*byte);
        }
        bytes
    }

    fn expect(value: i128) {
        let magnitude = value.unsigned_abs().to_be_bytes();
        let first = magnitude.iter().position(|byte| *byte != 0).unwrap_or(15);
        let mut out = Vec::new();
        append_numeric(&bignum(value < 0, &magnitude[first..]), &mut out).unwrap();
        let mut expected = [0; numeric::MAX_PAYLOAD];
        let len = numeric::write_i128(value, 0, &mut expected);
        assert_eq!(out, expected[..len], "{value}");
        assert_eq!(text(&bignum(value < 0, &magnitude[first..])), value.to_string());
    }

    #[test]
    fn bignums_of_128_bits_equal_hugeints() {
        for value in [0, 1, -1, 255, 256, -256, 9_999, 10_000, 99_999_999, 100_000_000, i128::MAX] {
            expect(value);
            expect(-value);
        }
        let mut value: i128 = 1;
        for step in 0..120 {
            expect(value + step);
            expect(-value);
            value *= 2;
        }
    }

    #[test]
    fn powers_of_ten_keep_all_their_digits() {
        // 10^k as bytes, by repeated multiplication.
        let mut magnitude = vec![1u8];
        for k in 1..=2000 {
            let mut carry = 0u32;
            for byte in magnitude.iter_mut().rev() {
                let product = u32::from(*byte) * 10 + carry;
                *byte = u8::try_from(product & 0xff).unwrap();
                carry = product >> 8;
            }
            if carry > 0 {
                magnitude.insert(0, u8::try_from(carry).unwrap());
            }
            let mut out = Vec::new();
            append_numeric(&bignum(false, &magnitude), &mut out).unwrap();
            let mut expected = Vec::new();
            let group = [1, 10, 100, 1000][k % 4];
            let weight = i32::try_from(k / 4).unwrap();
            numeric::append(false, weight, 0, &[group], &mut expected).unwrap();
            assert_eq!(out, expected, "10^{k}");
        }
    }

    #[test]
    fn too_many_digits_are_refused() {
        let mut out = Vec::new();
        assert_eq!(append_numeric(&bignum(false, &vec![0xff; 54_427]), &mut out), None);
        assert_eq!(append_numeric(&bignum(false, &vec![0xff; 60_000]), &mut out), None);
        assert_eq!(append_numeric(&bignum(true, &vec![0xff; 54_000]), &mut out), Some(()));
    }
}
