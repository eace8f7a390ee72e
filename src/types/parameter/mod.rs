//! Datums as parameter values for DuckDB.
//!
//! The PostgreSQL type decides once how its values are read (`Kind`). Types that DuckDB has
//! pass as what they are; domains as their base type; enums, JSON, network addresses, XML and the
//! types of category String (citext and the like) as their text; arrays as lists of as many levels
//! as the value has dimensions; composite types as STRUCT. Anything else is refused by name.
//!
//! Values are read in a memory context of their own, which is gone when [`Parameter::value`]
//! returns.

mod fit;
pub(super) mod read;

use std::ffi::CStr;

use duck::{LogicalType, Value};
use encode::numeric;
use pgrx::pg_sys::{self, Datum, Oid};

use super::encoding::ServerEncoding;
use super::memory;
use crate::error::{Error, Result};

/// What an unbounded numeric becomes where no value says how many digits it needs.
const UNBOUNDED_NUMERIC: LogicalType = LogicalType::Decimal { width: 38, scale: 10 };

/// The DuckDB type that parameters of a PostgreSQL type have.
///
/// A numeric without typmod has a DECIMAL(38,s) whose scale depends on the value; the answer for
/// it, DECIMAL(38,10), holds for NULLs. An array is taken for one-dimensional.
///
/// # Errors
/// 0A000 for types that DuckDB has nothing for.
pub fn duck_type(oid: Oid, typmod: i32) -> Result<LogicalType> {
    Ok(Kind::new("", oid, typmod)?.logical_type())
}

/// Converts the values of one parameter.
pub struct Parameter {
    name: String,
    kind: Kind,
    logical_type: LogicalType,
    encoding: ServerEncoding,
}

impl Parameter {
    /// A parameter whose values have the type `oid`; errors call it `name`.
    ///
    /// # Errors
    /// As [`duck_type`].
    pub fn new(name: &str, oid: Oid, typmod: i32) -> Result<Self> {
        let kind = Kind::new(name, oid, typmod)?;
        let logical_type = kind.logical_type();
        let encoding = ServerEncoding::current();
        Ok(Self { name: name.to_owned(), kind, logical_type, encoding })
    }

    /// The type of [`duck_type`].
    #[must_use]
    pub fn logical_type(&self) -> &LogicalType {
        &self.logical_type
    }

    /// The value for DuckDB. NULL keeps the parameter's type.
    ///
    /// # Errors
    /// 22003 for a numeric that no DECIMAL(38,s) holds exactly, 22008 for a date or time beyond
    /// DuckDB's range, 22021 for text that is not valid, 22023 for an empty bit string.
    ///
    /// # Safety
    /// `datum` is a value of the parameter's type, or `is_null` is true.
    pub unsafe fn value(&self, datum: Datum, is_null: bool) -> Result<Value> {
        if is_null {
            return Ok(Value::Null(self.logical_type.clone()));
        }
        // SAFETY: by contract.
        memory::scratch(|| unsafe { self.read(&self.kind, datum) })
    }
}

