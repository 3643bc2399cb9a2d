//! Traces deleted on request: hidden at once and everywhere, audited, bounded, and forgotten only by an edit.

use bytes::Bytes;
use spanlake_catalog::{Catalog, Committed, Config, Edit, Error, MAX_DELETED_TRACES, MAX_REASON_BYTES};
use spanlake_model::{Tenant, TraceId};
use spanlake_storage::faults::{Fault, Faulty};
use spanlake_storage::{Kind, Operation, Store};

fn catalog(store: &Store) -> Catalog {
    Catalog::new(store.clone(), Config::default())
}

fn ids(from: u64, count: u64) -> Vec<TraceId> {
    (from..from + count)
        .map(|number| {
            let mut id = [0; 16];
            id[8..].copy_from_slice(&number.to_be_bytes());
            TraceId(id)
        })
        .collect()
}

#[tokio::test]
async fn every_later_snapshot_of_every_process_hides_a_deleted_trace() {
    let store = Store::memory();
    let (here, there, tenant) = (catalog(&store), catalog(&store), Tenant::single());
    let before = there.snapshot(&tenant).await.expect("snapshot");
    let deletion = here.delete_traces(&tenant, &ids(1, 2), "asked by the owner").await.expect("delete");
    assert_eq!((deletion.sequence, deletion.new_count), (1, 2));
    assert!(before.deleted().is_empty(), "a snapshot never changes");
    let after = there.snapshot(&tenant).await.expect("snapshot");
    assert!(after.deleted().contains(&ids(1, 1)[0]) && !after.deleted().contains(&ids(3, 1)[0]));
    assert_eq!(after.deleted().iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids(1, 2));
    assert_eq!(after.deleted().ids().len(), 2);
    assert!(there.snapshot(&Tenant::parse("other").expect("a name")).await.expect("snapshot").deleted().is_empty());
    // Deleting again renews the tombstone and leaves its audit.
    let again = there.delete_traces(&tenant, &ids(2, 1), "again").await.expect("delete");
    assert_eq!((again.sequence, again.new_count), (2, 0));
    for deletion in [deletion, again] {
        let audit: serde_json::Value =
            serde_json::from_slice(&store.get(&deletion.audit_key).await.expect("audit")).expect("JSON");
        assert_eq!((&audit["action"], &audit["tenant"]), (&"delete_traces".into(), &"single-tenant".into()));
        assert!(audit["trace_ids"][0].as_str().is_some_and(|id| id.len() == 32), "{audit}");
    }
}

#[tokio::test]
async fn commits_keep_tombstones_and_only_an_edit_drops_them() {
    let store = Store::memory();
    let (catalog, tenant) = (catalog(&store), Tenant::single());
    let epoch = catalog.claim(&tenant).await.expect("claim");
    catalog.delete_traces(&tenant, &ids(1, 3), "").await.expect("delete, whoever owns the tenant");
    assert_eq!(catalog.claim(&tenant).await.expect("claim"), epoch + 1);
    let edit = Edit { epoch: epoch + 1, ..Edit::default() };
    assert!(matches!(catalog.commit(&tenant, edit.clone()).await, Ok(Committed::Won { .. })));
    let deleted = catalog.snapshot(&tenant).await.expect("snapshot").deleted().clone();
    assert_eq!(deleted.len(), 3);
    assert_eq!(deleted.since(1).count(), 3, "they came with manifest 2");
    assert_eq!(deleted.since(2).count(), 0);
    let forget = Edit { forget_deleted: vec![(ids(2, 1)[0], 2)], ..edit };
    assert!(matches!(catalog.commit(&tenant, forget).await, Ok(Committed::Won { .. })));
    let left = catalog.snapshot(&tenant).await.expect("snapshot").deleted().clone();
    assert_eq!(left.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [ids(1, 1)[0], ids(3, 1)[0]]);
}

/// A trace that is deleted again while the compactor is about to forget the first deletion stays deleted.
#[tokio::test]
async fn a_renewed_tombstone_is_not_forgotten() {
    let store = Store::memory();
    let (catalog, tenant) = (catalog(&store), Tenant::single());
    let judged = catalog.delete_traces(&tenant, &ids(1, 2), "").await.expect("delete").sequence;
    let renewed = catalog.delete_traces(&tenant, &ids(1, 1), "").await.expect("delete").sequence;
    assert!(renewed > judged);
    let forget_deleted = ids(1, 2).into_iter().map(|id| (id, judged)).collect();
    let outcome = catalog.commit(&tenant, Edit { forget_deleted, ..Edit::default() }).await;
    assert!(matches!(outcome, Ok(Committed::Won { .. })));
    let left = catalog.snapshot(&tenant).await.expect("snapshot").deleted().clone();
    assert_eq!(
        left.iter().map(|(id, tombstone)| (*id, tombstone.sequence)).collect::<Vec<_>>(),
        [(ids(1, 1)[0], renewed)]
    );
}

