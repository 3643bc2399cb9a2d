//! The forms of what a process says of itself and its blocks, and their description. The program fills and serves them, in front
//! of this crate's routes; they are here because the document that describes the API is.

use serde_json::json;

use super::describe::described;
use super::openapi::{Document, integer, query, shared};

/// Blocks of one answer when the request does not say.
pub const DEFAULT_BLOCKS: usize = 100;
/// Most blocks of one answer.
pub const MAX_BLOCKS: usize = 1_000;

described! {
    /// How a process does. Counts are those since it started; what another role would say is left out.
    pub struct ProcessStatus {
        /// Version of the program.
        version: &'static str,
        /// Seconds since it started.
        uptime_seconds: u64,
        /// When it started, in Unix nanoseconds as a text.
        started_unix_nanos: String,
        /// The roles that it plays: `ingester`, `querier`, `compactor`.
        roles: Vec<&'static str>,
        /// Whether it is ready.
        ready: bool,
        /// Why it is not.
        reason: Option<String>,
        /// Whether requests name their tenant.
        tenancy: bool,
        /// Whether a demo is served beside the user's own spans.
        demo: bool,
        /// How spans come in.
        ingest: Option<IngestStatus>,
        /// Live blocks.
        blocks: Option<BlocksStatus>,
        /// What waits to be merged.
        compaction: Option<CompactionStatus>,
        /// How long blocks are kept.
        retention: Option<RetentionStatus>,
        /// Requests to the store.
        store: StoreStatus,
        /// Caches.
        cache: Vec<CacheStatus>,
        /// Queries.
        queries: Option<QueriesStatus>,
        /// What the system knows of the process.
        process: SystemStatus,
    }

    /// How spans come in.
    pub struct IngestStatus {
        /// Spans received.
        spans_total: u64,
        /// Over the last minute, or since the last time that somebody asked if that is longer ago.
        spans_per_second: f64,
        /// Spans refused.
        refused_total: u64,
        /// The same by reason.
        refused: Vec<RefusedSpans>,
        /// Spans that are received and neither durable nor refused.
        buffered_spans: u64,
        /// Bytes of requests that are not answered yet.
        in_flight_bytes: u64,
    }

    /// Spans that were refused for one reason.
    pub struct RefusedSpans {
        /// The reason.
        reason: String,
        /// Spans.
        count: u64,
    }

    /// Live blocks of all tenants, as the compactor saw them last.
    pub struct BlocksStatus {
        /// By level.
        levels: Vec<LevelStatus>,
        /// Blocks that wait for their deletion.
        retired: u64,
        /// Blocks that were found damaged.
        quarantined: Vec<QuarantinedBlock>,
        /// Traces that are deleted and not yet gone from all blocks.
        deleted_traces: u64,
    }

    /// The blocks of a level.
    #[derive(Default)]
    pub struct LevelStatus {
        /// The level.
        level: u8,
        /// Blocks.
        blocks: u64,
        /// Their spans.
        spans: u64,
        /// Their bytes.
        bytes: u64,
    }

    /// A block that was found damaged.
    pub struct QuarantinedBlock {
        /// Its key.
        key: String,
        /// What was found.
        problem: String,
    }

    /// What waits to be merged, over all tenants.
    pub struct CompactionStatus {
        /// Blocks.
        backlog_blocks: u64,
        /// Their bytes.
        backlog_bytes: u64,
        /// How long the oldest of them has waited.
        oldest_age_seconds: u64,
        /// `nothing`, `merge`, `move` or `drop`: the first that is due for any tenant.
        due: &'static str,
        /// What went wrong last.
        last_error: Option<String>,
    }

    /// How long blocks are kept.
    pub struct RetentionStatus {
        /// Seconds; absent when for ever.
        seconds: Option<u64>,
    }

    /// The store.
    pub struct StoreStatus {
        /// Its URL without user, password and query.
        url: String,
        /// Requests by operation.
        requests: Vec<StoreRequests>,
    }

    /// Requests of one operation.
    pub struct StoreRequests {
        /// `get`, `get_range`, `put`, `list` or `delete`.
        operation: String,
        /// Requests, repetitions included.
        count: u64,
        /// Those that failed. To meet an object where one is created, or none where `get` looks for one, is an answer.
        errors: u64,
        /// Median time to the answer.
        p50_millis: Option<f64>,
        /// The time that 99 of 100 do not exceed.
        p99_millis: Option<f64>,
    }

    /// A cache.
    pub struct CacheStatus {
        /// What is in it.
        name: &'static str,
        /// Requests that found what they wanted.
        hits: u64,
        /// Requests that did not.
        misses: u64,
        /// Bytes in it.
        bytes: u64,
        /// Most bytes.
        limit_bytes: u64,
    }

    /// Queries.
    pub struct QueriesStatus {
        /// Those that run.
        running: u64,
        /// Those that wait for their turn.
        waiting: u64,
    }

    /// What the system knows of the process.
    pub struct SystemStatus {
        /// Memory.
        resident_bytes: Option<u64>,
        /// Open files.
        open_files: Option<u64>,
        /// Time on processors.
        cpu_seconds: Option<f64>,
    }

    /// Some blocks.
    pub struct BlockPage {
        /// By key.
        blocks: Vec<BlockFacts>,
        /// The key after which the next page begins.
        next: Option<String>,
    }

    /// What is known of a block without reading it. Times are Unix nanoseconds as texts.
    pub struct BlockFacts {
        /// Its key.
        key: String,
        /// How often it was merged.
        level: u8,
        /// Spans.
        spans: u64,
        /// Traces.
        traces: u64,
        /// Bytes of the object.
        bytes: u64,
        /// Earliest start of its spans.
        from_unix_nanos: String,
        /// Latest end of them.
        to_unix_nanos: String,
        /// When it was written.
        written_unix_nanos: String,
        /// `live`, `quarantined`, `retired`, `orphan` or `kept`.
        state: &'static str,
    }

    /// What a block is made of. Times are Unix nanoseconds as texts.
    pub struct BlockDetails {
        /// Its key.
        key: String,
        /// How often it was merged.
        level: u8,
        /// Spans.
        spans: u64,
        /// Traces.
        traces: u64,
        /// Bytes of the object.
        bytes: u64,
        /// Earliest start of its spans.
        from_unix_nanos: String,
        /// Latest end of them.
        to_unix_nanos: String,
        /// When it was written.
        written_unix_nanos: String,
        /// `live`, `quarantined`, `retired`, `orphan` or `kept`.
        state: &'static str,
        /// Version of its format.
        format_version: u16,
        /// Row groups.
        row_groups: u64,
        /// Stored bytes of each column.
        columns: Vec<NamedBytes>,
        /// Stored bytes of each index, and of the footer.
        indexes: Vec<NamedBytes>,
        /// Why it is not merged, as a sentence.
        why: String,
    }

    /// Bytes of something.
    pub struct NamedBytes {
        /// What.
        name: String,
        /// How many.
        bytes: u64,
    }
}

/// Describes the endpoints.
pub(crate) fn describe(document: &mut Document) {
    document
        .get("/api/v1/status", "status", "How this process does")
        .text("Every process answers it, whatever its roles. No request to the store.")
        .answers::<ProcessStatus>("How it does.")
        .add();
    let after = "The key after which the page begins: `next` of the page before.";
    document
        .get("/api/v1/status/blocks", "blocks", "Which blocks there are")
        .parameters([
            shared("tenant"),
            query("after", after, json!({ "type": "string" })),
            query("limit", "Most blocks.", integer(1, MAX_BLOCKS as u64, DEFAULT_BLOCKS as u64)),
        ])
        .answers::<BlockPage>("A page of them, by key.")
        .fails(&["400", "401", "503"])
        .add();
    let key = "The block's key, or its last part.";
    let schema = json!({ "type": "string" });
    document
        .get("/api/v1/status/blocks/{key}", "block", "What a block is made of, and why it is not merged")
        .parameters([
            shared("tenant"),
            json!({ "name": "key", "in": "path", "required": true, "description": key, "schema": schema }),
        ])
        .answers::<BlockDetails>("The block.")
        .fails(&["400", "401", "404", "422", "500", "503"])
        .add();
}
