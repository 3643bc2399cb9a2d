//! The rules of the store against a driver that fails on purpose.

use std::sync::Arc;

use spanlake_model::HumanDuration;
use tokio::time::Instant;

use super::*;
use crate::config::RetryConfig;
use crate::faults::{Fault, Faulty};

fn faulty() -> (Arc<Faulty>, Store) {
    let faulty = Faulty::over(Arc::new(Memory::default()));
    (Arc::clone(&faulty), Store::over(faulty, &Config::default()))
}

fn body() -> Bytes {
    Bytes::from_static(b"some bytes")
}

async fn check_create(faults: &[(Operation, Fault)], expect: Result<Created, (Kind, bool)>) {
    let (faulty, store) = faulty();
    for (operation, fault) in faults {
        faulty.next(*operation, *fault);
    }
    let outcome = store.create("k", body()).await.map_err(|error| (error.kind(), error.may_have_happened()));
    assert_eq!(outcome, expect, "{faults:?}");
    assert!(faulty.script_is_over(), "{faults:?}");
    if expect.is_ok() {
        assert_eq!(store.get("k").await.expect("get"), body());
    }
}

#[tokio::test(start_paused = true)]
async fn unclear_creates_are_settled_by_reading_back() {
    use Fault::{After, Before, Collision, HangAfter, HangBefore};
    use Operation::{Get, Put};
    check_create(&[], Ok(Created::New)).await;
    check_create(&[(Put, Before(Kind::Unavailable))], Ok(Created::New)).await;
    check_create(&[(Put, Before(Kind::Throttled))], Ok(Created::New)).await;
    check_create(&[(Put, After(Kind::Unavailable))], Ok(Created::Ours)).await;
    check_create(&[(Put, HangAfter)], Ok(Created::Ours)).await;
    check_create(&[(Put, HangBefore)], Ok(Created::New)).await;
    check_create(&[(Put, Collision)], Ok(Created::New)).await;
    check_create(&[(Put, Collision), (Put, Collision), (Put, After(Kind::Unavailable))], Ok(Created::Ours)).await;
    // The read-back fails, so the same bytes are sent again, meet themselves, and are recognised.
    check_create(&[(Put, After(Kind::Unavailable)), (Get, Before(Kind::Unavailable))], Ok(Created::Ours)).await;
    check_create(&[(Put, Before(Kind::Full))], Err((Kind::Full, false))).await;
    check_create(&[(Put, Before(Kind::Denied))], Err((Kind::Denied, false))).await;
    check_create(&[(Put, HangBefore), (Put, Before(Kind::Denied))], Err((Kind::Denied, true))).await;
    check_create(&[(Put, Before(Kind::Unavailable)); 6], Err((Kind::Unavailable, true))).await;
    check_create(&[(Put, Before(Kind::Throttled)); 6], Err((Kind::Throttled, false))).await;
    check_create(&[(Put, Collision); 6], Err((Kind::Unavailable, true))).await;
    let lost = [(Put, HangAfter), (Get, HangBefore), (Put, HangBefore), (Get, HangBefore)];
    check_create(&lost, Err((Kind::Unavailable, true))).await;
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_place_another_took_is_a_conflict_even_when_unclear() {
    let (faulty, store) = faulty();
    store.create("k", Bytes::from_static(b"another's")).await.expect("create");
    faulty.next(Operation::Put, Fault::Before(Kind::Unavailable));
    let error = store.create("k", body()).await.expect_err("taken");
    assert_eq!((error.kind(), error.may_have_happened()), (Kind::AlreadyExists, false));
}

/// Our own object, spoilt on the way, is not another's: its caller would delete what it has just committed.
#[tokio::test(start_paused = true)]
async fn a_spoilt_read_back_is_not_a_conflict() {
    use Fault::{Flip, HangAfter, Short};
    use Operation::{Get, Put};
    check_create(&[(Put, HangAfter), (Get, Flip)], Ok(Created::Ours)).await;
    check_create(&[(Put, HangAfter), (Get, Short), (Get, Flip)], Ok(Created::Ours)).await;
    check_create(&[(Put, HangAfter), (Get, Flip), (Get, Flip), (Get, Short)], Ok(Created::Ours)).await;
}

/// Memory whose first sync of a create that was read back fails, or hangs, and whose later ones succeed.
#[derive(Debug)]
struct Unsynced {
    memory: Memory,
    confirms: std::sync::atomic::AtomicU32,
    hangs: bool,
}

#[async_trait::async_trait]
impl Driver for Unsynced {
    fn backend(&self) -> Backend {
        self.memory.backend()
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, Error> {
        self.memory.get(key, range).await
    }

    async fn put_new(&self, key: &str, body: Bytes) -> Result<(), Error> {
        self.memory.put_new(key, body).await
    }

    async fn confirm(&self, key: &str) -> Result<(), Error> {
        if self.confirms.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 {
            return Ok(());
        }
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let error = Error::new(Kind::Unavailable, Operation::Put, key, "it cannot be synced");
        Err(error.that_reading_back_cannot_settle())
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        next: Option<String>,
        limit: usize,
    ) -> Result<crate::driver::Page, Error> {
        self.memory.list_page(prefix, start_after, next, limit).await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.memory.delete(key).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_cannot_be_synced_does_not_succeed_by_trying_again() {
    for hangs in [false, true] {
        let unsynced = Unsynced { memory: Memory::default(), confirms: Default::default(), hangs };
        let faulty = Faulty::over(Arc::new(unsynced));
        let store = Store::over(faulty.clone(), &Config::default());
        faulty.next(Operation::Put, Fault::After(Kind::Unavailable));
        let began = Instant::now();
        let error = store.create("k", body()).await.expect_err("nobody knows whether it lasts");
        assert_eq!((error.kind(), error.may_have_happened()), (Kind::Unavailable, true), "hangs: {hangs}");
        assert!(began.elapsed() <= Duration::from_millis(20_001), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn operations_end_at_the_deadline() {
    let (faulty, store) = faulty();
    for operation in [Operation::Put, Operation::List, Operation::Delete] {
        for _ in 0..4 {
            faulty.next(operation, Fault::HangBefore);
        }
    }
    let began = Instant::now();
    let error = store.create("k", body()).await.expect_err("it hangs");
    assert!(error.may_have_happened() && error.to_string().contains("no answer"), "{error}");
    assert!(began.elapsed() <= Duration::from_millis(20_001), "{:?}", began.elapsed());
    assert_eq!(store.list("", None).await.expect_err("it hangs").kind(), Kind::Unavailable);
    assert_eq!(store.delete("k").await.expect_err("it hangs").kind(), Kind::Unavailable);
    assert!(began.elapsed() <= Duration::from_millis(60_003), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_cut_transfer_is_read_again_and_a_short_object_is_damage() {
    let (faulty, store) = faulty();
    store.create("k", body()).await.expect("create");
    faulty.next(Operation::GetRange, Fault::Short);
    assert_eq!(store.get_range("k", 0..10).await.expect("the second time"), body());
    faulty.next(Operation::GetRange, Fault::Short);
    faulty.next(Operation::GetRange, Fault::Short);
    let error = store.get_range("k", 2..10).await.expect_err("short twice");
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.to_string().contains("\"k\"") && error.to_string().contains("2..10"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_permits() {
    let (faulty, _) = faulty();
    let config = Config { max_concurrent_requests: 1, ..Config::default() };
    let store = Store::over(faulty.clone(), &config);
    store.create("k", body()).await.expect("create");
    for _ in 0..3 {
        faulty.next(Operation::Get, Fault::Slow(1_000));
    }
    let began = Instant::now();
    let reads = futures::future::join_all((0..3).map(|_| store.get("k"))).await;
    assert!(reads.iter().all(Result::is_ok));
    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[tokio::test]
async fn listings_are_bounded() {
    let store = Store::over(Arc::new(Memory::default()), &Config { max_list_objects: 3, ..Config::default() });
    for i in 0..3 {
        store.create(&format!("a/{i}"), body()).await.expect("create");
    }
    assert_eq!(store.list("a/", None).await.expect("three are allowed").len(), 3);
    store.create("a/3", body()).await.expect("create");
    let error = store.list("a/", None).await.expect_err("four are not");
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("max_list_objects"), "{error}");
    assert_eq!(store.list("a/", Some("a/0")).await.expect("three are left").len(), 3);
}

/// A thousand creates and reads under random faults: nothing is lost, nothing doubled, nothing wrong.
#[tokio::test(start_paused = true)]
async fn random_faults_change_no_answer() {
    for seed in 0..50 {
        let faulty = Faulty::over(Arc::new(Memory::default()));
        let retry = RetryConfig {
            max_attempts: 50,
            deadline: HumanDuration(Duration::from_secs(600)),
            budget_percent: 10_000,
            ..Default::default()
        };
        let store = Store::over(faulty.clone(), &Config { retry, ..Config::default() });
        faulty.random(seed, 30);
        for i in 0..20 {
            let (key, body) = (format!("d/{i:02}"), Bytes::from(format!("{seed} {i}").repeat(i)));
            store.create(&key, body.clone()).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            let error = store.create(&key, Bytes::from_static(b"other")).await.expect_err("taken");
            assert_eq!(error.kind(), Kind::AlreadyExists, "seed {seed}: {error}");
            assert_eq!(store.get(&key).await.expect("get"), body, "seed {seed}");
        }
        let listed = store.list("d/", None).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(listed.len(), 20, "seed {seed}");
    }
}

/// Random sets of ranges come back as if each had been read alone.
#[tokio::test]
async fn any_ranges_come_back_as_asked() {
    use rand::Rng as _;
    let store = Store::memory();
    let whole: Bytes = (0..400_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    store.create("k", whole.clone()).await.expect("create");
    let mut random = rand::rng();
    for _ in 0..300 {
        let count = random.random_range(0..12);
        let ranges: Vec<Range<u64>> = (0..count)
            .map(|_| {
                let start = random.random_range(0..400_000);
                start..random.random_range(start..=(start + 100_000).min(400_000))
            })
            .collect();
        let parts = store.get_ranges("k", &ranges).await.expect("get_ranges");
        for (range, part) in ranges.iter().zip(&parts) {
            assert!(*part == whole.slice(range.start as usize..range.end as usize), "{ranges:?}");
        }
    }
}

/// A store over memory that takes its backend for a bucket, warmed with reads of about 20 ms.
async fn hedging(plan: &str, config: Config) -> (Arc<Faulty>, Store) {
    let plan: crate::faults::Plan = plan.parse().expect("a plan");
    let faulty = Faulty::acting_as(Arc::new(Memory::default()), Backend::Remote, plan);
    let store = Store::over(faulty.clone(), &config);
    store.create("k", body()).await.expect("create");
    for _ in 0..100 {
        store.get_range("k", 0..10).await.expect("a warm read");
    }
    (faulty, store)
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_is_asked_for_again_and_the_first_answer_counts() {
    let usual = "get_range slow=20ms";
    let (faulty, store) = hedging(usual, Config::default()).await;
    faulty.next(Operation::GetRange, Fault::Slow(4_000));
    let (began, before) = (Instant::now(), store.meter().counts());
    assert_eq!(store.get_range("k", 0..10).await.expect("the second answer"), body());
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    assert_eq!(store.meter().counts().since(&before).get_range.request_count, 2, "both are billed");
    assert_eq!((store.meter().hedge_counts(), store.meter().retry_count()), ((1, 1), 0));
    // Given up: the slow request is not heard of any more.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(store.meter().counts().since(&before).get_range.request_count, 2);
    // A second request that fails does not spoil the first one.
    for _ in 0..100 {
        store.get_range("k", 0..10).await.expect("a read that pays into the budget");
    }
    faulty.next(Operation::GetRange, Fault::Slow(300));
    faulty.next(Operation::GetRange, Fault::SlowDown);
    let won_before = store.meter().hedge_counts();
    assert_eq!(store.get_range("k", 0..10).await.expect("the first answer"), body());
    let won = store.meter().hedge_counts();
    assert_eq!((won.0 - won_before.0, won.1 - won_before.1), (1, 0));

    let (faulty, store) = hedging(usual, Config { hedge: false, ..Config::default() }).await;
    faulty.next(Operation::GetRange, Fault::Slow(4_000));
    let began = Instant::now();
    store.get_range("k", 0..10).await.expect("the only answer");
    assert!(began.elapsed() >= Duration::from_secs(4));
    assert_eq!(store.meter().hedge_counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn hedges_stay_within_their_budget_when_everything_is_slow() {
    let (faulty, store) = hedging("get_range slow=20ms", Config::default()).await;
    faulty.set_rules(vec![crate::faults::Rule::always(Fault::Slow(1_000))]);
    // At once, so that the usual time is not learnt anew in between.
    let before = store.meter().hedge_counts().0;
    let reads = futures::future::join_all((0..60).map(|_| store.get_range("k", 0..10))).await;
    assert!(reads.iter().all(Result::is_ok));
    let sent = store.meter().hedge_counts().0 - before;
    assert!((1..=9).contains(&sent), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn a_hedged_read_can_be_dropped_at_any_time() {
    let (faulty, store) = hedging("get_range slow=20ms", Config::default()).await;
    for millis in [1, 30, 100, 900] {
        faulty.next(Operation::GetRange, Fault::Slow(1_000));
        let read = tokio::time::timeout(Duration::from_millis(millis), store.get_range("k", 0..10)).await;
        drop(read);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let all = store.0.permits.available_permits();
    assert_eq!(all, Config::default().max_concurrent_requests, "permits came back");
}

/// A storm of 503s is met with little more than the load there was before it.
#[tokio::test(start_paused = true)]
async fn a_storm_is_not_amplified() {
    let (faulty, store) = faulty();
    for i in 0..2_000 {
        store.create(&format!("calm/{i}"), body()).await.expect("create");
    }
    faulty.set_rules(vec![crate::faults::Rule::always(Fault::SlowDown)]);
    let before = store.meter().counts();
    for i in 0..2_000 {
        let (key, other) = (format!("storm/{i}"), format!("calm/{i}"));
        let (put, get, list) = tokio::join!(store.create(&key, body()), store.get(&other), store.list("calm/", None));
        assert!(put.is_err() && get.is_err() && list.is_err());
    }
    let sent = store.meter().counts().since(&before);
    let asked = 6_000 + 2_000; // A create of unknown outcome is read back once.
    assert!(sent.request_count() < asked + asked / 4, "{} requests for {asked}", sent.request_count());
    assert!(store.meter().refused_retry_count() > 1_000);
}
