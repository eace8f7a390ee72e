//! A foreign table as the catalogs have it, and the DuckDB SQL that reads it.
//!
//! The SQL takes each column by its name and holds it to the type that the table declares: a wider
//! type than the file's is cast, any other is error 42804 when rows are read. DuckDB knows a file's
//! types when it binds the statement and folds these checks away, so they cost nothing.

use std::sync::Arc;

use duck::server::ServerSpec;
use duck::sql::Sql;
use duck::{Column, LogicalType, sql, stored};
use pgrx::pg_sys::NodeTag as Tag;
use pgrx::{PgSqlErrorCode, pg_sys};

use super::options::{Format, Source};
use super::origin::Origin;
use super::text;
use crate::error::{Error, Result};
use crate::pg::catalog::{self, Attribute};
use crate::pg::nodes;
use crate::pg::parse::Constant;
use crate::types::{self, parameter};

/// What a row of a lake's table is called in our SQL, and the number of the system column that
/// PostgreSQL has for it (`ctid`). DuckLake's own rowid is not unique (DuckLake 1.0); a file and the
/// place in it are.
pub const ROW_COLUMN: &str = "pg_pond row";
#[expect(clippy::cast_possible_truncation, reason = "a small negative number")]
pub const ROW_NUMBER: i16 = pg_sys::SelfItemPointerAttributeNumber as i16;

/// What stands behind SELECT. A row count needs rows, and a row needs a column.
#[must_use]
pub fn select_list(items: Vec<Sql>) -> Sql {
    if items.is_empty() { sql!("1") } else { Sql::join(items, ", ") }
}

/// Whether the row of the relation called `alias` is the one that the text `row` means. The text is
/// taken apart rather than made for each row of the relation.
#[must_use]
pub fn is_row(alias: &Sql, row: &Sql) -> Sql {
    sql!(
        "{}.file_row_number = CAST(split_part({}, ' ', 1) AS BIGINT) \
         AND {}.filename = substr({}, strpos({}, ' ') + 1)",
        alias,
        row,
        alias,
        row,
        row
    )
}

/// A foreign table of the wrapper `duckdb`.
#[derive(Clone, Debug)]
pub struct LakeTable {
    pub relation: pg_sys::Oid,
    pub server: pg_sys::Oid,
    /// Qualified, for messages and EXPLAIN.
    pub name: String,
    /// By attribute number, from 0; `None` for dropped ones.
    pub columns: Vec<Option<LakeColumn>>,
    pub origin: Origin,
}

#[derive(Clone, Debug)]
pub struct LakeColumn {
    pub attribute: Attribute,
    /// What the files call it.
    pub file_name: String,
    /// What our SQL calls it: its own name, unless another one differs from it in case only.
    pub alias: String,
}

impl LakeTable {
    /// # Errors
    /// 42809 for a relation that is no foreign table of the wrapper, bad options, and HV024 where
    /// the server's location has moved away from the files.
    pub fn load(relation: pg_sys::Oid) -> Result<Self> {
        let table = catalog::foreign_table(relation).ok_or_else(|| {
            Error::new(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                "the relation is not a foreign table of wrapper duckdb",
            )
        })?;
        let server = catalog::server_by_oid(table.server).ok_or_else(|| {
            Error::new(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, "the foreign server is gone")
        })?;
        let origin = Origin::parse(&server, &table.relation_name, &table.options)?;
        if let Origin::Files(source) = &origin {
            check_location(&table.name, &server, source)?;
        }
        let mut columns: Vec<Option<LakeColumn>> = vec![];
        for attribute in table.attributes {
            let column = attribute.map(|attribute| {
                let clashes = columns.iter().flatten().any(|other: &LakeColumn| {
                    other.alias.to_lowercase() == attribute.name.to_lowercase()
                });
                let number = columns.len() + 1;
                let alias =
                    if clashes { format!("column {number}") } else { attribute.name.clone() };
                let named = attribute.options.iter().find(|(name, _)| name == "column_name");
                let file_name = named.map_or(&attribute.name, |(_, name)| name).clone();
                LakeColumn { attribute, file_name, alias }
            });
            columns.push(column);
        }
        Ok(Self { relation, server: table.server, name: table.name, columns, origin })
    }

