//! Regular expressions: what TraceQL means by one, which is Go's syntax, said in the syntax of the `regex` crate. It
//! compiles and runs none.

use std::fmt;

use regex_syntax::hir::{Class, Hir, HirKind};
use regex_syntax::{ParserBuilder, ast};

use crate::limits::MAX_REGEX_BYTES;

/// How deep groups may nest: the tree is walked by recursion when it is compiled.
const MAX_REGEX_NESTING: u32 = 100;
/// Most classes of the Unicode database, which are long.
const MAX_REGEX_PROPERTIES: usize = 64;
/// How far the end of a repetition, of an escape's braces or of a named class is looked for, in bytes: what has no end is
/// not searched to the end of the text at each of its beginnings.
const MAX_LOOKAHEAD: usize = 64;

/// The regular expression of a query as one for the `regex` crate that matches the whole of a text or nothing.
///
/// Where the two syntaxes differ, Go's holds: `\d`, `\s`, `\w` and `\b` know ASCII only, a `{` that repeats nothing
/// stands for itself (`/users/{id}`), `\Q...\E` quotes, and classes have no operators. A dot matches line feeds too, as
/// in Prometheus. What is no regular expression stays none.
pub fn whole_text_regex(pattern: &str) -> String {
    format!("^(?s:{})$", translate(pattern))
}

/// The same for any part of a text.
fn translate(pattern: &str) -> String {
    let mut translation = Translation { rest: pattern, out: String::new() };
    while let Some(character) = translation.take() {
        match character {
            '\\' => translation.escape(false),
            '[' => translation.class(),
            '{' if !is_repetition(translation.rest) => translation.out.push_str("\\{"),
            _ => translation.out.push(character),
        }
    }
    translation.out
}

/// About how many states it compiles to.
///
/// # Errors
/// Says why a query may not use it.
pub(crate) fn check(pattern: &str) -> Result<u64, String> {
    if pattern.len() > MAX_REGEX_BYTES {
        return Err(format!("a regular expression has at most {MAX_REGEX_BYTES} bytes, not {}", pattern.len()));
    }
    if pattern.matches("\\p").count() + pattern.matches("\\P").count() > MAX_REGEX_PROPERTIES {
        return Err(format!("a regular expression has at most {MAX_REGEX_PROPERTIES} classes such as `\\pL`"));
    }
    let not_sound = |reason: &dyn fmt::Display| format!("not a regular expression: {reason}");
    // Also without what is put around it, which `a)|(b` would break open.
    let mut inside = ast::parse::ParserBuilder::new().nest_limit(MAX_REGEX_NESTING).build();
    inside.parse(&translate(pattern)).map_err(|error| not_sound(error.kind()))?;
    match ParserBuilder::new().nest_limit(MAX_REGEX_NESTING + 1).build().parse(&whole_text_regex(pattern)) {
        Ok(tree) => Ok(states(&tree)),
        Err(regex_syntax::Error::Parse(error)) => Err(not_sound(error.kind())),
        Err(regex_syntax::Error::Translate(error)) => Err(not_sound(error.kind())),
        Err(error) => Err(not_sound(&error)),
    }
}

/// About how many states a tree compiles to. The depth of the tree is bounded where it is parsed.
fn states(tree: &Hir) -> u64 {
    match tree.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        // One range of characters takes several of bytes.
        HirKind::Class(Class::Unicode(class)) => class.ranges().len() as u64 + 8,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64 + 8,
        HirKind::Repetition(repetition) => {
            let count = repetition.max.unwrap_or(repetition.min.saturating_add(1)).max(1);
            states(&repetition.sub).saturating_mul(count.into())
        }
        HirKind::Capture(capture) => states(&capture.sub).saturating_add(1),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(0, |sum: u64, part| sum.saturating_add(states(part)))
        }
    }
}

/// Whether what follows a `{` makes it a repetition: `3}`, `3,}`, `3,5}`. Looks no further than one can be.
fn is_repetition(rest: &str) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b',';
    let length = rest.bytes().take(MAX_LOOKAHEAD).take_while(is_part).count();
    let Some(inside) = rest.get(..length).filter(|_| rest[length..].starts_with('}')) else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match inside.split_once(',') {
        Some((least, most)) => is_number(least) && (most.is_empty() || is_number(most)),
        None => is_number(inside),
    }
}

/// The text up to an end that is near, and what follows the end.
fn split_near<'a>(rest: &'a str, end: &str) -> Option<(&'a str, &'a str)> {
    let at = rest.as_bytes().windows(end.len()).take(MAX_LOOKAHEAD).position(|window| window == end.as_bytes())?;
    Some((rest.get(..at)?, rest.get(at + end.len()..)?))
}

struct Translation<'a> {
    rest: &'a str,
    out: String,
}

