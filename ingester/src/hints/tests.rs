//! What refused senders are told, on a clock that the tests move.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokio::time::advance;

use super::*;

const MILLI: Duration = Duration::from_millis(1);
const STEP: Duration = Duration::from_millis(5);
const SECOND: Duration = Duration::from_secs(1);

/// Senders that wait as they are told, and are there again so long after they were taken, against a server that takes so many a
/// second and acknowledges them four times a second. Gives how many asked and how many were taken in 60 s, after 140 s.
async fn fleet(senders: u32, pause: Duration, taken_per_second: u32, bytes: usize) -> (u32, u32) {
    let mut hints = Hints::new();
    let start = Instant::now();
    let mut due: BinaryHeap<Reverse<Instant>> = (0..senders).map(|i| Reverse(start + MILLI * (i % 1_000))).collect();
    let mut seconds = vec![(0, 0); 200];
    let (mut room, mut unanswered, mut answered_at) = (0.0, 0, start);
    loop {
        let now = Instant::now();
        let Some((asked, taken)) = seconds.get_mut((now - start).as_secs() as usize) else { break };
        while due.peek().is_some_and(|first| first.0 <= now) {
            due.pop();
            *asked += 1;
            let next = if room >= 1.0 {
                (room, *taken, unanswered) = (room - 1.0, *taken + 1, unanswered + 1);
                pause
            } else {
                hints.refused()
            };
            due.push(Reverse(now + next));
        }
        if now - answered_at >= 250 * MILLI {
            (0..std::mem::take(&mut unanswered)).for_each(|_| hints.accepted(bytes));
            answered_at = now;
        }
        // What the budget holds is worked off in a second.
        room = (room + f64::from(taken_per_second) * STEP.as_secs_f64()).min(f64::from(taken_per_second));
        advance(STEP).await;
    }
    seconds.split_off(140).iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

#[tokio::test(start_paused = true)]
async fn senders_that_obey_keep_the_server_busy_and_leave_it_its_time() {
    let large = [(300, 500), (4_000, 500), (4_000, 8_000)].map(|(senders, pause)| (senders, pause, 40, 300_000));
    let small = [(1_000, 500), (4_000, 500), (4_000, 8_000)].map(|(senders, pause)| (senders, pause, 400, 30_000));
    for (senders, pause, pace, bytes) in large.into_iter().chain(small) {
        let (asked, taken) = fleet(senders, MILLI * pause, pace, bytes).await;
        let could = 60 * pace;
        let what = format!("{senders} senders every {pause} ms: {asked} asked, {taken} of {could} taken");
        assert!(taken >= could * 9 / 10, "{what}");
        // 12 MB are accepted a second: 120 ms of work, and a fifth of that is 1,440 ms a minute. A refusal takes 0.15 ms.
        assert!(f64::from(asked - taken) * 0.15 < 1_440.0, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_refusals_are_told_one_to_five_seconds() {
    let mut hints = Hints::new();
    for _ in 0..1_000 {
        advance(25 * MILLI).await;
        hints.accepted(200 << 10);
        assert!((1.0..=5.0).contains(&hints.refused().as_secs_f64()));
    }
}

#[tokio::test(start_paused = true)]
async fn hints_grow_with_what_the_overload_lasts_up_to_a_minute_until_it_is_over() {
    let mut hints = Hints::new();
    advance(QUIET * 2).await;
    hints.accepted(1);
    // The shortest and the longest of many for whom there is no place.
    let told = |hints: &mut Hints| {
        hints.accepted(1);
        let mut told: Vec<f64> = (0..1_000).map(|_| hints.refused().as_secs_f64()).collect();
        told.drain(..700);
        told.sort_by(f64::total_cmp);
        (told[0], told[299])
    };
    let mut last = 0;
    for (at, most) in [(0, 5.0), (1, 5.0), (4, 12.0), (8, 24.0), (12, 36.0), (16, 48.0), (20, 60.0), (24, 60.0)] {
        advance(SECOND * (at - last)).await;
        last = at;
        let (shortest, longest) = told(&mut hints);
        assert!(longest <= most && longest > most * 0.95, "{longest} s after {at} s");
        assert!(shortest >= most / 2.0 && shortest < most * 0.65, "{shortest} s after {at} s: they are to come apart");
    }
    advance(QUIET + MILLI).await;
    assert!(told(&mut hints).1 <= 5.0, "it begins anew");
}

#[tokio::test(start_paused = true)]
async fn while_nothing_is_accepted_hints_are_short() {
    let mut hints = Hints::new();
    for second in 0..120 {
        let told = (0..1_000).map(|_| hints.refused()).max().expect("some");
        if second > 5 {
            assert!(told <= LONGEST_AT_FIRST, "{told:?} after {second} s");
        }
        advance(SECOND).await;
    }
}