    /// The column of an attribute number.
    #[must_use]
    pub fn column(&self, number: i16) -> Option<&LakeColumn> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.columns.get(index)?.as_ref()
    }

    /// `SELECT` of the columns with the given attribute numbers, under their aliases.
    ///
    /// # Errors
    /// 0A000 for a column type that DuckDB has nothing for.
    pub fn select(&self, numbers: &[i16]) -> Result<Sql> {
        let mut items = vec![];
        for column in numbers.iter().filter_map(|number| self.column(*number)) {
            let alias = sql!(" AS {}", sql::identifier(&column.alias));
            let alias = if column.alias == column.file_name { alias.elided() } else { alias };
            items.push(sql!("{}{}", self.column_sql(column)?, alias));
        }
        if numbers.contains(&ROW_NUMBER) && self.origin.lake().is_some() {
            let name = sql::identifier(ROW_COLUMN);
            items.push(sql!("concat(file_row_number, ' ', filename) AS {}", name));
        }
        Ok(sql!("SELECT {} FROM {}", select_list(items), self.call(numbers)?))
    }

    fn reads_floats(&self, numbers: &[i16]) -> bool {
        numbers.iter().filter_map(|number| self.column(*number)).any(|column| {
            let (oid, _) = base_type(column.attribute.type_oid, column.attribute.typmod);
            matches!(oid, pg_sys::FLOAT4OID | pg_sys::FLOAT8OID)
        })
    }

    /// The reader's call. Formats without types of their own are told the table's, where it is
    /// certain which columns are in the files: folders such as `day=2020-01-01` may add some.
    fn call(&self, numbers: &[i16]) -> Result<Sql> {
        let source = match &self.origin {
            Origin::Files(source) => source,
            Origin::Lake(relation) => return Ok(relation.from_item()),
        };
        if source.format == Format::Parquet && self.reads_floats(numbers) {
            // Other writers leave NaN out of a column's statistics; PostgreSQL's NaN is the greatest
            // number.
            return source.call(&[("can_have_nan", &Constant::Boolean(true))]);
        }
        if !self.reads_texts(source) {
            return source.call(&[]);
        }
        // Rows are lost where DuckDB begins at the line from which a file looks like a table of other
        // columns (1.5.5). It does not where it has to find a column; a mere count takes the first.
        let columns = || self.columns.iter().flatten();
        let first = columns().find(|column| self.read_type(column, source).is_some());
        let first = first.map(|column| column.attribute.number);
        let none = source.format == Format::Csv && !numbers.iter().any(|number| *number > 0);
        let numbers = if none { first.as_slice() } else { numbers };
        match (source.format, self.declared_types(source, numbers)) {
            (Format::Csv, Some((types, _))) => source.call(&[("types", &types)]),
            // Here a type for one column leaves out all others that have none.
            (Format::Json, Some((types, true))) => source.call(&[("columns", &types)]),
            _ => source.call(&[]),
        }
    }

    /// The DuckDB types by which the columns with these numbers are read from files without types,
    /// and whether all have one; `None` when none has.
    fn declared_types(&self, source: &Source, numbers: &[i16]) -> Option<(Constant, bool)> {
        let used = numbers.iter().filter_map(|number| self.column(*number));
        let in_files = used.filter(|column| {
            !(source.has("filename") && column.file_name.eq_ignore_ascii_case("filename"))
        });
        let types: Vec<_> = in_files
            .map(|column| (column.file_name.clone(), self.read_type(column, source)))
            .collect();
        let all = types.iter().all(|(_, read)| read.is_some());
        let fields = types
            .into_iter()
            .filter_map(|(name, read)| Some((name, serde_json::Value::String(read?))));
        let fields: serde_json::Map<_, _> = fields.collect();
        let any = !fields.is_empty();
        any.then(|| (Constant::Text(serde_json::Value::Object(fields).to_string()), all))
    }

    /// A query of all columns as the files have them: read as the table's queries read them, or as
    /// DuckDB itself would.
    ///
    /// # Errors
    /// An option that cannot be written.
    pub fn all_columns(&self, as_declared: bool) -> Result<String> {
        let call =
            if as_declared { self.call(&self.numbers())? } else { self.origin.from_item()? };
        Ok(sql!("SELECT * FROM {}", call).executed())
    }

    /// The numbers of all columns.
    #[must_use]
    pub fn numbers(&self) -> Vec<i16> {
        self.columns.iter().flatten().map(|column| column.attribute.number).collect()
    }

    /// The first of the columns with these numbers that is not as the table says, given the columns
    /// that the files have: 42703 or, if `types` count, 42804.
    #[must_use]
    pub fn difference(&self, found: &[Column], numbers: &[i16], types: bool) -> Option<Error> {
        let used = |column: &&LakeColumn| numbers.contains(&column.attribute.number);
        self.columns.iter().flatten().filter(used).find_map(|column| {
            let name = &column.attribute.name;
            let in_files = found.iter().find(|c| c.name.eq_ignore_ascii_case(&column.file_name));
            match in_files {
                Some(in_files) if !types || self.takes(column, &in_files.logical_type) => None,
                Some(in_files) => Some(Error::new(
                    PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                    self.mismatch(column) + &in_files.logical_type.to_string(),
                )),
                // Some readers have these without listing them.
                None if ["filename", "file_row_number"].contains(&column.file_name.as_str()) => {
                    None
                }
                None => Some(
                    Error::new(
                        PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                        format!(
                            "column \"{name}\" of foreign table \"{}\" does not exist in {}",
                            self.name,
                            self.place()
                        ),
                    )
                    // A file without a header has data for names.
                    .detail(listed(&self.origin, &column.file_name, found))
                    .quoting()
                    .hint(
                        "The column's option column_name says what it is called there: \
                         ALTER FOREIGN TABLE … ALTER COLUMN … OPTIONS (ADD column_name '…').",
                    ),
                ),
            }
        })
    }

    /// Where the rows come from, for messages.
    fn place(&self) -> &'static str {
        match self.origin {
            Origin::Files(_) => "the files",
            Origin::Lake(_) => "the lake",
        }
    }

    /// 58P01 that names the table, in place of one that names a file.
    #[must_use]
    pub fn files_are_gone(&self, error: Error) -> Error {
        error.reworded(match &self.origin {
            Origin::Files(_) => {
                format!("the files of foreign table \"{}\" do not exist", self.name)
            }
            Origin::Lake(_) => {
                format!("a file of the lake's table behind foreign table \"{}\" is gone", self.name)
            }
        })
    }

    /// What is wrong with a column of another type; the type follows.
    fn mismatch(&self, column: &LakeColumn) -> String {
        let attribute = &column.attribute;
        format!(
            "column \"{}\" of foreign table \"{}\" has type {}, but {} ",
            attribute.name,
            self.name,
            catalog::type_name(attribute.type_oid, attribute.typmod),
            match self.origin {
                Origin::Files(_) => "the files hold",
                Origin::Lake(_) => "the lake holds",
            }
        )
    }

    /// Whether conditions on a column of this type must not choose a lake's files. Of a FLOAT, or of a
    /// DOUBLE that was one, the least and greatest values are kept as rounded texts (DuckLake 1.0).
    fn has_loose_statistics(&self, oid: pg_sys::Oid) -> bool {
        self.origin.lake().is_some() && [pg_sys::FLOAT4OID, pg_sys::FLOAT8OID].contains(&oid)
    }

    /// A column by its name in the lake or the files, held to the type that the table declares.
    ///
    /// # Errors
    /// 0A000 for a column type that DuckDB has nothing for.
    pub fn column_sql(&self, column: &LakeColumn) -> Result<Sql> {
        let name = sql::identifier(&column.file_name);
        let attribute = &column.attribute;
        let (oid, typmod) = base_type(attribute.type_oid, attribute.typmod);
        if !fits_decimal(oid, typmod) {
            return Err(Error::not_supported(format!(
                "column \"{}\" of foreign table \"{}\" has the type {}, which DuckDB's DECIMAL \
                 cannot hold",
                attribute.name,
                self.name,
                catalog::type_name(attribute.type_oid, attribute.typmod)
            ))
            .hint("Declare it with at most 38 digits, or without precision."));
        }
        if let Some(source) = self.origin.files()
            && !(source.has("filename") && column.file_name.eq_ignore_ascii_case("filename"))
            && let Some((before, after)) = self.parsed(column, source, &name)
        {
            let (before, after) = rounded(oid, typmod, before, after);
            return Ok(within(before, &name, after));
        }
        let Some(check) = Check::of(oid, typmod) else {
            parameter::duck_type(attribute.type_oid, attribute.typmod).map_err(|_| {
                Error::not_supported(format!(
                    "column \"{}\" of foreign table \"{}\" has the type {}, which has no \
                     equivalent in DuckDB",
                    attribute.name,
                    self.name,
                    catalog::type_name(attribute.type_oid, attribute.typmod)
                ))
            })?;
            return Ok(name);
        };
        let (before, after) =
            check.around(&name, &format!("pg_pond 42804 {}", self.mismatch(column)));
        let (mut before, mut after) = rounded(oid, typmod, before, after);
        if self.has_loose_statistics(oid) {
            // What is behind a function, DuckLake does not look for in its statistics.
            before = sql!("least({}", before);
            after.push(&")");
        }
        Ok(within(before, &name, after))
    }
}

