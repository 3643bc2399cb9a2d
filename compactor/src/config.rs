//! What decides when blocks are due for merging, each number with its default and reason. It reads no file.

use serde::{Deserialize, Serialize};
use spanlake_model::{ByteSize, HumanDuration};

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
    /// Age at which two level-0 blocks are enough. Default 1 min: bounds how many small blocks a query meets when
    /// little arrives.
    pub l0_max_wait: HumanDuration,
    /// Most blocks one merge reads. Default 256: each is an open, buffered stream.
    pub max_inputs: usize,
    /// Most bytes one merge reads; the first two inputs are let through whatever their size. Default 1 GiB: about
    /// 30 million spans, a minute of work on one core.
    pub max_input_bytes: ByteSize,
    /// Length of a time window of merged blocks. Default 1 h.
    pub window: HumanDuration,
    /// How long after its end a window waits for late spans before its blocks are merged into one. Default 10 min.
    pub window_grace: HumanDuration,
    /// How long spans are kept, counted from their end. Default 0: for ever.
    pub retention: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: HumanDuration::from_secs(30),
            l0_min_age: HumanDuration::from_secs(10),
            l0_fan_in: 16,
            l0_max_wait: HumanDuration::from_secs(60),
            max_inputs: 256,
            max_input_bytes: ByteSize::gib(1),
            window: HumanDuration::from_secs(3_600),
            window_grace: HumanDuration::from_secs(600),
            retention: HumanDuration::from_secs(0),
        }
    }
}
