//! What the compactor counts. The binary's registry prefixes every name with `spanlake_`.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    Won,
    Lost,
    Unknown,
    Fenced,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabels {
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LevelLabels {
    pub(crate) level: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Why {
    Retired,
    Orphan,
    Manifest,
    Staged,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct WhyLabels {
    pub(crate) why: Why,
}

/// The compactor's counters.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) rounds: Counter,
    pub(crate) failed_turns: Counter,
    pub(crate) tenants: Gauge,
    pub(crate) due: Gauge,
    pub(crate) l0_blocks: Gauge,
    pub(crate) l0_bytes: Gauge,
    pub(crate) oldest_l0_age_seconds: Gauge,
    pub(crate) merges: Family<LevelLabels, Counter>,
    pub(crate) failed_merges: Counter,
    pub(crate) merge_seconds: Histogram,
    pub(crate) rows_in: Counter,
    pub(crate) rows_out: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) deleted_rows: Counter,
    pub(crate) moved_blocks: Counter,
    pub(crate) dropped_blocks: Counter,
    pub(crate) commits: Family<OutcomeLabels, Counter>,
    pub(crate) deletions: Family<WhyLabels, Counter>,
    pub(crate) orphans: Gauge,
    pub(crate) leases: Gauge,
    pub(crate) quarantined: Gauge,
    pub(crate) deleted_traces: Gauge,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let m = Self {
            rounds: Counter::default(),
            failed_turns: Counter::default(),
            tenants: Gauge::default(),
            due: Gauge::default(),
            l0_blocks: Gauge::default(),
            l0_bytes: Gauge::default(),
            oldest_l0_age_seconds: Gauge::default(),
            merges: Family::default(),
            failed_merges: Counter::default(),
            merge_seconds: Histogram::new(exponential_buckets(0.05, 2.0, 14)),
            rows_in: Counter::default(),
            rows_out: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            duplicates: Counter::default(),
            deleted_rows: Counter::default(),
            moved_blocks: Counter::default(),
            dropped_blocks: Counter::default(),
            commits: Family::default(),
            deletions: Family::default(),
            orphans: Gauge::default(),
            leases: Gauge::default(),
            quarantined: Gauge::default(),
            deleted_traces: Gauge::default(),
        };
        let mut counter = |name: &str, help: &str, counter: &Counter| registry.register(name, help, counter.clone());
        counter("compactor_rounds", "Times the blocks of all tenants were looked at", &m.rounds);
        counter("compactor_failed_turns", "Turns of a tenant that ended with an error", &m.failed_turns);
        counter("compactor_failed_merges", "Merges that came to nothing", &m.failed_merges);
        counter("compactor_rows_in", "Rows of the inputs of merges", &m.rows_in);
        counter("compactor_rows_out", "Rows of the outputs of merges", &m.rows_out);
        counter("compactor_bytes_in", "Bytes of the inputs of merges", &m.bytes_in);
        counter("compactor_bytes_out", "Bytes of the outputs of merges", &m.bytes_out);
        counter("compactor_duplicate_rows", "Rows left out because an identical one is kept", &m.duplicates);
        counter("compactor_deleted_rows", "Rows left out because their trace is deleted", &m.deleted_rows);
        counter("compactor_moved_blocks", "Blocks moved to the next level as they are", &m.moved_blocks);
        counter("compactor_dropped_blocks", "Blocks dropped because their retention is over", &m.dropped_blocks);
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("compactor_tenants", "Tenants seen in the last round", &m.tenants);
        gauge("compactor_due", "Tenants for which something was due in the last round", &m.due);
        gauge("compactor_l0_blocks", "Level-0 blocks that wait to be merged", &m.l0_blocks);
        gauge("compactor_l0_bytes", "Bytes of level-0 blocks that wait to be merged", &m.l0_bytes);
        gauge(
            "compactor_oldest_l0_age_seconds",
            "Age of the oldest level-0 block that waits to be merged",
            &m.oldest_l0_age_seconds,
        );
        gauge("compactor_orphans", "Objects that nothing refers to, found by the last sweep", &m.orphans);
        gauge("compactor_leases_held", "Tenants whose lease this process holds", &m.leases);
        gauge("compactor_quarantined_blocks", "Damaged blocks, which nothing merges", &m.quarantined);
        gauge("compactor_deleted_traces", "Deleted traces that storage may still hold", &m.deleted_traces);
        registry.register(
            "compactor_merges",
            "Merges that were committed, by level of their outputs",
            m.merges.clone(),
        );
        registry.register("compactor_commits", "Commits of the compactor, by outcome", m.commits.clone());
        registry.register("compactor_deleted_objects", "Objects deleted, by reason", m.deletions.clone());
        registry.register_with_unit(
            "compactor_merge",
            "Time from the choice of a merge to its commit",
            Unit::Seconds,
            m.merge_seconds.clone(),
        );
        m
    }

    pub(crate) fn count_commit(&self, outcome: Outcome) {
        self.commits.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    pub(crate) fn count_deletion(&self, why: Why) {
        self.deletions.get_or_create(&WhyLabels { why }).inc();
    }
}
