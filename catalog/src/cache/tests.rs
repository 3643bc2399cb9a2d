//! Single flight, bound and second chance.

use std::sync::atomic::AtomicUsize;

use super::*;

fn cache(max_held_bytes: u64) -> Cache<String> {
    Cache::new(max_held_bytes, CacheMetrics::default())
}

fn key(i: usize) -> Arc<str> {
    Arc::from(format!("k{i}"))
}

async fn read(cache: &Cache<String>, i: usize, held_bytes: u64) {
    let value = cache.get_or_read(&key(i), || async { Ok((format!("v{i}"), held_bytes)) }).await.expect("it is read");
    assert_eq!(*value, format!("v{i}"));
}

fn damage() -> Error {
    Error::DamagedManifest { key: "k".to_owned(), problem: "for the test".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn many_askers_share_one_read_and_its_failure() {
    let cache = cache(100);
    let reads = AtomicUsize::new(0);
    for fails in [true, false] {
        let asked = futures::future::join_all((0..10).map(|_| {
            let reads = &reads;
            let cache = &cache;
            async move {
                let read = || async {
                    reads.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    if fails { Err(damage()) } else { Ok(("v".to_owned(), 1)) }
                };
                cache.get_or_read(&key(0), read).await.is_err()
            }
        }));
        assert_eq!(asked.await, [fails; 10]);
    }
    assert_eq!(reads.load(Ordering::Relaxed), 2);
    assert!(cache.flights().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_gives_up_hands_over() {
    let cache = Arc::new(cache(100));
    let slow = Arc::clone(&cache);
    let first = tokio::spawn(async move {
        slow.get_or_read(&key(0), || async { std::future::pending::<Result<(String, u64), Error>>().await }).await
    });
    tokio::task::yield_now().await;
    let other = Arc::clone(&cache);
    let second = tokio::spawn(async move { other.get_or_read(&key(0), || async { Ok(("v".to_owned(), 1)) }).await });
    tokio::task::yield_now().await;
    first.abort();
    assert_eq!(*second.await.expect("no panic").expect("it is read"), "v");
    assert!(cache.flights().is_empty());
}

#[tokio::test]
async fn nobody_left_means_nothing_left() {
    let cache = cache(100);
    let key = key(0);
    let never = cache.get_or_read(&key, || async { std::future::pending::<Result<(String, u64), Error>>().await });
    assert!(tokio::time::timeout(std::time::Duration::from_millis(1), never).await.is_err());
    assert!(cache.flights().is_empty());
}

#[tokio::test]
async fn memory_is_bounded_and_what_is_asked_for_stays() {
    let cache = cache(100);
    for i in 0..1_000 {
        read(&cache, i, 10).await;
        read(&cache, 0, 10).await;
        assert!(cache.held.read().expect("no panic").held_bytes <= 100);
    }
    assert!(cache.get("k0").is_some(), "asked for all the time");
    assert!(cache.get("k500").is_none());
    read(&cache, 2_000, 101).await;
    assert!(cache.get("k2000").is_none(), "too large to be held");
    let held = cache.held.read().expect("no panic");
    assert_eq!(held.slots.len(), held.ring.len());
}

#[tokio::test]
async fn what_is_gone_takes_no_room() {
    let cache = cache(1_000);
    for round in 0..100 {
        for i in 0..10 {
            read(&cache, 10 * round + i, 10).await;
        }
        cache.forget(|key| key != "k5");
        let held = cache.held.read().expect("no panic");
        let kept = usize::from(held.slots.contains_key("k5"));
        assert_eq!((held.slots.len(), held.ring.len(), held.held_bytes), (kept, kept, 10 * kept as u64));
    }
    assert!(cache.get("k5").is_some());
    read(&cache, 7, 10).await;
}
