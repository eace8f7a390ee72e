//! DuckDB's logical types as an owned tree.

use std::ffi::{CStr, CString};
use std::fmt;

use libduckdb_sys as sys;

use crate::quote;

/// A DuckDB type. `Display` prints it as DuckDB SQL spells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogicalType {
    Boolean,
    TinyInt,
    SmallInt,
    Integer,
    BigInt,
    UTinyInt,
    USmallInt,
    UInteger,
    UBigInt,
    HugeInt,
    UHugeInt,
    BigNum,
    Float,
    Double,
    Decimal {
        width: u8,
        scale: u8,
    },
    Varchar,
    /// VARCHAR with the alias JSON.
    Json,
    Blob,
    Bit,
    Uuid,
    Date,
    Time,
    TimeNs,
    TimeTz,
    Timestamp,
    TimestampS,
    TimestampMs,
    TimestampNs,
    TimestampTz,
    Interval,
    /// The labels in the order of their codes.
    Enum(Vec<String>),
    List(Box<LogicalType>),
    Array(Box<LogicalType>, u64),
    Struct(Vec<(String, LogicalType)>),
    Map(Box<LogicalType>, Box<LogicalType>),
    Union(Vec<(String, LogicalType)>),
    Variant,
    Geometry,
    /// The type of a bare NULL.
    Null,
    /// A type that is not known before the parameters are.
    Unknown,
    /// A type that this crate does not know, by its number in `duckdb.h`.
    Other(u32),
}

impl LogicalType {
    /// Whether Parquet files, and with them lakes, hold every value of the type as it is (DuckDB 1.5.5):
    /// integers of 128 bits become doubles there, times with a zone lose it.
    #[must_use]
    pub fn is_exact_in_files(&self) -> bool {
        match self {
            Self::HugeInt | Self::UHugeInt | Self::TimeTz => false,
            Self::List(item) | Self::Array(item, _) => item.is_exact_in_files(),
            Self::Map(key, value) => key.is_exact_in_files() && value.is_exact_in_files(),
            Self::Struct(fields) | Self::Union(fields) => {
                fields.iter().all(|(_, field)| field.is_exact_in_files())
            }
            _ => true,
        }
    }
}

/// Types nested deeper are taken as unknown ones.
const MAX_DEPTH: usize = 250;

struct Raw(sys::duckdb_logical_type);

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: owned by this value, destroyed once; NULL is allowed.
        unsafe { sys::duckdb_destroy_logical_type(&raw mut self.0) };
    }
}

/// Takes a string that DuckDB allocated.
///
/// # Safety
/// `text` is NULL or a NUL-terminated string from duckdb_malloc; it is freed.
unsafe fn take_string(text: *mut std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by this function's contract.
    unsafe {
        let owned = CStr::from_ptr(text).to_string_lossy().into_owned();
        sys::duckdb_free(text.cast());
        owned
    }
}

impl LogicalType {
    /// Takes over a handle and reads the whole type from it.
    ///
    /// # Safety
    /// `raw` is a live duckdb_logical_type that nobody else destroys.
    pub(crate) unsafe fn take(raw: sys::duckdb_logical_type) -> Self {
        // SAFETY: by contract.
        unsafe { Self::take_at(raw, 0) }
    }

    /// # Safety
    /// As [`LogicalType::take`].
    unsafe fn take_at(raw: sys::duckdb_logical_type, depth: usize) -> Self {
        let raw = Raw(raw);
        if raw.0.is_null() {
            return Self::Unknown;
        }
        // SAFETY: a live handle by contract; each accessor is called only for its own type.
        unsafe {
            // What a JSON file holds can be a type of any depth; whoever handles it recurses.
            if depth > MAX_DEPTH {
                return Self::Other(sys::duckdb_get_type_id(raw.0));
            }
            Self::read(&raw, depth + 1)
        }
    }

