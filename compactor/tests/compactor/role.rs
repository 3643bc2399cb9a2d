//! What the role does to a store: merges, deletions, quarantine, several compactors, and everything that can go wrong between
//! two requests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use spanlake_block::{MergeOptions, Written};
use spanlake_catalog::{Catalog, Committed, Edit, Quarantined};
use spanlake_compactor::{Config, Turn};
use spanlake_model::{HumanDuration, Tenant, TraceId};
use spanlake_storage::faults::{Fault, Faulty};
use spanlake_storage::{Kind, Operation, Store};

use crate::world::{
    BEGIN, block_of, catalog, compactor, damaged_block, eager, expected, keys, levels, named_block, rows, settle,
    snapshot, spans, stores, trace,
};

const HOUR: u64 = 3_600_000_000_000;

async fn publish(store: &Store, traces: std::ops::Range<u8>, start: u64) {
    catalog(store).publish_l0(&Tenant::single(), block_of(traces, start)).await.expect("publish");
}

async fn won(catalog: &Catalog, edit: Edit) {
    match catalog.commit(&Tenant::single(), edit).await.expect("commit") {
        Committed::Won { .. } => {}
        other => panic!("{other:?}"),
    }
}

/// From flush to one block a window, and not an object more than that.
#[tokio::test]
async fn what_was_flushed_ends_up_in_one_block_a_window() {
    for (_root, store) in stores() {
        for i in 0..6u8 {
            // Overlapping, as retries are: each trace comes twice.
            publish(&store, i..i + 2, BEGIN + u64::from(i % 2) * HOUR).await;
        }
        let before = distinct_rows(&store).await;
        let compactor = compactor(&store, eager());
        settle(&compactor).await;
        let after = snapshot(&store).await;
        assert_eq!(levels(&after), [2, 2], "a block for each hour");
        assert_eq!(distinct_rows(&store).await, before);
        assert_eq!(after.retired().count(), 0, "everything is deleted and forgotten");
        let left = keys(&store).await;
        assert_eq!(left.iter().filter(|key| key.contains("/blocks/")).count(), 2, "{left:#?}");
        assert_eq!(left.iter().filter(|key| key.contains("/l0/")).count(), 0, "{left:#?}");
        assert_eq!(compactor.turn(&Tenant::single()).await.expect("a turn"), Turn::Idle);
    }
}

