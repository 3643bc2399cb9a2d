//! One connection's share of a replay: send, wait, retry as told, count.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tokio::sync::{Mutex, mpsc};

use super::ReplayReport;
use super::source::Parcel;
use crate::client::{Answer, Client, Endpoint, retry_after};
use crate::clock;
use crate::latency::Latencies;

/// Attempts for one request.
const MAX_ATTEMPTS: u32 = 60;
/// The pause after the first failure when the server names none; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, also when the server asks for more.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Counts of one connection, or of all.
#[derive(Default)]
pub(super) struct Tally {
    latencies: Latencies,
    acknowledged_requests: u64,
    accepted_spans: u64,
    rejected_spans: u64,
    lost_spans: u64,
    retries: u64,
    sent_bytes: u64,
    first_problem: Option<String>,
}

/// A connection that sends what it takes from the shared queue.
pub(super) struct Sender {
    client: Client,
    path: String,
    headers: HeaderMap,
    rate: Option<u64>,
    start: Instant,
    tally: Tally,
}

impl Sender {
    pub(super) fn new(endpoint: Endpoint, headers: HeaderMap, rate: Option<u64>, start: Instant) -> Self {
        let path = endpoint.path().to_owned();
        Self { client: Client::new(endpoint), path, headers, rate, start, tally: Tally::default() }
    }

    pub(super) async fn run(mut self, parcels: Arc<Mutex<mpsc::Receiver<Parcel>>>) -> Tally {
        loop {
            let parcel = parcels.lock().await.recv().await;
            let Some(parcel) = parcel else { return self.tally };
            if let Some(rate) = self.rate {
                let due = Duration::from_secs_f64(parcel.spans_before as f64 / rate.max(1) as f64);
                tokio::time::sleep_until((self.start + due).into()).await;
            }
            self.send(parcel).await;
        }
    }

    async fn send(&mut self, parcel: Parcel) {
        let first_send = Instant::now();
        let mut pause = FIRST_PAUSE;
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 0 {
                self.tally.retries += 1;
            }
            self.tally.sent_bytes += parcel.body.len() as u64;
            let outcome = self.client.call(Method::POST, &self.path, &self.headers, parcel.body.clone()).await;
            let wait = match outcome {
                Ok(answer) if answer.status.is_success() => {
                    self.tally.latencies.add(first_send.elapsed());
                    self.tally.acknowledge(&answer, parcel.span_count);
                    return;
                }
                Ok(answer) => {
                    self.tally.problem(|| describe(&answer));
                    if !retryable(answer.status) {
                        self.tally.rejected_spans += parcel.span_count;
                        return;
                    }
                    retry_after(&answer.headers)
                }
                Err(error) => {
                    self.tally.problem(|| error.to_string());
                    None
                }
            };
            tokio::time::sleep(wait.unwrap_or(pause).min(MAX_PAUSE)).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        self.tally.lost_spans += parcel.span_count;
    }
}

/// The statuses the OTLP specification lets a client retry.
fn retryable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

fn describe(answer: &Answer) -> String {
    let body: String = String::from_utf8_lossy(&answer.body).chars().filter(|c| !c.is_control()).take(200).collect();
    format!("{}: {body}", answer.status)
}

impl Tally {
    fn acknowledge(&mut self, answer: &Answer, span_count: u64) {
        self.acknowledged_requests += 1;
        let partial =
            ExportTraceServiceResponse::decode(answer.body.clone()).ok().and_then(|body| body.partial_success);
        let rejected = partial.as_ref().map_or(0, |partial| partial.rejected_spans);
        let rejected = u64::try_from(rejected).unwrap_or(0).min(span_count);
        if let Some(partial) = partial.filter(|_| rejected > 0) {
            self.problem(|| partial.error_message);
        }
        self.rejected_spans += rejected;
        self.accepted_spans += span_count - rejected;
    }

    fn problem(&mut self, describe: impl FnOnce() -> String) {
        self.first_problem.get_or_insert_with(describe);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.latencies.merge(other.latencies);
        self.acknowledged_requests += other.acknowledged_requests;
        self.accepted_spans += other.accepted_spans;
        self.rejected_spans += other.rejected_spans;
        self.lost_spans += other.lost_spans;
        self.retries += other.retries;
        self.sent_bytes += other.sent_bytes;
        self.first_problem = self.first_problem.take().or(other.first_problem);
    }

    pub(super) fn report(
        self,
        elapsed: Duration,
        client_cpu: Duration,
        server_cpu: Option<Duration>,
        pid: Option<u32>,
    ) -> ReplayReport {
        let millions = self.accepted_spans as f64 / 1e6;
        let server_cpu_seconds = server_cpu.map(|cpu| cpu.as_secs_f64());
        ReplayReport {
            acknowledged_requests: self.acknowledged_requests,
            accepted_spans: self.accepted_spans,
            rejected_spans: self.rejected_spans,
            lost_spans: self.lost_spans,
            retries: self.retries,
            sent_bytes: self.sent_bytes,
            seconds: elapsed.as_secs_f64(),
            spans_per_second: self.accepted_spans as f64 / elapsed.as_secs_f64().max(1e-9),
            acknowledgement: self.latencies.quantiles(),
            client_cpu_seconds: client_cpu.as_secs_f64(),
            server_cpu_seconds,
            server_cpu_seconds_per_million: server_cpu_seconds.filter(|_| millions > 0.0).map(|cpu| cpu / millions),
            server_peak_rss_bytes: pid.and_then(|pid| clock::peak_rss_bytes(Some(pid))),
            first_problem: self.first_problem,
        }
    }
}
