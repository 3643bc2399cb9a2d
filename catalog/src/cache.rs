//! A bounded cache of immutable things by object key, read once however many ask at the same time.
//!
//! Objects never change, so nothing here expires; what is merged away is told by [`Cache::forget`]. Past its bound it drops what was not asked for since the last round of
//! a clock hand (second chance), so a hit takes only a read lock.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::OnceCell;

use crate::error::Error;
use crate::metrics::CacheMetrics;

struct Slot<T> {
    value: Arc<T>,
    held_bytes: u64,
    asked_for: AtomicBool,
}

struct Held<T> {
    slots: HashMap<Arc<str>, Slot<T>, foldhash::fast::RandomState>,
    /// Keys in the order the clock hand visits them.
    ring: VecDeque<Arc<str>>,
    held_bytes: u64,
}

type Flight<T> = Arc<OnceCell<Result<Arc<T>, Error>>>;

/// The cache.
pub(crate) struct Cache<T> {
    held: RwLock<Held<T>>,
    in_flight: Mutex<HashMap<Arc<str>, Flight<T>>>,
    max_held_bytes: u64,
    metrics: CacheMetrics,
}

impl<T> Cache<T> {
    pub(crate) fn new(max_held_bytes: u64, metrics: CacheMetrics) -> Self {
        let held = Held { slots: HashMap::default(), ring: VecDeque::new(), held_bytes: 0 };
        Self { held: RwLock::new(held), in_flight: Mutex::default(), max_held_bytes, metrics }
    }

    /// The thing under `key`, from memory or by `read`, which also says how much memory it takes. Callers who ask while it
    /// is being read share the outcome, failure included; if the reading caller gives up, the next one goes on.
    pub(crate) async fn get_or_read<F>(&self, key: &Arc<str>, read: impl FnOnce() -> F) -> Result<Arc<T>, Error>
    where
        F: Future<Output = Result<(T, u64), Error>>,
    {
        if let Some(value) = self.get(key) {
            self.metrics.hits.inc();
            return Ok(value);
        }
        let flight = Arc::clone(self.flights().entry(Arc::clone(key)).or_default());
        let joined = Joined { cache: self, key, flight };
        let mut held_bytes = 0;
        let outcome = joined
            .flight
            .get_or_init(|| async {
                // Between the look above and joining the flight another one may have landed.
                if let Some(value) = self.get(key) {
                    return Ok(value);
                }
                self.metrics.misses.inc();
                let (value, bytes) = read().await?;
                held_bytes = bytes;
                Ok(Arc::new(value))
            })
            .await
            .clone();
        if let (Ok(value), true) = (&outcome, held_bytes > 0) {
            self.insert(key, value, held_bytes);
        }
        outcome
    }

    fn get(&self, key: &str) -> Option<Arc<T>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let slot = held.slots.get(key)?;
        slot.asked_for.store(true, Ordering::Relaxed);
        Some(Arc::clone(&slot.value))
    }

    fn insert(&self, key: &Arc<str>, value: &Arc<T>, held_bytes: u64) {
        if held_bytes > self.max_held_bytes {
            return;
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.slots.contains_key(key) {
            return;
        }
        while held.held_bytes + held_bytes > self.max_held_bytes {
            let Some(oldest) = held.ring.pop_front() else { break };
            let asked_for = held.slots.get(&oldest).is_some_and(|slot| slot.asked_for.swap(false, Ordering::Relaxed));
            if asked_for {
                held.ring.push_back(oldest);
            } else if let Some(dropped) = held.slots.remove(&oldest) {
                held.held_bytes -= dropped.held_bytes;
            }
        }
        let slot = Slot { value: Arc::clone(value), held_bytes, asked_for: AtomicBool::new(false) };
        held.slots.insert(Arc::clone(key), slot);
        held.ring.push_back(Arc::clone(key));
        held.held_bytes += held_bytes;
        self.metrics.held_bytes.set(i64::try_from(held.held_bytes).unwrap_or(i64::MAX));
    }

    /// Lets go of what nobody will ask for any more, by key. Looks at every key that is held.
    pub(crate) fn forget(&self, is_gone: impl Fn(&str) -> bool) {
        let gone: Vec<Arc<str>> = {
            let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
            held.slots.keys().filter(|key| is_gone(key)).cloned().collect()
        };
        if gone.is_empty() {
            return;
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let Held { slots, ring, held_bytes } = &mut *held;
        for key in &gone {
            *held_bytes -= slots.remove(key).map_or(0, |slot| slot.held_bytes);
        }
        ring.retain(|key| slots.contains_key(key));
        self.metrics.held_bytes.set(i64::try_from(*held_bytes).unwrap_or(i64::MAX));
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Arc<str>, Flight<T>>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One caller's part in a flight. It ends for all when it has an outcome or nobody is left in it.
struct Joined<'a, T> {
    cache: &'a Cache<T>,
    key: &'a Arc<str>,
    flight: Flight<T>,
}

impl<T> Drop for Joined<'_, T> {
    fn drop(&mut self) {
        let mut flights = self.cache.flights();
        // Two hold the flight when this caller is the last in it: the map and the caller.
        let over = self.flight.initialized() || Arc::strong_count(&self.flight) <= 2;
        if over && flights.get(self.key).is_some_and(|current| Arc::ptr_eq(current, &self.flight)) {
            flights.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests;
