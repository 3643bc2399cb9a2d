//! OTLP's field keys (`opentelemetry/proto/trace/v1/trace.proto` and its imports, 1.9), and the kinds of its messages.

use crate::wire::Kind;

macro_rules! kinds {
    ($($constant:ident = $name:literal, fields $first:literal to $last:literal;)*) => {
        $(pub(crate) const $constant: Kind =
            Kind { name: $name, known_fields: ((1u32 << ($last - $first + 1)) - 1) << $first };)*
    };
}

kinds! {
    REQUEST = "ExportTraceServiceRequest", fields 1 to 1;
    RESOURCE_SPANS = "ResourceSpans", fields 1 to 3;
    SCOPE_SPANS = "ScopeSpans", fields 1 to 3;
    RESOURCE = "Resource", fields 1 to 3;
    ENTITY_REF = "EntityRef", fields 1 to 4;
    SCOPE = "InstrumentationScope", fields 1 to 4;
    SPAN = "Span", fields 1 to 16;
    EVENT = "Event", fields 1 to 4;
    LINK = "Link", fields 1 to 6;
    STATUS = "Status", fields 2 to 3;
    KEY_VALUE = "KeyValue", fields 1 to 3;
    ANY_VALUE = "AnyValue", fields 1 to 8;
    ARRAY_VALUE = "ArrayValue", fields 1 to 1;
    KEY_VALUE_LIST = "KeyValueList", fields 1 to 1;
}

/// Keys of `ExportTraceServiceRequest`.
pub(crate) mod request {
    use crate::wire::delimited;
    pub(crate) const RESOURCE_SPANS: u32 = delimited(1);
}

/// Keys of `ResourceSpans`.
pub(crate) mod resource_spans {
    use crate::wire::delimited;
    pub(crate) const RESOURCE: u32 = delimited(1);
    pub(crate) const SCOPE_SPANS: u32 = delimited(2);
    pub(crate) const SCHEMA_URL: u32 = delimited(3);
}

/// Keys of `ScopeSpans`.
pub(crate) mod scope_spans {
    use crate::wire::delimited;
    pub(crate) const SCOPE: u32 = delimited(1);
    pub(crate) const SPANS: u32 = delimited(2);
    pub(crate) const SCHEMA_URL: u32 = delimited(3);
}

/// Keys of `Resource`.
pub(crate) mod resource {
    use crate::wire::{delimited, varint};
    pub(crate) const ATTRIBUTES: u32 = delimited(1);
    pub(crate) const DROPPED_ATTRIBUTES_COUNT: u32 = varint(2);
    pub(crate) const ENTITY_REFS: u32 = delimited(3);
}

/// Keys of `EntityRef`.
pub(crate) mod entity_ref {
    use crate::wire::delimited;
    pub(crate) const SCHEMA_URL: u32 = delimited(1);
    pub(crate) const TYPE: u32 = delimited(2);
    pub(crate) const ID_KEYS: u32 = delimited(3);
    pub(crate) const DESCRIPTION_KEYS: u32 = delimited(4);
}

/// Keys of `InstrumentationScope`.
pub(crate) mod scope {
    use crate::wire::{delimited, varint};
    pub(crate) const NAME: u32 = delimited(1);
    pub(crate) const VERSION: u32 = delimited(2);
    pub(crate) const ATTRIBUTES: u32 = delimited(3);
    pub(crate) const DROPPED_ATTRIBUTES_COUNT: u32 = varint(4);
}

/// Keys of `Span`.
pub(crate) mod span {
    use crate::wire::{delimited, fixed32, fixed64, varint};
    pub(crate) const TRACE_ID: u32 = delimited(1);
    pub(crate) const SPAN_ID: u32 = delimited(2);
    pub(crate) const TRACE_STATE: u32 = delimited(3);
    pub(crate) const PARENT_SPAN_ID: u32 = delimited(4);
    pub(crate) const NAME: u32 = delimited(5);
    pub(crate) const KIND: u32 = varint(6);
    pub(crate) const START: u32 = fixed64(7);
    pub(crate) const END: u32 = fixed64(8);
    pub(crate) const ATTRIBUTES: u32 = delimited(9);
    pub(crate) const DROPPED_ATTRIBUTES_COUNT: u32 = varint(10);
    pub(crate) const EVENTS: u32 = delimited(11);
    pub(crate) const DROPPED_EVENTS_COUNT: u32 = varint(12);
    pub(crate) const LINKS: u32 = delimited(13);
    pub(crate) const DROPPED_LINKS_COUNT: u32 = varint(14);
    pub(crate) const STATUS: u32 = delimited(15);
    pub(crate) const FLAGS: u32 = fixed32(16);
}

/// Keys of `Span.Event`.
pub(crate) mod event {
    use crate::wire::{delimited, fixed64, varint};
    pub(crate) const TIME: u32 = fixed64(1);
    pub(crate) const NAME: u32 = delimited(2);
    pub(crate) const ATTRIBUTES: u32 = delimited(3);
    pub(crate) const DROPPED_ATTRIBUTES_COUNT: u32 = varint(4);
}

/// Keys of `Span.Link`.
pub(crate) mod link {
    use crate::wire::{delimited, fixed32, varint};
    pub(crate) const TRACE_ID: u32 = delimited(1);
    pub(crate) const SPAN_ID: u32 = delimited(2);
    pub(crate) const TRACE_STATE: u32 = delimited(3);
    pub(crate) const ATTRIBUTES: u32 = delimited(4);
    pub(crate) const DROPPED_ATTRIBUTES_COUNT: u32 = varint(5);
    pub(crate) const FLAGS: u32 = fixed32(6);
}

/// Keys of `Status`. Field 1 is reserved and so unknown.
pub(crate) mod status {
    use crate::wire::{delimited, varint};
    pub(crate) const MESSAGE: u32 = delimited(2);
    pub(crate) const CODE: u32 = varint(3);
}

/// Keys of `KeyValue`.
pub(crate) mod key_value {
    use crate::wire::{delimited, varint};
    pub(crate) const KEY: u32 = delimited(1);
    pub(crate) const VALUE: u32 = delimited(2);
    /// Of the profiles signal; without meaning here.
    pub(crate) const KEY_STRINDEX: u32 = varint(3);
}

/// Keys of `AnyValue`.
pub(crate) mod any_value {
    use crate::wire::{delimited, fixed64, varint};
    pub(crate) const STRING: u32 = delimited(1);
    pub(crate) const BOOL: u32 = varint(2);
    pub(crate) const INT: u32 = varint(3);
    pub(crate) const DOUBLE: u32 = fixed64(4);
    pub(crate) const ARRAY: u32 = delimited(5);
    pub(crate) const KVLIST: u32 = delimited(6);
    pub(crate) const BYTES: u32 = delimited(7);
    /// Of the profiles signal; without meaning here.
    pub(crate) const STRING_STRINDEX: u32 = varint(8);
}

/// Key of the one field of `ArrayValue` and of `KeyValueList`.
pub(crate) const VALUES: u32 = crate::wire::delimited(1);
