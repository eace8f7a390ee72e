//! PostgreSQL's numeric (`src/backend/utils/adt/numeric.c`): a header with sign, display scale and
//! weight, then digits in base 10,000, most significant first, without zeros at either end.
//!
//! What is written here is the payload, without the varlena header.

/// The short header: 6 bits of display scale, 7 bits of weight.
const SHORT: u16 = 0x8000;
const SHORT_NEGATIVE: u16 = 0x2000;
const SHORT_SCALE_SHIFT: u16 = 7;
const SHORT_SCALE_MAX: u16 = 63;
const SHORT_WEIGHT_NEGATIVE: u16 = 0x40;
const SHORT_WEIGHT_MASK: u16 = 0x3f;
/// The long header: sign and scale in one word, the weight in the next.
const LONG_NEGATIVE: u16 = 0x4000;
const LONG_SCALE_MASK: u16 = 0x3fff;
const SPECIAL: u16 = 0xc000;
const NAN: u16 = 0xc000;
const NEGATIVE_INFINITY: u16 = 0xf000;

/// More groups than numbers of 128 bits have, at any scale: 39 digits and 3 of alignment.
const GROUPS: usize = 12;

/// The most bytes that a number of 128 bits has.
pub const MAX_PAYLOAD: usize = 2 + 2 * GROUPS;

