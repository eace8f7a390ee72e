//! A look at the tokens of a DuckDB statement, as far as comments, quotes and semicolons go.
//!
//! It serves to wrap a statement in another one. It is no fence: what a role may run is decided on
//! DuckDB's own parse tree of the final text.

/// The bytes of `sql` from `start` that are one comment, quoted text or other single character.
fn token_end(sql: &[u8], start: usize) -> usize {
    let rest = &sql[start..];
    let find = |from: usize, end: &[u8]| {
        rest[from..]
            .windows(end.len())
            .position(|w| w == end)
            .map_or(rest.len(), |p| from + p + end.len())
    };
    let len = match rest {
        [b'-', b'-', ..] => rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |p| p + 1),
        [b'/', b'*', ..] => block_comment_len(rest),
        [b'\'', ..] => {
            // E'…' strings know backslash escapes; the E stands right before the quote.
            let escapes = start > 0
                && sql[start - 1].eq_ignore_ascii_case(&b'e')
                && (start < 2 || !is_word(sql[start - 2]));
            quoted_len(rest, b'\'', escapes)
        }
        [b'"', ..] => quoted_len(rest, b'"', false),
        [b'$', ..] if start == 0 || !is_word(sql[start - 1]) => {
            let tag = rest[1..].iter().take_while(|b| is_word(**b)).count() + 1;
            let digit = rest.get(1).is_some_and(u8::is_ascii_digit);
            if !digit && rest.get(tag) == Some(&b'$') { find(tag + 1, &rest[..=tag]) } else { 1 }
        }
        _ => 1,
    };
    start + len
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn block_comment_len(text: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        match &text[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn quoted_len(text: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 1;
    while at < text.len() {
        if escapes && text[at] == b'\\' {
            at += 2;
        } else if text[at] == quote {
            if text.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 2;
        } else {
            at += 1;
        }
    }
    text.len()
}

fn is_blank(sql: &[u8], start: usize) -> bool {
    sql[start].is_ascii_whitespace()
        || sql[start..].starts_with(b"--")
        || sql[start..].starts_with(b"/*")
}

/// `sql` without the semicolons that end it and without what follows them, if that is nothing but
/// blanks and comments.
#[must_use]
pub fn without_terminator(sql: &str) -> &str {
    let bytes = sql.as_bytes();
    let mut cut = None;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b';' {
            cut = cut.or(Some(at));
        } else if !is_blank(bytes, at) {
            cut = None;
        }
        at = token_end(bytes, at);
    }
    &sql[..cut.unwrap_or(sql.len())]
}

/// The first word of the statement in upper case; empty when it begins with something else.
#[must_use]
pub fn first_word(sql: &str) -> String {
    let bytes = sql.as_bytes();
    let mut at = 0;
    while at < bytes.len() && (is_blank(bytes, at) || matches!(bytes[at], b';' | b'(')) {
        at = token_end(bytes, at);
    }
    let word: Vec<u8> =
        bytes[at.min(bytes.len())..].iter().copied().take_while(|b| is_word(*b)).collect();
    String::from_utf8_lossy(&word).to_ascii_uppercase()
}

/// Whether the statement can stand in a FROM clause as `(…)`.
#[must_use]
pub fn is_subquery(sql: &str) -> bool {
    matches!(
        first_word(sql).as_str(),
        "SELECT"
            | "FROM"
            | "WITH"
            | "VALUES"
            | "TABLE"
            | "PIVOT"
            | "UNPIVOT"
            | "DESCRIBE"
            | "DESC"
            | "SUMMARIZE"
            | "SHOW"
    )
}

/// Whether the statement uses `?` for its parameters, which cannot be mixed with `$n`.
#[must_use]
pub fn has_anonymous_parameters(sql: &str) -> bool {
    let bytes = sql.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'?' {
            return true;
        }
        at = token_end(bytes, at);
    }
    false
}

/// How deep the brackets of the statement are nested, and how many dots its longest name has.
/// DuckDB's parser and binder recurse over both.
#[must_use]
pub fn nesting(sql: &str) -> (usize, usize) {
    let bytes = sql.as_bytes();
    let (mut depth, mut deepest) = (0usize, 0usize);
    let (mut dots, mut most_dots) = (0usize, 0usize);
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match bytes[at] {
            b'.' => dots += 1,
            b'"' => {}
            byte if is_word(byte) || is_blank(bytes, at) => {}
            _ => dots = 0,
        }
        deepest = deepest.max(depth);
        most_dots = most_dots.max(dots);
        at = token_end(bytes, at);
    }
    (deepest, most_dots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminator_and_what_follows_are_cut() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT 1"),
            ("SELECT 1;", "SELECT 1"),
            ("SELECT 1 ; ; -- done\n /* x; */ ", "SELECT 1 "),
            ("SELECT ';'", "SELECT ';'"),
            ("SELECT ';' ;", "SELECT ';' "),
            ("SELECT $$;$$, $a$ ; $$ ;$a$;", "SELECT $$;$$, $a$ ; $$ ;$a$"),
            ("SELECT E'\\';' ;", "SELECT E'\\';' "),
            ("SELECT 1 -- c;", "SELECT 1 -- c;"),
            ("SELECT 1; SELECT 2", "SELECT 1; SELECT 2"),
            ("SELECT \"a;\" /* /* ; */ ; */ ;", "SELECT \"a;\" /* /* ; */ ; */ "),
            ("SELECT 'open ;", "SELECT 'open ;"),
        ] {
            assert_eq!(without_terminator(sql), expected);
        }
    }

    #[test]
    fn nesting_counts_brackets_and_dots_outside_of_quotes() {
        assert_eq!(nesting("SELECT ((a.b.\"c\" . d)), '((((', [1] -- ((("), (2, 3));
        assert_eq!(nesting("SELECT a.b, c.d"), (0, 1));
    }

    #[test]
    fn first_word_skips_comments_and_parentheses() {
        assert_eq!(first_word("-- a\n /* b */ ((select 1))"), "SELECT");
        assert_eq!(first_word(""), "");
        assert!(is_subquery("from x"));
        assert!(!is_subquery("PRAGMA version"));
    }

    #[test]
    fn anonymous_parameters_are_found_outside_of_quotes() {
        assert!(has_anonymous_parameters("SELECT ?"));
        assert!(!has_anonymous_parameters("SELECT '?' -- ?\n, $1"));
    }
}
