//! Thresholds of the rules, each with its default; `docs/findings` has the reasons. Durations are nanoseconds.

const MILLI: u64 = 1_000_000;

/// When a rule speaks.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Most findings shown for one trace; all are kept.
    pub shown_findings: usize,

    /// Spans may still arrive for so long after the newest one, beside the flush interval.
    pub arrival_nanos: u64,
    /// A call's answering side usually has a span: at least in this share of the edge's calls.
    pub traced_callee_share: f64,
    /// Fewer calls of an edge than this say nothing.
    pub traced_callee_calls: u64,
    /// Shortest gap on the critical path that is reported.
    pub gap_nanos: u64,
    /// The same as a share of the root.
    pub gap_share: f64,

    /// Least saving of sequential calls.
    pub sequential_saving_nanos: u64,
    /// The same as a share of the root.
    pub sequential_saving_share: f64,
    /// Longest pause inside a run of sequential calls.
    pub sequential_pause_nanos: u64,
    /// The same as a share of the median call.
    pub sequential_pause_share: f64,
    /// An order that holds in so many traces, call after call without a pause, is taken as a dependency.
    pub sequential_proof_traces: u64,

    /// Least calls of an N+1 or a duplicate.
    pub repeated_calls: usize,
    /// Least time that they take together.
    pub repeated_nanos: u64,
    /// The same as a share of their parent.
    pub repeated_share: f64,
    /// Least share of calls that begin when the one before has ended.
    pub repeated_sequential_share: f64,
    /// Least calls of a fan-out.
    pub fan_out_calls: usize,
    /// They start within this.
    pub fan_out_window_nanos: u64,

    /// Attempts from which a retry is a finding.
    pub retry_attempts: usize,
    /// Pauses that grow by less than this factor are no back-off.
    pub back_off_ratio: f64,
    /// Least time lost to failed attempts that a later one masked.
    pub masked_nanos: u64,
    /// A storm's amplification is at least so many times the usual one.
    pub storm_factor: f64,
    /// Least share of failed calls in a storm.
    pub storm_error_share: f64,
    /// Calls are up when they are at least so many times the usual.
    pub storm_calls_factor: f64,
    /// Entry traffic is not up when it is above the usual by at most this share, and what chance does.
    pub storm_entry_share: f64,
    /// Fewer wanted calls than this, around the trace or before, are no storm.
    pub storm_calls: u64,

    /// Least rank of an outlier among its operation's durations.
    pub outlier_rank: f64,
    /// Least robust z-score, on logarithms.
    pub outlier_z: f64,
    /// Least excess over the median, as a share of the root.
    pub outlier_share: f64,
    /// Fewer durations than this are too few to judge.
    pub baseline_count: u64,
    /// Fewer traces of an entry point than this do not tell what its call paths usually take.
    pub path_traces: u64,
    /// More calls than usual: at least so many times the usual number.
    pub more_calls_factor: f64,
    /// And at least so many calls more.
    pub more_calls: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shown_findings: 5,
            arrival_nanos: 30_000 * MILLI,
            traced_callee_share: 0.9,
            traced_callee_calls: 20,
            gap_nanos: 100 * MILLI,
            gap_share: 0.1,
            sequential_saving_nanos: 20 * MILLI,
            sequential_saving_share: 0.1,
            sequential_pause_nanos: MILLI,
            sequential_pause_share: 0.1,
            sequential_proof_traces: 100,
            repeated_calls: 5,
            repeated_nanos: 50 * MILLI,
            repeated_share: 0.1,
            repeated_sequential_share: 0.8,
            fan_out_calls: 10,
            fan_out_window_nanos: 5 * MILLI,
            retry_attempts: 3,
            back_off_ratio: 1.2,
            masked_nanos: MILLI,
            storm_factor: 2.0,
            storm_error_share: 0.05,
            storm_calls_factor: 1.5,
            storm_entry_share: 0.2,
            storm_calls: 20,
            outlier_rank: 0.99,
            outlier_z: 3.5,
            outlier_share: 0.05,
            baseline_count: 200,
            path_traces: 50,
            more_calls_factor: 2.0,
            more_calls: 5,
        }
    }
}

/// A share of a duration, rounded down.
pub(crate) fn part_of(nanos: u64, share: f64) -> u64 {
    (nanos as f64 * share) as u64
}
