//! What a file may take in memory once it is read, from the punctuation of JSON or the lengths of protobuf alone, before anything is
//! read: two or three bytes can become a span of some hundred. Of formats it knows where OTLP has which parts.

/// Objects this deep or less may be spans.
const SPAN_DEPTH: usize = 4;
/// What a span takes, about.
const SPAN_BYTES: usize = 320;
/// What any other object takes, about: an attribute, an event, a link.
const OBJECT_BYTES: usize = 96;
/// What any other element of a list, or member of an object, takes, about.
const ELEMENT_BYTES: usize = 32;

/// About how many bytes of memory the document takes when it is read.
pub(crate) fn weigh(json: &[u8]) -> usize {
    let (mut weight, mut depth, mut in_text, mut is_escaped) = (0usize, 0usize, false, false);
    for byte in json {
        if in_text {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' => {
                depth += 1;
                weight = weight.saturating_add(if depth <= SPAN_DEPTH { SPAN_BYTES } else { OBJECT_BYTES });
            }
            b'}' => depth = depth.saturating_sub(1),
            b',' => weight = weight.saturating_add(ELEMENT_BYTES),
            _ => {}
        }
    }
    weight
}

/// A part of an OTLP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The whole: `TracesData`, `ExportTraceServiceRequest`.
    Request,
    ResourceSpans,
    ScopeSpans,
    Span,
    /// An event or a link.
    Beside,
    /// A resource or a scope.
    Source,
    Attribute,
    /// A value of an attribute, which may hold others.
    Value,
    /// A list of values.
    List,
    /// A map of values, by key.
    Map,
    /// What holds no parts.
    Leaf,
}

impl Part {
    /// What the field of that number is.
    fn field(self, number: u64) -> Self {
        match (self, number) {
            (Self::Request, 1) => Self::ResourceSpans,
            (Self::ResourceSpans, 2) => Self::ScopeSpans,
            (Self::ScopeSpans, 2) => Self::Span,
            (Self::ResourceSpans | Self::ScopeSpans, 1) => Self::Source,
            (Self::Span, 11 | 13) => Self::Beside,
            (Self::Span, 9) | (Self::Beside, 3 | 4) | (Self::Source, 1 | 3) => Self::Attribute,
            (Self::Attribute, 2) => Self::Value,
            (Self::Value, 5) => Self::List,
            (Self::Value, 6) => Self::Map,
            (Self::List, 1) => Self::Value,
            (Self::Map, 1) => Self::Attribute,
            _ => Self::Leaf,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Request | Self::Leaf => 0,
            Self::ResourceSpans | Self::ScopeSpans | Self::Span => SPAN_BYTES,
            Self::Beside | Self::Source | Self::Attribute | Self::Value | Self::List | Self::Map => OBJECT_BYTES,
        }
    }
}

/// Deepest nesting that is looked into; what is deeper is refused when it is read.
const MAX_DEPTH: usize = 128;

/// About how many bytes of memory a message takes when it is decoded. Linear in its bytes for each level that has parts; what is broken ends
/// its part.
pub(crate) fn weigh_protobuf(message: &[u8], part: Part) -> usize {
    let mut weight = 0usize;
    let mut open: Vec<(&[u8], Part)> = vec![(message, part)];
    while let Some((bytes, part)) = open.pop() {
        let Some((number, content, rest)) = next_field(bytes) else { continue };
        open.push((rest, part));
        let (Some(content), inner) = (content, part.field(number)) else { continue };
        weight = weight.saturating_add(inner.bytes());
        if inner != Part::Leaf && !content.is_empty() && open.len() < MAX_DEPTH {
            open.push((content, inner));
        }
    }
    weight
}

/// A field: its number, its content if that has a length, and what follows.
type Field<'a> = (u64, Option<&'a [u8]>, &'a [u8]);

/// The first field.
fn next_field(bytes: &[u8]) -> Option<Field<'_>> {
    let (key, rest) = varint(bytes)?;
    let (number, wire) = (key >> 3, key & 7);
    match wire {
        0 => varint(rest).map(|(_, rest)| (number, None, rest)),
        1 => Some((number, None, rest.get(8..)?)),
        2 => {
            let (length, rest) = varint(rest)?;
            let (content, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            Some((number, Some(content), rest))
        }
        5 => Some((number, None, rest.get(4..)?)),
        _ => None,
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at).min(63);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_messages_weigh_much() {
        let field = |number: u8, content: &[u8]| {
            let mut field = vec![number << 3 | 2];
            let mut length = content.len();
            while length >= 0x80 {
                field.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            field.push(length as u8);
            field.extend(content);
            field
        };
        let events: Vec<u8> = (0..1_000).flat_map(|_| field(11, b"")).collect();
        let span = field(2, &[events, field(5, b"a name"), vec![0x30, 2]].concat());
        let message = field(1, &field(2, &span));
        assert_eq!(weigh_protobuf(&message, Part::Request), 3 * SPAN_BYTES + 1_000 * OBJECT_BYTES);
        let value = field(2, &field(5, &field(1, b"").repeat(7)));
        assert_eq!(weigh_protobuf(&field(9, &value), Part::Span), (1 + 1 + 1 + 7) * OBJECT_BYTES);
        let below = field(2, &field(5, &field(1, b"").repeat(7)));
        let map = field(2, &field(6, &field(1, &[field(1, b"k"), below].concat())));
        assert_eq!(weigh_protobuf(&field(9, &map), Part::Span), (1 + 1 + 1 + 1 + 1 + 1 + 7) * OBJECT_BYTES);
        // What is broken, endless or deep ends.
        for broken in [&b"\x0a\xff"[..], b"\x0a", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x0b\x0b"] {
            assert_eq!(weigh_protobuf(broken, Part::Request), 0);
        }
    }

    #[test]
    fn small_parts_weigh_much() {
        let spans = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}{{}}]}}]}}]}}"#, "{},".repeat(1_000));
        assert_eq!(weigh(spans.as_bytes()), 1_004 * SPAN_BYTES + 1_000 * ELEMENT_BYTES);
        assert_eq!(weigh(br#"{"a":"{,{,\"{,","b":[1,2]}"#), SPAN_BYTES + 2 * ELEMENT_BYTES);
        assert_eq!(weigh(br"}}}}{"), SPAN_BYTES);
    }
}
