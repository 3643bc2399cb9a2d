//! What an answer must show and must not, given which traces were deleted when and how long spans are kept. Pure, but for the
//! clock.

use std::sync::Arc;
use std::time::SystemTime;

use spanlake_model::{Tenant, TraceId, world};
use tokio::time::Instant;

use crate::cluster::{DELETED_MIN_AGE, LATE_RETENTION, MAX_SKEW, RETENTION, retains};
use crate::ledger::Request;
use crate::watch::{Deleted, Watch};

/// The rules of one run. Without a watch nothing is ever deleted.
#[derive(Default)]
pub struct Duties {
    watch: Option<Arc<Watch>>,
}

impl Duties {
    pub fn of(watch: &Arc<Watch>) -> Self {
        Self { watch: Some(Arc::clone(watch)) }
    }

    fn deleted(&self, tenant: &Tenant, id: TraceId) -> Vec<Deleted> {
        self.watch.as_ref().map(|watch| watch.deleted(tenant, id)).unwrap_or_default()
    }

    /// Whether an answer that is heard now must show a request's spans of a trace, which are known to be there since a moment:
    /// unless the trace was deleted at any time since, or they have outlived the retention.
    pub fn must_show(&self, request: &Request, id: TraceId, since: Instant) -> bool {
        let over = |deleted: &Deleted| deleted.until.is_some_and(|until| until < since);
        self.deleted(&request.tenant, id).iter().all(over) && !is_past(request)
    }

    /// Whether the answer to a question that was asked at a moment must not show a request's spans of a trace: the trace was deleted
    /// by then, and either still is, or nothing of the request can have landed after the deletion was old enough to be forgotten.
    pub fn must_hide(&self, request: &Request, id: TraceId, asked: Instant) -> bool {
        let hides = |deleted: &Deleted| {
            let may_be_forgotten = deleted.renewed + DELETED_MIN_AGE.get();
            deleted.from < asked && (deleted.until.is_none() || !request.may_land_after(may_be_forgotten))
        };
        self.deleted(&request.tenant, id).iter().any(hides)
    }

    /// Whether a request's spans of a trace may be gone without the rest of the request.
    pub fn may_go(&self, request: &Request, id: TraceId) -> bool {
        is_past(request) || !self.deleted(&request.tenant, id).is_empty()
    }
}

/// Whether a request's spans may have outlived the retention, given that every clock may be wrong.
fn is_past(request: &Request) -> bool {
    let now = world::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    // Other spans of the request ended a little before the last one.
    let is_old = u128::from(request.end_unix_nanos) + RETENTION.get().as_nanos() < now.as_nanos() + 1_000_000_000;
    retains(&request.tenant) && is_old && request.sent.elapsed() + MAX_SKEW >= LATE_RETENTION.get()
}
