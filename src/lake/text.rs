//! Values that files hold as text (CSV, and JSON, whose strings are dates and more) read as
//! PostgreSQL's input functions read them: the same value, or an error; never NULL or another value.
//!
//! DuckDB's own casts are lenient: `1.5` becomes the integer 2, `1e400` an infinity, a text that is no
//! TIMESTAMPTZ NULL. So the readers give such columns as VARCHAR, and the SQL made here parses them.
//! What DuckDB would write for a value is taken at once, which is nearly as fast as DuckDB's reader
//! (1.0 to 1.6 of its time); all else has to match a pattern of what both systems take for the same.

use duck::sql;
use duck::sql::{Part, Sql};
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
    name: &'a Sql,
    /// The text without blanks around it.
    trimmed: Sql,
    /// What PostgreSQL calls the type.
    type_name: String,
}

/// What stands before and behind the name of a VARCHAR column to make it a value of a PostgreSQL type;
/// `None` for types that are not parsed here. `keeps_offsets` says that a timestamp's offset is
/// applied, as DuckDB's JSON reader does, rather than dropped, as PostgreSQL's input function does.
#[must_use]
pub fn parsed(
    name: &Sql,
    oid: pg_sys::Oid,
    typmod: i32,
    keeps_offsets: bool,
) -> Option<(Sql, Sql)> {
    let text = Text {
        name,
        trimmed: sql!("trim({}, concat(' ', chr(9), chr(10), chr(12), chr(13)))", name),
        type_name: catalog::type_name(oid, -1),
    };
    let canonical = |duck: &dyn Part| {
        Sql::of("CAST(TRY_CAST({} AS {}) AS VARCHAR) = {}", &[&name, duck, &name])
    };
    let (duck, quick, rest) = match oid {
        pg_sys::BOOLOID => (sql!("BOOLEAN"), canonical(&"BOOLEAN"), text.boolean()),
        pg_sys::INT2OID => (sql!("SMALLINT"), canonical(&"SMALLINT"), text.integer("SMALLINT")),
        pg_sys::INT4OID => (sql!("INTEGER"), canonical(&"INTEGER"), text.integer("INTEGER")),
        pg_sys::INT8OID => (sql!("BIGINT"), canonical(&"BIGINT"), text.integer("BIGINT")),
        pg_sys::FLOAT4OID => (sql!("FLOAT"), text.finite("FLOAT"), text.float("FLOAT")),
        pg_sys::FLOAT8OID => (sql!("DOUBLE"), text.finite("DOUBLE"), text.float("DOUBLE")),
        pg_sys::NUMERICOID if typmod != -1 => {
            let duck = sql!("{}", crate::types::parameter::duck_type(oid, typmod).ok()?);
            (duck.clone(), canonical(&duck), text.decimal(&duck))
        }
        // What DuckDB writes for years before Christ is another date to PostgreSQL.
        pg_sys::DATEOID => {
            (sql!("DATE"), sql!("length({}) = 10 AND {}", name, canonical(&"DATE")), text.date())
        }
        pg_sys::TIMESTAMPOID => (
            sql!("TIMESTAMP"),
            sql!("length({}) BETWEEN 19 AND 26 AND {}", name, canonical(&"TIMESTAMP")),
            text.timestamp(keeps_offsets),
        ),
        pg_sys::TIMESTAMPTZOID => {
            (sql!("TIMESTAMP WITH TIME ZONE"), sql!("false"), text.timestamptz())
        }
        pg_sys::TIMEOID => (sql!("TIME"), canonical(&"TIME"), text.time()),
        pg_sys::TIMETZOID => {
            (sql!("TIME WITH TIME ZONE"), canonical(&"TIME WITH TIME ZONE"), text.timetz())
        }
        pg_sys::INTERVALOID => (sql!("INTERVAL"), sql!("false"), text.interval()),
        pg_sys::UUIDOID => (sql!("UUID"), canonical(&"UUID"), text.uuid()),
        pg_sys::BYTEAOID => (sql!("BLOB"), sql!("false"), text.bytea()),
        pg_sys::VARBITOID => (sql!("BIT"), sql!("false"), text.bits()),
        _ => return None,
    };
    let cases = rest.iter().map(|(test, value)| sql!(" WHEN {} THEN {}", test, value));
    let cases = Sql::join(cases, "");
    let invalid = text.error("22P02", "invalid input syntax for type");
    let after = sql!(
        " IS NULL THEN NULL WHEN {} THEN TRY_CAST({} AS {}){} ELSE {} END \
         AS {})",
        quick,
        name,
        duck,
        cases,
        invalid,
        duck
    );
    Some((sql!("CAST(CASE WHEN "), after))
}

