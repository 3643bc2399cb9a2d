//! The catalog as its users see it: races, damage, zombies, and what a snapshot must show.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use spanlake_block::{BlockMeta, WriteReport, Written};
use spanlake_catalog::{BlockRef, Catalog, Committed, Config, Edit, Error};
use spanlake_model::{Tenant, TimeRange};
use spanlake_storage::faults::{Fault, Faulty};
use spanlake_storage::{Kind, Operation, Store};

/// Something with a block's name: the catalog looks no further.
fn written(level: u8, max_end_unix_nanos: u64) -> Written {
    let bytes = Bytes::from_static(b"not really a block");
    let object_bytes = bytes.len() as u64;
    let meta = BlockMeta {
        format_version: 1,
        level,
        span_count: 1,
        trace_count: 1,
        min_start_unix_nanos: max_end_unix_nanos.saturating_sub(5),
        max_end_unix_nanos,
        object_bytes,
        search_offset: 4,
        tail_offset: 8,
        tail_crc32c: 1,
    };
    Written { bytes, meta, report: WriteReport::default() }
}

fn catalog(store: &Store) -> Catalog {
    Catalog::new(store.clone(), Config::default())
}

fn directory() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().expect("a temporary directory");
    let url = root.path().display().to_string();
    let store = Store::open(&spanlake_storage::Config { url, ..Default::default() }).expect("open");
    (root, store)
}

fn keys(blocks: &[BlockRef]) -> HashSet<Arc<str>> {
    blocks.iter().map(|block| Arc::clone(&block.key)).collect()
}

async fn commit_until_won(catalog: &Catalog, tenant: &Tenant, edit: Edit) -> u64 {
    loop {
        match catalog.commit(tenant, edit.clone()).await.expect("commit") {
            Committed::Won { sequence } => return sequence,
            Committed::Lost { .. } => {}
            Committed::Unknown { key } => panic!("unknown: {key}"),
        }
    }
}

