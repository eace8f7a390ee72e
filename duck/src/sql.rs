//! SQL for DuckDB that is made by a program: pieces, printed once, at the end.
//!
//! Text of others comes in through [`identifier`] and [`literal`] only: what else can be put into an
//! [`Sql`] are words of this source code, numbers, and other pieces. So a value or a name is never
//! taken for a part of the statement, whatever characters it holds, and nobody looks into a text for
//! what its maker knew: whether it has parameters, whether it reads tables.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{LogicalType, quote};

/// A text as pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sql {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Cow<'static, str>),
    /// EXPLAIN leaves it out.
    Elided(Sql),
    /// `$1` and so on.
    Parameter(usize),
    Place(Place),
}

/// What is put in when all that uses it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The FROM item of that range table index, of the query that the text belongs to.
    Item(usize),
    /// The query that reads the foreign table of this OID.
    Table(u32),
}

/// A printed text: as it runs, and as EXPLAIN shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed {
    pub executed: String,
    /// `None` where that is the same.
    #[serde(default)]
    pub shown: Option<String>,
}

impl Printed {
    #[must_use]
    pub fn shown(&self) -> &str {
        self.shown.as_deref().unwrap_or(&self.executed)
    }
}

/// What may stand in an [`Sql`].
pub trait Part {
    fn append_to(&self, sql: &mut Sql);
}

impl Part for Sql {
    fn append_to(&self, sql: &mut Sql) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => sql.push_text(text.clone()),
                other => sql.pieces.push(other.clone()),
            }
        }
    }
}

impl Part for &Sql {
    fn append_to(&self, sql: &mut Sql) {
        (**self).append_to(sql);
    }
}

impl<T: Part> Part for Option<T> {
    fn append_to(&self, sql: &mut Sql) {
        if let Some(part) = self {
            part.append_to(sql);
        }
    }
}

/// Words of this source code.
impl Part for &'static str {
    fn append_to(&self, sql: &mut Sql) {
        sql.push_text(Cow::Borrowed(*self));
    }
}

impl Part for LogicalType {
    fn append_to(&self, sql: &mut Sql) {
        sql.push_text(Cow::Owned(self.to_string()));
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Part for $number {
            fn append_to(&self, sql: &mut Sql) {
                sql.push_text(Cow::Owned(self.to_string()));
            }
        })*
    };
}

numbers!(u8, u64, usize, i16, i32, i64, f64);

/// `sql!("CAST({} AS {})", value, "BIGINT")`: the template with the [`Part`]s in place of its `{}`.
#[macro_export]
macro_rules! sql {
    ($template:literal $(, $part:expr)* $(,)?) => {
        $crate::sql::Sql::of($template, &[$(&$part as &dyn $crate::sql::Part),*])
    };
}

/// A name of others.
#[must_use]
pub fn identifier(name: &str) -> Sql {
    Sql::made(quote::identifier(name))
}

/// A text of others.
#[must_use]
pub fn literal(text: &str) -> Sql {
    Sql::made(quote::literal(text))
}

/// A name of ours, which needs no quotes.
#[must_use]
pub fn word(name: &str) -> Sql {
    let bare = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !name.is_empty() && name.bytes().all(bare) {
        Sql::made(name.to_owned())
    } else {
        identifier(name)
    }
}

/// The digits of a number, with a sign and a point perhaps; `None` for anything else.
#[must_use]
pub fn number(digits: &str) -> Option<Sql> {
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    // Infinity and NaN are names.
    let plain = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.parse::<f64>().is_ok();
    plain.then(|| {
        let text = if unsigned == digits { digits.to_owned() } else { format!("({digits})") };
        Sql::made(text)
    })
}

/// A query that a user wrote, as a query within brackets. The newline ends a comment at its end.
#[must_use]
pub fn query(text: &str) -> Sql {
    Sql::made(format!("(\n{text}\n)"))
}

