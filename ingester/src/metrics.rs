//! What ingest counts. Every received span ends in exactly one of acknowledged, rejected and failed.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::budget::Gauges;

/// Why spans were rejected.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    pub reason: &'static str,
}

/// How a request came and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabel {
    pub transport: &'static str,
    pub status: &'static str,
}

/// Cheap to clone: every part is shared.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub spans_received: Counter,
    pub spans_acked: Counter,
    pub spans_failed: Counter,
    pub spans_rejected: Family<ReasonLabel, Counter>,
    pub spans_truncated: Counter,
    pub requests: Family<RequestLabel, Counter>,
    pub in_flight: Gauges,
    pub tenants_open: Gauge,
    pub ack_seconds: Histogram,
    pub flush_bytes: Histogram,
    pub flush_spans: Histogram,
    pub flush_seconds: Histogram,
    pub seal_seconds: Histogram,
    pub put_seconds: Histogram,
    pub put_bytes: Histogram,
}

/// 1 ms to 16 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

/// 1 KiB to 64 MiB.
fn bytes() -> Histogram {
    Histogram::new(exponential_buckets(1024.0, 4.0, 9))
}

impl Metrics {
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            spans_received: Counter::default(),
            spans_acked: Counter::default(),
            spans_failed: Counter::default(),
            spans_rejected: Family::default(),
            spans_truncated: Counter::default(),
            requests: Family::default(),
            in_flight: Gauges::default(),
            tenants_open: Gauge::default(),
            ack_seconds: seconds(),
            flush_bytes: bytes(),
            flush_spans: Histogram::new(exponential_buckets(1.0, 4.0, 10)),
            flush_seconds: seconds(),
            seal_seconds: seconds(),
            put_seconds: seconds(),
            put_bytes: bytes(),
        };
        let m = metrics.clone();
        registry.register("ingest_spans_received", "Spans in requests that could be decoded", m.spans_received);
        registry.register("ingest_spans_acked", "Spans acknowledged: durable in the store", m.spans_acked);
        registry.register("ingest_spans_failed", "Spans whose request failed after decoding", m.spans_failed);
        registry.register("ingest_spans_rejected", "Spans refused by partial success", m.spans_rejected);
        registry.register("ingest_spans_truncated", "Spans kept but cut by a limit", m.spans_truncated);
        registry.register("ingest_requests", "Requests by transport and outcome", m.requests);
        registry.register("ingest_in_flight_bytes", "Request bytes not yet acknowledged", m.in_flight.held);
        let limit = "Request bytes that may be in flight: what blocks are made of within a second";
        registry.register("ingest_in_flight_limit_bytes", limit, m.in_flight.limit);
        registry.register("ingest_tenants_open", "Tenants with requests in hand", m.tenants_open);
        let seconds = Unit::Seconds;
        registry.register_with_unit("ingest_ack", "From decoded request to durable", seconds.clone(), m.ack_seconds);
        registry.register("ingest_flush_request_bytes", "Request bytes in one flush", m.flush_bytes);
        registry.register("ingest_flush_spans", "Spans in one flush", m.flush_spans);
        registry.register_with_unit("ingest_flush", "Seal and write of one flush", seconds.clone(), m.flush_seconds);
        registry.register_with_unit("ingest_seal", "Making one block of a flush", seconds.clone(), m.seal_seconds);
        registry.register_with_unit("ingest_put", "Writing one block to the store", seconds, m.put_seconds);
        registry.register("ingest_put_object_bytes", "Size of the blocks written", m.put_bytes);
        metrics
    }

    pub fn request(&self, transport: &'static str, status: &'static str) {
        self.requests.get_or_create(&RequestLabel { transport, status }).inc();
    }
}

/// Spans that were received and are not yet acknowledged. Unless they are, they count as failed when this is dropped,
/// whatever the way out: an error, a panic or a caller that went away.
#[derive(Debug)]
pub(crate) struct Unsettled {
    metrics: Metrics,
    span_count: u64,
}

impl Unsettled {
    pub fn new(metrics: &Metrics, span_count: u64) -> Self {
        Self { metrics: metrics.clone(), span_count }
    }

    pub fn acknowledge(mut self, waited: Duration) {
        self.metrics.spans_acked.inc_by(self.span_count);
        self.metrics.ack_seconds.observe(waited.as_secs_f64());
        self.span_count = 0;
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.metrics.spans_failed.inc_by(self.span_count);
    }
}