/// Whether values of the type may have fewer digits of a second than six.
#[must_use]
pub fn has_precision(oid: pg_sys::Oid) -> bool {
    [pg_sys::TIMEOID, pg_sys::TIMETZOID, pg_sys::TIMESTAMPOID, pg_sys::TIMESTAMPTZOID]
        .contains(&oid)
}

/// A column within what makes its value, which EXPLAIN leaves out.
fn within(before: Sql, name: &Sql, after: Sql) -> Sql {
    sql!("{}{}{}", before.elided(), name, after.elided())
}

/// What stands before and behind a column of such a type, with its values rounded as PostgreSQL
/// rounds them: halves away from zero, which is the year 2000.
fn rounded(oid: pg_sys::Oid, typmod: i32, before: Sql, after: Sql) -> (Sql, Sql) {
    const YEAR_2000: i64 = 946_684_800_000_000;
    let Some(scale) = u32::try_from(typmod)
        .ok()
        .filter(|digits| has_precision(oid) && *digits < 6)
        .and_then(|digits| 10_i64.checked_pow(6 - digits))
    else {
        return (before, after);
    };
    let half = scale / 2;
    let moment = |make: &'static str| {
        let since = sql!("(epoch_us(v) - {})", YEAR_2000);
        sql!(
            "CASE WHEN v IS NULL OR NOT isfinite(v) THEN v ELSE {}({} + \
             sign({}) * ((abs({}) + {}) // {} * {})) END",
            make,
            YEAR_2000,
            since,
            since,
            half,
            scale,
            scale
        )
    };
    let sum = sql!("((epoch_us(v) + {}) // {} * {})", half, scale, scale);
    let time = sql!(
        "CASE WHEN {} = 86400000000 THEN TIME '24:00:00' \
         ELSE CAST(TIME '00:00:00' + to_microseconds({}) AS TIME) END",
        sum,
        sum
    );
    let value = match oid {
        pg_sys::TIMESTAMPOID => moment("make_timestamp"),
        pg_sys::TIMESTAMPTZOID => moment("make_timestamptz"),
        pg_sys::TIMEOID => time,
        // What DuckDB writes for one, with its time rounded.
        _ => sql!(
            "CAST(list_transform([CAST(v AS TIME)], lambda v: {})[1] || \
             regexp_extract(CAST(v AS VARCHAR), '[-+].*$') AS TIME WITH TIME ZONE)",
            time
        ),
    };
    (sql!("list_transform([{}", before), sql!("{}], lambda v: {})[1]", after, value))
}

