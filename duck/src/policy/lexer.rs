//! The words of a statement, for [`super::execute`], which rebuilds the statement from them. It
//! need not agree with DuckDB's lexer in every corner: what it finds is either quoted anew or read
//! again by DuckDB's parser.

use crate::error::{Error, ErrorKind, Result};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bare word, as it is written.
    Word(String),
    /// An identifier in double quotes, without them.
    Quoted(String),
    /// A plain string, its value.
    Text(String),
    Number(String),
    /// A string of another form (`E'…'`, `$$…$$`), or a parameter.
    Other,
    Symbol(char),
}

/// A token and where it stands, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

impl Token {
    /// Whether it is the given keyword, in lower case.
    pub fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(text) if text.eq_ignore_ascii_case(word))
    }

    /// The name that it is, if it is one.
    pub fn name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(name) | Kind::Quoted(name) => Some(name),
            _ => None,
        }
    }

    pub fn is_symbol(&self, symbol: char) -> bool {
        self.kind == Kind::Symbol(symbol)
    }
}

/// # Errors
/// [`ErrorKind::Parser`] for an unterminated string, identifier or comment.
pub fn tokens(sql: &str) -> Result<Vec<Token>> {
    let mut lexer = Lexer { sql, at: 0 };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    sql: &'a str,
    at: usize,
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.sql[self.at..]
    }

    fn unterminated(what: &str) -> Error {
        Error::new(ErrorKind::Parser, format!("unterminated {what}"))
    }

    fn skip_blank(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            self.at += blank;
            let rest = self.rest();
            if rest.starts_with("--") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.skip_block_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    /// Block comments nest.
    fn skip_block_comment(&mut self) -> Result<()> {
        let mut depth = 0_u32;
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return Ok(());
                }
            } else {
                let Some(c) = rest.chars().next() else {
                    return Err(Self::unterminated("comment"));
                };
                self.at += c.len_utf8();
            }
        }
    }

    fn next(&mut self) -> Result<Option<Token>> {
        self.skip_blank()?;
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(None);
        };
        let kind = if first == '\'' {
            Kind::Text(self.delimited('\'', "string")?)
        } else if first == '"' {
            Kind::Quoted(self.delimited('"', "identifier")?)
        } else if is_word_start(first) {
            let word = self.take_while(is_word_part);
            match self.rest().chars().next() {
                Some('\'') => {
                    self.prefixed_string(word)?;
                    Kind::Other
                }
                _ => Kind::Word(word.to_owned()),
            }
        } else if first.is_ascii_digit() {
            let number = self.take_while(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
            Kind::Number(number.to_owned())
        } else if first == '$' {
            self.dollar()?
        } else {
            self.at += first.len_utf8();
            Kind::Symbol(first)
        };
        Ok(Some(Token { kind, start, end: self.at }))
    }

    fn take_while(&mut self, wanted: fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// A string or identifier whose delimiter is written twice inside.
    fn delimited(&mut self, delimiter: char, what: &str) -> Result<String> {
        let mut text = String::new();
        loop {
            self.at += 1;
            let rest = self.rest();
            let end = rest.find(delimiter).ok_or_else(|| Self::unterminated(what))?;
            text.push_str(&rest[..end]);
            self.at += end + 1;
            if !self.rest().starts_with(delimiter) {
                return Ok(text);
            }
            text.push(delimiter);
        }
    }

    /// `E'…'` with backslash escapes; `X'…'` and others without.
    fn prefixed_string(&mut self, prefix: &str) -> Result<()> {
        if !prefix.eq_ignore_ascii_case("e") {
            return self.delimited('\'', "string").map(drop);
        }
        self.at += 1;
        let mut characters = self.rest().char_indices();
        while let Some((index, c)) = characters.next() {
            match c {
                '\\' => drop(characters.next()),
                '\'' if characters.as_str().starts_with('\'') => drop(characters.next()),
                '\'' => {
                    self.at += index + 1;
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(Self::unterminated("string"))
    }

    /// `$1`, `$name`, or `$tag$…$tag$`.
    fn dollar(&mut self) -> Result<Kind> {
        let rest = self.rest();
        let tag_end = rest[1..].find(|c: char| !(c.is_alphanumeric() || c == '_'));
        let tag_end = 1 + tag_end.unwrap_or(rest.len() - 1);
        if !rest[tag_end..].starts_with('$') {
            self.at += tag_end;
            return Ok(Kind::Other);
        }
        let tag = &rest[..=tag_end];
        let body = &rest[tag.len()..];
        let end = body.find(tag).ok_or_else(|| Self::unterminated("dollar-quoted string"))?;
        self.at += tag.len() + end + tag.len();
        Ok(Kind::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(sql: &str) -> Vec<Kind> {
        tokens(sql).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn strings_identifiers_and_comments_are_told_apart() {
        assert_eq!(
            kinds(
                "COPY \"a\"\"b\" -- TO\n /* ( /* ' */ */ 'it''s' 1.5 $1 $$)$$ $a$)$$$a$ E'\\')' x')'"
            ),
            [
                Kind::Word("COPY".into()),
                Kind::Quoted("a\"b".into()),
                Kind::Text("it's".into()),
                Kind::Number("1.5".into()),
                Kind::Other,
                Kind::Other,
                Kind::Other,
                Kind::Other,
                Kind::Other,
            ]
        );
    }

    #[test]
    fn unterminated_things_are_errors() {
        for sql in ["'a", "\"a", "/* a", "$$ a", "E'a\\'", "$", "é$$"] {
            let _ = tokens(sql);
        }
        for sql in ["'a", "\"a", "/* a", "$$ a", "E'a\\'"] {
            assert_eq!(tokens(sql).unwrap_err().kind(), ErrorKind::Parser, "{sql}");
        }
    }
}
