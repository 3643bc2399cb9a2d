//! When a read is worth asking for a second time: no answer within what nineteen of twenty recent ones took, and a budget.
//!
//! It decides; `store` sends. It knows sizes and times, not keys.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Share of reads that may be asked for twice: the 5 % of "The Tail at Scale" (Dean, Barroso 2013), which buys most of the tail.
const BUDGET_SHARE: f64 = 0.05;

/// The most second requests that can be saved up: a stall of the whole store is not answered with a burst.
const BUDGET_RESERVE: f64 = 10.0;

/// Times kept for each class of sizes.
const RECENT: usize = 256;

/// Times seen before the class is hedged at all.
const ENOUGH: usize = 64;

/// How often the quantile is taken anew, in reads.
const REFRESH: usize = 32;

/// Reads that are answered sooner than this are never worth another request.
const MIN_DELAY: Duration = Duration::from_millis(10);

/// The upper ends of the classes of sizes, in bytes: a tail of a block, a row group, several, and all above.
const CLASSES: [u64; 3] = [64 << 10, 1 << 20, 8 << 20];

/// The rules of one store.
#[derive(Debug)]
pub(crate) struct Hedge {
    enabled: bool,
    max_delay: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    classes: [Recent; CLASSES.len() + 1],
}

/// The times that recent reads of one class took.
#[derive(Debug, Default)]
struct Recent {
    micros: Vec<u32>,
    next: usize,
    p95: Option<Duration>,
}

impl Hedge {
    /// `max_delay` bounds how long a first request is waited for alone.
    pub(crate) fn new(enabled: bool, max_delay: Duration) -> Self {
        let state = State { tokens: 1.0, classes: Default::default() };
        Self { enabled, max_delay, state: Mutex::new(state) }
    }

    /// How long to wait for a read of up to so many bytes before asking again; `None` when it is not to be asked again. Each
    /// call pays into the budget.
    pub(crate) fn delay(&self, bytes: u64) -> Option<Duration> {
        if !self.enabled {
            return None;
        }
        let mut state = self.state();
        state.tokens = (state.tokens + BUDGET_SHARE).min(BUDGET_RESERVE);
        let p95 = state.classes[class_of(bytes)].p95?;
        // A little more, because many answers come at about that time.
        Some((p95 + p95 / 10).max(MIN_DELAY).min(self.max_delay))
    }

    /// Takes a second request out of the budget, if there is one.
    pub(crate) fn take(&self) -> bool {
        let mut state = self.state();
        let enough = state.tokens >= 1.0;
        if enough {
            state.tokens -= 1.0;
        }
        enough
    }

    /// Learns what a read took.
    pub(crate) fn observe(&self, bytes: u64, elapsed: Duration) {
        if self.enabled {
            self.state().classes[class_of(bytes)].add(elapsed);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn add(&mut self, elapsed: Duration) {
        let micros = u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX);
        match self.micros.get_mut(self.next % RECENT) {
            Some(oldest) => *oldest = micros,
            None => self.micros.push(micros),
        }
        self.next += 1;
        if self.micros.len() >= ENOUGH && self.next.is_multiple_of(REFRESH) {
            let mut sorted = self.micros.clone();
            let at = sorted.len() * 95 / 100;
            let (_, p95, _) = sorted.select_nth_unstable(at);
            self.p95 = Some(Duration::from_micros(u64::from(*p95)));
        }
    }
}

fn class_of(bytes: u64) -> usize {
    CLASSES.iter().position(|end| bytes <= *end).unwrap_or(CLASSES.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: u64 = 1_000;

    fn warm(hedge: &Hedge, millis: impl Iterator<Item = u64>) {
        millis.for_each(|millis| hedge.observe(SMALL, Duration::from_millis(millis)));
    }

    #[test]
    fn the_delay_is_what_nineteen_of_twenty_reads_took_by_size() {
        let hedge = Hedge::new(true, Duration::from_millis(400));
        assert_eq!(hedge.delay(SMALL), None);
        warm(&hedge, (0..256).map(|i| if i % 10 == 0 { 300 } else { 30 }));
        assert_eq!(hedge.delay(SMALL), Some(Duration::from_millis(330)));
        assert_eq!(hedge.delay(10 << 20), None);
        warm(&hedge, (0..256).map(|i| if i % 25 == 0 { 300 } else { 30 }));
        assert_eq!(hedge.delay(SMALL), Some(Duration::from_millis(33)));
        warm(&hedge, (0..256).map(|_| 2));
        assert_eq!(hedge.delay(SMALL), Some(MIN_DELAY));
        warm(&hedge, (0..256).map(|_| 9_000));
        assert_eq!(hedge.delay(SMALL), Some(Duration::from_millis(400)));
        assert_eq!(Hedge::new(false, Duration::from_secs(1)).delay(SMALL), None);
    }

    #[test]
    fn the_budget_is_a_twentieth_of_the_reads() {
        let hedge = Hedge::new(true, Duration::from_secs(1));
        warm(&hedge, (0..256).map(|_| 30));
        let sent = (0..1_000).filter(|_| hedge.delay(SMALL).is_some() && hedge.take()).count();
        assert!((45..=52).contains(&sent), "{sent}");
        assert!((0..1_000).all(|_| hedge.delay(SMALL).is_some()));
        assert_eq!((0..100).filter(|_| hedge.take()).count(), 10);
    }
}
