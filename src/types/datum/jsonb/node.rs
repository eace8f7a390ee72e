//! The layout of a nested type, and the vectors of one batch that belong to it.

use duck::{LogicalType, Vector};
use encode::jsonb::{Container, key_order};
use encode::{bit, text};
use pgrx::pg_sys;

use super::super::by_reference::DuckInterval;
use super::super::label::{CodeWidth, encoded, unknown_code};
use super::super::numeric::{DecimalBits, Wide};
use super::super::{is_valid, text as text_column};
use super::leaf::{Leaf, MICROS, MILLIS, NANOS, timestamptz};
use super::{Output, corrupted, variant};
use crate::error::Result;
use crate::types::encoding::ServerEncoding;

/// A type inside of jsonb.
pub(super) enum Node {
    Scalar(LogicalType),
    /// The labels in the server's encoding.
    Enum(CodeWidth, Vec<Vec<u8>>),
    List(Box<Node>),
    Array(Box<Node>, usize),
    /// Fields with their positions, in the order of jsonb's keys.
    Object(Vec<Vec<u8>>, Vec<Node>, Vec<usize>),
    /// A STRUCT without names.
    Tuple(Vec<Node>),
    /// A MAP with scalar keys.
    Map(Box<Node>, Box<Node>),
    /// A MAP with nested keys.
    Pairs(Box<Node>, Box<Node>),
    Union(Vec<Node>),
    Variant,
}

impl Node {
    pub(super) fn new(column: &str, t: &LogicalType) -> Result<Self> {
        let nodes = |fields: &[(String, LogicalType)]| {
            fields.iter().map(|(_, t)| Self::new(column, t)).collect::<Result<Vec<_>>>()
        };
        Ok(match t {
            LogicalType::List(element) => Self::List(Box::new(Self::new(column, element)?)),
            LogicalType::Array(element, size) => {
                let size = usize::try_from(*size).map_err(|_| corrupted(column))?;
                Self::Array(Box::new(Self::new(column, element)?), size)
            }
            LogicalType::Struct(fields) if fields.iter().all(|(name, _)| name.is_empty()) => {
                Self::Tuple(nodes(fields)?)
            }
            LogicalType::Struct(fields) => Self::object(column, fields)?,
            LogicalType::Map(key, value) => {
                let (key, value) = (Self::new(column, key)?, Self::new(column, value)?);
                match key {
                    Self::Scalar(_) | Self::Enum(..) => Self::Map(Box::new(key), Box::new(value)),
                    _ => Self::Pairs(Box::new(key), Box::new(value)),
                }
            }
            LogicalType::Union(members) => Self::Union(nodes(members)?),
            LogicalType::Variant => Self::Variant,
            LogicalType::Enum(labels) => {
                Self::Enum(CodeWidth::of(labels.len()), encoded(column, labels)?)
            }
            scalar => {
                crate::types::pg_type(column, scalar)?;
                Self::Scalar(scalar.clone())
            }
        })
    }