impl Translation<'_> {
    fn take(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let character = characters.next()?;
        self.rest = characters.as_str();
        Some(character)
    }

    fn literal(&mut self, character: char) {
        if regex_syntax::is_meta_character(character) {
            self.out.push('\\');
        }
        self.out.push(character);
    }

    /// What follows a backslash.
    fn escape(&mut self, in_class: bool) {
        let Some(character) = self.take() else {
            self.out.push('\\');
            return;
        };
        let ranges = match character.to_ascii_lowercase() {
            'd' => Some("0-9"),
            's' => Some(r"\t\n\f\r "),
            'w' => Some("0-9A-Za-z_"),
            _ => None,
        };
        match (character, ranges) {
            (_, Some(ranges)) if character.is_ascii_uppercase() => self.out.push_str(&format!("[^{ranges}]")),
            (_, Some(ranges)) if in_class => self.out.push_str(ranges),
            (_, Some(ranges)) => self.out.push_str(&format!("[{ranges}]")),
            ('b', _) if !in_class => self.out.push_str(r"(?-u:\b)"),
            ('Q', _) if !in_class => {
                let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                self.out.push_str(&regex_syntax::escape(quoted));
            }
            // Braces of `\x{...}` and `\p{...}` belong to the escape.
            ('x' | 'p' | 'P', _) => {
                self.out.extend(['\\', character]);
                if let Some((inside, rest)) = self.rest.strip_prefix('{').and_then(|rest| split_near(rest, "}")) {
                    self.out.push_str(&format!("{{{inside}}}"));
                    self.rest = rest;
                }
            }
            _ if character.is_ascii_punctuation() => self.literal(character),
            _ => self.out.extend(['\\', character]),
        }
    }

    /// What follows the bracket that opens a class.
    fn class(&mut self) {
        self.out.push('[');
        if self.rest.starts_with('^') {
            self.take();
            self.out.push('^');
        }
        // A bracket that comes first closes nothing.
        if self.rest.starts_with(']') {
            self.take();
            self.out.push_str("\\]");
        }
        let mut is_first = true;
        while let Some(character) = self.take() {
            match character {
                ']' => {
                    self.out.push(']');
                    return;
                }
                '\\' => self.escape(true),
                '[' => match self.rest.strip_prefix(':').and_then(|rest| split_near(rest, ":]")) {
                    Some((name, rest)) if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'^') => {
                        self.out.push_str(&format!("[:{name}:]"));
                        self.rest = rest;
                    }
                    _ => self.out.push_str("\\["),
                },
                '&' | '~' => self.literal(character),
                '-' if is_first => self.out.push_str("\\-"),
                // The end of a range, not the operator that two in a row are.
                '-' if self.rest.starts_with('-') => {
                    self.take();
                    self.out.push_str("-\\-");
                }
                _ => self.out.push(character),
            }
            is_first = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{check, whole_text_regex};

    #[test]
    fn the_syntax_of_go_holds() {
        for (pattern, translated) in [
            ("", ""),
            ("a|b", "a|b"),
            ("a.*b", "a.*b"),
            ("(?i)a", "(?i)a"),
            ("/users/{id}", r"/users/\{id}"),
            ("{}", r"\{}"),
            ("{", r"\{"),
            ("a{2}", "a{2}"),
            ("a{2,}", "a{2,}"),
            ("a{2,3}", "a{2,3}"),
            ("a{,3}", r"a\{,3}"),
            ("a{x{3}", r"a\{x{3}"),
            (r"\{id\}", r"\{id\}"),
            (r"\d+", "[0-9]+"),
            (r"\D\W\S", r"[^0-9][^0-9A-Za-z_][^\t\n\f\r ]"),
            (r"\w\s", r"[0-9A-Za-z_][\t\n\f\r ]"),
            (r"[\d.]", "[0-9.]"),
            (r"[\D.]", "[[^0-9].]"),
            (r"\bx\b", r"(?-u:\b)x(?-u:\b)"),
            (r"\Q{a.b}\E.", r"\{a\.b\}."),
            (r"\Qa.b", r"a\.b"),
            (r"\.\/\-\<\_", r"\./\-<_"),
            (r"\x{e9}\pL\p{Greek}\x41", r"\x{e9}\pL\p{Greek}\x41"),
            ("[[]", r"[\[]"),
            ("[a[b]", r"[a\[b]"),
            ("[[:alpha:]_]", "[[:alpha:]_]"),
            ("[[:^digit:]]", "[[:^digit:]]"),
            ("[]a]", r"[\]a]"),
            ("[^]a]", r"[^\]a]"),
            ("[a&&b]", r"[a\&\&b]"),
            ("[a~~b]", r"[a\~\~b]"),
            ("[--/]", r"[\--/]"),
            ("[+--]", r"[+-\-]"),
            ("[a-z-]", "[a-z-]"),
            ("[{}]", "[{}]"),
            (r"[\]]", r"[\]]"),
            ("größe.日", "größe.日"),
        ] {
            assert_eq!(whole_text_regex(pattern), format!("^(?s:{translated})$"), "{pattern}");
            assert!(check(pattern).is_ok(), "{pattern}");
        }
    }

    #[test]
    fn what_is_none_stays_none() {
        for pattern in
            ["(", ")", "[", "[a", "*", "a{2,1}", r"\", r"\y", "(?=a)", r"(a)\1", "(?x)#", "[z-a]", "{2}", "a)|(b"]
        {
            assert!(check(pattern).is_err(), "{pattern}");
        }
        let nested = format!("{}a{}", "(".repeat(1_000), ")".repeat(1_000));
        assert!(check(&nested).is_err());
        for pattern in ["(a{1000}){1000}", "((a{100}){100}){100}", ".{100000}", r"\pL{1000}"] {
            assert!(check(pattern).expect("sound") > crate::limits::MAX_REGEX_STATES, "{pattern}");
        }
        assert_eq!(check("a{1000}"), Ok(1_002));
        assert!(check(&r"\pL".repeat(65)).is_err());
        assert!(check(&"ab|".repeat(5_462)).is_err());
        assert!(check(&"ab|".repeat(5_461)).is_ok());
    }

    #[test]
    fn long_rows_of_beginnings_without_an_end() {
        for (open, translated) in [("{", r"\{"), ("{1", r"\{1"), ("[[:", "")] {
            let pattern = open.repeat(16 * 1024 / open.len());
            let out = whole_text_regex(&pattern);
            assert!(out.contains(&translated.repeat(16 * 1024 / open.len())), "{open}");
        }
        // A beginning is looked for no further than its end may be.
        assert_eq!(
            whole_text_regex(&format!("a{{{}}}", "1".repeat(100))),
            format!("^(?s:a\\{{{}}})$", "1".repeat(100))
        );
    }
}
