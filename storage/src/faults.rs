//! A driver that fails on purpose: what tests put between the rules of [`crate::Store`] and a real backend.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::driver::{Backend, Driver, Page};
use crate::error::{Error, Kind, Operation};

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request fails without an effect.
    Before(Kind),
    /// The request takes effect and then fails as if it had not been answered.
    After(Kind),
    /// The request never ends and has no effect.
    HangBefore,
    /// The request takes effect and is never answered.
    HangAfter,
    /// A create reports that the key is taken though it is not (409 of colliding creates).
    Collision,
    /// A read gives only the first half of the bytes.
    Short,
    /// The request takes effect after so many milliseconds.
    Slow(u64),
}

/// Injects faults into another driver, by a script or at random.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Driver>,
    script: Mutex<VecDeque<(Operation, Fault)>>,
    /// Decides on requests the script does not mention; from a seeded generator the run can be repeated.
    random: Mutex<Option<Random>>,
}

struct Random {
    generator: rand::rngs::SmallRng,
    percent: u32,
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} % of requests fail", self.percent)
    }
}

impl Faulty {
    /// Wraps a driver; without a script nothing fails.
    pub fn over(inner: Arc<dyn Driver>) -> Arc<Self> {
        Arc::new(Self { inner, script: Mutex::default(), random: Mutex::default() })
    }

    /// Lets the next request of `operation` meet `fault`; faults of one operation are met in the order given.
    pub fn next(&self, operation: Operation, fault: Fault) {
        self.script().push_back((operation, fault));
    }

    /// Lets `percent` of all requests meet a fault drawn from `seed`, until called with 0.
    pub fn random(&self, seed: u64, percent: u32) {
        use rand::SeedableRng as _;
        let random = (percent > 0).then(|| Random { generator: rand::rngs::SmallRng::seed_from_u64(seed), percent });
        *self.random.lock().unwrap_or_else(PoisonError::into_inner) = random;
    }

    /// Whether every fault of the script was met.
    pub fn script_is_over(&self) -> bool {
        self.script().is_empty()
    }

    fn script(&self) -> MutexGuard<'_, VecDeque<(Operation, Fault)>> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, operation: Operation) -> Option<Fault> {
        let mut script = self.script();
        if let Some(at) = script.iter().position(|(of, _)| *of == operation) {
            return script.remove(at).map(|(_, fault)| fault);
        }
        self.draw(operation)
    }

    fn draw(&self, operation: Operation) -> Option<Fault> {
        use rand::Rng as _;
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let random = random.as_mut()?;
        if random.generator.random_range(0..100) >= random.percent {
            return None;
        }
        let read = matches!(operation, Operation::Get | Operation::GetRange);
        Some(match random.generator.random_range(0..6) {
            0 => Fault::Before(Kind::Throttled),
            1 => Fault::Before(Kind::Unavailable),
            2 => Fault::After(Kind::Unavailable),
            3 => Fault::Slow(random.generator.random_range(1..50)),
            4 if operation == Operation::Put => Fault::Collision,
            5 if read && operation == Operation::GetRange => Fault::Short,
            _ => Fault::Before(Kind::Unavailable),
        })
    }

    async fn meet<T>(
        fault: Option<Fault>,
        operation: Operation,
        key: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let failed = |kind| {
            let error = Error::new(kind, operation, key, "a fault was injected");
            if operation == Operation::Put && kind == Kind::Unavailable {
                error.that_may_have_happened()
            } else {
                error
            }
        };
        match fault {
            None | Some(Fault::Short) => call.await,
            Some(Fault::Before(kind)) => Err(failed(kind)),
            Some(Fault::After(kind)) => call.await.and(Err(failed(kind))),
            Some(Fault::HangBefore) => std::future::pending().await,
            Some(Fault::HangAfter) => {
                let _ = call.await;
                std::future::pending().await
            }
            Some(Fault::Collision) => Err(Error::new(Kind::AlreadyExists, operation, key, "creates collided")),
            Some(Fault::Slow(millis)) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                call.await
            }
        }
    }
}

#[async_trait]
impl Driver for Faulty {
    fn backend(&self) -> Backend {
        self.inner.backend()
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, Error> {
        let operation = if range.is_some() { Operation::GetRange } else { Operation::Get };
        let fault = self.fault(operation);
        let body = Self::meet(fault, operation, key, self.inner.get(key, range)).await?;
        Ok(if fault == Some(Fault::Short) { body.slice(..body.len() / 2) } else { body })
    }

    async fn put_new(&self, key: &str, body: Bytes) -> Result<(), Error> {
        Self::meet(self.fault(Operation::Put), Operation::Put, key, self.inner.put_new(key, body)).await
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
        Self::meet(
            self.fault(Operation::List),
            Operation::List,
            prefix,
            self.inner.list_page(prefix, start_after, next, limit),
        )
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        Self::meet(self.fault(Operation::Delete), Operation::Delete, key, self.inner.delete(key)).await
    }
}
