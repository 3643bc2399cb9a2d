//! Why a request is refused. It says nothing of status codes: `receiver::answer` maps every variant to both protocols.

use std::sync::Arc;
use std::time::Duration;

use spanlake_model::TenantError;

/// Why a request is not acknowledged. None of its spans counts as stored; a sender may repeat the ones that carry a
/// `retry_after`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PushError {
    /// The request is not what its content type says.
    #[error("{0}")]
    Malformed(String),
    /// The request is larger than a bound, and repeating it cannot help.
    #[error("the request has {what}: at most {limit} are allowed ({setting})")]
    TooLarge {
        /// What there is too much of, with its number where it is known.
        what: String,
        /// The bound.
        limit: u64,
        /// The name of the setting to change.
        setting: &'static str,
    },
    /// A bound on work in hand is exhausted and stayed so while the call was held.
    #[error("{reason}; retry in {} ms", retry_after.as_millis())]
    Throttled {
        /// Which bound, and the setting to change.
        reason: String,
        /// When to try again, with jitter or at a place in time of the sender's own.
        retry_after: Duration,
    },
    /// The store did not take the block, or its answer is not known. What it said names keys and endpoints, which are
    /// for the log and not for senders.
    #[error("the spans could not be stored, the server's log says why; retry in {} ms", retry_after.as_millis())]
    Unavailable {
        /// When to try again, with jitter.
        retry_after: Duration,
    },
    /// The store has no space left.
    #[error("the spans could not be stored, the disk is full; retry in {} ms", retry_after.as_millis())]
    Full {
        /// When to try again, with jitter.
        retry_after: Duration,
    },
    /// The process takes no more work because it is stopping.
    #[error("the server is shutting down; retry in {} ms", retry_after.as_millis())]
    ShuttingDown {
        /// When to try again, with jitter: another process, or this one restarted, may answer by then.
        retry_after: Duration,
    },
    /// The checked request could not be made into a block: a defect of this program.
    #[error("the spans could not be encoded, which is a defect of the server: {0}")]
    Internal(Arc<str>),
    /// Tenancy is on and the request names no tenant, or a name that is none.
    #[error("{0}: name the tenant in X-Scope-OrgID")]
    Tenant(#[from] TenantError),
    /// The body came too slowly.
    #[error("the body did not arrive in time: {0}")]
    SlowBody(&'static str),
    /// The connection broke inside the body.
    #[error("the body could not be read: {0}")]
    BrokenBody(String),
    /// The content type is not one of OTLP.
    #[error("{found}: send {expected}")]
    ContentType {
        /// What was sent.
        found: String,
        /// What this receiver takes.
        expected: &'static str,
    },
    /// The body is compressed in a way that is not understood.
    #[error("content encoding {found:?} is not supported: use gzip, zstd, deflate or identity")]
    ContentEncoding {
        /// What was sent.
        found: String,
    },
    /// The method is not POST.
    #[error("method {found} is not allowed here: use POST")]
    Method {
        /// What was sent.
        found: String,
    },
    /// Nothing is served under this path or service name.
    #[error("{0}")]
    NotFound(String),
}

impl PushError {
    /// When to try again; nothing when repeating the same request cannot help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. }
            | Self::Unavailable { retry_after, .. }
            | Self::Full { retry_after, .. }
            | Self::ShuttingDown { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    pub(crate) fn throttled(reason: impl Into<String>) -> Self {
        Self::Throttled { reason: reason.into(), retry_after: retry_after() }
    }

    pub(crate) fn shutting_down() -> Self {
        Self::ShuttingDown { retry_after: retry_after() }
    }
}

/// A hint between one and five seconds. The jitter keeps refused senders from returning all at once; more than five
/// seconds could pass the 10 s that exporters give a batch, which they then drop.
pub(crate) fn retry_after() -> Duration {
    Duration::from_millis(rand::random_range(1_000..=5_000))
}
