//! A store that takes its time, as one across a network does, and how many calls had to wait for one another.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use spanlake_bench::Error;
use spanlake_storage::{Backend, Config, Driver, Page, Store};

use super::questions::Question;
use super::world::World;

/// Runs of a cold query; the fastest counts.
const COLD_RUNS: usize = 3;

/// What a cold query took on a slow store.
#[derive(Debug, Serialize)]
pub(super) struct Cold {
    pub name: &'static str,
    pub aim_waves: Option<u32>,
    /// With empty caches in a process that has read the manifest before.
    pub cold: Cost,
    /// As the first query of a process.
    pub first: Cost,
}

/// What it took.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Cost {
    pub millis: f64,
    pub requests: u64,
    /// The longest chain of calls of which each began after the one before had ended.
    pub waves: u32,
}

/// Delays every call of another driver, and remembers when calls ran.
#[derive(Debug)]
struct Slow {
    inner: Arc<dyn Driver>,
    delay: Duration,
    calls: Mutex<Vec<(Instant, Instant)>>,
}

impl Slow {
    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        let start = Instant::now();
        tokio::time::sleep(self.delay).await;
        let answer = call.await;
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push((start, Instant::now()));
        answer
    }

    fn take_calls(&self) -> Vec<(Instant, Instant)> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Driver for Slow {
    /// It stands for a service, so that ranges are read side by side.
    fn backend(&self) -> Backend {
        Backend::Remote
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, spanlake_storage::Error> {
        self.call(self.inner.get(key, range)).await
    }

    async fn get_many(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, spanlake_storage::Error> {
        self.call(self.inner.get_many(key, ranges)).await
    }

    async fn put_new(&self, key: &str, body: Bytes) -> Result<(), spanlake_storage::Error> {
        self.call(self.inner.put_new(key, body)).await
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page, spanlake_storage::Error> {
        self.call(self.inner.list_page(prefix, start_after, next, limit)).await
    }

    async fn delete(&self, key: &str) -> Result<(), spanlake_storage::Error> {
        self.call(self.inner.delete(key)).await
    }
}

/// Asks with empty caches, each call delayed.
///
/// # Errors
/// [`Error::Stage`] for an answer that is not 200.
pub(super) async fn cold(store: &Store, question: &Question, delay: Duration) -> Result<Cold, Error> {
    let cold = fastest(store, question, delay, true).await?;
    let first = fastest(store, question, delay, false).await?;
    Ok(Cold { name: question.name, aim_waves: question.aim_waves, cold, first })
}

async fn fastest(store: &Store, question: &Question, delay: Duration, knows_manifest: bool) -> Result<Cost, Error> {
    let mut best: Option<Cost> = None;
    for _ in 0..COLD_RUNS {
        let slow = Arc::new(Slow { inner: store.driver(), delay, calls: Mutex::default() });
        let config = Config { url: "slow://".to_owned(), ..Config::default() };
        let world = World::new(&Store::over(Arc::clone(&slow) as Arc<dyn Driver>, &config));
        if knows_manifest {
            world.read_manifest().await?;
            slow.take_calls();
        }
        let (_, elapsed) = world.ask(question.request()).await?;
        let calls = slow.take_calls();
        let millis = elapsed.as_secs_f64() * 1e3;
        if best.is_none_or(|best| millis < best.millis) {
            best = Some(Cost { millis, requests: calls.len() as u64, waves: waves(calls) });
        }
    }
    Ok(best.expect("there is at least one run"))
}

/// The longest chain of calls that do not overlap.
fn waves(mut calls: Vec<(Instant, Instant)>) -> u32 {
    calls.sort_by_key(|(_, end)| *end);
    let (mut waves, mut last) = (0, None);
    for (start, end) in calls {
        if last.is_none_or(|last| start >= last) {
            waves += 1;
            last = Some(end);
        }
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_are_chains() {
        let zero = Instant::now();
        let at = |start: u64, end: u64| (zero + Duration::from_millis(start), zero + Duration::from_millis(end));
        assert_eq!(waves(vec![]), 0);
        assert_eq!(waves(vec![at(0, 50), at(1, 52), at(60, 110), at(55, 108), at(53, 120)]), 2);
        assert_eq!(waves(vec![at(0, 50), at(51, 101), at(102, 152)]), 3);
    }
}
