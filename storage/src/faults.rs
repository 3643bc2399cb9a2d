//! A driver that fails on purpose, between the rules of [`crate::Store`] and a real backend: for tests of every crate, and for
//! trying out a running program (`storage.faults`, refused unless `SPANLAKE_ALLOW_FAULTS` is 1).
//!
//! Faults come from a script (the next request of a kind), from rules (which operations, which keys, how often, when), or both;
//! the same seed and the same sequence of calls meet the same faults. All waiting is by Tokio's clock, so that tests can pause
//! it. Nothing here runs when it is not asked for.

mod fault;
mod rule;
mod text;

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::Instant;

use crate::driver::{Backend, Driver, Page};
use crate::error::{Error, Kind, Operation};

pub use fault::Fault;
pub use rule::{Chance, Rule, Window};
pub use text::{Plan, PlanError};

/// The variable of the environment that allows `storage.faults`; it must be 1.
pub const ALLOW_VARIABLE: &str = "SPANLAKE_ALLOW_FAULTS";

/// Injects faults into another driver.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Driver>,
    backend: Backend,
    began: Instant,
    met: AtomicU64,
    state: Mutex<State>,
}

struct State {
    script: VecDeque<(Operation, Fault)>,
    /// Each rule with the calls it has matched.
    rules: Vec<(Rule, u64)>,
    /// Share of requests that meet a mixed fault, in percent.
    mixed_percent: u32,
    random: SmallRng,
    /// When objects were created, while a rule may ask for the state of some time ago.
    created: HashMap<String, Instant>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} scripted faults, rules {:?}", self.script.len(), self.rules)
    }
}

/// What one call meets: a delay, then perhaps a fault.
#[derive(Debug, Default)]
struct Meeting {
    delay: Duration,
    fault: Option<Fault>,
}

/// What is wrong with a text of `storage.faults`, the missing permission included.
pub(crate) fn problem(text: &str) -> Option<String> {
    match text.parse::<Plan>() {
        Err(error) => Some(format!("storage.faults: {error}")),
        Ok(_) if std::env::var(ALLOW_VARIABLE).as_deref() != Ok("1") => Some(format!(
            "storage.faults makes requests to the store fail on purpose, for tests: set {ALLOW_VARIABLE}=1 in the \
             environment if that is wanted, else leave it empty"
        )),
        Ok(_) => None,
    }
}

/// Puts the faults of a running program's settings around its driver.
pub(crate) fn wrap(driver: Arc<dyn Driver>, text: &str) -> Result<Arc<dyn Driver>, String> {
    if let Some(problem) = problem(text) {
        return Err(problem);
    }
    let plan: Plan = text.parse().map_err(|error: PlanError| error.to_string())?;
    tracing::warn!(faults = text, "requests to the store fail on purpose: storage.faults is set");
    Ok(Faulty::planned(driver, plan))
}

impl Faulty {
    /// Wraps a driver; without a script or rules nothing fails.
    pub fn over(inner: Arc<dyn Driver>) -> Arc<Self> {
        Self::planned(inner, Plan::default())
    }

    /// Wraps a driver with rules.
    pub fn planned(inner: Arc<dyn Driver>, plan: Plan) -> Arc<Self> {
        let backend = inner.backend();
        Self::acting_as(inner, backend, plan)
    }

    /// Wraps a driver with rules, and says that it is another kind of place: what [`crate::Store`] does for buckets only can
    /// be tested over memory.
    pub fn acting_as(inner: Arc<dyn Driver>, backend: Backend, plan: Plan) -> Arc<Self> {
        let state = State {
            script: VecDeque::new(),
            rules: plan.rules.into_iter().map(|rule| (rule, 0)).collect(),
            mixed_percent: 0,
            random: SmallRng::seed_from_u64(plan.seed),
            created: HashMap::new(),
        };
        Arc::new(Self { inner, backend, began: Instant::now(), met: AtomicU64::new(0), state: Mutex::new(state) })
    }

    /// Lets the next request of `operation` meet `fault`; faults of one operation are met in the order given, before any rule
    /// is asked.
    pub fn next(&self, operation: Operation, fault: Fault) {
        self.state().script.push_back((operation, fault));
    }

    /// Lets `percent` of all requests meet a fault of any kind drawn from `seed`, until called with 0.
    pub fn random(&self, seed: u64, percent: u32) {
        let mut state = self.state();
        state.mixed_percent = percent;
        state.random = SmallRng::seed_from_u64(seed);
    }

    /// Replaces the rules; their windows of time still count from when the driver was made.
    pub fn set_rules(&self, rules: Vec<Rule>) {
        self.state().rules = rules.into_iter().map(|rule| (rule, 0)).collect();
    }

    /// Whether every fault of the script was met.
    pub fn script_is_over(&self) -> bool {
        self.state().script.is_empty()
    }

    /// Faults met so far, delays not counted.
    pub fn met_count(&self) -> u64 {
        self.met.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meeting(&self, operation: Operation, key: &str) -> Meeting {
        let meeting = self.state().meeting(operation, key, self.began.elapsed());
        if let Some(fault) = meeting.fault {
            self.met.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%operation, key, ?fault, "a request meets an injected fault");
        }
        meeting
    }