/// Sixteen compactors, each with a catalog of its own, merge one level-0 block each: all edits end up in one linear chain.
async fn racing_commits(store: &Store) {
    let tenant = Tenant::single();
    let ingest = catalog(store);
    let mut inputs = Vec::new();
    for i in 0..17 {
        inputs.push(ingest.publish_l0(&tenant, written(0, i)).await.expect("publish"));
    }
    let left = inputs.pop().expect("the one nobody merges");
    let commits = inputs.into_iter().map(|input| {
        let (catalog, tenant) = (catalog(store), tenant.clone());
        tokio::spawn(async move {
            let output = catalog.stage_block(&tenant, written(1, 100)).await.expect("stage");
            let edit = Edit { add: vec![output.clone()], remove: vec![input], ..Edit::default() };
            (commit_until_won(&catalog, &tenant, edit).await, output)
        })
    });
    let mut sequences = Vec::new();
    let mut expect = HashSet::from([left.key]);
    for commit in futures::future::join_all(commits).await {
        let (sequence, output) = commit.expect("no panic");
        sequences.push(sequence);
        expect.insert(output.key);
    }
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=16).collect::<Vec<_>>());
    let snapshot = catalog(store).snapshot(&tenant).await.expect("snapshot");
    assert_eq!((snapshot.manifest_sequence, keys(&snapshot.blocks.to_vec())), (16, expect));
    assert_eq!(snapshot.retired().count(), 16);
    let mut previous = String::new();
    for sequence in 1..=16u64 {
        let key = format!("tenants/single-tenant/manifest/{sequence:020}.json");
        let body = store.get(&key).await.expect("no gap");
        let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(json["previous"], previous, "{key}");
        let text = |field: &str| json[field].as_str().expect("text").to_owned();
        previous = format!("{}-{}", text("nonce"), text("crc32c"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_commits_make_a_chain_in_memory() {
    racing_commits(&Store::memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_commits_make_a_chain_in_a_directory() {
    let (_root, store) = directory();
    racing_commits(&store).await;
}

/// While others publish and take snapshots without pause, whoever publishes sees its block in its next snapshot, through
/// its own catalog or another one.
async fn snapshots_are_linearizable(store: &Store, publishers: usize, rounds: u64) {
    let tenant = Tenant::single();
    let catalogs = [catalog(store), catalog(store)];
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|i| {
            let (catalog, tenant, stop) = (catalogs[i % 2].clone(), tenant.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut seen = 0;
                while !stop.load(Ordering::Relaxed) {
                    let count = catalog.snapshot(&tenant).await.expect("snapshot").blocks.len();
                    assert!(count >= seen, "a snapshot never goes back");
                    seen = count;
                }
            })
        })
        .collect();
    let publishers = (0..publishers).map(|i| {
        let (mine, other, tenant) = (catalogs[i % 2].clone(), catalogs[(i + 1) % 2].clone(), tenant.clone());
        tokio::spawn(async move {
            for round in 0..rounds {
                let block = mine.publish_l0(&tenant, written(0, round)).await.expect("publish");
                for catalog in [&mine, &other] {
                    let snapshot = catalog.snapshot(&tenant).await.expect("snapshot");
                    assert!(snapshot.blocks.contains(&block), "publisher {i} round {round}");
                }
            }
        })
    });
    for publisher in futures::future::join_all(publishers).await {
        publisher.expect("every publish was seen");
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.expect("no panic");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_are_linearizable_in_memory() {
    snapshots_are_linearizable(&Store::memory(), 8, 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_are_linearizable_in_a_directory() {
    let (_root, store) = directory();
    snapshots_are_linearizable(&store, 8, 10).await;
}

/// Callers that ask while a listing runs share the next one: many callers cost few listings.
#[tokio::test(start_paused = true)]
async fn concurrent_snapshots_share_listings() {
    let faulty = Faulty::over(Store::memory().driver());
    let store = Store::over(faulty.clone(), &Default::default());
    let (catalog, tenant) = (catalog(&store), Tenant::single());
    for _ in 0..4 {
        faulty.next(Operation::List, Fault::Slow(50));
    }
    let before = store.meter().counts();
    let snapshots = futures::future::join_all((0..100).map(|_| catalog.snapshot(&tenant))).await;
    assert!(snapshots.iter().all(Result::is_ok));
    let lists = store.meter().counts().since(&before).list.request_count;
    assert!(lists <= 4, "{lists} LISTs for 100 snapshots");
}

#[tokio::test(start_paused = true)]
async fn a_failed_listing_fails_those_who_shared_it_and_nobody_later() {
    let faulty = Faulty::over(Store::memory().driver());
    let store = Store::over(faulty.clone(), &Default::default());
    let (catalog, tenant) = (catalog(&store), Tenant::single());
    for _ in 0..2 {
        faulty.next(Operation::List, Fault::Before(Kind::Denied));
    }
    let error = catalog.snapshot(&tenant).await.expect_err("denied");
    assert_eq!(error.storage_kind(), Some(Kind::Denied));
    while !faulty.script_is_over() {
        let _ = catalog.snapshot(&tenant).await;
    }
    catalog.snapshot(&tenant).await.expect("it works again");
}

/// Between its listings so much time has passed that what the first one names may be deleted.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_took_too_long_fails() {
    let faulty = Faulty::over(Store::memory().driver());
    let request_timeout = spanlake_model::HumanDuration::from_secs(100);
    let config = spanlake_storage::Config { request_timeout, ..Default::default() };
    let store = Store::over(faulty.clone(), &config);
    let (catalog, tenant) = (catalog(&store), Tenant::single());
    faulty.next(Operation::List, Fault::Slow(61_000));
    let error = catalog.snapshot(&tenant).await.expect_err("too late");
    assert_eq!(error.storage_kind(), Some(Kind::Unavailable), "{error}");
    catalog.snapshot(&tenant).await.expect("another one is quick");
}

#[tokio::test]
async fn snapshots_are_sorted_pruned_by_time_and_kept_while_nothing_changes() {
    let store = Store::memory();
    let (catalog, tenant) = (catalog(&store), Tenant::single());
    assert!(catalog.snapshot(&tenant).await.expect("empty").blocks.is_empty());
    for end in [30, 10, 50, 20, 40] {
        catalog.publish_l0(&tenant, written(0, end)).await.expect("publish");
    }
    let snapshot = catalog.snapshot(&tenant).await.expect("snapshot");
    let ends = |blocks: &[BlockRef]| blocks.iter().map(|block| block.meta.max_end_unix_nanos).collect::<Vec<_>>();
    assert_eq!(ends(&snapshot.blocks.to_vec()), [50, 40, 30, 20, 10]);
    let range = TimeRange { start_unix_nanos: 21, end_unix_nanos: 35 };
    let in_range: Vec<BlockRef> = snapshot.blocks_in(range).cloned().collect();
    assert_eq!(ends(&in_range), [40, 30]);
    assert!(Arc::ptr_eq(&snapshot, &catalog.snapshot(&tenant).await.expect("the same")));
    let other = Tenant::parse("other").expect("a name");
    assert!(catalog.snapshot(&other).await.expect("snapshot").blocks.is_empty(), "tenants do not mix");
}

#[tokio::test]
async fn edits_are_checked_against_the_newest_manifest() {
    let store = Store::memory();
    let (catalog, tenant) = (catalog(&store), Tenant::single());
    let input = catalog.publish_l0(&tenant, written(0, 1)).await.expect("publish");
    let output = catalog.stage_block(&tenant, written(1, 1)).await.expect("stage");
    assert!(catalog.snapshot(&tenant).await.expect("snapshot").blocks == [input.clone()], "staged is not live");
    let edit = Edit { add: vec![output.clone()], remove: vec![input.clone()], ..Edit::default() };
    assert_eq!(catalog.commit(&tenant, edit.clone()).await.expect("commit"), Committed::Won { sequence: 1 });
    let snapshot = catalog.snapshot(&tenant).await.expect("snapshot");
    assert!(snapshot.blocks == [output.clone()], "outputs replace inputs");
    // The object is still there, and still not live.
    assert!(store.get(&input.key).await.is_ok());
    assert_eq!(snapshot.retired().map(|retired| &retired.key).collect::<Vec<_>>(), [&input.key]);
    match catalog.commit(&tenant, edit).await {
        Err(Error::NotLive { key }) => assert_eq!(key, input.key),
        other => panic!("{other:?}"),
    }
    let again = Edit { add: vec![output.clone()], ..Edit::default() };
    assert!(matches!(catalog.commit(&tenant, again).await, Err(Error::InvalidEdit { .. })));
    let misplaced = Edit { add: vec![input.clone()], ..Edit::default() };
    assert!(matches!(catalog.commit(&tenant, misplaced).await, Err(Error::InvalidEdit { .. })));
    store.delete(&input.key).await.expect("delete");
    let forget = Edit { forget: vec![input.key.clone()], ..Edit::default() };
    assert_eq!(catalog.commit(&tenant, forget).await.expect("commit"), Committed::Won { sequence: 2 });
    assert_eq!(catalog.snapshot(&tenant).await.expect("snapshot").retired().count(), 0);
}

#[tokio::test]
async fn a_zombie_compactor_is_refused() {
    let store = Store::memory();
    let tenant = Tenant::single();
    let (zombie, heir) = (catalog(&store), catalog(&store));
    let input = zombie.publish_l0(&tenant, written(0, 1)).await.expect("publish");
    let epoch = zombie.claim(&tenant).await.expect("claim");
    let edit = Edit { remove: vec![input], epoch, ..Edit::default() };
    assert_eq!(heir.claim(&tenant).await.expect("claim"), epoch + 1);
    match zombie.commit(&tenant, edit.clone()).await {
        Err(error @ Error::Fenced { .. }) => assert!(error.to_string().contains("claim the tenant again"), "{error}"),
        other => panic!("{other:?}"),
    }
    let unclaimed = Edit { epoch: 0, ..edit.clone() };
    assert!(matches!(zombie.commit(&tenant, unclaimed).await, Err(Error::Fenced { .. })));
    let guessed = Edit { epoch: epoch + 2, ..edit.clone() };
    assert!(matches!(zombie.commit(&tenant, guessed).await, Err(Error::Fenced { .. })));
    let inherited = Edit { epoch: epoch + 1, ..edit };
    assert!(matches!(heir.commit(&tenant, inherited).await, Ok(Committed::Won { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_claims_give_everyone_another_epoch() {
    let store = Store::memory();
    let claims = (0..8).map(|_| {
        let catalog = catalog(&store);
        tokio::spawn(async move { catalog.claim(&Tenant::single()).await.expect("claim") })
    });
    let mut epochs: Vec<u64> =
        futures::future::join_all(claims).await.into_iter().map(|claim| claim.expect("no panic")).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=8).collect::<Vec<_>>());
}

/// A commit whose answer is lost is recognised as won; one whose outcome cannot be found out is unknown.
#[tokio::test(start_paused = true)]
async fn lost_answers_of_commits() {
    let faulty = Faulty::over(Store::memory().driver());
    let store = Store::over(faulty.clone(), &Default::default());
    let (catalog, tenant) = (catalog(&store), Tenant::single());
    let stage = async || catalog.stage_block(&tenant, written(1, 1)).await.expect("stage");
    let edit = Edit { add: vec![stage().await], ..Edit::default() };
    faulty.next(Operation::Put, Fault::After(Kind::Unavailable));
    assert_eq!(catalog.commit(&tenant, edit).await.expect("commit"), Committed::Won { sequence: 1 });
    let edit = Edit { add: vec![stage().await], ..Edit::default() };
    for _ in 0..2 {
        faulty.next(Operation::Put, Fault::HangAfter);
        faulty.next(Operation::Get, Fault::HangBefore);
    }
    match catalog.commit(&tenant, edit).await.expect("commit") {
        Committed::Unknown { key } => assert!(key.ends_with("00000000000000000002.json"), "{key}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(catalog.snapshot(&tenant).await.expect("snapshot").manifest_sequence, 2, "it had landed");
}

/// A commit stalls between its check and its PUT; meanwhile others commit its number and more, and the oldest manifests are
/// deleted, so that the number is free again when the PUT lands.
#[tokio::test(start_paused = true)]
async fn a_writer_that_revives_a_deleted_number_has_not_won() {
    for deleted in [vec![1], vec![1, 2]] {
        let store = Store::memory();
        let tenant = Tenant::single();
        let faulty = Faulty::over(store.driver());
        let (sleeper, other) = (catalog(&Store::over(faulty.clone(), &Default::default())), catalog(&store));
        faulty.next(Operation::Put, Fault::Slow(4_000));
        let stalled = sleeper.commit(&tenant, Edit::default());
        let meanwhile = async {
            tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
            for _ in 0..3 {
                commit_until_won(&other, &tenant, Edit::default()).await;
            }
            for sequence in &deleted {
                store.delete(&format!("tenants/single-tenant/manifest/{sequence:020}.json")).await.expect("delete");
            }
        };
        let (committed, ()) = futures::future::join(stalled, meanwhile).await;
        match committed.expect("commit") {
            Committed::Lost { sequence: 1 } => assert_eq!(deleted, [1], "the one that followed is there"),
            Committed::Unknown { .. } => assert_eq!(deleted, [1, 2], "nothing tells what followed"),
            other => panic!("{other:?}"),
        }
        assert_eq!(catalog(&store).snapshot(&tenant).await.expect("snapshot").manifest_sequence, 3);
        assert_eq!(commit_until_won(&sleeper, &tenant, Edit::default()).await, 4);
    }
}

#[tokio::test]
async fn damaged_manifests_are_named_and_nothing_older_is_believed() {
    let store = Store::memory();
    let tenant = Tenant::single();
    commit_until_won(&catalog(&store), &tenant, Edit::default()).await;
    let key = "tenants/single-tenant/manifest/00000000000000000002.json";
    store.create(key, Bytes::from_static(b"{\"format_version\":1}")).await.expect("create");
    let error = catalog(&store).snapshot(&tenant).await.expect_err("damaged");
    assert!(error.is_damage() && error.to_string().contains(key), "{error}");
}

#[tokio::test]
async fn foreign_names_are_passed_over_and_newer_blocks_are_not() {
    let store = Store::memory();
    let (catalog, tenant) = (catalog(&store), Tenant::single());
    let block = catalog.publish_l0(&tenant, written(0, 1)).await.expect("publish");
    for name in ["notes.txt", "x_1_2.parquet", "sub/dir.parquet"] {
        store.create(&format!("tenants/single-tenant/l0/{name}"), Bytes::new()).await.expect("create");
    }
    store.create("tenants/single-tenant/manifest/readme.json", Bytes::new()).await.expect("create");
    assert!(catalog.snapshot(&tenant).await.expect("snapshot").blocks == [block]);
    let newer = format!("tenants/single-tenant/l0/{}_63_0.parquet", "0".repeat(26));
    store.create(&newer, Bytes::new()).await.expect("create");
    match catalog.snapshot(&tenant).await {
        Err(error @ Error::NewerFormat { found: 0x63, .. }) => {
            assert!(error.to_string().contains(&newer) && error.to_string().contains("upgrade"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn missing_and_damaged_blocks_are_told_apart() {
    let store = Store::memory();
    let (catalog, tenant) = (catalog(&store), Tenant::single());
    let block = catalog.publish_l0(&tenant, written(0, 1)).await.expect("publish");
    let error = catalog.open_block(&block).await.expect_err("not really a block");
    assert!(error.is_damage() && !error.is_gone() && error.to_string().contains(&*block.key), "{error}");
    store.delete(&block.key).await.expect("delete");
    let error = catalog.open_block(&block).await.expect_err("gone");
    assert!(error.is_gone() && !error.is_damage(), "{error}");
    let error = catalog.open_search(&block).await.expect_err("gone");
    assert!(error.is_gone(), "{error}");
}

#[tokio::test]
async fn tenants_are_found_by_their_objects() {
    let (_root, directory) = directory();
    for store in [Store::memory(), directory] {
        let catalog = catalog(&store);
        assert_eq!(catalog.tenants().await.expect("tenants"), []);
        let mut names =
            ["a", "a-b", "a.b", "a0", "a!", "B", "'(*)'", "zz"].map(|name| Tenant::parse(name).expect(name));
        for tenant in &names {
            for i in 0..3 {
                catalog.publish_l0(tenant, written(0, i)).await.expect("publish");
            }
        }
        store.create("tenants/stray", Bytes::new()).await.expect("create");
        store.create("tenants/not a tenant/l0/x", Bytes::new()).await.expect("create");
        names.sort();
        assert_eq!(catalog.tenants().await.expect("tenants"), names);
    }
}
