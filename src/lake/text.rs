//! Values that files hold as text (CSV, and JSON, whose strings are dates and more) read as
//! PostgreSQL's input functions read them: the same value, or an error; never NULL or another value.
//!
//! DuckDB's own casts are lenient: `1.5` becomes the integer 2, `1e400` an infinity, a text that is no
//! TIMESTAMPTZ NULL. So the readers give such columns as VARCHAR, and the SQL made here parses them.
//! What DuckDB would write for a value is taken at once, which is nearly as fast as DuckDB's reader
//! (1.0 to 1.6 of its time); all else has to match a pattern of what both systems take for the same.

use duck::quote;
use pgrx::pg_sys;

use crate::pg::catalog;

/// What DuckDB calls the time zone of a session whose zone it does not have.
const NO_ZONE: &str = "Etc/Unknown";

const DATE: &str = "[0-9]{4,7}-[0-9]{1,2}-[0-9]{1,2}";
const TIME: &str = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{0,6})?)?";
const ZONE: &str = "(?:[Zz]|UTC|GMT|[-+](?:1[0-5]|0?[0-9])(?::?[0-5][0-9])?)";

/// The value of a text as a type.
struct Text<'a> {
    /// The column.
    name: &'a str,
    /// The text without blanks around it.
    trimmed: String,
    /// What PostgreSQL calls the type.
    type_name: String,
}

/// What stands before and behind the name of a VARCHAR column to make it a value of a PostgreSQL type;
/// `None` for types that are not parsed here. `keeps_offsets` says that a timestamp's offset is applied, as DuckDB's JSON reader
/// does, rather than dropped, as PostgreSQL's input function does.
#[must_use]
pub fn parsed(
    name: &str,
    oid: pg_sys::Oid,
    typmod: i32,
    keeps_offsets: bool,
) -> Option<(String, String)> {
    let text = Text {
        name,
        trimmed: format!("trim({name}, concat(' ', chr(9), chr(10), chr(12), chr(13)))"),
        type_name: catalog::type_name(oid, -1),
    };
    let canonical = |duck: &str| format!("CAST(TRY_CAST({name} AS {duck}) AS VARCHAR) = {name}");
    let (duck, quick, rest) = match oid {
        pg_sys::BOOLOID => ("BOOLEAN".to_owned(), canonical("BOOLEAN"), text.boolean()),
        pg_sys::INT2OID => ("SMALLINT".into(), canonical("SMALLINT"), text.integer("SMALLINT")),
        pg_sys::INT4OID => ("INTEGER".into(), canonical("INTEGER"), text.integer("INTEGER")),
        pg_sys::INT8OID => ("BIGINT".into(), canonical("BIGINT"), text.integer("BIGINT")),
        pg_sys::FLOAT4OID => ("FLOAT".into(), text.finite("FLOAT"), text.float("FLOAT")),
        pg_sys::FLOAT8OID => ("DOUBLE".into(), text.finite("DOUBLE"), text.float("DOUBLE")),
        pg_sys::NUMERICOID if typmod != -1 => {
            let duck = crate::types::parameter::duck_type(oid, typmod).ok()?.to_string();
            (duck.clone(), canonical(&duck), text.decimal(&duck))
        }
        // What DuckDB writes for years before Christ is another date to PostgreSQL.
        pg_sys::DATEOID => {
            ("DATE".into(), format!("length({name}) = 10 AND {}", canonical("DATE")), text.date())
        }
        pg_sys::TIMESTAMPOID => (
            "TIMESTAMP".into(),
            format!("length({name}) BETWEEN 19 AND 26 AND {}", canonical("TIMESTAMP")),
            text.timestamp(keeps_offsets),
        ),
        pg_sys::TIMESTAMPTZOID => {
            ("TIMESTAMP WITH TIME ZONE".into(), "false".into(), text.timestamptz())
        }
        pg_sys::TIMEOID => ("TIME".into(), canonical("TIME"), text.time()),
        pg_sys::TIMETZOID => {
            ("TIME WITH TIME ZONE".into(), canonical("TIME WITH TIME ZONE"), text.timetz())
        }
        pg_sys::INTERVALOID => ("INTERVAL".into(), "false".into(), text.interval()),
        pg_sys::UUIDOID => ("UUID".into(), canonical("UUID"), text.uuid()),
        pg_sys::BYTEAOID => ("BLOB".into(), "false".into(), text.bytea()),
        pg_sys::VARBITOID => ("BIT".into(), "false".into(), text.bits()),
        _ => return None,
    };
    let cases: String =
        rest.iter().map(|(test, value)| format!(" WHEN {test} THEN {value}")).collect();
    let invalid = text.error("22P02", "invalid input syntax for type");
    let after = format!(
        " IS NULL THEN NULL WHEN {quick} THEN TRY_CAST({name} AS {duck}){cases} ELSE {invalid} END \
         AS {duck})"
    );
    Some(("CAST(CASE WHEN ".into(), after))
}

