//! Why a query has no answer. What each becomes over HTTP is decided in `http`.

use std::sync::Arc;
use std::time::Duration;

use spanlake_block::Damage;

/// Why a query failed. Nothing is ever left out of an answer in silence: what cannot be read fails the query.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// An object is damaged: its bytes do not match their checksums or their format.
    #[error("the object {key} is damaged: {damage}")]
    Damaged {
        /// The object's key.
        key: Arc<str>,
        /// What is wrong with it.
        damage: String,
    },
    /// An object that the catalog names is not there, even after the catalog was read again.
    #[error("the object {key} is missing")]
    Missing {
        /// The object's key.
        key: Arc<str>,
    },
    /// The object store cannot be read now.
    #[error("the object store cannot be read: {problem}")]
    Unavailable {
        /// What the store said, with the object's key.
        problem: String,
    },
    /// The query would look into more blocks than [`crate::Config::max_blocks_per_query`].
    #[error(
        "the query needs {block_count} blocks, at most {max} are allowed (querier.max_blocks_per_query): narrow start and end"
    )]
    TooManyBlocks {
        /// Blocks the query needs.
        block_count: usize,
        /// Blocks allowed.
        max: usize,
    },
    /// The query would look into more than [`crate::Config::max_query_bytes`].
    #[error(
        "the query needs more than {max_bytes} bytes, the most allowed (querier.max_query_bytes): narrow start and end or the tags"
    )]
    TooManyBytes {
        /// Bytes allowed.
        max_bytes: u64,
    },
    /// The search would hold more undecided traces than [`crate::Config::max_search_traces`].
    #[error(
        "the search has more than {max} traces to decide between, the most allowed (querier.max_search_traces): narrow start and end"
    )]
    TooManyTraces {
        /// Traces allowed.
        max: usize,
    },
    /// The search has more tags than [`crate::SearchRequest::MAX_TAGS`].
    #[error("the search has {tag_count} tags, at most {max} are allowed")]
    TooManyTags {
        /// Tags given.
        tag_count: usize,
        /// Tags allowed.
        max: usize,
    },
    /// The query cannot be run as it is written.
    #[error("{0}")]
    BadQuery(String),
    /// The SQL cannot be answered: it is wrong, asks for what is not allowed, or fails on the values it meets.
    #[error("{0}")]
    InvalidSql(String),
    /// The query needs more memory than its share of [`crate::Config::max_query_memory`].
    #[error(
        "the query needs more memory than it may have, a quarter of {max_bytes} bytes (querier.max_query_memory): {problem}"
    )]
    OutOfMemory {
        /// Which part of the query asked for how much.
        problem: String,
        /// Bytes allowed to all queries together.
        max_bytes: u64,
    },
    /// The answer is longer than [`crate::Config::max_result_bytes`].
    #[error(
        "the answer is longer than {max_bytes} bytes, the most allowed (querier.max_result_bytes): ask for fewer rows or columns"
    )]
    TooManyResultBytes {
        /// Bytes allowed.
        max_bytes: u64,
    },
    /// As many queries as allowed are running and waiting.
    #[error(
        "too many queries are running and waiting (querier.max_concurrent_queries, querier.max_concurrent_queries_per_tenant, querier.max_queued_queries): try again later"
    )]
    Busy,
    /// The query took longer than [`crate::Config::query_timeout`].
    #[error("the query took longer than {} s (querier.query_timeout): narrow start and end", limit.as_secs_f64())]
    TimedOut {
        /// Time allowed.
        limit: Duration,
    },
    /// Too many deleted traces wait for their removal from storage.
    #[error("{0}")]
    TooManyDeleted(String),
    /// Nobody waits for the answer any more.
    #[error("the query was cancelled: its client went away")]
    Cancelled,
    /// A fault of ours, or the process is stopping.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    pub(crate) fn damaged(key: &Arc<str>, damage: &Damage) -> Self {
        Self::Damaged { key: Arc::clone(key), damage: damage.to_string() }
    }

    /// Whether a bound on the amount of work was met: what was found until then is right, but not all.
    pub fn is_bound(&self) -> bool {
        matches!(
            self,
            Self::TooManyBlocks { .. }
                | Self::TooManyBytes { .. }
                | Self::TooManyTraces { .. }
                | Self::OutOfMemory { .. }
        )
    }
}
