//! Bytes in flight: what a request holds from its arrival to its acknowledgement, bounded for the process and shared fairly
//! among tenants.
//!
//! How many there are follows how fast blocks are made: what would only wait is not let in, so that what is let in is acknowledged
//! before its sender gives up.
//!
//! One tenant alone may take all but the reserve. Who is above an equal share leaves the reserve to the others, and what
//! is given back goes first to the waiting tenant that holds least, so that a tenant that sends little hardly waits however
//! much another one sends. It knows nothing of spans, bodies or flushes.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::error::{PushError, retry_after};
use crate::hints::Hints;

/// What every request is charged beside its bytes: its task, stream, headers and place in the queue. It also bounds the
/// number of requests in hand, to 16,384 at the default budget.
pub(crate) const REQUEST_BYTES: usize = 4 << 10;

/// The share of the budget that is kept for tenants below their fair share: an eighth, 8 MiB by default, is some hundred
/// usual requests.
const RESERVE: usize = 8;

/// How long a request should wait for its block to be made, at most. What is let in beyond that makes all wait longer, past what
/// senders wait in the end, and no block is made any sooner.
const MOST_DELAY: Duration = Duration::from_secs(1);

/// The least of the budget that is there however long blocks take.
const LEAST_SHARE: usize = 8;

/// The part of the way that one block moves the budget to what fits it.
const STEP_SHARE: usize = 4;

/// The process's bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    process_bytes: usize,
    /// Most for one tenant, however few others there are.
    tenant_bytes: usize,
    max_hold: Duration,
    gauges: Gauges,
    state: Mutex<State>,
}

/// What the process shows of its bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauges {
    /// Held by requests.
    pub held: Gauge,
    /// How many may be held.
    pub limit: Gauge,
}

#[derive(Debug, Default)]
struct State {
    /// Of the process's bytes, how many may be held.
    limit: usize,
    held: usize,
    tenants: HashMap<u64, Share>,
    next_tenant: u64,
    next_ticket: u64,
    /// Tenants that hold bytes or wait for some.
    active: usize,
    is_closed: bool,
}

/// One tenant with requests in hand.
#[derive(Debug)]
struct Share {
    held: usize,
    /// Requests that hold bytes.
    holders: usize,
    waiting: VecDeque<Waiting>,
    /// Handles to it; the last one takes it out of the map.
    handles: usize,
    hints: Hints,
}

impl State {
    /// Changes a share and keeps count of those that are active.
    fn change<T>(&mut self, number: u64, change: impl FnOnce(&mut Share) -> T) -> Option<T> {
        let share = self.tenants.get_mut(&number)?;
        let was_active = share.is_active();
        let outcome = change(share);
        match (was_active, share.is_active()) {
            (false, true) => self.active += 1,
            (true, false) => self.active -= 1,
            _ => {}
        }
        Some(outcome)
    }

    /// Charges a request of a tenant more bytes.
    fn take(&mut self, number: u64, more: usize, is_holder: bool) {
        self.held += more;
        self.change(number, |share| {
            share.held += more;
            share.holders += usize::from(!is_holder);
        });
    }
}

impl Share {
    fn new() -> Self {
        Self { held: 0, holders: 0, waiting: VecDeque::new(), handles: 1, hints: Hints::new() }
    }

    fn is_active(&self) -> bool {
        self.holders > 0 || !self.waiting.is_empty()
    }
}

/// A request that waits for more bytes.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    more: usize,
    /// Whether the request holds bytes already.
    is_holder: bool,
    granted: oneshot::Sender<()>,
}

/// One tenant's share.
#[derive(Debug)]
pub(crate) struct TenantBudget {
    budget: Arc<Budget>,
    number: u64,
}

/// Bytes held by one request; they return when it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    tenant: TenantBudget,
    held: usize,
    /// What is left of the time this request may be held, over all its waits.
    hold: Duration,
}