    /// # Safety
    /// As [`LogicalType::take`].
    unsafe fn read(raw: &Raw, depth: usize) -> Self {
        let t = raw.0;
        // SAFETY: as stated by the callers.
        unsafe {
            match sys::duckdb_get_type_id(t) {
                sys::DUCKDB_TYPE_DUCKDB_TYPE_BOOLEAN => Self::Boolean,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_TINYINT => Self::TinyInt,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_SMALLINT => Self::SmallInt,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_INTEGER => Self::Integer,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_BIGINT => Self::BigInt,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_UTINYINT => Self::UTinyInt,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_USMALLINT => Self::USmallInt,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_UINTEGER => Self::UInteger,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_UBIGINT => Self::UBigInt,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_HUGEINT => Self::HugeInt,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_UHUGEINT => Self::UHugeInt,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_BIGNUM => Self::BigNum,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_FLOAT => Self::Float,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_DOUBLE => Self::Double,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_DECIMAL => Self::Decimal {
                    width: sys::duckdb_decimal_width(t),
                    scale: sys::duckdb_decimal_scale(t),
                },
                sys::DUCKDB_TYPE_DUCKDB_TYPE_VARCHAR
                | sys::DUCKDB_TYPE_DUCKDB_TYPE_STRING_LITERAL => {
                    if take_string(sys::duckdb_logical_type_get_alias(t)) == "JSON" {
                        Self::Json
                    } else {
                        Self::Varchar
                    }
                }
                sys::DUCKDB_TYPE_DUCKDB_TYPE_INTEGER_LITERAL => Self::Integer,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_BLOB => Self::Blob,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_BIT => Self::Bit,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_UUID => Self::Uuid,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_DATE => Self::Date,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_TIME => Self::Time,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_TIME_NS => Self::TimeNs,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_TIME_TZ => Self::TimeTz,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP => Self::Timestamp,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_S => Self::TimestampS,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_MS => Self::TimestampMs,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_NS => Self::TimestampNs,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_TZ => Self::TimestampTz,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_INTERVAL => Self::Interval,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_ENUM => {
                    let size = u64::from(sys::duckdb_enum_dictionary_size(t));
                    let label = |i| take_string(sys::duckdb_enum_dictionary_value(t, i));
                    Self::Enum((0..size).map(label).collect())
                }
                sys::DUCKDB_TYPE_DUCKDB_TYPE_LIST => {
                    Self::List(Box::new(Self::take_at(sys::duckdb_list_type_child_type(t), depth)))
                }
                sys::DUCKDB_TYPE_DUCKDB_TYPE_ARRAY => Self::Array(
                    Box::new(Self::take_at(sys::duckdb_array_type_child_type(t), depth)),
                    sys::duckdb_array_type_array_size(t),
                ),
                sys::DUCKDB_TYPE_DUCKDB_TYPE_STRUCT => Self::Struct(
                    (0..sys::duckdb_struct_type_child_count(t))
                        .map(|i| {
                            (
                                take_string(sys::duckdb_struct_type_child_name(t, i)),
                                Self::take_at(sys::duckdb_struct_type_child_type(t, i), depth),
                            )
                        })
                        .collect(),
                ),
                sys::DUCKDB_TYPE_DUCKDB_TYPE_MAP => Self::Map(
                    Box::new(Self::take_at(sys::duckdb_map_type_key_type(t), depth)),
                    Box::new(Self::take_at(sys::duckdb_map_type_value_type(t), depth)),
                ),
                sys::DUCKDB_TYPE_DUCKDB_TYPE_UNION => Self::Union(
                    (0..sys::duckdb_union_type_member_count(t))
                        .map(|i| {
                            (
                                take_string(sys::duckdb_union_type_member_name(t, i)),
                                Self::take_at(sys::duckdb_union_type_member_type(t, i), depth),
                            )
                        })
                        .collect(),
                ),
                sys::DUCKDB_TYPE_DUCKDB_TYPE_VARIANT => Self::Variant,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_GEOMETRY => Self::Geometry,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_SQLNULL => Self::Null,
                sys::DUCKDB_TYPE_DUCKDB_TYPE_INVALID | sys::DUCKDB_TYPE_DUCKDB_TYPE_ANY => {
                    Self::Unknown
                }
                other => Self::Other(other),
            }
        }
    }

    /// A DuckDB handle for this type, for building values; `None` for types that no parameter has.
    pub(crate) fn to_raw(&self) -> Option<RawLogicalType> {
        // SAFETY: each constructor takes plain numbers or live handles and returns a new handle
        // that RawLogicalType destroys.
        let raw = unsafe {
            match self {
                Self::Decimal { width, scale } => sys::duckdb_create_decimal_type(*width, *scale),
                Self::List(child) => sys::duckdb_create_list_type(child.to_raw()?.0.0),
                Self::Struct(fields) => {
                    let types: Vec<_> =
                        fields.iter().map(|(_, t)| t.to_raw()).collect::<Option<_>>()?;
                    let names: Vec<_> = fields
                        .iter()
                        .map(|(name, _)| CString::new(name.as_str()).ok())
                        .collect::<Option<_>>()?;
                    let mut types: Vec<_> = types.iter().map(RawLogicalType::as_ptr).collect();
                    let mut names: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
                    sys::duckdb_create_struct_type(
                        types.as_mut_ptr(),
                        names.as_mut_ptr(),
                        types.len() as u64,
                    )
                }
                Self::Json => {
                    let json =
                        sys::duckdb_create_logical_type(sys::DUCKDB_TYPE_DUCKDB_TYPE_VARCHAR);
                    sys::duckdb_logical_type_set_alias(json, c"JSON".as_ptr());
                    json
                }
                simple => sys::duckdb_create_logical_type(simple.simple_id()?),
            }
        };
        if raw.is_null() { None } else { Some(RawLogicalType(Raw(raw))) }
    }

