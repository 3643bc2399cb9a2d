//! Objects that vanish under a query, stores that hang, clients that go away.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use prometheus_client::encoding::text::encode;
use spanlake_model::ByteSize;
use spanlake_querier::Config;
use spanlake_storage::{Backend, Driver, Error, Kind, Operation, Page, Store};

use crate::world::*;

/// A memory store whose reads of blocks can be made to hang, or to find nothing.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn Driver>,
    hangs: AtomicBool,
    waiting: AtomicUsize,
    /// Reads that will find nothing.
    missing: AtomicUsize,
    /// Reads that will come with a wrong bit.
    flipped: AtomicUsize,
}

/// Counts a read for as long as it waits, also when its future is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Driver for Faulty {
    fn backend(&self) -> Backend {
        self.inner.backend()
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, Error> {
        if self.hangs.load(Ordering::SeqCst) {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let _waiting = Waiting(&self.waiting);
            std::future::pending::<()>().await;
        }
        let one_less = |left: usize| left.checked_sub(1);
        if self.missing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            return Err(Error::new(Kind::NotFound, Operation::GetRange, key, "there is no such object"));
        }
        let mut bytes = self.inner.get(key, range).await?.to_vec();
        if self.flipped.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        Ok(Bytes::from(bytes))
    }

    async fn put_new(&self, key: &str, body: Bytes) -> Result<(), Error> {
        self.inner.put_new(key, body).await
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page, Error> {
        self.inner.list_page(prefix, start_after, next, limit).await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.inner.delete(key).await
    }
}

fn faulty(config: Config) -> (Arc<Faulty>, World) {
    let driver = Arc::new(Faulty {
        inner: Store::memory().driver(),
        hangs: AtomicBool::new(false),
        waiting: AtomicUsize::new(0),
        missing: AtomicUsize::new(0),
        flipped: AtomicUsize::new(0),
    });
    let settings = spanlake_storage::Config { url: "memory://".to_owned(), ..Default::default() };
    let store = Store::over(Arc::clone(&driver) as Arc<dyn Driver>, &settings);
    (driver, World::with(store, config))
}

/// Row groups that were read once are read again.
fn forgetful() -> Config {
    Config { column_cache_bytes: ByteSize(0), ..Config::default() }
}

#[tokio::test]
async fn row_groups_are_kept_for_lookups_to_come() {
    let (driver, world) = faulty(Config::default());
    world.block(&[span(1, 1, 0, "web", "GET /", 0, 5)]).await;
    let path = format!("/api/traces/{}", hex(1));
    assert_eq!(world.get(&path).await.status, StatusCode::OK);
    driver.missing.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(world.get(&path).await.status, StatusCode::OK, "no object is read a second time");
    let absent = world.get(&format!("/api/traces/{}", hex(2))).await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_object_that_vanished_is_looked_for_in_a_fresh_snapshot_once() {
    let (driver, world) = faulty(forgetful());
    let block = world.block(&[span(1, 1, 0, "web", "GET /", 0, 5)]).await;
    for path in [format!("/api/traces/{}", hex(1)), "/api/search".to_owned()] {
        driver.missing.store(1, Ordering::SeqCst);
        assert_eq!(world.get(&path).await.status, StatusCode::OK, "{path}");
    }
    for path in ["/api/v1/search?q=%7B%7D", "/api/v1/query/explain?q=%7B%7D"] {
        let (driver, world) = faulty(Config::default());
        world.block(&[span(1, 1, 0, "web", "GET /", 0, 5)]).await;
        driver.missing.store(1, Ordering::SeqCst);
        let answer = world.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        assert_eq!(driver.missing.load(Ordering::SeqCst), 0, "{path} met what vanished");
        assert!(!answer.text().contains("missing"), "{path}: {}", answer.text());
    }
    driver.missing.store(usize::MAX, Ordering::SeqCst);
    let answer = world.get(&format!("/api/traces/{}", hex(1))).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.text().contains(&*block.key) && answer.text().contains("missing"), "{}", answer.text());
}

#[tokio::test]
async fn a_bit_that_flips_on_the_way_is_read_again_and_one_that_stays_is_damage() {
    let (driver, world) = faulty(forgetful());
    let block = world.block(&[span(1, 1, 0, "web", "GET /", 0, 5)]).await;
    for path in [format!("/api/traces/{}", hex(1)), "/api/search?tags=name%3DGET".to_owned()] {
        assert_eq!(world.get(&path).await.status, StatusCode::OK, "{path}");
        // From here on the tail and the search index are in memory: what is read is a row group.
        driver.flipped.store(1, Ordering::SeqCst);
        assert_eq!(world.get(&path).await.status, StatusCode::OK, "{path}");
        driver.flipped.store(2, Ordering::SeqCst);
        let answer = world.get(&path).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert!(answer.text().contains(&*block.key) && answer.text().contains("damaged"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_client_that_goes_away_stops_its_work() {
    let (driver, world) = faulty(Config { max_concurrent_queries: 1, max_queued_queries: 0, ..Config::default() });
    world.block(&[span(1, 1, 0, "web", "GET /", 0, 5)]).await;
    driver.hangs.store(true, Ordering::SeqCst);
    let world = Arc::new(world);
    let asking = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.get("/api/search?limit=1").await.status }
    });
    while driver.waiting.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let refused = world.get("/api/search").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(refused.text().contains("max_queued_queries"), "{}", refused.text());
    asking.abort();
    assert!(asking.await.is_err());
    driver.hangs.store(false, Ordering::SeqCst);
    assert_eq!(world.get("/api/search").await.status, StatusCode::OK);
    let mut text = String::new();
    encode(&mut text, &world.registry).expect("metrics");
    assert!(text.contains(r#"query_requests_total{route="search",status="499"} 1"#), "{text}");
    assert!(text.contains("query_running 0"), "{text}");
}

#[tokio::test]
async fn a_store_that_hangs_ends_in_a_timeout() {
    let limit = spanlake_model::HumanDuration::from_millis(50);
    let (driver, world) = faulty(Config { query_timeout: limit, ..Config::default() });
    world.block(&[span(1, 1, 0, "web", "GET /", 0, 5)]).await;
    driver.hangs.store(true, Ordering::SeqCst);
    let answer = world.get(&format!("/api/v2/traces/{}", hex(1))).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{}", answer.text());
    driver.hangs.store(false, Ordering::SeqCst);
}