/// The distinct rows of all blocks: of a trace that came twice at different times there are two of each span.
async fn distinct_rows(store: &Store) -> Vec<(TraceId, [u8; 8], u64)> {
    let (catalog, snapshot) = (catalog(store), snapshot(store).await);
    let mut all = Vec::new();
    for block in &snapshot.blocks {
        all.extend(rows(&catalog, block).await);
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Looking at the tenants takes longer than an interval: the round does what is due all the same.
#[tokio::test(start_paused = true)]
async fn a_slow_look_still_leads_to_a_turn() {
    let faulty = Faulty::over(Store::memory().driver());
    let store = Store::over(faulty.clone(), &Default::default());
    for i in 0..3u8 {
        publish(&store, i..i + 1, BEGIN).await;
    }
    let compactor = compactor(&store, eager());
    for _ in 0..3 {
        faulty.next(Operation::List, Fault::Slow(500));
    }
    compactor.round().await;
    assert!(faulty.script_is_over());
    assert!(!levels(&snapshot(&store).await).contains(&0), "they were merged");
}

#[tokio::test]
async fn an_idle_tenant_costs_no_write() {
    let store = Store::memory();
    publish(&store, 0..3, BEGIN).await;
    let compactor = compactor(&store, Config { l0_max_wait: HumanDuration::from_secs(60), ..Config::default() });
    let before = store.meter().counts();
    for _ in 0..3 {
        assert!(!compactor.round().await);
    }
    let cost = store.meter().counts().since(&before);
    assert_eq!((cost.put.request_count, cost.delete.request_count, cost.get.request_count), (0, 0, 0));
    let status = compactor.status();
    let tenant = &status.tenants["single-tenant"];
    assert_eq!((tenant.backlog.block_count, tenant.due, tenant.is_held), (1, "nothing", false));
    assert_eq!(tenant.levels[&0].span_count, 9);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let store = Store::memory();
    for i in 0..4u8 {
        publish(&store, i..i + 1, BEGIN).await;
    }
    let before = keys(&store).await;
    let compactor = compactor(&store, Config { dry_run: true, retention: HumanDuration::from_secs(1), ..eager() });
    assert!(!compactor.round().await);
    assert_eq!(compactor.turn(&Tenant::single()).await.expect("a turn"), Turn::Idle);
    assert_eq!(keys(&store).await, before);
    assert_eq!(compactor.status().tenants["single-tenant"].due, "drop");
}

/// A deleted trace leaves storage, the tombstone leaves the manifest, and the audit stays.
#[tokio::test]
async fn deleted_traces_leave_storage() {
    for (_root, store) in stores() {
        for i in 0..4u8 {
            publish(&store, i..i + 2, BEGIN).await;
        }
        let first = compactor(&store, eager());
        settle(&first).await;
        let compacted = snapshot(&store).await.blocks.to_vec();
        publish(&store, 2..3, BEGIN).await;
        let deletion = catalog(&store).delete_traces(&Tenant::single(), &[trace(2), trace(77)], "test").await;
        let audit_key = deletion.expect("delete").audit_key;
        let mut left = expected(0..5);
        left.retain(|(id, _)| *id != trace(2));
        assert_eq!(spans(&store).await, left, "gone from answers at once");
        settle(&first).await;
        let after = snapshot(&store).await;
        assert!(after.deleted().is_empty(), "no live block holds it");
        assert_eq!(spans(&store).await, left, "gone from storage");
        assert!(!after.blocks.contains(&compacted[0]));
        store.get(&audit_key).await.expect("kept for ever");
        assert!(keys(&store).await.iter().all(|key| !key.contains(&*compacted[0].key)), "its objects are deleted");
    }
}

/// Until it is old enough a tombstone goes on hiding what arrives late.
#[tokio::test]
async fn a_young_tombstone_is_kept() {
    let store = Store::memory();
    publish(&store, 0..2, BEGIN).await;
    catalog(&store).delete_traces(&Tenant::single(), &[trace(0)], "test").await.expect("delete");
    let compactor = compactor(&store, Config { deleted_traces_min_age: HumanDuration::from_secs(3_600), ..eager() });
    settle(&compactor).await;
    assert_eq!(snapshot(&store).await.deleted().len(), 1);
    publish(&store, 0..1, BEGIN).await;
    assert_eq!(spans(&store).await, expected(1..2));
    settle(&compactor).await;
    assert_eq!((spans(&store).await, levels(&snapshot(&store).await)), (expected(1..2), vec![2]));
}

#[tokio::test]
async fn retention_drops_whole_blocks_by_the_tenants_own_setting() {
    let store = Store::memory();
    let other = Tenant::parse("other").expect("a name");
    for tenant in [Tenant::single(), other.clone()] {
        catalog(&store).publish_l0(&tenant, block_of(0..2, BEGIN)).await.expect("publish");
    }
    let tenants =
        [("other".to_owned(), spanlake_compactor::TenantConfig { retention: Some(HumanDuration::from_secs(0)) })];
    let config = Config { retention: HumanDuration::from_secs(3_600), tenants: tenants.into(), ..eager() };
    let compactor = compactor(&store, config);
    while compactor.round().await {}
    assert_eq!(snapshot(&store).await.blocks.len(), 0);
    assert_eq!(catalog(&store).snapshot(&other).await.expect("snapshot").blocks.len(), 1);
}

/// A block alone in its window moves up without being read.
#[tokio::test]
async fn a_block_alone_is_moved() {
    let store = Store::memory();
    let catalog = catalog(&store);
    let block = catalog.stage_block(&Tenant::single(), named_block(1, BEGIN)).await.expect("stage");
    won(&catalog, Edit { add: vec![block.clone()], ..Edit::default() }).await;
    let before = store.meter().counts();
    settle(&compactor(&store, eager())).await;
    assert_eq!(store.meter().counts().since(&before).get_range.request_count, 0);
    let after = snapshot(&store).await;
    assert_eq!((levels(&after), after.retired().count()), (vec![2], 0));
    assert_eq!(after.blocks.newest(1)[0].key, block.key);
}

/// Of two compactors one works; when it is silent for too long the other takes over, and the first can commit nothing any more.
#[tokio::test(start_paused = true)]
async fn a_zombie_drops_its_work() {
    let store = Store::memory();
    for i in 0..3u8 {
        publish(&store, i..i + 1, BEGIN).await;
    }
    let faulty = Faulty::over(store.driver());
    let slow_store = Store::over(faulty.clone(), &Default::default());
    let (zombie, heir) = (compactor(&slow_store, eager()), compactor(&store, eager()));
    let tenant = Tenant::single();
    // The lease, the claim, an output of the zombie; then the manifest's PUT takes its time before it begins.
    let asleep = {
        let zombie = zombie.clone();
        let tenant = tenant.clone();
        // Everything up to the first read of a block goes well.
        faulty.next(Operation::GetRange, Fault::Slow(25_000));
        tokio::spawn(async move { zombie.turn(&tenant).await })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(heir.turn(&tenant).await.expect("a turn"), Turn::Elsewhere, "the lease is held");
    tokio::time::sleep(Duration::from_secs(5)).await;
    // Another process takes the epoch, as it would when the lease is over.
    let epoch = catalog(&store).claim(&tenant).await.expect("claim");
    assert_eq!(asleep.await.expect("no panic").expect("a turn"), Turn::Elsewhere, "it is fenced");
    let after = snapshot(&store).await;
    assert_eq!((after.epoch, levels(&after)), (epoch, vec![0, 0, 0]));
    assert!(keys(&store).await.iter().all(|key| !key.contains("/blocks/")), "its outputs are swept");
    assert_eq!(spans(&store).await, expected(0..3));
    tokio::time::sleep(Duration::from_secs(31)).await;
    settle(&heir).await;
    assert_eq!(spans(&store).await, expected(0..3));
}

/// A lease is taken over only after it was silent for its time as the observer measures it.
#[tokio::test(start_paused = true)]
async fn a_silent_lease_is_taken_over() {
    let store = Store::memory();
    for i in 0..4u8 {
        publish(&store, i..i + 1, BEGIN).await;
    }
    let (first, second, tenant) = (compactor(&store, eager()), compactor(&store, eager()), Tenant::single());
    assert_eq!(first.turn(&tenant).await.expect("a turn"), Turn::Worked);
    publish(&store, 9..10, BEGIN).await;
    publish(&store, 10..11, BEGIN).await;
    assert_eq!(second.turn(&tenant).await.expect("a turn"), Turn::Elsewhere);
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(second.turn(&tenant).await.expect("a turn"), Turn::Elsewhere);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(second.turn(&tenant).await.expect("a turn"), Turn::Worked);
    assert_eq!(first.turn(&tenant).await.expect("a turn"), Turn::Elsewhere, "it has lost the lease");
    settle(&second).await;
    assert_eq!(spans(&store).await.len(), 18);
    // Given back by a round that finds nothing, it is free at once.
    assert!(!second.round().await);
    publish(&store, 11..12, BEGIN).await;
    publish(&store, 12..13, BEGIN).await;
    settle(&first).await;
    assert_eq!(spans(&store).await.len(), 24);
}

/// Two compactors and an ingester at once: nothing is lost or doubled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_compactors_lose_nothing() {
    for (_root, store) in stores() {
        // Snapshots rely on a grace that is longer than they take: without one, a block could be deleted between the listings of level 0
        // and of manifests, and be in neither.
        let delete_grace = HumanDuration::from_millis(500);
        let config = Config { lease: HumanDuration::from_millis(30), delete_grace, ..eager() };
        let compactors = [compactor(&store, config.clone()), compactor(&store, config)];
        let workers: Vec<_> = compactors.iter().map(|compactor| tokio::spawn(compactor.clone().run())).collect();
        for i in 0..40u8 {
            publish(&store, i..i + 1, BEGIN + u64::from(i % 3) * HOUR).await;
            assert_eq!(spans_seen(&store).await, usize::from(i) + 1);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for worker in workers {
            worker.abort();
            let _ = worker.await;
        }
        let last = compactor(&store, eager());
        for _ in 0..200 {
            if last.turn(&Tenant::single()).await.expect("a turn") == Turn::Idle {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(spans(&store).await, expected(0..40));
    }
}

/// Traces that a reader finds, who takes a new snapshot when a block is gone.
async fn spans_seen(store: &Store) -> usize {
    let catalog = catalog(store);
    'again: for _ in 0..20 {
        let snapshot = snapshot(store).await;
        let mut traces = std::collections::BTreeSet::new();
        for block in &snapshot.blocks {
            match catalog.open_search(block).await {
                Ok(search) => traces.extend(search.summaries().iter().map(|summary| summary.trace_id)),
                // With so short a grace this is no surprise.
                Err(error) if error.is_gone() => continue 'again,
                Err(error) => panic!("{error}"),
            }
        }
        return traces.len();
    }
    panic!("blocks keep vanishing");
}

/// The process dies after its outputs are stored and before they are committed: the next one does the work again, and sweeps.
#[tokio::test]
async fn outputs_of_a_crash_are_swept() {
    let store = Store::memory();
    publish(&store, 0..2, BEGIN).await;
    let orphan = catalog(&store).stage_block(&Tenant::single(), named_block(1, BEGIN)).await.expect("stage");
    let config = Config {
        sweep_interval: HumanDuration::from_secs(0),
        orphan_min_age: HumanDuration::from_secs(3_600),
        ..eager()
    };
    compactor(&store, config.clone()).turn(&Tenant::single()).await.expect("a turn");
    assert!(keys(&store).await.contains(&orphan.key.to_string()), "it is young: its writer may be about to commit");
    let config = Config { orphan_min_age: HumanDuration::from_secs(0), ..config };
    compactor(&store, Config { dry_run: true, ..config.clone() }).round().await;
    assert!(keys(&store).await.contains(&orphan.key.to_string()), "a dry run");
    let live = catalog(&store).stage_block(&Tenant::single(), named_block(2, BEGIN)).await.expect("stage");
    let epoch = snapshot(&store).await.epoch;
    won(&catalog(&store), Edit { add: vec![live.clone()], epoch, ..Edit::default() }).await;
    settle(&compactor(&store, config)).await;
    let left = keys(&store).await;
    assert!(!left.contains(&orphan.key.to_string()), "it is swept");
    assert!(left.contains(&live.key.to_string()), "what is live is not");
    assert_eq!(snapshot(&store).await.blocks.len(), 2);
}

/// The answer to the commit is lost for good: nothing is deleted, and the next turn finds out what holds.
#[tokio::test(start_paused = true)]
async fn an_unknown_commit_deletes_nothing() {
    for landed in [true, false] {
        let faulty = Faulty::over(Store::memory().driver());
        let store = Store::over(faulty.clone(), &Default::default());
        for i in 0..3u8 {
            publish(&store, i..i + 1, BEGIN).await;
        }
        let compactor = compactor(&store, eager());
        let tenant = Tenant::single();
        // Puts of the turn: lease, claim, one output, the commit.
        for _ in 0..3 {
            faulty.next(Operation::Put, Fault::Slow(0));
        }
        for _ in 0..2 {
            faulty.next(Operation::Put, if landed { Fault::HangAfter } else { Fault::HangBefore });
        }
        for _ in 0..4 {
            faulty.next(Operation::Get, Fault::HangBefore);
        }
        let first = compactor.turn(&tenant).await.expect("a turn");
        assert_eq!(first, Turn::Idle, "it is unknown");
        // What the script still has is for nobody.
        while !faulty.script_is_over() {
            let _ = store.get("tenants/nothing").await;
            let _ = store.create(&format!("probe/{}", rand_key()), bytes::Bytes::new()).await;
        }
        assert_eq!(spans(&store).await, expected(0..3), "landed: {landed}");
        tokio::time::sleep(Duration::from_secs(60)).await;
        settle(&compactor).await;
        assert_eq!(
            (spans(&store).await, levels(&snapshot(&store).await)),
            (expected(0..3), vec![2]),
            "landed: {landed}"
        );
    }
}

fn rand_key() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

/// Objects are deleted first and forgotten afterwards; a process that dies in between leaves a list that is too long, no more.
#[tokio::test]
async fn a_crash_between_deletion_and_forgetting_is_made_good() {
    let store = Store::memory();
    for i in 0..3u8 {
        publish(&store, i..i + 1, BEGIN).await;
    }
    let config = Config { delete_grace: HumanDuration::from_secs(3_600), ..eager() };
    let first = compactor(&store, config);
    settle(&first).await;
    first.round().await;
    let retired: Vec<_> = snapshot(&store).await.retired().map(|retired| Arc::clone(&retired.key)).collect();
    assert!(retired.len() >= 3, "they wait for their grace");
    for key in &retired {
        store.get(key).await.expect("still there");
        store.delete(key).await.expect("delete, and die");
    }
    let second = compactor(&store, eager());
    settle(&second).await;
    assert_eq!(snapshot(&store).await.retired().count(), 0);
    assert_eq!(spans(&store).await, expected(0..3));
}

/// Objects of level 0 go early, their entries in the manifest do not: one that a late PUT brings back is not live.
#[tokio::test]
async fn level_0_goes_early_and_is_forgotten_late() {
    let store = Store::memory();
    for i in 0..3u8 {
        publish(&store, i..i + 1, BEGIN).await;
    }
    let late = snapshot(&store).await.blocks.newest(1).remove(0);
    let late_bytes = store.get(&late.key).await.expect("there");
    let delete_grace = HumanDuration::from_secs(3_600);
    let first = compactor(&store, Config { delete_grace, l0_delete_grace: HumanDuration::from_secs(0), ..eager() });
    settle(&first).await;
    let left = keys(&store).await;
    assert!(left.iter().all(|key| !key.contains("/l0/")), "{left:#?}");
    let retired_l0 = snapshot(&store).await.retired().filter(|retired| retired.key.contains("/l0/")).count();
    assert_eq!(retired_l0, 3);
    store.create(&late.key, late_bytes).await.expect("a late PUT");
    assert_eq!(spans(&store).await, expected(0..3));
    settle(&first).await;
    settle(&compactor(&store, eager())).await;
    assert_eq!(snapshot(&store).await.retired().count(), 0);
    assert_eq!(keys(&store).await.iter().filter(|key| key.contains("/l0/")).count(), 0, "deleted again");
    assert_eq!(spans(&store).await, expected(0..3));
}

/// More objects than one turn deletes are deleted by turns without a pause.
#[tokio::test]
async fn many_retired_objects_do_not_wait_for_intervals() {
    let store = Store::memory();
    let catalog = catalog(&store);
    let (written, mut blocks) = (named_block(2, BEGIN), Vec::new());
    for _ in 0..1_100 {
        blocks.push(catalog.stage_block(&Tenant::single(), written.clone()).await.expect("stage"));
    }
    won(&catalog, Edit { add: blocks.clone(), ..Edit::default() }).await;
    won(&catalog, Edit { remove: blocks, ..Edit::default() }).await;
    settle(&compactor(&store, Config { interval: HumanDuration::from_secs(3_600), ..eager() })).await;
    assert_eq!(snapshot(&store).await.retired().count(), 0);
    assert_eq!(keys(&store).await.iter().filter(|key| key.contains("/blocks/")).count(), 0);
}

/// More manifests than one sweep takes do not wait for the next sweep of everything.
#[tokio::test(start_paused = true)]
async fn many_old_manifests_are_swept_soon() {
    let store = Store::memory();
    let catalog = catalog(&store);
    for _ in 0..1_250 {
        won(&catalog, Edit::default()).await;
    }
    let sweep_interval = HumanDuration::from_secs(3_600);
    let compactor =
        compactor(&store, Config { sweep_interval, manifest_min_age: HumanDuration::from_secs(0), ..eager() });
    compactor.round().await;
    tokio::time::sleep(Duration::from_secs(3_601)).await;
    for _ in 0..5 {
        compactor.round().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let left = keys(&store).await.iter().filter(|key| key.contains("/manifest/")).count();
    assert!(left <= 110, "{left} are left");
}

/// A damaged block is left as it is, named, and everything else is merged.
#[tokio::test]
async fn a_damaged_block_is_quarantined() {
    for (_root, store) in stores() {
        for i in 0..3u8 {
            publish(&store, i..i + 1, BEGIN).await;
        }
        let damaged = catalog(&store).publish_l0(&Tenant::single(), damaged_block(BEGIN)).await.expect("publish");
        let compactor = compactor(&store, eager());
        settle(&compactor).await;
        let after = snapshot(&store).await;
        assert_eq!(levels(&after), [0, 2]);
        assert_eq!(after.quarantined().len(), 1);
        assert_eq!(after.quarantined()[0].key, damaged.key);
        store.get(&damaged.key).await.expect("its object stays");
        compactor.round().await;
        let status = compactor.status();
        assert_eq!(status.tenants["single-tenant"].quarantined[0].key, *damaged.key);
        let retention = Config { retention: HumanDuration::from_secs(1), ..eager() };
        let others = self::compactor(&store, retention);
        settle(&others).await;
        assert_eq!(snapshot(&store).await.blocks, [damaged], "nothing drops it either");
    }
}

/// A damaged block stays, and so do the deletions of what it holds; others are forgotten.
#[tokio::test(start_paused = true)]
async fn a_damaged_block_keeps_what_it_holds_deleted() {
    let store = Store::memory();
    publish(&store, 0..2, BEGIN).await;
    publish(&store, 0..2, BEGIN).await;
    let compactor = compactor(&store, eager());
    let good = block_of(5..7, BEGIN);
    let mut bytes = good.bytes.to_vec();
    bytes[100] ^= 1;
    let damaged = Written { bytes: bytes.into(), ..good };
    let damaged = catalog(&store).publish_l0(&Tenant::single(), damaged).await.expect("publish");
    settle(&compactor).await;
    assert_eq!(snapshot(&store).await.quarantined()[0].key, damaged.key);
    catalog(&store).delete_traces(&Tenant::single(), &[trace(0), trace(5), trace(77)], "test").await.expect("delete");
    settle(&compactor).await;
    let after = snapshot(&store).await;
    assert_eq!(after.deleted().iter().map(|(id, _)| *id).collect::<Vec<_>>(), [trace(5)]);
    // Later deletions are looked for in it, too.
    catalog(&store).delete_traces(&Tenant::single(), &[trace(6), trace(1), trace(78)], "test").await.expect("delete");
    settle(&compactor).await;
    let after = snapshot(&store).await;
    assert_eq!(after.deleted().iter().map(|(id, _)| *id).collect::<Vec<_>>(), [trace(5), trace(6)]);
}

/// A damaged block that tells nothing keeps all deletions, for a week.
#[tokio::test(start_paused = true)]
async fn a_block_that_cannot_be_read_keeps_deletions_for_a_week() {
    for (days, left) in [(6, 1), (8, 0)] {
        let store = Store::memory();
        let damaged = catalog(&store).publish_l0(&Tenant::single(), damaged_block(BEGIN)).await.expect("publish");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let since = now - Duration::from_secs(days * 24 * 3_600);
        let unix_nanos = u64::try_from(since.as_nanos()).expect("before 2554");
        let quarantine = vec![Quarantined { key: damaged.key, problem: "a test".to_owned(), unix_nanos }];
        won(&catalog(&store), Edit { quarantine, ..Edit::default() }).await;
        catalog(&store).delete_traces(&Tenant::single(), &[trace(0)], "test").await.expect("delete");
        settle(&compactor(&store, eager())).await;
        assert_eq!(snapshot(&store).await.deleted().len(), left, "after {days} days");
    }
}

/// What came in damaged once, or is gone, is not quarantined.
#[tokio::test(start_paused = true)]
async fn a_short_read_or_a_missing_object_is_no_damage() {
    let faulty = Faulty::over(Store::memory().driver());
    let store = Store::over(faulty.clone(), &Default::default());
    for i in 0..3u8 {
        publish(&store, i..i + 1, BEGIN).await;
    }
    let compactor = compactor(&store, eager());
    faulty.next(Operation::GetRange, Fault::Short);
    settle(&compactor).await;
    assert!(faulty.script_is_over());
    assert_eq!((levels(&snapshot(&store).await), snapshot(&store).await.quarantined().len()), (vec![2], 0));
    publish(&store, 5..6, BEGIN).await;
    publish(&store, 6..7, BEGIN).await;
    faulty.next(Operation::GetRange, Fault::Before(Kind::NotFound));
    compactor.turn(&Tenant::single()).await.expect("a turn");
    assert_eq!(snapshot(&store).await.quarantined().len(), 0);
    settle(&compactor).await;
    assert_eq!(spans(&store).await.len(), 15);
}

/// A live block whose object was lost is named, and stops neither merges nor the removal of deleted traces.
#[tokio::test]
async fn a_lost_object_is_quarantined() {
    for deletes in [false, true] {
        let store = Store::memory();
        let catalog = catalog(&store);
        let mut add = Vec::new();
        for _ in 0..2 {
            add.push(catalog.stage_block(&Tenant::single(), named_block(1, BEGIN)).await.expect("stage"));
        }
        won(&catalog, Edit { add: add.clone(), ..Edit::default() }).await;
        if deletes {
            catalog.delete_traces(&Tenant::single(), &[trace(77)], "test").await.expect("delete");
        }
        store.delete(&add[0].key).await.expect("lose it");
        settle(&compactor(&store, eager())).await;
        let after = snapshot(&store).await;
        assert_eq!(after.quarantined().len(), 1, "{deletes}");
        assert_eq!((&after.quarantined()[0].key, levels(&after)), (&add[0].key, vec![1, 2]));
        assert!(after.quarantined()[0].problem.contains("not there"));
    }
}

/// A store that fails one request in ten, at random: whatever happens, every span is there once.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost_over_a_failing_store() {
    for seed in 0..12 {
        let sound = Store::memory();
        let faulty = Faulty::over(sound.driver());
        let store = Store::over(faulty.clone(), &Default::default());
        let compactors = [compactor(&store, eager()), compactor(&store, eager())];
        for i in 0..24u8 {
            publish(&sound, i..i + 1, BEGIN + u64::from(i % 2) * HOUR).await;
            faulty.random(seed * 100 + u64::from(i), 10);
            for compactor in &compactors {
                // It may fail: that is the point.
                let _ = compactor.turn(&Tenant::single()).await;
            }
            faulty.random(0, 0);
            if i % 8 == 7 {
                tokio::time::sleep(Duration::from_secs(31)).await;
            }
            assert_eq!(spans(&sound).await, expected(0..i + 1), "seed {seed}, round {i}");
        }
        tokio::time::sleep(Duration::from_secs(31)).await;
        let last = compactor(&sound, eager());
        let _ = last.turn(&Tenant::single()).await;
        tokio::time::sleep(Duration::from_secs(31)).await;
        settle(&last).await;
        assert_eq!(spans(&sound).await, expected(0..24), "seed {seed}");
        let left = levels(&snapshot(&sound).await);
        // One of level 0 may wait for another.
        assert!(left == [2, 2] || left == [0, 2, 2], "seed {seed}: {left:?}");
    }
}

#[test]
fn merges_are_bounded_by_default() {
    let options = MergeOptions::default();
    assert!(options.max_block_bytes >= Config::default().max_block_bytes.bytes());
}
