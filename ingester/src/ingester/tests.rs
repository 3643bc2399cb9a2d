//! Group commit, accounting and bounds, on a clock that the tests move.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use spanlake_model::{ByteSize, HumanDuration, Tenant};
use tokio::time::{Instant, sleep};

use super::*;
use crate::flush::FlushFailure;
use crate::testing::{Account, Act, POISON, account, ingester, request, request_of, span};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn tenant(name: &str) -> Tenant {
    Tenant::parse(name).unwrap()
}

/// Pushes after a delay; the outcome and the moment it came, in milliseconds from now.
async fn push_at(ingester: &Ingester, after: u64, span_count: usize) -> (Result<Accepted, PushError>, u128) {
    let start = Instant::now();
    sleep(MS(after)).await;
    let outcome = ingester.push(tenant("a"), request(span_count)).await;
    (outcome, start.elapsed().as_millis())
}

#[tokio::test(start_paused = true)]
async fn an_idle_tenant_flushes_at_once_and_a_busy_one_once_an_interval() {
    let (ingester, sink) = ingester(Config::default());
    let (first, second, third, late) = tokio::join!(
        push_at(&ingester, 0, 1),
        push_at(&ingester, 10, 2),
        push_at(&ingester, 60, 3),
        push_at(&ingester, 500, 4)
    );
    assert_eq!(first.0.unwrap().span_count, 1);
    assert_eq!((first.1, second.1, third.1, late.1), (0, 100, 100, 500));
    assert_eq!(sink.sealed(), [1, 2, 1]);
    assert_eq!(account(&ingester), Account { received: 10, acked: 10, rejected: 0, failed: 0 });
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_interval_is_no_sign_of_a_slow_server() {
    let (ingester, _sink) = ingester(Config { flush_interval: Some(HumanDuration::from_secs(3)), ..Config::default() });
    let pushes = (0..20).map(|i| push_at(&ingester, 1_000 * i, 1));
    let waited: u128 = join_all(pushes).await.iter().zip(0..).map(|((_, at), i)| at - 1_000 * i).sum();
    assert!(waited > 15_000, "most of them wait: {waited} ms in all");
    assert_eq!(ingester.shared().metrics.in_flight.limit.get(), 64 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_is_no_sign_of_a_slow_server() {
    let (ingester, sink) = ingester(Config::default());
    sink.then((0..60).map(|_| Act::Succeed(MS(3_000))));
    let pushes = (0..400).map(|i| push_at(&ingester, 50 * i, 1));
    let slowest = join_all(pushes).await.iter().zip(0..).map(|((_, at), i)| at - 50 * i).max();
    assert!(slowest > Some(4_000), "{slowest:?} ms: some wait for a place");
    assert_eq!(ingester.shared().metrics.in_flight.limit.get(), 64 << 20);
}

#[tokio::test(start_paused = true)]
async fn requests_of_the_same_moment_share_one_flush() {
    let (ingester, sink) = ingester(Config::default());
    let outcomes = join_all((0..50).map(|_| ingester.push(tenant("a"), request(3)))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(sink.sealed(), [50]);
    assert_eq!(sink.published_spans(), 150);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_does_not_wait_and_blocks_stay_near_their_size() {
    let config = Config { flush_spans: 10, ..Config::default() };
    let (ingester, sink) = ingester(config);
    let (a, b, c) = tokio::join!(push_at(&ingester, 0, 1), push_at(&ingester, 10, 10), push_at(&ingester, 20, 3));
    assert_eq!((a.1, b.1, c.1), (0, 10, 110));
    assert_eq!(sink.sealed(), [1, 1, 1]);
    // Six requests of four spans at the same moment: two fit a block.
    join_all((0..6).map(|_| ingester.push(tenant("b"), request(4)))).await;
    assert_eq!(sink.sealed(), [1, 1, 1, 2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn flushes_pipeline_up_to_their_bound() {
    let config = Config { max_flushes_in_flight: 2, ..Config::default() };
    let (ingester, sink) = ingester(config);
    sink.then([Act::Succeed(MS(350)), Act::Succeed(MS(350))]);
    let (a, b, c, d) = tokio::join!(
        push_at(&ingester, 0, 1),
        push_at(&ingester, 50, 1),
        push_at(&ingester, 150, 1),
        push_at(&ingester, 300, 1)
    );
    // The second flush starts at 100 beside the first; the third waits for the first to end at 350.
    assert_eq!((a.1, b.1, c.1, d.1), (350, 450, 350, 350));
    assert_eq!(sink.sealed(), [1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_fails_every_request_of_the_flush_and_nothing_else() {
    let (ingester, sink) = ingester(Config::default());
    sink.then([
        Act::Fail(FlushFailure::Unavailable(Arc::from("down"))),
        Act::Fail(FlushFailure::Full(Arc::from("full"))),
    ]);
    let outcomes = join_all((0..5).map(|_| ingester.push(tenant("a"), request(2)))).await;
    for outcome in outcomes {
        let Err(error @ PushError::Unavailable { .. }) = outcome else { panic!("{outcome:?}") };
        let delay = error.retry_after().unwrap();
        assert!(delay >= MS(1_000) && delay <= MS(5_000));
    }
    let started = Instant::now();
    assert!(matches!(ingester.push(tenant("a"), request(1)).await, Err(PushError::Full { .. })));
    assert!(started.elapsed() < MS(1_000));
    ingester.push(tenant("a"), request(4)).await.unwrap();
    assert_eq!(account(&ingester), Account { received: 15, acked: 4, rejected: 0, failed: 11 });
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_fails_in_time() {
    let (ingester, sink) = ingester(Config::default());
    sink.then([Act::Succeed(Duration::from_secs(3_600))]);
    let (outcome, at) = push_at(&ingester, 0, 1).await;
    assert!(matches!(outcome, Err(PushError::Unavailable { .. })));
    assert_eq!(at, 8_000);
    assert_eq!(ingester.shared().metrics.in_flight.held.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn time_spent_behind_slow_flushes_counts() {
    let (ingester, sink) = ingester(Config { max_flushes_in_flight: 1, ..Config::default() });
    let hang = || Act::Succeed(Duration::from_secs(3_600));
    sink.then([hang(), hang()]);
    let (first, nearly_over, later) =
        tokio::join!(push_at(&ingester, 0, 1), push_at(&ingester, 500, 2), push_at(&ingester, 3_000, 3));
    assert_eq!((first.1, nearly_over.1, later.1), (8_000, 8_000, 11_000));
    for outcome in [first.0, nearly_over.0, later.0] {
        assert!(matches!(outcome, Err(PushError::Unavailable { .. })), "{outcome:?}");
    }
    assert_eq!(sink.sealed(), [1, 1], "nothing is sealed for a request that has no time left");

    sink.then([hang()]);
    let (hung, recovered) = tokio::join!(push_at(&ingester, 0, 1), push_at(&ingester, 3_000, 4));
    assert!(hung.0.is_err());
    recovered.0.unwrap();
    assert_eq!(recovered.1, 8_000);
    assert_eq!(account(&ingester), Account { received: 11, acked: 4, rejected: 0, failed: 7 });
    assert_eq!(ingester.shared().metrics.in_flight.held.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_request_that_trips_a_defect_does_not_fail_its_neighbours() {
    let (ingester, sink) = ingester(Config::default());
    let poison = Bytes::from(prost::Message::encode_to_vec(&request_of(vec![span(POISON, 0)])));
    let (a, b, c) = tokio::join!(
        ingester.push(tenant("a"), request(2)),
        ingester.push(tenant("a"), poison),
        ingester.push(tenant("a"), request(3))
    );
    assert!(a.is_ok() && c.is_ok());
    assert!(matches!(b, Err(PushError::Internal(_))));
    assert_eq!(sink.sealed(), [1, 1]);
    assert_eq!(account(&ingester), Account { received: 6, acked: 5, rejected: 0, failed: 1 });
}

#[tokio::test(start_paused = true)]
async fn nothing_to_store_needs_no_flush() {
    let (ingester, sink) = ingester(Config::default());
    assert_eq!(ingester.push(tenant("a"), Bytes::new()).await.unwrap(), Accepted::default());
    let bad = request_of(vec![span([0; 16], 1), span([0; 16], 2)]);
    let accepted = ingester.push(tenant("a"), Bytes::from(prost::Message::encode_to_vec(&bad))).await.unwrap();
    assert_eq!((accepted.span_count, accepted.rejected_count), (0, 2));
    assert!(accepted.message.contains("2 spans rejected"), "{}", accepted.message);
    let mixed = request_of(vec![span([0; 16], 1), span([1; 16], 2)]);
    let accepted = ingester.push(tenant("a"), Bytes::from(prost::Message::encode_to_vec(&mixed))).await.unwrap();
    assert_eq!((accepted.span_count, accepted.rejected_count), (1, 1));
    assert_eq!(sink.sealed(), [1]);
    assert_eq!(account(&ingester), Account { received: 4, acked: 1, rejected: 3, failed: 0 });
    assert_eq!(
        ingester.shared().metrics.spans_rejected.get_or_create(&ReasonLabel { reason: "invalid_trace_id" }).get(),
        3
    );

    let cut = request(2).slice(..20);
    assert!(
        matches!(ingester.push(tenant("a"), cut).await, Err(PushError::Malformed(text)) if text.contains("at byte"))
    );
}

#[tokio::test(start_paused = true)]
async fn pressure_is_absorbed_then_throttled_and_passes() {
    let half = Some(ByteSize::kib(32));
    let config =
        Config { max_in_flight_bytes: ByteSize::kib(64), max_tenant_in_flight_bytes: half, ..Config::default() };
    let (ingester, sink) = ingester(config);
    // A flush that takes 600 ms holds nearly the whole of the tenant's half.
    sink.then([Act::Succeed(MS(600)), Act::Succeed(MS(1_500))]);
    let large = 200;
    let (a, b) = tokio::join!(push_at(&ingester, 0, large), push_at(&ingester, 10, large));
    a.0.unwrap();
    b.0.unwrap();
    assert_eq!((a.1, b.1), (600, 2_100), "the second is held until the first is done");

    sink.then([Act::Succeed(MS(2_500))]);
    let (c, d, other) = tokio::join!(push_at(&ingester, 0, large), push_at(&ingester, 10, large), async {
        sleep(MS(20)).await;
        ingester.push(tenant("other"), request(10)).await
    });
    c.0.unwrap();
    assert!(matches!(d.0, Err(PushError::Throttled { .. })), "{:?}", d.0);
    assert_eq!((c.1, d.1), (2_500, 1_010));
    other.expect("another tenant has its own share");

    ingester.push(tenant("a"), request(large)).await.expect("the pressure has passed");
    assert!(matches!(ingester.push(tenant("a"), request(5_000)).await, Err(PushError::TooLarge { .. })));
    let account = account(&ingester);
    assert_eq!(account.acked, u64::try_from(4 * large + 10).unwrap());
    assert_eq!(ingester.shared().metrics.in_flight.held.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn tenants_are_bounded_and_closed() {
    let (ingester, sink) = ingester(Config { max_tenants: 2, ..Config::default() });
    sink.then([Act::Succeed(MS(50)), Act::Succeed(MS(50))]);
    let push = |name: &'static str| ingester.push(tenant(name), request(1));
    let (a, b, c) = tokio::join!(push("a"), push("b"), push("c"));
    assert!(a.is_ok() && b.is_ok());
    assert!(matches!(c, Err(PushError::Throttled { reason, .. }) if reason.contains("max_tenants")));
    sleep(MS(200)).await;
    assert_eq!(ingester.shared().metrics.tenants_open.get(), 0);
    push("c").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn shutdown_flushes_without_waiting_and_refuses_new_work() {
    let (ingester, sink) = ingester(Config::default());
    sink.then([Act::Succeed(MS(5)), Act::Succeed(MS(30))]);
    let (first, queued, (stopped, at), refused) = tokio::join!(
        push_at(&ingester, 0, 1),
        push_at(&ingester, 10, 1),
        async {
            sleep(MS(20)).await;
            let stopped = ingester.shutdown().await;
            (stopped, Instant::now())
        },
        push_at(&ingester, 25, 1)
    );
    first.0.unwrap();
    queued.0.unwrap();
    assert_eq!(queued.1, 50, "the interval is not waited for");
    assert!(stopped);
    assert_eq!(at.elapsed(), Duration::ZERO);
    assert!(matches!(refused.0, Err(PushError::ShuttingDown { .. })));
    assert_eq!(account(&ingester).acked, 2);
    assert!(ingester.shutdown().await, "a second call finds nothing to do");
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_at_its_deadline() {
    let config = Config { shutdown_timeout: HumanDuration::from_secs(3), ..Config::default() };
    let (ingester, sink) = ingester(config);
    sink.then([Act::Succeed(Duration::from_secs(5))]);
    let (pushed, stopped) = tokio::join!(push_at(&ingester, 0, 1), async {
        sleep(MS(1)).await;
        ingester.shutdown().await
    });
    assert!(!stopped);
    pushed.0.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_the_account_balanced() {
    let (ingester, sink) = ingester(Config::default());
    sink.then([Act::Succeed(MS(100))]);
    let gone = tokio::time::timeout(MS(20), ingester.push(tenant("a"), request(3))).await;
    assert!(gone.is_err());
    sleep(MS(500)).await;
    assert_eq!(account(&ingester), Account { received: 3, acked: 3, rejected: 0, failed: 0 });
    assert_eq!(ingester.shared().metrics.in_flight.held.get(), 0);
    assert_eq!(ingester.shared().metrics.tenants_open.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_account_balances_under_load_with_a_faulty_store() {
    let config = Config {
        flush_interval: Some(HumanDuration::from_millis(3)),
        flush_spans: 100,
        max_in_flight_bytes: ByteSize::kib(256),
        max_hold: HumanDuration::from_millis(20),
        max_tenants: 3,
        ..Config::default()
    };
    let (ingester, sink) = ingester(config);
    sink.then((0..2_000).map(|i| match i % 7 {
        0 => Act::Fail(FlushFailure::Unavailable(Arc::from("away"))),
        1 => Act::Fail(FlushFailure::Full(Arc::from("full"))),
        i => Act::Succeed(MS(i)),
    }));
    let senders = (0..64u64).map(|sender| {
        let ingester = ingester.clone();
        tokio::spawn(async move {
            let mut acked = 0;
            for round in 0..20u64 {
                let tenant = tenant(["a", "b", "c", "d"][(sender + round) as usize % 4]);
                let push = ingester.push(tenant, request(1 + (sender * round) as usize % 40));
                // Some callers go away in the middle; what becomes of their spans is nobody's business but the account's.
                match (sender + round) % 11 {
                    0 => drop(tokio::time::timeout(Duration::from_micros(500), push).await),
                    _ => acked += push.await.map_or(0, |accepted| accepted.span_count),
                }
            }
            acked
        })
    });
    let told: u64 = join_all(senders).await.into_iter().map(Result::unwrap).sum();
    assert!(ingester.shutdown().await);
    let account = account(&ingester);
    assert!(account.received > 0 && account.acked > 0 && account.failed > 0, "{account:?}");
    assert!(told > 0 && told <= account.acked, "{told} of {account:?}");
    assert_eq!(sink.published_spans(), account.acked);
    assert_eq!(ingester.shared().metrics.in_flight.held.get(), 0);
    assert_eq!(ingester.shared().metrics.tenants_open.get(), 0);
}
