//! Counts what goes to the store: requests, bytes, errors and time, per operation.

use std::fmt::{self, Write as _};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::error::{Kind, Operation};

impl EncodeLabelValue for Operation {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.as_str())
    }
}

impl EncodeLabelValue for Kind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: Operation,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    operation: Operation,
    kind: Kind,
}

/// What one operation has cost so far. All fields only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperationCounts {
    /// Requests sent, retries included. On a bucket these are what is billed; a page of a listing is one.
    pub request_count: u64,
    /// Bytes read (get, get_range) or written (put).
    pub bytes: u64,
    /// Requests that failed, whatever the kind. A create that met an object under its key is none: that is an answer.
    pub error_count: u64,
    /// Creates that met an object under their key: whoever lost a race, or asked whether the store knows such races.
    pub conflict_count: u64,
    /// Time spent waiting for answers, summed over requests.
    pub busy: Duration,
}

/// The cost of every operation so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Whole objects read.
    pub get: OperationCounts,
    /// Parts of objects read.
    pub get_range: OperationCounts,
    /// Objects created.
    pub put: OperationCounts,
    /// Pages listed.
    pub list: OperationCounts,
    /// Objects deleted.
    pub delete: OperationCounts,
}

impl Counts {
    /// The cost of one operation.
    pub fn of(&self, operation: Operation) -> OperationCounts {
        match operation {
            Operation::Get => self.get,
            Operation::GetRange => self.get_range,
            Operation::Put => self.put,
            Operation::List => self.list,
            Operation::Delete => self.delete,
        }
    }

    /// Requests of every operation together.
    pub fn request_count(&self) -> u64 {
        Operation::ALL.iter().map(|o| self.of(*o).request_count).sum()
    }

    /// What was spent between an `earlier` reading and this one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let minus = |operation| {
            let (now, then) = (self.of(operation), earlier.of(operation));
            OperationCounts {
                request_count: now.request_count.saturating_sub(then.request_count),
                bytes: now.bytes.saturating_sub(then.bytes),
                error_count: now.error_count.saturating_sub(then.error_count),
                conflict_count: now.conflict_count.saturating_sub(then.conflict_count),
                busy: now.busy.saturating_sub(then.busy),
            }
        };
        Self {
            get: minus(Operation::Get),
            get_range: minus(Operation::GetRange),
            put: minus(Operation::Put),
            list: minus(Operation::List),
            delete: minus(Operation::Delete),
        }
    }
}

struct PerOperation {
    requests: Counter,
    bytes: Counter,
    errors: [Counter; Kind::ALL.len()],
    conflicts: Counter,
    busy_nanos: Counter,
    seconds: Histogram,
}

/// Counts the requests of one store; all clones of a [`crate::Store`] share it.
pub struct Meter {
    requests: Family<OperationLabels, Counter>,
    bytes: Family<OperationLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    conflicts: Counter,
    seconds: Family<OperationLabels, Histogram, fn() -> Histogram>,
    retries: Counter,
    retries_refused: Counter,
    hedges: Counter,
    hedges_won: Counter,
    per_operation: [PerOperation; Operation::ALL.len()],
}

/// From half a millisecond, a warm local read, to 16 seconds, past every time-out, in factors of two.
fn latency_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

impl Default for Meter {
    fn default() -> Self {
        let requests = Family::<OperationLabels, Counter>::default();
        let bytes = Family::<OperationLabels, Counter>::default();
        let errors = Family::<ErrorLabels, Counter>::default();
        let conflicts = Counter::default();
        let seconds = Family::new_with_constructor(latency_histogram as fn() -> Histogram);
        let per_operation = Operation::ALL.map(|operation| {
            let labels = OperationLabels { operation };
            PerOperation {
                requests: requests.get_or_create(&labels).clone(),
                bytes: bytes.get_or_create(&labels).clone(),
                errors: Kind::ALL.map(|kind| match kind {
                    // Never counted as an error, so it has no line among them.
                    Kind::AlreadyExists => Counter::default(),
                    kind => errors.get_or_create(&ErrorLabels { operation, kind }).clone(),
                }),
                // Only creating can meet an object.
                conflicts: if operation == Operation::Put { conflicts.clone() } else { Counter::default() },
                busy_nanos: Counter::default(),
                seconds: seconds.get_or_create(&labels).clone(),
            }
        });
        Self {
            requests,
            bytes,
            errors,
            conflicts,
            seconds,
            retries: Counter::default(),
            retries_refused: Counter::default(),
            hedges: Counter::default(),
            hedges_won: Counter::default(),
            per_operation,
        }
    }
}

