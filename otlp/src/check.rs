//! Validates OTLP messages field by field, so that the readers behind it need not. It decides nothing: it notes what
//! it found, and `index` judges.

use crate::limits::Limits;
use crate::proto;
use crate::wire::{Read, Reader};

/// What was found in one message and the messages in it, short of malformed protobuf.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// A text is not UTF-8.
    pub(crate) invalid_utf8: bool,
    /// A value is nested too deep; what is below was not looked at.
    pub(crate) too_deep: bool,
    /// A singular field occurs more than once, which protobuf allows and merges.
    pub(crate) repeated: bool,
    /// Something is past a limit that cuts.
    pub(crate) over_limit: bool,
}

/// The fields of a span that the index keeps. Absent ones are empty or zero.
#[derive(Debug, Default)]
pub(crate) struct SpanHead<'a> {
    pub(crate) trace_id: &'a [u8],
    pub(crate) span_id: &'a [u8],
    pub(crate) parent_span_id: &'a [u8],
    pub(crate) start_unix_nanos: u64,
    pub(crate) end_unix_nanos: u64,
}

/// Walks messages and collects findings; reset `found` between messages that are judged apart.
pub(crate) struct Checker {
    pub(crate) found: Findings,
    max_depth: u32,
    max_attributes: usize,
    max_value_bytes: usize,
    max_events: usize,
    max_links: usize,
}

/// Whether bytes are UTF-8. Short texts are nearly always ASCII, for which the general validator costs more than it
/// saves.
#[inline]
fn is_utf8(bytes: &[u8]) -> bool {
    if bytes.len() < 64 && bytes.is_ascii() {
        return true;
    }
    simdutf8::basic::from_utf8(bytes).is_ok()
}

