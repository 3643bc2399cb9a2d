//! The bounds and timings of ingest, each with its default and the reason for it. It reads no file.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use spanlake_model::{ByteSize, HumanDuration, Tenant};

/// How spans are admitted, gathered and written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Least time between the starts of two flushes of one tenant, unless a size bound asks for an earlier one. A tenant
    /// that has been quiet for this long flushes at once. Default: 100 ms on memory and directories, where a block costs
    /// a sync; 250 ms on object storage, where it costs a request that is paid for.
    pub flush_interval: Option<HumanDuration>,
    /// Request bytes that make a flush start without waiting, and about the most in one block. Default 16 MiB: large
    /// enough that the fixed cost of a block vanishes, small enough that sealing one stays under a second.
    pub flush_bytes: ByteSize,
    /// Spans that make a flush start without waiting. Default 65,536: one full row group.
    pub flush_spans: usize,
    /// Most flushes of one tenant under way at a time, sealing and writing. Default 4: covers a PUT that takes four
    /// times the flush interval.
    pub max_flushes_in_flight: usize,
    /// Longest wait of a decoded request for its turn and for the store to accept its block; then it fails with a
    /// retryable error. Default 8 s: the usual exporter gives up after 10 s and must hear of the failure before that.
    pub publish_timeout: HumanDuration,
    /// Largest request as sent, so compressed if it is. Default 64 MiB, as the OTLP specification recommends.
    pub max_request_bytes: ByteSize,
    /// Largest request after decompression. Default 64 MiB, as the OTLP specification recommends.
    pub max_decompressed_bytes: ByteSize,
    /// Most request bytes held by the process between arrival and acknowledgement. A single request that needs more is
    /// refused as too large. Default 64 MiB: four full blocks, about a quarter of the memory the process may use.
    pub max_in_flight_bytes: ByteSize,
    /// Most request bytes held for one tenant; a single larger request is let in when the tenant has no other. Default:
    /// `max_in_flight_bytes`. Tenants share fairly without it: one that is above an equal share leaves an eighth to the
    /// others, and waits behind those that hold less.
    pub max_tenant_in_flight_bytes: Option<ByteSize>,
    /// Most tenants with requests in hand at the same moment. Default 1,000: each costs a task and a block per flush.
    pub max_tenants: usize,
    /// Longest time a call is held while the bounds are exhausted, before it is throttled. Default 1 s: brief pressure
    /// costs no batch (some exporters drop what is throttled), and a 10 s exporter timeout stays far away.
    pub max_hold: HumanDuration,
    /// Longest time [`Ingester::shutdown`](crate::Ingester::shutdown) waits for what is in hand. Default 8 s: the
    /// process stops within 10 s.
    pub shutdown_timeout: HumanDuration,
    /// What is kept of one request.
    pub limits: SpanLimits,
}

/// How much of one request is kept. The first three reject spans, which partial success reports; the others cut what is
/// past them and mark the span as truncated. See [`spanlake_otlp::Limits`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpanLimits {
    /// Most spans in a request. Default 65,536: one full row group; exporters send at most some thousands.
    pub max_spans: usize,
    /// Deepest nesting of attribute values. Default 32, which is also the most.
    pub max_depth: u32,
    /// Largest encoded span. Default 4 MiB.
    pub max_span_bytes: ByteSize,
    /// Most attributes of a span, event, link, resource or scope. Default 1,024.
    pub max_attributes: usize,
    /// Longest string or bytes value. Default 256 KiB.
    pub max_value_bytes: ByteSize,
    /// Most events of a span. Default 4,096.
    pub max_events: usize,
    /// Most links of a span. Default 4,096.
    pub max_links: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            flush_interval: None,
            flush_bytes: ByteSize::mib(16),
            flush_spans: 65_536,
            max_flushes_in_flight: 4,
            publish_timeout: HumanDuration::from_secs(8),
            max_request_bytes: ByteSize::mib(64),
            max_decompressed_bytes: ByteSize::mib(64),
            max_in_flight_bytes: ByteSize::mib(64),
            max_tenant_in_flight_bytes: None,
            max_tenants: 1_000,
            max_hold: HumanDuration::from_secs(1),
            shutdown_timeout: HumanDuration::from_secs(8),
            limits: SpanLimits::default(),
        }
    }
}