/// Looks at the columns that a lake's table has before it is written to.
pub type WriteCheck = Arc<dyn Fn(&[Column]) -> duck::Result<()> + Send + Sync>;

impl LakeTable {
    /// A query of the columns that are written, by their names in the lake, and what to ask of its
    /// result: that no value of the foreign table's types is rounded, which DuckDB does without a word.
    #[must_use]
    pub fn before_write(&self, names: &[String]) -> Option<(String, WriteCheck)> {
        let relation = self.origin.lake()?;
        let written: Vec<_> = self
            .columns
            .iter()
            .flatten()
            .filter(|column| names.contains(&column.file_name))
            .map(|column| {
                let attribute = &column.attribute;
                let base = base_type(attribute.type_oid, attribute.typmod);
                (column.file_name.clone(), base, self.mismatch(column))
            })
            .filter(|(_, (oid, _), _)| ROUNDED_TYPES.contains(oid))
            .collect();
        if written.is_empty() {
            return None;
        }
        let items = written.iter().map(|(name, ..)| sql::identifier(name)).collect();
        let sql = sql!("SELECT {} FROM {}", select_list(items), relation.name()).executed();
        let check = move |found: &[Column]| {
            for ((_, (oid, typmod), mismatch), column) in written.iter().zip(found) {
                if !column.logical_type.is_exact_in_files() {
                    return Err(duck::Error::new(
                        duck::ErrorKind::NotSupported,
                        format!(
                            "{mismatch}{}, whose values its files would change",
                            column.logical_type
                        ),
                    ));
                }
                if rounds(*oid, *typmod, &column.logical_type) {
                    return Err(duck::Error::new(
                        duck::ErrorKind::ColumnMismatch,
                        format!("{mismatch}{}, which would round values", column.logical_type),
                    ));
                }
            }
            Ok(())
        };
        Some((sql, Arc::new(check)))
    }
}

impl LakeTable {
    /// The names in the lake of the columns whose values may hold any text.
    #[must_use]
    pub fn text_columns(&self) -> Vec<String> {
        let columns = self.columns.iter().flatten();
        columns
            .filter(|column| {
                let attribute = &column.attribute;
                match parameter::duck_type(attribute.type_oid, attribute.typmod) {
                    Ok(logical_type) => stored::holds_text(&logical_type),
                    Err(_) => true,
                }
            })
            .map(|column| column.file_name.clone())
            .collect()
    }

