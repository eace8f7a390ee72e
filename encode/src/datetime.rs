//! Dates, times and intervals between DuckDB's epoch (1970-01-01) and PostgreSQL's (2000-01-01),
//! with PostgreSQL's limits (`datatype/timestamp.h`) and both systems' infinities.
//!
//! Functions return `None` for a value that the other side cannot hold.

/// Days from 1970-01-01 to 2000-01-01.
pub const EPOCH_DAYS: i32 = 10_957;
/// Microseconds from 1970-01-01 to 2000-01-01.
pub const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// 4714-11-24 BC, PostgreSQL's first day, in days from 2000-01-01.
const POSTGRES_FIRST_DAY: i32 = -2_451_545;
/// 5874897-12-31, PostgreSQL's last day, in days from 2000-01-01.
const POSTGRES_LAST_DAY: i32 = 2_145_031_948;
/// 4714-11-24 00:00:00 BC, in microseconds from 2000-01-01.
const POSTGRES_FIRST_MICRO: i64 = -211_813_488_000_000_000;
/// 294277-01-01 00:00:00, the first that is out of range, in microseconds from 2000-01-01.
const POSTGRES_END_MICRO: i64 = 9_223_371_331_200_000_000;

/// DuckDB's infinities: the largest value and its negative.
const DUCK_DATE_INFINITY: i32 = i32::MAX;
const DUCK_TIMESTAMP_INFINITY: i64 = i64::MAX;

/// Days from 1970 as days from 2000.
#[inline]
#[must_use]
pub fn date_from_duck(days: i32) -> Option<i32> {
    match days {
        DUCK_DATE_INFINITY => Some(i32::MAX),
        d if d == -DUCK_DATE_INFINITY => Some(i32::MIN),
        d => d
            .checked_sub(EPOCH_DAYS)
            .filter(|d| (POSTGRES_FIRST_DAY..=POSTGRES_LAST_DAY).contains(d)),
    }
}

/// Days from 2000 as days from 1970.
#[must_use]
pub fn date_to_duck(days: i32) -> Option<i32> {
    match days {
        i32::MAX => Some(DUCK_DATE_INFINITY),
        i32::MIN => Some(-DUCK_DATE_INFINITY),
        // DuckDB holds 5877642-06-25 BC to 5881580-07-10, all of PostgreSQL's range.
        d => d.checked_add(EPOCH_DAYS),
    }
}

/// Microseconds from 1970 as microseconds from 2000.
#[inline]
#[must_use]
pub fn timestamp_from_duck(micros: i64) -> Option<i64> {
    match micros {
        DUCK_TIMESTAMP_INFINITY => Some(i64::MAX),
        m if m == -DUCK_TIMESTAMP_INFINITY => Some(i64::MIN),
        m => m
            .checked_sub(EPOCH_MICROS)
            .filter(|m| (POSTGRES_FIRST_MICRO..POSTGRES_END_MICRO).contains(m)),
    }
}

/// Seconds (`factor` 1,000,000) or milliseconds (1,000) from 1970 as microseconds from 2000.
#[inline]
#[must_use]
pub fn timestamp_from_duck_coarse(value: i64, factor: i64) -> Option<i64> {
    if value == DUCK_TIMESTAMP_INFINITY || value == -DUCK_TIMESTAMP_INFINITY {
        return timestamp_from_duck(value);
    }
    let micros = value.checked_mul(factor)?;
    if micros == DUCK_TIMESTAMP_INFINITY || micros == -DUCK_TIMESTAMP_INFINITY {
        return None;
    }
    timestamp_from_duck(micros)
}

/// Nanoseconds from 1970 as microseconds from 2000, truncated towards 1970 as by DuckDB's own cast
/// of `TIMESTAMP_NS` to `TIMESTAMP`.
#[inline]
#[must_use]
pub fn timestamp_from_duck_nanos(nanos: i64) -> Option<i64> {
    if nanos == DUCK_TIMESTAMP_INFINITY || nanos == -DUCK_TIMESTAMP_INFINITY {
        return timestamp_from_duck(nanos);
    }
    timestamp_from_duck(nanos / 1000)
}

/// Microseconds from 2000 as microseconds from 1970. PostgreSQL's range ends in 294276, DuckDB's
/// already in January 294247.
#[must_use]
pub fn timestamp_to_duck(micros: i64) -> Option<i64> {
    match micros {
        i64::MAX => Some(DUCK_TIMESTAMP_INFINITY),
        i64::MIN => Some(-DUCK_TIMESTAMP_INFINITY),
        m => m.checked_add(EPOCH_MICROS).filter(|m| *m != DUCK_TIMESTAMP_INFINITY),
    }
}