    fn object(column: &str, fields: &[(String, LogicalType)]) -> Result<Self> {
        let encoding = ServerEncoding::current();
        let mut sorted = Vec::with_capacity(fields.len());
        for (position, (name, t)) in fields.iter().enumerate() {
            if text_column::holds_nul(name.as_bytes()) {
                return Err(text_column::nul_byte(column));
            }
            let name = encoding.encode(name.as_bytes()).into_owned();
            sorted.push((name, Self::new(column, t)?, position));
        }
        sorted.sort_by(|a, b| key_order(&a.0, &b.0));
        let (mut names, mut nodes, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        for (name, node, position) in sorted {
            names.push(name);
            nodes.push(node);
            positions.push(position);
        }
        Ok(Self::Object(names, nodes, positions))
    }

    /// Writes the value at `row` as the next entry of `outer`.
    pub(super) fn write(
        &self,
        bound: &Bound<'_>,
        row: usize,
        out: &mut Output,
        outer: &mut Container,
    ) -> Result<()> {
        if bound.is_null(row) {
            return out.null(outer);
        }
        let children = &bound.children;
        match self {
            Self::Scalar(t) => scalar(t, &bound.vector, row).write(out, outer),
            Self::Enum(width, labels) => {
                let label = label(*width, labels, &bound.vector, row);
                label.ok_or_else(|| unknown_code(&out.column))?.write(out, outer)
            }
            Self::List(element) => {
                let elements = bound.vector.list_entries()[row].range();
                Self::write_all(element, &children[0], elements, out, outer)
            }
            Self::Array(element, size) => {
                let elements = row * size..(row + 1) * size;
                Self::write_all(element, &children[0], elements, out, outer)
            }
            Self::Object(names, nodes, positions) => {
                let mut object = out.begin_object(names.iter().map(Vec::as_slice))?;
                for (node, position) in nodes.iter().zip(positions) {
                    node.write(&children[*position], row, out, &mut object)?;
                }
                out.end(object, outer)
            }
            Self::Tuple(nodes) => {
                let mut array = out.begin_array(nodes.len())?;
                for (node, child) in nodes.iter().zip(children) {
                    node.write(child, row, out, &mut array)?;
                }
                out.end(array, outer)
            }
            Self::Map(key, value) => {
                let mut entries = Vec::new();
                for entry in bound.vector.list_entries()[row].range() {
                    let leaf = key.leaf(&children[0], entry);
                    let leaf = leaf.ok_or_else(|| unknown_code(&out.column))?;
                    entries.push((leaf.key(out)?, entry));
                }
                sort_entries(&mut entries);
                let mut object = out.begin_object(entries.iter().map(|(key, _)| key.as_slice()))?;
                for (_, entry) in &entries {
                    value.write(&children[1], *entry, out, &mut object)?;
                }
                out.end(object, outer)
            }
            Self::Pairs(key, value) => {
                let entries = bound.vector.list_entries()[row].range();
                let mut array = out.begin_array(entries.len())?;
                for entry in entries {
                    let mut object = out.begin_object([&b"key"[..], b"value"].into_iter())?;
                    key.write(&children[0], entry, out, &mut object)?;
                    value.write(&children[1], entry, out, &mut object)?;
                    out.end(object, &mut array)?;
                }
                out.end(array, outer)
            }
            Self::Union(members) => {
                // SAFETY: the first field of a UNION is its tag, a u8.
                let tag = usize::from(unsafe { children[0].vector.values::<u8>() }[row]);
                match (members.get(tag), children.get(tag + 1)) {
                    (Some(member), Some(child)) => member.write(child, row, out, outer),
                    _ => Err(corrupted(&out.column)),
                }
            }
            Self::Variant => variant::write(children, row, out, outer),
        }
    }

    fn write_all(
        element: &Self,
        bound: &Bound<'_>,
        rows: std::ops::Range<usize>,
        out: &mut Output,
        outer: &mut Container,
    ) -> Result<()> {
        let mut array = out.begin_array(rows.len())?;
        for row in rows {
            element.write(bound, row, out, &mut array)?;
        }
        out.end(array, outer)
    }

    /// The scalar at `row`; `None` for an unknown label, or a node that is no scalar.
    fn leaf<'a>(&'a self, bound: &Bound<'a>, row: usize) -> Option<Leaf<'a>> {
        match self {
            _ if bound.is_null(row) => Some(Leaf::Null),
            Self::Scalar(t) => Some(scalar(t, &bound.vector, row)),
            Self::Enum(width, labels) => label(*width, labels, &bound.vector, row),
            _ => None,
        }
    }
}

/// Sorts the entries of an object by their keys; of several with the same key the last one stays,
/// as in PostgreSQL's own jsonb.
pub(super) fn sort_entries<K: AsRef<[u8]>, V>(entries: &mut Vec<(K, V)>) {
    entries.reverse();
    entries.sort_by(|a, b| key_order(a.0.as_ref(), b.0.as_ref()));
    entries.dedup_by(|a, b| a.0.as_ref() == b.0.as_ref());
}

fn label<'a>(
    width: CodeWidth,
    labels: &'a [Vec<u8>],
    vector: &Vector<'_>,
    row: usize,
) -> Option<Leaf<'a>> {
    // SAFETY: DuckDB uses codes of this width for so many labels.
    let code = unsafe {
        match width {
            CodeWidth::One => usize::from(vector.values::<u8>()[row]),
            CodeWidth::Two => usize::from(vector.values::<u16>()[row]),
            CodeWidth::Four => usize::try_from(vector.values::<u32>()[row]).ok()?,
        }
    };
    labels.get(code).map(|label| Leaf::Encoded(label))
}

