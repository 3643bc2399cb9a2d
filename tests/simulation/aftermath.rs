//! What becomes of a store when everything is over and compactors alone go on, in good weather, on clocks that are as wrong as
//! they were left: what is deleted leaves storage, nothing is left lying about, and what has outlived its retention goes.

use std::time::{Duration, SystemTime};

use spanlake_block::BlockMeta;
use spanlake_catalog::{BlockRef, Snapshot};
use spanlake_model::{HumanDuration, Tenant, world};
use tokio::time::{sleep, timeout};

use crate::cluster::{Cluster, MAX_SKEW, RETENTION, compactor_config, retains};
use crate::invariants::{check_all, check_traces};
use crate::ledger::Ledger;

/// Long enough for every merge, rewrite, grace and sweep that is due.
const HEALING: Duration = Duration::from_secs(120);

/// Beyond the retention and what the clocks are off.
const SPARE: Duration = Duration::from_secs(300);

/// How often the last compactor looks.
const UNHURRIED: HumanDuration = HumanDuration::from_secs(60);

/// Compactors finish what is due; then what was deleted is gone from storage, and all else is as it must be.
pub async fn heal(cluster: &Cluster, ledger: &mut Ledger, tenants: &[Tenant]) -> Result<(), String> {
    let (one, two) = (cluster.boot_compactor("compactor 0"), cluster.boot_compactor("compactor 1"));
    let work = async { tokio::join!(one.0.gate.hear(one.1.run()), two.0.gate.hear(two.1.run())) };
    let _ = timeout(HEALING, work).await;
    one.0.gate.kill();
    two.0.gate.kill();
    check_all(cluster, ledger, tenants, 1).await?;
    for tenant in tenants {
        check_storage(cluster, ledger, tenant).await?;
    }
    Ok(())
}

/// Time passes until the retention is over.
pub async fn age(cluster: &Cluster, ledger: &mut Ledger, tenants: &[Tenant]) -> Result<(), String> {
    let config = spanlake_compactor::Config { interval: UNHURRIED, ..compactor_config() };
    let (process, compactor) = cluster.boot_compactor_with("compactor 0", config);
    let _ = timeout(RETENTION.get() + MAX_SKEW + SPARE, process.gate.hear(compactor.run())).await;
    process.gate.kill();
    // What it had sent lands.
    sleep(Duration::from_secs(1)).await;
    check_traces(cluster, ledger, &cluster.true_querier()).await?;
    let now = world::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    for tenant in tenants.iter().filter(|tenant| retains(tenant)) {
        let snapshot = true_snapshot(cluster, tenant).await?;
        let is_past = |block: &&BlockRef| {
            let end = u128::from(block.meta.time_range().end_unix_nanos);
            end + (RETENTION.get() + MAX_SKEW).as_nanos() < now.as_nanos()
        };
        let past = snapshot.blocks.iter().filter(|block| !is_damaged(&snapshot, &block.key)).find(is_past);
        if let Some(block) = past {
            return Err(format!("{} has outlived its retention", block.key));
        }
    }
    Ok(())
}

/// Every object that may hold rows is live or waits for its deletion, no deletion has yet to be forgotten, and no object has a
/// trace of which nothing may be shown. A damaged block stays as it is, with the deletions of what it holds.
async fn check_storage(cluster: &Cluster, ledger: &Ledger, tenant: &Tenant) -> Result<(), String> {
    let catalog = cluster.true_catalog();
    let snapshot = true_snapshot(cluster, tenant).await?;
    let deleted = cluster.watch.all_deleted();
    let waiting = deleted.iter().find(|(of, _, is_so)| of == tenant && *is_so);
    if snapshot.quarantined().is_empty()
        && let Some((_, id, _)) = waiting
    {
        return Err(format!("the deletion of trace {id} of {tenant} is still not carried out"));
    }
    let listed = cluster.truth.list(&format!("tenants/{tenant}/"), None).await.map_err(|error| error.to_string())?;
    for object in listed.into_iter().filter(|object| object.key.ends_with(".parquet")) {
        let key = object.key.as_str();
        if is_damaged(&snapshot, key) {
            continue;
        }
        if !snapshot.is_live(key) && snapshot.retired().all(|retired| &*retired.key != key) {
            return Err(format!("{key} is left over"));
        }
        let name = key.rsplit('/').next().unwrap_or_default();
        let (_, meta) = BlockMeta::parse_name(name).map_err(|error| format!("{key}: {error}"))?;
        let block = BlockRef { tenant: tenant.clone(), key: key.into(), meta };
        let search = catalog.open_search(&block).await.map_err(|error| error.to_string())?;
        let held = |id| search.summaries().iter().any(|summary| summary.trace_id == id);
        let mut gone = deleted.iter().filter(|(of, id, _)| of == tenant && ledger.must_be_gone(of, *id));
        if let Some((_, id, _)) = gone.find(|(_, id, _)| held(*id)) {
            return Err(format!("trace {id} is deleted, and {key} still has it"));
        }
    }
    Ok(())
}

async fn true_snapshot(cluster: &Cluster, tenant: &Tenant) -> Result<std::sync::Arc<Snapshot>, String> {
    cluster.true_catalog().snapshot(tenant).await.map_err(|error| error.to_string())
}

fn is_damaged(snapshot: &Snapshot, key: &str) -> bool {
    snapshot.quarantined().iter().any(|damaged| &*damaged.key == key)
}
