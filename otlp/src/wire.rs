//! Walks protobuf wire bytes without copying, allocating or recursing. It knows wire types, not OTLP's messages.
//!
//! Nothing here trusts a declared length: a length is compared with the bytes that are left before it is used.

use std::fmt;

/// Deepest nesting of deprecated groups that is skipped (prost stops at the same depth, counting messages too).
const MAX_GROUP_DEPTH: usize = 100;

/// Why bytes are not a protobuf message of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A number ends before its last byte.
    #[error("the message is truncated inside a number")]
    Truncated,
    /// A length is larger than what is left of the enclosing message.
    #[error("a length of {length} bytes runs past the end of its message, which has {left} bytes left")]
    LengthPastEnd {
        /// Bytes declared.
        length: u64,
        /// Bytes there are.
        left: usize,
    },
    /// A variable-length number has more than 64 bits.
    #[error("a variable-length number has more than 64 bits")]
    VarintTooLong,
    /// A known field has the wire type of another kind of field.
    #[error("{message} field {field} has wire type {found}, which is not its type")]
    WrongWireType {
        /// The message's name in the OTLP definition.
        message: &'static str,
        /// The field's number in it.
        field: u32,
        /// The wire type found.
        found: WireType,
    },
    /// A field key is not one: number zero, number above 2^29 - 1, or a wire type that does not exist.
    #[error("{key} is not a field key")]
    BadKey {
        /// The key as read.
        key: u64,
    },
    /// A group ends that did not begin, or does not end.
    #[error("a group is not closed by its own end")]
    BadGroup,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    InvalidUtf8,
    /// Groups are nested too deep to be skipped.
    #[error("groups are nested deeper than {MAX_GROUP_DEPTH}")]
    GroupTooDeep,
    /// The request is larger than this crate can index.
    #[error("the request has {request_bytes} bytes: at most {max_bytes} can be indexed")]
    RequestTooLarge {
        /// Bytes given.
        request_bytes: usize,
        /// Most bytes.
        max_bytes: usize,
    },
}

/// A request that is not an OTLP protobuf message: none of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf at byte {offset}: {what}")]
pub struct Malformed {
    /// Where in the request, in bytes from 0.
    pub offset: usize,
    /// What is wrong there.
    pub what: Fault,
}

/// The low three bits of a field key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireType(pub u8);

impl fmt::Display for WireType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "varint",
            1 => "64-bit",
            2 => "length-delimited",
            3 => "group start",
            4 => "group end",
            5 => "32-bit",
            _ => "unknown",
        };
        write!(f, "{} ({name})", self.0)
    }
}

/// The outcome of reading. The error is boxed so that the good outcome travels in registers.
pub(crate) type Read<T> = Result<T, Box<Malformed>>;

/// The key of a varint field.
pub(crate) const fn varint(field: u32) -> u32 {
    field << 3
}

/// The key of a 64-bit field.
pub(crate) const fn fixed64(field: u32) -> u32 {
    field << 3 | 1
}

/// The key of a string, bytes or message field.
pub(crate) const fn delimited(field: u32) -> u32 {
    field << 3 | 2
}

/// The key of a 32-bit field.
pub(crate) const fn fixed32(field: u32) -> u32 {
    field << 3 | 5
}

/// A message kind, for telling an unknown field from a known one of the wrong type.
pub(crate) struct Kind {
    /// The message's name in the OTLP definition.
    pub(crate) name: &'static str,
    /// Bit `n` is set when the message has a field number `n`.
    pub(crate) known_fields: u32,
}

/// Reads one message, and knows where in the request it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    end: usize,
}

