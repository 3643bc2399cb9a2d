//! Bytes in flight: what a request holds from its arrival to its acknowledgement, bounded per process and per tenant.
//!
//! It knows nothing of spans, bodies or flushes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::error::PushError;

/// What every request is charged beside its bytes: its task, stream, headers and place in the queue. It also bounds the
/// number of requests in hand, to 16,384 at the default budget.
pub(crate) const REQUEST_BYTES: usize = 4 << 10;

/// One permit of the semaphores, so that budgets above 4 GiB fit their 32-bit counts.
const PERMIT_BYTES: usize = 1 << 10;

/// The process's bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    process: Arc<Semaphore>,
    process_permits: usize,
    tenant_permits: usize,
    max_hold: Duration,
    gauge: Gauge,
}

/// One tenant's share.
#[derive(Debug, Clone)]
pub(crate) struct TenantBudget(Arc<Semaphore>);

/// Bytes held by one request; they return when it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    tenant: TenantBudget,
    process_held: Option<OwnedSemaphorePermit>,
    tenant_held: Option<OwnedSemaphorePermit>,
    /// What is left of the time this request may be held, over all its waits.
    hold: Duration,
}

fn permits(bytes: usize) -> usize {
    bytes.div_ceil(PERMIT_BYTES)
}

impl Budget {
    pub fn new(process_bytes: u64, tenant_bytes: u64, max_hold: Duration, gauge: Gauge) -> Arc<Self> {
        let clamp = |bytes: u64| {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            permits(bytes.max(2 * REQUEST_BYTES)).min(u32::MAX as usize)
        };
        let process_permits = clamp(process_bytes);
        let tenant_permits = clamp(tenant_bytes).min(process_permits);
        let process = Arc::new(Semaphore::new(process_permits));
        Arc::new(Self { process, process_permits, tenant_permits, max_hold, gauge })
    }

    pub fn tenant(&self) -> TenantBudget {
        TenantBudget(Arc::new(Semaphore::new(self.tenant_permits)))
    }

    /// The permits for so many bytes and the request that has them; never more than there are.
    fn wanted(&self, bytes: usize) -> usize {
        permits(bytes.saturating_add(REQUEST_BYTES)).min(self.process_permits)
    }

    /// All bytes there are.
    pub fn bytes(&self) -> usize {
        self.process_permits * PERMIT_BYTES
    }

    /// Lets nobody in any more: calls being held return at once.
    pub fn close(&self) {
        self.process.close();
    }

