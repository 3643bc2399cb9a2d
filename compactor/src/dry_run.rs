//! Says what is due and does nothing of it: the setting `dry_run`. It decides nothing, and commits nothing.

use std::time::SystemTime;

use spanlake_catalog::{Error, Snapshot};
use spanlake_model::Tenant;
use tokio::time::Instant;

use crate::candidate::candidates;
use crate::garbage;
use crate::memory::Memory;
use crate::plan::Plan;
use crate::turn::{Due, Role};

impl Role<'_> {
    /// Reports what would be done.
    pub(crate) async fn tell(
        &self,
        tenant: &Tenant,
        snapshot: &Snapshot,
        memory: &mut Memory,
        due: &Due,
        now: SystemTime,
    ) -> Result<(), Error> {
        if due.plan != Plan::Nothing {
            let bytes = due.plan.input_bytes(&candidates(snapshot, &memory.holding, &memory.left_out));
            tracing::info!(%tenant, plan = ?due.plan, bytes, dry_run = true, "due");
        }
        if due.delete {
            memory.deleted_at = Some(Instant::now());
            let past = garbage::past_grace(self.catalog, tenant, self.config, memory, now).await?;
            let first = past.old.first().or(past.early.first()).map(|key| &**key);
            let count = past.old.len() + past.early.len();
            tracing::info!(%tenant, count, first, dry_run = true, "objects past their grace");
        }
        if due.sweep {
            memory.sweep_at = Instant::now() + self.config.sweep_interval.get();
            garbage::sweep(self.catalog, tenant, self.config, self.metrics, now).await?;
        }
        if due.manifests {
            memory.manifests_at = Instant::now() + self.config.sweep_interval.get();
            garbage::sweep_manifests(self.catalog, tenant, self.config, self.metrics, now).await?;
        }
        Ok(())
    }
}