/// The powers of ten that 128 bits hold.
const POWERS: [u128; 39] = {
    let mut powers = [1; 39];
    let mut i = 1;
    while i < 39 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// Writes `unscaled` / 10^`scale`, for a scale of at most 38, to the start of `out`, and returns
/// the length; what follows is undefined. A number of up to 128 bits with such a scale always has
/// the short header.
#[inline]
#[must_use]
pub fn write_i64(unscaled: i64, scale: u8, out: &mut [u8; MAX_PAYLOAD]) -> usize {
    write_64(unscaled < 0, unscaled.unsigned_abs(), scale, out)
}

/// As [`write_i64`], without a scale.
#[inline]
#[must_use]
pub fn write_u64(value: u64, out: &mut [u8; MAX_PAYLOAD]) -> usize {
    write_64(false, value, 0, out)
}

/// As [`write_i64`].
#[inline]
#[must_use]
pub fn write_i128(unscaled: i128, scale: u8, out: &mut [u8; MAX_PAYLOAD]) -> usize {
    write_128(unscaled < 0, unscaled.unsigned_abs(), scale, out)
}

/// As [`write_i64`], without a scale.
#[inline]
#[must_use]
pub fn write_u128(value: u128, out: &mut [u8; MAX_PAYLOAD]) -> usize {
    write_128(false, value, 0, out)
}

/// `value` modulo 10,000, and the rest.
#[inline(always)]
fn split(value: u64) -> (u16, u64) {
    // The remainder is below 10,000.
    (u16::try_from(value % 10_000).unwrap_or_default(), value / 10_000)
}

/// The header and at most six groups fit 128 bits, which are put together in registers and stored
/// at once: groups stored one by one and then copied would wait for each other.
#[inline(always)]
fn write_64(negative: bool, magnitude: u64, scale: u8, out: &mut [u8; MAX_PAYLOAD]) -> usize {
    // The lowest group holds as many decimal digits as make the scale a multiple of four; the
    // divisions are by constants, so that they become multiplications.
    let (low, mut rest) = match scale % 4 {
        0 => (magnitude % 10_000, magnitude / 10_000),
        1 => ((magnitude % 10) * 1000, magnitude / 10),
        2 => ((magnitude % 100) * 100, magnitude / 100),
        _ => ((magnitude % 1000) * 10, magnitude / 1000),
    };
    // The most significant group ends up lowest, that is, first in memory. Zeros before the first
    // other group leave the word as it is, and are not counted.
    let mut word = u128::from(split(low).0.to_le());
    let mut stored = usize::from(word != 0);
    let mut groups: i16 = 1;
    while rest != 0 {
        let (group, next) = split(rest);
        word = (word << 16) | u128::from(group.to_le());
        stored += usize::from(word != 0);
        groups += 1;
        rest = next;
    }
    let weight = if word == 0 { 0 } else { groups - i16::from(scale.div_ceil(4)) - 1 };
    // A zero is never negative here: its magnitude came from a zero.
    let header = short_header(negative, weight, u16::from(scale));
    let word = (word << 16) | u128::from(header.to_le());
    out[..16].copy_from_slice(&word.to_le_bytes());
    2 + 2 * stored
}

#[inline]
fn write_128(negative: bool, magnitude: u128, scale: u8, out: &mut [u8; MAX_PAYLOAD]) -> usize {
    match u64::try_from(magnitude) {
        Ok(magnitude) => write_64(negative, magnitude, scale, out),
        Err(_) => write_wide(negative, magnitude, scale, out),
    }
}

/// Numbers of more than 64 bits.
fn write_wide(negative: bool, magnitude: u128, scale: u8, out: &mut [u8; MAX_PAYLOAD]) -> usize {
    const CHUNK: u128 = 10_000_000_000_000_000;
    let low_digits = if scale.is_multiple_of(4) { 4 } else { scale % 4 };
    let divisor = POWERS[usize::from(low_digits)];
    let low = (magnitude % divisor) * POWERS[usize::from(4 - low_digits)];
    // Filled from the end.
    let mut groups = [0; GROUPS];
    let mut start = GROUPS - 1;
    groups[start] = u16::try_from(low).unwrap_or_default();
    let mut rest = magnitude / divisor;
    while rest != 0 {
        // Sixteen digits at a time, as divisions of 128 bits are slow.
        let mut chunk = u64::try_from(rest % CHUNK).unwrap_or_default();
        rest /= CHUNK;
        for _ in 0..4 {
            if chunk == 0 && rest == 0 {
                break;
            }
            let (group, next) = split(chunk);
            start -= 1;
            groups[start] = group;
            chunk = next;
        }
    }
    let trailing = groups.iter().rev().take_while(|group| **group == 0).count();
    // At most 12 groups.
    let weight =
        i16::try_from(GROUPS - start).unwrap_or_default() - i16::from(scale.div_ceil(4)) - 1;
    let groups = &groups[start..GROUPS - trailing];
    let header = short_header(negative, weight, u16::from(scale));
    let (words, _) = out.as_chunks_mut::<2>();
    for (slot, word) in words.iter_mut().zip([&header].into_iter().chain(groups)) {
        *slot = word.to_ne_bytes();
    }
    2 + 2 * groups.len()
}

#[inline(always)]
fn short_header(negative: bool, weight: i16, scale: u16) -> u16 {
    let sign = if negative { SHORT_NEGATIVE } else { 0 };
    let weight_sign = if weight < 0 { SHORT_WEIGHT_NEGATIVE } else { 0 };
    let weight = u16::from_ne_bytes(weight.to_ne_bytes()) & SHORT_WEIGHT_MASK;
    SHORT | sign | (scale << SHORT_SCALE_SHIFT) | weight_sign | weight
}

/// Appends the payload of any number to `out`. `groups` are digits of base 10,000, the first of
/// which counts 10,000^`weight`; zeros at the start and at the end are dropped. `None` when
/// PostgreSQL's numeric cannot hold the number.
#[must_use]
pub fn append(
    negative: bool,
    weight: i32,
    scale: u16,
    groups: &[u16],
    out: &mut Vec<u8>,
) -> Option<()> {
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let trailing = groups[leading..].iter().rev().take_while(|group| **group == 0).count();
    let groups = &groups[leading..groups.len() - trailing];
    let zero = groups.is_empty();
    let negative = negative && !zero;
    let weight = if zero { 0 } else { weight.checked_sub(i32::try_from(leading).ok()?)? };
    let weight = i16::try_from(weight).ok()?;
    if scale > LONG_SCALE_MASK {
        return None;
    }
    if scale <= SHORT_SCALE_MAX && (-64..=63).contains(&weight) {
        out.extend_from_slice(&short_header(negative, weight, scale).to_ne_bytes());
    } else {
        let sign = if negative { LONG_NEGATIVE } else { 0 };
        out.extend_from_slice(&(sign | scale).to_ne_bytes());
        out.extend_from_slice(&weight.to_ne_bytes());
    }
    for group in groups {
        out.extend_from_slice(&group.to_ne_bytes());
    }
    Some(())
}

/// Appends the payload of the shortest decimal number that reads back as `value`, which is the
/// number that PostgreSQL's `to_jsonb` makes of a float; `None` for NaN and infinities.
#[must_use]
pub fn append_f64(value: f64, out: &mut Vec<u8>) -> Option<()> {
    value.is_finite().then(|| append_scientific(&format!("{value:e}"), out))?
}

/// As [`append_f64`].
#[must_use]
pub fn append_f32(value: f32, out: &mut Vec<u8>) -> Option<()> {
    value.is_finite().then(|| append_scientific(&format!("{value:e}"), out))?
}

/// Appends a number written as `[-]d[.d…]e[-]d…`.
fn append_scientific(number: &str, out: &mut Vec<u8>) -> Option<()> {
    let (mantissa, exponent) = number.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|digit| digit - b'0').collect();
    let fraction_len = i32::try_from(fraction.len()).ok()?;
    // The power of ten of the first digit, and of the first digit of its group.
    let weight = exponent.div_euclid(4);
    let before = usize::try_from(3 - exponent.rem_euclid(4)).ok()?;
    let aligned: Vec<u8> = std::iter::repeat_n(0, before).chain(digits).collect();
    let groups: Vec<u16> = aligned
        .chunks(4)
        .map(|chunk| (0..4).fold(0, |n, i| n * 10 + u16::from(chunk.get(i).copied().unwrap_or(0))))
        .collect();
    let scale = u16::try_from((fraction_len - exponent).max(0)).ok()?;
    append(negative, weight, scale, &groups, out)
}

