//! Clocks that are wrong: each process has its own, which may be minutes off, runs too fast or too slow, and is put right or wrong
//! by jumps.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;

use crate::cluster::{Cluster, MAX_SKEW};
use crate::run::pause;

/// Most that a clock drifts between two looks at it: a second in an hour would be a bad clock, so this is a wild one.
const DRIFT: Duration = Duration::from_millis(500);

/// Sets some of the clocks of a cluster wrong.
pub fn set_some_wrong(cluster: &Cluster, random: &mut StdRng) {
    for clock in cluster.clocks() {
        if random.random_bool(0.7) {
            clock.set_ahead(up_to(random, MAX_SKEW));
        }
    }
}

/// Lets them drift, and jump now and then, for as long as it is polled.
pub async fn go_wrong(cluster: &Cluster, mut random: StdRng) {
    loop {
        pause(&mut random, 6_000).await;
        let clocks = cluster.clocks();
        let clock = &clocks[random.random_range(0..clocks.len())];
        let ahead = match random.random_range(0..10) {
            0 => 0,
            1..=3 => up_to(&mut random, MAX_SKEW),
            _ => clock.ahead_nanos() + up_to(&mut random, DRIFT),
        };
        let most = i64::try_from(MAX_SKEW.as_nanos()).expect("minutes");
        clock.set_ahead(ahead.clamp(-most, most));
        cluster.history.note(format_args!("a clock is {} ms ahead", clock.ahead_nanos() / 1_000_000));
    }
}

fn up_to(random: &mut StdRng, most: Duration) -> i64 {
    let most = i64::try_from(most.as_nanos()).expect("minutes");
    random.random_range(-most..=most)
}