impl<'a> Reader<'a> {
    /// A reader of a whole message that begins at offset 0.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, end: bytes.len() }
    }

    /// Bytes from the beginning of the request.
    #[inline]
    pub(crate) fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    /// The offset behind the last byte of this message.
    #[inline]
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// What is left to read.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[cold]
    #[inline(never)]
    fn fail<T>(&self, what: Fault) -> Read<T> {
        Err(Box::new(Malformed { offset: self.offset(), what }))
    }

    /// The error of a reader that stands on a text which is not UTF-8.
    pub(crate) fn not_utf8<T>(&self) -> Read<T> {
        self.fail(Fault::InvalidUtf8)
    }

    /// The next field's key (number and wire type), or nothing at the end. The key is not yet known to be valid:
    /// what no match arm knows goes to [`Reader::skip`], which checks it.
    #[inline]
    pub(crate) fn key(&mut self) -> Read<Option<u32>> {
        let Some((&first, tail)) = self.rest.split_first() else { return Ok(None) };
        if first < 0x80 {
            self.rest = tail;
            return Ok(Some(u32::from(first)));
        }
        let at = *self;
        let key = self.varint()?;
        match u32::try_from(key) {
            Ok(key) => Ok(Some(key)),
            Err(_) => at.fail(Fault::BadKey { key }),
        }
    }

    /// A variable-length number.
    #[inline]
    pub(crate) fn varint(&mut self) -> Read<u64> {
        match *self.rest {
            [a, ref tail @ ..] if a < 0x80 => {
                self.rest = tail;
                Ok(u64::from(a))
            }
            [a, b, ref tail @ ..] if b < 0x80 => {
                self.rest = tail;
                Ok(u64::from(a & 0x7f) | u64::from(b) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Read<u64> {
        let mut value = 0u64;
        for (i, &byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                if i == 9 && byte > 1 {
                    break;
                }
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        self.fail(if self.rest.len() < 10 { Fault::Truncated } else { Fault::VarintTooLong })
    }

    /// A 64-bit number.
    #[inline]
    pub(crate) fn fixed64(&mut self) -> Read<u64> {
        let Some((bytes, tail)) = self.rest.split_first_chunk::<8>() else { return self.fail(Fault::Truncated) };
        self.rest = tail;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// A 32-bit number.
    #[inline]
    pub(crate) fn fixed32(&mut self) -> Read<u32> {
        let Some((bytes, tail)) = self.rest.split_first_chunk::<4>() else { return self.fail(Fault::Truncated) };
        self.rest = tail;
        Ok(u32::from_le_bytes(*bytes))
    }

    /// A string's, bytes value's or message's content.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.varint()?;
        match usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length)) {
            Some((bytes, tail)) => {
                self.rest = tail;
                Ok(bytes)
            }
            None => self.fail(Fault::LengthPastEnd { length, left: self.rest.len() }),
        }
    }

    /// A reader of the nested message that follows.
    #[inline]
    pub(crate) fn message(&mut self) -> Read<Reader<'a>> {
        let rest = self.bytes()?;
        Ok(Reader { rest, end: self.offset() })
    }

    /// Skips the field that `key` begins, which the caller does not know.
    ///
    /// # Errors
    /// When the field's number is known in `kind`: then its wire type is the wrong one. When the key is no key.
    #[inline(never)]
    pub(crate) fn skip(&mut self, key: u32, kind: &Kind) -> Read<()> {
        let field = key >> 3;
        if field == 0 || key & 7 > 5 {
            return self.fail(Fault::BadKey { key: u64::from(key) });
        }
        if field < 32 && kind.known_fields >> field & 1 == 1 {
            let found = WireType((key & 7) as u8);
            return self.fail(Fault::WrongWireType { message: kind.name, field, found });
        }
        self.skip_content(key)
    }

    fn skip_content(&mut self, key: u32) -> Read<()> {
        let mut open = [0u32; MAX_GROUP_DEPTH];
        let mut depth = 0;
        let mut key = key;
        loop {
            match key & 7 {
                0 => drop(self.varint()?),
                1 => drop(self.fixed64()?),
                2 => drop(self.bytes()?),
                3 if depth == MAX_GROUP_DEPTH => return self.fail(Fault::GroupTooDeep),
                3 => {
                    open[depth] = key >> 3;
                    depth += 1;
                }
                4 if depth > 0 && open[depth - 1] == key >> 3 => depth -= 1,
                4 => return self.fail(Fault::BadGroup),
                5 => drop(self.fixed32()?),
                _ => return self.fail(Fault::BadKey { key: u64::from(key) }),
            }
            if depth == 0 {
                return Ok(());
            }
            key = match self.key()? {
                Some(key) if key >> 3 > 0 => key,
                Some(key) => return self.fail(Fault::BadKey { key: u64::from(key) }),
                None => return self.fail(Fault::BadGroup),
            };
        }
    }
}
