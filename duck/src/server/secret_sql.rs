//! The CREATE SECRET statement of a server.

use std::fmt::Write as _;

use super::keywords::{self, ValueKind};
use super::{ServerSpec, ServerType, parse_boolean};
use crate::quote::{identifier, literal};
use crate::secret::Secret;

impl ServerSpec {
    /// The statement that gives DuckDB the server's credentials under the name `name`, for its location
    /// only; `None` for local files. It holds secrets: run it, show it to nobody.
    #[must_use]
    pub fn create_secret(&self, name: &str) -> Option<Secret> {
        self.create_secret_for(name, &self.location)
    }

    /// As [`ServerSpec::create_secret`], for what lies below `scope`.
    pub(super) fn create_secret_for(&self, name: &str, scope: &str) -> Option<Secret> {
        if self.server_type == ServerType::File {
            return None;
        }
        let mut sql = format!(
            "CREATE TEMPORARY SECRET {} (TYPE {}, SCOPE {}",
            identifier(name),
            self.server_type.name(),
            literal(scope),
        );
        if self.credential_chain {
            sql.push_str(", PROVIDER credential_chain");
        }
        // Writing to a String cannot fail.
        for (name, value) in &self.plain {
            let boolean = keywords::find(name).is_some_and(|k| k.kind == ValueKind::Boolean);
            let _ = match parse_boolean(value) {
                Some(value) if boolean => write!(sql, ", {name} {value}"),
                _ => write!(sql, ", {name} {}", literal(value)),
            };
        }
        for (name, value) in &self.credentials {
            let _ = write!(sql, ", {name} {}", literal(value.expose()));
        }
        if !self.headers.is_empty() {
            let pairs: Vec<_> = self
                .headers
                .iter()
                .map(|(name, value)| format!("{}: {}", literal(name), literal(value.expose())))
                .collect();
            let _ = write!(sql, ", extra_http_headers MAP {{{}}}", pairs.join(", "));
        }
        sql.push(')');
        Some(Secret::new(sql))
    }
}

/// RFC 4648 base64 with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| usize::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for position in 0..4 {
            if position <= group.len() {
                text.push(char::from(ALPHABET[bits >> (18 - 6 * position) & 63]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads_as_rfc_4648_says() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("a:é", "YTrDqQ==")]
        {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
