//! What decides when blocks are due for merging, each number with its default and reason. It reads no file.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use spanlake_model::world::{self, Rule};
use spanlake_model::{ByteSize, HumanDuration, Tenant};

/// Settings of the compactor: section `compactor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How often the blocks of all tenants are looked at. Default 30 s: one listing and one small read per tenant,
    /// 3 cents a month and tenant on S3.
    pub interval: HumanDuration,
    /// Age at which a level-0 block may be merged. Default 10 s: by then its neighbours in time are there too.
    pub l0_min_age: HumanDuration,
    /// Level-0 blocks that make a merge due. Default 16: a wide merge rewrites each span once instead of four times.
    pub l0_fan_in: usize,
    /// Most bytes of level-0 blocks that one merge reads; so many make one due, too. Default 40 MiB: the rows of a merge of
    /// small blocks all overlap, so its memory grows with this.
    pub l0_max_input_bytes: ByteSize,
    /// Age at which two level-0 blocks are enough. Default 1 min: bounds how many small blocks a query meets when
    /// little arrives.
    pub l0_max_wait: HumanDuration,
    /// Most blocks one merge reads. Default 256: each is an open, buffered stream.
    pub max_inputs: usize,
    /// Most bytes one merge reads; the first two inputs are let through whatever their size. Default 1 GiB: about
    /// 30 million spans, a minute of work on one core.
    pub max_input_bytes: ByteSize,
    /// Size at which a merge begins another block, which then holds later trace ids. Default 64 MiB: a block is whole in memory
    /// until it is stored.
    pub max_block_bytes: ByteSize,
    /// Length of a time window of merged blocks. Default 1 h.
    pub window: HumanDuration,
    /// How long after its end a window waits for late spans before its blocks are merged into one. Default 10 min.
    pub window_grace: HumanDuration,
    /// How long spans are kept, counted from their end by the store's clock. Default 0: for ever.
    pub retention: HumanDuration,
    /// How long a block stays at least after it was written, where that is shorter than the retention, however old its spans
    /// are. Default 24 h: what arrives late, or from a clock that is behind, can be seen before it goes; and a block that is
    /// written anew does not stay for another retention.
    pub late_retention: HumanDuration,
    /// Merges that run at once. Default 1: a merge takes a core, and memory for the rows of a
    /// pass and for the blocks it writes.
    pub concurrency: usize,
    /// How long a compactor may be silent before another one takes over its tenant. Default 30 s.
    pub lease: HumanDuration,
    /// How long an object stays after it was merged or dropped, by the store's clock: longer than any query runs. Default
    /// 1 h.
    pub delete_grace: HumanDuration,
    /// How long an object of level 0 stays after it was merged, where that is shorter than `delete_grace`; longer than any query
    /// runs. Default 5 min: every query lists what lies there.
    pub l0_delete_grace: HumanDuration,
    /// Least time between the deletion of a trace and the moment when it may be forgotten that it was deleted. Default 1 h:
    /// spans that were on their way are hidden, too.
    pub deleted_traces_min_age: HumanDuration,
    /// How often a tenant is searched for objects that nothing refers to, which crashed writers leave behind. Default 6 h.
    pub sweep_interval: HumanDuration,
    /// Age at which an object that nothing refers to is deleted, by the store's clock. Default 24 h: no writer is that slow.
    pub orphan_min_age: HumanDuration,
    /// Age at which old versions of manifests are deleted; the newest 100 always stay. Default 7 days.
    pub manifest_min_age: HumanDuration,
    /// Report what is due and do nothing. Default false.
    pub dry_run: bool,
    /// Settings of single tenants, by name. Default none.
    pub tenants: BTreeMap<String, TenantConfig>,
}

/// Settings of one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantConfig {
    /// How long its spans are kept; 0 is for ever. Default: as for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<HumanDuration>,
}

impl Config {
    /// How long a retired object stays.
    pub(crate) fn grace(&self) -> Duration {
        if world::is_broken(Rule::WaitBeforeDelete) { Duration::ZERO } else { self.delete_grace.get() }
    }

    /// How long a retired object of level 0 stays.
    pub(crate) fn l0_grace(&self) -> Duration {
        self.l0_delete_grace.get().min(self.grace())
    }

    /// How long a tenant's spans are kept, in nanoseconds; 0 is for ever.
    pub fn retention_nanos(&self, tenant: &Tenant) -> u64 {
        let own = self.tenants.get(tenant.as_str()).and_then(|tenant| tenant.retention);
        own.unwrap_or(self.retention).as_nanos()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: HumanDuration::from_secs(30),
            l0_min_age: HumanDuration::from_secs(10),
            l0_fan_in: 16,
            l0_max_input_bytes: ByteSize(40 << 20),
            l0_max_wait: HumanDuration::from_secs(60),
            max_inputs: 256,
            max_input_bytes: ByteSize::gib(1),
            max_block_bytes: ByteSize(64 << 20),
            window: HumanDuration::from_secs(3_600),
            window_grace: HumanDuration::from_secs(600),
            retention: HumanDuration::from_secs(0),
            late_retention: HumanDuration::from_secs(24 * 3_600),
            tenants: BTreeMap::new(),
            concurrency: 1,
            lease: HumanDuration::from_secs(30),
            delete_grace: HumanDuration::from_secs(3_600),
            l0_delete_grace: HumanDuration::from_secs(300),
            deleted_traces_min_age: HumanDuration::from_secs(3_600),
            sweep_interval: HumanDuration::from_secs(6 * 3_600),
            orphan_min_age: HumanDuration::from_secs(24 * 3_600),
            manifest_min_age: HumanDuration::from_secs(7 * 24 * 3_600),
            dry_run: false,
        }
    }
}
