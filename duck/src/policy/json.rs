//! A reader for the JSON that DuckDB writes, without recursion: a statement may nest thousands of
//! levels deep, and neither reading nor dropping it may run out of stack.

use std::borrow::Cow;

use crate::error::{Error, ErrorKind, Result};

/// What a node is; objects and arrays have children.
#[derive(Debug, PartialEq)]
pub enum Kind<'a> {
    Null,
    Boolean(bool),
    /// The digits as they are written.
    Number(&'a str),
    Text(Cow<'a, str>),
    Array,
    Object,
}

#[derive(Debug)]
struct Node<'a> {
    /// The name of the member; empty in arrays.
    key: Cow<'a, str>,
    kind: Kind<'a>,
    first_child: Option<usize>,
    next: Option<usize>,
}

/// A document: its nodes in one vector.
#[derive(Debug)]
pub struct Document<'a> {
    nodes: Vec<Node<'a>>,
}

/// A node of a document.
#[derive(Clone, Copy)]
pub struct Item<'d, 'a> {
    document: &'d Document<'a>,
    index: usize,
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::NotSupported, format!("DuckDB's tree of the statement is {what}"))
}

impl<'a> Document<'a> {
    /// # Errors
    /// [`ErrorKind::NotSupported`] when the text is not JSON.
    pub fn parse(text: &'a str) -> Result<Self> {
        let mut reader = Reader { text, position: 0 };
        let mut nodes: Vec<Node<'a>> = Vec::with_capacity(text.len() / 16);
        // The open arrays and objects, each with its last child.
        let mut open: Vec<(usize, Option<usize>)> = Vec::new();
        loop {
            let in_object =
                open.last().is_some_and(|(index, _)| nodes[*index].kind == Kind::Object);
            if let Some((index, last)) = open.last() {
                // The end of this container, or a comma before the next child.
                let close = if in_object { b'}' } else { b']' };
                if reader.take(close) {
                    let index = *index;
                    open.pop();
                    if index == 0 {
                        break;
                    }
                    continue;
                }
                if last.is_some() && !reader.take(b',') {
                    return Err(broken("not understood"));
                }
            }
            let key = if in_object { reader.key()? } else { Cow::Borrowed("") };
            let kind = reader.value()?;
            let container = matches!(kind, Kind::Array | Kind::Object);
            let index = nodes.len();
            nodes.push(Node { key, kind, first_child: None, next: None });
            if let Some((parent, last)) = open.last_mut() {
                match last {
                    Some(previous) => nodes[*previous].next = Some(index),
                    None => nodes[*parent].first_child = Some(index),
                }
                *last = Some(index);
            }
            if container {
                open.push((index, None));
            } else if open.is_empty() {
                break;
            }
        }
        match reader.peek() {
            None => Ok(Self { nodes }),
            Some(_) => Err(broken("followed by something else")),
        }
    }

    pub fn root(&self) -> Item<'_, 'a> {
        Item { document: self, index: 0 }
    }
}

impl<'d, 'a> Item<'d, 'a> {
    fn node(self) -> &'d Node<'a> {
        &self.document.nodes[self.index]
    }

    pub fn kind(self) -> &'d Kind<'a> {
        &self.node().kind
    }

