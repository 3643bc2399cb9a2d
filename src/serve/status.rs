//! `/api/v1/status`: how this process does, as one JSON document for people and pages.
//!
//! Numbers are those of the metrics, read where they are registered; a process that does not play a role leaves its members out.

mod samples;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prometheus_client::registry::Registry;
use spanlake_compactor::{Compactor, Status as CompactorStatus};
use spanlake_querier::status::{
    BlocksStatus, CacheStatus, CompactionStatus, IngestStatus, LevelStatus, ProcessStatus, QuarantinedBlock,
    QueriesStatus, RefusedSpans, RetentionStatus, StoreRequests, StoreStatus, SystemStatus,
};

use self::samples::Samples;
use super::readiness::Readiness;
use crate::config::{Config, Role};

/// Over how long the rate of spans is measured, if it is asked for that often.
const RATE_WINDOW: Duration = Duration::from_secs(60);
/// Readings nearer to each other than this are one.
const RATE_PAUSE: Duration = Duration::from_secs(1);

/// What the document is made of, beside the metrics.
pub struct StatusSource {
    config: Config,
    compactor: Option<Compactor>,
    started: Instant,
    started_unix_nanos: u64,
    /// When so many spans had been received.
    received: Mutex<VecDeque<(Instant, u64)>>,
}

impl StatusSource {
    /// Of a process that starts now.
    pub fn new(config: Config, compactor: Option<Compactor>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            config,
            compactor,
            started: Instant::now(),
            started_unix_nanos: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            received: Mutex::default(),
        }
    }

    /// The document. No request to the store.
    pub fn read(&self, registries: &[Registry], readiness: &Readiness) -> ProcessStatus {
        let samples = Samples::read(registries);
        let plays = |role| self.config.roles.contains(role);
        let reason = readiness.check().err();
        let compactor = self.compactor.as_ref().map(Compactor::status);
        let retention_nanos = self.config.compactor.retention.as_nanos();
        ProcessStatus {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.started.elapsed().as_secs(),
            started_unix_nanos: self.started_unix_nanos.to_string(),
            roles: Role::ALL.into_iter().filter(|role| plays(*role)).map(Role::name).collect(),
            ready: reason.is_none(),
            reason,
            tenancy: self.config.tenancy.enabled,
            demo: self.config.tenancy.demo,
            ingest: plays(Role::Ingester).then(|| self.ingest(&samples)),
            blocks: compactor.as_ref().map(blocks),
            compaction: compactor.as_ref().map(compaction),
            retention: compactor
                .as_ref()
                .map(|_| RetentionStatus { seconds: (retention_nanos > 0).then_some(retention_nanos / 1_000_000_000) }),
            store: store(&self.config.storage.url, &samples),
            cache: self.caches(&samples),
            queries: plays(Role::Querier).then(|| QueriesStatus {
                running: samples.sum("spanlake_query_running", &[]) as u64,
                waiting: samples.sum("spanlake_query_waiting", &[]) as u64,
            }),
            process: SystemStatus {
                resident_bytes: samples.one("process_resident_memory_bytes").map(|bytes| bytes as u64),
                open_files: samples.one("process_open_fds").map(|files| files as u64),
                cpu_seconds: samples.one("process_cpu_seconds_total"),
            },
        }
    }

    fn ingest(&self, samples: &Samples) -> IngestStatus {
        let total = |name: &str| samples.sum(&format!("spanlake_ingest_spans_{name}_total"), &[]) as u64;
        let (received, refused) = (total("received"), total("rejected"));
        let by_reason = samples.by("spanlake_ingest_spans_rejected_total", "reason");
        IngestStatus {
            spans_total: received,
            spans_per_second: self.rate(Instant::now(), received),
            refused_total: refused,
            refused: by_reason
                .into_iter()
                .map(|(reason, count)| RefusedSpans { reason, count: count as u64 })
                .collect(),
            buffered_spans: received.saturating_sub(total("acked") + total("failed") + refused),
            in_flight_bytes: samples.sum("spanlake_ingest_in_flight_bytes", &[]) as u64,
        }
    }

    /// Spans a second since the oldest reading that is kept.
    fn rate(&self, now: Instant, received: u64) -> f64 {
        let mut readings = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        // One reading that is old enough stays, to measure from.
        while readings.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= RATE_WINDOW) {
            readings.pop_front();
        }
        let (since, before) = readings.front().copied().unwrap_or((self.started, 0));
        if readings.back().is_none_or(|(at, _)| now.duration_since(*at) >= RATE_PAUSE) {
            readings.push_back((now, received));
        }
        received.saturating_sub(before) as f64 / now.duration_since(since).as_secs_f64().max(0.001)
    }

    fn caches(&self, samples: &Samples) -> Vec<CacheStatus> {
        let cache = |name, metric: &str, held: &str, label: (&str, &str), limit_bytes| CacheStatus {
            name,
            hits: samples.sum(&format!("spanlake_{metric}_hits_total"), &[label]) as u64,
            misses: samples.sum(&format!("spanlake_{metric}_misses_total"), &[label]) as u64,
            bytes: samples.sum(&format!("spanlake_{metric}_{held}"), &[label]) as u64,
            limit_bytes,
        };
        let Config { catalog, cache: config, roles, .. } = &self.config;
        let mut caches = vec![
            cache("tails", "catalog_cache", "held_bytes", ("cache", "tail"), catalog.tail_cache_bytes.bytes()),
            cache(
                "search indexes",
                "catalog_cache",
                "held_bytes",
                ("cache", "search"),
                catalog.search_cache_bytes.bytes(),
            ),
        ];
        if roles.contains(Role::Querier) {
            caches.push(cache("columns", "cache", "held_bytes", ("tier", "memory"), config.memory_bytes.bytes()));
            if !config.disk_path.as_os_str().is_empty() {
                caches.push(cache("disk", "cache", "held_bytes", ("tier", "disk"), config.disk_bytes.bytes()));
            }
        }
        caches
    }
}

