//! What the compactor counts. The binary's registry prefixes every name with `spanlake_`.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The compactor's counters.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) rounds: Counter,
    pub(crate) failed_rounds: Counter,
    pub(crate) tenants: Gauge,
    pub(crate) l0_blocks: Gauge,
    pub(crate) l0_bytes: Gauge,
    pub(crate) merges_due: Gauge,
    pub(crate) drops_due: Gauge,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let m = Self::default();
        registry.register("compactor_rounds", "Times the blocks of all tenants were looked at", m.rounds.clone());
        registry.register(
            "compactor_failed_rounds",
            "Rounds in which the blocks of a tenant could not be read",
            m.failed_rounds.clone(),
        );
        registry.register("compactor_tenants", "Tenants seen in the last round", m.tenants.clone());
        registry.register("compactor_l0_blocks", "Level-0 blocks that wait to be merged", m.l0_blocks.clone());
        registry.register("compactor_l0_bytes", "Bytes of level-0 blocks that wait to be merged", m.l0_bytes.clone());
        registry.register("compactor_merges_due", "Tenants for which a merge is due", m.merges_due.clone());
        registry.register("compactor_drops_due", "Tenants with blocks past their retention", m.drops_due.clone());
        m
    }
}
