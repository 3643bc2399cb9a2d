//! Manifests in parts: what a tenant with thousands of blocks costs, and that every reader sees the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use spanlake_block::{BlockMeta, WriteReport, Written};
use spanlake_catalog::{BlockRef, Catalog, Committed, Config, Edit, Error, Quarantined, Snapshot};
use spanlake_model::{Tenant, TimeRange};
use spanlake_storage::Store;

fn written(level: u8, max_end_unix_nanos: u64) -> Written {
    let bytes = Bytes::from_static(b"not really a block");
    let meta = BlockMeta {
        format_version: 1,
        level,
        span_count: 1,
        trace_count: 1,
        min_start_unix_nanos: max_end_unix_nanos.saturating_sub(5),
        max_end_unix_nanos,
        object_bytes: bytes.len() as u64,
        search_offset: 4,
        tail_offset: 8,
        tail_crc32c: 1,
    };
    Written { bytes, meta, report: WriteReport::default() }
}

fn catalog(store: &Store) -> Catalog {
    Catalog::new(store.clone(), Config::default())
}

async fn won(catalog: &Catalog, tenant: &Tenant, edit: Edit) {
    match catalog.commit(tenant, edit).await.expect("commit") {
        Committed::Won { .. } => {}
        other => panic!("{other:?}"),
    }
}

async fn stage(catalog: &Catalog, tenant: &Tenant, ends: impl Iterator<Item = u64>) -> Vec<BlockRef> {
    let mut staged = Vec::new();
    for end in ends {
        staged.push(catalog.stage_block(tenant, written(1, end)).await.expect("stage"));
    }
    staged
}

fn keys<'a>(blocks: impl IntoIterator<Item = &'a BlockRef>) -> BTreeSet<Arc<str>> {
    blocks.into_iter().map(|block| Arc::clone(&block.key)).collect()
}

fn check_order(snapshot: &Snapshot) {
    let ends: Vec<u64> = snapshot.blocks.iter().map(|block| block.meta.max_end_unix_nanos).collect();
    assert!(ends.is_sorted_by(|a, b| a >= b));
    assert_eq!(ends.len(), snapshot.blocks.len());
}

#[tokio::test]
async fn every_reader_sees_what_was_committed_and_a_commit_writes_what_it_touches() {
    let store = Store::memory();
    let (writer, follower, tenant) = (catalog(&store), catalog(&store), Tenant::single());
    let mut expect = BTreeSet::new();
    for round in 0..20u64 {
        // Some are late: they belong among parts that are there already.
        let add = stage(&writer, &tenant, (0..300).map(|i| if i % 50 == 0 { i * 10 } else { round * 1_000 + i })).await;
        expect.extend(keys(&add));
        won(&writer, &tenant, Edit { add, ..Edit::default() }).await;
        if round % 7 == 0 {
            follower.snapshot(&tenant).await.expect("snapshot");
        }
    }
    let l0 = writer.publish_l0(&tenant, written(0, 7_777)).await.expect("publish");
    expect.insert(Arc::clone(&l0.key));
    for reader in [&writer, &follower, &catalog(&store)] {
        let snapshot = reader.snapshot(&tenant).await.expect("snapshot");
        assert_eq!(keys(&snapshot.blocks), expect);
        check_order(&snapshot);
        for (start, end) in [(0, 0), (500, 900), (7_000, 8_100), (19_200, u64::MAX)] {
            let range = TimeRange { start_unix_nanos: start, end_unix_nanos: end };
            let slow = snapshot.blocks.iter().filter(|block| block.meta.time_range().overlaps(&range));
            assert!(snapshot.blocks_in(range).eq(slow), "{range:?}");
        }
    }
    let snapshot = follower.snapshot(&tenant).await.expect("snapshot");
    assert!(snapshot.manifest_part_keys().count() > 4);
    let old = snapshot.blocks.iter().nth(3_000).expect("many").clone();
    let before = store.meter().counts();
    won(&writer, &tenant, Edit { remove: vec![old.clone()], ..Edit::default() }).await;
    let cost = store.meter().counts().since(&before);
    assert_eq!(cost.put.request_count, 2, "one part and the head");
    let before = store.meter().counts();
    let after = follower.snapshot(&tenant).await.expect("snapshot");
    assert_eq!(store.meter().counts().since(&before).get.request_count, 2, "the head and one part");
    assert!(!after.blocks.contains(&old) && after.blocks.len() == expect.len() - 1);
    assert_eq!(after.retired().map(|retired| &retired.key).collect::<Vec<_>>(), [&old.key]);
    let error = catalog(&store).commit(&tenant, Edit { remove: vec![old], ..Edit::default() }).await;
    assert!(matches!(error, Err(Error::NotLive { .. })), "{error:?}");
}

