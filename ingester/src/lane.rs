//! One tenant's queue and when to flush it. The decision is a pure function; the driver that acts on it is short.
//!
//! It knows nothing of how a flush is done.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spanlake_model::{Tenant, world};
use spanlake_otlp::Batch;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::budget::{Charge, TenantBudget};
use crate::flush::{self, FlushFailure};
use crate::ingester::LaneGuard;
use crate::metrics::Unsettled;

/// What part of a full block is made at once while several tenants have requests in hand. At the default size that keeps
/// a core for about an eighth of a second.
const SHARED_PART: usize = 4;

/// A checked request that waits for its flush. Its length is bounded by the budget: each holds a [`Charge`].
#[derive(Debug)]
pub(crate) struct Pending {
    pub batch: Batch,
    pub charge: Charge,
    pub unsettled: Unsettled,
    pub queued_at: Instant,
    pub ack: oneshot::Sender<Result<(), FlushFailure>>,
}

/// When flushes start.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub interval: Duration,
    pub max_bytes: usize,
    pub max_spans: usize,
    pub max_in_flight: usize,
}

impl Policy {
    /// The same with smaller blocks: one that is being made keeps a core, for which the other tenants wait.
    fn among_several(&self) -> Self {
        let part = |most: usize| (most / SHARED_PART).max(1);
        Self { max_bytes: part(self.max_bytes), max_spans: part(self.max_spans), ..self.clone() }
    }
}

/// What a decision looks at.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub queued_requests: usize,
    pub queued_bytes: usize,
    pub queued_spans: usize,
    pub flushes_in_flight: usize,
    pub last_flush_start: Option<Instant>,
    pub closing: bool,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Start a flush.
    Flush,
    /// Decide again at this moment, or when something changes before it.
    WaitUntil(Instant),
    /// Decide again when something changes.
    Wait,
    /// Nothing is in hand and nothing has to be remembered.
    Exit,
}

/// Group commit. A quiet tenant flushes at once; a busy one once an interval, earlier when a block's worth has gathered,
/// and never with more than so many flushes under way.
pub(crate) fn plan(view: &View, policy: &Policy, now: Instant) -> Step {
    let due = match view.last_flush_start {
        Some(last) if !view.closing => last + policy.interval,
        _ => now,
    };
    if view.queued_requests == 0 {
        return match view.flushes_in_flight {
            0 if now >= due => Step::Exit,
            0 => Step::WaitUntil(due),
            _ => Step::Wait,
        };
    }
    if view.flushes_in_flight >= policy.max_in_flight {
        return Step::Wait;
    }
    let full = view.queued_bytes >= policy.max_bytes || view.queued_spans >= policy.max_spans;
    if full || now >= due { Step::Flush } else { Step::WaitUntil(due) }
}

#[derive(Debug, Default)]
struct Queue {
    requests: VecDeque<Pending>,
    bytes: usize,
    spans: usize,
    driven: bool,
    closing: bool,
}

/// One tenant with requests in hand.
#[derive(Debug)]
pub(crate) struct Lane {
    pub tenant: Tenant,
    pub budget: TenantBudget,
    queue: Mutex<Queue>,
    changed: Notify,
}

impl Lane {
    pub fn new(tenant: Tenant, budget: TenantBudget) -> Self {
        Self { tenant, budget, queue: Mutex::default(), changed: Notify::new() }
    }

    /// From now on flushes wait for no interval.
    pub fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Every change is complete before anything can panic, so a poisoned queue is a sound one.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, request: Pending) {
        self.bytes += request.batch.bytes.len();
        self.spans += request.batch.spans.len();
        self.requests.push_back(request);
    }

    /// The oldest requests that make one block: at least one, and no more than the bounds as long as there are several.
    fn take(&mut self, policy: &Policy) -> Vec<Pending> {
        let mut taken = Vec::new();
        let (mut bytes, mut spans) = (0, 0);
        while let Some(next) = self.requests.front() {
            bytes += next.batch.bytes.len();
            spans += next.batch.spans.len();
            if !taken.is_empty() && (bytes > policy.max_bytes || spans > policy.max_spans) {
                break;
            }
            self.bytes -= next.batch.bytes.len();
            self.spans -= next.batch.spans.len();
            taken.extend(self.requests.pop_front());
        }
        taken
    }
}

