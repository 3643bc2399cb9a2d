//! When refused senders are told to come back: no sooner than there is time to refuse them again, and not all at once.
//!
//! Each of a tenant's senders gets a place in time behind the one refused before it. Places lie so far apart that refusing senders
//! which obey takes little of the time, up to a longest hint that only thousands of them reach. Whoever is accepted sends on without
//! a place: those who come back only have to fill what others leave, and the server stays busy.
//!
//! It knows nothing of why a sender is refused, and a sender that does not obey is none the worse for it.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::retry_after;

/// What refusing a request costs beside reading its body away, as bytes of accepted ones: 0.13 to 0.2 ms, where 1 MB takes about 10 ms.
pub(crate) const REFUSAL_BYTES: u32 = 16 << 10;

/// The part of the time for accepted requests that may go to refused ones.
const REFUSAL_SHARE: f64 = 0.15;

/// The longest hint. More than five seconds can pass the 10 s that many exporters give a batch, which they then drop: where places are
/// so far away most batches must be dropped by somebody, and asking in between makes it no better.
const LONGEST: Duration = Duration::from_secs(60);

/// The longest hint at first, and later so many times what the overload has lasted: a burst is over soon.
const LONGEST_AT_FIRST: Duration = Duration::from_secs(5);
const TIMES_LASTED: u32 = 3;

/// Without a refusal for so long an overload is over. Without an acceptance for so long there is nothing to leave time for: the store
/// is away, and when it is back nobody should be waiting.
const QUIET: Duration = Duration::from_secs(5);

/// Seconds over which the accepted rate is averaged: more than a block takes, whose requests are acknowledged together.
const AVERAGE_SECONDS: f64 = 5.0;

/// Seconds in which the best average falls to a third: a stall of the store makes places no rarer at once.
const FADE_SECONDS: f64 = 30.0;

/// Places a second where little is accepted: they cost a five-hundredth of a core.
const LEAST_PACE: f64 = 10.0;

/// The places of one tenant's refused senders.
#[derive(Debug)]
pub(crate) struct Hints {
    /// When the sender refused last was told to come.
    last_place: Instant,
    last_refused: Instant,
    last_accepted: Instant,
    /// When the first of the present row of refusals was.
    began: Instant,
    /// Bytes a second: accepted of late, and at best.
    accepted: f64,
    best: f64,
    /// When both were as they are.
    at: Instant,
}

impl Hints {
    pub fn new() -> Self {
        let now = Instant::now();
        let [last_place, last_refused, last_accepted, began, at] = [now; 5];
        Self { last_place, last_refused, last_accepted, began, accepted: 0.0, best: 0.0, at }
    }

    /// A request that held so many bytes has been stored.
    pub fn accepted(&mut self, bytes: usize) {
        self.last_accepted = self.pass();
        self.accepted += bytes as f64 / AVERAGE_SECONDS;
        self.best = self.best.max(self.accepted);
    }

    /// What to tell a sender that is refused: one to 60 s.
    pub fn refused(&mut self) -> Duration {
        let now = self.pass();
        if now - self.last_refused > QUIET {
            self.began = now;
            self.last_place = now;
        }
        self.last_refused = now;
        let shortest = retry_after();
        if now - self.last_accepted > QUIET {
            return shortest;
        }
        let pace = (self.best * REFUSAL_SHARE / f64::from(REFUSAL_BYTES)).max(LEAST_PACE);
        let place = self.last_place.max(now) + Duration::from_secs_f64(1.0 / pace);
        let longest = ((now - self.began) * TIMES_LASTED).clamp(LONGEST_AT_FIRST, LONGEST);
        self.last_place = place.min(now + longest);
        // Those for whom there is no place within the longest hint share its second half.
        let part = if place > self.last_place { rand::random_range(0.5..=1.0) } else { 1.0 };
        shortest.max((self.last_place - now).mul_f64(part))
    }

    /// Lets the averages fade to what they are now.
    fn pass(&mut self) -> Instant {
        let now = Instant::now();
        let seconds = (now - self.at).as_secs_f64();
        self.accepted *= (-seconds / AVERAGE_SECONDS).exp();
        self.best *= (-seconds / FADE_SECONDS).exp();
        self.at = now;
        now
    }
}

#[cfg(test)]
mod tests;