#[tokio::test]
async fn a_missing_or_damaged_part_is_named() {
    let store = Store::memory();
    let (writer, tenant) = (catalog(&store), Tenant::single());
    let add = stage(&writer, &tenant, 0..700).await;
    won(&writer, &tenant, Edit { add, ..Edit::default() }).await;
    let snapshot = writer.snapshot(&tenant).await.expect("snapshot");
    let part = snapshot.manifest_part_keys().next().expect("a part");
    let good = store.get(&part).await.expect("it is there");
    store.delete(&part).await.expect("delete");
    let error = catalog(&store).snapshot(&tenant).await.expect_err("it is gone");
    assert!(error.to_string().contains(&part), "{error}");
    let mut flipped = good.to_vec();
    flipped[100] ^= 1;
    store.create(&part, Bytes::from(flipped)).await.expect("create");
    let error = catalog(&store).snapshot(&tenant).await.expect_err("it is damaged");
    assert!(error.is_damage() && error.to_string().contains(&part), "{error}");
}

#[tokio::test]
async fn a_block_counts_as_one_of_another_level_without_being_rewritten() {
    let store = Store::memory();
    let (writer, tenant) = (catalog(&store), Tenant::single());
    let staged = stage(&writer, &tenant, 0..700).await;
    won(&writer, &tenant, Edit { add: staged.clone(), ..Edit::default() }).await;
    let before = store.meter().counts();
    // One lies in a part, one in the head.
    let relevel = vec![(staged[3].clone(), 2), (staged[699].clone(), 2)];
    won(&writer, &tenant, Edit { relevel, ..Edit::default() }).await;
    assert_eq!(store.meter().counts().since(&before).put.request_count, 2);
    for reader in [&writer, &catalog(&store)] {
        let snapshot = reader.snapshot(&tenant).await.expect("snapshot");
        assert_eq!(snapshot.blocks.len(), 700);
        let moved: Vec<_> = snapshot.blocks.iter().filter(|block| block.meta.level == 2).collect();
        assert_eq!(keys(moved), keys([&staged[3], &staged[699]]));
        assert_eq!(snapshot.retired().count(), 0);
    }
    let l0 = writer.publish_l0(&tenant, written(0, 1)).await.expect("publish");
    let error = writer.commit(&tenant, Edit { relevel: vec![(l0, 1)], ..Edit::default() }).await;
    assert!(matches!(error, Err(Error::InvalidEdit { .. })), "{error:?}");
}

#[tokio::test]
async fn damaged_blocks_are_named_until_they_are_released_or_removed() {
    let store = Store::memory();
    let (writer, tenant) = (catalog(&store), Tenant::single());
    let staged = stage(&writer, &tenant, 0..3).await;
    won(&writer, &tenant, Edit { add: staged.clone(), ..Edit::default() }).await;
    let named =
        |block: &BlockRef| Quarantined { key: Arc::clone(&block.key), problem: "é".repeat(400), unix_nanos: 5 };
    let unknown =
        Quarantined { key: Arc::from("tenants/single-tenant/blocks/x"), problem: String::new(), unix_nanos: 5 };
    let quarantine = staged.iter().map(named).chain([named(&staged[0]), unknown]).collect();
    won(&writer, &tenant, Edit { quarantine, ..Edit::default() }).await;
    let snapshot = catalog(&store).snapshot(&tenant).await.expect("snapshot");
    assert_eq!(snapshot.quarantined().len(), 3);
    assert!(snapshot.quarantined()[0].problem.len() <= 300);
    assert_eq!(snapshot.blocks.len(), 3, "they stay live");
    let edit = Edit { release: vec![staged[0].key.clone()], remove: vec![staged[1].clone()], ..Edit::default() };
    won(&writer, &tenant, edit).await;
    let snapshot = catalog(&store).snapshot(&tenant).await.expect("snapshot");
    assert_eq!(snapshot.quarantined().iter().map(|one| &one.key).collect::<Vec<_>>(), [&staged[2].key]);
}

/// Retired objects fill parts of their own, and leave them when they are forgotten.
#[tokio::test]
async fn many_retired_objects_do_not_burden_every_commit() {
    let store = Store::memory();
    let (writer, tenant) = (catalog(&store), Tenant::single());
    let mut retired = Vec::new();
    for round in 0..8u64 {
        let mut remove = Vec::new();
        for i in 0..200 {
            remove.push(writer.publish_l0(&tenant, written(0, round * 1_000 + i)).await.expect("publish"));
        }
        retired.extend(remove.iter().map(|block| Arc::clone(&block.key)));
        won(&writer, &tenant, Edit { remove, ..Edit::default() }).await;
    }
    let reader = catalog(&store);
    let snapshot = reader.snapshot(&tenant).await.expect("snapshot");
    assert!(snapshot.blocks.is_empty(), "the listing shows none of them as live");
    assert_eq!(snapshot.retired().map(|retired| Arc::clone(&retired.key)).collect::<Vec<_>>(), retired, "oldest first");
    let parts = snapshot.manifest_part_keys().count();
    assert_eq!(parts, 2);
    let before = store.meter().counts();
    won(&writer, &tenant, Edit::default()).await;
    assert!(store.meter().counts().since(&before).put.bytes < 100_000);
    for key in &retired[..700] {
        store.delete(key).await.expect("delete");
    }
    won(&writer, &tenant, Edit { forget: retired[..700].to_vec(), ..Edit::default() }).await;
    for reader in [&reader, &catalog(&store)] {
        let snapshot = reader.snapshot(&tenant).await.expect("snapshot");
        assert!(snapshot.blocks.is_empty());
        assert!(snapshot.retired().map(|retired| &retired.key).eq(&retired[700..]));
    }
}
