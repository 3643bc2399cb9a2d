//! Trace and span ids: fixed-size bytes, written as lower-case hexadecimal.

use std::fmt;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("the id is empty: give 1 to {max} hexadecimal digits")]
    Empty {
        /// Most digits the id can have.
        max: usize,
    },
    /// The text has more digits than the id can hold.
    #[error("the id has {len} hexadecimal digits: at most {max} fit")]
    TooLong {
        /// Digits given.
        len: usize,
        /// Most digits the id can have.
        max: usize,
    },
    /// A character is not a hexadecimal digit.
    #[error("the id has {found:?} at position {position}: only the digits 0-9, a-f and A-F may appear")]
    NotHex {
        /// The offending character.
        found: char,
        /// Its position, counted in characters from 0.
        position: usize,
    },
}

/// The 16 bytes that name a trace (OpenTelemetry trace id). Ordered bytewise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TraceId(pub [u8; 16]);

/// The 8 bytes that name a span inside its trace (OpenTelemetry span id). Ordered bytewise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SpanId(pub [u8; 8]);

const _: () = assert!(size_of::<TraceId>() == 16 && size_of::<SpanId>() == 8);

impl TraceId {
    /// Reads 1 to 32 hexadecimal digits of either case; shorter texts are padded with zeros on the left.
    ///
    /// # Errors
    /// [`IdError`] names the first thing wrong with the text.
    pub fn parse_hex(text: &str) -> Result<Self, IdError> {
        parse_padded(text).map(Self)
    }

    /// The id on the wire: exactly 16 bytes and not all zero, or nothing (W3C Trace Context, section 3.2.2.3).
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        let id: [u8; 16] = bytes.try_into().ok()?;
        (id != [0; 16]).then_some(Self(id))
    }
}

impl SpanId {
    /// Reads 1 to 16 hexadecimal digits of either case; shorter texts are padded with zeros on the left.
    ///
    /// # Errors
    /// [`IdError`] names the first thing wrong with the text.
    pub fn parse_hex(text: &str) -> Result<Self, IdError> {
        parse_padded(text).map(Self)
    }

    /// The id on the wire: exactly 8 bytes and not all zero, or nothing (W3C Trace Context, section 3.2.2.4).
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        let id: [u8; 8] = bytes.try_into().ok()?;
        (id != [0; 8]).then_some(Self(id))
    }
}

fn parse_padded<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    let max = 2 * N;
    if text.is_empty() {
        return Err(IdError::Empty { max });
    }
    for (position, found) in text.chars().enumerate() {
        if !found.is_ascii_hexdigit() {
            return Err(IdError::NotHex { found, position });
        }
    }
    if text.len() > max {
        return Err(IdError::TooLong { len: text.len(), max });
    }
    let mut id = [0u8; N];
    for (i, digit) in text.bytes().rev().enumerate() {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => digit - b'A' + 10,
        };
        id[N - 1 - i / 2] |= value << (4 * (i % 2));
    }
    Ok(id)
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for byte in bytes {
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_ids_from_text() {
        let check = |text: &str, expect: Result<&str, IdError>| {
            assert_eq!(TraceId::parse_hex(text).map(|id| id.to_string()), expect.map(str::to_owned), "{text}");
        };
        check("2f3e0cee77ae5dc9c17ade3689eb2e54", Ok("2f3e0cee77ae5dc9c17ade3689eb2e54"));
        check("2F3E0CEE77AE5DC9C17ADE3689EB2E54", Ok("2f3e0cee77ae5dc9c17ade3689eb2e54"));
        check("1", Ok("00000000000000000000000000000001"));
        check("abc", Ok("00000000000000000000000000000abc"));
        check("", Err(IdError::Empty { max: 32 }));
        check("12g4", Err(IdError::NotHex { found: 'g', position: 2 }));
        check("é", Err(IdError::NotHex { found: 'é', position: 0 }));
        check("0000000000000000000000000000000001", Err(IdError::TooLong { len: 34, max: 32 }));
    }

    #[test]
    fn ids_on_the_wire_have_their_length_and_are_not_zero() {
        assert!(TraceId::from_wire(&[0; 16]).is_none());
        assert!(TraceId::from_wire(&[1; 15]).is_none());
        assert!(SpanId::from_wire(&[0; 8]).is_none());
        assert!(SpanId::from_wire(&[1; 9]).is_none());
        assert_eq!(SpanId::from_wire(&[1; 8]), Some(SpanId([1; 8])));
    }
}
