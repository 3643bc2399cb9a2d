//! How much of a request is kept. The limits act while a request is indexed, so always before it is acknowledged.

/// Deepest nesting of attribute values whatever [`Limits::max_depth`] says: one level costs three protobuf messages,
/// and protobuf decoders, ours on the cold path and every reader of our answers, stop at 100.
pub const MAX_DEPTH: u32 = 32;

/// Bounds on one request. The first three reject spans; the others cut what is past them and mark the span with the
/// attribute [`TRUNCATED`](crate::TRUNCATED).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most spans in a request; the surplus is rejected. Default 65,536.
    pub max_spans: usize,
    /// Deepest nesting of attribute values, a plain value counting 1; deeper spans are rejected. At most [`MAX_DEPTH`],
    /// which is the default.
    pub max_depth: u32,
    /// Most bytes of one encoded span; larger ones are rejected. Default 4 MiB.
    pub max_span_bytes: usize,
    /// Most attributes of a span, event, link, resource or scope, each for itself. Default 1,024.
    pub max_attributes: usize,
    /// Most bytes of a string or bytes value, name, key, message, trace state or schema URL. Default 256 KiB.
    pub max_value_bytes: usize,
    /// Most events of a span. Default 4,096.
    pub max_events: usize,
    /// Most links of a span. Default 4,096.
    pub max_links: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_spans: 65_536,
            max_depth: MAX_DEPTH,
            max_span_bytes: 4 << 20,
            max_attributes: 1_024,
            max_value_bytes: 256 << 10,
            max_events: 4_096,
            max_links: 4_096,
        }
    }
}
