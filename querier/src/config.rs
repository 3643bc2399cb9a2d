//! What an operator may set about reading, with the bound behind each number.

mod diagnosis;

use serde::{Deserialize, Serialize};
use spanlake_model::{ByteSize, HumanDuration, Tenant};

pub use diagnosis::DiagnosisConfig;

/// Settings of the querier. Every queue and every amount of work a query may cause is bounded here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Queries that run at the same time; default 16. Each may hold `fetches_per_query` row groups in memory.
    pub max_concurrent_queries: usize,
    /// Queries of one tenant that run at the same time, so that others always find room; default 8. Without tenancy only
    /// `max_concurrent_queries` counts. A query over several tenants counts as one of the whole list of them.
    pub max_concurrent_queries_per_tenant: usize,
    /// Queries that wait for their turn, which goes round between tenants; default 256. One more is answered 429.
    pub max_queued_queries: usize,
    /// Longest a query may take, waiting included; default 60 s. Past it the answer is 504.
    pub query_timeout: HumanDuration,
    /// Reads of one query that are in flight or being decoded at once; default 8.
    pub fetches_per_query: usize,
    /// Reads of all queries together that are in flight or being decoded at once; default 32.
    pub max_fetches: usize,
    /// Most blocks one query may look into; default 100,000. A narrower time range needs fewer.
    pub max_blocks_per_query: usize,
    /// Most bytes of objects one query may look into; default 4 GiB.
    pub max_query_bytes: ByteSize,
    /// Most series of a metrics query; default 20,000. Past it the answer is marked as partial.
    pub max_metrics_series: usize,
    /// Most memory that all queries together may hold, TraceQL and SQL alike: what they read and decode, sort, group and join, and
    /// the answers they make; default 1 GiB, one query at most a quarter of it. Nothing is written to disk: a query that
    /// needs more ends with 422.
    pub max_query_memory: ByteSize,
    /// Most bytes of one SQL answer, as it is sent but before compression; default 256 MiB. A longer one ends there, with an
    /// error that says so.
    pub max_result_bytes: ByteSize,
    /// Most bytes of spans (as protobuf) of one trace that are answered; default 64 MiB. A larger trace is answered in part
    /// by `/api/v2/traces`, and refused with 422 by `/api/traces`, which has no way to say so.
    pub max_trace_bytes: ByteSize,
    /// Most traces a search may hold in memory while they are undecided; default 2,000,000 (about 100 bytes each).
    pub max_search_traces: usize,
    /// How far apart in time, from block to block, the pieces of one trace are looked for by a search; default 1 h. Inside
    /// this reach a search sees whole traces; it also decides how early a search for the newest traces may stop.
    pub trace_reach: HumanDuration,
    /// When the rules of a diagnosis speak.
    pub diagnosis: DiagnosisConfig,
    /// Memory for decoded columns of row groups, and for row groups that were looked into by id. Taken from the server's `cache.memory_bytes`, not set here.
    #[serde(skip)]
    pub column_cache_bytes: ByteSize,
    /// Whether requests name their tenant in `X-Scope-OrgID`. Taken from the server's `tenancy.enabled`, not set here.
    #[serde(skip)]
    pub tenancy_enabled: bool,
    /// Tenants that a request is about when it names none; empty: such a request is refused. Counts only with
    /// `tenancy_enabled`. Taken from the server's `tenancy` and `--demo`, not set here.
    #[serde(skip)]
    pub default_tenants: Vec<Tenant>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_concurrent_queries: 16,
            max_concurrent_queries_per_tenant: 8,
            max_queued_queries: 256,
            query_timeout: HumanDuration::from_secs(60),
            fetches_per_query: 8,
            max_fetches: 32,
            max_blocks_per_query: 100_000,
            max_query_bytes: ByteSize::gib(4),
            max_metrics_series: 20_000,
            max_query_memory: ByteSize::gib(1),
            max_result_bytes: ByteSize::mib(256),
            max_trace_bytes: ByteSize::mib(64),
            max_search_traces: 2_000_000,
            trace_reach: HumanDuration::from_secs(3_600),
            diagnosis: DiagnosisConfig::default(),
            column_cache_bytes: spanlake_cache::Config::default().memory_bytes,
            tenancy_enabled: false,
            default_tenants: Vec::new(),
        }
    }
}