    fn simple_id(&self) -> Option<sys::duckdb_type> {
        Some(match self {
            Self::Boolean => sys::DUCKDB_TYPE_DUCKDB_TYPE_BOOLEAN,
            Self::TinyInt => sys::DUCKDB_TYPE_DUCKDB_TYPE_TINYINT,
            Self::SmallInt => sys::DUCKDB_TYPE_DUCKDB_TYPE_SMALLINT,
            Self::Integer => sys::DUCKDB_TYPE_DUCKDB_TYPE_INTEGER,
            Self::BigInt => sys::DUCKDB_TYPE_DUCKDB_TYPE_BIGINT,
            Self::UTinyInt => sys::DUCKDB_TYPE_DUCKDB_TYPE_UTINYINT,
            Self::USmallInt => sys::DUCKDB_TYPE_DUCKDB_TYPE_USMALLINT,
            Self::UInteger => sys::DUCKDB_TYPE_DUCKDB_TYPE_UINTEGER,
            Self::UBigInt => sys::DUCKDB_TYPE_DUCKDB_TYPE_UBIGINT,
            Self::HugeInt => sys::DUCKDB_TYPE_DUCKDB_TYPE_HUGEINT,
            Self::UHugeInt => sys::DUCKDB_TYPE_DUCKDB_TYPE_UHUGEINT,
            Self::BigNum => sys::DUCKDB_TYPE_DUCKDB_TYPE_BIGNUM,
            Self::Float => sys::DUCKDB_TYPE_DUCKDB_TYPE_FLOAT,
            Self::Double => sys::DUCKDB_TYPE_DUCKDB_TYPE_DOUBLE,
            Self::Varchar => sys::DUCKDB_TYPE_DUCKDB_TYPE_VARCHAR,
            Self::Blob => sys::DUCKDB_TYPE_DUCKDB_TYPE_BLOB,
            Self::Bit => sys::DUCKDB_TYPE_DUCKDB_TYPE_BIT,
            Self::Uuid => sys::DUCKDB_TYPE_DUCKDB_TYPE_UUID,
            Self::Date => sys::DUCKDB_TYPE_DUCKDB_TYPE_DATE,
            Self::Time => sys::DUCKDB_TYPE_DUCKDB_TYPE_TIME,
            Self::TimeTz => sys::DUCKDB_TYPE_DUCKDB_TYPE_TIME_TZ,
            Self::Timestamp => sys::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP,
            Self::TimestampTz => sys::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_TZ,
            Self::Interval => sys::DUCKDB_TYPE_DUCKDB_TYPE_INTERVAL,
            _ => return None,
        })
    }
}

/// An owned duckdb_logical_type.
pub(crate) struct RawLogicalType(Raw);

impl RawLogicalType {
    pub(crate) fn as_ptr(&self) -> sys::duckdb_logical_type {
        self.0.0
    }
}

fn write_fields(f: &mut fmt::Formatter<'_>, fields: &[(String, LogicalType)]) -> fmt::Result {
    for (i, (name, child)) in fields.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{} {child}", quote::identifier(name))?;
    }
    Ok(())
}

impl fmt::Display for LogicalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Boolean => "BOOLEAN",
            Self::TinyInt => "TINYINT",
            Self::SmallInt => "SMALLINT",
            Self::Integer => "INTEGER",
            Self::BigInt => "BIGINT",
            Self::UTinyInt => "UTINYINT",
            Self::USmallInt => "USMALLINT",
            Self::UInteger => "UINTEGER",
            Self::UBigInt => "UBIGINT",
            Self::HugeInt => "HUGEINT",
            Self::UHugeInt => "UHUGEINT",
            Self::BigNum => "BIGNUM",
            Self::Float => "FLOAT",
            Self::Double => "DOUBLE",
            Self::Decimal { width, scale } => return write!(f, "DECIMAL({width},{scale})"),
            Self::Varchar => "VARCHAR",
            Self::Json => "JSON",
            Self::Blob => "BLOB",
            Self::Bit => "BIT",
            Self::Uuid => "UUID",
            Self::Date => "DATE",
            Self::Time => "TIME",
            Self::TimeNs => "TIME_NS",
            Self::TimeTz => "TIME WITH TIME ZONE",
            Self::Timestamp => "TIMESTAMP",
            Self::TimestampS => "TIMESTAMP_S",
            Self::TimestampMs => "TIMESTAMP_MS",
            Self::TimestampNs => "TIMESTAMP_NS",
            Self::TimestampTz => "TIMESTAMP WITH TIME ZONE",
            Self::Interval => "INTERVAL",
            Self::Enum(labels) => {
                f.write_str("ENUM(")?;
                for (i, label) in labels.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    f.write_str(&quote::literal(label))?;
                }
                return f.write_str(")");
            }
            Self::List(child) => return write!(f, "{child}[]"),
            Self::Array(child, size) => return write!(f, "{child}[{size}]"),
            Self::Struct(fields) => {
                f.write_str("STRUCT(")?;
                write_fields(f, fields)?;
                return f.write_str(")");
            }
            Self::Map(key, value) => return write!(f, "MAP({key}, {value})"),
            Self::Union(members) => {
                f.write_str("UNION(")?;
                write_fields(f, members)?;
                return f.write_str(")");
            }
            Self::Variant => "VARIANT",
            Self::Geometry => "GEOMETRY",
            Self::Null => "\"NULL\"",
            Self::Unknown => "UNKNOWN",
            Self::Other(number) => return write!(f, "type number {number}"),
        };
        f.write_str(name)
    }
}