impl Budget {
    pub fn new(process_bytes: u64, tenant_bytes: u64, max_hold: Duration, gauges: Gauges) -> Arc<Self> {
        let clamp = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).max(2 * REQUEST_BYTES);
        let process_bytes = clamp(process_bytes);
        let tenant_bytes = clamp(tenant_bytes).min(process_bytes);
        let state = State { limit: process_bytes, ..State::default() };
        gauges.limit.set(process_bytes as i64);
        Arc::new(Self { process_bytes, tenant_bytes, max_hold, gauges, state: Mutex::new(state) })
    }

    pub fn tenant(self: &Arc<Self>) -> TenantBudget {
        let mut state = self.lock();
        let number = state.next_tenant;
        state.next_tenant += 1;
        state.tenants.insert(number, Share::new());
        TenantBudget { budget: Arc::clone(self), number }
    }

    /// The bytes of a request with so many; never more than there are.
    fn wanted(&self, bytes: usize) -> usize {
        bytes.saturating_add(REQUEST_BYTES).min(self.process_bytes)
    }

    /// How many tenants hold bytes or wait for some.
    pub fn active_tenants(&self) -> usize {
        self.lock().active
    }

    /// All bytes there are.
    pub fn bytes(&self) -> usize {
        self.process_bytes
    }

    /// A block has been made whose first request waited for it so long. Too long: by Little's law, what is held now in proportion
    /// is what would wait as long as it may. Not half as long: there is room for more.
    pub fn delayed(&self, waited: Duration) {
        let mut state = self.lock();
        let fitting = if waited > MOST_DELAY {
            (state.held as f64 * MOST_DELAY.as_secs_f64() / waited.as_secs_f64()) as usize
        } else if waited < MOST_DELAY / 2 {
            state.limit + state.limit / 2
        } else {
            return;
        };
        let fitting = fitting.clamp(self.process_bytes / LEAST_SHARE, self.process_bytes);
        state.limit = (state.limit * (STEP_SHARE - 1) + fitting).div_ceil(STEP_SHARE);
        self.gauges.limit.set(state.limit as i64);
        self.grant_waiting(&mut state);
    }

    /// Lets nobody in any more: calls being held return at once.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        // Dropping what they wait for wakes them.
        let numbers: Vec<u64> = state.tenants.keys().copied().collect();
        for number in numbers {
            state.change(number, |share| share.waiting.clear());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything can panic, so a poisoned state is a sound one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a tenant may take more bytes now, and if not, whether only its own share keeps it from them.
    fn verdict(&self, state: &State, share: &Share, more: usize, is_holder: bool) -> Verdict {
        // A request above every bound gets in when it is the tenant's only one.
        let is_only = share.holders == usize::from(is_holder);
        if state.held + more > self.process_bytes {
            return Verdict::NoRoom;
        }
        let held = share.held + more;
        if held > self.tenant_bytes && !is_only {
            return Verdict::OverShare;
        }
        // One tenant more than there are: the next one to come finds room too.
        let is_fair = held <= self.process_bytes / (state.active + 1);
        if !is_fair && !is_only && state.held + more > self.process_bytes - self.process_bytes / RESERVE {
            return Verdict::OverShare;
        }
        // A request may pass the limit, which can be less than it is large, but the next one waits.
        let is_fair = share.held < state.limit / (state.active + 1);
        let limit = if is_fair { state.limit } else { state.limit - state.limit / RESERVE };
        if state.held >= limit && !is_only {
            return Verdict::TooSlow;
        }
        Verdict::Granted
    }

    /// Hands bytes to those who wait for them, the tenant that holds least first, as far as they go.
    fn grant_waiting(&self, state: &mut State) {
        let mut order: Vec<(usize, u64, u64)> = Vec::new();
        for (number, share) in &state.tenants {
            order.extend(share.waiting.front().map(|first| (share.held, first.ticket, *number)));
        }
        // Taken from the end.
        order.sort_unstable_by_key(|entry| Reverse(*entry));
        while let Some((_, _, number)) = order.pop() {
            let share = &state.tenants[&number];
            let Some(first) = share.waiting.front() else { continue };
            match self.verdict(state, share, first.more, first.is_holder) {
                // Room is kept for the one whose turn it is, or a large request would wait for ever.
                Verdict::NoRoom => return,
                Verdict::OverShare | Verdict::TooSlow => continue,
                Verdict::Granted => {}
            }
            let granted = state.change(number, |share| {
                let first = share.waiting.pop_front()?;
                // One that has given up meanwhile gets nothing.
                first.granted.send(()).ok()?;
                share.held += first.more;
                share.holders += usize::from(!first.is_holder);
                Some(first.more)
            });
            state.held += granted.flatten().unwrap_or(0);
            let share = &state.tenants[&number];
            if let Some(next) = share.waiting.front() {
                let entry = (share.held, next.ticket, number);
                let at = order.partition_point(|other| *other > entry);
                order.insert(at, entry);
            }
        }
    }

    fn give_back(&self, number: u64, bytes: usize, is_all: bool) {
        let mut state = self.lock();
        state.held -= bytes;
        state.change(number, |share| {
            share.held -= bytes;
            share.holders -= usize::from(is_all);
        });
        self.grant_waiting(&mut state);
        drop(state);
        self.gauges.held.dec_by(bytes as i64);
    }
}