fn blocks(status: &CompactorStatus) -> BlocksStatus {
    let mut levels: Vec<LevelStatus> = Vec::new();
    for (level, of_tenant) in status.tenants.values().flat_map(|tenant| &tenant.levels) {
        let at = levels.partition_point(|known| known.level < *level);
        if levels.get(at).is_none_or(|known| known.level != *level) {
            levels.insert(at, LevelStatus { level: *level, ..LevelStatus::default() });
        }
        levels[at].blocks += of_tenant.block_count;
        levels[at].spans += of_tenant.span_count;
        levels[at].bytes += of_tenant.object_bytes;
    }
    let quarantined = status.tenants.values().flat_map(|tenant| &tenant.quarantined);
    BlocksStatus {
        levels,
        retired: status.tenants.values().map(|tenant| tenant.retired_count).sum(),
        quarantined: quarantined
            .map(|one| QuarantinedBlock { key: one.key.clone(), problem: one.problem.clone() })
            .collect(),
        deleted_traces: status.tenants.values().map(|tenant| tenant.deleted_trace_count).sum(),
    }
}

fn compaction(status: &CompactorStatus) -> CompactionStatus {
    let tenants = || status.tenants.values();
    let last_error = tenants().filter_map(|tenant| tenant.last_error.as_ref()).max_by_key(|error| error.unix_nanos);
    CompactionStatus {
        backlog_blocks: tenants().map(|tenant| tenant.backlog.block_count).sum(),
        backlog_bytes: tenants().map(|tenant| tenant.backlog.object_bytes).sum(),
        oldest_age_seconds: tenants().map(|tenant| tenant.backlog.oldest_age_seconds).max().unwrap_or(0),
        due: tenants().map(|tenant| tenant.due).find(|due| !due.is_empty() && *due != "nothing").unwrap_or("nothing"),
        last_error: last_error.map(|error| error.message.clone()),
    }
}

