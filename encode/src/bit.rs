//! Bit strings. DuckDB: one byte with the number of padding bits, then the bits after that many
//! ones. PostgreSQL's varbit: the number of bits, then the bits, then zeros.

/// The number of bits of a DuckDB BIT value.
#[must_use]
pub fn len(bits: &[u8]) -> usize {
    match bits.split_first() {
        Some((padding, data)) => (data.len() * 8).saturating_sub(usize::from(*padding)),
        None => 0,
    }
}

/// Appends the bits of a DuckDB BIT value as PostgreSQL packs them.
pub fn append_packed(bits: &[u8], out: &mut Vec<u8>) {
    let Some((padding, data)) = bits.split_first() else {
        return;
    };
    let shift = u32::from(padding % 8);
    let count = len(bits).div_ceil(8);
    for index in 0..count {
        let this = u16::from(data[index]) << 8;
        let next = data.get(index + 1).map_or(0, |byte| u16::from(*byte));
        let [high, _] = ((this | next) << shift).to_be_bytes();
        out.push(high);
    }
}

/// The bits of a DuckDB BIT value as '0' and '1'.
#[must_use]
pub fn text(bits: &[u8]) -> String {
    let Some((padding, data)) = bits.split_first() else {
        return String::new();
    };
    let all = data.iter().flat_map(|byte| (0..8).rev().map(move |i| (byte >> i) & 1));
    all.skip(usize::from(*padding)).map(|bit| if bit == 1 { '1' } else { '0' }).collect()
}

/// `count` bits as PostgreSQL packs them, as '0' and '1'.
#[must_use]
pub fn unpack(count: usize, packed: &[u8]) -> String {
    let all = packed.iter().flat_map(|byte| (0..8).rev().map(move |i| (byte >> i) & 1));
    all.take(count).map(|bit| if bit == 1 { '1' } else { '0' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As DuckDB's `Bit::ToBit` packs it.
    fn duck(bits: &str) -> Vec<u8> {
        let padding = (8 - bits.len() % 8) % 8;
        let padded = "1".repeat(padding) + bits;
        let mut out = vec![u8::try_from(padding).unwrap()];
        out.extend(
            (0..padded.len() / 8)
                .map(|i| u8::from_str_radix(&padded[8 * i..8 * i + 8], 2).unwrap()),
        );
        out
    }

    #[test]
    fn every_length_keeps_its_bits() {
        let pattern = "1011000101110101000000011111111010010110";
        for start in 0..8 {
            for end in start..pattern.len() {
                let bits = &pattern[start..end];
                let value = duck(bits);
                assert_eq!(len(&value), bits.len());
                assert_eq!(text(&value), bits);
                let mut packed = Vec::new();
                append_packed(&value, &mut packed);
                assert_eq!(packed.len(), bits.len().div_ceil(8));
                assert_eq!(unpack(bits.len(), &packed), bits);
                let padding = packed.len() * 8 - bits.len();
                let unused =
                    packed.last().map_or(0, |byte| u16::from(*byte) & ((1 << padding) - 1));
                assert_eq!(unused, 0, "bits after the end are zero: {bits}");
            }
        }
    }
}