type Cases = Vec<(String, String)>;

impl Text<'_> {
    fn error(&self, sqlstate: &str, message: &str) -> String {
        let before =
            quote::literal(&format!("pg_pond {sqlstate} {message} {}: \"", self.type_name));
        format!("error({before} || left({}, 200) || '\"')", self.name)
    }

    fn matches(&self, pattern: &str) -> String {
        format!("regexp_full_match({}, {})", self.trimmed, quote::literal(pattern))
    }

    fn is_one_of(&self, words: &[&str]) -> String {
        let words: Vec<_> = words.iter().map(|word| quote::literal(word)).collect();
        format!("lower({}) IN ({})", self.trimmed, words.join(", "))
    }

    /// The value of an expression that may be NULL for what is out of range.
    fn or_out_of_range(&self, value: &str, sqlstate: &str) -> String {
        format!("coalesce({value}, {})", self.error(sqlstate, "value out of range for type"))
    }

    fn boolean(&self) -> Cases {
        let yes = ["t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"];
        let no = ["f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"];
        vec![(self.is_one_of(&yes), "true".into()), (self.is_one_of(&no), "false".into())]
    }

    fn integer(&self, duck: &str) -> Cases {
        let value = format!("TRY_CAST({} AS {duck})", self.trimmed);
        vec![(self.matches("[-+]?[0-9]+"), self.or_out_of_range(&value, "22003"))]
    }

    fn decimal(&self, duck: &str) -> Cases {
        let value = format!("TRY_CAST({} AS {duck})", self.trimmed);
        let special = ["nan", "inf", "infinity", "+inf", "+infinity", "-inf", "-infinity"];
        vec![
            (
                self.matches(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?"),
                self.or_out_of_range(&value, "22003"),
            ),
            (self.is_one_of(&special), self.error("22003", "value out of range for type")),
        ]
    }

    /// A number as DuckDB writes it.
    fn finite(&self, duck: &str) -> String {
        let (name, value) = (self.name, format!("TRY_CAST({} AS {duck})", self.name));
        format!("CAST({value} AS VARCHAR) = {name} AND isfinite({value})")
    }

    fn float(&self, duck: &str) -> Cases {
        let value = format!("TRY_CAST({} AS {duck})", self.trimmed);
        let zero = self.matches(r"[-+]?[0.]*(?:[eE].*)?");
        let range = self.error("22003", "value out of range for type");
        let mut cases = vec![(
            self.matches(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"),
            format!(
                "CASE WHEN isinf({value}) OR {value} = 0 AND NOT {zero} THEN {range} \
                 ELSE coalesce({value}, {range}) END"
            ),
        )];
        for (words, value) in [
            (&["nan"][..], "nan"),
            (&["inf", "+inf", "infinity", "+infinity"], "infinity"),
            (&["-inf", "-infinity"], "-infinity"),
        ] {
            cases.push((self.is_one_of(words), format!("CAST('{value}' AS {duck})")));
        }
        cases
    }

    /// A group of a pattern.
    fn group(&self, pattern: &str, number: u8) -> String {
        format!("regexp_extract({}, {}, {number})", self.trimmed, quote::literal(pattern))
    }

    /// There is no year 0.
    fn has_year(&self) -> String {
        format!("NOT regexp_matches({}, '^0+-')", self.trimmed)
    }

    fn date(&self) -> Cases {
        let text = &self.trimmed;
        let range = |value: &str| self.or_out_of_range(value, "22008");
        let part = self.group(&format!("^({DATE})"), 1);
        let time = self.group(&format!("({TIME})"), 1);
        vec![
            (
                format!("{} AND {}", self.matches(DATE), self.has_year()),
                range(&format!("TRY_CAST({text} AS DATE)")),
            ),
            (
                format!("{} AND {}", self.matches(&format!("{DATE} [Bb][Cc]")), self.has_year()),
                range(&format!("TRY_CAST(concat({part}, ' (BC)') AS DATE)")),
            ),
            (
                self.matches("[1-9][0-9]{7}"),
                range(&format!(
                    "TRY_CAST(concat({text}[1:4], '-', {text}[5:6], '-', {text}[7:8]) AS DATE)"
                )),
            ),
            (
                format!(
                    "{} AND {}",
                    self.matches(&format!("{DATE}[ Tt]{TIME} ?{ZONE}?")),
                    self.has_year()
                ),
                range(&format!(
                    "CASE WHEN TRY_CAST({time} AS TIME) IS NOT NULL THEN TRY_CAST({part} AS DATE) END"
                )),
            ),
            (self.is_one_of(&["infinity", "-infinity"]), format!("CAST(lower({text}) AS DATE)")),
        ]
    }

    /// The patterns of a moment, and what it is without its offset.
    fn moments(&self, zone: &str) -> Cases {
        let text = &self.trimmed;
        let moment = self.group(&format!("^({DATE}[ Tt]{TIME})"), 1);
        // PostgreSQL rounds what is finer than a microsecond, in floating point.
        let whole = self.group(&format!(r"^({DATE}[ Tt][0-9]{{1,2}}:[0-9]{{2}}:[0-9]{{2}})\."), 1);
        let fraction = self.group(r":[0-9]{2}(\.[0-9]+)", 1);
        let bc = self.group(&format!("^{DATE}[ Tt]({TIME})"), 1);
        let date = self.group(&format!("^({DATE})"), 1);
        let year = self.has_year();
        vec![
            (
                format!("{} AND {year}", self.matches(DATE)),
                format!("CAST(TRY_CAST({text} AS DATE) AS TIMESTAMP)"),
            ),
            (
                format!("{} AND {year}", self.matches(&format!("{DATE}[ Tt]{TIME} ?{zone}"))),
                format!("TRY_CAST({moment} AS TIMESTAMP)"),
            ),
            (
                format!(
                    "{} AND {year}",
                    self.matches(&format!(
                        r"{DATE}[ Tt][0-9]{{1,2}}:[0-9]{{2}}:[0-9]{{2}}\.[0-9]{{7,30}} ?{zone}"
                    ))
                ),
                format!(
                    "TRY_CAST({whole} AS TIMESTAMP) + to_microseconds(CAST(round_even(\
                     CAST(concat('0', {fraction}) AS DOUBLE) * 1000000, 0) AS BIGINT))"
                ),
            ),
            (
                format!(
                    "{} AND {year}",
                    self.matches(&format!("{DATE}[ Tt]{TIME} ?{zone} [Bb][Cc]"))
                ),
                format!("TRY_CAST(concat({date}, ' (BC) ', {bc}) AS TIMESTAMP)"),
            ),
        ]
    }

    /// An offset's microseconds.
    fn offset(&self) -> String {
        let zone = format!("[0-9.] ?({ZONE})(?: [Bb][Cc])?$");
        let text = self.group(&zone, 1);
        let part = |pattern: &str| {
            format!("CAST('0' || regexp_extract({text}, {}, 1) AS BIGINT)", quote::literal(pattern))
        };
        let hours = part("^[-+]([0-9]{1,2})");
        let minutes = part("^[-+][0-9]{1,2}:?([0-9]{2})$");
        format!(
            "(CASE WHEN {text}[1] = '-' THEN -1 ELSE 1 END * ({hours} * 3600 + {minutes} * 60) \
             * 1000000)"
        )
    }

    fn infinities(&self, duck: &str) -> (String, String) {
        let text = &self.trimmed;
        (self.is_one_of(&["infinity", "-infinity"]), format!("CAST(lower({text}) AS {duck})"))
    }

    fn timestamp(&self, keeps_offsets: bool) -> Cases {
        let moved = if keeps_offsets {
            format!(" - to_microseconds({})", self.offset())
        } else {
            String::new()
        };
        let cases = self.moments(&format!("{ZONE}?")).into_iter();
        let mut cases: Cases = cases
            .map(|(test, value)| (test, self.or_out_of_range(&format!("{value}{moved}"), "22008")))
            .collect();
        cases.push(self.infinities("TIMESTAMP"));
        cases
    }

    fn timestamptz(&self) -> Cases {
        let offset = self.offset();
        let given = self.moments(ZONE).into_iter().skip(1).map(|(test, value)| {
            let moment = format!("make_timestamptz(epoch_us({value}) - {offset})");
            (test, self.or_out_of_range(&moment, "22008"))
        });
        let none = quote::literal(&format!(
            "pg_pond 22023 a {} without its offset needs a time zone that DuckDB has",
            self.type_name
        ));
        let local = self.moments("").into_iter().map(|(test, value)| {
            let moment = format!(
                "CASE WHEN current_setting('TimeZone') = '{NO_ZONE}' THEN error({none}) \
                 ELSE CAST({value} AS TIMESTAMP WITH TIME ZONE) END"
            );
            (test, self.or_out_of_range(&moment, "22008"))
        });
        let mut cases: Cases = given.chain(local).collect();
        cases.push(self.infinities("TIMESTAMP WITH TIME ZONE"));
        cases
    }

    fn time(&self) -> Cases {
        let value = format!("TRY_CAST({} AS TIME)", self.trimmed);
        vec![(self.matches(TIME), self.or_out_of_range(&value, "22008"))]
    }

    fn timetz(&self) -> Cases {
        let (time, offset) = (self.group(&format!("^({TIME})"), 1), self.offset());
        let minutes = format!("abs({offset}) // 60000000");
        let value = format!(
            "TRY_CAST(concat(CAST(TRY_CAST({time} AS TIME) AS VARCHAR), \
             CASE WHEN {offset} < 0 THEN '-' ELSE '+' END, \
             lpad(CAST({minutes} // 60 AS VARCHAR), 2, '0'), ':', \
             lpad(CAST({minutes} % 60 AS VARCHAR), 2, '0')) AS TIME WITH TIME ZONE)"
        );
        vec![(self.matches(&format!("{TIME} ?{ZONE}")), self.or_out_of_range(&value, "22008"))]
    }

    /// What PostgreSQL and DuckDB write, and whole numbers of units.
    fn interval(&self) -> Cases {
        let units = "(?:years?|mons?|months?|weeks?|days?|hours?|minutes?|mins?|seconds?|secs?)";
        let count = format!("[-+]?[0-9]{{1,9}} {units}");
        let clock = r"[-+]?[0-9]{1,9}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?";
        let pattern = format!("(?i)(?:{count}(?: {count})*(?: {clock})?|{clock})");
        let value = format!("TRY_CAST(replace({}, '+', '') AS INTERVAL)", self.trimmed);
        vec![(self.matches(&pattern), self.or_out_of_range(&value, "22008"))]
    }

    fn uuid(&self) -> Cases {
        let hex = "[0-9a-fA-F]";
        let digits = format!("{hex}{{8}}-{hex}{{4}}-{hex}{{4}}-{hex}{{4}}-{hex}{{12}}");
        let pattern = format!(r"{digits}|\{{{digits}\}}|{hex}{{32}}");
        let test = format!("regexp_full_match({}, {})", self.name, quote::literal(&pattern));
        vec![(test, format!("CAST({} AS UUID)", self.name))]
    }

    /// Hexadecimal digits, or text without a backslash.
    fn bytea(&self) -> Cases {
        let name = self.name;
        let hex = quote::literal(r"\\x(?:[0-9a-fA-F]{2})*");
        vec![
            (format!("regexp_full_match({name}, {hex})"), format!("unhex(substr({name}, 3))")),
            (format!(r"NOT contains({name}, '\')"), format!("encode({name})")),
        ]
    }

    fn bits(&self) -> Cases {
        let test = format!("regexp_full_match({}, '[01]+')", self.name);
        vec![(test, format!("CAST({} AS BIT)", self.name))]
    }
}