fn store(url: &str, samples: &Samples) -> StoreStatus {
    let counts = samples.by("spanlake_store_requests_total", "operation");
    let requests = counts.into_iter().map(|(operation, count)| {
        let label = [("operation", operation.as_str())];
        let millis = |share| samples.quantile("spanlake_store_request_seconds_bucket", &label, share);
        let [p50_millis, p99_millis] = [0.5, 0.99].map(|share| millis(share).map(|seconds| seconds * 1e3));
        let failed = |labels: &[(&str, &str)]| samples.sum("spanlake_store_errors_total", labels) as u64;
        // A look for an object may find none, as a new demo's for its marker. Ranges are read of blocks that are live.
        let absent = if operation == "get" { failed(&[label[0], ("kind", "not_found")]) } else { 0 };
        let errors = failed(&label).saturating_sub(absent);
        StoreRequests { count: count as u64, errors, p50_millis, p99_millis, operation: operation.clone() }
    });
    StoreStatus { url: without_secrets(url), requests: requests.collect() }
}

/// A URL without user, password and query.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            format!("{scheme}://{}{path}", host.rsplit('@').next().unwrap_or_default())
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_their_secrets() {
        for (url, shown) in [
            ("./data", "./data"),
            ("file:///a@b", "file:///a@b"),
            ("s3://key:secret@bucket/prefix?token=x", "s3://bucket/prefix"),
            ("memory://", "memory://"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }

    #[test]
    fn a_process_without_work_has_a_whole_document() {
        let config = Config::default();
        let source = StatusSource::new(config, None);
        let mut registry = Registry::with_prefix("spanlake");
        let store = spanlake_storage::Store::memory();
        store.meter().register(&mut registry);
        let status = source.read(&[registry], &Readiness::new());
        let json = serde_json::to_value(&status).expect("JSON");
        assert_eq!(json["roles"], serde_json::json!(["ingester", "querier", "compactor"]));
        assert_eq!(json["ready"], false);
        assert!(json["reason"].is_string() && json.get("blocks").is_none(), "{json}");
        assert_eq!(json["store"]["requests"].as_array().map(Vec::len), Some(5));
        assert_eq!(json["ingest"]["spansTotal"], 0);
    }

    #[tokio::test]
    async fn to_look_for_an_object_is_no_failure_and_to_miss_a_part_of_one_is() {
        let store = spanlake_storage::Store::memory();
        let mut registry = Registry::with_prefix("spanlake");
        store.meter().register(&mut registry);
        store.get("absent").await.expect_err("nothing is there");
        store.get_range("absent", 0..1).await.expect_err("nothing is there");
        let status = StatusSource::new(Config::default(), None).read(&[registry], &Readiness::new());
        let json = serde_json::to_value(&status).expect("JSON");
        let requests = json["store"]["requests"].as_array().expect("an array").iter();
        let counts = requests.map(|line| (line["operation"].as_str(), line["count"].as_u64(), line["errors"].as_u64()));
        let read: Vec<_> =
            counts.filter(|(operation, ..)| operation.is_some_and(|name| name.starts_with("get"))).collect();
        assert_eq!(read, [(Some("get"), Some(1), Some(0)), (Some("get_range"), Some(1), Some(1))], "{json}");
    }

    #[test]
    fn rates_are_of_the_last_readings() {
        let source = StatusSource::new(Config::default(), None);
        let after = |seconds| source.started + Duration::from_secs(seconds);
        assert_eq!(source.rate(after(10), 100), 10.0);
        assert_eq!(source.rate(after(20), 300), 20.0);
        assert_eq!(source.rate(after(200), 480), 1.0);
        assert_eq!(source.rate(after(260), 480), 0.0);
    }
}
