//! Whatever the cache has, what it gives is what the store has.

use std::time::Duration;

use spanlake_model::ByteSize;
use spanlake_storage::Counts;

use super::*;

const KEY: &str = "tenant/blocks/1";

async fn store_of(object: &[u8]) -> Store {
    let store = Store::memory();
    store.create(KEY, Bytes::copy_from_slice(object)).await.expect("create");
    store
}

fn object() -> Vec<u8> {
    (0..10 * PAGE_BYTES + 123).map(|at| (at * at / 7) as u8).collect()
}

fn cache(directory: &tempfile::TempDir, pages: u64) -> (RangeCache, TierMetrics) {
    let metrics = TierMetrics::default();
    let disk_bytes = ByteSize(pages * (PAGE_BYTES + 28));
    let config = Config { disk_path: directory.path().to_owned(), disk_bytes, ..Config::default() };
    (RangeCache::open(&config, metrics.clone()).expect("open"), metrics)
}

async fn read(cache: &RangeCache, store: &Store, object: &[u8], ranges: &[Range<u64>]) {
    let read = cache.get_ranges(store, KEY, object.len() as u64, ranges).await.expect("read");
    for (range, bytes) in ranges.iter().zip(read) {
        assert!(bytes == object[range.start as usize..range.end as usize], "{range:?}");
    }
}

/// Waits until all that was read is written.
async fn written(metrics: &TierMetrics, pages: u64) {
    for _ in 0..2_000 {
        if metrics.held_bytes.get() as u64 >= pages * (PAGE_BYTES + 28) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{} bytes were written", metrics.held_bytes.get());
}

fn requests(store: &Store, before: &Counts) -> u64 {
    store.meter().counts().since(before).request_count()
}

#[tokio::test]
async fn ranges_are_read_once() {
    let (directory, object) = (tempfile::tempdir().expect("directory"), object());
    let store = store_of(&object).await;
    let (cache, metrics) = cache(&directory, 100);
    let end = object.len() as u64;
    let ranges = [5..9, PAGE_BYTES - 1..PAGE_BYTES + 1, 7..7, 3 * PAGE_BYTES..6 * PAGE_BYTES + 5, end - 1..end, 0..end];
    read(&cache, &store, &object, &ranges).await;
    assert_eq!(metrics.counts(), (0, 11));
    written(&metrics, 11).await;
    let before = store.meter().counts();
    read(&cache, &store, &object, &ranges).await;
    assert_eq!((requests(&store, &before), metrics.counts()), (0, (11, 11)));

    // Another process finds it too.
    drop(cache);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (again, metrics) = self::cache(&directory, 100);
    read(&again, &store, &object, &ranges).await;
    assert_eq!((requests(&store, &before), metrics.counts()), (0, (11, 0)));
    again.forget(KEY, std::slice::from_ref(&(0..1)));
    read(&again, &store, &object, std::slice::from_ref(&(0..1))).await;
    assert_eq!(requests(&store, &before), 1);
}

#[tokio::test]
async fn callers_at_the_same_time_share_a_read() {
    let (directory, object) = (tempfile::tempdir().expect("directory"), object());
    let store = store_of(&object).await;
    let (cache, metrics) = cache(&directory, 100);
    let reads = (0..20_u64).map(|at| {
        let (cache, store, object) = (&cache, &store, &object);
        async move { read(cache, store, object, std::slice::from_ref(&(at..4 * PAGE_BYTES + at + 1))).await }
    });
    futures::future::join_all(reads).await;
    assert_eq!(metrics.counts().1, 5, "each page once");
}

#[tokio::test]
async fn who_waits_for_one_that_goes_away_reads_itself() {
    let (directory, object) = (tempfile::tempdir().expect("directory"), object());
    let store = store_of(&object).await;
    let (cache, _) = cache(&directory, 100);
    let inner = cache.inner.as_ref().expect("it is on");
    let claims = inner.divide(KEY, vec![0, 1]).claims;
    let range = 0..PAGE_BYTES * 2;
    let waiting = read(&cache, &store, &object, std::slice::from_ref(&range));
    let go = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(claims);
    };
    futures::future::join(waiting, go).await;
}

#[tokio::test]
async fn a_failing_store_is_an_error_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().expect("directory");
    let (cache, _) = cache(&directory, 100);
    let failed = cache.get_ranges(&Store::memory(), KEY, 1_000, std::slice::from_ref(&(0..10))).await;
    assert!(failed.is_err());
    let object = object();
    read(&cache, &store_of(&object).await, &object, std::slice::from_ref(&(0..10))).await;
    assert!(locked(&cache.inner.as_ref().expect("it is on").flights).len() <= 1);
}

/// `/dev/full` takes no byte, like a disk that is full.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_fails_no_read() {
    let (directory, object) = (tempfile::tempdir().expect("directory"), object());
    std::os::unix::fs::symlink("/dev/full", directory.path().join("pages")).expect("link");
    let store = store_of(&object).await;
    let (cache, metrics) = cache(&directory, 100);
    for round in 1..4 {
        read(&cache, &store, &object, std::slice::from_ref(&(10..5 * PAGE_BYTES))).await;
        for _ in 0..2_000 {
            if metrics.failures.get() >= 5 * round {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!((metrics.failures.get(), metrics.counts()), (5 * round, (0, 5 * round)));
    }
}

#[tokio::test]
async fn without_a_directory_the_store_is_read() {
    let object = object();
    let store = store_of(&object).await;
    let cache = RangeCache::open(&Config::default(), TierMetrics::default()).expect("open");
    read(&cache, &store, &object, std::slice::from_ref(&(3..700))).await;
    cache.forget(KEY, std::slice::from_ref(&(0..1)));
}