    /// Makes a call and lets it meet what was drawn for it. Faults of content are applied by the caller.
    async fn meet<T>(
        meeting: &Meeting,
        operation: Operation,
        key: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        // The way there and the way back: what is heard may be out of date already.
        let halfway = meeting.delay / 2;
        if !halfway.is_zero() {
            tokio::time::sleep(halfway).await;
        }
        let outcome = Self::meet_fault(meeting.fault, operation, key, call).await;
        if !halfway.is_zero() {
            tokio::time::sleep(halfway).await;
        }
        outcome
    }

    async fn meet_fault<T>(
        fault: Option<Fault>,
        operation: Operation,
        key: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Some(fault) = fault else { return call.await };
        match fault {
            Fault::Slow(millis) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                call.await
            }
            Fault::HangBefore | Fault::Late(_) => std::future::pending().await,
            Fault::HangAfter => {
                let _ = call.await;
                std::future::pending().await
            }
            Fault::After(_) => call.await.and(Err(fault.error(operation, key))),
            Fault::Short | Fault::Flip | Fault::Stale(_) if operation != Operation::Put => call.await,
            _ => Err(fault.error(operation, key)),
        }
    }

    /// Whether the object is younger than what a stale answer shows.
    fn is_too_young(&self, key: &str, fault: Option<Fault>) -> bool {
        let Some(Fault::Stale(age)) = fault else { return false };
        self.state().created.get(key).is_some_and(|created| created.elapsed() < age)
    }

    /// What a read that met a fault of content gives.
    fn spoil(&self, body: Bytes, fault: Option<Fault>) -> Bytes {
        match fault {
            Some(Fault::Short) => body.slice(..body.len() / 2),
            Some(Fault::Flip) if !body.is_empty() => {
                let mut bytes = body.to_vec();
                let (at, bit) = {
                    let random = &mut self.state().random;
                    (random.random_range(0..bytes.len()), random.random_range(0..8))
                };
                bytes[at] ^= 1u8 << bit;
                Bytes::from(bytes)
            }
            _ => body,
        }
    }

    fn remember(&self, key: &str) {
        let mut state = self.state();
        let stale = |fault: &Fault| matches!(fault, Fault::Stale(_));
        if state.rules.iter().any(|(rule, _)| stale(&rule.fault)) || state.script.iter().any(|(_, fault)| stale(fault))
        {
            state.created.insert(key.to_owned(), Instant::now());
        }
    }
}

impl State {
    fn meeting(&mut self, operation: Operation, key: &str, elapsed: Duration) -> Meeting {
        if let Some(at) = self.script.iter().position(|(of, _)| *of == operation) {
            return Meeting { delay: Duration::ZERO, fault: self.script.remove(at).map(|(_, fault)| fault) };
        }
        let mut meeting = Meeting::default();
        for (rule, calls) in &mut self.rules {
            if !rule.matches(operation, key, elapsed) {
                continue;
            }
            // Counted even behind a rule that fires, so that numbers mean calls.
            *calls += 1;
            if meeting.fault.is_some() || !rule.chance.fires(*calls, &mut self.random) {
                continue;
            }
            match rule.fault {
                // Delays add up with what else the call meets.
                Fault::Latency { median, tail } => meeting.delay += fault::latency(median, tail, &mut self.random),
                fault => meeting.fault = Some(fault),
            }
        }
        if meeting.fault.is_none() && self.mixed_percent > 0 && self.random.random_range(0..100) < self.mixed_percent {
            meeting.fault = Some(fault::mixed(operation, &mut self.random));
        }
        meeting
    }
}

#[async_trait]
impl Driver for Faulty {
    fn backend(&self) -> Backend {
        self.backend
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, Error> {
        let operation = if range.is_some() { Operation::GetRange } else { Operation::Get };
        let meeting = self.meeting(operation, key);
        let body = Self::meet(&meeting, operation, key, self.inner.get(key, range)).await?;
        if self.is_too_young(key, meeting.fault) {
            return Err(Error::new(Kind::NotFound, operation, key, "a stale answer was injected"));
        }
        Ok(self.spoil(body, meeting.fault))
    }

    async fn put_new(&self, key: &str, body: Bytes) -> Result<(), Error> {
        let meeting = self.meeting(Operation::Put, key);
        if let Some(Fault::Late(after)) = meeting.fault {
            let (inner, key) = (Arc::clone(&self.inner), key.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                // Nobody waits for the answer any more.
                let _ = inner.put_new(&key, body).await;
            });
            return std::future::pending().await;
        }
        let put = async {
            self.inner.put_new(key, body).await?;
            self.remember(key);
            Ok(())
        };
        Self::meet(&meeting, Operation::Put, key, put).await
    }

    async fn confirm(&self, key: &str) -> Result<(), Error> {
        self.inner.confirm(key).await
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page, Error> {
        let meeting = self.meeting(Operation::List, prefix);
        let call = self.inner.list_page(prefix, start_after, next, limit);
        let mut page = Self::meet(&meeting, Operation::List, prefix, call).await?;
        page.objects.retain(|object| !self.is_too_young(&object.key, meeting.fault));
        Ok(page)
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        let meeting = self.meeting(Operation::Delete, key);
        if let Some(Fault::Late(after)) = meeting.fault {
            let (inner, key) = (Arc::clone(&self.inner), key.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                let _ = inner.delete(&key).await;
            });
            return std::future::pending().await;
        }
        Self::meet(&meeting, Operation::Delete, key, self.inner.delete(key)).await
    }
}

#[cfg(test)]
mod tests;