/// The value of a scalar type at `row`.
fn scalar<'a>(t: &LogicalType, vector: &Vector<'a>, row: usize) -> Leaf<'a> {
    let bytes = || vector.strings()[row].as_bytes();
    // SAFETY: each logical type is read as the physical type that the C API documents for it, all
    // plain numbers.
    unsafe {
        match t {
            LogicalType::Boolean => Leaf::Boolean(vector.values::<u8>()[row] != 0),
            LogicalType::TinyInt => Leaf::Signed(vector.values::<i8>()[row].into()),
            LogicalType::SmallInt => Leaf::Signed(vector.values::<i16>()[row].into()),
            LogicalType::Integer => Leaf::Signed(vector.values::<i32>()[row].into()),
            LogicalType::BigInt => Leaf::Signed(vector.values::<i64>()[row].into()),
            LogicalType::HugeInt => Leaf::Signed(vector.values::<Wide>()[row].signed()),
            LogicalType::UTinyInt => Leaf::Unsigned(vector.values::<u8>()[row].into()),
            LogicalType::USmallInt => Leaf::Unsigned(vector.values::<u16>()[row].into()),
            LogicalType::UInteger => Leaf::Unsigned(vector.values::<u32>()[row].into()),
            LogicalType::UBigInt => Leaf::Unsigned(vector.values::<u64>()[row].into()),
            LogicalType::UHugeInt => Leaf::Unsigned(vector.values::<Wide>()[row].unsigned()),
            LogicalType::BigNum => Leaf::BigNum(bytes()),
            LogicalType::Float => Leaf::Float(vector.values::<f32>()[row]),
            LogicalType::Double => Leaf::Double(vector.values::<f64>()[row]),
            LogicalType::Decimal { width, scale } => {
                let unscaled = match DecimalBits::of(*width) {
                    DecimalBits::Bits16 => vector.values::<i16>()[row].into(),
                    DecimalBits::Bits32 => vector.values::<i32>()[row].into(),
                    DecimalBits::Bits64 => vector.values::<i64>()[row].into(),
                    DecimalBits::Bits128 => vector.values::<Wide>()[row].signed(),
                };
                Leaf::Decimal(unscaled, *scale)
            }
            LogicalType::Varchar => Leaf::Text(bytes()),
            LogicalType::Json => Leaf::Json(bytes()),
            LogicalType::Blob | LogicalType::Geometry => Leaf::Plain(text::bytea(bytes())),
            LogicalType::Bit => Leaf::Plain(bit::text(bytes())),
            LogicalType::Uuid => Leaf::Plain(text::uuid(vector.values::<Wide>()[row].signed())),
            LogicalType::Date => Leaf::Plain(text::date(vector.values::<i32>()[row])),
            LogicalType::Time => Leaf::Plain(text::time(vector.values::<i64>()[row], MICROS)),
            LogicalType::TimeNs => Leaf::Plain(text::time(vector.values::<i64>()[row], NANOS)),
            LogicalType::TimeTz => Leaf::Plain(text::timetz(vector.values::<u64>()[row])),
            LogicalType::Timestamp => timestamp(vector.values::<i64>()[row], MICROS),
            LogicalType::TimestampS => timestamp(vector.values::<i64>()[row], 1),
            LogicalType::TimestampMs => timestamp(vector.values::<i64>()[row], MILLIS),
            LogicalType::TimestampNs => timestamp(vector.values::<i64>()[row], NANOS),
            LogicalType::TimestampTz => timestamptz(vector.values::<i64>()[row]),
            LogicalType::Interval => {
                let DuckInterval { months, days, micros } = vector.values::<DuckInterval>()[row];
                Leaf::Plain(text::interval(months, days, micros))
            }
            // `Node::new` lets no other type through.
            _ => Leaf::Null,
        }
    }
}

fn timestamp<'a>(value: i64, per_second: i64) -> Leaf<'a> {
    Leaf::Plain(text::timestamp(value, per_second, ""))
}

/// A vector of the batch, and those below it, in the order that [`Node::write`] expects.
pub(super) struct Bound<'c> {
    pub(super) vector: Vector<'c>,
    validity: Option<&'c [u64]>,
    pub(super) children: Vec<Bound<'c>>,
}

impl<'c> Bound<'c> {
    pub(super) fn new(node: &Node, vector: &Vector<'c>) -> Self {
        // SAFETY: reads the stack's address; raises PostgreSQL's own error 54001.
        unsafe { pg_sys::check_stack_depth() };
        let fields = |first: usize, nodes: &mut dyn Iterator<Item = &Node>| -> Vec<Self> {
            nodes.zip(first..).map(|(node, i)| Self::new(node, &vector.struct_child(i))).collect()
        };
        let children = match node {
            Node::Scalar(_) | Node::Enum(..) => Vec::new(),
            Node::List(element) => vec![Self::new(element, &vector.list_child())],
            Node::Array(element, size) => {
                vec![Self::new(element, &vector.array_child(*size as u64))]
            }
            Node::Object(_, nodes, positions) => {
                let mut by_position: Vec<_> = nodes.iter().zip(positions).collect();
                by_position.sort_by_key(|(_, position)| **position);
                fields(0, &mut by_position.into_iter().map(|(node, _)| node))
            }
            Node::Tuple(nodes) => fields(0, &mut nodes.iter()),
            Node::Map(key, value) | Node::Pairs(key, value) => {
                let entries = vector.list_child();
                vec![
                    Self::new(key, &entries.struct_child(0)),
                    Self::new(value, &entries.struct_child(1)),
                ]
            }
            Node::Union(members) => {
                let mut children = vec![Self::plain(vector.struct_child(0))];
                children.extend(fields(1, &mut members.iter()));
                children
            }
            Node::Variant => variant::children(vector),
        };
        Self { vector: *vector, validity: vector.validity(), children }
    }

    pub(super) fn plain(vector: Vector<'c>) -> Self {
        Self { vector, validity: vector.validity(), children: Vec::new() }
    }

    fn is_null(&self, row: usize) -> bool {
        self.validity.is_some_and(|mask| !is_valid(mask, row))
    }
}