    /// A query of columns by their numbers, and the question whether they are in the lake just as the
    /// foreign table declares them, so that an expression means the same without [`LakeTable::select`];
    /// `None` where they cannot be.
    #[must_use]
    pub fn as_declared(&self, numbers: &[i16]) -> Option<(String, WriteCheck)> {
        let relation = self.origin.lake()?;
        let mut types = vec![];
        let mut items = vec![];
        for number in numbers {
            let column = self.column(*number)?;
            let (oid, typmod) = (column.attribute.type_oid, column.attribute.typmod);
            let loose = [pg_sys::BPCHAROID, pg_sys::NUMERICOID].contains(&oid)
                && (oid == pg_sys::BPCHAROID || typmod == -1);
            let (base, _) = base_type(oid, typmod);
            if column.alias != column.file_name || loose || self.has_loose_statistics(base) {
                return None;
            }
            types.push(parameter::duck_type(oid, typmod).ok()?);
            items.push(sql::identifier(&column.file_name));
        }
        let sql = sql!("SELECT {} FROM {}", select_list(items), relation.name()).executed();
        let check = move |found: &[Column]| {
            let same = types.iter().zip(found).all(|(own, column)| *own == column.logical_type);
            let other = || duck::Error::new(duck::ErrorKind::ColumnMismatch, "another type");
            same.then_some(()).ok_or_else(other)
        };
        Some((sql, Arc::new(check)))
    }
}

/// Types whose values a lake's column that is read as them may be too narrow for.
const ROUNDED_TYPES: [pg_sys::Oid; 5] = [
    pg_sys::FLOAT4OID,
    pg_sys::FLOAT8OID,
    pg_sys::NUMERICOID,
    pg_sys::TIMESTAMPOID,
    pg_sys::TIMETZOID,
];

/// Whether DuckDB rounds values of a PostgreSQL type that it puts into a column.
fn rounds(oid: pg_sys::Oid, typmod: i32, column: &LogicalType) -> bool {
    let integer = INTEGERS.contains(&column.to_string().as_str());
    match (oid, column) {
        (pg_sys::FLOAT8OID, LogicalType::Double) => false,
        (pg_sys::FLOAT4OID, LogicalType::Double | LogicalType::Float) => false,
        (pg_sys::FLOAT4OID | pg_sys::FLOAT8OID, _) => true,
        (pg_sys::TIMESTAMPOID, _) => {
            matches!(column.to_string().as_str(), "TIMESTAMP_S" | "TIMESTAMP_MS" | "DATE")
        }
        (pg_sys::NUMERICOID, LogicalType::Decimal { scale, .. }) => {
            match parameter::duck_type(oid, typmod) {
                Ok(LogicalType::Decimal { scale: own, .. }) if typmod != -1 => own > *scale,
                _ => true,
            }
        }
        (pg_sys::NUMERICOID, _) if integer => match parameter::duck_type(oid, typmod) {
            Ok(LogicalType::Decimal { scale, .. }) if typmod != -1 => scale > 0,
            // What is wider than int8 is read as numeric.
            _ => false,
        },
        _ => false,
    }
}

/// A column of something else than a foreign table, held to the type that the statement was planned
/// with; `what` names it in the error.
///
/// # Errors
/// 0A000 for a type that DuckDB has nothing for.
pub fn held_to_type(name: &Sql, oid: pg_sys::Oid, typmod: i32, what: &str) -> Result<Sql> {
    let Some(check) = Check::of(oid, typmod) else {
        parameter::duck_type(oid, typmod)?;
        return Ok(name.clone());
    };
    let planned = catalog::type_name(oid, typmod);
    let message = format!("pg_pond 42804 {what} was planned as {planned}, but is now ");
    let (before, after) = check.around(name, &message);
    Ok(within(before, name, after))
}

/// Whether DuckDB may find columns in the names of folders.
fn may_have_folders(source: &Source) -> bool {
    let told = source.options.iter().find(|(name, _)| name == "hive_partitioning");
    match told {
        Some((_, Constant::Boolean(told))) => *told,
        _ => source.paths.iter().any(|path| {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            folder.contains(['=', '*', '?', '['])
        }),
    }
}

/// HV024 where the files lie outside of the server's location.
fn check_location(table: &str, server: &catalog::Server, source: &Source) -> Result<()> {
    let options: Vec<_> = server.options.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let spec = ServerSpec::new(&server.name, server.server_type.as_deref(), &options, &[])?;
    source.check_location(&spec).map_err(|error| {
        error.detail(format!("Foreign table \"{table}\" reads it.")).hint(
            "The server's location has changed since the table was made; \
             ALTER FOREIGN TABLE … OPTIONS (SET path '…') moves the table.",
        )
    })
}

