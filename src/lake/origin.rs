//! What a foreign table reads: files, or a table of a lake.

use duck::policy::{Expected, RelationName};
use duck::sql;
use duck::sql::Sql;
use pgrx::PgSqlErrorCode;

use super::options::{self, Source};
use crate::error::{Error, Result};
use crate::pg::catalog::Server;

/// What a foreign table reads.
#[derive(Clone, Debug)]
pub enum Origin {
    Files(Source),
    Lake(LakeRelation),
}

/// A table or view of a lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeRelation {
    /// The server's name, which DuckDB knows the lake by.
    pub lake: String,
    pub schema: String,
    pub table: String,
    pub moment: Moment,
}

/// Which snapshot of a lake is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// The newest when the transaction first looks.
    #[default]
    Newest,
    Version(i64),
    /// The newest that was there then, as DuckDB reads it.
    Timestamp(String),
}

/// The options of foreign tables on lakes.
pub const LAKE_OPTIONS: [&str; 4] = ["schema_name", "table_name", "timestamp", "version"];

impl Origin {
    /// Reads the options of a foreign table called `name` on `server`.
    ///
    /// # Errors
    /// As [`Source::parse`], and as [`LakeRelation::parse`].
    pub fn parse(server: &Server, name: &str, options: &[(String, String)]) -> Result<Self> {
        if server.is_lake() {
            return LakeRelation::parse(&server.name, name, options).map(Self::Lake);
        }
        Source::parse(options).map(Self::Files)
    }

    /// Checks options without knowing the server.
    ///
    /// # Errors
    /// As [`Origin::parse`].
    pub fn check(options: &[(String, String)]) -> Result<()> {
        let of_lake = |(name, _): &(String, String)| LAKE_OPTIONS.contains(&name.as_str());
        // `version` is an option of Delta and Iceberg as well.
        if options.iter().all(of_lake) {
            LakeRelation::parse("", "", options).map(drop)
        } else {
            Source::parse(options).map(drop)
        }
    }

    /// What stands behind FROM.
    ///
    /// # Errors
    /// An option that cannot be written.
    pub fn from_item(&self) -> Result<Sql> {
        match self {
            Self::Files(source) => source.call(&[]),
            Self::Lake(relation) => Ok(relation.from_item()),
        }
    }

    /// What the item uses.
    ///
    /// # Errors
    /// As [`Origin::from_item`].
    pub fn expected(&self) -> Result<Expected> {
        match self {
            Self::Files(source) => source.expected(),
            Self::Lake(relation) => Ok(relation.expected()),
        }
    }

    #[must_use]
    pub fn files(&self) -> Option<&Source> {
        match self {
            Self::Files(source) => Some(source),
            Self::Lake(_) => None,
        }
    }

    #[must_use]
    pub fn lake(&self) -> Option<&LakeRelation> {
        match self {
            Self::Lake(relation) => Some(relation),
            Self::Files(_) => None,
        }
    }
}

impl LakeRelation {
    /// # Errors
    /// HV00D for another option, HV024 for a value.
    pub fn parse(lake: &str, name: &str, given: &[(String, String)]) -> Result<Self> {
        let mut relation = Self {
            lake: lake.to_owned(),
            schema: "main".into(),
            table: name.to_owned(),
            moment: Moment::Newest,
        };
        for (option, value) in given {
            let wrong = |wanted: &str| {
                Error::new(
                    PgSqlErrorCode::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
                    format!("invalid value \"{value}\" for option \"{option}\": {wanted}"),
                )
            };
            if value.is_empty() || value.chars().any(char::is_control) {
                return Err(wrong("it is empty, or holds a control character"));
            }
            let moment = match option.as_str() {
                "schema_name" => {
                    relation.schema = value.clone();
                    continue;
                }
                "table_name" => {
                    relation.table = value.clone();
                    continue;
                }
                "version" => Moment::Version(
                    value.parse().map_err(|_| wrong("it must be the number of a snapshot"))?,
                ),
                "timestamp" => Moment::Timestamp(value.clone()),
                _ => return Err(unknown(option)),
            };
            if relation.moment != Moment::Newest {
                return Err(Error::new(
                    PgSqlErrorCode::ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
                    "options \"version\" and \"timestamp\" exclude each other",
                ));
            }
            relation.moment = moment;
        }
        Ok(relation)
    }

    /// The name in DuckDB's SQL.
    #[must_use]
    pub fn name(&self) -> Sql {
        Sql::join(self.parts().map(|part| sql::identifier(&part)), ".")
    }

    /// The names of the lake, the schema and the table.
    #[must_use]
    pub fn parts(&self) -> RelationName {
        [&self.lake, &self.schema, &self.table].map(Clone::clone)
    }

    /// What reading it uses.
    #[must_use]
    pub fn expected(&self) -> Expected {
        Expected { relations: vec![self.parts()], ..Expected::default() }
    }

    /// What stands behind FROM.
    #[must_use]
    pub fn from_item(&self) -> Sql {
        match &self.moment {
            Moment::Newest => self.name(),
            Moment::Version(number) => sql!("{} AT (VERSION => {})", self.name(), *number),
            Moment::Timestamp(moment) => sql!(
                "{} AT (TIMESTAMP => CAST({} AS TIMESTAMP WITH TIME ZONE))",
                self.name(),
                sql::literal(moment)
            ),
        }
    }
}

fn unknown(option: &str) -> Error {
    let of_files = options::names().contains(&option);
    let error = Error::new(
        PgSqlErrorCode::ERRCODE_FDW_INVALID_OPTION_NAME,
        format!("invalid option \"{option}\" for a foreign table on a lake"),
    );
    let hint = format!("Valid options are: {}.", LAKE_OPTIONS.join(", "));
    if of_files {
        error.detail("The option is one of tables of files.").hint(hint)
    } else {
        error.hint(hint)
    }
}