impl Sql {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`sql!`].
    #[must_use]
    pub fn of(template: &'static str, parts: &[&dyn Part]) -> Self {
        let mut sql = Self::new();
        let mut parts = parts.iter();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{}") {
            sql.push(&before);
            match parts.next() {
                Some(part) => part.append_to(&mut sql),
                None => debug_assert!(false, "{template} has more places than parts"),
            }
            rest = after;
        }
        sql.push(&rest);
        debug_assert!(parts.next().is_none(), "{template} has fewer places than parts");
        sql
    }

    fn made(text: String) -> Self {
        let mut sql = Self::new();
        sql.push_text(Cow::Owned(text));
        sql
    }

    #[must_use]
    pub fn parameter(number: usize) -> Self {
        Self { pieces: vec![Piece::Parameter(number)] }
    }

    #[must_use]
    pub fn place(place: Place) -> Self {
        Self { pieces: vec![Piece::Place(place)] }
    }

    /// The same, left out by EXPLAIN.
    #[must_use]
    pub fn elided(self) -> Self {
        Self { pieces: vec![Piece::Elided(self)] }
    }

    #[must_use]
    pub fn join<T: Part>(parts: impl IntoIterator<Item = T>, separator: &'static str) -> Self {
        let mut sql = Self::new();
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                sql.push(&separator);
            }
            part.append_to(&mut sql);
        }
        sql
    }

    pub fn push(&mut self, part: &dyn Part) {
        part.append_to(self);
    }

    fn push_text(&mut self, text: Cow<'static, str>) {
        if text.is_empty() {
            return;
        }
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) => last.to_mut().push_str(&text),
            _ => self.pieces.push(Piece::Text(text)),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether a value of the statement's stands in it.
    #[must_use]
    pub fn has_parameters(&self) -> bool {
        self.pieces.iter().any(|piece| match piece {
            Piece::Parameter(_) => true,
            Piece::Elided(inner) => inner.has_parameters(),
            Piece::Text(_) | Piece::Place(_) => false,
        })
    }

    /// Whether something is to be put in yet.
    #[must_use]
    pub fn has_places(&self) -> bool {
        self.pieces.iter().any(|piece| match piece {
            Piece::Place(_) => true,
            Piece::Elided(inner) => inner.has_places(),
            Piece::Text(_) | Piece::Parameter(_) => false,
        })
    }

    /// Puts in what `find` knows.
    #[must_use]
    pub fn placed(&self, find: &dyn Fn(Place) -> Option<Sql>) -> Self {
        let mut sql = Self::new();
        for piece in &self.pieces {
            match piece {
                Piece::Place(place) => match find(*place) {
                    Some(found) => sql.push(&found),
                    None => sql.pieces.push(piece.clone()),
                },
                Piece::Elided(inner) => sql.push(&inner.placed(find).elided()),
                Piece::Text(text) => sql.push_text(text.clone()),
                Piece::Parameter(_) => sql.pieces.push(piece.clone()),
            }
        }
        sql
    }

    /// The text that runs.
    #[must_use]
    pub fn executed(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, true);
        text
    }

    #[must_use]
    pub fn printed(&self) -> Printed {
        let executed = self.executed();
        let mut shown = String::new();
        self.write(&mut shown, false);
        let shown = (shown != executed).then_some(shown);
        Printed { executed, shown }
    }

    fn write(&self, text: &mut String, all: bool) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::Elided(inner) if all => inner.write(text, all),
                Piece::Elided(_) => {}
                Piece::Parameter(number) => text.push_str(&format!("${number}")),
                Piece::Place(place) => debug_assert!(false, "{place:?} is left"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elided_parts_run_and_are_not_shown() {
        let check =
            sql!("{}a{}", sql!("CAST(").elided(), sql!("{} AS INT)", Sql::new().elided()).elided());
        let printed = sql!("SELECT {} FROM t", check).printed();
        assert_eq!(printed.executed, "SELECT CAST(a AS INT) FROM t");
        assert_eq!(printed.shown(), "SELECT a FROM t");
    }

    #[test]
    fn places_are_filled_once() {
        let sql = sql!("{} {}", literal("{}$1"), Sql::place(Place::Item(1)));
        let filled = sql.placed(&|_| Some(literal("{}")));
        assert_eq!(filled.executed(), "'{}$1' '{}'");
        assert!(sql.has_places() && !filled.has_places() && !filled.has_parameters());
    }
}