impl Default for SpanLimits {
    fn default() -> Self {
        let limits = spanlake_otlp::Limits::default();
        Self {
            max_spans: limits.max_spans,
            max_depth: limits.max_depth,
            max_span_bytes: ByteSize(limits.max_span_bytes as u64),
            max_attributes: limits.max_attributes,
            max_value_bytes: ByteSize(limits.max_value_bytes as u64),
            max_events: limits.max_events,
            max_links: limits.max_links,
        }
    }
}

impl SpanLimits {
    /// The same limits as the decoder takes them.
    pub fn to_otlp(&self) -> spanlake_otlp::Limits {
        spanlake_otlp::Limits {
            max_spans: self.max_spans,
            max_depth: self.max_depth,
            max_span_bytes: self.max_span_bytes.as_usize(),
            max_attributes: self.max_attributes,
            max_value_bytes: self.max_value_bytes.as_usize(),
            max_events: self.max_events,
            max_links: self.max_links,
        }
    }
}

/// What the receivers accept, apart from the bounds that hold for every way in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiverConfig {
    /// Whether `X-Scope-OrgID` names the tenant. When off, the header is ignored and there is one tenant. Default off.
    pub tenancy_enabled: bool,
    /// The tenant of a request that names none; without one such a request is refused. Counts only with `tenancy_enabled`.
    #[serde(skip)]
    pub default_tenant: Option<Tenant>,
    /// Path before `/v1/traces` on the HTTP port, for exporters whose endpoint has one. Default none.
    pub path_prefix: String,
    /// Whether the HTTP port also answers gRPC. Default on.
    pub grpc_on_http: bool,
    /// Longest silence inside a body before the request is given up. Default 5 s.
    pub body_idle_timeout: HumanDuration,
    /// Longest time a body may take in all. Default 30 s, the longest timeout the usual exporters have.
    pub body_timeout: HumanDuration,
    /// Which browser pages may send spans. Default none.
    pub cors: CorsConfig,
}

/// Cross-origin requests (Fetch standard, section 3.2), as the OpenTelemetry Collector names the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsConfig {
    /// Origins that may send, such as `https://*.example.com`; each may have one `*`. Empty: cross-origin requests are
    /// not answered as such. Default empty.
    pub allowed_origins: Vec<String>,
    /// Request headers beside `Content-Type`, `Content-Encoding` and `X-Scope-OrgID`; `*` allows any. Default none.
    pub allowed_headers: Vec<String>,
    /// How long a browser may remember the answer. Default 2 h, the most that Chromium keeps.
    pub max_age: HumanDuration,
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        Self {
            tenancy_enabled: false,
            default_tenant: None,
            path_prefix: String::new(),
            grpc_on_http: true,
            body_idle_timeout: HumanDuration::from_secs(5),
            body_timeout: HumanDuration::from_secs(30),
            cors: CorsConfig::default(),
        }
    }
}

impl Default for CorsConfig {
    fn default() -> Self {
        Self { allowed_origins: Vec::new(), allowed_headers: Vec::new(), max_age: HumanDuration::from_secs(7_200) }
    }
}

impl Config {
    /// What is wrong with these values: sentences that begin with the name of the setting. Empty when nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut demand = |holds: bool, problem: &str| {
            if !holds {
                problems.push(problem.to_owned());
            }
        };
        let positive = |bytes: ByteSize| bytes.bytes() > 0;
        demand(positive(self.flush_bytes), "flush_bytes must be above 0");
        demand(self.flush_spans > 0, "flush_spans must be above 0");
        demand(self.max_flushes_in_flight > 0, "max_flushes_in_flight must be above 0");
        demand(!self.publish_timeout.get().is_zero(), "publish_timeout must be above 0");
        demand(
            self.publish_timeout.get() >= self.flush_interval(true).saturating_mul(2),
            "publish_timeout must be at least twice flush_interval, which requests may have to wait",
        );
        demand(positive(self.max_request_bytes), "max_request_bytes must be above 0");
        let indexable = self.max_decompressed_bytes.bytes() <= spanlake_otlp::MAX_REQUEST_BYTES as u64;
        demand(
            positive(self.max_decompressed_bytes) && indexable,
            "max_decompressed_bytes must be above 0, at most 1GiB",
        );
        let floor = ByteSize::kib(64);
        demand(self.max_in_flight_bytes >= floor, "max_in_flight_bytes must be at least 64KiB");
        let share = self.max_tenant_in_flight_bytes.unwrap_or(floor);
        demand(positive(share), "max_tenant_in_flight_bytes must be above 0");
        demand(
            share <= self.max_in_flight_bytes.max(floor),
            "max_tenant_in_flight_bytes must be at most max_in_flight_bytes",
        );
        demand(self.max_tenants > 0, "max_tenants must be above 0");
        demand(self.limits.max_spans > 0, "limits.max_spans must be above 0");
        demand(
            (1..=spanlake_otlp::MAX_DEPTH).contains(&self.limits.max_depth),
            "limits.max_depth must be between 1 and 32",
        );
        demand(positive(self.limits.max_span_bytes), "limits.max_span_bytes must be above 0");
        problems
    }

    /// The flush interval on this kind of store.
    pub(crate) fn flush_interval(&self, remote: bool) -> Duration {
        let default = if remote { Duration::from_millis(250) } else { Duration::from_millis(100) };
        self.flush_interval.map_or(default, HumanDuration::get)
    }

    /// The bound on one tenant's bytes.
    pub(crate) fn tenant_in_flight_bytes(&self) -> u64 {
        self.max_tenant_in_flight_bytes.unwrap_or(self.max_in_flight_bytes).bytes()
    }
}

