//! Parts of our own SQL that EXPLAIN leaves out: the checks that a file's columns still have the
//! types that were planned. They are bracketed by two control characters, which nothing else in our
//! SQL holds: literals with control characters go as parameters.

const OPEN: char = '\u{1}';
const CLOSE: char = '\u{2}';

/// Two more mark the places of FROM items and of tables until the translator puts these in.
const PLACES: [char; 2] = ['\u{3}', '\u{4}'];

/// `text` as a part that is not shown.
#[must_use]
pub fn hidden(text: &str) -> String {
    format!("{OPEN}{text}{CLOSE}")
}

/// Whether `text` may stand in SQL with marks.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| matches!(c, '\0' | OPEN | CLOSE) || PLACES.contains(&c))
}

/// The SQL that runs.
#[must_use]
pub fn executed(sql: &str) -> String {
    sql.replace([OPEN, CLOSE], "")
}

/// The SQL that is shown.
#[must_use]
pub fn shown(sql: &str) -> String {
    let mut depth = 0usize;
    let visible = sql.chars().filter(|c| match *c {
        OPEN => {
            depth += 1;
            false
        }
        CLOSE => {
            depth = depth.saturating_sub(1);
            false
        }
        _ => depth == 0,
    });
    visible.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_parts_run_and_are_not_shown() {
        let sql = format!(
            "SELECT {}a{} FROM t",
            hidden("CAST("),
            hidden(&format!("{} AS INT)", hidden("")))
        );
        assert_eq!(executed(&sql), "SELECT CAST(a AS INT) FROM t");
        assert_eq!(shown(&sql), "SELECT a FROM t");
    }
}