/// The columns that are there, for a message.
fn listed(origin: &Origin, missing: &str, found: &[Column]) -> String {
    const MOST: usize = 40;
    let names: Vec<_> = found.iter().take(MOST).map(|c| format!("\"{}\"", c.name)).collect();
    let more = if found.len() > MOST { ", …" } else { "" };
    let names = names.join(", ");
    match origin {
        Origin::Files(_) => {
            format!("The files do not have \"{missing}\"; they have {names}{more}.")
        }
        Origin::Lake(_) => {
            format!("The table does not have \"{missing}\"; it has {names}{more}.")
        }
    }
}

impl LakeTable {
    /// The DuckDB type by which files without types are read; `None` for types that only the
    /// values decide.
    fn read_type(&self, column: &LakeColumn, source: &Source) -> Option<String> {
        if self.parsed(column, source, &Sql::new()).is_some() {
            return Some("VARCHAR".into());
        }
        let (oid, typmod) = base_type(column.attribute.type_oid, column.attribute.typmod);
        if oid == pg_sys::BYTEAOID {
            return Some("BLOB".into());
        }
        if let Some(check) = Check::of(oid, typmod) {
            return check.cast.map(|cast| cast.executed());
        }
        match parameter::duck_type(oid, typmod) {
            Ok(duck @ (LogicalType::List(_) | LogicalType::Json)) => Some(duck.to_string()),
            _ => None,
        }
    }

    /// Whether columns are read as text, whose types are the table's: not where the user says the types,
    /// where names of folders may be columns, or where DuckDB has made what JSON tells by itself.
    fn reads_texts(&self, source: &Source) -> bool {
        match source.format {
            Format::Csv => {}
            Format::Json if !self.is_made_of_json() => {}
            _ => return false,
        }
        !source.has("types") && !source.has("columns") && !may_have_folders(source)
    }

    /// Whether a column has a name that is no key: DuckDB calls keys that differ in case only `id` and
    /// `ID_1`, and an empty one `C0`. Or whether it is a list of moments, whose offsets DuckDB heeds
    /// only where it has found the type.
    fn is_made_of_json(&self) -> bool {
        let columns = || self.columns.iter().flatten();
        columns().any(|column| {
            let name = &column.file_name;
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let numbered = name.rsplit_once('_').filter(|(_, number)| digits(number));
            let is_second = numbered.is_some_and(|(first, _)| {
                columns().any(|other| other.file_name.eq_ignore_ascii_case(first))
            });
            let is_empty = name.strip_prefix('C').is_some_and(digits);
            let moments = [pg_sys::TIMESTAMPARRAYOID, pg_sys::TIMESTAMPTZARRAYOID];
            is_second || is_empty || moments.contains(&column.attribute.type_oid)
        })
    }

    /// What stands before and behind the column's `name` where the reader gives it as text; `None` where the reader
    /// itself makes the value: of types that only it knows, and by options that say how.
    fn parsed(&self, column: &LakeColumn, source: &Source, name: &Sql) -> Option<(Sql, Sql)> {
        let (oid, typmod) = base_type(column.attribute.type_oid, column.attribute.typmod);
        let told = |options: &[&str]| options.iter().any(|option| source.has(option));
        let by_option = match oid {
            pg_sys::DATEOID => told(&["dateformat"]),
            pg_sys::TIMESTAMPOID | pg_sys::TIMESTAMPTZOID => told(&["timestampformat"]),
            pg_sys::INT2OID
            | pg_sys::INT4OID
            | pg_sys::INT8OID
            | pg_sys::FLOAT4OID
            | pg_sys::FLOAT8OID
            | pg_sys::NUMERICOID => told(&["decimal_separator", "thousands"]),
            _ => false,
        };
        if !self.reads_texts(source) || by_option {
            return None;
        }
        text::parsed(name, oid, typmod, source.format == Format::Json)
    }

    /// Whether the column takes values of a type that a file has.
    fn takes(&self, column: &LakeColumn, found: &LogicalType) -> bool {
        if self
            .origin
            .files()
            .is_some_and(|source| self.parsed(column, source, &Sql::new()).is_some())
        {
            return *found == LogicalType::Varchar;
        }
        let (oid, typmod) = base_type(column.attribute.type_oid, column.attribute.typmod);
        match Check::of(oid, typmod) {
            Some(check) => check.takes(&found.to_string()),
            None => types::becomes("", found, oid),
        }
    }
}

/// Whether a numeric's precision and scale, if it has any, are those of a DECIMAL.
fn fits_decimal(oid: pg_sys::Oid, typmod: i32) -> bool {
    if oid != pg_sys::NUMERICOID || typmod == -1 {
        return true;
    }
    let duck = parameter::duck_type(oid, typmod);
    duck.and_then(|duck| types::pg_type("", &duck)).is_ok_and(|found| found.typmod == typmod)
}

