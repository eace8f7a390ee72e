//! What a statement changes, by its first words.

use super::lexer::{Kind, Token};

/// Where a statement names what it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The token of the name's first part.
    Named(usize),
    /// It changes nothing that a lake has.
    Outside,
    /// Its form does not tell.
    Unknown,
}

/// The target of a statement.
pub fn of(tokens: &[Token]) -> Target {
    let mut words = Words { tokens, at: 0 };
    let first = words.next();
    match first.as_str() {
        "insert" | "merge" => {
            words.skip(&["or", "replace", "ignore"]);
            words.named_after(&["into"])
        }
        "update" | "truncate" => {
            words.skip(&["table"]);
            Target::Named(words.at)
        }
        "delete" => words.named_after(&["from"]),
        "create" | "drop" | "alter" => {
            words.skip(&["or", "replace", "temp", "temporary", "persistent"]);
            let kinds = ["table", "view", "schema", "macro", "function", "sequence", "type"];
            if !words.skip(&kinds) {
                return Target::Unknown;
            }
            words.skip(&["if", "not", "exists"]);
            Target::Named(words.at)
        }
        "comment" => {
            words.skip(&["on"]);
            words.skip(&["table", "view", "column", "schema", "macro", "function", "type"]);
            Target::Named(words.at)
        }
        "copy" => copy(tokens),
        _ => Target::Unknown,
    }
    .within(tokens)
}

/// `COPY name FROM` changes the table, `COPY … TO` a file.
fn copy(tokens: &[Token]) -> Target {
    let mut depth = 0_u32;
    for token in tokens {
        if token.is_symbol('(') {
            depth += 1;
        } else if token.is_symbol(')') {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && token.is_word("to") {
            return Target::Outside;
        } else if depth == 0 && token.is_word("from") {
            return Target::Named(1);
        }
    }
    Target::Unknown
}

impl Target {
    fn within(self, tokens: &[Token]) -> Self {
        match self {
            Self::Named(at) if at >= tokens.len() => Self::Unknown,
            other => other,
        }
    }
}

struct Words<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Words<'_> {
    /// The next word in lower case; empty for anything else.
    fn next(&mut self) -> String {
        let word = match self.tokens.get(self.at).map(|token| &token.kind) {
            Some(Kind::Word(word)) => word.to_ascii_lowercase(),
            _ => String::new(),
        };
        self.at += 1;
        word
    }

    /// Goes behind all of these words that come next; false when there is none.
    fn skip(&mut self, words: &[&str]) -> bool {
        let start = self.at;
        while let Some(token) = self.tokens.get(self.at)
            && words.iter().any(|word| token.is_word(word))
            // A name may be such a word.
            && !self.tokens.get(self.at + 1).is_some_and(|next| next.is_symbol('.'))
        {
            self.at += 1;
        }
        self.at > start
    }

    fn named_after(&mut self, words: &[&str]) -> Target {
        if self.skip(words) { Target::Named(self.at) } else { Target::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::lexer::tokens;

    fn name(sql: &str) -> Option<String> {
        let all = tokens(sql).unwrap();
        match of(&all) {
            Target::Named(at) => all[at].name().map(str::to_owned),
            Target::Outside => Some("-".into()),
            Target::Unknown => None,
        }
    }

    #[test]
    fn the_target_is_found() {
        for (sql, wanted) in [
            ("INSERT INTO l.t SELECT 1", Some("l")),
            ("insert or replace into \"L\".t values (1)", Some("L")),
            ("CREATE OR REPLACE TABLE IF NOT EXISTS x AS FROM l.t", Some("x")),
            ("CREATE SCHEMA l.s", Some("l")),
            ("DROP VIEW IF EXISTS l.v", Some("l")),
            ("ALTER TABLE l.t ADD COLUMN a INT", Some("l")),
            ("UPDATE l.t SET a = 1", Some("l")),
            ("DELETE FROM l.t", Some("l")),
            ("MERGE INTO l.t USING x ON true", Some("l")),
            ("TRUNCATE TABLE l.t", Some("l")),
            ("COMMENT ON COLUMN l.t.a IS 'x'", Some("l")),
            ("COPY (FROM l.t) TO 'f'", Some("-")),
            ("COPY l.t TO 'f'", Some("-")),
            ("COPY l.t FROM 'f'", Some("l")),
            ("UPDATE table.t SET a = 1", Some("table")),
            ("CALL l.set_option('a', 'b')", None),
            ("WITH x AS (SELECT 1) INSERT INTO l.t FROM x", None),
            ("CHECKPOINT l", None),
            ("INSERT", None),
        ] {
            assert_eq!(name(sql).as_deref(), wanted, "{sql}");
        }
    }
}
