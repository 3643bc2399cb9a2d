//! Texts in quotes, read as Go reads them, and attribute names in quotes, which know fewer escapes.

use std::fmt;
use std::ops::Range;

/// What stood between the quotes.
#[derive(Debug, PartialEq)]
pub(crate) struct Quoted {
    pub(crate) value: String,
    /// Bytes that it took in the query, quotes included.
    pub(crate) length: usize,
}

/// What is wrong with it.
#[derive(Debug, PartialEq)]
pub(crate) struct QuoteError {
    /// The wrong part, in bytes from the opening quote.
    pub(crate) range: Range<usize>,
    pub(crate) message: &'static str,
    pub(crate) hint: Option<&'static str>,
}

const NOT_CLOSED: &str = "this text is not closed";
const CLOSE: &str = "close it by `\"`";

/// A text that starts with `"` or a backtick.
pub(crate) fn string(text: &str) -> Result<Quoted, QuoteError> {
    if let Some(rest) = text.strip_prefix('`') {
        let Some(end) = rest.find('`') else {
            return Err(QuoteError { range: 0..1, message: NOT_CLOSED, hint: Some("close it by a backtick") });
        };
        return Ok(Quoted { value: rest[..end].replace('\r', ""), length: end + 2 });
    }
    // Bytes, because Go's escapes may spell out the bytes of one character.
    let mut value = Vec::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => {
                let value = String::from_utf8(value).map_err(|_| QuoteError {
                    range: 0..position + 1,
                    message: "the bytes of this text are not UTF-8",
                    hint: None,
                })?;
                return Ok(Quoted { value, length: position + 1 });
            }
            '\n' => return Err(QuoteError { range: 0..1, message: NOT_CLOSED, hint: Some(CLOSE) }),
            '\\' => {
                let length = escape(&text[position..], &mut value).ok_or_else(|| {
                    let end = text[position + 1..].chars().next().map_or(1, |character| 1 + character.len_utf8());
                    QuoteError {
                        range: position..position + end,
                        message: "this is no escape that texts know",
                        hint: Some("double the backslash, or put the text in backticks"),
                    }
                })?;
                // Every escape is ASCII: a character for each byte.
                for _ in 1..length {
                    characters.next();
                }
            }
            _ => value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err(QuoteError { range: 0..1, message: NOT_CLOSED, hint: Some(CLOSE) })
}

/// Reads one escape at the start of `text`, appends what it stands for and gives its length in bytes.
fn escape(text: &str, value: &mut Vec<u8>) -> Option<usize> {
    let digits = |from: usize, count: usize, radix: u32| {
        let digits = text.get(from..from + count)?;
        let sound = digits.bytes().all(|byte| char::from(byte).is_digit(radix));
        if sound { u32::from_str_radix(digits, radix).ok() } else { None }
    };
    let kind = *text.as_bytes().get(1)?;
    let simple = match kind {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' | b'"' => kind,
        b'0'..=b'7' => {
            value.push(u8::try_from(digits(1, 3, 8)?).ok()?);
            return Some(4);
        }
        b'x' => {
            value.push(u8::try_from(digits(2, 2, 16)?).ok()?);
            return Some(4);
        }
        b'u' | b'U' => {
            let count = if kind == b'u' { 4 } else { 8 };
            let character = char::from_u32(digits(2, count, 16)?)?;
            value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(2 + count);
        }
        _ => return None,
    };
    value.push(simple);
    Some(2)
}

/// The part of an attribute's name that starts with `"`: only `\"` and `\\` are escapes.
pub(crate) fn key(text: &str) -> Result<Quoted, QuoteError> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return Ok(Quoted { value, length: position + 1 }),
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                other => {
                    let end = other.map_or(text.len(), |(start, character)| start + character.len_utf8());
                    return Err(QuoteError {
                        range: position..end,
                        message: "names in quotes know only the escapes `\\\"` and `\\\\`",
                        hint: Some("double the backslash"),
                    });
                }
            },
            _ => value.push(character),
        }
    }
    Err(QuoteError { range: 0..1, message: "this name is not closed", hint: Some(CLOSE) })
}

/// Writes a text in quotes, so that it reads back as the same text.
pub(crate) fn write_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    use fmt::Write;
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            character if character.is_control() => write!(f, "\\u{:04x}", u32::from(character))?,
            character => f.write_char(character)?,
        }
    }
    f.write_char('"')
}