    pub fn key(self) -> &'d str {
        &self.node().key
    }

    pub fn children(self) -> impl Iterator<Item = Item<'d, 'a>> {
        let document = self.document;
        let at = |index| Item { document, index };
        std::iter::successors(self.node().first_child.map(at), move |item| item.node().next.map(at))
    }

    /// The member of an object.
    pub fn get(self, key: &str) -> Option<Item<'d, 'a>> {
        self.children().find(|child| child.key() == key)
    }

    /// The text of a member of an object.
    pub fn text(self, key: &str) -> Option<&'d str> {
        self.get(key)?.as_text()
    }

    pub fn as_text(self) -> Option<&'d str> {
        match self.kind() {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn is_true(self, key: &str) -> bool {
        self.get(key).is_some_and(|item| *item.kind() == Kind::Boolean(true))
    }

    /// Null, false, an empty text, or an array or object without children.
    pub fn is_empty(self) -> bool {
        match self.kind() {
            Kind::Null | Kind::Boolean(false) => true,
            Kind::Text(text) => text.is_empty(),
            Kind::Array | Kind::Object => self.node().first_child.is_none(),
            Kind::Boolean(true) | Kind::Number(_) => false,
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Reader<'a> {
    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.position).is_some_and(u8::is_ascii_whitespace) {
            self.position += 1;
        }
        bytes.get(self.position).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.position += usize::from(found);
        found
    }

    fn key(&mut self) -> Result<Cow<'a, str>> {
        if !self.take(b'"') {
            return Err(broken("not understood"));
        }
        let key = self.string()?;
        if self.take(b':') { Ok(key) } else { Err(broken("not understood")) }
    }

    fn value(&mut self) -> Result<Kind<'a>> {
        let first = self.peek().ok_or_else(|| broken("cut off"))?;
        self.position += 1;
        Ok(match first {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::Text(self.string()?),
            _ => {
                let start = self.position - 1;
                let rest = &self.text[start..];
                let end = rest.find(|c: char| matches!(c, ',' | '}' | ']') || c.is_whitespace());
                let end = end.unwrap_or(rest.len());
                self.position = start + end;
                match &rest[..end] {
                    "null" => Kind::Null,
                    "true" => Kind::Boolean(true),
                    "false" => Kind::Boolean(false),
                    // Infinity and NaN are written as yyjson does; none is looked at.
                    word if !word.contains(['"', '{', '[', ':']) => Kind::Number(word),
                    _ => return Err(broken("not understood")),
                }
            }
        })
    }

    /// The rest of a string whose opening quote is taken.
    fn string(&mut self) -> Result<Cow<'a, str>> {
        let start = self.position;
        let bytes = self.text.as_bytes();
        let mut owned: Option<String> = None;
        let mut copied = start;
        loop {
            match bytes.get(self.position) {
                None => return Err(broken("cut off")),
                Some(b'"') => {
                    let piece = &self.text[copied..self.position];
                    self.position += 1;
                    return Ok(match owned {
                        None => Cow::Borrowed(piece),
                        Some(mut text) => {
                            text.push_str(piece);
                            Cow::Owned(text)
                        }
                    });
                }
                Some(b'\\') => {
                    let text = owned.get_or_insert_default();
                    text.push_str(&self.text[copied..self.position]);
                    self.position += 1;
                    text.push(self.escape()?);
                    copied = self.position;
                }
                Some(_) => self.position += 1,
            }
        }
    }

    /// The character of an escape whose backslash is taken.
    fn escape(&mut self) -> Result<char> {
        let code = self.text.as_bytes().get(self.position).copied();
        self.position += 1;
        Ok(match code {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.unit()?;
                let second = if (0xd800..0xdc00).contains(&first) {
                    if !self.text[self.position..].starts_with("\\u") {
                        return Err(broken("not understood"));
                    }
                    self.position += 2;
                    Some(self.unit()?)
                } else {
                    None
                };
                let units = std::iter::once(first).chain(second);
                match char::decode_utf16(units).next() {
                    Some(Ok(character)) => character,
                    _ => return Err(broken("not understood")),
                }
            }
            _ => return Err(broken("not understood")),
        })
    }

    fn unit(&mut self) -> Result<u16> {
        let digits = self.text.get(self.position..self.position + 4);
        self.position += 4;
        digits
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .ok_or_else(|| broken("not understood"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_escapes_are_read() {
        let text =
            r#" {"a": [1, "x\"\\\n\u00e9\ud83e\udd86", {}, [] ], "b": {"c": true}, "d": -1.5e3} "#;
        let document = Document::parse(text).unwrap();
        let root = document.root();
        let a: Vec<_> = root.get("a").unwrap().children().collect();
        assert_eq!(a.len(), 4);
        assert_eq!(a[0].kind(), &Kind::Number("1"));
        assert_eq!(a[1].as_text(), Some("x\"\\\né🦆"));
        assert!(a[2].is_empty() && a[3].is_empty());
        assert!(root.get("b").unwrap().is_true("c"));
        assert_eq!(root.get("d").unwrap().kind(), &Kind::Number("-1.5e3"));
        assert!(root.get("e").is_none());
    }

    #[test]
    fn depth_costs_no_stack() {
        let text = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(Document::parse(&text).unwrap().nodes.len(), 1_000_000);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "{",
            "[1",
            "[1 2]",
            "{\"a\" 1}",
            "{1: 2}",
            "[\"\\x\"]",
            "[] []",
            "\"a",
            "[\"\\ud83e\"]",
        ] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
    }
}