enum Verdict {
    Granted,
    /// The process has no room.
    NoRoom,
    /// There is room, but not for this tenant.
    OverShare,
    /// There is room, but blocks are not made fast enough for more.
    TooSlow,
}

impl TenantBudget {
    /// Holds nothing yet.
    pub fn charge(&self) -> Charge {
        Charge { tenant: self.clone(), held: 0, hold: self.budget.max_hold }
    }
}

impl Clone for TenantBudget {
    fn clone(&self) -> Self {
        if let Some(share) = self.budget.lock().tenants.get_mut(&self.number) {
            share.handles += 1;
        }
        Self { budget: Arc::clone(&self.budget), number: self.number }
    }
}

impl Drop for TenantBudget {
    fn drop(&mut self) {
        let mut state = self.budget.lock();
        if let Some(share) = state.tenants.get_mut(&self.number) {
            share.handles -= 1;
            if share.handles == 0 {
                // It holds nothing and waits for nothing: both keep a handle.
                state.tenants.remove(&self.number);
            }
        }
    }
}

impl Charge {
    /// Raises the charge so that it covers `bytes` in all, waiting while the budget is exhausted; never lowers it.
    ///
    /// # Errors
    /// [`PushError::TooLarge`] when the bytes do not fit the process's budget at all, [`PushError::Throttled`] when the
    /// wait took too long, [`PushError::ShuttingDown`].
    pub async fn raise_to(&mut self, bytes: usize) -> Result<(), PushError> {
        let budget = Arc::clone(&self.tenant.budget);
        if bytes > budget.process_bytes {
            return Err(PushError::TooLarge {
                what: format!("{bytes} bytes to be held in memory"),
                limit: budget.bytes() as u64,
                setting: "max_in_flight_bytes",
            });
        }
        let more = budget.wanted(bytes).saturating_sub(self.held);
        if more == 0 {
            return Ok(());
        }
        match self.ask(&budget, more)? {
            None => {}
            Some(waiter) => self.wait(waiter, more).await?,
        }
        self.held += more;
        budget.gauges.held.inc_by(more as i64);
        Ok(())
    }

    /// Takes the bytes if they are there and nobody of the tenant is before this request; else gives what to wait for.
    fn ask(&self, budget: &Arc<Budget>, more: usize) -> Result<Option<Waiter>, PushError> {
        let is_holder = self.held > 0;
        let mut state = budget.lock();
        if state.is_closed {
            return Err(PushError::shutting_down());
        }
        let Some(share) = state.tenants.get(&self.tenant.number) else { return Err(PushError::shutting_down()) };
        // Who holds bytes already goes before who does not: it must end for its bytes to return.
        let is_first = share.waiting.iter().all(|waiting| is_holder && !waiting.is_holder);
        let is_granted = is_first && matches!(budget.verdict(&state, share, more, is_holder), Verdict::Granted);
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        if is_granted {
            state.take(self.tenant.number, more, is_holder);
            return Ok(None);
        }
        let (granted, outcome) = oneshot::channel();
        let waiting = Waiting { ticket, more, is_holder, granted };
        state.change(self.tenant.number, |share| {
            let at = share.waiting.iter().position(|waiting| is_holder && !waiting.is_holder);
            share.waiting.insert(at.unwrap_or(share.waiting.len()), waiting);
        });
        let (budget, number) = (Arc::clone(budget), self.tenant.number);
        Ok(Some(Waiter { budget, number, ticket, more, is_holder, outcome, is_over: false }))
    }

