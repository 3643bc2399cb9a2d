//! The messages of package `tempopb` that the API answers, and their JSON.
//!
//! Field numbers are those of Tempo's `tempo.proto`. The trace itself is OTLP's `TracesData`, which has the same wire form
//! as `tempopb.Trace`.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::trace::v1::TracesData;
use serde::{Serialize, Serializer};

use super::jsonpb;
use crate::search::{FoundTrace, SearchAnswer};
use crate::trace::TraceAnswer;

/// What `rootServiceName` says while the root span is not there.
const ROOT_UNKNOWN: &str = "<root span not yet received>";

/// Whether a trace is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum PartialStatus {
    Complete = 0,
    Partial = 1,
}

/// What finding a trace cost.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TraceByIdMetrics {
    #[prost(uint64, tag = "1")]
    pub(crate) inspected_bytes: u64,
}

/// The answer of `/api/v2/traces/{id}`. Clients dereference `trace` unasked, so it is always there.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TraceByIdResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) trace: Option<TracesData>,
    #[prost(message, optional, tag = "2")]
    pub(crate) metrics: Option<TraceByIdMetrics>,
    #[prost(enumeration = "PartialStatus", tag = "3")]
    pub(crate) status: i32,
    #[prost(string, tag = "4")]
    pub(crate) message: String,
}

impl TraceByIdResponse {
    /// Wraps what was found; `max_trace_bytes` is named when the trace is not whole.
    pub(crate) fn new(answer: TraceAnswer, max_trace_bytes: u64) -> Self {
        let message = if answer.truncated {
            format!("Trace exceeds maximum size of {max_trace_bytes} bytes, a partial trace is returned")
        } else {
            String::new()
        };
        let status = if answer.truncated { PartialStatus::Partial } else { PartialStatus::Complete };
        Self {
            trace: Some(answer.trace),
            metrics: Some(TraceByIdMetrics { inspected_bytes: answer.inspected_bytes }),
            status: status.into(),
            message,
        }
    }

    /// As protobuf JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut object = jsonpb::Object::open(&mut out);
        let spans = self.trace.as_ref().map_or(&[][..], |trace| &trace.resource_spans);
        jsonpb::write_trace(object.field("trace"), "resourceSpans", spans);
        let mut metrics = jsonpb::Object::open(object.field("metrics"));
        metrics.u64("inspectedBytes", self.metrics.as_ref().map_or(0, |metrics| metrics.inspected_bytes));
        metrics.close();
        if self.status() == PartialStatus::Partial {
            object.string("status", "PARTIAL");
        }
        object.string("message", &self.message);
        object.close();
        out
    }
}

/// The answer of `/api/search`.
#[derive(Clone, PartialEq, Serialize, prost::Message)]
pub(crate) struct SearchResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) traces: Vec<TraceSearchMetadata>,
    #[prost(message, optional, tag = "2")]
    pub(crate) metrics: Option<SearchMetrics>,
}

/// One trace found.
#[derive(Clone, PartialEq, Serialize, prost::Message)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TraceSearchMetadata {
    #[serde(rename = "traceID")]
    #[prost(string, tag = "1")]
    pub(crate) trace_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[prost(string, tag = "2")]
    pub(crate) root_service_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[prost(string, tag = "3")]
    pub(crate) root_trace_name: String,
    #[serde(skip_serializing_if = "is_zero_u64", serialize_with = "as_text")]
    #[prost(uint64, tag = "4")]
    pub(crate) start_time_unix_nano: u64,
    #[serde(skip_serializing_if = "is_zero_u32")]
    #[prost(uint32, tag = "5")]
    pub(crate) duration_ms: u32,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[prost(btree_map = "string, message", tag = "8")]
    pub(crate) service_stats: BTreeMap<String, ServiceStats>,
}

/// The spans one service has in a trace.
#[derive(Clone, PartialEq, Serialize, prost::Message)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceStats {
    #[serde(skip_serializing_if = "is_zero_u32")]
    #[prost(uint32, tag = "1")]
    pub(crate) span_count: u32,
    #[serde(skip_serializing_if = "is_zero_u32")]
    #[prost(uint32, tag = "2")]
    pub(crate) error_count: u32,
}

/// What a search cost.
#[derive(Clone, PartialEq, Serialize, prost::Message)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SearchMetrics {
    #[serde(skip_serializing_if = "is_zero_u32")]
    #[prost(uint32, tag = "1")]
    pub(crate) inspected_traces: u32,
    #[serde(skip_serializing_if = "is_zero_u64", serialize_with = "as_text")]
    #[prost(uint64, tag = "2")]
    pub(crate) inspected_bytes: u64,
    #[serde(skip_serializing_if = "is_zero_u32")]
    #[prost(uint32, tag = "3")]
    pub(crate) total_blocks: u32,
    #[serde(skip_serializing_if = "is_zero_u32")]
    #[prost(uint32, tag = "4")]
    pub(crate) completed_jobs: u32,
    #[serde(skip_serializing_if = "is_zero_u32")]
    #[prost(uint32, tag = "5")]
    pub(crate) total_jobs: u32,
    #[serde(skip_serializing_if = "is_zero_u64", serialize_with = "as_text")]
    #[prost(uint64, tag = "6")]
    pub(crate) total_block_bytes: u64,
}

fn is_zero_u32(number: &u32) -> bool {
    *number == 0
}

fn is_zero_u64(number: &u64) -> bool {
    *number == 0
}

fn as_text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

fn saturate(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl From<FoundTrace> for TraceSearchMetadata {
    fn from(found: FoundTrace) -> Self {
        let hex = found.trace_id.to_string();
        let stats = |service: &crate::search::ServiceSpans| ServiceStats {
            span_count: service.span_count,
            error_count: service.error_count,
        };
        let rootless = found.root_service.is_none() && found.root_name.is_none();
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
            service_stats: found.services.iter().map(|s| (s.service.as_ref().to_owned(), stats(s))).collect(),
        }
    }
}

impl From<SearchAnswer> for SearchResponse {
    fn from(answer: SearchAnswer) -> Self {
        let blocks = saturate(answer.block_count);
        Self {
            traces: answer.traces.into_iter().map(TraceSearchMetadata::from).collect(),
            metrics: Some(SearchMetrics {
                inspected_traces: saturate(answer.inspected_traces),
                inspected_bytes: answer.inspected_bytes,
                total_blocks: blocks,
                completed_jobs: blocks,
                total_jobs: blocks,
                total_block_bytes: answer.block_bytes,
            }),
        }
    }
}
