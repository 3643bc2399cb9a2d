//! Every fault does what it says, at the requests that its rule names, and again for the same seed.

use futures::FutureExt as _;

use super::*;
use crate::memory::Memory;

async fn driver(plan: &str) -> Arc<Faulty> {
    let memory = Memory::default();
    memory.put_new("a/old", Bytes::from_static(b"0123456789")).await.expect("an empty memory");
    Faulty::planned(Arc::new(memory), plan.parse().expect("a plan"))
}

fn body() -> Bytes {
    Bytes::from_static(b"some bytes")
}

type Seen = Option<(Kind, bool)>;

/// What a create and a look at the object afterwards give; `None` for what never ends.
async fn check_put(plan: &str, expect: Option<Result<(), (Kind, bool)>>, exists: bool) {
    let driver = driver(&format!("put {plan}")).await;
    let put = tokio::time::timeout(Duration::from_secs(60), driver.put_new("k", body())).await;
    let put = put.ok().map(|put| put.map_err(|error| (error.kind(), error.may_have_happened())));
    assert_eq!(put, expect, "{plan}");
    assert_eq!(driver.inner.get("k", None).await.is_ok(), exists, "{plan}");
}

#[tokio::test(start_paused = true)]
async fn creates_meet_their_faults() {
    let failed = |kind, doubtful| Some(Err((kind, doubtful)));
    check_put("#2 error", Some(Ok(())), true).await;
    check_put("slow=2s", Some(Ok(())), true).await;
    check_put("latency=20ms~20s", Some(Ok(())), true).await;
    check_put("error", failed(Kind::Unavailable, true), false).await;
    check_put("error-after", failed(Kind::Unavailable, true), true).await;
    check_put("slowdown", failed(Kind::Throttled, true), false).await;
    check_put("throttled", failed(Kind::Throttled, false), false).await;
    check_put("timeout", None, false).await;
    check_put("timeout-after", None, true).await;
    check_put("late=90s", None, false).await;
    check_put("late=20s", None, true).await;
    check_put("conflict", failed(Kind::AlreadyExists, false), false).await;
    check_put("short", failed(Kind::Unavailable, false), false).await;
    check_put("flip", failed(Kind::Unavailable, false), false).await;
    check_put("denied", failed(Kind::Denied, false), false).await;
    check_put("expired", failed(Kind::Denied, false), false).await;
    check_put("full", failed(Kind::Full, false), false).await;
}

async fn seen<T>(call: impl Future<Output = Result<T, Error>>) -> Option<Result<T, Kind>> {
    let answer = tokio::time::timeout(Duration::from_secs(60), call).await;
    answer.ok().map(|answer| answer.map_err(|error| error.kind()))
}

#[tokio::test(start_paused = true)]
async fn reads_meet_their_faults() {
    let whole = || Bytes::from_static(b"0123456789");
    for (plan, expect) in [
        ("short", Some(Ok(whole().slice(..5)))),
        ("error", Some(Err(Kind::Unavailable))),
        ("error-after", Some(Err(Kind::Unavailable))),
        ("slowdown", Some(Err(Kind::Throttled))),
        ("denied", Some(Err(Kind::Denied))),
        ("expired", Some(Err(Kind::Denied))),
        ("timeout", None),
        ("late=1s", None),
        ("slow=5s", Some(Ok(whole()))),
        ("stale=5s", Some(Ok(whole()))),
    ] {
        let driver = driver(plan).await;
        assert_eq!(seen(driver.get("a/old", None)).await, expect, "{plan}");
        assert_eq!(seen(driver.get("a/old", Some(0..10))).await, expect, "{plan}");
    }
    let driver = driver("get flip").await;
    let flipped = driver.get("a/old", None).await.expect("bytes");
    let wrong_bits: u32 = flipped.iter().zip(&whole()).map(|(a, b)| (a ^ b).count_ones()).sum();
    assert_eq!((flipped.len(), wrong_bits), (10, 1));
    assert_eq!(driver.get("a/old", Some(0..10)).await.expect("bytes"), whole());
}

#[tokio::test(start_paused = true)]
async fn deletes_and_listings_meet_their_faults() {
    for (plan, expect, is_left) in [
        ("delete error", Some(Err(Kind::Unavailable)), true),
        ("delete error-after", Some(Err(Kind::Unavailable)), false),
        ("delete timeout-after", None, false),
        ("delete late=90s", None, true),
        ("delete late=20s", None, false),
        ("delete in=other error", Some(Ok(())), false),
    ] {
        let driver = driver(plan).await;
        assert_eq!(seen(driver.delete("a/old")).await, expect, "{plan}");
        assert_eq!(driver.inner.get("a/old", None).await.is_ok(), is_left, "{plan}");
    }
    let driver = driver("list stale=5s").await;
    let count = async || driver.list_page("a/", None, None, 10).await.expect("a page").objects.len();
    driver.put_new("a/new", body()).await.expect("create");
    assert_eq!(count().await, 1);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(count().await, 2);
}

#[tokio::test(start_paused = true)]
async fn rules_choose_by_operation_key_number_and_time() {
    let driver = driver("get at=a/ #2-3 error; list from=10s for=5s every=60s slowdown").await;
    let get = async |key: &str| driver.get(key, None).await.err().map(|error| error.kind());
    assert_eq!(get("b").await, Some(Kind::NotFound));
    let met = [get("a/old").await, get("a/old").await, get("a/old").await, get("a/old").await];
    assert_eq!(met, [None, Some(Kind::Unavailable), Some(Kind::Unavailable), None]);
    let list = async || driver.list_page("", None, None, 1).await.is_ok();
    for (wait, expect) in [(0, true), (11, false), (5, true), (56, false)] {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        assert_eq!(list().await, expect, "{:?}", driver.began.elapsed());
    }
    assert_eq!(driver.met_count(), 4);
}

/// What a thousand calls meet, and how long they take.
async fn history(plan: &str) -> (Vec<Seen>, Duration) {
    let driver = driver(plan).await;
    let mut seen = Vec::new();
    for i in 0..1_000 {
        let failed = |error: Error| (error.kind(), error.may_have_happened());
        seen.push(match i % 3 {
            0 => driver.put_new(&format!("k/{i}"), body()).await.err().map(failed),
            1 => driver.get("a/old", Some(0..10)).await.err().map(failed),
            _ => driver.list_page("a/", None, None, 10).await.err().map(failed),
        });
    }
    (seen, driver.began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_meets_the_same_faults() {
    let rules = "put 20% error-after; get_range 10% slowdown; 5% denied; latency=20ms~20s";
    let one = history(&format!("seed=1; {rules}")).await;
    assert_eq!(history(&format!("seed=1; {rules}")).await, one);
    assert_ne!(history(&format!("seed=2; {rules}")).await, one);
    let failed = one.0.iter().flatten().count();
    assert!((100..200).contains(&failed), "{failed} of 1000 calls failed");
    // Around 20 ms each and a few of 20 s.
    assert!((40..250).contains(&one.1.as_secs()), "{:?}", one.1);
}

#[tokio::test]
async fn without_rules_a_call_is_only_passed_on() {
    let driver = driver("").await;
    let put = driver.put_new("k", body()).now_or_never();
    assert!(put.is_some_and(|put| put.is_ok()));
    assert_eq!(driver.met_count(), 0);
}
