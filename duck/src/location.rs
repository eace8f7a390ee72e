//! Where data lies: the normal form of locations and paths, and whether a path lies under a
//! location.
//!
//! A path is compared as it is written, without being rewritten first: whatever could make DuckDB,
//! an HTTP client or an operating system read another place than the text says (dot segments,
//! percent-encoded dots, backslashes, query parameters of S3 URLs, control characters) is refused
//! by [`fault`].

/// What is wrong with `path` as a place to read or write; `None` when it says what it means.
///
/// Applies to URLs and to local paths, with and without glob characters.
#[must_use]
pub fn fault(path: &str) -> Option<&'static str> {
    if path.chars().any(char::is_control) {
        return Some("it holds a control character");
    }
    if path.contains('\\') {
        return Some("it holds a backslash");
    }
    if has_dot_segment(path) {
        return Some("it holds a \".\" or \"..\" segment");
    }
    let scheme = path.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        // httpfs reads `?s3_endpoint=…` and its like off an S3 URL and sends the signed request
        // there.
        Some("s3" | "gcs" | "gs" | "r2") if path.contains(['?', '#']) => {
            Some("it holds \"?\" or \"#\", which would start URL parameters")
        }
        Some("http" | "https") if path.contains('#') => Some("it holds \"#\""),
        // User information, which moves the host to the right of the at sign.
        Some("http" | "https") if authority(path).contains('@') => {
            Some("it holds a user name before the host")
        }
        _ => None,
    }
}

/// Whether any segment is `.` or `..`, however often it is percent-encoded.
fn has_dot_segment(path: &str) -> bool {
    let mut text = path.as_bytes().to_vec();
    loop {
        let dotted = |segment: &[u8]| segment == b"." || segment == b"..";
        if text.split(|b| matches!(b, b'/' | b'\\' | b'?' | b'&' | b'=')).any(dotted) {
            return true;
        }
        let decoded = percent_decode(&text);
        // Each round removes at least two bytes, so this ends.
        if decoded.len() == text.len() {
            return false;
        }
        text = decoded;
    }
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        if let [b'%', high, low, after @ ..] = rest
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            decoded.push(high * 16 + low);
            rest = after;
        } else {
            decoded.push(*first);
            rest = tail;
        }
    }
    decoded
}

/// The part of a URL between `://` and the next slash; empty for a local path.
fn authority(path: &str) -> &str {
    let rest = path.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Whether `path` lies under `location`, which ends in a slash. The location itself, with or
/// without its slash, lies under it.
#[must_use]
pub fn is_under(path: &str, location: &str) -> bool {
    debug_assert!(location.ends_with('/'));
    path.starts_with(location) || Some(path) == location.strip_suffix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_mean_another_place_are_refused() {
        for path in [
            "s3://b/sales/../vault/x.parquet",
            "s3://b/sales/..",
            "s3://b/./x",
            "s3://b/sales/%2e%2e/vault/x",
            "s3://b/sales/.%2E/vault/x",
            "s3://b/sales/%252e%252e/x",
            "s3://b/sales/a%2f..%2fb",
            "s3://b/sales/..%5cvault",
            "s3://b/sales/..\\vault",
            "s3://b/sales/x?s3_endpoint=evil:80",
            "gcs://b/sales/x?s3_endpoint=evil:80",
            "s3://b/sales/x#y",
            "http://h/a/%2e%2e/secret",
            "http://h/a/x?f=../y",
            "http://user@evil/a/x",
            "http://h/a/x#/b",
            "/data/../etc/passwd",
            "/data/x\0.csv",
            "/data/x\n.csv",
        ] {
            assert!(fault(path).is_some(), "{path:?}");
        }
    }

    #[test]
    fn honest_paths_pass() {
        for path in [
            "s3://b/sales/*.parquet",
            "s3://b/sales/**/day=2020-01-0[1-3]/x.parquet",
            "s3://b/sales/when=2020%2F01/100%.parquet",
            "s3://b/sales/..x/x..parquet/.hidden",
            "http://h:80/a/x.parquet?signature=a%2Fb",
            "/data/file ?.csv",
        ] {
            assert_eq!(fault(path), None, "{path:?}");
        }
    }

    #[test]
    fn a_location_ends_at_a_slash() {
        assert!(is_under("s3://b/sales/x", "s3://b/sales/"));
        assert!(is_under("s3://b/sales", "s3://b/sales/"));
        assert!(!is_under("s3://b/sales2/x", "s3://b/sales/"));
        assert!(!is_under("s3://b/Sales/x", "s3://b/sales/"));
        assert!(!is_under("s3a://b/sales/x", "s3://b/sales/"));
        assert!(!is_under("s3://b/sale[s]/x", "s3://b/sales/"));
    }
}