impl Meter {
    /// Registers `store_requests`, `store_bytes`, `store_errors`, `store_conflicts`, `store_request_seconds`, `store_retries`,
    /// `store_retries_refused`, `store_hedges` and `store_hedges_won`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("store_requests", "Requests to the object store, retries included", self.requests.clone());
        registry.register("store_bytes", "Bytes read from and written to the object store", self.bytes.clone());
        registry.register("store_errors", "Failed requests to the object store", self.errors.clone());
        registry.register(
            "store_conflicts",
            "Creates that met an object under their key: an answer, not a failure",
            self.conflicts.clone(),
        );
        registry.register(
            "store_request_seconds",
            "Time to the answer of one request to the object store",
            self.seconds.clone(),
        );
        registry.register("store_retries", "Requests that repeat a failed one", self.retries.clone());
        registry.register(
            "store_retries_refused",
            "Failed requests that were not repeated because the retry budget was spent",
            self.retries_refused.clone(),
        );
        registry.register(
            "store_hedges",
            "Reads sent a second time because the first had no answer yet",
            self.hedges.clone(),
        );
        registry.register(
            "store_hedges_won",
            "Reads sent a second time whose second answer came first",
            self.hedges_won.clone(),
        );
    }

    /// What every operation has cost so far.
    pub fn counts(&self) -> Counts {
        let read = |operation: Operation| {
            let one = &self.per_operation[operation as usize];
            OperationCounts {
                request_count: one.requests.get(),
                bytes: one.bytes.get(),
                error_count: one.errors.iter().map(Counter::get).sum(),
                conflict_count: one.conflicts.get(),
                busy: Duration::from_nanos(one.busy_nanos.get()),
            }
        };
        Counts {
            get: read(Operation::Get),
            get_range: read(Operation::GetRange),
            put: read(Operation::Put),
            list: read(Operation::List),
            delete: read(Operation::Delete),
        }
    }

    /// Requests that failed with one kind so far.
    pub fn error_count(&self, operation: Operation, kind: Kind) -> u64 {
        self.per_operation[operation as usize].errors[kind as usize].get()
    }

    /// Requests so far that repeated a failed one.
    pub fn retry_count(&self) -> u64 {
        self.retries.get()
    }

    pub(crate) fn record(&self, operation: Operation, elapsed: Duration, outcome: Result<u64, Kind>) {
        let one = &self.per_operation[operation as usize];
        one.requests.inc();
        one.busy_nanos.inc_by(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
        one.seconds.observe(elapsed.as_secs_f64());
        match outcome {
            Ok(bytes) => {
                one.bytes.inc_by(bytes);
            }
            Err(Kind::AlreadyExists) => {
                one.conflicts.inc();
            }
            Err(kind) => {
                one.errors[kind as usize].inc();
            }
        }
    }

    /// Failed requests so far that were not repeated because the budget was spent.
    pub fn refused_retry_count(&self) -> u64 {
        self.retries_refused.get()
    }

    /// Reads so far that were sent a second time, and how many of those were answered first.
    pub fn hedge_counts(&self) -> (u64, u64) {
        (self.hedges.get(), self.hedges_won.get())
    }

    pub(crate) fn retries_refused(&self) -> Counter {
        self.retries_refused.clone()
    }

    pub(crate) fn record_hedge(&self) {
        self.hedges.inc();
    }

    pub(crate) fn record_hedge_won(&self) {
        self.hedges_won.inc();
    }

    /// Counts a request that was given up because another was answered first: it is billed all the same.
    pub(crate) fn record_given_up(&self, operation: Operation) {
        self.per_operation[operation as usize].requests.inc();
    }

    pub(crate) fn record_retry(&self) {
        self.retries.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_text_agree() {
        let meter = Meter::default();
        let mut registry = Registry::default();
        meter.register(&mut registry);
        let before = meter.counts();
        meter.record(Operation::GetRange, Duration::from_millis(3), Ok(7));
        meter.record(Operation::Put, Duration::from_millis(1), Err(Kind::Full));
        let spent = meter.counts().since(&before);
        assert_eq!((spent.get_range.request_count, spent.get_range.bytes), (1, 7));
        assert_eq!((spent.put.request_count, spent.put.error_count, spent.request_count()), (1, 1, 2));
        assert_eq!(meter.error_count(Operation::Put, Kind::Full), 1);
        // Who meets an object has its answer.
        meter.record(Operation::Put, Duration::from_millis(1), Err(Kind::AlreadyExists));
        let put = meter.counts().since(&before).put;
        assert_eq!((put.request_count, put.error_count, put.conflict_count), (2, 1, 1));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("writing to a String");
        assert!(text.contains(r#"store_requests_total{operation="get_range"} 1"#), "{text}");
        assert!(text.contains(r#"store_errors_total{operation="put",kind="full"} 1"#), "{text}");
        assert!(text.contains("store_conflicts_total 1") && !text.contains("already_exists"), "{text}");
    }

    #[test]
    fn array_positions_are_the_variants() {
        for (i, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, i);
        }
        for (i, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, i);
        }
    }
}
