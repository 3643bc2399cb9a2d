//! Reads the messages of an indexed request field by field, without copying. Damaged input (which [`index`] never lets
//! through) ends an iteration early; it never panics.
//!
//! [`index`]: crate::index()

use crate::proto;
use crate::value::{KeyValueRef, text};
use crate::wire::{Read, Reader};

/// A field of a span. Singular fields come at most once and only when they are on the wire, so an absent one has its
/// default; attributes, events and links come in their order.
#[derive(Debug, Clone, Copy)]
pub enum SpanField<'a> {
    /// Trace id: 16 bytes.
    TraceId(&'a [u8]),
    /// Span id: 8 bytes.
    SpanId(&'a [u8]),
    /// W3C trace state.
    TraceState(&'a str),
    /// Parent's span id as sent: any length.
    ParentSpanId(&'a [u8]),
    /// Name.
    Name(&'a str),
    /// Kind; may be a number that OpenTelemetry does not know.
    Kind(i32),
    /// Start in Unix nanoseconds.
    StartUnixNanos(u64),
    /// End in Unix nanoseconds.
    EndUnixNanos(u64),
    /// One attribute.
    Attribute(KeyValueRef<'a>),
    /// Attributes the sender dropped.
    DroppedAttributesCount(u32),
    /// One event, for [`event_fields`].
    Event(&'a [u8]),
    /// Events the sender dropped.
    DroppedEventsCount(u32),
    /// One link, for [`link_fields`].
    Link(&'a [u8]),
    /// Links the sender dropped.
    DroppedLinksCount(u32),
    /// Message of the status.
    StatusMessage(&'a str),
    /// Code of the status. Comes whenever the span has a status, after its message: with 0 when the status has no code.
    StatusCode(i32),
    /// W3C trace flags in the low 8 bits, and what is known of the parent (0x100, 0x200).
    Flags(u32),
}

/// A field of a span event.
#[derive(Debug, Clone, Copy)]
pub enum EventField<'a> {
    /// Time in Unix nanoseconds.
    TimeUnixNanos(u64),
    /// Name.
    Name(&'a str),
    /// One attribute.
    Attribute(KeyValueRef<'a>),
    /// Attributes the sender dropped.
    DroppedAttributesCount(u32),
}

/// A field of a span link.
#[derive(Debug, Clone, Copy)]
pub enum LinkField<'a> {
    /// Trace id as sent: any length.
    TraceId(&'a [u8]),
    /// Span id as sent: any length.
    SpanId(&'a [u8]),
    /// W3C trace state.
    TraceState(&'a str),
    /// One attribute.
    Attribute(KeyValueRef<'a>),
    /// Attributes the sender dropped.
    DroppedAttributesCount(u32),
    /// W3C trace flags in the low 8 bits, and what is known of the linked context.
    Flags(u32),
}

/// A field of a resource.
#[derive(Debug, Clone, Copy)]
pub enum ResourceField<'a> {
    /// One attribute.
    Attribute(KeyValueRef<'a>),
    /// Attributes the sender dropped.
    DroppedAttributesCount(u32),
    /// One encoded `EntityRef`.
    EntityRef(&'a [u8]),
}

/// A field of an instrumentation scope.
#[derive(Debug, Clone, Copy)]
pub enum ScopeField<'a> {
    /// Name.
    Name(&'a str),
    /// Version.
    Version(&'a str),
    /// One attribute.
    Attribute(KeyValueRef<'a>),
    /// Attributes the sender dropped.
    DroppedAttributesCount(u32),
}

/// The fields of a span, made by [`span_fields`].
#[derive(Debug, Clone)]
pub struct SpanFields<'a> {
    reader: Reader<'a>,
    /// The code of a status whose message has just been given.
    status_code: Option<i32>,
}

/// The fields of an encoded `Span`.
pub fn span_fields(encoded: &[u8]) -> SpanFields<'_> {
    SpanFields { reader: Reader::new(encoded), status_code: None }
}

impl<'a> SpanFields<'a> {
    #[inline]
    fn read(&mut self) -> Read<Option<SpanField<'a>>> {
        use proto::span::*;
        let reader = &mut self.reader;
        while let Some(key) = reader.key()? {
            return Ok(Some(match key {
                ATTRIBUTES => SpanField::Attribute(KeyValueRef::read(reader.message()?)?),
                TRACE_ID => SpanField::TraceId(reader.bytes()?),
                SPAN_ID => SpanField::SpanId(reader.bytes()?),
                TRACE_STATE => SpanField::TraceState(text(reader.bytes()?)?),
                PARENT_SPAN_ID => SpanField::ParentSpanId(reader.bytes()?),
                NAME => SpanField::Name(text(reader.bytes()?)?),
                KIND => SpanField::Kind(reader.varint()? as i32),
                START => SpanField::StartUnixNanos(reader.fixed64()?),
                END => SpanField::EndUnixNanos(reader.fixed64()?),
                DROPPED_ATTRIBUTES_COUNT => SpanField::DroppedAttributesCount(reader.varint()? as u32),
                EVENTS => SpanField::Event(reader.bytes()?),
                DROPPED_EVENTS_COUNT => SpanField::DroppedEventsCount(reader.varint()? as u32),
                LINKS => SpanField::Link(reader.bytes()?),
                DROPPED_LINKS_COUNT => SpanField::DroppedLinksCount(reader.varint()? as u32),
                FLAGS => SpanField::Flags(reader.fixed32()?),
                STATUS => {
                    let (message, code) = status(reader.message()?)?;
                    match message {
                        Some(message) => {
                            self.status_code = Some(code);
                            SpanField::StatusMessage(message)
                        }
                        None => SpanField::StatusCode(code),
                    }
                }
                _ => {
                    reader.skip(key, &proto::SPAN)?;
                    continue;
                }
            }));
        }
        Ok(None)
    }
}

impl<'a> Iterator for SpanFields<'a> {
    type Item = SpanField<'a>;

    #[inline]
    fn next(&mut self) -> Option<SpanField<'a>> {
        if let Some(code) = self.status_code.take() {
            return Some(SpanField::StatusCode(code));
        }
        end_on_damage(self.read())
    }
}

fn status(mut reader: Reader<'_>) -> Read<(Option<&str>, i32)> {
    use proto::status::*;
    let (mut message, mut code) = (None, 0);
    while let Some(key) = reader.key()? {
        match key {
            MESSAGE => message = Some(text(reader.bytes()?)?),
            CODE => code = reader.varint()? as i32,
            _ => reader.skip(key, &proto::STATUS)?,
        }
    }
    Ok((message, code))
}

/// The fields of an encoded `Span.Event`.
pub fn event_fields(encoded: &[u8]) -> impl Iterator<Item = EventField<'_>> {
    use proto::event::*;
    let mut reader = Reader::new(encoded);
    std::iter::from_fn(move || {
        end_on_damage((|| {
            while let Some(key) = reader.key()? {
                return Ok(Some(match key {
                    TIME => EventField::TimeUnixNanos(reader.fixed64()?),
                    NAME => EventField::Name(text(reader.bytes()?)?),
                    ATTRIBUTES => EventField::Attribute(KeyValueRef::read(reader.message()?)?),
                    DROPPED_ATTRIBUTES_COUNT => EventField::DroppedAttributesCount(reader.varint()? as u32),
                    _ => {
                        reader.skip(key, &proto::EVENT)?;
                        continue;
                    }
                }));
            }
            Ok(None)
        })())
    })
}

/// The fields of an encoded `Span.Link`.
pub fn link_fields(encoded: &[u8]) -> impl Iterator<Item = LinkField<'_>> {
    use proto::link::*;
    let mut reader = Reader::new(encoded);
    std::iter::from_fn(move || {
        end_on_damage((|| {
            while let Some(key) = reader.key()? {
                return Ok(Some(match key {
                    TRACE_ID => LinkField::TraceId(reader.bytes()?),
                    SPAN_ID => LinkField::SpanId(reader.bytes()?),
                    TRACE_STATE => LinkField::TraceState(text(reader.bytes()?)?),
                    ATTRIBUTES => LinkField::Attribute(KeyValueRef::read(reader.message()?)?),
                    DROPPED_ATTRIBUTES_COUNT => LinkField::DroppedAttributesCount(reader.varint()? as u32),
                    FLAGS => LinkField::Flags(reader.fixed32()?),
                    _ => {
                        reader.skip(key, &proto::LINK)?;
                        continue;
                    }
                }));
            }
            Ok(None)
        })())
    })
}

/// The fields of an encoded `Resource`.
pub fn resource_fields(encoded: &[u8]) -> impl Iterator<Item = ResourceField<'_>> {
    use proto::resource::*;
    let mut reader = Reader::new(encoded);
    std::iter::from_fn(move || {
        end_on_damage((|| {
            while let Some(key) = reader.key()? {
                return Ok(Some(match key {
                    ATTRIBUTES => ResourceField::Attribute(KeyValueRef::read(reader.message()?)?),
                    DROPPED_ATTRIBUTES_COUNT => ResourceField::DroppedAttributesCount(reader.varint()? as u32),
                    ENTITY_REFS => ResourceField::EntityRef(reader.bytes()?),
                    _ => {
                        reader.skip(key, &proto::RESOURCE)?;
                        continue;
                    }
                }));
            }
            Ok(None)
        })())
    })
}

/// The fields of an encoded `InstrumentationScope`.
pub fn scope_fields(encoded: &[u8]) -> impl Iterator<Item = ScopeField<'_>> {
    use proto::scope::*;
    let mut reader = Reader::new(encoded);
    std::iter::from_fn(move || {
        end_on_damage((|| {
            while let Some(key) = reader.key()? {
                return Ok(Some(match key {
                    NAME => ScopeField::Name(text(reader.bytes()?)?),
                    VERSION => ScopeField::Version(text(reader.bytes()?)?),
                    ATTRIBUTES => ScopeField::Attribute(KeyValueRef::read(reader.message()?)?),
                    DROPPED_ATTRIBUTES_COUNT => ScopeField::DroppedAttributesCount(reader.varint()? as u32),
                    _ => {
                        reader.skip(key, &proto::SCOPE)?;
                        continue;
                    }
                }));
            }
            Ok(None)
        })())
    })
}

fn end_on_damage<T>(read: Read<Option<T>>) -> Option<T> {
    read.ok().flatten()
}
