//! OTLP traces on the wire: checks and indexes requests, reads their fields in place, decodes OTLP/JSON, encodes
//! answers. No I/O, no HTTP or gRPC, no storage.
//!
//! A request stays the protobuf bytes it came as. [`index()`] walks them once, checks everything, and returns a
//! [`Batch`]: the bytes and one small [`SpanEntry`] for each span. Readers such as [`span_fields`] then see each field
//! in place, as often as needed, without a struct per span and without errors to handle.

pub mod answer;

#[cfg(any(test, feature = "arbitrary"))]
pub mod arbitrary;
mod batch;
mod check;
mod fields;
mod index;
mod json;
mod limits;
mod proto;
pub mod readable;
mod rewrite;
mod value;
mod wire;

pub use batch::{Batch, Group, Reason, Rejections, SpanEntry};
pub use fields::{
    EventField, LinkField, ResourceField, ScopeField, SpanField, SpanFields, event_fields, link_fields,
    resource_fields, scope_fields, span_fields,
};
pub use index::{MAX_REQUEST_BYTES, index};
pub use json::{JsonError, decode_json};
pub use limits::{Limits, MAX_DEPTH};
pub use rewrite::TRUNCATED;
pub use value::{ArrayRef, KeyValueRef, KvListRef, ValueRef};
pub use wire::{Fault, Malformed, WireType};
