//! A stretch of load: so many connections that send for a while, and what came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::exporter::{Exporter, Outcome, Transport};
use super::sample::rss_bytes;
use super::server::Server;
use super::traffic::Template;
use crate::Error;
use crate::latency::{Latencies, Quantiles};

/// What one stretch of load came to, or several of the same kind.
#[derive(Debug, Default, Serialize)]
pub(super) struct Stretch {
    pub(super) seconds: f64,
    /// What was to be sent, in the last one of several, if that was not whatever goes.
    pub(super) wanted_spans_per_second: Option<f64>,
    /// What was sent, answered or not.
    pub(super) offered_spans_per_second: f64,
    pub(super) accepted_spans_per_second: f64,
    pub(super) accepted_requests: u64,
    /// Answered 429 or 503, or with the status of gRPC for either.
    pub(super) refused_requests: u64,
    /// Of those, without `Retry-After` or `RetryInfo`.
    pub(super) refused_without_hint: u64,
    pub(super) other_answers: u64,
    pub(super) first_other: Option<String>,
    pub(super) broken_calls: u64,
    pub(super) first_broken: Option<String>,
    pub(super) acknowledgement: Quantiles,
    pub(super) peak_rss_bytes: u64,
    /// The numbers of the requests that were accepted.
    #[serde(skip)]
    pub(super) acknowledged: Vec<u64>,
    #[serde(skip)]
    latencies: Latencies,
    #[serde(skip)]
    request_spans: u64,
}

impl Stretch {
    /// Counts another one too, which came after this one.
    pub(super) fn add(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.wanted_spans_per_second = other.wanted_spans_per_second;
        self.peak_rss_bytes = self.peak_rss_bytes.max(other.peak_rss_bytes);
        self.request_spans = other.request_spans;
        self.count(other);
        self.rate();
    }

    fn count(&mut self, other: Self) {
        self.accepted_requests += other.accepted_requests;
        self.refused_requests += other.refused_requests;
        self.refused_without_hint += other.refused_without_hint;
        self.other_answers += other.other_answers;
        self.first_other = self.first_other.take().or(other.first_other);
        self.broken_calls += other.broken_calls;
        self.first_broken = self.first_broken.take().or(other.first_broken);
        self.acknowledged.extend(other.acknowledged);
        self.latencies.merge(other.latencies);
    }

    fn rate(&mut self) {
        let calls = self.accepted_requests + self.refused_requests + self.other_answers + self.broken_calls;
        let rate = |requests: u64| (requests * self.request_spans) as f64 / self.seconds.max(1e-3);
        self.offered_spans_per_second = rate(calls);
        self.accepted_spans_per_second = rate(self.accepted_requests);
        self.acknowledgement = self.latencies.clone().quantiles();
    }
}

/// Load of one kind.
pub(super) struct Load {
    pub(super) template: Arc<Template>,
    /// Counts the requests: each has a number of its own.
    pub(super) numbers: Arc<AtomicU64>,
    pub(super) connections: u64,
    /// Requests a second; without it, each connection sends its next one when it has the answer to the last.
    pub(super) rate: Option<f64>,
    pub(super) transport: Transport,
    /// Whether senders wait as they are told.
    pub(super) is_patient: bool,
    pub(super) tenant: Option<&'static str>,
}

impl Load {
    /// Sends for so long.
    ///
    /// # Errors
    /// [`Error::Server`] if the server's address is none.
    pub(super) async fn run(&self, server: &Server, duration: Duration) -> Result<Stretch, Error> {
        let start = Instant::now();
        let turns = Arc::new(AtomicU64::new(0));
        let senders = (0..self.connections).map(|_| {
            let sender = Sender {
                exporter: server.exporter(self.transport, self.tenant)?,
                template: Arc::clone(&self.template),
                numbers: Arc::clone(&self.numbers),
                turns: Arc::clone(&turns),
                rate: self.rate,
                is_patient: self.is_patient,
            };
            Ok(tokio::spawn(sender.run(start, duration)))
        });
        let senders = senders.collect::<Result<Vec<_>, Error>>()?;
        let request_spans = self.template.ids().request_spans();
        let wanted_spans_per_second = self.rate.map(|rate| rate * request_spans as f64);
        let mut stretch = Stretch { request_spans, wanted_spans_per_second, ..Stretch::default() };
        let pid = server.pid();
        while start.elapsed() < duration {
            stretch.peak_rss_bytes = stretch.peak_rss_bytes.max(rss_bytes(pid));
            tokio::time::sleep(Duration::from_millis(100).min(duration)).await;
        }
        for sender in senders {
            stretch.count(sender.await?);
        }
        stretch.seconds = start.elapsed().as_secs_f64();
        stretch.rate();
        Ok(stretch)
    }
}

/// One connection of a load.
struct Sender {
    exporter: Exporter,
    template: Arc<Template>,
    numbers: Arc<AtomicU64>,
    turns: Arc<AtomicU64>,
    rate: Option<f64>,
    is_patient: bool,
}

impl Sender {
    /// Counts what came of its requests.
    async fn run(mut self, start: Instant, duration: Duration) -> Stretch {
        let mut stretch = Stretch::default();
        let end = start + duration;
        loop {
            if let Some(rate) = self.rate {
                let turn = self.turns.fetch_add(1, Ordering::Relaxed);
                let due = start + Duration::from_secs_f64(turn as f64 / rate.max(0.001));
                tokio::time::sleep_until(due.min(end).into()).await;
            }
            if Instant::now() >= end {
                return stretch;
            }
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let body = self.template.request(number);
            let sent = Instant::now();
            match self.exporter.export(body).await {
                Ok(Outcome::Accepted) => {
                    stretch.accepted_requests += 1;
                    stretch.acknowledged.push(number);
                    stretch.latencies.add(sent.elapsed());
                }
                Ok(Outcome::Refused(hint)) => {
                    stretch.refused_requests += 1;
                    stretch.refused_without_hint += u64::from(hint.is_none());
                    if let Some(hint) = hint.filter(|_| self.is_patient) {
                        tokio::time::sleep_until((Instant::now() + hint.min(duration)).min(end).into()).await;
                    }
                }
                Ok(Outcome::Other(answer)) => {
                    stretch.other_answers += 1;
                    stretch.first_other.get_or_insert(answer);
                }
                // What became of it is not known.
                Err(error) => {
                    stretch.broken_calls += 1;
                    stretch.first_broken.get_or_insert(format!("after {:.1} s: {error}", sent.elapsed().as_secs_f64()));
                }
            }
        }
    }
}