#[tokio::test]
async fn deletions_are_bounded() {
    let store = Store::memory();
    let (catalog, tenant) = (catalog(&store), Tenant::single());
    let invalid = async |ids: &[TraceId], reason: &str| {
        matches!(catalog.delete_traces(&tenant, ids, reason).await, Err(Error::InvalidEdit { .. }))
    };
    assert!(invalid(&[], "").await);
    assert!(invalid(&ids(1, MAX_DELETED_TRACES as u64 + 1), "").await);
    assert!(invalid(&ids(1, 1), &"x".repeat(MAX_REASON_BYTES + 1)).await);
    catalog.delete_traces(&tenant, &ids(1, MAX_DELETED_TRACES as u64), "").await.expect("as many as may be");
    match catalog.delete_traces(&tenant, &ids(100_000, 1), "").await {
        Err(error @ Error::TooManyDeleted { .. }) => assert!(error.to_string().contains("delete again"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(catalog.delete_traces(&tenant, &ids(5, 1), "").await.expect("it is there").new_count, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_deletions_and_commits_all_take_effect() {
    let store = Store::memory();
    let tenant = Tenant::single();
    let deletions = (0..8).map(|i| {
        let (catalog, tenant) = (catalog(&store), tenant.clone());
        tokio::spawn(async move {
            catalog.delete_traces(&tenant, &ids(i * 10, 3), "race").await.expect("delete");
            let mut edit = catalog.commit(&tenant, Edit::default()).await.expect("commit");
            while !matches!(edit, Committed::Won { .. }) {
                edit = catalog.commit(&tenant, Edit::default()).await.expect("commit");
            }
        })
    });
    for deletion in futures::future::join_all(deletions).await {
        deletion.expect("no panic");
    }
    assert_eq!(catalog(&store).snapshot(&tenant).await.expect("snapshot").deleted().len(), 24);
}

/// Without an audit nothing is deleted; a commit whose outcome is unknown is tried again.
#[tokio::test(start_paused = true)]
async fn deletions_over_a_failing_store() {
    let faulty = Faulty::over(Store::memory().driver());
    let store = Store::over(faulty.clone(), &Default::default());
    let (catalog, tenant) = (catalog(&store), Tenant::single());
    faulty.next(Operation::Put, Fault::Before(Kind::Denied));
    assert!(catalog.delete_traces(&tenant, &ids(1, 1), "").await.is_err());
    assert!(catalog.snapshot(&tenant).await.expect("snapshot").deleted().is_empty());
    let unknown = async || {
        // The audit's PUT goes through, the manifest's does and is never answered.
        faulty.next(Operation::Put, Fault::Slow(0));
        for _ in 0..2 {
            faulty.next(Operation::Put, Fault::HangAfter);
            faulty.next(Operation::Get, Fault::HangBefore);
        }
        catalog.delete_traces(&tenant, &ids(1, 1), "").await
    };
    assert_eq!(unknown().await.expect("delete").new_count, 0, "the first try had landed");
    assert!(catalog.snapshot(&tenant).await.expect("snapshot").deleted().contains(&ids(1, 1)[0]));
}

/// A manifest of version 1 as it was released: read for ever, and what is committed upon it is of the newest version.
#[tokio::test]
async fn manifests_of_version_1_are_read() {
    let store = Store::memory();
    let (catalog, tenant) = (catalog(&store), Tenant::single());
    let golden = include_bytes!("../../tests/golden/manifest-v1.json");
    let key = |sequence: u64| format!("tenants/single-tenant/manifest/{sequence:020}.json");
    store.create(&key(7), Bytes::from_static(golden)).await.expect("create");
    let snapshot = catalog.snapshot(&tenant).await.expect("snapshot");
    assert_eq!((snapshot.manifest_sequence, snapshot.epoch, snapshot.blocks.len()), (7, 2, 2));
    assert_eq!((snapshot.retired().count(), snapshot.deleted().len()), (1, 0));
    let before: Vec<_> = snapshot.blocks.iter().cloned().collect();
    catalog.delete_traces(&tenant, &ids(1, 1), "").await.expect("delete");
    let written: serde_json::Value = serde_json::from_slice(&store.get(&key(8)).await.expect("8")).expect("JSON");
    assert_eq!(written["format_version"], 2);
    assert!(written["previous"].as_str().is_some_and(|link| link.starts_with("00000000000000000000000000000007-")));
    let snapshot = self::catalog(&store).snapshot(&tenant).await.expect("snapshot");
    assert_eq!(snapshot.blocks.iter().cloned().collect::<Vec<_>>(), before);
    assert_eq!((snapshot.retired().count(), snapshot.deleted().len()), (1, 1));
}