/// The type below all domains.
#[must_use]
pub fn base_type(oid: pg_sys::Oid, typmod: i32) -> (pg_sys::Oid, i32) {
    let mut typmod = typmod;
    // SAFETY: a catalog look-up of an existing type.
    let oid = unsafe { pg_sys::getBaseTypeAndTypmod(oid, &raw mut typmod) };
    (oid, typmod)
}

/// Which types of a file a column takes, and what they are cast to.
struct Check {
    /// Names of DuckDB types, as `typeof` gives them.
    exact: Vec<&'static str>,
    /// Patterns of such names.
    like: Vec<String>,
    /// The type that the column has in our SQL; `None` for what the file's own type decides.
    cast: Option<Sql>,
    /// A char(n) is padded to its length.
    padded: Option<i32>,
    /// Names of types whose values the cast may round: taken where casting back gives the same.
    if_equal: Vec<&'static str>,
}

const INTEGERS: [&str; 10] = [
    "TINYINT",
    "UTINYINT",
    "SMALLINT",
    "USMALLINT",
    "INTEGER",
    "UINTEGER",
    "BIGINT",
    "UBIGINT",
    "HUGEINT",
    "UHUGEINT",
];

/// The type of a column that holds nothing but NULLs, as DuckDB writes it.
const NULL: &str = "\"NULL\"";

