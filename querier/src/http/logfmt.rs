//! Reads the `tags` parameter of a search: logfmt, `key=value` pairs apart by spaces, values quoted when they hold spaces.
//!
//! It knows nothing of what the keys mean.

/// Why a text is not logfmt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LogfmtError {
    /// A pair begins with `=` or a quote.
    #[error("unexpected {found:?} at byte {position}: a key is expected")]
    NoKey { found: char, position: usize },
    /// A quote or `=` stands where it cannot.
    #[error("unexpected {found:?} at byte {position}: quote the value when it holds spaces, quotes or '='")]
    Unexpected { found: char, position: usize },
    /// A quoted value has no end.
    #[error("the quoted value that begins at byte {position} has no closing quote")]
    Unterminated { position: usize },
    /// A quoted value has an escape that is none.
    #[error(
        "the quoted value that begins at byte {position} has an invalid escape: use \\\", \\\\, \\n, \\t, \\r or \\u0000"
    )]
    Escape { position: usize },
}

/// The pairs in the order written; a key without `=` has an empty value.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, String)>, LogfmtError> {
    let mut pairs = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start_matches(is_space).len();
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else { return Ok(pairs) };
        if first == '=' || first == '"' {
            return Err(LogfmtError::NoKey { found: first, position: at });
        }
        let key_bytes = rest.find(|c| is_space(c) || c == '=' || c == '"').unwrap_or(rest.len());
        let key = rest[..key_bytes].to_owned();
        at += key_bytes;
        match text[at..].chars().next() {
            Some('=') => {
                let (value, end) = value(text, at + 1)?;
                pairs.push((key, value));
                at = end;
            }
            Some('"') => return Err(LogfmtError::Unexpected { found: '"', position: at }),
            _ => pairs.push((key, String::new())),
        }
    }
}

fn is_space(c: char) -> bool {
    c <= ' '
}

/// The value that begins at `at`, and where it ends.
fn value(text: &str, at: usize) -> Result<(String, usize), LogfmtError> {
    let rest = &text[at..];
    if !rest.starts_with('"') {
        let len = rest.find(is_space).unwrap_or(rest.len());
        return match rest[..len].find(['"', '=']) {
            Some(i) => {
                let found = rest[i..].chars().next().unwrap_or('"');
                Err(LogfmtError::Unexpected { found, position: at + i })
            }
            None => Ok((rest[..len].to_owned(), at + len)),
        };
    }
    let Some((value, len)) = quoted(rest) else {
        let is_closed = closing_quote(rest).is_some();
        return Err(if is_closed {
            LogfmtError::Escape { position: at }
        } else {
            LogfmtError::Unterminated { position: at }
        });
    };
    let end = at + len;
    match text[end..].chars().next() {
        Some(found) if !is_space(found) => Err(LogfmtError::Unexpected { found, position: end }),
        _ => Ok((value, end)),
    }
}

/// Where the quote that closes the one at 0 stands.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(i),
            _ => {}
        }
    }
    None
}

/// The text between the quotes, its escapes those of JSON, and the length with both quotes.
fn quoted(text: &str) -> Option<(String, usize)> {
    let end = closing_quote(text)?;
    // A raw control character is legal here and not in JSON, so it is escaped before JSON's reader sees it.
    let mut json = String::with_capacity(end + 1);
    for c in text[..=end].chars() {
        match c {
            c if c < ' ' => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    Some((serde_json::from_str(&json).ok()?, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        let check = |text: &str, expect: &[(&str, &str)]| {
            let expect: Vec<_> = expect.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            assert_eq!(parse(text), Ok(expect), "{text:?}");
        };
        check("", &[]);
        check("   ", &[]);
        check("a=b", &[("a", "b")]);
        check("  service.name=cart   http.status_code=500 ", &[("service.name", "cart"), ("http.status_code", "500")]);
        check(r#"name="GET /a b""#, &[("name", "GET /a b")]);
        check(r#"a="x \"y\" \\ \n é" b=1"#, &[("a", "x \"y\" \\ \n é"), ("b", "1")]);
        check("flag b=", &[("flag", ""), ("b", "")]);
        check(r#"a="""#, &[("a", "")]);
        check("a=\"tab\there\"", &[("a", "tab\there")]);
        check("ключ=значение", &[("ключ", "значение")]);
        check("a=b a=c", &[("a", "b"), ("a", "c")]);
    }

    #[test]
    fn refusals() {
        let check = |text: &str, expect: LogfmtError| assert_eq!(parse(text), Err(expect), "{text:?}");
        check("=x", LogfmtError::NoKey { found: '=', position: 0 });
        check("a=b \"c\"", LogfmtError::NoKey { found: '"', position: 4 });
        check("a\"b", LogfmtError::Unexpected { found: '"', position: 1 });
        check("a=b=c", LogfmtError::Unexpected { found: '=', position: 3 });
        check("a=b\"c", LogfmtError::Unexpected { found: '"', position: 3 });
        check("a=\"b", LogfmtError::Unterminated { position: 2 });
        check("a=\"b\\\"", LogfmtError::Unterminated { position: 2 });
        check("a=\"b\"c", LogfmtError::Unexpected { found: 'c', position: 5 });
        check("a=\"\\q\"", LogfmtError::Escape { position: 2 });
    }
}
