//! Bounds and fairness of the budget, on a clock that the tests move.

use super::*;

const KIB: usize = 1 << 10;

fn budget(process_kib: u64, tenant_kib: u64) -> Arc<Budget> {
    Budget::new(process_kib << 10, tenant_kib << 10, Duration::from_secs(1), Gauges::default())
}

fn is_empty(budget: &Budget) -> bool {
    let state = budget.lock();
    let is_idle = |share: &Share| share.held == 0 && share.holders == 0 && share.waiting.is_empty();
    state.held == 0 && state.tenants.values().all(is_idle) && budget.gauges.held.get() == 0
}

#[tokio::test(start_paused = true)]
async fn a_call_is_held_then_throttled_and_recovers() {
    let budget = budget(64, 64);
    let tenant = budget.tenant();
    let mut first = tenant.charge();
    first.raise_to(40 * KIB).await.unwrap();
    assert_eq!(budget.gauges.held.get(), 44 << 10);

    let started = Instant::now();
    let mut second = tenant.charge();
    assert!(matches!(second.raise_to(40 * KIB).await, Err(PushError::Throttled { .. })));
    assert_eq!(started.elapsed(), Duration::from_secs(1));
    assert!(second.raise_to(40 * KIB).await.is_err(), "the hold is spent once");

    let mut third = tenant.charge();
    let release = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(first);
    };
    let (third_raised, ()) = tokio::join!(third.raise_to(40 * KIB), release);
    third_raised.unwrap();
    drop((second, third));
    assert!(is_empty(&budget));
}