/// What a numeric's payload says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decoded<'a> {
    NotANumber,
    Infinity { negative: bool },
    Finite(Parts<'a>),
}

/// A finite numeric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parts<'a> {
    pub negative: bool,
    pub weight: i32,
    /// The number of decimal digits after the point that are shown.
    pub scale: u16,
    groups: &'a [[u8; 2]],
}

/// Reads a payload, which has at least two bytes.
#[must_use]
pub fn decode(payload: &[u8]) -> Option<Decoded<'_>> {
    let (words, _) = payload.as_chunks::<2>();
    let (header, rest) = words.split_first()?;
    let header = u16::from_ne_bytes(*header);
    if header & SPECIAL == SPECIAL {
        return Some(match header & 0xf000 {
            NAN => Decoded::NotANumber,
            sign => Decoded::Infinity { negative: sign == NEGATIVE_INFINITY },
        });
    }
    Some(Decoded::Finite(if header & SHORT != 0 {
        let weight = i32::from(header & SHORT_WEIGHT_MASK);
        Parts {
            negative: header & SHORT_NEGATIVE != 0,
            weight: if header & SHORT_WEIGHT_NEGATIVE != 0 { weight - 64 } else { weight },
            scale: (header >> SHORT_SCALE_SHIFT) & SHORT_SCALE_MAX,
            groups: rest,
        }
    } else {
        let (weight, groups) = rest.split_first()?;
        Parts {
            negative: header & LONG_NEGATIVE != 0,
            weight: i32::from(i16::from_ne_bytes(*weight)),
            scale: header & LONG_SCALE_MASK,
            groups,
        }
    }))
}

impl Parts<'_> {
    fn group(&self, index: usize) -> u16 {
        u16::from_ne_bytes(self.groups[index])
    }

    /// The number of digits after the point that the value needs, at most [`Parts::scale`].
    #[must_use]
    pub fn needed_scale(&self) -> u16 {
        let Some(last) = self.groups.len().checked_sub(1) else {
            return 0;
        };
        let groups_after_point = i32::try_from(last).unwrap_or(i32::MAX) - self.weight;
        let group = self.group(last);
        let zeros = (1..4).take_while(|n| group.is_multiple_of(10u16.pow(*n))).count();
        let zeros = i32::try_from(zeros).unwrap_or_default();
        u16::try_from(groups_after_point.saturating_mul(4).saturating_sub(zeros)).unwrap_or(0)
    }

    /// The value times 10^`scale`; `None` unless that is a whole number of at most 38 digits.
    #[must_use]
    pub fn unscaled(&self, scale: u8) -> Option<i128> {
        let Some(last) = self.groups.len().checked_sub(1) else {
            return Some(0);
        };
        if last > GROUPS {
            return None;
        }
        // The power of ten that one unit of the last group counts in the result.
        let shift = (self.weight - i32::try_from(last).ok()?) * 4 + i32::from(scale);
        let mut value: u128 = 0;
        for index in 0..last {
            value = value.checked_mul(10_000)?.checked_add(u128::from(self.group(index)))?;
        }
        let group = u128::from(self.group(last));
        let value = if shift >= 0 {
            let value = value.checked_mul(10_000)?.checked_add(group)?;
            value.checked_mul(*POWERS.get(usize::try_from(shift).ok()?)?)?
        } else {
            // The last group is not zero, so four digits less would not be exact.
            let dropped = usize::try_from(-shift).ok().filter(|n| *n < 4)?;
            if group % POWERS[dropped] != 0 {
                return None;
            }
            value.checked_mul(POWERS[4 - dropped])?.checked_add(group / POWERS[dropped])?
        };
        if value >= POWERS[38] {
            return None;
        }
        let value = i128::try_from(value).ok()?;
        Some(if self.negative { -value } else { value })
    }
}

/// The most digits that a DECIMAL of DuckDB's has.
pub const DUCK_WIDTH: u8 = 38;

/// Whether a number has at most `width` digits.
#[must_use]
pub fn fits_width(unscaled: i128, width: u8) -> bool {
    POWERS.get(usize::from(width)).is_none_or(|limit| unscaled.unsigned_abs() < *limit)
}

/// `unscaled` / 10^`from` as a number with the scale `to`; `None` when that is not exact, or
/// beyond 128 bits.
#[must_use]
pub fn rescale(unscaled: i128, from: u8, to: u8) -> Option<i128> {
    let power = |n: u8| i128::try_from(*POWERS.get(usize::from(n))?).ok();
    if to >= from {
        return unscaled.checked_mul(power(to - from)?);
    }
    let divisor = power(from - to)?;
    (unscaled % divisor == 0).then(|| unscaled / divisor)
}

/// The decimal text of `unscaled` / 10^`scale`.
#[must_use]
pub fn decimal_text(unscaled: i128, scale: u8) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if scale == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

#[cfg(test)]
#[path = "numeric_tests.rs"]
mod tests;
