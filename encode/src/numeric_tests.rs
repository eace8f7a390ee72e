use super::*;

/// xorshift64*, so that every run checks the same numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Numbers of all lengths, round ones among them.
    fn i128(&mut self) -> i128 {
        let wide = (u128::from(self.next()) << 64) | u128::from(self.next());
        let shift = u32::try_from(self.next() % 128).unwrap();
        let value = i128::try_from((wide >> shift) >> 1).unwrap();
        let value = match self.next() % 4 {
            0 => {
                let power = 10i128.pow(u32::try_from(self.next() % 38).unwrap());
                value / power * power
            }
            _ => value,
        };
        if self.next().is_multiple_of(2) { value } else { -value }
    }
}

/// The payload by way of the decimal text, as numeric_in builds it.
fn slow(text: &str) -> Vec<u8> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut digits = "0".repeat((4 - whole.len() % 4) % 4) + whole;
    let mut weight = i32::try_from(digits.len() / 4).unwrap() - 1;
    digits += fraction;
    digits += &"0".repeat((4 - fraction.len() % 4) % 4);
    let mut groups: Vec<u16> =
        (0..digits.len() / 4).map(|i| digits[4 * i..4 * i + 4].parse().unwrap()).collect();
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    let negative = negative && !groups.is_empty();
    let scale = u16::try_from(fraction.len()).unwrap();
    let mut out = Vec::new();
    if scale <= 63 && (-64..=63).contains(&weight) {
        let mut header = 0x8000 | (scale << 7);
        if negative {
            header |= 0x2000;
        }
        header |= if weight < 0 {
            0x40 | u16::try_from(weight + 64).unwrap()
        } else {
            u16::try_from(weight).unwrap()
        };
        out.extend_from_slice(&header.to_ne_bytes());
    } else {
        let header = scale | if negative { 0x4000 } else { 0 };
        out.extend_from_slice(&header.to_ne_bytes());
        out.extend_from_slice(&i16::try_from(weight).unwrap().to_ne_bytes());
    }
    for group in groups {
        out.extend_from_slice(&group.to_ne_bytes());
    }
    out
}

fn bytes(write: impl Fn(&mut [u8; MAX_PAYLOAD]) -> usize) -> Vec<u8> {
    let mut out = [0xee; MAX_PAYLOAD];
    let len = write(&mut out);
    out[..len].to_vec()
}

fn check(unscaled: i128, scale: u8) {
    let text = decimal_text(unscaled, scale);
    let expected = slow(&text);
    assert_eq!(bytes(|out| write_i128(unscaled, scale, out)), expected, "{text}");
    if let Ok(narrow) = i64::try_from(unscaled) {
        assert_eq!(bytes(|out| write_i64(narrow, scale, out)), expected, "{text}");
    }
    let Some(Decoded::Finite(parts)) = decode(&expected) else { panic!("{text} is finite") };
    assert_eq!(parts.scale, u16::from(scale), "{text}");
    if unscaled.unsigned_abs() < POWERS[38] {
        assert_eq!(parts.unscaled(scale), Some(unscaled), "{text}");
    }
    let needed = text.split_once('.').map_or(0, |(_, f)| f.trim_end_matches('0').len());
    assert_eq!(usize::from(parts.needed_scale()), needed, "{text}");
    if needed > 0 {
        let less = u8::try_from(needed - 1).unwrap();
        assert_eq!(parts.unscaled(less), None, "{text} does not fit scale {less}");
    }
}

#[test]
fn decimals_are_written_as_numeric_in_writes_them() {
    let mut random = Random(0x5eed);
    for round in 0..600_000 {
        check(random.i128(), u8::try_from(round % 39).unwrap());
    }
}

