//! The text that dates, times and other values have inside of jsonb: ISO 8601 as PostgreSQL's own
//! `to_jsonb` writes it, with all digits that DuckDB holds.

use crate::datetime::unpack_timetz;

const DUCK_DATE_INFINITY: i32 = i32::MAX;
const DUCK_TIMESTAMP_INFINITY: i64 = i64::MAX;
const DAY_SECONDS: i64 = 86_400;

/// Year (1 BC is 0), month and day of a day counted from 1970-01-01, in the proleptic Gregorian
/// calendar (the algorithm `civil_from_days` of H. Hinnant).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The date, and " BC" where it belongs at the very end.
fn date_parts(days: i64) -> (String, &'static str) {
    let (year, month, day) = civil(days);
    let (year, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    (format!("{year:04}-{month:02}-{day:02}"), era)
}

fn infinity(negative: bool) -> String {
    if negative { "-infinity" } else { "infinity" }.to_owned()
}

/// Days from 1970-01-01.
#[must_use]
pub fn date(days: i32) -> String {
    if days == DUCK_DATE_INFINITY || days == -DUCK_DATE_INFINITY {
        return infinity(days < 0);
    }
    let (date, era) = date_parts(days.into());
    date + era
}

/// A time of day in units of which `per_second` (a power of ten) make a second.
#[must_use]
pub fn time(value: i64, per_second: i64) -> String {
    let (seconds, fraction) = (value.div_euclid(per_second), value.rem_euclid(per_second));
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut text = format!("{hours:02}:{minutes:02}:{:02}", seconds % 60);
    if fraction != 0 {
        let digits = per_second.ilog10();
        let fraction = format!("{fraction:0width$}", width = usize::try_from(digits).unwrap_or(0));
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
    text
}

/// An offset in seconds east of UTC.
fn offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.unsigned_abs();
    let text = format!("{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    if seconds.is_multiple_of(60) { text } else { format!("{text}:{:02}", seconds % 60) }
}

/// A time with its offset, packed as DuckDB packs it.
#[must_use]
pub fn timetz(bits: u64) -> String {
    unpack_timetz(bits)
        .map_or_else(String::new, |(micros, east)| time(micros, 1_000_000) + &offset(east))
}

/// A timestamp in units of which `per_second` (a power of ten) make a second, from 1970-01-01.
/// `zone` is what stands after the time.
#[must_use]
pub fn timestamp(value: i64, per_second: i64, zone: &str) -> String {
    if value == DUCK_TIMESTAMP_INFINITY || value == -DUCK_TIMESTAMP_INFINITY {
        return infinity(value < 0);
    }
    let per_day = i128::from(per_second) * i128::from(DAY_SECONDS);
    let value = i128::from(value);
    let days = i64::try_from(value.div_euclid(per_day)).unwrap_or_default();
    let of_day = i64::try_from(value.rem_euclid(per_day)).unwrap_or_default();
    let (date, era) = date_parts(days);
    format!("{date}T{}{zone}{era}", time(of_day, per_second))
}

/// An interval in PostgreSQL's own style (IntervalStyle postgres).
#[must_use]
pub fn interval(months: i32, days: i32, micros: i64) -> String {
    let mut text = String::new();
    let mut before = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value == 0 {
            continue;
        }
        let space = if text.is_empty() { "" } else { " " };
        let plus = if before && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        text += &format!("{space}{plus}{value} {unit}{plural}");
        before = value < 0;
    }
    if micros != 0 || text.is_empty() {
        let space = if text.is_empty() { "" } else { " " };
        let sign = match micros {
            ..0 => "-",
            _ if before => "+",
            _ => "",
        };
        let magnitude = micros.unsigned_abs();
        let (seconds, fraction) = (magnitude / 1_000_000, magnitude % 1_000_000);
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        text += &format!("{space}{sign}{hours:02}:{minutes:02}:{:02}", seconds % 60);
        if fraction != 0 {
            text.push('.');
            text.push_str(format!("{fraction:06}").trim_end_matches('0'));
        }
    }
    text
}

/// Bytes as PostgreSQL's `bytea_output = hex` writes them.
#[must_use]
pub fn bytea(bytes: &[u8]) -> String {
    "\\x".to_owned() + &hex(bytes)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .collect()
}

/// The bytes of a UUID that DuckDB keeps as a HUGEINT with its top bit flipped, so that it sorts
/// as a signed number.
#[must_use]
pub fn uuid_bytes(value: i128) -> [u8; 16] {
    (value ^ i128::MIN).to_be_bytes()
}

#[must_use]
pub fn uuid(value: i128) -> String {
    let text = hex(&uuid_bytes(value));
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_iso() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(-719_162), "0001-01-01");
        assert_eq!(date(-719_163), "0001-12-31 BC");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(-2_440_588), "4714-11-24 BC");
        assert_eq!(date(2_145_042_905), "5874897-12-31");
        assert_eq!(date(i32::MAX), "infinity");
        assert_eq!(date(-i32::MAX), "-infinity");
    }

    #[test]
    fn every_day_of_400_years_follows_the_one_before() {
        let mut previous = civil(-1);
        for days in 0..146_097 {
            let (year, month, day) = civil(days);
            let leap = previous.0 % 4 == 0 && (previous.0 % 100 != 0 || previous.0 % 400 == 0);
            let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            let last = lengths[usize::try_from(previous.1 - 1).unwrap()];
            let expected = match previous {
                (y, 12, 31) => (y + 1, 1, 1),
                (y, m, d) if d == last => (y, m + 1, 1),
                (y, m, d) => (y, m, d + 1),
            };
            assert_eq!((year, month, day), expected);
            previous = expected;
        }
    }

    #[test]
    fn times_and_timestamps_drop_zeros_only() {
        assert_eq!(time(86_400_000_000, 1_000_000), "24:00:00");
        assert_eq!(time(45_296_789_000, 1_000_000), "12:34:56.789");
        assert_eq!(time(1, 1_000_000_000), "00:00:00.000000001");
        assert_eq!(timestamp(0, 1, ""), "1970-01-01T00:00:00");
        assert_eq!(timestamp(-1, 1_000_000_000, ""), "1969-12-31T23:59:59.999999999");
        assert_eq!(timestamp(1_500, 1000, "+00:00"), "1970-01-01T00:00:01.5+00:00");
        assert_eq!(timestamp(-62_135_596_801, 1, "+00:00"), "0001-12-31T23:59:59+00:00 BC");
        assert_eq!(timestamp(i64::MAX, 1, ""), "infinity");
        assert_eq!(timestamp(-i64::MAX, 1000, ""), "-infinity");
        assert_eq!(timestamp(i64::MIN + 2, 1_000_000, ""), "290309-12-21T19:59:05.224194 BC");
    }

    #[test]
    fn offsets_have_sign_and_seconds() {
        let pack = |micros: u64, east: i32| (micros << 24) | u64::try_from(57_599 - east).unwrap();
        assert_eq!(timetz(pack(0, 0)), "00:00:00+00:00");
        assert_eq!(timetz(pack(1_500_000, -19_800)), "00:00:01.5-05:30");
        assert_eq!(timetz(pack(86_400_000_000, 57_599)), "24:00:00+15:59:59");
        assert_eq!(timetz(pack(0, -57_599)), "00:00:00-15:59:59");
        assert_eq!(unpack_timetz(pack(5, -1)), Some((5, -1)));
    }

    #[test]
    fn intervals_are_as_postgresql_prints_them() {
        assert_eq!(interval(0, 0, 0), "00:00:00");
        assert_eq!(interval(14, -3, 14_706_000_001), "1 year 2 mons -3 days +04:05:06.000001");
        assert_eq!(interval(-14, 3, -1), "-1 years -2 mons +3 days -00:00:00.000001");
        assert_eq!(interval(1, 1, 0), "1 mon 1 day");
        assert_eq!(interval(0, 0, i64::MIN), "-2562047788:00:54.775808");
    }

    #[test]
    fn bytes_and_uuids_are_hex() {
        assert_eq!(bytea(&[0, 0x7f, 0xff]), "\\x007fff");
        assert_eq!(bytea(&[]), "\\x");
        assert_eq!(uuid(i128::MIN), "00000000-0000-0000-0000-000000000000");
        assert_eq!(uuid(i128::MAX), "ffffffff-ffff-ffff-ffff-ffffffffffff");
        assert_eq!(
            uuid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef ^ i128::MIN),
            "01234567-89ab-cdef-0123-456789abcdef"
        );
    }
}