/// The text and the arguments of a call of a function `(sql text [, VARIADIC "any"])`, as UTF-8 and
/// as values for `$1` and so on; `None` when the text is NULL.
///
/// # Errors
/// As [`Parameter::new`] and [`Parameter::value`].
///
/// # Safety
/// `fcinfo` is a live call of such a function.
pub unsafe fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<(String, Vec<Value>)>> {
    // SAFETY: by contract.
    unsafe {
        let arguments = (*fcinfo).args.as_slice(usize::try_from((*fcinfo).nargs).unwrap_or(0));
        let Some(first) = arguments.first().filter(|first| !first.isnull) else {
            return Ok(None);
        };
        let text = pg_sys::text_to_cstring(first.value.cast_mut_ptr());
        let sql = crate::pg::encoding::server_to_utf8(text);
        let values = arguments
            .iter()
            .enumerate()
            .skip(1)
            .map(|(index, argument)| {
                let number = i32::try_from(index).unwrap_or(i32::MAX);
                let oid = pg_sys::get_fn_expr_argtype((*fcinfo).flinfo, number);
                Parameter::new(&format!("${index}"), oid, -1)?
                    .value(argument.value, argument.isnull)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Some((sql, values)))
    }
}

/// How the values of a type are read.
pub(super) enum Kind {
    Boolean,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    /// The DECIMAL that the typmod demands.
    Numeric(Option<(u8, u8)>),
    /// A varlena in the server's encoding.
    Text,
    /// As text, without the blanks at the end.
    Bpchar,
    /// NameData, and C strings: up to the first NUL byte.
    CString,
    Bytea,
    Bit,
    Uuid,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    /// By the type's output function.
    Output(Oid),
    /// A text that is JSON.
    Json(Box<Kind>),
    Array(Box<Kind>, ElementStorage),
    /// The fields that are not dropped.
    Composite(Vec<Field>),
}

/// An array's element type as `deconstruct_array` wants it.
pub(super) struct ElementStorage {
    oid: Oid,
    len: i16,
    by_value: bool,
    align: std::ffi::c_char,
}

pub(super) struct Field {
    /// In UTF-8.
    name: String,
    /// The position in the row, and the type there.
    index: usize,
    oid: Oid,
    kind: Kind,
}

impl Kind {
    pub(super) fn new(name: &str, oid: Oid, typmod: i32) -> Result<Self> {
        Ok(match oid {
            pg_sys::BOOLOID => Self::Boolean,
            pg_sys::INT2OID => Self::Int2,
            pg_sys::INT4OID => Self::Int4,
            pg_sys::INT8OID => Self::Int8,
            pg_sys::OIDOID => Self::Oid,
            pg_sys::FLOAT4OID => Self::Float4,
            pg_sys::FLOAT8OID => Self::Float8,
            pg_sys::NUMERICOID => Self::Numeric(decimal(typmod)),
            pg_sys::TEXTOID | pg_sys::VARCHAROID => Self::Text,
            pg_sys::JSONOID => Self::Json(Box::new(Self::Text)),
            pg_sys::JSONBOID => Self::Json(Box::new(Self::output(oid))),
            pg_sys::BPCHAROID => Self::Bpchar,
            pg_sys::NAMEOID | pg_sys::UNKNOWNOID | pg_sys::CSTRINGOID => Self::CString,
            pg_sys::BYTEAOID => Self::Bytea,
            pg_sys::BITOID | pg_sys::VARBITOID => Self::Bit,
            pg_sys::UUIDOID => Self::Uuid,
            pg_sys::DATEOID => Self::Date,
            pg_sys::TIMEOID => Self::Time,
            pg_sys::TIMETZOID => Self::TimeTz,
            pg_sys::TIMESTAMPOID => Self::Timestamp,
            pg_sys::TIMESTAMPTZOID => Self::TimestampTz,
            pg_sys::INTERVALOID => Self::Interval,
            pg_sys::XMLOID
            | pg_sys::INETOID
            | pg_sys::CIDROID
            | pg_sys::MACADDROID
            | pg_sys::MACADDR8OID
            | pg_sys::CHAROID => Self::output(oid),
            _ => return Self::look_up(name, oid, typmod),
        })
    }

    /// Types that only the catalog knows.
    fn look_up(name: &str, oid: Oid, typmod: i32) -> Result<Self> {
        let mut base_typmod = typmod;
        // SAFETY: catalog look-ups by an OID that the parser resolved; out pointers are valid.
        let (base, element, kind, category) = unsafe {
            let base = pg_sys::getBaseTypeAndTypmod(oid, &raw mut base_typmod);
            let (mut category, mut preferred) = (0, false);
            pg_sys::get_type_category_preferred(oid, &raw mut category, &raw mut preferred);
            (base, pg_sys::get_element_type(oid), pg_sys::get_typtype(oid), category)
        };
        if base != oid {
            return Self::new(name, base, base_typmod);
        }
        if element != pg_sys::InvalidOid {
            let kind = Self::new(name, element, typmod)?;
            return Ok(Self::Array(Box::new(kind), ElementStorage::of(element)));
        }
        // The codes are those of pg_type's columns typtype and typcategory.
        match (kind.cast_unsigned(), category.cast_unsigned()) {
            (b'c', _) => Self::composite(name, oid),
            (b'e', _) | (b'b', b'S') => Ok(Self::output(oid)),
            _ => Err(unsupported(name, oid)),
        }
    }

    fn output(oid: Oid) -> Self {
        let (mut function, mut is_varlena) = (pg_sys::InvalidOid, false);
        // SAFETY: a catalog look-up of an existing type; out pointers are valid.
        unsafe { pg_sys::getTypeOutputInfo(oid, &raw mut function, &raw mut is_varlena) };
        Self::Output(function)
    }

    fn composite(name: &str, oid: Oid) -> Result<Self> {
        let Some(descriptor) = pgrx::PgTupleDesc::for_composite_type_by_oid(oid) else {
            return Err(unsupported(name, oid));
        };
        let encoding = ServerEncoding::current();
        let mut fields = Vec::new();
        for (index, attribute) in descriptor.iter().enumerate() {
            if attribute.attisdropped {
                continue;
            }
            fields.push(Field {
                name: encoding.decode(name_bytes(&attribute.attname))?,
                index,
                oid: attribute.atttypid,
                kind: Self::new(name, attribute.atttypid, attribute.atttypmod)?,
            });
        }
        if fields.is_empty() {
            return Err(unsupported(name, oid));
        }
        Ok(Self::Composite(fields))
    }

    pub(super) fn logical_type(&self) -> LogicalType {
        match self {
            Self::Boolean => LogicalType::Boolean,
            Self::Int2 => LogicalType::SmallInt,
            Self::Int4 => LogicalType::Integer,
            Self::Int8 | Self::Oid => LogicalType::BigInt,
            Self::Float4 => LogicalType::Float,
            Self::Float8 => LogicalType::Double,
            Self::Numeric(Some((width, scale))) => {
                LogicalType::Decimal { width: *width, scale: *scale }
            }
            Self::Numeric(None) => UNBOUNDED_NUMERIC,
            Self::Text | Self::Bpchar | Self::CString | Self::Output(_) => LogicalType::Varchar,
            Self::Json(_) => LogicalType::Json,
            Self::Bytea => LogicalType::Blob,
            Self::Bit => LogicalType::Bit,
            Self::Uuid => LogicalType::Uuid,
            Self::Date => LogicalType::Date,
            Self::Time => LogicalType::Time,
            Self::TimeTz => LogicalType::TimeTz,
            Self::Timestamp => LogicalType::Timestamp,
            Self::TimestampTz => LogicalType::TimestampTz,
            Self::Interval => LogicalType::Interval,
            Self::Array(element, _) => LogicalType::List(Box::new(element.logical_type())),
            Self::Composite(fields) => LogicalType::Struct(
                fields.iter().map(|f| (f.name.clone(), f.kind.logical_type())).collect(),
            ),
        }
    }
}

impl ElementStorage {
    fn of(oid: Oid) -> Self {
        let mut this = Self { oid, len: 0, by_value: false, align: 0 };
        // SAFETY: a catalog look-up of an existing type; out pointers are valid.
        unsafe {
            pg_sys::get_typlenbyvalalign(
                oid,
                &raw mut this.len,
                &raw mut this.by_value,
                &raw mut this.align,
            );
        }
        this
    }
}

/// Width and scale that a numeric's typmod demands, if DuckDB has such a DECIMAL: PostgreSQL also
/// has more digits, negative scales, and scales beyond the precision.
fn decimal(typmod: i32) -> Option<(u8, u8)> {
    let bits = typmod.checked_sub(super::VARHDRSZ).filter(|bits| *bits >= 0)?;
    let width = u8::try_from((bits >> 16) & 0xffff).ok()?;
    // Eleven bits with a sign, so that what is negative becomes too large.
    let scale = u8::try_from(bits & 0x7ff).ok()?;
    (width <= numeric::DUCK_WIDTH && scale <= width).then_some((width, scale))
}

fn name_bytes(name: &pg_sys::NameData) -> &[u8] {
    // SAFETY: a NameData ends with a NUL byte and lives as long as the reference.
    unsafe { CStr::from_ptr(name.data.as_ptr()).to_bytes() }
}

/// A type as SQL spells it.
#[cold]
pub(super) fn type_name(oid: Oid, typmod: i32) -> String {
    memory::scratch(|| {
        // SAFETY: both return a new C string; a typmod comes with a type that is there.
        let text = unsafe {
            CStr::from_ptr(match typmod {
                -1 => pg_sys::format_type_be(oid),
                _ => pg_sys::format_type_with_typemod(oid, typmod),
            })
        };
        ServerEncoding::current().decode(text.to_bytes())
    })
    .unwrap_or_else(|_| oid.to_string())
}

#[cold]
fn unsupported(name: &str, oid: Oid) -> Error {
    let type_name = type_name(oid, -1);
    let what = if name.is_empty() { String::new() } else { format!("parameter {name} has ") };
    let message = if what.is_empty() {
        format!("the type {type_name} has no equivalent in DuckDB")
    } else {
        format!("{what}the type {type_name}, which has no equivalent in DuckDB")
    };
    Error::not_supported(message).hint("Cast it to text or to another type that DuckDB has.")
}
