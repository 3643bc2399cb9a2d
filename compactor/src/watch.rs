//! The role: looks at the blocks of every tenant at an interval and reports what is due. Decides nothing itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::registry::Registry;
use spanlake_block::BlockMeta;
use spanlake_catalog::{BlockRef, Catalog, Error};
use spanlake_model::Tenant;

use crate::Config;
use crate::metrics::Metrics;
use crate::plan::{Candidate, Plan, select};

/// Shortest pause between rounds, whatever is configured: an interval of zero must not become a busy loop of requests.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Watches how many blocks wait to be merged. Clones share their metrics.
#[derive(Clone)]
pub struct Compactor {
    config: Config,
    catalog: Catalog,
    metrics: Arc<Metrics>,
}

/// What waits, over one tenant or all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Backlog {
    l0_blocks: u64,
    l0_bytes: u64,
    merges_due: u64,
    drops_due: u64,
}

impl Compactor {
    /// A compactor over the catalog; registers its metrics. Costs no request.
    pub fn new(config: Config, catalog: Catalog, registry: &mut Registry) -> Self {
        Self { config, catalog, metrics: Arc::new(Metrics::new(registry)) }
    }

    /// Looks at all tenants at the configured interval, for ever. Safe to drop at any point: it holds no state.
    ///
    /// Each round costs one listing of the tenants, and a snapshot (a manifest and a listing) per tenant.
    pub async fn run(self) {
        let interval = self.config.interval.get().max(MIN_INTERVAL);
        loop {
            self.round(now_unix_nanos()).await;
            tokio::time::sleep(interval).await;
        }
    }

    async fn round(&self, now_unix_nanos: u64) {
        self.metrics.rounds.inc();
        let tenants = match self.catalog.tenants().await {
            Ok(tenants) => tenants,
            Err(error) => {
                self.metrics.failed_rounds.inc();
                tracing::warn!(%error, "the tenants cannot be listed");
                return;
            }
        };
        let mut total = Backlog::default();
        let mut failed = false;
        for tenant in &tenants {
            match self.backlog(tenant, now_unix_nanos).await {
                Ok(backlog) => {
                    tracing::debug!(%tenant, ?backlog, "blocks that wait");
                    total.add(backlog);
                }
                Err(error) => {
                    failed = true;
                    tracing::warn!(%tenant, %error, "the tenant's blocks cannot be read");
                }
            }
        }
        if failed {
            self.metrics.failed_rounds.inc();
        }
        self.report(tenants.len(), total);
    }

    async fn backlog(&self, tenant: &Tenant, now_unix_nanos: u64) -> Result<Backlog, Error> {
        let snapshot = self.catalog.snapshot(tenant).await?;
        let blocks: Vec<Candidate> = snapshot.blocks.iter().map(candidate).collect();
        let plan = select(&blocks, &self.config, now_unix_nanos);
        let l0 = || blocks.iter().filter(|block| block.meta.level == 0);
        Ok(Backlog {
            l0_blocks: l0().count() as u64,
            l0_bytes: l0().map(|block| block.meta.object_bytes).sum(),
            merges_due: u64::from(matches!(plan, Plan::Merge { .. })),
            drops_due: u64::from(matches!(plan, Plan::Drop { .. })),
        })
    }

    fn report(&self, tenant_count: usize, total: Backlog) {
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.tenants.set(gauge(tenant_count as u64));
        self.metrics.l0_blocks.set(gauge(total.l0_blocks));
        self.metrics.l0_bytes.set(gauge(total.l0_bytes));
        self.metrics.merges_due.set(gauge(total.merges_due));
        self.metrics.drops_due.set(gauge(total.drops_due));
        tracing::info!(tenant_count, ?total, "blocks that wait in all tenants");
    }
}

impl Backlog {
    fn add(&mut self, other: Self) {
        self.l0_blocks += other.l0_blocks;
        self.l0_bytes += other.l0_bytes;
        self.merges_due += other.merges_due;
        self.drops_due += other.drops_due;
    }
}

/// A block of the catalog as the decision needs it.
fn candidate(block: &BlockRef) -> Candidate {
    let name = block.key.rsplit('/').next().unwrap_or_default();
    let written = BlockMeta::parse_name(name).ok().and_then(|(id, _)| written_unix_nanos(id));
    Candidate {
        key: Arc::clone(&block.key),
        meta: block.meta.clone(),
        // A block with another kind of id is as old as its spans.
        written_unix_nanos: written.unwrap_or(block.meta.max_end_unix_nanos),
    }
}

/// The time in a block's id: an id is a ULID, whose first 10 characters are Unix milliseconds in Crockford's base 32
/// (<https://github.com/ulid/spec>).
fn written_unix_nanos(id: &str) -> Option<u64> {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let digits = id.as_bytes().get(..10).filter(|_| id.len() == 26)?;
    let unix_millis = digits.iter().try_fold(0u64, |millis, digit| {
        let value = ALPHABET.iter().position(|known| known == digit)?;
        Some(millis << 5 | value as u64)
    })?;
    unix_millis.checked_mul(1_000_000)
}

fn now_unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_when_they_were_made() {
        let check = |id: &str, expect| assert_eq!(written_unix_nanos(id), expect, "{id}");
        // The example of the ULID specification.
        check("01arz3ndektsv4rrffq69g5fav", Some(1_469_922_850_259_000_000));
        check("00000000000000000000000000", Some(0));
        check("01arz3ndek", None);
        check("01ARZ3NDEKTSV4RRFFQ69G5FAV", None);
        check("7zzzzzzzzzzzzzzzzzzzzzzzzz", None);
    }
}
