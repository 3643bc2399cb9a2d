//! Searching: what is asked over gRPC, what is answered.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use spanlake_model::SpanId;

use super::{key_value, saturate};
use crate::engine::{self, Stats};
use crate::http::jsonpb::{self, Object};
use crate::search::{FoundTrace, ServiceSpans};

/// What `rootServiceName` says while the root span is not there.
const ROOT_UNKNOWN: &str = "<root span not yet received>";

/// What a search over gRPC asks for; what is zero or empty is not asked.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SearchRequest {
    #[prost(btree_map = "string, string", tag = "1")]
    pub(crate) tags: BTreeMap<String, String>,
    #[prost(uint32, tag = "2")]
    pub(crate) min_duration_ms: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) max_duration_ms: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) limit: u32,
    /// Unix seconds.
    #[prost(uint32, tag = "5")]
    pub(crate) start: u32,
    /// Unix seconds.
    #[prost(uint32, tag = "6")]
    pub(crate) end: u32,
    #[prost(string, tag = "8")]
    pub(crate) query: String,
    #[prost(uint32, tag = "9")]
    pub(crate) spans_per_span_set: u32,
}

/// The answer of `/api/search`, and each message of a stream of one.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SearchResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) traces: Vec<TraceSearchMetadata>,
    #[prost(message, optional, tag = "2")]
    pub(crate) metrics: Option<SearchMetrics>,
}

/// One trace found.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TraceSearchMetadata {
    #[prost(string, tag = "1")]
    pub(crate) trace_id: String,
    #[prost(string, tag = "2")]
    pub(crate) root_service_name: String,
    #[prost(string, tag = "3")]
    pub(crate) root_trace_name: String,
    #[prost(uint64, tag = "4")]
    pub(crate) start_time_unix_nano: u64,
    #[prost(uint32, tag = "5")]
    pub(crate) duration_ms: u32,
    /// The first of `span_sets` once more, for older clients.
    #[prost(message, optional, tag = "6")]
    pub(crate) span_set: Option<SpanSet>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) span_sets: Vec<SpanSet>,
    #[prost(btree_map = "string, message", tag = "8")]
    pub(crate) service_stats: BTreeMap<String, ServiceStats>,
}

/// Spans that match together.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SpanSet {
    #[prost(message, repeated, tag = "1")]
    pub(crate) spans: Vec<Span>,
    #[prost(uint32, tag = "2")]
    pub(crate) matched: u32,
    #[prost(message, repeated, tag = "3")]
    pub(crate) attributes: Vec<KeyValue>,
}

/// One span that matches.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Span {
    #[prost(string, tag = "1")]
    pub(crate) span_id: String,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(uint64, tag = "3")]
    pub(crate) start_time_unix_nano: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) duration_nanos: u64,
    #[prost(message, repeated, tag = "5")]
    pub(crate) attributes: Vec<KeyValue>,
}

/// The spans one service has in a trace.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ServiceStats {
    #[prost(uint32, tag = "1")]
    pub(crate) span_count: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) error_count: u32,
}

/// What a search or a metrics query cost. A job is a block.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct SearchMetrics {
    #[prost(uint32, tag = "1")]
    pub(crate) inspected_traces: u32,
    #[prost(uint64, tag = "2")]
    pub(crate) inspected_bytes: u64,
    #[prost(uint32, tag = "3")]
    pub(crate) total_blocks: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) completed_jobs: u32,
    #[prost(uint32, tag = "5")]
    pub(crate) total_jobs: u32,
    #[prost(uint64, tag = "6")]
    pub(crate) total_block_bytes: u64,
    /// Of metrics queries only.
    #[prost(uint64, tag = "7")]
    pub(crate) inspected_spans: u64,
}

/// The beginning of an answer as protobuf JSON; [`write_found`] comes behind it, and [`end_json`].
pub(crate) const BEGIN_JSON: &[u8] = b"{\"traces\":[";

/// Traces found as protobuf JSON, with commas between, and one before them unless they are the first.
pub(crate) fn write_found(out: &mut Vec<u8>, found: Vec<FoundTrace>, are_first: bool) {
    let mut needs_comma = !are_first;
    for found in found {
        if std::mem::replace(&mut needs_comma, true) {
            out.push(b',');
        }
        write_trace(out, &TraceSearchMetadata::for_json(found));
    }
}

/// The end of an answer as protobuf JSON.
pub(crate) fn end_json(out: &mut Vec<u8>, stats: &Stats) {
    out.extend_from_slice(b"],\"metrics\":");
    write_metrics(out, &SearchMetrics::of_search(stats));
    out.push(b'}');
}

/// One trace found, as protobuf JSON; `spanSet` is the first of the span sets.
pub(crate) fn write_trace(out: &mut Vec<u8>, trace: &TraceSearchMetadata) {
    let mut object = Object::open(out);
    object.string("traceID", &trace.trace_id);
    object.string("rootServiceName", &trace.root_service_name);
    object.string("rootTraceName", &trace.root_trace_name);
    object.u64("startTimeUnixNano", trace.start_time_unix_nano);
    object.u32("durationMs", trace.duration_ms);
    if let [first, more @ ..] = trace.span_sets.as_slice() {
        let out = object.field("spanSet");
        let from = out.len();
        write_span_set(out, first);
        let written = from..out.len();
        let out = object.field("spanSets");
        out.push(b'[');
        // What is written once need not be put into words again.
        out.extend_from_within(written);
        for set in more {
            out.push(b',');
            write_span_set(out, set);
        }
        out.push(b']');
    }
    object.map("serviceStats", &trace.service_stats, write_service_stats);
    object.close();
}