/// Queues a request and sees to it that somebody flushes it.
pub(crate) fn enqueue(guard: LaneGuard, request: Pending) {
    let start = {
        let mut queue = guard.lane().lock();
        queue.push(request);
        !std::mem::replace(&mut queue.driven, true)
    };
    if start {
        tokio::spawn(world::carried(drive(guard)));
    } else {
        guard.lane().changed.notify_one();
    }
}

/// Starts this lane's flushes until none is needed. At most one driver runs per lane.
async fn drive(guard: LaneGuard) {
    let lane = guard.lane();
    let shared = guard.shared();
    let mut flushes = JoinSet::new();
    let mut last_flush_start = None;
    let (mut is_blocked, mut blocked_until) = (false, None);
    loop {
        while flushes.try_join_next().is_some() {}
        let policy = if shared.has_several_tenants() { shared.policy.among_several() } else { shared.policy.clone() };
        let (step, requests) = {
            let mut queue = lane.lock();
            let view = View {
                queued_requests: queue.requests.len(),
                queued_bytes: queue.bytes,
                queued_spans: queue.spans,
                flushes_in_flight: flushes.len(),
                last_flush_start,
                closing: queue.closing,
            };
            let step = plan(&view, &policy, Instant::now());
            let requests = if step == Step::Flush { queue.take(&policy) } else { Vec::new() };
            // Decided under the lock: whoever queues next starts a driver of its own.
            queue.driven = step != Step::Exit;
            (step, requests)
        };
        let until = match step {
            Step::Flush => {
                let now = Instant::now();
                last_flush_start = Some(now);
                if std::mem::take(&mut is_blocked) {
                    blocked_until = Some(now);
                }
                let flush = flush::flush(Arc::clone(shared), lane.tenant.clone(), requests, blocked_until);
                flushes.spawn(world::carried(flush));
                continue;
            }
            Step::Exit => return,
            Step::Wait => {
                is_blocked = flushes.len() >= policy.max_in_flight;
                None
            }
            Step::WaitUntil(moment) => Some(moment),
        };
        tokio::select! {
            () = lane.changed.notified() => {}
            Some(_) = flushes.join_next(), if !flushes.is_empty() => {}
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn decisions() {
        let policy = Policy { interval: Duration::from_millis(100), max_bytes: 1000, max_spans: 10, max_in_flight: 2 };
        let now = Instant::now() + Duration::from_secs(10);
        let ago = |millis| Some(now - Duration::from_millis(millis));
        let at = |millis| Step::WaitUntil(now + Duration::from_millis(millis));
        let queued = View { queued_requests: 1, queued_bytes: 10, queued_spans: 1, ..View::default() };
        let check = |what: &str, view: View, expect: Step| assert_eq!(plan(&view, &policy, now), expect, "{what}");

        check("quiet tenant", queued.clone(), Step::Flush);
        check("last flush long ago", View { last_flush_start: ago(100), ..queued.clone() }, Step::Flush);
        check("inside the interval", View { last_flush_start: ago(30), ..queued.clone() }, at(70));
        check(
            "inside the interval, the previous PUT still under way",
            View { last_flush_start: ago(30), flushes_in_flight: 1, ..queued.clone() },
            at(70),
        );
        check(
            "interval over, the previous PUT still under way",
            View { last_flush_start: ago(130), flushes_in_flight: 1, ..queued.clone() },
            Step::Flush,
        );
        check("full bytes", View { last_flush_start: ago(1), queued_bytes: 1000, ..queued.clone() }, Step::Flush);
        check("full spans", View { last_flush_start: ago(1), queued_spans: 10, ..queued.clone() }, Step::Flush);
        check(
            "pipeline full",
            View { last_flush_start: ago(500), flushes_in_flight: 2, queued_bytes: 5000, ..queued.clone() },
            Step::Wait,
        );
        check("closing", View { last_flush_start: ago(1), closing: true, ..queued }, Step::Flush);
        check("nothing queued, flush under way", View { flushes_in_flight: 1, ..View::default() }, Step::Wait);
        check("nothing queued, interval remembered", View { last_flush_start: ago(60), ..View::default() }, at(40));
        check("nothing at all", View { last_flush_start: ago(100), ..View::default() }, Step::Exit);
        check("closing with nothing", View { last_flush_start: ago(1), closing: true, ..View::default() }, Step::Exit);
    }
}