impl ReceiverConfig {
    /// What is wrong with these values: sentences that begin with the name of the setting. Empty when nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.prefix().is_none() {
            problems.push(format!(
                "path_prefix {:?} may have letters, digits and ._~-/ only, and no empty segment",
                self.path_prefix
            ));
        }
        if self.body_idle_timeout.get().is_zero() || self.body_timeout.get().is_zero() {
            problems.push("body_idle_timeout and body_timeout must be above 0".to_owned());
        }
        for origin in &self.cors.allowed_origins {
            if origin.matches('*').count() > 1 {
                problems.push(format!("cors.allowed_origins has {origin:?}: one * is allowed in each"));
            }
        }
        for header in &self.cors.allowed_headers {
            if header != "*" && http::HeaderName::try_from(header).is_err() {
                problems.push(format!("cors.allowed_headers has {header:?}, which is not a header's name"));
            }
        }
        problems
    }

    /// The path prefix without the slashes around it; nothing when it is not one.
    pub(crate) fn prefix(&self) -> Option<&str> {
        let prefix = self.path_prefix.trim_matches('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || "._~-/".contains(c);
        (prefix.chars().all(plain) && !prefix.contains("//")).then_some(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_name_the_setting() {
        assert_eq!(Config::default().problems(), [""; 0]);
        assert_eq!(ReceiverConfig::default().problems(), [""; 0]);
        let limits = SpanLimits { max_depth: 33, ..SpanLimits::default() };
        let share = Some(ByteSize::gib(1));
        let bad = Config { flush_spans: 0, max_tenant_in_flight_bytes: share, limits, ..Config::default() };
        let starts = ["flush_spans ", "max_tenant_in_flight_bytes ", "limits.max_depth "];
        assert!(bad.problems().iter().zip(starts).all(|(problem, start)| problem.starts_with(start)));
        assert_eq!(bad.problems().len(), 3);
        let bad = Config { flush_interval: Some(HumanDuration::from_secs(5)), ..Config::default() };
        assert_eq!(
            bad.problems(),
            ["publish_timeout must be at least twice flush_interval, which requests may have to wait"]
        );
        let cors = CorsConfig {
            allowed_origins: vec!["https://*.*".to_owned()],
            allowed_headers: vec!["a b".to_owned(), "*".to_owned()],
            ..CorsConfig::default()
        };
        let bad = ReceiverConfig { path_prefix: "/{x}".to_owned(), cors, ..ReceiverConfig::default() };
        assert_eq!(bad.problems().len(), 3, "{:?}", bad.problems());
    }

    #[test]
    fn defaults_follow_the_kind_of_store_and_each_other() {
        let mut config = Config::default();
        assert_eq!(config.flush_interval(false), Duration::from_millis(100));
        assert_eq!(config.flush_interval(true), Duration::from_millis(250));
        assert_eq!(config.tenant_in_flight_bytes(), 64 << 20);
        assert_eq!(config.limits.to_otlp(), spanlake_otlp::Limits::default());
        config.flush_interval = Some(HumanDuration::from_millis(5));
        config.max_tenant_in_flight_bytes = Some(ByteSize::mib(1));
        assert_eq!(config.flush_interval(true), Duration::from_millis(5));
        assert_eq!(config.tenant_in_flight_bytes(), 1 << 20);
    }
}
