//! Turns between keys, bounds, and places that are given back.

use std::time::Duration;

use prometheus_client::registry::Registry;
use spanlake_cache::CacheMetrics;
use tokio::time::{Instant, sleep, timeout};

use super::*;

fn queue(running: usize, running_per_key: usize, waiting: usize) -> Queue<&'static str> {
    Queue::new(Bounds { running, running_per_key, waiting })
}

fn waits(queue: &mut Queue<&'static str>, key: &'static str) -> Ticket {
    match queue.enter(key) {
        Entered::Waits(ticket) => ticket,
        other => panic!("{key}: {other:?}"),
    }
}

fn runs(queue: &mut Queue<&'static str>, key: &'static str) -> Ticket {
    match queue.enter(key) {
        Entered::Runs(ticket) => ticket,
        other => panic!("{key}: {other:?}"),
    }
}

#[test]
fn keys_take_turns() {
    let mut queue = queue(1, 1, 300);
    let mut running = runs(&mut queue, "many");
    let many: Vec<Ticket> = (0..200).map(|_| waits(&mut queue, "many")).collect();
    let few = [waits(&mut queue, "few"), waits(&mut queue, "few")];
    let one = waits(&mut queue, "one");
    let mut order = Vec::new();
    for _ in 0..6 {
        let started = queue.leave(running);
        assert_eq!(started.len(), 1);
        running = started[0];
        order.push(running);
    }
    assert_eq!(order, vec![many[0], few[0], one, many[1], few[1], many[2]]);
    assert_eq!(queue.waiting(), 197);
}

#[test]
fn a_key_at_its_own_bound_lets_others_pass() {
    let mut queue = queue(3, 2, 10);
    let a = [runs(&mut queue, "a"), runs(&mut queue, "a")];
    let waiting = waits(&mut queue, "a");
    let b = runs(&mut queue, "b");
    let later = waits(&mut queue, "b");
    assert_eq!(queue.leave(b), vec![later]);
    assert_eq!(queue.leave(a[1]), vec![waiting]);
    assert_eq!(queue.leave(a[0]), Vec::<Ticket>::new());
}

#[test]
fn a_full_queue_turns_away_and_who_leaves_makes_room() {
    let mut queue = queue(1, 1, 2);
    let running = runs(&mut queue, "a");
    let first = waits(&mut queue, "a");
    let second = waits(&mut queue, "b");
    assert_eq!(queue.enter("c"), Entered::Full);
    assert_eq!(queue.leave(first), Vec::<Ticket>::new());
    let third = waits(&mut queue, "c");
    assert_eq!(queue.leave(running), vec![second]);
    assert_eq!(queue.leave(second), vec![third]);
    assert_eq!(queue.leave(third), Vec::<Ticket>::new());
    assert_eq!(queue.leave(third), Vec::<Ticket>::new(), "a ticket leaves once");
    assert!(queue.entries.is_empty() && queue.running_of.is_empty() && queue.waiting_of.is_empty());
}

#[test]
fn nothing_waits_that_could_run_whatever_happens() {
    let mut queue = queue(3, 2, 20);
    let keys = ["a", "b", "c", "d"];
    let mut inside: Vec<Ticket> = Vec::new();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..20_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if random.is_multiple_of(2) || inside.is_empty() {
            if let Entered::Runs(ticket) | Entered::Waits(ticket) =
                queue.enter(keys[(random >> 8) as usize % keys.len()])
            {
                inside.push(ticket);
            }
        } else {
            let ticket = inside.swap_remove((random >> 8) as usize % inside.len());
            queue.leave(ticket);
        }
        let running = queue.entries.values().filter(|(_, runs)| *runs).count();
        assert!(running == queue.running && running <= 3);
        assert!(queue.running_of.values().all(|count| (1..=2).contains(count)));
        assert_eq!(queue.entries.len(), running + queue.waiting());
        assert!(queue.turns.iter().all(|key| !queue.has_room(key)), "somebody waits who could run");
        assert_eq!(queue.turns.len(), queue.waiting_of.len());
    }
}

fn admission(running: usize, per_tenant: usize, waiting: usize) -> Admission {
    let config = Config {
        max_concurrent_queries: running,
        max_concurrent_queries_per_tenant: per_tenant,
        max_queued_queries: waiting,
        tenancy_enabled: true,
        ..Config::default()
    };
    Admission::new(&config, Metrics::new(&CacheMetrics::default(), &mut Registry::default()))
}

fn tenant(name: &str) -> Vec<Tenant> {
    vec![Tenant::parse(name).expect("a name")]
}

async fn work(admission: Admission, tenants: Vec<Tenant>, seconds: u64) -> Duration {
    let came = Instant::now();
    let mut place = admission.enter(&tenants).expect("there is room");
    place.turn().await;
    let waited = came.elapsed();
    sleep(Duration::from_secs(seconds)).await;
    waited
}

#[tokio::test(start_paused = true)]
async fn another_tenants_first_query_waits_for_one_turn() {
    let admission = admission(1, 1, 1_000);
    let many: Vec<_> = (0..200).map(|_| tokio::spawn(work(admission.clone(), tenant("many"), 1))).collect();
    tokio::task::yield_now().await;
    sleep(Duration::from_millis(10)).await;
    let waited = work(admission.clone(), tenant("few"), 0).await;
    assert!(waited <= Duration::from_secs(2), "{waited:?}");
    for (turn, query) in many.into_iter().enumerate() {
        let waited = query.await.expect("it ran");
        assert!(waited >= Duration::from_secs(turn as u64), "{turn}: {waited:?}");
    }
    assert_eq!(admission.metrics.waiting.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_tenant_never_has_more_than_its_share() {
    let admission = admission(4, 2, 100);
    let started = Instant::now();
    let of_a: Vec<_> = (0..4).map(|_| tokio::spawn(work(admission.clone(), tenant("a"), 10))).collect();
    tokio::task::yield_now().await;
    assert_eq!(work(admission.clone(), tenant("b"), 1).await, Duration::ZERO);
    let both = [tenant("b"), tenant("a")].concat();
    assert_eq!(work(admission.clone(), both, 1).await, Duration::ZERO, "several tenants are a key of their own");
    for query in of_a {
        query.await.expect("it ran");
    }
    assert_eq!(started.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_the_queue() {
    let admission = admission(1, 1, 1);
    let running = admission.enter(&tenant("a")).expect("it runs");
    let mut waiting = admission.enter(&tenant("b")).expect("it waits");
    assert!(matches!(admission.enter(&tenant("c")), Err(Error::Busy)));
    assert!(timeout(Duration::from_secs(5), waiting.turn()).await.is_err(), "nobody left");
    drop(waiting);
    let mut next = admission.enter(&tenant("c")).expect("there is room again");
    // The turn comes, but nobody takes it: it goes on to the next.
    let mut last = {
        drop(running);
        admission.enter(&tenant("d")).expect("it waits behind")
    };
    drop(next.turn());
    drop(next);
    timeout(Duration::from_secs(1), last.turn()).await.expect("the turn was passed on");
}
