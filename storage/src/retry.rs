//! When a failed request is repeated, and after which pause: the one place in the whole program that retries.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use spanlake_model::world;
use tokio::time::Instant;

use crate::config::RetryConfig;
use crate::error::{Error, Kind};

/// Retries that are always allowed before the budget counts, and the most it can save up.
const BUDGET_RESERVE: f64 = 100.0;

/// The slowest transfer that is still waited for, in bytes per second.
const MIN_BYTES_PER_SECOND: u64 = 1 << 20;

/// The longest of the texts in an error message that come from a server, in bytes.
const MAX_MESSAGE_BYTES: usize = 400;

/// The time allowed to move so many bytes, on top of the time for an answer.
pub(crate) fn transfer_time(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / MIN_BYTES_PER_SECOND)
}

/// Shortens a text from a server for a message.
pub(crate) fn shorten(text: &str) -> String {
    let text = text.trim();
    if text.len() <= MAX_MESSAGE_BYTES {
        return text.to_owned();
    }
    let end = (0..=MAX_MESSAGE_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", &text[..end])
}

/// The retry rules of one store, with the budget its operations share.
#[derive(Debug)]
pub(crate) struct Retry {
    config: RetryConfig,
    tokens: Mutex<f64>,
    /// Counts what the budget refused.
    refused: Counter,
}

/// One operation under those rules.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    rules: &'a Retry,
    deadline: Instant,
    made: u32,
}

impl Retry {
    pub(crate) fn new(config: RetryConfig, refused: Counter) -> Self {
        Self { config, tokens: Mutex::new(BUDGET_RESERVE), refused }
    }

    /// Begins an operation that moves up to `bytes`.
    pub(crate) fn begin(&self, bytes: u64) -> Attempts<'_> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        *tokens = (*tokens + f64::from(self.config.budget_percent) / 100.0).min(BUDGET_RESERVE);
        let deadline = Instant::now() + self.config.deadline.0 + transfer_time(bytes);
        Attempts { rules: self, deadline, made: 1 }
    }

    /// Takes a retry out of the budget, which may be overdrawn by so much.
    fn take_token(&self, overdraft: f64) -> bool {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = *tokens >= 1.0 - overdraft;
        if enough {
            *tokens -= 1.0;
        } else {
            self.refused.inc();
        }
        enough
    }

    fn pause(&self, made: u32, kind: Kind) -> Duration {
        let doubled = self.config.initial_backoff.0.saturating_mul(1 << made.saturating_sub(1).min(20));
        let top = doubled.min(self.config.max_backoff.0);
        // A store that asks to slow down gets at least half the pause; elsewhere a quick second try often succeeds.
        let bottom = if kind == Kind::Throttled { top / 2 } else { Duration::ZERO };
        let chance = world::simulated_share().unwrap_or_else(rand::random);
        bottom + (top - bottom).mul_f64(chance)
    }
}

impl Attempts<'_> {
    /// When the operation ends, whatever it has reached.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether another attempt is worth making after `error`; if so, waits for the pause before it.
    pub(crate) async fn again(&mut self, error: &Error) -> bool {
        let worth = match error.kind() {
            Kind::Throttled | Kind::Unavailable => true,
            // A cut transfer looks like a short object: one more look tells them apart.
            Kind::Damaged => self.made == 1,
            _ => false,
        };
        worth && self.may_go_on() && self.rules.take_token(0.0) && self.pause(error.kind()).await
    }

    /// As [`Attempts::again`] for creates, whose unclear outcomes are settled by trying again: they may overdraw the budget,
    /// but not without end, or a storm would be answered with a multiple of the load.
    pub(crate) async fn again_to_settle(&mut self, kind: Kind) -> bool {
        self.may_go_on() && self.rules.take_token(BUDGET_RESERVE) && self.pause(kind).await
    }

    fn may_go_on(&self) -> bool {
        self.made < self.rules.config.max_attempts && Instant::now() < self.deadline
    }

    async fn pause(&mut self, kind: Kind) -> bool {
        let until = Instant::now() + self.rules.pause(self.made, kind);
        if until >= self.deadline {
            return false;
        }
        self.made += 1;
        tokio::time::sleep_until(until).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use spanlake_model::HumanDuration;

    use super::*;
    use crate::error::Operation;

    fn error(kind: Kind) -> Error {
        Error::new(kind, Operation::Get, "k", "no")
    }

    async fn attempts_made(config: RetryConfig, kind: Kind) -> u32 {
        let rules = Retry::new(config, Counter::default());
        let mut attempts = rules.begin(0);
        let mut made = 1;
        while attempts.again(&error(kind)).await {
            made += 1;
        }
        made
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_bounded_by_number_and_by_time() {
        assert_eq!(attempts_made(RetryConfig::default(), Kind::Unavailable).await, 6);
        assert_eq!(attempts_made(RetryConfig::default(), Kind::NotFound).await, 1);
        assert_eq!(attempts_made(RetryConfig::default(), Kind::Full).await, 1);
        assert_eq!(attempts_made(RetryConfig::default(), Kind::Damaged).await, 2);
        let short = RetryConfig { deadline: HumanDuration(Duration::ZERO), ..RetryConfig::default() };
        assert_eq!(attempts_made(short, Kind::Unavailable).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_ends_retries_in_an_outage() {
        let refused = Counter::default();
        let rules = Retry::new(RetryConfig::default(), refused.clone());
        let mut retries = 0;
        for _ in 0..1000 {
            let mut attempts = rules.begin(0);
            while attempts.again(&error(Kind::Unavailable)).await {
                retries += 1;
            }
        }
        assert!((190..=201).contains(&retries), "{retries}");
        assert!(refused.get() > 900, "{}", refused.get());
        // What is to be settled goes on for a while, and then ends too.
        for _ in 0..1000 {
            let mut attempts = rules.begin(0);
            while attempts.again_to_settle(Kind::Unavailable).await {
                retries += 1;
            }
        }
        assert!((390..=401).contains(&retries), "{retries}");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shorten(" ab "), "ab");
        assert_eq!(shorten(&"ü".repeat(300)).len(), 403);
    }
}
