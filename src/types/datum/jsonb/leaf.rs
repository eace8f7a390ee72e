//! Scalars inside of jsonb.

use std::borrow::Cow;

use encode::jsonb::{Container, TooLarge};
use encode::numeric::{self, MAX_PAYLOAD};
use encode::{bignum, text};

use super::super::numeric::too_many_digits;
use super::{Output, too_large};
use crate::error::Result;

/// A scalar of any type.
pub(super) enum Leaf<'a> {
    Null,
    Boolean(bool),
    Signed(i128),
    Unsigned(u128),
    Decimal(i128, u8),
    Float(f32),
    Double(f64),
    BigNum(&'a [u8]),
    /// Text of DuckDB's, in UTF-8, of which nothing is known.
    Text(&'a [u8]),
    /// Text in the server's encoding.
    Encoded(&'a [u8]),
    /// ASCII.
    Plain(String),
    Json(&'a [u8]),
}

/// The string for a float that JSON has no number for, as `to_jsonb` of PostgreSQL spells it.
fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

impl Leaf<'_> {
    pub(super) fn write(&self, out: &mut Output, outer: &mut Container) -> Result<()> {
        let mut number = [0; MAX_PAYLOAD];
        let done = match self {
            Self::Null => out.writer.null(outer),
            Self::Boolean(value) => out.writer.boolean(*value, outer),
            Self::Signed(value) => {
                let len = numeric::write_i128(*value, 0, &mut number);
                out.writer.numeric(&number[..len], outer)
            }
            Self::Unsigned(value) => {
                let len = numeric::write_u128(*value, &mut number);
                out.writer.numeric(&number[..len], outer)
            }
            Self::Decimal(value, scale) => {
                let len = numeric::write_i128(*value, *scale, &mut number);
                out.writer.numeric(&number[..len], outer)
            }
            Self::Float(value) => {
                out.payload.clear();
                match numeric::append_f32(*value, &mut out.payload) {
                    Some(()) => out.writer.numeric(&out.payload, outer),
                    None => out.writer.string(not_finite((*value).into()).as_bytes(), outer),
                }
            }
            Self::Double(value) => {
                out.payload.clear();
                match numeric::append_f64(*value, &mut out.payload) {
                    Some(()) => out.writer.numeric(&out.payload, outer),
                    None => out.writer.string(not_finite(*value).as_bytes(), outer),
                }
            }
            Self::BigNum(value) => {
                out.payload.clear();
                bignum::append_numeric(value, &mut out.payload)
                    .ok_or_else(|| too_many_digits(&out.column))?;
                out.writer.numeric(&out.payload, outer)
            }
            Self::Text(text) => {
                let text = out.encoded(text)?;
                out.writer.string(&text, outer)
            }
            Self::Encoded(text) => out.writer.string(text, outer),
            Self::Plain(text) => out.writer.string(text.as_bytes(), outer),
            Self::Json(json) => return out.json(json, outer),
        };
        done.map_err(|TooLarge| too_large(&out.column))
    }

    /// The text of the value where it is the key of a MAP: that of its JSON, without quotes.
    pub(super) fn key(&self, out: &Output) -> Result<Vec<u8>> {
        let text = match self {
            Self::Null => Cow::Borrowed("null"),
            Self::Boolean(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Self::Signed(value) => value.to_string().into(),
            Self::Unsigned(value) => value.to_string().into(),
            Self::Decimal(value, scale) => numeric::decimal_text(*value, *scale).into(),
            Self::Float(value) if value.is_finite() => value.to_string().into(),
            Self::Float(value) => not_finite((*value).into()).into(),
            Self::Double(value) if value.is_finite() => value.to_string().into(),
            Self::Double(value) => not_finite(*value).into(),
            Self::BigNum(value) => bignum::text(value).into(),
            Self::Plain(text) => text.into(),
            Self::Text(text) | Self::Json(text) => return Ok(out.encoded(text)?.into_owned()),
            Self::Encoded(text) => return Ok(text.to_vec()),
        };
        Ok(text.as_bytes().to_vec())
    }
}

/// The text of an instant, which is given in UTC.
pub(super) fn timestamptz<'a>(micros: i64) -> Leaf<'a> {
    Leaf::Plain(text::timestamp(micros, MICROS, "+00:00"))
}

/// Units in a second.
pub(super) const MILLIS: i64 = 1000;
pub(super) const MICROS: i64 = 1_000_000;
pub(super) const NANOS: i64 = 1_000_000_000;