type Cases = Vec<(Sql, Sql)>;

impl Text<'_> {
    fn error(&self, sqlstate: &str, message: &str) -> Sql {
        let before = sql::literal(&format!("pg_pond {sqlstate} {message} {}: \"", self.type_name));
        sql!("error({} || left({}, 200) || '\"')", before, self.name)
    }

    fn matches(&self, pattern: &str) -> Sql {
        sql!("regexp_full_match({}, {})", self.trimmed, sql::literal(pattern))
    }

    fn is_one_of(&self, words: &[&str]) -> Sql {
        let words = Sql::join(words.iter().map(|word| sql::literal(word)), ", ");
        sql!("lower({}) IN ({})", self.trimmed, words)
    }

    /// The value of an expression that may be NULL for what is out of range.
    fn or_out_of_range(&self, value: &Sql, sqlstate: &str) -> Sql {
        sql!("coalesce({}, {})", value, self.error(sqlstate, "value out of range for type"))
    }

    fn boolean(&self) -> Cases {
        let yes = ["t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"];
        let no = ["f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"];
        vec![(self.is_one_of(&yes), sql!("true")), (self.is_one_of(&no), sql!("false"))]
    }

    fn integer(&self, duck: &'static str) -> Cases {
        let value = sql!("TRY_CAST({} AS {})", self.trimmed, duck);
        vec![(self.matches("[-+]?[0-9]+"), self.or_out_of_range(&value, "22003"))]
    }

    fn decimal(&self, duck: &Sql) -> Cases {
        let value = sql!("TRY_CAST({} AS {})", self.trimmed, duck);
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
    fn finite(&self, duck: &'static str) -> Sql {
        let (name, value) = (self.name, sql!("TRY_CAST({} AS {})", self.name, duck));
        sql!("CAST({} AS VARCHAR) = {} AND isfinite({})", value, name, value)
    }

    fn float(&self, duck: &'static str) -> Cases {
        let value = sql!("TRY_CAST({} AS {})", self.trimmed, duck);
        let zero = self.matches(r"[-+]?[0.]*(?:[eE].*)?");
        let range = self.error("22003", "value out of range for type");
        let mut cases = vec![(
            self.matches(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"),
            sql!(
                "CASE WHEN isinf({}) OR {} = 0 AND NOT {} THEN {} \
                 ELSE coalesce({}, {}) END",
                value,
                value,
                zero,
                range,
                value,
                range
            ),
        )];
        for (words, value) in [
            (&["nan"][..], "nan"),
            (&["inf", "+inf", "infinity", "+infinity"], "infinity"),
            (&["-inf", "-infinity"], "-infinity"),
        ] {
            cases.push((self.is_one_of(words), sql!("CAST('{}' AS {})", value, duck)));
        }
        cases
    }

    /// A group of a pattern.
    fn group(&self, pattern: &str, number: u8) -> Sql {
        sql!("regexp_extract({}, {}, {})", self.trimmed, sql::literal(pattern), number)
    }

    /// There is no year 0.
    fn has_year(&self) -> Sql {
        sql!("NOT regexp_matches({}, '^0+-')", self.trimmed)
    }

    fn date(&self) -> Cases {
        let text = &self.trimmed;
        let range = |value: &Sql| self.or_out_of_range(value, "22008");
        let part = self.group(&format!("^({DATE})"), 1);
        let time = self.group(&format!("({TIME})"), 1);
        vec![
            (
                sql!("{} AND {}", self.matches(DATE), self.has_year()),
                range(&sql!("TRY_CAST({} AS DATE)", text)),
            ),
            (
                sql!("{} AND {}", self.matches(&format!("{DATE} [Bb][Cc]")), self.has_year()),
                range(&sql!("TRY_CAST(concat({}, ' (BC)') AS DATE)", part)),
            ),
            (
                self.matches("[1-9][0-9]{7}"),
                range(&sql!(
                    "TRY_CAST(concat({}[1:4], '-', {}[5:6], '-', {}[7:8]) AS DATE)",
                    text,
                    text,
                    text
                )),
            ),
            (
                sql!(
                    "{} AND {}",
                    self.matches(&format!("{DATE}[ Tt]{TIME} ?{ZONE}?")),
                    self.has_year()
                ),
                range(&sql!(
                    "CASE WHEN TRY_CAST({} AS TIME) IS NOT NULL THEN TRY_CAST({} AS DATE) END",
                    time,
                    part
                )),
            ),
            (self.is_one_of(&["infinity", "-infinity"]), sql!("CAST(lower({}) AS DATE)", text)),
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
                sql!("{} AND {}", self.matches(DATE), year),
                sql!("CAST(TRY_CAST({} AS DATE) AS TIMESTAMP)", text),
            ),
            (
                sql!("{} AND {}", self.matches(&format!("{DATE}[ Tt]{TIME} ?{zone}")), year),
                sql!("TRY_CAST({} AS TIMESTAMP)", moment),
            ),
            (
                sql!(
                    "{} AND {}",
                    self.matches(&format!(
                        r"{DATE}[ Tt][0-9]{{1,2}}:[0-9]{{2}}:[0-9]{{2}}\.[0-9]{{7,30}} ?{zone}"
                    )),
                    year
                ),
                sql!(
                    "TRY_CAST({} AS TIMESTAMP) + to_microseconds(CAST(round_even(\
                     CAST(concat('0', {}) AS DOUBLE) * 1000000, 0) AS BIGINT))",
                    whole,
                    fraction
                ),
            ),
            (
                sql!(
                    "{} AND {}",
                    self.matches(&format!("{DATE}[ Tt]{TIME} ?{zone} [Bb][Cc]")),
                    year
                ),
                sql!("TRY_CAST(concat({}, ' (BC) ', {}) AS TIMESTAMP)", date, bc),
            ),
        ]
    }

    /// An offset's microseconds.
    fn offset(&self) -> Sql {
        let zone = format!("[0-9.] ?({ZONE})(?: [Bb][Cc])?$");
        let text = self.group(&zone, 1);
        let part = |pattern: &str| {
            sql!("CAST('0' || regexp_extract({}, {}, 1) AS BIGINT)", text, sql::literal(pattern))
        };
        let hours = part("^[-+]([0-9]{1,2})");
        let minutes = part("^[-+][0-9]{1,2}:?([0-9]{2})$");
        sql!(
            "(CASE WHEN {}[1] = '-' THEN -1 ELSE 1 END * ({} * 3600 + {} * 60) \
             * 1000000)",
            text,
            hours,
            minutes
        )
    }

    fn infinities(&self, duck: &'static str) -> (Sql, Sql) {
        let text = &self.trimmed;
        (self.is_one_of(&["infinity", "-infinity"]), sql!("CAST(lower({}) AS {})", text, duck))
    }

    fn timestamp(&self, keeps_offsets: bool) -> Cases {
        let moved = keeps_offsets.then(|| sql!(" - to_microseconds({})", self.offset()));
        let cases = self.moments(&format!("{ZONE}?")).into_iter();
        let mut cases: Cases = cases
            .map(|(test, value)| (test, self.or_out_of_range(&sql!("{}{}", value, moved), "22008")))
            .collect();
        cases.push(self.infinities("TIMESTAMP"));
        cases
    }

    fn timestamptz(&self) -> Cases {
        let offset = self.offset();
        let given = self.moments(ZONE).into_iter().skip(1).map(|(test, value)| {
            let moment = sql!("make_timestamptz(epoch_us({}) - {})", value, offset);
            (test, self.or_out_of_range(&moment, "22008"))
        });
        let none = sql::literal(&format!(
            "pg_pond 22023 a {} without its offset needs a time zone that DuckDB has",
            self.type_name
        ));
        let local = self.moments("").into_iter().map(|(test, value)| {
            let moment = sql!(
                "CASE WHEN current_setting('TimeZone') = '{}' THEN error({}) \
                 ELSE CAST({} AS TIMESTAMP WITH TIME ZONE) END",
                NO_ZONE,
                none,
                value
            );
            (test, self.or_out_of_range(&moment, "22008"))
        });
        let mut cases: Cases = given.chain(local).collect();
        cases.push(self.infinities("TIMESTAMP WITH TIME ZONE"));
        cases
    }

    fn time(&self) -> Cases {
        let value = sql!("TRY_CAST({} AS TIME)", self.trimmed);
        vec![(self.matches(TIME), self.or_out_of_range(&value, "22008"))]
    }

    fn timetz(&self) -> Cases {
        let (time, offset) = (self.group(&format!("^({TIME})"), 1), self.offset());
        let minutes = sql!("abs({}) // 60000000", offset);
        let value = sql!(
            "TRY_CAST(concat(CAST(TRY_CAST({} AS TIME) AS VARCHAR), \
             CASE WHEN {} < 0 THEN '-' ELSE '+' END, \
             lpad(CAST({} // 60 AS VARCHAR), 2, '0'), ':', \
             lpad(CAST({} % 60 AS VARCHAR), 2, '0')) AS TIME WITH TIME ZONE)",
            time,
            offset,
            minutes,
            minutes
        );
        vec![(self.matches(&format!("{TIME} ?{ZONE}")), self.or_out_of_range(&value, "22008"))]
    }

    /// What PostgreSQL and DuckDB write, and whole numbers of units.
    fn interval(&self) -> Cases {
        let units = "(?:years?|mons?|months?|weeks?|days?|hours?|minutes?|mins?|seconds?|secs?)";
        let count = format!("[-+]?[0-9]{{1,9}} {units}");
        let clock = r"[-+]?[0-9]{1,9}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?";
        let pattern = format!("(?i)(?:{count}(?: {count})*(?: {clock})?|{clock})");
        let value = sql!("TRY_CAST(replace({}, '+', '') AS INTERVAL)", self.trimmed);
        vec![(self.matches(&pattern), self.or_out_of_range(&value, "22008"))]
    }

    fn uuid(&self) -> Cases {
        let hex = "[0-9a-fA-F]";
        let digits = format!("{hex}{{8}}-{hex}{{4}}-{hex}{{4}}-{hex}{{4}}-{hex}{{12}}");
        let pattern = format!(r"{digits}|\{{{digits}\}}|{hex}{{32}}");
        let test = sql!("regexp_full_match({}, {})", self.name, sql::literal(&pattern));
        vec![(test, sql!("CAST({} AS UUID)", self.name))]
    }

    /// Hexadecimal digits, or text without a backslash.
    fn bytea(&self) -> Cases {
        let name = self.name;
        let hex = sql::literal(r"\\x(?:[0-9a-fA-F]{2})*");
        vec![
            (sql!("regexp_full_match({}, {})", name, hex), sql!("unhex(substr({}, 3))", name)),
            (sql!(r"NOT contains({}, '\')", name), sql!("encode({})", name)),
        ]
    }

    fn bits(&self) -> Cases {
        let test = sql!("regexp_full_match({}, '[01]+')", self.name);
        vec![(test, sql!("CAST({} AS BIT)", self.name))]
    }
}
