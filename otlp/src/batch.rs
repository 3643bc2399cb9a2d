//! One checked request: its raw bytes and an index of the spans in them.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use spanlake_model::{SpanId, TraceId};

/// One checked request. Every range points into `bytes`, and whatever a range names has been validated: the readers
/// of this crate see every field of it, each singular field at most once, every text as UTF-8.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The request as received; behind it, re-encoded, what had to be cut or put in order.
    pub bytes: Bytes,
    /// The scopes that have spans, in the order of the request.
    pub groups: Vec<Group>,
    /// The accepted spans, in the order of the request.
    pub spans: Vec<SpanEntry>,
    /// What was refused, and why.
    pub rejected: Rejections,
    /// How many of `spans` were cut by a limit, in themselves or in their resource or scope.
    pub truncated_spans: u32,
}

impl Batch {
    /// The encoded `Span` of an entry, for [`span_fields`](crate::span_fields).
    pub fn span_bytes(&self, entry: &SpanEntry) -> &[u8] {
        self.slice(&entry.span)
    }

    /// The encoded `Resource` of a group, for [`resource_fields`](crate::resource_fields); empty when absent.
    pub fn resource_bytes(&self, group: &Group) -> &[u8] {
        self.slice(&group.resource)
    }

    /// The encoded `InstrumentationScope` of a group, for [`scope_fields`](crate::scope_fields); empty when absent.
    pub fn scope_bytes(&self, group: &Group) -> &[u8] {
        self.slice(&group.scope)
    }

    /// The schema URL of a group's resource.
    pub fn resource_schema_url(&self, group: &Group) -> &str {
        std::str::from_utf8(self.slice(&group.resource_schema_url)).unwrap_or_default()
    }

    /// The schema URL of a group's scope.
    pub fn scope_schema_url(&self, group: &Group) -> &str {
        std::str::from_utf8(self.slice(&group.scope_schema_url)).unwrap_or_default()
    }

    fn slice(&self, range: &Range<u32>) -> &[u8] {
        self.bytes.get(range.start as usize..range.end as usize).unwrap_or_default()
    }
}

/// One `ScopeSpans` inside its `ResourceSpans`: byte ranges into [`Batch::bytes`]. `0..0` is absent; another empty
/// range is a message that is present and empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The encoded `Resource`.
    pub resource: Range<u32>,
    /// The schema URL of the resource: UTF-8.
    pub resource_schema_url: Range<u32>,
    /// The encoded `InstrumentationScope`.
    pub scope: Range<u32>,
    /// The schema URL of the scope: UTF-8.
    pub scope_schema_url: Range<u32>,
}

/// One accepted span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanEntry {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// Its parent's id; zeros when absent or not 8 bytes long (the span's own bytes keep what was sent).
    pub parent_span_id: [u8; 8],
    /// Start, in Unix nanoseconds.
    pub start_unix_nanos: u64,
    /// End, in Unix nanoseconds; may lie before the start.
    pub end_unix_nanos: u64,
    /// Its place in [`Batch::groups`].
    pub group: u32,
    /// The encoded `Span` in [`Batch::bytes`].
    pub span: Range<u32>,
}

/// Why a span is refused while the rest of its request is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The trace id is not 16 bytes long, or zero.
    InvalidTraceId,
    /// The span id is not 8 bytes long, or zero.
    InvalidSpanId,
    /// Attribute values are nested deeper than [`Limits::max_depth`](crate::Limits::max_depth).
    TooDeep,
    /// A text of the span, its resource or its scope is not UTF-8.
    InvalidUtf8,
    /// The request has more than [`Limits::max_spans`](crate::Limits::max_spans).
    TooManySpans,
    /// The span has more than [`Limits::max_span_bytes`](crate::Limits::max_span_bytes).
    SpanTooLarge,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::InvalidTraceId,
        Self::InvalidSpanId,
        Self::TooDeep,
        Self::InvalidUtf8,
        Self::TooManySpans,
        Self::SpanTooLarge,
    ];

    /// The reason as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidTraceId => "invalid_trace_id",
            Self::InvalidSpanId => "invalid_span_id",
            Self::TooDeep => "too_deep",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooManySpans => "too_many_spans",
            Self::SpanTooLarge => "span_too_large",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was refused of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejections {
    /// How many spans.
    pub span_count: u64,
    /// A sentence about the first one, fit for the sender's eyes; empty when there is none.
    pub first_reason: String,
    counts: [u64; Reason::ALL.len()],
}

impl Rejections {
    /// How many spans were refused for this reason.
    pub fn count(&self, reason: Reason) -> u64 {
        self.counts[reason as usize]
    }

    /// Every reason that occurred, with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.into_iter().map(|reason| (reason, self.count(reason))).filter(|(_, count)| *count > 0)
    }

    pub(crate) fn add(&mut self, reason: Reason, span_count: u64, sentence: impl FnOnce() -> String) {
        if span_count == 0 {
            return;
        }
        if self.span_count == 0 {
            self.first_reason = sentence();
        }
        self.span_count += span_count;
        self.counts[reason as usize] += span_count;
    }
}
