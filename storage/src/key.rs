//! Which texts are keys: the same on every backend, so that what works on a laptop works in a bucket.

use crate::error::{Error, Kind, Operation};

/// The longest key, in bytes (S3 and GCS allow 1,024; the rest is left for the prefix inside a bucket).
pub const MAX_KEY_BYTES: usize = 700;

/// The longest part of a key between slashes, in bytes: what common file systems allow.
pub(crate) const MAX_SEGMENT_BYTES: usize = 255;

/// The first segment the directory backend keeps for itself.
pub(crate) const RESERVED_SEGMENT: &str = ".spanlake";

/// Says what is wrong with a key, if anything.
pub(crate) fn problem(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("the key is empty");
    }
    if key.len() > MAX_KEY_BYTES {
        return Some("the key is longer than 700 bytes");
    }
    for segment in key.split('/') {
        match segment {
            "" => return Some("a key has no empty segment and neither begins nor ends with a slash"),
            "." | ".." => return Some("a segment of the key is '.' or '..'"),
            _ if segment.len() > MAX_SEGMENT_BYTES => return Some("a segment of the key is longer than 255 bytes"),
            _ if segment.chars().any(|c| c.is_control() || c == '\\') => {
                return Some("the key has a control character or a backslash");
            }
            _ => {}
        }
    }
    (key.split('/').next() == Some(RESERVED_SEGMENT)).then_some("keys under '.spanlake/' are reserved")
}

/// Checks a key.
pub(crate) fn check(operation: Operation, key: &str) -> Result<(), Error> {
    match problem(key) {
        Some(problem) => Err(Error::new(Kind::Invalid, operation, key, problem)),
        None => Ok(()),
    }
}

/// Checks the prefix of a listing: empty, or a key followed by a slash.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), Error> {
    let problem = match prefix.strip_suffix('/') {
        _ if prefix.is_empty() => None,
        Some(key) => problem(key),
        None => Some("the prefix of a listing ends with a slash"),
    };
    match problem {
        Some(problem) => Err(Error::new(Kind::Invalid, Operation::List, prefix, problem)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_what_is_none() {
        let check = |key: &str, ok: bool| assert_eq!(problem(key).is_none(), ok, "{key:?}");
        check("a", true);
        check("tenants/team-a!_.*'()/l0/01_1.parquet", true);
        check("a b/ü", true);
        check(".hidden", true);
        check("...", true);
        check("", false);
        check("/a", false);
        check("a/", false);
        check("a//b", false);
        check("a/../b", false);
        check("..", false);
        check("./a", false);
        check("a\0", false);
        check("a\nb", false);
        check("a\\b", false);
        check(".spanlake/tmp/x", false);
        check(&"x".repeat(255), true);
        check(&"x".repeat(256), false);
        check(&"x/".repeat(400), false);
    }

    #[test]
    fn prefixes_end_with_a_slash() {
        assert!(check_prefix("").is_ok());
        assert!(check_prefix("a/b/").is_ok());
        assert!(check_prefix("a/b").is_err());
        assert!(check_prefix("/").is_err());
        assert!(check_prefix("../").is_err());
    }
}