#[tokio::test(start_paused = true)]
async fn one_tenant_cannot_pass_its_bound_but_may_send_one_large_request() {
    let budget = budget(64, 32);
    let (a, b) = (budget.tenant(), budget.tenant());
    let mut large = a.charge();
    large.raise_to(50 * KIB).await.unwrap();
    let mut more = a.charge();
    assert!(matches!(more.raise_to(KIB).await, Err(PushError::Throttled { reason, .. }) if reason.contains("tenant")));
    let mut other = b.charge();
    other.raise_to(4 * KIB).await.unwrap();
    large.lower_to(10 * KIB);
    let mut again = a.charge();
    again.raise_to(10 * KIB).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_can_never_fit_is_too_large_and_closing_frees_the_held() {
    let budget = budget(64, 32);
    let mut charge = budget.tenant().charge();
    assert!(matches!(charge.raise_to(64 * KIB + 1).await, Err(PushError::TooLarge { limit: 65_536, .. })));
    charge.raise_to(64 * KIB).await.unwrap();
    let other = budget.tenant();
    let mut held = other.charge();
    let close = async { budget.close() };
    let (outcome, ()) = tokio::join!(held.raise_to(KIB), close);
    assert!(matches!(outcome, Err(PushError::ShuttingDown { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_lone_tenant_takes_nearly_all_and_another_still_finds_room() {
    let budget = budget(1024, 1024);
    let (a, b) = (budget.tenant(), budget.tenant());
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut charge = a.charge();
        if charge.raise_to(12 * KIB).await.is_err() {
            break;
        }
        held.push(charge);
    }
    assert_eq!(held.len(), 56, "seven eighths of the budget, by 16 KiB each");
    let started = Instant::now();
    let mut few = Vec::new();
    for _ in 0..8 {
        let mut charge = b.charge();
        charge.raise_to(12 * KIB).await.unwrap();
        few.push(charge);
    }
    assert_eq!(started.elapsed(), Duration::ZERO, "nobody below its share waits");
}

#[tokio::test(start_paused = true)]
async fn what_returns_goes_to_the_tenant_that_holds_least() {
    let budget = budget(64, 64);
    let (a, b) = (budget.tenant(), budget.tenant());
    let mut first = a.charge();
    first.raise_to(60 * KIB).await.unwrap();
    let order = Mutex::new(Vec::new());
    let wait = |tenant: &TenantBudget, name: &'static str| {
        let mut charge = tenant.charge();
        let order = &order;
        async move {
            charge.raise_to(28 * KIB).await.unwrap();
            order.lock().unwrap().push(name);
            charge
        }
    };
    let release = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        first.lower_to(28 * KIB);
    };
    // Asked first by the tenant that holds the rest.
    let (second, other, ()) = tokio::join!(
        async { tokio::time::timeout(Duration::from_millis(500), wait(&a, "a")).await.is_err() },
        wait(&b, "b"),
        release
    );
    assert!(second, "the tenant that holds half goes on waiting");
    assert_eq!(*order.lock().unwrap(), ["b"]);
    drop((other, first));
    drop(wait(&a, "a").await);
    assert!(is_empty(&budget));
}

#[tokio::test(start_paused = true)]
async fn a_large_request_is_not_passed_for_ever() {
    let budget = budget(64, 64);
    let (a, b) = (budget.tenant(), budget.tenant());
    let mut small = a.charge();
    small.raise_to(28 * KIB).await.unwrap();
    let mut large = b.charge();
    let later = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(small);
    };
    let (outcome, ()) = tokio::join!(large.raise_to(60 * KIB), later);
    outcome.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_nothing_behind() {
    let budget = budget(64, 64);
    let tenant = budget.tenant();
    let mut first = tenant.charge();
    first.raise_to(60 * KIB).await.unwrap();
    for millis in [0, 5] {
        let mut gone = tenant.charge();
        let wait = tokio::time::timeout(Duration::from_millis(millis), gone.raise_to(20 * KIB));
        assert!(wait.await.is_err());
    }
    // Granted and dropped before it was polled again.
    let mut gone = tenant.charge();
    let mut wait = Box::pin(gone.raise_to(20 * KIB));
    assert!(futures::poll!(wait.as_mut()).is_pending());
    drop(first);
    drop(wait);
    drop(gone);
    assert!(is_empty(&budget));
    drop(tenant);
    assert!(budget.lock().tenants.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_may_be_held_follows_how_long_blocks_take() {
    let budget = budget(1024, 1024);
    let tenant = budget.tenant();
    let hold = |kib: usize| {
        let mut charge = tenant.charge();
        async move { charge.raise_to(kib * KIB).await.map(|()| charge) }
    };
    let mut held = Vec::new();
    while let Ok(charge) = hold(28).await {
        held.push(charge);
    }
    assert_eq!(held.len(), 28, "seven eighths by 32 KiB each");
    // At this pace what is held takes four times as long as it may.
    (0..60).for_each(|_| budget.delayed(Duration::from_secs(4)));
    held.truncate(8);
    let refused = hold(28).await.map(drop);
    assert!(
        matches!(refused, Err(PushError::Throttled { reason, .. }) if reason.contains("within a second")),
        "a fourth was the most"
    );
    let mut other = budget.tenant().charge();
    held.truncate(6);
    other.raise_to(4 * KIB).await.unwrap();
    assert!(hold(28).await.is_err(), "the reserve is kept from who has more than its share");
    let mut second = other.tenant.charge();
    second.raise_to(4 * KIB).await.unwrap();
    drop((other, second));
    held.truncate(5);
    held.push(hold(28).await.unwrap());

    // However slow it is, an eighth is there, and the only request of a tenant always finds room.
    (0..60).for_each(|_| budget.delayed(Duration::from_secs(3_600)));
    assert!((128..129).contains(&(budget.lock().limit / KIB)));
    budget.tenant().charge().raise_to(800 * KIB).await.unwrap();
    held.truncate(3);
    held.push(hold(400).await.expect("one request may pass the limit, however large it is"));
    assert!(hold(1).await.is_err());
    held.pop();
    held.push(hold(24).await.unwrap());

    (0..60).for_each(|_| budget.delayed(Duration::from_millis(100)));
    assert_eq!(budget.gauges.limit.get(), 1024 << 10);
    for _ in 0..20 {
        held.push(hold(28).await.unwrap());
    }
    drop(held);
    assert!(is_empty(&budget));
}

#[tokio::test(start_paused = true)]
async fn a_decoded_request_never_waits_for_its_index() {
    let budget = budget(64, 64);
    let (a, b) = (budget.tenant(), budget.tenant());
    let mut full = a.charge();
    full.raise_to(44 * KIB).await.unwrap();
    let mut decoded = b.charge();
    decoded.raise_to(4 * KIB).await.unwrap();
    decoded.settle_at(20 * KIB);
    assert_eq!((budget.lock().held, budget.gauges.held.get()), (72 * KIB, 72 << 10), "past what there is");
    let mut next = b.charge();
    assert!(next.raise_to(1).await.is_err(), "the others wait until it is back");
    decoded.settle_at(2 * KIB);
    next = b.charge();
    next.raise_to(1).await.unwrap();
    drop((full, decoded, next));
    assert!(is_empty(&budget));
}

#[tokio::test(start_paused = true)]
async fn those_refused_of_one_tenant_are_told_places_in_time_and_another_tenant_is_not() {
    let budget = budget(1024, 1024);
    let (a, b) = (budget.tenant(), budget.tenant());
    let mut all = a.charge();
    all.raise_to(1020 * KIB).await.unwrap();
    let refused = |tenant: &TenantBudget| {
        let mut charge = tenant.charge();
        async move {
            let error = charge.raise_to(KIB).await.expect_err("there is no room");
            error.retry_after().expect("it may come again")
        }
    };
    // Something is accepted all the time, and there are 300 more than can be.
    for second in 0..=20 {
        all.lower_to(500 * KIB);
        let mut charge = a.charge();
        charge.raise_to(10 * KIB).await.unwrap();
        charge.accepted();
        all.raise_to(1020 * KIB).await.unwrap();
        let told = futures::future::join_all((0..300).map(|_| refused(&a))).await;
        let longest = told.iter().max().expect("300");
        let is_short = *longest <= MOST_HINT;
        assert!(if second == 0 { is_short } else { second < 3 || !is_short }, "{longest:?} after {second} s");
    }
    assert!(refused(&b).await <= MOST_HINT);
}

/// The longest hint of those that are not told a place.
const MOST_HINT: Duration = Duration::from_secs(5);
