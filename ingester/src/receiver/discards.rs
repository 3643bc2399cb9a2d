//! Bodies of refused requests: read away, so that a sender in the middle of its body hears the answer instead of finding a
//! broken connection, but no faster than leaves the time to those who are let in.
//!
//! Reading a byte away takes a tenth to a twentieth of the time that storing it takes, most of it in the kernel. A server that is
//! offered ten times what it can take would spend half its time on it. Whoever must wait is held back by TCP: the system's
//! buffers fill and the sender stops.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::hints::REFUSAL_BYTES;

/// Bytes that may be read away for each that is accepted: about a tenth of the time.
const PER_ACCEPTED_BYTE: i64 = 1;

/// Bytes a second that may be read away whatever is accepted: some fifteen large requests, or a hundred usual ones. They take less
/// than a hundredth of a core. What is not used of them is kept for a second.
const BYTES_PER_SECOND: i64 = 4_000_000;

/// How far all turns together may read beyond the credit; then they wait too, which only large bodies meet.
const MOST_DEBT: i64 = 4 * BYTES_PER_SECOND;

/// Bodies read away at once. A few keep both sides busy; thousands would wake up for a window of TCP at a time, among the tasks
/// of those who are let in.
const TURNS: usize = 32;

/// How long a sender is held back for its turn. Most give up after 10 s, and nobody sees that they are gone while they wait.
const MAX_WAIT: Duration = Duration::from_secs(9);

/// How often those whose turn it is look whether there is credit.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The most of a body that is read away, how long it may take once it is its turn, and how long nothing may come.
const MAX_BYTES: usize = 64 << 20;
const MAX_TIME: Duration = Duration::from_secs(1);
const MAX_SILENCE: Duration = Duration::from_millis(500);

/// Shared by all requests of one router.
#[derive(Debug)]
pub(crate) struct Discards {
    turns: Semaphore,
    credit: Mutex<Credit>,
}

/// Bytes that may be read away; below zero by what was read beyond them.
#[derive(Debug)]
struct Credit {
    bytes: i64,
    at: Instant,
}

impl Discards {
    pub fn new() -> Self {
        let credit = Credit { bytes: BYTES_PER_SECOND, at: Instant::now() };
        Self { turns: Semaphore::new(TURNS), credit: Mutex::new(credit) }
    }

    /// A body of so many bytes was accepted.
    pub fn accepted(&self, bytes: usize) {
        self.change(PER_ACCEPTED_BYTE * bytes as i64);
    }

    /// Reads a refused body away when its turn comes, at once when the server stops; within bounds of time and bytes, past which
    /// the connection breaks.
    pub async fn discard(&self, body: Body, closing: impl Future<Output = ()>) {
        if body.is_end_stream() {
            return;
        }
        let turn = async {
            let turn = self.turns.acquire().await;
            while self.change(0) <= 0 {
                sleep(LOOK_INTERVAL).await;
            }
            turn
        };
        let _turn = tokio::select! {
            turn = timeout(MAX_WAIT, turn) => match turn {
                Ok(turn) => Some(turn),
                Err(_elapsed) => return,
            },
            () = closing => None,
        };
        self.change(-i64::from(REFUSAL_BYTES));
        let _ = timeout(MAX_TIME, self.read_away(body)).await;
    }

    async fn read_away(&self, mut body: Body) {
        let mut left = MAX_BYTES;
        while let Ok(Some(Ok(frame))) = timeout(MAX_SILENCE, body.frame()).await {
            let bytes = frame.data_ref().map_or(0, bytes::Bytes::len);
            if bytes >= left {
                break;
            }
            left -= bytes;
            let mut credit = self.change(-(bytes as i64));
            while credit < -MOST_DEBT {
                sleep(LOOK_INTERVAL).await;
                credit = self.change(0);
            }
        }
    }

    /// Adds to the credit and gives what there is.
    fn change(&self, bytes: i64) -> i64 {
        // A change is complete before anything can panic.
        let mut credit = self.credit.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // An hour is more than any debt takes.
        let micros = now.duration_since(credit.at).as_micros().min(3_600_000_000) as i64;
        credit.at = now;
        let earned = micros * (BYTES_PER_SECOND / 1_000_000);
        credit.bytes = (credit.bytes + earned + bytes).min(BYTES_PER_SECOND);
        credit.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1_000_000;

    fn body(bytes: usize) -> Body {
        Body::from(vec![0; bytes])
    }

    fn silent() -> Body {
        Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>())
    }

    impl Discards {
        async fn discard_running(&self, body: Body) {
            self.discard(body, std::future::pending()).await;
        }
    }

    async fn seconds<T>(work: impl Future<Output = T>) -> f64 {
        let started = Instant::now();
        work.await;
        (started.elapsed().as_secs_f64() * 10.0).round() / 10.0
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_are_read_away_at_a_pace_and_what_is_accepted_raises_it() {
        let discards = Discards::new();
        assert_eq!(seconds(discards.discard_running(body(12 * MB))).await, 0.0, "there is credit at first");
        assert_eq!(seconds(discards.discard_running(body(1))).await, 2.0, "8 MB too many were read, 4 a second earned");
        discards.discard_running(body(12 * MB)).await;
        assert_eq!(seconds(discards.discard_running(Body::empty())).await, 0.0, "nothing is left to be read");
        discards.accepted(16 * MB);
        assert_eq!(seconds(discards.discard_running(body(1))).await, 0.0, "one for each that is accepted");
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_are_not_read_faster_by_many_turns() {
        let discards = Discards::new();
        let chunks =
            || futures::stream::iter((0..60).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![0; MB]))));
        let large = (0..TURNS).map(|_| discards.discard_running(Body::from_stream(chunks())));
        let owed = async {
            sleep(Duration::from_millis(900)).await;
            -discards.change(0)
        };
        let (_, owed) = tokio::join!(futures::future::join_all(large), owed);
        assert!(
            (1..=MOST_DEBT + TURNS as i64 * i64::from(REFUSAL_BYTES)).contains(&owed),
            "{owed} bytes were read beyond the credit"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_sender_loses_its_turn_and_nobody_waits_longer_than_senders_do() {
        let discards = Discards::new();
        assert_eq!(seconds(discards.discard_running(silent())).await, 0.5);
        let all = |count: usize| futures::future::join_all((0..count).map(|_| discards.discard_running(silent())));
        assert_eq!(seconds(all(TURNS + 1)).await, 1.0);
        assert_eq!(seconds(all(30 * TURNS)).await, 9.5);
        let stopping = (0..30 * TURNS).map(|_| discards.discard(silent(), sleep(Duration::from_secs(3))));
        assert_eq!(seconds(futures::future::join_all(stopping)).await, 3.5, "nobody waits once the server stops");
    }
}