/// A time with its offset as DuckDB packs it: microseconds in the upper 40 bits, 57,599 less the
/// offset in seconds east of UTC in the lower 24. Returns microseconds and the offset.
#[inline]
#[must_use]
pub fn unpack_timetz(bits: u64) -> Option<(i64, i32)> {
    let micros = i64::try_from(bits >> 24).ok()?;
    let encoded = i32::try_from(bits & 0xff_ffff).ok()?;
    Some((micros, 57_599 - encoded))
}

/// Microseconds since midnight; 24:00:00 is allowed on both sides.
#[inline]
#[must_use]
pub fn time_from_duck(micros: i64) -> Option<i64> {
    (0..=86_400_000_000).contains(&micros).then_some(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_keep_infinities_and_limits() {
        assert_eq!(date_from_duck(0), Some(-10_957));
        assert_eq!(date_from_duck(i32::MAX), Some(i32::MAX));
        assert_eq!(date_from_duck(-i32::MAX), Some(i32::MIN));
        // 4714-11-24 BC and the day before.
        assert_eq!(date_from_duck(-2_440_588), Some(-2_451_545));
        assert_eq!(date_from_duck(-2_440_589), None);
        // 5874897-12-31 and the day after.
        assert_eq!(date_from_duck(2_145_042_905), Some(2_145_031_948));
        assert_eq!(date_from_duck(2_145_042_906), None);
        assert_eq!(date_from_duck(i32::MIN), None);
        for days in [0, -10_957, POSTGRES_FIRST_DAY, POSTGRES_LAST_DAY, i32::MIN, i32::MAX] {
            assert_eq!(date_to_duck(days).and_then(date_from_duck), Some(days));
        }
    }

    #[test]
    fn timestamps_keep_infinities_and_limits() {
        assert_eq!(timestamp_from_duck(EPOCH_MICROS), Some(0));
        assert_eq!(timestamp_from_duck(i64::MAX), Some(i64::MAX));
        assert_eq!(timestamp_from_duck(-i64::MAX), Some(i64::MIN));
        assert_eq!(timestamp_from_duck(i64::MIN), None);
        let first = POSTGRES_FIRST_MICRO + EPOCH_MICROS;
        assert_eq!(timestamp_from_duck(first), Some(POSTGRES_FIRST_MICRO));
        assert_eq!(timestamp_from_duck(first - 1), None);
        assert_eq!(timestamp_from_duck(i64::MAX - 1), Some(i64::MAX - 1 - EPOCH_MICROS));
        assert_eq!(timestamp_to_duck(POSTGRES_END_MICRO - 1), None);
        assert_eq!(timestamp_to_duck(i64::MAX - EPOCH_MICROS), None);
        for micros in [0, POSTGRES_FIRST_MICRO, i64::MAX - 1 - EPOCH_MICROS, i64::MIN, i64::MAX] {
            assert_eq!(timestamp_to_duck(micros).and_then(timestamp_from_duck), Some(micros));
        }
    }

    #[test]
    fn coarse_timestamps_are_exact_or_refused() {
        let seconds = EPOCH_MICROS / 1_000_000;
        assert_eq!(timestamp_from_duck_coarse(seconds + 1, 1_000_000), Some(1_000_000));
        assert_eq!(timestamp_from_duck_coarse(seconds * 1000 - 1, 1000), Some(-1000));
        assert_eq!(timestamp_from_duck_coarse(i64::MAX, 1000), Some(i64::MAX));
        assert_eq!(timestamp_from_duck_coarse(-i64::MAX, 1000), Some(i64::MIN));
        assert_eq!(timestamp_from_duck_coarse(i64::MAX - 1, 1000), None);
        assert_eq!(timestamp_from_duck_coarse(i64::MIN, 1_000_000), None);
    }

    #[test]
    fn nanoseconds_are_truncated_towards_1970() {
        assert_eq!(timestamp_from_duck_nanos(1_999), Some(1 - EPOCH_MICROS));
        assert_eq!(timestamp_from_duck_nanos(-1_999), Some(-1 - EPOCH_MICROS));
        assert_eq!(timestamp_from_duck_nanos(i64::MAX), Some(i64::MAX));
        assert_eq!(timestamp_from_duck_nanos(-i64::MAX), Some(i64::MIN));
    }

    #[test]
    fn times_run_to_24_hours() {
        assert_eq!(time_from_duck(86_400_000_000), Some(86_400_000_000));
        assert_eq!(time_from_duck(86_400_000_001), None);
        assert_eq!(time_from_duck(-1), None);
    }
}
