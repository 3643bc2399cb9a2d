//! Texts without what differs from call to call: statements without literals, routes without ids, messages without
//! numbers. Not a parser of SQL: a scanner that also makes something sensible of any other text.

/// A statement with its literals replaced by `?`, lists of them by one, comments and repeated blanks left out.
pub(crate) fn normalise_statement(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(literal) = literal_bytes(rest, &out) {
            push_literal(&mut out);
            rest = &rest[literal..];
        } else if let Some(comment) = comment_bytes(rest) {
            push_blank(&mut out);
            rest = &rest[comment..];
        } else if first.is_whitespace() {
            push_blank(&mut out);
            rest = &rest[first.len_utf8()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// A literal, or a list of which it is the next one.
fn push_literal(out: &mut String) {
    let list = out.trim_end();
    if let Some(before) = list.strip_suffix(',')
        && before.trim_end().ends_with('?')
    {
        out.truncate(before.trim_end().len());
    } else {
        out.push('?');
    }
}

fn push_blank(out: &mut String) {
    if !out.is_empty() && !out.ends_with(' ') {
        out.push(' ');
    }
}

fn comment_bytes(text: &str) -> Option<usize> {
    if text.starts_with("--") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let inner = text.strip_prefix("/*")?;
    Some(inner.find("*/").map_or(text.len(), |at| at + 4))
}

/// How long the literal is that the text starts with: a quoted text, a number, or a placeholder.
fn literal_bytes(text: &str, before: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match bytes[0] {
        b'\'' => {
            let mut at = 1;
            while at < bytes.len() {
                match bytes[at] {
                    b'\\' => at += 2,
                    b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
                    b'\'' => return Some(at + 1),
                    _ => at += 1,
                }
            }
            Some(bytes.len())
        }
        b'?' => Some(1),
        b'$' | b':' | b'@'
            if bytes.get(1).is_some_and(|byte| is_word(*byte))
                && !before.ends_with(|c: char| c.is_alphanumeric() || c == ':' || c == '@') =>
        {
            Some(1 + bytes[1..].iter().take_while(|byte| is_word(**byte)).count())
        }
        b'%' if bytes.get(1) == Some(&b's') => Some(2),
        b'0'..=b'9' if !before.bytes().next_back().is_some_and(|byte| is_word(byte) || byte >= 0x80) => {
            let is_part = |byte: &&u8| is_word(**byte) || **byte == b'.';
            Some(bytes.iter().take_while(is_part).count())
        }
        _ => None,
    }
}

/// Whether a statement's literals have been replaced already, so that equal texts do not mean equal values.
pub(crate) fn has_placeholders(text: &str) -> bool {
    let mut quoted = false;
    let bytes = text.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| {
        quoted ^= *byte == b'\'';
        let digit = bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric);
        let before = at.checked_sub(1).map(|at| bytes[at]);
        !quoted
            && match byte {
                b'?' => true,
                b'$' => digit,
                b':' | b'@' => digit && before != Some(b':') && before.is_none_or(|byte| !byte.is_ascii_alphanumeric()),
                b'%' => bytes.get(at + 1) == Some(&b's'),
                b'*' => bytes.get(at + 1) == Some(&b'*'),
                _ => false,
            }
    })
}

/// Whether a text was cut off, as far as its end shows.
pub(crate) fn is_truncated(text: &str) -> bool {
    let text = text.trim_end();
    text.ends_with("...") || text.ends_with('…') || text.ends_with("[truncated]")
}

/// A path or URL with its ids replaced by `{}` and its query left out.
pub(crate) fn normalise_route(text: &str) -> String {
    let path = text.split(['?', '#']).next().unwrap_or(text);
    let part = |part: &str| {
        let hex = part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        let is_id = digits > 0
            && (digits == part.len() || hex && part.len() >= 8 || digits * 2 > part.len() || part.len() >= 20);
        if is_id && !part.contains(':') { "{}".to_owned() } else { part.to_owned() }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// A message with what differs from one occurrence to the next replaced: URLs, UUIDs, addresses, times, hexadecimal and decimal
/// numbers. Messages of one fault become one text.
pub(crate) fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.' || c == ':' || c == '/';
        if !is_part(first) {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let is_url = rest.find("://").is_some_and(|at| rest[..at].bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let ends = if is_url { "\"'`<>" } else { "\"'`<>()[]{},;=|" };
        let length = rest.find(|c: char| c.is_whitespace() || ends.contains(c)).unwrap_or(rest.len());
        let word = &rest[..length.max(first.len_utf8())];
        out.push_str(&redact_word(word));
        rest = &rest[word.len()..];
    }
    out
}

fn redact_word(word: &str) -> String {
    let core = word.trim_end_matches(['.', ':', '!', '?']);
    let tail = &word[core.len()..];
    let all = |allowed: &str| !core.is_empty() && core.chars().all(|c| c.is_ascii_hexdigit() || allowed.contains(c));
    let digits = core.bytes().filter(u8::is_ascii_digit).count();
    let digits_and = |more: &str| core.chars().all(|c| c.is_ascii_digit() || more.contains(c));
    let is_ip4 = core.matches('.').count() == 3 && digits_and(".:");
    let is_ip6 = core.matches(':').count() >= 3 && all(":.");
    let is_prefixed_hex = core.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let is_hash = core.len() >= 8 && (1..core.len()).contains(&digits) && all("");
    let what = if core.contains("://") {
        "<url>"
    } else if core.len() == 36 && core.matches('-').count() == 4 && all("-") {
        "<uuid>"
    } else if is_ip4 || is_ip6 {
        "<ip>"
    } else if digits >= 6 && digits_and("-:.TZ+") && core.contains([':', '-']) {
        "<time>"
    } else if is_prefixed_hex || is_hash {
        "<hex>"
    } else {
        return numbers(core) + tail;
    };
    what.to_owned() + tail
}

/// The word with each run of digits replaced.
fn numbers(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut in_number = false;
    for c in word.chars() {
        let is_digit = c.is_ascii_digit() || in_number && c == '.';
        match (is_digit, in_number) {
            (true, false) => out.push_str("<n>"),
            (true, true) => {}
            (false, _) => out.push(c),
        }
        in_number = is_digit;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements() {
        let check = |text: &str, expect: &str| assert_eq!(normalise_statement(text), expect, "{text}");
        check("SELECT * FROM card WHERE id = 17", "SELECT * FROM card WHERE id = ?");
        check("select a1, 'it''s' from t2 -- c\n where x=-1.5e3", "select a1, ? from t2 where x=-?");
        check("x IN (1, 2,3)", "x IN (?)");
        check("x IN (?, ?, ?)", "x IN (?)");
        check("x = $1 AND y = :name AND z::text = @p", "x = ? AND y = ? AND z::text = ?");
        check("GET user:1234 /* c */", "GET user:?");
        check("VALUES(:1, :2)", "VALUES(?)");
        check("'unclosed", "?");
        check("é1 'ö' /* unclosed", "é1 ?");
        check("", "");
    }

    #[test]
    fn placeholders() {
        let check = |text: &str, expect| assert_eq!(has_placeholders(text), expect, "{text}");
        check("a = ?", true);
        check("a = $1", true);
        check("a = :id", true);
        check("a = '?'", false);
        check("a::text = 5", false);
        check("a = 5", false);
    }

    #[test]
    fn routes() {
        let check = |text: &str, expect: &str| assert_eq!(normalise_route(text), expect, "{text}");
        check("/users/17/cards?x=1", "/users/{}/cards");
        check("http://h:80/a/9f6ec2b0-6a52-4b55-8a0f-3c1b7f5d2e10", "http://h:80/a/{}");
        check("/v1/things", "/v1/things");
    }

    #[test]
    fn messages() {
        let check = |text: &str, expect: &str| assert_eq!(redact(text), expect, "{text}");
        check("timeout after 500ms", "timeout after <n>ms");
        check("no user 9f6ec2b0-6a52-4b55-8a0f-3c1b7f5d2e10.", "no user <uuid>.");
        check("connect 10.0.3.17:5432 refused", "connect <ip> refused");
        check("GET https://x.y/z?a=1: 503", "GET <url>: <n>");
        check("at 2026-01-02T03:04:05Z, id=0xdeadBEEF", "at <time>, id=<hex>");
        check("commit 4f2a9c11 of 12.5", "commit <hex> of <n>");
        check("ünï ☃ no change", "ünï ☃ no change");
    }
}
