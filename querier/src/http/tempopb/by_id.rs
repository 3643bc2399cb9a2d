//! The answer about one trace.

use opentelemetry_proto::tonic::trace::v1::TracesData;

use super::{PartialStatus, write_status};
use crate::http::jsonpb;
use crate::trace::TraceAnswer;

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
        write_status(&mut object, self.status(), &self.message);
        object.close();
        out
    }
}