impl Check {
    /// `None` for types whose values pass as they are: arrays, jsonb.
    fn of(type_oid: pg_sys::Oid, typmod: i32) -> Option<Self> {
        let exact = |exact: &[&'static str], cast: &'static str| {
            Some(Self {
                exact: exact.to_vec(),
                like: vec![],
                cast: Some(Sql::of(cast, &[])),
                padded: None,
                if_equal: vec![],
            })
        };
        match type_oid {
            pg_sys::BOOLOID => exact(&["BOOLEAN"], "BOOLEAN"),
            pg_sys::INT2OID => exact(&INTEGERS, "SMALLINT"),
            pg_sys::INT4OID => exact(&INTEGERS, "INTEGER"),
            pg_sys::INT8OID => exact(&INTEGERS, "BIGINT"),
            pg_sys::FLOAT4OID => {
                exact(&["FLOAT", "TINYINT", "UTINYINT", "SMALLINT", "USMALLINT"], "FLOAT")
            }
            pg_sys::FLOAT8OID => {
                let mut types = INTEGERS[..6].to_vec();
                types.extend(["FLOAT", "DOUBLE"]);
                let mut check = exact(&types, "DOUBLE")?;
                check.if_equal = INTEGERS[6..].to_vec();
                Some(check)
            }
            pg_sys::NUMERICOID => Some(Self::numeric(typmod)),
            pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID => Some(Self {
                exact: vec!["VARCHAR", "JSON"],
                like: vec!["ENUM(%".into()],
                cast: Some(sql!("VARCHAR")),
                padded: (type_oid == pg_sys::BPCHAROID && typmod > 4).then_some(typmod - 4),
                if_equal: vec![],
            }),
            pg_sys::JSONOID => exact(&["JSON"], "JSON"),
            // There is no cast from GEOMETRY to BLOB; the values are the same bytes to us.
            pg_sys::BYTEAOID => Some(Self {
                exact: vec!["BLOB"],
                like: vec!["GEOMETRY%".into()],
                cast: None,
                padded: None,
                if_equal: vec![],
            }),
            pg_sys::UUIDOID => exact(&["UUID"], "UUID"),
            pg_sys::DATEOID => exact(&["DATE"], "DATE"),
            pg_sys::TIMEOID => exact(&["TIME", "TIME_NS"], "TIME"),
            pg_sys::TIMETZOID => exact(&["TIME WITH TIME ZONE"], "TIME WITH TIME ZONE"),
            pg_sys::TIMESTAMPOID => exact(
                &["TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE"],
                "TIMESTAMP",
            ),
            pg_sys::TIMESTAMPTZOID => {
                exact(&["TIMESTAMP WITH TIME ZONE"], "TIMESTAMP WITH TIME ZONE")
            }
            pg_sys::INTERVALOID => exact(&["INTERVAL"], "INTERVAL"),
            pg_sys::VARBITOID => exact(&["BIT"], "BIT"),
            _ if types::is_enum(type_oid) => Some(Self {
                exact: vec!["VARCHAR"],
                like: vec!["ENUM(%".into()],
                cast: Some(sql!("VARCHAR")),
                padded: None,
                if_equal: vec![],
            }),
            _ => None,
        }
    }

    /// Whether the check lets a type pass, as DuckDB writes it.
    fn takes(&self, name: &str) -> bool {
        let like = |pattern: &String| match pattern.split_once('%') {
            Some((start, end)) => name.starts_with(start) && name.ends_with(end),
            None => name == pattern,
        };
        self.exact.contains(&name)
            || self.if_equal.contains(&name)
            || name == NULL
            || self.like.iter().any(like)
    }

    /// numeric(p,s) takes integers, and decimals with no more digits behind the point; without
    /// precision it takes any decimal as it is.
    fn numeric(typmod: i32) -> Self {
        match parameter::duck_type(pg_sys::NUMERICOID, typmod) {
            Ok(LogicalType::Decimal { width, scale }) if typmod != -1 => Self {
                exact: INTEGERS.to_vec(),
                like: (0..=scale).map(|scale| format!("DECIMAL(%,{scale})")).collect(),
                cast: Some(sql!("DECIMAL({},{})", width, scale)),
                padded: None,
                if_equal: vec!["DOUBLE"],
            },
            _ => Self {
                exact: vec!["UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM"],
                like: vec!["DECIMAL(%".into()],
                cast: None,
                padded: None,
                if_equal: vec![],
            },
        }
    }

    /// What stands before and behind the column of this name.
    fn around(&self, name: &Sql, message: &str) -> (Sql, Sql) {
        let names = self.exact.iter().copied().chain([NULL]);
        let names = Sql::join(names.map(sql::literal), ", ");
        let mut tests = vec![sql!("typeof({}) IN ({})", name, names)];
        let likes = self.like.iter();
        tests.extend(likes.map(|like| sql!("typeof({}) LIKE {}", name, sql::literal(like))));
        let mut before = sql!("CASE WHEN {} THEN ", Sql::join(tests, " OR "));
        let mut after = Sql::new();
        if let Some(cast) = self.cast.as_ref().filter(|_| !self.if_equal.is_empty()) {
            let types = Sql::join(self.if_equal.iter().map(|name| sql::literal(name)), ", ");
            let wider = if *cast == sql!("DOUBLE") { "HUGEINT" } else { "DOUBLE" };
            let same = sql!(
                "TRY_CAST(TRY_CAST({} AS {}) AS {}) IS NOT DISTINCT FROM TRY_CAST({} AS {})",
                name,
                cast,
                wider,
                name,
                wider
            );
            let range = format!(
                "pg_pond 22003 a value cannot be held exactly by type {}: ",
                cast.executed()
            );
            after.push(&sql!(
                " WHEN typeof({}) IN ({}) THEN CASE WHEN {} THEN {} ELSE error({} || {}) END",
                name,
                types,
                same,
                name,
                sql::literal(&range),
                name
            ));
        }
        after.push(&sql!(" ELSE error({} || typeof({})) END", sql::literal(message), name));
        if let Some(cast) = &self.cast {
            before = sql!("CAST({}", before);
            after = sql!("{} AS {})", after, cast);
        }
        if let Some(length) = self.padded {
            before = sql!(
                "CASE WHEN length({}) < {} THEN rpad({}, {}, ' ') ELSE {}",
                name,
                length,
                name,
                length,
                before
            );
            after.push(&" END");
        }
        (before, after)
    }
}

/// Whether a range table entry reads a foreign table of the wrapper.
///
/// # Safety
/// `rte` is a live range table entry.
#[must_use]
pub unsafe fn is_ours(rte: *mut pg_sys::RangeTblEntry) -> bool {
    // SAFETY: by contract.
    unsafe {
        (*rte).rtekind == pg_sys::RTEKind::RTE_RELATION
            && (*rte).relkind.cast_unsigned() == pg_sys::RELKIND_FOREIGN_TABLE
            && catalog::is_our_foreign_table((*rte).relid)
    }
}

/// Whether any foreign table of ours is read. It runs for every statement of the server.
///
/// # Safety
/// A live query.
#[must_use]
pub unsafe fn reads_tables(query: *mut pg_sys::Query) -> bool {
    // SAFETY: by contract; each cast follows the tag.
    unsafe {
        if (*query).hasSubLinks {
            return nodes::walk(query.cast(), &mut |node| {
                let tag = Tag::T_RangeTblEntry;
                nodes::cast::<pg_sys::RangeTblEntry>(node, tag).is_some_and(|rte| is_ours(rte))
            });
        }
        nodes::items::<pg_sys::RangeTblEntry>((*query).rtable).any(|rte| {
            is_ours(rte)
                || ((*rte).rtekind == pg_sys::RTEKind::RTE_SUBQUERY
                    && !(*rte).subquery.is_null()
                    && reads_tables((*rte).subquery))
        }) || nodes::items::<pg_sys::CommonTableExpr>((*query).cteList).any(|cte| {
            let inner = nodes::cast::<pg_sys::Query>((*cte).ctequery, Tag::T_Query);
            inner.is_some_and(|inner| reads_tables(inner))
        })
    }
}