    /// Holds nothing yet.
    pub fn charge(self: &Arc<Self>, tenant: &TenantBudget) -> Charge {
        Charge {
            budget: Arc::clone(self),
            tenant: tenant.clone(),
            process_held: None,
            tenant_held: None,
            hold: self.max_hold,
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
        if permits(bytes) > self.budget.process_permits {
            return Err(PushError::TooLarge {
                what: format!("{bytes} bytes to be held in memory"),
                limit: self.budget.bytes() as u64,
                setting: "max_in_flight_bytes",
            });
        }
        let wanted = self.budget.wanted(bytes);
        // A request above the tenant's bound takes all of it: it gets in when it is the tenant's only one.
        let tenant_wanted = wanted.min(self.budget.tenant_permits);
        let tenant_more = tenant_wanted.saturating_sub(count(self.tenant_held.as_ref()));
        if tenant_more > 0 {
            let semaphore = Arc::clone(&self.tenant.0);
            let more = self.hold_for(semaphore.acquire_many_owned(tenant_more as u32)).await.map_err(|e| {
                e.or_throttled("the tenant's bytes in flight are exhausted (max_tenant_in_flight_bytes)")
            })?;
            merge(&mut self.tenant_held, more);
        }
        let process_more = wanted.saturating_sub(count(self.process_held.as_ref()));
        if process_more > 0 {
            let semaphore = Arc::clone(&self.budget.process);
            let more = self
                .hold_for(semaphore.acquire_many_owned(process_more as u32))
                .await
                .map_err(|e| e.or_throttled("the server's bytes in flight are exhausted (max_in_flight_bytes)"))?;
            merge(&mut self.process_held, more);
            self.budget.gauge.inc_by((process_more * PERMIT_BYTES) as i64);
        }
        Ok(())
    }

    /// Gives back what is not needed to cover `bytes`.
    pub fn lower_to(&mut self, bytes: usize) {
        let wanted = self.budget.wanted(bytes);
        let returned = split_off(&mut self.process_held, wanted);
        self.budget.gauge.dec_by((returned * PERMIT_BYTES) as i64);
        split_off(&mut self.tenant_held, wanted.min(self.budget.tenant_permits));
    }

    async fn hold_for<T>(&mut self, wait: impl Future<Output = Result<T, AcquireError>>) -> Result<T, Refused> {
        let started = Instant::now();
        let outcome = timeout(self.hold, wait).await;
        self.hold = self.hold.saturating_sub(started.elapsed());
        match outcome {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(Refused::Closed),
            Err(_elapsed) => Err(Refused::HeldTooLong),
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.gauge.dec_by((count(self.process_held.as_ref()) * PERMIT_BYTES) as i64);
    }
}

enum Refused {
    Closed,
    HeldTooLong,
}

impl Refused {
    fn or_throttled(self, reason: &str) -> PushError {
        match self {
            Self::Closed => PushError::shutting_down(),
            Self::HeldTooLong => PushError::throttled(reason),
        }
    }
}

fn count(held: Option<&OwnedSemaphorePermit>) -> usize {
    held.map_or(0, OwnedSemaphorePermit::num_permits)
}

fn merge(held: &mut Option<OwnedSemaphorePermit>, more: OwnedSemaphorePermit) {
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
}

/// Keeps `wanted` permits and returns how many were let go.
fn split_off(held: &mut Option<OwnedSemaphorePermit>, wanted: usize) -> usize {
    let surplus = count(held.as_ref()).saturating_sub(wanted);
    drop(held.as_mut().and_then(|held| held.split(surplus)));
    surplus
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1 << 10;

    fn budget(process_kib: u64, tenant_kib: u64) -> Arc<Budget> {
        Budget::new(process_kib << 10, tenant_kib << 10, Duration::from_secs(1), Gauge::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_held_then_throttled_and_recovers() {
        let budget = budget(64, 64);
        let tenant = budget.tenant();
        let mut first = budget.charge(&tenant);
        first.raise_to(40 * KIB).await.unwrap();
        assert_eq!(budget.gauge.get(), 44 << 10);

        let started = Instant::now();
        let mut second = budget.charge(&tenant);
        assert!(matches!(second.raise_to(40 * KIB).await, Err(PushError::Throttled { .. })));
        assert_eq!(started.elapsed(), Duration::from_secs(1));
        assert!(second.raise_to(40 * KIB).await.is_err(), "the hold is spent once");

        let mut third = budget.charge(&tenant);
        let release = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(first);
        };
        let (third_raised, ()) = tokio::join!(third.raise_to(40 * KIB), release);
        third_raised.unwrap();
        drop((second, third));
        assert_eq!(budget.gauge.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_tenant_cannot_take_it_all_but_may_send_one_large_request() {
        let budget = budget(64, 32);
        let (a, b) = (budget.tenant(), budget.tenant());
        let mut large = budget.charge(&a);
        large.raise_to(50 * KIB).await.unwrap();
        let mut more = budget.charge(&a);
        assert!(
            matches!(more.raise_to(KIB).await, Err(PushError::Throttled { reason, .. }) if reason.contains("tenant"))
        );
        let mut other = budget.charge(&b);
        other.raise_to(4 * KIB).await.unwrap();
        large.lower_to(10 * KIB);
        let mut again = budget.charge(&a);
        again.raise_to(10 * KIB).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_never_fit_is_too_large_and_closing_frees_the_held() {
        let budget = budget(64, 32);
        let tenant = budget.tenant();
        let mut charge = budget.charge(&tenant);
        assert!(matches!(charge.raise_to(64 * KIB + 1).await, Err(PushError::TooLarge { limit: 65_536, .. })));
        charge.raise_to(64 * KIB).await.unwrap();
        let other = budget.tenant();
        let mut held = budget.charge(&other);
        let close = async { budget.close() };
        let (outcome, ()) = tokio::join!(held.raise_to(KIB), close);
        assert!(matches!(outcome, Err(PushError::ShuttingDown { .. })));
    }
}