fn write_span_set(out: &mut Vec<u8>, set: &SpanSet) {
    let mut object = Object::open(out);
    object.list("spans", &set.spans, write_span);
    object.u32("matched", set.matched);
    object.list("attributes", &set.attributes, jsonpb::write_key_value);
    object.close();
}

fn write_span(out: &mut Vec<u8>, span: &Span) {
    let mut object = Object::open(out);
    object.string("spanID", &span.span_id);
    object.string("name", &span.name);
    object.u64("startTimeUnixNano", span.start_time_unix_nano);
    object.u64("durationNanos", span.duration_nanos);
    object.list("attributes", &span.attributes, jsonpb::write_key_value);
    object.close();
}

fn write_service_stats(out: &mut Vec<u8>, stats: &ServiceStats) {
    let mut object = Object::open(out);
    object.u32("spanCount", stats.span_count);
    object.u32("errorCount", stats.error_count);
    object.close();
}

/// What a query cost, as protobuf JSON.
pub(crate) fn write_metrics(out: &mut Vec<u8>, metrics: &SearchMetrics) {
    let mut object = Object::open(out);
    object.u32("inspectedTraces", metrics.inspected_traces);
    object.u64("inspectedBytes", metrics.inspected_bytes);
    object.u32("totalBlocks", metrics.total_blocks);
    object.u32("completedJobs", metrics.completed_jobs);
    object.u32("totalJobs", metrics.total_jobs);
    object.u64("totalBlockBytes", metrics.total_block_bytes);
    object.u64("inspectedSpans", metrics.inspected_spans);
    object.close();
}

impl SearchMetrics {
    /// What a search cost so far. It leaves out `inspectedSpans`, a field that older clients refuse in a search.
    pub(crate) fn of_search(stats: &Stats) -> Self {
        Self {
            inspected_traces: saturate(stats.inspected_traces),
            inspected_bytes: stats.inspected_bytes,
            total_blocks: saturate(stats.block_count),
            completed_jobs: saturate(stats.blocks_done),
            total_jobs: saturate(stats.block_count),
            total_block_bytes: stats.block_bytes,
            inspected_spans: 0,
        }
    }

    /// What a metrics query cost.
    pub(crate) fn of_metrics(stats: &Stats) -> Self {
        Self { inspected_spans: stats.inspected_spans, ..Self::of_search(stats) }
    }
}

impl From<FoundTrace> for TraceSearchMetadata {
    fn from(found: FoundTrace) -> Self {
        let mut metadata = Self::for_json(found);
        metadata.span_set = metadata.span_sets.first().cloned();
        metadata
    }
}

impl TraceSearchMetadata {
    /// Without `span_set`, which [`write_trace`] makes of the first of the others.
    pub(crate) fn for_json(found: FoundTrace) -> Self {
        let hex = found.trace_id.to_string();
        let stats =
            |service: &ServiceSpans| ServiceStats { span_count: service.span_count, error_count: service.error_count };
        let rootless = found.root_service.is_none() && found.root_name.is_none();
        let span_sets: Vec<SpanSet> = found.span_sets.into_iter().map(SpanSet::from).collect();
        Self {
            // Tempo's search answers have no leading zeros in trace ids.
            trace_id: hex.trim_start_matches('0').to_owned(),
            root_service_name: match found.root_service {
                Some(service) => service.as_ref().to_owned(),
                None if rootless => ROOT_UNKNOWN.to_owned(),
                None => String::new(),
            },
            root_trace_name: found.root_name.as_deref().unwrap_or_default().to_owned(),
            start_time_unix_nano: found.start_unix_nanos,
            duration_ms: saturate(found.end_unix_nanos.saturating_sub(found.start_unix_nanos) / 1_000_000),
            span_set: None,
            span_sets,
            service_stats: found.services.iter().map(|s| (s.service.as_ref().to_owned(), stats(s))).collect(),
        }
    }
}

impl From<engine::SpanSet> for SpanSet {
    fn from(set: engine::SpanSet) -> Self {
        Self {
            spans: set.spans.into_iter().map(Span::from).collect(),
            matched: set.matched,
            attributes: set.attributes.into_iter().map(|(key, value)| key_value(key, &value)).collect(),
        }
    }
}

impl From<engine::FoundSpan> for Span {
    fn from(span: engine::FoundSpan) -> Self {
        Self {
            span_id: SpanId(span.span_id).to_string(),
            name: span.name.unwrap_or_default(),
            start_time_unix_nano: span.start_unix_nanos,
            duration_nanos: span.duration_nanos,
            attributes: span.attributes.into_iter().map(|(key, value)| key_value(key, &value)).collect(),
        }
    }
}

impl SearchResponse {
    /// Traces, and what finding them cost so far.
    pub(crate) fn new(traces: Vec<FoundTrace>, stats: &Stats) -> Self {
        Self {
            traces: traces.into_iter().map(TraceSearchMetadata::from).collect(),
            metrics: Some(SearchMetrics::of_search(stats)),
        }
    }
}
