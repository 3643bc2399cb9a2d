//! What the querier counts. The binary's registry prefixes every name with `spanlake_`.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use spanlake_cache::{CacheMetrics, TierMetrics};

/// Labels of an answered query.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    status: u16,
}

/// Labels of a route's latency.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Routed {
    route: &'static str,
}

/// The querier's counters; clones count into the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    queries: Family<Answered, Counter>,
    seconds: Family<Routed, Histogram>,
    pub(crate) running: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) fetched_bytes: Counter,
    pub(crate) blocks_opened: Counter,
    pub(crate) spans_returned: Counter,
    pub(crate) traces_returned: Counter,
    pub(crate) id_conflicts: Counter,
    pub(crate) damaged: Counter,
    pub(crate) column_cache: TierMetrics,
}

/// 0.5 ms to 65 s, by doubling.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 18))
}

impl Metrics {
    pub(crate) fn new(caches: &CacheMetrics, registry: &mut Registry) -> Self {
        let metrics = Self {
            queries: Family::default(),
            seconds: Family::new_with_constructor(latency as fn() -> Histogram),
            running: Gauge::default(),
            waiting: Gauge::default(),
            fetched_bytes: Counter::default(),
            blocks_opened: Counter::default(),
            spans_returned: Counter::default(),
            traces_returned: Counter::default(),
            id_conflicts: Counter::default(),
            damaged: Counter::default(),
            column_cache: caches.tier("memory"),
        };
        let m = &metrics;
        registry.register("query_requests", "Queries answered, by route and HTTP status", m.queries.clone());
        registry.register_with_unit(
            "query_latency",
            "Time from request to answer, by route",
            Unit::Seconds,
            m.seconds.clone(),
        );
        registry.register("query_running", "Queries running now", m.running.clone());
        registry.register("query_waiting", "Queries that wait for their turn", m.waiting.clone());
        registry.register_with_unit(
            "query_fetched",
            "Bytes of row groups fetched by queries",
            Unit::Bytes,
            m.fetched_bytes.clone(),
        );
        registry.register("query_blocks_opened", "Blocks that queries looked into", m.blocks_opened.clone());
        registry.register("query_spans_returned", "Spans answered by id", m.spans_returned.clone());
        registry.register("query_traces_returned", "Traces answered by search", m.traces_returned.clone());
        registry.register(
            "query_span_id_conflicts",
            "Different spans with the same id, kind, times and name, of which one was answered",
            m.id_conflicts.clone(),
        );
        registry.register("query_damaged", "Queries that failed because an object is damaged", m.damaged.clone());
        caches.register(registry);
        metrics
    }

    /// Counts one answer. A client that went away is counted as status 499.
    pub(crate) fn answered(&self, route: &'static str, status: u16, took: Duration) {
        self.queries.get_or_create(&Answered { route, status }).inc();
        self.seconds.get_or_create(&Routed { route }).observe(took.as_secs_f64());
    }
}
