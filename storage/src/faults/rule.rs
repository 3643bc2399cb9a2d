//! Rules: which requests meet a fault, and when.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::SmallRng;

use super::fault::Fault;
use crate::error::Operation;

/// Lets some requests meet a fault. Of several rules the first that fires counts; latencies add up.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The operations it is about; all when empty.
    pub operations: Vec<Operation>,
    /// The keys it is about begin so.
    pub prefix: String,
    /// The keys it is about contain this.
    pub part: String,
    /// How often it fires.
    pub chance: Chance,
    /// When it fires; always without one.
    pub window: Option<Window>,
    /// What it does.
    pub fault: Fault,
}

/// How often a rule fires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Chance {
    /// On every call that it is about.
    Always,
    /// On so many percent of them.
    Percent(f64),
    /// On the calls with these numbers, the first being 1, both ends included.
    Calls(u64, u64),
}

/// When a rule fires, counted from when the driver was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When the first storm begins.
    pub from: Duration,
    /// How long a storm lasts.
    pub length: Duration,
    /// How long after its beginning the next one begins; zero for a single storm.
    pub every: Duration,
}

impl Rule {
    /// A rule for every call of every operation.
    pub fn always(fault: Fault) -> Self {
        Self {
            operations: Vec::new(),
            prefix: String::new(),
            part: String::new(),
            chance: Chance::Always,
            window: None,
            fault,
        }
    }

    /// Whether it is about a call.
    pub(super) fn matches(&self, operation: Operation, key: &str, elapsed: Duration) -> bool {
        (self.operations.is_empty() || self.operations.contains(&operation))
            && key.starts_with(&self.prefix)
            && key.contains(&self.part)
            && self.window.is_none_or(|window| window.holds(elapsed))
    }
}

impl Chance {
    pub(super) fn fires(self, call: u64, random: &mut SmallRng) -> bool {
        match self {
            Self::Always => true,
            Self::Percent(percent) => random.random::<f64>() * 100.0 < percent,
            Self::Calls(first, last) => (first..=last).contains(&call),
        }
    }
}

impl Window {
    fn holds(self, elapsed: Duration) -> bool {
        let Some(since) = elapsed.checked_sub(self.from) else { return false };
        let every = self.every.as_nanos();
        let since = if every == 0 { since.as_nanos() } else { since.as_nanos() % every };
        since < self.length.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storms_begin_and_end() {
        let seconds = Duration::from_secs;
        let check = |every, at: u64, expect: bool| {
            let window = Window { from: seconds(10), length: seconds(5), every: seconds(every) };
            assert_eq!(window.holds(seconds(at)), expect, "every {every} s, at {at} s");
        };
        check(0, 9, false);
        check(0, 10, true);
        check(0, 14, true);
        check(0, 15, false);
        check(0, 70, false);
        check(60, 70, true);
        check(60, 75, false);
    }
}
