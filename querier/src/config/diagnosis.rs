//! When the rules of a diagnosis speak, as an operator may set it. `docs/findings` has the reasons behind each number.

use serde::{Deserialize, Serialize};
use spanlake_analysis::Settings;
use spanlake_model::HumanDuration;

/// Thresholds of the rules that look for what made a trace slow or fail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiagnosisConfig {
    /// Most findings shown for one trace; all are kept; default 5.
    pub shown_findings: usize,
    /// Spans may still arrive for so long after the newest one, beside the flush interval; default 30 s.
    pub arrival: HumanDuration,
    /// A call's answering side usually has a span: at least in this share of the edge's calls; default 0.9.
    pub traced_callee_share: f64,
    /// Fewer calls of an edge than this say nothing; default 20.
    pub traced_callee_calls: u64,
    /// Shortest gap on the critical path that is reported; default 100 ms.
    pub gap: HumanDuration,
    /// The same as a share of the root; default 0.1.
    pub gap_share: f64,
    /// Least saving of sequential calls; default 20 ms.
    pub sequential_saving: HumanDuration,
    /// The same as a share of the root; default 0.1.
    pub sequential_saving_share: f64,
    /// Longest pause inside a run of sequential calls; default 1 ms.
    pub sequential_pause: HumanDuration,
    /// The same as a share of the median call; default 0.1.
    pub sequential_pause_share: f64,
    /// An order that holds in so many traces, call after call without a pause, is taken as a dependency; default 100.
    pub sequential_proof_traces: u64,
    /// Least calls of an N+1 or a duplicate; default 5.
    pub repeated_calls: usize,
    /// Least time that they take together; default 50 ms.
    pub repeated: HumanDuration,
    /// The same as a share of their parent; default 0.1.
    pub repeated_share: f64,
    /// Least share of calls that begin when the one before has ended; default 0.8.
    pub repeated_sequential_share: f64,
    /// Least calls of a fan-out; default 10.
    pub fan_out_calls: usize,
    /// They start within this; default 5 ms.
    pub fan_out_window: HumanDuration,
    /// Attempts from which a retry is a finding; default 3.
    pub retry_attempts: usize,
    /// Pauses that grow by less than this factor are no back-off; default 1.2.
    pub back_off_ratio: f64,
    /// Least time lost to failed attempts that a later one masked; default 1 ms.
    pub masked: HumanDuration,
    /// A storm's amplification is at least so many times the usual one; default 2.0.
    pub storm_factor: f64,
    /// Least share of failed calls in a storm; default 0.05.
    pub storm_error_share: f64,
    /// Calls are up when they are at least so many times the usual; default 1.5.
    pub storm_calls_factor: f64,
    /// Entry traffic is not up when it is above the usual by at most this share, and what chance does; default 0.2.
    pub storm_entry_share: f64,
    /// Fewer wanted calls than this, around the trace or before, are no storm; default 20.
    pub storm_calls: u64,
    /// Least rank of an outlier among its operation's durations; default 0.99.
    pub outlier_rank: f64,
    /// Least robust z-score, on logarithms; default 3.5.
    pub outlier_z: f64,
    /// Least excess over the median, as a share of the root; default 0.05.
    pub outlier_share: f64,
    /// Fewer durations than this are too few to judge; default 200.
    pub baseline_count: u64,
    /// Fewer traces of an entry point than this do not tell what its call paths usually take; default 50.
    pub path_traces: u64,
    /// More calls than usual: at least so many times the usual number; default 2.0.
    pub more_calls_factor: f64,
    /// And at least so many calls more; default 5.
    pub more_calls: u64,
}

impl Default for DiagnosisConfig {
    fn default() -> Self {
        Self {
            shown_findings: 5,
            arrival: HumanDuration::from_secs(30),
            traced_callee_share: 0.9,
            traced_callee_calls: 20,
            gap: HumanDuration::from_millis(100),
            gap_share: 0.1,
            sequential_saving: HumanDuration::from_millis(20),
            sequential_saving_share: 0.1,
            sequential_pause: HumanDuration::from_millis(1),
            sequential_pause_share: 0.1,
            sequential_proof_traces: 100,
            repeated_calls: 5,
            repeated: HumanDuration::from_millis(50),
            repeated_share: 0.1,
            repeated_sequential_share: 0.8,
            fan_out_calls: 10,
            fan_out_window: HumanDuration::from_millis(5),
            retry_attempts: 3,
            back_off_ratio: 1.2,
            masked: HumanDuration::from_millis(1),
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

impl DiagnosisConfig {
    /// The same as the analysis takes it.
    pub fn settings(&self) -> Settings {
        Settings {
            shown_findings: self.shown_findings,
            arrival_nanos: self.arrival.as_nanos(),
            traced_callee_share: self.traced_callee_share,
            traced_callee_calls: self.traced_callee_calls,
            gap_nanos: self.gap.as_nanos(),
            gap_share: self.gap_share,
            sequential_saving_nanos: self.sequential_saving.as_nanos(),
            sequential_saving_share: self.sequential_saving_share,
            sequential_pause_nanos: self.sequential_pause.as_nanos(),
            sequential_pause_share: self.sequential_pause_share,
            sequential_proof_traces: self.sequential_proof_traces,
            repeated_calls: self.repeated_calls,
            repeated_nanos: self.repeated.as_nanos(),
            repeated_share: self.repeated_share,
            repeated_sequential_share: self.repeated_sequential_share,
            fan_out_calls: self.fan_out_calls,
            fan_out_window_nanos: self.fan_out_window.as_nanos(),
            retry_attempts: self.retry_attempts,
            back_off_ratio: self.back_off_ratio,
            masked_nanos: self.masked.as_nanos(),
            storm_factor: self.storm_factor,
            storm_error_share: self.storm_error_share,
            storm_calls_factor: self.storm_calls_factor,
            storm_entry_share: self.storm_entry_share,
            storm_calls: self.storm_calls,
            outlier_rank: self.outlier_rank,
            outlier_z: self.outlier_z,
            outlier_share: self.outlier_share,
            baseline_count: self.baseline_count,
            path_traces: self.path_traces,
            more_calls_factor: self.more_calls_factor,
            more_calls: self.more_calls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_analysis() {
        assert_eq!(DiagnosisConfig::default().settings(), Settings::default());
    }
}
