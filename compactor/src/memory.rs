//! What a compactor remembers of one tenant between turns. Nothing of it is needed: a new process finds everything anew.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use spanlake_catalog::Snapshot;
use spanlake_model::{Tenant, TraceId, world};
use tokio::time::Instant;

use crate::hold::Hold;

/// One tenant as one compactor knows it.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) hold: Hold,
    /// By block: of what was deleted by this manifest or one before, it holds what `holding` says and no more.
    pub(crate) clean: HashMap<Arc<str>, u64>,
    /// Blocks that hold deleted traces, and which.
    pub(crate) holding: HashMap<Arc<str>, HashSet<TraceId>>,
    /// Damaged blocks of which not even that can be read, until the next sweep.
    pub(crate) unreadable: HashSet<Arc<str>>,
    /// Retired objects that are deleted, and are to leave the manifest.
    pub(crate) forget: Vec<Arc<str>>,
    /// Retired objects of level 0 that are deleted, and stay in the manifest until `delete_grace` is over.
    pub(crate) gone: HashSet<Arc<str>>,
    /// The block whose damage ended the last merge; when it does so again it is not the transfer.
    pub(crate) suspect: Option<Arc<str>>,
    /// Live blocks whose object was not there once, since the last sweep.
    pub(crate) missing: HashSet<Arc<str>>,
    /// Blocks that are left alone until the next sweep: a merge of two of them failed, or they are damaged and the manifest
    /// names no more of those.
    pub(crate) left_out: HashSet<Arc<str>>,
    /// Most inputs of the next merge, after one failed for a reason that names no block: halved until the block is found.
    pub(crate) max_inputs: Option<usize>,
    /// When retired objects were last looked at.
    pub(crate) deleted_at: Option<Instant>,
    /// When orphans are looked for next.
    pub(crate) sweep_at: Instant,
    /// When old manifests are looked for next.
    pub(crate) manifests_at: Instant,
}

impl Memory {
    /// Orphans and old manifests are looked for within `sweep_interval`, at a random moment: all tenants at once after a start would be many.
    pub(crate) fn new(tenant: Tenant, sweep_interval: Duration) -> Self {
        let share = world::simulated_share().unwrap_or_else(rand::random);
        let first_sweep_at = Instant::now() + sweep_interval.mul_f64(share);
        Self {
            hold: Hold::new(tenant),
            clean: HashMap::new(),
            holding: HashMap::new(),
            unreadable: HashSet::new(),
            forget: Vec::new(),
            gone: HashSet::new(),
            suspect: None,
            missing: HashSet::new(),
            left_out: HashSet::new(),
            max_inputs: None,
            deleted_at: None,
            sweep_at: first_sweep_at,
            manifests_at: first_sweep_at,
        }
    }

    /// Drops what is known of blocks that are not live any more.
    pub(crate) fn prune(&mut self, snapshot: &Snapshot) {
        if snapshot.deleted().is_empty() {
            (self.clean, self.holding) = (HashMap::new(), HashMap::new());
        } else if self.clean.len().max(self.holding.len()) > snapshot.blocks.len() + snapshot.blocks.len() / 4 + 100 {
            let live: HashSet<&str> = snapshot.blocks.iter().map(|block| &*block.key).collect();
            self.clean.retain(|key, _| live.contains(&**key));
            self.holding.retain(|key, _| live.contains(&**key));
        }
        let retired: HashSet<&str> = match self.forget.is_empty() && self.gone.is_empty() {
            true => HashSet::new(),
            false => snapshot.retired().map(|retired| &*retired.key).collect(),
        };
        self.forget.retain(|key| retired.contains(&**key));
        self.gone.retain(|key| retired.contains(&**key));
    }
}