#[test]
fn edges_are_written_as_numeric_in_writes_them() {
    for scale in 0..=38 {
        for power in POWERS {
            let power = i128::try_from(power).unwrap();
            for delta in -1..=1 {
                check(power + delta, scale);
                check(-power + delta, scale);
            }
        }
        for value in [i128::MIN, i128::MAX, i64::MIN.into(), i64::MAX.into(), 9999, 10_000] {
            check(value, scale);
        }
    }
    assert_eq!(bytes(|out| write_u64(u64::MAX, out)), slow("18446744073709551615"));
    assert_eq!(
        bytes(|out| write_u128(u128::MAX, out)),
        slow("340282366920938463463374607431768211455")
    );
}

#[test]
fn numeric_negative_fraction_keeps_sign() {
    assert_eq!(decimal_text(-5, 2), "-0.05");
    let payload = bytes(|out| write_i64(-5, 2, out));
    assert_eq!(payload, [0x7f, 0xa1, 0xf4, 0x01]);
    let Some(Decoded::Finite(parts)) = decode(&payload) else { panic!("finite") };
    assert!(parts.negative);
    assert_eq!((parts.weight, parts.scale, parts.unscaled(2)), (-1, 2, Some(-5)));
}

#[test]
fn zero_has_no_digits_and_no_sign() {
    assert_eq!(bytes(|out| write_i64(0, 2, out)), [0x00, 0x81]);
    assert_eq!(bytes(|out| write_i128(0, 38, out)), slow(&decimal_text(0, 38)));
    let mut out = Vec::new();
    append_f64(-0.0, &mut out).unwrap();
    assert_eq!(out, [0x00, 0x80]);
}

#[test]
fn floats_become_their_shortest_decimal() {
    let mut random = Random(0xf10a7);
    let mut values =
        vec![f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 0.1, 1.0, 1e15, 1e22, 123.456];
    values.extend((0..100_000).map(|_| f64::from_bits(random.next())));
    for value in values.into_iter().filter(|value| value.is_finite()) {
        let mut out = Vec::new();
        append_f64(value, &mut out).unwrap();
        // Display prints the shortest digits without an exponent.
        assert_eq!(out, slow(&format!("{value}")), "{value:e}");
    }
    let mut out = Vec::new();
    append_f32(0.1, &mut out).unwrap();
    assert_eq!(out, slow("0.1"));
    assert_eq!(append_f64(f64::NAN, &mut out), None);
    assert_eq!(append_f32(f32::INFINITY, &mut out), None);
}

#[test]
fn special_values_are_told_apart() {
    let decoded = |header: u16| decode(&header.to_ne_bytes()).map(|d| format!("{d:?}")).unwrap();
    assert_eq!(decoded(0xc000), "NotANumber");
    assert_eq!(decoded(0xd000), "Infinity { negative: false }");
    assert_eq!(decoded(0xf000), "Infinity { negative: true }");
    assert_eq!(decode(&[]), None);
}

#[test]
fn numbers_beyond_38_digits_do_not_fit() {
    for text in
        ["100000000000000000000000000000000000000", "0.00000000000000000000000000000000000001"]
    {
        let payload = slow(text);
        let Some(Decoded::Finite(parts)) = decode(&payload) else { panic!("finite") };
        assert_eq!(parts.unscaled(0), None, "{text}");
    }
    let payload = slow("0.00000000000000000000000000000000000001");
    let Some(Decoded::Finite(parts)) = decode(&payload) else { panic!("finite") };
    assert_eq!(parts.unscaled(38), Some(1));
}

#[test]
fn rescaling_is_exact_or_refused() {
    assert_eq!(rescale(-150, 2, 1), Some(-15));
    assert_eq!(rescale(-151, 2, 1), None);
    assert_eq!(rescale(-15, 1, 3), Some(-1500));
    assert_eq!(rescale(i128::MAX, 0, 1), None);
    assert_eq!(rescale(0, 0, 38), Some(0));
    assert!(fits_width(99, 2) && fits_width(-99, 2) && !fits_width(100, 2) && !fits_width(-100, 2));
    assert!(fits_width(99_999_999_999_999_999_999_999_999_999_999_999_999, 38));
    assert!(!fits_width(100_000_000_000_000_000_000_000_000_000_000_000_000, 38));
}