impl Checker {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            found: Findings::default(),
            max_depth: limits.max_depth,
            max_attributes: limits.max_attributes,
            max_value_bytes: limits.max_value_bytes,
            max_events: limits.max_events,
            max_links: limits.max_links,
        }
    }

    /// Notes a singular field; `seen` has a bit for every field of the message that has come by.
    #[inline]
    pub(crate) fn once(&mut self, seen: &mut u32, key: u32) {
        let bit = 1 << (key >> 3);
        self.found.repeated |= *seen & bit != 0;
        *seen |= bit;
    }

    #[inline]
    pub(crate) fn text(&mut self, bytes: &[u8]) {
        self.found.over_limit |= bytes.len() > self.max_value_bytes;
        self.found.invalid_utf8 |= !is_utf8(bytes);
    }

    pub(crate) fn span<'a>(&mut self, mut reader: Reader<'a>) -> Read<SpanHead<'a>> {
        use proto::span::*;
        let mut head = SpanHead::default();
        let (mut attribute_count, mut event_count, mut link_count) = (0, 0, 0);
        let mut seen = 0;
        while let Some(key) = reader.key()? {
            match key {
                ATTRIBUTES => {
                    self.key_value(reader.message()?, 1)?;
                    attribute_count += 1;
                    continue;
                }
                EVENTS => {
                    self.event(reader.message()?)?;
                    event_count += 1;
                    continue;
                }
                LINKS => {
                    self.link(reader.message()?)?;
                    link_count += 1;
                    continue;
                }
                TRACE_ID => head.trace_id = reader.bytes()?,
                SPAN_ID => head.span_id = reader.bytes()?,
                PARENT_SPAN_ID => head.parent_span_id = reader.bytes()?,
                START => head.start_unix_nanos = reader.fixed64()?,
                END => head.end_unix_nanos = reader.fixed64()?,
                NAME | TRACE_STATE => self.text(reader.bytes()?),
                STATUS => self.status(reader.message()?)?,
                KIND | DROPPED_ATTRIBUTES_COUNT | DROPPED_EVENTS_COUNT | DROPPED_LINKS_COUNT => drop(reader.varint()?),
                FLAGS => drop(reader.fixed32()?),
                _ => {
                    reader.skip(key, &proto::SPAN)?;
                    continue;
                }
            }
            self.once(&mut seen, key);
        }
        self.found.over_limit |=
            attribute_count > self.max_attributes || event_count > self.max_events || link_count > self.max_links;
        Ok(head)
    }

    fn status(&mut self, mut reader: Reader<'_>) -> Read<()> {
        use proto::status::*;
        let mut seen = 0;
        while let Some(key) = reader.key()? {
            match key {
                MESSAGE => self.text(reader.bytes()?),
                CODE => drop(reader.varint()?),
                _ => {
                    reader.skip(key, &proto::STATUS)?;
                    continue;
                }
            }
            self.once(&mut seen, key);
        }
        Ok(())
    }

    fn event(&mut self, mut reader: Reader<'_>) -> Read<()> {
        use proto::event::*;
        let mut attribute_count = 0;
        let mut seen = 0;
        while let Some(key) = reader.key()? {
            match key {
                ATTRIBUTES => {
                    self.key_value(reader.message()?, 1)?;
                    attribute_count += 1;
                    continue;
                }
                TIME => drop(reader.fixed64()?),
                NAME => self.text(reader.bytes()?),
                DROPPED_ATTRIBUTES_COUNT => drop(reader.varint()?),
                _ => {
                    reader.skip(key, &proto::EVENT)?;
                    continue;
                }
            }
            self.once(&mut seen, key);
        }
        self.found.over_limit |= attribute_count > self.max_attributes;
        Ok(())
    }

    fn link(&mut self, mut reader: Reader<'_>) -> Read<()> {
        use proto::link::*;
        let mut attribute_count = 0;
        let mut seen = 0;
        while let Some(key) = reader.key()? {
            match key {
                ATTRIBUTES => {
                    self.key_value(reader.message()?, 1)?;
                    attribute_count += 1;
                    continue;
                }
                TRACE_ID | SPAN_ID => drop(reader.bytes()?),
                TRACE_STATE => self.text(reader.bytes()?),
                DROPPED_ATTRIBUTES_COUNT => drop(reader.varint()?),
                FLAGS => drop(reader.fixed32()?),
                _ => {
                    reader.skip(key, &proto::LINK)?;
                    continue;
                }
            }
            self.once(&mut seen, key);
        }
        self.found.over_limit |= attribute_count > self.max_attributes;
        Ok(())
    }

    pub(crate) fn resource(&mut self, mut reader: Reader<'_>) -> Read<()> {
        use proto::resource::*;
        let mut attribute_count = 0;
        let mut seen = 0;
        while let Some(key) = reader.key()? {
            match key {
                ATTRIBUTES => {
                    self.key_value(reader.message()?, 1)?;
                    attribute_count += 1;
                }
                DROPPED_ATTRIBUTES_COUNT => {
                    reader.varint()?;
                    self.once(&mut seen, key);
                }
                ENTITY_REFS => self.entity_ref(reader.message()?)?,
                _ => reader.skip(key, &proto::RESOURCE)?,
            }
        }
        self.found.over_limit |= attribute_count > self.max_attributes;
        Ok(())
    }

    fn entity_ref(&mut self, mut reader: Reader<'_>) -> Read<()> {
        use proto::entity_ref::*;
        let mut seen = 0;
        while let Some(key) = reader.key()? {
            match key {
                SCHEMA_URL | TYPE => {
                    self.text(reader.bytes()?);
                    self.once(&mut seen, key);
                }
                ID_KEYS | DESCRIPTION_KEYS => self.text(reader.bytes()?),
                _ => reader.skip(key, &proto::ENTITY_REF)?,
            }
        }
        Ok(())
    }

    pub(crate) fn scope(&mut self, mut reader: Reader<'_>) -> Read<()> {
        use proto::scope::*;
        let mut attribute_count = 0;
        let mut seen = 0;
        while let Some(key) = reader.key()? {
            match key {
                ATTRIBUTES => {
                    self.key_value(reader.message()?, 1)?;
                    attribute_count += 1;
                    continue;
                }
                NAME | VERSION => self.text(reader.bytes()?),
                DROPPED_ATTRIBUTES_COUNT => drop(reader.varint()?),
                _ => {
                    reader.skip(key, &proto::SCOPE)?;
                    continue;
                }
            }
            self.once(&mut seen, key);
        }
        self.found.over_limit |= attribute_count > self.max_attributes;
        Ok(())
    }

    /// Recursion through `value`, `array` and `kvlist` is bounded by `max_depth`, which `index` keeps small.
    #[inline]
    fn key_value(&mut self, mut reader: Reader<'_>, depth: u32) -> Read<()> {
        use proto::key_value::*;
        let mut seen = 0;
        while let Some(key) = reader.key()? {
            match key {
                KEY => self.text(reader.bytes()?),
                VALUE => self.value(reader.message()?, depth)?,
                KEY_STRINDEX => drop(reader.varint()?),
                _ => {
                    reader.skip(key, &proto::KEY_VALUE)?;
                    continue;
                }
            }
            self.once(&mut seen, key);
        }
        Ok(())
    }

    #[inline]
    fn value(&mut self, mut reader: Reader<'_>, depth: u32) -> Read<()> {
        use proto::any_value::*;
        if depth > self.max_depth {
            self.found.too_deep = true;
            return Ok(());
        }
        let mut has_value = false;
        while let Some(key) = reader.key()? {
            match key {
                STRING => self.text(reader.bytes()?),
                INT | BOOL | STRING_STRINDEX => drop(reader.varint()?),
                DOUBLE => drop(reader.fixed64()?),
                BYTES => self.found.over_limit |= reader.bytes()?.len() > self.max_value_bytes,
                ARRAY => self.array(reader.message()?, depth)?,
                KVLIST => self.kvlist(reader.message()?, depth)?,
                _ => {
                    reader.skip(key, &proto::ANY_VALUE)?;
                    continue;
                }
            }
            self.found.repeated |= has_value;
            has_value = true;
        }
        Ok(())
    }

    #[inline(never)]
    fn array(&mut self, mut reader: Reader<'_>, depth: u32) -> Read<()> {
        while let Some(key) = reader.key()? {
            match key {
                proto::VALUES => self.value(reader.message()?, depth + 1)?,
                _ => reader.skip(key, &proto::ARRAY_VALUE)?,
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn kvlist(&mut self, mut reader: Reader<'_>, depth: u32) -> Read<()> {
        while let Some(key) = reader.key()? {
            match key {
                proto::VALUES => self.key_value(reader.message()?, depth + 1)?,
                _ => reader.skip(key, &proto::KEY_VALUE_LIST)?,
            }
        }
        Ok(())
    }
}