    async fn wait(&mut self, mut waiter: Waiter, more: usize) -> Result<(), PushError> {
        let started = Instant::now();
        let outcome = timeout(self.hold, &mut waiter.outcome).await;
        self.hold = self.hold.saturating_sub(started.elapsed());
        match outcome {
            Ok(Ok(())) => {
                waiter.is_over = true;
                Ok(())
            }
            Ok(Err(_closed)) => Err(PushError::shutting_down()),
            Err(_elapsed) => {
                let budget = &self.tenant.budget;
                let mut state = budget.lock();
                let share = state.tenants.get(&self.tenant.number);
                let verdict = share.map(|share| budget.verdict(&state, share, more, self.held > 0));
                let hint = state.change(self.tenant.number, |share| share.hints.refused());
                drop(state);
                let reason = match verdict {
                    Some(Verdict::OverShare) => {
                        "the tenant's bytes in flight are exhausted (max_tenant_in_flight_bytes, or its fair share)"
                    }
                    Some(Verdict::TooSlow) => {
                        "the server has as many requests in hand as it makes blocks of within a second"
                    }
                    _ => "the server's bytes in flight are exhausted (max_in_flight_bytes)",
                };
                Err(PushError::Throttled { reason: reason.to_owned(), retry_after: hint.unwrap_or_else(retry_after) })
            }
        }
    }

    /// Charges `bytes` from here on, without a wait even if there are not so many: for a request that has been read and decoded,
    /// whose refusal would waste that and whose end gives all of it back. Of the shortest spans the index takes twice their bytes.
    pub fn settle_at(&mut self, bytes: usize) {
        self.lower_to(bytes);
        let more = self.tenant.budget.wanted(bytes).saturating_sub(self.held);
        if more > 0 {
            self.tenant.budget.lock().take(self.tenant.number, more, self.held > 0);
            self.held += more;
            self.tenant.budget.gauges.held.inc_by(more as i64);
        }
    }

    /// Gives all back: the request has been stored, and what it held tells the hints how fast that goes.
    pub fn accepted(self) {
        self.tenant.budget.lock().change(self.tenant.number, |share| share.hints.accepted(self.held));
    }

    /// Gives back what is not needed to cover `bytes`.
    pub fn lower_to(&mut self, bytes: usize) {
        let surplus = self.held.saturating_sub(self.tenant.budget.wanted(bytes));
        if surplus > 0 {
            self.held -= surplus;
            self.tenant.budget.give_back(self.tenant.number, surplus, false);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.held > 0 {
            self.tenant.budget.give_back(self.tenant.number, self.held, true);
        }
    }
}

/// A place in the queue. It is given up when this is dropped, whether its turn had just come or not.
struct Waiter {
    budget: Arc<Budget>,
    /// The tenant's.
    number: u64,
    ticket: u64,
    more: usize,
    is_holder: bool,
    outcome: oneshot::Receiver<()>,
    /// Whether the bytes have been taken over.
    is_over: bool,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut state = self.budget.lock();
        // Under the lock nobody grants: what came in before belongs to this waiter.
        self.outcome.close();
        let was_granted = self.outcome.try_recv().is_ok();
        state.change(self.number, |share| {
            share.waiting.retain(|waiting| waiting.ticket != self.ticket);
            if was_granted {
                share.held -= self.more;
                share.holders -= usize::from(!self.is_holder);
            }
        });
        if was_granted {
            state.held -= self.more;
        }
        // One that was too large to get in may have stood before others.
        self.budget.grant_waiting(&mut state);
    }
}

#[cfg(test)]
mod tests;
